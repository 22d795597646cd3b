"""C types for random signatures.

Every kind of C type is a small class that knows its C spelling, its Type under test, how to draw a
random value, how C writes that value, how it lies in memory, and how to compare it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

import ffi


class Leaf(NamedTuple):
    """One scalar of an argument or a result: where it is, what it is, and its expected value."""

    path: str
    offset: int
    type: Scalar
    value: Any


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
        return value if self.suffix == "L" else float(value)

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
class Array:
    """An array member of a struct."""

    element: Scalar | Array | Struct
    length: int

    @property
    def dtype(self) -> np.dtype:
        """The layout as NumPy computes it."""
        return np.dtype((self.element.dtype, (self.length,)))

    @property
    def ffi_type(self) -> np.dtype:
        """The subarray dtype that stands for the array in ffi.struct."""
        element = self.element.ffi_type
        return np.dtype((getattr(element, "dtype", element), (self.length,)))

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
    """A struct with members m0, m1, ...; spelling says how ffi.struct is told."""

    tag: str
    members: tuple[Scalar | Array | Struct, ...]
    spelling: str = "list"
    promoted = True

    @property
    def c_name(self) -> str:
        """The type's name in C."""
        return f"struct {self.tag}"

    @cached_property
    def dtype(self) -> np.dtype:
        """The layout as NumPy computes it."""
        return np.dtype([(f"m{i}", m.dtype) for i, m in enumerate(self.members)], align=True)

    @cached_property
    def offsets(self) -> list[int]:
        """The members' offsets."""
        fields: Any = self.dtype.fields
        return [fields[f"m{i}"][1] for i in range(len(self.members))]

    @cached_property
    def ffi_type(self) -> Any:
        """The Type under test."""
        spec: Any = [(f"m{i}", m.ffi_type) for i, m in enumerate(self.members)]
        if self.spelling == "mapping":
            spec = dict(spec)
        elif self.spelling == "dtype":
            spec = np.dtype([(name, getattr(t, "dtype", t)) for name, t in spec], align=True)
        return ffi.struct(spec, name=self.tag)

    def declare(self, name: str) -> str:
        """Declare a variable of this type in C."""
        return f"{self.c_name} {name}"

    def definition(self) -> str:
        """Define this struct in C, and an array that holds its layout."""
        members = "".join(f" {m.declare(f'm{i}')};" for i, m in enumerate(self.members))
        offsets = "".join(f", offsetof({self.c_name}, m{i})" for i in range(len(self.members)))
        return (
            f"{self.c_name} {{{members} }};\n"
            f"const size_t layout_{self.tag}[] = "
            f"{{sizeof({self.c_name}), _Alignof({self.c_name}){offsets}}};\n"
        )

    def structs(self) -> Iterator[Struct]:
        """List the structs that this one needs, innermost first, and itself."""
        for member in self.members:
            while isinstance(member, Array):
                member = member.element
            if isinstance(member, Struct):
                yield from member.structs()
        yield self

    def types(self, offset: int = 0) -> Iterator[tuple[int, Scalar]]:
        """List the offsets and types of the scalars."""
        for i, member in enumerate(self.members):
            yield from member.types(offset + self.offsets[i])

    def leaves(self, value: Sequence[Any], path: str = "", offset: int = 0) -> Iterator[Leaf]:
        """List the scalars of a value."""
        for i, (member, item) in enumerate(zip(self.members, value, strict=True)):
            at = offset + self.offsets[i]
            yield from member.leaves(item, f"{path}.m{i}", at)

    def random(self, rng: random.Random) -> tuple[Any, ...]:
        """Draw a value."""
        return tuple(member.random(rng) for member in self.members)

    def literal(self, value: Sequence[Any]) -> str:
        """Write a value as a C compound literal."""
        members = ", ".join(m.literal(v) for m, v in zip(self.members, value, strict=True))
        return f"({self.c_name}){{{members}}}"


CType = Scalar | Array | Struct

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
