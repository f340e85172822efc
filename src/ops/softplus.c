/* softplus: y = ln(1 + e^x).
 *
 * dx = dy sigmoid(x). */
#define MAPS MAP1(softplus, x, FN(math_softplus)(x))
#include "common.h"

static RULE(softplus_backward)
{
    gx[0] = rill_mul(t, gy, rill_sigmoid(t, rill_node_input(n, 0)));
}

/* ln(1 + e^x), without overflow for any x, and e^x where that is tiny. */
UNARY(softplus, "dx = dy sigmoid(x)")
