/* checkpoint.c: a run put down and taken up again.
 *
 * A checkpoint is a safetensors file: the parameters under their names, so
 * that it can be loaded as a model too; under names that begin with a dot,
 * which no parameter's does, the optimiser's state; the counts and generators
 * in the metadata. What was not saved with an optimiser, a tape, ... cannot
 * be loaded with one. */
#include "nn_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 64 };
static const char STEPS[] = ".optim.steps";

/* The name of state k of parameter i, on t. */
static char *checkpoint_name(rill_tape *t, const rill_checkpoint *c, int i,
                             int k)
{
    const char *name = rill_name(rill_params_at(c->params, i));
    char *text = rill_tape_alloc(t, strlen(name) + TEXT);
    if (text)
        sprintf(text, ".optim.%d.%s", k, name);
    return text;
}

/* ---- saving ------------------------------------------------------------- */

/* What is to be written, on a tape that lives as long. */
typedef struct {
    rill_tape *t;
    const char **names;
    const rill_tensor **x;
    int n, n_metadata;
    rill_metadata metadata[8];
} checkpoint_parts;

static void checkpoint_add(checkpoint_parts *s, const char *name,
                           const rill_tensor *x)
{
    s->names[s->n] = name;
    s->x[s->n++] = x;
}

static void checkpoint_say(checkpoint_parts *s, const char *key,
                           const char *format, ...)
{
    char *text = rill_tape_alloc(s->t, TEXT);
    va_list args;
    va_start(args, format);
    if (text)
        vsnprintf(text, TEXT, format, args);
    va_end(args);
    s->metadata[s->n_metadata++] = (rill_metadata){ key, text };
}

/* A parameter that never moved has no state. */
static void checkpoint_add_optim(checkpoint_parts *s,
                                 const rill_checkpoint *c)
{
    rill_optim *o = c->optim;
    rill_tensor *steps = rill_zeros(s->t, RILL_F64, RILL_SHAPE(o->n));
    for (int i = 0; steps && i < o->n; i++) {
        const rill_tensor *w = rill_params_at(c->params, i);
        ((double *)rill_write(steps))[i] = o->slot[i].step;
        for (int k = 0; k < RILL_OPTIM_STATES; k++)
            if (o->slot[i].state[k])
                checkpoint_add(s, checkpoint_name(s->t, c, i, k),
                               rill_view(s->t, o->slot[i].state[k],
                                         rill_dtype_of(w), rill_shape_of(w)));
    }
    checkpoint_add(s, STEPS, steps);
    checkpoint_say(s, "rill.optim", "%s", o->plan.name);
    checkpoint_say(s, "rill.lr", "%a", o->lr);
}

static bool checkpoint_write(checkpoint_parts *s, const rill_checkpoint *c,
                             const char *path)
{
    size_t n = (size_t)c->params->n * (1 + RILL_OPTIM_STATES) + 1;
    s->names = rill_tape_alloc(s->t, n * sizeof *s->names);
    s->x = rill_tape_alloc(s->t, n * sizeof *s->x);
    if (!s->x)
        return false;
    for (int i = 0; i < c->params->n; i++)
        checkpoint_add(s, rill_name(c->params->at[i].w), c->params->at[i].w);
    checkpoint_say(s, "rill.params", "%" PRIu64 " %" PRIu64,
                   c->params->rng.seed, c->params->rng.drawn);
    if (c->optim)
        checkpoint_add_optim(s, c);
    if (c->tape)
        checkpoint_say(s, "rill.tape", "%" PRIu64, rill_tape_step(c->tape));
    if (c->rng)
        checkpoint_say(s, "rill.rng", "%" PRIu64 " %" PRIu64, c->rng->seed,
                       c->rng->drawn);
    if (c->step)
        checkpoint_say(s, "rill.step", "%" PRId64, *c->step);
    return rill_safetensors_write(s->t, path, s->names, s->x, s->n,
                                  s->metadata);
}

/* Whether the parts belong together and are well. */
static bool checkpoint_usable(const rill_checkpoint *c)
{
    if (!c || rill_params_error(c->params))
        return false;
    if (!c->optim)
        return true;
    if (c->optim->params != c->params)
        return rill_fail(c->params->home, "checkpoint: the optimiser is of "
                         "another parameter set");
    return rill_nn_well(c->params->home, rill_optim_error(c->optim)) &&
           (rill_optim_slots(c->optim) ||
            rill_nn_well(c->params->home, rill_optim_error(c->optim)));
}

/* Writes all that c names to a file, replaced as rill_safetensors_write does.
 * Between a reset and the next step, so that nothing is under way; sums of
 * gradients and snapshots are not kept. Data are not kept either: where they
 * are shuffled by c->rng, save between two epochs, before the next shuffle.
 * False, with an error on the set: that function's, a failed optimiser or one
 * of another set. */
bool rill_checkpoint_save(const rill_checkpoint *c, const char *path)
{
    if (!checkpoint_usable(c))
        return false;
    checkpoint_parts s = { .t = rill_tape_new(NULL) };
    bool good = s.t && checkpoint_write(&s, c, path);
    if (!good)
        rill_fail(c->params->home, "%s", s.t ? rill_error(s.t)
                                             : "out of memory");
    rill_tape_free(s.t);
    return good;
}

/* ---- loading ------------------------------------------------------------ */

/* What was read, complete, before anything is changed by it. */
typedef struct {
    rill_tape *t;
    uint64_t params_rng[2], rng[2], tape_step, step;
    double lr;
    const double *steps;
    const rill_tensor **state; /* [n, RILL_OPTIM_STATES] */
} checkpoint_read;

/* Reads n numbers from what the file says under a key. */
static bool checkpoint_numbers(rill_tape *t, const rill_safetensors *f,
                               const char *key, int n, uint64_t *numbers)
{
    const char *text = rill_safetensors_metadata(f, key);
    char *end = (char *)(uintptr_t)text;
    for (int i = 0; text && i < n; i++) {
        const char *from = end;
        numbers[i] = strtoull(from, &end, 10);
        if (end == from)
            text = NULL;
    }
    return (text && *end == '\0') ||
           rill_fail(t, "checkpoint: no readable \"%s\" in the file", key);
}

static bool checkpoint_read_optim(checkpoint_read *r,
                                  const rill_safetensors *f,
                                  const rill_checkpoint *c)
{
    const rill_optim *o = c->optim;
    const char *name = rill_safetensors_metadata(f, "rill.optim"),
               *lr = rill_safetensors_metadata(f, "rill.lr");
    const rill_tensor *steps = rill_safetensors_get(r->t, f, STEPS);
    if (!steps)
        return false;
    if (!name || strcmp(name, o->plan.name) != 0)
        return rill_fail(r->t, "checkpoint: the file's optimiser is %s, not "
                         "%s", name ? name : "not named", o->plan.name);
    r->lr = lr ? strtod(lr, NULL) : NAN;
    r->steps = rill_f64(steps);
    r->state = rill_tape_alloc(r->t, (size_t)(o->n * RILL_OPTIM_STATES) *
                                         sizeof *r->state);
    if (!r->state)
        return false;
    if (!r->steps || rill_numel(steps) != o->n || !(r->lr >= 0))
        return rill_fail(r->t, "checkpoint: no readable \"%s\" in the file",
                         r->lr >= 0 ? STEPS : "rill.lr");
    for (int i = 0; i < o->n; i++)
        for (int k = 0; k < RILL_OPTIM_STATES; k++) {
            const rill_tensor *w = rill_params_at(c->params, i);
            const rill_tensor **x = &r->state[i * RILL_OPTIM_STATES + k];
            *x = NULL;
            if (!o->plan.wants[k] || r->steps[i] == 0)
                continue;
            *x = rill_safetensors_get(r->t, f,
                                      checkpoint_name(r->t, c, i, k));
            if (!*x)
                return false;
            if (rill_dtype_of(*x) != rill_dtype_of(w) ||
                rill_numel(*x) != rill_numel(w))
                return rill_fail(r->t, "checkpoint: the state of %s does not "
                                 "fit it", rill_name(w));
        }
    return true;
}

static bool checkpoint_read_all(checkpoint_read *r, const rill_safetensors *f,
                                const rill_checkpoint *c)
{
    return rill_nn_well(r->t, rill_safetensors_error(f)) &&
           rill_params_fit(c->params, f, false) &&
           checkpoint_numbers(r->t, f, "rill.params", 2, r->params_rng) &&
           (!c->tape ||
            checkpoint_numbers(r->t, f, "rill.tape", 1, &r->tape_step)) &&
           (!c->rng || checkpoint_numbers(r->t, f, "rill.rng", 2, r->rng)) &&
           (!c->step ||
            checkpoint_numbers(r->t, f, "rill.step", 1, &r->step)) &&
           (!c->optim || checkpoint_read_optim(r, f, c));
}

static bool checkpoint_make_states(const rill_optim *o,
                                   const checkpoint_read *r)
{
    for (int i = 0; i < o->n; i++)
        if (r->steps[i] != 0 && !rill_optim_state((rill_optim *)o, i))
            return false;
    return true;
}

static void checkpoint_apply(const checkpoint_read *r,
                             const rill_checkpoint *c)
{
    rill_optim *o = c->optim;
    for (int i = 0; o && i < o->n; i++) {
        o->slot[i].step = r->steps[i];
        for (int k = 0; k < RILL_OPTIM_STATES; k++) {
            const rill_tensor *x = r->state[i * RILL_OPTIM_STATES + k];
            size_t size = rill_f32(x) ? sizeof(float) : sizeof(double);
            if (x)
                memcpy(o->slot[i].state[k], rill_data(x),
                       (size_t)rill_numel(x) * size);
        }
    }
    if (o)
        o->lr = r->lr;
    if (c->tape)
        rill_tape_set_step(c->tape, r->tape_step);
    if (c->rng)
        *c->rng = (rill_rng){ r->rng[0], r->rng[1] };
    if (c->step)
        *c->step = (int64_t)r->step;
    c->params->rng = (rill_rng){ r->params_rng[0], r->params_rng[1] };
}

/* Puts everything that c names back as it was saved: a run goes on as if it
 * had not been interrupted, the same bits. The set and the optimiser are
 * made as they were then. False, with an error on the set and nothing changed:
 * an unreadable file, names or shapes that differ, an optimiser of another
 * kind, something that c names and the file does not have. */
bool rill_checkpoint_load(const rill_checkpoint *c, const char *path)
{
    if (!checkpoint_usable(c))
        return false;
    checkpoint_read r = { .t = rill_tape_new(NULL) };
    rill_safetensors *f = rill_safetensors_open(path);
    bool good = r.t && f && checkpoint_read_all(&r, f, c) &&
                (!c->optim || checkpoint_make_states(c->optim, &r)) &&
                rill_params_take(c->params, f, false);
    if (good)
        checkpoint_apply(&r, c);
    else if (!rill_params_error(c->params))
        rill_fail(c->params->home, "%s", !f || !r.t ? "out of memory"
                  : rill_error(r.t) ? rill_error(r.t)
                                    : rill_optim_error(c->optim));
    rill_safetensors_free(f);
    rill_tape_free(r.t);
    return good;
}
