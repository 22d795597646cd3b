"""Closures: C code that calls a Python function on raw storage."""

from ffi.errors import Error, FFIBufferError, FFIReferenceError, FFITypeError, located

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from ffi cimport _types, libffi
from ffi._buffers cimport CodePointer
from ffi._cif cimport CIF, result_at
from ffi._frames cimport Frame, Thread, current_thread, raise_error, swap_in, swap_out
from ffi._locks cimport Mutex, expect_hold, lock_mutex, try_hold, unlock_mutex
from ffi._slots cimport Slot, retire, set_handler, take_slot
from ffi._types cimport describe, type_name

cdef extern from "Python.h":
    void PyErr_SetObject(object type, object value)
    void PyErr_WriteUnraisable(object where)

cdef extern from "_attach.h":
    int attach_prepare()
    int attach_thread(void *known) nogil
    void detach_thread(int attached) nogil

cdef extern from "_platform.h":
    bint is_main_thread() nogil

# Of what callers were given to, and of the exceptions that go there.
cdef Mutex calls_lock


@cython.final
@cython.no_gc_clear  # __dealloc__ retires the slot while `function` still lives
cdef class Closure(CodePointer):
    """A C function pointer that calls a Python function.

    Parameters
    ----------
    cif : CIF
        What C passes and expects.
    function : callable
        Called as ``function(rvalue, avalues)``. `rvalue` is a writable memoryview of exactly
        ``cif.rtype.size`` bytes, zeros at first, for the result. `avalues` is a read-only
        memoryview of the arguments' addresses. Both are released when it returns, and what it
        returns is ignored.

    Attributes
    ----------
    address : int
        The function pointer for C.
    cif : CIF
        What C passes and expects.
    function : callable
        What is called.

    Raises
    ------
    TypeError
        If `cif` is no CIF or `function` cannot be called.

    Notes
    -----
    An exception in `function` goes to `sys.unraisablehook` and C gets zeros. So does a
    `BufferError` if `function` keeps `rvalue` or `avalues`.

    Keep a reference as long as C may call. When C calls a closure that is gone, it gets zeros and
    a `ReferenceError` goes to `sys.unraisablehook`. The code of dead closures is kept for new ones
    of equal CIFs, so memory grows with the number of signatures, not of closures.

    Any thread may call, also one that Python did not start. C gets zeros once the interpreter is
    finalising.

    References
    ----------
    libffi's ``ffi_prep_closure_loc``.

    Examples
    --------
    >>> def double(rvalue, avalues):
    ...     x = ffi.view(avalues[0], "int")
    ...     ffi.write("int", rvalue, 2 * int(x))
    >>> cif = ffi.CIF("int", "int")
    >>> closure = ffi.Closure(cif, double)
    >>> rvalue = np.zeros(ffi.sizeof.ffi_sarg, np.uint8)
    >>> ffi.call(cif, closure.address, rvalue, cif.pack(21))
    >>> cif.unpack(rvalue)
    42
    """

    def __cinit__(self, cif, function):
        try:
            if type(cif) is not CIF:
                raise FFITypeError(f"argument 'cif': expected an ffi.CIF, got {type_name(cif)}")
            if not callable(function):
                raise FFITypeError(
                    f"argument 'function': expected a callable, got {describe(function)}"
                )
            self.cif = cif
            self.function = function
            self.slot = take_slot(cif)
        except Error as exc:
            raise located(exc, "Closure()") from None
        expect_hold(<PyObject *>function)
        lock_mutex(&self.slot.mutex)
        self.slot.is_caller = False
        self.slot.function = <PyObject *>function
        unlock_mutex(&self.slot.mutex)
        self.code = self.slot.code

    def __dealloc__(self):
        if self.slot is not NULL:
            retire(self.slot)

    def __repr__(self):
        return f"<ffi.Closure {self.cif!r} of {self.function!r} at {self.address:#x}>"


# --- C enters Python

@cython.final
cdef class Lent:
    """Storage lent to a Python function for one invocation, through a memoryview.

    It is a copy of ours, so that a view which is kept reads no stack of C's.
    """

    cdef char *data
    cdef Py_ssize_t shape[1]
    cdef Py_ssize_t itemsize
    cdef bint readonly
    cdef Py_ssize_t exports

    def __dealloc__(self):
        free(self.data)

    def __getbuffer__(self, Py_buffer *view, int flags):
        if self.readonly and flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("the arguments' addresses are read-only")
        self.exports += 1
        view.obj = self
        view.buf = self.data
        view.len = self.shape[0] * self.itemsize
        view.itemsize = self.itemsize
        view.readonly = self.readonly
        view.ndim = 1
        view.format = NULL
        if flags & PyBUF_FORMAT:
            view.format = b"B"
            if self.itemsize > 1:
                view.format = <char *>_types.address_format()
        view.shape = self.shape if flags & PyBUF_ND else NULL
        view.strides = &self.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL

    def __releasebuffer__(self, Py_buffer *view):
        self.exports -= 1


cdef Lent lend(Py_ssize_t length, Py_ssize_t itemsize, bint readonly):
    cdef Lent self = Lent.__new__(Lent)
    self.data = <char *>calloc(max(length, 1), itemsize)
    if self.data is NULL:
        raise MemoryError
    self.shape[0] = length
    self.itemsize = itemsize
    self.readonly = readonly
    return self


# Called where the GIL is held.
ctypedef void (*Runner)(
    Slot *slot, void *rvalue, void **avalues, Frame *frame, Frame *barrier
) noexcept nogil


cdef void enter(void *data, void *rvalue, void **avalues) noexcept nogil:
    cdef Slot *slot = <Slot *>data
    cdef Thread *thread = current_thread()
    cdef Frame *frame = thread.top
    cdef Frame barrier
    cdef int attached
    # Python sees C's errno, and C gets back what Python leaves there.
    swap_out(thread)
    if frame is not NULL and frame.state is frame:
        frame = NULL
    # While the interpreter ends, the main thread alone runs Python code: finalizers, which may
    # call C.
    if not (interpreter_is_running() or (frame is not NULL and is_main_thread())):
        memset(rvalue, 0, slot.result_size)
    elif frame is not NULL and frame.error is not NULL and slot.is_caller:
        # The call is as good as over.
        write_instead(slot, rvalue)
    else:
        if not slot.is_caller:
            memset(rvalue, 0, slot.result_size)
        barrier.below = thread.top
        barrier.error = NULL
        barrier.state = &barrier
        thread.top = &barrier
        attached = attach_thread(NULL if frame is NULL else frame.state)
        (<Runner><void *>run)(slot, rvalue, avalues, frame, &barrier)
        detach_thread(attached)
        thread.top = barrier.below
    swap_in(thread)


cdef int attach() noexcept nogil:
    return attach_thread(NULL)


cdef void detach(int attached) noexcept nogil:
    detach_thread(attached)


cdef void write_instead(Slot *slot, void *rvalue) noexcept nogil:
    lock_mutex(&slot.mutex)
    memcpy(rvalue, slot.instead, slot.result_size)
    unlock_mutex(&slot.mutex)


cdef void run(
    Slot *slot, void *rvalue, void **avalues, Frame *frame, Frame *barrier
) noexcept:
    cdef object cif = <object>slot.cif
    cdef object function = None
    lock_mutex(&slot.mutex)
    if slot.function is not NULL and try_hold(slot.function):
        # Owned from here on: the closure may die while it runs.
        function = <object>slot.function
        Py_DECREF(function)
    unlock_mutex(&slot.mutex)
    try:
        if function is None:
            kind = "callback" if slot.is_caller else "closure"
            raise FFIReferenceError(
                f"C called a {kind} of {cif!r} that is gone; keep a reference to it as long as C "
                "may call it"
            )
        if isinstance(function, Caller):
            if has_failed(<Caller>function, frame):
                write_instead(slot, rvalue)
            else:
                (<Caller>function).receive(rvalue, avalues)
        else:
            invoke_python(cif, function, rvalue, avalues)
        if barrier.error is not NULL:
            # Left pending by a module that calls C itself.
            raise_error(barrier)
    except BaseException as exc:
        if not slot.is_caller:
            memset(rvalue, 0, slot.result_size)
            report(exc, cif if function is None else function)
        else:
            write_instead(slot, rvalue)
            fail(exc, cif if function is None else function, frame, rvalue)
        if barrier.error is not NULL:
            report_left(barrier, function)


cdef void report(object error, object where) noexcept:
    # The hook is given the current exception, and a caught one is not current.
    PyErr_SetObject(type(error), error)
    PyErr_WriteUnraisable(where)


cdef void report_left(Frame *barrier, object where) noexcept:
    error = <object>barrier.error
    Py_DECREF(error)
    barrier.error = NULL
    report(error, where)


# --- what callbacks raise

cdef void fail(object error, object caller, Frame *frame, void *rvalue) noexcept:
    """Let an exception travel to a call of C, or to the hook where there is none."""
    if isinstance(caller, Caller):
        try:
            (<Caller>caller).substitute(error, rvalue)
        except BaseException as exc:
            error = exc
    # A call on another thread may have ended meanwhile, and may not end now.
    lock_mutex(&calls_lock)
    if isinstance(caller, Caller):
        frame = call_of(<Caller>caller, frame)
    if frame is not NULL and frame.error is NULL:
        Py_INCREF(error)
        frame.error = <void *>error
    unlock_mutex(&calls_lock)
    if frame is NULL:
        report(error, caller)


cdef bint has_failed(Caller self, Frame *frame) noexcept:
    """Whether the call that an exception would travel to has one already."""
    lock_mutex(&calls_lock)
    frame = call_of(self, frame)
    cdef bint failed = frame is not NULL and frame.error is not NULL
    unlock_mutex(&calls_lock)
    return failed


cdef Frame *call_of(Caller self, Frame *frame) noexcept:
    """The innermost call on this thread, else the last that the callback was given to."""
    if frame is NULL and self.calls:
        frame = <Frame *><uintptr_t>self.calls[len(self.calls) - 1]
    return frame


cdef int give_to_call(Caller self, Frame *frame) except -1:
    lock_mutex(&calls_lock)
    try:
        self.calls.append(<uintptr_t>frame)
    finally:
        unlock_mutex(&calls_lock)
    return 0


cdef int take_from_call(Caller self, Frame *frame) except -1:
    lock_mutex(&calls_lock)
    try:
        self.calls.remove(<uintptr_t>frame)
    finally:
        unlock_mutex(&calls_lock)
    return 0


cdef class Caller(CodePointer):
    """Base of the typed callbacks."""

    def __cinit__(self):
        self.calls = []

    cdef int receive(self, void *rvalue, void **avalues) except -1:
        raise NotImplementedError

    cdef int substitute(self, object error, void *rvalue) except -1:
        return 0


cdef int open_caller(Caller self, CIF cif, const char *instead) except -1:
    cdef Slot *slot = take_slot(cif)
    cdef char *room
    if slot.instead is NULL:
        room = <char *>calloc(1, slot.result_size + 1)
        if room is NULL:
            retire(slot)
            raise MemoryError
        slot.instead = room
    expect_hold(<PyObject *>self)
    lock_mutex(&slot.mutex)
    memcpy(slot.instead, instead, slot.result_size)
    slot.is_caller = True
    slot.function = <PyObject *>self
    unlock_mutex(&slot.mutex)
    self.slot = slot
    self.cif = cif
    self.code = slot.code
    return 0


cdef void close_caller(Caller self) noexcept:
    if self.slot is not NULL:
        if self.cif.rtype.code == _types.POINTER or self.cif.rtype.has_pointer:
            # What it points at goes with the caller.
            lock_mutex(&self.slot.mutex)
            memset(self.slot.instead, 0, self.slot.result_size)
            unlock_mutex(&self.slot.mutex)
        retire(self.slot)
        self.slot = NULL


cdef int invoke_python(CIF cif, object function, void *rvalue, void **avalues) except -1:
    cdef Lent result = lend(cif.rtype.size, 1, False)
    cdef Lent addresses = lend(cif.nargs, sizeof(void *), True)
    memcpy(addresses.data, avalues, cif.nargs * sizeof(void *))
    result_view = memoryview(result)
    addresses_view = memoryview(addresses)
    try:
        function(result_view, addresses_view)
    except BaseException:
        # Its traceback may hold views, which is no fault of the function's.
        let_go(result_view)
        let_go(addresses_view)
        raise
    take_back(result, result_view, "rvalue")
    take_back(addresses, addresses_view, "avalues")
    widen(cif, result.data, <char *>rvalue)
    return 0


cdef bint let_go(object view) except -1:
    try:
        view.release()
    except BufferError:
        return False
    return True


cdef int take_back(Lent lent, object view, str name) except -1:
    # np.frombuffer, for one, exports the storage itself and not the view.
    if not let_go(view) or lent.exports > 0:
        raise FFIBufferError(f"Closure: the function kept {name!r}; use bytes({name})")
    return 0


cdef void widen(CIF cif, const char *result, char *rvalue) noexcept:
    """Copy a result to where C reads it; libffi's closures read small integers as ffi_arg."""
    cdef int code = cif.rtype.code
    cdef libffi.ffi_arg unsigned_wide
    cdef libffi.ffi_sarg signed_wide
    if not _types.is_integral(code) or cif.rtype.size >= <Py_ssize_t>sizeof(libffi.ffi_arg):
        memcpy(rvalue, result, cif.rtype.size)
    elif _types.is_signed(code):
        signed_wide = 0
        if cif.rtype.size == 1:
            signed_wide = (<signed char *>result)[0]
        elif cif.rtype.size == 2:
            signed_wide = (<short *>result)[0]
        else:
            signed_wide = (<int *>result)[0]
        memcpy(rvalue, &signed_wide, sizeof(signed_wide))
    else:
        unsigned_wide = 0
        memcpy(<char *>result_at(cif.rtype, <const char *>&unsigned_wide), result, cif.rtype.size)
        memcpy(rvalue, &unsigned_wide, sizeof(unsigned_wide))


if attach_prepare() != 0:
    raise MemoryError("no more keys for storage of threads")
set_handler(enter)
