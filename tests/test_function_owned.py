"""What a running call owns, and in what order C memory ends."""

from __future__ import annotations

import contextlib
import copy
import gc
import sys
from collections import defaultdict

import numpy as np
import pytest
from checks import HAS_GIL, refused

import ffi

t = ffi.types
SOURCE = """
typedef struct { double x, y, z; } point;
typedef struct { int *p; long n; } box;
static void (*called)(void *);
void set_called(void (*function)(void *)) { called = function; }
int after_callback(int *p) { called(0); return p[0]; }
int after_callback_of_box(box b) { called(0); return b.p[0]; }
int after_callback_of_nothing(void) { called(0); return 5; }
point point_at(const double *p) { return (point){p[0], p[1], p[2]}; }
int log_of_ends[16], ends;
void end_inner(int *p) { log_of_ends[ends++] = 1; p[0] = -1; }
void end_outer(int *p) { log_of_ends[ends++] = p[0]; }
void end_outer_of_member(int **p) { log_of_ends[ends++] = **p; }
"""
POINT = ffi.struct({"x": "double", "y": "double", "z": "double"}, "point")
BOX = ffi.struct({"p": "int *", "n": "long"}, "box")
CALLBACK = ffi.CIF(t.void, t.pointer)


@pytest.fixture(scope="module")
def path(compile_c):
    return compile_c(SOURCE, "owned")


@pytest.fixture(params=[False, True], ids=["GIL kept", "GIL released"])
def lib(path, request):
    return ffi.dlopen(path, release_gil=request.param)


def call_back(lib, function):
    """Let C call a function without arguments, and return what has to live as long."""
    closure = ffi.Closure(CALLBACK, lambda *_: function())
    lib.function("void set_called(void *function)")(closure)
    return closure


def test_pointers_are_not_released_during_a_call(lib):
    p = ffi.new(("int", 4), [42] * 4)
    failures = []

    def release():
        try:
            p.release()
        except BufferError as exc:
            failures.append(exc)

    closure = call_back(lib, release)
    assert lib.function("int after_callback(int *p)")(p) == 42
    assert len(failures) == 1
    del closure
    p.release()


def test_arrays_are_not_resized_during_a_call(lib):
    array = np.full(4, 42, np.intc)
    failures = []

    def resize():
        try:
            array.resize(10**6)
        except ValueError as exc:
            failures.append(exc)

    closure = call_back(lib, resize)
    assert lib.function("int after_callback(int *p)")(array) == 42
    assert len(failures) == 1
    del closure


@pytest.mark.parametrize("kind", [copy.copy, tuple], ids=["record", "tuple"])
def test_what_records_point_at_is_held(lib, kind):
    pointer = ffi.new(("int", 16), [42] * 16)
    record = ffi.new(BOX, (pointer, 1))[0]
    given = copy.copy(record) if kind is copy.copy else (pointer, 1)
    del record, pointer
    others = []

    def drop():
        if kind is copy.copy:
            given.p = None
        gc.collect()
        others.extend(ffi.new(("int", 16), [7] * 16) for _ in range(50))

    closure = call_back(lib, drop)
    function = lib.function("after_callback_of_box", t.int, BOX)
    assert function(given) == 42
    del closure


def test_the_function_is_held(path):
    lib = ffi.dlopen(path, release_gil=False)
    address = ffi.dlsym(lib, "after_callback_of_nothing")
    # Which does not hold its factory while it calls it.
    values = defaultdict(ffi.Function(address, "int f(void)", release_gil=False))
    others = []

    def drop():
        values.default_factory = None
        others.extend(ffi.Function(address, "double g(double x)") for _ in range(50))

    closure = call_back(lib, drop)
    assert values[1] == 5
    del closure


def test_records_are_made_before_addresses_are_read(path):
    # The garbage collector may start where objects are made, and run Python code.
    lib = ffi.dlopen(path, release_gil=False)
    function = lib.function("point_at", POINT, "const double *")

    class Releases:
        def __del__(self):
            # Without a GIL the collector itself holds what it is about to end.
            with contextlib.nullcontext() if HAS_GIL else contextlib.suppress(BufferError):
                self.pointer.release()

    threshold = gc.get_threshold()
    try:
        for count in range(5, 60):
            gc.collect()
            cycle = Releases()
            cycle.pointer = pointer = ffi.new(("double", 3), [1.0] * 3)
            cycle.itself = cycle
            del cycle
            results = []
            gc.set_threshold(count)
            try:
                results.extend(function(pointer) for _ in range(80))
            except ValueError as exc:
                assert "released" in str(exc)  # noqa: PT017
            gc.set_threshold(*threshold)
            assert all(result.x == 1.0 for result in results)
    finally:
        gc.set_threshold(*threshold)


# --- the order of ends


def logged(lib):
    """Return what the destructors saw, oldest first."""
    count = int(np.asarray(ffi.view(ffi.dlsym(lib, "ends"), np.intc)))
    seen = ffi.view(ffi.dlsym(lib, "log_of_ends"), np.intc, 16)[:count].tolist()
    ffi.view(ffi.dlsym(lib, "ends"), np.intc)[()] = 0
    return seen


@pytest.mark.parametrize("in_cycle", [False, True])
@pytest.mark.parametrize("how", ["owner", "member"])
def test_destructors_end_what_they_need_last(path, how, in_cycle):
    lib = ffi.dlopen(path)
    inner = lib.function("void end_inner(int *p)")
    outer = lib.function("void end_outer(int *p)")
    p = ffi.gc(ffi.new("int", 7), inner)
    if how == "owner":
        q = ffi.gc(p, outer)
    else:
        # The member's memory ends after the struct that points there.
        q = ffi.gc(ffi.new("int *", p), ffi.dlsym(lib, "end_outer_of_member"))
    holder = type("Holder", (), {})()
    holder.pointers = [q]
    if in_cycle:
        holder.itself = holder
    del p, q, holder
    gc.collect()
    assert logged(lib) == [7, 1]


def test_pointers_to_ended_memory_are_released(path):
    lib = ffi.dlopen(path)
    saved = []

    class Saves:
        def __del__(self):
            saved.append(self.pointer)

    cycle = Saves()
    cycle.pointer = ffi.gc(ffi.new("int", 7), lib.function("void end_inner(int *p)"))
    cycle.itself = cycle
    del cycle
    gc.collect()
    assert logged(lib) == [1]
    with refused(ValueError, match="was released"):
        saved[0][0]
    with refused(ValueError, match="was released"):
        lib.function("void end_outer(int *p)")(saved[0])
    saved.clear()
    assert logged(lib) == []


# --- made of odd things


def test_release_gil_is_a_bool():
    address = ffi.dlsym(ffi.dlopen(None), "abs")
    assert ffi.Function(address, "int abs(int x)", release_gil=None).release_gil is True
    for value in (1, "no", np.zeros(3)):
        with refused(TypeError, match=r"argument 'release_gil': expected bool, got"):
            ffi.Function(address, "int abs(int x)", release_gil=value)


def test_check_errno_knows_long_doubles():
    ffi.set_errno(2)
    with refused(OSError, match="f"):
        ffi.check_errno(np.longdouble(-1), type("F", (), {"__name__": "f"})(), ())


def test_functions_are_as_many_as_before(path):
    lib = ffi.dlopen(path, release_gil=False)
    function = lib.function("point_at", POINT, "const double *")
    array = np.zeros(3)
    before = sys.getrefcount(function), sys.getrefcount(array)
    for _ in range(1000):
        function(array)
    assert (sys.getrefcount(function), sys.getrefcount(array)) == before
