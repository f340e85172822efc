/* expand: x repeated to a larger shape by NumPy's broadcasting; sum_to, its
 * adjoint: x summed over what that would repeat, made of other ops. */
#define MAPS MAP1(expand, x, x)
#include "common.h"

DX(expand, gy) /* the sweep brings it back to x's shape */

OP(expand, "dx = sum of dy over repeats")

/* x, of a float dtype, broadcast to shape. */
rill_tensor *rill_expand(rill_tape *t, const rill_tensor *x, rill_shape shape)
{
    if (!rill_usable_float(t, "expand", "x", x) ||
        !rill_shape_usable(t, "expand", &shape, &(int64_t){ 0 }))
        return NULL;
    if (!rill_broadcasts(&x->shape, &shape))
        return rill_fail(t, "expand: x is %s, which does not broadcast to %s",
                         RILL_TEXT(x), RILL_SHAPE_TEXT(shape));
    rill_tensor *y = rill_map_to(t, shape, expand_kernels, INPUTS(x),
                                 x->dtype, NULL);
    return rill_record(t, &expand_op, y, INPUTS(x), NULL);
}

/* x, of a float dtype, brought back to shape, which broadcasts to x's. */
rill_tensor *rill_sum_to(rill_tape *t, const rill_tensor *x, rill_shape shape)
{
    if (!rill_usable_float(t, "sum_to", "x", x) ||
        !rill_shape_usable(t, "sum_to", &shape, &(int64_t){ 0 }))
        return NULL;
    if (!rill_broadcasts(&shape, &x->shape))
        return rill_fail(t, "sum_to: %s does not broadcast to x's %s",
                         RILL_SHAPE_TEXT(shape), RILL_TEXT(x));
    rill_reduce_opts o = { .dims = { 0, { 0 } } };
    int lead = x->shape.ndim - shape.ndim;
    for (int d = 0; d < x->shape.ndim; d++)
        if (d < lead || (shape.dim[d - lead] == 1 && x->shape.dim[d] != 1))
            o.dims.dim[o.dims.n++] = d;
    const rill_tensor *y = o.dims.n ? rill_sum(t, x, &o) : x;
    return rill_reshape(t, y, shape);
}
