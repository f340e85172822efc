/* max and min: the extreme of x over chosen dims; NaN if there is one. The
 * minimum is the negative of the maximum of -x: `sign` makes one of the other.
 *
 * dx = dy / k at each of the k elements that equal y: ties share evenly, as
 * in PyTorch's amax. The share is constant wherever the derivative exists. */
#define KERNEL_FILE "../ops/max.c"
#include "common.h"

/* 1 where x is the extreme y, 0 elsewhere, NaN where y is. */
MAP2(max_mask, y, x, x == y ? 1 : y != y ? y : 0)

#ifdef REAL
/* x [n, inner] to y [inner], n > 0. A NaN in y stays: nothing exceeds it. */
static void FN(max_columns)(const REAL *x, REAL *y, size_t n, size_t inner,
                            REAL sign)
{
    SIMD for (size_t j = 0; j < inner; j++)
        y[j] = x[j];
    for (size_t i = 1; i < n; i++)
        SIMD for (size_t j = 0; j < inner; j++) {
            REAL v = x[i * inner + j];
            y[j] = sign * v > sign * y[j] || v != v ? v : y[j];
        }
}

/* A row as columns of LANES; then those, and what is left, as one column. */
static void FN(max_row)(const REAL *x, REAL *y, size_t n, REAL sign)
{
    enum { LANES = 16 };
    REAL part[2 * LANES];
    size_t m = n / LANES ? LANES : 0, left = n % LANES;
    if (m)
        FN(max_columns)(x, part, n / LANES, LANES, sign);
    memcpy(part + m, x + n - left, left * sizeof *x);
    FN(max_columns)(part, y, m + left, 1, sign);
}

static void FN(max)(const rill_reduction_view *v, int sign, void *out)
{
    const REAL *x = v->x;
    REAL *y = out;
    for (size_t o = 0; o < v->outer; o++)
        if (v->inner == 1)
            FN(max_row)(x + o * v->n, y + o, v->n, (REAL)sign);
        else
            FN(max_columns)(x + o * v->n * v->inner, y + o * v->inner, v->n,
                            v->inner, (REAL)sign);
}

#else
KERNELS(max)

static RULE(max_backward)
{
    const rill_shape *kept = rill_node_attrs(n);
    const rill_tensor *x = rill_node_input(n, 0), *y = rill_node_output(n);
    y = rill_tensor_over(t, y->data, y->dtype, *kept);
    if (!y)
        return;
    rill_tensor *mask = rill_map(t, n->op->name, max_mask_kernels,
                                 INPUTS(y, x), x->dtype,
                                 NULL);
    rill_tensor *share = rill_div(t, rill_reshape(t, gy, *kept),
                                  rill_sum_to(t, mask, *kept));
    gx[0] = rill_mul(t, share, mask);
}

static const rill_op max_op = { "max", "dx = dy / k at the k maxima",
                                max_backward, NULL, 0 };
static const rill_op min_op = { "min", "dx = dy / k at the k minima",
                                max_backward, NULL, 0 };

static rill_tensor *max_over(rill_tape *t, const rill_op *op,
                             const rill_tensor *x,
                             const rill_reduce_opts *opts)
{
    static const rill_reduce_opts none = { { 0, { 0 } }, false };
    rill_reduction_view v;
    if (!opts)
        opts = &none;
    if (!rill_usable_float(t, op->name, "x", x) ||
        !rill_reduce(t, op->name, x, opts->dims, opts->keepdim, &v))
        return NULL;
    if (v.n == 0)
        return rill_fail(t, "%s: x is %s: there is no %s of nothing",
                         op->name, RILL_TEXT(x), op->name);
    rill_tensor *y = rill_empty(t, x->dtype, v.shape);
    void *kept = rill_attrs(t, &v.kept_shape, sizeof v.kept_shape);
    if (!y || !kept)
        return NULL;
    KERNEL(max, t->isa, x->dtype)(&v, op == &max_op ? 1 : -1, y->data);
    return rill_record(t, op, y, INPUTS(x), kept);
}

/* The largest element over opts->dims. x: any shape, a float dtype. A NaN
 * wins, and then its row's gradient is NaN. Errors: those of rill_sum; a
 * reduced dim of size 0. */
rill_tensor *rill_max(rill_tape *t, const rill_tensor *x,
                      const rill_reduce_opts *opts)
{
    return max_over(t, &max_op, x, opts);
}

/* The smallest element over opts->dims; otherwise as rill_max. */
rill_tensor *rill_min(rill_tape *t, const rill_tensor *x,
                      const rill_reduce_opts *opts)
{
    return max_over(t, &min_op, x, opts);
}

#endif
