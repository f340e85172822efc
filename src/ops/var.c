/* var: y = sum (x - mean)^2 / (n - correction) over chosen dims, n elements
 * each. Two passes in double: the mean, then the squares, so that a large
 * mean costs no digits. Where n <= correction the divisor is 0, as PyTorch's
 * is, and y infinite or NaN.
 *
 * dx = dy 2 (x - mean) / (n - correction): the mean's own part cancels. */
#define KERNEL_FILE "../ops/var.c"
#include "common.h"

#ifdef REAL
static void FN(var_row)(const REAL *x, REAL *y, size_t n, double divisor)
{
    double mean = 0, squares = 0;
    SIMD_REDUCE(+, mean) for (size_t i = 0; i < n; i++)
        mean += (double)x[i];
    mean /= (double)n;
    SIMD_REDUCE(+, squares) for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - mean;
        squares += d * d;
    }
    *y = (REAL)(squares / divisor);
}

/* x [n, inner] to y [inner], COLUMNS at a time. */
static void FN(var_columns)(const REAL *x, REAL *y, size_t n, size_t inner,
                            double divisor)
{
    enum { COLUMNS = 128 };
    double mean[COLUMNS], squares[COLUMNS];
    for (size_t j = 0; j < inner; j += COLUMNS) {
        size_t m = inner - j < COLUMNS ? inner - j : COLUMNS;
        for (size_t c = 0; c < m; c++)
            mean[c] = squares[c] = 0;
        for (size_t i = 0; i < n; i++)
            SIMD for (size_t c = 0; c < m; c++)
                mean[c] += (double)x[i * inner + j + c];
        for (size_t c = 0; c < m; c++)
            mean[c] /= (double)n;
        for (size_t i = 0; i < n; i++)
            SIMD for (size_t c = 0; c < m; c++) {
                double d = (double)x[i * inner + j + c] - mean[c];
                squares[c] += d * d;
            }
        for (size_t c = 0; c < m; c++)
            y[j + c] = (REAL)(squares[c] / divisor);
    }
}

static void FN(var)(const rill_reduction_view *v, double divisor, void *out)
{
    const REAL *x = v->x;
    REAL *y = out;
    for (size_t o = 0; o < v->outer; o++)
        if (v->inner == 1)
            FN(var_row)(x + o * v->n, y + o, v->n, divisor);
        else
            FN(var_columns)(x + o * v->n * v->inner, y + o * v->inner, v->n,
                            v->inner, divisor);
}

#else
KERNELS(var)

typedef struct {
    rill_dims dims;
    rill_shape kept;
    double divisor;
} var_attrs;

static RULE(var_backward)
{
    const var_attrs *a = rill_node_attrs(n);
    const rill_tensor *x = rill_node_input(n, 0);
    rill_tensor *mean = rill_mean(
        t, x, &(rill_reduce_opts){ .dims = a->dims, .keepdim = true });
    rill_tensor *g = rill_scale(t, rill_reshape(t, gy, a->kept),
                                2 / a->divisor);
    gx[0] = rill_mul(t, g, rill_sub(t, x, mean));
}

static const rill_op var_op = { "var",
                                "dx = dy 2 (x - mean) / (n - correction)",
                                var_backward, NULL, 0 };

/* The variance over opts->dims, the sum of squares divided by n -
 * opts->correction: 0, the default, is the population's, 1 is PyTorch's
 * default. x: any shape, a float dtype; the variance of nothing is NaN.
 * Errors: those of rill_sum; a correction that is not finite. */
rill_tensor *rill_var(rill_tape *t, const rill_tensor *x,
                      const rill_var_opts *opts)
{
    static const rill_var_opts none = { { 0, { 0 } }, false, 0 };
    rill_reduction_view v;
    if (!opts)
        opts = &none;
    if (!rill_usable_float(t, "var", "x", x))
        return NULL;
    if (!isfinite(opts->correction))
        return rill_fail(t, "var: correction %g is not finite",
                         opts->correction);
    if (!rill_reduce(t, "var", x, opts->dims, opts->keepdim, &v))
        return NULL;
    double divisor = (double)v.n - opts->correction;
    var_attrs a = { opts->dims, v.kept_shape, divisor > 0 ? divisor : 0 };
    rill_tensor *y = rill_empty(t, x->dtype, v.shape);
    void *kept = rill_attrs(t, &a, sizeof a);
    if (!y || !kept)
        return NULL;
    KERNEL(var, t->isa, x->dtype)(&v, a.divisor, y->data);
    return rill_record(t, &var_op, y, INPUTS(x), kept);
}

#endif
