/* maximum and minimum: y = max(a, b) and y = min(a, b), broadcasting; NaN
 * where either is NaN.
 *
 * da = dy where y = a alone, dy / 2 where a = b, else 0; db likewise: each of
 * two equals has half a share in the result. Where a or b is NaN dy goes to
 * both. All as PyTorch has it. */
#define MAPS                                          \
    MAP2(maximum, a, b, ((a > b) | (a != a)) ? a : b) \
    MAP2(minimum, a, b, ((a < b) | (a != a)) ? a : b)
#include "common.h"

/* Where u < v nothing goes to a, where v < u nothing to b. */
static void maximum_share(rill_tape *t, const rill_node *n,
                          const rill_tensor *gy, const rill_tensor **gx,
                          const rill_tensor *u, const rill_tensor *v)
{
    rill_tensor *none = rill_zeros(t, gy->dtype, RILL_SCALAR);
    rill_tensor *share = rill_where(t, rill_eq(t, u, v),
                                    rill_scale(t, gy, 0.5), gy);
    if (rill_node_wants(n, 0))
        gx[0] = rill_where(t, rill_lt(t, u, v), none, share);
    if (rill_node_wants(n, 1))
        gx[1] = rill_where(t, rill_lt(t, v, u), none, share);
}

static RULE(maximum_backward)
{
    maximum_share(t, n, gy, gx, n->input[0].x, n->input[1].x);
}

/* The larger of a and b. */
BINARY(maximum, "da = dy where a > b, ties share")

static RULE(minimum_backward)
{
    maximum_share(t, n, gy, gx, n->input[1].x, n->input[0].x);
}

/* The smaller of a and b. */
BINARY(minimum, "da = dy where a < b, ties share")
