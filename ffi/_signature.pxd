# What a call of a function does with each argument.

from cpython.object cimport PyObject
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t

from ffi._arrays cimport Accepted
from ffi._cif cimport CIF
from ffi._shapes cimport Shape
from ffi._types cimport Type


cdef extern from "_direct_plan.h":
    enum:
        DIRECT_MOVE_WORD
        DIRECT_MOVE_BYTES

    ctypedef struct Move "direct_move":
        uint32_t at
        uint32_t start "from"
        uint32_t size
        uint16_t argument
        uint8_t kind

    ctypedef struct Plan "direct_plan":
        uint32_t argument_count
        uint32_t move_count
        uint32_t frame_size
        uint32_t stack_words
        uint32_t result_address
        uint32_t flags
        uint32_t result_count
        Move results[4]
        Move *moves


cdef enum:
    # Bytes of a frame that a call makes on the C stack, its result included.
    MAX_FRAME = 768


# How one argument is converted, and where it goes in the frame of a direct call.
cdef struct Step:
    int code
    PyObject *identity                  # of the type
    PyObject *target                    # of what a pointer points at
    uint32_t argument                   # of C
    uint32_t at                         # of a word in the frame
    uint32_t second                     # of a struct of two words, its second one; else 0
    uint32_t row_end                    # of three or more words in a row, where they end; else 0
    uint32_t first                      # its moves
    uint32_t end
    bint is_const                       # of a pointer
    bint takes_text                     # is a const char *
    bint takes_any                      # is a void *
    bint takes_scalar                   # is a const T x[1] of numbers
    bint is_out                         # what it points at is made by the call
    int variable                        # the number of the length that an integer is, or -1
    uint32_t room                       # in the call's storage, of a number that it points at
    Shape shape                         # of an array
    Accepted accepted                   # of a pointer
    uint64_t fixed                      # the word that C always gets


cdef class Signature:
    cdef readonly object prototype      # cdecl.Prototype
    cdef readonly str name              # the function's in messages
    cdef readonly CIF cif
    cdef readonly Type rtype
    cdef readonly tuple atypes          # of the arguments that Python gives
    cdef readonly tuple names           # and their names, None for a parameter without
    cdef readonly bint variadic
    cdef dict variants                  # of a variadic function, by the types of what is added
    cdef Step *steps
    cdef Py_ssize_t count               # of the arguments that Python gives by position
    cdef Py_ssize_t total               # and with those it gives by name only
    cdef Py_ssize_t variable_count      # of the lengths that arrays tell or want
    cdef tuple dimensions               # the dimensions of each argument, None for no array
    cdef bint has_out
    cdef size_t room_size               # bytes for the numbers that pointers point at
    cdef Py_ssize_t rest_count          # of those whose steps follow those by position
    cdef bint is_general                # no frame on the C stack will do
    cdef const Plan *plan               # of the CIF, if there is one
    cdef uint32_t result_offset         # in the frame
    cdef uint32_t result_at             # of a result of one word
    cdef int result_code
    cdef bint makes_record              # of the result


# `added` are the types of a variadic function's arguments behind its parameters.
cdef Signature to_signature(object prototype, tuple added=*)

# The parameters as Python's `inspect` has them.
cdef object python_signature(Signature signature)

# Put the arguments of a call, of which some have names, into the order of the parameters.
cdef int order_arguments(
    Signature signature, PyObject **args, Py_ssize_t count, PyObject **named_args,
    PyObject *keywords, PyObject **ordered
) except -1
cdef str argument_name(Signature signature, Py_ssize_t index)
