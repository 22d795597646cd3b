"""CIF.pack and CIF.unpack: Python values and the storage of one call."""

from __future__ import annotations

import array
import copy
import gc
import mmap
import pickle
import weakref

import numpy as np
import pytest
from checks import refused

import ffi

t = ffi.types
POINT = ffi.struct([("x", t.double), ("y", t.double)], name="struct point")


# --- pack


@pytest.mark.parametrize("count", [0, 1, 3, 1000])
def test_pack_counts_values(count):
    cif = ffi.CIF(t.int, t.int, t.double)
    with refused(ValueError, match=rf"pack\(\): expected 2 values for <ffi.CIF .*, got {count}"):
        cif.pack(*[1] * count)


@pytest.mark.parametrize(
    ("type", "value", "kind", "match"),
    [
        (t.int, 1.0, TypeError, "float 1.0"),
        (t.int, "1", TypeError, "str '1'"),
        (t.int, None, TypeError, "None"),
        (t.int, np.array(1), TypeError, r"array\(1\)"),
        (t.int, np.float64(1), TypeError, "float64"),
        (t.int8, 128, OverflowError, r"\[-128, 127\], got 128"),
        (t.uint8, -1, OverflowError, r"\[0, 255\], got -1"),
        (t.uint64, 2**64, OverflowError, "got 18446744073709551616"),
        (t.int64, -(2**63) - 1, OverflowError, "got -9223372036854775809"),
        (t.double, "1", TypeError, "str '1'"),
        (t.double, 1j, TypeError, "complex 1j"),
        (t.double, np.array(1.0), TypeError, r"array\(1\.\)"),
        (t.double, 10**400, OverflowError, "fits double"),
        (t.float, 1e39, OverflowError, r"fits float, got 1e\+39"),
        (t.complex_float, 1e39j, OverflowError, "fits float _Complex"),
        (t.complex_double, "1", TypeError, "str '1'"),
        (t.char, b"ab", ValueError, "length one for char, got b'ab'"),
        (t.char, "\N{EURO SIGN}", ValueError, "one ASCII character"),
        (t.bool, 2, OverflowError, r"\[0, 1\], got 2"),
        (t.bool, "", TypeError, "str ''"),
        (t.pointer, 1.5, TypeError, "float 1.5"),
        (t.pointer, "text", TypeError, "str 'text'"),
        (t.pointer, -1, OverflowError, "got -1"),
        (t.pointer, 2**64, OverflowError, "got 18446744073709551616"),
        (t.pointer, np.zeros((4, 4)).T[::2], TypeError, "np.ascontiguousarray"),
        (t.pointer, memoryview(b"abcd")[::2], TypeError, "C-contiguous"),
        (t.pointer, [1, 2], TypeError, r"list \[1, 2\]"),
        (t.pointer, object, TypeError, "object"),
        (POINT, 1.0, TypeError, "for struct point, got float 1.0"),
        (POINT, (1.0,), ValueError, "expected 2 members of struct point, got 1"),
        (POINT, (1.0, "y"), TypeError, "member 'y': .*got str 'y'"),
        (POINT, {"x": 1.0}, ValueError, "expected a value for member 'y'"),
        (POINT, {"x": 1.0, "y": 2.0, "z": 3.0}, ValueError, "no member 'z'"),
        (POINT, np.zeros((), "f4,f4")[()], TypeError, "expected dtype"),
    ],
)
def test_pack_refuses_values(type, value, kind, match):
    cif = ffi.CIF(t.void, t.int, type)
    with refused(kind, match=rf"pack\(\): argument 1: .*{match}"):
        cif.pack(0, value)


def closed_mmap():
    closed = mmap.mmap(-1, 100)
    closed.close()
    return closed


def released_memoryview():
    released = memoryview(b"abc")
    released.release()
    return released


@pytest.mark.parametrize("make", [closed_mmap, released_memoryview])
def test_pack_refuses_released_buffers(make):
    with refused(ValueError, match=r"pack\(\): argument 0: "):
        ffi.CIF(t.void, t.pointer).pack(make())


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.arange(10.0),
        lambda: np.array(3),
        lambda: np.frombuffer(b"read-only", "u1"),
        lambda: bytearray(64),
        lambda: b"bytes",
        lambda: array.array("d", range(9)),
        lambda: memoryview(bytearray(9)),
        lambda: mmap.mmap(-1, 100),
        lambda: t.int,
        lambda: ffi.CIF(t.int, t.double),
        lambda: ffi.CIF(t.int, t.double).pack(1.0),
        lambda: ffi.Closure(ffi.CIF(t.void), print),
    ],
)
def test_pack_takes_what_write_pointer_takes(make):
    value = make()
    expected = np.zeros(1, np.uintp)
    ffi.write_pointer(expected, value)
    assert expected[0] == ffi.addressof(value)
    args = ffi.CIF(t.void, t.pointer).pack(value)
    (stored,) = np.frombuffer(args, np.uintp)
    assert ffi.view(int(stored), np.uintp, owner=args) == expected[0]


@pytest.mark.parametrize(("value", "expected"), [(None, 0), (0, 0), (1, 1), (2**64 - 1, 2**64 - 1)])
def test_pack_takes_addresses(value, expected):
    if expected > 2 ** (8 * ffi.sizeof.pointer):
        pytest.skip("addresses are narrower here")
    args = ffi.CIF(t.void, t.pointer).pack(value)
    assert ffi.view(ffi.read_pointer(args), np.uintp) == expected


STRUCT_OF_POINTER = ffi.struct([("p", t.pointer), ("n", t.long)])


@pytest.mark.parametrize(
    ("type", "wrap"),
    [
        (t.pointer, lambda value: value),
        (STRUCT_OF_POINTER, lambda value: (value, 3)),
        (STRUCT_OF_POINTER, lambda value: {"p": value, "n": 3}),
    ],
    ids=["pointer", "tuple", "dict"],
)
def test_packed_buffers_are_kept_and_not_resized(type, wrap):
    cif = ffi.CIF(t.void, type)
    storage = bytearray(64)
    args = cif.pack(wrap(storage))
    with pytest.raises(BufferError):
        storage.extend(bytes(10**5))
    del args
    storage.extend(bytes(10**5))

    owner = np.zeros(10)
    alive = weakref.ref(owner)
    value = wrap(owner)
    args = cif.pack(value)
    if isinstance(value, dict):
        value.clear()
    del owner, value
    gc.collect()
    assert alive() is not None
    del args
    gc.collect()
    assert alive() is None


def test_arguments_are_a_buffer_of_addresses():
    cif = ffi.CIF(t.void, t.int8, t.longdouble, t.bool, t.double, POINT)
    args = cif.pack(-1, 2.5, True, 0.5, (1.0, 2.0))
    buffer = memoryview(args)
    assert len(args) == len(buffer) == 5
    assert buffer.readonly
    assert (buffer.itemsize, buffer.nbytes) == (ffi.sizeof.pointer, 5 * ffi.sizeof.pointer)
    assert args.cif is cif
    for type, address, value in zip(
        cif.atypes, buffer.tolist(), [-1, 2.5, True, 0.5, (1.0, 2.0)], strict=True
    ):
        assert address % type.alignment == 0
        assert ffi.view(address, type, owner=args).item() == value
    with refused(TypeError, match=r"write_pointer\(\): expected a writable buffer.* Arguments"):
        ffi.write_pointer(args, None)


def test_no_arguments():
    args = ffi.CIF(t.void).pack()
    assert len(args) == memoryview(args).nbytes == 0


def test_arguments_come_from_pack_alone():
    with refused(TypeError, match=r"Arguments\(\): use CIF.pack"):
        ffi.Arguments()
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="Arguments"):
            copier(ffi.CIF(t.int, t.int).pack(1))


# --- unpack


@pytest.mark.parametrize("name", ["int8", "int16", "int32", "int64", "char", "pointer", "bool"])
def test_unpack_narrows_what_libffi_widened(name):
    value, kind = {"char": (b"\x07", "uint"), "pointer": (7, "uint"), "bool": (True, "uint")}.get(
        name, (-7, "int")
    )
    wide = np.array(
        [7 if kind == "uint" else -7], f"{kind}{8 * max(ffi.sizeof.ffi_arg, ffi.sizeof[name])}"
    )
    assert ffi.CIF(t[name]).unpack(wide) == value
    assert ffi.CIF(t[name]).unpack(bytearray(wide)) == value


def test_unpack_void_is_none():
    assert ffi.CIF(t.void).unpack(None) is None


def test_unpack_gives_copies():
    storage = np.zeros(2)
    point = ffi.CIF(POINT).unpack(storage)
    assert isinstance(point, np.void)
    storage[:] = 5
    assert point.item() == (0.0, 0.0)


@pytest.mark.parametrize(
    ("rvalue", "kind", "match"),
    [
        (np.zeros(1), ValueError, "expected at least 16 bytes for struct point, got 8"),
        (b"", ValueError, "got 0"),
        (np.zeros(8)[::2], TypeError, "np.ascontiguousarray"),
        (None, TypeError, "expected a buffer, got NoneType"),
        (3, TypeError, "expected a buffer, got int 3"),
        ("text", TypeError, "expected a buffer, got str 'text'"),
        (np.float64(1), TypeError, "expected a buffer, got float64"),
    ],
)
def test_unpack_refuses(rvalue, kind, match):
    with refused(kind, match=rf"unpack\(\): argument 'rvalue': .*{match}"):
        ffi.CIF(POINT).unpack(rvalue)


def test_unpack_wants_a_widened_result():
    match = f"expected at least {ffi.sizeof.ffi_arg} bytes for int8, got 1"
    with refused(ValueError, match=match):
        ffi.CIF(t.int8).unpack(bytearray(1))
