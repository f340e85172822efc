/* mse_loss: the squared error (x - y)^2, made of other ops.
 *
 * dx = 2 (x - y) dloss, dy = -dx. */
#include "common.h"

/* The squared difference, differentiable in both. x, target: one float dtype,
 * one shape. Result: [] for the mean (NaN of nothing) and the sum, x's shape
 * for RILL_NONE. Errors: those of every op; int32 or mixed dtypes; shapes
 * that differ; an unknown reduction. */
rill_tensor *rill_mse_loss(rill_tape *t, const rill_tensor *x,
                           const rill_tensor *target,
                           const rill_loss_opts *opts)
{
    rill_tensor *d = rill_loss_difference(t, "mse_loss", x, target);
    return rill_reduce_loss(t, "mse_loss", rill_square(t, d), opts);
}
