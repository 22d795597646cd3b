"""The lengths of array parameters: as text, as programs, and in which types C computes them.

Plain data, immutable; nothing is computed here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, TypeGuard

from ffi._tables import types

INT = types.int.size
LONG = types.long.size
LONGLONG = types.longlong.size

# Of a dimension: in postfix order, numbers, names of parameters, and operators.
Program = tuple[int | str, ...]

# The operators of a program with what they take, and how strongly C binds them.
BINARY = {
    "*": 12, "/": 12, "%": 12,
    "+": 11, "-": 11,
    "<<": 10, ">>": 10,
    "<": 9, ">": 9, "<=": 9, ">=": 9,
    "==": 8, "!=": 8,
    "&": 7, "^": 6, "|": 5,
    "&&": 4, "||": 3,
}  # fmt: skip
UNARY = frozenset("~!")
CONDITIONAL = "?:"
# Those whose result is an int, of whatever they take.
_TRUTHS = frozenset(("!", "<", ">", "<=", ">=", "==", "!=", "&&", "||"))

_LITERAL = re.compile(r"(-?\d+)(u?)(l{0,2})", re.ASCII)


class Integer(NamedTuple):
    """A value of an integer type, which has at least the size of int."""

    value: int
    size: int = INT
    signed: bool = True

    @property
    def fits(self) -> bool:
        """Whether the type has this value."""
        low, high = bounds(self.size, self.signed)
        return low <= self.value <= high


def bounds(size: int, signed: bool) -> tuple[int, int]:
    """Return the least and the greatest value of integers of a size."""
    bits = 8 * size
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def integer(value: int) -> Integer | None:
    """Return a number as the first of C's types that has it, int or larger; None if none has."""
    for size in (INT, LONG, LONGLONG):
        if Integer(value, size).fits:
            return Integer(value, size)
    return Integer(value, LONGLONG, False) if Integer(value, LONGLONG, False).fits else None


def common(left: Integer, right: Integer) -> tuple[int, bool]:
    """Return size and sign of the type in which C computes with both.

    That of its usual arithmetic conversions: the larger type; of equal ones the unsigned.
    """
    if left.size == right.size:
        return left.size, left.signed and right.signed
    larger = max(left, right, key=lambda operand: operand.size)
    return larger.size, larger.signed


# --- programs


class Dimension(NamedTuple):
    """The length of an array parameter along one axis.

    Attributes
    ----------
    text : str
        As C, such as ``"2 * n + 1"``.
    program : tuple
        The same in postfix order: numbers; names of parameters; and C's operators, of which ``"~"``
        and ``"!"`` take one value, ``"?:"`` three, all others two. ``-n`` is ``0 - n``. A number is
        an int if it is of the first of C's signed types that has it, else a literal such as
        ``"4ul"``.
    """

    text: str
    program: Program

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters it depends on, each once."""
        return tuple(dict.fromkeys(part for part in self.program if is_name(part)))


def is_name(part: int | str) -> TypeGuard[str]:
    """Return whether a part of a program is a parameter's name."""
    return isinstance(part, str) and (part[0].isalpha() or part[0] in "_$")


def literal(number: Integer) -> int | str:
    """Return a number as it stands in a program."""
    if number.signed and number == integer(number.value):
        return number.value
    length = "" if number.size == INT else "l" if number.size == LONG else "ll"
    return f"{number.value}{'' if number.signed else 'u'}{length}"


def number_in(part: int | str) -> Integer | None:
    """Return the number that a part of a program is; None for names and operators."""
    if isinstance(part, int):
        return integer(part)
    match = _LITERAL.fullmatch(part)
    if match is None:
        return None
    size = {"": INT, "l": LONG, "ll": LONGLONG}[match[3]]
    return Integer(int(match[1]), size, not match[2])


def dimension(program: Program) -> Dimension:
    """Return the dimension that a program computes, with its text.

    Parameters
    ----------
    program : tuple
        In postfix order, as `Dimension` has it.

    Returns
    -------
    Dimension
        Its text has parentheses where C needs them.
    """
    stack: list[tuple[str, int]] = []
    for part in program:
        number = number_in(part)
        if number is not None and number.signed and not number._replace(value=-number.value).fits:
            # C has no literal for the least number.
            stack.append((f"{number.value + 1} - 1", 11))
        elif number is not None:
            stack.append((str(part), 15 if number.value >= 0 else 13))
        elif is_name(part):
            stack.append((part, 15))
        elif part in UNARY:
            stack.append((f"{part}{_enclosed(*stack.pop(), 13)}", 13))
        elif part == CONDITIONAL:
            last, middle, first = stack.pop(), stack.pop(), stack.pop()
            text = f"{_enclosed(*first, 3)} ? {middle[0]} : {_enclosed(*last, 2)}"
            stack.append((text, 2))
        else:
            assert isinstance(part, str)
            strength = BINARY[part]
            right, left = stack.pop(), stack.pop()
            text = f"{_enclosed(*left, strength)} {part} {_enclosed(*right, strength + 1)}"
            stack.append((text, strength))
    ((text, _),) = stack
    return Dimension(text, program)


def _enclosed(text: str, strength: int, wanted: int) -> str:
    return text if strength >= wanted else f"({text})"


class Step(NamedTuple):
    """A part of a program, with size and sign of the type it is computed in.

    That of a number is the type of the number, that of an operator the one its operands are
    converted to; of shifts, only the left one is.
    """

    part: int | str
    size: int
    signed: bool


def typed(program: Program, kinds: Mapping[str, tuple[int, bool]]) -> list[Step]:
    """Return the steps of a program.

    Parameters
    ----------
    program : tuple
        In postfix order, as `Dimension` has it.
    kinds : mapping
        Size and sign of the integers that the names stand for.

    Returns
    -------
    list of Step
        A program's result has the type of its last step, unless that gives an int as ``"<"`` does.
    """
    steps: list[Step] = []
    stack: list[Integer] = []
    for part in program:
        number = number_in(part)
        if number is not None:
            kind = number.size, number.signed
            result = number
        elif is_name(part):
            size, signed = kinds[part]
            # What is smaller than int becomes one in an expression.
            kind = (INT, True) if size < INT else (size, signed)
            result = Integer(0, *kind)
        else:
            operands = [stack.pop()]
            if part not in UNARY:
                operands.insert(0, stack.pop())
            if part in UNARY or part in ("<<", ">>"):
                kind = operands[0].size, operands[0].signed
            else:
                kind = common(*operands)
            if part == CONDITIONAL:
                stack.pop()
            result = Integer(0) if part in _TRUTHS else Integer(0, *kind)
        stack.append(result)
        steps.append(Step(part if number is None else number.value, *kind))
    return steps
