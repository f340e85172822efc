/* one_hot: for each label a row that is 1 at the label and 0 elsewhere. Not
 * differentiable. */
#include "common.h"

static const rill_op one_hot_op = { "one_hot", "not differentiable", NULL,
                                    NULL, 0 };

/* labels: int32, any shape of up to seven dims, each in [0, classes). Result
 * [..., classes] of dtype, any. Errors: those of every op; labels that are
 * not int32, have eight dims, or are out of range; a negative classes. */
rill_tensor *rill_one_hot(rill_tape *t, const rill_tensor *labels,
                          int64_t classes, rill_dtype dtype)
{
    if (!rill_usable(t, "one_hot", "labels", labels))
        return NULL;
    if (labels->dtype != RILL_I32)
        return rill_fail(t, "one_hot: labels are %s, int32 is wanted",
                         rill_dtype_name(labels->dtype));
    if (labels->shape.ndim == RILL_MAX_DIMS)
        return rill_fail(t, "one_hot: labels are %s: no dimension is left "
                         "for the classes", RILL_TEXT(labels));
    if (classes < 0)
        return rill_fail(t, "one_hot: classes %" PRId64 " is negative",
                         classes);
    const int32_t *label = labels->data;
    for (int64_t i = 0; i < labels->numel; i++)
        if (label[i] < 0 || label[i] >= classes)
            return rill_fail(t, "one_hot: label %d at %" PRId64 " is not in "
                             "[0, %" PRId64 ")", (int)label[i], i, classes);
    rill_shape shape = labels->shape;
    shape.dim[shape.ndim++] = classes;
    rill_tensor *y = rill_zeros(t, dtype, shape);
    for (int64_t i = 0; y && i < labels->numel; i++) {
        int64_t at = i * classes + label[i];
        switch (dtype) {
        case RILL_F32: ((float *)y->data)[at] = 1; break;
        case RILL_F64: ((double *)y->data)[at] = 1; break;
        case RILL_I32: ((int32_t *)y->data)[at] = 1; break;
        }
    }
    return y ? rill_record(t, &one_hot_op, y,
                           INPUTS(labels), NULL)
             : NULL;
}
