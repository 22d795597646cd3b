"""Functions: C functions with a signature, called with Python values.

Here is the quick way of a call, for arguments that are what they should be; whatever is out of the
ordinary goes the general way.
"""

from ffi import cdecl
from ffi._prototype import with_out
from ffi.errors import Error, FFITypeError, FFIValueError, located

cimport cython
cimport numpy as cnp
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport int64_t, uint32_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from ffi cimport _types
from ffi._buffers cimport AddressHolder, CodePointer, held_address, to_address
from ffi._capsule cimport capsule_of
from ffi._closure cimport Caller
from ffi._direct cimport INVOKE_FRAME, frame_invoker
from ffi._dl cimport Handle, SharedObject
from ffi._frames cimport Frame, Thread, begin_call, current_thread, end_call, raise_error
from ffi._general cimport call_generally
from ffi._likely cimport unlikely
from ffi._pointers cimport Pointer
from ffi._quick cimport Held, let_go_of, put_record, put_rest, put_word, take_result
from ffi._records cimport Record, make_record
from ffi._shapes cimport MAX_VARIABLES, UNKNOWN
from ffi._signature cimport (
    DIRECT_MOVE_BYTES, MAX_FRAME, Plan, Signature, Step, order_arguments, python_signature,
    to_signature,
)
from ffi._specs cimport to_type
from ffi._types cimport Type, describe
from ffi._values cimport PointerMaker, is_code_for, set_function_makers
from ffi._variadic cimport with_added

cnp.import_array()

# Nearer than that of another module.
cdef frame_invoker invoke_frame = INVOKE_FRAME

cdef extern from "Python.h":
    Py_ssize_t PyVectorcall_NARGS(size_t nargsf)
    object PyVectorcall_Call(object function, object args, object kwargs)
    PyObject *PyTuple_GET_ITEM(object items, Py_ssize_t index)
    unsigned long Py_TPFLAGS_HAVE_VECTORCALL
    void PyType_Modified(PyTypeObject *type)

    ctypedef struct TypeObject "PyTypeObject":
        Py_ssize_t tp_vectorcall_offset
        void *tp_call
        unsigned long tp_flags

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
    out : sequence of str, optional
        Names of parameters that the function only writes to: they are made by the call, and
        returned.
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

    def __cinit__(self, pointer=None, *signature, release_gil=True, out=(), errcheck=None):
        if type(pointer) is Source:
            prepare(self, pointer, release_gil, errcheck)
            return
        try:
            source = source_of(pointer, signature)
            if out:
                source.prototype = with_out(source.prototype, out)
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

    def capsule(self, context=None):
        """Return a PyCapsule of the function pointer, as ``scipy.LowLevelCallable`` takes it.

        Parameters
        ----------
        context : buffer, Pointer, int or None, optional
            What the function gets as its ``user_data``.

        Returns
        -------
        PyCapsule
            Named by the C signature, such as ``"double (double)"``. It keeps the function, and
            what `context` points at.
        """
        return capsule_of(self, self.signature.prototype, context)

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
        elif isinstance(pointer, Caller):
            source.prototype = (<Caller>pointer).declared
    elif type(pointer) is Pointer:
        source.code = <void *>held_address(pointer)
        source.keeper = pointer
    elif type(pointer) is int:
        source.code = <void *>to_address(pointer)
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
    prepare_entry(self, &self.entry)
    return 0


cdef int prepare_entry(Function self, Entry *entry) except -1:
    entry.function = <PyObject *>self
    entry.code = self.code
    entry.closed = &self.shared.closed
    entry.argument_count = self.signature.cif.nargs
    entry.has_result = self.signature.rtype.code != _types.VOID
    if moves_scalars(self.signature.plan):
        entry.plan = self.signature.plan
    return 0


cdef bint moves_scalars(const Plan *plan) noexcept:
    cdef uint32_t i
    if (
        plan is NULL or plan.frame_size > MAX_FRAME or plan.result_address
        or plan.move_count != plan.argument_count
    ):
        return False
    for i in range(plan.move_count):
        if plan.moves[i].kind >= DIRECT_MOVE_BYTES or plan.moves[i].argument != i:
            return False
    return True


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
    cdef int64_t lengths[MAX_VARIABLES]
    cdef Py_ssize_t i
    cdef char frame[MAX_FRAME]
    cdef char *result
    cdef Held held
    cdef Function function
    cdef Record record
    cdef Thread *thread
    cdef Frame running
    if unlikely(
        keywords is not NULL or PyVectorcall_NARGS(nargsf) != (<Signature>signature).count
    ):
        return call_with_names(<Function>callable, args, PyVectorcall_NARGS(nargsf), keywords)
    if unlikely((<Function>callable).is_general or (<Function>callable).shared.closed):
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
    running.error = NULL
    if (<Signature>signature).variable_count:
        for i in range((<Signature>signature).variable_count):
            lengths[i] = UNKNOWN
    while step < end:
        if step.code < _types.STRUCT:
            is_placed = put_word(step, args[0], frame + step.at, &held, lengths)
        else:
            is_placed = put_record(step, plan, args[0], frame)
        if unlikely(not is_placed):
            let_go_of(&held)
            return call_and_check(
                <Function>callable, args - (step - (<Signature>signature).steps)
            )
        step += 1
        args += 1
    if (
        (<Signature>signature).rest_count
        and not put_rest(step, (<Signature>signature).rest_count, frame, lengths)
    ):
        let_go_of(&held)
        return call_and_check(<Function>callable, args - (<Signature>signature).count)
    # Those who call may let go of it meanwhile.
    function = <Function>callable
    thread = current_thread()
    begin_call(thread, &running, (<Function>callable).release_gil)
    invoke_frame(frame, (<Function>callable).code, plan.stack_words, plan.flags)
    end_call(thread, &running)
    if held.count:
        let_go_of(&held)
    if unlikely(running.error is not NULL):
        raise_error(&running)
    if plan.result_address and (<Signature>signature).makes_record:
        return record
    return take_result(signature, plan, frame, <PyObject *>function.shared)


cdef object call_with_names(
    Function self, PyObject **args, Py_ssize_t count, PyObject *keywords
):
    # What is added may let go of the function while its type is looked for.
    cdef Function function = self
    cdef Signature signature = function.signature
    cdef Py_ssize_t i, expected = signature.count
    cdef PyObject **ordered
    cdef tuple added = ()
    if signature.variadic and count > expected:
        added = tuple([<object>args[i] for i in range(expected, count)])
        signature, added = with_added(signature, added)
    ordered = <PyObject **>malloc((signature.total + 1) * sizeof(PyObject *))
    if ordered is NULL:
        raise MemoryError
    try:
        order_arguments(
            self.signature, args, min(count, expected) if added else count, args + count,
            keywords, ordered,
        )
        if added:
            make_room(self.signature, ordered, added)
            return call_open(self, signature, ordered)
        for i in range(expected, signature.total):
            if ordered[i] is not NULL:
                return call_open(self, signature, ordered)
        return call_function(<PyObject *>self, ordered, expected, NULL)
    finally:
        free(ordered)


cdef int make_room(Signature signature, PyObject **ordered, tuple added) noexcept:
    # What is added stands behind what is given by position, before what is given by name only.
    cdef Py_ssize_t i, more = len(added)
    for i in range(signature.total - 1, signature.count - 1, -1):
        ordered[i + more] = ordered[i]
    for i in range(more):
        ordered[signature.count + i] = PyTuple_GET_ITEM(added, i)
    return 0


cdef object call_and_check(Function self, PyObject **args):
    """Call with all that is given by position."""
    cdef Signature signature = self.signature
    cdef PyObject **ordered
    cdef Py_ssize_t i
    if signature.total == signature.count:
        return call_open(self, signature, args)
    ordered = <PyObject **>calloc(signature.total, sizeof(PyObject *))
    if ordered is NULL:
        raise MemoryError
    try:
        for i in range(signature.count):
            ordered[i] = args[i]
        return call_open(self, signature, ordered)
    finally:
        free(ordered)


cdef object call_open(Function self, Signature signature, PyObject **args):
    if self.shared.closed:
        name = "its library" if self.library is None else repr(self.library.name)
        raise FFIValueError(f"{self.__name__}(): {name} is closed")
    return call_open_or_closed(self, signature, args)


cdef object call_open_or_closed(Function self, Signature signature, PyObject **args):
    # The call owns its function, whatever the caller lets go of meanwhile.
    cdef Function function = self
    return call_generally(
        signature, self.code, self.release_gil, args, self.shared, function, self.errcheck
    )


cdef int call_destructor(CodePointer function, object pointer) except -1:
    # The code is there as long as the function lives, and leaving things open would help nobody.
    # This may be between a call and a look at its errno.
    cdef Thread *thread = current_thread()
    cdef int saved_errno = thread.saved_errno
    cdef PyObject *argument = <PyObject *>pointer
    try:
        call_open_or_closed(<Function>function, (<Function>function).signature, &argument)
    finally:
        thread.saved_errno = saved_errno
    return 0


cdef object function_at(Type pointer, uintptr_t address, object owner):
    """The function that a pointer in memory, or a result, points at."""
    cdef Source source = Source()
    if isinstance(owner, Function) and is_code_for(pointer, owner):
        return owner
    source.code = <void *>address
    source.prototype = pointer.target.prototype
    source.keeper = owner
    if isinstance(owner, AddressHolder):
        owner = (<AddressHolder>owner).owner
    if isinstance(owner, SharedObject):
        source.shared = owner
    return Function(source)


set_function_makers(call_destructor, <PointerMaker>function_at)


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
