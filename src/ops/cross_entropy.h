/* cross_entropy.h: what cross_entropy and linear_cross_entropy share. */
#ifndef RILL_OPS_CROSS_ENTROPY_H
#define RILL_OPS_CROSS_ENTROPY_H

#include "common.h"

#pragma GCC visibility push(hidden)

/* What the kernels are given, and what a node keeps. Logits, probabilities
 * and gradient as rows: the classes last. */
typedef struct {
    rill_class_view v; /* positions, classes, targets, weights */
    const void *logits, *probs; /* probs: NULL with class indices */
    const void *dloss; /* one, or where `each` one a position; NULL: 1 */
    double label_smoothing, z_loss, denominator;
    double scale; /* of a position's gradient, for dloss = 1 */
    rill_tensor *losses_out, *lse_out, *grad_out; /* of all positions */
    void *losses, *lse, *grad; /* lse and grad: NULL where not wanted; grad
                                  may be the logits' own memory */
    bool each;                 /* reduction none */
    bool spread; /* mass on every class: then there are weights */
    rill_shape rows; /* the logits' shape, the classes last */
    rill_dtype dtype;
} rill_cross_entropy_args;

/* Checks what an op was given, of the logits only dtype and shape; then takes
 * over the options and makes room for the losses. */
bool rill_cross_entropy_start(rill_tape *t, const char *op,
                              const rill_tensor *logits,
                              const rill_tensor *target, bool probs,
                              const rill_cross_entropy_opts *o,
                              rill_cross_entropy_args *a);
/* The kernel, over a->v.positions of a->logits. */
void rill_cross_entropy_run(rill_tape *t, const rill_cross_entropy_args *a);
/* The losses reduced; hands out what the options ask for. Unrecorded. */
rill_tensor *rill_cross_entropy_loss(rill_tape *t,
                                     const rill_cross_entropy_opts *o,
                                     const rill_cross_entropy_args *a);
/* Where they are not NULL, the gradients in the logits z and in q, the target
 * or probs, made of rill's ops. */
void rill_cross_entropy_rule(rill_tape *t, const rill_cross_entropy_args *a,
                             const rill_tensor *z, const rill_tensor *q,
                             const rill_tensor *gy, const rill_tensor **dz,
                             const rill_tensor **dq);

#pragma GCC visibility pop

#endif
