/* 09_reading_gradients: one step of a small network, and the ways to look at
 * the gradients of it.
 *
 *     09_reading_gradients listing    a line a node
 *     09_reading_gradients graph      for Graphviz: ... graph | dot -Tsvg
 *     09_reading_gradients explain    the sweep as it runs, with its numbers
 *     09_reading_gradients finite     where the first infinity is from
 *     09_reading_gradients hook       a gradient read on its way, and halved
 *     09_reading_gradients samples    each sample's own share */
#include <rill.h>

#include <string.h>

typedef struct {
    rill_tape *tape;
    rill_nn_linear fc1, fc2;
    rill_tensor *h, *logits, *labels, *loss;
} network;

/* The step up to its loss: four points in the plane, of three classes. */
static void forward(network *net)
{
    rill_tape *tape = net->tape;
    double points[] = { 1, 0, 0, 1, -1, 0, 0.5, -2 };
    rill_tensor *x = rill_from(tape, points, RILL_F32, RILL_SHAPE(4, 2));
    net->labels = rill_from(tape, (double[]){ 0, 1, 2, 0 }, RILL_I32,
                            RILL_SHAPE(4));
    net->h = rill_named(tape, rill_sigmoid(
        tape, rill_nn_linear_apply(tape, &net->fc1, x)), "h");
    net->logits = rill_nn_linear_apply(tape, &net->fc2, net->h);
    net->loss = rill_named(tape, rill_cross_entropy(
        tape, net->logits, net->labels, NULL), "loss");
}

/* ---- the ways to look --------------------------------------------------- */

static void listing(network *net)
{
    forward(net);
    rill_backward(net->tape, net->loss, NULL);
    rill_tape_print(stdout, net->tape);
}

static void graph(network *net)
{
    forward(net);
    rill_backward(net->tape, net->loss, NULL);
    rill_tape_dot(stdout, net->tape, NULL);
}

static void explain(network *net)
{
    forward(net);
    rill_backward_explain(stdout, net->tape, net->loss, NULL);
}

/* An unfused loss: the logarithm of a probability that was rounded to 0. */
static void finite(network *net)
{
    rill_tape *tape = net->tape;
    rill_tape_check_finite(tape, true);
    forward(net);
    rill_tensor *p = rill_softmax(tape, rill_scale(tape, net->logits, 1000),
                                  -1);
    rill_tensor *log_p = rill_log(tape, rill_named(tape, p, "p"));
    rill_backward(tape, rill_nll_loss(tape, log_p, net->labels, NULL), NULL);
}

static const rill_tensor *halved(rill_tape *tape, const rill_tensor *x,
                                 const rill_tensor *grad, void *user)
{
    (void)user;
    printf("|d loss / d %s| = %.4f, of which half is passed on\n",
           rill_name(x), rill_norm(grad));
    return rill_scale(tape, grad, 0.5);
}

static void hook(network *net)
{
    forward(net);
    rill_on_grad(net->tape, net->h, halved, NULL);
    rill_backward(net->tape, net->loss, NULL);
    printf("|d loss / d fc1.weight| = %.4f\n",
           rill_norm(rill_grad(net->tape, net->fc1.weight)));
}

static void samples(network *net)
{
    rill_tape *tape = net->tape;
    forward(net);
    rill_backward(tape, net->loss, NULL);
    printf("p - y, a row a sample:\n");
    rill_print(stdout, rill_softmax_residual(tape, net->logits, net->labels));
    printf("its share of d loss / d fc1.weight, by length:\n");
    rill_print(stdout, rill_sample_grad_norms(tape, net->fc1.weight));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*show)(network *net);
    } ways[] = {
        { "listing", listing }, { "graph", graph }, { "explain", explain },
        { "finite", finite }, { "hook", hook }, { "samples", samples },
    };
    enum { WAYS = sizeof ways / sizeof *ways };
    int way = 0;
    while (argc == 2 && way < WAYS && strcmp(argv[1], ways[way].name) != 0)
        way++;
    if (argc != 2 || way == WAYS) {
        fprintf(stderr, "usage: %s listing|graph|explain|finite|hook|"
                "samples\n", argv[0]);
        return 2;
    }
    rill_params *set = rill_params_new(RILL_F32, 1);
    network net = { .tape = rill_tape_new(NULL) };
    net.fc1 = rill_nn_linear_new(set, "fc1", 2, 3);
    net.fc2 = rill_nn_linear_new(set, "fc2", 3, 3);
    ways[way].show(&net);
    if (rill_error(net.tape)) /* of "finite" the thing to see */
        printf("%s\n", rill_error(net.tape));
    rill_tape_free(net.tape);
    rill_params_free(set);
    return 0;
}
