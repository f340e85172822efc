/* metrics.c: how often a classifier is right, and where it is wrong.
 *
 * A row of logits predicts the class of its largest one, the first of equal
 * ones; a NaN counts as the largest, as it does in rill_argmax. */
#include "nn.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Whether these are logits [N, C] and labels [N] in [0, C). */
static bool metrics_match(const rill_tensor *logits, const rill_tensor *labels)
{
    const int32_t *y = rill_i32(labels);
    if (!y || rill_ndim(labels) != 1 || rill_ndim(logits) != 2 ||
        rill_dtype_of(logits) == RILL_I32 ||
        rill_dim(logits, 0) != rill_dim(labels, 0))
        return false;
    for (int64_t i = 0; i < rill_dim(labels, 0); i++)
        if (y[i] < 0 || y[i] >= rill_dim(logits, 1))
            return false;
    return true;
}

static int64_t metrics_predicted(const rill_tensor *logits, int64_t row)
{
    int64_t classes = rill_dim(logits, 1), best = 0;
    double most = rill_at(logits, row * classes);
    for (int64_t c = 1; c < classes && !isnan(most); c++) {
        double z = rill_at(logits, row * classes + c);
        if (z > most || isnan(z)) {
            most = z;
            best = c;
        }
    }
    return best;
}

/* The share of rows whose largest logit is the label's. logits: [N, C];
 * labels: int32 [N]. NaN for no rows, NULL, other shapes or dtypes, and a
 * label that is not in [0, C). */
double rill_accuracy(const rill_tensor *logits, const rill_tensor *labels)
{
    if (!metrics_match(logits, labels))
        return NAN;
    const int32_t *y = rill_i32(labels);
    int64_t n = rill_dim(labels, 0), right = 0;
    for (int64_t i = 0; i < n; i++)
        right += metrics_predicted(logits, i) == y[i];
    return n ? (double)right / (double)n : NAN;
}

/* Adds 1 to counts[label * classes + predicted] for each row; the caller sets
 * counts [classes, classes] to zero first. logits: [N, classes]; labels:
 * int32 [N]. Returns false, and counts nothing, for NULL, other shapes or
 * dtypes, and a label that is not in [0, classes). */
bool rill_confusion_add(int64_t *counts, int classes,
                        const rill_tensor *logits, const rill_tensor *labels)
{
    if (!counts || !metrics_match(logits, labels) ||
        rill_dim(logits, 1) != classes)
        return false;
    const int32_t *y = rill_i32(labels);
    for (int64_t i = 0; i < rill_dim(labels, 0); i++)
        counts[y[i] * (int64_t)classes + metrics_predicted(logits, i)]++;
    return true;
}

/* counts[c][c] over the sum of row c (by = 1) or of column c (by = 0). */
static double metrics_share(const int64_t *counts, int classes, int c, int by)
{
    if (!counts || c < 0 || c >= classes)
        return NAN;
    int64_t n = classes, sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += by ? counts[c * n + i] : counts[i * n + c];
    return sum ? (double)counts[c * n + c] / (double)sum : NAN;
}

/* Of the rows predicted as class c, the share that is of it; NaN where none
 * was, and where there is no class c. counts is a confusion matrix. */
double rill_precision(const int64_t *counts, int classes, int c)
{
    return metrics_share(counts, classes, c, 0);
}

/* Of the rows of class c, the share predicted as it; NaN as above. */
double rill_recall(const int64_t *counts, int classes, int c)
{
    return metrics_share(counts, classes, c, 1);
}

/* ---- the matrix as text ------------------------------------------------- */

/* The bytes of the first `width` characters of UTF-8 text s at most, and in
 * *characters how many there are. */
static int metrics_cut(const char *s, int width, int *characters)
{
    int bytes = 0;
    for (*characters = 0; s[bytes] && *characters < width; ++*characters)
        do
            bytes++;
        while ((s[bytes] & 0xc0) == 0x80);
    return bytes;
}

/* s in a column of this width, cut where it is longer. */
static void metrics_cell(FILE *f, const char *s, int width, bool right)
{
    int characters, bytes = metrics_cut(s, width, &characters);
    int pad = width - characters;
    fprintf(f, "%*s%.*s%*s", right ? pad : 0, "", bytes, s, right ? 0 : pad,
            "");
}

static void metrics_ratio(FILE *f, double share, int width)
{
    if (isnan(share))
        fprintf(f, "%*s", width, "-");
    else
        fprintf(f, "%*.4f", width, share);
}

static const char *metrics_name(const char *const *names, int c, char *buffer,
                                size_t size)
{
    if (names)
        return names[c];
    snprintf(buffer, size, "%d", c);
    return buffer;
}

/* The widths of the first column and of one of counts: what names and counts
 * want, but before a line outgrows 79 characters names are cut. */
static void metrics_widths(const int64_t *counts, int classes,
                           const char *const *names, int *first, int *each)
{
    enum { ROOM = 79 - 11 - 8, FIRST_LEAST = 4, FIRST_MOST = 16, GAP = 2 };
    int digits = 1, longest = 1;
    for (int64_t i = 0; i < (int64_t)classes * classes; i++) {
        int wide = snprintf(NULL, 0, "%" PRId64, counts[i]);
        digits = wide > digits ? wide : digits;
    }
    for (int c = 0; c < classes; c++) {
        char buffer[16];
        int characters;
        metrics_cut(metrics_name(names, c, buffer, sizeof buffer), FIRST_MOST,
                    &characters);
        longest = characters > longest ? characters : longest;
    }
    *first = longest > FIRST_LEAST ? longest : FIRST_LEAST;
    int share = (ROOM - *first) / classes - GAP;
    int name = longest < share ? longest : share;
    *each = (digits > name ? digits : name) + GAP;
    if (*first + *each * classes > ROOM)
        --*each; /* a gap of one will do */
    int rest = ROOM - *each * classes;
    if (rest < *first)
        *first = rest > FIRST_LEAST ? rest : FIRST_LEAST;
}

/* Prints a confusion matrix with a row for each true class, its precision and
 * its recall at the right ("-" where undefined). Long names are cut so that
 * ten classes with counts of up to four digits fit 79 columns. names: the
 * classes', in UTF-8; NULL prints their numbers. */
void rill_confusion_print(FILE *f, const int64_t *counts, int classes,
                          const char *const *names)
{
    if (!f || !counts || classes < 1)
        return;
    char buffer[16];
    int first, each;
    metrics_widths(counts, classes, names, &first, &each);
    fprintf(f, "%*s  predicted\n", first, "");
    metrics_cell(f, "true", first, false);
    for (int c = 0; c < classes; c++) {
        fprintf(f, " ");
        metrics_cell(f, metrics_name(names, c, buffer, sizeof buffer),
                     each - 1, true);
    }
    fprintf(f, "  precision  recall\n");
    for (int c = 0; c < classes; c++) {
        metrics_cell(f, metrics_name(names, c, buffer, sizeof buffer), first,
                     false);
        for (int64_t p = 0; p < classes; p++)
            fprintf(f, "%*" PRId64, each, counts[(int64_t)c * classes + p]);
        metrics_ratio(f, rill_precision(counts, classes, c), 11);
        metrics_ratio(f, rill_recall(counts, classes, c), 8);
        fprintf(f, "\n");
    }
}
