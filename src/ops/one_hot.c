/* one_hot: for each label a row that is 1 at the label and 0 elsewhere. Not
 * differentiable. */
#include "common.h"

static const rill_op one_hot_op = { "one_hot", "not differentiable", NULL,
                                    NULL, 0 };

/* labels: int32, any shape of up to seven dims, each in [0, classes). Result
 * [..., classes] of dtype, any. */
rill_tensor *rill_one_hot(rill_tape *t, const rill_tensor *labels,
                          int64_t classes, rill_dtype dtype)
{
    if (classes < 0)
        return rill_fail(t, "one_hot: classes %" PRId64 " is negative",
                         classes);
    if (!rill_usable_indices(t, "one_hot", "labels", labels, classes))
        return NULL;
    const int32_t *label = labels->data;
    rill_shape shape = labels->shape;
    shape.dim[shape.ndim++] = classes;
    rill_tensor *y = rill_zeros(t, dtype, shape);
    for (int64_t i = 0; y && i < labels->numel; i++)
        rill_set(y, i * classes + label[i], 1);
    return rill_record(t, &one_hot_op, y, INPUTS(labels), NULL);
}
