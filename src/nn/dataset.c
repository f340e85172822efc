/* dataset.c: rows and their labels, from memory or from a file, standardised,
 * shuffled, split, and handed out as batches.
 *
 * The rows stand in the order in which batches take them, so a batch is a
 * view and never a copy; shuffling moves the rows themselves, and `order`
 * remembers where each came from.
 *
 * Whoever makes a set frees it with rill_dataset_free. A constructor returns
 * a set that carries its error, so a program may check only the last one of a
 * chain; NULL only when memory ran out. On NULL and on a set with an error
 * every function returns false, 0 or NULL and changes nothing. An argument
 * that is NULL is an error on the set. */
#include "nn_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Whether a function can go to work, all its arguments given. */
static bool dataset_ready(rill_dataset *d, const char *who, bool given)
{
    return !rill_dataset_error(d) &&
           (given || rill_fail(d->home, "%s: an argument is NULL", who));
}

static unsigned char *dataset_row(const rill_dataset *d, int64_t i)
{
    size_t at = (size_t)(i * rill_dim(d->x, 1));
    return (unsigned char *)rill_write(d->x) +
           at * (rill_f32(d->x) ? sizeof(float) : sizeof(double));
}

void rill_dataset_set(rill_dataset *d, int64_t i, double v)
{
    if (rill_dtype_of(d->x) == RILL_F32)
        ((float *)rill_write(d->x))[i] = (float)v;
    else
        ((double *)rill_write(d->x))[i] = v;
}

/* ---- making a set ------------------------------------------------------- */

rill_dataset *rill_dataset_new(rill_dtype dtype, const rill_dataset *like)
{
    rill_tape *home = rill_tape_new(NULL);
    rill_dataset *d = rill_tape_alloc(home, sizeof *d);
    if (!d) {
        rill_tape_free(home);
        return NULL;
    }
    *d = (rill_dataset){ .home = home };
    if (like)
        rill_nn_well(home, rill_dataset_error(like));
    if (dtype == RILL_I32)
        rill_fail(home, "dataset: rows are float32 or float64, not int32");
    return d;
}

/* Copies of n names; of their numbers where names is NULL. */
static const char **dataset_names(rill_tape *home, const char *const *names,
                                  int64_t n)
{
    const char **own = rill_tape_alloc(home, (size_t)n * sizeof *own);
    for (int64_t i = 0; own && i < n; i++)
        own[i] = names ? rill_nn_text(home, "%s", names[i])
                       : rill_nn_text(home, "%d", (int)i);
    return rill_error(home) ? NULL : own;
}

rill_dataset *rill_dataset_made(rill_dataset *d, int64_t n, int classes,
                                const char *const *names)
{
    d->class_names = dataset_names(d->home, names, classes);
    d->classes = d->class_names ? classes : 0;
    d->n = d->class_names ? n : 0;
    return d;
}

void *rill_dataset_load(rill_tape *home, const char *who, const char *path,
                        size_t *bytes)
{
    enum { CHUNK = 1 << 16 };
    if (!path)
        return rill_fail(home, "%s: the path is NULL", who);
    errno = 0; /* zlib sets it for files only, not when memory ran out */
    gzFile f = gzopen(path, "rb");
    if (!f)
        return rill_fail(home, "%s: %s", path,
                         errno ? strerror(errno) : "out of memory");
    size_t room = CHUNK + 1;
    char *all = malloc(room), *larger = all;
    int got;
    for (*bytes = 0; larger && (got = gzread(f, all + *bytes, CHUNK)) > 0;) {
        *bytes += (size_t)got;
        if (room - *bytes <= CHUNK)
            larger = realloc(all, room *= 2);
        all = larger ? larger : all;
    }
    const char *wrong = gzerror(f, &got); /* begins with the path */
    if (!larger)
        rill_fail(home, "%s: out of memory", path);
    else if (got != Z_OK)
        rill_fail(home, "%s", wrong);
    else
        all[*bytes] = '\0';
    gzclose(f);
    if (!rill_error(home))
        return all;
    free(all);
    return NULL;
}

/* A data set of n rows of doubles, converted to dtype (float32 or float64),
 * and their labels in [0, classes); both are copied. The classes are named by
 * their numbers, the features have no names. Errors: another dtype, a label
 * out of range, a negative size. */
rill_dataset *rill_dataset_from(const double *x, const int32_t *labels,
                                int64_t n, int64_t features, int classes,
                                rill_dtype dtype)
{
    rill_dataset *d = rill_dataset_new(dtype, NULL);
    if (!dataset_ready(d, "dataset_from", n == 0 || (x && labels)))
        return d;
    for (int64_t i = 0; i < n; i++)
        if (labels[i] < 0 || labels[i] >= classes)
            rill_fail(d->home, "dataset_from: label %" PRId32 " at row %"
                      PRId64 " is not in [0, %d)", labels[i], i, classes);
    /* after an error, the first of which stays, nothing more is made */
    d->y = rill_copy(d->home, labels, RILL_I32, RILL_SHAPE(n));
    d->x = rill_from(d->home, x, dtype, RILL_SHAPE(n, features));
    return rill_dataset_made(d, n, classes, NULL);
}

/* Cuts the last fraction of the rows off, rounded to whole rows: a data set of
 * its own with the same classes and names. Shuffle first, unless the rows are
 * in random order: as they stand now is from now on the original order of both
 * sets. Errors, on the new set: d's own, a fraction out of [0, 1]. */
rill_dataset *rill_dataset_split(rill_dataset *d, double fraction)
{
    if (!d)
        return NULL;
    rill_dtype dtype = rill_dtype_of(d->x);
    rill_dataset *part = rill_dataset_new(dtype, d);
    if (part && !(fraction >= 0 && fraction <= 1))
        rill_fail(part->home, "dataset_split: fraction %g is not in [0, 1]",
                  fraction);
    if (rill_dataset_error(part))
        return part;
    int64_t n = llround((double)d->n * fraction), rest = d->n - n;
    int64_t features = rill_dim(d->x, 1);
    if (d->feature_names)
        part->feature_names = dataset_names(part->home, d->feature_names,
                                            features);
    if (d->y)
        part->y = rill_copy(part->home, rill_i32(d->y) + rest, RILL_I32,
                            RILL_SHAPE(n));
    part->x = rill_copy(part->home, dataset_row(d, rest), dtype,
                        RILL_SHAPE(n, features));
    if (rill_dataset_error(rill_dataset_made(part, n, d->classes,
                                             d->class_names)))
        return part;
    d->n = rest;
    d->order = NULL;
    return part;
}

/* ---- what it is --------------------------------------------------------- */

/* _free: the rows too, which no batch may use any more; NULL is allowed.
 * _error: the set's first, or NULL. _clear_error: a constructor that failed
 * has left a set without rows; after any other failure they are as before. */
RILL_NN_OBJECT(rill_dataset, "the data set", false)

/* How many rows. */
int64_t rill_dataset_len(const rill_dataset *d)
{
    return rill_dataset_error(d) ? 0 : d->n;
}

/* How many features a row has. */
int64_t rill_dataset_features(const rill_dataset *d)
{
    return rill_dataset_error(d) ? 0 : rill_dim(d->x, 1);
}

/* How many classes there are, with rows or without. */
int rill_dataset_classes(const rill_dataset *d)
{
    return rill_dataset_error(d) ? 0 : d->classes;
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
    if (rill_dataset_error(d) || !counts)
        return false;
    memset(counts, 0, (size_t)d->classes * sizeof *counts);
    for (int64_t i = 0; d->y && i < d->n; i++)
        counts[rill_i32(d->y)[i]]++;
    return true;
}

/* Sets mean[f] and std[f] of each feature; std is the population's (divided
 * by n), and exactly 0 for a column of equal numbers. NaN where there are no
 * rows. Errors: a column whose sum of squares is not finite, by an entry that
 * is not or by some beyond about 1e150. */
bool rill_dataset_statistics(rill_dataset *d, double *mean, double *std)
{
    if (!dataset_ready(d, "dataset_statistics", mean && std))
        return false;
    int64_t features = rill_dim(d->x, 1);
    for (int64_t f = 0; f < features; f++) {
        double squares = 0;
        mean[f] = d->n ? 0 : NAN;
        for (int64_t i = 0; i < d->n; i++) { /* Welford, 1962 */
            double v = rill_at(d->x, i * features + f), apart = v - mean[f];
            mean[f] += apart / (double)(i + 1);
            squares += apart * (v - mean[f]);
        }
        if (!isfinite(squares))
            return rill_fail(d->home, "dataset_statistics: the squares of "
                             "feature %" PRId64 " \"%s\" are not finite", f,
                             rill_dataset_feature_name(d, f));
        std[f] = sqrt(squares / (double)d->n);
    }
    return true;
}

/* ---- what changes it ---------------------------------------------------- */

/* Replaces each x of feature f by (x - mean[f]) / std[f], by x - mean[f]
 * where std[f] is 0. Pass the training part's statistics to every part. */
bool rill_dataset_standardise(rill_dataset *d, const double *mean,
                              const double *std)
{
    if (!dataset_ready(d, "dataset_standardise", mean && std))
        return false;
    int64_t features = rill_dim(d->x, 1);
    for (int64_t i = 0; i < d->n * features; i++) {
        int64_t f = i % features;
        double unit = std[f] != 0 ? std[f] : 1;
        rill_dataset_set(d, i, (rill_at(d->x, i) - mean[f]) / unit);
    }
    return true;
}

static void dataset_swap(void *left, void *right, size_t bytes)
{
    unsigned char *a = left, *b = right;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

static void dataset_swap_rows(rill_dataset *d, int64_t i, int64_t j)
{
    int32_t *y = rill_write(d->y);
    unsigned char *row = dataset_row(d, i), *next = dataset_row(d, i + 1);
    dataset_swap(row, dataset_row(d, j), (size_t)(next - row));
    if (y)
        dataset_swap(&y[i], &y[j], sizeof *y);
    dataset_swap(&d->order[i], &d->order[j], sizeof *d->order);
}

/* Puts the rows in a random order, each order equally likely (Fisher and
 * Yates; a draw a row from the last to the second), by the generator and the
 * set's original order alone, that in which it was made or left by a split: so
 * a run can be taken up again after any epoch, with a new set and the
 * generator's state (see rill_checkpoint_save). Batches in use change with the
 * rows. Errors: r is NULL, out of memory. */
bool rill_dataset_shuffle(rill_dataset *d, rill_rng *r)
{
    if (!dataset_ready(d, "dataset_shuffle", r))
        return false;
    if (!d->order) {
        d->order = rill_tape_alloc(d->home,
                                   2 * (size_t)d->n * sizeof *d->order);
        for (int64_t i = 0; d->order && i < d->n; i++)
            d->order[i] = i;
    }
    if (!d->order)
        return false;
    int64_t *from = d->order + d->n; /* where each place's row stands now */
    for (int64_t i = 0; i < d->n; i++)
        from[d->order[i]] = i;
    for (int64_t i = d->n - 1; i > 0; i--)
        dataset_swap(&from[i], &from[rill_rng_below(r, (uint64_t)i + 1)],
                     sizeof *from);
    for (int64_t i = 0; i < d->n; i++) {
        int64_t j = from[i];
        while (j < i) /* it made room for another one, which came from there */
            j = from[j];
        dataset_swap_rows(d, i, j);
    }
    return true;
}

/* ---- batches ------------------------------------------------------------ */

/* How many batches of batch_size rows there are; the last may be smaller. */
int64_t rill_dataset_batches(const rill_dataset *d, int64_t batch_size)
{
    int64_t n = rill_dataset_len(d);
    return batch_size < 1 ? 0 : n / batch_size + (n % batch_size > 0);
}

/* Sets *x to the rows [B, F] and *y to the labels [B] of batch i, as views on
 * tape t: nothing is copied, so until t is reset the set must neither change
 * nor go. B is batch_size, less in the last batch; *y is NULL where the set
 * has no labels. Errors, all on t: x or y is NULL, the set's own, no such
 * batch (*x and *y are NULL then). */
bool rill_dataset_batch(const rill_dataset *d, rill_tape *t, int64_t i,
                        int64_t batch_size, rill_tensor **x, rill_tensor **y)
{
    if (!x || !y)
        return rill_fail(t, "dataset_batch: an argument is NULL");
    *x = *y = NULL;
    if (!rill_nn_well(t, rill_dataset_error(d)))
        return false;
    int64_t batches = rill_dataset_batches(d, batch_size);
    if (i < 0 || i >= batches)
        return rill_fail(t, "dataset_batch: batch %" PRId64 " of %" PRId64
                         " rows is not in [0, %" PRId64 ")", i, batch_size,
                         batches);
    int64_t first = i * batch_size;
    int64_t n = i < batches - 1 ? batch_size : d->n - first;
    if (d->y)
        *y = rill_view(t, rill_i32(d->y) + first, RILL_I32, RILL_SHAPE(n));
    *x = rill_view(t, dataset_row(d, first), rill_dtype_of(d->x),
                   RILL_SHAPE(n, rill_dim(d->x, 1)));
    return *x;
}
