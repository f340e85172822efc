/* linear: y = x W^T + b, one node for the product and the bias. */
#include "common.h"

/* x or dy as the matrix of its rows. */
static rill_shape linear_rows(const rill_tensor *x)
{
    int64_t width = x->shape.dim[x->shape.ndim - 1], rows = 1;
    for (int d = 0; d < x->shape.ndim - 1; d++)
        rows *= x->shape.dim[d];
    return RILL_SHAPE(rows, width);
}

RULE(rill_linear_backward)
{
    const rill_tensor *x = rill_node_input(n, 0), *w = rill_node_input(n, 1);
    const rill_tensor *g = rill_reshape(t, gy, linear_rows(gy));
    if (!g)
        return;
    if (rill_node_wants(n, 0))
        gx[0] = rill_reshape(t, rill_matmul(t, g, w, NULL), x->shape);
    if (rill_node_wants(n, 1))
        gx[1] = rill_matmul(t, g, rill_reshape(t, x, linear_rows(x)),
                            &(rill_matmul_opts){ .transpose_a = true });
    if (rill_node_wants(n, 2))
        gx[2] = rill_sum(t, g, &(rill_reduce_opts){ .dims = RILL_DIMS(0) });
}

OP_AS(linear, "dx = dy W, dW = dy^T x, db = sum dy", rill_linear_backward,
      NULL)

/* ` (layer "fc2")` when w is called fc2.weight; otherwise nothing */
static const char *linear_layer(const rill_tensor *w, char text[128])
{
    const char *name = rill_name(w), *dot = strrchr(name, '.');
    snprintf(text, 128, dot ? " (layer \"%.*s\")" : "%.*s",
             dot ? (int)(dot - name) : 0, name);
    return text;
}

bool rill_linear_usable(rill_tape *t, const char *op, const rill_tensor *x,
                        const rill_tensor *w, const rill_tensor *b)
{
    char text[128];
    if (!rill_usable_floats(t, op, "x", x, "weight", w) ||
        (b && !rill_usable_floats(t, op, "x", x, "bias", b)))
        return false;
    if (x->shape.ndim == 0)
        return rill_fail(t, "%s: x has no dimension%s", op,
                         linear_layer(w, text));
    if (w->shape.ndim != 2)
        return rill_fail(t, "%s: weight is %s, [out, in] is wanted%s", op,
                         RILL_TEXT(w), linear_layer(w, text));
    int64_t given = rill_dim(x, -1), in = rill_dim(w, 1), out = rill_dim(w, 0);
    if (given != in)
        return rill_fail(t, "%s: x is %s but weight is %s: %" PRId64
                         " inputs given, %" PRId64 " wanted%s", op,
                         RILL_TEXT(x), RILL_TEXT(w), given, in,
                         linear_layer(w, text));
    if (b && (b->shape.ndim != 1 || b->numel != out))
        return rill_fail(t, "%s: bias is %s but weight is %s: [%" PRId64
                         "] is wanted%s", op, RILL_TEXT(b), RILL_TEXT(w), out,
                         linear_layer(w, text));
    return true;
}

bool rill_linear_into(rill_tape *t, const rill_tensor *weight,
                      const rill_tensor *bias, const void *x, int64_t rows,
                      void *y)
{
    int64_t out = weight->shape.dim[0], in = weight->shape.dim[1];
    rill_gemm_args g = { .transpose_b = true, .m = rows, .n = out, .k = in,
                         .a = x, .lda = in, .b = weight->data, .ldb = in,
                         .c = y, .ldc = out, .add = bias != NULL };
    size_t row = (size_t)out * rill_dtype_size(weight->dtype);
    for (int64_t i = 0; bias && i < rows; i++)
        memcpy((char *)y + (size_t)i * row, bias->data, row);
    return rill_gemm(t, "linear", weight->dtype, &g);
}

/* x W^T + b. x: [..., in]; weight: [out, in], as PyTorch lays it out; bias:
 * [out], or NULL for none. Result [..., out]. */
rill_tensor *rill_linear(rill_tape *t, const rill_tensor *x,
                         const rill_tensor *weight, const rill_tensor *bias)
{
    if (!rill_linear_usable(t, "linear", x, weight, bias))
        return NULL;
    rill_shape shape = x->shape;
    shape.dim[shape.ndim - 1] = weight->shape.dim[0];
    rill_tensor *y = rill_empty(t, x->dtype, shape);
    if (!y || !rill_linear_into(t, weight, bias, x->data,
                                linear_rows(x).dim[0], y->data))
        return NULL;
    return rill_record(t, &linear_op, y, INPUTS(x, weight, bias), NULL);
}
