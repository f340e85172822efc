/* log: y = ln x; -infinity at 0, NaN for a negative x.
 *
 * dx = dy / x. */
#ifdef REAL
#include "kernel_math.h"

static void FN(log)(void *out, const void *const *in, size_t n,
                    const void *attrs)
{
    (void)attrs;
    const REAL *x = in[0];
    REAL *y = out;
    SIMD for (size_t i = 0; i < n; i++)
        y[i] = FN(math_log)(x[i]);
}

#else
#include "common.h"
#define KERNEL_FILE "../ops/log.c"
#include "../tensor/each_kernel.h"

KERNELS(log)

static void log_backward(rill_tape *t, const rill_node *n,
                         const rill_tensor *gy, const rill_tensor **gx)
{
    gx[0] = rill_div(t, gy, rill_node_input(n, 0));
}

static const rill_op log_op = { "log", "dx = dy / x", log_backward, NULL, 0 };

/* The natural logarithm of x. x: any shape, a float dtype. Errors: those of
 * every op; an int32 x. */
rill_tensor *rill_log(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &log_op, log_kernels,
                            (const rill_tensor *[]){ x }, 1, NULL, 0);
}

#endif
