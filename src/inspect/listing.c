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
    NUMBERS = 59, /* columns of it that numbers and the gaps take */
    SHAPE = 14,   /* the most a shape may take, */
    INPUT = 24,   /* and an input's name */
    CALL = 1024   /* bytes of an op and its inputs */
};

#define BOLD "\033[1m"
#define RED "\033[31m"
#define YELLOW "\033[33m"

typedef struct {
    FILE *f;
    rill_tape *t;
    bool colour;
    int name, call, shape; /* columns */
} listing;

static int listing_columns(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* "linear(x)": the inputs but for those that begin with the node's own name,
 * its parameters. "(x)" where the op is in the name already. */
static const char *listing_call(const rill_node *n, char text[CALL])
{
    char own[RILL_LABEL], label[RILL_LABEL], shown[RILL_NAME_BYTES];
    const char *name = rill_node_name(n, own);
    const size_t length = strlen(name);
    int at = 0, first = 1;
    if (!rill_node_op(n))
        return "";
    if (name != own)
        at = sprintf(text, "%.64s", rill_node_op(n)->name);
    for (int i = 0; i < rill_node_inputs(n) && at < CALL / 2; i++) {
        const char *input = rill_input_name(n, i, label);
        if (strncmp(input, name, length) == 0 && input[length] == '.')
            continue;
        at += sprintf(text + at, "%s%s", first ? "(" : ", ",
                      rill_name_text(input, INPUT, shown));
        first = 0;
    }
    strcpy(text + at, first ? "()" : ")");
    return text;
}

/* A cell of text and the gap after it. */
static void listing_text(const listing *l, const char *text, int columns,
                         const char *colour)
{
    char shown[RILL_NAME_BYTES];
    rill_name_text(text, columns, shown);
    fprintf(l->f, "%s%s%s%*s", l->colour ? colour : "", shown,
            l->colour && *colour ? "\033[m" : "",
            columns + 1 - listing_columns(shown), "");
}

/* A cell of a number and the gap before it; nothing for NaN. */
static void listing_number(const listing *l, double v, int columns)
{
    char text[RILL_NUMBER_BYTES];
    fprintf(l->f, " %*s", columns,
            isnan(v) ? "" : rill_number_text(v, columns, text));
}

/* In place of two cells: how many elements are not finite, "3 NaN". False,
 * and nothing printed, where all are. */
static bool listing_mark(const listing *l, const rill_statistics *s)
{
    char number[RILL_NUMBER_BYTES], text[64];
    if (s->nans + s->infinities == 0)
        return false;
    snprintf(text, sizeof text, "%s %s",
             rill_number_text((double)(s->nans + s->infinities), 6, number),
             !s->infinities ? "NaN" : s->nans ? "NaN/inf" : "inf");
    fprintf(l->f, "%s%14s%s", l->colour ? RED : "", text,
            l->colour ? "\033[m" : "");
    return true;
}

/* The share of exact zeros: "0%" is none and "100%" all of them. */
static void listing_zeros(const listing *l, const rill_statistics *s)
{
    double percent = s->n ? 100 * (double)s->zeros / (double)s->n : 0;
    if (s->zeros > 0 && percent < 1)
        fprintf(l->f, "%5s", "<1%");
    else if (s->zeros < s->n && percent > 99)
        fprintf(l->f, "%5s", ">99%");
    else
        fprintf(l->f, "%4.0f%%", percent);
}

/* The largest norm among the gradients of n's inputs, of those that ops made
 * (leaves: of the others); NaN where there is none. */
static double listing_below(rill_tape *t, const rill_node *n, bool leaves)
{
    double largest = NAN;
    for (int i = 0; i < rill_node_inputs(n); i++) {
        const rill_node *source = rill_node_source(n, i);
        if (source && leaves == !rill_node_op(source))
            largest = fmax(largest, rill_norm(rill_grad(
                                        t, rill_node_output(source))));
    }
    return largest;
}

static void listing_growth(const listing *l, const rill_node *n, double norm)
{
    char number[RILL_NUMBER_BYTES], text[64];
    double below = listing_below(l->t, n, false);
    if (isnan(below))
        below = listing_below(l->t, n, true);
    double growth = below / norm;
    if (isnan(growth))
        return;
    bool coloured = l->colour && (growth < 0.1 || growth > 10);
    snprintf(text, sizeof text, "x%s", rill_number_text(growth, 6, number));
    fprintf(l->f, "%s%8s%s", coloured ? YELLOW : "", text,
            coloured ? "\033[m" : "");
}

static void listing_line(const listing *l, const rill_node *n)
{
    char label[RILL_LABEL], call[CALL];
    const rill_tensor *x = rill_node_output(n), *g = rill_grad(l->t, x);
    rill_statistics value = rill_statistics_of(x);
    rill_statistics grad = rill_statistics_of(g);
    listing_text(l, rill_node_name(n, label), l->name, BOLD);
    listing_text(l, listing_call(n, call), l->call, "");
    listing_text(l, rill_shape_label(x, label), l->shape, "");
    if (!listing_mark(l, &value)) {
        listing_number(l, value.mean, 6);
        listing_number(l, value.std, 6);
    }
    listing_number(l, value.min, 6);
    listing_number(l, value.max, 6);
    if (g) {
        fputc(' ', l->f);
        if (!listing_mark(l, &grad)) {
            listing_number(l, grad.norm, 6);
            listing_number(l, grad.largest, 6);
        }
        listing_zeros(l, &grad);
        listing_growth(l, n, grad.norm);
    }
    fputc('\n', l->f);
}

/* The columns of a text, where that is more than so many. */
static int listing_most(int columns, const char *text)
{
    int n = listing_columns(text);
    return n > columns ? n : columns;
}

/* The inputs get the room that they want, or what the names leave, or half. */
static void listing_measure(listing *l)
{
    char label[RILL_LABEL], call[CALL], shown[RILL_NAME_BYTES];
    for (int i = 0; i < rill_tape_len(l->t); i++) {
        const rill_node *n = rill_tape_node(l->t, i);
        l->name = listing_most(l->name,
                               rill_name_text(rill_node_name(n, label),
                                              RILL_NAME_COLUMNS, shown));
        l->call = listing_most(l->call, listing_call(n, call));
        l->shape = listing_most(l->shape,
                                rill_shape_label(rill_node_output(n), label));
    }
    l->shape = l->shape < SHAPE ? l->shape : SHAPE;
    int room = LINE - NUMBERS - l->shape;
    int left = room - l->name > room / 2 ? room - l->name : room / 2;
    l->call = l->call < left ? l->call : left;
    l->name = l->name < room - l->call ? l->name : room - l->call;
}

/* Prints the nodes of the tape in the order they were recorded, a line each:
 * its name; the op and its inputs (a constant without a name by its shape;
 * ".weight" is short for the node's own name and ".weight"; cut in the middle
 * where there is no room); its shape. Of its value: mean, standard deviation
 * (divided by n), least and largest element. Of its gradient, where the last
 * rill_backward left one: norm, largest magnitude, the share of exact zeros,
 * and growth: by how much the norm grew (x2) or shrank (x0.25) from the node
 * to the largest of the gradients in those of its inputs that were computed,
 * or, where none was, in its leaves. An input that others use too has the
 * gradient of all its uses. Where elements are not finite their number stands
 * in place of mean and std, or of norm and max ("3 NaN"); least and largest
 * are then of the others.
 *
 * Takes 100 columns at most. In colour where f is a terminal and NO_COLOR is
 * not set. Nothing is printed where f or t is NULL. A tape that has failed
 * answers no rill_grad: its gradients stay empty. */
void rill_tape_print(FILE *f, rill_tape *t)
{
    if (!f || !t)
        return;
    const char *no_colour = getenv("NO_COLOR");
    listing l = { .f = f, .t = t, .name = 4, .call = 10, .shape = 5,
                  .colour = isatty(fileno(f)) &&
                            !(no_colour && *no_colour) };
    listing_measure(&l);
    fprintf(f, "%*s%-30s gradient\n", l.name + l.call + l.shape + 4, "",
            "value");
    listing_text(&l, "name", l.name, "");
    listing_text(&l, "op(inputs)", l.call, "");
    listing_text(&l, "shape", l.shape, "");
    fprintf(f, " %6s %6s %6s %6s  %6s %6s %4s %7s\n", "mean", "std", "min",
            "max", "norm", "max", "zero", "growth");
    for (int i = 0; i < rill_tape_len(t); i++)
        listing_line(&l, rill_tape_node(t, i));
}
