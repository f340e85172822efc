/* compare: gt, ge, lt, le and eq: int32 masks for where, 1 where the relation
 * holds, else 0. Nothing holds of a NaN, not even equality with itself; -0
 * equals 0.
 *
 * One kernel serves all five: of two numbers at most one of <, = and > holds,
 * and a relation is given as what it answers in these cases. */
#define KERNEL_FILE "../ops/compare.c"
#include "common.h"

#ifdef REAL
static void FN(compare)(void *out, const void *const *in, size_t n,
                        const void *attrs)
{
    const REAL *a = in[0], *b = in[1];
    const int32_t *answer = attrs;
    int32_t *y = out, less = answer[0], equal = answer[1], more = answer[2];
    SIMD for (size_t i = 0; i < n; i++)
        y[i] = (a[i] < b[i] ? less : 0) | (a[i] == b[i] ? equal : 0) |
               (a[i] > b[i] ? more : 0);
}

#else
KERNELS(compare)

static rill_tensor *compare(rill_tape *t, const rill_op *op,
                            const rill_tensor *a, const rill_tensor *b,
                            const int32_t *answer)
{
    if (!rill_usable(t, op->name, "a", a) ||
        !rill_usable(t, op->name, "b", b) ||
        !rill_same_dtype(t, op->name, "a", a, "b", b))
        return NULL;
    if (a->dtype == RILL_I32) /* every int32 is a double */
        return compare(t, op, rill_cast(t, a, RILL_F64),
                       rill_cast(t, b, RILL_F64), answer);
    rill_tensor *y = rill_map(t, op->name, compare_kernels, INPUTS(a, b),
                              RILL_I32, answer);
    return y ? rill_record(t, op, y, INPUTS(a, b), NULL) : NULL;
}

#define COMPARISON(name, less, equal, more)                               \
    OP_AS(name, "not differentiable", NULL, NULL)                         \
    rill_tensor *rill_##name(rill_tape *t, const rill_tensor *a,          \
                             const rill_tensor *b)                        \
    {                                                                     \
        return compare(t, &name##_op, a, b,                               \
                       (int32_t[]){ less, equal, more });                 \
    }

/* An int32 mask: 1 where a > b (a >= b, ...), else 0. Unlike with other
 * elementwise ops a and b may both be int32 as well. */
COMPARISON(gt, 0, 0, 1)
COMPARISON(ge, 0, 1, 1)
COMPARISON(lt, 1, 0, 0)
COMPARISON(le, 1, 1, 0)
COMPARISON(eq, 0, 1, 0)

#endif
