"""Layouts of structs, unions, bit-fields and arrays, against the C compiler's own.

``FFI_DIFF_LAYOUTS`` says how many random types with bit-fields and unions, ``FFI_DIFF_SEED`` which.
"""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
from c_types import BOOL, CHAR, LONGDOUBLE, POINTER, SCALARS, Array, Struct, layout_problems
from checks import refused
from compiler import compilers
from signatures import c_check, c_checks, random_aggregate
from test_differential import differences, record_differences, stored

import ffi

t = ffi.types
COUNT = 150
RANDOM = int(os.environ.get("FFI_DIFF_LAYOUTS", "600"))
SEED = os.environ.get("FFI_DIFF_SEED", "20")


def draw_member(rng, known):
    member = rng.choice(known) if known and rng.random() < 0.25 else rng.choice(SCALARS)
    while rng.random() < 0.2:
        member = Array(member, rng.choice([1, 2, 3, 7, 8, 9, 17, 100]))
    return member


def draw_structs():
    rng = random.Random(20)
    structs = [Struct("bools", (BOOL, LONGDOUBLE, CHAR, Array(BOOL, 3)))]
    for i in range(COUNT):
        known = structs[-10:]
        members = tuple(draw_member(rng, known) for _ in range(rng.randint(1, 6)))
        structs.append(Struct(f"s{i}", members, rng.choice(["list", "mapping", "dtype"])))
    return structs


STRUCTS = draw_structs()


def as_union(struct):
    """Return the union of a struct's members in C, and as a Type."""
    spec = [(f"m{i}", member.ffi_type) for i, member in enumerate(struct.members)]
    text = struct.definition().replace(f"struct {struct.tag}", f"union u_{struct.tag}")
    return text.replace("layout_", "layout_u_"), ffi.union(spec, name=f"u_{struct.tag}")


MIXED = {
    "in_struct": (
        "struct in_struct { char c; union { double d; char b[9]; } u; char e; };",
        ffi.struct(
            {"c": "char", "u": ffi.union({"d": "double", "b": np.dtype("S9")}), "e": "char"}
        ),
    ),
    "pointers": (
        "struct pointers { char c; void *p; void *q[3]; };",
        ffi.struct({"c": "char", "p": "void *", "q": np.dtype((np.uintp, (3,)))}),
    ),
    "rows": (
        "struct rows { short s; struct { char c; int i; } a[2][3]; char z[5]; };",
        ffi.struct(
            {
                "s": "short",
                "a": np.dtype((np.dtype([("c", np.int8), ("i", np.intc)], align=True), (2, 3))),
                "z": np.dtype("S5"),
            }
        ),
    ),
}


@pytest.fixture(scope="module")
def layout(compile_c):
    """What C says: ``layout(tag) -> [size, alignment, *offsets]``."""
    text = ["#include <stddef.h>", "#include <stdint.h>", "#include <stdbool.h>"]
    for struct in STRUCTS:
        text += [struct.definition(), as_union(struct)[0]]
    for tag, (definition, c_type) in MIXED.items():
        offsets = "".join(f", offsetof(struct {tag}, {name})" for name, _, _ in c_type.fields)
        text.append(definition)
        text.append(
            f"const size_t layout_{tag}[] = "
            f"{{sizeof(struct {tag}), _Alignof(struct {tag}){offsets}}};"
        )
    library = ffi.dlopen(compile_c("\n".join(text) + "\n", "layouts"))

    def layout(tag, members):
        return ffi.view(ffi.dlsym(library, f"layout_{tag}"), "size_t", members + 2).tolist()

    return layout


def check(c_type, expected):
    offsets = [offset for _, _, offset in c_type.fields]
    assert [c_type.size, c_type.alignment, *offsets] == expected
    assert [c_type.dtype.itemsize, c_type.dtype.alignment] == expected[:2]
    assert c_type.dtype.isalignedstruct
    assert list(c_type.dtype.names) == [name for name, _, _ in c_type.fields]
    for name, member, offset in c_type.fields:
        assert c_type.dtype.fields[name] == (member.dtype, offset)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.tag)
def test_struct(layout, struct):
    check(struct.ffi_type, layout(struct.tag, len(struct.members)))
    assert struct.ffi_type.dtype == struct.dtype
    # A dtype has no pointers, only integers of their size.
    if all(scalar is not POINTER for _, scalar in struct.types()):
        assert ffi.struct(struct.dtype) == struct.ffi_type


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.tag)
def test_union(layout, struct):
    check(as_union(struct)[1], layout(f"u_{struct.tag}", len(struct.members)))


@pytest.mark.parametrize("tag", MIXED)
def test_mixed(layout, tag):
    c_type = MIXED[tag][1]
    check(c_type, layout(tag, len(c_type.fields)))


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 15, 16, 17, 1000, 2**20, 2**31 // 8 - 1])
@pytest.mark.parametrize("item", [t.double, t.char, ffi.struct({"c": "int8", "s": "int16"})])
def test_array(length, item):
    member = np.dtype((item.dtype, (length,)))
    c_type = ffi.struct({"a": member})
    ((_, array, _),) = c_type.fields
    assert c_type.size == array.size == length * item.size
    assert c_type.alignment == array.alignment == item.alignment
    assert array.dtype == member
    assert array.name.endswith(f"[{length}]")
    assert array.fields is None


def test_array_axes():
    ((_, array, _),) = ffi.struct({"a": np.dtype((np.int16, (2, 3, 4)))}).fields
    assert (array.name, array.size, array.dtype.shape) == ("int16[2][3][4]", 48, (2, 3, 4))
    ((_, same, _),) = ffi.struct({"a": np.dtype((np.dtype((np.int16, (3, 4))), (2,)))}).fields
    assert same == array
    ((_, other, _),) = ffi.struct({"a": np.dtype((np.int16, (4, 3, 2)))}).fields
    assert other != array


# --- random types, with bit-fields and unions

FUNCTIONS = """
void fill_{tag}({c_name} *p)
{{
    memset(p, 0x5A, sizeof *p);
{assignments}
}}
void check_{tag}(const {c_name} *p)
{{
    failed = 0;
{checks}
}}
"""


def draw_aggregates():
    """Draw types, each with a value."""
    rng = random.Random(f"{SEED}-layouts")
    drawn = []
    while len(drawn) < RANDOM:
        c_type = random_aggregate(rng, f"t{len(drawn)}")
        if c_type.dtype.itemsize <= 2000:
            drawn.append((c_type, c_type.random(rng)))
    return drawn


def functions(c_type, value):
    """Write C that fills an object of a type with a value, and C that checks for it."""
    leaves = [("(*p)", leaf) for leaf in c_type.leaves(value)]
    checks = [c_check(i, *leaf) for i, leaf in enumerate(leaves)]
    assignments = [f"{p}{leaf.path} = {leaf.type.literal(leaf.value)};" for p, leaf in leaves]
    return FUNCTIONS.format(
        tag=c_type.tag,
        c_name=c_type.c_name,
        assignments="\n".join(assignments),
        checks="\n".join(checks),
    )


@pytest.mark.parametrize("compiler", compilers())
def test_random_aggregates(compile_c, compiler):
    drawn = draw_aggregates()
    text = [c_checks()]
    for c_type, value in drawn:
        text += [inner.definition() for inner in c_type.structs()]
        text.append(functions(c_type, value))
    library = ffi.dlopen(compile_c("\n".join(text), "aggregates", "-O1", compiler=compiler))
    take_address = ffi.CIF("void", "pointer")

    def constant(name, dtype, count):
        return ffi.view(ffi.dlsym(library, name), dtype, count)

    def check(c_type, storage):
        ffi.call(
            take_address,
            ffi.dlsym(library, f"check_{c_type.tag}"),
            None,
            take_address.pack(storage),
        )
        return int(constant("failed", "int", 1)[0])

    found = []
    for c_type, value in drawn:
        for inner in c_type.structs():
            found += layout_problems(inner, constant)
        leaves = [("", leaf) for leaf in c_type.leaves(value)]

        # What C has written, read here.
        storage = np.zeros(c_type.ffi_type.size + 64, np.uint8)
        fill = ffi.dlsym(library, f"fill_{c_type.tag}")
        ffi.call(take_address, fill, None, take_address.pack(storage))
        record = ffi.read(c_type.ffi_type, storage)
        problems = record_differences(leaves, record) + differences(leaves, storage.tobytes())
        if storage[c_type.ffi_type.size :].any():
            problems.append("C's object is larger")

        # What is written here, read by C; then C's own bytes and records of them.
        again = stored(c_type, value)
        for given in (value, record, ffi.view(ffi.addressof(storage), c_type.ffi_type)[()]):
            ours = np.full(c_type.ffi_type.size, 0xFF, np.uint8)
            ffi.write(c_type.ffi_type, ours, given)
            if number := check(c_type, ours):
                problems.append(f"C reads another {leaves[number - 1]} from {type(given)}")
        if check(c_type, again):
            problems.append("C reads other values than the tests store")
        found += [f"{c_type.definition()}: {problem}" for problem in problems]
    assert not found, "\n".join(found[:10])


def test_arrays_whose_values_are_too_large():
    one = ffi.struct([("a", t.uchar, 1), ("b", t.uchar, 1)])
    with refused(OverflowError, match="has more than 2147483647 bytes"):
        ffi.sizeof((one, 2**30))
    with refused(OverflowError, match=r"struct\(\): member 'x': .* has more than 2147483647 bytes"):
        ffi.struct([("x", ((one, 2**15), 2**15))])


@pytest.mark.parametrize("dtype", ["O", "f8", "V8", "M8[s]"])
def test_forged_pickles_of_arrays(dtype):
    with refused(ValueError, match=r"is no array of 1 int64"):
        ffi._specs._array(t.int64, 1, np.dtype(dtype))
