"""Records: values of structs and unions."""

import sys

from ffi._specs import struct
from ffi.errors import Error, FFITypeError, FFIValueError, located

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject, PyTypeObject
from cpython.unicode cimport PyUnicode_READ_CHAR
from libc.stdint cimport uintptr_t
from libc.string cimport memcmp, memcpy

from ffi cimport _marshal, _types
from ffi._buffers cimport AddressHolder, held_address, let_go, root_of
from ffi._memory cimport new_view
from ffi._spare cimport SpareList, TypeObject, keep_spare, make_collectable, new_or_spare
from ffi._types cimport Type, describe, shorten
from ffi._values cimport (
    Memory, RecordCopier, RecordViewer, allocate, check_writable, keep_copied, load_at,
    set_record_makers, set_value,
)

cdef extern from "Python.h":
    object PyObject_GenericGetAttr(object self, object name)

# Calls and fields make records, which are gone after a line or two.
cdef SpareList spares

# The type of records that nothing of ours made, by `Record.__new__(Record)`.
cdef Type BLANK = struct([("blank", "uchar")], "blank")


@cython.final
cdef class Record(AddressHolder):
    """A value of a struct or union.

    Its fields are attributes and items. Integers, floats and the like are read as Python values,
    pointers as `Pointer` or None, arrays as ndarrays and nested structs as records, both without
    copying. Whatever the C type takes may be assigned: a nested struct takes a Record, a NumPy
    record, a tuple or a dict. What is assigned to a pointer is kept alive.

    A record that a C function returned, or that was copied, owns its bytes. One that was reached
    through a Pointer or another record is a view and keeps that memory. A record exports its bytes
    as a buffer: ``np.asarray(record)`` copies nothing.

    Attributes
    ----------
    type : Type
        The struct or union. A field of this name comes first; ``record["name"]`` is always the
        field, and only the field.

    Notes
    -----
    Records are equal when they have equal types and fields; unions when they have equal bytes. They
    pickle unless they have pointers. An array of structs with bit-fields is read as a read-only
    copy. Buffers have no bit-fields, and no unions: a record that is or has one exports bytes.

    Examples
    --------
    >>> point = ffi.struct({"x": "double", "y": "double"}, name="point")
    >>> p = ffi.new(point, (1.5, 2.5))[0]
    >>> p.x = 3
    >>> p, p["y"]
    (<ffi.Record point(x=3.0, y=2.5)>, 2.5)
    >>> np.asarray(p)
    array((3., 2.5), dtype=[('x', '<f8'), ('y', '<f8')])
    """

    def __cinit__(self):
        self.type = BLANK
        self.data = <char *>self.small
        self.value = <uintptr_t>self.data
        self.nbytes = BLANK.size

    def __init__(self):
        raise FFITypeError("Record(): use ffi.new(type, values)[0]")

    def __getattribute__(self, name):
        index = self.type.indices.get(name)
        if index is not None and not is_special(name):
            return get_field(self, index)
        if is_promoted(self, name) and not is_special(name):
            return get_promoted(self, name)
        try:
            return PyObject_GenericGetAttr(self, name)
        except AttributeError:
            raise AttributeError(
                f"{short_name(self.type)} has no member {name!r}", name=name, obj=self
            ) from None

    def __setattr__(self, name, value):
        index = self.type.indices.get(name)
        if is_special(name) or (index is None and not is_promoted(self, name)):
            raise AttributeError(
                f"{short_name(self.type)} has no member {name!r}", name=name, obj=self
            )
        self[name] = value

    def __getitem__(self, name):
        if is_promoted(self, name):
            return get_promoted(self, name)
        return get_field(self, field_index(self, name))

    def __setitem__(self, name, value):
        if is_promoted(self, name):
            anonymous_member(self, name)[name] = value
        else:
            set_field(self, field_index(self, name), value)

    def __dir__(self):
        return [*object.__dir__(self), *self.type.indices, *(self.type.promoted or ())]

    def __getbuffer__(self, Py_buffer *view, int flags):
        cdef Py_buffer filled
        if self.readonly and flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError(f"{short_name(self.type)} is const")
        # NumPy writes the format; its array owns that, and holds the record.
        # Formats have no bit-fields, and no padding in their place.
        dtype = f"V{self.type.size}" if self.type.has_bits else self.type
        array = new_view(self.value, dtype, (), self.readonly, self)
        try:
            PyObject_GetBuffer(array, &filled, flags)
        except ValueError:
            # Nor have they unions, or every name.
            array = new_view(self.value, f"V{self.type.size}", (), self.readonly, self)
            PyObject_GetBuffer(array, &filled, flags)
        view.obj = array
        view.buf = filled.buf
        view.len = filled.len
        view.itemsize = filled.itemsize
        view.readonly = filled.readonly
        view.ndim = filled.ndim
        view.format = filled.format
        view.shape = filled.shape
        view.strides = filled.strides
        view.suboffsets = filled.suboffsets
        view.internal = filled.internal
        PyBuffer_Release(&filled)

    def __eq__(self, other):
        if not isinstance(other, Record):
            return NotImplemented
        return self.type == (<Record>other).type and are_equal(
            self.type, self.data, (<Record>other).data
        )

    __hash__ = None

    def __repr__(self):
        cdef list fields = [
            f"{name}={shorten(get_field(self, i))}"
            for i, (name, _, _) in enumerate(self.type.fields)
        ]
        return f"<ffi.Record {short_name(self.type)}({', '.join(fields)})>"

    def __copy__(self):
        cdef Record copied = copy_record(self.type, self.data)
        keep_copied(copied, self.type, copied.data, root_of(self), self.data)
        return copied

    def __deepcopy__(self, memo):
        return self.__copy__()

    def __reduce_ex__(self, protocol):
        if self.type.has_pointer:
            raise FFITypeError(
                f"{short_name(self.type)} has pointers, which mean nothing elsewhere: no "
                "pickle of it is made"
            )
        data = PyBytes_FromStringAndSize(self.data, self.type.size)
        return _record, (self.type, data, sys.byteorder)


def _record(Type type not None, bytes data not None, byteorder):
    # What is unpickled need not come from a record.
    if type.indices is None or type.has_pointer or PyBytes_GET_SIZE(data) != type.size:
        raise FFIValueError(f"{len(data)} bytes are no record of {type.name}")
    if byteorder != sys.byteorder:
        raise FFIValueError(f"{type.name} was pickled on a {byteorder}-endian machine")
    return copy_record(type, PyBytes_AS_STRING(data))


cdef inline bint is_special(object name) except -1:
    # Python's own names, such as __class__. A field's name is not empty.
    return PyUnicode_READ_CHAR(name, 0) == u"_" and (
        name.startswith("__") and name.endswith("__")
    )


cdef str short_name(Type type):
    cdef str name = type.name
    return name.split(" ", 1)[0] + " {...}" if name.startswith(("struct {", "union {")) else name


cdef Record make_record(Type type):
    if type.size > SMALL * <Py_ssize_t>sizeof(long double):
        return make_large_record(type, allocate(type.size))
    cdef Record self = <Record>new_or_spare(&spares, <PyTypeObject *>Record)
    self.type = type
    self.data = <char *>self.small
    self.value = <uintptr_t>self.data
    self.nbytes = type.size
    self.readonly = False
    return self


cdef Record make_large_record(Type type, Memory memory):
    return view_record(type, <char *>memory.block, memory, False)


cdef Record copy_record(Type type, const char *data):
    cdef Record self = make_record(type)
    memcpy(self.data, data, type.size)
    return self


cdef Record view_record(Type type, char *data, object owner, bint readonly):
    cdef Record self = <Record>new_or_spare(&spares, <PyTypeObject *>Record)
    self.type = type
    self.data = data
    self.value = <uintptr_t>data
    self.nbytes = type.size
    self.owner = owner
    self.readonly = readonly
    make_collectable(<PyObject *>self)
    return self


cdef Py_ssize_t field_index(Record self, object name) except -1:
    if not isinstance(name, str):
        raise FFITypeError(
            f"{short_name(self.type)}: expected a member's name, got {describe(name)}"
        )
    index = self.type.indices.get(name)
    if index is None:
        raise KeyError(f"{short_name(self.type)} has no member {name!r}")
    return index


cdef bint is_promoted(Record self, object name) except -1:
    return (
        self.type.promoted is not None and isinstance(name, str) and name in self.type.promoted
    )


cdef Record anonymous_member(Record self, object name):
    """The anonymous struct or union that has a member of this name, or has one that has."""
    return get_field(self, self.type.promoted[name])


cdef object get_promoted(Record self, object name):
    return anonymous_member(self, name)[name]


cdef object get_field(Record self, Py_ssize_t index):
    cdef Type member
    held_address(self)
    _, member, offset = self.type.fields[index]
    if self.type.bits is not None and self.type.bits[index] is not None:
        shift, width = self.type.bits[index]
        return _marshal.load_bits(member, shift, width, self.data + <Py_ssize_t>offset)
    return load_at(root_of(self), member, self.data + <Py_ssize_t>offset, self.readonly)


cdef int set_field(Record self, Py_ssize_t index, object value) except -1:
    cdef Type member
    name, member, offset = self.type.fields[index]
    try:
        check_writable(self)
        held_address(self)
        if self.type.bits is not None and self.type.bits[index] is not None:
            shift, width = self.type.bits[index]
            _marshal.store_bits(member, shift, width, self.data + <Py_ssize_t>offset, value)
        else:
            set_value(self, member, offset, value)
    except Error as exc:
        raise located(exc, f"{short_name(self.type)}: member {name!r}") from exc.__cause__
    return 0


cdef bint are_equal(Type type, const char *left, const char *right) except -1:
    cdef Py_ssize_t i, start
    cdef Type member
    if type.code == _types.UNION:
        return memcmp(left, right, type.size) == 0
    if type.code == _types.ARRAY:
        for i in range(type.length):
            start = i * type.item.size
            if not are_equal(type.item, left + start, right + start):
                return False
        return True
    if type.code != _types.STRUCT:
        return bool(_marshal.load(type, left) == _marshal.load(type, right))
    for i in range(len(type.fields)):
        _, member, offset = type.fields[i]
        start = offset
        if type.bits is None or type.bits[i] is None:
            if not are_equal(member, left + start, right + start):
                return False
        else:
            shift, width = type.bits[i]
            if _marshal.load_bits(member, shift, width, left + start) != _marshal.load_bits(
                member, shift, width, right + start
            ):
                return False
    return True


# --- ends

cdef void end_record(PyObject *record) noexcept:
    let_go(record)
    keep_spare(&spares, record)


(<TypeObject *>Record).tp_dealloc = end_record


set_record_makers(<RecordViewer>view_record, <RecordCopier>copy_record)
