/* 05_second_order: how the loss bends, and what that says of the step.
 *
 * The Hessian of cross entropy in the logits, written out; the Hessian of a
 * whole network times a vector, which needs no matrix; the direction in which
 * the loss bends most; and the largest learning rate that this allows, tried
 * just below and just above. Everything is float64, and gradient descent here
 * is the plainest: the full batch, no momentum.
 *
 * A vector over all parameters is a plain array, one parameter after the
 * other, as long as rill_params_count says. */
#include <rill.h>

#include <math.h>
#include <stdlib.h>

static const rill_backward_opts twice = { .create_graph = true };

/* ---- 1. in the logits --------------------------------------------------- */

enum { CLASSES = 5 };

static void print_matrix(const char *title, double h[CLASSES][CLASSES])
{
    printf("   %s\n\n", title);
    for (int r = 0; r < CLASSES; r++) {
        printf("     ");
        for (int c = 0; c < CLASSES; c++)
            printf(" %9.6f", h[r][c]);
        printf("\n");
    }
    printf("\n");
}

/* h becomes the Hessian in the logits z of their loss against the target:
 * row c is the gradient of the gradient's element c. */
static void hessian(rill_tape *t, const rill_tensor *z, int target,
                    double h[CLASSES][CLASSES])
{
    rill_tensor *y = rill_full(t, target, RILL_I32, RILL_SCALAR);
    rill_backward(t, rill_cross_entropy(t, z, y, NULL), &twice);
    rill_tensor *g = rill_grad(t, z); /* p - one-hot, and recorded */
    for (int r = 0; r < CLASSES; r++) {
        rill_backward(t, rill_slice(t, g, 0, r, r + 1), NULL);
        for (int c = 0; c < CLASSES; c++)
            h[r][c] = rill_at(rill_grad(t, z), c);
    }
}

static void in_the_logits(rill_tape *t)
{
    static const double logits[CLASSES] = { 1.2, -0.5, 0.3, 2, 0.8 };
    rill_tensor *z = rill_watch(t, rill_from(t, logits, RILL_F64,
                                             RILL_SHAPE(CLASSES)));
    rill_tensor *p = rill_softmax(t, z, -1);
    double h[CLASSES][CLASSES], formula[CLASSES][CLASSES];
    double apart = 0, trace = 0;
    for (int target = 0; target < CLASSES; target++) {
        hessian(t, z, target, h);
        for (int r = 0; r < CLASSES; r++)
            for (int c = 0; c < CLASSES; c++) {
                formula[r][c] = (r == c) * rill_at(p, r) -
                                rill_at(p, r) * rill_at(p, c);
                apart = fmax(apart, fabs(h[r][c] - formula[r][c]));
            }
    }
    for (int c = 0; c < CLASSES; c++)
        trace += h[c][c];
    printf("1. The Hessian of the loss in the logits\n\n"
           "   The gradient is p - t, t being the one-hot target: a constant, "
           "which is gone\n   when p - t is differentiated again:\n\n"
           "     H_rc = d p_r / d z_c = (r = c) p_r - p_r p_c,   "
           "H = diag(p) - p p^T\n\n");
    print_matrix("By going backward again from each element of the "
                 "gradient:", h);
    print_matrix("By the formula, from p = softmax(z):", formula);
    printf("   The largest difference, whichever class is the target: %.1e\n"
           "\n   v^T H v is the variance of v_c where c is drawn by p. It is "
           "never negative:\n   the loss is convex in the logits. Nor is it "
           "large: the curvatures sum to the\n   trace, 1 - sum p^2 = %.6f. "
           "The surer the softmax, right or wrong, the\n   flatter the "
           "loss.\n",
           apart, trace);
    rill_tape_reset(t);
}

/* ---- 2. through a network ----------------------------------------------- */

typedef struct {
    rill_tape *t;
    rill_params *net;
    rill_nn_mlp mlp;
    rill_dataset *data; /* all of it is the batch */
    size_t n;           /* parameters */
} problem;

static double *vector(const problem *p)
{
    double *v = calloc(p->n, sizeof *v);
    if (!v)
        rill_die("out of memory", NULL);
    return v;
}

static double dot(const problem *p, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < p->n; i++)
        sum += a[i] * b[i];
    return sum;
}

static rill_tensor *loss_of(const problem *p)
{
    rill_tensor *x, *y;
    rill_dataset_batch(p->data, p->t, 0, rill_dataset_len(p->data), &x, &y);
    /* without smoothing the best weights are infinite, and none at rest */
    return rill_cross_entropy(
        p->t, rill_nn_mlp_apply(p->t, &p->mlp, x), y,
        &(rill_cross_entropy_opts){ .label_smoothing = 0.1 });
}

/* Copies every parameter's gradient into g. */
static void read_gradients(const problem *p, double *g)
{
    for (int i = 0; i < rill_params_len(p->net); i++) {
        rill_tensor *w = rill_params_at(p->net, i);
        for (int64_t k = 0; k < rill_numel(w); k++)
            *g++ = rill_at(rill_grad(p->t, w), k);
    }
}

/* g becomes the gradient; returns the loss. */
static double gradient(const problem *p, double *g)
{
    rill_tensor *loss = loss_of(p);
    double value = rill_item(loss);
    rill_backward(p->t, loss, NULL);
    read_gradients(p, g);
    rill_tape_reset(p->t);
    return value;
}

/* hv becomes H v: the gradient of g . v, v being a constant. */
static void hessian_times(const problem *p, const double *v, double *hv)
{
    rill_tape *t = p->t;
    rill_tensor *gv = rill_full(t, 0, RILL_F64, RILL_SCALAR);
    rill_backward(t, loss_of(p), &twice);
    for (int i = 0; i < rill_params_len(p->net); i++) {
        rill_tensor *w = rill_params_at(p->net, i);
        rill_tensor *part = rill_from(t, v, RILL_F64, rill_shape_of(w));
        rill_tensor *product = rill_mul(t, rill_grad(t, w), part);
        gv = rill_add(t, gv, rill_sum(t, product, NULL));
        v += rill_numel(w);
    }
    rill_backward(t, gv, NULL);
    read_gradients(p, hv);
    rill_tape_reset(t);
}

/* w += s v */
static void move(const problem *p, double s, const double *v)
{
    for (int i = 0; i < rill_params_len(p->net); i++) {
        rill_tensor *w = rill_params_at(p->net, i);
        double *to = rill_write(w);
        for (int64_t k = 0; k < rill_numel(w); k++)
            to[k] += s * *v++;
    }
}

static void normalise(const problem *p, double *v)
{
    double length = sqrt(dot(p, v, v));
    for (size_t i = 0; i < p->n; i++)
        v[i] /= length;
}

/* v becomes a random direction of length 1. */
static void random_direction(const problem *p, double *v)
{
    for (size_t i = 0; i < p->n; i++)
        v[i] = rill_rng_normal(rill_params_rng(p->net));
    normalise(p, v);
}

static void through_the_network(const problem *p)
{
    const double eps = 1e-5;
    double *v = vector(p), *u = vector(p), *hv = vector(p), *hu = vector(p);
    double *ahead = vector(p), *behind = vector(p), apart = 0;
    random_direction(p, v);
    random_direction(p, u);
    hessian_times(p, v, hv);
    hessian_times(p, u, hu);
    move(p, eps, v);
    gradient(p, ahead);
    move(p, -2 * eps, v);
    gradient(p, behind);
    move(p, eps, v);
    for (size_t i = 0; i < p->n; i++)
        apart = fmax(apart,
                     fabs(hv[i] - (ahead[i] - behind[i]) / (2 * eps)));
    printf("\n2. The Hessian of a network, times a vector\n\n"
           "   An MLP of %zu parameters on five spiral arms; its loss has %zu "
           "second\n   derivatives. H v needs no such matrix: it is the "
           "gradient of g . v, g being\n   the gradient, recorded.\n\n"
           "     v, u: two random directions of length 1\n"
           "     |H v|                                         %12.8f\n"
           "     v . H v, the bend of the loss along v         %12.8f\n"
           "     u . H v                                       %12.8f\n"
           "     v . H u, the same: H is symmetric             %12.8f\n"
           "     H v against (g(w + e v) - g(w - e v)) / 2e    "
           "%12.1e at most\n",
           p->n, p->n * p->n, sqrt(dot(p, hv, hv)), dot(p, v, hv),
           dot(p, u, hv), dot(p, v, hu), apart);
    free(v), free(u), free(hv), free(hu), free(ahead), free(behind);
}

/* ---- 3. the sharpest direction ------------------------------------------ */

/* Full-batch AdamW, its rate brought down to 0, so that it ends at rest. */
static void train(const problem *p, int64_t steps)
{
    const double lr = 0.02;
    rill_optim *opt = rill_adamw_new(p->net, &(rill_adamw_opts){ .lr = lr });
    if (!opt)
        rill_die("out of memory", NULL);
    for (int64_t step = 0; step < steps; step++) {
        rill_backward(p->t, loss_of(p), NULL);
        rill_optim_set_lr(opt, rill_lr_cosine(lr, step, steps, 0));
        rill_optim_step(opt, p->t);
        rill_tape_reset(p->t);
    }
    rill_optim_free(opt);
}

/* v becomes the direction of the largest curvature, which is returned.
 * Multiplying by H stretches that direction most, so it is what is left of
 * any other; at rest, no downward curvature comes near it in size. */
static double sharpest(const problem *p, double *v)
{
    double *hv = vector(p), lambda = 0, rest = 1;
    printf("     products   lambda = v . H v   |H v - lambda v| / lambda\n");
    random_direction(p, v);
    for (int i = 1; rest > 1e-6 && i <= 1000; i++) {
        hessian_times(p, v, hv);
        lambda = dot(p, v, hv);
        rest = sqrt(fmax(dot(p, hv, hv) / (lambda * lambda) - 1, 0));
        if ((i & (i - 1)) == 0 || rest <= 1e-6) /* 1, 2, 4, 8, ... */
            printf("     %8d   %16.6f   %25.1e\n", i, lambda, rest);
        for (size_t k = 0; k < p->n; k++)
            v[k] = hv[k];
        normalise(p, v);
    }
    free(hv);
    return lambda;
}

static double the_sharpest(const problem *p, double *v)
{
    enum { STEPS = 2000 };
    train(p, STEPS);
    double *g = vector(p), loss = gradient(p, g);
    printf("\n3. The sharpest curvature\n\n"
           "   %d steps of AdamW bring the loss to %.6f and |g| to %.1e, "
           "near rest.\n   Multiply any direction by H again and again, "
           "and what remains is the one in\n   which the loss bends most. "
           "This is power iteration:\n\n", STEPS, loss, sqrt(dot(p, g, g)));
    free(g);
    return sharpest(p, v);
}

/* ---- 4. the largest stable step ----------------------------------------- */

enum { STEPS = 200 };

typedef struct {
    double lr, away[STEPS + 1], loss[STEPS + 1]; /* before each step */
} descent;

static const double push = 1e-4;

/* Gradient descent from where the weights are, pushed off along v, and back
 * again to where they were. */
static void descend(const problem *p, const double *v, descent *d)
{
    double *g = vector(p);
    rill_params_snapshot(p->net);
    move(p, push, v);
    d->away[0] = push;
    for (int step = 0; step <= STEPS; step++) {
        d->loss[step] = gradient(p, g);
        move(p, -d->lr, g);
        if (step < STEPS)
            d->away[step + 1] = d->away[step] - d->lr * dot(p, v, g);
    }
    rill_params_restore(p->net);
    free(g);
}

static void print_descents(const descent d[2], double lambda)
{
    static const int steps[] = { 0, 1, 2, 10, 20, 30, 40, 60, 100, STEPS };
    printf("               lr = %.5f, 5 %% below          lr = %.5f, 5 %% "
           "above\n"
           "     step    along v  parabola       loss    along v  parabola"
           "       loss\n", d[0].lr, d[1].lr);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int step = steps[i];
        printf("     %4d", step);
        for (int k = 0; k < 2; k++)
            printf("  %9.1e %9.1e %10.7f", d[k].away[step],
                   push * pow(1 - d[k].lr * lambda, step), d[k].loss[step]);
        printf("\n");
    }
}

static void the_largest_step(const problem *p, const double *v,
                             double lambda)
{
    enum { FIRST = 20 }; /* steps in which the loss is still a parabola */
    descent d[2] = { { .lr = 0.95 * 2 / lambda },
                     { .lr = 1.05 * 2 / lambda } };
    for (int k = 0; k < 2; k++)
        descend(p, v, &d[k]);
    printf("\n4. The largest stable learning rate\n\n"
           "   Along v the loss is close to a parabola, whose slope is lambda "
           "times the\n   distance from its lowest point. A step of gradient "
           "descent multiplies that\n   distance by 1 - lr lambda: it "
           "shrinks while lr < 2 / lambda = %.6f.\n"
           "   The weights are pushed %g along v, and left to descend:\n\n",
           2 / lambda, push);
    print_descents(d, lambda);
    printf("\n   In the first %d steps the distance was multiplied by %.4f a "
           "step below, by\n   %.4f above; the parabola says %.4f and %.4f. "
           "Below, the push dies\n   out, and after %d steps the loss is "
           "lower by %.1e. Above, the weights\n   leap from wall to wall, "
           "each time higher, until the loss is no parabola any\n   more; "
           "there they bounce, and the loss is higher than at first by "
           "%.1e.\n", FIRST,
           pow(fabs(d[0].away[FIRST] / push), 1.0 / FIRST),
           pow(fabs(d[1].away[FIRST] / push), 1.0 / FIRST),
           fabs(1 - d[0].lr * lambda), fabs(1 - d[1].lr * lambda), STEPS,
           d[0].loss[0] - d[0].loss[STEPS], d[1].loss[STEPS] - d[1].loss[0]);
}

/* ---- the network -------------------------------------------------------- */

/* Points along five arms that wind once around the origin. */
static rill_dataset *spirals(void)
{
    enum { POINTS = 200 };
    const double turn = 2 * 3.14159265358979323846;
    rill_rng r = { .seed = 1 };
    double x[POINTS][2];
    int32_t arm[POINTS];
    for (int i = 0; i < POINTS; i++) {
        double radius = 0.1 + 0.9 * rill_rng_uniform(&r);
        double angle = turn * (radius + (double)(i % CLASSES) / CLASSES) +
                       0.2 * rill_rng_normal(&r);
        x[i][0] = radius * cos(angle);
        x[i][1] = radius * sin(angle);
        arm[i] = i % CLASSES;
    }
    return rill_dataset_from(x[0], arm, POINTS, 2, CLASSES, RILL_F64);
}

int main(void)
{
    static const int64_t widths[] = { 2, 16, 16, CLASSES };
    problem p = {
        .t = rill_tape_new(&(rill_tape_opts){ .on_error = rill_die }),
        .net = rill_params_new(RILL_F64, 7),
        .data = spirals(),
    };
    if (!p.t || !p.net || !p.data)
        rill_die("out of memory", NULL);
    p.mlp = rill_nn_mlp_new(p.net, "mlp", widths, 4,
                            &(rill_nn_mlp_opts){ .activation = rill_tanh });
    p.n = (size_t)rill_params_count(p.net);
    double *v = vector(&p);
    in_the_logits(p.t);
    through_the_network(&p);
    the_largest_step(&p, v, the_sharpest(&p, v));
    free(v);
    rill_tape_free(p.t);
    rill_params_free(p.net);
    rill_dataset_free(p.data);
    return 0;
}
