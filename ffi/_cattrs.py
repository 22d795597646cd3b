"""What gcc's attributes and names in assembly say, and which declarator they belong to.

Most say nothing about a layout or a call, and are dropped. A few matter, and are kept for the
declarators that they follow. All others are refused.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from ffi._tables import types as scalars
from ffi.errors import Error, FFINotImplementedError, FFIValueError

# Attributes that say nothing about the layout of a type or the way a function is called.
_HARMLESS = frozenset(
    re.findall(
        r"\w+",
        """
        access alloc_align alloc_size always_inline artificial assume_aligned availability
        cold const constructor counted_by deprecated destructor error externally_visible
        fallthrough flatten format format_arg gnu_inline hot leaf malloc maybe_unused may_alias
        noclone nodiscard noinline nonnull nonstring noreturn nothrow null_terminated_string_arg
        pure reproducible returns_nonnull returns_twice sentinel unsequenced unused used
        visibility warn_unused_result warning weak
        """,
    )
)
# Those that matter, where they follow a declarator.
_KEPT = frozenset(("aligned", "mode"))

_POINTER = scalars["pointer"].size
_SIZES = {"byte": 1, "QI": 1, "HI": 2, "SI": 4, "DI": 8, "pointer": _POINTER}
_SIZES["word"] = scalars["long"].size

_ATTRIBUTE = re.compile(r"(?:\b__attribute(?:__)?\b\s*(\()|(\[)\s*(?=\[))\s*")
_SIGN = re.compile(r"[()\[\],]")
# Signs that are quoted are none.
_QUOTED = re.compile(r"""(["'])(?:(?!\1)[^\\\n]|\\.)*\1""")
_NAME = re.compile(r"(?:\w+\s*::\s*)?(\w+)")
_IN_ASSEMBLY = re.compile(r'\b(?:asm|__asm|__asm__)\b\s*\(\s*((?:"[^"\\\n]*"\s*)+)\)')
_PIECE = re.compile(r'"([^"]*)"')
_WORD = re.compile(r"[A-Za-z_$]")
_OPENS = {")": "(", "]": "["}

Fail = Callable[[type[Error], int, str], Error]


class Attribute(NamedTuple):
    """An attribute, such as ``mode`` with the argument ``"word"``; or ``asm`` with a symbol."""

    name: str
    argument: str
    offset: int


class Token(Protocol):
    """A word or sign of C, and where it starts."""

    @property
    def text(self) -> str: ...

    @property
    def offset(self) -> int: ...


def without_attributes(code: str, fail: Fail) -> tuple[str, list[Attribute]]:
    """Return the code with blanks for attributes, and those that matter."""
    found: list[Attribute] = []
    pieces: list[str] = []
    position = 0
    signs = _QUOTED.sub(lambda match: "_" * len(match[0]), code)
    match = _ATTRIBUTE.search(signs)
    while match is not None:
        start = match.start()
        commas, end = _list_of(signs, match, fail)
        for before, after in pairwise(commas):
            found += _kept(code[before + 1 : after].strip(), start, fail)
        pieces += [code[position:start], _blank(code[start:end])]
        position = end
        match = _ATTRIBUTE.search(signs, position)
    code = "".join([*pieces, code[position:]])
    for symbol in _IN_ASSEMBLY.finditer(code):
        found.append(Attribute("asm", "".join(_PIECE.findall(symbol[1])), symbol.start()))
    found.sort(key=lambda attribute: attribute.offset)
    return _IN_ASSEMBLY.sub(lambda match: _blank(match[0]), code), found


def refusal(attribute: Attribute, fail: Fail) -> Error:
    """Make the error for one that stands where it is not supported."""
    what = f"the attribute {attribute.name!r} is not supported"
    if attribute.name == "asm":
        what = "names in assembly are not supported"
    return fail(FFINotImplementedError, attribute.offset, what)


def declared_before(statement: Sequence[Token], offset: int) -> int | None:
    """Return where the name stands that is declared by what comes before; None if that is none."""
    i = bisect_right(statement, offset, key=lambda token: token.offset) - 1
    closed: list[str] = []
    while i >= 0:
        sign = statement[i].text
        if sign in _OPENS:
            closed.append(_OPENS[sign])
        elif closed:
            if sign == closed[-1]:
                closed.pop()
        else:
            return statement[i].offset if _WORD.match(sign) else None
        i -= 1
    return None


def size_of_mode(attribute: Attribute) -> int | None:
    """Return the size that ``mode`` gives to an integer type; None for modes of other types."""
    return _SIZES.get(_bare(attribute.argument.strip("() \t\n")))


def symbol_of(attribute: Attribute) -> str:
    """Return a name in assembly as `dlsym` knows it."""
    name = attribute.argument
    return name.removeprefix("_") if sys.platform == "darwin" else name


def _list_of(signs: str, match: re.Match[str], fail: Fail) -> tuple[list[int], int]:
    """Return what the attributes of a list stand between, and where the list ends."""
    opened = [match[1] or match[2]]
    commas = [match.end()]
    closed = -1
    if signs[match.end() : match.end() + 1] == opened[0]:
        for found in _SIGN.finditer(signs, match.end()):
            sign, place = found[0], found.start()
            if sign in "([":
                opened.append(sign)
            elif sign == ",":
                if len(opened) == 2:
                    commas.append(place)
            elif opened.pop() != _OPENS[sign]:
                break
            elif len(opened) == 1 and closed < 0:
                closed = place
            elif not opened:
                if signs[closed + 1 : place].strip():
                    break
                return [*commas, closed], place + 1
    raise fail(FFIValueError, match.start(), "an attribute is never closed")


def _kept(text: str, offset: int, fail: Fail) -> list[Attribute]:
    """Return an attribute if it matters."""
    match = _NAME.match(text)
    if match is None or match.end() < len(text.partition("(")[0].rstrip()):
        # There may be none, and there are kinds that only C++ has.
        if not text:
            return []
        raise refusal(Attribute(text.partition("\n")[0][:40], "", offset), fail)
    attribute = Attribute(match[1], text[match.end() :].strip(), offset)
    name = _bare(attribute.name)
    if name not in _KEPT:
        if name not in _HARMLESS:
            raise refusal(attribute, fail)
        return []
    if scalars["longlong"].alignment == scalars["longlong"].size:
        # On i386 gcc prefers another alignment than C's.
        argument = re.sub(r"\b__alignof(?:__)?\b", "_Alignof", attribute.argument)
        attribute = attribute._replace(argument=argument)
    return [attribute._replace(name=name)]


def _bare(name: str) -> str:
    # Of gcc's two names of an attribute, ``pure`` and ``__pure__``.
    return name[2:-2] if name.startswith("__") and name.endswith("__") else name


def _blank(text: str) -> str:
    # Lines and columns stay what they are.
    return re.sub(r"[^\n]", " ", text)
