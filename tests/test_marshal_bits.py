"""Bit-fields to C and back: values, records, and the bytes between them."""

from __future__ import annotations

import itertools
import pickle
import random
import sys

import numpy as np
import pytest
from checks import plain, refused
from test_marshal import Index, check_refused, put

import ffi

t = ffi.types
OTHER = {"little": "big", "big": "little"}[sys.byteorder]
INTEGERS = [name for name, c_type in t.items() if c_type != t.void and c_type.dtype.kind in "iub"]
FLAGS = ffi.struct(
    [
        ("low", "uint", 3),
        ("sign", "int", 7),
        ("c", "char"),
        (None, "int", 5),
        ("on", "bool", 1),
        ("s", "short"),
        ("wide", "ulonglong", 63),
    ],
    name="flags",
)
VALUE = (5, -64, b"x", True, -3, 2**63 - 1)
ONLY = ffi.struct([("a", "int8", 3), ("b", "int8", 5)], name="only")
EITHER = ffi.union([("bits", "uint16", 11), ("whole", "uint16"), ("only", ONLY)], name="either")
NESTED = ffi.struct(
    {"tag": "int8", "rows": (ONLY, (2, 3)), "flags": FLAGS, "u": EITHER}, name="nested"
)
NESTED_VALUE = {
    "tag": 9,
    "rows": [[(1, 2), (3, 4), (-1, -2)], [(0, 0), (-4, -16), (3, 15)]],
    "flags": VALUE,
    "u": {"bits": 2**11 - 1},
}


def char_is_signed():
    try:
        put("char", -1)
    except OverflowError:
        return False
    return True


def filled(c_type, value, filling=0xFF):
    """Write a value over filled storage."""
    storage = bytearray([filling]) * c_type.size
    ffi.write(c_type, storage, value)
    return bytes(storage)


@pytest.fixture(scope="module")
def in_c(compile_c):
    """The bytes of objects that the C compiler makes."""
    text = """
        #include <stdint.h>
        struct flags {
            unsigned low : 3; int sign : 7; char c; int : 5; _Bool on : 1; short s;
            unsigned long long wide : 63;
        };
        const struct flags flags = {5, -64, 'x', 1, -3, 0x7FFFFFFFFFFFFFFF};
        struct only { int8_t a : 3, b : 5; };
        union either { uint16_t bits : 11, whole; struct only only; };
        struct nested { int8_t tag; struct only rows[2][3]; struct flags flags; union either u; };
        const struct nested nested = {
            9, {{{1, 2}, {3, 4}, {-1, -2}}, {{0, 0}, {-4, -16}, {3, 15}}},
            {5, -64, 'x', 1, -3, 0x7FFFFFFFFFFFFFFF}, {2047}
        };
    """
    library = ffi.dlopen(compile_c(text, "bits"))
    return {
        c_type.name: ffi.view(ffi.dlsym(library, c_type.name), np.uint8, c_type.size).tobytes()
        for c_type in (FLAGS, NESTED)
    }


# --- values


@pytest.mark.parametrize(("c_type", "value"), [(FLAGS, VALUE), (NESTED, NESTED_VALUE)], ids=str)
def test_bytes_are_what_c_makes(in_c, c_type, value):
    names = [name for name, _, _ in c_type.fields]
    as_dict = value if isinstance(value, dict) else dict(zip(names, value, strict=True))
    raw = in_c[c_type.name]
    record = ffi.read(c_type, raw)
    memory = np.frombuffer(raw, c_type.dtype)
    for way in (as_dict, tuple(as_dict.values()), record, memory[0], memory[:1].reshape(())):
        assert filled(c_type, way) == raw
    assert record.dtype.names == tuple(names)


def test_nested_values(in_c):
    assert plain(ffi.read(FLAGS, in_c["flags"])) == VALUE
    record = ffi.read(NESTED, in_c["nested"])
    assert plain(record["flags"]) == VALUE
    assert plain(record["rows"]) == NESTED_VALUE["rows"]
    whole = 2047 if sys.byteorder == "little" else 2047 << 5
    assert plain(record["u"]) == (2047, whole, (-1, -1))


def test_records():
    record = ffi.read(FLAGS, put(FLAGS, VALUE))
    assert type(record) is np.void
    assert record.dtype == np.dtype(
        [(n, k) for n, k in zip(("low", "sign", "c", "on", "s", "wide"), "Iic?hQ", strict=True)],
        align=True,
    )
    record["low"], record["sign"] = 1, 2
    assert plain(ffi.read(FLAGS, put(FLAGS, record))) == (1, 2, *VALUE[2:])
    assert pickle.loads(pickle.dumps(record)) == record
    assert put(FLAGS, np.array([record])[0]) == put(FLAGS, record)


@pytest.mark.parametrize("name", [*[name for name in INTEGERS if name != "pointer"], "char"])
def test_every_width(name):
    signed = char_is_signed() if name == "char" else t[name].dtype.kind == "i"
    for width in range(1, 2 if name == "bool" else 8 * t[name].size + 1):
        c_type = ffi.struct([("before", "int8", 3), ("x", name, width), ("after", "int8", 5)])
        low = -(2 ** (width - 1)) if signed else 0
        high = low + 2**width - 1
        for value, around in itertools.product({low, high, low + 1, 0}, (0, -1)):
            raw = put(c_type, (around, value, around))
            assert plain(ffi.read(c_type, raw)) == (around, value, around)
            # Only the bits of the members are written.
            bits = sum(bin(byte).count("1") for byte in raw)
            assert bits == bin(value & (2**width - 1)).count("1") - 8 * around
        for value in (low - 1, high + 1, 2**70, -(2**70)):
            with refused(OverflowError, match=rf"member 'x': .*{low}, {high}\], got {value}$"):
                put(c_type, (0, value, 0))


def test_every_shift():
    for width, before in itertools.product((1, 7, 8, 9, 31, 33, 57), range(65)):
        c_type = ffi.struct(
            [("before", "uint64", before)] * (before > 0)
            + [("x", "int64", width), ("after", "uint8", 8)]
        )
        value = -(2 ** (width - 1)) + 1 if width > 1 else -1
        for around in (0, 1):
            values = {"before": (2**before - 1) * around, "x": value, "after": 255 * around}
            raw = put(c_type, {name: values[name] for name, _, _ in c_type.fields})
            assert ffi.read(c_type, raw)["x"] == value


def test_random_values():
    rng = random.Random(5)
    for _ in range(200):
        kinds = [rng.choice(["int8", "uint16", "int", "ulonglong"]) for _ in range(6)]
        widths = [rng.randint(1, 8 * ffi.sizeof[kind]) for kind in kinds]
        c_type = ffi.struct([(f"m{i}", *x) for i, x in enumerate(zip(kinds, widths, strict=True))])
        values = tuple(
            rng.getrandbits(width) - (2 ** (width - 1) if "u" not in kind else 0)
            for kind, width in zip(kinds, widths, strict=True)
        )
        assert plain(ffi.read(c_type, put(c_type, values))) == values


def test_char_bit_fields_are_numbers():
    c_type = ffi.struct([("c", "char", 8)])
    record = ffi.read(c_type, b"\xff")
    assert record["c"].dtype == (np.int8 if char_is_signed() else np.uint8)
    assert record["c"] == (-1 if char_is_signed() else 255)
    check_refused(c_type, (b"a",), TypeError, "member 'c': .* got bytes b'a'")


def test_numbers_of_other_classes():
    c_type = ffi.struct([("x", "int", 5), ("b", "bool", 1)])
    assert put(c_type, (Index(7), np.True_)) == put(c_type, (np.int64(7), 1)) == put(c_type, (7, 1))


@pytest.mark.parametrize(
    ("c_type", "value", "kind", "message"),
    [
        (FLAGS, (8, *VALUE[1:]), OverflowError, r"'low': expected uint32 of 3 bits in \[0, 7\]"),
        (FLAGS, (*VALUE[:3], 2, *VALUE[4:]), OverflowError, r"'on': .* \[0, 1\], got 2"),
        (FLAGS, (*VALUE[:3], 1.0, *VALUE[4:]), TypeError, "'on': .* got float 1.0"),
        (FLAGS, (1.5, *VALUE[1:]), TypeError, "'low': .* got float 1.5"),
        (FLAGS, ("1", *VALUE[1:]), TypeError, "'low': .* got str '1'"),
        (FLAGS, (None, *VALUE[1:]), TypeError, "'low': .* got NoneType"),
        (FLAGS, VALUE[1:], ValueError, "expected 6 members of flags, got 5"),
        (FLAGS, {"low": 1}, ValueError, "a value for member 'sign' of flags"),
        (FLAGS, 5, TypeError, "for flags, got int 5"),
        (FLAGS, np.zeros((), "f8"), TypeError, "'low', .* for flags, got dtype float64"),
        (FLAGS, np.zeros(1, FLAGS.dtype), TypeError, r"for flags, got .*shape \(1,\)"),
        (FLAGS, np.zeros((), ONLY.dtype), TypeError, "'low', .* for flags, got dtype"),
        ((ONLY, 2), [(0, 0), (4, 0)], OverflowError, "item 1: member 'a': .* got 4"),
        ((ONLY, 2), [(0, 0)], ValueError, "expected 2 items"),
        (EITHER, (1,), TypeError, "for either, got tuple"),
        (EITHER, {"bits": 1, "whole": 1}, ValueError, "expected one member of either, got 2"),
        (EITHER, {"bits": 2**11}, OverflowError, rf"'bits': .* \[0, 2047\], got {2**11}"),
    ],
)
def test_refusals(c_type, value, kind, message):
    check_refused(c_type, value, kind, message)


@pytest.mark.parametrize(
    ("c_type", "change", "message"),
    [
        (FLAGS, lambda r: r.__setitem__("low", 8), "write.*: member 'low': .* got 8"),
        (NESTED, lambda r: r["flags"].__setitem__("sign", 64), "member 'flags': member 'sign': "),
        (NESTED, lambda r: r["rows"][1].__setitem__(2, (9, 0)), "'rows': item 1: item 2: .*'a'"),
    ],
)
def test_records_that_do_not_fit(c_type, change, message):
    record = ffi.read(c_type, bytes(c_type.size))
    change(record)
    storage = bytearray(b"\x5a") * c_type.size
    with refused(OverflowError, match=message):
        ffi.write(c_type, storage, record)
    assert storage == b"\x5a" * c_type.size


# --- arrays


def test_arrays(in_c):
    two = (FLAGS, 2)
    raw = 2 * in_c["flags"]
    array = ffi.read(two, raw)
    assert plain(array) == [VALUE, VALUE]
    memory = np.frombuffer(3 * raw, FLAGS.dtype)
    for way in (array, [VALUE, VALUE], array[::-1], memory[:2], memory[::5], memory[::-5]):
        storage = bytearray(b"\xff") * len(raw)
        ffi.write(two, storage, way)
        assert storage == raw
    array["low"] = [1, 2]
    assert ffi.read(two, bytes(put_array(two, array)))["low"].tolist() == [1, 2]


def put_array(c_type, value):
    storage = bytearray(ffi.sizeof(c_type))
    ffi.write(c_type, storage, value)
    return storage


def test_bytes_between_fields_are_copied():
    # NumPy copies the fields of records only: not the bit-fields, which are none.
    raw = np.random.default_rng(3).integers(0, 256, 6 * NESTED.size, np.uint8).tobytes()
    memory = np.frombuffer(raw, NESTED.dtype).reshape(2, 3)
    array = (NESTED, (3, 2))
    storage = bytearray(len(raw))
    ffi.write(array, storage, memory.T)
    size = NESTED.size
    order = [0, 3, 1, 4, 2, 5]
    assert storage == b"".join(raw[i * size : (i + 1) * size] for i in order)


# --- unions


def test_unions():
    for value, expected in (
        ({"bits": 1025}, 1025),
        ({"whole": 2**16 - 1}, 2**16 - 1),
    ):
        raw = put(EITHER, value)
        record = ffi.read(EITHER, raw)
        if "whole" in value or sys.byteorder == "little":
            assert record["whole"] == expected
        assert filled(EITHER, record) == raw
    record["only"]["a"] = 0
    check_refused(EITHER, record, ValueError, "the members of either do not share their bytes")


def test_unions_of_other_members():
    pair = ffi.struct({"c": "char", "x": "longdouble"})
    c_type = ffi.union(
        [("b", "int8", 4), ("p", pair), ("z", "complex_longdouble"), ("a", (pair, 2)), ("f", "f4")]
    )
    for value in ({"p": (b"a", 1.5)}, {"z": 2 - 1j}, {"a": [(b"a", 1), (b"b", 2)]}, {"f": np.nan}):
        raw = put(c_type, value)
        record = ffi.read(c_type, raw)
        assert ffi.read(c_type, put(c_type, record)).tobytes() == record.tobytes()
        record["a"][0]["x"] = 99
        if "p" in value:
            check_refused(c_type, record, ValueError, "do not share")


# --- byte order, and memory


@pytest.mark.parametrize("c_type", [FLAGS, ONLY, NESTED, ffi.struct({"x": (FLAGS, 2)}, "outer")])
def test_no_byte_order(c_type):
    storage = bytearray(c_type.size)
    with refused(NotImplementedError, match=rf"^read\(\): {c_type.name} has no byte order"):
        ffi.read(c_type, storage, 0, OTHER)
    with refused(NotImplementedError, match=rf"^write\(\): {c_type.name} has no byte order"):
        ffi.write(c_type, storage, NESTED_VALUE, 0, OTHER)


def test_view_has_the_layout():
    storage = bytearray(3 * FLAGS.size)
    ffi.write(FLAGS, storage, VALUE, FLAGS.size)
    view = ffi.view(ffi.addressof(storage), FLAGS, 3, owner=storage)
    assert view.dtype == FLAGS.dtype
    assert view.dtype.names == ("c", "s")
    assert (view["c"].tolist(), view["s"].tolist()) == ([b"", b"x", b""], [0, -3, 0])
    view["s"][1] = 7
    assert plain(ffi.read(FLAGS, storage, FLAGS.size)) == (*VALUE[:4], 7, VALUE[5])


def test_neighbours_keep_their_bits():
    storage = np.full(ONLY.size + 2, 0xA5, np.uint8)
    ffi.write(ONLY, storage, (0, 0), 1)
    assert storage.tolist() == [0xA5, 0, 0xA5]
