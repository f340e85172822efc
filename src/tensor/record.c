/* record.c: leaves, and the record of what ran.
 *
 * A node is made for every op while the tape records; it wants a gradient
 * when a leaf that learns lies below it. A tensor of another tape is a
 * constant here, unless a leaf lies below it: that one is refused, since
 * this tape could not find the way back. A variable's node is looked up in
 * the tape's own map: recording never writes to what threads may share. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

/* Whether op may read x on this tape. If not, a sentence that names both
 * stands on the tape: x is NULL, was made before a reset of its tape, or was
 * recorded on another tape. */
bool rill_usable(rill_tape *t, const char *op, const char *argument,
                 const rill_tensor *x)
{
    if (!t || t->failed)
        return false;
    if (!x)
        return rill_fail(t, "%s: %s is NULL", op, argument);
    if (x->epoch != x->tape->epoch)
        return rill_fail(t, "%s: %s was made before its tape was reset", op,
                         argument);
    if (x->tape != t && x->node && x->node->wants)
        return rill_fail(t, "%s: %s was recorded on another tape: detach it",
                         op, argument);
    return true;
}

static rill_node *tape_node(rill_tape *t, const rill_tensor *output,
                            int n_inputs)
{
    if (t->n_nodes == t->cap_nodes) {
        int cap = t->cap_nodes ? 2 * t->cap_nodes : 64;
        rill_node **nodes = realloc(t->nodes, (size_t)cap * sizeof *nodes);
        if (!nodes)
            return rill_fail(t, "out of memory: %d nodes wanted", cap);
        t->nodes = nodes;
        t->cap_nodes = cap;
    }
    rill_node *n;
    n = rill_tape_alloc(t, sizeof *n + (size_t)n_inputs * sizeof *n->input);
    if (!n)
        return NULL;
    *n = (rill_node){ .output = output, .version = output->version,
                      .index = t->n_nodes, .n_inputs = n_inputs };
    return t->nodes[t->n_nodes++] = n;
}

/* Where the list begins that has the node of a variable, if there is one. */
static rill_node **tape_leaves(rill_tape *t, const rill_tensor *v)
{
    uint64_t hash = ((uintptr_t)v >> 6) * 0x9e3779b97f4a7c15u >> 32;
    return &t->leaves[hash % RILL_LEAVES];
}

/* The node that stands for x on this tape; NULL where there is none. */
rill_node *rill_node_of(rill_tape *t, const rill_tensor *x)
{
    if (!x->variable)
        return x->tape == t ? x->node : NULL;
    rill_node *n = *tape_leaves(t, x);
    while (n && n->output != x)
        n = n->next;
    return n;
}

/* Makes the node of a variable at its first use; false: no memory. */
static bool tape_use(rill_tape *t, const rill_tensor *v)
{
    if (rill_node_of(t, v))
        return true;
    rill_node *n = tape_node(t, v, 0), **list = tape_leaves(t, v);
    if (!n)
        return false;
    n->wants = !v->frozen;
    n->next = *list;
    *list = n;
    return true;
}

/* Whether an op of x on this tape would want its gradient. */
bool rill_wants(rill_tape *t, const rill_tensor *x)
{
    const rill_node *n = rill_node_of(t, x);
    return n ? n->wants : x->variable && !x->frozen;
}

/* A leaf with the value of x (any float tensor, no copy): gradients arrive
 * at it. Belongs to t. Errors: those of rill_usable, an int32 x. */
rill_tensor *rill_watch(rill_tape *t, const rill_tensor *x)
{
    if (!rill_usable(t, "watch", "x", x))
        return NULL;
    if (x->dtype == RILL_I32)
        return rill_fail(t, "watch: x is int32: only float32 and float64 "
                            "have gradients");
    rill_tensor *y = rill_view(t, x->data, x->dtype, x->shape);
    rill_node *n = y ? tape_node(t, y, 0) : NULL;
    if (!n)
        return NULL;
    n->wants = true;
    y->node = n;
    y->name = x->name;
    return y;
}

/* The value of x as a constant of t (no copy): gradients stop here. x may
 * have been recorded on another tape, which must not be reset before t is.
 * Errors: x is NULL or older than its tape's reset. */
rill_tensor *rill_detach(rill_tape *t, const rill_tensor *x)
{
    bool elsewhere = x && x->tape != t && x->epoch == x->tape->epoch;
    if (!elsewhere && !rill_usable(t, "detach", "x", x))
        return NULL;
    rill_tensor *y = rill_view(t, x->data, x->dtype, x->shape);
    if (y)
        y->detached = true;
    return y;
}

static bool tape_name(rill_tape *t, rill_tensor *x, const char *name)
{
    char *copy = rill_tape_alloc(t, strlen(name) + 1);
    x->name = copy ? strcpy(copy, name) : x->name;
    return copy;
}

/* A tensor of zeros that may change between steps and is a leaf of any tape
 * that uses it. Belongs to home, as does a copy of its name; home must not be
 * reset while tapes use it. Errors as for rill_empty, an int32 dtype. */
rill_tensor *rill_variable(rill_tape *home, const char *name,
                           rill_dtype dtype, rill_shape shape)
{
    if (dtype == RILL_I32)
        return rill_fail(home, "variable: int32 has no gradient");
    rill_tensor *v = rill_zeros(home, dtype, shape);
    if (!v || !tape_name(home, v, name ? name : ""))
        return NULL;
    v->variable = true;
    return v;
}

/* While on, tapes that start to use v take it for a constant. */
void rill_variable_freeze(rill_tensor *v, bool on)
{
    if (v && v->variable)
        v->frozen = on;
}

/* Gives x, which belongs to t, a name for listings, and returns it. The name
 * is copied. Errors: those of rill_usable, no name, a variable (it has one
 * already), a tensor of another tape. */
rill_tensor *rill_named(rill_tape *t, rill_tensor *x, const char *name)
{
    if (!rill_usable(t, "named", "x", x))
        return NULL;
    if (!name || x->variable || x->tape != t)
        return rill_fail(t, "named: %s", !name ? "the name is NULL" :
                         x->variable ? "a variable keeps its name" :
                                       "x belongs to another tape");
    return tape_name(t, x, name) ? x : NULL;
}

/* Says that y, just filled, is op of the inputs, and returns y. op must
 * outlive the tape; attrs, if any, must live until reset (rill_tape_alloc).
 * The inputs are copied. NULL where y is NULL, the tape has failed, an input
 * is not usable, or an observer stopped the work: then the node stays. */
rill_tensor *rill_record(rill_tape *t, const rill_op *op, rill_tensor *y,
                         const rill_tensor **inputs, int n_inputs,
                         const void *attrs)
{
    if (!op)
        return rill_fail(t, "record: the op is NULL");
    if (!rill_usable(t, op->name, "the result", y))
        return NULL;
    y->op = op;
    t->ops++;
    for (int i = 0; i < n_inputs; i++) {
        const rill_tensor *x = inputs[i];
        if (x && (!rill_usable(t, op->name, "an input", x) ||
                  (t->recording && x->variable && !tape_use(t, x))))
            return NULL;
        if (x == y)
            return rill_fail(t, "%s: input %d is the result itself", op->name,
                             i);
    }
    rill_node *n = t->recording ? tape_node(t, y, n_inputs) : NULL;
    for (int i = 0; n && i < n_inputs; i++) {
        n->input[i].x = inputs[i];
        n->input[i].node = inputs[i] ? rill_node_of(t, inputs[i]) : NULL;
        n->wants = n->wants || rill_node_wants(n, i);
    }
    if (n) {
        n->op = op;
        n->attrs = attrs;
        n->wants = n->wants && op->backward && y->dtype != RILL_I32;
        y->node = n;
    }
    /* the node is there when they look, and a listing shows why they stop */
    for (int i = 0; !t->failed && !t->sweeping && i < t->n_observers; i++)
        if (t->observer[i].op)
            t->observer[i].op(t, op, y, inputs, n_inputs,
                              t->observer[i].user);
    return t->failed ? NULL : y;
}

/* Whether the gradient in input i is wanted: a rule computes no other. */
bool rill_node_wants(const rill_node *n, int i)
{
    return n->input[i].node && n->input[i].node->wants;
}

/* Input i as the op was given it; NULL where an optional one was left out. */
const rill_tensor *rill_node_input(const rill_node *n, int i)
{
    return n->input[i].x;
}

/* ---- reading the record ------------------------------------------------- */

/* What the node computed, or the leaf itself. */
RILL_READER(const rill_tensor *, rill_node_output, rill_node, x->output, NULL)
/* What the op gave rill_record as attrs. */
RILL_READER(const void *, rill_node_attrs, rill_node, x->attrs, NULL)
/* The i for which rill_tape_node answers this node; -1 for NULL. */
RILL_READER(int, rill_node_index, rill_node, x->index, -1)
/* The op that ran; NULL for a leaf. */
RILL_READER(const rill_op *, rill_node_op, rill_node, x->op, NULL)
/* How many inputs the op was given, those that were left out too. */
RILL_READER(int, rill_node_inputs, rill_node, x->n_inputs, 0)
/* How many nodes since reset: ops, variables once used, watched tensors. */
RILL_READER(int, rill_tape_len, rill_tape, x->n_nodes, 0)

/* Node i in the order of recording, so after all its inputs; good until
 * reset. NULL where there is none. */
const rill_node *rill_tape_node(const rill_tape *t, int i)
{
    return i >= 0 && i < rill_tape_len(t) ? t->nodes[i] : NULL;
}

/* The node that made input i, or its leaf; NULL for a constant. */
const rill_node *rill_node_source(const rill_node *n, int i)
{
    return n->input[i].node;
}

/* The gradient that n's rule gave input i in the last backward, summed to the
 * input's shape: one share of the gradient that rill_grad has of an input of
 * many uses. NULL where none was passed on; good until reset. */
const rill_tensor *rill_node_grad(const rill_node *n, int i)
{
    const rill_tape *t = n->output->tape; /* a leaf's may be another's */
    bool ran = !t->failed && t->published && n->sweep == t->published;
    return ran && n->wants ? n->input[i].grad : NULL;
}

/* ---- looking on --------------------------------------------------------- */

/* Has o, which is copied, called from now on, across resets, after those who
 * were there before. An op that is recorded is the tape's last node when it
 * is called. Errors: RILL_MAX_OBSERVERS look on already, o is NULL. */
bool rill_tape_observe(rill_tape *t, const rill_observer *o)
{
    if (!t || !o || t->n_observers == RILL_MAX_OBSERVERS)
        return rill_fail(t, "observe: %s", o ? "too many look on already"
                                             : "the observer is NULL");
    t->observer[t->n_observers++] = *o;
    return true;
}

/* Ends what rill_tape_observe began; false, but no error: none equals o. */
bool rill_tape_unobserve(rill_tape *t, const rill_observer *o)
{
    for (int i = 0; t && o && i < t->n_observers; i++) {
        rill_observer *at = &t->observer[i];
        if (at->op != o->op || at->rule != o->rule || at->user != o->user)
            continue;
        t->n_observers--;
        memmove(at, at + 1, (size_t)(t->n_observers - i) * sizeof *at);
        return true;
    }
    return false;
}

/* Has hook called in every backward until reset, after those that x has
 * already. x: recorded on t, watched, or a variable, used yet or not. Also
 * an error: a constant, to which no gradient comes. */
bool rill_on_grad(rill_tape *t, const rill_tensor *x, rill_grad_hook *hook,
                  void *user)
{
    if (!rill_usable(t, "on_grad", "x", x) ||
        (x->variable && !tape_use(t, x)))
        return false;
    rill_node *n = rill_node_of(t, x);
    if (!n || !n->wants || !hook)
        return rill_fail(t, "on_grad: %s", hook
                         ? "x is a constant here: no gradient comes to it"
                         : "the hook is NULL");
    rill_hooked *h = rill_tape_alloc(t, sizeof *h), **end = &n->hooked;
    if (!h)
        return false;
    while (*end)
        end = &(*end)->next;
    *h = (rill_hooked){ hook, user, NULL };
    *end = h;
    return true;
}
