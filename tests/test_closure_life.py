"""Closure: when it dies, when the interpreter ends, and when it calls itself."""

from __future__ import annotations

import gc
import re
import threading
from contextlib import contextmanager

import pytest
from checks import run_python

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg
INT_INT = ffi.CIF(t.int, t.int)
KEEP = ffi.CIF(t.void, t.pointer)
# What the reference promises: so many later deaths until a dead closure's code is used again.
QUARANTINE = 1024


@contextmanager
def no_collection():
    """Keep other tests' closures from dying in between."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def answer(value):
    def function(rvalue, avalues):
        ffi.write(t.int, rvalue, value)

    return function


def call_int(function, value):
    rvalue = bytearray(b"\xaa" * WORD)
    ffi.call(INT_INT, function, rvalue, INT_INT.pack(value))
    return INT_INT.unpack(rvalue)


def test_kept_by_c_and_dropped_by_python(symbol, unraisable):
    closure = ffi.Closure(INT_INT, answer(5))
    ffi.call(KEEP, symbol("keep_function"), None, KEEP.pack(closure))
    assert call_int(symbol("call_kept"), 3) == 5
    del closure
    gc.collect()
    for count in (1, 2, 3):
        assert call_int(symbol("call_kept"), 3) == 0
        assert unraisable.kinds == [ffi.errors.FFIReferenceError] * count
    assert issubclass(ffi.errors.FFIReferenceError, ReferenceError)
    assert "keep a reference" in unraisable.messages[0]
    assert repr(INT_INT) in unraisable.messages[0]
    assert unraisable.objects[0] == repr(INT_INT)


def test_dead_closure_called_from_another_thread(symbol, unraisable):
    address = ffi.Closure(INT_INT, answer(5)).address
    cif = ffi.CIF(t.int, t.pointer, t.int, t.int, t.int)
    rvalue = bytearray(WORD)
    ffi.call(cif, symbol("call_from_threads"), rvalue, cif.pack(address, 3, 5, 4))
    assert cif.unpack(rvalue) == 0
    assert unraisable.kinds == [ffi.errors.FFIReferenceError] * 20


def test_pack_keeps_a_closure(symbol):
    args = KEEP.pack(ffi.Closure(INT_INT, answer(6)))
    gc.collect()
    ffi.call(KEEP, symbol("keep_function"), None, args)
    assert call_int(symbol("call_kept"), 3) == 6


def own_cif(size):
    """A signature that no other test has."""
    odd = ffi.struct([(f"m{i}", t.char) for i in range(size)])
    return ffi.CIF(t.int, t.int, odd)


def test_quarantine():
    cif, other = own_cif(11), own_cif(12)
    with no_collection():
        first = ffi.Closure(cif, answer(1))
        address = first.address
        del first
        for _ in range(QUARANTINE):
            closure = ffi.Closure(cif, answer(2))
            assert closure.address != address
            del closure
        taken = {ffi.Closure(other, answer(3)).address for _ in range(3 * QUARANTINE)}
        assert address not in taken
        assert ffi.Closure(ffi.CIF(*[cif.rtype, *cif.atypes]), answer(4)).address == address


def test_code_is_used_again():
    cif = own_cif(13)
    with no_collection():
        addresses = {ffi.Closure(cif, answer(1)).address for _ in range(5 * QUARANTINE)}
    assert len(addresses) <= QUARANTINE + 1


def test_used_again_calls_the_new_function(unraisable):
    with no_collection():
        address = ffi.Closure(INT_INT, answer(1)).address
        assert call_int(address, 0) == 0
        # Other tests' dead closures come first.
        for _ in range(50 * QUARANTINE):
            closure = ffi.Closure(INT_INT, answer(2))
            if closure.address == address:
                break
            del closure
    assert call_int(address, 0) == 2
    assert unraisable.kinds == [ffi.errors.FFIReferenceError]


def test_living_closures_have_different_code():
    closures = [ffi.Closure(INT_INT, answer(i)) for i in range(5000)]
    assert len({closure.address for closure in closures}) == 5000
    assert [call_int(closure, 0) for closure in closures] == list(range(5000))


def test_freed_inside_itself(symbol, unraisable):
    def function(rvalue, avalues):
        holder.clear()
        gc.collect()
        ffi.write(t.int, rvalue, 9)

    holder = [ffi.Closure(INT_INT, function)]
    address = holder[0].address
    assert call_int(address, 1) == 9
    assert (holder, unraisable.kinds) == ([], [])
    assert call_int(address, 1) == 0
    assert unraisable.kinds == [ffi.errors.FFIReferenceError]


def test_dropped_by_another_thread_while_it_runs(unraisable):
    entered, dropped = threading.Event(), threading.Event()

    def function(rvalue, avalues):
        entered.set()
        dropped.wait(10)
        ffi.write(t.int, rvalue, 9)

    holder = [ffi.Closure(INT_INT, function)]
    del function
    results = []
    address = holder[0].address
    thread = threading.Thread(target=lambda: results.append(call_int(address, 1)))
    thread.start()
    entered.wait(10)
    holder.clear()
    gc.collect()
    dropped.set()
    thread.join()
    assert (results, unraisable.kinds) == ([9], [])


def test_dead_function_is_released():
    class Resource:
        deleted = False

        def __call__(self, rvalue, avalues):
            pass

        def __del__(self):
            Resource.deleted = True

    closure = ffi.Closure(INT_INT, Resource())
    call_int(closure, 1)
    assert not Resource.deleted
    del closure
    gc.collect()
    assert Resource.deleted


# --- recursion

RECURSION = """
import os, sys, ffi
os.dup2(1, 2)
t = ffi.types
cif = ffi.CIF(t.int, t.int)
deepest = 0
def function(rvalue, avalues):
    global deepest
    depth = int(ffi.view(avalues[0], t.int)[()])
    deepest = max(deepest, depth)
    if depth != stop:
        result = bytearray(ffi.sizeof.ffi_arg)
        ffi.call(cif, closure, result, cif.pack(depth + 1))
        depth = cif.unpack(result)
    ffi.write(t.int, rvalue, depth)
closure = ffi.Closure(cif, function)
def run():
    result = bytearray(ffi.sizeof.ffi_arg)
    ffi.call(cif, closure, result, cif.pack(1))
    return cif.unpack(result)
stop = 150
assert run() == 150, deepest
stop = -1
assert run() == 0
assert deepest > 150
stop = 150
assert run() == 150
print("done")
"""


def test_recursion_without_end():
    # At the limit the hook may have no room to run in; then Python drops the report.
    output = run_python(RECURSION)
    assert "done\n" in output
    assert set(re.findall(r"\w+Error", output)) <= {"RecursionError"}


# --- the end of the interpreter

START = """
import sys, threading, time, ffi
library = ffi.dlopen(sys.argv[1])
t = ffi.types
cif, keep, start = ffi.CIF(t.int, t.int), ffi.CIF(t.void, t.pointer), ffi.CIF(t.int)
def function(rvalue, avalues):
    ffi.write(t.int, rvalue, 5)
closure = ffi.Closure(cif, function)
ffi.call(keep, ffi.dlsym(library, "keep_function"), None, keep.pack(closure))
def run(name):
    result = bytearray(ffi.sizeof.ffi_arg)
    ffi.call(start, ffi.dlsym(library, name), result, None)
    return start.unpack(result)
"""


@pytest.mark.parametrize(
    "ending", ["", "del closure", "raise SystemExit(0)", "del ffi, t, library"]
)
def test_called_by_atexit_of_c(cases, ending):
    code = f"{START}\nassert run('register_at_exit') == 0\n{ending}"
    assert run_python(code, cases) == "at exit C got 0\n"


@pytest.mark.parametrize("ending", ["", "del closure", "raise SystemExit(0)", "threads"])
@pytest.mark.parametrize("repeat", range(3))
def test_c_thread_calls_while_python_ends(cases, ending, repeat):
    if ending == "threads":
        # Other Python threads die meanwhile, and the function holds the interpreter longer.
        ending = (
            "def wait(): time.sleep(0.05)\n"
            "threading.Thread(target=wait).start()\n"
            "threading.Thread(target=wait, daemon=True).start()"
        )
    code = (
        f"{START}\n"
        "assert run('start_background_calls') == 0\n"
        "while run('get_background_calls') < 20: time.sleep(0.001)\n"
        f"{'sys.unraisablehook = lambda _: None' if ending == 'del closure' else ''}\n"
        f"{ending}"
    )
    assert run_python(code, cases, timeout=20) == ""


def test_called_while_modules_are_torn_down(cases):
    code = f"""{START}
class Last:
    def __del__(self, ffi=ffi, closure=closure, cif=cif):
        result = bytearray(ffi.sizeof.ffi_arg)
        ffi.call(cif, closure, result, cif.pack(1))
        print("last", cif.unpack(result) in (0, 5), flush=True)
last = Last()
import builtins
builtins.last = last
"""
    assert run_python(code, cases) == "last True\n"
