"""Pointers: what they point at, what keeps it, what they refuse. And `new`."""

from __future__ import annotations

import copy
import gc
import itertools
import pickle
import weakref

import numpy as np
import pytest
from checks import refused, run_python

import ffi
from ffi._layouts import opaque, pointer_to
from ffi._specs import as_type

t = ffi.types
POINT = ffi.struct({"x": "double", "y": "double"}, name="point")
NODE = ffi.struct({"value": "int", "next": "void *", "name": "const char *"}, name="node")
SCALARS = {
    "bool": True,
    "char": b"x",
    "int8": -(2**7),
    "uint8": 2**8 - 1,
    "short": -5,
    "ushort": 2**16 - 1,
    "int": -70000,
    "uint": 2**32 - 1,
    "int64": -(2**63),
    "uint64": 2**64 - 1,
    "float": 0.5,
    "double": 0.1,
    "longdouble": np.longdouble(1) / 3,
    "complex_float": 0.5 - 2j,
    "complex_double": 0.1 + 3j,
    "complex_longdouble": np.clongdouble(0.1 + 3j) / 3,
}


class Meddler:
    """An integer that does something first."""

    def __init__(self, action, value=0):
        self.action, self.value = action, value

    def __index__(self):
        self.action()
        return self.value


def const(pointer):
    return pointer.cast(pointer_to(pointer.type.target, const=True))


# --- new


@pytest.mark.parametrize(("name", "value"), SCALARS.items())
def test_scalars(name, value):
    pointer = ffi.new(name)
    assert pointer.type == pointer_to(t[name])
    zero = b"\0" if name == "char" else 0
    assert pointer[0] == zero
    assert type(pointer[0]) is type(value)
    pointer[0] = value
    assert pointer[0] == value
    assert ffi.new(t[name], value)[0] == value
    assert pointer.view() == np.array(value, t[name].dtype)
    assert pointer.address % t[name].alignment == 0


@pytest.mark.parametrize(
    "type", ["int", np.intc, np.dtype("i4"), t.int, "const int", np.str_("int")], ids=str
)
def test_what_new_takes(type):
    assert ffi.new(type, 3)[0] == 3


def test_new_arrays():
    pointer = ffi.new(("double", 3), [1, 2, 3])
    assert pointer.type == pointer_to(t.double)
    assert pointer[0] == 1
    assert pointer.view(3).tolist() == [1, 2, 3]
    assert ffi.new(np.dtype((np.intc, 2)), np.array([1, 2], np.intc)).view(2).tolist() == [1, 2]
    rows = ffi.new(("int", (2, 3)), [[1, 2, 3], [4, 5, 6]])
    assert rows.type.name == "int (*)[3]"
    assert rows[0].tolist() == [1, 2, 3]
    rows[0] = [7, 8, 9]
    rows[0][1] = 80
    assert rows.view(2).tolist() == [[7, 80, 9], [4, 5, 6]]
    assert ffi.new(("char", 6), b"hello").string() == b"hello"


@pytest.mark.parametrize(
    ("type", "init", "kind", "message"),
    [
        ("void", None, TypeError, r"void has no values"),
        (opaque("FILE"), None, TypeError, r"FILE is opaque"),
        ("no_such", None, TypeError, r"'no_such' is neither a C type"),
        (int, None, TypeError, r"Python's int"),
        (None, None, TypeError, r"got None"),
        ("int", "5", TypeError, r"expected an integer for int32, got str '5'"),
        ("int", 2**31, OverflowError, r"expected int32 in"),
        ("int", 1.0, TypeError, r"expected an integer for int32, got float 1.0"),
        ("double", "x", TypeError, r"expected a real number"),
        (POINT, (1,), ValueError, r"expected 2 members of point, got 1"),
        (POINT, {"x": 1, "z": 2}, ValueError, r"point has no member 'z'"),
        (POINT, 3, TypeError, r"expected a Record, NumPy record, tuple or dict for point"),
        (("int", 2), [1, 2, 3], ValueError, r"expected 2 items"),
        (("int", 2**40), None, OverflowError, r"more than"),
        ("double *", 5, TypeError, r"expected .*double \*, got int 5"),
        ("double *", "text", TypeError, r"got str 'text'"),
    ],
)
def test_what_new_refuses(type, init, kind, message):
    with refused(kind, match=rf"^new\(\): .*{message}"):
        ffi.new(type, init)


def test_memory_lives_as_long_as_what_uses_it():
    class Kept(bytearray):
        pass

    def make():
        kept = Kept(8)
        refs.append(weakref.ref(kept))
        return ffi.new(NODE, {"value": 5, "next": kept, "name": None})

    refs = []
    uses = [
        lambda p: p,
        lambda p: p.cast("void *"),
        lambda p: p.cast("void *").cast("char *"),
        lambda p: p[0],
        lambda p: p.view(),
        lambda p: np.asarray(p[0]),
        lambda p: memoryview(p[0]),
        lambda p: p[0].next,
        lambda p: p[0].next.cast("int *").view(2),
        lambda p: ffi.view(p, "int"),
        lambda p: ffi.view(p, "int", owner="else"),
        lambda p: copy.copy(p[0]),
        lambda p: ffi.new(NODE, p[0]),
        lambda p: ffi.new("void *", p),
        lambda p: ffi.new("void *", p[0]),
        lambda p: ffi.new(ffi.struct({"a": (NODE, 2)}), ([p[0], p[0]],)),
        lambda p: ffi.CIF("void", "void *").pack(p),
    ]
    for use in uses:
        used = use(make())
        gc.collect()
        assert refs[-1]() is not None
        del used
        gc.collect()
        assert refs[-1]() is None


# --- the value


def test_items_of_structs_are_views():
    pointer = ffi.new(POINT, (1, 2))
    record = pointer[0]
    record.x = 5
    assert pointer[0].x == 5
    pointer[0] = (7, 8)
    assert record == ffi.new(POINT, (7, 8))[0]
    pointer[0] = pointer[0]
    assert (record.x, record.y) == (7, 8)


def test_pointers_to_pointers():
    number = ffi.new("int", 5)
    pointer = ffi.new("int *")
    assert pointer.type.name == "int **"
    assert pointer[0] is None
    pointer[0] = number
    assert pointer[0] == number
    assert pointer[0][0] == 5
    del number
    gc.collect()
    pointer[0][0] += 1
    assert pointer[0][0] == 6
    array = np.array([9], np.intc)
    pointer[0] = array
    assert pointer[0].address == array.ctypes.data
    ref = weakref.ref(array)
    del array
    assert ref() is not None
    pointer[0] = None
    assert ref() is None
    assert pointer[0] is None


def test_c_may_change_a_pointer():
    array = np.array([9], np.intc)
    pointer = ffi.new("int *", array)
    place = pointer.cast("uintptr_t *")
    place[0] += 4
    assert pointer[0].address == array.ctypes.data + 4
    place[0] = 0
    assert pointer[0] is None


def test_cycles_of_pointers_are_collected():
    class Kept(bytearray):
        pass

    one, other, kept = ffi.new(NODE), ffi.new(NODE), Kept(8)
    one[0].next, other[0].next, one[0].name = other, one, kept
    assert one[0].next.cast(other.type)[0].next == one
    itself = ffi.new(NODE)
    itself[0].next = itself
    assert itself[0].next == itself
    itself.release()
    ref = weakref.ref(kept)
    del one, other, kept
    gc.collect()
    assert ref() is None


@pytest.mark.parametrize(
    ("index", "kind"),
    [
        (1, IndexError),
        (-1, IndexError),
        (2**70, IndexError),
        (0.0, TypeError),
        ("0", TypeError),
        (None, TypeError),
        (slice(0, 1), TypeError),
        (np.array(0), TypeError),
    ],
)
def test_indices(index, kind):
    pointer = ffi.new(("int", 3), [5, 6, 7])
    for use in (lambda: pointer[index], lambda: pointer.__setitem__(index, 1)):
        with pytest.raises(kind, match=r"the index 0( only)?, got .*|the index 0, got"):
            use()
    assert pointer.view(3).tolist() == [5, 6, 7]


def test_good_indices():
    pointer = ffi.new("int", 5)
    for index in (0, False, np.int8(0), Meddler(gc.collect)):
        assert pointer[index] == 5


def test_not_iterable():
    with refused(TypeError, match="a Pointer has no length"):
        list(ffi.new("int"))
    with pytest.raises(TypeError, match="len"):
        len(ffi.new("int"))


def test_failed_stores_change_nothing():
    pointer = ffi.new(POINT, (1, 2))
    with refused(TypeError, match=r"^point \*: member 'y': expected a real number.*got str 'x'"):
        pointer[0] = (5, "x")
    assert (pointer[0].x, pointer[0].y) == (1, 2)
    pointer = ffi.new("int *", np.zeros(1, np.intc))
    before = pointer[0]
    with refused(TypeError, match=r"^int \*\*: expected int \*, got <ffi.Pointer double \*"):
        pointer[0] = ffi.new("double")
    assert pointer[0] == before


@pytest.mark.parametrize("target", [t.void, opaque("FILE")], ids=str)
def test_no_values_of_void_and_opaque_types(target):
    pointer = ffi.new("int", 5).cast(pointer_to(target))
    for use in (lambda: pointer[0], lambda: pointer.__setitem__(0, 1), pointer.view):
        with refused(TypeError, match=r"points at anything; use p\.cast|is opaque"):
            use()
    assert pointer.cast("int *")[0] == 5


# --- const


def test_const():
    pointer = const(ffi.new(POINT, (1, 2)))
    assert pointer.type.name == "const point *"
    with refused(TypeError, match=r"^const point \*: what it points at is const"):
        pointer[0] = (3, 4)
    record = pointer[0]
    for use in (
        lambda: setattr(record, "x", 5),
        lambda: record.__setitem__("x", 5),
        lambda: np.asarray(record).__setitem__("x", 5),
        lambda: pointer.view().__setitem__("x", 5),
        lambda: ffi.view(pointer, POINT).__setitem__("x", 5),
        lambda: ffi.write("double", record, 5),
    ):
        with pytest.raises((TypeError, ValueError), match=r"const|read-only"):
            use()
    assert record == ffi.new(POINT, (1, 2))[0]
    # Only what a cast says may be written.
    pointer.cast("double *")[0] = 5
    assert record.x == 5


def test_const_in_depth():
    inner = ffi.struct({"p": POINT, "a": ("int", 2), "q": "double *"})
    pointer = const(ffi.new(inner))
    with refused(TypeError, match="const"):
        pointer[0].p.x = 1
    with pytest.raises(ValueError, match="read-only"):
        pointer[0].a[0] = 1
    # A const struct's pointer is const, what it points at is not.
    target = ffi.new("double", 1)
    pointer = ffi.new(inner)
    pointer[0].q = target
    const(pointer)[0].q[0] = 5
    assert target[0] == 5


@pytest.mark.parametrize(
    ("wanted", "given", "accepted"),
    [
        ("int *", "int *", True),
        ("int *", "int32_t *", True),
        ("const int *", "int *", True),
        ("const int *", "const int *", True),
        ("int *", "const int *", False),
        ("void *", "int *", True),
        ("int *", "void *", True),
        ("const void *", "const int *", True),
        ("void *", "const int *", False),
        ("int *", "const void *", False),
        ("int *", "unsigned *", False),
        ("int *", "double *", False),
        ("char *", "unsigned char *", True),
        ("signed char *", "char *", True),
        ("_Bool *", "char *", False),
        ("int **", "int **", True),
        ("const int **", "int **", False),
        ("void **", "int **", False),
        ("void *", "int **", True),
        ("FILE *", "FILE *", True),
        ("FILE *", "struct foo *", False),
        ("FILE *", "int *", False),
        ("void *", "FILE *", True),
        ("point *", "point *", True),
        ("point *", "double *", False),
    ],
)
def test_what_goes_where(wanted, given, accepted):
    known = {
        "FILE *": pointer_to(opaque("FILE")),
        "struct foo *": pointer_to(opaque("struct foo")),
        "point *": pointer_to(POINT),
    }
    wanted, given = (known.get(name) or as_type(name) for name in (wanted, given))
    value = ffi.new(("double", 4)).cast(given)
    holder = ffi.new(ffi.struct({"p": wanted, "i": "int"}))
    uses = [
        lambda: setattr(holder[0], "p", value),
        lambda: holder.__setitem__(0, (value, 3)),
        lambda: holder.__setitem__(0, {"p": value, "i": 3}),
        lambda: ffi.new(wanted, value),
        lambda: ffi.new((wanted, 2), [None, value]),
    ]
    for use in uses:
        if accepted:
            use()
            continue
        with refused(TypeError, match=r"expected .*\*, got <ffi.Pointer .*(cast|const|0x)"):
            use()
    assert holder[0].p == (value if accepted else None)


def test_records_where_pointers_are_wanted():
    record = ffi.new(POINT, (1, 2))[0]
    holder = ffi.new(pointer_to(POINT), record)
    assert holder[0].address == ffi.addressof(record)
    assert holder[0][0] == record
    owned = copy.copy(record)
    holder[0] = owned
    del owned
    gc.collect()
    assert (holder[0][0].x, holder[0][0].y) == (1, 2)
    with refused(TypeError, match="expected int .*got <ffi.Record point"):
        ffi.new("int *", record)
    with refused(TypeError, match="which is const"):
        ffi.new(pointer_to(POINT), const(ffi.new(POINT))[0])


# --- views, strings, casts


def test_views():
    pointer = ffi.new(("int", 6), list(range(6)))
    view = pointer.view(6)
    view[2] = 20
    assert pointer.view((2, 3)).tolist() == [[0, 1, 20], [3, 4, 5]]
    assert pointer.view().shape == ()
    assert pointer.view(0).shape == (0,)
    assert ffi.view(pointer, "int", 6).tolist() == view.tolist()
    for shape in (7, (2, 4), 2**40):
        with refused(ValueError, match=r"view\(\): .*expected at most 24 bytes, .*got"):
            pointer.view(shape)
        with refused(ValueError, match=r"view\(\): .*expected at most 24 bytes, .*got"):
            ffi.view(pointer, "int", shape)
    for shape, kind in (((-1,), ValueError), ("3", TypeError), (1.0, TypeError)):
        with refused(kind, match="argument 'shape'"):
            pointer.view(shape)


def test_bounds_of_new_memory():
    pointer = ffi.new("short", 5)
    with refused(ValueError, match=r"^int \*: expected at most 2 bytes"):
        pointer.cast("int *")[0]
    with refused(ValueError, match=r"^int \*: expected at most 2 bytes"):
        pointer.cast("int *")[0] = 5
    assert pointer[0] == 5
    text = ffi.new(("char", 3), b"abc")
    assert text.string() == ffi.string(text) == b"abc"
    assert text.string(2) == ffi.string(text, 2) == b"ab"
    assert text.string(50) == b"abc"
    holder = ffi.new("short *", pointer)
    with refused(ValueError, match="expected at most 2 bytes"):
        holder[0].view(2)


def test_memory_of_others_is_trusted():
    array = np.arange(5, dtype=np.intc)
    pointer = ffi.new("void *", int(array.ctypes.data))[0].cast("int *")
    assert pointer[0] == 0
    assert pointer.view(5).tolist() == [0, 1, 2, 3, 4]
    text = ffi.new("const char *", bytearray(b"hello\0world\0"))[0]
    assert text.string() == b"hello"
    assert text.string(3) == b"hel"


@pytest.mark.parametrize(
    "name", ["char *", "const char *", "unsigned char *", "int8_t *", "void *"]
)
def test_strings(name):
    assert ffi.new(("char", 6), b"hello").cast(name).string() == b"hello"


def test_no_strings():
    for name in ("int *", "double *", "char **", "_Bool *"):
        with refused(TypeError, match=r"^Pointer.string\(\): expected a pointer to characters"):
            ffi.new(("char", 8)).cast(name).string()
    with refused(ValueError, match="'maxlen'"):
        ffi.new("char").string(-2)
    with refused(TypeError, match="'maxlen'"):
        ffi.new("char").string("1")


def test_casts():
    pointer = ffi.new("float", 1)
    assert pointer.cast("uint32_t *")[0] == 0x3F800000
    assert pointer.cast("const void *") == pointer
    for wrong in ("int", POINT, "float64", int, None, "nope *"):
        with refused(TypeError, match=r"^Pointer.cast\(\): "):
            pointer.cast(wrong)
    with refused(TypeError, match=r"got point; p\.cast\('point \*'\)\[0\] reads one"):
        pointer.cast(POINT)


# --- where an address is taken


def test_addresses(symbol):
    pointer = ffi.new(("double", 3), [1, 2, 3])
    assert ffi.addressof(pointer) == pointer.address
    storage = bytearray(ffi.sizeof.pointer)
    ffi.write_pointer(storage, pointer)
    assert ffi.read_pointer(storage) == pointer.address
    assert ffi.view(pointer, "double", 3).tolist() == [1, 2, 3]
    cif, result = ffi.CIF("double", "size_t", "pointer", "pointer"), np.zeros(1)
    ffi.call(cif, symbol("dot"), result, cif.pack(3, pointer, pointer))
    assert result[0] == 14
    for use in (
        lambda: ffi.read("double", pointer),
        lambda: ffi.write("double", pointer, 1),
        lambda: ffi.call(cif, pointer, result, cif.pack(3, pointer, pointer)),
        lambda: ffi.call(cif, symbol("dot"), pointer, cif.pack(3, pointer, pointer)),
        lambda: memoryview(pointer),
    ):
        with pytest.raises(TypeError):
            use()


def test_linked_list_in_c(symbol):
    nodes = [ffi.new(NODE, {"value": 10**i, "next": None, "name": None}) for i in range(4)]
    for node, following in itertools.pairwise(nodes):
        node[0].next = following
    first = nodes[0]
    del node, nodes, following
    gc.collect()
    cif, result = ffi.CIF("long", "const void *"), np.zeros(1, np.int_)
    ffi.call(cif, symbol("sum_nodes"), result, cif.pack(first))
    assert result[0] == 1111


# --- identity


def test_equality():
    one, other = ffi.new("int", 5), ffi.new("int", 5)
    assert one == one.cast("double *")
    assert hash(one) == hash(one.cast("void *"))
    assert one != other
    assert one != one.address
    assert one.address != one
    assert one != None  # noqa: E711
    assert {one: 1}[one.cast("char *")] == 1
    assert one in [other, one]
    with pytest.raises(TypeError, match="not supported"):
        one < other  # noqa: B015


def test_always_true():
    assert ffi.new("int")
    released = ffi.new("int")
    released.release()
    assert released


def test_repr():
    pointer = ffi.new("int").cast("const int *")
    assert repr(pointer) == f"<ffi.Pointer const int * at {pointer.address:#x}>"
    pointer = ffi.new("int")
    pointer.release()
    assert repr(pointer) == "<ffi.Pointer int * (released)>"


def test_no_copies():
    pointer = ffi.new("int")
    for use in (pickle.dumps, copy.copy, copy.deepcopy):
        with refused(TypeError, match="cannot be pickled or copied"):
            use(pointer)


def test_immutable():
    pointer = ffi.new("int")
    for name in ("type", "address", "value", "new"):
        with pytest.raises(AttributeError):
            setattr(pointer, name, 1)


def test_not_to_be_made_or_derived():
    with refused(TypeError, match=r"Pointer\(\): use ffi.new"):
        ffi.Pointer()
    with pytest.raises(TypeError, match="base type"):
        type("Derived", (ffi.Pointer,), {})


# --- release


def test_release():
    pointer = ffi.new("int", 5)
    before = hash(pointer)
    assert pointer.release() is None
    pointer.release()
    uses = [
        lambda: pointer[0],
        lambda: pointer.__setitem__(0, 1),
        lambda: pointer.address,
        pointer.view,
        lambda: pointer.cast("void *"),
        pointer.__enter__,
        lambda: ffi.gc(pointer, 1),
        lambda: ffi.addressof(pointer),
        lambda: ffi.view(pointer, "int"),
        lambda: ffi.string(pointer),
        lambda: ffi.write_pointer(bytearray(8), pointer),
        lambda: ffi.CIF("void", "pointer").pack(pointer),
        lambda: ffi.new("int *", pointer),
        lambda: setattr(ffi.new(NODE)[0], "next", pointer),
    ]
    for use in uses:
        with refused(ValueError, match=r"<ffi.Pointer int \* \(released\)> was released"):
            use()
    assert hash(pointer) == before
    assert pointer in [pointer]
    repr(pointer)


@pytest.mark.parametrize(
    "use",
    [
        lambda p: p.cast("void *"),
        lambda p: p[0],
        lambda p: p.view(),
        lambda p: memoryview(p[0]),
        lambda p: ffi.view(p, "int"),
        lambda p: ffi.new("void *", p),
        lambda p: ffi.CIF("void", "void *").pack(p),
    ],
)
def test_no_release_while_used(use):
    pointer = ffi.new(POINT, (1, 2))
    used = use(pointer)
    with refused(BufferError, match=r"^Pointer.release\(\): arrays, records or pointers still use"):
        pointer.release()
    assert pointer[0].y == 2
    del used
    pointer.release()


def test_with():
    with ffi.new("int", 5) as pointer:
        assert pointer[0] == 5
    with refused(ValueError, match="was released"):
        pointer[0]
    with pytest.raises(KeyError), ffi.new("int") as pointer:
        raise KeyError
    assert "released" in repr(pointer)


def test_nothing_to_release():
    pointer = ffi.new("const char *", b"text")[0]
    for use in (pointer.release, pointer.__enter__):
        with refused(TypeError, match="only pointers that ffi.new and ffi.gc make"):
            use()


PAIR = ffi.struct({"p": "int *", "i": "int"}, name="pair")


@pytest.mark.parametrize(
    ("use", "is_held"),
    [
        (lambda p, evil: p[evil], False),
        (lambda p, evil: p.__setitem__(0, evil), False),
        (lambda p, evil: p.__setitem__(evil, 1), False),
        (lambda p, evil: p.view(evil), False),
        (lambda p, evil: p.view((evil, 0)), False),
        (lambda p, evil: p.string(evil), False),
        (lambda p, evil: ffi.view(p, "char", evil), False),
        (lambda p, evil: ffi.string(p, evil), False),
        (lambda p, evil: ffi.CIF("void", "pointer", "int").pack(p, evil), True),
        (lambda p, evil: ffi.new(PAIR, (p.cast("int *"), evil)), True),
        (lambda p, evil: ffi.new((PAIR, 2), [(p, 1), (None, evil)]), True),
        (lambda p, evil: ffi.new(PAIR).__setitem__(0, {"p": p, "i": evil}), True),
    ],
)
def test_released_during_conversion(use, is_held):
    pointer = ffi.new(("char", 8)).cast("void *").cast("int *" if is_held else "char *")
    refusals = []

    def release():
        try:
            pointer.release()
        except BufferError as exc:
            refusals.append(exc)

    meddler = Meddler(release)
    if is_held:
        use(pointer, meddler)
        assert len(refusals) == 1
        assert pointer[0] == 0
    else:
        with refused(ValueError, match="was released"):
            use(pointer, meddler)
        assert refusals == []


def test_replaced_objects_may_meddle():
    holder = ffi.new("void *")

    class Last(bytearray):
        def __del__(self):
            log.append(holder[0])
            holder[0] = None

    log = []
    holder[0] = Last(8)
    holder[0] = other = bytearray(8)
    gc.collect()
    assert len(log) == 1
    assert log[0].address == ffi.addressof(other)
    assert holder[0] is None


def test_blank_pointers():
    code = """if True:
        import ffi
        base = ffi.Pointer.__base__
        for blank in (ffi.Pointer.__new__(ffi.Pointer), base(), base.__new__(base)):
            for use in (
                repr, hash, bool, lambda p: p == p, lambda p: p[0], lambda p: p.view(),
                lambda p: p.string(), lambda p: p.cast("int *"), lambda p: p.release(),
                lambda p: p.__enter__(), lambda p: p.address, lambda p: p.type, ffi.addressof,
                lambda p: ffi.new("void *", p), lambda p: ffi.new("int", p), dir, memoryview,
                lambda p: ffi.gc(p, 1), lambda p: ffi.view(p, "int"), ffi.string,
                lambda p: ffi.CIF("void", "pointer").pack(p),
                lambda p: ffi.new(ffi.struct({"x": "int"}), p),
            ):
                try:
                    use(blank)
                except (ffi.Error, TypeError, AttributeError) as exc:
                    assert not isinstance(exc, SystemError)
        print("done")
    """
    assert run_python(code) == "done\n"
