"""Call C functions at run time, with NumPy buffers as storage, through libffi.

See https://sourceware.org/libffi/ for the library underneath; the guide is in ``docs/``.
"""

# The layers, bottom up. Each imports only what stands above it in this list; a test sees to it.
#
#   errors      exceptions
#   libffi      libffi's declarations
#   _types      what a type is; the scalar types
#   _layouts    structs, unions, arrays; dtype <-> Type
#   _direct     calls and closures without libffi
#   _tables     the tables types, sizeof, alignof, abi
#   _faults     what the platform's libffi gets wrong
#   _buffers    borrowed buffers and addresses
#   _marshal    Python values <-> C values
#   _memory     values in buffers and at addresses
#   _dl         the dynamic linker
#   _cif        CIF: what a function takes and returns
#   _core       call
#   _closure    C calls Python

from ffi import errors
from ffi._cif import CIF, Arguments
from ffi._closure import Closure
from ffi._core import call
from ffi._dl import Handle, dlclose, dlopen, dlsym
from ffi._layouts import struct, union
from ffi._memory import addressof, read, read_pointer, string, view, write, write_pointer
from ffi._tables import abi, alignof, sizeof, types
from ffi._types import Type
from ffi.errors import Error

__all__ = [
    "CIF",
    "Arguments",
    "Closure",
    "Error",
    "Handle",
    "Type",
    "abi",
    "addressof",
    "alignof",
    "call",
    "dlclose",
    "dlopen",
    "dlsym",
    "errors",
    "read",
    "read_pointer",
    "sizeof",
    "string",
    "struct",
    "types",
    "union",
    "view",
    "write",
    "write_pointer",
]
