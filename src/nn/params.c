/* params.c: parameter sets.
 *
 * A set owns its parameters, their names, the sums of gradients and the
 * snapshot: all of it lies on the set's home tape. Names are unique, and
 * parameters keep the order in which they were added. While a set has an
 * error, what would change it does nothing and returns false or NULL. */
#include "nn_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* An empty set whose parameters will be of dtype, a float one; seed is its
 * generator's. The caller frees it with rill_params_free, after the tapes and
 * optimisers that use it. NULL when memory ran out. */
rill_params *rill_params_new(rill_dtype dtype, uint64_t seed)
{
    rill_tape *home = rill_tape_new(NULL);
    rill_params *p = rill_tape_alloc(home, sizeof *p);
    if (p)
        *p = (rill_params){ .home = home, .dtype = dtype,
                            .rng = { .seed = seed } };
    else
        rill_tape_free(home);
    return p;
}

/* _free: all its parameters too; NULL is allowed. _error: the first since it
 * was made or cleared, or NULL. _clear_error: the set works again. */
RILL_NN_OBJECT(rill_params, "the parameter set", false)

bool rill_nn_well(rill_tape *t, const char *error)
{
    return !error || rill_fail(t, "%s", error);
}

bool rill_nn_within(rill_tape *home, const char *who, const char *name,
                    double value, double end)
{
    return (value >= 0 && value < end) ||
           rill_fail(home, "%s: %s is %g, not in [0, %g)", who, name, value,
                     end);
}

/* There is room up to the next power of two. */
void *rill_nn_grow(rill_tape *home, void *array, int n, size_t size)
{
    if (n & (n - 1))
        return array;
    void *larger = rill_tape_alloc(home, (n ? 2 * (size_t)n : 1) * size);
    if (larger && n)
        memcpy(larger, array, (size_t)n * size);
    return larger;
}

char *rill_nn_text(rill_tape *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args); /* negative: beyond an int */
    char *text = rill_tape_alloc(t, n < 0 ? SIZE_MAX : (size_t)n + 1);
    if (text)
        vsprintf(text, format, again);
    va_end(again);
    va_end(args);
    return text;
}

/* A new parameter of zeros, a leaf of every tape that uses it. name: not
 * empty, without a dot in front, not taken; copied. NULL with the set's error
 * for a bad name, a bad shape, a set of int32, or no memory. */
rill_tensor *rill_params_add(rill_params *p, const char *name,
                             rill_shape shape)
{
    if (rill_params_error(p))
        return NULL;
    if (!name || !*name || *name == '.')
        return rill_fail(p->home, "params: the name \"%s\" is empty or begins "
                         "with a dot", name ? name : "");
    if (rill_params_find(p, name))
        return rill_fail(p->home, "params: \"%s\" is there already", name);
    struct rill_param *at = rill_nn_grow(p->home, p->at, p->n, sizeof *at);
    rill_tensor *w = rill_variable(p->home, name, p->dtype, shape);
    if (!at || !w)
        return NULL;
    p->at = at;
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

/* How many parameters there are. */
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

/* A table of count, shape and name, and of what is frozen, and the total. */
void rill_params_print(FILE *f, const rill_params *p)
{
    enum { NAME_AT = 36 };
    fprintf(f, "%12s  %-*sname\n", "count", NAME_AT - 14, "shape");
    for (int i = 0; i < rill_params_len(p); i++) {
        const rill_tensor *w = p->at[i].w;
        int at = fprintf(f, "%12" PRId64 "  [", rill_numel(w));
        for (int d = 0; d < rill_ndim(w); d++)
            at += fprintf(f, "%s%" PRId64, d ? ", " : "", rill_dim(w, d));
        fprintf(f, "]%*s%s%s\n", at + 2 < NAME_AT ? NAME_AT - 1 - at : 1, "",
                rill_name(w), rill_variable_frozen(w) ? " (frozen)" : "");
    }
    fprintf(f, "%12" PRId64 "  in all\n", rill_params_count(p));
}

/* ---- freezing ----------------------------------------------------------- */

bool rill_params_begins(const rill_params *p, int i, const char *prefix)
{
    return strncmp(rill_name(p->at[i].w), prefix, strlen(prefix)) == 0;
}

bool rill_params_any(const rill_params *p, rill_tape *home, const char *who,
                     const char *prefix)
{
    for (int i = 0; prefix && i < p->n; i++)
        if (rill_params_begins(p, i, prefix))
            return true;
    return rill_fail(home, "%s: no name begins with \"%s\"", who,
                     prefix ? prefix : "(NULL)");
}

static bool params_freeze(rill_params *p, const char *prefix, bool on)
{
    const char *who = on ? "freeze" : "unfreeze";
    if (rill_params_error(p) || !rill_params_any(p, p->home, who, prefix))
        return false;
    for (int i = 0; i < p->n; i++)
        if (rill_params_begins(p, i, prefix))
            rill_variable_freeze(p->at[i].w, on);
    return true;
}

/* Parameters whose name begins so get no gradients on tapes that start to use
 * them from now on, and no optimiser moves them. Error: no name begins so. */
bool rill_params_freeze(rill_params *p, const char *prefix)
{
    return params_freeze(p, prefix, true);
}

/* Undoes rill_params_freeze, with the same error. */
bool rill_params_unfreeze(rill_params *p, const char *prefix)
{
    return params_freeze(p, prefix, false);
}

/* ---- snapshots ---------------------------------------------------------- */

static void params_copy(void *to, const rill_tensor *from)
{
    size_t size = rill_f32(from) ? sizeof(float) : sizeof(double);
    memcpy(to, rill_data(from), (size_t)rill_numel(from) * size);
}

/* Keeps a copy of all values, in place of the one kept before. False when
 * memory ran out: some may have been copied then. */
bool rill_params_snapshot(rill_params *p)
{
    if (rill_params_error(p))
        return false;
    for (int i = 0; i < p->n; i++) {
        struct rill_param *a = &p->at[i];
        if (!a->kept)
            a->kept = rill_like(p->home, a->w);
        if (!a->kept)
            return false;
        params_copy(rill_write(a->kept), a->w);
    }
    return true;
}

/* Puts the copied values back; parameters added since stay as they are. The
 * copy is kept. Error: there is none. */
bool rill_params_restore(rill_params *p)
{
    if (rill_params_error(p))
        return false;
    if (p->n == 0 || !p->at[0].kept)
        return rill_fail(p->home, "restore: there is no snapshot");
    for (int i = 0; i < p->n && p->at[i].kept; i++)
        params_copy(rill_write(p->at[i].w), p->at[i].kept);
    return true;
}
