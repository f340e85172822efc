/* relu: y = max(x, 0); leaky_relu: y = x where x > 0, else slope x, for a
 * number slope that is rounded to the dtype of x and not differentiated.
 *
 * relu: dx = dy where y > 0, else 0: at the kink, x = 0, it is 0. A NaN is
 * neither below nor above 0: it passes through, and so does its gradient.
 * leaky_relu: dx = dy where x > 0, else slope dy, at the kink too. */
#define MAPS                                \
    MAP1(relu, x, x < 0 ? 0 : x)            \
    MAP2(relu_grad, y, gy, y <= 0 ? 0 : gy) \
    MAP1(leaky_relu, x, x > 0 ? x : s0 * x)
#include "common.h"

static RULE(relu_backward)
{
    rill_tensor *zero = rill_zeros(t, gy->dtype, RILL_SCALAR);
    rill_tensor *off = rill_le(t, rill_node_output(n), zero);
    gx[0] = rill_where(t, off, zero, gy);
}

/* max(x, 0). */
UNARY_FUSED(relu, "dx = y > 0 ? dy : 0", 0)

static RULE(leaky_relu_backward)
{
    const double *slope = rill_node_attrs(n);
    rill_tensor *zero = rill_zeros(t, gy->dtype, RILL_SCALAR);
    rill_tensor *on = rill_gt(t, rill_node_input(n, 0), zero);
    gx[0] = rill_where(t, on, gy, rill_scale(t, gy, *slope));
}

/* x where x > 0, else slope x. */
NUMBERED(leaky_relu, "dx = x > 0 ? dy : slope dy", slope)
