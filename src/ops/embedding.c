/* embedding: y = the rows of weight that the indices name.
 *
 * dweight = each row of dy added into the row it came from (embedding_grad);
 * the padding row gets 0. The rule of embedding_grad is embedding again, with
 * that row taken for 0. */
#define KERNEL_FILE "../ops/embedding.c"
#include "common.h"

#ifdef REAL
/* Adds row i of x to row index[i] of y, which starts as zeros. */
static void FN(embedding_scatter)(void *out, const void *in,
                                  const int32_t *index, size_t n,
                                  size_t width, int32_t padding)
{
    const REAL *x = in;
    for (size_t i = 0; i < n; i++, x += width) {
        REAL *y = (REAL *)out + (size_t)index[i] * width;
        if (index[i] != padding)
            SIMD for (size_t j = 0; j < width; j++)
                y[j] += x[j];
    }
}

#else
KERNELS(embedding_scatter)

/* attrs: the padding row; -1: none */
static RULE(embedding_grad_backward)
{
    const int32_t *padding = rill_node_attrs(n);
    rill_embedding_opts o = { *padding < 0 ? NULL : padding };
    if (o.padding_index) {
        rill_tensor *is = rill_zeros(t, RILL_I32,
                                     RILL_SHAPE(gy->shape.dim[0], 1));
        if (!is)
            return;
        rill_set(is, *padding, 1);
        gy = rill_where(t, is, rill_zeros(t, gy->dtype, RILL_SCALAR), gy);
    }
    gx[0] = rill_embedding(t, gy, rill_node_input(n, 1), &o);
}

static const rill_op embedding_grad_op = { "embedding_grad",
                                           "dx = dy[index]",
                                           embedding_grad_backward, NULL, 0 };

static RULE(embedding_backward)
{
    const int32_t *padding = rill_node_attrs(n);
    const rill_tensor *w = rill_node_input(n, 0);
    const rill_tensor *index = rill_node_input(n, 1);
    rill_tensor *g = rill_zeros(t, gy->dtype, w->shape);
    if (!g)
        return;
    KERNEL(embedding_scatter, t->isa, gy->dtype)(
        g->data, gy->data, index->data, (size_t)index->numel,
        (size_t)w->shape.dim[1], *padding);
    gx[0] = rill_record(t, &embedding_grad_op, g, INPUTS(gy, index), padding);
}

static const rill_op embedding_op = { "embedding",
                                      "dweight[index[i]] += dy[i]",
                                      embedding_backward, NULL, 0 };

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
    if (!rill_usable_indices(t, "embedding", "indices", indices, rows))
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

#endif
