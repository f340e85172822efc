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
 * Read it from main, at the bottom, upwards; train() is its heart. */
#include <math.h>
#include <rill.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- options ------------------------------------------------------------ */

enum { SGD, ADAM, ADAMW, RMSPROP, ADAGRAD };
enum { CONSTANT, COSINE, STEP, EXPONENTIAL, WARMUP, ONE_CYCLE };

static struct {
    const char *csv, *test, *label, *hidden;
    bool header;
    int activation, optimiser, schedule, balanced, dtype;
    long epochs, batch, patience, seed;
    double lr, smoothing, validation_share, test_share;
} set;

typedef enum { FLAG, TEXT, CHOICE, COUNT, NUMBER } kind;

static const struct {
    const char *name;
    kind kind;
    void *to;
    const char *preset, *value; /* value: what it is; the choices */
    double least, most;         /* of COUNT and NUMBER */
    const char *help;
} options[] = {
    { "csv", TEXT, &set.csv, NULL, "FILE", 0, 0,
      "rows of numbers and a class, in place of the spirals" },
    { "label", TEXT, &set.label, "-1", "COLUMN", 0, 0,
      "the class: a column's name, or its number from 0 or back from -1" },
    { "header", FLAG, &set.header, NULL, "", 0, 0,
      "the first line names the columns" },
    { "test", TEXT, &set.test, NULL, "FILE", 0, 0,
      "rows to test on, in place of a share of the data" },
    { "test-share", NUMBER, &set.test_share, "0.2", "X", 0.001, 0.9,
      "how much of the data to test on" },
    { "validation-share", NUMBER, &set.validation_share, "0.15", "X", 0.001,
      0.9, "how much of the data to validate with" },
    { "hidden", TEXT, &set.hidden, "64,64", "WIDTHS", 0, 0,
      "of the hidden layers, with commas between; or none" },
    { "activation", CHOICE, &set.activation, "sigmoid",
      "sigmoid|tanh|relu|gelu|silu|softplus", 0, 0,
      "after each hidden layer" },
    { "epochs", COUNT, &set.epochs, "200", "N", 1, 1e6,
      "how often every training row is seen, at most" },
    { "patience", COUNT, &set.patience, "50", "N", 1, 1e6,
      "epochs without a better validation loss before it stops" },
    { "batch", COUNT, &set.batch, "64", "N", 1, 1e9, "rows a step" },
    { "lr", NUMBER, &set.lr, "0.01", "X", 1e-12, 1e6, "the learning rate" },
    { "optimiser", CHOICE, &set.optimiser, "adamw",
      "sgd|adam|adamw|rmsprop|adagrad", 0, 0, "sgd has a momentum of 0.9" },
    { "schedule", CHOICE, &set.schedule, "cosine",
      "constant|cosine|step|exponential|warmup|one-cycle", 0, 0,
      "the way of the learning rate over all epochs" },
    { "label-smoothing", NUMBER, &set.smoothing, "0", "X", 0, 1,
      "the share of each label's mass that is spread over all classes" },
    { "class-weights", CHOICE, &set.balanced, "none", "none|balanced", 0, 0,
      "balanced: the rarer a class, the more its rows count" },
    { "dtype", CHOICE, &set.dtype, "float32", "float32|float64", 0, 0,
      "of the numbers" },
    { "seed", COUNT, &set.seed, "1", "N", 0, 1e9,
      "of the spirals, the split, the weights and the shuffling" },
};
enum { N_OPTIONS = sizeof options / sizeof *options };

static const char usage[] = "usage: 03_train_mlp [--csv FILE] [OPTION]...\n";

__attribute__((format(printf, 2, 3), noreturn))
static void stop(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "03_train_mlp: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n%s", status == 2 ? usage : "");
    va_end(args);
    exit(status);
}

static void print_help(void)
{
    printf("%s\nTrains a network to tell classes apart: of five spiral arms, "
           "or of a CSV file.\n\n", usage);
    for (int i = 0; i < N_OPTIONS; i++) {
        printf("  --%s %s\n        %s", options[i].name, options[i].value,
               options[i].help);
        if (options[i].preset)
            printf(" [%s]", options[i].preset);
        printf("\n");
    }
}

/* Which of "this|that|other" the word is; -1 where it is none. */
static int choice(const char *choices, const char *word)
{
    for (int i = 0;; i++) {
        size_t n = strcspn(choices, "|");
        if (strlen(word) == n && strncmp(choices, word, n) == 0)
            return i;
        if (!choices[n])
            return -1;
        choices += n + 1;
    }
}

static void take(int i, const char *value)
{
    char *end;
    double x = strtod(value, &end);
    bool in_range = end > value && !*end && x >= options[i].least &&
                    x <= options[i].most;
    switch (options[i].kind) {
    case FLAG:
        *(bool *)options[i].to = true;
        break;
    case TEXT:
        *(const char **)options[i].to = value;
        break;
    case CHOICE:
        *(int *)options[i].to = choice(options[i].value, value);
        if (*(int *)options[i].to < 0)
            stop(2, "--%s is %s, not \"%s\"", options[i].name,
                 options[i].value, value);
        break;
    case COUNT:
        if (!in_range || x != floor(x))
            stop(2, "--%s is a whole number from %g to %g, not \"%s\"",
                 options[i].name, options[i].least, options[i].most, value);
        *(long *)options[i].to = (long)x;
        break;
    case NUMBER:
        if (!in_range)
            stop(2, "--%s is a number from %g to %g, not \"%s\"",
                 options[i].name, options[i].least, options[i].most, value);
        *(double *)options[i].to = x;
        break;
    }
}

/* Reads --name value and --name=value. */
static void take_all(int argc, char **argv)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (options[i].preset)
            take(i, options[i].preset);
    for (int a = 1; a < argc; a++) {
        const char *name = argv[a], *value = strchr(name, '=');
        size_t length = value ? (size_t)(value - name) : strlen(name);
        if (strcmp(name, "--help") == 0) {
            print_help();
            exit(0);
        }
        int i = 0;
        while (i < N_OPTIONS && (length < 2 || strncmp(name, "--", 2) != 0 ||
                                 strlen(options[i].name) != length - 2 ||
                                 memcmp(name + 2, options[i].name,
                                        length - 2) != 0))
            i++;
        if (i == N_OPTIONS)
            stop(2, "there is no option %.*s", (int)length, name);
        if (options[i].kind == FLAG && value)
            stop(2, "--%s takes no value", options[i].name);
        if (options[i].kind != FLAG && !value && ++a == argc)
            stop(2, "--%s wants a value: %s", options[i].name,
                 options[i].value);
        take(i, value ? value + 1 : argv[a]);
    }
    if (!set.csv && (set.test || set.header))
        stop(2, "--test and --header go with --csv");
    if (!set.test && set.test_share + set.validation_share > 0.99)
        stop(2, "--test-share and --validation-share leave nothing to learn "
             "from");
}

/* The widths of all layers from "64,64": how many there are. */
static int take_widths(int64_t inputs, int64_t classes, int64_t *widths,
                       int most)
{
    int n = 0;
    widths[n++] = inputs;
    if (strcmp(set.hidden, "none") != 0)
        for (const char *at = set.hidden; n + 1 < most; at++) {
            char *end;
            widths[n++] = strtol(at, &end, 10);
            ...
        }
}
