/* linear_cross_entropy: cross_entropy(linear(x, W, b)) without the logits.
 *
 * The N x C logits, the largest tensor of a network with many classes, exist
 * for one chunk of rows at a time. A chunk is multiplied, turned into its
 * gradient where it lies, and folded into the gradients of x, W and b:
 *
 *     z = x W^T + b,  dz: cross_entropy's,  dx = dz W,  dW += dz^T x,
 *     db += the sum of dz over its rows
 *
 * A forward that is recorded does all of it for dloss = 1, so that no product
 * is made twice; backward scales what it finds. Only without a reduction,
 * where each row has a dloss of its own, backward goes over the chunks again.
 * A recorded sweep (second derivatives) makes the logits whole. */
#include "common.h"

typedef struct {
    rill_cross_entropy_args loss;
    int64_t chunk;
    rill_tensor *grad[3]; /* of x, W and b, where the forward made them */
} linear_cross_entropy_args;

/* Room for the gradient in x, where it is wanted. */
static rill_tensor *linear_cross_entropy_room(rill_tape *t,
                                              const rill_tensor *x)
{
    return x && rill_wants(t, x) ? rill_zeros(t, x->dtype, x->shape) : NULL;
}

/* Makes *part n rows of x, [N] or [N, ...]. */
static rill_tensor *chunk_rows(rill_tensor *part, const rill_tensor *x,
                               int64_t from, int64_t n)
{
    if (!x)
        return NULL;
    int64_t row = x->numel / x->shape.dim[0];
    *part = *x;
    part->data = (char *)x->data +
                 (size_t)(from * row) * rill_dtype_size(x->dtype);
    part->numel = n * row;
    part->shape.dim[0] = n;
    return part;
}

/* c += a b, or a^T b. */
static void chunk_add(rill_tape *t, const rill_tensor *a, bool transpose_a,
                      const rill_tensor *b, rill_tensor *c)
{
    int64_t k = b->shape.dim[0], n = b->shape.dim[1];
    rill_gemm_args g = { .transpose_a = transpose_a, .m = c->shape.dim[0],
                         .n = n, .k = k, .a = a->data, .lda = a->shape.dim[1],
                         .b = b->data, .ldb = n, .c = c->data, .ldc = n,
                         .add = true };
    rill_gemm(t, "linear_cross_entropy", c->dtype, &g);
}

/* Every chunk: its losses, and where any of grad is not NULL its gradients,
 * for dloss = 1 or for gy's, one a row. in: x, W and b, or NULL. */
static void linear_cross_entropy_run(rill_tape *t,
                                     const linear_cross_entropy_args *l,
                                     const rill_tensor *const *in,
                                     const rill_tensor *gy,
                                     rill_tensor *const *grad)
{
    int64_t n = (int64_t)l->loss.v.positions;
    int64_t most = n < l->chunk ? n : l->chunk;
    rill_tensor *all = rill_empty(t, in[0]->dtype,
                                  RILL_SHAPE(most, rill_dim(in[1], 0)));
    bool was = rill_tape_record(t, false);
    rill_reduce_opts over = { .dims = RILL_DIMS(0) };
    for (int64_t from = 0; !t->failed && from < n; from += most) {
        rill_cross_entropy_args a = l->loss;
        rill_tensor part[6];
        int64_t rows = n - from < most ? n - from : most;
        rill_tensor *z = chunk_rows(&part[0], all, 0, rows);
        rill_tensor *x = chunk_rows(&part[1], in[0], from, rows);
        rill_tensor *dx = chunk_rows(&part[2], grad[0], from, rows);
        a.losses = chunk_rows(&part[3], a.losses, from, rows);
        a.lse = chunk_rows(&part[4], a.lse, from, rows);
        a.dloss = chunk_rows(&part[5], gy, from, rows);
        a.v.positions = (size_t)rows;
        a.v.target += from;
        a.logits = z;
        a.grad = grad[0] || grad[1] || grad[2] ? z : NULL;
        if (!rill_linear_into(t, in[1], in[2], x->data, rows, z->data))
            break;
        rill_cross_entropy_run(t, &a);
        if (dx)
            chunk_add(t, z, false, in[1], dx);
        if (grad[1])
            chunk_add(t, z, true, x, grad[1]);
        rill_tensor *db = grad[2] ? rill_sum(t, z, &over) : NULL;
        if (db)
            rill_add_into(t, grad[2], db);
    }
    rill_tape_record(t, was);
}

static RULE(linear_cross_entropy_backward)
{
    const linear_cross_entropy_args *l = rill_node_attrs(n);
    const rill_tensor *dz = NULL, *z = rill_linear(
        t, rill_node_input(n, 0), rill_node_input(n, 1),
        rill_node_input(n, 2));
    rill_cross_entropy_rule(t, &l->loss, z, rill_node_input(n, 3), gy, &dz,
                            NULL);
    if (dz)
        rill_linear_backward(t, n, dz, gx);
}

static RULE(linear_cross_entropy_fused)
{
    const linear_cross_entropy_args *l = rill_node_attrs(n);
    const rill_tensor *in[3];
    rill_tensor *grad[3];
    bool each = l->loss.each, scaled = !each && rill_item(gy) != 1;
    for (int i = 0; i < 3; i++) {
        in[i] = rill_node_input(n, i);
        grad[i] = each ? linear_cross_entropy_room(t, in[i])
                  : scaled && l->grad[i]
                      ? rill_scale(t, l->grad[i], rill_item(gy)) : l->grad[i];
        gx[i] = grad[i];
    }
    if (each)
        linear_cross_entropy_run(t, l, in, gy, grad);
}

OP_AS(linear_cross_entropy, "dx = dz W, dW = dz^T x, db = sum dz",
      linear_cross_entropy_backward, linear_cross_entropy_fused)

/* cross_entropy(x W^T + b, target) in memory for opts->chunk rows of logits.
 * x: [N, in]; weight: [C, in]; bias: [C] or NULL; target: int32 [N]. Result,
 * options and warnings of the loss: rill_cross_entropy's. The result is the
 * same for every chunk size, to rounding. Errors: those of rill_linear and
 * rill_cross_entropy; an x that is not [N, in]; a negative chunk. (The idea:
 * Wijmans et al., Cut your losses in large-vocabulary language models,
 * 2024.) */
rill_tensor *rill_linear_cross_entropy(
    rill_tape *t, const rill_tensor *x, const rill_tensor *weight,
    const rill_tensor *bias, const rill_tensor *target,
    const rill_linear_cross_entropy_opts *opts)
{
    static const char op[] = "linear_cross_entropy";
    opts = opts ? opts : &(rill_linear_cross_entropy_opts){ .chunk = 0 };
    const rill_cross_entropy_opts *o = &opts->loss;
    linear_cross_entropy_args l = { .chunk = opts->chunk ? opts->chunk : 256 };
    if (!rill_linear_usable(t, op, x, weight, bias))
        return NULL;
    if (x->shape.ndim != 2)
        return rill_fail(t, "%s: x is %s: [N, in] is wanted", op,
                         RILL_TEXT(x));
    if (l.chunk < 0)
        return rill_fail(t, "%s: chunk %" PRId64 " is negative", op, l.chunk);
    /* a header alone: the checks read its dtype and shape */
    rill_tensor *z = rill_view(
        t, x->data, x->dtype,
        RILL_SHAPE(x->shape.dim[0], weight->shape.dim[0]));
    if (!rill_cross_entropy_start(t, op, z, target, false, o, &l.loss))
        return NULL;
    const rill_tensor *in[] = { x, weight, bias };
    for (int i = 0; i < 3 && t->recording && !l.loss.each; i++)
        l.grad[i] = linear_cross_entropy_room(t, in[i]);
    linear_cross_entropy_run(t, &l, in, NULL, l.grad);
    if (t->failed)
        return NULL;
    return rill_record(t, &linear_cross_entropy_op,
                       rill_cross_entropy_loss(t, o, &l.loss),
                       INPUTS(x, weight, bias, target),
                       rill_attrs(t, &l, sizeof l));
}
