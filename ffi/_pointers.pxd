# Pointers, for the modules that pass and return them.

from libc.stdint cimport uintptr_t

from ffi._buffers cimport AddressHolder
from ffi._types cimport Type


# `value` is the address until the pointer is released.
cdef class Pointer(AddressHolder):
    cdef uintptr_t place                # the address, for good


# `owner` is whatever keeps the memory, or None; the address is not NULL.
cdef Pointer new_pointer(Type type, uintptr_t address, object owner)
