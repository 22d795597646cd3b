from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ffi._types import Type

# What is taken as a type: a Type, a dtype, a NumPy scalar type, the name of a C type or a dtype.
_AnyType: TypeAlias = Type | np.dtype[Any] | type[np.generic] | str
_Member: TypeAlias = tuple[str, _AnyType]

def struct(
    spec: np.dtype[Any] | Sequence[_Member] | Mapping[str, _AnyType], name: str | None = None
) -> Type: ...
def union(spec: Sequence[_Member] | Mapping[str, _AnyType], name: str | None = None) -> Type: ...
def as_type(value: _AnyType) -> Type: ...
