"""The general way of a typed call: any arguments, by any path, in storage of their own."""

from ffi.errors import Error, located

cimport numpy as cnp
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from ffi cimport _marshal, _types
from ffi._arrays cimport borrow_pointee, examine_pointee
from ffi._buffers cimport (
    NOTHING, AddressHolder, Borrowed, CodePointer, Keepers, give_back, hold, root_of, settle,
)
from ffi._cif cimport CIF, result_at
from ffi._core cimport invoke
from ffi._frames cimport Thread, current_thread, swap_in, swap_out
from ffi._signature cimport Signature, argument_name
from ffi._types cimport Type
from ffi._values cimport address_as, load_object, new_keepers, store_object

cnp.import_array()

cdef extern from "alloca.h":
    void *alloca(size_t size) nogil

cdef enum:
    # Arguments and results of more bytes are not made on the C stack.
    MAX_STORAGE = 4096


cdef object call_generally(
    Signature self, void *code, bint release_gil, PyObject **args, object owner
):
    cdef CIF cif = self.cif
    cdef size_t result_size = (max(cif.rtype.size, 16) + 15) // 16 * 16
    cdef size_t size = result_size + cif.packed_size
    cdef char *storage
    cdef char *local = NULL
    cdef Borrowed *held
    cdef Py_ssize_t i, index = 0, held_count = 0
    cdef bint converting = True
    cdef void **pointers
    cdef Keepers keepers = new_keepers()
    cdef Type fixed
    if size <= MAX_STORAGE:
        storage = <char *>alloca(size)
    else:
        storage = local = <char *>malloc(size)
        if storage is NULL:
            raise MemoryError
    held = <Borrowed *>calloc(self.count + 1, sizeof(Borrowed))
    if held is NULL:
        free(local)
        raise MemoryError
    memset(storage, 0, size)
    pointers = <void **>(storage + result_size)
    try:
        for i in range(<Py_ssize_t>cif.nargs):
            pointers[i] = <char *>pointers + cif.offsets[i]
        for i in range(self.count, self.count + self.fixed_count):
            fixed = self.cif.arguments[self.steps[i].argument]
            _marshal.store(
                fixed, <char *>pointers[self.steps[i].argument],
                <int64_t>self.steps[i].fixed, None,
            )
        for i in range(self.count):
            index = i
            held_count = i + 1
            convert(
                self.atypes[i], <object>args[i], <char *>pointers[self.steps[i].argument],
                &held[i], keepers,
            )
        # No Python code runs from here on: nothing moves any more.
        settle(keepers)
        for i in range(self.count):
            index = i
            if self.steps[i].code == _types.POINTER:
                if isinstance(<object>args[i], AddressHolder):
                    held[i].data = <char *>address_as(self.atypes[i], <AddressHolder>args[i])
                else:
                    examine_pointee(self.atypes[i], &held[i])
                memcpy(pointers[self.steps[i].argument], &held[i].data, sizeof(void *))
        converting = False
        run(cif, code, release_gil, storage, pointers)
        return load_object(self.rtype, result_at(self.rtype, storage), owner)
    except Error as exc:
        if not converting:
            raise
        raise located(exc, f"{self.name}(): {argument_name(self, index)}") from exc.__cause__
    finally:
        for i in range(held_count):
            give_back(&held[i])
        free(held)
        free(local)


cdef int convert(
    Type atype, object value, char *data, Borrowed *borrowed, Keepers keepers
) except -1:
    if atype.code != _types.POINTER:
        if atype.has_pointer and isinstance(value, AddressHolder):
            hold_kept(root_of(value), keepers, data)
        store_object(atype, data, value, keepers)
        return 0
    if isinstance(value, AddressHolder):
        # Its address is read at the end: it may be released before, but not from then on.
        borrowed.holding = NOTHING
        return hold(keepers, root_of(value), data)
    if isinstance(value, CodePointer) and atype.target.code == _types.VOID:
        borrowed.data = <char *>(<CodePointer>value).code
        return 0
    return borrow_pointee(atype, value, borrowed)


cdef int hold_kept(AddressHolder root, Keepers keepers, const char *place) except -1:
    # C's copy of a record points at what the record may cease to keep meanwhile.
    if root.kept is not None:
        hold(keepers, list(root.kept.values()), place)
    return 0


cdef int run(CIF cif, void *code, bint release_gil, char *result, void **pointers) except -1:
    cdef Thread *thread = current_thread()
    if release_gil:
        with nogil:
            swap_in(thread)
            invoke(cif, code, result, pointers)
            swap_out(thread)
    else:
        swap_in(thread)
        invoke(cif, code, result, pointers)
        swap_out(thread)
    return 0
