/* relu: y = max(x, 0).
 *
 * dx = dy where y > 0, else 0: at the kink, x = 0, it is 0. A NaN is neither
 * below nor above 0: it passes through, and so does its gradient. */
#define KERNEL_FILE "../ops/relu.c"
#include "common.h"

MAP1(relu, x, x < 0 ? 0 : x)
MAP2(relu_grad, y, gy, y <= 0 ? 0 : gy)

#ifndef REAL
static RULE(relu_backward)
{
    rill_tensor *zero = rill_zeros(t, gy->dtype, RILL_SCALAR);
    rill_tensor *off = rill_le(t, rill_node_output(n), zero);
    gx[0] = rill_where(t, off, zero, gy);
}

static RULE(relu_fused)
{
    gx[0] = rill_map(t, "relu", relu_grad_kernels,
                     INPUTS(rill_node_output(n), gy), gy->dtype, NULL);
}

static const rill_op relu_op = { "relu", "dx = y > 0 ? dy : 0",
                                 relu_backward, relu_fused, 0 };

/* max(x, 0). */
rill_tensor *rill_relu(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &relu_op, relu_kernels, INPUTS(x), NULL);
}

#endif
