/* scale, add_scalar, rsub and neg: y = s x, x + s, s - x and -x, for a number
 * s that is rounded to the dtype of x and not differentiated. */
#define MAPS                    \
    MAP1(scale, x, s0 * x)      \
    MAP1(add_scalar, x, x + s0) \
    MAP1(rsub, x, s0 - x)
#include "common.h"

DX(scale, rill_scale(t, gy, *(const double *)rill_node_attrs(n)))

/* s x. */
NUMBERED(scale, "dx = s dy", s)

DX(add_scalar, gy)

/* x + s. */
NUMBERED(add_scalar, "dx = dy", s)

DX(rsub, rill_neg(t, gy))

/* s - x. */
NUMBERED(rsub, "dx = -dy", s)

/* -x, which is exactly x scaled by -1. Recorded as a scale. */
rill_tensor *rill_neg(rill_tape *t, const rill_tensor *x)
{
    return rill_usable_float(t, "neg", "x", x) ? rill_scale(t, x, -1) : NULL;
}
