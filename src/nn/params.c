/* params.c: parameter sets.
 *
 * A set owns its parameters, their names, the sums of gradients and the
 * snapshot: all of it lies on the set's home tape. Names are unique, and
 * parameters keep the order in which they were added. */
#include "nn_internal.h"

#include <inttypes.h>
#include <string.h>

/* An empty set whose parameters will be of dtype; seed is its generator's.
 * The caller frees it with rill_params_free, after the tapes and optimisers
 * that use it. NULL when memory ran out; an int32 dtype is the set's error. */
rill_params *rill_params_new(rill_dtype dtype, uint64_t seed)
{
    rill_tape *home = rill_tape_new(NULL);
    rill_params *p = rill_tape_alloc(home, sizeof *p);
    if (!p) {
        rill_tape_free(home);
        return NULL;
    }
    *p = (rill_params){ .home = home, .dtype = dtype,
                        .rng = { .seed = seed } };
    if (dtype != RILL_F32 && dtype != RILL_F64)
        rill_fail(home, "params: parameters are float32 or float64");
    return p;
}

/* Frees the set and all its parameters. NULL is allowed. */
void rill_params_free(rill_params *p)
{
    if (p)
        rill_tape_free(p->home);
}

/* The set's first error since it was made or cleared, or NULL. */
const char *rill_params_error(const rill_params *p)
{
    return p ? rill_error(p->home) : "the parameter set is NULL";
}

void rill_params_clear_error(rill_params *p)
{
    if (p)
        rill_clear_error(p->home);
}

static bool params_room(rill_params *p)
{
    if (p->n < p->cap)
        return true;
    int cap = p->cap ? 2 * p->cap : 16;
    struct rill_param *at = rill_tape_alloc(p->home, (size_t)cap * sizeof *at);
    if (!at)
        return false;
    if (p->n)
        memcpy(at, p->at, (size_t)p->n * sizeof *at);
    p->at = at;
    p->cap = cap;
    return true;
}

/* A new parameter of zeros, a leaf of every tape that uses it. name: not
 * empty, not taken; copied. NULL with the set's error for a bad name, a
 * negative size, too many elements, or no memory. */
rill_tensor *rill_params_add(rill_params *p, const char *name,
                             rill_shape shape)
{
    if (rill_params_error(p))
        return NULL;
    if (!name || !*name)
        return rill_fail(p->home, "params: the name is empty");
    if (rill_params_find(p, name))
        return rill_fail(p->home, "params: \"%s\" is there already", name);
    for (int d = 0; d < shape.ndim && d < RILL_MAX_DIMS; d++)
        if (shape.dim[d] < 0)
            return rill_fail(p->home, "params: \"%s\" has a negative size: "
                             "%" PRId64, name, shape.dim[d]);
    rill_tensor *w = rill_variable(p->home, name, p->dtype, shape);
    if (!w || !params_room(p))
        return NULL;
    p->at[p->n++] = (struct rill_param){ .w = w };
    return w;
}

/* The parameter of this name, or NULL: no error. */
rill_tensor *rill_params_find(const rill_params *p, const char *name)
{
    for (int i = 0; name && i < rill_params_len(p); i++)
        if (strcmp(rill_name(p->at[i].w), name) == 0)
            return p->at[i].w;
    return NULL;
}

int rill_params_index(const rill_params *p, const rill_tensor *w)
{
    for (int i = 0; w && i < rill_params_len(p); i++)
        if (p->at[i].w == w)
            return i;
    return -1;
}

int rill_params_len(const rill_params *p)
{
    return p ? p->n : 0;
}

/* Parameter i in the order of adding; NULL where there is none. */
rill_tensor *rill_params_at(const rill_params *p, int i)
{
    return i >= 0 && i < rill_params_len(p) ? p->at[i].w : NULL;
}

/* The elements of all parameters together. */
int64_t rill_params_count(const rill_params *p)
{
    int64_t count = 0;
    for (int i = 0; i < rill_params_len(p); i++)
        count += rill_numel(p->at[i].w);
    return count;
}

/* The set's generator: initialisers draw from it in order of creation. */
rill_rng *rill_params_rng(rill_params *p)
{
    return p ? &p->rng : NULL;
}

/* ---- the table ---------------------------------------------------------- */

static const char *params_shape_text(rill_shape s, char *text, size_t size)
{
    size_t n = (size_t)snprintf(text, size, "[");
    for (int d = 0; d < s.ndim && n < size; d++)
        n += (size_t)snprintf(text + n, size - n, "%s%" PRId64,
                              d ? ", " : "", s.dim[d]);
    if (n < size)
        snprintf(text + n, size - n, "]");
    return text;
}

/* Of a text that is too long the end is shown: it tells parameters apart. */
static void params_print_cell(FILE *f, const char *text, int width)
{
    int n = (int)strlen(text);
    if (n <= width)
        fprintf(f, "%-*s  ", width, text);
    else
        fprintf(f, "...%s  ", text + n - (width - 3));
}

/* A table of name, shape, count and whether it is frozen, in at most 79
 * columns, the total at its end. */
void rill_params_print(FILE *f, const rill_params *p)
{
    char text[192];
    int width = (int)strlen("parameter"), shape_width = (int)strlen("shape");
    int count_width = snprintf(NULL, 0, "%" PRId64, rill_params_count(p));
    if (count_width < (int)strlen("count"))
        count_width = (int)strlen("count");
    for (int i = 0; i < rill_params_len(p); i++) {
        const rill_tensor *w = p->at[i].w;
        params_shape_text(rill_shape_of(w), text, sizeof text);
        int name = (int)strlen(rill_name(w)), shape = (int)strlen(text);
        width = name > width ? name : width;
        shape_width = shape > shape_width ? shape : shape_width;
    }
    if (shape_width > 28)
        shape_width = 28;
    int room = 79 - shape_width - count_width - (int)strlen("      frozen");
    width = width > room ? room : width;
    params_print_cell(f, "parameter", width);
    params_print_cell(f, "shape", shape_width);
    fprintf(f, "%*s\n", count_width, "count");
    for (int i = 0; i < rill_params_len(p); i++) {
        const rill_tensor *w = p->at[i].w;
        params_print_cell(f, rill_name(w), width);
        params_print_cell(f, params_shape_text(rill_shape_of(w), text,
                                               sizeof text), shape_width);
        fprintf(f, "%*" PRId64 "%s\n", count_width, rill_numel(w),
                rill_variable_frozen(w) ? "  frozen" : "");
    }
    params_print_cell(f, "total", width);
    fprintf(f, "%*s%*" PRId64 "\n", shape_width + 2, "", count_width,
            rill_params_count(p));
}

/* ---- freezing ----------------------------------------------------------- */

bool rill_name_begins(const rill_tensor *w, const char *prefix)
{
    return strncmp(rill_name(w), prefix, strlen(prefix)) == 0;
}

static bool params_set_frozen(rill_params *p, const char *who,
                              const char *prefix, bool on)
{
    bool found = false;
    if (rill_params_error(p))
        return false;
    if (!prefix)
        return rill_fail(p->home, "%s: the prefix is NULL", who);
    for (int i = 0; i < p->n; i++)
        if (rill_name_begins(p->at[i].w, prefix)) {
            rill_variable_freeze(p->at[i].w, on);
            found = true;
        }
    if (!found)
        rill_fail(p->home, "%s: no name begins with \"%s\"", who, prefix);
    return found;
}

/* Parameters whose name begins with prefix get no gradients on tapes that
 * start to use them from now on, and no optimiser moves them. Error: no name
 * begins so. */
bool rill_params_freeze(rill_params *p, const char *prefix)
{
    return params_set_frozen(p, "freeze", prefix, true);
}

/* Undoes rill_params_freeze, with the same error. */
bool rill_params_unfreeze(rill_params *p, const char *prefix)
{
    return params_set_frozen(p, "unfreeze", prefix, false);
}

/* ---- snapshots ---------------------------------------------------------- */

static size_t params_bytes(const rill_tensor *w)
{
    return (size_t)rill_numel(w) *
           (rill_dtype_of(w) == RILL_F32 ? sizeof(float) : sizeof(double));
}

/* Keeps a copy of all values, in place of the one kept before. False, and
 * the one before is still whole, when memory ran out. */
bool rill_params_snapshot(rill_params *p)
{
    if (rill_params_error(p))
        return false;
    for (int i = 0; i < p->n; i++) {
        struct rill_param *a = &p->at[i];
        if (!a->kept)
            a->kept = rill_tape_alloc(p->home, params_bytes(a->w));
        if (!a->kept)
            return false;
    }
    for (int i = 0; i < p->n; i++)
        memcpy(p->at[i].kept, rill_data(p->at[i].w), params_bytes(p->at[i].w));
    p->n_kept = p->n;
    return true;
}

/* Puts the copied values back; parameters added since stay as they are. The
 * copy is kept. Error: there is none. */
bool rill_params_restore(rill_params *p)
{
    if (rill_params_error(p))
        return false;
    if (p->n_kept == 0)
        return rill_fail(p->home, "restore: there is no snapshot");
    for (int i = 0; i < p->n_kept; i++)
        memcpy(rill_variable_write(p->at[i].w), p->at[i].kept,
               params_bytes(p->at[i].w));
    return true;
}

/* ---- gradients ---------------------------------------------------------- */

rill_tensor *rill_params_gradient(const rill_params *p, rill_tape *t, int i)
{
    const struct rill_param *a = &p->at[i];
    if (rill_variable_frozen(a->w))
        return NULL;
    return t ? rill_grad(t, a->w) : a->summed ? a->sum : NULL;
}

bool rill_params_learn(const rill_params *p, rill_tape *t, rill_tape *home,
                       const char *who)
{
    const char *error = home ? rill_error(home) : NULL;
    if (!error)
        error = rill_params_error(p);
    if (error)
        return rill_nn_tell(t, error);
    if (t && rill_error(t))
        return false;
    for (int i = 0; i < p->n; i++)
        if (rill_params_gradient(p, t, i))
            return true;
    rill_fail(home, t ? "%s: the tape holds no gradient: call rill_backward "
                        "first"
                      : "%s: no gradient was accumulated: call "
                        "rill_params_accumulate first", who);
    return rill_nn_tell(t, rill_error(home));
}

static void params_add_up(struct rill_param *a, const rill_tensor *g)
{
    int64_t n = rill_numel(g);
    void *sum = rill_write(a->sum);
    if (!a->summed) {
        memcpy(sum, rill_data(g), params_bytes(a->w));
    } else if (rill_f32(g)) {
        const float *x = rill_f32(g);
        for (int64_t i = 0; i < n; i++)
            ((float *)sum)[i] += x[i];
    } else {
        const double *x = rill_f64(g);
        for (int64_t i = 0; i < n; i++)
            ((double *)sum)[i] += x[i];
    }
    a->summed = true;
}

/* Adds the gradients on t to the sums that the set keeps, so that t can be
 * reset; rill_optim_step without a tape uses them up. False, and nothing is
 * changed, where t or the set has failed, t holds no gradient of the set, or
 * memory ran out: an error of the set that is put on t too. */
bool rill_params_accumulate(rill_params *p, rill_tape *t)
{
    if (rill_params_error(p))
        return rill_nn_tell(t, rill_params_error(p));
    if (!t)
        return rill_fail(p->home, "accumulate: the tape is NULL");
    if (!rill_params_learn(p, t, p->home, "accumulate"))
        return false;
    for (int i = 0; i < p->n; i++) {
        struct rill_param *a = &p->at[i];
        if (!a->sum && rill_params_gradient(p, t, i) &&
            !(a->sum = rill_zeros(p->home, p->dtype, rill_shape_of(a->w))))
            return rill_nn_tell(t, rill_error(p->home));
    }
    for (int i = 0; i < p->n; i++) {
        const rill_tensor *g = rill_params_gradient(p, t, i);
        if (g)
            params_add_up(&p->at[i], g);
    }
    return true;
}

/* The sum of gradients kept for w, a parameter of the set; NULL where there
 * is none. It changes with the next rill_params_accumulate. */
const rill_tensor *rill_params_grad(const rill_params *p,
                                    const rill_tensor *w)
{
    int i = rill_params_index(p, w);
    return i >= 0 && p->at[i].summed ? p->at[i].sum : NULL;
}
