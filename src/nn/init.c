/* init.c: first values of parameters, drawn from the set's generator.
 *
 * Draws are made in the order of calls, one a uniform number and two a normal
 * one, whatever the dtype: the same seed gives the same network. The fans are
 * PyTorch's: a weight is [out, in, ...]. */
#include "nn_internal.h"

#include <math.h>

static bool init_usable(rill_params *p, const char *who, const rill_tensor *w)
{
    if (rill_params_error(p))
        return false;
    if (!w)
        return rill_fail(p->home, "%s: w is NULL", who);
    if (rill_params_index(p, w) < 0)
        return rill_fail(p->home, "%s: w is not a parameter of this set", who);
    return true;
}

static bool init_finite(rill_params *p, const char *who, const char *name,
                        double value)
{
    return isfinite(value) ||
           rill_fail(p->home, "%s: %s is not finite", who, name);
}

static void init_set(void *data, rill_dtype dtype, int64_t i, double v)
{
    if (dtype == RILL_F32)
        ((float *)data)[i] = (float)v;
    else
        ((double *)data)[i] = v;
}

/* float32's draws are cut to 24 bits, as rill_uniform's are: rounding never
 * reaches high. */
static bool init_draw_uniform(rill_params *p, rill_tensor *w, double low,
                              double high)
{
    void *data = rill_variable_write(w);
    for (int64_t i = 0; i < rill_numel(w); i++) {
        double u = rill_rng_uniform(&p->rng);
        if (p->dtype == RILL_F32)
            u = floor(u * 0x1p24) * 0x1p-24;
        init_set(data, p->dtype, i, low + (high - low) * u);
    }
    return true;
}

static bool init_draw_normal(rill_params *p, rill_tensor *w, double mean,
                             double std)
{
    void *data = rill_variable_write(w);
    for (int64_t i = 0; i < rill_numel(w); i++)
        init_set(data, p->dtype, i, mean + std * rill_rng_normal(&p->rng));
    return true;
}

/* Every element the same; any value. w: a parameter of the set, here and
 * below. Errors go to the set. */
bool rill_init_constant(rill_params *p, rill_tensor *w, double value)
{
    if (!init_usable(p, "init_constant", w))
        return false;
    void *data = rill_variable_write(w);
    for (int64_t i = 0; i < rill_numel(w); i++)
        init_set(data, p->dtype, i, value);
    return true;
}

/* Uniform in [low, high). Error: not a range of finite numbers. */
bool rill_init_uniform(rill_params *p, rill_tensor *w, double low,
                       double high)
{
    if (!init_usable(p, "init_uniform", w))
        return false;
    if (!(low <= high) || !isfinite(low) || !isfinite(high))
        return rill_fail(p->home, "init_uniform: [%g, %g) is not a range",
                         low, high);
    return init_draw_uniform(p, w, low, high);
}

/* Normal. Errors: mean or std is not finite, std is negative. */
bool rill_init_normal(rill_params *p, rill_tensor *w, double mean, double std)
{
    const char *who = "init_normal";
    if (!init_usable(p, who, w) || !init_finite(p, who, "mean", mean) ||
        !init_finite(p, who, "std", std))
        return false;
    if (std < 0)
        return rill_fail(p->home, "%s: std %g is negative", who, std);
    return init_draw_normal(p, w, mean, std);
}

/* The standard deviation of Xavier's (value: the gain) or Kaiming's (value:
 * the slope) initialiser for w. */
static bool init_std(rill_params *p, const char *who, const rill_tensor *w,
                     bool xavier, double value, double *std)
{
    if (!init_usable(p, who, w) ||
        !init_finite(p, who, xavier ? "gain" : "slope", value))
        return false;
    if (xavier && value < 0)
        return rill_fail(p->home, "%s: gain %g is negative", who, value);
    if (rill_ndim(w) < 2)
        return rill_fail(p->home, "%s: \"%s\" has %d dimensions: [out, in] "
                         "is wanted", who, rill_name(w), rill_ndim(w));
    double in = (double)rill_dim(w, 1), out = (double)rill_dim(w, 0);
    for (int d = 2; d < rill_ndim(w); d++) {
        in *= (double)rill_dim(w, d);
        out *= (double)rill_dim(w, d);
    }
    *std = xavier ? value * sqrt(2 / (in + out))
                  : sqrt(2 / (1 + value * value) / in);
    return true;
}

/* Uniform of standard deviation gain sqrt(2 / (in + out)) (Glorot and Bengio,
 * 2010). Errors: fewer than two dimensions, a gain that is negative or not
 * finite. */
bool rill_init_xavier_uniform(rill_params *p, rill_tensor *w, double gain)
{
    double std;
    return init_std(p, "init_xavier_uniform", w, true, gain, &std) &&
           init_draw_uniform(p, w, -sqrt(3) * std, sqrt(3) * std);
}

/* The same, normal. */
bool rill_init_xavier_normal(rill_params *p, rill_tensor *w, double gain)
{
    double std;
    return init_std(p, "init_xavier_normal", w, true, gain, &std) &&
           init_draw_normal(p, w, 0, std);
}

/* Uniform of standard deviation sqrt(2 / (1 + slope^2) / in) (He et al.,
 * 2015), slope being that of the leaky relu that follows, 0 for a relu.
 * Errors: fewer than two dimensions, a slope that is not finite. */
bool rill_init_kaiming_uniform(rill_params *p, rill_tensor *w, double slope)
{
    double std;
    return init_std(p, "init_kaiming_uniform", w, false, slope, &std) &&
           init_draw_uniform(p, w, -sqrt(3) * std, sqrt(3) * std);
}

/* The same, normal. */
bool rill_init_kaiming_normal(rill_params *p, rill_tensor *w, double slope)
{
    double std;
    return init_std(p, "init_kaiming_normal", w, false, slope, &std) &&
           init_draw_normal(p, w, 0, std);
}
