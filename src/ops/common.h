/* common.h: what the op files share. An op checks its arguments before it
 * reads them, computes into a fresh tensor, and records. rill_elementwise
 * does all of it: what it refuses, the docstrings do not repeat. */
#ifndef RILL_OPS_COMMON_H
#define RILL_OPS_COMMON_H

#include "../tensor/core.h"
#include "ops.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#pragma GCC visibility push(hidden)

/* ---- checks: false, or -1, with an error on the tape -------------------- */

/* rill_usable, and of a float dtype. */
bool rill_usable_float(rill_tape *t, const char *op, const char *argument,
                       const rill_tensor *x);
bool rill_same_dtype(rill_tape *t, const char *op, const char *name_a,
                     const rill_tensor *a, const char *name_b,
                     const rill_tensor *b);
/* Both of float dtypes, and of one. */
bool rill_usable_floats(rill_tape *t, const char *op, const char *name_a,
                        const rill_tensor *a, const char *name_b,
                        const rill_tensor *b);
/* dim counted from 0, of a shape with ndim dimensions; -1 is refused */
int rill_resolve_dim(rill_tape *t, const char *op, int dim, int ndim);
/* The same of several, in place, none twice; marks them. */
bool rill_resolve_dims(rill_tape *t, const char *op, rill_dims *dims,
                       int ndim, bool *seen);

/* A copy of an op's attributes on the tape. */
void *rill_attrs(rill_tape *t, const void *attrs, size_t size);

/* The head of a backward rule: gx from gy, the gradient in n's output. */
#define RULE(name)                                                \
    void name(__attribute__((unused)) rill_tape *t,               \
              __attribute__((unused)) const rill_node *n,         \
              __attribute__((unused)) const rill_tensor *gy,      \
              const rill_tensor **gx)

/* A rule <name>_backward that is one expression: the one input's gradient. */
#define DX(name, ...)            \
    static RULE(name##_backward) \
    {                            \
        gx[0] = (__VA_ARGS__);   \
    }

/* The descriptor of an op with a rule <name>_backward, or with others. */
#define OP(name, formula) OP_AS(name, formula, name##_backward, NULL)
#define OP_AS(name, formula, backward, fused) \
    OP_WITH(name, formula, backward, fused, 0, NULL)
#define OP_WITH(name, formula, backward, fused, flags, numbers)            \
    static const rill_op name##_op = { #name, formula, backward, fused,    \
                                       flags, numbers };

/* The inputs of an op as two arguments: their array, and how many. */
#define INPUTS(...) \
    (const rill_tensor *[]){ __VA_ARGS__ }, \
        (int)(sizeof((const rill_tensor *[]){ __VA_ARGS__ }) / \
              sizeof(rill_tensor *))

/* ---- elementwise -------------------------------------------------------- */

/* A kernel of each_kernel.h's MAP kind. */
typedef void rill_map_kernel(void *y, const void *const *x, size_t n,
                             const void *attrs);
typedef rill_map_kernel *const rill_map_table[2]; /* of float and double */
enum { RILL_MAP_MAX_INPUTS = 4 };

/* Elements in a part of a loop that threads may share. */
enum { RILL_PART = 1 << 15 };

/* The descriptor and the public function of an elementwise op that has nothing
 * more to it than <name>_kernels and <name>_backward: of one tensor, of one
 * and a number s, of two; and of one with a fused rule too, the kernel
 * <name>_grad of the output and its gradient. */
#define UNARY(name, formula)                                               \
    OP(name, formula)                                                      \
    ELEMENTWISE(name, INPUTS(x), NULL, const rill_tensor *x)
#define NUMBERED(name, formula, s)                                         \
    OP_WITH(name, formula, name##_backward, NULL, 0, #s)                   \
    ELEMENTWISE(name, INPUTS(x), ((double[2]){ s }), const rill_tensor *x, \
                double s)
#define BINARY(name, formula)                                              \
    OP(name, formula)                                                      \
    ELEMENTWISE(name, INPUTS(a, b), NULL, const rill_tensor *a,            \
                const rill_tensor *b)
#define UNARY_FUSED(name, formula, flags)                                  \
    static RULE(name##_fused)                                              \
    {                                                                      \
        const rill_tensor *y = rill_node_output(n);                        \
        gx[0] = rill_map(t, #name, name##_grad_kernels, INPUTS(y, gy),     \
                         gy->dtype, NULL);                                 \
    }                                                                      \
    OP_WITH(name, formula, name##_backward, name##_fused, flags, NULL)     \
    ELEMENTWISE(name, INPUTS(x), NULL, const rill_tensor *x)
#define ELEMENTWISE(name, inputs, numbers, ...)                            \
    rill_tensor *rill_##name(rill_tape *t, __VA_ARGS__)                    \
    {                                                                      \
        return rill_elementwise(t, &name##_op, name##_kernels, inputs,     \
                                numbers);                                  \
    }

/* Makes *to the shape that broadcasting it with another gives; false where
 * the two do not fit. */
bool rill_broadcast(rill_shape *to, const rill_shape *with);
/* Whether broadcasting with `from` leaves `to` as it is. */
bool rill_broadcasts(const rill_shape *from, const rill_shape *to);
/* Where element i of a tensor of shape `to` lies in one of shape `from`, which
 * broadcasts to it. */
int64_t rill_broadcast_index(const rill_shape *from, const rill_shape *to,
                             int64_t i);
/* Computes only. The kernel is chosen by the dtype of the last input. */
rill_tensor *rill_map(rill_tape *t, const char *op, rill_map_table *kernels,
                      const rill_tensor **x, int n, rill_dtype dtype,
                      const void *attrs);
/* The same to a shape that all inputs are known to broadcast to. */
rill_tensor *rill_map_to(rill_tape *t, rill_shape shape,
                         rill_map_table *kernels, const rill_tensor **x,
                         int n, rill_dtype dtype, const void *attrs);
/* Checks float inputs of one dtype, computes, records; numbers: NULL or
 * two. */
rill_tensor *rill_elementwise(rill_tape *t, const rill_op *op,
                              rill_map_table *kernels, const rill_tensor **x,
                              int n, const double *numbers);
/* y += x, of one shape and dtype: for the sweep's own sums. */
void rill_add_into(rill_tape *t, rill_tensor *y, const rill_tensor *x);

/* ---- reductions --------------------------------------------------------- */

/* x seen as [outer, n, inner], to be reduced over n. */
typedef struct {
    size_t outer, n, inner;
    const void *x;         /* a copy in another order where dims lie apart */
    rill_shape shape;      /* of the result */
    rill_shape kept_shape; /* the same with size 1 where it was reduced */
    double divisor;        /* of a sum */
    int takes;             /* as follows */
} rill_reduction_view;

/* What a reduction's kernel takes, besides rows of n elements or more. */
enum {
    RILL_OF_NOTHING = 1, /* rows of none */
    RILL_COLUMNS = 2,    /* rows of [n, inner] with any inner */
    RILL_OF_MEAN = 4,    /* a divisor that is n, not 1 */
    RILL_OF_MIN = 8,     /* the smallest in place of the largest */
    RILL_OF_INDEX = 16   /* int32 for its result */
};

/* Sets v for a reduction over dims (none: all), as the kernel takes it. */
bool rill_reduce(rill_tape *t, const char *op, const rill_tensor *x,
                 rill_dims dims, bool keepdim, int takes,
                 rill_reduction_view *v);

/* Rows [from, to) of n elements each; of y as the kernel has it. */
typedef void rill_row_kernel(void *y, const void *const *x, size_t from,
                             size_t to, size_t n, const void *attrs);
typedef rill_row_kernel *const rill_row_table[2];
/* In parts that depend on the rows' size alone. */
void rill_run_rows(rill_row_kernel *kernel, void *y, const void *const *x,
                   size_t rows, size_t n, const void *attrs);
rill_tensor *rill_reduce_op(rill_tape *t, const rill_op *op,
                            rill_row_table *kernels, const rill_tensor *x,
                            const rill_reduce_opts *opts, int takes);
/* The descriptor and the public function of an op that makes one element of
 * each row. Its node's attrs are the result's shape with reduced dims as 1,
 * its kernel's the view. */
#define REDUCTION(name, formula, backward, kernels, takes)                 \
    OP_AS(name, formula, backward, NULL)                                   \
    rill_tensor *rill_##name(rill_tape *t, const rill_tensor *x,           \
                             const rill_reduce_opts *opts)                 \
    {                                                                      \
        return rill_reduce_op(t, &name##_op, kernels##_kernels, x, opts,   \
                              takes);                                      \
    }
double rill_sum_all(rill_tape *t, const rill_tensor *x); /* in double */

/* ---- matrices ----------------------------------------------------------- */

/* c[m, n] = a[m, k] b[k, n], a and b stored transposed or not, the rows of
 * what is stored ld elements apart. */
typedef struct {
    bool transpose_a, transpose_b;
    int64_t m, n, k;
    const void *a, *b;
    int64_t lda, ldb;
    void *c;
    int64_t ldc;
    bool add; /* to c, else c is written and not read */
} rill_gemm_args;

/* False, with an error, where a size is beyond what cblas counts with. */
bool rill_gemm(rill_tape *t, const char *op, rill_dtype dtype,
               const rill_gemm_args *g);

/* Whether weight and bias (or NULL) fit rows of x, for linear and its kin. */
bool rill_linear_usable(rill_tape *t, const char *op, const rill_tensor *x,
                        const rill_tensor *weight, const rill_tensor *bias);
/* linear's rule, of a node whose first inputs are linear's. */
RULE(rill_linear_backward);
/* y[rows, out] = x[rows, in] W^T + b */
bool rill_linear_into(rill_tape *t, const rill_tensor *weight,
                      const rill_tensor *bias, const void *x, int64_t rows,
                      void *y);

/* Copies n elements, of four or eight bytes, that lie `step` apart in x. */
static inline void rill_copy_row(char *y, const char *x, int64_t n,
                                 int64_t step, size_t width)
{
    if (step == 1)
        memcpy(y, x, (size_t)n * width);
    else if (width == 8)
        for (int64_t i = 0; i < n; i++)
            memcpy(y + 8 * i, x + 8 * i * step, 8);
    else
        for (int64_t i = 0; i < n; i++)
            memcpy(y + 4 * i, x + 4 * i * step, 4);
}
/* Copies x to y, whose dimension d is dimension order[d] of x. */
void rill_permute_copy(void *y, const rill_tensor *x, const int *order);
/* Copies between part and what it is of whole: [start, ...) along dim. */
void rill_slice_copy(const rill_tensor *whole, const rill_tensor *part,
                     int dim, int64_t start, bool out_of);

/* ---- losses ------------------------------------------------------------- */

/* Both float tensors, of one dtype and one shape. */
bool rill_loss_inputs(rill_tape *t, const char *op, const char *name,
                      const rill_tensor *x, const rill_tensor *target);
/* Where what made them gives no logits; op applies that itself. */
void rill_warn_of_logits(rill_tape *t, const char *op, const char *applies,
                         const rill_tensor *logits);
/* An element's or a position's losses, reduced; without opts to the mean. */
rill_tensor *rill_reduce_loss(rill_tape *t, const char *op,
                              const rill_tensor *losses,
                              const rill_loss_opts *opts);

/* Scores (logits or log-probabilities) of shape [C] or [N, C, d1, ...], seen
 * as [outer, classes, inner]; a position is one of the outer x inner. */
typedef struct {
    size_t positions, classes, inner;
    int dim;               /* of the classes */
    rill_shape shape;      /* of the positions */
    const int32_t *target; /* a class a position */
    int32_t ignore_index;
    int64_t taken;             /* positions that are not ignored */
    const rill_tensor *weight; /* of each class; NULL: all 1 */
} rill_class_view;

/* Sets all but the target. weight, ignore_index: as options give them. */
bool rill_class_scores(rill_tape *t, const char *op, const char *name,
                       const rill_tensor *scores, const rill_tensor *weight,
                       const int32_t *ignore_index, rill_class_view *v);
/* Checks and sets target and taken. */
bool rill_class_target(rill_tape *t, const char *op, const char *name,
                       const rill_tensor *scores, const rill_tensor *target,
                       rill_class_view *v);
/* The sum of the weights of the targets that are not ignored. */
double rill_class_total(const rill_class_view *v);

/* What cross_entropy's kernels are given, and its nodes keep. Logits,
 * probabilities and gradient as rows: the classes last. */
typedef struct {
    rill_class_view v; /* positions, classes, targets, weights */
    const rill_tensor *logits, *probs; /* probs: NULL with class indices */
    const rill_tensor *dloss; /* one, or one a position if each; NULL: 1 */
    double label_smoothing, z_loss, denominator;
    double scale; /* of a position's gradient, for dloss = 1 */
    rill_tensor *losses, *lse, *grad; /* lse and grad: NULL where not wanted;
                                         grad may be the logits */
    bool each;       /* reduction none */
    bool spread;     /* mass on every class: then there are weights */
    rill_shape rows; /* the logits' shape, the classes last */
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

#if defined MAPS || defined KERNEL_FILE
#include "../tensor/each_kernel.h"
#endif

#endif
