# Which way a branch mostly goes.

cdef extern from "_likely.h":
    bint unlikely "FFI_UNLIKELY"(bint condition) nogil
