# Machine code that calls Python, for the modules that make typed callbacks of it.

from ffi._buffers cimport CodePointer
from ffi._cif cimport CIF

cdef struct Slot


cdef class Closure(CodePointer):
    cdef Slot *slot
    cdef readonly CIF cif
    cdef readonly object function
