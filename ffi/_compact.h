/* Python's ints and floats, without a call where that is possible, and without Python code. */
#ifndef FFI_COMPACT_H
#define FFI_COMPACT_H

#include <Python.h>

#include "_likely.h"

/* Take the value of an exact int that fits 64 bits; return whether it is one. No Python code runs. */
static inline int exact_int64(PyObject *value, int64_t *result)
{
    int overflow;
    if (!PyLong_CheckExact(value))
        return 0;
#if PY_VERSION_HEX >= 0x030C0000
    if (PyUnstable_Long_IsCompact((PyLongObject *)value)) {
        *result = PyUnstable_Long_CompactValue((PyLongObject *)value);
        return 1;
    }
#else
    if (Py_SIZE(value) >= -1 && Py_SIZE(value) <= 1) {
        /* The digit of 0 may hold anything. */
        *result = Py_SIZE(value) * (int64_t)((PyLongObject *)value)->ob_digit[0];
        return 1;
    }
#endif
    *result = PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow;
}

/* Take the value of a float or of an exact int that is a double; return whether it is one. */
static inline int real_double(PyObject *value, double *result)
{
    int64_t integer;
    if (FFI_LIKELY(PyFloat_CheckExact(value))) {
        *result = PyFloat_AS_DOUBLE(value);
        return 1;
    }
    if (exact_int64(value, &integer)) {
        /* Below 2**53 an int is a double. */
        *result = (double)integer;
        return integer <= 9007199254740992 && integer >= -9007199254740992;
    }
    /* NumPy's float64 for one. */
    if (!PyFloat_Check(value))
        return 0;
    *result = PyFloat_AS_DOUBLE(value);
    return 1;
}

#endif
