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
#define KERNEL_FILE "../ops/cross_entropy.c"
#include "common.h"

#ifdef REAL
#define FEW 32   /* classes, at most, of a block */
#define BLOCK 64 /* its positions */

/* Position i. */
static void FN(cross_entropy_row)(const rill_cross_entropy_args *a, size_t i)
{
    size_t n = a->v.classes;
    const REAL *z = (const REAL *)a->logits->data + i * n;
    const REAL *dloss = a->dloss ? a->dloss->data : NULL;
    const REAL *w = a->v.weight ? a->v.weight->data : NULL;
    const REAL *q = a->probs ? (const REAL *)a->probs->data + i * n : w;
    REAL *g = a->grad ? (REAL *)a->grad->data + i * n : NULL; /* may be z */
    REAL keep = (REAL)(1 - a->label_smoothing), z_loss = (REAL)a->z_loss;
    REAL even = a->spread ? (REAL)(a->label_smoothing / (double)n) : 0;
    REAL share = a->probs ? keep : 0; /* of q, which has to be something */
    REAL scale = (REAL)a->scale, d = dloss ? dloss[a->each ? i : 0] : 1;
    REAL mass = 0, far = 0, own = 0;
    int32_t y = a->probs ? -1 : a->v.target[i];
    REAL max = FN(math_largest)(z, n);
    if (a->spread)
        SIMD_REDUCE(+, mass, far) for (size_t c = 0; c < n; c++) {
            REAL k = (share * q[c] + even) * w[c];
            mass += k;
            far += k * (max - z[c]);
        }
    if (y >= 0) {
        own = keep * (w ? w[y] : 1);
        mass += own;
        far += own * (max - z[y]);
    }
    REAL sum = FN(math_exp_row)(z, max, g, n);
    REAL log_sum = FN(math_log)(sum), lse = log_sum + max;
    ((REAL *)a->losses->data)[i] = mass * log_sum + far + z_loss * lse * lse;
    if (a->lse)
        ((REAL *)a->lse->data)[i] = lse;
    if (z_loss != 0) /* else the gradient need not wait for the logarithm */
        mass += 2 * z_loss * lse;
    REAL f = scale * mass / sum;
    if (g && a->spread)
        SIMD for (size_t c = 0; c < n; c++)
            g[c] = g[c] * f - scale * ((share * q[c] + even) * w[c]);
    else if (g)
        SIMD for (size_t c = 0; c < n; c++)
            g[c] *= f;
    if (g && y >= 0)
        g[y] -= scale * own;
    if (g && dloss)
        SIMD for (size_t c = 0; c < n; c++)
            g[c] *= d;
}

/* Takes the quarters of BLOCK rows of n together, one element of each in
 * turn, or apart. Element i moves to 4 i modulo their number less one. */
MATH void FN(zip)(const REAL *x, REAL *y, size_t n, const bool apart)
{
    for (size_t k = 0; k < n; k++)
        SIMD for (size_t i = 0; i < 16; i++)
            for (size_t j = 0; j < 4; j++) {
                size_t a = 16 * (n * j + k) + i, b = 64 * k + 4 * i + j;
                y[apart ? a : b] = x[apart ? b : a];
            }
}

/* Zipped twice, class c of position 4 l + s / 16 is at s n + 16 c + l, and its
 * number at s + l. */
#define EACH_LOGIT(s, c, l)                \
    for (size_t s = 0; s < BLOCK; s += 16) \
        for (size_t c = 0; c < n; c++)     \
            SIMD for (size_t l = 0; l < 16; l++)

/* BLOCK positions side by side: enough of them for one's arithmetic to hide
 * the latency of another's. e: their logits, zipped twice, which become their
 * gradients for weight and dloss 1. */
MATH void FN(cross_entropy_lanes)(const rill_cross_entropy_args *a, REAL *e,
                                  const int32_t *y, REAL *loss, REAL *lse)
{
    __attribute__((aligned(64))) REAL sum[BLOCK], f[BLOCK];
    REAL scale = (REAL)a->scale;
    size_t n = a->v.classes;
    int32_t ignore = a->v.ignore_index;
    SIMD for (size_t l = 0; l < BLOCK; l++) {
        lse[l] = -(REAL)INFINITY;    /* the largest, at first */
        sum[l] = loss[l] = -(REAL)0; /* of 0 gcc makes a slow memset */
    }
    EACH_LOGIT(s, c, l) {
        REAL x = e[s * n + c * 16 + l];
        lse[s + l] = x > lse[s + l] ? x : lse[s + l];
    }
    EACH_LOGIT(s, c, l) {
        REAL x = e[s * n + c * 16 + l] - lse[s + l];
        loss[s + l] = y[s + l] == (int32_t)c ? -x : loss[s + l];
        e[s * n + c * 16 + l] = x = FN(math_exp_times)(x, 0, 1);
        sum[s + l] += x;
    }
    SIMD for (size_t l = 0; l < BLOCK; l++) {
        REAL log_sum = FN(math_log)(sum[l]);
        loss[l] = y[l] == ignore ? 0 : log_sum + loss[l];
        lse[l] = y[l] == ignore ? 0 : log_sum + lse[l];
        f[l] = scale / sum[l];
    }
    EACH_LOGIT(s, c, l) {
        REAL k = y[s + l] == (int32_t)c ? scale : 0;
        REAL d = e[s * n + c * 16 + l] * f[s + l] - k;
        e[s * n + c * 16 + l] = y[s + l] == ignore ? 0 : d;
    }
}

/* m <= BLOCK positions from i, without label smoothing and z_loss. */
static void FN(cross_entropy_block)(const rill_cross_entropy_args *a,
                                    size_t i, size_t m)
{
    size_t n = a->v.classes;
    __attribute__((aligned(64))) REAL e[(2 * FEW + 1) * BLOCK], loss[BLOCK],
        lse[BLOCK], k[BLOCK];
    REAL *spare = e + (n + 1) * BLOCK; /* near: never 4096 bytes from e */
    REAL *losses = (REAL *)a->losses->data + i;
    REAL *g = a->grad ? (REAL *)a->grad->data + i * n : NULL;
    const REAL *w = a->v.weight ? a->v.weight->data : NULL;
    const REAL *d = a->dloss ? a->dloss->data : NULL;
    const REAL *z = (const REAL *)a->logits->data + i * n;
    const int32_t *target = a->v.target + i;
    __attribute__((aligned(64))) int32_t y[BLOCK], last[BLOCK] = { 0 };
    if (m < BLOCK) { /* there is no more to read, nor room to write */
        memset(e, 0, n * BLOCK * sizeof *z);
        z = memcpy(e, z, m * n * sizeof *z);
        target = memcpy(last, target, m * sizeof *target);
    }
    for (size_t s = 0; s < BLOCK; s += 16)
        SIMD for (size_t l = 0; l < 16; l++)
            y[s + l] = target[4 * l + s / 16];
    FN(zip)(z, spare, n, false);
    FN(zip)(spare, e, n, false);
    FN(cross_entropy_lanes)(a, e, y, loss, lse);
    for (size_t l = 0; (w || d) && l < BLOCK; l++) {
        bool ignored = y[l] == a->v.ignore_index;
        size_t from = a->each ? i + l % 16 * 4 + l / 16 : 0;
        k[l] = w && !ignored ? w[y[l]] : 1;
        loss[l] *= k[l];
        k[l] *= d && !ignored && from < i + m ? d[from] : 1;
    }
    if (w || d)
        EACH_LOGIT(s, c, l)
            e[s * n + c * 16 + l] *= k[s + l];
    FN(zip)(loss, m < BLOCK ? spare : losses, 1, false);
    if (m < BLOCK)
        memcpy(losses, spare, m * sizeof *loss);
    if (a->lse) {
        FN(zip)(lse, spare, 1, false);
        memcpy((REAL *)a->lse->data + i, spare, m * sizeof *lse);
    }
    if (!g)
        return;
    FN(zip)(e, spare, n, true);
    FN(zip)(spare, m < BLOCK ? e : g, n, true);
    if (m < BLOCK)
        memcpy(g, e, m * n * sizeof *g);
}

/* Positions [i, to); all else is in attrs. */
static void FN(cross_entropy)(void *out, const void *const *in, size_t i,
                              size_t to, size_t n, const void *attrs)
{
    const rill_cross_entropy_args *a = attrs;
    bool few = n > 0 && n <= FEW && !a->spread && a->z_loss == 0;
    (void)out, (void)in;
    /* fewer positions than classes would leave a block too empty */
    for (; few && i + n <= to; i += BLOCK)
        FN(cross_entropy_block)(a, i, to - i < BLOCK ? to - i : BLOCK);
    for (; i < to; i++) {
        if (a->probs || a->v.target[i] != a->v.ignore_index) {
            FN(cross_entropy_row)(a, i);
            continue;
        }
        ((REAL *)a->losses->data)[i] = 0;
        if (a->lse)
            ((REAL *)a->lse->data)[i] = 0;
        if (a->grad)
            memset((REAL *)a->grad->data + i * n, 0, n * sizeof(REAL));
    }
}

#else
KERNELS(cross_entropy)

/* ---- the rules ---------------------------------------------------------- */

/* The dims of x but the first rotated by one, so that the classes are the
 * last; or back. */
static const rill_tensor *cross_entropy_turn(rill_tape *t,
                                             const rill_cross_entropy_args *a,
                                             const rill_tensor *x, bool back)
{
    int n = a->rows.ndim;
    rill_dims order = { .n = n };
    if (a->v.dim == n - 1)
        return x;
    for (int d = 1; d < n; d++)
        order.dim[d] = (back ? d + n - 3 : d) % (n - 1) + 1;
    return rill_permute(t, x, order);
}

/* Of class indices: the target as probabilities. Ignored ones take their z and
 * their dloss r to 0: selected away, so that no NaN of theirs comes by. */
static const rill_tensor *cross_entropy_select(
    rill_tape *t, const rill_cross_entropy_args *a, rill_shape one,
    const rill_tensor **z, const rill_tensor **r)
{
    rill_tensor *none = rill_zeros(t, a->losses->dtype, RILL_SCALAR);
    rill_tensor *taken = rill_zeros(t, RILL_I32, one);
    rill_tensor *hot = rill_zeros(t, a->losses->dtype, a->rows);
    for (size_t i = 0; taken && hot && i < a->v.positions; i++)
        if (a->v.target[i] != a->v.ignore_index) {
            rill_set(taken, (int64_t)i, 1);
            rill_set(hot, (int64_t)(i * a->v.classes) + a->v.target[i], 1);
        }
    *z = rill_where(t, taken, *z, none);
    *r = rill_where(t, taken, *r, none);
    return hot;
}

void rill_cross_entropy_rule(rill_tape *t, const rill_cross_entropy_args *a,
                             const rill_tensor *z, const rill_tensor *q,
                             const rill_tensor *gy, const rill_tensor **dz,
                             const rill_tensor **dq)
{
    rill_reduce_opts over = { .dims = RILL_DIMS(-1), .keepdim = true };
    double s = a->label_smoothing, even = s / (double)a->v.classes;
    const rill_tensor *w = a->v.weight; /* there is one where dq is */
    rill_shape one = a->rows;
    one.dim[one.ndim - 1] = 1;
    const rill_tensor *r = a->each ? rill_reshape(t, gy, one)
                                   : rill_scale(t, gy, 1 / a->denominator);
    z = cross_entropy_turn(t, a, z, false);
    q = a->probs ? cross_entropy_turn(t, a, q, false)
                 : cross_entropy_select(t, a, one, &z, &r);
    if (dq) {
        rill_tensor *far = rill_neg(t, rill_log_softmax(t, z, -1));
        far = rill_mul(t, rill_scale(t, r, 1 - s), rill_mul(t, w, far));
        *dq = cross_entropy_turn(t, a, far, true);
    }
    if (!dz)
        return;
    rill_tensor *k = rill_add_scalar(t, rill_scale(t, q, 1 - s), even);
    k = w ? rill_mul(t, w, k) : k;
    rill_tensor *K = rill_sum(t, k, &over);
    if (a->z_loss != 0)
        K = rill_add(t, K, rill_scale(t, rill_logsumexp(t, z, &over),
                                      2 * a->z_loss));
    rill_tensor *p = rill_softmax(t, z, -1);
    r = rill_mul(t, r, rill_sub(t, rill_mul(t, p, K), k));
    *dz = cross_entropy_turn(t, a, r, true);
}

static RULE(cross_entropy_backward)
{
    rill_cross_entropy_rule(t, rill_node_attrs(n), rill_node_input(n, 0),
                            rill_node_input(n, 1), gy,
                            rill_node_wants(n, 0) ? &gx[0] : NULL,
                            rill_node_wants(n, 1) ? &gx[1] : NULL);
}

/* The forward has left the gradient for dloss = 1 behind, but where each
 * position has a dloss of its own. One that is not finite is not multiplied
 * by the zeros of ignored positions: that would be NaN. */
static RULE(cross_entropy_fused)
{
    rill_cross_entropy_args a = *(const rill_cross_entropy_args *)
                                    rill_node_attrs(n);
    rill_tensor *g = a.grad;
    if (rill_node_wants(n, 1)) {
        cross_entropy_backward(t, n, gy, gx);
        return;
    }
    if (a.each || !isfinite(rill_item(gy))) {
        a.grad = g = rill_empty(t, a.losses->dtype, a.rows);
        a.dloss = gy;
        rill_cross_entropy_run(t, &a);
    } else if (rill_item(gy) != 1)
        g = rill_scale(t, g, rill_item(gy));
    gx[0] = cross_entropy_turn(t, &a, g, true);
}

OP_AS(cross_entropy, "dz = dloss (K softmax(z) - k), k: the target's mass",
      cross_entropy_backward, cross_entropy_fused)

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

/* Whether target is what the logits' classes want: indices or probabilities;
 * sets a->v. */
static bool cross_entropy_target(rill_tape *t, const char *op,
                                 const rill_tensor *logits,
                                 const rill_tensor *target, bool probs,
                                 const rill_cross_entropy_opts *o,
                                 rill_cross_entropy_args *a)
{
    if (!probs && target->dtype != RILL_I32)
        return rill_fail(t, "%s: target is %s, class indices are int32: for "
                         "probabilities there is cross_entropy_probs", op,
                         rill_dtype_name(target->dtype));
    if (probs && target->dtype == RILL_I32)
        return rill_fail(t, "%s: probs are int32: for class indices there is "
                         "cross_entropy", op);
    if (probs && o->ignore_index && *o->ignore_index >= 0)
        return rill_fail(t, "%s: ignore_index %d: a target of probabilities "
                         "has no index to ignore", op, (int)*o->ignore_index);
    if (!rill_class_scores(t, op, "logits", logits, o->weight,
                           o->ignore_index, &a->v))
        return false;
    if (!probs)
        return rill_class_target(t, op, "logits", logits, target, &a->v);
    if (!rill_same_dtype(t, op, "logits", logits, "probs", target))
        return false;
    if (!rill_shape_equal(&logits->shape, &target->shape))
        return rill_fail(t, "%s: logits are %s but probs are %s: %s is wanted",
                         op, RILL_TEXT(logits), RILL_TEXT(target),
                         RILL_TEXT(logits));
    return true;
}

bool rill_cross_entropy_start(rill_tape *t, const char *op,
                              const rill_tensor *logits,
                              const rill_tensor *target, bool probs,
                              const rill_cross_entropy_opts *o,
                              rill_cross_entropy_args *a)
{
    *a = (rill_cross_entropy_args){
        .each = o->reduction == RILL_NONE, .z_loss = o->z_loss,
        .label_smoothing = o->label_smoothing,
        .spread = probs || o->label_smoothing > 0
    };
    if (!rill_usable_float(t, op, "logits", logits) ||
        !rill_usable(t, op, probs ? "probs" : "target", target) ||
        !cross_entropy_options(t, op, o) ||
        !cross_entropy_target(t, op, logits, target, probs, o, a))
        return false;
    a->rows = a->v.shape; /* and the classes */
    a->rows.dim[a->rows.ndim++] = (int64_t)a->v.classes;
    double own = probs ? (double)a->v.positions : rill_class_total(&a->v);
    a->denominator = o->reduction != RILL_MEAN ? 1
                     : o->denominator > 0      ? o->denominator : own;
    a->scale = 1 / a->denominator;
    if (a->spread && !a->v.weight)
        a->v.weight = rill_full(t, 1, logits->dtype,
                                RILL_SHAPE((int64_t)a->v.classes));
    a->losses = rill_empty(t, logits->dtype, a->v.shape);
    a->lse = o->lse ? rill_empty(t, logits->dtype, a->v.shape) : NULL;
    return !t->failed;
}

void rill_cross_entropy_run(rill_tape *t, const rill_cross_entropy_args *a)
{
    rill_run_rows(KERNEL(cross_entropy, t->isa, a->losses->dtype), NULL, NULL,
                  a->v.positions, a->v.classes, a);
}

rill_tensor *rill_cross_entropy_loss(rill_tape *t,
                                     const rill_cross_entropy_opts *o,
                                     const rill_cross_entropy_args *a)
{
    if (o->losses)
        *o->losses = a->losses;
    if (o->lse)
        *o->lse = a->lse;
    if (o->denominator_used)
        *o->denominator_used = a->denominator;
    if (a->each) /* what is handed out on the side is not recorded */
        return rill_view(t, a->losses->data, a->losses->dtype, a->v.shape);
    double sum = rill_sum_all(t, a->losses) / a->denominator;
    /* PyTorch: smoothing alone, over no weight at all, is NaN too */
    if (!a->probs && a->label_smoothing > 0 && a->denominator == 0)
        sum = NAN;
    return rill_full(t, sum, a->losses->dtype, RILL_SCALAR);
}

static rill_tensor *cross_entropy(rill_tape *t, const char *op,
                                  const rill_tensor *z, const rill_tensor *y,
                                  bool probs,
                                  const rill_cross_entropy_opts *o)
{
    rill_cross_entropy_args a;
    o = o ? o : &(rill_cross_entropy_opts){ 0 };
    if (!rill_cross_entropy_start(t, op, z, y, probs, o, &a))
        return NULL;
    rill_warn_of_logits(t, op, "log_softmax", z);
    bool was = rill_tape_record(t, false);
    a.logits = cross_entropy_turn(t, &a, z, false);
    a.probs = probs ? cross_entropy_turn(t, &a, y, false) : NULL;
    rill_tape_record(t, was);
    if (was && !a.each && rill_wants(t, z))
        a.grad = rill_like(t, a.logits);
    if (t->failed)
        return NULL;
    rill_cross_entropy_run(t, &a);
    rill_tensor *loss = rill_cross_entropy_loss(t, o, &a);
    return rill_record(t, &cross_entropy_op, loss, INPUTS(z, y),
                       rill_attrs(t, &a, sizeof a));
}

/* The cross entropy of softmax(logits) against class indices. logits: [C],
 * [N, C] or [N, C, d1, ...] before any softmax; target: int32 [], [N] or
 * [N, d1, ...]. Result: [] for the mean (over the weights of what was not
 * ignored) and the sum, the target's shape for RILL_NONE. As PyTorch's
 * cross_entropy, with the options of rill_cross_entropy_opts. What is asked
 * for through losses and lse belongs to t and carries no gradient. Warns
 * where a softmax or a sigmoid made the logits. Also errors: a target that is
 * neither a class nor ignored; an option out of its range; a recorded
 * weight. */
rill_tensor *rill_cross_entropy(rill_tape *t, const rill_tensor *logits,
                                const rill_tensor *target,
                                const rill_cross_entropy_opts *opts)
{
    return cross_entropy(t, "cross_entropy", logits, target, false, opts);
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
    return cross_entropy(t, "cross_entropy_probs", logits, probs, true, opts);
}
#endif
