# What each thread keeps for calls.

cdef extern from *:
    """
    typedef struct {
        int saved_errno;
        int *errno_address;
    } ffi_thread;
    """
    ctypedef struct Thread "ffi_thread":
        int saved_errno                 # C's errno as the thread's last call left it
        int *errno_address              # where C has it


cdef Thread *current_thread() noexcept nogil


cdef inline void swap_in(Thread *thread) noexcept nogil:
    # Before C code runs for Python, or goes on after a closure.
    thread.errno_address[0] = thread.saved_errno


cdef inline void swap_out(Thread *thread) noexcept nogil:
    # After C code has run for Python, or when it calls a closure.
    thread.saved_errno = thread.errno_address[0]
