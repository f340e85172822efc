/* checkpoint.c: parameter sets on disk, and runs put down and taken up again.
 *
 * Both are safetensors files, with the parameters under their names: what a
 * run adds, the optimiser's state, stands under names that begin with a dot,
 * which no parameter's does, and its counts and generators in the metadata.
 * So a checkpoint can be loaded as a model too. What was not saved with an
 * optimiser, a tape, ... cannot be loaded with one. */
#include "nn_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char STEPS[] = ".optim.steps";

/* State k of parameter i, named, on t; NULL, too, where there is none. */
static rill_tensor *checkpoint_state(rill_tape *t, const rill_optim *o, int i,
                                     int k)
{
    const rill_tensor *w = rill_params_at(o->params, i);
    const char *name = rill_nn_text(t, ".optim.%d.%s", k, rill_name(w));
    if (!name || !o->slot[i].state[k])
        return NULL;
    return rill_named(t, rill_view(t, o->slot[i].state[k], rill_dtype_of(w),
                                   rill_shape_of(w)), name);
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

static void checkpoint_add(checkpoint_parts *s, const rill_tensor *x)
{
    s->names[s->n] = rill_name(x);
    s->x[s->n++] = x;
}

static void checkpoint_say(checkpoint_parts *s, const char *key,
                           const char *value)
{
    s->metadata[s->n_metadata++] = (rill_metadata){ key, value };
}

/* A parameter that never moved has no state. */
static void checkpoint_add_optim(checkpoint_parts *s, const rill_optim *o)
{
    rill_tensor *steps = rill_zeros(s->t, RILL_F64, RILL_SHAPE(o->n));
    int exponent; /* lr is written without a point, which locales differ in */
    uint64_t mantissa = (uint64_t)ldexp(frexp(o->lr, &exponent), 53);
    for (int i = 0; steps && i < o->n; i++) {
        ((double *)rill_write(steps))[i] = o->slot[i].step;
        for (int k = 0; k < RILL_OPTIM_STATES; k++) {
            const rill_tensor *x = checkpoint_state(s->t, o, i, k);
            if (x)
                checkpoint_add(s, x);
        }
    }
    checkpoint_add(s, rill_named(s->t, steps, STEPS));
    checkpoint_say(s, "rill.optim", o->plan.name);
    checkpoint_say(s, "rill.lr", rill_nn_text(s->t, "0x%" PRIx64 "p%d",
                                              mantissa, exponent - 53));
}

static void checkpoint_say_rng(checkpoint_parts *s, const char *key,
                               const rill_rng *r)
{
    checkpoint_say(s, key, rill_nn_text(s->t, "%" PRIu64 " %" PRIu64, r->seed,
                                        r->drawn));
}

static void checkpoint_add_run(checkpoint_parts *s, const rill_checkpoint *c)
{
    checkpoint_say_rng(s, "rill.params", &c->params->rng);
    if (c->optim)
        checkpoint_add_optim(s, c->optim);
    if (c->tape)
        checkpoint_say(s, "rill.tape", rill_nn_text(s->t, "%" PRIu64,
                                                    rill_tape_step(c->tape)));
    if (c->rng)
        checkpoint_say_rng(s, "rill.rng", c->rng);
    if (c->step)
        checkpoint_say(s, "rill.step",
                       rill_nn_text(s->t, "%" PRId64, *c->step));
}

/* Writes the parameters and, unless it is NULL, what a run adds, the metadata
 * among it. */
static bool checkpoint_write(const rill_params *p, const char *path,
                             const rill_metadata *metadata,
                             const rill_checkpoint *run)
{
    checkpoint_parts s = { .t = rill_tape_new(NULL) };
    size_t n = (size_t)p->n * (1 + RILL_OPTIM_STATES) + 1;
    s.names = rill_tape_alloc(s.t, n * sizeof *s.names);
    s.x = rill_tape_alloc(s.t, n * sizeof *s.x);
    for (int i = 0; s.x && i < p->n; i++)
        checkpoint_add(&s, p->at[i].w);
    if (s.x && run)
        checkpoint_add_run(&s, run);
    bool good = s.x && rill_safetensors_write(s.t, path, s.names, s.x, s.n,
                                              run ? s.metadata : metadata);
    if (!good)
        rill_fail(p->home, "%s", s.t ? rill_error(s.t) : "out of memory");
    rill_tape_free(s.t);
    return good;
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
    rill_optim_slots(c->optim);
    return rill_nn_well(c->params->home, rill_optim_error(c->optim));
}

/* Writes all parameters under their names, and metadata if not NULL, as
 * rill_safetensors_write does and with its errors, on the set. */
bool rill_params_save(rill_params *p, const char *path,
                      const rill_metadata *metadata)
{
    return !rill_params_error(p) && checkpoint_write(p, path, metadata, NULL);
}

/* Writes all that c names to a file, replaced as rill_safetensors_write does.
 * Between a reset and the next step, so that nothing is under way; sums of
 * gradients and snapshots are not kept. Data are not kept either: where they
 * are shuffled by c->rng, save between two epochs, before the next shuffle.
 * False, with an error on the set: that function's, a failed optimiser or one
 * of another set. */
bool rill_checkpoint_save(const rill_checkpoint *c, const char *path)
{
    return checkpoint_usable(c) && checkpoint_write(c->params, path, NULL, c);
}

/* ---- loading ------------------------------------------------------------ */

/* What was read of a run, complete, before anything is changed by it. */
typedef struct {
    rill_tape *t;
    uint64_t params_rng[2], rng[2], tape_step, step;
    double lr;
    const double *steps;
    int n; /* of states */
    struct {
        rill_tensor *to;
        const rill_tensor *from;
    } *state;
} checkpoint_run;

/* Reads n numbers, one or two, from what the file says under a key. */
static bool checkpoint_numbers(rill_tape *t, const rill_safetensors *f,
                               const char *key, int n, uint64_t *to)
{
    const char *text = rill_safetensors_metadata(f, key);
    char more;
    int got = !text ? 0 :
              n == 1 ? sscanf(text, "%" SCNu64 "%c", to, &more) :
              sscanf(text, "%" SCNu64 "%" SCNu64 "%c", to, to + 1, &more);
    return got == n ||
           rill_fail(t, "checkpoint: no readable \"%s\" in the file", key);
}

static bool checkpoint_read_states(checkpoint_run *r,
                                   const rill_safetensors *f, rill_optim *o,
                                   int i)
{
    if (!rill_optim_state(o, i))
        return rill_nn_well(r->t, rill_optim_error(o));
    for (int k = 0; k < RILL_OPTIM_STATES; k++) {
        rill_tensor *to = checkpoint_state(r->t, o, i, k);
        const rill_tensor *from =
            to ? rill_safetensors_get(r->t, f, rill_name(to)) : NULL;
        if (!from)
            continue;
        if (rill_dtype_of(from) != rill_dtype_of(to) ||
            rill_numel(from) != rill_numel(to))
            return rill_fail(r->t, "checkpoint: the state of %s does not fit "
                             "it", rill_name(rill_params_at(o->params, i)));
        r->state[r->n].to = to;
        r->state[r->n++].from = from;
    }
    return !rill_error(r->t);
}

static bool checkpoint_read_optim(checkpoint_run *r,
                                  const rill_safetensors *f, rill_optim *o)
{
    const char *name = rill_safetensors_metadata(f, "rill.optim"),
               *lr = rill_safetensors_metadata(f, "rill.lr");
    const rill_tensor *steps = rill_safetensors_get(r->t, f, STEPS);
    char more;
    if (!steps)
        return false;
    if (!name || strcmp(name, o->plan.name) != 0)
        return rill_fail(r->t, "checkpoint: the file's optimiser is %s, not "
                         "%s", name ? name : "not named", o->plan.name);
    if (!lr || sscanf(lr, "%lf%c", &r->lr, &more) != 1)
        r->lr = NAN;
    r->steps = rill_f64(steps);
    if (!r->steps || rill_numel(steps) != o->n || !(r->lr >= 0))
        return rill_fail(r->t, "checkpoint: no readable \"%s\" in the file",
                         r->lr >= 0 ? STEPS : "rill.lr");
    r->state = rill_tape_alloc(r->t, (size_t)(o->n * RILL_OPTIM_STATES) *
                                         sizeof *r->state);
    for (int i = 0; r->state && i < o->n; i++)
        if (r->steps[i] != 0 && !checkpoint_read_states(r, f, o, i))
            return false;
    return r->state;
}

static bool checkpoint_read_run(checkpoint_run *r, const rill_safetensors *f,
                                const rill_checkpoint *c)
{
    return checkpoint_numbers(r->t, f, "rill.params", 2, r->params_rng) &&
           (!c->tape ||
            checkpoint_numbers(r->t, f, "rill.tape", 1, &r->tape_step)) &&
           (!c->rng || checkpoint_numbers(r->t, f, "rill.rng", 2, r->rng)) &&
           (!c->step ||
            checkpoint_numbers(r->t, f, "rill.step", 1, &r->step)) &&
           (!c->optim || checkpoint_read_optim(r, f, c->optim));
}

static void checkpoint_apply(const checkpoint_run *r, const rill_checkpoint *c)
{
    rill_optim *o = c->optim;
    for (int k = 0; k < r->n; k++) {
        const rill_tensor *from = r->state[k].from;
        size_t size = rill_f32(from) ? sizeof(float) : sizeof(double);
        memcpy(rill_write(r->state[k].to), rill_data(from),
               (size_t)rill_numel(from) * size);
    }
    for (int i = 0; o && i < o->n; i++)
        o->slot[i].step = r->steps[i];
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

/* Reads the parameters and, unless it is NULL, all that a run names. */
static bool checkpoint_read(rill_params *p, const char *path, bool partial,
                            const rill_checkpoint *run)
{
    checkpoint_run r = { .t = rill_tape_new(NULL) };
    rill_safetensors *f = rill_safetensors_open(path);
    bool good = r.t && f && rill_params_fit(p, f, partial) &&
                (!run || checkpoint_read_run(&r, f, run));
    if (good)
        rill_params_take(p, f);
    if (good && run)
        checkpoint_apply(&r, run);
    if (!good && !rill_params_error(p))
        rill_fail(p->home, "%s", f && r.t ? rill_error(r.t) : "out of memory");
    rill_safetensors_free(f);
    rill_tape_free(r.t);
    return good;
}

/* Reads the parameters from a file by their names, floats of any size, which
 * are rounded where the set's dtype is narrower. Every name must be there
 * with the same shape and no other may be, except such as begin with a dot;
 * with opts->partial those that are there are read and the others stay. All
 * that does not fit is named in one error, with both shapes where they differ,
 * and then nothing has changed. opts may be NULL. Other errors: the file's. */
bool rill_params_load(rill_params *p, const char *path,
                      const rill_load_opts *opts)
{
    return !rill_params_error(p) &&
           checkpoint_read(p, path, opts && opts->partial, NULL);
}

/* Puts everything that c names back as it was saved: a run goes on as if it
 * had not been interrupted, the same bits. The set and the optimiser are
 * made as they were then. False, with an error on the set and nothing changed:
 * an unreadable file, names or shapes that differ, an optimiser of another
 * kind, something that c names and the file does not have. */
bool rill_checkpoint_load(const rill_checkpoint *c, const char *path)
{
    return checkpoint_usable(c) && checkpoint_read(c->params, path, false, c);
}
