"""Calls while things end or change: libraries, buffers, pointers; threads, recursion."""

from __future__ import annotations

import array
import gc
import sys
import threading

import numpy as np
import pytest
from checks import refused
from test_meddling import Meddler, shrinkable

import ffi

SOURCE = """
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
int add(int a, int b) { return a + b; }
double half(double x) { return x / 2; }
/* Reads what it was given, and its argument after. */
int64_t total(const unsigned char *data, size_t size, int extra)
{
    int64_t sum = extra;
    for (size_t i = 0; i < size; i++) sum += data[i];
    return sum;
}
int64_t total_after(int size, const unsigned char *data) { return total(data, size, 0); }
void fill(void *data, int size) { memset(data, 1, size); }
int nap(int milliseconds) { usleep(1000 * milliseconds); return milliseconds; }
int nested(int depth, int (*function)(int)) { return depth ? function(depth - 1) + 1 : 0; }
const char *text(const char *s) { return s; }
"""


@pytest.fixture(scope="module")
def path(compile_c):
    return compile_c(SOURCE, "life")


@pytest.fixture
def library(path):
    return ffi.dlopen(path)


# --- arguments that meddle with others


@pytest.mark.parametrize("which", range(6))
@pytest.mark.parametrize("pointer", ["const unsigned char *", "const void *"])
def test_buffers_that_shrink_meanwhile(library, which, pointer):
    buffer, shrink = list(shrinkable())[which]
    total = library.function(f"int64_t total({pointer}data, size_t size, int extra)")
    try:
        assert total(buffer, 0, Meddler(shrink, 7)) == 7
    except BufferError:
        # The buffer was held, so that it could not shrink.
        assert len(buffer) in (64, 10**6)
    except ValueError as error:
        # A released view has nothing to give.
        if not isinstance(error, ffi.Error) or not isinstance(buffer, memoryview):
            raise


def test_arrays_that_move_meanwhile(library):
    # Addresses are read last: C sees the array where it is now.
    fill = library.function("void fill(void *data, int size)")
    for _ in range(20):
        data = np.zeros(10, np.uint8)
        move = Meddler(lambda data=data: data.resize(10**6, refcheck=False), 10**6)
        fill(data, move)
        assert data.sum() == 10**6


@pytest.mark.filterwarnings("ignore:Setting the dtype:DeprecationWarning")
def test_arrays_that_turn_wrong_meanwhile(library):
    fill = library.function("void fill(void *data, int size)")
    data = np.zeros(8, np.uint8)

    def protect():
        data.flags.writeable = False

    with refused(TypeError, match=r"^fill\(\): argument 'data': expected a writable array"):
        fill(data, Meddler(protect, 8))
    assert not data.any()
    total = library.function("int64_t total(const unsigned char *data, size_t size, int extra)")
    data = np.zeros(8, np.uint8)

    def retype():
        data.dtype = np.float64

    with refused(TypeError, match=r"^total\(\): argument 'data': expected a buffer of bytes"):
        total(data, Meddler(retype, 8), 0)


def test_memory_that_is_released_meanwhile(library):
    total = library.function("int64_t total(const unsigned char *data, size_t size, int extra)")
    p = ffi.new(("uchar", 100))
    # What comes first is held already.
    with refused(
        BufferError, match=r"^total\(\): argument 'extra': Pointer.release\(\): .* still use"
    ):
        total(p, 100, Meddler(p.release, 0))
    assert total(p, 100, 3) == 3
    behind = library.function("int64_t total_after(int size, const unsigned char *data)")
    p = ffi.new(("uchar", 100))
    with refused(ValueError, match=r"^total_after\(\): argument 'data': .* was released$"):
        behind(Meddler(p.release, 100), p)


def test_arguments_dropped_meanwhile(library):
    # The caller's list gives up its array; the call still holds it.
    total = library.function("int64_t total(const unsigned char *data, size_t size, int extra)")
    arguments = [np.ones(10**6, np.uint8), 10**6]
    arguments.append(Meddler(arguments.clear, 5))
    assert total(*arguments) == 10**6 + 5
    assert arguments == []


def test_exporters_that_end_others_meanwhile():
    p = ffi.new(("uchar", 100))

    class Exporter:
        @property
        def __array_interface__(self):
            p.release()
            return np.ones(4, np.uint8).__array_interface__

    compare = ffi.dlopen(None).function("int memcmp(const void *a, const void *b, size_t n)")
    with refused(
        TypeError, match=r"^memcmp\(\): argument 'b': .* Pointer.release\(\): .* still use"
    ):
        compare(p, Exporter(), 0)
    with refused(ValueError, match=r"^memcmp\(\): argument 'b': .* was released$"):
        compare(Exporter(), p, 0)


def test_buffers_are_given_back(library):
    total = library.function("int64_t total(const unsigned char *data, size_t size, int extra)")
    for buffer in (bytearray(b"\1\2\3"), array.array("B", [1, 2, 3])):
        assert total(buffer, 3, 0) == 6
        with pytest.raises(ffi.Error):
            total(buffer, 3, "x")
        # Nothing is held any more.
        buffer.append(4)
        assert total(memoryview(buffer), 4, 0) == 10


def test_the_library_is_closed_by_an_argument(path):
    library = ffi.dlopen(path)
    add = library.function("int add(int a, int b)")
    # The call has begun, and holds what it needs.
    assert add(1, Meddler(lambda: ffi.dlclose(library), 2)) == 3
    with refused(ValueError, match=r"^add\(\): '.*' is closed$"):
        add(1, 2)


# --- libraries that end


def test_closed_by_another_thread(path):
    for release_gil in (True, False):
        library = ffi.dlopen(path, release_gil=release_gil)
        add = library.function("int add(int a, int b)")
        started, ends = threading.Barrier(4), []

        def work(add=add, started=started, ends=ends):
            started.wait(30)
            try:
                for i in range(10**8):
                    assert add(i & 0xFFFF, 1) == (i & 0xFFFF) + 1
            except ValueError as error:
                ends.append(str(error))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        started.wait(30)
        threads[0].join(0.05)
        ffi.dlclose(library)
        for thread in threads:
            thread.join(60)
        assert ends == [f"add(): {str(path)!r} is closed"] * 3


def test_closed_during_a_call(path):
    library = ffi.dlopen(path)
    nap = library.function("int nap(int milliseconds)")
    results = []
    thread = threading.Thread(target=lambda call=nap: results.append(call(200)))
    thread.start()
    thread.join(0.05)
    ffi.dlclose(library)
    del library, nap
    gc.collect()
    thread.join(30)
    assert results == [200]


def test_results_keep_the_library(path):
    text = ffi.dlopen(path).function("const char *text(const char *s)")
    value = b"kept"
    p = text(value)
    del text
    gc.collect()
    assert p.string() == b"kept"


# --- recursion and threads


@pytest.mark.parametrize("release_gil", [True, False])
def test_recursion(path, release_gil):
    library = ffi.dlopen(path, release_gil=release_gil)
    nested = library.function("int nested(int depth, void *function)")

    def function(rvalue, avalues):
        depth = int(ffi.view(avalues[0], "int"))
        ffi.write("int", rvalue, nested(depth, closure))

    closure = ffi.Closure(ffi.CIF("int", "int"), function)
    assert nested(50, closure) == 50
    assert nested(0, closure) == 0


@pytest.mark.parametrize("release_gil", [True, False])
def test_two_threads(path, release_gil):
    count = 10**6 if not release_gil else 2 * 10**5
    library = ffi.dlopen(path, release_gil=release_gil)
    add, half = library.function("int add(int a, int b)"), library.function("double half(double x)")
    before = sys.getrefcount(add)
    failures, done = [], []

    def work(number):
        for i in range(count):
            if add(i, number) != i + number or half(i) != i / 2:
                failures.append((number, i))
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert failures == []
    assert sorted(done) == [0, 1]
    assert sys.getrefcount(add) == before
