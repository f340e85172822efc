/* The activations: values and gradients against libm, their tails, their
 * kinks, NaN and the infinities, both orders of derivatives. */
#include "harness.h"

#include <float.h>

#define SLOPE 0.125

static rill_tensor *leaky(rill_tape *t, const rill_tensor *x)
{
    return rill_leaky_relu(t, x, SLOPE);
}

/* ---- references in plain double ----------------------------------------- */

#define HALF_ROOT 0.70710678118654752440 /* sqrt(1 / 2) */

static double sigmoid_of(double x) { return 1 / (1 + exp(-x)); }
static double tanh_slope(double x) { return 1 / (cosh(x) * cosh(x)); }
static double relu_of(double x) { return x > 0 ? x : 0; }
static double relu_slope(double x) { return x > 0; }
static double leaky_of(double x) { return x > 0 ? x : SLOPE * x; }
static double leaky_slope(double x) { return x > 0 ? 1 : SLOPE; }
static double silu_of(double x) { return x / (1 + exp(-x)); }
static double softplus_of(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}
static double silu_slope(double x)
{
    return sigmoid_of(x) * (1 + x * sigmoid_of(-x));
}
static double gelu_of(double x) { return x * erfc(-x * HALF_ROOT) / 2; }
static double gelu_slope(double x)
{
    return erfc(-x * HALF_ROOT) / 2 +
           x * exp(-x * x / 2) * 0.39894228040143267794;
}
static double gelu_tanh_w(double x)
{
    return 1.5957691216057307117 * (x + 0.044715 * x * x * x);
}
static double gelu_tanh_of(double x)
{
    return x * sigmoid_of(gelu_tanh_w(x));
}
static double gelu_tanh_slope(double x)
{
    double w = gelu_tanh_w(x), s = sigmoid_of(w);
    double dw = 1.5957691216057307117 * (1 + 3 * 0.044715 * x * x);
    return s * (1 + x * sigmoid_of(-w) * dw);
}

typedef struct {
    const char *name;
    rill_tensor *(*op)(rill_tape *t, const rill_tensor *x);
    double (*y)(double), (*slope)(double);
    double at_minus, slope_minus, at_plus, slope_plus; /* at +-infinity */
} activation;

static const activation activations[] = {
    { "tanh", rill_tanh, tanh, tanh_slope, -1, 0, 1, 0 },
    { "relu", rill_relu, relu_of, relu_slope, 0, 0, INFINITY, 1 },
    { "leaky_relu", leaky, leaky_of, leaky_slope, -INFINITY, SLOPE, INFINITY,
      1 },
    { "gelu", rill_gelu, gelu_of, gelu_slope, 0, 0, INFINITY, 1 },
    { "gelu_tanh", rill_gelu_tanh, gelu_tanh_of, gelu_tanh_slope, 0, 0,
      INFINITY, 1 },
    { "silu", rill_silu, silu_of, silu_slope, 0, 0, INFINITY, 1 },
    { "softplus", rill_softplus, softplus_of, sigmoid_of, 0, 0, INFINITY, 1 },
};
enum { COUNT = sizeof activations / sizeof *activations };

static const rill_dtype floats[] = { RILL_F32, RILL_F64 };

/* The gradient in x of sum(seed y), by the fused rule or the recorded one. */
static rill_tensor *gradient(const activation *a, const rill_tensor *x,
                             const rill_tensor *seed, bool recorded)
{
    rill_tensor *leaf = rill_watch(tape, x);
    rill_tensor *y = a->op(tape, leaf);
    rill_backward_opts o = { .grad = seed, .create_graph = recorded };
    ck_assert_msg(rill_backward(tape, y, &o), "%s: %s", a->name,
                  rill_error(tape));
    return rill_grad(tape, leaf);
}

/* ---- tests -------------------------------------------------------------- */

static void values_of(const activation *a, rill_dtype dtype, int n)
{
    double tolerance = dtype == RILL_F32 ? 4e-7 : 1e-15;
    rill_shape shape = RILL_SHAPE(n);
    uint64_t seed = (uint64_t)n;
    rill_tensor *x = rill_scale(tape, normal(seed, dtype, shape), 3);
    rill_tensor *gy = normal(seed + 1000, dtype, shape);
    rill_tensor *y = a->op(tape, x);
    rill_tensor *g = gradient(a, x, gy, false);
    rill_tensor *r = gradient(a, x, gy, true);
    ASSERT_OK();
    for (int i = 0; i < n; i++) {
        double v = rill_at(x, i), s = rill_at(gy, i) * a->slope(v);
        ck_assert_msg(near(rill_at(y, i), a->y(v), tolerance),
                      "%s(%.17g) is %.17g, not %.17g", a->name, v,
                      rill_at(y, i), a->y(v));
        ck_assert_msg(near(rill_at(g, i), s, 2 * tolerance),
                      "%s: gradient at %.17g is %.17g, not %.17g", a->name, v,
                      rill_at(g, i), s);
        ck_assert_msg(near(rill_at(r, i), s, 2 * tolerance),
                      "%s: recorded gradient at %.17g is %.17g, not %.17g",
                      a->name, v, rill_at(r, i), s);
    }
}

START_TEST(values_and_gradients)
{
    static const int sizes[] = { 1, 2, 3, 7, 17, 33, 130 };
    for (int k = 0; k < COUNT; k++)
        for (int i = 0; i < 7; i++) {
            values_of(&activations[k], RILL_F32, sizes[i]);
            values_of(&activations[k], RILL_F64, sizes[i]);
        }
}
END_TEST

START_TEST(any_shape)
{
    for (int k = 0; k < COUNT; k++) {
        const activation *a = &activations[k];
        double v[] = { 0.5, -0.5, 0.5, -0.5, 0.5, -0.5 }, w[6];
        for (int i = 0; i < 6; i++)
            w[i] = a->y(v[i]);
        for (int d = 0; d < 2; d++) {
            rill_dtype f = floats[d];
            assert_tensor(a->op(tape, rill_from(tape, v, f, RILL_SCALAR)),
                          RILL_SCALAR, w, 1e-7);
            assert_tensor(a->op(tape, rill_from(tape, v, f,
                                                RILL_SHAPE(1, 3, 2))),
                          RILL_SHAPE(1, 3, 2), w, 1e-7);
            rill_tensor *none = rill_zeros(tape, f, RILL_SHAPE(2, 0));
            assert_tensor(a->op(tape, none), RILL_SHAPE(2, 0), NULL, 0);
            assert_tensor(gradient(a, none, none, false), RILL_SHAPE(2, 0),
                          NULL, 0);
        }
    }
}
END_TEST

/* NaN passes through, both infinities have their limits, and both rules say
 * so; numbers from the smallest to the largest give no NaN. */
static void special_values_of(const activation *a, rill_dtype dtype,
                              bool recorded)
{
    bool f = dtype == RILL_F32;
    double large = f ? FLT_MAX : DBL_MAX, tiny = f ? 0x1p-149 : 0x1p-1074;
    double v[] = { -INFINITY, INFINITY, NAN, -large, large, -1e4, 1e4, -tiny,
                   tiny, 0 };
    rill_shape shape = RILL_SHAPE(sizeof v / sizeof *v);
    rill_tensor *x = rill_from(tape, v, dtype, shape);
    rill_tensor *one = rill_full(tape, 1, dtype, shape);
    rill_tensor *y = a->op(tape, x), *g = gradient(a, x, one, recorded);
    ASSERT_OK();
    ASSERT_NEAR(rill_at(y, 0), a->at_minus, 0);
    ASSERT_NEAR(rill_at(y, 1), a->at_plus, 0);
    ck_assert(isnan(rill_at(y, 2)));
    ASSERT_NEAR(rill_at(g, 0), a->slope_minus, 0);
    ASSERT_NEAR(rill_at(g, 1), a->slope_plus, 0);
    /* a step function has a slope at NaN; the others have none */
    bool step = a->op == rill_relu || a->op == leaky;
    ck_assert(step ? isfinite(rill_at(g, 2)) : isnan(rill_at(g, 2)));
    for (int i = 3; i < 10; i++) {
        bool linear = a->at_plus == INFINITY;
        ck_assert_msg(isfinite(rill_at(y, i)) && isfinite(rill_at(g, i)),
                      "%s(%g) is %g, its slope %g", a->name, v[i],
                      rill_at(y, i), rill_at(g, i));
        if (i < 7) /* far out, the limits hold already */
            ASSERT_NEAR(rill_at(g, i),
                        i % 2 ? a->slope_minus : a->slope_plus, 0);
        if (linear && (i == 4 || i == 6))
            ASSERT_NEAR(rill_at(y, i), rill_at(x, i), 0);
    }
}

START_TEST(special_values)
{
    for (int k = 0; k < COUNT; k++)
        for (int way = 0; way < 4; way++)
            special_values_of(&activations[k], floats[way / 2], way % 2);
}
END_TEST

/* |a - b| <= tolerance |b|: what near() does not see of a tiny number */
#define ASSERT_RELATIVE(a, b, tolerance)                                   \
    do {                                                                   \
        double rel_a = (a), rel_b = (b);                                   \
        ck_assert_msg(fabs(rel_a - rel_b) <= (tolerance) * fabs(rel_b),    \
                      "%s is %.9g, not %.9g", #a, rel_a, rel_b);           \
    } while (0)

/* Small results keep their digits, where (1 + erf) / 2 or 1 - s would not. */
START_TEST(tails)
{
    double v[] = { -6, -8, -12, -40, -80 };
    for (int i = 0; i < 5; i++)
        for (int d = 0; d < 2; d++) {
            double tolerance = d ? 1e-14 : 4e-7;
            rill_tensor *x = rill_from(tape, v + i, floats[d], RILL_SCALAR);
            rill_tensor *one = rill_full(tape, 1, floats[d], RILL_SCALAR);
            for (int k = 0; k < COUNT; k++) {
                const activation *a = &activations[k];
                bool quick = a->op == rill_gelu || a->op == rill_gelu_tanh;
                if (a->op == rill_tanh || (quick && v[i] < -9))
                    continue; /* the one has no tail, the others underflow */
                /* 1e-6 measured: w is -49 at -8, its rounding error too */
                double slack = a->op == rill_gelu_tanh ? 4 : 1;
                ASSERT_RELATIVE(rill_item(a->op(tape, x)), a->y(v[i]),
                                slack * tolerance);
                ASSERT_RELATIVE(rill_item(gradient(a, x, one, false)),
                                a->slope(v[i]), 2 * slack * tolerance);
            }
        }
    rill_tensor *x = rill_full(tape, -12, RILL_F32, RILL_SCALAR);
    ASSERT_RELATIVE(rill_item(rill_gelu(tape, x)), gelu_of(-12), 4e-7);
}
END_TEST

START_TEST(at_the_kink)
{
    double zeros[] = { 0, -0.0 };
    for (int d = 0; d < 2; d++)
        for (int recorded = 0; recorded < 2; recorded++) {
            rill_shape two = RILL_SHAPE(2);
            rill_tensor *x = rill_from(tape, zeros, floats[d], two);
            rill_tensor *s = rill_full(tape, 3, floats[d], two);
            activation of = { .name = "relu", .op = rill_relu };
            assert_tensor(gradient(&of, x, s, recorded), two,
                          (double[]){ 0, 0 }, 0);
            of = (activation){ .name = "leaky_relu", .op = leaky };
            assert_tensor(gradient(&of, x, s, recorded), two,
                          (double[]){ 3 * SLOPE, 3 * SLOPE }, 0);
        }
}
END_TEST

START_TEST(any_slope)
{
    double v[] = { -2, 0, 2 };
    for (int d = 0; d < 2; d++) {
        rill_tensor *x = rill_from(tape, v, floats[d], RILL_SHAPE(3));
        assert_tensor(rill_leaky_relu(tape, x, 0), RILL_SHAPE(3),
                      (double[]){ 0, 0, 2 }, 0);
        assert_tensor(rill_leaky_relu(tape, x, 1), RILL_SHAPE(3), v, 0);
        assert_tensor(rill_leaky_relu(tape, x, -1.5), RILL_SHAPE(3),
                      (double[]){ 3, 0, 2 }, 0);
    }
}
END_TEST

static rill_tensor *call(rill_tape *t, rill_tensor **x, void *user)
{
    const activation *a = user;
    return a->op(t, x[0]);
}

START_TEST(derivatives_of_both_orders)
{
    /* none within a step of 0, where relu and leaky_relu have their kink */
    double v[] = { -3.1, -2, -1.3, -0.6, -0.1, 0.2, 0.7, 1.4, 2.2, 3.3, 5 };
    rill_tensor *x = rill_from(tape, v, RILL_F64, RILL_SHAPE(11));
    activation a[COUNT];
    memcpy(a, activations, sizeof a);
    CHECK_OP(rill_tanh, call, 1, &a[0], x);
    CHECK_OP(rill_relu, call, 1, &a[1], x);
    CHECK_OP(rill_leaky_relu, call, 1, &a[2], x);
    CHECK_OP(rill_gelu, call, 1, &a[3], x);
    CHECK_OP(rill_gelu_tanh, call, 1, &a[4], x);
    CHECK_OP(rill_silu, call, 1, &a[5], x);
    CHECK_OP(rill_softplus, call, 1, &a[6], x);
}
END_TEST

START_TEST(refusals)
{
    rill_tensor *i = rill_zeros(tape, RILL_I32, RILL_SHAPE(2));
    char sentence[80];
    for (int k = 0; k < COUNT; k++) {
        const activation *a = &activations[k];
        snprintf(sentence, sizeof sentence,
                 "%s: x is int32, a float dtype is wanted", a->name);
        ASSERT_REFUSED(a->op(tape, i), sentence);
        snprintf(sentence, sizeof sentence, "%s: x is NULL", a->name);
        ASSERT_REFUSED(a->op(tape, NULL), sentence);
    }
    /* the first error stays, and NULL goes on without another */
    rill_fail(tape, "before");
    for (int k = 0; k < COUNT; k++)
        ck_assert_ptr_null(activations[k].op(tape, NULL));
    ASSERT_REFUSED(false, "before");
}
END_TEST

int main(void)
{
    return HARNESS_RUN("activations", values_and_gradients, any_shape,
                       special_values, tails, at_the_kink, any_slope,
                       derivatives_of_both_orders, refusals);
}
