/* reduce.c: any reduction as one over the middle of [outer, n, inner], or of
 * rows [outer, n].
 *
 * Dimensions of size 1 do not matter. Where the reduced ones do not lie side
 * by side, or rows are wanted and they do not lie last, the data is copied
 * once with them at the end. */
#include "common.h"

static bool reduce_dims(rill_tape *t, const char *op, const rill_tensor *x,
                        const rill_dims *dims, bool *reduced)
{
    int ndim = x->shape.ndim;
    if (dims->n < 0 || dims->n > RILL_MAX_DIMS)
        return rill_fail(t, "%s: %d dims are not in [0, %d]", op, dims->n,
                         RILL_MAX_DIMS);
    for (int d = 0; d < ndim; d++)
        reduced[d] = dims->n == 0;
    for (int i = 0; i < dims->n; i++) {
        int d = rill_resolve_dim(t, op, dims->dim[i], ndim);
        if (d < 0)
            return false;
        if (reduced[d])
            return rill_fail(t, "%s: dim %d is given twice", op,
                             dims->dim[i]);
        reduced[d] = true;
    }
    return true;
}

/* Fills in v for a reduction of x over dims (none given: over all), as rows
 * where they are wanted. False with an error for a dim that is out of range
 * or given twice, or when memory ran out. */
bool rill_reduce(rill_tape *t, const char *op, const rill_tensor *x,
                 rill_dims dims, bool keepdim, bool rows,
                 rill_reduction_view *v)
{
    bool reduced[RILL_MAX_DIMS];
    if (!reduce_dims(t, op, x, &dims, reduced))
        return false;
    *v = (rill_reduction_view){ .outer = 1, .n = 1, .inner = 1,
                                .x = x->data };
    int order[RILL_MAX_DIMS], n_kept = 0, runs = 0, ndim = x->shape.ndim;
    bool inside = false;
    v->kept_shape.ndim = ndim;
    for (int d = 0; d < ndim; d++) {
        int64_t size = x->shape.dim[d];
        v->kept_shape.dim[d] = reduced[d] ? 1 : size;
        if (!reduced[d]) {
            order[n_kept++] = d;
            v->shape.dim[v->shape.ndim++] = size;
        }
        if (size == 1)
            continue;
        if (reduced[d]) {
            runs += !inside;
            v->n *= (size_t)size;
        } else if (runs == 0) {
            v->outer *= (size_t)size;
        } else {
            v->inner *= (size_t)size;
        }
        inside = reduced[d];
    }
    if (keepdim)
        v->shape = v->kept_shape;
    if (runs < 2 && (!rows || v->inner == 1))
        return true;
    for (int d = 0; d < ndim; d++)
        if (reduced[d])
            order[n_kept++] = d;
    void *copy = rill_tape_alloc(t, (size_t)x->numel *
                                        rill_dtype_size(x->dtype));
    if (!copy)
        return false;
    rill_permute_copy(copy, x, order);
    v->x = copy;
    v->outer *= v->inner;
    v->inner = 1;
    return true;
}

typedef struct {
    rill_row_kernel *kernel;
    void *y;
    const void *const *x;
    size_t rows, n, part;
    const void *attrs;
} reduce_rows;

static void reduce_part(void *context, int64_t part)
{
    const reduce_rows *r = context;
    size_t from = (size_t)part * r->part, to = from + r->part;
    r->kernel(r->y, r->x, from, to < r->rows ? to : r->rows, r->n, r->attrs);
}

/* Runs a kernel over all rows, in parts that depend on their size alone. */
void rill_run_rows(rill_row_kernel *kernel, void *y, const void *const *x,
                   size_t rows, size_t n, const void *attrs)
{
    reduce_rows r = { kernel, y, x, rows, n, 1 + RILL_PART / (n + 1), attrs };
    rill_share((int64_t)((rows + r.part - 1) / r.part), reduce_part, &r);
}

/* An op that makes one element of each row: checks, computes, records. The
 * node keeps the result's shape with reduced dims as 1. dtype: the result's;
 * of a row of nothing there is none, unless empty says otherwise. */
rill_tensor *rill_reduce_op(rill_tape *t, const rill_op *op,
                            rill_row_kernel *const (*kernels)[2],
                            const rill_tensor *x,
                            const rill_reduce_opts *opts, rill_dtype dtype,
                            bool empty)
{
    rill_reduce_opts all = { .keepdim = false };
    rill_reduction_view v;
    if (!opts)
        opts = &all;
    if (!rill_usable_float(t, op->name, "x", x) ||
        !rill_reduce(t, op->name, x, opts->dims, opts->keepdim, true, &v))
        return NULL;
    if (v.n == 0 && !empty)
        return rill_fail(t, "%s: x is %s: there is no %s of nothing",
                         op->name, RILL_TEXT(x), op->name);
    if (dtype == RILL_I32 && v.n > INT32_MAX)
        return rill_fail(t, "%s: x is %s: int32 does not count %zu elements",
                         op->name, RILL_TEXT(x), v.n);
    rill_tensor *y = rill_empty(t, dtype, v.shape);
    void *kept = rill_attrs(t, &v.kept_shape, sizeof v.kept_shape);
    if (!y || !kept)
        return NULL;
    rill_run_rows(kernels[t->isa][x->dtype], y->data, &v.x, v.outer, v.n,
                  NULL);
    return rill_record(t, op, y, INPUTS(x), kept);
}
