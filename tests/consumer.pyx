# cython: language_level=3
# A module that calls run-time functions through ffi.capi: built out of the tree by test_capi.py.
from cython.parallel cimport prange
from libc cimport errno as c_errno
from libc.stdint cimport uintptr_t

from ffi.capi cimport Call, as_address, as_call, invoke, new_function, raise_pending

cdef extern from "pthread.h" nogil:
    ctypedef unsigned long pthread_t
    int pthread_create(
        pthread_t *thread, void *attributes, void *(*run)(void *) noexcept nogil, void *data
    )
    int pthread_join(pthread_t thread, void **result)

ctypedef double (*of_two)(double, double) noexcept nogil


def address(function):
    return <uintptr_t>as_address(function)


def prepare(function):
    return <uintptr_t>as_call(function)


def function_of(uintptr_t code, prototype):
    return new_function(<void *>code, prototype)


# --- one call

def call(function, uintptr_t rvalue, uintptr_t avalues):
    cdef const Call *prepared = as_call(function)
    if invoke(prepared, <void *>rvalue, <void **>avalues):
        raise_pending()


def call_without_gil(function, uintptr_t rvalue, uintptr_t avalues):
    cdef const Call *prepared = as_call(function)
    cdef int failed
    with nogil:
        failed = invoke(prepared, <void *>rvalue, <void **>avalues)
    if failed:
        raise_pending()


def invoke_prepared(uintptr_t prepared, uintptr_t rvalue, uintptr_t avalues):
    """Return whether it failed; nothing is raised."""
    return invoke(<const Call *>prepared, <void *>rvalue, <void **>avalues) != 0


def raise_what_is_pending():
    return raise_pending()


def fail_then_clean_up(failing, cleaning):
    """Call a second function before raising what the first one raised."""
    cdef const Call *first = as_call(failing)
    cdef const Call *second = as_call(cleaning)
    cdef int failed
    with nogil:
        failed = invoke(first, NULL, NULL)
        failed += invoke(second, NULL, NULL)
    if failed:
        raise_pending()
    return failed


def errno_around(function, int before):
    """Return errno after a call of int (void), and the result."""
    cdef const Call *prepared = as_call(function)
    cdef long result = 0
    cdef int after
    with nogil:
        c_errno.errno = before
        invoke(prepared, &result, NULL)
        after = c_errno.errno
    return after, <int>result


# --- loops

def apply(function, double[::1] x, double[::1] y, double[::1] out):
    """Call double (double, double) in a loop without the GIL; return how many calls were made."""
    cdef const Call *prepared = as_call(function)
    cdef void *avalues[2]
    cdef Py_ssize_t i, made = 0
    cdef int failed = 0
    with nogil:
        for i in range(x.shape[0]):
            avalues[0] = &x[i]
            avalues[1] = &y[i]
            failed = invoke(prepared, &out[i], avalues)
            made += 1
            if failed:
                break
    if failed:
        raise_pending()
    return made


def apply_by_hand(function, double[::1] x, double[::1] y, double[::1] out):
    cdef of_two code = <of_two>as_address(function)
    cdef Py_ssize_t i
    with nogil:
        for i in range(x.shape[0]):
            out[i] = code(x[i], y[i])


cdef int apply_one(const Call *prepared, double *x, double *y, double *out) except -1 nogil:
    cdef void *avalues[2]
    avalues[0] = x
    avalues[1] = y
    if invoke(prepared, out, avalues):
        # On the thread that called.
        with gil:
            raise_pending()
    return 0


def apply_in_parallel(function, double[::1] x, double[::1] y, double[::1] out, int threads):
    cdef const Call *prepared = as_call(function)
    cdef Py_ssize_t i
    for i in prange(x.shape[0], nogil=True, num_threads=threads, schedule="static"):
        apply_one(prepared, &x[i], &y[i], &out[i])


# --- from C, and on threads of C's

cdef struct Job:
    const Call *prepared
    double arguments[2]
    double result
    int failed
    bint raises
    void *message


cdef void *run_job(void *data) noexcept nogil:
    cdef Job *job = <Job *>data
    cdef void *avalues[2]
    avalues[0] = &job.arguments[0]
    avalues[1] = &job.arguments[1]
    job.failed = invoke(job.prepared, &job.result, avalues)
    if job.failed and job.raises:
        with gil:
            note_error(job)
    return NULL


cdef void note_error(Job *job) noexcept:
    global noted
    try:
        raise_pending()
    except Exception as exc:
        noted = exc


noted = None


def call_in_thread(function, double x, double y, bint raises):
    """Call in a thread that Python did not start; return the result, and what was raised there."""
    global noted
    cdef Job job
    cdef pthread_t thread
    noted = None
    job.prepared = as_call(function)
    job.arguments[0] = x
    job.arguments[1] = y
    job.result = 0
    job.raises = raises
    with nogil:
        if pthread_create(&thread, NULL, run_job, &job) == 0:
            pthread_join(thread, NULL)
    return job.result, job.failed, noted


cdef const Call *inner = NULL
inner_function = None


def set_inner(function):
    global inner, inner_function
    inner = as_call(function)
    inner_function = function


cdef double call_inner(double x) noexcept nogil:
    """Call the inner function, and leave what it raises to whoever called."""
    cdef void *avalues[1]
    cdef double result = -1
    avalues[0] = &x
    if invoke(inner, &result, avalues):
        return -2
    return result


cdef double call_inner_and_raise(double x) noexcept nogil:
    """Call the inner function, and take what it raises."""
    cdef void *avalues[1]
    cdef double result = -1
    cdef Job job
    avalues[0] = &x
    if invoke(inner, &result, avalues):
        with gil:
            note_error(&job)
        return -3
    return result


def own_functions():
    return (
        new_function(<void *>call_inner, "double call_inner(double x)"),
        new_function(<void *>call_inner_and_raise, "double call_inner_and_raise(double x)"),
    )


def last_noted():
    return noted


def call_inner_here(double x):
    """Call the inner function from Python, and forget to raise."""
    return call_inner(x)
