/* layer_norm: y = n w + b with n = (x - mean) / sqrt(var + eps), mean and
 * variance of each row; a row is all of the last k dims. Statistics are in
 * double; a row's mean is kept in two parts, high and low, so that x - mean
 * loses no digits where the mean is large. */
#define KERNEL_FILE "../ops/layer_norm.c"
#include "common.h"

#ifdef REAL
/* in: x, and weight and bias of a row, or NULL; attrs: eps */
static void FN(layer_norm)(void *out, const void *const *in, size_t from,
                           size_t to, size_t n, const void *attrs)
{
    const REAL *w = in[1], *b = in[2];
    for (size_t r = from; r < to; r++) {
        const REAL *x = (const REAL *)in[0] + r * n;
        REAL *y = (REAL *)out + r * n;
        double mean = 0, squares = 0;
        SIMD_REDUCE(+, mean) for (size_t i = 0; i < n; i++)
            mean += (double)x[i];
        mean /= (double)n;
        SIMD_REDUCE(+, squares) for (size_t i = 0; i < n; i++) {
            double d = (double)x[i] - mean;
            squares += d * d;
        }
        REAL high = (REAL)mean, low = (REAL)(mean - (double)high);
        double var = squares / (double)n + *(const double *)attrs;
        REAL rstd = (REAL)(1 / sqrt(var));
        SIMD for (size_t i = 0; i < n; i++) {
            REAL normal = (x[i] - high - low) * rstd;
            y[i] = (w ? normal * w[i] : normal) + (b ? b[i] : 0);
        }
    }
}

#else
KERNELS(layer_norm)

typedef struct {
    double eps; /* first: the kernel reads it */
    int dims;
} layer_norm_attrs;

static RULE(layer_norm_backward)
{
    const layer_norm_attrs *a = rill_node_attrs(n);
    const rill_tensor *x = rill_node_input(n, 0), *w = rill_node_input(n, 1);
    rill_reduce_opts over = { .dims = { .n = a->dims }, .keepdim = true };
    for (int d = 0; d < a->dims; d++)
        over.dims.dim[d] = -1 - d;
    rill_tensor *d = rill_sub(t, x, rill_mean(t, x, &over));
    d = rill_sub(t, d, rill_mean(t, d, &over)); /* of the rounded mean */
    rill_tensor *var = rill_mean(t, rill_square(t, d), &over);
    rill_tensor *rstd = rill_pow(t, rill_add_scalar(t, var, a->eps), -0.5);
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

OP(layer_norm, "dx = (g - mean(g) - n mean(g n)) / sqrt(var + eps), "
               "g = dy w; dw = sum dy n, db = sum dy")

/* Whether p, weight or bias, is NULL or of the shape of a row. */
static bool layer_norm_fits(rill_tape *t, const rill_tensor *x,
                            const rill_shape *row, const char *name,
                            const rill_tensor *p)
{
    if (p && !rill_usable_floats(t, "layer_norm", "x", x, name, p))
        return false;
    if (p && !rill_shape_equal(&p->shape, row))
        return rill_fail(t, "layer_norm: x is %s but %s is %s: %s is wanted",
                         RILL_TEXT(x), name, RILL_TEXT(p),
                         RILL_SHAPE_TEXT(*row));
    return true;
}

/* x normalised to mean 0 and variance 1 over its last dims, then times weight
 * plus bias. How many dims: opts->normalized_dims, or weight's, or 1. weight,
 * bias: of those dims' sizes and x's dtype; either may be NULL, for 1 and 0.
 * x: a float dtype. (Ba, Kiros and Hinton, 2016.) */
rill_tensor *rill_layer_norm(rill_tape *t, const rill_tensor *x,
                             const rill_tensor *weight,
                             const rill_tensor *bias,
                             const rill_layer_norm_opts *opts)
{
    const rill_layer_norm_opts none = { 0, 0 }, *o = opts ? opts : &none;
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
    size_t n = 1;
    rill_shape row = { .ndim = dims };
    for (int d = 0; d < dims; d++)
        n *= (size_t)(row.dim[d] = rill_dim(x, d - dims));
    if (!layer_norm_fits(t, x, &row, "weight", weight) ||
        !layer_norm_fits(t, x, &row, "bias", bias))
        return NULL;
    layer_norm_attrs a = { o->eps > 0 ? o->eps : 1e-5, dims };
    rill_tensor *y = rill_like(t, x);
    const void *in[] = { x->data, weight ? weight->data : NULL,
                         bias ? bias->data : NULL };
    if (y && y->numel)
        rill_run_rows(KERNEL(layer_norm, t->isa, x->dtype), y->data, in,
                      (size_t)x->numel / n, n, &a);
    return rill_record(t, &layer_norm_op, y, INPUTS(x, weight, bias),
                       rill_attrs(t, &a, sizeof a));
}
#endif
