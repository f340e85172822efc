/* idx.c: data sets from IDX files, the format of MNIST and its family.
 *
 * Two zero bytes, one for the type of the elements, one for the number of
 * dimensions; then each dimension in four bytes, the highest first, and the
 * elements, row-major. A header is believed only where the length of the file
 * bears it out, so memory is in proportion to that. */
#include "nn_internal.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct {
    unsigned char *file;
    const unsigned char *element; /* the first one, in file */
    int64_t items, size;          /* elements of each */
} idx;

/* Labels have one dimension and images more: mixed up, they are refused. */
static bool idx_read(idx *x, rill_tape *home, const char *path, bool labels)
{
    size_t bytes;
    unsigned char *f = x->file = rill_dataset_load(home, "dataset_idx", path,
                                                   &bytes);
    if (!f)
        return false;
    if (bytes < 4 || f[0] || f[1])
        return rill_fail(home, "%s: this is no IDX file: it does not begin "
                         "with two zero bytes, type and dimensions", path);
    if (f[2] != 8)
        return rill_fail(home, "%s: the elements are of type 0x%02x: only "
                         "0x08, unsigned bytes, is read", path, f[2]);
    if (labels ? f[3] != 1 : f[3] < 2)
        return rill_fail(home, "%s: number of dimensions is %d: %s wanted",
                         path, f[3], labels ? "1 for labels"
                                            : "2 or more for images");
    const size_t head = 4 + 4 * (size_t)f[3];
    if (bytes < head)
        return rill_fail(home, "%s: the file ends amid its dimensions", path);
    size_t elements = bytes - head;
    double wanted = 1; /* no product overflows a double unseen */
    for (const unsigned char *dim = f + 4; dim < f + head; dim += 4)
        wanted *= dim[0] * 0x1p24 + dim[1] * 0x1p16 + dim[2] * 0x1p8 + dim[3];
    if (wanted != (double)elements || elements == 0)
        return rill_fail(home, "%s: number of elements is %zu, by the header "
                         "%.17g", path, elements, wanted);
    x->element = f + head;
    x->items = (int64_t)f[4] << 24 | f[5] << 16 | f[6] << 8 | f[7];
    x->size = (int64_t)elements / x->items;
    return true;
}

static void idx_fill(rill_dataset *d, rill_dtype dtype, const idx *x,
                     const idx *y, const rill_dataset *like)
{
    int classes = rill_dataset_classes(like);
    d->x = rill_empty(d->home, dtype, RILL_SHAPE(x->items, x->size));
    d->y = rill_empty(d->home, RILL_I32, RILL_SHAPE(x->items));
    int32_t *label = rill_write(d->y);
    if (!label)
        return;
    for (int64_t i = 0; i < x->items * x->size; i++)
        rill_dataset_set(d, i, x->element[i] / 255.0);
    for (int64_t i = 0; i < x->items; i++) {
        label[i] = y->element[i];
        if (like && label[i] >= classes)
            rill_fail(d->home, "dataset_idx: label %" PRId32 " of image %"
                      PRId64 " is not in [0, %d)", label[i], i, classes);
        else if (label[i] >= classes)
            classes = label[i] + 1;
    }
    rill_dataset_made(d, x->items, classes, like ? like->class_names : NULL);
}

/* Reads images, unsigned bytes [N, ...], and their labels, unsigned bytes
 * [N], from two IDX files, plain or gzip: a data set of rows [N, features] in
 * [0, 1] (byte / 255) of dtype, float32 or float64. The classes are named by
 * their numbers, from 0 to the largest label; like is a set, say the training
 * part, that gives classes and number of features instead, or NULL.
 *
 * Errors: a file that cannot be read, is no IDX file, of another type or
 * number of dimensions, shorter or longer than its header says, or empty;
 * numbers of images and labels, or of features and like's, that differ; a
 * label that like does not have; another dtype; a path that is NULL. */
rill_dataset *rill_dataset_idx(const char *images, const char *labels,
                               rill_dtype dtype, const rill_dataset *like)
{
    rill_dataset *d = rill_dataset_new(dtype, like);
    idx x = { .file = NULL }, y = { .file = NULL };
    if (rill_dataset_error(d))
        return d;
    int64_t features = rill_dataset_features(like);
    if (idx_read(&x, d->home, images, false) &&
        idx_read(&y, d->home, labels, true)) {
        if (x.items != y.items)
            rill_fail(d->home, "%s: number of labels is %" PRId64 ", but %s "
                      "holds %" PRId64 " images", labels, y.items, images,
                      x.items);
        else if (like && x.size != features)
            rill_fail(d->home, "%s: number of features is %" PRId64 ", not %"
                      PRId64, images, x.size, features);
        else
            idx_fill(d, dtype, &x, &y, like);
    }
    free(x.file);
    free(y.file);
    return d;
}
