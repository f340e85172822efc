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
static const char finite_power[] =
    "0 to a negative power, a negative number to a fraction, or an overflow";

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
    { "pow", finite_power, "the slope at 0 is infinite for a power below 1" },
    { "pow_tensor", finite_power,
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

/* What was run, and the sentence on it, which ends before the first part that
 * does not fit whole into a tape's error. */
typedef struct {
    const rill_op *op;
    const rill_node *n;          /* NULL: it was not recorded, */
    const rill_tensor *const *x; /* and these are its inputs */
    int inputs;
    char text[512];
    size_t length;
} finite;

__attribute__((format(printf, 2, 3)))
static void finite_say(finite *f, const char *format, ...)
{
    char part[sizeof f->text];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(part, sizeof part, format, args);
    va_end(args);
    if (f->length + (size_t)n < sizeof f->text)
        memcpy(f->text + f->length, part, (size_t)n + 1);
    f->length += (size_t)n;
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
static void finite_say_place(finite *f, const rill_tensor *x)
{
    int64_t rest = finite_first(x), below = rill_numel(x);
    rill_statistics all = rill_statistics_of(x);
    finite_say(f, " %s is %s", RILL_SHAPE_LABEL(x), finite_word(x));
    for (int d = 0; d < rill_ndim(x); d++) {
        below /= rill_dim(x, d);
        finite_say(f, "%s%" PRId64, d ? ", " : " at [", rest / below);
        rest %= below;
    }
    if (rill_ndim(x))
        finite_say(f, "] (%" PRId64 " of %" PRId64 " not finite)",
                   all.nans + all.infinities, all.n);
}

/* " [16, 2] in [-0.7, 0.7]", of what is finite */
static void finite_say_range(finite *f, const rill_tensor *x)
{
    rill_statistics all = rill_statistics_of(x);
    if (isnan(all.min))
        finite_say(f, " %s, nothing finite", RILL_SHAPE_LABEL(x));
    else
        finite_say(f, " %s %sin [%s, %s]", RILL_SHAPE_LABEL(x),
                   all.nans + all.infinities ? "else " : "",
                   RILL_NUMBER_TEXT(all.min, 9), RILL_NUMBER_TEXT(all.max, 9));
}

static const rill_tensor *finite_input(const finite *f, int i)
{
    return f->n ? rill_node_input(f->n, i) : f->x[i];
}

static const rill_node *finite_source(const finite *f, int i)
{
    return f->n ? rill_node_source(f->n, i) : NULL;
}

/* What input i is called. */
static void finite_say_input(finite *f, int i)
{
    const rill_node *source = finite_source(f, i);
    const char *name = source ? RILL_NODE_NAME(source)
                              : rill_name(finite_input(f, i));
    if (*name)
        finite_say(f, "%s", RILL_NAME_TEXT(name, FINITE_COLUMNS));
    else
        finite_say(f, "input %d", i);
}

/* Ends the sentence: why, and what went in. gy: in a backward. */
static void finite_fail(finite *f, rill_tape *t, const rill_tensor *gy)
{
    int held = 0;
    while (held < f->inputs && finite_first(finite_input(f, held)) < 0)
        held++;
    finite_say(f, ": ");
    if (held < f->inputs) {
        const rill_tensor *bad = finite_input(f, held);
        const rill_node *from = finite_source(f, held);
        bool leaf = from ? !rill_node_op(from) : *rill_name(bad);
        finite_say_input(f, held);
        finite_say(f, " holds %s already: %s", finite_word(bad),
                   leaf ? "the learning rate may be too high, if a step "
                          "wrote it"
                        : "look at where it comes from");
    } else {
        finite_say(f, "%s", finite_cause(f->op->name, gy));
    }
    if (gy) {
        finite_say(f, ". dy");
        finite_say_range(f, gy);
    }
    for (int i = 0; i < f->inputs; i++) {
        if (!finite_input(f, i))
            continue;
        finite_say(f, i ? "; " : ". Inputs: ");
        finite_say_input(f, i);
        finite_say_range(f, finite_input(f, i));
    }
    rill_fail(t, "%s", f->text);
}

static void finite_op(rill_tape *t, const rill_op *op, const rill_tensor *y,
                      const rill_tensor *const *x, int n, void *user)
{
    (void)user;
    if (finite_first(y) < 0)
        return;
    finite f = { .op = op, .x = x, .inputs = n };
    const rill_node *last = rill_tape_node(t, rill_tape_len(t) - 1);
    if (rill_node_output(last) == y)
        f.n = last;
    finite_say(&f, "check_finite: %s",
               RILL_NAME_TEXT(f.n ? RILL_NODE_NAME(f.n) : op->name,
                              FINITE_COLUMNS));
    finite_say_place(&f, y);
    finite_fail(&f, t, NULL);
}

static void finite_rule(rill_tape *t, const rill_node *n,
                        const rill_tensor *gy,
                        const rill_tensor *const *gx, void *user)
{
    (void)user;
    finite f = { .op = rill_node_op(n), .n = n,
                 .inputs = rill_node_inputs(n) };
    int i = 0;
    if (finite_first(gy) >= 0) {
        /* every rule's gradient was looked at: it was spoilt on the way */
        finite_say(&f, "check_finite: the gradient that comes to %s",
                   RILL_NAME_TEXT(RILL_NODE_NAME(n), FINITE_COLUMNS));
        finite_say_place(&f, gy);
        rill_fail(t, "%s: by the seed, a hook, or an overflow of a sum",
                  f.text);
        return;
    }
    while (i < f.inputs && (!rill_node_wants(n, i) || finite_first(gx[i]) < 0))
        i++;
    if (i == f.inputs)
        return;
    finite_say(&f, "check_finite: backward through %s, the gradient in ",
               RILL_NAME_TEXT(RILL_NODE_NAME(n), FINITE_COLUMNS));
    finite_say_input(&f, i);
    finite_say_place(&f, gx[i]);
    finite_fail(&f, t, gy);
}

/* Whether every value and gradient is looked at from now on, across resets;
 * returns what it was. The first NaN or infinity that an op gives, recorded
 * or not, or a backward rule, is an error on the tape: which node, where in
 * it, what usually makes it there, and the ranges of what went in. The node
 * is on the tape, for rill_tape_print. An infinity that is meant, in a mask
 * say, is an error too: a large finite number serves there. Off, it costs
 * nothing; on, a pass over each tensor. Error: so many observers
 * (rill_tape_observe) that there is no place for this one. */
bool rill_tape_check_finite(rill_tape *t, bool on)
{
    static const rill_observer check = { finite_op, finite_rule, NULL };
    bool was = rill_tape_unobserve(t, &check);
    if (on)
        rill_tape_observe(t, &check);
    return was;
}
