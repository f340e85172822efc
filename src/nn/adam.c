/* adam: m and v are running means of d and d^2, for d = g + weight_decay w;
 *
 * w -= lr m' / (sqrt(v') + eps), m' = m / (1 - beta1^t) and v' = v / (1 -
 * beta2^t) undoing that both start as 0; t counts the parameter's own steps.
 * adamw: d = g, and w -= lr weight_decay w beforehand. */
#ifdef REAL

static void FN(adam)(const rill_update *u, const void *attrs)
{
    const adam_attrs *o = attrs;
    const double correct1 = 1 - pow(o->beta1, u->step);
    const double correct2 = 1 - pow(o->beta2, u->step);
    const REAL rate = (REAL)(u->lr / correct1);
    const REAL unbias = (REAL)(1 / sqrt(correct2));
    const REAL mix1 = (REAL)(1 - o->beta1), mix2 = (REAL)(1 - o->beta2);
    const REAL keep2 = (REAL)o->beta2, eps = (REAL)o->eps;
    const REAL decay = (REAL)(o->decoupled ? 0 : u->weight_decay);
    const REAL keep = (REAL)(o->decoupled ? 1 - u->lr * u->weight_decay : 1);
    const REAL *g = u->g;
    REAL *w = u->w, *m = u->state[0], *v = u->state[1];
    SIMD for (size_t i = 0; i < u->n; i++) {
        REAL d = g[i] + decay * w[i];
        REAL m1 = m[i] + mix1 * (d - m[i]);
        REAL v1 = keep2 * v[i] + mix2 * d * d;
        m[i] = m1;
        v[i] = v1;
        w[i] = keep * w[i] - rate * m1 / ((REAL)sqrt(v1) * unbias + eps);
    }
}

#else
#include "nn_internal.h"

typedef struct {
    double beta1, beta2, eps;
    bool decoupled; /* adamw's weight decay */
} adam_attrs;

#define KERNEL_FILE "../nn/adam.c"
#include "../tensor/each_kernel.h"

KERNELS(adam)

static rill_optim *adam_new(rill_params *p, const char *name,
                            const rill_adam_opts *opts, bool decoupled)
{
    static const rill_adam_opts none = { 0 };
    const rill_adam_opts *s = opts ? opts : &none;
    adam_attrs a = { s->betas ? s->betas[0] : 0.9,
                     s->betas ? s->betas[1] : 0.999,
                     s->eps == 0 ? 1e-8 : s->eps, decoupled };
    rill_optim *o = rill_optim_new(
        p, &(rill_optim_plan){ .name = name,
                               .kernels = adam_kernels[rill_isa_best()],
                               .states = 2, .lr = s->lr,
                               .weight_decay = s->weight_decay, .attrs = &a,
                               .attrs_size = sizeof a });
    rill_optim_below_one(o, "betas[0]", a.beta1);
    rill_optim_below_one(o, "betas[1]", a.beta2);
    rill_optim_not_negative(o, "eps", a.eps);
    return o;
}

/* Adam (Kingma and Ba, 2015), PyTorch's: weight_decay is added to the
 * gradient. opts: lr is required, betas NULL are 0.9 and 0.999, eps 0 is
 * 1e-8. Errors, the optimiser's: lr is 0, a value is negative or not finite,
 * a beta is not in [0, 1), p is NULL. NULL when memory ran out. */
rill_optim *rill_adam_new(rill_params *p, const rill_adam_opts *opts)
{
    return adam_new(p, "adam", opts, false);
}

/* AdamW (Loshchilov and Hutter, 2019), PyTorch's: weight_decay shrinks the
 * parameter itself; 0 is none. Options and errors as for rill_adam_new. */
rill_optim *rill_adamw_new(rill_params *p, const rill_adamw_opts *opts)
{
    return adam_new(p, "adamw", opts, true);
}

#endif
