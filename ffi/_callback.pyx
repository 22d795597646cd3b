"""Callbacks: Python functions that C calls with values, by a prototype.

The signature is read the other way round: what a call of C would convert to C is converted to
Python here. `_closure` has what exceptions do, `_slots` the machine code.
"""

from ffi import cdecl
from ffi.errors import (
    Error,
    FFIBufferError,
    FFINotImplementedError,
    FFITypeError,
    FFIValueError,
    located,
)

cimport cython
cimport numpy as cnp
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from ffi cimport _marshal, _types
from ffi._buffers cimport Descr, Keepers, settle
from ffi._capsule cimport capsule_of
from ffi._closure cimport Caller, close_caller, open_caller, widen
from ffi._function cimport Function
from ffi._locks cimport Mutex, lock_mutex, unlock_mutex
from ffi._shapes cimport MAX_AXES, MAX_VARIABLES, UNKNOWN, length_at, length_of
from ffi._signature cimport Signature, Step, argument_name, python_signature, to_signature
from ffi._slots cimport result_size
from ffi._specs cimport to_type
from ffi._types cimport Type, defined, describe
from ffi._values cimport load_object, new_keepers, set_callback_maker, store_object

cnp.import_array()

cdef extern from "alloca.h":
    void *alloca(size_t size) nogil

cdef extern from "Python.h":
    PyObject *PyTuple_GET_ITEM(object items, Py_ssize_t index)
    PyObject *PyObject_Vectorcall(
        PyObject *function, PyObject **args, size_t nargsf, PyObject *names
    )
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    Py_ssize_t Py_REFCNT(PyObject *object)

cdef extern from *:
    bint __builtin_mul_overflow(Py_ssize_t a, Py_ssize_t b, Py_ssize_t *product) noexcept

cdef extern from "numpy/arrayobject.h":
    PyObject *PyArray_NewFromDescr(
        type subtype, Descr *descr, int ndim, cnp.npy_intp *lengths, cnp.npy_intp *strides,
        void *data, int flags, PyObject *base
    )


@cython.final
@cython.no_gc_clear  # the code is let go of while `function` still lives
cdef class Callback(Caller):
    """A C function pointer that calls a Python function with Python values.

    `callback` makes them.

    Attributes
    ----------
    address : int
        The function pointer for C.
    prototype : str
        The signature as C.
    cif : CIF
    function : callable
        What is called.
    onerror : callable or None

    Examples
    --------
    >>> @ffi.callback("double (double x)")
    ... def square(x):
    ...     return x * x
    >>> square(3.0)
    9.0
    >>> square
    <ffi.Callback double (double x) of <function square at 0x...> at 0x...>
    """

    def __cinit__(self, *args, **kwargs):
        # Only `new_callback` has a Signature.
        if len(args) != 1 or type(args[0]) is not Signature:
            raise FFITypeError("Callback(): use ffi.callback(prototype, function)")
        self.signature = args[0]

    def __dealloc__(self):
        # First of all: what follows may run Python code, and that C.
        close_caller(self)

    @property
    def prototype(self):
        """The signature as C."""
        return self.declared.text

    @property
    def __name__(self):
        return getattr(self.function, "__name__", "callback")

    @property
    def __doc__(self):
        return getattr(self.function, "__doc__", None) or self.prototype

    def __getattr__(self, name):
        if name == "__signature__":
            return python_signature(self.signature)
        raise AttributeError(f"'Callback' object has no attribute {name!r}", name=name, obj=self)

    def __call__(self, *args, **kwargs):
        return Function(self)(*args, **kwargs)

    def capsule(self, context=None):
        """Return a PyCapsule of the function pointer, as ``scipy.LowLevelCallable`` takes it.

        Parameters
        ----------
        context : buffer, Pointer, int or None, optional
            What the function gets as its ``user_data``.

        Returns
        -------
        PyCapsule
            Named by the C signature, such as ``"double (double)"``. It keeps the callback, and
            what `context` points at.
        """
        return capsule_of(self, self.declared, context)

    def __repr__(self):
        return f"<ffi.Callback {self.prototype} of {self.function!r} at {self.address:#x}>"

    def __reduce_ex__(self, protocol):
        raise FFITypeError(f"{self!r} cannot be pickled or copied")

    cdef int receive(self, void *rvalue, void **avalues) except -1:
        return call_python(self, rvalue, avalues)

    cdef int substitute(self, object error, void *rvalue) except -1:
        if self.onerror is None:
            return 0
        result = self.onerror(type(error), error, error.__traceback__)
        if result is None:
            # It has nothing to say: C gets what `error` was.
            return 0
        try:
            convert_result(self, result, <char *>rvalue)
        except Error as exc:
            raise located(exc, f"{self.__name__}(): result of 'onerror'") from error


def callback(prototype, function=None, *, error=0, onerror=None):
    """Make a C function pointer of a Python function.

    Parameters
    ----------
    prototype : str, Type or Function
        What C passes and expects, such as ``"int (const int *a, const int *b)"``; the type of a
        function pointer; or a Function with the same signature.
    function : callable, optional
        Called with the prototype's parameters as Python values, by position. Arrays whose lengths
        other parameters tell, as in ``"double (size_t n, const double x[n])"``, are ndarrays over
        C's memory, and those parameters are left out, as in calls of C. What it returns is
        converted to the type of the result. Without it, a decorator is returned.
    error : object, optional
        What C gets instead of a result after an exception; zeros if not given.
    onerror : callable, optional
        Called after an exception, as ``onerror(type, exception, traceback)``; what it returns is
        what C gets, `error` if that is None.

    Returns
    -------
    Callback
        Whoever has a C function that wants such a pointer can give it. Keep a reference as long as
        C may call it; calls keep their arguments while they run.

    Raises
    ------
    TypeError
        If `function` or `onerror` cannot be called, or `error` is no such result.
    ValueError
        For a prototype that is no C.
    NotImplementedError
        For variadic functions, and what cannot be called correctly here.

    Notes
    -----
    An exception in `function`, or a result that does not fit, is raised by the call of C through
    which C came here, when that returns; until then its callbacks are not run, and C gets `error`.
    On threads that Python did not start it reaches the call that the callback was given to, while
    that runs. Otherwise it goes to `sys.unraisablehook`.

    Arrays are valid until `function` returns: that one is still referenced then is a `BufferError`.
    What a result points at is kept until the callback's next result, or its end.

    Of a callback that several running calls were given, an exception on a thread of C's goes to the
    last of these.

    Examples
    --------
    >>> libc = ffi.dlopen(None)
    >>> qsort = libc.function(
    ...     "void qsort(void *base, size_t n, size_t size, "
    ...     "int (*compare)(const int *, const int *))"
    ... )
    >>> @ffi.callback("int (const int *a, const int *b)")
    ... def compare(a, b):
    ...     return a[0] - b[0]
    >>> numbers = np.array([3, 1, 2], np.intc)
    >>> qsort(numbers, numbers.size, numbers.itemsize, compare)
    >>> numbers
    array([1, 2, 3], dtype=int32)
    """
    try:
        signature = signature_of(prototype)
        if function is None:
            return lambda function: callback(prototype, function, error=error, onerror=onerror)
        return new_callback(signature, function, error, onerror)
    except Error as exc:
        raise located(exc, "callback()") from None


cdef Signature signature_of(object prototype):
    cdef Type type
    if isinstance(prototype, Function):
        return (<Function>prototype).signature
    if isinstance(prototype, cdecl.Prototype):
        return to_signature(prototype)
    if isinstance(prototype, str) and "(" in prototype and "(*)" not in prototype:
        return to_signature(cdecl.parse_prototype(prototype))
    type = to_type(prototype)
    if type.code == _types.POINTER and type.target.code == _types.FUNCTION:
        type = type.target
    if type.code != _types.FUNCTION:
        raise FFITypeError(f"expected a prototype, got {describe(prototype)}")
    return to_signature(type.prototype)


cdef Callback new_callback(Signature signature, object function, object error, object onerror):
    cdef Callback self
    cdef char *instead
    cdef object prototype = signature.prototype
    if not callable(function):
        raise FFITypeError(f"argument 'function': expected a callable, got {describe(function)}")
    if onerror is not None and not callable(onerror):
        raise FFITypeError(f"argument 'onerror': expected a callable, got {describe(onerror)}")
    if prototype.variadic:
        raise FFINotImplementedError(f"{prototype.text}: variadic callbacks are not supported")
    self = Callback.__new__(Callback, signature)
    self.declared = prototype
    self.function = function
    self.onerror = onerror
    self.has_arrays = any([dimensions is not None for dimensions in signature.dimensions])
    instead = <char *>calloc(1, result_size(signature.cif) + sizeof(long double))
    if instead is NULL:
        raise MemoryError
    try:
        if not (type(error) is int and error == 0):
            try:
                convert_result(self, error, instead)
            except Error as exc:
                raise located(exc, "argument 'error'") from None
            # The results' come and go.
            self.kept_error = self.kept
            self.kept = None
        open_caller(self, signature.cif, instead)
    finally:
        free(instead)
    return self


cdef object callback_for(Type pointer, object function):
    """Make a callback of what is given for a pointer to a function."""
    return new_callback(to_signature(pointer.target.prototype), function, 0, None)


set_callback_maker(callback_for)


# --- a call by C

cdef int call_python(Callback self, void *rvalue, void **avalues) except -1:
    cdef Signature signature = self.signature
    cdef Py_ssize_t i, index = 0, made = 0, count = signature.count
    cdef PyObject **args = <PyObject **>alloca((count + 1) * sizeof(PyObject *))
    cdef PyObject *returned = NULL
    cdef int64_t lengths[MAX_VARIABLES]
    cdef object function = self.function
    # One before the first is the callee's to use.
    args += 1
    try:
        if signature.variable_count:
            read_lengths(signature, avalues, lengths, &index)
        while made < count:
            index = made
            args[made] = convert_argument(signature, made, avalues, lengths)
            made += 1
        index = -1
        returned = PyObject_Vectorcall(
            <PyObject *>function, args, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL
        )
        if returned is NULL:
            reraise()
        if self.has_arrays:
            for i in range(count):
                if signature.steps[i].shape.ndim >= 0 and Py_REFCNT(args[i]) > 1:
                    check_kept(signature, i, <object>args[i])
        convert_result(self, <object>returned, <char *>rvalue)
    except Error as exc:
        if returned is not NULL and type(exc) is not FFIBufferError:
            raise located(exc, f"{self.__name__}(): result") from None
        if index >= 0:
            where = f"{self.__name__}(): {argument_name(signature, index)}"
            raise located(exc, where) from None
        raise
    finally:
        for i in range(made):
            Py_DECREF(<object>args[i])
        if returned is not NULL:
            Py_DECREF(<object>returned)
    return 0


cdef extern from *:
    # What C's API has set.
    """
    #define reraise() (-1)
    """
    int reraise() except -1


cdef int check_kept(Signature signature, Py_ssize_t i, object array) except -1:
    if not isinstance(array, cnp.ndarray):
        return 0
    name = signature.names[i] or f"arg{i}"
    raise FFIBufferError(f"callback kept {name!r}; use {name}.copy()")


cdef int read_lengths(
    Signature signature, void **avalues, int64_t *lengths, Py_ssize_t *index
) except -1:
    cdef Py_ssize_t i
    cdef Step *step
    for i in range(signature.variable_count):
        lengths[i] = UNKNOWN
    for i in range(signature.total):
        step = &signature.steps[i]
        if step.variable >= 0:
            index[0] = i
            lengths[step.variable] = length_at(signature.atypes[i], avalues[step.argument])
    return 0


cdef inline PyObject *convert_argument(
    Signature signature, Py_ssize_t i, void **avalues, const int64_t *lengths
) except NULL:
    cdef Step *step = &signature.steps[i]
    cdef Type type = <Type>PyTuple_GET_ITEM(signature.atypes, i)
    cdef char *data = <char *>avalues[step.argument]
    cdef object value
    if step.shape.ndim >= 0:
        return array_at(signature, i, type, (<char **>data)[0], lengths)
    if step.code == _types.POINTER or step.code >= _types.STRUCT:
        value = load_object(type, data, None)
    else:
        value = _marshal.load(type, data)
    Py_INCREF(value)
    return <PyObject *>value


cdef PyObject *array_at(
    Signature signature, Py_ssize_t i, Type type, char *data, const int64_t *lengths
) except NULL:
    cdef Step *step = &signature.steps[i]
    cdef cnp.npy_intp shape[MAX_AXES]
    cdef int64_t length
    cdef int k, flags = cnp.NPY_ARRAY_C_CONTIGUOUS
    cdef Type target = defined(type.target)
    cdef Py_ssize_t nbytes = target.size
    cdef object dtype
    if data is NULL:
        Py_INCREF(None)
        return <PyObject *>None
    for k in range(step.shape.ndim):
        length = length_of(&step.shape.dimensions[k], lengths, signature.dimensions[i][k])
        if length < 0:
            # Nothing tells how many there are.
            pointer = load_object(type, <const char *>&data, None)
            Py_INCREF(pointer)
            return <PyObject *>pointer
        shape[k] = length
        if __builtin_mul_overflow(nbytes, max(length, 1), &nbytes):
            raise FFIValueError(f"expected an array that fits memory, got {length} items")
    if not type.const:
        flags |= cnp.NPY_ARRAY_WRITEABLE
    if <uintptr_t>data % target.alignment == 0:
        flags |= cnp.NPY_ARRAY_ALIGNED
    dtype = target._dtype
    # NumPy takes the reference of the dtype over.
    Py_INCREF(dtype)
    return PyArray_NewFromDescr(
        cnp.ndarray, <Descr *>dtype, step.shape.ndim, shape, NULL, data, flags, NULL
    )


cdef int convert_result(Callback self, object value, char *rvalue) except -1:
    cdef Signature signature = self.signature
    cdef Type rtype = signature.rtype
    cdef double number[4]
    if rtype.code == _types.DOUBLE and PyFloat_CheckExact(value):
        number[0] = PyFloat_AS_DOUBLE(value)
        memcpy(rvalue, number, sizeof(double))
        return 0
    if rtype.code == _types.VOID:
        return 0
    if rtype.code == _types.POINTER or rtype.code >= _types.STRUCT:
        return convert_other(self, value, rvalue)
    # What has no members, a long double complex at most.
    number[0] = 0
    _marshal.store(rtype, <char *>number, value, None)
    widen(signature.cif, <char *>number, rvalue)
    return 0


# Of what the callbacks' results point at.
cdef Mutex kept_lock


cdef int convert_other(Callback self, object value, char *rvalue) except -1:
    cdef Signature signature = self.signature
    cdef Type rtype = signature.rtype
    cdef Keepers keepers = new_keepers()
    cdef char *result = <char *>calloc(1, rtype.size + sizeof(long double))
    if result is NULL:
        raise MemoryError
    try:
        store_object(rtype, result, value, keepers)
        settle(keepers)
        # C may read it when Python has gone on. What the last result kept ends after the lock.
        lock_mutex(&kept_lock)
        keepers, self.kept = self.kept, keepers
        unlock_mutex(&kept_lock)
        widen(signature.cif, result, rvalue)
    finally:
        free(result)
    return 0
