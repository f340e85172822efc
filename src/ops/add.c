/* add: y = a + b, broadcasting.
 *
 * da = dy, db = dy. */
#define KERNEL_FILE "../ops/add.c"
#include "common.h"

MAP2(add, a, b, a + b)

#ifndef REAL
static RULE(add_backward)
{
    gx[0] = gx[1] = gy;
}

void rill_add_into(rill_tape *t, rill_tensor *y, const rill_tensor *x)
{
    const void *in[] = { y->data, x->data };
    KERNEL(add, t->isa, y->dtype)(y->data, in, (size_t)y->numel, NULL);
}

static const rill_op add_op = { "add", "da = dy, db = dy", add_backward,
                                NULL, 0 };

/* a + b. */
rill_tensor *rill_add(rill_tape *t, const rill_tensor *a,
                      const rill_tensor *b)
{
    return rill_elementwise(t, &add_op, add_kernels, INPUTS(a, b), NULL);
}

#endif
