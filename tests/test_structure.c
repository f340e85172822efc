/* test_structure.c: the house as it is meant to be.
 *
 * The arrows tensor <- ops <- nn <- examples hold, in what is included and in
 * what is linked; nothing in the library lacks the prefix; the public headers
 * compile alone, as C and as C++. Runs in the project's root, with the build
 * in $RILL_BUILD, or else in build. */
#include "harness.h"

#include <dirent.h>
#include <stdio.h>

enum { TEXT = 1024, MANY = 4096 };

/* A growing list of names; their letters are the tape's. */
typedef struct {
    char *name[MANY];
    int n;
} names;

static void add(names *list, const char *name)
{
    ck_assert_int_lt(list->n, MANY);
    char *copy = rill_tape_alloc(tape, strlen(name) + 1);
    ck_assert_ptr_nonnull(copy);
    list->name[list->n++] = strcpy(copy, name);
}

static bool holds(const names *list, const char *name)
{
    for (int i = 0; i < list->n; i++)
        if (strcmp(list->name[i], name) == 0)
            return true;
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool one_of(const char *text, const char *const *list)
{
    while (*list && strcmp(*list, text) != 0)
        list++;
    return *list != NULL;
}

/* The files of a folder that end so. */
static names files(const char *folder, const char *end)
{
    names list = { .n = 0 };
    DIR *d = opendir(folder);
    ck_assert_msg(d != NULL, "no folder %s", folder);
    for (struct dirent *e; (e = readdir(d)) != NULL; )
        if (ends_with(e->d_name, end))
            add(&list, e->d_name);
    closedir(d);
    return list;
}

/* ---- what is included --------------------------------------------------- */

static const char *const libc[] = {
    "<assert.h>", "<complex.h>", "<ctype.h>", "<errno.h>", "<fcntl.h>", "<fenv.h>",
    "<float.h>", "<inttypes.h>", "<limits.h>", "<locale.h>", "<math.h>",
    "<pthread.h>", "<sched.h>", "<signal.h>", "<stdalign.h>", "<stdarg.h>",
    "<stdatomic.h>", "<stdbool.h>", "<stddef.h>", "<stdint.h>", "<stdio.h>",
    "<stdlib.h>", "<stdnoreturn.h>", "<string.h>", "<strings.h>",
    "<sys/ioctl.h>", "<sys/mman.h>", "<sys/resource.h>", "<sys/stat.h>",
    "<sys/types.h>", "<getopt.h>", "<termios.h>", "<time.h>", "<unistd.h>",
    NULL
};

/* A room, and what its files may include beyond libc and, where own is set,
 * the files beside them. */
typedef struct {
    const char *folder;
    bool own;
    const char *also[8];
} room;

static const room rooms[] = {
    { "src/tensor", true,
      { "KERNEL_FILE", "\"../tensor/each_kernel.h\"" } },
    { "src/ops", true,
      { "<cblas.h>", "\"../tensor/tensor.h\"", "\"../tensor/core.h\"",
        "\"../tensor/each_kernel.h\"" } },
    { "src/nn", true,
      { "<jansson.h>", "<zlib.h>", "\"../tensor/tensor.h\"",
        "\"../ops/ops.h\"",
        "\"../tensor/each_kernel.h\"" } },
    { "src/inspect", true,
      { "\"../nn/nn.h\"", "\"../nn/file.h\"",
        "\"../tensor/each_kernel.h\"", "<jansson.h>" } },
    { "examples", false, { "<rill.h>" } },
};
enum { ROOMS = sizeof rooms / sizeof *rooms };

static bool may_include(const room *r, const char *what)
{
    if (one_of(what, libc) || one_of(what, r->also))
        return true;
    return r->own && what[0] == '"' && !strchr(what, '/');
}

static int check_includes(const room *r, const char *file)
{
    char path[TEXT], line[TEXT], what[TEXT];
    int seen = 0;
    snprintf(path, sizeof path, "%s/%s", r->folder, file);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "cannot open %s", path);
    for (int n = 1; fgets(line, sizeof line, f); n++)
        if (sscanf(line, " # include %1023s", what) == 1 ||
            sscanf(line, " #include %1023s", what) == 1) {
            ck_assert_msg(may_include(r, what), "%s:%d: %s may not include "
                          "%s", path, n, r->folder, what);
            seen++;
        }
    fclose(f);
    return seen;
}

START_TEST(arrows_of_includes)
{
    for (const room *r = rooms; r < rooms + ROOMS; r++) {
        int seen = 0;
        names sources = files(r->folder, ".c"), headers =
            files(r->folder, ".h");
        for (int i = 0; i < sources.n; i++)
            seen += check_includes(r, sources.name[i]);
        for (int i = 0; i < headers.n; i++)
            seen += check_includes(r, headers.name[i]);
        ck_assert_msg(seen > 0, "%s includes nothing", r->folder);
    }
}
END_TEST

/* A room that nobody told the test about would go unchecked. */
START_TEST(rooms_are_known)
{
    DIR *d = opendir("src");
    ck_assert_ptr_nonnull(d);
    for (struct dirent *e; (e = readdir(d)) != NULL; ) {
        char folder[TEXT];
        int k = 0;
        snprintf(folder, sizeof folder, "src/%s", e->d_name);
        while (k < ROOMS && strcmp(rooms[k].folder, folder) != 0)
            k++;
        ck_assert_msg(e->d_name[0] == '.' || k < ROOMS ||
                          strcmp(e->d_name, "rill.h") == 0,
                      "%s is not a room that is known here", folder);
    }
    closedir(d);
}
END_TEST

/* ---- what is linked ----------------------------------------------------- */

static const char *build(void)
{
    const char *path = getenv("RILL_BUILD");
    return path ? path : "build";
}

/* What the objects of a room define, and what of rill they ask for. */
typedef struct {
    names defined, wanted;
} symbols;

static void read_symbols(const char *folder, const char *source, symbols *s)
{
    char command[2 * TEXT], line[TEXT], kind, name[TEXT];
    snprintf(command, sizeof command, "nm -Pg '%s/%s/%.*s.o'", build(),
             folder, (int)strlen(source) - 2, source);
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f)) {
        ck_assert_int_eq(sscanf(line, "%1023s %c", name, &kind), 2);
        if (kind != 'U')
            add(&s->defined, name);
        else if (strncmp(name, "rill_", 5) == 0)
            add(&s->wanted, name);
    }
    ck_assert_msg(pclose(f) == 0, "%s failed", command);
}

static symbols symbols_of(const char *folder)
{
    symbols s = { { .n = 0 }, { .n = 0 } };
    names sources = files(folder, ".c");
    for (int i = 0; i < sources.n; i++)
        read_symbols(folder, sources.name[i], &s);
    ck_assert_int_gt(s.defined.n, 0);
    return s;
}

/* Whether a public header declares the name. */
static bool is_public(const char *name)
{
    static const char *const public_headers[] = {
        "src/tensor/tensor.h", "src/ops/ops.h", "src/nn/nn.h",
        "src/inspect/inspect.h"
    };
    size_t n = strlen(name), count = sizeof public_headers /
                                     sizeof *public_headers;
    for (size_t i = 0; i < count; i++) {
        char line[TEXT];
        bool found = false;
        FILE *f = fopen(public_headers[i], "r");
        ck_assert_ptr_nonnull(f);
        while (!found && fgets(line, sizeof line, f)) {
            const char *at = strstr(line, name);
            found = at && at[n] == '(' && at > line &&
                    (at[-1] == ' ' || at[-1] == '*');
        }
        fclose(f);
        if (found)
            return true;
    }
    return false;
}

/* Nothing is called against the arrows; and what trains or looks on calls
 * nothing of the rooms before it that a program outside could not call, but
 * for the choice of its own kernels' instruction set, for files that are
 * replaced whole, and for the page, which make turns into an object. */
START_TEST(arrows_of_symbols)
{
    symbols tensor = symbols_of("src/tensor"), ops = symbols_of("src/ops");
    symbols nn = symbols_of("src/nn"), inspect = symbols_of("src/inspect");
    for (int i = 0; i < tensor.wanted.n; i++)
        ck_assert_msg(holds(&tensor.defined, tensor.wanted.name[i]),
                      "src/tensor calls %s", tensor.wanted.name[i]);
    for (int i = 0; i < ops.wanted.n; i++)
        ck_assert_msg(holds(&ops.defined, ops.wanted.name[i]) ||
                          holds(&tensor.defined, ops.wanted.name[i]),
                      "src/ops calls %s", ops.wanted.name[i]);
    for (int i = 0; i < nn.wanted.n; i++)
        ck_assert_msg(holds(&nn.defined, nn.wanted.name[i]) ||
                          is_public(nn.wanted.name[i]) ||
                          strcmp(nn.wanted.name[i], "rill_isa_best") == 0,
                      "src/nn calls %s", nn.wanted.name[i]);
    for (int i = 0; i < nn.wanted.n; i++)
        ck_assert_msg(!holds(&inspect.defined, nn.wanted.name[i]),
                      "src/nn calls %s", nn.wanted.name[i]);
    for (int i = 0; i < inspect.wanted.n; i++)
        ck_assert_msg(holds(&inspect.defined, inspect.wanted.name[i]) ||
                          is_public(inspect.wanted.name[i]) ||
                          strncmp(inspect.wanted.name[i], "rill_file_",
                                  10) == 0 ||
                          strcmp(inspect.wanted.name[i], "rill_page") == 0 ||
                          strcmp(inspect.wanted.name[i],
                                 "rill_isa_best") == 0,
                      "src/inspect calls %s", inspect.wanted.name[i]);
    ck_assert_int_gt(nn.wanted.n, 0);
    ck_assert(is_public("rill_relu"));
    ck_assert(!is_public("rill_gemm"));
}
END_TEST

/* Names that begin with two underscores are the compiler's (sanitizers and
 * coverage make some). */
START_TEST(every_symbol_has_the_prefix)
{
    char command[TEXT], line[TEXT], kind, name[TEXT];
    int seen = 0;
    snprintf(command, sizeof command, "nm -Pg --defined-only '%s/librill.a'",
             build());
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%1023s %c", name, &kind) == 2 &&
            strncmp(name, "__", 2) != 0) {
            ck_assert_msg(strncmp(name, "rill_", 5) == 0,
                          "%s lacks the prefix", name);
            seen++;
        }
    ck_assert_msg(pclose(f) == 0, "%s failed", command);
    ck_assert_int_gt(seen, 100);
}
END_TEST

/* What the shared library shows is what the headers declare. */
START_TEST(the_shared_library_shows_the_public)
{
    char command[TEXT], line[TEXT], name[TEXT];
    int seen = 0;
    snprintf(command, sizeof command, "nm -D --defined-only '%s'/librill.so.*",
             build());
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%*s %*c %1023s", name) == 1 &&
            strncmp(name, "__", 2) != 0) {
            ck_assert_msg(is_public(name), "no header declares %s", name);
            seen++;
        }
    ck_assert_msg(pclose(f) == 0, "%s failed", command);
    ck_assert_int_gt(seen, 100);
}
END_TEST

/* ---- the public headers ------------------------------------------------- */

static const char *const headers[] = { "rill.h", "tensor/tensor.h",
                                       "ops/ops.h", "nn/nn.h",
                                       "inspect/inspect.h" };

/* Compiles a text; false, after saying so, where there is no compiler. */
static bool compiles(const char *compiler, const char *language,
                     const char *text)
{
    char command[TEXT];
    snprintf(command, sizeof command, "command -v %s >/dev/null", compiler);
    if (system(command) != 0) {
        printf("skipped: no %s to compile the headers with\n", compiler);
        return false;
    }
    snprintf(command, sizeof command, "%s %s -Wall -Wextra -Wpedantic "
             "-Werror -Isrc -fsyntax-only -", compiler, language);
    FILE *f = popen(command, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    ck_assert_msg(pclose(f) == 0, "%s: %s", command, text);
    return true;
}

static bool headers_compile(const char *compiler, const char *language)
{
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        char text[TEXT];
        snprintf(text, sizeof text, "#include \"%s\"\n", headers[i]);
        if (!compiles(compiler, language, text))
            return false;
    }
    return true;
}

START_TEST(headers_compile_as_c)
{
    bool gcc = headers_compile("gcc", "-x c -std=c11");
    bool clang = headers_compile("clang", "-x c -std=c11");
    ck_assert(gcc || clang);
}
END_TEST

/* As C++ the macros work too. */
START_TEST(headers_compile_as_cpp)
{
    static const char *const compilers[] = { "g++", "clang++" };
    static const char text[] =
        "#include <rill.h>\n"
        "rill_tensor *f(rill_tape *t)\n"
        "{\n"
        "    int64_t n = 3;\n"
        "    rill_tensor *x = rill_zeros(t, RILL_F32, RILL_SHAPE(2, n));\n"
        "    rill_reduce_opts o = { RILL_DIMS(0, -1), true };\n"
        "    x = rill_sum(t, rill_watch(t, x), &o);\n"
        "    return rill_add(t, x, rill_full(t, 1, RILL_F32, RILL_SCALAR));\n"
        "}\n";
    for (int i = 0; i < 2; i++)
        if (headers_compile(compilers[i], "-x c++ -std=c++17"))
            compiles(compilers[i], "-x c++ -std=c++17", text);
}
END_TEST

int main(void)
{
    return HARNESS_RUN("structure", arrows_of_includes, rooms_are_known,
                       arrows_of_symbols, every_symbol_has_the_prefix,
                       the_shared_library_shows_the_public,
                       headers_compile_as_c, headers_compile_as_cpp);
}
