/* test_example_second_order: what 05_second_order prints: the Hessian against
 * the formula worked out here, the curvature against what descending along it
 * does, and the story it tells against its own numbers. */
#include "printed.h"

START_TEST(in_the_logits)
{
    const double z[] = { 1.2, -0.5, 0.3, 2, 0.8 };
    double p[5], sum = 0, squares = 0;
    for (int c = 0; c < 5; c++)
        sum += exp(z[c]);
    for (int c = 0; c < 5; c++) {
        p[c] = exp(z[c]) / sum;
        squares += p[c] * p[c];
    }
    ck_assert_int_eq(run("05_second_order"), 0);
    static const char *const titles[] = { "element of the gradient:",
                                          "p = softmax(z):" };
    const char *at = output;
    for (int k = 0; k < 2; k++) {
        at = after(at, titles[k]);
        for (int r = 0; r < 5; r++)
            for (int c = 0; c < 5; c++) /* 6 decimals */
                ASSERT_NEAR(next(&at), (r == c) * p[r] - p[r] * p[c], 1e-6);
    }
    ck_assert(number_after(at, "whichever class is the target:") < 1e-15);
    ASSERT_NEAR(number_after(at, "1 - sum p^2 ="), 1 - squares, 1e-6);
}
END_TEST

START_TEST(through_the_network)
{
    ck_assert_int_eq(run("05_second_order"), 0);
    const char *at = after(output, "\n2. ");
    double n = 16 * 3 + 16 * 17 + 5 * 17;
    ck_assert(number_after(at, "An MLP of") == n);
    ck_assert(number_after(at, "its loss has") == n * n);
    double product = number_after(at, "u . H v");
    ck_assert(product != 0 && product == number_after(at, "H is symmetric"));
    ck_assert(number_after(at, "|H v|") > fabs(product));
    ck_assert(number_after(at, "/ 2e") < 1e-10);
}
END_TEST

/* What is printed of one descent: at the steps in `step`. */
enum { LINES = 10 };
typedef struct {
    double lr, step[LINES], away[LINES], parabola[LINES], loss[LINES];
} descent;

/* Reads the two descents of section 4; returns 2 / lambda. */
static double read_descents(descent d[2])
{
    ck_assert_int_eq(run("05_second_order"), 0);
    const char *at = after(output, "\n4. ");
    double bound = number_after(at, "lr < 2 / lambda =");
    d[0].lr = number_after(at, " lr =");
    d[1].lr = number_after(after(at, "% below"), "lr =");
    at = after(after(at, "parabola       loss"), "parabola       loss");
    for (int i = 0; i < LINES; i++) {
        d[0].step[i] = d[1].step[i] = next(&at);
        for (int k = 0; k < 2; k++) {
            d[k].away[i] = next(&at);
            d[k].parabola[i] = next(&at);
            d[k].loss[i] = next(&at);
        }
    }
    return bound;
}

START_TEST(the_sharpest_curvature)
{
    descent d[2];
    double bound = read_descents(d), lambda = 0, apart = 1;
    const char *at = after(output, "lambda v| / lambda\n");
    const char *end = strstr(at, "\n\n");
    for (double before = 1; strstr(at, "\n\n") == end && apart > 1e-6;) {
        double product = next(&at);
        ck_assert(product == 1 || product > before);
        before = product;
        double grown = next(&at);
        ck_assert(grown >= lambda); /* as it must, on a way up to the top */
        lambda = grown;
        apart = next(&at);
    }
    ck_assert(apart <= 1e-6);
    ASSERT_NEAR(bound, 2 / lambda, 2e-6);
}
END_TEST

START_TEST(the_largest_stable_step)
{
    descent d[2];
    double bound = read_descents(d);
    int last = LINES - 1;
    for (int k = 0; k < 2; k++) {
        double factor = k ? -1.1 : -0.9; /* 1 - 2 (1 + 5 %) and (1 - 5 %) */
        ASSERT_NEAR(d[k].lr, (k ? 1.05 : 0.95) * bound, 1e-5);
        for (int i = 0; i < LINES; i++) {
            double parabola = 1e-4 * pow(factor, d[k].step[i]);
            ck_assert(fabs(d[k].parabola[i] / parabola - 1) < 0.06);
            if (d[k].step[i] <= 20) /* two digits are printed */
                ck_assert(fabs(d[k].away[i] / parabola - 1) < 0.1);
        }
    }
    for (int i = 1; i < LINES; i++)
        ck_assert(d[0].loss[i] < d[0].loss[i - 1]);
    ck_assert(fabs(d[0].away[last]) < 0.1 * d[0].away[0]);
    ck_assert(fabs(d[1].away[last]) > 100 * d[1].away[0]);
    const char *at = after(output, "\n   In the first");
    ASSERT_NEAR(number_after(at, "multiplied by"), 0.9, 5e-3);
    ASSERT_NEAR(number_after(at, "step below, by"), 1.1, 5e-3);
    /* two digits of a difference of numbers with seven decimals */
    double lower = number_after(at, "loss is lower by");
    double higher = number_after(at, "at first by");
    ck_assert(lower > 0 && higher > 0);
    ASSERT_NEAR(lower, d[0].loss[0] - d[0].loss[last], 1e-6);
    ASSERT_NEAR(higher, d[1].loss[last] - d[1].loss[0], 6e-6);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("example second order", in_the_logits,
                       through_the_network, the_sharpest_curvature,
                       the_largest_stable_step);
}
