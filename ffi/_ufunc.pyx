"""vectorize: C functions as NumPy's ufuncs.

What a function is as a ufunc is `_operands`', and how it is called is `_loops`'.
"""

import copyreg

import numpy as np

from ffi._operands import in_order, layout_of
from ffi.errors import Error, FFINotImplementedError, FFITypeError, FFIValueError, located

cimport cython
cimport numpy as cnp
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdlib cimport calloc, free

from ffi._function cimport Function
from ffi._loops cimport Loop, compute_lengths, make_loop, run_loop
from ffi._types cimport describe

cnp.import_array()
cnp.import_umath()

cdef extern from "Python.h":
    bint PyObject_GC_IsTracked(object value)
    void PyObject_GC_Track(object value)
    void set_error "PyErr_SetObject"(object type, object value)

cdef extern from "_ufunc.h":
    ctypedef int (*core_dims_processor)(void *ufunc, Py_ssize_t *lengths) noexcept
    bint set_core_dims_processor(cnp.ufunc ufunc, core_dims_processor function)

    # As Cython's declarations for NumPy 2.5 no longer let it be set.
    ctypedef struct Owner "PyUFuncObject":
        PyObject *obj


@cython.final
@cython.no_gc_clear  # the ufunc has the addresses of what it holds
cdef class Table:
    """What a ufunc has the addresses of; it holds the only reference."""

    cdef tuple functions                # as they were given
    cdef list loops                     # in NumPy's order
    cdef object name                    # as given: None for the first function's
    cdef object doc
    cdef bytes c_name
    cdef bytes c_doc
    cdef bytes types
    cdef cnp.PyUFuncGenericFunction *codes
    cdef void **data

    def __dealloc__(self):
        free(self.codes)
        free(self.data)


def vectorize(function, /, *more, name=None, doc=None):
    """Make a NumPy ufunc of a C function.

    Parameters
    ----------
    function, *more : Function
        One C function, or several that are the same for different types: NumPy takes the one whose
        types fit. What `Function` takes without a signature will do too.
    name : str, optional
        The ufunc's ``__name__``; the first function's by default.
    doc : str, optional
        The ufunc's ``__doc__``; the prototypes by default.

    Returns
    -------
    numpy.ufunc
        With scalar parameters an elementwise one. With array parameters a generalised one, whose
        core signature is the prototype's: of ``double dot(size_t n, const double x[n], const
        double y[n])`` it is ``(n),(n)->()``. Inputs are the parameters in their order, ``const``
        arrays among them; outputs are the C result and what `out` names; the parameters that are
        lengths are filled in.

    Raises
    ------
    TypeError
        For functions of anything but numbers and arrays of numbers, with arrays that are neither
        ``const`` nor in `out`, without any result, or with an `errcheck`; and for several functions
        that differ in more than their types.
    ValueError
        For several functions of the same types.
    NotImplementedError
        For lengths that only a value tells, and more operands than NumPy has room for.

    See Also
    --------
    Library.function, numpy.ufunc

    Notes
    -----
    NumPy casts, broadcasts and copies as for its own ufuncs: other types than the function's are
    converted to them where that is safe. An array that C gets is contiguous, if need be a copy.

    The GIL is released while C runs, if the function releases it. With ``release_gil=False`` it is
    held, for arrays of any size.

    What a callback raises ends the loop, and the ufunc raises it. `get_errno` is what the last
    call left.

    The ufunc keeps its functions. It pickles if they do.

    Examples
    --------
    >>> libm = ffi.dlopen("m")
    >>> sin = ffi.vectorize(
    ...     libm.function("double sin(double)"), libm.function("float sinf(float)")
    ... )
    >>> sin(np.zeros((2, 3)))
    array([[0., 0., 0.],
           [0., 0., 0.]])
    >>> sin.types
    ['f->f', 'd->d']
    >>> frexp = ffi.vectorize(libm.function("double frexp(double x, int *e)", out=["e"]))
    >>> frexp([8.0, 0.75])
    (array([0.5 , 0.75]), array([4, 0], dtype=int32))
    """
    cdef tuple functions
    cdef list layouts = []
    cdef Function item
    try:
        functions = tuple([as_function(value) for value in (function, *more)])
        for item in functions:
            check_text(name, "name")
            check_text(doc, "doc")
            layouts.append(located_layout(item))
        order = in_order(layouts)
        return make_ufunc(functions, layouts, order, name, doc)
    except Error as exc:
        raise located(exc, "vectorize()") from None


cdef Function as_function(object value):
    return value if isinstance(value, Function) else Function(value)


cdef int check_text(object text, str argument) except -1:
    if text is None:
        return 0
    if not isinstance(text, str):
        raise FFITypeError(f"argument {argument!r}: expected a str, got {describe(text)}")
    if "\0" in text:
        raise FFIValueError(f"argument {argument!r}: expected a str without NUL")
    return 0


cdef object located_layout(Function function):
    try:
        if function.errcheck is not None:
            raise FFITypeError(
                "it has an errcheck, which is Python and cannot be called for each element; take a "
                "function without, and look at what the ufunc returns"
            )
        return layout_of(function.signature.prototype)
    except Error as exc:
        raise located(exc, f"{function.signature.name}()") from None


cdef object make_ufunc(tuple functions, list layouts, list order, object name, object doc):
    cdef Table table = Table.__new__(Table)
    cdef cnp.ufunc ufunc
    cdef Loop loop
    cdef bytes signature
    cdef char *c_signature = NULL
    cdef int i, count = len(functions)
    first = layouts[0]
    table.functions = functions
    table.name = name
    table.doc = doc
    table.loops = [make_loop(functions[k], layouts[k]) for k in order]
    if name is None:
        name = (<Function>functions[0]).signature.name
    if doc is None:
        doc = "\n".join([function.prototype for function in functions])
    table.c_name = name.encode()
    table.c_doc = doc.encode()
    table.types = bytes([
        operand.dtype.num for k in order for operand in layouts[k].inputs + layouts[k].outputs
    ])
    table.codes = <cnp.PyUFuncGenericFunction *>calloc(count, sizeof(void *))
    table.data = <void **>calloc(count, sizeof(void *))
    if table.codes is NULL or table.data is NULL:
        raise MemoryError
    for i, loop in enumerate(table.loops):
        table.codes[i] = <cnp.PyUFuncGenericFunction><void *>run_loop
        table.data[i] = &loop.kernel
    if first.signature is not None:
        signature = first.signature.encode()
        c_signature = PyBytes_AS_STRING(signature)
    try:
        ufunc = cnp.PyUFunc_FromFuncAndDataAndSignature(
            table.codes, table.data, PyBytes_AS_STRING(table.types), count, len(first.inputs),
            len(first.outputs), cnp.PyUFunc_None, PyBytes_AS_STRING(table.c_name),
            PyBytes_AS_STRING(table.c_doc), 0, c_signature,
        )
    except ValueError as exc:
        raise FFINotImplementedError(str(exc)) from None
    Py_INCREF(table)
    (<Owner *>ufunc).obj = <PyObject *>table
    if not PyObject_GC_IsTracked(ufunc):
        # NumPy leaves that to who gives a ufunc something to hold.
        PyObject_GC_Track(ufunc)
    loop = table.loops[0]
    if loop.kernel.computed_count:
        set_core_dims_processor(ufunc, process_core_dims)
    return ufunc


cdef int process_core_dims(void *ufunc, Py_ssize_t *lengths) noexcept:
    # NumPy asks when it knows the lengths of the inputs.
    cdef Table table = <Table>(<Owner *>ufunc).obj
    try:
        compute_lengths(table.loops[0], lengths)
    except BaseException as exc:
        set_error(type(exc), exc)
        return -1
    return 0


cdef Table table_of(object ufunc):
    cdef PyObject *held = (<Owner *>ufunc).obj if isinstance(ufunc, np.ufunc) else NULL
    if held is NULL or type(<object>held) is not Table:
        return None
    return <Table>held


# --- pickling

# How NumPy's own ufuncs pickle: by their names.
cdef object reduce_other = copyreg.dispatch_table.get(np.ufunc)


def _reduce(ufunc):
    cdef Table table = table_of(ufunc)
    if table is not None:
        return _restore, (table.functions, table.name, table.doc)
    return object.__reduce_ex__(ufunc, 4) if reduce_other is None else reduce_other(ufunc)


def _restore(functions, name, doc):
    return vectorize(*functions, name=name, doc=doc)


copyreg.pickle(np.ufunc, _reduce)
