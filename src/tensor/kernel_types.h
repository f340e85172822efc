/* kernel_types.h: one instruction set's share of each_kernel.h: KERNEL_FILE
 * for float and for double. No guard: it is included once a set. */
#define REAL float
#include "kernel_math.h"
#include KERNEL_FILE
#undef REAL
#define REAL double
#include "kernel_math.h"
#include KERNEL_FILE
#undef REAL
#undef ISA
#undef VECTOR_BYTES
