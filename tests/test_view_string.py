"""view and string: C memory at an address."""

from __future__ import annotations

import array
import gc
import mmap
import os
import weakref

import numpy as np
import pytest
from checks import refused
from test_marshal import Index

import ffi

ADDRESSES = 256**ffi.sizeof.pointer
LARGEST = 2 ** (8 * ffi.sizeof.ssize_t - 1) - 1
NUMBERS = np.arange(24.0)
START = ffi.addressof(NUMBERS)
TEXT = np.frombuffer(b"hello\0world\0", np.uint8)

# --- view


def test_view():
    storage = np.arange(24.0)
    items = ffi.view(ffi.addressof(storage), "double", (2, 3, 4))
    assert (items.dtype, items.shape, type(items)) == (np.float64, (2, 3, 4), np.ndarray)
    assert np.array_equal(items.ravel(), storage)
    items[1, 2, 3] = -1
    assert storage[23] == -1
    storage[0] = 7
    assert items[0, 0, 0] == 7
    flags = items.flags
    assert (flags.writeable, flags.aligned, flags.c_contiguous, flags.owndata) == (
        True,
        True,
        True,
        False,
    )


@pytest.mark.parametrize("dtype", [np.float64, "f8", np.dtype("f8"), ffi.types.double, "double"])
@pytest.mark.parametrize("shape", [24, (24,), [24], np.int64(24), Index(24), (np.uint8(24),)])
def test_view_forms(dtype, shape):
    assert np.array_equal(ffi.view(START, dtype, shape), NUMBERS)
    assert np.array_equal(ffi.view(np.uint64(START), dtype, shape), NUMBERS)
    assert np.array_equal(ffi.view(Index(START), dtype, shape=shape), NUMBERS)


@pytest.mark.parametrize("shape", [(), [], 0, (0,), (3, 0), (0, 3), (1,) * 32])
def test_view_shapes(shape):
    items = ffi.view(START, "double", shape)
    assert items.shape == (tuple(shape) if isinstance(shape, (tuple, list)) else (shape,))
    assert items.flags.c_contiguous
    assert ffi.view(START, "double").shape == ()


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.dtype("f4").newbyteorder("S"), np.dtype("f4").newbyteorder("S")),
        (np.dtype("f2"), np.float16),
        (np.dtype("M8[s]"), "M8[s]"),
        (np.dtype("V5"), "V5"),
        (np.dtype("i1,i4"), "i1,i4"),
        ("bool", np.bool_),
        ("char", "S1"),
        ("S7", "S7"),
        ("pointer", np.uintp),
        (ffi.union({"i": "int", "d": "double"}), None),
    ],
)
def test_view_dtypes(dtype, expected):
    raw = NUMBERS.view(np.uint8)
    items = ffi.view(START, dtype, 2)
    assert items.dtype == (dtype.dtype if expected is None else expected)
    assert items.tobytes() == raw[: items.nbytes].tobytes()


def test_view_of_arrays():
    items = ffi.view(START, np.dtype((np.float64, (3, 2))), 4)
    assert np.array_equal(items, NUMBERS.reshape(4, 3, 2))
    assert ffi.view(START, np.dtype((np.float64, (3,)))).shape == (3,)


def test_view_misaligned():
    storage = bytearray(b"!" + np.arange(3.0).tobytes())
    items = ffi.view(ffi.addressof(storage) + 1, "double", 3, owner=storage)
    assert items.flags.aligned is bool((ffi.addressof(storage) + 1) % ffi.alignof.double == 0)
    assert items.tolist() == [0.0, 1.0, 2.0]
    items[1] = 5
    assert storage[9:17] == np.float64(5).tobytes()


def test_view_readonly():
    storage = np.arange(3.0)
    items = ffi.view(ffi.addressof(storage), "double", 3, readonly=True)
    assert not items.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        items[0] = 1
    with refused(TypeError, match="read-only"):
        ffi.write("double", items, 1)
    assert storage[0] == 0
    # The memory is still C's to change.
    storage[0] = 4
    assert items[0] == 4


def test_view_owner():
    class Owner(np.ndarray):
        pass

    for make in (lambda: np.arange(3.0).view(Owner), lambda: Owner(3)):
        owner = make()
        owner[:] = 1.5
        gone = weakref.ref(owner)
        items = ffi.view(ffi.addressof(owner), "double", 3, owner=owner)
        part = items[1:]
        del owner, items
        gc.collect()
        assert gone() is not None
        assert part.tolist() == [1.5, 1.5]
        del part
        gc.collect()
        assert gone() is None


def test_view_owner_is_held_once():
    class Owner:
        pass

    owner = Owner()
    gone = weakref.ref(owner)
    items = ffi.view(START, "double", 3, owner=owner)
    assert items.base is owner
    del owner
    assert gone() is items.base
    del items
    assert gone() is None
    assert ffi.view(START, "double", owner=None).base is None


def test_view_keeps_its_dtype_alive():
    for _ in range(100):
        dtype = np.dtype([("x", "f8"), ("y", "f8")])
        items = ffi.view(START, dtype, 2)
        del dtype
        assert items["y"].tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        (0, ValueError, "NULL"),
        (np.int64(0), ValueError, "NULL"),
        (-1, OverflowError, "got -1$"),
        (-(2**100), OverflowError, f"got -{2**100}$"),
        (ADDRESSES, OverflowError, f"got {ADDRESSES}$"),
        (2**100, OverflowError, f"got {2**100}$"),
        (np.int8(-1), OverflowError, "got .*-1"),
        (None, TypeError, "got NoneType"),
        (1.0, TypeError, "got float 1.0"),
        ("0x10", TypeError, "got str"),
        (b"abcdefgh", TypeError, "got bytes"),
        (NUMBERS, TypeError, "got ndarray"),
        (np.array(START), TypeError, "got ndarray"),
        (np.float64(8), TypeError, "got float64"),
    ],
)
def test_view_addresses(address, kind, message):
    for shape in ((), 0, 3):
        with refused(kind, match=rf"^view\(\): argument 'address': .*{message}"):
            ffi.view(address, "int", shape)


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        (-1, ValueError, "got -1$"),
        ((3, -(2**100)), ValueError, f"got -{2**100}$"),
        (1.0, TypeError, r"got 1\.0"),
        ((1.0,), TypeError, r"got 1\.0"),
        (None, TypeError, "got None"),
        ("3", TypeError, "got '3'"),
        (np.array([1, 2]), TypeError, "got array"),
        (np.array(3), TypeError, "got array"),
        ((np.array(3),), TypeError, "got array"),
        ({3}, TypeError, r"got \{3\}"),
        ((1,) * 33, ValueError, "got 33$"),
    ],
)
def test_view_wrong_shapes(shape, kind, message):
    with refused(kind, match=rf"^view\(\): argument 'shape': .*{message}"):
        ffi.view(START, "int", shape)


@pytest.mark.parametrize(
    "shape",
    [
        LARGEST,
        LARGEST // 8 + 1,
        2**100,
        (2**32, 2**32),
        (2**100, 0),
        (0, 2**100),
        (2**22,) * 3,
        (LARGEST // 8, 2),
    ],
)
def test_view_sizes_that_overflow(shape):
    with refused(OverflowError, match=rf"^view\(\): \d+ bytes from address {START:#x} on"):
        ffi.view(START, "double", shape)


def test_view_ends_with_the_address_space():
    for address, count in (
        (ADDRESSES - 1, 2),
        (ADDRESSES - 16, 3),
        (ADDRESSES - 16, LARGEST // 16),
    ):
        dtype = "uint8" if count == 2 else "double"
        with refused(OverflowError, match=f"bytes from address {address:#x} on do not fit"):
            ffi.view(address, dtype, count)
    assert ffi.addressof(ffi.view(ADDRESSES - 16, "double", 2)) == ADDRESSES - 16


@pytest.mark.parametrize(
    ("dtype", "kind", "message"),
    [
        ("void", TypeError, "void has no values"),
        (ffi.types.void, TypeError, "void has no values"),
        (np.dtype("O"), TypeError, "Python objects"),
        ("O", TypeError, "Python objects"),
        (np.dtype([("x", "i4"), ("o", "O")]), TypeError, "Python objects"),
        (np.dtype("S0"), ValueError, "has no size"),
        (np.dtype("V0"), ValueError, "has no size"),
        (np.dtype([]), ValueError, "has no size"),
        (np.dtype((np.float64, (0, 3))), ValueError, "has no size"),
        (int, TypeError, "Python's int"),
        (None, TypeError, "got None"),
        ("no_such", TypeError, "'no_such' is neither"),
    ],
)
def test_view_wrong_dtypes(dtype, kind, message):
    with refused(kind, match=rf"^view\(\): .*{message}"):
        ffi.view(START, dtype, 1)


def test_view_too_many_axes():
    dtype = np.dtype((np.uint8, (1,) * 32))
    with refused(ValueError, match=r"^view\(\): .*axes"):
        ffi.view(START, np.dtype((dtype, (1,) * 32)) if np.__version__ > "2" else dtype, (1,) * 32)


def test_view_keywords_only():
    with pytest.raises(TypeError, match="positional"):
        ffi.view(START, "double", 3, True)


# --- string


@pytest.mark.parametrize(
    ("maxlen", "expected"),
    [
        (-1, b"hello"),
        (0, b""),
        (1, b"h"),
        (5, b"hello"),
        (6, b"hello"),
        (2**31 - 1, b"hello"),
        (LARGEST, b"hello"),
        (np.int64(2), b"he"),
        (True, b"h"),
    ],
)
def test_string(maxlen, expected):
    assert ffi.string(ffi.addressof(TEXT), maxlen) == expected
    assert ffi.string(np.uint64(ffi.addressof(TEXT)), maxlen) == expected
    assert ffi.string(Index(ffi.addressof(TEXT)), maxlen=maxlen) == expected
    for buffer in (
        TEXT,
        TEXT.tobytes(),
        bytearray(TEXT),
        memoryview(TEXT),
        memoryview(TEXT)[:5],
        array.array("b", TEXT.tobytes()),
        TEXT.view("i4"),
        np.array(b"hello"),
    ):
        assert ffi.string(buffer, maxlen) == expected


def test_string_ends_with_its_buffer():
    storage = b"abcdef"
    assert ffi.string(memoryview(storage)[1:4]) == b"bcd"
    assert ffi.string(memoryview(storage)[1:4], 100) == b"bcd"
    with mmap.mmap(-1, mmap.PAGESIZE) as pages:
        pages[:] = b"x" * len(pages)
        assert ffi.string(pages) == b"x" * len(pages)
        assert ffi.string(ffi.addressof(pages), len(pages)) == b"x" * len(pages)


def test_string_of_c():
    library = ffi.dlopen(None)
    cif = ffi.CIF("pointer", "int")
    result = np.zeros(1, np.uintp)
    ffi.call(cif, ffi.dlsym(library, "strerror"), result, cif.pack(2))
    assert ffi.string(cif.unpack(result)) == os.strerror(2).encode()


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        (0, ValueError, "NULL"),
        (np.uint64(0), ValueError, "NULL"),
        (-1, OverflowError, "got -1$"),
        (ADDRESSES, OverflowError, f"got {ADDRESSES}$"),
        (None, TypeError, "got NoneType"),
        ("text", TypeError, "got str 'text'"),
        (1.5, TypeError, "got float"),
        (np.float64(8), TypeError, "got float64"),
        (object(), TypeError, "got object"),
        ([97], TypeError, "got list"),
        (ffi.Closure(ffi.CIF("void"), print), TypeError, "got Closure"),
    ],
)
def test_string_sources(source, kind, message):
    for maxlen in (-1, 0, 4):
        with refused(kind, match=rf"^string\(\): .*{message}"):
            ffi.string(source, maxlen)


@pytest.mark.parametrize(
    ("maxlen", "kind", "message"),
    [
        (-2, ValueError, "expected -1 or more, got -2$"),
        (-(2**100), ValueError, f"-{2**100}"),
        (2**100, ValueError, f"{2**100}"),
        (1.0, TypeError, "got float"),
        (None, TypeError, "got NoneType"),
        ("1", TypeError, "got str"),
        (np.array(1), TypeError, "got ndarray"),
    ],
)
def test_string_maxlen(maxlen, kind, message):
    for source in (b"abc", ffi.addressof(TEXT)):
        with refused(kind, match=rf"^string\(\): argument 'maxlen': (.*?){message}"):
            ffi.string(source, maxlen)
