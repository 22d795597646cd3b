from typing import final

from ffi._cif import CIF
from ffi._types import Type
from ffi.cdecl import Prototype

@final
class Signature:
    prototype: Prototype
    name: str
    cif: CIF
    rtype: Type
    atypes: tuple[Type, ...]
    names: tuple[str | None, ...]
    variadic: bool
