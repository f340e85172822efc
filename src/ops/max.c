/* max and min: the extreme of x over chosen dims; NaN if there is one. argmax:
 * where the largest is: the first of equal ones, the first NaN if there is
 * any; not differentiable.
 *
 * dx = dy / k at each of the k elements that equal y: ties share evenly, as
 * in PyTorch's amax. The share is constant wherever the derivative exists. */
#define MAPS MAP2(max_mask, y, x, x == y ? 1 : 0) /* is x the extreme y? */
#define KERNEL_FILE "../ops/max.c"
#include "common.h"

#ifdef REAL
/* A NaN, once there, stays: nothing exceeds it. */
#define MAX_OF(a, b) ((b) > (a) || (b) != (b) ? (b) : (a))

/* The largest of sign x, times sign, WIDTH at a time; a reduction of omp simd
 * may start from the least finite number and lose -inf. */
static void FN(max)(void *out, const void *const *in, size_t from, size_t to,
                    size_t n, const void *attrs)
{
    enum { WIDTH = 16 };
    const rill_reduction_view *v = attrs;
    const REAL *x = in[0], sign = v->takes & RILL_OF_MIN ? -1 : 1;
    for (size_t r = from; r < to; r++) {
        REAL lane[WIDTH], max = -(REAL)INFINITY;
        size_t i = r * n, end = i + n;
        for (size_t c = 0; c < WIDTH; c++)
            lane[c] = max;
        for (; i + WIDTH <= end; i += WIDTH)
            SIMD for (size_t c = 0; c < WIDTH; c++)
                lane[c] = MAX_OF(lane[c], sign * x[i + c]);
        for (; i < end; i++)
            max = MAX_OF(max, sign * x[i]);
        for (size_t c = 0; c < WIDTH; c++)
            max = MAX_OF(max, lane[c]);
        ((REAL *)out)[r] = sign * max;
    }
}

static void FN(argmax)(void *out, const void *const *in, size_t from,
                       size_t to, size_t n, const void *attrs)
{
    (void)attrs;
    for (size_t r = from; r < to; r++) {
        const REAL *x = (const REAL *)in[0] + r * n;
        size_t at = 0;
        for (size_t i = 1; i < n && x[at] == x[at]; i++)
            at = x[i] <= x[at] ? at : i;
        ((int32_t *)out)[r] = (int32_t)at;
    }
}

#else
KERNELS(max)
KERNELS(argmax)

static RULE(max_backward)
{
    const rill_shape *kept = rill_node_attrs(n);
    const rill_tensor *x = rill_node_input(n, 0), *y = rill_node_output(n);
    y = rill_view(t, y->data, y->dtype, *kept);
    if (!y)
        return;
    /* no x is a NaN y: its row gets dy / 0 * 0, NaN */
    rill_tensor *mask = rill_map(t, n->op->name, max_mask_kernels,
                                 INPUTS(y, x), x->dtype, NULL);
    rill_tensor *share = rill_div(t, rill_reshape(t, gy, *kept),
                                  rill_sum_to(t, mask, *kept));
    gx[0] = rill_mul(t, share, mask);
}

/* The largest element over opts->dims. x: any shape, a float dtype. A NaN
 * wins, and then its row's gradient is NaN. Errors: those of rill_sum; a
 * reduced dim of size 0. */
REDUCTION(max, "dx = dy / k at the k maxima", max_backward, max, 0)

/* The smallest element over opts->dims; otherwise as rill_max. */
REDUCTION(min, "dx = dy / k at the k minima", max_backward, max, RILL_OF_MIN)

/* The index of the largest element over opts->dims, int32. x: any shape, a
 * float dtype. Over several dims, or all, it counts row-major through the
 * reduced ones. Errors: those of rill_sum; a reduced dim of size 0; more
 * elements than int32 counts. */
REDUCTION(argmax, "not differentiable", NULL, argmax, RILL_OF_INDEX)
#endif
