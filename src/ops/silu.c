/* silu: y = x s, s = sigmoid(x).
 *
 * dx = dy s (1 + x (1 - s)). Beyond +-800 the derivative is 0 or 1 to the
 * last bit in either dtype: x is clamped there, lest an infinity meet a 0. */
#define KERNEL_FILE "../ops/silu.c"
#include "common.h"

MAP1(silu, x, FN(math_silu)(x))

#ifndef REAL
static RULE(silu_backward)
{
    rill_tensor *x = rill_clamp(t, rill_node_input(n, 0), -800, 800);
    rill_tensor *s = rill_sigmoid(t, x);
    rill_tensor *slope = rill_mul(t, x, rill_sigmoid(t, rill_neg(t, x)));
    slope = rill_mul(t, s, rill_add_scalar(t, slope, 1));
    gx[0] = rill_mul(t, gy, slope);
}

static const rill_op silu_op = {
    "silu", "dx = dy s (1 + x (1 - s)), s = sigmoid(x)", silu_backward, NULL, 0
};

/* x sigmoid(x), also called swish; 0 at -inf. Source: Elfwing, Uchibe and
 * Doya, Sigmoid-weighted linear units (2017). */
rill_tensor *rill_silu(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &silu_op, silu_kernels, INPUTS(x), NULL);
}
#endif
