# What may be passed where C wants the address of values.

from ffi._buffers cimport Borrowed, Keepers
from ffi._types cimport Type


# Which arrays are taken without a question: of one of two type numbers, with these flags.
cdef struct Accepted:
    int type_number
    int other_number                    # long and long long may be one
    int flags


cdef Accepted accepted_arrays(Type pointer)

# Hold what stands for a `pointer`, which may run Python code; `borrowed.data` is what it points at
# if nothing is held. What is an array is known, but not where it is, until `examine_pointee`.
# Text holds no NUL unless it is `counted`.
cdef int borrow_pointee(
    Type pointer, object value, Borrowed *borrowed, bint counted
) except -1
# Hold an array of our own, to which nobody else refers.
cdef int adopt(object array, Borrowed *borrowed) except -1
cdef int examine_pointee(Type pointer, Borrowed *borrowed) except -1

# Write the address of what stands for a `pointer`, and keep what it points at; `settle` the
# keepers.
cdef int store_pointee(Type pointer, char *data, object value, Keepers keepers) except -1
