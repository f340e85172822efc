/* div: y = a / b, element by element, broadcasting. What IEEE 754 says of a
 * division by 0 holds: infinity or NaN, never an error.
 *
 * da = dy / b, db = -(dy / b) y. The second reads the output, so that b is
 * never squared: b^2 overflows or vanishes long before a / b does. */
#define KERNEL_FILE "../ops/div.c"
#include "common.h"

MAP2(div, a, b, a / b)

#ifndef REAL
static RULE(div_backward)
{
    gx[0] = rill_div(t, gy, rill_node_input(n, 1));
    if (rill_node_wants(n, 1))
        gx[1] = rill_neg(t, rill_mul(t, gx[0], rill_node_output(n)));
}

static const rill_op div_op = { "div", "da = dy / b, db = -(dy / b) y",
                                div_backward, NULL, 0 };

/* a / b. */
rill_tensor *rill_div(rill_tape *t, const rill_tensor *a,
                      const rill_tensor *b)
{
    return rill_elementwise(t, &div_op, div_kernels, INPUTS(a, b), NULL);
}

#endif
