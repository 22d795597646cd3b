from collections.abc import Sequence
from typing import SupportsIndex

from ffi._buffers import CodePointer, _Buffer
from ffi._cif import CIF, Arguments

def call(
    cif: CIF,
    fn: SupportsIndex | CodePointer,
    rvalue: _Buffer | None,
    avalues: Arguments | _Buffer | Sequence[_Buffer] | None,
    *,
    release_gil: bool = True,
) -> None: ...
