/* map.c: elementwise loops with NumPy's broadcasting.
 *
 * Adjacent dimensions that every input walks alike are folded into one, so
 * tensors of one shape are a single loop. Kernels see contiguous inputs only:
 * an input that stands still along the innermost dimension is spread over a
 * small buffer first. */
#include "common.h"

enum { CHUNK = 512 };

typedef struct {
    int n, ndim;
    int64_t size[RILL_MAX_DIMS];
    int64_t step[RILL_MAP_MAX_INPUTS][RILL_MAX_DIMS]; /* in elements */
    size_t width[RILL_MAP_MAX_INPUTS];                /* of an element */
} map_plan;

/* Makes *to the shape that broadcasting it with another gives; false where
 * the two do not fit. */
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

static map_plan map_fold(const rill_shape *shape, const rill_tensor **x,
                         int n)
{
    map_plan p = { .n = n };
    int64_t stride[RILL_MAP_MAX_INPUTS][RILL_MAX_DIMS];
    for (int i = 0; i < n; i++) {
        const rill_shape *s = &x[i]->shape;
        int64_t step = 1;
        for (int d = shape->ndim - 1, e = s->ndim - 1; d >= 0; d--, e--) {
            int64_t size = e >= 0 ? s->dim[e] : 1;
            stride[i][d] = size == 1 ? 0 : step;
            step *= size;
        }
        p.width[i] = rill_dtype_size(x[i]->dtype);
    }
    for (int d = 0; d < shape->ndim; d++) {
        if (shape->dim[d] == 1)
            continue;
        bool fold = p.ndim > 0;
        for (int i = 0; fold && i < n; i++)
            fold = p.step[i][p.ndim - 1] == stride[i][d] * shape->dim[d];
        if (fold)
            p.size[p.ndim - 1] *= shape->dim[d];
        else
            p.size[p.ndim++] = shape->dim[d];
        for (int i = 0; i < n; i++)
            p.step[i][p.ndim - 1] = stride[i][d];
    }
    if (p.ndim == 0)
        p.size[p.ndim++] = 1;
    return p;
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

/* The innermost dimension: n elements from x[i], which stand still or not. */
static void map_row(const map_plan *p, rill_map_kernel *kernel, char *y,
                    size_t y_width, const char *const *x, const void *attrs)
{
    size_t n = (size_t)p->size[p->ndim - 1];
    const void *in[RILL_MAP_MAX_INPUTS];
    _Alignas(64) char still[RILL_MAP_MAX_INPUTS][CHUNK * 8];
    bool any = false;
    for (int i = 0; i < p->n; i++) {
        in[i] = x[i];
        if (p->step[i][p->ndim - 1] == 0 && n > 1) {
            map_spread(still[i], x[i], p->width[i], n < CHUNK ? n : CHUNK);
            in[i] = still[i];
            any = true;
        }
    }
    if (!any) {
        kernel(y, in, n, attrs);
        return;
    }
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t m = n - at < CHUNK ? n - at : CHUNK;
        for (int i = 0; i < p->n; i++)
            if (in[i] != still[i])
                in[i] = x[i] + at * p->width[i];
        kernel(y + at * y_width, in, m, attrs);
    }
}

static void map_run(const map_plan *p, rill_map_kernel *kernel,
                    rill_tensor *y, const rill_tensor **x, const void *attrs)
{
    const char *in[RILL_MAP_MAX_INPUTS];
    for (int i = 0; i < p->n; i++)
        in[i] = x[i]->data;
    char *out = y->data;
    size_t y_width = rill_dtype_size(y->dtype);
    int64_t at[RILL_MAX_DIMS] = { 0 };
    for (;;) {
        map_row(p, kernel, out, y_width, in, attrs);
        out += (size_t)p->size[p->ndim - 1] * y_width;
        int d = p->ndim - 2;
        for (; d >= 0; d--) { /* the next row: an odometer */
            for (int i = 0; i < p->n; i++)
                in[i] += p->step[i][d] * (int64_t)p->width[i];
            if (++at[d] < p->size[d])
                break;
            for (int i = 0; i < p->n; i++)
                in[i] -= p->step[i][d] * at[d] * (int64_t)p->width[i];
            at[d] = 0;
        }
        if (d < 0)
            return;
    }
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
    const void *in[RILL_MAP_MAX_INPUTS];
    for (int i = 0; i < n; i++) {
        alike = alike && rill_shape_equal(&shape, &x[i]->shape);
        in[i] = x[i]->data;
    }
    if (alike) {
        kernel(y->data, in, (size_t)y->numel, attrs);
    } else {
        map_plan p = map_fold(&shape, x, n);
        map_run(&p, kernel, y, x, attrs);
    }
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
    static const char *const one[] = { "x" }, *const two[] = { "a", "b" };
    for (int i = 0; i < n; i++)
        if (!rill_usable_float(t, op->name, (n == 1 ? one : two)[i], x[i]))
            return NULL;
    if (n == 2 && !rill_same_dtype(t, op->name, "a", x[0], "b", x[1]))
        return NULL;
    const void *kept = numbers ? rill_attrs(t, numbers, 2 * sizeof *numbers)
                               : NULL;
    if (numbers && !kept)
        return NULL;
    rill_tensor *y = rill_map(t, op->name, kernels, x, n, x[0]->dtype, kept);
    return y ? rill_record(t, op, y, x, n, kept) : NULL;
}
