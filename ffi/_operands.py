"""What a C function is as a ufunc: its operands, its core dimensions, and what C gets for each.

Plain data, made of prototypes; nothing is called here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from ffi._dimension import Dimension, dimension, is_name
from ffi._layouts import is_signed, kind_of
from ffi._prototype import Parameter, Prototype
from ffi._types import Type
from ffi.errors import FFINotImplementedError, FFITypeError, FFIValueError

_NUMBERS = frozenset(("bool", "char", "integer", "real", "complex"))
# What NumPy takes for the name of a core dimension.
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Role(IntEnum):
    """What C gets for a parameter."""

    VALUE = 0  # an operand's number
    ADDRESS = 1  # the address of an operand
    LENGTH = 2  # the length of a core dimension
    CONSTANT = 3  # always the same


class Argument(NamedTuple):
    """A parameter of C.

    Attributes
    ----------
    role : Role
    number : int
        Of the operand, or of the core dimension; or the constant itself.
    """

    role: Role
    number: int


class Operand(NamedTuple):
    """An input or an output of the ufunc.

    Attributes
    ----------
    type : Type
        That of its items.
    axes : tuple of int
        The core dimensions, by their numbers; of a scalar there are none.
    """

    type: Type
    axes: tuple[int, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """What NumPy calls the type; plain char is a number here, with the sign it has in C."""
        if kind_of(self.type) == "char":
            return np.dtype(np.int8 if is_signed(self.type) else np.uint8)
        assert self.type.dtype is not None
        return self.type.dtype


class Core(NamedTuple):
    """A core dimension.

    Attributes
    ----------
    name : str
        In the core signature: a name, or a number.
    length : str or None
        The parameter of C that is told its length.
    parameter, axis : int
        Where it is declared, if it is no number and has no parameter.
    program : tuple
        How its length is computed; empty if it is not.
    """

    name: str
    length: str | None = None
    parameter: int = -1
    axis: int = -1
    program: tuple[int | str, ...] = ()


class Layout(NamedTuple):
    """A C function as a ufunc.

    Attributes
    ----------
    inputs, outputs : tuple of Operand
        The first output is the result, unless C returns nothing.
    arguments : tuple of Argument
        For each parameter of C; operands are counted through, inputs first.
    cores : tuple of Core
        In the order in which the core signature first names them.
    """

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    arguments: tuple[Argument, ...]
    cores: tuple[Core, ...]

    @property
    def signature(self) -> str | None:
        """The core signature, such as ``"(n),(n)->()"``; None for scalars only."""
        if not self.cores:
            return None
        return f"{self._spelled(self.inputs)}->{self._spelled(self.outputs)}"

    def _spelled(self, operands: Sequence[Operand]) -> str:
        axes = (",".join(self.cores[i].name for i in operand.axes) for operand in operands)
        return ",".join(f"({names})" for names in axes)


def layout_of(prototype: Prototype) -> Layout:
    """Return what a C function is as a ufunc.

    Parameters
    ----------
    prototype : Prototype

    Returns
    -------
    Layout

    Raises
    ------
    TypeError
        For what numbers in arrays cannot be: pointers, structs, variadic functions, functions
        that give nothing, and arrays that are neither read nor written only.
    NotImplementedError
        For arrays whose length a value tells.
    """
    if prototype.variadic:
        raise FFITypeError("a variadic function does not say what it takes")
    parameters = prototype.parameters
    lengths = _standing_alone(prototype)
    roles = [_role_of(parameter, i, lengths) for i, parameter in enumerate(parameters)]
    operands = [i for i, role in enumerate(roles) if role in (Role.VALUE, Role.ADDRESS)]
    inputs = [i for i in operands if not parameters[i].out]
    outputs = [i for i in operands if parameters[i].out]
    has_result = kind_of(prototype.rtype) != "void"
    if has_result:
        _check_number(prototype.rtype, f"the result is {prototype.rtype.name}")
    elif not outputs:
        raise FFITypeError(
            "it returns nothing; what it writes to is to be named, as in out=['y'] for 'double *y'"
        )
    # In the order in which the core signature has them.
    cores: list[Core] = []
    axes = {i: _axes_of(parameters[i], i, cores, parameters) for i in inputs + outputs}
    for core in cores:
        _check_told(core, cores)
    places = {i: number for number, i in enumerate(inputs)}
    places |= {i: number for number, i in enumerate(outputs, len(inputs) + has_result)}
    arguments = []
    for i, (role, parameter) in enumerate(zip(roles, parameters, strict=True)):
        if role == Role.CONSTANT:
            assert parameter.value is not None
            arguments.append(Argument(role, parameter.value))
        elif role == Role.LENGTH:
            names = [core.length for core in cores]
            arguments.append(Argument(role, names.index(parameter.name)))
        else:
            arguments.append(Argument(role, places[i]))
    return Layout(
        tuple(Operand(_item_of(parameters[i]), axes[i]) for i in inputs),
        tuple([Operand(prototype.rtype)] * has_result)
        + tuple(Operand(_item_of(parameters[i]), axes[i]) for i in outputs),
        tuple(arguments),
        tuple(cores),
    )


def _role_of(parameter: Parameter, index: int, lengths: set[str]) -> Role:
    if parameter.value is not None:
        return Role.CONSTANT
    if parameter.name in lengths:
        return Role.LENGTH
    what = f"parameter {index if parameter.name is None else parameter.name!r}"
    what += f" is {parameter.text!r}"
    if parameter.type.target is None:
        _check_number(parameter.type, what)
        return Role.VALUE
    if parameter.dimensions is None and not parameter.out:
        raise FFITypeError(
            f"{what}, a pointer: an array says how long it is, as in 'const double x[n]', and what "
            "C writes to is named in 'out'"
        )
    if not parameter.out and not parameter.type.const:
        raise FFITypeError(
            f"{what}, neither const nor in 'out', and a ufunc leaves its inputs as they are"
        )
    _check_number(_item_of(parameter), what)
    return Role.ADDRESS


def _item_of(parameter: Parameter) -> Type:
    target = parameter.type.target
    if target is None:
        return parameter.type
    return target.definition or target


def _check_number(type_: Type, what: str) -> None:
    if kind_of(type_) not in _NUMBERS:
        raise FFITypeError(f"{what}, no number or array of numbers")


def _standing_alone(prototype: Prototype) -> set[str]:
    """Return the integers that stand alone as a length of an array."""
    integers = {p.name for p in prototype.parameters if kind_of(p.type) == "integer"}
    return {
        length.text
        for parameter in prototype.parameters
        if parameter.dimensions is not None
        for length in parameter.dimensions
        if length is not None and length.program == (length.text,) and length.text in integers
    }


def _is_reference(parameter: Parameter) -> bool:
    """Return whether it is one number: written, or read as Fortran's ``const double x[1]``."""
    dimensions = parameter.dimensions
    if dimensions is None or parameter.out:
        return dimensions is None
    return len(dimensions) == 1 and dimensions[0] is not None and dimensions[0].program == (1,)


def _axes_of(
    parameter: Parameter, index: int, cores: list[Core], parameters: Sequence[Parameter]
) -> tuple[int, ...]:
    if _is_reference(parameter):
        return ()
    assert parameter.dimensions is not None or parameter.type.target is None
    axes = []
    for axis, length in enumerate(parameter.dimensions or ()):
        core = _core_of(length, index, axis, cores, parameters)
        if core not in cores:
            cores.append(core)
        axes.append(cores.index(core))
    return tuple(axes)


def _core_of(
    length: Dimension | None,
    index: int,
    axis: int,
    cores: list[Core],
    parameters: Sequence[Parameter],
) -> Core:
    if length is not None and len(length.program) == 1:
        (part,) = length.program
        if isinstance(part, int) and part > 0:
            return Core(str(part))
        if is_name(part) and isinstance(part, str):
            name = part if _NAME.fullmatch(part) else _new_name(cores, parameters)
            same = [core for core in cores if core.length == part]
            return same[0] if same else Core(name, part)
    if length is None:
        return Core(_new_name(cores, parameters), None, index, axis)
    same = [core for core in cores if core.program == length.program]
    if same:
        return same[0]
    return Core(_new_name(cores, parameters), None, index, axis, length.program)


def _new_name(cores: Sequence[Core], parameters: Sequence[Parameter]) -> str:
    taken = {core.name for core in cores} | {parameter.name for parameter in parameters}
    return next(name for name in (f"d{i}" for i in count()) if name not in taken)


def _check_told(core: Core, cores: Sequence[Core]) -> None:
    told = {other.length for other in cores}
    for part in core.program:
        if is_name(part) and part not in told:
            raise FFINotImplementedError(
                f"the length {dimension(core.program).text} depends on the value of {part!r}, "
                "which is no array's length"
            )


def in_order(layouts: Sequence[Layout]) -> list[int]:
    """Return the order in which NumPy is to try the functions of one ufunc.

    One comes after those whose inputs it could be given as well: NumPy takes the first that fits.

    Parameters
    ----------
    layouts : sequence of Layout

    Returns
    -------
    list of int
        Indices of `layouts`.

    Raises
    ------
    TypeError
        For functions that are not alike but for the types.
    ValueError
        For two that take the same.
    """
    kinds = [[operand.dtype for operand in layout.inputs] for layout in layouts]
    first = layouts[0]
    for i, layout in enumerate(layouts):
        if _form(layout) != _form(first):
            raise FFITypeError(
                f"function {i} has {_shape(layout)}, function 0 has {_shape(first)}: those of one "
                "ufunc differ in their types only"
            )
        if kinds[i] in kinds[:i]:
            names = ", ".join(map(str, kinds[i]))
            raise FFIValueError(
                f"functions {kinds.index(kinds[i])} and {i} both take ({names}), so that nothing "
                "would tell which one to call"
            )
    order: list[int] = []
    while len(order) < len(layouts):
        rest = [i for i in range(len(layouts)) if i not in order]
        order.append(
            next(i for i in rest if not any(j != i and _fits(kinds[j], kinds[i]) for j in rest))
        )
    return order


def _form(layout: Layout) -> object:
    """Return everything but types and names."""
    numbers = {core.length: i for i, core in enumerate(layout.cores)}
    return (
        [operand.axes for operand in layout.inputs],
        [operand.axes for operand in layout.outputs],
        [core.name if core.name.isdigit() else "" for core in layout.cores],
        [[numbers.get(str(part), part) for part in core.program] for core in layout.cores],
    )


def _shape(layout: Layout) -> str:
    if layout.signature is not None:
        return layout.signature
    return f"{len(layout.inputs)} inputs and {len(layout.outputs)} outputs"


def _fits(given: Sequence[np.dtype[Any]], wanted: Sequence[np.dtype[Any]]) -> bool:
    return all(map(np.can_cast, given, wanted))
