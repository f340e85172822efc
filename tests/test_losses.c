/* The losses beside cross_entropy: values, reductions and gradients against
 * formulas in plain double, their limits, their promises and their refusals.
 * PyTorch's values are test_golden's. */
#include "harness.h"

static const rill_dtype floats[] = { RILL_F32, RILL_F64 };
static const rill_reduction reductions[] = { RILL_MEAN, RILL_SUM, RILL_NONE };

/* ---- elementwise losses against formulas -------------------------------- */

typedef struct {
    const char *name;
    rill_tensor *(*op)(rill_tape *t, const rill_tensor *x,
                       const rill_tensor *y, rill_reduction reduction);
    double (*loss)(double x, double y), (*dx)(double x, double y),
        (*dy)(double x, double y);
    bool probabilities; /* x is in (0, 1) */
} loss;

#define BETA 0.75

static rill_tensor *mse(rill_tape *t, const rill_tensor *x,
                        const rill_tensor *y, rill_reduction reduction)
{
    return rill_mse_loss(t, x, y, &(rill_loss_opts){ reduction });
}
static double mse_of(double x, double y) { return (x - y) * (x - y); }
static double mse_dx(double x, double y) { return 2 * (x - y); }
static double mse_dy(double x, double y) { return 2 * (y - x); }

static rill_tensor *l1(rill_tape *t, const rill_tensor *x,
                       const rill_tensor *y, rill_reduction reduction)
{
    return rill_l1_loss(t, x, y, &(rill_loss_opts){ reduction });
}
static double l1_of(double x, double y) { return fabs(x - y); }
static double l1_dx(double x, double y) { return (x > y) - (x < y); }
static double l1_dy(double x, double y) { return (x < y) - (x > y); }

static rill_tensor *smooth_l1(rill_tape *t, const rill_tensor *x,
                              const rill_tensor *y, rill_reduction reduction)
{
    return rill_smooth_l1_loss(t, x, y, BETA, &(rill_loss_opts){ reduction });
}
static double smooth_l1_of(double x, double y)
{
    double d = fabs(x - y);
    return d < BETA ? d * d / (2 * BETA) : d - BETA / 2;
}
static double smooth_l1_dx(double x, double y)
{
    return fmax(-1, fmin(1, (x - y) / BETA));
}
static double smooth_l1_dy(double x, double y) { return smooth_l1_dx(y, x); }

static rill_tensor *huber(rill_tape *t, const rill_tensor *x,
                          const rill_tensor *y, rill_reduction reduction)
{
    return rill_huber_loss(t, x, y, BETA, &(rill_loss_opts){ reduction });
}
static double huber_of(double x, double y)
{
    double d = fabs(x - y);
    return d <= BETA ? d * d / 2 : BETA * (d - BETA / 2);
}
static double huber_dx(double x, double y)
{
    return fmax(-BETA, fmin(BETA, x - y));
}
static double huber_dy(double x, double y) { return huber_dx(y, x); }

static rill_tensor *bce(rill_tape *t, const rill_tensor *x,
                        const rill_tensor *y, rill_reduction reduction)
{
    return rill_binary_cross_entropy(
        t, x, y, &(rill_binary_cross_entropy_opts){ .reduction = reduction });
}
static double bce_of(double p, double y)
{
    return -y * log(p) - (1 - y) * log1p(-p);
}
static double bce_dx(double p, double y) { return (p - y) / (p * (1 - p)); }
static double bce_dy(double p, double y)
{
    (void)y;
    return log1p(-p) - log(p);
}

static rill_tensor *logits(rill_tape *t, const rill_tensor *x,
                           const rill_tensor *y, rill_reduction reduction)
{
    return rill_binary_cross_entropy_with_logits(
        t, x, y, &(rill_binary_cross_entropy_opts){ .reduction = reduction });
}
static double softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double logits_of(double x, double y)
{
    return y * softplus(-x) + (1 - y) * softplus(x);
}
static double logits_dx(double x, double y) { return 1 / (1 + exp(-x)) - y; }
static double logits_dy(double x, double y)
{
    (void)y;
    return -x;
}

static const loss losses[] = {
    { "mse_loss", mse, mse_of, mse_dx, mse_dy, false },
    { "l1_loss", l1, l1_of, l1_dx, l1_dy, false },
    { "smooth_l1_loss", smooth_l1, smooth_l1_of, smooth_l1_dx, smooth_l1_dy,
      false },
    { "huber_loss", huber, huber_of, huber_dx, huber_dy, false },
    { "binary_cross_entropy", bce, bce_of, bce_dx, bce_dy, true },
    { "binary_cross_entropy_with_logits", logits, logits_of, logits_dx,
      logits_dy, false },
};
enum { COUNT = sizeof losses / sizeof *losses };

/* n inputs for l, and targets that for the binary ones are in [0, 1). */
static void inputs_of(const loss *l, rill_dtype dtype, rill_shape shape,
                      rill_tensor **x, rill_tensor **y)
{
    bool binary = l->loss == bce_of || l->loss == logits_of;
    rill_rng r = { .seed = 11 };
    *x = l->probabilities ? rill_uniform(tape, &r, 0.01, 0.99, dtype, shape)
                          : normal(1, dtype, shape);
    *y = binary ? rill_uniform(tape, &r, 0, 1, dtype, shape)
                : normal(2, dtype, shape);
}

static void values_of(const loss *l, rill_dtype dtype, rill_shape shape,
                      rill_reduction reduction)
{
    rill_tensor *x, *y;
    inputs_of(l, dtype, shape, &x, &y);
    x = rill_watch(tape, x);
    y = rill_watch(tape, y);
    rill_tensor *z = l->op(tape, x, y, reduction);
    ASSERT_OK();
    bool each = reduction == RILL_NONE;
    double n = (double)rill_numel(x), sum = 0;
    double share = reduction == RILL_MEAN ? 1 / n : 1;
    /* gradients of p near 0 and 1 are of the order of 100 */
    double tolerance = dtype == RILL_F32 ? 2e-6 : 4e-15;
    rill_tensor *gy = normal(3, dtype, rill_shape_of(z));
    ck_assert(rill_backward(tape, z, &(rill_backward_opts){ .grad = gy }));
    rill_tensor *gx = rill_grad(tape, x), *gt = rill_grad(tape, y);
    for (int64_t i = 0; i < rill_numel(x); i++) {
        double a = rill_at(x, i), b = rill_at(y, i);
        double g = rill_at(gy, each ? i : 0) * share;
        sum += share * l->loss(a, b);
        if (each)
            ASSERT_NEAR(rill_at(z, i), l->loss(a, b), tolerance);
        ck_assert_msg(near(rill_at(gx, i), g * l->dx(a, b), tolerance),
                      "%s: dx is %.17g, not %.17g", l->name, rill_at(gx, i),
                      g * l->dx(a, b));
        ck_assert_msg(near(rill_at(gt, i), g * l->dy(a, b), tolerance),
                      "%s: dy is %.17g, not %.17g", l->name, rill_at(gt, i),
                      g * l->dy(a, b));
    }
    ck_assert_int_eq(rill_ndim(z), each ? shape.ndim : 0);
    if (!each)
        ASSERT_NEAR(rill_item(z), sum, tolerance);
}

START_TEST(values_and_gradients)
{
    static const int sizes[] = { 1, 2, 3, 7, 17, 33, 130 };
    for (int k = 0; k < COUNT; k++)
        for (int d = 0; d < 2; d++)
            for (int r = 0; r < 3; r++) {
                for (int i = 0; i < 7; i++)
                    values_of(&losses[k], floats[d], RILL_SHAPE(sizes[i]),
                              reductions[r]);
                values_of(&losses[k], floats[d], RILL_SCALAR, reductions[r]);
                values_of(&losses[k], floats[d], RILL_SHAPE(3, 1, 5),
                          reductions[r]);
            }
}
END_TEST

START_TEST(of_nothing)
{
    rill_shape shape = RILL_SHAPE(0, 3);
    for (int k = 0; k < COUNT; k++)
        for (int d = 0; d < 2; d++) {
            rill_tensor *x = rill_watch(tape, rill_zeros(tape, floats[d],
                                                         shape));
            rill_tensor *mean = losses[k].op(tape, x, x, RILL_MEAN);
            ASSERT_OK();
            ck_assert(isnan(rill_item(mean)));
            rill_tensor *sum = losses[k].op(tape, x, x, RILL_SUM);
            ck_assert(rill_item(sum) == 0);
            assert_tensor(losses[k].op(tape, x, x, RILL_NONE), shape, NULL,
                          0);
            ck_assert(rill_backward(tape, sum, NULL));
            assert_tensor(rill_grad(tape, x), shape, NULL, 0);
        }
}
END_TEST

START_TEST(nan_passes)
{
    double v[] = { 0.25, NAN, 0.5 }, w[] = { 0.5, 0.5, NAN };
    for (int k = 0; k < COUNT; k++)
        for (int d = 0; d < 2; d++) {
            rill_shape three = RILL_SHAPE(3);
            rill_tensor *x = rill_from(tape, v, floats[d], three);
            rill_tensor *y = rill_from(tape, w, floats[d], three);
            x = rill_watch(tape, x);
            rill_tensor *z = losses[k].op(tape, x, y, RILL_NONE);
            rill_tensor *one = rill_full(tape, 1, floats[d], three);
            rill_backward(tape, z, &(rill_backward_opts){ .grad = one });
            ASSERT_OK();
            rill_tensor *g = rill_grad(tape, x);
            for (int i = 0; i < 3; i++) {
                ck_assert(isnan(rill_at(z, i)) == (i > 0));
                ck_assert(isnan(rill_at(g, i)) == (i > 0));
            }
            ck_assert(isnan(rill_item(losses[k].op(tape, x, y, RILL_MEAN))));
        }
}
END_TEST

START_TEST(where_lines_begin)
{
    double x[] = { 0, 1, -1, 3, -3 }, zero[5] = { 0 };
    rill_shape five = RILL_SHAPE(5);
    rill_loss_opts none = { RILL_NONE };
    for (int d = 0; d < 2; d++) {
        rill_tensor *a = rill_watch(tape, rill_from(tape, x, floats[d],
                                                    five));
        rill_tensor *b = rill_from(tape, zero, floats[d], five);
        rill_tensor *s = rill_full(tape, 1, floats[d], five);
        rill_backward_opts seed = { .grad = s };
        rill_tensor *y = rill_smooth_l1_loss(tape, a, b, 1, &none);
        assert_tensor(y, five, (double[]){ 0, .5, .5, 2.5, 2.5 }, 0);
        ck_assert(rill_backward(tape, y, &seed));
        assert_tensor(rill_grad(tape, a), five, (double[]){ 0, 1, -1, 1, -1 },
                      0);
        y = rill_huber_loss(tape, a, b, 1, &none);
        assert_tensor(y, five, (double[]){ 0, .5, .5, 2.5, 2.5 }, 0);
        ck_assert(rill_backward(tape, y, &seed));
        assert_tensor(rill_grad(tape, a), five, (double[]){ 0, 1, -1, 1, -1 },
                      0);
        y = rill_smooth_l1_loss(tape, a, b, 0, &none); /* is l1 */
        assert_tensor(y, five, (double[]){ 0, 1, 1, 3, 3 }, 0);
        ck_assert(rill_backward(tape, y, &seed));
        assert_tensor(rill_grad(tape, a), five, (double[]){ 0, 1, -1, 1, -1 },
                      0);
        /* and a beta too small to see is nearly l1, without overflow */
        y = rill_smooth_l1_loss(tape, a, b, 2e-38, &none);
        assert_tensor(y, five, (double[]){ 0, 1, 1, 3, 3 }, 0);
        ck_assert(rill_backward(tape, y, &seed));
        assert_tensor(rill_grad(tape, a), five, (double[]){ 0, 1, -1, 1, -1 },
                      0);
        y = rill_huber_loss(tape, a, b, INFINITY, &none); /* half of mse */
        assert_tensor(y, five, (double[]){ 0, .5, .5, 4.5, 4.5 }, 0);
    }
}
END_TEST

/* ---- binary_cross_entropy ----------------------------------------------- */

/* PyTorch's clamps: a logarithm is at least -100, p (1 - p) at least 1e-12. */
START_TEST(certain_probabilities)
{
    double p[] = { 0, 0, 1, 1, 0, 1 }, y[] = { 0, 1, 0, 1, 0.5, 0.5 };
    rill_shape six = RILL_SHAPE(6);
    for (int d = 0; d < 2; d++) {
        rill_tensor *a = rill_watch(tape, rill_from(tape, p, floats[d], six));
        rill_tensor *b = rill_watch(tape, rill_from(tape, y, floats[d], six));
        rill_tensor *z = bce(tape, a, b, RILL_NONE);
        assert_tensor(z, six, (double[]){ 0, 100, 100, 0, 50, 50 }, 0);
        ck_assert(!signbit(rill_at(z, 0)) && !signbit(rill_at(z, 3)));
        rill_backward_opts o = { .grad = rill_full(tape, 1, floats[d], six) };
        ck_assert(rill_backward(tape, z, &o));
        assert_tensor(rill_grad(tape, a), six,
                      (double[]){ 0, -1e12, 1e12, 0, -5e11, 5e11 }, 1e-7);
        assert_tensor(rill_grad(tape, b), six,
                      (double[]){ 100, 100, -100, -100, 100, -100 }, 0);
    }
}
END_TEST

/* Near p = 0 the loss is p, not the logarithm of a rounded 1 - p. */
START_TEST(nearly_certain_probabilities)
{
    double p[] = { 1e-10, 1e-30 };
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < 2; i++) {
            rill_tensor *a = rill_from(tape, p + i, floats[d], RILL_SCALAR);
            rill_tensor *zero = rill_zeros(tape, floats[d], RILL_SCALAR);
            double z = rill_item(bce(tape, a, zero, RILL_SUM));
            ck_assert(fabs(z / p[i] - 1) < (d ? 1e-9 : 2e-7));
        }
}
END_TEST

/* A certain answer keeps the digits of its small loss and gradient, a wrong
 * one its full gradient. */
START_TEST(certain_logits)
{
    double x[] = { -80, 80, -80, 80 }, y[] = { 0, 1, 1, 0 };
    double small = exp(-80), z[] = { small, small, 80, 80 };
    double g[] = { small, -small, -1, 1 };
    rill_shape four = RILL_SHAPE(4);
    for (int d = 0; d < 2; d++) {
        rill_tensor *a = rill_watch(tape, rill_from(tape, x, floats[d],
                                                    four));
        rill_tensor *b = rill_from(tape, y, floats[d], four);
        rill_tensor *l = logits(tape, a, b, RILL_NONE);
        rill_backward_opts o = { .grad = rill_full(tape, 1, floats[d], four) };
        ck_assert(rill_backward(tape, l, &o));
        rill_tensor *gx = rill_grad(tape, a);
        for (int i = 0; i < 4; i++) {
            double tolerance = d ? 1e-15 : 2e-7;
            ck_assert(fabs(rill_at(l, i) / z[i] - 1) < tolerance);
            ck_assert(fabs(rill_at(gx, i) / g[i] - 1) < tolerance);
        }
    }
}
END_TEST

START_TEST(binary_weights)
{
    double x[] = { -1, 0.5, 2, 0.25, -0.5, 1 }, y[] = { 0, 1, 0.5, 1, 0, 1 };
    double w[] = { 2, 0.5, 0 }, pw[] = { 3, 1, 0.25 };
    rill_shape shape = RILL_SHAPE(2, 3);
    for (int d = 0; d < 2; d++) {
        double tolerance = d ? 1e-15 : 2e-7, sum = 0, each[6], weighed[6];
        rill_tensor *a = rill_from(tape, x, floats[d], shape);
        rill_tensor *b = rill_from(tape, y, floats[d], shape);
        rill_tensor *p = rill_sigmoid(tape, a);
        rill_binary_cross_entropy_opts o = {
            .reduction = RILL_NONE,
            .weight = rill_from(tape, w, floats[d], RILL_SHAPE(3))
        };
        for (int i = 0; i < 6; i++) {
            double on = y[i] * softplus(-x[i]);
            double off = (1 - y[i]) * softplus(x[i]);
            weighed[i] = w[i % 3] * (on + off);
            each[i] = w[i % 3] * (pw[i % 3] * on + off);
            sum += each[i];
        }
        assert_tensor(rill_binary_cross_entropy(tape, p, b, &o), shape,
                      weighed, 4 * tolerance); /* p is rounded */
        assert_tensor(
            rill_binary_cross_entropy_with_logits(tape, a, b, &o), shape,
            weighed, tolerance);
        o.pos_weight = rill_from(tape, pw, floats[d], RILL_SHAPE(3));
        assert_tensor(
            rill_binary_cross_entropy_with_logits(tape, a, b, &o), shape,
            each, tolerance);
        o.reduction = RILL_SUM;
        ASSERT_NEAR(rill_item(rill_binary_cross_entropy_with_logits(
                        tape, a, b, &o)), sum, tolerance);
        o.reduction = RILL_MEAN; /* over the elements, not the weights */
        ASSERT_NEAR(rill_item(rill_binary_cross_entropy_with_logits(
                        tape, a, b, &o)), sum / 6, tolerance);
    }
}
END_TEST

/* ---- nll_loss ----------------------------------------------------------- */

enum { N = 3, C = 4, INNER = 6 };

/* Losses, the mean's denominator and the gradient of sum(gy loss). */
static double nll_reference(const rill_tensor *x, const int32_t *y,
                            const double *w, int32_t ignore, const double *gy,
                            double *each, double *gx)
{
    double total = 0;
    for (int i = 0; i < N * C * INNER; i++)
        gx[i] = 0;
    for (int i = 0; i < N * INNER; i++) {
        int at = i / INNER * C * INNER + y[i] * INNER + i % INNER;
        each[i] = 0;
        if (y[i] == ignore)
            continue;
        each[i] = -w[y[i]] * rill_at(x, at);
        gx[at] = -w[y[i]] * gy[i];
        total += w[y[i]];
    }
    return total;
}

START_TEST(nll_values_and_gradients)
{
    double ones[] = { 1, 1, 1, 1 }, given[] = { 0.5, 2, 1, 0.25 };
    double gy[N * INNER], each[N * INNER], gx[N * C * INNER];
    int32_t y[N * INNER], zero = 0;
    rill_shape shape = RILL_SHAPE(N, C, 2, 3), rows = RILL_SHAPE(N, 2, 3);
    for (int i = 0; i < N * INNER; i++) {
        y[i] = i * 7 % 5 % C;
        gy[i] = 0.5 * (i % 7) - 1;
    }
    for (int way = 0; way < 8; way++) {
        rill_dtype f = floats[way & 1];
        const double *w = way & 2 ? given : ones;
        double tolerance = f == RILL_F32 ? 1e-6 : 1e-15, sum = 0;
        rill_nll_loss_opts o = {
            .reduction = RILL_NONE,
            .weight = way & 2 ? rill_from(tape, w, f, RILL_SHAPE(C)) : NULL,
            .ignore_index = way & 4 ? &zero : NULL
        };
        rill_tensor *x = rill_watch(tape, normal(5, f, shape));
        rill_tensor *t = rill_copy(tape, y, RILL_I32, rows);
        double total = nll_reference(x, y, w, way & 4 ? 0 : -100, gy, each,
                                     gx);
        rill_tensor *z = rill_nll_loss(tape, x, t, &o);
        assert_tensor(z, rows, each, tolerance);
        rill_backward_opts seed = { .grad = rill_from(tape, gy, f, rows) };
        ck_assert(rill_backward(tape, z, &seed));
        assert_tensor(rill_grad(tape, x), shape, gx, tolerance);
        for (int i = 0; i < N * INNER; i++)
            sum += each[i];
        o.reduction = RILL_SUM;
        ASSERT_NEAR(rill_item(rill_nll_loss(tape, x, t, &o)), sum, tolerance);
        o.reduction = RILL_MEAN;
        z = rill_nll_loss(tape, x, t, &o);
        ASSERT_NEAR(rill_item(z), sum / total, tolerance);
        ck_assert(rill_backward(tape, z, NULL));
        for (int i = 0; i < N * INNER; i++)
            gy[i] = 1 / total;
        nll_reference(x, y, w, way & 4 ? 0 : -100, gy, each, gx);
        assert_tensor(rill_grad(tape, x), shape, gx, tolerance);
    }
}
END_TEST

START_TEST(nll_of_one_row)
{
    double v[] = { -1, -2, -3 }, w[] = { 1, 4, 1 };
    int32_t y = 1;
    for (int d = 0; d < 2; d++) {
        rill_tensor *x = rill_watch(tape, rill_from(tape, v, floats[d],
                                                    RILL_SHAPE(3)));
        rill_tensor *t = rill_copy(tape, &y, RILL_I32, RILL_SCALAR);
        rill_nll_loss_opts o = {
            .weight = rill_from(tape, w, floats[d], RILL_SHAPE(3))
        };
        assert_tensor(rill_nll_loss(tape, x, t, NULL), RILL_SCALAR,
                      (double[]){ 2 }, 0);
        rill_tensor *z = rill_nll_loss(tape, x, t, &o);
        assert_tensor(z, RILL_SCALAR, (double[]){ 2 }, 0);
        ck_assert(rill_backward(tape, z, NULL));
        assert_tensor(rill_grad(tape, x), RILL_SHAPE(3),
                      (double[]){ 0, -1, 0 }, 0);
    }
}
END_TEST

START_TEST(warns_of_what_is_not_what_it_wants)
{
    rill_tensor *z = normal(1, RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *y = rill_from(tape, (double[]){ 1, 0 }, RILL_I32,
                               RILL_SHAPE(2));
    rill_nll_loss(tape, rill_log_softmax(tape, z, -1), y, NULL);
    rill_binary_cross_entropy_with_logits(tape, z, rill_sigmoid(tape, z),
                                          NULL);
    ck_assert_ptr_null(rill_warning(tape));
    /* nor are gradients, in a sweep of a sweep, taken for log-probabilities */
    rill_tensor *w = rill_watch(tape, z);
    rill_tensor *squared = rill_square(tape, rill_nll_loss(
        tape, rill_log_softmax(tape, w, -1), y, NULL));
    ck_assert(rill_backward(tape, squared, &(rill_backward_opts){
        .create_graph = true }));
    squared = rill_sum(tape, rill_square(tape, rill_grad(tape, w)), NULL);
    ck_assert(rill_backward(tape, rill_neg(tape, squared), NULL));
    ck_assert_ptr_null(rill_warning(tape));
    rill_nll_loss(tape, rill_softmax(tape, z, -1), y, NULL);
    ck_assert_str_eq(rill_warning(tape),
                     "nll_loss: its log_probs are above 0, so no logarithms "
                     "of probabilities: give it what log_softmax makes");
    rill_clear_error(tape);
    rill_binary_cross_entropy_with_logits(tape, rill_sigmoid(tape, z), z,
                                          NULL);
    ck_assert_str_eq(rill_warning(tape),
                     "binary_cross_entropy_with_logits: its logits come from "
                     "sigmoid, but it applies sigmoid itself: give it the "
                     "logits");
    rill_clear_error(tape);
    ASSERT_OK();
}
END_TEST

/* log_softmax and nll_loss are cross_entropy in two steps. */
START_TEST(nll_after_log_softmax)
{
    int32_t y[] = { 2, -100, 0, 4, 4, 1, 3 };
    for (int d = 0; d < 2; d++) {
        rill_tensor *z = rill_watch(tape, normal(9, floats[d],
                                                 RILL_SHAPE(7, 5)));
        rill_tensor *t = rill_copy(tape, y, RILL_I32, RILL_SHAPE(7));
        rill_tensor *one = rill_cross_entropy(tape, z, t, NULL);
        ck_assert(rill_backward(tape, one, NULL));
        rill_tensor *g = rill_grad(tape, z);
        rill_tensor *two = rill_nll_loss(tape, rill_log_softmax(tape, z, 1),
                                         t, NULL);
        ASSERT_NEAR(rill_item(one), rill_item(two), d ? 1e-15 : 3e-7);
        ck_assert(rill_backward(tape, two, NULL));
        rill_tensor *h = rill_grad(tape, z);
        for (int i = 0; i < 35; i++)
            ASSERT_NEAR(rill_at(g, i), rill_at(h, i), d ? 1e-15 : 1e-7);
    }
}
END_TEST

START_TEST(nll_ignored_rows)
{
    /* the tape's memory is not zero: nothing may rely on it */
    enum { DIRT = 1 << 14 };
    memset(rill_tape_alloc(tape, DIRT), 0xff, DIRT);
    rill_tape_reset(tape);
    double v[] = { NAN, INFINITY, NAN, -1, -2, -3 };
    int32_t y[] = { -100, 2 }, all[] = { -100, -100 }, large = 255;
    for (int d = 0; d < 2; d++)
        for (int recorded = 0; recorded < 2; recorded++) {
            rill_shape shape = RILL_SHAPE(2, 3);
            rill_backward_opts o = { .create_graph = recorded };
            rill_tensor *x = rill_watch(tape, rill_from(tape, v, floats[d],
                                                        shape));
            rill_tensor *t = rill_copy(tape, y, RILL_I32, RILL_SHAPE(2));
            rill_tensor *z = rill_nll_loss(tape, x, t, NULL);
            ck_assert(rill_item(z) == 3);
            ck_assert(rill_backward(tape, z, &o));
            assert_tensor(rill_grad(tape, x), shape,
                          (double[]){ 0, 0, 0, 0, 0, -1 }, 0);
            /* nothing left: a mean of NaN, and a gradient of exactly 0 */
            t = rill_copy(tape, all, RILL_I32, RILL_SHAPE(2));
            z = rill_nll_loss(tape, x, t, NULL);
            ck_assert(isnan(rill_item(z)));
            ck_assert(rill_backward(tape, z, &o));
            assert_tensor(rill_grad(tape, x), shape, (double[6]){ 0 }, 0);
            rill_nll_loss_opts sum = { .reduction = RILL_SUM };
            ck_assert(rill_item(rill_nll_loss(tape, x, t, &sum)) == 0);
            /* an index that is no class can be the ignored one */
            t = rill_copy(tape, (int32_t[]){ 255, 0 }, RILL_I32,
                          RILL_SHAPE(2));
            sum.ignore_index = &large;
            ck_assert(rill_item(rill_nll_loss(tape, x, t, &sum)) == 1);
        }
}
END_TEST

START_TEST(nll_weighs_nothing)
{
    rill_tensor *x = rill_watch(tape, normal(1, RILL_F32, RILL_SHAPE(2, 3)));
    rill_tensor *t = rill_zeros(tape, RILL_I32, RILL_SHAPE(2));
    rill_nll_loss_opts o = { .weight = rill_zeros(tape, RILL_F32,
                                                  RILL_SHAPE(3)) };
    ck_assert(isnan(rill_item(rill_nll_loss(tape, x, t, &o))));
    o.reduction = RILL_SUM;
    ck_assert(rill_item(rill_nll_loss(tape, x, t, &o)) == 0);
}
END_TEST

START_TEST(nll_of_nothing)
{
    static const rill_shape shapes[] = { { 2, { 0, 5 } },
                                         { 3, { 2, 5, 0 } },
                                         { 2, { 0, 0 } } };
    for (int i = 0; i < 3; i++) {
        rill_shape s = shapes[i], rows = s;
        rows.dim[1] = rows.dim[2];
        rows.ndim--;
        rill_tensor *x = rill_watch(tape, rill_zeros(tape, RILL_F32, s));
        rill_tensor *t = rill_zeros(tape, RILL_I32, rows);
        rill_nll_loss_opts o = { .reduction = RILL_SUM };
        rill_tensor *sum = rill_nll_loss(tape, x, t, &o);
        ASSERT_OK();
        ck_assert(rill_item(sum) == 0);
        ck_assert(rill_backward(tape, sum, NULL));
        assert_tensor(rill_grad(tape, x), s, NULL, 0);
        o.reduction = RILL_NONE;
        assert_tensor(rill_nll_loss(tape, x, t, &o), rows, NULL, 0);
        ck_assert(isnan(rill_item(rill_nll_loss(tape, x, t, NULL))));
    }
}
END_TEST

/* ---- derivatives -------------------------------------------------------- */

typedef struct {
    const loss *l;
    rill_reduction reduction;
    const rill_tensor *target, *weight;
    const int32_t *ignore;
} call_args;

static rill_tensor *call(rill_tape *t, rill_tensor **x, void *user)
{
    const call_args *a = user;
    return a->l->op(t, x[0], x[1], a->reduction);
}

static rill_tensor *call_weighed(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    rill_binary_cross_entropy_opts o = { .weight = x[2] };
    rill_tensor *p = rill_binary_cross_entropy(t, x[0], x[1], &o);
    o.pos_weight = x[3];
    rill_tensor *z = rill_binary_cross_entropy_with_logits(t, x[0], x[1], &o);
    return rill_add(t, p, z);
}

static rill_tensor *call_nll(rill_tape *t, rill_tensor **x, void *user)
{
    const call_args *a = user;
    /* squared, so that the second derivative is not 0 */
    return rill_nll_loss(t, rill_square(t, x[0]), a->target,
                         &(rill_nll_loss_opts){ a->reduction, a->weight,
                                                a->ignore });
}

START_TEST(derivatives_of_both_orders)
{
    rill_tensor *x[COUNT], *y[COUNT];
    rill_shape shape = RILL_SHAPE(2, 3);
    for (int k = 0; k < COUNT; k++)
        inputs_of(&losses[k], RILL_F64, shape, &x[k], &y[k]);
    for (int r = 0; r < 3; r++) {
        call_args a = { .reduction = reductions[r] };
        a.l = &losses[0];
        CHECK_OP(rill_mse_loss, call, 2, &a, x[0], y[0]);
        a.l = &losses[1];
        CHECK_OP(rill_l1_loss, call, 2, &a, x[1], y[1]);
        a.l = &losses[2];
        CHECK_OP(rill_smooth_l1_loss, call, 2, &a, x[2], y[2]);
        a.l = &losses[3];
        CHECK_OP(rill_huber_loss, call, 2, &a, x[3], y[3]);
        a.l = &losses[4];
        CHECK_OP(rill_binary_cross_entropy, call, 2, &a, x[4], y[4]);
        a.l = &losses[5];
        CHECK_OP(rill_binary_cross_entropy_with_logits, call, 2, &a, x[5],
                 y[5]);
    }
    rill_tensor *w = normal(3, RILL_F64, RILL_SHAPE(2, 1));
    rill_tensor *pos = normal(4, RILL_F64, RILL_SHAPE(3));
    CHECK_OP(rill_binary_cross_entropy, call_weighed, 4, NULL, x[4], y[4], w,
             pos);
}
END_TEST

START_TEST(nll_derivatives_of_both_orders)
{
    int32_t y[] = { 2, 0, 1, 1, 0, 2 }, zero = 0;
    double w[] = { 0.5, 2, 1 };
    rill_tensor *x = normal(6, RILL_F64, RILL_SHAPE(2, 3, 3));
    rill_tensor *t = rill_copy(tape, y, RILL_I32, RILL_SHAPE(2, 3));
    rill_tensor *weight = rill_from(tape, w, RILL_F64, RILL_SHAPE(3));
    for (int way = 0; way < 12; way++) {
        call_args a = { .reduction = reductions[way % 3], .target = t,
                        .weight = way / 3 % 2 ? weight : NULL,
                        .ignore = way / 6 ? &zero : NULL };
        CHECK_OP(rill_nll_loss, call_nll, 1, &a, x);
    }
}
END_TEST

/* ---- refusals ----------------------------------------------------------- */

START_TEST(refuses_inputs)
{
    rill_tensor *a = rill_full(tape, 0.5, RILL_F32, RILL_SHAPE(3, 1));
    rill_tensor *b = rill_full(tape, 0.5, RILL_F32, RILL_SHAPE(3));
    rill_tensor *d = rill_full(tape, 0.5, RILL_F64, RILL_SHAPE(3));
    rill_tensor *i = rill_zeros(tape, RILL_I32, RILL_SHAPE(3));
    char want[160];
    for (int k = 0; k < COUNT; k++) {
        const loss *l = &losses[k];
        const char *x = l->op == bce ? "probs" : l->op == logits ? "logits"
                                                                 : "x";
#define WANT(...) snprintf(want, sizeof want, __VA_ARGS__)
        WANT("%s: %s is NULL", l->name, x);
        ASSERT_REFUSED(l->op(tape, NULL, b, RILL_MEAN), want);
        WANT("%s: target is NULL", l->name);
        ASSERT_REFUSED(l->op(tape, b, NULL, RILL_MEAN), want);
        WANT("%s: %s is int32, a float dtype is wanted", l->name, x);
        ASSERT_REFUSED(l->op(tape, i, b, RILL_MEAN), want);
        WANT("%s: target is int32, a float dtype is wanted", l->name);
        ASSERT_REFUSED(l->op(tape, b, i, RILL_MEAN), want);
        WANT("%s: %s is float32 but target is float64: cast one of them",
             l->name, x);
        ASSERT_REFUSED(l->op(tape, b, d, RILL_MEAN), want);
        WANT("%s: the shapes [3, 1] of %s and [3] of target differ", l->name,
             x);
        ASSERT_REFUSED(l->op(tape, a, b, RILL_MEAN), want);
        WANT("%s: 3 is not a reduction", l->name);
        ASSERT_REFUSED(l->op(tape, b, b, (rill_reduction)3), want);
    }
    /* without options, it is the mean */
    rill_tensor *zero = rill_zeros(tape, RILL_F32, RILL_SHAPE(3));
    ASSERT_NEAR(rill_item(rill_mse_loss(tape, b, zero, NULL)), 0.25, 0);
    ASSERT_NEAR(rill_item(rill_l1_loss(tape, b, zero, NULL)), 0.5, 0);
    ASSERT_NEAR(rill_item(rill_smooth_l1_loss(tape, b, zero, 1, NULL)),
                0.125, 0);
    ASSERT_NEAR(rill_item(rill_huber_loss(tape, b, zero, 1, NULL)), 0.125, 0);
    ASSERT_NEAR(rill_item(rill_binary_cross_entropy(tape, b, b, NULL)),
                log(2), 1e-7);
    ASSERT_NEAR(rill_item(rill_binary_cross_entropy_with_logits(
                    tape, zero, b, NULL)), log(2), 1e-7);
}
END_TEST

START_TEST(refuses_beta_and_delta)
{
    rill_tensor *a = rill_zeros(tape, RILL_F32, RILL_SHAPE(3));
    rill_tensor *d = rill_zeros(tape, RILL_F64, RILL_SHAPE(3));
    static const struct {
        double beta;
        const char *sentence;
    } cases[] = {
        { -1, "smooth_l1_loss: beta -1 is neither 0 nor a positive normal "
              "float32" },
        { NAN, "smooth_l1_loss: beta nan is neither 0 nor a positive normal "
               "float32" },
        { 1e-40, "smooth_l1_loss: beta 1e-40 is neither 0 nor a positive "
                 "normal float32" },
        { INFINITY, "smooth_l1_loss: beta inf is neither 0 nor a positive "
                    "normal float32" },
    };
    for (int i = 0; i < 4; i++)
        ASSERT_REFUSED(rill_smooth_l1_loss(tape, a, a, cases[i].beta, NULL),
                       cases[i].sentence);
    ASSERT_NEAR(rill_item(rill_smooth_l1_loss(tape, d, d, 1e-40, NULL)), 0,
                0);
    ASSERT_REFUSED(rill_smooth_l1_loss(tape, d, d, 1e-310, NULL),
                   "smooth_l1_loss: beta 1e-310 is neither 0 nor a positive "
                   "normal float64");
    ASSERT_REFUSED(rill_huber_loss(tape, a, a, 0, NULL),
                   "huber_loss: delta 0 is not positive");
    ASSERT_REFUSED(rill_huber_loss(tape, a, a, -2, NULL),
                   "huber_loss: delta -2 is not positive");
    ASSERT_REFUSED(rill_huber_loss(tape, a, a, NAN, NULL),
                   "huber_loss: delta nan is not positive");
}
END_TEST

START_TEST(refuses_binary_options)
{
    rill_tensor *p = rill_full(tape, 0.5, RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *i = rill_zeros(tape, RILL_I32, RILL_SHAPE(3));
    rill_tensor *d = rill_zeros(tape, RILL_F64, RILL_SHAPE(3));
    rill_tensor *two = rill_zeros(tape, RILL_F32, RILL_SHAPE(2));
    rill_tensor *more = rill_zeros(tape, RILL_F32, RILL_SHAPE(4, 2, 3));
    struct {
        rill_binary_cross_entropy_opts o;
        const char *sentence;
    } cases[] = {
        { { .weight = i }, "weight is int32, a float dtype is wanted" },
        { { .pos_weight = i },
          "pos_weight is int32, a float dtype is wanted" },
        { { .weight = d },
          "logits is float32 but weight is float64: cast one of them" },
        { { .pos_weight = d },
          "logits is float32 but pos_weight is float64: cast one of them" },
        { { .weight = two },
          "weight is [2], which does not broadcast to [2, 3]" },
        { { .pos_weight = more },
          "pos_weight is [4, 2, 3], which does not broadcast to [2, 3]" },
    };
    char want[160];
    for (int k = 0; k < 6; k++) {
        WANT("binary_cross_entropy_with_logits: %s", cases[k].sentence);
        ASSERT_REFUSED(rill_binary_cross_entropy_with_logits(tape, p, p,
                                                             &cases[k].o),
                       want);
    }
    ASSERT_REFUSED(rill_binary_cross_entropy(tape, p, p, &cases[4].o),
                   "binary_cross_entropy: weight is [2], which does not "
                   "broadcast to [2, 3]");
    ASSERT_REFUSED(rill_binary_cross_entropy(
                       tape, p, p,
                       &(rill_binary_cross_entropy_opts){ .pos_weight = p }),
                   "binary_cross_entropy: pos_weight is an option of "
                   "binary_cross_entropy_with_logits");
    rill_tensor *x = rill_from(tape, (double[]){ 0, 1, 1.5 }, RILL_F32,
                               RILL_SHAPE(3));
    ASSERT_REFUSED(rill_binary_cross_entropy(tape, x, x, NULL),
                   "binary_cross_entropy: 1.5 at element 2 of probs is not "
                   "in [0, 1]: for logits there is "
                   "binary_cross_entropy_with_logits");
    x = rill_full(tape, -1e-9, RILL_F64, RILL_SCALAR);
    ASSERT_REFUSED(rill_binary_cross_entropy(tape, x, x, NULL),
                   "binary_cross_entropy: -1e-09 at element 0 of probs is "
                   "not in [0, 1]: for logits there is "
                   "binary_cross_entropy_with_logits");
}
END_TEST

START_TEST(refuses_nll_inputs)
{
    rill_tensor *x = rill_zeros(tape, RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *x3 = rill_zeros(tape, RILL_F32, RILL_SHAPE(1, 3, 2));
    rill_tensor *one = rill_zeros(tape, RILL_F32, RILL_SCALAR);
    rill_tensor *y = rill_zeros(tape, RILL_I32, RILL_SHAPE(2));
    rill_tensor *y2 = rill_zeros(tape, RILL_I32, RILL_SHAPE(2, 1));
    ASSERT_REFUSED(rill_nll_loss(tape, NULL, y, NULL),
                   "nll_loss: log_probs is NULL");
    ASSERT_REFUSED(rill_nll_loss(tape, x, NULL, NULL),
                   "nll_loss: target is NULL");
    ASSERT_REFUSED(rill_nll_loss(tape, y, y, NULL),
                   "nll_loss: log_probs is int32, a float dtype is wanted");
    ASSERT_REFUSED(rill_nll_loss(tape, x, x, NULL),
                   "nll_loss: target is float32, class indices are int32");
    ASSERT_REFUSED(rill_nll_loss(tape, one, y, NULL),
                   "nll_loss: log_probs have no dimension: [C] or "
                   "[N, C, ...] is wanted");
    ASSERT_REFUSED(rill_nll_loss(tape, x, y2, NULL),
                   "nll_loss: log_probs are [2, 3] but target is [2, 1]: "
                   "[2] is wanted");
    ASSERT_REFUSED(rill_nll_loss(tape, x3, y2, NULL),
                   "nll_loss: log_probs are [1, 3, 2] but target is [2, 1]: "
                   "[1, 2] is wanted");
    rill_tensor *bad = rill_from(tape, (double[]){ 0, 3 }, RILL_I32,
                                 RILL_SHAPE(2));
    ASSERT_REFUSED(rill_nll_loss(tape, x, bad, NULL),
                   "nll_loss: target 3 at row 1 is not in [0, 3)");
    bad = rill_from(tape, (double[]){ -1, 3 }, RILL_I32, RILL_SHAPE(1, 2));
    ASSERT_REFUSED(rill_nll_loss(tape, x3, bad, NULL),
                   "nll_loss: target -1 at element 0 is not in [0, 3): to "
                   "leave such rows out there is ignore_index");
    rill_tensor *no_class = rill_zeros(tape, RILL_F32, RILL_SHAPE(2, 0));
    ASSERT_REFUSED(rill_nll_loss(tape, no_class, y, NULL),
                   "nll_loss: target 0 at row 0 is not in [0, 0)");
}
END_TEST

START_TEST(refuses_nll_options)
{
    rill_tensor *x = rill_zeros(tape, RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *y = rill_zeros(tape, RILL_I32, RILL_SHAPE(2));
    rill_tensor *three = rill_zeros(tape, RILL_F32, RILL_SHAPE(3));
    struct {
        rill_nll_loss_opts o;
        const char *sentence;
    } cases[] = {
        { { .reduction = (rill_reduction)-1 },
          "nll_loss: -1 is not a reduction" },
        { { .weight = y },
          "nll_loss: weight is int32, a float dtype is wanted" },
        { { .weight = rill_zeros(tape, RILL_F64, RILL_SHAPE(3)) },
          "nll_loss: log_probs is float32 but weight is float64: cast one "
          "of them" },
        { { .weight = rill_zeros(tape, RILL_F32, RILL_SHAPE(2)) },
          "nll_loss: weight is [2], one for each of 3 classes is wanted" },
        { { .weight = rill_zeros(tape, RILL_F32, RILL_SHAPE(1, 3)) },
          "nll_loss: weight is [1, 3], one for each of 3 classes is wanted" },
        { { .weight = rill_watch(tape, three) },
          "nll_loss: no gradient flows to weight: detach it" },
    };
    for (int i = 0; i < 6; i++)
        ASSERT_REFUSED(rill_nll_loss(tape, x, y, &cases[i].o),
                       cases[i].sentence);
}
END_TEST

int main(void)
{
    return HARNESS_RUN(
        "losses", values_and_gradients, of_nothing, nan_passes,
        where_lines_begin, certain_probabilities,
        nearly_certain_probabilities, certain_logits, binary_weights,
        nll_values_and_gradients, nll_of_one_row, nll_after_log_softmax,
                       warns_of_what_is_not_what_it_wants,
        nll_ignored_rows, nll_weighs_nothing, nll_of_nothing,
        derivatives_of_both_orders, nll_derivatives_of_both_orders,
        refuses_inputs, refuses_beta_and_delta, refuses_binary_options,
        refuses_nll_inputs, refuses_nll_options);
}
