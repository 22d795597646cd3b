"""Call C functions at run time, with NumPy buffers as storage, through libffi.

See https://sourceware.org/libffi/ for the library underneath; the guide is in ``docs/``.
"""

# The layers, bottom up. Each imports only what stands above it in this list; a test sees to it.
#
#   _main_only  the interpreter that may import this
#   errors      exceptions
#   libffi      libffi's declarations
#   _likely     which way branches mostly go
#   _locks      locks of memory that several threads use
#   _types      what a type is; the scalar types
#   _layouts    structs, unions, arrays, pointers; how C spells a type
#   _specs      what is taken as a type: members, dtypes, names
#   _direct     calls and closures without libffi
#   _tables     the tables types, sizeof, alignof, abi
#   _faults     what the platform's libffi gets wrong
#   _dimension  lengths of array parameters, and the types that C computes them in
#   _prototype  what functions take and return, and what else declarations say
#   _cwords     the words for types in C and its standard headers
#   _cattrs     attributes of gcc, and names in assembly
#   _ctext      C text before it is parsed
#   _cexpr      integer expressions in C
#   _cparams    parameters of functions in C
#   _cparse     pycparser's nodes -> types and prototypes
#   cdecl       C declarations <-> types and prototypes
#   _buffers    borrowed buffers and addresses
#   _scalars    numbers, characters and bit-fields <-> Python values
#   _marshal    Python values <-> C values
#   _memory     values in buffers and at addresses
#   _arrays     arrays and strings where C wants an address
#   _spare      dead objects, kept for the next ones
#   _values     C values in memory, and what keeps it
#   _capsule    function pointers for other packages
#   _pointers   Pointer
#   _records    Record
#   _objects    new, gc
#   _dl         the dynamic linker
#   _frames     what each thread keeps: the calls that run, errno
#   _cif        CIF: what a function takes and returns
#   _core       call
#   _slots      code that C calls, and its life
#   _closure    C calls Python
#   _shapes     the lengths that array parameters tell and want
#   _signature  what a typed call does with each argument
#   _variadic   the types of a variadic function's other arguments
#   _general    typed calls with any arguments
#   _quick      the quick way of a typed call
#   _function   Function, and what a call of it does
#   _callback   callback: C calls Python with values
#   _operands   what a C function is as a ufunc
#   _elements   calls of one function over many elements
#   _loops      the inner loops of ufuncs
#   _ufunc      vectorize: ufuncs of C functions
#   _foreign    function pointers of ctypes, cffi and Cython modules
#   _declared   what a library has declared
#   _find       files of libraries by their short names
#   library     Library: shared objects with their functions
#   capi        the C API for Cython modules
#   __main__    python -m ffi: what is here, a call, a layout

from ffi import _main_only as _main_only  # first: it may refuse

# isort: split

from ffi import _foreign as _foreign  # teaches Function other packages' pointers
from ffi import errors
from ffi._callback import Callback, callback
from ffi._cif import CIF, Arguments
from ffi._closure import Closure
from ffi._core import call
from ffi._dl import Handle, dlclose, dlsym
from ffi._frames import check_errno, get_errno, set_errno
from ffi._function import Function
from ffi._memory import addressof, read, read_pointer, string, view, write, write_pointer
from ffi._objects import gc, new
from ffi._pointers import Pointer
from ffi._records import Record
from ffi._specs import struct, union
from ffi._tables import abi, alignof, sizeof, types
from ffi._types import Type, libffi_version
from ffi._ufunc import vectorize
from ffi.cdecl import typeof
from ffi.errors import Error
from ffi.library import Library, dlopen, find_library

__version__ = "0.1.0.dev0"

__all__ = [
    "CIF",
    "Arguments",
    "Callback",
    "Closure",
    "Error",
    "Function",
    "Handle",
    "Library",
    "Pointer",
    "Record",
    "Type",
    "__version__",
    "abi",
    "addressof",
    "alignof",
    "call",
    "callback",
    "check_errno",
    "dlclose",
    "dlopen",
    "dlsym",
    "errors",
    "find_library",
    "gc",
    "get_errno",
    "libffi_version",
    "new",
    "read",
    "read_pointer",
    "set_errno",
    "sizeof",
    "string",
    "struct",
    "typeof",
    "types",
    "union",
    "vectorize",
    "view",
    "write",
    "write_pointer",
]
