/* Threads: their number changes no bit, of products, of loops, of a whole
 * training; tapes on threads of their own share parameters and the team. */
#include "harness.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* First of all tests: nobody has asked for the number yet. */
START_TEST(reads_the_environment)
{
    setenv("RILL_NUM_THREADS", "3", 1);
    setenv("OMP_NUM_THREADS", "5", 1);
    ck_assert_int_eq(rill_threads(), 3);
}
END_TEST

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
    enum { LINES = 1023, COLUMNS = 517 };
    int32_t y[LINES];
    for (int i = 0; i < LINES; i++)
        y[i] = i * 7 % COLUMNS;
    float *kept = malloc(sizeof(float) * LINES * COLUMNS);
    for (int i = 0; i < COUNTS; i++) {
        rill_set_threads(counts[i]);
        rill_tensor *x = rill_watch(
            tape, normal(5, RILL_F32, RILL_SHAPE(LINES, COLUMNS)));
        rill_tensor *t = rill_view(tape, y, RILL_I32, RILL_SHAPE(LINES));
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

/* Large enough that products and loops are cut, in whole batches. */
enum { ROWS = 240, IN = 300, HIDDEN = 160, CLASSES = 10, BATCH = 192,
       EPOCHS = 3 };

/* Random rows of CLASSES classes. */
static rill_dataset *data(rill_rng *r)
{
    int32_t y[ROWS];
    double *x = malloc(sizeof *x * ROWS * IN);
    for (int i = 0; i < ROWS * IN; i++)
        x[i] = rill_rng_normal(r);
    for (int i = 0; i < ROWS; i++)
        y[i] = i % CLASSES;
    rill_dataset *d = rill_dataset_from(x, y, ROWS, IN, CLASSES, RILL_F32);
    free(x);
    return d;
}

/* All of a set's numbers, which the caller frees. */
static float *weights_of(const rill_params *net)
{
    float *all = malloc(sizeof *all * (size_t)rill_params_count(net));
    float *to = all;
    for (int i = 0; i < rill_params_len(net); i++) {
        const rill_tensor *w = rill_params_at(net, i);
        memcpy(to, rill_data(w), bytes_of(w));
        to += rill_numel(w);
    }
    return all;
}

typedef struct {
    uint64_t seed;
    float *weights; /* after the last epoch; NULL after an error */
    size_t size;    /* of them, in bytes */
} training;

static void *train(void *context)
{
    training *w = context;
    rill_rng r = { .seed = w->seed };
    rill_dataset *d = data(&r);
    rill_params *net = rill_params_new(RILL_F32, w->seed);
    rill_nn_mlp mlp = rill_nn_mlp_new(
        net, "mlp", (int64_t[]){ IN, HIDDEN, HIDDEN, CLASSES }, 4,
        &(rill_nn_mlp_opts){ .activation = rill_relu, .dropout = 0.1,
                             .layer_norm = true });
    rill_optim *opt = rill_adamw_new(net, &(rill_adamw_opts){ .lr = 1e-3 });
    rill_tape *t = rill_tape_new(NULL);
    rill_tape_train(t, true);
    bool ok = true;
    /* under valgrind or qemu an epoch takes ten seconds */
    int epochs = getenv("RILL_RUN") ? 1 : EPOCHS;
    for (int epoch = 0; epoch < epochs; epoch++) {
        ok = rill_dataset_shuffle(d, &r) && ok;
        for (int64_t i = 0; i < rill_dataset_batches(d, BATCH); i++) {
            rill_tensor *x, *y;
            rill_dataset_batch(d, t, i, BATCH, &x, &y);
            rill_tensor *z = rill_nn_mlp_apply(t, &mlp, x);
            rill_backward(t, rill_cross_entropy(t, z, y, NULL), NULL);
            rill_clip_grad_norm(net, t, 0.5);
            ok = rill_optim_step(opt, t) && ok;
            rill_tape_reset(t);
        }
    }
    w->size = sizeof(float) * (size_t)rill_params_count(net);
    w->weights = ok ? weights_of(net) : NULL;
    rill_tape_free(t);
    rill_optim_free(opt);
    rill_params_free(net);
    rill_dataset_free(d);
    return NULL;
}

static void assert_same(const training *a, const training *b)
{
    ck_assert_ptr_nonnull(a->weights);
    ck_assert_ptr_nonnull(b->weights);
    ck_assert_uint_eq(a->size, b->size);
    ck_assert_mem_eq(a->weights, b->weights, a->size);
}

START_TEST(a_training_is_the_same_bits)
{
    training run[COUNTS];
    for (int i = 0; i < COUNTS; i++) {
        run[i] = (training){ .seed = 7 };
        rill_set_threads(counts[i]);
        train(&run[i]);
        assert_same(&run[i], &run[0]);
    }
    for (int i = 0; i < COUNTS; i++)
        free(run[i].weights);
}
END_TEST

/* Four networks at once, which also contend for the team. */
START_TEST(four_trainings_at_once)
{
    training alone[4], run[4];
    pthread_t thread[4];
    rill_set_threads(2);
    for (int i = 0; i < 4; i++) {
        run[i] = alone[i] = (training){ .seed = 7 + (uint64_t)i };
        train(&alone[i]);
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, train, &run[i]),
                         0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < 4; i++) {
        assert_same(&run[i], &alone[i]);
        ck_assert_mem_ne(run[i].weights, run[(i + 1) % 4].weights,
                         run[i].size);
    }
    for (int i = 0; i < 4; i++) {
        free(run[i].weights);
        free(alone[i].weights);
    }
}
END_TEST

/* A child process has none of its parent's threads, and makes its own. */
START_TEST(a_forked_child_goes_on)
{
    rill_set_threads(2);
    rill_tensor *a = normal(1, RILL_F32, RILL_SHAPE(BATCH, IN));
    rill_tensor *w = normal(2, RILL_F32, RILL_SHAPE(HIDDEN, IN));
    rill_tensor *y = rill_linear(tape, a, w, NULL);
    pid_t child = fork();
    if (child == 0) {
        rill_tensor *again = rill_linear(tape, a, w, NULL);
        exit(!again || memcmp(rill_data(again), rill_data(y), bytes_of(y)));
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("threads", reads_the_environment, sets_and_reads,
                       products_are_the_same_bits, loops_are_the_same_bits,
                       a_training_is_the_same_bits, four_trainings_at_once,
                       a_forked_child_goes_on);
}
