# What each thread keeps for calls.

from libc.stddef cimport ptrdiff_t

cdef extern from "_thread.h":
    ctypedef struct Thread "ffi_thread":
        int saved_errno                 # C's errno as the thread's last call left it
        int *errno_address              # where C has it

    Thread *thread_at(ptrdiff_t distance) nogil


# Where every thread has its own, from where it begins; 0 where that cannot be told.
cdef ptrdiff_t THREAD_DISTANCE

cdef Thread *find_thread() noexcept nogil


cdef inline Thread *current_thread() noexcept nogil:
    cdef Thread *thread
    if THREAD_DISTANCE == 0:
        return find_thread()
    thread = thread_at(THREAD_DISTANCE)
    return find_thread() if thread.errno_address is NULL else thread


cdef inline void swap_in(Thread *thread) noexcept nogil:
    # Before C code runs for Python, or goes on after a closure.
    thread.errno_address[0] = thread.saved_errno


cdef inline void swap_out(Thread *thread) noexcept nogil:
    # After C code has run for Python, or when it calls a closure.
    thread.saved_errno = thread.errno_address[0]
