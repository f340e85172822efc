/* kernel_vector.h: vectors by name, for the few kernels that a compiler does
 * not vectorise by itself: LANES elements of REAL fill a register of the
 * instance. Included inside a kernel section; no guard, as kernel_math.h. */
#ifndef RILL_SHUFFLE
#define LANES_float_16 4
#define LANES_double_16 2
#define LANES_float_32 8
#define LANES_double_32 4
#define LANES_float_64 16
#define LANES_double_64 8
#define LANES RILL_PASTE(LANES, REAL, VECTOR_BYTES)

/* the elements of two vectors at even, and at odd places */
#define RILL_EVEN_2 0, 2
#define RILL_ODD_2 1, 3
#define RILL_EVEN_4 0, 2, 4, 6
#define RILL_ODD_4 1, 3, 5, 7
#define RILL_EVEN_8 RILL_EVEN_4, 8, 10, 12, 14
#define RILL_ODD_8 RILL_ODD_4, 9, 11, 13, 15
#define RILL_EVEN_16 RILL_EVEN_8, 16, 18, 20, 22, 24, 26, 28, 30
#define RILL_ODD_16 RILL_ODD_8, 17, 19, 21, 23, 25, 27, 29, 31
/* the lower, and the upper halves of two vectors interleaved */
#define RILL_LOW_2 0, 2
#define RILL_HIGH_2 1, 3
#define RILL_LOW_4 0, 4, 1, 5
#define RILL_HIGH_4 2, 6, 3, 7
#define RILL_LOW_8 0, 8, 1, 9, 2, 10, 3, 11
#define RILL_HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
#define RILL_LOW_16 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define RILL_HIGH_16 \
    8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
/* all of one, and its upper half */
#define RILL_ALL_4 0, 1, 2, 3
#define RILL_ALL_8 RILL_ALL_4, 4, 5, 6, 7
#define RILL_ALL_16 RILL_ALL_8, 8, 9, 10, 11, 12, 13, 14, 15
#define RILL_TOP_8 4, 5, 6, 7
#define RILL_TOP_16 8, 9, 10, 11, 12, 13, 14, 15
#define RILL_HALF_8 RILL_ALL_4
#define RILL_HALF_16 RILL_ALL_8
#define RILL_PICK(kind, n) RILL_PICK_(kind, n)
#define RILL_PICK_(kind, n) RILL_##kind##_##n
#define RILL_SHUFFLE(a, b, kind) \
    __builtin_shufflevector(a, b, RILL_PICK(kind, LANES))
#endif

/* Loads and stores need an element's alignment, no more. */
typedef REAL FN(vector) __attribute__((vector_size(VECTOR_BYTES),
                                       aligned(sizeof(REAL)), may_alias));

/* w vectors hold LANES rows of w elements; after it vector c holds element c
 * of every row. Taking the even and odd places of neighbours apart rotates an
 * element's address (vector, place) by one bit: as often as w has bits. For
 * w = LANES that transposes a square. w: a constant power of two. */
__attribute__((always_inline, unused)) static inline void
FN(rows_to_columns)(FN(vector) *r, const int w)
{
    FN(vector) to[LANES];
#pragma GCC unroll 4
    for (int stage = 1; stage < w; stage *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < w / 2; i++) {
            to[i] = RILL_SHUFFLE(r[2 * i], r[2 * i + 1], EVEN);
            to[i + w / 2] = RILL_SHUFFLE(r[2 * i], r[2 * i + 1], ODD);
        }
#pragma GCC unroll 16
        for (int i = 0; i < w; i++)
            r[i] = to[i];
    }
}

/* The way back. */
__attribute__((always_inline, unused)) static inline void
FN(columns_to_rows)(FN(vector) *r, const int w)
{
    FN(vector) to[LANES];
#pragma GCC unroll 4
    for (int stage = 1; stage < w; stage *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < w / 2; i++) {
            to[2 * i] = RILL_SHUFFLE(r[i], r[i + w / 2], LOW);
            to[2 * i + 1] = RILL_SHUFFLE(r[i], r[i + w / 2], HIGH);
        }
#pragma GCC unroll 16
        for (int i = 0; i < w; i++)
            r[i] = to[i];
    }
}

/* LANES rows of n elements, n <= LANES, to a vector a class, and back. Rows
 * are read and written LANES wide, or half as wide where that holds n: what a
 * row spills is the next row's to overwrite. */
#if LANES >= 8
typedef REAL FN(half) __attribute__((vector_size(VECTOR_BYTES / 2),
                                     aligned(sizeof(REAL)), may_alias));
#endif

__attribute__((always_inline, unused)) static inline void
FN(load_rows)(const REAL *x, size_t n, FN(vector) *r)
{
#if LANES >= 8
    if (n <= LANES / 2) {
#pragma GCC unroll 8
        for (size_t i = 0; i < LANES / 2; i++) {
            FN(half) a = *(const FN(half) *)(x + 2 * i * n);
            FN(half) b = *(const FN(half) *)(x + (2 * i + 1) * n);
            r[i] = __builtin_shufflevector(a, b, RILL_PICK(ALL, LANES));
        }
        FN(rows_to_columns)(r, LANES / 2);
        return;
    }
#endif
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++)
        r[i] = *(const FN(vector) *)(x + i * n);
    FN(rows_to_columns)(r, LANES);
}

__attribute__((always_inline, unused)) static inline void
FN(store_rows)(REAL *x, size_t n, FN(vector) *r)
{
#if LANES >= 8
    if (n <= LANES / 2) {
        FN(columns_to_rows)(r, LANES / 2);
#pragma GCC unroll 8
        for (size_t i = 0; i < LANES / 2; i++) {
            *(FN(half) *)(x + 2 * i * n) = __builtin_shufflevector(
                r[i], r[i], RILL_PICK(HALF, LANES));
            *(FN(half) *)(x + (2 * i + 1) * n) = __builtin_shufflevector(
                r[i], r[i], RILL_PICK(TOP, LANES));
        }
        return;
    }
#endif
    FN(columns_to_rows)(r, LANES);
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++)
        *(FN(vector) *)(x + i * n) = r[i];
}
