"""Signatures: what a call does with each argument, decided once.

`Step` says how an argument is converted and where in the frame of a direct call it goes. No value
is converted here.
"""

import inspect
import keyword

from ffi._prototype import Parameter
from ffi.errors import FFITypeError

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from ffi cimport _types
from ffi._arrays cimport accepted_arrays
from ffi._cif cimport CIF
from ffi._shapes cimport free_shape, prepare_shape
from ffi._types cimport Type, defined, is_integral

cdef extern from "Python.h":
    PyObject *PyTuple_GET_ITEM(PyObject *items, Py_ssize_t index)
    Py_ssize_t PyTuple_GET_SIZE(PyObject *items)


@cython.final
cdef class Signature:
    """What a C function takes and returns, and what a call does about it."""

    def __dealloc__(self):
        cdef Py_ssize_t i
        if self.steps is not NULL:
            for i in range(self.total):
                free_shape(&self.steps[i].shape)
        free(self.steps)


cdef Signature to_signature(object prototype, tuple added=None):
    cdef Signature self = Signature.__new__(Signature)
    cdef Py_ssize_t i
    cdef list variables = []
    parameters = list(prototype.parameters)
    self.prototype = prototype
    self.name = prototype.name or "function"
    self.rtype = prototype.rtype
    self.variadic = prototype.variadic and added is None
    self.variants = {}
    self.cif = CIF(
        self.rtype, *[parameter.type for parameter in parameters],
        variadic=(added or ()) if prototype.variadic else None,
    )
    parameters += [Parameter(None, atype) for atype in added or ()]
    told = lengths_that_arrays_tell(parameters)
    integers = {parameter.name: kind_of_integer(parameter.type) for parameter in parameters}
    # By position, by name only, and what C always gets.
    kinds = [[], [], []]
    for numbered in enumerate(parameters):
        parameter = numbered[1]
        kind = 2 if parameter.value is not None else parameter.out or parameter.name in told
        kinds[kind].append(numbered)
    given = kinds[0] + kinds[1]
    self.count = len(kinds[0])
    self.total = len(given)
    self.rest_count = len(parameters) - self.count
    self.atypes = tuple([parameter.type for _, parameter in given])
    self.names = tuple([parameter.name for _, parameter in given])
    self.dimensions = tuple([parameter.dimensions for _, parameter in given])
    self.steps = <Step *>calloc(len(parameters) + 1, sizeof(Step))
    if self.steps is NULL:
        raise MemoryError
    self.is_general = True
    for i, (argument, parameter) in enumerate(given + kinds[2]):
        prepare_step(&self.steps[i], argument, parameter, variables, integers)
        if parameter.out:
            self.has_out = self.steps[i].is_out = True
        if self.steps[i].takes_scalar or (parameter.out and parameter.dimensions is None):
            self.steps[i].room = self.room_size
            self.room_size += (defined(parameter.type.target).size + 15) // 16 * 16
    self.variable_count = len(variables)
    for i, name in enumerate(self.names):
        self.steps[i].variable = variables.index(name) if name in variables else -1
    self.plan = <const Plan *>self.cif.plan
    if self.plan is not NULL:
        prepare_frame(self, self.plan)
        for i in range(self.total):
            self.is_general |= self.steps[i].is_out or self.steps[i].shape.is_computed
    return self


cdef set lengths_that_arrays_tell(list parameters):
    """The names of integers that stand alone as a length of an array that is given."""
    integers = {
        p.name for p in parameters
        if is_integral((<Type>p.type).code) and (<Type>p.type).code != _types.POINTER
    }
    return {
        length.text
        for parameter in parameters
        if parameter.dimensions is not None and not parameter.out
        for length in parameter.dimensions
        if length is not None and length.program == (length.text,) and length.text in integers
    }


cdef int prepare_step(
    Step *step, Py_ssize_t argument, object parameter, list variables, dict integers
) except -1:
    cdef Type atype = parameter.type
    cdef int64_t fixed
    step.argument = argument
    # Held by the type, and that by the CIF.
    # What records point at is held in the general way.
    step.identity = NULL if atype.has_pointer else <PyObject *>atype.identity
    step.code = atype.code
    step.variable = -1
    prepare_shape(&step.shape, parameter, variables, integers)
    if atype.code == _types.POINTER:
        step.target = <PyObject *>atype.target.identity
        step.takes_any = atype.target.code == _types.VOID
        step.is_const = atype.const
        step.takes_text = (
            atype.const and atype.target.code == _types.CHAR and parameter.dimensions is None
        )
        step.takes_scalar = (
            atype.const and step.shape.ndim == 1 and step.shape.dimensions[0].length == 1
            and is_number(atype.target)
        )
        step.accepted = accepted_arrays(atype)
    if parameter.value is not None:
        fixed = parameter.value
        step.fixed = <uint64_t>fixed
    return 0


cdef tuple kind_of_integer(Type type):
    """Size and sign, which expressions of C depend on."""
    return type.size, bool(_types.is_signed(type.code))


cdef inline bint is_number(Type type) noexcept:
    return (
        type._dtype is not None and type.indices is None
        and type.code != _types.CHAR and type.code != _types.POINTER
    )


cdef int prepare_frame(Signature self, const Plan *plan) except -1:
    """Say where in a frame everything goes, unless that is too large."""
    cdef size_t size = plan.frame_size
    cdef uint32_t move
    cdef Py_ssize_t i
    cdef Step *step
    for i in range(self.count + self.rest_count):
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
            and plan.moves[step.first].start == 0 and plan.moves[step.first].size >= 24
            and plan.moves[step.first].size % 8 == 0
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
    cdef Py_ssize_t count = signature.count
    kind = inspect.Parameter
    shown = []
    for i, name in enumerate(names[:count]):
        if name is None or not name.isidentifier() or keyword.iskeyword(name):
            name = f"arg{i}"
            while name in names:
                name += "_"
            # What stands before one is by position too.
            positional = i + 1
        shown.append(name)
    found = [
        kind(name, kind.POSITIONAL_ONLY if i < positional else kind.POSITIONAL_OR_KEYWORD)
        for i, name in enumerate(shown)
    ]
    if signature.variadic:
        found.append(kind("args", kind.VAR_POSITIONAL))
    for name in names[count:]:
        if name.isidentifier() and not keyword.iskeyword(name):
            found.append(kind(name, kind.KEYWORD_ONLY, default=None))
    return inspect.Signature(found)


cdef str argument_name(Signature self, Py_ssize_t index):
    name = self.names[index]
    return f"argument {index}" if name is None else f"argument {name!r}"


cdef int order_arguments(
    Signature self, PyObject **args, Py_ssize_t count, PyObject **named_args,
    PyObject *keywords, PyObject **ordered
) except -1:
    cdef Py_ssize_t i, k, named = 0 if keywords is NULL else PyTuple_GET_SIZE(keywords)
    cdef str function = self.name
    if count > self.count:
        message = f"{function}(): expected {self.count} arguments, got {count + named}"
        if self.total > self.count:
            others = ", ".join([f"{name!r}" for name in self.names[self.count:]])
            message += f"; {others}: by name only, or left out"
        raise FFITypeError(message)
    for i in range(self.total):
        ordered[i] = args[i] if i < count else NULL
    for k in range(named):
        name = <object>PyTuple_GET_ITEM(keywords, k)
        if name not in self.names:
            raise FFITypeError(f"{function}(): unexpected argument {name!r}")
        i = self.names.index(name)
        if ordered[i] is not NULL:
            raise FFITypeError(f"{function}(): got two values for argument {name!r}")
        if i < self.count or named_args[k] is not <PyObject *>None:
            ordered[i] = named_args[k]
    for i in range(self.count):
        if ordered[i] is NULL:
            missing = [argument_name(self, k) for k in range(self.count) if ordered[k] is NULL]
            raise FFITypeError(
                f"{function}(): expected {self.count} arguments, got {self.count - len(missing)}; "
                f"missing {', '.join(missing)}"
            )
    return 0
