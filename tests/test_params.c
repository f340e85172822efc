/* Parameter sets, initialisers, layers, gradient sums and clipping. */
#include "harness.h"

static rill_params *set;

static rill_params *set_new(rill_dtype dtype, uint64_t seed)
{
    rill_params *p = rill_params_new(dtype, seed);
    ck_assert_ptr_nonnull(p);
    ck_assert_pstr_eq(rill_params_error(p), NULL);
    return p;
}

/* Fails unless result is NULL (or false) and the set's error is exactly this
 * sentence; clears it. */
#define ASSERT_SET_REFUSED(result, sentence)                    \
    do {                                                        \
        ck_assert(!(result));                                   \
        ck_assert_pstr_eq(rill_params_error(set), (sentence));  \
        rill_params_clear_error(set);                           \
        ck_assert_pstr_eq(rill_params_error(set), NULL);        \
    } while (0)

/* The same where a tape was at hand and has to say it too. */
#define ASSERT_BOTH_REFUSED(result, sentence)           \
    do {                                                \
        ck_assert(!(result));                           \
        ck_assert_pstr_eq(rill_error(tape), (sentence)); \
        rill_clear_error(tape);                         \
        ASSERT_SET_REFUSED(false, sentence);            \
    } while (0)

static void fill(rill_tensor *w, const double *values)
{
    void *data = rill_write(w);
    for (int64_t i = 0; i < rill_numel(w); i++)
        if (rill_dtype_of(w) == RILL_F32)
            ((float *)data)[i] = (float)values[i];
        else
            ((double *)data)[i] = values[i];
}

/* Leaves g as the gradient of w on the tape, beside those already there. */
static rill_tensor *pull(rill_tensor *w, const double *g)
{
    return rill_sum(tape, rill_mul(tape, w, rill_from(tape, g,
                    rill_dtype_of(w), rill_shape_of(w))), NULL);
}

/* ---- sets --------------------------------------------------------------- */

START_TEST(test_add_and_find)
{
    set = set_new(RILL_F64, 1);
    rill_tensor *w = rill_params_add(set, "fc1.weight", RILL_SHAPE(2, 3));
    rill_tensor *b = rill_params_add(set, "fc1.bias", RILL_SHAPE(2));
    rill_tensor *e = rill_params_add(set, "empty", RILL_SHAPE(0, 4));
    rill_tensor *s = rill_params_add(set, "temperature", RILL_SCALAR);
    assert_tensor(w, RILL_SHAPE(2, 3), (double[6]){ 0 }, 0);
    ck_assert_int_eq(rill_dtype_of(w), RILL_F64);
    ck_assert_str_eq(rill_name(b), "fc1.bias");
    ck_assert_int_eq(rill_params_len(set), 4);
    ck_assert_int_eq(rill_params_count(set), 6 + 2 + 0 + 1);
    ck_assert_ptr_eq(rill_params_at(set, 0), w);
    ck_assert_ptr_eq(rill_params_at(set, 2), e);
    ck_assert_ptr_null(rill_params_at(set, 4));
    ck_assert_ptr_null(rill_params_at(set, -1));
    ck_assert_ptr_eq(rill_params_find(set, "temperature"), s);
    ck_assert_ptr_null(rill_params_find(set, "fc1"));
    ck_assert_ptr_null(rill_params_find(set, NULL));
    ck_assert_pstr_eq(rill_params_error(set), NULL);
    rill_params_free(set);
}
END_TEST

START_TEST(test_many)
{
    set = set_new(RILL_F32, 1);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        ck_assert_ptr_nonnull(rill_params_add(set, name, RILL_SHAPE(i)));
        name[0] = 'x'; /* the set has its own copy */
    }
    ck_assert_int_eq(rill_params_len(set), 100);
    ck_assert_int_eq(rill_params_count(set), 99 * 100 / 2);
    ck_assert_int_eq(rill_numel(rill_params_find(set, "w73")), 73);
    rill_params_free(set);
}
END_TEST

START_TEST(test_add_refusals)
{
    set = set_new(RILL_F32, 1);
    rill_params_add(set, "fc1.weight", RILL_SHAPE(2));
    ASSERT_SET_REFUSED(rill_params_add(set, "fc1.weight", RILL_SHAPE(2)),
                       "params: \"fc1.weight\" is there already");
    ASSERT_SET_REFUSED(rill_params_add(set, "", RILL_SHAPE(2)),
                       "params: the name \"\" is empty or begins with a "
                       "dot");
    ASSERT_SET_REFUSED(rill_params_add(set, NULL, RILL_SHAPE(2)),
                       "params: the name \"\" is empty or begins with a "
                       "dot");
    ASSERT_SET_REFUSED(rill_params_add(set, "w", RILL_SHAPE(2, -3)),
                       "zeros: size -3 of dimension 1 is negative");
    ASSERT_SET_REFUSED(rill_params_add(set, "w",
                                       RILL_SHAPE(INT64_MAX, INT64_MAX)),
                       "zeros: the shape has too many elements");
    /* the first error stands, and nothing works until it is cleared */
    ck_assert_ptr_null(rill_params_add(set, "", RILL_SHAPE(2)));
    ck_assert_ptr_null(rill_params_add(set, "w", RILL_SHAPE(2)));
    ck_assert(!rill_params_freeze(set, "fc1."));
    ck_assert(!rill_params_snapshot(set));
    ck_assert(!rill_params_restore(set));
    ck_assert(!rill_init_constant(set, rill_params_at(set, 0), 1));
    ck_assert(!rill_init_normal(set, rill_params_at(set, 0), 0, 1));
    ASSERT_SET_REFUSED(NULL, "params: the name \"\" is empty or begins with "
                             "a dot");
    ck_assert_ptr_nonnull(rill_params_add(set, "w", RILL_SHAPE(2)));
    ck_assert_int_eq(rill_params_len(set), 2);
    rill_params_free(set);
    set = set_new(RILL_I32, 1);
    ASSERT_SET_REFUSED(rill_params_add(set, "w", RILL_SHAPE(2)),
                       "variable: int32 has no gradient");
    rill_params_free(set);
}
END_TEST

START_TEST(test_null_set)
{
    ck_assert_pstr_eq(rill_params_error(NULL), "the parameter set is NULL");
    rill_params_free(NULL);
    rill_params_clear_error(NULL);
    ck_assert_ptr_null(rill_params_add(NULL, "w", RILL_SHAPE(1)));
    ck_assert_ptr_null(rill_params_find(NULL, "w"));
    ck_assert_ptr_null(rill_params_at(NULL, 0));
    ck_assert_ptr_null(rill_params_rng(NULL));
    ck_assert_int_eq(rill_params_len(NULL), 0);
    ck_assert_int_eq(rill_params_count(NULL), 0);
    ck_assert(!rill_params_freeze(NULL, "w"));
    ck_assert(!rill_params_snapshot(NULL));
    ck_assert(!rill_params_restore(NULL));
    ck_assert(!rill_init_constant(NULL, NULL, 0));
    ck_assert_ptr_null(rill_params_grad(NULL, NULL));
    ck_assert_ptr_null(rill_nn_linear_new(NULL, "fc", 1, 1).weight);
    ASSERT_REFUSED(rill_params_accumulate(NULL, tape),
                   "the parameter set is NULL");
    ck_assert(isnan(rill_clip_grad_norm(NULL, tape, 1)));
    ASSERT_REFUSED(NULL, "the parameter set is NULL");
    ck_assert(!rill_clip_grad_value(NULL, NULL, 1));
}
END_TEST

static void assert_printed(const rill_params *p, const char *text)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&printed, &size);
    rill_params_print(f, p);
    fclose(f);
    ck_assert_str_eq(printed, text);
    free(printed);
}

START_TEST(test_print)
{
    set = set_new(RILL_F32, 1);
    assert_printed(set, "       count  shape                 name\n"
                        "           0  in all\n");
    rill_nn_linear_new(set, "encoder.fc1", 64, 1024);
    rill_params_add(set, "t", RILL_SCALAR);
    rill_params_add(set, "e", RILL_SHAPE(1000, 1, 1, 1000, 0, 1, 100000, 1));
    rill_params_freeze(set, "encoder.fc1.b");
    assert_printed(
        set, "       count  shape                 name\n"
             "       65536  [1024, 64]            encoder.fc1.weight\n"
             "        1024  [1024]                encoder.fc1.bias (frozen)\n"
             "           1  []                    t\n"
             "           0  [1000, 1, 1, 1000, 0, 1, 100000, 1] e\n"
             "       66561  in all\n");
    rill_params_free(set);
}
END_TEST

START_TEST(test_freeze)
{
    set = set_new(RILL_F64, 1);
    rill_tensor *a = rill_params_add(set, "a.w", RILL_SHAPE(2));
    rill_tensor *b = rill_params_add(set, "b.w", RILL_SHAPE(2));
    double ones[] = { 1, 1 };
    ck_assert(rill_params_freeze(set, "a."));
    ck_assert(rill_variable_frozen(a) && !rill_variable_frozen(b));
    rill_tensor *loss = rill_add(tape, pull(a, ones), pull(b, ones));
    ck_assert(rill_backward(tape, loss, NULL));
    ck_assert_ptr_null(rill_grad(tape, a));
    ck_assert_ptr_nonnull(rill_grad(tape, b));
    /* frozen after the backward: what is there is not used either */
    rill_params_freeze(set, "b.");
    ASSERT_BOTH_REFUSED(rill_params_accumulate(set, tape),
                        "accumulate: there is no gradient: call "
                        "rill_backward first");
    rill_tape_reset(tape);
    ck_assert(rill_params_unfreeze(set, ""));
    ck_assert(!rill_variable_frozen(a) && !rill_variable_frozen(b));
    ck_assert(rill_backward(tape, pull(a, ones), NULL));
    ck_assert_ptr_nonnull(rill_grad(tape, a));
    ASSERT_SET_REFUSED(rill_params_freeze(set, "c."),
                       "freeze: no name begins with \"c.\"");
    ASSERT_SET_REFUSED(rill_params_freeze(set, NULL),
                       "freeze: no name begins with \"(NULL)\"");
    ASSERT_SET_REFUSED(rill_params_unfreeze(set, "a.weight"),
                       "unfreeze: no name begins with \"a.weight\"");
    rill_params_free(set);
}
END_TEST

START_TEST(test_snapshot)
{
    for (rill_dtype dtype = RILL_F32; dtype <= RILL_F64; dtype++) {
        set = set_new(dtype, 1);
        rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(3));
        ASSERT_SET_REFUSED(rill_params_restore(set),
                           "restore: there is no snapshot");
        double first[] = { 1, 2, 3 }, second[] = { 4, 5, 6 };
        fill(w, first);
        ck_assert(rill_params_snapshot(set));
        fill(w, second);
        rill_tensor *late = rill_params_add(set, "late", RILL_SHAPE(1));
        fill(late, (double[]){ 7 });
        ck_assert(rill_params_restore(set));
        assert_tensor(w, RILL_SHAPE(3), first, 0);
        assert_tensor(late, RILL_SHAPE(1), (double[]){ 7 }, 0);
        fill(w, second);
        ck_assert(rill_params_snapshot(set)); /* replaces the one before */
        fill(w, first);
        fill(late, (double[]){ 8 });
        ck_assert(rill_params_restore(set));
        ck_assert(rill_params_restore(set)); /* and it is kept */
        assert_tensor(w, RILL_SHAPE(3), second, 0);
        assert_tensor(late, RILL_SHAPE(1), (double[]){ 7 }, 0);
        /* a restored parameter has changed for the tapes that used it */
        rill_tensor *loss = pull(w, first);
        rill_params_restore(set);
        ASSERT_REFUSED(rill_backward(tape, loss, NULL),
                       "backward: w changed since this tape used it: reset "
                       "first");
        rill_tape_reset(tape);
        rill_params_free(set);
    }
}
END_TEST

/* ---- initialisers ------------------------------------------------------- */

static void moments(const rill_tensor *w, double *mean, double *std,
                    double *low, double *high)
{
    int64_t n = rill_numel(w);
    double sum = 0, squares = 0;
    *low = INFINITY, *high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double v = rill_at(w, i);
        sum += v;
        squares += v * v;
        *low = fmin(*low, v);
        *high = fmax(*high, v);
    }
    *mean = sum / (double)n;
    *std = sqrt(squares / (double)n - *mean * *mean);
}

/* 4096 draws: the mean is within 5 std / 64, the std within 6 % (5 sigma). */
static void assert_spread(const rill_tensor *w, double std, bool uniform)
{
    double mean, got, low, high;
    moments(w, &mean, &got, &low, &high);
    ck_assert_msg(fabs(mean) < 5 * std / 64, "mean %g", mean);
    ck_assert_msg(fabs(got / std - 1) < 0.06, "std %g, not %g", got, std);
    if (uniform) {
        double bound = sqrt(3) * std;
        ck_assert(low >= -bound && low < -0.99 * bound);
        ck_assert(high <= bound && high > 0.99 * bound);
    } else {
        ck_assert(low < -3 * std && high > 3 * std);
    }
}

START_TEST(test_init_spread)
{
    for (rill_dtype dtype = RILL_F32; dtype <= RILL_F64; dtype++) {
        set = set_new(dtype, 3);
        rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(128, 32));
        rill_tensor *c = rill_params_add(set, "c", RILL_SHAPE(16, 32, 4, 2));
        ck_assert(rill_init_uniform(set, w, -2, 2));
        assert_spread(w, 2 / sqrt(3), true);
        ck_assert(rill_init_normal(set, w, 0, 0.5));
        assert_spread(w, 0.5, false);
        ck_assert(rill_init_xavier_uniform(set, w, 2));
        assert_spread(w, 2 * sqrt(2.0 / (128 + 32)), true);
        ck_assert(rill_init_xavier_normal(set, w, 1));
        assert_spread(w, sqrt(2.0 / (128 + 32)), false);
        ck_assert(rill_init_kaiming_uniform(set, w, 0));
        assert_spread(w, sqrt(2.0 / 32), true);
        ck_assert(rill_init_kaiming_normal(set, w, 0.5));
        assert_spread(w, sqrt(2 / 1.25 / 32), false);
        ck_assert(rill_init_xavier_normal(set, c, 1)); /* a kernel of 4 x 2 */
        assert_spread(c, sqrt(2.0 / ((16 + 32) * 8)), false);
        ck_assert(rill_init_kaiming_uniform(set, c, 0));
        assert_spread(c, sqrt(2.0 / (32 * 8)), true);
        ck_assert_pstr_eq(rill_params_error(set), NULL);
        rill_params_free(set);
    }
}
END_TEST

/* An initialiser draws what rill_uniform and rill_normal draw. */
START_TEST(test_init_draws)
{
    for (rill_dtype dtype = RILL_F32; dtype <= RILL_F64; dtype++) {
        set = set_new(dtype, 11);
        rill_rng r = { .seed = 11 };
        rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(5, 7));
        rill_init_uniform(set, w, -1, 3);
        rill_tensor *same = rill_uniform(tape, &r, -1, 3, dtype,
                                         RILL_SHAPE(5, 7));
        for (int i = 0; i < 35; i++)
            ck_assert(rill_at(w, i) == rill_at(same, i));
        rill_init_normal(set, w, 1, 2);
        same = rill_normal(tape, &r, 1, 2, dtype, RILL_SHAPE(5, 7));
        for (int i = 0; i < 35; i++)
            ck_assert(rill_at(w, i) == rill_at(same, i));
        rill_init_constant(set, w, 5); /* draws nothing */
        ck_assert_uint_eq(rill_params_rng(set)->drawn, r.drawn);
        ck_assert_uint_eq(rill_params_rng(set)->seed, 11);
        ck_assert(rill_at(w, 34) == 5);
        rill_params_free(set);
    }
}
END_TEST

START_TEST(test_init_refusals)
{
    set = set_new(RILL_F64, 1);
    rill_params *other = set_new(RILL_F64, 1);
    rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(2, 3));
    rill_tensor *b = rill_params_add(set, "fc.bias", RILL_SHAPE(2));
    rill_tensor *foreign = rill_params_add(other, "w", RILL_SHAPE(2, 3));
    ASSERT_SET_REFUSED(rill_init_constant(set, NULL, 1),
                       "init_constant: w is not a parameter of this set");
    ASSERT_SET_REFUSED(rill_init_uniform(set, foreign, 0, 1),
                       "init_uniform: w is not a parameter of this set");
    ASSERT_SET_REFUSED(rill_init_uniform(set, w, 1, 0),
                       "init_uniform: high - low is -1, not in [0, inf)");
    ASSERT_SET_REFUSED(rill_init_uniform(set, w, 0, INFINITY),
                       "init_uniform: high - low is inf, not in [0, inf)");
    ASSERT_SET_REFUSED(rill_init_uniform(set, w, (double)NAN, 1),
                       "init_uniform: high - low is nan, not in [0, inf)");
    ASSERT_SET_REFUSED(rill_init_normal(set, w, INFINITY, 1),
                       "init_normal: |mean| is inf, not in [0, inf)");
    ASSERT_SET_REFUSED(rill_init_normal(set, w, 0, NAN),
                       "init_normal: std is nan, not in [0, inf)");
    ASSERT_SET_REFUSED(rill_init_normal(set, w, 0, -1),
                       "init_normal: std is -1, not in [0, inf)");
    ASSERT_SET_REFUSED(rill_init_xavier_uniform(set, w, -1),
                       "init_xavier_uniform: gain is -1, not in [0, inf)");
    ASSERT_SET_REFUSED(rill_init_xavier_normal(set, w, NAN),
                       "init_xavier_normal: gain is nan, not in [0, inf)");
    ASSERT_SET_REFUSED(rill_init_kaiming_uniform(set, b, 0),
                       "init_kaiming_uniform: \"fc.bias\" has 1 dimensions: "
                       "[out, in] is wanted");
    ASSERT_SET_REFUSED(rill_init_kaiming_normal(set, w, INFINITY),
                       "init_kaiming_normal: |slope| is inf, not in [0, "
                       "inf)");
    assert_tensor(w, RILL_SHAPE(2, 3), (double[6]){ 0 }, 0);
    ck_assert_uint_eq(rill_params_rng(set)->drawn, 0);
    rill_params_free(other);
    rill_params_free(set);
}
END_TEST

/* ---- layers ------------------------------------------------------------- */

START_TEST(test_linear)
{
    set = set_new(RILL_F64, 5);
    rill_nn_linear l = rill_nn_linear_new(set, "fc", 16, 3);
    ck_assert_str_eq(rill_name(l.weight), "fc.weight");
    ck_assert_str_eq(rill_name(l.bias), "fc.bias");
    ck_assert_ptr_eq(rill_params_at(set, 0), l.weight);
    rill_rng r = { .seed = 5 }; /* the weight is drawn first */
    rill_tensor *w = rill_uniform(tape, &r, -0.25, 0.25, RILL_F64,
                                  RILL_SHAPE(3, 16));
    rill_tensor *b = rill_uniform(tape, &r, -0.25, 0.25, RILL_F64,
                                  RILL_SHAPE(3));
    assert_tensor(l.weight, RILL_SHAPE(3, 16), rill_f64(w), 0);
    assert_tensor(l.bias, RILL_SHAPE(3), rill_f64(b), 0);
    rill_tensor *x = normal(1, RILL_F64, RILL_SHAPE(4, 16));
    assert_tensor(rill_nn_linear_apply(tape, &l, x), RILL_SHAPE(4, 3),
                  rill_f64(rill_linear(tape, x, w, b)), 0);
    /* no inputs: the bias alone, of zeros */
    rill_nn_linear none = rill_nn_linear_new(set, "none", 0, 2);
    assert_tensor(none.bias, RILL_SHAPE(2), (double[]){ 0, 0 }, 0);
    rill_params_free(set);
}
END_TEST

START_TEST(test_same_seed_same_network)
{
    const int64_t widths[] = { 3, 17, 5 };
    rill_params *a = set_new(RILL_F64, 9), *b = set_new(RILL_F64, 9);
    rill_params *c = set_new(RILL_F64, 10), *f = set_new(RILL_F32, 9);
    rill_params *all[] = { a, b, c, f };
    for (int i = 0; i < 4; i++) {
        rill_nn_mlp_new(all[i], "net", widths, 3, NULL);
        rill_nn_embedding_new(all[i], "words", 7, 3);
    }
    bool differs = false;
    for (int k = 0; k < rill_params_len(a); k++)
        for (int64_t i = 0; i < rill_numel(rill_params_at(a, k)); i++) {
            double v = rill_at(rill_params_at(a, k), i);
            ck_assert(v == rill_at(rill_params_at(b, k), i));
            differs = differs || v != rill_at(rill_params_at(c, k), i);
            /* float32 is the same network, to its own precision */
            ASSERT_NEAR(v, rill_at(rill_params_at(f, k), i), 2e-7);
        }
    ck_assert(differs);
    for (int i = 0; i < 4; i++)
        rill_params_free(all[i]);
}
END_TEST

START_TEST(test_embedding_and_norm)
{
    set = set_new(RILL_F64, 5);
    rill_nn_embedding e = rill_nn_embedding_new(set, "words", 64, 64);
    ck_assert_str_eq(rill_name(e.weight), "words.weight");
    assert_spread(e.weight, 1, false);
    rill_tensor *i = rill_from(tape, (double[]){ 9, 2 }, RILL_I32,
                               RILL_SHAPE(2));
    rill_tensor *rows = rill_nn_embedding_apply(tape, &e, i);
    ck_assert_int_eq(rill_dim(rows, 0), 2);
    ck_assert_int_eq(rill_dim(rows, 1), 64);
    for (int k = 0; k < 64; k++)
        ck_assert(rill_at(rows, 64 + k) == rill_at(e.weight, 2 * 64 + k));

    rill_nn_layer_norm n = rill_nn_layer_norm_new(set, "norm", 2);
    ck_assert_str_eq(rill_name(n.weight), "norm.weight");
    ck_assert_str_eq(rill_name(n.bias), "norm.bias");
    assert_tensor(n.weight, RILL_SHAPE(2), (double[]){ 1, 1 }, 0);
    assert_tensor(n.bias, RILL_SHAPE(2), (double[]){ 0, 0 }, 0);
    fill(n.weight, (double[]){ 2, 3 });
    fill(n.bias, (double[]){ 10, 20 });
    rill_tensor *x = rill_from(tape, (double[]){ 1, 3 }, RILL_F64,
                               RILL_SHAPE(1, 2));
    double z = 1 / sqrt(1 + 1e-5);
    assert_tensor(rill_nn_layer_norm_apply(tape, &n, x), RILL_SHAPE(1, 2),
                  (double[]){ 10 - 2 * z, 20 + 3 * z }, 1e-14);
    rill_params_free(set);
}
END_TEST

START_TEST(test_layer_refusals)
{
    set = set_new(RILL_F64, 5);
    rill_tensor *x = normal(1, RILL_F64, RILL_SHAPE(4, 2));
    rill_params_add(set, "fc.bias", RILL_SHAPE(3));
    /* a layer that fails half-way is no layer without a bias */
    rill_nn_linear l = rill_nn_linear_new(set, "fc", 2, 3);
    ck_assert_ptr_null(l.weight);
    ck_assert_ptr_null(l.bias);
    rill_nn_embedding e = rill_nn_embedding_new(set, "words", 2, 3);
    rill_nn_layer_norm n = rill_nn_layer_norm_new(set, "norm", 2);
    rill_nn_mlp m = rill_nn_mlp_new(set, "mlp", (int64_t[]){ 2, 3 }, 2, NULL);
    ck_assert_ptr_null(m.layer);
    ASSERT_SET_REFUSED(e.weight, "params: \"fc.bias\" is there already");
    ASSERT_REFUSED(rill_nn_linear_apply(tape, &l, x),
                   "linear: weight is NULL");
    ASSERT_REFUSED(rill_nn_linear_apply(tape, NULL, x),
                   "linear: weight is NULL");
    ASSERT_REFUSED(rill_nn_embedding_apply(tape, &e, x),
                   "embedding: weight is NULL");
    ASSERT_REFUSED(rill_nn_layer_norm_apply(tape, &n, x),
                   "layer_norm: weight is NULL");
    ASSERT_REFUSED(rill_nn_layer_norm_apply(tape, NULL, x),
                   "layer_norm: weight is NULL");
    ASSERT_REFUSED(rill_nn_mlp_apply(tape, &m, x), "linear: weight is NULL");
    ASSERT_REFUSED(rill_nn_mlp_apply(tape, NULL, x),
                   "linear: weight is NULL");
    ASSERT_SET_REFUSED(rill_nn_linear_new(set, "", 2, 3).weight,
                       "params: the name \".weight\" is empty or begins "
                       "with a dot");
    ASSERT_SET_REFUSED(rill_nn_layer_norm_new(set, NULL, 2).weight,
                       "params: the name \".weight\" is empty or begins "
                       "with a dot");
    char name[257];
    memset(name, 'x', 256);
    name[256] = '\0';
    ASSERT_SET_REFUSED(rill_nn_linear_new(set, name, 2, 3).weight,
                       "layer: the name is longer than 255");
    name[255 - strlen(".weight")] = '\0'; /* the longest */
    ck_assert_ptr_nonnull(rill_nn_linear_new(set, name, 2, 3).weight);
    ASSERT_SET_REFUSED(rill_nn_mlp_new(set, name, (int64_t[]){ 2, 3 }, 2,
                                       NULL).layer,
                       "layer: the name is longer than 255");
    ASSERT_SET_REFUSED(rill_nn_linear_new(set, "in", -2, 3).weight,
                       "zeros: size -2 of dimension 1 is negative");
    ASSERT_SET_REFUSED(rill_nn_embedding_new(set, "e", -1, 3).weight,
                       "zeros: size -1 of dimension 0 is negative");
    rill_params_free(set);
}
END_TEST

START_TEST(test_mlp)
{
    const int64_t widths[] = { 3, 4, 5, 2 };
    set = set_new(RILL_F64, 5);
    rill_nn_mlp m = rill_nn_mlp_new(set, "net", widths, 4, NULL);
    ck_assert_int_eq(m.n, 3);
    ck_assert_ptr_null(m.norm);
    ck_assert_int_eq(rill_params_len(set), 6);
    ck_assert_str_eq(rill_name(rill_params_at(set, 0)), "net.0.weight");
    ck_assert_str_eq(rill_name(rill_params_at(set, 5)), "net.2.bias");
    ck_assert_int_eq(rill_params_count(set), 16 + 25 + 12);
    rill_tensor *x = normal(1, RILL_F64, RILL_SHAPE(7, 3));
    rill_tensor *h = rill_nn_linear_apply(tape, &m.layer[0], x);
    h = rill_nn_linear_apply(tape, &m.layer[1], rill_sigmoid(tape, h));
    h = rill_nn_linear_apply(tape, &m.layer[2], rill_sigmoid(tape, h));
    assert_tensor(rill_nn_mlp_apply(tape, &m, x), RILL_SHAPE(7, 2),
                  rill_f64(h), 0);
    /* one layer: no activation at all */
    rill_nn_mlp one = rill_nn_mlp_new(set, "one", widths, 2, NULL);
    assert_tensor(rill_nn_mlp_apply(tape, &one, x), RILL_SHAPE(7, 4),
                  rill_f64(rill_nn_linear_apply(tape, &one.layer[0], x)), 0);
    rill_params_free(set);
}
END_TEST

START_TEST(test_mlp_options)
{
    const int64_t widths[] = { 3, 40, 2 };
    set = set_new(RILL_F64, 5);
    rill_nn_mlp m = rill_nn_mlp_new(set, "net", widths, 3,
        &(rill_nn_mlp_opts){ .activation = rill_tanh, .dropout = 0.5,
                             .layer_norm = true });
    ck_assert_int_eq(rill_params_len(set), 6);
    ck_assert_str_eq(rill_name(m.norm[0].bias), "net.norm0.bias");
    fill(m.norm[0].bias, (double[40]){ 1, 2, 3 });
    rill_tensor *x = normal(1, RILL_F64, RILL_SHAPE(7, 3));
    rill_tensor *h = rill_nn_linear_apply(tape, &m.layer[0], x);
    h = rill_tanh(tape, rill_nn_layer_norm_apply(tape, &m.norm[0], h));
    h = rill_nn_linear_apply(tape, &m.layer[1], h);
    rill_tensor *y = rill_nn_mlp_apply(tape, &m, x); /* evaluates */
    assert_tensor(y, RILL_SHAPE(7, 2), rill_f64(h), 0);
    rill_tape_train(tape, true);
    rill_tensor *dropped = rill_nn_mlp_apply(tape, &m, x);
    ASSERT_OK();
    ck_assert(rill_norm(rill_sub(tape, dropped, y)) > 0.01);
    rill_params_free(set);
}
END_TEST

START_TEST(test_mlp_refusals)
{
    const int64_t widths[] = { 3, -4, 2 };
    set = set_new(RILL_F64, 5);
    const char *two = "mlp: two widths or more are wanted: the inputs', any "
                      "hidden ones and the outputs'";
    ASSERT_SET_REFUSED(rill_nn_mlp_new(set, "net", widths, 1, NULL).layer,
                       two);
    ASSERT_SET_REFUSED(rill_nn_mlp_new(set, "net", NULL, 3, NULL).layer, two);
    ASSERT_SET_REFUSED(rill_nn_mlp_new(set, "net", widths, 3, NULL).layer,
                       "zeros: size -4 of dimension 0 is negative");
    ASSERT_SET_REFUSED(rill_nn_mlp_new(set, "", widths, 3, NULL).layer,
                       "params: the name \".0.weight\" is empty or begins "
                       "with a dot");
    ASSERT_SET_REFUSED(rill_nn_mlp_new(set, NULL, widths, 3, NULL).layer,
                       "params: the name \".0.weight\" is empty or begins "
                       "with a dot");
    rill_nn_mlp m = rill_nn_mlp_new(
        set, "net", (int64_t[]){ 3, 4, 2 }, 3,
        &(rill_nn_mlp_opts){ .dropout = 1.5 });
    rill_tensor *x = normal(1, RILL_F64, RILL_SHAPE(7, 3));
    ASSERT_REFUSED(rill_nn_mlp_apply(tape, &m, x),
                   "dropout: p 1.5 is not in [0, 1]");
    rill_params_free(set);
}
END_TEST

/* ---- sums of gradients -------------------------------------------------- */

START_TEST(test_accumulate)
{
    for (rill_dtype dtype = RILL_F32; dtype <= RILL_F64; dtype++) {
        set = set_new(dtype, 5);
        rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(3));
        rill_tensor *v = rill_params_add(set, "v", RILL_SHAPE(1));
        ck_assert_ptr_null(rill_params_grad(set, w));
        rill_backward(tape, pull(w, (double[]){ 1, 2, 3 }), NULL);
        ck_assert(rill_params_accumulate(set, tape));
        rill_tape_reset(tape);
        assert_tensor(rill_params_grad(set, w), RILL_SHAPE(3),
                      (double[]){ 1, 2, 3 }, 0);
        ck_assert_ptr_null(rill_params_grad(set, v)); /* not reached */
        rill_backward(tape, rill_add(tape, pull(w, (double[]){ .5, 0, -3 }),
                                     pull(v, (double[]){ 7 })), NULL);
        ck_assert(rill_params_accumulate(set, tape));
        rill_tape_reset(tape);
        assert_tensor(rill_params_grad(set, w), RILL_SHAPE(3),
                      (double[]){ 1.5, 2, 0 }, 0);
        assert_tensor(rill_params_grad(set, v), RILL_SHAPE(1),
                      (double[]){ 7 }, 0);
        ck_assert_ptr_null(rill_params_grad(set, NULL));
        rill_params_free(set);
    }
}
END_TEST

/* A step by the tape alone, while sums are kept, is hardly what was meant. */
START_TEST(test_step_leaves_sums)
{
    set = set_new(RILL_F64, 5);
    rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(1));
    rill_optim *o = rill_sgd_new(set, &(rill_sgd_opts){ .lr = 1 });
    rill_backward(tape, pull(w, (double[]){ 3 }), NULL);
    ck_assert(rill_params_accumulate(set, tape));
    ck_assert_ptr_null(rill_warning(tape));
    ck_assert(rill_optim_step(o, tape));
    ck_assert_str_eq(rill_warning(tape),
                     "step: by the tape's gradients alone: give NULL for the "
                     "tape to step by those accumulated");
    ck_assert(rill_optim_step(o, NULL));
    ck_assert_double_eq(rill_item(w), -6);
    rill_clear_error(tape);
    rill_tape_reset(tape);
    rill_backward(tape, pull(w, (double[]){ 3 }), NULL);
    ck_assert(rill_optim_step(o, tape)); /* none are kept */
    ck_assert_ptr_null(rill_warning(tape));
    rill_optim_free(o);
    rill_params_free(set);
}
END_TEST

START_TEST(test_micro_batches_are_one_batch)
{
    set = set_new(RILL_F64, 5);
    rill_nn_linear l = rill_nn_linear_new(set, "fc", 6, 5);
    rill_tensor *x = normal(1, RILL_F64, RILL_SHAPE(12, 6));
    rill_tape *data = rill_tape_new(NULL);
    rill_tensor *rows = rill_copy(data, rill_data(x), RILL_F64,
                                  RILL_SHAPE(12, 6));
    double labels[12], whole[30];
    for (int i = 0; i < 12; i++)
        labels[i] = i * 7 % 5;
    rill_tensor *y = rill_from(data, labels, RILL_I32, RILL_SHAPE(12));
    rill_backward(tape, rill_cross_entropy(tape,
        rill_nn_linear_apply(tape, &l, rows), y, NULL), NULL);
    memcpy(whole, rill_data(rill_grad(tape, l.weight)), sizeof whole);
    rill_tape_reset(tape);
    for (int k = 0, from = 0; k < 3; k++) { /* 3, 4 and 5 rows */
        int to = from + 3 + k;
        rill_tensor *part = rill_slice(tape, rows, 0, from, to);
        rill_backward(tape, rill_cross_entropy(tape,
            rill_nn_linear_apply(tape, &l, part),
            rill_slice(tape, y, 0, from, to),
            &(rill_cross_entropy_opts){ .denominator = 12 }), NULL);
        ck_assert(rill_params_accumulate(set, tape));
        rill_tape_reset(tape);
        from = to;
    }
    assert_tensor(rill_params_grad(set, l.weight), RILL_SHAPE(5, 6), whole,
                  1e-14);
    rill_tape_free(data);
    rill_params_free(set);
}
END_TEST

START_TEST(test_accumulate_refusals)
{
    const char *no_gradient = "accumulate: there is no gradient: call "
                              "rill_backward first";
    set = set_new(RILL_F64, 5);
    rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(2));
    ASSERT_SET_REFUSED(rill_params_accumulate(set, NULL),
                       "accumulate: the tape is NULL");
    rill_tensor *loss = pull(w, (double[]){ 1, 2 });
    ASSERT_BOTH_REFUSED(rill_params_accumulate(set, tape), no_gradient);
    rill_backward(tape, loss, NULL);
    rill_params_accumulate(set, tape);
    rill_fail(tape, "a mistake"); /* a failed tape: nothing is changed */
    ck_assert(!rill_params_accumulate(set, tape));
    ck_assert_pstr_eq(rill_params_error(set), NULL);
    assert_tensor((rill_clear_error(tape), rill_params_grad(set, w)),
                  RILL_SHAPE(2), (double[]){ 1, 2 }, 0);
    rill_params_freeze(set, "none"); /* a failed set: the tape is told */
    ASSERT_BOTH_REFUSED(rill_params_accumulate(set, tape),
                        "freeze: no name begins with \"none\"");
    assert_tensor(rill_params_grad(set, w), RILL_SHAPE(2),
                  (double[]){ 1, 2 }, 0);
    rill_tape_reset(tape); /* gradients are gone with the step */
    ASSERT_BOTH_REFUSED(rill_params_accumulate(set, tape), no_gradient);
    rill_params_free(set);
}
END_TEST

/* ---- clipping ----------------------------------------------------------- */

/* Gradients (3, 4, 0) and (12) of a set, on the tape, or accumulated. */
static rill_tape *clip_case(rill_dtype dtype, bool on_tape)
{
    set = set_new(dtype, 5);
    rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(3));
    rill_tensor *v = rill_params_add(set, "v", RILL_SHAPE(1));
    rill_params_add(set, "unused", RILL_SHAPE(2));
    rill_backward(tape, rill_add(tape, pull(w, (double[]){ 3, -4, 0 }),
                                 pull(v, (double[]){ 12 })), NULL);
    if (!on_tape)
        rill_params_accumulate(set, tape);
    return on_tape ? tape : NULL;
}

static void assert_clipped(rill_tape *t, const double *values, double tol)
{
    for (int k = 0; k < 2; k++) {
        rill_tensor *w = rill_params_at(set, k);
        const rill_tensor *g = t ? rill_grad(t, w) : rill_params_grad(set, w);
        assert_tensor(g, rill_shape_of(w), values + 3 * k, tol);
    }
    rill_tape_reset(tape);
    rill_params_free(set);
}

START_TEST(test_clip)
{
    const double raw[] = { 3, -4, 0, 12 };
    for (int k = 0; k < 4; k++) {
        rill_dtype dtype = k & 1 ? RILL_F64 : RILL_F32;
        double tol = k & 1 ? 1e-15 : 1e-7, scaled[4];
        rill_tape *t = clip_case(dtype, k & 2);
        ck_assert(rill_clip_grad_norm(set, t, 6.5) == 13);
        for (int i = 0; i < 4; i++)
            scaled[i] = raw[i] * 6.5 / (13 + 1e-6);
        assert_clipped(t, scaled, tol);
        t = clip_case(dtype, k & 2);
        ck_assert(rill_clip_grad_norm(set, t, 14) == 13); /* all is well */
        assert_clipped(t, raw, 0);
        t = clip_case(dtype, k & 2);
        ck_assert(rill_clip_grad_norm(set, t, INFINITY) == 13);
        assert_clipped(t, raw, 0);
        t = clip_case(dtype, k & 2);
        ck_assert(rill_clip_grad_norm_inf(set, t, 3) == 12);
        for (int i = 0; i < 4; i++)
            scaled[i] = raw[i] * 3 / (12 + 1e-6);
        assert_clipped(t, scaled, tol);
        t = clip_case(dtype, k & 2);
        ck_assert(rill_clip_grad_value(set, t, 3.5));
        assert_clipped(t, (double[]){ 3, -3.5, 0, 3.5 }, 0);
        t = clip_case(dtype, k & 2);
        ck_assert(rill_clip_grad_norm(set, t, 0) == 13);
        assert_clipped(t, (double[]){ 0, 0, 0, 0 }, 0);
    }
}
END_TEST

START_TEST(test_clip_not_finite)
{
    for (int k = 0; k < 4; k++) {
        set = set_new(k & 1 ? RILL_F64 : RILL_F32, 5);
        rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(3));
        rill_backward(tape, pull(w, (double[]){ NAN, 9, -INFINITY }), NULL);
        rill_params_accumulate(set, tape);
        rill_tape *t = k & 2 ? tape : NULL;
        ck_assert(rill_clip_grad_value(set, t, 2));
        assert_tensor(t ? rill_grad(t, w) : rill_params_grad(set, w),
                      RILL_SHAPE(3), (double[]){ NAN, 2, -2 }, 0);
        ck_assert(isnan(rill_clip_grad_norm_inf(set, t, 1)));
        ck_assert(isnan(rill_clip_grad_norm(set, t, 1)));
        ASSERT_OK();
        assert_tensor(t ? rill_grad(t, w) : rill_params_grad(set, w),
                      RILL_SHAPE(3), (double[]){ NAN, NAN, NAN }, 0);
        rill_tape_reset(tape);
        rill_params_free(set);
    }
}
END_TEST

/* Gradients that are not parameters', and frozen ones', stay out of it, and
 * what one rule returned for two inputs is not scaled twice. */
START_TEST(test_clip_leaves_others)
{
    set = set_new(RILL_F64, 5);
    rill_tensor *a = rill_params_add(set, "a", RILL_SHAPE(1));
    rill_tensor *b = rill_params_add(set, "b", RILL_SHAPE(1));
    rill_tensor *sum = rill_add(tape, a, b);
    rill_backward(tape, rill_scale(tape, sum, 30), NULL);
    rill_params_freeze(set, "b");
    rill_tape_record(tape, true);
    ck_assert(rill_clip_grad_norm(set, tape, 3) == 30);
    ck_assert(rill_tape_record(tape, true)); /* as it was */
    ASSERT_NEAR(rill_item(rill_grad(tape, a)), 3, 1e-6);
    ck_assert(rill_item(rill_grad(tape, b)) == 30);
    ck_assert(rill_item(rill_grad(tape, sum)) == 30);
    rill_params_free(set);
}
END_TEST

START_TEST(test_clip_refusals)
{
    rill_tape *t = clip_case(RILL_F64, true);
    ck_assert(isnan(rill_clip_grad_norm(set, t, -1)));
    ASSERT_BOTH_REFUSED(NULL, "clip_grad_norm: max_norm is -1, not in "
                              "[0, inf)");
    ck_assert(isnan(rill_clip_grad_norm(set, t, NAN)));
    ASSERT_BOTH_REFUSED(NULL, "clip_grad_norm: max_norm is nan, not in "
                              "[0, inf)");
    ck_assert(isnan(rill_clip_grad_norm_inf(set, t, -1)));
    ASSERT_BOTH_REFUSED(NULL, "clip_grad_norm_inf: max_norm is -1, not in "
                              "[0, inf)");
    ASSERT_BOTH_REFUSED(rill_clip_grad_value(set, t, -2),
                        "clip_grad_value: max_value is -2, not in [0, inf)");
    ck_assert(isnan(rill_clip_grad_norm(set, NULL, 1)));
    ASSERT_SET_REFUSED(NULL, "clip_grad_norm: there is no gradient: call "
                             "rill_params_accumulate first");
    rill_fail(tape, "a mistake");
    ck_assert(isnan(rill_clip_grad_norm(set, t, 1)));
    ck_assert(!rill_clip_grad_value(set, t, 1));
    ck_assert_pstr_eq(rill_params_error(set), NULL);
    rill_clear_error(tape);
    assert_clipped(t, (double[]){ 3, -4, 0, 12 }, 0);
    clip_case(RILL_F64, true);
    rill_tape_reset(tape);
    ASSERT_BOTH_REFUSED(rill_clip_grad_value(set, tape, 1),
                        "clip_grad_value: there is no gradient: call "
                        "rill_backward first");
    rill_params_free(set);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("params", test_add_and_find, test_many,
                       test_add_refusals, test_null_set, test_print,
                       test_freeze, test_snapshot, test_init_spread,
                       test_init_draws, test_init_refusals, test_linear,
                       test_same_seed_same_network, test_embedding_and_norm,
                       test_layer_refusals, test_mlp, test_mlp_options,
                       test_mlp_refusals, test_accumulate,
                       test_micro_batches_are_one_batch,
                       test_step_leaves_sums, test_accumulate_refusals,
                       test_clip, test_clip_not_finite,
                       test_clip_leaves_others, test_clip_refusals);
}
