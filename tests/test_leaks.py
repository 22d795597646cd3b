"""Nothing grows: memory and reference counts stay flat over many uses, failing ones too.

How many is in the environment variable FFI_LEAK_CALLS. A debug build of Python counts references,
and there the sum of all objects' counts stays flat too, if NumPy was compiled for that build: what
was compiled for another one takes and gives references that Python does not count.
"""

from __future__ import annotations

import copy
import ctypes
import gc
import os
import pickle
import resource
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg
COUNT = int(os.environ.get("FFI_LEAK_CALLS", 10**5))
ADD = ffi.CIF(t.int, t.int, t.int)
POINTERS = ffi.CIF(t.void, t.pointer, t.pointer)
PAIR = ffi.struct([("a", t.int), ("b", t.double)], "struct pair")
BITS = ffi.struct([("x", t.int, 20), ("y", t.int, 3)], "struct bits")
# A pointer lost in each tenth of COUNT uses shows.
ALLOWED = 128 * 1024
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
NUMPY_OF_THIS_BUILD = Path(np.__file__).parent.rglob(f"_multiarray_umath{SUFFIX}")
COUNTS_REFERENCES = hasattr(sys, "gettotalrefcount") and any(NUMPY_OF_THIS_BUILD)


def resident():
    """Return the bytes of memory in use; the most that ever were where the system says no more."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def references():
    """Return the sum of all reference counts, 0 where Python does not keep it."""
    return sys.gettotalrefcount() if COUNTS_REFERENCES else 0


def check_flat(use, *objects, count=COUNT):
    """Use something often; neither memory nor the references to the objects may grow.

    A first part warms free lists and the quarantine. Allocators have their moods, and Python
    has its caches, so that there must be more three times running to be a leak.
    """
    repeat(use, count // 5)
    gc.collect()
    before = [sys.getrefcount(item) for item in objects]
    growth, more, few = [], [], 20 + count // 20
    while len(growth) < 3 and (not growth or growth[-1] >= ALLOWED or abs(more[-1]) >= few):
        start, total = resident(), references()
        repeat(use, count)
        gc.collect()
        growth.append(resident() - start)
        more.append(references() - total)
    assert growth[-1] < ALLOWED, f"memory grew by {growth} bytes"
    # The interpreter may hold a few itself, a leak holds one for each use, here or somewhere.
    assert abs(more[-1]) < few, f"there are {more} references more"
    after = [sys.getrefcount(item) for item in objects]
    assert all(b - a < 10 for a, b in zip(before, after, strict=True)), (before, after)


def repeat(use, count):
    for _ in range(count):
        use()


def failing(kind, use):
    """Return a function that expects a refusal, without pytest's bookkeeping."""

    def fail():
        try:
            use()
        except kind:
            return
        raise AssertionError("not refused")

    return fail


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="needs debug builds of Python and NumPy")
@pytest.mark.parametrize("function", ["Py_IncRef", "Py_DecRef"])
def test_lost_references_are_found(function):
    item = ctypes.py_object(object())
    for _ in range(10**4):  # it shall live on
        ctypes.pythonapi.Py_IncRef(item)
    change = getattr(ctypes.pythonapi, function)
    with pytest.raises(AssertionError, match="references more"):
        check_flat(lambda: change(item), count=1000)


def test_calls(symbol):
    fn, rvalue, args = symbol("add_int"), bytearray(WORD), ADD.pack(1, 2)
    left = np.array([1], np.intc)
    array = np.array([left.ctypes.data, left.ctypes.data], np.uintp)
    sequence, raw, view = [left, left], bytearray(array), memoryview(array)

    def use():
        for avalues in (args, array, sequence, raw, view):
            ffi.call(ADD, fn, rvalue, avalues)

    check_flat(use, ADD, fn, rvalue, args, left, array, sequence, raw, t.int)


def test_packs():
    buffer, array, pair = bytearray(8), np.zeros(3), (1, 2.0)
    mixed = ffi.CIF(t.void, t.pointer, t.pointer, PAIR, t.longdouble, t.complex_double, t.char)

    def use():
        ADD.pack(70000, -70000)
        mixed.pack(buffer, array, pair, 1.5, 2j, b"x")

    check_flat(use, buffer, array, pair, mixed, ADD, PAIR)


@pytest.mark.parametrize(
    ("type", "value"),
    [
        (t.int, -70000),
        (t.uint64, 2**64 - 1),
        (t.bool, True),
        (t.char, b"x"),
        (t.double, 0.1),
        (t.longdouble, np.longdouble(1) / 3),
        (t.longdouble, 2**100),
        (t.complex_float, 1 + 2j),
        (t.complex_longdouble, np.clongdouble(1 + 2j)),
        (t.pointer, 2**31),
        (PAIR, (70000, 0.5)),
        (PAIR, {"a": 70000, "b": 0.5}),
        (np.dtype((np.intc, 3)), [1, 2, 70000]),
        (np.dtype(("S", 5)), b"abc"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_reads_and_writes(type, value):
    storage = bytearray(64)
    kind = type if isinstance(type, ffi.Type) else ffi.struct([("x", type)]).fields[0][1]

    def use():
        ffi.write(kind, storage, value)
        ffi.read(kind, storage)

    check_flat(use, storage, value, kind, kind.dtype, count=COUNT // 4)


def test_unpacks():
    storage, cif = np.zeros(32, np.uint8), ffi.CIF(PAIR)
    check_flat(lambda: cif.unpack(storage), storage, cif, PAIR, PAIR.dtype)


def test_failing_calls(symbol):
    fn, rvalue, args = symbol("add_int"), bytearray(WORD), ADD.pack(1, 2)
    left, null, short = np.array([1], np.intc), np.zeros(2, np.uintp), bytearray(2)
    other, many = POINTERS.pack(None, None), [left] * 50
    failures = [
        failing(TypeError, lambda: ffi.call(None, fn, rvalue, args)),
        failing(ValueError, lambda: ffi.call(ADD, 0, rvalue, args)),
        failing(OverflowError, lambda: ffi.call(ADD, -1, rvalue, args)),
        failing(ValueError, lambda: ffi.call(ADD, fn, short, args)),
        failing(TypeError, lambda: ffi.call(ADD, fn, bytes(8), args)),
        failing(TypeError, lambda: ffi.call(ADD, fn, rvalue, other)),
        failing(ValueError, lambda: ffi.call(ADD, fn, rvalue, null)),
        failing(ValueError, lambda: ffi.call(ADD, fn, rvalue, [left, short])),
        failing(TypeError, lambda: ffi.call(ADD, fn, rvalue, [left, None])),
        failing(ValueError, lambda: ffi.call(ADD, fn, rvalue, many)),
    ]
    check_flat(
        lambda: [fail() for fail in failures],
        *(ADD, fn, rvalue, args, left, null, short, other, many, POINTERS),
        count=COUNT // 5,
    )


def test_failing_conversions():
    buffer, array, mixed = bytearray(8), np.zeros(4), ffi.CIF(t.void, t.pointer, PAIR, t.int)
    strided = array[::2]
    failures = [
        failing(ValueError, lambda: mixed.pack(buffer)),
        failing(TypeError, lambda: mixed.pack(buffer, (1, 2.0), "x")),
        failing(TypeError, lambda: mixed.pack(strided, (1, 2.0), 3)),
        failing(OverflowError, lambda: mixed.pack(array, (2**40, 2.0), 3)),
        failing(ValueError, lambda: ffi.CIF(PAIR).unpack(buffer)),
        failing(ValueError, lambda: ffi.read(t.int, buffer, 100)),
        failing(OverflowError, lambda: ffi.write(t.int, buffer, 2**40)),
        failing(TypeError, lambda: ffi.write(t.int, b"1234", 2)),
        failing(TypeError, lambda: ffi.addressof(strided)),
        failing(ValueError, lambda: ffi.view(0, t.int)),
        failing(TypeError, lambda: ffi.string(strided)),
    ]
    check_flat(
        lambda: [fail() for fail in failures],
        *(buffer, array, strided, mixed, PAIR, PAIR.dtype),
        count=COUNT // 5,
    )


def test_closures():
    cif, rvalue = ffi.CIF(t.int), bytearray(WORD)
    others = [ffi.CIF(t.int, t.int), ffi.CIF(t.double, PAIR)]

    def function(result, addresses):
        ffi.write(t.int, result, 5)

    def use():
        ffi.call(cif, ffi.Closure(cif, function), rvalue, None)
        for other in others:
            ffi.Closure(other, function)

    check_flat(use, cif, function, rvalue, *others, count=COUNT // 2)


def test_calls_of_a_closure():
    class Payload:
        pass

    payload = Payload()

    def function(result, addresses):
        ffi.write(t.int, result, int(ffi.view(addresses[0], t.int)[()]))
        return payload

    closure, rvalue, args = ffi.Closure(ADD, function), bytearray(WORD), ADD.pack(1, 2)
    check_flat(
        lambda: ffi.call(ADD, closure, rvalue, args),
        *(ADD, function, closure, rvalue, args, payload),
    )


def test_failing_closures(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    error, kept = ValueError("always this one"), []

    def fail(result, addresses):
        raise error

    def keep(result, addresses):
        kept[:] = [result[:]]

    rvalue, args = bytearray(WORD), ADD.pack(1, 2)
    closures = [ffi.Closure(ADD, fail), ffi.Closure(ADD, keep)]
    dead = ffi.Closure(ADD, fail).address

    def use():
        for fn in (*closures, dead):
            ffi.call(ADD, fn, rvalue, args)
        error.__traceback__ = None

    check_flat(use, ADD, error, fail, keep, rvalue, args, *closures, count=COUNT // 3)


def test_refused_closures():
    failures = [
        failing(TypeError, lambda: ffi.Closure(ADD, None)),
        failing(TypeError, lambda: ffi.Closure(None, print)),
    ]
    check_flat(lambda: [fail() for fail in failures], ADD, print, None, count=COUNT // 3)


def test_cifs_and_types():
    large = np.dtype((np.uint8, 1000))

    def use():
        inner = ffi.struct([("x", t.int), ("y", np.dtype((np.float64, 3)))])
        outer = ffi.struct({"inner": inner, "bytes": large})
        ffi.union([("inner", inner), ("i", t.int)])
        ffi.CIF(outer, outer, t.int, variadic=[t.double])

    check_flat(use, t.int, t.double, large, np.dtype(np.float64), count=COUNT // 20)


def test_different_types():
    lengths = iter(range(1, 10**9))

    def make_types():
        length = next(lengths)
        array = ffi.struct([("x", (t.int, length))])
        assert array != ffi.struct([("x", (t.int, length + 1))])

    check_flat(make_types, count=COUNT // 10)


def test_failing_cifs_and_types():
    union = ffi.union([("i", t.int), ("bytes", (t.byte, 20000))])
    inner = [("x", t.int), ("y", t.double)]
    failures = [
        failing(TypeError, lambda: ffi.CIF(t.int, t.int, int)),
        failing(NotImplementedError, lambda: ffi.CIF(t.int, ffi.struct(inner), union)),
        failing(ValueError, lambda: ffi.CIF(ffi.abi.last, t.int)),
        failing(TypeError, lambda: ffi.CIF(t.int, t.int, variadic=[t.float])),
        failing(TypeError, lambda: ffi.struct([*inner, ("z", None)])),
        failing(ValueError, lambda: ffi.struct([*inner, ("x", t.int)])),
        failing(TypeError, lambda: ffi.sizeof("no such type")),
    ]
    check_flat(
        lambda: [fail() for fail in failures], union, inner, t.int, t.float, count=COUNT // 20
    )


def test_views_and_strings():
    storage = np.zeros(100)
    address = storage.ctypes.data
    shape, dtype = (10, 10), storage.dtype

    def use():
        ffi.view(address, dtype, shape, owner=storage)
        ffi.view(address, PAIR, 3, readonly=True, owner=storage)
        ffi.string(address, 50)
        ffi.string(storage)
        ffi.addressof(storage)
        ffi.read_pointer(storage)
        ffi.write_pointer(storage, storage)

    check_flat(use, storage, dtype, shape, PAIR, PAIR.dtype, count=COUNT // 2)


def test_pointers():
    array, kept = np.zeros(4), bytearray(8)
    node = ffi.struct({"next": "void *", "d": "double *", "pair": PAIR}, "struct node")

    def use():
        one, other = ffi.new(node), ffi.new(node, (None, array, (1, 2.0)))
        one[0].next, other[0].next = other, one
        one[0].next.cast("char *").view(2)
        one[0].next = kept
        one[0].d = array
        ffi.new("double *", one[0].d)[0].view(2)
        other.cast(one.type)[0] = one[0]
        assert other == other.cast("void *")
        with ffi.new(("char", 4), b"abc") as text:
            text.string()

    check_flat(use, array, kept, node, PAIR, t.double, t.char, count=COUNT // 20)


def test_records():
    nested = ffi.struct({"pair": PAIR, "a": ("int", 3), "bits": BITS}, "struct nested")
    record = ffi.new(nested, ((1, 2.0), [1, 2, 3], (1, 2)))[0]
    pair, array = ffi.new(PAIR, (3, 4.0))[0], np.zeros(3, np.intc)

    def use():
        record.pair = pair
        record.pair.b = 70000.5
        record["a"] = array
        record.bits.x = record.bits.y + 1
        assert record == copy.copy(record)
        pickle.loads(pickle.dumps(record))
        repr(record)
        np.asarray(record.pair)["a"] = 70000
        memoryview(record).release()
        memoryview(record.pair).release()
        getattr(record, "none", dir(pair))

    check_flat(use, nested, record, pair, array, PAIR, BITS, None, count=COUNT // 20)


def test_destructors(cases, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    library = ffi.dlopen(cases)
    destroy, memory = ffi.dlsym(library, "destroy"), ffi.new(PAIR)
    error = ValueError("always this one")

    def fail(rvalue, avalues):
        raise error

    closure = ffi.Closure(ffi.CIF("void", "pointer"), fail)

    def use():
        ffi.gc(memory, destroy)[0].a = 70000
        ffi.gc(memory, destroy).release()
        with ffi.gc(memory, closure):
            error.__traceback__ = None
        cycle = [ffi.gc(memory, destroy)]
        cycle.append(cycle)

    check_flat(use, destroy, memory, error, closure, PAIR, count=COUNT // 10)


def test_failing_pointers():
    pointer, record = ffi.new("int"), ffi.new(PAIR)[0]
    view, released, constant = pointer.view(), ffi.new("int"), pointer.cast("const int *")
    released.release()
    failures = [
        failing(TypeError, lambda: ffi.new("no such type")),
        failing(TypeError, lambda: ffi.new(PAIR, (1, "x"))),
        failing(OverflowError, lambda: ffi.new(("int", 2), [1, 2**40])),
        failing(TypeError, lambda: ffi.new("int *", constant)),
        failing(TypeError, lambda: ffi.new("double *", pointer)),
        failing(TypeError, lambda: constant.__setitem__(0, 1)),
        failing(IndexError, lambda: pointer[70000]),
        failing(ValueError, lambda: pointer.view(3)),
        failing(TypeError, lambda: pointer.cast("int")),
        failing(BufferError, pointer.release),
        failing(ValueError, lambda: released[0]),
        failing(TypeError, lambda: ffi.gc(pointer, None)),
        failing(ValueError, lambda: ffi.gc(released, 1)),
        failing(AttributeError, lambda: record.z),
        failing(KeyError, lambda: record["z"]),
        failing(TypeError, lambda: setattr(record, "a", "x")),
        failing(TypeError, lambda: pickle.dumps(pointer)),
        failing(TypeError, lambda: hash(record)),
    ]
    check_flat(
        lambda: [fail() for fail in failures],
        *(pointer, record, view, released, constant, PAIR),
        count=COUNT // 30,
    )


def test_libraries(cases):
    path = str(cases)
    kept = ffi.dlopen(path)

    def use():
        library = ffi.dlopen(path)
        ffi.dlsym(library, "add_int")
        failing(OSError, lambda: ffi.dlsym(library, "no_such_symbol"))()
        ffi.dlclose(library)
        failing(ValueError, lambda: ffi.dlsym(library, "add_int"))()

    check_flat(use, kept, path, count=COUNT // 5)
