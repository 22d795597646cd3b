# Many calls of one function in C, without Python in between: by ffi.capi, as other modules call,
# and as a compiler calls it. `rvalue` and `avalues` are the addresses of what `invoke` takes.

from ffi.capi cimport Call, as_call, invoke, raise_pending

cdef extern from *:
    """
    /* Keeps a loop that does nothing. */
    #define look_away() __asm__ volatile("" : : : "memory")
    """
    void look_away() noexcept nogil

ctypedef void (*loop_type)(size_t fn, size_t rvalue, size_t avalues, long count) noexcept nogil


def empty(long count):
    """Call nothing."""
    cdef long _
    with nogil:
        for _ in range(count):
            look_away()


def invoked(function, size_t rvalue, size_t avalues, long count):
    """Invoke, looking at each call's outcome as users do."""
    cdef const Call *call = as_call(function)
    cdef long _
    cdef int failed = 0
    with nogil:
        for _ in range(count):
            failed = invoke(call, <void *>rvalue, <void **>avalues)
            if failed:
                break
    if failed:
        raise_pending()


def compiled(size_t loop, size_t fn, size_t rvalue, size_t avalues, long count):
    """Let a loop that a C compiler made for the signature call the function."""
    with nogil:
        (<loop_type>loop)(fn, rvalue, avalues, count)
