/* printed.h: what the tests of the examples share: a program is run, and the
 * numbers it printed are found by the words before them. The build folder is
 * in $RILL_BUILD, or else build. */
#ifndef RILL_TESTS_PRINTED_H
#define RILL_TESTS_PRINTED_H

#include "harness.h"

#include <ctype.h>
#include <sys/wait.h>

/* What the program printed last. */
static char output[1 << 16];

/* Runs an example; returns its exit status and leaves its output. */
static inline int run(const char *arguments)
{
    char command[512];
    const char *build = getenv("RILL_BUILD");
    snprintf(command, sizeof command, "'%s/examples/'%s 2>&1",
             build ? build : "build", arguments);
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    output[fread(output, 1, sizeof output - 1, f)] = '\0';
    int status = pclose(f);
    ck_assert_msg(WIFEXITED(status), "%s: %s", command, output);
    return WEXITSTATUS(status);
}

/* What follows the first place of the words after `from`. */
static inline const char *after(const char *from, const char *words)
{
    const char *at = strstr(from, words);
    ck_assert_msg(at != NULL, "no \"%s\" in:\n%.4000s", words, from);
    return at + strlen(words);
}

/* Reads the next number, skipping what is none. */
static inline double next(const char **at)
{
    for (const char *c = *at; *c; c++) {
        bool inside = c > output && (isalnum((unsigned char)c[-1]) ||
                                     c[-1] == '_' || c[-1] == '.');
        double v;
        int read = 0;
        if (inside || isspace((unsigned char)*c) ||
            sscanf(c, "%lf%n", &v, &read) != 1)
            continue;
        *at = c + read;
        return v;
    }
    ck_abort_msg("a number is missing");
    return NAN;
}

static inline double number_after(const char *from, const char *words)
{
    const char *at = after(from, words);
    return next(&at);
}

#endif
