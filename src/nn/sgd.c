/* sgd: w -= lr d, for d = g + weight_decay w.
 *
 * With momentum b = momentum b + d, and w -= lr b; Nesterov's looks ahead by
 * w -= lr (d + momentum b). b starts as 0. */
#ifdef REAL

static void FN(sgd)(const rill_update *u, const void *attrs)
{
    const rill_sgd_opts *o = attrs;
    const REAL lr = (REAL)u->lr, decay = (REAL)u->weight_decay;
    const REAL momentum = (REAL)o->momentum;
    const bool nesterov = o->nesterov;
    const REAL *g = u->g;
    REAL *w = u->w, *b = u->state[0];
    if (!b) {
        SIMD for (size_t i = 0; i < u->n; i++)
            w[i] -= lr * (g[i] + decay * w[i]);
        return;
    }
    SIMD for (size_t i = 0; i < u->n; i++) {
        REAL d = g[i] + decay * w[i];
        REAL v = momentum * b[i] + d;
        b[i] = v;
        w[i] -= lr * (nesterov ? d + momentum * v : v);
    }
}

#else
#include "nn_internal.h"
#define KERNEL_FILE "../nn/sgd.c"
#include "../tensor/each_kernel.h"

KERNELS(sgd)

/* Stochastic gradient descent, PyTorch's. opts: lr is required; momentum 0 is
 * none. Errors, the optimiser's: lr is 0, a value is negative or not finite,
 * nesterov without momentum, p is NULL. NULL when memory ran out. */
rill_optim *rill_sgd_new(rill_params *p, const rill_sgd_opts *opts)
{
    static const rill_sgd_opts none = { 0 };
    const rill_sgd_opts *s = opts ? opts : &none;
    rill_optim *o = rill_optim_new(
        p, &(rill_optim_plan){ .name = "sgd",
                               .kernels = sgd_kernels[rill_isa_best()],
                               .states = s->momentum > 0, .lr = s->lr,
                               .weight_decay = s->weight_decay, .attrs = s,
                               .attrs_size = sizeof *s });
    rill_optim_not_negative(o, "momentum", s->momentum);
    if (s->nesterov && s->momentum == 0)
        rill_optim_refuse(o, "nesterov needs momentum");
    return o;
}

#endif
