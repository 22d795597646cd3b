"""Arrays, buffers and strings where C wants the address of values of one type.

Kind, size, byte order, contiguity, alignment and writability are checked here; objects of ours that
stand for addresses come above.
"""

import numpy as np

from ffi.errors import Error, FFITypeError, FFIValueError, located

cimport numpy as cnp
from cpython.buffer cimport PyObject_CheckBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uintptr_t
from libc.string cimport memchr, memcpy

from ffi cimport _types
from ffi._buffers cimport (
    ADOPTED, ARRAY, BYTEARRAY, NOTHING, VIEW, Array, Descr, PyArray_BYTES, PyArray_CHKFLAGS,
    PyArray_DESCR, PyArray_TYPE, borrow, check_alignment, examine, give_back, hold, is_integer,
    is_number, to_address,
)
from ffi._types cimport defined, describe, shorten, type_name

cnp.import_array()

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef extern from "numpy/arrayobject.h":
    bint PyArray_EquivTypes(Descr *one, Descr *other)


cdef dict _CODES = {
    cnp.NPY_BOOL: _types.BOOL,
    cnp.NPY_BYTE: _types.INT8,
    cnp.NPY_UBYTE: _types.UINT8,
    cnp.NPY_SHORT: _types.INT16,
    cnp.NPY_USHORT: _types.UINT16,
    cnp.NPY_INT: _types.INT32,
    cnp.NPY_UINT: _types.UINT32,
    cnp.NPY_LONG: _types.INT64 if sizeof(long) == 8 else _types.INT32,
    cnp.NPY_ULONG: _types.UINT64 if sizeof(long) == 8 else _types.UINT32,
    cnp.NPY_LONGLONG: _types.INT64,
    cnp.NPY_ULONGLONG: _types.UINT64,
    cnp.NPY_FLOAT: _types.FLOAT,
    cnp.NPY_DOUBLE: _types.DOUBLE,
    cnp.NPY_LONGDOUBLE: _types.LONGDOUBLE,
    cnp.NPY_CFLOAT: _types.COMPLEX_FLOAT,
    cnp.NPY_CDOUBLE: _types.COMPLEX_DOUBLE,
    cnp.NPY_CLONGDOUBLE: _types.COMPLEX_LONGDOUBLE,
}
# A buffer's format, apart from the size of its items.
cdef dict _KINDS = {
    **dict.fromkeys("bhilqn", "i"), **dict.fromkeys("BHILQNP", "u"), **dict.fromkeys("efdg", "f"),
    "?": "b", "c": "S",
}


cdef Accepted accepted_arrays(Type pointer):
    cdef Accepted accepted
    cdef int number, code, wanted = pointer.target.code
    accepted.type_number = accepted.other_number = -1
    accepted.flags = cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_ALIGNED
    if not pointer.const:
        accepted.flags |= cnp.NPY_ARRAY_WRITEABLE
    if wanted == _types.POINTER:
        wanted = _types.UINT64 if sizeof(void *) == 8 else _types.UINT32
    if wanted == _types.CHAR:
        wanted = _types.UINT8
    for number, code in _CODES.items():
        if code == wanted:
            accepted.other_number = accepted.type_number
            accepted.type_number = number
    if accepted.other_number < 0:
        accepted.other_number = accepted.type_number
    return accepted


cdef inline bint takes_bytes(Type target) noexcept:
    # Characters in memory are bytes, whatever their sign.
    return target.code == _types.CHAR or target.code == _types.UINT8


cdef int borrow_pointee(
    Type pointer, object value, Borrowed *borrowed, bint counted
) except -1:
    cdef Type target = pointer.target
    borrowed.holding = NOTHING
    borrowed.data = NULL
    borrowed.nbytes = -1
    if value is None:
        return 0
    if cnp.PyArray_Check(value):
        return borrow(value, borrowed, not pointer.const)
    if pointer.const and isinstance(value, (bytes, str)) and target.code == _types.CHAR:
        return take_string(value, borrowed, counted)
    if target.code == _types.VOID and is_integer(value) and not isinstance(value, bool):
        borrowed.data = <char *>to_address(value)
        return 0
    if takes_strings(pointer) and isinstance(value, (list, tuple)):
        return adopt(pack_strings(tuple(value)), borrowed)
    if is_number(value):
        refuse(pointer, value)
    if PyObject_CheckBuffer(value):
        return borrow_buffer(pointer, value, borrowed)
    return adopt(as_array(pointer, value), borrowed)


cdef int take_string(object value, Borrowed *borrowed, bint counted) except -1:
    cdef Py_ssize_t size
    if isinstance(value, bytes):
        borrowed.data = PyBytes_AS_STRING(value)
        size = PyBytes_GET_SIZE(value)
    else:
        try:
            borrowed.data = <char *>PyUnicode_AsUTF8AndSize(value, &size)
        except UnicodeEncodeError as exc:
            raise FFIValueError(
                f"expected text for const char *, got {shorten(value)}: {exc}"
            ) from None
    borrowed.nbytes = size
    if not counted and memchr(borrowed.data, 0, size) is not NULL:
        raise FFIValueError(f"expected a string without NUL, got {shorten(value)}")
    return 0


cdef inline bint takes_strings(Type pointer) noexcept:
    return (
        pointer.const and pointer.target.code == _types.POINTER and pointer.target.const
        and pointer.target.target.code == _types.CHAR
    )


cdef object pack_strings(tuple strings):
    """Return addresses of strings, for a ``const char *const *``, with the strings behind them."""
    cdef Borrowed borrowed
    cdef Py_ssize_t i, count = len(strings)
    cdef Py_ssize_t at = (count + 1) * sizeof(void *)
    cdef list texts = []
    for i, string in enumerate(strings):
        if string is None:
            texts.append(None)
            continue
        if not isinstance(string, (bytes, str)):
            raise FFITypeError(f"item {i}: expected bytes, str or None, got {describe(string)}")
        try:
            take_string(string, &borrowed, False)
        except Error as exc:
            raise located(exc, f"item {i}") from None
        texts.append(borrowed.data[:borrowed.nbytes])
        at += borrowed.nbytes + 1
    # One NULL more than there are strings, as some functions want to see the end.
    block = np.zeros(at, np.uint8)
    cdef char *data = PyArray_BYTES(<Array *>block)
    at = (count + 1) * sizeof(void *)
    addresses = block[:count * sizeof(void *)].view(np.uintp)
    for i, text in enumerate(texts):
        if text is not None:
            addresses[i] = <uintptr_t>(data + at)
            memcpy(data + at, PyBytes_AS_STRING(text), len(text))
            at += len(text) + 1
    return addresses


cdef int borrow_buffer(Type pointer, object value, Borrowed *borrowed) except -1:
    borrow(value, borrowed, not pointer.const)
    if borrowed.holding == BYTEARRAY:
        if pointer.target.code == _types.VOID or takes_bytes(pointer.target):
            return 0
    elif pointer.target.code == _types.VOID or is_of(borrowed, pointer.target):
        return 0
    else:
        try:
            # What is left may be structs, whose format NumPy reads.
            array = np.asarray(<object>borrowed.owner)
        except (TypeError, ValueError):
            array = None
        if array is not None and array.dtype.names is not None:
            give_back(borrowed)
            return adopt(array, borrowed)
    give_back(borrowed)
    borrowed.holding = NOTHING
    return refuse(pointer, value)


cdef bint is_of(Borrowed *borrowed, Type target) except -1:
    """Whether the items of a view are values of the target."""
    cdef str text = "B" if borrowed.view.format is NULL else borrowed.view.format.decode("latin-1")
    cdef str kind
    cdef int code = target.code
    text = text.lstrip("@=<>!")
    if text.startswith("Z"):
        kind = "c"
    else:
        kind = _KINDS.get(text, "") if len(text) == 1 else ""
    if takes_bytes(target):
        return borrowed.view.itemsize == 1 and kind != "" and kind != "f"
    if borrowed.view.itemsize != (
        <Py_ssize_t>sizeof(void *) if code == _types.POINTER else target.size
    ):
        return False
    if code == _types.POINTER:
        return kind == "u"
    return target._dtype is not None and kind == target._dtype.kind


cdef object as_array(Type pointer, object value):
    """The array behind an object that exports one in NumPy's or DLPack's way, without a copy."""
    cls = type(value)
    is_array = hasattr(cls, "__array_interface__") or hasattr(cls, "__array_struct__")
    if not is_array and not hasattr(cls, "__dlpack__"):
        return refuse(pointer, value)
    try:
        array = np.asarray(value) if is_array else np.from_dlpack(value)
    except (TypeError, ValueError, BufferError, RuntimeError, AttributeError) as exc:
        raise FFITypeError(
            f"expected {wanted(pointer)}, got {type_name(value)} that is no array: {exc}"
        ) from exc
    if not is_array and not pointer.const and not array.flags.writeable:
        # Before DLPack 1.0 an object could not say whether its memory may be written.
        raise FFITypeError(
            f"expected {wanted(pointer)}, got {type_name(value)} that DLPack gives to be read "
            "only; give its NumPy array, as tensor.numpy() of PyTorch returns it"
        )
    return array


cdef int adopt(object array, Borrowed *borrowed) except -1:
    borrowed.holding = ADOPTED
    Py_INCREF(array)
    borrowed.owner = <PyObject *>array
    return 0


cdef int examine_pointee(Type pointer, Borrowed *borrowed) except -1:
    if borrowed.holding == NOTHING:
        return 0
    if borrowed.holding == ARRAY or borrowed.holding == ADOPTED:
        examine_array(pointer, <Array *>borrowed.owner)
    examine(borrowed, not pointer.const)
    if borrowed.holding != BYTEARRAY:
        check_alignment(borrowed.data, defined(pointer.target).alignment)
    return 0


cdef int examine_array(Type pointer, Array *array) except -1:
    cdef Type target = defined(pointer.target)
    cdef object dtype = <object>PyArray_DESCR(array)
    cdef int code = target.code, number = PyArray_TYPE(array)
    if not PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_C_CONTIGUOUS) or not dtype.isnative:
        # `examine` says what is wrong.
        return 0
    if code == _types.VOID:
        return 0
    if takes_bytes(target):
        if dtype.itemsize == 1 and dtype.names is None:
            return 0
    elif code == _types.POINTER:
        if dtype.kind == "u" and dtype.itemsize == sizeof(void *):
            return 0
    elif _CODES.get(number, -1) == code and target._dtype is not None:
        return 0
    elif dtype.names is not None and target._dtype is not None:
        if target.fields is not None and PyArray_EquivTypes(
            <Descr *>dtype, <Descr *>target._dtype
        ):
            return 0
    hint = ""
    if target._dtype is not None and target.fields is None and dtype.kind in "biuf":
        hint = f"; use array.astype(np.{np.dtype(target._dtype).name})"
    raise FFITypeError(f"expected {wanted(pointer)}, got an array of {shorten_dtype(dtype)}{hint}")


cdef str shorten_dtype(dtype):
    return str(dtype) if dtype.names is None else shorten(dtype)


cdef str wanted(Type pointer):
    cdef Type target = defined(pointer.target)
    cdef str what
    if target.code == _types.VOID:
        what = "a buffer, an address"
    elif target.code == _types.FUNCTION:
        what = "a Function"
    elif target.code >= _types.OPAQUE:
        what = "a Pointer"
    elif takes_bytes(target):
        what = "a buffer of bytes"
        if target.code == _types.CHAR and pointer.const:
            what += ", str"
    elif takes_strings(pointer):
        what = "a sequence of bytes or str"
    elif target.code == _types.POINTER:
        what = "an array of np.uintp"
    elif target.fields is not None:
        what = f"an array or Record of {target.name}"
    else:
        what = f"an array of {target._dtype}"
    return f"{what} or None for {pointer.name}"


cdef int refuse(Type pointer, object value) except -1:
    hint = ""
    if isinstance(value, (list, tuple)):
        hint = "; make an array of it"
    elif takes_strings(pointer):
        hint = ""
    elif isinstance(value, str) and pointer.target.code != _types.CHAR:
        hint = "; encode it"
    elif isinstance(value, (str, bytes)) and not pointer.const:
        hint = "; C may write there, so give a bytearray"
    raise FFITypeError(f"expected {wanted(pointer)}, got {describe(value)}{hint}")


cdef int store_pointee(Type pointer, char *data, object value, Keepers keepers) except -1:
    cdef Borrowed borrowed
    borrow_pointee(pointer, value, &borrowed, False)
    try:
        examine_pointee(pointer, &borrowed)
        memcpy(data, &borrowed.data, sizeof(void *))
        if borrowed.holding == ADOPTED:
            value = <object>borrowed.owner
        elif borrowed.holding == VIEW or borrowed.holding == BYTEARRAY:
            # It keeps the buffer's size as it is.
            value = memoryview(value)
        elif borrowed.holding == NOTHING and not isinstance(value, (bytes, str)):
            return 0
    finally:
        give_back(&borrowed)
    if borrowed.holding == ARRAY or borrowed.holding == ADOPTED:
        keepers.arrays.append((value, <uintptr_t>data))
    return hold(keepers, value, data)
