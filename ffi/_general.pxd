# The general way of a typed call.

from cpython.object cimport PyObject

from ffi._signature cimport Signature


# Call `code` with the arguments that Python gives, NULL for those left out; `owner` is what keeps
# the memory of a pointer that comes back. `errcheck` is called with `function`, or is None.
cdef object call_generally(
    Signature self, void *code, bint release_gil, PyObject **args, object owner, object function,
    object errcheck
)
