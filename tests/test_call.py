"""call: C functions on storage of every kind."""

from __future__ import annotations

import array
import ctypes
import itertools
import mmap
import threading

import numpy as np
import pytest
from checks import HAS_GIL, STRUCTS, VALUES, plain, refused

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg
ADD = ffi.CIF(t.int, t.int, t.int)
VOID = ffi.CIF(t.void)


@pytest.fixture
def add(symbol):
    return symbol("add_int")


# --- storage

STORAGE = {
    "ndarray of bytes": lambda n: np.zeros(n, np.uint8),
    "ndarray of words": lambda n: np.zeros(n // ffi.sizeof.pointer, np.uintp),
    "two-dimensional": lambda n: np.zeros((1, n // ffi.sizeof.pointer), np.uintp),
    "ndarray subclass": lambda n: np.zeros(n, np.uint8).view(np.recarray),
    "bytearray": bytearray,
    "memoryview": lambda n: memoryview(bytearray(n)),
    "memoryview of a slice": lambda n: memoryview(bytearray(n + 32))[16 : n + 16],
    "array.array": lambda n: array.array("B", bytes(n)),
    "ctypes array": lambda n: (ctypes.c_size_t * (n // ffi.sizeof.pointer))(),
    "mmap": lambda n: mmap.mmap(-1, n),
}
ADDRESSES = {
    **STORAGE,
    "ndarray of addresses": lambda n: np.zeros(n // ffi.sizeof.pointer, np.uintp),
    "array.array of addresses": lambda n: array.array("L" if n // 2 == 8 else "I", bytes(n)),
    "ctypes pointers": lambda n: (ctypes.c_void_p * (n // ffi.sizeof.pointer))(),
    "longer than needed": lambda n: np.zeros(20, np.uintp),
}


@pytest.mark.parametrize("release_gil", [True, False])
@pytest.mark.parametrize("storage", STORAGE.values(), ids=STORAGE.keys())
def test_result_storage(add, storage, release_gil):
    rvalue = storage(WORD)
    ffi.call(ADD, add, rvalue, ADD.pack(-7, 2), release_gil=release_gil)
    assert ADD.unpack(rvalue) == -5


@pytest.mark.parametrize("release_gil", [True, False])
@pytest.mark.parametrize("storage", ADDRESSES.values(), ids=ADDRESSES.keys())
def test_address_storage(add, storage, release_gil):
    avalues = storage(2 * ffi.sizeof.pointer)
    left, right = np.array([40], np.intc), np.array([2], np.intc)
    ffi.write_pointer(avalues, left)
    ffi.write_pointer(avalues, right, ffi.sizeof.pointer)
    before = bytes(avalues)
    rvalue = bytearray(WORD)
    ffi.call(ADD, add, rvalue, avalues, release_gil=release_gil)
    assert ADD.unpack(rvalue) == 42
    assert bytes(avalues) == before


@pytest.mark.parametrize("sequence", [list, tuple])
@pytest.mark.parametrize("storage", STORAGE.values(), ids=STORAGE.keys())
def test_sequence_of_buffers(add, storage, sequence):
    left, right = storage(8), storage(8)
    ffi.write(t.int, left, 40)
    ffi.write(t.int, right, 2)
    rvalue = bytearray(WORD)
    ffi.call(ADD, add, rvalue, sequence([left, right]))
    assert ADD.unpack(rvalue) == 42
    ffi.call(ADD, add, rvalue, sequence([left, bytes(right)]))
    assert ADD.unpack(rvalue) == 42


def test_result_goes_to_an_offset(add):
    storage = np.full(4 * WORD, 0xAA, np.uint8)
    ffi.call(ADD, add, storage[WORD : 2 * WORD], ADD.pack(40, 2))
    assert ADD.unpack(storage[WORD:]) == 42
    assert set(storage[:WORD]) == set(storage[2 * WORD :]) == {0xAA}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in VALUES.items() for value in values]
)
def test_every_type_there_and_back(symbol, name, value):
    type = STRUCTS.get(name) or t[name]
    cif = ffi.CIF(type, type)
    rvalue = np.full(max(WORD, type.size) + 16, 0xAA, np.uint8)
    args = cif.pack(value)
    stored = ffi.view(ffi.read_pointer(args), np.uint8, type.size, owner=args)
    before = stored.copy()
    for release_gil in (True, False):
        ffi.call(cif, symbol(f"echo_{name}"), rvalue, args, release_gil=release_gil)
        result = cif.unpack(rvalue)
        assert plain(result) == value

        assert set(rvalue[-16:]) == {0xAA}
        assert stored.tobytes() == before.tobytes()


def test_many_arguments(compile_c):
    names = ", ".join(f"int64_t a{i}" for i in range(1024))
    total = " + ".join(f"{i} * a{i}" for i in range(1024))
    source = f"#include <stdint.h>\nint64_t weigh({names}) {{ return {total}; }}"
    weigh = ffi.dlsym(ffi.dlopen(compile_c(source, "weigh", "-O0")), "weigh")
    cif = ffi.CIF(t.int64, *[t.int64] * 1024)
    values = [(-1) ** i * i for i in range(1024)]
    rvalue = bytearray(8)
    storage = np.array(values, np.int64)
    addresses = (storage.ctypes.data + 8 * np.arange(1024)).astype(np.uintp)
    for avalues in (cif.pack(*values), addresses, list(storage.reshape(1024, 1))):
        rvalue[:] = bytes(8)
        ffi.call(cif, weigh, rvalue, avalues)
        assert cif.unpack(rvalue) == sum(i * value for i, value in enumerate(values))


def test_void_takes_any_or_no_result(symbol):
    counter = ffi.view(symbol("calls_of_count_call"), t.int)
    for rvalue, avalues in itertools.product(
        (None, bytearray(1), b"", np.zeros(3)), (None, [], (), b"", VOID.pack(), np.zeros(1))
    ):
        if isinstance(avalues, np.ndarray):
            continue
        before = counter.item()
        ffi.call(VOID, symbol("count_call"), rvalue, avalues)
        assert counter.item() == before + 1


def test_arrays_by_address(symbol):
    x, y = np.arange(100.0), np.linspace(-1, 1, 100)
    cif = ffi.CIF(t.double, t.size_t, t.pointer, t.pointer)
    rvalue = np.zeros(1)
    ffi.call(cif, symbol("dot"), rvalue, cif.pack(100, x, y))
    assert cif.unpack(rvalue) == pytest.approx(x @ y, rel=1e-14)
    filled = np.zeros(5, np.intc)
    cif = ffi.CIF(t.void, t.pointer, t.size_t, t.int)
    ffi.call(cif, symbol("fill_int"), None, cif.pack(filled, 4, -3))
    assert filled.tolist() == [-3, -3, -3, -3, 0]


def test_struct_with_a_pointer(symbol):
    pointing = ffi.struct([("items", t.pointer), ("count", t.size_t)])
    cif = ffi.CIF(t.int, pointing)
    rvalue = bytearray(WORD)
    ffi.call(cif, symbol("sum_pointing"), rvalue, cif.pack((np.arange(5, dtype=np.intc), 5)))
    assert cif.unpack(rvalue) == 10


def test_arguments_are_reused_and_not_confused(add, symbol):
    args = ADD.pack(40, 2)
    rvalue = bytearray(WORD)
    for _ in range(3):
        ffi.call(ffi.CIF("int", "int", "int"), add, rvalue, args)
        assert ADD.unpack(rvalue) == 42
    for other in (ffi.CIF(t.int, t.int, t.longlong), ffi.CIF(t.int, t.int), VOID):
        with refused(TypeError, match=r"'avalues': expected arguments packed for .* got <ffi.Arg"):
            ffi.call(other, add, rvalue, args)


def test_gil(symbol):
    cif = ffi.CIF(t.int64, t.pointer, t.int)
    counter = np.zeros(1, np.int64)
    rvalue, args = bytearray(8), cif.pack(counter, 60)
    stop = threading.Event()

    def count():
        while not stop.is_set():
            counter[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    try:
        counted = {}
        for release_gil in (True, False, 1, 0, [0], []):
            ffi.call(cif, symbol("watch"), rvalue, args, release_gil=release_gil)
            counted[repr(release_gil)] = cif.unpack(rvalue) > 0
    finally:
        stop.set()
        thread.join()
    assert counted == {
        "True": True,
        "False": not HAS_GIL,
        "1": True,
        "0": not HAS_GIL,
        "[0]": True,
        "[]": not HAS_GIL,
    }


# --- variadic functions


@pytest.mark.parametrize(
    ("types", "form", "values", "expected"),
    [
        ([], b"plain", (), b"plain"),
        ([t.int], b"%d", (-5,), b"-5"),
        ([t.double, t.int], b"%.3f %x", (1.5, 255), b"1.500 ff"),
        ([t.longdouble, t.int], b"%.2Lf|%d", (np.longdouble("2.25"), 3), b"2.25|3"),
        ([t.longlong] * 9, b"%lld" * 9, tuple(range(9)), b"012345678"),
        ([t.double] * 10, b"%g " * 10, tuple(map(float, range(10))), b"0 1 2 3 4 5 6 7 8 9 "),
        ([t.pointer, t.size_t], b"%s %zu", (b"text", 7), b"text 7"),
    ],
)
def test_printf_family(types, form, values, expected):
    cif = ffi.CIF(t.int, t.pointer, t.size_t, t.pointer, variadic=types)
    text, rvalue = bytearray(200), bytearray(WORD)
    values = [value + b"\0" if isinstance(value, bytes) else value for value in values]
    snprintf = ffi.dlsym(ffi.dlopen(), "snprintf")
    ffi.call(cif, snprintf, rvalue, cif.pack(text, len(text), form + b"\0", *values))
    assert cif.unpack(rvalue) == len(expected)
    assert ffi.string(text) == expected


def test_mixed_variadic(symbol):
    pairs = [(0.5 * i, i - 3) for i in range(12)]
    cif = ffi.CIF(t.double, t.int, variadic=[t.double, t.int] * len(pairs))
    rvalue = np.zeros(1)
    args = cif.pack(len(pairs), *itertools.chain(*pairs))
    ffi.call(cif, symbol("add_variadic"), rvalue, args)
    assert cif.unpack(rvalue) == sum(x * n for x, n in pairs)
