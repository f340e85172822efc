/* sum, mean, var, max, min, logsumexp and argmax. Every value is compared
 * with the same thing computed naively from the elements in question. */
#include "harness.h"

static const int sizes[] = { 1, 2, 3, 7, 17, 33, 130 };
enum { SIZES = sizeof sizes / sizeof *sizes, MOST = 4096 };

/* ---- every reduction against a naive one -------------------------------- */

typedef double naive(const double *v, int n);
typedef rill_tensor *reduction(rill_tape *t, const rill_tensor *x,
                               const rill_reduce_opts *opts);

static double naive_sum(const double *v, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += v[i];
    return s;
}

static double naive_mean(const double *v, int n)
{
    return naive_sum(v, n) / n;
}

static double naive_var(const double *v, int n)
{
    double s = 0, mean = naive_mean(v, n);
    for (int i = 0; i < n; i++)
        s += (v[i] - mean) * (v[i] - mean);
    return s / n;
}

static double naive_max(const double *v, int n)
{
    double m = v[0];
    for (int i = 1; i < n; i++)
        m = v[i] > m ? v[i] : m;
    return m;
}

static double naive_min(const double *v, int n)
{
    double m = v[0];
    for (int i = 1; i < n; i++)
        m = v[i] < m ? v[i] : m;
    return m;
}

static double naive_logsumexp(const double *v, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += exp(v[i]);
    return log(s);
}

static double naive_argmax(const double *v, int n)
{
    int at = 0;
    for (int i = 1; i < n; i++)
        at = v[i] > v[at] ? i : at;
    return at;
}

static rill_tensor *variance(rill_tape *t, const rill_tensor *x,
                             const rill_reduce_opts *o)
{
    return rill_var(t, x, &(rill_var_opts){ .dims = o->dims,
                                            .keepdim = o->keepdim });
}

/* The tolerances are a few rounding errors: one of the result, for logsumexp
 * those of the exponentials too, and for var, which is made of other ops,
 * those of the mean, the deviations and their squares (1.2e-7 measured). */
static const struct {
    reduction *op;
    naive *like;
    double f32, f64;
} reductions[] = {
    { rill_sum, naive_sum, 1e-7, 1e-14 },
    { rill_mean, naive_mean, 1e-7, 1e-14 },
    { variance, naive_var, 3e-7, 1e-14 },
    { rill_max, naive_max, 0, 0 },
    { rill_min, naive_min, 0, 0 },
    { rill_logsumexp, naive_logsumexp, 5e-7, 1e-14 },
    { rill_argmax, naive_argmax, 0, 0 },
};
enum { REDUCTIONS = sizeof reductions / sizeof *reductions };

/* x [a, b, c] reduced over the dims whose bit is set, kept or not. */
static void compare(const rill_tensor *x, unsigned over, bool keepdim)
{
    int64_t size[3], at[3];
    const int64_t step[] = { rill_dim(x, 1) * rill_dim(x, 2),
                             rill_dim(x, 2), 1 };
    rill_reduce_opts o = { .keepdim = keepdim };
    rill_shape shape = { 0 };
    for (int d = 0; d < 3; d++) {
        size[d] = rill_dim(x, d);
        if (over >> d & 1)
            o.dims.dim[o.dims.n++] = d % 2 ? d : d - 3; /* either way */
        if (keepdim || !(over >> d & 1))
            shape.dim[shape.ndim++] = over >> d & 1 ? 1 : size[d];
    }
    bool f32 = rill_dtype_of(x) == RILL_F32;
    for (int r = 0; r < REDUCTIONS; r++) {
        double expected[MOST], v[MOST];
        int n_out = 0;
        for (at[0] = 0; at[0] < (over & 1 ? 1 : size[0]); at[0]++)
        for (at[1] = 0; at[1] < (over & 2 ? 1 : size[1]); at[1]++)
        for (at[2] = 0; at[2] < (over & 4 ? 1 : size[2]); at[2]++) {
            int64_t from = at[0] * step[0] + at[1] * step[1] + at[2];
            int n = 0;
            for (int64_t i = 0; i < (over & 1 ? size[0] : 1); i++)
            for (int64_t j = 0; j < (over & 2 ? size[1] : 1); j++)
            for (int64_t k = 0; k < (over & 4 ? size[2] : 1); k++)
                v[n++] = rill_at(x, from + i * step[0] + j * step[1] + k);
            expected[n_out++] = reductions[r].like(v, n);
        }
        rill_tensor *y = reductions[r].op(tape, x, &o);
        assert_tensor(y, shape, expected,
                      f32 ? reductions[r].f32 : reductions[r].f64);
        ck_assert_int_eq(rill_dtype_of(y), reductions[r].op == rill_argmax
                                               ? RILL_I32
                                               : rill_dtype_of(x));
    }
}

START_TEST(values)
{
    const rill_dtype dtypes[] = { RILL_F32, RILL_F64 };
    for (int i = 0; i < 2 * SIZES; i++) {
        int n = sizes[i / 2];
        rill_dtype dtype = dtypes[i % 2];
        for (unsigned over = 1; over < 8; over++)
            for (int keepdim = 0; keepdim < 2; keepdim++) {
                compare(normal(1, dtype, RILL_SHAPE(2, n, 3)), over, keepdim);
                compare(normal(2, dtype, RILL_SHAPE(3, 2, n)), over, keepdim);
                compare(normal(3, dtype, RILL_SHAPE(n, 1, 5)), over, keepdim);
                rill_tape_reset(tape);
            }
        compare(normal(4, dtype, RILL_SHAPE(2, 3, 4 * n)), 2, false);
    }
}
END_TEST

/* No dims mean all of them, whatever the shape; a scalar has none. */
START_TEST(over_everything)
{
    rill_tensor *x = normal(5, RILL_F64, RILL_SHAPE(3, 7));
    rill_tensor *s = normal(6, RILL_F64, RILL_SCALAR);
    rill_reduce_opts keep = { .keepdim = true };
    for (int r = 0; r < REDUCTIONS; r++) {
        double y = reductions[r].like(rill_f64(x), 21);
        double of_one = reductions[r].like(rill_f64(s), 1);
        assert_tensor(reductions[r].op(tape, s, &(rill_reduce_opts){ 0 }),
                      RILL_SCALAR, &of_one, 1e-14);
        assert_tensor(reductions[r].op(tape, x, &(rill_reduce_opts){ 0 }),
                      RILL_SCALAR, &y, 1e-14);
        assert_tensor(reductions[r].op(tape, x, &keep), RILL_SHAPE(1, 1), &y,
                      1e-14);
        if (reductions[r].op != variance)
            assert_tensor(reductions[r].op(tape, x, NULL), RILL_SCALAR, &y,
                          1e-14);
    }
    double var = naive_var(rill_f64(x), 21);
    assert_tensor(rill_var(tape, x, NULL), RILL_SCALAR, &var, 1e-14);
}
END_TEST

/* ---- what is particular to each ----------------------------------------- */

START_TEST(empty)
{
    rill_tensor *x = rill_zeros(tape, RILL_F32, RILL_SHAPE(2, 0, 3));
    rill_reduce_opts middle = { .dims = RILL_DIMS(1) };
    rill_reduce_opts first = { .dims = RILL_DIMS(0) };
    double zeros[6] = { 0 }, nans[6], low[6];
    for (int i = 0; i < 6; i++) {
        nans[i] = NAN;
        low[i] = -INFINITY;
    }
    assert_tensor(rill_sum(tape, x, &middle), RILL_SHAPE(2, 3), zeros, 0);
    assert_tensor(rill_mean(tape, x, &middle), RILL_SHAPE(2, 3), nans, 0);
    assert_tensor(variance(tape, x, &middle), RILL_SHAPE(2, 3), nans, 0);
    assert_tensor(rill_logsumexp(tape, x, &middle), RILL_SHAPE(2, 3), low, 0);
    for (int r = 0; r < REDUCTIONS; r++)
        assert_tensor(reductions[r].op(tape, x, &first), RILL_SHAPE(0, 3),
                      zeros, 0);
    ASSERT_REFUSED(rill_max(tape, x, &middle),
                   "max: x is [2, 0, 3]: there is no max of nothing");
    ASSERT_REFUSED(rill_min(tape, x, NULL),
                   "min: x is [2, 0, 3]: there is no min of nothing");
    ASSERT_REFUSED(rill_argmax(tape, x, &middle),
                   "argmax: x is [2, 0, 3]: there is no argmax of nothing");
    for (int r = 0; r < REDUCTIONS - 1; r++) { /* all but argmax */
        rill_tensor *w = rill_watch(tape, x);
        rill_tensor *loss = rill_sum(tape, reductions[r].op(tape, w, &first),
                                     NULL);
        ck_assert(rill_backward(tape, loss, NULL));
        assert_tensor(rill_grad(tape, w), RILL_SHAPE(2, 0, 3), zeros, 0);
    }
}
END_TEST

/* What would overflow or drown in float32 does not: the sums are double. */
START_TEST(accuracy)
{
    double huge[] = { 3e38, 3e38, -3e38, 3e38 };
    rill_tensor *x = rill_from(tape, huge, RILL_F32, RILL_SHAPE(4));
    ASSERT_NEAR(rill_item(rill_mean(tape, x, NULL)), 1.5e38, 1e-7);
    rill_tensor *y = rill_full(tape, 1, RILL_F32, RILL_SHAPE(40000000));
    ck_assert(rill_item(rill_sum(tape, y, NULL)) == 4e7);
    ck_assert(rill_item(rill_mean(tape, y, NULL)) == 1);
    double far[] = { 1e8 + 1, 1e8 + 2, 1e8 + 3 };
    rill_tensor *z = rill_from(tape, far, RILL_F64, RILL_SHAPE(3));
    ASSERT_NEAR(rill_item(rill_var(tape, z, &(rill_var_opts){
                                                .correction = 1 })), 1, 0);
}
END_TEST

START_TEST(var_correction)
{
    double v[] = { 1, 2, 4, 9 };
    rill_tensor *x = rill_from(tape, v, RILL_F64, RILL_SHAPE(2, 2));
    double one[] = { 0.5, 12.5 };
    assert_tensor(rill_var(tape, x, &(rill_var_opts){
                      .dims = RILL_DIMS(1), .correction = 1 }),
                  RILL_SHAPE(2), one, 1e-15);
    /* 38 is the sum of squares about the mean of 4 */
    ASSERT_NEAR(rill_item(rill_var(tape, x, NULL)), 38.0 / 4, 1e-15);
    ASSERT_NEAR(rill_item(rill_var(tape, x, &(rill_var_opts){
                              .correction = 0.5 })), 38 / 3.5, 1e-15);
    /* no more elements than are corrected for: as PyTorch, never negative */
    double v1[] = { INFINITY, INFINITY }, v2[] = { NAN, NAN, NAN, NAN };
    assert_tensor(rill_var(tape, x, &(rill_var_opts){
                      .dims = RILL_DIMS(1), .correction = 2 }),
                  RILL_SHAPE(2), v1, 0);
    assert_tensor(rill_var(tape, x, &(rill_var_opts){
                      .dims = RILL_DIMS(0), .correction = 5 }),
                  RILL_SHAPE(2), v1, 0);
    rill_tensor *w = rill_watch(tape, x);
    rill_tensor *single = rill_reshape(tape, w, RILL_SHAPE(1, 4));
    rill_tensor *y = rill_var(tape, single, &(rill_var_opts){
                                  .dims = RILL_DIMS(0), .correction = 1 });
    assert_tensor(y, RILL_SHAPE(4), v2, 0);
    ck_assert(rill_backward(tape, rill_sum(tape, y, NULL), NULL));
    assert_tensor(rill_grad(tape, w), RILL_SHAPE(2, 2), v2, 0);
    ASSERT_REFUSED(rill_var(tape, x, &(rill_var_opts){ .correction = NAN }),
                   "var: correction nan is not finite");
    ASSERT_REFUSED(rill_var(tape, x,
                            &(rill_var_opts){ .correction = INFINITY }),
                   "var: correction inf is not finite");
}
END_TEST

/* Backward of sum(g y), y = op(x) over dim 1. */
static rill_tensor *grad_of(reduction *op, const double *x, const double *g,
                            rill_dtype dtype, int rows, int n)
{
    rill_tensor *w = rill_watch(
        tape, rill_from(tape, x, dtype, RILL_SHAPE(rows, n)));
    rill_tensor *y = op(tape, w, &(rill_reduce_opts){
                                     .dims = RILL_DIMS(1) });
    ck_assert(rill_backward(tape, y, &(rill_backward_opts){
        .grad = rill_from(tape, g, dtype, RILL_SHAPE(rows)) }));
    return rill_grad(tape, w);
}

START_TEST(extreme_ties)
{
    const rill_dtype dtypes[] = { RILL_F32, RILL_F64 };
    double x[] = { 3, 1, 3, 2, 0, -0.0, 0, -1, -1, -1, 5, 5 };
    double g[] = { 1, 6, 10 };
    double max[] = { .5, 0, .5, 0, 2, 2, 2, 0, 0, 0, 5, 5 };
    double min[] = { 0, 1, 0, 0, 0, 0, 0, 6, 5, 5, 0, 0 };
    for (int i = 0; i < 2; i++) {
        assert_tensor(grad_of(rill_max, x, g, dtypes[i], 3, 4),
                      RILL_SHAPE(3, 4), max, 0);
        assert_tensor(grad_of(rill_min, x, g, dtypes[i], 3, 4),
                      RILL_SHAPE(3, 4), min, 0);
    }
}
END_TEST

/* A NaN wins wherever it stands, along the row and across rows. */
START_TEST(extreme_nan)
{
    const rill_dtype dtypes[] = { RILL_F32, RILL_F64 };
    for (int i = 0; i < 2; i++)
        for (int at = 0; at < 40; at++) {
            rill_tensor *x = normal(7, dtypes[i], RILL_SHAPE(40));
            if (dtypes[i] == RILL_F32)
                ((float *)rill_write(x))[at] = NAN;
            else
                ((double *)rill_write(x))[at] = NAN;
            rill_tensor *tall = rill_reshape(tape, x, RILL_SHAPE(20, 2));
            rill_reduce_opts o = { .dims = RILL_DIMS(0) };
            ck_assert(isnan(rill_item(rill_max(tape, x, NULL))));
            ck_assert(isnan(rill_item(rill_min(tape, x, NULL))));
            ck_assert(isnan(rill_item(rill_logsumexp(tape, x, NULL))));
            ck_assert(isnan(rill_at(rill_max(tape, tall, &o), at % 2)));
            ck_assert(!isnan(rill_at(rill_max(tape, tall, &o), 1 - at % 2)));
            ck_assert(isnan(rill_at(rill_min(tape, tall, &o), at % 2)));
            ck_assert_int_eq(rill_item(rill_argmax(tape, x, NULL)), at);
        }
    double x[] = { 1, NAN, 2, 1, 3, 2 }, g[] = { 1, 1 };
    double expected[] = { NAN, NAN, NAN, 0, 1, 0 };
    assert_tensor(grad_of(rill_max, x, g, RILL_F64, 2, 3), RILL_SHAPE(2, 3),
                  expected, 0);
}
END_TEST

START_TEST(extreme_infinities)
{
    double x[] = { -INFINITY, -INFINITY, INFINITY, 1 };
    rill_tensor *a = rill_from(tape, x, RILL_F32, RILL_SHAPE(2, 2));
    rill_reduce_opts o = { .dims = RILL_DIMS(1) };
    double max[] = { -INFINITY, INFINITY }, min[] = { -INFINITY, 1 };
    assert_tensor(rill_max(tape, a, &o), RILL_SHAPE(2), max, 0);
    assert_tensor(rill_min(tape, a, &o), RILL_SHAPE(2), min, 0);
    /* whole vectors of them too */
    for (int i = 0; i < 2; i++) {
        rill_tensor *low = rill_full(tape, -INFINITY, i ? RILL_F64 : RILL_F32,
                                     RILL_SHAPE(40));
        ck_assert(rill_item(rill_max(tape, low, NULL)) == -INFINITY);
        ck_assert(rill_item(rill_min(tape, rill_neg(tape, low), NULL)) ==
                  INFINITY);
    }
}
END_TEST

START_TEST(argmax_first)
{
    double x[] = { 1, 3, 3, NAN, NAN, 9, -INFINITY, -INFINITY, -INFINITY };
    double rows[] = { 1, 0, 0 }, columns[] = { 1, 1, 1 };
    rill_tensor *a = rill_from(tape, x, RILL_F64, RILL_SHAPE(3, 3));
    assert_tensor(rill_argmax(tape, a, &(rill_reduce_opts){
                      .dims = RILL_DIMS(1) }), RILL_SHAPE(3), rows, 0);
    assert_tensor(rill_argmax(tape, a, &(rill_reduce_opts){
                      .dims = RILL_DIMS(0), .keepdim = true }),
                  RILL_SHAPE(1, 3), columns, 0);
    ck_assert_int_eq(rill_item(rill_argmax(tape, a, NULL)), 3);
    /* int32 does not count so far: refused before anything is read */
    rill_tensor *big = rill_view(tape, x, RILL_F64, RILL_SHAPE(1LL << 31));
    ASSERT_REFUSED(rill_argmax(tape, big, NULL),
                   "argmax: x is [2147483648]: int32 does not count "
                   "2147483648 elements");
    /* no gradient flows */
    rill_tensor *w = rill_watch(tape, a);
    ASSERT_REFUSED(rill_backward(tape, rill_argmax(tape, w, NULL), NULL),
                   "backward: the loss depends on no leaf: argmax has no "
                   "gradient");
    /* which is not to blame where it stands aside */
    ASSERT_REFUSED(rill_backward(tape, rill_sum(tape, a, NULL), NULL),
                   "backward: the loss depends on no parameter that learns "
                   "and on no leaf that rill_watch returned");
}
END_TEST

START_TEST(logsumexp_extremes)
{
    const rill_dtype dtypes[] = { RILL_F32, RILL_F64 };
    double x[] = { 1000, 1000, -1e4, -1e4, -INFINITY, -INFINITY,
                   INFINITY, 0, -INFINITY, 2, 500, -500 };
    double y[] = { 1000 + log(2), -1e4 + log(2), -INFINITY, INFINITY, 2,
                   500 };
    double g[] = { 1, 2, 1, 1, 3, 4 };
    /* at infinity there is no limit: NaN where x is as infinite as y */
    double gx[] = { .5, .5, 1, 1, NAN, NAN, NAN, 0, 0, 3, 4, 0 };
    for (int i = 0; i < 2; i++) {
        rill_tensor *a = rill_from(tape, x, dtypes[i], RILL_SHAPE(6, 2));
        rill_tensor *b = rill_transpose(tape, a, 0, 1);
        double eps = dtypes[i] == RILL_F32 ? 1e-7 : 1e-15;
        assert_tensor(rill_logsumexp(tape, a, &(rill_reduce_opts){
                          .dims = RILL_DIMS(1) }), RILL_SHAPE(6), y, eps);
        assert_tensor(rill_logsumexp(tape, b, &(rill_reduce_opts){
                          .dims = RILL_DIMS(0) }), RILL_SHAPE(6), y, eps);
        /* e^(x - y), y rounded: at 1e4 float32 has 3 decimals */
        assert_tensor(grad_of(rill_logsumexp, x, g, dtypes[i], 6, 2),
                      RILL_SHAPE(6, 2), gx,
                      dtypes[i] == RILL_F32 ? 5e-4 : 1e-12);
    }
}
END_TEST

START_TEST(fused_is_recorded)
{
    rill_tensor *x = rill_watch(
        tape, normal(8, RILL_F32, RILL_SHAPE(5, 130)));
    rill_tensor *y = rill_logsumexp(tape, x, &(rill_reduce_opts){
                                                 .dims = RILL_DIMS(0) });
    rill_tensor *loss = rill_sum(tape, y, NULL), *g[2];
    for (int i = 0; i < 2; i++) {
        ck_assert(rill_backward(tape, loss, &(rill_backward_opts){
                                                .create_graph = i }));
        g[i] = rill_grad(tape, x);
    }
    for (int i = 0; i < 5 * 130; i++)
        ASSERT_NEAR(rill_at(g[0], i), rill_at(g[1], i), 1e-6);
}
END_TEST

/* ---- refusals and derivatives ------------------------------------------- */

START_TEST(refusals)
{
    static const char *const name[REDUCTIONS] = {
        "sum", "mean", "var", "max", "min", "logsumexp", "argmax"
    };
    rill_tensor *x = normal(9, RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *ints = rill_zeros(tape, RILL_I32, RILL_SHAPE(2));
    for (int r = 0; r < REDUCTIONS; r++) {
        reduction *op = reductions[r].op;
        const struct {
            const rill_tensor *x;
            rill_reduce_opts o;
            const char *sentence;
        } bad[] = {
            { NULL, { .keepdim = false }, "x is NULL" },
            { ints, { .keepdim = false },
              "x is int32, a float dtype is wanted" },
            { x, { .dims = RILL_DIMS(2) }, "dim 2 is not in [-2, 2)" },
            { x, { .dims = RILL_DIMS(0, -3) }, "dim -3 is not in [-2, 2)" },
            { x, { .dims = RILL_DIMS(0, -2) }, "dim -2 is given twice" },
            { x, { .dims = { .n = 9 } }, "9 dims are not in [0, 8]" },
            { x, { .dims = { .n = -1 } }, "-1 dims are not in [0, 8]" },
        };
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            char sentence[128];
            snprintf(sentence, sizeof sentence, "%s: %s", name[r],
                     bad[i].sentence);
            ASSERT_REFUSED(op(tape, bad[i].x, &bad[i].o), sentence);
        }
    }
}
END_TEST

static rill_tensor *f_reduce(rill_tape *t, rill_tensor **x, void *user)
{
    reduction *const *op = user;
    /* over the last; over both ends, which is a copy; over the middle */
    rill_tensor *a = (*op)(t, x[0], &(rill_reduce_opts){
                                        .dims = RILL_DIMS(-1) });
    rill_tensor *b = (*op)(t, x[0], &(rill_reduce_opts){
                               .dims = RILL_DIMS(0, 2), .keepdim = true });
    rill_tensor *c = (*op)(t, x[0], &(rill_reduce_opts){
                                        .dims = RILL_DIMS(1) });
    rill_tensor *d = (*op)(t, x[0], &(rill_reduce_opts){ 0 });
    a = rill_mul(t, rill_mul(t, a, a), rill_reshape(t, b, RILL_SHAPE(3)));
    return rill_mul(t, rill_sum(t, a, NULL), rill_mul(t, c, d));
}

static rill_tensor *f_var_sample(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    return rill_var(t, x[0], &(rill_var_opts){ .dims = RILL_DIMS(1),
                                               .correction = 1 });
}

START_TEST(derivatives)
{
    rill_tensor *x = normal(10, RILL_F64, RILL_SHAPE(2, 3, 4));
    rill_tensor *y = rill_scale(tape, x, 0.3); /* tame, for the products */
    reduction *op[] = { rill_sum, rill_mean, variance,
                        rill_max, rill_min,  rill_logsumexp };
    CHECK_OP(rill_sum, f_reduce, 1, &op[0], y);
    CHECK_OP(rill_mean, f_reduce, 1, &op[1], x);
    CHECK_OP(rill_var, f_reduce, 1, &op[2], x);
    CHECK_OP(rill_var, f_var_sample, 1, NULL, x);
    CHECK_OP(rill_max, f_reduce, 1, &op[3], y);
    CHECK_OP(rill_min, f_reduce, 1, &op[4], y);
    CHECK_OP(rill_logsumexp, f_reduce, 1, &op[5], y);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("reductions", values, over_everything, empty, accuracy,
                       var_correction, extreme_ties, extreme_nan,
                       extreme_infinities, argmax_first, logsumexp_extremes,
                       fused_is_recorded, refusals, derivatives);
}
