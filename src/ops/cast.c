/* cast: y = x in another dtype. Every value of every dtype is a double, so
 * conversions go by way of double and round once. int32 has no gradient. */
#include "common.h"

DX(cast, rill_cast(t, gy, rill_node_input(n, 0)->dtype))

OP(cast, "dx = dy in x's dtype")

/* x in dtype: float64 to float32 rounds to nearest, a float to int32
 * truncates towards 0. x: any dtype. Errors: a dtype that is none; a value
 * that int32 cannot hold, NaN among them. */
rill_tensor *rill_cast(rill_tape *t, const rill_tensor *x, rill_dtype dtype)
{
    if (!rill_usable(t, "cast", "x", x))
        return NULL;
    if (dtype != RILL_F32 && dtype != RILL_F64 && dtype != RILL_I32)
        return rill_fail(t, "cast: %d is not a dtype", (int)dtype);
    rill_tensor *y = rill_empty(t, dtype, x->shape);
    for (int64_t i = 0; y && i < x->numel; i++) {
        double v = rill_at(x, i);
        if (!rill_set(y, i, dtype == RILL_I32 ? trunc(v) : v))
            return rill_fail(t, "cast: int32 cannot hold %g at %" PRId64, v,
                             i);
    }
    return rill_record(t, &cast_op, y, INPUTS(x), NULL);
}
