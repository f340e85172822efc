/* rsub: y = s - x, for a number s that is not differentiated.
 *
 * dx = -dy. */
#define KERNEL_FILE "../ops/rsub.c"
#include "common.h"

MAP1(rsub, x, s0 - x)

#ifndef REAL
static RULE(rsub_backward)
{
    gx[0] = rill_scale(t, gy, -1);
}

static const rill_op rsub_op = { "rsub", "dx = -dy", rsub_backward, NULL, 0 };

/* s - x; s is rounded to the dtype of x. */
rill_tensor *rill_rsub(rill_tape *t, const rill_tensor *x, double s)
{
    return rill_elementwise(t, &rsub_op, rsub_kernels,
                            INPUTS(x), (double[2]){ s });
}

#endif
