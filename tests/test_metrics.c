/* Accuracy, confusion matrix, precision, recall, and the matrix as text. */
#include "harness.h"

static rill_tensor *labels(int64_t n, const double *y)
{
    return rill_from(tape, y, RILL_I32, RILL_SHAPE(n));
}

START_TEST(accuracy)
{
    const double z[] = { 1, 2, 0, 5, -1, 5, -3, -2, -1, NAN, 9, NAN };
    for (rill_dtype dtype = RILL_F32; dtype <= RILL_F64; dtype++) {
        rill_tensor *logits = rill_from(tape, z, dtype, RILL_SHAPE(4, 3));
        /* the largest, the first of equals, a negative one, the first NaN */
        ASSERT_NEAR(rill_accuracy(logits, labels(4, (double[]){ 1, 0, 2, 0 })),
                    1, 0);
        ASSERT_NEAR(rill_accuracy(logits, labels(4, (double[]){ 1, 2, 2, 1 })),
                    0.5, 0);
        ASSERT_NEAR(rill_accuracy(logits, labels(4, (double[]){ 0, 1, 0, 2 })),
                    0, 0);
    }
}
END_TEST

/* What neither accuracy nor a confusion matrix takes. */
START_TEST(mismatches)
{
    int64_t counts[4] = { 1, 2, 3, 4 };
    rill_tensor *z = rill_zeros(tape, RILL_F32, RILL_SHAPE(2, 2));
    rill_tensor *y = labels(2, (double[]){ 0, 1 });
    const struct {
        const rill_tensor *logits, *labels;
    } wrong[] = {
        { NULL, y },
        { z, NULL },
        { z, labels(2, (double[]){ 0, 2 }) },
        { z, labels(2, (double[]){ 0, -1 }) },
        { z, labels(3, (double[]){ 0, 0, 0 }) },
        { z, rill_zeros(tape, RILL_I32, RILL_SHAPE(2, 1)) },
        { z, rill_zeros(tape, RILL_F32, RILL_SHAPE(2)) },
        { rill_zeros(tape, RILL_I32, RILL_SHAPE(2, 2)), y },
        { rill_zeros(tape, RILL_F32, RILL_SHAPE(2)), y },
        { rill_zeros(tape, RILL_F32, RILL_SHAPE(2, 2, 1)), y },
        { rill_zeros(tape, RILL_F32, RILL_SHAPE(2, 0)), y },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert(isnan(rill_accuracy(wrong[i].logits, wrong[i].labels)));
        ck_assert(!rill_confusion_add(counts, 2, wrong[i].logits,
                                      wrong[i].labels));
    }
    ck_assert(!rill_confusion_add(NULL, 2, z, y));
    ck_assert(!rill_confusion_add(counts, 3, z, y));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(counts[i], i + 1);
    ck_assert(isnan(rill_accuracy(
        rill_zeros(tape, RILL_F64, RILL_SHAPE(0, 2)), labels(0, NULL))));
    ASSERT_OK();
}
END_TEST

START_TEST(confusion)
{
    int64_t counts[9] = { 0 };
    rill_tensor *logits = rill_from(
        tape, (double[]){ 1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0 },
        RILL_F64, RILL_SHAPE(5, 3)); /* predicted: 0 1 1 0 1 */
    rill_tensor *y = labels(5, (double[]){ 0, 0, 1, 2, 1 });
    for (int times = 1; times <= 2; times++) {
        ck_assert(rill_confusion_add(counts, 3, logits, y));
        const int64_t want[9] = { 1, 1, 0, 0, 2, 0, 1, 0, 0 };
        for (int i = 0; i < 9; i++)
            ck_assert_int_eq(counts[i], times * want[i]);
    }
    ASSERT_NEAR(rill_precision(counts, 3, 0), 1 / 2.0, 0);
    ASSERT_NEAR(rill_precision(counts, 3, 1), 2 / 3.0, 0);
    ck_assert(isnan(rill_precision(counts, 3, 2))); /* never predicted */
    ASSERT_NEAR(rill_recall(counts, 3, 0), 1 / 2.0, 0);
    ASSERT_NEAR(rill_recall(counts, 3, 1), 1, 0);
    ASSERT_NEAR(rill_recall(counts, 3, 2), 0, 0);
    ck_assert(isnan(rill_recall((int64_t[4]){ 1, 1 }, 2, 1)));
    ck_assert(isnan(rill_recall(counts, 3, 3)));
    ck_assert(isnan(rill_precision(counts, 3, -1)));
    ck_assert(isnan(rill_precision(NULL, 3, 0)));
}
END_TEST

static const char *printed(const int64_t *counts, int classes,
                           const char *const *names)
{
    static char text[4096];
    FILE *f = tmpfile();
    ck_assert_ptr_nonnull(f);
    rill_confusion_print(f, counts, classes, names);
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

START_TEST(print)
{
    ck_assert_str_eq(printed((int64_t[]){ 50, 0, 0, 3, 47, 0, 0, 12, 0 }, 3,
                             (const char *[]){ "oak", "\xc3\xa4sche",
                                               "willow" }),
                     "      predicted\n"
                     "true   0   1   2  precision  recall  class\n"
                     "   0  50   0   0     0.9434  1.0000  oak\n"
                     "   1   3  47   0     0.7966  0.9400  \xc3\xa4sche\n"
                     "   2   0  12   0        nan  0.0000  willow\n");
    ck_assert_str_eq(printed((int64_t[]){ 12345, 0, 0, 0 }, 2, NULL),
                     "      predicted\n"
                     "true     0     1  precision  recall\n"
                     "   0 12345     0     1.0000  1.0000\n"
                     "   1     0     0        nan     nan\n");
    ck_assert_str_eq(printed(NULL, 2, NULL), "");
    rill_confusion_print(NULL, (int64_t[]){ 0 }, 1, NULL);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("metrics", accuracy, mismatches, confusion, print);
}
