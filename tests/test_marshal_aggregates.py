"""Structs, unions and arrays to C and back."""

from __future__ import annotations

import collections
import sys

import numpy as np
import pytest
from checks import refused
from test_marshal import Index, check_refused, put, same

import ffi

t = ffi.types
OTHER = {"little": "big", "big": "little"}[sys.byteorder]
POINT = ffi.struct({"x": "double", "y": "int16"}, name="point")
NUMBER = ffi.union({"i": "int32", "d": "double", "c": np.dtype("S3")}, name="number")
DEEP = ffi.struct(
    {
        "tag": "char",
        "at": POINT,
        "grid": np.dtype((np.int16, (2, 3))),
        "name": np.dtype("S4"),
        "points": np.dtype((POINT.dtype, (2,))),
        "to": "pointer",
        "ok": "bool",
        "z": "complex_float",
    },
    name="deep",
)
VALUES = {
    "tag": b"t",
    "at": (1.5, 2),
    "grid": [[1, 2, 3], (4, 5, 6)],
    "name": b"ab",
    "points": [(3.5, 4), {"x": 5.5, "y": 6}],
    "to": None,
    "ok": True,
    "z": 1 - 2j,
}


@pytest.fixture(scope="module")
def in_c(compile_c):
    """The bytes of DEEP as the C compiler writes VALUES."""
    text = """
        #include <stdint.h>
        struct point { double x; int16_t y; };
        struct deep {
            char tag; struct point at; int16_t grid[2][3]; char name[4]; struct point points[2];
            void *to; _Bool ok; float _Complex z;
        };
        const struct deep deep = {
            't', {1.5, 2}, {{1, 2, 3}, {4, 5, 6}}, "ab", {{3.5, 4}, {5.5, 6}}, 0, 1,
            1.0f - 2.0f * __extension__ 1.0iF
        };
    """
    library = ffi.dlopen(compile_c(text, "deep"))
    return ffi.view(ffi.dlsym(library, "deep"), DEEP)


def test_struct_is_what_c_makes_of_it(in_c):
    for value in (VALUES, tuple(VALUES.values()), in_c[()]):
        assert put(DEEP, value) == in_c.tobytes()
    assert ffi.read(DEEP, in_c) == in_c[()]


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_struct(byteorder):
    read = same(DEEP, VALUES, byteorder)
    assert type(read) is np.void
    assert read.dtype == DEEP.dtype
    assert (read["tag"], read["name"], read["to"], read["ok"]) == (b"t", b"ab", 0, True)
    assert read["at"].tolist() == (1.5, 2)
    assert read["grid"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert read["points"].tolist() == [(3.5, 4), (5.5, 6)]
    assert read["z"] == 1 - 2j


def test_byte_order_of_members():
    raw = put(POINT, (1.5, 2), OTHER)
    assert raw[:8] == put("double", 1.5, OTHER)
    assert raw[8:10] == put("int16", 2, OTHER)
    grid = put(np.dtype((np.int16, (2, 2))), [[1, 2], [3, 4]], OTHER)
    assert grid == np.array([1, 2, 3, 4], np.int16).byteswap().tobytes()
    assert put("S3", b"abc", OTHER) == b"abc"


def test_read_is_a_copy():
    storage = bytearray(put(POINT, (1.5, 2)))
    record, array = ffi.read(POINT, storage), ffi.read(np.dtype((np.uint8, (POINT.size,))), storage)
    storage[:] = bytes(POINT.size)
    assert record.tolist() == (1.5, 2)
    assert array.any()
    record["y"] = array[0] = 9
    assert not any(storage)
    assert (record["y"], array[0]) == (9, 9)


@pytest.mark.parametrize(
    "value",
    [
        (1.5, 2),
        collections.namedtuple("Pair", "x y")(1.5, 2),  # noqa: PYI024 (the class is the test)
        {"x": 1.5, "y": 2},
        {"y": Index(2), "x": np.float32(1.5)},
        collections.OrderedDict(y=2, x=1.5),
        np.array((1.5, 2), POINT.dtype),
        np.array((1.5, 2), POINT.dtype)[()],
        np.rec.array([(1.5, 2)], POINT.dtype)[0],
    ],
    ids=lambda value: type(value).__name__,
)
def test_struct_values(value):
    assert same(POINT, value).tolist() == (1.5, 2)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ((), ValueError, "expected 2 members of point, got 0"),
        ((1.5,), ValueError, "expected 2 members of point, got 1"),
        ((1.5, 2, 3), ValueError, "expected 2 members of point, got 3"),
        ({}, ValueError, "member 'x' of point"),
        ({"x": 1.5}, ValueError, "member 'y' of point"),
        ({"x": 1.5, "y": 2, "z": 3}, ValueError, "point has no member 'z'"),
        ({"x": 1.5, "y": 2, 0: 3}, ValueError, "point has no member 0"),
        ((1.5, 2**15), OverflowError, rf"member 'y': expected int16 in .*, got {2**15}"),
        ({"x": 1.5, "y": -(2**15) - 1}, OverflowError, "member 'y': .* got -32769"),
        ((1.5, 2.0), TypeError, "member 'y': .*, got float 2.0"),
        (("1.5", 2), TypeError, "member 'x': .*, got str '1.5'"),
        ((None, 2), TypeError, "member 'x': .*, got NoneType"),
        ([1.5, 2], TypeError, "for point, got list"),
        (None, TypeError, "for point, got NoneType"),
        (1.5, TypeError, "for point, got float"),
        (b"\0" * 16, TypeError, "for point, got bytes"),
        (np.zeros(1, POINT.dtype), TypeError, r"for point, got .*shape \(1,\)"),
        (np.zeros((), "f8,i2")[()], TypeError, "for point, got .*f0"),
        (np.zeros((), [("x", "f8"), ("y", "i2")])[()], TypeError, "for point, got "),
        (np.zeros((), POINT.dtype.newbyteorder("S"))[()], TypeError, "for point, got "),
        (np.void(bytes(16)), TypeError, "for point, got .*V16"),
        (np.zeros(2), TypeError, r"for point, got .*float64 of shape \(2,\)"),
    ],
)
def test_struct_refusals(value, kind, message):
    check_refused(POINT, value, kind, message)


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("at", (1.5, 2**40), rf"member 'at': member 'y': .* got {2**40}"),
        ("grid", [[1, 2, 3], [4, 5, 2**20]], rf"member 'grid': item 1: item 2: .* got {2**20}"),
        ("points", [(1, 2), {"x": 1, "y": 10**9}], "member 'points': item 1: member 'y': .*"),
    ],
)
def test_place_of_a_nested_failure(member, value, message):
    check_refused(DEEP, {**VALUES, member: value}, OverflowError, message)


def test_padding_is_zero():
    storage = bytearray(b"\xff") * POINT.size
    ffi.write(POINT, storage, (0.0, 0))
    assert storage == bytes(POINT.size)


def test_dict_that_changes_while_it_is_read():
    class Deleting:
        def __index__(self):
            del value["b"]
            return 1

    value = {"a": Deleting(), "b": 7}
    pair = ffi.struct({"a": "int8", "b": "int8"})
    assert put(pair, value) == b"\1\7"


# --- arrays

ROWS = np.dtype((np.int16, (2, 3)))


@pytest.mark.parametrize(
    "value",
    [
        [[1, 2, 3], [4, 5, 6]],
        ((1, 2, 3), [4, 5, Index(6)]),
        [np.array([1, 2, 3], np.int16), [4, 5, 6]],
        np.arange(1, 7, dtype=np.int16).reshape(2, 3),
        np.arange(1, 7, dtype=np.int16).reshape(3, 2).T.copy(order="F").reshape(2, 3),
        np.arange(1, 13, dtype=np.int16).reshape(2, 6)[:, ::2],
    ],
)
def test_array(value):
    expected = np.array([[int(item) for item in map(int, row)] for row in value])
    read = same(ROWS, value)
    assert (read.dtype, read.shape) == (np.int16, (2, 3))
    assert np.array_equal(read, expected)
    assert np.array_equal(same(ROWS, value, OTHER), expected)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ([], ValueError, r"expected 2 items for int16\[2\]\[3\], got 0"),
        ([[1, 2, 3]], ValueError, r"expected 2 items for int16\[2\]\[3\], got 1"),
        ([[1, 2, 3], [4, 5]], ValueError, r"item 1: expected 3 items for int16\[3\], got 2"),
        ([[1, 2, 3], [4, 5, 6, 7]], ValueError, r"item 1: expected 3 items .*, got 4"),
        ([[1, 2, 3], 4], TypeError, r"item 1: .* for int16\[3\], got int 4"),
        ([[1, 2, 3], [4, 5, "6"]], TypeError, "item 1: item 2: .* got str '6'"),
        (5, TypeError, r"for int16\[2\]\[3\], got int 5"),
        (None, TypeError, "got NoneType"),
        ("abcdef", TypeError, "got str"),
        (b"abcdef", TypeError, "got bytes"),
        (iter([[1, 2, 3]] * 2), TypeError, "got list_iterator"),
        ({0: [1, 2, 3]}, TypeError, "got dict"),
        (np.zeros((2, 3), np.int32), TypeError, r"int16 .*\(2, 3\).*, got dtype int32"),
        (np.zeros((2, 3), np.int16).byteswap().view(ROWS.base.newbyteorder("S")), TypeError, "got"),
        (np.zeros((3, 2), np.int16), TypeError, r"got .*shape \(3, 2\)"),
        (np.zeros(6, np.int16), TypeError, r"got .*shape \(6,\)"),
        (np.int16(3), TypeError, "got int16"),
    ],
)
def test_array_refusals(value, kind, message):
    check_refused(ROWS, value, kind, message)


def test_list_that_changes_while_it_is_read():
    class Clearing:
        def __index__(self):
            items.clear()
            return 1

    items = [Clearing(), 2, 3]
    assert same(np.dtype((np.int8, (3,))), items).tolist() == [1, 2, 3]


def test_char_arrays():
    for value in (b"", b"a", b"abcd", [b"a", "b", 99, b"d"], np.array(b"abc", "S4")):
        raw = put("S4", value)
        expected = b"abcd" if isinstance(value, list) else bytes(np.array(value).tobytes()[:4])
        assert raw == expected.rstrip(b"\0").ljust(4, b"\0")
    read = ffi.read("S4", b"ab\0d")
    assert (read.dtype, read.shape, read.tobytes()) == ("S4", (), b"ab\0d")
    for value, kind, message in (
        (b"abcde", ValueError, r"at most 4 bytes for char\[4\], got 5"),
        ([b"a"], ValueError, r"4 items for char\[4\], got 1"),
        ([b"a", b"b", b"c", b"de"], ValueError, "item 3: .*length one"),
        ("abcd", TypeError, "got str"),
        (97, TypeError, "got int"),
    ):
        check_refused("S4", value, kind, message)
    assert put(np.dtype(("S2", (2,))), [b"ab", b"c"]) == b"abc\0"
    assert put(np.dtype(("S1", (3,))), b"xy") == b"xy\0"


def test_lying_lengths():
    class Lying(bytes):
        def __len__(self):
            return 64

    # Read as the two bytes that it has, whatever it says.
    assert put("S64", Lying(b"ab")) == b"ab".ljust(64, b"\0")
    assert put("S4", Lying(b"ab")) == b"ab\0\0"
    assert put("char", Lying(b"a")) == b"a"
    check_refused("char", Lying(b""), ValueError, "length one for char, got b''")


@pytest.mark.parametrize("length", [1, 64, 65, 1000])
def test_long_arrays(length):
    dtype = np.dtype((np.uint8, (length,)))
    value = np.arange(length, dtype=np.uint8)
    assert put(dtype, value) == value.tobytes()
    assert same(dtype, value.tolist(), OTHER).tolist() == value.tolist()
    check_refused(dtype, [*value.tolist()[:-1], 256], OverflowError, f"item {length - 1}: ")


# --- unions


def test_union():
    for value, expected in (
        ({"i": 5}, put("int32", 5) + bytes(4)),
        ({"d": 2.5}, put("double", 2.5)),
        ({"c": b"ab"}, b"ab" + bytes(6)),
    ):
        assert put(NUMBER, value) == expected
        read = same(NUMBER, value)
        assert (type(read), read.dtype) == (np.void, NUMBER.dtype)
        for name, member in value.items():
            assert read[name] == member
        assert put(NUMBER, read) == expected


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ({}, ValueError, "expected one member of number, got 0"),
        ({"i": 1, "d": 2}, ValueError, "expected one member of number, got 2"),
        ({"x": 1}, ValueError, "number has no member 'x'"),
        ({"i": 2**31}, OverflowError, f"member 'i': .* got {2**31}"),
        ({"i": 1.5}, TypeError, "member 'i': .* got float 1.5"),
        ((1,), TypeError, "for number, got tuple"),
        (1, TypeError, "for number, got int"),
        (None, TypeError, "for number, got NoneType"),
        (np.zeros((), "f8"), TypeError, "for number, got "),
    ],
)
def test_union_refusals(value, kind, message):
    check_refused(NUMBER, value, kind, message)


@pytest.mark.parametrize("c_type", [NUMBER, ffi.struct({"n": NUMBER}, name="has number")])
def test_union_has_no_byte_order(c_type):
    storage = bytearray(8)
    with refused(NotImplementedError, match=r"^read\(\): .*number has no byte order"):
        ffi.read(c_type, storage, 0, OTHER)
    with refused(NotImplementedError, match=r"^write\(\): .*number has no byte order"):
        ffi.write(c_type, storage, {"n": {"i": 1}}, 0, OTHER)
    assert not any(storage)
    assert ffi.read(c_type, storage, 0, sys.byteorder).tobytes() == bytes(8)
