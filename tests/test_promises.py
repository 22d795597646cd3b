"""What is promised: whatever is not a wrong address ends in an exception, never in a crash."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest
from checks import Unraisable, refused, run_python

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg
ADD = ffi.CIF(t.int, t.int, t.int)


# --- NULL functions, closed libraries


def test_null_function():
    for null in (0, np.uintp(0), ffi.read_pointer(bytes(8))):
        with refused(ValueError, match=r"call\(\): argument 'fn': NULL is no function"):
            ffi.call(ADD, null, bytearray(WORD), ADD.pack(1, 2))


def test_base_of_closures_is_no_function():
    code = """
import ffi
t = ffi.types
cif = ffi.CIF(t.int, t.int)
try:
    ffi.call(cif, ffi.Closure.__base__(), bytearray(ffi.sizeof.ffi_arg), cif.pack(1))
except (TypeError, ValueError) as exc:
    print(isinstance(exc, ffi.Error) or "argument" in str(exc))
"""
    assert run_python(code) == "True\n"


@pytest.mark.parametrize(
    "name", ["Arguments", "Type", "Handle", "CIF", "Closure", "Pointer", "Record"]
)
def test_blank_objects_are_harmless(name):
    code = f"""
import ffi
t = ffi.types
kind = ffi.{name}
cif = ffi.CIF(t.int, t.int)
try:
    blank = kind.__new__(kind)
except TypeError:
    print("refused")
    raise SystemExit
for use in (
    repr, hash, len, bool, dir, memoryview, ffi.addressof, ffi.sizeof, ffi.dlclose, ffi.CIF,
    lambda x: x == x, lambda x: x == t.int, lambda x: ffi.CIF(x, x), lambda x: ffi.CIF(t.int, x),
    lambda x: ffi.struct([("x", x)]), lambda x: ffi.call(cif, 1, bytearray(8), x),
    lambda x: ffi.call(x, 1, bytearray(8), cif.pack(1)), lambda x: ffi.read(x, bytes(9)),
    lambda x: ffi.write(x, bytearray(9), 0), lambda x: ffi.view(1, x), lambda x: ffi.dlsym(x, "x"),
    lambda x: ffi.call(cif, x, bytearray(8), cif.pack(1)), lambda x: cif.unpack(x),
    lambda x: ffi.Closure(x, print), lambda x: x.address, lambda x: x.__reduce__(),
    lambda x: x.pack(), lambda x: x.unpack(bytes(8)), lambda x: x.dtype,
):
    try:
        use(blank)
    except (ffi.Error, TypeError, AttributeError) as exc:
        assert not isinstance(exc, SystemError)
print("refused")
"""
    assert run_python(code) == "refused\n"


def test_closed_library(cases):
    library = ffi.dlopen(cases)
    address = ffi.dlsym(library, "add_int")
    assert address
    assert ffi.dlclose(library) is None
    assert library.closed
    with refused(ValueError, match=r"dlsym\(\): .*cases.* is closed"):
        ffi.dlsym(library, "add_int")
    with refused(ValueError, match=r"dlclose\(\): .*cases.* is closed"):
        ffi.dlclose(library)


# --- result buffers, argument pointers


@pytest.mark.parametrize(
    ("rvalue", "kind", "match"),
    [
        (bytearray(WORD - 1), ValueError, f"at least {WORD} bytes for int, got {WORD - 1}"),
        (bytes(WORD), TypeError, "read-only bytes"),
        (np.zeros(4 * WORD, np.uint8)[:: WORD // 2], TypeError, "strides"),
        (np.zeros(4 * WORD, np.uint8)[::-1], TypeError, "strides"),
        (np.zeros(4 * WORD, np.uint8)[1:], ValueError, f"aligned to {WORD} bytes"),
        (memoryview(bytearray(2 * WORD))[1:], ValueError, f"aligned to {WORD} bytes"),
        (np.broadcast_to(np.zeros(1, np.uint8), WORD), TypeError, "strides"),
    ],
    ids=["short", "read-only", "strided", "reversed", "misaligned", "misaligned view", "broadcast"],
)
def test_result_buffers(symbol, rvalue, kind, match):
    before = bytes(rvalue)
    with refused(kind, match=rf"call\(\): argument 'rvalue': .*{match}"):
        ffi.call(ADD, symbol("add_int"), rvalue, ADD.pack(1, 2))
    assert bytes(rvalue) == before


def test_result_of_a_long_double_is_aligned(symbol):
    cif = ffi.CIF(t.longdouble, t.longdouble)
    words = np.zeros(6, np.uint64)
    offset = 1 if words.ctypes.data % t.longdouble.alignment == 0 else 0
    rvalue = words[offset : offset + 4]
    if t.longdouble.alignment > 8:
        with refused(ValueError, match=r"'rvalue': expected storage aligned to 16 bytes"):
            ffi.call(cif, symbol("echo_longdouble"), rvalue, cif.pack(1.5))
    ffi.call(cif, symbol("echo_longdouble"), words[1 - offset :], cif.pack(1.5))
    assert cif.unpack(words[1 - offset :]) == 1.5


@pytest.mark.parametrize(
    ("avalues", "kind", "match"),
    [
        (np.zeros(0, np.uintp), ValueError, "expected 2 addresses"),
        (np.array([1], np.uintp), ValueError, "expected 2 addresses"),
        (np.zeros(2, np.uintp), ValueError, "entry 0 is NULL"),
        ([np.zeros(1, np.intc)], ValueError, "expected 2 buffers, got 1"),
        ([np.zeros(1, np.intc), None], TypeError, "item 1: expected a buffer, got NoneType"),
        (None, TypeError, "expected a buffer, got NoneType"),
    ],
    ids=["none", "one", "NULL", "one buffer", "None inside", "None"],
)
def test_argument_pointers(symbol, avalues, kind, match):
    with refused(kind, match=rf"call\(\): argument 'avalues': .*{match}"):
        ffi.call(ADD, symbol("add_int"), bytearray(WORD), avalues)


# --- types without end, arguments without number


def test_types_that_contain_themselves():
    members, mapping = [], {}
    members.append(("self", members))
    mapping["self"] = mapping
    for make, spec in ((ffi.struct, members), (ffi.union, members), (ffi.struct, mapping)):
        with refused(TypeError, match="member 'self': expected an ffi.Type"):
            make(spec)


def test_types_that_nest_without_end():
    def nest(make, kind):
        for _ in range(10_000):
            kind = make(kind)

    for make in (
        lambda kind: ffi.struct([("x", kind)]),
        lambda kind: ffi.union([("x", kind), ("y", t.int)]),
        lambda kind: ffi.struct([("x", kind), ("y", kind)]),
        lambda kind: ffi.struct([("x", np.dtype((kind.dtype, (1, 1))))]),
    ):
        with refused(ValueError, match="nests more than 64 deep|more than 65536 members"):
            nest(make, t.int)


def test_dtype_that_nests_deeply():
    code = """
import numpy as np, ffi
dtype = np.dtype(np.intc)
for depth in range(5000):
    try:
        dtype = np.dtype([("x", dtype)])
    except RecursionError:
        break
    if depth in (100, 1000, 4999):
        for use in (ffi.struct, ffi.CIF, ffi.sizeof):
            try:
                use(dtype)
            except (ValueError, RecursionError):
                pass
            else:
                raise AssertionError(depth)
print("done")
"""
    assert run_python(code) == "done\n"


@pytest.mark.parametrize("count", [10**5])
def test_arguments_without_number(symbol, count):
    with refused(ValueError, match=f"expected at most 1024 arguments, got {count}"):
        ffi.CIF(t.int, *[t.int] * count)
    with refused(ValueError, match=f"expected 2 values for .*, got {count}"):
        ADD.pack(*[1] * count)
    with refused(ValueError, match=f"'avalues': expected 2 buffers, got {count}"):
        ffi.call(ADD, symbol("add_int"), bytearray(WORD), [bytes(4)] * count)


@pytest.mark.parametrize("spec", [[], (), {}, np.dtype([])], ids=repr)
def test_empty_structs(spec):
    with refused(ValueError, match=r"struct\(\): expected at least one member"):
        ffi.struct(spec)


# --- callbacks that C kept and Python dropped


def test_dropped_callback(symbol, monkeypatch):
    hook = Unraisable()
    monkeypatch.setattr(sys, "unraisablehook", hook)
    cif, keep = ffi.CIF(t.int, t.int), ffi.CIF(t.void, t.pointer)
    ffi.call(keep, symbol("keep_function"), None, keep.pack(ffi.Closure(cif, print)))
    gc.collect()
    rvalue = bytearray(b"\xff" * WORD)
    ffi.call(cif, symbol("call_kept"), rvalue, cif.pack(1))
    assert cif.unpack(rvalue) == 0
    assert hook.kinds == [ffi.errors.FFIReferenceError]
