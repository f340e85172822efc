/* Memory: a step allocates nothing after the first, and every allocation may
 * fail once. Linked with --wrap for malloc and its kin, which catches the
 * calls of librill.a and of no shared library: what OpenBLAS allocates for
 * itself is not rill's. */
#include "harness.h"

#include <stdatomic.h>
#include <unistd.h>

/* Atomic: a recorder has a thread of its own. */
static atomic_bool armed;      /* count, and fail number fail_at */
static atomic_bool full;       /* a tape gets no more blocks */
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
    return full || fails() ? NULL : counted(__real_aligned_alloc(align, n));
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

static bool training_step(training *w, int rows)
{
    rill_rng r = { .seed = 1 };
    rill_tensor *x = rill_normal(w->t, &r, 0, 1, RILL_F32,
                                 RILL_SHAPE(rows, 10));
    rill_tensor *y = rill_zeros(w->t, RILL_I32, RILL_SHAPE(rows));
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
    static char text[100000];
    *w = (training){ .t = rill_tape_new(NULL) };
    w->net = rill_params_new(RILL_F32, 7);
    w->opt = rill_adamw_new(w->net, &(rill_adamw_opts){ .lr = 1e-2 });
    w->fc1 = rill_nn_linear_new(w->net, "fc1", 10, WIDTH);
    w->norm = rill_nn_layer_norm_new(w->net, "norm", WIDTH);
    w->fc2 = rill_nn_linear_new(w->net, "fc2", WIDTH, 5);
    w->recorder = rill_recorder_new("/dev/null", w->net, NULL, w->error,
                                    sizeof w->error);
    bool ok = w->t && w->net && w->opt && w->fc2.bias && w->recorder;
    memset(text, 'x', sizeof text - 1); /* a line longer than most */
    ok = ok && rill_recorder_event(w->recorder, text);
    for (int i = 0; ok && i < STEPS; i++) {
        int before = calls;
        ok = training_step(w, ROWS);
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

/* ---- models and checkpoints --------------------------------------------- */

enum { SAVE, LOAD, SAVE_PARAMS, LOAD_PARAMS, GET, FILE_WAYS };

/* True where it worked; else *why is the sentence of the one that failed. */
static bool on_file(int way, training *w, const char **why)
{
    static int64_t step = 3;
    static rill_rng r = { .seed = 5 };
    static char gone[64]; /* with the file that it stood on */
    rill_checkpoint c = { w->net, w->opt, w->t, &r, &step };
    bool ok = false;
    if (way == SAVE)
        ok = rill_checkpoint_save(&c, "file");
    else if (way == LOAD)
        ok = rill_checkpoint_load(&c, "file");
    else if (way == SAVE_PARAMS)
        ok = rill_params_save(w->net, "file", NULL);
    else if (way == LOAD_PARAMS)
        ok = rill_params_load(w->net, "file", NULL);
    *why = rill_params_error(w->net);
    if (way == GET) {
        rill_safetensors *f = rill_safetensors_open("file");
        ok = f && rill_safetensors_get(w->t, f, "fc2.weight");
        snprintf(gone, sizeof gone, "%s", f ? rill_error(w->t)
                                            : "out of memory: no file");
        *why = ok ? NULL : gone;
        rill_safetensors_free(f);
    }
    return ok;
}

static bool make_and_step(training *w, uint64_t seed)
{
    *w = (training){ .t = rill_tape_new(NULL) };
    w->net = rill_params_new(RILL_F32, seed);
    w->opt = rill_adamw_new(w->net, &(rill_adamw_opts){ .lr = 1e-2 });
    w->fc1 = rill_nn_linear_new(w->net, "fc1", 10, WIDTH);
    w->norm = rill_nn_layer_norm_new(w->net, "norm", WIDTH);
    w->fc2 = rill_nn_linear_new(w->net, "fc2", WIDTH, WIDTH);
    return training_step(w, 4);
}

/* The first weight of the file, read with memory enough. */
static float first_weight(rill_tape *t)
{
    rill_safetensors *f = rill_safetensors_open("file");
    const rill_tensor *x = rill_safetensors_get(t, f, "fc1.weight");
    float first = x ? *rill_f32(x) : NAN;
    rill_safetensors_free(f);
    rill_tape_reset(t);
    return first;
}

/* Where memory runs out while a file is written the file keeps what it had,
 * and where it is read, the parameters. */
START_TEST(saving_and_loading_may_fail)
{
    char folder[] = "/tmp/rill_test_memory_XXXXXX";
    ck_assert(mkdtemp(folder) && chdir(folder) == 0);
    training old, w;
    const char *why;
    ck_assert(make_and_step(&old, 7));
    float before = *rill_f32(old.fc1.weight);
    for (int way = 0; way < FILE_WAYS; way++) {
        int failed = 0;
        for (bool done = false; !done;) {
            ck_assert(on_file(SAVE, &old, &why));
            ck_assert(make_and_step(&w, 8));
            float mine = *rill_f32(w.fc1.weight);
            calls = 0;
            fail_at = ++failed;
            armed = true;
            done = on_file(way, &w, &why);
            armed = false;
            ck_assert_msg(done || strstr(why, "out of memory"),
                          "way %d, allocation %d: %s", way, failed, why);
            ck_assert(done == (calls < fail_at) && failed < 1000);
            bool saves = way == SAVE || way == SAVE_PARAMS;
            bool loads = way == LOAD || way == LOAD_PARAMS;
            rill_clear_error(w.t);
            ck_assert(first_weight(w.t) == (done && saves ? mine : before));
            ck_assert(*rill_f32(w.fc1.weight) ==
                      (done && loads ? before : mine));
            training_free(&w);
        }
        ck_assert_int_gt(failed, 2);
    }
    training_free(&old);
    remove("file");
    ck_assert(chdir("/") == 0 && rmdir(folder) == 0);
}
END_TEST

/* ---- every op, at every allocation -------------------------------------- */

/* An op a number, of float32 a and b [6, 5] in (0, 1), w [5] and classes y
 * [6]. */
static rill_tensor *each_op(rill_tape *t, int which, const rill_tensor *a,
                            const rill_tensor *b, const rill_tensor *w,
                            const rill_tensor *y)
{
    const rill_tensor *weight = rill_detach(t, w);
    rill_reduce_opts rows = { .dims = RILL_DIMS(1) };
    rill_cross_entropy_opts none = { .reduction = RILL_NONE, .weight = weight,
                                     .label_smoothing = 0.1, .z_loss = 0.1 };
    rill_cross_entropy_opts plain = { .denominator = 2 };
    rill_linear_cross_entropy_opts chunk = { .chunk = 2 };
    rill_binary_cross_entropy_opts bce = { .weight = weight,
                                           .pos_weight = weight };
    rill_nll_loss_opts nll = { .weight = weight };
    const rill_tensor *ab[] = { a, b };
    rill_shape wide = RILL_SHAPE(4, 5);
    switch (which) {
    case 0: return rill_add(t, a, w);
    case 1: return rill_sub(t, a, w);
    case 2: return rill_mul(t, a, w);
    case 3: return rill_div(t, a, w);
    case 4: return rill_neg(t, a);
    case 5: return rill_scale(t, a, 2);
    case 6: return rill_add_scalar(t, a, 2);
    case 7: return rill_rsub(t, a, 2);
    case 8: return rill_pow(t, a, 3);
    case 9: return rill_pow_tensor(t, a, b);
    case 10: return rill_square(t, a);
    case 11: return rill_sqrt(t, a);
    case 12: return rill_exp(t, a);
    case 13: return rill_log(t, a);
    case 14: return rill_abs(t, a);
    case 15: return rill_maximum(t, a, b);
    case 16: return rill_minimum(t, a, b);
    case 17: return rill_clamp(t, a, 0.2, 0.8);
    case 18: return rill_where(t, rill_gt(t, a, b), a, b);
    case 19: return rill_cast(t, rill_cast(t, a, RILL_F64), RILL_F32);
    case 20: return rill_sigmoid(t, a);
    case 21: return rill_tanh(t, a);
    case 22: return rill_relu(t, a);
    case 23: return rill_leaky_relu(t, a, 0.1);
    case 24: return rill_gelu(t, a);
    case 25: return rill_gelu_tanh(t, a);
    case 26: return rill_silu(t, a);
    case 27: return rill_softplus(t, a);
    case 28: return rill_matmul(t, a, b,
                                &(rill_matmul_opts){ .transpose_b = true });
    case 29: return rill_linear(t, a, b, NULL);
    case 30: return rill_linear(t, rill_reshape(t, a, RILL_SHAPE(2, 3, 5)), b,
                                rill_slice(t, rill_reshape(t, b,
                                           RILL_SHAPE(30)), 0, 3, 9));
    case 31: return rill_embedding(t, a, y, NULL);
    case 32: return rill_sum(t, a, &rows);
    case 33: return rill_mean(t, a, NULL);
    case 34: return rill_var(t, a, NULL);
    case 35: return rill_max(t, a, &rows);
    case 36: return rill_min(t, a, &(rill_reduce_opts){
                                       .dims = RILL_DIMS(0) });
    case 37: return rill_logsumexp(t, a, &rows);
    case 38: return rill_transpose(t, a, 0, 1);
    case 39: return rill_slice(t, a, 0, 1, 3);
    case 40: return rill_concat(t, ab, 2, 1);
    case 41: return rill_expand(t, w, wide);
    case 42: return rill_sum_to(t, a, RILL_SHAPE(5));
    case 43: return rill_softmax(t, a, 0);
    case 44: return rill_log_softmax(t, a, 1);
    case 45: return rill_layer_norm(t, a, w, w, NULL);
    case 46: return rill_dropout(t, a, 0.5);
    case 47: return rill_cross_entropy(t, a, y, &plain);
    case 48: return rill_cross_entropy(t, a, y, &none);
    case 49: return rill_cross_entropy_probs(t, a, rill_softmax(t, b, 1),
                                             &none);
    case 50: return rill_linear_cross_entropy(t, a, b, NULL, y, &chunk);
    case 51: return rill_nll_loss(t, rill_log_softmax(t, a, 1), y, &nll);
    case 52: return rill_binary_cross_entropy(t, a, b, NULL);
    case 53: return rill_binary_cross_entropy_with_logits(t, a, b, &bce);
    case 54: return rill_mse_loss(t, a, b, NULL);
    case 55: return rill_l1_loss(t, a, b, NULL);
    case 56: return rill_smooth_l1_loss(t, a, b, 0.3, NULL);
    case 57: return rill_huber_loss(t, a, b, 0.3, NULL);
    case 58: return rill_mul(t, a, rill_one_hot(t, y, 5, RILL_F32));
    case 59: return rill_mul(t, a, rill_cast(t, rill_argmax(t, a, NULL),
                                             RILL_F32));
    case 60: return rill_named(t, rill_mul(t, a, b), "product");
    default: return NULL;
    }
}

static const rill_tensor *left_alone(rill_tape *t, const rill_tensor *x,
                                     const rill_tensor *grad, void *user)
{
    (void)x, (void)user;
    return rill_scale(t, grad, 1);
}

/* What may be done with the op's sum of squares; of all but the first two one
 * op is enough. */
enum { BACKWARD, TWICE, EXPLAIN, PRINT, DOT, FINITE, SAMPLES, HOOK, WAYS };
enum { OPS = 61, LINEAR = 29, EXPAND = 41 };

typedef struct {
    rill_tape *t;
    FILE *out;
    int which, way;
    double result; /* a number of the gradients, or 0 */
} work;

/* False where anything failed. */
static bool do_work(work *k)
{
    rill_tape *t = k->t;
    static const float numbers[] = {
        .31f, .72f, .15f, .64f, .27f, .91f, .43f, .56f, .12f, .85f, .39f,
        .68f, .21f, .77f, .49f, .33f, .95f, .18f, .61f, .24f, .88f, .53f,
        .36f, .74f, .11f, .59f, .82f, .45f, .29f, .66f, .97f, .14f, .51f,
    };
    static const int32_t classes[] = { 4, 0, 2, 2, 1, 3 };
    rill_tensor *a = rill_watch(t, rill_view(t, numbers, RILL_F32,
                                             RILL_SHAPE(6, 5)));
    rill_tensor *b = rill_watch(t, rill_view(t, numbers + 3, RILL_F32,
                                             RILL_SHAPE(6, 5)));
    rill_tensor *w = rill_watch(t, rill_view(t, numbers + 8, RILL_F32,
                                             RILL_SHAPE(5)));
    rill_tensor *y = rill_view(t, classes, RILL_I32, RILL_SHAPE(6));
    rill_tensor *z = each_op(t, k->which, a, b, w, y);
    rill_tensor *loss = rill_sum(t, rill_square(t, z), NULL);
    bool ok = loss;
    if (k->way == HOOK)
        ok = rill_on_grad(t, z, left_alone, NULL) && ok;
    if (k->way == EXPLAIN)
        ok = rill_backward_explain(k->out, t, loss, NULL) && ok;
    else
        ok = rill_backward(t, loss, &(rill_backward_opts){
                                        .create_graph = k->way == TWICE }) &&
             ok;
    const rill_tensor *x = k->which == EXPAND ? w : a;
    rill_tensor *g = rill_grad(t, x);
    if (k->way == TWICE)
        ok = rill_backward(t, rill_sum(t, rill_square(t, g), NULL), NULL) &&
             ok;
    if (k->way == PRINT)
        rill_tape_print(k->out, t);
    if (k->way == DOT)
        rill_tape_dot(k->out, t, NULL);
    if (k->way == SAMPLES)
        ok = rill_sample_grad_norms(t, b) &&
             rill_softmax_residual(t, rill_mul(t, a, b), y) && ok;
    k->result = rill_norm(rill_grad(t, x));
    return ok && !rill_error(t);
}

/* On a tape whose block has room for so many times 64 bytes more, and that
 * gets no other. */
static bool with_room(work *k, int blocks, int room)
{
    rill_tape_reset(k->t);
    rill_tape_set_step(k->t, 0); /* dropout drops the same */
    bool filled = rill_tape_alloc(k->t, (size_t)(blocks - room) * 64);
    full = true;
    bool ok = do_work(k);
    full = false;
    return filled && ok;
}

/* Memory runs out at each point of an op, its rule, its recorded rule and of
 * what shows them: each time the tape says so, and works again afterwards. */
START_TEST(every_op_may_run_out)
{
    work k = { .t = rill_tape_new(NULL), .out = fopen("/dev/null", "w") };
    ck_assert(k.t && k.out);
    rill_tape_train(k.t, true);
    ck_assert(do_work(&k)); /* the block and the list of nodes are there */
    rill_tape_reset(k.t);
    int blocks = 0;
    for (full = true; rill_tape_alloc(k.t, 64);)
        blocks++;
    full = false;
    rill_clear_error(k.t);
    for (int way = 0; way < WAYS; way++)
        for (int which = 0; which < OPS; which++) {
            k.way = way;
            k.which = which;
            if (way > TWICE && which != LINEAR)
                continue;
            if (way == FINITE)
                rill_tape_check_finite(k.t, true);
            rill_tape_reset(k.t);
            rill_tape_set_step(k.t, 0);
            ck_assert_msg(do_work(&k), "op %d, way %d: %s", which, way,
                          rill_error(k.t));
            double whole = k.result;
            int failed = 0, room = 0; /* on to what the next one takes */
            for (; !with_room(&k, blocks, room); failed++) {
                const char *why = rill_error(k.t);
                size_t wanted = 0;
                ck_assert_msg(why && sscanf(why, "out of memory: %zu",
                                            &wanted) == 1,
                              "op %d, way %d, room %d: %s", which, way, room,
                              why ? why : "nothing was said");
                rill_clear_error(k.t);
                room += (int)(rill_tape_bytes(k.t) / 64 + (wanted + 63) / 64) -
                        blocks;
                ck_assert_msg(room < blocks, "op %d, way %d: no room is "
                              "enough", which, way);
            }
            ck_assert_int_gt(failed, 10);
            ck_assert_double_eq(k.result, whole);
            if (way == FINITE)
                rill_tape_check_finite(k.t, false);
        }
    fclose(k.out);
    rill_tape_free(k.t);
}
END_TEST

static rill_tensor *checked(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    return rill_mul(t, rill_sigmoid(t, x[0]), x[0]);
}

/* A gradient check computes on a tape of its own. */
START_TEST(a_gradient_check_may_run_out)
{
    int failed = 0;
    for (bool done = false; !done;) {
        rill_tape *t = rill_tape_new(NULL);
        const rill_tensor *x = rill_full(t, 2, RILL_F64, RILL_SHAPE(3));
        calls = live = 0;
        fail_at = ++failed;
        armed = true;
        done = rill_gradcheck(t, checked, &x, 1, &(rill_gradcheck_opts){
                                                     .second_order = true });
        armed = false;
        ck_assert(done || strstr(rill_error(t), "out of memory: "));
        ck_assert(done == (calls < fail_at) && live == 0);
        rill_tape_free(t);
    }
    ck_assert_int_gt(failed, 3);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("memory", steps_after_the_first_allocate_nothing,
                       every_allocation_may_fail, a_tape_survives_a_failure,
                       reading_may_fail, saving_and_loading_may_fail,
                       every_op_may_run_out, a_gradient_check_may_run_out);
}
