/* silu: y = x s, s = sigmoid(x).
 *
 * dx = dy s (1 + x (1 - s)). Beyond +-800 the derivative is 0 or 1 to the
 * last bit in either dtype: x is clamped there, lest an infinity meet a 0. */
#define MAPS MAP1(silu, x, FN(math_silu)(x))
#include "common.h"

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
