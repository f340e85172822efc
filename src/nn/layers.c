/* layers.c: parameters with a name in front, and the op that uses them.
 *
 * A layer is a small value that points into its set. One made from a set that
 * has failed, before or midway, holds NULL throughout (no initialiser works on
 * such a set), and the op it is then applied with says so on the tape. */
#include "nn_internal.h"

#include <math.h>
#include <stdarg.h>

/* A name on the set's home; NULL, with an error, where layer is empty. */
__attribute__((format(printf, 3, 4)))
static const char *layer_name(rill_params *p, const char *layer,
                              const char *format, ...)
{
    if (rill_params_error(p))
        return NULL;
    if (!layer || !*layer)
        return rill_fail(p->home, "layer: the name is empty");
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *name = n < 0 ? NULL : rill_tape_alloc(p->home, (size_t)n + 1);
    if (!name)
        return NULL;
    va_start(args, format);
    vsnprintf(name, (size_t)n + 1, format, args);
    va_end(args);
    return name;
}

static rill_tensor *layer_add(rill_params *p, const char *layer,
                              const char *leaf, rill_shape shape)
{
    const char *name = layer_name(p, layer, "%s.%s", layer, leaf);
    return name ? rill_params_add(p, name, shape) : NULL;
}

/* name.weight [out, in] and name.bias [out], both uniform in +-1 / sqrt(in):
 * PyTorch's default. Errors, here and below: the set's, for a name that is
 * empty or taken, a negative size, or no memory. */
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
    return rill_linear(t, x, l ? l->weight : NULL, l ? l->bias : NULL);
}

/* name.weight [count, width], normal with mean 0 and variance 1. */
rill_nn_embedding rill_nn_embedding_new(rill_params *p, const char *name,
                                        int64_t count, int64_t width)
{
    rill_tensor *w = layer_add(p, name, "weight", RILL_SHAPE(count, width));
    if (!rill_init_normal(p, w, 0, 1))
        return (rill_nn_embedding){ NULL };
    return (rill_nn_embedding){ w };
}

/* The rows that int32 indices ask for, by rill_embedding. */
rill_tensor *rill_nn_embedding_apply(rill_tape *t, const rill_nn_embedding *l,
                                     const rill_tensor *indices)
{
    return rill_embedding(t, l ? l->weight : NULL, indices, NULL);
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
    return rill_layer_norm(t, x, l->weight, l->bias, NULL);
}

static bool mlp_usable(rill_params *p, const int64_t *widths, int n_widths,
                       const rill_nn_mlp_opts *opts)
{
    if (rill_params_error(p))
        return false;
    if (!widths)
        return rill_fail(p->home, "mlp: widths is NULL");
    if (n_widths < 2)
        return rill_fail(p->home, "mlp: %d widths are given: the inputs', any "
                         "hidden ones and the outputs' are wanted", n_widths);
    if (!(opts->dropout >= 0 && opts->dropout <= 1))
        return rill_fail(p->home, "mlp: dropout %g is not in [0, 1]",
                         opts->dropout);
    return true;
}

/* Linear layers name.0, name.1, ... from widths[0] inputs to the last width,
 * and layer norms name.norm0, ... where opts ask for them; opts may be NULL.
 * Nothing follows the last layer: its outputs are logits. Also errors: fewer
 * than two widths, a dropout outside [0, 1]. */
rill_nn_mlp rill_nn_mlp_new(rill_params *p, const char *name,
                            const int64_t *widths, int n_widths,
                            const rill_nn_mlp_opts *opts)
{
    static const rill_nn_mlp_opts none = { 0 };
    rill_nn_mlp m = { .n = n_widths - 1, .opts = opts ? *opts : none };
    if (!m.opts.activation)
        m.opts.activation = rill_sigmoid;
    if (!mlp_usable(p, widths, n_widths, &m.opts))
        return (rill_nn_mlp){ 0 };
    m.layer = rill_tape_alloc(p->home, (size_t)m.n * sizeof *m.layer);
    if (m.opts.layer_norm)
        m.norm = rill_tape_alloc(p->home, (size_t)m.n * sizeof *m.norm);
    for (int i = 0; i < m.n && !rill_params_error(p); i++) {
        const char *layer = layer_name(p, name, "%s.%d", name, i);
        m.layer[i] = rill_nn_linear_new(p, layer, widths[i], widths[i + 1]);
        if (!m.norm || i + 1 == m.n)
            continue;
        const char *norm = layer_name(p, name, "%s.norm%d", name, i);
        m.norm[i] = rill_nn_layer_norm_new(p, norm, widths[i + 1]);
    }
    if (rill_params_error(p))
        return (rill_nn_mlp){ 0 };
    return m;
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
        x = m->opts.activation(t, x);
        if (m->opts.dropout > 0)
            x = rill_dropout(t, x, m->opts.dropout);
    }
    return rill_nn_linear_apply(t, &m->layer[m->n - 1], x);
}
