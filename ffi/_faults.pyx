"""Signatures that libffi gets wrong on this platform: refused before anything is called.

Each rule names the fault. Where a call can tell whether the libffi in use has it, one does. The
rules of which arguments take which registers are those of the System V psABI for x86-64, section
3.2.3, and of the AAPCS64, section 6.8.
"""

from ffi.errors import FFINotImplementedError

from ffi cimport _types, libffi
from ffi._layouts cimport innermost
from ffi._types cimport Type


cdef extern from "_faults.h":
    bint MACHINE_IS_X86_64
    bint MACHINE_IS_AARCH64
    bint lends_storage()
    bint loses_vector_register()
    bint reads_past_arguments()


cdef enum EightbyteClass:
    # The classes that matter here; merging takes the greater one.
    NO_CLASS
    SSE
    INTEGER
    MEMORY

cdef enum:
    INTEGER_REGISTERS = 6
    VECTOR_REGISTERS = 8


cdef struct Registers:
    int integer
    int vector


cdef bint LENDS_STORAGE = lends_storage()
cdef bint LOSES_VECTOR_REGISTER = loses_vector_register()
READS_PAST_ARGUMENTS = reads_past_arguments()


cdef int check_faults(int abi, Type rtype, tuple atypes) except -1:
    """Raise NotImplementedError for a signature that a call or closure would get wrong."""
    cdef Type atype
    if abi != libffi.FFI_DEFAULT_ABI:
        check_other_abi(rtype)
        for atype in atypes:
            check_other_abi(atype)
            if atype.code == _types.STRUCT and atype.size not in (1, 2, 4, 8):
                raise FFINotImplementedError(
                    f"libffi passes {atype.name} by reference to the caller's own storage in this "
                    "ABI; pass its address as ffi.types.pointer"
                )
        return 0
    if LENDS_STORAGE:
        for atype in atypes:
            if atype.code == _types.STRUCT and atype.size > 16:
                raise FFINotImplementedError(
                    f"this libffi passes {atype.name} by reference to the caller's own storage; "
                    "pass its address as ffi.types.pointer, or use libffi 3.4.3 or newer"
                )
    if MACHINE_IS_X86_64:
        if rtype.code == _types.STRUCT and innermost(rtype).code == _types.LONGDOUBLE:
            raise FFINotImplementedError(
                f"libffi loses the result of a function that returns {rtype.name}: it leaves the "
                "long double of a struct in the x87 register"
            )
        if LOSES_VECTOR_REGISTER:
            check_vector_register(rtype, atypes)
    elif MACHINE_IS_AARCH64:
        check_spilled_reference(atypes)
    return 0


cdef int check_other_abi(Type type) except -1:
    # Compilers disagree about these outside of the platform's own convention, and libffi aborts
    # on a long double result in win64.
    if has_wide_scalar(type):
        raise FFINotImplementedError(f"{type.name} by value is only supported in the default ABI")
    return 0


cdef bint has_wide_scalar(Type type) except -1:
    if type.code == _types.STRUCT:
        return any([has_wide_scalar(member) for _, member, _ in type.fields])
    if type.code == _types.ARRAY:
        return has_wide_scalar(type.item)
    return _types.LONGDOUBLE <= type.code <= _types.COMPLEX_LONGDOUBLE


# --- AArch64: which registers a signature takes

cdef int check_spilled_reference(tuple atypes) except -1:
    # An address of a struct that finds no register: libffi aligns it like the struct, and before
    # 3.7.1 it has no room for it.
    cdef Type atype
    cdef int integers = 0, vectors = 0, parts, base
    for atype in atypes:
        parts = base = 0
        if count_parts(atype, &parts, &base) and parts <= 4:
            vectors = vectors + parts if vectors + parts <= 8 else 8
            continue
        if atype.size > 16:
            if integers == 8:
                raise FFINotImplementedError(
                    f"libffi misplaces the address of {atype.name}, which finds no integer "
                    "register: it has more than 16 bytes and follows eight integer arguments"
                )
            integers += 1
        else:
            integers = min(8, integers + <int>((atype.size + 7) // 8))
    return 0


cdef bint count_parts(Type type, int *parts, int *base) noexcept:
    # Whether all leaves are of one floating-point type, and how many they are; stops at five.
    cdef int code = type.code
    if code == _types.STRUCT:
        for _, member, _ in type.fields:
            if not count_parts(member, parts, base):
                return False
        return True
    if code == _types.ARRAY:
        for _ in range(min(type.length, 5)):
            if not count_parts(type.item, parts, base):
                return False
        return True
    if _types.COMPLEX_FLOAT <= code <= _types.COMPLEX_LONGDOUBLE:
        parts[0] += 1
        code -= _types.COMPLEX_FLOAT - _types.FLOAT
    elif not _types.FLOAT <= code <= _types.LONGDOUBLE:
        return False
    parts[0] += 1
    if base[0] == 0:
        base[0] = code
    return base[0] == code


# --- x86-64: which registers a signature takes

cdef int check_vector_register(Type rtype, tuple atypes) except -1:
    cdef Registers used, needed
    cdef EightbyteClass classes[2]
    cdef Type atype
    used.integer = used.vector = 0
    if rtype.code == _types.STRUCT:
        classify(rtype, classes)
        # The address of a result in memory is the first integer argument.
        used.integer = classes[0] == MEMORY
    for atype in atypes:
        classify(atype, classes)
        if classes[0] == MEMORY:
            continue
        needed.integer = (classes[0] == INTEGER) + (classes[1] == INTEGER)
        needed.vector = (classes[0] == SSE) + (classes[1] == SSE)
        if (
            used.integer + needed.integer > INTEGER_REGISTERS
            or used.vector + needed.vector > VECTOR_REGISTERS
        ):
            continue
        if (
            classes[0] == INTEGER and classes[1] == SSE
            and used.integer == INTEGER_REGISTERS - 1 and used.vector > 0
        ):
            raise FFINotImplementedError(
                f"this libffi loses a floating-point argument that comes before {atype.name} "
                "after five integer arguments (libffi issue 574, fixed in 3.4.7)"
            )
        used.integer += needed.integer
        used.vector += needed.vector
    return 0


cdef void classify(Type type, EightbyteClass *classes) noexcept:
    classes[0] = classes[1] = NO_CLASS
    if type.size > 16:
        classes[0] = MEMORY
    else:
        merge(type, 0, classes)
        if classes[1] == MEMORY:
            classes[0] = MEMORY


cdef void merge(Type type, Py_ssize_t offset, EightbyteClass *classes) noexcept:
    cdef EightbyteClass leaf
    cdef Py_ssize_t i
    if type.code == _types.STRUCT:
        for _, member, member_offset in type.fields:
            merge(member, offset + <Py_ssize_t>member_offset, classes)
    elif type.code == _types.ARRAY:
        for i in range(type.length):
            merge(type.item, offset + i * type.item.size, classes)
    else:
        if _types.is_integral(type.code):
            leaf = INTEGER
        elif type.code == _types.LONGDOUBLE or type.code == _types.COMPLEX_LONGDOUBLE:
            leaf = MEMORY
        else:
            leaf = SSE
        # A complex number may reach into the second eightbyte.
        for i in range(offset // 8, (offset + type.size + 7) // 8):
            classes[i] = max(classes[i], leaf)
