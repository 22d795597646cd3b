"""CIF: the description of a C function."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from checks import refused

import ffi

t = ffi.types
POINT = ffi.struct([("x", t.double), ("y", t.double)], name="struct point")
# Too large for a direct call, and libffi has no unions.
UNION = ffi.union([("i", t.int), ("bytes", (t.byte, 20000))], name="union number")


# --- CIF


def test_attributes():
    cif = ffi.CIF(t.int, t.double, np.float32, "unsigned char", "f8", POINT)
    assert cif.rtype == t.int
    assert cif.atypes == (t.double, t.float, t.uchar, t.double, POINT)
    assert cif.variadic is None
    assert cif.abi == ffi.abi.default


def test_abi_comes_first():
    plain = ffi.CIF(t.int, t.int)
    for number in (ffi.abi.default, np.int64(ffi.abi.default)):
        assert ffi.CIF(number, t.int, t.int) == plain


def test_abi_from_index():
    class Index:
        def __index__(self):
            return ffi.abi.default

    assert ffi.CIF(Index(), t.int) == ffi.CIF(t.int)


@pytest.mark.parametrize("number", [-1, ffi.abi.first, ffi.abi.last, 99, 2**31, 2**64, -(2**64)])
def test_unknown_abi(number):
    with refused(ValueError, match=rf"CIF\(\): .*{number}"):
        ffi.CIF(number, t.int, t.int)


def test_bad_abi_has_its_class():
    with pytest.raises(ffi.errors.BadABI, match="FFI_BAD_ABI"):
        ffi.CIF(ffi.abi.last, t.int)


def test_variadic():
    cif = ffi.CIF(t.int, t.pointer, variadic=[t.int, np.float64, POINT])
    assert cif.atypes == (t.pointer,)
    assert cif.variadic == (t.int, t.double, POINT)
    assert ffi.CIF(t.int, t.pointer, variadic=()).variadic == ()


@pytest.mark.parametrize(
    ("name", "promoted"),
    [
        ("float", "double"),
        *((name, "int") for name in ("bool", "char", "schar", "uchar", "short", "ushort")),
    ],
)
def test_promoted_types_are_refused(name, promoted):
    with refused(TypeError, match=rf"'variadic': C promotes a variadic .*ffi\.types\.{promoted}\b"):
        ffi.CIF(t.int, t.pointer, variadic=[t.int, t[name]])


@pytest.mark.parametrize("variadic", ["int", 3, {"int"}, t.int, np.zeros(1)])
def test_variadic_is_a_sequence(variadic):
    with refused(TypeError, match=r"CIF\(\): argument 'variadic': expected a sequence"):
        ffi.CIF(t.int, t.pointer, variadic=variadic)


def test_variadic_needs_a_fixed_argument():
    with refused(ValueError, match=r"CIF\(\): .*at least one fixed argument"):
        ffi.CIF(t.int, variadic=[t.int])


DIFFERENT = [
    ffi.CIF(t.int),
    ffi.CIF(t.uint),
    ffi.CIF(t.int, t.int),
    ffi.CIF(t.int, t.int, t.int),
    ffi.CIF(t.int, t.int, variadic=[t.int]),
    ffi.CIF(t.int, t.int, variadic=[]),
    ffi.CIF(t.bool),
    ffi.CIF(t.char),
    ffi.CIF(t.uint8),
    ffi.CIF(t.void),
    ffi.CIF(POINT, POINT),
]


def test_equality_and_hash():
    assert len(set(DIFFERENT)) == len(DIFFERENT)
    for i, one in enumerate(DIFFERENT):
        for j, other in enumerate(DIFFERENT):
            assert (one == other) == (i == j)
    same = ffi.CIF(np.intc, ffi.struct({"a": "f8", "b": "f8"}))
    assert same == ffi.CIF(t.int, POINT)
    assert hash(same) == hash(ffi.CIF(t.int, POINT))
    assert same != (t.int, POINT)
    assert same is not None


@pytest.mark.parametrize("cif", DIFFERENT, ids=repr)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(cif, protocol):
    same = pickle.loads(pickle.dumps(cif, protocol))
    assert same == cif
    assert hash(same) == hash(cif)
    assert (same.abi, same.rtype, same.atypes) == (cif.abi, cif.rtype, cif.atypes)
    assert same.variadic == cif.variadic


def test_copies_are_the_same():
    cif = ffi.CIF(t.int, POINT)
    assert copy.copy(cif) is cif
    assert copy.deepcopy([cif])[0] is cif


def test_immutable():
    cif = ffi.CIF(t.int, t.int)
    for name in ("abi", "rtype", "atypes", "variadic", "anything"):
        with pytest.raises(AttributeError):
            setattr(cif, name, None)


def test_buffer_is_the_ffi_cif():
    cif = ffi.CIF(t.int, t.double, POINT)
    buffer = memoryview(cif)
    assert buffer.nbytes == ffi.sizeof.ffi_cif
    assert buffer.readonly
    start = ffi.struct([("abi", t.int), ("nargs", t.uint), ("types", t.pointer), ("r", t.pointer)])
    fields = ffi.read(start, cif)
    assert (fields["abi"], fields["nargs"], fields["r"]) == (cif.abi, 2, t.int.address)
    types = ffi.view(int(fields["types"]), np.uintp, 2, readonly=True, owner=cif)
    assert types.tolist() == [t.double.address, POINT.address]
    assert ffi.addressof(cif) == ffi.addressof(buffer)
    with refused(TypeError, match="read-only CIF"):
        ffi.write(t.int, cif, 0)


def test_repr():
    assert repr(ffi.CIF(t.void)) == "<ffi.CIF void (void)>"
    cif = ffi.CIF(t.int, t.pointer, POINT, variadic=[t.double])
    assert repr(cif) == "<ffi.CIF int (pointer, struct point, ..., double)>"


@pytest.mark.parametrize(
    ("types", "kind", "match"),
    [
        ((), TypeError, "expected the result's type, got nothing"),
        ((ffi.abi.default,), TypeError, "expected the result's type, got nothing"),
        (("no such type",), TypeError, "argument 'rtype': 'no such type'"),
        ((int,), TypeError, r"argument 'rtype': Python's int is no C type; use ffi\.types\.int"),
        ((t.int, float), TypeError, r"argument type 0: Python's float .*ffi\.types\.double"),
        ((t.int, t.int, None), TypeError, "argument type 1: .*got None"),
        ((None, t.int), TypeError, "argument 'rtype': .*got None"),
        ((t.int, t.int, t.void), TypeError, "argument type 1: void is no argument"),
        (
            (t.int, np.dtype(("f8", 3))),
            TypeError,
            r"argument type 0: .*double\[3\]; use ffi\.types\.pointer",
        ),
        (
            (np.dtype(("f8", 3)),),
            TypeError,
            r"argument 'rtype': C cannot return an array, got double\[3\]",
        ),
        ((t.int, "S5"), TypeError, r"argument type 0: C passes the address of char\[5\]"),
        (
            (t.int, ">i4" if np.little_endian else "<i4"),
            TypeError,
            "argument type 0: .*not in native byte order",
        ),
        ((t.int, object), TypeError, "argument type 0: expected an ffi.Type.*got <class 'object'>"),
        ((t.int, np.dtype(object)), TypeError, "argument type 0: .*Python objects"),
        ((np.array(2), t.int), TypeError, r"argument 'rtype': .*got array\(2\)"),
        ((t.int, UNION), NotImplementedError, "argument type 0: .*union number by value"),
        ((UNION, UNION), NotImplementedError, "argument 'rtype': .*union number by value"),
        (
            (t.int, ffi.struct([("u", UNION)], "struct holder")),
            NotImplementedError,
            "argument type 0: .*struct holder by value; pass its address as ffi.types.pointer",
        ),
    ],
)
def test_bad_types(types, kind, match):
    with refused(kind, match=rf"CIF\(\): {match}"):
        ffi.CIF(*types)


@pytest.mark.parametrize("count", [1025, 10**5, 10**6])
def test_too_many_arguments(count):
    with refused(ValueError, match=rf"CIF\(\): expected at most 1024 arguments, got {count}"):
        ffi.CIF(t.int, *[t.int] * count)
    with refused(ValueError, match=rf"CIF\(\): expected at most 1024 arguments, got {count}"):
        ffi.CIF(t.int, *[t.int] * 24, variadic=[t.int] * (count - 24))


def test_too_many_bytes_by_value():
    large = ffi.struct([("bytes", np.dtype((np.uint8, 40000)))])
    assert ffi.CIF(t.int, large).atypes == (large,)
    with refused(ValueError, match=r"CIF\(\): expected at most 65536 bytes .*, got 80000"):
        ffi.CIF(t.int, large, large)
