"""Python value <-> C value, by the declared C type: the conversions that are not inline.

`load` and `store` in the declaration file are the way in. Errors name what was expected and what
came; callers put the function and argument in front.
"""

import numpy as np

from ffi.errors import Error, FFIOverflowError, FFITypeError, FFIValueError, located

cimport numpy as cnp
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.complex cimport PyComplex_Check, PyComplex_FromDoubles
from cpython.exc cimport PyErr_Clear, PyErr_Occurred
from cpython.object cimport PyObject, PyObject_TypeCheck, PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_GET_LENGTH, PyUnicode_READ_CHAR
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset

from ffi._buffers cimport (
    AddressHolder, Descr, Keepers, held_address, hold, is_integer, store_address,
)
from ffi._types cimport IS_BIG_ENDIAN, check_has_values, describe, shorten

cnp.import_array()

cdef extern from "float.h":
    int DBL_MANT_DIG
    int FLT_MAX_EXP
    int LDBL_MANT_DIG
    int LDBL_MAX_EXP

cdef extern from "math.h":
    float ldexpf(float x, int exponent)
    long double ldexpl(long double x, int exponent)

cdef extern from "Python.h":
    ctypedef struct Py_complex:
        double real
        double imag

    Py_complex PyComplex_AsCComplex(object value) except *
    object PyNumber_Index(object value)
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1
    unsigned long long PyLong_AsUnsignedLongLong(object value)

cdef extern from "numpy/arrayobject.h":
    PyTypeObject PyBoolArrType_Type
    PyTypeObject PyHalfArrType_Type
    PyTypeObject PyFloatArrType_Type
    PyTypeObject PyLongDoubleArrType_Type
    PyTypeObject PyCFloatArrType_Type
    PyTypeObject PyCLongDoubleArrType_Type
    PyTypeObject PyVoidArrType_Type
    # It takes a reference of the descriptor.
    cnp.ndarray PyArray_Empty(int ndim, cnp.npy_intp *dims, Descr *descr, int fortran)
    # NumPy's own declaration takes no NULL as base.
    object new_numpy_scalar "PyArray_Scalar"(void *data, Descr *descr, PyObject *base)

ctypedef struct complex_long_double:
    long double real
    long double imag


# --- refusals

cdef dict _NAMES = {
    _types.BOOL: "_Bool", _types.CHAR: "char", _types.INT8: "int8", _types.UINT8: "uint8",
    _types.INT16: "int16", _types.UINT16: "uint16", _types.INT32: "int32",
    _types.UINT32: "uint32", _types.INT64: "int64", _types.UINT64: "uint64",
    _types.FLOAT: "float", _types.DOUBLE: "double", _types.LONGDOUBLE: "long double",
    _types.COMPLEX_FLOAT: "float _Complex", _types.COMPLEX_DOUBLE: "double _Complex",
    _types.COMPLEX_LONGDOUBLE: "long double _Complex",
}
cdef dict _RANGES = {
    _types.BOOL: (0, 1),
    _types.CHAR: (-128, 127) if (<char>-1) < 0 else (0, 255),
    _types.INT8: (-(2**7), 2**7 - 1), _types.UINT8: (0, 2**8 - 1),
    _types.INT16: (-(2**15), 2**15 - 1), _types.UINT16: (0, 2**16 - 1),
    _types.INT32: (-(2**31), 2**31 - 1), _types.UINT32: (0, 2**32 - 1),
    _types.INT64: (-(2**63), 2**63 - 1), _types.UINT64: (0, 2**64 - 1),
}


cdef int out_of_range(int code, object value) except -1:
    if code in _RANGES:
        low, high = _RANGES[code]
        raise FFIOverflowError(f"expected {_NAMES[code]} in [{low}, {high}], got {shorten(value)}")
    raise FFIOverflowError(f"expected a number that fits {_NAMES[code]}, got {shorten(value)}")


cdef int wrong_kind(str expected, object value) except -1:
    raise FFITypeError(f"expected {expected}, got {describe(value)}")


# --- integers

cdef object to_index(int code, object value):
    if not is_integer(value):
        wrong_kind(f"an integer for {_NAMES[code]}", value)
    return PyNumber_Index(value)


cdef int64_t to_int64(int code, object value) except? -1:
    cdef int overflow
    cdef int64_t result
    if not PyLong_Check(value):
        value = to_index(code, value)
    result = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow:
        return out_of_range(code, value)
    return result


cdef uint64_t to_uint64(int code, object value) except? <uint64_t>-1:
    cdef int overflow
    cdef int64_t result
    cdef uint64_t large
    if not PyLong_Check(value):
        value = to_index(code, value)
    result = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow == 0 and result >= 0:
        return <uint64_t>result
    if overflow <= 0:
        out_of_range(code, value)
    large = PyLong_AsUnsignedLongLong(value)
    if large == <uint64_t>-1 and PyErr_Occurred():
        PyErr_Clear()
        out_of_range(code, value)
    return large


cdef int store_bool(char *data, object value) except -1:
    if value is True or value is False:
        data[0] = value is True
    elif PyObject_TypeCheck(value, &PyBoolArrType_Type):
        data[0] = 1 if value else 0
    else:
        number = to_index(_types.BOOL, value)
        if number not in (0, 1):
            out_of_range(_types.BOOL, number)
        data[0] = <char>number
    return 0


cdef int store_char(char *data, object value) except -1:
    # Subclasses may say anything about themselves, so C looks at what they are.
    if isinstance(value, str):
        if PyUnicode_GET_LENGTH(value) != 1 or PyUnicode_READ_CHAR(value, 0) > 127:
            raise FFIValueError(f"expected one ASCII character for char, got {shorten(value)}")
        data[0] = <char>PyUnicode_READ_CHAR(value, 0)
        return 0
    if isinstance(value, bytes):
        if PyBytes_GET_SIZE(value) != 1:
            raise FFIValueError(f"expected bytes of length one for char, got {shorten(value)}")
        data[0] = PyBytes_AS_STRING(value)[0]
        return 0
    if not is_integer(value):
        wrong_kind("bytes or str of length one or an integer for char", value)
    number = to_int64(_types.CHAR, value)
    low, high = _RANGES[_types.CHAR]
    if not low <= number <= high:
        out_of_range(_types.CHAR, number)
    data[0] = <char><int64_t>number
    return 0


# --- floating point

cdef double to_double(int code, object value) except? -1:
    """A real number of at most the precision of `code`, which is not long double."""
    if PyFloat_Check(value):
        return PyFloat_AS_DOUBLE(value)
    if (
        PyObject_TypeCheck(value, &PyFloatArrType_Type)
        or PyObject_TypeCheck(value, &PyHalfArrType_Type)
    ):
        return float(value)
    if not is_integer(value):
        kind = "a number" if code >= _types.COMPLEX_FLOAT else "a real number"
        wrong_kind(f"{kind} for {_NAMES[code]}", value)
    value = PyNumber_Index(value)
    if code == _types.FLOAT or code == _types.COMPLEX_FLOAT:
        return int_to_float(code, value)
    return int_to_double(code, value)


cdef double int_to_double(int code, object value) except? -1:
    try:
        return float(value)
    except OverflowError:
        out_of_range(code, value)


cdef tuple leading_bits(object value, int count):
    """The first `count` bits of a positive int and the power of two they are multiplied with.

    The last bit stands for all that are cut off, so that rounding to fewer than `count` bits
    afterwards is right.
    """
    cdef object shift = max(0, value.bit_length() - count)
    bits = value >> shift
    return bits | (bits << shift != value), shift


cdef float int_to_float(int code, object value) except? -1:
    # By way of a double it would be rounded twice.
    cdef float result
    if value.bit_length() > FLT_MAX_EXP:
        out_of_range(code, value)
    bits, shift = leading_bits(abs(value), 64)
    result = ldexpf(<float><uint64_t>bits, shift)
    if isinf(result):
        out_of_range(code, value)
    return -result if value < 0 else result


cdef long double int_to_longdouble(int code, object value) except? -1:
    cdef long double result
    if value.bit_length() > LDBL_MAX_EXP:
        out_of_range(code, value)
    if LDBL_MANT_DIG == DBL_MANT_DIG:
        return int_to_double(code, value)
    # Two exact halves, so that only their sum is rounded.
    bits, shift = leading_bits(abs(value), 128)
    result = ldexpl(<long double><uint64_t>(bits >> 64), 64 + <int>shift)
    result += ldexpl(<long double><uint64_t>(bits & 0xFFFFFFFFFFFFFFFF), shift)
    if isinf(result):
        out_of_range(code, value)
    return -result if value < 0 else result


cdef long double to_longdouble(int code, object value) except? -1:
    cdef long double result
    cdef int overflow
    cdef int64_t small
    if PyObject_TypeCheck(value, &PyLongDoubleArrType_Type):
        cnp.PyArray_ScalarAsCtype(value, &result)
        return result
    if PyFloat_Check(value) or not is_integer(value):
        return to_double(code, value)
    value = PyNumber_Index(value)
    small = PyLong_AsLongLongAndOverflow(value, &overflow)
    return int_to_longdouble(code, value) if overflow else small


cdef Py_complex to_complex(int code, object value) except *:
    cdef Py_complex result
    if PyComplex_Check(value):
        return PyComplex_AsCComplex(value)
    if PyObject_TypeCheck(value, &PyCFloatArrType_Type):
        return PyComplex_AsCComplex(complex(value))
    result.real = to_double(code, value)
    result.imag = 0
    return result


cdef int store_complex_float(char *data, object value) except -1:
    cdef Py_complex wide = to_complex(_types.COMPLEX_FLOAT, value)
    cdef float narrow[2]
    narrow[0] = <float>wide.real
    narrow[1] = <float>wide.imag
    if (isinf(narrow[0]) and not isinf(wide.real)) or (isinf(narrow[1]) and not isinf(wide.imag)):
        out_of_range(_types.COMPLEX_FLOAT, value)
    memcpy(data, narrow, sizeof(narrow))
    return 0


cdef int store_complex_longdouble(char *data, object value) except -1:
    cdef complex_long_double result
    cdef Py_complex narrow
    result.imag = 0
    if PyObject_TypeCheck(value, &PyCLongDoubleArrType_Type):
        cnp.PyArray_ScalarAsCtype(value, &result)
    elif PyComplex_Check(value) or PyObject_TypeCheck(value, &PyCFloatArrType_Type):
        narrow = to_complex(_types.COMPLEX_LONGDOUBLE, value)
        result.real = narrow.real
        result.imag = narrow.imag
    else:
        result.real = to_longdouble(_types.COMPLEX_LONGDOUBLE, value)
    copy_longdouble(data, &result.real)
    copy_longdouble(data + sizeof(long double), &result.imag)
    return 0


cdef void copy_longdouble(char *data, const long double *value) noexcept:
    # An x87 value has ten bytes; those after it are zeros, not what the stack held.
    memset(data, 0, sizeof(long double))
    memcpy(data, value, longdouble_bytes())


cdef size_t longdouble_bytes() noexcept:
    return 10 if LDBL_MANT_DIG == 64 else sizeof(long double)


# --- the rest of load and store

cdef object load_other(Type type, const char *data):
    cdef int code = type.code
    cdef uintptr_t address
    cdef float c8[2]
    cdef double c16[2]
    if code == _types.POINTER:
        memcpy(&address, data, sizeof(address))
        return address
    if code == _types.BOOL:
        return data[0] != 0
    if code == _types.CHAR:
        return PyBytes_FromStringAndSize(data, 1)
    if code == _types.COMPLEX_FLOAT:
        memcpy(c8, data, sizeof(c8))
        return PyComplex_FromDoubles(c8[0], c8[1])
    if code == _types.COMPLEX_DOUBLE:
        memcpy(c16, data, sizeof(c16))
        return PyComplex_FromDoubles(c16[0], c16[1])
    if code == _types.VOID or code == _types.OPAQUE:
        check_has_values(type)
    if code == _types.STRUCT or code == _types.UNION or code == _types.ARRAY:
        return load_aggregate(type, data)
    # NumPy copies the bytes, aligned or not.
    return new_numpy_scalar(<void *>data, <Descr *>type._dtype, NULL)


cdef object load_aggregate(Type type, const char *data):
    cdef cnp.ndarray array
    dtype = (type.value if type.has_bits else type)._dtype
    Py_INCREF(dtype)
    array = PyArray_Empty(0, NULL, <Descr *>dtype, 0)
    if type.has_bits:
        memset(cnp.PyArray_DATA(array), 0, type.value.size)
        copy_to_value(type, data, cnp.PyArray_BYTES(array))
    else:
        memcpy(cnp.PyArray_DATA(array), data, type.size)
    if type.code == _types.ARRAY:
        return array
    # A record that lies in an array; one with bytes of its own loses what is assigned to fields.
    return cnp.PyArray_ToScalar(cnp.PyArray_DATA(array), array)


cdef pointer_store store_typed_pointer = NULL


cdef void set_pointer_store(pointer_store function) noexcept:
    global store_typed_pointer
    store_typed_pointer = function


cdef int store_other(Type type, char *data, object value, Keepers keepers) except -1:
    cdef int code = type.code
    cdef Py_complex c16
    cdef long double real
    if code == _types.POINTER:
        if keepers is not None and keepers.places is not None:
            store_typed_pointer(type, data, value, keepers)
        else:
            store_address(data, value, keepers)
    elif code == _types.BOOL:
        store_bool(data, value)
    elif code == _types.CHAR:
        store_char(data, value)
    elif code == _types.LONGDOUBLE:
        real = to_longdouble(code, value)
        copy_longdouble(data, &real)
    elif code == _types.COMPLEX_FLOAT:
        store_complex_float(data, value)
    elif code == _types.COMPLEX_DOUBLE:
        c16 = to_complex(code, value)
        memcpy(data, &c16, sizeof(c16))
    elif code == _types.COMPLEX_LONGDOUBLE:
        store_complex_longdouble(data, value)
    elif code == _types.VOID or code == _types.OPAQUE:
        check_has_values(type)
    else:
        store_aggregate(type, data, value, keepers)
    return 0


cdef int store_aggregate(Type type, char *data, object value, Keepers keepers) except -1:
    """Write a struct, union or array; what fails half-way leaves `data` partly written."""
    cdef Py_ssize_t i
    if isinstance(value, (np.void, np.ndarray)):
        return store_same_dtype(type, data, value)
    if isinstance(value, AddressHolder):
        return store_record(type, data, value, keepers)
    memset(data, 0, type.size)
    if type.code == _types.ARRAY:
        return store_items(type, data, value, keepers)
    if isinstance(value, dict):
        # A copy: a conversion may run Python code that changes the dict.
        return store_named(type, data, dict(value), keepers)
    if type.code == _types.UNION or not isinstance(value, tuple):
        wrong_kind(
            f"a Record, NumPy record{', tuple' if type.code == _types.STRUCT else ''} or dict "
            f"for {type.name}",
            value,
        )
    items = tuple(value)
    if len(items) != len(type.fields):
        raise FFIValueError(f"expected {len(type.fields)} members of {type.name}, got {len(items)}")
    for i in range(len(type.fields)):
        store_field(type, i, data, items[i], keepers)
    return 0


cdef int store_record(Type type, char *data, AddressHolder value, Keepers keepers) except -1:
    if value.type != type:
        raise FFITypeError(f"expected {type.name}, got {shorten(value)}")
    memcpy(data, <const char *>held_address(value), type.size)
    if keepers is not None and type.has_pointer:
        # A tuple tells it from an object whose address was stored.
        hold(keepers, (value,), data)
    return 0


cdef int store_same_dtype(Type type, char *data, object value) except -1:
    # A plain array: subclasses may say anything about themselves.
    array = np.asarray(value)
    if has_dtype_of(array, type):
        copy = copy_bytes(array)
        memcpy(data, cnp.PyArray_DATA(copy), type.size)
    elif type.has_bits and has_dtype_of(array, type.value):
        copy = copy_bytes(array)
        memset(data, 0, type.size)
        store_with_bits(type, data, cnp.PyArray_BYTES(copy))
    else:
        base, shape = base_and_shape(type.value if type.has_bits else type)
        raise FFITypeError(
            f"expected dtype {base} of shape {shape} for {type.name}, "
            f"got dtype {array.dtype} of shape {array.shape}"
        )
    return 0


cdef bint has_dtype_of(object array, Type type) except -1:
    return (array.dtype, array.shape) == base_and_shape(type)


cdef tuple base_and_shape(Type type):
    return type._dtype.subdtype or (type._dtype, ())


cdef object copy_bytes(object array):
    # As bytes without fields: of a record NumPy copies the fields and leaves out what is between.
    return np.array(array.view(np.dtype((np.void, array.itemsize))), order="C")


cdef int store_items(Type type, char *data, object value, Keepers keepers) except -1:
    cdef Py_ssize_t i, size
    if isinstance(value, bytes) and type.item.code == _types.CHAR:
        size = PyBytes_GET_SIZE(value)
        if size > type.length:
            raise FFIValueError(
                f"expected at most {type.length} bytes for {type.name}, got {size}"
            )
        memcpy(data, PyBytes_AS_STRING(value), size)
        return 0
    if not isinstance(value, (list, tuple)):
        wrong_kind(f"an array, list or tuple for {type.name}", value)
    # A conversion may run Python code that changes a list.
    items = tuple(value)
    if len(items) != type.length:
        raise FFIValueError(f"expected {type.length} items for {type.name}, got {len(items)}")
    for i in range(type.length):
        try:
            store(type.item, data + i * type.item.size, items[i], keepers)
        except Error as exc:
            raise located(exc, f"item {i}") from None
    return 0


cdef int store_named(Type type, char *data, dict value, Keepers keepers) except -1:
    cdef Py_ssize_t i
    cdef set names = {name for name, _, _ in type.fields}
    cdef list unknown
    unknown = [name for name in value if name not in names]
    if unknown:
        raise FFIValueError(f"{type.name} has no member {unknown[0]!r}")
    if type.code == _types.UNION:
        if len(value) != 1:
            raise FFIValueError(f"expected one member of {type.name}, got {len(value)}")
    else:
        missing = [name for name, _, _ in type.fields if name not in value]
        if missing:
            raise FFIValueError(f"expected a value for member {missing[0]!r} of {type.name}")
    for i in range(len(type.fields)):
        name = type.fields[i][0]
        if name in value:
            store_field(type, i, data, value[name], keepers)
    return 0


cdef int store_field(
    Type type, Py_ssize_t index, char *data, object value, Keepers keepers
) except -1:
    """Write a member of the struct or union at `data`."""
    cdef Type member
    name, member, offset = type.fields[index]
    data += <Py_ssize_t>offset
    try:
        if type.bits is None or type.bits[index] is None:
            store(member, data, value, keepers)
        else:
            shift, width = type.bits[index]
            store_bits(member, shift, width, data, value)
    except Error as exc:
        raise located(exc, f"member {name!r}") from None
    return 0


# --- bit-fields

cdef struct BitSpan:
    # The bytes of a storage unit that hold a bit-field, and where in their value it is. The rest
    # of the unit may belong to other members, or lie beyond the end of the struct.
    int first
    int count
    int shift
    uint64_t mask


cdef BitSpan find_bits(Type type, int shift, int width) noexcept:
    cdef BitSpan span
    cdef int size = type.size
    cdef int low = shift // 8, high = (shift + width - 1) // 8
    span.first = size - 1 - high if IS_BIG_ENDIAN else low
    span.count = high - low + 1
    span.shift = shift % 8
    span.mask = <uint64_t>-1 >> (64 - width)
    return span


cdef uint64_t get_bytes(const char *data, int count) noexcept:
    cdef uint64_t value = 0
    cdef int i
    for i in range(count):
        value = value << 8 | <unsigned char>data[i if IS_BIG_ENDIAN else count - 1 - i]
    return value


cdef void set_bytes(char *data, int count, uint64_t value) noexcept:
    cdef int i
    for i in range(count):
        data[count - 1 - i if IS_BIG_ENDIAN else i] = <char>(value >> 8 * i & 0xFF)


cdef object load_bits(Type type, int shift, int width, const char *data):
    """Read a bit-field from its storage unit, as a number."""
    cdef BitSpan span = find_bits(type, shift, width)
    cdef uint64_t value = get_bytes(data + span.first, span.count) >> span.shift & span.mask
    if type.code == _types.BOOL:
        return value != 0
    if _types.is_signed(type.code) and value > span.mask >> 1:
        return <int64_t>(value | ~span.mask)
    return value


cdef int store_bits(Type type, int shift, int width, char *data, object value) except -1:
    """Write a bit-field and no other bit of its storage unit."""
    cdef BitSpan span = find_bits(type, shift, width)
    cdef uint64_t others
    cdef object number, low, high
    cdef char flag
    if type.code == _types.BOOL:
        store_bool(&flag, value)
        number = flag
    else:
        number = to_index(type.code, value)
        low, high = 0, span.mask
        if _types.is_signed(type.code):
            high >>= 1
            low = -high - 1
        if not low <= number <= high:
            raise FFIOverflowError(
                f"expected {_NAMES[type.code]} of {width} bits in [{low}, {high}], "
                f"got {shorten(number)}"
            )
    others = get_bytes(data + span.first, span.count) & ~(span.mask << span.shift)
    set_bytes(
        data + span.first, span.count, others | <uint64_t>(number & span.mask) << span.shift
    )
    return 0


cdef int copy_to_value(Type type, const char *data, char *value) except -1:
    """Write what `data` holds as a value of `type.value`."""
    cdef Py_ssize_t i
    cdef Type member, target
    if not type.has_bits:
        memcpy(value, data, type.size)
        return 0
    if type.code == _types.ARRAY:
        for i in range(type.length):
            copy_to_value(type.item, data + i * type.item.size, value + i * type.item.value.size)
        return 0
    for i in range(len(type.fields)):
        _, member, offset = type.fields[i]
        _, target, start = type.value.fields[i]
        if type.bits is None or type.bits[i] is None:
            copy_to_value(member, data + <Py_ssize_t>offset, value + <Py_ssize_t>start)
        else:
            shift, width = type.bits[i]
            number = load_bits(member, shift, width, data + <Py_ssize_t>offset)
            store(target, value + <Py_ssize_t>start, number, None)
    return 0


cdef int store_with_bits(Type type, char *data, const char *value) except -1:
    """Write a value of `type.value`; bits between its members stay as they are."""
    cdef Py_ssize_t i
    cdef Type member, target
    cdef char *again
    if not type.has_bits:
        memcpy(data, value, type.size)
        return 0
    if type.code == _types.ARRAY:
        for i in range(type.length):
            try:
                store_with_bits(
                    type.item, data + i * type.item.size, value + i * type.item.value.size
                )
            except Error as exc:
                raise located(exc, f"item {i}") from None
        return 0
    for i in range(len(type.fields)):
        name, member, offset = type.fields[i]
        _, target, start = type.value.fields[i]
        try:
            if type.bits is None or type.bits[i] is None:
                store_with_bits(member, data + <Py_ssize_t>offset, value + <Py_ssize_t>start)
            else:
                shift, width = type.bits[i]
                number = load(target, value + <Py_ssize_t>start)
                store_bits(member, shift, width, data + <Py_ssize_t>offset, number)
        except Error as exc:
            raise located(exc, f"member {name!r}") from None
    if type.code == _types.UNION:
        # Each member has overwritten those before it, rightly if they are the same bytes.
        again = <char *>calloc(1, type.value.size)
        if again is NULL:
            raise MemoryError
        try:
            copy_to_value(type, data, again)
            if not same_value(type.value, value, again):
                raise FFIValueError(
                    f"the members of {type.name} do not share their bytes; use a dict of one member"
                )
        finally:
            free(again)
    return 0


cdef bint same_value(Type type, const char *left, const char *right) noexcept:
    """Whether two values are the same, whatever lies between their members."""
    cdef Py_ssize_t i, start
    if type.code == _types.ARRAY:
        for i in range(type.length):
            start = i * type.item.size
            if not same_value(type.item, left + start, right + start):
                return False
        return True
    if type.fields is not None:
        for _, member, offset in type.fields:
            if not same_value(member, left + <Py_ssize_t>offset, right + <Py_ssize_t>offset):
                return False
        return True
    if type.code == _types.COMPLEX_LONGDOUBLE:
        start = sizeof(long double)
        return (
            memcmp(left, right, longdouble_bytes()) == 0
            and memcmp(left + start, right + start, longdouble_bytes()) == 0
        )
    return memcmp(
        left, right, longdouble_bytes() if type.code == _types.LONGDOUBLE else type.size
    ) == 0


# --- byte order

cdef void reverse(char *data, Py_ssize_t size) noexcept:
    cdef Py_ssize_t i
    for i in range(size // 2):
        data[i], data[size - 1 - i] = data[size - 1 - i], data[i]


cdef void swap_bytes(Type type, char *data) noexcept:
    """Turn the byte order of a value around; a type that holds a union is refused before."""
    cdef Py_ssize_t i
    if type.code == _types.STRUCT:
        for _, member, offset in type.fields:
            swap_bytes(member, data + <Py_ssize_t>offset)
    elif type.code == _types.ARRAY:
        for i in range(type.length):
            swap_bytes(type.item, data + i * type.item.size)
    elif _types.COMPLEX_FLOAT <= type.code <= _types.COMPLEX_LONGDOUBLE:
        reverse(data, type.size // 2)
        reverse(data + type.size // 2, type.size // 2)
    else:
        reverse(data, type.size)
