/* sub: y = a - b, broadcasting.
 *
 * da = dy, db = -dy. */
#define KERNEL_FILE "../ops/sub.c"
#include "common.h"

MAP2(sub, a, b, a - b)

#ifndef REAL
static RULE(sub_backward)
{
    gx[0] = gy;
    if (rill_node_wants(n, 1))
        gx[1] = rill_neg(t, gy);
}

static const rill_op sub_op = { "sub", "da = dy, db = -dy", sub_backward,
                                NULL, 0 };

/* a - b. */
rill_tensor *rill_sub(rill_tape *t, const rill_tensor *a,
                      const rill_tensor *b)
{
    return rill_elementwise(t, &sub_op, sub_kernels, INPUTS(a, b), NULL);
}

#endif
