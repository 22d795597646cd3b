# The description of C types that every other module reads.

from ffi cimport libffi


cdef enum Code:
    VOID
    BOOL
    CHAR
    INT8
    UINT8
    INT16
    UINT16
    INT32
    UINT32
    INT64
    UINT64
    POINTER
    FLOAT
    DOUBLE
    LONGDOUBLE
    COMPLEX_FLOAT
    COMPLEX_DOUBLE
    COMPLEX_LONGDOUBLE
    STRUCT
    UNION
    ARRAY
    # From here on there are no values.
    OPAQUE
    FUNCTION


cdef inline bint is_integral(int code) noexcept nogil:
    # The results that libffi widens to ffi_arg.
    return BOOL <= code <= POINTER


cdef inline bint is_signed(int code) noexcept nogil:
    return (
        code == INT8 or code == INT16 or code == INT32 or code == INT64
        or (code == CHAR and (<char>-1) < 0)
    )


cdef inline const char *address_format() noexcept:
    # Of buffers of addresses: the code of size_t that NumPy and typed memoryviews know.
    return b"L" if sizeof(long) == sizeof(size_t) else (b"Q" if sizeof(size_t) == 8 else b"I")


cdef class Type:
    cdef readonly str name
    cdef readonly Py_ssize_t size
    cdef readonly Py_ssize_t alignment
    cdef readonly tuple fields
    cdef readonly tuple bits            # None without bit-fields
    cdef readonly Type target           # what a pointer points at, `void` for any; else None
    cdef readonly bint const            # whether that is const
    cdef readonly str tag               # of an opaque type; else None
    cdef readonly object prototype      # of a function type; else None
    cdef readonly Type definition       # of an opaque type that was defined later; else None
    cdef int code
    cdef Type item                      # of an array
    cdef Py_ssize_t length              # of an array
    cdef libffi.ffi_type *ffi           # NULL for what libffi cannot describe
    cdef libffi.ffi_type aggregate
    cdef libffi.ffi_type **elements
    cdef Type half                      # of a long array: what `elements` points at
    cdef object _dtype
    # ABI identity: the type's own part of it, and the types it is made of.
    cdef tuple key
    cdef tuple parts
    cdef object identity                # one object for all that are ABI-identical
    cdef Py_hash_t hash
    cdef int depth                      # nesting of aggregates and pointers
    cdef Py_ssize_t leaves              # members of members, all counted
    cdef bint has_union                 # is one or has one among its members
    cdef bint has_bits                  # has a bit-field, or one among its members has
    cdef bint has_pointer               # is one or has one among its members
    cdef dict indices                   # of the fields, by name; None without fields
    # Of unnamed bit-fields: (bits from the start of the aggregate to it, its width).
    cdef tuple padding
    cdef tuple declared                 # (name, Type, width) of all members, if `bits` is a tuple
    cdef tuple anonymous                # the names given here to members without one, or None
    # Of the members of anonymous members: their place, an index for each level. Or None.
    cdef dict promoted
    cdef Type underlying                # of an enum: the integer type
    # If `has_bits`, what Python gets: a struct of all members, bit-fields as whole integers.
    cdef Type value


cdef inline Type defined(Type type):
    # What a pointer points at, where that is an opaque type which was defined later.
    return type if type.definition is None else type.definition


cdef dict BY_SPELLING                   # the scalar types by their names, and as C spells them
cdef dict BY_DTYPE                      # those that have a dtype of their own
cdef bint IS_BIG_ENDIAN

cdef Type new_type(int code, str name, Py_ssize_t size, Py_ssize_t alignment, dtype)
cdef Type set_key(Type self, tuple key, tuple parts)
cdef int check_has_values(Type type) except -1
cdef str type_name(value)
cdef str describe(value)
cdef str shorten(value)
