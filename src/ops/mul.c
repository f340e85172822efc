/* mul: y = a b, element by element, broadcasting.
 *
 * da = dy b, db = dy a. */
#define KERNEL_FILE "../ops/mul.c"
#include "common.h"

MAP2(mul, a, b, a * b)

#ifndef REAL
static RULE(mul_backward)
{
    if (rill_node_wants(n, 0))
        gx[0] = rill_mul(t, gy, rill_node_input(n, 1));
    if (rill_node_wants(n, 1))
        gx[1] = rill_mul(t, gy, rill_node_input(n, 0));
}

static const rill_op mul_op = { "mul", "da = dy b, db = dy a", mul_backward,
                                NULL, 0 };

/* a b. */
rill_tensor *rill_mul(rill_tape *t, const rill_tensor *a,
                      const rill_tensor *b)
{
    return rill_elementwise(t, &mul_op, mul_kernels, INPUTS(a, b), NULL);
}

#endif
