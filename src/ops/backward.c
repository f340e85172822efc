/* backward.c: the reverse sweep.
 *
 * The tape's order is a topological one, so the sweep walks it backwards once:
 * no sort, no recursion. It knows no op: a rule hands it one gradient an
 * input, and here alone gradients are brought back to the input's shape and
 * added up. The first addition makes a buffer that the sweep owns, later ones
 * add into it; a tensor that a rule returned is never written to. */
#include "common.h"

enum { FEW_INPUTS = 8 };

static bool backward_fits(rill_tape *t, const rill_node *n,
                          const rill_tensor *g)
{
    if (g->dtype == n->output->dtype)
        return true;
    return rill_fail(t, "backward: a rule gave a %s gradient for a %s value",
                     rill_dtype_name(g->dtype),
                     rill_dtype_name(n->output->dtype));
}

/* Adds g to the gradient of n. */
static bool backward_accumulate(rill_tape *t, rill_node *n,
                                const rill_tensor *g)
{
    if (!backward_fits(t, n, g))
        return false;
    if (!rill_shape_equal(&g->shape, &n->output->shape))
        g = rill_sum_to(t, g, n->output->shape);
    if (!g)
        return false;
    rill_tensor *sum = (rill_tensor *)(uintptr_t)g;
    bool first = n->sweep != t->sweep;
    if (!first && n->grad_owned) {
        rill_add_into(t, n->grad, g);
        return true;
    }
    if (!first)
        sum = rill_add(t, n->grad, g);
    n->grad = sum;
    n->grad_owned = !first && !t->recording;
    n->sweep = t->sweep;
    return sum;
}

/* Values that a rule is about to read must be those that the op read. */
static bool backward_unchanged(rill_tape *t, const rill_node *n)
{
    for (int i = 0; i < n->n_inputs; i++) {
        const rill_node *in = n->input[i].node;
        if (in && in->output->variable && in->output->version != in->version)
            return rill_fail(t, "backward: %s changed since this tape used "
                                "it: reset first", rill_name(in->output));
    }
    return true;
}

static bool backward_node(rill_tape *t, const rill_node *n)
{
    const rill_tensor *few[FEW_INPUTS] = { NULL }, **gx = few;
    if (!backward_unchanged(t, n))
        return false;
    if (n->n_inputs > FEW_INPUTS) {
        gx = rill_tape_alloc(t, (size_t)n->n_inputs * sizeof *gx);
        for (int i = 0; gx && i < n->n_inputs; i++)
            gx[i] = NULL;
    }
    if (!gx)
        return false;
    bool fused = n->op->fused && !t->recording;
    (fused ? n->op->fused : n->op->backward)(t, n, n->grad, gx);
    if (t->failed)
        return false;
    for (int i = 0; i < n->n_inputs; i++)
        if (gx[i] && rill_node_wants(n, i) &&
            !backward_accumulate(t, n->input[i].node, gx[i]))
            return false;
    return true;
}

static rill_tensor *backward_seed(rill_tape *t, const rill_tensor *loss,
                                  const rill_tensor *grad)
{
    if (!grad && loss->numel != 1)
        return rill_fail(t, "backward: the loss is %s, not one element: give "
                            "a seed gradient of its shape", RILL_TEXT(loss));
    if (!grad)
        return rill_full(t, 1, loss->dtype, loss->shape);
    if (!rill_usable_float(t, "backward", "the seed gradient", grad) ||
        !rill_same_dtype(t, "backward", "the loss", loss,
                         "the seed gradient", grad))
        return NULL;
    if (!rill_shape_equal(&grad->shape, &loss->shape))
        return rill_fail(t, "backward: the loss is %s but its seed gradient "
                            "is %s", RILL_TEXT(loss), RILL_TEXT(grad));
    return (rill_tensor *)(uintptr_t)grad;
}

/* Fills in the gradient of loss at every node that it depends on and that
 * depends on a leaf; rill_grad reads them. loss: recorded on t, one element,
 * or any shape with opts->grad of the same shape and dtype. What an earlier
 * backward left is replaced, not added to. False, with an error and no
 * gradients, where a rule failed, loss is not on the tape or depends on no
 * leaf, or a variable changed since the tape used it. */
bool rill_backward(rill_tape *t, const rill_tensor *loss,
                   const rill_backward_opts *opts)
{
    static const rill_backward_opts none = { 0 };
    if (!opts)
        opts = &none;
    if (!rill_usable(t, "backward", "the loss", loss))
        return false;
    rill_node *root = rill_node_of(t, loss);
    if (!root || !root->wants)
        return rill_fail(t, "backward: the loss depends on no parameter and "
                            "no watched tensor");
    rill_tensor *seed = backward_seed(t, loss, opts->grad);
    if (!seed)
        return false;
    bool was_recording = t->recording;
    t->recording = opts->create_graph;
    t->published = 0;
    t->sweep++;
    root->grad = seed;
    root->grad_owned = false;
    root->sweep = t->sweep;
    bool ok = true;
    for (int i = root->index; ok && i >= 0; i--) {
        const rill_node *n = t->nodes[i];
        if (n->sweep == t->sweep && n->op && n->wants)
            ok = backward_node(t, n);
    }
    t->recording = was_recording;
    if (ok)
        t->published = t->sweep;
    return ok;
}

/* The gradient that the latest rill_backward found for x, any tensor of the
 * tape or a variable. Belongs to the tape. NULL without an error where the
 * loss does not depend on x, or there was no backward since reset. */
rill_tensor *rill_grad(rill_tape *t, const rill_tensor *x)
{
    if (!rill_usable(t, "grad", "x", x))
        return NULL;
    const rill_node *n = rill_node_of(t, x);
    return n && t->published && n->sweep == t->published ? n->grad : NULL;
}

/* Makes grad what rill_grad answers for x from now on: clipping and the like.
 * grad: of x's shape and dtype. Also an error: x has no gradient. */
bool rill_set_grad(rill_tape *t, const rill_tensor *x,
                   const rill_tensor *grad)
{
    if (!rill_usable(t, "set_grad", "x", x) ||
        !rill_usable(t, "set_grad", "the gradient", grad) ||
        !rill_same_dtype(t, "set_grad", "x", x, "the gradient", grad))
        return false;
    if (!rill_shape_equal(&x->shape, &grad->shape))
        return rill_fail(t, "set_grad: x is %s but the gradient is %s",
                         RILL_TEXT(x), RILL_TEXT(grad));
    if (!rill_grad(t, x))
        return rill_fail(t, "set_grad: x has no gradient to replace");
    rill_node *n = rill_node_of(t, x);
    n->grad = (rill_tensor *)(uintptr_t)grad;
    n->grad_owned = false;
    return true;
}
