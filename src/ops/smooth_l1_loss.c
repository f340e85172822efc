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
 * beta 0 that is l1_loss. Differentiable in both. x, target: one float dtype,
 * one shape; beta: PyTorch's default is 1. Result: [] for the mean (NaN of
 * nothing) and the sum, x's shape for RILL_NONE. Errors: those of every op;
 * int32 or mixed dtypes; shapes that differ; a beta that is negative, NaN,
 * infinite or too small to divide by; an unknown reduction. Source: Girshick,
 * Fast R-CNN (2015). */
rill_tensor *rill_smooth_l1_loss(rill_tape *t, const rill_tensor *x,
                                 const rill_tensor *target, double beta,
                                 const rill_loss_opts *opts)
{
    static const char op[] = "smooth_l1_loss";
    if (!rill_loss_inputs(t, op, "x", x, target))
        return NULL;
    if (beta == 0)
        return rill_l1_loss(t, x, target, opts);
    bool divides = x->dtype == RILL_F32 ? isnormal((float)beta)
                                        : isnormal(beta);
    if (!(beta > 0 && divides))
        return rill_fail(t, "%s: beta %g is neither 0 nor a positive normal "
                         "%s", op, beta, rill_dtype_name(x->dtype));
    rill_tensor *d = rill_sub(t, x, target);
    rill_tensor *u = rill_clamp(t, rill_scale(t, d, 1 / beta), -1, 1);
    rill_tensor *losses = smooth_l1_loss_of(t, d, u, beta / 2);
    return rill_reduce_loss(t, op, losses, opts ? opts->reduction : RILL_MEAN);
}

/* d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = x - target.
 * Differentiable in both. x, target: one float dtype, one shape; delta:
 * PyTorch's default is 1. Result: as smooth_l1_loss. Errors: those of every
 * op; int32 or mixed dtypes; shapes that differ; a delta that is not
 * positive; an unknown reduction. Source: Huber, Robust estimation of a
 * location parameter (1964). */
rill_tensor *rill_huber_loss(rill_tape *t, const rill_tensor *x,
                             const rill_tensor *target, double delta,
                             const rill_loss_opts *opts)
{
    static const char op[] = "huber_loss";
    if (!rill_loss_inputs(t, op, "x", x, target))
        return NULL;
    if (!(delta > 0))
        return rill_fail(t, "%s: delta %g is not positive", op, delta);
    rill_tensor *d = rill_sub(t, x, target);
    rill_tensor *u = rill_clamp(t, d, -delta, delta);
    rill_tensor *losses = smooth_l1_loss_of(t, d, u, 0.5);
    return rill_reduce_loss(t, op, losses, opts ? opts->reduction : RILL_MEAN);
}
