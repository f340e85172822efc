/* cross_entropy.h: what cross_entropy and linear_cross_entropy share. */
#ifndef RILL_OPS_CROSS_ENTROPY_H
#define RILL_OPS_CROSS_ENTROPY_H

#include "common.h"

#pragma GCC visibility push(hidden)

/* What the kernels are given, and what a node keeps. */
typedef struct {
    rill_class_view v; /* positions, classes, targets, weights */
    const void *logits, *probs; /* probs: NULL with class indices */
    double label_smoothing, z_loss;
    double scale; /* of a position's gradient, for dloss = 1 */
    rill_tensor *losses_out, *lse_out; /* of all positions; lse: or NULL */
    void *losses, *lse, *grad; /* grad: NULL where not wanted, and it may be
                                  the logits' own memory */
    bool each;                 /* reduction none */
    double denominator;
    rill_shape rows; /* the logits' shape with one class */
    size_t scratch_rows, part; /* rows of classes and positions, of a part */
    void *scratch;
    int isa;
    rill_dtype dtype;
} rill_cross_entropy_args;

/* Checks target (class indices) and options against logits, of which only
 * dtype and shape are read. */
bool rill_cross_entropy_check(rill_tape *t, const char *op,
                              const rill_tensor *logits,
                              const rill_tensor *target,
                              const rill_cross_entropy_opts *o,
                              rill_cross_entropy_args *a);
/* Then: room for the losses, the denominator, scratch for `most` positions
 * at a time. */
bool rill_cross_entropy_start(rill_tape *t, const rill_tensor *logits,
                              const rill_cross_entropy_opts *o, size_t most,
                              rill_cross_entropy_args *a);
/* The kernel, over a->v.positions of a->logits. */
void rill_cross_entropy_run(rill_cross_entropy_args *a);
/* out = dloss a->grad; out may be a->grad. */
void rill_cross_entropy_scale(const rill_cross_entropy_args *a,
                              const void *dloss, void *out);
/* The losses reduced; hands out what the options ask for. Unrecorded. */
rill_tensor *rill_cross_entropy_loss(rill_tape *t,
                                     const rill_cross_entropy_opts *o,
                                     const rill_cross_entropy_args *a);
/* The gradient in the logits z, made of rill's ops; q: target, or probs. */
rill_tensor *rill_cross_entropy_dz(rill_tape *t,
                                   const rill_cross_entropy_args *a,
                                   const rill_tensor *z, const rill_tensor *q,
                                   const rill_tensor *gy);

#pragma GCC visibility pop

#endif
