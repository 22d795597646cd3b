"""Raw calls: `call` calls a C function on storage that the caller holds.

Only addresses and bytes pass here; a CIF says what they mean.
"""

import sys

from ffi.errors import Error, FFITypeError, FFIValueError, located

cimport numpy as cnp
from cpython.buffer cimport PyObject_CheckBuffer
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from ffi cimport _types, libffi
from ffi._buffers cimport (
    ARRAY, BYTEARRAY, NOTHING, Array, Borrowed, CodePointer, PyArray_DESCR, PyArray_ISINTEGER,
    PyArray_ITEMSIZE,
    borrow, check_alignment, examine, give_back, is_integer, is_number, to_address,
)
from ffi._cif cimport CIF, MAX_ARGUMENTS, Arguments, check_result_size
from ffi._direct cimport call_direct
from ffi._faults cimport READS_PAST_ARGUMENTS
from ffi._frames cimport Frame, Thread, begin_call, current_thread, end_call, raise_error
from ffi._types cimport Type, describe, shorten

cnp.import_array()

cdef extern from "Python.h":
    PyObject *PyTuple_GET_ITEM(PyObject *items, Py_ssize_t index)
    Py_ssize_t PyTuple_GET_SIZE(PyObject *items)
    object PyObject_Vectorcall(object function, PyObject **args, size_t nargs, PyObject *names)
    object PyCFunction_NewEx(PyMethodDef *definition, PyObject *self, object module)

    enum:
        METH_FASTCALL
        METH_KEYWORDS

    ctypedef struct PyMethodDef:
        const char *ml_name
        void *ml_meth
        int ml_flags
        const char *ml_doc

cdef extern from "_call_plan.h":
    void ffi_call_plan_invoke(
        void *plan, void (*fn)() noexcept nogil, void *rvalue, void **avalues
    ) nogil

cdef extern from "_platform.h":
    bint MACHINE_IS_RISCV64

cdef enum:
    # Calls with up to so many arguments allocate nothing.
    STACK_POINTERS = 32


# --- the call itself

cdef void invoke(CIF cif, void *fn, void *rvalue, void **avalues) noexcept nogil:
    if cif.plan is not NULL:
        call_direct(cif.plan, fn, rvalue, avalues)
    elif cif.call_plan is not NULL:
        ffi_call_plan_invoke(cif.call_plan, <void (*)() noexcept nogil>fn, rvalue, avalues)
    elif READS_PAST_ARGUMENTS:
        invoke_padded(cif, fn, rvalue, avalues)
    else:
        libffi.ffi_call(&cif.cif, <void (*)() noexcept nogil>fn, rvalue, avalues)
    if MACHINE_IS_RISCV64 and rvalue is not NULL and cif.rtype.code == _types.UINT32:
        # In a register its sign is extended there, as if it had one.
        (<uint64_t *>rvalue)[0] &= <uint64_t>0xFFFFFFFF


# Storage of two registers for each small argument, zeros after its value.
cdef struct Padded:
    uint64_t words[2]


cdef void invoke_padded(CIF cif, void *fn, void *rvalue, void **avalues) noexcept nogil:
    cdef Padded padded[MAX_ARGUMENTS]
    cdef size_t size
    cdef unsigned int i
    for i in range(cif.nargs):
        size = cif.ffi_types[i].size
        if size < sizeof(Padded):
            memset(&padded[i], 0, sizeof(Padded))
            memcpy(&padded[i], avalues[i], size)
            avalues[i] = &padded[i]
    libffi.ffi_call(&cif.cif, <void (*)() noexcept nogil>fn, rvalue, avalues)


cdef void invoke_keeping(CIF cif, void *fn, void *rvalue, void **avalues) noexcept nogil:
    cdef void *copy[MAX_ARGUMENTS]
    if cif.plan is not NULL or cif.nargs == 0:
        invoke(cif, fn, rvalue, avalues)
    else:
        memcpy(copy, avalues, cif.nargs * sizeof(void *))
        invoke(cif, fn, rvalue, copy)


cdef int call_views(
    CIF cif, void *fn, unsigned char[::1] rvalue, size_t[::1] avalues
) except -1 nogil:
    cdef void *stack[STACK_POINTERS]
    cdef void **pointers = stack
    cdef void *result = NULL
    cdef Py_ssize_t i
    cdef bint has_result
    if <void *>cif is <void *>None:
        with gil:
            raise FFITypeError("call_views(): argument 'cif': expected an ffi.CIF, got None")
    if fn is NULL:
        with gil:
            raise FFIValueError("call_views(): argument 'fn': NULL is no function")
    has_result = cif.rtype.code != _types.VOID
    if has_result:
        if rvalue.shape[0] < cif.result_size or <uintptr_t>&rvalue[0] % cif.result_alignment:
            with gil:
                raise FFIValueError(
                    f"call_views(): argument 'rvalue': expected {cif.result_size} bytes aligned "
                    f"to {cif.result_alignment}, got {rvalue.shape[0]}"
                )
        result = &rvalue[0]
    if avalues.shape[0] < cif.nargs:
        with gil:
            raise FFIValueError(
                f"call_views(): argument 'avalues': expected {cif.nargs} addresses, "
                f"got {avalues.shape[0]}"
            )
    if cif.nargs > STACK_POINTERS:
        pointers = <void **>malloc(cif.nargs * sizeof(void *))
        if pointers is NULL:
            with gil:
                raise MemoryError
    try:
        for i in range(<Py_ssize_t>cif.nargs):
            pointers[i] = <void *>avalues[i]
            if pointers[i] is NULL:
                with gil:
                    raise FFIValueError(f"call_views(): argument 'avalues': entry {i} is NULL")
        invoke(cif, fn, result, pointers)
    finally:
        if pointers is not stack:
            free(pointers)
    return 0


# --- what a call holds

cdef struct RawCall:
    Borrowed result
    Borrowed addresses                  # a buffer of addresses, or
    Borrowed *values                    # the buffers of a sequence
    Py_ssize_t held                     # how many of those are borrowed
    void **pointers                     # the private copy of the addresses
    void *stack[STACK_POINTERS]


cdef inline int begin(RawCall *raw, CIF cif) except -1:
    raw.result.holding = raw.addresses.holding = NOTHING
    raw.values = NULL
    raw.held = 0
    raw.pointers = raw.stack
    if cif.nargs > STACK_POINTERS:
        raw.pointers = <void **>malloc(cif.nargs * sizeof(void *))
        if raw.pointers is NULL:
            raise MemoryError
    return 0


cdef inline void end(RawCall *raw) noexcept:
    give_back(&raw.result)
    give_back(&raw.addresses)
    if raw.values is not NULL:
        end_values(raw)
    if raw.pointers is not raw.stack:
        free(raw.pointers)


cdef void end_values(RawCall *raw) noexcept:
    cdef Py_ssize_t i
    for i in range(raw.held):
        give_back(&raw.values[i])
    free(raw.values)


# --- the result's storage

cdef inline int borrow_result(RawCall *raw, CIF cif, object rvalue) except -1:
    if rvalue is None:
        if cif.rtype.code == _types.VOID:
            return 0
        raise FFITypeError(
            f"expected a writable buffer of {cif.result_size} bytes for {cif.rtype.name}, got None"
        )
    return borrow(rvalue, &raw.result, cif.rtype.code != _types.VOID)


cdef inline int examine_result(RawCall *raw, CIF cif, object rvalue) except -1:
    if cif.rtype.code == _types.VOID:
        # libffi writes nothing.
        raw.result.data = NULL
        return 0
    examine(&raw.result, True)
    check_result_size(cif, raw.result.nbytes)
    return check_alignment(raw.result.data, cif.result_alignment)


# --- the arguments' storage

cdef inline int borrow_arguments(RawCall *raw, CIF cif, object avalues) except -1:
    if type(avalues) is Arguments:
        if (<Arguments>avalues).cif is not cif:
            check_packed(cif, avalues)
    elif type(avalues) is tuple:
        borrow_values(raw, cif, avalues)
    elif avalues is not None or cif.nargs > 0:
        borrow(avalues, &raw.addresses, False)
    return 0


cdef int check_packed(CIF cif, Arguments packed) except -1:
    # Packed for another signature, the values may be smaller than what C reads.
    if packed.cif.arguments != cif.arguments:
        raise FFITypeError(f"expected arguments packed for {cif!r}, got {packed!r}")
    return 0


cdef int borrow_values(RawCall *raw, CIF cif, tuple buffers) except -1:
    cdef Py_ssize_t i
    if len(buffers) != cif.nargs:
        raise FFIValueError(f"expected {cif.nargs} buffers, got {len(buffers)}")
    raw.values = <Borrowed *>calloc(cif.nargs + 1, sizeof(Borrowed))
    if raw.values is NULL:
        raise MemoryError
    for i in range(<Py_ssize_t>cif.nargs):
        try:
            borrow(buffers[i], &raw.values[i], False)
        except Error as exc:
            hint = "; CIF.pack makes storage of values" if is_number(buffers[i]) else ""
            raise located(type(exc)(f"{exc}{hint}"), f"item {i}") from exc.__cause__
        raw.held += 1
    return 0


cdef inline int examine_arguments(RawCall *raw, CIF cif, object avalues) except -1:
    if raw.addresses.holding != NOTHING:
        examine(&raw.addresses, False)
        check_pointer_items(&raw.addresses)
        copy_addresses(raw, cif, raw.addresses.data, raw.addresses.nbytes)
    elif type(avalues) is Arguments:
        memcpy(raw.pointers, (<Arguments>avalues).pointers, cif.nargs * sizeof(void *))
    elif raw.values is not NULL:
        examine_values(raw, cif)
    return 0


cdef inline int copy_addresses(
    RawCall *raw, CIF cif, const char *addresses, Py_ssize_t nbytes
) except -1:
    # libffi and other threads may change the buffer, so C works on this copy.
    cdef Py_ssize_t i, needed = cif.nargs * sizeof(void *)
    if nbytes < needed:
        raise FFIValueError(f"expected {cif.nargs} addresses in {needed} bytes, got {nbytes} bytes")
    memcpy(raw.pointers, addresses, needed)
    for i in range(<Py_ssize_t>cif.nargs):
        if raw.pointers[i] is NULL:
            raise FFIValueError(f"entry {i} is NULL, expected the address of a value")
    return 0


cdef int examine_values(RawCall *raw, CIF cif) except -1:
    cdef Py_ssize_t i
    for i in range(<Py_ssize_t>cif.nargs):
        try:
            examine_value(&raw.values[i], cif.arguments[i])
        except Error as exc:
            raise located(exc, f"item {i}") from None
        raw.pointers[i] = raw.values[i].data
    return 0


cdef int examine_value(Borrowed *value, Type atype) except -1:
    examine(value, False)
    if value.holding == ARRAY:
        check_numbers(<Array *>value.owner, atype)
    if value.nbytes < atype.size:
        raise FFIValueError(
            f"expected at least {atype.size} bytes for {atype.name}, got {value.nbytes}"
        )
    return check_alignment(value.data, atype.alignment)


cdef int check_numbers(Array *array, Type atype) except -1:
    # Bytes, unsigned words and records are storage for anything; other numbers are taken for what
    # they are.
    dtype = <object>PyArray_DESCR(array)
    kind = dtype.kind
    if kind not in "ifc" or dtype.itemsize == 1 or atype.code > _types.COMPLEX_LONGDOUBLE:
        return 0
    expected = "i" if _types.is_integral(atype.code) else atype._dtype.kind
    if dtype.itemsize != atype.size or kind != expected:
        raise FFITypeError(f"expected an array of {atype._dtype} for {atype.name}, got {dtype}")
    return 0


cdef inline int check_pointer_items(Borrowed *addresses) except -1:
    # Addresses or plain bytes: floats, or integers of another size, are some other array.
    cdef Array *array
    cdef Py_ssize_t itemsize
    if addresses.holding == BYTEARRAY:
        return 0
    if addresses.holding == ARRAY:
        array = <Array *>addresses.owner
        itemsize = PyArray_ITEMSIZE(array)
        if itemsize == 1 or (itemsize == sizeof(void *) and PyArray_ISINTEGER(array)):
            return 0
        raise FFITypeError(
            f"expected an array of np.uintp addresses, got one of {<object>PyArray_DESCR(array)}"
        )
    return check_pointer_format(addresses)


cdef int check_pointer_format(Borrowed *addresses) except -1:
    cdef const char *format = addresses.view.format
    if addresses.view.itemsize == 1 or format is NULL:
        return 0
    if addresses.view.itemsize == sizeof(void *):
        while format[0] in b"@=<>!":
            format += 1
        if format[0] in b"lLqQnNP&" or (sizeof(void *) == 4 and format[0] in b"iI"):
            return 0
    raise FFITypeError(
        "expected a buffer of addresses, got items of format "
        f"{addresses.view.format.decode(errors='replace')!r}"
    )


# --- `call`

cdef inline void *to_code(object fn) except NULL:
    cdef void *address = NULL
    if PyLong_CheckExact(fn):
        address = <void *>to_address(fn)
    return address if address is not NULL else to_other_code(fn)


cdef void *to_other_code(object fn) except NULL:
    cdef void *address
    if isinstance(fn, CodePointer):
        address = (<CodePointer>fn).code
        if address is NULL:
            raise FFIValueError(f"{shorten(fn)} has no code")
        return address
    if not is_integer(fn) or isinstance(fn, bool):
        raise FFITypeError(
            f"expected an address or an ffi.Closure, got {describe(fn)}; {hint_at_function(fn)}"
        )
    address = <void *>to_address(fn)
    if address is NULL:
        raise FFIValueError("NULL is no function")
    return address


cdef str hint_at_function(object fn):
    if PyObject_CheckBuffer(fn):
        return "an address in a buffer is read with ffi.read_pointer"
    if callable(fn):
        return "ffi.Closure makes a C function of a Python one"
    return "ffi.dlsym gives a function's address"


cdef int call_raw(CIF cif, object fn, object rvalue, object avalues, bint release_gil) except -1:
    cdef RawCall raw
    cdef void *code
    cdef Thread *thread
    cdef Frame frame
    cdef const char *argument = b"fn"
    cdef bint done = False
    begin(&raw, cif)
    frame.error = NULL
    try:
        code = to_code(fn)
        # Borrowing may run Python code, so everything is borrowed before anything is read.
        argument = b"rvalue"
        borrow_result(&raw, cif, rvalue)
        argument = b"avalues"
        borrow_arguments(&raw, cif, avalues)
        argument = b"rvalue"
        examine_result(&raw, cif, rvalue)
        argument = b"avalues"
        if cif.nargs:
            examine_arguments(&raw, cif, avalues)
        thread = current_thread()
        begin_call(thread, &frame, release_gil)
        invoke(cif, code, raw.result.data, raw.pointers)
        end_call(thread, &frame)
        done = True
    finally:
        # Not an `except`, which costs every call a twentieth of its time.
        end(&raw)
        if not done:
            name_argument(argument)
    if frame.error is not NULL:
        raise_error(&frame)
    return 0


cdef int name_argument(const char *argument) except -1:
    """Raise the error that is being handled with the argument's name in front."""
    exc = sys.exc_info()[1]
    if isinstance(exc, Error):
        raise located(exc, f"call(): argument {argument.decode()!r}") from exc.__cause__
    return 0


cdef object call_vector(PyObject *_, PyObject **args, Py_ssize_t nargs, PyObject *names):
    cdef bint release_gil = True
    if nargs != 4 or names is not NULL:
        if (
            nargs == 4 and PyTuple_GET_SIZE(names) == 1
            and PyTuple_GET_ITEM(names, 0) is <PyObject *>RELEASE_GIL
        ):
            release_gil = <object>args[4]
        else:
            # It parses the arguments, raises what Python raises for wrong ones, and comes back.
            return PyObject_Vectorcall(call_with_keywords, args, nargs, names)
    if type(<object>args[0]) is not CIF:
        raise FFITypeError(
            f"call(): argument 'cif': expected an ffi.CIF, got {describe(<object>args[0])}"
        )
    if isinstance(<object>args[3], (list, tuple)):
        # Its own tuple: borrowing may run Python code that changes a list.
        buffers = tuple(<object>args[3])
        call_raw(<CIF>args[0], <object>args[1], <object>args[2], buffers, release_gil)
    else:
        call_raw(<CIF>args[0], <object>args[1], <object>args[2], <object>args[3], release_gil)
    return None


def call(cif, fn, rvalue, avalues, *, release_gil=True):
    """Call a C function on storage that the caller holds.

    Everything is checked before the function is called, and held until it returns. Addresses are
    trusted: what is not NULL must point at what the CIF says.

    Parameters
    ----------
    cif : CIF
        What the function takes and returns.
    fn : int or Closure
        The function's address.
    rvalue : buffer or None
        Where the result goes: writable, C-contiguous, aligned storage of at least
        ``max(cif.rtype.size, sizeof.ffi_arg)`` bytes, read with `CIF.unpack`. None only for
        ``void``.
    avalues : Arguments, buffer or sequence of buffers
        What `CIF.pack` made; or at least as many native addresses as there are arguments, each
        of a value (`write_pointer` writes them); or one buffer per argument with its value.
    release_gil : bool, optional
        Whether other Python threads run meanwhile.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, not C-contiguous or, for `rvalue`, read-only.
    ValueError
        For NULL, storage that is too short or misaligned, and wrong counts.
    OverflowError
        If `fn` is no address at all.

    See Also
    --------
    CIF.pack, CIF.unpack

    Notes
    -----
    C's ``errno`` is set to what `get_errno` gives before, and kept there afterwards.

    References
    ----------
    libffi's ``ffi_call``.

    Examples
    --------
    >>> abs_ = ffi.dlsym(ffi.dlopen(None), "abs")
    >>> cif = ffi.CIF("int", "int")
    >>> rvalue = np.zeros(ffi.sizeof.ffi_sarg, np.uint8)
    >>> ffi.call(cif, abs_, rvalue, cif.pack(-5))
    >>> cif.unpack(rvalue)
    5

    With an array of addresses:

    >>> arg, avalues = np.array([-3], np.intc), np.zeros(1, np.uintp)
    >>> ffi.write_pointer(avalues, arg)
    >>> ffi.call(cif, abs_, rvalue, avalues)
    >>> cif.unpack(rvalue)
    3
    """
    return call_builtin(cif, fn, rvalue, avalues, release_gil=release_gil)


# What users call is a builtin around `call_vector`: parsing the arguments of a Cython function
# takes a quarter of a short call. Its documentation starts with what inspect.signature reads.
cdef str RELEASE_GIL = sys.intern("release_gil")
cdef object call_with_keywords = call
cdef bytes call_doc = (
    "call(cif, fn, rvalue, avalues, *, release_gil=True)\n--\n\n" + call.__doc__
).encode()
cdef PyMethodDef call_method
call_method.ml_name = b"call"
call_method.ml_meth = <void *>call_vector
call_method.ml_flags = METH_FASTCALL | METH_KEYWORDS
call_method.ml_doc = call_doc
cdef object call_builtin = PyCFunction_NewEx(&call_method, NULL, __name__)
call = call_builtin
