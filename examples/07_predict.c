/* 07_predict: what a saved network makes of new rows.
 *
 *   03_train_mlp --csv old.csv --save model.safetensors
 *   07_predict model.safetensors new.csv       rows without the class
 *   ... | 07_predict model.safetensors         the same from standard input
 *
 * It writes CSV: of each row the class, and how probable it holds each one.
 *
 * Numbers alone are no network: the metadata of the file say how they are
 * put together, what was done to the rows before, and what the classes are
 * called. See save in 03_train_mlp. Read it from main, at the bottom,
 * upwards. */
#include <errno.h>
#include <getopt.h>
#include <rill.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: 07_predict [--header|--no-header] [--separator CHARACTER] MODEL "
    "[FILE]\n";

__attribute__((format(printf, 2, 3), noreturn))
static void stop(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "07_predict: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n%s", status == 2 ? usage : "");
    va_end(args);
    exit(status);
}

__attribute__((noreturn)) static void help(void)
{
    printf("%s\nWrites, as CSV, which class a network of 03_train_mlp --save "
           "sees in each row\nof FILE, or of standard input, and the "
           "probabilities of all classes. The rows\nhave the columns that it "
           "learned from, without the class.\n\n"
           "  --header     the first line names the columns\n"
           "  --no-header  it does not\n"
           "        as in the rows that it learned from, where neither is "
           "given\n"
           "  --separator CHARACTER\n"
           "        what stands between two cells, in place of a comma\n",
           usage);
    exit(0);
}

/* ---- the network -------------------------------------------------------- */

enum { MAX_WIDTHS = 16 };

typedef struct {
    const char *path;
    rill_safetensors *file;
    rill_dtype dtype;
    rill_tape *tape; /* of one batch: reset after it */
    rill_tape *kept; /* never reset: for what outlives a batch */
    rill_params *net;
    rill_nn_mlp mlp;
    int features, classes;
    double *mean, *std; /* of each feature, in the rows learned from */
    const char **names; /* of the classes */
} model;

/* What the file says of itself under this key. */
static const char *say(const model *m, const char *key)
{
    const char *text = rill_safetensors_metadata(m->file, key);
    if (!text)
        stop(1, "%s: no \"%s\" in its metadata: was it made by 03_train_mlp "
             "--save?", m->path, key);
    return text;
}

/* The name of a column, or NULL: the rows may have had no header. */
static const char *column_of(const model *m, int f)
{
    char key[32];
    snprintf(key, sizeof key, "column.%d", f);
    return rill_safetensors_metadata(m->file, key);
}

/* Reads the numbers under a key, at least so many and at most; returns how
 * many there are. */
static int say_numbers(const model *m, const char *key, double *x, int least,
                       int most)
{
    const char *at = say(m, key);
    int n = 0;
    for (char *end; n < most; at = end, n++) {
        x[n] = strtod(at, &end);
        if (end == at)
            break;
    }
    if (n < least || *at)
        stop(1, "%s: \"%s\" in its metadata are not %d%s numbers", m->path,
             key, least, most > least ? " or more" : "");
    return n;
}

static rill_activation *activation_of(const model *m)
{
    static const struct {
        const char *name;
        rill_activation *apply;
    } known[] = { { "sigmoid", rill_sigmoid }, { "tanh", rill_tanh },
                  { "relu", rill_relu },       { "gelu", rill_gelu },
                  { "silu", rill_silu },       { "softplus", rill_softplus } };
    const char *name = say(m, "activation");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].apply;
    stop(1, "%s: no activation is called \"%s\"", m->path, name);
}

static rill_dtype dtype_of(const model *m)
{
    const char *name = say(m, "dtype");
    bool twice = strcmp(name, "float64") == 0;
    if (!twice && strcmp(name, "float32") != 0)
        stop(1, "%s: no dtype is called \"%s\"", m->path, name);
    return twice ? RILL_F64 : RILL_F32;
}

static model load(const char *path)
{
    const rill_tape_opts opts = { .on_error = rill_die };
    model m = { .path = path, .file = rill_safetensors_open(path),
                .tape = rill_tape_new(&opts), .kept = rill_tape_new(&opts) };
    if (!m.tape || !m.kept || rill_safetensors_error(m.file))
        stop(1, "%s", m.file && rill_safetensors_error(m.file)
                          ? rill_safetensors_error(m.file) : "out of memory");
    m.dtype = dtype_of(&m);

    double numbers[MAX_WIDTHS];
    int64_t widths[MAX_WIDTHS];
    int n = say_numbers(&m, "widths", numbers, 2, MAX_WIDTHS);
    for (int i = 0; i < n; i++)
        widths[i] = numbers[i] >= 1 && numbers[i] <= 1e9 ? (int64_t)numbers[i]
                                                         : 0;
    m.net = rill_params_new(m.dtype, 0);
    m.mlp = rill_nn_mlp_new(m.net, "mlp", widths, n, &(rill_nn_mlp_opts){
                                .activation = activation_of(&m) });
    if (!rill_params_load(m.net, path, NULL)) /* names and shapes must fit */
        stop(1, "%s", m.net ? rill_params_error(m.net) : "out of memory");

    m.features = (int)widths[0];
    m.classes = (int)widths[n - 1];
    m.mean = rill_tape_alloc(m.kept, (size_t)m.features * sizeof *m.mean);
    m.std = rill_tape_alloc(m.kept, (size_t)m.features * sizeof *m.std);
    say_numbers(&m, "mean", m.mean, m.features, m.features);
    say_numbers(&m, "std", m.std, m.features, m.features);
    m.names = rill_tape_alloc(m.kept, (size_t)m.classes * sizeof *m.names);
    for (int c = 0; c < m.classes; c++) {
        char key[32];
        snprintf(key, sizeof key, "class.%d", c);
        m.names[c] = say(&m, key);
    }
    return m;
}

static void unload(model *m)
{
    rill_params_free(m->net);
    rill_tape_free(m->tape);
    rill_tape_free(m->kept);
    rill_safetensors_free(m->file);
}

/* ---- the rows ----------------------------------------------------------- */

/* The rows as the network wants them: its number of columns, standardised.
 * Where both know names for the columns, the names must be the same. */
static rill_dataset *read_rows(const model *m, const char *path, bool header,
                               char separator)
{
    rill_dataset *like = rill_dataset_from(NULL, NULL, 0, m->features,
                                           m->classes, m->dtype);
    rill_dataset *d = rill_dataset_csv(
        path, m->dtype, &(rill_csv_opts){ .no_label = true, .header = header,
                                          .separator = separator,
                                          .like = like });
    rill_dataset_free(like);
    if (rill_dataset_error(d))
        stop(1, "%s", rill_dataset_error(d));
    for (int f = 0; header && f < m->features; f++) {
        const char *here = rill_dataset_feature_name(d, f);
        const char *learned = column_of(m, f);
        if (learned && strcmp(learned, here) != 0)
            stop(1, "%s: column %d is \"%s\", but the network learned from "
                 "\"%s\" there", path, f + 1, here, learned);
    }
    rill_dataset_standardise(d, m->mean, m->std);
    return d;
}

/* ---- what is written ---------------------------------------------------- */

/* A cell of CSV: in quotes, those in it doubled, unless it is plain. */
static void write_cell(const char *prefix, const char *text)
{
    const char *quote = strpbrk(text, "\",\r\n \t") ? "\"" : "";
    printf("%s%s", quote, prefix);
    for (; *text; text++)
        printf("%s%c", *text == '"' ? "\"" : "", *text);
    printf("%s", quote);
}

static void predict(const model *m, const rill_dataset *rows)
{
    enum { BATCH = 1024 };
    printf("class");
    for (int c = 0; c < m->classes; c++) {
        printf(",");
        write_cell("p_", m->names[c]);
    }
    printf("\n");
    rill_tape_record(m->tape, false); /* there will be no backward */
    for (int64_t b = 0; b < rill_dataset_batches(rows, BATCH); b++) {
        rill_tensor *x, *none;
        rill_dataset_batch(rows, m->tape, b, BATCH, &x, &none);
        rill_tensor *logits = rill_nn_mlp_apply(m->tape, &m->mlp, x);
        rill_tensor *p = rill_softmax(m->tape, logits, 1);
        rill_tensor *class = rill_argmax(
            m->tape, logits, &(rill_reduce_opts){ .dims = RILL_DIMS(1) });
        for (int64_t i = 0; i < rill_numel(class); i++) {
            write_cell("", m->names[rill_i32(class)[i]]);
            for (int c = 0; c < m->classes; c++)
                printf(",%.6g", rill_at(p, i * m->classes + c));
            printf("\n");
        }
        rill_tape_reset(m->tape);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "header", 0, NULL, 'y' },
                                             { "no-header", 0, NULL, 'n' },
                                             { "separator", 1, NULL, 's' },
                                             { "help", 0, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    int header = 0;
    char separator = 0; /* a comma */
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'h')
            help();
        if (o == '?') /* getopt_long has said what is wrong */
            stop(2, "--help says more");
        if (o == 's' && strlen(optarg) != 1)
            stop(2, "--separator wants CHARACTER, not \"%s\"", optarg);
        if (o == 's')
            separator = *optarg;
        else
            header = o;
    }
    if (argc - optind < 1 || argc - optind > 2)
        stop(2, argc > optind ? "one file of rows at a time"
                              : "no model is given");
    model m = load(argv[optind]);
    const char *path = argv[optind + 1];
    if (!path || strcmp(path, "-") == 0)
        path = "/dev/stdin";
    if (!header) /* as it was in the rows learned from */
        header = column_of(&m, 0) ? 'y' : 'n';
    rill_dataset *rows = read_rows(&m, path, header == 'y', separator);
    predict(&m, rows);
    if (fflush(stdout) != 0 || ferror(stdout))
        stop(1, "standard output: %s", strerror(errno));
    rill_dataset_free(rows);
    unload(&m);
    return 0;
}
