# C calls Python.

from ffi._buffers cimport CodePointer
from ffi._cif cimport CIF
from ffi._frames cimport Frame
from ffi._slots cimport Slot


# What converts values for a function of Python's: base of the typed callbacks.
cdef class Caller(CodePointer):
    cdef Slot *slot
    cdef readonly CIF cif
    cdef object declared                # cdecl.Prototype
    cdef list calls                     # those of C that it was given to: frames' addresses

    # Call Python, and write what C reads: as much as `result_size` bytes.
    cdef int receive(self, void *rvalue, void **avalues) except -1
    # Write what C gets instead of a result, when `receive` raised.
    cdef int substitute(self, object error, void *rvalue) except -1


# Make code for a caller; `instead` is what C gets when there is no result, `result_size` bytes.
cdef int open_caller(Caller self, CIF cif, const char *instead) except -1
cdef void close_caller(Caller self) noexcept
cdef void widen(CIF cif, const char *result, char *rvalue) noexcept


# Take the GIL on any thread, and return how, for the other, which lets go of it.
cdef int attach() noexcept nogil
cdef void detach(int attached) noexcept nogil
cdef void report(object error, object where) noexcept

cdef extern from "_platform.h":
    bint interpreter_is_running() nogil


# From here on what it raises may go to the call, until it is over.
cdef int give_to_call(Caller self, Frame *frame) except -1
cdef int take_from_call(Caller self, Frame *frame) except -1


cdef class Closure(CodePointer):
    cdef Slot *slot
    cdef readonly CIF cif
    cdef readonly object function
