"""Type, struct, union: what is taken as a type, identity, limits and refusals."""

from __future__ import annotations

import copy
import copyreg
import ctypes
import itertools
import pickle
import sys
from collections import OrderedDict
from types import MappingProxyType

import numpy as np
import pytest
from checks import refused, run_python

import ffi

t = ffi.types
OTHER_ORDER = np.dtype(np.int32).newbyteorder("S")
POINT = ffi.struct([("x", "double"), ("y", "double")], name="point")
NUMBER = ffi.union([("i", "int"), ("d", "double")], name="number")
BITS = ffi.struct(
    [("a", "uint", 3), (None, "ushort", 0), ("c", "char"), (None, "int", 5), ("b", "bool", 1)],
    name="bits",
)
ALL = [
    *t.values(),
    POINT,
    NUMBER,
    ffi.struct({"p": POINT, "a": np.dtype((POINT.dtype, (2, 3))), "s": np.dtype("S16")}),
    ffi.struct({"n": NUMBER, "c": "char", "b": "bool", "q": "pointer", "l": "longdouble"}),
    BITS,
    ffi.struct({"b": (BITS, (2, 3)), "u": ffi.union([("x", "longlong", 40), (None, "int", 0)])}),
    ffi.struct({"a": (BITS, 5)}).fields[0][1],
    ffi.struct([("x", "int"), (None, "int", 0)]),
    ffi.struct({"a": np.dtype((np.int8, (33,)))}).fields[0][1],
]


# --- dtypes and types


@pytest.mark.parametrize(
    ("name", "scalars"),
    [
        ("bool", [np.bool_, "?", "b1"]),
        ("char", ["S1", "c"]),
        ("schar", [np.byte, np.int8, "i1"]),
        ("uchar", [np.ubyte, np.uint8, "u1", "B"]),
        ("short", [np.short, "h"]),
        ("ushort", [np.ushort, "H"]),
        ("int", [np.intc, "i"]),
        ("uint", [np.uintc, "I"]),
        ("long", ["l"]),
        ("ulong", ["L"]),
        ("longlong", [np.longlong, "q"]),
        ("ulonglong", [np.ulonglong, "Q"]),
        ("intptr_t", [np.intp, "p"]),
        ("uintptr_t", [np.uintp, "P"]),
        ("float", [np.single, np.float32, "f", "f4"]),
        ("double", [np.double, np.float64, "d", "f8"]),
        ("longdouble", [np.longdouble, "g"]),
        ("complex_float", [np.csingle, "F", "c8"]),
        ("complex_double", [np.cdouble, "D", "c16"]),
        ("complex_longdouble", [np.clongdouble, "G"]),
    ],
)
def test_scalar_dtypes(name, scalars):
    for scalar in scalars:
        for spec in (scalar, np.dtype(scalar), np.dtype(scalar, metadata={"unit": "m"})):
            ((_, c_type, _),) = ffi.struct([("m", spec)]).fields
            assert c_type == t[name], spec
            assert c_type.dtype == np.dtype(scalar)


@pytest.mark.parametrize(
    "spec",
    [
        np.dtype([("x", "f8"), ("y", "f8")]),
        np.dtype([("x", "f8"), ("y", "f8")], align=True),
        np.dtype({"names": ["y", "x"], "formats": ["f8", "f8"], "offsets": [8, 0]}),
        np.dtype([(("the title", "x"), "f8"), ("y", "f8")]),
        np.dtype((np.record, [("x", "f8"), ("y", "f8")])),
        [("x", "f8"), ["y", np.float64]],
        (("x", t.double), ("y", "double")),
        {"x": "double", "y": "double"},
        OrderedDict(x="double", y="double"),
        MappingProxyType({"x": "double", "y": "double"}),
    ],
)
def test_struct_specs(spec):
    c_type = ffi.struct(spec, name="point")
    assert c_type == POINT
    assert c_type.fields == (("x", t.double, 0), ("y", t.double, ffi.sizeof.double))
    assert c_type.name == "point"


def test_names():
    assert ffi.struct({"x": "int", "a": np.dtype((np.int8, (2, 3)))}).name == (
        "struct { int x; int8 a[2][3]; }"
    )
    nested = ffi.struct({"u": ffi.union({"i": "int"}), "p": POINT})
    assert nested.name == "struct { union {...} u; point p; }"
    bits = [("a", "uint", 3), (None, "longlong", 0), ("b", BITS)]
    assert ffi.struct(bits).name == "struct { uint a:3; longlong :0; bits b; }"
    assert repr(POINT) == f"<ffi.Type point: {POINT.size} bytes, alignment {POINT.alignment}>"


def test_names_of_another_class():
    c_type = ffi.struct([(np.str_("x"), np.str_("int"))], np.str_("point"))
    assert (c_type.name, c_type.fields) == ("point", (("x", t.int, 0),))
    assert type(c_type.name) is str


def test_names_of_nested_types_stay_short():
    c_type = POINT
    for _ in range(60):
        c_type = ffi.struct({"a": c_type, "b": "int"})
    assert len(c_type.name) < 100


# --- identity


def test_equality_is_abi_identity():
    groups = {}
    for name, c_type in t.items():
        if c_type.dtype is None:
            key = "void"
        elif name in ("bool", "char", "pointer"):
            key = name
        else:
            key = (c_type.dtype.kind, c_type.size)
        groups.setdefault(key, []).append(c_type)
    for (left, lefts), (right, rights) in itertools.product(groups.items(), repeat=2):
        for a, b in itertools.product(lefts, rights):
            assert (a == b) is (left == right), (a, b)
            assert (a != b) is (left != right), (a, b)
            if left == right:
                assert hash(a) == hash(b)


def test_equality_of_aggregates():
    assert ffi.struct({"a": "double", "b": "double"}, name="other") == POINT
    assert hash(ffi.struct({"a": "double", "b": "double"})) == hash(POINT)
    others = [
        t.double,
        ffi.union({"x": "double", "y": "double"}),
        ffi.struct({"x": "double"}),
        ffi.struct({"x": "double", "y": "int64"}),
        ffi.struct({"xy": np.dtype((np.float64, (2,)))}),
        ffi.struct({"x": ffi.struct({"x": "double"}), "y": "double"}),
    ]
    for a, b in itertools.combinations([POINT, *others], 2):
        assert a != b
    assert ffi.struct({"c": "char"}) != ffi.struct({"c": "int8"})
    assert ffi.struct({"c": np.dtype("S3")}) == ffi.struct({"c": np.dtype(("S1", 3))})
    assert ffi.struct({"c": np.dtype("S3")}) != ffi.struct({"c": np.dtype(("u1", 3))})


def test_equality_of_bit_fields():
    assert ffi.struct([("x", "uint", 3), ("y", "uint32", 4)]) == ffi.struct(
        [("a", "uint32", 3), ("b", "uint", 4)]
    )
    different = [
        ffi.struct([("x", "uint", 3), ("y", "uint", 4)]),
        ffi.struct([("x", "uint", 4), ("y", "uint", 3)]),
        ffi.struct([("x", "uint", 3), (None, "uint", 4)]),
        ffi.struct([("x", "uint", 3), (None, "uint", 1), ("y", "uint", 4)]),
        ffi.struct([("x", "uint", 3), ("y", "int", 4)]),
        ffi.struct([("x", "uint")]),
        ffi.struct([("x", "uint", 32)]),
        ffi.struct([("x", "uint"), (None, "uint", 0)]),
        ffi.struct([("x", "uint"), (None, "uchar", 0)]),
        ffi.union([("x", "uint", 3), ("y", "uint", 4)]),
        ffi.struct([("x", ffi.struct([("x", "uint", 3)]))]),
        ffi.struct([("x", ffi.struct([("x", "uint", 4)]))]),
    ]
    # Where nothing follows it, what an unnamed bit-field of no bits is of makes no difference.
    same = {(7, 8), (8, 7)}
    for (i, a), (j, b) in itertools.product(enumerate(different), repeat=2):
        assert (a == b) is (i == j or (i, j) in same), (a, b)
        assert (hash(a) == hash(b)) or a != b


# --- bit-fields and arrays


def test_bits():
    assert BITS.bits == ((0, 3), None, (5, 1)) or sys.byteorder == "big"
    assert [name for name, _, _ in BITS.fields] == ["a", "c", "b"]
    assert all(c_type.bits is None for c_type in (t.int, t.void, POINT, NUMBER, ALL[-1]))
    # Its own members only.
    assert ffi.struct({"b": BITS}).bits is None
    assert ffi.struct([("x", "int"), (None, "int", 0)]).bits == (None,)
    for width in (3, np.int8(3), np.uint64(3)):
        assert ffi.struct([("x", "int", width)]).bits[0][1] == 3


def test_dtype_of_bit_fields():
    assert BITS.dtype.names == ("c",)
    only = ffi.struct([("x", "int", 3), ("y", "longlong", 8)])
    for c_type in (BITS, only, ffi.union([("x", "short", 3)]), ffi.struct({"a": (only, 3)})):
        dtype = c_type.dtype
        assert (dtype.itemsize, dtype.alignment) == (c_type.size, c_type.alignment)
        assert dtype.isalignedstruct
        loaded = pickle.loads(pickle.dumps(dtype))
        assert (loaded, loaded.itemsize, loaded.alignment) == (dtype, c_type.size, c_type.alignment)
    assert only.dtype.names == ()
    with refused(ValueError, match="at least one member"):
        ffi.struct(only.dtype)
    # NumPy aligns it as C does.
    outer = np.dtype([("c", "i1"), ("b", only.dtype)], align=True)
    assert outer.fields["b"][1] == only.alignment


@pytest.mark.parametrize(
    ("pair", "dtype"),
    [
        (("int", 3), (np.intc, 3)),
        ((np.float64, (3,)), (np.float64, 3)),
        ((t.short, [2, 3]), (np.short, (2, 3))),
        (((t.short, 3), 2), (np.short, (2, 3))),
        ((np.dtype((np.short, (3, 4))), np.int8(2)), (np.short, (2, 3, 4))),
        (((("short", 5), (3, 4)), 2), (np.short, (2, 3, 4, 5))),
        (("char", 3), ("S1", 3)),
        ((POINT, 1), (POINT.dtype, (1,))),
        ((POINT.dtype, (2, 2)), (POINT.dtype, (2, 2))),
        (("int", ()), (np.intc, ())),
    ],
    ids=str,
)
def test_arrays_of_types(pair, dtype):
    dtype = np.dtype(dtype)
    c_type = ffi.struct([("m", pair)])
    assert c_type == ffi.struct({"m": pair}) == ffi.struct([("m", dtype)])
    assert c_type.dtype == np.dtype([("m", dtype)], align=True)
    assert ffi.sizeof(pair) == dtype.itemsize
    assert ffi.alignof(pair) == dtype.base.alignment
    assert ffi.read(pair, bytes(dtype.itemsize)).shape == dtype.shape if dtype.shape else True
    assert ffi.view(ffi.addressof(c_type), pair).shape == dtype.shape


def test_arrays_of_what_dtypes_cannot_say():
    c_type = ffi.struct({"b": (BITS, (2, 3)), "u": (NUMBER, 2)})
    (_, bits, _), (_, union, _) = c_type.fields
    assert (bits.name, union.name) == ("bits[2][3]", "number[2]")
    assert (bits.size, union.size) == (6 * BITS.size, 2 * NUMBER.size)
    assert bits.dtype.shape == (2, 3)
    assert c_type != ffi.struct({"b": (BITS, (3, 2)), "u": (NUMBER, 2)})
    with refused(TypeError, match=r"argument type 0: C passes the address of int\[3\]"):
        ffi.CIF("void", ("int", 3))


def test_pairs_without_end():
    pair = "int"
    for _ in range(10**5):
        pair = (pair, 1)
    with refused(ValueError, match="at most 32 axes"):
        ffi.sizeof(pair)
    with refused(ValueError, match="at most 32 axes"):
        ffi.sizeof((np.dtype((np.int8, (1,) * 31)), (1, 1)))


@pytest.mark.parametrize("other", [None, 4, "int", np.int32, ctypes.c_int, object()])
def test_equality_with_others(other):
    assert t.int != other
    assert not t.int == other  # noqa: SIM201 (both operators)
    with pytest.raises(TypeError, match="not supported"):
        t.int < other  # noqa: B015


@pytest.mark.parametrize("c_type", ALL, ids=repr)
def test_copies(c_type):
    assert copy.copy(c_type) is c_type
    assert copy.deepcopy([c_type])[0] is c_type
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        loaded = pickle.loads(pickle.dumps(c_type, protocol))
        assert loaded == c_type
        assert hash(loaded) == hash(c_type)
        assert (loaded.name, loaded.size, loaded.alignment) == (
            c_type.name,
            c_type.size,
            c_type.alignment,
        )
        assert (loaded.dtype, loaded.fields) == (c_type.dtype, c_type.fields)
        assert loaded.bits == c_type.bits
        assert (loaded is c_type) is (c_type.name in t)


def test_pickle_into_another_process(tmp_path):
    path = tmp_path / "types"
    path.write_bytes(pickle.dumps(ALL))
    code = """if True:
        import pickle, sys
        with open(sys.argv[1], "rb") as file:
            print([c_type.size for c_type in pickle.load(file)])
    """
    assert run_python(code, path) == f"{[c_type.size for c_type in ALL]}\n"


@pytest.mark.parametrize(
    "name", ["name", "size", "alignment", "dtype", "address", "fields", "bits", "new"]
)
def test_immutable(name):
    with pytest.raises(AttributeError, match=name):
        setattr(POINT, name, 3)
    assert POINT.size == 2 * ffi.sizeof.double


def test_not_to_be_made_or_derived():
    with refused(TypeError, match=r"^Type\(\): use ffi\.types"):
        ffi.Type()
    with pytest.raises(TypeError, match="base type"):
        type("Derived", (ffi.Type,), {})


@pytest.mark.parametrize("c_type", [t.void, t.int, t.longdouble, POINT], ids=repr)
def test_buffer(c_type):
    with memoryview(c_type) as exported:
        assert (exported.nbytes, exported.readonly, bytes(exported)) == (0, True, b"")
    assert ffi.addressof(c_type) == c_type.address
    # The first members of ffi_type: size_t size; unsigned short alignment.
    size = ffi.view(c_type.address, "size_t")
    assert size == (c_type.size or 1)
    assert ffi.view(c_type.address + ffi.sizeof.size_t, "ushort") == c_type.alignment
    storage = bytearray(ffi.sizeof.pointer)
    ffi.write_pointer(storage, c_type)
    assert ffi.read_pointer(storage) == c_type.address


@pytest.mark.parametrize(
    "c_type", [NUMBER, BITS, ffi.struct({"n": NUMBER}), ffi.struct({"b": (BITS, 2)})], ids=repr
)
def test_no_buffer(c_type):
    for function in (memoryview, ffi.addressof, lambda c_type: c_type.address):
        with refused(NotImplementedError, match="no description of .*(number|bits)"):
            function(c_type)


# --- refusals

BUILDERS = pytest.mark.parametrize("build", [ffi.struct, ffi.union])


@pytest.mark.parametrize(
    ("c_type", "message"),
    [
        (int, r"Python's int is no C type; use ffi\.types\.int"),
        (float, r"Python's float is no C type; use ffi\.types\.double"),
        (bool, r"Python's bool"),
        (complex, r"Python's complex"),
        (str, r"Python's str"),
        (bytes, r"Python's bytes"),
        (object, "got <class 'object'>"),
        (None, "got None"),
        (3, "got 3"),
        (b"int", "got b'int'"),
        (np.int32(3), "got .*3"),
        (np.zeros(2), "got array"),
        (["int"], "got "),
        (("int", 3, 4), r"a pair of type and length, got \('int', 3, 4\)"),
        (ctypes.c_short, "got <class 'ctypes.c_short'>"),
        (ctypes.c_short(3), "got c_short"),
        ("no_such", "'no_such' is neither"),
        ("struct point", "struct point is not declared, only pointers to it can be used"),
        ("void", "void has no values"),
        (t.void, "void has no values"),
        ("O", "holds Python objects"),
        (np.object_, "holds Python objects"),
        (np.dtype([("o", "O")]), "holds Python objects"),
        (OTHER_ORDER, "not in native byte order"),
        (OTHER_ORDER.str, "not in native byte order"),
        (np.dtype([("x", OTHER_ORDER)]), "not in native byte order"),
        (np.dtype((OTHER_ORDER, (3,))), "not in native byte order"),
        (np.float16, "float16.* has no C type"),
        ("e", "float16.* has no C type"),
        ("M8[s]", "has no C type"),
        ("m8", "has no C type"),
        ("U4", "U4.* has no C type"),
        ("V8", "V8.* has no C type"),
        ("S0", "S.* has no C type"),
        (np.bytes_, "S.* has no C type"),
        (np.void, "V.* has no C type"),
        *[
            (abstract, rf"np\.{abstract.__name__} is abstract")
            for abstract in (np.generic, np.number, np.integer, np.floating, np.inexact)
        ],
    ],
)
@BUILDERS
def test_wrong_member_types(build, c_type, message):
    check_no_member_type(build, c_type, message)


@BUILDERS
def test_types_of_cffi_are_no_member_types(cffi, build):
    check_no_member_type(build, cffi.FFI().typeof("int"), "got <ctype 'int'>")


def check_no_member_type(build, c_type, message):
    with refused(TypeError, match=rf"^{build.__name__}\(\): member 'm': .*{message}"):
        build([("ok", "int"), ("m", c_type)])


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        (3, TypeError, "got int"),
        (None, TypeError, "got NoneType"),
        ("int", TypeError, "got str"),
        (t.int, TypeError, "got Type"),
        ({"x"}, TypeError, "got set"),
        (iter([("x", "int")]), TypeError, "got list_iterator"),
        (["xi"], TypeError, "got 'xi'"),
        ([("x",)], TypeError, r"got \('x',\)"),
        ([("x", "int", 1, 1)], TypeError, r"got \('x', 'int', 1, 1\)"),
        ([(3, "int")], TypeError, "got 3"),
        ([(b"x", "int")], TypeError, "got b'x'"),
        ([(("title", "x"), "int")], TypeError, r"got \('title', 'x'\)"),
        ([("x", "int"), ("y", "int"), ("x", "int")], ValueError, "two members are named 'x'"),
        ([("", "int")], ValueError, "'' cannot be"),
        ([("a\0b", "int")], ValueError, r"'a\\x00b' cannot be"),
        ([], ValueError, "at least one member"),
        ((), ValueError, "at least one member"),
        ({}, ValueError, "at least one member"),
        ([("x", np.dtype([]))], ValueError, "at least one member"),
        ([("x", np.dtype((np.float64, (0,))))], ValueError, r"double\[0\]"),
        ([("x", np.dtype((np.float64, (0, 3))))], ValueError, r"double\[0\]\[3\]|double\[3\]\[0\]"),
        ([(None, "int")], TypeError, "got None for int; only bit-fields, structs and unions"),
        ([("x", "int", "3")], TypeError, "member 'x': expected an int as number of bits, got '3'"),
        ([("x", "int", 2.0)], TypeError, "member 'x': .* got 2.0"),
        ([("x", "int", None)], TypeError, "member 'x': .* got None"),
        ([("x", "int", np.timedelta64(3, "s"))], TypeError, "member 'x': .* got .*timedelta"),
        ([("x", "int", (3,))], TypeError, r"member 'x': .* an array is \('int', \(3,\)\)"),
        ([("x", "int8", 9)], ValueError, "member 'x': expected 0 to 8 bits of int8, got 9"),
        ([("x", "char", 9)], ValueError, "member 'x': expected 0 to 8 bits of char, got 9"),
        ([("x", "bool", 2)], ValueError, "member 'x': expected 0 to 1 bits of bool, got 2"),
        ([("x", "int", -1)], ValueError, "member 'x': .* got -1"),
        ([("x", "int", 2**70)], ValueError, f"member 'x': .* got {2**70}"),
        ([("x", "int", 0)], ValueError, "member 'x': expected 1 bit or more, got 0"),
        ([(None, "int", 33), ("x", "int")], ValueError, "unnamed member 0: .* got 33"),
        ([("x", "int"), (None, "int", -1)], ValueError, "unnamed member 1: .* got -1"),
        ([("x", "int"), (None, "float", 0)], TypeError, "unnamed member 1: .* got float with 0"),
        ([(None, "int", 3), (None, "int", 0)], ValueError, "at least one named member"),
        ([("x", "void", 1)], TypeError, "member 'x': void has no values"),
        *[
            ([("x", c_type, 3)], TypeError, r"member 'x': a bit-field is .*; an array is \('")
            for c_type in ("float", "longdouble", "complex_double", "pointer", POINT, NUMBER)
        ],
        ([("x", (t.int, 3), 3)], TypeError, "member 'x': a bit-field is .*, got int.3. with 3"),
        ([("x", ("int",))], TypeError, r"member 'x': .* a pair of type and length, got \('int',\)"),
        ([("x", ("int", 2, 3))], TypeError, "member 'x': .* a pair of type and length"),
        ([("x", ("int", "3"))], TypeError, "member 'x': expected an int as .* length, got '3'"),
        ([("x", ("int", (2, 1.5)))], TypeError, "member 'x': expected an int .* got 1.5"),
        ([("x", ("int", 0))], ValueError, "member 'x': .* at least one item, got length 0"),
        ([("x", ("int", (2, -1)))], ValueError, "member 'x': .* at least one item, got length -1"),
        ([("x", ("int", 2**70))], OverflowError, "member 'x': int.* has more than"),
        ([("x", ("int", (1,) * 33))], ValueError, "member 'x': .* at most 32 axes, got 33"),
        ([("x", ("void", 3))], TypeError, "member 'x': void has no values"),
        ([("x", (None, 3))], TypeError, "member 'x': expected an ffi.Type, .*, got None"),
    ],
)
@BUILDERS
def test_wrong_specs(build, spec, kind, message):
    with refused(kind, match=rf"^{build.__name__}\(\): .*{message}"):
        build(spec)


@pytest.mark.parametrize("name", [3, b"point", ["point"]])
@BUILDERS
def test_wrong_names(build, name):
    with refused(TypeError, match=r"argument 'name': expected a str, got "):
        build({"x": "int"}, name)


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        (np.dtype("i1,i4"), "field 'f1' is at offset 1, C puts it at 4"),
        (np.dtype("i4,i1"), "the dtype has 5 bytes, the C struct 8"),
        (
            np.dtype({"names": ["a"], "formats": ["i4"], "offsets": [4]}),
            "field 'a' is at offset 4, C puts it at 0",
        ),
        (
            np.dtype({"names": ["a"], "formats": ["i4"], "itemsize": 64}),
            "the dtype has 64 bytes, the C struct 4",
        ),
        (
            np.dtype({"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [0, 0]}),
            "is at offset 0, C puts it at 4",
        ),
        (NUMBER.dtype, "is at offset 0, C puts it at"),
        (np.dtype([]), "at least one member"),
    ],
)
def test_dtypes_with_another_layout(dtype, message):
    for function in (ffi.struct, ffi.sizeof, lambda dtype: ffi.struct([("m", dtype)])):
        with refused(ValueError, match=message):
            function(dtype)


def test_plain_dtype_is_no_struct():
    with refused(TypeError, match=r"^struct\(\): expected a structured dtype, got float64$"):
        ffi.struct(np.dtype("f8"))
    with refused(TypeError, match=r"^union\(\): "):
        ffi.union(POINT.dtype)


def test_double_dtypes_are_double():
    # Also where a long double is a double, and their dtypes are equal.
    for dtype, name in (
        (np.float64, "double"),
        ("f8", "double"),
        (np.complex128, "complex_double"),
    ):
        assert ffi.struct({"x": dtype}).fields[0][1].name == name


def test_what_is_unpickled_is_checked():
    make, arguments = copyreg.dispatch_table[ffi.Type](ALL[-1])
    assert make(*arguments) == ALL[-1]
    item, length, dtype = arguments
    for wrong in (
        (item, length + 1, dtype),
        (item, sys.maxsize // 4 + 1, dtype),
        (item, 0, dtype),
        (item, length, None),
        (t.void, length, dtype),
    ):
        with refused(ValueError, match="is no array of"):
            make(*wrong)
