/* recorder: what recording every step costs. Blocks of steps, recorded and
 * not, by turns; prints the medians of both in us a step, and their ratio.
 *
 *     recorder [SECONDS] [LOG]    5 a network; /tmp/rill_bench.jsonl */
#include <rill.h>
#include <stdlib.h>
#include <time.h>

enum { ROWS = 64, MOST = 4096 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, compare);
    return x[n / 2];
}

static struct {
    rill_tape *tape;
    rill_nn_mlp mlp;
    rill_optim *opt;
    rill_tensor *x, *y;
} m;

/* The time of a step, in us, over n of them. */
static double block(rill_recorder *r, int n)
{
    double start = now();
    for (int i = 0; i < n; i++) {
        rill_tensor *z = rill_nn_mlp_apply(m.tape, &m.mlp, m.x);
        rill_tensor *loss = rill_cross_entropy(m.tape, z, m.y, NULL);
        rill_backward(m.tape, loss, NULL);
        rill_recorder_step(r, m.opt, m.tape, loss);
        rill_tape_reset(m.tape);
    }
    return 1e6 * (now() - start) / n;
}

static void run(const char *name, const char *log, double seconds,
                const int64_t *widths, int n, rill_activation *activation,
                int steps)
{
    static double without[MOST], with[MOST];
    const rill_tape_opts opts = { .on_error = rill_die };
    char error[256] = "";
    int k = 0;
    rill_rng g = { .seed = 1 };
    rill_tape *data = rill_tape_new(&opts);
    rill_params *net = rill_params_new(RILL_F32, 7);
    m.tape = rill_tape_new(&opts);
    m.mlp = rill_nn_mlp_new(net, "mlp", widths, n,
                            &(rill_nn_mlp_opts){ .activation = activation });
    m.opt = rill_adamw_new(net, &(rill_adamw_opts){ .lr = 1e-3 });
    m.x = rill_normal(data, &g, 0, 1, RILL_F32, RILL_SHAPE(ROWS, widths[0]));
    m.y = rill_empty(data, RILL_I32, RILL_SHAPE(ROWS));
    for (int i = 0; i < ROWS; i++)
        ((int32_t *)rill_write(m.y))[i] =
            (int32_t)rill_rng_below(&g, (uint64_t)widths[n - 1]);
    rill_recorder *r = rill_recorder_new(log, net, NULL, error, sizeof error);
    if (!r)
        rill_die(error, NULL);
    block(r, steps);
    for (double end = now() + seconds; k < 3 || (now() < end && k < MOST);
         k++) {
        without[k] = block(NULL, steps);
        with[k] = block(r, steps);
    }
    double a = median(without, k), b = median(with, k);
    printf("%-20s %8.2f us %8.2f us recorded  %.3f\n", name, a, b, b / a);
    if (!rill_recorder_close(r))
        rill_die(rill_recorder_error(r), NULL);
    rill_recorder_free(r);
    rill_optim_free(m.opt);
    rill_params_free(net);
    rill_tape_free(m.tape);
    rill_tape_free(data);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 5;
    const char *log = argc > 2 ? argv[2] : "/tmp/rill_bench.jsonl";
    run("2-64-64-5", log, seconds, (int64_t[]){ 2, 64, 64, 5 }, 4,
        rill_sigmoid, 300);
    run("784-256-128-10", log, seconds, (int64_t[]){ 784, 256, 128, 10 }, 4,
        rill_relu, 30);
    return 0;
}
