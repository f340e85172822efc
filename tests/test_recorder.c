/* test_recorder: the log of a real training run, each figure in it against
 * what is computed by hand from the tensors, and what goes wrong. */
#include "harness.h"

#include <float.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_LINES = 4096 };

static char folder[] = "/tmp/rill_test_recorder_XXXXXX";
static char path[64]; /* of the log */
static char error[512];

/* ---- reading a log ------------------------------------------------------ */

static struct {
    json_t *line[MOST_LINES];
    int n;
    bool cut; /* there was a last line without its newline */
} log_;

/* Every whole line is JSON. */
static void read_log(void)
{
    static char text[1 << 18];
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    while (log_.n > 0)
        json_decref(log_.line[--log_.n]);
    log_.cut = false;
    while (fgets(text, sizeof text, f)) {
        json_error_t why;
        log_.cut = text[strlen(text) - 1] != '\n';
        if (log_.cut)
            break;
        ck_assert_int_lt(log_.n, MOST_LINES);
        json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, &why);
        ck_assert_msg(line != NULL, "line %d: %s: %s", log_.n, why.text, text);
        log_.line[log_.n++] = line;
    }
    fclose(f);
    ck_assert_int_gt(log_.n, 0);
}

static const char *type_of(const json_t *line)
{
    return json_string_value(json_object_get(line, "type"));
}

static int lines_of(const char *type)
{
    int n = 0;
    for (int i = 0; i < log_.n; i++)
        n += strcmp(type_of(log_.line[i]), type) == 0;
    return n;
}

/* The line of this type with this number among them. */
static json_t *line_at(const char *type, int k)
{
    for (int i = 0; i < log_.n; i++)
        if (strcmp(type_of(log_.line[i]), type) == 0 && k-- == 0)
            return log_.line[i];
    ck_abort_msg("no such line of type %s", type);
    return NULL;
}

/* What stands in j under a way of keys and places: "layers.grad.2". */
static json_t *at(const json_t *j, const char *way)
{
    char key[64];
    int n = 0;
    const json_t *x = j;
    for (const char *s = way; *s; s += n + (s[n] == '.')) {
        n = (int)strcspn(s, ".");
        snprintf(key, sizeof key, "%.*s", n, s);
        x = json_is_array(x) ? json_array_get(x, (size_t)atoi(key))
                             : json_object_get(x, key);
        ck_assert_msg(x != NULL, "no %s in %s of a %s", key, way, type_of(j));
    }
    return (json_t *)(uintptr_t)x;
}

/* A number, to the log's six digits; what is not finite is null. */
#define ASSERT_LOGGED(j, way, value)                                       \
    do {                                                                   \
        const json_t *logged = at(j, way);                                 \
        double by_hand = (value);                                          \
        if (isfinite(by_hand))                                             \
            ck_assert_msg(json_is_number(logged) &&                        \
                              fabs(json_number_value(logged) - by_hand) <= \
                                  1e-5 * fabs(by_hand),                    \
                          "%s is %.9g, not %.9g", way,                     \
                          json_number_value(logged), by_hand);             \
        else                                                               \
            ck_assert_msg(json_is_null(logged), "%s is not null", way);    \
    } while (0)

static void assert_text(const json_t *j, const char *way, const char *text)
{
    ck_assert_pstr_eq(json_string_value(at(j, way)), text);
}

static void assert_int(const json_t *j, const char *way, int64_t value)
{
    ck_assert_msg(json_is_integer(at(j, way)), "%s is no integer", way);
    ck_assert_int_eq(json_integer_value(at(j, way)), value);
}

static rill_recorder *recorder(rill_params *p, const rill_recorder_opts *opts)
{
    error[0] = '\0';
    rill_recorder *r = rill_recorder_new(path, p, opts, error, sizeof error);
    ck_assert_msg(r != NULL, "%s", error);
    return r;
}

static void close_and_read(rill_recorder *r)
{
    ck_assert_msg(rill_recorder_close(r), "%s", rill_recorder_error(r));
    ck_assert(!rill_recorder_error(r));
    rill_recorder_free(r);
    read_log();
}

/* ---- a run, figure by figure -------------------------------------------- */

enum { ROWS = 10, IN = 3, WIDE = 70, OUT = 5, STEPS = 60, PARAMS = 7 };

/* A network with a parameter of more than 4,096 elements, one that is frozen
 * and one that takes no part. */
typedef struct {
    rill_params *net;
    rill_nn_linear fc1, fc2, fc3;
    rill_tensor *idle;
    rill_optim *opt;
    rill_tensor *x, *y;
    rill_tape *data;
    rill_tensor *relu, *tanh, *sigmoid, *logits, *loss; /* of the last step */
} network;

static network network_new(rill_dtype dtype)
{
    network w = { .net = rill_params_new(dtype, 7),
                  .data = rill_tape_new(NULL) };
    w.fc1 = rill_nn_linear_new(w.net, "in.fc", IN, WIDE);
    w.fc2 = rill_nn_linear_new(w.net, "mid.fc", WIDE, WIDE);
    w.fc3 = rill_nn_linear_new(w.net, "out.fc", WIDE, OUT);
    w.idle = rill_params_add(w.net, "idle", RILL_SHAPE(2));
    ck_assert(rill_params_freeze(w.net, "in.fc.bias"));
    w.opt = rill_adamw_new(w.net, &(rill_adamw_opts){ .lr = 1e-2 });
    rill_rng r = { .seed = 3 };
    w.x = rill_normal(w.data, &r, 1, 1, dtype, RILL_SHAPE(ROWS, IN));
    w.y = rill_empty(w.data, RILL_I32, RILL_SHAPE(ROWS));
    for (int i = 0; i < ROWS; i++)
        ((int32_t *)rill_write(w.y))[i] = i % OUT;
    return w;
}

static void network_free(network *w)
{
    rill_optim_free(w->opt);
    rill_params_free(w->net);
    rill_tape_free(w->data);
}

/* The mean loss over some rows, times share. */
static bool network_run(network *w, rill_tape *t, const rill_tensor *x,
                        const rill_tensor *y, double share)
{
    rill_tensor *h = rill_nn_linear_apply(t, &w->fc1, x);
    w->relu = rill_relu(t, rill_scale(t, h, 3));
    h = rill_nn_linear_apply(t, &w->fc2, w->relu);
    w->tanh = rill_named(t, rill_tanh(t, rill_scale(t, h, 4)), "squash");
    w->sigmoid = rill_sigmoid(t, rill_scale(t, w->tanh, 5));
    w->logits = rill_nn_linear_apply(t, &w->fc3, w->sigmoid);
    w->loss = rill_cross_entropy(t, w->logits, y, NULL);
    return rill_backward(t, rill_scale(t, w->loss, share), NULL);
}

/* What should stand in a step's line. */
typedef struct {
    double loss, lr, noise;
    double weight[PARAMS], grad[PARAMS], update[PARAMS], moved[PARAMS];
    int zeros[PARAMS], power[PARAMS][300]; /* from 2^-200 on */
    double saturated[2], zero, dead;
} wanted;

/* The elements of a sample: 256 runs of 16, from the first to the last, each
 * at a multiple of 16; of up to 4,096 all. */
static int64_t sampled(int64_t n)
{
    return n > 4096 ? 4096 : n;
}

static int64_t sample_at(int64_t n, int64_t i)
{
    return n > 4096 ? i / 16 * (n - 16) / 255 / 16 * 16 + i % 16 : i;
}

static double outside(const rill_tensor *y, double low, double high)
{
    int count = 0;
    for (int64_t i = 0; i < rill_numel(y); i++)
        count += rill_at(y, i) < low || rill_at(y, i) > high;
    return (double)count / (double)rill_numel(y);
}

static void want_activations(const network *w, wanted *e)
{
    int dead = 0, zeros = 0;
    for (int j = 0; j < WIDE; j++) {
        bool alive = false;
        for (int i = 0; i < ROWS; i++) {
            zeros += rill_at(w->relu, i * WIDE + j) == 0;
            alive = alive || rill_at(w->relu, i * WIDE + j) != 0;
        }
        dead += !alive;
    }
    e->zero = zeros / (double)(ROWS * WIDE);
    e->dead = dead / (double)WIDE;
    e->saturated[0] = outside(w->tanh, -0.98, 0.98);
    e->saturated[1] = outside(w->sigmoid, 0.01, 0.99);
}

/* The spread of the samples' gradients, by a backward for each. */
static double want_noise(const network *w)
{
    rill_tape *t = rill_tape_new(NULL);
    network one = *w;
    double each = 0, whole = 0;
    for (int i = 0; i < PARAMS; i++) {
        const rill_tensor *g = rill_grad(tape, rill_params_at(w->net, i));
        whole += g ? rill_norm(g) * rill_norm(g) : 0;
    }
    for (int k = 0; k < ROWS; k++) {
        int32_t y = rill_i32(w->y)[k];
        double x[IN];
        for (int i = 0; i < IN; i++)
            x[i] = rill_at(w->x, k * IN + i);
        ck_assert(network_run(&one, t,
                              rill_from(t, x, rill_dtype_of(w->x),
                                        RILL_SHAPE(1, IN)),
                              rill_copy(t, &y, RILL_I32, RILL_SHAPE(1)),
                              1.0 / ROWS));
        for (int i = 0; i < PARAMS; i++) {
            const rill_tensor *g = rill_grad(t, rill_params_at(w->net, i));
            each += g ? rill_norm(g) * rill_norm(g) : 0;
        }
        rill_tape_reset(t);
    }
    rill_tape_free(t);
    return (ROWS * each - whole) / whole;
}

static void want_gradients(const network *w, wanted *e)
{
    for (int i = 0; i < PARAMS; i++) {
        const rill_tensor *p = rill_params_at(w->net, i);
        const rill_tensor *g = rill_grad(tape, p);
        e->weight[i] = rill_norm(p);
        e->grad[i] = g ? rill_norm(g) : NAN;
        for (int64_t k = 0; g && k < sampled(rill_numel(p)); k++) {
            int power;
            double v = rill_at(g, sample_at(rill_numel(p), k));
            frexp(v, &power); /* v = m 2^power, m in [0.5, 1) */
            e->zeros[i] += v == 0;
            if (v != 0)
                e->power[i][power - 1 + 200]++;
        }
    }
}

/* One step; what it should have logged is left in e. before: of every
 * parameter's values. */
static void run_step(network *w, rill_recorder *r, wanted *e)
{
    static double before[PARAMS][WIDE * WIDE];
    *e = (wanted){ .lr = rill_optim_lr(w->opt) };
    ck_assert(network_run(w, tape, w->x, w->y, 1));
    e->loss = rill_item(w->loss);
    e->noise = want_noise(w);
    want_gradients(w, e);
    want_activations(w, e);
    for (int i = 0; i < PARAMS; i++)
        for (int64_t k = 0; k < rill_numel(rill_params_at(w->net, i)); k++)
            before[i][k] = rill_at(rill_params_at(w->net, i), k);
    ck_assert(rill_recorder_step(r, w->opt, tape, w->loss));
    for (int i = 0; i < PARAMS; i++) {
        const rill_tensor *p = rill_params_at(w->net, i);
        double moved = 0, base = 0;
        int64_t n = rill_numel(p);
        for (int64_t k = 0; k < sampled(n); k++) {
            double was = before[i][sample_at(n, k)];
            double is = rill_at(p, sample_at(n, k));
            moved += (is - was) * (is - was);
            base += was * was;
        }
        bool learned = rill_grad(tape, p);
        e->update[i] = learned ? sqrt(moved / base) : NAN;
        e->moved[i] = moved * (double)n / (double)sampled(n);
    }
    rill_tape_reset(tape);
}

static void assert_histogram(const json_t *line, int i, const wanted *e)
{
    char way[64];
    int low = 0, high = 299;
    while (low < 300 && !e->power[i][low])
        low++;
    while (high >= low && !e->power[i][high])
        high--;
    snprintf(way, sizeof way, "histogram.%d.zero", i);
    assert_int(line, way, e->zeros[i]);
    snprintf(way, sizeof way, "histogram.%d.nonfinite", i);
    assert_int(line, way, 0);
    snprintf(way, sizeof way, "histogram.%d.low", i);
    assert_int(line, way, low - 200);
    snprintf(way, sizeof way, "histogram.%d.counts", i);
    ck_assert_uint_eq(json_array_size(at(line, way)),
                      (size_t)(high - low + 1));
    for (int k = low; k <= high; k++) {
        snprintf(way, sizeof way, "histogram.%d.counts.%d", i, k - low);
        assert_int(line, way, e->power[i][k]);
    }
}

/* The layers in.fc, mid.fc and out.fc, of two parameters each, and "". */
static void assert_layers(const json_t *line, const wanted *e)
{
    char way[64];
    for (int l = 0; l < 4; l++) {
        double weight = 0, grad = 0, moved = 0, base = 0;
        bool learned = false;
        for (int i = 2 * l; i < 2 * l + 2 && i < PARAMS; i++) {
            double square = e->weight[i] * e->weight[i];
            weight += square;
            if (isnan(e->grad[i]))
                continue;
            learned = true;
            grad += e->grad[i] * e->grad[i];
            moved += e->moved[i];
            base += square;
        }
        snprintf(way, sizeof way, "layers.weight.%d", l);
        ASSERT_LOGGED(line, way, sqrt(weight));
        snprintf(way, sizeof way, "layers.grad.%d", l);
        ASSERT_LOGGED(line, way, learned ? sqrt(grad) : NAN);
        snprintf(way, sizeof way, "layers.update.%d", l);
        ASSERT_LOGGED(line, way, learned ? sqrt(moved / base) : NAN);
    }
}

static void assert_broad(const json_t *line, const wanted *e)
{
    char way[64];
    for (int i = 0; i < PARAMS; i++) {
        snprintf(way, sizeof way, "histogram.%d", i);
        if (isnan(e->grad[i]))
            ck_assert(json_is_null(at(line, way)));
        else
            assert_histogram(line, i, e);
    }
    ck_assert_uint_eq(json_array_size(at(line, "activations")), 3);
    assert_text(line, "activations.0.op", "relu");
    assert_text(line, "activations.0.name", "relu.4");
    ASSERT_LOGGED(line, "activations.0.zero", e->zero);
    ASSERT_LOGGED(line, "activations.0.dead", e->dead);
    assert_text(line, "activations.1.op", "tanh");
    assert_text(line, "activations.1.name", "squash");
    ASSERT_LOGGED(line, "activations.1.saturated", e->saturated[0]);
    assert_text(line, "activations.2.op", "sigmoid");
    ASSERT_LOGGED(line, "activations.2.saturated", e->saturated[1]);
    ASSERT_LOGGED(line, "noise", e->noise);
}

static void assert_step(const json_t *line, int step, const wanted *e)
{
    char way[64];
    assert_int(line, "step", step);
    ASSERT_LOGGED(line, "loss", e->loss);
    ASSERT_LOGGED(line, "lr", e->lr);
    for (int i = 0; i < PARAMS; i++) {
        snprintf(way, sizeof way, "weight.%d", i);
        ASSERT_LOGGED(line, way, e->weight[i]);
        snprintf(way, sizeof way, "grad.%d", i);
        ASSERT_LOGGED(line, way, e->grad[i]);
        snprintf(way, sizeof way, "update.%d", i);
        ASSERT_LOGGED(line, way, e->update[i]);
    }
    assert_layers(line, e);
    if (step % 25 == 0) {
        assert_broad(line, e);
        return;
    }
    ck_assert(json_is_null(at(line, "histogram")));
    ck_assert(json_is_null(at(line, "activations")));
    ck_assert(json_is_null(at(line, "noise")));
}

static void check_figures(rill_dtype dtype)
{
    static wanted e[STEPS];
    network w = network_new(dtype);
    rill_recorder *r = recorder(w.net, NULL);
    for (int i = 0; i < STEPS; i++) {
        run_step(&w, r, &e[i]);
        rill_optim_set_lr(w.opt, 1e-2 * (STEPS - i) / STEPS);
    }
    close_and_read(r);
    ck_assert_int_eq(lines_of("step"), STEPS);
    ck_assert_int_eq(lines_of("end"), 1);
    ck_assert_int_eq(lines_of("graph"), 1);
    ck_assert_int_eq(lines_of("detail"), 2);
    for (int i = 0; i < STEPS; i++)
        assert_step(line_at("step", i), i, &e[i]);
    ck_assert(e[0].dead > 0 && e[0].zero > 0.2 && e[0].zero < 0.9);
    ck_assert(e[0].saturated[0] > 0.1 && e[0].saturated[1] > 0.1);
    ck_assert(e[0].saturated[0] < 0.9 && e[0].saturated[1] < 0.99);
    ck_assert(e[0].noise > 0.1);
    double last = json_number_value(at(line_at("step", 0), "time"));
    for (int i = 1; i < STEPS; i++) {
        double now = json_number_value(at(line_at("step", i), "time"));
        ck_assert(now >= last);
        last = now;
    }
    network_free(&w);
}

START_TEST(figures_in_float32)
{
    check_figures(RILL_F32);
}
END_TEST

START_TEST(figures_in_float64)
{
    check_figures(RILL_F64);
}
END_TEST

START_TEST(first_line)
{
    network w = network_new(RILL_F64);
    static const char *const names[] = { "yes", "\"no\"" };
    const rill_recorder_opts opts = { .title = "a run", .every = 3,
                                      .details = 7, .class_names = names,
                                      .classes = 2 };
    close_and_read(recorder(w.net, &opts));
    ck_assert_int_eq(log_.n, 2);
    const json_t *run = log_.line[0];
    assert_text(run, "type", "run");
    assert_int(run, "rill", 1);
    assert_text(run, "title", "a run");
    assert_text(run, "dtype", "float64");
    assert_int(run, "every", 3);
    assert_int(run, "details", 7);
    assert_int(run, "sampled", 4096);
    ck_assert_uint_eq(json_array_size(at(run, "classes")), 2);
    assert_text(run, "classes.0", "yes");
    assert_text(run, "classes.1", "\"no\"");
    struct tm when = { 0 };
    ck_assert_int_eq(sscanf(json_string_value(at(run, "started")),
                            "%d-%d-%dT%d:%d:%dZ", &when.tm_year, &when.tm_mon,
                            &when.tm_mday, &when.tm_hour, &when.tm_min,
                            &when.tm_sec), 6);
    ck_assert_int_ge(when.tm_year, 2024);
    ck_assert_uint_eq(json_array_size(at(run, "parameters")), PARAMS);
    assert_text(run, "parameters.2.name", "mid.fc.weight");
    assert_text(run, "parameters.2.layer", "mid.fc");
    assert_int(run, "parameters.0.shape.0", WIDE);
    assert_int(run, "parameters.0.shape.1", IN);
    assert_text(run, "parameters.6.layer", "");
    assert_text(log_.line[1], "type", "end");
    assert_int(log_.line[1], "step", 0);
    network_free(&w);
    w = network_new(RILL_F32);
    close_and_read(recorder(w.net, NULL));
    assert_text(log_.line[0], "title", path);
    assert_text(log_.line[0], "dtype", "float32");
    network_free(&w);
}
END_TEST

/* ---- gradients of every kind -------------------------------------------- */

/* A step whose gradient in the only parameter is g. */
static const json_t *step_of(rill_dtype dtype, const double *g, int n)
{
    rill_params *p = rill_params_new(dtype, 1);
    rill_tensor *v = rill_params_add(p, "v", RILL_SHAPE(n));
    rill_optim *o = rill_sgd_new(p, &(rill_sgd_opts){ .lr = 0.5 });
    rill_recorder *r = recorder(p, NULL);
    rill_tensor *c = rill_from(tape, g, dtype, RILL_SHAPE(n));
    rill_tensor *loss = rill_sum(tape, rill_mul(tape, v, c), NULL);
    ck_assert(rill_backward(tape, loss, NULL));
    ck_assert(rill_recorder_step(r, o, tape, loss));
    rill_tape_reset(tape);
    close_and_read(r);
    rill_optim_free(o);
    rill_params_free(p);
    return line_at("step", 0);
}

static void assert_count(const json_t *line, int power, int count)
{
    char way[64];
    int low = (int)json_integer_value(at(line, "histogram.0.low"));
    snprintf(way, sizeof way, "histogram.0.counts.%d", power - low);
    assert_int(line, way, count);
}

START_TEST(powers_of_two)
{
    static const double g[] = { 0, -0.0, 1, 1.999, -2, 2.5, 0.5, -0.25,
                                INFINITY, -INFINITY, NAN, 0x1p-149,
                                -0x1.8p-130, 0x1p-126, FLT_MAX };
    const json_t *line = step_of(RILL_F32, g, sizeof g / sizeof *g);
    assert_int(line, "histogram.0.zero", 2);
    assert_int(line, "histogram.0.nonfinite", 3);
    assert_int(line, "histogram.0.low", -149);
    ck_assert_uint_eq(json_array_size(at(line, "histogram.0.counts")),
                      127 + 149 + 1);
    assert_count(line, -149, 1);
    assert_count(line, -130, 1);
    assert_count(line, -126, 1);
    assert_count(line, -2, 1);
    assert_count(line, -1, 1);
    assert_count(line, 0, 2);
    assert_count(line, 1, 2);
    assert_count(line, 2, 0);
    assert_count(line, 127, 1);
    ck_assert(json_is_null(at(line, "grad.0")));
    ck_assert(json_is_null(at(line, "loss")));
    ck_assert(json_is_null(at(line, "update.0"))); /* from 0 */
    ck_assert(json_is_null(at(line, "noise")));
    ck_assert_uint_eq(json_array_size(at(line, "activations")), 0);
    static const double d[] = { 0x1p-1074, 0x1.8p-1030, 0x1p-1022, DBL_MAX,
                                1, 0 };
    line = step_of(RILL_F64, d, sizeof d / sizeof *d);
    assert_int(line, "histogram.0.zero", 1);
    assert_int(line, "histogram.0.low", -1074);
    assert_count(line, -1074, 1);
    assert_count(line, -1030, 1);
    assert_count(line, -1022, 1);
    assert_count(line, 0, 1);
    assert_count(line, 1023, 1);
    static const double nothing[] = { 0, 0 };
    line = step_of(RILL_F64, nothing, 2);
    assert_int(line, "histogram.0.zero", 2);
    ck_assert_uint_eq(json_array_size(at(line, "histogram.0.counts")), 0);
    ASSERT_LOGGED(line, "grad.0", 0);
}
END_TEST

/* Squares that float32 cannot hold, beside ones that it can. */
START_TEST(small_and_large_norms)
{
    static double g[1200];
    static const double sizes[] = { 1e-30, 1e-12, 1, 1e12, 1e25 };
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        double sum = 0;
        for (int i = 0; i < 1200; i++) {
            g[i] = (float)(sizes[k] * (1 + i % 7) * (i % 600 ? 1 : 1e-3));
            sum += g[i] * g[i];
        }
        ASSERT_LOGGED(step_of(RILL_F32, g, 1200), "grad.0", sqrt(sum));
    }
    for (int i = 0; i < 1200; i++) /* one block tiny, one not */
        g[i] = i < 512 ? 1e-25 : 1e-13;
    ASSERT_LOGGED(step_of(RILL_F32, g, 1200), "grad.0", 1e-13 * sqrt(688));
}
END_TEST

/* A gradient that is not finite has its histogram, whichever step it is. */
START_TEST(not_finite_between)
{
    rill_params *p = rill_params_new(RILL_F32, 1);
    rill_tensor *v = rill_params_add(p, "v", RILL_SHAPE(2));
    rill_optim *o = rill_sgd_new(p, &(rill_sgd_opts){ .lr = 0.5 });
    rill_recorder *r = recorder(p, NULL);
    for (int i = 0; i < 5; i++) {
        double c[] = { 1, i == 3 ? INFINITY : 1 };
        rill_tensor *loss = rill_sum(
            tape, rill_mul(tape, v, rill_from(tape, c, RILL_F32,
                                              RILL_SHAPE(2))), NULL);
        ck_assert(rill_backward(tape, loss, NULL));
        ck_assert(rill_recorder_step(r, o, tape, loss));
        rill_tape_reset(tape);
    }
    close_and_read(r);
    ck_assert(json_is_null(at(line_at("step", 2), "histogram")));
    assert_int(line_at("step", 3), "histogram.0.nonfinite", 1);
    ck_assert(json_is_null(at(line_at("step", 4), "histogram")));
    rill_optim_free(o);
    rill_params_free(p);
}
END_TEST

/* ---- noise: where it cannot be had -------------------------------------- */

typedef enum { PLAIN, CLIPPED, CLIPPED_VALUES, SHARED, PENALTY, MORE_ROWS,
               THREE_DIMS, NO_LINEAR } noise_case;

static double noise_of(noise_case which)
{
    rill_params *p = rill_params_new(RILL_F64, 5);
    rill_nn_linear a = rill_nn_linear_new(p, "a", 4, 4);
    rill_nn_linear b = rill_nn_linear_new(p, "b", 4, 4);
    rill_optim *o = rill_sgd_new(p, &(rill_sgd_opts){ .lr = 0.5 });
    rill_recorder *r = recorder(p, NULL);
    rill_tensor *x = normal(1, RILL_F64, which == THREE_DIMS
                                             ? RILL_SHAPE(3, 2, 4)
                                             : RILL_SHAPE(6, 4));
    rill_tensor *h = rill_tanh(tape, rill_nn_linear_apply(tape, &a, x));
    if (which == MORE_ROWS)
        h = rill_reshape(tape, h, RILL_SHAPE(12, 2));
    if (which == MORE_ROWS)
        h = rill_concat(tape, (const rill_tensor *[]){ h, h }, 2, 1);
    h = rill_nn_linear_apply(tape, which == SHARED ? &a : &b, h);
    rill_tensor *loss = rill_mean(tape, rill_square(tape, h), NULL);
    if (which == PENALTY)
        loss = rill_add(tape, loss, rill_sum(
            tape, rill_square(tape, b.weight), NULL));
    if (which == NO_LINEAR)
        loss = rill_sum(tape, rill_square(tape, b.weight), NULL);
    ck_assert(rill_backward(tape, loss, NULL));
    if (which == CLIPPED)
        ck_assert(rill_clip_grad_norm(p, tape, 0.01) > 0.01);
    if (which == CLIPPED_VALUES)
        ck_assert(rill_clip_grad_value(p, tape, 0.01));
    ck_assert(rill_recorder_step(r, o, tape, loss));
    rill_tape_reset(tape);
    ASSERT_OK();
    close_and_read(r);
    const json_t *noise = at(line_at("step", 0), "noise");
    rill_optim_free(o);
    rill_params_free(p);
    return json_is_null(noise) ? NAN : json_number_value(noise);
}

START_TEST(noise_that_cannot_be_had)
{
    ck_assert(noise_of(PLAIN) > 0);
    for (noise_case which = CLIPPED; which <= NO_LINEAR; which++)
        ck_assert_msg(isnan(noise_of(which)), "case %d", which);
}
END_TEST

/* ---- the graph, and the loss opened up ---------------------------------- */

/* Runs a step on logits = x W^T (+ nothing), and leaves its tape standing.
 * target: of classes or probabilities. */
static rill_tensor *open_step(rill_params *p, rill_recorder *r, rill_optim *o,
                              const rill_tensor *x, const rill_tensor *target,
                              const rill_cross_entropy_opts *opts)
{
    rill_tensor *z = rill_linear(tape, x, rill_params_at(p, 0), NULL);
    rill_tensor *loss = rill_i32(target)
                            ? rill_cross_entropy(tape, z, target, opts)
                            : rill_cross_entropy_probs(tape, z, target, opts);
    /* a penalty beside it is no reason not to open it */
    rill_tensor *all = rill_add(tape, loss, rill_sum(
        tape, rill_square(tape, rill_params_at(p, 0)), NULL));
    ck_assert_msg(rill_backward(tape, all, NULL), "%s", rill_error(tape));
    ck_assert(rill_recorder_step(r, o, tape, all));
    ASSERT_OK();
    return z;
}

static void assert_matrix(const json_t *j, const char *key,
                          const rill_tensor *x, int rows)
{
    char way[64];
    snprintf(way, sizeof way, "loss.%s", key);
    ck_assert_uint_eq(json_array_size(at(j, way)), (size_t)rows);
    for (int i = 0; i < rows; i++)
        for (int c = 0; c < (int)rill_dim(x, 1); c++) {
            snprintf(way, sizeof way, "loss.%s.%d.%d", key, i, c);
            ASSERT_LOGGED(j, way, rill_at(x, i * rill_dim(x, 1) + c));
        }
}

static void assert_opened(const json_t *j, const rill_tensor *z,
                          const rill_tensor *target, int rows)
{
    char way[64];
    rill_tensor *p = rill_softmax(tape, z, 1);
    assert_matrix(j, "logits", z, rows);
    assert_matrix(j, "probs", p, rows);
    for (int i = 0; i < rows; i++) {
        double loss = 0;
        int n = (int)rill_dim(z, 1);
        int32_t y = rill_i32(target) ? rill_i32(target)[i] : 0;
        bool ignored = y < 0 || y >= n;
        for (int c = 0; c < n; c++) {
            double share = rill_at(p, i * n + c);
            double want = rill_i32(target) ? c == y
                                           : rill_at(target, i * n + c);
            loss -= ignored ? 0 : want * log(share);
            snprintf(way, sizeof way, "loss.residual.%d.%d", i, c);
            ck_assert(fabs(json_number_value(at(j, way)) -
                           (ignored ? 0 : share - want)) < 1e-6);
        }
        snprintf(way, sizeof way, "loss.losses.%d", i);
        ck_assert(fabs(json_number_value(at(j, way)) - loss) < 1e-5);
        snprintf(way, sizeof way, "loss.target.%d", i);
        if (rill_i32(target))
            assert_int(j, way, ignored ? -100 : y);
    }
}

/* The graph and the gradients along it, against the tape as it stands. */
static void assert_graph(const json_t *graph, const json_t *detail, int nodes)
{
    char way[64];
    ck_assert_uint_eq(json_array_size(at(graph, "nodes")), (size_t)nodes);
    ck_assert_uint_eq(json_array_size(at(detail, "gradient")), (size_t)nodes);
    for (int i = 0; i < nodes; i++) {
        const rill_node *n = rill_tape_node(tape, i);
        const rill_tensor *y = rill_node_output(n);
        const rill_tensor *g = rill_grad(tape, y);
        const json_t *node = json_array_get(at(graph, "nodes"), (size_t)i);
        snprintf(way, sizeof way, "gradient.%d", i);
        ASSERT_LOGGED(detail, way, g ? rill_norm(g) : NAN);
        assert_text(node, "op", rill_node_op(n) ? rill_node_op(n)->name
                                                : NULL);
        ck_assert_uint_eq(json_array_size(at(node, "shape")),
                          (size_t)rill_ndim(y));
        for (int k = 0, given = 0; k < rill_node_inputs(n); k++) {
            const rill_node *from = rill_node_source(n, k);
            snprintf(way, sizeof way, "inputs.%d", given);
            if (!rill_node_input(n, k))
                continue;
            assert_int(node, way, from ? rill_node_index(from) : -1);
            g = rill_node_grad(n, k);
            snprintf(way, sizeof way, "edges.%d.%d", i, given++);
            ASSERT_LOGGED(detail, way, g ? rill_norm(g) : NAN);
        }
    }
}

START_TEST(graph_and_loss)
{
    enum { CLASSES = 5, MANY = 11 };
    rill_params *p = rill_params_new(RILL_F32, 5);
    rill_params_add(p, "head.weight", RILL_SHAPE(CLASSES, 3));
    rill_init_normal(p, rill_params_at(p, 0), 0, 1);
    rill_optim *o = rill_sgd_new(p, &(rill_sgd_opts){ .lr = 0.1 });
    const rill_recorder_opts each = { .details = 1 };
    const int32_t ignore = 9;
    for (int which = 0; which < 3; which++) {
        static const int32_t classes[MANY] = { 0, 4, -100, 2, 9, 1, 0, 0, 3,
                                               3, 1 };
        rill_recorder *r = recorder(p, &each);
        rill_tensor *x = normal(2, RILL_F32, RILL_SHAPE(MANY, 3));
        rill_tensor *y = rill_copy(tape, classes, RILL_I32, RILL_SHAPE(MANY));
        if (which == 0)
            ((int32_t *)rill_write(y))[4] = -100;
        else
            ((int32_t *)rill_write(y))[2] = 9;
        if (which == 2)
            y = rill_softmax(tape, normal(3, RILL_F32,
                                          RILL_SHAPE(MANY, CLASSES)), 1);
        rill_tensor *z = open_step(p, r, o, x, y, &(rill_cross_entropy_opts){
            .ignore_index = which == 1 ? &ignore : NULL });
        int nodes = rill_tape_len(tape);
        close_and_read(r);
        const json_t *detail = line_at("detail", 0);
        assert_int(detail, "step", 0);
        assert_graph(line_at("graph", 0), detail, nodes);
        assert_opened(detail, z, y, 8);
        const json_t *graph = line_at("graph", 0);
        char way[64];
        snprintf(way, sizeof way, "nodes.%d.op",
                 (int)json_integer_value(at(detail, "loss.node")));
        assert_text(graph, way, "cross_entropy");
        assert_text(graph, "nodes.0.name", which == 2 ? "softmax.0"
                                                      : "head.weight");
        assert_int(graph, which == 2 ? "nodes.1.parameter"
                                     : "nodes.0.parameter", 0);
        rill_tape_reset(tape);
    }
    rill_optim_free(o);
    rill_params_free(p);
}
END_TEST

/* The weights after some steps, with or without a recorder. */
static double trained(rill_recorder *r, network *w)
{
    double sum = 0;
    for (int i = 0; i < 50; i++) {
        ck_assert(network_run(w, tape, w->x, w->y, 1));
        ck_assert(rill_recorder_step(r, w->opt, tape, w->loss));
        rill_tape_reset(tape);
    }
    for (int64_t k = 0; k < WIDE * WIDE; k++)
        sum += rill_at(w->fc2.weight, k);
    return sum;
}

START_TEST(every_and_details)
{
    network w = network_new(RILL_F32);
    rill_recorder *r = recorder(w.net, &(rill_recorder_opts){
        .every = 3, .details = 4, .samples = 2 });
    for (int i = 0; i < 20; i++) {
        ck_assert(network_run(&w, tape, w.x, w.y, 1));
        if (i == 9) /* the graph is another from here on */
            rill_scale(tape, w.loss, 2);
        ck_assert(rill_recorder_step(r, w.opt, tape, w.loss));
        rill_tape_reset(tape);
    }
    close_and_read(r);
    static const int steps[] = { 0, 3, 6, 9, 12, 15, 18 };
    static const int details[] = { 0, 6, 12, 18 };
    ck_assert_int_eq(lines_of("step"), 7);
    for (int i = 0; i < 7; i++)
        assert_int(line_at("step", i), "step", steps[i]);
    ck_assert_int_eq(lines_of("detail"), 4);
    for (int i = 0; i < 4; i++) {
        assert_int(line_at("detail", i), "step", details[i]);
        ck_assert_uint_eq(json_array_size(at(line_at("detail", i),
                                             "loss.losses")), 2);
    }
    ck_assert_int_eq(lines_of("graph"), 1);
    assert_int(line_at("end", 0), "step", 20);
    for (int every = 4; every <= 5; every++) { /* 5: each line has it all */
        r = recorder(w.net, &(rill_recorder_opts){ .every = every });
        trained(r, &w);
        close_and_read(r);
        for (int i = 0; i < lines_of("step"); i++)
            ck_assert_int_eq(json_is_null(at(line_at("step", i), "noise")),
                             every == 4 && i != 0 && i != 7);
    }
    network_free(&w);
}
END_TEST

/* Without a tape the sums of gradients are what is recorded; and a step that
 * fails is not counted. */
START_TEST(accumulated)
{
    network w = network_new(RILL_F32);
    rill_recorder *r = recorder(w.net, NULL);
    ck_assert(!rill_recorder_step(r, w.opt, tape, NULL));
    ck_assert(rill_error(tape) != NULL);
    rill_clear_error(tape);
    rill_optim_clear_error(w.opt);
    double norm = 0;
    for (int i = 0; i < 2; i++) {
        ck_assert(network_run(&w, tape, w.x, w.y, 1));
        norm = rill_norm(rill_grad(tape, w.fc3.weight));
        ck_assert(rill_params_accumulate(w.net, tape));
        rill_tape_reset(tape);
    }
    ck_assert(rill_recorder_step(r, w.opt, NULL, NULL));
    close_and_read(r);
    ck_assert_int_eq(lines_of("step"), 1);
    const json_t *line = line_at("step", 0);
    assert_int(line, "step", 0);
    ASSERT_LOGGED(line, "grad.4", 2 * norm);
    ASSERT_LOGGED(line, "loss", NAN);
    ck_assert(json_is_null(at(line, "grad.6")));
    network_free(&w);
}
END_TEST

/* ---- what the user adds ------------------------------------------------- */

/* Class 3 to the right of x0 = 0, else 1 where x1 is above 10, else 0; user
 * counts the calls. */
static rill_tensor *halves(rill_tape *t, rill_tensor **x, void *user)
{
    ++*(int *)user;
    int64_t n = rill_dim(x[0], 0);
    rill_tensor *z = rill_zeros(t, rill_dtype_of(x[0]), RILL_SHAPE(n, 4));
    double *v = rill_write(z);
    for (int64_t i = 0; i < n; i++)
        v[4 * i + (rill_at(x[0], 2 * i) > 0 ? 3 :
                   rill_at(x[0], 2 * i + 1) > 10)] = 1;
    return z;
}

START_TEST(values_events_regions)
{
    enum { MANY = 700 };
    network w = network_new(RILL_F64);
    rill_recorder *r = recorder(w.net, NULL);
    ck_assert(rill_recorder_event(r, "begun"));
    ck_assert(network_run(&w, tape, w.x, w.y, 1));
    for (int i = 0; i < 3; i++)
        ck_assert(rill_recorder_step(r, w.opt, tape, w.loss));
    ck_assert(rill_recorder_value(r, "accuracy", 0.875));
    ck_assert(rill_recorder_value(r, "accuracy", NAN));
    rill_tensor *x = rill_empty(tape, RILL_F64, RILL_SHAPE(MANY, 2));
    rill_tensor *y = rill_empty(tape, RILL_I32, RILL_SHAPE(MANY));
    for (int i = 0; i < MANY; i++) {
        ((double *)rill_write(x))[2 * i] = -1 + 2.0 * i / (MANY - 1);
        ((double *)rill_write(x))[2 * i + 1] = i % 2 ? 0 : 20;
        ((int32_t *)rill_write(y))[i] = i % 4;
    }
    int calls = 0;
    ck_assert(rill_recorder_regions(r, halves, &calls, x, y));
    ck_assert(rill_recorder_regions(r, halves, &calls, x, y));
    ck_assert_int_eq(calls, 2);
    close_and_read(r);
    assert_int(line_at("event", 0), "step", 0);
    assert_text(line_at("event", 0), "text", "begun");
    assert_int(line_at("value", 0), "step", 2);
    assert_text(line_at("value", 0), "name", "accuracy");
    ASSERT_LOGGED(line_at("value", 0), "value", 0.875);
    ASSERT_LOGGED(line_at("value", 1), "value", NAN);
    ck_assert_int_eq(lines_of("points"), 1);
    ck_assert_int_eq(lines_of("regions"), 2);
    const json_t *points = line_at("points", 0), *g = line_at("regions", 1);
    ck_assert_uint_eq(json_array_size(at(points, "x")), 500);
    ck_assert_uint_eq(json_array_size(at(points, "labels")), 500);
    ASSERT_LOGGED(points, "x.499.0", rill_at(x, 2 * 698));
    ASSERT_LOGGED(points, "x.499.1", rill_at(x, 2 * 698 + 1));
    assert_int(points, "labels.499", 698 % 4);
    assert_int(g, "step", 2);
    ASSERT_LOGGED(g, "low.0", -1.1);
    ASSERT_LOGGED(g, "low.1", -1);
    ASSERT_LOGGED(g, "high.0", 1.1);
    ASSERT_LOGGED(g, "high.1", 21);
    assert_int(g, "width", 48);
    assert_int(g, "height", 48);
    const char *cells = json_string_value(at(g, "classes"));
    ck_assert_uint_eq(strlen(cells), 48 * 48);
    for (int i = 0; i < 48 * 48; i++) /* the first row is the highest */
        ck_assert_int_eq(cells[i], i % 48 >= 24 ? '3' : i / 48 < 24 ? '1'
                                                                    : '0');
    network_free(&w);
}
END_TEST

/* A line has the room that it takes. */
START_TEST(a_long_line)
{
    enum { LONG = 200000 };
    char *text = malloc(LONG + 1);
    memset(text, 'x', LONG);
    text[LONG] = '\0';
    network w = network_new(RILL_F32);
    rill_recorder *r = recorder(w.net, NULL);
    ck_assert(rill_recorder_event(r, text));
    ck_assert(rill_recorder_event(r, "after"));
    close_and_read(r);
    assert_text(line_at("event", 0), "text", text);
    assert_text(line_at("event", 1), "text", "after");
    network_free(&w);
    free(text);
}
END_TEST

static rill_tensor *no_logits(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    return rill_zeros(t, rill_dtype_of(x[0]), RILL_SHAPE(3));
}

static rill_tensor *fails(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    return rill_matmul(t, x[0], NULL, NULL);
}

/* A recorder keeps its first error: one for each. */
#define ASSERT_ENDS(call, sentence)                                     \
    do {                                                                \
        rill_recorder *r = recorder(w.net, NULL);                       \
        ck_assert(rill_recorder_event(r, "before"));                    \
        ck_assert(!(call));                                             \
        ck_assert_pstr_eq(rill_recorder_error(r), sentence);            \
        ck_assert(!rill_recorder_event(r, "after"));                    \
        ck_assert(network_run(&w, tape, w.x, w.y, 1));                  \
        ck_assert(rill_recorder_step(r, w.opt, tape, w.loss));          \
        rill_tape_reset(tape);                                          \
        ck_assert(!rill_recorder_close(r));                             \
        ck_assert_pstr_eq(rill_recorder_error(r), sentence);            \
        rill_recorder_free(r);                                          \
        read_log();                                                     \
        ck_assert_int_eq(log_.n, 2);                                    \
        assert_text(log_.line[1], "text", "before");                    \
    } while (0)

START_TEST(refused_additions)
{
    network w = network_new(RILL_F64);
    rill_tape *t = w.data;
    rill_tensor *x = rill_zeros(t, RILL_F64, RILL_SHAPE(4, 2));
    rill_tensor *y = rill_zeros(t, RILL_I32, RILL_SHAPE(4)), *nan = NULL;
    nan = rill_full(t, NAN, RILL_F64, RILL_SHAPE(4, 2));
    int calls = 0;
    ASSERT_ENDS(rill_recorder_value(r, NULL, 1),
                "recorder_value: the name is NULL");
    ASSERT_ENDS(rill_recorder_event(r, NULL),
                "recorder_event: the text is NULL");
    ASSERT_ENDS(rill_recorder_regions(r, NULL, NULL, x, y),
                "recorder_regions: predict is NULL");
    ASSERT_ENDS(rill_recorder_regions(r, halves, &calls, y, y),
                "recorder_regions: x is not [N, 2] of floats");
    ASSERT_ENDS(rill_recorder_regions(r, halves, &calls, NULL, y),
                "recorder_regions: x is not [N, 2] of floats");
    ASSERT_ENDS(rill_recorder_regions(r, halves, &calls, x, x),
                "recorder_regions: labels are not int32 [N]");
    ASSERT_ENDS(rill_recorder_regions(r, halves, &calls, x, NULL),
                "recorder_regions: labels are not int32 [N]");
    ASSERT_ENDS(rill_recorder_regions(r, halves, &calls, nan, y),
                "recorder_regions: x is not finite");
    ASSERT_ENDS(rill_recorder_regions(r, no_logits, NULL, x, y),
                "recorder_regions: predict gave no logits [N, C] with C up "
                "to 36");
    ASSERT_ENDS(rill_recorder_regions(r, fails, NULL, x, y),
                "recorder_regions: matmul: b is NULL");
    ck_assert_int_eq(calls, 0);
    rill_recorder *r = recorder(w.net, NULL);
    ck_assert(rill_recorder_close(r));
    ck_assert(rill_recorder_close(r));
    ck_assert(!rill_recorder_event(r, "late"));
    ck_assert_pstr_eq(rill_recorder_error(r),
                      "recorder_event: the recorder was closed");
    rill_recorder_free(r);
    network_free(&w);
}
END_TEST

START_TEST(hostile_names)
{
    static const char *const names[] = {
        "a \"quoted\" back\\slash", "</script><b>&", "new\nline\ttab\x01\x1f",
        "\xc3\xa9t\xc3\xa9 \xe2\x80\xa8 \xf0\x9f\x8e\x88"
    };
    char long_name[301];
    memset(long_name, 'n', 300);
    long_name[300] = '\0';
    rill_params *p = rill_params_new(RILL_F32, 5);
    for (int i = 0; i < 4; i++)
        rill_params_add(p, names[i], RILL_SHAPE(1));
    rill_params_add(p, long_name, RILL_SHAPE(1));
    rill_params_add(p, "bad \xff\xc3 \xed\xa0\x80 \xc0\x80 \xf4\x90\x80\x80.w",
                    RILL_SHAPE(1));
    rill_optim *o = rill_sgd_new(p, &(rill_sgd_opts){ .lr = 0.1 });
    rill_recorder *r = recorder(p, &(rill_recorder_opts){ .title = names[0] });
    rill_tensor *x = rill_named(tape, rill_sigmoid(
        tape, rill_params_at(p, 4)), names[2]);
    ck_assert(rill_backward(tape, x, NULL));
    ck_assert(rill_recorder_step(r, o, tape, x));
    ck_assert(rill_recorder_value(r, names[1], 1));
    ck_assert(rill_recorder_event(r, names[2]));
    close_and_read(r);
    const json_t *run = log_.line[0];
    assert_text(run, "title", names[0]);
    for (int i = 0; i < 4; i++) {
        char way[64];
        snprintf(way, sizeof way, "parameters.%d.name", i);
        assert_text(run, way, names[i]);
    }
    assert_text(run, "parameters.4.name", long_name);
    /* one U+FFFD a byte that is no UTF-8 */
#define BAD "\xef\xbf\xbd"
    assert_text(run, "parameters.5.layer", "bad " BAD BAD " " BAD BAD BAD " "
                BAD BAD " " BAD BAD BAD BAD);
    assert_text(line_at("graph", 0), "nodes.0.name", long_name);
    assert_text(line_at("step", 0), "activations.0.name", names[2]);
    assert_text(line_at("value", 0), "name", names[1]);
    assert_text(line_at("event", 0), "text", names[2]);
    rill_optim_free(o);
    rill_params_free(p);
}
END_TEST

/* ---- what goes wrong ---------------------------------------------------- */

#define ASSERT_NO_RECORDER(place, net, opts, sentence)                       \
    do {                                                                     \
        ck_assert(!rill_recorder_new(place, net, opts, error, sizeof error)); \
        ck_assert_str_eq(error, sentence);                                   \
    } while (0)

START_TEST(refused)
{
    network w = network_new(RILL_F32);
    const rill_recorder_opts every = { .every = -1 };
    const rill_recorder_opts details = { .details = -2 };
    const rill_recorder_opts samples = { .samples = -3 };
    ASSERT_NO_RECORDER("/nowhere/log.jsonl", w.net, NULL,
                       "recorder: cannot write /nowhere/log.jsonl: No such "
                       "file or directory");
    ASSERT_NO_RECORDER("/", w.net, NULL,
                       "recorder: cannot write /: Is a directory");
    ASSERT_NO_RECORDER("/dev/full", w.net, NULL,
                       "recorder: cannot write /dev/full: No space left on "
                       "device");
    ASSERT_NO_RECORDER(NULL, w.net, NULL, "recorder: the path is NULL");
    ASSERT_NO_RECORDER("/dev/null", NULL, NULL,
                       "recorder: the parameter set is NULL");
    ASSERT_NO_RECORDER("/dev/null", w.net, &every,
                       "recorder: every is -1, which is negative");
    ASSERT_NO_RECORDER("/dev/null", w.net, &details,
                       "recorder: details is -2, which is negative");
    ASSERT_NO_RECORDER("/dev/null", w.net, &samples,
                       "recorder: samples is -3, which is negative");
    const char *const names[] = { "a", NULL };
    const rill_recorder_opts named = { .class_names = names, .classes = 2 };
    ASSERT_NO_RECORDER("/dev/null", w.net, &named,
                       "recorder: the name of class 1 is NULL");
    rill_params_add(w.net, "", RILL_SHAPE(1));
    ASSERT_NO_RECORDER("/dev/null", w.net, NULL,
                       "recorder: params: the name \"\" is empty or begins "
                       "with a dot");
    network_free(&w);
}
END_TEST

START_TEST(recording_changes_nothing)
{
    network w = network_new(RILL_F32), v = network_new(RILL_F32);
    double without = trained(NULL, &w);
    rill_recorder *r = recorder(v.net, NULL);
    double with = trained(r, &v);
    close_and_read(r);
    ck_assert(with == without);
    ck_assert(rill_recorder_value(NULL, "x", 1));
    ck_assert(rill_recorder_event(NULL, "x"));
    ck_assert(rill_recorder_regions(NULL, NULL, NULL, NULL, NULL));
    ck_assert(rill_recorder_close(NULL));
    ck_assert_ptr_null(rill_recorder_error(NULL));
    rill_recorder_free(NULL);
    ck_assert(!rill_recorder_step(NULL, NULL, tape, NULL));
    ck_assert_pstr_eq(rill_error(tape), "the optimiser is NULL");
    network_free(&w);
    network_free(&v);
}
END_TEST

/* The disk is full in the middle of a run: the steps do not mind. */
START_TEST(disk_fills_up)
{
    network w = network_new(RILL_F32);
    signal(SIGXFSZ, SIG_IGN);
    rill_recorder *r = recorder(w.net, NULL);
    struct rlimit few = { 20000, RLIM_INFINITY }, were;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &were), 0);
    few.rlim_max = were.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &few), 0);
    for (int i = 0; i < 4; i++)
        trained(r, &w);
    bool closed = rill_recorder_close(r);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &were), 0);
    ck_assert(!closed);
    char sentence[128];
    snprintf(sentence, sizeof sentence, "recorder: cannot write %s: File too "
             "large", path);
    ck_assert_pstr_eq(rill_recorder_error(r), sentence);
    rill_recorder_free(r);
    read_log();
    ck_assert(log_.cut);
    ck_assert_int_gt(lines_of("step"), 10);
    for (int i = 0; i < lines_of("step"); i++)
        assert_int(line_at("step", i), "step", i);
    network_free(&w);
}
END_TEST

START_TEST(killed)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        network w = network_new(RILL_F32);
        rill_recorder *r = recorder(w.net, NULL);
        for (;;)
            trained(r, &w);
    }
    struct stat s = { 0 };
    const struct timespec wait = { .tv_nsec = 10000000 };
    while (stat(path, &s) || s.st_size < 200000)
        nanosleep(&wait, NULL);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    read_log();
    ck_assert_int_gt(lines_of("step"), 50);
    ck_assert_int_eq(lines_of("end"), 0);
    for (int i = 0; i < lines_of("step"); i++)
        assert_int(line_at("step", i), "step", i);
}
END_TEST

/* What is logged can be read while the run goes on, after a second. */
START_TEST(lines_come_as_it_goes)
{
    network w = network_new(RILL_F32);
    rill_recorder *r = recorder(w.net, NULL);
    const struct timespec wait = { .tv_nsec = 20000000 };
    ck_assert(network_run(&w, tape, w.x, w.y, 1));
    ck_assert(rill_recorder_step(r, w.opt, tape, w.loss));
    do {
        nanosleep(&wait, NULL);
        read_log();
    } while (log_.n < 2); /* or the test times out */
    ck_assert_int_eq(lines_of("step"), 1);
    ck_assert_int_eq(lines_of("end"), 0);
    rill_recorder_free(r);
    read_log();
    ck_assert_int_eq(lines_of("end"), 1);
    network_free(&w);
}
END_TEST

int main(void)
{
    if (!mkdtemp(folder))
        return EXIT_FAILURE;
    snprintf(path, sizeof path, "%s/log.jsonl", folder);
    int status = HARNESS_RUN(
        "recorder", figures_in_float32, figures_in_float64, first_line,
        powers_of_two, small_and_large_norms, not_finite_between,
        noise_that_cannot_be_had, graph_and_loss, every_and_details,
        accumulated, values_events_regions, a_long_line, refused_additions,
        hostile_names, refused, recording_changes_nothing, disk_fills_up,
        killed, lines_come_as_it_goes);
    remove(path);
    return rmdir(folder) == 0 ? status : EXIT_FAILURE;
}
