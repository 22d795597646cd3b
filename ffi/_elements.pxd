# Calls of one C function over many elements.

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from ffi._cif cimport CIF
from ffi._frames cimport Frame
from ffi._shapes cimport Shape
from ffi._signature cimport Move, Plan


cdef enum:
    # The roles of arguments, as `_operands.Role` has them.
    VALUE = 0
    ADDRESS = 1
    LENGTH = 2
    CONSTANT = 3
    # More arguments are refused: what is kept about each lies on the C stack.
    MAX_ARGUMENTS = 128


# What goes wrong in a loop, except what callbacks raise.
cdef enum Fault:
    NO_FAULT
    NO_MEMORY
    CLOSED
    TOO_LONG
    WRONG_LENGTH


cdef extern from "_typed_loops.h":
    ctypedef void (*TypedLoop "typed_loop")(
        void *code, char **args, const Py_ssize_t *strides, Py_ssize_t count, void **error
    ) noexcept nogil


cdef extern from "_registers.h":
    ctypedef struct RegisterFeed "register_feed":
        const char *source "from"
        Py_ssize_t stride
        uint64_t step
        uint64_t word
        int kind

    ctypedef struct RegisterCall "register_call":
        void *code
        RegisterFeed integers[6]
        RegisterFeed vectors[8]
        char *to
        Py_ssize_t stride
        size_t size
        bint is_truth
        void (*before)(void *data) noexcept nogil
        void (*after)(void *data) noexcept nogil
        void *data

    ctypedef void (*RegisterLoop "register_loop")(
        const RegisterCall *call, Py_ssize_t count, void **error
    ) noexcept nogil

    ctypedef struct RegisterWay "register_way":
        RegisterLoop addresses
        RegisterLoop words
        RegisterLoop any


# What C gets for a parameter.
cdef struct Argument:
    int role
    int number                          # of the operand, or of the core dimension
    int code                            # of an integer, or of a value
    Py_ssize_t size
    int64_t value                       # a constant, or the greatest length
    const Move *first                   # where it goes in a frame
    const Move *end


cdef struct Operand:
    int first_axis                      # in the kernel's list
    int ndim
    size_t size                         # of an item
    int code
    bint is_address                     # whether C gets its address,
    int place                           # among those of which it does


# A core dimension whose length is computed.
cdef struct Computed:
    int core
    int parameter                       # whose shape says how
    int axis


# All that a loop needs to know about a function. Tables, and what the Loop holds; no references.
cdef struct Kernel:
    PyObject *loop                      # the Loop
    void *code
    const bint *is_closed               # of the function's library
    bint release_gil
    # How it is called: the first of these that there is, else by libffi.
    TypedLoop typed
    const RegisterWay *way
    const Plan *plan
    void *cif
    int input_count
    int operand_count
    int argument_count
    int core_count
    int computed_count
    bint has_result
    Py_ssize_t result_offset            # in libffi's storage
    Argument *arguments
    Operand *operands
    int *axes
    Computed *computed
    Shape *shapes                       # of the parameters


# Decide how a function is called; the rest of the kernel is known.
cdef int prepare_way(Kernel *kernel, CIF cif, bytes key) except -1

# Make all calls of a loop that has no typed pointer; `frame` is the running call's.
cdef Fault call_generally(
    const Kernel *kernel, char **args, const Py_ssize_t *dimensions, const Py_ssize_t *strides,
    Frame *frame
) noexcept nogil
