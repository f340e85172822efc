/* team.c: the threads that share a large loop, matrix products included.
 *
 * One team serves the process. It is made at the first loop that is large
 * enough, waits a moment in case another follows, and then sleeps: nothing
 * spins when idle. A loop's parts depend on the loop alone, never on which
 * thread takes them, so the number of threads changes no bit. Where the team
 * is busy (another tape on another thread uses it) a loop runs alone. */
#define _GNU_SOURCE
#include "core.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_THREADS = 64, SPINS = 2000 };

static struct {
    atomic_int wanted; /* threads, this one included; 0: not asked yet */
    pthread_mutex_t busy; /* held by the one whose loop runs */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;
    int made, seats; /* workers; and how many more may join this loop */
    rill_loop *loop;
    void *context;
    int64_t parts;
    atomic_uint round;     /* counts loops: a worker joins each once */
    atomic_int joined;     /* workers in this loop */
    atomic_int_fast64_t next; /* part */
} team = { .busy = PTHREAD_MUTEX_INITIALIZER,
           .lock = PTHREAD_MUTEX_INITIALIZER,
           .work = PTHREAD_COND_INITIALIZER };

static void team_pause(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void team_take_parts(void)
{
    for (;;) {
        int64_t part = atomic_fetch_add(&team.next, 1);
        if (part >= team.parts)
            return;
        team.loop(team.context, part);
    }
}

static void *team_worker(void *start)
{
    unsigned seen = (unsigned)(uintptr_t)start;
    for (;;) {
        for (int i = 0; i < SPINS && atomic_load(&team.round) == seen; i++)
            team_pause();
        pthread_mutex_lock(&team.lock);
        while (atomic_load(&team.round) == seen)
            pthread_cond_wait(&team.work, &team.lock);
        seen = atomic_load(&team.round);
        bool seat = team.seats > 0;
        team.seats -= seat;
        atomic_fetch_add(&team.joined, seat);
        pthread_mutex_unlock(&team.lock);
        if (seat) {
            team_take_parts();
            atomic_fetch_sub(&team.joined, 1);
        }
    }
    return NULL;
}

/* A forked child has none of its parent's threads. */
static void team_forked(void)
{
    team.made = 0;
    pthread_mutex_init(&team.busy, NULL);
    pthread_mutex_init(&team.lock, NULL);
    pthread_cond_init(&team.work, NULL);
}

/* Makes workers up to n, as far as the system gives them. */
static void team_grow(int n)
{
    static bool watched;
    if (!watched)
        watched = pthread_atfork(NULL, NULL, team_forked) == 0;
    pthread_attr_t attr;
    if (!watched || pthread_attr_init(&attr))
        return;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (; team.made < n; team.made++) {
        pthread_t thread;
        void *round = (void *)(uintptr_t)atomic_load(&team.round);
        if (pthread_create(&thread, &attr, team_worker, round))
            break;
    }
    pthread_attr_destroy(&attr);
}

/* How many threads share a large loop: what rill_set_threads said, else the
 * environment's RILL_NUM_THREADS or OMP_NUM_THREADS, else all processors. */
int rill_threads(void)
{
    static const char *const names[] = { "RILL_NUM_THREADS",
                                         "OMP_NUM_THREADS" };
    long n = atomic_load(&team.wanted);
    for (int i = 0; i < 2 && n < 1; i++)
        n = getenv(names[i]) ? strtol(getenv(names[i]), NULL, 10) : 0;
    if (n < 1)
        n = sysconf(_SC_NPROCESSORS_ONLN);
    if (!atomic_load(&team.wanted))
        rill_set_threads(n < MAX_THREADS ? (int)n : MAX_THREADS);
    return atomic_load(&team.wanted);
}

/* Sets it for the whole process, from the next loop on; below 1 is 1, and 64
 * is the most. Results are the same bits for every number. */
void rill_set_threads(int n)
{
    atomic_store(&team.wanted, n < 1 ? 1 : n < MAX_THREADS ? n : MAX_THREADS);
}

/* Calls loop(context, part) once for every part in [0, parts), the parts
 * shared among the team where there is more than one. */
void rill_share(int64_t parts, rill_loop *loop, void *context)
{
    int helpers = rill_threads() - 1;
    if (helpers >= parts)
        helpers = (int)parts - 1;
    if (helpers < 1 || pthread_mutex_trylock(&team.busy)) {
        for (int64_t i = 0; i < parts; i++)
            loop(context, i);
        return;
    }
    team_grow(helpers);
    pthread_mutex_lock(&team.lock);
    team.loop = loop;
    team.context = context;
    team.parts = parts;
    team.seats = helpers;
    atomic_store(&team.next, 0);
    atomic_fetch_add(&team.round, 1);
    pthread_cond_broadcast(&team.work);
    pthread_mutex_unlock(&team.lock);
    team_take_parts();
    /* whoever has not come by now is not waited for */
    pthread_mutex_lock(&team.lock);
    team.seats = 0;
    pthread_mutex_unlock(&team.lock);
    for (int i = 0; atomic_load(&team.joined) > 0; i++)
        if (i < SPINS)
            team_pause();
        else
            sched_yield(); /* more threads than processors */
    pthread_mutex_unlock(&team.busy);
}
