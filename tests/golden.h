/* golden.h: reads the reference cases of tests/golden and compares with them.
 *
 *     golden_file *f = golden_open("softmax.txt");
 *     for (golden_case *c; (c = golden_next(f)) != NULL; ) {
 *         rill_tensor *x = golden_input(c, "input");
 *         int dim = (int)golden_number(c, "dim", 0);
 *         golden_compare(c, "output", rill_softmax(tape, x, dim));
 *     }
 *     golden_close(f, 36);
 *
 * Nothing passes unseen: what a case holds and the test did not ask for is a
 * complaint, and so is a number of cases other than the one that is told to
 * golden_close. A complaint is printed and counted, so that one run shows
 * every case that fails; golden_close then fails the test.
 *
 * Files are looked for in $RILL_GOLDEN, or else in tests/golden. */
#ifndef RILL_TESTS_GOLDEN_H
#define RILL_TESTS_GOLDEN_H

#include "harness.h"

#include <stdarg.h>
#include <stdio.h>

typedef enum { GOLDEN_F32, GOLDEN_F64, GOLDEN_I64 } golden_dtype;

typedef struct {
    char *role;
    golden_dtype dtype;
    rill_shape shape;
    int64_t numel;
    double *values; /* each exactly what the file says, or reading fails */
    bool used;
} golden_tensor;

typedef struct {
    char *key, *value;
    bool used;
} golden_attribute;

enum { GOLDEN_MAX_ITEMS = 32 };

typedef struct golden_file golden_file;

typedef struct {
    golden_file *file;
    int line; /* where the case begins */
    char *name, *op, *error;
    bool error_used;
    int n_attributes, n_tensors;
    golden_attribute attribute[GOLDEN_MAX_ITEMS];
    golden_tensor tensor[GOLDEN_MAX_ITEMS];
} golden_case;

struct golden_file {
    FILE *stream;
    const char *name;
    char *text; /* the line being read */
    size_t text_size;
    int line, cases, failures;
    const char *way; /* how what is compared came about; NULL: unsaid */
    bool quiet;      /* complaints are kept in message but not printed */
    char message[512];
    golden_case current;
};

/* ---- complaints --------------------------------------------------------- */

__attribute__((format(printf, 2, 3)))
static inline void golden_complain(golden_file *f, const char *format, ...)
{
    const golden_case *c = &f->current;
    int n = snprintf(f->message, sizeof f->message, "%s:%d: %s%s%s%s%s: ",
                     f->name, c->name ? c->line : f->line,
                     c->op ? c->op : "", c->op ? " " : "",
                     c->name ? c->name : "outside a case",
                     f->way ? ", " : "", f->way ? f->way : "");
    va_list arguments;
    va_start(arguments, format);
    if (n >= 0 && (size_t)n < sizeof f->message)
        vsnprintf(f->message + n, sizeof f->message - (size_t)n, format,
                  arguments);
    va_end(arguments);
    f->failures++;
    if (!f->quiet)
        printf("%s\n", f->message);
}

/* ---- reading ------------------------------------------------------------ */

static inline golden_file *golden_read(FILE *stream, const char *name)
{
    golden_file *f = calloc(1, sizeof *f);
    ck_assert_ptr_nonnull(f);
    f->stream = stream;
    f->name = name;
    f->current.file = f;
    return f;
}

static inline golden_file *golden_open(const char *name)
{
    const char *folder = getenv("RILL_GOLDEN");
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "tests/golden",
             name);
    FILE *stream = fopen(path, "r");
    ck_assert_msg(stream != NULL, "cannot open %s", path);
    return golden_read(stream, name);
}

static inline void golden_clear(golden_case *c)
{
    for (int i = 0; i < c->n_attributes; i++) {
        free(c->attribute[i].key);
        free(c->attribute[i].value);
    }
    for (int i = 0; i < c->n_tensors; i++) {
        free(c->tensor[i].role);
        free(c->tensor[i].values);
    }
    free(c->name);
    free(c->op);
    free(c->error);
    *c = (golden_case){ .file = c->file };
}

/* Complains of what was not asked for since the case was handed out. */
static inline void golden_finish(golden_case *c)
{
    for (int i = 0; i < c->n_attributes; i++)
        if (!c->attribute[i].used)
            golden_complain(c->file, "attribute %s is not known here",
                            c->attribute[i].key);
    for (int i = 0; i < c->n_tensors; i++)
        if (!c->tensor[i].used)
            golden_complain(c->file, "tensor %s is not known here",
                            c->tensor[i].role);
    if (c->error && !c->error_used)
        golden_complain(c->file, "no error was looked for");
    golden_clear(c);
}

/* The next line that says something, or NULL. */
static inline char *golden_line(golden_file *f)
{
    ssize_t n;
    while ((n = getline(&f->text, &f->text_size, f->stream)) >= 0) {
        f->line++;
        if (n > 0 && f->text[n - 1] == '\n')
            f->text[n - 1] = '\0';
        if (f->text[0] != '\0' && f->text[0] != '#')
            return f->text;
    }
    return NULL;
}

/* Cuts the next word off a line; "" at its end. */
static inline char *golden_word(char **rest)
{
    char *word = *rest;
    *rest += strcspn(*rest, " ");
    if (**rest)
        *(*rest)++ = '\0';
    return word;
}

static inline bool golden_read_integer(char **rest, int64_t *value)
{
    char *word = golden_word(rest), *end;
    *value = strtoll(word, &end, 10);
    return *word != '\0' && *end == '\0';
}

/* A value that its type, and a double, hold to the last bit. */
static inline bool golden_read_value(char **rest, golden_dtype dtype,
                                     double *value)
{
    if (dtype == GOLDEN_I64) {
        int64_t integer;
        if (!golden_read_integer(rest, &integer))
            return false;
        *value = (double)integer;
        return integer >= -((int64_t)1 << 53) &&
               integer <= (int64_t)1 << 53;
    }
    char *word = golden_word(rest), *end;
    *value = strtod(word, &end);
    if (*word == '\0' || *end != '\0')
        return false;
    return dtype == GOLDEN_F64 || isnan(*value) ||
           (double)(float)*value == *value;
}

/* tensor <role> <dtype> <ndim> <dims> : <values> */
static inline bool golden_read_tensor(golden_tensor *x, char *rest)
{
    static const char *const dtypes[] = { "f32", "f64", "i64" };
    x->role = strdup(golden_word(&rest));
    const char *dtype = golden_word(&rest);
    int k = 0;
    while (k < 3 && strcmp(dtype, dtypes[k]) != 0)
        k++;
    int64_t ndim;
    if (k == 3 || !golden_read_integer(&rest, &ndim) || ndim < 0 ||
        ndim > RILL_MAX_DIMS)
        return false;
    x->dtype = (golden_dtype)k;
    x->shape.ndim = (int)ndim;
    x->numel = 1;
    for (int d = 0; d < ndim; d++) {
        if (!golden_read_integer(&rest, &x->shape.dim[d]) ||
            x->shape.dim[d] < 0 || x->shape.dim[d] > 1000000)
            return false;
        x->numel *= x->shape.dim[d];
    }
    if (x->numel > 1000000 || strcmp(golden_word(&rest), ":") != 0)
        return false;
    x->values = calloc((size_t)x->numel + 1, sizeof *x->values);
    for (int64_t i = 0; i < x->numel; i++)
        if (!golden_read_value(&rest, x->dtype, &x->values[i]))
            return false;
    return *rest == '\0';
}

/* One line of a case; false if it cannot be understood. */
static inline bool golden_read_item(golden_case *c, char *rest)
{
    const char *kind = golden_word(&rest);
    if (strcmp(kind, "op") == 0 && !c->op && *rest) {
        c->op = strdup(rest);
        return true;
    }
    if (strcmp(kind, "expect") == 0 && !c->error &&
        strcmp(golden_word(&rest), "error") == 0 && *rest) {
        c->error = strdup(rest);
        return true;
    }
    if (strcmp(kind, "attr") == 0 && c->n_attributes < GOLDEN_MAX_ITEMS) {
        golden_attribute *a = &c->attribute[c->n_attributes++];
        a->key = strdup(golden_word(&rest));
        a->value = strdup(rest);
        return a->key[0] != '\0';
    }
    if (strcmp(kind, "tensor") == 0 && c->n_tensors < GOLDEN_MAX_ITEMS)
        return golden_read_tensor(&c->tensor[c->n_tensors++], rest);
    return false;
}

/* The next case, or NULL at the end of the file or where it cannot be
 * understood. The one before is gone, and complained of if it held what
 * nobody asked for. */
static inline golden_case *golden_next(golden_file *f)
{
    golden_case *c = &f->current;
    f->way = NULL;
    golden_finish(c);
    char *line = golden_line(f);
    if (!line)
        return NULL;
    c->line = f->line;
    const char *kind = golden_word(&line);
    if (strcmp(kind, "case") != 0 || *line == '\0') {
        golden_complain(f, "\"%s\" where a case should begin", kind);
        return NULL;
    }
    c->name = strdup(line);
    while ((line = golden_line(f)) != NULL && strcmp(line, "end") != 0)
        if (!golden_read_item(c, line)) {
            golden_complain(f, "line %d cannot be understood", f->line);
            golden_clear(c);
            return NULL;
        }
    if (!line || !c->op) {
        golden_complain(f, "no %s", line ? "op" : "end");
        golden_clear(c);
        return NULL;
    }
    f->cases++;
    return c;
}

static inline void golden_free(golden_file *f)
{
    golden_clear(&f->current);
    fclose(f->stream);
    free(f->text);
    free(f);
}

/* Fails the test if there were complaints, or not this many cases. */
static inline void golden_close(golden_file *f, int cases)
{
    int failures = f->failures, seen = f->cases;
    const char *name = f->name;
    golden_free(f);
    ck_assert_msg(failures == 0, "%s: %d complaints", name, failures);
    ck_assert_msg(seen == cases, "%s: %d cases, not %d", name, seen, cases);
}

/* Says that this case is left out, and why. */
static inline void golden_skip(golden_case *c, const char *reason)
{
    printf("skipped: %s %s: %s\n", c->file->name, c->name, reason);
    for (int i = 0; i < c->n_attributes; i++)
        c->attribute[i].used = true;
    for (int i = 0; i < c->n_tensors; i++)
        c->tensor[i].used = true;
    c->error_used = true;
}

/* ---- what a case holds -------------------------------------------------- */

/* The slug of the error that is expected, or NULL. */
static inline const char *golden_error(golden_case *c)
{
    c->error_used = true;
    return c->error;
}

/* An attribute's text, or NULL where the case has none. */
static inline const char *golden_string(golden_case *c, const char *key)
{
    for (int i = 0; i < c->n_attributes; i++)
        if (strcmp(c->attribute[i].key, key) == 0) {
            c->attribute[i].used = true;
            return c->attribute[i].value;
        }
    return NULL;
}

/* An attribute that is a list of numbers, at most max of them: how many; -1
 * where the case has none. */
static inline int golden_list(golden_case *c, const char *key,
                              double *values, int max)
{
    const char *text = golden_string(c, key);
    if (!text)
        return -1;
    int n = 0;
    while (*text) {
        char *end;
        double value = strtod(text, &end);
        if (end == text || (*end && *end != ',') || n == max) {
            golden_complain(c->file, "attribute %s is %s", key, text);
            return n;
        }
        values[n++] = value;
        text = *end ? end + 1 : end;
    }
    return n;
}

/* An attribute that is one number, or `absent` where the case has none. */
static inline double golden_number(golden_case *c, const char *key,
                                   double absent)
{
    double value = absent;
    int n = golden_list(c, key, &value, 1);
    if (n == 0)
        golden_complain(c->file, "attribute %s is empty", key);
    return n < 0 ? absent : value;
}

/* A tensor by its role, or NULL where the case has none. */
static inline const golden_tensor *golden_find(golden_case *c,
                                               const char *role)
{
    for (int i = 0; i < c->n_tensors; i++)
        if (strcmp(c->tensor[i].role, role) == 0) {
            c->tensor[i].used = true;
            return &c->tensor[i];
        }
    return NULL;
}

/* A case's tensor on a tape; NULL where the case has none. i64 becomes int32,
 * or a complaint and NULL when a value does not fit. */
static inline rill_tensor *golden_input_on(rill_tape *t, golden_case *c,
                                           const char *role)
{
    const golden_tensor *x = golden_find(c, role);
    if (!x)
        return NULL;
    if (x->dtype != GOLDEN_I64)
        return rill_from(t, x->values,
                         x->dtype == GOLDEN_F32 ? RILL_F32 : RILL_F64,
                         x->shape);
    for (int64_t i = 0; i < x->numel; i++)
        if (x->values[i] < INT32_MIN || x->values[i] > INT32_MAX) {
            golden_complain(c->file, "%s[%lld] is %.17g, not an int32", role,
                            (long long)i, x->values[i]);
            return NULL;
        }
    return rill_from(t, x->values, RILL_I32, x->shape);
}

static inline rill_tensor *golden_input(golden_case *c, const char *role)
{
    return golden_input_on(tape, c, role);
}

/* ---- comparing ---------------------------------------------------------- */

static inline double golden_tolerance(golden_dtype dtype)
{
    return dtype == GOLDEN_F32 ? 3e-5 : dtype == GOLDEN_F64 ? 1e-11 : 0;
}

/* What |a - b| is allowed to be for tol = 1, whichever of a and b is the
 * larger: max(largest finite |value| of the tensor, 1e-3). */
static inline double golden_scale(const golden_tensor *x)
{
    double scale = 1e-3;
    for (int64_t i = 0; i < x->numel; i++)
        if (isfinite(x->values[i]))
            scale = fmax(scale, fabs(x->values[i]));
    return scale;
}

/* NaN matches NaN, an infinity one of its sign, and the sign of a zero does
 * not matter; else |a - b| <= tol * max(|a|, |b|, scale). */
static inline bool golden_match(double a, double b, double tol, double scale)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    if (isinf(a) || isinf(b))
        return a == b;
    return fabs(a - b) <= tol * fmax(fmax(fabs(a), fabs(b)), scale);
}

/* Compares n numbers with the case's tensor of that role. */
static inline void golden_compare_values(golden_case *c, const char *role,
                                         const double *values, int64_t n)
{
    const golden_tensor *x = golden_find(c, role);
    if (!x) {
        golden_complain(c->file, "it holds no %s", role);
        return;
    }
    if (n != x->numel) {
        golden_complain(c->file, "%s has %lld elements, not %lld", role,
                        (long long)n, (long long)x->numel);
        return;
    }
    double tol = golden_tolerance(x->dtype), scale = golden_scale(x);
    for (int64_t i = 0; i < n; i++)
        if (!golden_match(values[i], x->values[i], tol, scale)) {
            golden_complain(c->file, "%s[%lld] is %.17g, not %.17g", role,
                            (long long)i, values[i], x->values[i]);
            return;
        }
}

/* Compares shape, dtype and elements; NULL is complained of. */
static inline void golden_compare(golden_case *c, const char *role,
                                  const rill_tensor *got)
{
    static const rill_dtype dtypes[] = { RILL_F32, RILL_F64, RILL_I32 };
    const golden_tensor *x = golden_find(c, role);
    if (!x || !got) {
        const char *error = rill_error(tape);
        golden_complain(c->file, "%s: %s", role,
                        !x ? "not in the case" : error ? error : "NULL");
        return;
    }
    rill_shape shape = rill_shape_of(got);
    bool same = shape.ndim == x->shape.ndim;
    for (int d = 0; same && d < shape.ndim; d++)
        same = shape.dim[d] == x->shape.dim[d];
    if (!same || rill_dtype_of(got) != dtypes[x->dtype]) {
        golden_complain(c->file, "%s is of another shape or dtype: %s, "
                        "%d dimensions, %lld elements", role,
                        rill_dtype_name(rill_dtype_of(got)), shape.ndim,
                        (long long)rill_numel(got));
        return;
    }
    double *values = calloc((size_t)x->numel + 1, sizeof *values);
    for (int64_t i = 0; i < x->numel; i++)
        values[i] = rill_at(got, i);
    golden_compare_values(c, role, values, x->numel);
    free(values);
}

#endif
