/* sigmoid: y = 1 / (1 + e^-x), and its kin, tanh: y = (e^x - e^-x) / (e^x +
 * e^-x), softplus: y = ln(1 + e^x) and silu: y = x sigmoid(x).
 *
 * Beyond +-800 silu's derivative is 0 or 1 to the last bit in either dtype: x
 * is clamped there, lest an infinity meet a 0. */
#define MAPS                                    \
    MAP1(sigmoid, x, FN(math_sigmoid)(x))       \
    MAP2(sigmoid_grad, y, gy, gy * y * (1 - y)) \
    MAP1(tanh, x, FN(math_tanh)(x))             \
    MAP2(tanh_grad, y, gy, gy * (1 - y * y))    \
    MAP1(softplus, x, FN(math_softplus)(x))     \
    MAP1(silu, x, FN(math_silu)(x))
#include "common.h"

static RULE(sigmoid_backward)
{
    const rill_tensor *y = rill_node_output(n);
    gx[0] = rill_mul(t, gy, rill_mul(t, y, rill_rsub(t, y, 1)));
}

/* 1 / (1 + e^-x), without overflow for any x. */
UNARY_FUSED(sigmoid, "dx = dy y (1 - y)", RILL_OP_NO_LOGITS)

DX(tanh, rill_mul(t, gy, rill_rsub(
                             t, rill_square(t, rill_node_output(n)), 1)))

/* The hyperbolic tangent, in [-1, 1]. */
UNARY_FUSED(tanh, "dx = dy (1 - y^2)", 0)

DX(softplus, rill_mul(t, gy, rill_sigmoid(t, rill_node_input(n, 0))))

/* ln(1 + e^x), without overflow for any x, and e^x where that is tiny. */
UNARY(softplus, "dx = dy sigmoid(x)")

static RULE(silu_backward)
{
    rill_tensor *x = rill_clamp(t, rill_node_input(n, 0), -800, 800);
    rill_tensor *s = rill_sigmoid(t, x);
    rill_tensor *slope = rill_mul(t, x, rill_sigmoid(t, rill_neg(t, x)));
    slope = rill_mul(t, s, rill_add_scalar(t, slope, 1));
    gx[0] = rill_mul(t, gy, slope);
}

/* x sigmoid(x), also called swish; 0 at -inf. Source: Elfwing, Uchibe and
 * Doya, Sigmoid-weighted linear units (2017). */
UNARY(silu, "dx = dy s (1 + x (1 - s)), s = sigmoid(x)")
