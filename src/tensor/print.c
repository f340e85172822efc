/* print.c: tensors as NumPy prints arrays.
 *
 *     [[1.   2.5  3.  ]      Every element takes the same columns, the points
 *      [0.25 0.   1.  ]]     stand below each other.
 *
 * Three passes over what is shown: the range decides between 0.25 and
 * 2.5e-01, the texts decide the width, then all is written. */
#include "core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE = 75,      /* columns */
    EDGE = 3,       /* elements at both ends of a dimension cut short */
    WHOLE = 1000,   /* elements that are still printed without cuts */
    DECIMALS = 8,   /* of an element; a scalar shows all that it has */
    PRECISION = 16, /* decimals of d.ddd that tell all doubles apart */
    TEXT = 64
};

typedef struct {
    FILE *f;
    const rill_tensor *x;
    bool cut, scalar, scientific;
    double min, max;    /* of magnitudes, but for 0 */
    int left, decimals; /* the most before the point and after it */
    int least;          /* decimals that are filled up with zeros */
    int exponent;       /* digits of it */
    int width, right;   /* of an element; from its point on */
    int column, spaces; /* spaces: due before what comes next on the line */
} printer;

/* d[0].d[1]d[2]... times ten to the exponent */
typedef struct {
    char d[PRECISION + 2];
    int n, exponent;
} digits;

static int most(int a, int b)
{
    return a > b ? a : b;
}

/* The fewest digits that give v back when they are read; those of an element
 * before its point are exact. */
static digits print_digits(const printer *p, double v)
{
    char text[TEXT];
    snprintf(text, sizeof text, "%.*e", PRECISION, v);
    int whole = p->scientific ? 0 : atoi(strchr(text, 'e') + 1);
    int k = p->scalar ? 0 : most(whole + p->least, 0);
    int end = p->scalar ? PRECISION : whole + DECIMALS;
    for (double back = NAN; k <= end && back != v; k++) {
        snprintf(text, sizeof text, "%.*e", k, v);
        back = p->x->dtype == RILL_F32 ? (double)strtof(text, NULL)
                                       : strtod(text, NULL);
    }
    digits s = { .exponent = atoi(strchr(text, 'e') + 1) };
    for (const char *c = text; *c != 'e'; c++)
        if (*c >= '0' && *c <= '9') /* the point depends on the locale */
            s.d[s.n++] = *c;
    while (s.n > 1 && s.d[s.n - 1] == '0')
        s.n--;
    return s;
}

/* v without padding; notes the most columns needed. Returns the length of
 * what precedes the point, or of all where there is none. */
static int print_text(printer *p, double v, char *text)
{
    int left = 0, n = 0;
    if (p->x->dtype == RILL_I32 || !isfinite(v)) {
        n = snprintf(text, TEXT, "%.0f", isnan(v) ? (double)NAN : v);
        p->width = most(p->width, n);
        return n;
    }
    digits s = print_digits(p, fabs(v));
    int first = p->scientific ? 0 : s.exponent;
    int decimals = most(s.n - 1 - first, p->least);
    if (signbit(v))
        text[n++] = '-';
    for (int power = most(first, 0); power >= -decimals; power--) {
        int i = first - power;
        text[n++] = i >= 0 && i < s.n ? s.d[i] : '0';
        if (power == 0)
            left = n;
        if (power == 0 && (decimals > 0 || !p->scalar))
            text[n++] = '.';
    }
    text[n] = '\0';
    p->left = most(p->left, left);
    p->decimals = most(p->decimals, decimals);
    p->exponent = abs(s.exponent) > 99 ? 3 : p->exponent;
    if (p->scientific)
        sprintf(text + n, "e%c%0*d", s.exponent < 0 ? '-' : '+', p->exponent,
                abs(s.exponent));
    return left;
}

/* The index shown after i along an axis. */
static int64_t print_next(const printer *p, int axis, int64_t i)
{
    int64_t n = p->x->shape.dim[axis];
    return p->cut && n > 2 * EDGE && i == EDGE - 1 ? n - EDGE : i + 1;
}

/* First the range of all that is shown, then the columns it takes. */
static void print_measure(printer *p, bool range, int axis, int64_t at)
{
    char text[TEXT];
    int64_t n = p->x->shape.dim[axis];
    for (int64_t i = 0; i < n; i = print_next(p, axis, i)) {
        double v = rill_at(p->x, at * n + i), size = fabs(v);
        if (axis < p->x->shape.ndim - 1) {
            print_measure(p, range, axis + 1, at * n + i);
        } else if (!range) {
            print_text(p, v, text);
        } else if (isfinite(v) && v != 0) {
            p->max = size > p->max ? size : p->max;
            p->min = size < p->min ? size : p->min;
        }
    }
}

/* A space, or line breaks and the indent of the next line. */
static void print_gap(printer *p, int lines, int indent)
{
    p->column = lines ? indent : p->column + 1;
    p->spaces = lines ? indent : p->spaces + 1;
    while (lines-- > 0)
        fputc('\n', p->f);
}

/* Spaces are written only when something follows them on the line. */
static void print_word(printer *p, const char *word, int lead, int width,
                       int indent)
{
    if (p->column > indent && p->column + width > LINE - indent)
        print_gap(p, 1, indent);
    fprintf(p->f, "%*s%s", p->spaces + lead, "", word);
    p->spaces = width - lead - (int)strlen(word);
    p->column += width;
}

static void print_axis(printer *p, int axis, int64_t at)
{
    char text[TEXT];
    int64_t n = p->x->shape.dim[axis];
    int below = p->x->shape.ndim - 1 - axis, indent = axis + 1;
    fprintf(p->f, "%*s[", p->spaces, "");
    p->spaces = 0;
    p->column = indent;
    for (int64_t i = 0, next; i < n; i = next) {
        next = print_next(p, axis, i);
        if (below) {
            print_axis(p, axis + 1, at * n + i);
        } else {
            int left = print_text(p, rill_at(p->x, at * n + i), text);
            int right = strchr(text, '.') ? p->right : 0;
            print_word(p, text, p->width - left - right, p->width, indent);
        }
        for (int gap = 0; gap < (next < n) + (next > i + 1); gap++) {
            if (gap)
                print_word(p, "...", 0, 3, indent);
            print_gap(p, below, indent);
        }
    }
    fprintf(p->f, "%*s]", p->spaces, "");
    p->spaces = 0;
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
    printer p = { .f = f, .x = x, .min = INFINITY, .exponent = 2,
                  .cut = rill_numel(x) > WHOLE };
    char text[TEXT];
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
}
