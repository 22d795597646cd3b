"""What a C function takes and returns, and what else declarations say.

Plain data, immutable, that says itself in C again; how text becomes it is `_cparse`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeGuard

from ffi._layouts import kind_of, spell_c
from ffi._types import Type
from ffi.errors import FFITypeError, FFIValueError

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


class Dimension(NamedTuple):
    """The length of an array parameter along one axis.

    Attributes
    ----------
    text : str
        As C, such as ``"2 * n + 1"``.
    program : tuple
        The same in postfix order: ints; names of parameters; and C's operators, of which ``"~"``
        and ``"!"`` take one value, ``"?:"`` three, all others two. ``-n`` is ``0 - n``.
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
        if isinstance(part, int):
            stack.append((str(part), 15 if part >= 0 else 13))
        elif is_name(part):
            stack.append((part, 15))
        elif part in UNARY:
            stack.append((f"{part}{_enclosed(*stack.pop(), 13)}", 13))
        elif part == CONDITIONAL:
            last, middle, first = stack.pop(), stack.pop(), stack.pop()
            text = f"{_enclosed(*first, 3)} ? {middle[0]} : {_enclosed(*last, 2)}"
            stack.append((text, 2))
        else:
            strength = BINARY[part]
            right, left = stack.pop(), stack.pop()
            text = f"{_enclosed(*left, strength)} {part} {_enclosed(*right, strength + 1)}"
            stack.append((text, strength))
    ((text, _),) = stack
    return Dimension(text, program)


def _enclosed(text: str, strength: int, wanted: int) -> str:
    return text if strength >= wanted else f"({text})"


class Parameter(NamedTuple):
    """A parameter of a C function.

    Attributes
    ----------
    name : str or None
        None where the prototype gives none.
    type : Type
        That of an array ``const double x[n][3]`` is a pointer to its elements, ``const double *``.
    value : int, optional
        What C always gets; to Python there is no such parameter.
    dimensions : tuple, optional
        Of an array, one `Dimension` per axis; None stands for the empty brackets of ``x[]``.
    static : bool
        Whether an array must be there, as ``x[static n]`` says.
    out : bool
        Whether the function only writes there.
    """

    name: str | None
    type: Type
    value: int | None = None
    dimensions: tuple[Dimension | None, ...] | None = None
    static: bool = False
    out: bool = False

    @property
    def text(self) -> str:
        """The parameter in C, such as ``"const double x[n]"``."""
        if self.dimensions is None:
            return spell_c(self.type, self.name or "")
        lengths = ["" if length is None else length.text for length in self.dimensions]
        if self.static:
            lengths[0] = f"static {lengths[0]}"
        brackets = "".join(f"[{length}]" for length in lengths)
        target = self.type.target
        assert target is not None
        return spell_c(target, f"{self.name or ''}{brackets}", self.type.const)


class Prototype(NamedTuple):
    """What a C function takes and returns.

    Attributes
    ----------
    name : str or None
        None where there is none.
    rtype : Type
        That of the result.
    parameters : tuple of Parameter
        Without the ``void`` of ``f(void)``.
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
        inside = [parameter.text for parameter in self.parameters]
        inside += ["..."] * self.variadic
        return spell_c(self.rtype, f"{self.name or ''}({', '.join(inside) or 'void'})")


def with_out(prototype: Prototype, names: Iterable[str]) -> Prototype:
    """Mark parameters that the function only writes to.

    Parameters
    ----------
    prototype : Prototype
    names : iterable of str
        Parameters that are pointers or arrays.

    Returns
    -------
    Prototype
        A copy.

    Raises
    ------
    TypeError
        For what is no pointer that C could write through.
    ValueError
        For names that the prototype does not have, and those given twice.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise FFITypeError(f"out: expected a sequence of names, got {type(names).__name__}")
    known = {parameter.name: parameter for parameter in prototype.parameters}
    found = []
    for name in names:
        if not isinstance(name, str):
            raise FFITypeError(f"out: expected a parameter's name, got {type(name).__name__}")
        if name not in known:
            raise FFIValueError(f"out: {prototype.text} has no parameter {name!r}")
        if name in found:
            raise FFIValueError(f"out: {name!r} is given twice")
        _check_out(known[name])
        found.append(name)
    parameters = (
        parameter._replace(out=True) if parameter.name in found else parameter
        for parameter in prototype.parameters
    )
    return prototype._replace(parameters=tuple(parameters))


def _check_out(parameter: Parameter) -> None:
    declared = parameter.type
    what = f"out: parameter {parameter.name!r} is {parameter.text!r}"
    if declared.target is None:
        raise FFITypeError(f"{what}, no pointer")
    if declared.const:
        raise FFITypeError(f"{what}, which C only reads")
    target = declared.target.definition or declared.target
    if kind_of(target) in ("void", "opaque", "function"):
        raise FFITypeError(f"{what}, to no value that could be made here")
    if parameter.dimensions is not None and None in parameter.dimensions:
        raise FFITypeError(f"{what}, of no known length")


class Qualities(NamedTuple):
    """What types and constants do not say of themselves.

    Attributes
    ----------
    const : collection of str
        Names of typedefs that are const, such as that of ``typedef const double weight;``.
    integers : mapping of str to (int, bool)
        Size and sign of constants that are not of the first of C's types that has their value.
    """

    const: Collection[str] = frozenset()
    integers: Mapping[str, tuple[int, bool]] = MappingProxyType({})


NO_QUALITIES = Qualities()


class Declarations(NamedTuple):
    """What a text declares, each by its name in C.

    Attributes
    ----------
    functions : mapping of str to Prototype
        Each with its name.
    variables : mapping of str to Type
        Array types for arrays; for those of unknown length the type of an item.
    types : mapping of str to Type
        By the names of typedefs, and by tags: ``"point"``, ``"struct point"``, ``"enum color"``.
    constants : mapping of str to int or float
        Of enums, and of ``#define NAME number``.
    const : frozenset of str
        The variables that are const.
    symbols : mapping of str to str
        Of functions that have another name in the library, that name.
    qualities : Qualities
        Of the types and the constants.
    """

    functions: Mapping[str, Prototype]
    variables: Mapping[str, Type]
    types: Mapping[str, Type]
    constants: Mapping[str, int | float]
    const: frozenset[str] = frozenset()
    symbols: Mapping[str, str] = MappingProxyType({})
    qualities: Qualities = NO_QUALITIES


def declarations(
    functions: dict[str, Prototype],
    variables: dict[str, Type],
    types: dict[str, Type],
    constants: dict[str, int | float],
    const: Iterable[str],
    symbols: dict[str, str],
    qualities: Qualities,
) -> Declarations:
    """Return declarations that nobody can change."""
    return Declarations(
        MappingProxyType(functions),
        MappingProxyType(variables),
        MappingProxyType(types),
        MappingProxyType(constants),
        frozenset(const),
        MappingProxyType(symbols),
        qualities,
    )
