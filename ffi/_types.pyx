"""C types: their sizes, layouts, libffi descriptions and NumPy dtypes.

Descriptions only: nothing here reads or writes a C value.
"""

from collections.abc import Mapping

import numpy as np

from ffi.errors import (
    Error,
    FFINotImplementedError,
    FFIOverflowError,
    FFITypeError,
    FFIValueError,
    located,
)

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.unicode cimport PyUnicode_FromObject
from libc.stddef cimport ptrdiff_t, wchar_t
from libc.stdint cimport intptr_t, uintptr_t
from libc.stdlib cimport calloc, free

from ffi cimport libffi

cnp.import_array()

cdef extern from "_platform.h":
    bint MACHINE_IS_S390X
    libffi.ffi_type *FFI_COMPLEX_FLOAT
    libffi.ffi_type *FFI_COMPLEX_DOUBLE
    libffi.ffi_type *FFI_COMPLEX_LONGDOUBLE

    ctypedef struct platform_abi:
        const char *name
        int value

    const platform_abi platform_abis[]


cdef enum:
    # Beyond these a declaration is a mistake or an attack; they bound every recursion here.
    MAX_DEPTH = 64
    MAX_LEAVES = 65536
    # Longer arrays are described to libffi as halves, so that a description stays small.
    MAX_FLAT = 8
    # NumPy keeps item sizes in a C int.
    MAX_SIZE = 2147483647


@cython.final
@cython.no_gc
cdef class Type:
    """A C type: immutable, hashable, picklable.

    Made by `struct` and `union`, from NumPy dtypes, or taken from `types`; never called directly.
    Types are equal when they are ABI-identical (``types.int == types.int32`` where an ``int`` has
    four bytes), except that ``bool`` and ``char`` equal only themselves. A type exports a buffer
    of no bytes at the address of its ``ffi_type``.

    Attributes
    ----------
    name : str
        The C name, such as ``"int"``.
    size : int
        Bytes of one value, 0 for ``void``.
    alignment : int
        Bytes.
    fields : tuple or None
        ``(name, Type, offset)`` of each member of a struct or union.

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
        """The `numpy.dtype` of one value in memory, None for ``void``."""
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
        return self is other or (self.hash == (<Type>other).hash and self.key == (<Type>other).key)

    def __hash__(self):
        return self.hash

    def __repr__(self):
        return f"<ffi.Type {self.name}: {self.size} bytes, alignment {self.alignment}>"

    def __reduce__(self):
        if self.code == ARRAY:
            return _array, (self.item, self.length, self._dtype)
        if self.code == STRUCT:
            return struct, ([(name, type) for name, type, _ in self.fields], self.name)
        if self.code == UNION:
            return union, ([(name, type) for name, type, _ in self.fields], self.name)
        return _named, (self.name,)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


def _named(str name):
    return _SCALARS[name]


def _array(Type item, length, dtype):
    return array_of(item, length, dtype)


cdef str type_name(value):
    return type(value).__name__


cdef str shorten(value):
    """`repr(value)` for a message, cut where it is long."""
    cdef str text
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


cdef inline Py_ssize_t round_up(Py_ssize_t size, Py_ssize_t alignment) noexcept:
    return (size + alignment - 1) // alignment * alignment


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
    return self


cdef Type set_key(Type self, tuple key):
    self.key = key
    self.hash = hash(key)
    return self


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
    return set_key(self, (code,))


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
        "long double": "longdouble", "void*": "pointer", "void *": "pointer",
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


cdef dict _BY_SPELLING = {**_SCALARS, **{text: _SCALARS[name] for text, name in _spellings()}}
cdef dict _BY_DTYPE = {
    dtype: _SCALARS[name]
    for name, dtype in (
        ("bool", _DTYPES[BOOL]), ("char", _DTYPES[CHAR]), ("int8", _DTYPES[INT8]),
        ("uint8", _DTYPES[UINT8]), ("int16", _DTYPES[INT16]), ("uint16", _DTYPES[UINT16]),
        ("int32", _DTYPES[INT32]), ("uint32", _DTYPES[UINT32]), ("int64", _DTYPES[INT64]),
        ("uint64", _DTYPES[UINT64]), ("float", _DTYPES[FLOAT]), ("double", _DTYPES[DOUBLE]),
        ("longdouble", _DTYPES[LONGDOUBLE]), ("complex_float", _DTYPES[COMPLEX_FLOAT]),
        ("complex_double", _DTYPES[COMPLEX_DOUBLE]),
        ("complex_longdouble", _DTYPES[COMPLEX_LONGDOUBLE]),
    )
}


# --- aggregates

cdef libffi.ffi_type **new_elements(Py_ssize_t count) except NULL:
    # libffi's lists of types end with NULL; calloc writes it.
    cdef libffi.ffi_type **elements = <libffi.ffi_type **>calloc(
        count + 1, sizeof(libffi.ffi_type *)
    )
    if elements is NULL:
        raise MemoryError
    return elements


cdef int describe(Type self, libffi.ffi_type **elements) except -1:
    # Own `elements` and say to libffi what `self` is.
    self.elements = elements
    self.aggregate.type = libffi.FFI_TYPE_STRUCT
    self.aggregate.size = self.size
    self.aggregate.alignment = <unsigned short>self.alignment
    self.aggregate.elements = elements
    self.ffi = &self.aggregate
    return 0


cdef int describe_array(Type self, Type item, Py_ssize_t length) except -1:
    # libffi has no arrays: one is a struct of equal members, a long one a struct of two halves.
    cdef libffi.ffi_type **elements
    cdef Type half
    cdef Py_ssize_t i
    if MACHINE_IS_S390X and length == 1 and (item.code == FLOAT or item.code == DOUBLE):
        # A struct of one float goes in a floating-point register, that of an array does not.
        elements = new_elements(1)
        elements[0] = &libffi.ffi_type_uint32 if item.code == FLOAT else &libffi.ffi_type_uint64
    elif length <= MAX_FLAT:
        elements = new_elements(length)
        for i in range(length):
            elements[i] = item.ffi
    else:
        half = new_type(ARRAY, item.name, length // 2 * item.size, item.alignment, None)
        describe_array(half, item, length // 2)
        self.half = half
        elements = new_elements(3)
        elements[0] = elements[1] = half.ffi
        if length % 2:
            elements[2] = item.ffi
    return describe(self, elements)


cdef Type array_of(Type item, Py_ssize_t length, dtype):
    # An array as a member of a struct; `dtype` has its whole shape.
    cdef Type self
    cdef str base, rest
    if length < 1:
        raise FFIValueError(f"{item.name}[{length}]: a C array has at least one item")
    base, bracket, rest = item.name.partition("[")
    self = new_type(
        ARRAY, f"{base}[{length}]{bracket}{rest}", length * item.size, item.alignment, dtype
    )
    self.item = item
    self.length = length
    self.depth = item.depth + 1
    self.leaves = item.leaves
    self.has_union = item.has_union
    check_nesting(self)
    set_key(self, (<int>ARRAY, length, item))
    if item.ffi is not NULL:
        describe_array(self, item, length)
    return self


cdef int check_nesting(Type self) except -1:
    if self.depth > MAX_DEPTH:
        raise FFIValueError(f"a type nests more than {<int>MAX_DEPTH} deep")
    if self.leaves > MAX_LEAVES:
        raise FFIValueError(f"a type has more than {<int>MAX_LEAVES} members in all")
    return 0


cdef list to_members(str where, spec):
    # [(name, Type)] from a list or mapping; names are checked, layouts are not known yet.
    cdef list members = []
    cdef set names = set()
    if isinstance(spec, Mapping):
        spec = list(spec.items())
    elif not isinstance(spec, (list, tuple)):
        raise FFITypeError(
            f"{where}: expected a structured dtype or a list or mapping of (name, type), "
            f"got {type_name(spec)}"
        )
    for member in spec:
        parts = tuple(member) if isinstance(member, (list, tuple)) else ()
        if len(parts) not in (2, 3):
            raise FFITypeError(f"{where}: expected a (name, type) pair, got {shorten(member)}")
        if len(parts) == 3:
            raise FFINotImplementedError(
                f"{where}: member {parts[0]!r}: bit-fields are not supported"
            )
        name, member_type = parts
        if not isinstance(name, str):
            raise FFITypeError(f"{where}: expected a str as member name, got {shorten(name)}")
        name = PyUnicode_FromObject(name)
        if not name or "\0" in name:
            raise FFIValueError(f"{where}: {name!r} cannot be a member's name")
        if name in names:
            raise FFIValueError(f"{where}: two members are named {name!r}")
        names.add(name)
        try:
            resolved = to_type(member_type)
        except Error as exc:
            raise located(exc, f"{where}: member {name!r}") from None
        if (<Type>resolved).code == VOID:
            raise FFITypeError(f"{where}: member {name!r}: void has no values")
        members.append((name, resolved))
    if not members:
        raise FFIValueError(f"{where}: expected at least one member, C has no empty aggregates")
    return members


cdef str declaration(str keyword, list members):
    cdef list parts = []
    cdef Type member
    for name, member in members:
        base, bracket, rest = member.name.partition("[")
        if base.startswith(("struct {", "union {")):
            base = base.split(" ", 1)[0] + " {...}"
        parts.append(f"{base} {name}{bracket}{rest};")
    return f"{keyword} {{ {' '.join(parts)} }}"


cdef Type aggregate(int code, str where, list members, name):
    # The layout rules of C: each member at the next multiple of its alignment, the whole a
    # multiple of the strictest one.
    cdef Py_ssize_t offset = 0, size = 0, alignment = 1, depth = 0, leaves = 0, i
    cdef Type member, self
    cdef list fields = []
    cdef libffi.ffi_type **elements
    cdef bint has_union = code == UNION, describable = not has_union
    if name is None:
        name = declaration("struct" if code == STRUCT else "union", members)
    elif not isinstance(name, str):
        raise FFITypeError(f"{where}: argument 'name': expected a str, got {shorten(name)}")
    else:
        name = PyUnicode_FromObject(name)
    for field, member in members:
        if code == STRUCT:
            offset = round_up(size, member.alignment)
        if member.size > MAX_SIZE - offset:
            raise FFIOverflowError(f"{where}: {name} has more than {<Py_ssize_t>MAX_SIZE} bytes")
        fields.append((field, member, offset))
        size = max(size, offset + member.size)
        alignment = max(alignment, member.alignment)
        depth = max(depth, member.depth)
        leaves += member.leaves
        has_union = has_union or member.has_union
        describable = describable and member.ffi is not NULL
    size = round_up(size, alignment)
    if size > MAX_SIZE:
        raise FFIOverflowError(f"{where}: {name} has more than {<Py_ssize_t>MAX_SIZE} bytes")
    self = new_type(code, name, size, alignment, None)
    self.fields = tuple(fields)
    self.depth = depth + 1
    self.leaves = leaves
    self.has_union = has_union
    check_nesting(self)
    self._dtype = np.dtype(
        {
            "names": [field for field, _, _ in fields],
            "formats": [(<Type>member)._dtype for _, member, _ in fields],
            "offsets": [offset for _, _, offset in fields],
            "itemsize": size,
        },
        align=True,
    )
    set_key(
        self, (code, size, alignment, tuple([(offset, member) for _, member, offset in fields]))
    )
    if describable:
        elements = new_elements(len(fields))
        for i in range(len(fields)):
            elements[i] = (<Type>fields[i][1]).ffi
        describe(self, elements)
        check_layout(self)
    return self


cdef int check_layout(Type self) except -1:
    # libffi lays the struct out by itself; where it disagrees, a call would go wrong.
    cdef libffi.ffi_type copy = self.aggregate
    cdef size_t *offsets = <size_t *>calloc(len(self.fields), sizeof(size_t))
    cdef Py_ssize_t i
    cdef bint same
    if offsets is NULL:
        raise MemoryError
    try:
        copy.size = copy.alignment = 0
        same = (
            libffi.ffi_get_struct_offsets(libffi.FFI_DEFAULT_ABI, &copy, offsets) == libffi.FFI_OK
            and copy.size == <size_t>self.size
            and copy.alignment == self.alignment
        )
        for i in range(len(self.fields)):
            same = same and offsets[i] == <size_t>self.fields[i][2]
    finally:
        free(offsets)
    if not same:
        raise FFINotImplementedError(f"struct(): libffi has another layout of {self.name}")
    return 0


def struct(spec, name=None):
    """Make a struct type.

    Parameters
    ----------
    spec : dtype, list or mapping
        A structured `numpy.dtype` whose layout is C's (``align=True``), or the members in order:
        ``(name, type)`` pairs or ``{name: type}``. An array member is a NumPy subarray dtype,
        such as ``np.dtype((np.float64, 3))``.
    name : str, optional
        What messages call it. The default spells the members.

    Returns
    -------
    Type

    Raises
    ------
    TypeError
        For anything that is no type, and for dtypes without a C counterpart.
    ValueError
        For no members, equal names, a dtype whose layout is not C's, and nesting without end.
    OverflowError
        If the size does not fit NumPy's item size.
    NotImplementedError
        For bit-fields, and layouts that libffi does not share.

    Examples
    --------
    >>> point = ffi.struct([("tag", "char"), ("x", "double")], name="point")
    >>> point
    <ffi.Type point: 16 bytes, alignment 8>
    >>> [(name, offset) for name, _, offset in point.fields]
    [('tag', 0), ('x', 8)]
    >>> ffi.struct(np.dtype([("tag", "S1"), ("x", "f8")], align=True)) == point
    True
    """
    if isinstance(spec, np.dtype):
        return struct_from_dtype("struct()", spec, name)
    return aggregate(STRUCT, "struct()", to_members("struct()", spec), name)


def union(spec, name=None):
    """Make a union type.

    libffi has no unions: the type serves `read`, `write`, `view` and pointers, and a `CIF` refuses
    it by value.

    Parameters
    ----------
    spec : list or mapping
        The members: ``(name, type)`` pairs or ``{name: type}``.
    name : str, optional
        What messages call it. The default spells the members.

    Returns
    -------
    Type

    Raises
    ------
    TypeError, ValueError, OverflowError
        As `struct` does.

    Examples
    --------
    >>> number = ffi.union([("i", "int"), ("d", "double")], name="number")
    >>> number
    <ffi.Type number: 8 bytes, alignment 8>
    """
    return aggregate(UNION, "union()", to_members("union()", spec), name)


cdef Type struct_from_dtype(str where, dtype, name):
    cdef Type self
    if dtype.names is None:
        raise FFITypeError(f"{where}: expected a structured dtype, got {dtype}")
    check_dtype(dtype)
    check_dtype_nesting(dtype)
    by_offset = sorted(dtype.names, key=lambda field: dtype.fields[field][1])
    members = to_members(where, [(field, dtype.fields[field][0]) for field in by_offset])
    self = aggregate(STRUCT, where, members, name)
    for field, _, offset in self.fields:
        if dtype.fields[field][1] != offset:
            raise FFIValueError(
                f"{where}: field {field!r} is at offset {dtype.fields[field][1]}, C puts it at "
                f"{offset}; use np.dtype(..., align=True)"
            )
    if dtype.itemsize != self.size:
        raise FFIValueError(
            f"{where}: the dtype has {dtype.itemsize} bytes, the C struct {self.size}; "
            "use np.dtype(..., align=True)"
        )
    return self


# --- what is taken as a type

cdef bint is_native(object dtype) except -1:
    """Whether all fields are in native byte order; NumPy's own answer passes over subarrays."""
    cdef list pending = [dtype]
    cdef set seen = set()
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if current.subdtype is not None:
            pending.append(current.subdtype[0])
        elif current.names is not None:
            pending += [current.fields[name][0] for name in current.names]
        elif not current.isnative:
            return False
    return True


cdef int check_dtype(dtype) except -1:
    if dtype.hasobject:
        raise FFITypeError(f"{shorten(dtype)} holds Python objects, C has none")
    if not is_native(dtype):
        raise FFITypeError(
            f"{shorten(dtype)} is not in native byte order; use dtype.newbyteorder('=')"
        )
    return 0


cdef int check_dtype_nesting(dtype) except -1:
    # A dtype is taken apart by recursion, so its depth is looked at first.
    cdef list pending = [(dtype, 1)]
    cdef Py_ssize_t seen = 0
    while pending:
        current, depth = pending.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_LEAVES:
            raise FFIValueError(
                f"a dtype nests more than {<int>MAX_DEPTH} deep or has more than "
                f"{<int>MAX_LEAVES} fields in all"
            )
        if current.subdtype is not None:
            pending.append((current.subdtype[0], depth + 1))
        elif current.names is not None:
            pending += [(current.fields[name][0], depth + 1) for name in current.names]
    return 0


cdef Type from_dtype(dtype):
    cdef Type item
    check_dtype(dtype)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        item = from_dtype(base)
        for axis in reversed(range(len(shape))):
            item = array_of(item, shape[axis], np.dtype((base, shape[axis:])))
        return item
    if dtype.names is not None:
        return struct_from_dtype(shorten(dtype), dtype, None)
    if dtype.kind == "S" and dtype.itemsize > 1:
        return array_of(_SCALARS["char"], dtype.itemsize, dtype)
    found = _BY_DTYPE.get(dtype)
    if found is None:
        raise FFITypeError(f"{shorten(dtype)} has no C type")
    return found


cdef Type to_type(object value):
    """The Type that a Type, dtype, NumPy scalar type or C type name stands for."""
    found = resolve(value)
    return found if isinstance(found, Type) else from_dtype(found)


cdef object to_dtype(object value):
    """The dtype of what `to_type` takes, also one without a C type; None for void."""
    found = resolve(value)
    return (<Type>found)._dtype if isinstance(found, Type) else found


cdef object resolve(object value):
    # A Type or a dtype.
    if isinstance(value, (Type, np.dtype)):
        return value
    if isinstance(value, str):
        found = _BY_SPELLING.get(" ".join((<str>value).split()))
        if found is not None:
            return found
        try:
            return np.dtype(value)
        except (TypeError, ValueError, SyntaxError, DeprecationWarning):
            raise FFITypeError(f"{shorten(value)} is neither a C type nor a NumPy dtype") from None
    if isinstance(value, type):
        if issubclass(value, np.generic):
            if value in _ABSTRACT:
                raise FFITypeError(f"np.{value.__name__} is abstract; use one with a size")
            return np.dtype(value)
        if value in _SUGGESTIONS:
            raise FFITypeError(
                f"Python's {value.__name__} is no C type; use {_SUGGESTIONS[value]}"
            )
    raise FFITypeError(
        f"expected an ffi.Type, a NumPy dtype or scalar type, or a C type name, "
        f"got {shorten(value)}"
    )


cdef set _ABSTRACT = {
    np.generic, np.number, np.integer, np.signedinteger, np.unsignedinteger, np.inexact,
    np.floating, np.complexfloating, np.flexible, np.character,
}
cdef dict _SUGGESTIONS = {
    bool: "ffi.types.bool or np.bool_",
    int: "ffi.types.int, ffi.types.long or np.int64",
    float: "ffi.types.double or np.float64",
    complex: "ffi.types.complex_double or np.complex128",
    bytes: "ffi.types.char or ffi.types.pointer",
    str: "ffi.types.char or ffi.types.pointer",
}


def as_type(value):
    """Return the Type that `value` stands for, as every public function takes one."""
    return to_type(value)


def scalars():
    """Return the scalar types by name."""
    return dict(_SCALARS)


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
