/* l1_loss: the absolute error |x - y|, made of other ops.
 *
 * dx = sign(x - y) dloss, dy = -dx: both 0 at the kink, x = y. */
#include "common.h"

/* The absolute difference, differentiable in both. x, target: one float
 * dtype, one shape. Result: [] for the mean (NaN of nothing) and the sum, x's
 * shape for RILL_NONE. Errors: those of every op; int32 or mixed dtypes;
 * shapes that differ; an unknown reduction. */
rill_tensor *rill_l1_loss(rill_tape *t, const rill_tensor *x,
                          const rill_tensor *target,
                          const rill_loss_opts *opts)
{
    static const char op[] = "l1_loss";
    if (!rill_loss_inputs(t, op, "x", x, target))
        return NULL;
    rill_tensor *losses = rill_abs(t, rill_sub(t, x, target));
    return rill_reduce_loss(t, op, losses, opts ? opts->reduction : RILL_MEAN);
}
