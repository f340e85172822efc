/* concat: tensors joined along one dim. */
#include "common.h"

static RULE(concat_backward)
{
    int dim = *(const int *)rill_node_attrs(n);
    int64_t at = 0;
    for (int i = 0; i < n->n_inputs; i++) {
        int64_t size = rill_node_input(n, i)->shape.dim[dim];
        if (rill_node_wants(n, i))
            gx[i] = rill_slice(t, gy, dim, at, at + size);
        at += size;
    }
}

OP(concat, "dx[i] = its slice of dy")

/* The shape of the result; false with an error where x[i] does not fit. */
static bool concat_shape(rill_tape *t, const rill_tensor **x, int n, int dim,
                         rill_shape *shape)
{
    *shape = x[0]->shape;
    for (int i = 1; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "x[%d]", i);
        if (!rill_usable(t, "concat", name, x[i]) ||
            !rill_same_dtype(t, "concat", "x[0]", x[0], name, x[i]))
            return false;
        rill_shape like = x[i]->shape;
        if (like.ndim > dim)
            like.dim[dim] = x[0]->shape.dim[dim];
        if (!rill_shape_equal(&like, &x[0]->shape))
            return rill_fail(t, "concat: x[0] is %s but %s is %s: only "
                             "dimension %d may differ", RILL_TEXT(x[0]), name,
                             RILL_TEXT(x[i]), dim);
        if (__builtin_add_overflow(shape->dim[dim], x[i]->shape.dim[dim],
                                   &shape->dim[dim]))
            return rill_fail(t, "concat: dimension %d becomes too large", dim);
    }
    return true;
}

/* The n tensors x, one at least, joined along dim. x: one dtype, any, and one
 * shape but for dim. */
rill_tensor *rill_concat(rill_tape *t, const rill_tensor **x, int n, int dim)
{
    rill_shape shape;
    if (!t || t->failed)
        return NULL;
    if (!x || n < 1)
        return rill_fail(t, "concat: no tensors are given");
    if (!rill_usable(t, "concat", "x[0]", x[0]))
        return NULL;
    dim = rill_resolve_dim(t, "concat", dim, x[0]->shape.ndim);
    if (dim < 0 || !concat_shape(t, x, n, dim, &shape))
        return NULL;
    rill_tensor *y = rill_empty(t, x[0]->dtype, shape);
    int64_t at = 0;
    for (int i = 0; y && i < n; at += x[i++]->shape.dim[dim])
        rill_slice_copy(y, x[i], dim, at, false);
    return rill_record(t, &concat_op, y, x, n,
                       rill_attrs(t, &dim, sizeof dim));
}
