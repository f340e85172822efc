/* 01_derivative: a function, its gradient, and its second derivative.
 *
 * y = x^3 - 2 x at four points, so y' = 3 x^2 - 2 and y'' = 6 x. The sum of
 * y has y' as its gradient, since each y depends on its own x only. */
#include <rill.h>

int main(void)
{
    rill_tape *tape = rill_tape_new(&(rill_tape_opts){ .on_error = rill_die });
    rill_tensor *x = rill_watch(tape, rill_from(tape,
        (double[]){ -1, 0, 1, 2.5 }, RILL_F64, RILL_SHAPE(4)));

    rill_tensor *y = rill_sub(tape, rill_pow(tape, x, 3),
                              rill_scale(tape, x, 2));
    rill_backward(tape, rill_sum(tape, y, NULL),
                  &(rill_backward_opts){ .create_graph = true });
    rill_tensor *dy = rill_grad(tape, x); /* recorded, so it has one too: */
    rill_backward(tape, rill_sum(tape, dy, NULL), NULL);
    rill_tensor *ddy = rill_grad(tape, x);

    printf("x               "), rill_print(stdout, x);
    printf("y = x^3 - 2 x   "), rill_print(stdout, y);
    printf("y' = 3 x^2 - 2  "), rill_print(stdout, dy);
    printf("y'' = 6 x       "), rill_print(stdout, ddy);
    rill_tape_free(tape);
    return 0;
}
