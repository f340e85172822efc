/* tanh: y = (e^x - e^-x) / (e^x + e^-x).
 *
 * dx = dy (1 - y^2). The rule reads the output, not the input. */
#define MAPS                        \
    MAP1(tanh, x, FN(math_tanh)(x)) \
    MAP2(tanh_grad, y, gy, gy * (1 - y * y))
#include "common.h"

static RULE(tanh_backward)
{
    const rill_tensor *y = rill_node_output(n);
    gx[0] = rill_mul(t, gy, rill_rsub(t, rill_square(t, y), 1));
}

/* The hyperbolic tangent, in [-1, 1]. */
UNARY_FUSED(tanh, "dx = dy (1 - y^2)")
