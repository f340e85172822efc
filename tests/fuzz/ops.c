/* ops.c: bytes as a program of ops on a tape. A stack of tensors begins with
 * three leaves; each op takes some from anywhere in it and puts its result on
 * top. Whatever the program, nothing crashes, a refusal has a sentence, and a
 * backward that succeeds leaves gradients of their tensors' shapes. */
#include "fuzz.h"

enum { DEPTH = 24 };

typedef struct {
    const uint8_t *at, *end;
    rill_tape *t;
    rill_dtype dtype;
    rill_tensor *x[DEPTH];
    int n;
} program;

static int next(program *p)
{
    return p->at < p->end ? *p->at++ : 0;
}

static rill_tensor *operand(program *p)
{
    return p->x[next(p) % p->n];
}

static double number(program *p)
{
    static const double numbers[] = { 0, 1, -1, 0.5, 2, 1e-30, 1e30,
                                      -INFINITY, INFINITY, NAN };
    return numbers[next(p) % (int)(sizeof numbers / sizeof *numbers)];
}

static rill_shape shape(program *p)
{
    rill_shape s = { .ndim = next(p) % 4 };
    for (int d = 0; d < s.ndim; d++)
        s.dim[d] = next(p) % 6 - (next(p) % 16 == 0);
    return s;
}

static rill_tensor *leaf(program *p)
{
    rill_rng r = { .seed = (uint64_t)next(p) };
    rill_tensor *x = rill_normal(p->t, &r, 0, 1, p->dtype, shape(p));
    return rill_watch(p->t, x);
}

/* Class indices, a few of them ignored or wrong. */
static rill_tensor *labels(program *p)
{
    double values[256];
    rill_shape s = shape(p);
    for (int i = 0; i < 256; i++)
        values[i] = next(p) % 8 ? i % 3 : -100;
    return rill_from(p->t, values, RILL_I32, s);
}

static rill_reduce_opts reduction(program *p)
{
    rill_reduce_opts o = { .keepdim = next(p) & 1 };
    o.dims.n = next(p) % 3;
    for (int i = 0; i < o.dims.n; i++)
        o.dims.dim[i] = next(p) % 6 - 3;
    return o;
}

typedef rill_tensor *one(rill_tape *, const rill_tensor *);
typedef rill_tensor *two(rill_tape *, const rill_tensor *,
                         const rill_tensor *);
typedef rill_tensor *reducer(rill_tape *, const rill_tensor *,
                             const rill_reduce_opts *);

static one *const ones[] = {
    rill_neg, rill_square, rill_sqrt, rill_exp, rill_log, rill_abs,
    rill_sigmoid, rill_tanh, rill_relu, rill_gelu, rill_gelu_tanh, rill_silu,
    rill_softplus
};
static two *const twos[] = {
    rill_add, rill_sub, rill_mul, rill_div, rill_maximum, rill_minimum,
    rill_pow_tensor, rill_gt, rill_le, rill_eq
};
static reducer *const reducers[] = { rill_sum, rill_mean, rill_max, rill_min,
                                     rill_logsumexp, rill_argmax };
#define ANY(table) table[next(p) % (int)(sizeof table / sizeof *table)]

static rill_tensor *losses(program *p, const rill_tensor *x)
{
    double smoothing = next(p) % 4 * 0.3, denominator = next(p) % 3;
    rill_cross_entropy_opts o = {
        .reduction = (rill_reduction)(next(p) % 3),
        .label_smoothing = smoothing, .denominator = denominator,
        .z_loss = next(p) % 2 * 0.1, .weight = next(p) % 4 ? NULL : operand(p)
    };
    switch (next(p) % 4) {
    case 0:
        return rill_cross_entropy(p->t, x, labels(p), &o);
    case 1:
        return rill_cross_entropy_probs(p->t, x, operand(p), &o);
    case 2:
        return rill_linear_cross_entropy(
            p->t, x, operand(p), NULL, labels(p),
            &(rill_linear_cross_entropy_opts){ o, next(p) % 4 });
    default:
        return rill_huber_loss(p->t, x, operand(p), number(p), NULL);
    }
}

static rill_tensor *shaping(program *p, const rill_tensor *x)
{
    const rill_tensor *parts[3] = { x, operand(p), operand(p) };
    int a = next(p) % 6 - 3, b = next(p) % 6 - 3;
    switch (next(p) % 7) {
    case 0:
        return rill_reshape(p->t, x, shape(p));
    case 1:
        return rill_transpose(p->t, x, a, b);
    case 2:
        return rill_slice(p->t, x, a, b, next(p) % 6);
    case 3:
        return rill_concat(p->t, parts, 1 + next(p) % 3, a);
    case 4:
        return rill_expand(p->t, x, shape(p));
    case 5:
        return rill_permute(p->t, x, (rill_dims){ 2, { a, b } });
    default:
        return rill_where(p->t, operand(p), x, operand(p));
    }
}

static rill_tensor *op(program *p)
{
    const rill_tensor *x = operand(p);
    int what = next(p) % 16;
    rill_reduce_opts o = reduction(p);
    switch (what) {
    case 0:
    case 1:
        return ANY(ones)(p->t, x);
    case 2:
    case 3:
        return ANY(twos)(p->t, x, operand(p));
    case 4:
        return ANY(reducers)(p->t, x, &o);
    case 5:
    case 6:
        return shaping(p, x);
    case 7:
        return rill_matmul(p->t, x, operand(p),
                           &(rill_matmul_opts){ o.keepdim, next(p) & 1 });
    case 8:
        return rill_linear(p->t, x, operand(p), operand(p));
    case 9:
        return rill_softmax(p->t, x, next(p) % 6 - 3);
    case 10:
        return rill_log_softmax(p->t, x, next(p) % 6 - 3);
    case 11:
        return rill_layer_norm(p->t, x, operand(p), operand(p), NULL);
    case 12:
        return rill_embedding(p->t, x, labels(p), NULL);
    case 13:
        return losses(p, x);
    case 14:
        return rill_clamp(p->t, x, number(p), number(p));
    default:
        return rill_pow(p->t, rill_scale(p->t, x, number(p)), number(p));
    }
}

/* A refused op leaves a sentence, and the tape can go on. */
static void push(program *p, rill_tensor *x)
{
    FUZZ_CHECK((x == NULL) == (rill_error(p->t) != NULL));
    rill_clear_error(p->t);
    if (x)
        p->x[p->n++ % DEPTH] = x;
    if (p->n > DEPTH)
        p->n = DEPTH;
}

static void sweep(program *p)
{
    const rill_tensor *loss = p->x[p->n - 1];
    rill_tensor *seed = rill_full(p->t, 1, rill_dtype_of(loss),
                                  rill_shape_of(loss));
    bool good = rill_backward(
        p->t, loss,
        &(rill_backward_opts){ .grad = seed, .create_graph = next(p) & 1 });
    FUZZ_CHECK(good == (rill_error(p->t) == NULL));
    rill_clear_error(p->t);
    for (int i = 0; i < p->n; i++) {
        rill_tensor *g = rill_grad(p->t, p->x[i]);
        rill_shape a = rill_shape_of(p->x[i]), b = rill_shape_of(g);
        FUZZ_CHECK(!g || (a.ndim == b.ndim &&
                          rill_numel(g) == rill_numel(p->x[i]) &&
                          rill_dtype_of(g) == rill_dtype_of(p->x[i])));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    program p = { .at = bytes, .end = bytes + n, .t = rill_tape_new(NULL) };
    p.dtype = next(&p) & 1 ? RILL_F64 : RILL_F32;
    p.x[p.n++] = rill_watch(p.t, rill_full(p.t, 0.5, p.dtype, RILL_SCALAR));
    for (int i = 0; i < 3; i++)
        push(&p, leaf(&p));
    while (p.at < p.end) {
        push(&p, op(&p));
        if (next(&p) % 16 == 0)
            sweep(&p);
    }
    sweep(&p);
    rill_tape_free(p.t);
    return 0;
}
