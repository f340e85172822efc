/* reduce.c: any reduction as one over the middle of [outer, n, inner], or of
 * rows [outer, n].
 *
 * Dimensions of size 1 do not matter. Where the reduced ones do not lie side
 * by side, or do not lie last and the kernel does not take that, the data is
 * copied once with them at the end. */
#include "common.h"

bool rill_reduce(rill_tape *t, const char *op, const rill_tensor *x,
                 rill_dims dims, bool keepdim, int takes,
                 rill_reduction_view *v)
{
    bool reduced[RILL_MAX_DIMS] = { false }, inside = false;
    int order[RILL_MAX_DIMS], kept = 0, runs = 0, ndim = x->shape.ndim;
    if (dims.n < 0 || dims.n > RILL_MAX_DIMS)
        return rill_fail(t, "%s: %d dims are not in [0, %d]", op, dims.n,
                         RILL_MAX_DIMS);
    if (!rill_resolve_dims(t, op, &dims, ndim, reduced))
        return false;
    *v = (rill_reduction_view){ 1, 1, 1, .x = x->data, .takes = takes,
                                .kept_shape = x->shape };
    for (int d = 0; d < ndim; d++) {
        int64_t size = x->shape.dim[d];
        reduced[d] |= dims.n == 0;
        if (reduced[d]) {
            v->kept_shape.dim[d] = 1;
        } else {
            order[kept++] = d;
            v->shape.dim[v->shape.ndim++] = size;
        }
        if (size == 1)
            continue;
        runs += reduced[d] && !inside;
        inside = reduced[d];
        *(inside ? &v->n : runs ? &v->inner : &v->outer) *= (size_t)size;
    }
    v->divisor = takes & RILL_OF_MEAN ? (double)v->n : 1;
    if (keepdim)
        v->shape = v->kept_shape;
    if (runs < 2 && (v->inner == 1 || takes & RILL_COLUMNS))
        return true;
    for (int d = 0; d < ndim; d++)
        if (reduced[d])
            order[kept++] = d;
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

void rill_run_rows(rill_row_kernel *kernel, void *y, const void *const *x,
                   size_t rows, size_t n, const void *attrs)
{
    reduce_rows r = { kernel, y, x, rows, n, 1 + RILL_PART / (n + 1), attrs };
    rill_share((int64_t)((rows + r.part - 1) / r.part), reduce_part, &r);
}

rill_tensor *rill_reduce_op(rill_tape *t, const rill_op *op,
                            rill_row_table *kernels, const rill_tensor *x,
                            const rill_reduce_opts *opts, int takes)
{
    rill_reduction_view v;
    opts = opts ? opts : &(rill_reduce_opts){ .keepdim = false };
    if (!rill_usable_float(t, op->name, "x", x) ||
        !rill_reduce(t, op->name, x, opts->dims, opts->keepdim, takes, &v))
        return NULL;
    if (v.n == 0 && !(takes & RILL_OF_NOTHING))
        return rill_fail(t, "%s: x is %s: there is no %s of nothing",
                         op->name, RILL_TEXT(x), op->name);
    if (takes & RILL_OF_INDEX && v.n > INT32_MAX)
        return rill_fail(t, "%s: x is %s: int32 does not count %zu elements",
                         op->name, RILL_TEXT(x), v.n);
    rill_dtype dtype = takes & RILL_OF_INDEX ? RILL_I32 : x->dtype;
    rill_tensor *y = rill_empty(t, dtype, v.shape);
    if (y)
        rill_run_rows(kernels[t->isa][x->dtype], y->data, &v.x, v.outer,
                      v.n * v.inner, &v);
    return rill_record(t, op, y, INPUTS(x),
                       rill_attrs(t, &v.kept_shape, sizeof v.kept_shape));
}
