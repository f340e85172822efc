/* The tape and the sweep: what is made, recorded, swept, reset and refused. */
#include "harness.h"

#include <float.h>

static rill_tensor *from(rill_dtype dtype, rill_shape shape, const double *v)
{
    return rill_from(tape, v, dtype, shape);
}

/* ---- making and reading ------------------------------------------------- */

START_TEST(makes_and_reads)
{
    rill_dtype dtypes[] = { RILL_F32, RILL_F64, RILL_I32 };
    for (int i = 0; i < 3; i++) {
        rill_dtype d = dtypes[i];
        double v[] = { 1, -2, 3, 4, 5, 6 };
        assert_tensor(rill_zeros(tape, d, RILL_SHAPE(2, 3)),
                      RILL_SHAPE(2, 3), (double[6]){ 0 }, 0);
        assert_tensor(rill_full(tape, 7, d, RILL_SCALAR), RILL_SCALAR,
                      (double[]){ 7 }, 0);
        rill_tensor *x = from(d, RILL_SHAPE(2, 3), v);
        assert_tensor(x, RILL_SHAPE(2, 3), v, 0);
        ck_assert_int_eq(rill_dtype_of(x), d);
        ck_assert_int_eq((uintptr_t)rill_data(x) % 64, 0);
        ck_assert_int_eq(rill_dim(x, -1), 3);
        ck_assert_int_eq(rill_dim(x, 2), 0);
        ck_assert(isnan(rill_at(x, 6)) && isnan(rill_at(x, -1)));
        ck_assert(isnan(rill_item(x)));
        ck_assert_ptr_eq(rill_f32(x), d == RILL_F32 ? rill_data(x) : NULL);
        ck_assert_ptr_eq(rill_f64(x), d == RILL_F64 ? rill_data(x) : NULL);
        ck_assert_ptr_eq(rill_i32(x), d == RILL_I32 ? rill_data(x) : NULL);
        assert_tensor(rill_copy(tape, rill_data(x), d, RILL_SHAPE(6)),
                      RILL_SHAPE(6), v, 0);
        ck_assert_int_eq(rill_numel(rill_like(tape, x)), 6);
    }
    ck_assert_double_eq(
        rill_norm(from(RILL_F32, RILL_SHAPE(2), (double[]){ 3, 4 })), 5);
}
END_TEST

START_TEST(makes_empty_and_eight_dimensional)
{
    rill_tensor *e = rill_zeros(tape, RILL_F32, RILL_SHAPE(3, 0, 2));
    ASSERT_OK();
    ck_assert_int_eq(rill_numel(e), 0);
    ck_assert_double_eq(rill_norm(e), 0);
    rill_shape eight = RILL_SHAPE(1, 2, 1, 2, 1, 2, 1, 2);
    ck_assert_int_eq(rill_numel(rill_zeros(tape, RILL_F64, eight)), 16);
    /* a 0 among sizes whose product would overflow is just empty */
    e = rill_zeros(tape, RILL_F32,
                   RILL_SHAPE(INT64_MAX / 2, 0, INT64_MAX / 2));
    ASSERT_OK();
    ck_assert_int_eq(rill_numel(e), 0);
}
END_TEST

START_TEST(views_do_not_copy)
{
    float mine[] = { 1, 2, 3, 4 };
    rill_tensor *x = rill_view(tape, mine, RILL_F32, RILL_SHAPE(2, 2));
    ck_assert_ptr_eq(rill_data(x), mine);
    ASSERT_REFUSED(rill_view(tape, NULL, RILL_F32, RILL_SHAPE(2)),
                   "view: data is NULL");
    ASSERT_REFUSED(rill_view(tape, (char *)mine + 1, RILL_F32,
                             RILL_SHAPE(1)),
                   "view: data is not aligned for float32");
}
END_TEST

START_TEST(refuses_what_cannot_be_made)
{
    ASSERT_REFUSED(rill_zeros(tape, RILL_F32, RILL_SHAPE(2, -3)),
                   "zeros: size -3 of dimension 1 is negative");
    ASSERT_REFUSED(
        rill_zeros(tape, RILL_F32, RILL_SHAPE(INT64_MAX / 4, 8)),
        "zeros: the shape has too many elements");
    ASSERT_REFUSED(rill_zeros(tape, (rill_dtype)9, RILL_SCALAR),
                   "zeros: 9 is not a dtype");
    rill_shape nine = { .ndim = 9 };
    ASSERT_REFUSED(rill_zeros(tape, RILL_F32, nine),
                   "zeros: 9 dimensions are not in [0, 8]");
    ASSERT_REFUSED(rill_full(tape, 0.5, RILL_I32, RILL_SHAPE(2)),
                   "full: int32 cannot hold 0.5");
    ASSERT_REFUSED(from(RILL_I32, RILL_SHAPE(2), (double[]){ 1, 3e9 }),
                   "from: int32 cannot hold 3e+09 at 1");
    ASSERT_REFUSED(from(RILL_F32, RILL_SHAPE(1), NULL),
                   "from: values is NULL");
    ASSERT_REFUSED(rill_copy(tape, NULL, RILL_F32, RILL_SHAPE(1)),
                   "copy: data is NULL");
    ASSERT_REFUSED(rill_like(tape, NULL), "like: x is NULL");
    /* how many bytes a header takes is nobody's business */
    ck_assert(!rill_zeros(tape, RILL_F32, RILL_SHAPE(1LL << 55)));
    ck_assert_ptr_nonnull(strstr(rill_error(tape), "out of memory: 14411518"));
    rill_clear_error(tape);
    ASSERT_REFUSED(rill_variable(tape, "w", RILL_I32, RILL_SCALAR),
                   "variable: int32 has no gradient");
    rill_rng r = { 0 };
    ASSERT_REFUSED(rill_uniform(tape, &r, 0, 1, RILL_I32, RILL_SCALAR),
                   "uniform: int32 holds no uniform numbers");
    ASSERT_REFUSED(rill_uniform(tape, NULL, 0, 1, RILL_F32, RILL_SCALAR),
                   "uniform: the generator is NULL");
    ASSERT_REFUSED(rill_normal(tape, &r, 0, 1, RILL_I32, RILL_SCALAR),
                   "normal: int32 holds no normal numbers");
    ASSERT_REFUSED(rill_normal(tape, NULL, 0, 1, RILL_F32, RILL_SCALAR),
                   "normal: the generator is NULL");
}
END_TEST

/* The stream is fixed for ever: these numbers may never change. */
START_TEST(draws_the_same_for_ever)
{
    rill_rng r = { .seed = 42 };
    ck_assert_uint_eq(rill_rng_next(&r), 0xbdd732262feb6e95u);
    ck_assert_uint_eq(rill_rng_next(&r), 0x28efe333b266f103u);
    ck_assert_uint_eq(r.drawn, 2);
    rill_rng again = { .seed = 42, .drawn = 1 };
    ck_assert_uint_eq(rill_rng_next(&again), 0x28efe333b266f103u);

    rill_rng a = { .seed = 7 }, b = { .seed = 7 };
    rill_tensor *f = rill_uniform(tape, &a, 0, 1, RILL_F32, RILL_SHAPE(999));
    rill_tensor *d = rill_uniform(tape, &b, 0, 1, RILL_F64, RILL_SHAPE(999));
    for (int i = 0; i < 999; i++) {
        ck_assert(rill_at(f, i) >= 0 && rill_at(f, i) < 1);
        ck_assert(rill_at(d, i) - rill_at(f, i) >= 0);
        ck_assert(rill_at(d, i) - rill_at(f, i) < 0x1p-24);
    }
    double mean = 0, square = 0;
    for (int i = 0; i < 20000; i++) {
        double v = rill_rng_normal(&a);
        mean += v / 20000;
        square += v * v / 20000;
    }
    ck_assert(fabs(mean) < 0.03 && fabs(square - 1) < 0.04);
    int64_t counts[5] = { 0 };
    for (int i = 0; i < 5000; i++)
        counts[rill_rng_below(&a, 5)]++;
    for (int i = 0; i < 5; i++)
        ck_assert(counts[i] > 900 && counts[i] < 1100);
    ck_assert_uint_eq(rill_rng_below(&a, 0), 0);
}
END_TEST

/* ---- the sweep ---------------------------------------------------------- */

START_TEST(adds_up_a_tensor_used_many_times)
{
    double v[] = { 1, 2, 3 };
    rill_tensor *x = rill_watch(tape, from(RILL_F64, RILL_SHAPE(3), v));
    rill_tensor *y = x;
    for (int i = 0; i < 9; i++)
        y = rill_add(tape, y, x); /* 10 x */
    ck_assert(rill_backward(tape, rill_sum(tape, rill_mul(tape, y, x), NULL),
                            NULL));
    assert_tensor(rill_grad(tape, x), RILL_SHAPE(3),
                  (double[]){ 20, 40, 60 }, 0);
}
END_TEST

START_TEST(reads_a_gradient_at_every_node)
{
    rill_tensor *x = rill_watch(tape, normal(1, RILL_F64, RILL_SHAPE(2, 3)));
    rill_tensor *h = rill_sigmoid(tape, x);
    rill_tensor *s = rill_scale(tape, h, 3);
    rill_tensor *unused = rill_mul(tape, h, h);
    rill_tensor *loss = rill_sum(tape, s, NULL);
    ck_assert_ptr_null(rill_grad(tape, x)); /* no backward yet: no error */
    ASSERT_OK();
    ck_assert(rill_backward(tape, loss, NULL));
    ck_assert_double_eq(rill_item(rill_grad(tape, loss)), 1);
    for (int i = 0; i < 6; i++) {
        double y = rill_at(h, i);
        ck_assert_double_eq(rill_at(rill_grad(tape, s), i), 1);
        ck_assert_double_eq(rill_at(rill_grad(tape, h), i), 3);
        ASSERT_NEAR(rill_at(rill_grad(tape, x), i), 3 * y * (1 - y), 1e-15);
    }
    ck_assert_ptr_null(rill_grad(tape, unused));
    ASSERT_OK();
}
END_TEST

START_TEST(a_second_backward_replaces_the_first)
{
    double v[] = { 1, 2, 3 };
    rill_tensor *x = rill_watch(tape, from(RILL_F64, RILL_SHAPE(3), v));
    rill_tensor *square = rill_mul(tape, x, x);
    rill_tensor *a = rill_sum(tape, square, NULL);
    rill_tensor *b = rill_sum(tape, rill_scale(tape, x, 5), NULL);
    ck_assert(rill_backward(tape, a, NULL));
    rill_tensor *first = rill_grad(tape, x);
    ck_assert(rill_backward(tape, b, NULL));
    assert_tensor(rill_grad(tape, x), RILL_SHAPE(3),
                  (double[]){ 5, 5, 5 }, 0);
    ck_assert_ptr_null(rill_grad(tape, square)); /* b does not depend on it */
    assert_tensor(first, RILL_SHAPE(3), (double[]){ 2, 4, 6 }, 0);
    ck_assert(rill_backward(tape, a, NULL));
    assert_tensor(rill_grad(tape, x), RILL_SHAPE(3),
                  (double[]){ 2, 4, 6 }, 0);
}
END_TEST

START_TEST(takes_a_seed_gradient)
{
    double v[] = { 1, 2, 3 };
    rill_tensor *x = rill_watch(tape, from(RILL_F64, RILL_SHAPE(3), v));
    rill_tensor *y = rill_mul(tape, x, x);
    rill_tensor *g = from(RILL_F64, RILL_SHAPE(3), (double[]){ 1, 10, 100 });
    ck_assert(rill_backward(tape, y, &(rill_backward_opts){ .grad = g }));
    assert_tensor(rill_grad(tape, x), RILL_SHAPE(3),
                  (double[]){ 2, 40, 600 }, 0);
    ASSERT_REFUSED(rill_backward(tape, y, NULL),
                   "backward: the loss is [3], not one element: give a seed "
                   "gradient of its shape");
    ASSERT_REFUSED(
        rill_backward(tape, y,
                      &(rill_backward_opts){
                          .grad = rill_zeros(tape, RILL_F64, RILL_SHAPE(2)) }),
        "backward: the loss is [3] but its seed gradient is [2]");
    ASSERT_REFUSED(
        rill_backward(tape, y,
                      &(rill_backward_opts){
                          .grad = rill_zeros(tape, RILL_F32, RILL_SHAPE(3)) }),
        "backward: the loss is float64 but the seed gradient is float32: "
        "cast one of them");
    /* one element is a scalar, whatever its shape */
    rill_tensor *one = rill_watch(tape, from(RILL_F64, RILL_SHAPE(1, 1), v));
    ck_assert(rill_backward(tape, rill_scale(tape, one, 4), NULL));
    assert_tensor(rill_grad(tape, one), RILL_SHAPE(1, 1), (double[]){ 4 },
                  0);
}
END_TEST

START_TEST(differentiates_twice_and_thrice)
{
    rill_backward_opts graph = { .create_graph = true };
    rill_tensor *x = rill_watch(tape, rill_full(tape, 2, RILL_F64,
                                                RILL_SCALAR));
    rill_tensor *y = rill_mul(tape, x, rill_mul(tape, x, rill_mul(tape, x,
                                                                  x)));
    ck_assert(rill_backward(tape, y, &graph));
    rill_tensor *d1 = rill_grad(tape, x);
    ck_assert_double_eq(rill_item(d1), 32);
    ck_assert(rill_backward(tape, d1, &graph));
    rill_tensor *d2 = rill_grad(tape, x);
    ck_assert_double_eq(rill_item(d2), 48);
    ck_assert(rill_backward(tape, d2, NULL));
    ck_assert_double_eq(rill_item(rill_grad(tape, x)), 48);
    /* what was not recorded cannot be differentiated */
    ASSERT_REFUSED(rill_backward(tape, rill_grad(tape, x), NULL),
                   "backward: the loss was computed while nothing was "
                   "recorded: in rill_tape_record(tape, false), or by a "
                   "backward without create_graph");
}
END_TEST

START_TEST(sweeps_a_chain_of_100000_nodes)
{
    rill_tensor *x = rill_watch(tape, rill_full(tape, 1, RILL_F64,
                                                RILL_SCALAR));
    rill_tensor *y = x;
    for (int i = 0; i < 100000; i++)
        y = rill_scale(tape, y, i % 2 ? 2 : 0.5);
    ck_assert(rill_backward(tape, y, NULL));
    ck_assert_double_eq(rill_item(rill_grad(tape, x)), 1);
}
END_TEST

/* 200 uses of a large leaf must not cost 200 buffers for its gradient. */
START_TEST(adds_into_one_buffer)
{
    rill_tensor *w = rill_watch(tape, normal(2, RILL_F32, RILL_SHAPE(1000)));
    rill_tensor *y = rill_scale(tape, w, 0);
    for (int i = 0; i < 200; i++)
        y = rill_add(tape, y, w);
    size_t before = rill_tape_bytes(tape);
    ck_assert(rill_backward(tape, rill_sum(tape, y, NULL), NULL));
    ck_assert_double_eq(rill_at(rill_grad(tape, w), 999), 200);
    ck_assert(rill_tape_bytes(tape) - before < 10 * 4000);
}
END_TEST

START_TEST(detach_and_no_record)
{
    rill_tensor *x = rill_watch(tape, rill_full(tape, 3, RILL_F64,
                                                RILL_SCALAR));
    rill_tensor *c = rill_detach(tape, rill_mul(tape, x, x));
    rill_tensor *y = rill_mul(tape, x, c);
    ck_assert(rill_backward(tape, y, NULL));
    ck_assert_double_eq(rill_item(rill_grad(tape, x)), 9);
    ck_assert_ptr_null(rill_grad(tape, c));

    ck_assert(rill_tape_record(tape, false)); /* it was on */
    rill_tensor *free = rill_mul(tape, x, x);
    ck_assert_double_eq(rill_item(free), 9);
    ck_assert(!rill_tape_record(tape, true));
    ASSERT_REFUSED(rill_backward(tape, free, NULL),
                   "backward: the loss was computed while nothing was "
                   "recorded: in rill_tape_record(tape, false), or by a "
                   "backward without create_graph");
    ASSERT_REFUSED(rill_watch(tape, rill_zeros(tape, RILL_I32, RILL_SCALAR)),
                   "watch: x is int32: only float32 and float64 have "
                   "gradients");
    ASSERT_REFUSED(rill_watch(tape, NULL), "watch: x is NULL");
    ASSERT_REFUSED(rill_detach(tape, NULL), "detach: x is NULL");
}
END_TEST

START_TEST(set_grad_replaces)
{
    rill_tensor *x = rill_watch(tape, normal(3, RILL_F32, RILL_SHAPE(2)));
    rill_tensor *y = rill_sum(tape, x, NULL);
    rill_tensor *g = from(RILL_F32, RILL_SHAPE(2), (double[]){ 7, 8 });
    ASSERT_REFUSED(rill_set_grad(tape, x, g),
                   "set_grad: x has no gradient to replace");
    ck_assert(rill_backward(tape, y, NULL));
    ck_assert(rill_set_grad(tape, x, g));
    assert_tensor(rill_grad(tape, x), RILL_SHAPE(2), (double[]){ 7, 8 }, 0);
    ASSERT_REFUSED(
        rill_set_grad(tape, x, rill_zeros(tape, RILL_F32, RILL_SHAPE(3))),
        "set_grad: x is [2] but the gradient is [3]");
    ASSERT_REFUSED(
        rill_set_grad(tape, x, rill_zeros(tape, RILL_F64, RILL_SHAPE(2))),
        "set_grad: x is float32 but the gradient is float64: cast one of "
        "them");
}
END_TEST

/* ---- two lifetimes ------------------------------------------------------ */

START_TEST(variables_are_leaves_of_any_tape)
{
    rill_tape *home = rill_tape_new(NULL), *other = rill_tape_new(NULL);
    rill_tensor *w = rill_variable(home, "w", RILL_F64, RILL_SCALAR);
    *(double *)rill_write(w) = 5;
    ck_assert_str_eq(rill_name(w), "w");
    ck_assert_ptr_null(rill_grad(tape, w));
    rill_tensor *a = rill_mul(tape, w, w), *b = rill_scale(other, w, 3);
    ck_assert(rill_backward(tape, a, NULL) && rill_backward(other, b, NULL));
    ck_assert_double_eq(rill_item(rill_grad(tape, w)), 10);
    ck_assert_double_eq(rill_item(rill_grad(other, w)), 3);

    /* changed after it was used: going back through it is refused */
    *(double *)rill_write(w) = 6;
    ASSERT_REFUSED(rill_backward(tape, a, NULL),
                   "backward: w changed since this tape used it: reset "
                   "first");
    rill_tape_reset(tape);
    a = rill_mul(tape, w, w);
    ck_assert(rill_backward(tape, a, NULL));
    ck_assert_double_eq(rill_item(rill_grad(tape, w)), 12);

    rill_variable_freeze(w, true);
    ck_assert(rill_variable_frozen(w));
    rill_tape_reset(tape);
    ASSERT_REFUSED(rill_backward(tape, rill_mul(tape, w, w), NULL),
                   "backward: the loss depends on no parameter that learns "
                   "and on no leaf that rill_watch returned");
    rill_tape_free(other);
    rill_tape_free(home);
}
END_TEST

/* A tape that used a variable before it was frozen still has its gradient. */
START_TEST(frozen_between_two_uses)
{
    rill_tape *home = rill_tape_new(NULL);
    rill_tensor *v = rill_variable(home, "v", RILL_F64, RILL_SHAPE(1, 3));
    rill_tensor *y = rill_zeros(tape, RILL_I32, RILL_SHAPE(1));
    rill_exp(tape, v);
    rill_variable_freeze(v, true);
    ck_assert(rill_backward(tape, rill_cross_entropy(tape, v, y, NULL),
                            NULL));
    ck_assert_double_eq_tol(rill_at(rill_grad(tape, v), 0), -2. / 3, 1e-15);
    rill_tape_reset(tape);
    /* what was prepared unrecorded is not to blame where all is frozen */
    rill_tape_record(tape, false);
    rill_tensor *target = rill_exp(tape, rill_zeros(tape, RILL_F64,
                                                    RILL_SHAPE(1, 3)));
    rill_tape_record(tape, true);
    ASSERT_REFUSED(rill_backward(tape, rill_mse_loss(tape, v, target, NULL),
                                 NULL),
                   "backward: the loss depends on no parameter that learns "
                   "and on no leaf that rill_watch returned");
    rill_tape_free(home);
}
END_TEST

/* Only what lies on the way back must be unchanged. */
START_TEST(a_change_off_the_way_does_not_matter)
{
    rill_tape *home = rill_tape_new(NULL);
    rill_tensor *w = rill_variable(home, "w", RILL_F64, RILL_SCALAR);
    rill_tensor *v = rill_variable(home, "v", RILL_F64, RILL_SCALAR);
    rill_tensor *a = rill_scale(tape, w, 2), *b = rill_scale(tape, v, 3);
    rill_write(v);
    ck_assert(rill_backward(tape, a, NULL));
    ck_assert_double_eq(rill_item(rill_grad(tape, w)), 2);
    ASSERT_REFUSED(rill_backward(tape, b, NULL),
                   "backward: v changed since this tape used it: reset "
                   "first");
    ck_assert_ptr_null(rill_grad(tape, w)); /* a failed sweep publishes none */
    rill_tape_free(home);
}
END_TEST

START_TEST(finds_many_variables)
{
    enum { N = 1000 };
    rill_tape *home = rill_tape_new(NULL);
    rill_tensor *w[N];
    for (int round = 0; round < 3; round++) {
        rill_tensor *sum = rill_zeros(tape, RILL_F64, RILL_SCALAR);
        for (int i = 0; i < N; i++) {
            if (round == 0)
                w[i] = rill_variable(home, NULL, RILL_F64, RILL_SCALAR);
            sum = rill_add(tape, sum, rill_scale(tape, w[i], i + round));
        }
        ck_assert(rill_backward(tape, sum, NULL));
        for (int i = 0; i < N; i++)
            ck_assert_double_eq(rill_item(rill_grad(tape, w[i])), i + round);
        rill_tape_reset(tape);
    }
    rill_tape_free(home);
}
END_TEST

START_TEST(other_tapes_hold_constants_only)
{
    rill_tape *data = rill_tape_new(NULL);
    rill_tensor *c = rill_full(data, 4, RILL_F64, RILL_SCALAR);
    rill_tensor *made = rill_scale(data, c, 2); /* recorded, but no leaf */
    rill_tensor *leaf = rill_watch(data, c);
    rill_tensor *way = rill_scale(data, leaf, 2);
    rill_tensor *x = rill_watch(tape, c);
    ck_assert(rill_backward(tape, rill_mul(tape, x, made), NULL));
    ck_assert_double_eq(rill_item(rill_grad(tape, x)), 8);
    ASSERT_REFUSED(rill_mul(tape, x, way),
                   "mul: b was recorded on another tape: detach it");
    ASSERT_REFUSED(rill_add(tape, leaf, x),
                   "add: a was recorded on another tape: detach it");
    ck_assert_double_eq(
        rill_item(rill_mul(tape, x, rill_detach(tape, way))), 32);
    rill_tape_reset(data);
    ASSERT_REFUSED(rill_mul(tape, x, made),
                   "mul: b was made before its tape was reset");
    ASSERT_REFUSED(rill_detach(tape, way),
                   "detach: x was made before its tape was reset");
    rill_tape_free(data);
}
END_TEST

START_TEST(reset_ends_what_was_made)
{
    rill_tensor *x = rill_watch(tape, rill_full(tape, 4, RILL_F64,
                                                RILL_SCALAR));
    rill_tape_reset(tape);
    ck_assert_uint_eq(rill_tape_bytes(tape), 0);
    ASSERT_REFUSED(rill_scale(tape, x, 2),
                   "scale: x was made before its tape was reset");
    ASSERT_REFUSED(rill_backward(tape, x, NULL),
                   "backward: the loss was made before its tape was reset");
    ASSERT_REFUSED(rill_grad(tape, x),
                   "grad: x was made before its tape was reset");
    ASSERT_REFUSED(rill_watch(tape, x),
                   "watch: x was made before its tape was reset");
}
END_TEST

START_TEST(reuses_its_memory)
{
    for (int step = 0; step < 50; step++) {
        rill_tensor *small = normal(1, RILL_F32, RILL_SHAPE(100));
        rill_tensor *big = normal(2, RILL_F32, RILL_SHAPE(300, 400));
        rill_tensor *again = rill_scale(tape, big, 2);
        ck_assert(small && big && again);
        size_t used = rill_tape_bytes(tape);
        ck_assert_uint_eq(used, rill_tape_peak_bytes(tape));
        ck_assert(used >= 2 * 300 * 400 * 4);
        rill_tape_reset(tape);
    }
}
END_TEST

/* ---- errors are values -------------------------------------------------- */

static char heard[3][512];
static int n_heard;

static void hear(const char *message, void *user)
{
    ck_assert_ptr_eq(user, heard);
    if (n_heard < 3)
        strcpy(heard[n_heard++], message);
}

START_TEST(keeps_the_first_error)
{
    n_heard = 0;
    rill_tape *t = rill_tape_new(&(rill_tape_opts){
        .on_error = hear, .on_warning = hear, .user = heard });
    rill_tensor *a = rill_zeros(t, RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *b = rill_zeros(t, RILL_F32, RILL_SHAPE(4));
    rill_tensor *bad = rill_add(t, a, b);
    rill_tensor *more = rill_mul(t, bad, a); /* NULL in gives NULL out */
    ck_assert(!bad && !more && !rill_add(t, a, a));
    ck_assert(!rill_backward(t, more, NULL));
    ck_assert(isnan(rill_item(more)));
    const char *first = "add: shapes [2, 3] and [4] do not broadcast";
    ck_assert_str_eq(rill_error(t), first);
    ck_assert_int_eq(n_heard, 1);
    ck_assert_str_eq(heard[0], first);
    rill_tape_reset(t);
    ck_assert_str_eq(rill_error(t), first);
    rill_clear_error(t);
    ck_assert_ptr_null(rill_error(t));
    ck_assert_ptr_nonnull(rill_zeros(t, RILL_F32, RILL_SCALAR));

    rill_warn(t, "one of %d", 2);
    rill_warn(t, "two");
    ck_assert_str_eq(rill_warning(t), "one of 2");
    ck_assert_str_eq(heard[2], "two");
    ck_assert_ptr_null(rill_error(t)); /* a warning is no error */
    rill_clear_error(t);
    ck_assert_ptr_null(rill_warning(t));
    rill_tape_free(t);
}
END_TEST

START_TEST(null_is_an_error_of_its_own)
{
    rill_tensor *a = rill_zeros(tape, RILL_F32, RILL_SHAPE(2));
    ASSERT_REFUSED(rill_add(tape, NULL, a), "add: a is NULL");
    ASSERT_REFUSED(rill_add(tape, a, NULL), "add: b is NULL");
    ASSERT_REFUSED(rill_backward(tape, NULL, NULL),
                   "backward: the loss is NULL");
    ck_assert_ptr_null(rill_add(NULL, a, a));
    ck_assert_ptr_null(rill_zeros(NULL, RILL_F32, RILL_SCALAR));
    ck_assert_str_eq(rill_error(NULL), "the tape is NULL");
    rill_tape_reset(NULL);
    rill_tape_free(NULL);
    rill_clear_error(NULL);
    ck_assert(!rill_tape_record(NULL, true) && !rill_tape_train(NULL, true));
    ck_assert_uint_eq(rill_tape_bytes(NULL), 0);
    ck_assert_int_eq(rill_numel(NULL), 0);
    ck_assert_int_eq(rill_shape_of(NULL).ndim, 0);
    ck_assert(isnan(rill_norm(NULL)));
    ck_assert_str_eq(rill_name(NULL), "");
    ck_assert_uint_eq(rill_tape_peak_bytes(NULL), 0);
    ck_assert_uint_eq(rill_tape_step(NULL), 0);
    ck_assert_str_eq(rill_tape_isa(NULL), "");
    ck_assert_ptr_null(rill_tape_alloc(NULL, 1));
    ck_assert_ptr_null(rill_warning(NULL));
    ck_assert(!rill_data(NULL) && !rill_f64(NULL));
    ck_assert(!rill_write(NULL) && !rill_variable_frozen(NULL));
    ck_assert(!rill_node_op(NULL) && !rill_node_output(NULL));
    ck_assert(!rill_node_attrs(NULL) && rill_node_inputs(NULL) == 0);
    ck_assert_int_eq(rill_node_index(NULL), -1);
    rill_tape_set_step(NULL, 1);
    rill_variable_freeze(NULL, true);
    rill_warn(NULL, "to nobody");
}
END_TEST

/* What an op has made, or may have read, is not written to; only variables
 * are frozen. */
START_TEST(constants_stay)
{
    rill_tensor *a = rill_zeros(tape, RILL_F32, RILL_SHAPE(2));
    ck_assert_ptr_eq(rill_write(a), rill_data(a));
    rill_tape_record(tape, false);
    ASSERT_REFUSED(rill_write(rill_exp(tape, a)),
                   "write: the result of exp is not to be changed");
    rill_tape_record(tape, true);
    ASSERT_REFUSED(rill_write(rill_watch(tape, a)),
                   "write: a leaf is not to be changed");
    ASSERT_REFUSED(rill_write(rill_detach(tape, a)),
                   "write: a detached tensor is not to be changed");
    rill_variable_freeze(a, true);
    ck_assert(!rill_variable_frozen(a));
    ASSERT_REFUSED(rill_watch(tape, rill_zeros(tape, RILL_I32,
                                               RILL_SHAPE(2))),
                   "watch: x is int32: only float32 and float64 have "
                   "gradients");
    ck_assert_ptr_null(rill_watch(tape, rill_add(NULL, a, a)));
    ck_assert_str_eq(rill_error(tape), "watch: x is NULL");
    ck_assert_str_eq(rill_dtype_name((rill_dtype)99), "unknown");
}
END_TEST

/* RILL_ISA is read when a tape is made; a name that is none is passed over. */
START_TEST(says_its_instruction_set)
{
    const char *was = getenv("RILL_ISA"), *names[] = { "baseline", "avx99" };
    char *kept = was ? strcpy(malloc(strlen(was) + 1), was) : NULL;
    const char *said[2];
    unsetenv("RILL_ISA");
    rill_tape *best = rill_tape_new(NULL);
    for (int i = 0; i < 2; i++) {
        setenv("RILL_ISA", names[i], 1);
        rill_tape *t = rill_tape_new(NULL);
        said[i] = rill_tape_isa(t);
        rill_tape_free(t);
    }
    if (kept)
        setenv("RILL_ISA", kept, 1);
    else
        unsetenv("RILL_ISA");
    free(kept);
    ck_assert_str_eq(said[0], "baseline");
    ck_assert_str_eq(said[1], rill_tape_isa(best));
    rill_tape_free(best);
}
END_TEST

static void double_for_float(rill_tape *t, const rill_node *n,
                             const rill_tensor *gy, const rill_tensor **gx)
{
    (void)n;
    gx[0] = rill_cast(t, gy, RILL_F64);
}

static void long_for_short(rill_tape *t, const rill_node *n,
                           const rill_tensor *gy, const rill_tensor **gx)
{
    (void)n, (void)gy;
    gx[0] = rill_zeros(t, RILL_F32, RILL_SHAPE(4));
}

START_TEST(a_rule_of_another_shape)
{
    static const rill_op op = { .name = "own", .backward = long_for_short };
    const rill_tensor *in = rill_watch(tape, rill_zeros(tape, RILL_F32,
                                                        RILL_SHAPE(2)));
    rill_tensor *y = rill_record(tape, &op, rill_zeros(tape, RILL_F32,
                                                       RILL_SCALAR),
                                 &in, 1, NULL);
    ASSERT_REFUSED(rill_backward(tape, y, NULL),
                   "backward: the rule of own gave a float32 gradient [4] "
                   "for input 0, which is float32 [2]");
    y = rill_zeros(tape, RILL_F32, RILL_SHAPE(2));
    ASSERT_REFUSED(rill_record(tape, NULL, y, &in, 1, NULL),
                   "record: the op is NULL");
    in = y;
    ASSERT_REFUSED(rill_record(tape, &op, y, &in, 1, NULL),
                   "own: input 0 is the result itself");
}
END_TEST

START_TEST(a_rule_of_another_dtype)
{
    static const rill_op op = { .name = "own", .backward = double_for_float };
    rill_tensor *x = rill_watch(tape, rill_zeros(tape, RILL_F32,
                                                 RILL_SCALAR));
    const rill_tensor *in = x;
    rill_tensor *y = rill_record(tape, &op, rill_zeros(tape, RILL_F32,
                                                       RILL_SCALAR),
                                 &in, 1, NULL);
    ASSERT_REFUSED(rill_backward(tape, y, NULL),
                   "backward: the rule of own gave a float64 gradient [] for "
                   "input 0, which is float32 []");
    ck_assert_ptr_null(rill_grad(tape, x));
}
END_TEST

START_TEST(rill_die_exits_with_1)
{
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    rill_die("a sentence", NULL);
}
END_TEST

/* ---- gradcheck ---------------------------------------------------------- */

static void wrong_backward(rill_tape *t, const rill_node *n,
                           const rill_tensor *gy, const rill_tensor **gx)
{
    (void)n;
    gx[0] = rill_scale(t, gy, 3); /* of y = 2 x: the truth is 2 */
}
static const rill_op wrong_op = { .name = "wrong",
                                  .backward = wrong_backward };

static rill_tensor *wrong(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    rill_tensor *y = rill_like(t, x[1]);
    double *out = rill_write(y);
    for (int64_t i = 0; out && i < rill_numel(y); i++)
        out[i] = 2 * rill_at(x[1], i);
    return rill_add(t, x[0],
                    rill_record(t, &wrong_op, y,
                                (const rill_tensor *[]){ x[1] }, 1, NULL));
}

static rill_tensor *wrong_alone(rill_tape *t, rill_tensor **x, void *user)
{
    return wrong(t, (rill_tensor *[]){ x[0], x[0] }, user);
}

/* y = 2 x with one right rule and one wrong one, or with both right as long
 * as they are not differentiated themselves. */
static void right_backward(rill_tape *t, const rill_node *n,
                           const rill_tensor *gy, const rill_tensor **gx)
{
    (void)n;
    gx[0] = rill_scale(t, gy, 2);
}
static void cut_backward(rill_tape *t, const rill_node *n,
                         const rill_tensor *gy, const rill_tensor **gx)
{
    (void)n;
    gx[0] = rill_scale(t, rill_detach(t, gy), 2);
}

static rill_tensor *twice(rill_tape *t, rill_tensor **x, void *op)
{
    rill_tensor *y = rill_like(t, x[0]);
    double *out = rill_write(y);
    for (int64_t i = 0; out && i < rill_numel(y); i++)
        out[i] = 2 * rill_at(x[0], i);
    return rill_square(t, rill_record(t, op, y,
                                      (const rill_tensor *[]){ x[0] }, 1,
                                      NULL));
}

static rill_tensor *constant(rill_tape *t, rill_tensor **x, void *user)
{
    (void)x, (void)user;
    return rill_full(t, 3, RILL_F64, RILL_SHAPE(2));
}

static rill_tensor *cubed(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    return rill_pow(t, x[0], 3);
}

START_TEST(gradcheck_runs_every_rule)
{
    static rill_op recorded = { .name = "own", .backward = wrong_backward,
                                .fused = right_backward };
    static rill_op cut = { .name = "own", .backward = cut_backward,
                           .fused = right_backward };
    static rill_op right = { .name = "own", .backward = right_backward };
    const rill_tensor *a = normal(1, RILL_F64, RILL_SHAPE(3));
    rill_gradcheck_opts o = { .user = &recorded };
    ASSERT_REFUSED(rill_gradcheck(tape, NULL, &a, 1, &o),
                   "gradcheck: the function is NULL");
    ck_assert(!rill_gradcheck(tape, twice, &a, 1, &o));
    ck_assert_ptr_nonnull(strstr(rill_error(tape), "gradcheck: square: the "
                                 "recorded gradient in argument 0 at "));
    rill_clear_error(tape);
    o.user = &cut; /* first derivatives show nothing */
    ck_assert(rill_gradcheck(tape, twice, &a, 1, &o));
    o.second_order = true;
    ck_assert(!rill_gradcheck(tape, twice, &a, 1, &o));
    ck_assert_ptr_nonnull(strstr(rill_error(tape), "gradcheck: square: the "
                                 "second derivative in argument "));
    rill_clear_error(tape);
    o.user = &right;
    ck_assert(rill_gradcheck(tape, twice, &a, 1, &o));
    ASSERT_OK();
}
END_TEST

/* A step too wide for a curve is beyond the default tolerance, not beyond one
 * that is given. */
START_TEST(gradcheck_takes_its_options)
{
    const rill_tensor *a = rill_full(tape, 1, RILL_F64, RILL_SHAPE(1));
    rill_gradcheck_opts o = { .step = 0.1 }; /* 3.01, and not 3 */
    ck_assert(!rill_gradcheck(tape, cubed, &a, 1, &o));
    rill_clear_error(tape);
    o.rtol = 0.1;
    ck_assert(rill_gradcheck(tape, cubed, &a, 1, &o));
    o.rtol = 0, o.atol = 0.1;
    ck_assert(rill_gradcheck(tape, cubed, &a, 1, &o));
    /* of a constant every gradient is 0 */
    ck_assert(rill_gradcheck(tape, constant, &a, 1, NULL));
    ASSERT_OK();
    const rill_tensor *none = NULL;
    ASSERT_REFUSED(rill_gradcheck(tape, cubed, &none, 1, NULL),
                   "gradcheck: an input is NULL");
}
END_TEST

START_TEST(gradcheck_names_the_worst_element)
{
    rill_tensor *a = normal(1, RILL_F64, RILL_SHAPE(3));
    rill_tensor *b = normal(2, RILL_F64, RILL_SHAPE(3));
    ck_assert(!rill_gradcheck(tape, wrong, (const rill_tensor *[]){ a, b }, 2,
                              NULL));
    const char *said = rill_error(tape);
    ck_assert_ptr_nonnull(strstr(said, "gradcheck: add: the gradient "
                                       "in argument 1 at "));
    ck_assert_ptr_nonnull(strstr(said, "central differences say"));
    rill_clear_error(tape);
    ck_assert(!rill_gradcheck(tape, wrong_alone,
                              (const rill_tensor *[]){ a }, 1, NULL));
    rill_clear_error(tape);
    rill_tensor *f = normal(1, RILL_F32, RILL_SHAPE(3));
    ASSERT_REFUSED(rill_gradcheck(tape, wrong, (const rill_tensor *[]){ a, f },
                                  2, NULL),
                   "gradcheck: argument 1 is float32, float64 is wanted");
    rill_tensor *two = normal(1, RILL_F64, RILL_SHAPE(2));
    ASSERT_REFUSED(rill_gradcheck(tape, wrong,
                                  (const rill_tensor *[]){ a, two }, 2, NULL),
                   "gradcheck: add: shapes [3] and [2] do not broadcast");
}
END_TEST

int main(void)
{
    /* rill_die ends its process: that one test needs Check's fork mode */
    const char *mode = getenv("CK_FORK");
    bool forks = !mode || strcmp(mode, "no") != 0;
    Suite *suite = suite_create("engine, fatal");
    TCase *fatal = tcase_create("fatal");
    tcase_add_exit_test(fatal, rill_die_exits_with_1, 1);
    suite_add_tcase(suite, fatal);
    SRunner *runner = srunner_create(suite);
    if (forks)
        srunner_run_all(runner, CK_SILENT);
    int died = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (died)
        return EXIT_FAILURE;
    return HARNESS_RUN(
        "engine", makes_and_reads, makes_empty_and_eight_dimensional,
        views_do_not_copy, refuses_what_cannot_be_made,
        draws_the_same_for_ever, adds_up_a_tensor_used_many_times,
        reads_a_gradient_at_every_node, a_second_backward_replaces_the_first,
        takes_a_seed_gradient, differentiates_twice_and_thrice,
        sweeps_a_chain_of_100000_nodes, adds_into_one_buffer,
        detach_and_no_record, set_grad_replaces,
        variables_are_leaves_of_any_tape,
        a_change_off_the_way_does_not_matter,
        frozen_between_two_uses, finds_many_variables,
        other_tapes_hold_constants_only, reset_ends_what_was_made,
        reuses_its_memory, keeps_the_first_error,
        null_is_an_error_of_its_own, constants_stay, says_its_instruction_set,
        a_rule_of_another_dtype, a_rule_of_another_shape,
        gradcheck_runs_every_rule,
        gradcheck_takes_its_options, gradcheck_names_the_worst_element);
}
