from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np

from ffi._buffers import AddressHolder, CodePointer, _Buffer
from ffi._specs import _AnyType

def addressof(obj: _Buffer | AddressHolder | CodePointer, /) -> int: ...
def read(
    type: _AnyType, buffer: _Buffer, offset: SupportsIndex = 0, byteorder: str = ...
) -> Any: ...
def write(
    type: _AnyType, buffer: _Buffer, value: Any, offset: SupportsIndex = 0, byteorder: str = ...
) -> None: ...
def read_pointer(buffer: _Buffer, offset: SupportsIndex = 0, byteorder: str = ...) -> int: ...
def write_pointer(
    buffer: _Buffer,
    value: _Buffer | AddressHolder | CodePointer | SupportsIndex | None,
    offset: SupportsIndex = 0,
    byteorder: str = ...,
) -> None: ...
def view(
    address: SupportsIndex | AddressHolder,
    dtype: _AnyType,
    shape: SupportsIndex | Sequence[SupportsIndex] = (),
    *,
    readonly: bool = False,
    owner: object = None,
) -> np.ndarray[Any, Any]: ...
def string(
    address_or_buffer: SupportsIndex | AddressHolder | _Buffer, maxlen: SupportsIndex = -1
) -> bytes: ...
