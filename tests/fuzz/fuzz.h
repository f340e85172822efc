/* fuzz.h: what the fuzz targets share. Each is one file with one function,
 * which libFuzzer calls with bytes of its choice (make fuzz) and the suite
 * with those of tests/fuzz/corpus (test_fuzz.c). Not to crash is the test;
 * what more a target knows to be true it checks itself. */
#ifndef RILL_TESTS_FUZZ_H
#define RILL_TESTS_FUZZ_H

#define _GNU_SOURCE /* memfd_create */
#include <math.h>
#include <rill.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Stops with a core where something is not as it must be. */
#define FUZZ_CHECK(truth)                                             \
    do {                                                              \
        if (!(truth)) {                                               \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #truth); \
            abort();                                                  \
        }                                                             \
    } while (0)

/* A file in memory with these bytes, and a path to it; close it after. */
static inline int fuzz_file(const uint8_t *bytes, size_t n, char path[32])
{
    int fd = memfd_create("fuzz", 0);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#endif
