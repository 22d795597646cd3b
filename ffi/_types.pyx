"""C types: what a `Type` is, and the scalar types.

Descriptions only: nothing here reads or writes a C value.
"""

import sys
from weakref import KeyedRef

import numpy as np

from ffi.errors import FFINotImplementedError, FFITypeError

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.object cimport Py_TYPE
from libc.stddef cimport ptrdiff_t, wchar_t
from libc.stdint cimport (
    int_fast8_t, int_fast16_t, int_fast32_t, int_fast64_t, intptr_t, uint_fast8_t, uint_fast16_t,
    uint_fast32_t, uint_fast64_t, uintptr_t,
)
from libc.stdlib cimport free

from ffi cimport libffi
from ffi._locks cimport Mutex, lock_mutex, unlock_mutex

cnp.import_array()

IS_BIG_ENDIAN = sys.byteorder == "big"

cdef extern from "_complex.h":
    libffi.ffi_type *FFI_COMPLEX_FLOAT
    libffi.ffi_type *FFI_COMPLEX_DOUBLE
    libffi.ffi_type *FFI_COMPLEX_LONGDOUBLE

cdef extern from "_platform.h":
    ctypedef struct platform_abi:
        const char *name
        int value

    const platform_abi platform_abis[]

    const char *version_of_libffi()


@cython.final
cdef class Type:
    """A C type: immutable, hashable, picklable.

    Made by `struct` and `union`, from NumPy dtypes, or taken from `types`; never called directly.
    Types are equal when they are ABI-identical (``types.int == types.int32`` where an ``int`` has
    four bytes), except that ``bool`` and ``char`` equal only themselves, pointers compare what they
    point at, functions their results and parameters, and opaque types are the same by their tags. A
    type exports a buffer of no bytes at the address of its ``ffi_type``.

    Attributes
    ----------
    name : str
        The C name, such as ``"int"``.
    size : int
        Bytes of one value, 0 for ``void``, functions and opaque types.
    alignment : int
        Bytes.
    fields : tuple or None
        ``(name, Type, offset)`` of each named member of a struct or union. For a bit-field the
        offset is that of the storage unit, an aligned value of its declared type; the last one
        may reach beyond the end of the struct where the type is larger than its alignment. An
        anonymous struct or union among the members is named by its place, such as ``"_1"``; its
        members are found as if they were the outer one's, too.
    bits : tuple or None
        For a struct or union with bit-fields, one item per field: None, or ``(shift, width)`` of a
        bit-field, counted from the least significant bit of its storage unit.
    target : Type or None
        What a pointer points at; ``void`` for one to anything.
    const : bool
        Whether a pointer is one to const.
    tag : str or None
        The name of an opaque type, whose values only C knows.
    definition : Type or None
        The struct or union that an opaque type turned out to be: ``struct node { struct node
        *next; };`` has a pointer to what is not defined yet.
    prototype : Prototype or None
        What a function type takes and returns.

    Examples
    --------
    >>> ffi.types.double
    <ffi.Type double: 8 bytes, alignment 8>
    >>> ffi.types.double.dtype
    dtype('float64')
    """

    def __init__(self):
        raise FFITypeError("Type(): use ffi.types, ffi.struct, ffi.union or a NumPy dtype")

    def __dealloc__(self):
        free(self.elements)

    @property
    def dtype(self):
        """The `numpy.dtype` of one value in memory, None for types without values."""
        return self._dtype

    @property
    def address(self):
        """The address of the ``ffi_type``."""
        if self.ffi is NULL:
            raise FFINotImplementedError(f"Type.address: libffi has no description of {self.name}")
        return <uintptr_t>self.ffi

    def __getbuffer__(self, Py_buffer *view, int flags):
        if self.ffi is NULL:
            raise FFINotImplementedError(f"libffi has no description of {self.name}")
        PyBuffer_FillInfo(view, self, self.ffi, 0, 1, flags)

    def __eq__(self, other):
        if not isinstance(other, Type):
            return NotImplemented
        return self.identity is (<Type>other).identity

    def __hash__(self):
        return self.hash

    def __repr__(self):
        return f"<ffi.Type {self.name}: {self.size} bytes, alignment {self.alignment}>"

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


cdef str type_name(value):
    # A metaclass may define __name__.
    return Py_TYPE(value).tp_name.decode(errors="replace").rpartition(".")[2]


cdef str describe(value):
    """The type and value of what came, for a message."""
    return f"{type_name(value)} {shorten(value)}"


cdef str shorten(value):
    """`repr(value)` for a message, cut where it is long."""
    cdef str text
    if type(value) in (list, tuple) and len(value) > 50:
        # Writing them out takes long, and most would be cut off.
        return f"a {type_name(value)} of {len(value)} items"
    try:
        text = repr(value)
    except Exception:
        # Python limits the digits of ints that are written out.
        if isinstance(value, int):
            return f"an int of {value.bit_length()} bits"
        return f"<{type_name(value)}>"
    if len(text) > 80 and isinstance(value, int):
        return f"an int of {value.bit_length()} bits"
    return text if len(text) <= 80 else f"{text[:77]}..."


# --- scalars

cdef dict _DTYPES = {
    BOOL: np.dtype(np.bool_),
    CHAR: np.dtype("S1"),
    INT8: np.dtype(np.int8),
    UINT8: np.dtype(np.uint8),
    INT16: np.dtype(np.int16),
    UINT16: np.dtype(np.uint16),
    INT32: np.dtype(np.int32),
    UINT32: np.dtype(np.uint32),
    INT64: np.dtype(np.int64),
    UINT64: np.dtype(np.uint64),
    POINTER: np.dtype(np.uintp),
    FLOAT: np.dtype(np.float32),
    DOUBLE: np.dtype(np.float64),
    LONGDOUBLE: np.dtype(np.longdouble),
    COMPLEX_FLOAT: np.dtype(np.complex64),
    COMPLEX_DOUBLE: np.dtype(np.complex128),
    COMPLEX_LONGDOUBLE: np.dtype(np.clongdouble),
}


cdef libffi.ffi_type *scalar_ffi_type(int code) noexcept:
    if code == VOID:
        return &libffi.ffi_type_void
    if code == BOOL or code == UINT8:
        return &libffi.ffi_type_uint8
    if code == CHAR:
        return &libffi.ffi_type_sint8 if CHAR_IS_SIGNED else &libffi.ffi_type_uint8
    if code == INT8:
        return &libffi.ffi_type_sint8
    if code == INT16:
        return &libffi.ffi_type_sint16
    if code == UINT16:
        return &libffi.ffi_type_uint16
    if code == INT32:
        return &libffi.ffi_type_sint32
    if code == UINT32:
        return &libffi.ffi_type_uint32
    if code == INT64:
        return &libffi.ffi_type_sint64
    if code == UINT64:
        return &libffi.ffi_type_uint64
    if code == FLOAT:
        return &libffi.ffi_type_float
    if code == DOUBLE:
        return &libffi.ffi_type_double
    if code == LONGDOUBLE:
        return &libffi.ffi_type_longdouble
    if code == COMPLEX_FLOAT:
        return FFI_COMPLEX_FLOAT
    if code == COMPLEX_DOUBLE:
        return FFI_COMPLEX_DOUBLE
    if code == COMPLEX_LONGDOUBLE:
        return FFI_COMPLEX_LONGDOUBLE
    return &libffi.ffi_type_pointer


cdef Type new_type(int code, str name, Py_ssize_t size, Py_ssize_t alignment, dtype):
    cdef Type self = Type.__new__(Type)
    self.code = code
    self.name = name
    self.size = size
    self.alignment = alignment
    self._dtype = dtype
    self.leaves = 1
    self.has_pointer = code == POINTER
    self.padding = ()
    return self


class _Identity:
    """What equal types share."""

    __slots__ = ("__weakref__",)


# Weak references, by a type's own part of its identity and those of the types it is made of.
cdef dict _identities = {}
# Not a critical section: those are given up where another begins, such as the dict's own.
cdef Mutex identities_lock


cdef object to_identity(tuple key):
    made = _Identity()
    reference = KeyedRef(made, _forget, key)
    identity = known = None
    # No Python code runs while this is locked, nor ends what it would run for.
    lock_mutex(&identities_lock)
    try:
        known = _identities.get(key)
        if known is not None:
            identity = known()
        if identity is None:
            _identities[key] = reference
            identity = made
    finally:
        unlock_mutex(&identities_lock)
    return identity


def _forget(reference):
    key = reference.key
    lock_mutex(&identities_lock)
    try:
        if _identities.get(key) is reference:
            del _identities[key]
    finally:
        unlock_mutex(&identities_lock)


cdef Type set_key(Type self, tuple key, tuple parts):
    cdef Type part
    cdef list identities = [], hashes = []
    for part in parts:
        identities.append(part.identity)
        hashes.append(part.hash)
    self.key = key
    self.parts = parts
    self.identity = to_identity((key, tuple(identities)))
    self.hash = hash((key, tuple(hashes)))
    return self


cdef int check_has_values(Type type) except -1:
    if type.code == VOID:
        raise FFITypeError("void has no values")
    if type.code == OPAQUE:
        raise FFITypeError(f"{type.name} is opaque, only C knows its values; use a pointer to it")
    if type.code == FUNCTION:
        raise FFITypeError(f"{type.name} is a function, which is no value; use a pointer to it")
    return 0


cdef Type scalar(str name, int code):
    cdef libffi.ffi_type *ffi = scalar_ffi_type(code)
    cdef Type self
    dtype = _DTYPES.get(code)
    if code == VOID:
        self = new_type(code, name, 0, 1, None)
    elif ffi is NULL:
        self = new_type(code, name, dtype.itemsize, dtype.alignment, dtype)
    else:
        self = new_type(code, name, ffi.size, ffi.alignment, dtype)
    self.ffi = ffi
    # A long double that is a double has the double's ABI.
    if code == LONGDOUBLE and self.size == sizeof(double):
        code = DOUBLE
    elif code == COMPLEX_LONGDOUBLE and self.size == 2 * sizeof(double):
        code = COMPLEX_DOUBLE
    return set_key(self, (code,), ())


cdef int integer_code(Py_ssize_t size, bint signed) except -1:
    if size == 1:
        return INT8 if signed else UINT8
    if size == 2:
        return INT16 if signed else UINT16
    if size == 4:
        return INT32 if signed else UINT32
    return INT64 if signed else UINT64


cdef bint CHAR_IS_SIGNED = (<char>-1) < 0
cdef bint WCHAR_IS_SIGNED = (<wchar_t>-1) < 0

cdef dict _SCALARS = {
    name: scalar(name, code)
    for name, code in {
        "int8": INT8,
        "uint8": UINT8,
        "int16": INT16,
        "uint16": UINT16,
        "int32": INT32,
        "uint32": UINT32,
        "int64": INT64,
        "uint64": UINT64,
        "float": FLOAT,
        "double": DOUBLE,
        "longdouble": LONGDOUBLE,
        "bool": BOOL,
        "byte": UINT8,
        "char": CHAR,
        "schar": INT8,
        "uchar": UINT8,
        "short": integer_code(sizeof(short), True),
        "ushort": integer_code(sizeof(short), False),
        "int": integer_code(sizeof(int), True),
        "uint": integer_code(sizeof(int), False),
        "long": integer_code(sizeof(long), True),
        "ulong": integer_code(sizeof(long), False),
        "longlong": integer_code(sizeof(long long), True),
        "ulonglong": integer_code(sizeof(long long), False),
        "size_t": integer_code(sizeof(size_t), False),
        "ssize_t": integer_code(sizeof(Py_ssize_t), True),
        "intptr_t": integer_code(sizeof(intptr_t), True),
        "uintptr_t": integer_code(sizeof(uintptr_t), False),
        "ptrdiff_t": integer_code(sizeof(ptrdiff_t), True),
        "wchar_t": integer_code(sizeof(wchar_t), WCHAR_IS_SIGNED),
        "pointer": POINTER,
        "complex_float": COMPLEX_FLOAT,
        "complex_double": COMPLEX_DOUBLE,
        "complex_longdouble": COMPLEX_LONGDOUBLE,
        "void": VOID,
    }.items()
}


def _spellings():
    # C's own spellings of the scalar types, words in the order people write them.
    yield from {
        "_Bool": "bool", "signed char": "schar", "unsigned char": "uchar", "signed": "int",
        "signed int": "int", "unsigned": "uint", "unsigned int": "uint",
        "long double": "longdouble",
        "float complex": "complex_float", "float _Complex": "complex_float",
        "double complex": "complex_double", "double _Complex": "complex_double",
        "long double complex": "complex_longdouble", "long double _Complex": "complex_longdouble",
    }.items()
    for words, name in (("short", "short"), ("long", "long"), ("long long", "longlong")):
        for suffix in ("", " int"):
            yield f"{words}{suffix}", name
            yield f"signed {words}{suffix}", name
            yield f"unsigned {words}{suffix}", f"u{name}"
    for bits in (8, 16, 32, 64):
        yield f"int{bits}_t", f"int{bits}"
        yield f"uint{bits}_t", f"uint{bits}"


(<Type>_SCALARS["pointer"]).target = _SCALARS["void"]
set_key(_SCALARS["pointer"], (<int>POINTER, False), (_SCALARS["void"],))

BY_SPELLING = {**_SCALARS, **{text: _SCALARS[name] for text, name in _spellings()}}
# The double types come last: where a long double is a double, their dtypes are equal.
BY_DTYPE = {
    (<Type>_SCALARS[name])._dtype: _SCALARS[name]
    for name in (
        "bool", "char", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
        "longdouble", "complex_longdouble", "float", "complex_float", "double", "complex_double",
    )
}


def scalars():
    """Return the scalar types by name."""
    return dict(_SCALARS)


def fast_integers():
    """Return by name the types that stdint.h calls fast, whose sizes the platform chooses."""
    return {
        "int_fast8_t": _SCALARS[f"int{8 * sizeof(int_fast8_t)}"],
        "int_fast16_t": _SCALARS[f"int{8 * sizeof(int_fast16_t)}"],
        "int_fast32_t": _SCALARS[f"int{8 * sizeof(int_fast32_t)}"],
        "int_fast64_t": _SCALARS[f"int{8 * sizeof(int_fast64_t)}"],
        "uint_fast8_t": _SCALARS[f"uint{8 * sizeof(uint_fast8_t)}"],
        "uint_fast16_t": _SCALARS[f"uint{8 * sizeof(uint_fast16_t)}"],
        "uint_fast32_t": _SCALARS[f"uint{8 * sizeof(uint_fast32_t)}"],
        "uint_fast64_t": _SCALARS[f"uint{8 * sizeof(uint_fast64_t)}"],
    }


def platform_abi_values():
    """Return libffi's ABI numbers by name."""
    cdef dict values = {}
    cdef Py_ssize_t i = 0
    while platform_abis[i].name is not NULL:
        values[platform_abis[i].name.decode()] = platform_abis[i].value
        i += 1
    return values


def libffi_sizes():
    """Return the sizes of libffi's own types by name."""
    return {
        "ffi_arg": sizeof(libffi.ffi_arg),
        "ffi_sarg": sizeof(libffi.ffi_sarg),
        "ffi_type": sizeof(libffi.ffi_type),
        "ffi_cif": sizeof(libffi.ffi_cif),
        "ffi_closure": sizeof(libffi.ffi_closure),
    }


# None before 3.5, which does not tell.
libffi_version = None if version_of_libffi() is NULL else version_of_libffi().decode()
