"""Pointer types, opaque types, and the C spelling of both."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
from checks import refused, run_python

import ffi
from ffi._layouts import opaque, pointer_to
from ffi._specs import as_type

t = ffi.types
POINT = ffi.struct([("x", "double"), ("y", "double")], name="point")
FILE = opaque("FILE")


def pointers():
    """Pointer types by their C spelling, no two of them equal."""
    plain = {
        "void *": pointer_to(t.void),
        "const void *": pointer_to(t.void, True),
        "double *": pointer_to(t.double),
        "const double *": pointer_to(t.double, const=True),
        "char *": pointer_to(t.char),
        "_Bool *": pointer_to(t.bool),
        "int8_t *": pointer_to(t.int8),
        "long double *": pointer_to(t.longdouble),
        "point *": pointer_to(POINT),
        "const point *": pointer_to(POINT, True),
        "FILE *": pointer_to(FILE),
        "struct foo *": pointer_to(opaque("struct foo")),
        "int (*)[3]": pointer_to(as_type(("int", 3))),
        "const int (*)[2][3]": pointer_to(as_type(("int", (2, 3))), True),
    }
    both = dict(plain)
    for name, target in plain.items():
        if "[" not in name:
            both[f"{name}*"] = pointer_to(target)
            both[f"{name}const *"] = pointer_to(target, True)
            both[f"{name}(*)[4]"] = pointer_to(as_type((target, 4)))
    both["int (**)[3]"] = pointer_to(plain["int (*)[3]"])
    return both


POINTERS = pointers()


@pytest.mark.parametrize(("name", "c_type"), POINTERS.items())
def test_pointers(name, c_type):
    assert c_type.name == name
    assert repr(c_type) == (
        f"<ffi.Type {name}: {t.pointer.size} bytes, alignment {t.pointer.alignment}>"
    )
    assert (c_type.size, c_type.alignment) == (t.pointer.size, t.pointer.alignment)
    assert c_type.dtype == np.dtype(np.uintp)
    assert c_type.address == t.pointer.address
    assert (c_type.fields, c_type.bits, c_type.tag) == (None, None, None)
    assert pointer_to(c_type.target, c_type.const) == c_type
    assert type(c_type.const) is bool


@pytest.mark.parametrize("c_type", [*POINTERS.values(), FILE, t.pointer], ids=lambda x: x.name)
def test_copies(c_type):
    assert copy.copy(c_type) is c_type
    assert copy.deepcopy([c_type])[0] is c_type
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        loaded = pickle.loads(pickle.dumps(c_type, protocol))
        assert loaded == c_type
        assert hash(loaded) == hash(c_type)
        assert loaded.name == c_type.name
        assert (loaded.target, loaded.const) == (c_type.target, c_type.const)
        assert loaded.tag == c_type.tag
        assert (loaded is c_type) is (c_type is t.pointer)


def test_equality():
    for (left, a), (right, b) in itertools.product(POINTERS.items(), pointers().items()):
        if t.longdouble == t.double:
            left, right = (name.replace("long double", "double") for name in (left, right))
        assert (a == b) is (left == right), (a, b)
        assert (a != b) is (left != right), (a, b)
        assert hash(a) == hash(b) or a != b
    assert pointer_to(t.int) == pointer_to(t.int32)
    assert pointer_to(ffi.struct([("a", "f8"), ("b", "f8")])) == pointer_to(POINT)
    assert pointer_to(t.int) != pointer_to(t.uint)
    for c_type in (t.uintptr_t, t.void, POINT, FILE):
        assert pointer_to(c_type) != c_type
        assert t.pointer != c_type


def test_the_pointer_to_anything():
    assert t.pointer == pointer_to(t.void)
    assert hash(t.pointer) == hash(pointer_to(t.void))
    assert t.pointer != pointer_to(t.void, True)
    assert (t.pointer.target, t.pointer.const) == (t.void, False)
    assert t.pointer.name == "pointer"
    assert pointer_to(t.pointer).name == "void **"
    for name, c_type in t.items():
        if name != "pointer":
            assert (c_type.target, c_type.const, c_type.tag) == (None, False, None)


def test_opaque_types():
    assert (FILE.name, FILE.tag, FILE.size, FILE.alignment) == ("FILE", "FILE", 0, 1)
    assert (FILE.dtype, FILE.fields, FILE.target) == (None, None, None)
    assert opaque("FILE") == FILE
    assert opaque("FILE") is not FILE
    assert hash(opaque("FILE")) == hash(FILE)
    assert opaque("struct FILE") != FILE
    assert opaque("point") != POINT
    assert opaque("void") != t.void
    with refused(ValueError, match="has a tag"):
        opaque("")


@pytest.mark.parametrize(
    "use",
    [
        lambda c_type: ffi.CIF(c_type),
        lambda c_type: ffi.CIF("void", c_type),
        lambda c_type: ffi.CIF("void", "int", variadic=[c_type]),
        lambda c_type: ffi.struct([("x", c_type)]),
        lambda c_type: ffi.union({"x": c_type}),
        lambda c_type: ffi.struct([("x", (c_type, 3))]),
        lambda c_type: ffi.struct([("x", c_type, 3)]),
        lambda c_type: ffi.read(c_type, bytes(8)),
        lambda c_type: ffi.write(c_type, bytearray(8), 1),
        lambda c_type: ffi.view(ffi.addressof(c_type.name.encode()), c_type),
    ],
)
def test_opaque_types_have_no_values(use):
    with refused(TypeError, match=r"^\w+\(\): .*FILE is opaque, only C knows its values; use a p"):
        use(FILE)


# --- spelling


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("double *", "double *"),
        ("double*", "double *"),
        (" const  double\t*\n", "const double *"),
        ("double const *", "const double *"),
        ("unsigned char **", "unsigned char **"),
        ("uchar**", "unsigned char **"),
        ("const char * const *", "const char *const *"),
        ("char const*const*", "const char *const *"),
        ("void *", "void *"),
        ("const void**", "const void **"),
        ("uint8_t *", "uint8_t *"),
        ("long unsigned int *", "unsigned long *"),
        ("FILE *", "FILE *"),
        ("struct foo *", "struct foo *"),
        ("int (*)[3]", "int (*)[3]"),
        ("int (*)(const int *)", "int (*)(const int *)"),
        ("double *const", "double *"),
        ("const double", "double"),
        ("pointer *", "void **"),
        ("size_t const", "size_t"),
        (np.str_("int *"), "int *"),
    ],
)
def test_spelling(text, name):
    c_type = as_type(text)
    assert c_type.name == name
    assert as_type(c_type.name) == c_type
    assert ffi.sizeof(text) == c_type.size
    assert ffi.CIF(text, text).atypes == (c_type,)
    assert ffi.struct({"x": text}).fields[0][1] == c_type


@pytest.mark.parametrize(
    "text",
    [
        *("*", "* int", "const", "const *", "int * * x", "int * const const x", "int x *", "**"),
        *("f8 *", "no_such *", "int * int", "FILE", "struct foo", "int[0]", "int[]", "(int)"),
        "int" + 100 * "*",
        "int" + 10**6 * "*",
        "int" + 10**6 * " const",
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_spelling(text):
    if text.endswith(" const"):
        assert as_type(text) == t.int
        return
    with refused((TypeError, ValueError, NotImplementedError), match=r"^sizeof\(\): "):
        ffi.sizeof(text)


def test_names_in_structs():
    c_type = ffi.struct(
        {
            "p": pointer_to(POINT),
            "names": ("const char *", (2, 3)),
            "rows": pointer_to(as_type(("uint8", 3)), True),
            "any": "pointer",
            "next": pointer_to(ffi.struct({"p": pointer_to(POINT)})),
        }
    )
    assert c_type.name == (
        "struct { point *p; const char *names[2][3]; const uint8_t (*rows)[3]; void *any; "
        "struct {...} *next; }"
    )


# --- in use


def test_members(symbol):
    pointing = ffi.struct({"items": "int *", "count": "size_t"}, name="struct pointing")
    assert pointing != ffi.struct({"items": "pointer", "count": "size_t"})
    assert pointing != ffi.struct({"items": "const int *", "count": "size_t"})
    assert pointing.dtype == ffi.struct({"items": "pointer", "count": "size_t"}).dtype
    assert pickle.loads(pickle.dumps(pointing)) == pointing
    items = np.array([1, 2, 3], np.intc)
    cif, rvalue = ffi.CIF("int", pointing), bytearray(ffi.sizeof.ffi_arg)
    ffi.call(cif, symbol("sum_pointing"), rvalue, cif.pack((items, 3)))
    assert cif.unpack(rvalue) == 6


def test_low_level_pointers_are_ints(symbol):
    for c_type in ("const double *", "FILE *"):
        c_type = pointer_to(FILE) if c_type == "FILE *" else as_type(c_type)
        storage = bytearray(ffi.sizeof.pointer)
        values = np.zeros(3)
        ffi.write(c_type, storage, values)
        assert ffi.read(c_type, storage) == ffi.addressof(values)
        ffi.write(c_type, storage, None)
        assert ffi.read(c_type, storage) == 0
        assert ffi.CIF(c_type).unpack(storage) == 0
        assert ffi.view(ffi.addressof(storage), c_type)[()] == 0
    cif = ffi.CIF("double", "size_t", "const double *", "const double *")
    assert repr(cif) == "<ffi.CIF double (size_t, const double *, const double *)>"
    x, result = np.arange(4.0), np.zeros(1)
    ffi.call(cif, symbol("dot"), result, cif.pack(4, x, x))
    assert result[0] == 14


def test_cifs_compare_targets():
    assert ffi.CIF("void", "int *") == ffi.CIF("void", "int32_t *")
    assert ffi.CIF("void", "int *") != ffi.CIF("void", "const int *")
    assert ffi.CIF("void", "int *") != ffi.CIF("void", "pointer")
    assert ffi.CIF("void", "void *") == ffi.CIF("void", "pointer")


# --- limits


def test_depth():
    c_type = t.int
    for _ in range(64):
        c_type = pointer_to(c_type)
    assert pickle.loads(pickle.dumps(c_type)) == c_type
    assert c_type.name == f"int {64 * '*'}"
    with refused(ValueError, match="64 deep"):
        pointer_to(c_type)
    with refused(ValueError, match="64 deep"):
        ffi.struct({"x": c_type})
    assert as_type(f"int {63 * '*'}") == c_type.target


def shared(depth):
    """Return a type with 2**depth paths to its innermost members."""
    c_type = t.int
    for _ in range(depth):
        c_type = ffi.struct({"a": pointer_to(c_type), "b": pointer_to(c_type, True)})
    return c_type


def test_shared_targets_are_compared_once():
    # Else this does not come to its end.
    one, other = shared(31), shared(31)
    assert one == other
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != pointer_to(other)
    assert len(one.name) < 100


def test_many_depths_do_not_crash():
    code = """if True:
        import pickle
        import ffi
        from ffi._layouts import pointer_to
        kinds = [lambda x: ffi.struct({"x": x, "y": "int"}), lambda x: ffi.union({"x": x}),
                 pointer_to, lambda x: ffi.struct({"x": (x, 2)}).fields[0][1]]
        for first in kinds:
            for second in kinds:
                c_type, depth = ffi.types.char, 0
                try:
                    while True:
                        c_type = (first if depth % 2 else second)(c_type)
                        depth += 1
                except (ffi.Error, OverflowError) as exc:
                    assert isinstance(exc, (ValueError, OverflowError)), exc
                assert pickle.loads(pickle.dumps(c_type)) == c_type
                assert repr(c_type)
        print("done")
    """
    assert run_python(code) == "done\n"
