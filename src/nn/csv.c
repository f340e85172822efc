/* csv.c: data sets from text files of separated cells, as RFC 4180 describes
 * them and as spreadsheets write them.
 *
 * The file is read whole and taken apart in place: a cell is a pointer into
 * that text. Whoever cannot go on leaves the reason at home, on the set's
 * tape, and returns false. Lines and columns count from 1, lines as an editor
 * shows them. */
#include "nn_internal.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    int n_cells, cap_cells, columns, features;
    int label;           /* its column, or -1 */
    const char **labels; /* of each row */
    int64_t rows;
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
    size_t bytes;
    if (c->opts.no_label && c->opts.label)
        return rill_fail(c->home, "dataset_csv: label is \"%s\", but no_label "
                         "is set", c->opts.label);
    c->text = rill_dataset_load(c->home, "dataset_csv", c->path, &bytes);
    if (!c->text)
        return false;
    if (strlen(c->text) < bytes)
        return rill_fail(c->home, "%s: a zero byte: this is no plain text",
                         c->path);
    c->at = c->text;
    if (strncmp(c->at, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        c->at += 3;
    return true;
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

/* What to ask where a row cannot be used and a cell shows another character
 * that often separates cells; else "". */
static const char *csv_guess_separator(const char *text)
{
    const char *other = strpbrk(text, ";\t");
    return !other ? "" : *other == ';' ? ": is ';' the separator?"
                                       : ": is a tab the separator?";
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

/* Takes the features' names from the header, the same as like's if those have
 * any. */
static bool csv_names(csv *c)
{
    const char *const *known = c->opts.like ? c->opts.like->feature_names
                                            : NULL;
    const char **names = rill_tape_alloc(c->home, (size_t)c->features *
                                                      sizeof *names);
    for (int i = 0, f = 0; names && i < c->columns; i++) {
        const char *name = c->cells[i].text;
        if (i == c->label)
            continue;
        if (known && strcmp(known[f], name) != 0)
            return csv_refuse(c, &c->cells[i],
                              rill_nn_text(c->home, "is not \"%s\", the known "
                                           "name of this column", known[f]));
        names[f++] = rill_nn_text(c->home, "%s", name);
    }
    c->d->feature_names = names;
    return !rill_error(c->home);
}

/* Takes the columns, and their names if there are any, from the first
 * record. */
static bool csv_columns(csv *c)
{
    const rill_dataset *like = c->opts.like;
    if (!csv_record(c))
        return rill_fail(c->home, "%s: the file is empty", c->path);
    c->columns = c->n_cells;
    c->features = c->columns - !c->opts.no_label;
    int64_t wanted = like ? rill_dataset_features(like) : 1;
    if (like ? c->features != wanted : c->features < wanted) {
        const char *guess = "";
        for (int i = 0; !*guess && i < c->columns; i++)
            guess = csv_guess_separator(c->cells[i].text);
        return rill_fail(c->home, "%s: number of columns is %d: %s%" PRId64
                         " for features wanted%s", c->path, c->columns,
                         c->opts.no_label ? "" : "a label and ", wanted,
                         guess);
    }
    return (c->opts.no_label || csv_label_column(c)) &&
           (!c->opts.header || csv_names(c));
}

/* The value of a decimal number, infinite where float64 ends; else NAN, also
 * for what strtod takes beside (inf, hexadecimal). */
static double csv_number(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    bool decimal = *text && !text[strspn(text, "+-.0123456789eE")];
    return decimal && !*end ? value : NAN;
}

/* Numbers by value, then words by their bytes. */
static int csv_class_order(const void *left, const void *right)
{
    const char *const *a = left, *const *b = right;
    double x = fmin(csv_number(*a), INFINITY), /* a NAN's, too */
           y = fmin(csv_number(*b), INFINITY);
    return x < y ? -1 : x > y ? 1 : strcmp(*a, *b);
}

static const char **csv_class_find(const char *name, const char **names,
                                   int64_t n)
{
    return bsearch(&name, names, (size_t)n, sizeof *names, csv_class_order);
}

/* Says why a feature's cell is no number and, in the first row, what may have
 * been forgotten. */
static bool csv_refuse_number(const csv *c, const csv_cell *cell)
{
    const double value = csv_number(cell->text);
    const char *guess = csv_guess_separator(cell->text);
    bool numbers = false; /* whether another cell of this row is one */
    if (!isnan(value))
        return csv_refuse(c, cell, isfinite(value) ?
                          "is out of float32's range: float64 holds it" :
                          "is out of float64's range");
    if (!*cell->text)
        return csv_refuse(c, cell, "is a missing number");
    for (int i = 0; i < c->columns; i++)
        numbers |= !isnan(csv_number(c->cells[i].text));
    bool label = c->label >= 0 &&
                 !isnan(csv_number(c->cells[c->label].text));
    if (!*guess && c->rows == 0)
        guess = !c->opts.header && !numbers ? ": is this line a header?" :
                label ? ": is this the label's column?" : "";
    return csv_refuse(c, cell, rill_nn_text(c->home, "is not a number%s",
                                            guess));
}

static bool csv_row(csv *c)
{
    if (c->n_cells != c->columns)
        return rill_fail(c->home, "%s:%" PRId64 ": number of cells is %d, not "
                         "%d", c->path, c->cells[0].line, c->n_cells,
                         c->columns);
    int64_t to = c->rows * c->features;
    for (int i = 0; i < c->columns; i++) {
        if (i == c->label)
            continue;
        rill_dataset_set(c->d, to, csv_number(c->cells[i].text));
        if (!isfinite(rill_at(c->d->x, to++)))
            return csv_refuse_number(c, &c->cells[i]);
    }
    if (!c->opts.no_label) {
        const csv_cell *label = &c->cells[c->label];
        const rill_dataset *like = c->opts.like;
        if (!*label->text)
            return csv_refuse(c, label, "is not a class");
        if (like &&
            !csv_class_find(label->text, like->class_names, like->classes))
            return csv_refuse(c, label, "is not one of the known classes");
        c->labels[c->rows] = label->text;
    }
    return ++c->rows;
}

static bool csv_rows(csv *c, rill_dtype dtype)
{
    int64_t room = 2; /* the record at hand and a last line without an end */
    for (const char *s = c->at; (s = strchr(s, '\n')); s++)
        room++;
    c->labels = rill_tape_alloc(c->home, (size_t)room * sizeof *c->labels);
    c->d->x = rill_empty(c->home, dtype, RILL_SHAPE(room, c->features));
    bool more = c->d->x && (!c->opts.header || csv_record(c));
    while (more)
        more = csv_row(c) && csv_record(c);
    if (c->rows == 0)
        rill_fail(c->home, "%s: no rows after the header", c->path);
    return !rill_error(c->home);
}

/* Turns labels into numbers of classes: like's classes, or all there are. */
static void csv_classes(csv *c)
{
    const rill_dataset *like = c->opts.like;
    int64_t n = like ? like->classes : c->rows;
    const char **names = rill_tape_alloc(c->home, (size_t)n * sizeof *names);
    c->d->y = rill_empty(c->home, RILL_I32, RILL_SHAPE(c->rows));
    int32_t *y = rill_write(c->d->y);
    if (!y)
        return;
    memcpy(names, like ? like->class_names : c->labels,
           (size_t)n * sizeof *names);
    qsort(names, (size_t)n, sizeof *names, csv_class_order);
    int classes = 0;
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || strcmp(names[classes - 1], names[i]) != 0)
            names[classes++] = names[i];
    for (int64_t i = 0; i < c->rows; i++)
        y[i] = (int32_t)(csv_class_find(c->labels[i], names, classes) - names);
    rill_dataset_made(c->d, c->rows, classes, names);
}

/* Reads the data set in the file at path, plain or gzip: a row a line, every
 * column but the label's a feature of dtype, float32 or float64.
 *
 * Cells may stand in quotes, a quote in them doubled, a line end in them
 * allowed; blanks around cells, blank lines and a byte order mark do not
 * count. Lines end in LF or CR LF. A number is decimal, with a point, in every
 * locale. Classes are words or numbers; their indices are in sorted order,
 * numbers by value and before words. opts->like is a set, say the training
 * part, that gives classes and features instead: their number and, where both
 * have them, their names. With no_label every column is a feature, and like
 * gives no classes. opts may be NULL.
 *
 * Errors, those of a cell with file, line and column: a file that cannot be
 * read or holds no row or a zero byte; a label column that is not there; rows
 * of different length; a feature that is no finite number in dtype; an empty
 * label; a class, or a number or name of features, that like does not have; a
 * quote that is never closed, or that text follows; another dtype; path is
 * NULL. */
rill_dataset *rill_dataset_csv(const char *path, rill_dtype dtype,
                               const rill_csv_opts *opts)
{
    csv c = { .path = path, .line = 1, .label = -1 };
    if (opts)
        c.opts = *opts;
    c.d = rill_dataset_new(dtype, c.opts.like);
    if (rill_dataset_error(c.d))
        return c.d;
    c.home = c.d->home;
    if (!c.opts.separator)
        c.opts.separator = ',';
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = uselocale(plain);
    if (csv_load(&c) && csv_columns(&c) && csv_rows(&c, dtype)) {
        if (c.opts.no_label)
            rill_dataset_made(c.d, c.rows, 0, NULL);
        else
            csv_classes(&c);
    }
    uselocale(before);
    if (plain)
        freelocale(plain);
    free(c.text);
    return c.d;
}
