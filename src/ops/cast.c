/* cast: y = x in another dtype. Every value of every dtype is a double, so
 * conversions go by way of double and round once.
 *
 * dx = dy in x's dtype; int32 has no gradient. */
#include "common.h"

static RULE(cast_backward)
{
    gx[0] = rill_cast(t, gy, rill_node_input(n, 0)->dtype);
}

static const rill_op cast_op = { "cast", "dx = dy in x's dtype",
                                 cast_backward, NULL, 0 };

static bool cast_to_int(rill_tape *t, int32_t *y, const rill_tensor *x)
{
    for (int64_t i = 0; i < x->numel; i++) {
        double v = trunc(rill_at(x, i));
        if (!(v >= INT32_MIN && v <= INT32_MAX))
            return rill_fail(t, "cast: int32 cannot hold %g at %" PRId64,
                             rill_at(x, i), i);
        y[i] = (int32_t)v;
    }
    return true;
}

/* x in dtype: float64 to float32 rounds to nearest, a float to int32
 * truncates towards 0. x: any shape and dtype. Errors: those of every op; a
 * dtype that is none; a value that int32 cannot hold, NaN among them. */
rill_tensor *rill_cast(rill_tape *t, const rill_tensor *x, rill_dtype dtype)
{
    if (!rill_usable(t, "cast", "x", x))
        return NULL;
    if (dtype != RILL_F32 && dtype != RILL_F64 && dtype != RILL_I32)
        return rill_fail(t, "cast: %d is not a dtype", (int)dtype);
    rill_tensor *y = rill_empty(t, dtype, x->shape);
    if (!y || (dtype == RILL_I32 && !cast_to_int(t, y->data, x)))
        return NULL;
    float *f32 = dtype == RILL_F32 ? y->data : NULL;
    double *f64 = dtype == RILL_F64 ? y->data : NULL;
    for (int64_t i = 0; f32 && i < x->numel; i++)
        f32[i] = (float)rill_at(x, i);
    for (int64_t i = 0; f64 && i < x->numel; i++)
        f64[i] = rill_at(x, i);
    return rill_record(t, &cast_op, y, INPUTS(x), NULL);
}
