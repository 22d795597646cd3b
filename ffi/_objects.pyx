"""Pointers and records: typed C memory, and what keeps it.

No C function is called here but the destructors of `gc`.

Pointers, records and arrays that lie in the same memory hold one object for it, their root: the
`Memory` that ends it, or else the pointer or record that was there first. What was assigned to
pointers in the memory is kept by the root.
"""

import sys

from ffi._layouts import struct
from ffi.errors import Error, FFIBufferError, FFITypeError, FFIValueError, located

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject, PyTypeObject
from cpython.unicode cimport PyUnicode_READ_CHAR
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from ffi cimport _marshal, _types, libffi
from ffi._arrays cimport store_pointee
from ffi._buffers cimport (
    AddressHolder, CodePointer, Keepers, held_address, hold, is_integer, root_of, settle,
    store_address, to_address,
)
from ffi._layouts cimport pointer_to, spell, to_type
from ffi._memory cimport check_extent, new_view, read_string
from ffi._types cimport Type, check_has_values, describe, shorten

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *object)
    void PyErr_SetObject(object type, object value)
    void PyErr_WriteUnraisable(object where)
    object PyNumber_Index(object value)
    object PyObject_GenericGetAttr(object self, object name)
    void PyObject_GC_UnTrack(PyObject *object)

    ctypedef struct TypeObject "PyTypeObject":
        void (*tp_dealloc)(PyObject *) noexcept

cdef extern from "_platform.h":
    bint interpreter_is_running() nogil

cdef extern from "_spare.h":
    ctypedef struct SpareList "spare_list":
        pass

    object new_or_spare(SpareList *spares, PyTypeObject *type)
    void make_collectable(PyObject *object)
    void keep_spare(SpareList *spares, PyObject *object)

cdef enum:
    # Values up to this size are converted on the C stack.
    STACK_BYTES = 64

# The type of records that nothing of ours made, by `Record.__new__(Record)`.
cdef Type BLANK = struct([("blank", "uchar")], "blank")


# --- memory that ends

@cython.final
cdef class Memory(AddressHolder):
    """Memory that is freed, or given to a destructor, when nothing holds it any more."""

    cdef void *block                    # to be freed
    cdef object destructor

    def __del__(self):
        # Not in __dealloc__: the garbage collector has cleared nothing yet.
        if self.destructor is not None and interpreter_is_running():
            destroy(self)

    def __dealloc__(self):
        free(self.block)


cdef Memory allocate(Py_ssize_t nbytes):
    cdef Memory self = Memory.__new__(Memory)
    # Zeros, aligned for every C type.
    self.block = calloc(1, nbytes)
    if self.block is NULL:
        raise MemoryError
    self.value = <uintptr_t>self.block
    self.nbytes = nbytes
    return self


cdef int destroy(Memory memory) except -1:
    cdef object destructor = memory.destructor
    cdef void *code
    memory.destructor = None
    try:
        if callable(destructor):
            destructor(new_pointer(memory.type, memory.value, None))
        else:
            if isinstance(destructor, CodePointer):
                code = (<CodePointer>destructor).code
            else:
                code = <void *>to_address(destructor)
            call_destructor(code, <void *>memory.value)
    except BaseException as exc:
        # The hook is given the current exception, and a caught one is not current.
        PyErr_SetObject(type(exc), exc)
        PyErr_WriteUnraisable(destructor)
    return 0


cdef void call_destructor(void *code, void *address) noexcept:
    with nogil:
        (<void (*)(void *) noexcept nogil>code)(address)


# --- pointers

@cython.final
cdef class Pointer(AddressHolder):
    """A typed C address, with what keeps its memory.

    Made by `new` and `gc`, and given by C functions and by pointer fields of records; never called
    directly. ``p[0]`` is the value it points at, which can be assigned unless it is const. Pointers
    are equal when their addresses are, whatever their types, and never equal to an int. A NULL is
    None in Python, not a Pointer, so that a Pointer is always true.

    Attributes
    ----------
    type : Type
        The pointer's type; ``type.target`` is that of what it points at.

    Notes
    -----
    The address is trusted, as in C. Only the size of memory from `new` is known, and uses beyond it
    are refused. Pointers do not pickle.

    Examples
    --------
    >>> p = ffi.new("double", 1.5)
    >>> p[0]
    1.5
    >>> p[0] = 2
    >>> p.view()
    array(2.)
    """

    def __init__(self):
        raise FFITypeError("Pointer(): use ffi.new, or the cast method of a Pointer")

    @property
    def address(self):
        """The address, an int."""
        return held_address(self)

    def __getitem__(self, index):
        cdef Type target
        try:
            check_index(index)
            target = target_of(self)
            return load_at(root_of(self), target, reach(self, target), self.readonly)
        except Error as exc:
            raise located(exc, self.type.name) from None

    def __setitem__(self, index, value):
        cdef Type target
        try:
            check_index(index)
            target = target_of(self)
            check_writable(self)
            set_value(self, target, 0, value)
        except Error as exc:
            raise located(exc, self.type.name) from exc.__cause__

    def __iter__(self):
        raise FFITypeError(f"{self.type.name}: a Pointer has no length; use p.view(shape)")

    def view(self, shape=()):
        """Return what the pointer points at as an ndarray, without copying.

        Parameters
        ----------
        shape : int or tuple of int, optional
            How many there are; the default is one, as a zero-dimensional array.

        Returns
        -------
        ndarray
            C-contiguous, of the dtype of ``type.target``; read-only if that is const. It keeps
            what the pointer keeps.

        Raises
        ------
        TypeError
            If the target is void or opaque, or `shape` of another kind.
        ValueError
            If that is more than what is known to be there, or the pointer was released.

        Examples
        --------
        >>> p = ffi.new(("int", 4), [1, 2, 3, 4])
        >>> p.view((2, 2))
        array([[1, 2],
               [3, 4]], dtype=int32)
        """
        try:
            return new_view(self, target_of(self), shape, self.readonly, None)
        except Error as exc:
            raise located(exc, "Pointer.view()") from None

    def string(self, maxlen=-1):
        """Return the bytes of a C string up to its NUL.

        Parameters
        ----------
        maxlen : int, optional
            Read at most this many bytes; -1 for no limit but that of the memory, if it is known.

        Returns
        -------
        bytes
            Without the NUL.

        Raises
        ------
        TypeError
            If the pointer is not one to characters, bytes or void.
        ValueError
            For limits below -1, or if the pointer was released.

        Examples
        --------
        >>> ffi.new(("char", 6), b"hello").string()
        b'hello'
        """
        cdef Type target = self.type.target
        try:
            if not is_byte(target) and target.code != _types.VOID:
                raise FFITypeError(f"expected a pointer to characters, got {self.type.name}")
            return read_string(self, maxlen)
        except Error as exc:
            raise located(exc, "Pointer.string()") from None

    def cast(self, type):
        """Return the same address as a pointer of another type, as a C cast does.

        Parameters
        ----------
        type : Type or str
            A pointer type. A const may be added or taken away.

        Returns
        -------
        Pointer
            It keeps what this one keeps.

        Raises
        ------
        TypeError
            If `type` is no pointer type.
        ValueError
            If the pointer was released.

        Examples
        --------
        >>> p = ffi.new("float", 1.0)
        >>> hex(p.cast("uint32_t *")[0])
        '0x3f800000'
        """
        cdef Type wanted
        cdef Pointer pointer
        try:
            wanted = to_type(type)
            if wanted.code != _types.POINTER:
                raise FFITypeError(
                    f"argument 'type': expected a pointer type, got {wanted.name}; "
                    f"p.cast({spell(wanted, '*')!r})[0] reads one"
                )
            pointer = new_pointer(wanted, held_address(self), root_of(self))
        except Error as exc:
            raise located(exc, "Pointer.cast()") from None
        pointer.nbytes = self.nbytes
        return pointer

    def release(self):
        """End the memory now: free that of `new`, call the destructor of `gc`.

        The pointer cannot be used any more. Another call does nothing. ``with`` releases a pointer
        at the end of its block.

        Raises
        ------
        BufferError
            If arrays, records or other pointers still use the memory.
        TypeError
            If neither `new` nor `gc` made the pointer.

        Examples
        --------
        >>> with ffi.new("int") as p:
        ...     p[0] = 5
        >>> p
        <ffi.Pointer int * (released)>
        >>> p[0]
        Traceback (most recent call last):
        ...
        ffi.errors.FFIValueError: int *: <ffi.Pointer int * (released)> was released
        """
        if self.value == 0:
            return
        check_releasable(self)
        # A reference in a variable here would count, too.
        if Py_REFCNT(<PyObject *>self.owner) > 1:
            raise FFIBufferError(
                f"Pointer.release(): arrays, records or pointers still use the memory of {self!r}; "
                "delete them first"
            )
        self.value = 0
        self.kept = None
        self.owner = None

    def __enter__(self):
        held_address(self)
        check_releasable(self)
        return self

    def __exit__(self, *_):
        self.release()

    def __eq__(self, other):
        if not isinstance(other, Pointer):
            return NotImplemented
        return self.place == (<Pointer>other).place

    def __hash__(self):
        return hash(self.place)

    def __bool__(self):
        return True

    def __repr__(self):
        where = f"at {self.value:#x}" if self.value else "(released)"
        return f"<ffi.Pointer {self.type.name} {where}>"

    def __reduce_ex__(self, protocol):
        raise FFITypeError(f"{self!r} cannot be pickled or copied: an address is no value")


cdef Pointer new_pointer(Type type, uintptr_t address, object owner):
    cdef Pointer self = <Pointer>new_or_spare(&spare_pointers, <PyTypeObject *>Pointer)
    self.type = type
    self.value = self.place = address
    self.readonly = type.const
    self.owner = owner
    self.nbytes = bytes_left(owner, address) if isinstance(owner, Memory) else -1
    make_collectable(<PyObject *>self)
    return self


cdef Py_ssize_t bytes_left(Memory memory, uintptr_t address) noexcept:
    if memory.nbytes >= 0 and memory.value <= address <= memory.value + memory.nbytes:
        return memory.value + memory.nbytes - address
    return -1


cdef int check_index(object index) except -1:
    if not is_integer(index):
        raise FFITypeError(f"expected the index 0, got {describe(index)}")
    if PyNumber_Index(index) != 0:
        raise IndexError(f"a Pointer has the index 0 only, got {shorten(index)}; use p.view(shape)")
    return 0


cdef Type target_of(Pointer pointer):
    cdef Type target = pointer.type.target
    if target.code == _types.VOID:
        raise FFITypeError(f"{pointer.type.name} points at anything; use p.cast() first")
    check_has_values(target)
    return target


cdef char *reach(Pointer pointer, Type target) except NULL:
    check_extent(pointer, target.size)
    return <char *>held_address(pointer)


cdef int check_writable(AddressHolder holder) except -1:
    if holder.readonly:
        what = "the record" if isinstance(holder, Record) else "what it points at"
        raise FFITypeError(f"{what} is const")
    return 0


cdef int check_releasable(Pointer pointer) except -1:
    if not isinstance(pointer.owner, Memory):
        raise FFITypeError(
            f"only pointers that ffi.new and ffi.gc make can be released, got {pointer!r}"
        )
    return 0


cdef bint is_byte(Type type) noexcept:
    return type.code == _types.CHAR or type.code == _types.UINT8 or type.code == _types.INT8


cdef uintptr_t address_as(Type wanted, AddressHolder value) except 0:
    cdef Type target = wanted.target
    cdef Type given = value.type.target if isinstance(value, Pointer) else value.type
    if value.readonly and not wanted.const:
        raise FFITypeError(f"expected {wanted.name}, got {value!r}, which is const")
    if (
        target is not given and target.code != _types.VOID and given.code != _types.VOID
        and not (is_byte(target) and is_byte(given)) and target != given
    ):
        raise FFITypeError(
            f"expected {wanted.name}, got {value!r}; a Pointer's cast({wanted.name!r}) will do"
        )
    return held_address(value)


# --- records

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
        try:
            return PyObject_GenericGetAttr(self, name)
        except AttributeError:
            raise AttributeError(
                f"{short_name(self.type)} has no member {name!r}", name=name, obj=self
            ) from None

    def __setattr__(self, name, value):
        index = self.type.indices.get(name)
        if index is None or is_special(name):
            raise AttributeError(
                f"{short_name(self.type)} has no member {name!r}", name=name, obj=self
            )
        set_field(self, index, value)

    def __getitem__(self, name):
        return get_field(self, field_index(self, name))

    def __setitem__(self, name, value):
        set_field(self, field_index(self, name), value)

    def __dir__(self):
        return [*object.__dir__(self), *self.type.indices]

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


cdef Record copy_record(Type type, const char *data):
    cdef Memory memory = None
    cdef Record self
    if type.size > SMALL * <Py_ssize_t>sizeof(long double):
        memory = allocate(type.size)
    self = <Record>new_or_spare(&spare_records, <PyTypeObject *>Record)
    self.type = type
    self.data = <char *>self.small
    if memory is not None:
        self.owner = memory
        self.data = <char *>memory.block
        make_collectable(<PyObject *>self)
    self.value = <uintptr_t>self.data
    self.nbytes = type.size
    self.readonly = False
    memcpy(self.data, data, type.size)
    return self


cdef Record view_record(Type type, char *data, object owner, bint readonly):
    cdef Record self = <Record>new_or_spare(&spare_records, <PyTypeObject *>Record)
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


cdef object get_field(Record self, Py_ssize_t index):
    cdef Type member
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


# --- values in memory

cdef object load_at(AddressHolder root, Type type, char *data, bint readonly):
    """The value in memory that `root` keeps; structs, unions and arrays are not copied."""
    cdef cnp.ndarray array
    cdef object owner = root
    cdef uintptr_t address
    if type.code == _types.POINTER:
        memcpy(&address, data, sizeof(address))
        if address == 0:
            return None
        if root.kept is not None:
            # C may have written another address since.
            kept, kept_address = root.kept.get(<uintptr_t>data, (None, None))
            if kept_address == address:
                owner = kept
        return new_pointer(type, address, owner)
    if type.indices is not None:
        return view_record(type, data, root, readonly)
    if type.code != _types.ARRAY:
        return _marshal.load(type, data)
    if type.has_bits:
        array = _marshal.load(type, data)
        cnp.PyArray_CLEARFLAGS(array, cnp.NPY_ARRAY_WRITEABLE)
        return array
    return new_view(<uintptr_t>data, type, (), readonly, root)


cdef object load_object(Type type, const char *data, object owner):
    cdef uintptr_t address
    if type.code == _types.POINTER:
        memcpy(&address, data, sizeof(address))
        return new_pointer(type, address, owner) if address else None
    if type.indices is not None:
        return copy_record(type, data)
    return None if type.code == _types.VOID else _marshal.load(type, data)


cdef Keepers new_keepers():
    cdef Keepers keepers = Keepers()
    keepers.places = []
    return keepers


cdef int store_object(Type type, char *data, object value, Keepers keepers) except -1:
    return _marshal.store(type, data, value, keepers)


cdef int store_pointer(Type type, char *data, object value, Keepers keepers) except -1:
    cdef uintptr_t address
    if isinstance(value, AddressHolder):
        address = address_as(type, value)
        memcpy(data, &address, sizeof(address))
        # It may be released before `settle`, but not from then on.
        keepers.arrays.append((value, <uintptr_t>data))
        return hold(keepers, root_of(value), data)
    if isinstance(value, CodePointer) and type.target.code == _types.VOID:
        return store_address(data, value, keepers)
    return store_pointee(type, data, value, keepers)


_marshal.set_pointer_store(store_pointer)


cdef int set_value(AddressHolder holder, Type type, Py_ssize_t offset, object value) except -1:
    """Write a value into the memory of `holder`, nothing of it if it does not fit."""
    cdef char stack[STACK_BYTES]
    cdef char *copy = stack
    cdef char *data
    cdef Keepers keepers = new_keepers() if type.has_pointer else None
    if type.size > STACK_BYTES:
        copy = <char *>malloc(type.size)
        if copy is NULL:
            raise MemoryError
    try:
        _marshal.store(type, copy, value, keepers)
        if keepers is not None:
            settle(keepers)
        # All Python code has run.
        check_extent(holder, offset + type.size)
        data = <char *>held_address(holder) + offset
        memcpy(data, copy, type.size)
        if keepers is not None:
            remember(root_of(holder), type, data, keepers, copy)
    finally:
        if copy is not stack:
            free(copy)
    return 0


cdef int remember(
    AddressHolder root, Type type, char *data, Keepers keepers, const char *copy
) except -1:
    """Keep what the pointers at `data` point at, and what they pointed at no longer."""
    cdef uintptr_t start = <uintptr_t>data, address, place
    cdef list ended = []
    start_keeping(root)
    if type.code == _types.POINTER:
        ended.append(root.kept.pop(start, None))
    else:
        for key in [key for key in root.kept if start <= <uintptr_t>key < start + type.size]:
            ended.append(root.kept.pop(key))
    for kept, source in zip(keepers.objects, keepers.places, strict=True):
        place = start + (<uintptr_t>source - <uintptr_t>copy)
        if isinstance(kept, tuple):
            record = kept[0]
            keep_copied(
                root, (<Record>record).type, <char *>place, root_of(record), (<Record>record).data
            )
        elif kept is not root:
            memcpy(&address, <char *>place, sizeof(address))
            root.kept[place] = (kept, address)
    # What ends here may run Python code.
    ended.clear()
    return 0


cdef int start_keeping(AddressHolder root) except -1:
    if root.kept is None:
        root.kept = {}
        make_collectable(<PyObject *>root)
    return 0


cdef int keep_copied(
    AddressHolder root, Type type, char *data, AddressHolder source_root, char *source
) except -1:
    """Keep what the pointers of a copied record point at."""
    cdef Py_ssize_t i
    cdef Type member
    cdef uintptr_t address
    if not type.has_pointer or root is source_root:
        pass
    elif type.code == _types.POINTER:
        memcpy(&address, data, sizeof(address))
        kept = source_root, address
        if source_root.kept is not None:
            kept = source_root.kept.get(<uintptr_t>source, kept)
        if address and kept[1] == address:
            start_keeping(root)
            root.kept[<uintptr_t>data] = kept
    elif type.code == _types.ARRAY:
        for i in range(type.length):
            keep_copied(
                root, type.item, data + i * type.item.size, source_root,
                source + i * type.item.size,
            )
    else:
        for _, member, offset in type.fields:
            keep_copied(
                root, member, data + <Py_ssize_t>offset, source_root, source + <Py_ssize_t>offset
            )
    return 0


# --- ends

# Calls and fields make pointers and records, which are gone after a line or two.
cdef SpareList spare_pointers
cdef SpareList spare_records


cdef void end_pointer(PyObject *pointer) noexcept:
    clear(pointer)
    keep_spare(&spare_pointers, pointer)


cdef void end_record(PyObject *record) noexcept:
    clear(record)
    keep_spare(&spare_records, record)


cdef inline void clear(PyObject *holder) noexcept:
    # What ends here may run Python code, which must not find the holder.
    PyObject_GC_UnTrack(holder)
    (<AddressHolder>holder).type = None
    (<AddressHolder>holder).owner = None
    (<AddressHolder>holder).kept = None


(<TypeObject *>Pointer).tp_dealloc = end_pointer
(<TypeObject *>Record).tp_dealloc = end_record


# --- making pointers

def new(type, init=None):
    """Return a Pointer to new memory, which it owns.

    Parameters
    ----------
    type : Type, dtype, scalar type or str
        What is there: the Pointer is one to this type, or to the first item of an array type.
    init : object, optional
        The value; zeros by default. What a pointer is set to is kept alive.

    Returns
    -------
    Pointer
        The memory lives as long as this, and every array, record and pointer made of it.

    Raises
    ------
    TypeError, OverflowError
        If `type` is no type with values, or `init` no value of it.

    See Also
    --------
    gc

    Examples
    --------
    >>> p = ffi.new("int", 7)
    >>> p.type, p[0]
    (<ffi.Type int *: 8 bytes, alignment 8>, 7)
    >>> ffi.new(("double", 3)).view(3)
    array([0., 0., 0.])
    """
    cdef Type made
    cdef Memory memory
    try:
        made = to_type(type)
        check_has_values(made)
        pointer_type = pointer_to(made.item if made.code == _types.ARRAY else made)
        memory = allocate(made.size)
        memory.type = pointer_type
        if init is not None:
            set_value(memory, made, 0, init)
    except Error as exc:
        raise located(exc, "new()") from exc.__cause__
    return new_pointer(pointer_type, memory.value, memory)


def gc(pointer, destructor):
    """Return a pointer whose end calls a C destructor.

    Parameters
    ----------
    pointer : Pointer
        What the destructor is called with.
    destructor : C function
        A function of one pointer: an `int` address, a `Closure`, or a typed function. It is held,
        and so is the library of a typed function.

    Returns
    -------
    Pointer
        The same address. The destructor is called once: when this pointer, and every array, record
        and pointer made of it, is gone; by its `release`; or at the end of a ``with`` block.

    Raises
    ------
    TypeError
        If `pointer` is no Pointer, or `destructor` no C function of one such pointer.
    ValueError
        For NULL as destructor, and released pointers.

    See Also
    --------
    new

    Notes
    -----
    An exception in the destructor goes to `sys.unraisablehook`. Destructors are not called once the
    interpreter is finalising; use ``with`` for what must not be left to that.

    Examples
    --------
    >>> libc = ffi.dlopen(None)
    >>> cif, result = ffi.CIF("pointer", "size_t"), np.zeros(1, np.uintp)
    >>> ffi.call(cif, ffi.dlsym(libc, "malloc"), result, cif.pack(8))
    >>> p = ffi.new("pointer", int(result[0]))[0]
    >>> with ffi.gc(p, ffi.dlsym(libc, "free")) as q:
    ...     q.cast("long *")[0] = 5
    """
    cdef Memory memory
    cdef Type type
    try:
        if not isinstance(pointer, Pointer):
            raise FFITypeError(
                f"argument 'pointer': expected an ffi.Pointer, got {describe(pointer)}"
            )
        # C frees what is const with a cast, too.
        type = (<Pointer>pointer).type
        if type.const:
            type = pointer_to(type.target)
        destructor = to_destructor(destructor, type)
        memory = Memory.__new__(Memory)
        memory.type = type
        memory.value = held_address(pointer)
        memory.nbytes = (<Pointer>pointer).nbytes
        memory.owner = root_of(pointer)
        memory.destructor = destructor
    except Error as exc:
        raise located(exc, "gc()") from None
    return new_pointer((<Pointer>pointer).type, memory.value, memory)


cdef object to_destructor(object destructor, Type type):
    """A CodePointer or an address as int."""
    if isinstance(destructor, CodePointer):
        if (<CodePointer>destructor).code is NULL:
            raise FFIValueError(f"argument 'destructor': {shorten(destructor)} has no code")
        signature = getattr(destructor, "cif", destructor)
        atypes = getattr(signature, "atypes", ())
        if getattr(signature, "abi", <int>libffi.FFI_DEFAULT_ABI) != <int>libffi.FFI_DEFAULT_ABI:
            raise FFITypeError(
                f"argument 'destructor': {shorten(destructor)} has another calling convention"
            )
        if len(atypes) != 1 or not takes(atypes[0], type):
            raise FFITypeError(
                f"argument 'destructor': expected a function of one {type.name}, "
                f"got {shorten(destructor)}"
            )
        return destructor
    if not is_integer(destructor) or isinstance(destructor, bool):
        hint = ""
        if callable(destructor):
            hint = "; weakref.finalize calls Python functions"
        raise FFITypeError(
            f"argument 'destructor': expected a C function or its address, "
            f"got {describe(destructor)}{hint}"
        )
    try:
        address = to_address(destructor)
    except Error as exc:
        raise located(exc, "argument 'destructor'") from None
    if address == 0:
        raise FFIValueError("argument 'destructor': NULL is no function")
    return address


cdef bint takes(Type wanted, Type given) except -1:
    return wanted.code == _types.POINTER and (
        wanted.target.code == _types.VOID or given.target.code == _types.VOID
        or wanted.target == given.target
        or (is_byte(wanted.target) and is_byte(given.target))
    )
