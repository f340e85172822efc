/* rng.c: random numbers whose stream is fixed for ever.
 *
 * SplitMix64 (Steele, Lea and Flood, 2014): number i of a stream is a mix of
 * seed + (i + 1) gamma, so any number can be had without those before it. */
#include "core.h"

#include <math.h>

/* The next 64 random bits. */
uint64_t rill_rng_next(rill_rng *r)
{
    uint64_t z = r->seed + ++r->drawn * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number in [0, 1), a multiple of 2^-53. Draws once. */
double rill_rng_uniform(rill_rng *r)
{
    return (double)(rill_rng_next(r) >> 11) * 0x1p-53;
}

/* A normal number of mean 0 and variance 1, by Box and Muller. Draws twice.
 * The C library's log and cos make its last bits differ between CPUs. */
double rill_rng_normal(rill_rng *r)
{
    double u = 1 - rill_rng_uniform(r), v = rill_rng_uniform(r);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* A whole number in [0, n), each equally likely; 0 where n is 0. Draws once,
 * rarely more often. */
uint64_t rill_rng_below(rill_rng *r, uint64_t n)
{
    if (n == 0)
        return 0;
    uint64_t z, spare = -n % n; /* 2^64 mod n: those draws are refused */
    do
        z = rill_rng_next(r);
    while (z < spare);
    return z % n;
}
