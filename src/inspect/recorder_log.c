/* recorder_log.c: the log: its lines and the thread that writes them.
 *
 * Lines are put together in memory, by whichever thread has the lock, and go
 * to the file whole, once a second or when there are many. After a write
 * has failed there is no other, so that what stands in the file stays
 * readable; at most its last line is cut off. */
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MANY_BYTES = 1 << 15 };

/* ---- lines -------------------------------------------------------------- */

/* Under the lock: gives the text to the file. */
static void log_flush(rill_recorder *r)
{
    const char *at = r->text.at;
    while (r->whole > 0 && !r->broken) {
        ssize_t n = write(r->file, at, r->whole);
        r->broken = n < 0 && errno != EINTR;
        if (r->broken)
            rill_recorder_fail(r, "recorder: cannot write %s: %s", r->path,
                               strerror(errno));
        at += n > 0 ? n : 0;
        r->whole -= n > 0 ? (size_t)n : 0;
    }
    r->text.n = r->whole = 0;
}

rill_json *rill_line_begin(rill_recorder *r, const char *type)
{
    pthread_mutex_lock(&r->lock);
    rill_json_put(&r->text, NULL, "{");
    rill_json_string(&r->text, "type", type);
    return &r->text;
}

void rill_line_end(rill_recorder *r)
{
    rill_json_end(&r->text, "}\n");
    if (r->text.failed)
        rill_recorder_fail(r, "recorder: out of memory");
    else
        r->whole = r->text.n;
    if (r->text.n > MANY_BYTES)
        log_flush(r);
    pthread_mutex_unlock(&r->lock);
}

static void log_run(rill_recorder *r)
{
    char now[32];
    time_t seconds = time(NULL);
    struct tm utc = { 0 };
    gmtime_r(&seconds, &utc);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    rill_json *j = rill_line_begin(r, "run");
    rill_json_integer(j, "rill", 1);
    rill_json_string(j, "title", r->opts.title ? r->opts.title : r->path);
    rill_json_string(j, "started", now);
    rill_json_string(j, "dtype", rill_dtype_name(r->dtype));
    rill_json_integer(j, "every", r->opts.every);
    rill_json_integer(j, "details", r->opts.details);
    rill_json_integer(j, "sampled", RILL_SAMPLED);
    rill_json_put(j, "classes", "[");
    for (int i = 0; r->opts.class_names && i < r->opts.classes; i++)
        rill_json_string(j, NULL, r->opts.class_names[i]);
    rill_json_end(j, "]");
    rill_json_put(j, "parameters", "[");
    for (int i = 0; i < r->n; i++) {
        const rill_tensor *w = r->param[i].w;
        rill_json_put(j, NULL, "{");
        rill_json_string(j, "name", rill_name(w));
        rill_json_shape(j, w);
        rill_json_string(j, "layer", r->layer[r->param[i].layer]);
        rill_json_end(j, "}");
    }
    rill_json_end(j, "]");
    rill_line_end(r);
}

/* ---- a step's line ------------------------------------------------------ */

/* How many magnitudes lie in [2^e, 2^(e + 1)), from the lowest e that
 * has any; of p's sample among the gradients. */
static void log_histogram(const rill_recorder *r, rill_json *j,
                          const rill_recorded *p, const char *gradients)
{
    enum { LEAST = -1074, POWERS = 1024 - LEAST };
    int counts[POWERS] = { 0 }, zeros = 0, nonfinite = 0;
    int low = POWERS, high = -1;
    const void *g = gradients + p->at;
    for (size_t i = 0; i < p->sampled; i++) {
        double v = r->dtype == RILL_F32 ? ((const float *)g)[i]
                                        : ((const double *)g)[i];
        if (v == 0 || !isfinite(v)) {
            zeros += v == 0;
            nonfinite += v != 0;
            continue;
        }
        int e = ilogb(v) - LEAST;
        counts[e]++;
        low = e < low ? e : low;
        high = e > high ? e : high;
    }
    rill_json_put(j, NULL, "{");
    rill_json_integer(j, "zero", zeros);
    rill_json_integer(j, "nonfinite", nonfinite);
    rill_json_integer(j, "low", low > high ? 0 : low + LEAST);
    rill_json_put(j, "counts", "[");
    for (int e = low; e <= high; e++)
        rill_json_integer(j, NULL, counts[e]);
    rill_json_end(j, "]}");
}

static void log_histograms(const rill_recorder *r, rill_json *j,
                           const rill_snapshot *s)
{
    rill_json_put(j, "histogram", "[");
    for (int i = 0; i < r->n; i++)
        if (s->param[i].learned)
            log_histogram(r, j, &r->param[i], s->gradients);
        else
            rill_json_put(j, NULL, "null");
    rill_json_end(j, "]");
}

/* Norms, and by what share of its norm it moved, of each parameter or layer.
 * NaN where there is none. */
static void log_figures(rill_json *j, const rill_measured *m, int n)
{
    enum { WEIGHT, GRAD, UPDATE, FIGURES };
    static const char *const keys[] = { "weight", "grad", "update" };
    for (int f = WEIGHT; f < FIGURES; f++) {
        rill_json_put(j, keys[f], "[");
        for (int i = 0; i < n; i++) {
            double square = f == WEIGHT ? m[i].weight :
                            !m[i].learned ? NAN :
                            f == GRAD ? m[i].grad : m[i].moved / m[i].before;
            rill_json_number(j, NULL, sqrt(square));
        }
        rill_json_end(j, "]");
    }
}

/* Adds up the layers' squares; a sample's moves stand for all elements'. */
static void log_layers(const rill_recorder *r, rill_json *j, rill_snapshot *s)
{
    rill_measured *layers = s->param + r->n;
    memset(layers, 0, (size_t)r->layers * sizeof *layers);
    for (int i = 0; i < r->n; i++) {
        const rill_recorded *p = &r->param[i];
        const rill_measured *m = &s->param[i];
        rill_measured *layer = &layers[p->layer];
        layer->weight += m->weight;
        if (!m->learned)
            continue;
        layer->learned = true;
        layer->grad += m->grad;
        layer->before += m->weight;
        if (p->sampled)
            layer->moved += m->moved * (double)p->n / (double)p->sampled;
    }
    rill_json_put(j, "layers", "{");
    log_figures(j, layers, r->layers);
    rill_json_end(j, "}");
}

static void log_time(rill_json *j, double seconds)
{
    char text[32]; /* to the microsecond, however long it takes */
    int64_t n = (int64_t)(seconds * 1e6);
    snprintf(text, sizeof text, "%" PRId64 ".%06d", n / 1000000,
             (int)(n % 1000000));
    rill_json_put(j, "time", text);
}

static void log_step(rill_recorder *r, rill_snapshot *s)
{
    rill_json *j = rill_line_begin(r, "step");
    rill_json_integer(j, "step", s->step);
    log_time(j, s->seconds);
    rill_json_number(j, "loss", s->loss);
    rill_json_number(j, "lr", s->lr);
    log_figures(j, s->param, r->n);
    log_layers(r, j, s);
    if (s->broad)
        log_histograms(r, j, s);
    else
        rill_json_put(j, "histogram", "null");
    rill_json_put(j, "activations", s->broad ? s->activations.at : "null");
    rill_json_number(j, "noise", s->broad ? s->noise : NAN);
    rill_line_end(r);
}

/* ---- the writer --------------------------------------------------------- */

/* It looks for snapshots now and then: to wake it would cost the step more
 * than all that is measured. */
static void *log_writer(void *recorder)
{
    rill_recorder *r = recorder;
    const struct timespec rest = { .tv_nsec = 1000000 };
    double flushed = rill_recorder_seconds();
    for (bool closing = false; !closing;) {
        closing = atomic_load(&r->closing); /* before the last look */
        size_t filled = atomic_load(&r->filled);
        for (size_t i = atomic_load(&r->written); i < filled; i++) {
            log_step(r, &r->slot[i % r->slots]);
            atomic_store(&r->written, i + 1);
        }
        double now = rill_recorder_seconds();
        if (now - flushed > 1) {
            pthread_mutex_lock(&r->lock);
            log_flush(r);
            pthread_mutex_unlock(&r->lock);
            flushed = now;
        }
        nanosleep(&rest, NULL);
    }
    return NULL;
}

/* Signals are for the program's own threads. */
static bool log_start(rill_recorder *r)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&r->writer, NULL, log_writer, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        rill_recorder_fail(r, "recorder: no thread to write with: %s",
                           strerror(failed));
    return !failed;
}

/* The first line is written at once: a disk that is full is told of before
 * training begins. */
bool rill_log_open(rill_recorder *r)
{
    r->text.size = 2 * MANY_BYTES; /* so that no step has it grow */
    r->text.at = malloc(r->text.size);
    if (!r->text.at) {
        rill_recorder_fail(r, "recorder: out of memory");
        return false;
    }
    r->file = open(r->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (r->file < 0)
        rill_recorder_fail(r, "recorder: cannot write %s: %s", r->path,
                           strerror(errno));
    else
        log_run(r);
    log_flush(r);
    if (!rill_recorder_error(r) && log_start(r))
        return true;
    if (r->file >= 0)
        close(r->file);
    return false;
}

void rill_log_close(rill_recorder *r)
{
    atomic_store(&r->closing, true);
    pthread_join(r->writer, NULL);
    if (!rill_recorder_error(r)) {
        rill_json *j = rill_line_begin(r, "end");
        rill_json_integer(j, "step", r->steps);
        log_time(j, rill_recorder_seconds() - r->start);
        rill_line_end(r);
    }
    log_flush(r);
    if (close(r->file) && errno != EINTR)
        rill_recorder_fail(r, "recorder: cannot write %s: %s", r->path,
                           strerror(errno));
}
