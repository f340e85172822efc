/* shape.c: dtypes and shapes as values. */
#include "core.h"

#include <inttypes.h>
#include <string.h>

size_t rill_dtype_size(rill_dtype dtype)
{
    return dtype == RILL_F64 ? sizeof(double) : sizeof(float);
}

/* The name of a dtype as messages print it: "float32", "float64", "int32",
 * and "unknown" for anything else. */
const char *rill_dtype_name(rill_dtype dtype)
{
    static const char *const names[] = { "float32", "float64", "int32" };
    return (unsigned)dtype <= RILL_I32 ? names[dtype] : "unknown";
}

/* Whether a caller's shape can be had, and how many elements it has: the
 * bytes of eight-byte ones must not overflow. */
bool rill_shape_usable(rill_tape *t, const char *who, const rill_shape *s,
                       int64_t *numel)
{
    int64_t n = 1;
    bool empty = false, overflow = false;
    if (s->ndim < 0 || s->ndim > RILL_MAX_DIMS)
        return rill_fail(t, "%s: %d dimensions are not in [0, %d]", who,
                         s->ndim, RILL_MAX_DIMS);
    for (int d = 0; d < s->ndim; d++) {
        if (s->dim[d] < 0)
            return rill_fail(t, "%s: size %" PRId64 " of dimension %d is "
                             "negative", who, s->dim[d], d);
        empty |= s->dim[d] == 0;
        overflow |= __builtin_mul_overflow(n, s->dim[d], &n);
    }
    overflow |= n > (PTRDIFF_MAX - 4096) / (int64_t)sizeof(double);
    if (overflow && !empty)
        return rill_fail(t, "%s: the shape has too many elements", who);
    *numel = empty ? 0 : n;
    return true;
}

bool rill_shape_equal(const rill_shape *a, const rill_shape *b)
{
    bool equal = a->ndim == b->ndim;
    for (int d = 0; equal && d < a->ndim; d++)
        equal = a->dim[d] == b->dim[d];
    return equal;
}

/* "[2, 3]" in the caller's buffer, which has room for eight numbers of twenty
 * digits, and which it returns. */
const char *rill_shape_text(const rill_shape *s, char *buffer)
{
    char *at = buffer + sprintf(buffer, "[");
    for (int d = 0; d < s->ndim && d < RILL_MAX_DIMS; d++)
        at += sprintf(at, "%s%" PRId64, d ? ", " : "", s->dim[d]);
    strcpy(at, "]");
    return buffer;
}
