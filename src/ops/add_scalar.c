/* add_scalar: y = x + s, for a number s that is not differentiated.
 *
 * dx = dy. */
#define KERNEL_FILE "../ops/add_scalar.c"
#include "common.h"

MAP1(add_scalar, x, x + s0)

#ifndef REAL
static RULE(add_scalar_backward)
{
    gx[0] = gy;
}

static const rill_op add_scalar_op = { "add_scalar", "dx = dy",
                                       add_scalar_backward, NULL, 0 };

/* x + s; s is rounded to the dtype of x. */
rill_tensor *rill_add_scalar(rill_tape *t, const rill_tensor *x, double s)
{
    return rill_elementwise(t, &add_scalar_op, add_scalar_kernels,
                            INPUTS(x), (double[2]){ s });
}

#endif
