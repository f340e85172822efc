/* test_report: what of a log comes into the page, and what is refused. How
 * the page looks and moves, a browser tests (tests/browser). */
#include "harness.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/rill_test_report_XXXXXX";
static char page[64], one[64], two[64]; /* paths in it */
static char error[512];

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

/* All of a file; the caller frees it. */
static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "cannot open %s", path);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    size_t n = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(n + 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(fread(text, 1, n, f), n);
    text[n] = '\0';
    fclose(f);
    return text;
}

/* The JSON text in the page; the caller frees what is returned, *data is
 * within. */
static char *page_data(char **data)
{
    static const char open[] =
        "<script type=\"application/json\" id=\"data\">";
    char *text = read_file(page);
    *data = strstr(text, open);
    ck_assert_ptr_nonnull(*data);
    *data += strlen(open);
    char *end = strstr(*data, "</script>");
    ck_assert_ptr_nonnull(end);
    *end = '\0';
    return text;
}

/* The runs in the page, as its script will see them. */
static json_t *page_runs(void)
{
    char *data, *text = page_data(&data);
    json_error_t why;
    json_t *runs = json_loads(data, JSON_ALLOW_NUL, &why);
    ck_assert_msg(runs != NULL, "%s", why.text);
    free(text);
    return runs;
}

#define REPORT(...)                                                     \
    rill_report(page, (const char *const[]){ __VA_ARGS__ },             \
                sizeof((const char *const[]){ __VA_ARGS__ }) /          \
                    sizeof(const char *), error, sizeof error)
#define ASSERT_REPORTED(...) ck_assert_msg(REPORT(__VA_ARGS__), "%s", error)

/* Fails unless the report is refused with this sentence, printf's. */
#define ASSERT_UNWRITTEN(report, ...)                \
    do {                                             \
        char want[512];                              \
        ck_assert(!(report));                        \
        snprintf(want, sizeof want, __VA_ARGS__);    \
        ck_assert_str_eq(error, want);               \
    } while (0)

#define RUN                                                          \
    "{\"type\":\"run\",\"rill\":1,\"title\":\"a\",\"parameters\":[]}\n"
#define STEP                                                              \
    "{\"type\":\"step\",\"step\":0,\"loss\":1.6094379,\"lr\":0.01,"       \
    "\"grad\":[0.1,null],\"update\":[1.25e-07,null],\"histogram\":"       \
    "[{\"zero\":3,\"nonfinite\":0,\"low\":-12,\"counts\":[1,0,5]},null]}\n"

/* Fails unless a run of the page equals the lines of this text. */
static void assert_run(const json_t *run, const char *text)
{
    size_t i = 0;
    for (const char *end; (end = strchr(text, '\n')); text = end + 1, i++) {
        json_t *line = json_loadb(text, (size_t)(end - text), JSON_ALLOW_NUL,
                                  NULL);
        ck_assert_ptr_nonnull(line);
        ck_assert_msg(json_equal(json_array_get(run, i), line),
                      "line %d is not as in the log", (int)i + 1);
        json_decref(line);
    }
    ck_assert_uint_eq(json_array_size(run), i);
}

START_TEST(lines_as_in_the_logs)
{
    static const char second[] = RUN "{\"type\":\"value\",\"step\":3,\"name\":"
        "\"accuracy\",\"value\":0.93}\n{\"type\":\"who knows\"}\n[1]\n";
    write_file(one, RUN STEP);
    write_file(two, second);
    ASSERT_REPORTED(one, two);
    json_t *runs = page_runs();
    ck_assert_uint_eq(json_array_size(runs), 2);
    assert_run(json_array_get(runs, 0), RUN STEP);
    assert_run(json_array_get(runs, 1), second);
    json_decref(runs);
}
END_TEST

/* A page is whole, and asks nothing of any other place. */
START_TEST(self_contained)
{
    write_file(one, RUN STEP);
    ASSERT_REPORTED(one);
    char *text = read_file(page);
    ck_assert(strncmp(text, "<!doctype html>\n", 16) == 0);
    ck_assert_str_eq(strchr(text, '\0') - 8, "</html>\n");
    static const char *const asks[] = { "src=", "@import", "url(", "fetch(",
                                        "import(", "XMLHttpRequest",
                                        "innerHTML" };
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++)
        ck_assert_msg(!strstr(text, asks[i]), "the page has %s", asks[i]);
    free(text);
}
END_TEST

START_TEST(unfinished_line)
{
    write_file(one, RUN STEP "{\"type\":\"step\",\"ste");
    ASSERT_REPORTED(one);
    json_t *runs = page_runs();
    assert_run(json_array_get(runs, 0), RUN STEP);
    json_decref(runs);
}
END_TEST

/* Nothing of a name can end the element, or a line of old JavaScript. */
START_TEST(hostile_names)
{
    static const char log[] =
        "{\"type\":\"run\",\"rill\":1,\"title\":\"</script><script>alert(1)"
        "</script><!-- & 'x' \\\"\\\\</SCRIPT >\"}\n"
        "{\"type\":\"event\",\"step\":0,\"text\":\"\xe2\x80\xa8\xe2\x80\xa9"
        "\xe2\x80\xaa \\u0000\xc3\xa9\xf0\x9f\x8c\x8a\\u2028\"}\n";
    write_file(one, log);
    ASSERT_REPORTED(one);
    char *data, *whole = page_data(&data);
    ck_assert_uint_eq(strcspn(data, "<>&"), strlen(data));
    ck_assert_ptr_null(strstr(data, "\xe2\x80\xa8"));
    ck_assert_ptr_null(strstr(data, "\xe2\x80\xa9"));
    ck_assert_ptr_nonnull(strstr(data, "\\u2028\\u2029\xe2\x80\xaa "));
    free(whole);
    json_t *runs = page_runs();
    assert_run(json_array_get(runs, 0), log);
    json_decref(runs);
}
END_TEST

/* ---- thinning ----------------------------------------------------------- */

enum { MANY = 10007, SPIKE = 5003, NAN_AT = 7001, UNUSED = 9000 };

/* n steps of a gradient of norm 1: one is larger, one not finite, and one did
 * not come, which is no spike. */
static void write_many(const char *path, int n)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(RUN, f);
    for (int i = 0; i < n; i++) {
        fprintf(f, "{\"type\":\"step\",\"step\":%d,\"loss\":1,\"grad\":[%s],"
                "\"histogram\":[%s]}\n", i,
                i == SPIKE ? "1.5" : i == NAN_AT || i == UNUSED ? "null" : "1",
                i == UNUSED ? "null" : "{}");
        if (i % 20 == 0)
            fprintf(f, "{\"type\":\"detail\",\"step\":%d}\n{\"type\":"
                    "\"value\",\"step\":%d}\n", i, i);
    }
    ck_assert_int_eq(fclose(f), 0);
}

/* How many lines of a type there are, which must be in order; whether those
 * of these steps are among them. */
static int count(const json_t *run, const char *type, const int *steps,
                 bool *there)
{
    size_t i;
    json_t *line;
    int n = 0;
    json_int_t last = -1;
    json_array_foreach(run, i, line) {
        if (strcmp(json_string_value(json_object_get(line, "type")), type))
            continue;
        json_int_t step = json_integer_value(json_object_get(line, "step"));
        ck_assert_int_gt(step, last);
        last = step;
        n++;
        for (int k = 0; steps[k] >= 0; k++)
            there[k] = there[k] || step == steps[k];
    }
    return n;
}

START_TEST(thinning)
{
    static const int wanted[] = { 0, SPIKE, NAN_AT, MANY - 1, UNUSED, -1 };
    bool there[5] = { false };
    write_many(one, MANY);
    ASSERT_REPORTED(one);
    json_t *runs = page_runs(), *run = json_array_get(runs, 0);
    ck_assert_int_eq(count(run, "step", wanted, there), 2000);
    ck_assert(there[0] && there[1] && there[2] && there[3] && !there[4]);
    there[0] = false;
    ck_assert_int_eq(count(run, "detail", (int[]){ 0, 10000, -1 }, there),
                     200);
    ck_assert(there[0] && there[1]);
    ck_assert_int_eq(count(run, "value", (int[]){ -1 }, there), MANY / 20 + 1);
    json_decref(runs);
}
END_TEST

START_TEST(no_thinning_below)
{
    write_many(one, 2000);
    write_many(two, 2001);
    ASSERT_REPORTED(one, two);
    json_t *runs = page_runs();
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(count(json_array_get(runs, i), "step",
                               (int[]){ -1 }, NULL), 2000);
    json_decref(runs);
}
END_TEST

/* ---- what is refused ---------------------------------------------------- */

static void assert_page_before(void)
{
    char *text = read_file(page);
    ck_assert_str_eq(text, "the page before");
    free(text);
}

START_TEST(arguments_refused)
{
    remove(page);
    write_file(one, RUN);
    const char *const logs[] = { one };
    ASSERT_UNWRITTEN(rill_report(NULL, logs, 1, error, sizeof error),
                     "report: path is NULL");
    ASSERT_UNWRITTEN(rill_report(page, NULL, 1, error, sizeof error),
                     "report: no logs were given");
    ASSERT_UNWRITTEN(rill_report(page, logs, 0, error, sizeof error),
                     "report: no logs were given");
    ASSERT_UNWRITTEN(REPORT(one, NULL), "report: log 1 is NULL");
    ASSERT_UNWRITTEN(rill_report(page, logs, 0, error, 7), "report");
    ck_assert(!rill_report(page, logs, 0, NULL, 0));
    ck_assert_int_ne(access(page, F_OK), 0);
}
END_TEST

START_TEST(logs_refused)
{
    remove(one);
    write_file(page, "the page before");
    ASSERT_UNWRITTEN(REPORT(one), "report: cannot read %s: No such file or "
                     "directory", one);
    ASSERT_UNWRITTEN(REPORT(folder), "report: cannot read %s: Is a directory",
                     folder);
    write_file(one, RUN);
    write_file(two, "{\"type\":\"run\"");
    ASSERT_UNWRITTEN(REPORT(one, two), "report: cannot read %s: it holds no "
                     "whole line", two);
    write_file(two, RUN STEP "nonsense\n" STEP);
    ASSERT_UNWRITTEN(REPORT(one, two), "report: %s: line 3 is not JSON: "
                     "'[' or '{' expected near 'nonsense'", two);
    static const char *const no_run[] = { STEP, "[]\n", "{}\n",
        "{\"type\":\"run\",\"rill\":2}\n" };
    for (size_t i = 0; i < sizeof no_run / sizeof *no_run; i++) {
        write_file(two, no_run[i]);
        ASSERT_UNWRITTEN(REPORT(two), "report: %s: line 1 is not the "
                         "beginning of a run ({\"type\":\"run\",\"rill\":1, "
                         "...})", two);
    }
    assert_page_before();
}
END_TEST

START_TEST(paths_refused)
{
    write_file(one, RUN);
    const char *const logs[] = { one };
    char nowhere[80];
    snprintf(nowhere, sizeof nowhere, "%s/no/page.html", folder);
    ASSERT_UNWRITTEN(rill_report(nowhere, logs, 1, error, sizeof error),
                     "report: cannot write %s: No such file or directory",
                     nowhere);
    ASSERT_UNWRITTEN(rill_report(folder, logs, 1, error, sizeof error),
                     "report: cannot write %s: it is not a plain file",
                     folder);
    ASSERT_UNWRITTEN(rill_report("/dev/full", logs, 1, error, sizeof error),
                     "report: cannot write /dev/full: it is not a plain file");
}
END_TEST

/* A limit on the size of files stands for a disk that is full: early, in the
 * page's own text, and late, in the last bytes of the data. */
START_TEST(full_disk)
{
    write_many(one, 3000);
    ASSERT_REPORTED(one);
    struct stat s;
    ck_assert_int_eq(stat(page, &s), 0);
    write_file(page, "the page before");
    struct rlimit before, limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    rlim_t sizes[] = { 1000, (rlim_t)s.st_size / 2, (rlim_t)s.st_size - 1 };
    for (int i = 0; i < 3; i++) {
        limit = (struct rlimit){ sizes[i], before.rlim_max };
        setrlimit(RLIMIT_FSIZE, &limit);
        bool written = REPORT(one);
        setrlimit(RLIMIT_FSIZE, &before);
        ASSERT_UNWRITTEN(written, "report: cannot write %s: File too large",
                         page);
    }
    assert_page_before();
}
END_TEST

int main(void)
{
    if (!mkdtemp(folder))
        return EXIT_FAILURE;
    snprintf(page, sizeof page, "%s/page.html", folder);
    snprintf(one, sizeof one, "%s/one.jsonl", folder);
    snprintf(two, sizeof two, "%s/two.jsonl", folder);
    int status = HARNESS_RUN(
        "report", lines_as_in_the_logs, self_contained, unfinished_line,
        hostile_names, thinning, no_thinning_below, arguments_refused,
        logs_refused, paths_refused, full_disk);
    remove(page);
    remove(one);
    remove(two);
    if (rmdir(folder) == 0)
        return status;
    printf("a report left something in %s\n", folder);
    return EXIT_FAILURE;
}
