/* json.c: JSON text, made in memory.
 *
 * Numbers are written by hand: printf's take five times as long, which a
 * recorder of every step feels, and put a comma where the locale has one. */
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void json_bytes(rill_json *j, const char *bytes, size_t n)
{
    if (j->size - j->n <= n) {
        size_t size = 2 * (j->size + n + 1);
        char *larger = j->failed ? NULL : realloc(j->at, size);
        j->failed = !larger;
        if (!larger)
            return;
        j->at = larger;
        j->size = size;
    }
    memcpy(j->at + j->n, bytes, n);
    j->n += n;
    j->at[j->n] = '\0';
}

/* Keys are the recorder's own: nothing in them has to be escaped. */
static void json_begin(rill_json *j, const char *key)
{
    char last = j->n ? j->at[j->n - 1] : '\n';
    if (last != '\n' && last != '{' && last != '[')
        json_bytes(j, ",", 1);
    if (key) {
        json_bytes(j, "\"", 1);
        json_bytes(j, key, strlen(key));
        json_bytes(j, "\":", 2);
    }
}

void rill_json_put(rill_json *j, const char *key, const char *text)
{
    json_begin(j, key);
    rill_json_end(j, text);
}

void rill_json_end(rill_json *j, const char *text)
{
    json_bytes(j, text, strlen(text));
}

static void json_digits(rill_json *j, int64_t v)
{
    char text[20], *end = text + sizeof text, *first = end;
    uint64_t left = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do
        *--first = (char)('0' + left % 10);
    while (left /= 10);
    if (v < 0)
        *--first = '-';
    json_bytes(j, first, (size_t)(end - first));
}

void rill_json_integer(rill_json *j, const char *key, int64_t v)
{
    json_begin(j, key);
    json_digits(j, v);
}

/* x times ten to the power of n: for small n rounded once. */
static double json_scaled(double x, int n)
{
    static const double tens[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14 };
    const int known = sizeof tens / sizeof *tens;
    if (n > -known && n < known)
        return n < 0 ? x / tens[-n] : x * tens[n];
    /* in two steps where the power alone would not be finite */
    return n > 250 ? x * 1e250 * pow(10, n - 250) : x * pow(10, n);
}

void rill_json_number(rill_json *j, const char *key, double v)
{
    if (!isfinite(v)) {
        rill_json_put(j, key, "null");
        return;
    }
    char text[40] = "-", digits[6], *to = text + (v < 0);
    double x = fabs(v);
    int ten = x > 0 ? (int)floor(log10(x)) : 0, n = 6;
    int six = (int)(json_scaled(x, 5 - ten) + 0.5);
    if (six >= 1000000) { /* 999999.7, or log10 was rounded */
        six /= 10;
        ten++;
    }
    for (int i = n - 1; i >= 0; i--, six /= 10)
        digits[i] = (char)('0' + six % 10);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    bool plain = ten >= -5 && ten < 15;
    int top = plain ? ten : 0; /* the power of ten of the first digit */
    for (int p = top > 0 ? top : 0; p >= 0 || p > top - n; p--) {
        if (p == -1)
            *to++ = '.';
        *to++ = p <= top && p > top - n ? digits[top - p] : '0';
    }
    json_begin(j, key);
    json_bytes(j, text, (size_t)(to - text));
    if (!plain) {
        json_bytes(j, "e", 1);
        json_digits(j, ten);
    }
}

void rill_json_shape(rill_json *j, const rill_tensor *x)
{
    rill_json_put(j, "shape", "[");
    for (int d = 0; d < rill_ndim(x); d++)
        rill_json_integer(j, NULL, rill_dim(x, d));
    rill_json_end(j, "]");
}

void rill_json_string(rill_json *j, const char *key, const char *s)
{
    uint32_t c;
    json_begin(j, key);
    json_bytes(j, "\"", 1);
    for (size_t n; *s; s += n) {
        n = rill_character(s, &c);
        if (c == '"' || c == '\\')
            json_bytes(j, "\\", 1);
        if (c < 0x20) {
            char text[8];
            sprintf(text, "\\u%04x", (unsigned)c);
            rill_json_end(j, text);
        } else if (c == 0xfffd)
            rill_json_end(j, "\xef\xbf\xbd");
        else
            json_bytes(j, s, n);
    }
    json_bytes(j, "\"", 1);
}
