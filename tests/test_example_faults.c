/* test_example_faults: what docs/when-it-does-not-learn.md says of each fault
 * that 08_when_it_does_not_learn can make, where it is not a line that
 * test_docs compares: how the training goes, and by how much. */
#include "printed.h"

typedef struct {
    double loss, accuracy, grad, ratio;
} line;

/* Runs with this fault, and reads the line of a step. */
static line at_step(const char *fault, int step)
{
    char command[64], words[16];
    snprintf(command, sizeof command, "08_when_it_does_not_learn %s", fault);
    ck_assert_int_eq(run(command), 0);
    snprintf(words, sizeof words, "\n%4d", step);
    const char *at = after(after(output, "|dW| / |W|"), words);
    line l;
    l.loss = next(&at);
    l.accuracy = next(&at);
    l.grad = next(&at);
    l.ratio = next(&at);
    return l;
}

/* The norm of the gradient in what the listing has under this name. */
static double grad_of(const char *name)
{
    char words[64];
    snprintf(words, sizeof words, "\n%s", name);
    const char *at = after(output, words), *end = strchr(at, '\n');
    for (const char *c = at; c < end; c++)
        at = *c == ']' ? c + 1 : at; /* the shape's, behind the inputs' */
    for (int i = 0; i < 4; i++) /* mean, std, min, max */
        next(&at);
    return next(&at);
}

START_TEST(the_healthy_one_learns)
{
    line first = at_step("healthy", 0), last = at_step("healthy", 300);
    ck_assert(fabs(first.loss - log(5)) < 0.1);
    ck_assert(last.loss < 0.01 && last.accuracy == 1);
    ck_assert(first.ratio > 1e-4 && first.ratio < 2e-2);
    double ratio = grad_of("mlp.1.weight") / grad_of("mlp.4.weight");
    ck_assert(ratio > 0.3 && ratio < 3);
}
END_TEST

START_TEST(gradients_vanish_and_explode)
{
    ck_assert(at_step("vanishing", 300).loss > 1);
    ck_assert(grad_of("mlp.4.weight") > 300 * grad_of("mlp.1.weight"));
    ck_assert(at_step("exploding", 0).loss > 100);
    ck_assert(grad_of("mlp.0 ") > 200 * grad_of("mlp.4 "));
}
END_TEST

START_TEST(units_die_and_saturate)
{
    ck_assert(at_step("dead", 0).grad == 0);
    ck_assert(at_step("dead", 300).grad == 0);
    ck_assert(grad_of("mlp.0.weight") == 0 && grad_of("mlp.5.bias") > 0);
    ck_assert(at_step("saturated", 300).accuracy < 0.7);
}
END_TEST

START_TEST(learning_rates)
{
    line leap = at_step("too-high", 1), dead = at_step("too-high", 300);
    ck_assert(at_step("too-high", 0).ratio > 1);
    ck_assert(leap.loss > 1e3 && dead.grad == 0 && dead.loss > 1.5);
    line first = at_step("too-low", 0), last = at_step("too-low", 300);
    ck_assert(last.ratio < 1e-6 && last.grad > 0.9 * first.grad);
    ck_assert(last.loss < first.loss && last.loss > first.loss - 0.01);
}
END_TEST

START_TEST(data_and_loss)
{
    ck_assert(at_step("raw", 300).accuracy < 0.6);
    ck_assert(grad_of("mlp.0.weight") > 300 * grad_of("mlp.0.bias"));
    line shifted = at_step("shifted", 300);
    line twice = at_step("softmax-twice", 300);
    ck_assert(shifted.loss > 0.5 && shifted.grad > 0.1);
    ck_assert(twice.loss > log(exp(1) + 4) - 1 && twice.accuracy > 0.9);
    after(output, "warning: cross_entropy: its logits come from softmax");
    ck_assert_int_eq(run("08_when_it_does_not_learn off-by-one"), 0);
    after(output, "error: cross_entropy: target 5 at row");
    ck_assert_int_eq(run("08_when_it_does_not_learn nan"), 0);
    after(output, "error: check_finite: log.");
}
END_TEST

START_TEST(the_command_line)
{
    ck_assert_int_eq(run("08_when_it_does_not_learn"), 0);
    after(output, "  softmax-twice");
    ck_assert_int_eq(run("08_when_it_does_not_learn --help"), 0);
    ck_assert_int_eq(run("08_when_it_does_not_learn tired"), 2);
    ck_assert_int_eq(run("08_when_it_does_not_learn dead dead"), 2);
    after(output, "usage: 08_when_it_does_not_learn FAULT");
}
END_TEST

int main(void)
{
    return HARNESS_RUN("example faults", the_healthy_one_learns,
                       gradients_vanish_and_explode, units_die_and_saturate,
                       learning_rates, data_and_loss, the_command_line);
}
