"""Signatures: what a call does with each argument, decided once.

`Step` says how an argument is converted and where in the frame of a direct call it goes. No value
is converted here.
"""

import inspect
import keyword

from ffi.errors import FFINotImplementedError, FFITypeError

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from ffi cimport _types
from ffi._arrays cimport accepted_arrays
from ffi._cif cimport CIF
from ffi._types cimport Type

cdef extern from "Python.h":
    PyObject *PyTuple_GET_ITEM(PyObject *items, Py_ssize_t index)
    Py_ssize_t PyTuple_GET_SIZE(PyObject *items)


@cython.final
cdef class Signature:
    """What a C function takes and returns, and what a call does about it."""

    def __dealloc__(self):
        free(self.steps)


cdef Signature to_signature(object prototype):
    cdef Signature self = Signature.__new__(Signature)
    cdef Py_ssize_t i
    if prototype.variadic:
        raise FFINotImplementedError(f"{prototype.text}: variadic functions are not supported")
    self.prototype = prototype
    self.name = prototype.name or "function"
    self.rtype = prototype.rtype
    # What C always gets stands behind what Python gives.
    numbered = list(enumerate(prototype.parameters))
    given = [(i, parameter) for i, parameter in numbered if parameter.value is None]
    fixed = [(i, parameter) for i, parameter in numbered if parameter.value is not None]
    self.atypes = tuple([parameter.type for _, parameter in given])
    self.names = tuple([parameter.name for _, parameter in given])
    self.count = len(given)
    self.fixed_count = len(fixed)
    self.cif = CIF(self.rtype, *[parameter.type for parameter in prototype.parameters])
    self.steps = <Step *>calloc(self.count + self.fixed_count + 1, sizeof(Step))
    if self.steps is NULL:
        raise MemoryError
    for i, (argument, parameter) in enumerate(given + fixed):
        prepare_step(&self.steps[i], argument, parameter.type, parameter.value)
    self.is_general = True
    self.plan = <const Plan *>self.cif.plan
    if self.plan is not NULL:
        prepare_frame(self, self.plan)
    return self


cdef int prepare_step(Step *step, Py_ssize_t argument, Type atype, object value) except -1:
    cdef int64_t fixed
    step.argument = argument
    # Held by the type, and that by the CIF.
    # What records point at is held in the general way.
    step.identity = NULL if atype.has_pointer else <PyObject *>atype.identity
    step.code = atype.code
    if atype.code == _types.POINTER:
        step.target = <PyObject *>atype.target.identity
        step.takes_any = atype.target.code == _types.VOID
        step.is_const = atype.const
        step.takes_text = atype.const and atype.target.code == _types.CHAR
        step.accepted = accepted_arrays(atype)
    if value is not None:
        fixed = value
        step.fixed = <uint64_t>fixed
    return 0


cdef int prepare_frame(Signature self, const Plan *plan) except -1:
    """Say where in a frame everything goes, unless that is too large."""
    cdef size_t size = plan.frame_size
    cdef uint32_t move
    cdef Py_ssize_t i
    cdef Step *step
    for i in range(self.count + self.fixed_count):
        step = &self.steps[i]
        move = 0
        while plan.moves[move].argument != step.argument:
            move += 1
        step.first = move
        step.at = plan.moves[move].at
        while move < plan.move_count and plan.moves[move].argument == step.argument:
            move += 1
        step.end = move
        if (
            step.end == step.first + 2 and plan.moves[step.first].kind == DIRECT_MOVE_WORD
            and plan.moves[step.first + 1].kind == DIRECT_MOVE_WORD
            and plan.moves[step.first].start == 0 and plan.moves[step.first + 1].start == 8
        ):
            step.second = plan.moves[step.first + 1].at
        elif (
            step.end == step.first + 1 and plan.moves[step.first].kind == DIRECT_MOVE_BYTES
            and plan.moves[step.first].start == 0 and plan.moves[step.first].size % 8 == 0
        ):
            step.row_end = step.at + plan.moves[step.first].size
    self.result_code = self.rtype.code
    self.makes_record = self.rtype.indices is not None
    self.result_at = plan.results[0].at
    self.result_offset = size
    size += (max(self.rtype.size, 8) + 15) // 16 * 16
    self.is_general = size > MAX_FRAME
    return 0


# --- arguments by name

cdef object python_signature(Signature signature):
    """The parameters as Python sees them: those with names that Python cannot have by position."""
    cdef tuple names = signature.names
    cdef Py_ssize_t i, positional = 0
    kind = inspect.Parameter
    shown = []
    for i, name in enumerate(names):
        if name is None or not name.isidentifier() or keyword.iskeyword(name):
            name = f"arg{i}"
            while name in names:
                name += "_"
            # What stands before one is by position too.
            positional = i + 1
        shown.append(name)
    return inspect.Signature([
        kind(name, kind.POSITIONAL_ONLY if i < positional else kind.POSITIONAL_OR_KEYWORD)
        for i, name in enumerate(shown)
    ])


cdef str argument_name(Signature self, Py_ssize_t index):
    name = self.names[index]
    return f"argument {index}" if name is None else f"argument {name!r}"


cdef int order_arguments(
    Signature self, PyObject **args, Py_ssize_t count, PyObject *keywords, PyObject **ordered
) except -1:
    cdef Py_ssize_t i, k, named = 0 if keywords is NULL else PyTuple_GET_SIZE(keywords)
    cdef str function = self.name
    if count > self.count:
        raise FFITypeError(f"{function}(): expected {self.count} arguments, got {count + named}")
    for i in range(self.count):
        ordered[i] = args[i] if i < count else NULL
    for k in range(named):
        name = <object>PyTuple_GET_ITEM(keywords, k)
        if name not in self.names:
            raise FFITypeError(f"{function}(): unexpected argument {name!r}")
        i = self.names.index(name)
        if ordered[i] is not NULL:
            raise FFITypeError(f"{function}(): got two values for argument {name!r}")
        ordered[i] = args[count + k]
    for i in range(self.count):
        if ordered[i] is NULL:
            missing = [argument_name(self, k) for k in range(self.count) if ordered[k] is NULL]
            raise FFITypeError(
                f"{function}(): expected {self.count} arguments, got {count + named}; missing "
                f"{', '.join(missing)}"
            )
    return 0
