/* softmax and log_softmax: over one dim, any of them.
 *
 * With m the largest x: softmax e^(x - m) / sum e^(x - m), log_softmax
 * (x - m) - ln sum e^(x - m), never the logarithm of a rounded probability.
 * A row that is all -inf, or that holds +inf or NaN, has no softmax: NaN.
 *
 * softmax: dx = y (dy - sum dy y); log_softmax: dx = dy - e^y sum dy. */
#ifdef REAL

/* The largest of n, LANES at a time: without fast-math, clang does not turn a
 * plain reduction into vectors. A NaN may be passed over. */
static REAL FN(softmax_largest)(const REAL *x, size_t n)
{
    enum { LANES = 16 };
    REAL lane[LANES], m = -(REAL)INFINITY;
    size_t i = 0;
    if (n >= LANES) {
        memcpy(lane, x, sizeof lane);
        for (i = LANES; i + LANES <= n; i += LANES)
            SIMD for (size_t c = 0; c < LANES; c++)
                lane[c] = x[i + c] > lane[c] ? x[i + c] : lane[c];
        for (size_t c = 0; c < LANES; c++)
            m = lane[c] > m ? lane[c] : m;
    }
    for (; i < n; i++)
        m = x[i] > m ? x[i] : m;
    return m;
}

static void FN(softmax_row)(const REAL *x, REAL *y, size_t n, bool logs)
{
    REAL m = FN(softmax_largest)(x, n), sum = 0;
    SIMD_REDUCE(+, sum) for (size_t i = 0; i < n; i++) {
        REAL e = FN(math_exp)(x[i] - m);
        y[i] = e;
        sum += e;
    }
    REAL f = logs ? (REAL)log((double)sum) : 1 / sum;
    if (logs)
        SIMD for (size_t i = 0; i < n; i++)
            y[i] = x[i] - m - f;
    else
        SIMD for (size_t i = 0; i < n; i++)
            y[i] *= f;
}

/* The same for `width` rows side by side, their elements `inner` apart. */
static void FN(softmax_columns)(const REAL *x, REAL *y, size_t n,
                                size_t inner, size_t width, bool logs)
{
    REAL m[SOFTMAX_COLUMNS], f[SOFTMAX_COLUMNS];
    for (size_t c = 0; c < width; c++) {
        m[c] = -(REAL)INFINITY;
        f[c] = 0;
    }
    for (size_t i = 0; i < n; i++)
        SIMD for (size_t c = 0; c < width; c++)
            m[c] = x[i * inner + c] > m[c] ? x[i * inner + c] : m[c];
    for (size_t i = 0; i < n; i++)
        SIMD for (size_t c = 0; c < width; c++) {
            REAL e = FN(math_exp)(x[i * inner + c] - m[c]);
            y[i * inner + c] = e;
            f[c] += e;
        }
    for (size_t c = 0; c < width; c++)
        f[c] = logs ? (REAL)log((double)f[c]) : 1 / f[c];
    for (size_t i = 0; i < n; i++)
        if (logs)
            SIMD for (size_t c = 0; c < width; c++)
                y[i * inner + c] = x[i * inner + c] - m[c] - f[c];
        else
            SIMD for (size_t c = 0; c < width; c++)
                y[i * inner + c] *= f[c];
}

static void FN(softmax_grad_row)(const REAL *y, const REAL *gy, REAL *gx,
                                 size_t n, bool logs)
{
    REAL sum = 0;
    if (logs) {
        SIMD_REDUCE(+, sum) for (size_t i = 0; i < n; i++)
            sum += gy[i];
        SIMD for (size_t i = 0; i < n; i++)
            gx[i] = gy[i] - FN(math_exp)(y[i]) * sum;
    } else {
        SIMD_REDUCE(+, sum) for (size_t i = 0; i < n; i++)
            sum += gy[i] * y[i];
        SIMD for (size_t i = 0; i < n; i++)
            gx[i] = y[i] * (gy[i] - sum);
    }
}

static void FN(softmax_grad_columns)(const REAL *y, const REAL *gy, REAL *gx,
                                     size_t n, size_t inner, size_t width,
                                     bool logs)
{
    REAL sum[SOFTMAX_COLUMNS] = { 0 };
    for (size_t i = 0; i < n * inner; i += inner)
        SIMD for (size_t c = 0; c < width; c++)
            sum[c] += logs ? gy[i + c] : gy[i + c] * y[i + c];
    for (size_t i = 0; i < n * inner; i += inner)
        if (logs)
            SIMD for (size_t c = 0; c < width; c++)
                gx[i + c] = gy[i + c] - FN(math_exp)(y[i + c]) * sum[c];
        else
            SIMD for (size_t c = 0; c < width; c++)
                gx[i + c] = y[i + c] * (gy[i + c] - sum[c]);
}

/* out = softmax(x), or the gradient by y = x where gy is given. */
static void FN(softmax)(const rill_reduction_view *v, const void *in,
                        const void *grad, void *out, bool logs)
{
    size_t n = v->n, inner = v->inner;
    for (size_t o = 0; o < v->outer; o++)
        for (size_t j = 0; j < inner; j += SOFTMAX_COLUMNS) {
            size_t at = o * n * inner + j, left = inner - j;
            size_t width = left < SOFTMAX_COLUMNS ? left : SOFTMAX_COLUMNS;
            const REAL *x = (const REAL *)in + at;
            const REAL *gy = grad ? (const REAL *)grad + at : NULL;
            REAL *y = (REAL *)out + at;
            if (gy && inner == 1)
                FN(softmax_grad_row)(x, gy, y, n, logs);
            else if (gy)
                FN(softmax_grad_columns)(x, gy, y, n, inner, width, logs);
            else if (inner == 1)
                FN(softmax_row)(x, y, n, logs);
            else
                FN(softmax_columns)(x, y, n, inner, width, logs);
        }
}

#else
#include "common.h"

enum { SOFTMAX_COLUMNS = 128 };

#define KERNEL_FILE "../ops/softmax.c"
#include "../tensor/each_kernel.h"

KERNELS(softmax)

static RULE(softmax_backward)
{
    const rill_reduction_view *v = rill_node_attrs(n);
    const rill_tensor *y = rill_node_output(n);
    rill_tensor *sum = rill_sum_to(t, rill_mul(t, gy, y), v->kept_shape);
    gx[0] = rill_mul(t, y, rill_sub(t, gy, sum));
}

static RULE(log_softmax_backward)
{
    const rill_reduction_view *v = rill_node_attrs(n);
    rill_tensor *p = rill_exp(t, rill_node_output(n));
    rill_tensor *sum = rill_sum_to(t, gy, v->kept_shape);
    gx[0] = rill_sub(t, gy, rill_mul(t, p, sum));
}

static void softmax_grad(rill_tape *t, const rill_node *n,
                         const rill_tensor *gy, const rill_tensor **gx,
                         bool logs)
{
    rill_tensor *g = rill_like(t, gy);
    if (g)
        KERNEL(softmax, t->isa, gy->dtype)(rill_node_attrs(n),
                                           rill_node_output(n)->data,
                                           gy->data, g->data, logs);
    gx[0] = g;
}

static RULE(softmax_fused)
{
    softmax_grad(t, n, gy, gx, false);
}

static RULE(log_softmax_fused)
{
    softmax_grad(t, n, gy, gx, true);
}

static const rill_op softmax_op = {
    "softmax", "dx = y (dy - sum dy y)", softmax_backward, softmax_fused,
    RILL_OP_IS_SOFTMAX
};
static const rill_op log_softmax_op = {
    "log_softmax", "dx = dy - e^y sum dy", log_softmax_backward,
    log_softmax_fused, RILL_OP_IS_SOFTMAX
};

static rill_tensor *softmax_over(rill_tape *t, const rill_op *op,
                                 const rill_tensor *x, int dim)
{
    rill_reduction_view v;
    if (!rill_usable_float(t, op->name, "x", x))
        return NULL;
    int ndim = x->shape.ndim; /* a scalar is taken for a row of one */
    if (rill_resolve_dim(t, op->name, dim, ndim ? ndim : 1) < 0 ||
        !rill_reduce(t, op->name, x, (rill_dims){ ndim ? 1 : 0, { dim } },
                     true, &v))
        return NULL;
    rill_tensor *y = rill_like(t, x);
    void *kept = rill_attrs(t, &v, sizeof v);
    if (!y || !kept)
        return NULL;
    KERNEL(softmax, t->isa, x->dtype)(&v, x->data, NULL, y->data,
                                      op == &log_softmax_op);
    return rill_record(t, op, y, INPUTS(x), kept);
}

/* e^x / sum e^x over dim. x: any shape, a float dtype; a scalar has the dims
 * 0 and -1. Errors: those of every op; an int32 x; a dim out of range. */
rill_tensor *rill_softmax(rill_tape *t, const rill_tensor *x, int dim)
{
    return softmax_over(t, &softmax_op, x, dim);
}

/* x - ln sum e^x over dim: the logarithm of rill_softmax, exact where that
 * has rounded to 0. Otherwise as rill_softmax. */
rill_tensor *rill_log_softmax(rill_tape *t, const rill_tensor *x, int dim)
{
    return softmax_over(t, &log_softmax_op, x, dim);
}

#endif
