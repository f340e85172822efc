/* linear_cross_entropy against linear and cross_entropy: every option, every
 * chunk size, gradients of x, W and b, and the memory it is there to save. */
#include "harness.h"

enum { N = 14, IN = 5, C = 21 };

typedef struct {
    rill_tensor *x, *w, *b;
} leaves;

static leaves leaves_of(rill_dtype dtype, bool bias)
{
    return (leaves){
        rill_watch(tape, normal(1, dtype, RILL_SHAPE(N, IN))),
        rill_watch(tape, normal(2, dtype, RILL_SHAPE(C, IN))),
        bias ? rill_watch(tape, normal(3, dtype, RILL_SHAPE(C))) : NULL
    };
}

static const int32_t usual[N] = { 0,  20, 3,  -100, 7, 7, 1,
                                  19, 2,  -100, 11, 4, 0, 13 };
static const int32_t all_taken[N] = { 0,  20, 3, 7,  7, 7, 1,
                                      19, 2,  7, 11, 4, 0, 13 };
static const int32_t *labels = usual;

static void same(const rill_tensor *a, const rill_tensor *b, double tolerance)
{
    ck_assert_int_eq(rill_numel(a), rill_numel(b));
    for (int64_t i = 0; i < rill_numel(a); i++)
        ASSERT_NEAR(rill_at(a, i), rill_at(b, i), tolerance);
}

/* Loss, losses, lse and gradients, for an incoming gradient of 1 or not. */
static void compare(rill_dtype dtype, bool bias, int64_t chunk,
                    rill_cross_entropy_opts o, double by)
{
    double tolerance = dtype == RILL_F32 ? 2e-5 : 1e-12, used[2];
    rill_tensor *losses[2], *lse[2], *seed = NULL;
    rill_tensor *y = rill_view(tape, labels, RILL_I32, RILL_SHAPE(N));
    leaves p = leaves_of(dtype, bias), q = leaves_of(dtype, bias);
    if (o.reduction == RILL_NONE)
        seed = normal(8, dtype, RILL_SHAPE(N));
    o.losses = &losses[0];
    o.lse = &lse[0];
    o.denominator_used = &used[0];
    rill_tensor *whole = rill_cross_entropy(
        tape, rill_linear(tape, p.x, p.w, p.b), y, &o);
    o.losses = &losses[1];
    o.lse = &lse[1];
    o.denominator_used = &used[1];
    rill_tensor *fused = rill_linear_cross_entropy(
        tape, q.x, q.w, q.b, y,
        &(rill_linear_cross_entropy_opts){ .loss = o, .chunk = chunk });
    ASSERT_OK();
    same(fused, whole, tolerance);
    same(losses[1], losses[0], tolerance);
    same(lse[1], lse[0], tolerance);
    ck_assert_double_eq(used[0], used[1]);
    ck_assert(rill_backward(tape, rill_scale(tape, whole, by),
                            &(rill_backward_opts){ .grad = seed }));
    rill_tensor *g[3] = { rill_grad(tape, p.x), rill_grad(tape, p.w),
                          bias ? rill_grad(tape, p.b) : NULL };
    for (int graph = 0; graph < 2; graph++) {
        ck_assert(rill_backward(tape, rill_scale(tape, fused, by),
                                &(rill_backward_opts){
                                    .grad = seed, .create_graph = graph }));
        same(rill_grad(tape, q.x), g[0], tolerance);
        same(rill_grad(tape, q.w), g[1], tolerance);
        if (bias)
            same(rill_grad(tape, q.b), g[2], tolerance);
    }
    ck_assert(rill_backward(tape, fused,
                            &(rill_backward_opts){ .grad = seed }));
    ASSERT_OK();
    rill_tape_reset(tape);
}

START_TEST(every_chunk_and_option)
{
    static const int64_t chunks[] = { 0, 1, 2, 3, 7, 13, N, 100 };
    static const double smooths[] = { 0, 0.1 }, z_losses[] = { 0, 0.01 };
    static const int32_t other = 7;
    double weights[C];
    for (int i = 0; i < C; i++)
        weights[i] = 0.5 + i % 3;
    rill_tape *data = rill_tape_new(NULL);
    for (int k = 0; k < 8 * 2 * 2 * 2 * 3 * 2 * 2; k++) {
        int i = k / 8;
        rill_cross_entropy_opts o = { .label_smoothing = smooths[i % 2] };
        i /= 2;
        o.z_loss = z_losses[i % 2], i /= 2;
        bool weighted = i % 2;
        i /= 2;
        o.reduction = (rill_reduction)(i % 3), i /= 3;
        rill_dtype dtype = i % 2 ? RILL_F32 : RILL_F64;
        i /= 2;
        bool bias = i % 2;
        if (weighted)
            o.weight = rill_from(data, weights, dtype, RILL_SHAPE(C));
        if (o.reduction == RILL_MEAN && weighted)
            o.denominator = 9;
        compare(dtype, bias, chunks[k % 8], o, k % 3 ? 1 : -2.5);
    }
    labels = all_taken; /* but for those of another ignore_index */
    compare(RILL_F64, true, 3,
            (rill_cross_entropy_opts){ .ignore_index = &(int32_t){ other },
                                       .reduction = RILL_SUM },
            1);
    rill_tape_free(data);
}
END_TEST

static rill_tensor *loss_of(rill_tape *t, rill_tensor **x, void *user)
{
    static const int32_t y[] = { 2, -100, 0, 1 };
    rill_reduction *reduction = user;
    rill_linear_cross_entropy_opts o = {
        .chunk = 3,
        .loss = { .reduction = *reduction, .label_smoothing = 0.1 },
    };
    return rill_linear_cross_entropy(
        t, x[0], x[1], x[2], rill_copy(t, y, RILL_I32, RILL_SHAPE(4)), &o);
}

START_TEST(derivatives_of_both_orders)
{
    for (rill_reduction r = RILL_MEAN; r <= RILL_NONE; r++)
        CHECK_OP(rill_linear_cross_entropy, loss_of, 3, &r,
                 normal(1, RILL_F64, RILL_SHAPE(4, 2)),
                 normal(2, RILL_F64, RILL_SHAPE(3, 2)),
                 normal(3, RILL_F64, RILL_SHAPE(3)));
}
END_TEST

/* Only some of the gradients are wanted; nothing is recorded at all. */
START_TEST(computes_what_is_wanted)
{
    rill_tensor *y = rill_view(tape, labels, RILL_I32, RILL_SHAPE(N));
    rill_tensor *x = normal(1, RILL_F64, RILL_SHAPE(N, IN));
    rill_tensor *w = normal(2, RILL_F64, RILL_SHAPE(C, IN));
    rill_tensor *wl = rill_watch(tape, w);
    rill_tensor *loss = rill_linear_cross_entropy(tape, x, wl, NULL, y, NULL);
    ck_assert(rill_backward(tape, loss, NULL));
    ck_assert_ptr_nonnull(rill_grad(tape, wl));
    ck_assert_ptr_null(rill_grad(tape, x));
    rill_tape_record(tape, false);
    same(rill_linear_cross_entropy(tape, x, w, NULL, y, NULL), loss, 0);
    rill_tape_record(tape, true);
    rill_tensor *none = rill_zeros(tape, RILL_F64, RILL_SHAPE(0, IN));
    rill_tensor *of_none = rill_linear_cross_entropy(
        tape, none, wl, NULL, rill_zeros(tape, RILL_I32, RILL_SHAPE(0)),
        &(rill_linear_cross_entropy_opts){ .loss.reduction = RILL_SUM });
    ck_assert(rill_backward(tape, of_none, NULL));
    ck_assert_double_eq(rill_norm(rill_grad(tape, wl)), 0);
}
END_TEST

/* Twice the rows, hardly more memory: x, dx and a loss a row. */
START_TEST(the_logits_are_never_whole)
{
    enum { CLASSES = 3000, ROWS = 2000, WIDTH = 8, CHUNK = 16 };
    size_t peak[2];
    for (int k = 0; k < 2; k++) {
        int64_t rows = k ? ROWS : ROWS / 2;
        rill_tensor *x = rill_watch(tape, normal(1, RILL_F32,
                                                 RILL_SHAPE(rows, WIDTH)));
        rill_tensor *w = rill_watch(tape, normal(2, RILL_F32,
                                                 RILL_SHAPE(CLASSES, WIDTH)));
        rill_tensor *loss = rill_linear_cross_entropy(
            tape, x, w, NULL, rill_zeros(tape, RILL_I32, RILL_SHAPE(rows)),
            &(rill_linear_cross_entropy_opts){ .chunk = CHUNK });
        ck_assert(rill_backward(tape, loss, NULL));
        peak[k] = rill_tape_bytes(tape);
        rill_tape_reset(tape);
    }
    ck_assert_msg(peak[1] - peak[0] < ROWS / 2 * (2 * WIDTH + 1) * 4 + 40000,
                  "%zu and %zu bytes", peak[0], peak[1]);
    ck_assert(peak[1] < (size_t)ROWS * CLASSES * 4 / 10);
}
END_TEST

START_TEST(refuses)
{
    rill_tensor *x = normal(1, RILL_F32, RILL_SHAPE(4, 3));
    rill_tensor *w = normal(1, RILL_F32, RILL_SHAPE(5, 3));
    rill_tensor *y = rill_zeros(tape, RILL_I32, RILL_SHAPE(4));
    ASSERT_REFUSED(
        rill_linear_cross_entropy(tape, x, normal(1, RILL_F32,
                                                  RILL_SHAPE(5, 2)),
                                  NULL, y, NULL),
        "linear_cross_entropy: x is [4, 3] but weight is [5, 2]: 3 inputs "
        "given, 2 wanted");
    ASSERT_REFUSED(
        rill_linear_cross_entropy(tape, normal(1, RILL_F32, RILL_SHAPE(3)), w,
                                  NULL, y, NULL),
        "linear_cross_entropy: x is [3]: [N, in] is wanted");
    ASSERT_REFUSED(
        rill_linear_cross_entropy(tape, x, w, x, y, NULL),
        "linear_cross_entropy: bias is [4, 3] but weight is [5, 3]: [5] is "
        "wanted");
    ASSERT_REFUSED(
        rill_linear_cross_entropy(
            tape, x, w, NULL, rill_full(tape, 5, RILL_I32, RILL_SHAPE(4)),
            NULL),
        "linear_cross_entropy: target 5 at row 0 is not in [0, 5)");
    ASSERT_REFUSED(
        rill_linear_cross_entropy(
            tape, x, w, NULL, y,
            &(rill_linear_cross_entropy_opts){ .chunk = -1 }),
        "linear_cross_entropy: chunk -1 is negative");
    ASSERT_REFUSED(
        rill_linear_cross_entropy(
            tape, x, w, NULL, y,
            &(rill_linear_cross_entropy_opts){ .loss.label_smoothing = 2 }),
        "linear_cross_entropy: label_smoothing 2 is not in [0, 1]");
    ASSERT_REFUSED(rill_linear_cross_entropy(tape, x, w, NULL, NULL, NULL),
                   "linear_cross_entropy: target is NULL");
    ASSERT_REFUSED(rill_linear_cross_entropy(tape, NULL, w, NULL, y, NULL),
                   "linear_cross_entropy: x is NULL");
}
END_TEST

int main(void)
{
    return HARNESS_RUN("linear_cross_entropy", every_chunk_and_option,
                       derivatives_of_both_orders, computes_what_is_wanted,
                       the_logits_are_never_whole, refuses);
}
