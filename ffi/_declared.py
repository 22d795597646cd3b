"""What a library has declared: its types, and whether declarations agree.

Nothing here asks a library for a symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ffi._function import Function, declaration_of
from ffi._layouts import agree, function_type, item_of, kind_of, pointer_to
from ffi._specs import as_type
from ffi._types import Type
from ffi.cdecl import Declarations, Prototype, Qualities, check_name, with_out
from ffi.errors import Error, FFITypeError, FFIValueError, located

ErrCheck = Callable[[Any, Function, tuple[Any, ...]], Any]

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Variable(NamedTuple):
    """How a variable is found.

    Attributes
    ----------
    pointer : Type
        The type of what `Library.variable` gives.
    nbytes : int
        How many bytes are known to be there, or -1.
    """

    pointer: Type
    nbytes: int


class Constants(dict[str, int | float]):
    """The constants of a library, by their names in C."""

    def __init__(self) -> None:
        # Of those that have not the first of C's types that has their value: size and sign.
        self.integers: dict[str, tuple[int, bool]] = {}


class Types(MutableMapping[str, Type]):
    """The types that a library's prototypes may use, by their names in C.

    Besides C's own: names such as ``"point"``, and tags such as ``"struct point"``. What is set may
    be whatever is taken as a type, and is found as `Type`. A name that no type in C can have is a
    `ValueError`.
    """

    def __init__(self) -> None:
        self._types: dict[str, Type] = {}
        # Names of those that are const, which types do not say.
        self._const: set[str] = set()

    def __getitem__(self, name: str) -> Type:
        return self._types[name]

    def __setitem__(self, name: str, type: Any) -> None:
        try:
            check_name(name)
            self._types[name] = as_type(type)
            self._const.discard(name)
        except Error as exc:
            raise located(exc, f"types[{name!r}]") from None

    def __delitem__(self, name: str) -> None:
        del self._types[name]
        self._const.discard(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __repr__(self) -> str:
        return f"<types: {', '.join(self)}>"


def qualities_of(types: Types, constants: Constants) -> Qualities:
    """Return what a library's types and constants do not say of themselves."""
    return Qualities(types._const, constants.integers)


def declare_types(found: Declarations, types: Types) -> None:
    """Add the types of declarations."""
    for name, type in found.types.items():
        types[name] = type
        if name in found.qualities.const:
            types._const.add(name)


def declare_constants(found: Declarations, constants: Constants) -> None:
    """Add the constants of declarations."""
    for name, value in found.constants.items():
        constants[name] = value
        constants.integers.pop(name, None)
    constants.integers.update(found.qualities.integers)


def check_known(
    found: Declarations,
    functions: Mapping[str, Function],
    variables: Mapping[str, Variable],
    constants: Mapping[str, int | float],
) -> None:
    """Raise for symbols that were declared in another way."""
    for name, prototype in found.functions.items():
        known = functions.get(name)
        if known is not None:
            before = declaration_of(known)
            if not agree(function_type(before), function_type(prototype)):
                raise FFIValueError(
                    f"function {name!r} is {prototype.text!r} here, and {before.text!r} before"
                )
    for name, type in found.variables.items():
        check_variable(name, variable_of(type, name in found.const), variables)
    for name in found.constants:
        if name in functions or name in variables:
            raise FFIValueError(f"constant {name!r} is declared as something else before")
    for name in (*found.functions, *found.variables):
        others = variables if name in found.functions else functions
        if name in others or name in constants:
            raise FFIValueError(f"{name!r} is declared as something else before")


def check_variable(name: str, found: Variable, known: Mapping[str, Variable]) -> None:
    """Raise for a variable that was declared in another way."""
    before = known.get(name, found)
    if not agree(before.pointer, found.pointer):
        raise FFIValueError(
            f"variable {name!r} is found by {found.pointer.name!r} here, and by "
            f"{before.pointer.name!r} before"
        )


def variable_of(declared: Type, const: bool) -> Variable:
    """Return how a variable is found: an array by its first item."""
    if kind_of(declared) != "array":
        # An array of unknown length is declared by its items.
        return Variable(pointer_to(declared, const), -1)
    item, _ = item_of(declared)
    return Variable(pointer_to(item, const), declared.size)


def with_options(
    found: Declarations, out: Mapping[str, Sequence[str]], errcheck: Mapping[str, ErrCheck]
) -> dict[str, Prototype]:
    """Return the prototypes with their out parameters; every name must be a declared function's."""
    prototypes = dict(found.functions)
    for what, given in (("out", out), ("errcheck", errcheck)):
        if not isinstance(given, Mapping):
            raise FFITypeError(
                f"argument {what!r}: expected a mapping of functions' names, "
                f"got {type(given).__name__}"
            )
        for name in given:
            if name not in prototypes:
                raise FFIValueError(f"argument {what!r}: {name!r} is no function declared here")
    for name, names in out.items():
        prototypes[name] = with_out(prototypes[name], names)
    return prototypes
