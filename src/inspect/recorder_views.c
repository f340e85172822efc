/* recorder_views.c: what a recorder shows now and then: the graph, the loss
 * of some rows opened up, the decision regions.
 *
 * These lines are made by the thread that trains. Ops run on the recorder's
 * own tape, which records nothing. */
#include "recorder.h"

#include <math.h>
#include <string.h>

/* What stopped the recorder's own tape is the recorder's error. */
static bool views_well(rill_recorder *r, const char *who)
{
    if (rill_error(r->aside))
        rill_recorder_fail(r, "%s: %s", who, rill_error(r->aside));
    rill_clear_error(r->aside);
    rill_tape_reset(r->aside);
    return !rill_recorder_error(r);
}

/* ---- the graph ---------------------------------------------------------- */

/* Which recorded parameter w is; NaN: none. */
static double views_parameter(const rill_recorder *r, const rill_tensor *w)
{
    for (int i = 0; i < r->n; i++)
        if (r->param[i].w == w)
            return i;
    return NAN;
}

static void views_graph(rill_recorder *r, rill_tape *t)
{
    char label[RILL_LABEL];
    rill_json *j = rill_line_begin(r, "graph");
    rill_json_put(j, "nodes", "[");
    for (int i = 0; i < r->graph; i++) {
        const rill_node *n = rill_tape_node(t, i);
        const rill_op *op = rill_node_op(n);
        const rill_tensor *y = rill_node_output(n);
        rill_json_put(j, NULL, "{");
        rill_json_string(j, "name", rill_node_name(n, label));
        if (op)
            rill_json_string(j, "op", op->name);
        else
            rill_json_put(j, "op", "null");
        rill_json_shape(j, y);
        rill_json_put(j, "inputs", "[");
        for (int k = 0; k < rill_node_inputs(n); k++) {
            const rill_node *from = rill_node_source(n, k);
            if (rill_node_input(n, k)) /* else it was left out */
                rill_json_integer(j, NULL, from ? rill_node_index(from) : -1);
        }
        rill_json_end(j, "]");
        rill_json_number(j, "parameter", views_parameter(r, y));
        rill_json_end(j, "}");
    }
    rill_json_end(j, "]");
    rill_line_end(r);
}

/* ---- the loss, opened up ------------------------------------------------ */

enum { MOST_CLASSES = 256 };

/* The last cross entropy of logits [N, C] that the loss depends on, so also
 * where a penalty was added to it; NULL where there is none. */
static const rill_node *views_loss(rill_tape *t)
{
    for (int i = rill_tape_len(t) - 1; i >= 0; i--) {
        const rill_node *n = rill_tape_node(t, i);
        const rill_op *op = rill_node_op(n);
        if (op && strcmp(op->name, "cross_entropy") == 0 &&
            rill_node_inputs(n) == 2 &&
            rill_ndim(rill_node_input(n, 0)) == 2 &&
            rill_dim(rill_node_input(n, 0), 1) <= MOST_CLASSES &&
            rill_grad(t, rill_node_output(n)))
            return n;
    }
    return NULL;
}

/* The first rows of x on the recorder's own tape. Classes that are none are
 * ignored there (-100), as the loss that was computed did. */
static rill_tensor *views_rows(rill_recorder *r, const rill_tensor *x,
                               int64_t rows, int64_t classes)
{
    rill_shape shape = rill_shape_of(x);
    shape.dim[0] = rows;
    rill_tensor *y = rill_copy(r->aside, rill_data(x), rill_dtype_of(x),
                               shape);
    int32_t *class = rill_dtype_of(x) == RILL_I32 ? rill_write(y) : NULL;
    for (int64_t i = 0; class && i < rows; i++)
        if (class[i] < 0 || class[i] >= classes)
            class[i] = -100;
    return y;
}

/* "key":[[x[0][0], ...], ...], or of one dimension [x[0], ...]. */
static void views_matrix(rill_json *j, const char *key, const rill_tensor *x)
{
    bool rows = rill_ndim(x) > 1;
    int64_t width = rows ? rill_dim(x, 1) : 1;
    rill_json_put(j, key, "[");
    for (int64_t i = 0; i < rill_dim(x, 0); i++) {
        if (rows)
            rill_json_put(j, NULL, "[");
        for (int64_t c = 0; c < width; c++)
            rill_json_number(j, NULL, rill_at(x, i * width + c));
        if (rows)
            rill_json_end(j, "]");
    }
    rill_json_end(j, "]");
}

/* Of the first rows: what a loss without weights or smoothing makes of them,
 * since that is what p - y is the gradient of. */
static void views_open(rill_recorder *r, rill_json *j, const rill_node *n)
{
    const rill_tensor *logits = rill_node_input(n, 0);
    const rill_tensor *target = rill_node_input(n, 1);
    const rill_cross_entropy_opts each = { .reduction = RILL_NONE };
    int64_t rows = rill_dim(logits, 0), classes = rill_dim(logits, 1);
    rows = rows < r->opts.samples ? rows : r->opts.samples;
    rill_tape *t = r->aside;
    rill_tensor *z = views_rows(r, logits, rows, classes);
    rill_tensor *y = views_rows(r, target, rows, classes);
    rill_tensor *losses = rill_dtype_of(y) == RILL_I32
                              ? rill_cross_entropy(t, z, y, &each)
                              : rill_cross_entropy_probs(t, z, y, &each);
    rill_json_put(j, "loss", "{");
    rill_json_integer(j, "node", rill_node_index(n));
    views_matrix(j, "logits", z);
    views_matrix(j, "probs", rill_softmax(t, z, -1));
    views_matrix(j, "target", y);
    views_matrix(j, "residual", rill_softmax_residual(t, z, y));
    views_matrix(j, "losses", losses);
    rill_json_end(j, "}");
}

static void views_norm(rill_recorder *r, rill_json *j, const rill_tensor *g)
{
    rill_json_number(j, NULL, g ? sqrt(rill_recorder_squares(r, g)) : NAN);
}

/* Of the gradient at each node, and of what it passed on to each input. */
static void views_norms(rill_recorder *r, rill_json *j, rill_tape *t)
{
    rill_json_put(j, "gradient", "[");
    for (int i = 0; i < r->graph; i++)
        views_norm(r, j, rill_grad(t, rill_node_output(rill_tape_node(t, i))));
    rill_json_end(j, "]");
    rill_json_put(j, "edges", "[");
    for (int i = 0; i < r->graph; i++) {
        const rill_node *n = rill_tape_node(t, i);
        rill_json_put(j, NULL, "[");
        for (int k = 0; k < rill_node_inputs(n); k++)
            if (rill_node_input(n, k)) /* as in the graph */
                views_norm(r, j, rill_node_grad(n, k));
        rill_json_end(j, "]");
    }
    rill_json_end(j, "]");
}

void rill_recorder_detail(rill_recorder *r, rill_tape *t)
{
    const rill_node *loss = views_loss(t);
    int len = rill_tape_len(t);
    if (len != r->graph) {
        r->graph = len;
        views_graph(r, t);
    }
    r->detail_due = r->steps + r->opts.details;
    rill_json *j = rill_line_begin(r, "detail");
    rill_json_integer(j, "step", r->steps);
    views_norms(r, j, t);
    if (loss)
        views_open(r, j, loss);
    else
        rill_json_put(j, "loss", "null");
    rill_line_end(r);
    views_well(r, "recorder");
}

/* ---- what the user adds ------------------------------------------------- */

/* Whether a line can be added: not after an error or a close, which is one,
 * nor where something is wrong with it. */
static bool views_may(rill_recorder *r, const char *type, const char *wrong)
{
    if (r && !r->open)
        wrong = "the recorder was closed";
    if (r && wrong)
        rill_recorder_fail(r, "recorder_%s: %s", type, wrong);
    return r && !wrong && !rill_recorder_error(r);
}

/* A line with the number of the last step taken. */
static rill_json *views_line(rill_recorder *r, const char *type)
{
    rill_json *j = rill_line_begin(r, type);
    rill_json_integer(j, "step", r->steps ? r->steps - 1 : 0);
    return j;
}

/* Logs a value that the user measured at the last step taken, such as the
 * accuracy on rows that are not learned from; one that is not finite as null.
 * False where the recorder has an error, after a close, or the name is NULL;
 * true where r is NULL. */
bool rill_recorder_value(rill_recorder *r, const char *name, double value)
{
    if (views_may(r, "value", name ? NULL : "the name is NULL")) {
        rill_json *j = views_line(r, "value");
        rill_json_string(j, "name", name);
        rill_json_number(j, "value", value);
        rill_line_end(r);
    }
    return !rill_recorder_error(r);
}

/* Logs that something happened after the last step taken. Result as for
 * rill_recorder_value. */
bool rill_recorder_event(rill_recorder *r, const char *text)
{
    if (views_may(r, "event", text ? NULL : "the text is NULL")) {
        rill_json_string(views_line(r, "event"), "text", text);
        rill_line_end(r);
    }
    return !rill_recorder_error(r);
}

/* ---- decision regions --------------------------------------------------- */

enum { SIDE = 48, MOST_POINTS = 500, LETTERS = 36 };
static const char letters[LETTERS + 1] =
    "0123456789abcdefghijklmnopqrstuvwxyz";

/* Whether the arguments fit; the corners of what x covers and a twentieth
 * more on each side. */
static bool regions_fit(rill_recorder *r, rill_function *predict,
                        const rill_tensor *x, const rill_tensor *labels,
                        double *low, double *high)
{
    const char *wrong =
        !predict ? "predict is NULL" :
        rill_ndim(x) != 2 || rill_dim(x, 1) != 2 || !rill_dim(x, 0) ||
        rill_dtype_of(x) == RILL_I32 ? "x is not [N, 2] of floats" :
        rill_ndim(labels) != 1 || rill_dim(labels, 0) != rill_dim(x, 0) ||
        !rill_i32(labels) ? "labels are not int32 [N]" : NULL;
    for (int d = 0; !wrong && d < 2; d++) {
        low[d] = INFINITY;
        high[d] = -INFINITY;
        for (int64_t i = d; !wrong && i < rill_numel(x); i += 2) {
            low[d] = fmin(low[d], rill_at(x, i));
            high[d] = fmax(high[d], rill_at(x, i));
            wrong = isfinite(rill_at(x, i)) ? NULL : "x is not finite";
        }
        double margin = high[d] > low[d] ? 0.05 * (high[d] - low[d]) : 1;
        low[d] -= margin;
        high[d] += margin;
    }
    return views_may(r, "regions", wrong);
}

static void regions_pair(rill_json *j, const char *key, double a, double b)
{
    rill_json_put(j, key, "[");
    rill_json_number(j, NULL, a);
    rill_json_number(j, NULL, b);
    rill_json_end(j, "]");
}

/* At most MOST_POINTS of x, evenly spread over its rows. */
static void regions_points(rill_recorder *r, const rill_tensor *x,
                           const rill_tensor *labels)
{
    int64_t rows = rill_dim(x, 0);
    int64_t n = rows < MOST_POINTS ? rows : MOST_POINTS;
    rill_json *j = rill_line_begin(r, "points");
    rill_json_put(j, "x", "[");
    for (int64_t i = 0; i < n; i++) {
        int64_t at = i * rows / n * 2;
        regions_pair(j, NULL, rill_at(x, at), rill_at(x, at + 1));
    }
    rill_json_end(j, "]");
    rill_json_put(j, "labels", "[");
    for (int64_t i = 0; i < n; i++)
        rill_json_integer(j, NULL, rill_i32(labels)[i * rows / n]);
    rill_json_end(j, "]");
    rill_line_end(r);
}

/* The class at the middle of every cell, from the top row down; NULL, with
 * the error on t, where the network gives none. */
static const int32_t *regions_classes(rill_tape *t, rill_function *predict,
                                      void *user, rill_dtype dtype,
                                      const double *low, const double *high)
{
    double *at = rill_tape_alloc(t, 2 * SIDE * SIDE * sizeof *at);
    for (int i = 0; at && i < SIDE * SIDE; i++) {
        double across = (i % SIDE + 0.5) / SIDE;
        double down = (i / SIDE + 0.5) / SIDE;
        at[2 * i] = low[0] + across * (high[0] - low[0]);
        at[2 * i + 1] = high[1] - down * (high[1] - low[1]);
    }
    rill_tensor *x = rill_from(t, at, dtype, RILL_SHAPE(SIDE * SIDE, 2));
    rill_tensor *z = x ? predict(t, &x, user) : NULL;
    if (!rill_error(t) && (rill_ndim(z) != 2 || rill_dim(z, 1) > LETTERS ||
                           rill_dim(z, 0) != SIDE * SIDE))
        rill_fail(t, "predict gave no logits [N, C] with C up to %d",
                  LETTERS);
    return rill_i32(rill_argmax(
        t, z, &(rill_reduce_opts){ .dims = RILL_DIMS(1) }));
}

/* Logs where the network, as it is after the last step taken, sees which
 * class: on a grid of SIDE x SIDE over the range of x [N, 2] and a little
 * more. predict turns rows [N, 2] of x's dtype, its first input, into logits
 * [N, C], C at most 36, on a tape that records nothing. The first call logs
 * points to draw over the regions too, at most 500 of x with labels int32
 * [N]. Also false, with an error that ends the recording: shapes or dtypes
 * that do not fit, an x that is not finite, predict failed. */
bool rill_recorder_regions(rill_recorder *r, rill_function *predict,
                           void *user, const rill_tensor *x,
                           const rill_tensor *labels)
{
    double low[2], high[2];
    if (!regions_fit(r, predict, x, labels, low, high))
        return !rill_recorder_error(r);
    const int32_t *class = regions_classes(r->aside, predict, user,
                                           rill_dtype_of(x), low, high);
    char text[SIDE * SIDE + 1] = "";
    for (int i = 0; class && i < SIDE * SIDE; i++)
        text[i] = letters[class[i]];
    if (!views_well(r, "recorder_regions"))
        return false;
    if (!r->points)
        regions_points(r, x, labels);
    r->points = true;
    rill_json *j = views_line(r, "regions");
    regions_pair(j, "low", low[0], low[1]);
    regions_pair(j, "high", high[0], high[1]);
    rill_json_integer(j, "width", SIDE);
    rill_json_integer(j, "height", SIDE);
    rill_json_string(j, "classes", text);
    rill_line_end(r);
    return !rill_recorder_error(r);
}
