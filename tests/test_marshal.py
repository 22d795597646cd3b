"""Scalar values to C and back: what each C type accepts, what it refuses, what it gives."""

from __future__ import annotations

import decimal
import fractions
import math
import operator
import sys

import numpy as np
import pytest
from checks import refused, without_address

import ffi

t = ffi.types
OTHER = {"little": "big", "big": "little"}[sys.byteorder]
UNTOUCHED = 0xA5


class Index:
    """An object that is an integer only through ``__index__``."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value

    def __repr__(self):
        return f"Index({self.value})"


def put(c_type, value, byteorder=sys.byteorder):
    """Write a value into the middle of marked bytes; return them, the rest being checked."""
    size = ffi.sizeof(c_type)
    storage = bytearray([UNTOUCHED]) * (size + 16)
    ffi.write(c_type, storage, value, 7, byteorder)
    assert set(storage[:7] + storage[7 + size :]) == {UNTOUCHED}
    return bytes(storage[7 : 7 + size])


def same(c_type, value, byteorder=sys.byteorder):
    """Write and read back, unaligned."""
    return ffi.read(c_type, b"ab!" + put(c_type, value, byteorder), 3, byteorder)


def check_refused(c_type, value, kind, match):
    """Check that a value is refused and that nothing was written."""
    storage = bytearray([UNTOUCHED]) * ffi.sizeof(c_type)
    with refused(kind, match=rf"^write\(\): .*{match}"):
        ffi.write(c_type, storage, value)
    assert set(storage) == {UNTOUCHED}


# --- integers

INTEGERS = [name for name, c_type in t.items() if c_type.dtype and c_type.dtype.kind in "iu"]
INTEGERS.remove("pointer")


def bounds(name):
    info = np.iinfo(t[name].dtype)
    return int(info.min), int(info.max)


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("name", INTEGERS)
def test_integer_edges(name, byteorder):
    low, high = bounds(name)
    for value in {low, low + 1, -1 if low else 1, 0, 1, high - 1, high}:
        expected = value.to_bytes(t[name].size, byteorder, signed=low < 0)
        assert put(name, value, byteorder) == expected
        read = same(name, value, byteorder)
        assert (type(read), read) == (int, value)


@pytest.mark.parametrize("name", INTEGERS)
def test_integer_range(name):
    low, high = bounds(name)
    for value in (low - 1, high + 1, 2**64, -(2**63) - 1, 2**64 + 1, 2**100, -(2**100)):
        check_refused(name, value, OverflowError, rf"\[{low}, {high}\], got {value}$")
        check_refused(name, Index(value), OverflowError, rf"\[{low}, {high}\], got .*{value}")


def test_huge_integers():
    # Python refuses to print these.
    for name in ("int8", "uint64", "float", "complex_double", "char", "bool"):
        check_refused(name, 10**5000, OverflowError, "got ")
    check_refused("pointer", 10**5000, OverflowError, "got ")


@pytest.mark.parametrize("name", INTEGERS)
def test_integer_kinds(name):
    for value in (True, Index(1), np.int8(1), np.uint64(1), np.longlong(1), np.intp(1)):
        assert same(name, value) == 1
    for kind in ("bhilq", "BHILQ"):
        for code in kind:
            low, high = bounds(name)
            for value in (np.iinfo(np.dtype(code)).min, np.iinfo(np.dtype(code)).max):
                if low <= value <= high:
                    assert same(name, np.dtype(code).type(value)) == value
                else:
                    check_refused(name, np.dtype(code).type(value), OverflowError, f"got .*{value}")


NO_INTEGERS = [
    None,
    1.0,
    math.nan,
    math.inf,
    1j,
    "1",
    b"1",
    b"\1",
    bytearray(b"1"),
    [1],
    (1,),
    {"x": 1},
    decimal.Decimal(1),
    fractions.Fraction(1),
    np.float64(1),
    np.float32(1),
    np.longdouble(1),
    np.complex128(1),
    np.bool_(1),
    np.str_("1"),
    np.datetime64(1, "s"),
    np.timedelta64(1, "s"),
    np.array(1),
    np.array([1]),
    np.zeros(1, "i4,i4")[0],
    int,
    object(),
]


@pytest.mark.parametrize("value", NO_INTEGERS, ids=without_address)
@pytest.mark.parametrize("name", ["int8", "uint8", "short", "int", "uint32", "int64", "uint64"])
def test_integer_refusals(name, value):
    check_refused(
        name, value, TypeError, f"integer for {t[name].dtype}, got {type(value).__name__} "
    )


@pytest.mark.parametrize(
    "name", ["int8", "uint64", "double", "longdouble", "bool", "char", "pointer"]
)
def test_failing_index(name):
    class Failing:
        def __index__(self):
            raise KeyError("mine")

    class Lying:
        def __index__(self):
            return 1.0

    storage = bytearray(ffi.sizeof[name])
    with pytest.raises(KeyError, match="mine"):
        ffi.write(name, storage, Failing())
    with pytest.raises(TypeError, match=r"__index__ returned non-int \(type float\)"):
        ffi.write(name, storage, Lying())
    assert not any(storage)


class Lying(int):
    """An int whose operators cannot be trusted."""

    def __rshift__(self, other):
        return 0

    def __lt__(self, other):
        return False

    __gt__ = __eq__ = __lt__
    __hash__ = int.__hash__

    def bit_length(self):
        return 1


@pytest.mark.parametrize("name", ["int8", "uint8", "uint32", "int64", "uint64", "pointer", "bool"])
def test_lying_integers(name):
    for value in (2**64 + 5, 2**100, -(2**70)):
        check_refused(name, Lying(value), OverflowError, f"got {value}$")
    assert same(name, Lying(1)) == 1


# --- bool and char


@pytest.mark.parametrize(
    "value", [False, True, 0, 1, np.bool_(0), np.bool_(1), np.uint8(1), Index(1)]
)
def test_bool(value):
    expected = bool(operator.index(value)) if not isinstance(value, np.bool_) else bool(value)
    assert put("bool", value) == bytes([expected])
    assert same("bool", value) is expected


@pytest.mark.parametrize("byte", [1, 2, 0x80, 0xFF])
def test_bool_is_any_bit(byte):
    assert ffi.read("bool", bytes([byte])) is True


def test_bool_refusals():
    for value in (2, -1, 256, 2**64, Index(2), np.int8(-1)):
        check_refused("bool", value, OverflowError, r"_Bool in \[0, 1\], got .*\d+")
    for value in (None, 1.0, 0.0, np.float64(1), "", "1", b"", b"\1", [], np.array(True), 1j):
        check_refused("bool", value, TypeError, f"for _Bool, got {type(value).__name__} ")


def test_char():
    for code in range(256):
        assert same("char", bytes([code])) == bytes([code])
    for value in ("a", b"a", np.bytes_(b"a"), np.str_("a"), 97, Index(97), np.int64(97)):
        assert put("char", value) == b"a"
    for value in (0, 1, 127):
        assert same("char", value) == bytes([value])
    assert type(same("char", "a")) is bytes


def test_char_refusals():
    for value in (-129, 256, 2**64, Index(-129), np.int64(256)):
        check_refused("char", value, OverflowError, r"char in \[(-128, 127|0, 255)\], got ")
    for value in (b"", b"ab", np.bytes_(b"ab")):
        check_refused("char", value, ValueError, f"length one for char, got .*{bytes(value)!r}")
    for value in ("", "ab", "\x80", "\xe9", "€", "\ud800"):
        check_refused("char", value, ValueError, "one ASCII character for char, got ")
    for value in (
        None,
        97.0,
        bytearray(b"a"),
        [97],
        np.array(97),
        np.array(b"a"),
        memoryview(b"a"),
    ):
        check_refused("char", value, TypeError, f"for char, got {type(value).__name__} ")


# --- pointers


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_pointer(byteorder):
    size = ffi.sizeof.pointer
    for value in (0, 1, 256 ** (size - 1), 256**size - 1):
        assert put("pointer", value, byteorder) == value.to_bytes(size, byteorder)
        assert same("pointer", value, byteorder) == value
    assert same("pointer", None, byteorder) == 0
    storage = np.arange(3.0)
    assert same("void *", storage, byteorder) == storage.ctypes.data


def test_pointer_refusals():
    for value in (-1, 256**ffi.sizeof.pointer, Index(-1), np.int8(-1)):
        check_refused("pointer", value, OverflowError, "expected an address in .*, got ")
    for value in (1.5, "text", [1], object(), np.float64(1), np.bool_(1), 1j):
        check_refused(
            "pointer", value, TypeError, f"expected an address.*, got {type(value).__name__}"
        )


# --- values that change what they are written to


def test_conversion_that_resizes_the_buffer():
    storage = bytearray(64)

    class Shrinking:
        def __index__(self):
            storage.clear()
            return 1

    with refused(ValueError, match="outside the buffer of 0 bytes"):
        ffi.write("int", storage, Shrinking(), 32)
    assert storage == b""


def test_conversion_that_releases_the_buffer():
    view = memoryview(bytearray(64))

    class Releasing:
        def __index__(self):
            view.release()
            return 1

    with refused(ValueError, match="released"):
        ffi.write("int", view, Releasing())


def test_void():
    with refused(TypeError, match=r"^read\(\): void has no values"):
        ffi.read("void", bytes(8))
    for value in (None, 0):
        with refused(TypeError, match=r"^write\(\): void has no values"):
            ffi.write("void", bytearray(8), value)
