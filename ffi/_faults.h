/* Calls of C functions of our own through libffi, to learn what the libffi in use gets wrong. */
#ifndef FFI_FAULTS_H
#define FFI_FAULTS_H

#include <ffi.h>

typedef struct {
    long words[3];
} large_struct;

static void overwrite(large_struct parameter)
{
    volatile large_struct *kept = &parameter;
    kept->words[0] = 0;
}

/* True where a large struct by value is passed as the address of the caller's own storage, which the
   callee may change (AArch64 before 3.4.3). */
static int lends_storage(void)
{
    ffi_type *members[] = {&ffi_type_slong, &ffi_type_slong, &ffi_type_slong, NULL};
    ffi_type large_type = {0, 0, FFI_TYPE_STRUCT, members};
    ffi_type *types[] = {&large_type};
    large_struct storage = {{1, 2, 3}};
    void *values[] = {&storage};
    ffi_cif cif;
    if (ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 1, &ffi_type_void, types) != FFI_OK)
        return 1;
    ffi_call(&cif, FFI_FN(overwrite), NULL, values);
    return storage.words[0] != 1;
}

#if defined(__x86_64__)
typedef struct {
    char c;
    double d;
} mixed_pair;

static float take_after_five(char a, char b, char c, char d, char e, float f, mixed_pair pair)
{
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)pair;
    return f;
}

/* True where a struct of an INTEGER and an SSE eightbyte in the last integer register overwrites
   the first vector register (https://github.com/libffi/libffi/issues/574, before 3.4.7). */
static int loses_vector_register(void)
{
    ffi_type *members[] = {&ffi_type_sint8, &ffi_type_double, NULL};
    ffi_type pair_type = {0, 0, FFI_TYPE_STRUCT, members};
    ffi_type *types[] = {&ffi_type_sint8, &ffi_type_sint8, &ffi_type_sint8, &ffi_type_sint8,
                         &ffi_type_sint8, &ffi_type_float, &pair_type};
    char one = 1;
    float kept = 2.0f, result = 0.0f;
    mixed_pair pair = {3, 4.0};
    void *values[] = {&one, &one, &one, &one, &one, &kept, &pair};
    ffi_cif cif;
    if (ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 7, &ffi_type_float, types) != FFI_OK)
        return 1;
    ffi_call(&cif, FFI_FN(take_after_five), &result, values);
    return result != kept;
}

static unsigned long take_register(unsigned long value)
{
    return value;
}

/* True where an argument of fewer than 8 bytes is passed with the bytes that follow it in memory,
   which callees compiled by clang take for a part of it (libffi 3.4.7 only). */
static int reads_past_arguments(void)
{
    ffi_type *types[] = {&ffi_type_uint8};
    unsigned char storage[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    void *values[] = {storage};
    ffi_arg result = 0;
    ffi_cif cif;
    if (ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 1, &ffi_type_ulong, types) != FFI_OK)
        return 1;
    ffi_call(&cif, FFI_FN(take_register), &result, values);
    return result != 1;
}

#define MACHINE_IS_X86_64 1
#define MACHINE_IS_AARCH64 0
#else
#define MACHINE_IS_X86_64 0
#if defined(__aarch64__)
#define MACHINE_IS_AARCH64 1
#else
#define MACHINE_IS_AARCH64 0
#endif
static int loses_vector_register(void) { return 0; }
static int reads_past_arguments(void) { return 0; }
#endif

#endif
