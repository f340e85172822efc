/* rill_bench: the workloads of limit.c through rill's public header only, as a
 * user would write them. Prints limit.c's lines: name, "rill", threads, ns a
 * step; and comments with what else was measured.
 *
 *     rill_bench THREADS [WORKLOAD ...]    BENCH_SECONDS=1 a line
 *
 * It counts rill's own allocations through --wrap (see the Makefile). */
#include <rill.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static rill_tape *tape;
static int threads;

/* OpenBLAS tells of itself; another BLAS may not. */
char *openblas_get_config(void) __attribute__((weak));
char *openblas_get_corename(void) __attribute__((weak));

/* ---- allocations -------------------------------------------------------- */

static long allocations;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void __real_free(void *p);
void __wrap_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);

void *__wrap_malloc(size_t n)
{
    allocations++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    allocations++;
    return __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    allocations++;
    return __real_aligned_alloc(align, n);
}

void __wrap_free(void *p)
{
    __real_free(p);
}

/* ---- timing: as limit.c does it ----------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median time of a step, in ns, over batches of about 5 ms. */
static double measure(void (*step)(void))
{
    static double samples[4096];
    const char *seconds = getenv("BENCH_SECONDS");
    double budget = (seconds ? atof(seconds) : 1) * 1e9;
    for (int i = 0; i < 3; i++)
        step();
    double start = now();
    step();
    double one = now() - start;
    int n = one > 5e6 ? 1 : (int)(5e6 / one) + 1, k = 0;
    for (double end = now() + budget; k < 3 || (now() < end && k < 4096);
         k++) {
        start = now();
        for (int i = 0; i < n; i++)
            step();
        samples[k] = (now() - start) / n;
    }
    qsort(samples, (size_t)k, sizeof *samples, compare);
    return samples[k / 2];
}

static void emit(const char *name, void (*step)(void))
{
    double ns = measure(step);
    long before = allocations;
    step();
    printf("%s rill %d %.0f\n", name, threads, ns);
    printf("# %s: %ld allocations a step, tape %.1f MiB at peak\n", name,
           allocations - before, (double)rill_tape_peak_bytes(tape) / 0x1p20);
    fflush(stdout);
}

/* ---- MLPs --------------------------------------------------------------- */

static struct {
    rill_tape *data;
    rill_params *net;
    rill_optim *opt;
    rill_nn_mlp mlp;
    rill_tensor *x, *y;
} m;

static rill_tensor *labels(rill_tape *t, int n, int classes)
{
    rill_tensor *y = rill_empty(t, RILL_I32, RILL_SHAPE(n));
    int32_t *v = rill_write(y);
    for (int i = 0; i < n; i++)
        v[i] = (int32_t)(((unsigned)i * 2654435761u) % (unsigned)classes);
    return y;
}

static void mlp_step(void)
{
    rill_tensor *logits = rill_nn_mlp_apply(tape, &m.mlp, m.x);
    rill_tensor *loss = rill_cross_entropy(tape, logits, m.y, NULL);
    rill_backward(tape, loss, NULL);
    rill_optim_step(m.opt, tape);
    rill_tape_reset(tape);
}

static void mlp(const char *name, const int64_t *widths, int n, int batch,
                rill_activation *activation)
{
    rill_rng r = { .seed = 1 };
    m.data = rill_tape_new(&(rill_tape_opts){ .on_error = rill_die });
    m.net = rill_params_new(RILL_F32, 7);
    m.mlp = rill_nn_mlp_new(m.net, "mlp", widths, n,
                            &(rill_nn_mlp_opts){ .activation = activation });
    m.opt = rill_sgd_new(m.net, &(rill_sgd_opts){ .lr = 0.01 });
    m.x = rill_uniform(m.data, &r, -0.5, 0.5, RILL_F32,
                       RILL_SHAPE(batch, widths[0]));
    m.y = labels(m.data, batch, (int)widths[n - 1]);
    emit(name, mlp_step);
    rill_optim_free(m.opt);
    rill_params_free(m.net);
    rill_tape_free(m.data);
}

/* ---- one op at a time --------------------------------------------------- */

static struct {
    rill_tensor *x, *w, *y, *dy;
} o;

static void cross_entropy_step(void)
{
    rill_tensor *z = rill_watch(tape, o.x);
    rill_backward(tape, rill_cross_entropy(tape, z, o.y, NULL), NULL);
    rill_tape_reset(tape);
}

static void softmax_step(void)
{
    rill_tensor *z = rill_watch(tape, o.x);
    rill_backward(tape, rill_softmax(tape, z, -1),
                  &(rill_backward_opts){ .grad = o.dy });
    rill_tape_reset(tape);
}

static void sigmoid_step(void)
{
    rill_tensor *z = rill_watch(tape, o.x);
    rill_backward(tape, rill_sigmoid(tape, z),
                  &(rill_backward_opts){ .grad = o.dy });
    rill_tape_reset(tape);
}

static void linear_cross_entropy_step(void)
{
    rill_tensor *x = rill_watch(tape, o.x), *w = rill_watch(tape, o.w);
    rill_backward(tape,
                  rill_linear_cross_entropy(tape, x, w, NULL, o.y, NULL),
                  NULL);
    rill_tape_reset(tape);
}

static void language_model_head(const char *name)
{
    rill_tape *data = rill_tape_new(&(rill_tape_opts){ .on_error = rill_die });
    rill_rng r = { .seed = 1 };
    struct rusage u;
    o.x = rill_uniform(data, &r, -0.5, 0.5, RILL_F32, RILL_SHAPE(2048, 512));
    o.w = rill_uniform(data, &r, -0.025, 0.025, RILL_F32,
                       RILL_SHAPE(32000, 512));
    o.y = labels(data, 2048, 32000);
    emit(name, linear_cross_entropy_step);
    getrusage(RUSAGE_SELF, &u);
    printf("# %s rill: peak RSS %ld MiB\n", name, u.ru_maxrss / 1024);
    rill_tape_free(data);
}

static void op(const char *name, int64_t rows, int64_t columns,
               void (*step)(void))
{
    rill_tape *data = rill_tape_new(&(rill_tape_opts){ .on_error = rill_die });
    rill_rng r = { .seed = 1 };
    rill_shape shape = RILL_SHAPE(rows, columns);
    o.x = rill_uniform(data, &r, -4, 4, RILL_F32, shape);
    o.y = labels(data, (int)rows, (int)columns);
    if (step != cross_entropy_step)
        o.dy = rill_uniform(data, &r, 0, 1, RILL_F32, shape);
    emit(name, step);
    rill_tape_free(data);
}

/* ---- what an op costs: a chain of 1,000 on one number ------------------- */

enum { CHAIN = 1000 };

static void chain_step(void)
{
    rill_tensor *x = rill_watch(tape, o.x);
    for (int i = 0; i < CHAIN; i++)
        x = rill_scale(tape, x, 1);
    rill_backward(tape, x, NULL);
    rill_tape_reset(tape);
}

static void dispatch(void)
{
    rill_tape *data = rill_tape_new(NULL);
    o.x = rill_full(data, 1, RILL_F32, RILL_SCALAR);
    printf("# an op recorded and swept: %.0f ns\n",
           measure(chain_step) / CHAIN);
    rill_tape_free(data);
}

static void run(const char *name)
{
    tape = rill_tape_new(&(rill_tape_opts){ .on_error = rill_die });
    if (!strcmp(name, "W1"))
        mlp(name, (int64_t[]){ 2, 64, 64, 5 }, 4, 32, rill_sigmoid);
    if (!strcmp(name, "W2"))
        mlp(name, (int64_t[]){ 64, 128, 5 }, 3, 64, rill_sigmoid);
    if (!strcmp(name, "W3"))
        mlp(name, (int64_t[]){ 784, 256, 128, 10 }, 4, 64, rill_relu);
    if (!strcmp(name, "W4"))
        mlp(name, (int64_t[]){ 1024, 1024, 1024, 1000 }, 4, 256, rill_relu);
    if (!strcmp(name, "C1"))
        op(name, 65536, 5, cross_entropy_step);
    if (!strcmp(name, "C2"))
        op(name, 4096, 1000, cross_entropy_step);
    if (!strcmp(name, "C3"))
        op(name, 2048, 32000, cross_entropy_step);
    if (!strcmp(name, "S1"))
        op(name, 4096, 1000, softmax_step);
    if (!strcmp(name, "G1"))
        op(name, 4096, 1024, sigmoid_step);
    if (!strcmp(name, "L1"))
        language_model_head(name);
    if (!strcmp(name, "dispatch"))
        dispatch();
    rill_tape_free(tape);
}

int main(int argc, char **argv)
{
    static const char *const all[] = { "W1", "W2", "W3", "W4", "C1", "C2",
                                       "C3", "S1", "G1", "L1", "dispatch" };
    threads = argc > 1 ? atoi(argv[1]) : 1;
    rill_set_threads(threads);
    tape = rill_tape_new(NULL);
    printf("# rill: %d threads, %s kernels, BLAS: %s, %s\n", rill_threads(),
           rill_tape_isa(tape),
           openblas_get_config ? openblas_get_config() : "not OpenBLAS",
           openblas_get_corename ? openblas_get_corename() : "");
    rill_tape_free(tape);
    for (int i = 2; i < argc; i++)
        run(argv[i]);
    for (size_t i = 0; argc < 3 && i < sizeof all / sizeof *all; i++)
        run(all[i]);
    return 0;
}
