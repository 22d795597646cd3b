"""Variadic functions: the types that C gives to the arguments behind the parameters.

They are those of C's default argument promotions.
"""

import numpy as np

from ffi._tables import types
from ffi.errors import Error, FFITypeError, located

from ffi cimport _types
from ffi._buffers cimport AddressHolder, CodePointer, is_integer
from ffi._layouts cimport pointer_to
from ffi._signature cimport Signature, to_signature
from ffi._specs cimport to_type
from ffi._types cimport Type, describe

cimport numpy as cnp

cnp.import_array()

cdef enum:
    # Beyond so many, a function's signatures are made anew.
    MAX_VARIANTS = 256

# What C passes instead of a narrow type.
cdef dict _PROMOTED = {
    np.dtype(np.bool_): types.int,
    np.dtype(np.int8): types.int,
    np.dtype(np.uint8): types.int,
    np.dtype(np.int16): types.int,
    np.dtype(np.uint16): types.int,
    np.dtype(np.float16): types.double,
    np.dtype(np.float32): types.double,
}
cdef Type _VOID_POINTER = types.pointer
cdef Type _TEXT = pointer_to(types.char, True)


cdef tuple with_added(Signature signature, tuple values):
    cdef list atypes = [], found = []
    cdef Py_ssize_t i
    for i, value in enumerate(values):
        try:
            atype, value = promote(value)
        except Error as exc:
            where = f"{signature.name}(): argument {signature.count + i}"
            raise located(exc, where) from exc.__cause__
        atypes.append(atype)
        found.append(value)
    key = tuple([(<Type>atype).name for atype in atypes]), tuple(atypes)
    made = signature.variants.get(key)
    if made is None:
        if len(signature.variants) >= MAX_VARIANTS:
            signature.variants.clear()
        made = signature.variants[key] = to_signature(signature.prototype, tuple(atypes))
    return made, tuple(found)


cdef tuple promote(object value):
    """The type that C gives to an argument, and the value."""
    cdef Type atype
    if type(value) is tuple and len(<tuple>value) == 2:
        return said_type((<tuple>value)[0]), (<tuple>value)[1]
    if isinstance(value, bool):
        return types.int, value
    if isinstance(value, (bytes, str)):
        return _TEXT, value
    if isinstance(value, np.generic) and not isinstance(value, (np.void, np.character)):
        return promote_scalar(value)
    if isinstance(value, float):
        return types.double, value
    if is_integer(value):
        return type_of_int(value), value
    if isinstance(value, AddressHolder):
        atype = (<AddressHolder>value).type
        return atype, value
    if value is None or isinstance(value, CodePointer):
        return _VOID_POINTER, value
    if isinstance(value, np.ndarray):
        return pointer_to_items(value), value
    if hasattr(type(value), "__array_interface__") or hasattr(type(value), "__dlpack__"):
        return _VOID_POINTER, value
    try:
        memoryview(value).release()
    except TypeError:
        raise FFITypeError(
            f"expected a value whose type C knows, got {describe(value)}; give (type, value)"
        ) from None
    return _VOID_POINTER, value


cdef Type said_type(object given):
    cdef Type atype = to_type(given)
    promoted = None if atype._dtype is None else _PROMOTED.get(atype._dtype)
    if atype.code == _types.CHAR:
        promoted = types.int
    if promoted is not None:
        raise FFITypeError(f"C promotes {atype.name} to {promoted.name}: give that type")
    if atype.code == _types.VOID:
        raise FFITypeError("void has no values")
    return atype


cdef Type type_of_int(object value):
    """The first type that C would give to such a number."""
    number = int(value)
    if -(2**31) <= number < 2**31:
        return types.int
    if number >= 2**63:
        return types.ulonglong
    return types.longlong


cdef tuple promote_scalar(object value):
    dtype = value.dtype
    atype = _PROMOTED.get(dtype)
    if atype is None:
        atype = to_type(dtype)
    # NumPy's bools and halves are not what C's numbers take.
    return atype, value.item() if dtype.char in "?e" else value


cdef Type pointer_to_items(object array):
    try:
        # C may write there.
        return pointer_to(to_type(array.dtype.newbyteorder("=")))
    except Error:
        return _VOID_POINTER
