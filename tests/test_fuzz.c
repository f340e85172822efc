/* test_fuzz.c: the fuzz targets on the files of tests/fuzz/corpus: seeds,
 * and what libFuzzer found to take other paths. See tests/fuzz/fuzz.h. */
#define _GNU_SOURCE
#include "harness.h"

#include <dirent.h>
#include <stdio.h>

int fuzz_safetensors(const uint8_t *bytes, size_t n);
int fuzz_csv(const uint8_t *bytes, size_t n);
int fuzz_idx(const uint8_t *bytes, size_t n);
int fuzz_ops(const uint8_t *bytes, size_t n);
#define LLVMFuzzerTestOneInput fuzz_safetensors
#include "fuzz/safetensors.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_csv
#include "fuzz/csv.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_idx
#include "fuzz/idx.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_ops
#include "fuzz/ops.c"

static void replay(int target(const uint8_t *, size_t), const char *folder)
{
    char path[512];
    int files = 0;
    snprintf(path, sizeof path, "tests/fuzz/corpus/%s", folder);
    DIR *d = opendir(path);
    ck_assert_msg(d != NULL, "no folder %s", path);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        static uint8_t bytes[1 << 16];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "tests/fuzz/corpus/%s/%s", folder,
                 e->d_name);
        FILE *f = fopen(path, "rb");
        ck_assert_ptr_nonnull(f);
        size_t n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        target(bytes, n);
        files++;
    }
    closedir(d);
    ck_assert_int_gt(files, 0);
}

START_TEST(safetensors)
{
    replay(fuzz_safetensors, "safetensors");
}
END_TEST

START_TEST(csv)
{
    replay(fuzz_csv, "csv");
}
END_TEST

START_TEST(idx)
{
    replay(fuzz_idx, "idx");
}
END_TEST

START_TEST(ops)
{
    replay(fuzz_ops, "ops");
}
END_TEST

int main(void)
{
    return HARNESS_RUN("fuzz", safetensors, csv, idx, ops);
}
