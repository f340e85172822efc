/* loss.c: what the losses share: the checks, each with its sentence, and the
 * reduction. */
#include "common.h"

bool rill_loss_inputs(rill_tape *t, const char *op, const char *name,
                      const rill_tensor *x, const rill_tensor *target)
{
    if (!rill_usable_floats(t, op, name, x, "target", target))
        return false;
    /* [N, 1] against [N] would broadcast to N x N losses: never meant */
    if (!rill_shape_equal(&x->shape, &target->shape))
        return rill_fail(t, "%s: the shapes %s of %s and %s of target differ",
                         op, RILL_TEXT(x), name, RILL_TEXT(target));
    return true;
}

void rill_warn_of_logits(rill_tape *t, const char *op, const char *applies,
                         const rill_tensor *logits)
{
    const rill_op *made_by = logits->op;
    if (made_by && made_by->flags & RILL_OP_NO_LOGITS)
        rill_warn(t, "%s: its logits come from %s, but it applies %s itself: "
                     "give it the logits", op, made_by->name, applies);
}

rill_tensor *rill_reduce_loss(rill_tape *t, const char *op,
                              const rill_tensor *losses,
                              const rill_loss_opts *opts)
{
    rill_reduction reduction = opts ? opts->reduction : RILL_MEAN;
    switch (reduction) {
    case RILL_MEAN: return rill_mean(t, losses, NULL);
    case RILL_SUM: return rill_sum(t, losses, NULL);
    case RILL_NONE: return (rill_tensor *)(uintptr_t)losses;
    }
    return rill_fail(t, "%s: %d is not a reduction", op, (int)reduction);
}

bool rill_class_scores(rill_tape *t, const char *op, const char *name,
                       const rill_tensor *scores, const rill_tensor *weight,
                       const int32_t *ignore_index, rill_class_view *v)
{
    const rill_tensor *w = weight;
    const rill_shape *s = &scores->shape;
    if (s->ndim == 0)
        return rill_fail(t, "%s: %s have no dimension: [C] or [N, C, ...] is "
                         "wanted", op, name);
    int dim = s->ndim > 1;
    *v = (rill_class_view){
        .dim = dim, .classes = (size_t)s->dim[dim], .positions = 1, .inner = 1,
        .ignore_index = ignore_index ? *ignore_index : -100, .weight = w
    };
    for (int d = 0; d < s->ndim; d++) {
        if (d == dim)
            continue;
        v->shape.dim[v->shape.ndim++] = s->dim[d];
        v->positions *= (size_t)s->dim[d];
        v->inner *= d > dim ? (size_t)s->dim[d] : 1;
    }
    if (!w)
        return true;
    if (!rill_usable_floats(t, op, name, scores, "weight", w))
        return false;
    if (w->shape.ndim != 1 || (size_t)w->numel != v->classes)
        return rill_fail(t, "%s: weight is %s, one for each of %zu classes "
                         "is wanted", op, RILL_TEXT(w), v->classes);
    if (rill_wants(t, w))
        return rill_fail(t, "%s: no gradient flows to weight: detach it", op);
    return true;
}

bool rill_class_target(rill_tape *t, const char *op, const char *name,
                       const rill_tensor *scores, const rill_tensor *target,
                       rill_class_view *v)
{
    if (!rill_shape_equal(&v->shape, &target->shape))
        return rill_fail(t, "%s: %s are %s but target is %s: %s is wanted",
                         op, name, RILL_TEXT(scores), RILL_TEXT(target),
                         RILL_SHAPE_TEXT(v->shape));
    v->target = target->data;
    int32_t bad = 0, classes = (int32_t)v->classes;
    v->taken = 0;
    for (size_t i = 0; i < v->positions;) { /* no branch: it vectorises */
        size_t end = v->positions - i < 65536 ? v->positions : i + 65536;
        int32_t taken = 0;
        for (; i < end; i++) {
            int32_t y = v->target[i], takes = y != v->ignore_index;
            taken += takes;
            bad |= takes & ((y < 0) | (y >= classes));
        }
        v->taken += taken;
    }
    for (size_t i = 0; bad && i < v->positions; i++) {
        int32_t y = v->target[i];
        if (y != v->ignore_index && (y < 0 || y >= classes))
            return rill_fail(t, "%s: target %d at %s %zu is not in [0, %zu)%s",
                             op, (int)y, v->shape.ndim > 1 ? "element" : "row",
                             i, v->classes, y < 0 ? ": to leave such rows out "
                             "there is ignore_index" : "");
    }
    return true;
}

double rill_class_total(const rill_class_view *v)
{
    double sum = 0;
    for (size_t i = 0; v->weight && i < v->positions; i++)
        if (v->target[i] != v->ignore_index)
            sum += rill_at(v->weight, v->target[i]);
    return v->weight ? sum : (double)v->taken;
}
