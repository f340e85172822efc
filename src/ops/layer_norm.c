/* layer_norm: y = n w + b with n = (x - mean) / sqrt(var + eps), mean and
 * variance of each row; a row is all of the last k dims.
 *
 * With g = dy w:  dx = (g - mean(g) - n mean(g n)) / sqrt(var + eps),
 * dw = the sum of dy n over the rows, db = the sum of dy. Statistics and sums
 * are in double; a row's mean is kept in two parts, high and low, so that
 * x - mean loses no digits where the mean is large. */
#ifdef REAL

static void FN(layer_norm_row)(const layer_norm_args *a, const REAL *x,
                               layer_norm_stats *s, REAL *y)
{
    const REAL *w = a->weight, *b = a->bias;
    double mean = 0, squares = 0;
    SIMD_REDUCE(+, mean) for (size_t i = 0; i < a->n; i++)
        mean += (double)x[i];
    mean /= (double)a->n;
    SIMD_REDUCE(+, squares) for (size_t i = 0; i < a->n; i++) {
        double d = (double)x[i] - mean;
        squares += d * d;
    }
    s->mean = mean;
    s->rstd = 1 / sqrt(squares / (double)a->n + a->eps);
    REAL high = (REAL)mean, low = (REAL)(mean - (double)high);
    REAL rstd = (REAL)s->rstd;
    SIMD for (size_t i = 0; i < a->n; i++)
        y[i] = (x[i] - high - low) * rstd;
    if (w)
        SIMD for (size_t i = 0; i < a->n; i++)
            y[i] *= w[i];
    if (b)
        SIMD for (size_t i = 0; i < a->n; i++)
            y[i] += b[i];
}

static void FN(layer_norm)(const layer_norm_args *a, void *out)
{
    for (size_t r = 0; r < a->rows; r++)
        FN(layer_norm_row)(a, (const REAL *)a->x + r * a->n, a->stats + r,
                           (REAL *)out + r * a->n);
}

/* dx of a row, where it is wanted. */
static void FN(layer_norm_dx)(const layer_norm_args *a, const REAL *x,
                              const layer_norm_stats *s, const REAL *gy,
                              REAL *gx)
{
    const REAL *w = a->weight;
    REAL high = (REAL)s->mean, low = (REAL)(s->mean - (double)high);
    REAL rstd = (REAL)s->rstd;
    double sum = 0, along = 0; /* of g, and of g n */
    SIMD for (size_t i = 0; i < a->n; i++)
        gx[i] = w ? gy[i] * w[i] : gy[i];
    SIMD_REDUCE(+, sum, along) for (size_t i = 0; i < a->n; i++) {
        sum += (double)gx[i];
        along += (double)(gx[i] * ((x[i] - high - low) * rstd));
    }
    REAL mean = (REAL)(sum / (double)a->n);
    REAL slope = (REAL)(along / (double)a->n);
    SIMD for (size_t i = 0; i < a->n; i++)
        gx[i] = (gx[i] - mean - (x[i] - high - low) * rstd * slope) * rstd;
}

/* Any of gx, gw, gb may be NULL; sums is scratch, two doubles a column. */
static void FN(layer_norm_grad)(const layer_norm_args *a, const void *grad,
                                void *gx, void *gw, void *gb, double *sums)
{
    double *dw = sums, *db = sums + a->n;
    for (size_t i = 0; i < 2 * a->n; i++)
        sums[i] = 0;
    for (size_t r = 0; r < a->rows; r++) {
        const REAL *x = (const REAL *)a->x + r * a->n;
        const REAL *gy = (const REAL *)grad + r * a->n;
        const layer_norm_stats *s = a->stats + r;
        if (gx)
            FN(layer_norm_dx)(a, x, s, gy, (REAL *)gx + r * a->n);
        if (gw)
            SIMD for (size_t i = 0; i < a->n; i++)
                dw[i] += (double)gy[i] * (((double)x[i] - s->mean) * s->rstd);
        if (gb)
            SIMD for (size_t i = 0; i < a->n; i++)
                db[i] += (double)gy[i];
    }
    for (size_t i = 0; gw && i < a->n; i++)
        ((REAL *)gw)[i] = (REAL)dw[i];
    for (size_t i = 0; gb && i < a->n; i++)
        ((REAL *)gb)[i] = (REAL)db[i];
}

#else
#include "common.h"

typedef struct {
    double mean, rstd; /* 1 / sqrt(var + eps) */
} layer_norm_stats;

typedef struct {
    size_t rows, n;
    const void *x, *weight, *bias; /* weight, bias: [n], or NULL */
    layer_norm_stats *stats;       /* of each row */
    double eps;
    int dims;
} layer_norm_args;

#define KERNEL_FILE "../ops/layer_norm.c"
#include "../tensor/each_kernel.h"

KERNELS(layer_norm)
KERNELS(layer_norm_grad)

static RULE(layer_norm_backward)
{
    const layer_norm_args *a = rill_node_attrs(n);
    const rill_tensor *x = rill_node_input(n, 0), *w = rill_node_input(n, 1);
    rill_reduce_opts over = { .dims = { .n = a->dims }, .keepdim = true };
    rill_var_opts of = { .keepdim = true };
    for (int d = 0; d < a->dims; d++)
        over.dims.dim[d] = -1 - d;
    of.dims = over.dims;
    rill_tensor *var = rill_add_scalar(t, rill_var(t, x, &of), a->eps);
    rill_tensor *rstd = rill_pow(t, var, -0.5);
    rill_tensor *d = rill_sub(t, x, rill_mean(t, x, &over));
    rill_tensor *normal = rill_mul(t, d, rstd);
    if (rill_node_wants(n, 0)) {
        const rill_tensor *g = w ? rill_mul(t, gy, w) : gy;
        rill_tensor *along = rill_mean(t, rill_mul(t, g, normal), &over);
        rill_tensor *rest = rill_sub(t, g, rill_mean(t, g, &over));
        gx[0] = rill_mul(
            t, rstd, rill_sub(t, rest, rill_mul(t, normal, along)));
    }
    if (rill_node_wants(n, 1))
        gx[1] = rill_mul(t, gy, normal);
    if (rill_node_wants(n, 2))
        gx[2] = gy;
}

static RULE(layer_norm_fused)
{
    const layer_norm_args *a = rill_node_attrs(n);
    double *sums = rill_tape_alloc(t, 2 * a->n * sizeof *sums);
    void *to[3] = { NULL };
    for (int i = 0; i < 3; i++)
        if (rill_node_wants(n, i)) {
            rill_tensor *g = rill_like(t, rill_node_input(n, i));
            to[i] = rill_write(g);
            gx[i] = g;
        }
    if (!t->failed)
        KERNEL(layer_norm_grad, t->isa, gy->dtype)(a, gy->data, to[0], to[1],
                                                   to[2], sums);
}

static const rill_op layer_norm_op = {
    "layer_norm",
    "dx = (g - mean(g) - n mean(g n)) / sqrt(var + eps), g = dy w; "
    "dw = sum dy n, db = sum dy",
    layer_norm_backward, layer_norm_fused, 0
};

/* Whether p, weight or bias, has the last `dims` sizes of x. */
static bool layer_norm_fits(rill_tape *t, const rill_tensor *x, int dims,
                            const char *name, const rill_tensor *p)
{
    rill_shape wanted = { .ndim = dims };
    for (int d = 0; d < dims; d++)
        wanted.dim[d] = x->shape.dim[x->shape.ndim - dims + d];
    if (!rill_usable_float(t, "layer_norm", name, p) ||
        !rill_same_dtype(t, "layer_norm", "x", x, name, p))
        return false;
    if (!rill_shape_equal(&p->shape, &wanted))
        return rill_fail(t, "layer_norm: x is %s but %s is %s: %s is wanted",
                         RILL_TEXT(x), name, RILL_TEXT(p),
                         RILL_SHAPE_TEXT(wanted));
    return true;
}

/* x normalised to mean 0 and variance 1 over its last dims, then times weight
 * plus bias. How many dims: opts->normalized_dims, or weight's, or 1. weight,
 * bias: of those dims' sizes and x's dtype; either may be NULL, for 1 and 0.
 * x: a float dtype. (Ba, Kiros and Hinton, 2016.) Errors: those of every op;
 * int32 or mixed dtypes; more dims than x has, or none; shapes that do not
 * fit; an eps that is negative or not finite. */
rill_tensor *rill_layer_norm(rill_tape *t, const rill_tensor *x,
                             const rill_tensor *weight,
                             const rill_tensor *bias,
                             const rill_layer_norm_opts *opts)
{
    static const rill_layer_norm_opts none = { 0, 0 };
    const rill_layer_norm_opts *o = opts ? opts : &none;
    if (!rill_usable_float(t, "layer_norm", "x", x) ||
        (weight && !rill_usable_float(t, "layer_norm", "weight", weight)))
        return NULL;
    int dims = o->normalized_dims;
    if (dims == 0)
        dims = weight ? weight->shape.ndim : 1;
    if (dims < 1 || dims > x->shape.ndim)
        return rill_fail(t, "layer_norm: x is %s: %d dims cannot be "
                         "normalised", RILL_TEXT(x), dims);
    if (!(o->eps >= 0) || isinf(o->eps))
        return rill_fail(t, "layer_norm: eps %g is not a positive number",
                         o->eps);
    if ((weight && !layer_norm_fits(t, x, dims, "weight", weight)) ||
        (bias && !layer_norm_fits(t, x, dims, "bias", bias)))
        return NULL;
    layer_norm_args a = { .rows = 1, .n = 1, .x = x->data,
                          .weight = weight ? weight->data : NULL,
                          .bias = bias ? bias->data : NULL, .dims = dims,
                          .eps = o->eps > 0 ? o->eps : 1e-5 };
    for (int d = 0; d < x->shape.ndim; d++)
        *(d < x->shape.ndim - dims ? &a.rows : &a.n) *=
            (size_t)x->shape.dim[d];
    if (a.n == 0)
        a.rows = 0; /* nothing to normalise */
    a.stats = rill_tape_alloc(t, a.rows * sizeof *a.stats);
    rill_tensor *y = rill_like(t, x);
    void *kept = rill_attrs(t, &a, sizeof a);
    if (!a.stats || !y || !kept)
        return NULL;
    KERNEL(layer_norm, t->isa, x->dtype)(&a, y->data);
    return rill_record(t, &layer_norm_op, y,
                       INPUTS(x, weight, bias), kept);
}

#endif
