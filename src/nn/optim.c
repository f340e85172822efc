/* optim.c: what all optimisers have in common.
 *
 * An optimiser holds a kernel that moves one parameter, and a slot for each
 * parameter of its set: its state, its own count of steps, its group. A step
 * first makes what state is missing and then moves: it moves everything or
 * nothing. State lies on the optimiser's home tape and is made once. */
#include "nn_internal.h"

#include <math.h>
#include <string.h>

typedef struct {
    rill_tensor *state[RILL_OPTIM_STATES]; /* made at the first step */
    double steps;
    double lr_ratio; /* of the optimiser's lr */
    double weight_decay;
} optim_slot;

struct rill_optim {
    rill_tape *home;
    rill_params *params;
    rill_optim_plan plan;
    double lr;
    bool refused; /* when it was made: for good */
    optim_slot *slot;
    int n, cap;
};

/* ---- making one --------------------------------------------------------- */

void rill_optim_refuse(rill_optim *o, const char *sentence)
{
    if (!o)
        return;
    rill_fail(o->home, "%s: %s", o->plan.name, sentence);
    o->refused = true;
}

static bool optim_fits(rill_optim *o, const char *who, const char *name,
                       double value)
{
    if (isfinite(value) && value >= 0)
        return true;
    return rill_fail(o->home, "%s: %s %g is %s", who, name, value,
                     value < 0 ? "negative" : "not finite");
}

void rill_optim_not_negative(rill_optim *o, const char *name, double value)
{
    if (o && !optim_fits(o, o->plan.name, name, value))
        o->refused = true;
}

void rill_optim_below_one(rill_optim *o, const char *name, double value)
{
    if (!o || (value >= 0 && value < 1))
        return;
    rill_fail(o->home, "%s: %s %g is not in [0, 1)", o->plan.name, name,
              value);
    o->refused = true;
}

rill_optim *rill_optim_new(rill_params *p, const rill_optim_plan *plan)
{
    rill_tape *home = rill_tape_new(NULL);
    rill_optim *o = rill_tape_alloc(home, sizeof *o);
    void *attrs = rill_tape_alloc(home, plan->attrs_size);
    if (!o || !attrs) {
        rill_tape_free(home);
        return NULL;
    }
    memcpy(attrs, plan->attrs, plan->attrs_size);
    *o = (rill_optim){ .home = home, .params = p, .plan = *plan,
                       .lr = plan->lr };
    o->plan.attrs = attrs;
    if (!p)
        rill_optim_refuse(o, "the parameter set is NULL");
    if (plan->lr == 0)
        rill_optim_refuse(o, "lr is 0: give a learning rate");
    rill_optim_not_negative(o, "lr", plan->lr);
    rill_optim_not_negative(o, "weight_decay", plan->weight_decay);
    return o;
}

/* Frees the optimiser, not its set. NULL is allowed. */
void rill_optim_free(rill_optim *o)
{
    if (o)
        rill_tape_free(o->home);
}

/* The optimiser's first error since it was made or cleared, or NULL. */
const char *rill_optim_error(const rill_optim *o)
{
    return o ? rill_error(o->home) : "the optimiser is NULL";
}

/* Forgets the error, unless it is that the options were refused: such an
 * optimiser never steps. */
void rill_optim_clear_error(rill_optim *o)
{
    if (o && !o->refused)
        rill_clear_error(o->home);
}

/* ---- learning rates and groups ------------------------------------------ */

/* A slot for each parameter that the set has by now. */
static bool optim_slots(rill_optim *o)
{
    int n = rill_params_len(o->params);
    if (n > o->cap) {
        int cap = 2 * o->cap > n ? 2 * o->cap : n;
        optim_slot *slot = rill_tape_alloc(o->home,
                                           (size_t)cap * sizeof *slot);
        if (!slot)
            return false;
        if (o->n)
            memcpy(slot, o->slot, (size_t)o->n * sizeof *slot);
        o->slot = slot;
        o->cap = cap;
    }
    for (; o->n < n; o->n++)
        o->slot[o->n] = (optim_slot){ .lr_ratio = 1,
                                      .weight_decay = o->plan.weight_decay };
    return true;
}

/* Gives the parameters whose name begins with prefix, of those that the set
 * has now, a learning rate and a weight decay of their own, in place of an
 * earlier group's. The rate is meant beside the one that the optimiser was
 * made with: rill_optim_set_lr keeps their ratio. Errors: no name begins so;
 * lr or weight_decay is negative or not finite. */
bool rill_optim_group(rill_optim *o, const char *prefix,
                      const rill_group_opts *opts)
{
    static const rill_group_opts none = { 0 };
    if (!opts)
        opts = &none;
    if (rill_optim_error(o))
        return false;
    if (!prefix)
        return rill_fail(o->home, "group: the prefix is NULL");
    double decay = opts->weight_decay ? *opts->weight_decay
                                      : o->plan.weight_decay;
    if (!optim_fits(o, "group", "lr", opts->lr) ||
        !optim_fits(o, "group", "weight_decay", decay) || !optim_slots(o))
        return false;
    bool found = false;
    for (int i = 0; i < o->n; i++) {
        if (!rill_name_begins(rill_params_at(o->params, i), prefix))
            continue;
        found = true;
        o->slot[i].lr_ratio = opts->lr > 0 ? opts->lr / o->plan.lr : 1;
        o->slot[i].weight_decay = decay;
    }
    if (!found)
        rill_fail(o->home, "group: no name begins with \"%s\"", prefix);
    return found;
}

/* The learning rate outside groups; NaN for NULL. */
double rill_optim_lr(const rill_optim *o)
{
    return o ? o->lr : NAN;
}

/* Sets it from the next step on. 0 is allowed, since schedules reach it.
 * Error: lr is negative or not finite. */
bool rill_optim_set_lr(rill_optim *o, double lr)
{
    if (rill_optim_error(o) || !optim_fits(o, "set_lr", "lr", lr))
        return false;
    o->lr = lr;
    return true;
}

/* ---- stepping ----------------------------------------------------------- */

/* The state of every parameter that is about to move. */
static bool optim_states(rill_optim *o, rill_tape *t)
{
    if (!optim_slots(o))
        return false;
    for (int i = 0; i < o->n; i++) {
        rill_tensor **state = o->slot[i].state;
        if (state[0] || !rill_params_gradient(o->params, t, i))
            continue;
        const rill_tensor *w = rill_params_at(o->params, i);
        for (int k = o->plan.states - 1; k >= 0; k--) /* 0 says: all made */
            if (!(state[k] = rill_full(o->home, o->plan.initial,
                                       rill_dtype_of(w), rill_shape_of(w))))
                return false;
    }
    return true;
}

static void optim_move(rill_optim *o, int i, const rill_tensor *g)
{
    optim_slot *s = &o->slot[i];
    rill_tensor *w = rill_params_at(o->params, i);
    rill_update u = { .w = rill_variable_write(w), .g = rill_data(g),
                      .n = (size_t)rill_numel(w), .lr = o->lr * s->lr_ratio,
                      .weight_decay = s->weight_decay, .step = ++s->steps };
    for (int k = 0; k < o->plan.states; k++)
        u.state[k] = rill_write(s->state[k]);
    o->plan.kernels[rill_dtype_of(w)](&u, o->plan.attrs);
}

/* Moves the parameters that have a gradient and are not frozen: by the
 * gradients on t, or with t NULL by those accumulated, which are then used
 * up. Tapes that used a parameter must be reset before they go backward
 * again. False, and nothing is changed, where the optimiser, its set or t has
 * failed, there is no gradient at all, or memory ran out; what failed is put
 * on t too, so that its hook sees it. */
bool rill_optim_step(rill_optim *o, rill_tape *t)
{
    if (!o)
        return rill_nn_tell(t, rill_optim_error(o));
    if (!rill_params_learn(o->params, t, o->home, "step"))
        return false;
    if (!optim_states(o, t))
        return rill_nn_tell(t, rill_error(o->home));
    for (int i = 0; i < o->n; i++) {
        const rill_tensor *g = rill_params_gradient(o->params, t, i);
        if (!g)
            continue;
        optim_move(o, i, g);
        if (!t)
            o->params->at[i].summed = false;
    }
    return true;
}
