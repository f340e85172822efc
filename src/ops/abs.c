/* abs: y = |x|.
 *
 * dx = dy sign(x), 0 at the kink x = 0. The sign is a constant of the rule,
 * as its own derivative is 0 wherever it has one. */
#define KERNEL_FILE "../ops/abs.c"
#include "common.h"

MAP1(abs, x, (REAL)fabs(x))

/* NaN is its own sign. */
MAP1(abs_sign, x, x > 0 ? 1 : x < 0 ? -1 : x)

#ifndef REAL
static RULE(abs_backward)
{
    const rill_tensor *x = rill_node_input(n, 0);
    gx[0] = rill_mul(t, gy, rill_map(t, "abs", abs_sign_kernels, &x, 1,
                                     x->dtype, NULL));
}

static const rill_op abs_op = { "abs", "dx = dy sign(x)", abs_backward, NULL,
                                0 };

/* |x|. */
rill_tensor *rill_abs(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &abs_op, abs_kernels, INPUTS(x), NULL);
}

#endif
