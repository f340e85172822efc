/* add: y = a + b, broadcasting.
 *
 * da = dy, db = dy. */
#ifdef REAL

static void FN(add)(void *out, const void *const *in, size_t n,
                    const void *attrs)
{
    (void)attrs;
    const REAL *a = in[0], *b = in[1];
    REAL *y = out;
    SIMD for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

#else
#include "common.h"
#define KERNEL_FILE "../ops/add.c"
#include "../tensor/each_kernel.h"

KERNELS(add)

static void add_backward(rill_tape *t, const rill_node *n,
                         const rill_tensor *gy, const rill_tensor **gx)
{
    (void)t, (void)n;
    gx[0] = gx[1] = gy;
}

void rill_add_into(rill_tape *t, rill_tensor *y, const rill_tensor *x)
{
    const void *in[] = { y->data, x->data };
    KERNEL(add, t->isa, y->dtype)(y->data, in, (size_t)y->numel, NULL);
}

static const rill_op add_op = { "add", "da = dy, db = dy", add_backward,
                                NULL, 0 };

/* a + b. a, b: one float dtype, shapes that broadcast. Errors: those of
 * every op; int32 or mixed dtypes; shapes that do not broadcast. */
rill_tensor *rill_add(rill_tape *t, const rill_tensor *a,
                      const rill_tensor *b)
{
    return rill_elementwise(t, &add_op, add_kernels,
                            (const rill_tensor *[]){ a, b }, 2, NULL, 0);
}

#endif
