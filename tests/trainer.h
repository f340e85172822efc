/* trainer.h: what the tests of the examples that train share: the program
 * EXAMPLE is run in `folder`, both of which are defined before, and what it
 * printed is read. The build folder is in $RILL_BUILD, or else build. */
#ifndef RILL_TESTS_TRAINER_H
#define RILL_TESTS_TRAINER_H

#include "harness.h"

#include <sys/wait.h>

static char out[1 << 17], err[1 << 14]; /* of the last run */

static inline void read_file(const char *name, char *text, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    text[fread(text, 1, size - 1, f)] = '\0';
    fclose(f);
}

/* Runs the example in the folder; returns its exit status and leaves its
 * output in out and err, or on the terminal of this name. */
static inline int run_on(const char *terminal, const char *arguments)
{
    char command[1024], program[4096];
    const char *build = getenv("RILL_BUILD");
    snprintf(program, sizeof program, "%s/examples/" EXAMPLE,
             build ? build : "build");
    char *whole = realpath(program, NULL);
    ck_assert_msg(whole != NULL, "no %s", program);
    snprintf(command, sizeof command, "cd '%s' && '%s' %s >%s 2>err", folder,
             whole, arguments, terminal ? terminal : "out");
    free(whole);
    int status = system(command);
    ck_assert_msg(WIFEXITED(status), "%s", command);
    return WEXITSTATUS(status);
}

static inline int run(const char *arguments)
{
    int status = run_on(NULL, arguments);
    read_file("out", out, sizeof out);
    read_file("err", err, sizeof err);
    return status;
}

/* What the last line says, which must be "test accuracy 0.9912". */
static inline double accuracy(void)
{
    char *line = out;
    for (char *end; (end = strchr(line, '\n')) && end[1]; line = end + 1)
        ;
    double x;
    int read = 0;
    ck_assert_msg(sscanf(line, "test accuracy %lf%n", &x, &read) == 1 &&
                      strcmp(line + read, "\n") == 0 &&
                      strlen(line) == strlen("test accuracy 0.9912\n"),
                  "the last line is \"%s\"; %s", line, err);
    return x;
}

#endif
