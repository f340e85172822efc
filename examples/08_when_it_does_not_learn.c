/* 08_when_it_does_not_learn: one network, broken in one way at a time.
 *
 *     08_when_it_does_not_learn              what there is
 *     08_when_it_does_not_learn dead         one of them
 *
 * Prints how the training goes and the tape of its first step, in which most
 * faults can be seen already. docs/when-it-does-not-learn.md says what to look
 * for, and what the cure is. float64. */
#include <rill.h>

#include <math.h>
#include <string.h>

enum { CLASSES = 5, POINTS = 500, WIDTH = 32, LAYERS = 6, STEPS = 300,
       MIDDLE = LAYERS / 2 };

/* ---- the faults --------------------------------------------------------- */

typedef rill_tensor *loss_function(rill_tape *t, const rill_tensor *logits,
                                   const rill_tensor *y);

static rill_tensor *fused(rill_tape *t, const rill_tensor *logits,
                          const rill_tensor *y)
{
    return rill_cross_entropy(t, logits, y, NULL);
}

static rill_tensor *softmax_twice(rill_tape *t, const rill_tensor *logits,
                                  const rill_tensor *y)
{
    return rill_cross_entropy(t, rill_softmax(t, logits, -1), y, NULL);
}

static rill_tensor *log_of_softmax(rill_tape *t, const rill_tensor *logits,
                                   const rill_tensor *y)
{
    return rill_nll_loss(t, rill_log(t, rill_softmax(t, logits, -1)), y, NULL);
}

/* All-zero is the healthy one. */
typedef struct {
    const char *name, *what;
    rill_activation *activation; /* NULL: relu */
    double std, last_std;        /* of the weights; 0: Kaiming's */
    double bias;                 /* of mlp.2 */
    double lr;                   /* 0: 3e-3 */
    double scale, shift;         /* of x; scale 0: 1 */
    int label, row;              /* added to each label; to its row */
    loss_function *loss;         /* NULL: cross_entropy */
} fault;

static const fault faults[] = {
    { .name = "healthy", .what = "relu, Kaiming, AdamW with a rate of 0.003" },
    { .name = "vanishing", .what = "sigmoid, weights from normal(0, 0.1)",
      .activation = rill_sigmoid, .std = 0.1 },
    { .name = "exploding", .what = "weights from normal(0, 1)", .std = 1 },
    { .name = "dead", .what = "a layer's biases start at -10", .bias = -10 },
    { .name = "saturated", .what = "sigmoid, weights from normal(0, 10)",
      .activation = rill_sigmoid, .std = 10 },
    { .name = "too-high", .what = "a learning rate of 1", .lr = 1 },
    { .name = "too-low", .what = "a learning rate of 1e-7", .lr = 1e-7 },
    { .name = "nan", .what = "ln(softmax), a last layer far too large",
      .last_std = 1000, .loss = log_of_softmax },
    { .name = "raw", .what = "x in other units, and off the origin",
      .scale = 100, .shift = 1000 },
    { .name = "off-by-one", .what = "labels that count from 1", .label = 1 },
    { .name = "shifted", .what = "each row with the label of the next row",
      .row = 1 },
    { .name = "softmax-twice", .what = "a softmax before cross_entropy",
      .loss = softmax_twice },
};
enum { FAULTS = sizeof faults / sizeof *faults };

/* ---- the network and its data ------------------------------------------- */

typedef struct {
    const fault *fault;
    rill_tape *t, *kept; /* of a step; of what outlives it */
    rill_params *net;
    rill_nn_mlp mlp;
    rill_optim *opt;
    rill_tensor *x, *y;
} model;

static void build(model *m)
{
    static const int64_t widths[] = { 2, WIDTH, WIDTH, WIDTH, WIDTH, WIDTH,
                                      CLASSES };
    const fault *f = m->fault;
    m->mlp = rill_nn_mlp_new(
        m->net, "mlp", widths, LAYERS + 1,
        &(rill_nn_mlp_opts){ .activation = f->activation ? f->activation
                                                         : rill_relu });
    for (int i = 0; i < m->mlp.n; i++) {
        rill_tensor *w = m->mlp.layer[i].weight, *b = m->mlp.layer[i].bias;
        double std = i == LAYERS - 1 && f->last_std > 0 ? f->last_std : f->std;
        if (std > 0)
            rill_init_normal(m->net, w, 0, std);
        else
            rill_init_kaiming_normal(m->net, w, 0);
        rill_init_constant(m->net, b, i == 2 ? f->bias : 0);
    }
    m->opt = rill_adamw_new(m->net, &(rill_adamw_opts){
                                        .lr = f->lr > 0 ? f->lr : 3e-3 });
}

/* Points along five arms that wind once around the origin, in any order. */
static void spirals(model *m)
{
    const fault *f = m->fault;
    const double turn = 2 * 3.14159265358979323846;
    double x[POINTS][2], scale = f->scale > 0 ? f->scale : 1;
    int32_t arm[POINTS], label[POINTS];
    rill_rng r = { .seed = 1 };
    for (int i = 0; i < POINTS; i++) {
        arm[i] = (int32_t)rill_rng_below(&r, CLASSES);
        double radius = 0.1 + 0.9 * rill_rng_uniform(&r);
        double angle = turn * (radius + (double)arm[i] / CLASSES) +
                       0.1 * rill_rng_normal(&r);
        x[i][0] = scale * radius * cos(angle) + f->shift;
        x[i][1] = scale * radius * sin(angle) + f->shift;
    }
    for (int i = 0; i < POINTS; i++)
        label[i] = arm[(i + f->row) % POINTS] + f->label;
    m->x = rill_from(m->kept, x[0], RILL_F64, RILL_SHAPE(POINTS, 2));
    m->y = rill_copy(m->kept, label, RILL_I32, RILL_SHAPE(POINTS));
}

/* ---- training ----------------------------------------------------------- */

/* Steps, and returns |dW| / |W| of the layer in the middle. */
static double update(model *m)
{
    rill_tensor *w = m->mlp.layer[MIDDLE].weight;
    double before[WIDTH * WIDTH], sum = 0, norm = rill_norm(w);
    memcpy(before, rill_data(w), sizeof before);
    rill_optim_step(m->opt, m->t);
    for (int i = 0; i < WIDTH * WIDTH; i++)
        sum += (rill_at(w, i) - before[i]) * (rill_at(w, i) - before[i]);
    return sqrt(sum) / norm;
}

/* One step on the whole batch; some of them are printed. */
static void train_step(model *m, int step)
{
    loss_function *loss_of = m->fault->loss ? m->fault->loss : fused;
    rill_tensor *logits = rill_nn_mlp_apply(m->t, &m->mlp, m->x);
    rill_tensor *loss = loss_of(m->t, logits, m->y);
    if (!rill_backward(m->t, loss, NULL))
        return;
    if (step == 0) {
        printf("\n");
        rill_tape_print(stdout, m->t);
        printf("\nstep       loss   accuracy   |dL/dW|   |dW| / |W|  of mlp.%d"
               "\n", MIDDLE);
    }
    rill_tensor *grad = rill_grad(m->t, m->mlp.layer[MIDDLE].weight);
    double value = rill_item(loss), ratio = update(m);
    if (step == 0 || step == 1 || step == 10 || step % 100 == 0)
        printf("%4d %10.4f %10.4f %9.1e %12.1e\n", step, value,
               rill_accuracy(logits, m->y), rill_norm(grad), ratio);
}

static void show(const fault *f)
{
    model m = { .fault = f, .t = rill_tape_new(NULL),
                .kept = rill_tape_new(NULL),
                .net = rill_params_new(RILL_F64, 7) };
    printf("%s: %s\n", f->name, f->what);
    if (!m.t || !m.kept || !m.net)
        rill_die("out of memory", NULL);
    rill_tape_check_finite(m.t, true);
    build(&m);
    spirals(&m);
    for (int step = 0; step <= STEPS && !rill_error(m.t); step++) {
        train_step(&m, step);
        rill_tape_reset(m.t);
    }
    if (rill_warning(m.t))
        printf("\nwarning: %s\n", rill_warning(m.t));
    if (rill_error(m.t))
        printf("\nerror: %s\n", rill_error(m.t));
    rill_optim_free(m.opt);
    rill_params_free(m.net);
    rill_tape_free(m.t);
    rill_tape_free(m.kept);
}

int main(int argc, char **argv)
{
    for (int i = 0; i < FAULTS; i++)
        if (argc == 2 && strcmp(argv[1], faults[i].name) == 0) {
            show(&faults[i]);
            return 0;
        }
    FILE *f = argc > 1 && strcmp(argv[1], "--help") != 0 ? stderr : stdout;
    fprintf(f, "usage: 08_when_it_does_not_learn FAULT\n");
    for (int i = 0; i < FAULTS; i++)
        fprintf(f, "  %-15s %s\n", faults[i].name, faults[i].what);
    return f == stderr ? 2 : 0;
}
