/* dataset.h: what dataset.c and csv.c share.
 *
 * Everything a data set owns lies on a tape of its own that is never reset;
 * so its first error is that tape's. n, features and classes tell what is
 * there: they are set when the memory behind them is filled. */
#ifndef RILL_NN_DATASET_H
#define RILL_NN_DATASET_H

#include "nn.h"

#pragma GCC visibility push(hidden)

struct rill_dataset {
    rill_tape *home;
    rill_dtype dtype;
    int64_t n, features;
    int classes;
    void *x;         /* [n, features] of dtype, row-major */
    int32_t *labels; /* [n] */
    const char **class_names;
    const char **feature_names; /* NULL: the columns have none */
};

/* A set without rows, or one that failed; NULL when memory ran out. */
rill_dataset *rill_dataset_new(rill_dtype dtype);

/* Memory for so many rows; n stays as it is. */
bool rill_dataset_room(rill_dataset *d, int64_t rows, int64_t features);

/* The set's own copies of strings; NULL when memory ran out. */
const char **rill_dataset_names(rill_dataset *d, const char *const *names,
                                int64_t n);

static inline double rill_dataset_get(const rill_dataset *d, int64_t i)
{
    return d->dtype == RILL_F32 ? ((const float *)d->x)[i]
                                : ((const double *)d->x)[i];
}

static inline void rill_dataset_set(rill_dataset *d, int64_t i, double v)
{
    if (d->dtype == RILL_F32)
        ((float *)d->x)[i] = (float)v;
    else
        ((double *)d->x)[i] = v;
}

#pragma GCC visibility pop

#endif
