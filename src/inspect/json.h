/* json.h: JSON text, made in memory: internal to src/inspect.
 *
 * What begins a value puts a comma before it where one is due, and its key;
 * in an array the key is NULL. */
#ifndef RILL_JSON_H
#define RILL_JSON_H

#include "inspect_internal.h"

#pragma GCC visibility push(hidden)

/* A string that grows as it is written to; freed by free(at). Where memory
 * ran out it is marked as failed and holds only a part. */
typedef struct {
    char *at;
    size_t n, size;
    bool failed;
} rill_json;

/* A value's text as it stands, or what opens an object or array. */
void rill_json_put(rill_json *j, const char *key, const char *text);

/* What closes it. */
void rill_json_end(rill_json *j, const char *text);

/* A number to six significant digits; null where it is not finite. */
void rill_json_number(rill_json *j, const char *key, double v);
void rill_json_integer(rill_json *j, const char *key, int64_t v);

/* A string in quotes; of bytes that are not UTF-8 each becomes U+FFFD. */
void rill_json_string(rill_json *j, const char *key, const char *s);

/* "shape":[64,2] */
void rill_json_shape(rill_json *j, const rill_tensor *x);

#pragma GCC visibility pop

#endif
