/* tensor.c: making tensors and reading them.
 *
 * A tensor is immutable once an op has seen it; only a variable may change,
 * and its version tells. Header and data are one allocation on the tape. */
#include "core.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static rill_tensor *tensor_new(rill_tape *t, const char *who, void *data,
                               rill_dtype dtype, rill_shape shape)
{
    int64_t numel;
    if (!t || t->failed)
        return NULL;
    if (dtype != RILL_F32 && dtype != RILL_F64 && dtype != RILL_I32)
        return rill_fail(t, "%s: %d is not a dtype", who, (int)dtype);
    if (!rill_shape_usable(t, who, &shape, &numel))
        return NULL;
    size_t head = (sizeof(rill_tensor) + 63) / 64 * 64;
    size_t body = data ? 0 : (size_t)numel * rill_dtype_size(dtype);
    rill_tensor *x = rill_tape_alloc(t, head + body);
    if (!x)
        return NULL;
    *x = (rill_tensor){ .dtype = dtype, .shape = shape, .numel = numel,
                        .data = data ? data : (unsigned char *)x + head,
                        .tape = t, .epoch = t->epoch };
    return x;
}

/* A tensor whose elements are not set: fill it through rill_write. Errors: a
 * bad dtype, a negative size, too many elements, no memory. */
rill_tensor *rill_empty(rill_tape *t, rill_dtype dtype, rill_shape shape)
{
    return tensor_new(t, "empty", NULL, dtype, shape);
}

/* As rill_empty, of the dtype and shape of x. */
rill_tensor *rill_like(rill_tape *t, const rill_tensor *x)
{
    if (!rill_usable(t, "like", "x", x))
        return NULL;
    return tensor_new(t, "like", NULL, x->dtype, x->shape);
}

/* All zeros. Errors as for rill_empty, here and in what follows. */
rill_tensor *rill_zeros(rill_tape *t, rill_dtype dtype, rill_shape shape)
{
    rill_tensor *x = tensor_new(t, "zeros", NULL, dtype, shape);
    if (x)
        memset(x->data, 0, (size_t)x->numel * rill_dtype_size(dtype));
    return x;
}

/* Every element the same value. Also an error: int32 cannot hold it. */
rill_tensor *rill_full(rill_tape *t, double value, rill_dtype dtype,
                       rill_shape shape)
{
    rill_tensor *x = tensor_new(t, "full", NULL, dtype, shape);
    for (int64_t i = 0; x && i < x->numel; i++)
        if (!rill_set(x, i, value))
            return rill_fail(t, "full: int32 cannot hold %g", value);
    return x;
}

/* A copy of row-major doubles, converted to dtype. Also errors: values is
 * NULL, a value that int32 cannot hold. */
rill_tensor *rill_from(rill_tape *t, const double *values, rill_dtype dtype,
                       rill_shape shape)
{
    rill_tensor *x = tensor_new(t, "from", NULL, dtype, shape);
    if (x && x->numel && !values)
        return rill_fail(t, "from: values is NULL");
    for (int64_t i = 0; x && i < x->numel; i++)
        if (!rill_set(x, i, values[i]))
            return rill_fail(t, "from: int32 cannot hold %g at %" PRId64,
                             values[i], i);
    return x;
}

/* A copy of row-major memory that is of dtype already. */
rill_tensor *rill_copy(rill_tape *t, const void *data, rill_dtype dtype,
                       rill_shape shape)
{
    rill_tensor *x = tensor_new(t, "copy", NULL, dtype, shape);
    if (x && x->numel && !data)
        return rill_fail(t, "copy: data is NULL");
    if (x && x->numel)
        memcpy(x->data, data, (size_t)x->numel * rill_dtype_size(dtype));
    return x;
}

/* The caller's own row-major memory as a tensor, without a copy. The memory
 * stays the caller's and must neither change nor go until reset. */
rill_tensor *rill_view(rill_tape *t, const void *data, rill_dtype dtype,
                       rill_shape shape)
{
    /* rill never writes to it: the one place that sheds the const */
    rill_tensor *x = tensor_new(t, "view", (void *)(uintptr_t)data, dtype,
                                shape);
    if (x && x->numel && !data)
        return rill_fail(t, "view: data is NULL");
    if (x && (uintptr_t)data % rill_dtype_size(dtype))
        return rill_fail(t, "view: data is not aligned for %s",
                         rill_dtype_name(dtype));
    return x;
}

/* Numbers from a + b u, u drawn anew for each. */
static rill_tensor *tensor_random(rill_tape *t, const char *who, rill_rng *r,
                                  double (*draw)(rill_rng *), double a,
                                  double b, rill_dtype dtype,
                                  rill_shape shape)
{
    if (dtype == RILL_I32)
        return rill_fail(t, "%s: int32 holds no %s numbers", who, who);
    if (!r)
        return rill_fail(t, "%s: the generator is NULL", who);
    rill_tensor *x = tensor_new(t, who, NULL, dtype, shape);
    for (int64_t i = 0; x && i < x->numel; i++) {
        double u = draw(r);
        /* cut to 24 bits: rounding never reaches 1 */
        if (draw == rill_rng_uniform && dtype == RILL_F32)
            u = floor(u * 0x1p24) * 0x1p-24;
        rill_set(x, i, a + b * u);
    }
    return x;
}

/* Uniform numbers in [low, high), one draw each. float32 and float64 of one
 * seed are the same numbers, float32's cut to 24 bits. */
rill_tensor *rill_uniform(rill_tape *t, rill_rng *r, double low, double high,
                          rill_dtype dtype, rill_shape shape)
{
    return tensor_random(t, "uniform", r, rill_rng_uniform, low, high - low,
                         dtype, shape);
}

/* Normal numbers, two draws each. */
rill_tensor *rill_normal(rill_tape *t, rill_rng *r, double mean, double std,
                         rill_dtype dtype, rill_shape shape)
{
    return tensor_random(t, "normal", r, rill_rng_normal, mean, std, dtype,
                         shape);
}

#define READER(type, name, answer, none) \
    RILL_READER(type, name, rill_tensor, answer, none)

/* Of float32, float64 and int32 which one; RILL_F32 for NULL. */
READER(rill_dtype, rill_dtype_of, x->dtype, RILL_F32)
/* The sizes of all dimensions; RILL_SCALAR for NULL. */
READER(rill_shape, rill_shape_of, x->shape, RILL_SCALAR)
/* How many dimensions; 0 for NULL. */
READER(int, rill_ndim, x->shape.ndim, 0)
/* How many elements; 0 for NULL. */
READER(int64_t, rill_numel, x->numel, 0)
/* The elements, row-major and dense, of whichever dtype; NULL for NULL. */
READER(const void *, rill_data, x->data, NULL)
/* The elements, row-major and dense, for as long as the tensor lives. These
 * three also answer NULL for another dtype than their own. */
READER(const float *, rill_f32, x->dtype == RILL_F32 ? x->data : NULL, NULL)
READER(const double *, rill_f64, x->dtype == RILL_F64 ? x->data : NULL, NULL)
READER(const int32_t *, rill_i32, x->dtype == RILL_I32 ? x->data : NULL, NULL)
/* The value of a tensor of one element, whatever its shape; else NaN, which
 * has no sign: 0 / 0 does not print as "-nan". */
double rill_item(const rill_tensor *x)
{
    double v = rill_numel(x) == 1 ? rill_at(x, 0) : NAN;
    return isnan(v) ? (double)NAN : v;
}

/* The name of a variable or of what was named; "" for any other tensor. */
READER(const char *, rill_name, x->name ? x->name : "", "")
/* Whether rill_variable_freeze made a constant of it. */
READER(bool, rill_variable_frozen, x->frozen, false)

/* The size of dimension d, counted from the end where negative; 0 where
 * there is no such dimension. */
int64_t rill_dim(const rill_tensor *x, int d)
{
    int n = rill_ndim(x);
    if (d < 0)
        d += n;
    return d >= 0 && d < n ? x->shape.dim[d] : 0;
}

/* Element i in row-major order as a double; NaN where there is none. */
double rill_at(const rill_tensor *x, int64_t i)
{
    if (!x || i < 0 || i >= x->numel)
        return NAN;
    return x->dtype == RILL_F32   ? (double)((const float *)x->data)[i]
           : x->dtype == RILL_F64 ? ((const double *)x->data)[i]
                                  : ((const int32_t *)x->data)[i];
}

/* The Euclidean norm of all elements, summed in double; NaN for NULL. */
double rill_norm(const rill_tensor *x)
{
    double sum = x ? 0 : NAN;
    for (int64_t i = 0; x && i < x->numel; i++)
        sum += rill_at(x, i) * rill_at(x, i);
    return sqrt(sum);
}

/* The elements of a tensor that no op has seen yet, for its maker to fill, or
 * those of a variable, to be changed: tapes that used it refuse to go backward
 * through it until they are reset. NULL for NULL and, with an error on x's
 * tape, for what an op made, for a leaf of rill_watch and for what
 * rill_detach returned. */
void *rill_write(rill_tensor *x)
{
    if (!x)
        return NULL;
    if (x->op || x->node || x->detached)
        return rill_fail(x->tape, "write: %s%s is not to be changed",
                         x->op ? "the result of " :
                         x->node ? "a leaf" : "a detached tensor",
                         x->op ? x->op->name : "");
    if (x->variable)
        x->version++;
    return x->data;
}
