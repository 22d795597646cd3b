"""New memory, and pointers that end what they point at."""

from ffi.errors import Error, FFITypeError, FFIValueError, located

cimport numpy as cnp
from libc.stdint cimport uintptr_t

from ffi cimport _types, libffi
from ffi._buffers cimport CodePointer, held_address, is_integer, root_of, to_address
from ffi._layouts cimport pointer_to
from ffi._pointers cimport Pointer, new_pointer
from ffi._specs cimport to_type
from ffi._types cimport Type, check_has_values, defined, describe, shorten
from ffi._values cimport (
    Memory, allocate, count_dependent, is_byte, is_same_target, set_value,
)

cnp.import_array()


def new(type, init=None):
    """Return a Pointer to new memory, which it owns.

    Parameters
    ----------
    type : Type, dtype, scalar type or str
        What is there: the Pointer is one to this type, or to the first item of an array type.
    init : object, optional
        The value; zeros by default. What a pointer is set to is kept alive.

    Returns
    -------
    Pointer
        The memory lives as long as this, and every array, record and pointer made of it.

    Raises
    ------
    TypeError, OverflowError
        If `type` is no type with values, or `init` no value of it.

    See Also
    --------
    gc

    Examples
    --------
    >>> p = ffi.new("int", 7)
    >>> p.type, p[0]
    (<ffi.Type int *: 8 bytes, alignment 8>, 7)
    >>> ffi.new(("double", 3)).view(3)
    array([0., 0., 0.])
    """
    cdef Type made
    cdef Memory memory
    try:
        made = to_type(type)
        check_has_values(made)
        pointer_type = pointer_to(made.item if made.code == _types.ARRAY else made)
        memory = allocate(made.size)
        memory.type = pointer_type
        if init is not None:
            set_value(memory, made, 0, init)
    except Error as exc:
        raise located(exc, "new()") from exc.__cause__
    return new_pointer(pointer_type, memory.value, memory)


def pointer_at(Type type not None, uintptr_t address, owner, Py_ssize_t nbytes):
    """Return a Pointer of this type, which keeps `owner`, to so many bytes, -1 for unknown."""
    cdef Pointer pointer = new_pointer(type, address, owner)
    pointer.nbytes = nbytes
    return pointer


def gc(pointer, destructor):
    """Return a pointer whose end calls a C destructor.

    Parameters
    ----------
    pointer : Pointer
        What the destructor is called with.
    destructor : C function
        A function of one pointer: an `int` address, a `Closure`, or a `Function`. It is held.

    Returns
    -------
    Pointer
        The same address. The destructor is called once: when this pointer, and every array, record
        and pointer made of it, is gone; by its `release`; or at the end of a ``with`` block.

    Raises
    ------
    TypeError
        If `pointer` is no Pointer, or `destructor` no C function of one such pointer.
    ValueError
        For NULL as destructor, and released pointers.

    See Also
    --------
    new

    Notes
    -----
    An exception in the destructor goes to `sys.unraisablehook`, that of a function's errcheck too.
    Destructors are not called once the interpreter is finalising; use ``with`` for what must not be
    left to that.

    A `Function` keeps its library loaded, so that it is called as a destructor even after
    `dlclose`; an address does not. What `get_errno` gives stays as it is.

    Examples
    --------
    >>> libc = ffi.dlopen(None)
    >>> cif, result = ffi.CIF("pointer", "size_t"), np.zeros(1, np.uintp)
    >>> ffi.call(cif, ffi.dlsym(libc, "malloc"), result, cif.pack(8))
    >>> p = ffi.new("pointer", int(result[0]))[0]
    >>> with ffi.gc(p, ffi.dlsym(libc, "free")) as q:
    ...     q.cast("long *")[0] = 5
    """
    cdef Memory memory
    cdef Type type
    try:
        if not isinstance(pointer, Pointer):
            raise FFITypeError(
                f"argument 'pointer': expected an ffi.Pointer, got {describe(pointer)}"
            )
        # C frees what is const with a cast, too.
        type = (<Pointer>pointer).type
        if type.const:
            type = pointer_to(type.target)
        destructor = to_destructor(destructor, type)
        memory = Memory.__new__(Memory)
        memory.type = type
        memory.value = held_address(pointer)
        memory.nbytes = (<Pointer>pointer).nbytes
        memory.owner = root_of(pointer)
        count_dependent(memory, memory.owner, 1)
        memory.destructor = destructor
    except Error as exc:
        raise located(exc, "gc()") from None
    return new_pointer((<Pointer>pointer).type, memory.value, memory)


cdef object to_destructor(object destructor, Type type):
    """A CodePointer or an address as int."""
    if isinstance(destructor, CodePointer):
        if (<CodePointer>destructor).code is NULL:
            raise FFIValueError(f"argument 'destructor': {shorten(destructor)} has no code")
        signature = getattr(destructor, "cif", destructor)
        atypes = getattr(signature, "atypes", ())
        if getattr(signature, "abi", <int>libffi.FFI_DEFAULT_ABI) != <int>libffi.FFI_DEFAULT_ABI:
            raise FFITypeError(
                f"argument 'destructor': {shorten(destructor)} has another calling convention"
            )
        if len(atypes) != 1 or not takes(atypes[0], type):
            raise FFITypeError(
                f"argument 'destructor': expected a function of one {type.name}, "
                f"got {shorten(destructor)}"
            )
        return destructor
    if not is_integer(destructor) or isinstance(destructor, bool):
        hint = ""
        if callable(destructor):
            hint = "; weakref.finalize calls Python functions"
        raise FFITypeError(
            f"argument 'destructor': expected a C function or its address, "
            f"got {describe(destructor)}{hint}"
        )
    try:
        address = to_address(destructor)
    except Error as exc:
        raise located(exc, "argument 'destructor'") from None
    if address == 0:
        raise FFIValueError("argument 'destructor': NULL is no function")
    return address


cdef bint takes(Type wanted, Type given) except -1:
    return wanted.code == _types.POINTER and (
        wanted.target.code == _types.VOID or given.target.code == _types.VOID
        or is_same_target(defined(wanted.target), defined(given.target))
        or (is_byte(wanted.target) and is_byte(given.target))
    )
