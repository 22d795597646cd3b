"""C declarations: text to types and prototypes, and back.

pycparser parses; it is imported at the first text. What a declaration means in terms of `Type` is
decided here, and nothing that touches a value, an address or a library.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from ffi._layouts import opaque, pointer_to
from ffi._tables import types as scalars
from ffi._types import Type, fast_integers
from ffi.errors import Error, FFINotImplementedError, FFITypeError, FFIValueError

__all__ = ["Parameter", "Prototype", "check_name", "parse_prototype", "parse_type", "spell"]

# Beyond these a text is a mistake or an attack; they bound the parser's time and its recursion.
MAX_TEXT = 65536
MAX_NESTING = 32


@dataclass(frozen=True)
class Parameter:
    """A parameter of a C function.

    Attributes
    ----------
    name : str or None
        None where the prototype gives none.
    type : Type
    value : int, optional
        What C always gets; to Python there is no such parameter.
    """

    name: str | None
    type: Type
    value: int | None = None


@dataclass(frozen=True)
class Prototype:
    """What a C function takes and returns.

    Attributes
    ----------
    name : str or None
    rtype : Type
    parameters : tuple of Parameter
    variadic : bool
        Whether ``...`` ends the parameters.
    """

    name: str | None
    rtype: Type
    parameters: tuple[Parameter, ...]
    variadic: bool = False

    @property
    def text(self) -> str:
        """The prototype in C, such as ``"double hypot(double x, double y)"``."""
        inside = [spell(parameter.type, parameter.name or "") for parameter in self.parameters]
        inside += ["..."] * self.variadic
        return spell(self.rtype, f"{self.name or ''}({', '.join(inside) or 'void'})")


# --- types to text

# The names of the scalar types that C does not know so.
_C_NAMES = {
    "bool": "_Bool",
    "byte": "unsigned char",
    "schar": "signed char",
    "uchar": "unsigned char",
    "ushort": "unsigned short",
    "uint": "unsigned int",
    "ulong": "unsigned long",
    "longlong": "long long",
    "ulonglong": "unsigned long long",
    "longdouble": "long double",
    "complex_float": "float _Complex",
    "complex_double": "double _Complex",
    "complex_longdouble": "long double _Complex",
} | {f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)}


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
    """
    const = False
    while type.target is not None:
        # That a pointer itself is const is said between its star and what is declared.
        declarator = f"*{'const ' if const else ''}{declarator}"
        const, type = type.const, type.target
    base = f"{'const ' if const else ''}{_C_NAMES.get(type.name, type.name)}"
    return f"{base} {declarator}" if declarator else base


# --- text to types


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
_BY_WORDS = {tuple(sorted(words.split())): scalars[name] for words, name in _spellings()}

# What the headers stdint.h, stddef.h, stdbool.h, stdio.h and sys/types.h give a name.
_TYPEDEFS: dict[str, Type] = {
    "bool": scalars["bool"],
    "FILE": opaque("FILE"),
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

# What may stand before the words for a type, and says nothing that matters here.
_PREFIXES = frozenset(
    ("const", "volatile", "restrict", "extern", "static", "inline", "register", "_Noreturn")
)
# What may stand between "complex" and the "double" that makes it a type.
_COMPLEX_PARTS = _PREFIXES.union(("float", "double", "long"))
_KEYWORDS = _PREFIXES.union({"struct", "union"}, *_BY_WORDS)
# No type of a user's has such a name.
_RESERVED = _KEYWORDS.union(
    ("auto", "break", "case", "continue", "default", "do", "else", "enum", "for", "goto", "if"),
    ("return", "sizeof", "switch", "typedef", "volatile", "while", "_Alignas", "_Alignof"),
    ("_Atomic", "_Generic", "_Imaginary", "_Static_assert", "_Thread_local"),
)
_REFUSED = {
    "...": "variadic functions",
    "{": "definitions of types",
    "[": "arrays",
    "#": "preprocessor lines",
    "_Atomic": "atomic types",
    "_Alignas": "alignment specifiers",
    "_Thread_local": "thread-local variables",
    "enum": "enums",
    "typedef": "typedefs",
    "__attribute__": "attributes",
    "__asm__": "names in assembly",
}

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z_$][\w$]*|\.\.\.|\d[\w.]*|\S", re.ASCII)
_NAME = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_WORD = re.compile(r"[A-Za-z_$]")
_IGNORED = re.compile(r"\b(?:__restrict__|__restrict|__extension__)\b|[\r\v\f]")
_PLACE = re.compile(r"[^:]*:(\d+):(\d+): (.*)", re.DOTALL)

# No part of a declaration; the parser would take some of these for something else.
_STRAY = frozenset("{}#@`\\\"'?:;=<>!%&|^~+-/.")

# The text stands on lines of its own: its columns stay, and its lines are easy to count.
_FRAME = "typedef int {};\nvoid _(\n{}\n);"
_FIRST_LINE = 3

_NOTHING: Mapping[str, Type] = MappingProxyType({})


def parse_prototype(text: str, types: Mapping[str, Type] = _NOTHING) -> Prototype:
    """Read the prototype of a function.

    Parameters
    ----------
    text : str
        Such as ``"double hypot(double x, double y)"``; names may be left out.
    types : mapping, optional
        What is known besides C's own types: typedef names, and tags as in ``"struct point"``.

    Returns
    -------
    Prototype

    Raises
    ------
    TypeError
        For types that are not declared, and values of types that have none.
    ValueError
        For anything but one prototype; the message tells the line and the column.
    NotImplementedError
        For what is no scalar, struct, union, or pointer to these.
    """
    text = to_str("prototype", text)
    return _Declaration("prototype", text, types).read_prototype() if types else _prototype(text)


def parse_type(text: str, types: Mapping[str, Type] = _NOTHING) -> Type:
    """Read the name of a type.

    Parameters
    ----------
    text : str
        Such as ``"const double *"``.
    types : mapping, optional
        As for `parse_prototype`.

    Returns
    -------
    Type

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        As by `parse_prototype`.
    """
    text = to_str("type", text)
    return _Declaration("type", text, types).read_type() if types else _type(text)


def check_name(name: str) -> None:
    """Raise if a type cannot have this name, such as ``"point"`` or ``"struct point"``."""
    if not isinstance(name, str):
        raise FFITypeError(f"expected a type's name in C, got {type(name).__name__}")
    tag, _, word = name.rpartition(" ")
    if tag not in ("", "struct", "union") or not _NAME.fullmatch(word) or word in _RESERVED:
        raise FFIValueError(f"expected a type's name in C, got {name[:80]!r}")


@lru_cache(maxsize=512)
def _prototype(text: str) -> Prototype:
    return _Declaration("prototype", text, _NOTHING).read_prototype()


@lru_cache(maxsize=512)
def _type(text: str) -> Type:
    return _Declaration("type", text, _NOTHING).read_type()


def to_str(what: str, text: str) -> str:
    """Return a str of no other class, whose hash is its own."""
    if not isinstance(text, str):
        raise FFITypeError(f"{what}: expected str, got {type(text).__name__}")
    if len(text) > MAX_TEXT:
        raise FFIValueError(f"{what}: expected at most {MAX_TEXT} characters, got {len(text)}")
    return str.__str__(text)


class _Declaration:
    """The text of one declaration, and what it says."""

    def __init__(self, what: str, text: str, types: Mapping[str, Type]) -> None:
        self.what = what
        self.text = text
        self.types = types
        self.code = _IGNORED.sub(_blank, _COMMENT.sub(_blank, text))
        self.tokens = [(match[0], match.start()) for match in _TOKEN.finditer(self.code)]
        if what == "prototype" and self.tokens and self.tokens[-1][0] == ";":
            _, end = self.tokens.pop()
            self.code = self.code[:end]
        # For the parser, where <complex.h> says "complex" and the language "_Complex".
        self.source = self.code
        complexes = [offset for i, (_, offset) in enumerate(self.tokens) if self.is_complex(i)]
        for offset in reversed(complexes):
            end = offset + len("complex")
            self.source = f"{self.source[:offset]}_Complex{self.source[end:]}"
        self.inserted = [offset + i for i, offset in enumerate(complexes)]
        self.lines = [0, *(match.end() for match in re.finditer("\n", self.source))]

    def read_prototype(self) -> Prototype:
        node = self.parse()
        function = node.type
        kind = type(function).__name__
        if kind == "TypeDecl" and self.tokens[-1][0] == ")":
            # In ``double (foo)`` a name that is no type is what is declared.
            raise self.fail(FFITypeError, self.offset_of(node), self.undeclared(node.name))
        if kind != "FuncDecl":
            raise self.fail(FFIValueError, 0, "expected the prototype of a function")
        # Without parameters C knows none, since C23.
        parameters = [] if function.args is None else function.args.params
        names: set[str] = set()
        return Prototype(
            node.name,
            self.type_of(function.type, self.offset_of(node)),
            () if _is_void(parameters) else tuple(self.parameter(p, names) for p in parameters),
        )

    def read_type(self) -> Type:
        node = self.parse()
        if node.name is not None:
            message = f"expected a type, got a declaration of {node.name!r}"
            raise self.fail(FFIValueError, self.offset_of(node), message)
        return self.type_of(node.type, 0, by_value=False)

    def fail(self, kind: type[Error], offset: int, message: str) -> Error:
        """Make an error that says where in the text it is."""
        before = self.text[:offset]
        line, column = before.count("\n") + 1, offset - before.rfind("\n")
        shown = "".join(c if c.isprintable() else "?" for c in " ".join(self.text.split()))
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        return kind(f"{self.what}: {line}:{column}: {message}: {shown}")

    # --- before the parser

    def check_tokens(self) -> None:
        opened: list[tuple[str, int]] = []
        stars = 0
        for token, offset in self.tokens:
            if message := _REFUSED.get(token):
                raise self.fail(FFINotImplementedError, offset, f"{message} are not supported")
            if not token.isascii() or not token.isprintable() or token in _STRAY:
                raise self.fail(FFIValueError, offset, f"unexpected {token!r}")
            stars = stars + 1 if token == "*" else stars * (token in _PREFIXES)
            if token == "(":
                opened.append((token, offset))
            elif token == ")":
                if not opened:
                    raise self.fail(FFIValueError, offset, "')' closes nothing")
                opened.pop()
            if len(opened) > MAX_NESTING or stars > 2 * MAX_NESTING:
                raise self.fail(FFIValueError, offset, "nested too deeply")
        if opened:
            raise self.fail(FFIValueError, opened[-1][1], "'(' is never closed")

    def check_specifiers(self) -> None:
        # pycparser takes a missing type for int, and says little about names it does not know.
        lists: list[bool] = []  # of each open parenthesis, whether it holds parameters
        expected = True
        previous = ""
        for i, (token, offset) in enumerate(self.tokens):
            if expected and token not in _PREFIXES:
                if token in (",", "*", "(", ")") and previous + token != "()":
                    raise self.fail(FFIValueError, offset, f"expected a type before {token!r}")
                if _WORD.match(token) and not (self.names_type(token) or self.is_complex(i)):
                    raise self.fail(FFITypeError, offset, self.undeclared(token))
                expected = False
            if token == "(":
                lists.append(self.opens_parameters(previous, self.tokens[i + 1][0]))
                expected = lists[-1]
            elif token == ")":
                lists.pop()
            elif token == "," and not lists:
                raise self.fail(FFIValueError, offset, f"expected one {self.what}")
            elif token == ",":
                expected = lists[-1]
            previous = token
        if expected:
            raise self.fail(FFIValueError, len(self.code.rstrip()), "expected a type at the end")

    def opens_parameters(self, previous: str, following: str) -> bool:
        # Otherwise the parenthesis is one around a declarator, as in ``int (*f)(int)``.
        if previous == ")" or following == ")" or self.names_type(following):
            return True
        return _WORD.match(previous) is not None and not self.names_type(previous)

    def is_complex(self, i: int) -> bool:
        # Not the function's name of ``long complex(int)``.
        if self.tokens[i][0] != "complex":
            return False
        beside: set[str] = set()
        for step in (-1, 1):
            k = i + step
            while 0 <= k < len(self.tokens) and self.tokens[k][0] in _COMPLEX_PARTS:
                beside.add(self.tokens[k][0])
                k += step
        return not beside.isdisjoint(("float", "double"))

    def names_type(self, word: str) -> bool:
        return word in _KEYWORDS or word in self.types or word in _TYPEDEFS

    def undeclared(self, word: str) -> str:
        message = f"undeclared type {word!r}"
        if word in scalars:
            message += f", which is {spell(scalars[word])!r} in C"
        return message

    # --- the parser

    def parse(self) -> Any:
        """Return pycparser's node of the declaration."""
        from pycparser.c_parser import (  # type: ignore[import-untyped, unused-ignore]
            CParser,
            ParseError,
        )

        if not self.tokens:
            raise FFIValueError(f"{self.what}: expected C, got {self.text[:80]!r}")
        self.check_tokens()
        self.check_specifiers()
        names = {token for token, _ in self.tokens if token in self.types or token in _TYPEDEFS}
        source = _FRAME.format(", ".join(sorted(names) or ["_0"]), self.source)
        try:
            # A new parser for each text: they have state.
            return CParser().parse(source).ext[-1].type.args.params[0]
        except (ParseError, AttributeError, AssertionError) as exc:
            # The parser itself fails over some wrong texts, such as "struct x typedef".
            match = _PLACE.fullmatch(str(exc))
            offset = self.offset_at(int(match[1]), int(match[2])) if match else 0
            message = match[3].replace("before: ", "before ") if match else "no declaration"
            if offset >= len(self.code.rstrip()):
                message = "unexpected end"
            raise self.fail(FFIValueError, offset, f"syntax error: {message}") from None
        except RecursionError:
            # Of the caller's making: the nesting is bounded.
            message = "to read this takes more stack than Python has left"
            raise self.fail(FFIValueError, 0, message) from None

    def offset_at(self, line: int, column: int) -> int:
        """Return the offset in the text of a place in the parser's source."""
        line -= _FIRST_LINE
        if not 0 <= line < len(self.lines):
            return len(self.text)
        offset = self.lines[line] + column - 1
        return min(offset - bisect_left(self.inserted, offset), len(self.text))

    def offset_of(self, node: Any) -> int:
        place = node.coord
        return 0 if place is None else self.offset_at(place.line, place.column or 1)

    # --- the parser's nodes

    def parameter(self, node: Any, names: set[str]) -> Parameter:
        # A list of bare names is how C was written before it had prototypes.
        offset = self.offset_of(node)
        if type(node).__name__ == "ID":
            raise self.fail(FFITypeError, offset, self.undeclared(node.name))
        if node.name is not None and node.name in names:
            raise self.fail(FFIValueError, offset, f"a second parameter {node.name!r}")
        names.add(node.name)
        found = self.type_of(node.type, offset)
        if found == scalars.void:
            raise self.fail(FFITypeError, offset, "a parameter cannot be void")
        return Parameter(node.name, found)

    def type_of(self, node: Any, offset: int, *, by_value: bool = True) -> Type:
        # The stars of "const double *const *" from the last to the first, each with whether what
        # it points at is const.
        stars = []
        while type(node).__name__ == "PtrDecl":
            node = node.type
            stars.append("const" in (getattr(node, "quals", None) or ()))
        kind = type(node).__name__
        if kind != "TypeDecl":
            feature = "function pointers" if kind == "FuncDecl" else kind
            raise self.fail(FFINotImplementedError, offset, f"{feature} are not supported")
        found = self.base(node.type, offset)
        if by_value and not stars and found.tag is not None:
            message = f"{found.name} is not declared, only pointers to it can be used"
            raise self.fail(FFITypeError, offset, message)
        try:
            for const in reversed(stars):
                found = pointer_to(found, const)
        except Error as exc:
            raise self.fail(type(exc), offset, str(exc)) from None
        return found

    def base(self, node: Any, offset: int) -> Type:
        kind = type(node).__name__
        if node.coord is not None:
            offset = self.offset_of(node)
        if kind in ("Struct", "Union"):
            tag = f"{kind.lower()} {node.name}"
            return self.types.get(tag) or opaque(tag)
        if kind != "IdentifierType":
            raise self.fail(FFINotImplementedError, offset, f"{kind} is not supported")
        words = tuple(node.names)
        found = (
            self.types.get(words[0])
            or _TYPEDEFS.get(words[0])
            or _BY_WORDS.get(tuple(sorted(words)))
        )
        # Where the type is missing, pycparser says int.
        written = _TOKEN.match(self.code, offset)
        if written is None or not {written[0], f"_{written[0].title()}"} & set(words):
            raise self.fail(FFIValueError, offset, "expected a type")
        if found is None:
            raise self.fail(FFIValueError, offset, f"{' '.join(words)!r} is no type")
        return found


def _is_void(parameters: list[Any]) -> bool:
    # Of ``f(void)``.
    if len(parameters) != 1 or type(parameters[0]).__name__ != "Typename":
        return False
    node = parameters[0].type
    return getattr(node.type, "names", None) == ["void"] and not node.quals


def _blank(match: re.Match[str]) -> str:
    # Lines and columns stay what they are.
    return re.sub(r"[^\n]", " ", match[0])
