/* 04_gradient_flow: the same data through deep networks that differ in how
 * they start, what they are made of and which loss they end in.
 *
 *     04_gradient_flow
 *     04_gradient_flow --report FILE.html    and one page of all their runs
 *
 * The five spiral arms of 03_train_mlp, eight hidden layers, AdamW. For each
 * network the gradient of every layer's weights is measured over all rows,
 * before the first step and after the last, and drawn as a bar; below it
 * stands what to see. All numbers in the text are measured too. float64, so
 * that what looks like 0 has died on its way, not been rounded off. */
#include <rill.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 5, POINTS = 4000, WIDTH = 32, LAYERS = 9, BATCH = 64,
       STEPS = 1000,
       LOW = 1, HIGH = LAYERS - 2 }; /* the first and last of equal shape */

/* ---- the networks ------------------------------------------------------- */

typedef bool initialiser(rill_params *p, rill_tensor *w);

static bool naive(rill_params *p, rill_tensor *w)
{
    return rill_init_normal(p, w, 0, 0.1);
}

static bool xavier(rill_params *p, rill_tensor *w)
{
    return rill_init_xavier_normal(p, w, 1);
}

static bool kaiming(rill_params *p, rill_tensor *w)
{
    return rill_init_kaiming_normal(p, w, 0);
}

static bool huge(rill_params *p, rill_tensor *w)
{
    return rill_init_normal(p, w, 0, 100);
}

typedef rill_tensor *loss_function(rill_tape *t, const rill_tensor *logits,
                                   const rill_tensor *y);

static rill_tensor *fused(rill_tape *t, const rill_tensor *logits,
                          const rill_tensor *y)
{
    return rill_cross_entropy(t, logits, y, NULL);
}

/* The same in four nodes, with the usual guard against the logarithm of 0. */
static rill_tensor *clamped(rill_tape *t, const rill_tensor *logits,
                            const rill_tensor *y)
{
    rill_tensor *p = rill_softmax(t, logits, -1);
    return rill_nll_loss(t, rill_log(t, rill_clamp(t, p, 1e-7, 1)), y, NULL);
}

static const struct {
    const char *name, *see;
    rill_activation *activation;
    double slope; /* of the activation, root mean square, at a fair start */
    initialiser *init, *init_last; /* of the hidden layers, of the last */
    bool layer_norm;
    loss_function *loss;
} kinds[] = {
    { "sigmoid, weights from normal(0, 0.1)",
      "The gradient dies on its way down: a sigmoid's slope is 1/4 at most, "
      "and small weights shrink it further. The first layers are told nothing "
      "and learn nothing, and what comes up through them says nothing of x.",
      rill_sigmoid, 0.25, naive, naive, false, fused },
    { "sigmoid, Xavier",
      "Xavier keeps the weights from shrinking it, but the sigmoid's 1/4 "
      "remains, at each layer. It learns, slowly.",
      rill_sigmoid, 0.25, xavier, xavier, false, fused },
    { "relu, Kaiming",
      "Half of the relus are shut, and Kaiming's weights are larger by just "
      "that much. Every layer hears the loss from the start.",
      rill_relu, 0.70710678118654752, kaiming, kaiming, false, fused },
    { "relu, weights from normal(0, 0.1), layer_norm",
      "The weights are too small again, but the norm behind them divides by "
      "what they shrank, and so it does with the gradient. The start matters "
      "little.",
      rill_relu, 0.70710678118654752, naive, naive, true, fused },
    { "relu, Kaiming, last layer far too large, clamped loss",
      "The network is sure of itself before it has learnt anything. Where it "
      "is surely wrong the clamp holds p at 1e-7, the slope of a clamp is 0 "
      "there, and the row is never corrected. The bars are gone in the last "
      "layer too: no layer lost the gradient, the loss never sent one.",
      rill_relu, 0.70710678118654752, kaiming, huge, false, clamped },
    { "the same start and fused loss",
      "The same weights, the same rows, the same mistakes. From the one node "
      "each row gets its p - y, however wrong it is, and is corrected.",
      rill_relu, 0.70710678118654752, kaiming, huge, false, fused },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

typedef struct {
    int kind;
    rill_tape *t;
    rill_params *net;
    rill_nn_mlp mlp;
} model;

static model build(int kind, rill_tape *t)
{
    int64_t widths[LAYERS + 1] = { 2 };
    for (int i = 1; i < LAYERS; i++)
        widths[i] = WIDTH;
    widths[LAYERS] = CLASSES;
    model m = { .kind = kind, .t = t, .net = rill_params_new(RILL_F64, 7) };
    m.mlp = rill_nn_mlp_new(
        m.net, "mlp", widths, LAYERS + 1,
        &(rill_nn_mlp_opts){ .activation = kinds[kind].activation,
                             .layer_norm = kinds[kind].layer_norm });
    for (int i = 0; i < m.mlp.n; i++) {
        bool last = i == LAYERS - 1;
        (last ? kinds[kind].init_last : kinds[kind].init)(
            m.net, m.mlp.layer[i].weight);
        rill_init_constant(m.net, m.mlp.layer[i].bias, 0);
    }
    if (!m.net || rill_params_error(m.net))
        rill_die(m.net ? rill_params_error(m.net) : "out of memory", NULL);
    return m;
}

/* Points along five arms that wind once around the origin. */
static rill_dataset *spirals(void)
{
    const double turn = 2 * 3.14159265358979323846;
    static double x[POINTS][2];
    static int32_t arm[POINTS];
    rill_rng r = { .seed = 1 };
    for (int i = 0; i < POINTS; i++) {
        double radius = 0.1 + 0.9 * rill_rng_uniform(&r);
        double angle = turn * (radius + (double)(i % CLASSES) / CLASSES) +
                       0.2 * rill_rng_normal(&r);
        x[i][0] = radius * cos(angle);
        x[i][1] = radius * sin(angle);
        arm[i] = i % CLASSES;
    }
    return rill_dataset_from(x[0], arm, POINTS, 2, CLASSES, RILL_F64);
}

/* ---- what is measured --------------------------------------------------- */

typedef struct {
    double grad[LAYERS]; /* norm of the gradient of each layer's weights */
    double loss, accuracy;
    int wrong, blind; /* rows; of these, those that send no gradient */
} measure;

/* Whether row i is put into a wrong class. */
static bool is_wrong(const rill_tensor *logits, const rill_tensor *y, int i)
{
    const double *z = rill_f64(logits) + i * CLASSES;
    for (int c = 0; c < CLASSES; c++)
        if (z[c] > z[rill_i32(y)[i]])
            return true;
    return false;
}

static bool is_blind(const rill_tensor *grad, int i)
{
    for (int c = 0; c < CLASSES; c++)
        if (rill_f64(grad)[i * CLASSES + c] != 0)
            return false;
    return true;
}

static measure look(const model *m, const rill_dataset *d)
{
    rill_tensor *x, *y;
    measure now = { .loss = 0 };
    rill_dataset_batch(d, m->t, 0, POINTS, &x, &y);
    rill_tensor *logits = rill_nn_mlp_apply(m->t, &m->mlp, x);
    rill_tensor *loss = kinds[m->kind].loss(m->t, logits, y);
    rill_backward(m->t, loss, NULL);
    for (int i = 0; i < LAYERS; i++)
        now.grad[i] = rill_norm(rill_grad(m->t, m->mlp.layer[i].weight));
    for (int i = 0; i < POINTS; i++) {
        bool wrong = is_wrong(logits, y, i);
        now.wrong += wrong;
        now.blind += wrong && is_blind(rill_grad(m->t, logits), i);
    }
    now.accuracy = rill_accuracy(logits, y);
    now.loss = rill_item(loss);
    rill_tape_reset(m->t);
    return now;
}

/* By how much a layer should divide the gradient, if every slope is that of
 * the kind and the weights stretch all directions alike: 1 / (slope |W| /
 * sqrt WIDTH), the mean of the layers between LOW and HIGH. */
static double expected(const model *m)
{
    double sum = 0;
    for (int i = LOW + 1; i <= HIGH; i++)
        sum += log(kinds[m->kind].slope * rill_norm(m->mlp.layer[i].weight) /
                   sqrt(WIDTH));
    return exp(-sum / (HIGH - LOW));
}

/* ---- training, and its record ------------------------------------------- */

static rill_tensor *predict(rill_tape *t, rill_tensor **x, void *mlp)
{
    return rill_nn_mlp_apply(t, mlp, x[0]);
}

/* Logs how many rows are right, and which class is seen where. */
static void log_picture(model *m, const rill_dataset *d, rill_recorder *log)
{
    rill_tensor *x, *y;
    rill_dataset_batch(d, m->t, 0, POINTS, &x, &y);
    rill_tensor *logits = rill_nn_mlp_apply(m->t, &m->mlp, x);
    rill_recorder_value(log, "accuracy", rill_accuracy(logits, y));
    rill_recorder_regions(log, predict, &m->mlp, x, y);
    rill_tape_reset(m->t);
}

/* log: NULL where the run is not recorded. */
static void train(model *m, rill_dataset *d, rill_recorder *log)
{
    rill_rng r = { .seed = 2 };
    int64_t batches = rill_dataset_batches(d, BATCH);
    rill_optim *opt = rill_adamw_new(m->net, &(rill_adamw_opts){ .lr = 3e-3 });
    if (!opt)
        rill_die("out of memory", NULL);
    for (int step = 0; step < STEPS; step++) {
        rill_tensor *x, *y;
        if (step % batches == 0)
            rill_dataset_shuffle(d, &r);
        rill_dataset_batch(d, m->t, step % batches, BATCH, &x, &y);
        rill_tensor *logits = rill_nn_mlp_apply(m->t, &m->mlp, x);
        rill_tensor *loss = kinds[m->kind].loss(m->t, logits, y);
        rill_backward(m->t, loss, NULL);
        rill_recorder_step(log, opt, m->t, loss);
        rill_tape_reset(m->t);
        if (log && (step == 0 || step % 100 == 99))
            log_picture(m, d, log);
    }
    rill_optim_free(opt);
}

/* Trains, into a log at this path unless it is NULL. */
static void train_logged(model *m, rill_dataset *d, const char *path)
{
    char error[256];
    rill_recorder *log = NULL;
    if (path) {
        log = rill_recorder_new(
            path, m->net,
            &(rill_recorder_opts){ .title = kinds[m->kind].name, .every = 10 },
            error, sizeof error);
        if (!log)
            rill_die(error, NULL);
    }
    train(m, d, log);
    if (log && !rill_recorder_close(log))
        rill_die(rill_recorder_error(log), NULL);
    rill_recorder_free(log);
}

/* ---- what is shown ------------------------------------------------------ */

/* Prints a paragraph, broken where a line would pass 79 columns. */
static void tell(const char *text)
{
    for (int column = 0; *text; text += strspn(text, " ")) {
        int word = (int)strcspn(text, " ");
        bool fits = column + 1 + word < 80;
        printf(column == 0 ? "   " : fits ? " " : "\n   ");
        printf("%.*s", word, text);
        column = (fits && column > 0 ? column + 1 : 3) + word;
        text += word;
    }
    printf("\n");
}

/* Two characters for each factor of ten above 1e-9. */
static int bar(double x)
{
    return (int)lround(fmin(fmax(2 * (log10(x) + 9), 0), 24));
}

static void show(const measure *start, const measure *end)
{
    static const char full[] = "########################";
    printf("            before the first step              after %d steps\n",
           STEPS);
    for (int i = LAYERS - 1; i >= 0; i--)
        printf("   mlp.%d  %8.1e %-24.*s  %8.1e%s%.*s\n", i, start->grad[i],
               bar(start->grad[i]), full, end->grad[i],
               bar(end->grad[i]) ? " " : "", bar(end->grad[i]), full);
    printf("   loss   %8.4f %34.4f\n   right  %8.4f %34.4f\n"
           "   wrong  %8d %34d\n   blind  %8d %34d\n\n", start->loss,
           end->loss, start->accuracy, end->accuracy, start->wrong,
           end->wrong, start->blind, end->blind);
}

/* By how much each of the square layers divided the gradient. */
static double divided(const measure *m)
{
    return pow(m->grad[HIGH] / m->grad[LOW], 1.0 / (HIGH - LOW));
}

/* Builds, trains and shows one network; log: a path, or NULL. */
static void run(int kind, rill_tape *t, const char *log, measure *start,
                measure *end)
{
    rill_dataset *d = spirals(); /* anew: all see the same batches */
    if (!t || !d)
        rill_die("out of memory", NULL);
    model m = build(kind, t);
    double should = expected(&m);
    *start = look(&m, d);
    train_logged(&m, d, log);
    *end = look(&m, d);
    printf("\n%d. %s\n\n", kind + 1, kinds[kind].name);
    show(start, end);
    char flow[256];
    snprintf(flow, sizeof flow, "At the start a layer divides the gradient by "
             "%.1f: by %.2g from mlp.%d to mlp.%d. Going by slope and weights "
             "%sit should be %.1f.", divided(start),
             start->grad[HIGH] / start->grad[LOW], HIGH, LOW,
             kinds[kind].layer_norm ? "but for the norms " : "", should);
    tell(flow);
    tell(kinds[kind].see);
    rill_params_free(m.net);
    rill_dataset_free(d);
}

static void summary(const measure start[KINDS], const measure end[KINDS])
{
    printf("\nside by side                   a layer divides by at the "
           "start     loss   right\n\n");
    for (int k = 0; k < KINDS; k++)
        printf("%d. %-53s %5.1f %8.4f %7.4f\n", k + 1, kinds[k].name,
               divided(&start[k]), end[k].loss, end[k].accuracy);
}

/* One page at path of the logs, which are removed, as is their folder. */
static void report(const char *path, const char *folder, char logs[KINDS][64])
{
    char error[256];
    const char *names[KINDS];
    for (int k = 0; k < KINDS; k++)
        names[k] = logs[k];
    bool written = rill_report(path, names, KINDS, error, sizeof error);
    for (int k = 0; k < KINDS; k++)
        remove(logs[k]);
    remove(folder);
    if (!written)
        rill_die(error, NULL);
    printf("\n%s shows all of them, step by step\n", path);
}

int main(int argc, char **argv)
{
    const char *page = argc == 3 && !strcmp(argv[1], "--report") ? argv[2]
                                                                 : NULL;
    char folder[] = "/tmp/rill-flow-XXXXXX", logs[KINDS][64];
    measure start[KINDS], end[KINDS];
    if (argc > 1 && !page) {
        bool help = argc == 2 && !strcmp(argv[1], "--help");
        fprintf(help ? stdout : stderr,
                "usage: 04_gradient_flow [--report FILE.html]\n");
        return help ? 0 : 2;
    }
    if (page && !mkdtemp(folder))
        rill_die("no folder can be made in /tmp for the logs", NULL);
    rill_tape *t = rill_tape_new(&(rill_tape_opts){ .on_error = rill_die });
    tell("Five spiral arms through eight hidden layers. Shown is the norm of "
         "the gradient in each layer's weights, the last layer, where it "
         "comes from, on top. A bar grows by two characters for each factor "
         "of ten above 1e-9. right: the share of rows whose class is found. "
         "blind: of the wrong rows, those that send no gradient at all.");
    for (int k = 0; k < KINDS; k++) {
        snprintf(logs[k], sizeof logs[k], "%s/%d.jsonl", folder, k + 1);
        run(k, t, page ? logs[k] : NULL, &start[k], &end[k]);
    }
    summary(start, end);
    if (page)
        report(page, folder, logs);
    rill_tape_free(t);
    return 0;
}
