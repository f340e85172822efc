/* leaky_relu: y = x where x > 0, else slope x, for a number slope that is not
 * differentiated.
 *
 * dx = dy where x > 0, else slope dy: at the kink, x = 0, it is slope dy. */
#define KERNEL_FILE "../ops/leaky_relu.c"
#include "common.h"

MAP1(leaky_relu, x, x > 0 ? x : s0 * x)

#ifndef REAL
static RULE(leaky_relu_backward)
{
    const double *slope = rill_node_attrs(n);
    rill_tensor *zero = rill_zeros(t, gy->dtype, RILL_SCALAR);
    rill_tensor *on = rill_gt(t, rill_node_input(n, 0), zero);
    gx[0] = rill_where(t, on, gy, rill_scale(t, gy, *slope));
}

static const rill_op leaky_relu_op = {
    "leaky_relu", "dx = x > 0 ? dy : slope dy", leaky_relu_backward, NULL, 0
};

/* x where x > 0, else slope x; slope is rounded to the dtype of x. */
rill_tensor *rill_leaky_relu(rill_tape *t, const rill_tensor *x, double slope)
{
    return rill_elementwise(t, &leaky_relu_op, leaky_relu_kernels, INPUTS(x),
                            (double[2]){ slope });
}

#endif
