/* finite.c: who made the first NaN or infinity.
 *
 * An observer on the tape looks at every value and every gradient as it is
 * made. It stops the work at the first that is not finite, while what led to
 * it is at hand, so all that it says of the inputs is still finite unless
 * they came from outside. */
#include "inspect_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { FINITE_COLUMNS = 24 }; /* of a name, that several may fit */

static const char finite_ignored[] =
    "every target is ignored, or their weights sum to 0: a mean of nothing";

/* What usually does it, in the value of an op of finite inputs and in its
 * rule; NULL: nothing in particular. */
static const struct {
    const char *op, *forward, *backward;
} finite_causes[] = {
    { "log", "ln 0 is -inf and of a negative number NaN: clamp first, or use "
             "log_softmax or a loss that takes logits",
      "dy / x overflows, x is next to 0: clamp first, or use log_softmax or "
      "a loss that takes logits" },
    { "div", "a division by 0, or by next to it",
      "a division by next to 0" },
    { "sqrt", "the root of a negative number",
      "the slope of the root is infinite at 0: add a small number first" },
    { "exp", "e^x overflows beyond x = 88.7 in float32, 709.8 in float64: "
             "softmax and logsumexp are safe", NULL },
    { "pow", "0 to a negative power, a negative number to a fraction, or an "
             "overflow",
      "the slope at 0 is infinite for a power below 1" },
    { "pow_tensor", "0 to a negative power, a negative number to a fraction, "
                    "or an overflow",
      "the slope in a is infinite at 0 for b below 1, the one in b is NaN "
      "for a negative a" },
    { "mean", "the mean of nothing, or an overflow", NULL },
    { "scale", "the factor is not finite (a variance of one number divides "
               "by 0), or an overflow", NULL },
    { "cross_entropy", finite_ignored, NULL },
    { "nll_loss", finite_ignored, NULL },
    { "linear_cross_entropy", finite_ignored, NULL },
};
enum { FINITE_CAUSES = sizeof finite_causes / sizeof *finite_causes };

static const char *finite_cause(const char *op, bool backward)
{
    const char *cause = NULL;
    for (int i = 0; i < FINITE_CAUSES; i++)
        if (strcmp(op, finite_causes[i].op) == 0)
            cause = backward ? finite_causes[i].backward
                             : finite_causes[i].forward;
    return cause ? cause :
           backward ? "an overflow: the gradient grew from node to node"
                    : "an overflow: numbers too large for the dtype";
}

/* A sentence that ends before the first part which does not fit whole into a
 * tape's error. */
typedef struct {
    char text[512];
    size_t length;
} finite_sentence;

__attribute__((format(printf, 2, 3)))
static void finite_say(finite_sentence *s, const char *format, ...)
{
    char part[sizeof s->text];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(part, sizeof part, format, args);
    va_end(args);
    if (s->length + (size_t)n < sizeof s->text)
        memcpy(s->text + s->length, part, (size_t)n + 1);
    s->length += (size_t)n;
}

static void finite_say_name(finite_sentence *s, const char *name)
{
    char text[RILL_NAME_BYTES];
    finite_say(s, "%s", rill_name_text(name, FINITE_COLUMNS, text));
}

/* The first element that is not finite; -1: none, or no float tensor. */
static int64_t finite_first(const rill_tensor *x)
{
    int64_t n = rill_i32(x) ? 0 : rill_numel(x), i = 0;
    while (i < n && isfinite(rill_at(x, i)))
        i++;
    return i < n ? i : -1;
}

static const char *finite_word(const rill_tensor *x)
{
    double v = rill_at(x, finite_first(x));
    return isnan(v) ? "NaN" : v > 0 ? "inf" : "-inf";
}

/* " [4, 2] is NaN at [3, 1] (2 of 8 not finite)", of the first that is not */
static void finite_say_place(finite_sentence *s, const rill_tensor *x)
{
    char shape[RILL_LABEL];
    int64_t rest = finite_first(x), below = rill_numel(x);
    rill_statistics all = rill_statistics_of(x);
    finite_say(s, " %s is %s", rill_shape_label(x, shape), finite_word(x));
    for (int d = 0; d < rill_ndim(x); d++) {
        below /= rill_dim(x, d);
        finite_say(s, "%s%" PRId64, d ? ", " : " at [", rest / below);
        rest %= below;
    }
    if (rill_ndim(x))
        finite_say(s, "] (%" PRId64 " of %" PRId64 " not finite)",
                   all.nans + all.infinities, all.n);
}

/* " [16, 2] in [-0.7, 0.7]", of what is finite */
static void finite_say_range(finite_sentence *s, const rill_tensor *x)
{
    char shape[RILL_LABEL], low[RILL_NUMBER_BYTES], high[RILL_NUMBER_BYTES];
    rill_statistics all = rill_statistics_of(x);
    rill_shape_label(x, shape);
    if (isnan(all.min))
        finite_say(s, " %s, nothing finite", shape);
    else
        finite_say(s, " %s %sin [%s, %s]", shape,
                   all.nans + all.infinities ? "else " : "",
                   rill_number_text(all.min, 9, low),
                   rill_number_text(all.max, 9, high));
}

/* Input i of a node, or where nothing is recorded (n NULL) of x. */
static const rill_tensor *finite_input(const rill_node *n,
                                       const rill_tensor *const *x, int i)
{
    return n ? rill_node_input(n, i) : x[i];
}

/* What it is called. */
static void finite_say_input(finite_sentence *s, const rill_node *n,
                             const rill_tensor *const *x, int i)
{
    const rill_node *source = n ? rill_node_source(n, i) : NULL;
    const char *name = rill_name(finite_input(n, x, i));
    if (source || *name)
        finite_say_name(s, source ? RILL_NODE_NAME(source) : name);
    else
        finite_say(s, "input %d", i);
}

/* Ends the sentence: why, and what went in. gy: in a backward. */
static void finite_say_why(finite_sentence *s, const rill_op *op,
                           const rill_node *n, const rill_tensor *const *x,
                           int inputs, const rill_tensor *gy)
{
    int held = 0;
    while (held < inputs && finite_first(finite_input(n, x, held)) < 0)
        held++;
    finite_say(s, ": ");
    if (held < inputs) {
        const rill_tensor *bad = finite_input(n, x, held);
        const rill_node *from = n ? rill_node_source(n, held) : NULL;
        bool leaf = from ? !rill_node_op(from) : *rill_name(bad);
        finite_say_input(s, n, x, held);
        finite_say(s, " holds %s already: %s", finite_word(bad),
                   leaf ? "the learning rate may be too high, if a step "
                          "wrote it"
                        : "look at where it comes from");
    } else {
        finite_say(s, "%s", finite_cause(op->name, gy));
    }
    if (gy) {
        finite_say(s, ". dy");
        finite_say_range(s, gy);
    }
    for (int i = 0; i < inputs; i++) {
        if (!finite_input(n, x, i))
            continue;
        finite_say(s, i ? "; " : ". Inputs: ");
        finite_say_input(s, n, x, i);
        finite_say_range(s, finite_input(n, x, i));
    }
}

static void finite_op(rill_tape *t, const rill_op *op, const rill_tensor *y,
                      const rill_tensor *const *x, int n, void *user)
{
    (void)user;
    if (finite_first(y) < 0)
        return;
    finite_sentence s = { .length = 0 };
    char label[RILL_LABEL];
    const rill_node *last = rill_tape_node(t, rill_tape_len(t) - 1);
    if (last && rill_node_output(last) != y)
        last = NULL; /* not recorded */
    finite_say(&s, "check_finite: ");
    finite_say_name(&s, last ? rill_node_name(last, label) : op->name);
    finite_say_place(&s, y);
    finite_say_why(&s, op, last, x, n, NULL);
    rill_fail(t, "%s", s.text);
}

static void finite_rule(rill_tape *t, const rill_node *n,
                        const rill_tensor *gy,
                        const rill_tensor *const *gx, void *user)
{
    (void)user;
    finite_sentence s = { .length = 0 };
    char label[RILL_LABEL];
    const char *name = rill_node_name(n, label);
    int inputs = rill_node_inputs(n), i = 0;
    if (finite_first(gy) >= 0) {
        /* every rule's gradient was looked at: it was spoilt on the way */
        finite_say(&s, "check_finite: the gradient that comes to ");
        finite_say_name(&s, name);
        finite_say_place(&s, gy);
        finite_say(&s, ": by the seed, a hook, or an overflow of a sum");
        rill_fail(t, "%s", s.text);
        return;
    }
    while (i < inputs && (!rill_node_wants(n, i) || finite_first(gx[i]) < 0))
        i++;
    if (i == inputs)
        return;
    finite_say(&s, "check_finite: backward through ");
    finite_say_name(&s, name);
    finite_say(&s, ", the gradient in ");
    finite_say_input(&s, n, NULL, i);
    finite_say_place(&s, gx[i]);
    finite_say_why(&s, rill_node_op(n), n, NULL, inputs, gy);
    rill_fail(t, "%s", s.text);
}

/* Whether every value and gradient is looked at from now on, across resets;
 * returns what it was. The first NaN or infinity that an op gives, recorded
 * or not, or a backward rule, is an error on the tape: which node, where in
 * it, what usually makes it there, and the ranges of what went in. The node
 * is on the tape, for rill_tape_print. An infinity that is meant, in a mask
 * say, is an error too: a large finite number serves there. What hooks and
 * sums make of a leaf's own gradient is not seen. Off, it costs nothing; on,
 * a pass over each tensor. Error: so many observers (rill_tape_observe) that
 * there is no place for this one. */
bool rill_tape_check_finite(rill_tape *t, bool on)
{
    static const rill_observer finite = { finite_op, finite_rule, NULL };
    bool was = rill_tape_unobserve(t, &finite);
    if (on)
        rill_tape_observe(t, &finite);
    return was;
}
