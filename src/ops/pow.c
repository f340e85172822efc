/* pow: y = x^p for a number p that is not differentiated; pow_tensor:
 * y = a^b, element by element, broadcasting. As C's pow: x^0 is 1 for every
 * x, NaN too, and a negative x to a fraction is NaN.
 *
 * dx = dy p x^(p - 1), and exactly 0 for p = 0, also where x^-1 is infinite.
 * Of x^2 the rule makes x^1, of that x^0, so higher derivatives are right at
 * x = 0 as well.
 *
 * da = dy b a^(b - 1), and 0 where b = 0 whatever a is: a^0 is flat.
 * db = dy y ln a, and 0 where a = 0 and b >= 0, as 0^b is flat there; NaN for
 * a negative a. Both as PyTorch has it. */
#define KERNEL_FILE "../ops/pow.c"
#include "common.h"

/* The common powers without a logarithm. sqrt(-infinity) is NaN where pow
 * has infinity, as in PyTorch. */
MAP1(pow_one, x, x)
MAP1(pow_two, x, x * x)
MAP1(pow_inverse, x, 1 / x)
MAP1(pow_half, x,
     (REAL)(sizeof(REAL) == 4 ? sqrtf((float)x) : sqrt((double)x)))

/* Where a stands in the way of a gradient that is 0: its power or its
 * logarithm would be no number there. */
MAP2(pow_flat_a, a, b, (b == 0) & !((a < 0) | (a > 0)))
MAP2(pow_flat_b, a, b, (a == 0) & (b >= 0))

#ifdef REAL
/* No MAP, as libm's pow does not become vector code. attrs: NULL, or the
 * number that is the exponent of all. */
static void FN(pow)(void *out, const void *const *in, size_t n,
                    const void *attrs)
{
    const REAL *a = in[0], *b = attrs ? NULL : in[1];
    const REAL p = (REAL)(attrs ? *(const double *)attrs : 0);
    for (size_t i = 0; i < n; i++)
        ((REAL *)out)[i] = FN(math_pow)(a[i], b ? b[i] : p);
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

/* x^p; p is rounded to the dtype of x. */
rill_tensor *rill_pow(rill_tape *t, const rill_tensor *x, double p)
{
    return rill_elementwise(t, &pow_op,
                            p == 1 ? pow_one_kernels :
                            p == 2 ? pow_two_kernels :
                            p == -1 ? pow_inverse_kernels :
                            p == 0.5 ? pow_half_kernels : pow_kernels,
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

static const rill_op pow_tensor_op = {
    "pow_tensor", "da = dy b a^(b - 1), db = dy y ln a", pow_tensor_backward,
    NULL, 0
};

/* a^b. */
rill_tensor *rill_pow_tensor(rill_tape *t, const rill_tensor *a,
                             const rill_tensor *b)
{
    return rill_elementwise(t, &pow_tensor_op, pow_kernels, INPUTS(a, b),
                            NULL);
}

#endif
