/* test_example_train: the command line of 03_train_mlp, on few rows and
 * epochs. The build folder is in $RILL_BUILD, or else build. */
#define _XOPEN_SOURCE 700 /* for a pseudo terminal */
#include "harness.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/rill_test_train_XXXXXX";
#define EXAMPLE "03_train_mlp"
#include "trainer.h"

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

/* Rows of two features and a word: three clouds far apart, by turns. */
static void write_clouds(const char *name, int rows, const char *header)
{
    static const char *const word[] = { "oak", "\"red, elm\"", "ash" };
    char text[8192], *at = text;
    rill_rng r = { .seed = (uint64_t)rows };
    at += sprintf(at, "%s", header);
    for (int i = 0; i < rows; i++)
        at += sprintf(at, "%s,%.3f,%.3f\n", word[i % 3],
                      100 + 60 * (i % 3) + rill_rng_normal(&r),
                      0.01 * (i % 3 == 1) + 1e-3 * rill_rng_normal(&r));
    write_file(name, text);
}

/* ---- the spirals -------------------------------------------------------- */

START_TEST(spirals)
{
    ck_assert_int_eq(run("--epochs 60"), 0);
    ck_assert_str_eq(err, "");
    ck_assert_double_ge(accuracy(), 0.98);
    ck_assert_ptr_null(strchr(out, '\033'));
    ck_assert_ptr_null(strchr(out, '\r'));
    char *line = strstr(out, "\nepoch 60/60  loss ");
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_nonnull(strstr(line, "  validation: loss "));
    ck_assert_ptr_nonnull(strstr(out, "[64, 64]              mlp.1.weight"));
    ck_assert_ptr_nonnull(strstr(out, "\ntrue "));
    /* the regions: 32 lines of 64 letters that name every class */
    int lines = 0;
    size_t seen[5] = { 0 };
    for (line = out; line; line = strchr(line, '\n'),
              line = line ? line + 1 : NULL)
        if (strspn(line, "abcde") == 64 && line[64] == '\n') {
            lines++;
            for (int i = 0; i < 64; i++)
                seen[line[i] - 'a']++;
        }
    ck_assert_int_eq(lines, 32);
    for (int c = 0; c < 5; c++)
        ck_assert_uint_gt(seen[c], 100);
}
END_TEST

/* The output without the line that tells how long it took. */
static char *without_seconds(void)
{
    char *line = strstr(out, " epochs in ");
    ck_assert_ptr_nonnull(line);
    memset(line, ' ', strcspn(line, ";"));
    char *copy = malloc(strlen(out) + 1);
    return strcpy(copy, out);
}

START_TEST(seeds)
{
    ck_assert_int_eq(run("--epochs 3"), 0);
    char *first = without_seconds();
    ck_assert_int_eq(run("--epochs=3 --seed=1 --threads 3"), 0);
    char *again = without_seconds();
    ck_assert_str_eq(first, again);
    ck_assert_int_eq(run("--epochs 3 --seed 2"), 0);
    char *other = without_seconds();
    ck_assert_str_ne(first, other);
    free(first);
    free(again);
    free(other);
}
END_TEST

START_TEST(on_a_terminal)
{
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
        _exit(run_on(name, "--epochs 4"));
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
    int updates = 0;
    for (char *at = out; (at = strstr(at, "\r\033[?7lepoch ")); at++)
        updates++;
    ck_assert_int_eq(updates, 4); /* of one line */
    ck_assert_ptr_nonnull(strstr(out, "epoch 4/4  loss "));
    ck_assert_ptr_nonnull(strstr(out, "\033[48;5;217m")); /* a region */
}
END_TEST

/* ---- one's own data ----------------------------------------------------- */

START_TEST(words_and_header)
{
    write_clouds("trees.csv", 150, "kind,height,width\n");
    write_clouds("more.csv", 60, "kind,height,width\n");
    ck_assert_int_eq(run("--csv trees.csv --header --label kind "
                         "--epochs 30"), 0);
    ck_assert_double_ge(accuracy(), 0.99);
    ck_assert_ptr_nonnull(strstr(out, "trees.csv: 2 features, 3 classes\n98 "
                                      "rows to learn from, 22 to validate "
                                      "with, 30 to test on\n"));
    ck_assert_ptr_nonnull(strstr(out, "  red, elm\n"));
    ck_assert_int_eq(run("--csv trees.csv --header --label=0 --test more.csv "
                         "--epochs 30 --validation-fraction 0.1"), 0);
    ck_assert_double_ge(accuracy(), 0.99);
    ck_assert_ptr_nonnull(strstr(out, "135 rows to learn from, 15 to "
                                      "validate with, 60 to test on"));
}
END_TEST

START_TEST(every_choice)
{
    static const char *const arguments[] = {
        "--activation sigmoid",   "--activation tanh",
        "--activation relu",      "--activation gelu",
        "--activation silu",      "--activation softplus",
        "--optimiser sgd",        "--optimiser adam",
        "--optimiser adamw",      "--optimiser rmsprop",
        "--optimiser adagrad --lr 0.1",
        "--schedule constant",    "--schedule cosine",
        "--schedule step",        "--schedule exponential",
        "--schedule warmup",      "--schedule one-cycle",
        "--label-smoothing 0.1",  "--class-weights balanced",
        "--dtype float64",        "--batch 7",
        "--hidden none",          "--activation tanh --hidden 5,6,7,8",
    };
    write_clouds("trees.csv", 150, "");
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++) {
        char all[256];
        snprintf(all, sizeof all, "--csv trees.csv --label 0 --epochs 40 "
                 "--lr 0.03 %s", arguments[i]);
        ck_assert_msg(run(all) == 0, "%s: %s", all, err);
        ck_assert_msg(accuracy() >= 0.96, "%s: %g", all, accuracy());
    }
    ck_assert_ptr_nonnull(strstr(out, "[3, 8]                mlp.4.weight"));
}
END_TEST

START_TEST(stops_early)
{
    write_clouds("trees.csv", 150, "");
    ck_assert_int_eq(run("--csv trees.csv --label 0 --epochs 300 "
                         "--patience 1 --lr 1 --optimiser sgd"), 0);
    int epochs, best;
    ck_assert_int_eq(sscanf(strstr(out, "\n\n") ? strstr(out, " epochs in")
                                                : "", " epochs in %*f s; the "
                            "weights of epoch %d are kept", &best), 1);
    char *line = strstr(out, " epochs in");
    while (line > out && line[-1] != '\n')
        line--;
    ck_assert_int_eq(sscanf(line, "%d epochs", &epochs), 1);
    ck_assert_int_lt(epochs, 300);
    ck_assert_int_eq(epochs, best + 1);
}
END_TEST

/* ---- refusals ----------------------------------------------------------- */

/* Fails unless it ends with this status and these lines on standard error,
 * the usage after them where the status is 2. */
static void assert_stops(const char *arguments, int status,
                         const char *sentence)
{
    ck_assert_msg(run(arguments) == status, "%s: %s", arguments, err);
    const char *own = strstr(err, "03_train_mlp: ");
    ck_assert_ptr_nonnull(own);
    own += strlen("03_train_mlp: ");
    ck_assert_msg(strncmp(own, sentence, strlen(sentence)) == 0,
                  "%s: \"%s\", not \"%s\"", arguments, err, sentence);
    own += strlen(sentence);
    static const char usage[] = "\nusage: 03_train_mlp [--csv FILE] [OPTION]";
    if (status == 2)
        ck_assert_msg(strncmp(own, usage, strlen(usage)) == 0, "%s", err);
    else
        ck_assert_str_eq(own, "\n");
    ck_assert_ptr_null(strstr(out, "test accuracy"));
}

#define GO_WITH_CSV "--test, --label, --header and --separator go with --csv"

START_TEST(wrong_options)
{
    static const char *const wrong[][2] = {
        { "--epochs 0", "--epochs wants N, not \"0\"" },
        { "--epochs 1.5", "--epochs wants N, not \"1.5\"" },
        { "--epochs ten", "--epochs wants N, not \"ten\"" },
        { "--epochs=''", "--epochs wants N, not \"\"" },
        { "--patience -1", "--patience wants N, not \"-1\"" },
        { "--batch 1e10", "--batch wants N, not \"1e10\"" },
        { "--seed nan", "--seed wants N, not \"nan\"" },
        { "--threads 0", "--threads wants N, not \"0\"" },
        { "--lr 0", "--lr wants RATE, not \"0\"" },
        { "--lr inf", "--lr wants RATE, not \"inf\"" },
        { "--lr 1x", "--lr wants RATE, not \"1x\"" },
        { "--label-smoothing 1.1",
          "--label-smoothing wants SHARE, not \"1.1\"" },
        { "--test-fraction -0.1",
          "--test-fraction wants PART, not \"-0.1\"" },
        { "--test-fraction 0", "--test-fraction wants PART, not \"0\"" },
        { "--validation-fraction 0",
          "--validation-fraction wants PART, not \"0\"" },
        { "--validation-fraction 1",
          "--validation-fraction wants PART, not \"1\"" },
        { "--validation-fraction ''",
          "--validation-fraction wants PART, not \"\"" },
        { "--hidden 0", "--hidden wants N,N,...|none, not \"0\"" },
        { "--hidden 3,,4", "--hidden wants N,N,...|none, not \"3,,4\"" },
        { "--hidden 64x", "--hidden wants N,N,...|none, not \"64x\"" },
        { "--hidden 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
          "--hidden wants N,N,...|none, not "
          "\"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\"" },
        { "--activation swish",
          "--activation wants sigmoid|tanh|relu|gelu|silu|softplus, not "
          "\"swish\"" },
        { "--optimiser ''", "--optimiser wants "
          "sgd|adam|adamw|rmsprop|adagrad, not \"\"" },
        { "--schedule cosin",
          "--schedule wants constant|cosine|step|exponential|warmup|"
          "one-cycle, not \"cosin\"" },
        { "--dtype int32", "--dtype wants float32|float64, not \"int32\"" },
        { "--header", GO_WITH_CSV },
        { "--test x.csv", GO_WITH_CSV },
        { "--label 1", GO_WITH_CSV },
        { "--separator ';'", GO_WITH_CSV },
        { "--csv x.csv --separator ';;'",
          "--separator wants CHARACTER, not \";;\"" },
        { "--csv x.csv --separator ''",
          "--separator wants CHARACTER, not \"\"" },
        { "--test-fraction 0.5 --validation-fraction 0.5",
          "--test-fraction and --validation-fraction leave nothing to learn "
          "from" },
        { "data.csv", "\"data.csv\" is no option" },
        /* of what getopt_long says only that it says something */
        { "--epoch 1 --nothing", "unrecognized option '--nothing'\n" },
        { "--csv", "option '--csv' requires an argument\n" },
        { "--header=1", "option '--header' doesn't allow an argument\n" },
    };
    size_t n = sizeof wrong / sizeof *wrong;
    for (size_t i = 0; i < n - 3; i++)
        assert_stops(wrong[i][0], 2, wrong[i][1]);
    for (size_t i = n - 3; i < n; i++) {
        ck_assert_int_eq(run(wrong[i][0]), 2);
        ck_assert_ptr_nonnull(strstr(err, "usage: 03_train_mlp "));
        ck_assert_str_eq(out, "");
    }
}
END_TEST

/* The data are never written over, whatever they are called. */
START_TEST(spares_the_data)
{
    static const char *const wrong[][2] = {
        { "--save trees.csv", "trees.csv" },
        { "--save ./trees.csv", "./trees.csv" },
        { "--log link.csv", "link.csv" },
        { "--report trees.csv", "trees.csv" },
        { "--report page", "page.jsonl" },
        { "--test more.csv --log more.csv", "more.csv" },
    };
    write_clouds("trees.csv", 150, "");
    write_clouds("more.csv", 60, "");
    static char kept[8192], now[8192];
    char path[2][128], arguments[128], sentence[128];
    read_file("trees.csv", kept, sizeof kept);
    snprintf(path[0], sizeof *path, "%s/link.csv", folder);
    snprintf(path[1], sizeof *path, "%s/page.jsonl", folder);
    ck_assert(symlink("trees.csv", path[0]) == 0);
    ck_assert(symlink("trees.csv", path[1]) == 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(arguments, sizeof arguments, "--csv trees.csv --label 0 %s",
                 wrong[i][0]);
        snprintf(sentence, sizeof sentence,
                 "\"%s\" would be written over the data", wrong[i][1]);
        assert_stops(arguments, 2, sentence);
    }
    read_file("trees.csv", now, sizeof now);
    ck_assert_str_eq(now, kept);
}
END_TEST

START_TEST(unusable_data)
{
    write_file("bad.csv", "1,2,a\n3,abc,b\n");
    write_file("few.csv", "1,2,a\n3,4,a\n");
    write_clouds("trees.csv", 150, "");
    write_clouds("names.csv", 150, "kind,height,width\n");
    write_file("other.csv", "ash,1,2\nfig,1,2\n");
    write_file("narrow.csv", "ash,1\n");
    assert_stops("--csv none.csv", 1, "none.csv: No such file or directory");
    assert_stops("--csv bad.csv", 1,
                 "bad.csv:2:2: \"abc\" is not a number");
    assert_stops("--csv few.csv", 1,
                 "too few rows: 2 to learn from, 0 to validate with, 0 to "
                 "test on");
    write_file("far.csv", "1e300,a\n-1e300,b\n1,a\n1,b\n1,a\n1,b\n1e300,a\n"
               "-1e300,b\n");
    assert_stops("--csv far.csv --dtype float64 --test far.csv", 1,
                 "dataset_statistics: the squares of feature 0 \"\" are not "
                 "finite");
    write_file("one.csv", "1,a\n2,a\n3,a\n4,a\n5,a\n6,a\n7,a\n8,a\n");
    assert_stops("--csv one.csv", 1, "one.csv: every row is of the class \"a\""
                 ": there is nothing to tell apart");
    assert_stops("--csv names.csv --label 0", 1,
                 "names.csv:1:2: \"height\" is not a number: is this line a "
                 "header?");
    assert_stops("--csv names.csv --header --label tree", 1,
                 "names.csv: no column \"tree\" among 3");
    assert_stops("--csv trees.csv", 1,
                 "trees.csv:1:1: \"oak\" is not a number: is this the label's "
                 "column?");
    assert_stops("--csv trees.csv --label 0 --test other.csv", 1,
                 "other.csv:2:1: \"fig\" is not one of the known classes");
    assert_stops("--csv trees.csv --label 0 --test narrow.csv", 1,
                 "narrow.csv: number of columns is 2: a label and 2 for "
                 "features wanted");
    write_file("numbers.csv", "1,1\n2,2\n3,3\n4,4\n5,5\n6,6\n7,7\n8,8\n");
    assert_stops("--csv numbers.csv", 1,
                 "numbers.csv: 8 classes in 8 rows: is this the label's "
                 "column?");
}
END_TEST

START_TEST(diverging)
{
    write_clouds("trees.csv", 150, "");
    assert_stops("--csv trees.csv --label 0 --activation relu --optimiser sgd"
                 " --lr 1e38 --epochs 9", 1,
                 "the loss is no longer finite: try a lower --lr");
    /* what is finite, but large, is short */
    run("--csv trees.csv --label 0 --activation relu --optimiser sgd --lr 1e5 "
        "--epochs 1");
    for (char *at = out; (at = strstr(at, "loss ")); at++)
        ck_assert_uint_le(strcspn(at + strlen("loss "), " ,\n"), 10);
    ck_assert_ptr_nonnull(strstr(out, "e+"));
}
END_TEST

/* ---- the log ------------------------------------------------------------ */

/* How many lines of the file hold this text. */
static int lines_with(const char *name, const char *text)
{
    static char line[1 << 18];
    char path[128];
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f))
        n += strstr(line, text) != NULL;
    fclose(f);
    return n;
}

static int logged(const char *text)
{
    return lines_with("run.jsonl", text);
}

START_TEST(logs)
{
    ck_assert_int_eq(run("--epochs 3"), 0);
    char *without = without_seconds();
    ck_assert_int_eq(run("--epochs 3 --log run.jsonl"), 0);
    char *with = without_seconds();
    ck_assert_str_eq(with, without);
    ck_assert_int_eq(logged("\"title\":\"five spiral arms\""), 1);
    ck_assert_int_eq(logged("{\"type\":\"step\""), 3 * 51);
    ck_assert_int_eq(logged("\"name\":\"validation accuracy\""), 3);
    ck_assert_int_eq(logged("{\"type\":\"regions\""), 3);
    ck_assert_int_eq(logged("{\"type\":\"points\""), 1);
    ck_assert_int_eq(logged("{\"type\":\"end\",\"step\":153"), 1);
    free(without);
    free(with);
    write_clouds("trees.csv", 150, "");
    ck_assert_int_eq(run("--csv trees.csv --label 0 --epochs 4000 --batch 49 "
                         "--patience 4000 --hidden 4 --log run.jsonl"), 0);
    ck_assert_int_eq(logged("{\"type\":\"step\""), 1600);
    ck_assert_int_eq(logged("{\"type\":\"regions\""), 20);
    assert_stops("--csv trees.csv --label 0 --log no/run.jsonl", 1,
                 "recorder: cannot write no/run.jsonl: No such file or "
                 "directory");
    /* the log of a run that went wrong is whole */
    assert_stops("--csv trees.csv --label 0 --activation relu --optimiser sgd"
                 " --lr 1e38 --epochs 9 --log run.jsonl", 1,
                 "the loss is no longer finite: try a lower --lr");
    ck_assert_int_eq(logged("{\"type\":\"end\""), 1);
    ck_assert_int_eq(run("--csv trees.csv --label 0 --epochs 9 --report "
                         "page.html"), 0);
    ck_assert_int_eq(lines_with("page.html.jsonl", "\"title\":\"trees.csv"),
                     1);
    ck_assert_int_eq(lines_with("page.html", "\"title\":\"trees.csv"), 1);
    ck_assert_int_eq(lines_with("page.html", "</html>"), 1);
    ck_assert_int_eq(run("--csv trees.csv --label 0 --epochs 1 --log "
                         "run.jsonl --report no/page.html"), 1);
    ck_assert_ptr_nonnull(strstr(err, "report: cannot write no/page.html"));
}
END_TEST

START_TEST(help)
{
    ck_assert_int_eq(run("--help"), 0);
    ck_assert_str_eq(err, "");
    static const char *const shown[] = {
        "usage: 03_train_mlp",  "--csv FILE\n",    "--label COLUMN\n",
        "--header",             "--test FILE\n",   "--test-fraction PART\n",
        "--separator CHARACTER\n", "README.md",
        "--validation-fraction PART\n",            "--hidden N,N,...|none\n",
        "--activation sigmoid|tanh|relu|gelu|silu|softplus\n",
        "--epochs N\n",         "--patience N\n",  "--batch N\n",
        "--lr RATE\n        the learning rate [0.01]\n",
        "--optimiser sgd|adam|adamw|rmsprop|adagrad\n",
        "--schedule constant|cosine|step|exponential|warmup|one-cycle\n",
        "--label-smoothing SHARE\n", "--class-weights none|balanced\n",
        "--dtype float32|float64\n", "--seed N\n", "--threads N\n",
        "--log FILE\n", "--report FILE\n", "--save FILE\n",
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
    int status = HARNESS_RUN("example train", spirals, seeds, on_a_terminal,
                             words_and_header, every_choice, stops_early, logs,
                             wrong_options, spares_the_data, unusable_data,
                             diverging, help);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? status : EXIT_FAILURE;
}
