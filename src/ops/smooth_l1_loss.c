/* smooth_l1_loss and huber_loss: a parabola that turns into straight lines,
 * made of other ops. With d = x - y,
 *
 *     smooth_l1 = u (d - u beta / 2), u = d / beta clamped to [-1, 1]
 *     huber     = u (d - u / 2),      u = d clamped to [-delta, delta]
 *
 * and dx = u dloss, dy = -dx for both: there is no kink, but the second
 * derivative jumps where the lines begin. */
#include "common.h"

/* u (d - s u) */
static rill_tensor *smooth_l1_loss_of(rill_tape *t, const rill_tensor *d,
                                      const rill_tensor *u, double s)
{
    return rill_mul(t, u, rill_sub(t, d, rill_scale(t, u, s)));
}

/* d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, d = x - target; for
 * beta 0 that is l1_loss. beta: PyTorch's default is 1. Inputs, result and
 * errors: as mse_loss; also a beta that is negative, NaN, infinite or too
 * small to divide by. Source: Girshick, Fast R-CNN (2015). */
rill_tensor *rill_smooth_l1_loss(rill_tape *t, const rill_tensor *x,
                                 const rill_tensor *target, double beta,
                                 const rill_loss_opts *opts)
{
    static const char op[] = "smooth_l1_loss";
    rill_tensor *d = rill_loss_difference(t, op, x, target);
    if (!d)
        return NULL;
    if (beta == 0)
        return rill_reduce_loss(t, op, rill_abs(t, d), opts);
    bool divides = d->dtype == RILL_F32 ? isnormal((float)beta)
                                        : isnormal(beta);
    if (!(beta > 0 && divides))
        return rill_fail(t, "%s: beta %g is neither 0 nor a positive normal "
                         "%s", op, beta, rill_dtype_name(d->dtype));
    rill_tensor *u = rill_clamp(t, rill_scale(t, d, 1 / beta), -1, 1);
    return rill_reduce_loss(t, op, smooth_l1_loss_of(t, d, u, beta / 2), opts);
}

/* d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = x - target.
 * delta: PyTorch's default is 1. Inputs, result and errors: as mse_loss; also
 * a delta that is not positive. Source: Huber, Robust estimation of a
 * location parameter (1964). */
rill_tensor *rill_huber_loss(rill_tape *t, const rill_tensor *x,
                             const rill_tensor *target, double delta,
                             const rill_loss_opts *opts)
{
    static const char op[] = "huber_loss";
    rill_tensor *d = rill_loss_difference(t, op, x, target);
    if (!(delta > 0))
        return rill_fail(t, "%s: delta %g is not positive", op, delta);
    rill_tensor *u = rill_clamp(t, d, -delta, delta);
    return rill_reduce_loss(t, op, smooth_l1_loss_of(t, d, u, 0.5), opts);
}
