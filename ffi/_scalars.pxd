# One number, character or bit-field: what the inline functions of `_marshal` leave out.

from libc.stdint cimport int64_t, uint64_t

from ffi._types cimport Type

cdef extern from "Python.h":
    ctypedef struct Py_complex:
        double real
        double imag


# They raise.
cdef int out_of_range(int code, object value) except -1
cdef int wrong_kind(str expected, object value) except -1

# `code` is that of the C type.
cdef int64_t to_int64(int code, object value) except? -1
cdef uint64_t to_uint64(int code, object value) except? <uint64_t>-1
cdef double to_double(int code, object value) except? -1
cdef long double to_longdouble(int code, object value) except? -1
cdef Py_complex to_complex(int code, object value) except *

# What does not fit writes nothing.
cdef int store_bool(char *data, object value) except -1
cdef int store_char(char *data, object value) except -1
cdef int store_complex_float(char *data, object value) except -1
cdef int store_complex_longdouble(char *data, object value) except -1
cdef void copy_longdouble(char *data, const long double *value) noexcept
cdef size_t longdouble_bytes() noexcept     # that count

# Of a bit-field in its storage unit.
cdef object load_bits(Type type, int shift, int width, const char *data)
cdef int store_bits(Type type, int shift, int width, char *data, object value) except -1
