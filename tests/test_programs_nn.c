/* test_programs_nn.c: programs that train, as a person would write them, on
 * nothing but the public header. Results are held against loops in double
 * that know nothing of rill but the values of the weights. */
#include "harness.h"

#include <pthread.h>

enum { IN = 6, H1 = 5, H2 = 4, OUT = 3 };

struct net {
    rill_nn_linear fc1, fc2, head;
};

static struct net net_new(rill_params *p)
{
    return (struct net){ rill_nn_linear_new(p, "fc1", IN, H1),
                         rill_nn_linear_new(p, "fc2", H1, H2),
                         rill_nn_linear_new(p, "head", H2, OUT) };
}

static rill_tensor *net_forward(rill_tape *t, const struct net *n,
                                const rill_tensor *x)
{
    rill_tensor *h = rill_sigmoid(t, rill_nn_linear_apply(t, &n->fc1, x));
    h = rill_sigmoid(t, rill_nn_linear_apply(t, &n->fc2, h));
    return rill_nn_linear_apply(t, &n->head, h);
}

/* Normal inputs and labels in a row of classes; the same every time. */
static rill_tensor *inputs(rill_dtype dtype, int64_t n, uint64_t seed)
{
    return normal(seed, dtype, RILL_SHAPE(n, IN));
}

static rill_tensor *labels(int64_t n)
{
    rill_tensor *y = rill_empty(tape, RILL_I32, RILL_SHAPE(n));
    int32_t *label = rill_write(y); /* NULL on a failed tape */
    for (int32_t i = 0; label && i < n; i++)
        label[i] = i % OUT;
    return y;
}

/* ---- the same in loops -------------------------------------------------- */

static void hand_linear(const rill_nn_linear *l, const double *x, double *y)
{
    int64_t out = rill_dim(l->weight, 0), in = rill_dim(l->weight, 1);
    for (int64_t o = 0; o < out; o++) {
        y[o] = rill_at(l->bias, o);
        for (int64_t i = 0; i < in; i++)
            y[o] += rill_at(l->weight, o * in + i) * x[i];
    }
}

static void hand_sigmoid(double *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = 1 / (1 + exp(-x[i]));
}

static void hand_forward(const struct net *n, const double *x, double *h1,
                         double *h2, double *z)
{
    hand_linear(&n->fc1, x, h1);
    hand_sigmoid(h1, H1);
    hand_linear(&n->fc2, h1, h2);
    hand_sigmoid(h2, H2);
    hand_linear(&n->head, h2, z);
}

/* The gradient in a layer's input, from that in its output. */
static void hand_backward(const rill_nn_linear *l, const double *gy,
                          double *gx)
{
    int64_t out = rill_dim(l->weight, 0), in = rill_dim(l->weight, 1);
    for (int64_t i = 0; i < in; i++) {
        gx[i] = 0;
        for (int64_t o = 0; o < out; o++)
            gx[i] += gy[o] * rill_at(l->weight, o * in + i);
    }
}

/* All values of a parameter set in a row; the caller frees them. */
static double *hand_values(const rill_params *p)
{
    double *all = calloc((size_t)rill_params_count(p), sizeof *all), *to = all;
    for (int k = 0; k < rill_params_len(p); k++)
        for (int64_t i = 0; i < rill_numel(rill_params_at(p, k)); i++)
            *to++ = rill_at(rill_params_at(p, k), i);
    return all;
}

/* ---- evaluate without recording ----------------------------------------- */

START_TEST(evaluate)
{
    enum { N = 40 };
    rill_params *params = rill_params_new(RILL_F64, 1);
    struct net net = net_new(params);
    rill_tensor *x_test = inputs(RILL_F64, N, 2), *y_test = labels(N);
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    rill_tape_record(tape, false);
    rill_tensor *logits = net_forward(tape, &net, x_test);
    fprintf(out, "accuracy %.4f\n", rill_accuracy(logits, y_test));
    rill_tape_record(tape, true);

    fclose(out);
    int right = 0;
    for (int i = 0; i < N; i++) {
        double h1[H1], h2[H2], z[OUT];
        hand_forward(&net, rill_f64(x_test) + i * IN, h1, h2, z);
        int best = 0;
        for (int c = 0; c < OUT; c++) {
            ASSERT_NEAR(rill_at(logits, i * OUT + c), z[c], 1e-13);
            best = z[c] > z[best] ? c : best;
        }
        right += best == i % OUT;
    }
    char want[32];
    snprintf(want, sizeof want, "accuracy %.4f\n", (double)right / N);
    ck_assert_str_eq(text, want);
    ASSERT_OK();
    ASSERT_REFUSED(rill_backward(tape, rill_sum(tape, logits, NULL), NULL),
                   "backward: the loss depends on no leaf: input 0 of sum, "
                   "made by linear, was computed while nothing was recorded: "
                   "in rill_tape_record(tape, false), or by a backward "
                   "without create_graph");
    free(text);
    rill_params_free(params);
}
END_TEST

/* ---- freeze the first layer; two learning rates for the rest ------------ */

/* AdamW's first step is lr g / (|g| + eps): by its rate for every element. */
static void assert_moved(const rill_tensor *w, const double *before,
                         double lr)
{
    rill_tensor *g = rill_grad(tape, w);
    ck_assert_ptr_nonnull(g);
    for (int64_t i = 0; i < rill_numel(w); i++)
        ASSERT_NEAR(rill_at(w, i), before[i] - lr * rill_at(g, i) /
                                       (fabs(rill_at(g, i)) + 1e-8), 1e-13);
}

START_TEST(freeze_and_groups)
{
    rill_params *params = rill_params_new(RILL_F64, 1);
    struct net net = net_new(params);
    double *before = hand_values(params);

    rill_params_freeze(params, "fc1.");
    rill_optim *opt = rill_adamw_new(params, &(rill_adamw_opts){ .lr = 1e-3 });
    rill_optim_group(opt, "head.", &(rill_group_opts){ .lr = 1e-2 });

    rill_tensor *loss = rill_cross_entropy(
        tape, net_forward(tape, &net, inputs(RILL_F64, 8, 2)), labels(8),
        NULL);
    rill_backward(tape, loss, NULL);
    ck_assert_msg(rill_optim_step(opt, tape), "%s", rill_optim_error(opt));
    const double *fc2 = before + H1 * IN + H1, *head = fc2 + H2 * H1 + H2;
    for (int i = 0; i < H1 * IN; i++)
        ck_assert(rill_at(net.fc1.weight, i) == before[i]);
    for (int i = 0; i < H1; i++)
        ck_assert(rill_at(net.fc1.bias, i) == before[H1 * IN + i]);
    ck_assert_ptr_null(rill_grad(tape, net.fc1.weight));
    assert_moved(net.fc2.weight, fc2, 1e-3);
    assert_moved(net.fc2.bias, fc2 + H2 * H1, 1e-3);
    assert_moved(net.head.weight, head, 1e-2);
    assert_moved(net.head.bias, head + OUT * H2, 1e-2);
    ASSERT_OK();
    free(before);
    rill_optim_free(opt);
    rill_params_free(params);
}
END_TEST

/* ---- four micro-batches, one step, the same gradient as one batch ------- */

START_TEST(micro_batches)
{
    enum { PART = 8, ROWS = 4 * PART };
    rill_params *params = rill_params_new(RILL_F64, 1);
    struct net net = net_new(params);
    rill_optim *opt = rill_sgd_new(params, &(rill_sgd_opts){ .lr = 0.5 });
    rill_tape *data = rill_tape_new(NULL);
    rill_tensor *x[4], *y[4];
    /* one class for all: a gradient that is long enough to be clipped */
    rill_tensor *all = rill_detach(data, inputs(RILL_F64, ROWS, 2));
    all = rill_copy(data, rill_data(all), RILL_F64, rill_shape_of(all));
    rill_tensor *all_y = rill_full(data, 1, RILL_I32, RILL_SHAPE(ROWS));
    for (int k = 0; k < 4; k++) {
        x[k] = rill_slice(data, all, 0, k * PART, (k + 1) * PART);
        y[k] = rill_slice(data, all_y, 0, k * PART, (k + 1) * PART);
    }
    rill_init_constant(params, net.head.bias, 0);
    ((double *)rill_write(net.head.bias))[1] = -9;
    rill_tape_reset(tape);
    rill_backward(tape, rill_cross_entropy(
        tape, net_forward(tape, &net, all), all_y, NULL), NULL);
    double *want = hand_values(params), norm = 0, *w = want;
    for (int p = 0; p < rill_params_len(params); p++)
        norm += pow(rill_norm(rill_grad(tape, rill_params_at(params, p))), 2);
    norm = sqrt(norm);
    ck_assert_double_gt(norm, 1.0);
    for (int p = 0; p < rill_params_len(params); p++) {
        rill_tensor *g = rill_grad(tape, rill_params_at(params, p));
        for (int64_t i = 0; i < rill_numel(g); i++)
            *w++ -= 0.5 * rill_at(g, i) / (norm + 1e-6);
    }
    rill_tape_reset(tape);
    double rows_in_all_four = ROWS;

    for (int k = 0; k < 4; k++) {
        rill_tensor *loss = rill_cross_entropy(
            tape, net_forward(tape, &net, x[k]), y[k],
            &(rill_cross_entropy_opts){ .denominator = rows_in_all_four });
        rill_backward(tape, loss, NULL);
        rill_params_accumulate(params, tape);
        rill_tape_reset(tape);
    }
    double clipped = rill_clip_grad_norm(params, NULL, 1.0);
    rill_optim_step(opt, NULL);

    ASSERT_OK();
    ASSERT_NEAR(clipped, norm, 1e-12);
    double *got = hand_values(params);
    for (int64_t i = 0; i < rill_params_count(params); i++)
        ASSERT_NEAR(got[i], want[i], 1e-12);
    free(got);
    free(want);
    rill_tape_free(data);
    rill_optim_free(opt);
    rill_params_free(params);
}
END_TEST

/* ---- the same weights used twice; two networks, two optimisers ---------- */

START_TEST(two_networks)
{
    enum { N = 4, A = 3, B = 2 };
    rill_params *e_params = rill_params_new(RILL_F64, 1);
    rill_params *d_params = rill_params_new(RILL_F64, 2);
    rill_nn_linear enc = rill_nn_linear_new(e_params, "enc", A, B);
    rill_nn_linear judge = rill_nn_linear_new(d_params, "judge", B, 1);
    rill_optim *e_opt = rill_sgd_new(e_params, &(rill_sgd_opts){ .lr = 1 });
    rill_optim *d_opt = rill_sgd_new(d_params, &(rill_sgd_opts){ .lr = 0.1 });
    rill_tensor *left = normal(3, RILL_F64, RILL_SHAPE(N, A));
    rill_tensor *right = normal(4, RILL_F64, RILL_SHAPE(N, A));
    double *e_before = hand_values(e_params), *u = hand_values(d_params);

    rill_tensor *a = rill_nn_linear_apply(tape, &enc, left);
    rill_tensor *b = rill_nn_linear_apply(tape, &enc, right);
    rill_tensor *d_loss = rill_sum(tape, rill_square(tape,
        rill_nn_linear_apply(tape, &judge, rill_sub(tape, a, b))), NULL);
    rill_backward(tape, d_loss, NULL);
    rill_optim_step(d_opt, tape);

    /* row i: e = W (l - r), o = <u, e> + c, the loss is the sum of o^2 */
    double dW[B][A] = { { 0 } }, du[B] = { 0 }, dc = 0;
    for (int i = 0; i < N; i++) {
        double l_r[A], e[B] = { 0 }, o = u[B];
        for (int k = 0; k < A; k++)
            l_r[k] = rill_at(left, i * A + k) - rill_at(right, i * A + k);
        for (int j = 0; j < B; j++) {
            for (int k = 0; k < A; k++)
                e[j] += e_before[j * A + k] * l_r[k];
            o += u[j] * e[j];
        }
        for (int j = 0; j < B; j++) {
            du[j] += 2 * o * e[j];
            for (int k = 0; k < A; k++)
                dW[j][k] += 2 * o * u[j] * l_r[k];
        }
        dc += 2 * o;
    }
    assert_tensor(rill_grad(tape, enc.weight), RILL_SHAPE(B, A), dW[0], 1e-13);
    assert_tensor(rill_grad(tape, enc.bias), RILL_SHAPE(B), (double[B]){ 0 },
                  1e-13);
    for (int j = 0; j < B; j++)
        ASSERT_NEAR(rill_at(judge.weight, j), u[j] - 0.1 * du[j], 1e-13);
    ASSERT_NEAR(rill_item(judge.bias), u[B] - 0.1 * dc, 1e-13);
    double *e_after = hand_values(e_params);
    ck_assert_mem_eq(e_after, e_before, sizeof *e_after * (A * B + B));
    /* the other network's turn: the judge stays */
    rill_tape_reset(tape);
    left = normal(3, RILL_F64, RILL_SHAPE(N, A));
    double c_before = rill_item(judge.bias);
    rill_backward(tape, rill_sum(tape, rill_nn_linear_apply(tape, &judge,
        rill_nn_linear_apply(tape, &enc, left)), NULL), NULL);
    rill_optim_step(e_opt, tape);
    ck_assert(rill_item(judge.bias) == c_before);
    ASSERT_NEAR(rill_at(enc.bias, 0),
                e_before[A * B] - N * rill_at(judge.weight, 0), 1e-13);
    free(e_before);
    free(e_after);
    free(u);
    rill_optim_free(e_opt);
    rill_optim_free(d_opt);
    rill_params_free(e_params);
    rill_params_free(d_params);
}
END_TEST

/* ---- which pixels mattered ---------------------------------------------- */

START_TEST(which_pixels)
{
    rill_params *params = rill_params_new(RILL_F64, 1);
    struct net net = net_new(params);
    rill_tensor *image = inputs(RILL_F64, 1, 5), *heat;
    int k = 2;

    rill_tensor *x = rill_watch(tape, image);
    rill_tensor *score = rill_slice(tape, net_forward(tape, &net, x), 1, k,
                                    k + 1);
    rill_backward(tape, score, NULL);
    heat = rill_grad(tape, x);

    double h1[H1], h2[H2], z[OUT], g2[H2], g1[H1], want[IN];
    hand_forward(&net, rill_f64(image), h1, h2, z);
    hand_backward(&net.head, (double[OUT]){ 0, 0, 1 }, g2);
    for (int i = 0; i < H2; i++)
        g2[i] *= h2[i] * (1 - h2[i]);
    hand_backward(&net.fc2, g2, g1);
    for (int i = 0; i < H1; i++)
        g1[i] *= h1[i] * (1 - h1[i]);
    hand_backward(&net.fc1, g1, want);
    ASSERT_NEAR(rill_item(score), z[k], 1e-13);
    assert_tensor(heat, RILL_SHAPE(1, IN), want, 1e-14);
    rill_params_free(params);
}
END_TEST

/* ---- what went wrong? --------------------------------------------------- */

START_TEST(what_went_wrong)
{
    rill_params *params = rill_params_new(RILL_F32, 1);
    rill_nn_linear fc2 = rill_nn_linear_new(params, "fc2", 128, 10);
    rill_tensor *x = rill_zeros(tape, RILL_F32, RILL_SHAPE(32, 64));
    rill_tensor *loss = rill_cross_entropy(
        tape, rill_nn_linear_apply(tape, &fc2, x), labels(32), NULL);
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!rill_backward(tape, loss, NULL))
        fprintf(out, "%s\n", rill_error(tape));

    fclose(out);
    ck_assert_str_eq(text, "linear: x is [32, 64] but weight is [10, 128]: "
                           "64 inputs given, 128 wanted (layer \"fc2\")\n");
    free(text);
    rill_params_free(params);
}
END_TEST

/* ---- four threads, four tapes, one set of weights ----------------------- */

enum { PARTS = 4, PART_ROWS = 16 };

struct part {
    rill_tape *tape;
    const struct net *net;
    rill_tensor *x, *y;
};

static void *part_backward(void *arg)
{
    struct part *p = arg;
    rill_tensor *loss = rill_cross_entropy(
        p->tape, net_forward(p->tape, p->net, p->x), p->y,
        &(rill_cross_entropy_opts){ .denominator = PARTS * PART_ROWS });
    rill_backward(p->tape, loss, NULL);
    return NULL;
}

/* Trains for some steps, in as many threads as parts or in one; the weights
 * at the end, which the caller frees. */
static double *train_in_parts(bool threads)
{
    rill_params *params = rill_params_new(RILL_F32, 1);
    struct net net = net_new(params);
    rill_optim *opt = rill_adam_new(params, &(rill_adam_opts){ .lr = 0.01 });
    struct part part[PARTS];
    for (int k = 0; k < PARTS; k++)
        part[k] = (struct part){ rill_tape_new(NULL), &net,
                                 inputs(RILL_F32, PART_ROWS, 10 + k),
                                 labels(PART_ROWS) };

    for (int step = 0; step < 5; step++) {
        pthread_t thread[PARTS];
        for (int k = 0; k < PARTS; k++)
            if (!threads)
                part_backward(&part[k]);
            else
                ck_assert_int_eq(pthread_create(&thread[k], NULL,
                                                part_backward, &part[k]), 0);
        for (int k = 0; k < PARTS; k++) {
            if (threads)
                pthread_join(thread[k], NULL);
            rill_params_accumulate(params, part[k].tape);
            rill_tape_reset(part[k].tape);
        }
        rill_optim_step(opt, NULL);
    }

    ck_assert_pstr_eq(rill_params_error(params), NULL);
    ck_assert_pstr_eq(rill_optim_error(opt), NULL);
    for (int k = 0; k < PARTS; k++) {
        ck_assert_pstr_eq(rill_error(part[k].tape), NULL);
        rill_tape_free(part[k].tape);
    }
    double *values = hand_values(params);
    rill_optim_free(opt);
    rill_params_free(params);
    return values;
}

START_TEST(four_threads)
{
    rill_params *params = rill_params_new(RILL_F32, 1); /* how it began */
    net_new(params);
    size_t size = (size_t)rill_params_count(params) * sizeof(double);
    double *start = hand_values(params);
    double *one = train_in_parts(false), *four = train_in_parts(true);
    ck_assert_mem_eq(four, one, size);
    ck_assert_mem_ne(four, start, size);
    free(start);
    free(one);
    free(four);
    rill_params_free(params);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("programs_nn", evaluate, freeze_and_groups,
                       micro_batches, two_networks, which_pixels,
                       what_went_wrong, four_threads);
}
