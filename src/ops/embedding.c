/* embedding: y = the rows of weight that the indices name. one_hot: rows that
 * are 1 at their label and 0 elsewhere; not differentiable.
 *
 * dweight = each row of dy added into the row it came from (embedding_grad),
 * but 0 for the padding row; the rule of embedding_grad is embedding again. */
#include "common.h"

/* Whether x is int32, each in [0, end), with a dimension left to add. */
static bool indices_usable(rill_tape *t, const char *op, const char *name,
                           const rill_tensor *x, int64_t end)
{
    if (!rill_usable(t, op, name, x))
        return false;
    if (x->dtype != RILL_I32)
        return rill_fail(t, "%s: %s are %s, int32 is wanted", op, name,
                         rill_dtype_name(x->dtype));
    if (x->shape.ndim == RILL_MAX_DIMS)
        return rill_fail(t, "%s: %s are %s: no dimension is left to add", op,
                         name, RILL_TEXT(x));
    const int32_t *index = x->data;
    for (int64_t i = 0; i < x->numel; i++)
        if (index[i] < 0 || index[i] >= end)
            return rill_fail(t, "%s: %s hold %d at %" PRId64 ", which is not "
                             "in [0, %" PRId64 ")", op, name, (int)index[i],
                             i, end);
    return true;
}

DX(embedding_grad, rill_embedding(t, gy, rill_node_input(n, 1), NULL))

OP(embedding_grad, "dx = dy[index]")

/* attrs: the padding row; -1: none */
static RULE(embedding_backward)
{
    const int32_t padding = *(const int32_t *)rill_node_attrs(n);
    const rill_tensor *w = rill_node_input(n, 0);
    const rill_tensor *index = rill_node_input(n, 1);
    if (padding >= 0) {
        rill_shape shape = index->shape;
        shape.dim[shape.ndim++] = 1;
        rill_tensor *is = rill_eq(t, rill_reshape(t, index, shape),
                                  rill_full(t, padding, RILL_I32,
                                            RILL_SCALAR));
        gy = rill_where(t, is, rill_zeros(t, gy->dtype, RILL_SCALAR), gy);
    }
    rill_tensor *g = rill_zeros(t, w->dtype, w->shape);
    if (!g || !gy)
        return;
    rill_tensor to = *g, from = *gy; /* a row of them */
    to.numel = from.numel = w->shape.dim[1];
    size_t row = (size_t)to.numel * rill_dtype_size(w->dtype);
    for (int64_t i = 0; i < index->numel; i++) {
        size_t at = (size_t)rill_i32(index)[i];
        to.data = (char *)g->data + at * row;
        from.data = (char *)gy->data + (size_t)i * row;
        rill_add_into(t, &to, &from);
    }
    gx[0] = rill_record(t, &embedding_grad_op, g, INPUTS(gy, index), NULL);
}

OP(embedding, "dweight[index[i]] += dy[i]")

/* weight[indices]. weight: [rows, width], a float dtype; indices: int32, any
 * shape of up to seven dims, each in [0, rows). Result [..., width]. The
 * gradient in weight is dense, and 0 in the row opts->padding_index. */
rill_tensor *rill_embedding(rill_tape *t, const rill_tensor *weight,
                            const rill_tensor *indices,
                            const rill_embedding_opts *opts)
{
    const int32_t none = -1, *padding = opts ? opts->padding_index : NULL;
    if (!rill_usable_float(t, "embedding", "weight", weight))
        return NULL;
    if (weight->shape.ndim != 2)
        return rill_fail(t, "embedding: weight is %s, [rows, width] is "
                         "wanted", RILL_TEXT(weight));
    int64_t rows = weight->shape.dim[0];
    if (!indices_usable(t, "embedding", "indices", indices, rows))
        return NULL;
    if (padding && (*padding < 0 || *padding >= rows))
        return rill_fail(t, "embedding: padding_index %d is not in [0, "
                         "%" PRId64 ")", (int)*padding, rows);
    rill_shape shape = indices->shape;
    shape.dim[shape.ndim++] = weight->shape.dim[1];
    rill_tensor *y = rill_empty(t, weight->dtype, shape);
    size_t row = (size_t)weight->shape.dim[1] *
                 rill_dtype_size(weight->dtype);
    const int32_t *index = indices->data;
    for (int64_t i = 0; y && i < indices->numel; i++)
        memcpy((char *)y->data + (size_t)i * row,
               (const char *)weight->data + (size_t)index[i] * row, row);
    return rill_record(t, &embedding_op, y, INPUTS(weight, indices),
                       rill_attrs(t, padding ? padding : &none, sizeof none));
}

OP_AS(one_hot, "not differentiable", NULL, NULL)

/* For each label a row that is 1 at the label and 0 elsewhere. labels: int32,
 * any shape of up to seven dims, each in [0, classes). Result [..., classes]
 * of dtype, any. */
rill_tensor *rill_one_hot(rill_tape *t, const rill_tensor *labels,
                          int64_t classes, rill_dtype dtype)
{
    if (classes < 0)
        return rill_fail(t, "one_hot: classes %" PRId64 " is negative",
                         classes);
    if (!indices_usable(t, "one_hot", "labels", labels, classes))
        return NULL;
    rill_shape shape = labels->shape;
    shape.dim[shape.ndim++] = classes;
    rill_tensor *y = rill_zeros(t, dtype, shape);
    for (int64_t i = 0; y && i < labels->numel; i++)
        rill_set(y, i * classes + rill_i32(labels)[i], 1);
    return rill_record(t, &one_hot_op, y, INPUTS(labels), NULL);
}
