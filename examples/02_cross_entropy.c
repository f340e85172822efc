/* 02_cross_entropy: the derivation of the loss in numbers.
 *
 *     02_cross_entropy                            five logits, target 4
 *     02_cross_entropy --target 2 1.5 0 -3        your own
 *     02_cross_entropy --options                  what each option changes
 *
 * From the sigmoid of one score to the gradient of a whole softmax, and why
 * the two must be one node. What the text says "by hand" is plain C; all else
 * are ops of rill. float64, but for the last section: its subject is what
 * float32 loses. */
#include <rill.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    rill_tape *t;
    int n;            /* logits */
    int target;
    const double *logit;
    rill_tensor *z, *y; /* the logits, a leaf; the target, int32 */
} sample;

static rill_tensor *number(rill_tape *t, double v)
{
    return rill_full(t, v, RILL_F64, RILL_SCALAR);
}

/* ---- two classes -------------------------------------------------------- */

static void the_sample(const sample *s)
{
    printf("1. One sample\n\n"
           "   The last layer gives %d logits z; class %d is right, y = %d.\n"
           "\n         c          z_c\n", s->n, s->target, s->target);
    for (int c = 0; c < s->n; c++)
        printf("     %5d %12.6g%s\n", c, s->logit[c],
               c == s->target ? "   <- y" : "");
}

static void two_classes(const sample *s)
{
    rill_tape *t = s->t;
    double z = s->logit[s->target];
    rill_tensor *p = rill_sigmoid(t, number(t, z)), *q = rill_rsub(t, p, 1);
    printf("\n2. Sigmoid, and what it says about two classes\n\n"
           "   Read one logit alone, z = %g, as the score of a yes/no "
           "question.\n\n"
           "     P(yes) = p = sigmoid(z) = 1 / (1 + e^-z) = %.6f\n"
           "     P(no)  = 1 - p                           = %.6f\n"
           "     ln (p / (1 - p)) = z                     = %.6f\n\n"
           "   One number is enough: z is the logarithm of the odds.\n",
           z, rill_item(p), rill_item(q),
           rill_item(rill_log(t, rill_div(t, p, q))));
    printf("\n3. P(y|x) as one expression\n\n"
           "   With y = 1 for yes and y = 0 for no, one of the exponents is "
           "0:\n\n     P(y|x) = p^y (1 - p)^(1 - y)\n\n");
    rill_tensor *P[2];
    for (int y = 1; y >= 0; y--) {
        P[y] = rill_mul(t, rill_pow(t, p, y), rill_pow(t, q, 1 - y));
        printf("     y = %d:  %.6f^%d * %.6f^%d = %.6f\n", y, rill_item(p), y,
               rill_item(q), 1 - y, rill_item(P[y]));
    }
    printf("\n4. -ln of it\n\n"
           "   Logarithms make the product a sum, the exponents factors:\n\n"
           "     -ln P(y|x) = -y ln p - (1 - y) ln (1 - p)\n\n");
    for (int y = 1; y >= 0; y--)
        printf("     y = %d:  -ln %.6f = %.6f    binary_cross_entropy: %.6f\n",
               y, rill_item(P[y]), rill_item(rill_neg(t, rill_log(t, P[y]))),
               rill_item(rill_binary_cross_entropy(t, p, number(t, y),
                                                   NULL)));
}

/* ---- many classes ------------------------------------------------------- */

static double largest(const sample *s)
{
    double max = s->logit[0];
    for (int c = 1; c < s->n; c++)
        max = fmax(max, s->logit[c]);
    return max;
}

/* sum e^(z_j - m) */
static double sum_by_hand(const sample *s)
{
    double sum = 0;
    for (int c = 0; c < s->n; c++)
        sum += exp(s->logit[c] - largest(s));
    return sum;
}

static double by_hand(const sample *s)
{
    return log(sum_by_hand(s)) + (largest(s) - s->logit[s->target]);
}

static void many_classes(const sample *s)
{
    rill_tape *t = s->t;
    rill_tensor *p = rill_softmax(t, s->z, -1), *ln_p = rill_log(t, p);
    double max = largest(s), sum = sum_by_hand(s), loss = 0;
    printf("\n5. The sum for many classes\n\n"
           "   Let t_c be 1 for the class that is right and 0 for the others. "
           "The same\n   step, with one factor a class:\n\n"
           "     P(y|x) = product over c of p_c^t_c\n"
           "     -ln P(y|x) = - sum over c of t_c ln p_c\n");
    printf("\n6. Softmax\n\n"
           "   The p_c must be positive and sum to 1: p_c = e^z_c / sum e^z_j."
           "\n   m = max z = %g is taken off first; it cancels, and nothing "
           "overflows.\n\n"
           "         c          z_c    e^(z_c-m)        p_c      ln p_c  t_c "
           " -t_c ln p_c\n", max);
    for (int c = 0; c < s->n; c++) {
        double e = exp(s->logit[c] - max), ln = rill_at(ln_p, c);
        double term = c == s->target ? -ln : 0;
        loss += term;
        printf("     %5d %12.6g %12.6g %10.6f %11.6f %4d %12.6f\n", c,
               s->logit[c], e, rill_at(p, c), ln, c == s->target, term);
    }
    printf("       sum %12s %12.6g %10.6f %11s %4d %12.6f\n", "", sum,
           rill_item(rill_sum(t, p, NULL)), "", 1, loss);
    printf("\n7. The one-hot that is never made\n\n"
           "   Every term but one was multiplied by 0. What is left needs the "
           "index y, not\n   the vector t:\n\n"
           "     loss = -ln p_y = ln (sum e^z_j) - z_y\n"
           "          = ln (sum e^(z_j - m)) + m - z_y\n"
           "          = ln %.6f + %g - %g = %.6f\n", sum, max,
           s->logit[s->target], by_hand(s));
}

/* - sum t ln p, with a one-hot t: the route that is written first. */
static rill_tensor *by_one_hot(const sample *s, const rill_tensor *ln_p)
{
    rill_tape *t = s->t;
    rill_tensor *hot = rill_one_hot(t, s->y, s->n, RILL_F64);
    return rill_neg(t, rill_sum(t, rill_mul(t, hot, ln_p), NULL));
}

static void every_route(const sample *s)
{
    rill_tape *t = s->t;
    int y = s->target;
    rill_tensor *p = rill_softmax(t, s->z, -1), *ln_p = rill_log(t, p);
    rill_tensor *log_p = rill_log_softmax(t, s->z, -1);
    rill_tensor *fused = rill_cross_entropy(t, s->z, s->y, NULL);
    const struct {
        const char *name;
        double loss;
    } route[] = {
        { "- sum t ln p, with a one-hot", rill_item(by_one_hot(s, ln_p)) },
        { "-ln p_y, p from softmax", -rill_at(ln_p, y) },
        { "-log_softmax(z)_y", -rill_at(log_p, y) },
        { "nll_loss of log_softmax(z)",
          rill_item(rill_nll_loss(t, log_p, s->y, NULL)) },
        { "logsumexp(z) - z_y",
          rill_item(rill_logsumexp(t, s->z, NULL)) - s->logit[y] },
        { "by hand", by_hand(s) },
        { "cross_entropy(z, y), one node", rill_item(fused) },
    };
    double apart = 0;
    bool lost = false;
    printf("\n8. The loss by every route\n\n");
    for (size_t i = 0; i < sizeof route / sizeof *route; i++) {
        double d = fabs(route[i].loss - rill_item(fused));
        apart = fmax(apart, d);
        lost = lost || !isfinite(d);
        printf("     %-32s %.15f\n", route[i].name, route[i].loss);
    }
    if (lost)
        printf("\n   A probability was rounded to 0, and its logarithm is "
               "lost: section 12.\n");
    else
        printf("\n   The furthest from the fused node is %.1e away.\n",
               apart);
}

static void the_gradient(const sample *s)
{
    rill_tape *t = s->t;
    rill_tensor *p = rill_softmax(t, s->z, -1);
    rill_backward(t, by_one_hot(s, rill_log_softmax(t, s->z, -1)), NULL);
    rill_tensor *composed = rill_grad(t, s->z);
    rill_backward(t, rill_cross_entropy(t, s->z, s->y, NULL), NULL);
    rill_tensor *fused = rill_grad(t, s->z);
    double sum[3] = { 0 };
    printf("\n9. The gradient: softmax - one-hot\n\n"
           "     d loss / d z_c = d ln (sum e^z_j) / d z_c - d z_y / d z_c"
           " = p_c - t_c\n\n"
           "   rill_grad gives the same, through log_softmax, product, sum "
           "and minus, and\n   through the one fused node:\n\n"
           "         c        p_c  t_c      p_c - t_c     four nodes       "
           "one node\n");
    for (int c = 0; c < s->n; c++) {
        double hand = rill_at(p, c) - (c == s->target);
        printf("     %5d %10.6f %4d %14.10f %14.10f %14.10f\n", c,
               rill_at(p, c), c == s->target, hand, rill_at(composed, c),
               rill_at(fused, c));
        sum[0] += hand;
        sum[1] += rill_at(composed, c);
        sum[2] += rill_at(fused, c);
    }
    printf("       sum %10s %4s %14.1e %14.1e %14.1e\n\n"
           "   What the right class gains the others lose: the sum is 0 but "
           "for rounding.\n", "", "", sum[0], sum[1], sum[2]);
}

/* ---- what it is not ----------------------------------------------------- */

static void two_again(const sample *s)
{
    rill_tape *t = s->t;
    double z = s->logit[s->target];
    rill_tensor *pair = rill_from(t, (double[]){ 0, z }, RILL_F64,
                                  RILL_SHAPE(2));
    rill_tensor *p = rill_softmax(t, pair, -1);
    rill_tensor *one = rill_full(t, 1, RILL_I32, RILL_SCALAR);
    printf("\n10. With two classes softmax([0, z]) is sigmoid(z)\n\n"
           "     e^z / (e^0 + e^z) = 1 / (1 + e^-z), here with z = %g:\n\n"
           "     softmax([0, z])              = [%.15f, %.15f]\n"
           "     [1 - sigmoid(z), sigmoid(z)] = [%.15f, %.15f]\n\n"
           "     cross_entropy([0, z], 1)               = %.15f\n"
           "     binary_cross_entropy_with_logits(z, 1) = %.15f\n", z,
           rill_at(p, 0), rill_at(p, 1),
           rill_item(rill_rsub(t, rill_sigmoid(t, number(t, z)), 1)),
           rill_item(rill_sigmoid(t, number(t, z))),
           rill_item(rill_cross_entropy(t, pair, one, NULL)),
           rill_item(rill_binary_cross_entropy_with_logits(
               t, number(t, z), number(t, 1), NULL)));
}

static void misreading(const sample *s)
{
    rill_tape *t = s->t;
    rill_tensor *squashed = rill_sigmoid(t, s->z);
    rill_tensor *p = rill_softmax(t, s->z, -1);
    printf("\n11. CrossEntropyLoss applies log_softmax, not sigmoid\n\n"
           "   It is often read otherwise. A sigmoid asks of each class alone "
           "\"is it this\n   one?\"; its answers need not sum to 1, and they "
           "do not know each other.\n\n"
           "     sum of softmax(z)                   %12.6f\n"
           "     sum of sigmoid(z)                   %12.6f\n"
           "     -ln softmax(z)_y                    %12.6f\n"
           "     -ln sigmoid(z)_y                    %12.6f   another loss\n"
           "     cross_entropy(z, y)                 %12.6f   takes the "
           "logits\n",
           rill_item(rill_sum(t, p, NULL)),
           rill_item(rill_sum(t, squashed, NULL)),
           -rill_at(rill_log_softmax(t, s->z, -1), s->target),
           rill_item(rill_softplus(t, number(t, -s->logit[s->target]))),
           rill_item(rill_cross_entropy(t, s->z, s->y, NULL)));
    printf("     cross_entropy(sigmoid(z), y)        %12.6f   wrong\n",
           rill_item(rill_cross_entropy(t, squashed, s->y, NULL)));
    printf("     cross_entropy(softmax(z), y)        %12.6f   wrong: softmax "
           "twice\n\n",
           rill_item(rill_cross_entropy(t, p, s->y, NULL)));
    const char *warning = rill_warning(t) ? rill_warning(t) : "";
    int half = (int)strcspn(warning, ",");
    printf("   Of the last two rill can tell, and warns:\n\n     %.*s\n"
           "      %s\n", half, warning, warning + half);
}

/* ---- what is lost in two nodes ------------------------------------------ */

enum { PLAIN, FLOORED, CLAMPED, FUSED, WAYS };

/* The loss on logits [gap, 0] in float32 with class 1 right. */
static rill_tensor *one_way(rill_tape *t, const rill_tensor *z, int way)
{
    if (way == FUSED)
        return rill_cross_entropy(t, z, rill_full(t, 1, RILL_I32, RILL_SCALAR),
                                  NULL);
    rill_tensor *p = rill_slice(t, rill_softmax(t, z, -1), 0, 1, 2);
    rill_tensor *kept = rill_clamp(t, p, 1e-9, 1);
    if (way == CLAMPED)
        p = kept;
    if (way == FLOORED) /* the value of the clamp, the slope of p */
        p = rill_add(t, p, rill_detach(t, rill_sub(t, kept, p)));
    return rill_neg(t, rill_log(t, p));
}

static void lost_gradients(rill_tape *t)
{
    static const float gaps[] = { 5, 15, 25, 60, 105, 1e4f };
    float first = 0;
    printf("\n12. The gap at which an unfused loss loses its gradient\n\n"
           "   float32, logits [gap, 0], class 1 right: a confident mistake. "
           "The true loss\n   is about the gap, the true gradient on the "
           "target about -1. Two nodes, a\n   softmax p and a logarithm, in "
           "three ways:\n\n"
           "     plain    -ln p\n"
           "     floored  -ln max(p, 1e-9), the slope taken as 1 / max(p, "
           "1e-9)\n"
           "     clamped  -ln clamp(p, 1e-9, 1), the slope of a clamp being "
           "0 outside\n\n"
           "               -------- loss ---------   ---- gradient on the "
           "target ----\n"
           "       gap       plain floored   fused      plain  floored  "
           "clamped    fused\n");
    for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++) {
        double loss[WAYS], grad[WAYS];
        for (int way = 0; way < WAYS; way++) {
            rill_tensor *z = rill_watch(t, rill_from(t,
                (double[]){ gaps[i], 0 }, RILL_F32, RILL_SHAPE(2)));
            rill_tensor *l = one_way(t, z, way);
            rill_backward(t, l, NULL);
            loss[way] = rill_item(l);
            grad[way] = rill_at(rill_grad(t, z), 1);
            grad[way] = isnan(grad[way]) ? (double)NAN : grad[way] + 0.0;
        }
        printf("    %6g  %10.5g %7.5g %7.5g %10.3g %8.2g %8.2g %8.3g\n",
               (double)gaps[i], loss[PLAIN], loss[FLOORED], loss[FUSED],
               grad[PLAIN], grad[FLOORED], grad[CLAMPED], grad[FUSED]);
    }
    for (float p = 1; p > 0; first += 0.25f)
        p = rill_f32(rill_softmax(t, rill_from(t, (double[]){ first, 0 },
                                  RILL_F32, RILL_SHAPE(2)), -1))[1];
    printf("\n   Both guards stop the loss at -ln 1e-9 = %.4f. Beyond that "
           "gap the clamped\n   gradient is 0 and the floored one e^-gap / "
           "1e-9: a sample that is wrong\n   enough is never corrected. "
           "Without a guard all goes well until p itself is 0\n   in float32, "
           "here at a gap of %g: the loss is then inf and the gradient NaN.\n"
           "   The fused node never takes the logarithm of a rounded "
           "probability.\n",
           -log(1e-9), (double)first - 0.25);
}

/* ---- what the options change -------------------------------------------- */

enum { ROWS = 3, COLUMNS = 3 };

/* The loss of one small batch and its gradient under these options; where
 * probs is NULL against the classes y. */
static void one_option(rill_tape *t, const char *title, const int32_t *y,
                       const double *probs, rill_cross_entropy_opts opts)
{
    static const double logits[] = { 2, 1, -1,  0.5, 0, 1.5,  -1, 0.5, 3 };
    const rill_shape shape = RILL_SHAPE(ROWS, COLUMNS);
    rill_tensor *losses, *lse;
    double used, sum = 0;
    opts.losses = &losses;
    opts.lse = &lse;
    opts.denominator_used = &used;
    rill_tensor *z = rill_watch(t, rill_from(t, logits, RILL_F64, shape));
    rill_tensor *loss = probs ?
        rill_cross_entropy_probs(t, z, rill_from(t, probs, RILL_F64, shape),
                                 &opts) :
        rill_cross_entropy(t, z, rill_copy(t, y, RILL_I32, RILL_SHAPE(ROWS)),
                           &opts);
    rill_backward(t, loss, NULL);
    rill_tensor *dz = rill_grad(t, z);
    printf("%s\n     row  target      lse     loss        d loss / d z\n",
           title);
    for (int r = 0; r < ROWS; r++) {
        char target[16] = "q";
        if (!probs)
            snprintf(target, sizeof target, "%d", (int)y[r]);
        sum += rill_at(losses, r);
        printf("     %3d  %6s %8.4f %8.4f  ", r, target, rill_at(lse, r),
               rill_at(losses, r));
        for (int c = 0; c < COLUMNS; c++)
            printf(" %8.4f", rill_at(dz, r * COLUMNS + c));
        printf("\n");
    }
    printf("     loss = %.4f / %g = %.4f\n\n", sum, used, rill_item(loss));
    rill_tape_reset(t);
}

static void all_options(rill_tape *t)
{
    static const int32_t y[ROWS] = { 0, 1, 2 }, gap[ROWS] = { 0, -100, 2 };
    static const double q[] = { 0.7, 0.2, 0.1,  0, 1, 0,  0.2, 0.2, 0.6 };
    rill_tape *kept = rill_tape_new(&(rill_tape_opts){ .on_error = rill_die });
    if (!kept)
        rill_die("out of memory", NULL);
    rill_tensor *weight = rill_from(kept, (double[]){ 1, 2, 0.5 }, RILL_F64,
                                    RILL_SHAPE(COLUMNS));
    const rill_cross_entropy_opts none = { 0 };
    one_option(t, "no option: the mean", y, NULL, none);
    one_option(t, ".reduction = RILL_SUM", y, NULL,
               (rill_cross_entropy_opts){ .reduction = RILL_SUM });
    one_option(t, ".weight = {1, 2, 0.5}", y, NULL,
               (rill_cross_entropy_opts){ .weight = weight });
    one_option(t, ".ignore_index, -100 unless given", gap, NULL, none);
    one_option(t, ".label_smoothing = 0.3", y, NULL,
               (rill_cross_entropy_opts){ .label_smoothing = 0.3 });
    one_option(t, ".denominator = 12", y, NULL,
               (rill_cross_entropy_opts){ .denominator = 12 });
    one_option(t, ".z_loss = 0.1", y, NULL,
               (rill_cross_entropy_opts){ .z_loss = 0.1 });
    one_option(t, "cross_entropy_probs, q = {0.7, 0.2, 0.1}, {0, 1, 0}, "
               "{0.2, 0.2, 0.6}", NULL, q, none);
    rill_tape_free(kept);
}

/* ---- the command line --------------------------------------------------- */

static int usage(FILE *f, const char *complaint)
{
    if (complaint)
        fprintf(f, "02_cross_entropy: %s\n", complaint);
    fprintf(f, "usage: 02_cross_entropy [--target CLASS] [LOGIT LOGIT ...]\n"
               "       02_cross_entropy --options\n"
               "CLASS counts from 0, the last unless given; at least two "
               "logits.\n");
    return complaint ? 2 : 0;
}

/* The whole of text as a finite number. */
static bool parse(const char *text, double *v)
{
    char *end;
    *v = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*v);
}

/* Fills in n, target and the logits, of which there is room for argc + 5.
 * Returns what is wrong with the arguments, or NULL. */
static const char *parse_all(int argc, char **argv, sample *s, double *logit)
{
    static const double ours[] = { 1.2, -0.5, 0.3, 2, 0.8 };
    double target = NAN;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--target")) {
            if (++i == argc || !parse(argv[i], &target))
                return "--target wants a class";
        } else if (!parse(argv[i], &logit[s->n++])) {
            return "a logit is a finite number";
        }
    }
    if (s->n == 0)
        for (; s->n < 5; s->n++)
            logit[s->n] = ours[s->n];
    if (s->n < 2)
        return "one logit leaves no choice";
    if (isnan(target)) /* none is given */
        target = s->n - 1;
    if (!(target >= 0 && target < s->n && target == floor(target)))
        return "the target is not one of the classes";
    s->target = (int)target;
    s->logit = logit;
    return NULL;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help"))
            return usage(stdout, NULL);
    sample s = { .n = 0 };
    double *logit = calloc((size_t)argc + 5, sizeof *logit);
    rill_tape *t = rill_tape_new(&(rill_tape_opts){ .on_error = rill_die });
    if (!logit || !t)
        rill_die("out of memory", NULL);
    bool options = argc == 2 && !strcmp(argv[1], "--options");
    const char *complaint = options ? NULL
                                    : parse_all(argc, argv, &s, logit);
    if (options) {
        all_options(t);
    } else if (!complaint) {
        s.t = t;
        s.z = rill_watch(t, rill_from(t, logit, RILL_F64, RILL_SHAPE(s.n)));
        s.y = rill_full(t, s.target, RILL_I32, RILL_SCALAR);
        the_sample(&s);
        two_classes(&s);
        many_classes(&s);
        every_route(&s);
        the_gradient(&s);
        two_again(&s);
        misreading(&s);
        lost_gradients(t);
    }
    rill_tape_free(t);
    free(logit);
    return complaint ? usage(stderr, complaint) : 0;
}
