"""Storage of every kind: addressof, read, write, read_pointer, write_pointer."""

from __future__ import annotations

import array
import ctypes
import functools
import mmap
import sys
import tempfile

import numpy as np
import pytest
from checks import refused

import ffi

OTHER = {"little": "big", "big": "little"}[sys.byteorder]
BYTES = bytes(range(1, 65))


def mapped(data):
    storage = mmap.mmap(-1, len(data))
    storage[:] = data
    return storage


def mapped_read_only(data):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return mmap.mmap(file.fileno(), len(data), access=mmap.ACCESS_READ)


def sliced(data):
    return memoryview(bytearray(b"ab" + data + b"yz"))[2:-2]


# 64 bytes of memory that can be written, of every kind.
WRITABLE = {
    "bytearray": bytearray,
    "memoryview": lambda data: memoryview(bytearray(data)),
    "sliced": sliced,
    "cast": lambda data: memoryview(bytearray(data)).cast("d", (2, 4)),
    "array.array": lambda data: array.array("d", data),
    "ctypes array": lambda data: (ctypes.c_short * 32).from_buffer_copy(data),
    "ctypes struct": lambda data: type(
        "S", (ctypes.Structure,), {"_fields_": [("O", ctypes.c_int * 16)]}
    ).from_buffer_copy(data),
    "mmap": mapped,
    "uint8": lambda data: np.frombuffer(bytearray(data), np.uint8),
    "float64": lambda data: np.frombuffer(bytearray(data), np.float64).reshape(2, 2, 2),
    "zero-dimensional": lambda data: np.array(np.void(data)),
    "struct": lambda data: np.frombuffer(bytearray(data), "i4,f8,i4"),
    "datetime": lambda data: np.frombuffer(bytearray(data), "M8[s]"),
    "misaligned": lambda data: np.frombuffer(bytearray(b"!" + data), "u1")[1:].view("f8"),
    "memmap": lambda data: np.frombuffer(mapped(data), np.int32),
    "matrix column": lambda data: np.frombuffer(bytearray(data), np.int32).reshape(16, 1)[::1],
}
READ_ONLY = {
    "bytes": bytes,
    "memoryview of bytes": memoryview,
    "toreadonly": lambda data: memoryview(bytearray(data)).toreadonly(),
    "read-only array": lambda data: np.frombuffer(data, np.int32),
    "read-only mmap": mapped_read_only,
}


@pytest.fixture(params=WRITABLE)
def storage(request):
    return WRITABLE[request.param](BYTES)


@pytest.fixture(params=READ_ONLY)
def constant(request):
    return READ_ONLY[request.param](BYTES)


def test_read_write(storage):
    for offset in (0, 5, 31, 60):
        expected = int.from_bytes(BYTES[offset : offset + 4], "big")
        assert ffi.read("uint32", storage, offset, "big") == expected
        ffi.write("uint32", storage, 0xDEADBEEF, offset, "little")
        assert ffi.read("uint32", storage, offset, "little") == 0xDEADBEEF
        assert bytes(ffi.view(ffi.addressof(storage), "uint8", 64)[offset:][:4]) == (
            b"\xef\xbe\xad\xde"
        )


def test_only_the_value_is_written(storage):
    address = ffi.addressof(storage)
    ffi.write("uint16", storage, 0, 7)
    assert bytes(ffi.view(address, "uint8", 64)) == BYTES[:7] + bytes(2) + BYTES[9:]


def test_pointers(storage):
    target = np.zeros(3)
    size = ffi.sizeof.pointer
    for offset in (0, 3, 64 - size):
        for value, address in ((target, target.ctypes.data), (None, 0), (0x123456, 0x123456)):
            assert ffi.write_pointer(storage, value, offset) is None
            assert ffi.read_pointer(storage, offset) == address
            assert ffi.read("uintptr_t", storage, offset) == address
            ffi.write_pointer(storage, value, offset, OTHER)
            assert ffi.read_pointer(storage, offset, OTHER) == address
            assert ffi.read_pointer(storage, offset=offset, byteorder=sys.byteorder) == (
                int.from_bytes(address.to_bytes(size, "little"), "big")
            )


@pytest.mark.parametrize("type", ["pointer", "double"])
@pytest.mark.parametrize("kind", WRITABLE)
def test_bounds(kind, type):
    storage = WRITABLE[kind](BYTES)
    write = ffi.write_pointer if type == "pointer" else functools.partial(ffi.write, type)
    first = 65 - ffi.sizeof[type]
    for offset in (first, 63, 64, 65, 2**31, 2**63 - 1, 2**63, 2**64, 2**64 + 1, 2**100):
        for use in (lambda at: ffi.read(type, storage, at), lambda at: write(storage, 1, at)):
            with refused(ValueError, match=rf" {offset} is out"):
                use(offset)
    for offset in (-1, -8, -64, -(2**31), -(2**63), -(2**64), -(2**100)):
        for use in (lambda at: ffi.read(type, storage, at), lambda at: write(storage, 1, at)):
            with refused(ValueError, match=rf"argument 'offset': .*{offset}\b"):
                use(offset)
    assert bytes(ffi.view(ffi.addressof(storage), "uint8", 64)) == BYTES


def test_read_only(constant):
    assert ffi.read("uint8", constant, 63) == 64
    assert ffi.string(constant, 3) == b"\1\2\3"
    for write in (ffi.write_pointer, lambda *a: ffi.write("uint8", *a)):
        with refused(TypeError, match=r"expected a writable .*, got a read-only"):
            write(constant, 1)
    assert bytes(ffi.view(ffi.addressof(constant), "uint8", 64)) == BYTES


USES = pytest.mark.parametrize(
    "use",
    [
        ffi.addressof,
        ffi.read_pointer,
        ffi.string,
        lambda storage: ffi.read("int8", storage),
        lambda storage: ffi.write("int8", storage, 1),
        lambda storage: ffi.write_pointer(storage, 1),
        lambda storage: ffi.write_pointer(bytearray(8), storage),
    ],
    ids=["addressof", "read_pointer", "string", "read", "write", "write_pointer", "pointed at"],
)


@USES
@pytest.mark.parametrize(
    "storage",
    [
        np.zeros((4, 4))[:, ::2],
        np.zeros((4, 4)).T[1:],
        np.zeros((3, 4), order="F"),
        np.zeros(8)[::-1],
        np.broadcast_to(np.zeros(1), 5),
        memoryview(bytearray(8))[::2],
        memoryview(bytearray(8))[::-1],
        memoryview(np.zeros((3, 4), order="F")),
    ],
    ids=lambda storage: f"{type(storage).__name__} {storage.strides}",
)
def test_not_contiguous(use, storage):
    with refused(TypeError, match=r"expected a C-contiguous .*use np\.ascontiguousarray"):
        use(storage)


@USES
@pytest.mark.parametrize(
    "storage",
    [
        np.zeros(3, "i4").astype(np.dtype("i4").newbyteorder("S")),
        np.zeros(3, [("x", np.dtype("i4").newbyteorder("S"))]),
        np.zeros(3, [("x", "i4"), ("y", [("z", np.dtype("f8").newbyteorder("S"), 3)])]),
        memoryview(np.zeros(3, np.dtype("f8").newbyteorder("S"))),
        memoryview(np.zeros(3, [("x", np.dtype("i4").newbyteorder("S"))])),
        (getattr(ctypes.c_int, f"__ctype_{OTHER[0]}e__") * 3)(),
    ],
    ids=lambda storage: type(storage).__name__,
)
def test_other_byte_order(use, storage):
    with refused(TypeError, match="expected .*native"):
        use(storage)


@USES
@pytest.mark.parametrize(
    "storage",
    [
        np.array([None, 1]),
        np.array("text", object),
        np.zeros(2, [("x", "i4"), ("o", "O")]),
        memoryview(np.array([None, 1])),
        (ctypes.py_object * 2)(1, 2),
    ],
    ids=lambda storage: type(storage).__name__,
)
def test_python_objects(use, storage):
    # Their memory holds references that Python owns.
    with refused(TypeError, match="expected .* C values, got"):
        use(storage)


@USES
@pytest.mark.parametrize(
    "storage", ["text", 1.5, [1, 2], (1,), {1: 2}, object(), np.float64(1), np.void(b"x" * 8), 1j]
)
def test_no_storage(use, storage):
    with refused(TypeError, match="expected "):
        use(storage)


@USES
def test_gone(use):
    released = memoryview(bytearray(8))
    released.release()
    with refused(ValueError, match="memoryview: .*released"):
        use(released)
    closed = mmap.mmap(-1, 64)
    closed.close()
    with refused(ValueError, match="mmap: .*closed"):
        use(closed)


@pytest.mark.parametrize(
    "storage", [b"", bytearray(), array.array("d"), np.zeros(0), np.zeros((0, 3))]
)
def test_empty(storage):
    assert isinstance(ffi.addressof(storage), int)
    assert ffi.string(storage) == b""
    with refused(ValueError, match="int8 of 1 bytes at offset 0 is outside the buffer of 0 bytes"):
        ffi.read("int8", storage)


def test_numbers_are_no_storage():
    for number in (3, True, np.int64(3), np.bool_(True)):
        with refused(TypeError, match=r"addressof\(\): expected a buffer or an ffi object, got "):
            ffi.addressof(number)
        for read in (ffi.read_pointer, lambda number: ffi.read("int", number)):
            with refused(TypeError, match="expected a buffer, got "):
                read(number)
        with refused(TypeError, match="expected a buffer, got "):
            ffi.write("int", number, 1)


def test_addressof():
    numbers = np.arange(4.0)
    assert ffi.addressof(numbers) == numbers.ctypes.data
    assert ffi.addressof(numbers[1:]) == numbers.ctypes.data + 8
    assert ffi.addressof(memoryview(numbers)) == numbers.ctypes.data
    assert ffi.addressof(np.array(1.0)) > 0
    items = (ctypes.c_int * 3)()
    assert ffi.addressof(items) == ctypes.addressof(items)
    assert ffi.addressof(array.array("i", [1])) > 0
    closure = ffi.Closure(ffi.CIF("void"), print)
    assert ffi.addressof(closure) == closure.address
    with refused(TypeError, match="got None"):
        ffi.addressof(None)


def test_borrowing_ends():
    # What is still exported cannot be resized.
    storage = bytearray(64)
    ffi.addressof(storage)
    ffi.read("int", storage)
    ffi.write("int", storage, 1)
    ffi.write_pointer(storage, storage)
    ffi.string(storage)
    for use in (
        lambda: ffi.read("int", storage, 62),
        lambda: ffi.write("int", storage, 1, 62),
        lambda: ffi.read("void", storage),
    ):
        with pytest.raises(ffi.Error, match=r"^(read|write)\(\): "):
            use()
    storage.append(1)
    assert len(storage) == 65


@pytest.mark.parametrize(
    ("offset", "name"), [(1.0, "float"), ("1", "str"), (None, "NoneType"), (np.array(1), "ndarray")]
)
def test_offset_kinds(offset, name):
    for use in (
        lambda: ffi.read("int", BYTES, offset),
        lambda: ffi.write("int", bytearray(8), 1, offset),
        lambda: ffi.read_pointer(BYTES, offset),
        lambda: ffi.write_pointer(bytearray(16), 1, offset),
    ):
        with refused(TypeError, match=rf"argument 'offset': expected an int, got {name}"):
            use()
    for fitting in (True, np.int8(1), np.uint64(1)):
        assert ffi.read("uint8", BYTES, fitting) == 2


@pytest.mark.parametrize(
    ("byteorder", "kind"),
    [
        *(
            (name, ValueError)
            for name in ("", "native", "Little", "BIG", "<", ">", "=", "little\0")
        ),
        *((name, TypeError) for name in (None, 1, b"big", True, ["big"])),
    ],
)
def test_byteorder(byteorder, kind):
    storage = bytearray(16)
    for use in (
        lambda: ffi.read("int", storage, 0, byteorder),
        lambda: ffi.write("int", storage, 1, 0, byteorder),
        lambda: ffi.read_pointer(storage, 0, byteorder),
        lambda: ffi.write_pointer(storage, 1, 0, byteorder),
    ):
        with refused(kind, match=r"argument 'byteorder': expected 'little' or 'big', got "):
            use()
    assert not any(storage)


def test_read_refuses_an_address():
    for address in (0, 4096, ffi.addressof(BYTES)):
        with refused(TypeError, match=rf"got {address}; ffi\.view\(address"):
            ffi.read("int", address)


@pytest.mark.parametrize("c_type", [int, None, "no_such", np.float16, ctypes.c_int])
def test_wrong_types(c_type):
    with refused(TypeError, match=r"^read\(\): "):
        ffi.read(c_type, BYTES)
    with refused(TypeError, match=r"^write\(\): "):
        ffi.write(c_type, bytearray(8), 1)


def test_types_longer_than_any_storage():
    for c_type in (
        np.dtype((np.uint8, (2**31 - 1,))),
        "S2147483647",
        np.dtype((np.float64, (65,))),
    ):
        size = ffi.sizeof(c_type)
        with refused(ValueError, match=rf"{size} bytes at offset 0 is outside the buffer of 64"):
            ffi.read(c_type, BYTES)
