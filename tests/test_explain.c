/* The trace of a backward: what a person would write on paper. */
#include "harness.h"

/* What rill_backward_explain writes, until the next call. */
static const char *explained(const rill_tensor *loss,
                             const rill_backward_opts *opts, bool expected)
{
    static char text[1 << 14];
    FILE *f = fmemopen(text, sizeof text, "w");
    ck_assert_ptr_nonnull(f);
    text[0] = '\0';
    ck_assert_int_eq(rill_backward_explain(f, tape, loss, opts), expected);
    ck_assert_int_lt(ftell(f), sizeof text - 1);
    fclose(f);
    return text;
}

static rill_tensor *leaf(const char *name, rill_shape shape, const double *v)
{
    rill_tensor *x = rill_from(tape, v, RILL_F64, shape);
    return rill_watch(tape, rill_named(tape, x, name));
}

/* Shows where two texts part: Check cuts long messages. */
static void assert_text(const char *text, const char *expected)
{
    size_t n = 0;
    while (text[n] && text[n] == expected[n])
        n++;
    ck_assert_msg(text[n] == expected[n], "after \"%.*s\": \"%.99s\"",
                  n < 300 ? (int)n : 300, text + (n < 300 ? 0 : n - 300),
                  text + n);
}

/* No line is wider than 100 columns or ends with a space. */
static void assert_tidy(const char *text)
{
    int column = 0;
    for (const char *s = text; *s; s++) {
        if (*s == '\n') {
            ck_assert_msg(column <= 100, "%d columns: %.300s", column,
                          s - 100);
            ck_assert(s == text || s[-1] != ' ');
            column = 0;
        } else {
            column += ((unsigned char)*s & 0xc0) != 0x80;
        }
    }
    ck_assert_int_eq(column, 0); /* the last one ends */
}

START_TEST(sum_of_squares)
{
    rill_tensor *x = leaf("x", RILL_SHAPE(3), (double[]){ 1, -2, 0.5 });
    rill_tensor *loss = rill_sum(tape, rill_square(tape, x), NULL);
    assert_text(explained(loss, NULL, true),
                     "sum.2\n"
                     "    dx = dy at every element summed\n"
                     "    y   sum.2     = 5.25\n"
                     "    dy  sum.2     = 1, the seed\n"
                     "    x   square.1  = [1, 4, 0.25]\n"
                     "    dx  square.1  = [1, 1, 1]\n"
                     "\n"
                     "square.1\n"
                     "    dx = 2 dy x\n"
                     "    y   square.1  = [1, 4, 0.25]\n"
                     "    dy  square.1  = [1, 1, 1]\n"
                     "    x   x         = [1, -2, 0.5]\n"
                     "    dx  x         = [2, -4, 1]\n"
                     "\n"
                     "The leaves\n"
                     "    d  x  = [2, -4, 1]\n");
    ASSERT_OK();
}
END_TEST

/* Two ways to a, a broadcast b, rows below each other, a seed of one's own,
 * a constant, a name for an op's result. */
START_TEST(a_quotient_and_its_seed)
{
    rill_tensor *a = leaf("a", RILL_SHAPE(2, 2), (double[]){ 1, 2, 3, -40 });
    rill_tensor *b = leaf("b", RILL_SHAPE(2), (double[]){ 2, -4 });
    rill_tensor *c = rill_full(tape, 3, RILL_F64, RILL_SCALAR);
    rill_tensor *q = rill_named(tape, rill_div(tape, a, b), "q");
    rill_tensor *y = rill_add(tape, q, rill_mul(tape, a, c));
    rill_tensor *seed = rill_from(tape, (double[]){ 1, 2, 0, 1 }, RILL_F64,
                                  RILL_SHAPE(2, 2));
    assert_text(explained(y, &(rill_backward_opts){ .grad = seed }, true),
                     "add.4\n"
                     "    da = dy, db = dy\n"
                     "    y   add.4  = [[ 3.5,  5.5],\n"
                     "                  [10.5, -110]]\n"
                     "    dy  add.4  = [[1, 2],\n"
                     "                  [0, 1]], the seed\n"
                     "    a   q      = [[ 0.5, -0.5],\n"
                     "                  [ 1.5,   10]]\n"
                     "    b   mul.3  = [[   3,    6],\n"
                     "                  [   9, -120]]\n"
                     "    da  q      = [[1, 2],\n"
                     "                  [0, 1]]\n"
                     "    db  mul.3  = [[1, 2],\n"
                     "                  [0, 1]]\n"
                     "\n"
                     "mul.3\n"
                     "    da = dy b, db = dy a\n"
                     "    y   mul.3     = [[   3,    6],\n"
                     "                     [   9, -120]]\n"
                     "    dy  mul.3     = [[1, 2],\n"
                     "                     [0, 1]]\n"
                     "    a   a         = [[  1,   2],\n"
                     "                     [  3, -40]]\n"
                     "    b   constant  = 3\n"
                     "    da  a         = [[3, 6],\n"
                     "                     [0, 3]]\n"
                     "\n"
                     "q: div\n"
                     "    da = dy / b, db = -(dy / b) y\n"
                     "    y   q  = [[ 0.5, -0.5],\n"
                     "              [ 1.5,   10]]\n"
                     "    dy  q  = [[1, 2],\n"
                     "              [0, 1]]\n"
                     "    a   a  = [[  1,   2],\n"
                     "              [  3, -40]]\n"
                     "    b   b  = [2, -4]\n"
                     "    da  a  = [[  0.5,  -0.5],\n"
                     "              [    0, -0.25]]\n"
                     "    db  b  = [[-0.25, -0.25],\n"
                     "              [    0,   2.5]], to be summed to [2]\n"
                     "\n"
                     "The leaves\n"
                     "    d  b  = [-0.25, 2.25]\n"
                     "    d  a  = [[ 3.5,  5.5],\n"
                     "             [   0, 2.75]], the sum of 2\n");
    ASSERT_OK();
}
END_TEST

/* ---- a network ---------------------------------------------------------- */

/* Finds the line that begins so after `from`; returns what follows. */
static const char *after(const char *from, const char *line)
{
    const char *at = strstr(from, line);
    ck_assert_msg(at != NULL, "no \"%s\" in\n%.2000s", line, from);
    return at + strlen(line);
}

/* The elements written there are those of x, to four digits. */
static void assert_whole(const char *text, const rill_tensor *x)
{
    for (int64_t i = 0; i < rill_numel(x); i++) {
        text += strcspn(text, "-0123456789");
        char *end;
        double v = strtod(text, &end);
        ck_assert_ptr_ne(end, text);
        ck_assert_msg(fabs(v - rill_at(x, i)) <= 5.1e-4 * fabs(rill_at(x, i)),
                      "%g instead of %g", v, rill_at(x, i));
        text = end;
    }
}

START_TEST(a_network)
{
    rill_params *p = rill_params_new(RILL_F32, 1);
    rill_nn_linear fc1 = rill_nn_linear_new(p, "fc1", 2, 16);
    rill_nn_linear fc2 = rill_nn_linear_new(p, "fc2", 16, 5);
    rill_tensor *x = normal(2, RILL_F32, RILL_SHAPE(3, 2));
    rill_tensor *y = rill_from(tape, (double[]){ 4, 0, 12345 }, RILL_I32,
                               RILL_SHAPE(3));
    rill_tensor *h = rill_sigmoid(tape, rill_nn_linear_apply(tape, &fc1, x));
    rill_tensor *z = rill_nn_linear_apply(tape, &fc2, h);
    rill_tensor *loss = rill_cross_entropy(
        tape, z, y, &(rill_cross_entropy_opts){
                        .ignore_index = (int32_t[]){ 12345 } });
    int len = rill_tape_len(tape);
    const char *text = explained(loss, NULL, true);
    ck_assert_int_eq(rill_tape_len(tape), len);
    assert_tidy(text);
    const char *at = after(text, "cross_entropy.7\n    dz = dloss (K softmax("
                                 "z) - k), k: the target's mass\n");
    assert_whole(after(at, "    loss   cross_entropy.7  = "), loss);
    assert_whole(after(at, "    z      fc2              = "), z);
    after(at, "           constant         = [4, 0, 12345]\n");
    assert_whole(after(at, "    dz     fc2              = "),
                 rill_grad(tape, z));
    at = after(at, "\n\nfc2: linear\n"
                   "    dx = dy W, dW = dy^T x, db = sum dy\n");
    char said[100];
    snprintf(said, sizeof said, "    dW  fc2.weight  = [5, 16], norm %.4g\n",
             rill_norm(rill_grad(tape, fc2.weight)));
    after(at, said);
    assert_whole(after(at, "    db  fc2.bias    = "),
                 rill_grad(tape, fc2.bias));
    at = after(at, "\n\nsigmoid.3\n    dx = dy y (1 - y)\n");
    at = after(at, "\n\nfc1: linear\n");
    after(at, "    x   constant    = [[");
    ck_assert_ptr_null(strstr(at, "dx  constant")); /* no one wants it */
    at = after(at, "\n\nThe leaves\n");
    assert_whole(after(at, "    d  fc2.bias    = "),
                 rill_grad(tape, fc2.bias));
    assert_whole(after(at, "    d  fc1.bias    = "),
                 rill_grad(tape, fc1.bias));
    ASSERT_OK();
    rill_params_free(p);
}
END_TEST

/* Sixteen long numbers, a name of 300 wide characters, one with controls, a
 * remark where a line is full, an empty tensor, eight dimensions. */
START_TEST(stays_tidy)
{
    char name[1 + 3 * 300] = "";
    double v[16];
    for (int i = 0; i < 300; i++)
        strcat(name, "\xe2\x88\x82");
    for (int i = 0; i < 16; i++)
        v[i] = -1.2345678e-5 / (i + 1);
    rill_tensor *a = leaf(name, RILL_SHAPE(5), v);
    rill_tensor *b = leaf("b\n\x1b[31m", RILL_SHAPE(1, 2, 5), v);
    rill_tensor *d = leaf("d", RILL_SHAPE(16), v);
    rill_tensor *c = leaf("c", RILL_SHAPE(2, 1, 2, 1, 2, 1, 2, 1), v);
    rill_tensor *none = leaf("none", RILL_SHAPE(0, 3), NULL);
    rill_tensor *y = rill_sum(tape, rill_mul(tape, a, b), NULL);
    y = rill_add(tape, y, rill_sum(tape, c, NULL));
    y = rill_add(tape, y, rill_sum(tape, none, NULL));
    y = rill_add(tape, y, rill_sum(tape, d, NULL));
    const char *text = explained(y, NULL, true);
    assert_tidy(text);
    ck_assert_ptr_null(strchr(text, '\x1b'));
    after(text, "= float64 [0, 3]\n");
    char line[100];
    snprintf(line, sizeof line, "\n%35s to be summed to [5]\n", "");
    after(text, line);
    /* a formula that names fewer gradients than there are */
    rill_tensor *both[] = { a, a };
    text = explained(rill_sum(tape, rill_concat(tape, (const rill_tensor **)
                                                          both, 2, 0), NULL),
                     NULL, true);
    assert_tidy(text);
    after(text, "    dx[i] = its slice of dy\n");
    after(text, "the sum of 2\n");
}
END_TEST

static void bare_backward(rill_tape *t, const rill_node *n,
                          const rill_tensor *gy, const rill_tensor **gx)
{
    (void)t, (void)n;
    gx[0] = gy;
}

/* An op of one's own may have no formula. */
START_TEST(without_a_formula)
{
    static const rill_op bare = { .name = "bare", .backward = bare_backward };
    const rill_tensor *x = leaf("x", RILL_SCALAR, (double[]){ 3 });
    rill_tensor *y = rill_from(tape, (double[]){ 4 }, RILL_F64, RILL_SCALAR);
    assert_text(explained(rill_record(tape, &bare, y, &x, 1, NULL), NULL,
                          true),
                "bare.1\n"
                "    y   bare.1  = 4\n"
                "    dy  bare.1  = 1, the seed\n"
                "        x       = 3\n"
                "    d   x       = 1\n"
                "\n"
                "The leaves\n"
                "    d  x  = 1\n");
}
END_TEST

/* Numbers that an op was given stand behind the formula they are in. */
START_TEST(numbers_of_the_op)
{
    rill_tensor *x = leaf("x", RILL_SCALAR, (double[]){ 3 });
    rill_tensor *y = rill_clamp(tape, rill_pow(tape, x, 1.5), -1, 7.25);
    assert_text(explained(rill_rsub(tape, rill_leaky_relu(tape, y, 0.01), 2),
                          NULL, true),
                "rsub.4\n"
                "    dx = -dy; s = 2\n"
                "    y   rsub.4        = -3.196\n"
                "    dy  rsub.4        = 1, the seed\n"
                "    x   leaky_relu.3  = 5.196\n"
                "    dx  leaky_relu.3  = -1\n"
                "\n"
                "leaky_relu.3\n"
                "    dx = x > 0 ? dy : slope dy; slope = 0.01\n"
                "    y   leaky_relu.3  = 5.196\n"
                "    dy  leaky_relu.3  = -1\n"
                "    x   clamp.2       = 5.196\n"
                "    dx  clamp.2       = -1\n"
                "\n"
                "clamp.2\n"
                "    dx = dy where low <= x <= high; low = -1, high = 7.25\n"
                "    y   clamp.2  = 5.196\n"
                "    dy  clamp.2  = -1\n"
                "    x   pow.1    = 5.196\n"
                "    dx  pow.1    = -1\n"
                "\n"
                "pow.1\n"
                "    dx = dy p x^(p - 1); p = 1.5\n"
                "    y   pow.1  = 5.196\n"
                "    dy  pow.1  = -1\n"
                "    x   x      = 3\n"
                "    dx  x      = -2.598\n"
                "\n"
                "The leaves\n"
                "    d  x  = -2.598\n");
}
END_TEST

/* The gradients are rill_backward's, and it looks on no longer. */
START_TEST(changes_nothing)
{
    rill_tensor *x = leaf("x", RILL_SHAPE(2), (double[]){ 1, 2 });
    rill_tensor *loss = rill_sum(tape, rill_pow(tape, x, 3), NULL);
    rill_backward_opts graph = { .create_graph = true };
    explained(loss, &graph, true);
    rill_tensor *dx = rill_grad(tape, x);
    assert_tensor(dx, RILL_SHAPE(2), (double[]){ 3, 12 }, 1e-15);
    explained(rill_sum(tape, dx, NULL), NULL, true);
    assert_tensor(rill_grad(tape, x), RILL_SHAPE(2), (double[]){ 6, 12 },
                  1e-15);
    for (int i = 0; i < RILL_MAX_OBSERVERS; i++)
        ck_assert(rill_tape_observe(tape, &(rill_observer){ .user = NULL }));
    const char *text = explained(loss, NULL, false);
    ck_assert_str_eq(text, "");
    ASSERT_REFUSED(false, "observe: too many look on already");
}
END_TEST

static const rill_tensor *refuse(rill_tape *t, const rill_tensor *x,
                                 const rill_tensor *grad, void *user)
{
    (void)x, (void)grad, (void)user;
    return rill_fail(t, "hook: that is enough");
}

START_TEST(says_where_it_stops)
{
    rill_tensor *x = leaf("x", RILL_SHAPE(2), (double[]){ 1, 2 });
    rill_tensor *y = rill_square(tape, x), *loss = rill_sum(tape, y, NULL);
    ck_assert(rill_on_grad(tape, y, refuse, NULL));
    assert_text(explained(loss, NULL, false),
                     "sum.2\n"
                     "    dx = dy at every element summed\n"
                     "    y   sum.2     = 5\n"
                     "    dy  sum.2     = 1, the seed\n"
                     "    x   square.1  = [1, 4]\n"
                     "    dx  square.1  = [1, 1]\n"
                     "\n"
                     "Stopped: hook: that is enough\n");
    ASSERT_REFUSED(rill_grad(tape, x), "hook: that is enough");
    assert_text(explained(NULL, NULL, false),
                     "Stopped: backward: the loss is NULL\n");
    ASSERT_REFUSED(false, "backward: the loss is NULL");
    explained(x, NULL, false);
    ASSERT_REFUSED(false, "backward: the loss is [2], not one element: give "
                          "a seed gradient of its shape");
    ASSERT_REFUSED(rill_backward_explain(NULL, tape, loss, NULL),
                   "backward_explain: f is NULL");
    ck_assert(!rill_backward_explain(stdout, NULL, loss, NULL));
    /* a leaf that is its own loss: no rule */
    x = leaf("x", RILL_SCALAR, (double[]){ 3 });
    assert_text(explained(x, NULL, true), "The leaves\n    d  x  = 1\n");
}
END_TEST

int main(void)
{
    return HARNESS_RUN("explain", sum_of_squares, a_quotient_and_its_seed,
                       a_network, stays_tidy, without_a_formula,
                       changes_nothing, numbers_of_the_op,
                       says_where_it_stops);
}
