"""C types for random signatures.

Every kind of C type is a small class that knows its C spelling, its Type under test, how to draw a
random value, how C writes that value, how it lies in memory, and how to compare it.
"""

from __future__ import annotations

import platform
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

import ffi


class Leaf(NamedTuple):
    """One scalar of an argument or a result: where it is, what it is, and its expected value."""

    path: str
    offset: int
    type: Scalar | BitField
    value: Any
    shift: int = 0

    def load(self, raw: bytes) -> Any:
        """Return what stands for the scalar in the bytes of the whole value."""
        return self.type.load(raw[self.offset :], self.shift)

    def store(self, storage: np.ndarray) -> None:
        """Write the scalar's value into the bytes of the whole value."""
        self.type.store(storage[self.offset :], self.shift, self.value)


@dataclass(frozen=True)
class Scalar:
    """A C type without members."""

    name: str
    c_name: str
    dtype: np.dtype

    @property
    def ffi_type(self) -> Any:
        """The Type under test."""
        return getattr(ffi.types, self.name)

    def declare(self, name: str) -> str:
        """Declare a variable of this type in C."""
        return f"{self.c_name} {name}"

    @property
    def promoted(self) -> bool:
        """Whether C passes it unchanged through an ellipsis."""
        return True

    def types(self, offset: int = 0) -> Iterator[tuple[int, Scalar]]:
        """List the offsets and types of the scalars."""
        yield offset, self

    def leaves(self, value: Any, path: str = "", offset: int = 0) -> Iterator[Leaf]:
        """List the scalars of a value."""
        yield Leaf(path, offset, self, value)

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a value in memory."""
        return np.array(value, self.dtype).tobytes()

    def decode(self, raw: bytes) -> Any:
        """Return the value that stands at the start of raw bytes."""
        return np.frombuffer(raw, self.dtype, 1)[0].item()

    def load(self, raw: bytes, shift: int) -> Any:
        """Return the value that stands at the start of raw bytes."""
        return self.decode(raw)

    def store(self, storage: np.ndarray, shift: int, value: Any) -> None:
        """Write a value to the start of an array of bytes."""
        raw = np.frombuffer(self.encode(value), np.uint8)
        storage[: raw.size] = raw

    def same(self, left: Any, right: Any) -> bool:
        """Tell whether two values are the same C value."""
        return type(left) is type(right) and left == right

    def random(self, rng: random.Random) -> Any:
        """Draw a value."""
        raise NotImplementedError

    def literal(self, value: Any) -> str:
        """Write a value as a C expression."""
        raise NotImplementedError


@dataclass(frozen=True)
class Integer(Scalar):
    """An integer type; extremes are drawn often."""

    @property
    def promoted(self) -> bool:
        return bool(self.dtype.itemsize >= np.dtype(np.intc).itemsize)

    def random(self, rng: random.Random) -> int:
        low, high = int(np.iinfo(self.dtype).min), int(np.iinfo(self.dtype).max)
        if rng.random() < 0.3:
            return rng.choice([low, high, low + 1, high - 1, 0, 1, -1 if low else high // 2 + 1])
        return rng.randint(low, high)

    def literal(self, value: int) -> str:
        if value < 0:
            return f"({self.c_name})({value + 1}LL - 1)"
        return f"({self.c_name}){value}{'U' if value >= 2**63 else ''}LL"


@dataclass(frozen=True)
class Boolean(Scalar):
    """C's _Bool."""

    promoted = False

    def random(self, rng: random.Random) -> bool:
        return rng.random() < 0.5

    def literal(self, value: bool) -> str:
        return f"(_Bool){int(value)}"


@dataclass(frozen=True)
class Character(Scalar):
    """Plain char: bytes of length one, whatever its signedness."""

    promoted = False

    def encode(self, value: bytes) -> bytes:
        return value

    def decode(self, raw: bytes) -> bytes:
        return bytes(raw[:1])

    def random(self, rng: random.Random) -> bytes:
        return bytes([rng.choice([0, 127, 128, 255, rng.randrange(256)])])

    def literal(self, value: bytes) -> str:
        return f"(char){value[0]}"


@dataclass(frozen=True)
class Address(Scalar):
    """A void pointer, never followed."""

    def random(self, rng: random.Random) -> int:
        bits: int = 8 * self.dtype.itemsize
        return rng.choice([0, 2**bits - 1, rng.getrandbits(bits), rng.getrandbits(bits)])

    def literal(self, value: int) -> str:
        return f"(void *)(uintptr_t){value:#x}ULL"


@dataclass(frozen=True)
class Real(Scalar):
    """A floating-point type; not-a-number is left out, because it equals nothing."""

    suffix: str

    @property
    def promoted(self) -> bool:
        return self.suffix != "f"

    def decode(self, raw: bytes) -> Any:
        value = np.frombuffer(raw, self.dtype, 1)[0]
        return value if self.suffix == "L" else float(value)

    def same(self, left: Any, right: Any) -> bool:
        return super().same(left, right) and bool(np.signbit(left) == np.signbit(right))

    def random(self, rng: random.Random) -> Any:
        info = np.finfo(self.dtype)
        if rng.random() < 0.3:
            extremes = [0.0, np.inf, info.max, info.tiny, info.smallest_subnormal, info.eps]
            value = self.dtype.type(rng.choice(extremes))
        else:
            digits = self.dtype.type(rng.getrandbits(info.nmant) | 1 << info.nmant)
            value = np.ldexp(digits, rng.randint(-40, 40) - info.nmant)
        value = -value if rng.random() < 0.5 else value
        # NumPy gives a float64 where that is long double's format.
        return self.dtype.type(value) if self.suffix == "L" else float(value)

    def literal(self, value: Any) -> str:
        sign = "-" if np.signbit(value) else ""
        if np.isinf(value):
            return f"{sign}({self.c_name})INFINITY"
        digits = int(np.finfo(self.dtype).nmant) + 1
        fraction, exponent = np.frexp(self.dtype.type(abs(value)))
        return f"{sign}{int(np.ldexp(fraction, digits)):#x}p{int(exponent) - digits}{self.suffix}"


@dataclass(frozen=True)
class Complex(Scalar):
    """A complex type; each part is drawn and compared as a real number."""

    part: Real

    def decode(self, raw: bytes) -> Any:
        value = np.frombuffer(raw, self.dtype, 1)[0]
        return value if self.part.suffix == "L" else complex(value)

    def same(self, left: Any, right: Any) -> bool:
        return (
            type(left) is type(right)
            and self.part.same(left.real, right.real)
            and self.part.same(left.imag, right.imag)
        )

    def random(self, rng: random.Random) -> Any:
        value = np.zeros((), self.dtype)
        value.real, value.imag = self.part.random(rng), self.part.random(rng)
        return value[()] if self.part.suffix == "L" else complex(value[()])

    def literal(self, value: Any) -> str:
        parts = f"{self.part.literal(value.real)}, {self.part.literal(value.imag)}"
        return f"make_{self.name}({parts})"


@dataclass(frozen=True)
class BitField:
    """A bit-field; without a name it is padding. Plain char's are numbers."""

    type: Integer | Boolean | Character
    width: int
    named: bool = True

    @property
    def name(self) -> str:
        """The declared type's name."""
        return self.type.name

    @property
    def dtype(self) -> np.dtype:
        """The declared type's dtype."""
        return self.type.dtype

    @property
    def signed(self) -> bool:
        """Whether there are negative values."""
        return CHAR_IS_SIGNED if self.type is CHAR else self.dtype.kind == "i"

    def declare(self, name: str) -> str:
        """Declare a member in C."""
        return f"{self.type.c_name} {name if self.named else ''}:{self.width}"

    def types(self, offset: int = 0) -> Iterator[tuple[int, BitField]]:
        """List the offsets and types of the scalars."""
        yield offset, self

    def load(self, raw: bytes, shift: int) -> Any:
        """Return the value from the storage unit at the start of raw bytes."""
        # A unit may reach beyond the end of the value.
        size = self.dtype.itemsize
        unit = int.from_bytes(raw[:size].ljust(size, b"\0"), sys.byteorder)
        value = unit >> shift & (1 << self.width) - 1
        if self.type is BOOL:
            return bool(value)
        return value - (1 << self.width) * (self.signed and value >> self.width - 1)

    def store(self, storage: np.ndarray, shift: int, value: Any) -> None:
        """Write a value into the storage unit at the start of an array of bytes."""
        size = self.dtype.itemsize
        unit = int.from_bytes(storage[:size].tobytes().ljust(size, b"\0"), sys.byteorder)
        mask = (1 << self.width) - 1
        unit = unit & ~(mask << shift) | (int(value) & mask) << shift
        raw = np.frombuffer(unit.to_bytes(size, sys.byteorder), np.uint8)
        storage[:size] = raw[: storage.size]

    def same(self, left: Any, right: Any) -> bool:
        """Tell whether two values are the same C value."""
        return type(left) is type(right) and left == right

    def random(self, rng: random.Random) -> Any:
        """Draw a value; extremes are drawn often."""
        if self.type is BOOL:
            return rng.random() < 0.5
        low = -(1 << self.width - 1) if self.signed else 0
        high = low + (1 << self.width) - 1
        return rng.choice([low, high, 0, rng.randint(low, high), rng.randint(low, high)])

    def literal(self, value: Any) -> str:
        """Write a value as a C expression."""
        return Integer.literal(self.type, int(value))


@dataclass(frozen=True)
class Array:
    """An array member of a struct."""

    element: Scalar | Array | Struct
    length: int

    @property
    def dtype(self) -> np.dtype:
        """The layout as NumPy computes it."""
        return array_dtype(self.element.dtype, self.length)

    @property
    def ffi_type(self) -> Any:
        """What stands for the array in ffi.struct: a subarray dtype where one says it all."""
        element = self.element.ffi_type
        if has_bits_or_union(self.element) or not is_told_by_dtype(self.element):
            return element, self.length
        return array_dtype(getattr(element, "dtype", element), self.length)

    def declare(self, name: str) -> str:
        """Declare a variable of this type in C."""
        return self.element.declare(f"{name}[{self.length}]")

    def types(self, offset: int = 0) -> Iterator[tuple[int, Scalar]]:
        """List the offsets and types of the scalars."""
        for i in range(self.length):
            yield from self.element.types(offset + i * self.element.dtype.itemsize)

    def leaves(self, value: Sequence[Any], path: str = "", offset: int = 0) -> Iterator[Leaf]:
        """List the scalars of a value."""
        stride = self.element.dtype.itemsize
        for i, item in enumerate(value):
            yield from self.element.leaves(item, f"{path}[{i}]", offset + i * stride)

    def random(self, rng: random.Random) -> list[Any]:
        """Draw a value."""
        return [self.element.random(rng) for _ in range(self.length)]

    def literal(self, value: Sequence[Any]) -> str:
        """Write a value as a C initialiser."""
        return "{" + ", ".join(map(self.element.literal, value)) + "}"


@dataclass(frozen=True)
class Struct:
    """A struct with members m0, m1, ...; spelling says how ffi.struct is told.

    A value is a tuple of the values of the members that have a name.
    """

    tag: str
    members: tuple[Scalar | BitField | Array | Struct, ...]
    spelling: str = "list"
    keyword = "struct"
    promoted = True

    @property
    def c_name(self) -> str:
        """The type's name in C."""
        return f"{self.keyword} {self.tag}"

    @cached_property
    def named(self) -> dict[str, Scalar | BitField | Array | Struct]:
        """The members that have a name."""
        return {
            f"m{i}": member
            for i, member in enumerate(self.members)
            if not isinstance(member, BitField) or member.named
        }

    @cached_property
    def dtype(self) -> np.dtype:
        """The layout as NumPy computes it; of bit-fields and unions it computes none."""
        if has_bits_or_union(self):
            return self.ffi_type.dtype
        return np.dtype([(name, m.dtype) for name, m in self.named.items()], align=True)

    @cached_property
    def places(self) -> dict[str, tuple[int, int]]:
        """Offset of each named member, and shift in its storage unit; bit-fields' as ffi says."""
        if not has_bits_or_union(self):
            fields: Any = self.dtype.fields
            return {name: (fields[name][1], 0) for name in self.named}
        bits = self.ffi_type.bits or [None] * len(self.named)
        return {
            name: (offset, place[0] if place else 0)
            for (name, _, offset), place in zip(self.ffi_type.fields, bits, strict=True)
        }

    @cached_property
    def ffi_type(self) -> Any:
        """The Type under test."""
        spec: Any = []
        for i, member in enumerate(self.members):
            if isinstance(member, BitField):
                name = f"m{i}" if member.named else None
                spec.append((name, member.type.ffi_type, member.width))
            else:
                spec.append((f"m{i}", member.ffi_type))
        if self.spelling == "mapping":
            spec = dict(spec)
        elif self.spelling == "dtype" and is_told_by_dtype(self):
            spec = np.dtype([(name, getattr(t, "dtype", t)) for name, t in spec], align=True)
        return getattr(ffi, self.keyword)(spec, name=self.tag)

    def declare(self, name: str) -> str:
        """Declare a variable of this type in C."""
        return f"{self.c_name} {name}"

    def definition(self) -> str:
        """Define this type in C, and constants that hold its layout."""
        members = "".join(f" {m.declare(f'm{i}')};" for i, m in enumerate(self.members))
        offsets = "".join(
            f", offsetof({self.c_name}, {name})"
            for name, member in self.named.items()
            if not isinstance(member, BitField)
        )
        ones = "".join(
            f"const {self.c_name} ones_{self.tag}_{name} = "
            f"{{.{name} = {1 if member.type is BOOL else -1}}};\n"
            for name, member in self.named.items()
            if isinstance(member, BitField)
        )
        return (
            f"{self.c_name} {{{members} }};\n"
            f"const size_t layout_{self.tag}[] = "
            f"{{sizeof({self.c_name}), _Alignof({self.c_name}){offsets}}};\n{ones}"
        )

    def structs(self) -> Iterator[Struct]:
        """List the structs and unions that this one needs, innermost first, and itself."""
        for member in self.members:
            while isinstance(member, Array):
                member = member.element
            if isinstance(member, Struct):
                yield from member.structs()
        yield self

    def types(self, offset: int = 0) -> Iterator[tuple[int, Scalar | BitField]]:
        """List the offsets and types of the scalars."""
        for name, member in self.named.items():
            yield from member.types(offset + self.places[name][0])

    def items(self, value: Any) -> dict[str, Any]:
        """Return the members' values by name."""
        return dict(zip(self.named, value, strict=True))

    def leaves(self, value: Any, path: str = "", offset: int = 0) -> Iterator[Leaf]:
        """List the scalars of a value."""
        for name, item in self.items(value).items():
            member, (start, shift) = self.named[name], self.places[name]
            at = offset + start
            if isinstance(member, BitField):
                yield Leaf(f"{path}.{name}", at, member, item, shift)
            else:
                yield from member.leaves(item, f"{path}.{name}", at)

    def random(self, rng: random.Random) -> Any:
        """Draw a value."""
        return tuple(member.random(rng) for member in self.named.values())

    def literal(self, value: Any) -> str:
        """Write a value as a C compound literal."""
        members = [
            f".{name} = {self.named[name].literal(v)}" for name, v in self.items(value).items()
        ]
        return f"({self.c_name}){{{', '.join(members)}}}"


class Union(Struct):
    """A union with members m0, m1, ...

    A value is a dict of one member, the one that counts; what it shares its bytes with does not.
    """

    keyword = "union"

    def items(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return the values that count by name."""
        return value

    def random(self, rng: random.Random) -> dict[str, Any]:
        """Draw a member and a value of it."""
        name = rng.choice(list(self.named))
        return {name: self.named[name].random(rng)}


CType = Scalar | Array | Struct


def has_bits_or_union(ctype: CType | BitField) -> bool:
    """Tell whether a type is or contains what NumPy has no layout of."""
    if isinstance(ctype, Array):
        return has_bits_or_union(ctype.element)
    if isinstance(ctype, Struct):
        return isinstance(ctype, Union) or any(map(has_bits_or_union, ctype.members))
    return isinstance(ctype, BitField)


def array_dtype(item: np.dtype, length: int) -> np.dtype:
    """Return the dtype of an array, with all axes in one shape."""
    base, shape = item.subdtype or (item, ())
    return np.dtype((base, (length, *shape)))


def is_told_by_dtype(ctype: CType) -> bool:
    """Tell whether a dtype says enough for calls: a pointer is an integer there."""
    # Beside a float RISC-V passes the two differently.
    return platform.machine() != "riscv64" or all(t != POINTER for _, t in ctype.types())


def layout_problems(ctype: Struct, constant: Callable[[str, Any, int], np.ndarray]) -> list[str]:
    """Compare a layout with C's constants, which ``constant(name, dtype, count)`` views."""
    found = []
    under_test = ctype.ffi_type
    bits = under_test.bits or [None] * len(under_test.fields)
    members = dict(zip([name for name, _, _ in under_test.fields], bits, strict=True))
    whole = {name: offset for name, _, offset in under_test.fields if members[name] is None}
    expected = constant(f"layout_{ctype.tag}", np.uintp, 2 + len(whole)).tolist()
    dtype = under_test.dtype
    for layout in (
        [under_test.size, under_test.alignment, *whole.values()],
        [dtype.itemsize, dtype.alignment, *(dtype.fields[name][1] for name in dtype.names)],
    ):
        if layout != expected:
            found.append(f"{ctype.c_name}: size, alignment, offsets {expected}, got {layout}")
    if ctype.dtype.itemsize != expected[0]:
        found.append(f"{ctype.c_name}: {expected[0]} bytes, the tests say {ctype.dtype.itemsize}")
    if list(members) != list(ctype.named) or dtype.names != tuple(whole) or found:
        return [*found, f"{ctype.c_name}: members {list(members)}, dtype {dtype}"]
    for name, member in ctype.named.items():
        if isinstance(member, BitField):
            raw = constant(f"ones_{ctype.tag}_{name}", np.uint8, under_test.size)
            ours = np.zeros(under_test.size, np.uint8)
            offset, shift = ctype.places[name]
            member.store(ours[offset:], shift, -1)
            if (members[name], ours.tolist()) != ((shift, member.width), raw.tolist()):
                found.append(f"{ctype.c_name}.{name}: C's bits are {raw}, got {ours}")
    return found


INTEGERS = [
    *(
        Integer(f"{u}int{b}", f"{u}int{b}_t", np.dtype(f"{u}int{b}"))
        for u in ("", "u")
        for b in (8, 16, 32, 64)
    ),
    Integer("schar", "signed char", np.dtype(np.byte)),
    Integer("uchar", "unsigned char", np.dtype(np.ubyte)),
    Integer("short", "short", np.dtype(np.short)),
    Integer("ushort", "unsigned short", np.dtype(np.ushort)),
    Integer("int", "int", np.dtype(np.intc)),
    Integer("uint", "unsigned", np.dtype(np.uintc)),
    Integer("long", "long", np.dtype("l")),
    Integer("ulong", "unsigned long", np.dtype("L")),
    Integer("longlong", "long long", np.dtype(np.longlong)),
    Integer("ulonglong", "unsigned long long", np.dtype(np.ulonglong)),
    Integer("size_t", "size_t", np.dtype(np.uintp)),
    Integer("ptrdiff_t", "ptrdiff_t", np.dtype(np.intp)),
]
BOOL = Boolean("bool", "_Bool", np.dtype(np.bool_))
CHAR = Character("char", "char", np.dtype("S1"))
POINTER = Address("pointer", "void *", np.dtype(np.uintp))
FLOAT = Real("float", "float", np.dtype(np.float32), "f")
DOUBLE = Real("double", "double", np.dtype(np.float64), "")
LONGDOUBLE = Real("longdouble", "long double", np.dtype(np.longdouble), "L")
COMPLEXES = [
    Complex("complex_float", "float _Complex", np.dtype(np.complex64), FLOAT),
    Complex("complex_double", "double _Complex", np.dtype(np.complex128), DOUBLE),
    Complex("complex_longdouble", "long double _Complex", np.dtype(np.clongdouble), LONGDOUBLE),
]
SCALARS = [*INTEGERS, BOOL, CHAR, POINTER, FLOAT, DOUBLE, LONGDOUBLE, *COMPLEXES]
# As it is for a bit-field of plain char; a wrong answer would show in C.
CHAR_IS_SIGNED = bool(ffi.read(ffi.struct([("c", "char", 8)]), b"\xff")["c"] < 0)
