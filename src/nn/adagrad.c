/* adagrad: s += d^2, for d = g + weight_decay w;
 *
 * w -= lr / (1 + (t - 1) lr_decay) d / (sqrt(s) + eps). s starts as the
 * initial accumulator; t counts the parameter's own steps. */
#ifdef REAL

static void FN(adagrad)(const rill_update *u, const void *attrs)
{
    const rill_adagrad_opts *o = attrs;
    const REAL lr = (REAL)(u->lr / (1 + (u->step - 1) * o->lr_decay));
    const REAL decay = (REAL)u->weight_decay, eps = (REAL)o->eps;
    const REAL *g = u->g;
    REAL *w = u->w, *s = u->state[0];
    SIMD for (size_t i = 0; i < u->n; i++) {
        REAL d = g[i] + decay * w[i];
        s[i] += d * d;
        w[i] -= lr * d / ((REAL)sqrt(s[i]) + eps);
    }
}

#else
#include "nn_internal.h"
#define KERNEL_FILE "../nn/adagrad.c"
#include "../tensor/each_kernel.h"

KERNELS(adagrad)

/* Adagrad (Duchi, Hazan and Singer, 2011), PyTorch's. opts: lr is required,
 * eps 0 is 1e-10. Errors, the optimiser's: lr is 0, a value is negative or
 * not finite, p is NULL. NULL when memory ran out. */
rill_optim *rill_adagrad_new(rill_params *p, const rill_adagrad_opts *opts)
{
    rill_adagrad_opts s = { 0 };
    if (opts)
        s = *opts;
    if (s.eps == 0)
        s.eps = 1e-10;
    rill_optim *o = rill_optim_new(
        p, &(rill_optim_plan){ .name = "adagrad",
                               .kernels = adagrad_kernels[rill_isa_best()],
                               .states = 1, .initial = s.initial_accumulator,
                               .lr = s.lr, .weight_decay = s.weight_decay,
                               .attrs = &s, .attrs_size = sizeof s });
    rill_optim_not_negative(o, "lr_decay", s.lr_decay);
    rill_optim_not_negative(o, "initial_accumulator", s.initial_accumulator);
    rill_optim_not_negative(o, "eps", s.eps);
    return o;
}

#endif
