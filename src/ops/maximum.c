/* maximum and minimum: y = max(a, b) and y = min(a, b), broadcasting; NaN
 * where either is NaN.
 *
 * da = dy where y = a alone, dy / 2 where a = b, else 0; db likewise: each of
 * two equals has half a share in the result. Where a or b is NaN dy goes to
 * both. All as PyTorch has it. */
#define KERNEL_FILE "../ops/maximum.c"
#include "common.h"

MAP2(maximum, a, b, ((a > b) | (a != a)) ? a : b)
MAP2(minimum, a, b, ((a < b) | (a != a)) ? a : b)

#ifndef REAL
static RULE(maximum_backward); /* of both */

static const rill_op maximum_op = {
    "maximum", "da = dy where a > b, ties share", maximum_backward, NULL, 0
};
static const rill_op minimum_op = {
    "minimum", "da = dy where a < b, ties share", maximum_backward, NULL, 0
};

static RULE(maximum_backward)
{
    const rill_tensor *a = rill_node_input(n, 0), *b = rill_node_input(n, 1);
    rill_tensor *none = rill_zeros(t, gy->dtype, RILL_SCALAR);
    rill_tensor *share = rill_where(t, rill_eq(t, a, b),
                                    rill_scale(t, gy, 0.5), gy);
    bool larger = n->op == &maximum_op; /* is what passes */
    const rill_tensor *u = larger ? a : b, *v = larger ? b : a;
    if (rill_node_wants(n, 0))
        gx[0] = rill_where(t, rill_lt(t, u, v), none, share);
    if (rill_node_wants(n, 1))
        gx[1] = rill_where(t, rill_gt(t, u, v), none, share);
}

/* The larger of a and b. */
rill_tensor *rill_maximum(rill_tape *t, const rill_tensor *a,
                          const rill_tensor *b)
{
    return rill_elementwise(t, &maximum_op, maximum_kernels, INPUTS(a, b),
                            NULL);
}

/* The smaller of a and b. */
rill_tensor *rill_minimum(rill_tape *t, const rill_tensor *a,
                          const rill_tensor *b)
{
    return rill_elementwise(t, &minimum_op, minimum_kernels, INPUTS(a, b),
                            NULL);
}

#endif
