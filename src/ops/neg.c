/* neg: y = -x, which is exactly x scaled by -1. */
#include "common.h"

/* -x. x: any shape, a float dtype. Recorded as a scale. Errors: those of
 * every op; an int32 x. */
rill_tensor *rill_neg(rill_tape *t, const rill_tensor *x)
{
    return rill_usable_float(t, "neg", "x", x) ? rill_scale(t, x, -1) : NULL;
}
