/* test_docs.c: what the README and the pages in docs/ show is what programs
 * print. A block of text whose first line is "$ build/..." is a command; the
 * lines below it stand in its output in this order, "..." being lines left
 * out. Words must be the same, and numbers to a unit of their last digit,
 * since another instruction set may round otherwise; spaces may differ. Code
 * that is shown compiles. */
#include "printed.h"

#include <dirent.h>
#include <unistd.h>

static char page[1 << 17];

static void read_page(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "docs/%s", name);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "no %s", path);
    size_t n = fread(page, 1, sizeof page - 1, f);
    ck_assert_uint_lt(n, sizeof page - 1);
    page[n] = '\0';
    fclose(f);
}

/* A number such as -0.0123 or 4.9e-04 where text stands; its length, or 0.
 * unit: what one more in its last digit is; 0 where it is a whole number. */
static size_t number_at(const char *text, double *value, double *unit)
{
    size_t n = *text == '-', decimals = 0;
    size_t digits = strspn(text + n, "0123456789");
    if (digits == 0)
        return 0;
    n += digits;
    if (text[n] == '.' && isdigit((unsigned char)text[n + 1]))
        decimals = strspn(text + n + 1, "0123456789");
    n += decimals ? decimals + 1 : 0;
    int power = 0, read = 0;
    bool scaled = sscanf(text + n, "e%d%n", &power, &read) == 1;
    *value = strtod(text, NULL);
    *unit = scaled || decimals ? pow(10, power - (double)decimals) : 0;
    return n + (size_t)read;
}

/* Where what was printed ends if it begins with the n characters of text;
 * else NULL. */
static const char *match(const char *printed, const char *text, size_t n)
{
    for (const char *end = text + n; text < end;) {
        double a, b, unit, other;
        size_t long_a = number_at(text, &a, &unit);
        size_t long_b = number_at(printed, &b, &other);
        if (*text == ' ' || *printed == ' ') {
            if (*text != *printed && *text != '\n' && *printed != '\n')
                return NULL;
            text += strspn(text, " ");
            printed += strspn(printed, " ");
        } else if (long_a > 0) {
            if (long_b == 0 || fabs(a - b) > 1.01 * unit)
                return NULL;
            text += long_a;
            printed += long_b;
        } else if (*text++ != *printed++) {
            return NULL;
        }
    }
    return printed;
}

/* Fails unless the lines from text to end are in the output, after `from`;
 * returns what follows them there. */
static const char *find(const char *from, const char *text, const char *end,
                        const char *command)
{
    for (const char *at = from; at;) {
        const char *behind = match(at, text, (size_t)(end - text));
        if (behind)
            return behind;
        at = strchr(at, '\n');
        at += at != NULL;
    }
    ck_abort_msg("%s does not print\n%.*s\nbut\n%.2500s", command,
                 (int)(end - text), text, output);
    return NULL;
}

/* Runs the command of one block and looks its lines up. */
static void check_block(const char *block, const char *end)
{
    char command[256];
    size_t length = strcspn(block, "\n");
    ck_assert_uint_lt(length, sizeof command);
    memcpy(command, block, length);
    command[length] = '\0';
    ck_assert_msg(run(command) == 0, "%s: %s", command, output);
    const char *from = output;
    for (const char *at = block + length + 1; at < end;) {
        const char *gap = strstr(at, "...\n");
        const char *stop = gap && gap < end ? gap : end;
        if (stop > at)
            from = find(from, at, stop, command);
        at = stop + (stop == gap ? strlen("...\n") : 0);
    }
}

/* Checks every block of a page that is a command; how many there are. */
static int check_page(const char *name)
{
    static const char fence[] = "```text\n", prompt[] = "$ build/examples/";
    int blocks = 0;
    read_page(name);
    for (const char *at = page; (at = strstr(at, fence));) {
        at += strlen(fence);
        const char *end = strstr(at, "```\n");
        ck_assert_ptr_nonnull(end);
        if (strncmp(at, prompt, strlen(prompt)) == 0) {
            check_block(at + strlen(prompt), end);
            blocks++;
        }
        at = end + strlen("```\n");
    }
    return blocks;
}

START_TEST(what_the_pages_show_is_printed)
{
    DIR *docs = opendir("docs");
    ck_assert_ptr_nonnull(docs);
    int blocks = check_page("../README.md");
    for (struct dirent *e; (e = readdir(docs));)
        if (strstr(e->d_name, ".md"))
            blocks += check_page(e->d_name);
    closedir(docs);
    ck_assert_int_gt(blocks, 15);
}
END_TEST

/* What stands on the page from `at` to the next end of a block. */
static int block_length(const char *at)
{
    const char *end = strstr(at, "```");
    ck_assert_ptr_nonnull(end);
    return (int)(end - at);
}

static const char *block_of_c(void)
{
    const char *at = strstr(page, "```c\n");
    ck_assert_ptr_nonnull(at);
    return at + strlen("```c\n");
}

static void assert_compiles(const char *path)
{
    char line[512];
    snprintf(line, sizeof line, "${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic "
             "-Wno-unused -Wno-unknown-pragmas -Werror -fsyntax-only -Isrc "
             "-Isrc/ops -x c '%s' 2>&1", path);
    FILE *f = popen(line, "r");
    ck_assert_ptr_nonnull(f);
    output[fread(output, 1, sizeof output - 1, f)] = '\0';
    ck_assert_msg(pclose(f) == 0, "%.4000s", output);
}

/* The code in the rill column of from-pytorch.md, after the declarations that
 * the page opens with, compiles without a warning. */
START_TEST(the_rill_column_compiles)
{
    char path[] = "/tmp/rill-docs-XXXXXX";
    int fd = mkstemp(path), snippets = 0;
    FILE *f = fdopen(fd, "w");
    ck_assert_ptr_nonnull(f);
    read_page("from-pytorch.md");
    const char *declared = block_of_c(), *row = declared;
    fprintf(f, "#include <rill.h>\n%.*svoid page(void);\nvoid page(void)\n{\n",
            block_length(declared), declared);
    for (; (row = strstr(row, "\n| ")); row += 2) {
        const char *stop = strchr(row + 1, '\n');
        const char *code = strstr(row + 1, " | ");
        while (code && stop && (code = strchr(code, '`')) && code++ < stop) {
            int length = (int)strcspn(code, "`");
            fprintf(f, "    { %.*s; }\n", length, code);
            code += length + 1;
            snippets++;
        }
    }
    fprintf(f, "}\n");
    ck_assert_int_eq(fclose(f), 0);
    assert_compiles(path);
    unlink(path);
    ck_assert_int_gt(snippets, 130);
}
END_TEST

/* So does the op that CONTRIBUTING.md adds. */
START_TEST(the_op_to_add_compiles)
{
    char path[] = "/tmp/rill-docs-XXXXXX";
    FILE *f = fdopen(mkstemp(path), "w");
    ck_assert_ptr_nonnull(f);
    read_page("../CONTRIBUTING.md");
    fwrite(block_of_c(), 1, (size_t)block_length(block_of_c()), f);
    ck_assert_int_eq(fclose(f), 0);
    assert_compiles(path);
    unlink(path);
}
END_TEST

/* What 09_reading_gradients does that no page shows as text. */
START_TEST(the_graph_and_the_usage)
{
    ck_assert_int_eq(run("09_reading_gradients graph"), 0);
    ck_assert_ptr_nonnull(strstr(output, "digraph"));
    ck_assert_ptr_nonnull(strstr(output, "cross_entropy"));
    ck_assert_int_eq(run("09_reading_gradients"), 2);
    ck_assert_int_eq(run("09_reading_gradients picture"), 2);
    ck_assert_ptr_nonnull(strstr(output, "listing|graph|explain|finite"));
}
END_TEST

/* The comparison itself: it must be able to fail. */
START_TEST(numbers_are_compared_to_the_last_digit)
{
    static const struct {
        const char *text, *printed;
        bool same;
    } cases[] = {
        { "loss 0.1235", "loss  0.12349", true },
        { "loss 0.1235", "loss 0.1237", false },
        { "a 1.5e-07 b", "a 1.6e-07 b", true },
        { "a 1.5e-07", "a 1.5e-06", false },
        { "a 3", "a -3", false },
        { "a 3", "a 4", false },
        { "a e 3.0", "a e 3.1", true },
        { "a nan", "a 0.1", false },
        { "one two", "one too", false },
        { "two", "t wo", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(!match(cases[i].printed, cases[i].text,
                             strlen(cases[i].text)) == !cases[i].same,
                      "%s", cases[i].text);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("docs", numbers_are_compared_to_the_last_digit,
                       the_rill_column_compiles, the_op_to_add_compiles,
                       the_graph_and_the_usage,
                       what_the_pages_show_is_printed);
}
