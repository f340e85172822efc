/* gradients.c: the gradients of a set, on a tape or accumulated: the sums
 * that the set keeps, and clipping.
 *
 * Only gradients that an optimiser would use take part. On a tape a clipped
 * copy takes the gradient's place, since what a rule returned is never written
 * to; sums are the set's own and are clipped where they lie. */

/* accumulate: s0 says whether there is something in sum. clip: g times s0,
 * then cut to [-s1, s1]; NaN passes through. */
#define MAPS                                        \
    MAP2(accumulate, g, sum, s0 == 0 ? g : sum + g) \
    MAP1(clip, g, s0 * g > s1 ? s1 : s0 * g < -s1 ? -s1 : s0 * g)
#include "nn_internal.h"

/* y from g, y as it is, and two numbers. */
static void gradient_map(__typeof__(&clip_kernels[0]) kernels, rill_tensor *y,
                         const rill_tensor *g, double s0, double s1)
{
    void *to = rill_write(y);
    kernels[rill_isa_best()][rill_dtype_of(g)](
        to, (const void *[]){ rill_data(g), to }, (size_t)rill_numel(g),
        (const double[]){ s0, s1 });
}

rill_tensor *rill_params_gradient(const rill_params *p, rill_tape *t, int i)
{
    const struct rill_param *a = &p->at[i];
    if (rill_variable_frozen(a->w))
        return NULL;
    return t ? rill_grad(t, a->w) : a->summed ? a->sum : NULL;
}

bool rill_params_learn(const rill_params *p, rill_tape *t, rill_tape *home,
                       const char *who)
{
    if (!rill_nn_well(t, rill_params_error(p)) || (t && rill_error(t)))
        return false;
    for (int i = 0; i < p->n; i++)
        if (rill_params_gradient(p, t, i))
            return true;
    rill_fail(home, "%s: there is no gradient: call %s first", who,
              t ? "rill_backward" : "rill_params_accumulate");
    return rill_nn_well(t, rill_error(home));
}

/* Adds the gradients on t to the sums that the set keeps, so that t can be
 * reset; rill_optim_step without a tape uses them up. False, and nothing is
 * changed, with an error on the set and on t: either has failed, t holds no
 * gradient of the set, no memory. */
bool rill_params_accumulate(rill_params *p, rill_tape *t)
{
    if (p && !t)
        rill_fail(p->home, "accumulate: the tape is NULL");
    if (!rill_params_learn(p, t, p ? p->home : NULL, "accumulate"))
        return false;
    for (int i = 0; i < p->n; i++) {
        struct rill_param *a = &p->at[i];
        if (!a->sum && rill_params_gradient(p, t, i))
            a->sum = rill_like(p->home, a->w);
    }
    if (!rill_nn_well(t, rill_params_error(p)))
        return false;
    for (int i = 0; i < p->n; i++) {
        struct rill_param *a = &p->at[i];
        const rill_tensor *g = rill_params_gradient(p, t, i);
        if (g)
            gradient_map(accumulate_kernels, a->sum, g, a->summed, 0);
        a->summed |= g != NULL;
    }
    return true;
}

/* The sum of gradients kept for w, a parameter of the set; NULL where there
 * is none. It changes with the next rill_params_accumulate. */
const rill_tensor *rill_params_grad(const rill_params *p,
                                    const rill_tensor *w)
{
    for (int i = 0; i < rill_params_len(p); i++)
        if (p->at[i].w == w && p->at[i].summed)
            return p->at[i].sum;
    return NULL;
}

/* ---- clipping ----------------------------------------------------------- */

static bool clip_usable(rill_params *p, rill_tape *t, const char *who,
                        const char *name, double limit)
{
    if (!rill_params_learn(p, t, p ? p->home : NULL, who))
        return false;
    if (limit != INFINITY)
        rill_nn_within(p->home, who, name, limit, INFINITY);
    return rill_nn_well(t, rill_error(p->home));
}

static bool clip_all(rill_params *p, rill_tape *t, double scale, double limit)
{
    for (int i = 0; i < p->n; i++) {
        rill_tensor *g = rill_params_gradient(p, t, i);
        rill_tensor *y = t && g ? rill_like(t, g) : g;
        if (y)
            gradient_map(clip_kernels, y, g, scale, limit);
        if (t && g && !rill_set_grad(t, p->at[i].w, y))
            return false;
    }
    return true;
}

static double clip_norm(rill_params *p, rill_tape *t, const char *who,
                        double max_norm, bool largest)
{
    double squares = 0, most = 0;
    if (!clip_usable(p, t, who, "max_norm", max_norm))
        return NAN;
    for (int i = 0; i < p->n; i++) {
        const rill_tensor *g = rill_params_gradient(p, t, i);
        for (int64_t k = 0; k < rill_numel(g); k++) {
            double v = fabs(rill_at(g, k));
            squares += v * v;
            most = v > most || isnan(v) ? v : most;
        }
    }
    double total = largest ? most : sqrt(squares);
    /* as PyTorch does: a little below max_norm */
    double scale = max_norm / (total + 1e-6);
    bool ok = isinf(max_norm) || scale >= 1 || clip_all(p, t, scale, INFINITY);
    return ok ? total : NAN;
}

/* Scales the gradients so that the Euclidean norm of all of them together is
 * at most max_norm, and returns what it was (infinity as max_norm measures
 * only). Those on t, or with t NULL those accumulated. NaN with an error, on t
 * too: max_norm is negative or NaN, there is no gradient, or set or tape has
 * failed. A norm that is not finite spreads, as it does in PyTorch. */
double rill_clip_grad_norm(rill_params *p, rill_tape *t, double max_norm)
{
    return clip_norm(p, t, "clip_grad_norm", max_norm, false);
}

/* The same by the largest magnitude of any element. */
double rill_clip_grad_norm_inf(rill_params *p, rill_tape *t, double max_norm)
{
    return clip_norm(p, t, "clip_grad_norm_inf", max_norm, true);
}

/* Cuts every element of the gradients to [-max_value, max_value]; of which
 * gradients, and the errors, as for rill_clip_grad_norm. */
bool rill_clip_grad_value(rill_params *p, rill_tape *t, double max_value)
{
    return clip_usable(p, t, "clip_grad_value", "max_value", max_value) &&
           clip_all(p, t, 1, max_value);
}
