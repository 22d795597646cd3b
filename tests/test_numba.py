"""Functions and callbacks beside numba, where it is installed: ``make numba`` does that."""

from __future__ import annotations

import ctypes
import threading

import pytest

import ffi

# It may need an older NumPy than there is, hence not among what all tests need.
numba = pytest.importorskip("numba")

SOURCE = """
double sum(double (*f)(double), int n)
{
    double s = 0;
    for (int i = 0; i < n; i++) s += f(i);
    return s;
}
"""


@pytest.fixture(scope="module")
def lib(compile_c):
    library = ffi.dlopen(compile_c(SOURCE, "summing"))
    library.cdef("double sum(double (*f)(double), int n);")
    return library


def test_function_compiled_by_numba(lib):
    square = numba.cfunc("float64(float64)")(lambda x: x * x)
    function = ffi.Function(square.address, "double (double)")
    assert function(3.0) == 9.0
    assert lib.sum(function, 5) == 30.0
    # ctypes' pointer keeps the machine code.
    assert ffi.Function(square.ctypes, "double (double)")(3.0) == 9.0


@pytest.mark.parametrize("nogil", [False, True])
def test_callback_in_compiled_code(nogil):
    seen = []

    @ffi.callback("double (double)", error=-1.0)
    def shifted(x):
        if x > 100:
            raise LookupError(f"no {x}")
        seen.append(threading.get_ident())
        return x + 1

    call = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(shifted.address)

    @numba.njit(nogil=nogil)
    def total(n):
        s = 0.0
        for i in range(n):
            s += call(float(i))
        return s

    assert total(10) == 55.0
    assert set(seen) == {threading.get_ident()}


def test_exception_in_compiled_code(unraisable):
    # No call of ours is there to raise it.
    bad = ffi.callback("double (double)", raiser(LookupError("no")), error=-1.0)
    call = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(bad.address)
    assert numba.njit(lambda x: call(x))(2.0) == -1.0
    assert unraisable.messages == ["no"]


def test_exception_through_compiled_code(lib):
    # One of ours is, and calls numba's function, which calls back.
    bad = ffi.callback("double (double)", raiser(LookupError("no")), error=-1.0)
    call = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(bad.address)
    compiled = numba.cfunc("float64(float64)")(lambda x: call(x))
    with pytest.raises(LookupError, match="no"):
        lib.sum(ffi.Function(compiled.address, "double (double)"), 3)


def raiser(error):
    def fail(*_):
        raise error

    return fail
