# Typed calls.

from cpython.object cimport PyObject

from ffi._buffers cimport CodePointer
from ffi._dl cimport SharedObject
from ffi._signature cimport Plan, Signature


# What a call from C needs, side by side.
cdef struct Entry:
    PyObject *function                  # whose part it is
    void *code
    const bint *closed                  # whether its library is
    # One move for each argument, of a scalar; NULL where a call goes the general way.
    const Plan *plan
    unsigned int argument_count         # of C
    bint has_result


cdef class Function(CodePointer):
    cdef void *vectorcall
    cdef Signature signature
    cdef bint is_general                # whether every call goes the general way
    cdef readonly bint release_gil
    cdef readonly object errcheck
    cdef readonly object library
    cdef SharedObject shared
    cdef Entry entry
