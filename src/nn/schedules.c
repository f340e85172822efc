/* schedules.c: the learning rate as a function of the step, counted from 0.
 *
 * Nothing is kept: a program asks for a step's rate and hands it to
 * rill_optim_set_lr, which refuses the NaN that arguments without a meaning
 * give. Past its end a schedule stays where it ended. */
#include "nn_internal.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

/* lr gamma^n, n one more every step_size steps (PyTorch's StepLR). NaN for a
 * negative step and a step_size below 1. */
double rill_lr_step(double lr, int64_t step, int64_t step_size, double gamma)
{
    if (step < 0 || step_size < 1)
        return NAN;
    return lr * pow(gamma, (double)(step / step_size));
}

/* lr gamma^step (ExponentialLR). NaN for a negative step. */
double rill_lr_exponential(double lr, int64_t step, double gamma)
{
    return rill_lr_step(lr, step, 1, gamma);
}

/* From lr down to lr_min, reached at `steps`, along half a cosine
 * (CosineAnnealingLR with T_max steps, which would rise again past its end).
 * NaN for a negative step and steps below 1. */
double rill_lr_cosine(double lr, int64_t step, int64_t steps, double lr_min)
{
    if (step < 0 || steps < 1)
        return NAN;
    if (step >= steps)
        return lr_min;
    double angle = pi * (double)step / (double)steps;
    return lr_min + (lr - lr_min) * (1 + cos(angle)) / 2;
}

/* From lr start_factor straight up to lr, reached at `steps` (LinearLR); 0
 * steps are no warm-up. NaN for a negative step or steps. */
double rill_lr_warmup(double lr, int64_t step, int64_t steps,
                      double start_factor)
{
    if (step < 0 || steps < 0)
        return NAN;
    if (step >= steps)
        return lr;
    double done = (double)step / (double)steps;
    return lr * (start_factor + (1 - start_factor) * done);
}

/* Up to lr_max over the first pct_start of the steps, then down, the last
 * one being steps - 1 (PyTorch's OneCycleLR of two phases; Smith and Topin,
 * 2018). It starts at lr_max / div_factor and ends at final_div_factor below
 * that. opts may be NULL. NaN for a negative step, steps below 1, and a
 * pct_start outside [0, 1]. */
double rill_lr_one_cycle(double lr_max, int64_t step, int64_t steps,
                         const rill_one_cycle_opts *opts)
{
    static const rill_one_cycle_opts none = { 0 };
    const rill_one_cycle_opts *o = opts ? opts : &none;
    double share = o->pct_start == 0 ? 0.3 : o->pct_start;
    double first = lr_max / (o->div_factor == 0 ? 25 : o->div_factor);
    double last = first / (o->final_div_factor == 0 ? 1e4
                                                    : o->final_div_factor);
    if (step < 0 || steps < 1 || !(share >= 0 && share <= 1))
        return NAN;
    double peak = share * (double)steps - 1, end = (double)(steps - 1);
    double at = step < steps ? (double)step : end;
    bool up = at < peak;
    double from = up ? first : lr_max, to = up ? lr_max : last;
    double done = up ? at / peak : peak < end ? (at - peak) / (end - peak) : 0;
    if (!o->linear)
        done = (1 - cos(pi * done)) / 2;
    return from + (to - from) * done;
}
