/* error.c: errors are values. The first sentence stays until it is cleared;
 * rill itself prints nothing and ends nothing. */
#include "core.h"

#include <stdarg.h>
#include <stdlib.h>

/* The first error since the tape was made or cleared, as a sentence; NULL
 * where there is none. The text belongs to the tape. */
const char *rill_error(const rill_tape *t)
{
    if (!t)
        return "the tape is NULL";
    return t->failed ? t->error : NULL;
}

/* The first warning since the tape was made or cleared, or NULL. */
RILL_READER(const char *, rill_warning, rill_tape,
            x->warned ? x->warning : NULL, NULL)

/* Forgets error and warning: ops run again. A reset keeps them. */
void rill_clear_error(rill_tape *t)
{
    if (t)
        t->failed = t->warned = false;
}

/* Puts a sentence on the tape, unless one stands there already, and calls
 * the tape's on_error with it. Always returns NULL, so that an op can say
 * `return rill_fail(...)`. */
void *rill_fail(rill_tape *t, const char *format, ...)
{
    if (!t || t->failed)
        return NULL;
    va_list args;
    va_start(args, format);
    vsnprintf(t->error, sizeof t->error, format, args);
    va_end(args);
    t->failed = true;
    if (t->opts.on_error)
        t->opts.on_error(t->error, t->opts.user);
    return NULL;
}

/* Calls the tape's on_warning with a sentence and keeps the first one. */
void rill_warn(rill_tape *t, const char *format, ...)
{
    if (!t)
        return;
    char text[sizeof t->warning];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!t->warned)
        snprintf(t->warning, sizeof t->warning, "%s", text);
    t->warned = true;
    if (t->opts.on_warning)
        t->opts.on_warning(text, t->opts.user);
}

/* A hook for programs that want to stop at the first error: prints the
 * sentence to standard error and exits with status 1. */
void rill_die(const char *message, void *user)
{
    (void)user;
    fprintf(stderr, "rill: %s\n", message);
    exit(1);
}
