/* matmul: y = a b over the last two dimensions; those before them broadcast.
 * With a flag set the operand is stored transposed, and BLAS reads it so. */
#include "common.h"

static RULE(matmul_backward)
{
    const rill_matmul_opts *o = rill_node_attrs(n);
    bool ta = o->transpose_a, tb = o->transpose_b;
    const rill_tensor *a = rill_node_input(n, 0), *b = rill_node_input(n, 1);
    if (rill_node_wants(n, 0))
        gx[0] = ta ? rill_matmul(t, b, gy, &(rill_matmul_opts){ tb, true })
                   : rill_matmul(t, gy, b, &(rill_matmul_opts){ false, !tb });
    if (rill_node_wants(n, 1))
        gx[1] = tb ? rill_matmul(t, gy, a, &(rill_matmul_opts){ true, ta })
                   : rill_matmul(t, a, gy, &(rill_matmul_opts){ !ta, false });
}

OP(matmul, "da = dy b^T, db = a^T dy")

static rill_tensor *matmul_matrices(rill_tape *t, const rill_tensor *a,
                                    const rill_tensor *b,
                                    const rill_matmul_opts *o)
{
    bool ta = o->transpose_a, tb = o->transpose_b;
    rill_gemm_args g = {
        .transpose_a = ta, .transpose_b = tb, .m = rill_dim(a, ta ? -1 : -2),
        .n = rill_dim(b, tb ? -2 : -1), .k = rill_dim(a, ta ? -2 : -1),
        .lda = rill_dim(a, -1), .ldb = rill_dim(b, -1)
    };
    int64_t rows = rill_dim(b, tb ? -1 : -2);
    if (g.k != rows)
        return rill_fail(t, "matmul: a is %s%s and b is %s%s: %" PRId64
                         " columns meet %" PRId64 " rows", RILL_TEXT(a),
                         ta ? " transposed" : "", RILL_TEXT(b),
                         tb ? " transposed" : "", g.k, rows);
    rill_shape batch_a = a->shape, batch_b = b->shape;
    batch_a.ndim -= 2;
    batch_b.ndim -= 2;
    rill_shape batch = batch_a;
    if (!rill_broadcast(&batch, &batch_b))
        return rill_fail(t, "matmul: the batches of a %s and b %s do not "
                         "broadcast", RILL_TEXT(a), RILL_TEXT(b));
    rill_shape shape = batch;
    shape.dim[shape.ndim++] = g.m;
    shape.dim[shape.ndim++] = g.ldc = g.n;
    rill_tensor *y = rill_empty(t, a->dtype, shape);
    int64_t count = y && y->numel ? y->numel / (g.m * g.n) : 0;
    int64_t width = (int64_t)rill_dtype_size(a->dtype);
    for (int64_t i = 0; i < count; i++) {
        int64_t ia = rill_broadcast_index(&batch_a, &batch, i);
        int64_t ib = rill_broadcast_index(&batch_b, &batch, i);
        g.a = (const char *)a->data + ia * g.m * g.k * width;
        g.b = (const char *)b->data + ib * g.k * g.n * width;
        g.c = (char *)y->data + i * g.m * g.n * width;
        if (!rill_gemm(t, "matmul", a->dtype, &g))
            return NULL;
    }
    return rill_record(t, &matmul_op, y, INPUTS(a, b),
                       rill_attrs(t, o, sizeof *o));
}

/* a b. a: [..., M, K], or [K] as a row; b: [..., K, N], or [K] as a column;
 * with a transpose flag, which a vector does not take, the last two are the
 * other way round in memory. The dimensions before them broadcast. Result
 * [..., M, N], without the M or N that a one-dimensional operand does not
 * have (PyTorch's matmul). */
rill_tensor *rill_matmul(rill_tape *t, const rill_tensor *a,
                         const rill_tensor *b, const rill_matmul_opts *opts)
{
    const rill_matmul_opts none = { 0 }, *o = opts ? opts : &none;
    if (!rill_usable_floats(t, "matmul", "a", a, "b", b))
        return NULL;
    int na = a->shape.ndim, nb = b->shape.ndim;
    bool row = na == 1, column = nb == 1;
    if (na == 0 || nb == 0)
        return rill_fail(t, "matmul: %s has no dimension", na ? "b" : "a");
    if ((row && o->transpose_a) || (column && o->transpose_b))
        return rill_fail(t, "matmul: a vector is not transposed");
    if (row)
        a = rill_reshape(t, a, RILL_SHAPE(1, a->numel));
    if (column)
        b = rill_reshape(t, b, RILL_SHAPE(b->numel, 1));
    rill_tensor *y = a && b ? matmul_matrices(t, a, b, o) : NULL;
    if (!y || !(row || column))
        return y;
    rill_shape s = y->shape;
    if (row)
        s.dim[s.ndim - 2] = s.dim[s.ndim - 1];
    s.ndim -= row + column;
    return rill_reshape(t, y, s);
}
