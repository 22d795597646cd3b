# Typed calls.

from cpython.object cimport PyObject
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t

from ffi._arrays cimport Accepted
from ffi._buffers cimport CodePointer
from ffi._cif cimport CIF
from ffi._dl cimport SharedObject
from ffi._types cimport Type


cdef extern from "_direct_plan.h":
    ctypedef struct Move "direct_move":
        uint32_t at
        uint16_t argument
        uint8_t kind

    ctypedef struct Plan "direct_plan":
        uint32_t argument_count
        uint32_t move_count
        uint32_t frame_size
        uint32_t stack_words
        uint32_t result_address
        uint32_t flags
        Move results[4]
        Move *moves


# How one argument is converted, and where it goes in the frame of a direct call.
cdef struct Step:
    int code
    PyObject *type                      # held by the CIF
    uint32_t argument                   # of C
    uint32_t at                         # of a word in the frame
    uint32_t first                      # its moves
    uint32_t end
    bint is_const                       # of a pointer
    bint takes_text                     # is a const char *
    bint keeps_gil                      # during the call
    Accepted accepted                   # of a pointer
    uint64_t fixed                      # the word that C always gets


cdef class Function(CodePointer):
    cdef void *vectorcall
    cdef Step *steps
    cdef Py_ssize_t count               # of the arguments that Python gives
    cdef Py_ssize_t fixed_count         # and of those it does not
    cdef const Plan *plan               # the CIF's
    cdef bint is_general                # whether every call goes the general way
    cdef uint32_t result_offset
    cdef uint32_t result_at
    cdef int result_code
    cdef readonly bint release_gil
    cdef readonly object errcheck
    cdef readonly object library
    cdef SharedObject shared
    cdef object keeper
    cdef readonly CIF cif
    cdef readonly tuple atypes
    cdef readonly Type rtype
    cdef tuple names                    # None for a parameter without
    cdef object prototype_              # cdecl.Prototype
