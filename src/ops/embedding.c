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

typedef struct {
    rill_shape weight;
    int32_t padding; /* -1: none */
} embedding_attrs;

static RULE(embedding_grad_backward)
{
    const embedding_attrs *a = rill_node_attrs(n);
    const rill_tensor *index = rill_node_input(n, 1), *g = gy;
    if (a->padding >= 0) {
        rill_tensor *is = rill_zeros(t, RILL_I32,
                                     RILL_SHAPE(a->weight.dim[0], 1));
        if (!is)
            return;
        ((int32_t *)is->data)[a->padding] = 1;
        g = rill_where(t, is, rill_zeros(t, gy->dtype, RILL_SCALAR), gy);
    }
    gx[0] = rill_embedding(
        t, g, index,
        &(rill_embedding_opts){ a->padding < 0 ? NULL : &a->padding });
}

static const rill_op embedding_grad_op = { "embedding_grad",
                                           "dx = dy[index]",
                                           embedding_grad_backward, NULL, 0 };

static RULE(embedding_backward)
{
    const embedding_attrs *a = rill_node_attrs(n);
    const rill_tensor *index = rill_node_input(n, 1);
    rill_tensor *g = rill_zeros(t, gy->dtype, a->weight);
    if (!g)
        return;
    KERNEL(embedding_scatter, t->isa, gy->dtype)(
        g->data, gy->data, index->data, (size_t)index->numel,
        (size_t)a->weight.dim[1], a->padding);
    gx[0] = rill_record(t, &embedding_grad_op, g,
                        INPUTS(gy, index), a);
}

static const rill_op embedding_op = { "embedding",
                                      "dweight[index[i]] += dy[i]",
                                      embedding_backward, NULL, 0 };

static bool embedding_fits(rill_tape *t, const rill_tensor *weight,
                           const rill_tensor *indices, const int32_t *padding)
{
    if (weight->shape.ndim != 2)
        return rill_fail(t, "embedding: weight is %s, [rows, width] is "
                         "wanted", RILL_TEXT(weight));
    if (indices->dtype != RILL_I32)
        return rill_fail(t, "embedding: indices are %s, int32 is wanted",
                         rill_dtype_name(indices->dtype));
    if (indices->shape.ndim == RILL_MAX_DIMS)
        return rill_fail(t, "embedding: indices are %s: no dimension is left "
                         "for the width", RILL_TEXT(indices));
    int64_t rows = weight->shape.dim[0];
    if (padding && (*padding < 0 || *padding >= rows))
        return rill_fail(t, "embedding: padding_index %d is not in [0, "
                         "%" PRId64 ")", (int)*padding, rows);
    const int32_t *index = indices->data;
    for (int64_t i = 0; i < indices->numel; i++)
        if (index[i] < 0 || index[i] >= rows)
            return rill_fail(t, "embedding: index %d at %" PRId64 " is not "
                             "in [0, %" PRId64 ")", (int)index[i], i, rows);
    return true;
}

/* weight[indices]. weight: [rows, width], a float dtype; indices: int32, any
 * shape of up to seven dims. Result [..., width]. The gradient in weight is
 * dense, and 0 in the row opts->padding_index. Errors: those of every op;
 * wrong dtypes or shapes; an index, or padding_index, that is no row. */
rill_tensor *rill_embedding(rill_tape *t, const rill_tensor *weight,
                            const rill_tensor *indices,
                            const rill_embedding_opts *opts)
{
    const int32_t *padding = opts ? opts->padding_index : NULL;
    if (!rill_usable_float(t, "embedding", "weight", weight) ||
        !rill_usable(t, "embedding", "indices", indices) ||
        !embedding_fits(t, weight, indices, padding))
        return NULL;
    embedding_attrs a = { weight->shape, padding ? *padding : -1 };
    rill_shape shape = indices->shape;
    shape.dim[shape.ndim++] = weight->shape.dim[1];
    rill_tensor *y = rill_empty(t, weight->dtype, shape);
    void *kept = rill_attrs(t, &a, sizeof a);
    if (!y || !kept)
        return NULL;
    size_t row = (size_t)weight->shape.dim[1] *
                 rill_dtype_size(weight->dtype);
    const int32_t *index = indices->data;
    for (int64_t i = 0; i < indices->numel; i++)
        memcpy((char *)y->data + (size_t)i * row,
               (const char *)weight->data + (size_t)index[i] * row, row);
    return rill_record(t, &embedding_op, y,
                       INPUTS(weight, indices), kept);
}

#endif
