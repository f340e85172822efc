/* test_example_flow: what 04_gradient_flow says of its networks, against the
 * numbers it shows of them. Those after training differ a little from one
 * instruction set to the next; what is said of them must not. */
#include "printed.h"

enum { NETWORKS = 6, LAYERS = 9, START = 0, END = 1 };

typedef struct {
    double grad[2][LAYERS];
    int bar[2][LAYERS];
    double loss[2], right[2], wrong[2], blind[2];
    double divided, total, should; /* as the text has it */
} network;

static network networks[NETWORKS];

/* Reads what follows the words: a number before the first step and one after
 * the last. */
static void read_pair(const char **at, const char *words, double pair[2])
{
    *at = after(*at, words);
    pair[START] = next(at);
    pair[END] = next(at);
}

static int read_bar(const char **at)
{
    *at += strspn(*at, " ");
    int length = (int)strspn(*at, "#");
    *at += length;
    return length;
}

static void read_networks(void)
{
    ck_assert_int_eq(run("04_gradient_flow"), 0);
    const char *at = output;
    for (int k = 0; k < NETWORKS; k++) {
        network *n = &networks[k];
        char words[16];
        snprintf(words, sizeof words, "\n%d. ", k + 1);
        at = after(at, words);
        for (int i = LAYERS - 1; i >= 0; i--) {
            snprintf(words, sizeof words, "\n   mlp.%d", i);
            at = after(at, words);
            for (int when = START; when <= END; when++) {
                n->grad[when][i] = next(&at);
                n->bar[when][i] = read_bar(&at);
            }
        }
        read_pair(&at, "loss", n->loss);
        read_pair(&at, "right", n->right);
        read_pair(&at, "wrong", n->wrong);
        read_pair(&at, "blind", n->blind);
        at = after(at, "divides the gradient by");
        n->divided = next(&at);
        at = after(at, "by");
        n->total = next(&at);
        at = after(at, "should be");
        n->should = next(&at);
    }
}

START_TEST(the_figures_agree)
{
    read_networks();
    const char *at = after(output, "side by side");
    for (int k = 0; k < NETWORKS; k++) {
        const network *n = &networks[k];
        double total = n->grad[START][7] / n->grad[START][1];
        ck_assert(fabs(n->total / total - 1) < 0.1); /* two digits each */
        ASSERT_NEAR(n->divided, pow(total, 1 / 6.0), 0.05);
        for (int i = 0; i < 2 * LAYERS; i++) {
            int when = i % 2;
            double length = 2 * (log10(n->grad[when][i / 2]) + 9);
            length = fmin(fmax(length, 0), 24);
            ck_assert(fabs(n->bar[when][i / 2] - length) < 0.55);
        }
        for (int when = START; when <= END; when++)
            ASSERT_NEAR(n->right[when], 1 - n->wrong[when] / 4000, 1e-4);
        char number[16];
        snprintf(number, sizeof number, "\n%d. ", k + 1);
        at = after(at, number);
        at += 53; /* the name, in which there are numbers */
        ck_assert(next(&at) == n->divided);
        ck_assert(next(&at) == n->loss[END]);
        ck_assert(next(&at) == n->right[END]);
    }
}
END_TEST

START_TEST(the_gradient_dies_and_lives)
{
    read_networks();
    const network *n = networks;
    for (int k = 0; k < NETWORKS; k++)
        if (k != 3) /* layer_norm is to differ */
            ck_assert(fabs(n[k].should / n[k].divided - 1) < 0.15);
    ck_assert(n[0].divided > 6 && n[0].total > 1e4);
    ck_assert(n[0].right[END] < 0.3 && n[0].loss[END] > 0.99 * log(5));
    ck_assert(n[1].divided > 3.5 && n[1].divided < 5);
    ck_assert(n[1].right[END] > n[1].right[START] + 0.02);
    ck_assert(n[1].right[END] < 0.6);
    for (int k = 2; k <= 3; k++) {
        ck_assert(n[k].divided < 1.3 && n[k].divided > 0.7);
        ck_assert(n[k].right[END] > 0.94);
    }
    ck_assert(n[3].should > 2); /* without the norms */
}
END_TEST

START_TEST(the_clamped_loss_is_blind)
{
    read_networks();
    const network *clamped = &networks[4], *fused = &networks[5];
    for (int when = START; when <= END; when++) {
        ck_assert(clamped->wrong[when] > 3000);
        ck_assert(clamped->blind[when] == clamped->wrong[when]);
        ck_assert(fused->blind[when] == 0);
        ASSERT_NEAR(clamped->loss[when],
                    clamped->wrong[when] / 4000 * -log(1e-7), 1e-3);
        ck_assert(clamped->grad[when][LAYERS - 1] < 1e-9);
    }
    ck_assert(fused->wrong[START] == clamped->wrong[START]);
    ck_assert(fused->loss[START] > 100 && fused->grad[START][7] > 1);
    ck_assert(fused->right[END] > 0.94);
    for (int k = 0; k < 4; k++)
        ck_assert(networks[k].blind[START] == 0);
}
END_TEST

/* What a file holds; the caller frees it. */
static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "no %s", path);
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    rewind(f);
    char *text = calloc(1, n + 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(fread(text, 1, n, f), n);
    fclose(f);
    return text;
}

START_TEST(the_report_has_every_run)
{
    char path[] = "/tmp/rill_test_flow_XXXXXX", command[128];
    int made = mkstemp(path);
    ck_assert_int_ge(made, 0);
    snprintf(command, sizeof command, "04_gradient_flow --report %s", path);
    ck_assert_int_eq(run(command), 0);
    after(output, "\n6. the same start and fused loss");
    after(output, path);
    char *page = read_file(path);
    const char *at = after(page, "id=\"data\">");
    static const char *const titles[] = {
        "sigmoid, weights from", "sigmoid, Xavier", "relu, Kaiming\"",
        "layer_norm\"", "clamped loss\"", "and fused loss\""
    };
    for (int k = 0; k < NETWORKS; k++) { /* in this order, each whole */
        at = after(at, titles[k]);
        at = after(at, "\"regions\"");
        at = after(at, "\"end\"");
    }
    free(page);
    remove(path);
}
END_TEST

START_TEST(the_command_line)
{
    ck_assert_int_eq(run("04_gradient_flow --help"), 0);
    after(output, "usage: 04_gradient_flow");
    ck_assert_int_eq(run("04_gradient_flow --report"), 2);
    ck_assert_int_eq(run("04_gradient_flow page.html"), 2);
    ck_assert_int_eq(run("04_gradient_flow --report /no/such/page.html"), 1);
    after(output, "/no/such/page.html");
}
END_TEST

int main(void)
{
    return HARNESS_RUN("example flow", the_figures_agree,
                       the_gradient_dies_and_lives,
                       the_clamped_loss_is_blind, the_report_has_every_run,
                       the_command_line);
}
