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
    if (j->size - j->n < n) {
        size_t size = 2 * (j->size + n);
        char *larger = j->failed ? NULL : realloc(j->at, size);
        j->failed = !larger;
        if (!larger)
            return;
        j->at = larger;
        j->size = size;
    }
    memcpy(j->at + j->n, bytes, n);
    j->n += n;
}

void rill_json_raw(rill_json *j, const char *text)
{
    json_bytes(j, text, strlen(text));
}

void rill_json_key(rill_json *j, const char *key)
{
    json_bytes(j, ",", 1);
    rill_json_string(j, key);
    json_bytes(j, ":", 1);
}

/* ---- numbers ------------------------------------------------------------ */

enum { DIGITS = 20 }; /* of the largest uint64_t */

/* Writes v's digits so that they end before `end`; returns the first. */
static char *json_digits(char *end, uint64_t v)
{
    do {
        *--end = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return end;
}

void rill_json_integer(rill_json *j, int64_t v)
{
    char text[DIGITS + 1], *end = text + sizeof text;
    char *at = json_digits(end, v < 0 ? -(uint64_t)v : (uint64_t)v);
    if (v < 0)
        *--at = '-';
    json_bytes(j, at, (size_t)(end - at));
}

/* Writes n digits, the first at ten to the power of `ten`; returns the end.
 * Far from 1 the point follows the first, and the caller adds the power. */
static char *json_decimal(char *to, const char *digits, int n, int ten,
                          bool plain)
{
    int point = plain ? ten + 1 : 1; /* digits before it */
    if (point <= 0) {
        *to++ = '0';
        *to++ = '.';
    }
    for (int i = point < 0 ? point : 0; i < n || i < point; i++) {
        if (i == point && i > 0)
            *to++ = '.';
        *to++ = i >= 0 && i < n ? digits[i] : '0';
    }
    return to;
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

void rill_json_number(rill_json *j, double v)
{
    enum { LEAST = 100000 }; /* of six digits */
    if (!isfinite(v)) {
        rill_json_raw(j, "null");
        return;
    }
    double x = fabs(v);
    int ten = x > 0 ? (int)floor(log10(x)) : 0;
    uint64_t six = (uint64_t)(json_scaled(x, 5 - ten) + 0.5);
    if (six >= 10 * LEAST) { /* 999999.7, or log10 was rounded */
        six /= 10;
        ten++;
    }
    while (six && six % 10 == 0)
        six /= 10;
    char digits[DIGITS], text[2 * DIGITS] = "-";
    char *end = digits + sizeof digits, *first = json_digits(end, six);
    bool plain = ten >= -5 && ten < 15;
    char *to = json_decimal(text + (v < 0), first, (int)(end - first), ten,
                            plain);
    json_bytes(j, text, (size_t)(to - text));
    if (!plain) {
        json_bytes(j, "e", 1);
        rill_json_integer(j, ten);
    }
}

void rill_json_numbers(rill_json *j, const double *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        rill_json_raw(j, i ? "," : "[");
        rill_json_number(j, v[i]);
    }
    rill_json_raw(j, n > 0 ? "]" : "[]");
}

void rill_json_shape(rill_json *j, const rill_tensor *x)
{
    rill_json_key(j, "shape");
    rill_json_raw(j, "[");
    for (int d = 0; d < rill_ndim(x); d++) {
        rill_json_raw(j, d ? "," : "");
        rill_json_integer(j, rill_dim(x, d));
    }
    rill_json_raw(j, "]");
}

/* ---- strings ------------------------------------------------------------ */

/* How many bytes the UTF-8 character at s has; 0 where it is none. */
static size_t json_character(const unsigned char *s)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 :
               s[0] < 0xf0 ? 3 : s[0] < 0xf8 ? 4 : 0;
    uint32_t c = n > 1 ? s[0] & (0x7fu >> n) : s[0];
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    bool valid = n && c >= least[n] && c <= 0x10ffff &&
                 (c < 0xd800 || c > 0xdfff);
    return valid ? n : 0;
}

void rill_json_string(rill_json *j, const char *s)
{
    static const char hex[] = "0123456789abcdef";
    json_bytes(j, "\"", 1);
    for (size_t n; *s; s += n ? n : 1) {
        unsigned char c = (unsigned char)*s;
        n = json_character((const unsigned char *)s);
        if (n == 0) {
            rill_json_raw(j, "\xef\xbf\xbd"); /* U+FFFD */
        } else if (c < 0x20) {
            const char text[] = { '\\', 'u', '0', '0', hex[c >> 4],
                                  hex[c & 15] };
            json_bytes(j, text, sizeof text);
        } else {
            if (c == '"' || c == '\\')
                json_bytes(j, "\\", 1);
            json_bytes(j, s, n);
        }
    }
    json_bytes(j, "\"", 1);
}
