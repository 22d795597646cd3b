"""Records: fields, what they keep, buffers, equality, copies and pickles."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import weakref

import numpy as np
import pytest
from checks import refused, run_python

import ffi
from ffi._layouts import pointer_to
from ffi._records import _record

t = ffi.types
POINT = ffi.struct({"x": "double", "y": "double"}, name="point")
LINE = ffi.struct({"ends": (POINT, 2), "name": np.dtype("S8"), "width": "short"}, name="line")
SHAPE = ffi.struct({"first": POINT, "tag": "char", "line": LINE}, name="shape")
NUMBER = ffi.union({"i": "int", "d": "double", "p": POINT}, name="number")
BITS = ffi.struct(
    [("a", "uint", 3), ("c", "char"), ("s", "int", 5), (None, "int", 9), ("b", "bool", 1)],
    name="bits",
)
ONLY_BITS = ffi.struct([("x", "int", 3)], name="only bits")
POINTERS = ffi.struct(
    {"p": "double *", "any": "void *", "text": "const char *", "point": pointer_to(POINT)},
    name="pointers",
)
MANY = ffi.struct(
    {
        "b": "bool",
        "c": "char",
        "i8": "int8",
        "u64": "uint64",
        "f": "float",
        "g": "longdouble",
        "z": "complex_double",
        "a": ("short", (2, 3)),
    },
    name="many",
)
MANY_VALUES = {
    "b": True,
    "c": b"x",
    "i8": -5,
    "u64": 2**64 - 1,
    "f": 0.5,
    "g": np.longdouble(1) / 3,
    "z": 1 - 2j,
}


def make(type, init=None):
    return ffi.new(type, init)[0]


# --- fields


def test_fields():
    record = make(MANY)
    assert [getattr(record, name) for name in MANY_VALUES] == [0, b"\0", 0, 0, 0, 0, 0]
    for name, value in MANY_VALUES.items():
        setattr(record, name, value)
        assert getattr(record, name) == record[name] == value
        assert type(record[name]) is type(value)
    for name in MANY_VALUES:
        record[name] = b"y" if name == "c" else 1
    assert [record[name] for name in MANY_VALUES] == [1, b"y", 1, 1, 1, 1, 1]
    other = make(MANY, {**MANY_VALUES, "a": [[1, 2, 3], [4, 5, 6]]})
    assert [other[name] for name in MANY_VALUES] == list(MANY_VALUES.values())
    assert other.a.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_nested_fields_are_views():
    record = make(SHAPE)
    first = record.first
    first.x = 5
    record.line.width = 3
    record.line.ends[1]["y"] = 7
    assert record.first == make(POINT, (5, 0))
    assert record.line.ends["y"].tolist() == [0, 7]
    assert record["line"]["width"] == 3
    record.line.name = b"thick"
    assert record.line.name == np.array(b"thick")
    for value in (
        (1, 2),
        {"x": 1, "y": 2},
        make(POINT, (1, 2)),
        np.array((1, 2), POINT.dtype)[()],
        np.array((1, 2), POINT.dtype),
    ):
        record.first = (0, 0)
        record.first = value
        assert (first.x, first.y) == (1, 2)
    record.first = record.first
    assert (first.x, first.y) == (1, 2)


def test_array_fields():
    record = make(ffi.struct({"a": ("int", 3), "c": ("char", 4), "points": (POINT, 2)}))
    record.a = [1, 2, 3]
    view = record.a
    view[0] = 10
    record.a[1] = 20
    assert record.a.tolist() == [10, 20, 3]
    record.a = np.array([4, 5, 6], np.intc)
    assert view.tolist() == [4, 5, 6]
    record.c = b"abc"
    assert record.c.tobytes() == b"abc\0"
    record.points = [(1, 2), make(POINT, (3, 4))]
    assert record.points.tolist() == [(1, 2), (3, 4)]
    assert record.points.dtype == POINT.dtype
    for wrong, kind in (([1, 2], ValueError), ("abc", TypeError), (np.zeros(3), TypeError)):
        with refused(kind, match="member 'a'"):
            record.a = wrong
    assert view.tolist() == [4, 5, 6]


def test_unions():
    record = make(NUMBER)
    record.d = 1.5
    assert record.p.x == 1.5
    record.p = (2.5, 3.5)
    assert (record.d, record.p.y) == (2.5, 3.5)
    assert make(NUMBER, {"i": -1}).i == -1
    assert make(NUMBER, record) == record
    with refused(TypeError, match="expected a Record, NumPy record or dict for number"):
        make(NUMBER, (1,))
    with refused(TypeError, match=r"expected number, got <ffi.Record point\("):
        make(NUMBER, make(POINT))


def test_bit_fields():
    record = make(BITS)
    for name, value in {"a": 5, "c": b"x", "s": -16, "b": True}.items():
        setattr(record, name, value)
    assert (record.a, record.c, record.s, record.b) == (5, b"x", -16, True)
    record.s = 15
    assert (record.a, record.c, record.s, record.b) == (5, b"x", 15, True)
    with refused(
        OverflowError, match=r"^bits: member 's': expected int32 of 5 bits in \[-16, 15\]"
    ):
        record.s = 16
    with refused(TypeError, match=r"^bits: member 'a': expected an integer"):
        record["a"] = "1"
    assert record == make(BITS, {"a": 5, "c": ord("x"), "s": 15, "b": 1})
    outer = make(ffi.struct({"one": BITS, "many": (BITS, 2)}))
    outer.one = record
    outer.one.a = 7
    assert (outer.one.a, outer.one.s) == (7, 15)
    outer.many = [record, record]
    many = outer.many
    assert many["a"].tolist() == [5, 5]
    # A copy that could be written to would lose what is written.
    with pytest.raises(ValueError, match="read-only"):
        many["a"][0] = 1


def test_fields_named_like_something_else():
    taken = ["type", "address", "data", "keys", "__class__", "__init__", "_x", "__len", "self"]
    c_type = ffi.struct([(name, "int") for name in taken], name="taken")
    record = make(c_type)
    for i, name in enumerate(taken):
        record[name] = i
    assert [record[name] for name in taken] == list(range(len(taken)))
    assert (record.type, record.address, record._x, record.__len) == (0, 1, 6, 7)
    # Python's own names are Python's.
    assert record.__class__ is ffi.Record
    with pytest.raises(AttributeError, match="taken has no member '__class__'"):
        record.__class__ = 3
    assert isinstance(record, ffi.Record)
    assert make(POINT).type == POINT


def test_missing_fields():
    record = make(POINT)
    with pytest.raises(AttributeError, match="point has no member 'z'") as caught:
        record.z  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("z", record)
    with pytest.raises(AttributeError, match="point has no member 'z'"):
        record.z = 1
    with pytest.raises(AttributeError):
        del record.x
    with pytest.raises(AttributeError):
        record.type = POINT
    for name in ("z", "type", "__class__", ""):
        with pytest.raises(KeyError, match=f"point has no member '{name}'"):
            record[name]
        with pytest.raises(KeyError, match=f"point has no member '{name}'"):
            record[name] = 1
    for name in (0, None, b"x", ("x",)):
        with refused(TypeError, match=r"^point: expected a member's name, got"):
            record[name]
    assert {"x", "y", "type", "__class__"} <= set(dir(record))
    unnamed = make(ffi.struct({"x": "int"}))
    with pytest.raises(AttributeError, match=r"^struct \{\.\.\.\} has no member 'z'"):
        unnamed.z  # noqa: B018


@pytest.mark.parametrize(
    ("name", "value", "kind", "message"),
    [
        ("b", 2, OverflowError, r"_Bool in \[0, 1\], got 2"),
        ("c", b"ab", ValueError, "length one"),
        ("i8", 128, OverflowError, "int8 in"),
        ("u64", -1, OverflowError, "uint64 in"),
        ("f", 1e39, OverflowError, "fits float"),
        ("g", "1", TypeError, "real number"),
        ("z", None, TypeError, "a number for double _Complex, got NoneType None"),
        ("a", [[1, 2, 3], [4, 5, 10**6]], OverflowError, "item 1: item 2: expected int16"),
    ],
)
def test_wrong_values(name, value, kind, message):
    record = make(MANY, {**MANY_VALUES, "a": [[1, 2, 3], [4, 5, 6]]})
    before = copy.copy(record)
    with refused(kind, match=f"^many: member '{name}': .*{message}"):
        setattr(record, name, value)
    with refused(kind, match=f"^many: member '{name}': .*{message}"):
        record[name] = value
    assert record == before


# --- pointers


def test_pointers_keep_what_is_assigned():
    class Kept(bytearray):
        pass

    record = make(POINTERS)
    assert (record.p, record.any, record.text, record.point) == (None,) * 4
    array, kept, text = np.arange(3.0), Kept(16), b"text"
    record.p, record.any, record.text = array, kept, text
    record.point = ffi.new(POINT, (1, 2))
    refs = [weakref.ref(array), weakref.ref(kept)]
    address = array.ctypes.data
    del array, kept, text
    gc.collect()
    assert all(ref() is not None for ref in refs)
    assert record.p.address == address
    assert record.p.view(3).tolist() == [0, 1, 2]
    assert record.text.string() == b"text"
    assert record.point[0] == make(POINT, (1, 2))
    with pytest.raises(BufferError):
        refs[1]().extend(b"more")
    p, point = record.p, record.point
    record.any = record.p = record.point = None
    gc.collect()
    assert refs[1]() is None
    assert p.view(3).tolist() == [0, 1, 2]
    assert point[0].y == 2
    del p
    gc.collect()
    assert refs[0]() is None


def test_pointers_of_copies():
    class Kept(bytearray):
        pass

    outer = ffi.struct({"i": "int", "inner": POINTERS, "many": (POINTERS, 2)})
    kept = Kept(16)
    source = make(POINTERS, (None, kept, None, None))
    refs = [weakref.ref(kept)]
    target = make(outer)
    target.inner = source
    target.many = [source, target.inner]
    del kept, source
    gc.collect()
    assert refs[0]() is not None
    copied = copy.copy(target.inner)
    target.inner = (None,) * 4
    target.many = [target.inner, target.inner]
    gc.collect()
    assert refs[0]() is not None
    assert copied.any.cast("char *").view(16).tobytes() == bytes(16)
    copied.any = None
    gc.collect()
    assert refs[0]() is None


def test_pointers_in_tuples_and_dicts():
    point = ffi.new(POINT, (1, 2))
    record = make(POINTERS, {"p": None, "any": 5, "text": b"t", "point": point})
    assert (record.any.address, record.point) == (5, point)
    del point
    gc.collect()
    assert record.point[0].y == 2
    with refused(TypeError, match=r"new\(\): member 'p': expected double \*, got <ffi.Pointer int"):
        make(POINTERS, (ffi.new("int"), None, None, None))
    with refused(TypeError, match=r"pointers: member 'p': expected .*double \*, got int 5"):
        record.p = 5
    with refused(TypeError, match=r"pointers: member 'text': expected .*, got int 5"):
        record.text = 5


def test_pointers_into_the_same_record():
    c_type = ffi.struct({"x": "double", "p": "double *"})
    record = make(c_type, (5, None))
    record.p = ffi.view(record, np.uint8, c_type.size)[:8].view(np.float64)
    assert record.p[0] == 5
    pointer = ffi.new(c_type, (5, None))
    pointer[0].p = pointer.cast("double *")
    ref = weakref.ref(pointer.view())
    del pointer
    gc.collect()
    assert ref() is None


# --- buffers


def test_arrays_of_records():
    record = make(SHAPE, ((1, 2), b"t", ([(3, 4), (5, 6)], b"name", 7)))
    array = np.asarray(record)
    assert array.dtype == SHAPE.dtype
    assert array.shape == ()
    assert array["line"].tolist()[1:] == (b"name", 7)
    assert array["line"]["ends"].tolist() == [(3, 4), (5, 6)]
    assert array["first"]["y"] == 2
    array["first"]["y"] = 20
    record.first.x = 10
    assert (record.first.y, array["first"]["x"]) == (20, 10)
    assert ffi.addressof(record) == array.ctypes.data
    del record
    gc.collect()
    assert array["line"]["width"] == 7


@pytest.mark.parametrize(
    "c_type",
    [*(POINT, SHAPE, MANY, POINTERS, NUMBER, BITS, ONLY_BITS), ffi.struct({"a:b": "int"})],
    ids=str,
)
def test_buffers(c_type):
    record = make(c_type)
    for owned in (record, copy.copy(record)):
        with memoryview(owned) as view:
            assert (view.nbytes, view.readonly, view.shape) == (c_type.size, False, ())
        bytearray(owned)[:] = b"\0" * c_type.size
        array = np.asarray(owned)
        assert array.nbytes == c_type.size
        if c_type in (POINT, SHAPE, MANY, POINTERS):
            assert array.dtype == c_type.dtype
        assert np.shares_memory(array, ffi.view(owned, "B", c_type.size))
        assert ffi.read(c_type, owned) is not None
    before = sys.getrefcount(None)
    for _ in range(1000):
        memoryview(record).release()
    assert abs(sys.getrefcount(None) - before) < 100


def test_low_level_takes_records(symbol):
    record = make(POINT, (1, 2))
    assert ffi.read("double", record, 8) == 2
    ffi.write("double", record, 5, 8)
    assert record.y == 5
    assert ffi.read(POINT, record)["y"] == 5
    storage = bytearray(16)
    ffi.write(POINT, storage, record)
    assert bytes(storage) == bytes(record)
    assert ffi.view(record, "double", 2).tolist() == [1, 5]
    with refused(ValueError, match="expected at most 16 bytes"):
        ffi.view(record, "double", 3)
    pointing = ffi.struct({"items": "int *", "count": "size_t"})
    items = np.array([1, 2, 3], np.intc)
    cif, result = ffi.CIF("int", pointing), bytearray(ffi.sizeof.ffi_arg)
    ffi.call(cif, symbol("sum_pointing"), result, cif.pack(make(pointing, (items, 3))))
    assert cif.unpack(result) == 6
    wide = ffi.struct({"items": ("int64", 5)})
    cif, made = ffi.CIF(wide, "int64"), make(wide)
    ffi.call(cif, symbol("make_wide"), made, cif.pack(7))
    assert made.items.tolist() == [7, 8, 9, 10, 11]


# --- equality, repr, copies, pickles


def test_equality():
    record = make(POINT, (1, 2))
    assert record == make(ffi.struct({"x": "f8", "y": "f8"}, "other"), (1, 2))
    assert record != make(POINT, (1, 3))
    assert record != make(ffi.struct({"x": "f8", "y": "f4"}), (1, 2))
    for other in (None, (1, 2), {"x": 1, "y": 2}, 1):
        assert record != other
    # NumPy compares it as an array.
    assert record == np.array((1, 2), POINT.dtype)[()]
    assert make(POINT, (0.0, 1)) == make(POINT, (-0.0, 1))
    nan = make(POINT, (np.nan, 1))
    assert nan != copy.copy(nan)
    for c_type in (SHAPE, MANY, POINTERS, NUMBER, BITS):
        assert make(c_type) == make(c_type)
    with pytest.raises(TypeError, match="unhashable"):
        hash(record)


def test_equality_ignores_what_lies_between():
    padded = ffi.struct({"c": "char", "g": "longdouble"})
    one, other = make(padded, (b"a", 0.1)), make(padded, (b"a", 0.1))
    np.asarray(memoryview(ffi.view(one, "B", padded.size)))[1] = 77
    assert one == other
    bits = make(BITS)
    ffi.view(bits, "B", BITS.size)[-1] |= 0x80 if sys.byteorder == "little" else 1
    assert bits == make(BITS)
    array = ffi.struct({"a": (padded, 2)})
    assert make(array, ([one, other],)) == make(array, ([other, one],))


def test_repr():
    assert repr(make(POINT, (1, 2.5))) == "<ffi.Record point(x=1.0, y=2.5)>"
    assert repr(make(ffi.struct({"x": "int"}))) == "<ffi.Record struct {...}(x=0)>"
    assert repr(make(ffi.union({"x": "int"}))) == "<ffi.Record union {...}(x=0)>"
    assert repr(make(POINTERS)) == "<ffi.Record pointers(p=None, any=None, text=None, point=None)>"
    assert repr(make(BITS)) == r"<ffi.Record bits(a=0, c=b'\x00', s=0, b=False)>"
    deep = POINT
    for _ in range(60):
        deep = ffi.struct({"a": deep, "b": deep}) if deep.size < 2000 else ffi.struct({"a": deep})
    assert len(repr(make(deep))) < 1000


@pytest.mark.parametrize("c_type", [POINT, SHAPE, MANY, NUMBER, BITS], ids=str)
def test_copies_and_pickles(c_type):
    pointer = ffi.new(c_type)
    # Not every long double compares equal to itself.
    ffi.view(pointer, "B", c_type.size)[:] = np.arange(c_type.size) % 2 if c_type != MANY else 0
    record = pointer[0]
    copies = [pickle.loads(pickle.dumps(record, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)]
    for copied in (copy.copy(record), copy.deepcopy(record), *copies):
        assert copied == record
        assert bytes(copied) == bytes(record)
        assert copied.type == c_type
        assert ffi.addressof(copied) != ffi.addressof(record)
    copied = copy.copy(record)
    ffi.view(pointer, "B", c_type.size)[:] = 1 if c_type == MANY else 0
    assert copied != record
    constant = pointer.cast(pointer_to(c_type, const=True))[0]
    name = c_type.fields[0][0]
    copied = copy.copy(constant)
    copied[name] = copied[name]


def test_no_pickles_with_pointers():
    for c_type in (POINTERS, ffi.struct({"a": (ffi.union({"p": POINTERS}), 2)})):
        with refused(TypeError, match="has pointers, which mean nothing elsewhere"):
            pickle.dumps(make(c_type))


@pytest.mark.parametrize(
    ("c_type", "data", "order"),
    [
        (POINT, b"", sys.byteorder),
        (POINT, bytes(15), sys.byteorder),
        (POINT, bytes(16), "middle"),
        (POINTERS, bytes(POINTERS.size), sys.byteorder),
        (t.int, bytes(4), sys.byteorder),
        (t.void, b"", sys.byteorder),
    ],
)
def test_forged_pickles(c_type, data, order):
    with refused(ValueError, match="no record|pickled on"):
        _record(c_type, data, order)


def test_pickle_into_another_process(tmp_path):
    path = tmp_path / "records"
    path.write_bytes(pickle.dumps([make(POINT, (1, 2)), make(BITS, (1, 65, 2, 1))]))
    code = """if True:
        import pickle, sys
        with open(sys.argv[1], "rb") as file:
            print(pickle.load(file))
    """
    assert run_python(code, path) == (
        "[<ffi.Record point(x=1.0, y=2.0)>, <ffi.Record bits(a=1, c=b'A', s=2, b=True)>]\n"
    )


# --- life


def test_records_hold_their_memory():
    record = make(SHAPE)
    inner = record.line
    ends = inner.ends
    del record
    gc.collect()
    junk = [np.full(100, 7.0) for _ in range(100)]
    assert ends.tolist() == [(0, 0), (0, 0)]
    assert inner.width == 0
    assert len(junk) == 100


def test_meddling_values():
    class Meddler:
        def __init__(self, value):
            self.value = value

        def __index__(self):
            record.i = 77
            try:
                pointer.release()
            except BufferError:
                refusals.append(True)
            return self.value

    pointer, refusals = ffi.new(ffi.struct([("i", "int"), ("j", "int"), ("k", "int", 3)])), []
    record = pointer[0]
    record.j = Meddler(5)
    record.k = Meddler(2)
    record["i"] = Meddler(6)
    assert (record.i, record.j, record.k) == (6, 5, 2)
    assert refusals == [True] * 3


def test_not_to_be_made_or_derived():
    with refused(TypeError, match=r"Record\(\): use ffi.new"):
        ffi.Record()
    with pytest.raises(TypeError, match="base type"):
        type("Derived", (ffi.Record,), {})
    blank = ffi.Record.__new__(ffi.Record)
    assert repr(blank) == "<ffi.Record blank(blank=0)>"
    assert bytes(blank) == b"\0"
    assert pickle.loads(pickle.dumps(blank)) == blank
