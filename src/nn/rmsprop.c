/* rmsprop: s is a running mean of d^2, for d = g + weight_decay w;
 *
 * w -= lr d / (sqrt(s) + eps). With momentum b = momentum b + d / (sqrt(s) +
 * eps), and w -= lr b. s and b start as 0. */
#ifdef REAL

static void FN(rmsprop)(const rill_update *u, const void *attrs)
{
    const rill_rmsprop_opts *o = attrs;
    const REAL lr = (REAL)u->lr, decay = (REAL)u->weight_decay;
    const REAL keep = (REAL)o->alpha, mix = (REAL)(1 - o->alpha);
    const REAL momentum = (REAL)o->momentum, eps = (REAL)o->eps;
    const REAL *g = u->g;
    REAL *w = u->w, *s = u->state[0], *b = u->state[1];
    if (!b) {
        SIMD for (size_t i = 0; i < u->n; i++) {
            REAL d = g[i] + decay * w[i];
            s[i] = keep * s[i] + mix * d * d;
            w[i] -= lr * d / ((REAL)sqrt(s[i]) + eps);
        }
        return;
    }
    SIMD for (size_t i = 0; i < u->n; i++) {
        REAL d = g[i] + decay * w[i];
        s[i] = keep * s[i] + mix * d * d;
        b[i] = momentum * b[i] + d / ((REAL)sqrt(s[i]) + eps);
        w[i] -= lr * b[i];
    }
}

#else
#include "nn_internal.h"
#define KERNEL_FILE "../nn/rmsprop.c"
#include "../tensor/each_kernel.h"

KERNELS(rmsprop)

/* RMSprop (Tieleman and Hinton, 2012), PyTorch's. opts: lr is required, alpha
 * 0 is 0.99, eps 0 is 1e-8. Errors, the optimiser's: lr is 0, a value is
 * negative or not finite, alpha is not in [0, 1), p is NULL. NULL when memory
 * ran out. */
rill_optim *rill_rmsprop_new(rill_params *p, const rill_rmsprop_opts *opts)
{
    rill_rmsprop_opts s = { 0 };
    if (opts)
        s = *opts;
    if (s.alpha == 0)
        s.alpha = 0.99;
    if (s.eps == 0)
        s.eps = 1e-8;
    rill_optim *o = rill_optim_new(
        p, &(rill_optim_plan){ .name = "rmsprop",
                               .kernels = rmsprop_kernels[rill_isa_best()],
                               .states = s.momentum > 0 ? 2 : 1, .lr = s.lr,
                               .weight_decay = s.weight_decay, .attrs = &s,
                               .attrs_size = sizeof s });
    rill_optim_below_one(o, "alpha", s.alpha);
    rill_optim_not_negative(o, "eps", s.eps);
    rill_optim_not_negative(o, "momentum", s.momentum);
    return o;
}

#endif
