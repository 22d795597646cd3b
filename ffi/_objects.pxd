# Pointers and records, for the modules that pass and return them.

from libc.stdint cimport uintptr_t

from ffi._buffers cimport AddressHolder, Keepers
from ffi._types cimport Type


cdef enum:
    # Records of up to so many long doubles hold their bytes themselves.
    SMALL = 4


# `value` is the address until the pointer is released.
cdef class Pointer(AddressHolder):
    cdef uintptr_t place                # the address, for good


cdef class Record(AddressHolder):
    cdef char *data
    cdef long double small[SMALL]


# `owner` is whatever keeps the memory, or None; the address is not NULL.
cdef Pointer new_pointer(Type type, uintptr_t address, object owner)

# Own a copy of the bytes.
cdef Record copy_record(Type type, const char *data)
cdef Record view_record(Type type, char *data, object owner, bint readonly)

# The Python value of a C value, which is copied, None of void; `owner` is what keeps the memory of
# a pointer.
cdef object load_object(Type type, const char *data, object owner)

# Write a Python value; what fails half-way leaves `data` partly written. The keepers are those of
# `new_keepers`; `settle` them when no more Python code runs.
cdef int store_object(Type type, char *data, object value, Keepers keepers) except -1
cdef Keepers new_keepers()

# The address of a Pointer or Record as a pointer of the wanted type.
cdef uintptr_t address_as(Type wanted, AddressHolder value) except 0
