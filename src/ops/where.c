/* where: y = a where the mask is not 0, b where it is, all three
 * broadcasting. What is not selected never comes by, be it NaN.
 *
 * da = dy where the mask is not 0, else 0; db = dy where it is 0, else 0.
 * These too are selections, not products: 0 * NaN is NaN. */
#define MAPS MAP(where, const int32_t mask = ((const int32_t *)in[0])[i]; \
                 MAP_LOAD(a, 1); MAP_LOAD(b, 2), mask ? a : b)
#include "common.h"

static RULE(where_backward)
{
    const rill_tensor *mask = rill_node_input(n, 0);
    rill_tensor *none = rill_zeros(t, gy->dtype, RILL_SCALAR);
    if (rill_node_wants(n, 1))
        gx[1] = rill_where(t, mask, gy, none);
    if (rill_node_wants(n, 2))
        gx[2] = rill_where(t, mask, none, gy);
}

OP(where, "da = mask ? dy : 0, db = mask ? 0 : dy")

/* a where mask is not 0, else b. mask: int32, as comparisons give it. */
rill_tensor *rill_where(rill_tape *t, const rill_tensor *mask,
                        const rill_tensor *a, const rill_tensor *b)
{
    if (!rill_usable(t, "where", "mask", mask) ||
        !rill_usable_floats(t, "where", "a", a, "b", b))
        return NULL;
    if (mask->dtype != RILL_I32)
        return rill_fail(t, "where: mask is %s, int32 is wanted",
                         rill_dtype_name(mask->dtype));
    rill_tensor *y = rill_map(t, "where", where_kernels, INPUTS(mask, a, b),
                              a->dtype, NULL);
    return rill_record(t, &where_op, y, INPUTS(mask, a, b), NULL);
}
