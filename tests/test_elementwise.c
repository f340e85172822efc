/* test_elementwise.c: ops that work element by element, and expand. Of the
 * activations only sigmoid is here.
 *
 * Most of it is driven by two tables, of ops with one input and with two: a
 * row has the op, the same in plain C, and where its inputs may lie to be
 * smooth. What is special about an op follows below. */
#include "harness.h"

#include <stdio.h>

typedef rill_tensor *unary_fn(rill_tape *t, const rill_tensor *x);
typedef rill_tensor *binary_fn(rill_tape *t, const rill_tensor *a,
                               const rill_tensor *b);

/* Ops with a number, the number given. All are exact in float32. */
#define WITH(name, call)                                             \
    static rill_tensor *name(rill_tape *t, const rill_tensor *x)     \
    {                                                                \
        return call;                                                 \
    }
WITH(scale, rill_scale(t, x, -1.5))
WITH(add_scalar, rill_add_scalar(t, x, 0.25))
WITH(rsub, rill_rsub(t, x, 0.25))
WITH(clamp, rill_clamp(t, x, -0.5, 0.75))
WITH(pow_0, rill_pow(t, x, 0))
WITH(pow_0_and_1, rill_mul(t, rill_pow(t, x, 0), x))
WITH(pow_1, rill_pow(t, x, 1))
WITH(pow_2, rill_pow(t, x, 2))
WITH(pow_3, rill_pow(t, x, 3))
WITH(pow_half, rill_pow(t, x, 0.5))
WITH(pow_inverse, rill_pow(t, x, -1))
WITH(pow_fraction, rill_pow(t, x, 1.75))

static double c_scale(double x) { return -1.5 * x; }
static double c_add_scalar(double x) { return x + 0.25; }
static double c_rsub(double x) { return 0.25 - x; }
static double c_clamp(double x) { return fmin(fmax(x, -0.5), 0.75); }
static double c_same(double x) { return x; }
static double c_neg(double x) { return -x; }
static double c_square(double x) { return x * x; }
static double c_cube(double x) { return x * x * x; }
static double c_inverse(double x) { return 1 / x; }
static double c_fraction(double x) { return pow(x, 1.75); }
static double c_sigmoid(double x) { return 1 / (1 + exp(-x)); }

static const struct unary {
    const char *name; /* as ops.h has it */
    unary_fn *f;
    double (*c)(double x);
    double low, high; /* the inputs */
} unary[] = {
    { "rill_neg", rill_neg, c_neg, -3, 3 },
    { "rill_scale", scale, c_scale, -3, 3 },
    { "rill_add_scalar", add_scalar, c_add_scalar, -3, 3 },
    { "rill_rsub", rsub, c_rsub, -3, 3 },
    { "rill_pow", pow_0_and_1, c_same, -3, 3 },
    { "rill_pow", pow_1, c_same, -3, 3 },
    { "rill_pow", pow_2, c_square, -3, 3 },
    { "rill_pow", pow_3, c_cube, -3, 3 },
    { "rill_pow", pow_half, sqrt, 0.5, 4 },
    { "rill_pow", pow_inverse, c_inverse, -3, -0.5 },
    { "rill_pow", pow_fraction, c_fraction, 0.5, 4 },
    { "rill_square", rill_square, c_square, -3, 3 },
    { "rill_sqrt", rill_sqrt, sqrt, 0.5, 4 },
    { "rill_exp", rill_exp, exp, -3, 3 },
    { "rill_log", rill_log, log, 0.5, 4 },
    { "rill_abs", rill_abs, fabs, -3, 3 },
    { "rill_clamp", clamp, c_clamp, -1.5, 1.5 },
    { "rill_sigmoid", rill_sigmoid, c_sigmoid, -3, 3 },
};
enum { UNARY = sizeof unary / sizeof *unary };

static double c_add(double a, double b) { return a + b; }
static double c_sub(double a, double b) { return a - b; }
static double c_mul(double a, double b) { return a * b; }
static double c_div(double a, double b) { return a / b; }

static const struct binary {
    const char *name;
    binary_fn *f;
    double (*c)(double a, double b);
} binary[] = { /* for inputs in [0.5, 3] */
    { "rill_add", rill_add, c_add },
    { "rill_sub", rill_sub, c_sub },
    { "rill_mul", rill_mul, c_mul },
    { "rill_div", rill_div, c_div },
    { "rill_pow_tensor", rill_pow_tensor, pow },
    { "rill_maximum", rill_maximum, fmax },
    { "rill_minimum", rill_minimum, fmin },
};
enum { BINARY = sizeof binary / sizeof *binary };

static const rill_dtype floats[] = { RILL_F32, RILL_F64 };

/* Two units in the last place: what kernel_math.h is good for, 1.2e-7 or
 * 2.2e-16 of a value each. */
static double tolerance_of(rill_dtype dtype)
{
    return dtype == RILL_F32 ? 2.5e-7 : 5e-16;
}

static rill_tensor *uniform(uint64_t seed, double low, double high,
                            rill_dtype dtype, rill_shape shape)
{
    rill_rng r = { .seed = seed };
    return rill_uniform(tape, &r, low, high, dtype, shape);
}

static rill_tensor *number(double v, rill_dtype dtype)
{
    return rill_full(tape, v, dtype, RILL_SCALAR);
}

/* "<op>: <rest>" for an op's name as ops.h has it. */
static const char *sentence(const char *name, const char *rest)
{
    static char text[200];
    snprintf(text, sizeof text, "%s: %s", name + strlen("rill_"), rest);
    return text;
}

/* The gradient, for a seed gradient of ones, in x, a leaf that y is of. */
static rill_tensor *gradient(const rill_tensor *y, const rill_tensor *x,
                             bool create_graph)
{
    rill_tensor *one = rill_full(tape, 1, rill_dtype_of(y), rill_shape_of(y));
    ck_assert(rill_backward(tape, y, &(rill_backward_opts){
                                         one, create_graph }));
    return rill_grad(tape, x);
}

/* ---- ops with one input ------------------------------------------------- */

START_TEST(unary_values)
{
    static const int64_t sizes[] = { 1, 2, 3, 7, 17, 33, 130 };
    for (int d = 0; d < 2; d++)
        for (int k = 0; k < UNARY; k++)
            for (int s = 0; s < 7; s++) {
                const struct unary *u = &unary[k];
                rill_tensor *x = uniform(1, u->low, u->high, floats[d],
                                         RILL_SHAPE(sizes[s]));
                rill_tensor *y = u->f(tape, x);
                double wanted[130];
                for (int64_t i = 0; i < sizes[s]; i++)
                    wanted[i] = u->c(rill_at(x, i));
                ck_assert_int_eq(rill_dtype_of(y), floats[d]);
                assert_tensor(y, rill_shape_of(x), wanted,
                              tolerance_of(floats[d]));
            }
}
END_TEST

START_TEST(unary_shapes)
{
    for (int k = 0; k < UNARY; k++) {
        const struct unary *u = &unary[k];
        rill_tensor *empty = rill_zeros(tape, RILL_F32, RILL_SHAPE(2, 0, 3));
        rill_tensor *x = rill_watch(tape, empty);
        rill_tensor *y = u->f(tape, x);
        assert_tensor(y, RILL_SHAPE(2, 0, 3), NULL, 0);
        assert_tensor(gradient(y, x, false), RILL_SHAPE(2, 0, 3), NULL, 0);
        double v = u->low, wanted = u->c(v);
        assert_tensor(u->f(tape, number(v, RILL_F64)), RILL_SCALAR, &wanted,
                      5e-16);
    }
}
END_TEST

static rill_tensor *call_unary(rill_tape *t, rill_tensor **x, void *user)
{
    const struct unary *u = user;
    return u->f(t, x[0]);
}

START_TEST(unary_derivatives)
{
    for (int k = 0; k < UNARY; k++) {
        struct unary u = unary[k];
        const rill_tensor *x = uniform(2, u.low, u.high, RILL_F64,
                                       RILL_SHAPE(3, 3));
        check_op(u.name, call_unary, &x, 1, &u);
    }
}
END_TEST

/* In float32 the gradients are those of float64, but for four roundings. */
START_TEST(unary_float32_gradients)
{
    for (int k = 0; k < UNARY; k++)
        for (int graph = 0; graph < 2; graph++) {
            const struct unary *u = &unary[k];
            rill_tensor *g[2];
            for (int d = 0; d < 2; d++) {
                rill_tensor *x = uniform(3, u->low, u->high, RILL_F32,
                                         RILL_SHAPE(17));
                x = rill_watch(tape, rill_cast(tape, x, floats[d]));
                g[d] = gradient(u->f(tape, x), x, graph);
                ck_assert_int_eq(rill_dtype_of(g[d]), floats[d]);
            }
            assert_tensor(g[0], RILL_SHAPE(17), rill_f64(g[1]), 5e-7);
        }
}
END_TEST

START_TEST(unary_refusals)
{
    rill_tensor *i32 = rill_zeros(tape, RILL_I32, RILL_SHAPE(2));
    for (int k = 0; k < UNARY; k++) {
        const struct unary *u = &unary[k];
        ASSERT_REFUSED(u->f(tape, NULL), sentence(u->name, "x is NULL"));
        ASSERT_REFUSED(u->f(tape, i32),
                       sentence(u->name,
                                "x is int32, a float dtype is wanted"));
    }
}
END_TEST

/* A value, the result there, and the gradient for a seed of 1. */
typedef struct {
    unary_fn *f;
    double x, y, gx;
} special;

static void check_specials(const special *s, int n)
{
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < n; i++) {
            rill_tensor *x = rill_watch(tape, number(s[i].x, floats[d]));
            rill_tensor *y = s[i].f(tape, x);
            ck_assert_msg(near(rill_item(y), s[i].y, 0),
                          "special %d: %g, not %g", i, rill_item(y), s[i].y);
            /* zeros by their sign too */
            ck_assert_msg(s[i].y != 0 ||
                              signbit(rill_item(y)) == signbit(s[i].y),
                          "special %d: the sign of 0", i);
            for (int graph = 0; graph < 2; graph++) {
                double gx = rill_item(gradient(y, x, graph));
                ck_assert_msg(near(gx, s[i].gx, 0),
                              "special %d: gradient %g, not %g", i, gx,
                              s[i].gx);
            }
        }
}

START_TEST(unary_specials)
{
    static const double inf = INFINITY;
    const special specials[] = {
        { rill_neg, 0.0, -0.0, -1 },
        { rill_neg, -inf, inf, -1 },
        { rill_neg, NAN, NAN, -1 },
        { scale, -0.0, 0.0, -1.5 },
        { scale, inf, -inf, -1.5 },
        { add_scalar, -inf, -inf, 1 },
        { add_scalar, NAN, NAN, 1 },
        { rsub, inf, -inf, -1 },
        { rsub, 0.25, 0.0, -1 },
        { rill_square, -inf, inf, -inf },
        { rill_square, -0.0, 0.0, 0 },
        { rill_square, NAN, NAN, NAN },
        { rill_sqrt, 0.0, 0.0, inf },
        { rill_sqrt, -0.0, -0.0, -inf },
        { rill_sqrt, -1, NAN, NAN },
        { rill_sqrt, inf, inf, 0 },
        { rill_sqrt, NAN, NAN, NAN },
        { rill_exp, -inf, 0.0, 0 },
        { rill_exp, 0.0, 1, 1 },
        { rill_exp, inf, inf, inf },
        { rill_exp, 1000, inf, inf },
        { rill_exp, -1000, 0.0, 0 },
        { rill_exp, NAN, NAN, NAN },
        { rill_log, 0.0, -inf, inf },
        { rill_log, -0.0, -inf, -inf },
        { rill_log, 1, 0.0, 1 },
        { rill_log, -1, NAN, -1 },
        { rill_log, inf, inf, 0 },
        { rill_log, NAN, NAN, NAN },
        { rill_abs, 0.0, 0.0, 0 },
        { rill_abs, -0.0, 0.0, 0 },
        { rill_abs, -inf, inf, -1 },
        { rill_abs, NAN, NAN, NAN },
        { clamp, -0.5, -0.5, 1 }, /* the bounds pass the gradient */
        { clamp, 0.75, 0.75, 1 },
        { clamp, -inf, -0.5, 0 },
        { clamp, inf, 0.75, 0 },
        { clamp, NAN, NAN, 0 },
        { rill_sigmoid, -inf, 0.0, 0 },
        { rill_sigmoid, inf, 1, 0 },
        { rill_sigmoid, 0.0, 0.5, 0.25 },
        { rill_sigmoid, NAN, NAN, NAN },
    };
    check_specials(specials, sizeof specials / sizeof *specials);
}
END_TEST

/* As in PyTorch: x^0 is 1 and flat whatever x is, and x^p is differentiable
 * at 0 where p >= 1. */
START_TEST(pow_specials)
{
    static const double inf = INFINITY;
    const special specials[] = {
        { pow_0, 0.0, 1, 0 },
        { pow_0, -inf, 1, 0 },
        { pow_0, NAN, 1, 0 },
        { pow_1, 0.0, 0.0, 1 },
        { pow_1, -0.0, -0.0, 1 },
        { pow_1, NAN, NAN, 1 },
        { pow_2, -0.0, 0.0, 0 },
        { pow_2, -inf, inf, -inf },
        { pow_2, NAN, NAN, NAN },
        { pow_3, -0.0, -0.0, 0 },
        { pow_3, -2, -8, 12 },
        { pow_half, 0.0, 0.0, inf },
        { pow_half, 4, 2, 0.25 },
        { pow_half, -1, NAN, NAN },
        { pow_half, NAN, NAN, NAN },
        { pow_inverse, 0.0, inf, -inf },
        { pow_inverse, -0.0, -inf, -inf },
        { pow_inverse, inf, 0.0, 0 },
        { pow_fraction, 0.0, 0.0, 0 },
        { pow_fraction, -1, NAN, NAN },
        { pow_fraction, inf, inf, inf },
    };
    check_specials(specials, sizeof specials / sizeof *specials);
}
END_TEST

START_TEST(pow_second_derivatives_at_0)
{
    static const struct {
        unary_fn *f;
        double second;
    } rows[] = { { pow_1, 0 }, { pow_2, 2 }, { pow_3, 0 },
                 { rill_square, 2 }, { pow_fraction, INFINITY } };
    for (int i = 0; i < 5; i++) {
        rill_tensor *x = rill_watch(tape, number(0, RILL_F64));
        rill_tensor *g = gradient(rows[i].f(tape, x), x, true);
        ck_assert_double_eq(rill_item(gradient(g, x, false)),
                            rows[i].second);
    }
}
END_TEST

START_TEST(clamp_bounds)
{
    rill_tensor *x = rill_from(tape, (double[]){ -9, 0, 9 }, RILL_F32,
                               RILL_SHAPE(3));
    assert_tensor(rill_clamp(tape, x, -INFINITY, 1), RILL_SHAPE(3),
                  (double[]){ -9, 0, 1 }, 0);
    assert_tensor(rill_clamp(tape, x, 0, INFINITY), RILL_SHAPE(3),
                  (double[]){ 0, 0, 9 }, 0);
    assert_tensor(rill_clamp(tape, x, 2, 2), RILL_SHAPE(3),
                  (double[]){ 2, 2, 2 }, 0);
    /* 0.1 is no float32: at the bound as rounded the gradient passes */
    rill_tensor *w = rill_watch(tape, number(0.1, RILL_F32));
    rill_tensor *y = rill_clamp(tape, w, 0.1, 1);
    ck_assert_double_eq(rill_item(gradient(y, w, false)), 1);
    ASSERT_REFUSED(rill_clamp(tape, x, 1, -2),
                   "clamp: low 1 is not at or below high -2");
    ASSERT_REFUSED(rill_clamp(tape, x, NAN, 1),
                   "clamp: low nan is not at or below high 1");
    ASSERT_REFUSED(rill_clamp(tape, x, 0, NAN),
                   "clamp: low 0 is not at or below high nan");
}
END_TEST

/* ---- ops with two inputs ------------------------------------------------ */

/* The element of x that broadcasting to shape puts at i. */
static double broadcast_at(const rill_tensor *x, rill_shape shape, int64_t i)
{
    int64_t at = 0, step = 1;
    int lead = shape.ndim - rill_ndim(x);
    for (int d = shape.ndim - 1; d >= lead; d--) {
        if (rill_dim(x, d - lead) != 1)
            at += i % shape.dim[d] * step;
        step *= rill_dim(x, d - lead);
        i /= shape.dim[d];
    }
    return rill_at(x, at);
}

static const rill_shape pairs[][3] = { /* a, b, and what they make */
    { { 0 }, { 0 }, { 0 } },
    { { 1, { 1 } }, { 0 }, { 1, { 1 } } },
    { { 1, { 33 } }, { 1, { 33 } }, { 1, { 33 } } },
    { { 1, { 130 } }, { 1, { 1 } }, { 1, { 130 } } },
    { { 0 }, { 2, { 2, 3 } }, { 2, { 2, 3 } } },
    { { 2, { 3, 1 } }, { 2, { 1, 4 } }, { 2, { 3, 4 } } },
    { { 3, { 2, 3, 7 } }, { 1, { 7 } }, { 3, { 2, 3, 7 } } },
    { { 3, { 2, 3, 4 } }, { 2, { 3, 1 } }, { 3, { 2, 3, 4 } } },
    { { 1, { 5 } }, { 3, { 2, 1, 5 } }, { 3, { 2, 1, 5 } } },
    { { 2, { 2, 700 } }, { 2, { 2, 1 } }, { 2, { 2, 700 } } },
    { { 2, { 0, 3 } }, { 1, { 3 } }, { 2, { 0, 3 } } },
    { { 1, { 0 } }, { 1, { 1 } }, { 1, { 0 } } },
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

START_TEST(binary_values)
{
    static double wanted[1400];
    for (int d = 0; d < 2; d++)
        for (int k = 0; k < BINARY; k++)
            for (int p = 0; p < PAIRS; p++) {
                rill_tensor *a = uniform(4, 0.5, 3, floats[d], pairs[p][0]);
                rill_tensor *b = uniform(5, 0.5, 3, floats[d], pairs[p][1]);
                rill_tensor *y = binary[k].f(tape, a, b);
                for (int64_t i = 0; i < rill_numel(y); i++)
                    wanted[i] = binary[k].c(
                        broadcast_at(a, pairs[p][2], i),
                        broadcast_at(b, pairs[p][2], i));
                ck_assert_int_eq(rill_dtype_of(y), floats[d]);
                assert_tensor(y, pairs[p][2], wanted,
                              tolerance_of(floats[d]));
            }
}
END_TEST

static rill_tensor *call_binary(rill_tape *t, rill_tensor **x, void *user)
{
    const struct binary *b = user;
    return b->f(t, x[0], x[1]);
}

START_TEST(binary_derivatives)
{
    static const rill_shape shapes[][2] = {
        { { 2, { 2, 3 } }, { 2, { 2, 3 } } },
        { { 2, { 3, 1 } }, { 2, { 1, 2 } } },
        { { 0 }, { 1, { 3 } } },
        { { 3, { 2, 1, 2 } }, { 0 } },
    };
    for (int k = 0; k < BINARY; k++)
        for (int s = 0; s < 4; s++) {
            struct binary b = binary[k];
            const rill_tensor *in[] = {
                uniform(6, 0.5, 3, RILL_F64, shapes[s][0]),
                uniform(7, 0.5, 3, RILL_F64, shapes[s][1])
            };
            check_op(b.name, call_binary, in, 2, &b);
        }
}
END_TEST

/* Either input alone may be the one that learns; both may be the same. */
START_TEST(binary_wants)
{
    for (int k = 0; k < BINARY; k++) {
        const struct binary *op = &binary[k];
        rill_tensor *v = uniform(8, 0.5, 3, RILL_F32, RILL_SHAPE(3));
        rill_tensor *c = uniform(9, 0.5, 3, RILL_F32, RILL_SHAPE(3));
        rill_tensor *a = rill_watch(tape, v), *b = rill_watch(tape, c);
        rill_tensor *y = op->f(tape, a, b);
        rill_tensor *ga = gradient(y, a, false), *gb = rill_grad(tape, b);
        double both[3];
        rill_tensor *only = gradient(op->f(tape, a, c), a, false);
        for (int i = 0; i < 3; i++)
            both[i] = rill_at(ga, i);
        assert_tensor(only, RILL_SHAPE(3), both, 0);
        only = gradient(op->f(tape, v, b), b, false);
        for (int i = 0; i < 3; i++)
            both[i] = rill_at(gb, i);
        assert_tensor(only, RILL_SHAPE(3), both, 0);
    }
    rill_tensor *x = rill_watch(tape, number(3, RILL_F64));
    ck_assert_double_eq(
        rill_item(gradient(rill_mul(tape, x, x), x, false)), 6);
    ck_assert_double_eq(
        rill_item(gradient(rill_sub(tape, x, x), x, false)), 0);
    ck_assert_double_eq(
        rill_item(gradient(rill_maximum(tape, x, x), x, false)), 1);
}
END_TEST

START_TEST(binary_refusals)
{
    rill_tensor *f32 = rill_zeros(tape, RILL_F32, RILL_SHAPE(2));
    rill_tensor *f64 = rill_zeros(tape, RILL_F64, RILL_SHAPE(2));
    rill_tensor *i32 = rill_zeros(tape, RILL_I32, RILL_SHAPE(2));
    rill_tensor *three = rill_zeros(tape, RILL_F32, RILL_SHAPE(4, 3));
    for (int k = 0; k < BINARY; k++) {
        binary_fn *f = binary[k].f;
        const char *name = binary[k].name;
        ASSERT_REFUSED(f(tape, NULL, f32), sentence(name, "a is NULL"));
        ASSERT_REFUSED(f(tape, f32, NULL), sentence(name, "b is NULL"));
        ASSERT_REFUSED(f(tape, i32, f32),
                       sentence(name, "a is int32, a float dtype is wanted"));
        ASSERT_REFUSED(f(tape, f32, i32),
                       sentence(name, "b is int32, a float dtype is wanted"));
        ASSERT_REFUSED(f(tape, f32, f64),
                       sentence(name, "a is float32 but b is float64: cast "
                                      "one of them"));
        ASSERT_REFUSED(f(tape, f32, three),
                       sentence(name, "shapes [2] and [4, 3] do not "
                                      "broadcast"));
    }
}
END_TEST

/* Two values, the result, and the gradients for a seed of 1. */
START_TEST(binary_specials)
{
    static const double inf = INFINITY;
    const struct {
        binary_fn *f;
        double a, b, y, ga, gb;
    } s[] = {
        { rill_add, inf, -inf, NAN, 1, 1 },
        { rill_sub, inf, inf, NAN, 1, -1 },
        { rill_mul, 0, inf, NAN, inf, 0 },
        { rill_div, 1, 0.0, inf, inf, -inf },
        { rill_div, 1, -0.0, -inf, -inf, -inf },
        { rill_div, 0, 0, NAN, inf, NAN },
        { rill_div, 1, inf, 0, 0, 0 },
        { rill_div, NAN, 2, NAN, 0.5, NAN },
        /* equals share evenly, NaN wins and lets both have all of it */
        { rill_maximum, 2, 2, 2, 0.5, 0.5 },
        { rill_maximum, 0.0, -0.0, 0, 0.5, 0.5 },
        { rill_maximum, -inf, 1, 1, 0, 1 },
        { rill_maximum, inf, inf, inf, 0.5, 0.5 },
        { rill_maximum, NAN, 1, NAN, 1, 1 },
        { rill_maximum, 1, NAN, NAN, 1, 1 },
        { rill_minimum, 2, 2, 2, 0.5, 0.5 },
        { rill_minimum, -inf, 1, -inf, 1, 0 },
        { rill_minimum, NAN, 1, NAN, 1, 1 },
        { rill_minimum, 1, NAN, NAN, 1, 1 },
        /* a^0 is flat in a, 0^b in b where b >= 0 */
        { rill_pow_tensor, 0, 0, 1, 0, 0 },
        { rill_pow_tensor, -0.0, 0, 1, 0, 0 },
        { rill_pow_tensor, NAN, 0, 1, 0, NAN },
        { rill_pow_tensor, inf, 0, 1, 0, inf },
        { rill_pow_tensor, 2, 0, 1, 0, (float)0x1.62e42fefa39efp-1 },
        { rill_pow_tensor, 0, 1, 0, 1, 0 },
        { rill_pow_tensor, 0, 2, 0, 0, 0 },
        { rill_pow_tensor, 0, 0.5, 0, inf, 0 },
        { rill_pow_tensor, 0, -1, inf, -inf, -inf },
        { rill_pow_tensor, -2, 3, -8, 12, NAN },
        { rill_pow_tensor, -2, 0.5, NAN, NAN, NAN },
        { rill_pow_tensor, 1, NAN, 1, NAN, 0 },
    };
    for (int d = 0; d < 2; d++)
        for (size_t i = 0; i < sizeof s / sizeof *s; i++) {
            rill_tensor *a = rill_watch(tape, number(s[i].a, floats[d]));
            rill_tensor *b = rill_watch(tape, number(s[i].b, floats[d]));
            rill_tensor *y = s[i].f(tape, a, b);
            rill_tensor *ga = gradient(y, a, false), *gb = rill_grad(tape, b);
            /* ln 2 is the only inexact one, written as a float32 */
            ck_assert_msg(near(rill_item(y), s[i].y, 0) &&
                              near(rill_item(ga), s[i].ga, 0) &&
                              near(rill_item(gb), s[i].gb, 3e-8),
                          "special %d: %g, gradients %g and %g", (int)i,
                          rill_item(y), rill_item(ga), rill_item(gb));
        }
}
END_TEST

/* b^2 has no room in the dtype, a / b and its gradients have. */
START_TEST(div_of_large_numbers)
{
    rill_tensor *a = rill_watch(tape, number(3e200, RILL_F64));
    rill_tensor *b = rill_watch(tape, number(1e200, RILL_F64));
    rill_tensor *ga = gradient(rill_div(tape, a, b), a, false);
    ASSERT_NEAR(rill_item(ga) * 1e200, 1, 1e-15);
    ASSERT_NEAR(rill_item(rill_grad(tape, b)) * 1e200, -3, 1e-15);
}
END_TEST

/* The second derivatives of a^b where a or b is 0: finite where the true ones
 * are, and true: d2/da2 = b (b - 1) a^(b - 2), d2/da db = a^(b - 1) (1 + b ln
 * a). Where that is infinite, at a = b = 0, 0 as in PyTorch. */
START_TEST(pow_tensor_second_derivatives)
{
    static const double rows[][4] = { /* a, b, in a twice, in a and b */
        { 0, 2, 2, 0 }, { 0, 3, 0, 0 }, { 2, 0, 0, 0.5 }, { 0, 0, 0, 0 },
        { 2, 1, 0, 1 + 0.693147180559945309 }, { 0.5, 0, 0, 2 },
    };
    for (int i = 0; i < 6; i++) {
        rill_tensor *a = rill_watch(tape, number(rows[i][0], RILL_F64));
        rill_tensor *b = rill_watch(tape, number(rows[i][1], RILL_F64));
        rill_tensor *y = rill_pow_tensor(tape, a, b);
        rill_tensor *ga = gradient(y, a, true), *gb = rill_grad(tape, b);
        ASSERT_NEAR(rill_item(gradient(ga, a, false)), rows[i][2], 0);
        ASSERT_NEAR(rill_item(rill_grad(tape, b)), rows[i][3], 1e-15);
        if (rows[i][0] > 0) /* the other way round it is the same */
            ASSERT_NEAR(rill_item(gradient(gb, a, false)), rows[i][3],
                        1e-15);
    }
}
END_TEST

/* ---- comparisons -------------------------------------------------------- */

static const struct {
    const char *name;
    binary_fn *f;
    int less, equal, greater;
} compares[] = {
    { "rill_gt", rill_gt, 0, 0, 1 }, { "rill_ge", rill_ge, 0, 1, 1 },
    { "rill_lt", rill_lt, 1, 0, 0 }, { "rill_le", rill_le, 1, 1, 0 },
    { "rill_eq", rill_eq, 0, 1, 0 },
};

START_TEST(compare_values)
{
    static const rill_dtype dtypes[] = { RILL_F32, RILL_F64, RILL_I32 };
    enum { N = 35 };
    double a[N], b[N], wanted[N];
    for (int k = 0; k < 5; k++)
        for (int d = 0; d < 3; d++)
            for (int n = 0; n <= N; n += n < 4 ? 1 : 31) {
                for (int i = 0; i < n; i++) {
                    a[i] = i % 3;
                    b[i] = i / 3 % 3;
                    wanted[i] = a[i] < b[i]   ? compares[k].less
                                : a[i] > b[i] ? compares[k].greater
                                              : compares[k].equal;
                }
                rill_shape shape = RILL_SHAPE(n);
                rill_tensor *m = compares[k].f(
                    tape, rill_from(tape, a, dtypes[d], shape),
                    rill_from(tape, b, dtypes[d], shape));
                ck_assert_int_eq(rill_dtype_of(m), RILL_I32);
                assert_tensor(m, shape, wanted, 0);
            }
}
END_TEST

START_TEST(compare_specials)
{
    for (int k = 0; k < 5; k++) {
        binary_fn *f = compares[k].f;
        double less = compares[k].less, equal = compares[k].equal;
        double greater = compares[k].greater;
        rill_shape five = RILL_SHAPE(5);
        for (int d = 0; d < 2; d++) {
            rill_tensor *a = rill_from(
                tape, (double[]){ NAN, 1, NAN, -0.0, -INFINITY }, floats[d],
                five);
            rill_tensor *b = rill_from(
                tape, (double[]){ NAN, NAN, 1, 0.0, INFINITY }, floats[d],
                five);
            assert_tensor(f(tape, a, b), five,
                          (double[]){ 0, 0, 0, equal, less }, 0);
        }
        /* int32 is compared exactly, float32 has not the digits for it */
        static const int32_t a[] = { INT32_MIN, INT32_MAX, INT32_MAX,
                                     16777217, -7 };
        static const int32_t b[] = { INT32_MAX, INT32_MIN, INT32_MAX - 1,
                                     16777216, -7 };
        assert_tensor(f(tape, rill_copy(tape, a, RILL_I32, five),
                        rill_copy(tape, b, RILL_I32, five)),
                      five,
                      (double[]){ less, greater, greater, greater, equal },
                      0);
    }
}
END_TEST

START_TEST(compare_broadcasts)
{
    static const rill_dtype dtypes[] = { RILL_F32, RILL_F64, RILL_I32 };
    for (int d = 0; d < 3; d++) {
        rill_tensor *labels = rill_from(tape, (double[]){ 2, 0 }, dtypes[d],
                                        RILL_SHAPE(2, 1));
        rill_tensor *classes = rill_from(tape, (double[]){ 0, 1, 2 },
                                         dtypes[d], RILL_SHAPE(3));
        assert_tensor(rill_eq(tape, labels, classes), RILL_SHAPE(2, 3),
                      (double[]){ 0, 0, 1, 1, 0, 0 }, 0);
        assert_tensor(rill_gt(tape, labels, number(0, dtypes[d])),
                      RILL_SHAPE(2, 1), (double[]){ 1, 0 }, 0);
        assert_tensor(rill_le(tape, labels, rill_zeros(tape, dtypes[d],
                                                       RILL_SHAPE(1, 0))),
                      RILL_SHAPE(2, 0), NULL, 0);
    }
}
END_TEST

/* No gradient comes out of a mask, and making one leaves the recording on. */
START_TEST(compare_has_no_gradient)
{
    rill_tensor *x = rill_watch(tape, number(2, RILL_F32));
    rill_tensor *m = rill_gt(tape, x, number(1, RILL_F32));
    ASSERT_REFUSED(rill_backward(tape, m, NULL),
                   "backward: the loss depends on no leaf: gt has no "
                   "gradient");
    ck_assert_double_eq(rill_item(rill_eq(tape, m, m)), 1);
    rill_tensor *y = rill_mul(tape, x, rill_cast(tape, m, RILL_F32));
    ck_assert_double_eq(rill_item(gradient(y, x, false)), 1);
}
END_TEST

START_TEST(compare_refusals)
{
    rill_tensor *f32 = rill_zeros(tape, RILL_F32, RILL_SHAPE(2));
    rill_tensor *i32 = rill_zeros(tape, RILL_I32, RILL_SHAPE(2));
    rill_tensor *three = rill_zeros(tape, RILL_I32, RILL_SHAPE(3));
    for (int k = 0; k < 5; k++) {
        binary_fn *f = compares[k].f;
        const char *name = compares[k].name;
        ASSERT_REFUSED(f(tape, NULL, f32), sentence(name, "a is NULL"));
        ASSERT_REFUSED(f(tape, f32, NULL), sentence(name, "b is NULL"));
        ASSERT_REFUSED(f(tape, f32, i32),
                       sentence(name, "a is float32 but b is int32: cast "
                                      "one of them"));
        ASSERT_REFUSED(f(tape, i32, three),
                       sentence(name, "shapes [2] and [3] do not broadcast"));
    }
}
END_TEST

/* ---- where -------------------------------------------------------------- */

static rill_tensor *mask_of(const int32_t *values, rill_shape shape)
{
    return rill_copy(tape, values, RILL_I32, shape);
}

START_TEST(where_values)
{
    enum { N = 33 };
    int32_t mask[N];
    double a[N], b[N], wanted[N];
    for (int i = 0; i < N; i++) {
        mask[i] = i % 3 - 1; /* -1 is true as well */
        a[i] = i;
        b[i] = -i - 1;
        wanted[i] = mask[i] ? a[i] : b[i];
    }
    for (int d = 0; d < 2; d++)
        for (int n = 0; n <= N; n++) {
            rill_shape shape = RILL_SHAPE(n);
            rill_tensor *y = rill_where(
                tape, mask_of(mask, shape),
                rill_from(tape, a, floats[d], shape),
                rill_from(tape, b, floats[d], shape));
            ck_assert_int_eq(rill_dtype_of(y), floats[d]);
            assert_tensor(y, shape, wanted, 0);
        }
}
END_TEST

START_TEST(where_broadcasts)
{
    for (int d = 0; d < 2; d++) {
        rill_tensor *mask = mask_of((int32_t[]){ 1, 0 }, RILL_SHAPE(2, 1));
        rill_tensor *a = rill_from(tape, (double[]){ 1, 2, 3 }, floats[d],
                                   RILL_SHAPE(3));
        rill_tensor *b = number(7, floats[d]);
        assert_tensor(rill_where(tape, mask, a, b), RILL_SHAPE(2, 3),
                      (double[]){ 1, 2, 3, 7, 7, 7 }, 0);
        assert_tensor(rill_where(tape, mask, b, a), RILL_SHAPE(2, 3),
                      (double[]){ 7, 7, 7, 1, 2, 3 }, 0);
        mask = mask_of((int32_t[]){ 1 }, RILL_SCALAR);
        assert_tensor(rill_where(tape, mask, a, b), RILL_SHAPE(3),
                      (double[]){ 1, 2, 3 }, 0);
    }
}
END_TEST

static rill_tensor *call_where(rill_tape *t, rill_tensor **x, void *user)
{
    const rill_tensor *mask = user;
    /* squares, so that second derivatives are not all 0 */
    return rill_where(t, mask, rill_square(t, x[0]), rill_square(t, x[1]));
}

START_TEST(where_derivatives)
{
    rill_tensor *mask = mask_of((int32_t[]){ 1, 0, 0, 1, 1, 0 },
                                RILL_SHAPE(2, 3));
    CHECK_OP(rill_where, call_where, 2, mask,
             normal(10, RILL_F64, RILL_SHAPE(2, 3)),
             normal(11, RILL_F64, RILL_SHAPE(2, 3)));
    CHECK_OP(rill_where, call_where, 2, mask,
             normal(10, RILL_F64, RILL_SHAPE(3)),
             normal(11, RILL_F64, RILL_SHAPE(2, 1)));
}
END_TEST

/* Neither a value nor a gradient that is not selected is looked at. */
START_TEST(where_selects)
{
    for (int graph = 0; graph < 2; graph++) {
        rill_tensor *mask = mask_of((int32_t[]){ 1, 0 }, RILL_SHAPE(2));
        rill_tensor *a = rill_watch(tape, rill_from(
            tape, (double[]){ 5, NAN }, RILL_F32, RILL_SHAPE(2)));
        rill_tensor *b = rill_watch(tape, rill_from(
            tape, (double[]){ INFINITY, 6 }, RILL_F32, RILL_SHAPE(2)));
        rill_tensor *y = rill_where(tape, mask, a, b);
        assert_tensor(y, RILL_SHAPE(2), (double[]){ 5, 6 }, 0);
        rill_tensor *seed = rill_from(tape, (double[]){ NAN, INFINITY },
                                      RILL_F32, RILL_SHAPE(2));
        ck_assert(rill_backward(tape, y,
                                &(rill_backward_opts){ seed, graph }));
        assert_tensor(rill_grad(tape, a), RILL_SHAPE(2),
                      (double[]){ NAN, 0 }, 0);
        assert_tensor(rill_grad(tape, b), RILL_SHAPE(2),
                      (double[]){ 0, INFINITY }, 0);
    }
}
END_TEST

START_TEST(where_refusals)
{
    rill_tensor *mask = rill_zeros(tape, RILL_I32, RILL_SHAPE(2));
    rill_tensor *f32 = rill_zeros(tape, RILL_F32, RILL_SHAPE(2));
    rill_tensor *f64 = rill_zeros(tape, RILL_F64, RILL_SHAPE(2));
    rill_tensor *three = rill_zeros(tape, RILL_F32, RILL_SHAPE(3));
    ASSERT_REFUSED(rill_where(tape, NULL, f32, f32), "where: mask is NULL");
    ASSERT_REFUSED(rill_where(tape, mask, NULL, f32), "where: a is NULL");
    ASSERT_REFUSED(rill_where(tape, mask, f32, NULL), "where: b is NULL");
    ASSERT_REFUSED(rill_where(tape, f64, f32, f32),
                   "where: mask is float64, int32 is wanted");
    ASSERT_REFUSED(rill_where(tape, mask, mask, f32),
                   "where: a is int32, a float dtype is wanted");
    ASSERT_REFUSED(rill_where(tape, mask, f32, mask),
                   "where: b is int32, a float dtype is wanted");
    ASSERT_REFUSED(rill_where(tape, mask, f32, f64),
                   "where: a is float32 but b is float64: cast one of them");
    ASSERT_REFUSED(rill_where(tape, mask, f32, three),
                   "where: shapes [2] and [3] do not broadcast");
}
END_TEST

/* ---- cast --------------------------------------------------------------- */

START_TEST(cast_between_floats)
{
    static const double values[] = { 0.1, -0.0, INFINITY, NAN, 1e300, -7 };
    rill_shape six = RILL_SHAPE(2, 3);
    rill_tensor *x = rill_from(tape, values, RILL_F64, six);
    rill_tensor *y = rill_cast(tape, x, RILL_F32);
    ck_assert_int_eq(rill_dtype_of(y), RILL_F32);
    double rounded[] = { (double)0.1f, 0, INFINITY, NAN, INFINITY, -7 };
    assert_tensor(y, six, rounded, 0);
    ck_assert(signbit(rill_at(y, 1)));
    rill_tensor *z = rill_cast(tape, y, RILL_F64);
    ck_assert_int_eq(rill_dtype_of(z), RILL_F64);
    assert_tensor(z, six, rounded, 0);
    assert_tensor(rill_cast(tape, x, RILL_F64), six, values, 0);
    rill_tensor *empty = rill_zeros(tape, RILL_F32, RILL_SHAPE(0, 2));
    assert_tensor(rill_cast(tape, empty, RILL_I32), RILL_SHAPE(0, 2), NULL,
                  0);
}
END_TEST

START_TEST(cast_with_int32)
{
    static const double values[] = { 1.9, -1.9, 0.5, -0.0, 2147483647.5,
                                     -2147483648.9 };
    rill_shape six = RILL_SHAPE(6);
    rill_tensor *x = rill_from(tape, values, RILL_F64, six);
    rill_tensor *y = rill_cast(tape, x, RILL_I32);
    ck_assert_int_eq(rill_dtype_of(y), RILL_I32);
    assert_tensor(y, six, (double[]){ 1, -1, 0, 0, INT32_MAX, INT32_MIN }, 0);
    assert_tensor(rill_cast(tape, y, RILL_F64), six,
                  (double[]){ 1, -1, 0, 0, INT32_MAX, INT32_MIN }, 0);
    assert_tensor(rill_cast(tape, y, RILL_F32), six,
                  (double[]){ 1, -1, 0, 0, 0x1p31, -0x1p31 }, 0);
    assert_tensor(rill_cast(tape, y, RILL_I32), six,
                  (double[]){ 1, -1, 0, 0, INT32_MAX, INT32_MIN }, 0);
}
END_TEST

static rill_tensor *call_cast(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    return rill_square(t, rill_cast(t, x[0], RILL_F64));
}

START_TEST(cast_derivatives)
{
    CHECK_OP(rill_cast, call_cast, 1, NULL,
             normal(12, RILL_F64, RILL_SHAPE(2, 3)));
    /* through float32 and back: too coarse for differences, so by value */
    rill_tensor *x = rill_watch(tape, number(3, RILL_F64));
    rill_tensor *y = rill_square(tape, rill_cast(tape, x, RILL_F32));
    rill_tensor *g = gradient(rill_cast(tape, y, RILL_F64), x, true);
    ck_assert_int_eq(rill_dtype_of(g), RILL_F64);
    ck_assert_double_eq(rill_item(g), 6);
    ck_assert_double_eq(rill_item(gradient(g, x, false)), 2);
    /* no gradient comes by way of int32 */
    y = rill_cast(tape, rill_cast(tape, x, RILL_I32), RILL_F64);
    ASSERT_REFUSED(rill_backward(tape, y, NULL),
                   "backward: the loss depends on no leaf: cast has no "
                   "gradient");
}
END_TEST

START_TEST(cast_refusals)
{
    static const struct {
        double value;
        const char *sentence;
    } rows[] = {
        { NAN, "cast: int32 cannot hold nan at 1" },
        { INFINITY, "cast: int32 cannot hold inf at 1" },
        { 2147483648.0, "cast: int32 cannot hold 2.14748e+09 at 1" },
        { -2147483649.0, "cast: int32 cannot hold -2.14748e+09 at 1" },
    };
    for (int i = 0; i < 4; i++) {
        rill_tensor *x = rill_from(tape, (double[]){ 0, rows[i].value },
                                   RILL_F64, RILL_SHAPE(2));
        ASSERT_REFUSED(rill_cast(tape, x, RILL_I32), rows[i].sentence);
    }
    ASSERT_REFUSED(rill_cast(tape, NULL, RILL_F32), "cast: x is NULL");
    ASSERT_REFUSED(rill_cast(tape, number(1, RILL_F32), (rill_dtype)9),
                   "cast: 9 is not a dtype");
}
END_TEST

/* ---- expand ------------------------------------------------------------- */

START_TEST(expand_values)
{
    for (int d = 0; d < 2; d++) {
        rill_tensor *x = rill_from(tape, (double[]){ 1, 2, 3 }, floats[d],
                                   RILL_SHAPE(3, 1));
        assert_tensor(rill_expand(tape, x, RILL_SHAPE(3, 2)),
                      RILL_SHAPE(3, 2), (double[]){ 1, 1, 2, 2, 3, 3 }, 0);
        assert_tensor(rill_expand(tape, x, RILL_SHAPE(2, 3, 1)),
                      RILL_SHAPE(2, 3, 1), (double[]){ 1, 2, 3, 1, 2, 3 },
                      0);
        assert_tensor(rill_expand(tape, x, RILL_SHAPE(3, 1)),
                      RILL_SHAPE(3, 1), (double[]){ 1, 2, 3 }, 0);
        assert_tensor(rill_expand(tape, x, RILL_SHAPE(3, 0)),
                      RILL_SHAPE(3, 0), NULL, 0);
        rill_tensor *wide = rill_expand(tape, number(5, floats[d]),
                                        RILL_SHAPE(7, 190));
        ck_assert_int_eq(rill_dtype_of(wide), floats[d]);
        for (int i = 0; i < 7 * 190; i++)
            ck_assert_double_eq(rill_at(wide, i), 5);
    }
}
END_TEST

static rill_tensor *call_expand(rill_tape *t, rill_tensor **x, void *user)
{
    return rill_expand(t, rill_square(t, x[0]), *(const rill_shape *)user);
}

START_TEST(expand_derivatives)
{
    rill_shape shape = RILL_SHAPE(2, 3, 2);
    CHECK_OP(rill_expand, call_expand, 1, &shape,
             normal(13, RILL_F64, RILL_SHAPE(3, 1)));
    CHECK_OP(rill_expand, call_expand, 1, &shape,
             normal(14, RILL_F64, RILL_SCALAR));
    CHECK_OP(rill_expand, call_expand, 1, &shape,
             normal(15, RILL_F64, RILL_SHAPE(2, 3, 2)));
}
END_TEST

START_TEST(expand_refusals)
{
    rill_tensor *x = rill_zeros(tape, RILL_F32, RILL_SHAPE(2));
    rill_tensor *i32 = rill_zeros(tape, RILL_I32, RILL_SHAPE(2));
    ASSERT_REFUSED(rill_expand(tape, NULL, RILL_SHAPE(2)),
                   "expand: x is NULL");
    ASSERT_REFUSED(rill_expand(tape, i32, RILL_SHAPE(2)),
                   "expand: x is int32, a float dtype is wanted");
    ASSERT_REFUSED(rill_expand(tape, x, RILL_SHAPE(2, 3)),
                   "expand: x is [2], which does not broadcast to [2, 3]");
    ASSERT_REFUSED(rill_expand(tape, x, RILL_SHAPE(1)),
                   "expand: x is [2], which does not broadcast to [1]");
    ASSERT_REFUSED(rill_expand(tape, x, RILL_SCALAR),
                   "expand: x is [2], which does not broadcast to []");
}
END_TEST

int main(void)
{
    return HARNESS_RUN(
        "elementwise", unary_values, unary_shapes, unary_derivatives,
        unary_float32_gradients, unary_refusals, unary_specials,
        pow_specials, pow_second_derivatives_at_0, clamp_bounds,
        binary_values, binary_derivatives, binary_wants, binary_refusals,
        binary_specials, div_of_large_numbers, pow_tensor_second_derivatives,
        compare_values, compare_specials, compare_broadcasts,
        compare_has_no_gradient, compare_refusals, where_values,
        where_broadcasts, where_derivatives, where_selects, where_refusals,
        cast_between_floats, cast_with_int32, cast_derivatives,
        cast_refusals, expand_values, expand_derivatives, expand_refusals);
}
