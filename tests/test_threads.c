/* Threads: their number changes no bit, of products, of loops, of a whole
 * training; tapes on threads of their own share parameters and the team. */
#include "harness.h"

#include <pthread.h>

static const int counts[] = { 1, 2, 3, 8 };
enum { COUNTS = sizeof counts / sizeof *counts };

static size_t bytes_of(const rill_tensor *x)
{
    return (size_t)rill_numel(x) * (rill_dtype_of(x) == RILL_F64 ? 8 : 4);
}

static void keep_or_compare(void *kept, const rill_tensor *x, bool first)
{
    ASSERT_OK();
    if (first)
        memcpy(kept, rill_data(x), bytes_of(x));
    else
        ck_assert_mem_eq(kept, rill_data(x), bytes_of(x));
}

START_TEST(sets_and_reads)
{
    rill_set_threads(3);
    ck_assert_int_eq(rill_threads(), 3);
    rill_set_threads(0);
    ck_assert_int_eq(rill_threads(), 1);
    rill_set_threads(1000);
    ck_assert_int_eq(rill_threads(), 64);
}
END_TEST

/* Products large enough to be cut, by rows and by columns, of sides that no
 * part divides; and every way to store an operand. */
START_TEST(products_are_the_same_bits)
{
    static const int64_t shapes[][3] = {
        { 64, 784, 256 }, { 300, 300, 301 }, { 1000, 129, 77 },
        { 77, 129, 1000 }, { 2048, 64, 65 },
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int way = 0; way < 8; way++) {
            int64_t m = shapes[s][0], k = shapes[s][1], n = shapes[s][2];
            rill_dtype dtype = way & 1 ? RILL_F64 : RILL_F32;
            rill_matmul_opts o = { way & 2, way & 4 };
            rill_tensor *a = normal(1, dtype, o.transpose_a
                                                  ? RILL_SHAPE(k, m)
                                                  : RILL_SHAPE(m, k));
            rill_tensor *b = normal(2, dtype, o.transpose_b
                                                  ? RILL_SHAPE(n, k)
                                                  : RILL_SHAPE(k, n));
            void *kept = malloc((size_t)(m * n) * 8);
            for (int i = 0; i < COUNTS; i++) {
                rill_set_threads(counts[i]);
                rill_tensor *c = rill_matmul(tape, a, b, &o);
                keep_or_compare(kept, c, i == 0);
                double want = 0; /* one element, by hand */
                for (int64_t p = 0; p < k; p++)
                    want += rill_at(a, o.transpose_a ? p * m + m - 1
                                                     : (m - 1) * k + p) *
                            rill_at(b, o.transpose_b ? (n - 1) * k + p
                                                     : p * n + n - 1);
                ASSERT_NEAR(rill_at(c, m * n - 1), want,
                            dtype == RILL_F32 ? 1e-4 : 1e-12);
            }
            free(kept);
            rill_tape_reset(tape);
        }
}
END_TEST

START_TEST(loops_are_the_same_bits)
{
    enum { ROWS = 1023, COLUMNS = 517 };
    int32_t y[ROWS];
    for (int i = 0; i < ROWS; i++)
        y[i] = i * 7 % COLUMNS;
    float *kept = malloc(sizeof(float) * ROWS * COLUMNS);
    for (int i = 0; i < COUNTS; i++) {
        rill_set_threads(counts[i]);
        rill_tensor *x = rill_watch(
            tape, normal(5, RILL_F32, RILL_SHAPE(ROWS, COLUMNS)));
        rill_tensor *t = rill_view(tape, y, RILL_I32, RILL_SHAPE(ROWS));
        rill_tensor *p = rill_softmax(tape, rill_sigmoid(tape, x), 1);
        rill_tensor *loss = rill_add(
            tape, rill_cross_entropy(tape, x, t, NULL),
            rill_sum(tape, rill_square(tape, p), NULL));
        ck_assert(rill_backward(tape, loss, NULL));
        keep_or_compare(kept, rill_grad(tape, x), i == 0);
        rill_tape_reset(tape);
    }
    free(kept);
}
END_TEST

/* ---- a whole training --------------------------------------------------- */

enum { BATCH = 96, IN = 300, HIDDEN = 200, CLASSES = 10, STEPS = 5 };

static void train(rill_tape *t, rill_params *net, float *weights)
{
    rill_nn_mlp mlp = rill_nn_mlp_new(
        net, "mlp", (int64_t[]){ IN, HIDDEN, HIDDEN, CLASSES }, 4,
        &(rill_nn_mlp_opts){ .activation = rill_relu, .dropout = 0.1 });
    rill_optim *opt = rill_adamw_new(net, &(rill_adamw_opts){ .lr = 1e-2 });
    rill_rng r = { .seed = 9 };
    rill_tape_train(t, true);
    for (int step = 0; step < STEPS; step++) {
        rill_tensor *x = rill_normal(t, &r, 0, 1, RILL_F32,
                                     RILL_SHAPE(BATCH, IN));
        rill_tensor *y = rill_empty(t, RILL_I32, RILL_SHAPE(BATCH));
        for (int i = 0; i < BATCH; i++)
            ((int32_t *)rill_write(y))[i] = i % CLASSES;
        rill_tensor *z = rill_nn_mlp_apply(t, &mlp, x);
        rill_backward(t, rill_cross_entropy(t, z, y, NULL), NULL);
        rill_optim_step(opt, t);
        rill_tape_reset(t);
    }
    if (!rill_error(t))
        memcpy(weights, rill_data(rill_params_at(net, 0)),
               sizeof(float) * IN * HIDDEN);
    rill_optim_free(opt);
}

static float kept[IN * HIDDEN], again[4][IN * HIDDEN];

START_TEST(a_training_is_the_same_bits)
{
    for (int i = 0; i < COUNTS; i++) {
        rill_params *net = rill_params_new(RILL_F32, 7);
        rill_tape *t = rill_tape_new(NULL);
        rill_set_threads(counts[i]);
        train(t, net, i ? again[0] : kept);
        ck_assert_pstr_eq(rill_error(t), NULL);
        if (i)
            ck_assert_mem_eq(kept, again[0], sizeof kept);
        rill_tape_free(t);
        rill_params_free(net);
    }
}
END_TEST

static void *train_alone(void *weights)
{
    rill_params *net = rill_params_new(RILL_F32, 7);
    rill_tape *t = rill_tape_new(NULL);
    train(t, net, weights);
    rill_tape_free(t);
    rill_params_free(net);
    return NULL;
}

/* Four trainings at once, which also contend for the team. */
START_TEST(four_trainings_at_once)
{
    pthread_t thread[4];
    rill_set_threads(2);
    train_alone(kept);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(
            pthread_create(&thread[i], NULL, train_alone, again[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        ck_assert_mem_eq(kept, again[i], sizeof kept);
    }
}
END_TEST

int main(void)
{
    return HARNESS_RUN("threads", sets_and_reads, products_are_the_same_bits,
                       loops_are_the_same_bits, a_training_is_the_same_bits,
                       four_trainings_at_once);
}
