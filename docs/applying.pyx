# cython: language_level=3, freethreading_compatible=True
from libc.stdint cimport uintptr_t

from ffi._core cimport CIF, call_views


def apply(CIF cif, uintptr_t function, double[::1] x, double[::1] y):
    """Write function(x[i]) to y[i] for each i; the CIF is that of double (double)."""
    cdef size_t avalues[1]
    cdef size_t[::1] addresses = avalues
    cdef Py_ssize_t i
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"expected arrays of one length, got {x.shape[0]} and {y.shape[0]}")
    if x.shape[0] == 0:
        return
    cdef unsigned char[::1] results = <unsigned char[: y.shape[0] * sizeof(double)]> (
        <unsigned char *>&y[0]
    )
    with nogil:
        for i in range(x.shape[0]):
            addresses[0] = <size_t>&x[i]
            call_views(cif, <void *>function, results[i * sizeof(double) :], addresses)
