/* test_resume.c: a run put down and taken up again in another process, this
 * program started a second time: the data set is shuffled in each epoch, the
 * tape drops out, the learning rate sinks, and the weights come out the same
 * to the bit as without the pause. Runs in a folder of its own. */
#define _XOPEN_SOURCE 700 /* for realpath */
#include "harness.h"

#include <limits.h>
#include <unistd.h>

enum { ROWS = 100, BATCH = 16, EPOCHS = 6 };

typedef struct {
    rill_rng rng; /* that draws the rows, the parts, and each epoch's order */
    rill_dataset *learn, *test;
    rill_params *net;
    rill_nn_mlp mlp;
    rill_optim *optim;
    rill_tape *tape;
    int64_t step;
} run;

static void run_open(run *r)
{
    static double x[ROWS][2];
    static int32_t y[ROWS];
    *r = (run){ .rng = { .seed = 3 } };
    for (int i = 0; i < ROWS; i++) {
        y[i] = i % 3;
        x[i][0] = y[i] + rill_rng_uniform(&r->rng);
        x[i][1] = rill_rng_uniform(&r->rng);
    }
    r->learn = rill_dataset_from(x[0], y, ROWS, 2, 3, RILL_F32);
    rill_dataset_shuffle(r->learn, &r->rng);
    r->test = rill_dataset_split(r->learn, 0.2);
    r->net = rill_params_new(RILL_F32, 1);
    r->mlp = rill_nn_mlp_new(r->net, "mlp", (int64_t[]){ 2, 8, 3 }, 3,
                             &(rill_nn_mlp_opts){ .dropout = 0.3 });
    r->optim = rill_adamw_new(r->net, &(rill_adamw_opts){ .lr = 0.01 });
    r->tape = rill_tape_new(&(rill_tape_opts){ .seed = 4,
                                               .on_error = rill_die });
    rill_tape_train(r->tape, true);
}

static rill_checkpoint run_checkpoint(run *r)
{
    return (rill_checkpoint){ r->net, r->optim, r->tape, &r->rng, &r->step };
}

static void run_to(run *r, int64_t epochs)
{
    int64_t batches = rill_dataset_batches(r->learn, BATCH);
    while (r->step < epochs * batches) {
        int64_t i = r->step % batches;
        rill_tensor *x, *y;
        if (i == 0)
            rill_dataset_shuffle(r->learn, &r->rng);
        rill_dataset_batch(r->learn, r->tape, i, BATCH, &x, &y);
        rill_backward(r->tape, rill_cross_entropy(
            r->tape, rill_nn_mlp_apply(r->tape, &r->mlp, x), y, NULL), NULL);
        rill_optim_set_lr(r->optim, rill_lr_cosine(0.01, r->step,
                                                   EPOCHS * batches, 0));
        rill_optim_step(r->optim, r->tape);
        rill_tape_reset(r->tape);
        r->step++;
    }
}

static void run_close(run *r)
{
    rill_tape_free(r->tape);
    rill_optim_free(r->optim);
    rill_params_free(r->net);
    rill_dataset_free(r->learn);
    rill_dataset_free(r->test);
}

/* What the second process does: from the checkpoint "run" to "end". */
static int go_on(void)
{
    run r;
    run_open(&r);
    rill_checkpoint c = run_checkpoint(&r);
    bool good = rill_checkpoint_load(&c, "run");
    run_to(&r, EPOCHS);
    good = good && rill_checkpoint_save(&c, "end");
    if (!good)
        fprintf(stderr, "%s\n", rill_params_error(r.net));
    run_close(&r);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static size_t read_file(const char *path, char *bytes, size_t size)
{
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "no file %s", path);
    size_t n = fread(bytes, 1, size, f);
    fclose(f);
    ck_assert_uint_lt(n, size);
    return n;
}

static char program[PATH_MAX]; /* this one */

/* $RILL_RUN is what this process runs under: valgrind, say. */
START_TEST(in_a_new_process)
{
    static char without[1 << 16], with[1 << 16];
    char command[PATH_MAX + 32];
    run r;
    run_open(&r);
    rill_checkpoint c = run_checkpoint(&r);
    run_to(&r, EPOCHS / 2);
    ck_assert(rill_checkpoint_save(&c, "run"));
    run_to(&r, EPOCHS);
    ck_assert(rill_checkpoint_save(&c, "end"));
    run_close(&r);
    size_t n = read_file("end", without, sizeof without);

    ck_assert_int_eq(remove("end"), 0);
    snprintf(command, sizeof command, "$RILL_RUN '%s' go-on", program);
    ck_assert_int_eq(system(command), 0);
    ck_assert_uint_eq(read_file("end", with, sizeof with), n);
    ck_assert_mem_eq(with, without, n);
}
END_TEST

int main(int argc, char **argv)
{
    static char folder[] = "/tmp/rill-resume-XXXXXX";
    if (argc > 1)
        return go_on();
    if (!realpath(argv[0], program) || !mkdtemp(folder) || chdir(folder) != 0)
        return EXIT_FAILURE;
    int status = HARNESS_RUN("resume", in_a_new_process);
    remove("run");
    remove("end");
    if (chdir("/") == 0)
        rmdir(folder);
    return status;
}
