/* log: y = ln x; -infinity at 0, NaN for a negative x.
 *
 * dx = dy / x. */
#define KERNEL_FILE "../ops/log.c"
#include "common.h"

MAP1(log, x, FN(math_log)(x))

#ifndef REAL
static RULE(log_backward)
{
    gx[0] = rill_div(t, gy, rill_node_input(n, 0));
}

static const rill_op log_op = { "log", "dx = dy / x", log_backward, NULL, 0 };

/* The natural logarithm of x. */
rill_tensor *rill_log(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &log_op, log_kernels, INPUTS(x), NULL);
}

#endif
