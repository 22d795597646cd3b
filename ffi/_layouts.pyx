"""Types made of types: structs, unions, bit-fields, arrays and pointers.

The layout rules of C live here, and how C spells a type; nothing that reads or writes a C value,
and not what else than a `Type` stands for one.
"""

import numpy as np

from ffi.errors import FFINotImplementedError, FFIOverflowError, FFITypeError, FFIValueError

from cpython.unicode cimport PyUnicode_FromObject
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from ffi cimport _types, libffi
from ffi._types cimport BY_SPELLING, IS_BIG_ENDIAN, Type, defined, new_type, set_key, shorten

cdef extern from "_platform.h":
    bint MACHINE_IS_RISCV64
    bint MACHINE_IS_S390X
    bint UNNAMED_BIT_FIELDS_ALIGN

cdef enum:
    # Longer arrays are described to libffi as halves, so that a description stays small.
    MAX_FLAT = 8


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


cdef libffi.ffi_type *as_argument(Type self) noexcept:
    cdef Type inner
    if MACHINE_IS_RISCV64 and self.ffi is not NULL:
        inner = innermost(self)
        if inner.code in (_types.FLOAT, _types.DOUBLE):
            # A struct of one goes as itself, also in other registers when those of floats are used
            # up, which libffi does not see of a struct.
            return inner.ffi
    return self.ffi


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


cdef str declaration(str keyword, list members):
    cdef list parts = []
    cdef Type member
    for name, member, width in members:
        if width is not None:
            parts.append(f"{member.name} {name or ''}:{width};")
            continue
        parts.append(f"{spell(member, name or '', True)};")
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
    cdef list anonymous = []
    cdef dict promoted = {}
    if name is None:
        name = declaration("struct" if code == _types.STRUCT else "union", members)
    elif not isinstance(name, str):
        raise FFITypeError(f"{where}: argument 'name': expected a str, got {shorten(name)}")
    else:
        name = PyUnicode_FromObject(name)
    members = name_anonymous(members, anonymous)
    for field, member, width in members:
        if field in anonymous:
            promote(member, len(fields), promoted)
        position = 0 if is_union else end
        if width is None:
            position = round_up(position, 8 * member.alignment)
            fields.append((field, member, position // 8))
            bits.append(None)
            end = max(end, position + 8 * <int64_t>member.size)
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
    if anonymous:
        self.anonymous = tuple(anonymous)
        self.promoted = promoted
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


cdef list name_anonymous(list members, list anonymous):
    """Name the members without one that are no bit-fields, and list those names."""
    cdef list named = []
    cdef set names = {name for name, _, _ in members}
    for i, (name, member, width) in enumerate(members):
        if name is None and width is None:
            name = f"_{i}"
            while name in names:
                name += "_"
            anonymous.append(name)
        named.append((name, member, width))
    return named


cdef int promote(Type member, Py_ssize_t index, dict promoted) except -1:
    for name in member_names(member):
        promoted[name] = index
    return 0


cdef list member_names(Type type):
    """The names that members are found by, those of anonymous members included."""
    cdef list names = [name for name in type.indices if name not in (type.anonymous or ())]
    return names + list(type.promoted or ())


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


cpdef Type function_type(prototype):
    """Return the type of functions of this prototype; pointers to it are function pointers.

    Parameters
    ----------
    prototype : Prototype
        Its name, and those of its parameters, are no part of the type.

    Returns
    -------
    Type
    """
    cdef Type self, part
    cdef list parts = [prototype.rtype, *[parameter.type for parameter in prototype.parameters]]
    cdef Py_ssize_t depth = 0
    for i, part in enumerate(parts):
        if part.code == _types.ARRAY or part.code == _types.FUNCTION or (
            i > 0 and part.code == _types.VOID
        ):
            what = "take" if i else "return"
            raise FFITypeError(f"a function cannot {what} {part.name}")
        depth = max(depth, part.depth)
    self = new_type(_types.FUNCTION, "", 0, 1, None)
    self.prototype = prototype
    self.depth = depth + 1
    check_nesting(self)
    self.name = spell(self)
    variadic = bool(prototype.variadic)
    return set_key(self, (<int>_types.FUNCTION, variadic, len(parts)), tuple(parts))


cpdef Type enum_type(str name, Type underlying):
    """Return an integer type under the name of an enum."""
    cdef Type self
    if not _types.is_integral(underlying.code) or underlying.code == _types.POINTER:
        raise FFITypeError(f"{name}: expected an integer type, got {underlying.name}")
    self = new_type(underlying.code, name, underlying.size, underlying.alignment, underlying._dtype)
    self.ffi = underlying.ffi
    self.underlying = underlying
    return set_key(self, underlying.key, ())


def define(Type incomplete not None, Type definition not None):
    """Say once what an opaque type is, for the pointers to it that exist already."""
    if incomplete.code != _types.OPAQUE or incomplete.definition is not None:
        raise FFITypeError(f"{incomplete.name} is not waiting for a definition")
    if definition.code != _types.STRUCT and definition.code != _types.UNION:
        raise FFITypeError(f"{definition.name} is no struct or union")
    incomplete.definition = definition


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


cdef str spell(Type type, str name="", bint short=False, bint const=False, bint in_c=False):
    # From the inside out, as C's declarators go: a pointer to an array is `int (*name)[3]`.
    cdef str text = name
    cdef str base
    while True:
        if type.code == _types.ARRAY:
            text = f"{text}[{type.length}]"
            type = type.item
        elif type.code == _types.FUNCTION:
            text = f"{text}({spell_parameters(type.prototype)})"
            in_c = True
            const = False
            type = type.prototype.rtype
        elif type.code == _types.POINTER:
            if const:
                text = f"const {text}" if text else "const"
            text = f"*{text}"
            in_c = True
            const = type.const
            type = type.target
            if type.code == _types.ARRAY or type.code == _types.FUNCTION:
                text = f"({text})"
        else:
            break
    base = type.name
    if in_c and type.fields is None and type.tag is None and type.underlying is None:
        base = C_NAMES.get(base, base)
    if short and base.startswith(("struct {", "union {")):
        base = base.split(" ", 1)[0] + " {...}"
    if const:
        base = f"const {base}"
    return f"{base}{text}" if not text or text.startswith("[") else f"{base} {text}"


cdef str spell_parameters(prototype):
    cdef list parts = [
        spell(parameter.type, "", False, False, True) for parameter in prototype.parameters
    ]
    if prototype.variadic:
        parts.append("...")
    return ", ".join(parts) or "void"


def spell_c(Type type not None, str declarator="", bint const=False):
    """Return the declaration in C of something of this type, the type alone by default."""
    return spell(type, declarator, False, const, True)


# --- what a type is, for modules in Python

cdef dict _KINDS = {
    _types.VOID: "void", _types.BOOL: "bool", _types.CHAR: "char", _types.POINTER: "pointer",
    _types.STRUCT: "struct", _types.UNION: "union", _types.ARRAY: "array",
    _types.OPAQUE: "opaque", _types.FUNCTION: "function",
    **{code: "real" for code in (_types.FLOAT, _types.DOUBLE, _types.LONGDOUBLE)},
    **{
        code: "complex"
        for code in (_types.COMPLEX_FLOAT, _types.COMPLEX_DOUBLE, _types.COMPLEX_LONGDOUBLE)
    },
}


def kind_of(Type type not None):
    """Return what a type is: "integer", "real", "pointer", "struct" and the like."""
    return _KINDS.get(type.code, "integer")


def depth_of(Type type not None):
    """Return how deep a type nests, pointers counted."""
    return type.depth


def is_signed(Type type not None):
    """Return whether an integer type has negative values."""
    return bool(_types.is_signed(type.code))


def item_of(Type array not None):
    """Return the items' type of an array, and their number."""
    return array.item, array.length


def agree(Type one not None, Type other not None):
    """Return whether two declarations say the same: equal types with members of equal names.

    What is opaque to one and defined in the other agrees, if the tags are the same.
    """
    cdef list pending = [(one, other)]
    cdef set seen = set()
    cdef Type left, right
    while pending:
        left, right = pending.pop()
        left, right = defined(left), defined(right)
        if left is right or (id(left), id(right)) in seen:
            continue
        seen.add((id(left), id(right)))
        if left.code == _types.OPAQUE and right.indices is not None:
            left, right = right, left
        if left.indices is not None and right.code == _types.OPAQUE:
            if left.name != right.tag:
                return False
            continue
        if left.key != right.key or left.anonymous != right.anonymous:
            return False
        if left.indices is not None and list(left.indices) != list(right.indices):
            return False
        pending += zip(left.parts, right.parts, strict=True)
    return True
