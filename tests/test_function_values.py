"""What typed functions take and give, C type by C type.

Every case goes both ways that a call has: the short one, and the general one, which ``errcheck``
takes.
"""

from __future__ import annotations

import array
import ctypes
import decimal
import fractions
import math
import sys

import numpy as np
import pytest
from c_types import CHAR_IS_SIGNED
from checks import MIXED, STRUCTS, VALUES, plain, refused

import ffi
from ffi.cdecl import Parameter, Prototype

t = ffi.types
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
REALS = ["float", "double"]
COMPLEXES = ["complex_float", "complex_double"]
# How messages spell them.
SPELLED = {
    "complex_float": "float _Complex",
    "complex_double": "double _Complex",
    "complex_longdouble": "long double _Complex",
    "longdouble": "long double",
    "bool": "_Bool",
}


class Index:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Int(int):
    pass


class Float(float):
    pass


class Complex(complex):
    pass


class WithFloat:
    def __float__(self):
        return 1.0

    __complex__ = __float__


def unchanged(result, function, args):
    return result


@pytest.fixture(params=[None, unchanged], ids=["short", "general"])
def declare(request, cases):
    library = ffi.dlopen(cases)

    def declare(*signature):
        return library.function(*signature, errcheck=request.param)

    return declare


@pytest.fixture
def echo(declare):
    def echo(name):
        ctype = STRUCTS.get(name) or t[name]
        prototype = Prototype(f"echo_{name}", ctype, (Parameter("x", ctype),))
        by_types = declare(f"echo_{name}", ctype, ctype)
        return ffi.Function(by_types, prototype, errcheck=by_types.errcheck)

    return echo


@pytest.fixture
def addressed(declare):
    """Make functions that take one pointer, and give its address as a number."""
    return lambda pointer: declare(
        f"uintptr_t echo_pointer({pointer}{'' if '*' in pointer else ' *'}x)"
    )


def bounds(name):
    info = np.iinfo(name)
    return int(info.min), int(info.max)


# --- every type


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back(echo, name):
    if name == "pointer":
        return
    function = echo(name)
    for value in VALUES[name]:
        for result in (function(value), function(x=value)):
            if name in STRUCTS:
                assert type(result) is ffi.Record
                assert result.type == STRUCTS[name]
                expected = np.array(value, STRUCTS[name].dtype)
                assert plain(np.asarray(result)[()]) == plain(expected[()])
            else:
                assert type(result) is type(value)
                assert result == value


# --- integers


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_in_range(echo, name):
    function = echo(name)
    low, high = bounds(name)
    for value in {low, low + 1, 0, 1, high // 2 + 1, high - 1, high}:
        for given in (value, Int(value), Index(value), np.dtype(name).type(value)):
            result = function(given)
            assert type(result) is int
            assert result == value
    assert function(True) == 1
    assert function(False) == 0
    assert function(np.uint64(7)) == function(np.int8(7)) == 7


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_out_of_range(echo, name):
    function = echo(name)
    low, high = bounds(name)
    for value in (low - 1, high + 1, low - 2**40, high + 2**40, 2**64, -(2**63) - 1, 10**30):
        for given in (value, Int(value), Index(value)):
            with refused(
                OverflowError,
                match=rf"^echo_{name}\(\): argument 'x': expected {name} in "
                rf"\[{low}, {high}\], got {value}$",
            ):
                function(given)
    with refused(OverflowError, match=r"got an int of 16610 bits$"):
        function(10**5000)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize(
    "value",
    [
        1.0, math.nan, math.inf, np.float64(1), np.float32(1), np.longdouble(1), 1j,
        np.complex128(1), None, "1", b"1", "", bytearray(b"1"), [1], (1,), {}, decimal.Decimal(1),
        fractions.Fraction(1), np.array(1), np.array([1]), np.datetime64(1, "s"),
        np.timedelta64(1, "s"), np.str_("1"), np.bytes_(b"1"), Float(1), WithFloat(), object(), int,
        ctypes.c_int(1),
    ],
    ids=lambda value: f"{type(value).__name__}",
)  # fmt: skip
def test_no_integers(echo, name, value):
    with refused(
        TypeError,
        match=rf"^echo_{name}\(\): argument 'x': expected an integer for {name}, "
        rf"got {type(value).__name__} ",
    ):
        echo(name)(value)


def test_what_index_raises_comes_through(declare):
    class Failing:
        def __index__(self):
            raise LookupError("mine")

    with pytest.raises(LookupError, match=r"^mine$"):
        declare("int add_int(int a, int b)")(1, Failing())


# --- real and complex numbers


@pytest.mark.parametrize("name", REALS)
def test_reals(echo, name):
    function = echo(name)
    for value in (0.0, -0.0, 1.5, math.inf, -math.inf, 3, -3, True, 2**24, 2**53, 2**80, 10**30):
        result = function(value)
        assert type(result) is float
        expected = float(np.float32(value)) if name == "float" else float(value)
        assert (result, math.copysign(1, result)) == (expected, math.copysign(1, expected))
    assert math.isnan(function(math.nan))
    for one in (
        Float(1),
        Int(1),
        Index(1),
        np.float16(1),
        np.float32(1),
        np.float64(1),
        np.int8(1),
    ):
        assert function(one) == 1.0
    if name == "double":
        assert function(0.1) == 0.1


def test_a_float_rounds_and_does_not_overflow(echo):
    function = echo("float")
    assert function(0.1) == float(np.float32(0.1))
    assert function(1e-60) == 0.0
    largest = float(np.finfo(np.float32).max)
    assert function(largest) == largest
    assert function(np.float64(0.1)) == float(np.float32(0.1))
    # By way of a double it would be rounded twice.
    assert function(2**60 + 2**36 + 1) == float(2**60 + 2**37)
    assert function(2**53 - 1) == float(2**53)
    for value in (1e39, -1e39, largest * 2, np.float64(1e300), 10**39, -(10**39), Float(1e39)):
        with refused(OverflowError, match=r"^echo_float\(\): argument 'x': expected a number that"):
            function(value)


def test_ints_do_not_overflow_a_double(echo):
    for value in (10**400, -(10**400), Index(10**400)):
        with refused(
            OverflowError,
            match=r"^echo_double\(\): argument 'x': expected a number that fits double, got ",
        ):
            echo("double")(value)


@pytest.mark.parametrize("name", [*REALS, "longdouble", *COMPLEXES])
@pytest.mark.parametrize(
    "value",
    [
        None, "1", b"1", "", [1.0], decimal.Decimal(1), fractions.Fraction(1), WithFloat(),
        np.array(1.0), np.array([1.0]), np.str_("1"), np.datetime64(1, "s"), object(), float,
        array.array("d", [1.0]), ctypes.c_double(1),
    ],
    ids=lambda value: f"{type(value).__name__}",
)  # fmt: skip
def test_no_numbers(echo, name, value):
    with refused(
        TypeError,
        match=rf"^echo_{name}\(\): argument 'x': expected a.* for {SPELLED.get(name, name)}, "
        rf"got {type(value).__name__} ",
    ):
        echo(name)(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("float", 1j), ("double", 1 + 0j), ("longdouble", 1j), ("double", np.complex64(1))],
)
def test_complexes_are_not_real(echo, name, value):
    with refused(TypeError, match=rf"^echo_{name}\(\): argument 'x': expected .* for "):
        echo(name)(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("double", np.longdouble(1)),
        ("float", np.longdouble(1)),
        ("complex_float", np.longdouble(1)),
        ("complex_double", np.longdouble(1)),
        ("complex_double", np.clongdouble(1)),
        ("complex_float", np.clongdouble(1)),
    ],
)
def test_numbers_of_more_precision(echo, name, value):
    if np.finfo(np.longdouble).nmant > np.finfo(float).nmant:
        with refused(TypeError, match=rf"^echo_{name}\(\): argument 'x': expected .* for "):
            echo(name)(value)
    else:
        assert echo(name)(value) == 1


@pytest.mark.parametrize("name", COMPLEXES)
def test_complexes(echo, name):
    function = echo(name)
    for value in (0.5 - 2j, Complex(0.5 - 2j), np.complex64(0.5 - 2j), np.complex128(0.5 - 2j)):
        result = function(value)
        assert type(result) is complex
        assert result == 0.5 - 2j
    for one in (1, 1.0, True, np.float16(1), np.float32(1), np.float64(1), np.int8(1), Index(1)):
        assert function(one) == 1 + 0j
    result = function(complex(-0.0, math.inf))
    assert (math.copysign(1, result.real), result.imag) == (-1, math.inf)


def test_parts_do_not_overflow(echo):
    for value in (1e39, 1e39j, -1e39 + 0j, complex(math.inf, 1e39)):
        with refused(OverflowError, match=r"expected a number that fits float _Complex, got"):
            echo("complex_float")(value)


def test_longdoubles(echo):
    function = echo("longdouble")
    third = np.longdouble(1) / 3
    for value in (third, 0.1, 1, 2**63 - 1, -(2**63), np.float32(0.5), True, Index(5)):
        result = function(value)
        assert type(result) is np.longdouble
        expected = value.value if isinstance(value, Index) else value
        assert result == np.longdouble(expected)
    with refused(OverflowError, match="fits long double"):
        function(10**6000)
    result = echo("complex_longdouble")(third)
    assert type(result) is np.clongdouble
    assert (result.real, result.imag) == (third, 0)


# --- bool and char


def test_bools(echo):
    function = echo("bool")
    for value in (True, False, np.True_, np.False_, 0, 1, np.int8(1), Index(0)):
        result = function(value)
        assert type(result) is bool
        assert result == bool(value.value if isinstance(value, Index) else value)
    for value in (2, -1, 256, 2**64, Index(2), np.int8(-1)):
        with refused(
            OverflowError, match=r"^echo_bool\(\): argument 'x': .*_Bool in \[0, 1\], got"
        ):
            function(value)
    for value in (1.0, None, "", b"\1", [], np.array(True), math.nan):
        with refused(TypeError, match=r"^echo_bool\(\): argument 'x': expected .*_Bool, got"):
            function(value)


def test_results_that_are_not_one(declare, compile_c):
    # Whatever C puts into the byte: other values than 0 are true.
    library = ffi.dlopen(compile_c("unsigned char any(unsigned char x) { return x; }", "any"))
    function = ffi.Function(library.function("any", "uchar", "uchar"), "_Bool any(unsigned char x)")
    assert function(2) is function(255) is True
    assert function(0) is False


def test_chars(echo):
    function = echo("char")
    for value in (b"a", b"\0", b"\xff"):
        assert function(value) == value
    assert function("a") == function(97) == function(np.int8(97)) == b"a"
    low, high = (-128, 127) if CHAR_IS_SIGNED else (0, 255)
    assert function(low) == bytes([low & 0xFF])
    assert function(high) == bytes([high])
    for value in (low - 1, high + 1, 10**30):
        with refused(
            OverflowError,
            match=rf"^echo_char\(\): argument 'x': expected char in \[{low}, {high}\], got {value}",
        ):
            function(value)
    for value in ("", "ab", "é", b"", b"ab", "\x80"):
        with refused(ValueError, match=r"^echo_char\(\): argument 'x': expected .* for char, got "):
            function(value)
    for value in (1.0, None, bytearray(b"a"), memoryview(b"a"), [b"a"], np.array(b"a")):
        with refused(TypeError, match=r"^echo_char\(\): argument 'x': expected bytes or str of "):
            function(value)


# --- arrays

# Targets, and dtypes that are theirs.
ARRAYS = {
    "int8_t": ["i1"], "uint8_t": ["u1"], "int16_t": ["i2"], "uint16_t": ["u2"],
    "int32_t": ["i4"], "uint32_t": ["u4"], "int64_t": ["i8", np.longlong],
    "uint64_t": ["u8", np.ulonglong], "long": ["l", np.int_], "long long": ["q", "i8"],
    "size_t": [np.uintp], "float": ["f4"], "double": ["f8"], "long double": [np.longdouble],
    "float _Complex": ["c8"], "double _Complex": ["c16"], "long double _Complex": [np.clongdouble],
    "_Bool": ["?"], "char": ["i1", "u1", "S1", "?"], "unsigned char": ["i1", "u1", "S1", "?"],
    "void *": [np.uintp], "double *": [np.uintp],
    "void": ["f8", "i1", "c16", "S5", "M8[s]", [("a", "i4")]],
}  # fmt: skip
ALL = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", np.longdouble]
ALL += ["c8", "c16", np.clongdouble, "?", "S1", "S2", "U1", "M8[s]", "V1", [("a", "f8")]]


def pointer_of(target, const=False):
    return f"{'const ' * const}{target} *" if "*" not in target else f"{target}{'const ' * const}*"


@pytest.mark.parametrize("const", [False, True])
@pytest.mark.parametrize("target", ARRAYS)
def test_arrays_of_the_target(addressed, target, const):
    function = addressed(pointer_of(target, const))
    for dtype in ARRAYS[target]:
        for shape in (6, (2, 3), (), 0, (1, 0, 3)):
            data = np.zeros(shape, dtype)
            assert function(data) == data.ctypes.data
            if const:
                data.flags.writeable = False
                assert function(data) == data.ctypes.data
        # A part of one is as good, and so is a subclass.
        data = np.zeros(8, dtype)
        assert function(data[3:]) == data.ctypes.data + 3 * data.itemsize
        assert function(data.view(Subclass)) == data.ctypes.data
    assert function(None) == 0


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize("target", [target for target in ARRAYS if target != "void"])
def test_arrays_of_other_dtypes(addressed, target):
    function = addressed(pointer_of(target, True))
    right = {np.dtype(dtype) for dtype in ARRAYS[target]}
    if "char" in target or target == "uint8_t":
        # Characters are bytes, whatever their sign.
        right |= {dtype for dtype in map(np.dtype, ALL) if dtype.itemsize == 1}
    count = 0
    for dtype in map(np.dtype, ALL):
        if dtype in right:
            continue
        count += 1
        with refused(
            TypeError,
            match=r"^echo_pointer\(\): argument 'x': expected .* for .*const .*, got an array",
        ):
            function(np.zeros(4, dtype))
    assert count >= 14


@pytest.mark.parametrize("target", ["int16_t", "int32_t", "uint64_t", "float", "double", "void"])
def test_arrays_of_the_other_byte_order(addressed, target):
    dtype = np.dtype(ARRAYS[target][0]).newbyteorder()
    function = addressed(pointer_of(target, True))
    with refused(
        TypeError,
        match=r"^echo_pointer\(\): argument 'x': expected native byte order, "
        r"got an array of [<>]..; use array.astype",
    ):
        function(np.zeros(4, dtype))
    # What is given to C by that advice is taken.
    assert function(np.zeros(4, dtype).astype(dtype.newbyteorder("=")))


@pytest.mark.parametrize("target", ["double", "void"])
def test_arrays_that_are_not_contiguous(addressed, target):
    function = addressed(pointer_of(target, True))
    square = np.zeros((4, 4))
    for data in (
        square.T[:, :2],
        square[::2],
        square[:, 1:],
        square[::-1],
        np.asfortranarray(square),
    ):
        with refused(
            TypeError,
            match=r"^echo_pointer\(\): argument 'x': expected a C-contiguous array, got shape .* "
            r"with strides .*; use np.ascontiguousarray$",
        ):
            function(data)
        assert function(np.ascontiguousarray(data))
    # With one row the order makes no difference.
    assert function(square[:1].T)


@pytest.mark.parametrize("target", ["double", "void"])
def test_arrays_that_are_read_only(addressed, target):
    data = np.zeros(4)
    data.flags.writeable = False
    with refused(
        TypeError,
        match=r"^echo_pointer\(\): argument 'x': expected a writable array, got a read-only one of "
        r"float64$",
    ):
        addressed(pointer_of(target))(data)
    assert addressed(pointer_of(target, True))(data) == data.ctypes.data


def test_arrays_that_are_misaligned(addressed):
    data = np.zeros(33, np.uint8)[1:].view("f8")
    with refused(
        ValueError,
        match=rf"^echo_pointer\(\): argument 'x': expected storage aligned to {ffi.alignof.double} "
        "bytes, got address",
    ):
        addressed("double *")(data)
    # Anything may be at any address.
    assert addressed("void *")(data) == data.ctypes.data


def test_arrays_of_objects(addressed):
    for pointer in ("void *", "const double *", "char **"):
        with refused(TypeError, match=r"argument 'x': expected .*, got an array of object"):
            addressed(pointer)(np.array([1, 2], object))


def test_arrays_of_structs(declare):
    library = ffi.dlopen(declare("int answer(void)").library.name)
    library.types["mixed"] = MIXED
    function = library.function("uintptr_t echo_pointer(const mixed *x)")
    data = np.zeros(3, MIXED.dtype)
    assert function(data) == data.ctypes.data
    assert function(data[1:]) == data.ctypes.data + data.itemsize
    pointer = ffi.new((MIXED, 2))
    assert function(pointer) == function(pointer[0]) == pointer.address
    assert function(memoryview(data)) == data.ctypes.data
    for dtype in (
        [("c", "i1"), ("d", "f8")],
        np.dtype([("c", "i1"), ("e", "f8")], align=True),
        np.dtype([("c", "u1"), ("d", "f8")], align=True),
        np.dtype([("c", "i1"), ("d", "i8")], align=True),
        "f8",
        "V16",
    ):
        with refused(
            TypeError, match=r"expected an array or Record of struct mixed or None .*got an"
        ):
            function(np.zeros(3, dtype))
    # A NumPy scalar is a value, without an address of its own.
    for value in ((1, 2.0), {"c": 1}, 3, "x", b"x" * 16, bytearray(16), data[1]):
        with refused(
            TypeError, match=r"expected an array or Record of struct mixed or None .*, got"
        ):
            function(value)


@pytest.mark.parametrize(
    ("pointer", "value", "hint"),
    [
        ("double *", [1.0], "; make an array of it$"),
        ("double *", (1.0, 2.0), "; make an array of it$"),
        ("double *", 1.0, "$"),
        ("double *", np.float64(1), "$"),
        ("double *", 5, "$"),
        ("double *", True, "$"),
        ("double *", "text", "; encode it$"),
        ("double *", object(), "$"),
        ("double *", np.zeros, "$"),
        ("double *", np.float64, "$"),
        ("char *", "text", "; C may write there, so give a bytearray$"),
        ("unsigned char *", "text", "; encode it$"),
        ("const unsigned char *", "text", "; encode it$"),
        ("void *", "text", "; encode it$"),
        ("void *", 1.0, "$"),
        ("void *", True, "$"),
        ("struct opaque *", 5, "$"),
    ],
)
def test_no_arrays(addressed, pointer, value, hint):
    with refused(
        TypeError,
        match=rf"^echo_pointer\(\): argument 'x': expected a.* or None for .*, got .*{hint}",
    ):
        addressed(pointer)(value)


def test_advice_on_dtypes(addressed):
    for wrong in (np.zeros(3, "i4"), np.zeros(3, "f4")):
        with refused(
            TypeError, match=r"expected an array of float64 .*; use array.astype\(np.float64"
        ):
            addressed("const double *")(wrong)
    with refused(
        TypeError, match=r"expected an array of complex64 .*use array.astype\(np.complex64"
    ):
        addressed("const float _Complex *")(np.zeros(3))


# --- other buffers


def buffer_address(buffer):
    return np.frombuffer(buffer, np.uint8).ctypes.data


@pytest.mark.parametrize(
    ("pointer", "code"),
    [
        ("double *", "d"), ("float *", "f"), ("int *", "i"), ("unsigned *", "I"),
        ("short *", "h"), ("unsigned short *", "H"), ("signed char *", "b"),
        ("unsigned char *", "B"), ("long *", "l"),
        ("unsigned long *", "L"), ("long long *", "q"), ("int64_t *", "q"),
        ("uint64_t *", "Q"), ("char *", "b"), ("char *", "B"), ("void *", "d"), ("void **", "L"),
    ],
)  # fmt: skip
def test_buffers_by_their_format(addressed, pointer, code):
    buffer = array.array(code, [1, 2, 3])
    address = buffer.buffer_info()[0]
    for value in (buffer, memoryview(buffer), memoryview(buffer)[:]):
        assert addressed(pointer)(value) == address
        assert addressed(f"const {pointer}" if "**" not in pointer else pointer)(value) == address
    read_only = memoryview(buffer).toreadonly()
    with refused(TypeError, match=r"argument 'x': expected a writable buffer, got a read-only"):
        addressed(pointer)(read_only)
    if "**" not in pointer:
        assert addressed(f"const {pointer}")(read_only) == address


@pytest.mark.parametrize(
    ("pointer", "code"),
    [
        ("double *", "f"), ("double *", "q"), ("float *", "i"), ("int *", "I"), ("unsigned *", "i"),
        ("int *", "f"), ("int *", "q"), ("int *", "h"), ("long *", "d"), ("long *", "L"),
        ("_Bool *", "b"), ("signed char *", "B"), ("char *", "h"), ("unsigned char *", "i"),
        ("void **", "q"), ("struct opaque *", "b"), ("float _Complex *", "d"),
    ],
)  # fmt: skip
def test_buffers_of_other_formats(addressed, pointer, code):
    with refused(TypeError, match=r"^echo_pointer\(\): argument 'x': expected .*, got array "):
        addressed(pointer)(array.array(code, [1, 2, 3]))


def test_buffers_that_are_not_contiguous(addressed):
    buffer = memoryview(array.array("d", range(8)))[::2]
    with refused(
        TypeError, match=r"argument 'x': expected a C-contiguous buffer, got memoryview: "
    ):
        addressed("const double *")(buffer)


def test_buffers_that_are_misaligned(addressed):
    buffer = memoryview(bytearray(33))[1:].cast("d")
    if buffer_address(buffer) % 8:
        with refused(ValueError, match=r"argument 'x': expected storage aligned to [48] bytes"):
            addressed("double *")(buffer)
    else:
        assert addressed("double *")(buffer)


def test_buffers_of_the_other_byte_order(addressed):
    kind = ctypes.c_int32.__ctype_be__ if sys.byteorder == "little" else ctypes.c_int32.__ctype_le__
    with refused(TypeError, match=r"argument 'x': expected a buffer of native C values, got c_"):
        addressed("int *")((kind * 3)())
    assert addressed("int *")((ctypes.c_int32 * 3)())


def test_bytearrays_are_bytes(addressed):
    buffer = bytearray(b"bytes")
    address = buffer_address(buffer)
    for pointer in ("char *", "unsigned char *", "void *", "const char *", "const uint8_t *"):
        assert addressed(pointer)(buffer) == address
    for pointer in ("signed char *", "short *", "double *", "_Bool *", "char **", "struct s *"):
        with refused(TypeError, match=r"argument 'x': expected .*, got bytearray"):
            addressed(pointer)(buffer)


# --- strings


def test_strings(cases):
    libc = ffi.dlopen(None)
    for options in ({}, {"errcheck": unchanged}):
        strlen = libc.function("size_t strlen(const char *s)", **options)
        for value, length in [
            (b"hello", 5),
            ("hello", 5),
            (b"", 0),
            ("", 0),
            ("é€😀", 9),
            (np.bytes_(b"abc"), 3),
            (np.str_("abc"), 3),
            (bytearray(b"abc\0d"), 3),
            (np.array([97, 0], np.uint8), 1),
            (memoryview(b"ab\0"), 2),
            (np.array(b"abc\0"), 3),
        ]:
            if isinstance(value, np.ndarray) and value.dtype == "S4":
                continue
            assert strlen(value) == length, value
        for value in (b"a\0b", "a\0b", b"\0", "\0"):
            with refused(
                ValueError,
                match=r"^strlen\(\): argument 's': expected a string without NUL, got "
                rf"{type(value).__name__} |got b?'",
            ):
                strlen(value)
        with refused(ValueError, match=r"^strlen\(\): argument 's': .*surrogate"):
            strlen("\ud800")


def test_bytes_are_no_place_to_write(addressed):
    for pointer in ("char *", "unsigned char *", "void *", "double *"):
        with refused(
            TypeError, match=r"argument 'x': expected a writable buffer, got a read-only bytes$"
        ):
            addressed(pointer)(b"12345678")
    text = b"text"
    assert addressed("const void *")(text) == addressed("const char *")(text)
    assert addressed("const unsigned char *")(text) == addressed("const char *")(text)


def test_string_results():
    strchr = ffi.dlopen(None).function("const char *strchr(const char *s, int c)")
    text = b"key=value"
    found = strchr(text, ord("="))
    assert type(found) is ffi.Pointer
    assert found.type == ffi.Function(1, "const char *f(void)").rtype
    assert found.string() == b"=value"
    assert strchr(text, ord("?")) is None


# --- arrays of other packages


class Interface:
    def __init__(self, data):
        self.data = data

    @property
    def __array_interface__(self):
        return self.data.__array_interface__


class Struct:
    def __init__(self, data):
        self.data = data

    @property
    def __array_struct__(self):
        return self.data.__array_struct__


class DLPack:
    def __init__(self, data):
        self.data = data

    def __dlpack__(self, *args, **options):
        return self.data.__dlpack__(*args, **options)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()


@pytest.mark.parametrize("kind", [Interface, Struct, DLPack])
def test_other_arrays(declare, addressed, kind):
    x, y = np.arange(5.0), np.ones(5)
    dot = declare("double dot(size_t n, const double *x, const double *y)")
    assert dot(5, kind(x), kind(y)) == 10.0
    assert addressed("const double *")(kind(x)) == x.ctypes.data
    assert addressed("const void *")(kind(x)) == x.ctypes.data
    # NumPy 2.2 and older ones take all as read only that DLPack gives.
    if kind is not DLPack or np.from_dlpack(kind(x)).flags.writeable:
        fill = declare("void fill_int(int *items, size_t count, int value)")
        items = np.zeros(4, np.intc)
        fill(kind(items), 3, 7)
        assert items.tolist() == [7, 7, 7, 0]
    with refused(
        TypeError, match=r"argument 'x': expected an array of float64 .*got an array of int"
    ):
        dot(5, kind(np.arange(5)), y)
    with refused(TypeError, match=r"argument 'y': expected a C-contiguous array, got shape"):
        dot(5, x, kind(np.ones(10)[::2]))


def test_arrays_of_before_dlpack_1(addressed, declare):
    # Those of PyTorch before 2.8 for one, which cannot say that they may be written.
    class Tensor:
        def __init__(self, data):
            self.data = data

        def __dlpack__(self, stream=None):
            return self.data.__dlpack__()

        def __dlpack_device__(self):
            return self.data.__dlpack_device__()

        def __index__(self):
            return int(self.data)

    data = np.arange(3.0)
    one = Tensor(np.array(5))
    assert addressed("const void *")(one) == one.data.ctypes.data
    assert addressed("const double *")(Tensor(data)) == data.ctypes.data
    with refused(
        TypeError, match=r"argument 'x': .* got Tensor .* read only; .* tensor\.numpy\(\)"
    ):
        addressed("double *")(Tensor(data))


def test_other_arrays_that_fail(addressed):
    class Raising:
        @property
        def __array_interface__(self):
            raise TypeError("no interface today")

    class Nonsense:
        __array_interface__ = 5

    class OnDevice:
        def __dlpack__(self, *args, **options):
            raise BufferError("it is on another device")

        def __dlpack_device__(self):
            return 2, 0

    for value in (Raising(), Nonsense(), OnDevice()):
        with refused(TypeError, match=rf"argument 'x': expected .*, got {type(value).__name__}"):
            addressed("const double *")(value)


def test_other_arrays_are_released(addressed):
    data = np.zeros(5)
    before = sys.getrefcount(data)
    function = addressed("const double *")
    for kind in (Interface, Struct, DLPack):
        for _ in range(100):
            function(kind(data))
    assert sys.getrefcount(data) == before


# --- pointers


def test_pointers(addressed):
    p = ffi.new("double", 1.5)
    for pointer in ("double *", "const double *", "void *", "const void *"):
        assert addressed(pointer)(p) == p.address
        assert addressed(pointer)(p.cast("void *")) == p.address
    constant = p.cast("const double *")
    assert addressed("const double *")(constant) == p.address
    for pointer in ("double *", "void *"):
        with refused(
            TypeError,
            match=rf"^echo_pointer\(\): argument 'x': expected {pointer[:-1]}\*, got <ffi.Pointer "
            r"const double \* at 0x.*>, which is const$",
        ):
            addressed(pointer)(constant)
    for pointer in ("float *", "const float *", "int64_t *", "double **", "struct s *", "char *"):
        with refused(
            TypeError, match=r"argument 'x': expected .*, got <ffi.Pointer double \* at .*cast"
        ):
            addressed(pointer)(p)
    # long and long long of one size are one type.
    assert addressed("long long *")(ffi.new("int64_t")) > 0
    assert addressed("char *")(ffi.new("uint8_t")) > 0


def test_pointers_to_pointers(addressed):
    p = ffi.new("double *", ffi.new("double", 1.5))
    assert addressed("double **")(p) == p.address
    assert addressed("void *")(p) == p.address
    for pointer in ("float **", "void **", "double *"):
        with refused(
            TypeError, match=r"argument 'x': expected .*, got <ffi.Pointer double \*\* at"
        ):
            addressed(pointer)(p)


def test_opaque_types_go_by_tag(addressed):
    p = ffi.new("int").cast(addressed("struct one *").atypes[0])
    assert addressed("struct one *")(p) == p.address
    assert addressed("void *")(p) == p.address
    with refused(
        TypeError, match=r"argument 'x': expected struct two \*, got <ffi.Pointer struct one"
    ):
        addressed("struct two *")(p)


def test_released_pointers(addressed):
    p = ffi.new("double")
    p.release()
    with refused(
        ValueError,
        match=r"^echo_pointer\(\): argument 'x': <ffi.Pointer double \* \(released\)> was rel",
    ):
        addressed("double *")(p)


def test_addresses_are_for_void(addressed):
    function = addressed("void *")
    high = 2 ** (8 * ffi.sizeof.pointer) - 1
    for value in (0, 1, high, np.uint64(5), Index(7)):
        assert function(value) == (value.value if isinstance(value, Index) else value)
    for value in (-1, high + 1):
        with refused(
            OverflowError, match=r"^echo_pointer\(\): argument 'x': expected an address in"
        ):
            function(value)
    for pointer in ("double *", "char *", "struct s *", "void **"):
        for value in (5, 0, np.uint64(5)):
            with refused(
                TypeError, match=rf"argument 'x': expected .*, got {type(value).__name__} "
            ):
                addressed(pointer)(value)


def test_functions_are_addresses(addressed):
    function = addressed("void *")
    closure = ffi.Closure(ffi.CIF("void"), lambda *_: None)
    assert function(function) == function.address
    assert function(closure) == closure.address
    with refused(TypeError, match=r"argument 'x': expected .*, got Function|got <ffi.Function"):
        addressed("double *")(function)


def test_pointer_results(declare):
    echo = declare("double *echo_pointer(double *x)")
    data = np.arange(3.0)
    result = echo(data)
    assert type(result) is ffi.Pointer
    assert result.type == echo.rtype
    assert result.view(3).tolist() == [0.0, 1.0, 2.0]
    result[0] = 5
    assert data[0] == 5.0
    assert echo(None) is None
    assert echo(result) == result
    to_const = declare("const double *echo_pointer(double *x)")
    with refused(TypeError, match="const"):
        to_const(data)[0] = 1
    with refused(TypeError, match="which is const"):
        echo(to_const(data))
    anything = declare("void *echo_pointer(void *x)")
    assert anything(5).address == 5
    assert anything(0) is None
    opaque = declare("struct opaque *echo_pointer(void *x)")
    assert opaque(5).type.target.tag == "struct opaque"


# --- structs


@pytest.mark.parametrize("name", STRUCTS)
def test_structs_in_every_form(echo, name):
    function, ctype, value = echo(name), STRUCTS[name], VALUES[name][0]
    stored = np.array([value], ctype.dtype)
    record = ffi.new(ctype, value)[0]
    named = dict(zip(ctype.dtype.names, value, strict=True))
    expected = plain(stored[0])
    results = [function(given) for given in (value, stored[0], record, named, function(record))]
    for result in results:
        assert type(result) is ffi.Record
        assert plain(np.asarray(result)[()]) == expected
    assert results[0] == record
    assert len({ffi.addressof(result) for result in results}) == len(results)


def test_results_are_copies(echo):
    record = ffi.new(MIXED, (1, 2.5))[0]
    result = echo("mixed")(record)
    result.d = 7
    assert record.d == 2.5
    record.c = 5
    assert result.c == 1


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ((1,), ValueError, "expected 2 "),
        ((1, 2.0, 3), ValueError, "expected 2 "),
        ((1000, 2.0), OverflowError, r"int8 in \[-128, 127\], got 1000"),
        ((1, "x"), TypeError, "a real number for double, got str 'x'"),
        ({"c": 1, "e": 2}, ValueError, "'e'"),
        ([1, 2.0], TypeError, "expected a Record, NumPy record, tuple or dict .*, got list"),
        (5, TypeError, "got int 5"),
        (None, TypeError, "got NoneType"),
        ("ab", TypeError, "got str 'ab'"),
        (b"x" * 16, TypeError, "got bytes"),
        (np.zeros(2, MIXED.dtype), (TypeError, ValueError), ""),
        (np.zeros((), [("c", "i1"), ("d", "f8")])[()], TypeError, ""),
        (np.zeros((), "f8"), TypeError, ""),
        (ffi.new(STRUCTS["three"])[0], TypeError, "three|struct"),
        (ffi.new(MIXED), TypeError, "Pointer"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_structs(echo, value, kind, message):
    with refused(kind, match=rf"^echo_mixed\(\): argument 'x': .*{message}"):
        echo("mixed")(value)


def test_structs_with_pointers(declare):
    items = np.arange(4, dtype=np.intc)
    pointing = ffi.struct([("items", "int *"), ("count", "size_t")], "struct pointing")
    total = declare("sum_pointing", "int", pointing)
    assert total((items, 4)) == 6
    assert total({"items": items[1:], "count": 2}) == 3
    assert total(ffi.new(pointing, (items, 3))[0]) == 3
    assert total((None, 0)) == 0
    for wrong in (np.zeros(4), [1, 2], items[::2], items.astype(items.dtype.newbyteorder()), 5):
        with refused(TypeError, match=r"^sum_pointing\(\): argument 0: .*'items'"):
            total((wrong, 2))


# --- what is named


def test_messages_name_position_or_name(declare):
    named = declare("int add_int(int first, int second)")
    with refused(TypeError, match=r"^add_int\(\): argument 'second': .*, got str 'a'$"):
        named(1, "a")
    with refused(TypeError, match=r"^add_int\(\): argument 'first': .*, got float 1.5$"):
        named(second=2, first=1.5)
    unnamed = declare("add_int", t.int, t.int, t.int)
    with refused(TypeError, match=r"^add_int\(\): argument 1: .*, got NoneType None$"):
        unnamed(1, None)
    with refused(OverflowError, match=r"^add_int\(\): argument 0: .*, got 2147483648$"):
        unnamed(2**31, None)
    anonymous = ffi.Function(named.address, "int (int, int)", errcheck=named.errcheck)
    with refused(TypeError, match=r"^function\(\): argument 0: "):
        anonymous("x", 1)


def test_the_first_wrong_argument_is_named(declare):
    dot = declare("double dot(size_t n, const double *x, const double *y)")
    wrong, right = np.zeros(3, "f4"), np.zeros(3)
    for arguments, name in [((1.5, wrong, wrong), "n"), ((3, wrong, right), "x")]:
        with refused(TypeError, match=rf"^dot\(\): argument '{name}': "):
            dot(*arguments)
    with refused(TypeError, match=r"^dot\(\): argument 'y': "):
        dot(3, right, wrong)


def test_nothing_is_called_if_an_argument_is_wrong(declare, cases):
    count = ffi.view(ffi.dlsym(ffi.dlopen(cases), "calls_of_count_call"), np.intc)
    function = declare("void count_call(int x)")
    before = int(count)
    for wrong in ("x", None, 2**31, 1.5):
        with pytest.raises(ffi.Error):
            function(wrong)
    assert int(count) == before
    assert function(1) is None
    assert int(count) == before + 1


def test_long_values_are_cut(declare):
    with pytest.raises(TypeError, match=r"\.\.\.") as caught:
        declare("int add_int(int a, int b)")("x" * 10**6, 1)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("count", [0, 1, 6, 14, 40, 100])
def test_many_arguments(compile_c, count):
    # More than the short way has room for, too.
    source = "double sum{0}({1}) {{ return 0{2}; }}\n"
    names = [f"a{i}" for i in range(count)]
    kinds = ["double", "long", "float", "signed char"]
    parameters = ", ".join(f"{kinds[i % 4]} {name}" for i, name in enumerate(names)) or "void"
    terms = "".join(f" + {i + 1} * a{i}" for i in range(count))
    library = ffi.dlopen(compile_c(source.format(count, parameters, terms), f"sum{count}"))
    function = library.function(f"double sum{count}({parameters})")
    values = [(-1) ** i * (i % 100) for i in range(count)]
    expected = sum((i + 1) * value for i, value in enumerate(values))
    assert function(*values) == expected
    assert function(**dict(zip(names, values, strict=True))) == expected
