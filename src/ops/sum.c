/* sum and mean: of x over chosen dims, accumulated in double. The mean is
 * divided before it is rounded, so that it fits where the sum would not. */
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

static void FN(sum)(void *out, const void *const *in, size_t from, size_t to,
                    size_t n, const void *attrs)
{
    const rill_reduction_view *v = attrs;
    const REAL *x = (const REAL *)in[0] + from * n;
    REAL *y = (REAL *)out + from * v->inner;
    for (size_t r = from; r < to; r++, x += n, y += v->inner) {
        double s;
        if (v->inner != 1) {
            FN(sum_columns)(x, y, v->n, v->inner, v->divisor);
            continue;
        }
        FN(sum_all)(x, n, &s);
        *y = (REAL)(s / v->divisor);
    }
}

#else
KERNELS(sum)
KERNELS(sum_all)

double rill_sum_all(rill_tape *t, const rill_tensor *x)
{
    double sum;
    KERNEL(sum_all, t->isa, x->dtype)(x->data, (size_t)x->numel, &sum);
    return sum;
}

static RULE(sum_backward)
{
    const rill_shape *kept = rill_node_attrs(n);
    gx[0] = rill_expand(t, rill_reshape(t, gy, *kept),
                        rill_node_input(n, 0)->shape);
}

static RULE(mean_backward)
{
    double share = (double)gy->numel / (double)rill_node_input(n, 0)->numel;
    sum_backward(t, n, rill_scale(t, gy, share), gx);
}

/* The sum over opts->dims. x: any shape, a float dtype; the sum of nothing
 * is 0. Also an error: a dim given twice. */
REDUCTION(sum, "dx = dy at every element summed", sum_backward, sum,
          RILL_OF_NOTHING | RILL_COLUMNS)

/* The mean over opts->dims; of nothing it is NaN. Otherwise as rill_sum. */
REDUCTION(mean, "dx = dy / n at every element", mean_backward, sum,
          RILL_OF_NOTHING | RILL_COLUMNS | RILL_OF_MEAN)

#endif
