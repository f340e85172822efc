/* expand: x repeated to a larger shape by NumPy's broadcasting.
 *
 * dx = the sum of dy over what was repeated (sum_to). */
#define KERNEL_FILE "../ops/expand.c"
#include "common.h"

MAP1(expand, x, x)

#ifndef REAL
static RULE(expand_backward)
{
    gx[0] = gy; /* the sweep brings it back to x's shape */
}

static const rill_op expand_op = { "expand", "dx = sum of dy over repeats",
                                   expand_backward, NULL, 0 };

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

#endif
