/* recorder.c: a run, step by step: making a recorder, and measuring a step.
 *
 * A recorded step is to cost a few percent of its time: it is measured in
 * passes that vectorise (measure.c), and what need not be done before the
 * reset is the writer's (recorder_log.c). After the first step nothing is
 * allocated, but for tapes that grow. The tape is only read. */
#include "recorder.h"
#include "measure.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
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

/* Memory for a moment: what it held is gone with the next call. */
static void *recorder_scratch(rill_recorder *r, size_t bytes)
{
    if (bytes > r->scratch_bytes) {
        r->scratch_bytes = 2 * bytes;
        r->scratch = recorder_alloc(r, r->scratch_bytes);
    }
    return r->scratch;
}

/* ---- making one --------------------------------------------------------- */

static size_t recorder_size(const rill_recorder *r)
{
    return r->dtype == RILL_F64 ? sizeof(double) : sizeof(float);
}

/* The number of w's layer, which is called what stands before w's last dot;
 * a layer's first parameter makes it. */
static int recorder_layer(rill_recorder *r, const rill_tensor *w)
{
    const char *name = rill_name(w), *dot = strrchr(name, '.');
    size_t n = dot ? (size_t)(dot - name) : 0;
    for (int i = 0; i < r->layers; i++)
        if (strlen(r->layer[i]) == n && memcmp(r->layer[i], name, n) == 0)
            return i;
    char *copy = recorder_alloc(r, n + 1);
    if (copy) {
        memcpy(copy, name, n);
        copy[n] = '\0';
        r->layer[r->layers++] = copy;
    }
    return r->layers - 1;
}

static void recorder_params(rill_recorder *r)
{
    size_t n = (size_t)r->n, bytes;
    r->param = recorder_alloc(r, n * sizeof *r->param);
    r->layer = recorder_alloc(r, n * sizeof *r->layer);
    for (int i = 0; i < r->n && !rill_recorder_error(r); i++) {
        rill_recorded *p = &r->param[i];
        *p = (rill_recorded){ .w = rill_params_at(r->params, i),
                              .at = r->samples };
        p->layer = recorder_layer(r, p->w);
        p->n = (size_t)rill_numel(p->w);
        p->sampled = p->n > RILL_SAMPLED ? RILL_SAMPLED : p->n;
        r->samples += p->sampled;
    }
    bytes = r->samples * recorder_size(r);
    r->before = recorder_alloc(r, bytes);
    r->after = recorder_alloc(r, bytes);
    size_t slots = RING_BYTES / (bytes + 1);
    r->slots = slots < 2 ? 2 : slots > MOST_SLOTS ? MOST_SLOTS : (int)slots;
    r->slot = recorder_alloc(r, (size_t)r->slots * sizeof *r->slot);
    for (int i = 0; i < r->slots && !rill_recorder_error(r); i++)
        r->slot[i] = (rill_snapshot){
            .param = recorder_alloc(r, 2 * n * sizeof *r->slot->param),
            .gradients = recorder_alloc(r, bytes) };
}

static bool recorder_options(rill_recorder *r)
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
    if (!r->path)
        rill_recorder_fail(r, "recorder: the path is NULL");
    if (rill_params_error(r->params))
        rill_recorder_fail(r, "recorder: %s", rill_params_error(r->params));
    return !rill_recorder_error(r);
}

static void recorder_make(rill_recorder *r, const char *path)
{
    r->isa = rill_measure_isa();
    r->path = path;
    if (!recorder_options(r))
        return;
    char *copy = recorder_alloc(r, strlen(path) + 1);
    r->path = copy ? strcpy(copy, path) : "";
    r->n = rill_params_len(r->params);
    r->dtype = rill_dtype_of(rill_params_at(r->params, 0));
    recorder_params(r);
    r->start = rill_recorder_seconds();
    if (!r->aside)
        rill_recorder_fail(r, "recorder: out of memory");
    r->open = !rill_recorder_error(r) && rill_log_open(r);
}

/* Starts to record a run into the file at path, in place of what it held: a
 * JSON object a line, as docs/log.md describes them. What is recorded of the
 * parameters is of those that p has by now; p must outlive the recorder. opts
 * may be NULL. The caller ends it with rill_recorder_close and frees it with
 * rill_recorder_free. NULL, and a sentence in error (of error_size bytes),
 * where the file cannot be written, p is NULL or has failed, an option is
 * negative, or memory or threads ran out: training can go on with NULL for a
 * recorder. */
rill_recorder *rill_recorder_new(const char *path, rill_params *p,
                                 const rill_recorder_opts *opts,
                                 char *error, size_t error_size)
{
    rill_tape *home = rill_tape_new(NULL);
    rill_recorder *r = rill_tape_alloc(home, sizeof *r);
    if (!r) {
        snprintf(error, error_size, "recorder: out of memory");
        rill_tape_free(home);
        return NULL;
    }
    memset(r, 0, sizeof *r);
    r->home = home;
    r->params = p;
    r->opts = opts ? *opts : (rill_recorder_opts){ 0 };
    r->aside = rill_tape_new(NULL);
    rill_tape_record(r->aside, false);
    r->file = -1;
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
    pthread_mutex_destroy(&r->lock);
    rill_tape_free(r->aside);
    rill_tape_free(r->home);
}

/* ---- parameters --------------------------------------------------------- */

int rill_recorder_find(const rill_recorder *r, const rill_tensor *w)
{
    for (int i = 0; i < r->n; i++)
        if (r->param[i].w == w)
            return i;
    return -1;
}

/* The sampled elements of what is like parameter p, in memory for all. */
static void *recorder_sample(const rill_recorder *r, const rill_recorded *p,
                             const rill_tensor *from, void *to)
{
    size_t size = recorder_size(r), runs = RILL_SAMPLED / RILL_RUN;
    char *sample = (char *)to + p->at * size, *out = sample;
    const char *x = rill_data(from);
    if (p->sampled == p->n)
        return memcpy(sample, x, p->n * size);
    for (size_t i = 0; i < runs; i++, out += RILL_RUN * size) {
        /* from first to last; at a multiple of RUN */
        size_t at = i * (p->n - RILL_RUN) / (runs - 1) / RILL_RUN * RILL_RUN;
        memcpy(out, x + at * size, RILL_RUN * size);
    }
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
        rill_measured *m = &s->param[i];
        const rill_tensor *g = recorder_grad(r, t, p->w);
        bool whole = p->sampled == p->n;
        *m = (rill_measured){ .learned = g != NULL };
        m->weight = rill_squares(r->isa, r->dtype, rill_data(p->w), p->n);
        if (!g)
            continue;
        m->grad = rill_squares(r->isa, r->dtype, rill_data(g), p->n);
        s->broad = s->broad || !isfinite(m->grad);
        void *before = recorder_sample(r, p, p->w, r->before);
        m->before = whole ? m->weight : rill_squares(r->isa, r->dtype, before,
                                                     p->sampled);
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
        const char *before = (char *)r->before + p->at * recorder_size(r);
        if (s->param[i].learned)
            s->param[i].moved = rill_squares_between(
                r->isa, r->dtype, before, p->sampled == p->n
                    ? rill_data(p->w) : recorder_sample(r, p, p->w, r->after),
                p->sampled);
    }
}

/* ---- activations -------------------------------------------------------- */

/* The array, or a copy with room for `needed` elements more after n. */
static void *activity_grow(rill_recorder *r, void *array, size_t n,
                           size_t needed, size_t size, size_t *room)
{
    if (n + needed <= *room)
        return array;
    *room = 2 * (n + needed);
    void *larger = recorder_alloc(r, *room * size);
    if (larger && n)
        memcpy(larger, array, n * size);
    return larger;
}

/* Room in the snapshot for some more activations and bytes of names. */
static bool activity_room(rill_recorder *r, rill_snapshot *s, size_t more,
                          size_t bytes)
{
    s->activity = activity_grow(r, s->activity, s->activities, more,
                                sizeof *s->activity, &s->room);
    s->name = activity_grow(r, s->name, s->names, bytes, 1, &s->names_room);
    return s->activity && s->name;
}

/* Within 0.01 of an end of (0, 1); tanh is sigmoid stretched to (-1, 1). */
static const struct { const char *op; double low, high; } saturating[] = {
    { "sigmoid", 0.01, 0.99 }, { "tanh", -0.98, 0.98 }, { "relu", 0, 0 }
};
enum { RELU = 2, ACTIVATIONS };

static void measure_activation(rill_recorder *r, rill_snapshot *s,
                               const rill_node *n, int kind)
{
    const rill_tensor *y = rill_node_output(n);
    const char *name = rill_name(y);
    size_t all = (size_t)rill_numel(y), count, dead = 0;
    size_t width = rill_ndim(y) ? (size_t)rill_dim(y, -1) : 1;
    if (!activity_room(r, s, 1, strlen(name) + 1))
        return;
    if (kind == RELU) {
        int32_t *alive = recorder_scratch(r, width * sizeof *alive);
        if (!alive)
            return;
        count = rill_count_zeros(r->isa, rill_dtype_of(y), rill_data(y),
                                 width ? all / width : 0, width, alive,
                                 &dead);
    } else {
        count = rill_count_outside(r->isa, rill_dtype_of(y), rill_data(y),
                                   all, saturating[kind].low,
                                   saturating[kind].high);
    }
    s->activity[s->activities++] = (rill_activity){
        .op = rill_node_op(n), .index = rill_node_index(n), .name = s->names,
        .share = (double)count / (double)all,
        .dead = (double)dead / (double)width };
    strcpy(s->name + s->names, name);
    s->names += strlen(name) + 1;
}

/* ---- gradient noise ----------------------------------------------------- */

/* A linear node, y = x W^T + b, and the gradients in y, W and b. */
typedef struct {
    const rill_tensor *x, *gy, *gw, *gb; /* gw, gb: NULL where frozen */
    size_t rows, in, out;
} noise_layer;

/* Whether the weight's gradient is still the sum of the rows' shares: not
 * clipped, not replaced, of no other use. Looked at in one entry; the
 * tolerance is float32's. */
static bool noise_whole(const rill_recorder *r, const noise_layer *l)
{
    rill_product_entry e = rill_product_at_peak(
        r->isa, rill_dtype_of(l->gy), rill_data(l->gy), rill_data(l->x),
        l->rows, l->out, l->in);
    return fabs(rill_at(l->gw, (int64_t)(e.j * l->in + e.k)) - e.sum) <=
           1e-4 * e.size;
}

/* What the layer adds to sum |g_i|^2: row i's share of the gradient in W is
 * gy_i x_i^T, of squared norm |gy_i|^2 |x_i|^2, and in b it is gy_i. */
static double noise_rows(rill_recorder *r, const noise_layer *l)
{
    double *a = recorder_scratch(r, 2 * l->rows * sizeof *a), sum = 0;
    if (!a)
        return NAN;
    double *b = a + l->rows;
    rill_row_squares(r->isa, rill_dtype_of(l->gy), rill_data(l->gy), l->rows,
                     l->out, a);
    rill_row_squares(r->isa, rill_dtype_of(l->x), rill_data(l->x), l->rows,
                     l->in, b);
    for (size_t i = 0; i < l->rows; i++)
        sum += a[i] * ((l->gw ? b[i] : 0) + (l->gb ? 1 : 0));
    return sum;
}

static double noise_square(const rill_recorder *r, const rill_tensor *g)
{
    return !g ? 0 : rill_squares(r->isa, rill_dtype_of(g), rill_data(g),
                                 (size_t)rill_numel(g));
}

typedef struct {
    int64_t rows; /* -1: no layer yet */
    double each;  /* sum over rows of |g_i|^2; NaN: not to be had */
    double whole; /* |G|^2 */
} noise_sums;

static void measure_noise(rill_recorder *r, rill_tape *t, const rill_node *n,
                          noise_sums *sums)
{
    const rill_tensor *w = rill_node_input(n, 1);
    const rill_tensor *b = rill_node_input(n, 2);
    noise_layer l = { .x = rill_node_input(n, 0),
                      .gy = rill_grad(t, rill_node_output(n)),
                      .out = (size_t)rill_dim(w, 0),
                      .in = (size_t)rill_dim(w, 1) };
    l.gw = rill_node_wants(n, 1) ? rill_grad(t, w) : NULL;
    l.gb = rill_node_wants(n, 2) ? rill_grad(t, b) : NULL;
    l.rows = (size_t)rill_dim(l.x, 0);
    if (!l.gw && !l.gb)
        return;
    bool same = sums->rows < 0 || sums->rows == (int64_t)l.rows;
    sums->rows = (int64_t)l.rows;
    if (rill_ndim(l.x) != 2 || !same || (l.gw && !noise_whole(r, &l))) {
        sums->each = NAN;
        return;
    }
    sums->each += noise_rows(r, &l);
    sums->whole += noise_square(r, l.gw) + noise_square(r, l.gb);
}

/* What stands on the tape: activations, and the linear layers' rows. */
static void measure_tape(rill_recorder *r, rill_snapshot *s, rill_tape *t)
{
    noise_sums sums = { .rows = -1 };
    int len = rill_tape_len(t);
    for (int i = 0; i < len; i++) {
        const rill_node *n = rill_tape_node(t, i);
        const rill_op *op = rill_node_op(n);
        int kind = 0;
        if (!op)
            continue;
        bool linear = strcmp(op->name, "linear") == 0 &&
                      rill_node_inputs(n) == 3;
        while (!linear && kind < ACTIVATIONS &&
               strcmp(op->name, saturating[kind].op) != 0)
            kind++;
        if (kind == ACTIVATIONS || !rill_grad(t, rill_node_output(n)))
            continue;
        if (!linear)
            measure_activation(r, s, n, kind);
        else if (!isnan(sums.each))
            measure_noise(r, t, n, &sums);
    }
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
    size_t filled = atomic_load(&r->filled), slots = (size_t)r->slots;
    while (filled - atomic_load(&r->written) == slots)
        nanosleep(&wait, NULL);
    rill_snapshot *s = &r->slot[filled % slots];
    s->activities = 0;
    s->names = 0;
    return s;
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
    measure_moves(r, s);
    if (s->broad && r->opts.every <= OFTEN)
        r->broad_due = r->steps + BROAD_STEPS;
    /* at the first: the others will need as much room */
    for (int i = 1; r->steps == 0 && i < r->slots; i++)
        activity_room(r, &r->slot[i], s->activities, s->names);
    if (recorder_on(r)) /* memory may have run out */
        atomic_fetch_add(&r->filled, 1);
    if (recorder_on(r) && t && r->steps >= r->detail_due)
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
