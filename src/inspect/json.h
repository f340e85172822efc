/* json.h: JSON text, made in memory: internal to src/inspect. */
#ifndef RILL_JSON_H
#define RILL_JSON_H

#include "inspect.h"

#pragma GCC visibility push(hidden)

/* Grows as it is written to; freed by free(at). Where memory ran out it is
 * marked as failed and holds only a part. */
typedef struct {
    char *at;
    size_t n, size;
    bool failed;
} rill_json;

/* Text as it stands. */
void rill_json_raw(rill_json *j, const char *text);

/* A comma, the key, a colon. */
void rill_json_key(rill_json *j, const char *key);

/* A number to six significant digits; null where it is not finite. */
void rill_json_number(rill_json *j, double v);
void rill_json_integer(rill_json *j, int64_t v);

/* A string in quotes; of bytes that are not UTF-8 each becomes U+FFFD. */
void rill_json_string(rill_json *j, const char *s);

/* [v[0], v[1], ...] */
void rill_json_numbers(rill_json *j, const double *v, int64_t n);

/* ,"shape":[64,2] */
void rill_json_shape(rill_json *j, const rill_tensor *x);

#pragma GCC visibility pop

#endif
