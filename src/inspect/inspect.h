/* inspect.h: what shows how a gradient flows. It reads a tape through what
 * tensor.h, ops.h and nn.h export, and changes nothing.
 *
 * A node is called what its tensor is named (rill_named; parameters and
 * layers name what they make), else after its op and its place on the tape,
 * "sigmoid.7". Printers write to f and leave it to the caller to look at
 * ferror. */
#ifndef RILL_INSPECT_H
#define RILL_INSPECT_H

#include "../nn/nn.h"

RILL_API_BEGIN

/* ---- the tape as it stands ---------------------------------------------- */

void rill_tape_print(FILE *f, rill_tape *t); /* a line a node, in order */

typedef struct {
    int64_t values; /* tensors of so many elements or fewer are written out;
                       0: 6 */
    int nodes;      /* above so many, repeated layers are folded; 0: 60 */
} rill_dot_opts;

void rill_tape_dot(FILE *f, rill_tape *t, const rill_dot_opts *opts);
              /* a graph for Graphviz: dot -Tsvg */

/* ---- the sweep as it runs ----------------------------------------------- */

bool rill_backward_explain(FILE *f, rill_tape *t, const rill_tensor *loss,
                           const rill_backward_opts *opts);
                /* rill_backward, each rule written down with its numbers */
bool rill_tape_check_finite(rill_tape *t, bool on);
                /* on: the first NaN or infinity, forward or backward, is an
                   error that says where and why; returns what it was */

/* ---- single samples of a batch ------------------------------------------ */

rill_tensor *rill_softmax_residual(rill_tape *t, const rill_tensor *logits,
                                   const rill_tensor *target); /* p - y */
rill_tensor *rill_sample_grad_norms(rill_tape *t, const rill_tensor *weight);
                /* [N]: of each sample's share of dL/dW; linear's only */

/* ---- a whole run -------------------------------------------------------- */

/* A recorder keeps its own first error, which ends the recording, never the
 * run; docs/log.md says what it writes. For a NULL recorder every function
 * records nothing and is content. */
typedef struct rill_recorder rill_recorder;

typedef struct {
    const char *title;  /* of the run; NULL: the log's path */
    int64_t every;      /* record every so many steps; 0: 1 */
    int64_t details;    /* open graph and loss every so many; 0: 50 */
    int64_t samples;    /* rows of the batch shown at the loss; 0: 8 */
    const char *const *class_names; /* read at once; NULL: numbers serve */
    int classes;                    /* how many names there are */
} rill_recorder_opts;

rill_recorder *rill_recorder_new(const char *path, rill_params *p,
                                 const rill_recorder_opts *opts,
                                 char *error, size_t error_size);
bool rill_recorder_step(rill_recorder *r, rill_optim *o, rill_tape *t,
                        const rill_tensor *loss);
              /* rill_optim_step, recorded; r NULL: not recorded */
bool rill_recorder_value(rill_recorder *r, const char *name, double value);
bool rill_recorder_event(rill_recorder *r, const char *text);
bool rill_recorder_regions(rill_recorder *r, rill_function *predict,
                           void *user, const rill_tensor *x,
                           const rill_tensor *labels);
              /* where the network, x [N, 2] -> logits, sees which class */
bool rill_recorder_close(rill_recorder *r); /* false: not all was written */
void rill_recorder_free(rill_recorder *r);
const char *rill_recorder_error(const rill_recorder *r);

bool rill_report(const char *path, const char *const *logs, int n,
                 char *error, size_t error_size);
              /* one page of the logs of n runs, side by side */

RILL_API_END

#endif
