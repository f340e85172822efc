/* log: y = ln x; -infinity at 0, NaN for a negative x.
 *
 * dx = dy / x. */
#define MAPS MAP1(log, x, FN(math_log)(x))
#include "common.h"

static RULE(log_backward)
{
    gx[0] = rill_div(t, gy, rill_node_input(n, 0));
}

/* The natural logarithm of x. */
UNARY(log, "dx = dy / x")
