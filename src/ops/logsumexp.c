/* logsumexp: y = ln sum e^x over chosen dims, as m + ln sum e^(x - m) with m
 * the largest x, so that nothing overflows. An infinite m is not subtracted:
 * a row of -inf, or an empty one, gives -inf; one with +inf in it +inf.
 *
 * dx = dy e^(x - y), the softmax. Where y is infinite it has no limit: the
 * gradient is NaN where x is as infinite as y, as in PyTorch. */
#define KERNEL_FILE "../ops/logsumexp.c"
#include "common.h"

#ifdef REAL
static void FN(logsumexp)(void *out, const void *const *in, size_t from,
                          size_t to, size_t n, const void *attrs)
{
    (void)attrs;
    for (size_t r = from; r < to; r++) {
        const REAL *x = (const REAL *)in[0] + r * n;
        REAL max = FN(math_largest)(x, n), shift = isinf(max) ? 0 : max;
        REAL sum = FN(math_exp_row)(x, shift, NULL, n);
        ((REAL *)out)[r] = shift + FN(math_log)(sum);
    }
}

#else
KERNELS(logsumexp)

static RULE(logsumexp_backward)
{
    const rill_shape *kept = rill_node_attrs(n);
    rill_tensor *y = rill_reshape(t, rill_node_output(n), *kept);
    rill_tensor *p = rill_exp(t, rill_sub(t, rill_node_input(n, 0), y));
    gx[0] = rill_mul(t, rill_reshape(t, gy, *kept), p);
}

/* ln sum e^x over opts->dims. x: any shape, a float dtype; of nothing it is
 * -infinity. Errors: those of rill_sum. */
REDUCTION(logsumexp, "dx = dy e^(x - y)", logsumexp_backward, logsumexp,
          RILL_OF_NOTHING)
#endif
