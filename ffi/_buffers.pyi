from typing import Any, TypeAlias, final

import numpy as np
from typing_extensions import Buffer, disjoint_base

from ffi._types import Type

# NumPy's stubs call an array a buffer since Python 3.12 only.
_Buffer: TypeAlias = Buffer | np.ndarray[Any, Any]

@disjoint_base
class CodePointer:
    @property
    def address(self) -> int: ...

@disjoint_base
class AddressHolder:
    @property
    def type(self) -> Type: ...

@final
class Keepers: ...
