# Memory at an address, for the modules that know what is there.

from ffi._buffers cimport AddressHolder


cdef int check_extent(AddressHolder holder, object nbytes) except -1
cdef object new_view(object address, object dtype, object shape, bint readonly, object owner)
cdef bytes read_string(object source, object maxlen)
