from ffi._types cimport Type


cdef int check_faults(int abi, Type rtype, tuple atypes) except -1

# Whether arguments must be handed to libffi in wider storage of ours.
cdef bint READS_PAST_ARGUMENTS
