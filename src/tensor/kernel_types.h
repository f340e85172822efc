/* kernel_types.h: one instruction set's share of each_kernel.h: the kernels of
 * a file for float and for double. No guard: it is included once a set. */
#define REAL float
#include "kernel_math.h"
#ifdef KERNEL_FILE
#include KERNEL_FILE
#endif
MAPS
#undef REAL
#define REAL double
#include "kernel_math.h"
#ifdef KERNEL_FILE
#include KERNEL_FILE
#endif
MAPS
#undef REAL
#undef ISA
#undef VECTOR_BYTES
