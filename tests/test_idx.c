/* IDX files: what is read, and that nothing malformed is. The tests run in a
 * folder of their own, for their messages name the files. */
#include "harness.h"

#include <unistd.h>
#include <zlib.h>

#define BYTES(...) (const unsigned char[]){ __VA_ARGS__ }, \
                   sizeof((const unsigned char[]){ __VA_ARGS__ })

/* Two images of 2 x 3 and what they are. */
static const unsigned char images[] = { 0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2,
                                        0, 0, 0, 3, 0, 51, 102, 153, 204, 255,
                                        255, 1, 2, 3, 4, 5 };
static const unsigned char labels[] = { 0, 0, 8, 1, 0, 0, 0, 2, 4, 0 };

/* "x" is written plain and "x.gz" is written by zlib. */
static void write_bytes(const char *path, const unsigned char *bytes,
                        size_t n)
{
    gzFile f = gzopen(path, strstr(path, ".gz") ? "wb" : "wbT");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(gzwrite(f, bytes, (unsigned)n), (int)n);
    ck_assert_int_eq(gzclose(f), Z_OK);
}

static void assert_first_image(rill_dataset *d, rill_dtype dtype)
{
    ck_assert_pstr_eq(rill_dataset_error(d), NULL);
    ck_assert_int_eq(rill_dataset_len(d), 2);
    ck_assert_int_eq(rill_dataset_features(d), 6);
    ck_assert_str_eq(rill_dataset_feature_name(d, 5), "");
    rill_tensor *x, *y;
    ck_assert(rill_dataset_batch(d, tape, 0, 2, &x, &y));
    ck_assert_int_eq(rill_dtype_of(x), dtype);
    double wanted[12] = { 0, .2, .4, .6, .8, 1, 1 };
    for (int i = 1; i <= 5; i++)
        wanted[6 + i] = i / 255.0;
    assert_tensor(x, RILL_SHAPE(2, 6), wanted,
                  dtype == RILL_F32 ? 1e-7 : 0);
    assert_tensor(y, RILL_SHAPE(2), (double[]){ 4, 0 }, 0);
}

START_TEST(plain_and_gzip)
{
    write_bytes("x", images, sizeof images);
    write_bytes("y", labels, sizeof labels);
    write_bytes("x.gz", images, sizeof images);
    write_bytes("y.gz", labels, sizeof labels);
    for (int k = 0; k < 4; k++) {
        rill_dtype dtype = k % 2 ? RILL_F32 : RILL_F64;
        rill_dataset *d = rill_dataset_idx(k / 2 ? "x.gz" : "x",
                                           k % 2 ? "y.gz" : "y", dtype, NULL);
        assert_first_image(d, dtype);
        ck_assert_int_eq(rill_dataset_classes(d), 5);
        ck_assert_str_eq(rill_dataset_class_name(d, 4), "4");
        rill_dataset_free(d);
    }
}
END_TEST

START_TEST(any_number_of_dimensions)
{
    rill_tensor *x, *y;
    write_bytes("y", labels, sizeof labels);
    write_bytes("x", BYTES(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 255));
    rill_dataset *d = rill_dataset_idx("x", "y", RILL_F64, NULL);
    ck_assert(rill_dataset_batch(d, tape, 0, 2, &x, &y));
    assert_tensor(x, RILL_SHAPE(2, 1), (double[]){ 0, 1 }, 0);
    rill_dataset_free(d);
    write_bytes("x", BYTES(0, 0, 8, 5, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0,
                           0, 0, 1, 0, 0, 0, 1, 0, 255, 255, 0));
    d = rill_dataset_idx("x", "y", RILL_F64, NULL);
    ck_assert(rill_dataset_batch(d, tape, 0, 2, &x, &y));
    assert_tensor(x, RILL_SHAPE(2, 2), (double[]){ 0, 1, 1, 0 }, 0);
    rill_dataset_free(d);
}
END_TEST

/* More than one chunk of the reader's, and a header of three-byte sizes. */
START_TEST(large)
{
    enum { ITEMS = 70000, SIZE = 5 };
    unsigned char *x = malloc(12 + ITEMS * SIZE), *y = malloc(8 + ITEMS);
    ck_assert(x && y);
    memcpy(x, (unsigned char[]){ 0, 0, 8, 2, 0, 1, 17, 112, 0, 0, 0, SIZE },
           12);
    memcpy(y, (unsigned char[]){ 0, 0, 8, 1, 0, 1, 17, 112 }, 8);
    for (int i = 0; i < ITEMS * SIZE; i++)
        x[12 + i] = (unsigned char)(i * 7 % 251);
    for (int i = 0; i < ITEMS; i++)
        y[8 + i] = (unsigned char)(i % 256);
    write_bytes("x.gz", x, 12 + ITEMS * SIZE);
    write_bytes("y", y, 8 + ITEMS);
    rill_dataset *d = rill_dataset_idx("x.gz", "y", RILL_F32, NULL);
    rill_tensor *rows, *classes;
    ck_assert_int_eq(rill_dataset_classes(d), 256);
    ck_assert(rill_dataset_batch(d, tape, 0, ITEMS, &rows, &classes));
    for (int i = 0; i < ITEMS * SIZE; i++)
        ck_assert(rill_at(rows, i) == (float)(i * 7 % 251 / 255.0));
    for (int i = 0; i < ITEMS; i++)
        ck_assert(rill_i32(classes)[i] == i % 256);
    rill_dataset_free(d);
    free(x);
    free(y);
}
END_TEST

/* Fails unless reading x and y is refused with this sentence. */
static void assert_refused(const char *x, const char *y, rill_dtype dtype,
                           const rill_dataset *like, const char *sentence)
{
    rill_dataset *d = rill_dataset_idx(x, y, dtype, like);
    ck_assert_pstr_eq(rill_dataset_error(d), sentence);
    rill_dataset_clear_error(d);
    ck_assert_int_eq(rill_dataset_len(d), 0);
    ck_assert_int_eq(rill_dataset_classes(d), 0);
    rill_dataset_free(d);
}

START_TEST(like_another_set)
{
    write_bytes("x", images, sizeof images);
    write_bytes("y", labels, sizeof labels);
    rill_dataset *train = rill_dataset_idx("x", "y", RILL_F64, NULL);
    write_bytes("y", BYTES(0, 0, 8, 1, 0, 0, 0, 2, 0, 3));
    rill_dataset *test = rill_dataset_idx("x", "y", RILL_F64, train);
    ck_assert_int_eq(rill_dataset_classes(test), 5);
    ck_assert_str_eq(rill_dataset_class_name(test, 4), "4");
    rill_dataset_free(test);
    write_bytes("y", BYTES(0, 0, 8, 1, 0, 0, 0, 2, 0, 5));
    assert_refused("x", "y", RILL_F64, train,
                   "dataset_idx: label 5 of image 1 is not in [0, 5)");
    write_bytes("x", BYTES(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 255));
    assert_refused("x", "y", RILL_F64, train,
                   "x: number of features is 1, not 6");
    rill_dataset_free(train);

    rill_dataset *failed = rill_dataset_idx("none", "y", RILL_F64, NULL);
    assert_refused("x", "y", RILL_F64, failed,
                   "none: No such file or directory");
    rill_dataset_free(failed);
}
END_TEST

START_TEST(headers)
{
    static const struct {
        unsigned char bytes[32];
        size_t n;
        const char *sentence;
    } wrong[] = {
        { "", 0, "x: this is no IDX file: it does not begin with two zero "
                 "bytes, type and dimensions" },
        { "<!DOCTYPE html>", 15, "x: this is no IDX file: it does not begin "
                                 "with two zero bytes, type and dimensions" },
        { { 0, 1, 8, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7 }, 13,
          "x: this is no IDX file: it does not begin with two zero bytes, "
          "type and dimensions" },
        { { 0, 0, 13, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0 }, 16,
          "x: the elements are of type 0x0d: only 0x08, unsigned bytes, is "
          "read" },
        { { 0, 0, 8, 0, 7 }, 5,
          "x: number of dimensions is 0: 2 or more for images wanted" },
        { { 0, 0, 8, 1, 0, 0, 0, 2, 4, 0 }, 10,
          "x: number of dimensions is 1: 2 or more for images wanted" },
        { { 0, 0, 8, 255, 0, 0, 0, 2, 4, 0 }, 10,
          "x: the file ends amid its dimensions" },
        { { 0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 7 }, 13,
          "x: number of elements is 1, by the header 2" },
        { { 0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 7, 7, 7 }, 15,
          "x: number of elements is 3, by the header 2" },
        { { 0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 1 }, 12,
          "x: number of elements is 0, by the header 0" },
        { { 0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 0 }, 12,
          "x: number of elements is 0, by the header 0" },
        /* 2^64, which is 0 in 64 bits, and more */
        { { 0, 0, 8, 3, 128, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 4 }, 16,
          "x: number of elements is 0, by the header 1.8446744073709552e+19" },
        { { 0, 0, 8, 4, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255,
            255, 255, 255, 255 }, 20,
          "x: number of elements is 0, by the header 7.9228162458924105e+28" },
    };
    write_bytes("y", labels, sizeof labels);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_bytes("x", wrong[i].bytes, wrong[i].n);
        assert_refused("x", "y", RILL_F32, NULL, wrong[i].sentence);
    }
}
END_TEST

/* Every beginning of a file, plain or gzip, but the whole, is refused by a
 * sentence that names it. */
START_TEST(truncated)
{
    static const char *const names[] = { "x", "x.gz", "y", "y.gz" };
    write_bytes("whole_x", images, sizeof images);
    write_bytes("whole_y", labels, sizeof labels);
    for (int k = 0; k < 4; k++) {
        char whole[256], begin[8];
        bool x = names[k][0] == 'x';
        write_bytes(names[k], x ? images : labels,
                    x ? sizeof images : sizeof labels);
        FILE *f = fopen(names[k], "rb");
        size_t n = fread(whole, 1, sizeof whole, f);
        fclose(f);
        ck_assert_uint_gt(n, 9);
        ck_assert_uint_lt(n, sizeof whole);
        snprintf(begin, sizeof begin, "%s: ", names[k]);
        for (size_t cut = 0; cut < n; cut++) {
            f = fopen(names[k], "wb");
            ck_assert_uint_eq(fwrite(whole, 1, cut, f), cut);
            fclose(f);
            rill_dataset *d = rill_dataset_idx(x ? names[k] : "whole_x",
                                               x ? "whole_y" : names[k],
                                               RILL_F32, NULL);
            const char *error = rill_dataset_error(d);
            ck_assert_msg(error && strncmp(error, begin, strlen(begin)) == 0,
                          "%s of %zu bytes: %s", names[k], cut,
                          error ? error : "no error");
            rill_dataset_free(d);
        }
    }
}
END_TEST

START_TEST(refused)
{
    write_bytes("x", images, sizeof images);
    write_bytes("y", labels, sizeof labels);
    assert_refused("none", "y", RILL_F32, NULL,
                   "none: No such file or directory");
    assert_refused("x", "none", RILL_F32, NULL,
                   "none: No such file or directory");
    assert_refused(".", "y", RILL_F32, NULL, ".: Is a directory");
    assert_refused(NULL, "y", RILL_F32, NULL,
                   "dataset_idx: the path is NULL");
    assert_refused("x", NULL, RILL_F32, NULL,
                   "dataset_idx: the path is NULL");
    assert_refused("x", "y", RILL_I32, NULL,
                   "dataset: rows are float32 or float64, not int32");
    assert_refused("x", "x", RILL_F32, NULL,
                   "x: number of dimensions is 3: 1 for labels wanted");
    write_bytes("y", BYTES(0, 0, 8, 1, 0, 0, 0, 1, 4));
    assert_refused("x", "y", RILL_F32, NULL,
                   "y: number of labels is 1, but x holds 2 images");

    unsigned char bytes[256];
    write_bytes("x.gz", images, sizeof images);
    FILE *f = fopen("x.gz", "r+b");
    size_t n = fread(bytes, 1, sizeof bytes, f);
    bytes[n - 8] ^= 1; /* of the checksum */
    rewind(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    fclose(f);
    assert_refused("x.gz", "y", RILL_F32, NULL, "x.gz: incorrect data check");
}
END_TEST

int main(void)
{
    char folder[] = "/tmp/rill_test_idx_XXXXXX";
    if (!mkdtemp(folder) || chdir(folder))
        return EXIT_FAILURE;
    int status = HARNESS_RUN("idx", plain_and_gzip, any_number_of_dimensions,
                             large, like_another_set, headers, truncated,
                             refused);
    const char *const names[] = { "x", "y", "x.gz", "y.gz", "whole_x",
                                  "whole_y" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(names[i]);
    if (chdir("/") == 0)
        rmdir(folder);
    return status;
}
