# Function pointers in capsules, for other packages.

from ffi._buffers cimport CodePointer


# A capsule named by the signature in C; it keeps the function, and what the context points at.
cdef object capsule_of(CodePointer self, object prototype, object context)
