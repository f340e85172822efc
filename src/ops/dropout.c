/* dropout: in training, each element 0 with probability p, else x / (1 - p);
 * otherwise x itself.
 *
 * dx = dy mask, mask the factors 0 and 1 / (1 - p). The mask is a function of
 * the tape's seed, its step, how many ops ran before in the step, and the
 * element's index: recomputing a step drops the same, on every machine and in
 * either dtype. */
#define KERNEL_FILE "../ops/dropout.c"
#include "common.h"

#ifdef REAL
/* Element i draws number i of the stream `key` of rng.c. */
static void FN(dropout)(double p, uint64_t key, const void *in, void *factors,
                        void *out, size_t n)
{
    const REAL *x = in, keep = (REAL)(1 / (1 - p));
    REAL *mask = factors, *y = out;
    uint64_t limit = (uint64_t)(p * 0x1p53);
    SIMD for (size_t i = 0; i < n; i++) {
        uint64_t z = key + (i + 1) * 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        bool drop = z >> 11 < limit;
        mask[i] = drop ? 0 : keep;
        y[i] = drop ? 0 : x[i] * keep; /* 0 * NaN would be NaN */
    }
}

#else
KERNELS(dropout)

DX(dropout, rill_mul(t, gy, rill_node_attrs(n)))

OP(dropout, "dx = dy mask")

/* On a tape in training (rill_tape_train), x with elements dropped with
 * probability p and the rest divided by 1 - p; on any other, and for p = 0, x
 * itself. x: any shape, a float dtype. p: in [0, 1]; 1 gives zeros.
 * (Srivastava et al., 2014.) */
rill_tensor *rill_dropout(rill_tape *t, const rill_tensor *x, double p)
{
    if (!rill_usable_float(t, "dropout", "x", x))
        return NULL;
    if (!(p >= 0 && p <= 1))
        return rill_fail(t, "dropout: p %g is not in [0, 1]", p);
    if (!t->training || p == 0)
        return (rill_tensor *)(uintptr_t)x;
    rill_rng step = { t->opts.seed, t->step };
    rill_rng op = { rill_rng_next(&step), t->ops };
    rill_tensor *mask = rill_like(t, x), *y = rill_like(t, x);
    if (!mask || !y)
        return NULL;
    KERNEL(dropout, t->isa, x->dtype)(p, rill_rng_next(&op), x->data,
                                      mask->data, y->data, (size_t)x->numel);
    return rill_record(t, &dropout_op, y, INPUTS(x), mask);
}

#endif
