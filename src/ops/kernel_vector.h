/* kernel_vector.h: vectors by name, for the few kernels that a compiler does
 * not vectorise by itself: LANES elements of REAL fill a register of the
 * instance. Included inside a kernel section; no guard, as kernel_math.h. */
#ifndef RILL_ZIP_LOW
#define LANES_float_16 4
#define LANES_double_16 2
#define LANES_float_32 8
#define LANES_double_32 4
#define LANES_float_64 16
#define LANES_double_64 8
#define LANES RILL_PASTE(LANES, REAL, VECTOR_BYTES)

/* the lower, or upper, halves of two vectors interleaved */
#define RILL_ZIP_LOW_2 0, 2
#define RILL_ZIP_HIGH_2 1, 3
#define RILL_ZIP_LOW_4 0, 4, 1, 5
#define RILL_ZIP_HIGH_4 2, 6, 3, 7
#define RILL_ZIP_LOW_8 0, 8, 1, 9, 2, 10, 3, 11
#define RILL_ZIP_HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
#define RILL_ZIP_LOW_16 \
    0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define RILL_ZIP_HIGH_16 \
    8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define RILL_ZIP_LOW(n) RILL_ZIP_LOW_(n)
#define RILL_ZIP_LOW_(n) RILL_ZIP_LOW_##n
#define RILL_ZIP_HIGH(n) RILL_ZIP_HIGH_(n)
#define RILL_ZIP_HIGH_(n) RILL_ZIP_HIGH_##n
#endif

/* Loads and stores need an element's alignment, no more. */
typedef REAL FN(vector) __attribute__((vector_size(VECTOR_BYTES),
                                       aligned(sizeof(REAL)), may_alias));

/* Transposes LANES vectors of LANES. Interleaving rows i and i + LANES/2
 * rotates an element's address (row, column) by one bit; as many times as a
 * row number has bits make (column, row) of it. */
__attribute__((always_inline, unused)) static inline void
FN(transpose)(FN(vector) *r)
{
    FN(vector) to[LANES];
#pragma GCC unroll 4
    for (int stage = 1; stage < LANES; stage *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            to[2 * i] = __builtin_shufflevector(r[i], r[i + LANES / 2],
                                                RILL_ZIP_LOW(LANES));
            to[2 * i + 1] = __builtin_shufflevector(r[i], r[i + LANES / 2],
                                                    RILL_ZIP_HIGH(LANES));
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            r[i] = to[i];
    }
}
