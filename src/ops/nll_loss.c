/* nll_loss: the negative log-likelihood of class indices y, given
 * log-probabilities x [N, C, ...].
 *
 *     loss = -w[y] x[y] at a position, 0 where it is ignored
 *     dx = -w[y] dloss at class y, 0 at any other
 *
 * A loss picks one element a position; its gradient spreads one number back
 * to it. These two are each other's adjoint, hence each other's rule, and no
 * one-hot is ever made. What an ignored position holds is never read. */
#include "common.h"

static RULE(nll_loss_backward);

OP(nll_loss, "dx = -w[y] dloss at y, or 0")
OP_AS(nll_loss_spread, "dx = -w[y] dy[y]", nll_loss_backward, NULL)

/* From scores to positions or back, whichever shape is. */
static rill_tensor *nll_loss(rill_tape *t, const rill_tensor *x,
                             const rill_tensor *target,
                             const rill_class_view *v, rill_shape shape)
{
    bool spread = shape.ndim > v->shape.ndim, above = false;
    rill_tensor *y = rill_zeros(t, x->dtype, shape);
    for (size_t i = 0; y && i < v->positions; i++) {
        int32_t c = v->target[i];
        if (c == v->ignore_index)
            continue;
        size_t at = (i / v->inner * v->classes + (size_t)c) * v->inner +
                    i % v->inner;
        double w = v->weight ? rill_at(v->weight, c) : 1;
        double value = rill_at(x, (int64_t)(spread ? i : at));
        above |= !t->sweeping && value > 0; /* a sweep's are gradients */
        rill_set(y, (int64_t)(spread ? at : i), -w * value);
    }
    if (above)
        rill_warn(t, "nll_loss: its log_probs are above 0, so no logarithms "
                     "of probabilities: give it what log_softmax makes");
    return rill_record(t, spread ? &nll_loss_spread_op : &nll_loss_op, y,
                       INPUTS(x, target), v);
}

DX(nll_loss, nll_loss(t, gy, rill_node_input(n, 1), rill_node_attrs(n),
                      rill_node_input(n, 0)->shape))

/* The negative log-likelihood of class indices: with log_softmax before it,
 * cross_entropy in two steps. log_probs: [C], [N, C] or [N, C, d1, ...];
 * target: int32 [], [N] or [N, d1, ...]. Result: [] for the mean (over the
 * weights of what was not ignored; NaN where that is 0) and the sum, the
 * target's shape for RILL_NONE. As PyTorch's nll_loss. Warns of a positive
 * log-probability. Also errors: a target that is neither a class nor ignored;
 * a recorded weight; an unknown reduction. */
rill_tensor *rill_nll_loss(rill_tape *t, const rill_tensor *log_probs,
                           const rill_tensor *target,
                           const rill_nll_loss_opts *opts)
{
    static const char op[] = "nll_loss", name[] = "log_probs";
    const rill_nll_loss_opts none = { 0 }, *o = opts ? opts : &none;
    const rill_tensor *x = log_probs;
    if (!rill_usable_float(t, op, name, x) ||
        !rill_usable(t, op, "target", target))
        return NULL;
    if (target->dtype != RILL_I32)
        return rill_fail(t, "%s: target is %s, class indices are int32", op,
                         rill_dtype_name(target->dtype));
    rill_class_view *v = rill_tape_alloc(t, sizeof *v);
    if (!v ||
        !rill_class_scores(t, op, name, x, o->weight, o->ignore_index, v) ||
        !rill_class_target(t, op, name, x, target, v))
        return NULL;
    rill_tensor *losses = nll_loss(t, x, target, v, v->shape);
    if (o->reduction != RILL_MEAN)
        return rill_reduce_loss(t, op, losses,
                                &(rill_loss_opts){ o->reduction });
    return rill_scale(t, rill_sum(t, losses, NULL), 1 / rill_class_total(v));
}
