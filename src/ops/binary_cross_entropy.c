/* binary_cross_entropy: of probabilities p against targets y in [0, 1].
 *
 *     loss = -y ln p - (1 - y) ln(1 - p), each logarithm at least -100
 *     dp = dloss (p - y) / max(p (1 - p), 1e-12)
 *     dy = dloss (ln(1 - p) - ln p), clamped as above
 *
 * The clamp and the 1e-12 are PyTorch's: at p = 0 or 1 the loss stays finite
 * and the gradient of a mistake large. The form with logits is made of other
 * ops and needs neither: ln p is -softplus(-x), ln(1 - p) is -softplus(x).
 *
 *     loss = pos_weight y softplus(-x) + (1 - y) softplus(x)
 *
 * Weights are multiplied on before the reduction; gradients flow to them. */
#define AT_LEAST_M100(ln) ((ln) < -100 ? -100 : (ln)) /* keeps a NaN */
#define MAPS                                                               \
    MAP2(binary_cross_entropy, p, y, -y * AT_LEAST_M100(FN(math_log)(p)) - \
         (1 - y) * AT_LEAST_M100(FN(math_log1p)(-p)))
#include "common.h"

static RULE(binary_cross_entropy_backward)
{
    const rill_tensor *p = rill_node_input(n, 0), *y = rill_node_input(n, 1);
    rill_tensor *q = rill_rsub(t, p, 1);
    if (rill_node_wants(n, 0)) {
        rill_tensor *pq = rill_clamp(t, rill_mul(t, p, q), 1e-12, INFINITY);
        gx[0] = rill_mul(t, gy, rill_div(t, rill_sub(t, p, y), pq));
    }
    if (rill_node_wants(n, 1)) {
        rill_tensor *on = rill_clamp(t, rill_log(t, p), -100, INFINITY);
        rill_tensor *off = rill_clamp(t, rill_log(t, q), -100, INFINITY);
        gx[1] = rill_mul(t, gy, rill_sub(t, off, on));
    }
}

OP(binary_cross_entropy, "dp = dloss (p - y) / (p (1 - p))")

/* Whether inputs and weights fit: these do not broadcast x to a larger one. */
static bool binary_cross_entropy_fits(rill_tape *t, const char *op,
                                      const char *name, const rill_tensor *x,
                                      const rill_tensor *target,
                                      const rill_binary_cross_entropy_opts *o)
{
    const rill_tensor *w[] = { o->weight, o->pos_weight };
    static const char *const names[] = { "weight", "pos_weight" };
    if (!rill_loss_inputs(t, op, name, x, target))
        return false;
    for (int k = 0; k < 2; k++) {
        if (w[k] && !rill_usable_floats(t, op, name, x, names[k], w[k]))
            return false;
        if (w[k] && !rill_broadcasts(&w[k]->shape, &x->shape))
            return rill_fail(t, "%s: %s is %s, which does not broadcast to %s",
                             op, names[k], RILL_TEXT(w[k]), RILL_TEXT(x));
    }
    return true;
}

/* The cross entropy of probabilities, clamped as PyTorch's; for a network's
 * last layer the form with logits is exact. probs: any shape, a float dtype,
 * in [0, 1] (a NaN passes through); target: the same shape and dtype, [0, 1]
 * is meant but not checked; differentiable in both. weight broadcasts to
 * their shape. Result: [] for the mean (over all elements, weights or not;
 * NaN of nothing) and the sum, probs' shape for RILL_NONE. Also errors: a
 * probability out of [0, 1]; a pos_weight; an unknown reduction. */
rill_tensor *rill_binary_cross_entropy(
    rill_tape *t, const rill_tensor *probs, const rill_tensor *target,
    const rill_binary_cross_entropy_opts *opts)
{
    static const char op[] = "binary_cross_entropy";
    opts = opts ? opts : &(rill_binary_cross_entropy_opts){ 0 };
    if (!binary_cross_entropy_fits(t, op, "probs", probs, target, opts))
        return NULL;
    if (opts->pos_weight)
        return rill_fail(t, "%s: pos_weight is an option of "
                         "binary_cross_entropy_with_logits", op);
    for (int64_t i = 0; i < probs->numel; i++) {
        double p = rill_at(probs, i);
        if (p < 0 || p > 1)
            return rill_fail(t, "%s: %g at element %" PRId64 " of probs is "
                             "not in [0, 1]: for logits there is "
                             "binary_cross_entropy_with_logits", op, p, i);
    }
    rill_tensor *losses = rill_elementwise(
        t, &binary_cross_entropy_op, binary_cross_entropy_kernels,
        INPUTS(probs, target), NULL);
    if (opts->weight)
        losses = rill_mul(t, losses, opts->weight);
    return rill_reduce_loss(t, op, losses,
                            &(rill_loss_opts){ opts->reduction });
}

/* The binary cross entropy of p = sigmoid(logits), exact for every finite
 * logit. logits: any shape, a float dtype; target: the same shape and dtype;
 * differentiable in both. weight and pos_weight (which multiplies the part of
 * the target, so that rare positives count) broadcast to their shape. Result,
 * reductions and errors: as binary_cross_entropy, but any number is a logit
 * and pos_weight is allowed. */
rill_tensor *rill_binary_cross_entropy_with_logits(
    rill_tape *t, const rill_tensor *logits, const rill_tensor *target,
    const rill_binary_cross_entropy_opts *opts)
{
    static const char op[] = "binary_cross_entropy_with_logits";
    opts = opts ? opts : &(rill_binary_cross_entropy_opts){ 0 };
    if (!binary_cross_entropy_fits(t, op, "logits", logits, target, opts))
        return NULL;
    rill_warn_of_logits(t, op, "sigmoid", logits);
    rill_tensor *on = rill_softplus(t, rill_neg(t, logits));
    rill_tensor *off = rill_softplus(t, logits);
    on = rill_mul(t, on, target);
    off = rill_mul(t, off, rill_rsub(t, target, 1));
    if (opts->pos_weight)
        on = rill_mul(t, on, opts->pos_weight);
    rill_tensor *losses = rill_add(t, on, off);
    if (opts->weight)
        losses = rill_mul(t, losses, opts->weight);
    return rill_reduce_loss(t, op, losses,
                            &(rill_loss_opts){ opts->reduction });
}
