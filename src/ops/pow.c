/* pow: y = x^p, for a number p that is not differentiated. As C's pow:
 * x^0 is 1 for every x, NaN too, and a negative x to a fraction is NaN.
 *
 * dx = dy p x^(p - 1), and exactly 0 for p = 0, also where x^-1 is infinite.
 * Of x^2 the rule makes x^1, of that x^0, so higher derivatives are right at
 * x = 0 as well. */
#define KERNEL_FILE "../ops/pow.c"
#include "common.h"

#ifdef REAL
/* The common powers without a logarithm. sqrt(-infinity) is NaN where pow
 * has infinity, as in PyTorch. */
static void FN(pow)(void *out, const void *const *in, size_t n,
                    const void *attrs)
{
    const REAL *x = in[0], p = (REAL) * (const double *)attrs;
    REAL *y = out;
    if (p == 1)
        memcpy(y, x, n * sizeof *y);
    else if (p == 2)
        SIMD for (size_t i = 0; i < n; i++)
            y[i] = x[i] * x[i];
    else if (p == (REAL)0.5)
        SIMD for (size_t i = 0; i < n; i++)
            y[i] = (REAL)(sizeof(REAL) == 4 ? sqrtf((float)x[i])
                                            : sqrt((double)x[i]));
    else if (p == -1)
        SIMD for (size_t i = 0; i < n; i++)
            y[i] = 1 / x[i];
    else
        for (size_t i = 0; i < n; i++)
            y[i] = FN(math_pow)(x[i], p);
}

#else
KERNELS(pow)

static RULE(pow_backward)
{
    const rill_tensor *x = rill_node_input(n, 0);
    double p = *(const double *)rill_node_attrs(n);
    gx[0] = p == 0 ? rill_zeros(t, x->dtype, x->shape)
                   : rill_mul(t, gy, rill_scale(t, rill_pow(t, x, p - 1), p));
}

static const rill_op pow_op = { "pow", "dx = dy p x^(p - 1)", pow_backward,
                                NULL, 0 };

/* x^p. x: any shape, a float dtype; p is rounded to it. Errors: those of
 * every op; an int32 x. */
rill_tensor *rill_pow(rill_tape *t, const rill_tensor *x, double p)
{
    return rill_elementwise(t, &pow_op, pow_kernels,
                            INPUTS(x), (double[2]){ p });
}

#endif
