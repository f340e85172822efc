/* compare: gt, ge, lt, le and eq: int32 masks for where, 1 where the relation
 * holds, else 0. Nothing holds of a NaN, not even equality with itself; -0
 * equals 0.
 *
 * One kernel serves all five: of two numbers at most one of <, = and > holds,
 * and a relation is the set of those that it allows. */
#ifdef REAL

static void FN(compare)(void *out, const void *const *in, size_t n,
                        const void *attrs)
{
    const compare_relation *r = attrs;
    const REAL *a = in[0], *b = in[1];
    int32_t *y = out, less = r->less, equal = r->equal, greater = r->greater;
    SIMD for (size_t i = 0; i < n; i++)
        y[i] = (a[i] < b[i] ? less : 0) | (a[i] == b[i] ? equal : 0) |
               (a[i] > b[i] ? greater : 0);
}

#else
#include "common.h"

typedef struct {
    int32_t less, equal, greater; /* 1: allowed */
} compare_relation;

#define KERNEL_FILE "../ops/compare.c"
#include "../tensor/each_kernel.h"

KERNELS(compare)

static rill_tensor *compare(rill_tape *t, const rill_op *op,
                            compare_relation r, const rill_tensor *a,
                            const rill_tensor *b)
{
    if (!rill_usable(t, op->name, "a", a) ||
        !rill_usable(t, op->name, "b", b) ||
        !rill_same_dtype(t, op->name, "a", a, "b", b))
        return NULL;
    const rill_tensor *in[] = { a, b }, *as[] = { a, b };
    if (a->dtype == RILL_I32) { /* every int32 is a double */
        bool was = rill_tape_record(t, false);
        as[0] = rill_cast(t, a, RILL_F64);
        as[1] = rill_cast(t, b, RILL_F64);
        rill_tape_record(t, was);
    }
    if (!as[0] || !as[1])
        return NULL;
    rill_tensor *y = rill_map(t, op->name, compare_kernels, as, 2, RILL_I32,
                              &r);
    return y ? rill_record(t, op, y, in, 2, NULL) : NULL;
}

static const rill_op gt_op = { "gt", "not differentiable", NULL, NULL, 0 };
static const rill_op ge_op = { "ge", "not differentiable", NULL, NULL, 0 };
static const rill_op lt_op = { "lt", "not differentiable", NULL, NULL, 0 };
static const rill_op le_op = { "le", "not differentiable", NULL, NULL, 0 };
static const rill_op eq_op = { "eq", "not differentiable", NULL, NULL, 0 };

/* An int32 mask: 1 where a > b, else 0. a, b: one dtype, float or int32,
 * shapes that broadcast. Errors, here and in the four below: those of every
 * op; mixed dtypes; shapes that do not broadcast. */
rill_tensor *rill_gt(rill_tape *t, const rill_tensor *a, const rill_tensor *b)
{
    return compare(t, &gt_op, (compare_relation){ .greater = 1 }, a, b);
}

/* An int32 mask: 1 where a >= b, else 0. */
rill_tensor *rill_ge(rill_tape *t, const rill_tensor *a, const rill_tensor *b)
{
    return compare(t, &ge_op, (compare_relation){ .equal = 1, .greater = 1 },
                   a, b);
}

/* An int32 mask: 1 where a < b, else 0. */
rill_tensor *rill_lt(rill_tape *t, const rill_tensor *a, const rill_tensor *b)
{
    return compare(t, &lt_op, (compare_relation){ .less = 1 }, a, b);
}

/* An int32 mask: 1 where a <= b, else 0. */
rill_tensor *rill_le(rill_tape *t, const rill_tensor *a, const rill_tensor *b)
{
    return compare(t, &le_op, (compare_relation){ .less = 1, .equal = 1 }, a,
                   b);
}

/* An int32 mask: 1 where a = b, else 0. */
rill_tensor *rill_eq(rill_tape *t, const rill_tensor *a, const rill_tensor *b)
{
    return compare(t, &eq_op, (compare_relation){ .equal = 1 }, a, b);
}

#endif
