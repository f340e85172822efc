/* test_golden.c: the ops against PyTorch's numbers (tests/golden).
 *
 * A table leads from the name of an op to the function that reads a case's
 * arguments and runs it. Everything else is the same for all: the forward
 * pass, recorded and not; the gradient in every argument that has a grad_
 * line, by the fused rules and by the recorded ones; the refusals. Second
 * derivatives have a way of their own. */
#include "golden.h"

#include <dirent.h>

/* ---- arguments ---------------------------------------------------------- */

/* The arguments of the case at hand that a gradient is wanted in. */
enum { MAX_LEAVES = 8 };
static struct {
    const char *role;
    rill_tensor *x;
} leaf[MAX_LEAVES];
static int n_leaves;

/* An argument of the op, a leaf if the case differentiates it; NULL where the
 * case has none. */
static rill_tensor *argument(golden_case *c, const char *role)
{
    char grad[64];
    rill_tensor *x = golden_input(c, role);
    snprintf(grad, sizeof grad, "grad_%s", role);
    if (!x || !golden_find(c, grad))
        return x;
    ck_assert_int_lt(n_leaves, MAX_LEAVES);
    leaf[n_leaves].role = golden_find(c, role)->role;
    return leaf[n_leaves++].x = rill_watch(tape, x);
}

static rill_reduction reduction(golden_case *c)
{
    static const char *const names[] = { "mean", "sum", "none" };
    static const rill_reduction values[] = { RILL_MEAN, RILL_SUM, RILL_NONE };
    const char *name = golden_string(c, "reduction");
    for (int i = 0; i < 3; i++)
        if (!name || strcmp(name, names[i]) == 0)
            return values[i];
    golden_complain(c->file, "reduction %s is not known here", name);
    return RILL_MEAN;
}

/* The attribute dim, one or several; all-zero where there is none. */
static rill_dims dims(golden_case *c, const char *key)
{
    double list[RILL_MAX_DIMS];
    rill_dims d = { 0 };
    int n = golden_list(c, key, list, RILL_MAX_DIMS);
    for (int i = 0; i < n; i++)
        d.dim[d.n++] = (int)list[i];
    return d;
}

static int dim(golden_case *c, const char *key)
{
    return (int)golden_number(c, key, 0);
}

/* An index that may be left out: NULL then, or else in *index. */
static const int32_t *optional_index(golden_case *c, const char *key,
                                     int32_t *index)
{
    double value = golden_number(c, key, NAN);
    if (isnan(value))
        return NULL;
    *index = (int32_t)value;
    if (*index != value)
        golden_complain(c->file, "%s %.17g is not an int32", key, value);
    return index;
}

/* ---- the ops ------------------------------------------------------------ */

typedef rill_tensor *unary_op(rill_tape *t, const rill_tensor *x);
typedef rill_tensor *binary_op(rill_tape *t, const rill_tensor *a,
                               const rill_tensor *b);

static rill_tensor *run_unary(golden_case *c, unary_op *op)
{
    return op(tape, argument(c, "input"));
}

static rill_tensor *run_binary(golden_case *c, binary_op *op)
{
    rill_tensor *a = argument(c, "input"), *b = argument(c, "other");
    return op(tape, a, b);
}

#define UNARY(name) \
    static rill_tensor *run_##name(golden_case *c) \
    { \
        return run_unary(c, rill_##name); \
    }
#define BINARY(name) \
    static rill_tensor *run_##name(golden_case *c) \
    { \
        return run_binary(c, rill_##name); \
    }
UNARY(sigmoid)
UNARY(tanh)
UNARY(relu)
UNARY(silu)
UNARY(exp)
UNARY(log)
UNARY(sqrt)
UNARY(neg)
UNARY(abs)
BINARY(add)
BINARY(sub)
BINARY(mul)
BINARY(div)

static rill_tensor *run_gelu(golden_case *c)
{
    const char *how = golden_string(c, "approximate");
    if (how && strcmp(how, "tanh") == 0)
        return run_unary(c, rill_gelu_tanh);
    if (how && strcmp(how, "none") != 0)
        golden_complain(c->file, "approximate %s is not known here", how);
    return run_unary(c, rill_gelu);
}

static rill_tensor *run_pow(golden_case *c)
{
    if (golden_find(c, "other"))
        return run_binary(c, rill_pow_tensor);
    return rill_pow(tape, argument(c, "input"),
                    golden_number(c, "exponent", NAN));
}

static rill_tensor *run_matmul(golden_case *c)
{
    rill_tensor *a = argument(c, "input"), *b = argument(c, "other");
    return rill_matmul(tape, a, b, NULL);
}

static rill_tensor *run_linear(golden_case *c)
{
    rill_tensor *x = argument(c, "input"), *w = argument(c, "weight");
    return rill_linear(tape, x, w, argument(c, "bias"));
}

static rill_tensor *run_softmax(golden_case *c)
{
    return rill_softmax(tape, argument(c, "input"), dim(c, "dim"));
}

static rill_tensor *run_log_softmax(golden_case *c)
{
    return rill_log_softmax(tape, argument(c, "input"), dim(c, "dim"));
}

static rill_reduce_opts reduce_opts(golden_case *c)
{
    return (rill_reduce_opts){ .dims = dims(c, "dim"),
                               .keepdim = dim(c, "keepdim") != 0 };
}

static rill_tensor *run_sum(golden_case *c)
{
    rill_reduce_opts o = reduce_opts(c);
    return rill_sum(tape, argument(c, "input"), &o);
}

static rill_tensor *run_mean(golden_case *c)
{
    rill_reduce_opts o = reduce_opts(c);
    return rill_mean(tape, argument(c, "input"), &o);
}

/* PyTorch's max over one dim also says where: that is argmax. */
static rill_tensor *run_max(golden_case *c)
{
    rill_reduce_opts o = reduce_opts(c);
    rill_tensor *x = argument(c, "input");
    if (golden_find(c, "indices"))
        golden_compare(c, "indices", rill_argmax(tape, x, &o));
    return rill_max(tape, x, &o);
}

static rill_tensor *run_reshape(golden_case *c)
{
    double list[RILL_MAX_DIMS];
    int n = golden_list(c, "shape", list, RILL_MAX_DIMS);
    rill_shape s = { .ndim = n };
    for (int i = 0; i < n; i++)
        s.dim[i] = (int64_t)list[i];
    return rill_reshape(tape, argument(c, "input"), s);
}

static rill_tensor *run_transpose(golden_case *c)
{
    return rill_transpose(tape, argument(c, "input"), dim(c, "dim0"),
                          dim(c, "dim1"));
}

static rill_tensor *run_permute(golden_case *c)
{
    return rill_permute(tape, argument(c, "input"), dims(c, "dims"));
}

static rill_tensor *run_cat(golden_case *c)
{
    const rill_tensor *x[MAX_LEAVES];
    int n = 0;
    for (; n < MAX_LEAVES; n++) {
        char role[16];
        snprintf(role, sizeof role, "input%d", n);
        if ((x[n] = argument(c, role)) == NULL)
            break;
    }
    return rill_concat(tape, x, n, dim(c, "dim"));
}

static rill_tensor *run_slice(golden_case *c)
{
    return rill_slice(tape, argument(c, "input"), dim(c, "dim"),
                      (int64_t)golden_number(c, "start", 0),
                      (int64_t)golden_number(c, "end", INT32_MAX));
}

static rill_tensor *run_embedding(golden_case *c)
{
    int32_t padding;
    rill_embedding_opts o = {
        .padding_index = optional_index(c, "padding_idx", &padding)
    };
    rill_tensor *indices = argument(c, "input");
    return rill_embedding(tape, argument(c, "weight"), indices, &o);
}

static rill_tensor *run_layer_norm(golden_case *c)
{
    rill_dims over = dims(c, "normalized_shape");
    rill_layer_norm_opts o = { .normalized_dims = over.n,
                               .eps = golden_number(c, "eps", 0) };
    rill_tensor *x = argument(c, "input");
    for (int i = 0; i < over.n; i++)
        if (rill_dim(x, i - over.n) != over.dim[i])
            golden_complain(c->file, "normalized_shape is not the input's");
    rill_tensor *weight = argument(c, "weight");
    return rill_layer_norm(tape, x, weight, argument(c, "bias"), &o);
}

/* PyTorch tells probabilities from indices by the target's shape; rill by the
 * function called. */
static rill_tensor *run_cross_entropy(golden_case *c)
{
    int32_t ignore;
    rill_cross_entropy_opts o = {
        .reduction = reduction(c),
        .weight = argument(c, "weight"),
        .ignore_index = optional_index(c, "ignore_index", &ignore),
        .label_smoothing = golden_number(c, "label_smoothing", 0)
    };
    rill_tensor *x = argument(c, "input"), *y = argument(c, "target");
    bool same = rill_ndim(x) == rill_ndim(y);
    for (int d = 0; same && d < rill_ndim(x); d++)
        same = rill_dim(x, d) == rill_dim(y, d);
    return same ? rill_cross_entropy_probs(tape, x, y, &o)
                : rill_cross_entropy(tape, x, y, &o);
}

static rill_tensor *run_nll_loss(golden_case *c)
{
    int32_t ignore;
    rill_nll_loss_opts o = {
        .reduction = reduction(c),
        .weight = argument(c, "weight"),
        .ignore_index = optional_index(c, "ignore_index", &ignore)
    };
    rill_tensor *x = argument(c, "input");
    return rill_nll_loss(tape, x, argument(c, "target"), &o);
}

static rill_binary_cross_entropy_opts bce_opts(golden_case *c)
{
    return (rill_binary_cross_entropy_opts){
        .reduction = reduction(c),
        .weight = argument(c, "weight"),
        .pos_weight = argument(c, "pos_weight")
    };
}

static rill_tensor *run_bce(golden_case *c)
{
    rill_binary_cross_entropy_opts o = bce_opts(c);
    rill_tensor *x = argument(c, "input");
    return rill_binary_cross_entropy(tape, x, argument(c, "target"), &o);
}

static rill_tensor *run_bce_with_logits(golden_case *c)
{
    rill_binary_cross_entropy_opts o = bce_opts(c);
    rill_tensor *x = argument(c, "input");
    return rill_binary_cross_entropy_with_logits(tape, x,
                                                 argument(c, "target"), &o);
}

static rill_tensor *run_mse_loss(golden_case *c)
{
    rill_loss_opts o = { .reduction = reduction(c) };
    rill_tensor *x = argument(c, "input");
    return rill_mse_loss(tape, x, argument(c, "target"), &o);
}

static rill_tensor *run_l1_loss(golden_case *c)
{
    rill_loss_opts o = { .reduction = reduction(c) };
    rill_tensor *x = argument(c, "input");
    return rill_l1_loss(tape, x, argument(c, "target"), &o);
}

static rill_tensor *run_smooth_l1_loss(golden_case *c)
{
    rill_loss_opts o = { .reduction = reduction(c) };
    rill_tensor *x = argument(c, "input");
    return rill_smooth_l1_loss(tape, x, argument(c, "target"),
                               golden_number(c, "beta", 1), &o);
}

static rill_tensor *run_huber_loss(golden_case *c)
{
    rill_loss_opts o = { .reduction = reduction(c) };
    rill_tensor *x = argument(c, "input");
    return rill_huber_loss(tape, x, argument(c, "target"),
                           golden_number(c, "delta", 1), &o);
}

static const struct {
    const char *name;
    rill_tensor *(*run)(golden_case *c);
} ops[] = {
    { "sigmoid", run_sigmoid },
    { "tanh", run_tanh },
    { "relu", run_relu },
    { "gelu", run_gelu },
    { "silu", run_silu },
    { "exp", run_exp },
    { "log", run_log },
    { "sqrt", run_sqrt },
    { "neg", run_neg },
    { "abs", run_abs },
    { "pow", run_pow },
    { "add", run_add },
    { "sub", run_sub },
    { "mul", run_mul },
    { "div", run_div },
    { "matmul", run_matmul },
    { "linear", run_linear },
    { "softmax", run_softmax },
    { "log_softmax", run_log_softmax },
    { "sum", run_sum },
    { "mean", run_mean },
    { "max", run_max },
    { "amax", run_max },
    { "reshape", run_reshape },
    { "transpose", run_transpose },
    { "permute", run_permute },
    { "cat", run_cat },
    { "slice", run_slice },
    { "embedding", run_embedding },
    { "layer_norm", run_layer_norm },
    { "cross_entropy", run_cross_entropy },
    { "nll_loss", run_nll_loss },
    { "binary_cross_entropy", run_bce },
    { "binary_cross_entropy_with_logits", run_bce_with_logits },
    { "mse_loss", run_mse_loss },
    { "l1_loss", run_l1_loss },
    { "smooth_l1_loss", run_smooth_l1_loss },
    { "huber_loss", run_huber_loss },
};

/* Runs the op of a case; a complaint and NULL if nobody knows it. */
static rill_tensor *run(golden_case *c)
{
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(ops[i].name, c->op) == 0)
            return ops[i].run(c);
    golden_complain(c->file, "the op is not known here");
    return NULL;
}

/* ---- one case ----------------------------------------------------------- */

/* Compares the gradients that the last backward left with <prefix><role>. */
static void compare_gradients(golden_case *c, const char *prefix)
{
    for (int i = 0; i < n_leaves; i++) {
        char role[64];
        snprintf(role, sizeof role, "%s%s", prefix, leaf[i].role);
        golden_compare(c, role, rill_grad(tape, leaf[i].x));
    }
}

static bool backward(golden_case *c, const rill_tensor *y,
                     const rill_tensor *seed, bool create_graph)
{
    c->file->way = create_graph ? "the recorded rules" : "the fused rules";
    bool done = rill_backward(tape, y,
                              &(rill_backward_opts){
                                  .grad = seed,
                                  .create_graph = create_graph });
    if (!done)
        golden_complain(c->file, "backward: %s", rill_error(tape));
    return done;
}

/* The op must be refused, with a sentence that opens with a name. */
static void check_refusal(golden_case *c, const rill_tensor *y)
{
    const char *reason = golden_error(c), *sentence = rill_error(tape);
    if (y)
        golden_complain(c->file, "not refused: %s", reason);
    else if (!sentence || strcspn(sentence, " ") < 2 ||
             sentence[strcspn(sentence, " ") - 1] != ':')
        golden_complain(c->file, "%s: refused without a sentence", reason);
}

static void check_first_order(golden_case *c)
{
    rill_tensor *seed = golden_input(c, "grad_output");
    rill_tape_record(tape, false);
    c->file->way = "unrecorded";
    golden_compare(c, "output", run(c));
    rill_tape_record(tape, true);
    c->file->way = NULL;
    n_leaves = 0;
    rill_tensor *y = run(c);
    golden_compare(c, "output", y);
    if (y && backward(c, y, seed, false))
        compare_gradients(c, "grad_");
    if (y && backward(c, y, seed, true))
        compare_gradients(c, "grad_");
}

/* With g the gradient of sum(grad_output * y) in each argument, q = the sum
 * of <g, v> over the arguments is differentiated in them and in
 * grad_output. */
static void check_second_order(golden_case *c, bool create_graph)
{
    n_leaves = 0;
    c->file->way = NULL;
    rill_tensor *seed = rill_watch(tape, golden_input(c, "grad_output"));
    rill_tensor *y = run(c);
    golden_compare(c, "output", y);
    if (!y || !backward(c, y, seed, true))
        return;
    compare_gradients(c, "grad_");
    rill_tensor *q = NULL;
    for (int i = 0; i < n_leaves; i++) {
        char role[64];
        snprintf(role, sizeof role, "v_%s", leaf[i].role);
        rill_tensor *gv = rill_sum(
            tape, rill_mul(tape, rill_grad(tape, leaf[i].x),
                           golden_input(c, role)), NULL);
        q = q ? rill_add(tape, q, gv) : gv;
    }
    leaf[n_leaves].role = "grad_output";
    leaf[n_leaves++].x = seed;
    if (backward(c, q, NULL, create_graph))
        compare_gradients(c, "hvp_");
}

static void check_case(golden_case *c)
{
    n_leaves = 0;
    if (strcmp(c->op, "slice") == 0 && golden_number(c, "step", 1) != 1) {
        golden_skip(c, "a slice with a step");
    } else if (golden_error(c)) {
        check_refusal(c, run(c));
    } else if (golden_find(c, "hvp_grad_output")) {
        check_second_order(c, false);
        check_second_order(c, true);
    } else {
        check_first_order(c);
    }
    rill_clear_error(tape);
    rill_tape_reset(tape);
}

static void check_file(const char *name, int cases)
{
    golden_file *f = golden_open(name);
    for (golden_case *c; (c = golden_next(f)) != NULL; )
        check_case(c);
    golden_close(f, cases);
}

#define GOLDEN_TEST(name, cases)             \
    START_TEST(name)                         \
    {                                        \
        check_file(#name ".txt", cases);     \
    }                                        \
    END_TEST
GOLDEN_TEST(elementwise, 82)
GOLDEN_TEST(binary, 81)
GOLDEN_TEST(matmul, 44)
GOLDEN_TEST(softmax, 36)
GOLDEN_TEST(reduce, 82)
GOLDEN_TEST(views, 50)
GOLDEN_TEST(layer_norm, 20)
GOLDEN_TEST(cross_entropy, 275)
GOLDEN_TEST(cross_entropy_prob, 86)
GOLDEN_TEST(nll_loss, 66)
GOLDEN_TEST(binary_cross_entropy, 90)
GOLDEN_TEST(regression_losses, 72)
GOLDEN_TEST(second_derivatives, 14)

/* Every file of the folder is one that some test reads. */
START_TEST(folder_holds_known_files)
{
    static const char *const known[] = {
        "elementwise.txt", "binary.txt", "matmul.txt", "softmax.txt",
        "reduce.txt", "views.txt", "layer_norm.txt", "cross_entropy.txt",
        "cross_entropy_prob.txt", "nll_loss.txt", "binary_cross_entropy.txt",
        "regression_losses.txt", "second_derivatives.txt",
        /* test_golden_nn.c: */
        "optimizers.txt", "lr_schedulers.txt", "clip_grad.txt",
        "safetensors.txt"
    };
    const char *folder = getenv("RILL_GOLDEN");
    DIR *d = opendir(folder ? folder : "tests/golden");
    ck_assert_ptr_nonnull(d);
    size_t n = sizeof known / sizeof *known, seen = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL; ) {
        const char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".txt") != 0)
            continue;
        size_t i = 0;
        while (i < n && strcmp(known[i], e->d_name) != 0)
            i++;
        ck_assert_msg(i < n, "no test reads %s", e->d_name);
        seen++;
    }
    closedir(d);
    ck_assert_uint_eq(seen, n);
}
END_TEST

/* ---- the reader itself -------------------------------------------------- */

/* What the last complaint about a file of this text says; "" for none. */
static const char *complaint(const char *text)
{
    static char message[512];
    golden_file *f = golden_read(fmemopen((void *)text, strlen(text), "r"),
                                 "text");
    f->quiet = true;
    for (golden_case *c; (c = golden_next(f)) != NULL; )
        check_case(c);
    snprintf(message, sizeof message, "%s", f->message);
    ck_assert_int_eq(f->failures > 0, message[0] != '\0');
    golden_free(f);
    return message;
}

#define RELU "case a\nop relu\ntensor input f32 1 2 : -0x1p+0 0x1p+1\n"
#define RELU_GRAD "tensor grad_output f32 1 2 : 0x1p+0 0x1p+0\n" \
                  "tensor grad_input f32 1 2 : 0x0p+0 0x1p+0\n"
#define RELU_OUT "tensor output f32 1 2 : 0x0p+0 0x1p+1\n"

START_TEST(reader_accepts)
{
    ck_assert_str_eq(complaint("# a comment\n\n" RELU RELU_OUT RELU_GRAD
                               "end\n"), "");
}
END_TEST

START_TEST(reader_compares)
{
    /* 5e-5 beside 2: within the tolerance; 7e-5: beyond it */
    ck_assert_str_eq(complaint(RELU RELU_GRAD "tensor output f32 1 2 : "
                               "0x0p+0 0x1.0001a4p+1\nend\n"), "");
    ck_assert_str_eq(
        complaint(RELU RELU_GRAD "tensor output f32 1 2 : 0x0p+0 "
                  "0x1.00024cp+1\nend\n"),
        "text:1: relu a: output[1] is 2, not 2.0000700950622559");
    ck_assert_str_eq(
        complaint(RELU RELU_GRAD "tensor output f32 1 2 : nan 0x1p+1\nend\n"),
        "text:1: relu a: output[0] is 0, not nan");
    ck_assert_str_eq(
        complaint(RELU RELU_OUT "tensor grad_output f32 1 2 : 0x1p+0 0x1p+0\n"
                  "tensor grad_input f32 1 2 : 0x1p+0 0x1p+0\nend\n"),
        "text:1: relu a, the recorded rules: grad_input[0] is 0, not 1");
    ck_assert_str_eq(
        complaint(RELU RELU_GRAD "tensor output f64 1 2 : 0x0p+0 0x1p+1\n"
                  "end\n"),
        "text:1: relu a: output is of another shape or dtype: float32, 1 "
        "dimensions, 2 elements");
}
END_TEST

START_TEST(reader_refuses_the_unknown)
{
    ck_assert_str_eq(complaint(RELU RELU_OUT RELU_GRAD "attr mode x\nend\n"),
                     "text:1: relu a: attribute mode is not known here");
    ck_assert_str_eq(complaint(RELU RELU_OUT RELU_GRAD
                               "tensor other f32 0 : 0x1p+0\nend\n"),
                     "text:1: relu a: tensor other is not known here");
    ck_assert_str_eq(complaint("case a\nop rely\nexpect error x\nend\n"),
                     "text:1: rely a: x: refused without a sentence");
    ck_assert_str_eq(complaint(RELU "expect error x\nend\n"),
                     "text:1: relu a: not refused: x");
    ck_assert_str_eq(complaint(RELU RELU_OUT RELU_GRAD "kind of\nend\n"),
                     "text:1: relu a: line 7 cannot be understood");
    ck_assert_str_eq(complaint("op relu\n"),
                     "text:1: outside a case: \"op\" where a case should "
                     "begin");
    ck_assert_str_eq(complaint(RELU), "text:1: relu a: no end");
    ck_assert_str_eq(complaint("case a\nend\n"), "text:1: a: no op");
}
END_TEST

/* A value that its type cannot hold, too few or too many values, a label that
 * int32 would cut. */
START_TEST(reader_refuses_bad_values)
{
    static const char *const bad[] = {
        "f32 0 : 0x1.0000001p+0", "f32 1 2 : 0x1p+0", "f32 0 : 0x1p+0 0x1p+0",
        "f32 0 0x1p+0", "f16 0 : 0x1p+0", "f32 1 -1 :", "i64 0 : 0x1p+0",
        "i64 0 : 9007199254740993"
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[128];
        snprintf(text, sizeof text, "case a\nop relu\ntensor input %s\nend\n",
                 bad[i]);
        ck_assert_str_eq(complaint(text),
                         "text:1: relu a: line 3 cannot be understood");
    }
    golden_file *f = golden_read(
        fmemopen((void *)"case a\nop nll_loss\ntensor target i64 1 2 : "
                 "2147483647 2147483648\nend\n", 72, "r"), "text");
    f->quiet = true;
    golden_case *c = golden_next(f);
    ck_assert_ptr_nonnull(c);
    ck_assert_ptr_null(golden_input(c, "target"));
    ck_assert_str_eq(f->message, "text:1: nll_loss a: target[1] is "
                                 "2147483648, not an int32");
    golden_free(f);
}
END_TEST

int main(void)
{
    return HARNESS_RUN(
        "golden", reader_accepts, reader_compares, reader_refuses_the_unknown,
        reader_refuses_bad_values, folder_holds_known_files, elementwise,
        binary, matmul, softmax, reduce, views, layer_norm, cross_entropy,
        cross_entropy_prob, nll_loss, binary_cross_entropy,
        regression_losses, second_derivatives);
}
