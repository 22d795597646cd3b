# cython: language_level=3, freethreading_compatible=True
"""Integrals of C functions that are known only at run time."""

from cython.parallel cimport prange

from ffi.capi cimport Call, as_call, invoke, raise_pending


def integrate(function, double a, double b, int n):
    """Integrate a double f(double) from a to b by the trapezoidal rule, in n steps."""
    cdef const Call *call = as_call(function)
    cdef double x, y, total = 0
    cdef void *avalues[1]
    cdef int i, failed = 0
    check(function, n)
    avalues[0] = &x
    with nogil:
        for i in range(n + 1):
            x = a + (b - a) * i / n
            failed = invoke(call, &y, avalues)
            if failed:
                break
            total += y / 2 if i == 0 or i == n else y
    if failed:
        raise_pending()
    return total * (b - a) / n


def tabulate(function, double[::1] x, double[::1] y):
    """Write f(x[i]) to y[i] for each i, in parallel."""
    cdef const Call *call = as_call(function)
    cdef Py_ssize_t i
    check(function, 1)
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"expected arrays of one length, got {x.shape[0]} and {y.shape[0]}")
    for i in prange(x.shape[0], nogil=True):
        evaluate(call, &x[i], &y[i])


cdef int evaluate(const Call *call, double *x, double *y) except -1 nogil:
    cdef void *avalues[1]
    avalues[0] = x
    if invoke(call, y, avalues):
        # On the thread that has made the call, so here, and not after the loop.
        with gil:
            raise_pending()
    return 0


cdef int check(function, int n) except -1:
    # invoke trusts its caller: what it calls must be what it is called as.
    if function.rtype.name != "double" or [t.name for t in function.atypes] != ["double"]:
        raise TypeError(f"expected a double f(double), got {function.prototype}")
    if n < 1:
        raise ValueError(f"expected one step or more, got {n}")
    return 0
