"""Random C signatures, and the C text that checks them.

A signature holds one constant for each argument and for the result. In the C text a callee compares
what it received with its constants, and a driver calls a function pointer with the same constants
and compares what came back. Nothing is called here; test_differential.py does that.
"""

from __future__ import annotations

import platform
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import c_types as c
from checks import DIRECT

X86_64 = platform.machine() in ("x86_64", "AMD64", "amd64") and struct.calcsize("P") == 8
AARCH64 = platform.machine() in ("aarch64", "arm64")

MAX_STRUCT = 256
# Of structs and unions in the generator of their own: up to three words may go in registers.
MAX_SMALL = 40


@dataclass(frozen=True)
class Signature:
    """A C function type, with the constants that are passed and returned."""

    index: int
    rtype: c.Scalar | c.Struct | None
    result: Any
    atypes: tuple[c.Scalar | c.Struct, ...]
    values: tuple[Any, ...]
    fixed: int

    @property
    def variadic(self) -> bool:
        """Whether the prototype ends with an ellipsis."""
        return self.fixed < len(self.atypes)

    @property
    def c_result(self) -> str:
        """The result type's C name."""
        return self.rtype.c_name if self.rtype else "void"

    def prototype(self, name: str) -> str:
        """Declare a function, or with ``(*)`` a pointer to one."""
        arguments = [t.declare(f"a{i}") for i, t in enumerate(self.atypes[: self.fixed])]
        arguments += ["..."] if self.variadic else []
        return f"{self.c_result} {name}({', '.join(arguments) or 'void'})"

    def __str__(self) -> str:
        extra = ", ".join(t.c_name for t in self.atypes[self.fixed :])
        call = self.prototype(f"call_{self.index}") + ";" + (f"  // ...: {extra}" if extra else "")
        return "\n".join([*(s.definition().splitlines()[0] for s in self.structs()), call])

    def structs(self) -> list[c.Struct]:
        """List the structs and unions that are passed or returned, those inside them first."""
        outer = [t for t in (self.rtype, *self.atypes) if isinstance(t, c.Struct)]
        return list({s.tag: s for t in outer for s in t.structs()}.values())

    def argument_leaves(self) -> list[tuple[str, c.Leaf]]:
        """List the scalars of all arguments, each with its argument's name."""
        return [
            (f"a{i}", leaf)
            for i, (ctype, value) in enumerate(zip(self.atypes, self.values, strict=True))
            for leaf in ctype.leaves(value)
        ]

    def result_leaves(self) -> list[tuple[str, c.Leaf]]:
        """List the scalars of the result."""
        return [("result", leaf) for leaf in self.rtype.leaves(self.result)] if self.rtype else []


# --- C text

PRELUDE = """
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* How many callees ran; the number of the first wrong scalar plus one, and what came instead. */
int calls, failed;
unsigned char seen[64];

static void fail(int number, const void *got, size_t size)
{
    if (failed) return;
    failed = number + 1;
    memcpy(seen, got, size);
}

/* Callees overwrite their structs: those are copies. Volatile, so that it is not optimised away. */
static void *(*volatile scribble)(void *, int, size_t) = memset;

/* Integers widen on their way to a check: what is wrong beside the low bytes shows, too. */
"""

_CHECK = """
__attribute__((noinline)) static void check_{t.name}(int number, {wide} got, {wide} want)
{{
    if (!({same})) fail(number, &got, sizeof got);
}}
"""

_REAL = "got == want && !signbit(got) == !signbit(want)"

_COMPLEX = """
static {t.c_name} make_{t.name}({t.part.c_name} real, {t.part.c_name} imag)
{{
    {t.part.c_name} parts[2] = {{real, imag}};
    {t.c_name} value;
    memcpy(&value, parts, sizeof value);
    return value;
}}
__attribute__((noinline)) static void check_{t.name}(int number, {t.c_name} got, {t.c_name} want)
{{
    {t.part.c_name} x[2], y[2];
    memcpy(x, &got, sizeof x);
    memcpy(y, &want, sizeof y);
    if (!(x[0] == y[0] && x[1] == y[1] && !signbit(x[0]) == !signbit(y[0])
          && !signbit(x[1]) == !signbit(y[1]))) fail(number, &got, sizeof got);
}}
"""


def c_source(signatures: Sequence[Signature]) -> str:
    """Write a C file with callees ``call_N`` and drivers ``drive_N``."""
    structs = {t.tag: t.definition() for s in signatures for t in s.structs()}
    return "\n".join([c_checks(), *structs.values(), *map(_functions, signatures)])


def c_checks() -> str:
    """Write the start of a C file: functions that compare scalars and record the first wrong."""
    helpers = []
    for t in c.SCALARS:
        if isinstance(t, c.Complex):
            helpers.append(_COMPLEX.format(t=t))
        elif isinstance(t, c.Real):
            helpers.append(_CHECK.format(t=t, wide=t.c_name, same=_REAL))
        else:
            wide = "long long" if t.dtype.kind in "iS" else "unsigned long long"
            wide = t.c_name if isinstance(t, c.Address) else wide
            helpers.append(_CHECK.format(t=t, wide=wide, same="got == want"))
    return "\n".join([PRELUDE, *helpers])


def _functions(s: Signature) -> str:
    callee = [f"{s.c_result} result = {s.rtype.literal(s.result)};"] if s.rtype else []
    callee.append("calls++;")
    if s.variadic:
        callee.append(f"va_list more; va_start(more, a{s.fixed - 1});")
        for i, ctype in list(enumerate(s.atypes))[s.fixed :]:
            callee.append(f"{ctype.declare(f'a{i}')} = va_arg(more, {ctype.c_name});")
        callee.append("va_end(more);")
    callee += [c_check(i, *leaf) for i, leaf in enumerate(s.argument_leaves())]
    for i, ctype in enumerate(s.atypes):
        if isinstance(ctype, c.Struct):
            callee.append(f"scribble(&a{i}, 0xA5, sizeof a{i});")
    callee += ["return result;"] if s.rtype else []

    arguments = [t.literal(v) for t, v in zip(s.atypes, s.values, strict=True)]
    call = f"(({s.prototype('(*)')})function)({', '.join(arguments)});"
    driver = [f"{s.c_result} result = {call}" if s.rtype else call]
    driver += [c_check(i, *leaf) for i, leaf in enumerate(s.result_leaves())]
    return _body(s.prototype(f"call_{s.index}"), callee) + _body(
        f"void drive_{s.index}(void *function)", driver
    )


def _body(head: str, lines: Sequence[str]) -> str:
    return f"{head}\n{{\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def c_check(number: int, name: str, leaf: c.Leaf) -> str:
    """Write the check of one scalar of a variable."""
    return f"check_{leaf.type.name}({number}, {name}{leaf.path}, {leaf.type.literal(leaf.value)});"


# --- random signatures


def random_scalar(rng: random.Random) -> c.Scalar:
    """Draw a scalar type; integers are the most frequent kind."""
    kinds: list[Sequence[c.Scalar]]
    kinds = [c.INTEGERS, [c.BOOL], [c.CHAR], [c.POINTER], [c.FLOAT], [c.DOUBLE], [c.LONGDOUBLE]]
    kinds.append(c.COMPLEXES)
    return rng.choice(rng.choices(kinds, weights=[30, 5, 5, 5, 15, 15, 5, 10])[0])


def random_struct(rng: random.Random, tag: str, depth: int = 0) -> c.Struct:
    """Draw a struct; small ones, which travel in registers, are the most interesting."""
    members: list[c.CType] = []
    for i in range(rng.choice([1, 2, 2] if depth else [1, 1, 2, 2, 2, 3, 3, 4, 5])):
        nested = depth < 3 and rng.random() < 0.15
        member: c.CType = random_scalar(rng)
        if nested:
            member = random_struct(rng, f"{tag}_{i}", depth + 1)
        if isinstance(member, c.Integer) and rng.random() < 0.05:
            member = c.Array(member, rng.randint(5, 33))
        while rng.random() < 0.15:
            member = c.Array(member, rng.choice([1, 2, 2, 3, 4]))
        members.append(member)
    return c.Struct(tag, tuple(members), rng.choice(["list", "mapping", "dtype"]))


def random_type(rng: random.Random, tag: str) -> c.Scalar | c.Struct:
    """Draw the type of an argument or a result."""
    if rng.random() < 0.6:
        return random_scalar(rng)
    while (drawn := random_struct(rng, tag)).dtype.itemsize > MAX_STRUCT:
        pass
    return drawn


def random_signature(rng: random.Random, index: int) -> Signature:
    """Draw a signature of up to twenty arguments."""
    rtype = random_type(rng, f"r{index}") if rng.random() < 0.9 else None
    atypes = [random_type(rng, f"s{index}_{i}") for i in range(rng.randint(0, 20))]
    fixed = len(atypes)
    if atypes and rng.random() < 0.15:
        fixed = rng.randint(1, fixed)
        for i in range(fixed, len(atypes)):
            while not atypes[i].promoted:
                atypes[i] = random_scalar(rng)
    return make_signature(rng, index, rtype, atypes, fixed)


def random_bit_field(rng: random.Random) -> c.BitField:
    """Draw a bit-field; one in five is padding, and half of those close the storage unit."""
    ctype = rng.choice([rng.choice(c.INTEGERS), c.BOOL, c.CHAR, *rng.choices(c.INTEGERS, k=6)])
    size = 1 if ctype is c.BOOL else 8 * ctype.dtype.itemsize
    width = rng.choice([size, rng.randint(1, size), rng.randint(1, min(size, 9))])
    if rng.random() < 0.2:
        return c.BitField(ctype, rng.choice([0, width]), named=False)
    return c.BitField(ctype, width)


def random_aggregate(rng: random.Random, tag: str, depth: int = 0) -> c.Struct:
    """Draw a struct or union of all kinds of members, bit-fields among them."""
    build = c.Union if rng.random() < 0.35 else c.Struct
    members: list[Any] = []
    for i in range(rng.choice([1, 2, 2] if depth else [1, 2, 2, 2, 3, 3, 4])):
        kind = rng.random()
        if kind < 0.3:
            members += [random_bit_field(rng) for _ in range(rng.choice([1, 2, 2, 3, 5]))]
            continue
        member: c.CType = random_scalar(rng)
        if kind < 0.5 and depth < 3:
            member = random_aggregate(rng, f"{tag}_{i}", depth + 1)
        while rng.random() < 0.15:
            member = c.Array(member, rng.choice([1, 2, 2, 3, 4, 5]))
        members.append(member)
    if all(isinstance(member, c.BitField) and not member.named for member in members):
        members.append(random_scalar(rng))
    return build(tag, tuple(members))


def small_aggregate(rng: random.Random, tag: str) -> c.Struct:
    """Draw a struct or union that may travel in registers, or nearly so."""
    while (drawn := random_aggregate(rng, tag)).dtype.itemsize > MAX_SMALL:
        pass
    return drawn


def random_aggregate_signature(rng: random.Random, index: int) -> Signature:
    """Draw a signature whose structs and unions find few registers left, or none."""
    rtype = small_aggregate(rng, f"r{index}") if rng.random() < 0.7 else random_scalar(rng)
    numbers = rng.choice([c.INTEGERS, [c.FLOAT, c.DOUBLE], [*c.INTEGERS, *[c.DOUBLE] * 8]])
    atypes: list[Any] = rng.choices(numbers, k=rng.choice([0, 0, 0, 3, 4, 5, 6, 7, 8, 12]))
    first = len(atypes)
    for i in range(rng.randint(1, 8)):
        aggregate = rng.random() < 0.7
        atypes.append(small_aggregate(rng, f"s{index}_{i}") if aggregate else random_scalar(rng))
    fixed = len(atypes)
    if rng.random() < 0.1:
        fixed = rng.randint(max(1, first), fixed)
        for i in range(fixed, len(atypes)):
            while not atypes[i].promoted:
                atypes[i] = random_scalar(rng)
    return make_signature(rng, index, rtype, atypes, fixed)


def make_signature(
    rng: random.Random,
    index: int,
    rtype: c.Scalar | c.Struct | None,
    atypes: Sequence[c.Scalar | c.Struct],
    fixed: int | None = None,
) -> Signature:
    """Draw the constants of a signature whose types are given."""
    return Signature(
        index,
        rtype,
        rtype.random(rng) if rtype else None,
        tuple(atypes),
        tuple(t.random(rng) for t in atypes),
        len(atypes) if fixed is None else fixed,
    )


def chosen_signatures(rng: random.Random) -> list[Signature]:
    """List signatures that some libffi gets wrong, and neighbours of theirs."""
    scalars = {t.name: t for t in c.SCALARS}
    count = 0

    def structure(*members: c.CType) -> c.Struct:
        nonlocal count
        count += 1
        return c.Struct(f"k{count}", members)

    def named(text: str) -> list[c.Scalar | c.Struct]:
        return [scalars[name] for name in text.split()]

    five, long, single = named("char " * 5), c.LONGDOUBLE, structure(c.LONGDOUBLE)
    two = structure(c.Array(long, 2))
    in_memory = structure(c.Array(scalars["int64"], 3))
    mixed = structure(*named("char double"))
    cases: list[tuple[c.Scalar | c.Struct | None, list[c.Scalar | c.Struct]]] = [
        (None, [*five, c.FLOAT, mixed]),
        (None, [*five, mixed, c.FLOAT]),
        (None, [*five, c.DOUBLE, structure(*named("int float complex_float"))]),
        (None, [*five, c.DOUBLE, structure(*named("int8 complex_float"))]),
        (None, [*five, c.DOUBLE, structure(*named("int float float"))]),
        (None, [*five, c.DOUBLE, structure(*named("double int"))]),
        (None, [*five, *named("double " * 8), mixed]),
        (None, [*five[1:], c.DOUBLE, mixed]),
        (None, [*five, c.CHAR, c.DOUBLE, mixed]),
        (in_memory, [*five[1:], scalars["complex_float"], mixed]),
        (single, []),
        (single, [long, single]),
        (structure(single), []),
        (structure(c.Array(long, 1)), []),
        (two, [two]),
        (structure(scalars["complex_longdouble"]), [structure(scalars["complex_longdouble"])]),
        (c.BOOL, [structure(c.Array(scalars["uint8"], 4096)), in_memory]),
        (long, [*named("double " * 9), two, structure(*named("long longdouble"))]),
        (None, [in_memory] * 12),
        (None, [*named("double " * 8), structure(c.FLOAT), structure(c.Array(c.DOUBLE, 1))]),
        (None, [structure(*named("float pointer")), structure(*named("double uint64"))]),
        (scalars["uint32"], [structure(structure(c.DOUBLE)), structure(*named("pointer float"))]),
        (scalars["int8"], named("bool uint8 int8 uint16 int16 uint32 int32 " * 2)),
        (scalars["complex_longdouble"], named("int longdouble complex_longdouble int " * 3)),
    ]
    return [make_signature(rng, i, *case) for i, case in enumerate(cases)]


# --- what may be refused


def refusal(s: Signature) -> str | None:
    """Return why a signature may be refused, None if it may not."""
    if any(_is_read_in_two_ways(t) for t in (s.rtype, *s.atypes)):
        return "compilers disagree on unnamed bit-fields where there are no other integers"
    if DIRECT:
        return None
    if any(map(c.has_bits_or_union, s.structs())):
        return "libffi has no unions and bit-fields"
    if X86_64 and s.rtype and _is_one_long_double(s.rtype):
        return "a struct of one long double is returned"
    if X86_64 and _loses_a_vector_register(s):
        return "an INTEGER, SSE struct follows five integer registers and a vector register"
    if AARCH64 and _spills_a_reference(s):
        return "the address of a struct of more than 16 bytes is passed on the stack"
    return None


def _is_read_in_two_ways(ctype: c.CType | None) -> bool:
    # To gcc unnamed bit-fields are integers, to clang nothing on x86-64: a difference where no
    # other integer is beside them, and where one is unaligned.
    if not isinstance(ctype, c.Struct):
        return False
    padding = [
        (member.width, inner)
        for inner in ctype.structs()
        for member in inner.members
        if isinstance(member, c.BitField) and not member.named
    ]
    integers = {
        (offset + i) // 8
        for offset, leaf in ctype.types()
        if not isinstance(leaf, c.Real | c.Complex)
        for i in range(leaf.dtype.itemsize)
    }
    # Beside a long double the order of classes counts, and an integer between others changes it.
    has_longdouble = any(leaf == c.LONGDOUBLE for _, leaf in ctype.types())
    return any(_may_be_unaligned(width, inner) for width, inner in padding) or (
        bool(padding)
        and (has_longdouble or not integers.issuperset(range((ctype.dtype.itemsize + 7) // 8)))
    )


def _may_be_unaligned(width: int, inner: c.Struct) -> bool:
    # An unnamed bit-field as wide as an integer, or any in a union, is such an integer to gcc; it
    # does not align what it is in.
    integer = next(size for size in (8, 16, 32, 64) if width <= size)
    whole = width == integer or isinstance(inner, c.Union)
    return whole and integer > 8 * inner.dtype.alignment


def _is_one_long_double(ctype: c.Scalar | c.Struct) -> bool:
    leaves = list(ctype.types())
    return isinstance(ctype, c.Struct) and leaves == [(0, c.LONGDOUBLE)]


def _loses_a_vector_register(s: Signature) -> bool:
    # Follow the x86-64 System V rules: where a libffi before 3.4.7 has an argument of five integer
    # registers behind it, it copies a struct's second half over the first vector register.
    integers = int(isinstance(s.rtype, c.Struct) and s.rtype.dtype.itemsize > 16)
    vectors = 0
    for ctype in s.atypes:
        classes = _eightbytes(ctype)
        needed = classes.count("INTEGER"), classes.count("SSE")
        if integers + needed[0] > 6 or vectors + needed[1] > 8:
            continue
        if classes == ["INTEGER", "SSE"] and integers == 5 and vectors:
            return True
        integers += needed[0]
        vectors += needed[1]
    return False


def _spills_a_reference(s: Signature) -> bool:
    # Follow the AArch64 rules: libffi aligns such an address like the struct, and before 3.7.1 it
    # reserves no room for it.
    integers = vectors = 0
    for ctype in s.atypes:
        parts = [(t.part, 2) if isinstance(t, c.Complex) else (t, 1) for _, t in ctype.types()]
        count = sum(n for _, n in parts)
        if isinstance(parts[0][0], c.Real) and len({t for t, _ in parts}) == 1 and count <= 4:
            vectors = vectors + count if vectors + count <= 8 else 8
            continue
        by_reference = ctype.dtype.itemsize > 16
        if by_reference and integers == 8:
            return True
        needed = 1 if by_reference else (ctype.dtype.itemsize + 7) // 8
        integers = min(integers + needed, 8)
    return False


def _eightbytes(ctype: c.Scalar | c.Struct) -> list[str]:
    """Classify the eightbytes of an argument; none if it is passed in memory."""
    types = list(ctype.types())
    if ctype.dtype.itemsize > 16 or any(t.name.endswith("longdouble") for _, t in types):
        return []
    classes = ["SSE"] * ((ctype.dtype.itemsize + 7) // 8)
    for offset, leaf in types:
        if not isinstance(leaf, c.Real | c.Complex):
            classes[offset // 8] = "INTEGER"
    return classes
