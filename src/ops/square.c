/* square: y = x^2.
 *
 * dx = 2 dy x. */
#define KERNEL_FILE "../ops/square.c"
#include "common.h"

MAP1(square, x, x * x)

#ifndef REAL
static RULE(square_backward)
{
    gx[0] = rill_scale(t, rill_mul(t, gy, rill_node_input(n, 0)), 2);
}

static const rill_op square_op = { "square", "dx = 2 dy x", square_backward,
                                   NULL, 0 };

/* x^2. */
rill_tensor *rill_square(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &square_op, square_kernels, INPUTS(x), NULL);
}

#endif
