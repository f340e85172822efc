/* reduce.c: any reduction as one over the middle of [outer, n, inner].
 *
 * Dimensions of size 1 do not matter. Where the reduced ones do not lie side
 * by side, the data is copied once with them at the end. */
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

/* Fills in v for a reduction of x over dims (none given: over all). False
 * with an error for a dim that is out of range or given twice, or when memory
 * ran out. */
bool rill_reduce(rill_tape *t, const char *op, const rill_tensor *x,
                 rill_dims dims, bool keepdim, rill_reduction_view *v)
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
    if (runs < 2)
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
