from typing import Any, SupportsIndex

from ffi._buffers import CodePointer
from ffi._pointers import Pointer
from ffi._specs import _AnyType
from ffi._types import Type

def new(type: _AnyType, init: Any = None) -> Pointer: ...
def pointer_at(type: Type, address: int, owner: object, nbytes: int) -> Pointer: ...
def gc(pointer: Pointer, destructor: CodePointer | SupportsIndex) -> Pointer: ...
