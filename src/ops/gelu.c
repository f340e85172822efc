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
 * since (1 + tanh u) / 2 = sigmoid(2 u), which keeps the negative tail.
 * Beyond +-40 P, s and the derivatives are 0 or 1 to the last bit in either
 * dtype: x is clamped there, lest an infinity meet a 0. */
#ifdef REAL
#include "kernel_math.h"
MAP1(gelu, x, FN(math_gelu)(x))
MAP1(gelu_cdf, x, FN(math_normal_cdf)(x))

MATH REAL FN(gelu_clamp)(REAL x)
{
    x = x < -40 ? -40 : x;
    return x > 40 ? 40 : x;
}

MATH REAL FN(gelu_slope)(REAL x)
{
    return FN(math_normal_cdf)(x) + x * FN(math_normal_pdf)(x);
}
MAP2(gelu_grad, x, gy, gy * FN(gelu_slope)(FN(gelu_clamp)(x)))

#define GELU_TANH_SCALE (REAL)1.5957691216057308 /* sqrt(8 / pi) */
#define GELU_TANH_CUBE (REAL)0.044715

MATH REAL FN(gelu_tanh_of)(REAL x)
{
    x = x < -40 ? -40 : x;
    REAL w = GELU_TANH_SCALE * x * (1 + GELU_TANH_CUBE * x * x);
    return x * FN(math_sigmoid)(w);
}
MAP1(gelu_tanh, x, FN(gelu_tanh_of)(x))

/* s and 1 - s come from one exponential: neither is a rounded difference. */
MATH REAL FN(gelu_tanh_slope)(REAL x)
{
    REAL square = GELU_TANH_CUBE * x * x;
    REAL w = GELU_TANH_SCALE * x * (1 + square);
    REAL dw = GELU_TANH_SCALE * (1 + 3 * square);
    REAL e = FN(math_exp)(w < 0 ? w : -w), large = 1 / (1 + e);
    REAL small = e * large;
    return (w < 0 ? small : large) * (1 + x * dw * (w < 0 ? large : small));
}
MAP2(gelu_tanh_grad, x, gy, gy * FN(gelu_tanh_slope)(FN(gelu_clamp)(x)))

#undef GELU_TANH_SCALE
#undef GELU_TANH_CUBE

#else
#define KERNEL_FILE "../ops/gelu.c"
#include "common.h"

KERNELS(gelu)
KERNELS(gelu_grad)
KERNELS(gelu_cdf)
KERNELS(gelu_tanh)
KERNELS(gelu_tanh_grad)

/* e^(-x^2 / 2) / sqrt(2 pi) */
static rill_tensor *gelu_pdf(rill_tape *t, const rill_tensor *x)
{
    rill_tensor *e = rill_exp(t, rill_scale(t, rill_square(t, x), -0.5));
    return rill_scale(t, e, 0.3989422804014327);
}

static void gelu_cdf_backward(rill_tape *t, const rill_node *n,
                              const rill_tensor *gy, const rill_tensor **gx)
{
    gx[0] = rill_mul(t, gy, gelu_pdf(t, rill_node_input(n, 0)));
}

static const rill_op gelu_cdf_op = { "normal_cdf", "dx = dy p(x)",
                                     gelu_cdf_backward, NULL, 0 };

static void gelu_backward(rill_tape *t, const rill_node *n,
                          const rill_tensor *gy, const rill_tensor **gx)
{
    const rill_tensor *x = rill_clamp(t, rill_node_input(n, 0), -40, 40);
    rill_tensor *P = rill_elementwise(t, &gelu_cdf_op, gelu_cdf_kernels, &x,
                                      1, NULL);
    rill_tensor *slope = rill_add(t, P, rill_mul(t, x, gelu_pdf(t, x)));
    gx[0] = rill_mul(t, gy, slope);
}

static void gelu_fused(rill_tape *t, const rill_node *n,
                       const rill_tensor *gy, const rill_tensor **gx)
{
    const rill_tensor *in[] = { rill_node_input(n, 0), gy };
    gx[0] = rill_map(t, "gelu", gelu_grad_kernels, in, 2, gy->dtype, NULL);
}

static const rill_op gelu_op = { "gelu", "dx = dy (P(x) + x p(x))",
                                 gelu_backward, gelu_fused, 0 };

static void gelu_tanh_backward(rill_tape *t, const rill_node *n,
                               const rill_tensor *gy, const rill_tensor **gx)
{
    const double scale = 1.5957691216057308, cube = 0.044715;
    rill_tensor *x = rill_clamp(t, rill_node_input(n, 0), -40, 40);
    rill_tensor *square = rill_scale(t, rill_square(t, x), scale * cube);
    rill_tensor *w = rill_mul(t, x, rill_add_scalar(t, square, scale));
    rill_tensor *dw = rill_add_scalar(t, rill_scale(t, square, 3), scale);
    rill_tensor *s = rill_sigmoid(t, w);
    rill_tensor *slope = rill_mul(t, rill_mul(t, x, rill_rsub(t, s, 1)), dw);
    slope = rill_mul(t, s, rill_add_scalar(t, slope, 1));
    gx[0] = rill_mul(t, gy, slope);
}

static void gelu_tanh_fused(rill_tape *t, const rill_node *n,
                            const rill_tensor *gy, const rill_tensor **gx)
{
    const rill_tensor *in[] = { rill_node_input(n, 0), gy };
    gx[0] = rill_map(t, "gelu_tanh", gelu_tanh_grad_kernels, in, 2,
                     gy->dtype, NULL);
}

static const rill_op gelu_tanh_op = { "gelu_tanh",
                                      "dx = dy s (1 + x (1 - s) dw/dx), "
                                      "y = x s(w(x))",
                                      gelu_tanh_backward, gelu_tanh_fused,
                                      0 };

/* x P(x), P the standard normal distribution function; 0 at -inf. x: any
 * shape, a float dtype. Errors: those of every op; an int32 x. Source:
 * Hendrycks and Gimpel, Gaussian error linear units (2016). */
rill_tensor *rill_gelu(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &gelu_op, gelu_kernels, INPUTS(x), NULL);
}

/* gelu's approximation by tanh, from the same source: within 5e-4 of it. x:
 * any shape, a float dtype. Errors: those of every op; an int32 x. */
rill_tensor *rill_gelu_tanh(rill_tape *t, const rill_tensor *x)
{
    return rill_elementwise(t, &gelu_tanh_op, gelu_tanh_kernels,
                            INPUTS(x), NULL);
}

#endif
