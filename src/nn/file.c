/* file.c: files that are replaced whole; see file.h. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is cut off here is too long to be opened, too. */
enum { FILE_NAME = PATH_MAX + 32 };

static void file_beside(char *name, const char *path)
{
    /* not "%s.%ld": so people name the copies that they keep */
    snprintf(name, FILE_NAME, "%s.%ld.part", path, (long)getpid());
}

FILE *rill_file_begin(const char *path)
{
    char beside[FILE_NAME];
    struct stat old;
    if (stat(path, &old) == 0 && !S_ISREG(old.st_mode)) {
        errno = EEXIST; /* a device, say, which renaming would do away with */
        return NULL;
    }
    file_beside(beside, path);
    return fopen(beside, "wb");
}

const char *rill_file_why(void)
{
    return errno == EEXIST ? "it is not a plain file" : strerror(errno);
}

bool rill_file_end(FILE *f, const char *path, bool good)
{
    char name[FILE_NAME];
    if (!f)
        return false;
    file_beside(name, path);
    good = fflush(f) == 0 && !ferror(f) && fsync(fileno(f)) == 0 && good;
    good = fclose(f) == 0 && good && rename(name, path) == 0;
    if (!good) {
        int why = errno;
        unlink(name);
        errno = why;
        return false;
    }
    /* so that the renaming outlasts a crash too, where a folder can do that */
    char *slash = strrchr(name, '/');
    strcpy(slash ? slash + 1 : name, ".");
    int folder = open(name, O_RDONLY);
    if (folder >= 0) {
        fsync(folder);
        close(folder);
    }
    return true;
}
