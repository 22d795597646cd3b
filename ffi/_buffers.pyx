"""Buffers and addresses: what C is handed, and what keeps it valid.

Nothing here reads or writes what an address points at.
"""

from ffi.errors import FFIOverflowError, FFITypeError, FFIValueError

cimport cython
cimport numpy as cnp
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_Clear, PyErr_Occurred
from cpython.long cimport PyLong_Check
from libc.string cimport memcpy

from ffi._specs cimport is_native
from ffi._types cimport BY_SPELLING, IS_BIG_ENDIAN, describe, shorten, type_name

cnp.import_array()

cdef extern from "Python.h":
    object PyNumber_Index(object value)


cdef class CodePointer:
    """Base of the objects that stand for machine code."""

    @property
    def address(self):
        """The address of the machine code."""
        return <uintptr_t>self.code


cdef Type POINTER = BY_SPELLING["pointer"]


cdef class AddressHolder:
    """Base of the objects that stand for typed C memory."""

    def __cinit__(self):
        self.type = POINTER
        self.nbytes = -1


cdef int refuse_released(AddressHolder holder) except -1:
    raise FFIValueError(f"{holder!r} was released")


# --- borrowing

cdef bint is_number(object value) noexcept:
    # NumPy's scalars have buffers too, but are numbers here.
    return PyLong_Check(value) or cnp.PyArray_CheckScalar(value) and not cnp.PyArray_Check(value)


cdef int borrow_view(object owner, Borrowed *borrowed, bint writable) except -1:
    cdef int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT
    if is_number(owner) or not PyObject_CheckBuffer(owner):
        raise FFITypeError(f"expected a buffer, got {describe(owner)}")
    if writable:
        flags |= PyBUF_WRITABLE
    try:
        PyObject_GetBuffer(owner, &borrowed.view, flags)
    except (BufferError, ValueError, TypeError) as exc:
        raise refused_buffer(owner, exc) from exc
    if not is_native_format(borrowed.view.format):
        text = borrowed.view.format.decode(errors="replace")
        PyBuffer_Release(&borrowed.view)
        raise FFITypeError(
            f"expected a buffer of native C values, got {type_name(owner)} with format {text!r}"
        )
    borrowed.holding = VIEW
    return 0


cdef object refused_buffer(object owner, object exc):
    cdef Py_buffer view
    if isinstance(exc, BufferError):
        try:
            PyObject_GetBuffer(owner, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        except Exception:
            return FFITypeError(
                f"expected a C-contiguous buffer, got {type_name(owner)}: {exc}; "
                "use np.ascontiguousarray"
            )
        PyBuffer_Release(&view)
        return FFITypeError(f"expected a writable buffer, got a read-only {type_name(owner)}")
    kind = FFIValueError if isinstance(exc, ValueError) else FFITypeError
    return kind(f"expected a buffer, got {type_name(owner)}: {exc}")


cdef bint is_native_format(const char *format) noexcept:
    # Refuse the other byte order and Python objects; names stand between colons.
    cdef bint in_name = False
    cdef char c
    if format is NULL:
        return True
    while format[0] != 0:
        c = format[0]
        if c == b":":
            in_name = not in_name
        elif not in_name and (
            c == b"O" or c == (c"<" if IS_BIG_ENDIAN else c">") or (c == c"!" and not IS_BIG_ENDIAN)
        ):
            return format[1] != 0 and format[2] == 0 and c != b"O" and is_one_byte(format[1])
        format += 1
    return True


cdef bint is_one_byte(char code) noexcept:
    return code == b"b" or code == b"B" or code == b"c" or code == b"?"


cdef int examine_array(Array *array, bint writable) except -1:
    """Refuse an array that C cannot use as it is.

    The array's own attributes are not asked: a subclass may define them, with Python code.
    """
    cdef object dtype = <object>PyArray_DESCR(array)
    if not PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_C_CONTIGUOUS):
        raise FFITypeError(
            f"expected a C-contiguous array, got shape {as_tuple(array, PyArray_DIMS(array))} with "
            f"strides {as_tuple(array, PyArray_STRIDES(array))}; use np.ascontiguousarray"
        )
    if writable and not PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_WRITEABLE):
        raise FFITypeError(f"expected a writable array, got a read-only one of {dtype}")
    if not is_native(dtype):
        raise FFITypeError(
            f"expected native byte order, got an array of {dtype}; "
            "use array.astype(array.dtype.newbyteorder('='))"
        )
    if dtype.hasobject:
        raise FFITypeError(f"expected an array of C values, got an array of {dtype}")
    return 0


cdef tuple as_tuple(Array *array, const cnp.npy_intp *lengths):
    cdef int i
    return tuple([lengths[i] for i in range(PyArray_NDIM(array))])


cdef int misaligned(const char *data, Py_ssize_t alignment) except -1:
    raise FFIValueError(
        f"expected storage aligned to {alignment} bytes, got address {<uintptr_t>data:#x}"
    )


# --- addresses

cdef uintptr_t to_any_address(object value) except? 0:
    cdef uintptr_t address
    if not is_integer(value) or isinstance(value, bool):
        raise FFITypeError(f"expected an address, got {describe(value)}")
    if not PyLong_Check(value):
        value = PyNumber_Index(value)
    address = long_as_address(value)
    if address == <uintptr_t>-1 and PyErr_Occurred():
        PyErr_Clear()
        raise FFIOverflowError(
            f"expected an address in [0, {<uintptr_t>-1:#x}], got {shorten(value)}"
        )
    return address


cdef uintptr_t address_of(object value) except? 0:
    cdef Borrowed borrowed
    cdef uintptr_t address
    if is_number(value) or is_integer(value):
        return to_address(value)
    if isinstance(value, CodePointer):
        return <uintptr_t>(<CodePointer>value).code
    if isinstance(value, AddressHolder):
        return held_address(value)
    if not cnp.PyArray_Check(value) and not PyObject_CheckBuffer(value):
        raise FFITypeError(
            f"expected an address, a buffer, an ffi object or None, got {describe(value)}"
            + hint_at_pointer(value)
        )
    borrow(value, &borrowed, False)
    try:
        examine(&borrowed, False)
        address = <uintptr_t>borrowed.data
    finally:
        give_back(&borrowed)
    return address


cdef str hint_at_pointer(object value):
    if isinstance(value, str):
        return "; C takes bytes that end with NUL, such as b\"...\\0\""
    if isinstance(value, (list, tuple)):
        return "; make an array of it"
    if callable(value):
        return "; ffi.Closure makes a C function of a Python one"
    return ""


@cython.final
cdef class Keepers:
    def __cinit__(self):
        self.objects = []
        self.arrays = []


cdef int store_address(char *place, object value, Keepers keepers) except -1:
    cdef uintptr_t address = 0
    if value is not None:
        if keepers is not None and not is_number(value):
            value = keep(value, place, keepers)
        address = address_of(value)
    memcpy(place, &address, sizeof(address))
    return 0


cdef object keep(object value, char *place, Keepers keepers):
    if isinstance(value, AddressHolder):
        # It may be released before `settle`, but not from then on.
        keepers.arrays.append((value, <uintptr_t>place))
        hold(keepers, root_of(value), place)
        return value
    if cnp.PyArray_Check(value):
        keepers.arrays.append((value, <uintptr_t>place))
    elif PyObject_CheckBuffer(value):
        # A memoryview also keeps the size of a bytearray or array.array as it is.
        try:
            value = memoryview(value)
        except (BufferError, ValueError, TypeError) as exc:
            raise refused_buffer(value, exc) from exc
    hold(keepers, value, place)
    return value


cdef int settle(Keepers keepers) except -1:
    cdef uintptr_t address
    if not keepers.arrays:
        return 0
    for array, place in keepers.arrays:
        address = address_of(array)
        memcpy(<char *><uintptr_t>place, &address, sizeof(address))
    # It is done with; the memory of `place` may end before the keepers do.
    keepers.arrays.clear()
    return 0
