/* sigmoid: y = 1 / (1 + e^-x).
 *
 * dx = dy y (1 - y). The rule reads the output, not the input. */
#ifdef REAL
#include "kernel_math.h"

static void FN(sigmoid)(void *out, const void *const *in, size_t n,
                        const void *attrs)
{
    (void)attrs;
    const REAL *x = in[0];
    REAL *y = out;
    SIMD for (size_t i = 0; i < n; i++)
        y[i] = FN(math_sigmoid)(x[i]);
}

static void FN(sigmoid_grad)(void *out, const void *const *in, size_t n,
                             const void *attrs)
{
    (void)attrs;
    const REAL *y = in[0], *gy = in[1];
    REAL *gx = out;
    SIMD for (size_t i = 0; i < n; i++)
        gx[i] = gy[i] * y[i] * (1 - y[i]);
}

#else
#include "common.h"
#define KERNEL_FILE "../ops/sigmoid.c"
#include "../tensor/each_kernel.h"

KERNELS(sigmoid)
KERNELS(sigmoid_grad)

static void sigmoid_backward(rill_tape *t, const rill_node *n,
                             const rill_tensor *gy, const rill_tensor **gx)
{
    const rill_tensor *y = rill_node_output(n);
    gx[0] = rill_mul(t, gy, rill_mul(t, y, rill_rsub(t, y, 1)));
}

static void sigmoid_fused(rill_tape *t, const rill_node *n,
                          const rill_tensor *gy, const rill_tensor **gx)
{
    const rill_tensor *in[] = { rill_node_output(n), gy };
    gx[0] = rill_map(t, "sigmoid", sigmoid_grad_kernels, in, 2, gy->dtype,
                     NULL);
}

static const rill_op sigmoid_op = { "sigmoid", "dx = dy y (1 - y)",
                                    sigmoid_backward, sigmoid_fused, 0 };

/* 1 / (1 + e^-x), without overflow for any x. x: any shape, a float dtype.
 * Errors: those of every op; an int32 x. */
rill_tensor *rill_sigmoid(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &sigmoid_op, sigmoid_kernels,
                            (const rill_tensor *[]){ x }, 1, NULL, 0);
}

#endif
