from ffi.cdecl import Prototype

def resolve(
    pointer: object, declared: bool = False
) -> tuple[int, object, Prototype | None] | None: ...
