# What is taken as a type, for the modules that take one.

from ffi._types cimport Type


cdef Type to_type(object value)
cdef object to_dtype(object value)
cdef bint is_native(object dtype) except -1
