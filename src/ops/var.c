/* var: y = sum (x - mean)^2 / (n - correction) over chosen dims, n elements
 * each; made of other ops. What is left of the mean by its rounding is taken
 * off as well, so that a large mean costs no digits. Where n <= correction
 * the divisor is 0, as PyTorch's is, and y infinite or NaN. */
#include "common.h"

/* The variance over opts->dims, the sum of squares divided by n -
 * opts->correction: 0, the default, is the population's, 1 is PyTorch's
 * default. x: any shape, a float dtype; the variance of nothing is NaN.
 * Errors: those of rill_sum; a correction that is not finite. */
rill_tensor *rill_var(rill_tape *t, const rill_tensor *x,
                      const rill_var_opts *opts)
{
    const rill_var_opts none = { .keepdim = false }, *o = opts ? opts : &none;
    rill_reduction_view v;
    if (!rill_usable_float(t, "var", "x", x))
        return NULL;
    if (!isfinite(o->correction))
        return rill_fail(t, "var: correction %g is not finite", o->correction);
    if (!rill_reduce(t, "var", x, o->dims, o->keepdim, RILL_COLUMNS, &v))
        return NULL;
    rill_reduce_opts over = { .dims = o->dims, .keepdim = true };
    rill_tensor *d = rill_sub(t, x, rill_mean(t, x, &over));
    d = rill_sub(t, d, rill_mean(t, d, &over));
    over.keepdim = o->keepdim;
    double divisor = (double)v.n - o->correction;
    return rill_scale(t, rill_sum(t, rill_square(t, d), &over),
                      1 / (divisor > 0 ? divisor : 0));
}
