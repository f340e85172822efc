/* optim.c: what all optimisers have in common.
 *
 * An optimiser holds a kernel that moves one parameter, and a slot for each
 * parameter of its set: its state, its own count of steps, its group. A step
 * first makes what state is missing and then moves: it moves everything or
 * nothing. State lies on the optimiser's home tape and is made once. */
#include "nn_internal.h"

#include <math.h>

rill_optim *rill_optim_new(rill_params *p, const rill_optim_plan *plan)
{
    const char *who = plan->name;
    rill_tape *home = rill_tape_new(NULL);
    rill_optim *o = rill_tape_alloc(home, sizeof *o);
    if (!o) {
        rill_tape_free(home);
        return NULL;
    }
    *o = (rill_optim){ .home = home, .params = p, .plan = *plan,
                       .lr = plan->lr };
    if (!p)
        rill_fail(home, "%s: the parameter set is NULL", who);
    if (plan->lr == 0)
        rill_fail(home, "%s: lr is 0: give a learning rate", who);
    rill_nn_within(home, who, "lr", plan->lr, INFINITY);
    rill_nn_within(home, who, "weight_decay", plan->weight_decay, INFINITY);
    for (int i = 0; i < RILL_OPTIM_OPTIONS; i++) {
        const rill_option *k = &plan->option[i];
        if (k->name)
            rill_nn_within(home, who, k->name, k->value, k->end);
    }
    o->refused = rill_error(home);
    return o;
}

/* _free: not its set; NULL is allowed. _error: the first since it was made or
 * cleared, or NULL. _clear_error: one whose options were refused keeps it. */
RILL_NN_OBJECT(rill_optim, "the optimiser", x->refused)

bool rill_optim_slots(rill_optim *o)
{
    for (; o->n < rill_params_len(o->params); o->n++) {
        rill_update *slot = rill_nn_grow(o->home, o->slot, o->n, sizeof *slot);
        if (!slot)
            return false;
        o->slot = slot;
        slot[o->n] = (rill_update){ .weight_decay = o->plan.weight_decay,
                                    .lr_ratio = 1, .option = o->plan.option };
    }
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
    const rill_group_opts s = opts ? *opts : (rill_group_opts){ 0 };
    if (rill_optim_error(o))
        return false;
    double decay = s.weight_decay ? *s.weight_decay : o->plan.weight_decay;
    if (!rill_nn_within(o->home, "group", "lr", s.lr, INFINITY) ||
        !rill_nn_within(o->home, "group", "weight_decay", decay, INFINITY) ||
        !rill_params_any(o->params, o->home, "group", prefix) ||
        !rill_optim_slots(o))
        return false;
    for (int i = 0; i < o->n; i++)
        if (rill_params_begins(o->params, i, prefix)) {
            o->slot[i].lr_ratio = s.lr > 0 ? s.lr / o->plan.lr : 1;
            o->slot[i].weight_decay = decay;
        }
    return true;
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
    if (rill_optim_error(o) ||
        !rill_nn_within(o->home, "set_lr", "lr", lr, INFINITY))
        return false;
    o->lr = lr;
    return true;
}

bool rill_optim_state(rill_optim *o, int i)
{
    const rill_tensor *w = rill_params_at(o->params, i);
    void **state = o->slot[i].state;
    for (int k = 0; k < RILL_OPTIM_STATES; k++)
        if (o->plan.wants[k] && !state[k])
            state[k] = rill_write(rill_full(o->home, o->plan.initial,
                                            rill_dtype_of(w),
                                            rill_shape_of(w)));
    return !rill_error(o->home);
}

/* Moves the parameters that have a gradient and are not frozen: by the
 * gradients on t, or with t NULL by those accumulated, which are then used
 * up. Tapes that used a parameter must be reset before they go backward
 * again. Warns on t where sums are left unused. False, and nothing is changed,
 * with an error on t too: optimiser, set or t has failed, there is no gradient
 * at all, no memory. */
bool rill_optim_step(rill_optim *o, rill_tape *t)
{
    if (!rill_nn_well(t, rill_optim_error(o)) ||
        !rill_params_learn(o->params, t, o->home, "step"))
        return false;
    rill_optim_slots(o);
    for (int i = 0; i < o->n; i++)
        if (rill_params_gradient(o->params, t, i))
            rill_optim_state(o, i);
    if (!rill_nn_well(t, rill_error(o->home)))
        return false;
    bool kept = false; /* are sums that this step does not use */
    for (int i = 0; i < o->n; i++) {
        rill_update *u = &o->slot[i];
        rill_tensor *w = rill_params_at(o->params, i);
        const rill_tensor *g = rill_params_gradient(o->params, t, i);
        kept |= t && o->params->at[i].summed;
        if (!g)
            continue;
        u->w = rill_write(w);
        u->g = rill_data(g);
        u->n = (size_t)rill_numel(w);
        u->lr = o->lr * u->lr_ratio;
        u->step++;
        o->plan.kernels[rill_dtype_of(w)](u);
        if (!t)
            o->params->at[i].summed = false;
    }
    if (kept)
        rill_warn(t, "step: by the tape's gradients alone: give NULL for the "
                     "tape to step by those accumulated");
    return true;
}
