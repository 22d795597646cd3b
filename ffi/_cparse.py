"""Declarations in C: what pycparser's nodes mean in terms of types and prototypes.

Nothing here touches a value, an address or a library.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ffi._cattrs import Attribute, refusal, size_of_mode, symbol_of
from ffi._cexpr import evaluate, number_of, read_number
from ffi._cparams import Modifiers, is_star, to_prototype
from ffi._ctext import Checker, Text, Token, undeclared
from ffi._cwords import BY_WORDS, TYPEDEFS
from ffi._dimension import Integer, integer
from ffi._layouts import (
    agree,
    define,
    depth_of,
    enum_type,
    function_type,
    is_signed,
    item_of,
    kind_of,
    opaque,
    pointer_to,
    spell_c,
)
from ffi._prototype import (
    NO_QUALITIES,
    Declarations,
    Prototype,
    Qualities,
    declarations,
    may_tell_the_same,
    told_lengths,
)
from ffi._specs import as_type, make_aggregate
from ffi._tables import types as scalars
from ffi._types import Type
from ffi.errors import Error, FFINotImplementedError, FFITypeError, FFIValueError

# Where structs point at structs that point at structs, what is deeper is pointed at by its tag.
MAX_POINTED = 16


class Reader:
    """A text, what it declares, and what was declared before."""

    def __init__(
        self,
        what: str,
        text: str,
        types: Mapping[str, Type],
        constants: Mapping[str, int | float],
        qualities: Qualities = NO_QUALITIES,
    ) -> None:
        self.text = Text(what, text)
        self.given_types = types
        self.given_constants = constants
        self.given_qualities = qualities
        self.types: dict[str, Type] = {}
        self.constants: dict[str, Integer | float] = {}
        self.functions: dict[str, Prototype] = {}
        self.variables: dict[str, Type] = {}
        self.const: set[str] = set()
        # Of functions whose symbols have other names.
        self.symbols: dict[str, str] = {}
        # Tags that were used before they were defined.
        self.incomplete: dict[str, Type] = {}
        # Names of const types.
        self.const_types: set[str] = set()
        # What the statement at hand defines, by the parser's nodes, which declarators share.
        self.defined: dict[int, Type] = {}

    def read_prototype(self) -> Prototype:
        """Read the prototype of one function."""
        node = self.parse_alone()
        tokens = self.text.tokens
        if type(node.type).__name__ == "TypeDecl" and tokens[-1].text == ")":
            # In ``double (foo)`` a name that is no type is what is declared.
            raise self.fail(FFITypeError, node, undeclared(node.name))
        found, _ = self.declared(node.type, node)
        if kind_of(found) != "function":
            raise self.text.fail(FFIValueError, 0, "expected the prototype of a function")
        prototype: Prototype = found.prototype
        return prototype._replace(name=node.name)

    def read_type(self) -> Type:
        """Read the name of one type."""
        node = self.parse_alone()
        if node.name is not None:
            message = f"expected a type, got a declaration of {node.name!r}"
            raise self.fail(FFIValueError, node, message)
        found, _ = self.declared(node.type, node)
        return found

    def read_declarations(self) -> Declarations:
        """Read any number of declarations."""
        for name, number, offset in self.text.defines:
            value = read_number(number)
            if value is None:
                message = "'#define' is supported with a number only"
                raise self.text.fail(FFINotImplementedError, offset, message)
            self.add_constant(name, value, offset)
        for statement in self.text.statements:
            for node in self.parse(statement):
                self.declare(node)
        for attributes in self.text.attributes.values():
            raise refusal(attributes[0], self.text.fail)
        types = {name: self.complete(declared) for name, declared in self.types.items()}
        types.update(self.completed_before())
        return declarations(
            {name: self.completed(function) for name, function in self.functions.items()},
            {name: self.complete(declared) for name, declared in self.variables.items()},
            types,
            {name: number_of(value) for name, value in self.constants.items()},
            self.const,
            self.symbols,
            self.qualities(types),
        )

    def completed_before(self) -> dict[str, Type]:
        """Return the types declared before of which this text defines the structs and unions."""
        return {
            name: self.complete(given)
            for name, given in self.given_types.items()
            if name not in self.types
            for tag in (given.tag, None if given.target is None else given.target.tag)
            if tag in self.types
        }

    def qualities(self, types: Mapping[str, Type]) -> Qualities:
        """Return what the types and the constants declared here do not say of themselves."""
        integers = {
            name: (value.size, value.signed)
            for name, value in self.constants.items()
            if isinstance(value, Integer) and value != integer(value.value)
        }
        return Qualities(frozenset(filter(self.is_const, types)), MappingProxyType(integers))

    def completed(self, prototype: Prototype) -> Prototype:
        """Point at what was defined only after the function."""
        return prototype._replace(
            rtype=self.complete(prototype.rtype),
            parameters=tuple(
                parameter._replace(type=self.complete(parameter.type))
                for parameter in prototype.parameters
            ),
        )

    # --- parsing

    def names_type(self, word: str) -> bool:
        """Return whether a word is the name of a type."""
        return word in self.types or word in self.given_types or word in TYPEDEFS

    def parse(self, statement: list[Token]) -> list[Any]:
        """Return the nodes of a statement."""
        Checker(self.text, statement, self.names_type).check()
        self.defined = {}
        return self.text.parse(statement, self.names_type)

    def parse_alone(self) -> Any:
        """Return the node of the only statement."""
        (statement,) = self.text.statements
        (node,) = self.parse(statement)
        return node

    def fail(self, kind: type[Error], node: Any, message: str) -> Error:
        """Make an error that says where a node stands in the text."""
        return self.text.fail(kind, self.text.offset_of(node), message)

    # --- constant expressions

    def constant(self, name: str) -> Integer | float | None:
        """Return the value of a constant, None if there is none of the name."""
        found = self.constants.get(name)
        if found is None and name in self.given_constants:
            given = self.given_constants[name]
            if isinstance(given, float):
                return given
            kind = self.given_qualities.integers.get(name)
            return integer(given) if kind is None else Integer(given, *kind)
        return found

    def named_type(self, node: Any) -> Type:
        """Return the type that a node of a type's name says."""
        found, _ = self.declared(node.type, node)
        return found

    def add_constant(self, name: str, value: Integer | float, offset: int) -> None:
        """Declare a constant."""
        known = self.constant(name)
        number = number_of(value)
        if known is not None:
            before = number_of(known)
            if before != number or type(before) is not type(number):
                message = f"{name!r} is {number} here, and {before} before"
                raise self.text.fail(FFIValueError, offset, message)
        elif name in self.functions or name in self.variables or name in self.types:
            raise self.text.fail(FFIValueError, offset, f"{name!r} is declared as something else")
        self.constants[name] = value

    # --- declarations

    def declare(self, node: Any) -> None:
        """Read a node of the parser's."""
        kind = type(node).__name__
        if kind == "Typedef":
            self.declare_type(node)
        elif kind != "Decl":
            raise self.fail(FFIValueError, node, "expected a declaration")
        elif node.name is None:
            if type(node.type).__name__ not in ("Struct", "Union", "Enum"):
                raise self.fail(FFIValueError, node, "this declares nothing")
            self.base(node.type, None, alone=True)
        else:
            self.declare_symbol(node)

    def declare_type(self, node: Any) -> None:
        found, const = self.declared(node.type, node, node.name)
        for attribute in self.attributes_of(node):
            if attribute.name == "asm" or type(node.type).__name__ != "TypeDecl":
                raise refusal(attribute, self.text.fail)
            found = self.with_attribute(found, attribute)
        self.check_new(node, "types")
        known = self.types.get(node.name) or self.given_types.get(node.name)
        known = None if known is None else self.complete(known)
        found = self.complete(found)
        was_const = self.is_const(node.name)
        if known is not None and (const != was_const or not agree(known, found)):
            here, before = spell_c(found, "", const), spell_c(known, "", was_const)
            message = f"{node.name!r} is {here} here, and {before} before"
            raise self.fail(FFIValueError, node, message)
        self.types[node.name] = known or found
        if const:
            self.const_types.add(node.name)

    def declare_symbol(self, node: Any) -> None:
        name = node.name
        if kind_of(self.outermost(node.type)) == "function":
            found, _ = self.declared(node.type, node)
            prototype: Prototype = found.prototype
            for attribute in self.attributes_of(node):
                if attribute.name != "asm":
                    raise refusal(attribute, self.text.fail)
                symbol = symbol_of(attribute)
                if self.symbols.setdefault(name, symbol) != symbol:
                    message = f"{name!r} is {symbol} here, and {self.symbols[name]} before"
                    raise self.fail(FFIValueError, node, message)
            self.check_new(node, "functions")
            self.check_value(prototype.rtype, node)
            known = self.functions.get(name)
            if known is not None and not agree(function_type(known), found):
                message = f"{name!r} is {found.name} here, and {function_type(known).name} before"
                raise self.fail(FFIValueError, node, message)
            prototype = prototype._replace(name=name)
            if known is not None and not may_tell_the_same(known, prototype):
                message = f"{name!r} is {prototype.text!r} here, and {known.text!r} before"
                raise self.fail(FFIValueError, node, message)
            # Of two that agree, the one that tells more.
            if known is None or told_lengths(prototype) > told_lengths(known):
                self.functions[name] = prototype
            return
        outer = node.type
        if type(outer).__name__ == "ArrayDecl" and outer.dim is None:
            # Of an array whose length is known elsewhere, the first item is found.
            outer = outer.type
        variable, const = self.declared(outer, node)
        if kind_of(variable) == "void":
            raise self.fail(FFITypeError, node, f"{name!r} cannot be void")
        self.check_new(node, "variables")
        before = self.variables.get(name)
        if before is not None and (not agree(before, variable) or const != (name in self.const)):
            message = f"{name!r} is {variable.name} here, and {before.name} before"
            raise self.fail(FFIValueError, node, message)
        self.variables[name] = variable
        if const:
            self.const.add(name)

    def outermost(self, node: Any) -> Type:
        """Return what is declared as far as it matters: a function, or something else."""
        kind = type(node).__name__
        if kind == "FuncDecl":
            return function_type(Prototype(None, scalars.void, ()))
        names = getattr(getattr(node, "type", None), "names", None)
        if kind == "TypeDecl" and names and len(names) == 1:
            return self.typedef(names[0]) or scalars.int
        return scalars.int

    def check_new(self, node: Any, where: str) -> None:
        """Raise if the name is already that of something else."""
        for what in ("types", "functions", "variables", "constants"):
            if what != where and node.name in getattr(self, what):
                message = f"{node.name!r} is declared as something else"
                raise self.fail(FFIValueError, node, message)

    # --- types

    def typedef(self, name: str) -> Type | None:
        """Return the type of this name."""
        found = self.types.get(name) or self.given_types.get(name) or TYPEDEFS.get(name)
        return None if found is None else self.complete(found)

    def is_const(self, name: str) -> bool:
        """Return whether the type of this name is const."""
        if name in self.types:
            return name in self.const_types
        return name in self.given_types and name in self.given_qualities.const

    def complete(self, found: Type) -> Type:
        """Return the definition of a type that has been defined by now, or a pointer to it."""
        definition = self.definition(found)
        if definition is not None:
            return definition
        definition = None if found.target is None else self.definition(found.target)
        if found.target is not None and definition is not None:
            incomplete = found.target if found.target.definition is not None else None
            return self.pointer(definition, found.const, incomplete)
        return found

    def definition(self, found: Type) -> Type | None:
        """Return what an opaque type has been defined as, here or earlier."""
        if found.tag is None or found.definition is not None:
            return found.definition
        known = self.types.get(found.tag) or self.given_types.get(found.tag)
        return known if known is not None and known.tag is None else None

    @staticmethod
    def pointer(target: Type, const: bool, incomplete: Type | None = None) -> Type:
        """Return the type of pointers, so that chains of structs do not nest without end."""
        if depth_of(target) > MAX_POINTED and kind_of(target) in ("struct", "union"):
            if incomplete is None and target.name.startswith(f"{kind_of(target)} "):
                if "{" in target.name:
                    return pointer_to(target, const)
                incomplete = opaque(target.name)
                define(incomplete, target)
            return pointer_to(incomplete or target, const)
        return pointer_to(target, const)

    def declared(self, node: Any, place: Any, name: str | None = None) -> tuple[Type, bool]:
        """Return the type that a declarator gives, and whether it is const.

        `name` is that of a typedef, for what has no other.
        """
        modifiers: Modifiers = []
        while type(node).__name__ in ("PtrDecl", "ArrayDecl", "FuncDecl"):
            modifiers.append(node)
            node = node.type
        found, const = self.specified(node, place, None if modifiers else name)
        return self.modified(found, const, modifiers, place)

    def specified(self, node: Any, place: Any, name: str | None = None) -> tuple[Type, bool]:
        """Return the type that the words before a declarator say, and whether it is const."""
        const = "const" in (getattr(node, "quals", None) or ())
        inner = node.type if type(node).__name__ == "TypeDecl" else node
        where = inner if inner.coord is not None else place
        found = self.base(inner, where, name=name)
        words = getattr(inner, "names", None)
        if words and len(words) == 1 and self.is_const(words[0]):
            const = True
        return found, const

    def modified(
        self, found: Type, const: bool, modifiers: Modifiers, place: Any
    ) -> tuple[Type, bool]:
        """Apply the modifiers of a declarator, the outermost comes first."""
        for modifier in reversed(modifiers):
            kind = type(modifier).__name__
            try:
                if kind == "PtrDecl":
                    found = self.pointer(found, const)
                    const = "const" in (modifier.quals or ())
                elif kind == "ArrayDecl":
                    self.check_value(found, place)
                    found = as_type((found, self.length(modifier, place)))
                else:
                    self.check_value(found, place)
                    found = function_type(to_prototype(self, found, modifier.args))
                    const = False
            except Error as exc:
                if str(exc).startswith(f"{self.text.what}: "):
                    raise
                raise self.fail(type(exc), place, str(exc)) from None
        return found, const

    def length(self, node: Any, place: Any) -> int:
        if node.dim is None or is_star(node.dim):
            message = "an array of unknown length is supported as a parameter only"
            raise self.fail(FFINotImplementedError, place, message)
        if node.dim_quals:
            message = f"{node.dim_quals[0]!r} stands in the brackets of parameters only"
            raise self.fail(FFIValueError, place, message)
        return evaluate(node.dim, self).value

    def check_value(self, found: Type, place: Any) -> None:
        """Raise for a type whose values only C knows."""
        if kind_of(found) == "opaque" and found.definition is None:
            message = f"{found.name} is not declared, only pointers to it can be used"
            raise self.fail(FFITypeError, place, message)

    def base(self, node: Any, place: Any, *, name: str | None = None, alone: bool = False) -> Type:
        """Return the type of a node that is no declarator."""
        kind = type(node).__name__
        if kind in ("Struct", "Union"):
            tag = f"{kind.lower()} {node.name}"
            if node.decls is not None:
                return self.aggregate(node, name)
            found = self.types.get(tag) or (None if alone else self.given_types.get(tag))
            return found or self.incomplete.setdefault(tag, opaque(tag))
        if kind == "Enum":
            tag = f"enum {node.name}"
            if node.values is not None:
                return self.enum(node, name)
            found = self.types.get(tag) or self.given_types.get(tag)
            if found is None:
                raise self.fail(FFITypeError, node, f"{tag} is not declared")
            return found
        if kind != "IdentifierType":
            raise self.fail(FFINotImplementedError, place, f"{kind} is not supported")
        words = tuple(node.names)
        found = self.typedef(words[0]) if len(words) == 1 else None
        found = found or BY_WORDS.get(tuple(sorted(words)))
        # Where the type is missing, pycparser says int.
        offset = self.text.offset_of(place)
        written = self.text.code[offset : offset + 80]
        if not any(written.startswith((word, word.strip("_").lower())) for word in words):
            raise self.text.fail(FFIValueError, offset, "expected a type")
        if found is None:
            raise self.text.fail(FFIValueError, offset, f"{' '.join(words)!r} is no type")
        return found

    # --- definitions

    def aggregate(self, node: Any, name: str | None) -> Type:
        """Define a struct or union; `name` is for one without a tag."""
        if id(node) in self.defined:
            return self.defined[id(node)]
        keyword = type(node).__name__.lower()
        tag = f"{keyword} {node.name}" if node.name else None
        members: list[Any] = []
        for member in node.decls:
            members += self.member(member)
        try:
            found = make_aggregate(keyword, tag or name, members)
        except Error as exc:
            raise self.fail(type(exc), node, str(exc)) from None
        if tag is not None:
            found = self.define_tag(node, tag, found)
        self.defined[id(node)] = found
        return found

    def define_tag(self, node: Any, tag: str, found: Type) -> Type:
        word = node.name
        for other in (f"{keyword} {word}" for keyword in ("struct", "union", "enum")):
            if other != tag and (other in self.types or other in self.given_types):
                raise self.fail(FFIValueError, node, f"{tag} is declared as {other}")
        known = self.types.get(tag) or self.given_types.get(tag)
        if known is not None and kind_of(known) != "opaque":
            if not agree(known, found):
                raise self.fail(FFIValueError, node, f"{tag} has another definition before")
            found = known
        self.types[tag] = found
        incomplete = self.incomplete.get(tag)
        if incomplete is not None and incomplete.definition is None:
            define(incomplete, found)
        return found

    def member(self, node: Any) -> list[tuple[Any, ...]]:
        """Return what stands for a member in `ffi.struct`; nothing for a mere declaration."""
        if type(node).__name__ != "Decl":
            raise self.fail(FFIValueError, node, "expected a member")
        inner = node.type
        while type(inner).__name__ == "TypeDecl" and node.name is None:
            inner = inner.type
        kind = type(inner).__name__
        if node.bitsize is not None:
            found, _ = self.declared(node.type, node)
            return [(node.name, found, evaluate(node.bitsize, self).value)]
        if node.name is None:
            if kind not in ("Struct", "Union", "Enum"):
                raise self.fail(FFIValueError, node, "a member has no name")
            found = self.base(inner, None)
            is_member = kind != "Enum" and inner.name is None
            return [(None, found)] if is_member else []
        found, _ = self.declared(node.type, node)
        self.check_value(found, node)
        for attribute in self.attributes_of(node):
            # It can only become more.
            if self.alignment(attribute) > found.alignment:
                raise refusal(attribute, self.text.fail)
        return [(node.name, found)]

    # --- attributes

    def attributes_of(self, node: Any) -> list[Attribute]:
        """Take the attributes that end a declarator."""
        if not self.text.attributes:
            return []
        inner = node.type
        while type(inner).__name__ != "TypeDecl":
            inner = inner.type
        return self.text.attributes.pop(self.text.offset_of(inner), [])

    def with_attribute(self, found: Type, attribute: Attribute) -> Type:
        """Return the type that a typedef with an attribute names."""
        if attribute.name == "mode":
            size = size_of_mode(attribute)
            if size is None or kind_of(found) != "integer":
                raise refusal(attribute, self.text.fail)
            return scalars[f"{'' if is_signed(found) else 'u'}int{8 * size}"]
        if self.alignment(attribute) != found.alignment:
            raise refusal(attribute, self.text.fail)
        return found

    def alignment(self, attribute: Attribute) -> int:
        """Return the argument of the attribute ``aligned``."""
        if attribute.name != "aligned":
            raise refusal(attribute, self.text.fail)
        text = f"char[{attribute.argument}]"
        try:
            reader = Reader("type", text, self.given_types, self.given_constants)
            reader.given_qualities = self.given_qualities
            reader.types, reader.constants = self.types, self.constants
            return item_of(reader.read_type())[1]
        except Error:
            raise refusal(attribute, self.text.fail) from None

    def enum(self, node: Any, name: str | None) -> Type:
        """Define an enum; `name` is for one without a tag."""
        if id(node) in self.defined:
            return self.defined[id(node)]
        last, numbers = Integer(-1), {}
        for item in node.values.enumerators:
            # Until the enum ends, a constant has the type of its value; but it is an int if it can.
            number = last._replace(value=last.value + 1)
            if item.value is not None:
                number = evaluate(item.value, self)
            fitting = number if number.fits else integer(number.value)
            if fitting is None:
                message = f"{number.value} does not fit any integer type"
                raise self.fail(FFIValueError, item, message)
            last = numbers[item.name] = _as_int(fitting)
            self.add_constant(item.name, last, self.text.offset_of(item))
        found = _underlying([number.value for number in numbers.values()])
        if found is None:
            raise self.fail(FFIValueError, node, "no integer type has all values of the enum")
        for name_of_value, number in numbers.items():
            # Then it is an int if it can, or of the enum's type.
            number = number._replace(size=found.size, signed=is_signed(found))
            self.constants[name_of_value] = _as_int(number)
        tag = f"enum {node.name}" if node.name else name
        if tag is not None:
            found = enum_type(tag, found)
        if node.name:
            assert tag is not None
            found = self.define_tag(node, tag, found)
        self.defined[id(node)] = found
        return found


def _as_int(number: Integer) -> Integer:
    return Integer(number.value) if Integer(number.value).fits else number


def _underlying(values: list[int]) -> Type | None:
    # As gcc and clang choose.
    names = ("int", "long", "longlong") if min(values) < 0 else ("uint", "ulong", "ulonglong")
    for name in names:
        bits = 8 * scalars[name].size
        low, high = (-(1 << bits - 1), 1 << bits - 1) if min(values) < 0 else (0, 1 << bits)
        if low <= min(values) and max(values) < high:
            return scalars[name]
    return None
