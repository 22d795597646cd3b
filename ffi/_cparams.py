"""Parameters of functions in C, and the lengths of those that are arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ffi._cexpr import Scope, compile_program
from ffi._ctext import undeclared
from ffi._cwords import PASSED_VA_LIST, VA_LIST
from ffi._dimension import Dimension, dimension
from ffi._layouts import item_of, kind_of, pointer_to
from ffi._prototype import Parameter, Prototype
from ffi._types import Type
from ffi.errors import Error, FFITypeError, FFIValueError

_MAX_LENGTH = (1 << 63) - 1

Modifiers = list[Any]


class Declarators(Scope, Protocol):
    """What reads the declarators that parameters are made of."""

    def specified(self, node: Any, place: Any) -> tuple[Type, bool]:
        """Return the type that the words before a declarator say, and whether it is const."""

    def modified(
        self, found: Type, const: bool, modifiers: Modifiers, place: Any
    ) -> tuple[Type, bool]:
        """Apply the modifiers of a declarator, the outermost comes first."""

    def pointer(self, target: Type, const: bool) -> Type:
        """Return the type of a pointer."""

    def check_value(self, found: Type, place: Any) -> None:
        """Raise for a type whose values only C knows."""

    def fail(self, kind: type[Error], node: Any, message: str) -> Error:
        """Return the error of a node, with its place in the text."""


def to_prototype(reader: Declarators, rtype: Type, args: Any) -> Prototype:
    """Return the prototype of a function without its name."""
    # Without parameters C knows none, since C23.
    nodes = [] if args is None else list(args.params)
    variadic = bool(nodes) and type(nodes[-1]).__name__ == "EllipsisParam"
    if variadic:
        nodes.pop()
    if _is_void(nodes):
        return Prototype(None, rtype, ())
    names: set[str] = set()
    for node in nodes:
        # A list of bare names is how C was written before it had prototypes.
        if type(node).__name__ == "ID":
            raise reader.fail(FFITypeError, node, undeclared(node.name))
        if node.name is not None and node.name in names:
            raise reader.fail(FFIValueError, node, f"a second parameter {node.name!r}")
        names.add(node.name)
    parameters = tuple(_parameter(reader, node, names) for node in nodes)
    by_name = {parameter.name: parameter for parameter in parameters}
    for node, parameter in zip(nodes, parameters, strict=True):
        _check_dimensions(reader, node, parameter, by_name)
    return Prototype(None, rtype, parameters, variadic)


def _parameter(reader: Declarators, node: Any, names: set[str]) -> Parameter:
    """Return a parameter; one of array type is a pointer with dimensions."""
    inner = node.type
    modifiers: Modifiers = []
    axes: Modifiers = []
    while type(inner).__name__ in ("PtrDecl", "ArrayDecl", "FuncDecl"):
        if type(inner).__name__ == "ArrayDecl" and not modifiers:
            axes.append(inner)
        else:
            modifiers.append(inner)
        inner = inner.type
    found, const = reader.specified(inner, node)
    found, const = reader.modified(found, const, modifiers, node)
    lengths = [_axis(reader, axis, node, names, i == 0) for i, axis in enumerate(axes)]
    while kind_of(found) == "array":
        # An array's name in a typedef.
        found, length = item_of(found)
        lengths.append(dimension((length,)))
    if kind_of(found) == "void" and not lengths:
        raise reader.fail(FFITypeError, node, "a parameter cannot be void")
    if found == VA_LIST and not lengths:
        return Parameter(node.name, PASSED_VA_LIST)
    reader.check_value(found, node)
    if not lengths:
        if kind_of(found) == "function":
            found = pointer_to(found)
        return Parameter(node.name, found)
    if kind_of(found) in ("void", "function"):
        raise reader.fail(FFITypeError, node, f"an array cannot have items of type {found.name}")
    static = bool(axes) and "static" in (axes[0].dim_quals or ())
    found = reader.pointer(found, const)
    return Parameter(node.name, found, dimensions=tuple(lengths), static=static)


def _axis(
    reader: Declarators, node: Any, place: Any, names: set[str], first: bool
) -> Dimension | None:
    """Return the length in a pair of brackets."""
    if node.dim_quals and not first:
        message = f"{node.dim_quals[0]!r} stands in the first brackets only"
        raise reader.fail(FFIValueError, place, message)
    if node.dim is None or is_star(node.dim):
        if node.dim is None and not first:
            raise reader.fail(FFIValueError, place, "only the first brackets can be empty")
        return None
    found = dimension(compile_program(node.dim, reader, names))
    value = found.program[0]
    if len(found.program) == 1 and isinstance(value, int) and value < 1:
        message = f"a C array has at least one item, got length {found.text}"
        raise reader.fail(FFIValueError, node.dim, message)
    if len(found.program) == 1 and isinstance(value, int) and value > _MAX_LENGTH:
        raise reader.fail(FFIValueError, node.dim, f"no array has {found.text} items")
    return found


def _check_dimensions(
    reader: Declarators, node: Any, parameter: Parameter, by_name: Mapping[str | None, Parameter]
) -> None:
    for length in parameter.dimensions or ():
        for name in () if length is None else length.names:
            given = by_name[name]
            if given.dimensions is not None or kind_of(given.type) != "integer":
                message = (
                    f"dimension {name!r} of {parameter.name or 'an array'!r} is no integer "
                    f"but {given.text!r}"
                )
                raise reader.fail(FFITypeError, node, message)


def is_star(node: Any) -> bool:
    """Whether a length is that of ``x[*]``."""
    return type(node).__name__ == "ID" and node.name == "*"


def _is_void(parameters: list[Any]) -> bool:
    # Of ``f(void)``.
    if len(parameters) != 1 or type(parameters[0]).__name__ != "Typename":
        return False
    node = parameters[0].type
    return getattr(node.type, "names", None) == ["void"] and not node.quals
