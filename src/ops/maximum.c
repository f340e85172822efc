/* maximum: y = max(a, b), broadcasting; NaN where either is NaN.
 *
 * da = dy where a > b, dy / 2 where a = b, else 0; db likewise: each of two
 * equals has half a share in the result. Where a or b is NaN dy goes to both.
 * All as PyTorch has it. */
#define KERNEL_FILE "../ops/maximum.c"
#include "common.h"

MAP2(maximum, a, b, ((a > b) | (a != a)) ? a : b)

#ifndef REAL
static RULE(maximum_backward)
{
    const rill_tensor *a = rill_node_input(n, 0), *b = rill_node_input(n, 1);
    rill_tensor *none = rill_zeros(t, gy->dtype, RILL_SCALAR);
    rill_tensor *share = rill_where(t, rill_eq(t, a, b),
                                    rill_scale(t, gy, 0.5), gy);
    if (rill_node_wants(n, 0))
        gx[0] = rill_where(t, rill_lt(t, a, b), none, share);
    if (rill_node_wants(n, 1))
        gx[1] = rill_where(t, rill_gt(t, a, b), none, share);
}

static const rill_op maximum_op = {
    "maximum", "da = dy where a > b, dy / 2 where a = b, db likewise",
    maximum_backward, NULL, 0
};

/* The larger of a and b, element by element. a, b: one float dtype, shapes
 * that broadcast. Errors: those of every op; int32 or mixed dtypes; shapes
 * that do not broadcast. */
rill_tensor *rill_maximum(rill_tape *t, const rill_tensor *a,
                          const rill_tensor *b)
{
    return rill_elementwise(t, &maximum_op, maximum_kernels,
                            INPUTS(a, b), NULL);
}

#endif
