/* isa.c: which instance of the kernels a tape uses.
 *
 * The order is each_kernel.h's. The choice is made when a tape is made and
 * kept there: the same instruction set gives the same bits. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

#ifdef __x86_64__
static const char *const isa_names[] = { "baseline", "avx2", "avx512" };
#else
static const char *const isa_names[] = { "baseline" };
#endif

enum { ISA_COUNT = sizeof isa_names / sizeof *isa_names };

static int isa_of_cpu(void)
{
#ifdef __x86_64__
    /* clang 14 does not know the levels by name: ask feature by feature */
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__builtin_cpu_supports("bmi2"))
        return 0;
    if (!__builtin_cpu_supports("avx512f") ||
        !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512cd"))
        return 1;
    return 2;
#else
    return 0;
#endif
}

/* The best instruction set that this processor has and that RILL_ISA, when
 * the environment has it ("baseline", "avx2", "avx512"), allows. A name that
 * is unknown or beyond the processor is passed over. */
int rill_isa_best(void)
{
    int best = isa_of_cpu();
    const char *wanted = getenv("RILL_ISA");
    for (int i = 0; wanted && i < ISA_COUNT && i < best; i++)
        if (strcmp(wanted, isa_names[i]) == 0)
            return i;
    return best;
}

const char *rill_isa_name(int isa)
{
    return isa_names[isa];
}
