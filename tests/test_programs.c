/* test_programs.c: what a person does with rill in the first weeks, as that
 * person would write it, on nothing but the public header. Each result is
 * held against numbers found without rill. Programs with layers and
 * optimisers are in test_programs_nn.c. */
#include "harness.h"

/* exp(z[i]) / the sum of them all, for n numbers */
static void hand_softmax(const double *z, int n, double *p)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += p[i] = exp(z[i]);
    for (int i = 0; i < n; i++)
        p[i] /= sum;
}

/* ---- look at one gradient ----------------------------------------------- */

START_TEST(one_gradient)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    rill_tensor *x = rill_watch(tape, rill_from(tape, (double[]){ 1, 2, 3 },
                                                RILL_F64, RILL_SHAPE(3)));
    rill_tensor *y = rill_sum(tape, rill_square(tape, x), NULL);
    rill_backward(tape, y, NULL);
    rill_print(out, rill_grad(tape, x));

    fclose(out);
    ck_assert_str_eq(text, "[2. 4. 6.]\n");
    ck_assert(rill_item(y) == 14);
    free(text);
}
END_TEST

/* ---- the derivation of the loss, step by step and fused ----------------- */

START_TEST(loss_by_hand_and_fused)
{
    const double logits[] = { 1.5, 0, -3, 0.2, 2.5 };
    rill_tensor *z = rill_watch(tape, rill_from(tape, logits, RILL_F64,
                                                RILL_SHAPE(5)));
    rill_tensor *target = rill_full(tape, 4, RILL_I32, RILL_SCALAR);

    rill_tensor *p = rill_softmax(tape, z, -1);
    rill_tensor *byhand =
        rill_neg(tape, rill_log(tape, rill_slice(tape, p, 0, 4, 5)));
    rill_tensor *fused = rill_cross_entropy(tape, z, target, NULL);

    double want[5];
    hand_softmax(logits, 5, want);
    assert_tensor(p, RILL_SHAPE(5), want, 1e-14);
    ASSERT_NEAR(rill_item(byhand), -log(want[4]), 1e-14);
    ASSERT_NEAR(rill_item(fused), -log(want[4]), 1e-14);
    want[4] -= 1; /* softmax - one-hot, from either */
    rill_backward(tape, byhand, NULL);
    assert_tensor(rill_grad(tape, z), RILL_SHAPE(5), want, 1e-14);
    rill_backward(tape, fused, NULL);
    assert_tensor(rill_grad(tape, z), RILL_SHAPE(5), want, 1e-14);
}
END_TEST

/* ---- a Hessian-vector product ------------------------------------------- */

START_TEST(hessian_vector_product)
{
    enum { N = 5, F = 3 };
    const double rows[N][F] = { { 1, 2, -1 }, { 0.5, -1, 3 }, { -2, 0, 1 },
                                { 1, 1, 1 }, { 0, -0.5, 2 } };
    const double labels[N] = { 1, 0, 1, 1, 0 };
    const double weights[F] = { 0.3, -0.2, 0.1 }, along[F] = { 1, -2, 0.5 };
    rill_tensor *x = rill_from(tape, rows[0], RILL_F64, RILL_SHAPE(N, F));
    rill_tensor *y = rill_from(tape, labels, RILL_F64, RILL_SHAPE(N, 1));
    rill_tensor *v = rill_from(tape, along, RILL_F64, RILL_SHAPE(F, 1));
    rill_tensor *w = rill_watch(
        tape, rill_from(tape, weights, RILL_F64, RILL_SHAPE(F, 1)));
    rill_tensor *loss = rill_binary_cross_entropy_with_logits(
        tape, rill_matmul(tape, x, w, NULL), y,
        &(rill_binary_cross_entropy_opts){ .reduction = RILL_SUM });

    rill_backward(tape, loss, &(rill_backward_opts){ .create_graph = true });
    rill_tensor *g = rill_grad(tape, w);
    rill_tensor *gv = rill_sum(tape, rill_mul(tape, g, v), NULL);
    rill_backward(tape, gv, NULL);
    rill_tensor *hv = rill_grad(tape, w);

    /* H v = sum over the rows of s (1 - s) x <x, v>, s = sigmoid(<x, w>) */
    double want[F] = { 0 };
    for (int i = 0; i < N; i++) {
        double a = 0, b = 0;
        for (int j = 0; j < F; j++) {
            a += rows[i][j] * weights[j];
            b += rows[i][j] * along[j];
        }
        double s = 1 / (1 + exp(-a));
        for (int j = 0; j < F; j++)
            want[j] += s * (1 - s) * rows[i][j] * b;
    }
    assert_tensor(hv, RILL_SHAPE(F, 1), want, 1e-13);
}
END_TEST

/* ---- an op of one's own ------------------------------------------------- */

static void swish_backward(rill_tape *t, const rill_node *n,
                           const rill_tensor *gy, const rill_tensor **gx)
{
    const rill_tensor *x = rill_node_input(n, 0);
    rill_tensor *s = rill_sigmoid(t, x);
    rill_tensor *slope = rill_mul(t, s, rill_add_scalar(
        t, rill_mul(t, x, rill_rsub(t, s, 1)), 1)); /* s (1 + x (1 - s)) */
    gx[0] = rill_mul(t, gy, slope);
}

static const rill_op swish = { .name = "swish", .formula = "x sigmoid(x)",
                               .backward = swish_backward };

static rill_tensor *swish_of(rill_tape *t, const rill_tensor *x)
{
    rill_tensor *y = rill_like(t, x);
    double *to = rill_write(y);
    for (int64_t i = 0; i < rill_numel(y); i++)
        to[i] = rill_at(x, i) / (1 + exp(-rill_at(x, i)));
    return rill_record(t, &swish, y, (const rill_tensor *[]){ x }, 1, NULL);
}

static rill_tensor *swish_checked(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    return swish_of(t, x[0]);
}

/* The same with a factor forgotten: the check has to find it. */
static void wrong_backward(rill_tape *t, const rill_node *n,
                           const rill_tensor *gy, const rill_tensor **gx)
{
    gx[0] = rill_mul(t, gy, rill_sigmoid(t, rill_node_input(n, 0)));
}

static rill_tensor *wrong_checked(rill_tape *t, rill_tensor **x, void *user)
{
    static const rill_op wrong = { .name = "wrong",
                                   .backward = wrong_backward };
    (void)user;
    return rill_record(t, &wrong, rill_detach(t, swish_of(t, x[0])),
                       (const rill_tensor *[]){ x[0] }, 1, NULL);
}

START_TEST(op_of_ones_own)
{
    const rill_tensor *x = normal(1, RILL_F64, RILL_SHAPE(3, 4));

    bool right = rill_gradcheck(
        tape, swish_checked, &x, 1,
        &(rill_gradcheck_opts){ .second_order = true });

    ck_assert_msg(right, "%s", rill_error(tape));
    rill_tensor *one = rill_watch(tape, rill_full(tape, 1, RILL_F64,
                                                  RILL_SCALAR));
    rill_tensor *y = swish_of(tape, one);
    rill_backward(tape, y, NULL);
    double s = 1 / (1 + exp(-1));
    ASSERT_NEAR(rill_item(y), s, 1e-15);
    ASSERT_NEAR(rill_item(rill_grad(tape, one)), s * (2 - s), 1e-15);
    ck_assert(!rill_gradcheck(tape, wrong_checked, &x, 1, NULL));
    ck_assert_pstr_eq(strstr(rill_error(tape), "gradcheck: wrong: "),
                      rill_error(tape));
}
END_TEST

/* ---- data that is already in memory ------------------------------------- */

START_TEST(data_in_memory)
{
    enum { N = 4 };
    static float pixels[N * 784];
    double want = 0, count = N;
    for (int i = 0; i < N * 784; i++)
        want += pixels[i] = (float)(i % 255) / 256;
    int n = N;
    size_t before = rill_tape_bytes(tape);

    rill_tensor *x = rill_view(tape, pixels, RILL_F32, RILL_SHAPE(n, 784));

    ck_assert_ptr_eq(rill_data(x), pixels);
    ck_assert_uint_lt(rill_tape_bytes(tape) - before, sizeof pixels);
    ck_assert_int_eq(rill_dim(x, 0), N);
    ck_assert_int_eq(rill_dim(x, 1), 784);
    ASSERT_NEAR(rill_item(rill_mean(tape, x, NULL)), want / (count * 784),
                1e-7);
}
END_TEST

/* ---- a loss of one's own from the ops there are ------------------------- */

START_TEST(focal_loss)
{
    enum { N = 3, C = 4 };
    const double z[N][C] = { { 2, 0.5, -1, 0 }, { 0, 0, 3, 1 },
                             { -1, 1, 0.2, 0.3 } };
    const int32_t labels[N] = { 0, 3, 1 };
    double gamma = 2;
    rill_tensor *logits = rill_watch(
        tape, rill_from(tape, z[0], RILL_F64, RILL_SHAPE(N, C)));
    rill_tensor *y = rill_copy(tape, labels, RILL_I32, RILL_SHAPE(N));
    rill_tensor *ce = rill_cross_entropy(
        tape, logits, y, &(rill_cross_entropy_opts){ .reduction = RILL_NONE });

    rill_tensor *p = rill_softmax(tape, logits, -1);
    rill_tensor *p_target = rill_sum(
        tape, rill_mul(tape, p, rill_one_hot(tape, y, C, RILL_F64)),
        &(rill_reduce_opts){ .dims = RILL_DIMS(-1) });
    rill_tensor *focal = rill_mean(
        tape, rill_mul(tape, rill_pow(tape, rill_rsub(tape, p_target, 1),
                                      gamma), ce), NULL);

    /* with q = p[y]: the loss is -(1 - q)^2 ln q,
     * dq/dz[c] = q ([c = y] - p[c]) */
    rill_backward(tape, focal, NULL);
    double loss = 0, want[N][C];
    for (int i = 0; i < N; i++) {
        double soft[C];
        hand_softmax(z[i], C, soft);
        double q = soft[labels[i]];
        double slope = 2 * (1 - q) * log(q) - (1 - q) * (1 - q) / q;
        loss -= (1 - q) * (1 - q) * log(q) / N;
        for (int c = 0; c < C; c++)
            want[i][c] = slope * q * ((c == labels[i]) - soft[c]) / N;
    }
    ASSERT_NEAR(rill_item(focal), loss, 1e-14);
    assert_tensor(rill_grad(tape, logits), RILL_SHAPE(N, C), want[0], 1e-14);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("programs", one_gradient, loss_by_hand_and_fused,
                       hessian_vector_product, op_of_ones_own, data_in_memory,
                       focal_loss);
}
