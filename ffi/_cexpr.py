"""Integer expressions in C: the values of constant ones, and programs for those of parameters.

As the compiler has it: an ``unsigned`` wraps, a signed overflow is an error, division truncates.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Collection
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

from ffi._dimension import (
    BINARY,
    CONDITIONAL,
    INT,
    LONG,
    LONGLONG,
    Integer,
    Program,
    common,
    literal,
)
from ffi._layouts import is_signed, kind_of
from ffi._tables import types
from ffi._types import Type
from ffi.errors import Error, FFINotImplementedError, FFITypeError, FFIValueError

_LITERAL = re.compile(r"(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9]\d*)([uUlL]*)", re.ASCII)
_FLOAT = re.compile(
    r"(0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?\d+"
    r"|(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)[fFlL]?",
    re.ASCII,
)
_CHARACTER = re.compile(r"'(?:([^'\\\n])|\\([0-7]{1,3})|\\x([0-9a-fA-F]+)|\\(.))'", re.ASCII)
_ESCAPES = dict(zip("abfnrtv0'\"\\?", b"\a\b\f\n\r\t\v\0'\"\\?", strict=True))


class Scope(Protocol):
    """What an expression may name."""

    def constant(self, name: str) -> Integer | float | None:
        """Return the value of a constant, None if there is none of the name."""

    def named_type(self, node: Any) -> Type:
        """Return the type that a node of a type's name says."""

    def fail(self, kind: type[Error], node: Any, message: str) -> Error:
        """Make an error that says where a node stands."""


def number_of(value: Integer | float) -> int | float:
    """Return a constant's number."""
    return value.value if isinstance(value, Integer) else value


def read_integer(text: str) -> Integer | None:
    """Return what an integer literal says; None if it is none, or has no type in C."""
    match = _LITERAL.fullmatch(text)
    if match is None:
        return None
    digits, suffix = match[1], match[2].lower()
    unsigned = suffix.count("u")
    length = suffix.replace("u", "")
    wrong = unsigned > 1 or length not in ("", "l", "ll") or "lul" in suffix
    if wrong or "lL" in match[2] or "Ll" in match[2]:
        return None
    octal = digits[0] == "0" and digits[1:].isdigit()
    value = int(digits, 8) if octal else int(digits, 0)
    for size in {"": (INT, LONG, LONGLONG), "l": (LONG, LONGLONG), "ll": (LONGLONG,)}[length]:
        for signed in (True, False):
            # Decimal ones are unsigned only if they say so.
            if (signed and unsigned) or (not signed and not unsigned and digits[0] != "0"):
                continue
            if Integer(value, size, signed).fits:
                return Integer(value, size, signed)
    return None


def read_number(text: str) -> Integer | float | None:
    """Return what a number says, which may have a sign and stand in parentheses."""
    text = text.strip()
    while text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    sign = text[:1] if text[:1] in ("+", "-") else ""
    rest = text[len(sign) :].strip()
    if sign and rest.startswith("(") and rest.endswith(")"):
        rest = rest[1:-1].strip()
    found = read_integer(rest)
    if found is not None:
        return negative(found) if sign == "-" else found
    match = _FLOAT.fullmatch(rest)
    if match is None:
        return None
    is_hex = match[1][:2] in ("0x", "0X")
    value = float.fromhex(match[1]) if is_hex else float(match[1])
    if rest[-1] in "fF":
        value = _as_float(value, match[1])
    return -value if sign == "-" else value


def _as_float(value: float, text: str) -> float:
    # What was rounded to double can be rounded again where that left an odd last bit.
    (bits,) = struct.unpack("=q", struct.pack("=d", value))
    if value not in (0.0, math.inf) and bits % 2 == 0:
        exact = _exact(text)
        if exact != value:
            value = math.nextafter(value, math.inf if exact > value else 0.0)
    try:
        (rounded,) = struct.unpack("=f", struct.pack("=f", value))
    except OverflowError:
        return math.inf
    return float(rounded)


def _exact(text: str) -> Decimal | Fraction:
    if text[:2] not in ("0x", "0X"):
        return Decimal(text)
    digits, _, exponent = text[2:].lower().partition("p")
    whole, _, part = digits.partition(".")
    return int(whole + part, 16) * Fraction(2) ** (int(exponent) - 4 * len(part))


def negative(number: Integer) -> Integer:
    """Return ``-number``; no literal is so small that it could overflow."""
    value = -number.value
    return number._replace(value=value if number.signed else value % (1 << 8 * number.size))


def evaluate(node: Any, scope: Scope, used: bool = True) -> Integer:
    """Return the value of a constant expression.

    Of one that is not `used`, as C does not compute it, only the type matters: there is no mistake
    in a division by zero, an overflow and the like.

    Raises
    ------
    TypeError
        For names that are no constants, and values that are no integers.
    ValueError
        For overflow, division by zero and the like.
    NotImplementedError
        For what is no expression of integers.
    """
    kind = type(node).__name__
    if kind == "Constant":
        return _constant(node, scope)
    if kind == "ID":
        found = scope.constant(node.name)
        if found is None:
            raise scope.fail(FFITypeError, node, f"{node.name!r} is no constant")
        if isinstance(found, float):
            raise scope.fail(FFITypeError, node, f"{node.name!r} is no integer but {found!r}")
        return found
    if kind == "UnaryOp":
        return _unary(node, scope, used)
    if kind == "BinaryOp":
        return _binary(node, scope, used)
    if kind == "TernaryOp":
        is_first = bool(evaluate(node.cond, scope, used).value)
        first = evaluate(node.iftrue, scope, used and is_first)
        second = evaluate(node.iffalse, scope, used and not is_first)
        return _converted(first if is_first else second, *common(first, second))
    if kind == "Cast":
        return _cast(node, scope, used)
    raise scope.fail(FFINotImplementedError, node, f"{_WORDS.get(kind, kind)} are not supported")


_WORDS = {
    "FuncCall": "calls",
    "ExprList": "commas in expressions",
    "ArrayRef": "items of arrays",
    "StructRef": "members",
    "Assignment": "assignments",
    "CompoundLiteral": "compound literals",
    "InitList": "initial values",
}


def _constant(node: Any, scope: Scope) -> Integer:
    found = read_integer(node.value)
    match = _CHARACTER.fullmatch(node.value)
    if found is None and match is not None:
        plain, octal, digits, escape = match.groups()
        code = ord(plain) if plain else -1
        if octal or digits:
            code = int(octal, 8) if octal else int(digits, 16)
        elif escape:
            code = _ESCAPES.get(escape, -1)
        if 0 <= code < 256:
            found = Integer(code - 256 if code > 127 and is_signed(types.char) else code)
    if found is None:
        raise scope.fail(FFIValueError, node, f"{node.value!r} is no integer")
    return found


def _unary(node: Any, scope: Scope, used: bool) -> Integer:
    if node.op in ("sizeof", "_Alignof"):
        if type(node.expr).__name__ != "Typename":
            raise scope.fail(FFITypeError, node.expr, f"{node.op} takes the name of a type here")
        measured = scope.named_type(node.expr)
        if kind_of(measured) in ("void", "function", "opaque"):
            raise scope.fail(FFITypeError, node.expr, f"{measured.name} has no size")
        value = measured.size if node.op == "sizeof" else measured.alignment
        return Integer(value, types.size_t.size, False)
    if node.op not in ("-", "+", "~", "!"):
        raise scope.fail(FFINotImplementedError, node, f"{node.op!r} is not supported")
    operand = evaluate(node.expr, scope, used)
    if node.op == "+":
        return operand
    if node.op == "!":
        return Integer(int(not operand.value))
    value = -operand.value if node.op == "-" else ~operand.value
    return _checked(Integer(value, operand.size, operand.signed), node, scope, used)


def _cast(node: Any, scope: Scope, used: bool) -> Integer:
    wanted = scope.named_type(node.to_type)
    operand = evaluate(node.expr, scope, used)
    if kind_of(wanted) == "bool":
        return Integer(int(operand.value != 0))
    if kind_of(wanted) not in ("integer", "char"):
        raise scope.fail(FFINotImplementedError, node, f"casts to {wanted.name} are not supported")
    signed = is_signed(wanted)
    value = _wrapped(operand.value, wanted.size, signed)
    # What is smaller than int becomes one in an expression.
    return Integer(value) if wanted.size < INT else Integer(value, wanted.size, signed)


def _binary(node: Any, scope: Scope, used: bool) -> Integer:
    op = node.op
    left = evaluate(node.left, scope, used)
    if op in ("&&", "||"):
        decides = bool(left.value) == (op == "||")
        right = evaluate(node.right, scope, used and not decides)
        return Integer(int(op == "||") if decides else int(bool(right.value)))
    right = evaluate(node.right, scope, used)
    if op in ("<<", ">>"):
        if not 0 <= right.value < 8 * left.size:
            if not used:
                return left
            raise scope.fail(FFIValueError, node, f"a shift by {right.value} bits is undefined")
        # C leaves the sign of ``1 << 31`` open, compilers do not.
        value = left.value << right.value if op == "<<" else left.value >> right.value
        return _converted(left._replace(value=value), left.size, left.signed)
    size, signed = common(left, right)
    a, b = _wrapped(left.value, size, signed), _wrapped(right.value, size, signed)
    if op in _COMPARISONS:
        return Integer(int(_COMPARISONS[op](a, b)))
    if op in ("/", "%") and b == 0:
        if not used:
            return Integer(0, size, signed)
        raise scope.fail(FFIValueError, node, "a division by zero")
    if op not in _OPERATIONS:
        raise scope.fail(FFINotImplementedError, node, f"{op!r} is not supported")
    return _checked(Integer(_OPERATIONS[op](a, b), size, signed), node, scope, used)


def _quotient(a: int, b: int) -> int:
    # C truncates, Python floors.
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _quotient,
    "%": lambda a, b: a - b * _quotient(a, b),
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
}


def _wrapped(value: int, size: int, signed: bool) -> int:
    value %= 1 << 8 * size
    return value - (1 << 8 * size) if signed and value >> 8 * size - 1 else value


def _converted(number: Integer, size: int, signed: bool) -> Integer:
    return Integer(_wrapped(number.value, size, signed), size, signed)


def _checked(number: Integer, node: Any, scope: Scope, used: bool) -> Integer:
    if not number.signed or not used:
        return _converted(number, number.size, number.signed)
    if not number.fits:
        raise scope.fail(FFIValueError, node, f"{number.value} does not fit its type in C")
    return number


# --- expressions of parameters


def compile_program(node: Any, scope: Scope, names: Collection[str]) -> Program:
    """Return the program of an expression of constants and of the parameters `names`.

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        As `evaluate` does, and for names that are neither parameters nor constants.
    """
    if _is_constant(node, scope, names):
        return (evaluate(node, scope).value,)
    return _compiled(node, scope, names, True)


def _compiled(node: Any, scope: Scope, names: Collection[str], used: bool) -> Program:
    kind = type(node).__name__
    if _is_constant(node, scope, names):
        try:
            return (literal(evaluate(node, scope)),)
        except FFIValueError:
            # Perhaps C never computes it.
            if used or kind not in ("TernaryOp", "UnaryOp", "BinaryOp"):
                raise
    if kind == "ID":
        return (node.name,)
    if kind == "TernaryOp":
        return (
            *_compiled(node.cond, scope, names, used),
            *_compiled(node.iftrue, scope, names, False),
            *_compiled(node.iffalse, scope, names, False),
            CONDITIONAL,
        )
    if kind == "UnaryOp" and node.op in ("-", "+", "~", "!"):
        inner = _compiled(node.expr, scope, names, used)
        if node.op == "-":
            return (0, *inner, "-")
        return inner if node.op == "+" else (*inner, node.op)
    if kind != "BinaryOp" or node.op not in BINARY:
        words = {"Cast": "casts of parameters", "UnaryOp": "such operators on parameters"}
        what = words.get(kind, _WORDS.get(kind, kind))
        raise scope.fail(FFINotImplementedError, node, f"{what} are not supported in dimensions")
    left = _compiled(node.left, scope, names, used)
    right = _compiled(node.right, scope, names, used and node.op not in ("&&", "||"))
    return (*left, *right, node.op)


def _is_constant(node: Any, scope: Scope, names: Collection[str]) -> bool:
    mentioned = _mentioned(node)
    if any(name in names for name, _ in mentioned):
        return False
    for name, where in mentioned:
        if scope.constant(name) is None:
            message = f"{name!r} is neither a parameter nor a constant"
            raise scope.fail(FFITypeError, where, message)
    return True


def _mentioned(node: Any) -> list[tuple[str, Any]]:
    # The names in an expression, those of types and their members left out.
    found, pending = [], [node]
    while pending:
        current = pending.pop()
        if type(current).__name__ == "ID":
            found.append((current.name, current))
        elif type(current).__name__ != "Typename":
            pending += [child for _, child in reversed(current.children())]
    return found
