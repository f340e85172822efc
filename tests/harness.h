/* harness.h: what the test programs share. */
#ifndef RILL_TESTS_HARNESS_H
#define RILL_TESTS_HARNESS_H

#include <check.h>
#include <math.h>
#include <rill.h>
#include <stdlib.h>
#include <string.h>

/* A tape that every test of a file gets anew. */
static rill_tape *tape;

static inline void harness_setup(void)
{
    tape = rill_tape_new(NULL);
    ck_assert_ptr_nonnull(tape);
}

static inline void harness_teardown(void)
{
    rill_tape_free(tape);
}

/* Runs a file's tests; main returns what this returns. */
static inline int harness_run(const char *name, const TTest *const *tests,
                              size_t n)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, harness_setup, harness_teardown);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
#define HARNESS_RUN(name, ...)                             \
    harness_run(name, (const TTest *const[]){ __VA_ARGS__ }, \
                sizeof((const TTest *const[]){ __VA_ARGS__ }) / \
                    sizeof(const TTest *))

/* Normal numbers; the same for the same seed. */
static inline rill_tensor *normal(uint64_t seed, rill_dtype dtype,
                                  rill_shape shape)
{
    rill_rng r = { .seed = seed };
    return rill_normal(tape, &r, 0, 1, dtype, shape);
}

/* Fails unless the tape holds no error. */
#define ASSERT_OK()                                                      \
    ck_assert_msg(rill_error(tape) == NULL, "unexpected error: %s",      \
                  rill_error(tape))

/* Fails unless result is NULL (or false) and the tape's error is exactly
 * this sentence; clears it. */
#define ASSERT_REFUSED(result, sentence)          \
    do {                                          \
        ck_assert(!(result));                     \
        ck_assert_pstr_eq(rill_error(tape), (sentence)); \
        rill_clear_error(tape);                   \
    } while (0)

/* |a - b| <= tolerance * max(|a|, |b|, 1), NaN equal to NaN. */
static inline bool near(double a, double b, double tolerance)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    if (isinf(a) || isinf(b))
        return a == b;
    return fabs(a - b) <= tolerance * fmax(fmax(fabs(a), fabs(b)), 1);
}
#define ASSERT_NEAR(a, b, tolerance)                                     \
    do {                                                                 \
        double near_a = (a), near_b = (b);                               \
        ck_assert_msg(near(near_a, near_b, tolerance),                   \
                      "%s is %.17g, %s is %.17g", #a, near_a, #b, near_b); \
    } while (0)

/* Fails unless x has this shape and these elements, to the tolerance. */
static inline void assert_tensor(const rill_tensor *x, rill_shape shape,
                                 const double *values, double tolerance)
{
    ASSERT_OK();
    ck_assert_ptr_nonnull(x);
    ck_assert_int_eq(rill_ndim(x), shape.ndim);
    for (int d = 0; d < shape.ndim; d++)
        ck_assert_int_eq(rill_dim(x, d), shape.dim[d]);
    for (int64_t i = 0; i < rill_numel(x); i++)
        ck_assert_msg(near(rill_at(x, i), values[i], tolerance),
                      "element %d is %.17g, not %.17g", (int)i,
                      rill_at(x, i), values[i]);
}

/* First and second derivatives of f against central differences; notes that
 * the op of this name, as ops.h has it, was checked. */
static inline void check_op(const char *op, rill_function *f,
                            const rill_tensor **inputs, int n, void *user)
{
    bool right = rill_gradcheck(
        tape, f, inputs, n,
        &(rill_gradcheck_opts){ .second_order = true, .user = user });
    ck_assert_msg(right, "%s: %s", op, rill_error(tape));
    const char *path = getenv("RILL_GRADCHECKED");
    FILE *noted = path ? fopen(path, "a") : NULL;
    if (noted) {
        fprintf(noted, "%s\n", op);
        fclose(noted);
    }
}
#define CHECK_OP(function, f, n, user, ...)                        \
    check_op(#function, f, (const rill_tensor *[]){ __VA_ARGS__ }, n, user)

#endif
