/* test_readme.c: what the README promises. Its program compiles and learns,
 * in the tree and outside of it through `make install` and pkg-config, and
 * its table has every op. The build folder is in $RILL_BUILD, or else build;
 * the working directory is the top of the tree. */
#include "harness.h"

/* A sanitised library wants a sanitised program. */
#ifdef __has_feature
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined __SANITIZE_ADDRESS__ || HAS_FEATURE(address_sanitizer)
#define SANITIZE "-fsanitize=address,undefined"
#else
#define SANITIZE ""
#endif

static char folder[32];

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "cannot read %s", path);
    char *text = calloc(1, 1 << 17);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_lt(fread(text, 1, (1 << 17) - 1, f), (1 << 17) - 1);
    fclose(f);
    return text;
}

/* Runs a command in a shell that knows $D, the folder, $B, the build folder,
 * and $CC; fails with what it said unless its status is 0. */
static void shell(const char *command)
{
    char line[2048], log[64];
    const char *build = getenv("RILL_BUILD"), *cc = getenv("CC");
    snprintf(log, sizeof log, "%s/log", folder);
    snprintf(line, sizeof line, "exec >'%s' 2>&1; D='%s' B='%s' CC='%s'; %s",
             log, folder, build ? build : "build", cc ? cc : "cc", command);
    int status = system(line);
    char *said = read_file(log);
    ck_assert_msg(status == 0, "%s\n%s", command, said);
    free(said);
}

/* A folder with the README's first block of C as train.c. */
static void open_folder(void)
{
    strcpy(folder, "/tmp/rill-readme-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    char path[64], *readme = read_file("README.md");
    char *start = strstr(readme, "```c\n");
    ck_assert_ptr_nonnull(start);
    char *end = strstr(start += 5, "```");
    ck_assert_ptr_nonnull(end);
    snprintf(path, sizeof path, "%s/train.c", folder);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fwrite(start, 1, (size_t)(end - start), f);
    fclose(f);
    free(readme);
}

static void close_folder(void)
{
    char line[64];
    snprintf(line, sizeof line, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(line), 0);
}

START_TEST(the_program_learns)
{
    open_folder();
    shell("$CC -std=c11 -Wall -Wextra -Wpedantic -Werror " SANITIZE " -Isrc "
          "\"$D/train.c\" \"$B/librill.a\" "
          "$(pkg-config --libs ${BLAS:-openblas} jansson zlib) -lm "
          "-lpthread -o \"$D/train\" && \"$D/train\" >\"$D/out\"");
    char path[64];
    snprintf(path, sizeof path, "%s/out", folder);
    char *out = read_file(path);
    double first = NAN, last = NAN;
    int lines = 0;
    for (char *at = out; (at = strstr(at, "loss ")); lines++) {
        last = strtod(at += 5, NULL);
        first = lines ? first : last;
    }
    ck_assert_int_eq(lines, 10);
    /* five classes, nothing known: ln 5 */
    ck_assert_msg(fabs(first - log(5)) < 0.5, "the first loss is %g", first);
    ck_assert_msg(last < 0.25, "the last loss is %g", last);
    free(out);
    close_folder();
}
END_TEST

/* The libraries are there: -o keeps make from building them with other
 * flags. */
#define MAKE                                             \
    "env -u MAKEFLAGS make -s BUILD=\"$B\" -o \"$B/librill.a\" " \
    "-o \"$(echo \"$B\"/librill.so.*)\" "
#define INSTALLED "cd \"$D\" && export PKG_CONFIG_PATH=\"$D/usr/lib/pkgconfig\"" \
    " LD_LIBRARY_PATH=\"$D/usr/lib\" && "

/* In one line, against the shared library and against the static one, in C
 * and in C++. */
START_TEST(installed_it_builds_in_one_line)
{
    open_folder();
    shell(MAKE "install PREFIX=\"$D/usr\" DESTDIR=");
    shell(INSTALLED "$CC " SANITIZE " -O2 train.c "
          "$(pkg-config --cflags --libs rill) -o train && ./train && "
          "readelf -d train | grep -q 'librill.so.0.1]'");
    shell(INSTALLED "printf '%s' '#include <rill.h>\n#include <cstring>\n"
          "int main() { const rill_shape s = RILL_SHAPE(2, 3);\n"
          "rill_params *p = rill_params_new(RILL_F64, 1);\n"
          "rill_params_add(p, \"w\", s); rill_params_print(stdout, p);\n"
          "bool same = rill_params_count(p) == 6 &&\n"
          "    std::strcmp(rill_version(), \"0.1.0\") == 0;\n"
          "rill_params_free(p); return !same; }' >p.cpp; "
          "command -v g++ >p.out || exit 0; case $CC in *clang*) exit 0; esac; "
          "g++ " SANITIZE " -std=c++17 -Wall -Wextra -Wpedantic -Werror p.cpp "
          "$(pkg-config --cflags --libs rill) -o p && ./p");
    shell(INSTALLED "test \"$(pkg-config --modversion rill)\" = 0.1.0");
    shell(INSTALLED "rm usr/lib/librill.so* && $CC " SANITIZE " -O2 train.c "
          "$(pkg-config --cflags --libs --static rill) -o train && ./train");
    shell(MAKE "uninstall PREFIX=\"$D/usr\" DESTDIR=");
    shell("test -z \"$(find \"$D/usr\" -type f -o -type l)\"");
    close_folder();
}
END_TEST

START_TEST(staged_for_a_package)
{
    open_folder();
    shell(MAKE "install PREFIX=/opt/rill DESTDIR=\"$D/stage\"");
    shell("cd \"$D/stage/opt/rill\" && for h in rill tensor/tensor ops/ops "
          "nn/nn inspect/inspect; do test -r include/rill/$h.h || exit 1; done; "
          "test -r lib/librill.a && test -r lib/librill.so && "
          "grep -qx prefix=/opt/rill lib/pkgconfig/rill.pc");
    shell(MAKE "uninstall PREFIX=/opt/rill DESTDIR=\"$D/stage\"");
    shell("test -z \"$(find \"$D/stage\" -type f -o -type l)\"");
    close_folder();
}
END_TEST

START_TEST(the_table_has_every_op)
{
    char *readme = read_file("README.md"), *ops = read_file("src/ops/ops.h");
    char *at = strstr(ops, "differentiable: arithmetic");
    int n = 0;
    ck_assert_ptr_nonnull(at);
    for (; (at = strstr(at, "\nrill_tensor *rill_")); n++) {
        at += strlen("\nrill_tensor *");
        char name[64];
        snprintf(name, sizeof name, "`%.*s`", (int)strcspn(at, "("), at);
        ck_assert_msg(strstr(readme, name) != NULL, "no %s", name);
    }
    ck_assert_int_gt(n, 50);
    free(readme);
    free(ops);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("readme", the_program_learns,
                       installed_it_builds_in_one_line, staged_for_a_package,
                       the_table_has_every_op);
}
