# Raw calls, for `cimport`: `from ffi._core cimport CIF, call_views`.

from ffi._cif cimport CIF


# Call `fn`. `rvalue` has at least max(size of the result, sizeof(ffi_arg)) bytes and `avalues` an
# address per argument. Callers with the GIL keep it.
cdef int call_views(
    CIF cif, void *fn, unsigned char[::1] rvalue, size_t[::1] avalues
) except -1 nogil


# The call itself, on checked storage: `avalues` is the caller's own, and may be overwritten.
cdef void invoke(CIF cif, void *fn, void *rvalue, void **avalues) noexcept nogil

# The same, but `avalues` stays as it is.
cdef void invoke_keeping(CIF cif, void *fn, void *rvalue, void **avalues) noexcept nogil
