# What each thread keeps for calls.

from libc.stddef cimport ptrdiff_t

from ffi._likely cimport unlikely

cdef extern from "Python.h":
    void *PyEval_SaveThread()
    void PyEval_RestoreThread(void *state)

cdef extern from "_thread.h":
    ctypedef struct Thread "ffi_thread":
        int saved_errno                 # C's errno as the thread's last call left it
        int *errno_address              # where C has it
        Frame *top                      # the call or callback that runs
        void *error                     # pending outside both: owned, or NULL

    ctypedef struct Frame "ffi_frame":
        Frame *below
        # What a callback of the call raised, or is pending in the callback: owned, or NULL.
        void *error
        # The PyThreadState if the call let the GIL go, or NULL; of a callback's barrier itself.
        void *state

    Thread *thread_at(ptrdiff_t distance) nogil


# Where every thread has its own, from where it begins; 0 where that cannot be told.
cdef ptrdiff_t THREAD_DISTANCE

cdef Thread *find_thread() noexcept nogil


cdef inline Thread *current_thread() noexcept nogil:
    cdef Thread *thread
    if unlikely(THREAD_DISTANCE == 0):
        return find_thread()
    thread = thread_at(THREAD_DISTANCE)
    if unlikely(thread.errno_address is NULL):
        return find_thread()
    return thread


cdef inline void swap_in(Thread *thread) noexcept nogil:
    # Before C code runs for Python, or goes on after a callback.
    thread.errno_address[0] = thread.saved_errno


cdef inline void swap_out(Thread *thread) noexcept nogil:
    # After C code has run for Python, or when it calls back.
    thread.saved_errno = thread.errno_address[0]


cdef inline void begin_call(Thread *thread, Frame *frame, bint release_gil) noexcept:
    # Before C code runs for Python; `frame.error` is NULL. No Python until `end_call`.
    frame.state = PyEval_SaveThread() if release_gil else NULL
    frame.below = thread.top
    thread.top = frame
    swap_in(thread)


cdef inline void end_call(Thread *thread, Frame *frame) noexcept:
    # After it has; if `frame.error` is set then, `raise_error` follows.
    swap_out(thread)
    thread.top = frame.below
    if frame.state is not NULL:
        PyEval_RestoreThread(frame.state)


# Raise what a callback raised during a call.
cdef int raise_error(Frame *frame) except -1
