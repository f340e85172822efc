/* each_kernel.h: includes KERNEL_FILE once per float type and instruction
 * set. A file that has kernels looks like this:
 *
 *     #ifdef REAL                       (the kernels, in terms of REAL)
 *     static void FN(twice)(const REAL *x, ...) { ... }
 *     #else                             (the rest of the file, once)
 *     #define KERNEL_FILE "../ops/twice.c"
 *     #include "../tensor/each_kernel.h"
 *     KERNELS(twice)
 *     ... KERNEL(twice, t->isa, dtype)(x->data, ...) ...
 *     #endif
 *
 * All instances of a kernel have one signature: it takes void pointers. The
 * order here is the order of isa.c. VECTOR_BYTES is the instance's register
 * width, for the few kernels that name vectors. SIMD says that iterations of the next
 * loop are independent (or reduce as said); it adds no fast-math. */
#include "core.h"

#include <math.h>
#include <string.h>

#define RILL_PASTE_(name, real, isa) name##_##real##_##isa
#define RILL_PASTE(name, real, isa) RILL_PASTE_(name, real, isa)
#define FN(name) RILL_PASTE(name, REAL, ISA)
#define SIMD _Pragma("omp simd")
#define SIMD_REDUCE(op, ...) RILL_PRAGMA(omp simd reduction(op : __VA_ARGS__))
#define RILL_PRAGMA(x) _Pragma(#x)

#define KERNEL(name, isa, dtype) name##_kernels[isa][dtype]

#define ISA base
#define VECTOR_BYTES 16
#define REAL float
#include KERNEL_FILE
#undef REAL
#define REAL double
#include KERNEL_FILE
#undef REAL
#undef ISA
#undef VECTOR_BYTES

#ifdef __x86_64__

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#endif
#define ISA avx2
#define VECTOR_BYTES 32
#define REAL float
#include KERNEL_FILE
#undef REAL
#define REAL double
#include KERNEL_FILE
#undef REAL
#undef ISA
#undef VECTOR_BYTES
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
#endif
#define ISA avx512
#define VECTOR_BYTES 64
#define REAL float
#include KERNEL_FILE
#undef REAL
#define REAL double
#include KERNEL_FILE
#undef REAL
#undef ISA
#undef VECTOR_BYTES
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#define KERNELS(name)                                              \
    static __typeof__(name##_float_base) *const name##_kernels[][2] = { \
        { name##_float_base, name##_double_base },                 \
        { name##_float_avx2, name##_double_avx2 },                 \
        { name##_float_avx512, name##_double_avx512 },             \
    };

#else

#define KERNELS(name)                                                   \
    static __typeof__(name##_float_base) *const name##_kernels[][2] = { \
        { name##_float_base, name##_double_base },                      \
    };

#endif
