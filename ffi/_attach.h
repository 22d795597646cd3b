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
static pthread_key_t attach_key;
/* The same, also where Python has forgotten it already: at the end of the thread. */
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

static inline int attach_prepare(void)
{
    return pthread_key_create(&attach_key, attach_end);
}

/* Take the GIL; return whether it was not held already. `known` is the thread's state, or NULL. */
static inline int attach_thread(void *known)
{
    PyThreadState *state = known ? (PyThreadState *)known : PyGILState_GetThisThreadState();
    if (state == NULL)
        state = attach_own;
    if (state == NULL) {
        PyGILState_Ensure();
        attach_own = PyGILState_GetThisThreadState();
        pthread_setspecific(attach_key, attach_own);
        return 1;
    }
    /* C may call back with the GIL held: from a call that kept it, or from another extension. */
    if (state == PyThreadState_GetUnchecked())
        return 0;
    PyEval_RestoreThread(state);
    return 1;
}

static inline void detach_thread(int was_detached)
{
    if (was_detached)
        PyEval_SaveThread();
}

#endif
