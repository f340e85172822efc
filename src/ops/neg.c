/* neg: y = -x, which is exactly x scaled by -1. */
#include "common.h"

/* -x. Recorded as a scale. */
rill_tensor *rill_neg(rill_tape *t, const rill_tensor *x)
{
    return rill_usable_float(t, "neg", "x", x) ? rill_scale(t, x, -1) : NULL;
}
