/* dataset.c: rows and their labels in memory, shuffled, split, and handed out
 * as batches.
 *
 * The rows stand in the order in which batches take them, so a batch is a
 * view and never a copy; shuffling moves the rows themselves. A constructor
 * returns a set that carries its error, so a program may check only the last
 * one of a chain; on a failed set and on NULL every function returns false, 0
 * or NULL. */
#include "dataset.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool dataset_fine(const rill_dataset *d)
{
    return d && !rill_error(d->home);
}

static size_t dataset_row_bytes(const rill_dataset *d)
{
    return (size_t)d->features *
           (d->dtype == RILL_F32 ? sizeof(float) : sizeof(double));
}

static unsigned char *dataset_row(const rill_dataset *d, int64_t i)
{
    return (unsigned char *)d->x + (size_t)i * dataset_row_bytes(d);
}

rill_dataset *rill_dataset_new(rill_dtype dtype)
{
    rill_tape *home = rill_tape_new(NULL);
    rill_dataset *d = rill_tape_alloc(home, sizeof *d);
    if (!d) {
        rill_tape_free(home);
        return NULL;
    }
    *d = (rill_dataset){ .home = home, .dtype = dtype };
    if (dtype != RILL_F32 && dtype != RILL_F64)
        rill_fail(home, "dataset: rows are float32 or float64, not %s",
                  rill_dtype_name(dtype));
    return d;
}

bool rill_dataset_room(rill_dataset *d, int64_t rows, int64_t features)
{
    d->features = features;
    d->x = rill_write(rill_empty(d->home, d->dtype,
                                 RILL_SHAPE(rows, features)));
    d->labels = rill_write(rill_empty(d->home, RILL_I32, RILL_SHAPE(rows)));
    return dataset_fine(d);
}

const char **rill_dataset_names(rill_dataset *d, const char *const *names,
                                int64_t n)
{
    const char **own = rill_tape_alloc(d->home, (size_t)n * sizeof *own);
    for (int64_t i = 0; own && i < n; i++) {
        size_t bytes = strlen(names[i]) + 1;
        char *copy = rill_tape_alloc(d->home, bytes);
        if (!copy)
            return NULL;
        own[i] = memcpy(copy, names[i], bytes);
    }
    return own;
}

static bool dataset_from_wanted(rill_dataset *d, const double *x,
                                const int32_t *labels, int64_t n,
                                int64_t features, int classes)
{
    if (n < 0 || features < 1 || classes < 1)
        return rill_fail(d->home, "dataset_from: %" PRId64 " rows of %" PRId64
                         " features in %d classes", n, features, classes);
    if (n && (!x || !labels))
        return rill_fail(d->home, "dataset_from: %s is NULL",
                         x ? "labels" : "x");
    for (int64_t i = 0; i < n; i++)
        if (labels[i] < 0 || labels[i] >= classes)
            return rill_fail(d->home, "dataset_from: label %" PRId32 " at row "
                             "%" PRId64 " is not in [0, %d)", labels[i], i,
                             classes);
    return true;
}

/* A data set of n rows of doubles, converted to dtype (float32 or float64),
 * and their labels in [0, classes); both are copied. The classes are named by
 * their numbers, the features have no names. The caller frees it with
 * rill_dataset_free.
 *
 * Returns NULL only when memory ran out. Errors on the set: another dtype, a
 * negative n, no features, no classes, NULL, a label out of range. */
rill_dataset *rill_dataset_from(const double *x, const int32_t *labels,
                                int64_t n, int64_t features, int classes,
                                rill_dtype dtype)
{
    rill_dataset *d = rill_dataset_new(dtype);
    if (!dataset_fine(d) ||
        !dataset_from_wanted(d, x, labels, n, features, classes) ||
        !rill_dataset_room(d, n, features))
        return d;
    for (int64_t i = 0; i < n * features; i++)
        rill_dataset_set(d, i, x[i]);
    if (n)
        memcpy(d->labels, labels, (size_t)n * sizeof *labels);
    enum { DIGITS = 12 };
    size_t each = sizeof *d->class_names + DIGITS;
    d->class_names = rill_tape_alloc(d->home, (size_t)classes * each);
    if (!d->class_names)
        return d;
    char *digits = (char *)(d->class_names + classes);
    for (int c = 0; c < classes; c++, digits += DIGITS) {
        snprintf(digits, DIGITS, "%d", c);
        d->class_names[c] = digits;
    }
    d->classes = classes;
    d->n = n;
    return d;
}

/* Frees the set and its rows: no batch of it may be in use any more. NULL is
 * allowed. */
void rill_dataset_free(rill_dataset *d)
{
    if (d)
        rill_tape_free(d->home);
}

/* The first error as a sentence, the set's own; NULL where there is none. */
const char *rill_dataset_error(const rill_dataset *d)
{
    return d ? rill_error(d->home) : "the data set is NULL";
}

/* Forgets the error. A constructor that failed has left a set without rows;
 * after any other failure the rows are as they were. */
void rill_dataset_clear_error(rill_dataset *d)
{
    if (d)
        rill_clear_error(d->home);
}

/* How many rows. */
int64_t rill_dataset_len(const rill_dataset *d)
{
    return dataset_fine(d) ? d->n : 0;
}

/* How many features a row has. */
int64_t rill_dataset_features(const rill_dataset *d)
{
    return dataset_fine(d) ? d->features : 0;
}

/* How many classes there are, with rows or without. */
int rill_dataset_classes(const rill_dataset *d)
{
    return dataset_fine(d) ? d->classes : 0;
}

/* The name of class c, the set's own; NULL where there is no such class. */
const char *rill_dataset_class_name(const rill_dataset *d, int c)
{
    return c >= 0 && c < rill_dataset_classes(d) ? d->class_names[c] : NULL;
}

/* The name of feature f, the set's own, "" where the columns have none; NULL
 * where there is no such feature. */
const char *rill_dataset_feature_name(const rill_dataset *d, int64_t f)
{
    if (f < 0 || f >= rill_dataset_features(d))
        return NULL;
    return d->feature_names ? d->feature_names[f] : "";
}

/* Sets counts[c] to the number of rows of class c, for every class. */
bool rill_dataset_class_counts(const rill_dataset *d, int64_t *counts)
{
    if (!dataset_fine(d) || !counts)
        return false;
    memset(counts, 0, (size_t)d->classes * sizeof *counts);
    for (int64_t i = 0; i < d->n; i++)
        counts[d->labels[i]]++;
    return true;
}

/* Sets mean[f] and std[f] of each feature; std is the population's (divided
 * by n), and exactly 0 for a column of equal numbers. Summed in double.
 * Errors on the set: no rows, NULL. */
bool rill_dataset_statistics(rill_dataset *d, double *mean, double *std)
{
    if (!dataset_fine(d))
        return false;
    if (!mean || !std)
        return rill_fail(d->home, "dataset_statistics: %s is NULL",
                         mean ? "std" : "mean");
    if (d->n == 0)
        return rill_fail(d->home, "dataset_statistics: there are no rows");
    for (int64_t f = 0; f < d->features; f++) {
        /* from the first row on, or rounding gives a constant column a std */
        double first = rill_dataset_get(d, f), sum = 0, squares = 0;
        for (int64_t i = 0; i < d->n; i++)
            sum += rill_dataset_get(d, i * d->features + f) - first;
        mean[f] = first + sum / (double)d->n;
        for (int64_t i = 0; i < d->n; i++) {
            double apart = rill_dataset_get(d, i * d->features + f) - mean[f];
            squares += apart * apart;
        }
        std[f] = sqrt(squares / (double)d->n);
    }
    return true;
}

/* Replaces each x of feature f by (x - mean[f]) / std[f], by x - mean[f]
 * where std[f] is 0. Pass the training part's statistics to every part.
 * Errors on the set, whose rows then stay: NULL, a mean that is not finite, a
 * std that is negative or not finite. */
bool rill_dataset_standardise(rill_dataset *d, const double *mean,
                              const double *std)
{
    if (!dataset_fine(d))
        return false;
    if (!mean || !std)
        return rill_fail(d->home, "dataset_standardise: %s is NULL",
                         mean ? "std" : "mean");
    for (int64_t f = 0; f < d->features; f++)
        if (!isfinite(mean[f]) || !(std[f] >= 0) || isinf(std[f]))
            return rill_fail(d->home, "dataset_standardise: mean %g and std "
                             "%g of feature %" PRId64, mean[f], std[f], f);
    for (int64_t i = 0; i < d->n * d->features; i++) {
        int64_t f = i % d->features;
        double apart = rill_dataset_get(d, i) - mean[f];
        rill_dataset_set(d, i, std[f] > 0 ? apart / std[f] : apart);
    }
    return true;
}

static void dataset_swap(rill_dataset *d, int64_t i, int64_t j)
{
    int32_t label = d->labels[i];
    d->labels[i] = d->labels[j];
    d->labels[j] = label;
    unsigned char *a = dataset_row(d, i), *b = dataset_row(d, j), piece[256];
    for (size_t left = dataset_row_bytes(d); left;) {
        size_t bytes = left < sizeof piece ? left : sizeof piece;
        memcpy(piece, a, bytes);
        memcpy(a, b, bytes);
        memcpy(b, piece, bytes);
        a += bytes, b += bytes, left -= bytes;
    }
}

/* Puts the rows in a random order, each order equally likely (Fisher and
 * Yates; a draw a row from the last to the second). Batches in use change
 * with them. Errors on the set: the generator is NULL. */
bool rill_dataset_shuffle(rill_dataset *d, rill_rng *r)
{
    if (!dataset_fine(d))
        return false;
    if (!r)
        return rill_fail(d->home, "dataset_shuffle: the generator is NULL");
    for (int64_t i = d->n - 1; i > 0; i--) {
        int64_t j = (int64_t)rill_rng_below(r, (uint64_t)i + 1);
        if (j != i)
            dataset_swap(d, i, j);
    }
    return true;
}

/* Cuts the last fraction of the rows off (rounded to a whole number of rows)
 * and returns them as a data set of its own, with the same classes and names.
 * Shuffle first, unless the rows are in random order already. The caller
 * frees it with rill_dataset_free.
 *
 * Returns NULL only when d is NULL or memory ran out. Errors on the new set,
 * while d stays as it was: d failed (its error), a fraction out of [0, 1]. */
rill_dataset *rill_dataset_split(rill_dataset *d, double fraction)
{
    rill_dataset *part = d ? rill_dataset_new(d->dtype) : NULL;
    if (!part)
        return NULL;
    if (!dataset_fine(d))
        rill_fail(part->home, "%s", rill_dataset_error(d));
    else if (!(fraction >= 0 && fraction <= 1))
        rill_fail(part->home, "dataset_split: fraction %g is not in [0, 1]",
                  fraction);
    if (!dataset_fine(part))
        return part;
    int64_t n = llround((double)d->n * fraction), rest = d->n - n;
    if (!rill_dataset_room(part, n, d->features))
        return part;
    part->class_names = rill_dataset_names(part, d->class_names, d->classes);
    if (d->feature_names)
        part->feature_names = rill_dataset_names(part, d->feature_names,
                                                 d->features);
    if (!dataset_fine(part))
        return part;
    if (n) {
        memcpy(part->x, dataset_row(d, rest),
               (size_t)n * dataset_row_bytes(d));
        memcpy(part->labels, d->labels + rest,
               (size_t)n * sizeof *d->labels);
    }
    part->classes = d->classes;
    part->n = n;
    d->n = rest;
    return part;
}

/* How many batches of batch_size rows there are; the last may be smaller. */
int64_t rill_dataset_batches(const rill_dataset *d, int64_t batch_size)
{
    if (batch_size < 1)
        return 0;
    int64_t n = rill_dataset_len(d);
    return n / batch_size + (n % batch_size > 0);
}

/* Sets *x to the rows [B, F] and *y to the labels [B] of batch i, as views on
 * tape t: nothing is copied, so until t is reset the set must neither change
 * nor go. B is batch_size, less in the last batch. Errors on t, with *x and
 * *y NULL: x or y is NULL, the set failed (its error) or is NULL, no such
 * batch. */
bool rill_dataset_batch(const rill_dataset *d, rill_tape *t, int64_t i,
                        int64_t batch_size, rill_tensor **x, rill_tensor **y)
{
    if (!x || !y)
        return rill_fail(t, "dataset_batch: %s is NULL", x ? "y" : "x");
    *x = *y = NULL;
    if (!dataset_fine(d))
        return rill_fail(t, "dataset_batch: %s", rill_dataset_error(d));
    if (batch_size < 1)
        return rill_fail(t, "dataset_batch: a batch of %" PRId64 " rows",
                         batch_size);
    int64_t batches = rill_dataset_batches(d, batch_size);
    if (i < 0 || i >= batches)
        return rill_fail(t, "dataset_batch: batch %" PRId64 " is not in [0, "
                         "%" PRId64 ")", i, batches);
    int64_t first = i * batch_size;
    int64_t n = i < batches - 1 ? batch_size : d->n - first;
    rill_tensor *rows = rill_view(t, dataset_row(d, first), d->dtype,
                                  RILL_SHAPE(n, d->features));
    rill_tensor *labels = rill_view(t, d->labels + first, RILL_I32,
                                    RILL_SHAPE(n));
    if (!rows || !labels)
        return false;
    *x = rows;
    *y = labels;
    return true;
}
