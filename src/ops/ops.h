/* ops.h: everything differentiable, a line and a formula each.
 *
 * True of every op: it computes at once, and records itself on the tape; its
 * result belongs to the tape until reset; NULL in gives NULL out; a wrong
 * shape, dtype or argument is an error on the tape and a NULL. It refuses
 * int32, mixed dtypes and shapes that do not fit, unless it says otherwise. A
 * dim counts from 0, or from -1 backwards. Elementwise ops broadcast by
 * NumPy's rules. Docstrings have only what is particular to an op. */
#ifndef RILL_OPS_H
#define RILL_OPS_H

#include "../tensor/tensor.h"

RILL_API_BEGIN

/* ---- the reverse sweep -------------------------------------------------- */

typedef struct {
    const rill_tensor *grad; /* seed, of the loss's shape; NULL: 1 */
    bool create_graph;       /* record the sweep: second derivatives */
} rill_backward_opts;

bool rill_backward(rill_tape *t, const rill_tensor *loss,
                   const rill_backward_opts *opts);
rill_tensor *rill_grad(rill_tape *t, const rill_tensor *x); /* dloss/dx */
bool rill_set_grad(rill_tape *t, const rill_tensor *x,
                   const rill_tensor *grad); /* replaces dloss/dx */

/* A function to be checked: from n watched tensors to one tensor. */
typedef rill_tensor *rill_function(rill_tape *t, rill_tensor **x, void *user);

typedef struct {
    bool second_order;       /* check the derivatives of the gradients too */
    double step, rtol, atol; /* 0: 1e-6, 1e-6, 1e-8 */
    void *user;              /* handed to the function */
} rill_gradcheck_opts;

bool rill_gradcheck(rill_tape *t, rill_function *f,
                    const rill_tensor **inputs, int n,
                    const rill_gradcheck_opts *opts);

/* ---- options of ops ----------------------------------------------------- */

/* A list of dimensions. None at all means every one. */
typedef struct {
    int n;                  /* how many */
    int dim[RILL_MAX_DIMS]; /* which */
} rill_dims;

#ifdef __cplusplus
} /* templates may not have C linkage */
template <class... T> inline rill_dims rill_dims_from(T... d)
{
    return rill_dims{ (int)sizeof...(d), { (int)d... } };
}
extern "C" {
#define RILL_DIMS(...) rill_dims_from(__VA_ARGS__)
#else
/* RILL_DIMS(0, -1) are the first and the last. */
#define RILL_DIMS(...)                                           \
    ((rill_dims){ sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), \
                  { __VA_ARGS__ } })
#endif

typedef struct {
    rill_dims dims; /* all-zero: over every dimension */
    bool keepdim;   /* leave reduced dimensions as size 1 */
} rill_reduce_opts;

typedef struct {
    rill_dims dims;    /* as in rill_reduce_opts */
    bool keepdim;      /* the same */
    double correction; /* divide by count - correction; PyTorch's is 1 */
} rill_var_opts;

typedef struct {
    bool transpose_a, transpose_b; /* the last two dimensions */
} rill_matmul_opts;

typedef struct {
    const int32_t *padding_index; /* that row's gradient is 0; NULL: none */
} rill_embedding_opts;

typedef struct {
    int normalized_dims; /* how many of the last dims; 0: weight's, or 1 */
    double eps;          /* 0: 1e-5 */
} rill_layer_norm_opts;

/* What becomes of the losses of single elements or rows. */
typedef enum { RILL_MEAN, RILL_SUM, RILL_NONE } rill_reduction;

typedef struct {
    rill_reduction reduction; /* of all elements' losses */
} rill_loss_opts;

typedef struct {
    rill_reduction reduction;    /* of all rows' losses */
    const rill_tensor *weight;   /* [C]; NULL: all 1 */
    const int32_t *ignore_index; /* NULL: -100 */
} rill_nll_loss_opts;

typedef struct {
    rill_reduction reduction;      /* of all elements' losses */
    const rill_tensor *weight;     /* broadcasts over the input */
    const rill_tensor *pos_weight; /* of the positive class; with_logits */
} rill_binary_cross_entropy_opts;

typedef struct {
    rill_reduction reduction;    /* of all rows' losses */
    const rill_tensor *weight;   /* [C]; NULL: all 1 */
    const int32_t *ignore_index; /* NULL: -100; class indices only */
    double label_smoothing;      /* in [0, 1] */
    double denominator;          /* divides in place of mean's; 0: none */
    double z_loss;               /* adds z_loss * lse^2 to a row's loss */
    rill_tensor **losses;        /* out: a row's loss, before reduction */
    rill_tensor **lse;           /* out: a row's log sum exp(logits) */
    double *denominator_used;    /* out: what the mean divided by */
} rill_cross_entropy_opts;

typedef struct {
    rill_cross_entropy_opts loss; /* as for the logits */
    int64_t chunk; /* rows whose logits are in memory at a time; 0: 256 */
} rill_linear_cross_entropy_opts;

/* ---- differentiable: arithmetic ----------------------------------------- */

rill_tensor *rill_add(rill_tape *t, const rill_tensor *a,
                      const rill_tensor *b);                 /* a + b */
rill_tensor *rill_sub(rill_tape *t, const rill_tensor *a,
                      const rill_tensor *b);                 /* a - b */
rill_tensor *rill_mul(rill_tape *t, const rill_tensor *a,
                      const rill_tensor *b);                 /* a b */
rill_tensor *rill_div(rill_tape *t, const rill_tensor *a,
                      const rill_tensor *b);                 /* a / b */
rill_tensor *rill_neg(rill_tape *t, const rill_tensor *x);   /* -x */
rill_tensor *rill_scale(rill_tape *t, const rill_tensor *x,
                        double s);                           /* s x */
rill_tensor *rill_add_scalar(rill_tape *t, const rill_tensor *x,
                             double s);                      /* x + s */
rill_tensor *rill_rsub(rill_tape *t, const rill_tensor *x,
                       double s);                            /* s - x */
rill_tensor *rill_pow(rill_tape *t, const rill_tensor *x,
                      double p);                             /* x^p */
rill_tensor *rill_pow_tensor(rill_tape *t, const rill_tensor *a,
                             const rill_tensor *b);          /* a^b */
rill_tensor *rill_square(rill_tape *t, const rill_tensor *x); /* x^2 */
rill_tensor *rill_sqrt(rill_tape *t, const rill_tensor *x);  /* x^(1/2) */
rill_tensor *rill_exp(rill_tape *t, const rill_tensor *x);   /* e^x */
rill_tensor *rill_log(rill_tape *t, const rill_tensor *x);   /* ln x */
rill_tensor *rill_abs(rill_tape *t, const rill_tensor *x);   /* |x| */
rill_tensor *rill_maximum(rill_tape *t, const rill_tensor *a,
                          const rill_tensor *b);             /* max(a, b) */
rill_tensor *rill_minimum(rill_tape *t, const rill_tensor *a,
                          const rill_tensor *b);             /* min(a, b) */
rill_tensor *rill_clamp(rill_tape *t, const rill_tensor *x, double low,
                        double high);           /* min(max(x, low), high) */
rill_tensor *rill_where(rill_tape *t, const rill_tensor *mask,
                        const rill_tensor *a,
                        const rill_tensor *b);         /* mask ? a : b */
rill_tensor *rill_cast(rill_tape *t, const rill_tensor *x,
                       rill_dtype dtype);        /* x in another dtype */

/* ---- differentiable: activations ---------------------------------------- */

rill_tensor *rill_sigmoid(rill_tape *t, const rill_tensor *x);
                                                   /* 1 / (1 + e^-x) */
rill_tensor *rill_tanh(rill_tape *t, const rill_tensor *x);
rill_tensor *rill_relu(rill_tape *t, const rill_tensor *x); /* max(x, 0) */
rill_tensor *rill_leaky_relu(rill_tape *t, const rill_tensor *x,
                             double slope);    /* x > 0 ? x : slope x */
rill_tensor *rill_gelu(rill_tape *t, const rill_tensor *x);
                                         /* x (1 + erf(x / sqrt 2)) / 2 */
rill_tensor *rill_gelu_tanh(rill_tape *t, const rill_tensor *x);
              /* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
rill_tensor *rill_silu(rill_tape *t, const rill_tensor *x); /* x sigmoid(x) */
rill_tensor *rill_softplus(rill_tape *t, const rill_tensor *x);
                                                     /* ln(1 + e^x) */

/* ---- differentiable: matrices ------------------------------------------- */

rill_tensor *rill_matmul(rill_tape *t, const rill_tensor *a,
                         const rill_tensor *b,
                         const rill_matmul_opts *opts);        /* a b */
rill_tensor *rill_linear(rill_tape *t, const rill_tensor *x,
                         const rill_tensor *weight,
                         const rill_tensor *bias);     /* x W^T + b */
rill_tensor *rill_embedding(rill_tape *t, const rill_tensor *weight,
                            const rill_tensor *indices,
                            const rill_embedding_opts *opts); /* weight[i] */

/* ---- differentiable: reductions ----------------------------------------- */

rill_tensor *rill_sum(rill_tape *t, const rill_tensor *x,
                      const rill_reduce_opts *opts);
rill_tensor *rill_mean(rill_tape *t, const rill_tensor *x,
                       const rill_reduce_opts *opts);
rill_tensor *rill_var(rill_tape *t, const rill_tensor *x,
                      const rill_var_opts *opts);
rill_tensor *rill_max(rill_tape *t, const rill_tensor *x,
                      const rill_reduce_opts *opts); /* ties share evenly */
rill_tensor *rill_min(rill_tape *t, const rill_tensor *x,
                      const rill_reduce_opts *opts); /* ties share evenly */
rill_tensor *rill_logsumexp(rill_tape *t, const rill_tensor *x,
                            const rill_reduce_opts *opts); /* ln sum e^x */

/* ---- differentiable: shapes --------------------------------------------- */

rill_tensor *rill_reshape(rill_tape *t, const rill_tensor *x,
                          rill_shape shape);   /* one -1 allowed; no copy */
rill_tensor *rill_transpose(rill_tape *t, const rill_tensor *x, int d0,
                            int d1);              /* two dims swapped */
rill_tensor *rill_permute(rill_tape *t, const rill_tensor *x,
                          rill_dims order);       /* dims in a new order */
rill_tensor *rill_slice(rill_tape *t, const rill_tensor *x, int dim,
                        int64_t start, int64_t end); /* x[start:end] */
rill_tensor *rill_concat(rill_tape *t, const rill_tensor **x, int n,
                         int dim);                  /* joined along dim */
rill_tensor *rill_expand(rill_tape *t, const rill_tensor *x,
                         rill_shape shape);       /* broadcast to shape */
rill_tensor *rill_sum_to(rill_tape *t, const rill_tensor *x,
                         rill_shape shape);       /* expand's adjoint */

/* ---- differentiable: normalising ---------------------------------------- */

rill_tensor *rill_softmax(rill_tape *t, const rill_tensor *x,
                          int dim);              /* e^x / sum e^x */
rill_tensor *rill_log_softmax(rill_tape *t, const rill_tensor *x,
                              int dim);          /* x - ln sum e^x */
rill_tensor *rill_layer_norm(
    rill_tape *t, const rill_tensor *x, const rill_tensor *weight,
    const rill_tensor *bias, const rill_layer_norm_opts *opts);
                        /* (x - mean) / sqrt(var + eps) weight + bias */
rill_tensor *rill_dropout(rill_tape *t, const rill_tensor *x,
                          double p); /* training: 0 or x / (1 - p) */

/* ---- differentiable: losses --------------------------------------------- */

rill_tensor *rill_cross_entropy(
    rill_tape *t, const rill_tensor *logits, const rill_tensor *target,
    const rill_cross_entropy_opts *opts); /* lse(logits) - logits[target] */
rill_tensor *rill_cross_entropy_probs(
    rill_tape *t, const rill_tensor *logits, const rill_tensor *probs,
    const rill_cross_entropy_opts *opts);
                                      /* -sum probs log_softmax(logits) */
rill_tensor *rill_linear_cross_entropy(
    rill_tape *t, const rill_tensor *x, const rill_tensor *weight,
    const rill_tensor *bias, const rill_tensor *target,
    const rill_linear_cross_entropy_opts *opts);
              /* cross_entropy(x W^T + b), the logits never whole in memory */
rill_tensor *rill_nll_loss(
    rill_tape *t, const rill_tensor *log_probs, const rill_tensor *target,
    const rill_nll_loss_opts *opts);            /* -log_probs[target] */
rill_tensor *rill_binary_cross_entropy(
    rill_tape *t, const rill_tensor *probs, const rill_tensor *target,
    const rill_binary_cross_entropy_opts *opts);
                                     /* -y ln p - (1 - y) ln(1 - p) */
rill_tensor *rill_binary_cross_entropy_with_logits(
    rill_tape *t, const rill_tensor *logits, const rill_tensor *target,
    const rill_binary_cross_entropy_opts *opts);
                                        /* the same of p = sigmoid(x) */
rill_tensor *rill_mse_loss(rill_tape *t, const rill_tensor *x,
                           const rill_tensor *target,
                           const rill_loss_opts *opts); /* (x - y)^2 */
rill_tensor *rill_l1_loss(rill_tape *t, const rill_tensor *x,
                          const rill_tensor *target,
                          const rill_loss_opts *opts);  /* |x - y| */
rill_tensor *rill_smooth_l1_loss(rill_tape *t, const rill_tensor *x,
                                 const rill_tensor *target, double beta,
                                 const rill_loss_opts *opts);
                          /* |d| < beta ? d^2 / (2 beta) : |d| - beta / 2 */
rill_tensor *rill_huber_loss(rill_tape *t, const rill_tensor *x,
                             const rill_tensor *target, double delta,
                             const rill_loss_opts *opts);
                      /* |d| <= delta ? d^2 / 2 : delta (|d| - delta / 2) */

/* ---- not differentiable ------------------------------------------------- */

/* int32 masks: a > b, a >= b, a < b, a <= b and a == b. */
rill_tensor *rill_gt(rill_tape *t, const rill_tensor *a, const rill_tensor *b);
rill_tensor *rill_ge(rill_tape *t, const rill_tensor *a, const rill_tensor *b);
rill_tensor *rill_lt(rill_tape *t, const rill_tensor *a, const rill_tensor *b);
rill_tensor *rill_le(rill_tape *t, const rill_tensor *a, const rill_tensor *b);
rill_tensor *rill_eq(rill_tape *t, const rill_tensor *a, const rill_tensor *b);
rill_tensor *rill_argmax(rill_tape *t, const rill_tensor *x,
                         const rill_reduce_opts *opts); /* the first; int32 */
rill_tensor *rill_one_hot(rill_tape *t, const rill_tensor *labels,
                          int64_t classes, rill_dtype dtype);

RILL_API_END

#endif
