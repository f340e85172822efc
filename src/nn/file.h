/* file.h: files that are replaced whole: internal to src/nn and src/inspect.
 *
 * What is written goes beside the old file, under its path, the process's
 * number and ".part", and takes its place when all is on the disk: whoever
 * opens the path sees the old file or the new one. */
#ifndef RILL_FILE_H
#define RILL_FILE_H

#include <stdbool.h>
#include <stdio.h>

#pragma GCC visibility push(hidden)

/* The file beside path, to be written; NULL, and rill_file_why, where that
 * cannot be or something else than a file stands at path. */
FILE *rill_file_begin(const char *path);

/* Closes f and, where it is good and whole, puts it in path's place, else
 * removes it; f may be NULL. False where that was not done. */
bool rill_file_end(FILE *f, const char *path, bool good);

const char *rill_file_why(void); /* the last one of these failed */

#pragma GCC visibility pop

#endif
