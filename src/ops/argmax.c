/* argmax: where the largest element over chosen dims is: the first of equal
 * ones, the first NaN if there is any. Not differentiable. */
#define KERNEL_FILE "../ops/argmax.c"
#include "common.h"

#ifdef REAL
static void FN(argmax)(void *out, const void *const *in, size_t from,
                       size_t to, size_t n, const void *attrs)
{
    (void)attrs;
    for (size_t r = from; r < to; r++) {
        const REAL *x = (const REAL *)in[0] + r * n;
        size_t at = 0;
        for (size_t i = 1; i < n && x[at] == x[at]; i++)
            at = x[i] <= x[at] ? at : i;
        ((int32_t *)out)[r] = (int32_t)at;
    }
}

#else
KERNELS(argmax)

static const rill_op argmax_op = { "argmax", "not differentiable", NULL, NULL,
                                   0 };

/* The index of the largest element over opts->dims, int32. x: any shape, a
 * float dtype. Over several dims, or all, it counts row-major through the
 * reduced ones. Errors: those of rill_sum; a reduced dim of size 0; more
 * elements than int32 counts. */
rill_tensor *rill_argmax(rill_tape *t, const rill_tensor *x,
                         const rill_reduce_opts *opts)
{
    return rill_reduce_op(t, &argmax_op, argmax_kernels, x, opts, RILL_I32,
                          0);
}
#endif
