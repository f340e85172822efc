/* sub: y = a - b, broadcasting.
 *
 * da = dy, db = -dy. */
#ifdef REAL

static void FN(sub)(void *out, const void *const *in, size_t n,
                    const void *attrs)
{
    (void)attrs;
    const REAL *a = in[0], *b = in[1];
    REAL *y = out;
    SIMD for (size_t i = 0; i < n; i++)
        y[i] = a[i] - b[i];
}

#else
#include "common.h"
#define KERNEL_FILE "../ops/sub.c"
#include "../tensor/each_kernel.h"

KERNELS(sub)

static void sub_backward(rill_tape *t, const rill_node *n,
                         const rill_tensor *gy, const rill_tensor **gx)
{
    gx[0] = gy;
    if (rill_node_wants(n, 1))
        gx[1] = rill_neg(t, gy);
}

static const rill_op sub_op = { "sub", "da = dy, db = -dy", sub_backward,
                                NULL, 0 };

/* a - b. a, b: one float dtype, shapes that broadcast. Errors: those of
 * every op; int32 or mixed dtypes; shapes that do not broadcast. */
rill_tensor *rill_sub(rill_tape *t, const rill_tensor *a,
                      const rill_tensor *b)
{
    return rill_elementwise(t, &sub_op, sub_kernels,
                            (const rill_tensor *[]){ a, b }, 2, NULL, 0);
}

#endif
