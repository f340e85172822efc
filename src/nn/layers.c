/* layers.c: parameters with a name in front, and the op that uses them.
 *
 * A layer is a small value that points into its set. Errors of making one are
 * the set's: a name that is empty, taken or too long, a negative size, no
 * memory. One made from a set that has failed, before or midway, holds NULL
 * throughout (no initialiser works on such a set), and the op it is then
 * applied with says so on the tape. */
#include "nn_internal.h"

#include <math.h>
#include <string.h>

enum { LAYER_NAME = 256 };

static rill_tensor *layer_add(rill_params *p, const char *layer,
                              const char *leaf, rill_shape shape)
{
    char name[LAYER_NAME];
    int n = snprintf(name, sizeof name, "%s.%s", layer ? layer : "", leaf);
    if (p && n >= LAYER_NAME)
        rill_fail(p->home, "layer: the name is longer than %d",
                  LAYER_NAME - 1);
    return rill_params_add(p, name, shape);
}

/* y, called what the layer of this weight is called. */
static rill_tensor *layer_output(rill_tape *t, rill_tensor *y,
                                 const rill_tensor *weight)
{
    char name[LAYER_NAME];
    const char *full = rill_name(weight), *dot = strrchr(full, '.');
    if (!y || !dot || dot - full >= LAYER_NAME)
        return y;
    memcpy(name, full, (size_t)(dot - full)); /* far faster than snprintf */
    name[dot - full] = '\0';
    return rill_named(t, y, name);
}

/* name.weight [out, in] and name.bias [out], both uniform in +-1 / sqrt(in):
 * PyTorch's default. */
rill_nn_linear rill_nn_linear_new(rill_params *p, const char *name,
                                  int64_t in, int64_t out)
{
    double bound = in > 0 ? 1 / sqrt((double)in) : 0;
    rill_tensor *w = layer_add(p, name, "weight", RILL_SHAPE(out, in));
    rill_tensor *b = layer_add(p, name, "bias", RILL_SHAPE(out));
    if (!rill_init_uniform(p, w, -bound, bound) ||
        !rill_init_uniform(p, b, -bound, bound))
        return (rill_nn_linear){ NULL, NULL };
    return (rill_nn_linear){ w, b };
}

/* x W^T + b, by rill_linear. x: [..., in]. */
rill_tensor *rill_nn_linear_apply(rill_tape *t, const rill_nn_linear *l,
                                  const rill_tensor *x)
{
    const rill_tensor *w = l ? l->weight : NULL;
    return layer_output(t, rill_linear(t, x, w, l ? l->bias : NULL), w);
}

/* name.weight [count, width], normal with mean 0 and variance 1. */
rill_nn_embedding rill_nn_embedding_new(rill_params *p, const char *name,
                                        int64_t count, int64_t width)
{
    rill_tensor *w = layer_add(p, name, "weight", RILL_SHAPE(count, width));
    return (rill_nn_embedding){ rill_init_normal(p, w, 0, 1) ? w : NULL };
}

/* The rows that int32 indices ask for, by rill_embedding. */
rill_tensor *rill_nn_embedding_apply(rill_tape *t, const rill_nn_embedding *l,
                                     const rill_tensor *indices)
{
    const rill_tensor *w = l ? l->weight : NULL;
    return layer_output(t, rill_embedding(t, w, indices, NULL), w);
}

/* name.weight [width] of ones and name.bias [width] of zeros. */
rill_nn_layer_norm rill_nn_layer_norm_new(rill_params *p, const char *name,
                                          int64_t width)
{
    rill_tensor *w = layer_add(p, name, "weight", RILL_SHAPE(width));
    rill_tensor *b = layer_add(p, name, "bias", RILL_SHAPE(width));
    if (!rill_init_constant(p, w, 1))
        return (rill_nn_layer_norm){ NULL, NULL };
    return (rill_nn_layer_norm){ w, b };
}

/* x normalised over its last dimension, by rill_layer_norm. x: [..., width].
 * That op takes no weight for a weight of one: here it is an error. */
rill_tensor *rill_nn_layer_norm_apply(rill_tape *t,
                                      const rill_nn_layer_norm *l,
                                      const rill_tensor *x)
{
    if (!l || !l->weight)
        return rill_fail(t, "layer_norm: weight is NULL");
    return layer_output(t, rill_layer_norm(t, x, l->weight, l->bias, NULL),
                        l->weight);
}

/* Linear layers name.0, name.1, ... from widths[0] inputs to the last width,
 * and layer norms name.norm0, ... where opts, or NULL, ask for them. The last
 * layer's outputs are logits. Also an error: fewer than two widths. */
rill_nn_mlp rill_nn_mlp_new(rill_params *p, const char *name,
                            const int64_t *widths, int n_widths,
                            const rill_nn_mlp_opts *opts)
{
    char layer[LAYER_NAME];
    rill_nn_mlp m = { .n = n_widths - 1,
                      .opts = opts ? *opts : (rill_nn_mlp_opts){ 0 } };
    if (!name)
        name = "";
    if (!m.opts.activation)
        m.opts.activation = rill_sigmoid;
    if (p && (!widths || n_widths < 2))
        rill_fail(p->home, "mlp: two widths or more are wanted: the inputs', "
                           "any hidden ones and the outputs'");
    if (rill_params_error(p))
        return (rill_nn_mlp){ 0 };
    m.layer = rill_tape_alloc(p->home, (size_t)m.n * sizeof *m.layer);
    if (m.opts.layer_norm)
        m.norm = rill_tape_alloc(p->home, (size_t)m.n * sizeof *m.norm);
    for (int i = 0; i < m.n && !rill_params_error(p); i++) {
        snprintf(layer, sizeof layer, "%s.%d", name, i);
        m.layer[i] = rill_nn_linear_new(p, layer, widths[i], widths[i + 1]);
        if (m.norm && i + 1 < m.n) {
            snprintf(layer, sizeof layer, "%s.norm%d", name, i);
            m.norm[i] = rill_nn_layer_norm_new(p, layer, widths[i + 1]);
        }
    }
    return !rill_params_error(p) ? m : (rill_nn_mlp){ 0 };
}

/* The last layer's outputs, [..., last width], for x [..., widths[0]].
 * Dropout drops while the tape trains. */
rill_tensor *rill_nn_mlp_apply(rill_tape *t, const rill_nn_mlp *m,
                               const rill_tensor *x)
{
    if (!m || !m->layer)
        return rill_nn_linear_apply(t, NULL, x);
    for (int i = 0; i + 1 < m->n; i++) {
        x = rill_nn_linear_apply(t, &m->layer[i], x);
        if (m->norm)
            x = rill_nn_layer_norm_apply(t, &m->norm[i], x);
        x = rill_dropout(t, m->opts.activation(t, x), m->opts.dropout);
    }
    return rill_nn_linear_apply(t, &m->layer[m->n - 1], x);
}
