"""Closure: C calls Python on raw storage, and what happens when that goes wrong."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
from checks import STRUCTS, VALUES, plain, refused

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg
INT_INT = ffi.CIF(t.int, t.int)
DRIVE = ffi.CIF(t.void, t.pointer, t.pointer, t.pointer)
CALL_INT = ffi.CIF(t.int, t.pointer, t.int)


def argument(avalues, index=0, type=t.int):
    return ffi.view(avalues[index], type)[()]


def negate(rvalue, avalues):
    ffi.write(t.int, rvalue, -int(argument(avalues)))


def call_int(function, value, *, release_gil=True):
    """Call an int (int) function pointer from Python."""
    rvalue = bytearray(b"\xaa" * WORD)
    ffi.call(INT_INT, function, rvalue, INT_INT.pack(value), release_gil=release_gil)
    return INT_INT.unpack(rvalue)


def through_c(symbol, function, value):
    """Let C call an int (int) function pointer."""
    rvalue = bytearray(WORD)
    ffi.call(CALL_INT, symbol("call_int"), rvalue, CALL_INT.pack(function, value))
    return CALL_INT.unpack(rvalue)


# --- values


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in VALUES.items() for value in values]
)
def test_every_type_there_and_back(symbol, name, value):
    type = STRUCTS.get(name) or t[name]
    cif = ffi.CIF(type, type)
    received = []

    def function(rvalue, avalues):
        raw = ffi.view(avalues[0], np.uint8, type.size).tobytes()
        received.append(plain(ffi.read(type, raw)))
        rvalue[:] = raw

    sent = np.zeros(max(type.size, 16) * 2, np.uint8)[: type.size]
    ffi.write(type, sent, value)
    guarded = np.full(type.size + 16, 0xAA, np.uint8)
    closure = ffi.Closure(cif, function)
    ffi.call(DRIVE, symbol(f"drive_{name}"), None, DRIVE.pack(closure, sent, guarded))
    assert received == [value]
    assert plain(ffi.read(type, guarded)) == value
    assert set(guarded[type.size :]) == {0xAA}
    # The same through a call of ours, which also sees how the result was widened.
    rvalue = np.full(max(WORD, type.size), 0xAA, np.uint8)
    ffi.call(cif, closure, rvalue, [sent.copy()])
    assert plain(cif.unpack(rvalue)) == value


@pytest.mark.parametrize(
    ("name", "value"), [("int8", -5), ("uint8", 251), ("int16", -5), ("uint16", 65531), ("bool", 1)]
)
def test_small_results_are_widened(name, value):
    cif = ffi.CIF(t[name])
    closure = ffi.Closure(cif, lambda rvalue, _: ffi.write(t[name], rvalue, value))
    rvalue = np.full(1, -1, f"int{8 * WORD}")
    ffi.call(cif, closure, rvalue, None)
    assert rvalue[0] == value


def test_small_results_in_c(symbol):
    for name, kind, wide, value in (
        ("call_schar_as_long", t.schar, t.long, -5),
        ("call_ushort_as_long", t.ushort, t.ulong, 65531),
    ):

        def function(rvalue, _, kind=kind, value=value):
            ffi.write(kind, rvalue, value)

        cif = ffi.CIF(wide, t.pointer)
        rvalue = bytearray(WORD)
        ffi.call(cif, symbol(name), rvalue, cif.pack(ffi.Closure(ffi.CIF(kind), function)))
        assert cif.unpack(rvalue) == value


def test_qsort():
    def compare(rvalue, avalues):
        left, right = (ffi.view(int(argument(avalues, i, t.pointer)), t.double)[()] for i in (0, 1))
        ffi.write(t.int, rvalue, int(left > right) - int(left < right))

    items = np.random.default_rng(1).normal(size=500)
    expected = np.sort(items)
    cif = ffi.CIF(t.void, t.pointer, t.size_t, t.size_t, t.pointer)
    closure = ffi.Closure(ffi.CIF(t.int, t.pointer, t.pointer), compare)
    qsort = ffi.dlsym(ffi.dlopen(), "qsort")
    ffi.call(cif, qsort, None, cif.pack(items, items.size, items.itemsize, closure))
    assert items.tolist() == expected.tolist()


def test_many_arguments():
    cif = ffi.CIF(t.int64, *[t.double, t.int8] * 40)
    values = [x for i in range(40) for x in (i / 3, -i)]

    def function(rvalue, avalues):
        assert len(avalues) == 80
        assert [argument(avalues, i, kind) for i, kind in enumerate(cif.atypes)] == values
        ffi.write(t.int64, rvalue, 80)

    rvalue = np.zeros(1, np.int64)
    ffi.call(cif, ffi.Closure(cif, function), rvalue, cif.pack(*values))
    assert rvalue[0] == 80


def test_variadic():
    cif = ffi.CIF(t.double, t.int, variadic=[t.double, t.int])

    def function(rvalue, avalues):
        ffi.write(t.double, rvalue, sum(argument(avalues, i, k) for i, k in enumerate(kinds)))

    kinds = [t.int, t.double, t.int]
    rvalue = np.zeros(1)
    ffi.call(cif, ffi.Closure(cif, function), rvalue, cif.pack(1, 2.5, 3))
    assert rvalue[0] == 6.5


def test_views():
    seen = {}

    def function(rvalue, avalues):
        seen.update(rvalue=rvalue, avalues=avalues)
        assert isinstance(rvalue, memoryview)
        assert isinstance(avalues, memoryview)
        assert (rvalue.nbytes, rvalue.format, rvalue.readonly) == (4, "B", False)
        assert bytes(rvalue) == bytes(4)
        assert (len(avalues), avalues.itemsize, avalues.readonly) == (1, ffi.sizeof.pointer, True)
        assert ffi.read_pointer(avalues) == avalues[0] != 0
        ffi.write(t.int, rvalue, 5)
        return "ignored"

    assert call_int(ffi.Closure(INT_INT, function), 1) == 5
    for view in seen.values():
        with pytest.raises(ValueError, match="released"):
            view[0]


def test_void_result():
    sizes = []
    cif = ffi.CIF(t.void)
    ffi.call(cif, ffi.Closure(cif, lambda r, a: sizes.append((len(r), len(a)))), None, None)
    assert sizes == [(0, 0)]


@pytest.mark.parametrize("release_gil", [True, False])
def test_gil_kept_or_released(release_gil):
    def nested(rvalue, avalues):
        value = int(argument(avalues))
        if value:
            value = call_int(closure, value - 1, release_gil=not release_gil) + 2
        ffi.write(t.int, rvalue, value)

    closure = ffi.Closure(INT_INT, nested)
    assert call_int(closure, 20, release_gil=release_gil) == 40


class Callable:
    def __call__(self, rvalue, avalues):
        negate(rvalue, avalues)

    method = __call__


@pytest.mark.parametrize(
    "function",
    [
        negate,
        Callable(),
        Callable().method,
        functools.partial(negate),
        np.frompyfunc(lambda r, a: None, 2, 1),
    ],
)
def test_callables(function, unraisable):
    closure = ffi.Closure(INT_INT, function)
    assert closure.function is function
    expected = -3 if not isinstance(function, np.ufunc) else 0
    assert call_int(closure, 3) == expected
    assert unraisable.kinds == []


# --- the object


def test_attributes(symbol):
    closure = ffi.Closure(INT_INT, negate)
    assert closure.cif is INT_INT
    assert closure.address == ffi.addressof(closure) > 0
    assert f"{closure.address:#x}" in repr(closure)
    assert "negate" in repr(closure)
    for name in ("cif", "function", "address", "anything"):
        with pytest.raises(AttributeError):
            setattr(closure, name, None)
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="Closure"):
            copier(closure)
    assert call_int(closure, 3) == call_int(closure.address, 3) == -3
    assert through_c(symbol, closure, 3) == through_c(symbol, closure.address, 3) == -3


@pytest.mark.parametrize("cif", [None, 3, t.int, "int", ffi.CIF, INT_INT.pack(1)])
def test_wrong_cif(cif):
    match = rf"Closure\(\): argument 'cif': expected an ffi.CIF, got {type(cif).__name__}"
    with refused(TypeError, match=match):
        ffi.Closure(cif, negate)


@pytest.mark.parametrize("function", [None, 3, "negate", b"", object(), np.zeros(3), INT_INT])
def test_not_callable(function):
    match = r"Closure\(\): argument 'function': expected a callable, got "
    with refused(TypeError, match=match + type(function).__name__):
        ffi.Closure(INT_INT, function)


def test_arguments_are_two():
    for arguments in ((), (INT_INT,), (INT_INT, negate, 3)):
        with pytest.raises(TypeError, match="argument"):
            ffi.Closure(*arguments)


# --- exceptions


class Unusual(BaseException):
    pass


@pytest.mark.parametrize(
    "kind",
    [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, MemoryError, Unusual],
)
def test_exceptions_go_to_the_hook(symbol, unraisable, kind):
    def function(rvalue, avalues):
        rvalue[:] = b"\xff" * len(rvalue)
        raise kind("from the closure")

    closure = ffi.Closure(INT_INT, function)
    assert through_c(symbol, closure, 3) == 0
    assert unraisable.kinds == [kind]
    assert unraisable.messages == ["from the closure"]
    assert unraisable.objects == [repr(function)]
    assert "function" in unraisable.tracebacks[0]
    assert call_int(closure, 3) == 0


@pytest.mark.parametrize("name", ["int64", "double", "longdouble", "mixed", "wide", "longdoubles"])
def test_exceptions_leave_zeros(symbol, unraisable, name):
    type = STRUCTS.get(name) or t[name]

    def function(rvalue, avalues):
        rvalue[:] = b"\xff" * len(rvalue)
        raise LookupError

    out = np.full(type.size, 0xAA, np.uint8)
    sent = np.zeros(16 * type.size, np.uint8)
    closure = ffi.Closure(ffi.CIF(type, type), function)
    ffi.call(DRIVE, symbol(f"drive_{name}"), None, DRIVE.pack(closure, sent, out))
    assert unraisable.kinds == [LookupError]
    assert plain(ffi.read(type, out)) == plain(ffi.read(type, bytes(type.size)))


def test_wrong_signature_of_the_function(unraisable):
    assert call_int(ffi.Closure(INT_INT, lambda: None), 3) == 0
    assert unraisable.kinds == [TypeError]


@pytest.mark.parametrize(
    ("keep", "name"),
    [
        (lambda r, a: memoryview(r), "rvalue"),
        (lambda r, a: r[1:], "rvalue"),
        (lambda r, a: np.frombuffer(r, np.uint8), "rvalue"),
        (lambda r, a: iter([r.cast("b")]), "rvalue"),
        (lambda r, a: a[:], "avalues"),
        (lambda r, a: np.asarray(a), "avalues"),
        (lambda r, a: memoryview(r.obj), "rvalue"),
    ],
)
def test_kept_views(unraisable, keep, name):
    kept = []

    def function(rvalue, avalues):
        rvalue[:] = b"\x11" * 4
        kept.append(keep(rvalue, avalues))

    closure = ffi.Closure(INT_INT, function)
    assert call_int(closure, 3) == 0
    assert unraisable.kinds == [ffi.errors.FFIBufferError]
    assert issubclass(ffi.errors.FFIBufferError, BufferError)
    assert name in unraisable.messages[0]
    view = next(kept[0]) if not isinstance(kept[0], memoryview | np.ndarray) else kept[0]
    for i in range(200):
        call_int(closure, i)
    assert len(bytes(view)) == memoryview(view).nbytes
    if name == "rvalue":
        assert set(bytes(view)) == {0x11}
        np.asarray(view)[...] = 1
    assert len(unraisable.kinds) == 201


def test_exception_wins_over_kept_views(unraisable):
    kept = []

    def function(rvalue, avalues):
        kept.append((rvalue[1:], np.asarray(avalues)))
        raise LookupError("first")

    assert call_int(ffi.Closure(INT_INT, function), 3) == 0
    assert unraisable.kinds == [LookupError]
    assert bytes(kept[0][0]) == bytes(3)


def test_cycles_are_collected():
    class Owner:
        def __init__(self):
            self.closure = ffi.Closure(INT_INT, self.method)

        def method(self, rvalue, avalues):
            negate(rvalue, avalues)

    owner = Owner()
    assert call_int(owner.closure, 4) == -4
    alive = weakref.ref(owner)
    del owner
    gc.collect()
    assert alive() is None


def test_foreign_threads(symbol, unraisable):
    threads = set()

    def function(rvalue, avalues):
        threads.add(threading.get_ident())
        value = int(argument(avalues))
        if value < 0:
            raise ValueError(f"from thread {value}")
        ffi.write(t.int, rvalue, value)

    closure = ffi.Closure(INT_INT, function)
    cif = ffi.CIF(t.int, t.pointer, t.int, t.int, t.int)
    rvalue = bytearray(WORD)
    ffi.call(cif, symbol("call_from_threads"), rvalue, cif.pack(closure, 3, 50, 16))
    assert cif.unpack(rvalue) == 3 * 50 * 16
    assert threading.get_ident() not in threads
    ffi.call(cif, symbol("call_from_threads"), rvalue, cif.pack(closure, -1, 2, 4))
    assert cif.unpack(rvalue) == 0
    assert unraisable.kinds == [ValueError] * 8
