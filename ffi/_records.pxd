# Records, for the modules that pass and return them.

from ffi._buffers cimport AddressHolder
from ffi._types cimport Type


cdef enum:
    # Records of up to so many long doubles hold their bytes themselves.
    SMALL = 4


cdef class Record(AddressHolder):
    cdef char *data
    cdef long double small[SMALL]


# Own bytes that are to be written, and room for whole words.
cdef Record make_record(Type type)

# Own a copy of the bytes.
cdef Record copy_record(Type type, const char *data)
cdef Record view_record(Type type, char *data, object owner, bint readonly)
