/* recorder.h: what the files of the recorder share: internal to src/inspect.
 *
 * The thread that trains fills snapshots (recorder.c), one a recorded step,
 * in a ring; the recorder's writer (recorder_log.c) makes lines of them. A
 * snapshot belongs to the former until `filled` counts it, then to the latter
 * until `written` does. Lines of other kinds are made where they are asked
 * for; all are put together under the lock. */
#ifndef RILL_RECORDER_H
#define RILL_RECORDER_H

#include "json.h"
#include "measure.h"

#include <pthread.h>
#include <stdatomic.h>

#pragma GCC visibility push(hidden)

/* Parameters of more than SAMPLED elements have SAMPLED of them sampled: runs
 * of RUN, a cache line of float32, evenly spread. */
enum { RILL_SAMPLED = 4096, RILL_RUN = 16 };

typedef struct {
    const rill_tensor *w;
    int layer;
    size_t n, sampled; /* elements, and how many of them are in its sample */
    size_t at;         /* where that begins among all samples, in bytes */
} rill_recorded;

/* Sums of squares, of one parameter at one step. */
typedef struct {
    double weight, grad; /* of all elements */
    double before, moved; /* sampled: weights, and by how much they moved */
    bool learned;         /* there was a gradient */
} rill_measured;

typedef struct {
    int64_t step;
    double seconds, loss, lr;
    rill_measured *param; /* and then, the writer's, each layer's */
    bool broad; /* what follows was measured, too */
    double noise;
    void *gradients;       /* sampled */
    rill_json activations; /* as they stand in the log */
} rill_snapshot;

struct rill_recorder {
    /* for good */
    rill_tape *home; /* all memory but the text's */
    const char *path;
    rill_recorder_opts opts;
    rill_params *params;
    rill_dtype dtype;
    size_t size, slots; /* of an element in bytes; of the ring */
    rill_measures measures[2]; /* by dtype */
    int n, layers;
    rill_recorded *param;
    const char **layer; /* names */
    rill_snapshot *slot;
    double start;
    /* the training thread's */
    bool open;          /* there is a writer, and a log to write to */
    int64_t steps;      /* taken */
    int64_t broad_due, detail_due; /* from this step on */
    int graph;          /* nodes of the graph that was logged */
    bool points;        /* they were logged */
    void *before, *after; /* sampled weights */
    rill_tape *aside; /* reset after each use */
    /* shared */
    pthread_t writer;
    atomic_size_t filled, written; /* snapshots */
    atomic_bool closing;
    atomic_int failed; /* 1: the sentence is being written, 2: it is there */
    char error[512];
    pthread_mutex_t lock; /* of what follows */
    int file;
    bool broken;    /* the file takes no more */
    rill_json text; /* lines not yet in the file */
    size_t whole;   /* its bytes in whole lines */
};

/* Keeps the first error, which ends the recording. */
__attribute__((format(printf, 2, 3)))
void rill_recorder_fail(rill_recorder *r, const char *format, ...);

/* Locks the text and begins a line of this type; end gives it to the log. */
rill_json *rill_line_begin(rill_recorder *r, const char *type);
void rill_line_end(rill_recorder *r);

bool rill_log_open(rill_recorder *r);
void rill_log_close(rill_recorder *r);
double rill_recorder_seconds(void);

/* "graph", where it is another than before, and "detail". */
void rill_recorder_detail(rill_recorder *r, rill_tape *t);

/* The sum of its elements' squares. */
double rill_recorder_squares(const rill_recorder *r, const rill_tensor *x);

#pragma GCC visibility pop

#endif
