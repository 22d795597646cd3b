# Calls and closures that do not go through libffi.

from libc.stdint cimport uint32_t

from ffi._types cimport Type

cdef extern from *:
    """
    typedef struct direct_plan direct_plan;
    """
    ctypedef struct direct_plan:
        pass

ctypedef void (*handler)(void *data, void *rvalue, void **avalues) noexcept nogil


# A plan of the signature for `free`; NULL where it must go through libffi.
cdef direct_plan *make_plan(Type rtype, tuple arguments) except? NULL

# `rvalue` has at least max(size of the result, 8) bytes. Integers are widened to a word.
cdef void call_direct(
    const direct_plan *plan, void *fn, void *rvalue, void **avalues
) noexcept nogil

# So many can be taken.
cdef Py_ssize_t MAX_THUNKS

# Code for C that calls the handler with `data`; NULL when all has been given out.
cdef void *take_thunk(const direct_plan *plan, void *data) noexcept
cdef void set_handler(handler function) noexcept


# Load the registers and the stack from a frame, call, save the result's registers in it.
ctypedef void (*frame_invoker)(
    char *frame, void *fn, size_t stack_words, uint32_t flags
) noexcept nogil
cdef frame_invoker INVOKE_FRAME
