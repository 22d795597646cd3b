"""C's own words for types, and the names that its standard headers give to some."""

from __future__ import annotations

from collections.abc import Iterator

from ffi._layouts import opaque, pointer_to
from ffi._tables import types as scalars
from ffi._types import Type, fast_integers


def _spellings() -> Iterator[tuple[str, str]]:
    # What C's words for a type mean, in one order of the words.
    yield from (
        ("void", "void"),
        ("_Bool", "bool"),
        ("char", "char"),
        ("signed char", "schar"),
        ("unsigned char", "uchar"),
        ("float", "float"),
        ("double", "double"),
        ("long double", "longdouble"),
        ("float _Complex", "complex_float"),
        ("double _Complex", "complex_double"),
        ("long double _Complex", "complex_longdouble"),
        ("int", "int"),
        ("signed", "int"),
        ("signed int", "int"),
        ("unsigned", "uint"),
        ("unsigned int", "uint"),
    )
    for words in ("short", "long", "long long"):
        name = words.replace(" ", "")
        for rest in ("", " int"):
            yield f"{words}{rest}", name
            yield f"signed {words}{rest}", name
            yield f"unsigned {words}{rest}", f"u{name}"


# C takes the words in any order.
BY_WORDS = {tuple(sorted(words.split())): scalars[name] for words, name in _spellings()}

# What functions such as vprintf take: in one ABI an array, in others a struct or a pointer. All
# pass it as one address, which only C can make.
VA_LIST = opaque("va_list")
PASSED_VA_LIST = pointer_to(opaque("struct __va_list_tag"))

# What the headers stdint.h, stddef.h, stdbool.h, stdio.h, dirent.h, stdarg.h and sys/types.h give a
# name.
TYPEDEFS: dict[str, Type] = {
    "bool": scalars["bool"],
    **{name: opaque(name) for name in ("FILE", "DIR")},
    "va_list": VA_LIST,
    "__builtin_va_list": VA_LIST,
    "_Float32": scalars["float"],
    "_Float32x": scalars["double"],
    "_Float64": scalars["double"],
    **{
        name: scalars[name]
        for name in ("size_t", "ssize_t", "ptrdiff_t", "wchar_t", "intptr_t", "uintptr_t")
    },
    "intmax_t": scalars["int64"],
    "uintmax_t": scalars["uint64"],
    **fast_integers(),
    **{
        f"{sign}int{kind}{bits}_t": scalars[f"{sign}int{bits}"]
        for sign in ("", "u")
        for kind in ("", "_least")
        for bits in (8, 16, 32, 64)
    },
}
if scalars["longdouble"].size > scalars["double"].size:
    TYPEDEFS["_Float64x"] = scalars["longdouble"]
