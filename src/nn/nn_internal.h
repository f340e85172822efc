/* nn_internal.h: what the files of src/nn share.
 *
 * A parameter set, an optimiser and a data set have a tape of their own,
 * their home, which is never reset: all their memory comes from it, their
 * error is its error, and freeing it frees them. */
#ifndef RILL_NN_INTERNAL_H
#define RILL_NN_INTERNAL_H

#include "nn.h"

#pragma GCC visibility push(hidden)

struct rill_params {
    rill_tape *home;
    rill_dtype dtype;
    rill_rng rng;
    int n;
    struct rill_param {
        rill_tensor *w;
        rill_tensor *sum;  /* of gradients; NULL: none was ever needed */
        bool summed;       /* there is something in it */
        rill_tensor *kept; /* the snapshot's copy, or NULL */
    } *at;
};

/* <type>_free, <type>_error and <type>_clear_error of an object. */
#define RILL_NN_OBJECT(type, what, for_good)                  \
    void type##_free(type *x)                                 \
    {                                                         \
        if (x)                                                \
            rill_tape_free(x->home);                          \
    }                                                         \
    const char *type##_error(const type *x)                   \
    {                                                         \
        return x ? rill_error(x->home) : what " is NULL";     \
    }                                                         \
    void type##_clear_error(type *x)                          \
    {                                                         \
        if (x && !(for_good))                                 \
            rill_clear_error(x->home);                        \
    }

/* Puts an object's error, if any, on the tape at hand too, so that its hook
 * sees it. Whether there was none. */
bool rill_nn_well(rill_tape *t, const char *error);

/* Whether value is in [0, end); else an error at home. */
bool rill_nn_within(rill_tape *home, const char *who, const char *name,
                    double value, double end);

/* The array, or a larger one on home: element n has room. */
void *rill_nn_grow(rill_tape *home, void *array, int n, size_t size);

/* Text as printf makes it, on t; NULL with an error. */
char *rill_nn_text(rill_tape *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether any name begins so; else an error at home. */
bool rill_params_any(const rill_params *p, rill_tape *home, const char *who,
                     const char *prefix);
bool rill_params_begins(const rill_params *p, int i, const char *prefix);

/* The gradient to learn parameter i by: the tape's; t NULL: the sum kept.
 * NULL where there is none or the parameter is frozen. */
rill_tensor *rill_params_gradient(const rill_params *p, rill_tape *t, int i);
/* Whether there is one at all: else an error at home and on t. False on a
 * failed tape too, and for a failed set, of which t is told. */
bool rill_params_learn(const rill_params *p, rill_tape *t, rill_tape *home,
                       const char *who);

/* Whether f was read and every parameter can be had from it, or, where
 * partial, one; else an error on the set. */
bool rill_params_fit(const rill_params *p, const rill_safetensors *f,
                     bool partial);
/* Fills the parameters from a file that fits. */
void rill_params_take(rill_params *p, const rill_safetensors *f);

/* ---- data --------------------------------------------------------------- */

struct rill_dataset {
    rill_tape *home;
    rill_tensor *x, *y; /* rows [n or more, features] and int32 labels, or
                           NULL */
    int64_t n;
    int classes;
    const char **class_names;   /* sorted, numbers by value and first */
    const char **feature_names; /* NULL: the columns have none */
    int64_t *order; /* the original row at each place, then as many to work
                       with; NULL: never shuffled */
};

/* A set without rows; with like's error, unless like is NULL. */
rill_dataset *rill_dataset_new(rill_dtype dtype, const rill_dataset *like);
/* Gives it n rows and its classes, copies of names or numbers; none of them
 * where it has an error. Returns d. */
rill_dataset *rill_dataset_made(rill_dataset *d, int64_t n, int classes,
                                const char *const *names);
/* The whole file, plain or gzip, and a zero byte after it, for the caller to
 * free. NULL, with an error at home, where it cannot be read. */
void *rill_dataset_load(rill_tape *home, const char *who, const char *path,
                        size_t *bytes);
void rill_dataset_set(rill_dataset *d, int64_t i, double v); /* x[i] = v */

/* ---- optimisers --------------------------------------------------------- */

enum { RILL_OPTIM_STATES = 2, RILL_OPTIM_OPTIONS = 6 };

/* A number that was chosen, refused outside [0, end). */
typedef struct {
    const char *name; /* NULL: none */
    double value, end;
} rill_option;

/* What a kernel is handed to move one parameter. */
typedef struct {
    void *w;
    const void *g;
    void *state[RILL_OPTIM_STATES]; /* of w's size; NULL: not wanted */
    size_t n;
    double lr, weight_decay;
    double step;               /* of this parameter, from 1 */
    double lr_ratio;           /* to the optimiser's lr */
    const rill_option *option; /* the plan's */
} rill_update;

typedef struct {
    const char *name;
    void (*const *kernels)(const rill_update *u); /* by dtype */
    double lr, weight_decay;
    rill_option option[RILL_OPTIM_OPTIONS]; /* its own, in any order */
    bool wants[RILL_OPTIM_STATES];
    double initial; /* what states start as */
} rill_optim_plan;

struct rill_optim {
    rill_tape *home;
    rill_params *params;
    rill_optim_plan plan;
    double lr;
    bool refused; /* when it was made: for good */
    int n;
    rill_update *slot; /* kept from step to step */
};

/* A slot for each parameter that the set has by now. */
bool rill_optim_slots(rill_optim *o);
/* The state that parameter i wants. */
bool rill_optim_state(rill_optim *o, int i);
rill_optim *rill_optim_new(rill_params *p, const rill_optim_plan *plan);

#pragma GCC visibility pop

#if defined MAPS || defined KERNEL_FILE /* which may know the types above */
#include "../tensor/each_kernel.h"
#endif

#endif
