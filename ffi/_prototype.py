"""What a C function takes and returns, and what else declarations say.

Plain data, immutable, that says itself in C again; how text becomes it is `_cparse`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ffi._dimension import Dimension, is_name
from ffi._layouts import kind_of, spell_c
from ffi._types import Type
from ffi.errors import FFITypeError, FFIValueError


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


def told_lengths(prototype: Prototype) -> int:
    """Return how many lengths of arrays a prototype tells."""
    return sum(
        length is not None
        for parameter in prototype.parameters
        for length in parameter.dimensions or ()
    )


def may_tell_the_same(one: Prototype, other: Prototype) -> bool:
    """Return whether no array has one length in one prototype and another in the other.

    Parameters are the same if they stand in the same place, and lengths if they are written alike.
    """
    for first, second in zip(one.parameters, other.parameters, strict=True):
        if first.dimensions is None or second.dimensions is None:
            continue
        if len(first.dimensions) != len(second.dimensions):
            return False
        for length, beside in zip(first.dimensions, second.dimensions, strict=True):
            if length is None or beside is None:
                continue
            if _numbered(length, one) != _numbered(beside, other):
                return False
    return True


def _numbered(length: Dimension, prototype: Prototype) -> list[int | str | tuple[int]]:
    # With the places of parameters for their names.
    names = [parameter.name for parameter in prototype.parameters]
    return [(names.index(part),) if is_name(part) else part for part in length.program]


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
