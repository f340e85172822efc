/* explain.c: a backward as a person would do it on paper.
 *
 * An observer writes down each rule when the sweep has run it, so the order
 * is the sweep's: from the loss to the leaves, a node after all that it goes
 * into. The numbers are those that the sweep itself used. */
#include "inspect_internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum {
    EXPLAIN_WHOLE = 16,  /* elements of a tensor that is written out */
    EXPLAIN_LINE = 100,  /* columns */
    EXPLAIN_NAME = 24,   /* the most of them for a name */
    EXPLAIN_LETTER = 12, /* bytes of "weight" */
    EXPLAIN_INDENT = 4
};

typedef struct {
    FILE *f;
    int *came;        /* how many gradients came to each node so far */
    int letter, name; /* columns for "dx" and for names, in a node's lines */
} explain;

/* ---- values ------------------------------------------------------------- */

static const char *explain_number(const rill_tensor *x, int64_t i,
                                  char text[RILL_NUMBER_BYTES])
{
    if (!rill_i32(x))
        return rill_number_text(rill_at(x, i) + 0.0, 9, text); /* no -0 */
    snprintf(text, RILL_NUMBER_BYTES, "%" PRId32, rill_i32(x)[i]);
    return text;
}

/* How many brackets stand before element i, or after element i - 1. */
static int explain_brackets(const rill_tensor *x, int64_t i)
{
    int n = 0;
    int64_t below = 1;
    for (int d = rill_ndim(x) - 1; d >= 0; d--)
        n += i % (below *= rill_dim(x, d)) == 0;
    return n;
}

/* Every element, a row below the other, from this column on. Returns the
 * column that it ends at. */
static int explain_whole(FILE *f, const rill_tensor *x, int column)
{
    char text[RILL_NUMBER_BYTES];
    int64_t n = rill_numel(x), row = rill_ndim(x) ? rill_dim(x, -1) : 1;
    int width = 0, at = column, indent = column + rill_ndim(x);
    for (int64_t i = 0; i < n && row < n; i++) {
        int needs = (int)strlen(explain_number(x, i, text));
        width = needs > width ? needs : width;
    }
    for (int64_t i = 0; i < n; i++) {
        int open = explain_brackets(x, i);
        int needs = (int)strlen(explain_number(x, i, text));
        needs = needs > width ? needs : width;
        if (i > 0)
            at += fprintf(f, ",");
        if (i > 0 && (i % row == 0 || at + needs + 2 > EXPLAIN_LINE))
            at = fprintf(f, "\n%*s", indent - open, "") - 1;
        else if (i > 0)
            at += fprintf(f, " ");
        for (int k = 0; k < open; k++)
            at += fprintf(f, "[");
        at += fprintf(f, "%*s", width, text);
        for (int k = explain_brackets(x, i + 1); k > 0; k--)
            at += fprintf(f, "]");
    }
    return at;
}

static int explain_value(FILE *f, const rill_tensor *x, int column)
{
    char label[RILL_LABEL], norm[RILL_NUMBER_BYTES];
    int64_t n = rill_numel(x);
    if (n > 0 && n <= EXPLAIN_WHOLE)
        return explain_whole(f, x, column);
    rill_shape_label(x, label);
    if (n == 0 || rill_i32(x))
        return column + fprintf(f, "%s %s", rill_dtype_name(rill_dtype_of(x)),
                                label);
    return column + fprintf(f, "%s, norm %s", label,
                            rill_number_text(rill_norm(x), 9, norm));
}

/* ---- lines -------------------------------------------------------------- */

/* "    dW  fc1.weight  = [[...]], remark"; the last may be "". */
static void explain_line(const explain *e, const char *d, const char *letter,
                         const char *name, const rill_tensor *x,
                         const char *remark)
{
    int width = (int)(strlen(d) + strlen(letter));
    int column = EXPLAIN_INDENT + e->letter + e->name + 2;
    fprintf(e->f, "%*s%s%s%*s%s%*s= ", EXPLAIN_INDENT, "", d, letter,
            e->letter - width, "", name, e->name - rill_columns(name), "");
    int at = explain_value(e->f, x, column);
    if (*remark && at + 2 + strlen(remark) > EXPLAIN_LINE)
        fprintf(e->f, "\n%*s%s\n", column, "", remark);
    else
        fprintf(e->f, "%s%s\n", *remark ? ", " : "", remark);
}

/* The remark on a gradient that is made of so many. */
static const char *explain_sum(int came, char remark[RILL_LABEL])
{
    snprintf(remark, RILL_LABEL, "the sum of %d", came);
    return came > 1 ? remark : "";
}

static const char *explain_name(const rill_node *n,
                                char text[RILL_NAME_BYTES])
{
    char label[RILL_LABEL];
    return rill_name_text(rill_node_name(n, label), EXPLAIN_NAME, text);
}

static const char *explain_input(const rill_node *n, int i,
                                 char text[RILL_NAME_BYTES])
{
    char label[RILL_LABEL];
    return rill_name_text(rill_input_name(n, i, "constant", label),
                          EXPLAIN_NAME, text);
}

/* What the formula calls input i, "W" in "dx = dy W, dW = dy^T x": the name
 * of its i-th gradient, int32 inputs, which have none, left out. "" where it
 * names fewer. */
static const char *explain_letter(const rill_node *n, int i,
                                  char letter[EXPLAIN_LETTER])
{
    const char *word = rill_node_op(n)->formula, *end;
    int before = 0, length = 0;
    for (int k = 0; k < i; k++)
        before += !rill_i32(rill_node_input(n, k));
    bool none = !word || rill_i32(rill_node_input(n, i));
    for (; !none && *word; word = end + strspn(end, " ")) {
        end = word + strcspn(word, " ");
        bool set = strncmp(end, " = ", 3) == 0 || strncmp(end, " += ", 4) == 0;
        if (*word != 'd' || !set || before-- > 0)
            continue;
        while (length < EXPLAIN_LETTER - 1 &&
               isalpha((unsigned char)word[1 + length])) {
            letter[length] = word[1 + length];
            length++;
        }
        break;
    }
    letter[length] = '\0';
    return letter;
}

/* Makes the columns wide enough for a line. */
static void explain_widen(explain *e, const char *letter, const char *name)
{
    int d = (int)strlen(letter) + 3, columns = rill_columns(name) + 2;
    e->letter = d > e->letter ? d : e->letter;
    e->name = columns > e->name ? columns : e->name;
}

/* ---- the sweep ---------------------------------------------------------- */

static void explain_inputs(explain *e, const rill_node *n,
                           const rill_tensor *const *gx)
{
    char letter[EXPLAIN_LETTER], name[RILL_NAME_BYTES];
    char from[RILL_LABEL], to[RILL_LABEL], remark[RILL_LABEL + 20];
    int inputs = rill_node_inputs(n);
    for (int i = 0; i < inputs; i++)
        if (rill_node_input(n, i))
            explain_line(e, "", explain_letter(n, i, letter),
                         explain_input(n, i, name), rill_node_input(n, i),
                         "");
    for (int i = 0; i < inputs; i++) {
        if (!gx[i] || !rill_node_wants(n, i))
            continue;
        rill_shape_label(gx[i], from);
        rill_shape_label(rill_node_input(n, i), to);
        snprintf(remark, sizeof remark, "to be summed to %s", to);
        explain_line(e, "d", explain_letter(n, i, letter),
                     explain_input(n, i, name), gx[i],
                     strcmp(from, to) == 0 ? "" : remark);
        e->came[rill_node_index(rill_node_source(n, i))]++;
    }
}

static void explain_rule(rill_tape *t, const rill_node *n,
                         const rill_tensor *gy,
                         const rill_tensor *const *gx, void *user)
{
    (void)t;
    explain *e = user;
    char name[RILL_NAME_BYTES], letter[EXPLAIN_LETTER], remark[RILL_LABEL];
    const rill_op *op = rill_node_op(n);
    const rill_tensor *y = rill_node_output(n);
    const char *formula = op->formula ? op->formula : "";
    const char *out = strstr(formula, "dloss") ? "loss" : "y";
    int came = e->came[rill_node_index(n)];
    e->letter = e->name = 0;
    for (int i = 0; i < rill_node_inputs(n); i++)
        if (rill_node_input(n, i))
            explain_widen(e, explain_letter(n, i, letter),
                          explain_input(n, i, name));
    explain_widen(e, out, explain_name(n, name));
    fprintf(e->f, "%s%s%s\n", name, *rill_name(y) ? ": " : "",
            *rill_name(y) ? op->name : "");
    if (*formula)
        fprintf(e->f, "%*s%s\n", EXPLAIN_INDENT, "", formula);
    explain_line(e, "", out, name, y, "");
    explain_line(e, "d", out, name, gy,
                 came ? explain_sum(came, remark) : "the seed");
    explain_inputs(e, n, gx);
    fprintf(e->f, "\n");
}

/* The gradients that the sweep leaves at the leaves among the first nodes,
 * in its order. */
static void explain_leaves(explain *e, rill_tape *t, int nodes)
{
    char name[RILL_NAME_BYTES], remark[RILL_LABEL];
    e->letter = e->name = 0;
    fprintf(e->f, "The leaves\n");
    for (int written = 0; written < 2; written++) /* first the columns */
        for (int i = nodes - 1; i >= 0; i--) {
            const rill_node *n = rill_tape_node(t, i);
            const rill_tensor *g = rill_grad(t, rill_node_output(n));
            if (rill_node_op(n) || !g)
                continue;
            explain_widen(e, "", explain_name(n, name));
            if (written)
                explain_line(e, "d", "", name, g,
                             explain_sum(e->came[i], remark));
        }
}

/* rill_backward, written to f as it runs: of each node that a gradient comes
 * to its rule's formula, its value y and the gradient dy in it, its inputs
 * and what the rule gives each of them; then the leaves. Tensors of up to 16
 * elements stand whole, with four digits, larger ones by shape and norm.
 * Lines end by column 100. What a gradient is the sum of stands at the nodes
 * above it; a rule's gradient of the shape of y is summed to that of a
 * broadcast input. Result and errors are rill_backward's, and a sweep that
 * stops says so in f too; also errors: f is NULL, so many observers
 * (rill_tape_observe) that there is no place for this one. */
bool rill_backward_explain(FILE *f, rill_tape *t, const rill_tensor *loss,
                           const rill_backward_opts *opts)
{
    int nodes = rill_tape_len(t);
    if (!f)
        return rill_fail(t, "backward_explain: f is NULL");
    explain e = { .f = f, .came = rill_tape_alloc(t, (size_t)nodes *
                                                         sizeof *e.came) };
    rill_observer writer = { NULL, explain_rule, &e };
    if (!e.came || !rill_tape_observe(t, &writer))
        return false;
    memset(e.came, 0, (size_t)nodes * sizeof *e.came);
    bool done = rill_backward(t, loss, opts);
    rill_tape_unobserve(t, &writer);
    if (done)
        explain_leaves(&e, t, nodes);
    else
        fprintf(f, "Stopped: %s\n", rill_error(t));
    return done;
}
