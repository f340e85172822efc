/* backward.c: the reverse sweep.
 *
 * The tape's order is a topological one, so the sweep walks it backwards once:
 * no sort, no recursion. It knows no op: a rule hands it one gradient an
 * input, and here alone gradients are brought back to the input's shape and
 * added up. The first addition makes a buffer that the sweep owns, later ones
 * add into it; a tensor that a rule returned is never written to. */
#include "common.h"

enum { FEW_INPUTS = 8 };

/* The gradient g that the rule of `from` gave its input i, in the input's
 * shape. */
static const rill_tensor *backward_share(rill_tape *t, const rill_node *from,
                                         int i, const rill_tensor *g)
{
    const rill_tensor *x = from->input[i].x;
    if (!rill_usable(t, from->op->name, "a gradient of its rule", g))
        return NULL;
    if (g->dtype != x->dtype || !rill_broadcasts(&x->shape, &g->shape))
        return rill_fail(t, "backward: the rule of %s gave a %s gradient %s "
                         "for input %d, which is %s %s", from->op->name,
                         rill_dtype_name(g->dtype), RILL_TEXT(g), i,
                         rill_dtype_name(x->dtype), RILL_TEXT(x));
    return rill_shape_equal(&g->shape, &x->shape)
               ? g : rill_sum_to(t, g, x->shape);
}

/* Adds g to the gradient of n. */
static void backward_accumulate(rill_tape *t, rill_node *n,
                                const rill_tensor *g)
{
    bool first = n->sweep != t->sweep;
    if (!first && n->grad_owned) {
        rill_add_into(t, n->grad, g);
        return;
    }
    n->grad = first ? (rill_tensor *)(uintptr_t)g : rill_add(t, n->grad, g);
    n->grad_owned = !first && !t->recording;
    n->sweep = t->sweep;
}

/* Calls those who look on. */
static void backward_observers(rill_tape *t, const rill_node *n,
                               const rill_tensor *const *gx)
{
    for (int i = 0; i < t->n_observers && !t->failed; i++)
        if (t->observer[i].rule)
            t->observer[i].rule(t, n, n->grad, gx, t->observer[i].user);
}

/* Runs the rule of a node and hands on what it gives. */
static void backward_node(rill_tape *t, rill_node *n)
{
    const rill_tensor *few[FEW_INPUTS], **gx = few;
    if (n->n_inputs > FEW_INPUTS)
        gx = rill_tape_alloc(t, (size_t)n->n_inputs * sizeof *gx);
    for (int i = 0; gx && i < n->n_inputs; i++) {
        const rill_node *in = n->input[i].node;
        gx[i] = NULL;
        /* the rule must read what the op read */
        if (in && in->output->variable && in->output->version != in->version)
            rill_fail(t, "backward: %s changed since this tape used it: "
                      "reset first", rill_name(in->output));
    }
    if (t->failed)
        return;
    bool fused = n->op->fused && !t->recording;
    (fused ? n->op->fused : n->op->backward)(t, n, n->grad, gx);
    backward_observers(t, n, gx);
    for (int i = 0; i < n->n_inputs && !t->failed; i++) {
        bool wanted = gx[i] && rill_node_wants(n, i);
        n->input[i].grad = wanted ? backward_share(t, n, i, gx[i]) : NULL;
        if (n->input[i].grad)
            backward_accumulate(t, n->input[i].node, n->input[i].grad);
    }
}

/* Hands the whole gradient of a node to those who asked for it. */
static void backward_hooks(rill_tape *t, rill_node *n)
{
    const rill_tensor *y = n->output;
    for (rill_hooked *h = n->hooked; h && !t->failed; h = h->next) {
        const rill_tensor *g = h->hook(t, y, n->grad, h->user);
        if (!g)
            continue;
        if (!rill_usable(t, "on_grad", "the hook's gradient", g))
            return;
        if (g->dtype != y->dtype || !rill_shape_equal(&g->shape, &y->shape))
            rill_fail(t, "on_grad: x is %s %s but the hook's gradient is %s "
                         "%s", rill_dtype_name(y->dtype), RILL_TEXT(y),
                      rill_dtype_name(g->dtype), RILL_TEXT(g));
        n->grad = (rill_tensor *)(uintptr_t)g;
        n->grad_owned = false;
    }
}

static rill_tensor *backward_seed(rill_tape *t, const rill_tensor *loss,
                                  const rill_tensor *grad)
{
    if (!grad && loss->numel != 1)
        return rill_fail(t, "backward: the loss is %s, not one element: give "
                            "a seed gradient of its shape", RILL_TEXT(loss));
    if (!grad)
        return rill_full(t, 1, loss->dtype, loss->shape);
    if (!rill_usable_floats(t, "backward", "the loss", loss,
                            "the seed gradient", grad))
        return NULL;
    if (!rill_shape_equal(&grad->shape, &loss->shape))
        return rill_fail(t, "backward: the loss is %s but its seed gradient "
                            "is %s", RILL_TEXT(loss), RILL_TEXT(grad));
    return (rill_tensor *)(uintptr_t)grad;
}

/* Says why there is no way back from the loss. */
static bool backward_refuse(rill_tape *t, const rill_tensor *loss,
                            const rill_node *root)
{
    static const char unrecorded[] =
        "was computed while nothing was recorded: in rill_tape_record(tape, "
        "false), or by a backward without create_graph";
    if (!root && loss->op && loss->tape == t)
        return rill_fail(t, "backward: the loss %s", unrecorded);
    size_t nodes = root ? (size_t)root->index + 1 : 0;
    bool *below = rill_tape_alloc(t, nodes); /* the loss */
    if (!below)
        return false;
    memset(below, 0, nodes);
    const rill_node *reader = NULL; /* of what was not recorded */
    int input = 0;
    for (size_t i = nodes; i-- > 0;) {
        const rill_node *n = t->nodes[i];
        below[i] = below[i] || n == root;
        if (below[i] && !n->op) /* a leaf, but frozen: that is why */
            nodes = 0;
        for (int k = 0; below[i] && k < n->n_inputs; k++) {
            const rill_tensor *x = n->input[k].x;
            const rill_node *from = n->input[k].node;
            if (from)
                below[from->index] = true;
            if (x && x->op && x->tape == t && !from && !reader) {
                reader = n;
                input = k;
            }
            if (rill_node_wants(n, k) && !n->wants)
                return rill_fail(t, "backward: the loss depends on no leaf: "
                                 "%s has no gradient", n->op->name);
        }
    }
    if (reader && nodes)
        return rill_fail(t, "backward: the loss depends on no leaf: input %d "
                         "of %s, made by %s, %s", input, reader->op->name,
                         reader->input[input].x->op->name, unrecorded);
    return rill_fail(t, "backward: the loss depends on no parameter that "
                        "learns and on no leaf that rill_watch returned");
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
    const rill_backward_opts none = { 0 }, *o = opts ? opts : &none;
    if (!rill_usable(t, "backward", "the loss", loss))
        return false;
    rill_node *root = rill_node_of(t, loss);
    if (!root || !root->wants)
        return backward_refuse(t, loss, root);
    rill_tensor *seed = backward_seed(t, loss, o->grad);
    if (!seed)
        return false;
    bool was_recording = t->recording;
    t->recording = o->create_graph;
    t->sweeping = true;
    t->published = 0;
    t->sweep++;
    root->grad = seed;
    root->grad_owned = false;
    root->sweep = t->sweep;
    for (int i = root->index; !t->failed && i >= 0; i--) {
        rill_node *n = t->nodes[i];
        if (n->sweep != t->sweep)
            continue;
        backward_hooks(t, n);
        if (n->op && n->wants && !t->failed)
            backward_node(t, n);
        else if (!n->op)
            backward_observers(t, n, NULL);
    }
    t->sweeping = false;
    t->recording = was_recording;
    t->published = t->failed ? 0 : t->sweep;
    return !t->failed;
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
