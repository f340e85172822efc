/* init.c: first values of parameters, drawn from the set's generator.
 *
 * Draws are made in the order of calls, one a uniform number and two a normal
 * one, whatever the dtype: the same seed gives the same network. The fans are
 * PyTorch's: a weight is [out, in, ...]. A w that is no parameter of the set
 * is, like any refused argument, the set's error and stays as it is. */
#include "nn_internal.h"

#include <math.h>

/* w, and a value that is refused outside [0, inf). */
static bool init_usable(rill_params *p, const char *who, const rill_tensor *w,
                        const char *name, double value)
{
    if (rill_params_error(p))
        return false;
    if (!w || rill_params_find(p, rill_name(w)) != w)
        return rill_fail(p->home, "%s: w is not a parameter of this set", who);
    return rill_nn_within(p->home, who, name, value, INFINITY);
}

/* Each element start + spread u, for u drawn anew; draw NULL: start. */
static bool init_fill(rill_params *p, rill_tensor *w, double start,
                      double spread, double (*draw)(rill_rng *))
{
    void *data = rill_write(w);
    for (int64_t i = 0; i < rill_numel(w); i++) {
        double u = draw ? draw(&p->rng) : 0;
        /* cut to 24 bits as rill_uniform's: rounding never reaches 1 */
        if (draw == rill_rng_uniform && p->dtype == RILL_F32)
            u = floor(u * 0x1p24) * 0x1p-24;
        if (p->dtype == RILL_F32)
            ((float *)data)[i] = (float)(start + spread * u);
        else
            ((double *)data)[i] = start + spread * u;
    }
    return true;
}

/* Every element the same; any value. */
bool rill_init_constant(rill_params *p, rill_tensor *w, double value)
{
    return init_usable(p, "init_constant", w, "", 0) &&
           init_fill(p, w, value, 0, NULL);
}

/* Uniform in [low, high), finite numbers. */
bool rill_init_uniform(rill_params *p, rill_tensor *w, double low,
                       double high)
{
    return init_usable(p, "init_uniform", w, "high - low", high - low) &&
           init_fill(p, w, low, high - low, rill_rng_uniform);
}

/* Normal, of a finite mean and a standard deviation that may be 0. */
bool rill_init_normal(rill_params *p, rill_tensor *w, double mean, double std)
{
    return init_usable(p, "init_normal", w, "std", std) &&
           init_usable(p, "init_normal", w, "|mean|", fabs(mean)) &&
           init_fill(p, w, mean, std, rill_rng_normal);
}

/* Xavier's (value: the gain) or Kaiming's (value: the slope). */
static bool init_by_fans(rill_params *p, const char *who, rill_tensor *w,
                         bool xavier, double value, bool uniform)
{
    if (!init_usable(p, who, w, xavier ? "gain" : "|slope|",
                     xavier ? value : fabs(value)))
        return false;
    if (rill_ndim(w) < 2)
        return rill_fail(p->home, "%s: \"%s\" has %d dimensions: [out, in] "
                         "is wanted", who, rill_name(w), rill_ndim(w));
    double n = (double)rill_numel(w);
    double in = n / (double)rill_dim(w, 0), out = n / (double)rill_dim(w, 1);
    double std = xavier ? value * sqrt(2 / (in + out))
                        : sqrt(2 / (1 + value * value) / in);
    if (uniform)
        return init_fill(p, w, -sqrt(3) * std, 2 * sqrt(3) * std,
                         rill_rng_uniform);
    return init_fill(p, w, 0, std, rill_rng_normal);
}

#define INIT(name, xavier, uniform)                                  \
    bool rill_##name(rill_params *p, rill_tensor *w, double value)   \
    {                                                                \
        return init_by_fans(p, #name, w, xavier, value, uniform);    \
    }

/* Of standard deviation gain sqrt(2 / (in + out)) (Glorot and Bengio, 2010).
 * w: two dimensions or more; gain: finite, not negative. */
INIT(init_xavier_uniform, true, true)
INIT(init_xavier_normal, true, false)

/* Of standard deviation sqrt(2 / (1 + slope^2) / in) (He et al., 2015), slope
 * being that of the leaky relu that follows, 0 for a relu. w: two dimensions
 * or more; slope: finite. */
INIT(init_kaiming_uniform, false, true)
INIT(init_kaiming_normal, false, false)
