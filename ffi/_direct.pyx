"""Calls and closures without libffi, on the platforms whose calling convention is known here.

A signature becomes a plan; what a plan is and how it is followed stands in C: see
`_direct_plan.h`. This module tells C what types consist of.
"""

import os

from ffi.errors import FFINotImplementedError

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport calloc, free

from ffi cimport _types
from ffi._types cimport Type

cdef extern from "_direct.h":
    enum:
        DIRECT_THUNKS
        DIRECT_LONGEST_SPLIT
        DIRECT_IS_KNOWN_ABI
        DIRECT_AARCH64

    enum direct_code:
        DIRECT_VOID
        DIRECT_INT8
        DIRECT_UINT8
        DIRECT_INT16
        DIRECT_UINT16
        DIRECT_INT32
        DIRECT_UINT32
        DIRECT_WORD
        DIRECT_FLOAT
        DIRECT_DOUBLE
        DIRECT_LONGDOUBLE
        DIRECT_COMPLEX_LONGDOUBLE
        DIRECT_AGGREGATE
        DIRECT_BEGIN
        DIRECT_END

    ctypedef struct direct_part:
        direct_code code
        uint32_t offset
        uint32_t size

    ctypedef struct direct_type:
        size_t size
        size_t alignment
        direct_code code
        direct_part *parts
        size_t part_count

    handler direct_handle
    direct_plan *direct_plan_new(
        const direct_type *result, const direct_type *arguments, size_t count, int *out_of_memory
    )
    bint direct_plans_agree(const direct_plan *one, const direct_plan *other)
    void direct_invoke(char *frame, void *fn, size_t stack_words, uint32_t flags) nogil
    void direct_call(const direct_plan *plan, void *fn, void *rvalue, void **avalues) nogil
    void *direct_thunk(size_t index)
    void direct_bind(size_t index, const direct_plan *plan, void *data)


# For debugging: everything through libffi.
cdef bint ENABLED = DIRECT_IS_KNOWN_ABI and os.environ.get("FFI_NO_DIRECT", "0") in ("", "0")

INVOKE_FRAME = direct_invoke
MAX_THUNKS = DIRECT_THUNKS
cdef Py_ssize_t thunks_taken = 0


cdef direct_plan *make_plan(Type rtype, tuple arguments) except? NULL:
    cdef Type type
    if not ENABLED:
        return NULL
    for type in {rtype, *arguments}:
        if type.has_bits:
            check_readings(type)
    return read_plan(rtype, arguments, GCC)


cdef int check_readings(Type type) except -1:
    # As a result: the plan of an argument may be the same because no register is left.
    cdef direct_plan *gcc = NULL
    cdef direct_plan *clang = NULL
    cdef bint same
    try:
        gcc = read_plan(type, (), GCC)
        clang = read_plan(type, (), CLANG)
        same = direct_plans_agree(gcc, clang)
    finally:
        free(gcc)
        free(clang)
    if not same:
        raise FFINotImplementedError(
            f"compilers disagree on how {type.name} with its unnamed bit-fields is passed by value"
        )
    return 0


cdef direct_plan *read_plan(Type rtype, tuple arguments, Reading reading) except? NULL:
    cdef direct_plan *plan = NULL
    cdef Py_ssize_t i, count = len(arguments)
    cdef int out_of_memory = False
    # Where each type is described; most signatures have few.
    cdef dict places = {}
    cdef direct_type *types = <direct_type *>calloc(count + 1, sizeof(direct_type))
    if types is NULL:
        raise MemoryError
    try:
        for i, type in enumerate((*arguments, rtype)):
            if id(type) in places:
                types[i] = types[<Py_ssize_t>places[id(type)]]
            else:
                places[id(type)] = i
                describe(type, &types[i], reading)
        plan = direct_plan_new(&types[count], types, count, &out_of_memory)
        if out_of_memory:
            raise MemoryError
    finally:
        for i in places.values():
            free(types[i].parts)
        free(types)
    return plan


cdef void call_direct(
    const direct_plan *plan, void *fn, void *rvalue, void **avalues
) noexcept nogil:
    direct_call(plan, fn, rvalue, avalues)


cdef void *take_thunk(const direct_plan *plan, void *data) noexcept:
    global thunks_taken
    if thunks_taken == MAX_THUNKS:
        return NULL
    direct_bind(thunks_taken, plan, data)
    thunks_taken += 1
    return direct_thunk(thunks_taken - 1)


cdef void set_handler(handler function) noexcept:
    global direct_handle
    direct_handle = function


# --- what a type consists of

# Whether an unnamed bit-field, which holds nothing, counts as an integer member, is read from the
# ABIs in two ways. (gcc before 12.1 had a third for those of no bits beside floats.)
cdef enum Reading:
    GCC
    CLANG


cdef bint counts(Reading reading, Type type, int64_t width) noexcept:
    if reading == GCC:
        return width > 0 or type.code == _types.UNION
    # clang before 16 counts those of no bits in structs too, later ones do not.
    return DIRECT_AARCH64 and not (width == 0 and type.code == _types.UNION)


cdef int describe(Type type, direct_type *described, Reading reading) except -1:
    cdef list parts = []
    cdef Py_ssize_t i
    described.size = type.size
    described.alignment = type.alignment
    described.code = <direct_code>code_of(type)
    if type.code != _types.VOID and type.size <= DIRECT_LONGEST_SPLIT:
        add_parts(parts, type, 0, reading)
    parts.append((<int>DIRECT_END, 0, 0))
    described.parts = <direct_part *>calloc(len(parts), sizeof(direct_part))
    if described.parts is NULL:
        raise MemoryError
    described.part_count = len(parts)
    for i, (code, offset, size) in enumerate(parts):
        described.parts[i].code = <direct_code><int>code
        described.parts[i].offset = offset
        described.parts[i].size = size
    return 0


cdef int code_of(Type type) noexcept:
    cdef int code = type.code
    if code == _types.VOID:
        return DIRECT_VOID
    if code == _types.COMPLEX_LONGDOUBLE:
        return DIRECT_COMPLEX_LONGDOUBLE
    if code >= _types.COMPLEX_FLOAT:
        # Complex numbers of two floats or doubles are passed as if they were structs.
        return DIRECT_AGGREGATE
    if code == _types.LONGDOUBLE:
        return DIRECT_LONGDOUBLE
    if code == _types.DOUBLE:
        return DIRECT_DOUBLE
    if code == _types.FLOAT:
        return DIRECT_FLOAT
    if type.size == 8:
        return DIRECT_WORD
    if type.size == 4:
        return DIRECT_INT32 if _types.is_signed(code) else DIRECT_UINT32
    if type.size == 2:
        return DIRECT_INT16 if _types.is_signed(code) else DIRECT_UINT16
    return DIRECT_INT8 if _types.is_signed(code) else DIRECT_UINT8


cdef int add_parts(list parts, Type type, Py_ssize_t offset, Reading reading) except -1:
    cdef Py_ssize_t i
    if type.code == _types.STRUCT or type.code == _types.UNION:
        parts.append((<int>DIRECT_BEGIN, 0, 0))
        add_members(parts, type, offset, reading)
        parts.append((<int>DIRECT_END, 0, 0))
    elif type.code == _types.ARRAY:
        for i in range(type.length):
            add_parts(parts, type.item, offset + i * type.item.size, reading)
    elif type.code == _types.COMPLEX_FLOAT:
        add_pair(parts, DIRECT_FLOAT, offset, type.size // 2)
    elif type.code == _types.COMPLEX_DOUBLE:
        add_pair(parts, DIRECT_DOUBLE, offset, type.size // 2)
    elif type.code == _types.COMPLEX_LONGDOUBLE:
        add_pair(parts, DIRECT_LONGDOUBLE, offset, type.size // 2)
    else:
        parts.append((code_of(type), offset, type.size))
    return 0


cdef int add_members(list parts, Type type, Py_ssize_t offset, Reading reading) except -1:
    cdef Type member
    if type.bits is None:
        for _, member, start in type.fields:
            add_parts(parts, member, offset + <Py_ssize_t>start, reading)
        return 0
    named, unnamed = iter(zip(type.fields, type.bits)), iter(type.padding)
    for name, member, _ in type.declared:
        if name is None:
            start, width = next(unnamed)
            if reading == GCC and is_like_integer(type, start, width):
                parts.append((<int>DIRECT_UINT8, offset + <Py_ssize_t>start // 8, mode_size(width)))
            elif counts(reading, type, width):
                add_bits(parts, 8 * offset + <Py_ssize_t>start, max(width, 1))
            continue
        (_, _, start), bits = next(named)
        if bits is None:
            add_parts(parts, member, offset + <Py_ssize_t>start, reading)
        else:
            shift, width = bits
            add_bits(parts, 8 * (offset + <Py_ssize_t>start) + <Py_ssize_t>shift, width)
    return 0


cdef bint is_like_integer(Type type, int64_t start, int64_t width) noexcept:
    # To gcc an unnamed bit-field that looks like a whole integer is one, and any in a union; as it
    # does not align the struct around it, an outer struct may leave it unaligned.
    return type.code == _types.UNION or (
        width > 0 and width == 8 * mode_size(width) and start % width == 0
    )


cdef int mode_size(int64_t width) noexcept:
    return 1 if width <= 8 else 2 if width <= 16 else 4 if width <= 32 else 8


cdef int add_pair(list parts, int code, Py_ssize_t offset, Py_ssize_t size) except -1:
    parts.append((code, offset, size))
    parts.append((code, offset + size, size))
    return 0


cdef int add_bits(list parts, Py_ssize_t start, Py_ssize_t width) except -1:
    # As bytes; both ABIs count bits from the least significant one on.
    cdef Py_ssize_t i
    for i in range(start // 8, (start + width - 1) // 8 + 1):
        parts.append((<int>DIRECT_UINT8, i, 1))
    return 0
