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
#define RILL_PICK(kind, n) RILL_PICK_(kind, n)
#define RILL_PICK_(kind, n) RILL_##kind##_##n
#define RILL_SHUFFLE(a, b, kind) \
    __builtin_shufflevector(a, b, RILL_PICK(kind, LANES))
#endif

/* Loads and stores need an element's alignment, no more. */
typedef REAL FN(vector) __attribute__((vector_size(VECTOR_BYTES),
                                       aligned(sizeof(REAL)), may_alias));

/* Turns a square: vector i, a row of LANES elements, becomes column i. Taking
 * the even and odd places of neighbours apart rotates an element's address
 * (vector, place) by one bit: as often as LANES has bits. */
__attribute__((always_inline, unused)) static inline void
FN(rows_to_columns)(FN(vector) *r)
{
    FN(vector) to[LANES];
#pragma GCC unroll 4
    for (int stage = 1; stage < LANES; stage *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            to[i] = RILL_SHUFFLE(r[2 * i], r[2 * i + 1], EVEN);
            to[i + LANES / 2] = RILL_SHUFFLE(r[2 * i], r[2 * i + 1], ODD);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            r[i] = to[i];
    }
}
