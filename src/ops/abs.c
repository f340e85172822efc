/* abs: y = |x|. The sign in its rule, 0 at the kink x = 0, is a constant: its
 * own derivative is 0 wherever it has one. NaN is its own sign. */
#define MAPS                    \
    MAP1(abs, x, (REAL)fabs(x)) \
    MAP1(abs_sign, x, x > 0 ? 1 : x < 0 ? -1 : x)
#include "common.h"

DX(abs, rill_mul(t, gy, rill_map(t, "abs", abs_sign_kernels,
                                 INPUTS(rill_node_input(n, 0)), gy->dtype,
                                 NULL)))

/* |x|. */
UNARY(abs, "dx = dy sign(x)")
