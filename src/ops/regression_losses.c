/* mse_loss, l1_loss, smooth_l1_loss and huber_loss: of the difference d = x -
 * y of prediction and target, made of other ops.
 *
 *     mse       = d^2             dx = 2 d dloss
 *     l1        = |d|             dx = sign(d) dloss, 0 at the kink, d = 0
 *     smooth_l1 = u (d - u beta / 2), u = d / beta clamped to [-1, 1]
 *     huber     = u (d - u / 2),      u = d clamped to [-delta, delta]
 *
 * For the last two, a parabola that turns into straight lines, dx = u dloss:
 * there is no kink, but the second derivative jumps where the lines begin.
 * dy = -dx for all. */
#include "common.h"

static rill_tensor *difference(rill_tape *t, const char *op,
                               const rill_tensor *x, const rill_tensor *target)
{
    return rill_loss_inputs(t, op, "x", x, target) ? rill_sub(t, x, target)
                                                   : NULL;
}

/* The squared difference, differentiable in both. x, target: one float dtype,
 * one shape. Result: [] for the mean (NaN of nothing) and the sum, x's shape
 * for RILL_NONE. Also errors: shapes that differ; an unknown reduction. */
rill_tensor *rill_mse_loss(rill_tape *t, const rill_tensor *x,
                           const rill_tensor *target,
                           const rill_loss_opts *opts)
{
    rill_tensor *d = difference(t, "mse_loss", x, target);
    return rill_reduce_loss(t, "mse_loss", rill_square(t, d), opts);
}

/* The absolute difference. Inputs, result and errors: as mse_loss. */
rill_tensor *rill_l1_loss(rill_tape *t, const rill_tensor *x,
                          const rill_tensor *target,
                          const rill_loss_opts *opts)
{
    rill_tensor *d = difference(t, "l1_loss", x, target);
    return rill_reduce_loss(t, "l1_loss", rill_abs(t, d), opts);
}

/* u (d - s u) */
static rill_tensor *parabola(rill_tape *t, const rill_tensor *d,
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
    rill_tensor *d = difference(t, op, x, target);
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
    return rill_reduce_loss(t, op, parabola(t, d, u, beta / 2), opts);
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
    rill_tensor *d = difference(t, op, x, target);
    if (!(delta > 0))
        return rill_fail(t, "%s: delta %g is not positive", op, delta);
    rill_tensor *u = rill_clamp(t, d, -delta, delta);
    return rill_reduce_loss(t, op, parabola(t, d, u, 0.5), opts);
}
