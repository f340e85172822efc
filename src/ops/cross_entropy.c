/* cross_entropy: softmax and negative log-likelihood as one node.
 *
 * At a position with logits z, k[c] is the mass that the target gives to
 * class c, and K its sum:
 *
 *     class index y    k = (1 - s) w[y] one_hot(y) + s/C w
 *     probabilities q  k = w ((1 - s) q + s/C)
 *     loss = sum k[c] (lse - z[c]) + z_loss lse^2,  lse = ln sum e^z
 *     dz   = dloss ((K + 2 z_loss lse) softmax(z) - k)
 *     dq   = dloss (1 - s) w (lse - z)
 *
 * with class weights w (1 where none are given) and label smoothing s, as
 * PyTorch defines them. lse - z[c] is ln sum e^(z - max) + (max - z[c]):
 * never the logarithm of a rounded probability, so the gradient of a
 * confident mistake stays -1. A forward that is recorded leaves the gradient
 * for dloss = 1 behind while a row is still in cache; a loss at the root
 * hands that buffer on as it is. An ignored position's gradient is exactly
 * 0: it is selected away, never multiplied by 0. */
#ifdef REAL

/* One position: its loss, lse, and gradient (or only e^(z - max)) in g. k is
 * the mass but for the target's own part `own` at class y (none where y < 0);
 * NULL where only that part is. */
static void FN(cross_entropy_row)(const cross_entropy_args *a, const REAL *z,
                                  const REAL *k, int32_t y, REAL *g,
                                  REAL *loss, REAL *lse)
{
    const REAL *w = a->weight, scale = (REAL)a->scale;
    size_t n = a->classes;
    REAL max = -(REAL)INFINITY, sum = 0, K = 0, far = 0;
    SIMD_REDUCE(max, max) for (size_t c = 0; c < n; c++)
        max = z[c] > max ? z[c] : max;
    SIMD_REDUCE(+, sum) for (size_t c = 0; c < n; c++) {
        REAL e = FN(math_exp)(z[c] - max);
        g[c] = e;
        sum += e;
    }
    if (k)
        SIMD_REDUCE(+, K, far) for (size_t c = 0; c < n; c++) {
            K += k[c];
            far += k[c] * (max - z[c]);
        }
    REAL log_sum = (REAL)log((double)sum), own = 0;
    *loss = K * log_sum + far;
    *lse = log_sum + max;
    if (y >= 0) {
        own = (REAL)(1 - a->label_smoothing) * (w ? w[y] : 1);
        *loss = own * (log_sum + (max - z[y])) + (k ? *loss : 0);
        K += own;
    }
    if (a->z_loss != 0) {
        *loss += (REAL)a->z_loss * *lse * *lse;
        K += 2 * (REAL)a->z_loss * *lse;
    }
    if (!a->grad)
        return;
    REAL f = scale * K / sum;
    if (k)
        SIMD for (size_t c = 0; c < n; c++)
            g[c] = g[c] * f - scale * k[c];
    else
        SIMD for (size_t c = 0; c < n; c++)
            g[c] *= f;
    if (y >= 0)
        g[y] -= scale * own;
}

/* Row i of x [n, classes, inner], its classes `inner` apart, as a plain one. */
static const REAL *FN(cross_entropy_gather)(const cross_entropy_args *a,
                                            const void *x, size_t i,
                                            REAL *row)
{
    size_t n = a->classes, inner = a->inner;
    const REAL *from = (const REAL *)x + i / inner * n * inner + i % inner;
    if (inner == 1)
        return from;
    for (size_t c = 0; c < n; c++)
        row[c] = from[c * inner];
    return row;
}

/* The mass of position i but for a target index's own part. */
static const REAL *FN(cross_entropy_mass)(const cross_entropy_args *a,
                                          size_t i, REAL *k)
{
    const REAL *w = a->weight;
    size_t n = a->classes;
    REAL keep = (REAL)(1 - a->label_smoothing);
    REAL even = n ? (REAL)(a->label_smoothing / (double)n) : 0;
    if (a->probs) {
        const REAL *q = FN(cross_entropy_gather)(a, a->probs, i, k);
        for (size_t c = 0; c < n; c++)
            k[c] = keep * q[c] + even;
    } else if (a->label_smoothing > 0) {
        for (size_t c = 0; c < n; c++)
            k[c] = even;
    } else {
        return NULL;
    }
    for (size_t c = 0; w && c < n; c++)
        k[c] *= w[c];
    return k;
}

static void FN(cross_entropy)(const cross_entropy_args *a)
{
    size_t n = a->classes, inner = a->inner;
    REAL *z_row = a->scratch, *k_row = z_row + n, *g_row = k_row + n;
    REAL *losses = a->losses, *lse = a->lse, *grad = a->grad;
    for (size_t i = 0; i < a->positions; i++) {
        REAL *to = grad ? grad + i / inner * n * inner + i % inner : NULL;
        REAL *g = grad && inner == 1 ? to : g_row;
        const REAL *z = FN(cross_entropy_gather)(a, a->logits, i, z_row);
        int32_t y = a->target ? a->target[i] : -1;
        bool ignored = a->target && y == a->ignore_index;
        if (ignored)
            losses[i] = lse[i] = 0;
        else
            FN(cross_entropy_row)(a, z, FN(cross_entropy_mass)(a, i, k_row),
                                  y, g, &losses[i], &lse[i]);
        for (size_t c = 0; ignored && c < n; c++)
            g[c] = 0;
        for (size_t c = 0; grad && inner > 1 && c < n; c++)
            to[c * inner] = g[c];
    }
}

/* g = dloss g, dloss one number or one a position; ignored ones stay 0. */
static void FN(cross_entropy_scale)(const cross_entropy_args *a,
                                    const void *gy, bool each, void *out)
{
    const REAL *d = gy, *g = a->grad;
    REAL *gx = out;
    size_t n = a->classes, inner = a->inner;
    for (size_t i = 0; i < a->positions; i++) {
        size_t at = i / inner * n * inner + i % inner;
        bool ignored = a->target && a->target[i] == a->ignore_index;
        REAL s = each ? d[i] : *d;
        for (size_t c = 0; c < n; c++, at += inner)
            gx[at] = ignored ? 0 : s * g[at];
    }
}

#else
#include "common.h"

/* What the kernels are given, and what the node keeps. */
typedef struct {
    const void *logits, *probs, *weight;
    const int32_t *target;          /* NULL with probs */
    size_t positions, classes, inner; /* logits are [n, classes, inner] */
    int32_t ignore_index;
    double label_smoothing, z_loss;
    double scale; /* of a position's gradient, for dloss = 1 */
    void *losses, *lse, *grad, *scratch; /* grad: NULL where not wanted */
    bool each;                           /* reduction none */
    double denominator;
    int dim; /* of the classes */
    rill_shape rows; /* the logits' shape with one class */
    const rill_tensor *weight_tensor;
} cross_entropy_args;

#define KERNEL_FILE "../ops/cross_entropy.c"
#include "../tensor/each_kernel.h"

KERNELS(cross_entropy)
KERNELS(cross_entropy_scale)

/* ---- the rules ---------------------------------------------------------- */

/* An int32 mask of the positions that are not ignored. */
static rill_tensor *cross_entropy_taken(rill_tape *t,
                                        const cross_entropy_args *a)
{
    rill_tensor *mask = rill_empty(t, RILL_I32, a->rows);
    int32_t *m = rill_write(mask);
    for (size_t i = 0; m && i < a->positions; i++)
        m[i] = a->target[i] != a->ignore_index;
    return mask;
}

/* The weights as [C, 1, ...], to broadcast over the logits; ones for none. */
static rill_tensor *cross_entropy_weights(rill_tape *t,
                                          const cross_entropy_args *a,
                                          rill_dtype dtype)
{
    rill_shape s = { .ndim = a->rows.ndim - a->dim };
    for (int d = 0; d < s.ndim; d++)
        s.dim[d] = 1;
    s.dim[0] = (int64_t)a->classes;
    return a->weight_tensor ? rill_reshape(t, a->weight_tensor, s)
                            : rill_full(t, 1, dtype, s);
}

/* k, made of rill's ops: differentiable in the probabilities. */
static rill_tensor *cross_entropy_k(rill_tape *t, const rill_node *n,
                                    const cross_entropy_args *a)
{
    const rill_tensor *z = rill_node_input(n, 0), *q = rill_node_input(n, 1);
    rill_tensor *w = cross_entropy_weights(t, a, z->dtype);
    double s = a->label_smoothing;
    double even = a->classes ? s / (double)a->classes : 0;
    if (a->probs)
        return rill_mul(t, w, rill_add_scalar(t, rill_scale(t, q, 1 - s),
                                              even));
    /* own part: (1 - s) w[y] at class y, by comparing y with 0, 1, ... */
    rill_tensor *classes = rill_empty(t, RILL_I32, rill_shape_of(w));
    int32_t *c = rill_write(classes);
    for (size_t i = 0; c && i < a->classes; i++)
        c[i] = (int32_t)i;
    rill_tensor *y = rill_reshape(t, q, a->rows);
    rill_tensor *none = rill_zeros(t, z->dtype, RILL_SCALAR);
    rill_tensor *own = rill_where(t, rill_eq(t, y, classes), w, none);
    rill_tensor *k = rill_add(t, rill_scale(t, own, 1 - s),
                              rill_scale(t, w, even));
    return rill_where(t, cross_entropy_taken(t, a), k, none);
}

static RULE(cross_entropy_backward)
{
    const cross_entropy_args *a = rill_node_attrs(n);
    const rill_tensor *z = rill_node_input(n, 0), *r = gy;
    r = a->each ? rill_reshape(t, r, a->rows)
                : rill_scale(t, r, 1 / a->denominator);
    if (a->target) { /* select, so that no NaN of an ignored row comes by */
        rill_tensor *none = rill_zeros(t, z->dtype, RILL_SCALAR);
        rill_tensor *taken = cross_entropy_taken(t, a);
        z = rill_where(t, taken, z, none);
        r = rill_where(t, taken, r, none);
    }
    rill_reduce_opts over = { .dims = RILL_DIMS(a->dim), .keepdim = true };
    if (rill_node_wants(n, 0)) {
        rill_tensor *k = cross_entropy_k(t, n, a);
        rill_tensor *K = rill_sum(t, k, &over);
        if (a->z_loss != 0)
            K = rill_add(t, K, rill_scale(t, rill_logsumexp(t, z, &over),
                                          2 * a->z_loss));
        rill_tensor *p = rill_softmax(t, z, a->dim);
        gx[0] = rill_mul(t, r, rill_sub(t, rill_mul(t, p, K), k));
    }
    if (rill_node_wants(n, 1)) {
        rill_tensor *w = cross_entropy_weights(t, a, z->dtype);
        rill_tensor *far = rill_neg(t, rill_log_softmax(t, z, a->dim));
        gx[1] = rill_mul(t, rill_scale(t, r, 1 - a->label_smoothing),
                         rill_mul(t, w, far));
    }
}

static RULE(cross_entropy_fused)
{
    const cross_entropy_args *a = rill_node_attrs(n);
    if (rill_node_wants(n, 1)) {
        cross_entropy_backward(t, n, gy, gx);
        return;
    }
    const rill_tensor *z = rill_node_input(n, 0);
    if (!a->each && rill_item(gy) == 1) {
        gx[0] = rill_tensor_over(t, a->grad, z->dtype, z->shape);
        return;
    }
    rill_tensor *g = rill_empty(t, z->dtype, z->shape);
    if (g)
        KERNEL(cross_entropy_scale, t->isa, z->dtype)(a, gy->data, a->each,
                                                      g->data);
    gx[0] = g;
}

static const rill_op cross_entropy_op = {
    "cross_entropy", "dz = dloss (K softmax(z) - k), k: the target's mass",
    cross_entropy_backward, cross_entropy_fused, 0
};

/* ---- the checks --------------------------------------------------------- */

static bool cross_entropy_options(rill_tape *t, const char *op,
                                  const rill_cross_entropy_opts *o)
{
    double s = o->label_smoothing;
    if (o->reduction != RILL_MEAN && o->reduction != RILL_SUM &&
        o->reduction != RILL_NONE)
        return rill_fail(t, "%s: %d is not a reduction", op,
                         (int)o->reduction);
    if (!(s >= 0 && s <= 1))
        return rill_fail(t, "%s: label_smoothing %g is not in [0, 1]", op, s);
    if (!(o->denominator >= 0) || isinf(o->denominator))
        return rill_fail(t, "%s: denominator %g is not a positive number", op,
                         o->denominator);
    if (o->denominator > 0 && o->reduction != RILL_MEAN)
        return rill_fail(t, "%s: a denominator is the mean's: reduction is "
                         "not RILL_MEAN", op);
    if (!isfinite(o->z_loss))
        return rill_fail(t, "%s: z_loss %g is not a number to weigh by", op,
                         o->z_loss);
    return true;
}

static bool cross_entropy_weight(rill_tape *t, const char *op,
                                 const rill_tensor *z, const rill_tensor *w,
                                 int64_t classes)
{
    if (!rill_usable_float(t, op, "weight", w) ||
        !rill_same_dtype(t, op, "logits", z, "weight", w))
        return false;
    if (w->shape.ndim != 1 || w->shape.dim[0] != classes)
        return rill_fail(t, "%s: weight is %s, one for each of %" PRId64
                         " classes is wanted", op, RILL_TEXT(w), classes);
    if (w->variable || (w->node && w->node->wants))
        return rill_fail(t, "%s: no gradient flows to weight: detach it", op);
    return true;
}

/* Every target a class or ignored; and the sum of the weights that count. */
static bool cross_entropy_targets(rill_tape *t, const char *op,
                                  const cross_entropy_args *a,
                                  const rill_tensor *y)
{
    for (size_t i = 0; i < a->positions; i++) {
        int32_t v = a->target[i];
        if (v != a->ignore_index && (v < 0 || (size_t)v >= a->classes))
            return rill_fail(t, "%s: target %d at %s %zu is not in [0, %zu)",
                             op, (int)v, y->shape.ndim > 1 ? "element" : "row",
                             i, a->classes);
    }
    return true;
}

static double cross_entropy_denominator(const cross_entropy_args *a)
{
    double sum = 0;
    if (!a->target)
        return (double)a->positions;
    for (size_t i = 0; i < a->positions; i++)
        if (a->target[i] != a->ignore_index)
            sum += a->weight_tensor ? rill_at(a->weight_tensor, a->target[i])
                                    : 1;
    return sum;
}

/* Fills in the sizes from the logits and checks the target's against them. */
static bool cross_entropy_shapes(rill_tape *t, const char *op,
                                 const rill_tensor *z, const rill_tensor *y,
                                 cross_entropy_args *a)
{
    if (z->shape.ndim == 0)
        return rill_fail(t, "%s: logits have no dimension: [C] or [N, C, "
                         "...] is wanted", op);
    rill_shape wanted = { 0 };
    a->dim = z->shape.ndim > 1;
    a->rows = z->shape;
    a->rows.dim[a->dim] = 1;
    a->classes = (size_t)z->shape.dim[a->dim];
    a->positions = a->inner = 1;
    for (int d = 0; d < z->shape.ndim; d++) {
        if (d == a->dim)
            continue;
        wanted.dim[wanted.ndim++] = z->shape.dim[d];
        a->positions *= (size_t)z->shape.dim[d];
        if (d > a->dim)
            a->inner *= (size_t)z->shape.dim[d];
    }
    if (!a->target)
        wanted = z->shape;
    if (!rill_shape_equal(&wanted, &y->shape))
        return rill_fail(t, "%s: logits are %s but %s %s: %s is wanted", op,
                         RILL_TEXT(z),
                         a->target ? "target is" : "probs are", RILL_TEXT(y),
                         RILL_SHAPE_TEXT(wanted));
    if (a->positions == 0)
        a->inner = 1;
    return true;
}

/* ---- the op ------------------------------------------------------------- */

/* The positions' losses reduced, as a tensor; sums go in double. */
static rill_tensor *cross_entropy_reduce(rill_tape *t,
                                         const cross_entropy_args *a,
                                         const rill_tensor *losses, bool mean)
{
    double sum = 0;
    for (int64_t i = 0; i < losses->numel; i++)
        sum += rill_at(losses, i);
    /* the smoothing term alone over no weight at all is NaN in PyTorch too */
    if (mean && a->label_smoothing > 0 && a->target && a->denominator == 0)
        sum = NAN;
    return rill_full(t, mean ? sum / a->denominator : sum, losses->dtype,
                     RILL_SCALAR);
}

static rill_tensor *cross_entropy(rill_tape *t, const char *op,
                                  const rill_tensor *z, const rill_tensor *y,
                                  const rill_cross_entropy_opts *o,
                                  cross_entropy_args *a)
{
    rill_shape rows = a->rows;
    for (int d = a->dim; d < rows.ndim - 1; d++)
        rows.dim[d] = rows.dim[d + 1];
    rows.ndim--;
    if (z->op && z->op->flags & RILL_OP_IS_SOFTMAX)
        rill_warn(t, "%s: its logits come from %s, but it applies "
                     "log_softmax itself: give it the logits", op,
                  z->op->name);
    rill_tensor *losses = rill_empty(t, z->dtype, rows);
    rill_tensor *lse = rill_empty(t, z->dtype, rows);
    bool grad = t->recording && rill_wants(t, z);
    rill_tensor *g = grad ? rill_like(t, z) : NULL;
    a->scratch = rill_tape_alloc(t, 3 * a->classes *
                                        rill_dtype_size(z->dtype));
    if (!losses || !lse || (grad && !g) || !a->scratch)
        return NULL;
    bool mean = o->reduction == RILL_MEAN;
    double own = cross_entropy_denominator(a);
    a->denominator = !mean ? 1 : o->denominator > 0 ? o->denominator : own;
    a->scale = 1 / a->denominator;
    a->each = o->reduction == RILL_NONE;
    a->losses = losses->data;
    a->lse = lse->data;
    a->grad = g ? g->data : NULL;
    KERNEL(cross_entropy, t->isa, z->dtype)(a);
    if (o->losses)
        *o->losses = losses;
    if (o->lse)
        *o->lse = lse;
    if (o->denominator_used)
        *o->denominator_used = a->denominator;
    rill_tensor *loss = losses;
    if (a->each && o->losses) /* what is handed out is not recorded */
        loss = rill_tensor_over(t, losses->data, losses->dtype, rows);
    else if (!a->each)
        loss = cross_entropy_reduce(t, a, losses, mean);
    void *kept = rill_attrs(t, a, sizeof *a);
    return loss && kept ? rill_record(t, &cross_entropy_op, loss,
                                      INPUTS(z, y),
                                      kept)
                        : NULL;
}

/* The cross entropy of softmax(logits) against class indices. logits: [C],
 * [N, C] or [N, C, d1, ...] before any softmax; target: int32 [], [N] or
 * [N, d1, ...]. Result: [] for the mean (over the weights of what was not
 * ignored) and the sum, the target's shape for RILL_NONE. As PyTorch's
 * cross_entropy, with the options of rill_cross_entropy_opts. What is asked
 * for through losses and lse belongs to t and carries no gradient. Warns
 * where the logits were made by a softmax. Errors: those of every op; int32
 * or mixed dtypes; shapes that do not fit; a target that is neither a class
 * nor ignored; an option out of its range; a recorded weight. */
rill_tensor *rill_cross_entropy(rill_tape *t, const rill_tensor *logits,
                                const rill_tensor *target,
                                const rill_cross_entropy_opts *opts)
{
    static const char op[] = "cross_entropy";
    static const rill_cross_entropy_opts none = { 0 };
    const rill_cross_entropy_opts *o = opts ? opts : &none;
    if (!rill_usable_float(t, op, "logits", logits) ||
        !rill_usable(t, op, "target", target) ||
        !cross_entropy_options(t, op, o))
        return NULL;
    if (target->dtype != RILL_I32)
        return rill_fail(t, "%s: target is %s, class indices are int32: for "
                         "probabilities there is cross_entropy_probs", op,
                         rill_dtype_name(target->dtype));
    cross_entropy_args a = {
        .logits = logits->data, .target = target->data,
        .ignore_index = o->ignore_index ? *o->ignore_index : -100,
        .label_smoothing = o->label_smoothing, .z_loss = o->z_loss,
        .weight = o->weight ? o->weight->data : NULL,
        .weight_tensor = o->weight
    };
    if (!cross_entropy_shapes(t, op, logits, target, &a) ||
        (o->weight && !cross_entropy_weight(t, op, logits, o->weight,
                                            (int64_t)a.classes)) ||
        !cross_entropy_targets(t, op, &a, target))
        return NULL;
    return cross_entropy(t, op, logits, target, o, &a);
}

/* The cross entropy of softmax(logits) against class probabilities, which
 * need not sum to 1. logits: [C], [N, C] or [N, C, d1, ...]; probs: the same
 * shape and dtype; differentiable in both. Result: [] for the mean (over the
 * positions, weights or not) and the sum, the logits' shape without C for
 * RILL_NONE. Otherwise as rill_cross_entropy. Also an error: an ignore_index
 * that is not negative, since no position is ignored here. */
rill_tensor *rill_cross_entropy_probs(rill_tape *t,
                                      const rill_tensor *logits,
                                      const rill_tensor *probs,
                                      const rill_cross_entropy_opts *opts)
{
    static const char op[] = "cross_entropy_probs";
    static const rill_cross_entropy_opts none = { 0 };
    const rill_cross_entropy_opts *o = opts ? opts : &none;
    if (!rill_usable_float(t, op, "logits", logits) ||
        !rill_usable(t, op, "probs", probs) ||
        !cross_entropy_options(t, op, o))
        return NULL;
    if (probs->dtype == RILL_I32)
        return rill_fail(t, "%s: probs are int32: for class indices there is "
                         "cross_entropy", op);
    if (!rill_same_dtype(t, op, "logits", logits, "probs", probs))
        return NULL;
    if (o->ignore_index && *o->ignore_index >= 0)
        return rill_fail(t, "%s: ignore_index %d: a target of probabilities "
                         "has no index to ignore", op, (int)*o->ignore_index);
    cross_entropy_args a = {
        .logits = logits->data, .probs = probs->data,
        .label_smoothing = o->label_smoothing, .z_loss = o->z_loss,
        .weight = o->weight ? o->weight->data : NULL,
        .weight_tensor = o->weight
    };
    if (!cross_entropy_shapes(t, op, logits, probs, &a) ||
        (o->weight && !cross_entropy_weight(t, op, logits, o->weight,
                                            (int64_t)a.classes)))
        return NULL;
    return cross_entropy(t, op, logits, probs, o, &a);
}

#endif
