# Shared objects, for the modules that hold addresses of theirs.


cdef class SharedObject:
    cdef void *handle
    cdef bint closed


cdef class Handle:
    cdef readonly str name
    cdef readonly str path
    cdef SharedObject shared            # None once closed
