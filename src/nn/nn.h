/* nn.h: what trains. Parameter sets, layers, initialisers, optimisers,
 * schedules, data and measures; all of it made of what tensor.h and ops.h
 * export.
 *
 * A parameter set, an optimiser and a data set keep their own first error as
 * a sentence (rill_*_error); where a tape is at hand it gets the sentence
 * too. A constructor returns NULL only when memory ran out, or when it says
 * so. */
#ifndef RILL_NN_H
#define RILL_NN_H

#include "../ops/ops.h"

RILL_API_BEGIN

/* ---- parameter sets ----------------------------------------------------- */

typedef struct rill_params rill_params; /* named parameters, their owner */

rill_params *rill_params_new(rill_dtype dtype, uint64_t seed);
void rill_params_free(rill_params *p);
const char *rill_params_error(const rill_params *p);
void rill_params_clear_error(rill_params *p);
rill_tensor *rill_params_add(rill_params *p, const char *name,
                             rill_shape shape); /* starts as zeros */
rill_tensor *rill_params_find(const rill_params *p, const char *name);
int rill_params_len(const rill_params *p);      /* how many tensors */
rill_tensor *rill_params_at(const rill_params *p, int i);
int64_t rill_params_count(const rill_params *p); /* how many numbers */
rill_rng *rill_params_rng(rill_params *p);       /* initialisers draw here */
void rill_params_print(FILE *f, const rill_params *p); /* a summary table */
bool rill_params_freeze(rill_params *p, const char *prefix);
bool rill_params_unfreeze(rill_params *p, const char *prefix);
bool rill_params_snapshot(rill_params *p); /* keeps a copy of the values */
bool rill_params_restore(rill_params *p);  /* puts the kept copy back */
bool rill_params_accumulate(rill_params *p, rill_tape *t);
const rill_tensor *rill_params_grad(const rill_params *p,
                                    const rill_tensor *w); /* the sum kept */
double rill_clip_grad_norm(rill_params *p, rill_tape *t, double max_norm);
double rill_clip_grad_norm_inf(rill_params *p, rill_tape *t, double max_norm);
bool rill_clip_grad_value(rill_params *p, rill_tape *t, double max_value);
              /* of the gradients on t; t NULL: those accumulated */

/* ---- initialisers: fill a parameter by the set's generator -------------- */

bool rill_init_constant(rill_params *p, rill_tensor *w, double value);
bool rill_init_uniform(rill_params *p, rill_tensor *w, double low,
                       double high);
bool rill_init_normal(rill_params *p, rill_tensor *w, double mean,
                      double std);
bool rill_init_xavier_uniform(rill_params *p, rill_tensor *w, double gain);
bool rill_init_xavier_normal(rill_params *p, rill_tensor *w, double gain);
bool rill_init_kaiming_uniform(rill_params *p, rill_tensor *w, double slope);
bool rill_init_kaiming_normal(rill_params *p, rill_tensor *w, double slope);
              /* slope: of the leaky relu that follows; 0 for a relu */

/* ---- layers ------------------------------------------------------------- */

/* The layers' tensors belong to the set that they were made in. */
typedef struct {
    rill_tensor *weight, *bias; /* [out, in], [out] */
} rill_nn_linear; /* x W^T + b */

typedef struct {
    rill_tensor *weight; /* [count, width] */
} rill_nn_embedding; /* rows of weight, by index */

typedef struct {
    rill_tensor *weight, *bias; /* [width] */
} rill_nn_layer_norm; /* over the last dimension */

/* rill_sigmoid, rill_relu, ..., or a function of one's own. */
typedef rill_tensor *rill_activation(rill_tape *t, const rill_tensor *x);

typedef struct {
    rill_activation *activation; /* between layers; NULL: rill_sigmoid */
    double dropout;              /* after each activation */
    bool layer_norm;             /* before each activation */
} rill_nn_mlp_opts;

typedef struct {
    int n;                    /* how many linear layers */
    rill_nn_linear *layer;    /* the set's memory */
    rill_nn_layer_norm *norm; /* n - 1 of them, or NULL */
    rill_nn_mlp_opts opts;    /* that it was made with */
} rill_nn_mlp; /* linear layers, activations between them */

rill_nn_linear rill_nn_linear_new(rill_params *p, const char *name,
                                  int64_t in, int64_t out);
rill_tensor *rill_nn_linear_apply(rill_tape *t, const rill_nn_linear *l,
                                  const rill_tensor *x);
rill_nn_embedding rill_nn_embedding_new(rill_params *p, const char *name,
                                        int64_t count, int64_t width);
rill_tensor *rill_nn_embedding_apply(rill_tape *t, const rill_nn_embedding *l,
                                     const rill_tensor *indices);
rill_nn_layer_norm rill_nn_layer_norm_new(rill_params *p, const char *name,
                                          int64_t width);
rill_tensor *rill_nn_layer_norm_apply(rill_tape *t,
                                      const rill_nn_layer_norm *l,
                                      const rill_tensor *x);
rill_nn_mlp rill_nn_mlp_new(rill_params *p, const char *name,
                            const int64_t *widths, int n_widths,
                            const rill_nn_mlp_opts *opts);
rill_tensor *rill_nn_mlp_apply(rill_tape *t, const rill_nn_mlp *m,
                               const rill_tensor *x);

/* ---- optimisers --------------------------------------------------------- */

typedef struct rill_optim rill_optim; /* what steps a set's parameters */

typedef struct {
    double lr;           /* no default: 0 is refused */
    double momentum;     /* 0: none */
    double weight_decay; /* 0: none */
    bool nesterov;       /* needs a momentum */
} rill_sgd_opts;

typedef struct {
    double lr;           /* no default: 0 is refused */
    const double *betas; /* two of them; NULL: 0.9, 0.999 */
    double eps;          /* 0: 1e-8 */
    double weight_decay; /* 0: none */
} rill_adam_opts;

typedef rill_adam_opts rill_adamw_opts; /* weight_decay is decoupled */

typedef struct {
    double lr;           /* no default: 0 is refused */
    double alpha;        /* 0: 0.99 */
    double eps;          /* 0: 1e-8 */
    double momentum;     /* 0: none */
    double weight_decay; /* 0: none */
} rill_rmsprop_opts;

typedef struct {
    double lr;                  /* no default: 0 is refused */
    double lr_decay;            /* after n steps: lr / (1 + n lr_decay) */
    double weight_decay;        /* 0: none */
    double initial_accumulator; /* of squared gradients */
    double eps;                 /* 0: 1e-10 */
} rill_adagrad_opts;

typedef struct {
    double lr;                  /* 0: the optimiser's */
    const double *weight_decay; /* NULL: the optimiser's */
} rill_group_opts;

rill_optim *rill_sgd_new(rill_params *p, const rill_sgd_opts *opts);
rill_optim *rill_adam_new(rill_params *p, const rill_adam_opts *opts);
rill_optim *rill_adamw_new(rill_params *p, const rill_adamw_opts *opts);
rill_optim *rill_rmsprop_new(rill_params *p, const rill_rmsprop_opts *opts);
rill_optim *rill_adagrad_new(rill_params *p, const rill_adagrad_opts *opts);
void rill_optim_free(rill_optim *o);
const char *rill_optim_error(const rill_optim *o);
void rill_optim_clear_error(rill_optim *o);
bool rill_optim_group(rill_optim *o, const char *prefix,
                      const rill_group_opts *opts);
double rill_optim_lr(const rill_optim *o);
bool rill_optim_set_lr(rill_optim *o, double lr); /* groups keep their ratio */
bool rill_optim_step(rill_optim *o, rill_tape *t);
              /* by the gradients on t; t NULL: those accumulated */

/* ---- schedules: the learning rate of a step, counted from 0 ------------- */

typedef struct {
    double pct_start;        /* 0: 0.3 */
    double div_factor;       /* 0: 25 */
    double final_div_factor; /* 0: 1e4 */
    bool linear;             /* else cosine */
} rill_one_cycle_opts;

double rill_lr_step(double lr, int64_t step, int64_t step_size, double gamma);
double rill_lr_exponential(double lr, int64_t step, double gamma);
double rill_lr_cosine(double lr, int64_t step, int64_t steps, double lr_min);
double rill_lr_warmup(double lr, int64_t step, int64_t steps,
                      double start_factor);
double rill_lr_one_cycle(double lr_max, int64_t step, int64_t steps,
                         const rill_one_cycle_opts *opts);

/* ---- data --------------------------------------------------------------- */

/* Rows [N, F] and their int32 labels [N]; a set without labels has no
 * classes, and its batches' labels are NULL. */
typedef struct rill_dataset rill_dataset;

typedef struct {
    bool header;           /* the first line names the columns */
    const char *label;     /* a column's name, or its number from 0, or from
                              -1 backwards; NULL: the last one */
    bool no_label;         /* there is none: every column is a feature */
    char separator;        /* 0: ',' */
    const rill_dataset *like; /* the same classes and columns in the same
                                 order; or NULL */
} rill_csv_opts;

rill_dataset *rill_dataset_csv(const char *path, rill_dtype dtype,
                               const rill_csv_opts *opts);
rill_dataset *rill_dataset_idx(const char *images, const char *labels,
                               rill_dtype dtype, const rill_dataset *like);
rill_dataset *rill_dataset_from(const double *x, const int32_t *labels,
                                int64_t n, int64_t features, int classes,
                                rill_dtype dtype);
void rill_dataset_free(rill_dataset *d);
const char *rill_dataset_error(const rill_dataset *d);
void rill_dataset_clear_error(rill_dataset *d);
int64_t rill_dataset_len(const rill_dataset *d);
int64_t rill_dataset_features(const rill_dataset *d);
int rill_dataset_classes(const rill_dataset *d);
const char *rill_dataset_class_name(const rill_dataset *d, int c);
const char *rill_dataset_feature_name(const rill_dataset *d, int64_t f);
bool rill_dataset_class_counts(const rill_dataset *d, int64_t *counts);
bool rill_dataset_statistics(rill_dataset *d, double *mean, double *std);
bool rill_dataset_standardise(rill_dataset *d, const double *mean,
                              const double *std); /* (x - mean) / std */
bool rill_dataset_shuffle(rill_dataset *d, rill_rng *r);
              /* the same r, the same order, whatever it was before */
rill_dataset *rill_dataset_split(rill_dataset *d, double fraction);
              /* cuts that share off the end: a data set of its own */
int64_t rill_dataset_batches(const rill_dataset *d, int64_t batch_size);
bool rill_dataset_batch(const rill_dataset *d, rill_tape *t, int64_t i,
                        int64_t batch_size, rill_tensor **x,
                        rill_tensor **y);
              /* views of the rows: shuffle only between resets */

/* ---- files: safetensors ------------------------------------------------- */

/* A file that was read. It carries its own error. */
typedef struct rill_safetensors rill_safetensors;

/* A list of these ends with a NULL key. */
typedef struct {
    const char *key, *value; /* text in UTF-8 */
} rill_metadata;

typedef struct {
    bool partial; /* take what is there, leave the rest as it is */
} rill_load_opts;

bool rill_params_save(rill_params *p, const char *path,
                      const rill_metadata *metadata);
bool rill_params_load(rill_params *p, const char *path,
                      const rill_load_opts *opts);
rill_safetensors *rill_safetensors_open(const char *path);
void rill_safetensors_free(rill_safetensors *f);
const char *rill_safetensors_error(const rill_safetensors *f);
int rill_safetensors_len(const rill_safetensors *f);
const char *rill_safetensors_name(const rill_safetensors *f, int i);
const char *rill_safetensors_metadata(const rill_safetensors *f,
                                      const char *key);
rill_tensor *rill_safetensors_get(rill_tape *t, const rill_safetensors *f,
                                  const char *name);
bool rill_safetensors_write(rill_tape *t, const char *path,
                            const char *const *names,
                            const rill_tensor *const *x, int n,
                            const rill_metadata *metadata);

/* All that a run needs to be taken up again, to the bit. */
typedef struct {
    rill_params *params; /* the rest may be NULL: */
    rill_optim *optim;   /* made with the same options */
    rill_tape *tape;     /* that trains: its dropout goes on */
    rill_rng *rng;       /* the program's own */
    int64_t *step;       /* the program's own count, for its schedule */
} rill_checkpoint;

bool rill_checkpoint_save(const rill_checkpoint *c, const char *path);
bool rill_checkpoint_load(const rill_checkpoint *c, const char *path);

/* ---- measures ----------------------------------------------------------- */

double rill_accuracy(const rill_tensor *logits, const rill_tensor *labels);
bool rill_confusion_add(int64_t *counts, int classes,
                        const rill_tensor *logits, const rill_tensor *labels);
              /* counts[true * classes + predicted] */
double rill_precision(const int64_t *counts, int classes, int c);
double rill_recall(const int64_t *counts, int classes, int c);
void rill_confusion_print(FILE *f, const int64_t *counts, int classes,
                          const char *const *names); /* NULL: numbers */

RILL_API_END

#endif
