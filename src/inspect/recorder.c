/* recorder.c: a run, step by step: making a recorder, and measuring a step.
 *
 * A recorded step is to cost a few percent of its time: it is measured in
 * passes that vectorise (measure.c), and what need not be done before the
 * reset is the writer's (recorder_log.c). After the first step nothing is
 * allocated, but for tapes that grow. The tape is only read. */
#include "recorder.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RING_BYTES = 8 << 20, MOST_SLOTS = 128 };

/* Histograms, activations and noise cost more than all else and change
 * slowly. Where almost every step is recorded they are measured once in
 * BROAD_STEPS, and where a gradient is not finite. */
enum { OFTEN = 4, BROAD_STEPS = 25 };

/* ---- errors ------------------------------------------------------------- */

void rill_recorder_fail(rill_recorder *r, const char *format, ...)
{
    int none = 0;
    va_list args;
    if (!atomic_compare_exchange_strong(&r->failed, &none, 1))
        return;
    va_start(args, format);
    vsnprintf(r->error, sizeof r->error, format, args);
    va_end(args);
    atomic_store(&r->failed, 2);
}

/* The recorder's first error, or NULL; NULL also for a NULL recorder, which
 * records nothing and so cannot fail. Good until rill_recorder_free. */
const char *rill_recorder_error(const rill_recorder *r)
{
    return r && atomic_load(&r->failed) == 2 ? r->error : NULL;
}

static bool recorder_on(const rill_recorder *r)
{
    return r && r->open && !atomic_load(&r->failed);
}

/* Memory of the recorder's; NULL with its error. */
static void *recorder_alloc(rill_recorder *r, size_t bytes)
{
    void *p = rill_tape_alloc(r->home, bytes);
    if (!p)
        rill_recorder_fail(r, "recorder: %s", rill_error(r->home));
    return p;
}

/* ---- making one --------------------------------------------------------- */

/* The number of w's layer, which is called what stands before w's last dot;
 * a layer's first parameter makes it. */
static int recorder_layer(rill_recorder *r, const rill_tensor *w)
{
    char *name = recorder_alloc(r, strlen(rill_name(w)) + 1);
    if (!name)
        return 0;
    char *dot = strrchr(strcpy(name, rill_name(w)), '.');
    *(dot ? dot : name) = '\0';
    for (int i = 0; i < r->layers; i++)
        if (strcmp(r->layer[i], name) == 0)
            return i;
    r->layer[r->layers] = name;
    return r->layers++;
}

static void recorder_params(rill_recorder *r)
{
    size_t n = (size_t)r->n, bytes = 0, slots;
    r->param = recorder_alloc(r, n * sizeof *r->param);
    r->layer = recorder_alloc(r, n * sizeof *r->layer);
    for (int i = 0; i < r->n && !rill_recorder_error(r); i++) {
        rill_recorded *p = &r->param[i];
        p->w = rill_params_at(r->params, i);
        p->layer = recorder_layer(r, p->w);
        p->n = (size_t)rill_numel(p->w);
        p->sampled = p->n > RILL_SAMPLED ? RILL_SAMPLED : p->n;
        p->at = bytes;
        bytes += p->sampled * r->size;
    }
    r->before = recorder_alloc(r, bytes);
    r->after = recorder_alloc(r, bytes);
    slots = RING_BYTES / (bytes + 1);
    slots = slots < 2 ? 2 : slots > MOST_SLOTS ? MOST_SLOTS : slots;
    r->slot = recorder_alloc(r, slots * sizeof *r->slot);
    for (; r->slot && r->slots < slots; r->slots++)
        r->slot[r->slots] = (rill_snapshot){
            .param = recorder_alloc(r, 2 * n * sizeof *r->slot->param),
            .gradients = recorder_alloc(r, bytes) };
}

static void recorder_options(rill_recorder *r, const char *path)
{
    const struct { const char *name; int64_t *value, preset; } counts[] = {
        { "every", &r->opts.every, 1 }, { "details", &r->opts.details, 50 },
        { "samples", &r->opts.samples, 8 }
    };
    for (int i = 0; i < 3; i++) {
        int64_t *v = counts[i].value;
        if (*v < 0)
            rill_recorder_fail(r, "recorder: %s is %" PRId64 ", which is "
                               "negative", counts[i].name, *v);
        *v = *v ? *v : counts[i].preset;
    }
    for (int i = 0; r->opts.class_names && i < r->opts.classes; i++)
        if (!r->opts.class_names[i])
            rill_recorder_fail(r, "recorder: the name of class %d is NULL", i);
    if (!path)
        rill_recorder_fail(r, "recorder: the path is NULL");
    if (rill_params_error(r->params))
        rill_recorder_fail(r, "recorder: %s", rill_params_error(r->params));
}

static void recorder_make(rill_recorder *r, const char *path)
{
    recorder_options(r, path);
    if (rill_recorder_error(r))
        return;
    char *copy = recorder_alloc(r, strlen(path) + 1);
    r->path = copy ? strcpy(copy, path) : "";
    r->n = rill_params_len(r->params);
    r->dtype = rill_dtype_of(rill_params_at(r->params, 0));
    r->size = r->dtype == RILL_F64 ? sizeof(double) : sizeof(float);
    for (rill_dtype dtype = RILL_F32; dtype <= RILL_F64; dtype++)
        r->measures[dtype] = rill_measures_of(dtype);
    recorder_params(r);
    r->start = rill_recorder_seconds();
    r->open = !rill_recorder_error(r) && rill_log_open(r);
}

/* Starts to record a run into the file at path, in place of what it held: a
 * JSON object a line, as docs/log.md describes them. What is recorded of
 * the parameters is of those that p has by now; p must outlive the
 * recorder. opts may be NULL. The caller ends it with rill_recorder_close
 * and frees it with rill_recorder_free. NULL, and a sentence in error (of
 * error_size bytes), where the file cannot be written, p is NULL or has
 * failed, an option is negative, a class name NULL, or memory or threads
 * ran out: training can go on with NULL for a recorder. */
rill_recorder *rill_recorder_new(const char *path, rill_params *p,
                                 const rill_recorder_opts *opts,
                                 char *error, size_t error_size)
{
    rill_tape *home = rill_tape_new(NULL), *aside = rill_tape_new(NULL);
    rill_recorder *r = aside ? rill_tape_alloc(home, sizeof *r) : NULL;
    if (!r) {
        snprintf(error, error_size, "recorder: out of memory");
        rill_tape_free(home);
        rill_tape_free(aside);
        return NULL;
    }
    *r = (rill_recorder){ .home = home, .aside = aside, .params = p,
                          .opts = opts ? *opts : (rill_recorder_opts){ 0 } };
    rill_tape_record(aside, false);
    pthread_mutex_init(&r->lock, NULL);
    recorder_make(r, path);
    if (!rill_recorder_error(r))
        return r;
    snprintf(error, error_size, "%s", rill_recorder_error(r));
    rill_recorder_free(r);
    return NULL;
}

/* Writes what is not written yet and a last line, and closes the log; later
 * steps are not recorded. Whether all was written: else rill_recorder_error
 * says why not. NULL is allowed, and true. */
bool rill_recorder_close(rill_recorder *r)
{
    if (r && r->open) {
        rill_log_close(r);
        r->open = false;
    }
    return !rill_recorder_error(r);
}

/* Frees the recorder, after closing its log where that was not done. NULL is
 * allowed. */
void rill_recorder_free(rill_recorder *r)
{
    if (!r)
        return;
    rill_recorder_close(r);
    for (size_t i = 0; i < r->slots; i++)
        free(r->slot[i].activations.at);
    free(r->text.at);
    pthread_mutex_destroy(&r->lock);
    rill_tape_free(r->aside);
    rill_tape_free(r->home);
}

/* ---- parameters --------------------------------------------------------- */

double rill_recorder_squares(const rill_recorder *r, const rill_tensor *x)
{
    return r->measures[rill_dtype_of(x)].squares(rill_data(x), NULL,
                                                 (size_t)rill_numel(x));
}

/* The sampled elements of what is like parameter p, in memory for all. */
static void *recorder_sample(const rill_recorder *r, const rill_recorded *p,
                             const rill_tensor *from, void *to)
{
    size_t runs = RILL_SAMPLED / RILL_RUN, run = RILL_RUN * r->size;
    char *sample = (char *)to + p->at;
    const char *x = rill_data(from);
    if (p->sampled == p->n)
        return memcpy(sample, x, p->n * r->size);
    for (size_t i = 0; i < runs; i++)
        /* from first to last; at a multiple of RUN */
        memcpy(sample + i * run,
               x + i * (p->n - RILL_RUN) / (runs - 1) / RILL_RUN * run, run);
    return sample;
}

/* What the optimiser will move w by: of the tape, or with t NULL what was
 * accumulated. */
static const rill_tensor *recorder_grad(const rill_recorder *r, rill_tape *t,
                                        const rill_tensor *w)
{
    return rill_variable_frozen(w) ? NULL : t ? rill_grad(t, w)
                                              : rill_params_grad(r->params, w);
}

static void measure_params(rill_recorder *r, rill_snapshot *s, rill_tape *t)
{
    for (int i = 0; i < r->n; i++) {
        const rill_recorded *p = &r->param[i];
        const rill_tensor *g = recorder_grad(r, t, p->w);
        rill_measured *m = &s->param[i];
        *m = (rill_measured){ .weight = rill_recorder_squares(r, p->w),
                              .learned = g != NULL };
        if (!g)
            continue;
        m->grad = rill_recorder_squares(r, g);
        s->broad = s->broad || !isfinite(m->grad);
        const void *before = recorder_sample(r, p, p->w, r->before);
        m->before = p->sampled == p->n ? m->weight
            : r->measures[r->dtype].squares(before, NULL, p->sampled);
    }
}

static void copy_gradients(rill_recorder *r, rill_snapshot *s, rill_tape *t)
{
    for (int i = 0; i < r->n; i++) {
        const rill_tensor *g = recorder_grad(r, t, r->param[i].w);
        if (g)
            recorder_sample(r, &r->param[i], g, s->gradients);
    }
}

/* By how much the optimiser moved them. */
static void measure_moves(rill_recorder *r, rill_snapshot *s)
{
    for (int i = 0; i < r->n; i++) {
        const rill_recorded *p = &r->param[i];
        if (!s->param[i].learned)
            continue;
        const void *after = p->sampled == p->n
                                ? rill_data(p->w)
                                : recorder_sample(r, p, p->w, r->after);
        s->param[i].moved = r->measures[r->dtype].squares(
            (const char *)r->before + p->at, after, p->sampled);
    }
}

/* ---- the tape ----------------------------------------------------------- */

/* Within 0.01 of an end of (0, 1); tanh is sigmoid stretched to (-1, 1). */
static const struct { const char *op; double low, high; } saturating[] = {
    { "relu", 0, NAN }, { "sigmoid", 0.01, 0.99 }, { "tanh", -0.98, 0.98 }
};
enum { ACTIVATIONS = sizeof saturating / sizeof *saturating };

static void measure_activation(const rill_recorder *r, rill_json *j,
                               rill_tape *t, const rill_node *n)
{
    char label[RILL_LABEL];
    const rill_tensor *y = rill_node_output(n);
    const char *op = rill_node_op(n)->name;
    size_t width = rill_ndim(y) ? (size_t)rill_dim(y, -1) : 1;
    size_t all = (size_t)rill_numel(y), dead;
    int kind = 0;
    while (kind < ACTIVATIONS && strcmp(op, saturating[kind].op) != 0)
        kind++;
    if (kind == ACTIVATIONS || !rill_grad(t, y))
        return;
    bool relu = kind == 0;
    size_t count = r->measures[rill_dtype_of(y)].count(
        rill_data(y), width ? all / width : 0, width, saturating[kind].low,
        saturating[kind].high, &dead);
    rill_json_put(j, NULL, "{");
    rill_json_string(j, "name", rill_node_name(n, label));
    rill_json_string(j, "op", op);
    rill_json_number(j, relu ? "zero" : "saturated",
                     (double)count / (double)all);
    if (relu)
        rill_json_number(j, "dead", (double)dead / (double)width);
    rill_json_end(j, "}");
}

/* Over the linear nodes, y = x W^T + b. */
typedef struct {
    int64_t rows; /* -1: no layer yet */
    double each;  /* sum over rows of |g_i|^2; NaN: not to be had */
    double whole; /* |G|^2 */
} noise_sums;

static void measure_noise(const rill_recorder *r, rill_tape *t,
                          const rill_node *n, noise_sums *sums)
{
    const rill_tensor *x = rill_node_input(n, 0), *w = rill_node_input(n, 1);
    const rill_tensor *gy = rill_grad(t, rill_node_output(n));
    const rill_tensor *g[2] = { NULL }; /* in W and b; NULL where frozen */
    int64_t rows = rill_dim(x, 0);
    for (int i = 0; i < 2; i++)
        if (rill_node_wants(n, i + 1))
            g[i] = rill_grad(t, rill_node_input(n, i + 1));
    if (isnan(sums->each) || !gy || (!g[0] && !g[1]))
        return;
    bool same = sums->rows < 0 || sums->rows == rows;
    sums->rows = rows;
    sums->each += rill_ndim(x) != 2 || !same ? NAN :
        r->measures[rill_dtype_of(gy)].shares(
            rill_data(gy), rill_data(x), g[0] ? rill_data(g[0]) : NULL, g[1],
            (size_t)rows, (size_t)rill_dim(w, 0), (size_t)rill_dim(w, 1));
    for (int i = 0; i < 2; i++)
        sums->whole += g[i] ? rill_recorder_squares(r, g[i]) : 0;
}

static void measure_tape(rill_recorder *r, rill_snapshot *s, rill_tape *t)
{
    noise_sums sums = { .rows = -1 };
    int len = rill_tape_len(t);
    s->activations.n = 0;
    rill_json_put(&s->activations, NULL, "[");
    for (int i = 0; i < len; i++) {
        const rill_node *n = rill_tape_node(t, i);
        const rill_op *op = rill_node_op(n);
        if (op && strcmp(op->name, "linear") == 0 && rill_node_inputs(n) == 3)
            measure_noise(r, t, n, &sums);
        else if (op)
            measure_activation(r, &s->activations, t, n);
    }
    rill_json_end(&s->activations, "]");
    s->noise = sums.rows < 0 ? NAN : ((double)sums.rows * sums.each -
                                      sums.whole) / sums.whole;
}

/* ---- a step ------------------------------------------------------------- */

double rill_recorder_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The snapshot to fill; waits while the writer is a ring behind. */
static rill_snapshot *recorder_slot(rill_recorder *r)
{
    const struct timespec wait = { .tv_nsec = 20000 };
    size_t filled = atomic_load(&r->filled);
    while (filled - atomic_load(&r->written) == r->slots)
        nanosleep(&wait, NULL);
    return &r->slot[filled % r->slots];
}

static void measure_step(rill_recorder *r, rill_snapshot *s, rill_optim *o,
                         rill_tape *t, const rill_tensor *loss)
{
    s->step = r->steps;
    s->seconds = rill_recorder_seconds() - r->start;
    s->loss = rill_item(loss);
    s->lr = rill_optim_lr(o);
    s->broad = r->steps >= r->broad_due;
    measure_params(r, s, t);
    if (s->broad) {
        copy_gradients(r, s, t);
        measure_tape(r, s, t);
    }
}

/* Hands the snapshot to the writer, and logs what the step is due beside. */
static void recorder_publish(rill_recorder *r, rill_snapshot *s, rill_tape *t)
{
    bool failed = s->activations.failed;
    /* at the first: the others will need as much room */
    for (size_t i = 1; r->steps == 0 && !failed && i < r->slots; i++) {
        rill_json_put(&r->slot[i].activations, NULL, s->activations.at);
        failed = r->slot[i].activations.failed;
    }
    if (failed)
        rill_recorder_fail(r, "recorder: out of memory");
    if (!recorder_on(r))
        return;
    measure_moves(r, s);
    if (s->broad && r->opts.every <= OFTEN)
        r->broad_due = r->steps + BROAD_STEPS;
    atomic_fetch_add(&r->filled, 1);
    if (t && r->steps >= r->detail_due)
        rill_recorder_detail(r, t);
}

/* rill_optim_step(o, t), and what it did recorded: call it in its place,
 * between backward and reset (with t NULL the accumulated gradients, as
 * there). loss, whose value is recorded, may be NULL. Returns what
 * rill_optim_step does; a step that failed is neither recorded nor counted.
 * Recording never stops a run: an error of its own is kept in the recorder
 * and ends the recording alone. r NULL: not recorded. */
bool rill_recorder_step(rill_recorder *r, rill_optim *o, rill_tape *t,
                        const rill_tensor *loss)
{
    bool due = recorder_on(r) && r->steps % r->opts.every == 0;
    rill_snapshot *s = due ? recorder_slot(r) : NULL;
    if (s)
        measure_step(r, s, o, t, loss);
    bool stepped = rill_optim_step(o, t);
    if (s && stepped)
        recorder_publish(r, s, t);
    if (r)
        r->steps += stepped;
    return stepped;
}
