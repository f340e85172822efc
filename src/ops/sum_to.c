/* sum_to: x summed over what broadcasting shape to x's would repeat: the
 * adjoint of expand. Composed of sum and reshape. */
#include "common.h"

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
