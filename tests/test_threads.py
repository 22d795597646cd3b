"""Many threads: one CIF, one Arguments, one Closure, storms of closures and libraries."""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pytest
from checks import HAS_GIL, Unraisable

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg
THREADS = 10
ADD = ffi.CIF(t.int, t.int, t.int)
INT_INT = ffi.CIF(t.int, t.int)


@pytest.fixture(autouse=True)
def switch_often():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def run_threads(work, count=THREADS):
    """Run ``work(number)`` in threads that start together, and raise what any of them raised."""
    barrier = threading.Barrier(count)
    results, failures = [None] * count, []

    def run(number):
        barrier.wait(30)
        try:
            results[number] = work(number)
        except BaseException as exc:
            failures.append(exc)
            raise

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []
    return results


@pytest.mark.parametrize("release_gil", [True, False])
def test_one_cif(symbol, release_gil):
    fn = symbol("add_int")

    def work(number):
        rvalue = bytearray(WORD)
        for i in range(500):
            ffi.call(ADD, fn, rvalue, ADD.pack(number, i), release_gil=release_gil)
            assert ADD.unpack(rvalue) == number + i
        return True

    assert run_threads(work) == [True] * THREADS


@pytest.mark.parametrize("release_gil", [True, False])
def test_one_arguments(symbol, release_gil):
    fn, args = symbol("sum_two_wide"), None
    wide = ffi.struct([("items", np.dtype((np.int64, 5)))])
    cif = ffi.CIF(t.int64, wide, wide)
    args = cif.pack((list(range(5)),), ([1] * 5,))
    before = bytes(args)

    def work(number):
        rvalue = np.zeros(1, np.int64)
        for _ in range(500):
            rvalue[0] = -1
            ffi.call(cif, fn, rvalue, args, release_gil=release_gil)
            assert rvalue[0] == 0
        return True

    assert run_threads(work) == [True] * THREADS
    assert bytes(args) == before


def test_one_array_of_addresses(symbol):
    fn = symbol("add_int")
    left, right = np.array([40], np.intc), np.array([2], np.intc)
    shared = [
        np.array([left.ctypes.data, right.ctypes.data], np.uintp),
        bytearray(np.array([left.ctypes.data, right.ctypes.data], np.uintp)),
        [left, right],
    ]

    def work(number):
        rvalue = np.zeros(WORD, np.uint8)
        for i in range(500):
            ffi.call(ADD, fn, rvalue, shared[i % 3])
            assert ADD.unpack(rvalue) == 42
        return True

    assert run_threads(work) == [True] * THREADS


@pytest.mark.parametrize("release_gil", [True, False])
def test_one_closure(symbol, release_gil):
    def function(rvalue, avalues):
        ffi.write(t.int, rvalue, -int(ffi.view(avalues[0], t.int)[()]))

    closure = ffi.Closure(INT_INT, function)
    cif = ffi.CIF(t.int, t.pointer, t.int)

    def work(number):
        rvalue = bytearray(WORD)
        for i in range(200):
            value = 1000 * number + i
            ffi.call(INT_INT, closure, rvalue, INT_INT.pack(value), release_gil=release_gil)
            assert INT_INT.unpack(rvalue) == -value
            args = cif.pack(closure, value)
            ffi.call(cif, symbol("call_int"), rvalue, args, release_gil=release_gil)
            assert cif.unpack(rvalue) == -value
        return True

    assert run_threads(work) == [True] * THREADS


def test_storm_of_closures(symbol, monkeypatch):
    hook = Unraisable()
    monkeypatch.setattr(sys, "unraisablehook", hook)
    # Two signatures share the quarantine, and dead code is used again all the time.
    other = ffi.CIF(t.double, t.double)

    def work(number):
        rvalue = np.zeros(2)
        for i in range(600):
            value = 1000 * number + i

            def function(result, avalues, value=value):
                ffi.write(t.int, result, value)

            def other_function(result, avalues, value=value):
                ffi.write(t.double, result, value + 0.5)

            closures = [ffi.Closure(INT_INT, function), ffi.Closure(other, other_function)]
            ffi.call(INT_INT, closures[0], rvalue, INT_INT.pack(1))
            assert INT_INT.unpack(rvalue) == value
            ffi.call(other, closures[1], rvalue, other.pack(1.0))
            assert other.unpack(rvalue) == value + 0.5
            address = closures[0].address
            del closures, function
            ffi.call(INT_INT, address, rvalue, INT_INT.pack(1))
        return True

    assert run_threads(work) == [True] * THREADS
    # Dead code is used again after 1024 more deaths at the earliest.
    assert hook.kinds == [ffi.errors.FFIReferenceError] * (600 * THREADS)


def test_living_closures_of_all_threads_differ():
    def work(number):
        return [ffi.Closure(INT_INT, print) for _ in range(300)]

    closures = [closure for made in run_threads(work) for closure in made]
    assert len({closure.address for closure in closures}) == 300 * THREADS


def test_foreign_threads_while_closures_die(symbol, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", Unraisable())
    cif = ffi.CIF(t.int, t.pointer, t.int, t.int, t.int)

    def work(number):
        def function(result, avalues):
            if holder and number % 2:
                holder.clear()
            ffi.write(t.int, result, 1)

        for _ in range(15):
            holder = [ffi.Closure(INT_INT, function)]
            rvalue = bytearray(WORD)
            args = cif.pack(holder[0].address, 1, 20, 3)
            ffi.call(cif, symbol("call_from_threads"), rvalue, args)
            # It lives for all calls, or for the first and those that were under way with it; where
            # there is no GIL, it may end only when the thread that made it goes on.
            alive = cif.unpack(rvalue)
            assert alive == 60 if number % 2 == 0 else 1 <= alive <= (3 if HAS_GIL else 60)
            gc.collect(0)
        return True

    assert run_threads(work, 8) == [True] * 8


def test_libraries(cases, tmp_path):
    def work(number):
        for _ in range(100):
            library = ffi.dlopen(cases)
            address = ffi.dlsym(library, "add_int")
            rvalue = bytearray(WORD)
            ffi.call(ADD, address, rvalue, ADD.pack(number, 1))
            assert ADD.unpack(rvalue) == number + 1
            for name in (f"missing_{number}", "no such symbol"):
                with pytest.raises(OSError, match=name) as caught:
                    ffi.dlsym(library, name)
                assert isinstance(caught.value, ffi.Error)
            with pytest.raises(OSError, match=f"absent-{number}-"):
                ffi.dlopen(tmp_path / f"absent-{number}-.so")
            ffi.dlclose(library)
            with pytest.raises(ValueError, match="closed"):
                ffi.dlsym(library, "add_int")
        return True

    assert run_threads(work, 8) == [True] * 8


def test_one_handle_is_closed_once(cases):
    for _ in range(50):
        library = ffi.dlopen(cases)

        def work(number, library=library):
            try:
                ffi.dlsym(library, "add_int")
                ffi.dlclose(library)
            except ValueError:
                return 0
            return 1

        assert sum(run_threads(work, 4)) == 1


def test_types_and_cifs_are_made_by_all():
    def work(number):
        made = []
        for i in range(100):
            inner = ffi.struct([("a", t.int), ("b", np.dtype((np.float64, (i % 5 + 1,))))])
            made.append(ffi.CIF(t.void, ffi.struct([("x", inner), ("y", t.char)]), t.int))
        return made

    results = run_threads(work)
    assert all(made == results[0] for made in results)
    assert len({hash(cif) for cif in results[0]}) == 5


def test_equal_types_of_many_threads():
    # Made, compared and dropped at the same time.
    def make(number):
        for i in range(2000):
            one = ffi.struct([("x", (t.int, 1 + i % 7)), ("p", "double *")])
            other = ffi.struct([("x", (t.int, 1 + i % 7)), ("p", "double *")])
            assert one == other
        return ffi.struct([("x", (t.int, number // 2 + 1))])

    types = run_threads(make)
    assert types[0] == types[1] != types[2]
