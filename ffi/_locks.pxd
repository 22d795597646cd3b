# Locks of memory that several threads use; the GIL does where there is one.

from cpython.object cimport PyObject


cdef extern from "_locks.h":
    # Zeros are one that nobody has locked. No Python code may run while one is.
    ctypedef struct Mutex "ffi_mutex":
        pass

    void lock_mutex(Mutex *mutex) nogil
    void unlock_mutex(Mutex *mutex) nogil

    # To take a reference to what such memory points at but does not own: False where the object is
    # at its end. It is expected from before the memory points there.
    void expect_hold(PyObject *object)
    bint try_hold(PyObject *object)
