/* idx.c: any bytes as two IDX files: the first two are the length of the
 * images', the lower byte first, and what is left is the labels'. What is
 * read has pixels in [0, 1] and labels in range. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n < 2)
        return 0;
    char images[32], labels[32];
    size_t length = (size_t)(bytes[0] + 256 * bytes[1]);
    if (length > n - 2)
        length = n - 2;
    int x_fd = fuzz_file(bytes + 2, length, images);
    int y_fd = fuzz_file(bytes + 2 + length, n - 2 - length, labels);
    rill_dataset *d = rill_dataset_idx(images, labels, RILL_F32, NULL);
    rill_tape *t = rill_tape_new(NULL);
    rill_tensor *x, *y;
    if (rill_dataset_error(d))
        FUZZ_CHECK(rill_dataset_len(d) == 0);
    else
        FUZZ_CHECK(rill_dataset_batch(d, t, 0, rill_dataset_len(d), &x, &y));
    for (int64_t i = 0; i < rill_dataset_len(d) * rill_dataset_features(d);
         i++)
        FUZZ_CHECK(rill_f32(x)[i] >= 0 && rill_f32(x)[i] <= 1);
    for (int64_t i = 0; i < rill_dataset_len(d); i++)
        FUZZ_CHECK(rill_i32(y)[i] >= 0 &&
                   rill_i32(y)[i] < rill_dataset_classes(d));
    rill_tape_free(t);
    rill_dataset_free(d);
    close(x_fd);
    close(y_fd);
    return 0;
}
