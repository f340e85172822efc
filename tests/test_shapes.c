/* What moves elements about (reshape, permute, transpose, slice, concat,
 * expand, sum_to, embedding, one_hot), and the matrix products. */
#include "harness.h"

static const rill_dtype dtypes[] = { RILL_F32, RILL_F64, RILL_I32 };

/* 0, 1, 2, ... of this dtype and shape. */
static rill_tensor *count(rill_dtype dtype, rill_shape shape)
{
    double v[4096];
    for (int i = 0; i < 4096; i++)
        v[i] = i;
    return rill_from(tape, v, dtype, shape);
}

static bool same_shape(const rill_tensor *x, rill_shape s)
{
    bool same = rill_ndim(x) == s.ndim;
    for (int d = 0; d < s.ndim; d++)
        same = same && rill_dim(x, d) == s.dim[d];
    return same;
}

/* The gradient of sum(g y) in x, for the y last made of it. */
static rill_tensor *grad_of(const rill_tensor *x, const rill_tensor *y,
                            const rill_tensor *g)
{
    ck_assert(rill_backward(tape, y, &(rill_backward_opts){ .grad = g }));
    return rill_grad(tape, x);
}

/* ---- reshape ------------------------------------------------------------ */

START_TEST(reshape)
{
    for (int i = 0; i < 3; i++) {
        rill_tensor *x = count(dtypes[i], RILL_SHAPE(2, 6));
        rill_tensor *y = rill_reshape(tape, x, RILL_SHAPE(3, -1, 2));
        ck_assert(same_shape(y, RILL_SHAPE(3, 2, 2)));
        ck_assert_ptr_eq(rill_data(y), rill_data(x));
        ck_assert_int_eq(rill_dtype_of(y), dtypes[i]);
    }
    rill_tensor *one = count(RILL_F32, RILL_SHAPE(1, 1));
    ck_assert(same_shape(rill_reshape(tape, one, RILL_SCALAR), RILL_SCALAR));
    rill_tensor *none = count(RILL_F32, RILL_SHAPE(2, 0));
    ck_assert(same_shape(rill_reshape(tape, none, RILL_SHAPE(-1, 5)),
                         RILL_SHAPE(0, 5)));
    ASSERT_OK();
}
END_TEST

START_TEST(reshape_refusals)
{
    rill_tensor *x = count(RILL_F32, RILL_SHAPE(2, 6));
    rill_tensor *none = count(RILL_F32, RILL_SHAPE(2, 0));
    rill_shape nine = { .ndim = 9 };
    ASSERT_REFUSED(rill_reshape(tape, NULL, RILL_SCALAR),
                   "reshape: x is NULL");
    ASSERT_REFUSED(rill_reshape(tape, x, nine),
                   "reshape: 9 dimensions are not in [0, 8]");
    ASSERT_REFUSED(rill_reshape(tape, x, RILL_SHAPE(5)),
                   "reshape: x is [2, 6], its 12 elements do not make [5]");
    ASSERT_REFUSED(rill_reshape(tape, x, RILL_SHAPE(5, -1)),
                   "reshape: x is [2, 6], its 12 elements do not make "
                   "[5, -1]");
    ASSERT_REFUSED(rill_reshape(tape, x, RILL_SHAPE(-1, -1)),
                   "reshape: x is [2, 6], its 12 elements do not make "
                   "[-1, -1]");
    ASSERT_REFUSED(rill_reshape(tape, x, RILL_SHAPE(-2, 6)),
                   "reshape: x is [2, 6], its 12 elements do not make "
                   "[-2, 6]");
    ASSERT_REFUSED(rill_reshape(tape, none, RILL_SHAPE(0, -1)),
                   "reshape: x is [2, 0], its 0 elements do not make "
                   "[0, -1]");
}
END_TEST

/* ---- permute and transpose ---------------------------------------------- */

/* Every order of [a, b, c], against the index arithmetic. */
START_TEST(permute)
{
    static const int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                     { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
    const rill_shape shapes[] = { RILL_SHAPE(2, 3, 5), RILL_SHAPE(7, 1, 3),
                                  RILL_SHAPE(7, 3, 2),
                                  RILL_SHAPE(3, 17, 33) };
    for (int i = 0; i < 6 * 4 * 3; i++) {
        const int *o = orders[i / 12];
        rill_shape s = shapes[i / 3 % 4];
        rill_tensor *x = count(dtypes[i % 3], s);
        /* any dim may be given from the end */
        rill_tensor *y = rill_permute(tape, x,
                                      RILL_DIMS(o[0], o[1] - 3, o[2]));
        ASSERT_OK();
        ck_assert(same_shape(y, RILL_SHAPE(s.dim[o[0]], s.dim[o[1]],
                                           s.dim[o[2]])));
        ck_assert_int_eq(rill_dtype_of(y), dtypes[i % 3]);
        int64_t at[3], k = 0;
        for (at[0] = 0; at[0] < rill_dim(y, 0); at[0]++)
            for (at[1] = 0; at[1] < rill_dim(y, 1); at[1]++)
                for (at[2] = 0; at[2] < rill_dim(y, 2); at[2]++) {
                    int64_t from[3];
                    for (int d = 0; d < 3; d++)
                        from[o[d]] = at[d];
                    ck_assert(rill_at(y, k++) ==
                              (double)((from[0] * s.dim[1] + from[1]) *
                                           s.dim[2] + from[2]));
                }
    }
    double one = 1;
    assert_tensor(rill_permute(tape, rill_full(tape, 1, RILL_F32,
                                               RILL_SCALAR),
                               (rill_dims){ .n = 0 }),
                  RILL_SCALAR, &one, 0);
    ck_assert(same_shape(rill_permute(tape, count(RILL_F32,
                                                  RILL_SHAPE(2, 0, 3)),
                                      RILL_DIMS(2, 1, 0)),
                         RILL_SHAPE(3, 0, 2)));
}
END_TEST

START_TEST(transpose)
{
    double swapped[] = { 0, 3, 1, 4, 2, 5 };
    for (int i = 0; i < 3; i++) {
        rill_tensor *x = count(dtypes[i], RILL_SHAPE(2, 3));
        assert_tensor(rill_transpose(tape, x, 0, -1), RILL_SHAPE(3, 2),
                      swapped, 0);
        assert_tensor(rill_transpose(tape, x, 1, 1), RILL_SHAPE(2, 3),
                      (double[]){ 0, 1, 2, 3, 4, 5 }, 0);
    }
    rill_tensor *y = rill_transpose(tape, count(RILL_F32,
                                                RILL_SHAPE(2, 3, 4, 5)),
                                    1, -1);
    ck_assert(same_shape(y, RILL_SHAPE(2, 5, 4, 3)));
}
END_TEST

START_TEST(permute_refusals)
{
    rill_tensor *x = count(RILL_F32, RILL_SHAPE(2, 3));
    ASSERT_REFUSED(rill_permute(tape, NULL, RILL_DIMS(0)),
                   "permute: x is NULL");
    ASSERT_REFUSED(rill_permute(tape, x, RILL_DIMS(0)),
                   "permute: x is [2, 3] but 1 dims are given");
    ASSERT_REFUSED(rill_permute(tape, x, RILL_DIMS(0, 2)),
                   "permute: dim 2 is not in [-2, 2)");
    ASSERT_REFUSED(rill_permute(tape, x, RILL_DIMS(1, -1)),
                   "permute: dim -1 is given twice");
    ASSERT_REFUSED(rill_transpose(tape, NULL, 0, 1), "transpose: x is NULL");
    ASSERT_REFUSED(rill_transpose(tape, x, 2, 0),
                   "transpose: dim 2 is not in [-2, 2)");
    ASSERT_REFUSED(rill_transpose(tape, x, 0, -3),
                   "transpose: dim -3 is not in [-2, 2)");
}
END_TEST

/* ---- slice and concat --------------------------------------------------- */

/* Python's answers for range(5)[start:end]. */
START_TEST(slice_bounds)
{
    static const struct {
        int64_t start, end;
        int first, size;
    } cases[] = {
        { 0, 5, 0, 5 },   { 1, 3, 1, 2 },    { -2, 5, 3, 2 },
        { 0, -1, 0, 4 },  { -4, -2, 1, 2 },  { 3, 100, 3, 2 },
        { -100, 2, 0, 2 }, { 5, 5, 5, 0 },   { 4, 2, 4, 0 },
        { 7, 9, 5, 0 },   { -9, -7, 0, 0 },
        { INT64_MIN, INT64_MAX, 0, 5 }, { INT64_MAX, INT64_MIN, 5, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int k = 0; k < 3; k++) {
            double v[5];
            for (int e = 0; e < 5; e++)
                v[e] = cases[i].first + e;
            assert_tensor(rill_slice(tape, count(dtypes[k], RILL_SHAPE(5)), 0,
                                     cases[i].start, cases[i].end),
                          RILL_SHAPE(cases[i].size), v, 0);
        }
}
END_TEST

/* Along each dim of [3, 4, 5]; and back again by concat. */
START_TEST(slice_and_concat)
{
    for (int i = 0; i < 9; i++) {
        int dim = i / 3;
        rill_tensor *x = count(dtypes[i % 3], RILL_SHAPE(3, 4, 5));
        const rill_tensor *part[] = { rill_slice(tape, x, dim, 0, 1),
                                      rill_slice(tape, x, dim - 3, 1, 1),
                                      rill_slice(tape, x, dim, 1, 99) };
        const int64_t stride[] = { 20, 5, 1 }, *size = (int64_t[]){ 3, 4, 5 };
        int64_t at = 0;
        for (int64_t e = 0; e < 60; e++)
            if (e / stride[dim] % size[dim] > 0)
                ck_assert(rill_at(part[2], at++) == (double)e);
        ck_assert_int_eq(rill_numel(part[2]), at);
        ck_assert_int_eq(rill_dtype_of(part[2]), dtypes[i % 3]);
        rill_tensor *y = rill_concat(tape, part, 3, dim - 3);
        ck_assert(same_shape(y, RILL_SHAPE(3, 4, 5)));
        ck_assert_int_eq(rill_dtype_of(y), dtypes[i % 3]);
        for (int e = 0; e < 60; e++)
            ck_assert(rill_at(y, e) == e);
    }
}
END_TEST

START_TEST(slice_gradient)
{
    rill_tensor *x = rill_watch(tape, count(RILL_F32, RILL_SHAPE(2, 4)));
    rill_tensor *g = count(RILL_F32, RILL_SHAPE(2, 2));
    double padded[] = { 0, 0, 1, 0, 0, 2, 3, 0 };
    assert_tensor(grad_of(x, rill_slice(tape, x, 1, 1, -1), g),
                  RILL_SHAPE(2, 4), padded, 0);
}
END_TEST

/* More tensors than the sweep keeps on its stack; one of them twice. */
START_TEST(concat_many)
{
    enum { N = 20 };
    const rill_tensor *x[N];
    for (int i = 0; i < N; i++)
        x[i] = rill_watch(tape, normal((uint64_t)i, RILL_F64,
                                       RILL_SHAPE(2, i % 3)));
    x[N - 1] = x[1];
    rill_tensor *y = rill_concat(tape, x, N, 1);
    ASSERT_OK();
    rill_tensor *g = count(RILL_F64, rill_shape_of(y));
    int64_t width = rill_dim(y, 1), at = 0;
    ck_assert(rill_backward(tape, y, &(rill_backward_opts){ .grad = g }));
    for (int i = 0; i < N; i++) {
        int64_t n = rill_dim(x[i], 1);
        for (int64_t e = 0; e < 2 * n; e++) {
            int64_t to = e / n * width + at + e % n;
            ck_assert(rill_at(y, to) == rill_at(x[i], e));
            if (x[i] != x[1])
                ck_assert(rill_at(rill_grad(tape, x[i]), e) == (double)to);
        }
        at += n;
    }
    double twice[] = { width - 1, 3 * width - 1 }; /* columns 0 and the last */
    assert_tensor(rill_grad(tape, x[1]), RILL_SHAPE(2, 1), twice, 0);
}
END_TEST

START_TEST(slice_and_concat_refusals)
{
    rill_tensor *x = count(RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *y = count(RILL_F32, RILL_SHAPE(2, 4));
    rill_tensor *s = count(RILL_F32, RILL_SCALAR);
    rill_tensor *flat = count(RILL_F32, RILL_SHAPE(3));
    rill_tensor *wide = count(RILL_F64, RILL_SHAPE(2, 3));
    rill_tensor *huge = count(RILL_F32, RILL_SHAPE(0, INT64_MAX));
    ASSERT_REFUSED(rill_slice(tape, NULL, 0, 0, 1), "slice: x is NULL");
    ASSERT_REFUSED(rill_slice(tape, x, 2, 0, 1),
                   "slice: dim 2 is not in [-2, 2)");
    ASSERT_REFUSED(rill_slice(tape, s, 0, 0, 1),
                   "slice: dim 0 is not in [0, 0)");
    ASSERT_REFUSED(rill_concat(tape, NULL, 2, 0),
                   "concat: no tensors are given");
    const struct {
        const rill_tensor *x[2];
        int n, dim;
        const char *sentence;
    } bad[] = {
        { { x, y }, 0, 0, "concat: no tensors are given" },
        { { x, y }, -1, 0, "concat: no tensors are given" },
        { { NULL, y }, 2, 0, "concat: x[0] is NULL" },
        { { x, NULL }, 2, 0, "concat: x[1] is NULL" },
        { { x, x }, 2, 2, "concat: dim 2 is not in [-2, 2)" },
        { { s, s }, 2, 0, "concat: dim 0 is not in [0, 0)" },
        { { x, wide }, 2, 0, "concat: x[0] is float32 but x[1] is float64: "
                             "cast one of them" },
        { { x, y }, 2, 0, "concat: x[0] is [2, 3] but x[1] is [2, 4]: only "
                          "dimension 0 may differ" },
        { { x, flat }, 2, 1, "concat: x[0] is [2, 3] but x[1] is [3]: only "
                             "dimension 1 may differ" },
        { { huge, huge }, 2, 1, "concat: dimension 1 becomes too large" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const rill_tensor *in[] = { bad[i].x[0], bad[i].x[1] };
        ASSERT_REFUSED(rill_concat(tape, in, bad[i].n, bad[i].dim),
                       bad[i].sentence);
    }
}
END_TEST

/* ---- expand and sum_to -------------------------------------------------- */

START_TEST(expand)
{
    double rows[] = { 0, 1, 2, 0, 1, 2 }, columns[] = { 0, 0, 0, 1, 1, 1 };
    double fives[] = { 5, 5, 5, 5, 5, 5 }, sums[] = { 3, 12 };
    for (int i = 0; i < 2; i++) {
        rill_tensor *a = count(dtypes[i], RILL_SHAPE(3));
        rill_tensor *b = count(dtypes[i], RILL_SHAPE(2, 1));
        rill_tensor *s = rill_full(tape, 5, dtypes[i], RILL_SCALAR);
        assert_tensor(rill_expand(tape, a, RILL_SHAPE(2, 3)),
                      RILL_SHAPE(2, 3), rows, 0);
        assert_tensor(rill_expand(tape, b, RILL_SHAPE(2, 3)),
                      RILL_SHAPE(2, 3), columns, 0);
        assert_tensor(rill_expand(tape, s, RILL_SHAPE(1, 2, 3)),
                      RILL_SHAPE(1, 2, 3), fives, 0);
        assert_tensor(rill_expand(tape, b, RILL_SHAPE(2, 0)),
                      RILL_SHAPE(2, 0), NULL, 0);
        rill_tensor *w = rill_watch(tape, b);
        assert_tensor(grad_of(w, rill_expand(tape, w, RILL_SHAPE(2, 3)),
                              count(dtypes[i], RILL_SHAPE(2, 3))),
                      RILL_SHAPE(2, 1), sums, 0);
    }
}
END_TEST

START_TEST(sum_to)
{
    double all = 15, rows[] = { 3, 12 }, columns[] = { 3, 5, 7 };
    for (int i = 0; i < 2; i++) {
        rill_tensor *x = count(dtypes[i], RILL_SHAPE(2, 3));
        assert_tensor(rill_sum_to(tape, x, RILL_SCALAR), RILL_SCALAR, &all,
                      0);
        assert_tensor(rill_sum_to(tape, x, RILL_SHAPE(1, 1)),
                      RILL_SHAPE(1, 1), &all, 0);
        assert_tensor(rill_sum_to(tape, x, RILL_SHAPE(2, 1)),
                      RILL_SHAPE(2, 1), rows, 0);
        assert_tensor(rill_sum_to(tape, x, RILL_SHAPE(3)), RILL_SHAPE(3),
                      columns, 0);
        assert_tensor(rill_sum_to(tape, x, RILL_SHAPE(2, 3)),
                      RILL_SHAPE(2, 3), (double[]){ 0, 1, 2, 3, 4, 5 }, 0);
        double nothing[] = { 0, 0 };
        x = count(dtypes[i], RILL_SHAPE(2, 0));
        assert_tensor(rill_sum_to(tape, x, RILL_SHAPE(2, 1)),
                      RILL_SHAPE(2, 1), nothing, 0);
    }
}
END_TEST

START_TEST(expand_refusals)
{
    rill_tensor *x = count(RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *ints = count(RILL_I32, RILL_SHAPE(2));
    ASSERT_REFUSED(rill_expand(tape, NULL, RILL_SHAPE(2)),
                   "expand: x is NULL");
    ASSERT_REFUSED(rill_expand(tape, ints, RILL_SHAPE(2)),
                   "expand: x is int32, a float dtype is wanted");
    ASSERT_REFUSED(rill_expand(tape, x, RILL_SHAPE(2, 4)),
                   "expand: x is [2, 3], which does not broadcast to [2, 4]");
    ASSERT_REFUSED(rill_expand(tape, x, RILL_SHAPE(3)),
                   "expand: x is [2, 3], which does not broadcast to [3]");
    ASSERT_REFUSED(rill_expand(tape, x, RILL_SHAPE(1, 3)),
                   "expand: x is [2, 3], which does not broadcast to [1, 3]");
    ASSERT_REFUSED(rill_sum_to(tape, NULL, RILL_SHAPE(2)),
                   "sum_to: x is NULL");
    ASSERT_REFUSED(rill_sum_to(tape, ints, RILL_SHAPE(1)),
                   "sum_to: x is int32, a float dtype is wanted");
    ASSERT_REFUSED(rill_sum_to(tape, x, RILL_SHAPE(2)),
                   "sum_to: [2] does not broadcast to x's [2, 3]");
    ASSERT_REFUSED(rill_sum_to(tape, x, RILL_SHAPE(5, 2, 3)),
                   "sum_to: [5, 2, 3] does not broadcast to x's [2, 3]");
}
END_TEST

/* ---- embedding and one_hot ---------------------------------------------- */

static rill_tensor *indices(const int32_t *v, rill_shape shape)
{
    return rill_copy(tape, v, RILL_I32, shape);
}

START_TEST(embedding)
{
    const int32_t at[] = { 4, 0, 4, 2 }, padding = 4;
    double rows[] = { 8, 9, 0, 1, 8, 9, 4, 5 };
    double sums[] = { 2, 3, 0, 0, 6, 7, 0, 0, 4, 6 };
    rill_tensor *i = indices(at, RILL_SHAPE(2, 2));
    for (int k = 0; k < 2; k++) {
        rill_tensor *w = rill_watch(tape, count(dtypes[k],
                                                RILL_SHAPE(5, 2)));
        rill_tensor *g = count(dtypes[k], RILL_SHAPE(2, 2, 2));
        rill_tensor *y = rill_embedding(tape, w, i, NULL);
        assert_tensor(y, RILL_SHAPE(2, 2, 2), rows, 0);
        assert_tensor(grad_of(w, y, g), RILL_SHAPE(5, 2), sums, 0);
        /* the padding row is read as any other, but never learns */
        y = rill_embedding(tape, w, i, &(rill_embedding_opts){ &padding });
        assert_tensor(y, RILL_SHAPE(2, 2, 2), rows, 0);
        double learnt[10];
        memcpy(learnt, sums, sizeof sums);
        learnt[8] = learnt[9] = 0;
        assert_tensor(grad_of(w, y, g), RILL_SHAPE(5, 2), learnt, 0);
        rill_tensor *one = indices(at + 3, RILL_SCALAR);
        assert_tensor(rill_embedding(tape, w, one, NULL), RILL_SHAPE(2),
                      rows + 6, 0);
        rill_tensor *none = indices(at, RILL_SHAPE(0, 3));
        y = rill_embedding(tape, w, none, NULL);
        double zeros[10] = { 0 };
        assert_tensor(y, RILL_SHAPE(0, 3, 2), zeros, 0);
        assert_tensor(grad_of(w, y, count(dtypes[k], RILL_SHAPE(0, 3, 2))),
                      RILL_SHAPE(5, 2), zeros, 0);
    }
}
END_TEST

/* With padding the rule is not the derivative of what is computed, but its
 * own adjoint is still right: d/dg of <h, dw(g)> is h at the rows that learn,
 * even where h is NaN at the one that does not. */
START_TEST(embedding_padding_twice)
{
    const int32_t at[] = { 1, 0, 1, 2 }, padding = 1;
    double h[] = { 10, NAN, 30 }, expected[] = { 0, 10, 0, 30 };
    rill_tensor *w = rill_watch(tape, count(RILL_F64, RILL_SHAPE(3, 1)));
    rill_tensor *g = rill_watch(tape, count(RILL_F64, RILL_SHAPE(4, 1)));
    rill_tensor *y = rill_embedding(tape, w, indices(at, RILL_SHAPE(4)),
                                    &(rill_embedding_opts){ &padding });
    ck_assert(rill_backward(tape, rill_mul(tape, y, g),
                            &(rill_backward_opts){
        .grad = rill_full(tape, 1, RILL_F64, RILL_SHAPE(4, 1)),
        .create_graph = true }));
    rill_tensor *dw = rill_grad(tape, w);
    ck_assert(rill_backward(tape, dw, &(rill_backward_opts){
        .grad = rill_from(tape, h, RILL_F64, RILL_SHAPE(3, 1)) }));
    assert_tensor(rill_grad(tape, g), RILL_SHAPE(4, 1), expected, 0);
}
END_TEST

START_TEST(embedding_refusals)
{
    const int32_t at[] = { 4, 0, 4, 7 }, low[] = { -1 };
    const int32_t five = 5, minus = -1;
    rill_tensor *w = count(RILL_F32, RILL_SHAPE(5, 2));
    rill_tensor *i = indices(at, RILL_SHAPE(3));
    rill_tensor *ints = count(RILL_I32, RILL_SHAPE(5, 2));
    rill_tensor *deep = count(RILL_I32, RILL_SHAPE(1, 1, 1, 1, 1, 1, 1, 1));
    ASSERT_REFUSED(rill_embedding(tape, NULL, i, NULL),
                   "embedding: weight is NULL");
    ASSERT_REFUSED(rill_embedding(tape, w, NULL, NULL),
                   "embedding: indices is NULL");
    ASSERT_REFUSED(rill_embedding(tape, ints, i, NULL),
                   "embedding: weight is int32, a float dtype is wanted");
    ASSERT_REFUSED(rill_embedding(tape, w, w, NULL),
                   "embedding: indices are float32, int32 is wanted");
    ASSERT_REFUSED(rill_embedding(tape, count(RILL_F32, RILL_SHAPE(5)), i,
                                  NULL),
                   "embedding: weight is [5], [rows, width] is wanted");
    ASSERT_REFUSED(rill_embedding(tape, w, deep, NULL),
                   "embedding: indices are [1, 1, 1, 1, 1, 1, 1, 1]: no "
                   "dimension is left to add");
    ASSERT_REFUSED(rill_embedding(tape, w, indices(at, RILL_SHAPE(4)), NULL),
                   "embedding: indices hold 7 at 3, which is not in [0, 5)");
    ASSERT_REFUSED(rill_embedding(tape, w, indices(low, RILL_SHAPE(1)), NULL),
                   "embedding: indices hold -1 at 0, which is not in [0, 5)");
    ASSERT_REFUSED(rill_embedding(tape, w, i, &(rill_embedding_opts){ &five }),
                   "embedding: padding_index 5 is not in [0, 5)");
    ASSERT_REFUSED(rill_embedding(tape, w, i,
                                  &(rill_embedding_opts){ &minus }),
                   "embedding: padding_index -1 is not in [0, 5)");
}
END_TEST

START_TEST(one_hot)
{
    const int32_t at[] = { 2, 0, 1, 1 }, high[] = { 0, 3 }, low[] = { -1 };
    double rows[] = { 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0 };
    rill_tensor *x = indices(at, RILL_SHAPE(2, 2));
    for (int i = 0; i < 3; i++) {
        rill_tensor *y = rill_one_hot(tape, x, 3, dtypes[i]);
        assert_tensor(y, RILL_SHAPE(2, 2, 3), rows, 0);
        ck_assert_int_eq(rill_dtype_of(y), dtypes[i]);
        assert_tensor(rill_one_hot(tape, indices(at, RILL_SCALAR), 3,
                                   dtypes[i]), RILL_SHAPE(3), rows, 0);
    }
    assert_tensor(rill_one_hot(tape, indices(at, RILL_SHAPE(0)), 0, RILL_F32),
                  RILL_SHAPE(0, 0), NULL, 0);
    ASSERT_REFUSED(rill_one_hot(tape, NULL, 3, RILL_F32),
                   "one_hot: labels is NULL");
    ASSERT_REFUSED(rill_one_hot(tape, count(RILL_F64, RILL_SHAPE(1)), 3,
                                RILL_F32),
                   "one_hot: labels are float64, int32 is wanted");
    ASSERT_REFUSED(rill_one_hot(tape, count(RILL_I32,
                                            RILL_SHAPE(1, 1, 1, 1, 1, 1, 1,
                                                       1)), 3, RILL_F32),
                   "one_hot: labels are [1, 1, 1, 1, 1, 1, 1, 1]: no "
                   "dimension is left to add");
    ASSERT_REFUSED(rill_one_hot(tape, x, -1, RILL_F32),
                   "one_hot: classes -1 is negative");
    ASSERT_REFUSED(rill_one_hot(tape, indices(high, RILL_SHAPE(2)), 3,
                                RILL_F32),
                   "one_hot: labels hold 3 at 1, which is not in [0, 3)");
    ASSERT_REFUSED(rill_one_hot(tape, indices(low, RILL_SHAPE(1)), 3,
                                RILL_F32),
                   "one_hot: labels hold -1 at 0, which is not in [0, 3)");
    ASSERT_REFUSED(rill_one_hot(tape, x, 3, (rill_dtype)9),
                   "zeros: 9 is not a dtype");
}
END_TEST

/* ---- matmul and linear -------------------------------------------------- */

/* Element (i, j) of matrix k of x, transposed or not; one matrix repeats. */
static double element(const rill_tensor *x, bool transposed, int64_t k,
                      int64_t i, int64_t j)
{
    int64_t rows = rill_dim(x, -2), columns = rill_dim(x, -1);
    if (rill_dim(x, 0) == 1)
        k = 0;
    return rill_at(x, k * rows * columns +
                          (transposed ? j * columns + i : i * columns + j));
}

/* [b, m, k] times [b, k, n], one batch perhaps of one, all transposes. */
START_TEST(matmul_values)
{
    static const int64_t sizes[][4] = { /* batch, m, k, n */
        { 1, 1, 1, 1 }, { 2, 3, 7, 2 }, { 3, 17, 33, 5 }, { 2, 33, 2, 130 },
        { 2, 3, 0, 4 }, { 2, 0, 3, 4 }, { 0, 2, 3, 4 }, { 2, 3, 4, 0 },
    };
    for (size_t i = 0; i < 24 * sizeof sizes / sizeof *sizes; i++) {
        const int64_t *s = sizes[i / 24];
        bool ta = i & 1, tb = i & 2;
        rill_dtype dtype = dtypes[i >> 2 & 1];
        int64_t ba = i / 8 % 3 == 1 ? 1 : s[0], bb = i / 8 % 3 == 2 ? 1 : s[0];
        rill_tensor *a = normal(1, dtype, ta ? RILL_SHAPE(ba, s[2], s[1])
                                             : RILL_SHAPE(ba, s[1], s[2]));
        rill_tensor *b = normal(2, dtype, tb ? RILL_SHAPE(bb, s[3], s[2])
                                             : RILL_SHAPE(bb, s[2], s[3]));
        rill_matmul_opts o = { .transpose_a = ta, .transpose_b = tb };
        rill_tensor *y = rill_matmul(tape, a, b, &o);
        ASSERT_OK();
        ck_assert(same_shape(y, RILL_SHAPE(s[0], s[1], s[3])));
        for (int64_t e = 0; e < rill_numel(y); e++) {
            int64_t at[] = { e / s[3] / s[1], e / s[3] % s[1], e % s[3] };
            double sum = 0, size = 1;
            for (int64_t k = 0; k < s[2]; k++) {
                double p = element(a, ta, at[0], at[1], k) *
                           element(b, tb, at[0], k, at[2]);
                sum += p;
                size += fabs(p);
            }
            /* the roundings grow with the terms, not with their sum */
            ck_assert(fabs(rill_at(y, e) - sum) <=
                      size * (dtype == RILL_F32 ? 5e-7 : 1e-15));
        }
    }
}
END_TEST

/* Vectors; plain matrices; batches that broadcast over one another. */
START_TEST(matmul_shapes)
{
    static const struct {
        rill_shape a, b, y;
    } cases[] = {
        { { 1, { 3 } }, { 1, { 3 } }, { 0, { 0 } } },
        { { 1, { 3 } }, { 2, { 3, 4 } }, { 1, { 4 } } },
        { { 2, { 2, 3 } }, { 1, { 3 } }, { 1, { 2 } } },
        { { 2, { 2, 3 } }, { 2, { 3, 4 } }, { 2, { 2, 4 } } },
        { { 1, { 3 } }, { 3, { 5, 3, 4 } }, { 2, { 5, 4 } } },
        { { 3, { 5, 2, 3 } }, { 1, { 3 } }, { 2, { 5, 2 } } },
        { { 3, { 5, 2, 3 } }, { 2, { 3, 4 } }, { 3, { 5, 2, 4 } } },
        { { 4, { 6, 1, 2, 3 } }, { 3, { 5, 3, 4 } }, { 4, { 6, 5, 2, 4 } } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rill_tensor *a = rill_full(tape, 2, RILL_F32, cases[i].a);
        rill_tensor *b = rill_full(tape, 3, RILL_F32, cases[i].b);
        rill_tensor *y = rill_matmul(tape, a, b, NULL);
        ASSERT_OK();
        ck_assert(same_shape(y, cases[i].y));
        for (int64_t e = 0; e < rill_numel(y); e++)
            ck_assert(rill_at(y, e) == 18);
    }
    double v[] = { 0, 1, 2 }, w[] = { 20, 23, 26, 29 }, five = 5;
    rill_tensor *x = rill_from(tape, v, RILL_F64, RILL_SHAPE(3));
    rill_tensor *m = count(RILL_F64, RILL_SHAPE(3, 4));
    assert_tensor(rill_matmul(tape, x, x, NULL), RILL_SCALAR, &five, 0);
    assert_tensor(rill_matmul(tape, x, m, NULL), RILL_SHAPE(4), w, 0);
    assert_tensor(rill_matmul(tape, m, x, &(rill_matmul_opts){
                      .transpose_a = true }), RILL_SHAPE(4), w, 0);
}
END_TEST

START_TEST(matmul_refusals)
{
    rill_tensor *a = count(RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *b = count(RILL_F32, RILL_SHAPE(2, 4));
    rill_tensor *v = count(RILL_F32, RILL_SHAPE(3));
    rill_tensor *s = count(RILL_F32, RILL_SCALAR);
    rill_tensor *a2 = count(RILL_F32, RILL_SHAPE(2, 2, 3));
    rill_tensor *a3 = count(RILL_F32, RILL_SHAPE(3, 3, 2));
    rill_tensor *ints = count(RILL_I32, RILL_SHAPE(3, 3));
    rill_tensor *wide = count(RILL_F64, RILL_SHAPE(3, 3));
    const struct {
        const rill_tensor *a, *b;
        bool ta, tb;
        const char *sentence;
    } bad[] = {
        { NULL, a, 0, 0, "a is NULL" },
        { a, NULL, 0, 0, "b is NULL" },
        { ints, a, 0, 0, "a is int32, a float dtype is wanted" },
        { a, ints, 0, 0, "b is int32, a float dtype is wanted" },
        { a, wide, 0, 0,
          "a is float32 but b is float64: cast one of them" },
        { s, a, 0, 0, "a has no dimension" },
        { a, s, 0, 0, "b has no dimension" },
        { v, a, 1, 0, "a vector is not transposed" },
        { a, v, 0, 1, "a vector is not transposed" },
        { a, b, 0, 0,
          "a is [2, 3] and b is [2, 4]: 3 columns meet 2 rows" },
        { a, b, 1, 1, "a is [2, 3] transposed and b is [2, 4] transposed: "
                      "2 columns meet 4 rows" },
        { a2, a3, 0, 0,
          "the batches of a [2, 2, 3] and b [3, 3, 2] do not broadcast" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rill_matmul_opts o = { bad[i].ta, bad[i].tb };
        char sentence[160];
        snprintf(sentence, sizeof sentence, "matmul: %s", bad[i].sentence);
        ASSERT_REFUSED(rill_matmul(tape, bad[i].a, bad[i].b, &o), sentence);
    }
    /* refused before anything is read */
    rill_tensor *big = rill_view(tape, rill_data(v), RILL_F32,
                                 RILL_SHAPE(1LL << 31));
    ASSERT_REFUSED(rill_matmul(tape, big, big, NULL),
                   "matmul: a matrix with a side of more than 2147483647");
}
END_TEST

START_TEST(linear_values)
{
    static const int64_t sizes[][3] = { /* rows, in, out */
        { 1, 1, 1 }, { 3, 7, 2 }, { 17, 33, 5 }, { 2, 3, 130 }, { 0, 3, 2 },
        { 3, 0, 2 }, { 3, 2, 0 },
    };
    for (size_t i = 0; i < 4 * sizeof sizes / sizeof *sizes; i++) {
        const int64_t *s = sizes[i / 4];
        rill_dtype dtype = dtypes[i & 1];
        rill_tensor *x = normal(3, dtype, RILL_SHAPE(s[0], s[1]));
        rill_tensor *w = normal(4, dtype, RILL_SHAPE(s[2], s[1]));
        rill_tensor *b = i & 2 ? normal(5, dtype, RILL_SHAPE(s[2])) : NULL;
        rill_tensor *y = rill_linear(tape, x, w, b);
        ASSERT_OK();
        ck_assert(same_shape(y, RILL_SHAPE(s[0], s[2])));
        for (int64_t e = 0; e < rill_numel(y); e++) {
            double sum = b ? rill_at(b, e % s[2]) : 0, size = 1 + fabs(sum);
            for (int64_t k = 0; k < s[1]; k++) {
                double p = element(x, false, 0, e / s[2], k) *
                           element(w, true, 0, k, e % s[2]);
                sum += p;
                size += fabs(p);
            }
            ck_assert(fabs(rill_at(y, e) - sum) <=
                      size * (dtype == RILL_F32 ? 5e-7 : 1e-15));
        }
    }
    rill_tensor *w = rill_full(tape, 1, RILL_F32, RILL_SHAPE(4, 3));
    ck_assert(same_shape(rill_linear(tape, count(RILL_F32, RILL_SHAPE(3)), w,
                                     NULL), RILL_SHAPE(4)));
    ck_assert(same_shape(rill_linear(tape, count(RILL_F32,
                                                 RILL_SHAPE(2, 5, 3)), w,
                                     NULL), RILL_SHAPE(2, 5, 4)));
}
END_TEST

START_TEST(linear_refusals)
{
    rill_tensor *x = count(RILL_F32, RILL_SHAPE(2, 3));
    rill_tensor *w = count(RILL_F32, RILL_SHAPE(5, 4));
    rill_tensor *fits = count(RILL_F32, RILL_SHAPE(5, 3));
    rill_tensor *v = count(RILL_F32, RILL_SHAPE(3));
    rill_tensor *s = count(RILL_F32, RILL_SCALAR);
    rill_tensor *ints = count(RILL_I32, RILL_SHAPE(5, 3));
    rill_tensor *wide = count(RILL_F64, RILL_SHAPE(5, 3));
    rill_tensor *wide_b = count(RILL_F64, RILL_SHAPE(5));
    rill_tensor *fc = rill_variable(tape, "net.fc2.weight", RILL_F32,
                                    RILL_SHAPE(5, 4));
    const struct {
        const rill_tensor *x, *w, *b;
        const char *sentence;
    } bad[] = {
        { NULL, w, NULL, "x is NULL" },
        { x, NULL, NULL, "weight is NULL" },
        { ints, w, NULL, "x is int32, a float dtype is wanted" },
        { x, ints, NULL, "weight is int32, a float dtype is wanted" },
        { x, fits, ints, "bias is int32, a float dtype is wanted" },
        { x, wide, NULL,
          "x is float32 but weight is float64: cast one of them" },
        { x, fits, wide_b,
          "x is float32 but bias is float64: cast one of them" },
        { s, w, NULL, "x has no dimension" },
        { x, v, NULL, "weight is [3], [out, in] is wanted" },
        { x, w, NULL, "x is [2, 3] but weight is [5, 4]: 3 inputs given, 4 "
                      "wanted" },
        { x, fc, NULL, "x is [2, 3] but weight is [5, 4]: 3 inputs given, 4 "
                       "wanted (layer \"net.fc2\")" },
        { x, fits, v, "bias is [3] but weight is [5, 3]: [5] is wanted" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char sentence[160];
        snprintf(sentence, sizeof sentence, "linear: %s", bad[i].sentence);
        ASSERT_REFUSED(rill_linear(tape, bad[i].x, bad[i].w, bad[i].b),
                       sentence);
    }
}
END_TEST

/* ---- derivatives -------------------------------------------------------- */

/* What only moves elements is linear: its square has a second derivative. */
static rill_tensor *squared(rill_tape *t, rill_tensor *x)
{
    return rill_mul(t, x, x);
}

static rill_tensor *f_reshape(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    return squared(t, rill_reshape(t, x[0], RILL_SHAPE(4, -1)));
}

static rill_tensor *f_permute(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    return squared(t, rill_permute(t, x[0], RILL_DIMS(2, 0, 1)));
}

static rill_tensor *f_transpose(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    return squared(t, rill_transpose(t, x[0], 0, 2));
}

static rill_tensor *f_slice(rill_tape *t, rill_tensor **x, void *user)
{
    int dim = *(const int *)user;
    return rill_mul(t, rill_slice(t, x[0], dim, 0, -1),
                    rill_slice(t, x[0], dim, 1, 99));
}

static rill_tensor *f_concat(rill_tape *t, rill_tensor **x, void *user)
{
    const rill_tensor *in[] = { x[0], x[1], x[0] };
    return squared(t, rill_concat(t, in, 3, *(const int *)user));
}

static rill_tensor *f_expand(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    return rill_mul(t, rill_expand(t, x[0], RILL_SHAPE(2, 5, 3)),
                    rill_expand(t, squared(t, x[0]), RILL_SHAPE(2, 5, 3)));
}

static rill_tensor *f_sum_to(rill_tape *t, rill_tensor **x, void *user)
{
    (void)user;
    return rill_add(t, squared(t, rill_sum_to(t, x[0], RILL_SHAPE(3, 1))),
                    squared(t, rill_sum_to(t, x[0], RILL_SCALAR)));
}

static rill_tensor *f_embedding(rill_tape *t, rill_tensor **x, void *user)
{
    static const int32_t at[] = { 3, 0, 3, 3, 1, 0 };
    (void)user;
    rill_tensor *i = rill_copy(t, at, RILL_I32, RILL_SHAPE(2, 3));
    return squared(t, rill_embedding(t, x[0], i, NULL));
}

static rill_tensor *f_matmul(rill_tape *t, rill_tensor **x, void *user)
{
    return rill_matmul(t, x[0], x[1], user);
}

static rill_tensor *f_linear(rill_tape *t, rill_tensor **x, void *user)
{
    return squared(t, rill_linear(t, x[0], x[1], user ? NULL : x[2]));
}

START_TEST(derivatives)
{
    rill_tensor *x = normal(6, RILL_F64, RILL_SHAPE(2, 3, 4));
    rill_tensor *y = normal(7, RILL_F64, RILL_SHAPE(2, 3, 4));
    rill_tensor *table = normal(8, RILL_F64, RILL_SHAPE(4, 3));
    rill_tensor *column = normal(9, RILL_F64, RILL_SHAPE(5, 1));
    CHECK_OP(rill_reshape, f_reshape, 1, NULL, x);
    CHECK_OP(rill_permute, f_permute, 1, NULL, x);
    CHECK_OP(rill_transpose, f_transpose, 1, NULL, x);
    for (int dim = 0; dim < 3; dim++) {
        CHECK_OP(rill_slice, f_slice, 1, &dim, x);
        CHECK_OP(rill_concat, f_concat, 2, &dim, x, y);
    }
    CHECK_OP(rill_expand, f_expand, 1, NULL, column);
    CHECK_OP(rill_sum_to, f_sum_to, 1, NULL, x);
    CHECK_OP(rill_embedding, f_embedding, 1, NULL, table);
}
END_TEST

START_TEST(product_derivatives)
{
    const rill_shape wide = RILL_SHAPE(2, 3), tall = RILL_SHAPE(3, 2);
    for (int i = 0; i < 4; i++) {
        rill_matmul_opts o = { .transpose_a = i & 1, .transpose_b = i & 2 };
        rill_tensor *a = normal(10, RILL_F64, i & 1 ? tall : wide);
        rill_tensor *b = normal(11, RILL_F64, i & 2 ? wide : tall);
        CHECK_OP(rill_matmul, f_matmul, 2, &o, a, b);
        /* batches of 2 x 1 and 3 */
        rill_shape sa = { 4, { 2, 1, rill_dim(a, 0), rill_dim(a, 1) } };
        rill_shape sb = { 3, { 3, rill_dim(b, 0), rill_dim(b, 1) } };
        CHECK_OP(rill_matmul, f_matmul, 2, &o, normal(12, RILL_F64, sa),
                 normal(13, RILL_F64, sb));
        CHECK_OP(rill_matmul, f_matmul, 2, &o, normal(12, RILL_F64, sa), b);
    }
    rill_tensor *v = normal(14, RILL_F64, RILL_SHAPE(3));
    rill_tensor *m = normal(15, RILL_F64, RILL_SHAPE(2, 3, 3));
    CHECK_OP(rill_matmul, f_matmul, 2, NULL, v, v);
    CHECK_OP(rill_matmul, f_matmul, 2, NULL, v, m);
    CHECK_OP(rill_matmul, f_matmul, 2, NULL, m, v);
    rill_tensor *w = normal(16, RILL_F64, RILL_SHAPE(2, 3));
    rill_tensor *bias = normal(17, RILL_F64, RILL_SHAPE(2));
    int without = 1;
    CHECK_OP(rill_linear, f_linear, 3, NULL, m, w, bias);
    CHECK_OP(rill_linear, f_linear, 2, &without, v, w);
}
END_TEST

int main(void)
{
    return HARNESS_RUN(
        "shapes", reshape, reshape_refusals, permute, transpose,
        permute_refusals, slice_bounds, slice_and_concat, slice_gradient,
        concat_many, slice_and_concat_refusals, expand, sum_to,
        expand_refusals, embedding, embedding_padding_twice,
        embedding_refusals, one_hot, matmul_values, matmul_shapes,
        matmul_refusals, linear_values, linear_refusals, derivatives,
        product_derivatives);
}
