/* samples.c: the gradient of a batch, sample by sample, from what one
 * backward left on the tape. Nothing is recorded and no op is run. */
#include "inspect.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- p - y -------------------------------------------------------------- */

static bool residual_fits(rill_tape *t, const rill_tensor *logits,
                          const rill_tensor *target)
{
    bool classes = rill_dtype_of(target) == RILL_I32;
    int n = rill_ndim(logits);
    if (rill_dtype_of(logits) == RILL_I32)
        return rill_fail(t, "softmax_residual: logits are int32");
    if (n != 1 && n != 2)
        return rill_fail(t, "softmax_residual: logits have %d dimensions: "
                            "[C] or [N, C] is wanted", n);
    if (!classes && rill_dtype_of(target) != rill_dtype_of(logits))
        return rill_fail(t, "softmax_residual: logits are %s but target is "
                         "%s", rill_dtype_name(rill_dtype_of(logits)),
                         rill_dtype_name(rill_dtype_of(target)));
    bool fits = rill_ndim(target) == (classes ? n - 1 : n);
    for (int d = 0; d < rill_ndim(target); d++)
        fits = fits && rill_dim(target, d) == rill_dim(logits, d);
    if (!fits)
        return rill_fail(t, "softmax_residual: target does not fit logits: "
                            "int32 classes of shape [] or [N] or "
                            "probabilities of the logits' shape are wanted");
    return true;
}

/* One row of p - y; zeros where its class is negative, so ignored. */
static void residual_row(const rill_tensor *logits, const rill_tensor *target,
                         int64_t row, double *out)
{
    int64_t classes = rill_dim(logits, -1), at = row * classes;
    const int32_t *y = rill_i32(target);
    double max = -INFINITY, sum = 0;
    for (int64_t c = 0; c < classes; c++)
        max = fmax(max, rill_at(logits, at + c));
    for (int64_t c = 0; c < classes; c++)
        sum += out[c] = exp(rill_at(logits, at + c) - max);
    for (int64_t c = 0; c < classes; c++)
        out[c] = y && y[row] < 0 ? 0 : out[c] / sum -
                 (y ? c == y[row] : rill_at(target, at + c));
}

/* softmax(logits) - target, row by row: what cross entropy, without weights
 * or smoothing, sends back for a sample, before a mean divides it by N.
 * logits: [N, C] or [C]. target: int32 classes, [N] or [], or probabilities
 * of the logits' shape and dtype; a row of class -100 is ignored: zeros, as
 * in the loss. Result: a constant of t, of the logits' shape and dtype;
 * computed in float64. Errors: those of rill_usable; int32 logits; dtypes or
 * shapes that do not fit; a target that is neither a class nor -100. */
rill_tensor *rill_softmax_residual(rill_tape *t, const rill_tensor *logits,
                                   const rill_tensor *target)
{
    if (!rill_usable(t, "softmax_residual", "logits", logits) ||
        !rill_usable(t, "softmax_residual", "target", target) ||
        !residual_fits(t, logits, target))
        return NULL;
    int64_t classes = rill_dim(logits, -1), n = rill_numel(logits);
    const int32_t *y = rill_i32(target);
    double *values = rill_tape_alloc(t, (size_t)n * sizeof *values);
    for (int64_t row = 0; values && row * classes < n; row++) {
        if (y && y[row] != -100 && (y[row] < 0 || y[row] >= classes))
            return rill_fail(t, "softmax_residual: target %" PRId32 " at row "
                             "%" PRId64 " is not in [0, %" PRId64 ")", y[row],
                             row, classes);
        residual_row(logits, target, row, values + row * classes);
    }
    return rill_from(t, values, rill_dtype_of(logits), rill_shape_of(logits));
}

/* ---- gradient norms ----------------------------------------------------- */

/* The factors of a parameter's gradient at one node: it is the sum over rows
 * of gy_row x_row^T, for a bias (x NULL) of gy_row alone. A sample has
 * `rows` rows, one below the other. */
typedef struct {
    const rill_tensor *x, *gy;
    int64_t rows;
} samples_factor;

/* Row i of a times row j of b; 1 where they are NULL. */
static double samples_dot(const rill_tensor *a, int64_t i,
                          const rill_tensor *b, int64_t j)
{
    int64_t n = rill_dim(a, -1);
    double sum = 0;
    if (!a)
        return 1;
    if (rill_f32(a)) {
        const float *p = rill_f32(a) + i * n, *q = rill_f32(b) + j * n;
        _Pragma("omp simd reduction(+ : sum)") /* several sums at a time */
        for (int64_t k = 0; k < n; k++)
            sum += (double)p[k] * q[k];
    } else {
        const double *p = rill_f64(a) + i * n, *q = rill_f64(b) + j * n;
        _Pragma("omp simd reduction(+ : sum)")
        for (int64_t k = 0; k < n; k++)
            sum += p[k] * q[k];
    }
    return sum;
}

/* The inner product of sample i's gradients at two nodes: the sum over pairs
 * of rows of (gy gy') (x x'). */
static double samples_pairs(const samples_factor *f, const samples_factor *g,
                            int64_t i)
{
    double sum = 0;
    for (int64_t a = i * f->rows; a < (i + 1) * f->rows; a++)
        for (int64_t b = i * g->rows; b < (i + 1) * g->rows; b++)
            sum += samples_dot(f->gy, a, g->gy, b) *
                   samples_dot(f->x, a, g->x, b);
    return sum;
}

/* The factors at node n, where parameter w is its input i; N, the samples, is
 * x's first size. False, with an error, where the node is not linear. */
static bool samples_factors(rill_tape *t, const rill_node *n, int i,
                            const rill_tensor *w, samples_factor *f,
                            int64_t *samples)
{
    const rill_tensor *x = rill_node_input(n, 0);
    const char *op = rill_node_op(n)->name;
    const char *name = *rill_name(w) ? rill_name(w) : "weight";
    if (strcmp(op, "linear") != 0 || i == 0)
        return rill_fail(t, "sample_grad_norms: %s is used by %s: only a "
                         "weight or a bias of linear has a gradient by rows",
                         name, op);
    int64_t first = rill_ndim(x) > 1 ? rill_dim(x, 0) : 1;
    if (*samples >= 0 && *samples != first)
        return rill_fail(t, "sample_grad_norms: %s is used for %" PRId64
                         " and for %" PRId64 " samples", name, *samples,
                         first);
    f->x = i == 1 ? x : NULL;
    f->gy = rill_grad(t, rill_node_output(n));
    int64_t row = first * rill_dim(f->gy, -1);
    f->rows = row ? rill_numel(f->gy) / row : 0;
    *samples = first;
    return true;
}

/* How long each sample's own share of dL/dW is, [N], in weight's dtype, after
 * a rill_backward: the shares add up to rill_grad(t, weight), and with a mean
 * loss each is 1/N of what the sample alone would give. What a hook or
 * clipping did to weight's own gradient is not in them. weight: a weight or a
 * bias of one or more linear nodes of one N; samples lie along the first
 * dimension of x, [N, in] or [N, ..., in] (one sample: [in]). No gradient is
 * made a second time: for x [N, in] the norm is |gy_i| |x_i|, and where a
 * sample has several rows it is the root of the sum over their pairs of
 * (gy gy')(x x'). (Source: Goodfellow, Efficient per-example gradient
 * computations, 2015.) The result is a constant of t. Errors: those of
 * rill_usable; no gradient in weight; a use in the loss that is not linear's;
 * nodes of different N. */
rill_tensor *rill_sample_grad_norms(rill_tape *t, const rill_tensor *weight)
{
    if (!rill_usable(t, "sample_grad_norms", "weight", weight))
        return NULL;
    if (!rill_grad(t, weight))
        return rill_fail(t, "sample_grad_norms: weight has no gradient: it "
                            "takes a rill_backward of a loss that depends on "
                            "it");
    int used = 0, len = rill_tape_len(t);
    int64_t samples = -1;
    samples_factor *f = rill_tape_alloc(t, (size_t)len * sizeof *f);
    for (int k = 0; f && k < len; k++) {
        const rill_node *n = rill_tape_node(t, k);
        /* what a recorded backward made is no part of this loss */
        bool reached = rill_grad(t, rill_node_output(n));
        for (int i = 0; reached && i < rill_node_inputs(n); i++)
            if (rill_node_input(n, i) == weight &&
                !samples_factors(t, n, i, weight, &f[used++], &samples))
                return NULL;
    }
    if (used == 0)
        return rill_fail(t, "sample_grad_norms: weight is used by no linear");
    double *norms = rill_tape_alloc(t, (size_t)samples * sizeof *norms);
    for (int64_t i = 0; norms && i < samples; i++) {
        double sum = 0;
        for (int k = 0; k < used; k++)
            for (int l = 0; l <= k; l++)
                sum += (l < k ? 2 : 1) * samples_pairs(&f[k], &f[l], i);
        norms[i] = sqrt(sum < 0 ? 0 : sum); /* rounding; NaN stays */
    }
    return rill_from(t, norms, rill_dtype_of(weight), RILL_SHAPE(samples));
}
