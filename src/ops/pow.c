/* square, sqrt: y = x^2 and x^(1/2), correctly rounded; pow: y = x^p for a
 * number p that is not differentiated; pow_tensor: y = a^b, element by
 * element, broadcasting. As C's: x^0 is 1 for every x, NaN too, a negative x
 * to a fraction is NaN, the root of -0 is -0; its slope is infinite there.
 *
 * pow: dx = dy p x^(p - 1), and exactly 0 for p = 0, also where x^-1 is
 * infinite. Of x^2 the rule makes x^1, of that x^0, so higher derivatives are
 * right at x = 0 as well. The common powers do without a logarithm: of
 * -infinity the root is NaN where C's pow has infinity, as in PyTorch.
 *
 * pow_tensor: da = dy b a^(b - 1), and 0 where b = 0 whatever a is: a^0 is
 * flat. db = dy y ln a, and 0 where a = 0 and b >= 0, as 0^b is flat there;
 * NaN for a negative a. Both as PyTorch has it. The flat maps tell where a
 * stands in the way of such a 0: its power or logarithm is no number there. */
#define MAPS                                                            \
    MAP1(pow_one, x, x)                                                 \
    MAP1(square, x, x * x)                                              \
    MAP1(pow_inverse, x, 1 / x)                                         \
    MAP1(sqrt, x, (REAL)(IS_FLOAT ? sqrtf((float)x) : sqrt((double)x))) \
    MAP1(pow, x, FN(math_pow)(x, s0))                                   \
    MAP2(pow_tensor, a, b, FN(math_pow)(a, b))                          \
    MAP2(pow_flat_a, a, b, (b == 0) & !((a < 0) | (a > 0)))             \
    MAP2(pow_flat_b, a, b, (a == 0) & (b >= 0))
#include "common.h"

DX(square, rill_scale(t, rill_mul(t, gy, rill_node_input(n, 0)), 2))

/* x^2. */
UNARY(square, "dx = 2 dy x")

DX(sqrt, rill_scale(t, rill_div(t, gy, rill_node_output(n)), 0.5))

/* The square root of x; NaN for a negative x. */
UNARY(sqrt, "dx = dy / (2 y)")

static RULE(pow_backward)
{
    const rill_tensor *x = rill_node_input(n, 0);
    double p = *(const double *)rill_node_attrs(n);
    gx[0] = p == 0 ? rill_zeros(t, x->dtype, x->shape)
                   : rill_mul(t, gy, rill_scale(t, rill_pow(t, x, p - 1), p));
}

OP_WITH(pow, "dx = dy p x^(p - 1)", pow_backward, NULL, 0, "p")

/* x^p; p is rounded to the dtype of x. */
rill_tensor *rill_pow(rill_tape *t, const rill_tensor *x, double p)
{
    return rill_elementwise(t, &pow_op,
                            p == 1 ? pow_one_kernels :
                            p == 2 ? square_kernels :
                            p == -1 ? pow_inverse_kernels :
                            p == 0.5 ? sqrt_kernels : pow_kernels,
                            INPUTS(x), (double[2]){ p });
}

/* In flat places a is replaced before anything is computed from it: 0 times
 * an infinity would be NaN, in the derivatives of this rule too. Where b = 0
 * alone, da is 0 of itself and its derivative in b, 1 / a, is kept. */
static RULE(pow_tensor_backward)
{
    const rill_tensor *a = rill_node_input(n, 0), *b = rill_node_input(n, 1);
    rill_tensor *none = rill_zeros(t, a->dtype, RILL_SCALAR);
    rill_tensor *one = rill_full(t, 1, a->dtype, RILL_SCALAR);
    for (int i = 0; i < 2; i++) {
        if (!rill_node_wants(n, i))
            continue;
        rill_tensor *flat = rill_map(t, "pow_tensor", i ? pow_flat_b_kernels
                                                        : pow_flat_a_kernels,
                                     INPUTS(a, b), a->dtype, NULL);
        flat = rill_gt(t, flat, none);
        rill_tensor *base = rill_where(t, flat, one, a);
        rill_tensor *slope =
            i ? rill_mul(t, rill_node_output(n), rill_log(t, base))
              : rill_mul(t, b, rill_pow_tensor(t, base,
                                               rill_add_scalar(t, b, -1)));
        gx[i] = rill_where(t, flat, none, rill_mul(t, gy, slope));
    }
}

/* a^b. */
BINARY(pow_tensor, "da = dy b a^(b - 1), db = dy y ln a")
