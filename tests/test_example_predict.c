/* test_example_predict: 03_train_mlp --save and 07_predict, which reads what
 * that wrote. The build folder is in $RILL_BUILD, or else build. */
#define _XOPEN_SOURCE 700 /* for realpath */
#include "harness.h"

#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 90 };

static char examples[PATH_MAX];       /* the folder of the programs */
static char out[1 << 16], err[1 << 12]; /* of the last run */

static void read_file(const char *name, char *text, size_t size)
{
    FILE *f = fopen(name, "r");
    ck_assert_msg(f != NULL, "no file %s", name);
    text[fread(text, 1, size - 1, f)] = '\0';
    fclose(f);
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

/* Runs an example, given as a line for the shell that begins with its name;
 * returns its exit status and leaves its output in out and err. */
static int run(const char *line)
{
    char command[PATH_MAX + 512];
    snprintf(command, sizeof command, "PATH=%s:$PATH; { %s; } >out 2>err",
             examples, line);
    int status = system(command);
    ck_assert_msg(WIFEXITED(status), "%s", command);
    read_file("out", out, sizeof out);
    read_file("err", err, sizeof err);
    return WEXITSTATUS(status);
}

/* Rows of two features in three clouds that overlap: with their class in
 * kind.csv, and without it in rows.csv; bare.csv has no header either. */
static void write_clouds(uint64_t seed)
{
    static const char *const word[] = { "oak", "\"red, \"\"elm\"\"\"", "ash" };
    FILE *kind = fopen("kind.csv", "w"), *rows = fopen("rows.csv", "w"),
         *bare = fopen("bare.csv", "w");
    ck_assert(kind && rows && bare);
    fputs("kind,height,\"wide, cm\"\n", kind);
    fputs("height,\"wide, cm\"\n", rows);
    rill_rng r = { .seed = seed };
    for (int i = 0; i < ROWS; i++) {
        double height = 100 + 3 * (i % 3) + 2 * rill_rng_normal(&r),
               wide = 0.01 * (i % 3 == 1) + 5e-3 * rill_rng_normal(&r);
        fprintf(kind, "%s,%.17g,%.17g\n", word[i % 3], height, wide);
        fprintf(rows, "%.17g,%.17g\n", height, wide);
        fprintf(bare, "%.17g,%.17g\n", height, wide);
    }
    fclose(kind);
    fclose(rows);
    fclose(bare);
}

/* Trains on one set of clouds, leaves another one, and returns the accuracy
 * of the network in model.safetensors on that. */
static double train(const char *arguments)
{
    char line[512];
    double accuracy;
    write_clouds(1);
    ck_assert_int_eq(rename("kind.csv", "old.csv"), 0);
    write_clouds(2);
    snprintf(line, sizeof line, "03_train_mlp --csv old.csv --header --label "
             "kind --test kind.csv --epochs 30 --batch 8 %s "
             "--save model.safetensors", arguments);
    ck_assert_msg(run(line) == 0, "%s: %s", line, err);
    char *last = strstr(out, "\ntest accuracy ");
    ck_assert_int_eq(sscanf(last ? last : "", " test accuracy %lf",
                            &accuracy), 1);
    return accuracy;
}

/* The predictions, as the data set that they are: the probabilities [n, C]
 * of each row, and its class. */
static rill_dataset *predictions(int n, rill_tensor **p, rill_tensor **y)
{
    rill_dataset *d = rill_dataset_csv(
        "out", RILL_F64, &(rill_csv_opts){ .header = true,
                                           .label = "class" });
    ck_assert_pstr_eq(rill_dataset_error(d), NULL);
    ck_assert_int_eq(rill_dataset_len(d), n);
    ck_assert(rill_dataset_batch(d, tape, 0, n, p, y));
    return d;
}

/* How many predictions are right, as a share. Each is the class with the
 * highest probability, and they sum to 1. */
static double share_right(void)
{
    static const char *const word[] = { "oak", "red, \"elm\"", "ash" };
    rill_tensor *p, *y;
    rill_dataset *d = predictions(ROWS, &p, &y);
    int right = 0;
    for (int i = 0; i < ROWS; i++) {
        const char *class = rill_dataset_class_name(d, rill_i32(y)[i]);
        int best = 0;
        for (int c = 1; c < 3; c++)
            if (rill_at(p, 3 * i + c) > rill_at(p, 3 * i + best))
                best = c;
        ck_assert_str_eq(rill_dataset_feature_name(d, best) + 2, class);
        ASSERT_NEAR(rill_at(p, 3 * i) + rill_at(p, 3 * i + 1) +
                        rill_at(p, 3 * i + 2), 1, 2e-6);
        right += strcmp(class, word[i % 3]) == 0;
    }
    rill_dataset_free(d);
    return (double)right / ROWS;
}

START_TEST(as_right_as_in_training)
{
    static const char *const networks[] = {
        "--activation sigmoid", "--activation tanh --dtype float64",
        "--activation relu",    "--activation gelu --hidden 5,6,7",
        "--activation silu",    "--activation softplus --hidden none",
    };
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        double accuracy = train(networks[i]);
        ck_assert_double_gt(accuracy, 0.6);
        ck_assert_double_lt(accuracy, 1); /* or it would tell nothing */
        ck_assert_msg(run("07_predict model.safetensors rows.csv") == 0, "%s",
                      err);
        ck_assert_str_eq(err, "");
        static const char head[] = "class,p_ash,p_oak,\"p_red, \"\"elm\"\"\""
                                   "\n";
        ck_assert_int_eq(strncmp(out, head, sizeof head - 1), 0);
        ck_assert_double_eq_tol(share_right(), accuracy, 5.1e-5);
    }
}
END_TEST

static void read_numbers(const rill_safetensors *f, const char *key, int n,
                         double *x)
{
    const char *at = rill_safetensors_metadata(f, key);
    ck_assert_ptr_nonnull(at);
    for (char *end; n-- > 0; at = end)
        *x++ = strtod(at, &end);
    ck_assert_str_eq(at, "");
}

/* With no hidden layer the probabilities can be had by hand. */
START_TEST(by_hand)
{
    train("--hidden none --dtype float64");
    rill_safetensors *f = rill_safetensors_open("model.safetensors");
    ck_assert_pstr_eq(rill_safetensors_metadata(f, "column.1"), "wide, cm");
    const rill_tensor *w = rill_safetensors_get(tape, f, "mlp.0.weight"),
                      *b = rill_safetensors_get(tape, f, "mlp.0.bias");
    double mean[2], std[2], x[] = { 103.5, 0.0075 }, e[3], sum = 0;
    read_numbers(f, "mean", 2, mean);
    read_numbers(f, "std", 2, std);
    for (int c = 0; c < 3; c++) {
        e[c] = rill_at(b, c);
        for (int k = 0; k < 2; k++)
            e[c] += rill_at(w, 2 * c + k) * (x[k] - mean[k]) / std[k];
        sum += e[c] = exp(e[c]);
    }
    ck_assert_int_eq(run("echo 103.5,0.0075 | "
                         "07_predict --no-header model.safetensors"), 0);
    rill_tensor *p, *y;
    rill_dataset *d = predictions(1, &p, &y);
    assert_tensor(p, RILL_SHAPE(1, 3),
                  (double[]){ e[0] / sum, e[1] / sum, e[2] / sum }, 1e-6);
    rill_dataset_free(d);
    rill_safetensors_free(f);
}
END_TEST

START_TEST(ways_to_give_rows)
{
    static const char *const same[] = {
        "07_predict model.safetensors < rows.csv",
        "cat rows.csv | 07_predict model.safetensors -",
        "07_predict --header model.safetensors rows.csv",
        "gzip -c rows.csv | 07_predict model.safetensors",
        "07_predict model.safetensors bare.csv --no-header",
        ("tr , ';' <bare.csv | "
         "07_predict --no-header --separator ';' model.safetensors"),
    };
    train("");
    ck_assert_int_eq(run("07_predict model.safetensors rows.csv"), 0);
    char *wanted = rill_tape_alloc(tape, strlen(out) + 1);
    strcpy(wanted, out);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        ck_assert_msg(run(same[i]) == 0, "%s: %s", same[i], err);
        ck_assert_str_eq(out, wanted);
    }
    /* learned without a header: read without one, or past any */
    ck_assert_int_eq(run("tail -n +2 old.csv | 03_train_mlp --label 0 --csv "
                         "/dev/stdin --epochs 1 --save bare"), 0);
    ck_assert_int_eq(run("07_predict bare bare.csv"), 0);
    strcpy(wanted, out);
    ck_assert_int_eq(run("07_predict bare rows.csv --header"), 0);
    ck_assert_str_eq(out, wanted);
    ck_assert_int_eq(run("tail -n +2 old.csv | sed 's/,\\([0-9]\\)/;\\1/g; "
                         "s/,-/;-/' | 03_train_mlp --separator ';' --label 0 "
                         "--csv /dev/stdin --epochs 1 --save bare"), 0);
    ck_assert_int_eq(run("07_predict bare bare.csv"), 0);
    ck_assert_str_eq(out, wanted);
}
END_TEST

/* More rows than are in hand at once. */
START_TEST(many_rows)
{
    ck_assert_int_eq(run("03_train_mlp --epochs 1 --save model.safetensors"),
                     0);
    ck_assert_int_eq(run("yes 0.5,-0.25 | head -n 3000 | "
                         "07_predict model.safetensors"), 0);
    rill_tensor *p, *y;
    rill_dataset *d = predictions(3000, &p, &y);
    ck_assert_int_eq(rill_dataset_classes(d), 1);
    for (int i = 0; i < 3000 * 5; i++)
        ASSERT_NEAR(rill_at(p, i), rill_at(p, i % 5), 2e-6);
    rill_dataset_free(d);
}
END_TEST

/* ---- refusals ----------------------------------------------------------- */

static void assert_stops(const char *line, const char *sentence)
{
    char wanted[512];
    ck_assert_msg(run(line) == 1, "%s: %s", line, err);
    snprintf(wanted, sizeof wanted, "%s\n", sentence);
    ck_assert_msg(strcmp(err, wanted) == 0, "%s: \"%s\", not \"%s\"", line,
                  err, wanted);
}

START_TEST(unusable_rows)
{
    static const struct {
        const char *rows, *sentence;
    } wrong[] = {
        { "1,2\n3,4,5\n", "rows:2: number of cells is 3, not 2" },
        { "\n1,2\n\n3\n", "rows:4: number of cells is 1, not 2" },
        { "1,2,oak\n", "rows: number of columns is 3: 2 for features "
                       "wanted" },
        { "1\n2\n", "rows: number of columns is 1: 2 for features wanted" },
        { "1,2\n3,tall\n", "rows:2:2: \"tall\" is not a number" },
        { "1,2\n,4\n", "rows:2:1: \"\" is a missing number" },
        { "height,wide\n1,2\n", "rows:1:1: \"height\" is not a number: is "
                                "this line a header?" },
        { "", "rows: the file is empty" },
    };
    char sentence[256];
    train("--epochs 1");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_file("rows", wrong[i].rows);
        snprintf(sentence, sizeof sentence, "07_predict: %s",
                 wrong[i].sentence);
        assert_stops("07_predict model.safetensors rows --no-header",
                     sentence);
        ck_assert_str_eq(out, "");
    }
    assert_stops("echo 1 | 07_predict model.safetensors --no-header",
                 "07_predict: /dev/stdin: number of columns is 1: 2 for "
                 "features wanted");
    assert_stops("07_predict model.safetensors none",
                 "07_predict: none: No such file or directory");
    write_file("rows", "height,wide\n1,2\n");
    assert_stops("07_predict model.safetensors rows",
                 "07_predict: rows: column 2 is \"wide\", but the network "
                 "learned from \"wide, cm\" there");
    assert_stops("07_predict model.safetensors rows.csv >/dev/full",
                 "07_predict: standard output: No space left on device");
}
END_TEST

/* Writes the model again with one entry of its metadata changed, or taken
 * away where the value is NULL. */
static void write_changed(const char *key, const char *value)
{
    static const char *const keys[] = {
        "dtype", "activation", "widths", "mean", "std", "class.0", "class.1",
        "class.2"
    };
    rill_metadata all[9] = { { NULL, NULL } }, *to = all;
    const rill_tensor *x[2];
    rill_safetensors *f = rill_safetensors_open("model.safetensors");
    ck_assert_int_eq(rill_safetensors_len(f), 2);
    const char *names[] = { rill_safetensors_name(f, 0),
                            rill_safetensors_name(f, 1) };
    for (int i = 0; i < 2; i++)
        x[i] = rill_safetensors_get(tape, f, names[i]);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        bool same = strcmp(keys[i], key) != 0;
        if (same || value)
            *to++ = (rill_metadata){
                keys[i], same ? rill_safetensors_metadata(f, keys[i]) : value
            };
    }
    ck_assert(rill_safetensors_write(tape, "changed", names, x, 2, all));
    rill_safetensors_free(f);
}

START_TEST(unusable_models)
{
    static const struct {
        const char *key, *value, *sentence;
    } wrong[] = {
        { "dtype", "float16", "no dtype is called \"float16\"" },
        { "activation", "swish", "no activation is called \"swish\"" },
        { "widths", "2", "\"widths\" in its metadata are not 2 or more "
                         "numbers" },
        { "widths", "2 3 ", "\"widths\" in its metadata are not 2 or more "
                            "numbers" },
        { "widths", "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
          "\"widths\" in its metadata are not 2 or more numbers" },
        { "widths", "2 64 3",
          "does not fit the parameters: missing \"mlp.1.weight\", "
          "\"mlp.1.bias\"; \"mlp.0.weight\" is [3, 2], not [64, 2]; "
          "\"mlp.0.bias\" is [3], not [64]" },
        { "widths", "nan 3", "does not fit the parameters: \"mlp.0.weight\" "
                             "is [3, 2], not [3, 0]" },
        { "mean", "0.5", "\"mean\" in its metadata are not 2 numbers" },
        { "std", "1 2 3", "\"std\" in its metadata are not 2 numbers" },
        { "std", "", "\"std\" in its metadata are not 2 numbers" },
    };
    static const char *const needed[] = { "dtype", "activation", "widths",
                                          "mean", "std", "class.0",
                                          "class.2" };
    char sentence[256];
    train("--epochs 1 --hidden none");
    write_changed("nothing", NULL);
    ck_assert_msg(run("07_predict changed bare.csv") == 0, "%s", err);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_changed(wrong[i].key, wrong[i].value);
        snprintf(sentence, sizeof sentence, "07_predict: changed: %s",
                 wrong[i].sentence);
        assert_stops("07_predict changed bare.csv", sentence);
    }
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        write_changed(needed[i], NULL);
        snprintf(sentence, sizeof sentence, "07_predict: changed: no \"%s\" "
                 "in its metadata: was it made by 03_train_mlp --save?",
                 needed[i]);
        assert_stops("07_predict changed bare.csv", sentence);
        ck_assert_str_eq(out, "");
    }
    assert_stops("07_predict none bare.csv",
                 "07_predict: none: cannot open it: No such file or "
                 "directory");
    write_file("changed", "class");
    ck_assert_int_eq(run("07_predict changed bare.csv"), 1);
    ck_assert_int_eq(strncmp(err, "07_predict: changed: ", 21), 0);
}
END_TEST

/* That it cannot be saved is told before the training, and harms nothing. */
START_TEST(nowhere_to_save)
{
    ck_assert_int_eq(run("03_train_mlp --epochs 1 --save none/model"), 1);
    ck_assert_ptr_nonnull(strstr(err, "03_train_mlp: --save would fail: "
                                      "none/model."));
    ck_assert_ptr_nonnull(strstr(err, ": cannot write it: No such file or "
                                      "directory\n"));
    ck_assert_ptr_null(strstr(out, "epoch"));
    assert_stops("03_train_mlp --epochs 1 --save . --log run.jsonl",
                 "03_train_mlp: --save would fail: \".\" is no regular file");
    assert_stops("03_train_mlp --epochs 1 --save ''",
                 "03_train_mlp: --save would fail: \"\" is no regular file");
    write_file("latin.csv", "1,\xe4\n2,\xe4\n3,\xf6\n4,\xf6\n5,\xe4\n6,\xe4\n"
                            "7,\xe4\n8,\xe4\n9,\xe4\n10,\xe4\n");
    write_file("model", "an older one");
    assert_stops("03_train_mlp --csv latin.csv --epochs 1 --save model",
                 "03_train_mlp: --save would fail: safetensors: \"class.0\" "
                 "is not UTF-8, or memory ran out");
    ck_assert_ptr_null(strstr(out, "epoch"));
    assert_stops("03_train_mlp --lr 1e38 --optimiser sgd --activation relu "
                 "--save model",
                 "03_train_mlp: the loss is no longer finite: try a lower "
                 "--lr");
    read_file("model", out, sizeof out);
    ck_assert_str_eq(out, "an older one");
    ck_assert_int_eq(run("ls run.jsonl model.*"), 2); /* none is left */
    ck_assert_str_eq(out, "model.safetensors\n");
}
END_TEST

/* Where the folder goes while it trains, what was learned is told and the
 * record is whole. The folder is gone for certain when it comes to saving:
 * the table of the classes before is more than a pipe holds. */
START_TEST(nowhere_to_save_any_more)
{
    FILE *f = fopen("many.csv", "w");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < 600; i++)
        fprintf(f, "%d,%d\n", i, i % 200);
    fclose(f);
    assert_stops("mkdir gone; { 03_train_mlp --csv many.csv --epochs 1 --save "
                 "gone/model --report page; echo $? >status; } | "
                 "{ read line; rm -r gone; cat >all; exit $(cat status); }",
                 "03_train_mlp: gone/model: cannot write it: No such file or "
                 "directory");
    ck_assert_int_eq(run("tail -n 1 all page.jsonl; grep -c '</html>' page"),
                     0);
    ck_assert_ptr_nonnull(strstr(out, "\ntest accuracy 0."));
    ck_assert_ptr_nonnull(strstr(out, "\n{\"type\":\"end\""));
    ck_assert_int_eq(run("test $(wc -c <all) -gt 100000"), 0);
}
END_TEST

START_TEST(wrong_options)
{
    static const char *const wrong[][2] = {
        { "07_predict", "07_predict: no model is given\n" },
        { "07_predict --header", "07_predict: no model is given\n" },
        { "07_predict a b c", "07_predict: one file of rows at a time\n" },
        { "07_predict --separator tab a b",
          "07_predict: --separator wants CHARACTER, not \"tab\"\n" },
        { "07_predict --heading a", "unrecognized option '--heading'\n" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(run(wrong[i][0]), 2);
        ck_assert_ptr_nonnull(strstr(err, wrong[i][1]));
        ck_assert_ptr_nonnull(strstr(err, "\nusage: 07_predict [--header|"
                                          "--no-header] [--separator "
                                          "CHARACTER] MODEL [FILE]\n"));
        ck_assert_str_eq(out, "");
    }
    ck_assert_int_eq(run("07_predict --help"), 0);
    ck_assert_ptr_nonnull(strstr(out, "usage: 07_predict"));
    ck_assert_ptr_nonnull(strstr(out, "\n  --no-header "));
    ck_assert_ptr_nonnull(strstr(out, "\n  --separator CHARACTER\n"));
    ck_assert_str_eq(err, "");
    for (char *line = out; *line; line += strcspn(line, "\n") + 1)
        ck_assert_uint_le(strcspn(line, "\n"), 79);
}
END_TEST

int main(void)
{
    static char folder[] = "/tmp/rill_test_predict_XXXXXX";
    const char *build = getenv("RILL_BUILD");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/examples", build ? build : "build");
    if (!realpath(path, examples) || !mkdtemp(folder) || chdir(folder) != 0)
        return EXIT_FAILURE;
    int status = HARNESS_RUN("example predict", as_right_as_in_training,
                             by_hand, ways_to_give_rows, many_rows,
                             unusable_rows, unusable_models, nowhere_to_save,
                             nowhere_to_save_any_more, wrong_options);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? status : EXIT_FAILURE;
}
