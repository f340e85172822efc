/* slice: y = x[start:end] along one dim, copied.
 *
 * dx = dy amid zeros (pad); and pad, its adjoint, has slice for its rule. */
#include "common.h"

typedef struct {
    int dim;
    int64_t start, end;
    rill_shape whole; /* of x */
} slice_attrs;

/* Copies between a slice and the part of the whole that it is. */
static void slice_copy(const slice_attrs *a, char *whole, char *part,
                       size_t width, bool out_of)
{
    size_t outer = 1, row = width;
    for (int d = 0; d < a->dim; d++)
        outer *= (size_t)a->whole.dim[d];
    for (int d = a->dim + 1; d < a->whole.ndim; d++)
        row *= (size_t)a->whole.dim[d];
    size_t step = row * (size_t)a->whole.dim[a->dim];
    size_t run = row * (size_t)(a->end - a->start);
    whole += row * (size_t)a->start;
    for (size_t o = 0; o < outer; o++, whole += step, part += run)
        memcpy(out_of ? part : whole, out_of ? whole : part, run);
}

static RULE(slice_pad_backward)
{
    const slice_attrs *a = rill_node_attrs(n);
    gx[0] = rill_slice(t, gy, a->dim, a->start, a->end);
}

static const rill_op pad_op = { "pad", "dx = dy[start:end]",
                                slice_pad_backward, NULL, 0 };

static RULE(slice_backward)
{
    const slice_attrs *a = rill_node_attrs(n);
    rill_tensor *g = rill_zeros(t, gy->dtype, a->whole);
    if (!g)
        return;
    slice_copy(a, g->data, gy->data, rill_dtype_size(gy->dtype), false);
    gx[0] = rill_record(t, &pad_op, g, &gy, 1, a);
}

static const rill_op slice_op = { "slice", "dx = dy amid zeros",
                                  slice_backward, NULL, 0 };

/* i as Python takes it for a dimension of this size. */
static int64_t slice_bound(int64_t i, int64_t size)
{
    if (i < 0)
        i += size;
    return i < 0 ? 0 : i > size ? size : i;
}

/* x[start:end] along dim, as in Python: a negative bound counts from the end,
 * one beyond an end is taken for that end, and an end before start gives
 * size 0. x: any dtype. Errors: those of every op; a dim out of range. */
rill_tensor *rill_slice(rill_tape *t, const rill_tensor *x, int dim,
                        int64_t start, int64_t end)
{
    if (!rill_usable(t, "slice", "x", x))
        return NULL;
    dim = rill_resolve_dim(t, "slice", dim, x->shape.ndim);
    if (dim < 0)
        return NULL;
    slice_attrs a = { .dim = dim, .whole = x->shape,
                      .start = slice_bound(start, x->shape.dim[dim]),
                      .end = slice_bound(end, x->shape.dim[dim]) };
    if (a.end < a.start)
        a.end = a.start;
    rill_shape shape = x->shape;
    shape.dim[dim] = a.end - a.start;
    rill_tensor *y = rill_empty(t, x->dtype, shape);
    slice_attrs *kept = rill_attrs(t, &a, sizeof a);
    if (!y || !kept)
        return NULL;
    slice_copy(kept, x->data, y->data, rill_dtype_size(x->dtype), true);
    return rill_record(t, &slice_op, y, INPUTS(x),
                       kept);
}
