/* listing.c: a tape as a table, a line a node.
 *
 * Two passes: the first finds how wide the columns of text must be, the
 * second prints. The numbers take the same columns on every tape, names and
 * inputs share what is left of LINE and are cut to fit. */
#include "inspect_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE = 100,
    FIGURES = 59, /* columns of it that numbers and the gaps take */
    MOST_SHAPE = 14,
    MOST_INPUT = 24, /* an input's name */
    CELL_BYTES = 1024
};

enum { NAME, CALL, SHAPE, CELLS }; /* of text, in a line */

#define BOLD "\033[1m"
#define RED "\033[31m"
#define YELLOW "\033[33m"

typedef struct {
    FILE *f;
    rill_tape *t;
    bool colour;
    int width[CELLS]; /* in columns, without the gap */
} listing;

/* "linear(x)": the inputs but for those that begin with the node's own name,
 * its parameters. "(x)" where the op is in the name already. */
static void listing_call(const rill_node *n, char text[CELL_BYTES])
{
    const char *name = RILL_NODE_NAME(n), *before = "(";
    const size_t length = strlen(name);
    int at = 0;
    text[0] = '\0';
    if (!rill_node_op(n))
        return;
    if (*rill_name(rill_node_output(n)))
        at = sprintf(text, "%.64s", rill_node_op(n)->name);
    for (int i = 0; i < rill_node_inputs(n) && at < CELL_BYTES / 2; i++) {
        const rill_tensor *x = rill_node_input(n, i);
        const char *input =
            RILL_INPUT_NAME(n, i, x ? RILL_SHAPE_LABEL(x) : "none");
        if (strncmp(input, name, length) == 0 && input[length] == '.')
            continue;
        at += sprintf(text + at, "%s%s", before,
                      RILL_NAME_TEXT(input, MOST_INPUT));
        before = ", ";
    }
    strcpy(text + at, *before == '(' ? "()" : ")");
}

/* The cells of text in n's line; NULL: in the headings. */
static void listing_texts(const rill_node *n, char text[CELLS][CELL_BYTES])
{
    strcpy(text[NAME], n ? RILL_NAME_TEXT(RILL_NODE_NAME(n),
                                          RILL_NAME_COLUMNS) : "name");
    if (n)
        listing_call(n, text[CALL]);
    else
        strcpy(text[CALL], "op(inputs)");
    strcpy(text[SHAPE], n ? RILL_SHAPE_LABEL(rill_node_output(n)) : "shape");
}

/* What the cells of text take. The inputs get the room that they want, or
 * what the names leave, or half. */
static void listing_measure(listing *l)
{
    char text[CELLS][CELL_BYTES];
    int *width = l->width;
    for (int i = -1; i < rill_tape_len(l->t); i++) {
        listing_texts(rill_tape_node(l->t, i), text);
        for (int k = 0; k < CELLS; k++) {
            int columns = rill_columns(text[k]);
            width[k] = columns > width[k] ? columns : width[k];
        }
    }
    width[SHAPE] = width[SHAPE] < MOST_SHAPE ? width[SHAPE] : MOST_SHAPE;
    int room = LINE - FIGURES - width[SHAPE], left = room - width[NAME];
    left = left > room / 2 ? left : room / 2;
    width[CALL] = width[CALL] < left ? width[CALL] : left;
    left = room - width[CALL];
    width[NAME] = width[NAME] < left ? width[NAME] : left;
}

/* A text at the right end of so many columns, or, where they are negative, at
 * the left end of as many. */
static void listing_cell(const listing *l, int columns, const char *text,
                         const char *colour)
{
    bool on = l->colour && *colour;
    fprintf(l->f, "%s%*s%s%*s", on ? colour : "", columns > 0 ? columns : 0,
            text, on ? "\033[m" : "",
            columns < 0 ? -columns - rill_columns(text) : 0, "");
}

/* A number and the gap before it; nothing for NaN. */
static void listing_number(const listing *l, double v)
{
    listing_cell(l, 7, isnan(v) ? "" : RILL_NUMBER_TEXT(v, 6), "");
}

/* Two numbers, or in their place, where not all elements are finite, how many
 * are not: "3 NaN". */
static void listing_pair(const listing *l, const rill_statistics *s, double a,
                         double b)
{
    char text[64];
    int64_t n = s->nans + s->infinities;
    if (n == 0) {
        listing_number(l, a);
        listing_number(l, b);
        return;
    }
    snprintf(text, sizeof text, "%s %s", RILL_NUMBER_TEXT((double)n, 6),
             !s->infinities ? "NaN" : s->nans ? "NaN/inf" : "inf");
    listing_cell(l, 14, text, RED);
}

/* The share of exact zeros: "0%" is none and "100%" all of them. */
static void listing_zeros(const listing *l, const rill_statistics *s)
{
    char text[16];
    double percent = s->n ? 100 * (double)s->zeros / (double)s->n : 0;
    snprintf(text, sizeof text, "%.0f%%", percent);
    listing_cell(l, 5, s->zeros > 0 && percent < 1 ? "<1%" :
                       s->zeros < s->n && percent > 99 ? ">99%" : text, "");
}

/* From n, where the gradient's norm is this, to the largest that it passed on
 * to inputs that were computed, or where none was to its leaves. */
static void listing_growth(const listing *l, const rill_node *n, double norm)
{
    char text[64];
    double below[] = { NAN, NAN }; /* in leaves, in what was computed */
    for (int i = 0; i < rill_node_inputs(n); i++) {
        bool computed = rill_node_op(rill_node_source(n, i));
        below[computed] = fmax(below[computed],
                               rill_norm(rill_node_grad(n, i)));
    }
    double growth = (isnan(below[1]) ? below[0] : below[1]) / norm;
    if (isnan(growth))
        return;
    snprintf(text, sizeof text, "x%s", RILL_NUMBER_TEXT(growth, 6));
    listing_cell(l, 8, text, growth < 0.1 || growth > 10 ? YELLOW : "");
}

static void listing_figures(const listing *l, const rill_node *n)
{
    const rill_tensor *x = rill_node_output(n), *g = rill_grad(l->t, x);
    rill_statistics value = rill_statistics_of(x);
    rill_statistics grad = rill_statistics_of(g);
    listing_pair(l, &value, value.mean, value.std);
    listing_number(l, value.min);
    listing_number(l, value.max);
    if (!g)
        return;
    fputc(' ', l->f);
    listing_pair(l, &grad, grad.norm, grad.largest);
    listing_zeros(l, &grad);
    listing_growth(l, n, grad.norm);
}

/* Prints the nodes of the tape in the order they were recorded, a line each:
 * its name; the op and its inputs (a constant without a name by its shape;
 * ".weight" is short for the node's own name and ".weight"; cut in the middle
 * where there is no room); its shape. Of its value: mean, standard deviation
 * (divided by n), least and largest element. Of its gradient, where the last
 * rill_backward left one: norm, largest magnitude, the share of exact zeros,
 * and growth: by how much the norm grew (x2) or shrank (x0.25) from the node
 * to the largest gradient that it passed on to those of its inputs that were
 * computed, or, where none was, to its leaves. Where elements are not finite
 * their number stands in place of mean and std, or of norm and max ("3 NaN");
 * least and largest are then of the others.
 *
 * Takes 100 columns at most. In colour where f is a terminal and NO_COLOR is
 * not set. Nothing is printed where f or t is NULL. A tape that has failed
 * answers no rill_grad: its gradients stay empty. */
void rill_tape_print(FILE *f, rill_tape *t)
{
    char text[CELLS][CELL_BYTES];
    const char *no_colour = getenv("NO_COLOR");
    if (!f || !t)
        return;
    listing l = { .f = f, .t = t, .colour = isatty(fileno(f)) &&
                                            !(no_colour && *no_colour) };
    listing_measure(&l);
    fprintf(f, "%*s%-30s gradient\n", l.width[NAME] + l.width[CALL] +
                                      l.width[SHAPE] + 4, "", "value");
    for (int i = -1; i < rill_tape_len(t); i++) {
        const rill_node *n = rill_tape_node(t, i);
        listing_texts(n, text);
        for (int k = 0; k < CELLS; k++)
            listing_cell(&l, -l.width[k] - 1,
                         RILL_NAME_TEXT(text[k], l.width[k]),
                         n && k == NAME ? BOLD : "");
        if (n)
            listing_figures(&l, n);
        else
            fputs("   mean    std    min    max    norm    max zero  growth",
                  f);
        fputc('\n', f);
    }
}
