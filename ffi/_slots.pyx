"""The code of closures, which C may keep longer than Python keeps the closure."""

import os

from ffi.errors import Error, FFINotImplementedError, located

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free

from ffi cimport _types, libffi
from ffi._cif cimport CIF, check_libffi, check_status
from ffi._direct cimport MAX_THUNKS, handler, take_thunk
from ffi._direct cimport set_handler as set_direct_handler
from ffi._locks cimport Mutex, lock_mutex, unlock_mutex

cdef enum:
    # A dead closure's code answers at least until so many others have died.
    QUARANTINE = 1024
    QUEUES = 1024


# Dead slots, the longest dead first. Those of equal CIFs are in one queue.
cdef struct Queue:
    Slot *oldest
    Slot *newest


cdef Queue queues[QUEUES]
cdef uint64_t deaths = 0
cdef Mutex quarantine
# The process in whose memory a closure's code is shared with its forked children; None while all
# code is private, in the mapping that ends where the other two say.
cdef object sharing_process = None
cdef size_t private_start = 0
cdef size_t private_stop = 0
# What the code calls.
cdef handler handle = NULL


cdef void set_handler(handler function) noexcept:
    global handle
    handle = function
    set_direct_handler(function)


cdef void enter_libffi(
    libffi.ffi_cif *_, void *rvalue, void **avalues, void *data
) noexcept nogil:
    handle(data, rvalue, avalues)


cdef Slot *take_slot(CIF cif) except NULL:
    cdef Slot *slot = reuse(cif)
    if slot is NULL:
        slot = new_slot(cif)
    return slot


cdef Slot *reuse(CIF cif) except? NULL:
    """Take the longest dead slot of an equal CIF out of the quarantine, NULL for none."""
    cdef Slot *slot
    cdef Slot *previous = NULL
    cdef Queue *queue = queue_of(cif)
    cdef bint has_shared = is_fork_of_sharer()
    lock_mutex(&quarantine)
    try:
        slot = queue.oldest
        while slot is not NULL and deaths - slot.died >= QUARANTINE:
            if (
                (<CIF>slot.cif).hash == cif.hash and (<CIF>slot.cif).key == cif.key
                and (slot.closure is NULL or not has_shared)
            ):
                unlink(queue, previous, slot)
                return slot
            previous = slot
            slot = slot.next
    finally:
        unlock_mutex(&quarantine)
    return NULL


cdef inline Queue *queue_of(CIF cif) noexcept:
    return &queues[<size_t>cif.hash % <size_t>QUEUES]


cdef void unlink(Queue *queue, Slot *previous, Slot *slot) noexcept:
    if previous is NULL:
        queue.oldest = slot.next
    else:
        previous.next = slot.next
    if queue.newest is slot:
        queue.newest = previous
    slot.next = NULL


cdef void retire(Slot *slot) noexcept:
    global deaths
    cdef Queue *queue = queue_of(<CIF>slot.cif)
    lock_mutex(&slot.mutex)
    slot.function = NULL
    unlock_mutex(&slot.mutex)
    lock_mutex(&quarantine)
    deaths += 1
    slot.died = deaths
    if queue.newest is NULL:
        queue.oldest = slot
    else:
        queue.newest.next = slot
    queue.newest = slot
    unlock_mutex(&quarantine)


cdef Slot *new_slot(CIF cif) except NULL:
    cdef Slot *slot = <Slot *>calloc(1, sizeof(Slot))
    if slot is NULL:
        raise MemoryError
    if cif.plan is not NULL:
        lock_mutex(&quarantine)
        slot.code = take_thunk(cif.plan, slot)
        unlock_mutex(&quarantine)
    if slot.code is NULL:
        try:
            prepare_libffi(slot, cif)
        except BaseException:
            if slot.closure is not NULL:
                libffi.ffi_closure_free(slot.closure)
            free(slot)
            raise
        note_sharing(<size_t>slot.closure)
    Py_INCREF(cif)
    slot.cif = <PyObject *>cif
    slot.result_size = result_size(cif)
    return slot


cdef size_t result_size(CIF cif) noexcept:
    if cif.rtype.code == _types.VOID:
        return 0
    if _types.is_integral(cif.rtype.code):
        return max(sizeof(libffi.ffi_arg), <size_t>cif.rtype.size)
    return cif.rtype.size


cdef int prepare_libffi(Slot *slot, CIF cif) except -1:
    if is_fork_of_sharer():
        raise FFINotImplementedError(
            "this process was forked, and this libffi keeps closures in memory shared with its "
            "parent; make closures before forking, or start the process with 'spawn'"
        )
    if cif.plan is not NULL:
        try:
            check_libffi(cif)
        except Error as exc:
            raise located(exc, f"all code of {MAX_THUNKS} closures is in use, and") from None
    slot.closure = <libffi.ffi_closure *>libffi.ffi_closure_alloc(
        sizeof(libffi.ffi_closure), &slot.code
    )
    if slot.closure is NULL:
        raise MemoryError("libffi has no memory for closures")
    return check_status(
        libffi.ffi_prep_closure_loc(slot.closure, &cif.cif, enter_libffi, slot, slot.code),
        repr(cif),
    )


cdef bint is_fork_of_sharer() except -1:
    # libffi before 3.5 without static trampolines, under PR_SET_MDWE or SELinux: what a child
    # writes there, the parent executes.
    return sharing_process is not None and os.getpid() != sharing_process


cdef int note_sharing(size_t address) except -1:
    """Learn whether a closure's memory is shared; it is private where the system does not tell."""
    global sharing_process, private_start, private_stop
    if sharing_process is not None or private_start <= address < private_stop:
        return 0
    try:
        maps = open("/proc/self/maps")
    except OSError:
        return 0
    with maps:
        for line in maps:
            bounds, permissions = line.split(maxsplit=2)[:2]
            start, stop = [int(bound, 16) for bound in bounds.split("-")]
            if start <= address < stop:
                if permissions[3] == "s":
                    sharing_process = os.getpid()
                else:
                    private_start, private_stop = start, stop
                break
    return 0
