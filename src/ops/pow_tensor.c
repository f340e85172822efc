/* pow_tensor: y = a^b, element by element, broadcasting. As C's pow: a^0 is
 * 1 for every a, NaN too, and a negative a to a fraction is NaN.
 *
 * da = dy b a^(b - 1), and 0 where b = 0 whatever a is: a^0 is flat.
 * db = dy y ln a, and 0 where a = 0 and b >= 0, as 0^b is flat there; NaN for
 * a negative a. Both as PyTorch has it. */
#define KERNEL_FILE "../ops/pow_tensor.c"
#include "common.h"

#ifdef REAL
static void FN(pow_tensor)(void *out, const void *const *in, size_t n,
                           const void *attrs)
{
    (void)attrs;
    const REAL *a = in[0], *b = in[1];
    REAL *y = out;
    for (size_t i = 0; i < n; i++)
        y[i] = FN(math_pow)(a[i], b[i]);
}

/* Where a stands in the way of a gradient that is 0: its power or its
 * logarithm would be no number there. */
static void FN(pow_tensor_flat_a)(void *out, const void *const *in, size_t n,
                                  const void *attrs)
{
    (void)attrs;
    const REAL *a = in[0], *b = in[1];
    int32_t *flat = out;
    SIMD for (size_t i = 0; i < n; i++)
        flat[i] = (b[i] == 0) & !((a[i] < 0) | (a[i] > 0));
}

static void FN(pow_tensor_flat_b)(void *out, const void *const *in, size_t n,
                                  const void *attrs)
{
    (void)attrs;
    const REAL *a = in[0], *b = in[1];
    int32_t *flat = out;
    SIMD for (size_t i = 0; i < n; i++)
        flat[i] = (a[i] == 0) & (b[i] >= 0);
}

#else
KERNELS(pow_tensor)
KERNELS(pow_tensor_flat_a)
KERNELS(pow_tensor_flat_b)

/* In flat places a is replaced before anything is computed from it: 0 times
 * an infinity would be NaN, in the derivatives of this rule too. Where b = 0
 * alone, da is 0 of itself and its derivative in b, 1 / a, is kept. */
static RULE(pow_tensor_backward)
{
    const rill_tensor *a = rill_node_input(n, 0), *b = rill_node_input(n, 1);
    const rill_tensor *in[] = { a, b };
    rill_tensor *none = rill_zeros(t, a->dtype, RILL_SCALAR);
    rill_tensor *one = rill_full(t, 1, a->dtype, RILL_SCALAR);
    if (rill_node_wants(n, 0)) {
        rill_tensor *flat = rill_map(t, "pow_tensor",
                                     pow_tensor_flat_a_kernels, in, 2,
                                     RILL_I32, NULL);
        rill_tensor *p = rill_pow_tensor(t, rill_where(t, flat, one, a),
                                         rill_add_scalar(t, b, -1));
        gx[0] = rill_where(t, flat, none,
                           rill_mul(t, gy, rill_mul(t, b, p)));
    }
    if (rill_node_wants(n, 1)) {
        rill_tensor *flat = rill_map(t, "pow_tensor",
                                     pow_tensor_flat_b_kernels, in, 2,
                                     RILL_I32, NULL);
        rill_tensor *ln = rill_log(t, rill_where(t, flat, one, a));
        gx[1] = rill_where(t, flat, none,
                           rill_mul(t, gy, rill_mul(t, rill_node_output(n),
                                                    ln)));
    }
}

static const rill_op pow_tensor_op = {
    "pow_tensor", "da = dy b a^(b - 1), db = dy y ln a", pow_tensor_backward,
    NULL, 0
};

/* a^b. a, b: one float dtype, shapes that broadcast. Errors: those of every
 * op; int32 or mixed dtypes; shapes that do not broadcast. */
rill_tensor *rill_pow_tensor(rill_tape *t, const rill_tensor *a,
                             const rill_tensor *b)
{
    return rill_elementwise(t, &pow_tensor_op, pow_tensor_kernels,
                            INPUTS(a, b), NULL);
}

#endif
