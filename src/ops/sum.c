/* sum and mean: of x over chosen dims, accumulated in double. The mean is
 * divided before it is rounded, so that it fits where the sum would not.
 *
 * dx = dy, or dy / n, the same for every element that went in. */
#define KERNEL_FILE "../ops/sum.c"
#include "common.h"

#ifdef REAL
static void FN(sum_all)(const void *in, size_t n, double *sum)
{
    const REAL *x = in;
    double s = 0;
    SIMD_REDUCE(+, s) for (size_t i = 0; i < n; i++)
        s += (double)x[i];
    *sum = s;
}

/* x [n, inner] to y [inner], COLUMNS at a time. */
static void FN(sum_columns)(const REAL *x, REAL *y, size_t n, size_t inner,
                            double divisor)
{
    enum { COLUMNS = 128 };
    double s[COLUMNS];
    for (size_t j = 0; j < inner; j += COLUMNS) {
        size_t m = inner - j < COLUMNS ? inner - j : COLUMNS;
        for (size_t c = 0; c < m; c++)
            s[c] = 0;
        for (size_t i = 0; i < n; i++)
            SIMD for (size_t c = 0; c < m; c++)
                s[c] += (double)x[i * inner + j + c];
        for (size_t c = 0; c < m; c++)
            y[j + c] = (REAL)(s[c] / divisor);
    }
}

static void FN(sum)(const rill_reduction_view *v, double divisor, void *out)
{
    const REAL *x = v->x;
    REAL *y = out;
    for (size_t o = 0; o < v->outer; o++) {
        double s;
        if (v->inner != 1) {
            FN(sum_columns)(x + o * v->n * v->inner, y + o * v->inner, v->n,
                            v->inner, divisor);
            continue;
        }
        FN(sum_all)(x + o * v->n, v->n, &s);
        y[o] = (REAL)(s / divisor);
    }
}

#else
KERNELS(sum)
KERNELS(sum_all)

typedef struct {
    rill_shape kept;
    double divisor;
} sum_attrs;

/* Every element of x, added up in double. */
double rill_sum_all(rill_tape *t, const rill_tensor *x)
{
    double sum;
    KERNEL(sum_all, t->isa, x->dtype)(x->data, (size_t)x->numel, &sum);
    return sum;
}

static RULE(sum_backward)
{
    const sum_attrs *a = rill_node_attrs(n);
    if (a->divisor != 1)
        gy = rill_scale(t, gy, 1 / a->divisor);
    gx[0] = rill_expand(t, rill_reshape(t, gy, a->kept),
                        rill_node_input(n, 0)->shape);
}

static const rill_op sum_op = { "sum", "dx = dy at every element summed",
                                sum_backward, NULL, 0 };
static const rill_op mean_op = { "mean", "dx = dy / n at every element",
                                 sum_backward, NULL, 0 };

static rill_tensor *sum_over(rill_tape *t, const rill_op *op,
                             const rill_tensor *x,
                             const rill_reduce_opts *opts)
{
    static const rill_reduce_opts none = { { 0, { 0 } }, false };
    rill_reduction_view v;
    if (!opts)
        opts = &none;
    if (!rill_usable_float(t, op->name, "x", x) ||
        !rill_reduce(t, op->name, x, opts->dims, opts->keepdim, false,
                     &v))
        return NULL;
    sum_attrs a = { v.kept_shape, op == &mean_op ? (double)v.n : 1 };
    rill_tensor *y = rill_empty(t, x->dtype, v.shape);
    void *kept = rill_attrs(t, &a, sizeof a);
    if (!y || !kept)
        return NULL;
    KERNEL(sum, t->isa, x->dtype)(&v, a.divisor, y->data);
    return rill_record(t, op, y, INPUTS(x), kept);
}

/* The sum over opts->dims. x: any shape, a float dtype; the sum of nothing
 * is 0. Errors: those of every op; an int32 x; a dim out of range or given
 * twice. */
rill_tensor *rill_sum(rill_tape *t, const rill_tensor *x,
                      const rill_reduce_opts *opts)
{
    return sum_over(t, &sum_op, x, opts);
}

/* The mean over opts->dims. x: any shape, a float dtype; the mean of nothing
 * is NaN. Errors: those of rill_sum. */
rill_tensor *rill_mean(rill_tape *t, const rill_tensor *x,
                       const rill_reduce_opts *opts)
{
    return sum_over(t, &mean_op, x, opts);
}

#endif
