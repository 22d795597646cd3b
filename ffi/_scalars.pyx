"""Python value <-> C value of one number, character or bit-field.

`_marshal` is the way in; here is what its inline functions leave out. Errors name what was expected
and what came; callers put the function and argument in front.
"""

from ffi.errors import FFIOverflowError, FFITypeError, FFIValueError

cimport numpy as cnp
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.complex cimport PyComplex_Check
from cpython.exc cimport PyErr_Clear, PyErr_Occurred
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from cpython.long cimport PyLong_Check
from cpython.object cimport PyObject_TypeCheck, PyTypeObject
from cpython.unicode cimport PyUnicode_GET_LENGTH, PyUnicode_READ_CHAR
from libc.math cimport isinf
from libc.string cimport memcpy, memset

from ffi cimport _types
from ffi._buffers cimport is_integer
from ffi._types cimport IS_BIG_ENDIAN, describe, shorten

cnp.import_array()

cdef extern from "float.h":
    int FLT_MAX_EXP
    int LDBL_MANT_DIG
    int LDBL_MAX_EXP

cdef extern from *:
    # Then NumPy's scalars of one are as good as those of the other.
    bint LONGDOUBLE_IS_DOUBLE "(LDBL_MANT_DIG == DBL_MANT_DIG)"

cdef extern from "math.h":
    float ldexpf(float x, int exponent)
    long double ldexpl(long double x, int exponent)

cdef extern from "Python.h":
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
        or (LONGDOUBLE_IS_DOUBLE and PyObject_TypeCheck(value, &PyLongDoubleArrType_Type))
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
    if LONGDOUBLE_IS_DOUBLE:
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
    if (
        PyObject_TypeCheck(value, &PyCFloatArrType_Type)
        or (LONGDOUBLE_IS_DOUBLE and PyObject_TypeCheck(value, &PyCLongDoubleArrType_Type))
    ):
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
