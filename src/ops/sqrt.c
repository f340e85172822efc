/* sqrt: y = x^(1/2), correctly rounded; NaN for a negative x, -0 for -0.
 *
 * dx = dy / (2 y), infinite at 0. The rule reads the output. */
#define KERNEL_FILE "../ops/sqrt.c"
#include "common.h"

MAP1(sqrt, x, (REAL)(sizeof(REAL) == 4 ? sqrtf((float)x) : sqrt((double)x)))

#ifndef REAL
static RULE(sqrt_backward)
{
    gx[0] = rill_scale(t, rill_div(t, gy, rill_node_output(n)), 0.5);
}

static const rill_op sqrt_op = { "sqrt", "dx = dy / (2 y)", sqrt_backward,
                                 NULL, 0 };

/* The square root of x. */
rill_tensor *rill_sqrt(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &sqrt_op, sqrt_kernels, INPUTS(x), NULL);
}

#endif
