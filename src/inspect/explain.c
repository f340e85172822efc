/* explain.c: a backward as a person would do it on paper.
 *
 * An observer writes down each rule when the sweep has run it, so the order
 * is the sweep's: from the loss to the leaves, a node after all that it goes
 * into. The numbers are those that the sweep itself used. */
#include "inspect_internal.h"

#include <inttypes.h>
#include <string.h>

enum {
    EXPLAIN_WHOLE = 16,  /* elements of a tensor that is written out */
    EXPLAIN_LINE = 100,  /* columns */
    EXPLAIN_NAME = 24,   /* the most of them for a name */
    EXPLAIN_LETTER = 12, /* bytes of "weight", as %11 below has it */
    EXPLAIN_INDENT = 4
};

typedef struct {
    FILE *f;
    int *came;        /* how many gradients came to each node so far */
    int letter, name; /* columns for "dx" and for names, in a node's lines */
    int writing;      /* 0: those are measured, nothing is written */
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
        int open = explain_brackets(x, i), close = explain_brackets(x, i + 1);
        int needs = (int)strlen(explain_number(x, i, text));
        needs = needs > width ? needs : width;
        if (i > 0 && (i % row == 0 || at + needs + 3 > EXPLAIN_LINE))
            at = fprintf(f, ",\n%*s", indent - open, "") - 2;
        else if (i > 0)
            at += fprintf(f, ", ");
        at += fprintf(f, "%.*s%*s%.*s", open, "[[[[[[[[", width, text, close,
                      "]]]]]]]]");
    }
    return at;
}

static int explain_value(FILE *f, const rill_tensor *x, int column)
{
    int64_t n = rill_numel(x);
    if (n > 0 && n <= EXPLAIN_WHOLE)
        return explain_whole(f, x, column);
    if (n == 0 || rill_i32(x))
        return column + fprintf(f, "%s %s", rill_dtype_name(rill_dtype_of(x)),
                                RILL_SHAPE_LABEL(x));
    return column + fprintf(f, "%s, norm %s", RILL_SHAPE_LABEL(x),
                            RILL_NUMBER_TEXT(rill_norm(x), 9));
}

/* ---- lines -------------------------------------------------------------- */

/* "    dW  fc1.weight  = [[...]], remark"; the last may be "". */
static void explain_line(explain *e, const char *d, const char *letter,
                         const char *name, const rill_tensor *x,
                         const char *remark)
{
    const char *shown = RILL_NAME_TEXT(name, EXPLAIN_NAME);
    int width = (int)strlen(letter) + 3, columns = rill_columns(shown) + 2;
    if (!e->writing) {
        e->letter = width > e->letter ? width : e->letter;
        e->name = columns > e->name ? columns : e->name;
        return;
    }
    int column = EXPLAIN_INDENT + e->letter + e->name + 2;
    fprintf(e->f, "%*s%s%-*s%s%*s= ", EXPLAIN_INDENT, "", d,
            e->letter - (int)strlen(d), letter, shown,
            e->name - columns + 2, "");
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

/* What the formula calls input i, "W" in "dx = dy W, dW = dy^T x": the name
 * of its i-th gradient, int32 inputs, which have none, left out. "" where it
 * names fewer. */
static const char *explain_letter(const rill_node *n, int i,
                                  char letter[EXPLAIN_LETTER])
{
    const char *word = rill_node_op(n)->formula, *end;
    int before = 0;
    for (int k = 0; k < i; k++)
        before += !rill_i32(rill_node_input(n, k));
    letter[0] = '\0';
    if (!word || rill_i32(rill_node_input(n, i)))
        return letter;
    for (; *word; word = end + strspn(end, " ")) {
        end = word + strcspn(word, " ");
        bool set = strncmp(end, " = ", 3) == 0 || strncmp(end, " += ", 4) == 0;
        if (*word == 'd' && set && before-- == 0)
            sscanf(word, "d%11[A-Za-z]", letter);
    }
    return letter;
}

/* ---- the sweep ---------------------------------------------------------- */

static void explain_lines(explain *e, const rill_node *n,
                          const rill_tensor *gy, const rill_tensor *const *gx)
{
    char letter[EXPLAIN_LETTER], remark[RILL_LABEL + 20];
    const char *formula = rill_node_op(n)->formula;
    const char *out = formula && strstr(formula, "dloss") ? "loss" : "y";
    int came = e->came[rill_node_index(n)], inputs = rill_node_inputs(n);
    const char *name = RILL_NODE_NAME(n);
    explain_line(e, "", out, name, rill_node_output(n), "");
    explain_line(e, "d", out, name, gy,
                 came ? explain_sum(came, remark) : "the seed");
    for (int i = 0; i < inputs; i++)
        if (rill_node_input(n, i))
            explain_line(e, "", explain_letter(n, i, letter),
                         RILL_INPUT_NAME(n, i, "constant"),
                         rill_node_input(n, i), "");
    for (int i = 0; i < inputs; i++) {
        if (!gx[i] || !rill_node_wants(n, i))
            continue;
        const char *from = RILL_SHAPE_LABEL(gx[i]);
        const char *to = RILL_SHAPE_LABEL(rill_node_input(n, i));
        snprintf(remark, sizeof remark, "to be summed to %s", to);
        explain_line(e, "d", explain_letter(n, i, letter),
                     RILL_INPUT_NAME(n, i, "constant"), gx[i],
                     strcmp(from, to) == 0 ? "" : remark);
        e->came[rill_node_index(rill_node_source(n, i))] += e->writing;
    }
}

/* The formula, and what the op's own numbers in it are. */
static void explain_formula(FILE *f, const rill_node *n)
{
    const rill_op *op = rill_node_op(n);
    const double *number = rill_node_attrs(n);
    const char *word = op->numbers ? op->numbers : "", *before = "";
    if (!op->formula || !*op->formula)
        return;
    fprintf(f, "%*s%s", EXPLAIN_INDENT, "", op->formula);
    for (size_t length; *word; word += length + strspn(word + length, " ")) {
        length = strcspn(word, " ");
        fprintf(f, "%s%.*s = %s", *before ? before : "; ", (int)length, word,
                RILL_NUMBER_TEXT(*number++, 9));
        before = ", ";
    }
    fputc('\n', f);
}

static void explain_rule(rill_tape *t, const rill_node *n,
                         const rill_tensor *gy,
                         const rill_tensor *const *gx, void *user)
{
    (void)t;
    explain *e = user;
    const rill_op *op = rill_node_op(n);
    bool named = *rill_name(rill_node_output(n));
    if (!op) /* leaves come last, together */
        return;
    fprintf(e->f, "%s%s%s\n", RILL_NAME_TEXT(RILL_NODE_NAME(n), EXPLAIN_NAME),
            named ? ": " : "", named ? op->name : "");
    explain_formula(e->f, n);
    e->letter = e->name = 0;
    for (e->writing = 0; e->writing < 2; e->writing++)
        explain_lines(e, n, gy, gx);
    fprintf(e->f, "\n");
}

/* The gradients that the sweep leaves at the leaves among the first nodes,
 * in its order. */
static void explain_leaves(explain *e, rill_tape *t, int nodes)
{
    char remark[RILL_LABEL];
    e->letter = e->name = 0;
    fprintf(e->f, "The leaves\n");
    for (e->writing = 0; e->writing < 2; e->writing++)
        for (int i = nodes - 1; i >= 0; i--) {
            const rill_node *n = rill_tape_node(t, i);
            const rill_tensor *g = rill_grad(t, rill_node_output(n));
            if (!rill_node_op(n) && g)
                explain_line(e, "d", "", RILL_NODE_NAME(n), g,
                             explain_sum(e->came[i], remark));
        }
}

/* rill_backward, written to f as it runs: of each node that a gradient comes
 * to its rule's formula with the op's own numbers, its value y and the
 * gradient dy in it, its inputs and what the rule gives each of them; then the
 * leaves. Tensors of up to 16 elements stand whole, with four digits, larger
 * ones by shape and norm. Lines end by column 100. What a gradient is the sum
 * of stands at the nodes above it; a rule's gradient of the shape of y is
 * summed to that of a broadcast input. Result and errors are rill_backward's,
 * and a sweep that stops says so in f too; also errors: f is NULL, so many
 * observers (rill_tape_observe) that there is no place for this one. */
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
