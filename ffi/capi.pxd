# The C API, for `cimport`: C functions that are known only at run time, called without the GIL.
#
# Structs are opaque. A module that uses this is compiled without libffi and without its header.

cdef extern from *:
    """
    typedef struct ffi_capi_call ffi_capi_call;
    """
    # How a function is called.
    ctypedef struct Call "ffi_capi_call":
        pass


# How `function`, an ffi.Function, is called: borrowed, valid while the Function lives.
cdef const Call *as_call(object function) except NULL

# The code of a Function, Callback or Closure, to be cast and called by hand: borrowed too.
cdef void *as_address(object function) except NULL

# Call it, with the GIL or without. `avalues` has the address of each argument and stays as it is.
# `rvalue` has at least max(size of the result, sizeof(ffi_arg)) bytes, integers are widened to
# ffi_arg; NULL will do for void. Returns non-zero if an exception is pending on this thread:
# `raise_pending` follows, on this thread.
cdef int invoke(const Call *call, void *rvalue, void **avalues) noexcept nogil

# Raise the exception that is pending on this thread, if any.
cdef int raise_pending() except -1

# An ffi.Function of C code, which must stay where it is; `prototype` is its declaration in C. It is
# called without the GIL.
cdef object new_function(void *address, object prototype)
