/* 03_train_mlp: a classifier, trained from end to end.
 *
 *   03_train_mlp               five spiral arms that the program makes
 *   03_train_mlp --csv FILE    your own rows, the last column the class
 *   03_train_mlp --help        everything that can be set
 *
 * The rows are cut into three parts. The network learns from the first. Its
 * loss on the second, the validation part, tells after each epoch whether
 * what it learned holds for rows it never saw: the weights with the lowest
 * are kept, and training stops when it was not bettered for a while. The
 * third part is looked at once, at the end.
 *
 * Read it from main, at the bottom, upwards; run_epoch is its heart. */
#include <float.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <rill.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- options ------------------------------------------------------------ */

enum { SGD, ADAM, ADAMW, RMSPROP, ADAGRAD };
enum { CONSTANT, COSINE, STEP, EXPONENTIAL, WARMUP, ONE_CYCLE };
enum { MAX_WIDTHS = 16 };

static struct {
    const char *csv, *test, *label, *log, *report, *save;
    bool header;
    char separator; /* 0: a comma */
    int activation, optimiser, schedule, balanced, dtype; /* choices */
    long epochs, batch, patience, seed, threads;
    double lr, smoothing, validation_share, test_share;
    int64_t widths[MAX_WIDTHS]; /* of inputs, hidden layers, classes */
    int n_widths;
} set;

static bool terminal; /* else a file, or another program, reads along */

static const struct {
    const char *name;
    enum { FLAG, TEXT, LETTER, WIDTHS, CHOICE, COUNT, SHARE, PART, RATE } kind;
    void *to;
    const char *preset, *value, *help; /* value: a choice's are its words */
} options[] = {
    { "csv", TEXT, &set.csv, NULL, "FILE",
      "rows of numbers and a class, in place of the spirals" },
    { "label", TEXT, &set.label, NULL, "COLUMN",
      "the class: a column's name, or its number, from 0 or back from -1 "
      "[-1]" },
    { "header", FLAG, &set.header, NULL, NULL,
      "the first line of FILE names the columns" },
    { "separator", LETTER, &set.separator, NULL, "CHARACTER",
      "what stands between two cells, in place of a comma" },
    { "test", TEXT, &set.test, NULL, "FILE",
      "rows to test on, in place of a part of the data" },
    { "test-fraction", PART, &set.test_share, "0.2", "PART",
      "the part of the data to test on" },
    { "validation-fraction", PART, &set.validation_share, "0.15", "PART",
      "the part of the data to validate with" },
    { "hidden", WIDTHS, set.widths, "64,64", "N,N,...|none",
      "the widths of the hidden layers" },
    { "activation", CHOICE, &set.activation, "sigmoid",
      "sigmoid|tanh|relu|gelu|silu|softplus", "after each hidden layer" },
    { "epochs", COUNT, &set.epochs, "200", "N",
      "how often every training row is seen, at most" },
    { "patience", COUNT, &set.patience, "50", "N",
      "epochs without a better validation loss before it stops" },
    { "batch", COUNT, &set.batch, "64", "N", "rows a step" },
    { "lr", RATE, &set.lr, "0.01", "RATE", "the learning rate" },
    { "optimiser", CHOICE, &set.optimiser, "adamw",
      "sgd|adam|adamw|rmsprop|adagrad", "sgd has a momentum of 0.9" },
    { "schedule", CHOICE, &set.schedule, "cosine",
      "constant|cosine|step|exponential|warmup|one-cycle",
      "the way of the learning rate over all epochs" },
    { "label-smoothing", SHARE, &set.smoothing, "0", "SHARE",
      "how much of a label is spread over all classes" },
    { "class-weights", CHOICE, &set.balanced, "none", "none|balanced",
      "balanced: the rarer a class, the more its rows count" },
    { "dtype", CHOICE, &set.dtype, "float32", "float32|float64",
      "of the numbers" },
    { "seed", COUNT, &set.seed, "1", "N",
      "of the spirals, the parts, the weights and the shuffling" },
    { "threads", COUNT, &set.threads, NULL, "N",
      "that share the work, in place of rill's own choice" },
    { "log", TEXT, &set.log, NULL, "FILE",
      "records the run: JSON lines, as docs/log.md has them" },
    { "report", TEXT, &set.report, NULL, "FILE",
      "makes a page of the run, of the log FILE.jsonl or that of --log" },
    { "save", TEXT, &set.save, NULL, "FILE",
      "where the network goes, in safetensors, for 07_predict" },
};
enum { N_OPTIONS = sizeof options / sizeof *options };

static const char usage[] =
    "usage: 03_train_mlp [--csv FILE] [OPTION]...\n"
    "       N is a whole number from 1, SHARE a number from 0 to 1, PART one "
    "between\n       them, RATE one above 0\n";

__attribute__((format(printf, 2, 3), noreturn))
static void stop(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "03_train_mlp: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n%s", status == 2 ? usage : "");
    va_end(args);
    exit(status);
}

__attribute__((noreturn)) static void help(void)
{
    printf("%s\nTrains a network to tell classes apart: five spiral arms, or "
           "those of a CSV\nfile, whose other cells are numbers: README.md "
           "says what to do where some are\nmissing, or words. In brackets: "
           "what is taken where nothing is said.\n\n", usage);
    for (int i = 0; i < N_OPTIONS; i++) {
        printf(options[i].value ? "  --%s %s\n" : "  --%s\n",
               options[i].name, options[i].value);
        printf(options[i].preset ? "        %s [%s]\n" : "        %s\n",
               options[i].help, options[i].preset);
    }
    exit(0);
}

/* Which of "this|that|other" the word is; -1 where it is none. */
static int choice(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (int i = 0; words; i++) {
        if (strcspn(words, "|") == n && strncmp(words, word, n) == 0)
            return i;
        const char *bar = strchr(words, '|');
        words = bar ? bar + 1 : NULL;
    }
    return -1;
}

/* The hidden widths in "64,64", between those of inputs and classes. */
static bool widths(char *text)
{
    set.n_widths = 2;
    if (strcmp(text, "none") == 0)
        return true;
    do {
        long width = strtol(text, &text, 10);
        if (width < 1 || (*text && *text != ',') ||
            set.n_widths == MAX_WIDTHS)
            return false;
        set.widths[set.n_widths++ - 1] = width;
    } while (*text++);
    return true;
}

/* The number that the text is; NaN where it is none from least to most. */
static double number(const char *text, double least, double most)
{
    char *end;
    double x = strtod(text, &end);
    return end > text && !*end && x >= least && x <= most ? x : NAN;
}

/* Sets option i; false where the text is nothing for it. */
static bool take(int i, const char *text)
{
    void *to = options[i].to;
    double x;
    switch (options[i].kind) {
    case FLAG:
        return *(bool *)to = true;
    case TEXT:
        return (*(const char **)to = text);
    case LETTER:
        return (*(char *)to = *text) && !text[1];
    case WIDTHS:
        return widths((char *)text);
    case CHOICE:
        return (*(int *)to = choice(options[i].value, text)) >= 0;
    case COUNT:
        x = number(text, 1, 1e9);
        *(long *)to = isnan(x) ? 0 : (long)x;
        return x == (double)*(long *)to;
    case SHARE:
        return !isnan(*(double *)to = number(text, 0, 1));
    case PART:
        return !isnan(*(double *)to = number(text, DBL_MIN, 1 - DBL_EPSILON));
    case RATE:
        return !isnan(*(double *)to = number(text, DBL_MIN, DBL_MAX));
    }
    return false;
}

/* Stops where something would be written over the data, whichever name they
 * go by there. */
static void spare_the_data(const char *path)
{
    const char *const data[] = { set.csv, set.test };
    struct stat in, out;
    for (int i = 0; path && i < 2; i++)
        if (data[i] && stat(path, &out) == 0 && stat(data[i], &in) == 0 &&
            S_ISREG(in.st_mode) && in.st_dev == out.st_dev &&
            in.st_ino == out.st_ino)
            stop(2, "\"%s\" would be written over the data", path);
}

static void take_all(int argc, char **argv)
{
    struct option longs[N_OPTIONS + 2] = {
        [N_OPTIONS] = { "help", 0, NULL, N_OPTIONS }
    };
    for (int i = 0; i < N_OPTIONS; i++) {
        longs[i] = (struct option){ options[i].name,
                                    options[i].kind != FLAG, NULL, i };
        if (options[i].preset)
            take(i, options[i].preset);
    }
    for (int i; (i = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (i == N_OPTIONS)
            help();
        if (i > N_OPTIONS) /* getopt_long has said what is wrong */
            stop(2, "--help lists the options");
        if (!take(i, optarg))
            stop(2, "--%s wants %s, not \"%s\"", options[i].name,
                 options[i].value, optarg);
    }
    if (optind < argc)
        stop(2, "\"%s\" is no option", argv[optind]);
    if (!set.csv && (set.test || set.label || set.header || set.separator))
        stop(2, "--test, --label, --header and --separator go with --csv");
    if (set.test)
        set.test_share = 0;
    if (set.report && !set.log) {
        static char log[4096];
        if (snprintf(log, sizeof log, "%s.jsonl", set.report) >=
            (int)sizeof log)
            stop(2, "--report: the name is too long");
        set.log = log;
    }
    spare_the_data(set.log);
    spare_the_data(set.report);
    spare_the_data(set.save);
    if (set.test_share + set.validation_share >= 1)
        stop(2, "--test-fraction and --validation-fraction leave nothing to "
             "learn from");
}

/* ---- data --------------------------------------------------------------- */

typedef struct {
    rill_dataset *learn, *validation, *test;
    double *mean, *std; /* what was taken off each feature, and its unit */
} parts;

/* Points along five arms that wind once around the origin, each off its arm
 * by a random angle. */
static rill_dataset *spirals(rill_rng *r)
{
    enum { ARMS = 5, POINTS = 1000 };
    const double turn = 2 * 3.14159265358979323846;
    static double x[ARMS * POINTS][2];
    static int32_t arm[ARMS * POINTS];
    for (int i = 0; i < ARMS * POINTS; i++) {
        double radius = 0.1 + 0.9 * rill_rng_uniform(r);
        double angle = turn * (radius + (double)(i % ARMS) / ARMS) +
                       0.2 * rill_rng_normal(r);
        x[i][0] = radius * cos(angle);
        x[i][1] = radius * sin(angle);
        arm[i] = i % ARMS;
    }
    return rill_dataset_from(x[0], arm, ARMS * POINTS, 2, ARMS, set.dtype);
}

/* Brings every feature to mean 0 and deviation 1, as measured on the part to
 * learn from: the other two are to be rows never seen. The spirals stay. */
static void standardise(parts *d)
{
    int64_t features = rill_dataset_features(d->learn);
    d->mean = calloc(2 * (size_t)features, sizeof *d->mean);
    if (!d->mean)
        stop(1, "out of memory");
    d->std = d->mean + features;
    if (set.csv && !rill_dataset_statistics(d->learn, d->mean, d->std))
        stop(1, "%s", rill_dataset_error(d->learn));
    for (int64_t f = 0; f < features; f++)
        if (d->std[f] == 0) /* all rows have the same */
            d->std[f] = 1;
    rill_dataset_standardise(d->learn, d->mean, d->std);
    rill_dataset_standardise(d->validation, d->mean, d->std);
    rill_dataset_standardise(d->test, d->mean, d->std);
}

static parts load(rill_rng *r)
{
    rill_csv_opts opts = { .header = set.header, .label = set.label,
                           .separator = set.separator };
    parts d = { 0 };
    d.learn = set.csv ? rill_dataset_csv(set.csv, set.dtype, &opts)
                      : spirals(r);
    rill_dataset_shuffle(d.learn, r);
    opts.like = d.learn;
    d.test = set.test ? rill_dataset_csv(set.test, set.dtype, &opts)
                      : rill_dataset_split(d.learn, set.test_share);
    if (rill_dataset_error(d.test)) /* its own, or that of d.learn */
        stop(1, "%s", rill_dataset_error(d.test));
    d.validation = rill_dataset_split(
        d.learn, set.validation_share / (1 - set.test_share));
    int n[] = { (int)rill_dataset_len(d.learn),
                (int)rill_dataset_len(d.validation),
                (int)rill_dataset_len(d.test) };
    int classes = rill_dataset_classes(d.learn);
    if (!n[0] || !n[1] || !n[2])
        stop(1, "too few rows: %d to learn from, %d to validate with, %d to "
             "test on", n[0], n[1], n[2]);
    if (classes == 1)
        stop(1, "%s: every row is of the class \"%s\": there is nothing to "
             "tell apart", set.csv, rill_dataset_class_name(d.learn, 0));
    if (classes > (n[0] + n[1] + n[2]) / 2)
        stop(1, "%s: %d classes in %d rows: is this the label's column?",
             set.csv, classes, n[0] + n[1] + n[2]);
    standardise(&d);
    printf("%s: %d features, %d classes\n"
           "%d rows to learn from, %d to validate with, %d to test on\n\n",
           set.csv ? set.csv : "five spiral arms",
           (int)rill_dataset_features(d.learn), classes, n[0], n[1], n[2]);
    return d;
}

/* ---- the network -------------------------------------------------------- */

typedef struct {
    rill_tape *tape; /* of one step: reset after it */
    rill_tape *kept; /* never reset: for what outlives a step */
    rill_params *net;
    rill_nn_mlp mlp;
    rill_optim *optimiser;
    rill_tensor *weights; /* of the classes; NULL: all 1 */
    rill_recorder *recorder; /* of the run; NULL: it is not recorded */
} model;

static const struct {
    const char *name;
    rill_activation *apply;
} activations[] = { { "sigmoid", rill_sigmoid }, { "tanh", rill_tanh },
                    { "relu", rill_relu },       { "gelu", rill_gelu },
                    { "silu", rill_silu },       { "softplus", rill_softplus }
};

static rill_optim *new_optimiser(rill_params *net)
{
    switch (set.optimiser) {
    case SGD:
        return rill_sgd_new(net, &(rill_sgd_opts){ .lr = set.lr,
                                                   .momentum = 0.9 });
    case ADAM:
        return rill_adam_new(net, &(rill_adam_opts){ .lr = set.lr });
    case ADAMW:
        return rill_adamw_new(net, &(rill_adamw_opts){ .lr = set.lr });
    case RMSPROP:
        return rill_rmsprop_new(net, &(rill_rmsprop_opts){ .lr = set.lr });
    default:
        return rill_adagrad_new(net, &(rill_adagrad_opts){ .lr = set.lr });
    }
}

static double learning_rate(int64_t step, int64_t steps)
{
    switch (set.schedule) {
    case COSINE: /* down to nothing */
        return rill_lr_cosine(set.lr, step, steps, 0);
    case STEP: /* a tenth after each third */
        return rill_lr_step(set.lr, step, steps / 3 + 1, 0.1);
    case EXPONENTIAL: /* down to a hundredth */
        return rill_lr_exponential(set.lr, step, pow(.01, 1 / (double)steps));
    case WARMUP: /* over the first tenth */
        return rill_lr_warmup(set.lr, step, steps / 10, 0.01);
    case ONE_CYCLE:
        return rill_lr_one_cycle(set.lr, step, steps, NULL);
    default:
        return set.lr;
    }
}

/* Weights that make each class count the same, however many rows it has. */
static rill_tensor *balance(rill_tape *kept, const rill_dataset *d)
{
    int classes = rill_dataset_classes(d);
    int64_t *counts = rill_tape_alloc(kept, (size_t)classes * sizeof *counts);
    double *weights = rill_tape_alloc(kept,
                                      (size_t)classes * sizeof *weights);
    rill_dataset_class_counts(d, counts);
    for (int c = 0; c < classes; c++)
        weights[c] = (double)rill_dataset_len(d) /
                     (classes * fmax((double)counts[c], 1));
    return rill_from(kept, weights, set.dtype, RILL_SHAPE(classes));
}

static model build(const rill_dataset *learn, uint64_t seed)
{
    const rill_tape_opts opts = { .on_error = rill_die };
    model m = { .tape = rill_tape_new(&opts), .kept = rill_tape_new(&opts),
                .net = rill_params_new(set.dtype, seed) };
    set.widths[0] = rill_dataset_features(learn);
    set.widths[set.n_widths - 1] = rill_dataset_classes(learn);
    m.mlp = rill_nn_mlp_new(
        m.net, "mlp", set.widths, set.n_widths,
        &(rill_nn_mlp_opts){ .activation =
                                 activations[set.activation].apply });
    m.optimiser = new_optimiser(m.net);
    if (!m.tape || !m.kept || !m.optimiser || rill_params_error(m.net))
        stop(1, "the network: %s", m.net && rill_params_error(m.net) ?
             rill_params_error(m.net) : "out of memory");
    if (set.balanced)
        m.weights = balance(m.kept, learn);
    rill_params_print(stdout, m.net);
    printf("\n");
    return m;
}

/* ---- training ----------------------------------------------------------- */

/* One pass over the rows in a new order, a step a batch: the mean loss. */
static double run_epoch(model *m, rill_dataset *d, rill_rng *r, int64_t step,
                        int64_t steps)
{
    int64_t batches = rill_dataset_batches(d, set.batch);
    double sum = 0;
    rill_dataset_shuffle(d, r);
    for (int64_t i = 0; i < batches; i++) {
        rill_tensor *x, *y;
        rill_dataset_batch(d, m->tape, i, set.batch, &x, &y);
        rill_tensor *logits = rill_nn_mlp_apply(m->tape, &m->mlp, x);
        rill_tensor *loss = rill_cross_entropy(
            m->tape, logits, y,
            &(rill_cross_entropy_opts){ .weight = m->weights,
                                        .label_smoothing = set.smoothing });
        rill_backward(m->tape, loss, NULL);
        rill_optim_set_lr(m->optimiser, learning_rate(step + i, steps));
        rill_recorder_step(m->recorder, m->optimiser, m->tape, loss);
        sum += rill_item(loss);
        rill_tape_reset(m->tape);
    }
    return sum / (double)batches;
}

/* The loss over a whole set, its accuracy, and, unless NULL, its confusion
 * matrix. Nothing is recorded: there will be no backward. */
static double evaluate(model *m, const rill_dataset *d, double *accuracy,
                       int64_t *confusion)
{
    rill_tensor *x, *y;
    rill_tape_record(m->tape, false);
    rill_dataset_batch(d, m->tape, 0, rill_dataset_len(d), &x, &y);
    rill_tensor *logits = rill_nn_mlp_apply(m->tape, &m->mlp, x);
    double loss = rill_item(rill_cross_entropy(
        m->tape, logits, y,
        &(rill_cross_entropy_opts){ .weight = m->weights }));
    *accuracy = rill_accuracy(logits, y);
    if (confusion)
        rill_confusion_add(confusion, rill_dataset_classes(d), logits, y);
    rill_tape_reset(m->tape);
    rill_tape_record(m->tape, true);
    return loss;
}

typedef struct {
    int epoch;
    double loss, validation, accuracy;
    bool shown; /* now and then, and at the end */
} progress;

/* A loss in few characters, also one that went astray: the text. */
static const char *brief(double loss, char text[16])
{
    snprintf(text, 16, fabs(loss) < 1e4 ? "%.4f" : "%.4g", loss);
    return text;
}

/* On a terminal one line that is written over, else a line now and then. */
static void show(const progress *p, bool last)
{
    int epochs = (int)set.epochs;
    char loss[16], validation[16];
    if (!terminal && !p->shown)
        return;
    /* on a terminal without wrapping: a line that is too long is cut */
    printf("%sepoch %*d/%d  loss %s  validation: loss %s, accuracy %.4f%s",
           terminal ? "\r\033[?7l" : "", snprintf(NULL, 0, "%d", epochs),
           p->epoch, epochs, brief(p->loss, loss),
           brief(p->validation, validation), p->accuracy,
           terminal ? "\033[K\033[?7h" : "");
    if (!terminal || last)
        printf("\n");
    fflush(stdout);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Starts the recorder where a log is wanted; a long run has each so many
 * steps recorded. */
static void start_recorder(model *m, const rill_dataset *d, int64_t steps)
{
    enum { RECORDED = 2000, DETAILS = 100 };
    char error[512];
    int classes = rill_dataset_classes(d);
    if (!set.log)
        return;
    const char **names = rill_tape_alloc(m->kept, (size_t)classes *
                                                      sizeof *names);
    for (int c = 0; names && c < classes; c++)
        names[c] = rill_dataset_class_name(d, c);
    m->recorder = rill_recorder_new(
        set.log, m->net,
        &(rill_recorder_opts){ .title = set.csv ? set.csv : "five spiral arms",
                               .every = steps / RECORDED + 1,
                               .details = steps / DETAILS + 1,
                               .class_names = names, .classes = classes },
        error, sizeof error);
    if (!m->recorder)
        stop(1, "%s", error);
}

static rill_tensor *predict(rill_tape *t, rill_tensor **x, void *user)
{
    const model *m = user;
    return rill_nn_mlp_apply(t, &m->mlp, x[0]);
}

/* What an epoch adds to the log. */
static void record(model *m, const progress *p, const rill_dataset *d)
{
    rill_tensor *x, *y;
    rill_recorder_value(m->recorder, "training loss", p->loss);
    rill_recorder_value(m->recorder, "validation loss", p->validation);
    rill_recorder_value(m->recorder, "validation accuracy", p->accuracy);
    if (rill_dataset_features(d) != 2 || !p->shown)
        return;
    rill_dataset_batch(d, m->tape, 0, rill_dataset_len(d), &x, &y);
    rill_recorder_regions(m->recorder, predict, m, x, y);
    rill_tape_reset(m->tape);
}

/* Brings the log to its end and makes the page, also of a run in which
 * something went wrong: then, or where this fails, the program stops. */
static void end_recorder(model *m, const char *wrong)
{
    char error[512];
    if (!rill_recorder_close(m->recorder) && !wrong)
        wrong = rill_recorder_error(m->recorder);
    if (set.report &&
        !rill_report(set.report, &set.log, 1, error, sizeof error) && !wrong)
        wrong = error;
    if (wrong)
        stop(1, "%s", wrong);
    rill_recorder_free(m->recorder);
}

/* Trains until the epochs or the patience are at their end, and leaves the
 * network with the best weights it had. */
static void train(model *m, parts *d, rill_rng *r)
{
    enum { LINES = 20 };
    int64_t batches = rill_dataset_batches(d->learn, set.batch);
    progress p = { 0 }, best = { .validation = INFINITY };
    double start = seconds();
    bool last = false;
    char text[16];
    start_recorder(m, d->learn, set.epochs * batches);
    while (!last) {
        int64_t step = p.epoch++ * batches;
        p.loss = run_epoch(m, d->learn, r, step, set.epochs * batches);
        p.validation = evaluate(m, d->validation, &p.accuracy, NULL);
        if (p.validation < best.validation) {
            best = p;
            rill_params_snapshot(m->net);
        }
        last = p.epoch == set.epochs || !isfinite(p.validation) ||
               p.epoch - best.epoch >= set.patience;
        p.shown = last || p.epoch % ((set.epochs + LINES - 1) / LINES) == 0;
        show(&p, last);
        record(m, &p, d->learn);
    }
    if (!isfinite(p.validation)) /* the log tells where that began */
        end_recorder(m, "the loss is no longer finite: try a lower --lr");
    rill_params_restore(m->net);
    printf("\n%d epochs in %.2f s; the weights of epoch %d are kept, "
           "validation loss %s\n\n", p.epoch, seconds() - start, best.epoch,
           brief(best.validation, text));
}

/* ---- what came out ------------------------------------------------------ */

/* A character of the picture: a block of the class's colour, or its letter
 * where there are no colours. */
static void paint(int class)
{
    static const int colours[] = { 217, 157, 153, 229, 183, 159, 223, 250 };
    if (terminal)
        printf("\033[48;5;%dm \033[0m", colours[class % 8]);
    else
        putchar('a' + class % 26);
}

/* Draws which class the network sees where, for rows of two features. */
static void draw(model *m, const rill_dataset *d)
{
    enum { WIDE = 64, HIGH = 32 };
    static double at[HIGH * WIDE][2];
    double reach = 0; /* how far from 0 the picture goes */
    rill_tensor *x, *y;
    rill_dataset_batch(d, m->tape, 0, rill_dataset_len(d), &x, &y);
    for (int64_t i = 0; i < rill_numel(x); i++)
        reach = fmax(reach, fabs(rill_at(x, i)));
    for (int i = 0; i < HIGH * WIDE; i++) {
        at[i][0] = reach * ((i % WIDE + 0.5) / WIDE * 2 - 1);
        at[i][1] = reach * (1 - (i / WIDE + 0.5) / HIGH * 2);
    }
    rill_tensor *logits = rill_nn_mlp_apply(
        m->tape, &m->mlp, rill_from(m->tape, at[0], set.dtype,
                                    RILL_SHAPE(HIGH * WIDE, 2)));
    const int32_t *class = rill_i32(rill_argmax(
        m->tape, logits, &(rill_reduce_opts){ .dims = RILL_DIMS(1) }));
    for (int i = 0; i < HIGH * WIDE; i++) {
        paint(class[i]);
        if (i % WIDE == WIDE - 1)
            printf("\n");
    }
    for (int c = 0; c < rill_dataset_classes(d); c++) {
        paint(c);
        printf(" %s   ", rill_dataset_class_name(d, c));
    }
    printf("\n\n");
    rill_tape_reset(m->tape);
}

/* What the kept weights make of rows that had no say in them. */
static void report(model *m, const rill_dataset *test)
{
    int classes = rill_dataset_classes(test);
    size_t n = (size_t)classes;
    const char **names = rill_tape_alloc(m->kept, n * sizeof *names);
    int64_t *confusion = rill_tape_alloc(m->kept, n * n * sizeof *confusion);
    double accuracy;
    memset(confusion, 0, n * n * sizeof *confusion);
    for (int c = 0; c < classes; c++)
        names[c] = rill_dataset_class_name(test, c);
    evaluate(m, test, &accuracy, confusion);
    if (rill_dataset_features(test) == 2)
        draw(m, test);
    rill_confusion_print(stdout, confusion, classes, names);
    printf("\ntest accuracy %.4f\n", accuracy);
}

/* "name.i" */
static char *numbered(rill_tape *kept, const char *name, int i)
{
    size_t size = strlen(name) + sizeof ".-2147483648";
    char *text = rill_tape_alloc(kept, size);
    snprintf(text, size, "%s.%d", name, i);
    return text;
}

/* The numbers with blanks between them; they read back the same. */
static char *listed(rill_tape *kept, const double *x, int64_t n)
{
    enum { LONGEST = sizeof " -1.2345678901234567e-308" };
    char *text = rill_tape_alloc(kept, (size_t)n * LONGEST), *end = text;
    for (int64_t i = 0; i < n; i++)
        end += sprintf(end, "%s%.17g", i ? " " : "", x[i]);
    return text;
}

/* Writes the parameters and, as metadata, all else that it takes to rebuild
 * the network and use it, as 07_predict does. Each name is an entry of its
 * own, "class.0", "column.0" and so on: it may hold any character. */
static bool save(const model *m, const parts *d, const char *path)
{
    int features = (int)rill_dataset_features(d->learn);
    int classes = rill_dataset_classes(d->learn);
    double widths_of[MAX_WIDTHS];
    for (int i = 0; i < set.n_widths; i++)
        widths_of[i] = (double)set.widths[i];
    rill_metadata *all = rill_tape_alloc(
        m->kept, (6 + (size_t)classes + (size_t)features) * sizeof *all);
    rill_metadata *to = all;
    *to++ = (rill_metadata){ "dtype", set.dtype ? "float64" : "float32" };
    *to++ = (rill_metadata){ "activation", activations[set.activation].name };
    *to++ = (rill_metadata){ "widths", listed(m->kept, widths_of,
                                              set.n_widths) };
    *to++ = (rill_metadata){ "mean", listed(m->kept, d->mean, features) };
    *to++ = (rill_metadata){ "std", listed(m->kept, d->std, features) };
    for (int c = 0; c < classes; c++)
        *to++ = (rill_metadata){ numbered(m->kept, "class", c),
                                 rill_dataset_class_name(d->learn, c) };
    for (int f = 0; set.header && f < features; f++)
        *to++ = (rill_metadata){ numbered(m->kept, "column", f),
                                 rill_dataset_feature_name(d->learn, f) };
    *to = (rill_metadata){ NULL, NULL };
    return rill_params_save(m->net, path, all);
}

/* Saves the network as it is, beside the file that is there or will be, and
 * removes it: after the training it is late to hear that it cannot be done. */
static void try_to_save(const model *m, const parts *d)
{
    struct stat s;
    char path[PATH_MAX];
    if (!*set.save || (stat(set.save, &s) == 0 && !S_ISREG(s.st_mode)))
        stop(1, "--save would fail: \"%s\" is no regular file", set.save);
    snprintf(path, sizeof path, "%s.%ld.trial", set.save, (long)getpid());
    if (!save(m, d, path))
        stop(1, "--save would fail: %s", rill_params_error(m->net));
    remove(path);
}

int main(int argc, char **argv)
{
    terminal = isatty(STDOUT_FILENO);
    take_all(argc, argv);
    if (set.threads)
        rill_set_threads((int)set.threads);
    rill_rng r = { .seed = (uint64_t)set.seed };
    parts d = load(&r);
    model m = build(d.learn, rill_rng_next(&r));
    if (set.save)
        try_to_save(&m, &d);
    train(&m, &d, &r);
    report(&m, d.test);
    bool saved = !set.save || save(&m, &d, set.save);
    end_recorder(&m, saved ? NULL : rill_params_error(m.net));
    rill_tape_free(m.tape);
    rill_tape_free(m.kept);
    rill_optim_free(m.optimiser);
    rill_params_free(m.net);
    rill_dataset_free(d.learn);
    rill_dataset_free(d.validation);
    rill_dataset_free(d.test);
    free(d.mean);
    return 0;
}
