/* tape.c: a tape's memory and its life.
 *
 * Memory comes from an arena of blocks. A block is never given back before
 * the tape is freed; reset only marks all of them empty. The search for room
 * goes through the blocks in the order they were made, so a step that repeats
 * the last one finds every block it needs in the same place: after the first
 * step of a training loop nothing is allocated. */
#define _DEFAULT_SOURCE /* madvise */
#include "core.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64, BLOCK_BYTES = 1 << 18, HUGE_BYTES = 1 << 21 };

struct rill_block {
    rill_block *next;
    size_t size, used; /* this header, of ALIGN bytes, included */
};

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* The version that the library was built as. */
const char *rill_version(void)
{
    return TEXT(RILL_VERSION_MAJOR) "." TEXT(RILL_VERSION_MINOR)
           "." TEXT(RILL_VERSION_PATCH);
}

/* Makes a tape that records, not in training mode. opts may be NULL. The
 * caller frees it with rill_tape_free. NULL when memory ran out. */
rill_tape *rill_tape_new(const rill_tape_opts *opts)
{
    rill_tape *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    if (opts)
        t->opts = *opts;
    t->recording = true;
    t->isa = rill_isa_best();
    return t;
}

/* Frees the tape and all tensors on it. NULL is allowed. */
void rill_tape_free(rill_tape *t)
{
    if (!t)
        return;
    for (rill_block *b = t->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(t->nodes);
    free(t);
}

/* Ends a step: every tensor that the tape made is gone, its memory is kept
 * for the next ones. An error stays (rill_clear_error). */
void rill_tape_reset(rill_tape *t)
{
    if (!t)
        return;
    for (rill_block *b = t->blocks; b; b = b->next)
        b->used = ALIGN;
    t->current = t->blocks;
    t->bytes = 0;
    t->n_nodes = 0;
    memset(t->leaves, 0, sizeof t->leaves);
    t->ops = 0;
    t->published = 0;
    t->epoch++;
    t->step++;
}

/* Whether ops are recorded from now on; returns what it was, at first true. */
bool rill_tape_record(rill_tape *t, bool on)
{
    bool was = t && t->recording;
    if (t)
        t->recording = on;
    return was;
}

/* Whether dropout drops from now on; returns what it was, at first false. */
bool rill_tape_train(rill_tape *t, bool on)
{
    bool was = t && t->training;
    if (t)
        t->training = on;
    return was;
}

/* How often the tape was reset: dropout's masks go by it. */
RILL_READER(uint64_t, rill_tape_step, rill_tape, x->step, 0)

/* Goes on counting from step, for a run that is taken up again. */
void rill_tape_set_step(rill_tape *t, uint64_t step)
{
    if (t)
        t->step = step;
}

/* Bytes of tensors and nodes since the last reset. */
RILL_READER(size_t, rill_tape_bytes, rill_tape, x->bytes, 0)

/* The most bytes that were ever in use between two resets. */
RILL_READER(size_t, rill_tape_peak_bytes, rill_tape, x->peak, 0)

static rill_block *tape_block_new(rill_tape *t, size_t size)
{
    size += ALIGN;
    bool huge = size >= 2 * HUGE_BYTES;
    size_t align = huge ? HUGE_BYTES : ALIGN;
    size = size < BLOCK_BYTES ? BLOCK_BYTES
                              : (size + align - 1) / align * align;
    rill_block *b = aligned_alloc(align, size), **end = &t->blocks;
    if (!b)
        return NULL;
#ifdef MADV_HUGEPAGE /* a hint: fewer faults and look-ups of pages */
    if (huge)
        madvise(b, size, MADV_HUGEPAGE);
#endif
    *b = (rill_block){ .size = size, .used = ALIGN };
    while (*end)
        end = &(*end)->next;
    return *end = b;
}

/* Memory of the tape's own, aligned to 64 bytes and not cleared, that lives
 * until reset: for the attributes and scratch of an op. NULL, with an error,
 * on a failed tape and when memory ran out. */
void *rill_tape_alloc(rill_tape *t, size_t bytes)
{
    if (!t || t->failed)
        return NULL;
    if (bytes > PTRDIFF_MAX - ALIGN)
        return rill_fail(t, "out of memory: %zu bytes wanted", bytes);
    size_t size = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    rill_block *b = t->current;
    if (!b || b->size - b->used < size) {
        for (b = t->blocks; b && b->size - b->used < size;)
            b = b->next;
        if (!b)
            b = tape_block_new(t, size);
        if (!b)
            return rill_fail(t, "out of memory: %zu bytes wanted", bytes);
        /* a big request takes a block for itself: go on in the roomier one */
        if (!t->current ||
            b->size - b->used - size > t->current->size - t->current->used)
            t->current = b;
    }
    void *p = (unsigned char *)b + b->used;
    b->used += size;
    t->bytes += size;
    if (t->bytes > t->peak)
        t->peak = t->bytes;
    return p;
}
