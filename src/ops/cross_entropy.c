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
#ifndef REAL
#include "cross_entropy.h"
#define KERNEL_FILE "../ops/cross_entropy.c"
#include "../tensor/each_kernel.h"
#endif

#ifdef REAL
#include "kernel_vector.h"

/* One position: its loss, its lse, and where g is not NULL its gradient. k is
 * the mass but for the target's own part, which class y has (none where y is
 * negative); NULL where only that part is. */
static void FN(cross_entropy_row)(const rill_cross_entropy_args *a,
                                  const REAL *z, const REAL *k, int32_t y,
                                  REAL *g, REAL *loss, REAL *lse)
{
    const REAL *w = a->v.weight ? a->v.weight->data : NULL;
    REAL scale = (REAL)a->scale, z_loss = (REAL)a->z_loss, own = 0;
    size_t n = a->v.classes;
    REAL max = FN(math_largest)(z, n), mass = 0, far = 0;
    REAL gap = y >= 0 ? max - z[y] : 0;
    if (k)
        SIMD_REDUCE(+, mass, far) for (size_t c = 0; c < n; c++) {
            mass += k[c];
            far += k[c] * (max - z[c]);
        }
    REAL sum = FN(math_exp_row)(z, max, g, n); /* g may be z: z is lost */
    REAL log_sum = FN(math_log)(sum);
    *loss = k ? mass * log_sum + far : 0;
    *lse = log_sum + max;
    if (y >= 0) {
        own = (REAL)(1 - a->label_smoothing) * (w ? w[y] : 1);
        *loss += own * (log_sum + gap);
        mass += own;
    }
    if (z_loss != 0) {
        *loss += z_loss * *lse * *lse;
        mass += 2 * z_loss * *lse;
    }
    REAL f = scale * mass / sum;
    if (g && k)
        SIMD for (size_t c = 0; c < n; c++)
            g[c] = g[c] * f - scale * k[c];
    else if (g)
        SIMD for (size_t c = 0; c < n; c++)
            g[c] *= f;
    if (g && y >= 0)
        g[y] -= scale * own;
}

/* BLOCK positions side by side, for at most LANES classes: enough of them
 * for one's arithmetic to hide the latency of another's. */
static void FN(cross_entropy_block)(const rill_cross_entropy_args *a,
                                    const REAL *z, const int32_t *y,
                                    REAL *loss, REAL *lse, REAL *g)
{
    enum { BLOCK = 4 * LANES };
    FN(vector) r[LANES];
    REAL e[LANES][BLOCK], max[BLOCK], sum[BLOCK], at[BLOCK], f[BLOCK];
    size_t n = a->v.classes;
    REAL scale = (REAL)a->scale;
    int32_t ignore = a->v.ignore_index;
    for (size_t k = 0; k < BLOCK; k += LANES) {
        FN(load_rows)(z + k * n, n, r);
        for (size_t c = 0; c < n; c++)
            memcpy(&e[c][k], &r[c], sizeof *r);
    }
    SIMD for (size_t l = 0; l < BLOCK; l++) {
        max[l] = e[0][l];
        sum[l] = at[l] = 0;
    }
    for (size_t c = 1; c < n; c++)
        SIMD for (size_t l = 0; l < BLOCK; l++)
            max[l] = e[c][l] > max[l] ? e[c][l] : max[l];
    for (size_t c = 0; c < n; c++)
        SIMD for (size_t l = 0; l < BLOCK; l++) {
            at[l] = y[l] == (int32_t)c ? max[l] - e[c][l] : at[l];
            sum[l] += e[c][l] = FN(math_exp)(e[c][l] - max[l]);
        }
    SIMD for (size_t l = 0; l < BLOCK; l++) {
        REAL log_sum = FN(math_log)(sum[l]);
        loss[l] = y[l] == ignore ? 0 : log_sum + at[l];
        max[l] = y[l] == ignore ? 0 : log_sum + max[l];
        f[l] = scale / sum[l];
    }
    if (lse)
        memcpy(lse, max, sizeof max);
    if (!g)
        return;
    for (size_t c = 0; c < n; c++)
        SIMD for (size_t l = 0; l < BLOCK; l++) {
            REAL d = e[c][l] * f[l] - (y[l] == (int32_t)c ? scale : 0);
            e[c][l] = y[l] == ignore ? 0 : d;
        }
    for (size_t k = 0; k < BLOCK; k += LANES) {
        for (size_t c = 0; c < n; c++)
            memcpy(&r[c], &e[c][k], sizeof *r);
        FN(store_rows)(g + k * n, n, r);
    }
}

/* Positions i to end in blocks. The last of them go through copies, where
 * there is room to read and to spill. */
static void FN(cross_entropy_few)(const rill_cross_entropy_args *a, size_t i,
                                  size_t end)
{
    enum { BLOCK = 4 * LANES };
    size_t n = a->v.classes;
    const REAL *z = a->logits;
    REAL *loss = a->losses, *lse = a->lse, *grad = a->grad;
    for (; (i + BLOCK - 1) * n + LANES <= end * n; i += BLOCK)
        FN(cross_entropy_block)(a, z + i * n, a->v.target + i, loss + i,
                                lse ? lse + i : NULL,
                                grad ? grad + i * n : NULL);
    while (i < end) {
        size_t m = end - i < BLOCK ? end - i : BLOCK;
        REAL zs[BLOCK * LANES], g[BLOCK * LANES], o[2][BLOCK];
        int32_t y[BLOCK] = { 0 };
        memset(zs, 0, (BLOCK - 1) * n * sizeof *zs + LANES * sizeof *zs);
        memcpy(zs, z + i * n, m * n * sizeof *zs);
        memcpy(y, a->v.target + i, m * sizeof *y);
        FN(cross_entropy_block)(a, zs, y, o[0], o[1], g);
        memcpy(loss + i, o[0], m * sizeof *loss);
        if (lse)
            memcpy(lse + i, o[1], m * sizeof *lse);
        if (grad)
            memcpy(grad + i * n, g, m * n * sizeof *g);
        i += m;
    }
}

/* The classes of position i of x [outer, classes, inner] as a plain row. */
static const REAL *FN(cross_entropy_gather)(const rill_cross_entropy_args *a,
                                            const void *x, size_t i,
                                            REAL *row)
{
    size_t n = a->v.classes, inner = a->v.inner;
    const REAL *from = (const REAL *)x + i / inner * n * inner + i % inner;
    if (inner == 1)
        return from;
    for (size_t c = 0; c < n; c++)
        row[c] = from[c * inner];
    return row;
}

/* The mass of position i but for a target index's own part. */
static const REAL *FN(cross_entropy_mass)(const rill_cross_entropy_args *a,
                                          size_t i, REAL *k)
{
    const REAL *w = a->v.weight ? a->v.weight->data : NULL;
    size_t n = a->v.classes;
    REAL keep = (REAL)(1 - a->label_smoothing);
    REAL even = n ? (REAL)(a->label_smoothing / (double)n) : 0;
    if (!a->probs && a->label_smoothing == 0)
        return NULL;
    const REAL *q = a->probs ? FN(cross_entropy_gather)(a, a->probs, i, k)
                             : NULL;
    for (size_t c = 0; c < n; c++)
        k[c] = (q ? keep * q[c] + even : even) * (w ? w[c] : 1);
    return k;
}

/* A part of the positions. */
static void FN(cross_entropy)(const rill_cross_entropy_args *a, size_t part)
{
    size_t n = a->v.classes, inner = a->v.inner, i = part * a->part;
    size_t end = i + a->part < a->v.positions ? i + a->part : a->v.positions;
    REAL *k_row = (REAL *)a->scratch + part * a->scratch_rows * n;
    REAL *z_row = k_row + n, *g_row = z_row + n;
    REAL *losses = a->losses, *lse = a->lse, *grad = a->grad;
    if (n <= LANES && n > 0 && inner == 1 && !a->probs && !a->v.weight &&
        a->label_smoothing == 0 && a->z_loss == 0 && grad != a->logits) {
        FN(cross_entropy_few)(a, i, end);
        return;
    }
    for (; i < end; i++) {
        REAL *to = grad ? grad + i / inner * n * inner + i % inner : NULL;
        REAL *g = grad && inner > 1 ? g_row : to;
        const REAL *z = FN(cross_entropy_gather)(a, a->logits, i, z_row);
        int32_t y = a->probs ? -1 : a->v.target[i];
        bool ignored = !a->probs && y == a->v.ignore_index;
        REAL row_lse = 0;
        losses[i] = 0;
        if (!ignored)
            FN(cross_entropy_row)(a, z, FN(cross_entropy_mass)(a, i, k_row),
                                  y, g, &losses[i], &row_lse);
        if (lse)
            lse[i] = row_lse;
        for (size_t c = 0; g && ignored && c < n; c++)
            g[c] = 0;
        for (size_t c = 0; grad && inner > 1 && c < n; c++)
            to[c * inner] = g[c];
    }
}

/* out = dloss grad, dloss one number or one a position; ignored ones stay
 * 0. */
static void FN(cross_entropy_scale)(const rill_cross_entropy_args *a,
                                    const void *gy, void *out)
{
    const REAL *d = gy, *g = a->grad;
    REAL *gx = out;
    size_t n = a->v.classes, inner = a->v.inner;
    for (size_t i = 0; i < a->v.positions; i++) {
        size_t at = i / inner * n * inner + i % inner;
        bool ignored = !a->probs && a->v.target[i] == a->v.ignore_index;
        REAL s = a->each ? d[i] : *d;
        for (size_t c = 0; c < n; c++, at += inner)
            gx[at] = ignored ? 0 : s * g[at];
    }
}

#else
KERNELS(cross_entropy)
KERNELS(cross_entropy_scale)

/* ---- the rules ---------------------------------------------------------- */

/* An int32 mask of the positions that are not ignored. */
static rill_tensor *cross_entropy_taken(rill_tape *t,
                                        const rill_cross_entropy_args *a)
{
    rill_tensor *mask = rill_empty(t, RILL_I32, a->rows);
    int32_t *m = rill_write(mask);
    for (size_t i = 0; m && i < a->v.positions; i++)
        m[i] = a->v.target[i] != a->v.ignore_index;
    return mask;
}

/* The weights as [C, 1, ...], to broadcast over the logits; ones for none. */
static rill_tensor *cross_entropy_weights(rill_tape *t,
                                          const rill_cross_entropy_args *a)
{
    rill_shape s = { .ndim = a->rows.ndim - a->v.dim };
    for (int d = 0; d < s.ndim; d++)
        s.dim[d] = 1;
    s.dim[0] = (int64_t)a->v.classes;
    return a->v.weight ? rill_reshape(t, a->v.weight, s)
                       : rill_full(t, 1, a->dtype, s);
}

/* k, made of rill's ops: differentiable in the probabilities. */
static rill_tensor *cross_entropy_k(rill_tape *t,
                                    const rill_cross_entropy_args *a,
                                    const rill_tensor *q)
{
    rill_tensor *w = cross_entropy_weights(t, a);
    double s = a->label_smoothing;
    double even = a->v.classes ? s / (double)a->v.classes : 0;
    if (a->probs)
        return rill_mul(t, w, rill_add_scalar(t, rill_scale(t, q, 1 - s),
                                              even));
    /* own part: (1 - s) w[y] at class y, by comparing y with 0, 1, ... */
    rill_tensor *classes = rill_empty(t, RILL_I32, rill_shape_of(w));
    int32_t *c = rill_write(classes);
    for (size_t i = 0; c && i < a->v.classes; i++)
        c[i] = (int32_t)i;
    rill_tensor *y = rill_reshape(t, q, a->rows);
    rill_tensor *none = rill_zeros(t, a->dtype, RILL_SCALAR);
    rill_tensor *own = rill_where(t, rill_eq(t, y, classes), w, none);
    rill_tensor *k = rill_add(t, rill_scale(t, own, 1 - s),
                              rill_scale(t, w, even));
    return rill_where(t, cross_entropy_taken(t, a), k, none);
}

/* dloss of every position and the logits, with ignored ones selected away,
 * so that no NaN of theirs comes by. */
static const rill_tensor *cross_entropy_select(
    rill_tape *t, const rill_cross_entropy_args *a, const rill_tensor **z,
    const rill_tensor *gy)
{
    const rill_tensor *r = a->each ? rill_reshape(t, gy, a->rows)
                                   : rill_scale(t, gy, 1 / a->denominator);
    if (a->probs)
        return r;
    rill_tensor *none = rill_zeros(t, a->dtype, RILL_SCALAR);
    rill_tensor *taken = cross_entropy_taken(t, a);
    *z = rill_where(t, taken, *z, none);
    return rill_where(t, taken, r, none);
}

rill_tensor *rill_cross_entropy_dz(rill_tape *t,
                                   const rill_cross_entropy_args *a,
                                   const rill_tensor *z, const rill_tensor *q,
                                   const rill_tensor *gy)
{
    rill_reduce_opts over = { .dims = RILL_DIMS(a->v.dim), .keepdim = true };
    const rill_tensor *r = cross_entropy_select(t, a, &z, gy);
    rill_tensor *k = cross_entropy_k(t, a, q);
    rill_tensor *K = rill_sum(t, k, &over);
    if (a->z_loss != 0)
        K = rill_add(t, K, rill_scale(t, rill_logsumexp(t, z, &over),
                                      2 * a->z_loss));
    rill_tensor *p = rill_softmax(t, z, a->v.dim);
    return rill_mul(t, r, rill_sub(t, rill_mul(t, p, K), k));
}

static RULE(cross_entropy_backward)
{
    const rill_cross_entropy_args *a = rill_node_attrs(n);
    const rill_tensor *z = rill_node_input(n, 0);
    if (rill_node_wants(n, 0))
        gx[0] = rill_cross_entropy_dz(t, a, z, rill_node_input(n, 1), gy);
    if (rill_node_wants(n, 1)) {
        const rill_tensor *r = cross_entropy_select(t, a, &z, gy);
        rill_tensor *far = rill_neg(t, rill_log_softmax(t, z, a->v.dim));
        gx[1] = rill_mul(t, rill_scale(t, r, 1 - a->label_smoothing),
                         rill_mul(t, cross_entropy_weights(t, a), far));
    }
}

void rill_cross_entropy_scale(const rill_cross_entropy_args *a,
                              const void *dloss, void *out)
{
    KERNEL(cross_entropy_scale, a->isa, a->dtype)(a, dloss, out);
}

static RULE(cross_entropy_fused)
{
    const rill_cross_entropy_args *a = rill_node_attrs(n);
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
        rill_cross_entropy_scale(a, gy->data, g->data);
    gx[0] = g;
}

static const rill_op cross_entropy_op = {
    "cross_entropy", "dz = dloss (K softmax(z) - k), k: the target's mass",
    cross_entropy_backward, cross_entropy_fused, 0
};

/* ---- the op ------------------------------------------------------------- */

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

static void cross_entropy_part(void *context, int64_t part)
{
    const rill_cross_entropy_args *a = context;
    KERNEL(cross_entropy, a->isa, a->dtype)(a, (size_t)part);
}

bool rill_cross_entropy_start(rill_tape *t, const rill_tensor *logits,
                              const rill_cross_entropy_opts *o, size_t most,
                              rill_cross_entropy_args *a)
{
    a->isa = t->isa;
    a->dtype = logits->dtype;
    a->losses_out = rill_empty(t, a->dtype, a->v.shape);
    a->lse_out = o->lse ? rill_empty(t, a->dtype, a->v.shape) : NULL;
    bool mean = o->reduction == RILL_MEAN;
    double own = a->probs ? (double)a->v.positions : rill_class_total(&a->v);
    a->denominator = !mean ? 1 : o->denominator > 0 ? o->denominator : own;
    a->scale = 1 / a->denominator;
    a->each = o->reduction == RILL_NONE;
    a->label_smoothing = o->label_smoothing;
    a->z_loss = o->z_loss;
    a->rows = logits->shape;
    a->rows.dim[a->v.dim] = 1;
    /* parts of some RILL_PART logits, at most 64, each with rows of its own */
    size_t n = a->v.classes ? a->v.classes : 1, least = most / 64 + 1;
    a->part = RILL_PART / n + 1 > least ? RILL_PART / n + 1 : least;
    a->scratch_rows = a->v.inner > 1 ? 3 : a->probs || o->label_smoothing > 0;
    a->scratch = rill_tape_alloc(t, (most / a->part + 1) * a->scratch_rows *
                                        n * rill_dtype_size(a->dtype));
    if (!a->scratch)
        return false;
    a->losses = a->losses_out->data;
    a->lse = a->lse_out ? a->lse_out->data : NULL;
    return true;
}

void rill_cross_entropy_run(rill_cross_entropy_args *a)
{
    rill_share((int64_t)((a->v.positions + a->part - 1) / a->part),
               cross_entropy_part, a);
}

rill_tensor *rill_cross_entropy_loss(rill_tape *t,
                                     const rill_cross_entropy_opts *o,
                                     const rill_cross_entropy_args *a)
{
    if (o->losses)
        *o->losses = a->losses_out;
    if (o->lse)
        *o->lse = a->lse_out;
    if (o->denominator_used)
        *o->denominator_used = a->denominator;
    if (a->each) /* what is handed out on the side is not recorded */
        return rill_tensor_over(t, a->losses_out->data, a->dtype, a->v.shape);
    double sum = rill_sum_all(t, a->losses_out) / a->denominator;
    /* PyTorch: smoothing alone, over no weight at all, is NaN too */
    if (!a->probs && a->label_smoothing > 0 && a->denominator == 0)
        sum = NAN;
    return rill_full(t, sum, a->dtype, RILL_SCALAR);
}

static rill_tensor *cross_entropy(rill_tape *t, const char *op,
                                  const rill_tensor *z, const rill_tensor *y,
                                  const rill_cross_entropy_opts *o,
                                  rill_cross_entropy_args *a)
{
    if (z->op && z->op->flags & RILL_OP_IS_SOFTMAX)
        rill_warn(t, "%s: its logits come from %s, but it applies "
                     "log_softmax itself: give it the logits", op,
                  z->op->name);
    bool wanted = t->recording && rill_wants(t, z);
    rill_tensor *g = wanted ? rill_like(t, z) : NULL;
    if (!rill_cross_entropy_start(t, z, o, a->v.positions, a))
        return NULL;
    a->logits = z->data;
    a->grad = g ? g->data : NULL;
    rill_cross_entropy_run(a);
    rill_tensor *loss = rill_cross_entropy_loss(t, o, a);
    void *kept = rill_attrs(t, a, sizeof *a);
    return kept ? rill_record(t, &cross_entropy_op, loss, INPUTS(z, y), kept)
                : NULL;
}

bool rill_cross_entropy_check(rill_tape *t, const char *op,
                              const rill_tensor *logits,
                              const rill_tensor *target,
                              const rill_cross_entropy_opts *o,
                              rill_cross_entropy_args *a)
{
    if (!rill_usable_float(t, op, "logits", logits) ||
        !rill_usable(t, op, "target", target) ||
        !cross_entropy_options(t, op, o))
        return false;
    if (target->dtype != RILL_I32)
        return rill_fail(t, "%s: target is %s, class indices are int32: for "
                         "probabilities there is cross_entropy_probs", op,
                         rill_dtype_name(target->dtype));
    *a = (rill_cross_entropy_args){ .probs = NULL };
    a->v.ignore_index = o->ignore_index ? *o->ignore_index : -100;
    return rill_class_layout(t, op, "logits", logits, &a->v) &&
           (!o->weight ||
            rill_class_weight(t, op, "logits", logits, o->weight, &a->v)) &&
           rill_class_target(t, op, "logits", logits, target, &a->v);
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
    const rill_cross_entropy_opts none = { 0 }, *o = opts ? opts : &none;
    rill_cross_entropy_args a;
    if (!rill_cross_entropy_check(t, "cross_entropy", logits, target, o, &a))
        return NULL;
    return cross_entropy(t, "cross_entropy", logits, target, o, &a);
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
    const rill_cross_entropy_opts none = { 0 }, *o = opts ? opts : &none;
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
    rill_cross_entropy_args a = { .probs = probs->data };
    if (!rill_class_layout(t, op, "logits", logits, &a.v) ||
        (o->weight &&
         !rill_class_weight(t, op, "logits", logits, o->weight, &a.v)))
        return NULL;
    if (!rill_shape_equal(&logits->shape, &probs->shape))
        return rill_fail(t, "%s: logits are %s but probs are %s: %s is wanted",
                         op, RILL_TEXT(logits), RILL_TEXT(probs),
                         RILL_TEXT(logits));
    return cross_entropy(t, op, logits, probs, o, &a);
}

#endif
