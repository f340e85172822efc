/* The finite check: a planted NaN is found at the very node, and said why. */
#include "harness.h"

#include <locale.h>

enum { SENTENCE = 511 };

static rill_tensor *from(rill_dtype dtype, rill_shape shape, const double *v)
{
    return rill_from(tape, v, dtype, shape);
}

/* A watched [2, 2] called "x". */
static rill_tensor *leaf(double a, double b, double c, double d)
{
    return rill_watch(tape, rill_named(tape, from(RILL_F32, RILL_SHAPE(2, 2),
                                                  (double[]){ a, b, c, d }),
                                       "x"));
}

static bool backward_of(const rill_tensor *y)
{
    return rill_backward(tape, rill_sum(tape, y, NULL), NULL);
}

static void check_on(void)
{
    ck_assert(!rill_tape_check_finite(tape, true));
}

/* Off it finds nothing; it is one observer, however often it is switched. */
START_TEST(is_switched)
{
    rill_tensor *x = leaf(0, 1, 2, 3);
    check_on();
    ck_assert(rill_tape_check_finite(tape, true));
    ck_assert(rill_tape_check_finite(tape, false));
    ck_assert(!rill_tape_check_finite(tape, false));
    ck_assert(isinf(rill_at(rill_log(tape, x), 0)));
    ck_assert(backward_of(rill_sqrt(tape, x)));
    ASSERT_OK();
    ck_assert(!rill_tape_check_finite(NULL, true));
    check_on();
    rill_tape_reset(tape); /* it stays */
    ck_assert(!rill_log(tape, leaf(0, 1, 2, 3)));
    rill_clear_error(tape);
    ck_assert(rill_tape_check_finite(tape, false));
    rill_observer other[RILL_MAX_OBSERVERS];
    for (int i = 0; i < RILL_MAX_OBSERVERS; i++) {
        other[i] = (rill_observer){ .user = &other[i] };
        rill_tape_observe(tape, &other[i]);
    }
    ASSERT_REFUSED(rill_tape_check_finite(tape, true),
                   "observe: too many look on already");
}
END_TEST

START_TEST(lets_what_is_finite_pass)
{
    rill_params *p = rill_params_new(RILL_F32, 1);
    rill_nn_mlp m = rill_nn_mlp_new(p, "mlp", (int64_t[]){ 2, 8, 3 }, 3,
                                    NULL);
    check_on();
    rill_tensor *y = rill_from(tape, (double[]){ 0, -100 }, RILL_I32,
                               RILL_SHAPE(2));
    rill_tensor *z = rill_nn_mlp_apply(tape, &m, leaf(1, -2, 3e4, -1e5));
    ck_assert(rill_backward(tape, rill_cross_entropy(tape, z, y, NULL),
                            &(rill_backward_opts){ .create_graph = true }));
    rill_argmax(tape, z, NULL);
    rill_exp(tape, rill_zeros(tape, RILL_F64, RILL_SHAPE(0, 3)));
    ASSERT_OK();
    rill_params_free(p);
}
END_TEST

START_TEST(finds_it_in_the_forward)
{
    rill_tensor *x = leaf(1, 0, -1, 4);
    rill_tensor *wide = from(RILL_F64, RILL_SHAPE(2), (double[]){ 1, 800 });
    rill_tensor *none = rill_full(tape, -100, RILL_I32, RILL_SHAPE(2));
    check_on();
    ASSERT_REFUSED(
        rill_log(tape, x),
        "check_finite: log.1 [2, 2] is -inf at [0, 1] (2 of 4 not finite): ln "
        "0 is -inf and of a negative number NaN: clamp first, or use "
        "log_softmax or a loss that takes logits. Inputs: x [2, 2] in [-1, "
        "4]");
    ASSERT_REFUSED(
        rill_div(tape, rill_relu(tape, x), x),
        "check_finite: div.3 [2, 2] is NaN at [0, 1] (1 of 4 not finite): a "
        "division by 0, or by next to it. Inputs: relu.2 [2, 2] in [0, 4]; x "
        "[2, 2] in [-1, 4]");
    ASSERT_REFUSED(rill_sqrt(tape, x),
                   "check_finite: sqrt.4 [2, 2] is NaN at [1, 0] (1 of 4 not "
                   "finite): the root of a negative number. Inputs: x [2, 2] "
                   "in [-1, 4]");
    ASSERT_REFUSED(
        rill_exp(tape, wide),
        "check_finite: exp.5 [2] is inf at [1] (1 of 2 not finite): e^x "
        "overflows beyond x = 88.7 in float32, 709.8 in float64: softmax and "
        "logsumexp are safe. Inputs: input 0 [2] in [1, 800]");
    ASSERT_REFUSED(
        rill_square(tape, rill_scale(tape, x, 1e37)),
        "check_finite: square.7 [2, 2] is inf at [0, 0] (3 of 4 not finite): "
        "an overflow: numbers too large for the dtype. Inputs: scale.6 [2, "
        "2] in [-1e37, 4e37]");
    ASSERT_REFUSED(
        rill_pow(tape, x, -1),
        "check_finite: pow.8 [2, 2] is inf at [0, 1] (1 of 4 not finite): 0 "
        "to a negative power, a negative number to a fraction, or an "
        "overflow. Inputs: x [2, 2] in [-1, 4]");
    ASSERT_REFUSED(
        rill_cross_entropy(tape, x, none, NULL),
        "check_finite: cross_entropy.9 [] is NaN: every target is ignored, "
        "or their weights sum to 0: a mean of nothing. Inputs: x [2, 2] in "
        "[-1, 4]; input 1 [2] in [-100, -100]");
    rill_tape_record(tape, false); /* an op that has no place on the tape */
    ASSERT_REFUSED(rill_sqrt(tape, wide = rill_neg(tape, x)),
                   "check_finite: sqrt [2, 2] is NaN at [0, 0] (2 of 4 not "
                   "finite): the root of a negative number. Inputs: input 0 "
                   "[2, 2] in [-4, 1]");
}
END_TEST

START_TEST(finds_it_in_the_backward)
{
    rill_tensor *x = leaf(1, 0, 2, 4), *small = leaf(1, 1, 1e-30, 1);
    check_on();
    ASSERT_REFUSED(
        backward_of(rill_sqrt(tape, x)),
        "check_finite: backward through sqrt.2, the gradient in x [2, 2] is "
        "inf at [0, 1] (1 of 4 not finite): the slope of the root is "
        "infinite at 0: add a small number first. dy [2, 2] in [1, 1]. "
        "Inputs: x [2, 2] in [0, 4]");
    ck_assert_ptr_null(rill_grad(tape, x));
    ASSERT_REFUSED(
        backward_of(rill_pow(tape, x, 0.5)),
        "check_finite: backward through pow.4, the gradient in x [2, 2] is "
        "inf at [0, 1] (1 of 4 not finite): the slope at 0 is infinite for a "
        "power below 1. dy [2, 2] in [1, 1]. Inputs: x [2, 2] in [0, 4]");
    ASSERT_REFUSED(
        backward_of(rill_scale(tape, rill_log(tape, small), 1e30)),
        "check_finite: backward through log.6, the gradient in x [2, 2] is "
        "inf at [1, 0] (1 of 4 not finite): dy / x overflows, x is next to "
        "0: clamp first, or use log_softmax or a loss that takes logits. dy "
        "[2, 2] in [1e30, 1e30]. Inputs: x [2, 2] in [1e-30, 1]");
    x = leaf(0, 0, 0, 0);
    ASSERT_REFUSED(
        backward_of(rill_scale(tape, rill_scale(tape, x, 1e25), 1e25)),
        "check_finite: backward through scale.10, the gradient in x [2, 2] "
        "is inf at [0, 0] (4 of 4 not finite): an overflow: the gradient "
        "grew from node to node. dy [2, 2] in [1e25, 1e25]. Inputs: x [2, 2] "
        "in [0, 0]");
}
END_TEST

/* What only a step, the data or a switch that came late can have spoilt. */
START_TEST(blames_what_held_it_before)
{
    rill_params *p = rill_params_new(RILL_F32, 1);
    rill_nn_linear fc = rill_nn_linear_new(p, "fc1", 2, 3);
    rill_tensor *x = leaf(1, 0, 2, 4), *late = rill_log(tape, x);
    rill_tensor *bad = rill_full(tape, NAN, RILL_F32, RILL_SHAPE(2));
    rill_init_constant(p, fc.weight, 0.5);
    rill_init_constant(p, fc.bias, 0);
    ((float *)rill_write(fc.weight))[2] = NAN;
    check_on();
    for (int record = 1; record >= 0; record--) {
        char said[SENTENCE + 1];
        rill_tape_record(tape, record);
        snprintf(said, sizeof said,
                 "check_finite: linear%s [2, 3] is NaN at [0, 1] (2 of 6 not "
                 "finite): fc1.weight holds NaN already: the learning rate "
                 "may be too high, if a step wrote it. Inputs: x [2, 2] in "
                 "[0, 4]; fc1.weight [3, 2] else in [0.5, 0.5]; fc1.bias [3] "
                 "in [0, 0]", record ? ".4" : "");
        ASSERT_REFUSED(rill_nn_linear_apply(tape, &fc, x), said);
    }
    rill_tape_record(tape, true);
    ASSERT_REFUSED(rill_mul(tape, x, bad),
                   "check_finite: mul.5 [2, 2] is NaN at [0, 0] (4 of 4 not "
                   "finite): input 1 holds NaN already: look at where it "
                   "comes from. Inputs: x [2, 2] in [0, 4]; input 1 [2], "
                   "nothing finite");
    ASSERT_REFUSED(rill_neg(tape, late),
                   "check_finite: scale.6 [2, 2] is inf at [0, 1] (1 of 4 "
                   "not finite): log.1 holds -inf already: look at where it "
                   "comes from. Inputs: log.1 [2, 2] else in [0, 1.386]");
    rill_params_free(p);
}
END_TEST

static const rill_tensor *spoil(rill_tape *t, const rill_tensor *x,
                                const rill_tensor *grad, void *user)
{
    (void)grad, (void)user;
    return rill_full(t, -INFINITY, rill_dtype_of(x), rill_shape_of(x));
}

/* A gradient that no rule made. */
START_TEST(blames_seeds_hooks_and_sums)
{
    rill_tensor *x = leaf(1, 0, 2, 4), *y = rill_exp(tape, x);
    rill_tensor *seed = rill_full(tape, NAN, RILL_F32, RILL_SHAPE(2, 2));
    check_on();
    ASSERT_REFUSED(rill_backward(tape, y, &(rill_backward_opts){ seed, 0 }),
                   "check_finite: the gradient that comes to exp.1 [2, 2] is "
                   "NaN at [0, 0] (4 of 4 not finite): by the seed, a hook, "
                   "or an overflow of a sum");
    rill_tensor *h = rill_named(tape, rill_scale(tape, x, 1e-30), "h");
    ASSERT_REFUSED(backward_of(rill_add(tape, rill_scale(tape, h, 3e38),
                                        rill_scale(tape, h, 3e38))),
                   "check_finite: the gradient that comes to h [2, 2] is inf "
                   "at [0, 0] (4 of 4 not finite): by the seed, a hook, or "
                   "an overflow of a sum");
    rill_tensor *loss = rill_sum(tape, x, NULL);
    ck_assert(rill_on_grad(tape, loss, spoil, NULL));
    ck_assert(!rill_backward(tape, loss, NULL));
    ck_assert_ptr_nonnull(strstr(rill_error(tape), " [] is -inf: by the "));
    rill_clear_error(tape);
    /* at a leaf, which has no rule */
    x = rill_watch(tape, rill_named(tape, rill_full(tape, 1e-30, RILL_F32,
                                                    RILL_SCALAR), "w"));
    y = rill_scale(tape, x, 3e38);
    loss = rill_add(tape, y, rill_scale(tape, x, 3e38));
    ASSERT_REFUSED(rill_backward(tape, loss, NULL),
                   "check_finite: the gradient that comes to w [] is inf: by "
                   "the seed, a hook, or an overflow of a sum");
}
END_TEST

/* ---- planted ------------------------------------------------------------ */

/* y = x, but for the element that is spoilt: in the value, the gradient. */
typedef struct {
    int64_t forward, backward; /* -1: none */
} plant;

static rill_tensor *plant_copy(rill_tape *t, const rill_tensor *x, int64_t at)
{
    rill_tensor *y = rill_like(t, x);
    if (!y)
        return NULL;
    memcpy(rill_write(y), rill_data(x), (size_t)rill_numel(x) * 8);
    if (at >= 0)
        ((double *)rill_write(y))[at] = NAN;
    return y;
}

static void plant_backward(rill_tape *t, const rill_node *n,
                           const rill_tensor *gy, const rill_tensor **gx)
{
    gx[0] = plant_copy(t, gy, ((const plant *)rill_node_attrs(n))->backward);
}

static const rill_op plant_op = { .name = "plant", .formula = "dx = dy",
                                  .backward = plant_backward };

/* Of 200 nodes this one. */
static rill_tensor *chain(const plant *p, int where)
{
    static const plant none = { -1, -1 };
    rill_rng r = { .seed = 1 };
    const rill_tensor *x = rill_watch(
        tape, rill_normal(tape, &r, 0, 1, RILL_F64, RILL_SHAPE(3, 4, 5)));
    for (int i = 1; i <= 200; i++) {
        const plant *here = i == where ? p : &none;
        x = i % 2 ? rill_tanh(tape, x)
                  : rill_record(tape, &plant_op,
                                plant_copy(tape, x, here->forward), &x, 1,
                                here);
    }
    return rill_sum(tape, x, NULL);
}

START_TEST(finds_a_planted_one_at_the_very_node)
{
    check_on();
    for (int where = 2; where <= 200; where += 66) {
        char head[SENTENCE + 1];
        plant p = { 33, -1 };
        ck_assert(!chain(&p, where));
        snprintf(head, sizeof head, "check_finite: plant.%d [3, 4, 5] is NaN "
                 "at [1, 2, 3] (1 of 60 not finite): ", where);
        ck_assert_msg(!strncmp(rill_error(tape), head, strlen(head)), "%s",
                      rill_error(tape));
        rill_clear_error(tape);
        rill_tape_reset(tape);
        p = (plant){ -1, 59 };
        ck_assert(!rill_backward(tape, chain(&p, where), NULL));
        snprintf(head, sizeof head, "check_finite: backward through "
                 "plant.%d, the gradient in tanh.%d [3, 4, 5] is NaN at [2, "
                 "3, 4] (1 of 60 not finite): ", where, where - 1);
        ck_assert_msg(!strncmp(rill_error(tape), head, strlen(head)), "%s",
                      rill_error(tape));
        rill_clear_error(tape);
        rill_tape_reset(tape);
    }
    ck_assert(rill_backward(tape, chain(NULL, 0), NULL));
}
END_TEST

/* ---- what has to fit ---------------------------------------------------- */

static void count(const char *message, void *user)
{
    ck_assert_int_le(strlen(message), SENTENCE);
    ++*(int *)user;
}

/* Names and inputs beyond measure: the sentence ends before what does not
 * fit, never within a character. */
START_TEST(sentences_fit)
{
    char name[1 + 3 * 300] = "";
    for (int i = 0; i < 300; i++)
        strcat(name, "\xe2\x88\x82");
    int calls = 0;
    rill_tape *t = rill_tape_new(&(rill_tape_opts){ .on_error = count,
                                                    .user = &calls });
    rill_tape_check_finite(t, true);
    const rill_tensor *x[12];
    for (int i = 0; i < 12; i++)
        x[i] = rill_watch(t, rill_named(t, rill_full(t, i ? 1 : NAN, RILL_F32,
                                                     RILL_SHAPE(1, 1, 1, 1)),
                                        name));
    ck_assert(!rill_concat(t, x, 12, 0));
    ck_assert_int_eq(calls, 1);
    const char *said = rill_error(t);
    static const char head[] = "check_finite: concat.12 [12, 1, 1, 1] is NaN "
                               "at [0, 0, 0, 0] (1 of 12 not finite): ";
    ck_assert(strncmp(said, head, strlen(head)) == 0);
    ck_assert_int_gt(strlen(said), SENTENCE - 120);
    while (*said) { /* every character whole */
        int more = (unsigned char)*said++ >= 0xe0 ? 2 : 0;
        for (; more > 0; more--)
            ck_assert_int_eq((unsigned char)*said++ & 0xc0, 0x80);
    }
    rill_tape_free(t);
}
END_TEST

START_TEST(any_locale)
{
    if (!setlocale(LC_ALL, "de_DE.UTF-8"))
        fprintf(stderr, "any_locale: no de_DE.UTF-8: the C locale only\n");
    const rill_tensor *x = leaf(0, 0.5, 1.5, 2);
    check_on();
    ASSERT_REFUSED(rill_log(tape, rill_add_scalar(tape, x, -0.5)),
                   "check_finite: log.2 [2, 2] is NaN at [0, 0] (2 of 4 not "
                   "finite): ln 0 is -inf and of a negative number NaN: "
                   "clamp first, or use log_softmax or a loss that takes "
                   "logits. Inputs: add_scalar.1 [2, 2] in [-0.5, 1.5]");
    setlocale(LC_ALL, "C");
}
END_TEST

int main(void)
{
    return HARNESS_RUN("finite", is_switched, lets_what_is_finite_pass,
                       finds_it_in_the_forward, finds_it_in_the_backward,
                       blames_what_held_it_before,
                       blames_seeds_hooks_and_sums,
                       finds_a_planted_one_at_the_very_node, sentences_fit,
                       any_locale);
}
