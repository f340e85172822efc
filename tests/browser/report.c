/* report.c: build/tests/browser/report PAGE LOG...: rill_report as a command,
 * for the browser test. */
#include <rill.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    char error[512] = "usage: report PAGE LOG...";
    if (argc > 2 && rill_report(argv[1], (const char *const *)argv + 2,
                                argc - 2, error, sizeof error))
        return 0;
    fprintf(stderr, "%s\n", error);
    return 1;
}
