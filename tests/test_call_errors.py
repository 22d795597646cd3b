"""call: bad input of every kind, and the function that does not run."""

from __future__ import annotations

import array
import inspect
import pickle

import numpy as np
import pytest
from checks import refused

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg
ADD = ffi.CIF(t.int, t.int, t.int)


@pytest.fixture
def add(symbol):
    return symbol("add_int")


@pytest.mark.parametrize("cif", [None, 3, "int", t.int, b"", object(), ffi.CIF, ADD.pack(1, 2)])
def test_bad_cif(add, cif):
    match = rf"call\(\): argument 'cif': expected an ffi.CIF, got {type(cif).__name__}"
    with refused(TypeError, match=match):
        ffi.call(cif, add, bytearray(WORD), ADD.pack(1, 2))


@pytest.mark.parametrize(
    ("fn", "kind", "match"),
    [
        (0, ValueError, "NULL is no function"),
        (np.uintp(0), ValueError, "NULL is no function"),
        (-1, OverflowError, "got -1"),
        (2**64, OverflowError, "got 18446744073709551616"),
        pytest.param(1 << 20000, OverflowError, "expected an address", id="huge"),
        (None, TypeError, "got NoneType None"),
        (1.5, TypeError, "got float 1.5"),
        ("abs", TypeError, "got str 'abs'"),
        (abs, TypeError, "got builtin_function_or_method"),
        (ADD, TypeError, "got CIF"),
        (bytearray(8), TypeError, "ffi.read_pointer"),
        (np.zeros(1, np.uintp), TypeError, "ffi.read_pointer"),
        (np.array(5), TypeError, "ffi.read_pointer"),
    ],
)
def test_bad_function(fn, kind, match):
    with refused(kind, match=rf"call\(\): argument 'fn': .*{match}"):
        ffi.call(ADD, fn, bytearray(WORD), ADD.pack(1, 2))


SWAPPED = np.dtype(np.uint64).newbyteorder()
MISALIGNED = memoryview(bytearray(64))[1:40]
READ_ONLY = np.frombuffer(bytes(64), np.uint8)
BAD_BUFFERS = [
    (3, TypeError, "expected a buffer, got int 3"),
    ("text", TypeError, "expected a buffer, got str 'text'"),
    (np.uint64(3), TypeError, "expected a buffer, got uint64"),
    (object(), TypeError, "expected a buffer, got object"),
    (np.zeros((8, 8), np.uint64)[:, 0], TypeError, r"strides \(64,\); use np.ascontiguousarray"),
    (memoryview(bytearray(64))[::2], TypeError, "expected a C-contiguous buffer"),
    (np.zeros(8, SWAPPED), TypeError, "expected native byte order"),
    (np.zeros(8, object), TypeError, "object"),
    (memoryview(np.zeros(8, SWAPPED)), TypeError, "native C values"),
    (memoryview(np.zeros(8, object)), TypeError, "native C values"),
]


@pytest.mark.parametrize(
    ("rvalue", "kind", "match"),
    [
        *BAD_BUFFERS,
        (None, TypeError, "expected a writable buffer of 8 bytes for int, got None"),
        (bytes(64), TypeError, "expected a writable buffer, got a read-only bytes"),
        (READ_ONLY, TypeError, "expected a writable array, got a read-only one of uint8"),
        (memoryview(bytes(64)), TypeError, "writable buffer, got a read-only memoryview"),
        (ADD, TypeError, "writable buffer, got a read-only CIF"),
        (t.int, TypeError, "writable buffer, got a read-only Type"),
        (bytearray(3), ValueError, "expected at least 8 bytes for int, got 3"),
        (np.zeros(1, np.int16), ValueError, "expected at least 8 bytes for int, got 2"),
        (np.zeros(0), ValueError, "got 0"),
        (MISALIGNED, ValueError, "expected storage aligned to 8 bytes, got address 0x"),
        ([bytearray(8)], TypeError, "expected a buffer, got list"),
    ],
)
def test_bad_result_storage(symbol, rvalue, kind, match):
    if WORD != 8 and "8 bytes" in match:
        match = match.replace("8 bytes", f"{WORD} bytes")
    check_refused_uncalled(symbol, rvalue, [bytes(8), bytes(8)], kind, f"'rvalue': .*{match}")


@pytest.mark.parametrize(
    ("avalues", "kind", "match"),
    [
        *BAD_BUFFERS,
        (None, TypeError, "expected a buffer, got NoneType"),
        ({1: 2}, TypeError, "expected a buffer, got dict"),
        (iter([]), TypeError, "expected a buffer, got list_iterator"),
        (np.zeros(2, np.uintp), ValueError, "entry 0 is NULL"),
        (bytes(16), ValueError, "entry 0 is NULL"),
        (np.zeros(1, np.uintp), ValueError, "expected 2 addresses in .* got"),
        (b"", ValueError, "expected 2 addresses in .* got 0 bytes"),
        (np.zeros(4, np.float64), TypeError, "expected an array of np.uintp addresses.*float64"),
        (np.zeros(4, np.int16), TypeError, "expected an array of np.uintp addresses.*int16"),
        (np.zeros(4, "f8,f8"), TypeError, "expected an array of np.uintp addresses"),
        (array.array("d", [0, 0]), TypeError, "buffer of addresses, got items of format 'd'"),
        (array.array("h", [0] * 8), TypeError, "buffer of addresses, got items of format 'h'"),
        ([], ValueError, "expected 2 buffers, got 0"),
        ([b"1234"] * 3, ValueError, "expected 2 buffers, got 3"),
        ([b"1234", 7], TypeError, "item 1: expected a buffer, got int 7"),
        ([None, b"1234"], TypeError, "item 0: expected a buffer, got NoneType"),
        ([b"1234", np.int16(7)], TypeError, "item 1: expected a buffer, got int16"),
        ([bytes(8), b"123"], ValueError, "item 1: expected at least 4 bytes for int, got 3"),
        ([bytes(8), MISALIGNED], ValueError, "item 1: expected storage aligned to 4 bytes"),
        ([bytes(8), np.zeros((8, 8))[:, 0]], TypeError, "item 1: .*np.ascontiguousarray"),
        ([bytes(8), np.zeros(8, SWAPPED)], TypeError, "item 1: expected native byte order"),
    ],
)
def test_bad_arguments(symbol, avalues, kind, match):
    check_refused_uncalled(symbol, bytearray(WORD), avalues, kind, f"'avalues': .*{match}")


def check_refused_uncalled(symbol, rvalue, avalues, kind, match):
    """The function must not run, whatever its arguments would have been."""
    counter = ffi.view(symbol("calls_of_count_call"), t.int)
    before = counter.item()
    with refused(kind, match=rf"call\(\): argument {match}"):
        ffi.call(ADD, symbol("count_call"), rvalue, avalues)
    assert counter.item() == before


def test_null_entry_is_named(add):
    value = np.array([1], np.intc)
    avalues = np.array([value.ctypes.data, 0], np.uintp)
    with refused(ValueError, match=r"'avalues': entry 1 is NULL"):
        ffi.call(ADD, add, bytearray(WORD), avalues)


def test_signature(add):
    args = ADD.pack(40, 2)
    complete = {"cif": ADD, "fn": add, "rvalue": bytearray(WORD), "avalues": args}
    for count in range(5):
        rvalue = complete["rvalue"] = bytearray(WORD)
        positional = list(complete.values())[:count]
        named = dict(list(complete.items())[count:])
        ffi.call(*positional, **named)
        ffi.call(*positional, **dict(reversed(named.items())), release_gil=False)
        assert ADD.unpack(rvalue) == 42


@pytest.mark.parametrize(
    ("positional", "named", "match"),
    [
        ((), {}, "cif|positional"),
        ((ADD,), {}, "fn|positional"),
        ((ADD, 1, b""), {}, "avalues|positional"),
        ((ADD, 1, b"", None, True), {}, "positional"),
        ((ADD, 1, b"", None), {"cif": ADD}, "cif"),
        ((ADD, 1, b""), {"rvalue": b"", "avalues": None}, "rvalue"),
        ((ADD, 1, b"", None), {"gil": True}, "gil"),
        ((ADD, 1, b""), {"avalue": None}, "avalue"),
        ((ADD, 1, b"", None), {"release_gil": True, "extra": 1}, "extra"),
        ((), {"release_gil": True}, "cif|positional"),
    ],
)
def test_wrong_signature(positional, named, match):
    with pytest.raises(TypeError, match=rf"call\(\).*({match})"):
        ffi.call(*positional, **named)


def test_introspection():
    parameters = inspect.signature(ffi.call).parameters
    assert list(parameters) == ["cif", "fn", "rvalue", "avalues", "release_gil"]
    assert parameters["release_gil"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["release_gil"].default is True
    assert inspect.getdoc(ffi.call).startswith(
        "Call a C function on storage that the caller holds."
    )
    assert (ffi.call.__name__, ffi.call.__module__) == ("call", "ffi._core")
    assert pickle.loads(pickle.dumps(ffi.call)) is ffi.call


@pytest.mark.parametrize("value", [True, False])
def test_bools_are_no_addresses(value):
    for use in (
        lambda: ffi.call(ADD, value, bytearray(8), ADD.pack(1, 2)),
        lambda: ffi.view(value, "int8", 0),
        lambda: ffi.string(value),
        lambda: ffi.write_pointer(bytearray(8), value),
        lambda: ffi.CIF(value, "int"),
    ):
        with refused(TypeError, match=f"got (bool )?{value}"):
            use()


@pytest.mark.parametrize(
    ("rtype", "storage", "message"),
    [
        ("int", np.array([-5.0]), "expected an array of int32 for int, got float64"),
        ("int", np.array([-5], np.int64), "expected an array of int32 for int, got int64"),
        ("double", np.array([3], np.int64), "expected an array of float64 for double, got int64"),
        ("double", np.array([3j]), "expected an array of float64 for double, got complex128"),
        ("float", np.array([3.0]), "expected an array of float32 for float, got float64"),
    ],
)
def test_other_numbers_as_storage(rtype, storage, message):
    cif = ffi.CIF(rtype, rtype)
    with refused(TypeError, match=f"item 0: {message}"):
        ffi.call(cif, 1, bytearray(16), [storage])
