"""What a call holds while C runs: storage can neither be resized nor go away under it."""

from __future__ import annotations

import array
import gc
import mmap
import threading
import weakref

import numpy as np
import pytest

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg
ADD = ffi.CIF(t.int, t.int, t.int)


def make_bytearray(size):
    storage = bytearray(size)
    return storage, lambda: storage.extend(bytes(10**6))


def make_subclass(size):
    class Bytes(bytearray):
        pass

    storage = Bytes(size)
    return storage, storage.clear


def make_array(size):
    storage = array.array("B", bytes(size))
    return storage, lambda: storage.extend(bytes(10**6))


def make_memoryview(size):
    storage = memoryview(bytearray(size))
    return storage, storage.release


def make_slice(size):
    owner = bytearray(size)
    return memoryview(owner)[:], owner.clear


def make_mmap(size):
    storage = mmap.mmap(-1, size)
    return storage, storage.close


def make_ndarray(size):
    storage = np.zeros(size, np.uint8)
    return storage, lambda: storage.resize(10**6)


MAKERS = [
    make_bytearray,
    make_subclass,
    make_array,
    make_memoryview,
    make_slice,
    make_mmap,
    make_ndarray,
]


@pytest.mark.parametrize("release_gil", [True, False])
@pytest.mark.parametrize("role", ["rvalue", "avalues", "item"])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__.removeprefix("make_"))
def test_storage_keeps_its_size(make, role, release_gil):
    storage, resize = make(2 * ffi.sizeof.pointer)
    left, right = np.array([40], np.intc), np.array([2], np.intc)
    rvalue, avalues = bytearray(WORD), [left, right]
    if role == "rvalue":
        rvalue = storage
    elif role == "avalues":
        avalues = storage
        ffi.write_pointer(storage, left)
        ffi.write_pointer(storage, right, ffi.sizeof.pointer)
    else:
        ffi.write(t.int, storage, 40)
        avalues = [storage, right]
    refused = []

    def function(result, addresses):
        try:
            resize()
        except (BufferError, ValueError) as exc:
            refused.append(type(exc))
        values = [int(ffi.view(address, t.int)[()]) for address in addresses]
        ffi.write(t.int, result, sum(values))

    ffi.call(ADD, ffi.Closure(ADD, function), rvalue, avalues, release_gil=release_gil)
    assert ADD.unpack(rvalue) == 42
    # Addresses are copied, so theirs may change.
    if role != "avalues":
        assert refused == [ValueError if isinstance(storage, np.ndarray) else BufferError]
    del rvalue, avalues
    if not isinstance(storage, np.ndarray | memoryview):
        resize()


def test_another_thread_cannot_resize():
    rvalue, storage, refused = bytearray(WORD), bytearray(8), []

    def resize():
        for held in (rvalue, storage):
            try:
                held.extend(bytes(10**6))
            except BufferError:
                refused.append(True)

    def function(result, addresses):
        thread = threading.Thread(target=resize)
        thread.start()
        thread.join()
        ffi.write(t.int, result, 7)

    ffi.call(ADD, ffi.Closure(ADD, function), rvalue, [storage, bytes(8)])
    assert refused == [True, True]
    assert ADD.unpack(rvalue) == 7


@pytest.mark.parametrize("release_gil", [True, False])
def test_everything_is_owned(release_gil):
    class Owned(np.ndarray):
        pass

    def number(value):
        return np.array([value], np.intc).view(Owned)

    held = {
        "cif": ffi.CIF(t.int, t.int, t.int),
        "rvalue": np.zeros(WORD, np.uint8).view(Owned),
        "avalues": [number(40), number(2)],
    }
    results = []

    def function(result, addresses):
        rvalue.append(weakref.ref(held["rvalue"]))
        numbers = [weakref.ref(item) for item in held["avalues"]]
        held["avalues"].clear()
        held.clear()
        gc.collect()
        junk = [np.full(1, -1, np.intc) for _ in range(1000)]
        assert all(item() is not None for item in (*numbers, *rvalue))
        results.extend(int(ffi.view(address, t.int)[()]) for address in addresses)
        ffi.write(t.int, result, len(junk))

    rvalue = []
    held["fn"] = ffi.Closure(held["cif"], function)
    arguments = [held[name] for name in ("cif", "fn", "rvalue", "avalues")]
    # Nobody but the call itself refers to the arguments: the iterator gives them up.
    ffi.call(*(arguments.pop(0) for _ in range(4)), release_gil=release_gil)
    assert results == [40, 2]
    gc.collect()
    assert rvalue[0]() is None


def test_packed_arguments_are_owned():
    results = []

    def function(result, addresses):
        held.clear()
        gc.collect()
        junk = [ADD.pack(-1, -1) for _ in range(1000)]
        results.extend(int(ffi.view(address, t.int)[()]) for address in addresses)
        ffi.write(t.int, result, len(junk))

    held = [ADD.pack(40, 2)]
    closure, rvalue = ffi.Closure(ADD, function), bytearray(WORD)
    ffi.call(ADD, closure, rvalue, *(held.pop() for _ in range(1)))
    assert results == [40, 2]
    assert ADD.unpack(rvalue) == 1000


@pytest.mark.parametrize("use", ["read", "write", "unpack", "pack"])
def test_nothing_is_held_afterwards(use):
    storage = bytearray(16)
    cif = ffi.CIF(t.int, t.pointer)
    if use == "read":
        ffi.read(t.int, storage)
    elif use == "write":
        ffi.write(t.int, storage, 5)
    elif use == "unpack":
        cif.unpack(storage)
    else:
        cif.pack(storage)
    for bad in (b"", None, object()):
        with pytest.raises(ffi.Error):
            ffi.call(ADD, 1, storage, [storage, bad])
        with pytest.raises(ffi.Error):
            ffi.call(ADD, 1, bad, [storage, storage])
        with pytest.raises(ffi.Error):
            ffi.CIF(t.int, t.pointer, t.int).pack(storage, bad)
    gc.collect()
    storage.extend(bytes(100))
    assert len(storage) == 116
