/* nn_internal.h: what the files of src/nn share.
 *
 * A parameter set and an optimiser have a tape of their own, their home,
 * which is never reset: all their memory comes from it, their error is its
 * error, and freeing it frees them. */
#ifndef RILL_NN_INTERNAL_H
#define RILL_NN_INTERNAL_H

#include "nn.h"

#pragma GCC visibility push(hidden)

struct rill_params {
    rill_tape *home;
    rill_dtype dtype;
    rill_rng rng;
    int n, cap;
    int n_kept; /* the first so many are in the snapshot */
    struct rill_param {
        rill_tensor *w;
        rill_tensor *sum; /* of gradients; NULL: none was ever needed */
        bool summed;      /* there is something in it */
        void *kept;       /* the snapshot's copy, or NULL */
    } *at;
};

/* Puts an object's error on the tape at hand too, so that its hook sees it.
 * Always false. */
static inline bool rill_nn_tell(rill_tape *t, const char *error)
{
    rill_fail(t, "%s", error);
    return false;
}

int rill_params_index(const rill_params *p, const rill_tensor *w); /* or -1 */
bool rill_name_begins(const rill_tensor *w, const char *prefix);

/* The gradient to learn parameter i by: the tape's; t NULL: the sum kept.
 * NULL where there is none or the parameter is frozen. */
rill_tensor *rill_params_gradient(const rill_params *p, rill_tape *t, int i);

/* Whether there is one at all. If not, the sentence stands at home and on
 * t; a failed set, home or tape gives false, and t is told why. */
bool rill_params_learn(const rill_params *p, rill_tape *t, rill_tape *home,
                       const char *who);

/* ---- optimisers --------------------------------------------------------- */

enum { RILL_OPTIM_STATES = 2 };

/* One parameter's update: kernels read gradient and state once. */
typedef struct {
    void *w;
    const void *g;
    void *state[RILL_OPTIM_STATES]; /* of w's size; NULL: not asked for */
    size_t n;
    double lr, weight_decay;
    double step; /* of this parameter, from 1 */
} rill_update;

typedef void rill_update_kernel(const rill_update *u, const void *attrs);

typedef struct {
    const char *name;
    rill_update_kernel *const *kernels; /* by dtype */
    int states;                         /* how many it wants */
    double initial;                     /* what they are filled with */
    double lr, weight_decay;
    const void *attrs; /* for the kernel; copied */
    size_t attrs_size;
} rill_optim_plan;

rill_optim *rill_optim_new(rill_params *p, const rill_optim_plan *plan);

/* A constructor's checks, after rill_optim_new: a value that fails is an
 * error that cannot be cleared. o may be NULL. */
void rill_optim_not_negative(rill_optim *o, const char *name, double value);
void rill_optim_below_one(rill_optim *o, const char *name, double value);
void rill_optim_refuse(rill_optim *o, const char *sentence);

#pragma GCC visibility pop

#endif
