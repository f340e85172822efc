/* square: y = x^2.
 *
 * dx = 2 dy x. */
#ifdef REAL

static void FN(square)(void *out, const void *const *in, size_t n,
                       const void *attrs)
{
    (void)attrs;
    const REAL *x = in[0];
    REAL *y = out;
    SIMD for (size_t i = 0; i < n; i++)
        y[i] = x[i] * x[i];
}

#else
#include "common.h"
#define KERNEL_FILE "../ops/square.c"
#include "../tensor/each_kernel.h"

KERNELS(square)

static void square_backward(rill_tape *t, const rill_node *n,
                            const rill_tensor *gy, const rill_tensor **gx)
{
    gx[0] = rill_scale(t, rill_mul(t, gy, rill_node_input(n, 0)), 2);
}

static const rill_op square_op = { "square", "dx = 2 dy x", square_backward,
                                   NULL, 0 };

/* x^2. x: any shape, a float dtype. Errors: those of every op; an int32 x. */
rill_tensor *rill_square(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &square_op, square_kernels,
                            (const rill_tensor *[]){ x }, 1, NULL, 0);
}

#endif
