/* safetensors.c: named tensors on disk, in the format that PyTorch's users
 * know: the length of a header (8 bytes, little-endian), the header (JSON: by
 * name a dtype, a shape and where the data lie), the data (little-endian,
 * without a gap).
 *
 * A file is read whole and nothing in it is believed: what the header claims
 * is held against the file's size before anything is made of it. Names that
 * begin with a dot are not parameters': checkpoints use them. */
#include "file.h"
#include "nn_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What a file's dtypes are called, and as what they are read; the first of
 * each is how that is written. */
typedef struct {
    const char *name;
    size_t size;
    rill_dtype as;
} safetensors_kind;

static const safetensors_kind kinds[] = {
    { "F64", 8, RILL_F64 },  { "F32", 4, RILL_F32 },  { "F16", 2, RILL_F32 },
    { "BF16", 2, RILL_F32 }, { "I32", 4, RILL_I32 },  { "I64", 8, RILL_I32 },
    { "I16", 2, RILL_I32 },  { "I8", 1, RILL_I32 },   { "U64", 8, RILL_I32 },
    { "U32", 4, RILL_I32 },  { "U16", 2, RILL_I32 },  { "U8", 1, RILL_I32 },
    { "BOOL", 1, RILL_I32 },
};
enum { KINDS = sizeof kinds / sizeof *kinds, HEAD = 8 };

typedef struct {
    const char *name;
    const safetensors_kind *kind;
    rill_shape shape;
    size_t numel, begin, end; /* of the data */
} safetensors_entry;

struct rill_safetensors {
    rill_tape *home;
    const char *path;
    json_t *header;         /* names are its keys */
    const json_t *metadata; /* of the header, or NULL */
    const unsigned char *data;
    size_t size; /* of the data */
    int n;
    safetensors_entry *at; /* in the order of their data */
};

/* ---- numbers ------------------------------------------------------------ */

/* The number of `size` bytes, the lowest first. */
static uint64_t safetensors_bits(const unsigned char *p, size_t size)
{
    uint64_t bits = 0;
    for (size_t i = size; i-- > 0;)
        bits = bits << 8 | p[i];
    return bits;
}

static double safetensors_half(uint64_t bits)
{
    int exponent = bits >> 10 & 31;
    double m = (double)(bits & 1023), sign = bits >> 15 ? -1 : 1;
    if (exponent == 31)
        return m != 0 ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexp(m + 1024, exponent - 25) : ldexp(m, -24));
}

/* The element at p. Beyond 2^53 integers are rounded: int32 holds none of
 * them. */
static double safetensors_number(const safetensors_kind *kind,
                                 const unsigned char *p)
{
    uint64_t bits = safetensors_bits(p, kind->size);
    double d;
    float f;
    if (kind->name[0] == 'I') { /* the sign is in the uppermost bit */
        int unused = 64 - 8 * (int)kind->size;
        return (double)((int64_t)(bits << unused) >> unused);
    }
    if (kind->as == RILL_I32)
        return (double)bits;
    if (kind->as == RILL_F64) {
        memcpy(&d, &bits, sizeof d);
        return d;
    }
    if (kind->name[1] == '1') /* F16 */
        return safetensors_half(bits);
    /* of an F32 BF16 is the upper half */
    uint32_t word = (uint32_t)(kind->size == 2 ? bits << 16 : bits);
    memcpy(&f, &word, sizeof f);
    return f;
}

/* Writes the elements of e to memory of dtype; false, with an error on t,
 * where one does not fit into int32. */
static bool safetensors_fill(rill_tape *t, const rill_safetensors *f,
                             const safetensors_entry *e, rill_dtype dtype,
                             void *to)
{
    for (size_t i = 0; i < e->numel; i++) {
        double v = safetensors_number(
            e->kind, f->data + e->begin + i * e->kind->size);
        if (dtype == RILL_F32)
            ((float *)to)[i] = (float)v;
        else if (dtype == RILL_F64)
            ((double *)to)[i] = v;
        else if (v >= INT32_MIN && v <= INT32_MAX)
            ((int32_t *)to)[i] = (int32_t)v;
        else
            return rill_fail(t, "%s: element %zu of \"%s\" is %.17g, which "
                             "int32 cannot hold", f->path, i, e->name, v);
    }
    return true;
}

/* ---- reading ------------------------------------------------------------ */

/* The bytes of a regular file; NULL with an error. */
static unsigned char *safetensors_read(rill_tape *home, const char *path,
                                       size_t *size)
{
    struct stat s;
    unsigned char *bytes = NULL;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &s) != 0)
        rill_fail(home, "%s: cannot open it: %s", path, strerror(errno));
    else if (!S_ISREG(s.st_mode))
        rill_fail(home, "%s: not a regular file", path);
    else if ((bytes = rill_tape_alloc(home, *size = (size_t)s.st_size)) &&
             fread(bytes, 1, *size, file) != *size)
        bytes = rill_fail(home, "%s: cannot read it: %s", path,
                          ferror(file) ? strerror(errno) : "it grew shorter");
    if (file)
        fclose(file);
    return bytes;
}

/* Sets e's shape and number of elements. */
static bool safetensors_shape(const rill_safetensors *f, const json_t *shape,
                              safetensors_entry *e)
{
    size_t n = json_array_size(shape);
    if (!json_is_array(shape) || n > RILL_MAX_DIMS)
        return rill_fail(f->home, "%s: the shape of \"%s\" is not a list of "
                         "at most %d sizes", f->path, e->name, RILL_MAX_DIMS);
    e->shape = (rill_shape){ .ndim = (int)n };
    e->numel = 1;
    for (size_t d = 0; d < n; d++) {
        const json_t *v = json_array_get(shape, d);
        json_int_t size = json_is_integer(v) ? json_integer_value(v) : -1;
        if (size < 0 || (size > 0 && e->numel > SIZE_MAX / 16 / (size_t)size))
            return rill_fail(f->home, "%s: dimension %zu of \"%s\" is no size "
                             "or makes it too large", f->path, d, e->name);
        e->shape.dim[d] = size;
        e->numel *= (size_t)size;
    }
    return true;
}

/* Fills e with what the header says of its tensor. */
static bool safetensors_entry_of(const rill_safetensors *f, const json_t *v,
                                 safetensors_entry *e)
{
    const char *dtype = json_string_value(json_object_get(v, "dtype"));
    json_int_t begin, end;
    for (int k = 0; dtype && k < KINDS; k++)
        if (strcmp(dtype, kinds[k].name) == 0)
            e->kind = &kinds[k];
    if (!e->kind)
        return rill_fail(f->home, "%s: the dtype of \"%s\" is \"%s\", which "
                         "is not known here", f->path, e->name,
                         dtype ? dtype : "(none)");
    if (!safetensors_shape(f, json_object_get(v, "shape"), e))
        return false;
    if (json_unpack(json_object_get(v, "data_offsets"), "[I, I!]", &begin,
                    &end) != 0 ||
        begin < 0 || end < begin || (uint64_t)end > f->size)
        return rill_fail(f->home, "%s: the data of \"%s\" do not lie in the "
                         "file's %zu bytes of data", f->path, e->name,
                         f->size);
    e->begin = (size_t)begin;
    e->end = (size_t)end;
    if (e->end - e->begin != e->numel * e->kind->size)
        return rill_fail(f->home, "%s: \"%s\" has %zu bytes of data, but its "
                         "shape and dtype want %zu", f->path, e->name,
                         e->end - e->begin, e->numel * e->kind->size);
    return true;
}

static bool safetensors_read_metadata(rill_safetensors *f, json_t *object)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return rill_fail(f->home, "%s: __metadata__ is not an object",
                         f->path);
    json_object_foreach(object, key, value)
        if (!json_is_string(value))
            return rill_fail(f->home, "%s: \"%s\" of __metadata__ is not a "
                             "text", f->path, key);
    f->metadata = object;
    return true;
}

static int safetensors_order(const void *a, const void *b)
{
    const safetensors_entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Fills f from its header; whether every byte of data is one tensor's. */
static bool safetensors_read_header(rill_safetensors *f)
{
    const char *name;
    json_t *value;
    size_t end = 0;
    f->at = rill_tape_alloc(f->home,
                            json_object_size(f->header) * sizeof *f->at);
    if (!f->at)
        return false;
    json_object_foreach(f->header, name, value) {
        if (strcmp(name, "__metadata__") == 0) {
            if (!safetensors_read_metadata(f, value))
                return false;
            continue;
        }
        safetensors_entry *e = &f->at[f->n++];
        *e = (safetensors_entry){ .name = name };
        if (!safetensors_entry_of(f, value, e))
            return false;
    }
    qsort(f->at, (size_t)f->n, sizeof *f->at, safetensors_order);
    for (int i = 0; i < f->n; end = f->at[i++].end)
        if (f->at[i].begin != end)
            return rill_fail(f->home, "%s: the data of \"%s\" begin at %zu, "
                             "those before end at %zu", f->path,
                             f->at[i].name, f->at[i].begin, end);
    return end == f->size ||
           rill_fail(f->home, "%s: the last %zu bytes belong to no tensor",
                     f->path, f->size - end);
}

static bool safetensors_parse(rill_safetensors *f)
{
    size_t size;
    json_error_t wrong;
    const unsigned char *bytes = safetensors_read(f->home, f->path, &size);
    if (!bytes)
        return false;
    uint64_t length = size < HEAD ? 0 : safetensors_bits(bytes, HEAD);
    if (size < HEAD || length > size - HEAD)
        return rill_fail(f->home, "%s: not safetensors, or cut off: a header "
                         "of %" PRIu64 " bytes in a file of %zu", f->path,
                         length, size);
    f->data = bytes + HEAD + length;
    f->size = size - HEAD - (size_t)length;
    f->header = json_loadb((const char *)bytes + HEAD, (size_t)length,
                           JSON_REJECT_DUPLICATES, &wrong);
    if (!f->header)
        return rill_fail(f->home, "%s: byte %d of its header: %s", f->path,
                         wrong.position, wrong.text);
    if (!json_is_object(f->header))
        return rill_fail(f->home, "%s: its header is not an object", f->path);
    return safetensors_read_header(f);
}

/* Reads a file and checks all of it. What is returned carries the error, if
 * there is one (rill_safetensors_error): a file that cannot be read or is
 * malformed in any way, in a sentence with its path; it then has no tensors.
 * Memory is in proportion to the file's size. The caller frees it with
 * rill_safetensors_free. NULL only when memory ran out. */
rill_safetensors *rill_safetensors_open(const char *path)
{
    rill_tape *home = rill_tape_new(NULL);
    rill_safetensors *f = rill_tape_alloc(home, sizeof *f);
    if (!f) {
        rill_tape_free(home);
        return NULL;
    }
    *f = (rill_safetensors){ .home = home };
    if (!path)
        rill_fail(home, "safetensors: the path is NULL");
    else if ((f->path = rill_nn_text(home, "%s", path)) != NULL &&
             !safetensors_parse(f)) {
        f->n = 0;
        f->metadata = NULL;
    }
    return f;
}

/* Frees it; what rill_safetensors_get gave stays. NULL is allowed. */
void rill_safetensors_free(rill_safetensors *f)
{
    if (f) {
        json_decref(f->header);
        rill_tape_free(f->home);
    }
}

/* Why it could not be read, or NULL. */
const char *rill_safetensors_error(const rill_safetensors *f)
{
    return f ? rill_error(f->home) : "the safetensors file is NULL";
}

/* How many tensors there are. */
int rill_safetensors_len(const rill_safetensors *f)
{
    return f ? f->n : 0;
}

/* The name of tensor i in the order of their data; NULL: there is none. */
const char *rill_safetensors_name(const rill_safetensors *f, int i)
{
    return i >= 0 && i < rill_safetensors_len(f) ? f->at[i].name : NULL;
}

/* What the file says of itself under a key; NULL where it does not. */
const char *rill_safetensors_metadata(const rill_safetensors *f,
                                      const char *key)
{
    return f ? json_string_value(json_object_get(f->metadata, key)) : NULL;
}

static const safetensors_entry *safetensors_find(const rill_safetensors *f,
                                                 const char *name)
{
    for (int i = 0; name && i < rill_safetensors_len(f); i++)
        if (strcmp(f->at[i].name, name) == 0)
            return &f->at[i];
    return NULL;
}

/* The tensor of this name, copied to t: F64 as float64, F32, F16 and BF16 as
 * float32, whole numbers and BOOL as int32. Errors, on t: the file's own, no
 * such name, a number that int32 cannot hold. */
rill_tensor *rill_safetensors_get(rill_tape *t, const rill_safetensors *f,
                                  const char *name)
{
    const safetensors_entry *e = safetensors_find(f, name);
    if (!rill_nn_well(t, rill_safetensors_error(f)))
        return NULL;
    if (!e)
        return rill_fail(t, "%s: has no tensor \"%s\"", f->path,
                         name ? name : "(NULL)");
    rill_tensor *x = rill_empty(t, e->kind->as, e->shape);
    if (!x || !safetensors_fill(t, f, e, e->kind->as, rill_write(x)))
        return NULL;
    return x;
}

/* ---- writing ------------------------------------------------------------ */

static const safetensors_kind *safetensors_kind_of(const rill_tensor *x)
{
    const safetensors_kind *kind = kinds;
    while (kind->as != rill_dtype_of(x))
        kind++;
    return kind;
}

static json_t *safetensors_describe(const rill_tensor *x, size_t *at)
{
    const safetensors_kind *kind = safetensors_kind_of(x);
    json_t *shape = json_array();
    size_t begin = *at;
    *at += (size_t)rill_numel(x) * kind->size;
    for (int d = 0; d < rill_ndim(x); d++)
        if (json_array_append_new(shape, json_integer(rill_dim(x, d))) != 0) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", kind->name, "shape",
                     shape, "data_offsets", (json_int_t)begin,
                     (json_int_t)*at);
}

/* Adds a pair to an object, once; value is used up, NULL where memory ran
 * out. */
static bool safetensors_put(rill_tape *t, json_t *object, const char *key,
                            json_t *value)
{
    bool there = key && json_object_get(object, key);
    if (json_object_set_new(object, key, value) == 0 && !there)
        return true;
    return key ? rill_fail(t, "safetensors: \"%s\" %s", key,
                           there ? "is there twice"
                                 : "is not UTF-8, or memory ran out")
               : rill_fail(t, "safetensors: a name is NULL");
}

/* The header as text, to be freed; NULL with an error. The tensors of eight
 * bytes an element come first, so that all are aligned. */
static char *safetensors_header(rill_tape *t, const char *const *names,
                                const rill_tensor *const *x, int n,
                                const rill_metadata *metadata)
{
    size_t at = 0;
    json_t *header = json_object(), *object = json_object();
    bool good = true;
    for (const rill_metadata *m = metadata; good && m && m->key; m++)
        good = safetensors_put(t, object, m->key, json_string(m->value));
    if (good && json_object_size(object))
        good = safetensors_put(t, header, "__metadata__", json_incref(object));
    json_decref(object);
    for (size_t size = sizeof(double); size >= sizeof(float); size /= 2)
        for (int i = 0; good && i < n; i++)
            if (safetensors_kind_of(x[i])->size == size)
                good = safetensors_put(t, header, names[i],
                                       safetensors_describe(x[i], &at));
    char *text = good ? json_dumps(header, JSON_COMPACT) : NULL;
    /* jansson leaves a key out where it found no memory to sort them by */
    json_t *again = text ? json_loads(text, 0, NULL) : NULL;
    if (good && !json_equal(again, header)) {
        rill_fail(t, "safetensors: out of memory");
        free(text);
        text = NULL;
    }
    json_decref(again);
    json_decref(header);
    return text;
}

/* n elements of size bytes, the lowest byte first on every machine. */
static void safetensors_write_data(FILE *file, const void *data, size_t n,
                                   size_t size)
{
    const unsigned char *from = data;
    if (*(const unsigned char *)&(const int){ 1 }) { /* as here */
        fwrite(data, size, n, file);
        return;
    }
    for (size_t i = 0; i < n * size; i++)
        putc_unlocked(from[i ^ (size - 1)], file);
}

/* The header is padded so that the data begin at a multiple of 8. */
static void safetensors_write_all(FILE *file, const char *header,
                                  const rill_tensor *const *x, int n)
{
    const uint64_t padded = (strlen(header) + HEAD - 1) / HEAD * HEAD;
    safetensors_write_data(file, &padded, 1, HEAD);
    fprintf(file, "%-*s", (int)padded, header);
    for (size_t size = sizeof(double); size >= sizeof(float); size /= 2)
        for (int i = 0; i < n; i++)
            if (safetensors_kind_of(x[i])->size == size)
                safetensors_write_data(file, rill_data(x[i]),
                                       (size_t)rill_numel(x[i]), size);
}

/* Writes a file of n tensors of t or of any other tape, with names that are
 * UTF-8 and differ, and pairs of texts (metadata ends with a NULL key; NULL:
 * none). A file that stands at path is replaced when the new one is complete
 * and on the disk, and unharmed where that fails. Errors, on t: a tensor that
 * is NULL or was reset, a bad name, a file that cannot be written. */
bool rill_safetensors_write(rill_tape *t, const char *path,
                            const char *const *names,
                            const rill_tensor *const *x, int n,
                            const rill_metadata *metadata)
{
    for (int i = 0; i < n; i++)
        if (!rill_usable(t, "safetensors", "a tensor", x[i]))
            return false;
    if (!path || strlen(path) >= PATH_MAX)
        return rill_fail(t, "safetensors: the path is %s",
                         path ? "too long" : "NULL");
    char *header = safetensors_header(t, names, x, n, metadata);
    if (!header)
        return false;
    FILE *file = rill_file_begin(path);
    if (file)
        safetensors_write_all(file, header, x, n);
    bool good = rill_file_end(file, path, true) ||
                rill_fail(t, "%s: cannot write it: %s", path, rill_file_why());
    free(header);
    return good;
}

/* ---- parameter sets ----------------------------------------------------- */

/* The names that do not fit, as far as a sentence holds them. */
typedef struct {
    char text[320];
    const char *why; /* of the last one */
    int length, left_out;
} safetensors_names;

/* Adds a name that why stands before, once, or what is wrong behind. */
static void safetensors_note(safetensors_names *list, const char *why,
                             const char *name, const char *wrong)
{
    char *end = list->text + list->length;
    int room = (int)sizeof list->text - list->length;
    bool more = list->why == why;
    int wanted = snprintf(end, (size_t)room, "%s%s\"%s\"%s",
                          !list->why ? "" : more && !*wrong ? ", " : "; ",
                          more ? "" : why, name, wrong);
    list->why = why;
    if (wanted < room && list->left_out == 0) {
        list->length += wanted;
        return;
    }
    *end = '\0';
    list->left_out++;
}

/* Writes words and a shape, as in " is [3, 4]"; returns their end. */
static char *safetensors_say(char *to, const char *words, rill_shape s)
{
    to += sprintf(to, "%s[", words);
    for (int d = 0; d < s.ndim; d++)
        to += sprintf(to, "%s%" PRId64, d ? ", " : "", s.dim[d]);
    return to + sprintf(to, "]");
}

/* Notes an entry that w cannot be read from. */
static void safetensors_fit(safetensors_names *bad, const safetensors_entry *e,
                            const rill_tensor *w)
{
    char wrong[32 + 2 * RILL_MAX_DIMS * 21] = " is of whole numbers";
    rill_shape wanted = rill_shape_of(w);
    bool same = e->shape.ndim == wanted.ndim;
    for (int d = 0; same && d < wanted.ndim; d++)
        same = e->shape.dim[d] == wanted.dim[d];
    if (e->kind->as != RILL_I32) {
        if (same)
            return;
        char *end = safetensors_say(wrong, " is ", e->shape);
        safetensors_say(end, ", not ", wanted);
    }
    safetensors_note(bad, "", e->name, wrong);
}

bool rill_params_fit(const rill_params *p, const rill_safetensors *f,
                     bool partial)
{
    static const char missing[] = "missing ", unexpected[] = "unexpected ";
    safetensors_names bad = { .why = NULL };
    int found = 0;
    if (!rill_nn_well(p->home, rill_safetensors_error(f)))
        return false;
    for (int i = 0; i < p->n; i++)
        if (safetensors_find(f, rill_name(p->at[i].w)))
            found++;
        else if (!partial)
            safetensors_note(&bad, missing, rill_name(p->at[i].w), "");
    for (int i = 0; !partial && i < f->n; i++)
        if (f->at[i].name[0] != '.' && !rill_params_find(p, f->at[i].name))
            safetensors_note(&bad, unexpected, f->at[i].name, "");
    for (int i = 0; i < f->n; i++) {
        const rill_tensor *w = rill_params_find(p, f->at[i].name);
        if (w)
            safetensors_fit(&bad, &f->at[i], w);
    }
    char more[32] = "";
    if (bad.left_out)
        snprintf(more, sizeof more, " and %d more", bad.left_out);
    if (bad.why)
        return rill_fail(p->home, "%s: does not fit the parameters: %s%s",
                         f->path, bad.text, more);
    return found > 0 || p->n == 0 ||
           rill_fail(p->home, "%s: has none of the parameters", f->path);
}

void rill_params_take(rill_params *p, const rill_safetensors *f)
{
    for (int i = 0; i < p->n; i++) {
        rill_tensor *w = p->at[i].w;
        const safetensors_entry *e = safetensors_find(f, rill_name(w));
        if (e)
            safetensors_fill(p->home, f, e, p->dtype, rill_write(w));
    }
}
