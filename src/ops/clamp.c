/* clamp: y = min(max(x, low), high), for numbers low and high that are not
 * differentiated; NaN passes. At the bounds themselves the gradient passes, as
 * in PyTorch: it does where y = x. */
#define MAPS MAP1(clamp, x, x < s0 ? s0 : x > s1 ? s1 : x)
#include "common.h"

static RULE(clamp_backward)
{
    gx[0] = rill_where(t, rill_eq(t, rill_node_input(n, 0),
                                  rill_node_output(n)),
                       gy, rill_zeros(t, gy->dtype, RILL_SCALAR));
}

OP_WITH(clamp, "dx = dy where low <= x <= high", clamp_backward, NULL, 0,
        "low high")

/* x, but not below low and not above high, which are rounded to the dtype of
 * x; an infinite bound bounds nothing. Errors: a bound that is NaN; low above
 * high, which can only be a mistake (PyTorch makes every element high). */
rill_tensor *rill_clamp(rill_tape *t, const rill_tensor *x, double low,
                        double high)
{
    if (!(low <= high)) /* NaN too */
        return rill_fail(t, "clamp: low %g is not at or below high %g", low,
                         high);
    return rill_elementwise(t, &clamp_op, clamp_kernels, INPUTS(x),
                            (double[2]){ low, high });
}
