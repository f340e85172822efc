/* sub: y = a - b, broadcasting.
 *
 * da = dy, db = -dy. */
#ifdef REAL
MAP2(sub, a, b, a - b)
#else
#define KERNEL_FILE "../ops/sub.c"
#include "common.h"

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
    return rill_elementwise(t, &sub_op, sub_kernels, INPUTS(a, b), NULL);
}

#endif
