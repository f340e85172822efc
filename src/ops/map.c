/* map.c: elementwise loops with NumPy's broadcasting.
 *
 * Adjacent dimensions that every input walks alike are folded into one, so
 * tensors of one shape are a single loop. Kernels see contiguous inputs only:
 * an input that stands still along the innermost dimension is spread over a
 * small buffer first. */
#include "common.h"

enum { CHUNK = 512 };

typedef struct {
    rill_map_kernel *kernel;
    const void *attrs;
    int n, ndim;
    int64_t size[RILL_MAX_DIMS]; /* from the innermost dimension outwards */
    int64_t step[RILL_MAP_MAX_INPUTS][RILL_MAX_DIMS]; /* in bytes */
    size_t width[RILL_MAP_MAX_INPUTS], y_width;       /* of an element */
} map_plan;

bool rill_broadcast(rill_shape *to, const rill_shape *with)
{
    rill_shape a = *to;
    const rill_shape *b = with;
    int n = a.ndim > b->ndim ? a.ndim : b->ndim;
    to->ndim = n;
    for (int d = 1; d <= n; d++) { /* from the last dimension */
        int64_t x = d <= a.ndim ? a.dim[a.ndim - d] : 1;
        int64_t y = d <= b->ndim ? b->dim[b->ndim - d] : 1;
        if (x != y && x != 1 && y != 1)
            return false;
        to->dim[n - d] = x == 1 ? y : x;
    }
    return true;
}

bool rill_broadcasts(const rill_shape *from, const rill_shape *to)
{
    rill_shape both = *to;
    return rill_broadcast(&both, from) && rill_shape_equal(&both, to);
}

/* Sets sizes, steps and widths. */
static void map_fold(map_plan *p, const rill_shape *shape,
                     const rill_tensor **x)
{
    int64_t stride[RILL_MAP_MAX_INPUTS];
    for (int i = 0; i < p->n; i++)
        stride[i] = (int64_t)(p->width[i] = rill_dtype_size(x[i]->dtype));
    for (int d = -1; d >= -shape->ndim; d--) {
        int64_t step[RILL_MAP_MAX_INPUTS], size = shape->dim[shape->ndim + d];
        bool fold = p->ndim > 0;
        for (int i = 0; i < p->n; i++) {
            bool moves = rill_dim(x[i], d) > 1;
            step[i] = moves ? stride[i] : 0;
            stride[i] *= moves ? size : 1;
            fold = fold && step[i] == p->step[i][p->ndim - 1] *
                                          p->size[p->ndim - 1];
        }
        if (fold)
            p->size[p->ndim - 1] *= size;
        if (fold || size == 1)
            continue;
        for (int i = 0; i < p->n; i++)
            p->step[i][p->ndim] = step[i];
        p->size[p->ndim++] = size;
    }
    if (p->ndim == 0)
        p->size[p->ndim++] = 1;
}

/* Fills a buffer with one element, of four or eight bytes. */
static void map_spread(void *buffer, const void *x, size_t width, size_t n)
{
    if (width == 8)
        for (size_t i = 0; i < n; i++)
            memcpy((char *)buffer + 8 * i, x, 8);
    else
        for (size_t i = 0; i < n; i++)
            memcpy((char *)buffer + 4 * i, x, 4);
}

/* The innermost dimension: elements from x[i], which stand still or not. */
static char *map_row(const map_plan *p, char *y, const char *const *x)
{
    _Alignas(64) char still[RILL_MAP_MAX_INPUTS][CHUNK * 8];
    const void *in[RILL_MAP_MAX_INPUTS];
    size_t n = (size_t)p->size[0], chunk = n;
    for (int i = 0; i < p->n; i++) {
        in[i] = x[i];
        if (p->step[i][0] == 0) {
            map_spread(still[i], x[i], p->width[i], n < CHUNK ? n : CHUNK);
            in[i] = still[i];
            chunk = CHUNK;
        }
    }
    for (size_t at = 0; at < n; at += chunk) {
        size_t m = n - at < chunk ? n - at : chunk;
        for (int i = 0; i < p->n; i++)
            if (in[i] != still[i])
                in[i] = x[i] + at * p->width[i];
        p->kernel(y + at * p->y_width, in, m, p->attrs);
    }
    return y + n * p->y_width;
}

/* Dimension d and all within it; returns where the output goes on. */
static char *map_run(const map_plan *p, int d, char *y, const char *const *x)
{
    if (d == 0)
        return map_row(p, y, x);
    const char *at[RILL_MAP_MAX_INPUTS];
    for (int64_t k = 0; k < p->size[d]; k++) {
        for (int i = 0; i < p->n; i++)
            at[i] = x[i] + k * p->step[i][d];
        y = map_run(p, d - 1, y, at);
    }
    return y;
}

/* Part of a loop over tensors of one shape. */
typedef struct {
    rill_map_kernel *kernel;
    const rill_tensor *y, **x;
    int n;
    const void *attrs;
} map_loop;

static void map_part(void *context, int64_t part)
{
    const map_loop *l = context;
    const void *in[RILL_MAP_MAX_INPUTS];
    size_t from = (size_t)part * RILL_PART, left = (size_t)l->y->numel - from;
    for (int i = 0; i < l->n; i++)
        in[i] = (const char *)l->x[i]->data +
                from * rill_dtype_size(l->x[i]->dtype);
    l->kernel((char *)l->y->data + from * rill_dtype_size(l->y->dtype), in,
              left < RILL_PART ? left : RILL_PART, l->attrs);
}

rill_tensor *rill_map_to(rill_tape *t, rill_shape shape,
                         rill_map_kernel *const (*kernels)[2],
                         const rill_tensor **x, int n, rill_dtype dtype,
                         const void *attrs)
{
    rill_tensor *y = rill_empty(t, dtype, shape);
    if (!y || y->numel == 0)
        return y;
    rill_map_kernel *kernel = kernels[t->isa][x[n - 1]->dtype];
    bool alike = true;
    for (int i = 0; i < n; i++)
        alike = alike && rill_shape_equal(&shape, &x[i]->shape);
    if (alike) {
        map_loop loop = { kernel, y, x, n, attrs };
        rill_share((y->numel + RILL_PART - 1) / RILL_PART, map_part, &loop);
        return y;
    }
    const char *in[RILL_MAP_MAX_INPUTS];
    for (int i = 0; i < n; i++)
        in[i] = x[i]->data;
    map_plan p = { .kernel = kernel, .attrs = attrs, .n = n,
                   .y_width = rill_dtype_size(dtype) };
    map_fold(&p, &shape, x);
    map_run(&p, p.ndim - 1, y->data, in);
    return y;
}

rill_tensor *rill_map(rill_tape *t, const char *op,
                      rill_map_kernel *const (*kernels)[2],
                      const rill_tensor **x, int n, rill_dtype dtype,
                      const void *attrs)
{
    rill_shape shape = x[0]->shape;
    for (int i = 1; i < n; i++) {
        rill_shape before = shape;
        if (!rill_broadcast(&shape, &x[i]->shape))
            return rill_fail(t, "%s: shapes %s and %s do not broadcast", op,
                             RILL_SHAPE_TEXT(before), RILL_TEXT(x[i]));
    }
    return rill_map_to(t, shape, kernels, x, n, dtype, attrs);
}

rill_tensor *rill_elementwise(rill_tape *t, const rill_op *op,
                              rill_map_kernel *const (*kernels)[2],
                              const rill_tensor **x, int n,
                              const double *numbers)
{
    if (n == 1 ? !rill_usable_float(t, op->name, "x", x[0])
               : !rill_usable_floats(t, op->name, "a", x[0], "b", x[1]))
        return NULL;
    const void *kept = numbers ? rill_attrs(t, numbers, 2 * sizeof *numbers)
                               : NULL;
    if (numbers && !kept)
        return NULL;
    rill_tensor *y = rill_map(t, op->name, kernels, x, n, x[0]->dtype, kept);
    return y ? rill_record(t, op, y, x, n, kept) : NULL;
}
