"""What is promised of buffers and sequences that change while they are converted."""

from __future__ import annotations

import array
import sys

import numpy as np
import pytest
from checks import refused, run_python

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg
ADD = ffi.CIF(t.int, t.int, t.int)


class Meddler:
    """An integer that does something first."""

    def __init__(self, action, value=1):
        self.action, self.value = action, value

    def __index__(self):
        self.action()
        return self.value

    def __bool__(self):
        self.action()
        return True


def shrinkable():
    """Buffers with a way to take their memory away."""
    storage = bytearray(10**6)
    yield storage, storage.clear
    numbers = array.array("b", bytes(10**6))
    yield numbers, lambda: numbers.__delitem__(slice(None))
    view = memoryview(bytearray(10**6))
    yield view, view.release
    grown = bytearray(64)
    yield grown, lambda: grown.extend(bytes(10**6))
    resized = np.zeros(10**6, np.uint8)
    yield resized, lambda: resized.resize(0, refcheck=False)
    moved = np.zeros(100, np.uint8)
    yield moved, lambda: moved.resize(10**7, refcheck=False)


SHRINKABLE = ["bytearray", "array", "memoryview", "growing bytearray", "ndarray", "growing ndarray"]


@pytest.fixture(params=range(len(SHRINKABLE)), ids=SHRINKABLE)
def victim(request):
    return list(shrinkable())[request.param]


def survives(use):
    """Either it worked on the buffer as it is now, or it was refused by it or by us."""
    try:
        use()
    except BufferError:
        return False
    except (ValueError, TypeError) as exc:
        if not isinstance(exc, ffi.Error):
            raise
        return False
    return True


def survives_only_grown(use, buffer):
    worked = survives(use)
    assert worked == (not isinstance(buffer, memoryview) and len(buffer) > 0)


def test_write_meets_a_shrunk_buffer(victim):
    buffer, shrink = victim
    survives_only_grown(lambda: ffi.write(t.int64, buffer, Meddler(shrink)), buffer)


def test_write_at_a_meddling_offset(victim):
    buffer, shrink = victim
    survives_only_grown(lambda: ffi.write(t.int8, buffer, 1, Meddler(shrink, 40)), buffer)


def test_read_at_a_meddling_offset(victim):
    buffer, shrink = victim
    survives_only_grown(lambda: ffi.read(t.int8, buffer, Meddler(shrink, 40)), buffer)


def test_read_string_with_a_meddling_limit(victim):
    buffer, shrink = victim
    texts = []
    released = not survives(lambda: texts.append(ffi.string(buffer, Meddler(shrink, 40))))
    assert released == isinstance(buffer, memoryview)
    assert texts == [b""] * (not released)


def test_call_with_a_meddling_function(victim, symbol):
    buffer, shrink = victim
    fn = Meddler(shrink, symbol("add_int"))
    survives_only_grown(lambda: ffi.call(ADD, fn, buffer, ADD.pack(1, 2)), buffer)


def test_call_with_a_meddling_flag(victim, symbol):
    buffer, shrink = victim
    fn, flag = symbol("add_int"), Meddler(shrink)
    survives_only_grown(lambda: ffi.call(ADD, fn, buffer, ADD.pack(1, 2), release_gil=flag), buffer)


def test_sequence_meets_a_shrunk_buffer(victim, symbol):
    buffer, shrink = victim
    fn, rvalue = Meddler(shrink, symbol("add_int")), bytearray(WORD)
    survives_only_grown(lambda: ffi.call(ADD, fn, rvalue, [bytes(8), buffer]), buffer)


PAIR = ffi.struct([("p", t.pointer), ("i", t.int)], "struct pair")


def test_pack_after_meddling(victim):
    buffer, shrink = victim
    packed = []
    cif = ffi.CIF(t.void, t.int, t.pointer)
    worked = survives(lambda: packed.append(cif.pack(Meddler(shrink), buffer)))
    assert worked == (not isinstance(buffer, memoryview))
    for args in packed:
        assert pointer_in(args, 1) == ffi.addressof(buffer)


@pytest.mark.parametrize("in_struct", [False, True])
def test_pack_before_meddling(victim, in_struct):
    buffer, shrink = victim
    packed = []
    cif = ffi.CIF(t.void, PAIR) if in_struct else ffi.CIF(t.void, t.pointer, t.int)
    values = (buffer, Meddler(shrink))
    before = ffi.addressof(buffer)
    worked = survives(lambda: packed.append(cif.pack(values) if in_struct else cif.pack(*values)))
    # A bytearray or array.array refuses; a released memoryview leaves the memory to the arguments.
    assert worked == isinstance(buffer, memoryview | np.ndarray)
    for args in packed:
        expected = before if isinstance(buffer, memoryview) else ffi.addressof(buffer)
        assert pointer_in(args, 0) == expected


def pointer_in(args, index):
    """Return the address that is an argument's value."""
    return ffi.view(memoryview(args)[index], np.uintp)[()]


def test_list_of_buffers_changes_meanwhile(symbol):
    rvalue, numbers = bytearray(WORD), []
    for action in (numbers.clear, lambda: numbers.extend([bytes(4)] * 1000)):
        numbers[:] = [np.array([40], np.intc), np.array([2], np.intc)]
        fn = Meddler(action, symbol("add_int"))
        rvalue[:] = bytes(WORD)
        worked = survives(lambda fn=fn: ffi.call(ADD, fn, rvalue, numbers))
        assert ADD.unpack(rvalue) == (42 if worked else 0)


def test_members_change_meanwhile():
    pair = ffi.struct([("a", t.int), ("b", t.int)], "struct pair")
    triple = np.dtype((np.intc, 3))
    items, members = [0, 6, 7], {"a": 0, "b": 5}
    items[0] = Meddler(items.clear)
    members["a"] = Meddler(members.clear)
    storage = bytearray(16)
    ffi.write(triple, storage, items)
    assert ffi.read(triple, storage).tolist() == [1, 6, 7]
    ffi.write(pair, storage, members)
    assert ffi.read(pair, storage).item() == (1, 5)

    class Odd(tuple):
        def __iter__(self):
            return iter(())

    with refused(ValueError, match="expected 2 members of struct pair, got 0"):
        ffi.write(pair, storage, Odd((8, 9)))


def test_nothing_is_written_by_half():
    nested = ffi.struct([("a", t.int), ("b", np.dtype((np.intc, 3)))])
    storage = bytearray(b"\xaa" * 16)
    for value in ((1, [2, 3, "x"]), (1, [2, 3]), (1, [2, 3, 2**40]), (1,), {"a": 1}):
        with pytest.raises(ffi.Error):
            ffi.write(nested, storage, value)
        assert set(storage) == {0xAA}


def test_lying_arrays():
    # An array may be of a subclass that says anything of itself.
    code = """
import numpy as np, ffi
large = ffi.struct([("a", np.dtype((np.int8, 10**8)))])
class Liar(np.ndarray):
    dtype = property(lambda self: large.dtype)
    shape = property(lambda self: ())
    nbytes = property(lambda self: 10**8)
    size = property(lambda self: 10**8)
liar = np.zeros((), np.int8).view(Liar)
cif = ffi.CIF(ffi.types.long)
for use in (
    lambda: ffi.write(large, bytearray(10**8), liar),
    lambda: ffi.read(large, liar),
    lambda: ffi.write("long", liar, 0),
    lambda: ffi.call(cif, 1, liar, None),
):
    try:
        use()
    except (TypeError, ValueError) as exc:
        assert isinstance(exc, ffi.Error), exc
    else:
        raise AssertionError
print("done")
"""
    assert run_python(code) == "done\n"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ("np.zeros(8, object)", "array of C values, got an array of object"),
        ("np.zeros(8, np.dtype('i8').newbyteorder())", "native byte order"),
        (
            "np.zeros(16, np.uint64)[::2]",
            r"C-contiguous array, got shape \(8,\) with strides",
        ),
        ("np.frombuffer(bytes(64), np.uint64)", "writable array, got a read-only one of uint64"),
    ],
)
def test_arrays_that_lie_about_themselves(array, message):
    code = f"""
import re, numpy as np, ffi
honest = np.zeros(8, np.uint64)
class Liar(np.ndarray):
    dtype = property(lambda self: honest.dtype)
    flags = property(lambda self: honest.flags)
    shape = strides = property(lambda self: (8,))
liar = ({array}).view(Liar)
fn = ffi.dlsym(ffi.dlopen(), "abs")
cif = ffi.CIF("int", "int")
uses = [
    lambda: ffi.write("uint64", liar, 1),
    lambda: ffi.call(cif, fn, liar, cif.pack(1)),
]
if "read-only" not in {message!r}:
    uses += [
        lambda: ffi.read("uint64", liar),
        lambda: ffi.call(cif, fn, bytearray(8), liar),
        lambda: ffi.call(cif, fn, bytearray(8), [liar]),
        lambda: ffi.CIF("int", "pointer").pack(liar),
        lambda: ffi.addressof(liar),
    ]
for use in uses:
    try:
        use()
    except TypeError as exc:
        assert isinstance(exc, ffi.Error) and re.search({message!r}, str(exc)), exc
    else:
        raise AssertionError(use)
print("done")
"""
    assert run_python(code) == "done\n"


def test_objects_that_lie_about_their_class():
    code = """
import numpy as np, ffi
class Fake:
    __class__ = np.dtype
    hasobject, kind, itemsize, ndim = False, "S", 10**6, 0
    subdtype, names, isnative = None, None, True
    dtype = np.dtype("S1")
for use in (
    lambda: ffi.read(Fake(), bytes(10**6)),
    lambda: ffi.view(ffi.addressof(bytes(8)), Fake()),
    lambda: ffi.struct(Fake()),
    lambda: ffi.CIF(Fake()),
):
    try:
        use()
    except TypeError as exc:
        assert isinstance(exc, ffi.Error), exc
    else:
        raise AssertionError(use)
print("done")
"""
    assert run_python(code) == "done\n"


def test_metaclass_with_a_name_of_its_own():
    class Meta(type):
        __name__ = property(lambda cls: 1 / 0)

    class Odd(metaclass=Meta):
        pass

    with refused(TypeError, match="got Odd"):
        ffi.read("int", Odd())
    with refused(TypeError, match="got Odd"):
        ffi.write("int", bytearray(8), Odd())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="__buffer__ is new in Python 3.12")
class TestBufferProtocolInPython:
    class Exporter:
        def __init__(self, action, storage):
            self.action, self.storage = action, storage

        def __buffer__(self, flags):
            self.action()
            return memoryview(self.storage)

    def test_call(self, victim, symbol):
        buffer, shrink = victim
        fn, number = symbol("add_int"), np.array([1], np.intc)
        exporter = self.Exporter(shrink, number)
        worked = survives(lambda: ffi.call(ADD, fn, buffer, [number, exporter]))
        # What is held already cannot change its size, but for an array's own resize.
        assert worked == (isinstance(buffer, np.ndarray) and len(buffer) > 0)

    def test_sequence(self, victim, symbol):
        buffer, shrink = victim
        exporter = self.Exporter(shrink, np.array([1], np.intc))
        fn, buffers = symbol("add_int"), [exporter, buffer]
        survives_only_grown(lambda: ffi.call(ADD, fn, bytearray(WORD), buffers), buffer)

    def test_list_changes_meanwhile(self, symbol):
        number = np.array([21], np.intc)
        buffers = [number.copy(), number.copy()]
        buffers[0] = self.Exporter(buffers.clear, number)
        rvalue = bytearray(WORD)
        ffi.call(ADD, symbol("add_int"), rvalue, buffers)
        assert ADD.unpack(rvalue) == 42

    def test_pack(self, victim):
        buffer, shrink = victim
        cif = ffi.CIF(t.void, t.pointer, t.pointer)
        exporter = self.Exporter(shrink, bytearray(8))
        packed = []
        worked = survives(lambda: packed.append(cif.pack(buffer, exporter)))
        assert worked or not isinstance(buffer, np.ndarray)
        for args in packed:
            if not isinstance(buffer, memoryview):
                assert pointer_in(args, 0) == ffi.addressof(buffer)

    def test_exceptions_pass(self, symbol):
        def fail():
            raise LookupError("mine")

        exporter = self.Exporter(fail, bytearray(8))
        for use in (
            lambda: ffi.call(ADD, symbol("add_int"), exporter, ADD.pack(1, 2)),
            lambda: ffi.call(ADD, symbol("add_int"), bytearray(8), exporter),
            lambda: ffi.call(ADD, symbol("add_int"), bytearray(8), [exporter, exporter]),
            lambda: ffi.CIF(t.void, t.pointer).pack(exporter),
            lambda: ffi.addressof(exporter),
            lambda: ffi.read(t.int, exporter),
        ):
            with pytest.raises(LookupError, match="mine"):
                use()
