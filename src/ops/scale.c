/* scale: y = s x, for a number s that is not differentiated.
 *
 * dx = s dy. */
#define KERNEL_FILE "../ops/scale.c"
#include "common.h"

MAP1(scale, x, s0 * x)

#ifndef REAL
static RULE(scale_backward)
{
    gx[0] = rill_scale(t, gy, *(const double *)rill_node_attrs(n));
}

static const rill_op scale_op = { "scale", "dx = s dy", scale_backward, NULL,
                                  0 };

/* s x; s is rounded to the dtype of x. */
rill_tensor *rill_scale(rill_tape *t, const rill_tensor *x, double s)
{
    return rill_elementwise(t, &scale_op, scale_kernels,
                            INPUTS(x), (double[2]){ s });
}

#endif
