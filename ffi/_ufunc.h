/* NumPy's ufunc objects, as far as its older headers do not show them. */
#ifndef FFI_UFUNC_H
#define FFI_UFUNC_H

#include <Python.h>
#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>

typedef int (*core_dims_processor)(void *ufunc, npy_intp *lengths);

/* NumPy 2.1 and newer ask a ufunc for the lengths of its outputs. The headers show the member only to
   those who give up older versions; they add to the object, and change nothing. */
static inline int set_core_dims_processor(PyUFuncObject *ufunc, core_dims_processor function)
{
#if NPY_FEATURE_VERSION >= 0x00000013
    ufunc->process_core_dims_func = (PyUFunc_ProcessCoreDimsFunc *)function;
    return 1;
#else
#if NPY_FEATURE_VERSION >= 0x0000000F
    core_dims_processor *member = (core_dims_processor *)(ufunc + 1);
#else
    struct before {
        PyUFuncObject object;
#if NPY_FEATURE_VERSION < 0x0000000D
        void *core_dim_sizes, *core_dim_flags, *identity_value;
#endif
        void *_dispatch_cache, *_loops;
        core_dims_processor member;
    };
    core_dims_processor *member = &((struct before *)ufunc)->member;
#endif
    if (PyArray_GetNDArrayCFeatureVersion() < 0x00000013)
        return 0;
    *member = function;
    return 1;
#endif
}

#endif
