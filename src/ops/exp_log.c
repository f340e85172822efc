/* exp: y = e^x; infinity where that is too large for the dtype. log: y = ln x;
 * -infinity at 0, NaN for a negative x. */
#define MAPS                      \
    MAP1(exp, x, FN(math_exp)(x)) \
    MAP1(log, x, FN(math_log)(x))
#include "common.h"

DX(exp, rill_mul(t, gy, rill_node_output(n)))
DX(log, rill_div(t, gy, rill_node_input(n, 0)))

/* e^x. */
UNARY(exp, "dx = dy y")
/* The natural logarithm of x. */
UNARY(log, "dx = dy / x")
