/* What Cython cannot say about the platform: which ABI names libffi's headers have, its version, and
   whether the interpreter can still be entered. */
#ifndef FFI_PLATFORM_H
#define FFI_PLATFORM_H

#include <Python.h>
#include <ffi.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The members of enum ffi_abi differ by target and are not macros; these conditions are those
   of the targets' ffitarget.h.  A target not listed has `default`, `first` and `last`. */
typedef struct {
    const char *name;
    int value;
} platform_abi;

static const platform_abi platform_abis[] = {
    {"default", FFI_DEFAULT_ABI},
    {"first", FFI_FIRST_ABI},
    {"last", FFI_LAST_ABI},
#if defined(__x86_64__)
    {"unix64", FFI_UNIX64},
    {"win64", FFI_WIN64},
    {"efi64", FFI_EFI64},
    {"gnuw64", FFI_GNUW64},
#elif defined(__i386__)
    {"sysv", FFI_SYSV},
    {"thiscall", FFI_THISCALL},
    {"fastcall", FFI_FASTCALL},
    {"stdcall", FFI_STDCALL},
    {"pascal", FFI_PASCAL},
    {"register", FFI_REGISTER},
    {"ms_cdecl", FFI_MS_CDECL},
#elif defined(__aarch64__)
    {"sysv", FFI_SYSV},
    {"win64", FFI_WIN64},
#elif defined(__arm__)
    {"sysv", FFI_SYSV},
    {"vfp", FFI_VFP},
#elif defined(__riscv_float_abi_double) || defined(__s390__)
    {"sysv", FFI_SYSV},
#elif defined(__powerpc64__)
    {"linux", FFI_LINUX},
#endif
    {NULL, 0},
};

#if !defined(FFI_IS_STATIC) && defined(__APPLE__)
extern const char *ffi_get_version(void) __attribute__((weak_import));
#elif !defined(FFI_IS_STATIC)
extern const char *ffi_get_version(void) __attribute__((weak));
#endif

/* The version of the libffi in use, which tells it since 3.5; NULL before.  A shared library may be
   older or newer than the header; one inside the module is the header's, and must not be taken for
   another one that is loaded too. */
static inline const char *version_of_libffi(void)
{
#if !defined(FFI_IS_STATIC)
    return ffi_get_version == NULL ? NULL : ffi_get_version();
#elif defined(FFI_VERSION_NUMBER)
    return ffi_get_version();
#else
    return NULL;
#endif
}

/* True when a thread may take the GIL and run Python code. */
static inline int interpreter_is_running(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsInitialized() && !Py_IsFinalizing();
#else
    return Py_IsInitialized() && !_Py_IsFinalizing();
#endif
}

static inline int is_main_thread(void)
{
#if defined(__APPLE__)
    return pthread_main_np();
#elif defined(__linux__)
    return syscall(SYS_gettid) == getpid();
#else
    return 0;
#endif
}

#if defined(__s390x__)
#define MACHINE_IS_S390X 1
#else
#define MACHINE_IS_S390X 0
#endif

#if defined(__riscv) && __riscv_xlen == 64
#define MACHINE_IS_RISCV64 1
#else
#define MACHINE_IS_RISCV64 0
#endif

/* Whether a complex number of floats goes in the same registers as a struct of two.  It does not on
   i386, where such a struct is returned in memory, and on s390x, where the number goes by its
   address. */
#if defined(__x86_64__) || defined(__aarch64__) || defined(__riscv_float_abi_double) || \
    (defined(__arm__) && defined(__ARM_PCS_VFP))
#define COMPLEX_GOES_AS_A_STRUCT 1
#else
#define COMPLEX_GOES_AS_A_STRUCT 0
#endif

/* Unnamed bit-fields align a struct like its members on ARM and AArch64 ("without exception for
   zero-sized or anonymous bit-fields", AAPCS64, Bit-fields), though not on Apple's, and nowhere
   else.  The compiler knows. */
struct platform_unnamed_bit_field {
    char before;
    int : 1;
};
#define UNNAMED_BIT_FIELDS_ALIGN (sizeof(struct platform_unnamed_bit_field) == sizeof(int))

#endif
