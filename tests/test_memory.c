/* Memory: a step allocates nothing after the first, and every allocation may
 * fail once. Linked with --wrap for malloc and its kin, which catches the
 * calls of librill.a and of no shared library: what OpenBLAS allocates for
 * itself is not rill's. */
#include "harness.h"

#include <stdatomic.h>
#include <unistd.h>

/* Atomic: a recorder has a thread of its own. */
static atomic_bool armed;      /* count, and fail number fail_at */
static atomic_int calls, live; /* made, and not freed again */
static atomic_int fail_at;     /* 0: none */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
void __wrap_free(void *p);

static bool fails(void)
{
    return armed && ++calls == fail_at;
}

static void *counted(void *p)
{
    live += armed && p;
    return p;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : counted(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (fails())
        return NULL;
    return p ? __real_realloc(p, n) : counted(__real_realloc(p, n));
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return fails() ? NULL : counted(__real_aligned_alloc(align, n));
}

void __wrap_free(void *p)
{
    live -= armed && p;
    __real_free(p);
}

/* ---- a whole little training, with every room in it --------------------- */

enum { STEPS = 3, ROWS = 300, WIDTH = 300 };

typedef struct {
    rill_tape *t;
    rill_params *net;
    rill_optim *opt;
    rill_nn_linear fc1;
    rill_nn_layer_norm norm;
    rill_nn_linear fc2;
    rill_recorder *recorder;
    char error[256]; /* why there is none */
    int after_first; /* allocations in the steps after the first */
} training;

static bool training_step(training *w)
{
    rill_rng r = { .seed = 1 };
    rill_tensor *x = rill_normal(w->t, &r, 0, 1, RILL_F32,
                                 RILL_SHAPE(ROWS, 10));
    rill_tensor *y = rill_zeros(w->t, RILL_I32, RILL_SHAPE(ROWS));
    rill_tensor *h = rill_nn_linear_apply(w->t, &w->fc1, x);
    h = rill_sigmoid(w->t, rill_nn_layer_norm_apply(w->t, &w->norm, h));
    rill_tensor *mean = rill_mean(
        w->t, h, &(rill_reduce_opts){ .dims = RILL_DIMS(0) });
    h = rill_add(w->t, mean, h);
    rill_tensor *z = rill_nn_linear_apply(w->t, &w->fc2, h);
    rill_tensor *loss = rill_cross_entropy(w->t, z, y, NULL);
    bool ok = rill_backward(w->t, loss, NULL);
    ok = ok && rill_params_accumulate(w->net, w->t);
    double norm = rill_clip_grad_norm(w->net, w->t, 0.1);
    ok = rill_recorder_step(w->recorder, w->opt, w->t, loss) && ok && norm > 0;
    rill_tape_reset(w->t);
    return ok;
}

/* True where everything worked; otherwise some object must say why. */
static bool train(training *w)
{
    *w = (training){ .t = rill_tape_new(NULL) };
    w->net = rill_params_new(RILL_F32, 7);
    w->opt = rill_adamw_new(w->net, &(rill_adamw_opts){ .lr = 1e-2 });
    w->fc1 = rill_nn_linear_new(w->net, "fc1", 10, WIDTH);
    w->norm = rill_nn_layer_norm_new(w->net, "norm", WIDTH);
    w->fc2 = rill_nn_linear_new(w->net, "fc2", WIDTH, 5);
    w->recorder = rill_recorder_new("/dev/null", w->net, NULL, w->error,
                                    sizeof w->error);
    bool ok = w->t && w->net && w->opt && w->fc2.bias && w->recorder;
    for (int i = 0; ok && i < STEPS; i++) {
        int before = calls;
        ok = training_step(w);
        if (i > 0)
            w->after_first += calls - before;
    }
    return rill_recorder_close(w->recorder) && ok;
}

static bool someone_says_why(const training *w)
{
    return !w->t || !w->net || !w->opt || rill_error(w->t) ||
           rill_params_error(w->net) || rill_optim_error(w->opt) ||
           (w->recorder ? rill_recorder_error(w->recorder) != NULL
                        : w->error[0] != '\0');
}

static void training_free(training *w)
{
    rill_recorder_free(w->recorder);
    rill_optim_free(w->opt);
    rill_params_free(w->net);
    rill_tape_free(w->t);
}

START_TEST(steps_after_the_first_allocate_nothing)
{
    training w;
    calls = live = fail_at = 0;
    armed = true; /* no check meanwhile: Check allocates too */
    bool ok = train(&w);
    int made = calls;
    training_free(&w);
    armed = false;
    ck_assert(ok);
    ck_assert(made > 5);
    ck_assert_int_eq(w.after_first, 0);
    ck_assert_int_eq(live, 0);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    int failed = 0;
    for (bool done = false; !done;) {
        training w;
        calls = live = 0;
        fail_at = ++failed;
        armed = true;
        done = train(&w);
        bool said = someone_says_why(&w);
        training_free(&w);
        armed = false;
        ck_assert_msg(done || said, "allocation %d failed unseen", failed);
        ck_assert_int_eq(live, 0);
        ck_assert_msg(done == (calls < fail_at),
                      "allocation %d failed and all went well", failed);
        ck_assert(failed < 1000);
    }
    ck_assert(failed > 5);
}
END_TEST

/* A tape that ran out of memory works again once the error is cleared. */
START_TEST(a_tape_survives_a_failure)
{
    rill_tape *t = rill_tape_new(NULL);
    calls = 0;
    fail_at = 1;
    armed = true;
    ck_assert(!rill_zeros(t, RILL_F32, RILL_SHAPE(10)));
    armed = false;
    ck_assert_ptr_nonnull(strstr(rill_error(t), "out of memory: "));
    rill_clear_error(t);
    rill_tensor *x = rill_watch(t, rill_zeros(t, RILL_F32, RILL_SHAPE(10)));
    ck_assert(rill_backward(t, rill_sum(t, x, NULL), NULL));
    rill_tape_free(t);
}
END_TEST

/* The readers of files, on one that takes several of their buffers. */
START_TEST(reading_may_fail)
{
    enum { LINES = 400, FEATURES = 400 };
    char folder[] = "/tmp/rill_test_memory_XXXXXX";
    ck_assert(mkdtemp(folder) && chdir(folder) == 0);
    FILE *csv = fopen("csv", "w"), *x = fopen("x", "w"), *y = fopen("y", "w");
    ck_assert(csv && x && y);
    fwrite("\0\0\10\2\0\0\1\220\0\0\1\220", 1, 12, x);
    fwrite("\0\0\10\1\0\0\1\220", 1, 8, y);
    for (int i = 0; i < LINES; i++) {
        for (int k = 0; k < FEATURES; k++) {
            fprintf(csv, "%d,", k % 10);
            putc(k % 10, x);
        }
        fprintf(csv, "%d\n", i % 3);
        putc(i % 3, y);
    }
    ck_assert(fclose(csv) == 0 && fclose(x) == 0 && fclose(y) == 0);
    for (int k = 0; k < 2; k++) {
        int failed = 0;
        for (bool done = false; !done;) {
            calls = live = 0;
            fail_at = ++failed;
            armed = true;
            rill_dataset *d = k ? rill_dataset_csv("csv", RILL_F32, NULL)
                                : rill_dataset_idx("x", "y", RILL_F32, NULL);
            done = !rill_dataset_error(d);
            bool said = !d || done || strstr(rill_dataset_error(d),
                                             "out of memory");
            int64_t rows = rill_dataset_len(d);
            rill_dataset_free(d);
            armed = false;
            ck_assert(said && rows == (done ? LINES : 0));
            ck_assert_int_eq(live, 0);
            ck_assert(done == (calls < fail_at) && failed < 1000);
        }
        ck_assert_int_gt(failed, 5);
    }
    remove("csv");
    remove("x");
    remove("y");
    ck_assert(chdir("/") == 0 && rmdir(folder) == 0);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("memory", steps_after_the_first_allocate_nothing,
                       every_allocation_may_fail, a_tape_survives_a_failure,
                       reading_may_fail);
}
