/* softmax, log_softmax, layer_norm and dropout. */
#include "harness.h"

#include <float.h>

static const int sizes[] = { 1, 2, 3, 7, 17, 33, 130 };
enum { SIZES = sizeof sizes / sizeof *sizes };
static const rill_dtype dtypes[] = { RILL_F32, RILL_F64 };

typedef rill_tensor *softmax_like(rill_tape *t, const rill_tensor *x,
                                  int dim);
static softmax_like *const both[] = { rill_softmax, rill_log_softmax };

/* ---- softmax and log_softmax -------------------------------------------- */

/* x [a, b, c] against e^x / sum e^x, or its logarithm, computed naively. */
static void compare_softmax(const rill_tensor *x, int dim, bool logs)
{
    int64_t n = rill_dim(x, dim), step = 1;
    for (int d = dim + 1; d < 3; d++)
        step *= rill_dim(x, d);
    /* a few roundings of e^x, and of the sum */
    double eps = rill_dtype_of(x) == RILL_F32 ? 1e-6 : 1e-14;
    const rill_tensor *y = both[logs](tape, x, dim - 3 * (dim == 1));
    ASSERT_OK();
    ck_assert_int_eq(rill_dtype_of(y), rill_dtype_of(x));
    for (int64_t i = 0; i < rill_numel(x); i++) {
        int64_t first = i / (n * step) * n * step + i % step;
        double sum = 0, v = rill_at(x, i);
        for (int64_t k = 0; k < n; k++)
            sum += exp(rill_at(x, first + k * step));
        ASSERT_NEAR(rill_at(y, i), logs ? v - log(sum) : exp(v) / sum, eps);
    }
}

START_TEST(softmax_values)
{
    for (int i = 0; i < 4 * SIZES; i++) {
        int n = sizes[i / 4];
        rill_dtype dtype = dtypes[i % 2];
        bool logs = i / 2 % 2;
        for (int dim = 0; dim < 3; dim++) {
            compare_softmax(normal(1, dtype, RILL_SHAPE(2, 3, n)), dim, logs);
            compare_softmax(normal(2, dtype, RILL_SHAPE(2, n, 3)), dim, logs);
            compare_softmax(normal(3, dtype, RILL_SHAPE(n, 2, 5)), dim, logs);
        }
    }
}
END_TEST

START_TEST(softmax_shapes)
{
    double one = 1, zero = 0;
    rill_tensor *s = rill_full(tape, 3, RILL_F32, RILL_SCALAR);
    assert_tensor(rill_softmax(tape, s, 0), RILL_SCALAR, &one, 0);
    assert_tensor(rill_log_softmax(tape, s, -1), RILL_SCALAR, &zero, 0);
    rill_tensor *w = rill_watch(tape, s);
    ck_assert(rill_backward(tape, rill_softmax(tape, w, 0), NULL));
    assert_tensor(rill_grad(tape, w), RILL_SCALAR, &zero, 0);
    for (int i = 0; i < 2; i++)
        for (int dim = 0; dim < 3; dim++) {
            w = rill_watch(tape, rill_zeros(tape, RILL_F64,
                                            RILL_SHAPE(2, 0, 3)));
            rill_tensor *y = both[i](tape, w, dim);
            assert_tensor(y, RILL_SHAPE(2, 0, 3), &one, 0);
            ck_assert(rill_backward(tape, rill_sum(tape, y, NULL), NULL));
            assert_tensor(rill_grad(tape, w), RILL_SHAPE(2, 0, 3), &one, 0);
        }
}
END_TEST

START_TEST(softmax_extremes)
{
    enum { ROWS = 6 };
    double x[ROWS * 3] = {
        1000, 1000, -1000,          -1e4, -1e4, -1e4,
        -INFINITY, 1, 1,            -INFINITY, -INFINITY, -INFINITY,
        INFINITY, 0, 0,             0, NAN, 0,
    };
    double p[ROWS * 3] = { .5, .5, 0,      1. / 3, 1. / 3, 1. / 3,
                           0, .5, .5,      NAN, NAN, NAN,
                           NAN, NAN, NAN,  NAN, NAN, NAN };
    double l[ROWS * 3];
    for (int i = 0; i < ROWS * 3; i++)
        l[i] = log(p[i]);
    l[2] = -2000 - log(2); /* where p has rounded to 0, its logarithm not */
    for (int i = 0; i < 2; i++) {
        double eps = dtypes[i] == RILL_F32 ? 1e-7 : 1e-15;
        rill_tensor *a = rill_from(tape, x, dtypes[i], RILL_SHAPE(ROWS, 3));
        rill_tensor *b = rill_transpose(tape, a, 0, 1);
        assert_tensor(rill_softmax(tape, a, 1), RILL_SHAPE(ROWS, 3), p, eps);
        assert_tensor(rill_log_softmax(tape, a, 1), RILL_SHAPE(ROWS, 3), l,
                      eps);
        b = rill_transpose(tape, rill_softmax(tape, b, 0), 0, 1);
        assert_tensor(b, RILL_SHAPE(ROWS, 3), p, eps);
    }
}
END_TEST

/* The fused rules are the recorded ones, over the last dim and another. */
START_TEST(softmax_rules_agree)
{
    for (int i = 0; i < 8; i++) {
        rill_dtype dtype = dtypes[i % 2];
        double eps = dtype == RILL_F32 ? 1e-6 : 1e-14;
        rill_tensor *x = rill_watch(
            tape, normal(4, dtype, RILL_SHAPE(3, 33, 130))), *g[2];
        rill_tensor *y = both[i / 4](tape, x, 1 + i / 2 % 2);
        for (int k = 0; k < 2; k++) {
            ck_assert(rill_backward(tape, y, &(rill_backward_opts){
                .grad = normal(5, dtype, RILL_SHAPE(3, 33, 130)),
                .create_graph = k }));
            g[k] = rill_grad(tape, x);
        }
        /* terms as large as the sum of 130 normal numbers come in */
        for (int64_t k = 0; k < rill_numel(x); k++)
            ASSERT_NEAR(rill_at(g[0], k), rill_at(g[1], k), 10 * eps);
        rill_tape_reset(tape);
    }
}
END_TEST

static rill_tensor *f_softmax(rill_tape *t, rill_tensor **x, void *user)
{
    softmax_like *const *op = user;
    return rill_add(t, (*op)(t, x[0], -1),
                    rill_mul(t, (*op)(t, x[0], 0), (*op)(t, x[0], 1)));
}

START_TEST(softmax_derivatives)
{
    rill_tensor *x = normal(6, RILL_F64, RILL_SHAPE(2, 3, 4));
    softmax_like *op[] = { rill_softmax, rill_log_softmax };
    CHECK_OP(rill_softmax, f_softmax, 1, &op[0], x);
    CHECK_OP(rill_log_softmax, f_softmax, 1, &op[1], x);
}
END_TEST

START_TEST(softmax_refusals)
{
    rill_tensor *x = normal(7, RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *s = normal(7, RILL_F32, RILL_SCALAR);
    rill_tensor *ints = rill_zeros(tape, RILL_I32, RILL_SHAPE(2));
    ASSERT_REFUSED(rill_softmax(tape, NULL, 0), "softmax: x is NULL");
    ASSERT_REFUSED(rill_softmax(tape, ints, 0),
                   "softmax: x is int32, a float dtype is wanted");
    ASSERT_REFUSED(rill_softmax(tape, x, 2),
                   "softmax: dim 2 is not in [-2, 2)");
    ASSERT_REFUSED(rill_softmax(tape, s, 1),
                   "softmax: dim 1 is not in [-1, 1)");
    ASSERT_REFUSED(rill_log_softmax(tape, NULL, 0),
                   "log_softmax: x is NULL");
    ASSERT_REFUSED(rill_log_softmax(tape, ints, 0),
                   "log_softmax: x is int32, a float dtype is wanted");
    ASSERT_REFUSED(rill_log_softmax(tape, x, -3),
                   "log_softmax: dim -3 is not in [-2, 2)");
}
END_TEST

/* ---- layer_norm --------------------------------------------------------- */

START_TEST(layer_norm_values)
{
    for (int i = 0; i < 8 * SIZES; i++) {
        int n = sizes[i / 8];
        rill_dtype dtype = dtypes[i % 2];
        double eps = dtype == RILL_F32 ? 1e-6 : 1e-13;
        rill_shape row = RILL_SHAPE(n);
        rill_tensor *x = normal(8, dtype, RILL_SHAPE(2, 3, n));
        rill_tensor *w = i & 2 ? normal(9, dtype, row) : NULL;
        rill_tensor *b = i & 4 ? normal(10, dtype, row) : NULL;
        rill_tensor *y = rill_layer_norm(tape, x, w, b, NULL);
        ASSERT_OK();
        for (int64_t k = 0; k < 6 * n; k++) {
            double mean = 0, var = 0;
            for (int64_t c = k / n * n; c < k / n * n + n; c++)
                mean += rill_at(x, c) / n;
            for (int64_t c = k / n * n; c < k / n * n + n; c++)
                var += (rill_at(x, c) - mean) * (rill_at(x, c) - mean) / n;
            ASSERT_NEAR(rill_at(y, k),
                        (rill_at(x, k) - mean) / sqrt(var + 1e-5) *
                                (w ? rill_at(w, k % n) : 1) +
                            (b ? rill_at(b, k % n) : 0), eps);
        }
    }
}
END_TEST

/* Over several dims, by the weight's shape or by the option: as over one. */
START_TEST(layer_norm_dims)
{
    rill_tensor *x = normal(11, RILL_F64, RILL_SHAPE(2, 3, 4));
    rill_tensor *w = normal(12, RILL_F64, RILL_SHAPE(3, 4));
    rill_tensor *flat = rill_reshape(tape, x, RILL_SHAPE(2, 12));
    rill_tensor *flat_w = rill_reshape(tape, w, RILL_SHAPE(12));
    rill_tensor *plain = rill_layer_norm(tape, flat, NULL, NULL, NULL);
    rill_tensor *scaled = rill_layer_norm(tape, flat, flat_w, flat_w, NULL);
    rill_layer_norm_opts two = { .normalized_dims = 2 };
    assert_tensor(rill_layer_norm(tape, x, NULL, NULL, &two),
                  RILL_SHAPE(2, 3, 4), rill_f64(plain), 0);
    assert_tensor(rill_layer_norm(tape, x, w, w, NULL), RILL_SHAPE(2, 3, 4),
                  rill_f64(scaled), 0);
    assert_tensor(rill_layer_norm(tape, x, w, w, &two), RILL_SHAPE(2, 3, 4),
                  rill_f64(scaled), 0);
}
END_TEST

START_TEST(layer_norm_extremes)
{
    for (int i = 0; i < 2; i++) {
        /* about 1 apart at a million, and a mean that neither dtype holds:
         * float64's rounds off 1e-10, float32's would 0.02 */
        double v[] = { 1e6, 1e6 + 1, 1e6 + 3 }, y[3];
        rill_tensor *x = rill_from(tape, v, dtypes[i], RILL_SHAPE(1, 3));
        rill_layer_norm_opts o = { .eps = 1e-30 };
        for (int k = 0; k < 3; k++)
            y[k] = (v[k] - 1e6 - 4. / 3) / sqrt(14. / 9);
        assert_tensor(rill_layer_norm(tape, x, NULL, NULL, &o),
                      RILL_SHAPE(1, 3), y, i ? 1e-10 : 2e-7);
        double with_eps[] = { -.8, -.2, 1 };
        double eq[] = { 4, 4, 4 }, none[3] = { 0 };
        o.eps = 25. / 9 - 14. / 9; /* of y = (x - mean) / (5 / 3) */
        assert_tensor(rill_layer_norm(tape, x, NULL, NULL, &o),
                      RILL_SHAPE(1, 3), with_eps, i ? 1e-10 : 2e-7);
        rill_tensor *even = rill_from(tape, eq, dtypes[i], RILL_SHAPE(3));
        assert_tensor(rill_layer_norm(tape, even, NULL, NULL, NULL),
                      RILL_SHAPE(3), none, 0);
        double bad[] = { 1, NAN, 2, 1, 2, 3, 0, INFINITY, 0 };
        rill_tensor *z = rill_layer_norm(
            tape, rill_from(tape, bad, dtypes[i], RILL_SHAPE(3, 3)), NULL,
            NULL, NULL);
        for (int k = 0; k < 9; k++)
            ck_assert_int_eq(isnan(rill_at(z, k)) != 0, k / 3 != 1);
    }
}
END_TEST

START_TEST(layer_norm_empty)
{
    double zeros[4] = { 0 };
    rill_tensor *w = rill_watch(tape, rill_full(tape, 1, RILL_F32,
                                                RILL_SHAPE(4)));
    rill_tensor *b = rill_watch(tape, w);
    rill_tensor *x = rill_watch(tape, rill_zeros(tape, RILL_F32,
                                                 RILL_SHAPE(0, 4)));
    rill_tensor *y = rill_layer_norm(tape, x, w, b, NULL);
    assert_tensor(y, RILL_SHAPE(0, 4), zeros, 0);
    ck_assert(rill_backward(tape, rill_sum(tape, y, NULL), NULL));
    assert_tensor(rill_grad(tape, w), RILL_SHAPE(4), zeros, 0);
    assert_tensor(rill_grad(tape, b), RILL_SHAPE(4), zeros, 0);
    x = rill_watch(tape, rill_zeros(tape, RILL_F32, RILL_SHAPE(3, 0)));
    y = rill_layer_norm(tape, x, NULL, NULL, NULL);
    assert_tensor(y, RILL_SHAPE(3, 0), zeros, 0);
    ck_assert(rill_backward(tape, rill_sum(tape, y, NULL), NULL));
    assert_tensor(rill_grad(tape, x), RILL_SHAPE(3, 0), zeros, 0);
}
END_TEST

/* Whichever of the inputs want a gradient: the same one from both rules. */
START_TEST(layer_norm_rules_agree)
{
    for (int i = 0; i < 16; i++) {
        rill_dtype dtype = dtypes[i / 8];
        rill_shape shape[] = { RILL_SHAPE(5, 33), RILL_SHAPE(33),
                               RILL_SHAPE(33) };
        rill_tensor *x[3], *g[2][3];
        for (int k = 0; k < 3; k++) {
            x[k] = normal((uint64_t)k + 13, dtype, shape[k]);
            x[k] = i >> k & 1 ? rill_watch(tape, x[k]) : x[k];
        }
        if (i % 8 == 0)
            continue;
        rill_tensor *y = rill_layer_norm(tape, x[0], x[1], x[2], NULL);
        for (int r = 0; r < 2; r++) {
            ck_assert(rill_backward(tape, y, &(rill_backward_opts){
                .grad = normal(16, dtype, shape[0]), .create_graph = r }));
            for (int k = 0; k < 3; k++)
                g[r][k] = rill_grad(tape, x[k]);
        }
        for (int k = 0; k < 3; k++) {
            ck_assert_int_eq(g[0][k] != NULL, i >> k & 1);
            ck_assert_int_eq(g[1][k] != NULL, i >> k & 1);
            for (int64_t e = 0; e < rill_numel(g[0][k]); e++)
                ASSERT_NEAR(rill_at(g[0][k], e), rill_at(g[1][k], e),
                            dtype == RILL_F32 ? 2e-6 : 1e-14);
        }
    }
}
END_TEST

static rill_tensor *f_layer_norm(rill_tape *t, rill_tensor **x, void *user)
{
    return rill_layer_norm(t, x[0], x[1], x[2], user);
}

static rill_tensor *f_layer_norm_plain(rill_tape *t, rill_tensor **x,
                                       void *user)
{
    return rill_layer_norm(t, x[0], NULL, NULL, user);
}

START_TEST(layer_norm_derivatives)
{
    rill_tensor *x = normal(17, RILL_F64, RILL_SHAPE(2, 3, 4));
    rill_tensor *w = normal(18, RILL_F64, RILL_SHAPE(4));
    rill_tensor *b = normal(19, RILL_F64, RILL_SHAPE(4));
    rill_tensor *w2 = normal(20, RILL_F64, RILL_SHAPE(3, 4));
    rill_layer_norm_opts o = { .normalized_dims = 2, .eps = 0.1 };
    CHECK_OP(rill_layer_norm, f_layer_norm, 3, NULL, x, w, b);
    CHECK_OP(rill_layer_norm, f_layer_norm, 3, &o, x, w2, w2);
    CHECK_OP(rill_layer_norm, f_layer_norm_plain, 1, &o, x);
}
END_TEST

START_TEST(layer_norm_refusals)
{
    rill_tensor *x = normal(21, RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *w = normal(22, RILL_F32, RILL_SHAPE(3));
    rill_tensor *w2 = normal(22, RILL_F32, RILL_SHAPE(2));
    rill_tensor *wide = normal(22, RILL_F64, RILL_SHAPE(3));
    rill_tensor *s = normal(22, RILL_F32, RILL_SCALAR);
    rill_tensor *i = rill_zeros(tape, RILL_I32, RILL_SHAPE(3));
    rill_layer_norm_opts three = { .normalized_dims = 3 };
    rill_layer_norm_opts minus = { .normalized_dims = -1 };
    rill_layer_norm_opts two = { .normalized_dims = 2 };
    rill_layer_norm_opts nan = { .eps = NAN }, negative = { .eps = -1 };
    rill_layer_norm_opts inf = { .eps = INFINITY };
    const struct {
        const rill_tensor *x, *w, *b;
        const rill_layer_norm_opts *o;
        const char *sentence;
    } bad[] = {
        { NULL, w, w, NULL, "x is NULL" },
        { i, w, w, NULL, "x is int32, a float dtype is wanted" },
        { x, i, w, NULL, "weight is int32, a float dtype is wanted" },
        { x, w, i, NULL, "bias is int32, a float dtype is wanted" },
        { x, wide, NULL, NULL,
          "x is float32 but weight is float64: cast one of them" },
        { x, NULL, wide, NULL,
          "x is float32 but bias is float64: cast one of them" },
        { x, w2, NULL, NULL,
          "x is [2, 3] but weight is [2]: [3] is wanted" },
        { x, w, w2, NULL, "x is [2, 3] but bias is [2]: [3] is wanted" },
        { x, w, NULL, &two,
          "x is [2, 3] but weight is [3]: [2, 3] is wanted" },
        { x, NULL, NULL, &three,
          "x is [2, 3]: 3 dims cannot be normalised" },
        { x, NULL, NULL, &minus,
          "x is [2, 3]: -1 dims cannot be normalised" },
        { x, s, NULL, NULL, "x is [2, 3]: 0 dims cannot be normalised" },
        { s, NULL, NULL, NULL, "x is []: 1 dims cannot be normalised" },
        { x, w, w, &nan, "eps nan is not a positive number" },
        { x, w, w, &negative, "eps -1 is not a positive number" },
        { x, w, w, &inf, "eps inf is not a positive number" },
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        char sentence[160];
        snprintf(sentence, sizeof sentence, "layer_norm: %s",
                 bad[k].sentence);
        ASSERT_REFUSED(rill_layer_norm(tape, bad[k].x, bad[k].w, bad[k].b,
                                       bad[k].o), sentence);
    }
}
END_TEST

/* ---- dropout ------------------------------------------------------------ */

START_TEST(dropout_is_identity)
{
    rill_tensor *x = normal(23, RILL_F32, RILL_SHAPE(5));
    ck_assert_ptr_eq(rill_dropout(tape, x, 0.5), x);
    ck_assert_ptr_eq(rill_dropout(tape, x, 1), x);
    rill_tape_train(tape, true);
    ck_assert_ptr_eq(rill_dropout(tape, x, 0), x);
    ck_assert_ptr_ne(rill_dropout(tape, x, 0.5), x);
}
END_TEST

/* The share of zeros is p within five standard deviations, the rest is
 * scaled; for p = 1 nothing is left, be it NaN. */
START_TEST(dropout_values)
{
    const double ps[] = { 0.1, 0.5, 0.9 };
    enum { N = 100000 };
    rill_tape_train(tape, true);
    for (int i = 0; i < 6; i++) {
        double p = ps[i / 2], eps = i % 2 ? 1e-15 : 1e-7;
        rill_tensor *x = rill_full(tape, 3, dtypes[i % 2], RILL_SHAPE(N));
        rill_tensor *y = rill_dropout(tape, x, p);
        int zeros = 0;
        for (int k = 0; k < N; k++)
            if (rill_at(y, k) == 0)
                zeros++;
            else
                ASSERT_NEAR(rill_at(y, k), 3 / (1 - p), eps);
        ck_assert(fabs(zeros - p * N) < 5 * sqrt(p * (1 - p) * N));
        double odd[] = { NAN, INFINITY, -1 }, none[] = { 0, 0, 0 };
        assert_tensor(rill_dropout(tape, rill_from(tape, odd, dtypes[i % 2],
                                                   RILL_SHAPE(3)), 1),
                      RILL_SHAPE(3), none, 0);
    }
    rill_tensor *empty = rill_zeros(tape, RILL_F32, RILL_SHAPE(0, 2));
    assert_tensor(rill_dropout(tape, empty, 0.5), RILL_SHAPE(0, 2), NULL, 0);
}
END_TEST

/* Which of 64 elements are dropped, as bits. */
static uint64_t mask(rill_tape *t, rill_dtype dtype)
{
    rill_tensor *y = rill_dropout(
        t, rill_full(t, 1, dtype, RILL_SHAPE(64)), 0.5);
    uint64_t bits = 0;
    for (int i = 0; i < 64; i++)
        bits |= (uint64_t)(rill_at(y, i) == 0) << i;
    return bits;
}

/* A function of seed, step and the ops before, and of nothing else. */
START_TEST(dropout_masks)
{
    uint64_t m[2][4];
    for (int seed = 0; seed < 2; seed++) {
        rill_tape *t = rill_tape_new(&(rill_tape_opts){
            .seed = (uint64_t)seed });
        rill_tape_train(t, true);
        m[seed][0] = mask(t, RILL_F32);
        m[seed][1] = mask(t, RILL_F64);
        rill_tape_reset(t);
        m[seed][2] = mask(t, RILL_F64);
        m[seed][3] = mask(t, RILL_F32);
        rill_tape_free(t);
        t = rill_tape_new(&(rill_tape_opts){ .seed = (uint64_t)seed });
        rill_tape_train(t, true);
        rill_tape_record(t, false);
        ck_assert_uint_eq(mask(t, RILL_F64), m[seed][0]);
        ck_assert_uint_eq(mask(t, RILL_F32), m[seed][1]);
        rill_tape_reset(t);
        ck_assert_uint_eq(mask(t, RILL_F32), m[seed][2]);
        rill_tape_free(t);
    }
    /* the same for ever, on every machine: by what rng.c's streams are */
    ck_assert_uint_eq(m[0][0], 0x72ed07d1909b39a5u);
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < i; k++)
            ck_assert_uint_ne(m[i / 4][i % 4], m[k / 4][k % 4]);
}
END_TEST

static rill_tensor *f_dropout(rill_tape *t, rill_tensor **x, void *user)
{
    return rill_dropout(t, rill_mul(t, x[0], x[0]), *(const double *)user);
}

START_TEST(dropout_derivatives)
{
    rill_tensor *x = normal(24, RILL_F64, RILL_SHAPE(3, 7));
    double half = 0.5, all = 1;
    CHECK_OP(rill_dropout, f_dropout, 1, &half, x); /* the identity */
    rill_tape_train(tape, true);
    CHECK_OP(rill_dropout, f_dropout, 1, &half, x);
    CHECK_OP(rill_dropout, f_dropout, 1, &all, x);
    rill_tensor *w = rill_watch(tape, x);
    rill_tensor *y = rill_dropout(tape, w, half);
    ck_assert(rill_backward(tape, rill_sum(tape, y, NULL), NULL));
    rill_tensor *g = rill_grad(tape, w);
    for (int i = 0; i < 21; i++)
        ck_assert(rill_at(g, i) == (rill_at(y, i) == 0 ? 0 : 2));
}
END_TEST

START_TEST(dropout_refusals)
{
    rill_tensor *x = normal(25, RILL_F32, RILL_SHAPE(2));
    rill_tensor *ints = rill_zeros(tape, RILL_I32, RILL_SHAPE(2));
    ASSERT_REFUSED(rill_dropout(tape, NULL, 0.5), "dropout: x is NULL");
    ASSERT_REFUSED(rill_dropout(tape, ints, 0.5),
                   "dropout: x is int32, a float dtype is wanted");
    ASSERT_REFUSED(rill_dropout(tape, x, -0.5),
                   "dropout: p -0.5 is not in [0, 1]");
    ASSERT_REFUSED(rill_dropout(tape, x, 1.5),
                   "dropout: p 1.5 is not in [0, 1]");
    ASSERT_REFUSED(rill_dropout(tape, x, NAN),
                   "dropout: p nan is not in [0, 1]");
}
END_TEST

/* The distance from the true value in units of the last place, which below
 * the normal numbers are those of the smallest one. */
static double ulps(double got, long double want, rill_dtype dtype)
{
    long double least = dtype == RILL_F32 ? FLT_MIN : DBL_MIN;
    int exponent;
    frexpl(fabsl(want) > least ? want : least, &exponent);
    int digits = dtype == RILL_F32 ? FLT_MANT_DIG : DBL_MANT_DIG;
    return (double)(fabsl(got - want) / ldexpl(1, exponent - digits));
}

/* Within 2 ulp in float32 and 4 in float64, for logits near and far and rows
 * of up to 50; the sum of a longer row adds its own rounding (float64 on SSE2:
 * 4.02 measured at 58). */
START_TEST(softmax_is_right_to_the_last_places)
{
    volatile long double fine = 1.0L + 0x1p-60L; /* not so under valgrind */
    static const double spreads[] = { 1, 10, 40 };
    rill_rng r = { .seed = 3 };
    for (int k = 0; k < 2 * 2 * 3 * 50; k++) {
        rill_dtype dtype = k % 2 ? RILL_F32 : RILL_F64;
        bool logs = k / 2 % 2;
        int n = 1 + k / 12, largest = 0;
        if (dtype == RILL_F64 && fine == 1.0L)
            continue;
        rill_tensor *x = rill_normal(tape, &r, 0, spreads[k / 4 % 3], dtype,
                                     RILL_SHAPE(n));
        rill_tensor *y = logs ? rill_log_softmax(tape, x, 0)
                              : rill_softmax(tape, x, 0);
        long double rest = 0;
        for (int i = 1; i < n; i++)
            largest = rill_at(x, i) > rill_at(x, largest) ? i : largest;
        long double max = rill_at(x, largest);
        for (int i = 0; i < n; i++)
            rest += i == largest ? 0 : expl(rill_at(x, i) - max);
        for (int i = 0; i < n; i++) {
            long double d = rill_at(x, i) - max;
            double off = ulps(rill_at(y, i), logs ? d - log1pl(rest)
                                                  : expl(d) / (1 + rest),
                              dtype);
            ck_assert_msg(off <= (dtype == RILL_F32 ? 2 : 4),
                          "%g ulp at %d of %d", off, i, n);
        }
        rill_tape_reset(tape);
    }
}
END_TEST

int main(void)
{
    return HARNESS_RUN(
        "normalising", softmax_values, softmax_shapes, softmax_extremes,
        softmax_rules_agree, softmax_derivatives, softmax_refusals,
        layer_norm_values, layer_norm_dims, layer_norm_extremes,
        layer_norm_empty, layer_norm_rules_agree, layer_norm_derivatives,
        layer_norm_refusals, dropout_is_identity, dropout_values,
        dropout_masks, dropout_derivatives, dropout_refusals,
                       softmax_is_right_to_the_last_places);
}
