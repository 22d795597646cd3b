from collections.abc import Callable
from typing import final

from typing_extensions import disjoint_base

from ffi._buffers import CodePointer
from ffi._cif import CIF

@disjoint_base
class Caller(CodePointer):
    @property
    def cif(self) -> CIF: ...

@final
class Lent: ...

@final
class Closure(CodePointer):
    def __new__(cls, cif: CIF, function: Callable[[memoryview, memoryview], object]) -> Closure: ...
    @property
    def cif(self) -> CIF: ...
    @property
    def function(self) -> Callable[[memoryview, memoryview], object]: ...
