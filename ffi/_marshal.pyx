"""Python value <-> C value, by the declared C type: structs, unions, arrays, bit-fields in them.

`load` and `store` in the declaration file are the way in; `_scalars` converts what has no members.
Errors name what was expected and what came; callers put the function and argument in front.
"""

import numpy as np

from ffi.errors import Error, FFITypeError, FFIValueError, located

cimport numpy as cnp
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.complex cimport PyComplex_FromDoubles
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memset

from ffi._buffers cimport AddressHolder, Descr, Keepers, held_address, hold, store_address
from ffi._scalars cimport (
    Py_complex, copy_longdouble, longdouble_bytes, store_bool, store_char, store_complex_float,
    store_complex_longdouble, to_complex, to_longdouble, wrong_kind,
)
from ffi._types cimport check_has_values, shorten

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    # It takes a reference of the descriptor.
    cnp.ndarray PyArray_Empty(int ndim, cnp.npy_intp *dims, Descr *descr, int fortran)
    # NumPy's own declaration takes no NULL as base.
    object new_numpy_scalar "PyArray_Scalar"(void *data, Descr *descr, PyObject *base)


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
    if code == _types.VOID or code >= _types.OPAQUE:
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
    elif code == _types.VOID or code >= _types.OPAQUE:
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
            raise located(exc, f"item {i}") from exc.__cause__
    return 0


cdef int store_named(Type type, char *data, dict value, Keepers keepers) except -1:
    cdef Py_ssize_t i
    cdef set names = {name for name, _, _ in type.fields}
    cdef list unknown
    if type.promoted is not None:
        value = regroup(type, value)
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


cdef dict regroup(Type type, dict value):
    """The members of anonymous members, in dicts of their own."""
    cdef dict grouped = {}, inner = {}
    for name in value:
        index = type.promoted.get(name)
        if index is None:
            grouped[name] = value[name]
        else:
            inner.setdefault(type.fields[index][0], {})[name] = value[name]
    for name in inner:
        if name in grouped:
            first = next(iter(inner[name]))
            raise FFIValueError(f"{first!r} is a member of {name!r}, which is given, too")
        grouped[name] = inner[name]
    return grouped


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
        raise located(exc, f"member {name!r}") from exc.__cause__
    return 0


# --- bit-fields, whose values are those of `type.value`

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
