/* measure.h: what a recorded step measures of tensors' elements: internal to
 * src/inspect. By the instruction set isa; of float32 and float64 alone. */
#ifndef RILL_MEASURE_H
#define RILL_MEASURE_H

#include "inspect.h"

#pragma GCC visibility push(hidden)

/* The best instruction set, for the isa of the others. */
int rill_measure_isa(void);

/* The sum of squares of n elements; of the differences a - b. */
double rill_squares(int isa, rill_dtype dtype, const void *x, size_t n);
double rill_squares_between(int isa, rill_dtype dtype, const void *a,
                            const void *b, size_t n);

/* The sum of squares of each row of x [rows, width]. */
void rill_row_squares(int isa, rill_dtype dtype, const void *x, size_t rows,
                      size_t width, double *sums);

/* Entry [j, k] of the product y^T x of y [rows, out] and x [rows, in], and
 * the sum of the magnitudes of what adds up to it; j and k are where the first
 * rows of y and x are largest. */
typedef struct {
    size_t j, k;
    double sum, size;
} rill_product_entry;

rill_product_entry rill_product_at_peak(int isa, rill_dtype dtype,
                                        const void *y, const void *x,
                                        size_t rows, size_t out, size_t in);

/* How many elements lie outside [low, high]. */
size_t rill_count_outside(int isa, rill_dtype dtype, const void *x, size_t n,
                          double low, double high);

/* How many elements of x [rows, width] are 0, and in *dead how many columns
 * hold nothing else. alive: scratch, one a column. */
size_t rill_count_zeros(int isa, rill_dtype dtype, const void *x, size_t rows,
                        size_t width, int32_t *alive, size_t *dead);

#pragma GCC visibility pop

#endif
