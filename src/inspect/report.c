/* report.c: the logs of runs as one page that needs nothing but a browser.
 *
 * The page is page.html, which the Makefile turns into lines of C; where it
 * holds the empty element of the data, the logs' lines are written, each as
 * it stands in its log but for what could end the element. Every line is read
 * twice, first to check it and to choose, then to copy it, so that memory
 * does not grow with the log. */
#include "../nn/file.h"
#include "inspect.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC visibility push(hidden)
extern const char *const rill_page[]; /* its lines; NULL after the last */
#pragma GCC visibility pop

static const char report_marker[] =
    "<script type=\"application/json\" id=\"data\"></script>\n";

/* How many lines of a kind a page takes; of the other types, all. */
typedef enum { STEP, DETAIL, REGIONS, KINDS } report_kind;
static const struct {
    const char *type;
    int64_t limit;
} report_kinds[KINDS] = {
    { "step", 2000 }, { "detail", 200 }, { "regions", 200 }
};

typedef struct {
    report_kind kind;
    double size; /* of a step's gradient; infinite where not all is finite */
    bool kept;
} report_line;

typedef struct {
    const char *path;
    FILE *f;
    char *text; /* of the line just read; getline's */
    size_t room;
    report_line *lines;
    int64_t n, capacity;
    char *error; /* the caller's */
    size_t error_size;
} report_log;

/* Leaves the sentence with the caller; returns false. */
static bool report_fail(char *error, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (error && size > 0)
        vsnprintf(error, size, format, args);
    va_end(args);
    return false;
}

static bool log_fail(report_log *l, const char *why)
{
    return report_fail(l->error, l->error_size, "report: cannot read %s: %s",
                       l->path, why);
}

/* The length of the next line without its newline; -1 at the end, where what
 * a killed run left of its last line counts as nothing. */
static ssize_t log_next(report_log *l)
{
    ssize_t n = getline(&l->text, &l->room, l->f);
    return n > 0 && l->text[n - 1] == '\n' ? n - 1 : -1;
}

/* The norm of a step's whole gradient. A norm that is null is not finite where
 * the tensor has a histogram, and no gradient came where it has none. */
static double step_size(const json_t *step)
{
    const json_t *grad = json_object_get(step, "grad");
    const json_t *histogram = json_object_get(step, "histogram");
    double sum = json_is_null(json_object_get(step, "loss")) ? INFINITY : 0;
    for (size_t i = 0; i < json_array_size(grad); i++) {
        const json_t *norm = json_array_get(grad, i);
        bool infinite = json_is_null(norm) &&
                        json_is_object(json_array_get(histogram, i));
        double g = infinite ? INFINITY : json_number_value(norm);
        sum += g * g;
    }
    return sqrt(sum);
}

/* Checks the line of n bytes just read and notes what it is. */
static bool log_note(report_log *l, size_t n)
{
    if (l->n == l->capacity) {
        l->capacity = 2 * l->capacity + 1024;
        report_line *more =
            realloc(l->lines, (size_t)l->capacity * sizeof *more);
        if (!more)
            return log_fail(l, strerror(ENOMEM));
        l->lines = more;
    }
    json_error_t why;
    json_t *line = json_loadb(l->text, n, JSON_ALLOW_NUL, &why);
    if (!line)
        return report_fail(l->error, l->error_size,
                           "report: %s: line %lld is not JSON: %s", l->path,
                           (long long)l->n + 1, why.text);
    const char *type = json_string_value(json_object_get(line, "type"));
    bool begins = type && strcmp(type, "run") == 0 &&
                  json_integer_value(json_object_get(line, "rill")) == 1;
    report_line *noted = &l->lines[l->n++];
    *noted = (report_line){ .kind = STEP, .kept = true };
    while (noted->kind < KINDS &&
           (!type || strcmp(type, report_kinds[noted->kind].type) != 0))
        noted->kind++;
    noted->size = noted->kind == STEP ? step_size(line) : 0;
    json_decref(line);
    return l->n > 1 || begins ||
           report_fail(l->error, l->error_size,
                       "report: %s: line 1 is not the beginning of a run "
                       "({\"type\":\"run\",\"rill\":1, ...})", l->path);
}

/* Of too many lines of a kind the first and the last stay, and of as many
 * equal intervals between them as there is room for the one with the largest
 * gradient, so that a spike, or the first NaN, is not lost. */
static void log_thin(report_log *l, report_kind kind)
{
    int64_t total = 0, i = 0, slots = report_kinds[kind].limit - 2, slot = -1;
    for (int64_t k = 0; k < l->n; k++)
        total += l->lines[k].kind == kind;
    if (total <= slots + 2)
        return;
    report_line *best = NULL; /* of the slot */
    for (report_line *line = l->lines; line < l->lines + l->n; line++) {
        if (line->kind != kind)
            continue;
        /* the first and the last have slots -1 and `slots` to themselves */
        int64_t at = i > 0 ? (i - 1) * slots / (total - 2) : -1;
        i++;
        if (at != slot)
            best = NULL;
        slot = at;
        line->kept = !best || line->size > best->size;
        if (best && line->kept)
            best->kept = false;
        best = line->kept ? line : best;
    }
}

/* Opens a log, checks it to its end and chooses its lines. */
static bool log_read(report_log *l)
{
    l->f = fopen(l->path, "r");
    if (!l->f)
        return log_fail(l, strerror(errno));
    for (ssize_t n; (n = log_next(l)) >= 0; )
        if (!log_note(l, (size_t)n))
            return false;
    if (ferror(l->f) || !feof(l->f))
        return log_fail(l, strerror(errno));
    if (l->n == 0)
        return log_fail(l, "it holds no whole line");
    for (report_kind kind = STEP; kind < KINDS; kind++)
        log_thin(l, kind);
    return true;
}

/* A line of JSON, of which these only stand in strings, such that nothing in
 * it ends the element and JavaScript of any age reads it. */
static void write_escaped(FILE *f, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '<' || c == '>' || c == '&')
            fprintf(f, "\\u%04x", c);
        else if (n - i > 2 && memcmp(text + i, "\xe2\x80", 2) == 0 &&
                 (text[i + 2] & ~1) == (char)0xa8) {
            fprintf(f, "\\u%04x", 0x2028 + (text[i + 2] & 1));
            i += 2;
        } else
            putc(c, f);
    }
}

/* The run of a log that was read: an array of its lines that were kept. False
 * where the log is at fault: what f suffers is asked in the end. */
static bool log_write(report_log *l, FILE *f)
{
    rewind(l->f);
    for (int64_t i = 0; i < l->n && !ferror(f); i++) {
        ssize_t n = log_next(l);
        if (n < 0)
            return log_fail(l, "it became shorter while it was read");
        if (!l->lines[i].kept)
            continue;
        fputs(i > 0 ? ",\n" : "[", f);
        write_escaped(f, l->text, (size_t)n);
    }
    fputs("]", f);
    return true;
}

/* The page, to a file that is open; false where a log is at fault. */
static bool report_write(FILE *f, const char *const *logs, int n, char *error,
                         size_t error_size)
{
    const char *const *line = rill_page;
    for (; strcmp(*line, report_marker) != 0; line++)
        fputs(*line, f);
    fprintf(f, "%.*s[", (int)strcspn(*line, ">") + 1, *line);
    bool good = true;
    for (int i = 0; good && !ferror(f) && i < n; i++) {
        report_log l = { .path = logs[i], .error = error,
                         .error_size = error_size };
        if (i > 0)
            fputs(",\n", f);
        good = log_read(&l) && log_write(&l, f);
        if (l.f)
            fclose(l.f);
        free(l.text);
        free(l.lines);
    }
    fputs("]</script>\n", f);
    while (*++line)
        fputs(*line, f);
    return good;
}

/* Writes one self-contained HTML page of the logs of n runs (made by a
 * recorder), side by side in this order; a page that stood at path is
 * replaced. A log of more than 2,000 steps is thinned to that many, keeping
 * the first, the last, and the largest gradients between (one that is not
 * finite is the largest there is); of openings of the loss and of decision
 * regions 200 are taken. What stands in a log after its last newline is
 * ignored: a run may still be going on, or have been killed.
 *
 * Returns whether the page was written; where not, path is as it was, and
 * error, unless it is NULL, holds a sentence in at most error_size bytes: no
 * logs, one that cannot be read, is no log, or has a line that is not JSON;
 * a path that cannot be written or is not a plain file; a full disk. */
bool rill_report(const char *path, const char *const *logs, int n,
                 char *error, size_t error_size)
{
    if (!path || !logs || n < 1)
        return report_fail(error, error_size, "report: %s",
                           !path ? "path is NULL" : "no logs were given");
    for (int i = 0; i < n; i++)
        if (!logs[i])
            return report_fail(error, error_size, "report: log %d is NULL", i);
    FILE *f = rill_file_begin(path);
    bool good = !f || report_write(f, logs, n, error, error_size);
    return rill_file_end(f, path, good) ||
           (good && report_fail(error, error_size, "report: cannot write %s: "
                                "%s", path, rill_file_why()));
}
