/* schedules.c: the learning rate as a function of the step, counted from 0.
 *
 * Nothing is kept: a program asks for a step's rate and hands it to
 * rill_optim_set_lr, which refuses the NaN that arguments without a meaning
 * give, such as a negative step. Past its end a schedule stays there. */
#include "nn.h"

#include <math.h>

/* From one rate to another in so many steps, straight or as half a cosine. */
static double lr_ramp(double from, double to, double step, double steps,
                      bool cosine)
{
    double done = step < steps ? step / steps : 1;
    if (step < 0 || steps < 0)
        done = NAN;
    if (cosine)
        done = (1 - cos(3.14159265358979323846 * done)) / 2;
    return (1 - done) * from + done * to;
}

/* lr gamma^n, n one more every step_size (at least 1) steps (StepLR). */
double rill_lr_step(double lr, int64_t step, int64_t step_size, double gamma)
{
    if (step < 0 || step_size < 1)
        return NAN;
    return lr * pow(gamma, (double)(step / step_size));
}

/* lr gamma^step (ExponentialLR). */
double rill_lr_exponential(double lr, int64_t step, double gamma)
{
    return rill_lr_step(lr, step, 1, gamma);
}

/* From lr down to lr_min, reached at `steps`, at least 1, along half a cosine
 * (CosineAnnealingLR of T_max steps, which would then rise again). */
double rill_lr_cosine(double lr, int64_t step, int64_t steps, double lr_min)
{
    if (steps < 1)
        return NAN;
    return lr_ramp(lr, lr_min, (double)step, (double)steps, true);
}

/* From lr start_factor straight up to lr at `steps`, 0 or more (LinearLR). */
double rill_lr_warmup(double lr, int64_t step, int64_t steps,
                      double start_factor)
{
    return lr_ramp(lr * start_factor, lr, (double)step, (double)steps, false);
}

/* Up to lr_max over the first pct_start, in [0, 1], of the steps, at least 1,
 * then down, the last one being steps - 1 (PyTorch's OneCycleLR of two
 * phases; Smith and Topin, 2018). It starts at lr_max / div_factor and ends
 * at final_div_factor below that. opts may be NULL. */
double rill_lr_one_cycle(double lr_max, int64_t step, int64_t steps,
                         const rill_one_cycle_opts *opts)
{
    const rill_one_cycle_opts o = opts ? *opts : (rill_one_cycle_opts){ 0 };
    double share = o.pct_start == 0 ? 0.3 : o.pct_start;
    double first = lr_max / (o.div_factor == 0 ? 25 : o.div_factor);
    double last = first / (o.final_div_factor == 0 ? 1e4 : o.final_div_factor);
    if (step < 0 || steps < 1 || !(share >= 0 && share <= 1))
        return NAN;
    double peak = share * (double)steps - 1, end = (double)steps - 1;
    double at = fmin((double)step, end);
    if (at <= peak)
        return lr_ramp(first, lr_max, at, peak, !o.linear);
    return lr_ramp(lr_max, last, at - peak, end - peak, !o.linear);
}
