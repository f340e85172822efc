/* exp: y = e^x; infinity where that is too large for the dtype.
 *
 * dx = dy y. The rule reads the output, not the input. */
#define MAPS MAP1(exp, x, FN(math_exp)(x))
#include "common.h"

static RULE(exp_backward)
{
    gx[0] = rill_mul(t, gy, rill_node_output(n));
}

/* e^x. */
UNARY(exp, "dx = dy y")
