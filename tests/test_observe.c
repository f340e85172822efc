/* What the engine offers to those who look on: names, the record node by
 * node, observers, and hooks on gradients. */
#include "harness.h"

static rill_tensor *from(rill_shape shape, const double *v)
{
    return rill_from(tape, v, RILL_F64, shape);
}

/* A watched [2] of 1 and 2. */
static rill_tensor *leaf(void)
{
    return rill_watch(tape, from(RILL_SHAPE(2), (double[]){ 1, 2 }));
}

static rill_tensor *sum(const rill_tensor *x)
{
    return rill_sum(tape, x, NULL);
}

/* What is called, in order, a character a call. */
typedef struct {
    char text[64];
    int n;
} record;

static void note(record *r, char c)
{
    ck_assert_int_lt(r->n, 63);
    r->text[r->n++] = c;
    r->text[r->n] = '\0';
}

#define ASSERT_NOTED(r, expected)                \
    do {                                         \
        ck_assert_str_eq((r).text, (expected));  \
        (r) = (record){ .n = 0 };                \
    } while (0)

/* ---- names -------------------------------------------------------------- */

START_TEST(names_are_copied_and_kept)
{
    char name[301];
    memset(name, 'a', 300);
    name[300] = '\0';
    rill_tensor *x = from(RILL_SHAPE(2), (double[]){ 1, 2 });
    ck_assert_str_eq(rill_name(x), "");
    ck_assert_str_eq(rill_name(NULL), "");
    ck_assert_ptr_eq(rill_named(tape, x, name), x);
    name[0] = 'b';
    ck_assert_int_eq(strlen(rill_name(x)), 300);
    ck_assert_int_eq(rill_name(x)[0], 'a');
    ck_assert_str_eq(rill_name(rill_named(tape, x, "<x \"1\"\\\n")),
                     "<x \"1\"\\\n");
    ck_assert_str_eq(rill_name(rill_named(tape, x, "")), "");
    rill_named(tape, x, "x");
    ck_assert_str_eq(rill_name(rill_watch(tape, x)), "x");
    rill_tensor *y = rill_relu(tape, rill_watch(tape, x));
    ck_assert_str_eq(rill_name(y), ""); /* an op's result is another thing */
    ck_assert_str_eq(rill_name(rill_named(tape, y, "y")), "y");
    rill_tensor *v = rill_variable(tape, "fc.weight", RILL_F32, RILL_SCALAR);
    ck_assert_str_eq(rill_name(v), "fc.weight");
    ASSERT_OK();
}
END_TEST

START_TEST(names_refuse)
{
    rill_tape *other = rill_tape_new(NULL);
    rill_tensor *x = leaf();
    rill_tensor *theirs = rill_zeros(other, RILL_F64, RILL_SCALAR);
    rill_tensor *v = rill_variable(tape, "w", RILL_F32, RILL_SCALAR);
    ck_assert(!rill_named(NULL, x, "x"));
    ASSERT_REFUSED(rill_named(tape, NULL, "x"), "named: x is NULL");
    ASSERT_REFUSED(rill_named(tape, x, NULL), "named: the name is NULL");
    ASSERT_REFUSED(rill_named(tape, v, "x"),
                   "named: a variable keeps its name");
    ASSERT_REFUSED(rill_named(tape, theirs, "x"),
                   "named: x belongs to another tape");
    ASSERT_REFUSED(rill_named(tape, rill_watch(other, theirs), "x"),
                   "named: x was recorded on another tape: detach it");
    rill_tape_reset(tape);
    ASSERT_REFUSED(rill_named(tape, x, "x"),
                   "named: x was made before its tape was reset");
    rill_tape_free(other);
}
END_TEST

START_TEST(layers_name_what_they_make)
{
    rill_params *p = rill_params_new(RILL_F64, 1);
    rill_nn_linear fc = rill_nn_linear_new(p, "body.fc1", 2, 3);
    rill_nn_layer_norm norm = rill_nn_layer_norm_new(p, "norm", 3);
    rill_nn_embedding words = rill_nn_embedding_new(p, "words", 4, 2);
    rill_nn_mlp mlp = rill_nn_mlp_new(p, "mlp", (int64_t[]){ 2, 4, 3 }, 3,
                                      &(rill_nn_mlp_opts){ .layer_norm =
                                                               true });
    rill_tensor *i = rill_zeros(tape, RILL_I32, RILL_SHAPE(5));
    rill_tensor *x = rill_nn_embedding_apply(tape, &words, i);
    rill_tensor *y = rill_nn_linear_apply(tape, &fc, x);
    ck_assert_str_eq(rill_name(x), "words");
    ck_assert_str_eq(rill_name(y), "body.fc1");
    ck_assert_str_eq(rill_name(rill_nn_layer_norm_apply(tape, &norm, y)),
                     "norm");
    int from_here = rill_tape_len(tape);
    ck_assert_str_eq(rill_name(rill_nn_mlp_apply(tape, &mlp, x)), "mlp.1");
    ASSERT_OK();
    const char *expected[] = { "mlp.0", "mlp.norm0", "", "mlp.1" };
    int seen = 0;
    for (int k = from_here; k < rill_tape_len(tape); k++) {
        const rill_node *n = rill_tape_node(tape, k);
        if (rill_node_op(n))
            ck_assert_str_eq(rill_name(rill_node_output(n)),
                             expected[seen++]);
    }
    ck_assert_int_eq(seen, 4);
    /* a layer made by hand, of tensors without a dot, names nothing */
    rill_nn_linear own = { leaf(), NULL };
    own.weight = rill_reshape(tape, own.weight, RILL_SHAPE(1, 2));
    ck_assert_str_eq(rill_name(rill_nn_linear_apply(tape, &own, x)), "");
    rill_params_free(p);
}
END_TEST

/* ---- the record --------------------------------------------------------- */

START_TEST(record_is_read_node_by_node)
{
    rill_tensor *c = from(RILL_SHAPE(1, 2), (double[]){ 3, 4 });
    rill_tensor *w = rill_variable(tape, "w", RILL_F64, RILL_SHAPE(1, 2));
    rill_tensor *x = leaf();
    rill_tensor *y = rill_linear(tape, x, w, NULL);
    rill_tensor *z = rill_mul(tape, y, c);
    ck_assert_int_eq(rill_tape_len(tape), 4);
    const rill_tensor *outputs[] = { x, w, y, z };
    const char *ops[] = { NULL, NULL, "linear", "mul" };
    int inputs[] = { 0, 0, 3, 2 };
    for (int i = 0; i < 4; i++) {
        const rill_node *n = rill_tape_node(tape, i);
        ck_assert_int_eq(rill_node_index(n), i);
        ck_assert_ptr_eq(rill_node_output(n), outputs[i]);
        ck_assert_int_eq(rill_node_inputs(n), inputs[i]);
        ck_assert_pstr_eq(rill_node_op(n) ? rill_node_op(n)->name : NULL,
                          ops[i]);
    }
    const rill_node *linear = rill_tape_node(tape, 2);
    const rill_node *mul = rill_tape_node(tape, 3);
    ck_assert_int_eq(rill_node_index(rill_node_source(linear, 0)), 0);
    ck_assert_int_eq(rill_node_index(rill_node_source(linear, 1)), 1);
    ck_assert_ptr_null(rill_node_source(linear, 2)); /* no bias */
    ck_assert_ptr_null(rill_node_input(linear, 2));
    ck_assert_ptr_eq(rill_node_source(mul, 0), linear);
    ck_assert_ptr_null(rill_node_source(mul, 1)); /* a constant */
    ck_assert_ptr_eq(rill_node_input(mul, 1), c);
    ck_assert_ptr_null(rill_tape_node(tape, 4));
    ck_assert_ptr_null(rill_tape_node(tape, -1));
    ck_assert_ptr_null(rill_tape_node(NULL, 0));
    ck_assert_int_eq(rill_tape_len(NULL), 0);
    rill_tape_record(tape, false);
    rill_exp(tape, z);
    ck_assert_int_eq(rill_tape_len(tape), 4);
    rill_tape_reset(tape);
    ck_assert_int_eq(rill_tape_len(tape), 0);
    ck_assert_ptr_null(rill_tape_node(tape, 0));
}
END_TEST

/* Each use of x passes its own share on, brought back from broadcasting. */
START_TEST(shares_of_a_gradient)
{
    rill_tensor *x = leaf();
    rill_tensor *a = rill_scale(tape, x, 3), *b = rill_scale(tape, x, 4);
    rill_tensor *unused = rill_scale(tape, x, 100);
    rill_tensor *c = rill_watch(tape, from(RILL_SHAPE(1, 1),
                                           (double[]){ 7 }));
    rill_tensor *loss = sum(rill_add(tape, rill_sub(tape, a, b), c));
    const rill_node *at[8];
    for (int i = 0; i < rill_tape_len(tape); i++)
        at[i] = rill_tape_node(tape, i); /* x a b unused c sub add sum */
    ck_assert_int_eq(rill_tape_len(tape), 8);
    ck_assert_ptr_null(rill_node_grad(at[1], 0)); /* no backward yet */
    ck_assert(rill_backward(tape, loss, NULL));
    assert_tensor(rill_node_grad(at[1], 0), RILL_SHAPE(2),
                  (double[]){ 3, 3 }, 0);
    assert_tensor(rill_node_grad(at[2], 0), RILL_SHAPE(2),
                  (double[]){ -4, -4 }, 0);
    assert_tensor(rill_grad(tape, x), RILL_SHAPE(2),
                  (double[]){ -1, -1 }, 0);
    assert_tensor(rill_node_grad(at[6], 1), RILL_SHAPE(1, 1),
                  (double[]){ 2 }, 0);
    ck_assert_ptr_null(rill_node_grad(at[3], 0));
    ck_assert(rill_backward(tape, sum(unused), NULL));
    ck_assert_ptr_null(rill_node_grad(at[1], 0)); /* not of the last one */
    assert_tensor(rill_node_grad(at[3], 0), RILL_SHAPE(2),
                  (double[]){ 100, 100 }, 0);
    rill_fail(tape, "failed"); /* such a tape answers nothing */
    ck_assert_ptr_null(rill_node_grad(at[3], 0));
    rill_clear_error(tape);
}
END_TEST

/* ---- observers ---------------------------------------------------------- */

static void note_op(rill_tape *t, const rill_op *op, const rill_tensor *y,
                    const rill_tensor *const *x, int n, void *user)
{
    ck_assert_ptr_eq(t, tape);
    ck_assert_ptr_nonnull(y);
    ck_assert(n > 0 && x[0]);
    note(user, op->name[0]);
}

/* A capital for a rule, a point for a leaf. */
static void note_rule(rill_tape *t, const rill_node *n,
                      const rill_tensor *gy, const rill_tensor *const *gx,
                      void *user)
{
    ck_assert_ptr_eq(t, tape);
    ck_assert_int_eq(rill_numel(gy), rill_numel(rill_node_output(n)));
    for (int i = 0; i < rill_node_inputs(n); i++)
        ck_assert(!rill_node_wants(n, i) || gx[i]);
    if (rill_node_op(n)) {
        note(user, (char)(rill_node_op(n)->name[0] - 'a' + 'A'));
        return;
    }
    ck_assert_ptr_null(gx);
    note(user, '.');
}

static bool observe(record *r)
{
    return rill_tape_observe(tape, &(rill_observer){ note_op, note_rule, r });
}

static bool unobserve(record *r)
{
    return rill_tape_unobserve(tape,
                               &(rill_observer){ note_op, note_rule, r });
}

START_TEST(observers_see_each_op_and_rule_once)
{
    record r = { .n = 0 };
    rill_tensor *x = leaf();
    rill_exp(tape, x);
    ck_assert(observe(&r));
    rill_tensor *loss = sum(rill_exp(tape, rill_log(tape, x)));
    ASSERT_NOTED(r, "les");
    ck_assert(rill_backward(tape, loss, NULL));
    ASSERT_NOTED(r, "SEL.");
    /* a recorded sweep runs ops, but not the program's */
    ck_assert(rill_backward(tape, loss,
                            &(rill_backward_opts){ .create_graph = true }));
    ASSERT_NOTED(r, "SEL.");
    rill_tape_record(tape, false);
    rill_tanh(tape, rill_detach(tape, x));
    ASSERT_NOTED(r, "t");
    rill_tape_record(tape, true);
    rill_tape_reset(tape);
    ck_assert(rill_backward(tape, sum(leaf()), NULL));
    ASSERT_NOTED(r, "sS.");
    ck_assert(unobserve(&r));
    ck_assert(!unobserve(&r));
    ck_assert(rill_backward(tape, sum(leaf()), NULL));
    ASSERT_NOTED(r, "");
    ASSERT_OK();
}
END_TEST

static void note_node(rill_tape *t, const rill_op *op, const rill_tensor *y,
                      const rill_tensor *const *x, int n, void *user)
{
    const rill_node *last = rill_tape_node(t, rill_tape_len(t) - 1);
    ck_assert_ptr_eq(rill_node_output(last), y);
    ck_assert_ptr_eq(rill_node_op(last), op);
    for (int i = 0; i < n; i++)
        ck_assert_ptr_eq(rill_node_input(last, i), x[i]);
    note(user, '0');
}

/* What was recorded is on the tape when they are called. */
START_TEST(observers_find_the_node)
{
    record r = { .n = 0 };
    ck_assert(rill_tape_observe(tape, &(rill_observer){ .op = note_node,
                                                        .user = &r }));
    rill_tensor *w = rill_variable(tape, "w", RILL_F64, RILL_SHAPE(1, 2));
    ck_assert(rill_backward(tape, sum(rill_linear(tape, leaf(), w, NULL)),
                            NULL));
    ASSERT_NOTED(r, "00");
}
END_TEST

START_TEST(observers_are_called_in_order)
{
    record r = { .n = 0 }, s = { .n = 0 };
    rill_observer ops = { .op = note_op, .user = &r };
    rill_observer rules = { .rule = note_rule, .user = &r };
    rill_observer first = { .op = note_node, .user = &r };
    ck_assert(rill_tape_observe(tape, &first));
    ck_assert(rill_tape_observe(tape, &ops));
    ck_assert(rill_tape_observe(tape, &rules));
    ck_assert(observe(&s));
    rill_tensor *loss = sum(leaf());
    ASSERT_NOTED(r, "0s");
    ck_assert(rill_backward(tape, loss, NULL));
    ASSERT_NOTED(r, "S.");
    ASSERT_NOTED(s, "sS.");
    /* those behind one that goes move up and stay in order */
    ck_assert(rill_tape_unobserve(tape, &ops));
    ck_assert(rill_tape_observe(tape, &ops));
    ck_assert(rill_tape_unobserve(tape, &rules));
    ck_assert(rill_backward(tape, sum(leaf()), NULL));
    ASSERT_NOTED(r, "0s");
    ASSERT_NOTED(s, "sS.");
}
END_TEST

START_TEST(observers_refuse)
{
    record r[RILL_MAX_OBSERVERS + 1];
    ASSERT_REFUSED(rill_tape_observe(tape, NULL),
                   "observe: the observer is NULL");
    for (int i = 0; i < RILL_MAX_OBSERVERS; i++)
        ck_assert(observe(&r[i]));
    ASSERT_REFUSED(observe(&r[RILL_MAX_OBSERVERS]),
                   "observe: too many look on already");
    ck_assert(!unobserve(&r[RILL_MAX_OBSERVERS]));
    ck_assert(!rill_tape_unobserve(tape, NULL));
    ck_assert(!rill_tape_unobserve(NULL, &(rill_observer){ .user = r }));
    ck_assert(!rill_tape_observe(NULL, &(rill_observer){ .user = r }));
    ASSERT_OK();
    ck_assert(unobserve(&r[0]));
    ck_assert(observe(&r[RILL_MAX_OBSERVERS]));
}
END_TEST

static void stop_op(rill_tape *t, const rill_op *op, const rill_tensor *y,
                    const rill_tensor *const *x, int n, void *user)
{
    (void)y, (void)x, (void)n, (void)user;
    if (strcmp(op->name, "log") == 0)
        rill_fail(t, "stop: no logarithms");
}

static void stop_rule(rill_tape *t, const rill_node *n,
                      const rill_tensor *gy, const rill_tensor *const *gx,
                      void *user)
{
    (void)gy, (void)gx, (void)user;
    if (strcmp(rill_node_op(n)->name, "exp") == 0)
        rill_fail(t, "stop: no exponentials");
}

START_TEST(observers_may_stop_the_work)
{
    record r = { .n = 0 };
    rill_tensor *x = leaf();
    ck_assert(rill_tape_observe(tape,
                                &(rill_observer){ stop_op, stop_rule, NULL }));
    ck_assert(observe(&r));
    rill_tensor *e = rill_exp(tape, x);
    int len = rill_tape_len(tape);
    ASSERT_REFUSED(rill_log(tape, e), "stop: no logarithms");
    ASSERT_NOTED(r, "e"); /* whoever comes later is not called */
    /* the node that was stopped at can be looked at */
    ck_assert_int_eq(rill_tape_len(tape), len + 1);
    ck_assert_str_eq(rill_node_op(rill_tape_node(tape, len))->name, "log");
    rill_tensor *loss = sum(e);
    ASSERT_REFUSED(rill_backward(tape, loss, NULL), "stop: no exponentials");
    ASSERT_NOTED(r, "sS");
    ck_assert_ptr_null(rill_grad(tape, x));
    ck_assert_ptr_null(rill_grad(tape, e));
    ck_assert(rill_tape_record(tape, true)); /* as it was before */
    rill_tape_record(tape, false);
    ASSERT_REFUSED(rill_log(tape, x), "stop: no logarithms");
}
END_TEST

/* ---- hooks -------------------------------------------------------------- */

typedef struct {
    record *r;
    char name;
    const rill_tensor *x;
    const rill_tensor *seen, *give; /* give NULL: leave it */
} hook;

static const rill_tensor *run_hook(rill_tape *t, const rill_tensor *x,
                                   const rill_tensor *grad, void *user)
{
    hook *h = user;
    ck_assert_ptr_eq(t, tape);
    ck_assert_ptr_eq(x, h->x);
    h->seen = grad;
    if (h->r)
        note(h->r, h->name);
    return h->give;
}

static bool on_grad(hook *h)
{
    return rill_on_grad(tape, h->x, run_hook, h);
}

/* The gradient is whole when a hook sees it, wherever the hook sits. */
START_TEST(hooks_see_the_whole_gradient_in_order)
{
    record r = { .n = 0 };
    double two[] = { 2, 3 };
    rill_tensor *x = leaf();
    rill_tensor *w = rill_variable(tape, "w", RILL_F64, RILL_SHAPE(2));
    memcpy(rill_write(w), two, sizeof two);
    hook hw = { &r, 'w', w, NULL, NULL }; /* before w is used */
    ck_assert(on_grad(&hw));
    rill_tensor *y = rill_mul(tape, x, w);
    rill_tensor *loss = sum(rill_mul(tape, y, rill_add(tape, y, w)));
    hook h[] = { { &r, 'x', x, NULL, NULL }, { &r, 'y', y, NULL, NULL },
                 { &r, 'l', loss, NULL, NULL } };
    for (int i = 0; i < 3; i++)
        ck_assert(on_grad(&h[i]));
    ck_assert(rill_backward(tape, loss, NULL));
    ASSERT_NOTED(r, "lywx"); /* from the end of the tape: x came first */
    /* loss = sum x^2 w^2 + x w^2; x = 1, 2 and w = 2, 3 */
    assert_tensor(h[2].seen, RILL_SCALAR, (double[]){ 1 }, 0);
    assert_tensor(h[1].seen, RILL_SHAPE(2), (double[]){ 6, 15 }, 1e-15);
    assert_tensor(h[0].seen, RILL_SHAPE(2), (double[]){ 12, 45 }, 1e-15);
    assert_tensor(hw.seen, RILL_SHAPE(2), (double[]){ 8, 36 }, 1e-15);
    ck_assert_ptr_eq(rill_grad(tape, w), hw.seen);
    /* once in each backward, until reset */
    ck_assert(rill_backward(tape, loss, NULL));
    ASSERT_NOTED(r, "lywx");
    ck_assert(rill_backward(tape, sum(x), NULL));
    ASSERT_NOTED(r, "x"); /* nothing comes to the others */
    rill_tape_reset(tape);
    ASSERT_NOTED(r, "");
}
END_TEST

START_TEST(hooks_end_at_reset)
{
    rill_tape *home = rill_tape_new(NULL);
    rill_tensor *w = rill_variable(home, "w", RILL_F64, RILL_SHAPE(2));
    record r = { .n = 0 };
    hook h = { &r, 'w', w, NULL, NULL };
    ck_assert(on_grad(&h));
    ck_assert(rill_backward(tape, sum(w), NULL));
    ASSERT_NOTED(r, "w");
    rill_tape_reset(tape);
    ck_assert(rill_backward(tape, sum(w), NULL));
    ASSERT_NOTED(r, "");
    rill_tape_free(home);
}
END_TEST

/* What a hook gives goes on in the gradient's place: to the next hook, to
 * the rule, to rill_grad. */
START_TEST(hooks_replace)
{
    rill_tensor *x = leaf(), *y = rill_square(tape, x), *loss = sum(y);
    rill_tensor *ten = from(RILL_SHAPE(2), (double[]){ 10, 20 });
    rill_tensor *five = from(RILL_SHAPE(2), (double[]){ 5, 0 });
    rill_tensor *half = rill_full(tape, 0.5, RILL_F64, RILL_SCALAR);
    hook h[] = { { NULL, 0, loss, NULL, half }, { NULL, 0, y, NULL, ten },
                 { NULL, 0, y, NULL, NULL }, { NULL, 0, y, NULL, five },
                 { NULL, 0, x, NULL, NULL } };
    for (int i = 0; i < 5; i++)
        ck_assert(on_grad(&h[i]));
    ck_assert(rill_backward(tape, loss, NULL));
    assert_tensor(h[1].seen, RILL_SHAPE(2), (double[]){ 0.5, 0.5 }, 0);
    ck_assert_ptr_eq(h[2].seen, ten);
    ck_assert_ptr_eq(h[3].seen, ten);
    assert_tensor(h[4].seen, RILL_SHAPE(2), (double[]){ 10, 0 }, 0);
    ck_assert_ptr_eq(rill_grad(tape, y), five);
    ck_assert_ptr_eq(rill_grad(tape, loss), half);
    ck_assert_ptr_eq(rill_grad(tape, x), h[4].seen);
    /* what was given is its giver's: nobody adds into it */
    assert_tensor(five, RILL_SHAPE(2), (double[]){ 5, 0 }, 0);
    assert_tensor(half, RILL_SCALAR, (double[]){ 0.5 }, 0);
}
END_TEST

static const rill_tensor *double_hook(rill_tape *t, const rill_tensor *x,
                                      const rill_tensor *grad, void *user)
{
    (void)x, (void)user;
    return rill_scale(t, grad, 2);
}

/* A hook's ops are recorded with the sweep: d/dx of 2 * 3 x^2 is 12 x. */
START_TEST(hooks_are_differentiated)
{
    rill_tensor *x = leaf(), *loss = sum(rill_pow(tape, x, 3));
    ck_assert(rill_on_grad(tape, x, double_hook, NULL));
    ck_assert(rill_backward(tape, loss,
                            &(rill_backward_opts){ .create_graph = true }));
    const rill_tensor *dx = rill_grad(tape, x);
    assert_tensor(dx, RILL_SHAPE(2), (double[]){ 6, 24 }, 1e-15);
    rill_tensor *again = sum(dx);
    ck_assert(rill_backward(tape, again, NULL));
    /* the hook on x is called in this backward too */
    assert_tensor(rill_grad(tape, x), RILL_SHAPE(2), (double[]){ 24, 48 },
                  1e-14);
}
END_TEST

static const rill_tensor *failing_hook(rill_tape *t, const rill_tensor *x,
                                       const rill_tensor *grad, void *user)
{
    (void)x, (void)user;
    return rill_fail(t, "hook: %g is too much", rill_item(grad));
}

static const rill_tensor *misfit_hook(rill_tape *t, const rill_tensor *x,
                                      const rill_tensor *grad, void *user)
{
    (void)x, (void)user;
    return rill_add(t, grad, rill_zeros(t, RILL_F64, RILL_SHAPE(3)));
}

START_TEST(hooks_that_fail_stop_the_backward)
{
    rill_grad_hook *hooks[] = { failing_hook, misfit_hook };
    const char *said[] = { "hook: 1 is too much", NULL };
    for (int i = 0; i < 2; i++) {
        record r = { .n = 0 };
        rill_tensor *x = leaf(), *y = rill_square(tape, x), *loss = sum(y);
        hook after = { &r, 'a', NULL, NULL, NULL };
        after.x = i ? y : loss;
        ck_assert(rill_on_grad(tape, after.x, hooks[i], NULL));
        ck_assert(on_grad(&after));
        ck_assert(!rill_backward(tape, loss, NULL));
        if (said[i])
            ck_assert_str_eq(rill_error(tape), said[i]);
        else
            ck_assert_ptr_nonnull(strstr(rill_error(tape), "add: "));
        rill_clear_error(tape);
        ASSERT_NOTED(r, "");
        ck_assert_ptr_null(rill_grad(tape, loss));
        ck_assert_ptr_null(rill_grad(tape, x));
        ck_assert(rill_tape_record(tape, true));
        rill_tape_reset(tape);
    }
}
END_TEST

START_TEST(hooks_refuse)
{
    rill_tensor *x = leaf(), *c = from(RILL_SHAPE(2), (double[]){ 1, 2 });
    rill_tensor *w = rill_variable(tape, "w", RILL_F64, RILL_SHAPE(2));
    hook h = { NULL, 0, NULL, NULL, NULL };
    static const char constant[] =
        "on_grad: x is a constant here: no gradient comes to it";
    ck_assert(!rill_on_grad(NULL, x, run_hook, &h));
    ASSERT_REFUSED(on_grad(&h), "on_grad: x is NULL");
    ASSERT_REFUSED(rill_on_grad(tape, x, NULL, NULL),
                   "on_grad: the hook is NULL");
    h.x = c;
    ASSERT_REFUSED(on_grad(&h), constant);
    h.x = rill_exp(tape, c); /* recorded, but of a constant */
    ASSERT_REFUSED(on_grad(&h), constant);
    h.x = rill_gt(tape, x, c); /* of a leaf, but not differentiable */
    ASSERT_REFUSED(on_grad(&h), constant);
    rill_variable_freeze(w, true);
    h.x = w;
    ASSERT_REFUSED(on_grad(&h), constant);
    rill_tape *other = rill_tape_new(NULL);
    h.x = rill_watch(other, rill_zeros(other, RILL_F64, RILL_SCALAR));
    ASSERT_REFUSED(on_grad(&h),
                   "on_grad: x was recorded on another tape: detach it");
    rill_tape_free(other);
    rill_tape_reset(tape);
    h.x = x;
    ASSERT_REFUSED(on_grad(&h),
                   "on_grad: x was made before its tape was reset");
}
END_TEST

/* Gradients that do not fit are refused when the hook gives them. */
START_TEST(hooks_refuse_what_does_not_fit)
{
    rill_tape *other = rill_tape_new(NULL);
    rill_tensor *stale = rill_zeros(other, RILL_F64, RILL_SHAPE(2));
    rill_tape_reset(other);
    const rill_tensor *give[] = {
        from(RILL_SHAPE(1), (double[]){ 1 }),
        rill_zeros(tape, RILL_F32, RILL_SHAPE(2)), stale
    };
    const char *said[] = {
        "on_grad: x is float64 [2] but the hook's gradient is float64 [1]",
        "on_grad: x is float64 [2] but the hook's gradient is float32 [2]",
        "on_grad: the hook's gradient was made before its tape was reset"
    };
    for (int i = 0; i < 3; i++) {
        hook h = { NULL, 0, leaf(), NULL, give[i] };
        ck_assert(on_grad(&h));
        ASSERT_REFUSED(rill_backward(tape, sum(h.x), NULL), said[i]);
        ck_assert_ptr_null(rill_grad(tape, h.x));
    }
    rill_tape_free(other);
}
END_TEST

int main(void)
{
    return HARNESS_RUN(
        "observe", names_are_copied_and_kept, names_refuse,
        layers_name_what_they_make, record_is_read_node_by_node,
        shares_of_a_gradient, observers_see_each_op_and_rule_once,
        observers_find_the_node, observers_are_called_in_order,
        observers_refuse, observers_may_stop_the_work,
        hooks_see_the_whole_gradient_in_order, hooks_end_at_reset,
        hooks_replace, hooks_are_differentiated,
        hooks_that_fail_stop_the_backward, hooks_refuse,
        hooks_refuse_what_does_not_fit);
}
