/* map.c: elementwise loops with NumPy's broadcasting.
 *
 * The last dimensions, as far as every input either moves along all of them
 * or stands still, are one run; tensors of one shape are a single run. A
 * kernel sees pieces of a run, and contiguous inputs only: one that stands
 * still is spread over a small buffer first. */
#include "common.h"

enum { CHUNK = 512 };

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

int64_t rill_broadcast_index(const rill_shape *from, const rill_shape *to,
                             int64_t i)
{
    int64_t at = 0, step = 1;
    for (int d = 1; d <= from->ndim; d++) {
        int64_t size = from->dim[from->ndim - d], wide = to->dim[to->ndim - d];
        at += size == 1 ? 0 : i % wide * step;
        i /= wide;
        step *= size;
    }
    return at;
}

typedef struct {
    rill_map_kernel *kernel;
    const rill_tensor *y, **x;
    int n;
    const void *attrs;
    int64_t run; /* elements */
    bool still[RILL_MAP_MAX_INPUTS], any_still;
} map_loop;

static void map_find_run(map_loop *l)
{
    const rill_shape *shape = &l->y->shape;
    l->run = 1;
    for (int d = -1; d >= -shape->ndim; d--) {
        int64_t size = shape->dim[shape->ndim + d];
        for (int i = 0; size > 1 && i < l->n; i++) {
            const rill_tensor *x = l->x[i];
            bool still = x->numel < l->y->numel && rill_dim(x, d) <= 1;
            if (l->run == 1)
                l->still[i] = still;
            else if (l->still[i] != still)
                return;
            l->any_still |= still;
        }
        l->run *= size;
    }
}

/* RILL_PART elements of the output, in pieces that do not leave a run. */
static void map_part(void *context, int64_t part)
{
    _Alignas(64) char still[RILL_MAP_MAX_INPUTS][CHUNK * 8];
    const void *spread[RILL_MAP_MAX_INPUTS] = { NULL };
    const map_loop *l = context;
    const rill_tensor *y = l->y;
    int64_t most = l->run < CHUNK ? l->run : CHUNK;
    int64_t at = part * RILL_PART, end = at + RILL_PART, n;
    end = end < y->numel ? end : y->numel;
    for (; at < end; at += n) {
        const void *in[RILL_MAP_MAX_INPUTS];
        n = at ? l->run - at % l->run : l->run;
        n = n < end - at ? n : end - at;
        n = l->any_still && n > CHUNK ? CHUNK : n;
        for (int i = 0; i < l->n; i++) {
            const rill_tensor *x = l->x[i];
            size_t width = rill_dtype_size(x->dtype);
            int64_t from = x->numel == y->numel ? at :
                rill_broadcast_index(&x->shape, &y->shape, at);
            in[i] = (const char *)x->data + (size_t)from * width;
            if (!l->still[i])
                continue;
            if (in[i] != spread[i])
                rill_copy_row(still[i], in[i], most, 0, width);
            spread[i] = in[i];
            in[i] = still[i];
        }
        l->kernel((char *)y->data + (size_t)at * rill_dtype_size(y->dtype),
                  in, (size_t)n, l->attrs);
    }
}

rill_tensor *rill_map_to(rill_tape *t, rill_shape shape,
                         rill_map_table *kernels, const rill_tensor **x,
                         int n, rill_dtype dtype, const void *attrs)
{
    static const double none[2];
    rill_tensor *y = rill_empty(t, dtype, shape);
    if (!y || y->numel == 0)
        return y;
    map_loop l = { .kernel = kernels[t->isa][x[n - 1]->dtype], .y = y,
                   .x = x, .n = n, .attrs = attrs ? attrs : none };
    map_find_run(&l);
    rill_share((y->numel + RILL_PART - 1) / RILL_PART, map_part, &l);
    return y;
}

rill_tensor *rill_map(rill_tape *t, const char *op,
                      rill_map_table *kernels, const rill_tensor **x, int n,
                      rill_dtype dtype, const void *attrs)
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
                              rill_map_table *kernels, const rill_tensor **x,
                              int n, const double *numbers)
{
    if (n == 1 ? !rill_usable_float(t, op->name, "x", x[0])
               : !rill_usable_floats(t, op->name, "a", x[0], "b", x[1]))
        return NULL;
    const void *kept = numbers ? rill_attrs(t, numbers, 2 * sizeof *numbers)
                               : NULL;
    rill_tensor *y = rill_map(t, op->name, kernels, x, n, x[0]->dtype, kept);
    return y ? rill_record(t, op, y, x, n, kept) : NULL;
}
