/* csv.c: any bytes as a CSV file, the first of them the options. What is read
 * has labels in range. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char *const labels[] = { NULL, "0", "-2", "class" };
    char path[32];
    int options = n ? bytes[0] : 0;
    int fd = fuzz_file(bytes + (n > 0), n - (n > 0), path);
    rill_dataset *d = rill_dataset_csv(
        path, options & 1 ? RILL_F64 : RILL_F32,
        &(rill_csv_opts){ .header = options & 2,
                          .separator = options & 4 ? ';' : 0,
                          .label = labels[options >> 3 & 3],
                          .no_label = options & 32 });
    rill_tape *t = rill_tape_new(NULL);
    rill_tensor *x, *y;
    if (!rill_dataset_error(d) &&
        rill_dataset_batch(d, t, 0, rill_dataset_len(d), &x, &y))
        for (int64_t i = 0; i < rill_numel(y); i++)
            FUZZ_CHECK(rill_i32(y)[i] >= 0 &&
                       rill_i32(y)[i] < rill_dataset_classes(d));
    rill_tape_free(t);
    rill_dataset_free(d);
    close(fd);
    return 0;
}
