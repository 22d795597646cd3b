# Typed calls.

from ffi._buffers cimport CodePointer
from ffi._dl cimport SharedObject
from ffi._signature cimport Signature


cdef class Function(CodePointer):
    cdef void *vectorcall
    cdef Signature signature
    cdef bint is_general                # whether every call goes the general way
    cdef readonly bint release_gil
    cdef readonly object errcheck
    cdef readonly object library
    cdef SharedObject shared
