/* l1_loss: the absolute error |x - y|, made of other ops.
 *
 * dx = sign(x - y) dloss, dy = -dx: both 0 at the kink, x = y. */
#include "common.h"

/* The absolute difference. Inputs, result and errors: as mse_loss. */
rill_tensor *rill_l1_loss(rill_tape *t, const rill_tensor *x,
                          const rill_tensor *target,
                          const rill_loss_opts *opts)
{
    rill_tensor *d = rill_loss_difference(t, "l1_loss", x, target);
    return rill_reduce_loss(t, "l1_loss", rill_abs(t, d), opts);
}
