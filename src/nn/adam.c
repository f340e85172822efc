/* adam: m and v are running means of d and d^2, for d = g + weight_decay w;
 *
 * w -= lr m' / (sqrt(v') + eps), m' = m / (1 - beta1^t) and v' = v / (1 -
 * beta2^t) undoing that both start as 0; t counts the parameter's own steps.
 * adamw: d = g, and w -= lr weight_decay w beforehand. */
#ifdef REAL
static void FN(adam)(const rill_update *u)
{
    const rill_option *o = u->option;
    const double beta1 = o[BETA1].value, beta2 = o[BETA2].value;
    const bool decoupled = o[DECOUPLED].value != 0;
    const REAL rate = (REAL)(u->lr / (1 - pow(beta1, u->step)));
    const REAL unbias = (REAL)(1 / sqrt(1 - pow(beta2, u->step)));
    const REAL mix1 = (REAL)(1 - beta1), mix2 = (REAL)(1 - beta2);
    const REAL keep2 = (REAL)beta2, eps = (REAL)o[EPS].value;
    const REAL decay = (REAL)(decoupled ? 0 : u->weight_decay);
    const REAL keep = (REAL)(decoupled ? 1 - u->lr * u->weight_decay : 1);
    const REAL *g = u->g;
    REAL *w = u->w, *m = u->state[0], *v = u->state[1];
    SIMD for (size_t i = 0; i < u->n; i++) {
        REAL d = g[i] + decay * w[i];
        m[i] += mix1 * (d - m[i]);
        v[i] = keep2 * v[i] + mix2 * d * d;
        w[i] = keep * w[i] - rate * m[i] / ((REAL)sqrt(v[i]) * unbias + eps);
    }
}

#else
enum { BETA1, BETA2, EPS, DECOUPLED };

#define KERNEL_FILE "../nn/adam.c"
#include "nn_internal.h"

KERNELS(adam)

static rill_optim *adam_new(rill_params *p, const char *name,
                            const rill_adam_opts *opts, bool decoupled)
{
    const rill_adam_opts s = opts ? *opts : (rill_adam_opts){ 0 };
    return rill_optim_new(p, &(rill_optim_plan){
        .name = name, .kernels = adam_kernels[rill_isa_best()], .lr = s.lr,
        .weight_decay = s.weight_decay, .wants = { true, true },
        .option = {
            [BETA1] = { "betas[0]", s.betas ? s.betas[0] : 0.9, 1 },
            [BETA2] = { "betas[1]", s.betas ? s.betas[1] : 0.999, 1 },
            [EPS] = { "eps", s.eps == 0 ? 1e-8 : s.eps, INFINITY },
            [DECOUPLED] = { "decoupled", decoupled, INFINITY } } });
}

/* Adam (Kingma and Ba, 2015), PyTorch's: weight_decay is added to the
 * gradient. betas NULL are 0.9 and 0.999, eps 0 is 1e-8. Errors as for
 * rill_sgd_new; also: a beta is not in [0, 1). */
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
