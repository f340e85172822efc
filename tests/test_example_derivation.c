/* test_example_derivation: what 01_derivative and 02_cross_entropy print,
 * against numbers worked out here in plain C. */
#include "printed.h"

static double sigmoid(double z)
{
    return 1 / (1 + exp(-z));
}

/* p becomes softmax(z); returns ln sum e^z. */
static double softmax(const double *z, int n, double *p)
{
    double max = -INFINITY, sum = 0;
    for (int c = 0; c < n; c++)
        max = fmax(max, z[c]);
    for (int c = 0; c < n; c++)
        sum += exp(z[c] - max);
    for (int c = 0; c < n; c++)
        p[c] = exp(z[c] - max) / sum;
    return log(sum) + max;
}

START_TEST(derivatives)
{
    ck_assert_int_eq(run("01_derivative"), 0);
    const char *at = output;
    double x[4], y[3][4];
    for (int i = 0; i < 4; i++) {
        at = i ? at : after(at, "[");
        x[i] = next(&at);
    }
    for (int k = 0; k < 3; k++) {
        at = after(at, "[");
        for (int i = 0; i < 4; i++)
            y[k][i] = next(&at);
    }
    for (int i = 0; i < 4; i++) {
        ck_assert(y[0][i] == x[i] * x[i] * x[i] - 2 * x[i]);
        ck_assert(y[1][i] == 3 * x[i] * x[i] - 2);
        ck_assert(y[2][i] == 6 * x[i]);
    }
}
END_TEST

/* The whole derivation for these logits; printed with 6 decimals where not
 * said otherwise. */
static void assert_derivation(const double *z, int n, int target)
{
    double p[8], lse = softmax(z, n, p), loss = lse - z[target];
    double s = sigmoid(z[target]), sigmoids = 0;
    const char *at = after(output, "\n2. ");
    ASSERT_NEAR(number_after(at, "P(no)  = 1 - p                           ="),
                1 - s, 1e-6);
    at = after(at, "\n4. ");
    ASSERT_NEAR(number_after(at, "binary_cross_entropy:"), -log(s), 1e-6);
    at = after(after(at, "\n6. "), "ln p_c\n");
    for (int c = 0; c < n; c++) {
        ck_assert(next(&at) == c);
        ck_assert(next(&at) == z[c]);
        next(&at);
        ASSERT_NEAR(next(&at), p[c], 1e-6);
        ASSERT_NEAR(next(&at), z[c] - lse, 1e-6);
        ck_assert(next(&at) == (c == target));
        ASSERT_NEAR(next(&at), c == target ? loss : 0, 1e-6);
        sigmoids += sigmoid(z[c]);
    }
    static const char *const routes[] = {
        "one-hot", "p from softmax", "-log_softmax(z)_y",
        "nll_loss of log_softmax(z)", "logsumexp(z) - z_y", "by hand",
        "one node"
    };
    at = after(at, "\n8. ");
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        ASSERT_NEAR(number_after(at, routes[i]), loss, 4e-15);
    ck_assert(number_after(at, "The furthest from the fused node is") < 4e-15);
    at = after(after(at, "\n9. "), "one node\n");
    for (int c = 0; c < n; c++) {
        ck_assert(next(&at) == c);
        next(&at);
        ck_assert(next(&at) == (c == target));
        for (int way = 0; way < 3; way++) /* 10 decimals */
            ASSERT_NEAR(next(&at), p[c] - (c == target), 1e-10);
    }
    at = after(at, "\n10. ");
    at = after(at, "softmax([0, z])   ");
    ASSERT_NEAR(next(&at), 1 - s, 4e-15);
    ASSERT_NEAR(next(&at), s, 4e-15);
    ASSERT_NEAR(number_after(at, "binary_cross_entropy_with_logits(z, 1) ="),
                -log(s), 4e-15);
    at = after(at, "\n11. ");
    ASSERT_NEAR(number_after(at, "sum of sigmoid(z)"), sigmoids, 1e-6);
    ASSERT_NEAR(number_after(at, "cross_entropy(z, y)"), loss, 1e-6);
    double q[8], twice = softmax(p, n, q) - p[target];
    ASSERT_NEAR(number_after(at, "cross_entropy(softmax(z), y)"), twice, 1e-6);
}

START_TEST(the_derivation)
{
    ck_assert_int_eq(run("02_cross_entropy"), 0);
    assert_derivation((double[]){ 1.2, -0.5, 0.3, 2, 0.8 }, 5, 4);
    ck_assert_int_eq(run("02_cross_entropy --target 2 1.5 0 -3"), 0);
    assert_derivation((double[]){ 1.5, 0, -3 }, 3, 2);
    ck_assert_int_eq(run("02_cross_entropy 1.5 0 -3"), 0);
    assert_derivation((double[]){ 1.5, 0, -3 }, 3, 2);
    ck_assert_int_eq(run("02_cross_entropy 0 0 --target 0"), 0);
    assert_derivation((double[]){ 0, 0 }, 2, 0);
}
END_TEST

/* Three or so digits are printed; e^-gap needs no more. */
START_TEST(the_table_of_gaps)
{
    static const double gaps[] = { 5, 15, 25, 60, 105, 1e4 };
    ck_assert_int_eq(run("02_cross_entropy"), 0);
    const char *at = after(output, "\n12. ");
    at = after(at, "clamped    fused\n");
    for (int i = 0; i < 6; i++) {
        double gap = gaps[i], p = 1 / (1 + exp(gap)), floored = fmax(p, 1e-9);
        bool gone = gap > 104; /* p is 0 in float32 */
        ck_assert(next(&at) == gap);
        ASSERT_NEAR(next(&at), gone ? INFINITY : -log(p), 1e-4);
        ASSERT_NEAR(next(&at), -log(floored), 1e-4);
        ASSERT_NEAR(next(&at), gap + log1p(exp(-gap)), 1e-4);
        ASSERT_NEAR(next(&at), gone ? NAN : p - 1, 1e-3);
        double grad = next(&at), truth = gone ? 0 : -p * (1 - p) / floored;
        ck_assert_msg(fabs(grad - truth) <= 0.05 * fabs(truth),
                      "floored gradient %g, not %g, at %g", grad, truth, gap);
        ASSERT_NEAR(next(&at), p > 1e-9 ? p - 1 : 0, 1e-2);
        ASSERT_NEAR(next(&at), p - 1, 1e-3);
    }
    double lost = number_after(at, "here at a gap of");
    ck_assert(lost > 103 && lost <= 105);
}
END_TEST

/* A batch under one set of options, as src/ops/cross_entropy.c defines it. */
typedef struct {
    const char *title;
    double w[3], smoothing;
    double denominator; /* 0: the mean's own */
    double z_loss;
    int y[3];             /* -100: ignored */
    const double (*q)[3]; /* in place of y */
} options;

/* Reads a batch's block and works it out: k is the target's mass. */
static void assert_options(const options *o)
{
    static const double z[3][3] = { { 2, 1, -1 }, { 0.5, 0, 1.5 },
                                    { -1, 0.5, 3 } };
    double own = 0, sum = 0;
    for (int r = 0; r < 3; r++)
        own += o->q ? 1 : o->y[r] < 0 ? 0 : o->w[o->y[r]];
    double denominator = o->denominator > 0 ? o->denominator : own;
    const char *at = after(after(output, o->title), "d loss / d z\n");
    for (int r = 0; r < 3; r++) { /* 4 decimals */
        double p[3], lse = softmax(z[r], 3, p), k[3], mass = 0, loss = 0;
        bool ignored = !o->q && o->y[r] < 0;
        for (int c = 0; c < 3; c++) {
            double t = o->q ? o->q[r][c] : c == o->y[r];
            k[c] = ignored ? 0 : o->w[c] * ((1 - o->smoothing) * t +
                                            o->smoothing / 3);
            mass += k[c];
            loss += k[c] * (lse - z[r][c]);
        }
        loss += ignored ? 0 : o->z_loss * lse * lse;
        mass += ignored ? 0 : 2 * o->z_loss * lse;
        sum += loss;
        ck_assert(next(&at) == r);
        ck_assert(o->q || next(&at) == o->y[r]);
        ASSERT_NEAR(next(&at), ignored ? 0 : lse, 1e-4);
        ASSERT_NEAR(next(&at), loss, 1e-4);
        for (int c = 0; c < 3; c++)
            ASSERT_NEAR(next(&at), (mass * p[c] - k[c]) / denominator, 1e-4);
    }
    ASSERT_NEAR(number_after(at, "loss ="), sum, 1e-4);
    ASSERT_NEAR(number_after(at, "/"), denominator, 1e-6);
    ASSERT_NEAR(number_after(after(at, "/"), "="), sum / denominator, 1e-4);
}

START_TEST(the_options)
{
    static const double q[3][3] = { { 0.7, 0.2, 0.1 }, { 0, 1, 0 },
                                    { 0.2, 0.2, 0.6 } };
    static const options all[] = {
        { "no option: the mean", { 1, 1, 1 }, 0, 0, 0, { 0, 1, 2 }, NULL },
        { "RILL_SUM", { 1, 1, 1 }, 0, 1, 0, { 0, 1, 2 }, NULL },
        { ".weight = {1, 2, 0.5}", { 1, 2, 0.5 }, 0, 0, 0, { 0, 1, 2 }, NULL },
        { ".ignore_index", { 1, 1, 1 }, 0, 0, 0, { 0, -100, 2 }, NULL },
        { ".label_smoothing = 0.3", { 1, 1, 1 }, 0.3, 0, 0, { 0, 1, 2 },
          NULL },
        { ".denominator = 12", { 1, 1, 1 }, 0, 12, 0, { 0, 1, 2 }, NULL },
        { ".z_loss = 0.1", { 1, 1, 1 }, 0, 0, 0.1, { 0, 1, 2 }, NULL },
        { "cross_entropy_probs", { 1, 1, 1 }, 0, 0, 0, { 0 }, q },
    };
    ck_assert_int_eq(run("02_cross_entropy --options"), 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_options(&all[i]);
}
END_TEST

START_TEST(the_command_line)
{
    static const char *const wrong[] = {
        "1", "1 2 3 --target 3", "1 2 --target", "1 2 --target 1.5",
        "--target -1", "--target 5", "1 two", "1 nan", "1 inf", "1 1e999",
        "''", "--targets 1", "--options 1 2"
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char command[128];
        snprintf(command, sizeof command, "02_cross_entropy %s", wrong[i]);
        ck_assert_msg(run(command) == 2, "%s", command);
        after(output, "usage: 02_cross_entropy");
    }
    ck_assert_int_eq(run("02_cross_entropy --help"), 0);
    after(output, "usage: 02_cross_entropy");
    /* a probability that is 0 even in float64 */
    ck_assert_int_eq(run("02_cross_entropy --target 1 1000 0"), 0);
    ck_assert(isinf(number_after(output, "p from softmax")));
    ck_assert(number_after(output, "cross_entropy(z, y), one node") == 1000);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("example derivation", derivatives, the_derivation,
                       the_table_of_gaps, the_options, the_command_line);
}
