/* softmax and log_softmax: over one dim, any of them.
 *
 * With m the largest x: softmax e^(x - m) / sum e^(x - m), log_softmax
 * (x - m) - ln sum e^(x - m), never the logarithm of a rounded probability.
 * A row that is all -inf, or that holds +inf or NaN, has no softmax: NaN. */
#define KERNEL_FILE "../ops/softmax.c"
#include "common.h"

#ifdef REAL
/* e^(x - max) with what the subtraction loses to rounding (Knuth's two-sum)
 * put back: as the exponential's relative error it would be many ulp where x
 * is far below. */
MATH REAL FN(softmax_exp)(REAL x, REAL max)
{
    REAL d = x - max, b = d - x;
    return FN(math_exp_times)(d, (x - (d - b)) - (max + b), 1);
}

/* y = e^(x - max); returns the sum in double, of doubles as a sum of sums,
 * which errs less. Apart: without the 1 of one maximum, so that what is small
 * adds up before it meets the large. */
MATH double FN(softmax_row)(const REAL *x, REAL max, REAL *y, size_t n,
                            const bool apart)
{
    double sum = 0;
    REAL maxima = apart ? -1 : 0;
    size_t block = sizeof(REAL) == sizeof(double) ? 64 : n;
    for (size_t j = 0; j < n; j += block) {
        size_t end = n - j < block ? n : j + block;
        double part = 0;
        SIMD_REDUCE(+, part, maxima) for (size_t i = j; i < end; i++) {
            REAL e = FN(softmax_exp)(x[i], max);
            bool top = apart && x[i] - max == 0; /* not so of infinities */
            y[i] = e;
            part += (double)(top ? 0 : e);
            maxima += top ? 1 : 0;
        }
        sum += part;
    }
    return sum + (double)maxima;
}

/* x to y; attrs says whether logarithms are wanted. */
static void FN(softmax)(void *out, const void *const *in, size_t from,
                        size_t to, size_t n, const void *attrs)
{
    for (size_t r = from; r < to; r++) {
        const REAL *x = (const REAL *)in[0] + r * n;
        REAL *y = (REAL *)out + r * n, max = FN(math_largest)(x, n);
        if (attrs) {
            double f = log1p(FN(softmax_row)(x, max, y, n, true));
            SIMD for (size_t i = 0; i < n; i++)
                y[i] = (REAL)(((double)x[i] - (double)max) - f);
        } else { /* times 1 / sum in two parts, the product rounded once */
            bool apart = sizeof(REAL) == sizeof(double);
            double f = 1 / (FN(softmax_row)(x, max, y, n, apart) + apart);
            REAL high = (REAL)f, low = (REAL)(f - (double)high);
            SIMD for (size_t i = 0; i < n; i++)
                y[i] = y[i] * high + y[i] * low;
        }
    }
}

/* y and dy to dx */
static void FN(softmax_grad)(void *out, const void *const *in, size_t from,
                             size_t to, size_t n, const void *attrs)
{
    for (size_t r = from; r < to; r++) {
        const REAL *y = (const REAL *)in[0] + r * n;
        const REAL *gy = (const REAL *)in[1] + r * n;
        REAL *gx = (REAL *)out + r * n, sum = 0;
        if (attrs) {
            SIMD_REDUCE(+, sum) for (size_t i = 0; i < n; i++)
                sum += gy[i];
            SIMD for (size_t i = 0; i < n; i++)
                gx[i] = gy[i] - FN(math_exp)(y[i]) * sum;
        } else {
            SIMD_REDUCE(+, sum) for (size_t i = 0; i < n; i++)
                sum += gy[i] * y[i];
            SIMD for (size_t i = 0; i < n; i++)
                gx[i] = y[i] * (gy[i] - sum);
        }
    }
}

#else
KERNELS(softmax)
KERNELS(softmax_grad)

typedef struct {
    int dim;
    bool logs;
} softmax_attrs;

/* A kernel over dim of x, and of dy where it is given: rows of other tensors
 * where dim is not the last one. Unrecorded. */
static rill_tensor *softmax_run(rill_tape *t, rill_row_table *kernels,
                                const rill_tensor *x, const rill_tensor *gy,
                                const softmax_attrs *a)
{
    int last = x->shape.ndim - 1;
    bool moved = a->dim != last, was = rill_tape_record(t, false);
    x = moved ? rill_transpose(t, x, a->dim, last) : x;
    gy = moved && gy ? rill_transpose(t, gy, a->dim, last) : gy;
    rill_tensor *y = rill_like(t, x);
    if (y && y->numel) {
        const void *in[] = { x->data, gy ? gy->data : NULL };
        size_t n = (size_t)(last < 0 ? 1 : x->shape.dim[last]);
        rill_run_rows(kernels[t->isa][x->dtype], y->data, in,
                      (size_t)y->numel / n, n, a->logs ? "logs" : NULL);
    }
    y = moved ? rill_transpose(t, y, a->dim, last) : y;
    rill_tape_record(t, was);
    return y;
}

static RULE(softmax_backward)
{
    const softmax_attrs *a = rill_node_attrs(n);
    const rill_tensor *y = rill_node_output(n);
    rill_dims one = { y->shape.ndim ? 1 : 0, { a->dim } };
    rill_reduce_opts over = { one, true };
    if (a->logs)
        gx[0] = rill_sub(t, gy, rill_mul(t, rill_exp(t, y),
                                         rill_sum(t, gy, &over)));
    else
        gx[0] = rill_mul(t, y, rill_sub(t, gy, rill_sum(
                                   t, rill_mul(t, gy, y), &over)));
}

static RULE(softmax_fused)
{
    gx[0] = softmax_run(t, softmax_grad_kernels, rill_node_output(n), gy,
                        rill_node_attrs(n));
}

OP_WITH(softmax, "dx = y (dy - sum dy y)", softmax_backward, softmax_fused,
        RILL_OP_NO_LOGITS, NULL)
OP_WITH(log_softmax, "dx = dy - e^y sum dy", softmax_backward, softmax_fused,
        RILL_OP_NO_LOGITS, NULL)

static rill_tensor *softmax_over(rill_tape *t, const rill_op *op,
                                 const rill_tensor *x, int dim, bool logs)
{
    if (!rill_usable_float(t, op->name, "x", x))
        return NULL;
    int ndim = x->shape.ndim; /* a scalar is taken for a row of one */
    dim = rill_resolve_dim(t, op->name, dim, ndim ? ndim : 1);
    if (dim < 0)
        return NULL;
    softmax_attrs a = { ndim ? dim : -1, logs };
    rill_tensor *y = softmax_run(t, softmax_kernels, x, NULL, &a);
    return rill_record(t, op, y, INPUTS(x), rill_attrs(t, &a, sizeof a));
}

/* e^x / sum e^x over dim. x: any shape, a float dtype; a scalar has the dims
 * 0 and -1. */
rill_tensor *rill_softmax(rill_tape *t, const rill_tensor *x, int dim)
{
    return softmax_over(t, &softmax_op, x, dim, false);
}

/* x - ln sum e^x over dim: the logarithm of rill_softmax, exact where that
 * has rounded to 0. Otherwise as rill_softmax. */
rill_tensor *rill_log_softmax(rill_tape *t, const rill_tensor *x, int dim)
{
    return softmax_over(t, &log_softmax_op, x, dim, true);
}
#endif
