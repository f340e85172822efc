/* silu: y = x s, s = sigmoid(x).
 *
 * dx = dy s (1 + x (1 - s)). Beyond +-800 the derivative is 0 or 1 to the
 * last bit in either dtype: x is clamped there, lest an infinity meet a 0. */
#ifdef REAL
#include "kernel_math.h"
MAP1(silu, x, FN(math_silu)(x))

/* s and 1 - s come from one exponential: neither is a rounded difference. */
MATH REAL FN(silu_slope)(REAL x)
{
    x = x < -800 ? -800 : x;
    x = x > 800 ? 800 : x;
    REAL e = FN(math_exp)(x < 0 ? x : -x), large = 1 / (1 + e);
    REAL small = e * large;
    return (x < 0 ? small : large) * (1 + x * (x < 0 ? large : small));
}
MAP2(silu_grad, x, gy, gy * FN(silu_slope)(x))
#else
#define KERNEL_FILE "../ops/silu.c"
#include "common.h"

KERNELS(silu)
KERNELS(silu_grad)

static void silu_backward(rill_tape *t, const rill_node *n,
                          const rill_tensor *gy, const rill_tensor **gx)
{
    rill_tensor *x = rill_clamp(t, rill_node_input(n, 0), -800, 800);
    rill_tensor *s = rill_sigmoid(t, x);
    rill_tensor *slope = rill_mul(t, x, rill_rsub(t, s, 1));
    slope = rill_mul(t, s, rill_add_scalar(t, slope, 1));
    gx[0] = rill_mul(t, gy, slope);
}

static void silu_fused(rill_tape *t, const rill_node *n,
                       const rill_tensor *gy, const rill_tensor **gx)
{
    const rill_tensor *in[] = { rill_node_input(n, 0), gy };
    gx[0] = rill_map(t, "silu", silu_grad_kernels, in, 2, gy->dtype, NULL);
}

static const rill_op silu_op = { "silu", "dx = dy s (1 + x (1 - s)), "
                                         "s = sigmoid(x)",
                                 silu_backward, silu_fused, 0 };

/* x sigmoid(x), also called swish; 0 at -inf. x: any shape, a float dtype.
 * Errors: those of every op; an int32 x. Source: Elfwing, Uchibe and Doya,
 * Sigmoid-weighted linear units (2017). */
rill_tensor *rill_silu(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &silu_op, silu_kernels, INPUTS(x), NULL);
}

#endif
