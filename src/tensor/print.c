/* print.c: tensors as NumPy prints arrays.
 *
 *     [[1.   2.5  3.  ]      Every element takes the same columns, the points
 *      [0.25 0.   1.  ]]     stand below each other.
 *
 * Three passes over what is shown: the range decides between 0.25 and
 * 2.5e-01, the texts decide the width, then all is written. */
#include "core.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE = 75,    /* columns */
    EDGE = 3,     /* elements at both ends of a dimension cut short */
    WHOLE = 1000, /* elements that are still printed without cuts */
    DECIMALS = 8, /* of an element, */
    ALL = 20,     /* and of a scalar, which shows all that it has */
    TEXT = 64
};

typedef struct {
    FILE *f;
    const rill_tensor *x;
    bool scalar, scientific;
    double min, max;    /* of magnitudes, but for 0 */
    int left, decimals; /* the most before the point and after it */
    int least;          /* decimals that are filled up with zeros */
    int exponent;       /* digits of it */
    int width, right;   /* of an element; from its point on */
    int column, pad;    /* pad: spaces due before what follows on the line */
} printer;

static int most(int a, int b)
{
    return a > b ? a : b;
}

/* v with so many decimals; returns what the text is read back as. */
static double print_rounded(const printer *p, double v, int decimals,
                            char *text)
{
    snprintf(text, TEXT, !p->scientific ? "%#.*f" : p->scalar ? "%.*e"
                                                              : "%#.*e",
             decimals, v);
    return p->x->dtype == RILL_F32 ? (double)strtof(text, NULL)
                                   : strtod(text, NULL);
}

/* v with the fewest decimals that tell it apart, without padding; notes the
 * most digits of each part. Returns the length of what precedes the point,
 * or of all where there is none. */
static int print_text(printer *p, double v, char *text)
{
    if (p->x->dtype == RILL_I32 || !isfinite(v)) {
        int n = snprintf(text, TEXT, "%.0f", isnan(v) ? (double)NAN : v);
        p->width = most(p->width, n);
        return n;
    }
    double goal = print_rounded(p, v, p->scalar ? ALL : DECIMALS, text);
    int decimals = p->least;
    while (print_rounded(p, v, decimals, text) != goal)
        decimals++;
    int left = (int)strcspn(text, ".");
    char *e = strchr(text, 'e');
    if (e && strlen(e + 2) < (size_t)p->exponent)
        sprintf(e + 2, "%03d", atoi(e + 2));
    p->left = most(p->left, left);
    p->decimals = most(p->decimals, decimals);
    p->exponent = most(p->exponent, e ? (int)strlen(e + 2) : 0);
    return left;
}

/* Whether "..." stands for i and what follows up to the last EDGE. */
static bool print_cuts(const printer *p, int axis, int64_t i)
{
    return p->x->numel > WHOLE && i == EDGE &&
           p->x->shape.dim[axis] > 2 * EDGE;
}

/* First the range of all that is shown, then the columns it takes. */
static void print_measure(printer *p, bool range, int axis, int64_t at)
{
    char text[TEXT];
    int64_t n = p->x->shape.dim[axis];
    for (int64_t i = 0; i < n; i++) {
        if (print_cuts(p, axis, i))
            i = n - EDGE;
        double v = rill_at(p->x, at * n + i);
        if (axis < p->x->shape.ndim - 1) {
            print_measure(p, range, axis + 1, at * n + i);
        } else if (!range) {
            print_text(p, v, text);
        } else if (isfinite(v) && v != 0) {
            p->max = fmax(p->max, fabs(v));
            p->min = fmin(p->min, fabs(v));
        }
    }
}

/* An element or "...", on a new line where this one is full. Spaces are
 * written only when something follows them on the line. */
static void print_word(printer *p, const char *word, int lead, int width,
                       bool first)
{
    int indent = p->x->shape.ndim;
    p->column += !first;
    p->pad += !first;
    if (!first && p->column + width > LINE - indent) {
        fputc('\n', p->f);
        p->column = p->pad = indent;
    }
    fprintf(p->f, "%*s%s", p->pad + lead, "", word);
    p->pad = width - lead - (int)strlen(word);
    p->column += width;
}

static void print_axis(printer *p, int axis, int64_t at)
{
    char text[TEXT];
    int64_t n = p->x->shape.dim[axis];
    int below = p->x->shape.ndim - 1 - axis;
    fputc('[', p->f);
    p->column = axis + 1;
    for (int64_t i = 0; i < n; i++) {
        bool cut = print_cuts(p, axis, i);
        if (cut)
            i = n - EDGE - 1;
        if (below && i > 0)
            fprintf(p->f, "%.*s%*s", below, "\n\n\n\n\n\n\n", axis + 1, "");
        if (below && cut) {
            fputs("...", p->f);
        } else if (below) {
            print_axis(p, axis + 1, at * n + i);
        } else if (cut) {
            print_word(p, "...", 0, 3, false);
        } else {
            int left = print_text(p, rill_at(p->x, at * n + i), text);
            int right = strchr(text, '.') ? p->right : 0;
            print_word(p, text, p->width - left - right, p->width, i == 0);
        }
    }
    fprintf(p->f, "%*s]", p->pad, "");
    p->pad = 0;
}

static void print_array(printer *p)
{
    print_measure(p, true, 0, 0);
    p->scientific = p->x->dtype != RILL_I32 &&
                    (p->max >= 1e8 || p->min < 1e-4 || p->max / p->min > 1e3);
    print_measure(p, false, 0, 0);
    p->least = p->scientific ? p->decimals : 0;
    p->right = 1 + p->decimals + (p->scientific ? 2 + p->exponent : 0);
    p->width = most(p->width, p->left + p->right);
    print_axis(p, 0, 0);
}

/* Prints the values of x and a newline, as NumPy prints an array: [1.  2.5].
 * A float element shows the fewest digits that its dtype tells apart, up to 8
 * decimals; scientific notation where the largest magnitude is 1e8 or more,
 * the smallest but for 0 is below 1e-4, or they lie more than a factor of
 * 1000 apart. Lines end by column 75; of more than 1000 elements only three
 * at each end of a dimension are shown. A scalar stands without brackets and
 * with all its digits, an empty tensor is [], NULL is NULL. */
void rill_print(FILE *f, const rill_tensor *x)
{
    printer p = { .f = f, .x = x, .min = INFINITY };
    char text[TEXT];
    locale_t plain = newlocale(LC_ALL_MASK, "C", NULL); /* 1.5, not 1,5 */
    locale_t was = uselocale(plain);
    if (!x || x->numel == 0) {
        fputs(x ? "[]" : "NULL", f);
    } else if (x->shape.ndim == 0) {
        double v = rill_at(x, 0);
        p.scalar = true;
        p.scientific = v != 0 && (fabs(v) < 1e-4 || fabs(v) >= 1e16);
        p.least = !p.scientific;
        print_text(&p, v, text);
        fputs(text, f);
    } else {
        print_array(&p);
    }
    fputc('\n', f);
    uselocale(was);
    if (plain)
        freelocale(plain);
}
