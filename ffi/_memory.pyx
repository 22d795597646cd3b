"""The C values in buffers and at addresses.

An address becomes readable only here, and only by saying what is there.
"""

import math
import sys

from ffi.errors import Error, FFINotImplementedError, FFIOverflowError, FFITypeError, FFIValueError
from ffi.errors import located

cimport numpy as cnp
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_Clear, PyErr_Occurred
from cpython.long cimport PyLong_Check
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, strlen

from ffi cimport _marshal
from ffi._buffers cimport (
    NOTHING, AddressHolder, Borrowed, Descr, address_of, borrow, examine, give_back, held_address,
    is_integer, is_number, root_of, to_address,
)
from ffi._specs cimport to_dtype, to_type
from ffi._types cimport Type, describe, shorten

cnp.import_array()

cdef extern from "Python.h":
    object PyNumber_Index(object value)
    Py_ssize_t PyLong_AsSsize_t(object value)

cdef extern from "<string.h>":
    size_t strnlen(const char *text, size_t limit)

cdef extern from "numpy/arrayobject.h":
    void PyArray_UpdateFlags(cnp.ndarray array, int flags)
    PyTypeObject PyArray_Type
    # It takes a reference of the descriptor.
    cnp.ndarray PyArray_NewFromDescr(
        PyTypeObject *subtype, Descr *descr, int ndim, cnp.npy_intp *dims, cnp.npy_intp *strides,
        void *data, int flags, PyObject *obj
    )

cdef enum:
    # Values up to this size are converted on the C stack.
    STACK_BYTES = 64
    # NumPy 1's limit.
    MAX_NDIM = 32


def addressof(obj, /):
    """Return the address of an object's memory.

    The caller keeps the object alive while C uses the address, and must not resize it.

    Parameters
    ----------
    obj : buffer or ffi object
        A C-contiguous buffer (its first byte), a `Pointer` (what it points at), a `Record`, a
        `Closure` (its code), a `Type` (its ``ffi_type``), a `CIF` (its ``ffi_cif``) or packed
        arguments (their pointer array).

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If `obj` is neither, or is not C-contiguous.

    Examples
    --------
    >>> array = np.zeros(3)
    >>> ffi.addressof(array[1:]) - ffi.addressof(array)
    8
    """
    try:
        if is_number(obj) or obj is None or isinstance(obj, str):
            raise FFITypeError(f"expected a buffer or an ffi object, got {describe(obj)}")
        return address_of(obj)
    except Error as exc:
        raise located(exc, "addressof()") from exc.__cause__


# --- reading and writing

cdef Py_ssize_t to_ssize(object value, str argument) except? -1:
    cdef Py_ssize_t result
    if not PyLong_Check(value):
        if not is_integer(value):
            raise FFITypeError(
                f"argument {argument!r}: expected an int, got {describe(value)}"
            )
        value = PyNumber_Index(value)
    result = PyLong_AsSsize_t(value)
    if result == -1 and PyErr_Occurred():
        PyErr_Clear()
        raise FFIValueError(f"argument {argument!r}: {shorten(value)} is out of bounds")
    return result


cdef Py_ssize_t to_offset(object offset) except -1:
    cdef Py_ssize_t result = to_ssize(offset, "offset")
    if result < 0:
        raise FFIValueError(f"argument 'offset': expected 0 or more, got {result}")
    return result


cdef bint to_swap(object byteorder) except -1:
    if byteorder is sys.byteorder:
        return False
    if not isinstance(byteorder, str) or byteorder not in ("little", "big"):
        kind = FFIValueError if isinstance(byteorder, str) else FFITypeError
        raise kind(
            f"argument 'byteorder': expected 'little' or 'big', got {shorten(byteorder)}"
        )
    return byteorder != sys.byteorder


cdef int check_swap(Type type) except -1:
    if type.has_union:
        raise FFINotImplementedError(
            f"{type.name} has no byte order: a union's bytes have several meanings"
        )
    if type.has_bits:
        raise FFINotImplementedError(
            f"{type.name} has no byte order: bit-fields lie elsewhere in the other one"
        )
    return 0


cdef int check_bounds(Borrowed *borrowed, Py_ssize_t offset, Type type) except -1:
    if type.size > borrowed.nbytes or offset > borrowed.nbytes - type.size:
        raise FFIValueError(
            f"{type.name} of {type.size} bytes at offset {offset} is outside the buffer of "
            f"{borrowed.nbytes} bytes"
        )
    return 0


cdef object read_value(Type type, object buffer, object offset, object byteorder):
    cdef Borrowed borrowed
    cdef char stack[STACK_BYTES]
    cdef char *copy = stack
    cdef Py_ssize_t start = to_offset(offset)
    cdef bint swap = to_swap(byteorder)
    if swap:
        check_swap(type)
    borrow(buffer, &borrowed, False)
    try:
        examine(&borrowed, False)
        check_bounds(&borrowed, start, type)
        if not swap:
            return _marshal.load(type, borrowed.data + start)
        if type.size > STACK_BYTES:
            copy = <char *>malloc(type.size)
            if copy is NULL:
                raise MemoryError
        memcpy(copy, borrowed.data + start, type.size)
        _marshal.swap_bytes(type, copy)
        return _marshal.load(type, copy)
    finally:
        give_back(&borrowed)
        if copy is not stack:
            free(copy)


cdef int write_value(
    Type type, object buffer, object value, object offset, object byteorder
) except -1:
    # Everything is converted and checked before the first byte changes.
    cdef Borrowed borrowed
    cdef char stack[STACK_BYTES]
    cdef char *copy = stack
    cdef Py_ssize_t start = to_offset(offset)
    cdef bint swap = to_swap(byteorder)
    borrowed.holding = NOTHING
    if swap:
        check_swap(type)
    try:
        if type.size > STACK_BYTES:
            copy = <char *>malloc(type.size)
            if copy is NULL:
                raise MemoryError
        _marshal.store(type, copy, value, None)
        if swap:
            _marshal.swap_bytes(type, copy)
        borrow(buffer, &borrowed, True)
        examine(&borrowed, True)
        check_bounds(&borrowed, start, type)
        memcpy(borrowed.data + start, copy, type.size)
    finally:
        give_back(&borrowed)
        if copy is not stack:
            free(copy)
    return 0


def read(type, buffer, offset=0, byteorder=sys.byteorder):
    """Read one C value from a buffer.

    Parameters
    ----------
    type : Type, dtype, scalar type or str
        The C type.
    buffer : buffer
        C-contiguous storage: a NumPy array, bytearray, memoryview, ...
    offset : int, optional
        Where the value starts, in bytes; it need not be aligned.
    byteorder : {'little', 'big'}, optional
        The byte order of the stored value; the machine's own by default.

    Returns
    -------
    int, float, complex, bool, bytes, numpy.longdouble, numpy.clongdouble or numpy.void
        An array type gives an ndarray. All are copies.

    Raises
    ------
    TypeError
        If `buffer` is no C-contiguous buffer; an address is read with `view`.
    ValueError
        If the value does not lie inside the buffer.

    Examples
    --------
    >>> ffi.read("uint16", bytes([0, 1, 2]), 1, "big")
    258
    """
    try:
        if PyLong_Check(buffer):
            raise FFITypeError(
                f"argument 'buffer': expected a buffer, got {shorten(buffer)}; ffi.view(address, "
                "dtype, shape) makes one of an address"
            )
        return read_value(to_type(type), buffer, offset, byteorder)
    except Error as exc:
        raise located(exc, "read()") from exc.__cause__


def write(type, buffer, value, offset=0, byteorder=sys.byteorder):
    """Write one C value into a buffer.

    Parameters
    ----------
    type : Type, dtype, scalar type or str
        The C type.
    buffer : buffer
        Writable C-contiguous storage.
    value : object
        What the type takes: an integer in range, a real or complex number, ``bytes`` of length
        one for ``char``, what `write_pointer` takes for a pointer, a NumPy record, tuple or dict
        for a struct, an array or sequence for an array.
    offset : int, optional
        Where the value starts, in bytes; it need not be aligned.
    byteorder : {'little', 'big'}, optional
        The byte order to store; the machine's own by default.

    Raises
    ------
    TypeError
        If `buffer` is not writable and C-contiguous, or the value of another kind.
    ValueError
        If the value does not lie inside the buffer.
    OverflowError
        If the value does not fit the type.

    Examples
    --------
    >>> buffer = bytearray(4)
    >>> ffi.write("uint16", buffer, 258, 1, "big")
    >>> buffer.hex()
    '00010200'
    """
    try:
        write_value(to_type(type), buffer, value, offset, byteorder)
    except Error as exc:
        raise located(exc, "write()") from exc.__cause__


cdef Type POINTER = to_type("pointer")


def read_pointer(buffer, offset=0, byteorder=sys.byteorder):
    """Read an address from a buffer.

    Parameters
    ----------
    buffer : buffer
        C-contiguous storage.
    offset : int, optional
        Where the address starts, in bytes.
    byteorder : {'little', 'big'}, optional
        The byte order of the stored address.

    Returns
    -------
    int
        0 for NULL.

    Raises
    ------
    TypeError, ValueError
        As `read` does.

    Examples
    --------
    >>> ffi.read_pointer(bytes(ffi.sizeof.pointer))
    0
    """
    try:
        return read_value(POINTER, buffer, offset, byteorder)
    except Error as exc:
        raise located(exc, "read_pointer()") from exc.__cause__


def write_pointer(buffer, value, offset=0, byteorder=sys.byteorder):
    """Write an address into a buffer.

    The caller keeps `value` alive while C uses its address.

    Parameters
    ----------
    buffer : buffer
        Writable C-contiguous storage.
    value : buffer, ffi object, int or None
        What to point at: a buffer's memory, what `addressof` takes, an address, or None for NULL.
    offset : int, optional
        Where the address starts, in bytes.
    byteorder : {'little', 'big'}, optional
        The byte order to store.

    Raises
    ------
    TypeError, ValueError
        As `write` does.
    OverflowError
        If an address is negative or too large.

    Examples
    --------
    >>> values, avalues = np.zeros(3), np.zeros(1, np.uintp)
    >>> ffi.write_pointer(avalues, values)
    >>> ffi.read_pointer(avalues) == ffi.addressof(values)
    True
    """
    try:
        write_value(POINTER, buffer, value, offset, byteorder)
    except Error as exc:
        raise located(exc, "write_pointer()") from exc.__cause__


# --- memory at an address

cdef list to_shape(object shape):
    if is_integer(shape):
        shape = (shape,)
    elif not isinstance(shape, (tuple, list)):
        raise FFITypeError(f"argument 'shape': expected an int or a tuple, got {shorten(shape)}")
    lengths = []
    for length in shape:
        if not is_integer(length):
            raise FFITypeError(f"argument 'shape': expected ints, got {shorten(length)}")
        length = PyNumber_Index(length)
        if length < 0:
            raise FFIValueError(f"argument 'shape': expected lengths of 0 or more, got {length}")
        lengths.append(length)
    return lengths


cdef object to_view_dtype(object dtype):
    try:
        result = to_dtype(dtype)
    except Error as exc:
        raise located(exc, "argument 'dtype'") from None
    if result.hasobject:
        raise FFITypeError(f"argument 'dtype': {result} holds Python objects, C has none")
    if result.kind == "U":
        raise FFITypeError(f"argument 'dtype': {result} has no C type; use ffi.types.wchar_t")
    if result.itemsize == 0:
        raise FFIValueError(f"argument 'dtype': {result} has no size")
    return result


cdef int check_extent(AddressHolder holder, object nbytes) except -1:
    if 0 <= holder.nbytes < nbytes:
        raise FFIValueError(
            f"expected at most {holder.nbytes} bytes, which {holder!r} has, got {nbytes}"
        )
    return 0


cdef object new_view(object address, object dtype, object shape, bint readonly, object owner):
    cdef cnp.npy_intp dims[MAX_NDIM]
    cdef uintptr_t start
    cdef Py_ssize_t i
    cdef cnp.ndarray array
    dtype = to_view_dtype(dtype)
    lengths = to_shape(shape)
    if len(lengths) + dtype.ndim > MAX_NDIM:
        raise FFIValueError(
            f"argument 'shape': expected at most {<int>MAX_NDIM} axes, those of the dtype "
            f"included, got {len(lengths) + dtype.ndim}"
        )
    size = math.prod(lengths) * dtype.itemsize
    try:
        if isinstance(address, AddressHolder):
            start = held_address(address)
            check_extent(address, size)
            readonly = readonly or (<AddressHolder>address).readonly
            owner = root_of(address) if owner is None else (root_of(address), owner)
        else:
            start = to_address(address)
    except Error as exc:
        raise located(exc, "argument 'address'") from None
    if start == 0:
        raise FFIValueError("argument 'address': NULL points at nothing")
    nbytes = dtype.itemsize
    for length in lengths:
        # Lengths after a zero count too: NumPy computes strides from them.
        nbytes *= max(length, 1)
    if nbytes > sys.maxsize or nbytes > sys.maxsize * 2 + 2 - start:
        raise FFIOverflowError(
            f"{nbytes} bytes from address {start:#x} on do not fit the address space"
        )
    for i in range(len(lengths)):
        dims[i] = lengths[i]
    Py_INCREF(dtype)
    array = PyArray_NewFromDescr(
        &PyArray_Type, <Descr *>dtype, len(lengths), dims, NULL, <void *>start,
        0 if readonly else cnp.NPY_ARRAY_WRITEABLE, NULL,
    )
    PyArray_UpdateFlags(
        array, cnp.NPY_ARRAY_ALIGNED | cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_F_CONTIGUOUS
    )
    if owner is not None:
        # NumPy replaces an array as base by that array's own base.
        cnp.set_array_base(array, (owner,) if cnp.PyArray_Check(owner) else owner)
    return array


def view(address, dtype, shape=(), *, readonly=False, owner=None):
    """Return C memory as an ndarray, without copying.

    Reading the array reads the memory: it must stay valid while the array lives.

    Parameters
    ----------
    address : int or Pointer
        Where the first item is.
    dtype : dtype, scalar type, Type or str
        What is there.
    shape : int or tuple of int, optional
        How many there are; the default is one, as a zero-dimensional array.
    readonly : bool, optional
        Whether the array refuses writes. It does for a `Pointer` to const.
    owner : object, optional
        What keeps the memory valid; the array holds it, and what keeps that of a `Pointer`.

    Returns
    -------
    ndarray
        C-contiguous, of the given dtype and shape.

    Raises
    ------
    TypeError
        If an argument is of another kind, or the dtype holds Python objects.
    ValueError
        For NULL, negative lengths, and more than what a `Pointer` is known to point at.
    OverflowError
        If the array does not fit the address space.

    Examples
    --------
    >>> values = np.arange(6, dtype=np.int32)
    >>> window = ffi.view(ffi.addressof(values), np.int32, (2, 3), owner=values)
    >>> window[1, 2] = 50
    >>> values
    array([ 0,  1,  2,  3,  4, 50], dtype=int32)
    """
    try:
        return new_view(address, dtype, shape, readonly, owner)
    except Error as exc:
        raise located(exc, "view()") from None


cdef bytes read_string(object source, object maxlen):
    cdef Borrowed borrowed
    cdef Py_ssize_t limit, known
    cdef const char *start
    limit = to_ssize(maxlen, "maxlen")
    if limit < -1:
        raise FFIValueError(f"argument 'maxlen': expected -1 or more, got {limit}")
    if isinstance(source, AddressHolder):
        start = <const char *>held_address(source)
        if (<AddressHolder>source).nbytes >= 0:
            known = (<AddressHolder>source).nbytes
            limit = known if limit < 0 else min(limit, known)
        limit = strlen(start) if limit < 0 else strnlen(start, limit)
        return PyBytes_FromStringAndSize(start, limit)
    if is_number(source) or is_integer(source):
        start = <const char *>to_address(source)
        if start is NULL:
            raise FFIValueError("NULL is no string")
        limit = strlen(start) if limit < 0 else strnlen(start, limit)
        return PyBytes_FromStringAndSize(start, limit)
    borrow(source, &borrowed, False)
    try:
        examine(&borrowed, False)
        if limit < 0 or limit > borrowed.nbytes:
            limit = borrowed.nbytes
        return PyBytes_FromStringAndSize(borrowed.data, strnlen(borrowed.data, limit))
    finally:
        give_back(&borrowed)


def string(address_or_buffer, maxlen=-1):
    """Return the bytes of a C string up to its NUL.

    Parameters
    ----------
    address_or_buffer : int, Pointer or buffer
        Where the string starts. A buffer, or memory of known size, is read to its end at most.
    maxlen : int, optional
        Read at most this many bytes; -1 for no limit.

    Returns
    -------
    bytes
        Without the NUL.

    Raises
    ------
    TypeError
        If it is neither an address nor a C-contiguous buffer.
    ValueError
        For NULL and limits below -1.

    Examples
    --------
    >>> ffi.string(np.array([104, 105, 0, 33], np.uint8))
    b'hi'
    """
    try:
        return read_string(address_or_buffer, maxlen)
    except Error as exc:
        raise located(exc, "string()") from exc.__cause__
