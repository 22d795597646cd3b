/* How C code that calls back comes by the GIL, on whatever thread. */
#ifndef FFI_ATTACH_H
#define FFI_ATTACH_H

#include <Python.h>
#include <pthread.h>

#include "_platform.h"

#if PY_VERSION_HEX < 0x030D0000
#define PyThreadState_GetUnchecked() _PyThreadState_UncheckedGet()
#endif

/* Of threads that Python did not start: a Python thread state costs a hundred times a call, so that
   it lives as long as the thread. */
static __thread PyThreadState *attach_own;

static void attach_end(void *state)
{
    if (!interpreter_is_running())
        return;
    PyEval_RestoreThread((PyThreadState *)state);
    PyThreadState_Clear((PyThreadState *)state);
    PyThreadState_DeleteCurrent();
    attach_own = NULL;
}

/* How attach_thread() came by the GIL. */
enum { ATTACHED_ALREADY, ATTACHED_STATE, ATTACHED_ONCE };

#ifdef __GLIBC__
/* Destructors as those of C++'s thread_local run before those of pthread's keys, by one of which
   Python finds a thread's state: it is empty when others end, which debug builds do not stand. */
extern int __cxa_thread_atexit_impl(void (*end)(void *), void *argument, void *module);
extern void *__dso_handle __attribute__((visibility("hidden")));
/* What calls back after that has a state for each call. */
static __thread int attach_is_over;

static void attach_end_own(void *unused)
{
    (void)unused;
    attach_is_over = 1;
    attach_end(attach_own);
}

static inline int attach_prepare(void)
{
    return 0;
}

static inline int attach_keep(void)
{
    if (attach_is_over || __cxa_thread_atexit_impl(attach_end_own, NULL, &__dso_handle) != 0)
        return ATTACHED_ONCE;
    attach_own = PyGILState_GetThisThreadState();
    return ATTACHED_STATE;
}
#else
static pthread_key_t attach_key;

static inline int attach_prepare(void)
{
    return pthread_key_create(&attach_key, attach_end);
}

static inline int attach_keep(void)
{
    attach_own = PyGILState_GetThisThreadState();
    pthread_setspecific(attach_key, attach_own);
    return ATTACHED_STATE;
}
#endif

/* Take the GIL; return what detach_thread() is to be told. `known` is the thread's state, or NULL. */
static inline int attach_thread(void *known)
{
    PyThreadState *state = known ? (PyThreadState *)known : PyGILState_GetThisThreadState();
    /* At the end of a thread Python may have forgotten it. */
    if (state == NULL)
        state = attach_own;
    if (state == NULL) {
        PyGILState_Ensure();
        return attach_keep();
    }
    /* C may call back with the GIL held: from a call that kept it, or from another extension. */
    if (state == PyThreadState_GetUnchecked())
        return ATTACHED_ALREADY;
    PyEval_RestoreThread(state);
    return ATTACHED_STATE;
}

static inline void detach_thread(int attached)
{
    if (attached == ATTACHED_ONCE)
        PyGILState_Release(PyGILState_UNLOCKED);
    else if (attached == ATTACHED_STATE)
        PyEval_SaveThread();
}

#endif
