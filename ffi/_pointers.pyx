"""Pointers: typed C addresses."""

from ffi.errors import Error, FFIBufferError, FFITypeError, located

cimport cython
cimport numpy as cnp
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport uintptr_t

from ffi cimport _types
from ffi._buffers cimport AddressHolder, held_address, is_integer, let_go, root_of
from ffi._layouts cimport spell
from ffi._memory cimport check_extent, new_view, read_string
from ffi._spare cimport SpareList, TypeObject, keep_spare, make_collectable, new_or_spare
from ffi._specs cimport to_type
from ffi._types cimport Type, check_has_values, defined, describe, shorten
from ffi._values cimport (
    Memory, PointerMaker, bytes_left, check_writable, is_byte, load_at, set_pointer_maker,
    set_value,
)

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *object)
    object PyNumber_Index(object value)

# Calls and fields make pointers, which are gone after a line or two.
cdef SpareList spares


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
    cdef Pointer self = <Pointer>new_or_spare(&spares, <PyTypeObject *>Pointer)
    self.type = type
    self.value = self.place = address
    self.readonly = type.const
    self.owner = owner
    self.nbytes = bytes_left(owner, address) if isinstance(owner, Memory) else -1
    make_collectable(<PyObject *>self)
    return self


cdef int check_index(object index) except -1:
    if not is_integer(index):
        raise FFITypeError(f"expected the index 0, got {describe(index)}")
    if PyNumber_Index(index) != 0:
        raise IndexError(f"a Pointer has the index 0 only, got {shorten(index)}; use p.view(shape)")
    return 0


cdef Type target_of(Pointer pointer):
    cdef Type target = defined(pointer.type.target)
    if target.code == _types.VOID:
        raise FFITypeError(f"{pointer.type.name} points at anything; use p.cast() first")
    check_has_values(target)
    return target


cdef char *reach(Pointer pointer, Type target) except NULL:
    check_extent(pointer, target.size)
    return <char *>held_address(pointer)


cdef int check_releasable(Pointer pointer) except -1:
    if not isinstance(pointer.owner, Memory):
        raise FFITypeError(
            f"only pointers that ffi.new and ffi.gc make can be released, got {pointer!r}"
        )
    return 0


# --- ends

cdef void end_pointer(PyObject *pointer) noexcept:
    let_go(pointer)
    keep_spare(&spares, pointer)


(<TypeObject *>Pointer).tp_dealloc = end_pointer


set_pointer_maker(<PointerMaker>new_pointer)
