/* argmax: where the largest element over chosen dims is: the first of equal
 * ones, the first NaN if there is any. Not differentiable. */
#define KERNEL_FILE "../ops/argmax.c"
#include "common.h"

#ifdef REAL
static void FN(argmax)(const rill_reduction_view *v, int32_t *y)
{
    for (size_t o = 0; o < v->outer; o++)
        for (size_t j = 0; j < v->inner; j++) {
            const REAL *x = (const REAL *)v->x + o * v->n * v->inner + j;
            size_t at = 0;
            REAL max = x[0];
            for (size_t i = 1; i < v->n && max == max; i++)
                if (!(x[i * v->inner] <= max)) {
                    max = x[i * v->inner];
                    at = i;
                }
            y[o * v->inner + j] = (int32_t)at;
        }
}

#else
KERNELS(argmax)

static const rill_op argmax_op = { "argmax", "not differentiable", NULL, NULL,
                                   0 };

/* The index of the largest element over opts->dims, int32. x: any shape, a
 * float dtype. Over several dims, or all, it counts row-major through the
 * reduced ones. Errors: those of rill_sum; a reduced dim of size 0; more
 * elements than int32 counts. */
rill_tensor *rill_argmax(rill_tape *t, const rill_tensor *x,
                         const rill_reduce_opts *opts)
{
    static const rill_reduce_opts none = { { 0, { 0 } }, false };
    rill_reduction_view v;
    if (!opts)
        opts = &none;
    if (!rill_usable_float(t, "argmax", "x", x) ||
        !rill_reduce(t, "argmax", x, opts->dims, opts->keepdim, &v))
        return NULL;
    if (v.n == 0)
        return rill_fail(t, "argmax: x is %s: there is no max of nothing",
                         RILL_TEXT(x));
    if (v.n > INT32_MAX)
        return rill_fail(t, "argmax: x is %s: int32 does not count %zu "
                         "elements", RILL_TEXT(x), v.n);
    rill_tensor *y = rill_empty(t, RILL_I32, v.shape);
    if (!y)
        return NULL;
    KERNEL(argmax, t->isa, x->dtype)(&v, y->data);
    return rill_record(t, &argmax_op, y, INPUTS(x),
                       NULL);
}

#endif
