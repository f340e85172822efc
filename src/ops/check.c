/* check.c: the checks that many ops make, each with its sentence. */
#include "common.h"

bool rill_usable_float(rill_tape *t, const char *op, const char *argument,
                       const rill_tensor *x)
{
    if (!rill_usable(t, op, argument, x))
        return false;
    if (x->dtype == RILL_I32)
        return rill_fail(t, "%s: %s is int32, a float dtype is wanted", op,
                         argument);
    return true;
}

bool rill_same_dtype(rill_tape *t, const char *op, const char *name_a,
                     const rill_tensor *a, const char *name_b,
                     const rill_tensor *b)
{
    if (a->dtype == b->dtype)
        return true;
    return rill_fail(t, "%s: %s is %s but %s is %s: cast one of them", op,
                     name_a, rill_dtype_name(a->dtype), name_b,
                     rill_dtype_name(b->dtype));
}

bool rill_usable_floats(rill_tape *t, const char *op, const char *name_a,
                        const rill_tensor *a, const char *name_b,
                        const rill_tensor *b)
{
    return rill_usable_float(t, op, name_a, a) &&
           rill_usable_float(t, op, name_b, b) &&
           rill_same_dtype(t, op, name_a, a, name_b, b);
}

int rill_resolve_dim(rill_tape *t, const char *op, int dim, int ndim)
{
    if (dim >= -ndim && dim < ndim)
        return dim < 0 ? dim + ndim : dim;
    rill_fail(t, "%s: dim %d is not in [%d, %d)", op, dim, -ndim, ndim);
    return -1;
}

bool rill_resolve_dims(rill_tape *t, const char *op, rill_dims *dims,
                       int ndim, bool *seen)
{
    for (int i = 0; i < dims->n; i++) {
        int d = rill_resolve_dim(t, op, dims->dim[i], ndim);
        if (d < 0)
            return false;
        if (seen[d])
            return rill_fail(t, "%s: dim %d is given twice", op,
                             dims->dim[i]);
        seen[d] = true;
        dims->dim[i] = d;
    }
    return true;
}

void *rill_attrs(rill_tape *t, const void *attrs, size_t size)
{
    void *copy = rill_tape_alloc(t, size);
    return copy ? memcpy(copy, attrs, size) : NULL;
}
