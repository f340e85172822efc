/* inspect_internal.h: what the files of src/inspect share: what a node is
 * called, how names and numbers are shown, a tensor's elements at a glance.
 *
 * A name is whatever its giver wrote. What goes to a terminal or a picture
 * goes through rill_name_text first. A function that takes a buffer returns
 * it, or a name as it was given; the macro of its name brings a buffer that
 * is good until the end of the block. */
#ifndef RILL_INSPECT_INTERNAL_H
#define RILL_INSPECT_INTERNAL_H

#include "inspect.h"

#pragma GCC visibility push(hidden)

enum {
    RILL_LABEL = 192,       /* bytes of "op.place" or a shape */
    RILL_NAME_COLUMNS = 80, /* the most that rill_name_text is asked for */
    RILL_NAME_BYTES = 4 * RILL_NAME_COLUMNS + 1,
    RILL_NUMBER_BYTES = 32
};

/* What a node is called: its tensor's name, as given, or "sigmoid.7" (a leaf:
 * "leaf.7"). */
const char *rill_node_name(const rill_node *n, char buffer[RILL_LABEL]);
#define RILL_NODE_NAME(n) rill_node_name(n, (char[RILL_LABEL]){ 0 })

/* What input i is called: as above; a constant without a name as told. */
const char *rill_input_name(const rill_node *n, int i, const char *unnamed,
                            char buffer[RILL_LABEL]);
#define RILL_INPUT_NAME(n, i, unnamed) \
    rill_input_name(n, i, unnamed, (char[RILL_LABEL]){ 0 })

/* "[64, 2]" */
const char *rill_shape_label(const rill_tensor *x, char buffer[RILL_LABEL]);
#define RILL_SHAPE_LABEL(x) rill_shape_label(x, (char[RILL_LABEL]){ 0 })

/* The first character of s into c, U+FFFD for a byte that is not UTF-8, and
 * how many bytes it took. */
size_t rill_character(const char *s, uint32_t *c);

/* The name as it may be shown: valid UTF-8 without control characters, of at
 * most so many characters, cut in the middle: "encod…weight". */
const char *rill_name_text(const char *name, int columns,
                           char text[RILL_NAME_BYTES]);
#define RILL_NAME_TEXT(name, columns) \
    rill_name_text(name, columns, (char[RILL_NAME_BYTES]){ 0 })

int rill_columns(const char *text); /* that valid UTF-8 takes */

/* v in at most width columns (any number in 6, but for -1e-123) with as many
 * of four digits as fit: "-0.012", "1.2e-5", "nan"; a point in every locale.
 */
const char *rill_number_text(double v, int width,
                             char text[RILL_NUMBER_BYTES]);
#define RILL_NUMBER_TEXT(v, width) \
    rill_number_text(v, width, (char[RILL_NUMBER_BYTES]){ 0 })

/* mean, std (divided by n), min and max are of the finite elements, NaN where
 * there are none. norm and largest (of magnitudes) are of all, so not finite
 * where an element is not. */
typedef struct {
    int64_t n, zeros, nans, infinities;
    double mean, std, min, max, norm, largest;
} rill_statistics;

rill_statistics rill_statistics_of(const rill_tensor *x); /* NULL: n is 0 */

#pragma GCC visibility pop

#endif
