"""Layouts of types read from C text, against the C compiler's own.

Random structs, unions, bit-fields, anonymous members, arrays and enums are compiled, and sizes,
alignments, offsets and the places of bit-fields compared. ``FFI_DIFF_DECLARATIONS`` says how many,
``FFI_DIFF_SEED`` which.
"""

from __future__ import annotations

import os
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from compiler import compilers

import ffi
from ffi._layouts import item_of, kind_of
from ffi.cdecl import parse_declarations

# Bytes of an object that is compiled to see its bit-fields.
LARGEST = 10**5
COUNT = int(os.environ.get("FFI_DIFF_DECLARATIONS", "200"))
SEED = os.environ.get("FFI_DIFF_SEED", "20")
CHUNK = 100

SCALARS = (
    "char", "signed char", "unsigned char", "short", "unsigned short", "int", "unsigned", "long",
    "unsigned long", "long long", "unsigned long long", "float", "double", "long double", "_Bool",
    "float _Complex", "double _Complex", "size_t", "int8_t", "uint16_t", "int32_t", "uint64_t",
)  # fmt: skip
BITS = {
    "char": 8, "signed char": 8, "unsigned char": 8, "short": 16, "unsigned short": 16, "int": 32,
    "unsigned": 32, "long long": 64, "unsigned long long": 64, "_Bool": 1, "uint16_t": 16,
    "int32_t": 32,
}  # fmt: skip
POINTERS = ("void *{}", "const char *{}", "int (*{})(int, double)", "double (*{})[3]")
NAME = re.compile(r"\bm\d+\b")
HEADERS = "#include <stddef.h>\n#include <stdint.h>\n"


@dataclass
class Drawing:
    """Declarations as they are drawn, with what may be used in later ones."""

    rng: random.Random
    known: list[str] = field(default_factory=list)
    count: int = 0
    names: int = 0

    def name(self) -> str:
        self.names += 1
        return f"m{self.names}"

    def enum(self) -> str:
        self.count += 1
        parts, value = [], 0
        for _ in range(self.rng.randint(1, 4)):
            self.names += 1
            value = self.rng.choice([value, -1, 7, 300, 2**31 - 1, 2**31, 2**33, -(2**35)])
            parts.append(f"E{self.names}" + self.rng.choice(["", f" = {value}"]))
            if parts[-1].endswith(" = 2147483647"):
                break
        tag = f"enum t{self.count}"
        self.known.append(tag)
        return f"{tag} {{ {', '.join(parts)} }};"

    def aggregate(self) -> str:
        self.count += 1
        keyword = self.rng.choice(["struct", "struct", "struct", "union"])
        tag = f"{keyword} t{self.count}"
        text = f"{tag} {self.body(0)};"
        if self.rng.random() < 0.2:
            text = f"typedef {text[:-1]} n{self.count};"
            tag = f"n{self.count}"
        self.known.append(tag)
        return text

    def body(self, depth: int) -> str:
        members = [self.member(depth) for _ in range(self.rng.randint(1, 6))]
        # There is at least one member with a name.
        return f"{{ {' '.join(members)} {self.rng.choice(SCALARS)} {self.name()}; }}"

    def member(self, depth: int) -> str:
        rng = self.rng
        chance = rng.random()
        if chance < 0.25:
            base = rng.choice(list(BITS))
            width = rng.choice([1, BITS[base], rng.randint(1, BITS[base])])
            if rng.random() < 0.15:
                return f"{base} : {rng.choice([0, width])};"
            return f"{base} {self.name()} : {width};"
        if chance < 0.4 and depth < 3:
            inner = f"{rng.choice(['struct', 'union'])} {self.body(depth + 1)}"
            declarator = rng.choice(["", "", self.name(), f"{self.name()}[{rng.randint(1, 4)}]"])
            return f"{inner} {declarator};"
        if chance < 0.5:
            return rng.choice(POINTERS).format(self.name()) + ";"
        # Of the first ones only: members of members of members grow without end.
        base = rng.choice(self.known[:20]) if self.known and chance < 0.65 else rng.choice(SCALARS)
        declarators = []
        for _ in range(rng.choice([1, 1, 1, 2])):
            axes = "".join(f"[{rng.randint(1, 5)}]" for _ in range(rng.choice([0, 0, 0, 1, 2])))
            declarators.append(self.name() + axes)
        return f"{rng.choice(['', '', 'const '])}{base} {', '.join(declarators)};"


def draw(chunk: int) -> tuple[str, list[str]]:
    drawing = Drawing(random.Random(f"{SEED} {chunk}"))
    lines = [
        drawing.enum() if drawing.rng.random() < 0.1 else drawing.aggregate()
        for _ in range(min(CHUNK, COUNT - chunk * CHUNK))
    ]
    return "\n".join(lines), drawing.known


@dataclass(frozen=True)
class Place:
    """A member of a type, of its members, and so on: its path in C, offset, and bits."""

    path: str
    offset: int
    type: ffi.Type
    bits: tuple[int, int] | None


def places(c_type: ffi.Type, path: str = "", offset: int = 0) -> Iterator[Place]:
    if path and not path.endswith("]"):
        yield Place(path, offset, c_type, None)
    if kind_of(c_type) == "array":
        item, length = item_of(c_type)
        yield from places(item, f"{path}[{length - 1}]", offset + (length - 1) * item.size)
        return
    # The given names of members without one are underscores.
    for i, (name, member, start) in enumerate(c_type.fields or ()):
        inner = path if name.startswith("_") else f"{path}.{name}".lstrip(".")
        bits = None if c_type.bits is None else c_type.bits[i]
        if bits is not None:
            yield Place(inner, offset + start, member, bits)
        elif name.startswith("_"):
            yield from (p for p in places(member, inner, offset + start) if p.path != path)
        else:
            yield from places(member, inner, offset + start)


def own_places(c_type: ffi.Type) -> list[Place]:
    return list(places(c_type)) if c_type.fields else []


def table(tags: list[str], types: dict[str, ffi.Type]) -> str:
    """Write C that says sizes, alignments, offsets, and bytes with all bits of a member set."""
    lines, numbers = [], []
    for i, tag in enumerate(tags):
        numbers += [f"sizeof({tag})", f"_Alignof({tag})"]
        if tag.startswith("enum"):
            numbers.append(f"({tag})-1 < 0")
        for k, place in enumerate(own_places(types[tag])):
            if place.bits is None:
                numbers.append(f"offsetof({tag}, {place.path})")
            elif types[tag].size <= LARGEST:
                lines.append(
                    f"union {{ {tag} value; unsigned char raw[sizeof({tag})]; }} bits_{i}_{k} = "
                    f"{{ .value = {{ .{place.path} = -1 }} }};"
                )
    numbers_text = ",\n".join(f"(long long)({number})" for number in numbers)
    return "\n".join([*lines, f"const long long numbers[] = {{ {numbers_text} }};"])


def with_all_bits(size: int, place: Place) -> bytes:
    raw = bytearray(size + 8)
    shift, width = place.bits
    unit = place.type.size
    value = ((1 << width) - 1) << shift
    raw[place.offset : place.offset + unit] = value.to_bytes(unit, sys.byteorder)
    return bytes(raw[:size])


@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("chunk", range((COUNT + CHUNK - 1) // CHUNK))
def test_random_declarations(compile_c, chunk, compiler):
    text, tags = draw(chunk)
    types = dict(parse_declarations(text).types)
    source = f"{HEADERS}{text}\n{table(tags, types)}"
    flags = ("-O0", "-w")
    library = ffi.dlopen(compile_c(source, f"declarations{chunk}", *flags, compiler=compiler))

    numbers = iter(ffi.view(ffi.dlsym(library, "numbers"), "longlong", 10**6)[:])
    found = []
    for i, tag in enumerate(tags):
        c_type = types[tag]
        wanted = (int(next(numbers)), int(next(numbers)))
        if (c_type.size, c_type.alignment) != wanted:
            found.append(f"{tag}: {c_type.size}, {c_type.alignment}, in C {wanted}")
        if tag.startswith("enum") and (c_type.dtype.kind == "i") != bool(next(numbers)):
            found.append(f"{tag}: {c_type.dtype}")
        for k, place in enumerate(own_places(c_type)):
            if place.bits is None:
                offset = int(next(numbers))
                if offset != place.offset:
                    found.append(f"{tag}.{place.path} at {place.offset}, in C at {offset}")
                continue
            if c_type.size > LARGEST:
                continue
            raw = bytes(ffi.view(ffi.dlsym(library, f"bits_{i}_{k}"), "uint8", c_type.size))
            if raw != with_all_bits(c_type.size, place):
                found.append(f"{tag}.{place.path}: bits {place.bits} at {place.offset}, in C {raw}")
    assert not found, "\n".join(found[:10])
    # No member is forgotten.
    read = {name for tag in tags for p in own_places(types[tag]) for name in NAME.findall(p.path)}
    assert read == set(NAME.findall(text))


@pytest.mark.parametrize("chunk", range((COUNT + CHUNK - 1) // CHUNK))
def test_dtypes_round_trip(chunk):
    text, tags = draw(chunk)
    types = parse_declarations(text).types
    checked = 0
    for tag in tags:
        c_type = types[tag]
        dtype = c_type.dtype
        assert (dtype.itemsize, dtype.alignment) == (c_type.size, c_type.alignment)
        if kind_of(c_type) != "struct" or not has_dtype_of_its_own(c_type):
            continue
        assert ffi.struct(dtype) == c_type
        checked += 1
    assert checked or len(tags) < CHUNK


def has_dtype_of_its_own(c_type: ffi.Type) -> bool:
    # NumPy has no unions, no bit-fields, and no types of what pointers point at.
    if kind_of(c_type) == "array":
        return has_dtype_of_its_own(item_of(c_type)[0])
    if c_type.bits is not None or kind_of(c_type) in ("union", "pointer"):
        return False
    return all(has_dtype_of_its_own(member) for _, member, _ in c_type.fields or ())
