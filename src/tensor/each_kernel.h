/* each_kernel.h: compiles a file's kernels once per float type and instruction
 * set. Kernels of a line each are the file's MAPS; others are written out, and
 * the file KERNEL_FILE, itself, is included again for each instance:
 *
 *     #define MAPS MAP1(twice, x, 2 * x)           (a kernel in a line)
 *     #define KERNEL_FILE "../ops/twice.c"         (only where others follow)
 *     #include "common.h"                          (which includes this)
 *     #ifdef REAL
 *     static void FN(thrice)(void *out, ...) ...   (one written out)
 *     #else
 *     KERNELS(thrice)                              (its table of instances)
 *     ... KERNEL(thrice, t->isa, dtype)(...) ...   (all else, once)
 *     #endif
 *
 * While REAL is defined, what stands under it is compiled for that type and
 * instruction set; all instances of a kernel have one signature, of void
 * pointers. The order is that of isa.c. VECTOR_BYTES is a register's width,
 * for the few kernels that name vectors. SIMD says that the iterations of
 * the next loop are independent (or add up as said: clang starts a max from
 * -FLT_MAX, not -infinity); it adds no fast-math.
 * kernel_math.h gives each instance exp, log and their kin as FN(math_exp).
 */
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

/* y[i] = f(x[0][i], x[1][i], ...) for n elements; attrs: two numbers of the
 * op's own. MAP2(mul, a, b, a * b) is one: the expression sees an element of
 * each input, and the numbers as s0 and s1. */
#define MAP1(name, x, ...) MAP(name, MAP_LOAD(x, 0), __VA_ARGS__)
#define MAP2(name, x, y, ...) \
    MAP(name, MAP_LOAD(x, 0); MAP_LOAD(y, 1), __VA_ARGS__)
#define MAP_LOAD(x, k) REAL x = ((const REAL *)in[k])[i]
#define MAP(name, load, ...)                                             \
    static void FN(name)(void *out, const void *const *in, size_t n,     \
                         const void *attrs)                              \
    {                                                                    \
        const double *s = attrs;                                         \
        const REAL s0 = (REAL)s[0], s1 = (REAL)s[1];                     \
        (void)s0, (void)s1;                                              \
        SIMD for (size_t i = 0; i < n; i++)                              \
        {                                                                \
            load;                                                        \
            ((REAL *)out)[i] = (__VA_ARGS__);                            \
        }                                                                \
    }

#ifndef MAPS
#define MAPS
#endif

#define ISA base
#define VECTOR_BYTES 16
#include "kernel_types.h"

#ifdef __x86_64__

#ifdef __clang__ /* between these two: code for another processor */
#define TARGET(...) RILL_PRAGMA(clang attribute push(                 \
    __attribute__((target(__VA_ARGS__))), apply_to = function))
#define TARGET_END RILL_PRAGMA(clang attribute pop)
#define WIDE
#else
#define TARGET(...) RILL_PRAGMA(GCC push_options) \
                    RILL_PRAGMA(GCC target(__VA_ARGS__))
#define TARGET_END RILL_PRAGMA(GCC pop_options)
#define WIDE ",prefer-vector-width=512"
#endif

TARGET("arch=x86-64-v3")
#define ISA avx2
#define VECTOR_BYTES 32
#include "kernel_types.h"
TARGET_END

TARGET("arch=x86-64-v4" WIDE)
#define ISA avx512
#define VECTOR_BYTES 64
#include "kernel_types.h"
TARGET_END

#define KERNELS_X86(name)                          \
    { name##_float_avx2, name##_double_avx2 },     \
    { name##_float_avx512, name##_double_avx512 },
#else
#define KERNELS_X86(name)
#endif

#define KERNELS(name)                                                   \
    static __typeof__(name##_float_base) *const name##_kernels[][2] = { \
        { name##_float_base, name##_double_base }, KERNELS_X86(name)    \
    };

/* from here on a MAP is its table */
#undef MAP
#define MAP(name, ...) KERNELS(name)
MAPS
