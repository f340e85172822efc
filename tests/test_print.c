/* test_print.c: rill_print against what NumPy prints. */
#include "harness.h"

/* Fails unless x prints as text and a newline. */
static void assert_prints(const rill_tensor *x, const char *text)
{
    char *got = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&got, &size);
    ck_assert_ptr_nonnull(f);
    rill_print(f, x);
    fclose(f);
    ck_assert_uint_gt(size, 0);
    ck_assert_int_eq(got[size - 1], '\n');
    got[size - 1] = '\0';
    ck_assert_str_eq(got, text);
    free(got);
    ASSERT_OK();
}

#define VALUES(...) ((const double[]){ __VA_ARGS__ })
#define COUNT(...) (sizeof(VALUES(__VA_ARGS__)) / sizeof(double))
#define PRINTS(text, dtype, ...)                                      \
    assert_prints(rill_from(tape, VALUES(__VA_ARGS__), dtype,         \
                            RILL_SHAPE(COUNT(__VA_ARGS__))), text)

static rill_tensor *counting(rill_dtype dtype, double step, rill_shape shape)
{
    rill_tensor *x = rill_zeros(tape, RILL_F64, shape);
    for (int64_t i = 0; i < rill_numel(x); i++)
        ((double *)rill_write(x))[i] = step * (double)i;
    return rill_from(tape, rill_f64(x), dtype, shape);
}

START_TEST(elements_take_the_fewest_digits_and_align)
{
    PRINTS("[1.  2.5 3. ]", RILL_F64, 1, 2.5, 3);
    PRINTS("[2 4 6]", RILL_I32, 2, 4, 6);
    PRINTS("[2. 4. 6.]", RILL_F64, 2, 4, 6);
    PRINTS("[0.1        0.33333333]", RILL_F64, 0.1, 1 / 3.0);
    PRINTS("[0.1        0.33333334]", RILL_F32, 0.1, 1 / 3.0);
    PRINTS("[  -1 1000    0]", RILL_I32, -1, 1000, 0);
    PRINTS("[ 2147483647 -2147483648]", RILL_I32, INT32_MAX, INT32_MIN);
    PRINTS("[-0.  1.]", RILL_F64, -0.0, 1);
    PRINTS("[0. 0.]", RILL_F32, 0, 0);
    PRINTS("[99999992. 12345678.]", RILL_F32, 99999992, 12345678);
    PRINTS("[12345678.12345678]", RILL_F64, 12345678.12345678);
    PRINTS("[1.]", RILL_F64, 0.999999999);
}
END_TEST

START_TEST(not_finite)
{
    PRINTS("[nan inf]", RILL_F64, NAN, INFINITY);
    PRINTS("[nan nan]", RILL_F32, NAN, -(double)NAN);
    PRINTS("[ nan -inf   1.]", RILL_F32, NAN, -INFINITY, 1);
    PRINTS("[1.00e+10 1.25e+00      nan      inf]", RILL_F64, 1e10, 1.25, NAN,
           INFINITY);
}
END_TEST

START_TEST(scientific_notation)
{
    PRINTS("[1.e+08 1.e+00]", RILL_F64, 1e8, 1);
    PRINTS("[99000000.   100000.]", RILL_F64, 9.9e7, 1e5);
    PRINTS("[1.e-05]", RILL_F64, 1e-5);
    PRINTS("[0.0001 0.01  ]", RILL_F64, 1e-4, 1e-2);
    PRINTS("[1.000e+00 1.001e+03]", RILL_F64, 1, 1001);
    PRINTS("[   1. 1000.]", RILL_F64, 1, 1000);
    PRINTS("[ 1.0e+100  1.0e+000  0.0e+000 -2.5e+000]", RILL_F64, 1e100, 1, 0,
           -2.5);
    PRINTS("[1.6777216e+07 3.3554432e+07 5.0000000e-01]", RILL_F32, 16777216,
           33554432, 0.5);
    PRINTS("[1.23456789e-09]", RILL_F64, 1.234567891e-9);
    PRINTS("[5.e-324]", RILL_F64, 4.9406564584124654e-324);
    PRINTS("[1.e-45]", RILL_F32, 1.401298464324817e-45);
}
END_TEST

START_TEST(scalars_stand_bare)
{
    static const struct {
        double value;
        rill_dtype dtype;
        const char *text;
    } scalar[] = {
        { 2, RILL_F64, "2.0" },
        { 1 / 3.0, RILL_F64, "0.3333333333333333" },
        { 1 / 3.0, RILL_F32, "0.33333334" },
        { 1e-7, RILL_F64, "1e-07" },
        { 1.5e16, RILL_F64, "1.5e+16" },
        { 123456789, RILL_F64, "123456789.0" },
        { 0, RILL_F32, "0.0" },
        { -7, RILL_I32, "-7" },
        { -INFINITY, RILL_F32, "-inf" },
        { NAN, RILL_F64, "nan" },
    };
    for (size_t i = 0; i < sizeof scalar / sizeof *scalar; i++)
        assert_prints(rill_full(tape, scalar[i].value, scalar[i].dtype,
                                RILL_SCALAR), scalar[i].text);
}
END_TEST

START_TEST(empty_and_null)
{
    assert_prints(rill_zeros(tape, RILL_F32, RILL_SHAPE(0)), "[]");
    assert_prints(rill_zeros(tape, RILL_I32, RILL_SHAPE(2, 0, 3)), "[]");
    assert_prints(NULL, "NULL");
}
END_TEST

START_TEST(brackets_nest)
{
    assert_prints(rill_from(tape, VALUES(1, 2.5, NAN, -INFINITY), RILL_F64,
                            RILL_SHAPE(2, 2)),
                  "[[ 1.   2.5]\n"
                  " [ nan -inf]]");
    assert_prints(counting(RILL_I32, 1, RILL_SHAPE(2, 3, 4)),
                  "[[[ 0  1  2  3]\n"
                  "  [ 4  5  6  7]\n"
                  "  [ 8  9 10 11]]\n"
                  "\n"
                  " [[12 13 14 15]\n"
                  "  [16 17 18 19]\n"
                  "  [20 21 22 23]]]");
    assert_prints(rill_full(tape, 1, RILL_F32, RILL_SHAPE(2, 1, 2, 1)),
                  "[[[[1.]\n"
                  "   [1.]]]\n"
                  "\n"
                  "\n"
                  " [[[1.]\n"
                  "   [1.]]]]");
}
END_TEST

START_TEST(lines_wrap_at_75)
{
    assert_prints(counting(RILL_F64, 0.125, RILL_SHAPE(30)),
                  "[0.    0.125 0.25  0.375 0.5   0.625 0.75  0.875 1.    "
                  "1.125 1.25  1.375\n"
                  " 1.5   1.625 1.75  1.875 2.    2.125 2.25  2.375 2.5   "
                  "2.625 2.75  2.875\n"
                  " 3.    3.125 3.25  3.375 3.5   3.625]");
    assert_prints(counting(RILL_I32, 1000, RILL_SHAPE(1, 24)),
                  "[[    0  1000  2000  3000  4000  5000  6000  7000  8000  "
                  "9000 10000 11000\n"
                  "  12000 13000 14000 15000 16000 17000 18000 19000 20000 "
                  "21000 22000 23000]]");
    assert_prints(counting(RILL_I32, 1e8, RILL_SHAPE(1, 1, 15)),
                  "[[[         0  100000000  200000000  300000000  "
                  "400000000  500000000\n"
                  "    600000000  700000000  800000000  900000000 "
                  "1000000000 1100000000\n"
                  "   1200000000 1300000000 1400000000]]]");
}
END_TEST

START_TEST(more_than_1000_elements_are_cut)
{
    assert_prints(counting(RILL_F64, 1, RILL_SHAPE(1001)),
                  "[   0.    1.    2. ...  998.  999. 1000.]");
    assert_prints(counting(RILL_I32, 1, RILL_SHAPE(40, 100)),
                  "[[   0    1    2 ...   97   98   99]\n"
                  " [ 100  101  102 ...  197  198  199]\n"
                  " [ 200  201  202 ...  297  298  299]\n"
                  " ...\n"
                  " [3700 3701 3702 ... 3797 3798 3799]\n"
                  " [3800 3801 3802 ... 3897 3898 3899]\n"
                  " [3900 3901 3902 ... 3997 3998 3999]]");
    assert_prints(counting(RILL_I32, 1, RILL_SHAPE(3, 0, 4000)), "[]");
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    rill_print(f, counting(RILL_I32, 1, RILL_SHAPE(1000)));
    fclose(f);
    ck_assert_ptr_null(strstr(text, "..."));
    free(text);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("print", elements_take_the_fewest_digits_and_align,
                       not_finite, scientific_notation, scalars_stand_bare,
                       empty_and_null, brackets_nest, lines_wrap_at_75,
                       more_than_1000_elements_are_cut);
}
