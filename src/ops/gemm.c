/* gemm.c: every matrix product of rill.
 *
 * Products go to cblas, but for x W^T of moderate size, where OpenBLAS 0.3's
 * kernel is 1.5 to 3 times slower than one that packs W. OpenBLAS runs
 * single-threaded (a setting of the whole process): a product is cut into
 * parts by its shape alone, and the team shares them, so that the number of
 * threads changes no bit. */
#define KERNEL_FILE "../ops/gemm.c"
#include "common.h"

#ifdef REAL
/* Vectors by name, as the compiler does not vectorise these kernels by
 * itself: LANES elements of REAL fill a register of the instance. */
#ifndef RILL_SHUFFLE
#define LANES_float_16 4
#define LANES_double_16 2
#define LANES_float_32 8
#define LANES_double_32 4
#define LANES_float_64 16
#define LANES_double_64 8
#define LANES RILL_PASTE(LANES, REAL, VECTOR_BYTES)

/* the elements of two vectors at even, and at odd places */
#define RILL_EVEN_2 0, 2
#define RILL_ODD_2 1, 3
#define RILL_EVEN_4 0, 2, 4, 6
#define RILL_ODD_4 1, 3, 5, 7
#define RILL_EVEN_8 RILL_EVEN_4, 8, 10, 12, 14
#define RILL_ODD_8 RILL_ODD_4, 9, 11, 13, 15
#define RILL_EVEN_16 RILL_EVEN_8, 16, 18, 20, 22, 24, 26, 28, 30
#define RILL_ODD_16 RILL_ODD_8, 17, 19, 21, 23, 25, 27, 29, 31
#define RILL_PICK(kind, n) RILL_PICK_(kind, n)
#define RILL_PICK_(kind, n) RILL_##kind##_##n
#define RILL_SHUFFLE(a, b, kind) \
    __builtin_shufflevector(a, b, RILL_PICK(kind, LANES))
#endif

/* Loads and stores need an element's alignment, no more. */
typedef REAL FN(vector) __attribute__((vector_size(VECTOR_BYTES),
                                       aligned(sizeof(REAL)), may_alias));

/* Turns a square: vector i, a row of LANES elements, becomes column i. Taking
 * the even and odd places of neighbours apart rotates an element's address
 * (vector, place) by one bit: as often as LANES has bits. */
__attribute__((always_inline, unused)) static inline void
FN(rows_to_columns)(FN(vector) *r)
{
    FN(vector) to[LANES];
#pragma GCC unroll 4
    for (int stage = 1; stage < LANES; stage *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            to[i] = RILL_SHUFFLE(r[2 * i], r[2 * i + 1], EVEN);
            to[i + LANES / 2] = RILL_SHUFFLE(r[2 * i], r[2 * i + 1], ODD);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            r[i] = to[i];
    }
}

enum {
    FN(ROWS) = VECTOR_BYTES == 64 ? 8 : 4, /* of a tile: 2 vectors wide */
    FN(DEPTH) = 256                        /* of a packed panel */
};

/* b, rows of which are columns of the panel, to [depth, 2 LANES]. */
static void FN(gemm_pack)(const REAL *b, size_t ldb, size_t depth,
                          size_t columns, REAL *panel)
{
    for (size_t j = 0; j < 2 * LANES; j += LANES)
        for (size_t p = 0; p < depth; p += LANES) {
            if (j + LANES <= columns && p + LANES <= depth) {
                FN(vector) square[LANES];
#pragma GCC unroll 16
                for (size_t i = 0; i < LANES; i++)
                    square[i] = *(const FN(vector) *)(b + (j + i) * ldb + p);
                FN(rows_to_columns)(square);
#pragma GCC unroll 16
                for (size_t i = 0; i < LANES; i++)
                    *(FN(vector) *)(panel + (p + i) * 2 * LANES + j) =
                        square[i];
                continue;
            }
            for (size_t q = p; q < depth && q < p + LANES; q++)
                for (size_t i = j; i < j + LANES; i++)
                    panel[q * 2 * LANES + i] =
                        i < columns ? b[i * ldb + q] : 0;
        }
}

/* c[rows, columns] = a[rows, depth] panel, added to c where `add` is set. */
__attribute__((always_inline)) static inline void
FN(gemm_tile)(size_t rows, size_t depth, const REAL *a, size_t lda,
              const REAL *panel, REAL *c, size_t ldc, size_t columns,
              bool add)
{
    FN(vector) sum[FN(ROWS)][2] = { 0 };
    for (size_t p = 0; p < depth; p++) {
        const REAL *b = panel + p * 2 * LANES;
        FN(vector) b0 = *(const FN(vector) *)b;
        FN(vector) b1 = *(const FN(vector) *)(b + LANES);
#pragma GCC unroll 8
        for (size_t i = 0; i < rows; i++) {
            REAL x = a[i * lda + p];
            sum[i][0] += x * b0;
            sum[i][1] += x * b1;
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++) {
        REAL row[2 * LANES], *to = columns == 2 * LANES ? c + i * ldc : row;
        if (add && to == row)
            memcpy(row, c + i * ldc, columns * sizeof *row);
        FN(vector) *v = (FN(vector) *)to;
        if (add) {
            sum[i][0] += v[0];
            sum[i][1] += v[1];
        }
        v[0] = sum[i][0];
        v[1] = sum[i][1];
        if (to == row)
            memcpy(c + i * ldc, row, columns * sizeof *row);
    }
}

/* c = a b^T, or added to c */
static void FN(gemm_small)(const rill_gemm_args *g)
{
    REAL panel[FN(DEPTH) * 2 * LANES];
    size_t m = (size_t)g->m, n = (size_t)g->n, k = (size_t)g->k;
    size_t lda = (size_t)g->lda, ldb = (size_t)g->ldb, ldc = (size_t)g->ldc;
    for (size_t j = 0; j < n; j += 2 * LANES)
        for (size_t p = 0; p < k; p += FN(DEPTH)) {
            size_t columns = n - j < 2 * LANES ? n - j : 2 * LANES;
            size_t depth = k - p < FN(DEPTH) ? k - p : FN(DEPTH);
            bool add = p > 0 || g->add;
            FN(gemm_pack)((const REAL *)g->b + j * ldb + p, ldb, depth,
                          columns, panel);
            const REAL *a = (const REAL *)g->a + p;
            REAL *c = (REAL *)g->c + j;
            size_t i = 0;
            for (; i + FN(ROWS) <= m; i += FN(ROWS))
                FN(gemm_tile)(FN(ROWS), depth, a + i * lda, lda, panel,
                              c + i * ldc, ldc, columns, add);
            for (; i < m; i++)
                FN(gemm_tile)(1, depth, a + i * lda, lda, panel, c + i * ldc,
                              ldc, columns, add);
        }
}

#else
#include <cblas.h>
#include <limits.h>
#include <pthread.h>

KERNELS(gemm_small)

/* other BLAS libraries do not have it */
extern void openblas_set_num_threads(int n) __attribute__((weak));

static void gemm_start(void)
{
    if (openblas_set_num_threads)
        openblas_set_num_threads(1);
}

typedef struct {
    rill_gemm_args whole;
    rill_dtype dtype;
    int isa;
    bool by_rows;  /* parts are ranges of c's rows, else of its columns */
    int64_t width; /* of a part */
} gemm_job;

static void gemm_blas(const rill_gemm_args *g, rill_dtype dtype)
{
    CBLAS_TRANSPOSE ta = g->transpose_a ? CblasTrans : CblasNoTrans;
    CBLAS_TRANSPOSE tb = g->transpose_b ? CblasTrans : CblasNoTrans;
    int m = (int)g->m, n = (int)g->n, k = (int)g->k;
    int lda = (int)g->lda, ldb = (int)g->ldb, ldc = (int)g->ldc;
    if (dtype == RILL_F32)
        cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, g->a, lda, g->b, ldb,
                    g->add, g->c, ldc);
    else
        cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, g->a, lda, g->b, ldb,
                    g->add, g->c, ldc);
}

/* Measured against OpenBLAS 0.3.21: packing W pays from 16 columns on, and
 * up to some 300^3. */
static bool gemm_is_small(const rill_gemm_args *g)
{
    return !g->transpose_a && g->transpose_b && g->n >= 16 &&
           (double)g->m * (double)g->n * (double)g->k < 3e7;
}

static void gemm_part(void *context, int64_t part)
{
    const gemm_job *job = context;
    rill_gemm_args g = job->whole;
    int64_t from = part * job->width, size = (int64_t)rill_dtype_size(
                                          job->dtype);
    bool small = gemm_is_small(&g); /* of the whole: parts agree */
    if (job->by_rows) {
        g.m = g.m - from < job->width ? g.m - from : job->width;
        g.a = (const char *)g.a + from * size * (g.transpose_a ? 1 : g.lda);
        g.c = (char *)g.c + from * size * g.ldc;
    } else {
        g.n = g.n - from < job->width ? g.n - from : job->width;
        g.b = (const char *)g.b + from * size * (g.transpose_b ? g.ldb : 1);
        g.c = (char *)g.c + from * size;
    }
    if (small)
        KERNEL(gemm_small, job->isa, job->dtype)(&g);
    else
        gemm_blas(&g, job->dtype);
}

bool rill_gemm(rill_tape *t, const char *op, rill_dtype dtype,
               const rill_gemm_args *g)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, gemm_start);
    if (g->m > INT_MAX || g->n > INT_MAX || g->k > INT_MAX ||
        g->lda > INT_MAX || g->ldb > INT_MAX || g->ldc > INT_MAX)
        return rill_fail(t, "%s: a matrix with a side of more than %d", op,
                         INT_MAX);
    if (g->m == 0 || g->n == 0)
        return true;
    size_t size = rill_dtype_size(dtype);
    for (int64_t i = 0; g->k == 0 && !g->add && i < g->m; i++)
        memset((char *)g->c + (size_t)(i * g->ldc) * size, 0,
               (size_t)g->n * size);
    if (g->k == 0)
        return true;
    /* the longer side is cut: the other operand is packed once a part */
    enum { PART = 1 << 22, STEP = 128 };
    gemm_job job = { .whole = *g, .dtype = dtype, .isa = t->isa,
                     .by_rows = g->m >= g->n };
    int64_t side = job.by_rows ? g->m : g->n;
    double work = (double)g->m * (double)g->n * (double)g->k;
    int64_t parts = work < 2.0 * PART ? 1 : work / PART < 16
                        ? (int64_t)(work / PART) : 16;
    job.width = ((side + parts - 1) / parts + STEP - 1) / STEP * STEP;
    rill_share((side + job.width - 1) / job.width, gemm_part, &job);
    return true;
}

#endif
