/* 06_mnist: a network that reads digits, and a look at those it misreads.
 *
 *   06_mnist               28 x 28 pixels of digits that the program draws
 *   06_mnist --data DIR    the MNIST files, or any like them, from a folder
 *   06_mnist --help        everything that can be set
 *
 * A tenth of the training images is held back: the accuracy on it after each
 * epoch tells how the learning goes. The test images are looked at once, at
 * the end.
 *
 * Read it from main, at the bottom, upwards. */
#include <float.h>
#include <getopt.h>
#include <math.h>
#include <rill.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- options ------------------------------------------------------------ */

enum { MAX_WIDTHS = 16 };

static struct {
    const char *data, *save, *checkpoint;
    long epochs, batch, mistakes, seed, threads;
    double lr;
    int64_t widths[MAX_WIDTHS]; /* of inputs, hidden layers, classes */
    int n_widths;
} set;

static bool terminal; /* else a file, or another program, reads along */

static const struct {
    const char *name;
    enum { TEXT, WIDTHS, COUNT, RATE } kind;
    void *to;
    const char *preset, *value, *help;
} options[] = {
    { "data", TEXT, &set.data, NULL, "DIR",
      "a folder of images and labels, in place of the drawn digits" },
    { "hidden", WIDTHS, set.widths, "256,128", "N,N,...|none",
      "the widths of the hidden layers" },
    { "epochs", COUNT, &set.epochs, "5", "N",
      "how often every training image is seen" },
    { "batch", COUNT, &set.batch, "64", "N", "images a step" },
    { "lr", RATE, &set.lr, "0.001", "RATE",
      "the learning rate, which sinks to 0 along a cosine" },
    { "mistakes", COUNT, &set.mistakes, "6", "N",
      "how many misread images are shown, at most" },
    { "seed", COUNT, &set.seed, "1", "N",
      "of the drawn digits, the weights and the shuffling" },
    { "threads", COUNT, &set.threads, NULL, "N",
      "that share the work, in place of rill's own choice" },
    { "save", TEXT, &set.save, NULL, "FILE",
      "where the network goes, in safetensors" },
    { "checkpoint", TEXT, &set.checkpoint, NULL, "FILE",
      "keeps the run there after each epoch; goes on from it if it is there" },
};
enum { N_OPTIONS = sizeof options / sizeof *options };

static const char usage[] =
    "usage: 06_mnist [--data DIR] [OPTION]...\n"
    "       N is a whole number from 1, RATE one above 0\n";

static const char files[] = /* of each: plain, or with .gz behind it */
    "    train-images-idx3-ubyte    train-labels-idx1-ubyte\n"
    "    t10k-images-idx3-ubyte     t10k-labels-idx1-ubyte\n";

__attribute__((format(printf, 2, 3), noreturn))
static void stop(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "06_mnist: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n%s", status == 2 ? usage : "");
    va_end(args);
    exit(status);
}

__attribute__((noreturn)) static void help(void)
{
    printf("%s\nTrains a network to read digits: drawn ones, or those of the "
           "four MNIST files\n%sin a folder, each plain or with .gz behind "
           "its name. In brackets: what is\ntaken where nothing is said.\n\n",
           usage, files);
    for (int i = 0; i < N_OPTIONS; i++) {
        printf("  --%s %s\n", options[i].name, options[i].value);
        printf(options[i].preset ? "        %s [%s]\n" : "        %s\n",
               options[i].help, options[i].preset);
    }
    exit(0);
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

/* The number that the text is; 0 where it is none from least to most. */
static double number(const char *text, double least, double most)
{
    char *end;
    double x = strtod(text, &end);
    return end > text && !*end && x >= least && x <= most ? x : 0;
}

/* Sets option i; false where the text is nothing for it. */
static bool take(int i, const char *text)
{
    void *to = options[i].to;
    double x;
    switch (options[i].kind) {
    case TEXT:
        return (*(const char **)to = text);
    case WIDTHS:
        return widths((char *)text);
    case COUNT:
        x = number(text, 1, 1e9);
        return (*(long *)to = (long)x) && x == (double)*(long *)to;
    case RATE:
        return (*(double *)to = number(text, DBL_MIN, DBL_MAX)) > 0;
    }
    return false;
}

static void take_all(int argc, char **argv)
{
    struct option longs[N_OPTIONS + 2] = {
        [N_OPTIONS] = { "help", 0, NULL, N_OPTIONS }
    };
    for (int i = 0; i < N_OPTIONS; i++) {
        longs[i] = (struct option){ options[i].name, 1, NULL, i };
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
}

/* ---- digits from files -------------------------------------------------- */

/* The path of a file of the family, whichever way its name is spelt. */
static void find(const char *part, int dimensions, char *path, size_t size)
{
    static const char *const spellings[] = {
        "%s/%s-idx%d-ubyte", "%s/%s-idx%d-ubyte.gz",
        "%s/%s.idx%d-ubyte", "%s/%s.idx%d-ubyte.gz"
    };
    for (int i = 0; i < 4; i++) {
        snprintf(path, size, spellings[i], set.data, part, dimensions);
        if (access(path, F_OK) == 0)
            return;
    }
    stop(1, "%s: there is no %s-idx%d-ubyte, nor one with .gz", set.data,
         part, dimensions);
}

static rill_dataset *read_files(const char *images, const char *labels,
                                const rill_dataset *like)
{
    char x[4096], y[4096];
    find(images, 3, x, sizeof x);
    find(labels, 1, y, sizeof y);
    return rill_dataset_idx(x, y, RILL_F32, like);
}

/* ---- digits drawn here -------------------------------------------------- */

enum { SIDE = 28, PIXELS = SIDE * SIDE };

typedef struct {
    double x, y;
} point;

static double distance(point p, point a, point b)
{
    double x = b.x - a.x, y = b.y - a.y;
    double along = ((p.x - a.x) * x + (p.y - a.y) * y) / (x * x + y * y);
    along = fmin(fmax(along, 0), 1);
    return hypot(a.x + along * x - p.x, a.y + along * y - p.y);
}

static double between(rill_rng *r, double low, double high)
{
    return low + (high - low) * rill_rng_uniform(r);
}

/* Draws a digit as a pocket calculator would, were it drunk: six corners, two
 * abreast, and up to seven strokes between them, of any size, place, slant
 * and pen, on dirty paper. */
static void draw(rill_rng *r, int digit, double *pixel)
{
    static const int stroke[7][2] = { { 0, 1 }, { 1, 3 }, { 3, 5 }, { 4, 5 },
                                      { 2, 4 }, { 0, 2 }, { 2, 3 } };
    static const char *const strokes[] = {
        "012345", "12", "01346", "01236", "1256",
        "02356", "023456", "012", "0123456", "012356"
    };
    double wide = between(r, 7, 13), high = between(r, 14, 20);
    double left = SIDE / 2.0 - wide / 2 + between(r, -2, 2);
    double top = SIDE / 2.0 - high / 2 + between(r, -2, 2);
    double slant = between(r, -0.1, 0.2), pen = between(r, 0.6, 1.6);
    double dirt = between(r, 0, 0.5);
    point corner[6];
    for (int i = 0; i < 6; i++) {
        double down = i / 2 / 2.0;
        corner[i].x = left + i % 2 * wide + slant * high * (0.5 - down) +
                      0.5 * rill_rng_normal(r);
        corner[i].y = top + down * high + 0.5 * rill_rng_normal(r);
    }
    for (int i = 0; i < PIXELS; i++)
        pixel[i] = dirt * pow(rill_rng_uniform(r), 4);
    for (const char *s = strokes[digit]; *s; s++) {
        double ink = between(r, 0.5, 1);
        const int *end = stroke[*s - '0'];
        for (int i = 0; i < PIXELS; i++) {
            point p = { i % SIDE + 0.5, i / SIDE + 0.5 };
            double off = distance(p, corner[end[0]], corner[end[1]]) - pen;
            double covered = fmin(fmax(0.5 - off, 0), 1);
            pixel[i] = fmax(pixel[i], ink * covered);
        }
    }
}

static rill_dataset *draw_all(rill_rng *r, int n)
{
    double *x = calloc((size_t)n * PIXELS, sizeof *x);
    int32_t *y = calloc((size_t)n, sizeof *y);
    for (int i = 0; x && y && i < n; i++)
        draw(r, y[i] = i % 10, x + i * PIXELS);
    rill_dataset *d = rill_dataset_from(x, y, n, PIXELS, 10, RILL_F32);
    free(x);
    free(y);
    return d;
}

/* ---- data and network --------------------------------------------------- */

typedef struct {
    rill_dataset *learn, *validation, *test;
} parts;

static void load(parts *d, rill_rng *r)
{
    if (set.data) {
        d->learn = read_files("train-images", "train-labels", NULL);
        d->test = read_files("t10k-images", "t10k-labels", d->learn);
    } else {
        printf("The program draws these digits by itself. For handwritten "
               "ones fetch the MNIST\nfiles into a folder DIR, as they come, "
               "with .gz, and say --data DIR:\n\n%s\n", files);
        d->learn = draw_all(r, 12000);
        d->test = draw_all(r, 2000);
    }
    const char *error = rill_dataset_error(d->learn);
    if (!error)
        error = rill_dataset_error(d->test);
    if (error)
        stop(1, "%s", error);
    rill_dataset_shuffle(d->learn, r);
    d->validation = rill_dataset_split(d->learn, 0.1);
    int n[] = { (int)rill_dataset_len(d->learn),
                (int)rill_dataset_len(d->validation),
                (int)rill_dataset_len(d->test) };
    if (!n[0] || !n[1])
        stop(1, "%s: too few images to learn from: %d", set.data,
             n[0] + n[1]);
    printf("%d pixels, %d classes\n%d images to learn from, %d to validate "
           "with, %d to test on\n\n", (int)rill_dataset_features(d->learn),
           rill_dataset_classes(d->learn), n[0], n[1], n[2]);
}

typedef struct {
    rill_tape *tape; /* of one step: reset after it */
    rill_params *net;
    rill_nn_mlp mlp;
    rill_optim *adam;
} model;

static model build(const rill_dataset *learn, uint64_t seed)
{
    model m = { .tape = rill_tape_new(&(rill_tape_opts){
                    .on_error = rill_die }),
                .net = rill_params_new(RILL_F32, seed) };
    set.widths[0] = rill_dataset_features(learn);
    set.widths[set.n_widths - 1] = rill_dataset_classes(learn);
    m.mlp = rill_nn_mlp_new(m.net, "mlp", set.widths, set.n_widths,
                            &(rill_nn_mlp_opts){ .activation = rill_relu });
    m.adam = rill_adam_new(m.net, &(rill_adam_opts){ .lr = set.lr });
    if (!m.tape || !m.adam || rill_params_error(m.net))
        stop(1, "the network: %s", m.net && rill_params_error(m.net) ?
             rill_params_error(m.net) : "out of memory");
    return m;
}

static void unbuild(model *m)
{
    rill_tape_free(m->tape);
    rill_optim_free(m->adam);
    rill_params_free(m->net);
}

/* ---- training ----------------------------------------------------------- */

/* What the network makes of a whole set. It is not recorded: nobody will ask
 * for gradients. Reset the tape when done with the logits. */
static rill_tensor *read_all(model *m, const rill_dataset *d, rill_tensor **x,
                             rill_tensor **y)
{
    rill_tape_record(m->tape, false);
    rill_dataset_batch(d, m->tape, 0, rill_dataset_len(d), x, y);
    rill_tensor *logits = rill_nn_mlp_apply(m->tape, &m->mlp, *x);
    rill_tape_record(m->tape, true);
    return logits;
}

static double accuracy_on(model *m, const rill_dataset *d)
{
    rill_tensor *x, *y, *logits = read_all(m, d, &x, &y);
    double accuracy = rill_accuracy(logits, y);
    rill_tape_reset(m->tape);
    return accuracy;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* With a checkpoint, from the epoch that it was kept after: the optimiser,
 * the generator and the count of epochs go on as if nothing had been. */
static void train(model *m, parts *d, rill_rng *r)
{
    int64_t batches = rill_dataset_batches(d->learn, set.batch), epoch = 0;
    rill_checkpoint run = { .params = m->net, .optim = m->adam,
                            .tape = m->tape, .rng = r, .step = &epoch };
    rill_tensor *x, *y;
    double start = seconds();
    if (set.checkpoint && access(set.checkpoint, F_OK) == 0 &&
        !rill_checkpoint_load(&run, set.checkpoint))
        stop(1, "%s", rill_params_error(m->net));
    const int64_t first = epoch;
    while (epoch < set.epochs) {
        double sum = 0;
        rill_dataset_shuffle(d->learn, r);
        for (int64_t i = 0; i < batches; i++) {
            rill_dataset_batch(d->learn, m->tape, i, set.batch, &x, &y);
            rill_tensor *loss = rill_cross_entropy(
                m->tape, rill_nn_mlp_apply(m->tape, &m->mlp, x), y, NULL);
            rill_backward(m->tape, loss, NULL);
            rill_optim_set_lr(m->adam, rill_lr_cosine(
                set.lr, epoch * batches + i, set.epochs * batches, 0));
            rill_optim_step(m->adam, m->tape);
            sum += rill_item(loss);
            rill_tape_reset(m->tape);
        }
        if (!isfinite(sum))
            stop(1, "the loss is no longer finite: try a lower --lr");
        printf("epoch %*d/%ld  loss %.4f  validation accuracy %.4f\n",
               snprintf(NULL, 0, "%ld", set.epochs), (int)++epoch, set.epochs,
               sum / (double)batches, accuracy_on(m, d->validation));
        fflush(stdout);
        if (set.checkpoint && !rill_checkpoint_save(&run, set.checkpoint))
            stop(1, "%s", rill_params_error(m->net));
    }
    printf("\n%d epochs in %.2f s\n\n", (int)(epoch - first),
           seconds() - start);
}

/* ---- what came out ------------------------------------------------------ */

typedef struct {
    int64_t row;
    int read; /* the class that the network took it for */
    double p; /* and how sure it was */
} mistake;

/* Lists the misread images, the surest first. Of any more than `most` of them
 * the order is left as it is. */
static int64_t find_mistakes(const rill_tensor *p, const rill_tensor *y,
                             mistake *list, int64_t most)
{
    int64_t n = 0, classes = rill_dim(p, 1);
    for (int64_t i = 0; i < rill_numel(y); i++) {
        mistake a = { .row = i };
        for (int c = 0; c < classes; c++)
            if (rill_at(p, i * classes + c) > a.p) {
                a.p = rill_at(p, i * classes + c);
                a.read = c;
            }
        if (a.read != rill_i32(y)[i])
            list[n++] = a;
    }
    for (int64_t i = 0; i < n && i < most; i++)
        for (int64_t k = i + 1; k < n; k++)
            if (list[k].p > list[i].p) {
                mistake kept = list[i];
                list[i] = list[k];
                list[k] = kept;
            }
    return n;
}

/* Two rows of a picture in a line of text: half a block in each one's grey,
 * or a character for their mean where there are no colours. */
static void paint(const rill_tensor *x, int64_t row, int side, int line)
{
    static const char ink[] = " .:-=+*#%@";
    for (int i = 0; i < side; i++) {
        int64_t upper = (row * side + 2 * line) * side + i;
        double a = rill_at(x, upper);
        double b = 2 * line + 1 < side ? rill_at(x, upper + side) : 0;
        if (terminal)
            printf("\033[38;5;%d;48;5;%dm\xe2\x96\x80", 232 + (int)(23 * a),
                   232 + (int)(23 * b));
        else
            putchar(ink[(int)(4.5 * (a + b) + 0.5)]);
    }
    if (terminal)
        printf("\033[0m");
}

/* Draws n mistakes, as many abreast as 80 columns take. */
static void draw_mistakes(const rill_dataset *d, const rill_tensor *x,
                          const rill_tensor *y, const mistake *list, int n)
{
    int side = (int)sqrt((double)rill_dim(x, 1));
    if (side * side != rill_dim(x, 1))
        side = 0; /* not square: words only */
    int wide = side < 22 ? 24 : side + 2; /* 22 are for what stands below */
    int abreast = wide > 80 ? 1 : 80 / wide;
    for (int first = 0; first < n; first += abreast) {
        int end = n < first + abreast ? n : first + abreast;
        for (int line = 0; line < (side + 1) / 2; line++)
            for (int i = first; i < end; i++) {
                paint(x, list[i].row, side, line);
                printf("%*s", i + 1 < end ? wide - side : 1,
                       i + 1 < end ? "" : "\n");
            }
        for (int i = first; i < end; i++) {
            int at = printf("%s read as %s, p %.2f", rill_dataset_class_name(
                                d, rill_i32(y)[list[i].row]),
                            rill_dataset_class_name(d, list[i].read),
                            list[i].p);
            printf("%*s", i + 1 < end ? wide - at : 2,
                   i + 1 < end ? "" : "\n\n");
        }
    }
}

/* What the network makes of images that had no say in it. */
static void report(model *m, const rill_dataset *test)
{
    int classes = rill_dataset_classes(test);
    rill_tensor *x, *y;
    rill_tensor *logits = read_all(m, test, &x, &y);
    rill_tensor *p = rill_softmax(m->tape, logits, 1);
    size_t cells = (size_t)classes * (size_t)classes;
    int64_t *confusion = rill_tape_alloc(m->tape, cells * sizeof *confusion);
    mistake *list = rill_tape_alloc(m->tape, (size_t)rill_numel(y) *
                                                 sizeof *list);
    int64_t n = find_mistakes(p, y, list, set.mistakes);
    int shown = (int)fmin((double)n, (double)set.mistakes);
    memset(confusion, 0, cells * sizeof *confusion);
    rill_confusion_add(confusion, classes, logits, y);
    rill_confusion_print(stdout, confusion, classes, NULL);
    printf("\n%d of %d misread%s\n\n", (int)n, (int)rill_numel(y),
           n ? "; the ones it was surest of:" : "");
    draw_mistakes(test, x, y, list, shown);
    printf("test accuracy %.4f\n", rill_accuracy(logits, y));
    rill_tape_reset(m->tape);
}

/* Writes the network to a file, reads that into a new one, as a program that
 * uses it would, and looks whether it reads the test images as well. */
static void save(model *m, const rill_dataset *test)
{
    model again = build(test, 0);
    if (!rill_params_save(m->net, set.save, NULL))
        stop(1, "%s", rill_params_error(m->net));
    if (!rill_params_load(again.net, set.save, NULL))
        stop(1, "%s", rill_params_error(again.net));
    double before = accuracy_on(m, test), after = accuracy_on(&again, test);
    if (before != after)
        stop(1, "%s: read again, the network has an accuracy of %.4f instead "
             "of %.4f", set.save, after, before);
    printf("The network is in %s; read from there, it has the same accuracy."
           "\n\n", set.save);
    unbuild(&again);
}

int main(int argc, char **argv)
{
    terminal = isatty(STDOUT_FILENO);
    take_all(argc, argv);
    if (set.threads)
        rill_set_threads((int)set.threads);
    rill_rng r = { .seed = (uint64_t)set.seed };
    parts d = { 0 };
    load(&d, &r);
    model m = build(d.learn, rill_rng_next(&r));
    rill_params_print(stdout, m.net);
    printf("\n");
    train(&m, &d, &r);
    if (set.save)
        save(&m, d.test);
    report(&m, d.test);
    unbuild(&m);
    rill_dataset_free(d.learn);
    rill_dataset_free(d.validation);
    rill_dataset_free(d.test);
    return 0;
}
