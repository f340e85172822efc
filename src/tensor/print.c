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
    TEXT = 64
};

#define NEW_LINES "\n\n\n\n\n\n\n"

typedef struct {
    FILE *f;
    const rill_tensor *x;
    bool scientific;
    const char *format;  /* of a number with so many decimals */
    int least, most;     /* decimals: filled up with zeros; looked at */
    int exponent;        /* digits of it */
    int left, decimals;  /* the most before the point and after it */
    int width;           /* of an element */
    int column, pad;     /* pad: spaces due before what follows on the line */
    int64_t block[RILL_MAX_DIMS + 1]; /* elements of a sub-array, by depth */
} printer;

/* v with so many decimals; returns what the text is read back as. */
static double print_rounded(const printer *p, double v, int decimals,
                            char *text)
{
    snprintf(text, TEXT, p->format, decimals, v);
    return p->x->dtype == RILL_F32 ? (double)strtof(text, NULL)
                                   : strtod(text, NULL);
}

/* v with the fewest decimals that tell it apart, without padding; notes the
 * most of each part. Returns the length of what precedes the point. */
static int print_text(printer *p, double v, char *text)
{
    if (p->x->dtype == RILL_I32 || !isfinite(v)) {
        int n = snprintf(text, TEXT, "%.0f", isnan(v) ? (double)NAN : v);
        p->width = n > p->width ? n : p->width;
        return n;
    }
    double goal = print_rounded(p, v, p->most, text);
    int decimals = p->least;
    while (print_rounded(p, v, decimals, text) != goal)
        decimals++;
    char *e = strchr(text, 'e');
    if (e)
        sprintf(e + 2, "%0*d", p->exponent, atoi(e + 2));
    int left = (int)strcspn(text, ".");
    p->left = left > p->left ? left : p->left;
    p->decimals = decimals > p->decimals ? decimals : p->decimals;
    return left;
}

/* What is shown after element i. Where "..." stands between, *cut is the axis
 * that is cut short there, and else -1. */
static int64_t print_next(const printer *p, int64_t i, int *cut)
{
    const rill_shape *s = &p->x->shape;
    for (int d = 0; p->x->numel > WHOLE && d < s->ndim; d++) {
        int64_t left_out = s->dim[d] - 2 * EDGE, below = p->block[d + 1];
        *cut = d;
        if (left_out > 0 && (i + 1) % p->block[d] == EDGE * below)
            return i + 1 + left_out * below;
    }
    *cut = -1;
    return i + 1;
}

/* Decides upon the notation and the columns that elements take. */
static void print_measure(printer *p)
{
    char text[TEXT];
    int cut;
    double min = INFINITY, max = 0; /* of magnitudes, but for 0 */
    for (int64_t i = 0; i < p->x->numel; i = print_next(p, i, &cut)) {
        double v = fabs(rill_at(p->x, i));
        min = v > 0 && v < min ? v : min;
        max = isfinite(v) && v > max ? v : max;
    }
    p->scientific = p->x->dtype != RILL_I32 &&
                    (max >= 1e8 || min < 1e-4 || max / min > 1e3);
    p->format = p->scientific ? "%#.*e" : "%#.*f";
    p->exponent = max >= 1e100 || min < 1e-99 ? 3 : 2;
    for (int64_t i = 0; i < p->x->numel; i = print_next(p, i, &cut))
        print_text(p, rill_at(p->x, i), text);
    p->least = p->scientific ? p->decimals : 0;
}

/* An element or "...", on a new line where this one is full. Spaces are
 * written only when something follows them on the line. */
static void print_word(printer *p, int lead, const char *word, int tail,
                       bool first)
{
    int width = lead + (int)strlen(word) + tail, indent = p->x->shape.ndim;
    p->pad = first ? 0 : p->pad + 1;
    p->column = first ? indent : p->column + 1;
    if (!first && p->column + width > LINE - indent) {
        fputc('\n', p->f);
        p->column = p->pad = indent;
    }
    fprintf(p->f, "%*s%s", p->pad + lead, "", word);
    p->column += width;
    p->pad = tail;
}

/* Before an element a bracket opens for every sub-array that begins there;
 * where another one would begin after it, they close. */
static void print_array(printer *p)
{
    char text[TEXT];
    int cut, ndim = p->x->shape.ndim, begin = ndim;
    p->block[ndim] = 1;
    for (int d = ndim - 1; d >= 0; d--)
        p->block[d] = p->block[d + 1] * p->x->shape.dim[d];
    print_measure(p);
    int point = 1 + p->decimals + (p->scientific ? 2 + p->exponent : 0);
    p->width = p->left + point > p->width ? p->left + point : p->width;
    for (int64_t i = 0; i < p->x->numel;) {
        if (begin && i > 0)
            fprintf(p->f, "%.*s%*s", begin, NEW_LINES, ndim - begin, "");
        fprintf(p->f, "%.*s", begin, "[[[[[[[[");
        int left = print_text(p, rill_at(p->x, i), text);
        int right = text[left] ? point : 0;
        print_word(p, p->width - left - right, text,
                   left + right - (int)strlen(text), begin > 0);
        i = print_next(p, i, &cut);
        begin = 0;
        for (int d = 0; d < ndim; d++)
            begin += i % p->block[d] == 0;
        fprintf(p->f, "%*s%.*s", begin ? p->pad : 0, "", begin, "]]]]]]]]");
        if (cut == ndim - 1)
            print_word(p, 0, "...", 0, false);
        else if (cut >= 0)
            fprintf(p->f, "%.*s%*s...", begin, NEW_LINES, cut + 1, "");
    }
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
    printer p = { .f = f, .x = x, .most = 8 };
    char text[TEXT];
    locale_t plain = newlocale(LC_ALL_MASK, "C", NULL); /* 1.5, not 1,5 */
    locale_t was = uselocale(plain);
    if (!x || x->numel == 0) {
        fputs(x ? "[]" : "NULL", f);
    } else if (x->shape.ndim == 0) {
        double v = rill_at(x, 0), size = fabs(v);
        bool scientific = v != 0 && (size < 1e-4 || size >= 1e16);
        p.format = scientific ? "%.*e" : "%#.*f";
        p.exponent = 2;
        p.least = !scientific;
        p.most = 20;
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
