/* sigmoid: y = 1 / (1 + e^-x).
 *
 * dx = dy y (1 - y). The rule reads the output, not the input. */
#define MAPS                              \
    MAP1(sigmoid, x, FN(math_sigmoid)(x)) \
    MAP2(sigmoid_grad, y, gy, gy * y * (1 - y))
#include "common.h"

static RULE(sigmoid_backward)
{
    const rill_tensor *y = rill_node_output(n);
    gx[0] = rill_mul(t, gy, rill_mul(t, y, rill_rsub(t, y, 1)));
}

static RULE(sigmoid_fused)
{
    gx[0] = rill_map(t, "sigmoid", sigmoid_grad_kernels,
                     INPUTS(rill_node_output(n), gy), gy->dtype, NULL);
}

static const rill_op sigmoid_op = { "sigmoid", "dx = dy y (1 - y)",
                                    sigmoid_backward, sigmoid_fused, 0 };

/* 1 / (1 + e^-x), without overflow for any x. */
rill_tensor *rill_sigmoid(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &sigmoid_op, sigmoid_kernels, INPUTS(x), NULL);
}
