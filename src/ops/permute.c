/* permute: the dimensions of x in another order, copied. */
#include "common.h"

void rill_permute_copy(void *y, const rill_tensor *x, const int *order)
{
    int last = x->shape.ndim - 1;
    int64_t stride[RILL_MAX_DIMS] = { 0 }, s = 1;
    for (int d = last; d >= 0; s *= x->shape.dim[d--])
        stride[d] = s;
    int64_t row = last < 0 ? 1 : x->shape.dim[order[last]];
    int64_t step = last < 0 ? 1 : stride[order[last]];
    size_t width = rill_dtype_size(x->dtype);
    for (int64_t i = 0; i < x->numel; i += row) {
        int64_t from = 0, rest = i / row;
        for (int d = last - 1; d >= 0; d--) {
            int64_t size = x->shape.dim[order[d]];
            from += rest % size * stride[order[d]];
            rest /= size;
        }
        rill_copy_row((char *)y + (size_t)i * width,
                      (const char *)x->data + (size_t)from * width, row, step,
                      width);
    }
}

static RULE(permute_backward)
{
    const rill_dims *order = rill_node_attrs(n);
    rill_dims back = { .n = order->n };
    for (int d = 0; d < order->n; d++)
        back.dim[order->dim[d]] = d;
    gx[0] = rill_permute(t, gy, back);
}

OP(permute, "dx = dy in x's order")

/* x with its dimension order.dim[d] as dimension d. x: any dtype; order
 * names each dimension once. */
rill_tensor *rill_permute(rill_tape *t, const rill_tensor *x, rill_dims order)
{
    if (!rill_usable(t, "permute", "x", x))
        return NULL;
    int ndim = x->shape.ndim;
    if (order.n != ndim)
        return rill_fail(t, "permute: x is %s but %d dims are given",
                         RILL_TEXT(x), order.n);
    bool seen[RILL_MAX_DIMS] = { false };
    if (!rill_resolve_dims(t, "permute", &order, ndim, seen))
        return NULL;
    rill_shape shape = { .ndim = ndim };
    for (int d = 0; d < ndim; d++)
        shape.dim[d] = x->shape.dim[order.dim[d]];
    rill_tensor *y = rill_empty(t, x->dtype, shape);
    if (y)
        rill_permute_copy(y->data, x, order.dim);
    return rill_record(t, &permute_op, y, INPUTS(x),
                       rill_attrs(t, &order, sizeof order));
}

/* x, of any dtype, with dimensions d0 and d1 swapped: a permute. */
rill_tensor *rill_transpose(rill_tape *t, const rill_tensor *x, int d0,
                            int d1)
{
    if (!rill_usable(t, "transpose", "x", x))
        return NULL;
    rill_dims order = { .n = x->shape.ndim };
    int a = rill_resolve_dim(t, "transpose", d0, order.n);
    int b = rill_resolve_dim(t, "transpose", d1, order.n);
    if (a < 0 || b < 0)
        return NULL;
    for (int d = 0; d < order.n; d++)
        order.dim[d] = d == a ? b : d == b ? a : d;
    return rill_permute(t, x, order);
}
