"""Functions: C functions with a signature, called with Python values.

Here is the quick way of a call, for arguments that are what they should be; whatever is out of the
ordinary goes the general way.
"""

from ffi import cdecl
from ffi.errors import Error, FFITypeError, FFIValueError, located

cimport cython
cimport numpy as cnp
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_FromDouble
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport isinf
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t,
)
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, strlen

from ffi cimport _marshal, _types
from ffi._buffers cimport (
    Array, CodePointer, PyArray_BYTES, PyArray_CHKFLAGS, PyArray_ISNOTSWAPPED, PyArray_TYPE,
    held_address,
)
from ffi._direct cimport INVOKE_FRAME
from ffi._dl cimport Handle, SharedObject
from ffi._frames cimport Thread, current_thread, swap_in, swap_out
from ffi._general cimport call_generally
from ffi._pointers cimport Pointer
from ffi._records cimport Record, make_record
from ffi._signature cimport (
    MAX_FRAME, Move, Plan, Signature, Step, order_arguments, python_signature, to_signature,
)
from ffi._specs cimport to_type
from ffi._types cimport describe
from ffi._values cimport Memory, load_object, set_typed_destructor

cnp.import_array()

cdef extern from "_compact.h":
    bint exact_int64(PyObject *value, int64_t *result)
    bint exact_double(PyObject *value, double *result)

cdef extern from "_direct_plan.h":
    void direct_place(const Move *move, const Move *end, char *frame, const char *value) nogil
    void direct_take(const Plan *plan, const char *frame, char *rvalue) nogil

cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        pass

    PyThreadState *PyEval_SaveThread()
    void PyEval_RestoreThread(PyThreadState *state)
    Py_ssize_t PyVectorcall_NARGS(size_t nargsf)
    object PyVectorcall_Call(object function, object args, object kwargs)
    bint PyArray_CheckExact "PyArray_CheckExact"(PyObject *value)
    object PyLong_FromLong(long value)
    object PyLong_FromLongLong(long long value)
    object PyLong_FromUnsignedLongLong(unsigned long long value)
    bint PyType_IS "Py_IS_TYPE"(PyObject *value, PyTypeObject *type)
    unsigned long Py_TPFLAGS_HAVE_VECTORCALL
    void PyType_Modified(PyTypeObject *type)

    ctypedef struct TypeObject "PyTypeObject":
        Py_ssize_t tp_vectorcall_offset
        void *tp_call
        unsigned long tp_flags

cdef enum:
    # Arguments by address; calls with more go the general way.
    MAX_HELD = 16

# Of functions that come from no library of ours.
cdef SharedObject OPEN = SharedObject.__new__(SharedObject)


# A function may be the errcheck of another, and so on: C's stack must not end before they do.
@cython.trashcan(True)
@cython.final
cdef class Function(CodePointer):
    """A C function that is called with Python values.

    Parameters
    ----------
    pointer : int, Pointer, Closure, Function, ctypes or cffi function pointer, or PyCapsule
        The function's address.
    *signature : str or types
        A prototype, such as ``"double hypot(double x, double y)"``; or the types of the result and
        the arguments. A capsule of SciPy's or another Cython module's needs none.
    release_gil : bool, optional
        Whether other Python threads run during a call. Give False for functions that are short and
        do not block.
    errcheck : callable, optional
        Called after the function as ``errcheck(result, function, args)``; what it returns is
        the call's result. See `check_errno`.

    Attributes
    ----------
    address : int
        The function's address.
    rtype : Type
        The result's type.
    atypes : tuple of Type
        The arguments' types.
    prototype : str
        The signature as C.
    library : Library or None
        Where the function comes from; it stays loaded as long as the function lives.
    release_gil : bool
    errcheck : callable or None

    Raises
    ------
    TypeError
        If `pointer` is no pointer to code, or a type is none.
    ValueError
        For NULL, and for a prototype that is no C.
    NotImplementedError
        For signatures that cannot be called correctly here, as `CIF` does.

    Notes
    -----
    Arguments are given by position or by the prototype's names. One that does not fit its type is
    a `TypeError`, `ValueError` or `OverflowError` that names it, before anything is called.

    Before a call C's ``errno`` is set to what `get_errno` gives, afterwards it is kept there.

    Functions are immutable and hashable; any number of threads may call one.

    Examples
    --------
    >>> libm = ffi.dlopen("m")
    >>> hypot = libm.function("double hypot(double x, double y)")
    >>> hypot(3.0, y=4.0)
    5.0
    >>> hypot("3", 4.0)
    Traceback (most recent call last):
    ...
    ffi.errors.FFITypeError: hypot(): argument 'x': expected a real number for double, got str '3'
    """

    def __cinit__(self, pointer=None, *signature, release_gil=True, errcheck=None):
        if type(pointer) is Source:
            prepare(self, pointer, release_gil, errcheck)
            return
        try:
            source = source_of(pointer, signature)
            prepare(self, source, release_gil, errcheck)
        except Error as exc:
            raise located(exc, "Function()") from None

    def __call__(self, *args, **kwargs):
        # Calls come in by `call_function`; this is what `Function.__call__` is.
        return PyVectorcall_Call(self, args, kwargs)

    @property
    def __name__(self):
        return self.signature.name

    @property
    def __qualname__(self):
        return self.__name__

    @property
    def __doc__(self):
        return self.prototype

    @property
    def prototype(self):
        """The signature as C."""
        return self.signature.prototype.text

    @property
    def rtype(self):
        return self.signature.rtype

    @property
    def atypes(self):
        return self.signature.atypes

    @property
    def cif(self):
        return self.signature.cif

    def __getattr__(self, name):
        # As a property it would be the class's signature too.
        if name == "__signature__":
            return python_signature(self.signature)
        raise AttributeError(f"'Function' object has no attribute {name!r}", name=name, obj=self)

    def __repr__(self):
        if self.signature is None:
            return "<ffi.Function (not made yet)>"
        state = " (closed)" if self.shared.closed else ""
        return f"<ffi.Function {self.prototype} at {self.address:#x}{state}>"

    def __eq__(self, other):
        if type(other) is not Function:
            return NotImplemented
        return self is other or identity(self) == identity(other)

    def __hash__(self):
        return hash(<uintptr_t>self.code)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


cdef tuple identity(Function self):
    return self.address, self.signature.prototype, self.release_gil, self.errcheck


# --- making one

cdef class Source:
    """Where a function comes from: what `library` and others hand over instead of a pointer."""

    cdef void *code
    cdef object prototype
    cdef object library
    cdef SharedObject shared
    cdef object keeper


def make_function(address, prototype, handle, release_gil, errcheck):
    """Make a function of a library, whose symbol `address` is."""
    cdef Source source = Source()
    source.code = <void *><uintptr_t>address
    source.prototype = prototype
    source.library = handle
    source.shared = (<Handle?>handle).shared
    return Function(source, release_gil=release_gil, errcheck=errcheck)


def declaration_of(Function function not None):
    """Return the `cdecl.Prototype` of a function."""
    return function.signature.prototype


# Filled by the module that knows other packages' function pointers:
# (object, whether the signature is known) -> (address, keeper, prototype or None), or None for what
# it does not know.
cdef object resolve_foreign = None


def set_resolve_foreign(function):
    """Say how the function pointers of other packages are read."""
    global resolve_foreign
    resolve_foreign = function


cdef Source source_of(object pointer, tuple signature):
    cdef Source source = Source()
    cdef object found = None
    if isinstance(pointer, CodePointer):
        source.code = (<CodePointer>pointer).code
        source.keeper = pointer
        if isinstance(pointer, Function):
            source.library = (<Function>pointer).library
            source.shared = (<Function>pointer).shared
            # What keeps its code, not itself: chains of functions would grow.
            source.keeper = (<Function>pointer).keeper
            source.prototype = (<Function>pointer).signature.prototype
    elif type(pointer) is Pointer:
        source.code = <void *>held_address(pointer)
        source.keeper = pointer
    elif type(pointer) is int:
        source.code = <void *>_marshal.to_uint64(_types.UINT64, pointer)
    elif resolve_foreign is not None:
        found = resolve_foreign(pointer, bool(signature))
        if found is not None:
            address, source.keeper, source.prototype = found
            source.code = <void *><uintptr_t>address
    if source.code is NULL:
        if found is None and type(pointer) is not int:
            raise FFITypeError(
                f"expected an address or a function pointer, got {describe(pointer)}"
            )
        raise FFIValueError("NULL is no function")
    if signature:
        source.prototype = prototype_of(signature)
    elif source.prototype is None:
        raise FFITypeError("expected a prototype, or the types of the result and the arguments")
    return source


cdef object prototype_of(tuple signature):
    first = signature[0]
    if isinstance(first, cdecl.Prototype):
        return first
    if len(signature) == 1 and isinstance(first, str) and "(" in first:
        return cdecl.parse_prototype(first)
    rtype, *atypes = [to_type(value) for value in signature]
    return cdecl.Prototype(None, rtype, tuple([cdecl.Parameter(None, atype) for atype in atypes]))


cdef int prepare(Function self, Source source, object release_gil, object errcheck) except -1:
    cdef object prototype = source.prototype
    if release_gil is not None and not isinstance(release_gil, bool):
        raise FFITypeError(f"argument 'release_gil': expected bool, got {describe(release_gil)}")
    if errcheck is not None and not callable(errcheck):
        raise FFITypeError(f"argument 'errcheck': expected a callable, got {describe(errcheck)}")
    self.code = source.code
    self.library = source.library
    self.shared = OPEN if source.shared is None else source.shared
    self.keeper = source.keeper
    self.release_gil = True if release_gil is None else release_gil
    self.errcheck = errcheck
    self.signature = to_signature(prototype)
    self.is_general = self.signature.is_general or errcheck is not None
    self.vectorcall = <void *>call_function
    return 0


# --- a call

cdef object call_function(
    PyObject *callable, PyObject **args, size_t nargsf, PyObject *keywords
):
    # Nothing here runs Python code once addresses are read: arguments that are no exact ints,
    # floats and so on, and whatever else is out of the ordinary, go another way.
    cdef PyObject *signature = <PyObject *>(<Function>callable).signature
    cdef const Plan *plan = (<Signature>signature).plan
    cdef const Step *step = (<Signature>signature).steps
    cdef const Step *end = step + (<Signature>signature).count
    cdef bint is_placed
    cdef char frame[MAX_FRAME]
    cdef char *result
    cdef Held held
    cdef Function function
    cdef Record record
    cdef Thread *thread
    cdef PyThreadState *state
    if keywords is not NULL or PyVectorcall_NARGS(nargsf) != (<Signature>signature).count:
        return call_with_names(<Function>callable, args, PyVectorcall_NARGS(nargsf), keywords)
    if (<Function>callable).is_general or (<Function>callable).shared.closed:
        return call_and_check(<Function>callable, args)
    if plan.result_address:
        # Before addresses are read: the garbage collector may run Python code.
        if (<Signature>signature).makes_record:
            record = make_record((<Signature>signature).rtype)
            result = record.data
        else:
            result = frame + (<Signature>signature).result_offset
        memcpy(frame + plan.result_address, &result, sizeof(result))
    held.count = 0
    while step < end:
        if step.code < _types.STRUCT:
            is_placed = put_word(step, args[0], frame + step.at, &held)
        else:
            is_placed = put_record(step, plan, args[0], frame)
        if not is_placed:
            let_go_of(&held)
            return call_and_check(
                <Function>callable, args - (step - (<Signature>signature).steps)
            )
        step += 1
        args += 1
    if (<Signature>signature).fixed_count:
        end += (<Signature>signature).fixed_count
        while step < end:
            memcpy(frame + step.at, &step.fixed, sizeof(uint64_t))
            step += 1
    # Those who call may let go of it meanwhile.
    function = <Function>callable
    thread = current_thread()
    if not (<Function>callable).release_gil:
        swap_in(thread)
        INVOKE_FRAME(frame, (<Function>callable).code, plan.stack_words, plan.flags)
        swap_out(thread)
    else:
        state = PyEval_SaveThread()
        swap_in(thread)
        INVOKE_FRAME(frame, (<Function>callable).code, plan.stack_words, plan.flags)
        swap_out(thread)
        PyEval_RestoreThread(state)
    if held.count:
        let_go_of(&held)
    if plan.result_address and (<Signature>signature).makes_record:
        return record
    return take_result(signature, plan, frame, <PyObject *>function.shared)


cdef object call_with_names(
    Function self, PyObject **args, Py_ssize_t count, PyObject *keywords
):
    cdef Py_ssize_t total = self.signature.count
    cdef PyObject **ordered = <PyObject **>malloc((total + 1) * sizeof(PyObject *))
    if ordered is NULL:
        raise MemoryError
    try:
        order_arguments(self.signature, args, count, keywords, ordered)
        return call_function(<PyObject *>self, ordered, total, NULL)
    finally:
        free(ordered)


cdef object call_and_check(Function self, PyObject **args):
    if self.shared.closed:
        raise FFIValueError(f"{self.__name__}(): {self.library.name!r} is closed")
    return call_open_or_closed(self, args)


cdef object call_open_or_closed(Function self, PyObject **args):
    cdef Py_ssize_t i
    # The call owns its function and arguments, whatever the caller lets go of meanwhile.
    cdef Function function = self
    cdef tuple owned = tuple([<object>args[i] for i in range(self.signature.count)])
    result = call_generally(self.signature, self.code, self.release_gil, args, self.shared)
    return result if self.errcheck is None else self.errcheck(result, function, owned)


cdef int call_destructor(CodePointer function, object pointer) except -1:
    # The code is there as long as the function lives, and leaving things open would help nobody.
    # This may be between a call and a look at its errno.
    cdef Thread *thread = current_thread()
    cdef int saved_errno = thread.saved_errno
    cdef PyObject *argument = <PyObject *>pointer
    try:
        call_open_or_closed(<Function>function, &argument)
    finally:
        thread.saved_errno = saved_errno
    return 0


set_typed_destructor(call_destructor)


# What the call owns, as whoever called may let go of it, or release it, meanwhile.
cdef struct Held:
    int count
    PyObject *objects[MAX_HELD]


cdef inline bint hold_object(Held *held, PyObject *value) noexcept:
    if held.count == MAX_HELD:
        return False
    Py_INCREF(<object>value)
    held.objects[held.count] = value
    held.count += 1
    return True


cdef inline void let_go_of(Held *held) noexcept:
    while held.count:
        held.count -= 1
        Py_DECREF(<object>held.objects[held.count])


cdef inline bint put_record(
    const Step *step, const Plan *plan, PyObject *value, char *frame
) noexcept:
    cdef const char *data
    cdef uint32_t at
    if (
        not PyType_IS(value, <PyTypeObject *>Record)
        or <PyObject *>(<Record>value).type.identity is not step.identity
    ):
        return False
    data = (<Record>value).data
    if step.second:
        memcpy(frame + step.at, data, 8)
        memcpy(frame + step.second, data + 8, 8)
    elif step.row_end:
        # A word at a time, as it is loaded again at once.
        at = step.at
        while at < step.row_end:
            memcpy(frame + at, data, 8)
            data += 8
            at += 8
    else:
        direct_place(&plan.moves[step.first], &plan.moves[step.end], frame, data)
    return True


cdef inline bint put_word(
    const Step *step, PyObject *value, char *to, Held *held
) noexcept:
    """Convert an exact int, float, array, bytes or None; return whether it was one that fits."""
    cdef int code = step.code
    cdef int64_t number
    cdef double real
    cdef float narrow
    cdef uint32_t bits
    cdef uint64_t word
    if code == _types.DOUBLE:
        if not exact_double(value, &real):
            return False
        memcpy(to, &real, sizeof(real))
        return True
    if code == _types.POINTER:
        return put_address(step, value, to, held)
    if code == _types.FLOAT:
        if not exact_double(value, &real):
            return False
        narrow = <float>real
        if isinf(narrow) and not isinf(real):
            return False
        memcpy(&bits, &narrow, sizeof(bits))
        word = bits
        memcpy(to, &word, sizeof(word))
        return True
    if code > _types.UINT64 or not exact_int64(value, &number) or not fits(number, code):
        return False
    memcpy(to, &number, sizeof(number))
    return True


cdef inline bint fits(int64_t number, int code) noexcept:
    if code == _types.INT32:
        return number == <int32_t>number
    if code == _types.INT64:
        return True
    if code == _types.UINT64:
        return number >= 0
    if code == _types.UINT32:
        return number == <uint32_t>number
    if code == _types.INT16:
        return number == <int16_t>number
    if code == _types.UINT16:
        return number == <uint16_t>number
    if code == _types.INT8:
        return number == <int8_t>number
    if code == _types.UINT8:
        return number == <uint8_t>number
    return False


cdef inline bint put_address(
    const Step *step, PyObject *value, char *to, Held *held
) noexcept:
    cdef char *data
    cdef PyObject *keeper = value
    if PyArray_CheckExact(value):
        if (
            (
                PyArray_TYPE(<Array *>value) != step.accepted.type_number
                and PyArray_TYPE(<Array *>value) != step.accepted.other_number
            )
            or not PyArray_CHKFLAGS(<Array *>value, step.accepted.flags)
            or not PyArray_ISNOTSWAPPED(<Array *>value)
        ):
            return False
        data = PyArray_BYTES(<Array *>value)
    elif value is <PyObject *>None:
        data = NULL
    elif PyBytes_CheckExact(<object>value) and step.takes_text:
        data = PyBytes_AS_STRING(<object>value)
        if strlen(data) != <size_t>PyBytes_GET_SIZE(<object>value):
            return False
    elif PyType_IS(value, <PyTypeObject *>Pointer) and is_pointer_for(step, value):
        data = <char *>(<Pointer>value).value
        # While this is held the pointer cannot be released.
        keeper = <PyObject *>(<Pointer>value).owner
    elif (
        PyType_IS(value, <PyTypeObject *>Record)
        and (<PyObject *>(<Record>value).type.identity is step.target or step.takes_any)
        and (step.is_const or not (<Record>value).readonly)
        and not is_ended(<PyObject *>(<Record>value).owner)
    ):
        data = (<Record>value).data
    else:
        return False
    memcpy(to, &data, sizeof(data))
    return hold_object(held, keeper)


cdef inline bint is_pointer_for(const Step *step, PyObject *value) noexcept:
    return (
        (<Pointer>value).value != 0
        and (step.is_const or not (<Pointer>value).readonly)
        and (
            <PyObject *>(<Pointer>value).type.target.identity is step.target
            or step.takes_any
        )
        and not is_ended(<PyObject *>(<Pointer>value).owner)
    )


cdef inline bint is_ended(PyObject *owner) noexcept:
    return PyType_IS(owner, <PyTypeObject *>Memory) and (<Memory>owner).value == 0


cdef inline object take_result(
    PyObject *signature, const Plan *plan, char *frame, PyObject *shared
):
    cdef int code = (<Signature>signature).result_code
    cdef uint64_t word
    cdef double real
    cdef char *result
    cdef Record record
    if code == _types.VOID:
        return None
    result = frame + (<Signature>signature).result_at
    if code == _types.DOUBLE:
        memcpy(&real, result, sizeof(real))
        return PyFloat_FromDouble(real)
    if code <= _types.FLOAT:
        memcpy(&word, result, sizeof(word))
        if code == _types.INT32:
            return PyLong_FromLong(<int32_t>word)
        if code == _types.INT64:
            return PyLong_FromLongLong(<int64_t>word)
        if code == _types.UINT64:
            return PyLong_FromUnsignedLongLong(word)
        if code == _types.UINT32:
            return PyLong_FromLongLong(<uint32_t>word)
        if code == _types.POINTER and word == 0:
            return None
        return load_object((<Signature>signature).rtype, result, <object>shared)
    result = frame + (<Signature>signature).result_offset
    if (<Signature>signature).makes_record:
        record = make_record((<Signature>signature).rtype)
        direct_take(plan, frame, record.data)
        return record
    if plan.result_address == 0:
        direct_take(plan, frame, result)
    return load_object((<Signature>signature).rtype, result, <object>shared)


# --- calls come in without a tuple of arguments

# Cython has no word for the vectorcall protocol: where the type keeps the function to call.
cdef extern from *:
    """
    #define VECTORCALL_OFFSET offsetof(struct __pyx_obj_3ffi_9_function_Function, vectorcall)
    """
    Py_ssize_t VECTORCALL_OFFSET

cdef TypeObject *function_type = <TypeObject *>Function
function_type.tp_vectorcall_offset = VECTORCALL_OFFSET
function_type.tp_call = <void *>PyVectorcall_Call
function_type.tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL
PyType_Modified(<PyTypeObject *>Function)
