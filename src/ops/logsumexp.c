/* logsumexp: y = ln sum e^x over chosen dims, as m + ln sum e^(x - m) with m
 * the largest x, so that nothing overflows. An infinite m is not subtracted:
 * a row of -inf, or an empty one, gives -inf; one with +inf in it +inf.
 *
 * dx = dy e^(x - y), the softmax. Where y is infinite it has no limit: the
 * gradient is NaN where x is as infinite as y, as in PyTorch. */
#define KERNEL_FILE "../ops/logsumexp.c"
#include "common.h"

MAP3(logsumexp_grad, x, y, gy, gy * FN(math_exp)(x - y))

#ifdef REAL
/* The largest of n, LANES at a time: without fast-math, clang does not turn a
 * plain reduction into vectors. A NaN may be passed over. */
static REAL FN(logsumexp_largest)(const REAL *x, size_t n)
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

static void FN(logsumexp_row)(const REAL *x, REAL *y, size_t n)
{
    REAL m = FN(logsumexp_largest)(x, n);
    double sum = 0;
    m = isinf(m) ? 0 : m;
    SIMD_REDUCE(+, sum) for (size_t i = 0; i < n; i++)
        sum += (double)FN(math_exp)(x[i] - m);
    *y = (REAL)((double)m + log(sum));
}

/* x [n, inner] to y [inner], COLUMNS at a time. */
static void FN(logsumexp_columns)(const REAL *x, REAL *y, size_t n,
                                  size_t inner)
{
    enum { COLUMNS = 128 };
    REAL m[COLUMNS];
    double sum[COLUMNS];
    for (size_t j = 0; j < inner; j += COLUMNS) {
        size_t width = inner - j < COLUMNS ? inner - j : COLUMNS;
        for (size_t c = 0; c < width; c++) {
            m[c] = -(REAL)INFINITY;
            sum[c] = 0;
        }
        for (size_t i = 0; i < n; i++)
            SIMD for (size_t c = 0; c < width; c++) {
                REAL v = x[i * inner + j + c];
                m[c] = v > m[c] ? v : m[c];
            }
        for (size_t c = 0; c < width; c++)
            m[c] = isinf(m[c]) ? 0 : m[c];
        for (size_t i = 0; i < n; i++)
            SIMD for (size_t c = 0; c < width; c++)
                sum[c] += (double)FN(math_exp)(x[i * inner + j + c] - m[c]);
        for (size_t c = 0; c < width; c++)
            y[j + c] = (REAL)((double)m[c] + log(sum[c]));
    }
}

static void FN(logsumexp)(const rill_reduction_view *v, void *out)
{
    const REAL *x = v->x;
    REAL *y = out;
    for (size_t o = 0; o < v->outer; o++)
        if (v->inner == 1)
            FN(logsumexp_row)(x + o * v->n, y + o, v->n);
        else
            FN(logsumexp_columns)(x + o * v->n * v->inner, y + o * v->inner,
                                  v->n, v->inner);
}

#else
KERNELS(logsumexp)

static RULE(logsumexp_backward)
{
    const rill_shape *kept = rill_node_attrs(n);
    rill_tensor *y = rill_reshape(t, rill_node_output(n), *kept);
    rill_tensor *p = rill_exp(t, rill_sub(t, rill_node_input(n, 0), y));
    gx[0] = rill_mul(t, rill_reshape(t, gy, *kept), p);
}

static RULE(logsumexp_fused)
{
    const rill_shape *kept = rill_node_attrs(n);
    const rill_tensor *x = rill_node_input(n, 0);
    const rill_tensor *in[] = { x,
                                rill_reshape(t, rill_node_output(n), *kept),
                                rill_reshape(t, gy, *kept) };
    if (in[1] && in[2])
        gx[0] = rill_map(t, "logsumexp", logsumexp_grad_kernels, in, 3,
                         x->dtype, NULL);
}

static const rill_op logsumexp_op = { "logsumexp", "dx = dy e^(x - y)",
                                      logsumexp_backward, logsumexp_fused,
                                      0 };

/* ln sum e^x over opts->dims, without overflow. x: any shape, a float dtype.
 * Errors: those of rill_sum. */
rill_tensor *rill_logsumexp(rill_tape *t, const rill_tensor *x,
                            const rill_reduce_opts *opts)
{
    static const rill_reduce_opts none = { { 0, { 0 } }, false };
    rill_reduction_view v;
    if (!opts)
        opts = &none;
    if (!rill_usable_float(t, "logsumexp", "x", x) ||
        !rill_reduce(t, "logsumexp", x, opts->dims, opts->keepdim, &v))
        return NULL;
    rill_tensor *y = rill_empty(t, x->dtype, v.shape);
    void *kept = rill_attrs(t, &v.kept_shape, sizeof v.kept_shape);
    if (!y || !kept)
        return NULL;
    KERNEL(logsumexp, t->isa, x->dtype)(&v, y->data);
    return rill_record(t, &logsumexp_op, y, INPUTS(x),
                       kept);
}

#endif
