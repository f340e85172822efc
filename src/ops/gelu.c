/* gelu: y = x P(x), P the distribution function of a standard normal, p its
 * density.
 *
 * dx = dy (P(x) + x p(x)). P comes from the complementary error function:
 * (1 + erf) / 2 would be 0 in float32 from -6 on. For second derivatives P is
 * an op of its own here. Of gelu_tanh, which approximates P:
 *
 *     y = x s, s = sigmoid(w), w = sqrt(8 / pi) (x + 0.044715 x^3)
 *     dx = dy s (1 + x (1 - s) dw/dx)
 *
 * since (1 + tanh u) / 2 = sigmoid(2 u), which keeps the negative tail. Beyond
 * +-40 P, s and the derivatives are 0 or 1 to the last bit in either dtype:
 * x is clamped there, lest an infinity meet a 0. */
#define GELU_SCALE 1.5957691216057308 /* sqrt(8 / pi) */
#define GELU_CUBE 0.044715
#define GELU_LOW(x) ((x) < -40 ? -40 : (x))
#define MAPS                                           \
    MAP1(gelu, x, FN(math_gelu)(x))                    \
    MAP1(normal_cdf, x, FN(math_normal_cdf)(x))        \
    MAP1(gelu_tanh, x, GELU_LOW(x) * FN(math_sigmoid)( \
        (REAL)GELU_SCALE * GELU_LOW(x) * (1 + (REAL)GELU_CUBE * x * x)))
#include "common.h"

/* e^(-x^2 / 2) / sqrt(2 pi) */
static rill_tensor *gelu_pdf(rill_tape *t, const rill_tensor *x)
{
    rill_tensor *e = rill_exp(t, rill_scale(t, rill_square(t, x), -0.5));
    return rill_scale(t, e, 0.3989422804014327);
}

DX(normal_cdf, rill_mul(t, gy, gelu_pdf(t, rill_node_input(n, 0))))

OP(normal_cdf, "dx = dy p(x)")

static RULE(gelu_backward)
{
    rill_tensor *x = rill_clamp(t, rill_node_input(n, 0), -40, 40);
    rill_tensor *cdf = rill_elementwise(t, &normal_cdf_op, normal_cdf_kernels,
                                        INPUTS(x), NULL);
    rill_tensor *slope = rill_add(t, cdf, rill_mul(t, x, gelu_pdf(t, x)));
    gx[0] = rill_mul(t, gy, slope);
}

/* x P(x), P the standard normal distribution function; 0 at -inf. Source:
 * Hendrycks and Gimpel, Gaussian error linear units (2016). */
UNARY(gelu, "dx = dy (P(x) + x p(x))")

static RULE(gelu_tanh_backward)
{
    rill_tensor *x = rill_clamp(t, rill_node_input(n, 0), -40, 40);
    rill_tensor *xx = rill_scale(t, rill_square(t, x), GELU_SCALE * GELU_CUBE);
    rill_tensor *w = rill_mul(t, x, rill_add_scalar(t, xx, GELU_SCALE));
    rill_tensor *dw = rill_add_scalar(t, rill_scale(t, xx, 3), GELU_SCALE);
    rill_tensor *off = rill_sigmoid(t, rill_neg(t, w));
    rill_tensor *slope = rill_mul(t, rill_mul(t, x, off), dw);
    slope = rill_mul(t, rill_sigmoid(t, w), rill_add_scalar(t, slope, 1));
    gx[0] = rill_mul(t, gy, slope);
}

/* gelu's approximation by tanh, from the same source: within 5e-4 of it. */
UNARY(gelu_tanh, "dx = dy s (1 + x (1 - s) dw/dx)")
