/* csv.c: a data set from a text file of separated cells, as RFC 4180
 * describes them and as spreadsheets write them.
 *
 * The file is read whole and taken apart in place: a cell is a pointer into
 * that text, which keeps its place until the end; so errors can quote it.
 * Lines count from 1 as an editor shows them, also inside quoted cells, and
 * in messages columns count from 1 too: "data.csv:17:3" is the third cell of
 * a row that stands on line 17. */
#include "dataset.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *text;
    int64_t line;
} csv_cell;

typedef struct {
    const char *name; /* as the file has it */
    double value;     /* where all classes are numbers; else 0 */
    int64_t row, line;
} csv_class;

typedef struct {
    rill_dataset *d;
    const char *path;
    rill_csv_opts opts;
    char ends[4]; /* what ends a cell without quotes */
    char *text, *at;
    size_t bytes;
    int64_t line;    /* at `at` */
    csv_cell *cells; /* of the last record */
    int64_t n_cells, cap_cells;
    int64_t columns, label;
    csv_class *classes; /* of each row */
} csv;

/* ---- messages ----------------------------------------------------------- */

static bool csv_out_of_memory(csv *c)
{
    return rill_fail(c->d->home, "%s: out of memory", c->path);
}

/* "data.csv:17:3: "abc" is not a number": the cell, then what is wrong. */
static bool csv_refuse(csv *c, int64_t line, int64_t column, const char *text,
                       const char *wrong)
{
    enum { LONGEST = 60 };
    char shown[LONGEST + 4];
    snprintf(shown, sizeof shown, "%.*s%s", LONGEST, text,
             strlen(text) > LONGEST ? "..." : "");
    for (char *s = shown; *s; s++) /* a binary file must not reach a screen */
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            *s = '?';
    return rill_fail(c->d->home, "%s:%" PRId64 ":%" PRId64 ": \"%s\" %s",
                     c->path, line, column + 1, shown, wrong);
}

/* ---- the text ----------------------------------------------------------- */

static bool csv_load(csv *c, FILE *f)
{
    size_t room = 0;
    do {
        if (c->bytes + 1 >= room) {
            room = room ? 2 * room : 1 << 16;
            char *more = realloc(c->text, room);
            if (!more)
                return csv_out_of_memory(c);
            c->text = more;
        }
        c->bytes += fread(c->text + c->bytes, 1, room - c->bytes - 1, f);
        if (ferror(f))
            return rill_fail(c->d->home, "%s: %s", c->path, strerror(errno));
    } while (!feof(f));
    c->text[c->bytes] = '\0';
    c->at = c->text;
    c->line = 1;
    if (strncmp(c->at, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        c->at += 3;
    return true;
}

/* A line ends in LF, CR LF or, in old files, CR. */
static bool csv_line_ends(const char *at)
{
    return *at == '\n' || (*at == '\r' && at[1] != '\n');
}

static bool csv_read(csv *c)
{
    FILE *f = fopen(c->path, "rb");
    if (!f)
        return rill_fail(c->d->home, "%s: %s", c->path, strerror(errno));
    bool read = csv_load(c, f);
    fclose(f);
    if (!read || strlen(c->text) == c->bytes)
        return read;
    int64_t line = 1;
    for (const char *s = c->text; *s; s++)
        line += csv_line_ends(s);
    return rill_fail(c->d->home, "%s:%" PRId64 ": a zero byte: this is not "
                     "plain text", c->path, line);
}

/* ---- cells and records -------------------------------------------------- */

static char *csv_skip_blanks(const csv *c, char *at)
{
    while ((*at == ' ' || *at == '\t') && *at != c->opts.separator)
        at++;
    return at;
}

/* The text in quotes from c->at on, without its quotes and with each doubled
 * one single: where it ends, and in *at what follows the closing quote. */
static char *csv_unquote(csv *c, char **at)
{
    char *from = *at + 1, *to = *at;
    for (; *from; from++) {
        if (*from == '"' && *++from != '"') {
            *at = from;
            return to;
        }
        c->line += csv_line_ends(from);
        *to++ = *from;
    }
    return NULL;
}

/* Reads the cell at c->at and goes past what ends it, which it returns: the
 * separator, a line end, or 0 at the end of the text; -1 for an error. */
static int csv_read_cell(csv *c, csv_cell *cell)
{
    char *at = csv_skip_blanks(c, c->at), *end;
    *cell = (csv_cell){ .text = at, .line = c->line };
    if (*at == '"') {
        end = csv_unquote(c, &at);
        if (!end) {
            rill_fail(c->d->home, "%s:%" PRId64 ":%" PRId64 ": the quote is "
                      "never closed", c->path, cell->line, c->n_cells + 1);
            return -1;
        }
        at = csv_skip_blanks(c, at);
        if (*at && !strchr(c->ends, *at)) {
            *end = '\0';
            csv_refuse(c, cell->line, c->n_cells, cell->text,
                       "has text after its closing quote");
            return -1;
        }
    } else {
        end = at += strcspn(at, c->ends);
        while (end > cell->text && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
    }
    int stop = (unsigned char)*at;
    if (stop == '\r' && at[1] == '\n')
        at++;
    c->line += csv_line_ends(at);
    c->at = at + (stop != 0);
    *end = '\0';
    return stop;
}

/* Reads the next record that is not a blank line into c->cells. False at the
 * end of the text, and for an error. */
static bool csv_record(csv *c)
{
    bool blank = true;
    while (blank && *c->at) {
        const int separator = (unsigned char)c->opts.separator;
        int stop = separator;
        for (c->n_cells = 0; stop == separator; c->n_cells++) {
            if (c->n_cells == c->cap_cells) {
                int64_t room = c->cap_cells ? 2 * c->cap_cells : 64;
                csv_cell *more = realloc(c->cells,
                                         (size_t)room * sizeof *more);
                if (!more)
                    return csv_out_of_memory(c);
                c->cells = more;
                c->cap_cells = room;
            }
            stop = csv_read_cell(c, &c->cells[c->n_cells]);
            if (stop < 0)
                return false;
        }
        blank = c->n_cells == 1 && !*c->cells[0].text;
    }
    return !blank;
}

/* ---- columns ------------------------------------------------------------ */

static bool csv_label_column(csv *c)
{
    const char *label = c->opts.label;
    c->label = c->columns - 1;
    if (!label)
        return true;
    for (int64_t i = 0; c->opts.header && i < c->columns; i++)
        if (strcmp(c->cells[i].text, label) == 0) {
            c->label = i;
            return true;
        }
    char *end;
    long long number = strtoll(label, &end, 10);
    if (end == label || *end)
        return rill_fail(c->d->home, "%s: no column is called \"%s\"%s",
                         c->path, label, c->opts.header ? "" :
                         ": there is no header");
    if (number < -c->columns || number >= c->columns)
        return rill_fail(c->d->home, "%s: label column %s is not in "
                         "[-%" PRId64 ", %" PRId64 ")", c->path, label,
                         c->columns, c->columns);
    c->label = number < 0 ? number + c->columns : number;
    return true;
}

/* Takes the number of columns, and the header if there is one, from the first
 * record. */
static bool csv_columns(csv *c)
{
    rill_dataset *d = c->d;
    if (!csv_record(c))
        return rill_fail(d->home, "%s: the file is empty", c->path);
    c->columns = c->n_cells;
    if (c->columns < 2)
        return rill_fail(d->home, "%s:%" PRId64 ": 1 field; a label and at "
                         "least one feature wanted", c->path,
                         c->cells[0].line);
    if (!csv_label_column(c))
        return false;
    int64_t features = c->columns - 1, like = 0;
    if (c->opts.like)
        like = rill_dataset_features(c->opts.like);
    if (c->opts.like && features != like)
        return rill_fail(d->home, "%s: %" PRId64 " feature%s, %" PRId64
                         " wanted", c->path, features,
                         features == 1 ? "" : "s", like);
    if (!c->opts.header)
        return true;
    const char **names = malloc((size_t)features * sizeof *names);
    if (!names)
        return csv_out_of_memory(c);
    for (int64_t i = 0, f = 0; i < c->columns; i++)
        if (i != c->label)
            names[f++] = c->cells[i].text;
    d->feature_names = rill_dataset_names(d, names, features);
    free(names);
    return d->feature_names != NULL;
}

/* ---- rows --------------------------------------------------------------- */

/* The decimal number that the whole text is, blanks around it aside. What
 * strtod also takes (nan, inf, hexadecimal) is none. */
static bool csv_number(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    size_t plain = strspn(text, " \t+-.0123456789eE");
    return end > text && (size_t)(end - text) <= plain &&
           !end[strspn(end, " \t")];
}

static bool csv_feature(csv *c, int64_t column, int64_t to)
{
    const csv_cell *cell = &c->cells[column];
    double value;
    if (!csv_number(cell->text, &value)) {
        bool header = c->d->n == 0 && !c->opts.header;
        return csv_refuse(c, cell->line, column, cell->text, header ?
                          "is not a number: is this line a header?" :
                          "is not a number");
    }
    rill_dataset_set(c->d, to, value);
    if (!isfinite(rill_dataset_get(c->d, to)))
        return csv_refuse(c, cell->line, column, cell->text,
                          c->d->dtype == RILL_F32 ?
                          "is too large for float32" :
                          "is too large for float64");
    return true;
}

static bool csv_row(csv *c)
{
    rill_dataset *d = c->d;
    if (c->n_cells != c->columns)
        return rill_fail(d->home, "%s:%" PRId64 ": %" PRId64 " field%s, "
                         "%" PRId64 " wanted", c->path, c->cells[0].line,
                         c->n_cells, c->n_cells == 1 ? "" : "s", c->columns);
    for (int64_t i = 0, to = d->n * d->features; i < c->columns; i++)
        if (i != c->label && !csv_feature(c, i, to++))
            return false;
    const csv_cell *cell = &c->cells[c->label];
    if (!*cell->text)
        return csv_refuse(c, cell->line, c->label, cell->text,
                          "is not a class");
    c->classes[d->n] = (csv_class){ .name = cell->text, .row = d->n,
                                    .line = cell->line };
    d->n++;
    return true;
}

static bool csv_rows(csv *c)
{
    int64_t room = 1; /* no fewer than the rows: one a line */
    for (const char *s = c->at; *s; s++)
        room += csv_line_ends(s);
    room += !c->opts.header; /* which csv_columns has read already */
    if (!rill_dataset_room(c->d, room, c->columns - 1))
        return false;
    c->classes = malloc((size_t)room * sizeof *c->classes);
    if (!c->classes)
        return csv_out_of_memory(c);
    bool more = !c->opts.header || csv_record(c);
    for (; more; more = csv_record(c))
        if (!csv_row(c))
            return false;
    if (c->d->n == 0)
        return rill_fail(c->d->home, "%s: no rows after the header", c->path);
    return !rill_dataset_error(c->d);
}

/* ---- classes ------------------------------------------------------------ */

static int csv_class_compare(const void *left, const void *right)
{
    const csv_class *a = left, *b = right;
    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    int order = strcmp(a->name, b->name);
    return order ? order : (a->row > b->row) - (a->row < b->row);
}

/* Whether the classes are numbers, all of them, and so are like's; they have
 * their values then, else all have 0 and compare by name. */
static bool csv_classes_are_numbers(csv *c)
{
    double value;
    bool numbers = true;
    for (int i = 0; numbers && i < rill_dataset_classes(c->opts.like); i++)
        numbers = csv_number(rill_dataset_class_name(c->opts.like, i),
                             &value);
    for (int64_t i = 0; numbers && i < c->d->n; i++)
        numbers = csv_number(c->classes[i].name, &c->classes[i].value);
    for (int64_t i = 0; !numbers && i < c->d->n; i++)
        c->classes[i].value = 0;
    return numbers;
}

/* The index of a class in like; -1 for an unknown one, with an error. */
static int csv_class_find(csv *c, const csv_class *class, bool numbers)
{
    for (int i = 0; i < rill_dataset_classes(c->opts.like); i++) {
        const char *name = rill_dataset_class_name(c->opts.like, i);
        double value;
        if (numbers ? csv_number(name, &value) && value == class->value
                    : strcmp(name, class->name) == 0)
            return i;
    }
    csv_refuse(c, class->line, c->label, class->name,
               "is not one of the known classes");
    return -1;
}

/* Sorts the rows' classes, so that equal ones stand together, and gives each
 * row the number of its class. */
static bool csv_label(csv *c)
{
    rill_dataset *d = c->d;
    bool numbers = csv_classes_are_numbers(c);
    qsort(c->classes, (size_t)d->n, sizeof *c->classes, csv_class_compare);
    const char **names = malloc((size_t)d->n * sizeof *names);
    if (!names)
        return csv_out_of_memory(c);
    int n = 0, index = -1;
    const csv_class *last = NULL;
    for (int64_t i = 0; i < d->n; i++) {
        const csv_class *class = &c->classes[i];
        if (!last || (numbers ? last->value != class->value
                              : strcmp(last->name, class->name) != 0)) {
            names[n] = class->name;
            index = c->opts.like ? csv_class_find(c, class, numbers) : n;
            if (index < 0)
                break;
            n++;
            last = class;
        }
        d->labels[class->row] = index;
    }
    if (index >= 0 && !c->opts.like) {
        d->class_names = rill_dataset_names(d, names, n);
        d->classes = n;
    }
    free(names);
    return !rill_dataset_error(d);
}

static bool csv_like(csv *c)
{
    const rill_dataset *like = c->opts.like;
    if (!like)
        return true;
    if (rill_dataset_error(like))
        return rill_fail(c->d->home, "%s", rill_dataset_error(like));
    c->d->class_names = rill_dataset_names(c->d, like->class_names,
                                           like->classes);
    c->d->classes = like->classes;
    return c->d->class_names != NULL;
}

static bool csv_arguments(csv *c)
{
    char separator = c->opts.separator;
    if (!c->path)
        return rill_fail(c->d->home, "dataset_csv: the path is NULL");
    if (separator == '"' || separator == '\n' || separator == '\r')
        return rill_fail(c->d->home, "dataset_csv: a quote or a line end "
                         "cannot be the separator");
    return csv_like(c);
}

/* Reads the data set in the file at path: a row a line, every column but the
 * label's a feature of dtype, float32 or float64. The caller frees it with
 * rill_dataset_free.
 *
 * Cells may stand in quotes, a quote in them doubled, a line end in them
 * allowed; blanks around cells, blank lines and a byte order mark do not
 * count. Lines end in LF, CR LF or CR, the last one perhaps in nothing.
 * A number is decimal, with a point, in every locale. Classes are words or
 * numbers. Their indices are in sorted order: by value where every label is
 * a number (1 and 1.0 are one class then), else by the bytes of their names.
 * opts->like is a set, say the training part, that gives classes and number
 * of features instead. opts may be NULL.
 *
 * Returns NULL only when memory ran out. Errors on the set, most with file,
 * line and column: a file that cannot be read, holds no row or zero bytes; a
 * label column that is not there; a row of more or fewer cells than the
 * first; a feature that is empty, not a number, or not finite in dtype (nan
 * and inf are no numbers); an empty label; a class, or a number of features,
 * that like does not have; a quote that is never closed or that text
 * follows; a separator that cannot be one; a dtype of no fractions; NULL. */
rill_dataset *rill_dataset_csv(const char *path, rill_dtype dtype,
                               const rill_csv_opts *opts)
{
    csv c = { .d = rill_dataset_new(dtype), .path = path };
    if (!c.d || rill_dataset_error(c.d))
        return c.d;
    if (opts)
        c.opts = *opts;
    if (!c.opts.separator)
        c.opts.separator = ',';
    memcpy(c.ends, (char[]){ c.opts.separator, '\r', '\n', '\0' }, 4);

    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = uselocale(plain);
    bool read = csv_arguments(&c) && csv_read(&c) && csv_columns(&c) &&
                csv_rows(&c) && csv_label(&c);
    uselocale(before);
    if (plain)
        freelocale(plain);
    free(c.text);
    free(c.cells);
    free(c.classes);
    if (!read) {
        c.d->n = 0;
        c.d->classes = 0;
    }
    return c.d;
}
