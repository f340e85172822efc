/* slice: y = x[start:end] along one dim, copied. Its adjoint, dy amid zeros,
 * is pad, which has slice for its rule. */
#include "common.h"

typedef struct {
    int dim;
    int64_t start, end;
} slice_attrs;

void rill_slice_copy(const rill_tensor *whole, const rill_tensor *part,
                     int dim, int64_t start, bool out_of)
{
    size_t outer = 1, row = rill_dtype_size(whole->dtype);
    for (int d = 0; d < whole->shape.ndim; d++)
        *(d < dim ? &outer : &row) *=
            d == dim ? 1 : (size_t)whole->shape.dim[d];
    size_t step = row * (size_t)whole->shape.dim[dim];
    size_t run = row * (size_t)part->shape.dim[dim];
    char *w = (char *)whole->data + row * (size_t)start, *p = part->data;
    for (size_t o = 0; o < outer; o++, w += step, p += run)
        memcpy(out_of ? p : w, out_of ? w : p, run);
}

static RULE(pad_backward)
{
    const slice_attrs *a = rill_node_attrs(n);
    gx[0] = rill_slice(t, gy, a->dim, a->start, a->end);
}

OP(pad, "dx = dy[start:end]")

static RULE(slice_backward)
{
    const slice_attrs *a = rill_node_attrs(n);
    rill_tensor *g = rill_zeros(t, gy->dtype, rill_node_input(n, 0)->shape);
    if (!g)
        return;
    rill_slice_copy(g, gy, a->dim, a->start, false);
    gx[0] = rill_record(t, &pad_op, g, &gy, 1, a);
}

OP(slice, "dx = dy amid zeros")

/* i as Python takes it for a dimension of this size. */
static int64_t slice_bound(int64_t i, int64_t size)
{
    if (i < 0)
        i += size;
    return i < 0 ? 0 : i > size ? size : i;
}

/* x[start:end] along dim, as in Python: a negative bound counts from the end,
 * one beyond an end is taken for that end, and an end before start gives
 * size 0. x: any dtype. */
rill_tensor *rill_slice(rill_tape *t, const rill_tensor *x, int dim,
                        int64_t start, int64_t end)
{
    if (!rill_usable(t, "slice", "x", x))
        return NULL;
    dim = rill_resolve_dim(t, "slice", dim, x->shape.ndim);
    if (dim < 0)
        return NULL;
    slice_attrs a = { dim, slice_bound(start, x->shape.dim[dim]),
                      slice_bound(end, x->shape.dim[dim]) };
    if (a.end < a.start)
        a.end = a.start;
    rill_shape shape = x->shape;
    shape.dim[dim] = a.end - a.start;
    rill_tensor *y = rill_empty(t, x->dtype, shape);
    if (y)
        rill_slice_copy(x, y, dim, a.start, true);
    return rill_record(t, &slice_op, y, INPUTS(x),
                       rill_attrs(t, &a, sizeof a));
}
