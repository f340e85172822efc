/* Data sets: the CSV reader and its refusals, shuffling, splitting, batches,
 * statistics. The tests run in a folder of their own, for their messages name
 * the file. */
#include "harness.h"

#include <locale.h>
#include <unistd.h>
#include <zlib.h>

#define PATH "data.csv"

static const rill_csv_opts header = { .header = true };

static rill_dataset *read_bytes(const char *text, size_t bytes,
                                rill_dtype dtype, const rill_csv_opts *opts)
{
    FILE *f = fopen(PATH, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, bytes, f), bytes);
    fclose(f);
    rill_dataset *d = rill_dataset_csv(PATH, dtype, opts);
    ck_assert_ptr_nonnull(d);
    return d;
}

static rill_dataset *read_text(const char *text, const rill_csv_opts *opts)
{
    return read_bytes(text, strlen(text), RILL_F64, opts);
}

/* Fails unless d holds exactly these rows; frees it. */
static void assert_rows(rill_dataset *d, int64_t n, int64_t features,
                        const double *x, const int32_t *labels)
{
    ck_assert_pstr_eq(rill_dataset_error(d), NULL);
    ck_assert_int_eq(rill_dataset_len(d), n);
    ck_assert_int_eq(rill_dataset_features(d), features);
    rill_tensor *rows, *y;
    ck_assert(rill_dataset_batch(d, tape, 0, n, &rows, &y));
    assert_tensor(rows, RILL_SHAPE(n, features), x, 0);
    ck_assert_int_eq(rill_numel(y), n);
    for (int64_t i = 0; i < n; i++)
        ck_assert_int_eq(rill_i32(y)[i], labels[i]);
    rill_dataset_free(d);
}

static void assert_classes(const rill_dataset *d, int n,
                           const char *const *names)
{
    ck_assert_pstr_eq(rill_dataset_error(d), NULL);
    ck_assert_int_eq(rill_dataset_classes(d), n);
    for (int c = 0; c < n; c++)
        ck_assert_pstr_eq(rill_dataset_class_name(d, c), names[c]);
    ck_assert_ptr_null(rill_dataset_class_name(d, n));
    ck_assert_ptr_null(rill_dataset_class_name(d, -1));
}

/* Fails unless the set's error is this sentence and nothing can be had from
 * it, nor rows after the error was cleared; frees it. */
static void assert_failed(rill_dataset *d, const char *sentence)
{
    ck_assert_ptr_nonnull(d);
    ck_assert_pstr_eq(rill_dataset_error(d), sentence);
    double number;
    int64_t count;
    rill_rng r = { 0 };
    ck_assert_int_eq(rill_dataset_features(d), 0);
    ck_assert_ptr_null(rill_dataset_class_name(d, 0));
    ck_assert_ptr_null(rill_dataset_feature_name(d, 0));
    ck_assert(!rill_dataset_class_counts(d, &count));
    ck_assert(!rill_dataset_statistics(d, &number, &number));
    ck_assert(!rill_dataset_standardise(d, &number, &number));
    ck_assert(!rill_dataset_shuffle(d, &r));
    rill_dataset *part = rill_dataset_split(d, 0.5);
    ck_assert_pstr_eq(rill_dataset_error(part), sentence);
    rill_dataset_free(part);
    rill_dataset_clear_error(d);
    ck_assert_ptr_null(rill_dataset_error(d));
    ck_assert_int_eq(rill_dataset_len(d), 0);
    ck_assert_int_eq(rill_dataset_classes(d), 0);
    rill_dataset_free(d);
}

static void assert_refused(const char *text, const rill_csv_opts *opts,
                           const char *sentence)
{
    assert_failed(read_text(text, opts), sentence);
}

/* n rows whose number is in both features, their class that modulo 3. */
static rill_dataset *counted(int n, rill_dtype dtype)
{
    double x[2 * 100];
    int32_t y[100];
    for (int i = 0; i < n; i++) {
        x[2 * i] = x[2 * i + 1] = i;
        y[i] = i % 3;
    }
    rill_dataset *d = rill_dataset_from(x, y, n, 2, 3, dtype);
    ck_assert_pstr_eq(rill_dataset_error(d), NULL);
    return d;
}

/* ---- reading ------------------------------------------------------------ */

START_TEST(decimals)
{
    assert_rows(read_text("1,2.5,0\n-3,4e2,1\n.5,+6.,0\n1E-3,-0,1\n", NULL),
                4, 2, (double[]){ 1, 2.5, -3, 400, .5, 6, .001, 0 },
                (int32_t[]){ 0, 1, 0, 1 });
    assert_rows(read_bytes("0.1,1e38,a", 10, RILL_F32, NULL), 1, 2,
                (double[]){ 0.1f, 1e38f }, (int32_t[]){ 0 });
}
END_TEST

START_TEST(ways_to_write_the_same_rows)
{
    static const char *const text[] = {
        "1,2,a\n3,4,b\n",
        "1,2,a\n3,4,b",
        "1,2,a\r\n3,4,b\r\n",
        "\xef\xbb\xbf 1,2,a\n3,4,b\n",
        "\xef\xbb\xbf\n\n1,2,a\n  \n\r\n3,4,b\n\n\t\n",
        " 1 ,\t2, a \n3 , 4\t,b  \n",
        "\"1\",\"2\",\"a\"\n\"3\",\"4\",\"b\"",
        " \"1\" , \"2\",\"a\" \r\n3,4,b",
    };
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        rill_dataset *d = read_text(text[i], NULL);
        assert_classes(d, 2, (const char *[]){ "a", "b" });
        assert_rows(d, 2, 2, (double[]){ 1, 2, 3, 4 }, (int32_t[]){ 0, 1 });
    }
}
END_TEST

START_TEST(quotes)
{
    rill_dataset *d = read_text("1,\"say \"\"no\"\"\"\n2,\"x, y\"\n"
                                "3,\"two\r\nlines\"\n4,5\" disk\n5,\" \"\n",
                                NULL);
    assert_classes(d, 5, (const char *[]){ " ", "5\" disk", "say \"no\"",
                                           "two\r\nlines", "x, y" });
    assert_rows(d, 5, 1, (double[]){ 1, 2, 3, 4, 5 },
                (int32_t[]){ 2, 4, 3, 1, 0 });
}
END_TEST

START_TEST(separators)
{
    assert_rows(read_text("1;2;a\n", &(rill_csv_opts){ .separator = ';' }), 1,
                2, (double[]){ 1, 2 }, (int32_t[]){ 0 });
    assert_rows(read_text(" 1\t2 \ta\n",
                          &(rill_csv_opts){ .separator = '\t' }), 1, 2,
                (double[]){ 1, 2 }, (int32_t[]){ 0 });
    assert_rows(read_text("1 \"2\" a\n",
                          &(rill_csv_opts){ .separator = ' ' }), 1, 2,
                (double[]){ 1, 2 }, (int32_t[]){ 0 });
    assert_rows(read_text("1\xa7" "2\xa7" "a\n",
                          &(rill_csv_opts){ .separator = '\xa7' }), 1, 2,
                (double[]){ 1, 2 }, (int32_t[]){ 0 });
}
END_TEST

START_TEST(more_than_a_buffer)
{
    enum { ROWS = 20000, COLUMNS = 100 };
    char *text = malloc(ROWS * 8 + COLUMNS * 2), *at = text;
    ck_assert_ptr_nonnull(text);
    double sum = 0, mean, std;
    for (int i = 0; i < ROWS; i++, sum += i % 1000)
        at += sprintf(at, "%d,%d\n", i % 1000, i % 3);
    rill_dataset *d = read_text(text, NULL);
    ck_assert_int_eq(rill_dataset_len(d), ROWS);
    int64_t counts[3];
    ck_assert(rill_dataset_class_counts(d, counts));
    ck_assert_int_eq(counts[0] + counts[1], 13334);
    ck_assert(rill_dataset_statistics(d, &mean, &std));
    ASSERT_NEAR(mean, sum / ROWS, 1e-12);
    rill_dataset_free(d);

    at = text;
    for (int i = 0; i < COLUMNS; i++)
        at += sprintf(at, "%d%c", i % 10, i < COLUMNS - 1 ? ',' : '\n');
    d = read_text(text, NULL);
    ck_assert_int_eq(rill_dataset_features(d), COLUMNS - 1);
    rill_dataset_free(d);
    free(text);
}
END_TEST

START_TEST(gzipped)
{
    gzFile f = gzopen(PATH, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_gt(gzputs(f, "1,2,a\n3,4,b\n"), 0);
    ck_assert_int_eq(gzclose(f), Z_OK);
    assert_rows(rill_dataset_csv(PATH, RILL_F64, NULL), 2, 2,
                (double[]){ 1, 2, 3, 4 }, (int32_t[]){ 0, 1 });
    ck_assert_int_eq(truncate(PATH, 20), 0);
    assert_failed(rill_dataset_csv(PATH, RILL_F64, NULL),
                  "data.csv: unexpected end of file");
}
END_TEST

START_TEST(any_locale)
{
    if (!setlocale(LC_ALL, "de_DE.UTF-8"))
        fprintf(stderr, "any_locale: no de_DE.UTF-8: the C locale only\n");
    rill_dataset *d = read_text("0.5,a\n", NULL);
    ck_assert_str_eq(localeconv()->decimal_point,
                     setlocale(LC_ALL, NULL)[0] == 'd' ? "," : ".");
    setlocale(LC_ALL, "C");
    assert_rows(d, 1, 1, (double[]){ 0.5 }, (int32_t[]){ 0 });
    assert_refused("0,5;a\n", &(rill_csv_opts){ .separator = ';' },
                   "data.csv:1:1: \"0,5\" is not a number: is this line a "
                   "header?");
}
END_TEST

/* ---- columns and classes ------------------------------------------------ */

START_TEST(names)
{
    rill_dataset *d = read_text("kind, \"wide, cm\",high\nx,1,2\n",
                                &(rill_csv_opts){ .header = true,
                                                  .label = "kind" });
    ck_assert_pstr_eq(rill_dataset_feature_name(d, 0), "wide, cm");
    ck_assert_pstr_eq(rill_dataset_feature_name(d, 1), "high");
    ck_assert_ptr_null(rill_dataset_feature_name(d, 2));
    ck_assert_ptr_null(rill_dataset_feature_name(d, -1));
    assert_rows(d, 1, 2, (double[]){ 1, 2 }, (int32_t[]){ 0 });
    d = read_text("1,x\n", NULL);
    ck_assert_pstr_eq(rill_dataset_feature_name(d, 0), "");
    ck_assert_ptr_null(rill_dataset_feature_name(d, 1));
    rill_dataset_free(d);
}
END_TEST

START_TEST(label_columns)
{
    static const struct {
        const char *label;
        double x[2];
    } by[] = { { NULL, { 1, 2 } }, { "2", { 1, 2 } },  { "-1", { 1, 2 } },
               { "0", { 2, 3 } },  { "1", { 1, 3 } },  { "-3", { 2, 3 } },
               { "a", { 2, 3 } },  { "b", { 1, 3 } },  { "7", { 1, 2 } } };
    for (size_t i = 0; i < sizeof by / sizeof *by; i++)
        assert_rows(read_text("a,b,7\n1,2,3\n",
                              &(rill_csv_opts){ .header = true,
                                                .label = by[i].label }),
                    1, 2, by[i].x, (int32_t[]){ 0 });
}
END_TEST

START_TEST(without_a_label)
{
    rill_tensor *x, *y;
    rill_rng r = { .seed = 1 };
    int64_t count = 7;
    rill_csv_opts bare = { .no_label = true, .header = true };
    rill_dataset *d = read_text("a,b\n1,2\n3,4\n5,6\n7,8\n", &bare);
    ck_assert_pstr_eq(rill_dataset_error(d), NULL);
    ck_assert_pstr_eq(rill_dataset_feature_name(d, 1), "b");
    ck_assert_int_eq(rill_dataset_classes(d), 0);
    ck_assert(rill_dataset_class_counts(d, &count));
    ck_assert_int_eq(count, 7);
    ck_assert(rill_dataset_batch(d, tape, 1, 3, &x, &y));
    assert_tensor(x, RILL_SHAPE(1, 2), (double[]){ 7, 8 }, 0);
    ck_assert_ptr_null(y);
    ASSERT_REFUSED(rill_cross_entropy(tape, x, y, NULL),
                   "cross_entropy: target is NULL");
    rill_dataset *part = rill_dataset_split(d, 0.5);
    ck_assert(rill_dataset_shuffle(part, &r));
    ck_assert(rill_dataset_batch(part, tape, 0, 2, &x, &y));
    ck_assert_double_eq(rill_at(x, 0) + rill_at(x, 2), 12);
    ck_assert_ptr_null(y);
    rill_dataset_free(part);

    bare = (rill_csv_opts){ .no_label = true, .like = d };
    assert_refused("1,2,3\n", &bare, "data.csv: number of columns is 3: 2 for "
                                     "features wanted");
    assert_refused("1,2\n3\n", &bare,
                   "data.csv:2: number of cells is 1, not 2");
    bare.no_label = false;
    assert_refused("1,2,a\n", &bare,
                   "data.csv:1:3: \"a\" is not one of the known classes");
    rill_dataset_free(d);
    bare = (rill_csv_opts){ .no_label = true };
    d = read_text("1\n2\n", &bare);
    ck_assert(rill_dataset_batch(d, tape, 0, 2, &x, &y));
    assert_tensor(x, RILL_SHAPE(2, 1), (double[]){ 1, 2 }, 0);
    rill_dataset_free(d);
    bare.label = "0";
    assert_refused("1,2\n", &bare,
                   "dataset_csv: label is \"0\", but no_label is set");
}
END_TEST

START_TEST(classes_that_are_numbers)
{
    /* a class is its text: 9.0 is another one than 9 */
    rill_dataset *d = read_text("0,10\n0,9\n0,-1\n0,1e2\n0, 9.0\n0,9\n",
                                NULL);
    assert_classes(d, 5, (const char *[]){ "-1", "9", "9.0", "10", "1e2" });
    assert_rows(d, 6, 1, (double[6]){ 0 }, (int32_t[]){ 3, 1, 0, 4, 2, 1 });
}
END_TEST

START_TEST(classes_that_are_words)
{
    /* numbers among them come first; inf, nan and 0x1 are words */
    rill_dataset *d = read_text("0,nan\n0,10\n0,b\n0,9\n0,B\n0,\xc3\xa4\n"
                                "0,inf\n0,0x1\n", NULL);
    assert_classes(d, 8, (const char *[]){ "9", "10", "0x1", "B", "b", "inf",
                                           "nan", "\xc3\xa4" });
    assert_rows(d, 8, 1, (double[8]){ 0 },
                (int32_t[]){ 6, 1, 4, 0, 3, 7, 5, 2 });
}
END_TEST

START_TEST(classes_of_another_set)
{
    rill_dataset *words = read_text("0,cat\n0,dog\n0,eel\n", NULL);
    rill_csv_opts like = { .like = words };
    rill_dataset *d = read_text("1,eel\n2,cat\n", &like);
    assert_classes(d, 3, (const char *[]){ "cat", "dog", "eel" });
    assert_rows(d, 2, 1, (double[]){ 1, 2 }, (int32_t[]){ 2, 0 });
    assert_refused("1,eel\n2,ant\n3,cat\n", &like,
                   "data.csv:2:2: \"ant\" is not one of the known classes");
    assert_refused("1,1\n", &like,
                   "data.csv:1:2: \"1\" is not one of the known classes");
    assert_refused("1,2,eel\n", &like,
                   "data.csv: number of columns is 3: a label and 1 for "
                   "features wanted");
    rill_dataset_free(words);

    rill_dataset *numbers = read_text("0,1\n0,2\n0,10\n", NULL);
    like.like = numbers;
    assert_rows(read_text("5,10\n6,2\n", &like), 2, 1,
                (double[]){ 5, 6 }, (int32_t[]){ 2, 1 });
    assert_refused("5,10\n6,3\n", &like,
                   "data.csv:2:2: \"3\" is not one of the known classes");
    assert_refused("5,10\n6,x\n", &like,
                   "data.csv:2:2: \"x\" is not one of the known classes");
    assert_refused("5,10.0\n", &like,
                   "data.csv:1:2: \"10.0\" is not one of the known classes");
    rill_dataset_free(numbers);

    double x[12] = { 0 };
    int32_t y[12] = { 0 };
    rill_dataset *counted = rill_dataset_from(x, y, 12, 1, 12, RILL_F64);
    like.like = counted;
    assert_rows(read_text("5,10\n6,2\n", &like), 2, 1, (double[]){ 5, 6 },
                (int32_t[]){ 10, 2 });
    rill_dataset_free(counted);

    rill_dataset *failed = rill_dataset_csv("none.csv", RILL_F64, NULL);
    like.like = failed;
    assert_refused("1,2\n", &like, "none.csv: No such file or directory");
    rill_dataset_free(failed);
}
END_TEST

/* Columns in another order are others, wherever the label stands; names that
 * only one of the two has are not compared. */
START_TEST(columns_of_another_set)
{
    rill_dataset *d = read_text("wide,high,kind\n1,2,a\n", &header);
    rill_csv_opts like = { .header = true, .label = "kind", .like = d };
    assert_rows(read_text("kind,wide,high\na,3,4\n", &like), 1, 2,
                (double[]){ 3, 4 }, (int32_t[]){ 0 });
    assert_refused("\nwide,kind,wide\n3,a,4\n", &like,
                   "data.csv:2:3: \"wide\" is not \"high\", the known name of "
                   "this column");
    like.label = NULL;
    assert_refused("high,wide,kind\n4,3,a\n", &like,
                   "data.csv:1:1: \"high\" is not \"wide\", the known name of "
                   "this column");
    assert_refused("3,4,a\n5,6,a\n", &like,
                   "data.csv:1:1: \"3\" is not \"wide\", the known name of "
                   "this column");
    like.no_label = true;
    assert_refused("wide,High\n3,4\n", &like,
                   "data.csv:1:2: \"High\" is not \"high\", the known name of "
                   "this column");
    like = (rill_csv_opts){ .like = d };
    rill_dataset *bare = read_text("3,4,a\n", &like);
    rill_dataset_free(d);
    like = (rill_csv_opts){ .header = true, .like = bare };
    assert_rows(read_text("u,v,kind\n5,6,a\n", &like), 1, 2,
                (double[]){ 5, 6 }, (int32_t[]){ 0 });
    rill_dataset_free(bare);
}
END_TEST

/* ---- refusals ----------------------------------------------------------- */

START_TEST(bad_cells)
{
    assert_refused("a,1,2\n\n\"b\r\nb\",3,abc\n",
                   &(rill_csv_opts){ .label = "0" },
                   "data.csv:4:3: \"abc\" is not a number");
    assert_refused("1,2,a\n3,,a\n", NULL,
                   "data.csv:2:2: \"\" is a missing number");
    assert_refused(",a\n", NULL, "data.csv:1:1: \"\" is a missing number");
    assert_refused("width,kind\n1,a\n", NULL,
                   "data.csv:1:1: \"width\" is not a number: is this line a "
                   "header?");
    assert_refused("width,kind\nwide,a\n", &header,
                   "data.csv:2:1: \"wide\" is not a number");
    static const char *const wrong[] = { "nan",  "NaN", "inf", "-Infinity",
                                         "0x10", "1,5", "1 2", "1e",
                                         "--1",  "e5",  ".",   "1.5.2",
                                         "\xc3\xa4", "1\r2" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[64], sentence[64];
        sprintf(text, "1;a\n%s;a\n", wrong[i]);
        sprintf(sentence, "data.csv:2:1: \"%.*s\" is not a number",
                (int)strcspn(wrong[i], "\r"), wrong[i]);
        assert_refused(text, &(rill_csv_opts){ .separator = ';' }, sentence);
    }
    assert_failed(read_bytes("1,a\n-1e39,a\n", 12, RILL_F32, NULL),
                  "data.csv:2:1: \"-1e39\" is out of float32's range: float64 "
                  "holds it");
    assert_failed(read_bytes("1e39,a\n", 7, RILL_F32, NULL),
                  "data.csv:1:1: \"1e39\" is out of float32's range: float64 "
                  "holds it");
    assert_failed(read_bytes("1e999,a\n", 8, RILL_F32, NULL),
                  "data.csv:1:1: \"1e999\" is out of float64's range");
    assert_refused("1,a\n-1e999,a\n", NULL,
                   "data.csv:2:1: \"-1e999\" is out of float64's range");
    assert_refused("1,a\n2, \n", NULL,
                   "data.csv:2:2: \"\" is not a class");
    /* what would harm a screen, or is long, is cut */
    assert_refused("1,a\n\"2\x1b[2J\",a\n", NULL,
                   "data.csv:2:1: \"2\" is not a number");
    assert_refused("1,a\n\"2\n3\",a\n", NULL,
                   "data.csv:2:1: \"2\" is not a number");
    assert_refused("1,a\n"
                   "1234567890123456789012345678901234567890"
                   "12345678901234567890abc,a\n", NULL,
                   "data.csv:2:1: \"1234567890123456789012345678901234567890"
                   "12345678901234567890\" is not a number");
}
END_TEST

/* The first row may be a header, or have the label in another column. */
START_TEST(guesses)
{
    static const char header_too[] = "data.csv:1:1: \"oak\" is not a number: "
                                     "is this line a header?",
                      label_too[] = "data.csv:1:1: \"oak\" is not a number: "
                                    "is this the label's column?",
                      none[] = "data.csv:1:1: \"oak\" is not a number";
    assert_refused("oak,elm,fig\n1,2,a\n", NULL, header_too);
    assert_refused("oak,,elm\n", NULL, header_too);
    assert_refused("oak,elm\n", &(rill_csv_opts){ .no_label = true },
                   header_too);
    assert_refused("oak,1\n", NULL, label_too);
    assert_refused("oak,1,2\n", NULL, label_too);
    assert_refused("oak,1e999,2\n", NULL, label_too);
    assert_refused("oak,1,elm\n", NULL, none);
    assert_refused("oak,1\n", &(rill_csv_opts){ .no_label = true }, none);
    assert_refused("1,2,3\noak,5,6\n", NULL,
                   "data.csv:2:1: \"oak\" is not a number");
    assert_refused("kind,wide,high\noak,1,2\n", &header,
                   "data.csv:2:1: \"oak\" is not a number: is this the "
                   "label's column?");
    assert_refused("wide,high,kind\noak,elm,a\n", &header,
                   "data.csv:2:1: \"oak\" is not a number");
}
END_TEST

/* A file with another separator than was said: its cells stand in one, or
 * fall apart at the commas in its numbers. */
START_TEST(other_separators)
{
    rill_dataset *d = counted(1, RILL_F64);
    rill_csv_opts bare = { .no_label = true, .like = d };
    assert_refused("wide;high;kind\n1;2;a\n", &header,
                   "data.csv: number of columns is 1: a label and 1 for "
                   "features wanted: is ';' the separator?");
    assert_refused("1\t2\ta\n", NULL,
                   "data.csv: number of columns is 1: a label and 1 for "
                   "features wanted: is a tab the separator?");
    assert_refused("1,5;2,5\n", &bare, "data.csv: number of columns is 3: 2 "
                   "for features wanted: is ';' the separator?");
    assert_refused("1,5;2,5;a\n", NULL, "data.csv:1:2: \"5;2\" is not a "
                   "number: is ';' the separator?");
    bare.like = NULL;
    assert_refused("wide\thigh\n", &bare, "data.csv:1:1: \"wide\thigh\" is "
                   "not a number: is a tab the separator?");
    rill_dataset_free(d);
}
END_TEST

START_TEST(bad_lines)
{
    assert_refused("1,2,a\n3,4\n", NULL,
                   "data.csv:2: number of cells is 2, not 3");
    assert_refused("1,2,a\n3,4,5,a\n", NULL,
                   "data.csv:2: number of cells is 4, not 3");
    assert_refused("1,2,a\n\n3\n", NULL,
                   "data.csv:3: number of cells is 1, not 3");
    assert_refused("1,2,a\n3,4,a,\n", NULL,
                   "data.csv:2: number of cells is 4, not 3");
    assert_refused("1,2,a\n3,4,", NULL,
                   "data.csv:2:3: \"\" is not a class");
    assert_refused("a,b\n1,2,3\n", &header,
                   "data.csv:2: number of cells is 3, not 2");
    assert_refused("1\n2\n", NULL,
                   "data.csv: number of columns is 1: a label and 1 for "
                   "features wanted");
    assert_refused("1,2,a\n3,\"4,a\n5,6,a\n", NULL,
                   "data.csv:2:2: \"4,a\" has no closing quote");
    assert_refused("1,2,a\n3,\"4\"\"", NULL,
                   "data.csv:2:2: \"4\"\" has no closing quote");
    assert_refused("\"", NULL, "data.csv:1:1: \"\" has no closing quote");
    assert_refused("1,\"a\"b\n", NULL,
                   "data.csv:1:2: \"ab\" has text after its quotes");
    assert_refused("1,\"a\" \"b\"\n", NULL,
                   "data.csv:1:2: \"a \"b\"\" has text after its quotes");
}
END_TEST

START_TEST(bad_files)
{
    assert_refused("", NULL, "data.csv: the file is empty");
    assert_refused("\xef\xbb\xbf\n \r\n\n", NULL,
                   "data.csv: the file is empty");
    assert_refused("a,b\n\n", &header, "data.csv: no rows after the header");
    assert_failed(read_bytes("1,a\n2,\0\n", 8, RILL_F64, NULL),
                  "data.csv: a zero byte: this is no plain text");
    assert_failed(read_bytes("\0", 1, RILL_F64, NULL),
                  "data.csv: a zero byte: this is no plain text");
    assert_failed(rill_dataset_csv("none.csv", RILL_F32, NULL),
                  "none.csv: No such file or directory");
    assert_failed(rill_dataset_csv(".", RILL_F32, NULL),
                  ".: Is a directory");
    assert_failed(rill_dataset_csv(NULL, RILL_F32, NULL),
                  "dataset_csv: the path is NULL");
    assert_failed(rill_dataset_csv(PATH, RILL_I32, NULL),
                  "dataset: rows are float32 or float64, not int32");
}
END_TEST

START_TEST(bad_label_columns)
{
    assert_refused("a,b\n1,2\n",
                   &(rill_csv_opts){ .header = true, .label = "kind" },
                   "data.csv: no column \"kind\" among 2");
    static const char *const wrong[] = { "kind", "", "2", "-3", "1.0",
                                         "99999999999999999999" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char sentence[80];
        sprintf(sentence, "data.csv: no column \"%s\" among 2 without a "
                "header", wrong[i]);
        assert_refused("1,2\n", &(rill_csv_opts){ .label = wrong[i] },
                       sentence);
    }
}
END_TEST

/* ---- from memory -------------------------------------------------------- */

START_TEST(from_memory)
{
    for (rill_dtype dtype = RILL_F32; dtype <= RILL_F64; dtype++) {
        rill_dataset *d = counted(4, dtype);
        assert_classes(d, 3, (const char *[]){ "0", "1", "2" });
        ck_assert_pstr_eq(rill_dataset_feature_name(d, 1), "");
        int64_t counts[3];
        ck_assert(rill_dataset_class_counts(d, counts));
        ck_assert_int_eq(counts[0], 2);
        ck_assert_int_eq(counts[1], 1);
        ck_assert_int_eq(counts[2], 1);
        ck_assert(!rill_dataset_class_counts(d, NULL));
        assert_rows(d, 4, 2, (double[]){ 0, 0, 1, 1, 2, 2, 3, 3 },
                    (int32_t[]){ 0, 1, 2, 0 });
    }
    rill_dataset *none = rill_dataset_from(NULL, NULL, 0, 3, 2, RILL_F64);
    ck_assert_pstr_eq(rill_dataset_error(none), NULL);
    ck_assert_int_eq(rill_dataset_features(none), 3);
    ck_assert_int_eq(rill_dataset_batches(none, 5), 0);
    rill_dataset_free(none);
}
END_TEST

START_TEST(from_refused)
{
    double x[2] = { 0 };
    int32_t y[2] = { 0, 5 };
    assert_failed(rill_dataset_from(x, y, 2, 1, 5, RILL_F32),
                  "dataset_from: label 5 at row 1 is not in [0, 5)");
    y[1] = -100;
    assert_failed(rill_dataset_from(x, y, 2, 1, 5, RILL_F32),
                  "dataset_from: label -100 at row 1 is not in [0, 5)");
    y[1] = 0;
    assert_failed(rill_dataset_from(x, y, 2, 1, 0, RILL_F32),
                  "dataset_from: label 0 at row 0 is not in [0, 0)");
    assert_failed(rill_dataset_from(x, y, -1, 1, 5, RILL_F32),
                  "copy: size -1 of dimension 0 is negative");
    assert_failed(rill_dataset_from(x, y, 2, -1, 5, RILL_F32),
                  "from: size -1 of dimension 1 is negative");
    assert_failed(rill_dataset_from(NULL, y, 2, 1, 5, RILL_F32),
                  "dataset_from: an argument is NULL");
    assert_failed(rill_dataset_from(x, NULL, 2, 1, 5, RILL_F32),
                  "dataset_from: an argument is NULL");
    assert_failed(rill_dataset_from(x, y, 2, 1, 5, RILL_I32),
                  "dataset: rows are float32 or float64, not int32");
}
END_TEST

START_TEST(no_set)
{
    ck_assert_str_eq(rill_dataset_error(NULL), "the data set is NULL");
    ck_assert_int_eq(rill_dataset_len(NULL), 0);
    ck_assert_int_eq(rill_dataset_batches(NULL, 1), 0);
    ck_assert_ptr_null(rill_dataset_split(NULL, 0.5));
    ck_assert(!rill_dataset_shuffle(NULL, NULL));
    rill_dataset_clear_error(NULL);
    rill_dataset_free(NULL);
}
END_TEST

/* ---- shuffling, splitting, batches -------------------------------------- */

START_TEST(shuffled)
{
    rill_dataset *a = counted(6, RILL_F64), *b = counted(6, RILL_F64);
    rill_rng r = { .seed = 1 }, s = { .seed = 1 };
    ck_assert(rill_dataset_shuffle(a, &r));
    ck_assert(rill_dataset_shuffle(b, &s));
    ck_assert_uint_eq(r.drawn, 5);

    /* the same by hand: rows and labels move together */
    int order[6] = { 0, 1, 2, 3, 4, 5 };
    s.drawn = 0;
    for (int i = 5; i > 0; i--) {
        int j = (int)rill_rng_below(&s, (uint64_t)i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    double x[12];
    int32_t y[6];
    for (int i = 0; i < 6; i++) {
        x[2 * i] = x[2 * i + 1] = order[i];
        y[i] = order[i] % 3;
    }
    assert_rows(a, 6, 2, x, y);
    assert_rows(b, 6, 2, x, y);
}
END_TEST

static void assert_same_rows(const rill_dataset *a, const rill_dataset *b)
{
    int64_t n = rill_dataset_len(a);
    rill_tensor *x[2], *y[2];
    ck_assert_int_eq(n, rill_dataset_len(b));
    ck_assert(rill_dataset_batch(a, tape, 0, n, &x[0], &y[0]));
    ck_assert(rill_dataset_batch(b, tape, 0, n, &x[1], &y[1]));
    for (int64_t i = 0; i < n; i++) {
        ck_assert(rill_at(x[0], 2 * i) == rill_at(x[1], 2 * i));
        ck_assert(rill_at(x[0], 2 * i + 1) == rill_at(x[1], 2 * i + 1));
        ck_assert_int_eq(rill_i32(y[0])[i], rill_i32(y[1])[i]);
    }
}

/* Shuffled again and again or only now: the generator alone decides; and a
 * split makes its order the original one, of both parts. */
START_TEST(shuffles_forget_those_before)
{
    rill_dataset *a = counted(50, RILL_F32), *b = counted(50, RILL_F32);
    rill_rng r = { .seed = 5 };
    for (int i = 0; i < 3; i++)
        ck_assert(rill_dataset_shuffle(a, &r));
    rill_rng s = r;
    ck_assert(rill_dataset_shuffle(a, &r));
    ck_assert(rill_dataset_shuffle(b, &s));
    ck_assert_uint_eq(r.drawn, s.drawn);
    assert_same_rows(a, b);

    rill_dataset *c = rill_dataset_split(a, 0.4);
    rill_dataset *e = rill_dataset_split(b, 0.4);
    rill_dataset *parts[][2] = { { a, b }, { c, e } };
    for (int k = 0; k < 2; k++) {
        assert_same_rows(parts[k][0], parts[k][1]);
        ck_assert(rill_dataset_shuffle(parts[k][0], &r));
        ck_assert(rill_dataset_shuffle(parts[k][0], &r));
        s.drawn = r.drawn - (uint64_t)rill_dataset_len(parts[k][0]) + 1;
        ck_assert(rill_dataset_shuffle(parts[k][1], &s));
        assert_same_rows(parts[k][0], parts[k][1]);
        rill_dataset_free(parts[k][0]);
        rill_dataset_free(parts[k][1]);
    }
}
END_TEST

START_TEST(shuffles_are_fair)
{
    /* where the last of 3 rows comes to stand: a third each, 5 sigma = 129 */
    rill_rng r = { .seed = 3 };
    int at[3] = { 0 };
    rill_dataset *d = counted(3, RILL_F32);
    for (int i = 0; i < 3000; i++) {
        rill_tensor *x, *y;
        ck_assert(rill_dataset_shuffle(d, &r));
        ck_assert(rill_dataset_batch(d, tape, 0, 3, &x, &y));
        for (int row = 0; row < 3; row++)
            at[row] += rill_at(x, 2 * row) == 2;
        rill_tape_reset(tape);
    }
    for (int row = 0; row < 3; row++)
        ck_assert_int_lt(abs(at[row] - 1000), 129);
    rill_dataset_free(d);
}
END_TEST

START_TEST(wide_rows_move_whole)
{
    enum { WIDE = 130 };
    double x[2 * WIDE];
    for (int i = 0; i < 2 * WIDE; i++)
        x[i] = i;
    rill_dataset *d = rill_dataset_from(x, (int32_t[]){ 0, 1 }, 2, WIDE, 2,
                                        RILL_F64);
    rill_rng r = { .seed = 0 };
    rill_tensor *rows, *y;
    do {
        rill_tape_reset(tape);
        ck_assert(rill_dataset_shuffle(d, &r));
        ck_assert(rill_dataset_batch(d, tape, 0, 2, &rows, &y));
    } while (rill_at(y, 0) == 0);
    for (int i = 0; i < 2 * WIDE; i++)
        ck_assert_int_eq((int)rill_at(rows, (i + WIDE) % (2 * WIDE)), i);
    rill_dataset_free(d);
}
END_TEST

START_TEST(split)
{
    rill_dataset *d = read_text("u,v,k\n1,2,a\n3,4,b\n5,6,b\n7,8,a\n9,0,b\n",
                                &header);
    rill_dataset *part = rill_dataset_split(d, 0.5); /* 2.5 rows: 3 */
    rill_dataset *rest = rill_dataset_split(part, 1);
    ck_assert_int_eq(rill_dataset_len(part), 0);
    rill_dataset_free(part);
    assert_rows(d, 2, 2, (double[]){ 1, 2, 3, 4 }, (int32_t[]){ 0, 1 });
    assert_classes(rest, 2, (const char *[]){ "a", "b" });
    ck_assert_pstr_eq(rill_dataset_feature_name(rest, 1), "v");
    assert_rows(rest, 3, 2, (double[]){ 5, 6, 7, 8, 9, 0 },
                (int32_t[]){ 1, 0, 1 });

    d = counted(5, RILL_F32);
    part = rill_dataset_split(d, 0);
    ck_assert_int_eq(rill_dataset_len(part), 0);
    ck_assert_int_eq(rill_dataset_classes(part), 3);
    rill_dataset_free(part);
    assert_failed(rill_dataset_split(d, 1.5),
                  "dataset_split: fraction 1.5 is not in [0, 1]");
    assert_failed(rill_dataset_split(d, -0.1),
                  "dataset_split: fraction -0.1 is not in [0, 1]");
    assert_failed(rill_dataset_split(d, NAN),
                  "dataset_split: fraction nan is not in [0, 1]");
    ck_assert_int_eq(rill_dataset_len(d), 5);
    rill_dataset_free(d);
}
END_TEST

START_TEST(batches)
{
    rill_dataset *d = counted(7, RILL_F32);
    ck_assert_int_eq(rill_dataset_batches(d, 3), 3);
    ck_assert_int_eq(rill_dataset_batches(d, 7), 1);
    ck_assert_int_eq(rill_dataset_batches(d, INT64_MAX), 1);
    ck_assert_int_eq(rill_dataset_batches(d, 0), 0);
    rill_tensor *x, *y;
    ck_assert(rill_dataset_batch(d, tape, 1, 3, &x, &y));
    ck_assert_int_eq(rill_dtype_of(x), RILL_F32);
    assert_tensor(x, RILL_SHAPE(3, 2), (double[]){ 3, 3, 4, 4, 5, 5 }, 0);
    assert_tensor(y, RILL_SHAPE(3), (double[]){ 0, 1, 2 }, 0);
    ck_assert(rill_dataset_batch(d, tape, 2, 3, &x, &y));
    assert_tensor(x, RILL_SHAPE(1, 2), (double[]){ 6, 6 }, 0);
    assert_tensor(y, RILL_SHAPE(1), (double[]){ 0 }, 0);

    ASSERT_REFUSED(rill_dataset_batch(d, tape, 3, 3, &x, &y),
                   "dataset_batch: batch 3 of 3 rows is not in [0, 3)");
    ck_assert(!x && !y);
    ASSERT_REFUSED(rill_dataset_batch(d, tape, -1, 3, &x, &y),
                   "dataset_batch: batch -1 of 3 rows is not in [0, 3)");
    ASSERT_REFUSED(rill_dataset_batch(d, tape, 0, 0, &x, &y),
                   "dataset_batch: batch 0 of 0 rows is not in [0, 0)");
    ASSERT_REFUSED(rill_dataset_batch(d, tape, 0, 1, NULL, &y),
                   "dataset_batch: an argument is NULL");
    ASSERT_REFUSED(rill_dataset_batch(d, tape, 0, 1, &x, NULL),
                   "dataset_batch: an argument is NULL");
    ASSERT_REFUSED(rill_dataset_batch(NULL, tape, 0, 1, &x, &y),
                   "the data set is NULL");
    ck_assert(!rill_dataset_shuffle(d, NULL));
    ASSERT_REFUSED(rill_dataset_batch(d, tape, 0, 1, &x, &y),
                   "dataset_shuffle: an argument is NULL");
    rill_dataset_clear_error(d);
    ck_assert_int_eq(rill_dataset_len(d), 7);
    rill_dataset_free(d);
}
END_TEST

/* ---- statistics --------------------------------------------------------- */

START_TEST(standardised)
{
    /* 0.1 is no sum of its own thirds: a naive mean gives it a std */
    rill_dataset *d = read_text("1,0.1,a\n2,0.1,a\n6,0.1,a\n", NULL);
    double mean[2], std[2];
    ck_assert(rill_dataset_statistics(d, mean, std));
    ASSERT_NEAR(mean[0], 3, 1e-15);
    ASSERT_NEAR(std[0], sqrt(14 / 3.0), 1e-15);
    ck_assert(mean[1] == 0.1 && std[1] == 0);
    ck_assert(rill_dataset_standardise(d, mean, std));
    double s = sqrt(14 / 3.0);
    rill_tensor *x, *y;
    ck_assert(rill_dataset_batch(d, tape, 0, 3, &x, &y));
    assert_tensor(x, RILL_SHAPE(3, 2),
                  (double[]){ -2 / s, 0, -1 / s, 0, 3 / s, 0 }, 1e-15);
    ck_assert(rill_dataset_statistics(d, mean, std));
    ASSERT_NEAR(mean[0], 0, 1e-15);
    ASSERT_NEAR(std[0], 1, 1e-15);
    rill_dataset_free(d);

    d = counted(2, RILL_F32);
    ck_assert(rill_dataset_standardise(d, (double[]){ 1, 2 },
                                       (double[]){ 4, 0 }));
    assert_rows(d, 2, 2, (double[]){ -.25, -2, 0, -1 }, (int32_t[]){ 0, 1 });
}
END_TEST

/* Fails unless the call failed with this sentence on the set; clears it. */
#define ASSERT_SET_REFUSED(d, result, sentence)              \
    do {                                                     \
        ck_assert(!(result));                                \
        ck_assert_pstr_eq(rill_dataset_error(d), (sentence)); \
        rill_dataset_clear_error(d);                         \
    } while (0)

START_TEST(statistics_refused)
{
    rill_dataset *d = counted(3, RILL_F64);
    double mean[2] = { 0, 0 }, std[2] = { 1, 1 };
    ASSERT_SET_REFUSED(d, rill_dataset_statistics(d, NULL, std),
                       "dataset_statistics: an argument is NULL");
    ASSERT_SET_REFUSED(d, rill_dataset_statistics(d, mean, NULL),
                       "dataset_statistics: an argument is NULL");
    ASSERT_SET_REFUSED(d, rill_dataset_standardise(d, NULL, std),
                       "dataset_standardise: an argument is NULL");
    ASSERT_SET_REFUSED(d, rill_dataset_standardise(d, mean, NULL),
                       "dataset_standardise: an argument is NULL");
    ASSERT_SET_REFUSED(d, rill_dataset_shuffle(d, NULL),
                       "dataset_shuffle: an argument is NULL");
    rill_dataset *all = rill_dataset_split(d, 1);
    ck_assert(rill_dataset_statistics(d, mean, std));
    ck_assert(isnan(mean[1]) && isnan(std[1])); /* of no rows */
    rill_dataset_free(d);
    assert_rows(all, 3, 2, (double[]){ 0, 0, 1, 1, 2, 2 },
                (int32_t[]){ 0, 1, 2 });

    /* finite, but standardised by an infinite std all of it were 0 */
    d = read_text("wide,high,k\n1,1e300,a\n2,-1e300,a\n", &header);
    ASSERT_SET_REFUSED(d, rill_dataset_statistics(d, mean, std),
                       "dataset_statistics: the squares of feature 1 \"high\" "
                       "are not finite");
    rill_dataset_free(d);
    d = read_text("1.7e308,a\n-1.7e308,a\n", NULL);
    ASSERT_SET_REFUSED(d, rill_dataset_statistics(d, mean, std),
                       "dataset_statistics: the squares of feature 0 \"\" are "
                       "not finite");
    rill_dataset_free(d);
    d = read_text("1e300,a\n1e300,a\n", NULL);
    ck_assert(rill_dataset_statistics(d, mean, std));
    ck_assert(mean[0] == 1e300 && std[0] == 0);
    rill_dataset_free(d);
}
END_TEST

int main(void)
{
    char folder[] = "/tmp/rill_test_data_XXXXXX";
    if (!mkdtemp(folder) || chdir(folder))
        return EXIT_FAILURE;
    int status = HARNESS_RUN(
        "data", decimals, ways_to_write_the_same_rows, quotes, separators,
        more_than_a_buffer, gzipped, any_locale, names, label_columns,
        without_a_label, classes_that_are_numbers, classes_that_are_words,
        classes_of_another_set, columns_of_another_set, bad_cells, guesses,
        other_separators, bad_lines, bad_files, bad_label_columns,
        from_memory, from_refused, no_set, shuffled,
        shuffles_forget_those_before, shuffles_are_fair,
        wide_rows_move_whole, split, batches, standardised,
        statistics_refused);
    remove(PATH);
    if (chdir("/") == 0)
        rmdir(folder);
    return status;
}
