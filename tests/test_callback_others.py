"""Callbacks beside other packages and common C libraries: numba, qsort_r, logging threads."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest
from checks import refused
from needs import need_module

import ffi

SOURCE = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
typedef void (*logger)(int level, const char *message, void *data);
static struct { logger log; void *data; int count; pthread_t thread; } state;
static void *work(void *data)
{
    (void)data;
    for (int i = 0; i < state.count; i++) {
        char message[32];
        snprintf(message, sizeof(message), "step %d", i);
        state.log(i % 3, message, state.data);
    }
    return NULL;
}
int start(logger log, void *data, int count)
{
    state.log = log, state.data = data, state.count = count;
    return pthread_create(&state.thread, NULL, work, NULL);
}
int stop(void) { return pthread_join(state.thread, NULL); }
double sum(double (*f)(double), int n)
{
    double s = 0;
    for (int i = 0; i < n; i++) s += f(i);
    return s;
}
"""
HEADER = """
int start(void (*log)(int level, const char *message, void *data), void *data, int count);
int stop(void);
double sum(double (*f)(double), int n);
"""


@pytest.fixture(scope="module")
def lib(compile_c):
    library = ffi.dlopen(compile_c(SOURCE, "others", "-lpthread"))
    library.cdef(HEADER)
    return library


# --- numba


def test_function_compiled_by_numba(lib):
    numba = need_module("numba")
    square = numba.cfunc("float64(float64)")(lambda x: x * x)
    function = ffi.Function(square.address, "double (double)")
    assert function(3.0) == 9.0
    assert lib.sum(function, 5) == 30.0
    # ctypes' pointer keeps the machine code.
    assert ffi.Function(square.ctypes, "double (double)")(3.0) == 9.0


@pytest.mark.parametrize("nogil", [False, True])
def test_callback_in_compiled_code(nogil):
    numba = need_module("numba")
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
    numba = need_module("numba")
    bad = ffi.callback("double (double)", raiser(LookupError("no")), error=-1.0)
    call = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(bad.address)
    assert numba.njit(lambda x: call(x))(2.0) == -1.0
    assert unraisable.messages == ["no"]


def test_exception_through_compiled_code(lib):
    # One of ours is, and calls numba's function, which calls back.
    numba = need_module("numba")
    bad = ffi.callback("double (double)", raiser(LookupError("no")), error=-1.0)
    call = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(bad.address)
    compiled = numba.cfunc("float64(float64)")(lambda x: call(x))
    with pytest.raises(LookupError, match="no"):
        lib.sum(ffi.Function(compiled.address, "double (double)"), 3)


def raiser(error):
    def fail(*_):
        raise error

    return fail


# --- sorting with user data


@pytest.fixture
def qsort_r():
    try:
        return ffi.dlopen(None).function(
            "void qsort_r(void *base, size_t n, size_t size,"
            " int (*compare)(const int *a, const int *b, void *data), void *data)"
        )
    except OSError:
        pytest.skip("no qsort_r in the C library")


def test_sort_by_user_data(qsort_r):
    """Indices are sorted by the values that the user's pointer leads to."""
    values = np.random.default_rng(0).random(200)
    order = np.random.default_rng(1).permutation(200).astype(np.intc)

    @ffi.callback("int (const int *a, const int *b, void *data)")
    def compare(a, b, data):
        keys = data.cast("const double *").view(200)
        return int(np.sign(keys[a[0]] - keys[b[0]]))

    qsort_r(order, order.size, order.itemsize, compare, values)
    np.testing.assert_array_equal(order, np.argsort(values))


def test_sort_that_fails(qsort_r):
    order = np.arange(10, dtype=np.intc)[::-1].copy()
    calls = []

    def compare(a, b, data):
        calls.append(data)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        qsort_r(order, order.size, order.itemsize, compare, None)
    assert calls == [None]
    assert sorted(order) == list(range(10))
    with refused(TypeError, match=r"<lambda>\(\): result: expected an integer for int32"):
        qsort_r(order, order.size, order.itemsize, lambda a, b, data: "less", None)


# --- messages from a thread of the library


def test_log_from_a_thread(lib):
    """The callback outlives the call it was passed to, and the messages come from elsewhere."""
    messages = []

    @ffi.callback("void (int level, const char *message, void *data)")
    def log(level, message, data):
        data.cast("int *")[0] += 1
        messages.append((level, message.string(), threading.get_ident()))

    count = np.zeros(1, np.intc)
    assert lib.start(log, count, 100) == 0
    assert lib.stop() == 0
    assert [(level, text) for level, text, _ in messages] == [
        (i % 3, b"step %d" % i) for i in range(100)
    ]
    assert threading.get_ident() not in {thread for *_, thread in messages}
    assert len({thread for *_, thread in messages}) == 1
    assert count[0] == 100


def test_log_that_fails(lib, unraisable):
    """The call that the callback was passed to is over: the hook is told, each time."""
    log = ffi.callback(
        "void (int level, const char *message, void *data)", raiser(LookupError("no log"))
    )
    assert lib.start(log, None, 3) == 0
    assert lib.stop() == 0
    assert unraisable.messages == ["no log"] * 3
