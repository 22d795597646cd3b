"""What is taken as a type: structs from members, dtypes, names in C, pairs for arrays.

Nothing is laid out here, that is `_layouts`; and nothing reads or writes a C value.
"""

import copyreg
import re
from collections.abc import Mapping

import numpy as np

from ffi._layouts import define, enum_type, function_type, opaque, pointer_to
from ffi.errors import Error, FFIOverflowError, FFITypeError, FFIValueError, located

cimport numpy as cnp
from cpython.long cimport PyLong_Check
from cpython.object cimport PyObject_TypeCheck, PyTypeObject
from cpython.unicode cimport PyUnicode_FromObject

from ffi cimport _types
from ffi._layouts cimport (
    MAX_DEPTH, MAX_LEAVES, MAX_SIZE, POINTER, aggregate, array_of, member_names,
)
from ffi._types cimport BY_DTYPE, BY_SPELLING, Type, check_has_values, shorten, type_name

cdef extern from "Python.h":
    int PyIndex_Check(object value)
    object PyNumber_Index(object value)

cdef extern from "numpy/arrayobject.h":
    # By type: isinstance believes an object's own __class__.
    bint PyArray_DescrCheck(object value)
    PyTypeObject PyIntegerArrType_Type

cnp.import_array()

cdef enum:
    # NumPy 1's limit.
    MAX_NDIM = 32


# --- structs and unions

def struct(spec, name=None):
    """Make a struct type.

    Parameters
    ----------
    spec : dtype, list, mapping or str
        A structured `numpy.dtype` whose layout is C's (``align=True``), or the members in order:
        ``(name, type)`` pairs or ``{name: type}``. The type of an array member is a pair of the
        items' type and their number or shape, such as ``("double", 3)``, or a NumPy subarray
        dtype. A bit-field is ``(name, type, width)``; its type is an integer, bool or char, and
        its name None for padding. A struct or union without a name is an anonymous member.
        Or the definition in C: ``"struct point { double x, y; }"``.
    name : str, optional
        What messages call it. The default spells the members.

    Returns
    -------
    Type

    Raises
    ------
    TypeError
        For anything that is no type, for dtypes without a C counterpart, and for bit-fields of a
        type that has none in C.
    ValueError
        For no members, equal names, a dtype whose layout is not C's, bit-fields wider than their
        type, and nesting without end.
    OverflowError
        If the size, or that of a record of all members, does not fit NumPy's item size.
    NotImplementedError
        For layouts that libffi does not share.

    Examples
    --------
    >>> point = ffi.struct([("tag", "char"), ("x", "double")], name="point")
    >>> point
    <ffi.Type point: 16 bytes, alignment 8>
    >>> [(name, offset) for name, _, offset in point.fields]
    [('tag', 0), ('x', 8)]
    >>> ffi.struct(np.dtype([("tag", "S1"), ("x", "f8")], align=True)) == point
    True
    >>> ffi.struct([("low", "uint", 3), (None, "uint", 4), ("high", "int", 9)]).bits
    ((0, 3), (7, 9))
    """
    if PyArray_DescrCheck(spec):
        return struct_from_dtype("struct()", spec, name)
    if isinstance(spec, str):
        return from_text("struct", spec, name)
    return aggregate(_types.STRUCT, "struct()", to_members("struct()", spec), name)


def union(spec, name=None):
    """Make a union type.

    Parameters
    ----------
    spec : list, mapping or str
        The members, as `struct` takes them; or the definition in C.
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
    if isinstance(spec, str):
        return from_text("union", spec, name)
    return aggregate(_types.UNION, "union()", to_members("union()", spec), name)


def make_aggregate(str keyword, name, list members):
    """Make a struct or union as `struct` and `union` do, for messages that say where."""
    code = _types.STRUCT if keyword == "struct" else _types.UNION
    return aggregate(code, name or keyword, to_members(name or keyword, members), name)


cdef Type from_text(str keyword, str text, name):
    if name is not None:
        raise FFITypeError(f"{keyword}(): argument 'name': the C text says the name")
    if read_definition is None:
        raise FFITypeError(f"{keyword}(): expected a list or mapping of (name, type)")
    try:
        return read_definition(keyword, PyUnicode_FromObject(text))
    except Error as exc:
        raise located(exc, f"{keyword}()") from None


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


cdef list to_members(str where, spec):
    # [(name, Type, width)] from a list or mapping; the width of what is no bit-field is None.
    # Names and widths are checked, layouts are not known yet.
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
        name, member_type = parts[:2]
        if name is None:
            place = f"unnamed member {len(members)}"
        else:
            name = to_name(where, name, names)
            place = f"member {name!r}"
        try:
            resolved = to_type(member_type)
            check_has_values(resolved)
            width = None if len(parts) == 2 else to_width(resolved, parts[2], name is None)
            if name is None and width is None:
                take_names(resolved, names)
        except Error as exc:
            raise located(exc, f"{where}: {place}") from None
        members.append((name, resolved, width))
    if not names:
        raise FFIValueError(
            f"{where}: expected at least one {'named ' if members else ''}member, "
            "C has no empty aggregates"
        )
    return members


cdef int take_names(Type anonymous, set names) except -1:
    # The members of an anonymous member are found as if they were the outer one's.
    if anonymous.code != _types.STRUCT and anonymous.code != _types.UNION:
        raise FFITypeError(
            f"expected a str as member name, got None for {anonymous.name}; only bit-fields, "
            "structs and unions have no name"
        )
    for name in member_names(anonymous):
        if name in names:
            raise FFIValueError(f"two members are named {name!r}")
        names.add(name)
    return 0


cdef str to_name(str where, object name, set names):
    if not isinstance(name, str):
        raise FFITypeError(f"{where}: expected a str as member name, got {shorten(name)}")
    name = PyUnicode_FromObject(name)
    if not name or "\0" in name:
        raise FFIValueError(f"{where}: {name!r} cannot be a member's name")
    if name in names:
        raise FFIValueError(f"{where}: two members are named {name!r}")
    names.add(name)
    return name


cdef bint is_int(object value) noexcept:
    # Timedeltas are integers to NumPy, but have no __index__.
    return PyLong_Check(value) or (
        PyIndex_Check(value) and PyObject_TypeCheck(value, &PyIntegerArrType_Type)
    )


cdef object to_width(Type type, object width, bint unnamed):
    """The bits of a bit-field of this type."""
    if not is_int(width):
        hint = ""
        if isinstance(width, (list, tuple)):
            hint = f"; an array is {shorten((type.name, width))}"
        raise FFITypeError(f"expected an int as number of bits, got {shorten(width)}{hint}")
    width = PyNumber_Index(width)
    if not _types.is_integral(type.code) or type.code == _types.POINTER:
        raise FFITypeError(
            f"a bit-field is an integer, bool or char, got {type.name} with {shorten(width)} bits; "
            f"an array is {shorten((type.name, width))}"
        )
    limit = 1 if type.code == _types.BOOL else 8 * type.size
    if width == 0 and not unnamed:
        raise FFIValueError("expected 1 bit or more, got 0; only an unnamed bit-field has none")
    if not 0 <= width <= limit:
        raise FFIValueError(f"expected 0 to {limit} bits of {type.name}, got {shorten(width)}")
    return width


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
    """The Type that a Type, dtype, NumPy scalar type, C type name or array stands for."""
    found = resolve(value)
    return found if isinstance(found, Type) else from_dtype(found)


cdef Type to_array(object value):
    """The Type of ``(type, length)`` or ``(type, shape)``, whose type may be such a pair again."""
    cdef list lengths = []
    cdef Type item
    while isinstance(value, tuple):
        if len(value) != 2:
            raise FFITypeError(
                f"expected an array as a pair of type and length, got {shorten(value)}"
            )
        value, shape = value
        lengths += to_shape(shape)
        check_axes(len(lengths))
    item = to_type(value)
    check_has_values(item)
    check_axes(len(lengths) + <Py_ssize_t>item._dtype.ndim)
    for length in reversed(lengths):
        size = (item.value if item.has_bits else item).size
        if length > MAX_SIZE // <Py_ssize_t>size:
            raise FFIOverflowError(
                f"{item.name}[{shorten(length)}] has more than {<Py_ssize_t>MAX_SIZE} bytes"
            )
        item = array_of(item, length, None)
    return item


cdef list to_shape(object shape):
    cdef list lengths = []
    for length in shape if isinstance(shape, (list, tuple)) else (shape,):
        if not is_int(length):
            raise FFITypeError(f"expected an int as an array's length, got {shorten(length)}")
        length = PyNumber_Index(length)
        if length < 1:
            raise FFIValueError(f"a C array has at least one item, got length {shorten(length)}")
        lengths.append(length)
    return lengths


cdef int check_axes(Py_ssize_t count) except -1:
    if count > MAX_NDIM:
        raise FFIValueError(f"expected an array of at most {<int>MAX_NDIM} axes, got {count}")
    return 0


cdef object to_dtype(object value):
    """The dtype of what `to_type` takes and has values, also one without a C type."""
    found = resolve(value)
    if isinstance(found, Type):
        check_has_values(found)
        return (<Type>found)._dtype
    return found


# Filled by the module that reads C: text -> Type, and (keyword, text) -> the struct or union.
cdef object read_type = None
cdef object read_definition = None


def set_readers(type_reader, definition_reader):
    """Say how C text is read."""
    global read_type, read_definition
    read_type = type_reader
    read_definition = definition_reader


cdef object _LOOKS_LIKE_C = re.compile(
    r"[*\[({]|\b(?:struct|union|enum|const|volatile|signed|unsigned|short|long|_Complex)\b"
)


cdef object resolve(object value):
    # A Type or a dtype.
    if isinstance(value, tuple):
        return to_array(value)
    if isinstance(value, Type) or PyArray_DescrCheck(value):
        return value
    if isinstance(value, str):
        # A subclass may say anything about itself.
        found = from_spelling(PyUnicode_FromObject(value))
        if found is not None:
            return found
        try:
            return np.dtype(value)
        except (TypeError, ValueError, SyntaxError, DeprecationWarning):
            pass
        if read_type is not None and _LOOKS_LIKE_C.search(value):
            return read_type(value)
        raise FFITypeError(f"{shorten(value)} is neither a C type nor a NumPy dtype")
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


cdef Type from_spelling(str text):
    """The scalar type, or the pointer to one, that is spelled so in C; None for others."""
    cdef list levels = text.replace("*", " * ").split(" * ")
    cdef Type found = None
    cdef bint const = False, is_const
    if len(levels) > MAX_DEPTH:
        return None
    for i, level in enumerate(levels):
        words = (<str>level).split()
        is_const = "const" in words
        words = [word for word in words if word != "const"]
        if i == 0:
            found = BY_SPELLING.get(" ".join(words))
        elif words:
            return None
        else:
            found = pointer_to(found, const)
        if found is None:
            return None
        const = is_const
    return found


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
    if item.code == _types.CHAR and dtype == np.dtype(f"S{length}"):
        return array_of(item, length, dtype)
    made = to_array((item, length))
    if made._dtype != dtype:
        raise FFIValueError(f"{shorten(dtype)} is no array of {length} {item.name}")
    return made


def _reduce(Type type):
    if type.code == _types.ARRAY:
        return _array, (type.item, type.length, type._dtype)
    if type.code == _types.OPAQUE:
        if type.definition is not None:
            # The definition has pointers to this type, so it comes after it.
            return opaque, (type.tag,), type.definition, None, None, define
        return opaque, (type.tag,)
    if type.code == _types.FUNCTION:
        return function_type, (type.prototype,)
    if type.underlying is not None:
        return enum_type, (type.name, type.underlying)
    if type.code == _types.POINTER and type is not POINTER:
        return pointer_to, (type.target, type.const)
    if type.code == _types.STRUCT or type.code == _types.UNION:
        members = [(name, member) for name, member, _ in type.fields]
        if type.declared is not None:
            members = [member[:2 if member[2] is None else 3] for member in type.declared]
        if type.anonymous is not None:
            members = [
                (None if member[0] in type.anonymous else member[0], *member[1:])
                for member in members
            ]
        return struct if type.code == _types.STRUCT else union, (members, type.name)
    return as_type, (type.name,)


# Here and not in `Type`, which does not know how aggregates are made.
copyreg.pickle(Type, _reduce)
