"""Layouts of structs, unions and arrays, and what is taken as a type: dtype <-> Type.

The layout rules of C live here, and nothing that reads or writes a C value.
"""

import copyreg
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

cimport numpy as cnp
from cpython.unicode cimport PyUnicode_FromObject
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from ffi cimport _types, libffi
from ffi._types cimport BY_DTYPE, BY_SPELLING, Type, new_type, set_key, shorten, type_name

cdef extern from "_platform.h":
    bint MACHINE_IS_S390X

cdef extern from "numpy/arrayobject.h":
    # By type: isinstance believes an object's own __class__.
    bint PyArray_DescrCheck(object value)

cnp.import_array()

cdef enum:
    # Beyond these a declaration is a mistake or an attack; they bound every recursion here.
    MAX_DEPTH = 64
    MAX_LEAVES = 65536
    # Longer arrays are described to libffi as halves, so that a description stays small.
    MAX_FLAT = 8
    # NumPy keeps item sizes in a C int.
    MAX_SIZE = 2147483647


cdef inline int64_t round_up(int64_t size, Py_ssize_t alignment) noexcept:
    return (size + alignment - 1) // alignment * alignment


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
    if MACHINE_IS_S390X and length == 1 and innermost(item).code in (_types.FLOAT, _types.DOUBLE):
        # A struct of one float goes in a floating-point register, that of an array does not.
        elements = new_elements(1)
        elements[0] = &libffi.ffi_type_uint32
        if item.size == sizeof(double):
            elements[0] = &libffi.ffi_type_uint64
    elif length <= MAX_FLAT:
        elements = new_elements(length)
        for i in range(length):
            elements[i] = item.ffi
    else:
        half = new_type(_types.ARRAY, item.name, length // 2 * item.size, item.alignment, None)
        describe_array(half, item, length // 2)
        self.half = half
        elements = new_elements(3)
        elements[0] = elements[1] = half.ffi
        if length % 2:
            elements[2] = item.ffi
    return describe(self, elements)


cdef Type innermost(Type type):
    while True:
        if type.code == _types.STRUCT and len(type.fields) == 1:
            type = type.fields[0][1]
        elif type.code == _types.ARRAY and type.length == 1:
            type = type.item
        else:
            return type


cdef Type array_of(Type item, Py_ssize_t length, dtype):
    # An array as a member of a struct; `dtype` has its whole shape.
    cdef Type self
    cdef str base, rest
    if length < 1:
        raise FFIValueError(f"{item.name}[{length}]: a C array has at least one item")
    base, bracket, rest = item.name.partition("[")
    self = new_type(
        _types.ARRAY, f"{base}[{length}]{bracket}{rest}", length * item.size, item.alignment, dtype
    )
    self.item = item
    self.length = length
    self.depth = item.depth + 1
    self.leaves = item.leaves
    self.has_union = item.has_union
    check_nesting(self)
    set_key(self, (<int>_types.ARRAY, length, item))
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
                f"{where}: member {parts[0]!r}: bit-fields are not supported; an array is a dtype "
                "such as np.dtype((np.float64, 3))"
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
        if (<Type>resolved).code == _types.VOID:
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
    # 64 bits everywhere: a size may pass the limit before it is refused.
    cdef int64_t offset = 0, size = 0
    cdef Py_ssize_t alignment = 1, depth = 0, leaves = 0, i
    cdef Type member, self
    cdef list fields = []
    cdef libffi.ffi_type **elements
    cdef bint has_union = code == _types.UNION, describable = not has_union
    if name is None:
        name = declaration("struct" if code == _types.STRUCT else "union", members)
    elif not isinstance(name, str):
        raise FFITypeError(f"{where}: argument 'name': expected a str, got {shorten(name)}")
    else:
        name = PyUnicode_FromObject(name)
    for field, member in members:
        if code == _types.STRUCT:
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
    if PyArray_DescrCheck(spec):
        return struct_from_dtype("struct()", spec, name)
    return aggregate(_types.STRUCT, "struct()", to_members("struct()", spec), name)


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
    return aggregate(_types.UNION, "union()", to_members("union()", spec), name)


cdef Type struct_from_dtype(str where, dtype, name):
    cdef Type self
    if dtype.names is None:
        raise FFITypeError(f"{where}: expected a structured dtype, got {dtype}")
    check_dtype(dtype)
    check_dtype_nesting(dtype)
    by_offset = sorted(dtype.names, key=lambda field: dtype.fields[field][1])
    members = to_members(where, [(field, dtype.fields[field][0]) for field in by_offset])
    self = aggregate(_types.STRUCT, where, members, name)
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
        return array_of(BY_SPELLING["char"], dtype.itemsize, dtype)
    found = BY_DTYPE.get(dtype)
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
    if isinstance(value, Type) or PyArray_DescrCheck(value):
        return value
    if isinstance(value, str):
        found = BY_SPELLING.get(" ".join((<str>value).split()))
        if found is not None:
            return found
        try:
            return np.dtype(value)
        except (TypeError, ValueError, SyntaxError, DeprecationWarning):
            hint = "; a pointer to anything is 'pointer'" if value.endswith("*") else ""
            if "[" in value:
                hint = "; an array is a dtype such as np.dtype((np.float64, 3))"
            raise FFITypeError(
                f"{shorten(value)} is neither a C type nor a NumPy dtype{hint}"
            ) from None
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


# --- pickling

def _array(Type item not None, Py_ssize_t length, dtype):
    # What is unpickled need not come from `_reduce`.
    if (
        not 0 < length <= MAX_SIZE or item.size == 0 or not PyArray_DescrCheck(dtype)
        or dtype.itemsize != length * <object>item.size
    ):
        raise FFIValueError(f"{shorten(dtype)} is no array of {length} {item.name}")
    return array_of(item, length, dtype)


def _reduce(Type type):
    if type.code == _types.ARRAY:
        return _array, (type.item, type.length, type._dtype)
    if type.code == _types.STRUCT or type.code == _types.UNION:
        members = [(name, member) for name, member, _ in type.fields]
        return struct if type.code == _types.STRUCT else union, (members, type.name)
    return as_type, (type.name,)


# Here and not in `Type`, which does not know how aggregates are made.
copyreg.pickle(Type, _reduce)
