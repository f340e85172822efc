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

/* The block's sum if it can be trusted, else a better one. */
static inline double FN(trusted)(REAL sum, const REAL *a, const REAL *b,
                                 size_t n)
{
    bool safe = sum > (REAL)1e-20 && sum < (REAL)1e30;
    return safe ? (double)sum : FN(exact)(a, b, n);
}

static double FN(squares)(const void *x, size_t n)
{
    double total = 0;
    for (size_t at = 0; at < n; at += BLOCK) {
        const REAL *a = (const REAL *)x + at;
        size_t m = n - at < BLOCK ? n - at : BLOCK;
        REAL sum = 0;
        SIMD_REDUCE(+, sum) for (size_t i = 0; i < m; i++)
            sum += a[i] * a[i];
        total += FN(trusted)(sum, a, NULL, m);
    }
    return total;
}

static double FN(between)(const void *x, const void *y, size_t n)
{
    double total = 0;
    for (size_t at = 0; at < n; at += BLOCK) {
        const REAL *a = (const REAL *)x + at, *b = (const REAL *)y + at;
        size_t m = n - at < BLOCK ? n - at : BLOCK;
        REAL sum = 0;
        SIMD_REDUCE(+, sum) for (size_t i = 0; i < m; i++)
            sum += (a[i] - b[i]) * (a[i] - b[i]);
        total += FN(trusted)(sum, a, b, m);
    }
    return total;
}

static void FN(rows)(const void *x, size_t rows, size_t width, double *sums)
{
    for (size_t r = 0; r < rows; r++)
        sums[r] = FN(squares)((const REAL *)x + r * width, width);
}

static size_t FN(peak)(const REAL *x, size_t n)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++)
        at = FN(math_abs)(x[i]) > FN(math_abs)(x[at]) ? i : at;
    return at;
}

static void FN(product)(const void *left, const void *right, size_t rows,
                        size_t out, size_t in, rill_product_entry *e)
{
    const REAL *y = left, *x = right;
    if (!rows || !out || !in)
        return;
    e->j = FN(peak)(y, out);
    e->k = FN(peak)(x, in);
    for (size_t i = 0; i < rows; i++) {
        double share = (double)y[i * out + e->j] * (double)x[i * in + e->k];
        e->sum += share;
        e->size += fabs(share);
    }
}

static size_t FN(outside)(const void *in, size_t n, double low, double high)
{
    const REAL *x = in, from = (REAL)low, to = (REAL)high;
    size_t count = 0;
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t end = n - at < BLOCK ? n : at + BLOCK;
        int32_t some = 0; /* as narrow as REAL: as many at a time */
        SIMD_REDUCE(+, some) for (size_t i = at; i < end; i++)
            some += (x[i] < from) | (x[i] > to);
        count += (size_t)some;
    }
    return count;
}

static size_t FN(zeros)(const void *in, size_t rows, size_t width,
                        int32_t *alive)
{
    const REAL *x = in;
    size_t count = 0;
    for (size_t r = 0; r < rows; r++, x += width) {
        int32_t some = 0;
        SIMD_REDUCE(+, some) for (size_t j = 0; j < width; j++) {
            some += x[j] == 0;
            alive[j] |= x[j] != 0;
        }
        count += (size_t)some;
    }
    return count;
}

#else
#include "measure.h"

enum { BLOCK = 512 };

#include "../tensor/each_kernel.h"

KERNELS(squares)
KERNELS(between)
KERNELS(rows)
KERNELS(product)
KERNELS(outside)
KERNELS(zeros)

int rill_measure_isa(void)
{
    return rill_isa_best();
}

double rill_squares(int isa, rill_dtype dtype, const void *x, size_t n)
{
    return KERNEL(squares, isa, dtype)(x, n);
}

double rill_squares_between(int isa, rill_dtype dtype, const void *a,
                            const void *b, size_t n)
{
    return KERNEL(between, isa, dtype)(a, b, n);
}

void rill_row_squares(int isa, rill_dtype dtype, const void *x, size_t rows,
                      size_t width, double *sums)
{
    KERNEL(rows, isa, dtype)(x, rows, width, sums);
}

rill_product_entry rill_product_at_peak(int isa, rill_dtype dtype,
                                        const void *y, const void *x,
                                        size_t rows, size_t out, size_t in)
{
    rill_product_entry e = { 0 };
    KERNEL(product, isa, dtype)(y, x, rows, out, in, &e);
    return e;
}

size_t rill_count_outside(int isa, rill_dtype dtype, const void *x, size_t n,
                          double low, double high)
{
    return KERNEL(outside, isa, dtype)(x, n, low, high);
}

size_t rill_count_zeros(int isa, rill_dtype dtype, const void *x, size_t rows,
                        size_t width, int32_t *alive, size_t *dead)
{
    memset(alive, 0, width * sizeof *alive);
    size_t zeros = KERNEL(zeros, isa, dtype)(x, rows, width, alive);
    *dead = 0;
    for (size_t j = 0; j < width; j++)
        *dead += !alive[j];
    return zeros;
}

#endif
