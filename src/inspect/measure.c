/* measure.c: sums of squares and counts, in passes that vectorise.
 *
 * Squares of up to BLOCK elements are added up in the elements' own type,
 * several sums at a time, and blocks in double. Where a block's sum is so
 * small or large that a float32 square may have left its range (gradients of
 * 1e-25 are what a recorder is there to show), it is added up in double. */
#define KERNEL_FILE "../inspect/measure.c"
#ifdef REAL
__attribute__((noinline)) static double FN(exact)(const REAL *a,
                                                  const REAL *b, size_t n)
{
    double sum = 0;
    SIMD_REDUCE(+, sum) for (size_t i = 0; i < n; i++) {
        double d = b ? (double)a[i] - (double)b[i] : (double)a[i];
        sum += d * d;
    }
    return sum;
}

static double FN(squares)(const void *x, const void *less, size_t n)
{
    double total = 0;
    for (size_t at = 0; at < n; at += BLOCK) {
        const REAL *a = (const REAL *)x + at;
        const REAL *b = less ? (const REAL *)less + at : NULL;
        size_t m = n - at < BLOCK ? n - at : BLOCK;
        REAL sum = 0;
        if (!b)
            SIMD_REDUCE(+, sum) for (size_t i = 0; i < m; i++)
                sum += a[i] * a[i];
        else
            SIMD_REDUCE(+, sum) for (size_t i = 0; i < m; i++)
                sum += (a[i] - b[i]) * (a[i] - b[i]);
        bool safe = sum > (REAL)1e-20 && sum < (REAL)1e30;
        total += safe ? (double)sum : FN(exact)(a, b, m);
    }
    return total;
}

static size_t FN(peak)(const REAL *x, size_t n)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++)
        at = FN(math_abs)(x[i]) > FN(math_abs)(x[at]) ? i : at;
    return at;
}

/* Whether gw is gy^T x. Looked at in one entry, where the first rows are
 * largest; the tolerance is float32's. */
static bool FN(whole)(const REAL *gy, const REAL *x, const REAL *gw,
                      size_t rows, size_t out, size_t in)
{
    if (!rows || !out || !in)
        return false;
    size_t j = FN(peak)(gy, out), k = FN(peak)(x, in);
    double sum = 0, size = 0;
    for (size_t i = 0; i < rows; i++) {
        double share = (double)gy[i * out + j] * (double)x[i * in + k];
        sum += share;
        size += fabs(share);
    }
    return fabs((double)gw[j * in + k] - sum) <= 1e-4 * size;
}

static double FN(shares)(const void *gy, const void *x, const void *gw,
                         bool bias, size_t rows, size_t out, size_t in)
{
    double sum = 0;
    if (gw && !FN(whole)(gy, x, gw, rows, out, in))
        return NAN;
    for (size_t i = 0; i < rows; i++) {
        double y = FN(squares)((const REAL *)gy + i * out, NULL, out);
        sum += y * ((gw ? FN(squares)((const REAL *)x + i * in, NULL, in)
                        : 0) + bias);
    }
    return sum;
}

static size_t FN(count)(const void *in, size_t rows, size_t width, double low,
                        double high, size_t *dead)
{
    const REAL from = (REAL)low, to = (REAL)high;
    size_t count = 0;
    *dead = 0;
    for (size_t at = 0; at < width; at += BLOCK) {
        int32_t ends[BLOCK] = { 0 }; /* as narrow as REAL: as many at a time */
        size_t m = width - at < BLOCK ? width - at : BLOCK;
        for (size_t r = 0; r < rows; r++) {
            const REAL *x = (const REAL *)in + r * width + at;
            SIMD for (size_t j = 0; j < m; j++)
                ends[j] += (x[j] <= from) | (x[j] >= to);
        }
        for (size_t j = 0; j < m; j++) {
            count += (size_t)ends[j];
            *dead += (size_t)ends[j] == rows;
        }
    }
    return count;
}

static rill_measures FN(measures)(void)
{
    return (rill_measures){ FN(squares), FN(shares), FN(count) };
}

#else
#include "measure.h"

enum { BLOCK = 512 };

#include "../tensor/each_kernel.h"

KERNELS(measures)

rill_measures rill_measures_of(rill_dtype dtype)
{
    return KERNEL(measures, rill_isa_best(), dtype)();
}

#endif
