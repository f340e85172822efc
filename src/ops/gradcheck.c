/* gradcheck.c: are the derivatives right?
 *
 * With random weights v over the output, L = sum(v f(x)) is one number, and
 * the gradient of L in every input is compared with the central difference
 * (L(x + h) - L(x - h)) / 2h, once by the fused rules and once by the
 * recorded ones. Second order: G = sum over the inputs of <u, dL/dx>, random
 * u, is differentiated in the same way, in the inputs and in v. */
#include "common.h"

typedef struct {
    rill_tape *t, *work; /* the caller's, for errors; and one to compute on */
    rill_function *f;
    const rill_tensor **inputs;
    int n;
    rill_gradcheck_opts o;
    const char *op; /* that made the output */
    rill_tensor **x; /* the inputs as leaves of work; x[n] is v */
} check;

/* Random numbers that depend on `which` alone. */
static rill_tensor *check_weights(rill_tape *t, const rill_tensor *like,
                                  uint64_t which)
{
    rill_rng r = { .seed = 0x5eed + which };
    return rill_uniform(t, &r, 0.5, 1.5, RILL_F64, like->shape);
}

/* L on a fresh work tape, with element `at` of leaf `arg` moved by h. */
static rill_tensor *check_first(check *c, int arg, int64_t at, double h)
{
    rill_tape *w = c->work;
    rill_tape_reset(w);
    w->step = 0; /* every evaluation drops the same */
    for (int i = 0; i < c->n; i++) {
        rill_tensor *x = rill_copy(w, c->inputs[i]->data, RILL_F64,
                                   c->inputs[i]->shape);
        if (x && i == arg)
            ((double *)x->data)[at] += h;
        c->x[i] = rill_watch(w, x);
    }
    if (w->failed)
        return NULL;
    const rill_tensor *y = c->f(w, c->x, c->o.user);
    if (!rill_usable_float(w, "gradcheck", "the function's result", y))
        return NULL;
    c->op = y->op ? y->op->name : "the function";
    rill_tensor *v = check_weights(w, y, 0);
    if (v && arg == c->n)
        ((double *)v->data)[at] += h;
    c->x[c->n] = rill_watch(w, v);
    return rill_sum(w, rill_mul(w, y, c->x[c->n]), NULL);
}

/* G = sum over the inputs of <u, dL/dx>, recorded. */
static rill_tensor *check_second(check *c, int arg, int64_t at, double h)
{
    rill_tape *w = c->work;
    rill_tensor *loss = check_first(c, arg, at, h);
    if (!rill_backward(w, loss, &(rill_backward_opts){ .create_graph = true }))
        return NULL;
    rill_tensor *sum = rill_zeros(w, RILL_F64, RILL_SCALAR);
    for (int i = 0; i < c->n; i++) {
        rill_tensor *g = rill_grad(w, c->x[i]);
        if (!g)
            continue;
        rill_tensor *u = check_weights(w, g, (uint64_t)i + 1);
        sum = rill_add(w, sum, rill_sum(w, rill_mul(w, g, u), NULL));
    }
    return sum;
}

typedef rill_tensor *check_loss(check *c, int arg, int64_t at, double h);

/* The gradients of loss, copied out to the caller's tape, as every evaluation
 * resets the work tape; 0 where loss does not depend on a leaf. */
static bool check_differentiate(check *c, check_loss *loss, int n_args,
                                bool create_graph, rill_tensor **g)
{
    rill_tensor *l = loss(c, -1, 0, 0);
    bool reaches = l && rill_wants(c->work, l);
    if (reaches)
        rill_backward(c->work, l,
                      &(rill_backward_opts){ .create_graph = create_graph });
    for (int i = 0; !c->work->failed && i < n_args; i++) {
        rill_shape shape = c->x[i]->shape;
        rill_tensor *from = reaches ? rill_grad(c->work, c->x[i]) : NULL;
        g[i] = from ? rill_copy(c->t, from->data, RILL_F64, shape)
                    : rill_zeros(c->t, RILL_F64, shape);
    }
    return !c->work->failed && !c->t->failed;
}

/* Compares the gradients of loss with central differences and names the
 * worst element, if any is beyond the tolerance. */
static bool check_run(check *c, check_loss *loss, int n_args,
                      bool create_graph, const char *what)
{
    double h = c->o.step, most = 0;
    char worst[128] = "";
    rill_tensor **g = rill_tape_alloc(c->t, (size_t)n_args * sizeof *g);
    bool ok = g && check_differentiate(c, loss, n_args, create_graph, g);
    for (int arg = 0; ok && arg < n_args; arg++)
        for (int64_t i = 0; i < g[arg]->numel; i++) {
            double a = rill_at(g[arg], i);
            double up = rill_item(loss(c, arg, i, h));
            double b = (up - rill_item(loss(c, arg, i, -h))) / (2 * h);
            double beyond = fabs(a - b) - c->o.atol -
                            c->o.rtol * fmax(fabs(a), fabs(b));
            if (isnan(beyond)) /* NaN or infinity: fine where both agree */
                beyond = a == b ? 0 : INFINITY;
            if (beyond <= most)
                continue;
            most = beyond;
            snprintf(worst, sizeof worst, "argument %d at %" PRId64 " is "
                     "%.10g, central differences say %.10g", arg, i, a, b);
        }
    if (c->work->failed)
        return rill_fail(c->t, "gradcheck: %s", c->work->error);
    if (most > 0)
        return rill_fail(c->t, "gradcheck: %s: %s in %s", c->op, what, worst);
    return ok;
}

/* Whether the gradients of f, and with opts->second_order the derivatives of
 * those gradients too, agree with central differences. inputs: n float64
 * tensors, constants; f is called with leaves of their values on a tape of
 * gradcheck's own (in training mode where t is), must depend on them alone,
 * and should be smooth within opts->step of them. Both the fused and the
 * recorded rules are checked. False with an error on t that names the op, the
 * argument, the element and both numbers. Errors also: an input that is not
 * float64; whatever f runs into. */
bool rill_gradcheck(rill_tape *t, rill_function *f,
                    const rill_tensor **inputs, int n,
                    const rill_gradcheck_opts *opts)
{
    if (!f)
        return rill_fail(t, "gradcheck: the function is NULL");
    for (int i = 0; i < n; i++) {
        if (!rill_usable(t, "gradcheck", "an input", inputs[i]))
            return false;
        if (inputs[i]->dtype != RILL_F64)
            return rill_fail(t, "gradcheck: argument %d is %s, float64 is "
                             "wanted", i, rill_dtype_name(inputs[i]->dtype));
    }
    check c = { .t = t, .f = f, .inputs = inputs, .n = n, .op = "?",
                .o = opts ? *opts : (rill_gradcheck_opts){ 0 } };
    c.o.step = c.o.step > 0 ? c.o.step : 1e-6;
    c.o.rtol = c.o.rtol > 0 ? c.o.rtol : 1e-6;
    c.o.atol = c.o.atol > 0 ? c.o.atol : 1e-8;
    c.x = rill_tape_alloc(t, (size_t)(n + 1) * sizeof *c.x);
    if (!c.x)
        return false;
    c.work = rill_tape_new(&(rill_tape_opts){ .seed = t->opts.seed });
    if (!c.work)
        return rill_fail(t, "out of memory: gradcheck's tape");
    c.work->training = t->training;
    bool ok = check_run(&c, check_first, n, false, "the gradient") &&
              check_run(&c, check_first, n, true, "the recorded gradient");
    if (ok && c.o.second_order)
        ok = check_run(&c, check_second, n + 1, false,
                       "the second derivative");
    rill_tape_free(c.work);
    return ok;
}
