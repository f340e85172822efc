/* where: y = a where the mask is not 0, b where it is, all three
 * broadcasting. What is not selected never comes by, be it NaN.
 *
 * da = dy where the mask is not 0, else 0; db = dy where it is 0, else 0.
 * These too are selections, not products: 0 * NaN is NaN. */
#define KERNEL_FILE "../ops/where.c"
#include "common.h"

#ifdef REAL
static void FN(where)(void *out, const void *const *in, size_t n,
                      const void *attrs)
{
    (void)attrs;
    const int32_t *mask = in[0];
    const REAL *a = in[1], *b = in[2];
    REAL *y = out;
    SIMD for (size_t i = 0; i < n; i++)
        y[i] = mask[i] ? a[i] : b[i];
}

#else
KERNELS(where)

static RULE(where_backward)
{
    const rill_tensor *mask = rill_node_input(n, 0);
    rill_tensor *none = rill_zeros(t, gy->dtype, RILL_SCALAR);
    if (rill_node_wants(n, 1))
        gx[1] = rill_where(t, mask, gy, none);
    if (rill_node_wants(n, 2))
        gx[2] = rill_where(t, mask, none, gy);
}

static const rill_op where_op = {
    "where", "da = mask ? dy : 0, db = mask ? 0 : dy", where_backward, NULL, 0
};

/* a where mask is not 0, else b. mask: int32, as comparisons give it; a, b:
 * one float dtype; shapes that broadcast. Errors: those of every op; a mask
 * that is not int32; int32 or mixed dtypes; shapes that do not broadcast. */
rill_tensor *rill_where(rill_tape *t, const rill_tensor *mask,
                        const rill_tensor *a, const rill_tensor *b)
{
    static const char op[] = "where";
    if (!rill_usable(t, op, "mask", mask) ||
        !rill_usable_float(t, op, "a", a) ||
        !rill_usable_float(t, op, "b", b) ||
        !rill_same_dtype(t, op, "a", a, "b", b))
        return NULL;
    if (mask->dtype != RILL_I32)
        return rill_fail(t, "%s: mask is %s, int32 is wanted", op,
                         rill_dtype_name(mask->dtype));
    const rill_tensor *in[] = { mask, a, b };
    rill_tensor *y = rill_map(t, op, where_kernels, in, 3, a->dtype, NULL);
    return y ? rill_record(t, &where_op, y, in, 3, NULL) : NULL;
}

#endif
