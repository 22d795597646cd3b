"""Types made of types: structs, unions, arrays and pointers; dtype <-> Type, C spelling <-> Type.

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
from cpython.long cimport PyLong_Check
from cpython.object cimport PyObject_TypeCheck, PyTypeObject
from cpython.unicode cimport PyUnicode_FromObject
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from ffi cimport _types, libffi
from ffi._types cimport (
    BY_DTYPE, BY_SPELLING, IS_BIG_ENDIAN, Type, check_has_values, new_type, set_key, shorten,
    type_name,
)

cdef extern from "_platform.h":
    bint MACHINE_IS_S390X
    bint UNNAMED_BIT_FIELDS_ALIGN

cdef extern from "Python.h":
    int PyIndex_Check(object value)
    object PyNumber_Index(object value)

cdef extern from "numpy/arrayobject.h":
    # By type: isinstance believes an object's own __class__.
    bint PyArray_DescrCheck(object value)
    PyTypeObject PyIntegerArrType_Type

cnp.import_array()

cdef enum:
    # Beyond these a declaration is a mistake or an attack; they bound every recursion here.
    MAX_DEPTH = 64
    MAX_LEAVES = 65536
    # Longer arrays are described to libffi as halves, so that a description stays small.
    MAX_FLAT = 8
    # NumPy keeps item sizes in a C int.
    MAX_SIZE = 2147483647
    # NumPy 1's limit.
    MAX_NDIM = 32


cdef inline int64_t round_up(int64_t size, int64_t alignment) noexcept:
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
    # An array as a member of a struct; `dtype`, if there is one, has its whole shape.
    cdef Type self
    if length < 1:
        raise FFIValueError(f"{item.name}[{length}]: a C array has at least one item")
    if dtype is None:
        # Flat: an array dtype of array dtypes keeps its axes apart.
        base_dtype, shape = item._dtype.subdtype or (item._dtype, ())
        dtype = np.dtype((base_dtype, (length, *shape)))
    self = new_type(_types.ARRAY, "", length * item.size, item.alignment, dtype)
    self.item = item
    self.length = length
    self.name = spell(self)
    self.depth = item.depth + 1
    self.leaves = item.leaves
    self.has_union = item.has_union
    self.has_bits = item.has_bits
    self.has_pointer = item.has_pointer
    check_nesting(self)
    set_key(self, (<int>_types.ARRAY, length), (item,))
    if item.has_bits:
        self.value = array_of(item.value, length, None)
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
        if name is None and len(parts) == 3:
            place = f"unnamed member {len(members)}"
        else:
            name = to_name(where, name, names)
            place = f"member {name!r}"
        try:
            resolved = to_type(member_type)
            check_has_values(resolved)
            width = None if len(parts) == 2 else to_width(resolved, parts[2], name is None)
        except Error as exc:
            raise located(exc, f"{where}: {place}") from None
        members.append((name, resolved, width))
    if not names:
        raise FFIValueError(
            f"{where}: expected at least one {'named ' if members else ''}member, "
            "C has no empty aggregates"
        )
    return members


cdef str to_name(str where, object name, set names):
    if name is None:
        raise FFITypeError(
            f"{where}: expected a str as member name, got None; only bit-fields have no name"
        )
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


cdef str declaration(str keyword, list members):
    cdef list parts = []
    cdef Type member
    for name, member, width in members:
        if width is not None:
            parts.append(f"{member.name} {name or ''}:{width};")
            continue
        parts.append(f"{spell(member, name, short=True)};")
    return f"{keyword} {{ {' '.join(parts)} }}"


cdef Type aggregate(int code, str where, list members, name):
    # The layout rules of C: each member at the next multiple of its alignment, the whole a
    # multiple of the strictest one.
    # 64 bits everywhere: a size may pass the limit before it is refused.
    cdef int64_t position, end = 0, size = 0  # in bits, but `size`
    cdef Py_ssize_t alignment = 1, depth = 0, leaves = 0, i
    cdef Type member, self
    cdef list fields = [], bits = [], padding = []
    cdef libffi.ffi_type **elements
    cdef bint is_union = code == _types.UNION, has_union = is_union, describable = not is_union
    cdef bint has_own_bits = False, has_bits = False, has_pointer = False
    if name is None:
        name = declaration("struct" if code == _types.STRUCT else "union", members)
    elif not isinstance(name, str):
        raise FFITypeError(f"{where}: argument 'name': expected a str, got {shorten(name)}")
    else:
        name = PyUnicode_FromObject(name)
    for field, member, width in members:
        position = 0 if is_union else end
        if width is None:
            position = round_up(position, 8 * member.alignment)
            fields.append((field, member, position // 8))
            bits.append(None)
            end = max(end, position + 8 * member.size)
        else:
            has_own_bits = True
            position = place_bits(member, position, width)
            if field is None:
                padding.append((position, width))
            else:
                offset = position // (8 * member.alignment) * member.alignment
                fields.append((field, member, offset))
                bits.append((shift_of(member, position - 8 * offset, width), width))
            end = max(end, position + <int64_t>width)
        if end > 8 * <int64_t>MAX_SIZE:
            raise FFIOverflowError(f"{where}: {name} has more than {<Py_ssize_t>MAX_SIZE} bytes")
        if field is not None or UNNAMED_BIT_FIELDS_ALIGN:
            alignment = max(alignment, member.alignment)
        depth = max(depth, member.depth)
        leaves += member.leaves
        has_union = has_union or member.has_union
        has_bits = has_bits or has_own_bits or member.has_bits
        has_pointer = has_pointer or member.has_pointer
        describable = describable and not has_own_bits and member.ffi is not NULL
    size = round_up((end + 7) // 8, alignment)
    if size > MAX_SIZE:
        raise FFIOverflowError(f"{where}: {name} has more than {<Py_ssize_t>MAX_SIZE} bytes")
    self = new_type(code, name, size, alignment, None)
    self.fields = tuple(fields)
    self.indices = {name: i for i, (name, _, _) in enumerate(fields)}
    if has_own_bits:
        self.bits = tuple(bits)
        self.padding = tuple(padding)
        self.declared = tuple(members)
    self.depth = depth + 1
    self.leaves = leaves
    self.has_union = has_union
    self.has_bits = has_bits
    self.has_pointer = has_pointer
    check_nesting(self)
    self._dtype = memory_dtype(self)
    set_key(
        self,
        (
            code, size, alignment, tuple([offset for _, _, offset in fields]), self.bits,
            self.padding,
        ),
        tuple([member for _, member, _ in fields]),
    )
    if has_bits:
        self.value = value_struct(self, where)
    if describable:
        elements = new_elements(len(fields))
        for i in range(len(fields)):
            elements[i] = (<Type>fields[i][1]).ffi
        describe(self, elements)
        check_layout(self)
    return self


cdef int64_t place_bits(Type type, int64_t position, int64_t width) noexcept:
    # Where a bit-field goes, in bits: after what is before it, but not over more units of its
    # type's alignment than the type has. (As gcc's PCC_BITFIELD_TYPE_MATTERS; the psABIs say:
    # within a storage unit of its type.) One of no bits closes the unit.
    cdef int64_t unit = 8 * type.alignment
    if width == 0 or (position % unit + width + unit - 1) // unit > 8 * type.size // unit:
        return round_up(position, unit)
    return position


cdef int64_t shift_of(Type type, int64_t position, int64_t width) noexcept:
    # Of a bit-field in its storage unit, whose first bits in memory are its most significant ones
    # on big-endian machines.
    return 8 * type.size - position - width if IS_BIG_ENDIAN else position


cdef object memory_dtype(Type self):
    """The dtype of a struct or union: bit-fields, which NumPy has not, are padding."""
    cdef list fields = [
        field for i, field in enumerate(self.fields) if self.bits is None or self.bits[i] is None
    ]
    dtype = np.dtype(
        {
            "names": [field for field, _, _ in fields],
            "formats": [(<Type>member)._dtype for _, member, _ in fields],
            "offsets": [offset for _, _, offset in fields],
            "itemsize": self.size,
        },
        align=True,
    )
    if dtype.alignment == self.alignment:
        return dtype
    # NumPy sees only the fields' alignments; unpickling is its way to set another one.
    make, arguments, state = dtype.__reduce__()
    dtype = make(*arguments)
    dtype.__setstate__((*state[:6], self.alignment, *state[7:]))
    return dtype


cdef Type value_struct(Type self, str where):
    # Side by side, the members of a union too.
    cdef list members = []
    cdef Type member
    for i, (name, member, _) in enumerate(self.fields):
        if self.bits is not None and self.bits[i] is not None:
            if member.code == _types.CHAR:
                member = BY_SPELLING["int8" if _types.is_signed(_types.CHAR) else "uint8"]
        elif member.has_bits:
            member = member.value
        members.append((name, member, None))
    return aggregate(_types.STRUCT, where, members, f"the value of {self.name}")


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
        ``(name, type)`` pairs or ``{name: type}``. The type of an array member is a pair of the
        items' type and their number or shape, such as ``("double", 3)``, or a NumPy subarray
        dtype. A bit-field is ``(name, type, width)``; its type is an integer, bool or char, and
        its name None for padding.
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
    return aggregate(_types.STRUCT, "struct()", to_members("struct()", spec), name)


def union(spec, name=None):
    """Make a union type.

    Parameters
    ----------
    spec : list or mapping
        The members, as `struct` takes them.
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


# --- pointers

cpdef Type pointer_to(Type target, bint const=False):
    """Return the type of pointers to `target`.

    Parameters
    ----------
    target : Type
        ``void`` for pointers to anything.
    const : bool, optional
        Whether what is pointed at is const.

    Returns
    -------
    Type
    """
    cdef Type self = new_type(_types.POINTER, "", POINTER.size, POINTER.alignment, POINTER._dtype)
    self.ffi = POINTER.ffi
    self.target = target
    self.const = const
    self.depth = target.depth + 1
    check_nesting(self)
    self.name = spell(self)
    return set_key(self, (<int>_types.POINTER, const), (target,))


cpdef Type opaque(str tag):
    """Return the opaque type of this tag: C knows what it is, here it is only pointed at.

    Parameters
    ----------
    tag : str
        As C spells it, ``"struct foo"`` or ``"FILE"``.

    Returns
    -------
    Type
    """
    cdef Type self
    if not tag:
        raise FFIValueError("an opaque type has a tag, got an empty str")
    self = new_type(_types.OPAQUE, tag, 0, 1, None)
    self.tag = tag
    return set_key(self, (<int>_types.OPAQUE, tag), ())


cdef Type POINTER = BY_SPELLING["pointer"]
# Where the names of scalar types are not C's.
cdef dict C_NAMES = {
    "byte": "unsigned char", "schar": "signed char", "uchar": "unsigned char",
    "ushort": "unsigned short", "uint": "unsigned int", "ulong": "unsigned long",
    "longlong": "long long", "ulonglong": "unsigned long long", "longdouble": "long double",
    "bool": "_Bool", "complex_float": "float _Complex", "complex_double": "double _Complex",
    "complex_longdouble": "long double _Complex",
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


cdef str spell(Type type, str name="", bint short=False):
    # From the inside out, as C's declarators go: a pointer to an array is `int (*name)[3]`.
    cdef str text = name
    cdef str base
    cdef bint const = False, is_pointer = False
    while type.code == _types.POINTER or type.code == _types.ARRAY:
        if type.code == _types.ARRAY:
            text = f"{text}[{type.length}]"
            type = type.item
            continue
        if const:
            text = f"const {text}"
        text = f"*{text}"
        is_pointer = True
        const = type.const
        type = type.target
        if type.code == _types.ARRAY:
            text = f"({text})"
    base = type.name
    if is_pointer and type.fields is None and type.tag is None:
        base = C_NAMES.get(base, base)
    if short and base.startswith(("struct {", "union {")):
        base = base.split(" ", 1)[0] + " {...}"
    if const:
        base = f"const {base}"
    return f"{base}{text}" if not text or text.startswith("[") else f"{base} {text}"


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
            hint = "; a pointer to anything is 'pointer'" if value.endswith("*") else ""
            if "[" in value:
                hint = "; an array is a pair of type and length, such as ('double', 3)"
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
        return opaque, (type.tag,)
    if type.code == _types.POINTER and type is not POINTER:
        return pointer_to, (type.target, type.const)
    if type.code == _types.STRUCT or type.code == _types.UNION:
        members = [(name, member) for name, member, _ in type.fields]
        if type.declared is not None:
            members = [member[:2 if member[2] is None else 3] for member in type.declared]
        return struct if type.code == _types.STRUCT else union, (members, type.name)
    return as_type, (type.name,)


# Here and not in `Type`, which does not know how aggregates are made.
copyreg.pickle(Type, _reduce)
