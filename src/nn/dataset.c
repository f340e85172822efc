/* dataset.c: rows and their labels, from memory or from a file, standardised,
 * shuffled, split, and handed out as batches.
 *
 * The rows stand in the order in which batches take them, so a batch is a
 * view and never a copy; shuffling moves the rows themselves.
 *
 * Whoever makes a set frees it with rill_dataset_free. A constructor returns
 * a set that carries its error, so a program may check only the last one of a
 * chain; NULL only when memory ran out. On NULL and on a set with an error
 * every function returns false, 0 or NULL and changes nothing. An argument
 * that is NULL is an error on the set. */
#include "nn_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct rill_dataset {
    rill_tape *home;    /* never reset: all lies there */
    rill_tensor *x, *y; /* rows [n or more, features] and int32 labels */
    int64_t n;
    int classes;
    const char **class_names;   /* in csv_class_order */
    const char **feature_names; /* NULL: the columns have none */
};

/* Whether a function can go to work, all its arguments given. */
static bool dataset_ready(rill_dataset *d, const char *who, bool given)
{
    return !rill_dataset_error(d) &&
           (given || rill_fail(d->home, "%s: an argument is NULL", who));
}

static size_t dataset_row_bytes(const rill_dataset *d)
{
    return (size_t)rill_dim(d->x, 1) *
           (rill_dtype_of(d->x) == RILL_F32 ? sizeof(float) : sizeof(double));
}

static unsigned char *dataset_row(const rill_dataset *d, int64_t i)
{
    return (unsigned char *)rill_write(d->x) +
           (size_t)i * dataset_row_bytes(d);
}

static void dataset_set(rill_dataset *d, int64_t i, double v)
{
    if (rill_dtype_of(d->x) == RILL_F32)
        ((float *)rill_write(d->x))[i] = (float)v;
    else
        ((double *)rill_write(d->x))[i] = v;
}

/* ---- making a set ------------------------------------------------------- */

/* A set without rows, with this error unless it is NULL. */
static rill_dataset *dataset_new(rill_dtype dtype, const char *error)
{
    rill_tape *home = rill_tape_new(NULL);
    rill_dataset *d = rill_tape_alloc(home, sizeof *d);
    if (!d) {
        rill_tape_free(home);
        return NULL;
    }
    *d = (rill_dataset){ .home = home };
    if (rill_nn_well(home, error) && dtype == RILL_I32)
        rill_fail(home, "dataset: rows are float32 or float64, not int32");
    return d;
}

/* The set's own copies of strings. */
static const char **dataset_names(rill_dataset *d, const char *const *names,
                                  int64_t n)
{
    const char **own = rill_tape_alloc(d->home, (size_t)n * sizeof *own);
    for (int64_t i = 0; own && i < n; i++) {
        size_t bytes = strlen(names[i]) + 1;
        char *copy = rill_tape_alloc(d->home, bytes);
        if (!copy)
            return NULL;
        own[i] = memcpy(copy, names[i], bytes);
    }
    return own;
}

/* A data set of n rows of doubles, converted to dtype (float32 or float64),
 * and their labels in [0, classes); both are copied. The classes are named by
 * their numbers, the features have no names. Errors: another dtype, a label
 * out of range, a negative size. */
rill_dataset *rill_dataset_from(const double *x, const int32_t *labels,
                                int64_t n, int64_t features, int classes,
                                rill_dtype dtype)
{
    rill_dataset *d = dataset_new(dtype, NULL);
    if (!dataset_ready(d, "dataset_from", n == 0 || (x && labels)))
        return d;
    for (int64_t i = 0; i < n; i++)
        if (labels[i] < 0 || labels[i] >= classes)
            rill_fail(d->home, "dataset_from: label %" PRId32 " at row %"
                      PRId64 " is not in [0, %d)", labels[i], i, classes);
    /* after an error, the first of which stays, nothing more is made */
    size_t c = (size_t)classes;
    d->class_names = rill_tape_alloc(d->home, c * sizeof *d->class_names);
    char(*digits)[12] = rill_tape_alloc(d->home, c * sizeof *digits);
    d->y = rill_copy(d->home, labels, RILL_I32, RILL_SHAPE(n));
    d->x = rill_from(d->home, x, dtype, RILL_SHAPE(n, features));
    if (rill_dataset_error(d))
        return d;
    for (int i = 0; i < classes; i++) {
        snprintf(digits[i], sizeof *digits, "%d", i);
        d->class_names[i] = digits[i];
    }
    d->classes = classes;
    d->n = n;
    return d;
}

/* Cuts the last fraction of the rows off (rounded to a whole number of rows)
 * and returns them as a data set of its own, with the same classes and names.
 * Shuffle first, unless the rows are in random order already. Errors, on the
 * new set: d's own, a fraction out of [0, 1]. */
rill_dataset *rill_dataset_split(rill_dataset *d, double fraction)
{
    if (!d)
        return NULL;
    rill_dtype dtype = rill_dtype_of(d->x);
    rill_dataset *part = dataset_new(dtype, rill_error(d->home));
    if (part && !(fraction >= 0 && fraction <= 1))
        rill_fail(part->home, "dataset_split: fraction %g is not in [0, 1]",
                  fraction);
    if (rill_dataset_error(part))
        return part;
    int64_t n = llround((double)d->n * fraction), rest = d->n - n;
    int64_t features = rill_dim(d->x, 1);
    part->class_names = dataset_names(part, d->class_names, d->classes);
    if (d->feature_names)
        part->feature_names = dataset_names(part, d->feature_names, features);
    part->y = rill_copy(part->home, rill_i32(d->y) + rest, RILL_I32,
                        RILL_SHAPE(n));
    part->x = rill_copy(part->home, dataset_row(d, rest), dtype,
                        RILL_SHAPE(n, features));
    if (rill_dataset_error(part))
        return part;
    part->classes = d->classes;
    part->n = n;
    d->n = rest;
    return part;
}

/* Frees the set and its rows: no batch of it may be in use any more. NULL is
 * allowed. */
void rill_dataset_free(rill_dataset *d)
{
    if (d)
        rill_tape_free(d->home);
}

/* ---- from a text file of separated cells --------------------------------
 *
 * As RFC 4180 describes them and as spreadsheets write them. The file is read
 * whole and taken apart in place: a cell is a pointer into that text. Whoever
 * cannot go on leaves the reason at home, on the set's tape, and returns
 * false. Lines and columns count from 1, lines as an editor shows them. */

typedef struct {
    const char *text;
    int64_t line;
} csv_cell;

typedef struct {
    rill_dataset *d;
    rill_tape *home; /* d's */
    const char *path;
    rill_csv_opts opts;
    char *text, *at; /* the whole file, and what is not yet read */
    int64_t line;    /* at `at` */
    csv_cell *cells; /* of the last record */
    int n_cells, cap_cells, columns, label;
    const char **labels; /* of each row */
} csv;

static bool csv_refuse(const csv *c, const csv_cell *cell, const char *wrong)
{
    /* no more of it than a screen takes without harm */
    int shown = (int)fmin((double)strcspn(cell->text, "\b\n\r\033"), 60);
    return rill_fail(c->home, "%s:%" PRId64 ":%d: \"%.*s\" %s", c->path,
                     cell->line, (int)(cell - c->cells) + 1, shown,
                     cell->text, wrong);
}

static bool csv_load(csv *c)
{
    if (!c->path)
        return rill_fail(c->home, "dataset_csv: the path is NULL");
    size_t room = 0;
    FILE *f = fopen(c->path, "rb");
    ssize_t bytes = f ? getdelim(&c->text, &room, '\0', f) : -1;
    if (bytes > 0 && !c->text[bytes - 1])
        rill_fail(c->home, "%s: a zero byte: this is no plain text", c->path);
    else if (!f || !feof(f))
        rill_fail(c->home, "%s: %s", c->path, strerror(errno));
    if (f)
        fclose(f);
    c->at = bytes > 0 ? c->text : "";
    c->line = 1;
    if (strncmp(c->at, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        c->at += 3;
    return !rill_error(c->home);
}

/* Reads a cell, moving it together where quotes stood, and goes past what
 * ends it; whether another one follows. The CR of a CR LF is a blank. */
static bool csv_read_cell(csv *c)
{
    const char separator = c->opts.separator;
    if (c->n_cells == c->cap_cells)
        c->cells = rill_nn_grow(c->home, c->cells, c->cap_cells++,
                                sizeof *c->cells);
    if (!c->cells)
        return false;
    while (*c->at != separator && (*c->at == ' ' || *c->at == '\t'))
        c->at++;
    bool quoted = *c->at == '"';
    char *end = c->at += quoted, *closed = NULL;
    csv_cell *cell = &c->cells[c->n_cells++];
    *cell = (csv_cell){ .text = end, .line = c->line };
    while (*c->at && (quoted || (*c->at != separator && *c->at != '\n'))) {
        if (quoted && *c->at == '"' && *++c->at != '"') {
            quoted = false;
            closed = end;
            continue;
        }
        c->line += *c->at == '\n';
        *end++ = *c->at++;
    }
    while (end > (closed ? closed : cell->text) && strchr(" \t\r", end[-1]))
        end--;
    const char stop = *c->at;
    *end = '\0';
    if (quoted || (closed && end > closed))
        return csv_refuse(c, cell, quoted ? "has no closing quote"
                                          : "has text after its quotes");
    c->line += stop == '\n';
    c->at += stop != '\0';
    return stop == separator;
}

/* Reads the next record that is no blank line; false, too, where the text
 * ends. */
static bool csv_record(csv *c)
{
    do {
        if (!*c->at)
            return false;
        c->n_cells = 0;
        while (csv_read_cell(c))
            ;
    } while (!rill_error(c->home) && c->n_cells == 1 && !*c->cells->text);
    return !rill_error(c->home);
}

static bool csv_label_column(csv *c)
{
    const char *label = c->opts.label ? c->opts.label : "-1";
    char *end;
    long long at = strtoll(label, &end, 10);
    at = !*label || *end ? -1 : at < 0 ? at + c->columns : at;
    for (int i = 0; c->opts.header && i < c->columns; i++)
        if (strcmp(c->cells[i].text, label) == 0)
            at = i;
    if (at < 0 || at >= c->columns)
        return rill_fail(c->home, "%s: no column \"%s\" among %d%s", c->path,
                         label, c->columns,
                         c->opts.header ? "" : " without a header");
    c->label = (int)at;
    return true;
}

/* Takes the columns, and their names if there are any, from the first
 * record. */
static bool csv_columns(csv *c)
{
    const rill_dataset *like = c->opts.like;
    if (!csv_record(c))
        return rill_fail(c->home, "%s: the file is empty", c->path);
    c->columns = c->n_cells;
    int64_t features = c->columns - 1;
    int64_t wanted = like ? rill_dataset_features(like) : 1;
    if (like ? features != wanted : features < wanted)
        return rill_fail(c->home, "%s: number of columns is %d: a label and %"
                         PRId64 " for features wanted", c->path, c->columns,
                         wanted);
    if (!csv_label_column(c))
        return false;
    if (!c->opts.header)
        return true;
    const char **names = rill_tape_alloc(c->home, (size_t)features *
                                                      sizeof *names);
    for (int i = 0, f = 0; names && i < c->columns; i++)
        if (i != c->label)
            names[f++] = c->cells[i].text;
    c->d->feature_names = dataset_names(c->d, names, features);
    return c->d->feature_names;
}

/* The value of a decimal number, else INFINITY, also for what strtod takes
 * beside (nan, hexadecimal). */
static double csv_number(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    bool decimal = *text && !text[strspn(text, "+-.0123456789eE")];
    return decimal && !*end ? value : INFINITY;
}

/* Numbers by value, then words by their bytes. */
static int csv_class_order(const void *left, const void *right)
{
    const char *const *a = left, *const *b = right;
    double x = csv_number(*a), y = csv_number(*b);
    return x < y ? -1 : x > y ? 1 : strcmp(*a, *b);
}

static const char **csv_class_find(const char *name, const char **names,
                                   int64_t n)
{
    return bsearch(&name, names, (size_t)n, sizeof *names, csv_class_order);
}

static bool csv_row(csv *c)
{
    if (c->n_cells != c->columns)
        return rill_fail(c->home, "%s:%" PRId64 ": number of cells is %d, not "
                         "%d", c->path, c->cells[0].line, c->n_cells,
                         c->columns);
    int64_t to = c->d->n * (c->columns - 1);
    for (int i = 0; i < c->columns; i++) {
        if (i == c->label)
            continue;
        dataset_set(c->d, to, csv_number(c->cells[i].text));
        if (!isfinite(rill_at(c->d->x, to++)))
            return csv_refuse(c, &c->cells[i], c->d->n || c->opts.header ?
                              "is not a finite number" :
                              "is not a number: is this line a header?");
    }
    const csv_cell *label = &c->cells[c->label];
    const rill_dataset *like = c->opts.like;
    if (!*label->text)
        return csv_refuse(c, label, "is not a class");
    if (like && !csv_class_find(label->text, like->class_names, like->classes))
        return csv_refuse(c, label, "is not one of the known classes");
    c->labels[c->d->n++] = label->text;
    return true;
}

static bool csv_rows(csv *c, rill_dtype dtype)
{
    int64_t room = 2; /* the record at hand and a last line without an end */
    for (const char *s = c->at; (s = strchr(s, '\n')); s++)
        room++;
    c->labels = rill_tape_alloc(c->home, (size_t)room * sizeof *c->labels);
    c->d->x = rill_empty(c->home, dtype, RILL_SHAPE(room, c->columns - 1));
    bool more = c->d->x && (!c->opts.header || csv_record(c));
    while (more)
        more = csv_row(c) && csv_record(c);
    if (c->d->n == 0)
        rill_fail(c->home, "%s: no rows after the header", c->path);
    return !rill_error(c->home);
}

/* Turns labels into numbers of classes: like's classes, or all there are. */
static bool csv_classes(csv *c)
{
    const rill_dataset *like = c->opts.like;
    int64_t n = like ? like->classes : c->d->n;
    const char **names = rill_tape_alloc(c->home, (size_t)n * sizeof *names);
    c->d->y = rill_empty(c->home, RILL_I32, RILL_SHAPE(c->d->n));
    int32_t *y = rill_write(c->d->y);
    if (!y)
        return false;
    memcpy(names, like ? like->class_names : c->labels,
           (size_t)n * sizeof *names);
    qsort(names, (size_t)n, sizeof *names, csv_class_order);
    int classes = 0;
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || strcmp(names[classes - 1], names[i]) != 0)
            names[classes++] = names[i];
    for (int64_t i = 0; i < c->d->n; i++)
        y[i] = (int32_t)(csv_class_find(c->labels[i], names, classes) - names);
    c->d->class_names = dataset_names(c->d, names, classes);
    c->d->classes = c->d->class_names ? classes : 0;
    return c->d->class_names;
}

/* Reads the data set in the file at path: a row a line, every column but the
 * label's a feature of dtype, float32 or float64.
 *
 * Cells may stand in quotes, a quote in them doubled, a line end in them
 * allowed; blanks around cells, blank lines and a byte order mark do not
 * count. Lines end in LF or CR LF. A number is decimal, with a point, in every
 * locale. Classes are words or numbers; their indices are in sorted order,
 * numbers by value and before words. opts->like is a set, say the training
 * part, that gives classes and number of features instead. opts may be NULL.
 *
 * Errors, those of a cell with file, line and column: a file that cannot be
 * read or holds no row or a zero byte; a label column that is not there; rows
 * of different length; a feature that is no finite number in dtype; an empty
 * label; a class, or a number of features, that like does not have; a quote
 * that is never closed, or that text follows; another dtype; path is NULL. */
rill_dataset *rill_dataset_csv(const char *path, rill_dtype dtype,
                               const rill_csv_opts *opts)
{
    csv c = { .opts = opts ? *opts : (rill_csv_opts){ .header = false } };
    const rill_dataset *like = c.opts.like;
    c.d = dataset_new(dtype, like ? rill_dataset_error(like) : NULL);
    if (rill_dataset_error(c.d))
        return c.d;
    c.home = c.d->home;
    c.path = path;
    if (!c.opts.separator)
        c.opts.separator = ',';
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = uselocale(plain);
    if (!csv_load(&c) || !csv_columns(&c) || !csv_rows(&c, dtype) ||
        !csv_classes(&c))
        c.d->n = 0;
    uselocale(before);
    if (plain)
        freelocale(plain);
    free(c.text);
    return c.d;
}

/* ---- what it is --------------------------------------------------------- */

/* The set's first error, a sentence of its own; NULL where there is none. */
const char *rill_dataset_error(const rill_dataset *d)
{
    return d ? rill_error(d->home) : "the data set is NULL";
}

/* Forgets the error. A constructor that failed has left a set without rows;
 * after any other failure the rows are as they were. */
void rill_dataset_clear_error(rill_dataset *d)
{
    if (d)
        rill_clear_error(d->home);
}

/* How many rows. */
int64_t rill_dataset_len(const rill_dataset *d)
{
    return rill_dataset_error(d) ? 0 : d->n;
}

/* How many features a row has. */
int64_t rill_dataset_features(const rill_dataset *d)
{
    return rill_dataset_error(d) ? 0 : rill_dim(d->x, 1);
}

/* How many classes there are, with rows or without. */
int rill_dataset_classes(const rill_dataset *d)
{
    return rill_dataset_error(d) ? 0 : d->classes;
}

/* The name of class c, the set's own; NULL where there is no such class. */
const char *rill_dataset_class_name(const rill_dataset *d, int c)
{
    return c >= 0 && c < rill_dataset_classes(d) ? d->class_names[c] : NULL;
}

/* The name of feature f, the set's own, "" where the columns have none; NULL
 * where there is no such feature. */
const char *rill_dataset_feature_name(const rill_dataset *d, int64_t f)
{
    if (f < 0 || f >= rill_dataset_features(d))
        return NULL;
    return d->feature_names ? d->feature_names[f] : "";
}

/* Sets counts[c] to the number of rows of class c, for every class. */
bool rill_dataset_class_counts(const rill_dataset *d, int64_t *counts)
{
    if (rill_dataset_error(d) || !counts)
        return false;
    memset(counts, 0, (size_t)d->classes * sizeof *counts);
    for (int64_t i = 0; i < d->n; i++)
        counts[rill_i32(d->y)[i]]++;
    return true;
}

/* Sets mean[f] and std[f] of each feature; std is the population's (divided
 * by n), and exactly 0 for a column of equal numbers. Summed in double. NaN
 * where there are no rows. */
bool rill_dataset_statistics(rill_dataset *d, double *mean, double *std)
{
    if (!dataset_ready(d, "dataset_statistics", mean && std))
        return false;
    int64_t features = rill_dim(d->x, 1);
    for (int64_t f = 0; f < features; f++) {
        /* from the first row on, or rounding gives a constant column a std */
        double first = rill_at(d->x, f), sum = 0, squares = 0;
        for (int64_t i = 0; i < d->n; i++)
            sum += rill_at(d->x, i * features + f) - first;
        mean[f] = first + sum / (double)d->n;
        for (int64_t i = 0; i < d->n; i++) {
            double apart = rill_at(d->x, i * features + f) - mean[f];
            squares += apart * apart;
        }
        std[f] = sqrt(squares / (double)d->n);
    }
    return true;
}

/* ---- what changes it ---------------------------------------------------- */

/* Replaces each x of feature f by (x - mean[f]) / std[f], by x - mean[f]
 * where std[f] is 0. Pass the training part's statistics to every part. */
bool rill_dataset_standardise(rill_dataset *d, const double *mean,
                              const double *std)
{
    if (!dataset_ready(d, "dataset_standardise", mean && std))
        return false;
    int64_t features = rill_dim(d->x, 1);
    for (int64_t i = 0; i < d->n * features; i++) {
        int64_t f = i % features;
        double apart = rill_at(d->x, i) - mean[f];
        dataset_set(d, i, std[f] != 0 ? apart / std[f] : apart);
    }
    return true;
}

static void dataset_swap(void *left, void *right, size_t bytes)
{
    unsigned char *a = left, *b = right;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

/* Puts the rows in a random order, each order equally likely (Fisher and
 * Yates; a draw a row from the last to the second). Batches in use change
 * with them. */
bool rill_dataset_shuffle(rill_dataset *d, rill_rng *r)
{
    if (!dataset_ready(d, "dataset_shuffle", r))
        return false;
    int32_t *y = rill_write(d->y);
    for (int64_t i = d->n - 1; i > 0; i--) {
        int64_t j = (int64_t)rill_rng_below(r, (uint64_t)i + 1);
        dataset_swap(dataset_row(d, i), dataset_row(d, j),
                     dataset_row_bytes(d));
        dataset_swap(&y[i], &y[j], sizeof *y);
    }
    return true;
}

/* ---- batches ------------------------------------------------------------ */

/* How many batches of batch_size rows there are; the last may be smaller. */
int64_t rill_dataset_batches(const rill_dataset *d, int64_t batch_size)
{
    int64_t n = rill_dataset_len(d);
    return batch_size < 1 ? 0 : n / batch_size + (n % batch_size > 0);
}

/* Sets *x to the rows [B, F] and *y to the labels [B] of batch i, as views on
 * tape t: nothing is copied, so until t is reset the set must neither change
 * nor go. B is batch_size, less in the last batch. Errors, all on t: x or y is
 * NULL, the set's own, no such batch (*x and *y are NULL then). */
bool rill_dataset_batch(const rill_dataset *d, rill_tape *t, int64_t i,
                        int64_t batch_size, rill_tensor **x, rill_tensor **y)
{
    if (!x || !y)
        return rill_fail(t, "dataset_batch: an argument is NULL");
    *x = *y = NULL;
    if (!rill_nn_well(t, rill_dataset_error(d)))
        return false;
    int64_t batches = rill_dataset_batches(d, batch_size);
    if (i < 0 || i >= batches)
        return rill_fail(t, "dataset_batch: batch %" PRId64 " of %" PRId64
                         " rows is not in [0, %" PRId64 ")", i, batch_size,
                         batches);
    int64_t first = i * batch_size;
    int64_t n = i < batches - 1 ? batch_size : d->n - first;
    *y = rill_view(t, rill_i32(d->y) + first, RILL_I32, RILL_SHAPE(n));
    *x = rill_view(t, dataset_row(d, first), rill_dtype_of(d->x),
                   RILL_SHAPE(n, rill_dim(d->x, 1)));
    return *x;
}
