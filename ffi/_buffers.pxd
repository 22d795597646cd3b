# Borrowed buffers and addresses, for the modules that hand memory to C.

cimport numpy as cnp
from cpython.buffer cimport Py_buffer, PyBuffer_Release
from cpython.long cimport PyLong_Check, PyLong_CheckExact
from cpython.object cimport Py_TYPE, PyObject, PyObject_TypeCheck, PyTypeObject
from cpython.ref cimport Py_DECREF
from libc.stdint cimport uintptr_t

from ffi._types cimport Type


cdef extern from "Python.h":
    """
    #ifdef Py_GIL_DISABLED
    #define HAS_GIL 0
    #else
    #define HAS_GIL 1
    #endif
    """
    bint HAS_GIL

    int PyIndex_Check(object value)
    bint PyObject_HasAttrString(object value, const char *name) noexcept
    void PyObject_GC_UnTrack(PyObject *object)

    ctypedef struct PyByteArrayObject:
        Py_ssize_t ob_exports

    bint PyByteArray_CheckExact(object value)
    char *PyByteArray_AS_STRING(PyObject *value)
    Py_ssize_t PyByteArray_GET_SIZE(PyObject *value)
    uintptr_t long_as_address "PyLong_AsSize_t"(object value)

cdef extern from "numpy/arrayobject.h":
    # Declared here for a plain pointer: as objects they would be counted and checked each time.
    ctypedef struct Array "PyArrayObject":
        pass

    ctypedef struct Descr "PyArray_Descr":
        pass

    bint PyArray_CHKFLAGS(Array *array, int flags)
    char *PyArray_BYTES(Array *array)
    Descr *PyArray_DESCR(Array *array)
    cnp.npy_intp *PyArray_DIMS(Array *array)
    bint PyArray_ISINTEGER(Array *array)
    bint PyArray_ISNOTSWAPPED(Array *array)
    cnp.npy_intp PyArray_ITEMSIZE(Array *array)
    cnp.npy_intp PyArray_NBYTES(Array *array)
    int PyArray_NDIM(Array *array)
    cnp.npy_intp *PyArray_STRIDES(Array *array)
    int PyArray_TYPE(Array *array)
    PyTypeObject PyBoolArrType_Type
    PyTypeObject PyGenericArrType_Type


cdef inline bint is_integer(object value) noexcept:
    # What stands for an int. Arrays of one item have __index__ too, but arrays are buffers here,
    # those of other packages too, and NumPy 1's bool has one that is deprecated.
    return PyLong_Check(value) or (
        PyIndex_Check(value) and not PyObject_TypeCheck(value, &PyBoolArrType_Type) and (
            PyObject_TypeCheck(value, &PyGenericArrType_Type)
            or not PyObject_HasAttrString(<object>Py_TYPE(value), b"__dlpack__")
        )
    )


cdef enum Holding:
    NOTHING
    ARRAY
    BYTEARRAY
    VIEW
    ADOPTED                             # an array that is owned, not borrowed


# A buffer that is held while C uses it; the caller holds a reference to its owner. An array's state
# may change until `examine` reads it, so that comes after all Python code.
cdef struct Borrowed:
    Holding holding
    PyObject *owner
    Py_buffer view
    char *data
    Py_ssize_t nbytes


cdef int borrow_view(object owner, Borrowed *borrowed, bint writable) except -1
cdef int examine_array(Array *array, bint writable) except -1


cdef inline int borrow(object owner, Borrowed *borrowed, bint writable) except -1:
    # Hold the buffer of `owner`, which may run Python code.
    borrowed.holding = NOTHING
    borrowed.owner = <PyObject *>owner
    if HAS_GIL and PyByteArray_CheckExact(owner):
        # What its buffer protocol does, less a quarter of the time of a short call.
        (<PyByteArrayObject *>owner).ob_exports += 1
        borrowed.holding = BYTEARRAY
    elif cnp.PyArray_Check(owner):
        borrowed.holding = ARRAY
    else:
        borrow_view(owner, borrowed, writable)
    return 0


cdef inline int examine(Borrowed *borrowed, bint writable) except -1:
    # Check what is held and read where it is; nothing may run Python code after this.
    cdef Array *array
    cdef int flags = cnp.NPY_ARRAY_C_CONTIGUOUS | (cnp.NPY_ARRAY_WRITEABLE if writable else 0)
    if borrowed.holding == ARRAY or borrowed.holding == ADOPTED:
        array = <Array *>borrowed.owner
        if (
            not PyArray_CHKFLAGS(array, flags) or not PyArray_ISNOTSWAPPED(array)
            or PyArray_TYPE(array) > cnp.NPY_CLONGDOUBLE  # not a number or bool
        ):
            examine_array(array, writable)
        borrowed.data = PyArray_BYTES(array)
        if PyArray_NDIM(array) == 1:
            borrowed.nbytes = PyArray_DIMS(array)[0] * PyArray_ITEMSIZE(array)
        else:
            borrowed.nbytes = PyArray_NBYTES(array)
    elif borrowed.holding == BYTEARRAY:
        borrowed.data = PyByteArray_AS_STRING(borrowed.owner)
        borrowed.nbytes = PyByteArray_GET_SIZE(borrowed.owner)
    else:
        borrowed.data = <char *>borrowed.view.buf
        borrowed.nbytes = borrowed.view.len
    return 0


cdef inline void give_back(Borrowed *borrowed) noexcept:
    if borrowed.holding == BYTEARRAY:
        (<PyByteArrayObject *>borrowed.owner).ob_exports -= 1
    elif borrowed.holding == VIEW:
        PyBuffer_Release(&borrowed.view)
    elif borrowed.holding == ADOPTED:
        Py_DECREF(<object>borrowed.owner)


cdef int misaligned(const char *data, Py_ssize_t alignment) except -1


cdef inline int check_alignment(const char *data, Py_ssize_t alignment) except -1:
    # Alignments are powers of two.
    return misaligned(data, alignment) if <uintptr_t>data & <uintptr_t>(alignment - 1) else 0


cdef bint is_number(object value) noexcept
cdef uintptr_t to_any_address(object value) except? 0
# The address that an int, a buffer or an object of ours stands for.
cdef uintptr_t address_of(object value) except? 0


cdef inline uintptr_t to_address(object value) except? 0:
    # An address from an int, NULL included.
    cdef uintptr_t address
    if PyLong_CheckExact(value):
        address = long_as_address(value)
        if address != <uintptr_t>-1:
            return address
    return to_any_address(value)


# Whatever stands for typed C memory: its address is taken where one is.
cdef class AddressHolder:
    cdef readonly Type type             # of the pointer to it, or of what is there
    cdef uintptr_t value                # 0 once it was released
    cdef Py_ssize_t nbytes              # known to be there; -1 for unknown
    cdef bint readonly                  # what is there is const
    cdef object owner                   # what keeps the memory valid, or None
    # Of a root: what its memory points at, as {place of the address: (object, address)}.
    cdef dict kept


cdef int refuse_released(AddressHolder holder) except -1


cdef inline uintptr_t held_address(AddressHolder holder) except 0:
    # Its owner has ended where the garbage collector found both, and somebody kept this one.
    if holder.value == 0 or (
        isinstance(holder.owner, AddressHolder) and (<AddressHolder>holder.owner).value == 0
    ):
        refuse_released(holder)
    return holder.value


cdef inline object root_of(AddressHolder holder):
    # What to hold for the memory: the holder may be released as long as nothing holds this.
    return holder.owner if isinstance(holder.owner, AddressHolder) else holder


cdef inline void let_go(PyObject *holder) noexcept:
    # Of what has come to its end. What it held may run Python code, which must not find it.
    PyObject_GC_UnTrack(holder)
    (<AddressHolder>holder).type = None
    if (<AddressHolder>holder).owner is not None:
        (<AddressHolder>holder).owner = None
    if (<AddressHolder>holder).kept is not None:
        (<AddressHolder>holder).kept = None


# What keeps the addresses in some storage valid.
cdef class Keepers:
    cdef list objects
    cdef list arrays                    # with the places of their addresses, until `settle`
    # Where pointers are typed, the place of each object's address; None elsewhere.
    cdef list places


cdef inline int hold(Keepers keepers, object value, const char *place) except -1:
    keepers.objects.append(value)
    if keepers.places is not None:
        keepers.places.append(<uintptr_t>place)
    return 0


# Write the address of None (NULL), an int, a buffer or an object of ours. `keepers` is None where
# the caller answers for the life of what is pointed at.
cdef int store_address(char *place, object value, Keepers keepers) except -1

# Arrays may move as long as Python code runs: write their addresses again, as they are now.
cdef int settle(Keepers keepers) except -1


# Whatever stands for machine code: its address is taken where a function's address is.
cdef class CodePointer:
    cdef void *code
    cdef object keeper                  # what the code lives as long as, if that is not itself
