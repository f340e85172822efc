/* softplus: y = ln(1 + e^x).
 *
 * dx = dy sigmoid(x). */
#define KERNEL_FILE "../ops/softplus.c"
#include "common.h"

MAP1(softplus, x, FN(math_softplus)(x))

#ifndef REAL
static RULE(softplus_backward)
{
    gx[0] = rill_mul(t, gy, rill_sigmoid(t, rill_node_input(n, 0)));
}

static const rill_op softplus_op = { "softplus", "dx = dy sigmoid(x)",
                                     softplus_backward, NULL, 0 };

/* ln(1 + e^x), without overflow for any x, and e^x where that is tiny. */
rill_tensor *rill_softplus(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &softplus_op, softplus_kernels, INPUTS(x),
                            NULL);
}

#endif
