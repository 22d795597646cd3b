from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ffi._types import Type

# What is taken as a type: a Type, a dtype, a NumPy scalar type, the name of a C type or a dtype, or
# an array: such a type and its length or shape.
_AnyType: TypeAlias = (
    Type
    | np.dtype[Any]
    | type[np.generic]
    | str
    | tuple[_AnyType, int | tuple[int, ...] | list[int]]
)
# A bit-field has a width; one without a name is padding. Anonymous are structs and unions.
_Member: TypeAlias = tuple[str | None, _AnyType] | tuple[str | None, _AnyType, int]

def struct(
    spec: np.dtype[Any] | Sequence[_Member] | Mapping[str, _AnyType] | str,
    name: str | None = None,
) -> Type: ...
def union(
    spec: Sequence[_Member] | Mapping[str, _AnyType] | str, name: str | None = None
) -> Type: ...
def make_aggregate(keyword: str, name: str | None, members: list[Any]) -> Type: ...
def set_readers(
    type_reader: Callable[[str], Type], definition_reader: Callable[[str, str], Type]
) -> None: ...
def as_type(value: _AnyType) -> Type: ...
