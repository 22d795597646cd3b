"""The general way of a typed call: any arguments, by any path, in storage of their own.

Whatever may run Python code comes first: conversion, and making what the function writes to. Then
lengths and addresses are read, and nothing moves any more.
"""

from ffi.errors import Error, FFITypeError, FFIValueError, located

cimport numpy as cnp
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport INT64_MAX, int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from ffi cimport _marshal, _types
from ffi._arrays cimport adopt, borrow_pointee, examine_pointee
from ffi._buffers cimport (
    NOTHING, AddressHolder, Borrowed, CodePointer, Keepers, give_back, hold, is_integer,
    is_number, root_of, settle,
)
from ffi._cif cimport CIF, result_at
from ffi._closure cimport Caller, give_to_call, take_from_call
from ffi._core cimport invoke
from ffi._frames cimport Frame, Thread, begin_call, current_thread, end_call, raise_error
from ffi._shapes cimport MAX_AXES, MAX_VARIABLES, UNKNOWN, length_at, length_of, lengths_of
from ffi._signature cimport Signature, Step, argument_name
from ffi._types cimport Type, defined, shorten
from ffi._values cimport address_as, code_for, code_of, load_object, new_keepers, store_object

cnp.import_array()

cdef extern from "alloca.h":
    void *alloca(size_t size) nogil

cdef extern from *:
    bint __builtin_mul_overflow(int64_t a, int64_t b, int64_t *product) noexcept

cdef extern from "numpy/arrayobject.h":
    object PyArray_Zeros(int ndim, cnp.npy_intp *lengths, cnp.dtype dtype, int is_fortran)

cdef enum:
    # Arguments and results of more bytes are not made on the C stack.
    MAX_STORAGE = 4096


# What is known while a call is prepared.
cdef struct Call:
    PyObject **args                     # NULL for what is left out
    Borrowed *held
    void **pointers                     # to the storage of each of C's arguments
    char *room                          # for the numbers that arguments point at
    Py_ssize_t index                    # of the argument that is looked at
    int64_t lengths[MAX_VARIABLES]
    Py_ssize_t givers[MAX_VARIABLES]    # the arguments that told them


cdef object call_generally(
    Signature self, void *code, bint release_gil, PyObject **args, object owner, object function,
    object errcheck
):
    cdef CIF cif = self.cif
    cdef size_t result_size = (max(cif.rtype.size, 16) + 15) // 16 * 16
    cdef size_t size = result_size + cif.packed_size + 16 + self.room_size
    cdef char *storage
    cdef char *local = NULL
    cdef Call call
    cdef Frame frame
    cdef object callers
    cdef Py_ssize_t i, held_count = 0
    cdef bint converting = True
    cdef Keepers keepers = new_keepers()
    cdef Type fixed
    # The call owns its arguments, whatever the caller lets go of meanwhile.
    cdef tuple owned = tuple(
        [<object>args[i] for i in range(self.total) if args[i] is not NULL]
    )
    if size <= MAX_STORAGE:
        storage = <char *>alloca(size)
    else:
        storage = local = <char *>malloc(size)
        if storage is NULL:
            raise MemoryError
    frame.error = NULL
    call.index = 0
    call.args = args
    call.held = <Borrowed *>calloc(self.total + 1, sizeof(Borrowed))
    if call.held is NULL:
        free(local)
        raise MemoryError
    memset(storage, 0, size)
    call.pointers = <void **>(storage + result_size)
    call.room = storage + result_size + (cif.packed_size + 15) // 16 * 16
    try:
        for i in range(<Py_ssize_t>cif.nargs):
            call.pointers[i] = <char *>call.pointers + cif.offsets[i]
        for i in range(self.total, self.count + self.rest_count):
            fixed = self.cif.arguments[self.steps[i].argument]
            _marshal.store(
                fixed, <char *>call.pointers[self.steps[i].argument],
                <int64_t>self.steps[i].fixed, None,
            )
        for i in range(self.total):
            call.index = i
            held_count = i + 1
            call.held[i].nbytes = -1
            if args[i] is not NULL:
                convert(
                    self.atypes[i], <object>args[i],
                    <char *>call.pointers[self.steps[i].argument], &call.held[i], keepers,
                    &self.steps[i], call.room + self.steps[i].room,
                )
        if self.has_out:
            read_arguments(self, &call)
            make_outs(self, &call)
        callers = callers_in(keepers)
        # No Python code runs from here on, that of the garbage collector included: nothing moves
        # any more.
        settle(keepers)
        read_arguments(self, &call)
        converting = False
        for caller in callers:
            give_to_call(caller, &frame)
        try:
            run(cif, code, release_gil, storage, call.pointers, &frame)
        finally:
            for caller in callers:
                take_from_call(caller, &frame)
        if frame.error is not NULL:
            raise_error(&frame)
        result = load_object(self.rtype, result_at(self.rtype, storage), owner)
        if errcheck is not None:
            result = errcheck(result, function, owned)
        if not self.has_out:
            return result
        return with_outs(self, &call, result, errcheck is not None, owner)
    except Error as exc:
        if not converting:
            raise
        where = f"{self.name}(): {argument_name(self, call.index)}"
        raise located(exc, where) from exc.__cause__
    finally:
        for i in range(held_count):
            give_back(&call.held[i])
        free(call.held)
        free(local)


cdef int convert(
    Type atype, object value, char *data, Borrowed *borrowed, Keepers keepers, const Step *step,
    char *room
) except -1:
    if atype.code != _types.POINTER:
        if atype.has_pointer and isinstance(value, AddressHolder):
            hold_kept(root_of(value), keepers, data)
        store_object(atype, data, value, keepers)
        return 0
    borrowed.holding = NOTHING
    if isinstance(value, AddressHolder):
        # Its address is read at the end: it may be released before, but not from then on.
        return hold(keepers, root_of(value), data)
    value = code_of(atype, value)
    if isinstance(value, CodePointer):
        borrowed.data = <char *>code_for(atype, value)
        return hold(keepers, value, data)
    if step.takes_scalar and (
        isinstance(value, (float, complex)) or is_number(value) or is_integer(value)
    ):
        # As Fortran's functions want one.
        borrowed.data, borrowed.nbytes = room, atype.target.size
        _marshal.store(atype.target, room, value, None)
        return 0
    return borrow_pointee(atype, value, borrowed, step.shape.ndim >= 0)


# --- lengths and addresses

cdef int read_arguments(Signature self, Call *call) except -1:
    """Check all arrays, compute what they tell, and write the addresses."""
    cdef Py_ssize_t i
    cdef Step *step
    cdef void *to
    for i in range(self.variable_count):
        call.lengths[i] = UNKNOWN
    for i in range(self.total):
        call.index = i
        step = &self.steps[i]
        if call.args[i] is not NULL and step.variable >= 0:
            call.lengths[step.variable] = length_at(self.atypes[i], call.pointers[step.argument])
            call.givers[step.variable] = -1
    for i in range(self.total):
        call.index = i
        step = &self.steps[i]
        if step.code != _types.POINTER or is_missing(call, i):
            continue
        if is_holder(call, i):
            call.held[i].data = <char *>address_as(
                self.atypes[i], <AddressHolder>call.args[i]
            )
        else:
            examine_pointee(self.atypes[i], &call.held[i])
        if step.shape.ndim >= 0:
            learn_lengths(self, call)
        memcpy(call.pointers[step.argument], &call.held[i].data, sizeof(void *))
    for i in range(self.total):
        call.index = i
        step = &self.steps[i]
        if call.args[i] is NULL and step.variable >= 0:
            if call.lengths[step.variable] == UNKNOWN:
                raise FFITypeError("expected an int, as no array tells it")
            to = call.pointers[step.argument]
            _marshal.store(self.atypes[i], <char *>to, call.lengths[step.variable], None)
    for i in range(self.total):
        call.index = i
        step = &self.steps[i]
        if step.code != _types.POINTER or is_missing(call, i):
            continue
        if is_holder(call, i) or (step.is_out and step.shape.ndim < 0):
            check_room(self, call)
        elif step.is_out or step.shape.is_computed:
            check_shape(self, call)
    return 0


cdef inline bint is_missing(Call *call, Py_ssize_t i) noexcept:
    return call.args[i] is NULL and call.held[i].holding == NOTHING


cdef inline bint is_holder(Call *call, Py_ssize_t i) noexcept:
    return call.args[i] is not NULL and isinstance(<object>call.args[i], AddressHolder)


cdef int learn_lengths(Signature self, Call *call) except -1:
    """Compare the lengths of an array with what is known, and learn what is not."""
    cdef Step *step = &self.steps[call.index]
    cdef Borrowed *held = &call.held[call.index]
    cdef Py_ssize_t lengths[MAX_AXES]
    cdef Py_ssize_t itemsize = defined((<Type>self.atypes[call.index]).target).size
    cdef int i, variable, ndim = lengths_of(held, lengths, itemsize)
    if ndim < 0:
        if held.data is NULL and step.shape.is_static:
            raise FFITypeError("expected an array, got None")
        return 0
    if ndim != step.shape.ndim:
        return refuse_shape(self, call)
    if step.is_out:
        # What is written to tells nothing.
        return 0
    for i in range(ndim):
        variable = step.shape.dimensions[i].variable
        if variable >= 0 and call.lengths[variable] == UNKNOWN:
            call.lengths[variable] = lengths[i]
            call.givers[variable] = call.index
    # What is computed has to wait until all is known.
    if not step.shape.is_computed:
        check_shape(self, call)
    return 0


cdef int check_shape(Signature self, Call *call) except -1:
    cdef Step *step = &self.steps[call.index]
    cdef Py_ssize_t lengths[MAX_AXES]
    cdef Py_ssize_t itemsize = defined((<Type>self.atypes[call.index]).target).size
    cdef int i, ndim = lengths_of(&call.held[call.index], lengths, itemsize)
    cdef int64_t wanted
    for i in range(ndim):
        wanted = length_of(
            &step.shape.dimensions[i], call.lengths, self.dimensions[call.index][i]
        )
        if wanted != -1 and wanted != lengths[i]:
            return refuse_shape(self, call)
    return 0


cdef int check_room(Signature self, Call *call) except -1:
    """Compare what is known to be behind an address with what the function wants there."""
    cdef Step *step = &self.steps[call.index]
    cdef Py_ssize_t lengths[MAX_AXES]
    cdef Type target = defined((<Type>self.atypes[call.index]).target)
    cdef int64_t length, room, wanted = 1
    cdef int i
    if is_holder(call, call.index):
        room = (<AddressHolder>call.args[call.index]).nbytes
    else:
        room = target.size
        for i in range(lengths_of(&call.held[call.index], lengths, target.size)):
            room *= lengths[i]
    if room < 0 or (step.shape.ndim < 0 and not step.is_out):
        return 0
    for i in range(step.shape.ndim):
        length = length_of(
            &step.shape.dimensions[i], call.lengths, self.dimensions[call.index][i]
        )
        if length < 0:
            return 0
        if __builtin_mul_overflow(wanted, length, &wanted):
            wanted = INT64_MAX
    if wanted > room // max(target.size, 1):
        raise FFIValueError(
            f"expected {wanted} items of {target.name}, got "
            f"{shorten(<object>call.args[call.index])}, where {room} bytes are known to be"
        )
    return 0


cdef int refuse_shape(Signature self, Call *call) except -1:
    cdef Step *step = &self.steps[call.index]
    cdef Py_ssize_t lengths[MAX_AXES]
    cdef Type target = defined((<Type>self.atypes[call.index]).target)
    cdef int i, variable, ndim = lengths_of(&call.held[call.index], lengths, target.size)
    cdef int64_t length
    cdef list shown = [], told = []
    got = tuple([lengths[i] for i in range(ndim)])
    for i, dimension in enumerate(self.dimensions[call.index]):
        length = length_of(&step.shape.dimensions[i], call.lengths, dimension)
        text = "any" if dimension is None else dimension.text
        variable = step.shape.dimensions[i].variable
        if variable >= 0 and call.givers[variable] == call.index:
            length = UNKNOWN
        shown.append(str(length) if length >= 0 else text)
        if dimension is not None:
            told += [name for name in dimension.names if name not in told]
    comma = "," if len(shown) == 1 else ""
    reasons = [reason for reason in [reason_of(self, call, name) for name in told] if reason]
    because = f" ({', '.join(reasons)})" if reasons else ""
    raise FFIValueError(
        f"expected shape ({', '.join(shown)}{comma}){because} of "
        f"{target.dtype if target.indices is None else target.name}, got {got}"
    )


cdef object reason_of(Signature self, Call *call, object name):
    """Such as "n=8 from 'x'"."""
    cdef Py_ssize_t i
    cdef int variable
    if name not in self.names:
        return None
    i = self.names.index(name)
    variable = self.steps[i].variable
    if variable < 0 or call.lengths[variable] == UNKNOWN or call.givers[variable] == call.index:
        return None
    reason = f"{name}={call.lengths[variable]}"
    if call.givers[variable] >= 0:
        reason += f" from {self.names[call.givers[variable]]!r}"
    return reason


# --- what the function writes to

cdef int make_outs(Signature self, Call *call) except -1:
    cdef Py_ssize_t i
    cdef int k
    cdef int64_t length
    cdef Step *step
    cdef Type target
    cdef cnp.npy_intp lengths[MAX_AXES]
    for i in range(self.total):
        step = &self.steps[i]
        if not step.is_out or call.args[i] is not NULL:
            continue
        call.index = i
        if step.shape.ndim < 0:
            call.held[i].data = call.room + step.room
            memcpy(call.pointers[step.argument], &call.held[i].data, sizeof(void *))
            continue
        for k in range(step.shape.ndim):
            length = length_of(&step.shape.dimensions[k], call.lengths, self.dimensions[i][k])
            if length < 0:
                raise FFIValueError(f"the length {self.dimensions[i][k].text} is not known")
            lengths[k] = length
        target = defined((<Type>self.atypes[i]).target)
        try:
            adopt(zeros(step.shape.ndim, lengths, target._dtype), &call.held[i])
        except ValueError as exc:
            # Too many bytes, or axes, for NumPy.
            raise FFIValueError(f"{exc}, got {self.prototype.parameters[step.argument].text}")
    return 0


cdef object zeros(int ndim, cnp.npy_intp *lengths, cnp.dtype dtype):
    # NumPy takes the reference of the dtype over.
    Py_INCREF(dtype)
    return PyArray_Zeros(ndim, lengths, dtype, 0)


cdef object with_outs(
    Signature self, Call *call, object result, bint is_checked, object owner
):
    """The C result, unless there is none, and what the function wrote."""
    cdef Py_ssize_t i
    cdef Step *step
    cdef list results = []
    if self.rtype.code != _types.VOID and not (is_checked and result is None):
        results.append(result)
    for i in range(self.total):
        step = &self.steps[i]
        if not step.is_out:
            continue
        if call.args[i] is not NULL:
            results.append(<object>call.args[i])
        elif step.shape.ndim >= 0:
            results.append(<object>call.held[i].owner)
        else:
            target = defined((<Type>self.atypes[i]).target)
            results.append(load_object(target, call.room + step.room, owner))
    return results[0] if len(results) == 1 else tuple(results)


cdef object callers_in(Keepers keepers):
    cdef list found
    if not keepers.objects:
        return ()
    found = []
    for value in keepers.objects:
        while isinstance(value, CodePointer) and (<CodePointer>value).keeper is not None:
            value = (<CodePointer>value).keeper
        if isinstance(value, Caller):
            found.append(value)
    return found


cdef int hold_kept(AddressHolder root, Keepers keepers, const char *place) except -1:
    # C's copy of a record points at what the record may cease to keep meanwhile.
    if root.kept is not None:
        hold(keepers, list(root.kept.values()), place)
    return 0


cdef int run(
    CIF cif, void *code, bint release_gil, char *result, void **pointers, Frame *frame
) except -1:
    cdef Thread *thread = current_thread()
    begin_call(thread, frame, release_gil)
    invoke(cif, code, result, pointers)
    end_call(thread, frame)
    return 0
