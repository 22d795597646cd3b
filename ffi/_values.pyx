"""C values in memory, and what keeps the memory.

Pointers, records and arrays that lie in the same memory hold one object for it, their root: the
`Memory` that ends it, or else the pointer or record that was there first. What was assigned to
pointers in the memory is kept by the root.

No C function is called here but the destructors of `gc`.
"""

from ffi.errors import FFITypeError, FFIValueError

cimport cython
cimport numpy as cnp
from cpython.object cimport PyObject
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from ffi cimport _marshal, _types, libffi
from ffi._arrays cimport store_pointee
from ffi._buffers cimport (
    AddressHolder, CodePointer, Keepers, held_address, hold, root_of, settle, to_address,
)
from ffi._memory cimport check_extent, new_view
from ffi._spare cimport make_collectable
from ffi._types cimport Type, defined, shorten

cnp.import_array()

cdef extern from "Python.h":
    void PyErr_SetObject(object type, object value)
    void PyErr_WriteUnraisable(object where)

cdef extern from "_platform.h":
    bint interpreter_is_running() nogil

cdef enum:
    # Values up to this size are converted on the C stack.
    STACK_BYTES = 64

# The classes stand above.
cdef PointerMaker new_pointer = NULL
cdef RecordViewer view_record = NULL
cdef RecordCopier copy_record = NULL


cdef void set_pointer_maker(PointerMaker maker) noexcept:
    global new_pointer
    new_pointer = maker


cdef void set_record_makers(RecordViewer viewer, RecordCopier copier) noexcept:
    global view_record, copy_record
    view_record = viewer
    copy_record = copier


# --- memory that ends

# Memory may hold other memory, and so on: C's stack must not end before they do.
@cython.trashcan(True)
@cython.no_gc_clear  # the destructor may need what this holds
@cython.final
cdef class Memory(AddressHolder):
    """Memory that is freed, or given to a destructor, when nothing holds it any more."""

    def __del__(self):
        # The garbage collector has cleared nothing yet, but keeps no order.
        if self.dependents:
            self.is_waiting = True
        else:
            end(self)

    def __dealloc__(self):
        # Of what was waiting for each other, or came back to life while it waited.
        if not self.has_ended and self.destructor is not None:
            end(self)
        free(self.block)


cdef int end(Memory memory) except -1:
    """Call the destructor, and those of the memory that waited for this."""
    cdef list pending
    cdef list held
    if memory.destructor is None and memory.owner is None and memory.kept is None:
        memory.has_ended = True
        return 0
    pending = [memory]
    while pending:
        memory = pending.pop()
        if memory.has_ended:
            continue
        if memory.destructor is not None:
            if interpreter_is_running():
                destroy(memory)
            memory.value = 0
        held = [memory.owner]
        if memory.kept is not None:
            held += [kept for kept, _ in memory.kept.values()]
        for kept in held:
            count_dependent(memory, kept, -1)
            if isinstance(kept, Memory) and (<Memory>kept).is_waiting:
                if (<Memory>kept).dependents == 0:
                    pending.append(kept)
        memory.has_ended = True
    return 0


cdef void count_dependent(AddressHolder holder, object held, int change) noexcept:
    if isinstance(holder, Memory) and isinstance(held, Memory):
        if not (<Memory>holder).has_ended:
            (<Memory>held).dependents += change


cdef Memory allocate(Py_ssize_t nbytes):
    cdef Memory self = Memory.__new__(Memory)
    # Zeros, aligned for every C type.
    self.block = calloc(1, nbytes)
    if self.block is NULL:
        raise MemoryError
    self.value = <uintptr_t>self.block
    self.nbytes = nbytes
    return self


cdef int destroy(Memory memory) except -1:
    cdef object destructor = memory.destructor
    cdef void *code
    memory.destructor = None
    try:
        if callable(destructor):
            call_typed_destructor(
                destructor, new_pointer(memory.type, memory.value, memory.owner)
            )
        else:
            if isinstance(destructor, CodePointer):
                code = (<CodePointer>destructor).code
            else:
                code = <void *>to_address(destructor)
            call_destructor(code, <void *>memory.value)
    except BaseException as exc:
        # The hook is given the current exception, and a caught one is not current.
        PyErr_SetObject(type(exc), exc)
        PyErr_WriteUnraisable(destructor)
    return 0


cdef TypedCall call_typed_destructor = NULL
cdef PointerMaker make_function_at = NULL


cdef void set_function_makers(TypedCall destructor, PointerMaker maker) noexcept:
    global call_typed_destructor, make_function_at
    call_typed_destructor = destructor
    make_function_at = maker


cdef void call_destructor(void *code, void *address) noexcept:
    with nogil:
        (<void (*)(void *) noexcept nogil>code)(address)


cdef Py_ssize_t bytes_left(Memory memory, uintptr_t address) noexcept:
    if memory.nbytes >= 0 and memory.value <= address <= memory.value + memory.nbytes:
        return memory.value + memory.nbytes - address
    return -1


# --- addresses

cdef int check_writable(AddressHolder holder) except -1:
    if holder.readonly:
        what = "what it points at" if holder.type.target is not None else "the record"
        raise FFITypeError(f"{what} is const")
    return 0


cdef bint is_byte(Type type) noexcept:
    return type.code == _types.CHAR or type.code == _types.UINT8 or type.code == _types.INT8


cdef uintptr_t address_as(Type wanted, AddressHolder value) except 0:
    cdef Type target = defined(wanted.target)
    cdef Type given = defined(value.type if value.type.target is None else value.type.target)
    if value.readonly and not wanted.const:
        raise FFITypeError(f"expected {wanted.name}, got {value!r}, which is const")
    if (
        target is not given and target.code != _types.VOID and given.code != _types.VOID
        and not (is_byte(target) and is_byte(given)) and not is_same_target(target, given)
    ):
        hint = f"; its cast({wanted.name!r}) will do" if value.type.target is not None else ""
        if target.code == given.code == _types.OPAQUE:
            hint = ""
        raise FFITypeError(f"expected {wanted.name}, got {value!r}{hint}")
    return held_address(value)


cdef void *code_for(Type wanted, CodePointer value) except NULL:
    if value.code is NULL:
        raise FFIValueError(f"{shorten(value)} has no code")
    if not is_code_for(wanted, value):
        raise FFITypeError(f"expected {wanted.name}, got {shorten(value)}")
    return value.code


cdef bint is_code_for(Type wanted, CodePointer value) except -1:
    if wanted.target.code != _types.FUNCTION:
        return wanted.target.code == _types.VOID
    cif = getattr(value, "cif", None)
    prototype = wanted.target.prototype
    return (
        cif is not None and cif.abi == <int>libffi.FFI_DEFAULT_ABI
        and cif.rtype == prototype.rtype
        and cif.atypes == tuple([parameter.type for parameter in prototype.parameters])
        and (cif.variadic is not None) == prototype.variadic
    )


cdef bint is_same_target(Type one, Type other) except -1:
    # What one library defines may be opaque to another one, as in C to another source file.
    if one.code == _types.OPAQUE and other.indices is not None:
        return one.tag == other.name
    if other.code == _types.OPAQUE and one.indices is not None:
        return other.tag == one.name
    return one == other


# --- values

cdef object load_at(AddressHolder root, Type type, char *data, bint readonly):
    """The value in memory that `root` keeps; structs, unions and arrays are not copied."""
    cdef cnp.ndarray array
    cdef object owner = root
    cdef uintptr_t address
    if type.code == _types.POINTER:
        memcpy(&address, data, sizeof(address))
        if address == 0:
            return None
        if root.kept is not None:
            # C may have written another address since.
            kept, kept_address = root.kept.get(<uintptr_t>data, (None, None))
            if kept_address == address:
                owner = kept
        return at_address(type, address, owner)
    if type.indices is not None:
        return view_record(type, data, root, readonly)
    if type.code != _types.ARRAY:
        return _marshal.load(type, data)
    if type.has_bits:
        array = _marshal.load(type, data)
        cnp.PyArray_CLEARFLAGS(array, cnp.NPY_ARRAY_WRITEABLE)
        return array
    return new_view(<uintptr_t>data, type, (), readonly, root)


cdef inline object at_address(Type type, uintptr_t address, object owner):
    if type.target.code == _types.FUNCTION:
        return make_function_at(type, address, owner)
    return new_pointer(type, address, owner)


cdef object load_object(Type type, const char *data, object owner):
    cdef uintptr_t address
    if type.code == _types.POINTER:
        memcpy(&address, data, sizeof(address))
        return at_address(type, address, owner) if address else None
    if type.indices is not None:
        return copy_record(type, data)
    return None if type.code == _types.VOID else _marshal.load(type, data)


cdef Keepers new_keepers():
    cdef Keepers keepers = Keepers()
    keepers.places = []
    return keepers


cdef int store_object(Type type, char *data, object value, Keepers keepers) except -1:
    return _marshal.store(type, data, value, keepers)


cdef object code_of(Type pointer, object value):
    """What is given for a pointer, a function of Python's as one of C."""
    if (
        pointer.target.code != _types.FUNCTION or isinstance(value, CodePointer)
        or not callable(value)
    ):
        return value
    return make_callback(pointer, value)


# Filled by the module that makes callbacks.
cdef CallbackMaker make_callback = NULL


cdef void set_callback_maker(CallbackMaker maker) noexcept:
    global make_callback
    make_callback = maker


cdef int store_pointer(Type type, char *data, object value, Keepers keepers) except -1:
    cdef uintptr_t address
    value = code_of(type, value)
    if isinstance(value, AddressHolder):
        address = address_as(type, value)
        memcpy(data, &address, sizeof(address))
        # It may be released before `settle`, but not from then on.
        keepers.arrays.append((value, <uintptr_t>data))
        return hold(keepers, root_of(value), data)
    if isinstance(value, CodePointer):
        address = <uintptr_t>code_for(type, value)
        memcpy(data, &address, sizeof(address))
        return hold(keepers, value, data)
    return store_pointee(type, data, value, keepers)


_marshal.set_pointer_store(store_pointer)


cdef int set_value(AddressHolder holder, Type type, Py_ssize_t offset, object value) except -1:
    """Write a value into the memory of `holder`, nothing of it if it does not fit."""
    cdef char stack[STACK_BYTES]
    cdef char *copy = stack
    cdef char *data
    cdef Keepers keepers = new_keepers() if type.has_pointer else None
    if type.size > STACK_BYTES:
        copy = <char *>malloc(type.size)
        if copy is NULL:
            raise MemoryError
    try:
        _marshal.store(type, copy, value, keepers)
        if keepers is not None:
            settle(keepers)
        # All Python code has run.
        check_extent(holder, offset + type.size)
        data = <char *>held_address(holder) + offset
        memcpy(data, copy, type.size)
        if keepers is not None:
            remember(root_of(holder), type, data, keepers, copy)
    finally:
        if copy is not stack:
            free(copy)
    return 0


cdef int remember(
    AddressHolder root, Type type, char *data, Keepers keepers, const char *copy
) except -1:
    """Keep what the pointers at `data` point at, and what they pointed at no longer."""
    cdef uintptr_t start = <uintptr_t>data, address, place
    cdef AddressHolder record
    cdef list ended = []
    start_keeping(root)
    if type.code == _types.POINTER:
        ended.append(root.kept.pop(start, None))
    else:
        for key in [key for key in root.kept if start <= <uintptr_t>key < start + type.size]:
            ended.append(root.kept.pop(key))
    for item in ended:
        if item is not None:
            count_dependent(root, item[0], -1)
    for kept, source in zip(keepers.objects, keepers.places, strict=True):
        place = start + (<uintptr_t>source - <uintptr_t>copy)
        if isinstance(kept, tuple):
            record = kept[0]
            keep_copied(
                root, record.type, <char *>place, root_of(record), <char *>record.value
            )
        elif kept is not root:
            memcpy(&address, <char *>place, sizeof(address))
            keep_at(root, place, (kept, address))
    # What ends here may run Python code.
    ended.clear()
    return 0


cdef int start_keeping(AddressHolder root) except -1:
    if root.kept is None:
        root.kept = {}
        make_collectable(<PyObject *>root)
    return 0


cdef int keep_at(AddressHolder root, uintptr_t place, tuple kept) except -1:
    root.kept[place] = kept
    count_dependent(root, kept[0], 1)
    return 0


cdef int keep_copied(
    AddressHolder root, Type type, char *data, AddressHolder source_root, char *source
) except -1:
    """Keep what the pointers of a copied record point at."""
    cdef Py_ssize_t i
    cdef Type member
    cdef uintptr_t address
    if not type.has_pointer or root is source_root:
        pass
    elif type.code == _types.POINTER:
        memcpy(&address, data, sizeof(address))
        kept = source_root, address
        if source_root.kept is not None:
            kept = source_root.kept.get(<uintptr_t>source, kept)
        if address and kept[1] == address:
            start_keeping(root)
            keep_at(root, <uintptr_t>data, kept)
    elif type.code == _types.ARRAY:
        for i in range(type.length):
            keep_copied(
                root, type.item, data + i * type.item.size, source_root,
                source + i * type.item.size,
            )
    else:
        for _, member, offset in type.fields:
            keep_copied(
                root, member, data + <Py_ssize_t>offset, source_root, source + <Py_ssize_t>offset
            )
    return 0
