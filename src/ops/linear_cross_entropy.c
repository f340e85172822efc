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
#include "cross_entropy.h"

typedef struct {
    rill_cross_entropy_args loss;
    int64_t chunk;
    rill_tensor *grad[3]; /* of x, W and b, where the forward made them */
} linear_cross_entropy_args;

/* Room for the gradient in x, where it is wanted: zeros where it is added up
 * from the start, which is so for a bias, and where there are no rows. */
static rill_tensor *linear_cross_entropy_room(rill_tape *t,
                                              const rill_tensor *x, bool rows)
{
    if (!x || !rill_wants(t, x))
        return NULL;
    return rows && x->shape.ndim > 1 ? rill_like(t, x)
                                     : rill_zeros(t, x->dtype, x->shape);
}

/* The gradients of x, W and b from dz [rows, C] of the rows from `from`. */
static bool linear_cross_entropy_fold(rill_tape *t, const rill_tensor *x,
                                      const rill_tensor *w, int64_t from,
                                      const rill_tensor *dz,
                                      rill_tensor *const *grad)
{
    int64_t rows = dz->shape.dim[0], out = dz->shape.dim[1];
    int64_t in = w->shape.dim[1];
    size_t at = (size_t)(from * in) * rill_dtype_size(w->dtype);
    rill_gemm_args dx = { .m = rows, .n = in, .k = out, .a = dz->data,
                          .lda = out, .b = w->data, .ldb = in, .ldc = in };
    rill_gemm_args dw = { .transpose_a = true, .m = out, .n = in, .k = rows,
                          .a = dz->data, .lda = out, .ldb = in, .ldc = in,
                          .add = from > 0 };
    if (grad[0]) {
        dx.c = (char *)grad[0]->data + at;
        if (!rill_gemm(t, "linear_cross_entropy", w->dtype, &dx))
            return false;
    }
    if (grad[1]) {
        dw.b = (const char *)x->data + at;
        dw.c = grad[1]->data;
        if (!rill_gemm(t, "linear_cross_entropy", w->dtype, &dw))
            return false;
    }
    if (!grad[2])
        return true;
    rill_tensor *db = rill_sum(t, dz,
                               &(rill_reduce_opts){ .dims = RILL_DIMS(0) });
    if (db)
        rill_add_into(t, grad[2], db);
    return db;
}

/* Every chunk: its losses, and where any of grad is not NULL its gradients,
 * for dloss = 1 or for gy's, one a row. */
static bool linear_cross_entropy_run(rill_tape *t,
                                     const linear_cross_entropy_args *l,
                                     const rill_tensor *x,
                                     const rill_tensor *w,
                                     const rill_tensor *b,
                                     const rill_tensor *gy,
                                     rill_tensor *const *grad)
{
    int64_t n = (int64_t)l->loss.v.positions, out = w->shape.dim[0];
    int64_t most = n < l->chunk ? n : l->chunk;
    size_t width = rill_dtype_size(w->dtype);
    rill_tensor *z = rill_empty(t, w->dtype, RILL_SHAPE(most, out));
    bool ok = z, was = rill_tape_record(t, false);
    bool wanted = grad[0] || grad[1] || grad[2];
    for (int64_t from = 0; ok && from < n; from += most) {
        rill_cross_entropy_args a = l->loss;
        int64_t rows = n - from < most ? n - from : most;
        size_t at = (size_t)from * width;
        rill_tensor *dz = rill_tensor_over(t, z->data, w->dtype,
                                           RILL_SHAPE(rows, out));
        a.v.positions = (size_t)rows;
        a.v.target += from;
        a.losses = (char *)a.losses + at;
        a.lse = a.lse ? (char *)a.lse + at : NULL;
        a.logits = z->data;
        a.grad = wanted ? z->data : NULL;
        ok = dz && rill_linear_into(t, w, b,
                                    (const char *)x->data +
                                        at * (size_t)w->shape.dim[1],
                                    rows, z->data);
        if (!ok)
            break;
        a.dloss = gy ? (const char *)gy->data + at : NULL;
        rill_cross_entropy_run(&a);
        ok = !wanted || linear_cross_entropy_fold(t, x, w, from, dz, grad);
    }
    rill_tape_record(t, was);
    return ok;
}

static RULE(linear_cross_entropy_backward)
{
    const linear_cross_entropy_args *l = rill_node_attrs(n);
    const rill_tensor *x = rill_node_input(n, 0), *w = rill_node_input(n, 1);
    rill_tensor *z = rill_linear(t, x, w, rill_node_input(n, 2));
    const rill_tensor *dz = rill_cross_entropy_dz(
        t, &l->loss, z, rill_node_input(n, 3), gy);
    if (rill_node_wants(n, 0))
        gx[0] = rill_matmul(t, dz, w, NULL);
    if (rill_node_wants(n, 1))
        gx[1] = rill_matmul(t, dz, x,
                            &(rill_matmul_opts){ .transpose_a = true });
    if (rill_node_wants(n, 2))
        gx[2] = rill_sum(t, dz, &(rill_reduce_opts){ .dims = RILL_DIMS(0) });
}

static RULE(linear_cross_entropy_fused)
{
    const linear_cross_entropy_args *l = rill_node_attrs(n);
    rill_tensor *grad[3] = { NULL };
    for (int i = 0; i < 3; i++) {
        const rill_tensor *in = rill_node_input(n, i);
        if (!l->loss.each && l->grad[i])
            grad[i] = rill_item(gy) == 1
                          ? l->grad[i]
                          : rill_scale(t, l->grad[i], rill_item(gy));
        else if (l->loss.each)
            grad[i] = linear_cross_entropy_room(t, in, l->loss.v.positions);
        gx[i] = grad[i];
    }
    if (l->loss.each)
        linear_cross_entropy_run(t, l, rill_node_input(n, 0),
                                 rill_node_input(n, 1), rill_node_input(n, 2),
                                 gy, grad);
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
    const rill_linear_cross_entropy_opts none = { .chunk = 0 };
    const rill_linear_cross_entropy_opts *o = opts ? opts : &none;
    linear_cross_entropy_args l = { .chunk = o->chunk ? o->chunk : 256 };
    if (!rill_linear_usable(t, op, x, weight, bias))
        return NULL;
    if (x->shape.ndim != 2)
        return rill_fail(t, "%s: x is %s: [N, in] is wanted", op,
                         RILL_TEXT(x));
    if (l.chunk < 0)
        return rill_fail(t, "%s: chunk %" PRId64 " is negative", op, l.chunk);
    /* a header alone: the checks read its dtype and shape */
    rill_tensor *z = rill_tensor_over(
        t, x->data, x->dtype,
        RILL_SHAPE(x->shape.dim[0], weight->shape.dim[0]));
    if (!rill_cross_entropy_start(t, op, z, target, false, &o->loss, &l.loss))
        return NULL;
    const rill_tensor *in[] = { x, weight, bias };
    for (int i = 0; i < 3 && t->recording && !l.loss.each; i++)
        l.grad[i] = linear_cross_entropy_room(t, in[i], l.loss.v.positions);
    if (!linear_cross_entropy_run(t, &l, x, weight, bias, NULL, l.grad))
        return NULL;
    rill_tensor *loss = rill_cross_entropy_loss(t, &o->loss, &l.loss);
    void *kept = rill_attrs(t, &l, sizeof l);
    return kept ? rill_record(t, &linear_cross_entropy_op, loss,
                              INPUTS(x, weight, bias, target), kept)
                : NULL;
}
