/* The elementary functions of kernels, for every type and instruction set:
 * their errors in units in the last place, against libm in long double. */
#ifndef REAL
#define KERNEL_FILE "../../tests/test_math.c"
#include "../src/tensor/each_kernel.h"
#endif

MAP1(exp, x, FN(math_exp)(x))
MAP1(log, x, FN(math_log)(x))
MAP1(log1p, x, FN(math_log1p)(x))
MAP1(tanh, x, FN(math_tanh)(x))
MAP1(sigmoid, x, FN(math_sigmoid)(x))
MAP1(silu, x, FN(math_silu)(x))
MAP1(softplus, x, FN(math_softplus)(x))
MAP1(normal_cdf, x, FN(math_normal_cdf)(x))
MAP1(gelu, x, FN(math_gelu)(x))
MAP1(pow, x, FN(math_pow)(x, (REAL)2.5))

#ifndef REAL
#include <check.h>
#include <float.h>

/* ---- the true values ---------------------------------------------------- */

/* From here down all tails are 0, of double too; what is worked out in their
 * place may be 0 times infinity. */
#define FAR_BELOW -2000

static long double true_sigmoid(long double x)
{
    return 1 / (1 + expl(-x));
}

static long double true_silu(long double x)
{
    return x < FAR_BELOW ? 0 : x * true_sigmoid(x);
}

static long double true_softplus(long double x)
{
    return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x));
}

/* x / sqrt(2) is rounded, which the tails would magnify into part of a unit:
 * it is corrected by the derivative of erfc. */
static long double true_normal_cdf(long double x)
{
    if (fabsl(x) > -FAR_BELOW)
        return x > 0;
    long double root = sqrtl(0.5L), y = -x * root;
    long double low = fmal(-root, root, 0.5L) / (2 * root);
    long double lost = fmal(-x, root, -y) - x * low;
    return (erfcl(y) - lost * 1.1283791670955125739L * expl(-y * y)) / 2;
}

static long double true_gelu(long double x)
{
    return x < FAR_BELOW ? 0 : x * true_normal_cdf(x);
}

static long double true_pow(long double x)
{
    return powl(x, 2.5L);
}

typedef void kernel(void *y, const void *const *x, size_t n,
                    const void *attrs);

static const struct {
    const char *name;
    kernel *const (*kernels)[2];
    long double (*exact)(long double);
    double bound[2]; /* units in the last place, of float and of double */
} cases[] = {
    { "exp", exp_kernels, expl, { 1.2, 1.2 } },
    { "log", log_kernels, logl, { 1, 1 } },
    { "log1p", log1p_kernels, log1pl, { 1.5, 1.5 } },
    { "tanh", tanh_kernels, tanhl, { 1.7, 1.8 } },
    { "sigmoid", sigmoid_kernels, true_sigmoid, { 2, 2 } },
    { "silu", silu_kernels, true_silu, { 2.5, 2.5 } },
    { "softplus", softplus_kernels, true_softplus, { 2, 2 } },
    { "normal_cdf", normal_cdf_kernels, true_normal_cdf, { 1.3, 4 } },
    { "gelu", gelu_kernels, true_gelu, { 1.3, 4 } },
    { "pow", pow_kernels, true_pow, { 1, 1.5 } },
};

enum { CASES = sizeof cases / sizeof *cases };

/* ---- comparing ---------------------------------------------------------- */

enum { BATCH = 1021 }; /* odd: loops have a remainder */

typedef union {
    float f[BATCH];
    double d[BATCH];
} values;

static long double value(const values *v, int dtype, size_t i)
{
    return dtype == RILL_F32 ? (long double)v->f[i] : (long double)v->d[i];
}

/* A true value and its unit in the last place, or that of the smallest normal
 * number if it is more. Infinity counts as the number after the largest, if
 * the true value is not itself infinite. */
typedef struct {
    long double t, after;
    double unit;
} truth;

static truth truth_of(long double t, int dtype)
{
    int digits = dtype == RILL_F32 ? FLT_MANT_DIG : DBL_MANT_DIG;
    int top = dtype == RILL_F32 ? FLT_MAX_EXP : DBL_MAX_EXP;
    int e = dtype == RILL_F32 ? FLT_MIN_EXP : DBL_MIN_EXP, exponent = e;
    long double after = ldexpl(1, top);
    if (isnan(t) || isinf(t))
        return (truth){ t, INFINITY, 1 };
    if (fabsl(t) >= after)
        return (truth){ copysignl(after, t), after, ldexp(1, top - digits) };
    if (t != 0)
        frexpl(t, &exponent);
    return (truth){ t, after,
                    ldexp(1, (exponent > e ? exponent : e) - digits) };
}

/* in units; NaN where one of the two is */
static double error_of(truth t, long double y)
{
    if (fabsl(y) > t.after)
        y = copysignl(t.after, y);
    return y == t.t ? 0 : (double)fabsl(y - t.t) / t.unit;
}

static void check(int c, int dtype, const values *x, size_t n)
{
    static const double numbers[2]; /* every map has two */
    static values y, alone;
    static truth t[BATCH];
    size_t width = dtype == RILL_F32 ? sizeof(float) : sizeof(double);
    for (size_t i = 0; i < n; i++)
        t[i] = truth_of(cases[c].exact(value(x, dtype, i)), dtype);
    for (int isa = 0; isa <= rill_isa_best(); isa++) {
        kernel *k = cases[c].kernels[isa][dtype];
        k(&y, (const void *[]){ x }, n, numbers);
        for (size_t i = 0; i < n; i++) {
            long double in = value(x, dtype, i), out = value(&y, dtype, i);
            double error = error_of(t[i], out);
            bool right = isnan(t[i].t) ? isnan(out)
                                       : error <= cases[c].bound[dtype];
            if (in == 0) /* and -0 and 0 are not the same */
                right = right && !signbit(out) == !signbit(t[i].t);
            if (!right)
                ck_abort_msg("%s(%La) in %s on %s is %La, not %La: %.2f ulp",
                             cases[c].name, in,
                             dtype == RILL_F32 ? "float" : "double",
                             rill_tape_isa(&(rill_tape){ .isa = isa }), out,
                             t[i].t, error);
        }
        /* the lanes of a vector and the remainder of a loop agree */
        for (size_t i = 0; i < n && i < 40; i++) {
            const void *at = (const char *)x + i * width;
            k(&alone, &at, 1, numbers);
            if (!isnan(t[i].t) &&
                memcmp(&alone, (char *)&y + i * width, width) != 0)
                ck_abort_msg("%s(%La) on %s is %La, but %La on its own",
                             cases[c].name, value(x, dtype, i),
                             rill_tape_isa(&(rill_tape){ .isa = isa }),
                             value(&y, dtype, i),
                             value(&alone, dtype, 0));
        }
    }
}

static uint64_t state;

static uint64_t random_bits(void) /* splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static double uniform(double range) /* in [-range, range) */
{
    return ((double)(random_bits() >> 11) * 0x1p-52 - 1) * range;
}

static const double ranges[] = { 1e-3, 0.5, 2, 10, 120, 800 };

enum { RANGES = sizeof ranges / sizeof *ranges };

START_TEST(special_values)
{
    static const double x[] = { 0, 1, 2, 0.5, INFINITY, NAN };
    static const float f[] = { FLT_MIN, FLT_MAX, 0x1p-149f };
    static const double d[] = { DBL_MIN, DBL_MAX, 0x1p-1074 };
    for (int dtype = RILL_F32; dtype <= RILL_F64; dtype++) {
        values v;
        size_t n = 0;
        for (int sign = -1; sign <= 1; sign += 2) {
            for (size_t i = 0; i < sizeof x / sizeof *x; i++, n++)
                if (dtype == RILL_F32)
                    v.f[n] = (float)(sign * x[i]);
                else
                    v.d[n] = sign * x[i];
            for (size_t i = 0; i < sizeof f / sizeof *f; i++, n++)
                if (dtype == RILL_F32)
                    v.f[n] = (float)sign * f[i];
                else
                    v.d[n] = sign * d[i];
        }
        check(_i, dtype, &v, n);
    }
}
END_TEST

/* Bit patterns at equal steps, which are as many small numbers as large ones,
 * NaNs and infinities too; and numbers where the functions bend. */
START_TEST(floats)
{
    values x;
    size_t n = 0;
    for (uint64_t b = 0; b <= UINT32_MAX; b += 9973) {
        uint32_t bits = (uint32_t)b;
        memcpy(&x.f[n++], &bits, sizeof bits);
        if (n == BATCH || b + 9973 > UINT32_MAX) {
            check(_i, RILL_F32, &x, n);
            n = 0;
        }
    }
    for (int r = 0; r < RANGES; r++)
        for (int k = 0; k < 20; k++) {
            for (size_t i = 0; i < BATCH; i++)
                x.f[i] = (float)uniform(ranges[r]);
            check(_i, RILL_F32, &x, BATCH);
        }
}
END_TEST

/* Random bits, and numbers where the functions bend. */
START_TEST(doubles)
{
    /* Valgrind computes long double in 64 bits, and there are processors
     * that have no more: nothing is left then to measure double with. */
    volatile long double one = 1;
    if (one + 0x1p-60L == 1)
        return;
    values x;
    for (int k = 0; k < 100; k++) {
        for (size_t i = 0; i < BATCH; i++) {
            uint64_t bits = random_bits();
            memcpy(&x.d[i], &bits, sizeof bits);
        }
        check(_i, RILL_F64, &x, BATCH);
    }
    for (int r = 0; r < RANGES; r++)
        for (int k = 0; k < 60; k++) {
            for (size_t i = 0; i < BATCH; i++)
                x.d[i] = uniform(ranges[r]);
            check(_i, RILL_F64, &x, BATCH);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("math");
    TCase *tcase = tcase_create("math");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, special_values, 0, CASES);
    tcase_add_loop_test(tcase, floats, 0, CASES);
    tcase_add_loop_test(tcase, doubles, 0, CASES);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
