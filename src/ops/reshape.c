/* reshape: the same elements under another shape, without a copy. */
#include "common.h"

DX(reshape, rill_reshape(t, gy, rill_node_input(n, 0)->shape))

OP(reshape, "dx = dy in x's shape")

/* Replaces a size of -1 by what the elements leave for it. */
static bool reshape_infer(const rill_tensor *x, rill_shape *shape)
{
    int at = -1;
    int64_t known = 1;
    for (int d = 0; d < shape->ndim; d++)
        if (shape->dim[d] == -1 && at < 0)
            at = d;
        else if (shape->dim[d] < 0 ||
                 __builtin_mul_overflow(known, shape->dim[d], &known))
            return false;
    if (at < 0)
        return known == x->numel;
    if (known == 0 || x->numel % known)
        return false;
    shape->dim[at] = x->numel / known;
    return true;
}

/* x as shape, in which one size may be -1: it is inferred. x: any dtype. The
 * result shares the memory of x. */
rill_tensor *rill_reshape(rill_tape *t, const rill_tensor *x,
                          rill_shape shape)
{
    if (!rill_usable(t, "reshape", "x", x))
        return NULL;
    if (shape.ndim < 0 || shape.ndim > RILL_MAX_DIMS)
        return rill_fail(t, "reshape: %d dimensions are not in [0, %d]",
                         shape.ndim, RILL_MAX_DIMS);
    rill_shape wanted = shape;
    if (!reshape_infer(x, &shape))
        return rill_fail(t, "reshape: x is %s, its %" PRId64 " elements do "
                         "not make %s", RILL_TEXT(x), x->numel,
                         RILL_SHAPE_TEXT(wanted));
    rill_tensor *y = rill_view(t, x->data, x->dtype, shape);
    return rill_record(t, &reshape_op, y, INPUTS(x), NULL);
}
