# C calls Python with values.

from ffi._closure cimport Caller
from ffi._signature cimport Signature


cdef class Callback(Caller):
    cdef Signature signature
    cdef readonly object function
    cdef readonly object onerror
    cdef bint has_arrays
    cdef object kept_error              # what `error` points at
    cdef object kept                    # what the last result points at
