/* add, sub, mul and div: y = a + b, a - b, a b and a / b, element by element,
 * broadcasting. What IEEE 754 says of a division by 0 holds: infinity or NaN,
 * never an error. div's rule reads the output, so that b is never squared: b^2
 * overflows or vanishes long before a / b does. */
#define MAPS               \
    MAP2(add, a, b, a + b) \
    MAP2(sub, a, b, a - b) \
    MAP2(mul, a, b, a * b) \
    MAP2(div, a, b, a / b)
#include "common.h"

void rill_add_into(rill_tape *t, rill_tensor *y, const rill_tensor *x)
{
    const void *in[] = { y->data, x->data };
    KERNEL(add, t->isa, y->dtype)(y->data, in, (size_t)y->numel,
                                  (const double[2]){ 0 });
}

static RULE(add_backward)
{
    gx[0] = gx[1] = gy;
}

/* a + b. */
BINARY(add, "da = dy, db = dy")

static RULE(sub_backward)
{
    gx[0] = gy;
    if (rill_node_wants(n, 1))
        gx[1] = rill_neg(t, gy);
}

/* a - b. */
BINARY(sub, "da = dy, db = -dy")

static RULE(mul_backward)
{
    if (rill_node_wants(n, 0))
        gx[0] = rill_mul(t, gy, rill_node_input(n, 1));
    if (rill_node_wants(n, 1))
        gx[1] = rill_mul(t, gy, rill_node_input(n, 0));
}

/* a b. */
BINARY(mul, "da = dy b, db = dy a")

static RULE(div_backward)
{
    gx[0] = rill_div(t, gy, rill_node_input(n, 1));
    if (rill_node_wants(n, 1))
        gx[1] = rill_neg(t, rill_mul(t, gx[0], rill_node_output(n)));
}

/* a / b. */
BINARY(div, "da = dy / b, db = -(dy / b) y")
