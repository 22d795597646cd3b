"""Function pointers of other packages: of ctypes and cffi, and those in capsules.

No package is imported here: whoever has a pointer of its has imported it.
"""

import re
import sys

from ffi._function import set_resolve_foreign
from ffi._tables import types
from ffi.cdecl import Parameter, Prototype, parse_prototype
from ffi.errors import FFINotImplementedError, FFITypeError

from cpython.object cimport Py_TYPE
from cpython.pycapsule cimport PyCapsule_CheckExact, PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport uintptr_t

from ffi._types cimport describe, shorten

cdef extern from "_platform.h":
    bint COMPLEX_GOES_AS_A_STRUCT

# What Cython's own names stand for; SciPy's modules have names for real numbers of either size.
cdef dict _CYTHON_NAMES = {
    "Py_ssize_t": types.ssize_t,
    "__pyx_t_float_complex": types.complex_float,
    "__pyx_t_double_complex": types.complex_double,
    "__pyx_t_long_double_complex": types.complex_longdouble,
}
for _module in ("11cython_blas", "13cython_lapack"):
    for _suffix, _name in (
        ("s", "float"), ("d", "double"), ("c", "complex_float"), ("z", "complex_double"),
    ):
        _CYTHON_NAMES[f"__pyx_t_5scipy_6linalg_{_module}_{_suffix}"] = types[_name]


def resolve(pointer, declared=False):
    """Return what another package's function pointer points at.

    Parameters
    ----------
    pointer : object
        A function pointer of ctypes or cffi, a function of a library that cffi compiled, or a
        capsule.
    declared : bool, optional
        Whether the function's signature is known; then a capsule's is not read.

    Returns
    -------
    tuple or None
        The address, which may be 0; what keeps the code alive; and the function's prototype, or
        None. None for what is none of these.

    Raises
    ------
    TypeError
        For a capsule whose signature has types that C does not know, and data pointers.
    NotImplementedError
        For functions of Cython with optional arguments.
    """
    if PyCapsule_CheckExact(pointer):
        return of_capsule(pointer, declared)
    address = of_ctypes(pointer)
    if address is None:
        address = of_cffi(pointer)
    return None if address is None else (address, pointer, None)


set_resolve_foreign(resolve)


cdef object of_ctypes(object pointer):
    ctypes = sys.modules.get("ctypes")
    if ctypes is None or not issubclass(<object>Py_TYPE(pointer), ctypes._CFuncPtr):
        return None
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0


cdef object of_cffi(object pointer):
    cffi = sys.modules.get("_cffi_backend")
    if cffi is None:
        return None
    kind = <object>Py_TYPE(pointer)
    if kind is type(len) and type(pointer.__self__) is cffi.Lib:
        # A function of a compiled library, which has its pointer too.
        pointer = cffi.FFI().addressof(pointer.__self__, pointer.__name__)
    elif not issubclass(kind, cffi._CDataBase):
        return None
    found = cffi.typeof(pointer)
    if found.kind != "function":
        raise FFITypeError(f"expected a function pointer, got cffi's {found.cname}")
    return int(cffi.cast(cffi.new_primitive_type("uintptr_t"), pointer))


# --- capsules

cdef object of_capsule(object capsule, bint declared):
    cdef const char *name = PyCapsule_GetName(capsule)
    cdef uintptr_t address = <uintptr_t>PyCapsule_GetPointer(capsule, name)
    cdef str text = "" if name is NULL else name.decode(errors="replace")
    if declared:
        return address, capsule, None
    if "(" not in text:
        raise FFITypeError(f"expected a capsule named by a signature, got {describe(capsule)}")
    return address, capsule, of_signature(text)


cdef object of_signature(str text):
    """The prototype that Cython writes of a function it shares, as a capsule's name."""
    if "__pyx_optional_args" in text:
        raise FFINotImplementedError(
            f"a function of Cython with optional arguments cannot be called: {shorten(text)}"
        )
    if re.search(r"struct __pyx_|\bPy(?:Type)?Object\b", text):
        raise FFITypeError(f"a function of Python objects is not called as C: {shorten(text)}")
    prototype = parse_prototype(text, _CYTHON_NAMES)
    if not COMPLEX_GOES_AS_A_STRUCT and "__pyx_t_float_complex" in text:
        check_complex(prototype, text)
    return Prototype(
        prototype.name,
        prototype.rtype,
        tuple([
            # Whether a method looks for its override: there is none to find.
            Parameter(None, parameter.type, 0)
            if parameter.name == "__pyx_skip_dispatch"
            else parameter
            for parameter in prototype.parameters
        ]),
        prototype.variadic,
    )


cdef int check_complex(object prototype, str text) except -1:
    # Cython's is C's or a struct of two, as the module was compiled: SciPy's is the struct.
    for part in (prototype.rtype, *[parameter.type for parameter in prototype.parameters]):
        if part is types.complex_float:
            raise FFINotImplementedError(
                "a function of Cython with complex numbers of floats by value is not called on "
                f"this machine, where they may be passed in two ways: {shorten(text)}"
            )
    return 0
