/* test_example_mnist: the command line of 06_mnist, on the digits it draws
 * and on small files of the MNIST family made here. The build folder is in
 * $RILL_BUILD, or else build. */
#define _XOPEN_SOURCE 700 /* for a pseudo terminal */
#include "harness.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

static char folder[] = "/tmp/rill_test_mnist_XXXXXX";
#define EXAMPLE "06_mnist"
#include "trainer.h"

/* ---- files of the family ------------------------------------------------ */

/* n images of five rows, by turns of three classes: two bright rows, of the
 * last class one. Where `spoilt`, the label of every seventh is the next. */
static void write_set(const char *within, const char *images,
                      const char *labels, int n, int wide, bool spoilt)
{
    unsigned char x[16 + 25 * 200] = { 0, 0, 8, 3, [7] = (unsigned char)n,
                                       [11] = 5, [15] = (unsigned char)wide };
    unsigned char y[8 + 200] = { 0, 0, 8, 1, [7] = (unsigned char)n };
    for (int i = 0; i < n; i++) {
        y[8 + i] = (unsigned char)((i + (spoilt && i % 7 == 3)) % 3);
        for (int k = 0; k < 5 * wide; k++)
            x[16 + 5 * wide * i + k] = k / wide / 2 == i % 3 ? 255 : 0;
    }
    for (int k = 0; k < 2; k++) {
        char path[160];
        const char *name = k ? labels : images;
        snprintf(path, sizeof path, "%s/%s/%s", folder, within, name);
        gzFile f = gzopen(path, strstr(name, ".gz") ? "wb" : "wbT");
        ck_assert_ptr_nonnull(f);
        int bytes = k ? 8 + n : 16 + 5 * wide * n;
        ck_assert_int_eq(gzwrite(f, k ? y : x, (unsigned)bytes), bytes);
        ck_assert_int_eq(gzclose(f), Z_OK);
    }
}

/* A folder with a whole set in it, spelt in both ways. */
static void write_folder(const char *name, int wide)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    mkdir(path, 0777);
    write_set(name, "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte",
              200, wide, false);
    write_set(name, "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte.gz", 42,
              wide, true);
}

START_TEST(from_files)
{
    write_folder("whole", 5);
    ck_assert_int_eq(run("--data whole --epochs 40 --lr 0.01 --batch 32 "
                         "--mistakes 1 --hidden 16"), 0);
    ck_assert_str_eq(err, "");
    ck_assert_ptr_nonnull(strstr(out, "25 pixels, 3 classes\n180 images to "
                                      "learn from, 20 to validate with, 42 to "
                                      "test on\n"));
    ck_assert_ptr_nonnull(strstr(out, "[3, 16]               mlp.1.weight"));
    ck_assert_ptr_nonnull(strstr(out, "\nepoch 40/40  loss "));
    ck_assert_double_eq(accuracy(), 0.8571); /* 36 of 42 */

    /* a picture of what it read, above what it should have been */
    char *at = strstr(out, "\n6 of 42 misread; the ones it was surest of:\n");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "\n\n") + 2;
    int label, class;
    ck_assert_int_eq(sscanf(at + 3 * 6, "%d read as %d, p ", &label, &class),
                     2);
    ck_assert_int_eq(label, (class + 1) % 3);
    for (int line = 0; line < 3; line++)
        ck_assert_int_eq(strncmp(at + 6 * line, line != class ? "     \n" :
                                 class == 2 ? "+++++\n" : "@@@@@\n", 6), 0);
}
END_TEST

/* The output without the line that tells how long it took. */
static char *without_seconds(void)
{
    char *line = strstr(out, " epochs in ");
    ck_assert_ptr_nonnull(line);
    memset(line, ' ', strcspn(line, "\n"));
    char *copy = malloc(strlen(out) + 1);
    return strcpy(copy, out);
}

START_TEST(seeds)
{
    write_folder("whole", 5);
    ck_assert_int_eq(run("--data whole"), 0);
    char *first = without_seconds();
    ck_assert_int_eq(run("--data=whole --seed 1 --threads 2"), 0);
    char *again = without_seconds();
    ck_assert_str_eq(first, again);
    ck_assert_int_eq(run("--data whole --seed 2"), 0);
    char *other = without_seconds();
    ck_assert_str_ne(first, other);
    free(first);
    free(again);
    free(other);
}
END_TEST

START_TEST(saved)
{
    char path[160];
    write_folder("whole", 5);
    ck_assert_int_eq(run("--data whole --save model"), 0);
    ck_assert_ptr_nonnull(strstr(out, "\nThe network is in model; read from "
                                      "there, it has the same accuracy.\n"));
    accuracy();
    snprintf(path, sizeof path, "%s/model", folder);
    rill_safetensors *f = rill_safetensors_open(path);
    ck_assert_int_eq(rill_safetensors_len(f), 6);
    rill_safetensors_free(f);
}
END_TEST

/* The first run ends with a broken pipe, some time after its third epoch. */
START_TEST(taken_up_again)
{
    static char whole[1 << 16], broken[1 << 16];
    write_folder("whole", 5);
    ck_assert_int_eq(run("--data whole --epochs 60 --hidden 32 "
                         "--save whole.st"), 0);
    ck_assert_int_eq(run("--data whole --epochs 60 --hidden 32 "
                         "--checkpoint run.st | sed '/epoch  *3/q'"), 0);
    ck_assert_int_eq(run("--data whole --epochs 60 --hidden 32 "
                         "--checkpoint run.st --save broken.st"), 0);
    ck_assert_ptr_null(strstr(out, "\nepoch  3/60"));
    ck_assert_ptr_nonnull(strstr(out, "same accuracy"));
    read_file("whole.st", whole, sizeof whole);
    read_file("broken.st", broken, sizeof broken);
    ck_assert_mem_eq(whole, broken, sizeof whole);
}
END_TEST

START_TEST(not_square)
{
    write_folder("wide", 4);
    ck_assert_int_eq(run("--data wide --epochs 40 --lr 0.01 --batch 32 "
                         "--hidden none --mistakes 100"), 0);
    ck_assert_double_eq(accuracy(), 0.8571);
    ck_assert_ptr_nonnull(strstr(out, "20 pixels, 3 classes\n"));
    const char *at = strstr(out, " misread; the ones it was surest of:\n\n");
    ck_assert_ptr_nonnull(at);
    int label, class;
    ck_assert_int_eq(sscanf(strstr(at, "\n\n"), " %d read as %d, p ", &label,
                            &class), 2);
}
END_TEST

START_TEST(drawn)
{
    ck_assert_int_eq(run("--epochs 2"), 0);
    ck_assert_str_eq(err, "");
    ck_assert_double_ge(accuracy(), 0.9);
    ck_assert_ptr_null(strchr(out, '\033'));
    ck_assert_ptr_nonnull(strstr(out, "train-images-idx3-ubyte"));
    ck_assert_ptr_nonnull(strstr(out, "--data DIR"));
    for (char *line = out; *line; line += strcspn(line, "\n") + 1)
        ck_assert_uint_le(strcspn(line, "\n"), 79);
}
END_TEST

START_TEST(on_a_terminal)
{
    write_folder("whole", 5);
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0) {
        fprintf(stderr, "on_a_terminal: no pseudo terminal to be had\n");
        return;
    }
    ck_assert(grantpt(master) == 0 && unlockpt(master) == 0);
    const char *name = ptsname(master);
    int held = open(name, O_RDWR | O_NOCTTY); /* or reading may end early */
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(run_on(name, "--data whole --epochs 40 --lr 0.01 --batch 32 "
                           "--mistakes 6"));
    size_t n = 0;
    ssize_t got = 0;
    do {
        out[n += (size_t)got] = '\0';
        if (strstr(out, "test accuracy"))
            break;
        got = read(master, out + n, sizeof out - 1 - n);
    } while (got > 0);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(held);
    close(master);
    /* half blocks, of 2 rows or, at the foot of five, of one */
    ck_assert_ptr_nonnull(strstr(out, "\033[38;5;255;48;5;255m\xe2\x96\x80"));
    ck_assert_ptr_nonnull(strstr(out, "\033[38;5;255;48;5;232m\xe2\x96\x80"));
}
END_TEST

/* ---- refusals ----------------------------------------------------------- */

/* Fails unless it ends with this status and these lines on standard error,
 * the usage after them where the status is 2. */
static void assert_stops(const char *arguments, int status,
                         const char *sentence)
{
    char wanted[512];
    ck_assert_msg(run(arguments) == status, "%s: %s", arguments, err);
    int n = snprintf(wanted, sizeof wanted, "06_mnist: %s\n%s", sentence,
                     status == 2 ? "usage: 06_mnist [--data DIR] [OPTION]"
                                 : "");
    ck_assert_msg(strncmp(err, wanted, (size_t)n) == 0 &&
                      (status == 2 || strlen(err) == (size_t)n),
                  "%s: \"%s\", not \"%s\"", arguments, err, wanted);
    ck_assert_ptr_null(strstr(out, "test accuracy"));
}

START_TEST(wrong_options)
{
    static const char *const wrong[][2] = {
        { "--epochs 0", "--epochs wants N, not \"0\"" },
        { "--epochs 1.5", "--epochs wants N, not \"1.5\"" },
        { "--batch ''", "--batch wants N, not \"\"" },
        { "--mistakes -1", "--mistakes wants N, not \"-1\"" },
        { "--seed nan", "--seed wants N, not \"nan\"" },
        { "--threads 1e10", "--threads wants N, not \"1e10\"" },
        { "--lr 0", "--lr wants RATE, not \"0\"" },
        { "--lr inf", "--lr wants RATE, not \"inf\"" },
        { "--hidden 3,,4", "--hidden wants N,N,...|none, not \"3,,4\"" },
        { "digits", "\"digits\" is no option" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_stops(wrong[i][0], 2, wrong[i][1]);
    ck_assert_int_eq(run("--nothing"), 2); /* getopt_long's own words first */
    ck_assert_ptr_nonnull(strstr(err, "usage: 06_mnist "));
    ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(unusable_data)
{
    assert_stops("--data none", 1, "none: there is no "
                 "train-images-idx3-ubyte, nor one with .gz");
    write_folder("part", 5);
    char path[160];
    snprintf(path, sizeof path, "%s/part/t10k-labels.idx1-ubyte.gz", folder);
    ck_assert_int_eq(remove(path), 0);
    assert_stops("--data part", 1, "part: there is no t10k-labels-idx1-ubyte,"
                 " nor one with .gz");
    write_set("part", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 3,
              5, false);
    snprintf(path, sizeof path, "%s/part/t10k-images-idx3-ubyte", folder);
    ck_assert_int_eq(truncate(path, 90), 0);
    assert_stops("--data part", 1, "part/t10k-images-idx3-ubyte: number of "
                 "elements is 74, by the header 75");
    write_folder("few", 5);
    write_set("few", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte",
              3, 5, false);
    assert_stops("--data few", 1, "few: too few images to learn from: 3");
    write_folder("whole", 5);
    assert_stops("--data whole --lr 1e38", 1,
                 "the loss is no longer finite: try a lower --lr");
    assert_stops("--data whole --save none/model", 1, "none/model: cannot "
                 "write it: No such file or directory");
    ck_assert_int_eq(run("--data whole --hidden none --epochs 1 "
                         "--checkpoint other.st"), 0);
    assert_stops("--data whole --hidden 8 --checkpoint other.st", 1,
                 "other.st: does not fit the parameters: missing "
                 "\"mlp.1.weight\", \"mlp.1.bias\"; \"mlp.0.weight\" is "
                 "[3, 25], not [8, 25]; \"mlp.0.bias\" is [3], not [8]");
}
END_TEST

START_TEST(help)
{
    ck_assert_int_eq(run("--help"), 0);
    ck_assert_str_eq(err, "");
    static const char *const shown[] = {
        "usage: 06_mnist",  "--data DIR\n", "--hidden N,N,...|none\n",
        "--epochs N\n",     "--batch N\n",  "--lr RATE\n",
        "--mistakes N\n",   "at most [6]\n", "--seed N\n",
        "--threads N\n",    "--save FILE\n", "--checkpoint FILE\n",
        "t10k-labels-idx1-ubyte\n",
    };
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        ck_assert_msg(strstr(out, shown[i]) != NULL, "no %s", shown[i]);
    for (char *line = out; *line; line += strcspn(line, "\n") + 1)
        ck_assert_uint_le(strcspn(line, "\n"), 79);
}
END_TEST

int main(void)
{
    if (!mkdtemp(folder))
        return EXIT_FAILURE;
    int status = HARNESS_RUN("example mnist", from_files, seeds, saved,
                             taken_up_again, not_square, drawn, on_a_terminal,
                             wrong_options, unusable_data, help);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? status : EXIT_FAILURE;
}
