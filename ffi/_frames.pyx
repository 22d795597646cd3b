"""What each thread keeps for calls: the calls that run, and C's errno between them."""

import os

import numpy as np

from ffi.errors import FFIOSError, FFIOverflowError, FFITypeError

cimport numpy as cnp
from cpython.ref cimport Py_DECREF

from ffi._buffers cimport is_integer
from ffi._types cimport describe, shorten

cnp.import_array()

cdef extern from "Python.h":
    object PyNumber_Index(object value)

cdef extern from "_thread.h":
    char *thread_begin()

cdef extern from *:
    """
    #ifdef FFI_TLS_MODEL
    static __thread ffi_thread this_thread __attribute__((tls_model(FFI_TLS_MODEL)));
    #else
    static __thread ffi_thread this_thread;
    #endif
    """
    Thread this_thread

cdef extern from "errno.h" nogil:
    int errno


if thread_begin() is not NULL:
    THREAD_DISTANCE = <char *>&this_thread - thread_begin()


cdef Thread *find_thread() noexcept nogil:
    if this_thread.errno_address is NULL:
        this_thread.errno_address = &errno
    return &this_thread


cdef int raise_error(Frame *frame) except -1:
    error = <object>frame.error
    Py_DECREF(error)
    frame.error = NULL
    raise error


def get_errno():
    """Return C's ``errno`` as the calling thread's last call left it.

    Each thread has its own. Calls through `call` and `Function` set C's ``errno`` to this value
    before, and keep it here afterwards, so that nothing in between can change it. Inside a closure
    it is what C had when it called.

    Returns
    -------
    int
        0 before the first call.

    See Also
    --------
    set_errno, check_errno

    Examples
    --------
    >>> before = ffi.set_errno(0)
    >>> ffi.get_errno()
    0
    """
    return this_thread.saved_errno


def set_errno(value, /):
    """Set what C's ``errno`` will be during the calling thread's next call.

    Parameters
    ----------
    value : int
        Often 0: many C functions set ``errno`` only when they fail.

    Returns
    -------
    int
        What it was.

    Raises
    ------
    TypeError
        If `value` is no integer.
    OverflowError
        If it does not fit a C ``int``.
    """
    if not is_integer(value):
        raise FFITypeError(f"set_errno(): expected an int, got {describe(value)}")
    number = PyNumber_Index(value)
    if not -(2**31) <= number < 2**31:
        raise FFIOverflowError(
            f"set_errno(): expected an int in [{-(2**31)}, {2**31 - 1}], got {shorten(value)}"
        )
    before = this_thread.saved_errno
    this_thread.saved_errno = number
    return before


def check_errno(result, function, args):
    """Raise `OSError` for a result that C uses to say that it failed: an ``errcheck`` function.

    Parameters
    ----------
    result : object
        What the C function returned. Failures are negative numbers and NULL (None).
    function : Function
        What was called.
    args : tuple
        Its arguments.

    Returns
    -------
    object
        `result`, if it is none of these.

    Raises
    ------
    OSError
        With ``errno`` as the function left it.

    Examples
    --------
    >>> libc = ffi.dlopen(None)
    >>> chdir = libc.function("int chdir(const char *path)", errcheck=ffi.check_errno)
    >>> chdir("/no/such/folder")
    Traceback (most recent call last):
    ...
    ffi.errors.FFIOSError: [Errno 2] chdir(): No such file or directory
    """
    if result is None or (isinstance(result, (int, float, np.longdouble)) and result < 0):
        number = this_thread.saved_errno
        raise FFIOSError(number, f"{function.__name__}(): {os.strerror(number)}")
    return result
