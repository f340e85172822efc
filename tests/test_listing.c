/* test_listing: rill_tape_print, its figures read back and compared with what
 * loops over the tensors give. */
#define _XOPEN_SOURCE 700 /* for a pseudo terminal */
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { TEXT = 1 << 16, LINE = 100, HEAD = 2 };
enum { MEAN, STD, MIN, MAX, NORM, LARGEST, ZERO, GROWTH };

static char text[TEXT];

static void print(void)
{
    memset(text, 0, sizeof text);
    FILE *f = fmemopen(text, sizeof text - 1, "w");
    ck_assert_ptr_nonnull(f);
    rill_tape_print(f, tape);
    fclose(f);
}

/* Line i of the text, without its newline, in a buffer of its own. */
static const char *line(int i)
{
    static char copy[4 * LINE + 2];
    const char *from = text;
    for (; i > 0; i--) {
        from = strchr(from, '\n');
        ck_assert_ptr_nonnull(from++);
    }
    size_t n = strcspn(from, "\n");
    ck_assert_uint_lt(n, sizeof copy);
    memcpy(copy, from, n);
    copy[n] = '\0';
    return copy;
}

static int columns(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* A figure in the line of node i, whose text is ASCII. The cells lie so many
 * columns before the end of the headings. */
static const char *figure(int i, int k)
{
    static const size_t edge[] = { 56, 49, 42, 35, 28, 20, 13, 8, 0 };
    static char cell[LINE];
    size_t end = strlen(line(1)), from = end - edge[k];
    const char *l = line(HEAD + i);
    memset(cell, 0, sizeof cell);
    if (from < strlen(l))
        strncpy(cell, l + from, edge[k] - edge[k + 1]);
    return cell + strspn(cell, " ");
}

/* The figure is v to the digits that are shown, of which a last zero may be
 * left out; two at least, or one where there is a sign. */
static void assert_shows(int i, int k, double v)
{
    const char *cell = figure(i, k) + (k == GROWTH);
    char *end;
    double shown = strtod(cell, &end);
    ck_assert_msg(end > cell && *end == '\0', "node %d: \"%s\"", i, cell);
    int digits = 0;
    for (const char *c = cell + strspn(cell, "-0."); *c && *c != 'e'; c++)
        digits += *c != '.';
    if (digits < 2 && v > 0)
        digits = 2;
    double unit = v == 0 ? 0 : pow(10, floor(log10(fabs(v))) - digits + 1);
    ck_assert_msg(fabs(shown - v) <= 0.501 * unit,
                  "node %d, figure %d: %s is not %g", i, k, cell, v);
}

static void assert_value(int i, const rill_tensor *x)
{
    int64_t n = rill_numel(x);
    double sum = 0, squares = 0, min = INFINITY, max = -INFINITY;
    for (int64_t e = 0; e < n; e++) {
        sum += rill_at(x, e) / (double)n;
        min = fmin(min, rill_at(x, e));
        max = fmax(max, rill_at(x, e));
    }
    for (int64_t e = 0; e < n; e++)
        squares += pow(rill_at(x, e) - sum, 2) / (double)n;
    assert_shows(i, MEAN, sum);
    assert_shows(i, STD, sqrt(squares));
    assert_shows(i, MIN, min);
    assert_shows(i, MAX, max);
}

static void assert_gradient(int i, const rill_tensor *g)
{
    double zeros = 0, largest = 0, n = (double)rill_numel(g);
    char share[16];
    for (int64_t e = 0; e < rill_numel(g); e++) {
        zeros += rill_at(g, e) == 0;
        largest = fmax(largest, fabs(rill_at(g, e)));
    }
    assert_shows(i, NORM, rill_norm(g));
    assert_shows(i, LARGEST, largest);
    snprintf(share, sizeof share, "%.0f%%", 100 * zeros / n);
    ck_assert_str_eq(figure(i, ZERO), share);
}

/* A relu MLP, 2 to 8 to 5, and a step of its training. */
static rill_tensor *x, *hidden, *logits, *loss;

static void forward(rill_params *net, rill_nn_linear *fc1,
                    rill_nn_linear *fc2)
{
    x = rill_named(tape, normal(3, RILL_F64, RILL_SHAPE(20, 2)), "x");
    rill_tensor *y = rill_empty(tape, RILL_I32, RILL_SHAPE(20));
    for (int i = 0; i < 20; i++)
        ((int32_t *)rill_write(y))[i] = i % 5;
    if (!fc1->weight)
        *fc1 = rill_nn_linear_new(net, "fc1", 2, 8);
    if (!fc2->weight)
        *fc2 = rill_nn_linear_new(net, "fc2", 8, 5);
    hidden = rill_relu(tape, rill_nn_linear_apply(tape, fc1, x));
    logits = rill_nn_linear_apply(tape, fc2, hidden);
    loss = rill_cross_entropy(tape, logits, y, NULL);
    ASSERT_OK();
}

START_TEST(figures_are_those_of_the_tensors)
{
    rill_params *net = rill_params_new(RILL_F64, 7);
    rill_optim *o = rill_sgd_new(net, &(rill_sgd_opts){ .lr = 0.1 });
    rill_nn_linear fc1 = { NULL, NULL }, fc2 = { NULL, NULL };
    for (int step = 0; step < 5; step++) {
        rill_tape_reset(tape);
        forward(net, &fc1, &fc2);
        ck_assert(rill_backward(tape, loss, NULL));
        if (step < 4)
            ck_assert(rill_optim_step(o, tape));
    }
    size_t bytes = rill_tape_bytes(tape);
    print();
    ck_assert_uint_eq(rill_tape_bytes(tape), bytes);
    ck_assert_int_eq(rill_tape_len(tape), 8);
    for (int i = 0; i < 8; i++) {
        const rill_tensor *v = rill_node_output(rill_tape_node(tape, i));
        assert_value(i, v);
        assert_gradient(i, rill_grad(tape, v));
        ck_assert_int_le(columns(line(HEAD + i)), LINE);
    }
    /* through relu to fc1, through the loss to fc2, through fc2 to relu; fc1
     * has but leaves below it */
    double at_x = rill_norm(rill_grad(tape, fc1.weight));
    const rill_tensor *pre = rill_node_output(rill_tape_node(tape, 2));
    at_x = fmax(at_x, rill_norm(rill_grad(tape, fc1.bias)));
    assert_shows(2, GROWTH, at_x / rill_norm(rill_grad(tape, pre)));
    assert_shows(3, GROWTH, rill_norm(rill_grad(tape, pre)) /
                                rill_norm(rill_grad(tape, hidden)));
    assert_shows(6, GROWTH, rill_norm(rill_grad(tape, hidden)) /
                                rill_norm(rill_grad(tape, logits)));
    assert_shows(7, GROWTH, rill_norm(rill_grad(tape, logits)));
    ck_assert_str_eq(figure(0, GROWTH), "");
    static const char *const starts[] = {
        "fc1.weight                     [8, 2]  ",
        "fc1.bias                       [8]     ",
        "fc1             linear(x)      [20, 8] ",
        "relu.3          (fc1)          [20, 8] ",
        "fc2.weight                     [5, 8]  ",
        "fc2.bias                       [5]     ",
        "fc2             linear(relu.3) [20, 5] ",
        "cross_entropy.7 (fc2, [20])    []      ",
    };
    for (int i = 0; i < 8; i++)
        ck_assert_msg(strncmp(line(HEAD + i), starts[i], 39) == 0,
                      "%s", line(HEAD + i));
    rill_optim_free(o);
    rill_params_free(net);
}
END_TEST

/* 3, 4 and their squares: 9, 16; the sum: 25. Gradients 6, 8; 1, 1; 1. */
START_TEST(a_small_tape_whole)
{
    rill_tensor *v = rill_from(tape, (double[]){ 3, 4 }, RILL_F32,
                               RILL_SHAPE(2));
    v = rill_watch(tape, rill_named(tape, v, "v"));
    rill_tensor *s = rill_sum(tape, rill_square(tape, v), NULL);
    rill_backward(tape, rill_named(tape, s, "s"), NULL);
    print();
    ck_assert_str_eq(
        text,
        "                              value                          "
        "gradient\n"
        "name     op(inputs)    shape    mean    std    min    max    norm"
        "    max zero  growth\n"
        "v                      [2]       3.5    0.5      3      4      10"
        "      8   0%\n"
        "square.1 (v)           [2]      12.5    3.5      9     16   1.414"
        "      1   0%  x7.071\n"
        "s        sum(square.1) []         25      0     25     25       1"
        "      1   0%  x1.414\n");
}
END_TEST

START_TEST(shares_of_zeros)
{
    enum { N = 1000 };
    rill_tensor *v = rill_watch(tape, rill_zeros(tape, RILL_F32,
                                                 RILL_SHAPE(N)));
    rill_tensor *seed = rill_full(tape, 1, RILL_F32, RILL_SHAPE(N));
    float *g = rill_write(seed);
    static const struct {
        int zeros;
        const char *text;
    } at[] = { { 0, "0%" }, { 1, "<1%" }, { 250, "25%" }, { 999, ">99%" },
               { N, "100%" } };
    rill_tensor *y = rill_neg(tape, v);
    for (size_t k = 0; k < sizeof at / sizeof *at; k++) {
        for (int i = 0; i < at[k].zeros; i++)
            g[i] = 0;
        ck_assert(rill_backward(tape, y, &(rill_backward_opts){ seed, 0 }));
        print();
        ck_assert_str_eq(figure(0, ZERO), at[k].text);
    }
    ck_assert_str_eq(figure(1, NORM), "0");
    ck_assert_str_eq(figure(1, GROWTH), "");
}
END_TEST

START_TEST(what_is_not_finite_is_marked)
{
    const double values[] = { 1, NAN, 3, NAN, -INFINITY, 0 };
    rill_tensor *v = rill_watch(tape, rill_from(tape, values, RILL_F64,
                                                RILL_SHAPE(6)));
    rill_tensor *y = rill_square(tape, v); /* 1 NaN 9 NaN inf 0 */
    ck_assert(rill_backward(tape, rill_sum(tape, y, NULL), NULL));
    print();
    ck_assert_ptr_nonnull(strstr(line(HEAD), "3 NaN/inf      0      3"));
    ck_assert_ptr_nonnull(strstr(line(HEAD), "3 NaN/inf  17%"));
    ck_assert_ptr_nonnull(strstr(line(HEAD + 1), "3 NaN/inf      0      9"));
    ck_assert_str_eq(figure(1, GROWTH), "");
    ck_assert_ptr_nonnull(strstr(line(HEAD + 2), "         1 NaN         "));
    ck_assert_str_eq(figure(2, MAX), "");
    rill_tape_reset(tape);
    v = rill_watch(tape, rill_zeros(tape, RILL_F32, RILL_SHAPE(2)));
    ck_assert(rill_backward(
        tape, rill_sum(tape, rill_sqrt(tape, v), NULL), NULL));
    print();
    ck_assert_ptr_nonnull(strstr(line(HEAD), "0      0          2 inf   0%"));
    ck_assert_str_eq(figure(1, GROWTH), "xinf");
}
END_TEST

/* Before a backward, and on a tape that failed, gradients are not there. */
START_TEST(gradients_that_are_not_there_stay_empty)
{
    rill_tensor *v = rill_watch(tape, normal(1, RILL_F32, RILL_SHAPE(4)));
    rill_tensor *y = rill_sigmoid(tape, v), *aside = rill_exp(tape, v);
    for (int turn = 0; turn < 3; turn++) {
        if (turn == 1)
            ck_assert(rill_backward(tape, rill_sum(tape, y, NULL), NULL));
        if (turn == 2)
            ck_assert_ptr_null(rill_reshape(tape, aside, RILL_SHAPE(5)));
        print();
        assert_value(2, aside);
        ck_assert_str_eq(figure(2, NORM), "");
        ck_assert_str_eq(figure(2, GROWTH), "");
        ck_assert_int_eq(*figure(1, NORM) != '\0', turn == 1);
    }
    ck_assert_ptr_nonnull(strstr(rill_error(tape), "reshape"));
}
END_TEST

/* Growth is of what goes through the node, whoever else uses its input. */
START_TEST(growth_through_a_branch)
{
    rill_tensor *h = rill_exp(tape, rill_watch(tape, normal(1, RILL_F64,
                                                            RILL_SHAPE(4))));
    rill_tensor *branch = rill_scale(tape, h, 1e-3);
    rill_tensor *skip = rill_add(tape, h, branch);
    ck_assert(rill_backward(tape, rill_sum(tape, skip, NULL), NULL));
    print();
    ck_assert_str_eq(figure(2, GROWTH), "x0.001");
    ck_assert_str_eq(figure(3, GROWTH), "x1");
}
END_TEST

START_TEST(odd_tensors)
{
    rill_tensor *none = rill_watch(tape, rill_zeros(tape, RILL_F32,
                                                    RILL_SHAPE(3, 0)));
    rill_tensor *big = rill_full(tape, -1e30, RILL_F32,
                                 RILL_SHAPE(1, 1, 2, 1, 1, 2, 1, 1));
    rill_tensor *other = rill_watch(tape, rill_neg(tape, big));
    rill_gt(tape, rill_watch(tape, big), other);
    ck_assert(rill_backward(tape, rill_sum(tape, none, NULL), NULL));
    print();
    ck_assert_str_eq(figure(0, MEAN), "");
    ck_assert_str_eq(figure(0, NORM), "0");
    ck_assert_str_eq(figure(0, ZERO), "0%");
    ck_assert_ptr_nonnull(strstr(line(HEAD + 3), " [1, 1, \xe2\x80\xa6 1, 1] "
                                                 "  -1e30      0  -1e30"));
    for (int i = 0; i < 6; i++)
        ck_assert_int_le(columns(line(HEAD + i)), LINE);
}
END_TEST

/* Neither escape sequences nor broken UTF-8 reach the terminal, and no name
 * takes more than its columns or loses half a character. */
START_TEST(hostile_names)
{
    char longest[301];
    for (int i = 0; i < 300; i += 2)
        memcpy(longest + i, "\xc3\xa9", 2);
    longest[300] = '\0';
    const char *const names[] = {
        longest, "\033[31mred\r\n\t\x7f", "quo\"te\\back<b>%s%n",
        "bad \xff\xc0\x80\xed\xa0\x80\xf9\x81\x81\x81\xe2\x82",
        "\xe2\x80\xaeturned \xc2\x9b" "31m", "\xf0\x9f\x8e\x89 party"
    };
    enum { MANY = sizeof names / sizeof *names };
    const rill_tensor *all[MANY];
    for (int i = 0; i < MANY; i++)
        all[i] = rill_named(tape, rill_watch(tape, normal(1, RILL_F32,
                                                          RILL_SHAPE(2))),
                            names[i]);
    rill_concat(tape, all, MANY, 0);
    ASSERT_OK();
    print();
    for (int i = 0; i <= MANY; i++)
        ck_assert_int_le(columns(line(HEAD + i)), LINE);
    for (const char *c = text; *c; c++)
        ck_assert(*c == '\n' || ((unsigned char)*c >= 32 && *c != 127));
    /* 41 columns but for the shape's: half of what is left for a name */
    ck_assert_ptr_nonnull(strstr(line(HEAD), "\xc3\xa9\xe2\x80\xa6\xc3\xa9"));
    ck_assert_int_eq(strncmp(line(HEAD + 1), "\xe2\x90\x9b[31mred\xe2\x90\x8d"
                             "\xe2\x90\x8a\xe2\x90\x89\xe2\x90\xa1 ", 22), 0);
    ck_assert_int_eq(strncmp(line(HEAD + 2), names[2], 18), 0);
    ck_assert_ptr_null(strpbrk(text, "\xff\xc0\xed\xf9"));
    ck_assert_ptr_null(strstr(text, "\xe2\x80\xae"));
    ck_assert_ptr_null(strstr(text, "\xc2\x9b"));
    ck_assert_int_eq(strncmp(line(HEAD + 5), names[5], 10), 0);
}
END_TEST

/* An op of a program's own may be called anything, and have many inputs. */
START_TEST(long_calls)
{
    enum { MANY = 200 };
    char name[301];
    memset(name, 'o', 300);
    name[300] = '\0';
    rill_op op = { .name = name };
    const rill_tensor *in[MANY];
    const rill_shape two = RILL_SHAPE(2);
    rill_tensor *v = rill_watch(tape, rill_zeros(tape, RILL_F32, two));
    rill_tensor *y = rill_zeros(tape, RILL_F32, two);
    rill_tensor *z = rill_zeros(tape, RILL_F32, two);
    for (int i = 0; i < MANY; i++)
        in[i] = i == 1 ? NULL : v;
    rill_record(tape, &op, y, in, MANY, NULL);
    rill_named(tape, rill_record(tape, &op, z, in, 2, NULL), "z");
    ASSERT_OK();
    print();
    ck_assert_ptr_nonnull(strstr(line(HEAD + 1),
                                 " (leaf.0, \xe2\x80\xa6 leaf.0)"));
    ck_assert_ptr_nonnull(strstr(line(HEAD + 2), "\xe2\x80\xa6" "0, none)"));
    for (int i = 0; i < 3; i++)
        ck_assert_int_le(columns(line(HEAD + i)), LINE);
}
END_TEST

START_TEST(nothing_to_print)
{
    rill_tape_print(NULL, tape);
    FILE *f = fmemopen(text, sizeof text, "w");
    rill_tape_print(f, NULL);
    ck_assert_int_eq(ftell(f), 0);
    fclose(f);
    print();
    ck_assert_str_eq(line(1), "name op(inputs) shape    mean    std    min"
                              "    max    norm    max zero  growth");
    ck_assert_str_eq(line(2), "");
    ASSERT_OK();
}
END_TEST

/* False, after saying so, where the machine has no pseudo terminals. */
static bool print_on_terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        printf("skipped: no pseudo terminal to look for colours on\n");
        return false;
    }
    FILE *f = fopen(ptsname(master), "w");
    ck_assert_ptr_nonnull(f);
    rill_tape_print(f, tape);
    fflush(f);
    size_t n = 0;
    do { /* a terminal hands on what it has so far */
        ssize_t more = read(master, text + n, sizeof text - 1 - n);
        ck_assert_int_gt(more, 0);
        n += (size_t)more;
        text[n] = '\0';
    } while (!strstr(text, "sum.2") || text[n - 1] != '\n');
    fclose(f);
    close(master);
    return true;
}

START_TEST(colour_only_on_a_terminal)
{
    rill_tensor *v = rill_watch(tape, rill_full(tape, NAN, RILL_F32,
                                                RILL_SHAPE(2)));
    rill_backward(tape, rill_sum(tape, rill_scale(tape, v, 100), NULL), NULL);
    print();
    ck_assert_ptr_null(strchr(text, '\033'));
    unsetenv("NO_COLOR");
    if (!print_on_terminal())
        return;
    ck_assert_ptr_nonnull(strstr(text, "\033[1mleaf.0\033[m"));
    ck_assert_ptr_nonnull(strstr(text, "\033[31m         2 NaN\033[m"));
    ck_assert_ptr_nonnull(strstr(text, "\033[33m    x100\033[m"));
    setenv("NO_COLOR", "1", 1);
    ck_assert(print_on_terminal());
    ck_assert_ptr_nonnull(strstr(text, "leaf.0"));
    ck_assert_ptr_null(strchr(text, '\033'));
}
END_TEST

int main(void)
{
    return HARNESS_RUN(
        "listing", figures_are_those_of_the_tensors, a_small_tape_whole,
        shares_of_zeros, what_is_not_finite_is_marked,
        gradients_that_are_not_there_stay_empty, growth_through_a_branch,
                       odd_tensors, hostile_names,
        long_calls, nothing_to_print, colour_only_on_a_terminal);
}
