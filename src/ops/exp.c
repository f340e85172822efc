/* exp: y = e^x; infinity where that is too large for the dtype.
 *
 * dx = dy y. The rule reads the output, not the input. */
#define KERNEL_FILE "../ops/exp.c"
#include "common.h"

MAP1(exp, x, FN(math_exp)(x))

#ifndef REAL
static RULE(exp_backward)
{
    gx[0] = rill_mul(t, gy, rill_node_output(n));
}

static const rill_op exp_op = { "exp", "dx = dy y", exp_backward, NULL, 0 };

/* e^x. */
rill_tensor *rill_exp(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &exp_op, exp_kernels, INPUTS(x), NULL);
}

#endif
