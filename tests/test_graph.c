/* test_graph: rill_tape_dot, read back by a small reader of what it writes:
 * one statement a line. What Graphviz itself says is tests/browser/dot.sh's
 * matter: where $RILL_DOT is set, each graph is kept in that folder. */
#include "harness.h"

#include <stdio.h>

enum { TEXT = 1 << 18, WORD = 1024 };

static char text[TEXT];

static void draw(const char *name, const rill_dot_opts *opts)
{
    memset(text, 0, sizeof text);
    FILE *f = fmemopen(text, sizeof text - 1, "w");
    ck_assert_ptr_nonnull(f);
    rill_tape_dot(f, tape, opts);
    fclose(f);
    const char *folder = getenv("RILL_DOT");
    char path[WORD];
    snprintf(path, sizeof path, "%s/%s.dot", folder ? folder : "", name);
    FILE *kept = folder ? fopen(path, "w") : NULL;
    if (kept) {
        fputs(text, kept);
        fclose(kept);
    }
}

/* The line that begins so, without its newline; "" where there is none. */
static const char *line(const char *start)
{
    static char copy[WORD];
    const char *at = text;
    while (at && strncmp(at, start, strlen(start)) != 0)
        at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
    size_t n = at ? strcspn(at, "\n") : 0;
    ck_assert_uint_lt(n, sizeof copy);
    memcpy(copy, at ? at : "", n);
    copy[n] = '\0';
    return copy;
}

static int count(const char *what)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

static const char *label(const char *start)
{
    static char copy[WORD];
    const char *at = strstr(line(start), "label=\"");
    ck_assert_msg(at != NULL, "%s has no label", start);
    strcpy(copy, at + 7);
    char *end = strrchr(copy, '"');
    ck_assert_ptr_nonnull(end);
    *end = '\0';
    return copy;
}

/* Numbers that were cut to seven columns. */
static void assert_number(const char *s, double v)
{
    char *end;
    double shown = strtod(s, &end);
    ck_assert_msg(end > s && fabs(shown - v) <= 0.05 * fabs(v),
                  "%s is not %g", s, v);
}

static const rill_tensor *node(int i)
{
    return rill_node_output(rill_tape_node(tape, i));
}

static double norm(int i)
{
    return rill_norm(rill_grad(tape, node(i)));
}

/* An MLP of so many equal layers, 2 to 8 ... to 5, and a training step. */
static rill_params *train(int depth)
{
    int64_t widths[64] = { 2 };
    for (int i = 1; i < depth; i++)
        widths[i] = 8;
    widths[depth] = 5;
    rill_params *net = rill_params_new(RILL_F32, 7);
    rill_nn_mlp m = rill_nn_mlp_new(net, "mlp", widths, depth + 1, NULL);
    rill_optim *o = rill_sgd_new(net, &(rill_sgd_opts){ .lr = 0.1 });
    for (int step = 0; step < 3; step++) {
        rill_tape_reset(tape);
        rill_tensor *x = normal(3, RILL_F32, RILL_SHAPE(20, 2));
        rill_tensor *y = rill_empty(tape, RILL_I32, RILL_SHAPE(20));
        for (int i = 0; i < 20; i++)
            ((int32_t *)rill_write(y))[i] = i % 5;
        rill_named(tape, x, "x");
        ck_assert(rill_backward(
            tape, rill_cross_entropy(tape, rill_nn_mlp_apply(tape, &m, x), y,
                                     NULL), NULL));
        if (step < 2)
            ck_assert(rill_optim_step(o, tape));
    }
    rill_optim_free(o);
    return net;
}

START_TEST(nodes_and_edges_of_a_training_step)
{
    rill_params *net = train(3);
    size_t bytes = rill_tape_bytes(tape);
    draw("mlp", NULL);
    ck_assert_uint_eq(rill_tape_bytes(tape), bytes);
    ck_assert_str_eq(label("n0 ["), "mlp.0.weight\\n[8, 2]");
    ck_assert_str_eq(label("n2 ["), "mlp.0\\nlinear [20, 8]");
    ck_assert_str_eq(label("n3 ["), "sigmoid.3\\n[20, 8]");
    ck_assert_str_eq(label("c2_0 ["), "x [20, 2]");
    ck_assert_str_eq(label("c11_1 ["), "[20]");
    /* a node each, and an edge for each input that is a node */
    ck_assert_int_eq(count("\nn") - count(" -> n") + 1, 12);
    static const int edges[][2] = {
        { 0, 2 }, { 1, 2 }, { 2, 3 }, { 3, 6 }, { 4, 6 }, { 5, 6 }, { 6, 7 },
        { 7, 10 }, { 8, 10 }, { 9, 10 }, { 10, 11 }
    };
    enum { EDGES = sizeof edges / sizeof *edges };
    ck_assert_int_eq(count(" -> n"), EDGES + 2);
    for (int i = 0; i < EDGES; i++) {
        char start[32];
        snprintf(start, sizeof start, "n%d -> n%d [", edges[i][0],
                 edges[i][1]);
        assert_number(label(start), norm(edges[i][0]));
    }
    ck_assert_ptr_nonnull(strstr(line("c2_0 -> n2 ["), "dotted"));
    rill_params_free(net);
}
END_TEST

static double width_of(const char *start)
{
    const char *at = strstr(line(start), "penwidth=");
    ck_assert_msg(at != NULL, "%s has no width", start);
    return strtod(at + 9, NULL);
}

/* On a scale of six decades: 0.7 at 1e-6 or less, 5 at 1 or more. */
START_TEST(width_and_colour_follow_the_norm)
{
    static const struct {
        double norm, width;
        const char *colour;
    } at[] = { { 0, 0.7, "#b8cce6" },         { 1e-9, 0.7, "#b8cce6" },
               { 1e-3, 2.85, "#687eb3" },     { 1, 5, "#183080" },
               { 1e5, 5, "#183080" },         { NAN, 5, "#d00000" },
               { INFINITY, 5, "#d00000" } };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        rill_tape_reset(tape);
        rill_tensor *v = rill_watch(tape, rill_zeros(tape, RILL_F64,
                                                     RILL_SCALAR));
        rill_tensor *seed = rill_full(tape, at[i].norm, RILL_F64, RILL_SCALAR);
        ck_assert(rill_backward(tape, rill_add_scalar(tape, v, 1),
                                &(rill_backward_opts){ .grad = seed }));
        draw("width", NULL);
        ASSERT_NEAR(width_of("n0 -> n1 ["), at[i].width, 0.01);
        ck_assert_msg(strstr(line("n0 -> n1 ["), at[i].colour) != NULL,
                      "%g: %s", at[i].norm, line("n0 -> n1 ["));
    }
    ck_assert_str_eq(label("n0 -> n1 ["), " inf");
}
END_TEST

START_TEST(small_tensors_are_written_out)
{
    rill_tensor *v = rill_watch(tape, rill_from(
        tape, (double[]){ 1, 2, -3, 0.5 }, RILL_F32, RILL_SHAPE(2, 2)));
    rill_tensor *y = rill_sum(tape, rill_square(tape, v), NULL);
    draw("values", NULL);
    ck_assert_str_eq(label("n0 ["), "leaf.0\\n[2, 2]\\nvalue [1 2; -3 0.5]");
    ck_assert_ptr_nonnull(strstr(line("n0 -> n1 ["), "style=dashed"));
    ck_assert(rill_backward(tape, y, NULL));
    draw("values", NULL);
    ck_assert_str_eq(label("n0 ["), "leaf.0\\n[2, 2]\\nvalue [1 2; -3 0.5]"
                                    "\\ngradient [2 4; -6 1]");
    ck_assert_str_eq(label("n2 ["),
                     "sum.2\\n[]\\nvalue [14.25]\\ngradient [1]");
    draw("values", &(rill_dot_opts){ .values = 3 });
    ck_assert_str_eq(label("n0 ["), "leaf.0\\n[2, 2]");
    ck_assert_ptr_nonnull(strstr(label("n2 ["), "value [14.25]"));
    rill_tape_reset(tape);
    v = rill_watch(tape, rill_zeros(tape, RILL_F32, RILL_SHAPE(7)));
    rill_watch(tape, rill_zeros(tape, RILL_F32, RILL_SHAPE(0)));
    draw("values", NULL);
    ck_assert_str_eq(label("n0 ["), "leaf.0\\n[7]");
    ck_assert_str_eq(label("n1 ["), "leaf.1\\n[0]");
    draw("values", &(rill_dot_opts){ .values = 7 });
    ck_assert_str_eq(label("n0 ["), "leaf.0\\n[7]\\nvalue [0 0 0 0 0 0 0]");
}
END_TEST

/* Of 14 layers 12 are alike, from the second to the one before the last: four
 * nodes each, from 4 on. */
START_TEST(layers_that_repeat_are_drawn_once)
{
    rill_params *net = train(14);
    ck_assert_int_eq(rill_tape_len(tape), 56);
    draw("unfolded", &(rill_dot_opts){ .nodes = 56 });
    ck_assert_int_eq(count("subgraph"), 0);
    draw("folded", &(rill_dot_opts){ .nodes = 55, .values = 8 });
    ck_assert_ptr_nonnull(strstr(label("n1 ["), "value ["));
    ck_assert_str_eq(label("n5 ["), "mlp.1.bias\\n[8]"); /* many values */
    ck_assert_int_eq(count("subgraph"), 1);
    ck_assert_ptr_nonnull(strstr(line("label="), "\"x 12\""));
    const char *inside = strstr(text, "subgraph");
    for (int i = 4; i < 8; i++) {
        char start[32];
        snprintf(start, sizeof start, "\nn%d [", i);
        const char *at = strstr(inside, start);
        ck_assert(at && at < strstr(inside, "\n}\n"));
    }
    ck_assert_str_eq(line("n8 ["), "");
    ck_assert_str_eq(line("n51 ["), "");
    ck_assert_str_eq(label("n52 ["), "mlp.13.weight\\n[5, 8]");
    ck_assert_int_eq(count("\nn4 -> n6 ["), 1);
    /* in the frame both ends of the run, on the way out the last copy */
    char *to;
    assert_number(label("n6 -> n7 ["), norm(6));
    to = strstr(label("n6 -> n7 ["), "\xe2\x80\xa6 ");
    ck_assert_ptr_nonnull(to);
    assert_number(to + 4, norm(50));
    assert_number(label("n7 -> n54 ["), norm(51));
    assert_number(label("n3 -> n6 ["), norm(3));
    ck_assert_ptr_null(strstr(label("n3 -> n6 ["), "\xe2\x80\xa6"));
    rill_params_free(net);
}
END_TEST

START_TEST(what_does_not_repeat_is_not_folded)
{
    rill_tensor *v = rill_watch(tape, rill_zeros(tape, RILL_F32,
                                                 RILL_SHAPE(2)));
    rill_sum(tape, rill_exp(tape, rill_reshape(tape, rill_square(tape, v),
                                               RILL_SHAPE(2, 1))), NULL);
    draw("once", &(rill_dot_opts){ .nodes = 1 });
    ck_assert_int_eq(count("subgraph"), 0);
    ck_assert_int_eq(count(" -> n"), 4);
    for (int i = 0; i < 30; i++)
        v = rill_tanh(tape, v);
    draw("chain", &(rill_dot_opts){ .nodes = 1 });
    ck_assert_ptr_nonnull(strstr(line("label="), "\"x 30\""));
    ck_assert_int_eq(count("tanh."), 1);
}
END_TEST

/* Outside of quotes stand only the characters of the statements themselves,
 * inside every backslash escapes what may be escaped: no name gets out. */
static void assert_well_formed(void)
{
    bool quoted = false;
    for (const char *c = text; *c; c++) {
        ck_assert(*c == '\n' || ((unsigned char)*c >= 32 && *c != 127));
        if (*c == '"')
            quoted = !quoted;
        else if (quoted && *c == '\\')
            ck_assert_msg(*++c && strchr("\"\\n", *c), "\\%c", *c);
        else if (quoted)
            ck_assert_msg(*c != '\n', "a line ends in quotes");
        else
            ck_assert_msg(strchr("abcdefghijklmnopqrstuvwxyz0123456789_.=,; "
                                 "[]{}->\n", *c) || strchr("UTF", *c),
                          "%c stands outside of quotes", *c);
    }
    ck_assert(!quoted);
}

START_TEST(hostile_names)
{
    char longest[301];
    for (int i = 0; i < 300; i += 2)
        memcpy(longest + i, "\xc3\xa9", 2);
    longest[300] = '\0';
    const struct {
        const char *name, *shown;
    } at[] = {
        { "\"]; evil [label=\"", "\\\"]; evil [label=\\\"" },
        { "back\\slash\\N\\", "back\\\\slash\\\\N\\\\" },
        { "<b>&lt;|{}", "<b>&amp;lt;|{}" },
        { "new\nline\033", "new\xe2\x90\x8aline\xe2\x90\x9b" },
        { "\xff" "bad", "\xef\xbf\xbd" "bad" },
        { "\xf0\x9f\x8e\x89 caf\xc3\xa9", "\xf0\x9f\x8e\x89 caf\xc3\xa9" },
        { "%s%n", "%s%n" },
        { longest, "" },
    };
    enum { MANY = sizeof at / sizeof *at };
    const rill_tensor *all[MANY + 1];
    for (int i = 0; i < MANY; i++) {
        rill_tensor *x = normal(1, RILL_F32, RILL_SHAPE(8));
        all[i] = rill_watch(tape, rill_named(tape, x, at[i].name));
    }
    all[MANY] = rill_named(tape, normal(1, RILL_F32, RILL_SHAPE(8)),
                           at[0].name); /* a constant */
    rill_op op = { .name = at[0].name };
    rill_named(tape, rill_record(tape, &op,
                                 rill_concat(tape, all, MANY + 1, 0), all,
                                 MANY, NULL), at[1].name);
    ASSERT_OK();
    draw("hostile", NULL);
    assert_well_formed();
    for (int i = 0; i < MANY; i++) {
        char start[32];
        snprintf(start, sizeof start, "n%d [", i);
        ck_assert_int_eq(strncmp(label(start), at[i].shown,
                                 strlen(at[i].shown)), 0);
    }
    /* 31 of 150 characters, whole ones, and the ellipsis */
    ck_assert_uint_eq(strlen(label("n7 [")), 31 * 2 + 3 + 5);
    ck_assert_ptr_nonnull(strstr(label("c8_8 ["), at[0].shown));
    ck_assert_int_eq(count("charset"), 1);
}
END_TEST

/* An edge carries what came back along it, not all that its end received. */
START_TEST(branches_have_their_own_share)
{
    rill_tensor *x = rill_watch(tape, rill_zeros(tape, RILL_F64,
                                                 RILL_SHAPE(4)));
    rill_tensor *a = rill_scale(tape, x, 3), *b = rill_scale(tape, x, 4);
    rill_scale(tape, x, 100); /* leads nowhere */
    rill_tensor *d = rill_sub(tape, a, b);
    ck_assert(rill_backward(tape, rill_sum(tape, d, NULL), NULL));
    draw("branches", NULL);
    assert_number(label("n0 -> n1 ["), 6);
    assert_number(label("n0 -> n2 ["), 8);
    ck_assert_ptr_nonnull(strstr(line("n0 -> n3 ["), "style=dashed"));
}
END_TEST

START_TEST(nothing_to_draw)
{
    rill_tape_dot(NULL, tape, NULL);
    FILE *f = fmemopen(text, sizeof text, "w");
    rill_tape_dot(f, NULL, NULL);
    ck_assert_int_eq(ftell(f), 0);
    fclose(f);
    draw("empty", &(rill_dot_opts){ .nodes = -1 });
    assert_well_formed();
    ck_assert_int_eq(count("\nn"), 1); /* "node", what nodes look like */
    ASSERT_OK();
}
END_TEST

int main(void)
{
    return HARNESS_RUN("graph", nodes_and_edges_of_a_training_step,
                       width_and_colour_follow_the_norm,
                       small_tensors_are_written_out,
                       layers_that_repeat_are_drawn_once,
                       what_does_not_repeat_is_not_folded, hostile_names,
                       branches_have_their_own_share, nothing_to_draw);
}
