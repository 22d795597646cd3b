from typing import Any, SupportsIndex

from ffi._buffers import CodePointer
from ffi._layouts import _AnyType
from ffi._pointers import Pointer

def new(type: _AnyType, init: Any = None) -> Pointer: ...
def gc(pointer: Pointer, destructor: CodePointer | SupportsIndex) -> Pointer: ...
