"""ffi.capi: a Cython module, compiled out of the tree, that calls run-time functions by it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import signatures
from checks import STRUCTS, VALUES, plain, run_python
from test_differential import Result, argument_sets, make_chunk, make_cif, snapshot

import ffi
import ffi.capi

t = ffi.types
WORD = ffi.sizeof.ffi_arg

SOURCE = """
#include <errno.h>
double add(double x, double y) { return x + y; }
double mul(double x, double y) { return x * y; }
int calls = 0;
void count(void) { calls++; }
int errno_of(void) { int before = errno; errno = 77; return before; }
int errno_around(void (*function)(void)) { errno = 5; function(); return errno; }
"""


@pytest.fixture(autouse=True)
def nothing_pending(consumer):
    yield
    assert consumer.raise_what_is_pending() == 0


@pytest.fixture
def library(compile_c):
    return ffi.dlopen(compile_c(SOURCE, "capi"))


@pytest.fixture
def add(library):
    return library.function("double add(double x, double y)")


@pytest.fixture
def count(library):
    return library.function("void count(void)")


@pytest.fixture(params=["call", "call_without_gil"])
def call(request, consumer):
    return getattr(consumer, request.param)


def called(call, function, *values):
    """Call with values, and give the result's."""
    packed = function.cif.pack(*values)
    rvalue = np.full(max(function.rtype.size, WORD) + 16, 0x5A, np.uint8)
    size = max(function.rtype.size, WORD)
    call(function, ffi.addressof(rvalue), ffi.addressof(packed))
    assert (rvalue[size:] == 0x5A).all()
    return function.cif.unpack(rvalue)


# --- values


@pytest.mark.parametrize("name", VALUES)
def test_values(call, symbol, name):
    kind = STRUCTS.get(name) or t[name]
    function = ffi.Function(symbol(f"echo_{name}"), kind, kind)
    for value in VALUES[name]:
        result = called(call, function, value)
        assert plain(result) == plain(ffi.CIF(kind, kind).unpack(raw(function, value)))
        assert plain(result) == value


def raw(function, value):
    """Return the storage of the result that the raw call gives."""
    rvalue = np.zeros(max(function.rtype.size, WORD), np.uint8)
    ffi.call(function.cif, function.address, rvalue, function.cif.pack(value))
    return rvalue


@pytest.mark.parametrize("flags", [[], ["FFI_NO_DIRECT"]], ids=["direct", "libffi"])
def test_values_in_another_process(monkeypatch, consumer_path, cases, flags):
    for flag in flags:
        monkeypatch.setenv(flag, "1")
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, consumer, ffi
from checks import STRUCTS, VALUES, plain
library = ffi.dlopen(sys.argv[2])
checked = 0
for name, values in VALUES.items():
    kind = STRUCTS.get(name) or ffi.types[name]
    try:
        function = library.function(f"echo_{name}", kind, kind)
    except NotImplementedError:
        continue
    for value in values:
        for call in consumer.call, consumer.call_without_gil:
            packed = function.cif.pack(value)
            before = bytes(packed)
            rvalue = np.zeros(max(function.rtype.size, 8), np.uint8)
            call(function, ffi.addressof(rvalue), ffi.addressof(packed))
            assert bytes(packed) == before
            assert plain(function.cif.unpack(rvalue)) == value, (name, value)
            checked += 1
wide = STRUCTS["wide"]
function = library.function("sum_two_wide", ffi.types.int64, wide, wide)
packed = function.cif.pack((list(range(5)),), (list(range(5, 10)),))
before, rvalue = bytes(packed), np.zeros(8, np.uint8)
for _ in range(3):
    consumer.call(function, ffi.addressof(rvalue), ffi.addressof(packed))
    assert function.cif.unpack(rvalue) == 10 - 2 * 35
    assert bytes(packed) == before
try:
    consumer.call(function, ffi.addressof(rvalue), 0)
except ValueError as exc:
    checked += isinstance(exc, ffi.Error)
print(function.cif.path, checked > 60)
"""
    expected = "libffi" if flags else ffi.CIF("void").path
    assert run_python(code, consumer_path.parent, cases) == f"{expected} True\n"


def test_random_signatures(consumer, compile_c):
    rng = random.Random("capi")
    drawn = [signatures.random_signature(rng, i) for i in range(60)]
    drawn += [signatures.random_aggregate_signature(rng, i) for i in range(60, 100)]
    chunk = make_chunk("capi", drawn, compile_c, 0)
    checked = 0

    def problems(chunk, s):
        nonlocal checked
        if s.variadic or (cif := make_cif(s)) is None:
            return []
        found = []
        function = ffi.Function(chunk.address(f"call_{s.index}"), cif.rtype, *cif.atypes)
        _, packed = next(argument_sets(cif, s))
        before = snapshot(s, packed)
        for call in consumer.call, consumer.call_without_gil:
            chunk.reset()
            result = Result(s.rtype)
            call(function, ffi.addressof(result.rvalue), ffi.addressof(packed))
            found += chunk.recorded(s.argument_leaves()) + result.problems(cif, s)
            if snapshot(s, packed) != before:
                found.append("the storage of the arguments has changed")
            checked += 1
        return found

    chunk.report(problems)
    assert checked >= 50


def test_many_arguments(call, compile_c):
    names = ", ".join(f"double a{i}" for i in range(200))
    total = " + ".join(f"{i} * a{i}" for i in range(200))
    source = f"double weigh({names}) {{ return {total}; }}"
    weigh = ffi.dlopen(compile_c(source, "weigh_200")).function("weigh", *[t.double] * 201)
    values = np.linspace(0, 1, 200)
    assert called(call, weigh, *values) == pytest.approx(values @ np.arange(200), rel=1e-14)


def test_void(call, count, library):
    calls = library.variable("int calls")
    before = calls[0]
    call(count, 0, 0)
    assert calls[0] == before + 1


def test_what_python_adds_does_not_count(call, library):
    def errcheck(result, function, args):
        raise AssertionError

    add = library.function("double add(double x, double y)", errcheck=errcheck, release_gil=False)
    assert called(call, add, 1.5, 2.0) == 3.5
    libm = ffi.dlopen("m")
    libm.cdef("double frexp(double value, int *exponent);", out={"frexp": ["exponent"]})
    exponent = np.zeros(1, np.intc)
    assert called(call, libm.frexp, 8.0, exponent) == 0.5
    assert exponent[0] == 4


# --- loops


def test_loops(consumer, library):
    rng = np.random.default_rng(1)
    x, y = rng.integers(-1000, 1000, (2, 10_000)) / 8  # exact, also where C computes with more bits
    for name, expected in (("add", x + y), ("mul", x * y)):
        function = library.function(f"double {name}(double x, double y)")
        outs = np.zeros((3, x.size))
        assert consumer.apply(function, x, y, outs[0]) == x.size
        consumer.apply_by_hand(function, x, y, outs[1])
        consumer.apply_in_parallel(function, x, y, outs[2], 4)
        assert (outs == expected).all()


def test_callback_in_a_loop(consumer):
    function = ffi.Function(ffi.callback("double (double x, double y)", lambda x, y: x - y))
    x, y = np.arange(2000.0), np.ones(2000)
    outs = np.zeros((3, x.size))
    consumer.apply(function, x, y, outs[0])
    consumer.apply_by_hand(function, x, y, outs[1])
    consumer.apply_in_parallel(function, x, y, outs[2], 4)
    assert (outs == x - 1).all()


# --- errno


def test_errno_is_c_own(consumer, library):
    function = library.function("int errno_of(void)")
    ffi.set_errno(3)
    assert consumer.errno_around(function, 9) == (77, 9)
    assert ffi.get_errno() == 77
    ffi.set_errno(0)


def test_errno_in_a_callback(consumer, library):
    around = library.function("int errno_around(void (*function)(void))")
    seen = []

    @ffi.callback("void (void)")
    def look():
        seen.append(ffi.get_errno())
        ffi.set_errno(6)

    assert called(consumer.call_without_gil, around, look.address) == 6
    assert seen == [5]
    ffi.set_errno(0)


# --- what is shared


def test_exported_signatures():
    # What other modules were compiled against: additions are fine, changes are not.
    exported = {
        name: repr(capsule).split('"')[1] for name, capsule in ffi.capi.__pyx_capi__.items()
    }
    frozen = json.loads(Path(__file__).with_name("capi.json").read_text())
    assert {name: exported.get(name) for name in frozen} == frozen
    assert set(exported) == set(frozen), "add what is new to capi.json"


def test_needs_nothing_of_libffi(consumer_path):
    text = (consumer_path.parent / "consumer.c").read_text()
    for header in ("ffi.h", "_thread.h", "_direct", "numpy"):
        assert f'{header}"' not in text
        assert f"{header}>" not in text
    assert b"libffi" not in consumer_path.read_bytes()
