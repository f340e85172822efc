/* PyTorch's own optimisers, schedules and clipping, case by case. */
#include "golden.h"

/* ---- optimisers --------------------------------------------------------- */

static rill_optim *golden_optim(golden_case *c, rill_params *p)
{
    double rate = golden_number(c, "lr", 0), betas[] = { 0.9, 0.999 };
    bool adamw = strcmp(c->op, "adamw") == 0;
    double decay = golden_number(c, "weight_decay", adamw ? 0.01 : 0);
    if (strcmp(c->op, "sgd") == 0)
        return rill_sgd_new(p, &(rill_sgd_opts){
            .lr = rate, .weight_decay = decay,
            .momentum = golden_number(c, "momentum", 0),
            .nesterov = golden_number(c, "nesterov", 0) != 0 });
    if (strcmp(c->op, "adam") == 0 || adamw) {
        int n = golden_list(c, "betas", betas, 2);
        if (n != -1 && n != 2)
            golden_complain(c->file, "%d betas", n);
        const rill_adam_opts o = { .lr = rate, .weight_decay = decay,
                                   .betas = betas,
                                   .eps = golden_number(c, "eps", 0) };
        return adamw ? rill_adamw_new(p, &o) : rill_adam_new(p, &o);
    }
    if (strcmp(c->op, "rmsprop") == 0)
        return rill_rmsprop_new(p, &(rill_rmsprop_opts){
            .lr = rate, .weight_decay = decay,
            .alpha = golden_number(c, "alpha", 0),
            .momentum = golden_number(c, "momentum", 0) });
    if (strcmp(c->op, "adagrad") == 0)
        return rill_adagrad_new(p, &(rill_adagrad_opts){
            .lr = rate, .weight_decay = decay,
            .lr_decay = golden_number(c, "lr_decay", 0),
            .initial_accumulator =
                golden_number(c, "initial_accumulator_value", 0) });
    return NULL;
}

/* Adds to a set the parameter that the case has under this role, if any. */
static rill_tensor *golden_parameter(golden_case *c, rill_params *p,
                                     const char *role)
{
    rill_tensor *x = golden_input(c, role);
    rill_tensor *w = x ? rill_params_add(p, role, rill_shape_of(x)) : NULL;
    if (w)
        memcpy(rill_write(w), rill_data(x),
               (size_t)rill_numel(x) *
               (rill_dtype_of(x) == RILL_F32 ? sizeof(float)
                                             : sizeof(double)));
    return w;
}

static rill_dtype golden_dtype_of(golden_case *c, const char *role)
{
    const golden_tensor *x = golden_find(c, role);
    return x && x->dtype == GOLDEN_F64 ? RILL_F64 : RILL_F32;
}

static void golden_steps(golden_case *c)
{
    rill_params *p = rill_params_new(golden_dtype_of(c, "param0"), 1);
    rill_tensor *w = golden_parameter(c, p, "param0");
    rill_optim *o = golden_optim(c, p);
    if (!w || !o) {
        golden_complain(c->file, "%s is not known here", c->op);
        rill_params_free(p);
        return;
    }
    char role[32];
    int steps = (int)golden_number(c, "steps", 0);
    for (int i = 1; i <= steps; i++) {
        snprintf(role, sizeof role, "grad%d", i);
        rill_tensor *g = golden_input(c, role);
        rill_backward(tape, rill_sum(tape, rill_mul(tape, w, g), NULL), NULL);
        if (!rill_optim_step(o, tape))
            golden_complain(c->file, "%s", rill_optim_error(o));
        rill_tape_reset(tape);
        snprintf(role, sizeof role, "param%d", i);
        golden_compare(c, role, w);
    }
    rill_optim_free(o);
    rill_params_free(p);
}

START_TEST(test_optimizers)
{
    static const char *const left_out[] = { "dampening", "amsgrad",
                                            "centered" };
    golden_file *f = golden_open("optimizers.txt");
    for (golden_case *c; (c = golden_next(f)) != NULL;) {
        const char *skip = NULL;
        for (int i = 0; i < 3; i++)
            if (golden_string(c, left_out[i]))
                skip = left_out[i];
        if (skip)
            golden_skip(c, skip);
        else
            golden_steps(c);
    }
    golden_close(f, 44);
}
END_TEST

/* ---- schedules ---------------------------------------------------------- */

/* The rate of a step, NaN where the case is not known here. */
static double golden_rate(golden_case *c, int64_t step)
{
    double base = golden_number(c, "base_lr", NAN);
    if (strcmp(c->op, "StepLR") == 0)
        return rill_lr_step(base, step,
                            (int64_t)golden_number(c, "step_size", 0),
                            golden_number(c, "gamma", NAN));
    if (strcmp(c->op, "ExponentialLR") == 0)
        return rill_lr_exponential(base, step,
                                   golden_number(c, "gamma", NAN));
    if (strcmp(c->op, "LinearLR") == 0 &&
        golden_number(c, "end_factor", 1) == 1)
        return rill_lr_warmup(base, step,
                              (int64_t)golden_number(c, "total_iters", -1),
                              golden_number(c, "start_factor", NAN));
    if (strcmp(c->op, "CosineAnnealingLR") == 0)
        return rill_lr_cosine(base, step,
                              (int64_t)golden_number(c, "T_max", 0),
                              golden_number(c, "eta_min", 0));
    if (strcmp(c->op, "OneCycleLR") != 0)
        return NAN;
    const char *anneal = golden_string(c, "anneal_strategy");
    if (anneal && strcmp(anneal, "linear") != 0)
        return NAN;
    return rill_lr_one_cycle(
        golden_number(c, "max_lr", NAN), step,
        (int64_t)golden_number(c, "total_steps", 0),
        &(rill_one_cycle_opts){
            .pct_start = golden_number(c, "pct_start", 0),
            .div_factor = golden_number(c, "div_factor", 0),
            .final_div_factor = golden_number(c, "final_div_factor", 0),
            .linear = anneal != NULL });
}

START_TEST(test_schedules)
{
    golden_file *f = golden_open("lr_schedulers.txt");
    for (golden_case *c; (c = golden_next(f)) != NULL;) {
        double rates[64];
        int steps = (int)golden_number(c, "steps", 0);
        if (strcmp(c->op, "MultiStepLR") == 0 ||
            strcmp(c->op, "SequentialLR") == 0) {
            golden_skip(c, c->op);
            continue;
        }
        if (golden_string(c, "three_phase")) {
            golden_skip(c, "three_phase");
            continue;
        }
        ck_assert_int_le(steps, 64);
        for (int i = 0; i < steps; i++)
            rates[i] = golden_rate(c, i);
        golden_compare_values(c, "lrs", rates, steps);
    }
    golden_close(f, 10);
}
END_TEST

/* ---- clipping ----------------------------------------------------------- */

/* The gradients of the case on the tape, a parameter each. */
static rill_params *golden_gradients(golden_case *c)
{
    char role[32];
    rill_params *p = rill_params_new(golden_dtype_of(c, "grad0"), 1);
    rill_tensor *sum = NULL;
    for (int i = 0; snprintf(role, sizeof role, "grad%d", i),
                    golden_find(c, role); i++) {
        rill_tensor *w = golden_parameter(c, p, role);
        rill_tensor *g = golden_input(c, role);
        rill_tensor *y = rill_sum(tape, rill_mul(tape, w, g), NULL);
        sum = sum ? rill_add(tape, sum, y) : y;
    }
    rill_backward(tape, sum, NULL);
    return p;
}

static void golden_clip(golden_case *c, bool on_tape)
{
    rill_params *p = golden_gradients(c);
    rill_tape *t = on_tape ? tape : NULL;
    if (!on_tape)
        rill_params_accumulate(p, tape);
    if (strcmp(c->op, "clip_grad_value_") == 0) {
        if (!rill_clip_grad_value(p, t, golden_number(c, "clip_value", NAN)))
            golden_complain(c->file, "%s", rill_params_error(p));
    } else if (strcmp(c->op, "clip_grad_norm_") == 0) {
        bool inf = isinf(golden_number(c, "norm_type", 2));
        double most = golden_number(c, "max_norm", NAN);
        double total = (inf ? rill_clip_grad_norm_inf
                            : rill_clip_grad_norm)(p, t, most);
        golden_compare_values(c, "total_norm", &total, 1);
    } else {
        golden_complain(c->file, "%s is not known here", c->op);
    }
    for (int i = 0; i < rill_params_len(p); i++) {
        char role[32];
        const rill_tensor *w = rill_params_at(p, i);
        snprintf(role, sizeof role, "clipped%d", i);
        golden_compare(c, role, t ? rill_grad(t, w) : rill_params_grad(p, w));
    }
    rill_tape_reset(tape);
    rill_params_free(p);
}

START_TEST(test_clipping)
{
    golden_file *f = golden_open("clip_grad.txt");
    for (golden_case *c; (c = golden_next(f)) != NULL;) {
        double norm_type = golden_number(c, "norm_type", 2);
        if (norm_type != 2 && !isinf(norm_type)) {
            golden_skip(c, "a norm other than 2 and inf");
            continue;
        }
        golden_clip(c, true);
        golden_clip(c, false);
    }
    golden_close(f, 12);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("golden_nn", test_optimizers, test_schedules,
                       test_clipping);
}
