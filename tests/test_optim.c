/* Optimisers against their formulas written out in doubles, and schedules.
 * PyTorch's own numbers are in test_golden_nn.c. */
#include "harness.h"

static rill_params *set;
static rill_optim *opt;

static void setup(rill_dtype dtype)
{
    set = rill_params_new(dtype, 4);
    ck_assert_ptr_nonnull(set);
}

static void teardown(void)
{
    rill_optim_free(opt);
    opt = NULL;
    rill_params_free(set);
}

#define ASSERT_OPTIM_REFUSED(result, sentence)                  \
    do {                                                        \
        ck_assert(!(result));                                   \
        ck_assert_pstr_eq(rill_optim_error(opt), (sentence));   \
        rill_optim_clear_error(opt);                            \
        ck_assert_pstr_eq(rill_optim_error(opt), NULL);         \
    } while (0)

/* A backward that leaves g as w's gradient. */
static void give(rill_tensor *w, const double *g)
{
    rill_tensor *c = rill_from(tape, g, rill_dtype_of(w), rill_shape_of(w));
    ck_assert(rill_backward(tape, rill_sum(tape, rill_mul(tape, w, c), NULL),
                            NULL));
}

/* ---- the formulas ------------------------------------------------------- */

enum { SGD, MOMENTUM, NESTEROV, ADAM, ADAMW, RMSPROP, RMSPROP_MOMENTUM,
       ADAGRAD, KINDS };

static const double lr = 0.05, decay = 0.1;

static rill_optim *optim_of(int kind)
{
    const double betas[] = { 0.8, 0.95 };
    const rill_adam_opts adam = { .lr = lr, .betas = betas, .eps = 1e-3,
                                  .weight_decay = decay };
    switch (kind) {
    case SGD:
        return rill_sgd_new(set, &(rill_sgd_opts){ .lr = lr,
                                                   .weight_decay = decay });
    case MOMENTUM:
    case NESTEROV:
        return rill_sgd_new(set, &(rill_sgd_opts){
            .lr = lr, .momentum = 0.7, .weight_decay = decay,
            .nesterov = kind == NESTEROV });
    case ADAM:
        return rill_adam_new(set, &adam);
    case ADAMW:
        return rill_adamw_new(set, &adam);
    case RMSPROP:
    case RMSPROP_MOMENTUM:
        return rill_rmsprop_new(set, &(rill_rmsprop_opts){
            .lr = lr, .alpha = 0.9, .eps = 1e-3, .weight_decay = decay,
            .momentum = kind == RMSPROP ? 0 : 0.6 });
    case ADAGRAD:
        return rill_adagrad_new(set, &(rill_adagrad_opts){
            .lr = lr, .lr_decay = 0.2, .weight_decay = decay,
            .initial_accumulator = 0.3, .eps = 1e-3 });
    }
    return NULL;
}

/* One element's step number t; a and b are its state. */
static double by_hand(int kind, int t, double w, double g, double *a,
                      double *b)
{
    double d = kind == ADAMW ? g : g + decay * w;
    switch (kind) {
    case SGD:
        return w - lr * d;
    case MOMENTUM:
    case NESTEROV:
        *a = t == 1 ? d : 0.7 * *a + d;
        return w - lr * (kind == NESTEROV ? d + 0.7 * *a : *a);
    case ADAM:
    case ADAMW:
        *a = 0.8 * *a + 0.2 * d;
        *b = 0.95 * *b + 0.05 * d * d;
        if (kind == ADAMW)
            w -= lr * decay * w;
        return w - lr * (*a / (1 - pow(0.8, t))) /
                       (sqrt(*b / (1 - pow(0.95, t))) + 1e-3);
    case RMSPROP:
        *a = 0.9 * *a + 0.1 * d * d;
        return w - lr * d / (sqrt(*a) + 1e-3);
    case RMSPROP_MOMENTUM:
        *a = 0.9 * *a + 0.1 * d * d;
        *b = 0.6 * *b + d / (sqrt(*a) + 1e-3);
        return w - lr * *b;
    default:
        *a = (t == 1 ? 0.3 : *a) + d * d;
        return w - lr / (1 + (t - 1) * 0.2) * d / (sqrt(*a) + 1e-3);
    }
}

/* Four steps of n random elements. */
static void assert_formula(int kind, rill_dtype dtype, int n)
{
    double w[130], a[130] = { 0 }, b[130] = { 0 }, g[130];
    setup(dtype);
    rill_tensor *p = rill_params_add(set, "w", RILL_SHAPE(n));
    rill_init_normal(set, p, 0, 1);
    for (int i = 0; i < n; i++)
        w[i] = rill_at(p, i);
    opt = optim_of(kind);
    ck_assert_pstr_eq(rill_optim_error(opt), NULL);
    for (int t = 1; t <= 4; t++) {
        rill_tensor *random = normal((uint64_t)t, dtype, RILL_SHAPE(n));
        for (int i = 0; i < n; i++) {
            g[i] = rill_at(random, i);
            w[i] = by_hand(kind, t, w[i], g[i], &a[i], &b[i]);
        }
        give(p, g);
        ck_assert(rill_optim_step(opt, tape));
        rill_tape_reset(tape);
        for (int i = 0; i < n; i++)
            ck_assert_msg(near(rill_at(p, i), w[i],
                               dtype == RILL_F32 ? 2e-6 : 1e-14),
                          "kind %d, %s, n %d, step %d: [%d] is %.17g, not "
                          "%.17g", kind, rill_dtype_name(dtype), n, t, i,
                          rill_at(p, i), w[i]);
    }
    teardown();
}

START_TEST(test_formulas)
{
    static const int sizes[] = { 0, 1, 2, 3, 7, 17, 33, 130 };
    for (int kind = 0; kind < KINDS; kind++)
        for (int i = 0; i < 8; i++) {
            assert_formula(kind, RILL_F32, sizes[i]);
            assert_formula(kind, RILL_F64, sizes[i]);
        }
}
END_TEST

START_TEST(test_defaults)
{
    setup(RILL_F64);
    rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(1));
    give(w, (double[]){ 2 });
    opt = rill_adam_new(set, &(rill_adam_opts){ .lr = 0.5 });
    rill_optim_step(opt, tape);
    ASSERT_NEAR(rill_item(w), -0.5 * 2 / (2 + 1e-8), 1e-15);
    rill_optim_free(opt);
    rill_init_constant(set, w, 0);
    opt = rill_rmsprop_new(set, &(rill_rmsprop_opts){ .lr = 0.5 });
    rill_optim_step(opt, tape);
    ASSERT_NEAR(rill_item(w), -0.5 * 2 / (sqrt(0.01 * 4) + 1e-8), 1e-15);
    rill_optim_free(opt);
    rill_init_constant(set, w, 0);
    opt = rill_adagrad_new(set, &(rill_adagrad_opts){ .lr = 0.5 });
    rill_optim_step(opt, tape);
    ASSERT_NEAR(rill_item(w), -0.5 * 2 / (2 + 1e-10), 1e-15);
    teardown();
}
END_TEST

/* What the default of adam makes of betas of 0: the sign of the gradient. */
START_TEST(test_zero_betas_mean_zero)
{
    const double betas[] = { 0, 0 };
    setup(RILL_F32);
    rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(2));
    opt = rill_adam_new(set, &(rill_adam_opts){ .lr = 1, .betas = betas });
    for (int t = 1; t <= 3; t++) {
        give(w, (double[]){ 3 * t, -0.5 * t });
        ck_assert(rill_optim_step(opt, tape));
        rill_tape_reset(tape);
        assert_tensor(w, RILL_SHAPE(2), (double[]){ -t, t }, 1e-6);
    }
    teardown();
}
END_TEST

START_TEST(test_special_values)
{
    setup(RILL_F32);
    rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(3));
    for (int kind = 0; kind < KINDS; kind++) {
        rill_init_constant(set, w, 1);
        opt = optim_of(kind);
        give(w, (double[]){ NAN, 1, INFINITY });
        ck_assert(rill_optim_step(opt, tape));
        rill_tape_reset(tape);
        ck_assert(isnan(rill_at(w, 0)));
        ck_assert(isfinite(rill_at(w, 1)) && rill_at(w, 1) < 1);
        ck_assert(!isfinite(rill_at(w, 2)));
        rill_optim_free(opt);
        opt = NULL;
    }
    teardown();
}
END_TEST

/* ---- which parameters move ---------------------------------------------- */

START_TEST(test_skipped)
{
    setup(RILL_F64);
    rill_tensor *a = rill_params_add(set, "a", RILL_SHAPE(1));
    rill_tensor *b = rill_params_add(set, "b", RILL_SHAPE(1));
    opt = rill_adam_new(set, &(rill_adam_opts){ .lr = 0.1 });
    for (int t = 0; t < 3; t++) {
        give(a, (double[]){ 1 });
        ck_assert(rill_optim_step(opt, tape)); /* b has no gradient */
        rill_tape_reset(tape);
    }
    ck_assert(rill_item(b) == 0);
    ASSERT_NEAR(rill_item(a), -0.3, 1e-7);
    /* b's own count starts now: its first step is a whole lr */
    rill_params_freeze(set, "a");
    rill_tensor *late = rill_params_add(set, "late", RILL_SHAPE(1));
    double before = rill_item(a);
    rill_tensor *sum = rill_add(tape, rill_add(tape, a, b), late);
    rill_backward(tape, sum, NULL);
    ck_assert(rill_optim_step(opt, tape));
    ck_assert(rill_item(a) == before);
    ASSERT_NEAR(rill_item(b), -0.1, 1e-8);
    ASSERT_NEAR(rill_item(late), -0.1, 1e-8);
    teardown();
}
END_TEST

START_TEST(test_many_parameters)
{
    setup(RILL_F64);
    rill_tensor *sum = rill_zeros(tape, RILL_F64, RILL_SHAPE(1));
    opt = rill_sgd_new(set, &(rill_sgd_opts){ .lr = 1, .momentum = 0.5 });
    for (int i = 0; i < 70; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        rill_tensor *w = rill_params_add(set, name, RILL_SHAPE(1));
        sum = rill_add(tape, sum, rill_scale(tape, w, i + 1));
        if (i != 30)
            continue;
        rill_backward(tape, sum, NULL); /* then more join */
        ck_assert(rill_optim_step(opt, tape));
        rill_tape_reset(tape);
        sum = rill_zeros(tape, RILL_F64, RILL_SHAPE(1));
        for (int k = 0; k <= 30; k++)
            sum = rill_add(tape, sum, rill_scale(
                tape, rill_params_at(set, k), k + 1));
    }
    rill_backward(tape, sum, NULL);
    ck_assert(rill_optim_step(opt, tape));
    for (int i = 0; i < 70; i++) /* g, and then 1.5 g */
        ck_assert(rill_item(rill_params_at(set, i)) ==
                  -(i + 1) * (i <= 30 ? 2.5 : 1));
    teardown();
}
END_TEST

START_TEST(test_accumulated)
{
    setup(RILL_F64);
    rill_tensor *a = rill_params_add(set, "a", RILL_SHAPE(1));
    rill_tensor *b = rill_params_add(set, "b", RILL_SHAPE(1));
    opt = rill_sgd_new(set, &(rill_sgd_opts){ .lr = 0.5 });
    for (int k = 1; k <= 3; k++) {
        rill_backward(tape, rill_add(tape, rill_scale(tape, a, k),
                                     rill_scale(tape, b, 10)), NULL);
        rill_params_accumulate(set, tape);
        rill_tape_reset(tape);
    }
    rill_params_freeze(set, "b");
    ck_assert(rill_optim_step(opt, NULL));
    ck_assert(rill_item(a) == -0.5 * 6);
    ck_assert_ptr_null(rill_params_grad(set, a)); /* used up */
    ASSERT_OPTIM_REFUSED(rill_optim_step(opt, NULL),
                         "step: there is no gradient: call "
                         "rill_params_accumulate first");
    ck_assert(rill_item(rill_params_grad(set, b)) == 30); /* still there */
    rill_params_unfreeze(set, "b");
    ck_assert(rill_optim_step(opt, NULL));
    ck_assert(rill_item(a) == -3 && rill_item(b) == -15);
    /* sums begin anew */
    give(a, (double[]){ 2 });
    rill_params_accumulate(set, tape);
    ck_assert(rill_item(rill_params_grad(set, a)) == 2);
    /* a step by the tape leaves sums alone */
    ck_assert(rill_optim_step(opt, tape));
    ck_assert(rill_item(a) == -4);
    ck_assert(rill_item(rill_params_grad(set, a)) == 2);
    teardown();
}
END_TEST

START_TEST(test_version)
{
    setup(RILL_F64);
    rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(1));
    opt = rill_sgd_new(set, &(rill_sgd_opts){ .lr = 1 });
    rill_tensor *loss = rill_square(tape, w);
    rill_backward(tape, loss, NULL);
    ck_assert(rill_optim_step(opt, tape));
    ASSERT_REFUSED(rill_backward(tape, loss, NULL),
                   "backward: w changed since this tape used it: reset "
                   "first");
    teardown();
}
END_TEST

/* ---- groups and learning rates ------------------------------------------ */

START_TEST(test_groups)
{
    const double none = 0, some = 0.5;
    setup(RILL_F64);
    const char *names[] = { "body.w", "head.w", "head.b", "tail.w" };
    rill_tensor *w[4];
    for (int i = 0; i < 4; i++) {
        w[i] = rill_params_add(set, names[i], RILL_SHAPE(1));
        rill_init_constant(set, w[i], 1);
    }
    opt = rill_sgd_new(set, &(rill_sgd_opts){ .lr = 0.01,
                                              .weight_decay = 0.1 });
    ck_assert(rill_optim_group(opt, "head.", &(rill_group_opts){
        .lr = 0.1, .weight_decay = &none }));
    ck_assert(rill_optim_group(opt, "tail.", &(rill_group_opts){
        .weight_decay = &some }));
    rill_tensor *sum = rill_add(tape, rill_add(tape, w[0], w[1]),
                                rill_add(tape, w[2], w[3]));
    rill_backward(tape, sum, NULL);
    ck_assert(rill_optim_step(opt, tape));
    double wanted[] = { 1 - 0.01 * 1.1, 0.9, 0.9, 1 - 0.01 * 1.5 };
    for (int i = 0; i < 4; i++)
        ASSERT_NEAR(rill_item(w[i]), wanted[i], 1e-15);
    /* the ratio of rates is kept, also through a rate of 0 */
    ck_assert(rill_optim_set_lr(opt, 0));
    ck_assert(rill_optim_step(opt, tape));
    for (int i = 0; i < 4; i++)
        ASSERT_NEAR(rill_item(w[i]), wanted[i], 1e-15);
    ck_assert(rill_optim_set_lr(opt, 0.02));
    ck_assert(rill_optim_lr(opt) == 0.02);
    ck_assert(rill_optim_step(opt, tape));
    ASSERT_NEAR(rill_item(w[0]),
                wanted[0] - 0.02 * (1 + 0.1 * wanted[0]), 1e-15);
    ASSERT_NEAR(rill_item(w[1]), 0.9 - 0.2, 1e-15);
    /* another group takes the place of the first; NULL is no group */
    ck_assert(rill_optim_group(opt, "head.w", NULL));
    double before = rill_item(w[1]);
    ck_assert(rill_optim_step(opt, tape));
    ASSERT_NEAR(rill_item(w[1]), before - 0.02 * (1 + 0.1 * before), 1e-15);
    ASSERT_NEAR(rill_item(w[2]), 0.9 - 0.2 - 0.2, 1e-15);
    /* a group's rate is meant beside the rate at the start, 0.01 */
    ck_assert(rill_optim_group(opt, "head.w", &(rill_group_opts){
        .lr = 0.03, .weight_decay = &none }));
    before = rill_item(w[1]);
    ck_assert(rill_optim_step(opt, tape));
    ASSERT_NEAR(rill_item(w[1]), before - 0.06, 1e-15);
    teardown();
}
END_TEST

START_TEST(test_group_refusals)
{
    const double bad = -0.5, not = NAN;
    setup(RILL_F64);
    rill_params_add(set, "fc1.w", RILL_SHAPE(1));
    opt = rill_sgd_new(set, &(rill_sgd_opts){ .lr = 0.01 });
    ASSERT_OPTIM_REFUSED(rill_optim_group(opt, "fc2.", NULL),
                         "group: no name begins with \"fc2.\"");
    ASSERT_OPTIM_REFUSED(rill_optim_group(opt, NULL, NULL),
                         "group: no name begins with \"(NULL)\"");
    ASSERT_OPTIM_REFUSED(
        rill_optim_group(opt, "fc1.", &(rill_group_opts){ .lr = -1 }),
        "group: lr is -1, not in [0, inf)");
    ASSERT_OPTIM_REFUSED(
        rill_optim_group(opt, "fc1.", &(rill_group_opts){ .lr = INFINITY }),
        "group: lr is inf, not in [0, inf)");
    ASSERT_OPTIM_REFUSED(
        rill_optim_group(opt, "fc1.",
                         &(rill_group_opts){ .weight_decay = &bad }),
        "group: weight_decay is -0.5, not in [0, inf)");
    ASSERT_OPTIM_REFUSED(
        rill_optim_group(opt, "fc1.",
                         &(rill_group_opts){ .weight_decay = &not }),
        "group: weight_decay is nan, not in [0, inf)");
    ASSERT_OPTIM_REFUSED(rill_optim_set_lr(opt, -1),
                         "set_lr: lr is -1, not in [0, inf)");
    ASSERT_OPTIM_REFUSED(rill_optim_set_lr(opt, NAN),
                         "set_lr: lr is nan, not in [0, inf)");
    ck_assert(rill_optim_lr(opt) == 0.01);
    ck_assert(!rill_optim_group(NULL, "fc1.", NULL));
    ck_assert(!rill_optim_set_lr(NULL, 1));
    ck_assert(isnan(rill_optim_lr(NULL)));
    teardown();
}
END_TEST

/* ---- refusals ----------------------------------------------------------- */

/* What is wrong with the options stays wrong: it cannot be cleared, and a
 * step tells the tape. */
static void assert_made_refused(rill_optim *o, const char *sentence)
{
    ck_assert_ptr_nonnull(o);
    ck_assert_pstr_eq(rill_optim_error(o), sentence);
    rill_optim_clear_error(o);
    ck_assert_pstr_eq(rill_optim_error(o), sentence);
    ck_assert(!rill_optim_set_lr(o, 0.1));
    ASSERT_REFUSED(rill_optim_step(o, tape), sentence);
    rill_optim_free(o);
}
#define SGD_REFUSED(sentence, ...) \
    assert_made_refused(rill_sgd_new(set, &(rill_sgd_opts){ __VA_ARGS__ }), \
                        sentence)
#define ADAM_REFUSED(sentence, ...) \
    assert_made_refused(rill_adam_new(set, &(rill_adam_opts){ __VA_ARGS__ }), \
                        sentence)
#define RMSPROP_REFUSED(sentence, ...) \
    assert_made_refused( \
        rill_rmsprop_new(set, &(rill_rmsprop_opts){ __VA_ARGS__ }), sentence)
#define ADAGRAD_REFUSED(sentence, ...) \
    assert_made_refused( \
        rill_adagrad_new(set, &(rill_adagrad_opts){ __VA_ARGS__ }), sentence)

START_TEST(test_option_refusals)
{
    const double one[] = { 1, 0.9 }, two[] = { 0.9, -0.1 };
    const double nan[] = { NAN, 0.9 };
    setup(RILL_F64);
    give(rill_params_add(set, "w", RILL_SHAPE(1)), (double[]){ 1 });
    SGD_REFUSED("sgd: lr is 0: give a learning rate", .momentum = 0.9);
    SGD_REFUSED("sgd: lr is -0.1, not in [0, inf)", .lr = -0.1);
    SGD_REFUSED("sgd: lr is nan, not in [0, inf)", .lr = NAN);
    SGD_REFUSED("sgd: lr is inf, not in [0, inf)", .lr = INFINITY);
    SGD_REFUSED("sgd: momentum is -0.1, not in [0, inf)", .lr = 1,
                .momentum = -0.1);
    SGD_REFUSED("sgd: weight_decay is -1, not in [0, inf)", .lr = 1,
                .weight_decay = -1);
    SGD_REFUSED("sgd: nesterov without momentum is 1, not in [0, 1)", .lr = 1,
                .nesterov = true);
    assert_made_refused(rill_sgd_new(set, NULL),
                        "sgd: lr is 0: give a learning rate");
    assert_made_refused(rill_sgd_new(NULL, &(rill_sgd_opts){ .lr = 1 }),
                        "sgd: the parameter set is NULL");
    ADAM_REFUSED("adam: lr is 0: give a learning rate", .eps = 1);
    ADAM_REFUSED("adam: betas[0] is 1, not in [0, 1)", .lr = 1, .betas = one);
    ADAM_REFUSED("adam: betas[1] is -0.1, not in [0, 1)", .lr = 1,
                 .betas = two);
    ADAM_REFUSED("adam: betas[0] is nan, not in [0, 1)", .lr = 1,
                 .betas = nan);
    ADAM_REFUSED("adam: eps is -1, not in [0, inf)", .lr = 1, .eps = -1);
    ADAM_REFUSED("adam: weight_decay is inf, not in [0, inf)", .lr = 1,
                 .weight_decay = INFINITY);
    assert_made_refused(rill_adam_new(set, NULL),
                        "adam: lr is 0: give a learning rate");
    assert_made_refused(rill_adamw_new(set, NULL),
                        "adamw: lr is 0: give a learning rate");
    assert_made_refused(
        rill_adamw_new(set, &(rill_adamw_opts){ .lr = 1, .eps = -1 }),
        "adamw: eps is -1, not in [0, inf)");
    RMSPROP_REFUSED("rmsprop: alpha is 1, not in [0, 1)", .lr = 1, .alpha = 1);
    RMSPROP_REFUSED("rmsprop: eps is -1, not in [0, inf)", .lr = 1, .eps = -1);
    RMSPROP_REFUSED("rmsprop: momentum is nan, not in [0, inf)", .lr = 1,
                    .momentum = NAN);
    assert_made_refused(rill_rmsprop_new(set, NULL),
                        "rmsprop: lr is 0: give a learning rate");
    ADAGRAD_REFUSED("adagrad: lr_decay is -1, not in [0, inf)", .lr = 1,
                    .lr_decay = -1);
    ADAGRAD_REFUSED("adagrad: initial_accumulator is -1, not in [0, inf)",
                    .lr = 1, .initial_accumulator = -1);
    ADAGRAD_REFUSED("adagrad: eps is -1, not in [0, inf)", .lr = 1, .eps = -1);
    assert_made_refused(rill_adagrad_new(set, NULL),
                        "adagrad: lr is 0: give a learning rate");
    ck_assert(rill_item(rill_params_at(set, 0)) == 0);
    teardown();
}
END_TEST

START_TEST(test_step_refusals)
{
    setup(RILL_F64);
    rill_tensor *w = rill_params_add(set, "w", RILL_SHAPE(1));
    opt = rill_sgd_new(set, &(rill_sgd_opts){ .lr = 1 });
    ck_assert_pstr_eq(rill_optim_error(NULL), "the optimiser is NULL");
    ck_assert(!rill_optim_step(NULL, NULL));
    ASSERT_REFUSED(rill_optim_step(NULL, tape), "the optimiser is NULL");
    const char *no_gradient = "step: there is no gradient: call "
                              "rill_backward first";
    ASSERT_REFUSED(rill_optim_step(opt, tape), no_gradient);
    ASSERT_OPTIM_REFUSED(NULL, no_gradient);
    /* gradients of other things are none of this set's */
    rill_tensor *x = rill_watch(tape, normal(1, RILL_F64, RILL_SHAPE(1)));
    rill_backward(tape, rill_square(tape, x), NULL);
    ASSERT_REFUSED(rill_optim_step(opt, tape), no_gradient);
    ck_assert(!rill_optim_step(opt, tape)); /* it sticks to both */
    ASSERT_REFUSED(NULL, no_gradient);
    ASSERT_OPTIM_REFUSED(NULL, no_gradient);
    /* a failed tape or set: nothing moves, the optimiser is well */
    give(w, (double[]){ 1 });
    rill_fail(tape, "a mistake");
    ck_assert(!rill_optim_step(opt, tape));
    ck_assert_pstr_eq(rill_optim_error(opt), NULL);
    rill_clear_error(tape);
    rill_params_freeze(set, "none");
    ASSERT_REFUSED(rill_optim_step(opt, tape),
                   "freeze: no name begins with \"none\"");
    rill_params_clear_error(set);
    ck_assert(rill_item(w) == 0);
    ck_assert(rill_optim_step(opt, tape));
    ck_assert(rill_item(w) == -1);
    rill_tape_reset(tape); /* and the gradients went with the step */
    ASSERT_REFUSED(rill_optim_step(opt, tape), no_gradient);
    rill_optim_free(NULL);
    rill_optim_clear_error(NULL);
    teardown();
}
END_TEST

/* ---- schedules ---------------------------------------------------------- */

START_TEST(test_schedules)
{
    ck_assert(rill_lr_step(1, 9, 5, 0.5) == 0.5);
    ck_assert(rill_lr_step(1, 10, 5, 0.5) == 0.25);
    ASSERT_NEAR(rill_lr_exponential(2, 3, 0.5), 0.25, 1e-15);
    ck_assert(rill_lr_cosine(1, 0, 10, 0.1) == 1);
    ASSERT_NEAR(rill_lr_cosine(1, 5, 10, 0.1), 0.55, 1e-15);
    ck_assert(rill_lr_cosine(1, 10, 10, 0.1) == 0.1);
    ck_assert(rill_lr_cosine(1, 15, 10, 0.1) == 0.1); /* and stays */
    ck_assert(rill_lr_warmup(2, 0, 4, 0) == 0);
    ck_assert(rill_lr_warmup(2, 1, 4, 0.5) == 1.25);
    ck_assert(rill_lr_warmup(2, 4, 4, 0.5) == 2);
    ck_assert(rill_lr_warmup(2, 100, 4, 0.5) == 2);
    ck_assert(rill_lr_warmup(2, 0, 0, 0.5) == 2); /* none */
}
END_TEST

START_TEST(test_one_cycle)
{
    const rill_one_cycle_opts o = { .pct_start = 0.5, .div_factor = 10,
                                    .final_div_factor = 100,
                                    .linear = true };
    ASSERT_NEAR(rill_lr_one_cycle(1, 0, 10, NULL), 1.0 / 25, 1e-15);
    ASSERT_NEAR(rill_lr_one_cycle(1, 2, 10, NULL), 1, 1e-15);
    ASSERT_NEAR(rill_lr_one_cycle(1, 9, 10, NULL), 1.0 / 25e4, 1e-15);
    ASSERT_NEAR(rill_lr_one_cycle(1, 0, 10, &o), 0.1, 1e-15);
    ASSERT_NEAR(rill_lr_one_cycle(1, 2, 10, &o), 0.55, 1e-15);
    ASSERT_NEAR(rill_lr_one_cycle(1, 4, 10, &o), 1, 1e-15);
    ASSERT_NEAR(rill_lr_one_cycle(1, 9, 10, &o), 0.001, 1e-15);
    ASSERT_NEAR(rill_lr_one_cycle(1, 99, 10, &o), 0.001, 1e-15);
    /* of a single step only the end is left, or only the peak */
    ASSERT_NEAR(rill_lr_one_cycle(1, 0, 1, NULL), 1.0 / 25e4, 1e-15);
    ck_assert(rill_lr_one_cycle(1, 0, 1, &(rill_one_cycle_opts){
        .pct_start = 1 }) == 1);
    ck_assert(rill_lr_one_cycle(1, 9, 10, &(rill_one_cycle_opts){
        .pct_start = 1 }) == 1);
}
END_TEST

START_TEST(test_schedules_without_meaning)
{
    ck_assert(isnan(rill_lr_step(1, -1, 5, 0.5)));
    ck_assert(isnan(rill_lr_step(1, 1, 0, 0.5)));
    ck_assert(isnan(rill_lr_exponential(1, -1, 0.5)));
    ck_assert(isnan(rill_lr_cosine(1, -1, 5, 0)));
    ck_assert(isnan(rill_lr_cosine(1, 1, 0, 0)));
    ck_assert(isnan(rill_lr_warmup(1, -1, 5, 0)));
    ck_assert(isnan(rill_lr_warmup(1, 1, -5, 0)));
    ck_assert(isnan(rill_lr_one_cycle(1, -1, 5, NULL)));
    ck_assert(isnan(rill_lr_one_cycle(1, 1, 0, NULL)));
    ck_assert(isnan(rill_lr_one_cycle(1, 1, 5, &(rill_one_cycle_opts){
        .pct_start = 1.5 })));
    ck_assert(isnan(rill_lr_one_cycle(1, 1, 5, &(rill_one_cycle_opts){
        .pct_start = NAN })));
}
END_TEST

int main(void)
{
    return HARNESS_RUN("optim", test_formulas, test_defaults,
                       test_zero_betas_mean_zero, test_special_values,
                       test_skipped, test_many_parameters, test_accumulated,
                       test_version, test_groups, test_group_refusals,
                       test_option_refusals, test_step_refusals,
                       test_schedules, test_one_cycle,
                       test_schedules_without_meaning);
}
