/* clip.c: gradients made smaller, on a tape or where they were accumulated.
 *
 * On a tape a clipped copy takes the gradient's place, since what a rule
 * returned is never written to; sums are the set's own and are clipped where
 * they lie. Only gradients that an optimiser would use take part. */
#include "nn_internal.h"

#include <math.h>

/* Elementwise g scale, then cut to [-limit, limit]; NaN passes through. */
static void clip_in_place(rill_tensor *g, double scale, double limit)
{
    int64_t n = rill_numel(g);
    if (rill_dtype_of(g) == RILL_F32) {
        float *x = rill_write(g), s = (float)scale, most = (float)limit;
        for (int64_t i = 0; i < n; i++) {
            float y = s * x[i];
            x[i] = y > most ? most : y < -most ? -most : y;
        }
    } else {
        double *x = rill_write(g);
        for (int64_t i = 0; i < n; i++) {
            double y = scale * x[i];
            x[i] = y > limit ? limit : y < -limit ? -limit : y;
        }
    }
}

/* By a scale, or else by a limit: the other one is 1, or infinite. */
static bool clip_all(rill_params *p, rill_tape *t, double scale, double limit)
{
    bool ok = true, was_recording = rill_tape_record(t, false);
    for (int i = 0; ok && i < p->n; i++) {
        rill_tensor *g = rill_params_gradient(p, t, i);
        if (g && !t)
            clip_in_place(g, scale, limit);
        else if (g)
            ok = rill_set_grad(t, p->at[i].w,
                               isinf(limit)
                                   ? rill_scale(t, g, scale)
                                   : rill_clamp(t, g, -limit, limit));
    }
    rill_tape_record(t, was_recording);
    return ok;
}

static bool clip_usable(rill_params *p, rill_tape *t, const char *who,
                        const char *argument, double most)
{
    if (!rill_params_learn(p, t, p ? p->home : NULL, who))
        return false;
    if (most >= 0)
        return true;
    rill_fail(p->home, isnan(most) ? "%s: %s is not a number"
                                   : "%s: %s %g is negative",
              who, argument, most);
    return rill_nn_tell(t, rill_error(p->home));
}

static double clip_largest(const rill_tensor *g)
{
    double most = 0;
    for (int64_t i = 0; i < rill_numel(g); i++) {
        double v = fabs(rill_at(g, i));
        if (v > most || isnan(v))
            most = v;
    }
    return most;
}

/* As PyTorch does, by max_norm / (total + 1e-6): a little below max_norm. */
static double clip_to(rill_params *p, rill_tape *t, double total,
                      double max_norm)
{
    double scale = max_norm / (total + 1e-6);
    if (isinf(max_norm) || scale >= 1)
        return total;
    return clip_all(p, t, scale, INFINITY) ? total : NAN;
}

/* Scales the gradients so that the Euclidean norm of all of them together is
 * at most max_norm, and returns what it was (infinity as max_norm measures
 * only). Those on t, or with t NULL those accumulated. NaN with an error,
 * which is put on t too: max_norm is negative or NaN, there is no gradient,
 * or set or tape has failed. A norm that is not finite spreads, as it does in
 * PyTorch. */
double rill_clip_grad_norm(rill_params *p, rill_tape *t, double max_norm)
{
    if (!clip_usable(p, t, "clip_grad_norm", "max_norm", max_norm))
        return NAN;
    double squares = 0;
    for (int i = 0; i < p->n; i++) {
        const rill_tensor *g = rill_params_gradient(p, t, i);
        double norm = g ? rill_norm(g) : 0;
        squares += norm * norm;
    }
    return clip_to(p, t, sqrt(squares), max_norm);
}

/* The same by the largest magnitude of any element. */
double rill_clip_grad_norm_inf(rill_params *p, rill_tape *t, double max_norm)
{
    if (!clip_usable(p, t, "clip_grad_norm_inf", "max_norm", max_norm))
        return NAN;
    double most = 0;
    for (int i = 0; i < p->n; i++) {
        const rill_tensor *g = rill_params_gradient(p, t, i);
        double largest = g ? clip_largest(g) : 0;
        if (largest > most || isnan(largest))
            most = largest;
    }
    return clip_to(p, t, most, max_norm);
}

/* Cuts every element of the gradients to [-max_value, max_value]; of which
 * gradients, and the errors, as for rill_clip_grad_norm. */
bool rill_clip_grad_value(rill_params *p, rill_tape *t, double max_value)
{
    return clip_usable(p, t, "clip_grad_value", "max_value", max_value) &&
           (isinf(max_value) || clip_all(p, t, 1, max_value));
}
