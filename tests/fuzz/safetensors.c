/* safetensors.c: any bytes as a safetensors file. What is read can be
 * written, and is the same when it is read again. */
#include "fuzz.h"

enum { MANY = 64 };

static void write_again(const rill_safetensors *f, rill_tape *t)
{
    const char *names[MANY];
    const rill_tensor *x[MANY];
    char path[32];
    int n = 0;
    for (int i = 0; i < rill_safetensors_len(f) && n < MANY; i++) {
        names[n] = rill_safetensors_name(f, i);
        x[n] = rill_safetensors_get(t, f, names[n]);
        if (x[n])
            n++;
        else
            rill_clear_error(t); /* a number that int32 cannot hold */
    }
    snprintf(path, sizeof path, "/tmp/fuzz-%ld", (long)getpid());
    FUZZ_CHECK(rill_safetensors_write(t, path, names, x, n, NULL));
    rill_safetensors *again = rill_safetensors_open(path);
    FUZZ_CHECK(!rill_safetensors_error(again));
    FUZZ_CHECK(rill_safetensors_len(again) == n);
    for (int i = 0; i < n; i++) {
        const rill_tensor *y = rill_safetensors_get(t, again, names[i]);
        size_t size = rill_dtype_of(y) == RILL_F64 ? 8 : 4;
        FUZZ_CHECK(rill_numel(y) == rill_numel(x[i]) &&
                   rill_dtype_of(y) == rill_dtype_of(x[i]) &&
                   memcmp(rill_data(y), rill_data(x[i]),
                          (size_t)rill_numel(y) * size) == 0);
    }
    rill_safetensors_free(again);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char path[32];
    int fd = fuzz_file(bytes, n, path);
    rill_tape *t = rill_tape_new(NULL);
    rill_safetensors *f = rill_safetensors_open(path);
    if (rill_safetensors_error(f))
        FUZZ_CHECK(rill_safetensors_len(f) == 0);
    else
        write_again(f, t);
    rill_safetensors_free(f);
    rill_params *p = rill_params_new(RILL_F32, 1);
    rill_nn_linear_new(p, "fc1", 2, 4);
    rill_params_load(p, path, &(rill_load_opts){ .partial = true });
    rill_params_free(p);
    rill_tape_free(t);
    close(fd);
    return 0;
}
