/* isa.c: which instance of the kernels a tape uses.
 *
 * The order is each_kernel.h's. The choice is made when a tape is made and
 * kept there: the same instruction set gives the same bits. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

static const char *const isa_names[] = { "baseline", "avx2", "avx512" };

static int isa_of_cpu(void)
{
    int isa = 0;
#ifdef __x86_64__
#define HAS __builtin_cpu_supports /* clang 14 has no levels by name */
    isa += HAS("avx2") && HAS("fma") && HAS("bmi2");
    isa += isa && HAS("avx512f") && HAS("avx512dq") && HAS("avx512bw") &&
           HAS("avx512vl") && HAS("avx512cd");
#endif
    return isa;
}

/* The best instruction set that this processor has and that RILL_ISA, when
 * the environment has it ("baseline", "avx2", "avx512"), allows. A name that
 * is unknown or beyond the processor is passed over. */
int rill_isa_best(void)
{
    int best = isa_of_cpu();
    const char *wanted = getenv("RILL_ISA");
    for (int i = 0; wanted && i < best; i++)
        if (strcmp(wanted, isa_names[i]) == 0)
            return i;
    return best;
}

/* The instruction set of the tape's kernels: "baseline", "avx2", "avx512".
 * RILL_ISA in the environment sets a lower one than the processor has. */
RILL_READER(const char *, rill_tape_isa, rill_tape, isa_names[x->isa], "")
