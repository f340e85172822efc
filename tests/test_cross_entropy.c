/* The loss, whole: every combination of its options three ways (class
 * indices, one-hot probabilities, composed of plain ops), its limits, its
 * promises and its refusals. PyTorch's values are test_golden's. */
#include "harness.h"

#include <float.h>

/* ---- a reference in plain double ---------------------------------------- */

typedef struct {
    int n, c, inner;
    const double *z; /* [n, c, inner] */
    const int *y;    /* [n, inner] */
    const double *w; /* [c], or NULL */
    int ignore;
    double smoothing, z_loss;
} reference;

static double reference_row(const reference *r, int i, int j, double *gz,
                            double *lse_out, double *weight)
{
    const double *z = r->z + i * r->c * r->inner + j;
    int y = r->y[i * r->inner + j];
    double max = -INFINITY, sum = 0, loss = 0, mass = 0;
    for (int c = 0; c < r->c; c++)
        max = fmax(max, z[c * r->inner]);
    for (int c = 0; c < r->c; c++)
        sum += exp(z[c * r->inner] - max);
    double lse = log(sum) + max;
    *lse_out = *weight = 0;
    for (int c = 0; c < r->c; c++)
        gz[c] = 0;
    if (y == r->ignore)
        return 0;
    *lse_out = lse;
    *weight = r->w ? r->w[y] : 1;
    for (int c = 0; c < r->c; c++) {
        double k = (r->w ? r->w[c] : 1) *
                   ((1 - r->smoothing) * (c == y) + r->smoothing / r->c);
        loss += k * (lse - z[c * r->inner]);
        mass += k;
        gz[c] -= k;
    }
    for (int c = 0; c < r->c; c++)
        gz[c] += (mass + 2 * r->z_loss * lse) * exp(z[c * r->inner] - lse);
    return loss + r->z_loss * lse * lse;
}

/* ---- the same, composed of rill's plain ops, against one-hot targets ---- */

static rill_tensor *one_hot_of(const reference *r, rill_dtype dtype)
{
    double *q = calloc((size_t)(r->n * r->c * r->inner), sizeof *q);
    for (int i = 0; i < r->n; i++)
        for (int j = 0; j < r->inner; j++) {
            int y = r->y[i * r->inner + j];
            if (y != r->ignore)
                q[(i * r->c + y) * r->inner + j] = 1;
        }
    rill_tensor *t = rill_from(tape, q, dtype,
                               RILL_SHAPE(r->n, r->c, r->inner));
    free(q);
    return t;
}

/* Each row's loss [n, inner] by log_softmax, mul and sum. */
static rill_tensor *composed_rows(const reference *r, rill_tensor *z,
                                  const rill_tensor *w)
{
    rill_tensor *q = one_hot_of(r, rill_dtype_of(z));
    rill_tensor *taken = rill_sum(
        tape, q, &(rill_reduce_opts){ .dims = RILL_DIMS(1), .keepdim = true });
    rill_tensor *k = rill_add(tape, rill_scale(tape, q, 1 - r->smoothing),
                              rill_scale(tape, taken,
                                         r->smoothing / r->c));
    if (w)
        k = rill_mul(tape, k, rill_reshape(tape, w, RILL_SHAPE(r->c, 1)));
    rill_reduce_opts over = { .dims = RILL_DIMS(1) };
    rill_tensor *rows = rill_neg(
        tape, rill_sum(tape, rill_mul(tape, k, rill_log_softmax(tape, z, 1)),
                       &over));
    rill_tensor *lse = rill_logsumexp(tape, z, &over);
    rill_tensor *zz = rill_mul(tape, rill_square(tape, lse),
                               rill_reshape(tape, taken,
                                            RILL_SHAPE(r->n, r->inner)));
    return rill_add(tape, rows, rill_scale(tape, zz, r->z_loss));
}

/* ---- every combination of options --------------------------------------- */

enum { N = 6, C = 5 };

static void check_combination(const reference *r, rill_dtype dtype,
                              rill_reduction reduction, double denominator)
{
    double tol = dtype == RILL_F32 ? 2e-5 : 1e-12;
    int positions = r->n * r->inner;
    rill_shape shape = RILL_SHAPE(r->n, r->c, r->inner);
    rill_tensor *z = rill_watch(tape, rill_from(tape, r->z, dtype, shape));
    rill_tensor *y = rill_empty(tape, RILL_I32, RILL_SHAPE(r->n, r->inner));
    for (int i = 0; i < positions; i++)
        ((int32_t *)rill_write(y))[i] = r->y[i];
    rill_tensor *w = NULL;
    if (r->w)
        w = rill_from(tape, r->w, dtype, RILL_SHAPE(r->c));
    rill_tensor *losses, *lse;
    double used;
    int32_t ignore = r->ignore;
    rill_cross_entropy_opts o = {
        .reduction = reduction, .weight = w, .ignore_index = &ignore,
        .label_smoothing = r->smoothing, .denominator = denominator,
        .z_loss = r->z_loss, .losses = &losses, .lse = &lse,
        .denominator_used = &used
    };
    rill_tensor *loss = rill_cross_entropy(tape, z, y, &o);
    ASSERT_OK();
    rill_tensor *seed = NULL;
    if (reduction == RILL_NONE)
        seed = normal(9, dtype, RILL_SHAPE(r->n, r->inner));
    rill_backward_opts back = { .grad = seed };
    ck_assert(rill_backward(tape, loss, &back));
    rill_tensor *g = rill_grad(tape, z);

    double total = 0, weights = 0, gz[C];
    for (int i = 0; i < positions; i++) {
        double want_lse, weight;
        total += reference_row(r, i / r->inner, i % r->inner, gz, &want_lse,
                               &weight);
        weights += weight;
        ASSERT_NEAR(rill_at(lse, i), want_lse, tol);
    }
    double d = reduction != RILL_MEAN ? 1 : denominator ? denominator
                                                        : weights;
    ASSERT_NEAR(used, d, 1e-6);
    for (int i = 0; i < positions; i++) {
        double want_lse, weight, scale = seed ? rill_at(seed, i) : 1 / d;
        double want = reference_row(r, i / r->inner, i % r->inner, gz,
                                    &want_lse, &weight);
        ASSERT_NEAR(rill_at(losses, i), want, tol);
        if (reduction == RILL_NONE)
            ASSERT_NEAR(rill_at(loss, i), want, tol);
        for (int c = 0; c < r->c; c++)
            ASSERT_NEAR(rill_at(g, (i / r->inner * r->c + c) * r->inner +
                                       i % r->inner),
                        scale * gz[c], tol);
    }
    if (reduction != RILL_NONE)
        ASSERT_NEAR(rill_item(loss), total / d, tol);

    /* the recorded rule says the same as the fused one */
    back.create_graph = true;
    ck_assert(rill_backward(tape, loss, &back));
    for (int i = 0; i < rill_numel(g); i++)
        ASSERT_NEAR(rill_at(rill_grad(tape, z), i), rill_at(g, i), tol);

    /* composed of plain ops: the same losses */
    rill_tensor *rows = composed_rows(r, z, w);
    ASSERT_OK();
    for (int i = 0; i < positions; i++)
        ASSERT_NEAR(rill_at(rows, i), rill_at(losses, i), 2 * tol);

    /* one-hot probabilities: the same rows where nothing is ignored */
    bool ignores = false;
    for (int i = 0; i < positions; i++)
        ignores = ignores || r->y[i] == r->ignore;
    if (!ignores) {
        o.ignore_index = NULL;
        rill_tensor *by_probs;
        o.losses = &by_probs;
        rill_tensor *p = rill_cross_entropy_probs(tape, z,
                                                  one_hot_of(r, dtype), &o);
        ASSERT_OK();
        back.create_graph = false;
        ck_assert(rill_backward(tape, p, &back));
        for (int i = 0; i < positions; i++)
            ASSERT_NEAR(rill_at(by_probs, i), rill_at(losses, i), tol);
        /* but for the mean's denominator: positions, not their weights */
        double ratio = reduction == RILL_MEAN && !denominator
                           ? weights / positions : 1;
        for (int i = 0; i < rill_numel(g); i++)
            ASSERT_NEAR(rill_at(rill_grad(tape, z), i),
                        rill_at(g, i) * ratio, tol);
    }
    rill_tape_reset(tape);
}

START_TEST(every_combination_of_options)
{
    static const double w[C] = { 0.5, 2, 1.25, 0.1, 3 };
    static const int inners[] = { 1, 3 }, ignores[] = { -100, 2, 77 };
    static const double smooths[] = { 0, 0.1, 1 }, denominators[] = { 0, 11 };
    static const double z_losses[] = { 0, 1e-2 };
    double z[N * C * 3];
    int y[N * 3];
    rill_rng rng = { .seed = 5 };
    int combinations = 0;
    for (int k = 0; k < 2 * 2 * 3 * 3 * 2 * 2 * 3 * 2; k++) {
        int i = k;
        reference r = { .n = N, .c = C, .z = z, .y = y };
        r.inner = inners[i % 2], i /= 2;
        r.w = i % 2 ? w : NULL, i /= 2;
        r.ignore = ignores[i % 3], i /= 3;
        r.smoothing = smooths[i % 3], i /= 3;
        double denominator = denominators[i % 2];
        i /= 2;
        r.z_loss = z_losses[i % 2], i /= 2;
        rill_reduction reduction = (rill_reduction)(i % 3);
        i /= 3;
        rill_dtype dtype = i % 2 ? RILL_F32 : RILL_F64;
        if (denominator && reduction != RILL_MEAN)
            continue; /* refused: see below */
        for (int e = 0; e < N * C * 3; e++) /* exact in float32 too */
            z[e] = (float)(3 * rill_rng_normal(&rng));
        for (int e = 0; e < N * 3; e++) {
            y[e] = (int)rill_rng_below(&rng, C);
            if (r.ignore == 77 && e % 4 == 1)
                y[e] = 77;
        }
        check_combination(&r, dtype, reduction, denominator);
        combinations++;
    }
    ck_assert_int_eq(combinations, 2 * 2 * 3 * 3 * 2 * 2 * (2 + 1 + 1));
}
END_TEST

/* Few classes go many rows side by side: every count of classes around the
 * most of them, rows that do not fill a block, ignored rows among them; with
 * weights, and with a dloss for each row. */
START_TEST(many_rows_of_few_classes)
{
    enum { ROWS = 85, MOST = 34 };
    rill_rng rng = { .seed = 21 };
    for (int k = 0; k < 2 * MOST * 4; k++) {
        rill_dtype dtype = k % 2 ? RILL_F32 : RILL_F64;
        bool weighted = k / 2 % 2, none = k / 4 % 2;
        double z[ROWS * MOST], w[MOST], gz[MOST], lse, weight;
        double tol = dtype == RILL_F32 ? 4e-6 : 1e-13, total = 0, n = 0;
        int y[ROWS], c = k / 8 + 1;
        int32_t target[ROWS];
        reference r = { .n = ROWS, .c = c, .inner = 1, .z = z, .y = y,
                        .w = weighted ? w : NULL };
        r.ignore = c > 2 && none ? 2 : -100; /* a class, or none */
        for (int i = 0; i < c; i++)
            w[i] = 0.25 + 0.5 * i / c;
        for (int i = 0; i < ROWS * c; i++)
            z[i] = (float)(4 * rill_rng_normal(&rng));
        for (int i = 0; i < ROWS; i++) {
            y[i] = i % 5 == 3 ? r.ignore
                              : (int)rill_rng_below(&rng, (unsigned)c);
            target[i] = y[i];
        }
        z[13 * c] = NAN; /* in an ignored row */
        rill_tensor *losses;
        rill_tensor *x = rill_watch(tape, rill_from(tape, z, dtype,
                                                    RILL_SHAPE(ROWS, c)));
        rill_tensor *loss = rill_cross_entropy(
            tape, x, rill_view(tape, target, RILL_I32, RILL_SHAPE(ROWS)),
            &(rill_cross_entropy_opts){
                .losses = &losses, .ignore_index = &(int32_t){ r.ignore },
                .reduction = none ? RILL_NONE : RILL_MEAN,
                .weight = weighted
                              ? rill_from(tape, w, dtype, RILL_SHAPE(c))
                              : NULL });
        rill_tensor *seed = none ? normal(8, dtype, RILL_SHAPE(ROWS)) : NULL;
        ck_assert(rill_backward(tape, loss,
                                &(rill_backward_opts){ .grad = seed }));
        for (int i = 0; i < ROWS; i++)
            n += y[i] == r.ignore ? 0 : weighted ? w[y[i]] : 1;
        for (int i = 0; i < ROWS; i++) {
            double want = reference_row(&r, i, 0, gz, &lse, &weight);
            double scale = seed ? rill_at(seed, i) : 1 / n;
            total += want / n;
            ASSERT_NEAR(rill_at(losses, i), want, tol);
            for (int j = 0; j < c; j++) {
                double g = rill_at(rill_grad(tape, x), i * c + j);
                ASSERT_NEAR(g / scale, gz[j], tol);
                ck_assert(y[i] != r.ignore || g == 0);
            }
        }
        if (!none)
            ASSERT_NEAR(rill_item(loss), total, tol);
        rill_tape_reset(tape);
    }
}
END_TEST

/* [N, C, d1, d2] says what its rows of classes say. */
START_TEST(dims_after_the_classes)
{
    int32_t y[24];
    rill_tensor *z = rill_watch(tape, normal(1, RILL_F64,
                                             RILL_SHAPE(2, 5, 3, 4)));
    rill_tensor *q = rill_watch(tape, normal(2, RILL_F64,
                                             RILL_SHAPE(2, 5, 3, 4)));
    rill_tensor *leaf[] = { z, q }, *rows[2], *want[2];
    for (int i = 0; i < 24; i++)
        y[i] = i % 7 == 3 ? -100 : i % 5;
    for (int i = 0; i < 2; i++)
        rows[i] = rill_reshape(
            tape, rill_permute(tape, leaf[i], RILL_DIMS(0, 2, 3, 1)),
            RILL_SHAPE(24, 5));
    for (int probs = 0; probs < 2; probs++) {
        rill_tensor *spatial = probs
            ? rill_cross_entropy_probs(tape, z, q, NULL)
            : rill_cross_entropy(tape, z, rill_view(tape, y, RILL_I32,
                                                    RILL_SHAPE(2, 3, 4)),
                                 NULL);
        rill_tensor *flat = probs
            ? rill_cross_entropy_probs(tape, rows[0], rows[1], NULL)
            : rill_cross_entropy(tape, rows[0],
                                 rill_view(tape, y, RILL_I32, RILL_SHAPE(24)),
                                 NULL);
        ASSERT_NEAR(rill_item(spatial), rill_item(flat), 1e-15);
        ck_assert(rill_backward(tape, flat, NULL));
        for (int i = 0; i <= probs; i++)
            want[i] = rill_grad(tape, leaf[i]);
        for (int create_graph = 0; create_graph < 2; create_graph++) {
            ck_assert(rill_backward(
                tape, spatial,
                &(rill_backward_opts){ .create_graph = create_graph }));
            for (int i = 0; i < (probs + 1) * 120; i++)
                ASSERT_NEAR(rill_at(rill_grad(tape, leaf[i / 120]), i % 120),
                            rill_at(want[i / 120], i % 120), 1e-15);
        }
    }
}
END_TEST

/* ---- numerically right -------------------------------------------------- */

/* One sample that is wrong by `gap`: the true gradient on the target is
 * p - 1, and it must not fade as the gap grows. */
START_TEST(a_confident_mistake_keeps_its_gradient)
{
    static const double gaps[] = { 5, 25, 60, 105, 1e4 };
    for (int i = 0; i < 10; i++) {
        rill_dtype dtype = i % 2 ? RILL_F32 : RILL_F64;
        double gap = gaps[i / 2], z[] = { gap, 0, -1, -1, -1 };
        int32_t y = 1;
        rill_tensor *x = rill_watch(tape, rill_from(tape, z, dtype,
                                                    RILL_SHAPE(1, 5)));
        rill_tensor *t = rill_view(tape, &y, RILL_I32, RILL_SHAPE(1));
        rill_tensor *loss = rill_cross_entropy(tape, x, t, NULL);
        ck_assert(rill_backward(tape, loss, NULL));
        double rest = exp(-gap) * (1 + 3 * exp(-1));
        double p = exp(-gap) / (1 + rest);
        double tol = dtype == RILL_F32 ? 2e-7 : 1e-15;
        ASSERT_NEAR(rill_at(rill_grad(tape, x), 1), p - 1, tol);
        ASSERT_NEAR(rill_item(loss) / (gap + log1p(rest)), 1, tol);
    }
}
END_TEST

START_TEST(rows_of_the_gradient_sum_to_zero)
{
    enum { ROWS = 40, CLASSES = 37 };
    rill_rng rng = { .seed = 3 };
    for (int i = 0; i < 2; i++) {
        rill_dtype dtype = i ? RILL_F32 : RILL_F64;
        rill_tensor *z = rill_watch(
            tape, rill_normal(tape, &rng, 0, 8, dtype,
                              RILL_SHAPE(ROWS, CLASSES)));
        int32_t y[ROWS];
        for (int r = 0; r < ROWS; r++)
            y[r] = (int32_t)rill_rng_below(&rng, CLASSES);
        rill_tensor *t = rill_view(tape, y, RILL_I32, RILL_SHAPE(ROWS));
        rill_tensor *loss = rill_cross_entropy(
            tape, z, t,
            &(rill_cross_entropy_opts){ .reduction = RILL_SUM,
                                        .label_smoothing = 0.2 });
        ck_assert(rill_backward(tape, loss, NULL));
        for (int r = 0; r < ROWS; r++) {
            double sum = 0;
            for (int c = 0; c < CLASSES; c++)
                sum += rill_at(rill_grad(tape, z), r * CLASSES + c);
            ASSERT_NEAR(sum, 0, dtype == RILL_F32 ? 1e-6 : 1e-15);
        }
    }
}
END_TEST

START_TEST(a_shift_of_all_logits_changes_nothing)
{
    double z[] = { 1, 2.5, -3, 0.25 }, shifted[4];
    int32_t y[] = { 2 };
    rill_tensor *t = rill_view(tape, y, RILL_I32, RILL_SHAPE(1));
    for (int i = 0; i < 4; i++)
        shifted[i] = z[i] + 4096; /* exact in both dtypes */
    for (int i = 0; i < 2; i++) {
        rill_dtype dtype = i ? RILL_F32 : RILL_F64;
        rill_tensor *a = rill_watch(tape, rill_from(tape, z, dtype,
                                                    RILL_SHAPE(1, 4)));
        rill_tensor *b = rill_watch(tape, rill_from(tape, shifted, dtype,
                                                    RILL_SHAPE(1, 4)));
        rill_tensor *la = rill_cross_entropy(tape, a, t, NULL);
        rill_tensor *lb = rill_cross_entropy(tape, b, t, NULL);
        ck_assert_double_eq(rill_item(la), rill_item(lb));
        ck_assert(rill_backward(tape, rill_add(tape, la, lb), NULL));
        for (int c = 0; c < 4; c++)
            ck_assert_double_eq(rill_at(rill_grad(tape, a), c),
                                rill_at(rill_grad(tape, b), c));
    }
}
END_TEST

START_TEST(an_ignored_row_gets_exactly_zero)
{
    double bad[] = { NAN, INFINITY, -INFINITY };
    for (int k = 0; k < 3 * 3 * 2; k++) {
        double z[] = { 1, 2, 3, bad[k % 3], 1, bad[(k + 1) % 3], 0, 1, 5 };
        int32_t y[] = { 0, -100, 2 };
        rill_reduction reduction = (rill_reduction)(k / 3 % 3);
        rill_tensor *x = rill_watch(
            tape, rill_from(tape, z, k < 9 ? RILL_F32 : RILL_F64,
                            RILL_SHAPE(3, 3)));
        rill_tensor *t = rill_view(tape, y, RILL_I32, RILL_SHAPE(3));
        rill_tensor *loss = rill_cross_entropy(
            tape, x, t,
            &(rill_cross_entropy_opts){ .reduction = reduction,
                                        .label_smoothing = 0.1,
                                        .z_loss = 0.1 });
        for (int create_graph = 0; create_graph < 2; create_graph++) {
            rill_tensor *seed = reduction == RILL_NONE
                                    ? normal(4, rill_dtype_of(x),
                                             RILL_SHAPE(3)) : NULL;
            ck_assert(rill_backward(
                tape, loss,
                &(rill_backward_opts){ .grad = seed,
                                       .create_graph = create_graph }));
            rill_tensor *g = rill_grad(tape, x);
            for (int i = 0; i < 9; i++)
                if (i / 3 == 1)
                    ck_assert(rill_at(g, i) == 0);
                else
                    ck_assert(isfinite(rill_at(g, i)) && rill_at(g, i) != 0);
        }
    }
}
END_TEST

/* ... however the loss is used: 0 times infinity would be NaN. */
START_TEST(an_infinite_dloss_leaves_an_ignored_row_at_zero)
{
    int32_t y[] = { 0, -100, 2 };
    double seed[] = { INFINITY, INFINITY, 1 };
    for (int none = 0; none < 2; none++)
        for (int classes = 3; classes < 40; classes += 30) {
            rill_tensor *x = rill_watch(
                tape, normal(3, RILL_F32, RILL_SHAPE(3, classes)));
            rill_tensor *loss = rill_cross_entropy(
                tape, x, rill_view(tape, y, RILL_I32, RILL_SHAPE(3)),
                &(rill_cross_entropy_opts){
                    .reduction = none ? RILL_NONE : RILL_MEAN });
            rill_tensor *grad = rill_from(tape, seed, RILL_F32,
                                          rill_shape_of(loss));
            ck_assert(rill_backward(tape, loss,
                                    &(rill_backward_opts){ .grad = grad }));
            rill_tensor *g = rill_grad(tape, x);
            for (int i = 0; i < classes; i++)
                ck_assert(rill_at(g, classes + i) == 0);
            ck_assert(rill_at(g, 0) == -INFINITY);
            ck_assert(!isfinite(rill_at(g, 3 * classes - 1)) == !none);
        }
}
END_TEST

/* All rows ignored: PyTorch's NaN for the mean, and a zero gradient. */
START_TEST(nothing_left_to_average)
{
    int32_t y[] = { -100, -100 };
    rill_tensor *x = rill_watch(tape, normal(1, RILL_F64, RILL_SHAPE(2, 3)));
    rill_tensor *t = rill_view(tape, y, RILL_I32, RILL_SHAPE(2));
    rill_tensor *loss = rill_cross_entropy(tape, x, t, NULL);
    ck_assert(isnan(rill_item(loss)));
    for (int create_graph = 0; create_graph < 2; create_graph++) {
        ck_assert(rill_backward(
            tape, loss,
            &(rill_backward_opts){ .create_graph = create_graph }));
        for (int i = 0; i < 6; i++)
            ck_assert(rill_at(rill_grad(tape, x), i) == 0);
    }
}
END_TEST

/* ---- micro-batches ------------------------------------------------------ */

START_TEST(micro_batches_equal_one_batch)
{
    enum { ROWS = 12, CLASSES = 4, PARTS = 3 };
    double w[] = { 1, 0.5, 2, 3 };
    int32_t y[ROWS] = { 0, 1, 2, 3, -100, 2, 2, 1, 0, -100, 3, 3 };
    rill_tensor *z = rill_watch(tape, normal(6, RILL_F64,
                                             RILL_SHAPE(ROWS, CLASSES)));
    rill_tensor *weight = rill_from(tape, w, RILL_F64, RILL_SHAPE(CLASSES));
    rill_tensor *t = rill_view(tape, y, RILL_I32, RILL_SHAPE(ROWS));
    double used;
    rill_tensor *whole = rill_cross_entropy(
        tape, z, t,
        &(rill_cross_entropy_opts){ .weight = weight,
                                    .denominator_used = &used });
    ck_assert(rill_backward(tape, whole, NULL));
    rill_tensor *want = rill_grad(tape, z);
    rill_tensor *sum = rill_zeros(tape, RILL_F64, RILL_SCALAR);
    for (int k = 0; k < PARTS; k++) { /* parts of 2, 4 and 6 rows */
        int from = k * (k + 1), to = (k + 1) * (k + 2);
        rill_tensor *part = rill_cross_entropy(
            tape, rill_slice(tape, z, 0, from, to),
            rill_slice(tape, t, 0, from, to),
            &(rill_cross_entropy_opts){ .weight = weight,
                                        .denominator = used });
        sum = rill_add(tape, sum, part);
    }
    ck_assert(rill_backward(tape, sum, NULL));
    ASSERT_NEAR(rill_item(sum), rill_item(whole), 1e-14);
    for (int i = 0; i < ROWS * CLASSES; i++)
        ASSERT_NEAR(rill_at(rill_grad(tape, z), i), rill_at(want, i), 1e-14);
}
END_TEST

/* ---- derivatives -------------------------------------------------------- */

typedef struct {
    const int32_t *y;
    rill_shape y_shape;
    const double *w;
    int64_t classes;
    rill_cross_entropy_opts o;
} loss_case;

static rill_tensor *loss_of(rill_tape *t, rill_tensor **x, void *user)
{
    const loss_case *l = user;
    rill_cross_entropy_opts o = l->o;
    if (l->w)
        o.weight = rill_from(t, l->w, RILL_F64, RILL_SHAPE(l->classes));
    return rill_cross_entropy(
        t, x[0], rill_copy(t, l->y, RILL_I32, l->y_shape), &o);
}

static rill_tensor *probs_loss_of(rill_tape *t, rill_tensor **x, void *user)
{
    const loss_case *l = user;
    rill_cross_entropy_opts o = l->o;
    if (l->w)
        o.weight = rill_from(t, l->w, RILL_F64, RILL_SHAPE(l->classes));
    return rill_cross_entropy_probs(t, x[0], x[1], &o);
}

START_TEST(derivatives_of_both_orders)
{
    static const int32_t y[] = { 0, 3, 1, 2, 3, 3 };
    static const double w[] = { 0.5, 2, 1, 3 };
    static const int32_t ignore = 1;
    for (int k = 0; k < 3 * 2 * 2 * 2 * 2; k++) {
        loss_case l = { .y = y, .classes = 4 };
        l.o.reduction = (rill_reduction)(k % 3);
        l.w = k / 3 % 2 ? w : NULL;
        l.o.label_smoothing = k / 6 % 2 ? 0.15 : 0;
        l.o.z_loss = k / 12 % 2 ? 0.05 : 0;
        bool spatial = k / 24 % 2;
        rill_shape shape = spatial ? RILL_SHAPE(2, 4, 3) : RILL_SHAPE(6, 4);
        rill_tensor *z = normal(10, RILL_F64, shape);
        rill_tensor *q = rill_softmax(tape, normal(11, RILL_F64, shape), 1);
        CHECK_OP(rill_cross_entropy_probs, probs_loss_of, 2, &l, z, q);
        l.y_shape = spatial ? RILL_SHAPE(2, 3) : RILL_SHAPE(6);
        l.o.ignore_index = k % 2 ? &ignore : NULL;
        CHECK_OP(rill_cross_entropy, loss_of, 1, &l, z);
        rill_tape_reset(tape);
    }
    loss_case one = { .y = y, .y_shape = RILL_SCALAR, .classes = 4 };
    CHECK_OP(rill_cross_entropy, loss_of, 1, &one,
             normal(12, RILL_F64, RILL_SHAPE(4)));
}
END_TEST

/* ---- the warning -------------------------------------------------------- */

START_TEST(warns_of_what_gives_no_logits)
{
    int32_t y[] = { 1, 0 };
    rill_tensor *t = rill_view(tape, y, RILL_I32, RILL_SHAPE(2));
    rill_tensor *z = normal(1, RILL_F32, RILL_SHAPE(2, 3));
    rill_cross_entropy(tape, z, t, NULL);
    ck_assert_ptr_null(rill_warning(tape));
    rill_cross_entropy(tape, rill_softmax(tape, z, -1), t, NULL);
    ck_assert_str_eq(rill_warning(tape),
                     "cross_entropy: its logits come from softmax, but it "
                     "applies log_softmax itself: give it the logits");
    rill_clear_error(tape);
    rill_cross_entropy(tape, rill_sigmoid(tape, z), t, NULL);
    ck_assert_str_eq(rill_warning(tape),
                     "cross_entropy: its logits come from sigmoid, but it "
                     "applies log_softmax itself: give it the logits");
    rill_clear_error(tape);
    rill_cross_entropy_probs(tape, rill_log_softmax(tape, z, -1),
                             rill_softmax(tape, z, -1), NULL);
    ck_assert_str_eq(rill_warning(tape),
                     "cross_entropy_probs: its logits come from "
                     "log_softmax, but it applies log_softmax itself: give "
                     "it the logits");
    ASSERT_OK();
}
END_TEST

/* ---- refusals ----------------------------------------------------------- */

static rill_tensor *ints(rill_shape shape, const int32_t *v)
{
    return rill_copy(tape, v, RILL_I32, shape);
}

START_TEST(refuses_targets)
{
    static const int32_t y[] = { 0, 1, 2, 7, -1, 0, 0, 0 };
    rill_tensor *z = normal(1, RILL_F32, RILL_SHAPE(4, 5));
    ASSERT_REFUSED(
        rill_cross_entropy(tape, z, ints(RILL_SHAPE(4), y), NULL),
        "cross_entropy: target 7 at row 3 is not in [0, 5)");
    ASSERT_REFUSED(
        rill_cross_entropy(tape, z, ints(RILL_SHAPE(4), y + 1), NULL),
        "cross_entropy: target 7 at row 2 is not in [0, 5)");
    ASSERT_REFUSED(
        rill_cross_entropy(tape, z, ints(RILL_SHAPE(4), y + 4), NULL),
        "cross_entropy: target -1 at row 0 is not in [0, 5): to leave such "
        "rows out there is ignore_index");
    rill_tensor *spatial = normal(1, RILL_F32, RILL_SHAPE(2, 5, 2));
    ASSERT_REFUSED(
        rill_cross_entropy(tape, spatial, ints(RILL_SHAPE(2, 2), y), NULL),
        "cross_entropy: target 7 at element 3 is not in [0, 5)");
    ASSERT_REFUSED(
        rill_cross_entropy(tape, z, ints(RILL_SHAPE(3), y), NULL),
        "cross_entropy: logits are [4, 5] but target is [3]: [4] is wanted");
    ASSERT_REFUSED(
        rill_cross_entropy(tape, z, ints(RILL_SHAPE(4, 1), y), NULL),
        "cross_entropy: logits are [4, 5] but target is [4, 1]: [4] is "
        "wanted");
    ASSERT_REFUSED(
        rill_cross_entropy(tape, normal(1, RILL_F32, RILL_SHAPE(5)),
                           ints(RILL_SHAPE(1), y), NULL),
        "cross_entropy: logits are [5] but target is [1]: [] is wanted");
    ASSERT_REFUSED(
        rill_cross_entropy(tape, normal(1, RILL_F32, RILL_SHAPE(4, 0)),
                           ints(RILL_SHAPE(4), y), NULL),
        "cross_entropy: target 0 at row 0 is not in [0, 0)");
    ASSERT_REFUSED(
        rill_cross_entropy(tape, rill_zeros(tape, RILL_F32, RILL_SCALAR),
                           ints(RILL_SCALAR, y), NULL),
        "cross_entropy: logits have no dimension: [C] or [N, C, ...] is "
        "wanted");
    ASSERT_REFUSED(rill_cross_entropy(tape, z, z, NULL),
                   "cross_entropy: target is float32, class indices are "
                   "int32: for probabilities there is cross_entropy_probs");
    ASSERT_REFUSED(
        rill_cross_entropy(tape, ints(RILL_SHAPE(2, 2), y),
                           ints(RILL_SHAPE(2), y), NULL),
        "cross_entropy: logits is int32, a float dtype is wanted");
    ASSERT_REFUSED(rill_cross_entropy(tape, NULL, z, NULL),
                   "cross_entropy: logits is NULL");
    ASSERT_REFUSED(rill_cross_entropy(tape, z, NULL, NULL),
                   "cross_entropy: target is NULL");
    ASSERT_REFUSED(
        rill_cross_entropy_probs(tape, z, ints(RILL_SHAPE(4), y), NULL),
        "cross_entropy_probs: probs are int32: for class indices there is "
        "cross_entropy");
    ASSERT_REFUSED(
        rill_cross_entropy_probs(tape, z,
                                 normal(1, RILL_F32, RILL_SHAPE(4, 4)), NULL),
        "cross_entropy_probs: logits are [4, 5] but probs are [4, 4]: [4, "
        "5] is wanted");
    ASSERT_REFUSED(
        rill_cross_entropy_probs(tape, z,
                                 normal(1, RILL_F64, RILL_SHAPE(4, 5)), NULL),
        "cross_entropy_probs: logits is float32 but probs is float64: cast "
        "one of them");
}
END_TEST

START_TEST(refuses_options)
{
    static const int32_t y[] = { 0, 1, 2, 3 }, one = 1;
    rill_tensor *z = normal(1, RILL_F32, RILL_SHAPE(4, 5));
    rill_tensor *t = ints(RILL_SHAPE(4), y);
    struct {
        rill_cross_entropy_opts o;
        const char *sentence;
    } cases[] = {
        { { .label_smoothing = -0.1 },
          "cross_entropy: label_smoothing -0.1 is not in [0, 1]" },
        { { .label_smoothing = 1.5 },
          "cross_entropy: label_smoothing 1.5 is not in [0, 1]" },
        { { .label_smoothing = NAN },
          "cross_entropy: label_smoothing nan is not in [0, 1]" },
        { { .denominator = -2 },
          "cross_entropy: denominator -2 is not a positive number" },
        { { .denominator = NAN },
          "cross_entropy: denominator nan is not a positive number" },
        { { .denominator = 8, .reduction = RILL_SUM },
          "cross_entropy: a denominator is the mean's: reduction is not "
          "RILL_MEAN" },
        { { .z_loss = INFINITY },
          "cross_entropy: z_loss inf is not a number to weigh by" },
        { { .reduction = (rill_reduction)5 },
          "cross_entropy: 5 is not a reduction" },
        { { .weight = normal(1, RILL_F32, RILL_SHAPE(4)) },
          "cross_entropy: weight is [4], one for each of 5 classes is "
          "wanted" },
        { { .weight = normal(1, RILL_F64, RILL_SHAPE(5)) },
          "cross_entropy: logits is float32 but weight is float64: cast one "
          "of them" },
        { { .weight = rill_watch(tape, normal(1, RILL_F32, RILL_SHAPE(5))) },
          "cross_entropy: no gradient flows to weight: detach it" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ASSERT_REFUSED(rill_cross_entropy(tape, z, t, &cases[i].o),
                       cases[i].sentence);
    ASSERT_REFUSED(
        rill_cross_entropy_probs(
            tape, z, z, &(rill_cross_entropy_opts){ .ignore_index = &one }),
        "cross_entropy_probs: ignore_index 1: a target of probabilities has "
        "no index to ignore");
}
END_TEST

START_TEST(empty_batches)
{
    rill_tensor *z = rill_watch(tape, rill_zeros(tape, RILL_F32,
                                                 RILL_SHAPE(0, 5)));
    rill_tensor *y = rill_zeros(tape, RILL_I32, RILL_SHAPE(0));
    ck_assert(isnan(rill_item(rill_cross_entropy(tape, z, y, NULL))));
    rill_cross_entropy_opts o = { .reduction = RILL_SUM };
    rill_tensor *sum = rill_cross_entropy(tape, z, y, &o);
    ck_assert(rill_item(sum) == 0);
    ck_assert(rill_backward(tape, sum, NULL));
    ck_assert_int_eq(rill_dim(rill_grad(tape, z), 1), 5);
    o.reduction = RILL_NONE;
    rill_tensor *none = rill_cross_entropy(tape, z, y, &o);
    ck_assert_int_eq(rill_ndim(none), 1);
    ck_assert_int_eq(rill_numel(none), 0);
    ASSERT_OK();
}
END_TEST

int main(void)
{
    return HARNESS_RUN(
        "cross_entropy", every_combination_of_options,
        many_rows_of_few_classes, dims_after_the_classes,
        a_confident_mistake_keeps_its_gradient,
        rows_of_the_gradient_sum_to_zero,
        a_shift_of_all_logits_changes_nothing,
        an_ignored_row_gets_exactly_zero,
        an_infinite_dloss_leaves_an_ignored_row_at_zero,
        nothing_left_to_average, micro_batches_equal_one_batch,
        derivatives_of_both_orders, warns_of_what_gives_no_logits,
        refuses_targets, refuses_options, empty_batches);
}
