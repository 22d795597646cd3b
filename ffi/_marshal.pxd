# Python value <-> C value, by the declared C type: the only place where values convert.
# Errors name what was expected and what came; callers put the function and argument in front.

from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check, PyFloat_FromDouble
from libc.math cimport isinf
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from libc.string cimport memcpy

from ffi cimport _types
from ffi._buffers cimport Keepers
from ffi._scalars cimport load_bits, out_of_range, store_bits, to_double, to_int64, to_uint64
from ffi._types cimport Type


cdef object load_other(Type type, const char *data)
cdef int store_other(Type type, char *data, object value, Keepers keepers) except -1
cdef void swap_bytes(Type type, char *data) noexcept
cdef bint same_value(Type type, const char *left, const char *right) noexcept

# How pointers are stored where they are typed: where the keepers have places.
ctypedef int (*pointer_store)(
    Type type, char *data, object value, Keepers keepers
) except -1
cdef void set_pointer_store(pointer_store function) noexcept


cdef inline object load(Type type, const char *data):
    # `data` may be unaligned.
    cdef int8_t i8
    cdef uint8_t u8
    cdef int16_t i16
    cdef uint16_t u16
    cdef int32_t i32
    cdef uint32_t u32
    cdef int64_t i64
    cdef uint64_t u64
    cdef float f
    cdef double d
    cdef int code = type.code
    if code == _types.INT32:
        memcpy(&i32, data, sizeof(i32))
        return i32
    if code == _types.DOUBLE:
        memcpy(&d, data, sizeof(d))
        return PyFloat_FromDouble(d)
    if code == _types.INT64:
        memcpy(&i64, data, sizeof(i64))
        return i64
    if code == _types.UINT64:
        memcpy(&u64, data, sizeof(u64))
        return u64
    if code == _types.UINT32:
        memcpy(&u32, data, sizeof(u32))
        return u32
    if code == _types.FLOAT:
        memcpy(&f, data, sizeof(f))
        return PyFloat_FromDouble(f)
    if code == _types.INT8:
        memcpy(&i8, data, sizeof(i8))
        return i8
    if code == _types.UINT8:
        memcpy(&u8, data, sizeof(u8))
        return u8
    if code == _types.INT16:
        memcpy(&i16, data, sizeof(i16))
        return i16
    if code == _types.UINT16:
        memcpy(&u16, data, sizeof(u16))
        return u16
    return load_other(type, data)


cdef inline int store(Type type, char *data, object value, Keepers keepers) except -1:
    # `data` may be unaligned; a scalar that does not fit writes nothing. `keepers`: see
    # `store_address`.
    cdef int8_t i8
    cdef uint8_t u8
    cdef int16_t i16
    cdef uint16_t u16
    cdef int32_t i32
    cdef uint32_t u32
    cdef int64_t i64
    cdef uint64_t u64
    cdef float f
    cdef double d
    cdef int code = type.code
    if code == _types.INT32:
        i64 = to_int64(code, value)
        i32 = <int32_t>i64
        if i32 != i64:
            return out_of_range(code, i64)
        memcpy(data, &i32, sizeof(i32))
    elif code == _types.DOUBLE:
        d = PyFloat_AS_DOUBLE(value) if PyFloat_Check(value) else to_double(code, value)
        memcpy(data, &d, sizeof(d))
    elif code == _types.INT64:
        i64 = to_int64(code, value)
        memcpy(data, &i64, sizeof(i64))
    elif code == _types.UINT64:
        u64 = to_uint64(code, value)
        memcpy(data, &u64, sizeof(u64))
    elif code == _types.UINT32:
        u64 = to_uint64(code, value)
        u32 = <uint32_t>u64
        if u32 != u64:
            return out_of_range(code, u64)
        memcpy(data, &u32, sizeof(u32))
    elif code == _types.FLOAT:
        d = PyFloat_AS_DOUBLE(value) if PyFloat_Check(value) else to_double(code, value)
        f = <float>d
        if isinf(f) and not isinf(d):
            return out_of_range(code, value)
        memcpy(data, &f, sizeof(f))
    elif code == _types.INT8:
        i64 = to_int64(code, value)
        i8 = <int8_t>i64
        if i8 != i64:
            return out_of_range(code, i64)
        memcpy(data, &i8, sizeof(i8))
    elif code == _types.UINT8:
        u64 = to_uint64(code, value)
        u8 = <uint8_t>u64
        if u8 != u64:
            return out_of_range(code, u64)
        memcpy(data, &u8, sizeof(u8))
    elif code == _types.INT16:
        i64 = to_int64(code, value)
        i16 = <int16_t>i64
        if i16 != i64:
            return out_of_range(code, i64)
        memcpy(data, &i16, sizeof(i16))
    elif code == _types.UINT16:
        u64 = to_uint64(code, value)
        u16 = <uint16_t>u64
        if u16 != u64:
            return out_of_range(code, u64)
        memcpy(data, &u16, sizeof(u16))
    else:
        return store_other(type, data, value, keepers)
    return 0
