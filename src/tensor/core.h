/* core.h: what the files of rill share and programs do not see.
 *
 * A tensor header and its data lie in the arena of one tape. `epoch` tells
 * whether that tape was reset since: a tensor is usable while it equals its
 * tape's. Nodes have stable addresses; the tape's list of them is in the order
 * of recording, which is a topological one. */
#ifndef RILL_CORE_H
#define RILL_CORE_H

#include "tensor.h"

#pragma GCC visibility push(hidden)

struct rill_tensor {
    rill_dtype dtype;
    rill_shape shape;
    int64_t numel;
    void *data;
    rill_tape *tape;
    uint64_t epoch;
    rill_node *node;  /* that made it on its tape; NULL: unrecorded */
    const rill_op *op; /* that made it, recorded or not; NULL: none */
    const char *name;  /* NULL: none */
    bool variable, frozen, detached;
    uint32_t version; /* of a variable: how often it was written */
};

typedef struct rill_hooked {
    rill_grad_hook *hook;
    void *user;
    struct rill_hooked *next;
} rill_hooked;

struct rill_node {
    const rill_op *op; /* NULL: a leaf */
    const rill_tensor *output;
    const void *attrs;
    rill_node *next;  /* in a list of the tape's leaves */
    int index;        /* in the tape's list of nodes */
    bool wants;       /* a leaf that learns lies below it */
    uint32_t version; /* of a variable, when first used */
    rill_tensor *grad;
    uint64_t sweep;  /* the sweep that made grad */
    bool grad_owned; /* the sweep made grad's buffer: it may be added into */
    rill_hooked *hooked; /* on its gradient, in order; NULL: none */
    int n_inputs;
    struct {
        const rill_tensor *x;
        rill_node *node; /* NULL: a constant */
        const rill_tensor *grad; /* what the rule gave it in `sweep` */
    } input[];
};

typedef struct rill_block rill_block;
enum { RILL_LEAVES = 64 };

struct rill_tape {
    rill_tape_opts opts;
    bool recording, training, sweeping;
    int n_observers;
    rill_observer observer[RILL_MAX_OBSERVERS];
    int isa;
    uint64_t epoch;   /* counts resets: older tensors are gone */
    uint64_t step;    /* counts resets too: for dropout's masks */
    uint64_t sweep;   /* counts backwards */
    uint64_t published; /* the sweep rill_grad answers for; 0: none */
    uint64_t ops;     /* run since reset, recorded or not */
    rill_block *blocks, *current;
    size_t bytes, peak;
    rill_node **nodes;
    int n_nodes, cap_nodes;
    rill_node *leaves[RILL_LEAVES]; /* lists of variables' nodes, by hash */
    bool failed, warned;
    char error[512], warning[512];
};

bool rill_shape_usable(rill_tape *t, const char *who, const rill_shape *s,
                       int64_t *numel); /* or an error stands on the tape */
bool rill_shape_equal(const rill_shape *a, const rill_shape *b);
const char *rill_shape_text(const rill_shape *s, char *buffer);
size_t rill_dtype_size(rill_dtype dtype);

/* Element i from a double; false where it is an int32 and cannot hold it. */
static inline bool rill_set(rill_tensor *x, int64_t i, double v)
{
    if (x->dtype == RILL_F32)
        ((float *)x->data)[i] = (float)v;
    else if (x->dtype == RILL_F64)
        ((double *)x->data)[i] = v;
    else if (v >= INT32_MIN && v <= INT32_MAX && v == (int32_t)v)
        ((int32_t *)x->data)[i] = (int32_t)v;
    else
        return false;
    return true;
}

rill_node *rill_node_of(rill_tape *t, const rill_tensor *x); /* or NULL */

bool rill_wants(rill_tape *t, const rill_tensor *x); /* a gradient, here */

/* A loop in parts, shared among threads (team.c). */
typedef void rill_loop(void *context, int64_t part);
void rill_share(int64_t parts, rill_loop *loop, void *context);

int rill_isa_best(void);

/* A public function that reads x, and answers `none` where x is NULL, as the
 * result of an op that failed is. */
#define RILL_READER(type, name, of, answer, none) \
    type name(const of *x)                        \
    {                                             \
        return x ? (answer) : (none);             \
    }

/* "[2, 3]" for a message, good until the end of the block. */
#define RILL_SHAPE_TEXT(shape) rill_shape_text(&(shape), (char[192]){ 0 })
#define RILL_TEXT(x) RILL_SHAPE_TEXT((x)->shape)

#pragma GCC visibility pop

#endif
