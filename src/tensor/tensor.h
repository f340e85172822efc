/* tensor.h: values, tapes, errors, random numbers. It knows no op.
 *
 * Every docstring in full stands above the definition. */
#ifndef RILL_TENSOR_H
#define RILL_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Everything between BEGIN and END is exported; nothing else is. */
#ifdef __cplusplus
#define RILL_API_BEGIN _Pragma("GCC visibility push(default)") extern "C" {
#define RILL_API_END } _Pragma("GCC visibility pop")
#else
#define RILL_API_BEGIN _Pragma("GCC visibility push(default)")
#define RILL_API_END _Pragma("GCC visibility pop")
#endif

RILL_API_BEGIN

/* ---- versions, types and shapes ----------------------------------------- */

/* Of the header; rill_version tells the library's. What is compatible has
 * the same major and, while that is 0, the same minor number. */
#define RILL_VERSION_MAJOR 0
#define RILL_VERSION_MINOR 1
#define RILL_VERSION_PATCH 0
const char *rill_version(void); /* "0.1.0" */

typedef struct rill_tape rill_tape;     /* records ops, owns their results */
typedef struct rill_tensor rill_tensor; /* an immutable value */
typedef struct rill_node rill_node;     /* an op that ran, or a leaf */

/* float32, float64, and int32 for class indices and masks. */
typedef enum { RILL_F32, RILL_F64, RILL_I32 } rill_dtype;

/* How many dimensions a tensor may have. */
#define RILL_MAX_DIMS 8

/* Of a tensor; the last dimension is the one that lies dense. */
typedef struct {
    int ndim;                   /* 0: a scalar */
    int64_t dim[RILL_MAX_DIMS]; /* the sizes */
} rill_shape;

#ifdef __cplusplus
} /* templates may not have C linkage */
template <class... T> inline rill_shape rill_shape_from(T... d)
{
    return rill_shape{ (int)sizeof...(d), { (int64_t)d... } };
}
extern "C" {
#define RILL_SHAPE(...) rill_shape_from(__VA_ARGS__)
#define RILL_SCALAR rill_shape_from()
#else
/* RILL_SHAPE(32, 5) is a [32, 5]; RILL_SCALAR has no dimensions. */
#define RILL_SHAPE(...)                                                  \
    ((rill_shape){ sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), \
                   { __VA_ARGS__ } })
#define RILL_SCALAR ((rill_shape){ 0, { 0 } })
#endif

/* ---- tapes -------------------------------------------------------------- */

/* Is given each error or warning as a sentence. */
typedef void rill_hook(const char *message, void *user);

typedef struct {
    rill_hook *on_error;   /* called with the first error; NULL: none */
    rill_hook *on_warning; /* called with each warning; NULL: none */
    void *user;            /* handed to both hooks */
    uint64_t seed;         /* of dropout's masks */
} rill_tape_opts;

rill_tape *rill_tape_new(const rill_tape_opts *opts);
void rill_tape_free(rill_tape *t);
void rill_tape_reset(rill_tape *t);              /* ends a step */
bool rill_tape_record(rill_tape *t, bool on);    /* off: evaluate only */
bool rill_tape_train(rill_tape *t, bool on);     /* on: dropout drops */
                                     /* both return what it was before */
uint64_t rill_tape_step(const rill_tape *t);     /* resets so far */
void rill_tape_set_step(rill_tape *t, uint64_t step); /* for dropout */
size_t rill_tape_bytes(const rill_tape *t);      /* in use since reset */
size_t rill_tape_peak_bytes(const rill_tape *t); /* the most ever in use */
void *rill_tape_alloc(rill_tape *t, size_t bytes); /* lives until reset */
const char *rill_tape_isa(const rill_tape *t);     /* "avx2", ... */

/* ---- errors and warnings ------------------------------------------------ */

const char *rill_error(const rill_tape *t);   /* the first one; NULL: none */
void rill_clear_error(rill_tape *t);          /* errors and warnings both */
const char *rill_warning(const rill_tape *t); /* the first one; NULL: none */
void *rill_fail(rill_tape *t, const char *format, ...) /* always NULL */
    __attribute__((format(printf, 2, 3)));
void rill_warn(rill_tape *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void rill_die(const char *message, void *user); /* a hook: print and exit 1 */

/* ---- threads: of the whole process -------------------------------------- */

void rill_set_threads(int n); /* that share a large loop; results are the
                                 same bits for every number */
int rill_threads(void);

/* ---- random numbers: the same seed gives the same stream for ever ------- */

/* A generator is these two numbers: { .seed = 1 } is one, a copy draws the
 * same. */
typedef struct {
    uint64_t seed;  /* which stream */
    uint64_t drawn; /* how many 64-bit numbers so far */
} rill_rng;

uint64_t rill_rng_next(rill_rng *r);    /* 64 random bits */
double rill_rng_uniform(rill_rng *r);   /* in [0, 1), 53 bits */
double rill_rng_normal(rill_rng *r);    /* mean 0, variance 1 */
uint64_t rill_rng_below(rill_rng *r, uint64_t n); /* in [0, n), unbiased */

/* ---- making tensors ----------------------------------------------------- */

rill_tensor *rill_zeros(rill_tape *t, rill_dtype dtype, rill_shape shape);
rill_tensor *rill_full(rill_tape *t, double value, rill_dtype dtype,
                       rill_shape shape);
rill_tensor *rill_from(rill_tape *t, const double *values, rill_dtype dtype,
                       rill_shape shape); /* converts to dtype */
rill_tensor *rill_copy(rill_tape *t, const void *data, rill_dtype dtype,
                       rill_shape shape); /* data is of dtype already */
rill_tensor *rill_view(rill_tape *t, const void *data, rill_dtype dtype,
                       rill_shape shape); /* no copy: the caller's memory */
rill_tensor *rill_uniform(rill_tape *t, rill_rng *r, double low, double high,
                          rill_dtype dtype, rill_shape shape);
rill_tensor *rill_normal(rill_tape *t, rill_rng *r, double mean, double std,
                         rill_dtype dtype, rill_shape shape);
rill_tensor *rill_empty(rill_tape *t, rill_dtype dtype, rill_shape shape);
rill_tensor *rill_like(rill_tape *t, const rill_tensor *x); /* empty too */

/* ---- reading tensors ---------------------------------------------------- */

rill_dtype rill_dtype_of(const rill_tensor *x);
rill_shape rill_shape_of(const rill_tensor *x);
int rill_ndim(const rill_tensor *x);
int64_t rill_dim(const rill_tensor *x, int d); /* -1 is the last one */
int64_t rill_numel(const rill_tensor *x);
double rill_item(const rill_tensor *x); /* of one element; else NaN */
double rill_at(const rill_tensor *x, int64_t i); /* i: row-major; or NaN */
double rill_norm(const rill_tensor *x);          /* sqrt of sum of squares */
const float *rill_f32(const rill_tensor *x);   /* NULL if of another dtype */
const double *rill_f64(const rill_tensor *x);  /* NULL if of another dtype */
const int32_t *rill_i32(const rill_tensor *x); /* NULL if of another dtype */
const void *rill_data(const rill_tensor *x);
void *rill_write(rill_tensor *x); /* to fill what is new, or change a
                                     variable */
const char *rill_dtype_name(rill_dtype dtype); /* "float32", ... */
void rill_print(FILE *f, const rill_tensor *x); /* as NumPy prints */

/* ---- leaves ------------------------------------------------------------- */

/* A leaf is where gradients arrive. rill_watch makes one of any value; a
 * variable is one for every tape that uses it, and may change between steps:
 * parameters are variables. */
rill_tensor *rill_watch(rill_tape *t, const rill_tensor *x);
rill_tensor *rill_detach(rill_tape *t, const rill_tensor *x);
rill_tensor *rill_variable(rill_tape *home, const char *name,
                           rill_dtype dtype, rill_shape shape);
void rill_variable_freeze(rill_tensor *v, bool on); /* on: a constant */
bool rill_variable_frozen(const rill_tensor *v);
rill_tensor *rill_named(rill_tape *t, rill_tensor *x, const char *name);
const char *rill_name(const rill_tensor *x); /* "" when it has none */

/* ---- recording: what an op of one's own needs --------------------------- */

/* A backward rule sets gx[i], for each input i that rill_node_wants, to the
 * gradient in that input, made of rill's ops; the sweep un-broadcasts and
 * adds up. gy is the gradient in the node's output. */
typedef void rill_rule(rill_tape *t, const rill_node *n,
                       const rill_tensor *gy, const rill_tensor **gx);

enum { RILL_OP_NO_LOGITS = 1 }; /* its output should not enter a loss that
                                   wants logits */

/* What is the same for every run of an op: one static one each. */
typedef struct {
    const char *name;    /* "sigmoid" */
    const char *formula; /* of the gradient: "dx = dy y (1 - y)" */
    rill_rule *backward; /* NULL: not differentiable */
    rill_rule *fused;    /* as backward, unrecorded and faster; or NULL */
    unsigned flags;      /* RILL_OP_NO_LOGITS, or 0 */
    const char *numbers; /* what the doubles are called that attrs begin with,
                            to be shown: "low high"; or NULL */
} rill_op;

rill_tensor *rill_record(rill_tape *t, const rill_op *op, rill_tensor *y,
                         const rill_tensor **inputs, int n_inputs,
                         const void *attrs);
bool rill_usable(rill_tape *t, const char *op, const char *argument,
                 const rill_tensor *x); /* else an error stands on the tape */
bool rill_node_wants(const rill_node *n, int i);
const rill_tensor *rill_node_input(const rill_node *n, int i);
const rill_tensor *rill_node_output(const rill_node *n);
const void *rill_node_attrs(const rill_node *n);

/* ---- reading the record ------------------------------------------------- */

int rill_tape_len(const rill_tape *t); /* nodes since reset, leaves too */
const rill_node *rill_tape_node(const rill_tape *t, int i);
int rill_node_index(const rill_node *n); /* on its tape */
const rill_op *rill_node_op(const rill_node *n); /* NULL: a leaf */
int rill_node_inputs(const rill_node *n);        /* how many */
const rill_node *rill_node_source(const rill_node *n, int i);
                                    /* of input i; NULL: a constant */
const rill_tensor *rill_node_grad(const rill_node *n, int i);
              /* what the last backward passed on to input i; or NULL */

/* Who looks on as a tape works. Each function may be NULL, may stop the work
 * with rill_fail, and runs no op. */
typedef struct {
    void (*op)(rill_tape *t, const rill_op *op, const rill_tensor *y,
               const rill_tensor *const *x, int n, void *user);
        /* after each op that a program runs, recorded or not: y is op of the
           n inputs x */
    void (*rule)(rill_tape *t, const rill_node *n, const rill_tensor *gy,
                 const rill_tensor *const *gx, void *user);
        /* in a backward after each rule: it gave input i gx[i], or NULL;
           and at each leaf, whose gradient gy is whole then */
    void *user; /* handed to both */
} rill_observer;

enum { RILL_MAX_OBSERVERS = 4 }; /* on one tape at a time */
bool rill_tape_observe(rill_tape *t, const rill_observer *o);
bool rill_tape_unobserve(rill_tape *t, const rill_observer *o);

/* Called in a backward with the whole gradient in x before it is passed on;
 * returns what to put in its place, or NULL to leave it. May run ops. */
typedef const rill_tensor *rill_grad_hook(rill_tape *t, const rill_tensor *x,
                                          const rill_tensor *grad,
                                          void *user);
bool rill_on_grad(rill_tape *t, const rill_tensor *x, rill_grad_hook *hook,
                  void *user); /* until reset */

RILL_API_END

#endif
