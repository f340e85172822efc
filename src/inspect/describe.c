/* describe.c: names, numbers and tensors in few words.
 *
 * Nothing here changes a tape, allocates, or trusts a name. */
#include "inspect_internal.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <string.h>

const char *rill_node_name(const rill_node *n, char buffer[RILL_LABEL])
{
    const char *name = rill_name(rill_node_output(n));
    const rill_op *op = rill_node_op(n);
    if (*name)
        return name;
    snprintf(buffer, RILL_LABEL, "%.150s.%d", op ? op->name : "leaf",
             rill_node_index(n));
    return buffer;
}

const char *rill_input_name(const rill_node *n, int i, const char *unnamed,
                            char buffer[RILL_LABEL])
{
    const rill_node *source = rill_node_source(n, i);
    const char *name = rill_name(rill_node_input(n, i));
    return source ? rill_node_name(source, buffer) : *name ? name : unnamed;
}

const char *rill_shape_label(const rill_tensor *x, char buffer[RILL_LABEL])
{
    char *at = buffer;
    *at++ = '[';
    for (int d = 0; d < rill_ndim(x); d++)
        at += sprintf(at, "%s%" PRId64, d ? ", " : "", rill_dim(x, d));
    strcpy(at, "]");
    return buffer;
}

size_t rill_character(const char *s, uint32_t *c)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *u = (const unsigned char *)s;
    size_t n = *u < 0x80 ? 1 : *u < 0xc0 || *u > 0xf7 ? 0 : *u < 0xe0 ? 2 :
               *u < 0xf0 ? 3 : 4;
    size_t i = 1;
    *c = n > 1 ? *u & (0x7fu >> n) : *u;
    for (; i < n && (u[i] & 0xc0) == 0x80; i++)
        *c = *c << 6 | (u[i] & 0x3f);
    if (i == n && *c >= least[n] && *c <= 0x10ffff &&
        (*c < 0xd800 || *c > 0xdfff))
        return n;
    *c = 0xfffd;
    return 1;
}

/* Writes the first character of s as it may be shown, and how many bytes of s
 * it took. C1 controls and what turns the direction of the text around become
 * U+FFFD, as bytes that are not UTF-8 do, other controls their pictures. */
static size_t name_character(const char *s, char text[5])
{
    uint32_t c;
    size_t n = rill_character(s, &c);
    bool shown = (c < 0x7f || c > 0x9f) && (c < 0xfffd || c > 0xffff) &&
                 (c < 0x2028 || c > 0x202e) && (c < 0x2066 || c > 0x2069);
    if (c < 0x20 || c == 0x7f)
        sprintf(text, "\xe2\x90%c", c == 0x7f ? 0xa1 : (int)(0x80 + c));
    else
        sprintf(text, "%.*s", shown ? (int)n : 3,
                shown ? s : "\xef\xbf\xbd");
    return n;
}

const char *rill_name_text(const char *name, int columns,
                           char text[RILL_NAME_BYTES])
{
    char shown[5], *at = text;
    int n = 0, i = 0;
    for (const char *s = name; *s; n++)
        s += name_character(s, shown);
    int head = n > columns ? columns / 2 : n;
    int tail = n > columns ? columns - 1 - head : 0;
    for (const char *s = name; *s; i++) {
        s += name_character(s, shown);
        if (i == head)
            at += sprintf(at, "\xe2\x80\xa6");
        if (i < head || i >= n - tail)
            at += sprintf(at, "%s", shown);
    }
    *at = '\0';
    return text;
}

int rill_columns(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

const char *rill_number_text(double v, int width,
                             char text[RILL_NUMBER_BYTES])
{
    char tried[RILL_NUMBER_BYTES];
    locale_t plain = newlocale(LC_ALL_MASK, "C", NULL);
    locale_t was = uselocale(plain);
    int k = 8; /* %.4g, then %.3e, %.3g, ..., %.0e */
    do {
        snprintf(tried, sizeof tried, k % 2 ? "%.*e" : "%.*g", k / 2,
                 isnan(v) ? (double)NAN : v);
        /* 1.2e-05 is 1.2e-5, 1e+05 is 1e5 */
        char *to = strchr(tried, 'e');
        if (to) {
            const char *from = to + 2 + strspn(to + 2, "0");
            memmove(to + 1 + (to[1] == '-'), from, strlen(from) + 1);
        }
    } while (strlen(tried) > (size_t)width && --k > 0);
    uselocale(was);
    if (plain)
        freelocale(plain);
    return strcpy(text, tried);
}

/* One pass; mean and variance by Welford (Technometrics, 1962), the sum of
 * squares as rill_norm has it. */
rill_statistics rill_statistics_of(const rill_tensor *x)
{
    rill_statistics s = { .n = rill_numel(x), .min = NAN, .max = NAN };
    double mean = 0, squares = 0, sum = 0;
    int64_t finite = 0;
    for (int64_t i = 0; i < s.n; i++) {
        double v = rill_at(x, i), off = v - mean;
        sum += v * v;
        s.zeros += v == 0;
        s.nans += isnan(v);
        s.infinities += isinf(v) != 0;
        if (!(fabs(v) <= s.largest))
            s.largest = isnan(s.largest) ? s.largest : fabs(v);
        if (!isfinite(v))
            continue;
        mean += off / (double)++finite;
        squares += off * (v - mean);
        s.min = fmin(s.min, v);
        s.max = fmax(s.max, v);
    }
    s.mean = finite ? mean : NAN;
    s.std = sqrt(squares / (double)finite); /* NaN of none */
    s.norm = sqrt(sum);
    return s;
}
