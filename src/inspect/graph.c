/* graph.c: a tape as a Graphviz graph.
 *
 * Node i of the tape is n<i> in the text and constant k of it c<i>_<k>; a
 * name appears in labels only, escaped. Where layers are folded, one copy of
 * them is drawn, the first, which stands for the others. */
#include "inspect_internal.h"

#include <math.h>
#include <string.h>

enum {
    NAME = 32,  /* columns of a name */
    NUMBER = 7, /* and of a number */
    VALUES = 6, /* what opts mean by 0 */
    NODES = 60,
    PERIOD = 200, /* the most nodes that a layer is looked for in */
    DECADES = 6   /* norms are drawn on a scale from 1e-6 to 1 */
};

typedef struct {
    FILE *f;
    rill_tape *t;
    int64_t values;
    int start, period, copies; /* folded: nodes start, start + 1, ... */
} graph;

/* ---- folding ------------------------------------------------------------ */

static bool graph_alike(const rill_node *a, const rill_node *b)
{
    const rill_shape x = rill_shape_of(rill_node_output(a));
    const rill_shape y = rill_shape_of(rill_node_output(b));
    return rill_node_op(a) == rill_node_op(b) && x.ndim == y.ndim &&
           rill_node_inputs(a) == rill_node_inputs(b) &&
           memcmp(x.dim, y.dim, (size_t)x.ndim * sizeof *x.dim) == 0;
}

/* Finds the layers, nodes of the same ops and shapes, whose repetition takes
 * the most nodes, and folds them. A run of likes begins in the middle of a
 * layer but ends with one, so copies are counted from its end. */
static void graph_fold(graph *g)
{
    int len = rill_tape_len(g->t);
    for (int period = 1; period <= PERIOD && 2 * period <= len; period++)
        for (int i = len - period - 1, run = 0; i >= 0; i--) {
            bool alike = graph_alike(rill_tape_node(g->t, i),
                                     rill_tape_node(g->t, i + period));
            run = alike ? run + 1 : 0;
            int copies = run / period + 1;
            if ((copies - 1) * period > (g->copies - 1) * g->period) {
                g->period = period;
                g->copies = copies;
                g->start = i;
            }
        }
}

/* The node that is drawn for node i: its like in the first copy. */
static int graph_drawn(const graph *g, int i)
{
    bool folded = i >= g->start && i < g->start + g->period * g->copies;
    return folded ? g->start + (i - g->start) % g->period : i;
}

/* The like of node n in the last copy, n itself where nothing is folded. */
static const rill_node *graph_last(const graph *g, const rill_node *n)
{
    int i = rill_node_index(n);
    bool folded = i >= g->start && i < g->start + g->period;
    return folded ? rill_tape_node(g->t, i + g->period * (g->copies - 1)) : n;
}

/* ---- labels ------------------------------------------------------------- */

/* A name and what follows it. In a quoted label " and \ have a meaning, and &
 * begins an entity. */
static void graph_text(const graph *g, const char *name, const char *after)
{
    for (const char *c = RILL_NAME_TEXT(name, NAME); *c; c++)
        if (*c == '&')
            fputs("&amp;", g->f);
        else
            fprintf(g->f, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    fputs(after, g->f);
}

/* A line of the label: "value [1 2; 3 4]". */
static void graph_values(const graph *g, const char *what,
                         const rill_tensor *x)
{
    int64_t n = rill_numel(x), row = rill_ndim(x) ? rill_dim(x, -1) : 1;
    if (n > g->values || n == 0)
        return;
    fprintf(g->f, "\\n%s ", what);
    for (int64_t i = 0; i < n; i++)
        fprintf(g->f, "%s%s", i == 0 ? "[" : i % row ? " " : "; ",
                RILL_NUMBER_TEXT(rill_at(x, i), NUMBER));
    fputc(']', g->f);
}

static void graph_node(const graph *g, const rill_node *n)
{
    const rill_tensor *x = rill_node_output(n);
    const rill_op *op = rill_node_op(n);
    fprintf(g->f, "n%d [%slabel=\"", rill_node_index(n),
            op ? "style=filled, fillcolor=\"#eef3fa\", " : "");
    graph_text(g, RILL_NODE_NAME(n), "\\n");
    if (op && *rill_name(x))
        graph_text(g, op->name, " ");
    fputs(RILL_SHAPE_LABEL(x), g->f);
    if (graph_last(g, n) == n) {
        graph_values(g, "value", x);
        graph_values(g, "gradient", rill_grad(g->t, x));
    }
    fputs("\"];\n", g->f);
}

/* ---- edges -------------------------------------------------------------- */

/* From input i to the node. Pale and thin is small, dark and wide is large;
 * red is not finite. */
static void graph_edge(const graph *g, const rill_node *n, int i)
{
    const rill_node *from = rill_node_source(n, i), *last = graph_last(g, n);
    const rill_tensor *grad = rill_node_grad(n, i);
    fprintf(g->f, "n%d -> n%d [weight=%d, ",
            graph_drawn(g, rill_node_index(from)), rill_node_index(n),
            rill_node_op(from) ? 9 : 1); /* what ops make runs straight */
    if (!grad) {
        fputs("style=dashed, color=\"#999999\"];\n", g->f);
        return;
    }
    double norm = rill_norm(grad); /* size: of NaN 1 */
    double size = fmax(fmin(1 + log10(norm) / DECADES, 1), 0);
    fprintf(g->f, "penwidth=%s, color=\"#%02x%02x%02x\", label=\" %s",
            RILL_NUMBER_TEXT(0.7 + 4.3 * size, 4),
            isfinite(norm) ? (int)(0xb8 - 0xa0 * size) : 0xd0,
            isfinite(norm) ? (int)(0xcc - 0x9c * size) : 0,
            isfinite(norm) ? (int)(0xe6 - 0x66 * size) : 0,
            RILL_NUMBER_TEXT(norm, NUMBER));
    if (last != n && graph_last(g, from) != from) /* it stands for several */
        fprintf(g->f, " … %s",
                RILL_NUMBER_TEXT(rill_norm(rill_node_grad(last, i)), NUMBER));
    fputs("\"];\n", g->f);
}

static void graph_constant(const graph *g, const rill_node *n, int i)
{
    const rill_tensor *x = rill_node_input(n, i);
    int to = rill_node_index(n);
    fprintf(g->f, "c%d_%d [shape=plaintext, style=\"\", fontsize=9, "
            "fontcolor=\"#666666\", label=\"", to, i);
    if (*rill_name(x))
        graph_text(g, rill_name(x), " ");
    fputs(RILL_SHAPE_LABEL(x), g->f);
    graph_values(g, "value", x);
    fprintf(g->f, "\"];\nc%d_%d -> n%d [style=dotted, color=\"#999999\"];\n",
            to, i, to);
}

static void graph_inputs(const graph *g, const rill_node *n)
{
    for (int i = 0; i < rill_node_inputs(n); i++)
        if (rill_node_source(n, i))
            graph_edge(g, n, i);
        else if (rill_node_input(n, i))
            graph_constant(g, n, i);
}

/* Writes the tape as a graph for Graphviz ("dot -Tsvg"). A box is an op, a
 * round one a leaf: name (cut in the middle at 32 characters), op and shape,
 * and the elements of its value and its gradient where they are at most
 * opts->values; constants are small text. An edge runs from an input to the
 * node that reads it and carries the norm of the gradient that came back along
 * it: the larger, the wider and darker, by its logarithm from 1e-6 to 1; red
 * where it is not finite, dashed where none came.
 *
 * Above opts->nodes nodes the layers that repeat most, the same ops and
 * shapes again and again, are drawn once, in a frame that says how often
 * ("x 12"); an edge in it has the norms in the first copy and the last one.
 * Nothing is written where f or t is NULL. */
void rill_tape_dot(FILE *f, rill_tape *t, const rill_dot_opts *opts)
{
    graph g = { .f = f, .t = t,
                .values = opts && opts->values ? opts->values : VALUES };
    if (!f || !t)
        return;
    if (rill_tape_len(t) > (opts && opts->nodes ? opts->nodes : NODES))
        graph_fold(&g);
    fputs("digraph tape {\n"
          "graph [charset=\"UTF-8\", fontname=\"Helvetica\", fontsize=11, "
          "nodesep=0.2, ranksep=0.25, "
          "label=\"on the edges: the norm of the gradient\"];\n"
          "node [fontname=\"Helvetica\", fontsize=11, height=0.3, "
          "margin=\"0.1,0.04\", shape=box, style=rounded];\n"
          "edge [fontname=\"Helvetica\", fontsize=10, arrowsize=0.6];\n", f);
    for (int i = 0; i < rill_tape_len(t); i++) {
        if (g.copies && i == g.start)
            fprintf(f, "subgraph cluster_layers {\nlabel=\"x %d\"; "
                    "color=\"#888888\";\n", g.copies);
        if (graph_drawn(&g, i) == i)
            graph_node(&g, rill_tape_node(t, i));
        if (g.copies && i == g.start + g.period - 1)
            fputs("}\n", f);
    }
    for (int i = 0; i < rill_tape_len(t); i++)
        if (graph_drawn(&g, i) == i)
            graph_inputs(&g, rill_tape_node(t, i));
    fputs("}\n", f);
}
