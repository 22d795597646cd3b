/* Storage of which each thread has its own. */
#ifndef FFI_THREAD_H
#define FFI_THREAD_H

#include <stddef.h>

/* A call of C by Python that has not come back yet, or a callback that runs: a barrier between the
   calls before it and those it makes. They lie on the C stack. */
typedef struct ffi_frame {
    struct ffi_frame *below;
    void *error; /* what a callback of this call raised, or what is pending in this callback: a
                    reference, or NULL */
    void *state; /* the thread's PyThreadState, if the call released the GIL; else NULL. A barrier's
                    is itself. */
} ffi_frame;

typedef struct {
    int saved_errno;
    int *errno_address;
    ffi_frame *top;
    void *error; /* what is pending outside calls and callbacks: a reference, or NULL */
} ffi_thread;

/* Found without a call, where libraries that are loaded late may have some such storage: glibc keeps
   room for a little. -DFFI_TLS_MODEL='"global-dynamic"' is the slower way. */
#if !defined(FFI_TLS_MODEL) && defined(__GLIBC__)
#define FFI_TLS_MODEL "initial-exec"
#define FFI_IS_STATIC_TLS 1
#endif

/* With that model it lies equally far from where each thread begins: other modules find it by this. */
static inline char *thread_begin(void)
{
    char *begin = NULL;
#if FFI_IS_STATIC_TLS && defined(__x86_64__) && !defined(__ILP32__)
    __asm__("mov %%fs:0, %0" : "=r"(begin));
#elif FFI_IS_STATIC_TLS && defined(__aarch64__)
    __asm__("mrs %0, tpidr_el0" : "=r"(begin));
#endif
    return begin;
}

static inline ffi_thread *thread_at(ptrdiff_t distance)
{
    return (ffi_thread *)(thread_begin() + distance);
}

#endif
