/* measure.h: what a recorded step measures of tensors' elements: internal to
 * src/inspect. */
#ifndef RILL_MEASURE_H
#define RILL_MEASURE_H

#include "inspect.h"

#pragma GCC visibility push(hidden)

/* Kernels, of one float type. */
typedef struct {
    /* the sum of squares of n elements of x or, less not NULL, of x - less */
    double (*squares)(const void *x, const void *less, size_t n);

    /* Of linear's gradients in y [rows, out] and its weight and, with bias,
     * its bias: the sum of the squared norms of each row's share, gy_i x_i^T
     * and gy_i. gw NULL: without the weight. NaN where gw is not the sum of
     * its shares: clipped, replaced, of another use beside. */
    double (*shares)(const void *gy, const void *x, const void *gw, bool bias,
                     size_t rows, size_t out, size_t in);

    /* how many elements of x [rows, width] are <= low or >= high, and in
     * *dead how many columns hold nothing else */
    size_t (*count)(const void *x, size_t rows, size_t width, double low,
                    double high, size_t *dead);
} rill_measures;

/* By the best instruction set; float32 or float64. */
rill_measures rill_measures_of(rill_dtype dtype);

#pragma GCC visibility pop

#endif
