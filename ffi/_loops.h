/* How a loop of a ufunc comes by the GIL, and what it does when something was raised. */
#ifndef FFI_LOOPS_H
#define FFI_LOOPS_H

#include <Python.h>
#include <fenv.h>

#include "_platform.h"
#include "_thread.h"

/* Whether a loop of this thread has raised since the last one that saw that nothing is pending. */
#ifdef FFI_TLS_MODEL
static __thread int loops_raised __attribute__((tls_model(FFI_TLS_MODEL)));
#else
static __thread int loops_raised;
#endif

/* The calling thread's state, which Python has: NumPy was called from there. */
static inline void *loops_state(int *holds_gil)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyThreadState *state = PyThreadState_GetUnchecked();
#else
    PyThreadState *state = _PyThreadState_UncheckedGet();
#endif
    *holds_gil = 1;
#if PY_VERSION_HEX >= 0x030C0000
    if (state != NULL)
        return state;
#else
    /* Of whatever thread has the GIL. */
    if (state != NULL && state == PyGILState_GetThisThreadState())
        return state;
#endif
    *holds_gil = 0;
    return PyGILState_GetThisThreadState();
}

static inline void loops_set_holding(void *state, int holds_gil, int should_hold)
{
    if (holds_gil == should_hold)
        return;
    if (should_hold)
        PyEval_RestoreThread((PyThreadState *)state);
    else
        PyEval_SaveThread();
}

/* Make an exception pending, and take over the reference. The GIL is held. */
static inline void loops_raise(void *error)
{
    PyErr_SetObject((PyObject *)Py_TYPE((PyObject *)error), (PyObject *)error);
    Py_DECREF((PyObject *)error);
    loops_raised = 1;
    /* Or NumPy would warn of what a call did that is as good as not made. */
    feclearexcept(FE_ALL_EXCEPT);
}

/* Whether what a loop raised is still pending. */
static inline int loops_is_pending(void *state, int holds_gil)
{
    int pending;
    loops_set_holding(state, holds_gil, 1);
    pending = PyErr_Occurred() != NULL;
    loops_set_holding(state, 1, holds_gil);
    loops_raised = pending;
    return pending;
}

#endif
