/* metrics.c: how often a classifier is right, and where it is wrong.
 *
 * A row of logits predicts the class of its largest one, the first of equal
 * ones; a NaN counts as the largest, as it does in rill_argmax. */
#include "nn.h"

#include <inttypes.h>
#include <math.h>

/* Whether these are logits [N, C] and labels [N] in [0, C). */
static bool metrics_match(const rill_tensor *logits, const rill_tensor *labels)
{
    const int32_t *y = rill_i32(labels);
    if (!y || rill_ndim(labels) != 1 || rill_i32(logits) ||
        rill_ndim(logits) != 2 || rill_dim(logits, 0) != rill_numel(labels))
        return false;
    for (int64_t i = 0; i < rill_numel(labels); i++)
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
        best = z <= most ? best : c;
        most = z <= most ? most : z;
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
    int64_t n = rill_numel(labels), right = 0;
    for (int64_t i = 0; i < n; i++)
        right += metrics_predicted(logits, i) == rill_i32(labels)[i];
    return n ? (double)right / (double)n : NAN;
}

/* Adds 1 to counts[label * classes + predicted] for each row; the caller sets
 * counts [classes, classes] to zero first. Returns false, and counts nothing,
 * where rill_accuracy gives NaN, and for another number of classes. */
bool rill_confusion_add(int64_t *counts, int classes,
                        const rill_tensor *logits, const rill_tensor *labels)
{
    if (!counts || rill_dim(logits, 1) != classes ||
        !metrics_match(logits, labels))
        return false;
    for (int64_t i = 0; i < rill_numel(labels); i++)
        counts[rill_i32(labels)[i] * (int64_t)classes +
               metrics_predicted(logits, i)]++;
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

/* Prints a confusion matrix: a row for each true class and a column for each
 * predicted one, by their numbers; at the right precision and recall of the
 * row's class and its name, unless names is NULL. Ten
 * classes with counts of up to four digits take 75 columns and the names. */
void rill_confusion_print(FILE *f, const int64_t *counts, int classes,
                          const char *const *names)
{
    if (!f || !counts)
        return;
    const int64_t n = classes;
    int wide = 4; /* of a column */
    for (int64_t i = 0; i < n * n; i++)
        wide = (int)fmax(wide, snprintf(NULL, 0, " %" PRId64, counts[i]));
    fprintf(f, "      predicted\ntrue");
    for (int c = 0; c < n; c++)
        fprintf(f, "%*d", wide, c);
    fprintf(f, "  precision  recall%s\n", names ? "  class" : "");
    for (int c = 0; c < n; c++) {
        fprintf(f, "%4d", c);
        for (int64_t p = 0; p < n; p++)
            fprintf(f, "%*" PRId64, wide, counts[c * n + p]);
        fprintf(f, "%11.4f%8.4f%s%s\n", rill_precision(counts, classes, c),
                rill_recall(counts, classes, c), names ? "  " : "",
                names ? names[c] : "");
    }
}
