/* sgd.c: sgd, and the two that divide its gradient by a root mean square:
 * rmsprop and adagrad. With d = g + weight_decay w,
 *
 *     rmsprop     s = alpha s + (1 - alpha) d^2, d = d / (sqrt(s) + eps)
 *     adagrad     s = s + d^2,                   d = d / (sqrt(s) + eps)
 *     momentum    b = momentum b + d, d = b; Nesterov's d = d + momentum b
 *     all         w = w - lr d
 *
 * where adagrad's lr is lr / (1 + (t - 1) lr_decay) at the parameter's own
 * step t. b and s start as 0, adagrad's s as the initial accumulator. */
#ifdef REAL
static void FN(sgd)(const rill_update *u)
{
    const rill_option *o = u->option;
    const double alpha = o[ALPHA].value;
    const REAL lr = (REAL)(u->lr / (1 + (u->step - 1) * o[LR_DECAY].value));
    const REAL keep = (REAL)alpha, mix = (REAL)(alpha < 1 ? 1 - alpha : 1);
    const REAL decay = (REAL)u->weight_decay, eps = (REAL)o[EPS].value;
    const REAL momentum = (REAL)o[MOMENTUM].value;
    const bool nesterov = o[NESTEROV].value != 0;
    const REAL *g = u->g;
    REAL *w = u->w, *b = u->state[0], *s = u->state[1];
    SIMD for (size_t i = 0; i < u->n; i++) {
        REAL d = g[i] + decay * w[i];
        if (s) {
            s[i] = keep * s[i] + mix * d * d;
            d /= (REAL)sqrt(s[i]) + eps;
        }
        if (b) {
            b[i] = momentum * b[i] + d;
            d = nesterov ? d + momentum * b[i] : b[i];
        }
        w[i] -= lr * d;
    }
}

#else
enum { MOMENTUM, NESTEROV, ALPHA, EPS, LR_DECAY, CHECK };

#define KERNEL_FILE "../nn/sgd.c"
#include "nn_internal.h"

KERNELS(sgd)

/* Stochastic gradient descent, PyTorch's; momentum 0 is none. Errors, the
 * optimiser's, of this and all others: lr is 0 (or opts NULL), a number is
 * negative or not finite, p is NULL; here also: nesterov without momentum. */
rill_optim *rill_sgd_new(rill_params *p, const rill_sgd_opts *opts)
{
    const rill_sgd_opts s = opts ? *opts : (rill_sgd_opts){ 0 };
    return rill_optim_new(p, &(rill_optim_plan){
        .name = "sgd", .kernels = sgd_kernels[rill_isa_best()], .lr = s.lr,
        .weight_decay = s.weight_decay, .wants = { s.momentum > 0, false },
        .option = { [MOMENTUM] = { "momentum", s.momentum, INFINITY },
                    [NESTEROV] = { "nesterov", s.nesterov, INFINITY },
                    [CHECK] = { "nesterov without momentum",
                                s.nesterov && s.momentum == 0, 1 } } });
}

/* RMSprop (Tieleman and Hinton, 2012), PyTorch's. alpha 0 is 0.99, eps 0 is
 * 1e-8. Errors as for rill_sgd_new; also: alpha is not in [0, 1). */
rill_optim *rill_rmsprop_new(rill_params *p, const rill_rmsprop_opts *opts)
{
    const rill_rmsprop_opts s = opts ? *opts : (rill_rmsprop_opts){ 0 };
    return rill_optim_new(p, &(rill_optim_plan){
        .name = "rmsprop", .kernels = sgd_kernels[rill_isa_best()],
        .lr = s.lr, .weight_decay = s.weight_decay,
        .wants = { s.momentum > 0, true },
        .option = { [ALPHA] = { "alpha", s.alpha == 0 ? 0.99 : s.alpha, 1 },
                    [EPS] = { "eps", s.eps == 0 ? 1e-8 : s.eps, INFINITY },
                    [MOMENTUM] = { "momentum", s.momentum, INFINITY } } });
}

/* Adagrad (Duchi, Hazan and Singer, 2011), PyTorch's. eps 0 is 1e-10. */
rill_optim *rill_adagrad_new(rill_params *p, const rill_adagrad_opts *opts)
{
    const rill_adagrad_opts s = opts ? *opts : (rill_adagrad_opts){ 0 };
    return rill_optim_new(p, &(rill_optim_plan){
        .name = "adagrad", .kernels = sgd_kernels[rill_isa_best()],
        .lr = s.lr, .weight_decay = s.weight_decay, .wants = { false, true },
        .initial = s.initial_accumulator,
        .option = { [ALPHA] = { "alpha", 1, INFINITY }, /* a sum, no mean */
                    [EPS] = { "eps", s.eps == 0 ? 1e-10 : s.eps, INFINITY },
                    [LR_DECAY] = { "lr_decay", s.lr_decay, INFINITY },
                    [CHECK] = { "initial_accumulator", s.initial_accumulator,
                                INFINITY } } });
}

#endif
