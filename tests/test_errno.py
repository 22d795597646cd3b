"""C's errno between calls, in closures and threads; errcheck; check_errno."""

from __future__ import annotations

import errno
import os
import threading

import numpy as np
import pytest
from checks import DIRECT, refused, run_python

import ffi

t = ffi.types
SOURCE = """
#include <errno.h>
#include <stddef.h>
int swap(int value) { int before = errno; errno = value; return before; }
int seen(void) { return errno; }
int around(int value, void (*function)(void)) { errno = value; function(); return errno; }
void *null_or(void *p, int value) { errno = value; return p; }
double real(double x) { errno = ERANGE; return x; }
struct big { long items[40]; };
struct big bigger(struct big b) { b.items[0] = errno; errno = 77; return b; }
"""


@pytest.fixture(scope="module")
def path(compile_c):
    return compile_c(SOURCE, "errno")


@pytest.fixture(params=[True, False], ids=["released", "kept"])
def library(request, path):
    ffi.set_errno(0)
    yield ffi.dlopen(path, release_gil=request.param)
    ffi.set_errno(0)


# --- get and set


@pytest.mark.parametrize("errcheck", [None, lambda result, function, args: result])
def test_kept_from_call_to_call(library, errcheck):
    swap = library.function("int swap(int value)", errcheck=errcheck)
    assert ffi.set_errno(5) == 0
    assert swap(7) == 5
    assert ffi.get_errno() == 7
    # Python's own calls into C change nothing here.
    with pytest.raises(FileNotFoundError):
        os.stat("/no/such/file")
    assert swap(-3) == 7
    assert ffi.set_errno(0) == -3
    assert ffi.get_errno() == 0
    assert swap(0) == 0


def test_of_functions_of_either_path(library):
    big = ffi.struct([("items", (t.long, 40))], "struct big")
    bigger = library.function("bigger", big, big)
    ffi.set_errno(11)
    assert bigger((list(range(40)),)).items[0] == 11
    assert ffi.get_errno() == 77


def test_raw_calls_are_the_same(library):
    swap, cif = library.function("int swap(int value)"), ffi.CIF("int", "int")
    rvalue = bytearray(ffi.sizeof.ffi_arg)
    for release_gil in (True, False):
        ffi.set_errno(3)
        ffi.call(cif, swap.address, rvalue, cif.pack(4), release_gil=release_gil)
        assert cif.unpack(rvalue) == 3
        assert ffi.get_errno() == 4
        assert swap(5) == 4


def test_refused_calls_leave_it(library):
    swap = library.function("int swap(int value)")
    ffi.set_errno(9)
    for wrong in ("x", 2**31, None):
        with pytest.raises(ffi.Error):
            swap(wrong)
    assert ffi.get_errno() == 9


def test_each_thread_has_its_own(library):
    swap = library.function("int swap(int value)")
    ffi.set_errno(1000)
    barrier = threading.Barrier(4)
    problems = []

    def work(number):
        if ffi.get_errno() != 0:
            problems.append("a new thread starts with 0")
        last = 0
        for i in range(300):
            barrier.wait(30)
            if (found := swap(number * 1000 + i)) != last:
                problems.append((number, i, found, last))
            last = number * 1000 + i
            if ffi.get_errno() != last:
                problems.append((number, i, ffi.get_errno()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    assert ffi.get_errno() == 1000


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31), 0, np.int8(5), True])
def test_set_errno(value):
    before = ffi.get_errno()
    assert ffi.set_errno(value) == before
    assert ffi.get_errno() == value
    assert type(ffi.get_errno()) is int
    assert ffi.set_errno(before) == value


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 10**30])
def test_set_errno_out_of_range(value):
    before = ffi.get_errno()
    with refused(OverflowError, match=rf"^set_errno\(\): expected an int in .*, got {value}$"):
        ffi.set_errno(value)
    assert ffi.get_errno() == before


@pytest.mark.parametrize("value", [1.0, None, "1", b"1", [1], np.float64(1), np.array(1)])
def test_set_errno_of_no_int(value):
    with refused(TypeError, match=rf"^set_errno\(\): expected an int, got {type(value).__name__} "):
        ffi.set_errno(value)


# --- closures


def test_closures_see_cs_errno(library):
    inside = []

    def function(rvalue, avalues):
        inside.append(ffi.get_errno())
        # What Python does meanwhile is not what C sees.
        assert not os.path.exists("/no/such/file")
        inside.append(ffi.set_errno(inside[0] + 1))

    closure = ffi.Closure(ffi.CIF("void"), function)
    around = library.function("int around(int value, void *function)")
    ffi.set_errno(50)
    assert around(20, closure) == 21
    assert inside == [20, 20]
    assert ffi.get_errno() == 21


def test_calls_inside_closures(library):
    swap = library.function("int swap(int value)")
    found = []
    closure = ffi.Closure(ffi.CIF("void"), lambda *_: found.append(swap(31)))
    around = library.function("int around(int value, void *function)")
    # The call inside goes on with C's errno, and leaves its own.
    assert around(30, closure) == 31
    assert found == [30]


# --- errcheck


def test_errcheck(library):
    given = []

    def check(result, function, args):
        given.append((result, function, args, ffi.get_errno()))
        return "checked"

    swap = library.function("int swap(int value)", errcheck=check)
    ffi.set_errno(1)
    assert swap(value=2) == "checked"
    value = np.int16(3)
    assert swap(value) == "checked"
    assert given == [(1, swap, (2,), 2), (2, swap, (3,), 3)]
    assert given[1][2][0] is value
    assert type(given[0][2]) is tuple


def test_errcheck_may_raise_or_give_none(library):
    def check(result, function, args):
        if args[0] == 1:
            raise LookupError("mine")

    swap = library.function("int swap(int value)", errcheck=check)
    with pytest.raises(LookupError, match=r"^mine$"):
        swap(1)
    assert swap(2) is None
    with refused(TypeError, match=r"^swap\(\): argument 'value'"):
        swap("x")


def test_errcheck_sees_arguments_in_order(compile_c):
    def check(result, function, args):
        return args

    source = "int three(int a, double b, const char *c) { return 0; }"
    library = ffi.dlopen(compile_c(source, "three"))
    three = library.function("int three(int a, double b, const char *c)", errcheck=check)
    assert three(c="x", a=1, b=2.5) == (1, 2.5, "x")


# --- check_errno


def test_check_errno(library):
    swap = library.function("int swap(int value)", errcheck=ffi.check_errno)
    ffi.set_errno(0)
    assert swap(errno.ENOENT) == 0
    assert swap(-5) == errno.ENOENT
    with refused(OSError, match=r"^\[Errno 13\] swap\(\): Permission denied$"):
        # What comes back is what was there before.
        ffi.set_errno(-1)
        swap(errno.EACCES)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EINTR, 0])
def test_check_errno_of_pointers(library, number):
    null_or = library.function("void *null_or(void *p, int value)", errcheck=ffi.check_errno)
    assert null_or(5, number).address == 5
    with pytest.raises(ffi.errors.FFIOSError, match=r"null_or") as caught:
        null_or(None, number)
    assert caught.value.errno == number
    assert caught.value.strerror == f"null_or(): {os.strerror(number)}"


def test_check_errno_of_numbers(library):
    real = library.function("double real(double x)", errcheck=ffi.check_errno)
    assert real(0.0) == 0.0
    with refused(OSError, match=r"real\(\): "):
        real(-0.5)
    function = library.function("int swap(int value)")
    for result in (0, 1, 10**30, 0.0, "x", (), True, np.float32(1)):
        assert ffi.check_errno(result, function, ()) is result
    for result in (-1, -0.1, -(10**30), None, np.float64(-1)):
        with refused(OSError, match=r"swap\(\): "):
            ffi.check_errno(result, function, ())


# --- without direct calls


@pytest.mark.skipif(not DIRECT, reason="everything goes through libffi here")
def test_the_same_through_libffi(path):
    run_python(
        """if True:
            import os, sys
            os.environ["FFI_NO_DIRECT"] = "1"
            import ffi
            for release_gil in (True, False):
                library = ffi.dlopen(sys.argv[1], release_gil=release_gil)
                swap = library.function("int swap(int value)")
                assert swap.cif.path == "libffi"
                ffi.set_errno(5)
                assert swap(7) == 5
                assert ffi.get_errno() == 7
        """,
        path,
    )
