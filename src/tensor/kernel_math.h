/* kernel_math.h: the elementary functions that kernels are made of.
 *
 * It is read once for every REAL and ISA, before the kernels, and so has no
 * include guard. All but math_pow are free of branches, tables and calls: a
 * SIMD loop around any of them becomes vector code of its ISA.
 *
 * Infinities, NaNs, zeros and subnormal numbers, going in or coming out, are
 * right everywhere. Nothing relies on fused multiply-add, which the oldest
 * ISA lacks, and nothing is hurt by it. tests/test_math.c holds the bounds of
 * the errors, which are 1 to 2 units in the last place for most.
 *
 * Clamps are written x > hi ? hi : x, which keeps a NaN. Integers made of a
 * NaN's bits are meaningless but, being unsigned, defined; the NaN in another
 * factor wins. Polynomials are minimax ones (Remez) for the relative error of
 * what they end up in, over the interval that is given, lowest power first. */

/* Decided when compiling: no branch is left, and of two constants one. */
#define IS_FLOAT (sizeof(REAL) == sizeof(float))
#define PICK(f, d) ((REAL)(IS_FLOAT ? f : d))

#define BITS_float uint32_t
#define BITS_double uint64_t
#define BITS_OF_(real) BITS_##real
#define BITS_OF(real) BITS_OF_(real)
#define BITS BITS_OF(REAL)
#define SIGN_BIT ((BITS)1 << (8 * sizeof(REAL) - 1))
#define MANTISSA (IS_FLOAT ? 23 : 52) /* bits of it */
#define BIAS (IS_FLOAT ? 127u : 1023u)

/* a + b x + c x^2 + ...: macros, as a loop would have to be unrolled before
 * the one around it can become vector code, and compilers differ in that */
#define HORNER1(x, a) (a)
#define HORNER2(x, a, ...) ((a) + (x) * HORNER1(x, __VA_ARGS__))
#define HORNER3(x, a, ...) ((a) + (x) * HORNER2(x, __VA_ARGS__))
#define HORNER4(x, a, ...) ((a) + (x) * HORNER3(x, __VA_ARGS__))
#define HORNER5(x, a, ...) ((a) + (x) * HORNER4(x, __VA_ARGS__))
#define HORNER6(x, a, ...) ((a) + (x) * HORNER5(x, __VA_ARGS__))
#define HORNER7(x, a, ...) ((a) + (x) * HORNER6(x, __VA_ARGS__))
#define HORNER8(x, a, ...) ((a) + (x) * HORNER7(x, __VA_ARGS__))
#define HORNER9(x, a, ...) ((a) + (x) * HORNER8(x, __VA_ARGS__))
#define HORNER10(x, a, ...) ((a) + (x) * HORNER9(x, __VA_ARGS__))
#define HORNER11(x, a, ...) ((a) + (x) * HORNER10(x, __VA_ARGS__))

#define MATH static inline __attribute__((always_inline, unused))

MATH BITS FN(math_bits)(REAL x)
{
    BITS b;
    memcpy(&b, &x, sizeof b);
    return b;
}

MATH REAL FN(math_real)(BITS b)
{
    REAL x;
    memcpy(&x, &b, sizeof x);
    return x;
}

MATH REAL FN(math_abs)(REAL x)
{
    return FN(math_real)(FN(math_bits)(x) & ~SIGN_BIT);
}

/* ---- exponentials ------------------------------------------------------- */

/* ln 2 in two parts (Cody and Waite, 1980). The first has so many trailing
 * zeros that its product with any exponent is exact. */
#define LN2_HIGH PICK(0x1.62e4p-1, 0x1.62e42fefa4p-1)
#define LN2_LOW PICK(0x1.7f7d1cp-20, -0x1.8432a1b0e2634p-43)

/* From these on, e^x is infinite, and x e^x rounds to zero. */
#define EXP_HIGH PICK(89, 710)
#define EXP_LOW PICK(-110, -755)

/* e^(x + low) = 2^k (1 + w), with |w| < 0.46 and low the part of the argument
 * that x has no bits for. Returns w. The lowest bits of *k, up to where an
 * exponent ends, are k + 2 BIAS: adding the magic number rounds the quotient
 * by ln 2 to an integer and leaves it there. */
MATH REAL FN(math_exp_split)(REAL x, REAL low, BITS *k)
{
    const REAL magic = PICK(0x1.8p23, 0x1.8p52) + 2 * BIAS;
    REAL t = x * PICK(0x1.715476p+0, 0x1.71547652b82fep+0) + magic;
    REAL n = t - magic;
    REAL r = x - n * LN2_HIGH - (n * LN2_LOW - low), q;
    if (IS_FLOAT) /* (e^r - 1 - r) / r^2, |r| < ln 2 / 2 */
        q = HORNER5(r, 0x1.fffffep-2f, 0x1.5554bp-3f, 0x1.555674p-5f,
                    0x1.1227bp-7f, 0x1.6bec04p-10f);
    else
        q = HORNER10(r, 0x1.0000000000005p-1, 0x1.5555555555539p-3,
                     0x1.555555555228dp-5, 0x1.1111111119014p-7,
                     0x1.6c16c17ee7628p-10, 0x1.a01a0174f89dep-13,
                     0x1.a019a749dde32p-16, 0x1.71de882ceaa69p-19,
                     0x1.28a2070ffadc7p-22, 0x1.ae6b9c7b71d1bp-26);
    *k = FN(math_bits)(t);
    return r + r * r * q;
}

MATH REAL FN(math_power_of_2)(BITS k)
{
    return FN(math_real)(k << MANTISSA);
}

/* x 2^k, x of either type. 2^k may lie outside REAL: 2^(k/2) 2^(k - k/2), and
 * both last, one at a time, so that a subnormal product is rounded once. */
#define TIMES_2_TO(k, x)                   \
    ((x) * FN(math_power_of_2)((k) >> 1) * \
     FN(math_power_of_2)((k) - ((k) >> 1)))

/* m e^(x + low) for x < EXP_HIGH */
MATH REAL FN(math_exp_times)(REAL x, REAL low, REAL m)
{
    BITS k;
    low = x < EXP_LOW ? 0 : low;
    x = x < EXP_LOW ? EXP_LOW : x;
    REAL w = FN(math_exp_split)(x, low, &k);
    return TIMES_2_TO(k, m + m * w);
}

MATH REAL FN(math_exp)(REAL x)
{
    return FN(math_exp_times)(x > EXP_HIGH ? EXP_HIGH : x, 0, 1);
}

/* a + a^3 P(a^2) up to 0.55, from where on 1 - 2 e^-2a / (1 + e^-2a) is
 * better than 1/2 and loses nothing in the subtraction. */
MATH REAL FN(math_tanh)(REAL x)
{
    REAL a = FN(math_abs)(x), z = a * a, p;
    if (IS_FLOAT)
        p = HORNER5(z, -0x1.55554ap-2f, 0x1.110d26p-3f, -0x1.b9287ap-5f,
                    0x1.593d06p-6f, -0x1.9b303ep-8f);
    else
        p = HORNER10(z, -0x1.555555555549ep-2, 0x1.111111110296p-3,
                     -0x1.ba1ba1ad707fp-5, 0x1.664f45c2b0cf7p-6,
                     -0x1.226ddd44212f1p-7, 0x1.d6c61d423923dp-9,
                     -0x1.7cf3b99b98d56p-10, 0x1.2fa27342411c4p-11,
                     -0x1.b909362e8091cp-13, 0x1.abffb4890b5fap-15);
    REAL e = FN(math_exp_times)(-2 * a, 0, 1);
    REAL y = a < (REAL)0.55 ? a + a * (z * p) : 1 - 2 * e / (1 + e);
    return FN(math_real)(FN(math_bits)(y) | (FN(math_bits)(x) & SIGN_BIT));
}

/* m / (1 + e^-x), with e = e^-|x|, which cannot overflow, and with q = e /
 * (1 + e): for x < 0 that is the sigmoid already, but e - e q has the smaller
 * error and, being m e - m e q, is right where e alone is subnormal. */
MATH REAL FN(math_sigmoid_times)(REAL x, REAL m)
{
    REAL a = FN(math_abs)(x);
    REAL e = FN(math_exp_times)(-a, 0, 1), me = FN(math_exp_times)(-a, 0, m);
    REAL q = (x < 0 ? e : m) / (1 + e);
    return x < 0 ? me - me * q : q;
}

MATH REAL FN(math_sigmoid)(REAL x)
{
    return FN(math_sigmoid_times)(x, 1);
}

/* x / (1 + e^-x) */
MATH REAL FN(math_silu)(REAL x)
{
    REAL m = x < EXP_LOW ? EXP_LOW : x; /* -infinity times 0 is NaN */
    return FN(math_sigmoid_times)(x, m);
}

/* ---- logarithms --------------------------------------------------------- */

/* x = 2^k m with m in [sqrt(1/2), sqrt(2)), x normal and positive. Returns m.
 * Subtracting the bits of sqrt(1/2) from those of x first makes the exponent
 * change there instead of at 1. It becomes a number by magic, as SSE2 and
 * AVX2 cannot convert 64-bit integers. */
MATH REAL FN(math_log_split)(REAL x, REAL *k)
{
    const BITS half = FN(math_bits)(PICK(0x1.6a09e6p-1, 0x1.6a09e667f3bcdp-1));
    const REAL magic = PICK(0x1p23, 0x1p52);
    BITS b = FN(math_bits)(x) - half + FN(math_bits)(1);
    *k = FN(math_real)(b >> MANTISSA | FN(math_bits)(magic)) - (magic + BIAS);
    return FN(math_real)((b & (((BITS)1 << MANTISSA) - 1)) + half);
}

/* ln(2^k (1 + f)) by the series of 2 atanh(s), s = f / (2 + f): that is 2 s +
 * s r, where r = s^2 (2/3 + 2/5 s^2 + ...). As 2 s = f - f s, and f s = h -
 * h s with h = f^2 / 2, it is f - (h - s (h + r)) too: f is exact, and every
 * rounding after it is of something much smaller. */
MATH REAL FN(math_log_join)(REAL k, REAL f)
{
    REAL s = f / (2 + f), z = s * s, h = f * f * (REAL)0.5, p;
    if (IS_FLOAT) /* 0 <= z < 0.0295 */
        p = HORNER3(z, 0x1.55557ap-1f, 0x1.995ed4p-2f, 0x1.31e0d8p-2f);
    else
        p = HORNER7(z, 0x1.5555555555592p-1, 0x1.999999997ff03p-2,
                    0x1.24924941e3514p-2, 0x1.c71c52123f14cp-3,
                    0x1.74663d6d97a15p-3, 0x1.39a1da3122c4p-3,
                    0x1.2f045c319925dp-3);
    return k * LN2_HIGH + (f - (h - (s * (h + z * p) + k * LN2_LOW)));
}

MATH REAL FN(math_log)(REAL x)
{
    const REAL normal = PICK(0x1p-126, 0x1p-1022);
    REAL k, m = FN(math_log_split)(x < normal ? x * (REAL)0x1p54 : x, &k);
    REAL y = FN(math_log_join)(x < normal ? k - 54 : k, m - 1);
    y = x < INFINITY ? y : x;
    return x > 0 ? y : x == 0 ? -INFINITY : NAN;
}

/* ln(1 + x) for -1 < x < infinity. With u = 1 + x as rounded, 1 + x = u + c
 * for a c that can be had exactly, and (u + c) / 2^k = m + c / 2^k. The scale
 * m / u = 2^-k is made of bits, twice as large because 2^-128 is subnormal. */
MATH REAL FN(math_log1p_finite)(REAL x)
{
    REAL u = 1 + x, c = x - (u - 1), k, m = FN(math_log_split)(u, &k);
    BITS scale = FN(math_bits)(m) - FN(math_bits)(u) + FN(math_bits)(2);
    c *= FN(math_real)(scale) * (REAL)0.5;
    return FN(math_log_join)(k, m - 1 + c);
}

MATH REAL FN(math_log1p)(REAL x)
{
    REAL y = FN(math_log1p_finite)(x);
    y = x == 0 || !(x < INFINITY) ? x : y;
    return x > -1 ? y : x == -1 ? -INFINITY : NAN;
}

/* ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|) */
MATH REAL FN(math_softplus)(REAL x)
{
    REAL e = FN(math_exp_times)(-FN(math_abs)(x), 0, 1);
    return (x < 0 ? 0 : x) + FN(math_log1p_finite)(e);
}

/* ---- the normal distribution -------------------------------------------- */

/* These compute in double for float too: all but e^(-a^2 / 2) of float would
 * cost accuracy that gelu's bound has no room for. */

/* |x|, up to where the functions below round to 0 or 1 anyway */
MATH REAL FN(math_normal_clamp)(REAL x)
{
    REAL a = FN(math_abs)(x);
    return a > PICK(15, 39) ? PICK(15, 39) : a;
}

/* m e^(-a^2 / 2), a clamped. The rounding error of a^2 would be multiplied by
 * a^2: with h the upper half of a's bits, a^2 = h^2 + (a - h) (a + h), where
 * h^2 is exact and the rest small. */
MATH double FN(math_gauss)(REAL a, double m)
{
    const BITS one = (BITS)1 << (IS_FLOAT ? 12 : 27);
    BITS k;
    REAL h = FN(math_real)((FN(math_bits)(a) + one / 2) & ~(one - 1));
    REAL w = FN(math_exp_split)(h * h * (REAL)-0.5,
                                (a - h) * (a + h) * (REAL)-0.5, &k);
    return TIMES_2_TO(k, m + m * w);
}

/* m times the probability of more than a, a clamped. Divided by e^(-a^2 / 2)
 * it falls from 1/2 at a = 0 like 1 / (a + constant); what is left after that
 * factor is a polynomial in s = (a - c) / (a + c). For double, the constant
 * 5/4 makes it so flat that errors of s hardly matter. */
MATH double FN(math_normal_tail)(REAL a, double m)
{
    const double c = IS_FLOAT ? 3 : 5;
    double t = 1 / (a + c), s = 2 * a * t - 1, z = s * s;
    if (IS_FLOAT) /* 0 <= a < 15 */
        m *= t *
             HORNER11(s, 0x1.754a751c6be92p-1, -0x1.04c729abd2104p-1,
                      0x1.d7138503eb216p-3, -0x1.832d0a68677d7p-5,
                      -0x1.56d5eb4c9da73p-7, 0x1.c8bda40188d05p-8,
                      0x1.0ca2129c19d9ep-10, -0x1.0eaed6ff17badp-10,
                      -0x1.009e34ebb734ep-12, 0x1.136b60fca6551p-13,
                      0x1.c9165a4917f6ap-15);
    else /* 0 <= a < 39; even powers, then odd ones */
        m *= (HORNER11(z, 0x1.ec4896da77b19p-2, 0x1.ebe8e26b674fep-5,
                       -0x1.d9140d6fa5023p-7, -0x1.a77265b0208adp-7,
                       -0x1.a8fbdda10bd92p-10, 0x1.5eb3b2c39a81dp-13,
                       -0x1.1460812834f63p-17, -0x1.f8e5250000e2bp-23,
                       0x1.2f4751648eb9ap-23, -0x1.9a2deaa7c2f97p-26,
                       0x1.ee1708874ddfep-30) +
              s * HORNER11(z, -0x1.04f3080b418bap-3, -0x1.4ed7f8c39abeep-7,
                           0x1.321c3a9d55851p-6, 0x1.84736ae5559c7p-8,
                           0x1.5af59fca965dcp-15, -0x1.bfacf41af0aeap-15,
                           0x1.2550a9e602698p-17, -0x1.4dfa9c0ccc3dfp-20,
                           0x1.875eaa1c13a5ep-23, -0x1.b2dabb7622888p-26,
                           0x1.247406d62f39ap-29)) /
             (a + 1.25);
    return FN(math_gauss)(a, m);
}

/* (1 + erf(x / sqrt 2)) / 2, which is erfc(-x / sqrt 2) / 2 */
MATH REAL FN(math_normal_cdf)(REAL x)
{
    double v = x, q = FN(math_normal_tail)(FN(math_normal_clamp)(x), 1);
    return (REAL)(v < 0 ? q : 1 - q);
}

/* x cdf(x) = max(x, 0) - |x| tail(|x|), and -0 of -0 */
MATH REAL FN(math_gelu)(REAL x)
{
    double v = x;
    REAL a = FN(math_normal_clamp)(x);
    REAL y = (REAL)((v < 0 ? 0 : v) - FN(math_normal_tail)(a, a));
    return x == 0 ? x : y;
}

/* ---- powers ------------------------------------------------------------- */

/* libm's, one element at a time: its special cases are many. */
MATH REAL FN(math_pow)(REAL x, REAL y)
{
    return (REAL)(IS_FLOAT ? powf((float)x, (float)y) : pow(x, y));
}

/* ---- rows --------------------------------------------------------------- */

/* The largest of n, in lanes: without fast-math clang does not turn a plain
 * reduction into vectors. -infinity of none; a NaN may be passed over. */
MATH REAL FN(math_largest)(const REAL *x, size_t n)
{
    enum { WIDTH = 16 };
    REAL lane[WIDTH], max = -(REAL)INFINITY;
    size_t i = 0;
    for (size_t c = 0; c < WIDTH; c++)
        lane[c] = max;
    for (; i + WIDTH <= n; i += WIDTH)
        SIMD for (size_t c = 0; c < WIDTH; c++)
            lane[c] = x[i + c] > lane[c] ? x[i + c] : lane[c];
    for (size_t c = 0; c < WIDTH; c++)
        max = lane[c] > max ? lane[c] : max;
    for (; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

/* y = e^(x - max) where y is not NULL; their sum. */
MATH REAL FN(math_exp_row)(const REAL *x, REAL max, REAL *y, size_t n)
{
    REAL sum = 0;
    if (y)
        SIMD_REDUCE(+, sum) for (size_t i = 0; i < n; i++) {
            REAL e = FN(math_exp)(x[i] - max);
            y[i] = e;
            sum += e;
        }
    else
        SIMD_REDUCE(+, sum) for (size_t i = 0; i < n; i++)
            sum += FN(math_exp)(x[i] - max);
    return sum;
}
