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

/* 1 / (1 + e^-x), without overflow for any x. */
UNARY_FUSED(sigmoid, "dx = dy y (1 - y)")
