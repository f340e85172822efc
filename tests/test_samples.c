/* Per-sample gradients, against one backward a sample. */
#include "harness.h"

static rill_tensor *labels(const double *y, int64_t n)
{
    return rill_from(tape, y, RILL_I32, RILL_SHAPE(n));
}

static rill_tensor *leaf(uint64_t seed, rill_dtype dtype, rill_shape shape)
{
    return rill_watch(tape, normal(seed, dtype, shape));
}

/* Row i of x, as a batch of one. */
static rill_tensor *row(const rill_tensor *x, int64_t i)
{
    return rill_slice(tape, x, 0, i, i + 1);
}

/* ---- p - y -------------------------------------------------------------- */

/* It is what cross entropy with a sum sends back. */
static void check_residual(rill_dtype dtype, rill_tensor *target)
{
    rill_tensor *z = leaf(1, dtype, RILL_SHAPE(4, 5)), *loss;
    rill_cross_entropy_opts sum = { .reduction = RILL_SUM };
    loss = rill_i32(target) ? rill_cross_entropy(tape, z, target, &sum)
                            : rill_cross_entropy_probs(tape, z, target, &sum);
    ck_assert(rill_backward(tape, loss, NULL));
    int len = rill_tape_len(tape);
    rill_tensor *r = rill_softmax_residual(tape, z, target);
    ASSERT_OK();
    ck_assert_int_eq(rill_dtype_of(r), dtype);
    ck_assert_int_eq(rill_tape_len(tape), len);
    ck_assert_int_eq(rill_ndim(r), 2);
    ck_assert_int_eq(rill_dim(r, 0), 4);
    for (int64_t i = 0; i < 20; i++)
        ASSERT_NEAR(rill_at(r, i), rill_at(rill_grad(tape, z), i),
                    dtype == RILL_F32 ? 1e-6 : 1e-14);
}

START_TEST(residual_is_the_gradient_of_cross_entropy)
{
    rill_dtype dtypes[] = { RILL_F32, RILL_F64 };
    for (int i = 0; i < 2; i++) {
        check_residual(dtypes[i], labels((double[]){ 0, 4, -100, 2 }, 4));
        check_residual(dtypes[i],
                       rill_softmax(tape, normal(2, dtypes[i],
                                                 RILL_SHAPE(4, 5)), -1));
    }
}
END_TEST

START_TEST(residual_by_hand)
{
    double ln[] = { log(1), log(2), log(5) }, far[] = { 1e4, 0, -1e4 };
    rill_tensor *z = rill_from(tape, ln, RILL_F64, RILL_SHAPE(3));
    rill_tensor *two = rill_full(tape, 2, RILL_I32, RILL_SCALAR);
    assert_tensor(rill_softmax_residual(tape, z, two), RILL_SHAPE(3),
                  (double[]){ 0.125, 0.25, -0.375 }, 1e-15);
    z = rill_from(tape, far, RILL_F64, RILL_SHAPE(3));
    assert_tensor(rill_softmax_residual(tape, z, two), RILL_SHAPE(3),
                  (double[]){ 1, 0, -1 }, 0);
    /* an ignored row is 0, whatever it holds; another one shows its NaN */
    z = rill_full(tape, NAN, RILL_F32, RILL_SHAPE(2, 2));
    assert_tensor(rill_softmax_residual(tape, z,
                                        labels((double[]){ -100, 1 }, 2)),
                  RILL_SHAPE(2, 2), (double[]){ 0, 0, NAN, NAN }, 0);
    z = rill_zeros(tape, RILL_F32, RILL_SHAPE(0, 3));
    ck_assert_int_eq(
        rill_dim(rill_softmax_residual(tape, z, labels(NULL, 0)), 1), 3);
}
END_TEST

START_TEST(residual_refuses)
{
    rill_tensor *z = normal(1, RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *y = labels((double[]){ 0, 3 }, 2);
    rill_tensor *cube = normal(1, RILL_F32, RILL_SHAPE(2, 3, 2));
    ASSERT_REFUSED(rill_softmax_residual(tape, NULL, y),
                   "softmax_residual: logits is NULL");
    ASSERT_REFUSED(rill_softmax_residual(tape, z, NULL),
                   "softmax_residual: target is NULL");
    ASSERT_REFUSED(rill_softmax_residual(tape, y, y),
                   "softmax_residual: logits are int32");
    ASSERT_REFUSED(rill_softmax_residual(tape, cube, y),
                   "softmax_residual: logits have 3 dimensions: [C] or "
                   "[N, C] is wanted");
    ASSERT_REFUSED(rill_softmax_residual(
                       tape, z, normal(1, RILL_F64, RILL_SHAPE(2, 3))),
                   "softmax_residual: logits are float32 but target is "
                   "float64");
    static const char shape[] =
        "softmax_residual: target does not fit logits: int32 classes of "
        "shape [] or [N] or probabilities of the logits' shape are wanted";
    ASSERT_REFUSED(rill_softmax_residual(tape, z,
                                         labels((double[]){ 0, 1, 2 }, 3)),
                   shape);
    ASSERT_REFUSED(rill_softmax_residual(tape, z, rill_slice(tape, z, 0, 0,
                                                             1)),
                   shape);
    ASSERT_REFUSED(rill_softmax_residual(tape, z, y),
                   "softmax_residual: target 3 at row 1 is not in [0, 3)");
}
END_TEST

/* ---- norms of each sample's gradient ------------------------------------ */

typedef struct {
    rill_tensor *w1, *b1, *w2, *b2;
} network;

/* Two layers, of which the first may be used three times, at x of [N, 4] and
 * of [N, 3, 4]; w1 is [4, 4]. Their outputs are summed to logits [N, 5]. */
static rill_tensor *network_loss(const network *m, const rill_tensor *x,
                                 const rill_tensor *seq,
                                 const rill_tensor *y, rill_reduction how)
{
    rill_tensor *h = rill_tanh(tape, rill_linear(tape, x, m->w1, m->b1));
    if (seq) {
        rill_tensor *s = rill_linear(tape, seq, m->w1, m->b1);
        h = rill_tanh(tape, rill_linear(tape, h, m->w1, m->b1));
        h = rill_add(tape, h, rill_sum(tape, rill_sigmoid(tape, s),
                                       &(rill_reduce_opts){
                                           .dims = RILL_DIMS(1) }));
    }
    return rill_cross_entropy(tape, rill_linear(tape, h, m->w2, m->b2), y,
                              &(rill_cross_entropy_opts){ .reduction = how });
}

/* Every parameter's norms against one backward a sample. */
static void check_norms(const rill_tensor *x, const rill_tensor *seq)
{
    enum { N = 6 };
    network m = { leaf(3, RILL_F64, RILL_SHAPE(4, 4)),
                  leaf(4, RILL_F64, RILL_SHAPE(4)),
                  leaf(5, RILL_F64, RILL_SHAPE(5, 4)),
                  leaf(6, RILL_F64, RILL_SHAPE(5)) };
    const rill_tensor *p[] = { m.w1, m.b1, m.w2, m.b2 };
    rill_tensor *y = labels((double[]){ 0, 1, 2, 3, -100, 4 }, N), *norms[4];
    int len = 0;
    ck_assert(rill_backward(tape, network_loss(&m, x, seq, y, RILL_SUM),
                            NULL));
    len = rill_tape_len(tape);
    for (int k = 0; k < 4; k++) {
        norms[k] = rill_sample_grad_norms(tape, p[k]);
        ASSERT_OK();
        ck_assert_int_eq(rill_ndim(norms[k]), 1);
        ck_assert_int_eq(rill_dim(norms[k], 0), N);
    }
    ck_assert_int_eq(rill_tape_len(tape), len);
    for (int64_t i = 0; i < N; i++) {
        ck_assert(rill_backward(
            tape, network_loss(&m, row(x, i), seq ? row(seq, i) : NULL,
                               row(y, i), RILL_SUM), NULL));
        for (int k = 0; k < 4; k++)
            ASSERT_NEAR(rill_at(norms[k], i), rill_norm(rill_grad(tape, p[k])),
                        1e-12);
    }
    ck_assert_double_gt(rill_at(norms[0], 0), 0.01);
    ck_assert_double_eq(rill_at(norms[0], 4), 0); /* the ignored one */
}

START_TEST(norms_equal_a_loop_over_samples)
{
    check_norms(normal(7, RILL_F64, RILL_SHAPE(6, 4)), NULL);
}
END_TEST

/* One weight at three nodes, one of them of three rows a sample. */
START_TEST(norms_of_a_shared_weight_equal_a_loop)
{
    check_norms(normal(7, RILL_F64, RILL_SHAPE(6, 4)),
                normal(8, RILL_F64, RILL_SHAPE(6, 3, 4)));
}
END_TEST

/* dL/dW = gy x^T: with gy (3, 4) and x (1, 2, 2) it is 5 * 3 long. */
START_TEST(norms_by_hand)
{
    rill_dtype dtypes[] = { RILL_F32, RILL_F64 };
    for (int i = 0; i < 2; i++) {
        rill_dtype d = dtypes[i];
        rill_tensor *x = rill_from(tape, (double[]){ 1, 2, 2, 0, 0, 0 }, d,
                                   RILL_SHAPE(2, 3));
        rill_tensor *gy = rill_from(tape, (double[]){ 3, 4, 6, 8 }, d,
                                    RILL_SHAPE(2, 2));
        rill_tensor *w = leaf(1, d, RILL_SHAPE(2, 3));
        rill_tensor *b = leaf(1, d, RILL_SHAPE(2));
        rill_tensor *y = rill_linear(tape, x, w, b);
        ck_assert(rill_backward(tape, y, &(rill_backward_opts){ .grad = gy }));
        assert_tensor(rill_sample_grad_norms(tape, w), RILL_SHAPE(2),
                      (double[]){ 15, 0 }, 0);
        assert_tensor(rill_sample_grad_norms(tape, b), RILL_SHAPE(2),
                      (double[]){ 5, 10 }, 0);
        ck_assert_int_eq(rill_dtype_of(rill_sample_grad_norms(tape, w)), d);
        /* one sample without a batch */
        y = rill_linear(tape, rill_reshape(tape, row(x, 0), RILL_SHAPE(3)),
                        w, NULL);
        gy = rill_reshape(tape, row(gy, 0), RILL_SHAPE(2));
        ck_assert(rill_backward(tape, y, &(rill_backward_opts){ .grad = gy }));
        assert_tensor(rill_sample_grad_norms(tape, w), RILL_SHAPE(1),
                      (double[]){ 15 }, 0);
    }
}
END_TEST

START_TEST(norms_of_no_samples_and_of_a_recorded_sweep)
{
    rill_tensor *w = leaf(1, RILL_F64, RILL_SHAPE(2, 3));
    rill_tensor *x = rill_zeros(tape, RILL_F64, RILL_SHAPE(0, 3));
    ck_assert(rill_backward(
        tape, rill_sum(tape, rill_linear(tape, x, w, NULL), NULL), NULL));
    ck_assert_int_eq(rill_numel(rill_sample_grad_norms(tape, w)), 0);
    ASSERT_OK();
    /* the sweep's own products with w are no part of the loss */
    x = leaf(2, RILL_F64, RILL_SHAPE(1, 3));
    rill_tensor *y = rill_linear(tape, x, w, NULL);
    ck_assert(rill_backward(tape, rill_sum(tape, rill_square(tape, y), NULL),
                            &(rill_backward_opts){ .create_graph = true }));
    ASSERT_NEAR(rill_item(rill_sample_grad_norms(tape, w)),
                rill_norm(rill_grad(tape, w)), 1e-14);
}
END_TEST

START_TEST(norms_refuse)
{
    rill_tensor *w = leaf(1, RILL_F64, RILL_SHAPE(3, 3));
    rill_tensor *x = normal(2, RILL_F64, RILL_SHAPE(4, 3));
    ASSERT_REFUSED(rill_sample_grad_norms(tape, NULL),
                   "sample_grad_norms: weight is NULL");
    ASSERT_REFUSED(rill_sample_grad_norms(tape, w),
                   "sample_grad_norms: weight has no gradient: it takes a "
                   "rill_backward of a loss that depends on it");
    rill_tensor *y = rill_linear(tape, x, w, NULL);
    rill_tensor *loss = rill_add(tape, rill_sum(tape, y, NULL),
                                 rill_sum(tape, w, NULL));
    rill_backward(tape, loss, NULL);
    ASSERT_REFUSED(rill_sample_grad_norms(tape, w),
                   "sample_grad_norms: weight is used by sum: only a weight "
                   "or a bias of linear has a gradient by rows");
    rill_backward(tape, rill_sum(tape, rill_linear(tape, w, x, NULL), NULL),
                  NULL);
    ASSERT_REFUSED(rill_sample_grad_norms(tape, rill_named(tape, w, "fc.w")),
                   "sample_grad_norms: fc.w is used by linear: only a weight "
                   "or a bias of linear has a gradient by rows");
    y = rill_linear(tape, rill_slice(tape, x, 0, 0, 2), w, NULL);
    loss = rill_sum(tape, rill_add(tape, rill_sum(tape, y, NULL),
                                   rill_linear(tape, x, w, NULL)), NULL);
    rill_backward(tape, loss, NULL);
    ASSERT_REFUSED(rill_sample_grad_norms(tape, w),
                   "sample_grad_norms: fc.w is used for 2 and for 4 "
                   "samples");
    rill_tensor *alone = leaf(1, RILL_F64, RILL_SCALAR);
    rill_backward(tape, alone, NULL);
    ASSERT_REFUSED(rill_sample_grad_norms(tape, alone),
                   "sample_grad_norms: weight is used by no linear");
}
END_TEST

int main(void)
{
    return HARNESS_RUN("samples", residual_is_the_gradient_of_cross_entropy,
                       residual_by_hand, residual_refuses,
                       norms_equal_a_loop_over_samples,
                       norms_of_a_shared_weight_equal_a_loop, norms_by_hand,
                       norms_of_no_samples_and_of_a_recorded_sweep,
                       norms_refuse);
}
