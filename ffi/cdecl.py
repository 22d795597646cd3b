"""C declarations: text to types and prototypes, and back.

The door to the modules that read C, which are loaded at the first text. Nothing here touches a
value, an address or a library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ffi._dimension import Dimension
from ffi._layouts import kind_of, spell_c
from ffi._prototype import (
    NO_QUALITIES,
    Declarations,
    Parameter,
    Prototype,
    Qualities,
    with_out,
)
from ffi._specs import set_readers
from ffi._types import Type
from ffi.errors import FFITypeError, FFIValueError

if TYPE_CHECKING:
    from ffi._cparse import Reader

__all__ = [
    "Declarations",
    "Dimension",
    "Parameter",
    "Prototype",
    "Qualities",
    "check_name",
    "parse_declarations",
    "parse_definition",
    "parse_prototype",
    "parse_type",
    "spell",
    "typeof",
    "with_out",
]

_NAME = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)

_NO_TYPES: Mapping[str, Type] = MappingProxyType({})
_NO_CONSTANTS: Mapping[str, int | float] = MappingProxyType({})


def parse_declarations(
    source: str,
    types: Mapping[str, Type] = _NO_TYPES,
    constants: Mapping[str, int | float] = _NO_CONSTANTS,
    qualities: Qualities = NO_QUALITIES,
) -> Declarations:
    """Read declarations, as a header has them.

    Parameters
    ----------
    source : str
        Prototypes, variables, structs, unions, enums, typedefs, and lines ``#define NAME number``.
    types : mapping, optional
        What is known besides C's own types: typedef names, and tags as in ``"struct point"``.
    constants : mapping, optional
        What is known for dimensions and the like.
    qualities : Qualities, optional
        Of the known types and constants.

    Returns
    -------
    Declarations
        What the text declares itself, without what it was given.

    Raises
    ------
    TypeError
        For types and constants that are not declared, and values of types that have none.
    ValueError
        For what is no C, and for declarations that contradict each other; the message tells the
        line and the column.
    NotImplementedError
        For function bodies, initial values, attributes that change a layout, and the like.
    """
    source = to_str("declarations", source)
    if types or constants:
        return _read_declarations(source, types, constants, qualities)
    return _declarations(source)


def parse_prototype(
    text: str,
    types: Mapping[str, Type] = _NO_TYPES,
    constants: Mapping[str, int | float] = _NO_CONSTANTS,
    qualities: Qualities = NO_QUALITIES,
) -> Prototype:
    """Read the prototype of a function.

    Parameters
    ----------
    text : str
        Such as ``"double hypot(double x, double y)"``; names may be left out.
    types, constants, qualities : optional
        As for `parse_declarations`.

    Returns
    -------
    Prototype
        With the dimensions of its array parameters.

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        As by `parse_declarations`.
    """
    text = to_str("prototype", text)
    if types or constants:
        return _read_prototype(text, types, constants, qualities)
    return _prototype(text)


def parse_type(
    text: str,
    types: Mapping[str, Type] = _NO_TYPES,
    constants: Mapping[str, int | float] = _NO_CONSTANTS,
    qualities: Qualities = NO_QUALITIES,
) -> Type:
    """Read the name of a type.

    Parameters
    ----------
    text : str
        Such as ``"const double *"``.
    types, constants, qualities : optional
        As for `parse_declarations`.

    Returns
    -------
    Type
        A known one, or a new one where the text defines or derives it.

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        As by `parse_declarations`.
    """
    text = to_str("type", text)
    if types or constants:
        return _read_type(text, types, constants, qualities)
    return _type(text)


def typeof(text: str) -> Type:
    """Return the type that C text names.

    Parameters
    ----------
    text : str
        Such as ``"const double *"``, ``"double[3]"``, ``"int (*)(const void *)"`` or
        ``"struct { double x, y; }"``. It knows C's own types and those of C's headers, not those of
        libraries, which are in ``library.types``.

    Returns
    -------
    Type
        One that belongs to no library. A struct or union that is not defined is opaque: good for
        pointers only.

    Raises
    ------
    TypeError
        For types that are not declared.
    ValueError
        For what is no type in C; the message tells the line and the column.
    NotImplementedError
        For types that are not supported.

    See Also
    --------
    struct, union

    Examples
    --------
    >>> ffi.typeof("const double *")
    <ffi.Type const double *: 8 bytes, alignment 8>
    >>> ffi.typeof("struct { char tag; int values[3]; }").size
    16
    """
    return parse_type(text)


def parse_definition(keyword: str, text: str) -> Type:
    """Read the definition of one struct or union.

    Parameters
    ----------
    keyword : str
        ``"struct"`` or ``"union"``.
    text : str
        Such as ``"struct point { double x, y; }"``; a typedef of one will do.

    Returns
    -------
    Type
        Named by its tag or typedef.

    Raises
    ------
    TypeError
        For text that defines nothing, and for types that are not declared.
    ValueError
        For what is no C, and for definitions of anything else or more.
    NotImplementedError
        As by `parse_declarations`.
    """
    text = to_str("declarations", text)
    if "{" not in text:
        raise FFITypeError(
            f"expected a structured dtype, a list or mapping of (name, type), or the definition "
            f"of one {keyword} in C, got str {text[:80]!r}"
        )
    found = parse_declarations(text if text.rstrip().endswith(";") else f"{text};")
    defined = {id(made): made for made in found.types.values() if kind_of(made) == keyword}
    if len(defined) == 1 and not found.functions and not found.variables:
        return next(iter(defined.values()))
    if not defined and re.match(rf"\s*{keyword}\s*{{", text):
        return parse_type(text.rstrip().removesuffix(";"))
    raise FFIValueError(f"expected the definition of one {keyword}, got {text[:80]!r}")


def spell(type: Type, declarator: str = "") -> str:
    """Write a type in C, or the declaration of something of that type.

    Parameters
    ----------
    type : Type
    declarator : str, optional
        What is declared: a name, or a name and its parameters.

    Returns
    -------
    str
        C, such as ``"const double *x"`` of a pointer and ``"x"``.
    """
    return spell_c(type, declarator)


def check_name(name: str) -> None:
    """Raise if a type cannot have this name.

    Parameters
    ----------
    name : str
        Such as ``"point"``, ``"struct point"``.

    Raises
    ------
    TypeError
        For what is no str.
    ValueError
        For what is no name in C, and for C's own words.
    """
    if not isinstance(name, str):
        raise FFITypeError(f"expected a type's name in C, got {type(name).__name__}")
    from ffi._ctext import RESERVED

    tag, _, word = name.rpartition(" ")
    if tag not in ("", "struct", "union", "enum") or not _NAME.fullmatch(word) or word in RESERVED:
        raise FFIValueError(f"expected a type's name in C, got {name[:80]!r}")


def to_str(what: str, text: str) -> str:
    """Return a str of no other class, whose hash is its own."""
    if not isinstance(text, str):
        raise FFITypeError(f"{what}: expected str, got {type(text).__name__}")
    return str.__str__(text)


def _reader(what: str, text: str, *known: Any) -> Reader:
    from ffi._cparse import Reader

    return Reader(what, text, *known)


def _read_declarations(source: str, *known: Any) -> Declarations:
    reader = _reader("declarations", source, *known)
    try:
        return reader.read_declarations()
    except RecursionError:
        raise reader.text.no_stack() from None


def _read_prototype(text: str, *known: Any) -> Prototype:
    reader = _reader("prototype", text, *known)
    try:
        return reader.read_prototype()
    except RecursionError:
        raise reader.text.no_stack() from None


def _read_type(text: str, *known: Any) -> Type:
    reader = _reader("type", text, *known)
    try:
        return reader.read_type()
    except RecursionError:
        raise reader.text.no_stack() from None


@lru_cache(maxsize=64)
def _declarations(source: str) -> Declarations:
    return _read_declarations(source, _NO_TYPES, _NO_CONSTANTS)


@lru_cache(maxsize=512)
def _prototype(text: str) -> Prototype:
    return _read_prototype(text, _NO_TYPES, _NO_CONSTANTS)


@lru_cache(maxsize=512)
def _type(text: str) -> Type:
    return _read_type(text, _NO_TYPES, _NO_CONSTANTS)


def _taken_type(text: str) -> Type:
    """Return the type that text stands for where a type is taken."""
    found = parse_type(text)
    if kind_of(found) == "opaque":
        raise FFITypeError(f"{found.name} is not declared, only pointers to it can be used")
    return found


# So that whatever takes a type takes C text.
set_readers(_taken_type, parse_definition)
