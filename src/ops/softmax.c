/* softmax and log_softmax: over one dim, any of them.
 *
 * With m the largest x: softmax e^(x - m) / sum e^(x - m), log_softmax
 * (x - m) - ln sum e^(x - m), never the logarithm of a rounded probability.
 * A row that is all -inf, or that holds +inf or NaN, has no softmax: NaN.
 *
 * softmax: dx = y (dy - sum dy y); log_softmax: dx = dy - e^y sum dy. */
#define KERNEL_FILE "../ops/softmax.c"
#include "common.h"

#ifdef REAL
/* x to y; attrs says whether logarithms are wanted. */
static void FN(softmax)(void *out, const void *const *in, size_t from,
                        size_t to, size_t n, const void *attrs)
{
    for (size_t r = from; r < to; r++) {
        const REAL *x = (const REAL *)in[0] + r * n;
        REAL *y = (REAL *)out + r * n, max = FN(math_largest)(x, n);
        REAL sum = FN(math_exp_row)(x, max, y, n);
        REAL f = attrs ? FN(math_log)(sum) : 1 / sum;
        if (attrs)
            SIMD for (size_t i = 0; i < n; i++)
                y[i] = x[i] - max - f;
        else
            SIMD for (size_t i = 0; i < n; i++)
                y[i] *= f;
    }
}

/* y and dy to dx */
static void FN(softmax_grad)(void *out, const void *const *in, size_t from,
                             size_t to, size_t n, const void *attrs)
{
    for (size_t r = from; r < to; r++) {
        const REAL *y = (const REAL *)in[0] + r * n;
        const REAL *gy = (const REAL *)in[1] + r * n;
        REAL *gx = (REAL *)out + r * n, sum = 0;
        if (attrs) {
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
}

#else
KERNELS(softmax)
KERNELS(softmax_grad)

/* A kernel over dim of x, and of dy where it is given: rows of other tensors
 * where dim is not the last one. Unrecorded. */
static rill_tensor *softmax_run(rill_tape *t,
                                rill_row_kernel *const (*kernels)[2],
                                const rill_tensor *x, const rill_tensor *gy,
                                int dim, bool logs)
{
    int last = x->shape.ndim - 1;
    bool moved = dim != last, was = rill_tape_record(t, false);
    x = moved ? rill_transpose(t, x, dim, last) : x;
    gy = moved && gy ? rill_transpose(t, gy, dim, last) : gy;
    rill_tensor *y = x ? rill_like(t, x) : NULL;
    if (y && y->numel) {
        const void *in[] = { x->data, gy ? gy->data : NULL };
        size_t n = (size_t)(last < 0 ? 1 : x->shape.dim[last]);
        rill_run_rows(kernels[t->isa][x->dtype], y->data, in,
                      (size_t)y->numel / n, n, logs ? "logs" : NULL);
    }
    y = moved ? rill_transpose(t, y, dim, last) : y;
    rill_tape_record(t, was);
    return y;
}

static rill_tensor *softmax_sum(rill_tape *t, const rill_tensor *x, int dim)
{
    rill_dims one = { x->shape.ndim ? 1 : 0, { dim } };
    return rill_sum(t, x, &(rill_reduce_opts){ .dims = one,
                                               .keepdim = true });
}

static RULE(softmax_backward)
{
    int dim = *(const int *)rill_node_attrs(n);
    const rill_tensor *y = rill_node_output(n);
    rill_tensor *along = rill_mul(t, gy, y);
    if (along)
        gx[0] = rill_mul(t, y, rill_sub(t, gy, softmax_sum(t, along, dim)));
}

static RULE(log_softmax_backward)
{
    rill_tensor *p = rill_exp(t, rill_node_output(n));
    rill_tensor *sum = softmax_sum(t, gy, *(const int *)rill_node_attrs(n));
    gx[0] = rill_sub(t, gy, rill_mul(t, p, sum));
}

static RULE(softmax_fused)
{
    gx[0] = softmax_run(t, softmax_grad_kernels, rill_node_output(n), gy,
                        *(const int *)rill_node_attrs(n), false);
}

static RULE(log_softmax_fused)
{
    gx[0] = softmax_run(t, softmax_grad_kernels, rill_node_output(n), gy,
                        *(const int *)rill_node_attrs(n), true);
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
    if (!rill_usable_float(t, op->name, "x", x))
        return NULL;
    int ndim = x->shape.ndim; /* a scalar is taken for a row of one */
    dim = rill_resolve_dim(t, op->name, dim, ndim ? ndim : 1);
    if (dim < 0)
        return NULL;
    dim = ndim ? dim : -1;
    rill_tensor *y = softmax_run(t, softmax_kernels, x, NULL, dim,
                                 op == &log_softmax_op);
    void *kept = rill_attrs(t, &dim, sizeof dim);
    return y && kept ? rill_record(t, op, y, INPUTS(x), kept) : NULL;
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
