"""Floating-point and complex values to C and back: rounding, overflow, precision, kinds."""

from __future__ import annotations

import decimal
import fractions
import math
import sys

import numpy as np
import pytest
from checks import without_address
from test_marshal import Index, check_refused, put, same

import ffi

REALS = {"float": np.float32, "double": np.float64, "longdouble": np.longdouble}
COMPLEXES = {
    "complex_float": np.complex64,
    "complex_double": np.complex128,
    "complex_longdouble": np.clongdouble,
}
HAS_LONG_DOUBLE = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant
LARGEST = float(np.finfo(np.float32).max)
ULP = 2.0**104  # of the largest float


@pytest.fixture(scope="module")
def c_round(compile_c):
    """C's own conversions: ``c_round("float", "int64", value)``."""
    pairs = [(to, of) for to in ("float", "double") for of in ("int64_t", "uint64_t", "double")]
    text = "#include <stdint.h>\n" + "".join(
        f"{to} {to}_of_{of}({of} x) {{ return ({to})x; }}\n" for to, of in pairs
    )
    library = ffi.dlopen(compile_c(text, "rounding"))

    def c_round(to, of, value):
        cif = ffi.CIF(to, of)
        result = np.zeros(1, np.float64)
        ffi.call(cif, ffi.dlsym(library, f"{to}_of_{of}"), result, cif.pack(value))
        return cif.unpack(result)

    return c_round


def is_same(left, right):
    return type(left) is type(right) and (
        (left == right and np.signbit(left) == np.signbit(right))
        or (np.isnan(left) and np.isnan(right))
    )


# --- real numbers


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("name", REALS)
def test_extremes(name, byteorder):
    info = np.finfo(REALS[name])
    kind = np.longdouble if name == "longdouble" else float
    for value in (0.0, -0.0, 1.5, np.inf, -np.inf, np.nan, info.max, info.tiny, info.eps, info.min):
        value = kind(value)
        assert is_same(same(name, value, byteorder), value)
        raw = np.array(value, REALS[name])
        if byteorder != sys.byteorder:
            raw = raw.byteswap()
        if name != "longdouble":
            assert put(name, value, byteorder) == raw.tobytes()
        stored = np.frombuffer(put(name, value, byteorder), raw.dtype).copy()
        assert np.array_equal(stored, np.atleast_1d(raw), equal_nan=True) or name == "longdouble"


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-40, 1e-46, 1e-300, 16777217.0, LARGEST + ULP / 4])
def test_float_rounds_as_c_does(c_round, value):
    for number in (value, -value, np.float64(value)):
        assert same("float", number) == c_round("float", "double", float(number))
        real, imag = same("complex_float", complex(float(number), value)).real, value
        assert real == c_round("float", "double", float(number))
        assert imag == value


@pytest.mark.parametrize("value", [LARGEST + ULP / 2, LARGEST + ULP, 1e39, sys.float_info.max])
def test_float_does_not_overflow(value):
    for number in (value, -value, np.float64(value)):
        check_refused("float", number, OverflowError, r"a number that fits float, got .*e\+")
    for number in (value, complex(value, 0), complex(0, -value), np.complex128(value)):
        check_refused("complex_float", number, OverflowError, "fits float _Complex, got ")
    below = math.nextafter(LARGEST + ULP / 2, 0)
    assert same("float", below) == LARGEST
    assert same("complex_float", complex(0, below)).imag == LARGEST


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_infinity_is_no_overflow(value):
    assert is_same(same("float", value), value)
    assert is_same(same("complex_float", complex(1, value)).imag, value)


INTEGERS = [0, 1, -1, 2**24 + 1, 2**53 + 1, 2**60 + 2**36 + 1, 2**63 - 1, -(2**63), -(2**53) - 1]


@pytest.mark.parametrize("value", INTEGERS)
@pytest.mark.parametrize("name", ["float", "double"])
def test_int_rounds_once(c_round, name, value):
    expected = c_round(name, "int64_t", value)
    for number in (value, np.int64(value), Index(value)):
        assert same(name, number) == expected
        assert same(f"complex_{name}", number) == expected
    if value > 0:
        assert same(name, np.uint64(value)) == expected


@pytest.mark.parametrize("value", [2**63, 2**64 - 1, 2**63 + 2**39 + 1])
@pytest.mark.parametrize("name", ["float", "double"])
def test_unsigned_rounds_once(c_round, name, value):
    assert same(name, value) == same(name, np.uint64(value)) == c_round(name, "uint64_t", value)


def test_ints_that_overflow():
    assert same("float", int(LARGEST)) == LARGEST
    assert same("float", int(LARGEST + ULP / 2) - 1) == LARGEST
    for value in (int(LARGEST + ULP / 2), 2**128, -(2**128), 2**1100, -(2**1100)):
        check_refused("float", value, OverflowError, "fits float, got .*[0-9]{4}")
        check_refused("complex_float", value, OverflowError, "got .*[0-9]{4}")
    assert same("double", int(sys.float_info.max)) == sys.float_info.max
    for value in (2**1024, -(2**1024), 2**1100):
        check_refused("double", value, OverflowError, "fits double, got .*[0-9]{4}")
        check_refused("complex_double", Index(value), OverflowError, "got .*[0-9]{4}")


@pytest.mark.parametrize("name", REALS)
def test_real_kinds(name):
    for value in (2, True, Index(2), 2.5, np.float16(2.5), np.float32(2.5), np.float64(2.5)):
        number = value.value if isinstance(value, Index) else value
        assert same(name, value) == number
    for kind in "bhilqBHILQ":
        assert same(name, np.dtype(kind).type(100)) == 100
    assert type(same(name, 2)) is (np.longdouble if name == "longdouble" else float)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "1.5",
        b"1.5",
        1.5j,
        complex(1, 0),
        np.complex64(1),
        np.clongdouble(1),
        [1.5],
        (1.5,),
        decimal.Decimal("1.5"),
        fractions.Fraction(3, 2),
        np.array(1.5),
        np.array([1.5]),
        np.str_("1.5"),
        np.timedelta64(1, "s"),
        np.bool_(True),
        object(),
    ],
    ids=without_address,
)
@pytest.mark.parametrize("name", REALS)
def test_real_refusals(name, value):
    check_refused(name, value, TypeError, f"a real number for .*, got {type(value).__name__} ")


@pytest.mark.skipif(not HAS_LONG_DOUBLE, reason="long double is double here")
@pytest.mark.parametrize("name", ["float", "double", "complex_float", "complex_double"])
@pytest.mark.parametrize("value", [np.longdouble(1), np.clongdouble(1)], ids=repr)
def test_more_precision_than_fits(name, value):
    check_refused(name, value, TypeError, f"number for .*, got {type(value).__name__} ")


def test_float_subclass():
    class Degrees(float):
        def __float__(self):
            raise AssertionError("it is a float already")

    for name in REALS:
        assert same(name, Degrees(1.5)) == 1.5


# --- long double


def test_longdouble_keeps_its_precision():
    info = np.finfo(np.longdouble)
    for value in (1 + info.eps, info.max, info.smallest_subnormal, np.longdouble(1) / 3):
        for number in (value, -value):
            assert is_same(same("longdouble", number), np.longdouble(number))
            pair = np.clongdouble(number)
            assert same("complex_longdouble", number).real == number
            assert same("complex_longdouble", pair) == pair


@pytest.mark.parametrize("value", [2**62 + 1, 2**63 - 1, -(2**63) + 1, 2**64 - 1])
def test_longdouble_of_ints_is_exact(value):
    exact = np.ldexp(np.longdouble(value >> 32), 32) + np.longdouble(value & 0xFFFFFFFF)
    numbers = [value, Index(value), np.uint64(value) if value > 0 else np.int64(value)]
    for number in numbers:
        assert same("longdouble", number) == exact
        assert same("complex_longdouble", number).real == exact
        assert same("complex_longdouble", number).imag == 0


def test_longdouble_of_huge_ints():
    bits = np.finfo(np.longdouble).maxexp
    for power in (64, 100, 500, bits - 1):
        expected = np.ldexp(np.longdouble(1), power)
        for number in (2**power, Index(2**power)):
            assert same("longdouble", number) == expected
            assert same("longdouble", -(2**power)) == -expected
            assert same("complex_longdouble", number).real == expected
    largest = 2**bits - 2 ** (bits - np.finfo(np.longdouble).nmant - 1)
    assert same("longdouble", largest) == np.finfo(np.longdouble).max
    for value in (2**bits, -(2**bits), 2 ** (bits + 1), 2 ** (2 * bits)):
        check_refused("longdouble", value, OverflowError, "fits long double, got ")
        check_refused("complex_longdouble", value, OverflowError, "fits long double _Complex, got ")


def test_longdouble_of_int_rounds_to_nearest():
    mantissa = np.finfo(np.longdouble).nmant + 1
    one = np.longdouble(1)
    for value, expected in (
        (2**mantissa + 1, np.ldexp(one, mantissa)),
        (2**mantissa + 3, np.ldexp(one, mantissa) + 4),
        (2 ** (mantissa + 20) + 2**20 + 1, np.ldexp(one, mantissa + 20) + 2**21),
    ):
        assert same("longdouble", value) == expected
        assert same("longdouble", -value) == -expected


@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant != 63, reason="only x87's long double has padding"
)
@pytest.mark.parametrize("value", [1.5, 3, 2**80, np.longdouble(1.5), np.clongdouble(1.5 - 2.5j)])
def test_longdouble_padding_is_zero(value):
    # C leaves it to chance, which would give away bytes of the stack.
    for name in ("longdouble", "complex_longdouble"):
        if name.startswith("complex") or not isinstance(value, np.clongdouble):
            parts = np.frombuffer(put(name, value), np.uint8).reshape(-1, ffi.sizeof.longdouble)
            assert not parts[:, 10:].any()


# --- complex numbers


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("name", COMPLEXES)
def test_complex(name, byteorder):
    kind = np.clongdouble if name == "complex_longdouble" else complex
    for value in (1.5 - 2.5j, complex(-0.0, 0.0), complex(math.inf, -math.inf)):
        read = same(name, value, byteorder)
        assert type(read) is kind
        assert read == value
        assert np.signbit(read.real) == np.signbit(value.real)
    raw = np.array(1.5 - 2.5j, COMPLEXES[name])
    if byteorder != sys.byteorder:
        raw = raw.byteswap()
    if name != "complex_longdouble":
        assert put(name, 1.5 - 2.5j, byteorder) == raw.tobytes()


def test_complex_byte_order_is_per_part():
    other = {"little": "big", "big": "little"}[sys.byteorder]
    for name, part in zip(COMPLEXES, REALS, strict=True):
        whole = put(name, 1.5 - 2.5j, other)
        assert whole == put(part, 1.5, other) + put(part, -2.5, other)


@pytest.mark.parametrize("name", COMPLEXES)
def test_complex_kinds(name):
    for value in (2, True, 2.5, 2.5j, np.float16(2.5), np.float32(2.5), np.complex64(2 + 1j)):
        assert same(name, value) == value
    assert same(name, np.float64(2.5)) == 2.5
    assert same(name, np.complex128(2 + 1j)) == 2 + 1j
    assert same(name, Index(3)) == same(name, np.uint8(3)) == 3
    for value in (None, "1j", b"1", [1j], np.array(1j), decimal.Decimal(1), np.bool_(1), object()):
        check_refused(name, value, TypeError, f"number for .*, got {type(value).__name__} ")
