/* test_safetensors.c: named tensors on disk, read and written; files that
 * are not what they say; checkpoints. Runs in a folder of its own. */
#include "golden.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static char golden_folder[PATH_MAX + 32];

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static unsigned char *read_bytes(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "no file %s", path);
    unsigned char *bytes = rill_tape_alloc(tape, 1 << 16);
    *n = fread(bytes, 1, 1 << 16, f);
    fclose(f);
    return bytes;
}

static rill_safetensors *fixture(void)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/safetensors/mlp.safetensors",
             golden_folder);
    rill_safetensors *f = rill_safetensors_open(path);
    ck_assert_pstr_eq(rill_safetensors_error(f), NULL);
    return f;
}

/* ---- a file of the official library ------------------------------------- */

START_TEST(official_file)
{
    rill_safetensors *f = fixture();
    golden_file *g = golden_open("safetensors.txt");
    golden_case *c = golden_next(g);
    ck_assert_ptr_nonnull(c);
    ck_assert_int_eq(rill_safetensors_len(f), 13);
    golden_string(c, "file");
    ck_assert_int_eq((int)golden_number(c, "header_length", 0), 928);
    ck_assert_int_eq((int)golden_number(c, "file_size", 0), 1161);
    ck_assert_str_eq(rill_safetensors_metadata(f, "format"),
                     golden_string(c, "metadata.format"));
    ck_assert_str_eq(rill_safetensors_metadata(f, "note"),
                     golden_string(c, "metadata.note"));
    ck_assert_ptr_null(rill_safetensors_metadata(f, "nothing"));
    for (int i = 0; i < rill_safetensors_len(f); i++) {
        char key[128];
        const char *name = rill_safetensors_name(f, i);
        const golden_tensor *want = golden_find(c, name);
        ck_assert_msg(want != NULL, "the table has no %s", name);
        snprintf(key, sizeof key, "dtype.%s", name);
        const char *dtype = golden_string(c, key);
        snprintf(key, sizeof key, "data_offsets.%s", name);
        ck_assert_ptr_nonnull(golden_string(c, key));
        rill_tensor *x = rill_safetensors_get(tape, f, name);
        if (strcmp(name, "step") == 0) { /* 1234567890123 */
            ck_assert_ptr_null(x);
            ck_assert_ptr_nonnull(strstr(
                rill_error(tape), "element 0 of \"step\" is 1234567890123, "
                                  "which int32 cannot hold"));
            rill_clear_error(tape);
            continue;
        }
        assert_tensor(x, want->shape, want->values, 0);
        ck_assert_int_eq(rill_dtype_of(x), strcmp(dtype, "F64") == 0
                         ? RILL_F64 : dtype[0] == 'F' || dtype[1] == 'F'
                         ? RILL_F32 : RILL_I32);
    }
    golden_next(g);
    golden_close(g, 1);
    rill_safetensors_free(f);
}
END_TEST

/* Writing what was read gives the same bytes but for the header's spacing. */
START_TEST(round_trip)
{
    const char *names[] = { "a", "naïve \"\\", "c", "empty" };
    const rill_tensor *x[] = {
        rill_from(tape, (double[]){ 1.5, -0.0, INFINITY, NAN, 0x1p-149, 3 },
                  RILL_F32, RILL_SHAPE(2, 3)),
        rill_from(tape, (double[]){ 0.1, 0x1p-1074 }, RILL_F64,
                  RILL_SHAPE(2)),
        rill_from(tape, (double[]){ INT32_MIN }, RILL_I32, RILL_SCALAR),
        rill_zeros(tape, RILL_F32, RILL_SHAPE(0, 4))
    };
    ck_assert(rill_safetensors_write(
        tape, "x.safetensors", names, x, 4,
        (rill_metadata[]){ { "k", "v\n\"é" }, { NULL, NULL } }));
    rill_safetensors *f = rill_safetensors_open("x.safetensors");
    ck_assert_pstr_eq(rill_safetensors_error(f), NULL);
    ck_assert_int_eq(rill_safetensors_len(f), 4);
    ck_assert_str_eq(rill_safetensors_name(f, 0), names[1]); /* aligned */
    ck_assert_str_eq(rill_safetensors_metadata(f, "k"), "v\n\"é");
    for (int i = 0; i < 4; i++) {
        rill_tensor *y = rill_safetensors_get(tape, f, names[i]);
        ASSERT_OK();
        ck_assert_int_eq(rill_dtype_of(y), rill_dtype_of(x[i]));
        ck_assert_int_eq(rill_numel(y), rill_numel(x[i]));
        size_t size = rill_dtype_of(y) == RILL_F64 ? 8 : 4;
        ck_assert_int_eq(memcmp(rill_data(x[i]), rill_data(y),
                                size * (size_t)rill_numel(y)), 0);
    }
    size_t n;
    unsigned char *bytes = read_bytes("x.safetensors", &n);
    ck_assert_uint_eq(bytes[0] % 8, 0); /* so the data are aligned */
    rill_safetensors_free(f);
    ASSERT_REFUSED(rill_safetensors_get(tape, NULL, "a"),
                   "the safetensors file is NULL");
}
END_TEST

/* ---- files that are not what they say ----------------------------------- */

static void write_file(const char *header, size_t data)
{
    unsigned char bytes[1 << 12] = { 0 };
    size_t n = strlen(header);
    bytes[0] = n & 255;
    bytes[1] = (unsigned char)(n >> 8);
    memcpy(bytes + 8, header, n);
    write_bytes("bad", bytes, 8 + n + data);
}

static void assert_refused(const char *sentence)
{
    rill_safetensors *f = rill_safetensors_open("bad");
    ck_assert_pstr_eq(rill_safetensors_error(f), sentence);
    ck_assert_int_eq(rill_safetensors_len(f), 0);
    rill_safetensors_free(f);
}

#define ONE(dtype, shape, offsets)                                       \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" \
    offsets "}}"

START_TEST(malformed)
{
    static const struct {
        const char *header;
        size_t data;
        const char *sentence;
    } files[] = {
        { ONE("\"F32\"", "[2]", "[0,8]"), 8, NULL },
        { ONE("\"F32\"", "[2]", "[0,8]") "   ", 8, NULL },
        { "{}", 0, NULL },
        { ONE("\"F32\"", "[2]", "[0,8]"), 7,
          "bad: the data of \"a\" do not lie in the file's 7 bytes of data" },
        { ONE("\"F32\"", "[2]", "[0,8]"), 9,
          "bad: the last 1 bytes belong to no tensor" },
        { ONE("\"F32\"", "[2]", "[4,12]"), 12,
          "bad: the data of \"a\" begin at 4, those before end at 0" },
        { ONE("\"F32\"", "[2]", "[8,0]"), 8,
          "bad: the data of \"a\" do not lie in the file's 8 bytes of data" },
        { ONE("\"F32\"", "[2]", "[-8,0]"), 8,
          "bad: the data of \"a\" do not lie in the file's 8 bytes of data" },
        { ONE("\"F32\"", "[2]", "[0,8,8]"), 8,
          "bad: the data of \"a\" do not lie in the file's 8 bytes of data" },
        { ONE("\"F32\"", "[2]", "{}"), 8,
          "bad: the data of \"a\" do not lie in the file's 8 bytes of data" },
        { ONE("\"F32\"", "[3]", "[0,8]"), 8,
          "bad: \"a\" has 8 bytes of data, but its shape and dtype want 12" },
        { ONE("\"F32\"", "[2.0]", "[0,8]"), 8, "bad: dimension 0 of \"a\" is "
          "no size or makes it too large" },
        { ONE("\"F32\"", "[-1]", "[0,8]"), 8, "bad: dimension 0 of \"a\" is "
          "no size or makes it too large" },
        { ONE("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0, "bad: "
          "dimension 1 of \"a\" is no size or makes it too large" },
        { ONE("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "bad: the shape "
          "of \"a\" is not a list of at most 8 sizes" },
        { ONE("\"F32\"", "2", "[0,8]"), 8, "bad: the shape of \"a\" is not a "
          "list of at most 8 sizes" },
        { ONE("\"F8_E4M3\"", "[2]", "[0,2]"), 2, "bad: the dtype of \"a\" is "
          "\"F8_E4M3\", which is not known here" },
        { ONE("7", "[2]", "[0,2]"), 2, "bad: the dtype of \"a\" is "
          "\"(none)\", which is not known here" },
        { "{\"a\":7}", 0, "bad: the dtype of \"a\" is \"(none)\", which is "
          "not known here" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
          "\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[2,6]}}", 6,
          "bad: the data of \"b\" begin at 2, those before end at 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
          "\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
          "bad: the data of \"b\" begin at 0, those before end at 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
          "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[4,8]}}", 8,
          "bad: byte 56 of its header: duplicate object key near '\"a\"'" },
        { "[]", 0, "bad: its header is not an object" },
        { "{\"__metadata__\":7}", 0, "bad: __metadata__ is not an object" },
        { "{\"__metadata__\":{\"k\":7}}", 0,
          "bad: \"k\" of __metadata__ is not a text" },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        write_file(files[i].header, files[i].data);
        rill_safetensors *f = rill_safetensors_open("bad");
        ck_assert_msg(f != NULL, "%s", files[i].header);
        ck_assert_pstr_eq(rill_safetensors_error(f), files[i].sentence);
        rill_safetensors_free(f);
    }
}
END_TEST

START_TEST(header_length)
{
    write_bytes("bad", "", 0);
    assert_refused("bad: not safetensors, or cut off: a header of 0 bytes in "
                   "a file of 0");
    write_bytes("bad", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    assert_refused("bad: not safetensors, or cut off: a header of "
                   "18446744073709551615 bytes in a file of 10");
    write_bytes("bad", "\3\0\0\0\0\0\0\0{}", 10);
    assert_refused("bad: not safetensors, or cut off: a header of 3 bytes in "
                   "a file of 10");
    write_bytes("bad", "\2\0\0\0\0\0\0\0{]", 10);
    rill_safetensors *f = rill_safetensors_open("bad");
    ck_assert_ptr_nonnull(strstr(rill_safetensors_error(f), "its header: "));
    rill_safetensors_free(f);
}
END_TEST

/* Brackets without end: the reader of JSON stops them. */
START_TEST(nesting)
{
    unsigned char bytes[8 + 3000] = { 3000 & 255, 3000 >> 8 };
    memset(bytes + 8, '[', 3000);
    write_bytes("bad", bytes, sizeof bytes);
    assert_refused("bad: byte 2049 of its header: maximum parsing depth "
                   "reached near '['");
}
END_TEST

START_TEST(cut_off_anywhere)
{
    char path[PATH_MAX + 64];
    size_t n;
    snprintf(path, sizeof path, "%s/safetensors/mlp.safetensors",
             golden_folder);
    unsigned char *bytes = read_bytes(path, &n);
    ck_assert_uint_eq(n, 1161);
    for (size_t k = 0; k < n; k++) {
        write_bytes("bad", bytes, k);
        rill_safetensors *f = rill_safetensors_open("bad");
        ck_assert_msg(rill_safetensors_error(f) != NULL, "%zu bytes", k);
        ck_assert_int_eq(rill_safetensors_len(f), 0);
        rill_safetensors_free(f);
    }
}
END_TEST

START_TEST(not_a_file)
{
    rill_safetensors *f = rill_safetensors_open("nowhere");
    ck_assert_str_eq(rill_safetensors_error(f),
                     "nowhere: cannot open it: No such file or directory");
    rill_safetensors_free(f);
    f = rill_safetensors_open(".");
    ck_assert_str_eq(rill_safetensors_error(f), ".: not a regular file");
    rill_safetensors_free(f);
    f = rill_safetensors_open(NULL);
    ck_assert_str_eq(rill_safetensors_error(f),
                     "safetensors: the path is NULL");
    ASSERT_REFUSED(rill_safetensors_get(tape, f, "a"),
                   "safetensors: the path is NULL");
    rill_safetensors_free(f);
}
END_TEST

START_TEST(bad_names_are_not_written)
{
    const rill_tensor *x[] = { rill_zeros(tape, RILL_F32, RILL_SHAPE(2)),
                               rill_zeros(tape, RILL_F64, RILL_SHAPE(2)) };
    const char *twice[] = { "a", "a" }, *bad[] = { "a", "\xff" },
               *none[] = { "a", NULL };
    ASSERT_REFUSED(rill_safetensors_write(tape, "y", twice, x, 2, NULL),
                   "safetensors: \"a\" is there twice");
    ASSERT_REFUSED(rill_safetensors_write(tape, "y", bad, x, 2, NULL),
                   "safetensors: \"\xff\" is not UTF-8, or memory ran out");
    ASSERT_REFUSED(rill_safetensors_write(tape, "y", none, x, 2, NULL),
                   "safetensors: a name is NULL");
    ASSERT_REFUSED(rill_safetensors_write(tape, NULL, twice, x, 1, NULL),
                   "safetensors: the path is NULL");
    x[1] = NULL;
    ASSERT_REFUSED(rill_safetensors_write(tape, "y", twice, x, 2, NULL),
                   "safetensors: a tensor is NULL");
    ck_assert_int_ne(access("y", F_OK), 0);
}
END_TEST

/* ---- parameter sets ----------------------------------------------------- */

static rill_params *network(rill_dtype dtype, uint64_t seed)
{
    rill_params *p = rill_params_new(dtype, seed);
    rill_nn_linear_new(p, "fc1", 2, 3);
    rill_nn_linear_new(p, "fc2", 3, 2);
    return p;
}

static void assert_same(const rill_params *a, const rill_params *b)
{
    for (int i = 0; i < rill_params_len(a); i++)
        for (int64_t k = 0; k < rill_numel(rill_params_at(a, i)); k++)
            ck_assert_double_eq(rill_at(rill_params_at(a, i), k),
                                rill_at(rill_params_at(b, i), k));
}

static void refuse_load(rill_params *p, const char *path, bool partial,
                        const char *sentence)
{
    ck_assert(!rill_params_load(p, path,
                                &(rill_load_opts){ .partial = partial }));
    ck_assert_pstr_eq(rill_params_error(p), sentence);
    rill_params_clear_error(p);
}

START_TEST(parameters)
{
    rill_params *a = network(RILL_F32, 1), *b = network(RILL_F32, 2),
                *wide = network(RILL_F64, 3);
    ck_assert(rill_params_save(a, "net", NULL));
    ck_assert(rill_params_load(b, "net", NULL));
    ck_assert(rill_params_load(wide, "net", NULL));
    assert_same(a, b);
    assert_same(a, wide);
    rill_params_free(a);
    rill_params_free(b);
    rill_params_free(wide);
}
END_TEST

START_TEST(names_that_do_not_fit)
{
    rill_params *a = network(RILL_F32, 1), *b = rill_params_new(RILL_F32, 2),
                *kept = rill_params_new(RILL_F32, 2);
    ck_assert(rill_params_save(a, "net", NULL));
    for (rill_params *p = b; p; p = p == b ? kept : NULL) {
        rill_nn_linear_new(p, "fc1", 2, 4);
        rill_nn_linear_new(p, "fc3", 3, 2);
    }
    refuse_load(b, "net", false, "net: does not fit the parameters: missing "
                "\"fc3.weight\", \"fc3.bias\"; unexpected \"fc2.weight\", "
                "\"fc2.bias\"; \"fc1.weight\" is [3, 2], not [4, 2]; "
                "\"fc1.bias\" is [3], not [4]");
    refuse_load(b, "net", true, "net: does not fit the parameters: "
                "\"fc1.weight\" is [3, 2], not [4, 2]; \"fc1.bias\" is [3], "
                "not [4]");
    refuse_load(b, "nowhere", true,
                "nowhere: cannot open it: No such file or directory");
    assert_same(b, kept); /* nothing half-loaded */
    rill_params *c = rill_params_new(RILL_F32, 4);
    rill_nn_linear_new(c, "other", 2, 3);
    refuse_load(c, "net", true, "net: has none of the parameters");
    rill_nn_linear fc2 = rill_nn_linear_new(c, "fc2", 3, 2);
    ck_assert(rill_params_load(c, "net",
                               &(rill_load_opts){ .partial = true }));
    ck_assert_double_eq(rill_at(fc2.weight, 1),
                        rill_at(rill_params_find(a, "fc2.weight"), 1));
    rill_params_free(a);
    rill_params_free(b);
    rill_params_free(c);
    rill_params_free(kept);
}
END_TEST

/* The widest shape of a file, a scalar, and what is no float. */
START_TEST(shapes_that_do_not_fit)
{
#define SIZE "9223372036854775807"
#define WIDE "[0, " SIZE ", " SIZE ", " SIZE ", " SIZE ", " SIZE ", " SIZE \
             ", " SIZE "]"
    static const char header[] =
        "{\"a\":{\"dtype\":\"F32\",\"shape\":" WIDE ",\"data_offsets\":[0,0]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},"
        "\"c\":{\"dtype\":\"I64\",\"shape\":[0],\"data_offsets\":[0,0]}}";
    unsigned char bytes[8 + sizeof header - 1] = { (sizeof header - 1) % 256,
                                                   (sizeof header - 1) / 256 };
    memcpy(bytes + 8, header, sizeof header - 1);
    write_bytes("net", bytes, sizeof bytes);
    rill_params *p = rill_params_new(RILL_F32, 1);
    rill_params_add(p, "a", RILL_SHAPE(1, 2, 1, 2, 1, 2, 1, 2));
    rill_params_add(p, "b", RILL_SCALAR);
    rill_params_add(p, "c", RILL_SHAPE(0));
    refuse_load(p, "net", false, "net: does not fit the parameters: \"a\" is "
                WIDE ", not [1, 2, 1, 2, 1, 2, 1, 2]; \"b\" is [0], not []; "
                "\"c\" is of whole numbers");
    rill_params_free(p);
}
END_TEST

/* More names than a sentence holds are counted. */
START_TEST(many_names)
{
    rill_params *a = rill_params_new(RILL_F32, 1), *b = network(RILL_F32, 1);
    char name[64];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "a.rather.long.name.%d", i);
        rill_params_add(a, name, RILL_SHAPE(1));
    }
    ck_assert(rill_params_save(b, "net", NULL));
    ck_assert(!rill_params_load(a, "net", NULL));
    const char *error = rill_params_error(a), *more = strstr(error, " and ");
    ck_assert_ptr_nonnull(more);
    int quotes = 0;
    for (const char *c = error; *c; c++)
        quotes += *c == '"';
    ck_assert_int_eq(quotes / 2 + atoi(more + 5), 50 + 4);
    rill_params_free(a);
    rill_params_free(b);
}
END_TEST

/* A disk that is full, a folder that is not there: the old file stays. */
START_TEST(old_file_is_unharmed)
{
    rill_params *a = network(RILL_F32, 1), *b = network(RILL_F32, 2);
    ck_assert(rill_params_save(a, "net", NULL));
    ck_assert_int_eq(mkdir("folder", 0700), 0);
    ck_assert(!rill_params_save(b, "folder", NULL));
    ck_assert_str_eq(rill_params_error(b),
                     "folder: cannot write it: it is not a plain file");
    rill_params_clear_error(b);
    ck_assert(!rill_params_save(b, "/dev/null", NULL));
    ck_assert_str_eq(rill_params_error(b),
                     "/dev/null: cannot write it: it is not a plain file");
    rill_params_clear_error(b);
    ck_assert(!rill_params_save(b, "nowhere/net", NULL));
    ck_assert_str_eq(rill_params_error(b),
                     "nowhere/net: cannot write it: No such file or "
                     "directory");
    rill_params_clear_error(b);
    /* a copy that is kept under the process's number is none of rill's */
    char kept[64], beside[64];
    snprintf(kept, sizeof kept, "net.%ld", (long)getpid());
    ck_assert(rill_params_save(b, kept, NULL));
    ck_assert(rill_params_save(a, "net", NULL));
    rill_params *c = network(RILL_F32, 3);
    ck_assert(rill_params_load(c, kept, NULL));
    assert_same(b, c);
    rill_params_free(c);
    /* the file beside is a device that is always full */
    snprintf(beside, sizeof beside, "net.%ld.part", (long)getpid());
    ck_assert_int_eq(symlink("/dev/full", beside), 0);
    ck_assert(!rill_params_save(b, "net", NULL));
    ck_assert_str_eq(rill_params_error(b),
                     "net: cannot write it: No space left on device");
    rill_params_clear_error(b);
    ck_assert(rill_params_load(b, "net", NULL));
    assert_same(a, b);
    rill_params_free(a);
    rill_params_free(b);
}
END_TEST

/* ---- PyTorch ------------------------------------------------------------ */

enum { RESULTS = 6 };
static const char *const result_names[RESULTS] = {
    ".output", ".loss", ".grad.0.weight", ".grad.0.bias", ".grad.2.weight",
    ".grad.2.bias"
};

/* What the network gives, in the order of result_names. */
static void compute(const rill_params *p, rill_tensor *x, rill_tensor *labels,
                    const rill_tensor **results)
{
    rill_tensor *w[4];
    for (int i = 0; i < 4; i++)
        w[i] = rill_params_at(p, i);
    rill_tensor *h = rill_sigmoid(tape, rill_linear(tape, x, w[0], w[1]));
    rill_tensor *output = rill_linear(tape, h, w[2], w[3]);
    rill_tensor *loss = rill_cross_entropy(tape, output, labels, NULL);
    ck_assert(rill_backward(tape, loss, NULL));
    results[0] = output;
    results[1] = loss;
    for (int i = 0; i < 4; i++)
        results[2 + i] = rill_grad(tape, w[i]);
}

/* A state dict of PyTorch's loads unchanged and gives its outputs and its
 * gradients; where RILL_TORCH is set, one of rill's goes there, for
 * torch_peer.py. */
START_TEST(state_dict_of_pytorch)
{
    char path[PATH_MAX + 64];
    const char *names[RESULTS + 6] = { "0.weight", "0.bias", "2.weight",
                                       "2.bias", ".input", ".labels" };
    const rill_tensor *x[RESULTS + 6];
    snprintf(path, sizeof path, "%s/safetensors/torch.safetensors",
             golden_folder);
    rill_params *p = rill_params_new(RILL_F32, 1);
    rill_nn_linear_new(p, "0", 3, 4);
    rill_nn_linear_new(p, "2", 4, 5);
    rill_safetensors *f = rill_safetensors_open(path);
    rill_tensor *input = rill_safetensors_get(tape, f, ".input"),
                *labels = rill_safetensors_get(tape, f, ".labels");
    ck_assert(rill_params_load(p, path, NULL));
    compute(p, input, labels, x);
    for (int i = 0; i < RESULTS; i++) {
        rill_tensor *want = rill_safetensors_get(tape, f, result_names[i]);
        ASSERT_OK();
        assert_tensor(x[i], rill_shape_of(want),
                      rill_f64(rill_cast(tape, want, RILL_F64)), 3e-5);
    }
    rill_safetensors_free(f);
    for (int i = 0; i < 4; i++)
        rill_init_normal(p, rill_params_at(p, i), 0, 1);
    rill_tape_reset(tape);
    input = normal(3, RILL_F32, RILL_SHAPE(6, 3));
    labels = rill_from(tape, (double[]){ 4, 3, 2, 1, 0, 4 }, RILL_I32,
                       RILL_SHAPE(6));
    compute(p, input, labels, x + 6);
    x[4] = input, x[5] = labels;
    for (int i = 0; i < 4; i++)
        x[i] = rill_params_at(p, i);
    memcpy(names + 6, result_names, sizeof result_names);
    const char *to = getenv("RILL_TORCH");
    ck_assert(rill_safetensors_write(tape, to ? to : "torch", names, x,
                                     RESULTS + 6, NULL));
    rill_params_free(p);
}
END_TEST

/* ---- checkpoints -------------------------------------------------------- */

typedef rill_optim *optimiser(rill_params *p);

static rill_optim *momentum(rill_params *p)
{
    return rill_sgd_new(p, &(rill_sgd_opts){ .lr = 0.1, .momentum = 0.9 });
}

static rill_optim *adamw(rill_params *p)
{
    return rill_adamw_new(p, &(rill_adamw_opts){ .lr = 0.01,
                                                 .weight_decay = 0.1 });
}

/* All that a run consists of. */
typedef struct {
    rill_params *net;
    rill_nn_mlp mlp;
    rill_optim *optim;
    rill_tape *tape;
    rill_rng rng;
    int64_t step;
} run;

static run run_new(optimiser *make, uint64_t seed)
{
    run r = { .net = rill_params_new(RILL_F32, seed), .rng = { .seed = 9 } };
    r.mlp = rill_nn_mlp_new(r.net, "mlp", (int64_t[]){ 2, 8, 3 }, 3,
                            &(rill_nn_mlp_opts){ .dropout = 0.3 });
    r.optim = make(r.net);
    r.tape = rill_tape_new(&(rill_tape_opts){ .seed = 4 });
    rill_tape_train(r.tape, true);
    return r;
}

static rill_checkpoint run_checkpoint(run *r)
{
    return (rill_checkpoint){ r->net, r->optim, r->tape, &r->rng, &r->step };
}

static void run_to(run *r, int64_t steps)
{
    for (; r->step < steps; r->step++) {
        rill_tensor *x = rill_normal(r->tape, &r->rng, 0, 1, RILL_F32,
                                     RILL_SHAPE(4, 2));
        rill_tensor *y = rill_from(r->tape, (double[]){ 0, 1, 2, 1 },
                                   RILL_I32, RILL_SHAPE(4));
        rill_tensor *loss = rill_cross_entropy(
            r->tape, rill_nn_mlp_apply(r->tape, &r->mlp, x), y, NULL);
        rill_backward(r->tape, loss, NULL);
        rill_optim_set_lr(r->optim, rill_lr_cosine(0.1, r->step, 20, 0));
        ck_assert(rill_optim_step(r->optim, r->tape));
        rill_tape_reset(r->tape);
    }
}

static void run_free(run *r)
{
    rill_tape_free(r->tape);
    rill_optim_free(r->optim);
    rill_params_free(r->net);
}

START_TEST(a_run_goes_on_to_the_bit)
{
    static optimiser *const makers[] = { momentum, adamw };
    for (int i = 0; i < 2; i++) {
        run whole = run_new(makers[i], 1), half = run_new(makers[i], 1),
            other = run_new(makers[i], 2);
        rill_checkpoint c = run_checkpoint(&half), d = run_checkpoint(&other);
        run_to(&whole, 20);
        run_to(&half, 10);
        ck_assert_msg(rill_checkpoint_save(&c, "run"), "%s",
                      rill_params_error(half.net));
        run_to(&other, 3);
        ck_assert_msg(rill_checkpoint_load(&d, "run"), "%s",
                      rill_params_error(other.net));
        ck_assert_int_eq(other.step, 10);
        ck_assert_double_eq(rill_optim_lr(other.optim),
                            rill_optim_lr(half.optim));
        run_to(&other, 20);
        assert_same(whole.net, other.net);
        ck_assert_uint_eq(whole.rng.drawn, other.rng.drawn);
        ck_assert(rill_params_load(half.net, "run", NULL)); /* as a model */
        run_free(&whole);
        run_free(&half);
        run_free(&other);
    }
}
END_TEST

/* The rate stands in the file without a point, which in some locales is a
 * comma. */
START_TEST(rates_to_the_bit)
{
    static const double rates[] = { 0.1, 1e-3, 3, 0x1.fffffffffffffp-1,
                                    0x1p-1074, 0 };
    rill_params *net = network(RILL_F32, 1);
    rill_optim *o = momentum(net);
    rill_checkpoint c = { .params = net, .optim = o };
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        ck_assert(rill_optim_set_lr(o, rates[i]));
        ck_assert(rill_checkpoint_save(&c, "run"));
        rill_safetensors *f = rill_safetensors_open("run");
        ck_assert(!strpbrk(rill_safetensors_metadata(f, "rill.lr"), ".,"));
        rill_safetensors_free(f);
        ck_assert(rill_optim_set_lr(o, 7));
        ck_assert(rill_checkpoint_load(&c, "run"));
        ck_assert_double_eq(rill_optim_lr(o), rates[i]);
    }
    rill_optim_free(o);
    rill_params_free(net);
}
END_TEST

static void refuse_checkpoint(const rill_checkpoint *c, const char *sentence)
{
    ck_assert(!rill_checkpoint_load(c, "run"));
    ck_assert_pstr_eq(rill_params_error(c->params), sentence);
    rill_params_clear_error(c->params);
}

START_TEST(checkpoints_that_do_not_fit)
{
    run r = run_new(adamw, 1), s = run_new(momentum, 2);
    rill_checkpoint c = { .params = r.net }, d = run_checkpoint(&s);
    run_to(&r, 2);
    ck_assert(rill_checkpoint_save(&c, "run"));
    c.step = &r.step;
    refuse_checkpoint(&c, "checkpoint: no readable \"rill.step\" in the "
                          "file");
    c.optim = s.optim;
    refuse_checkpoint(&c, "checkpoint: the optimiser is of another parameter "
                          "set");
    c.optim = r.optim;
    ck_assert(rill_checkpoint_save(&c, "run"));
    d.tape = NULL, d.rng = NULL;
    refuse_checkpoint(&d, "checkpoint: the file's optimiser is adamw, not "
                          "sgd");
    d.rng = &s.rng;
    refuse_checkpoint(&d, "checkpoint: no readable \"rill.rng\" in the file");
    rill_params_add(s.net, "more", RILL_SCALAR); /* said before all else */
    refuse_checkpoint(&d, "run: does not fit the parameters: missing "
                          "\"more\"");
    ck_assert(rill_params_save(r.net, "run", NULL));
    refuse_checkpoint(&c, "checkpoint: no readable \"rill.params\" in the "
                          "file");
    ck_assert(!rill_checkpoint_save(&c, "nowhere/run"));
    ck_assert_str_eq(rill_params_error(r.net),
                     "nowhere/run: cannot write it: No such file or "
                     "directory");
    ck_assert(!rill_checkpoint_load(NULL, "run"));
    run_free(&r);
    run_free(&s);
}
END_TEST

/* Files that another program may have made: w [2] with AdamW's two states. */
START_TEST(malformed_checkpoints)
{
#define UNREADABLE(key) "checkpoint: no readable \"" key "\" in the file"
    static const struct {
        const char *params, *optim, *lr, *step;
        int64_t steps, state; /* elements; 0: the tensor is not there */
        rill_dtype dtype;     /* of the steps and of the state */
        const char *sentence; /* NULL: it is in order */
    } cases[] = {
        { "7 0", "adamw", "0.5", "3", 1, 2, RILL_F32, NULL },
        { "7", "adamw", "0.5", "3", 1, 2, RILL_F32,
          UNREADABLE("rill.params") },
        { "7 0 1", "adamw", "0.5", "3", 1, 2, RILL_F32,
          UNREADABLE("rill.params") },
        { "7 0", "adamw", "0.5", "three", 1, 2, RILL_F32,
          UNREADABLE("rill.step") },
        { "7 0", NULL, "0.5", "3", 1, 2, RILL_F32,
          "checkpoint: the file's optimiser is not named, not adamw" },
        { "7 0", "adamw", NULL, "3", 1, 2, RILL_F32,
          UNREADABLE("rill.lr") },
        { "7 0", "adamw", "-1", "3", 1, 2, RILL_F32,
          UNREADABLE("rill.lr") },
        { "7 0", "adamw", "0,5", "3", 1, 2, RILL_F32,
          UNREADABLE("rill.lr") },
        { "7 0", "adamw", "0x1p-1", "3", 1, 2, RILL_F32, NULL },
        { "7 0", "adamw", "0.5", "3", 2, 2, RILL_F32,
          UNREADABLE(".optim.steps") },
        { "7 0", "adamw", "0.5", "3", 0, 2, RILL_F32,
          "run: has no tensor \".optim.steps\"" },
        { "7 0", "adamw", "0.5", "3", 1, 0, RILL_F32,
          "run: has no tensor \".optim.1.w\"" },
        { "7 0", "adamw", "0.5", "3", 1, 3, RILL_F32,
          "checkpoint: the state of w does not fit it" },
        { "7 0", "adamw", "0.5", "3", 1, 2, RILL_F64,
          "checkpoint: the state of w does not fit it" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rill_params *net = rill_params_new(RILL_F32, 1);
        rill_tensor *w = rill_params_add(net, "w", RILL_SHAPE(2));
        rill_adamw_opts adamw = { .lr = 0.1 };
        rill_optim *o = rill_adamw_new(net, &adamw);
        int64_t step = 0;
        const char *names[] = { "w", ".optim.0.w", ".optim.steps",
                                ".optim.1.w" };
        const rill_tensor *x[] = {
            rill_full(tape, 4, RILL_F32, RILL_SHAPE(2)),
            rill_full(tape, 1, RILL_F32, RILL_SHAPE(2)),
            rill_full(tape, 5, RILL_F64, RILL_SHAPE(cases[i].steps)),
            rill_full(tape, 1, cases[i].dtype, RILL_SHAPE(cases[i].state)),
        };
        int n = cases[i].state ? 4 : 3;
        if (!cases[i].steps) {
            names[2] = names[3];
            x[2] = x[n = 3];
        }
        /* a text that is left out has another key */
        rill_metadata m[] = {
            { "rill.params", cases[i].params }, { "rill.step", cases[i].step },
            { cases[i].optim ? "rill.optim" : "a",
              cases[i].optim ? cases[i].optim : "" },
            { cases[i].lr ? "rill.lr" : "b", cases[i].lr ? cases[i].lr : "" },
            { NULL, NULL },
        };
        ck_assert(rill_safetensors_write(tape, "run", names, x, n, m));
        rill_checkpoint c = { net, o, NULL, NULL, &step };
        ck_assert(rill_checkpoint_load(&c, "run") == !cases[i].sentence);
        ck_assert_pstr_eq(rill_params_error(net), cases[i].sentence);
        ck_assert_int_eq(step, cases[i].sentence ? 0 : 3);
        ck_assert_double_eq(rill_optim_lr(o), cases[i].sentence ? 0.1 : 0.5);
        ck_assert((rill_at(w, 0) == 4) == !cases[i].sentence);
        rill_optim_free(o);
        rill_params_free(net);
    }
}
END_TEST

/* F16's ends: infinities, NaN, the largest and the smallest. */
START_TEST(half_precision)
{
    static const char header[] = "{\"h\":{\"dtype\":\"F16\",\"shape\":[6],"
                                 "\"data_offsets\":[0,12]}}";
    static const unsigned char data[] = { 0, 0x7c, 0, 0xfc, 1, 0x7e,
                                          0xff, 0x7b, 1, 0, 0, 0x80 };
    FILE *file = fopen("half", "wb");
    fputc((int)strlen(header), file);
    fwrite((char[7]){ 0 }, 1, 7, file);
    fputs(header, file);
    fwrite(data, 1, sizeof data, file);
    ck_assert_int_eq(fclose(file), 0);
    rill_safetensors *f = rill_safetensors_open("half");
    ck_assert_pstr_eq(rill_safetensors_error(f), NULL);
    rill_tensor *x = rill_safetensors_get(tape, f, "h");
    assert_tensor(x, RILL_SHAPE(6), (double[]){ INFINITY, -INFINITY, NAN,
                                                65504, 0x1p-24, 0 }, 0);
    ck_assert(signbit(rill_at(x, 5)));
    rill_safetensors_free(f);
}
END_TEST

int main(void)
{
    static char folder[] = "/tmp/rill-safetensors-XXXXXX";
    char here[PATH_MAX];
    if (!getcwd(here, sizeof here) || !mkdtemp(folder) || chdir(folder) != 0)
        return EXIT_FAILURE;
    snprintf(golden_folder, sizeof golden_folder, "%s/tests/golden", here);
    setenv("RILL_GOLDEN", golden_folder, 0);
    snprintf(golden_folder, sizeof golden_folder, "%s",
             getenv("RILL_GOLDEN"));
    int failed = HARNESS_RUN("safetensors", official_file, round_trip,
                             malformed, header_length, nesting,
                             cut_off_anywhere, not_a_file,
                             bad_names_are_not_written, parameters,
                             names_that_do_not_fit, shapes_that_do_not_fit,
                             many_names, old_file_is_unharmed,
                             state_dict_of_pytorch,
                             a_run_goes_on_to_the_bit, rates_to_the_bit,
                             checkpoints_that_do_not_fit,
                             malformed_checkpoints, half_precision);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? failed : EXIT_FAILURE;
}
