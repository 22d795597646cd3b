# What C makes of the arguments behind the parameters of a variadic function.

from ffi._signature cimport Signature


# The signature for these arguments, and their values.
cdef tuple with_added(Signature signature, tuple values)
