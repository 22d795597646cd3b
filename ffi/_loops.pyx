"""The inner loops of ufuncs: calls of a C function over NumPy's operands, without Python.

NumPy hands over addresses, strides and counts, mostly without the GIL. Everything about a function
is in tables that are made once; nothing is allocated for an element.
"""

from ffi._operands import Role
from ffi.errors import (
    Error, FFINotImplementedError, FFIOverflowError, FFIValueError, located,
)

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport INT64_MAX, int64_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from ffi cimport _types
from ffi._cif cimport CIF
from ffi._elements cimport (
    ADDRESS, CLOSED, LENGTH, MAX_ARGUMENTS, NO_FAULT, TOO_LONG, WRONG_LENGTH, Argument, Computed,
    Fault, Kernel, Operand, call_generally, prepare_way,
)
from ffi._frames cimport Frame, Thread, current_thread, swap_in, swap_out
from ffi._function cimport Function
from ffi._shapes cimport MAX_VARIABLES, UNKNOWN, Shape, free_shape, length_of, prepare_shape
from ffi._signature cimport Plan
from ffi._types cimport Type

cdef extern from "_loops.h":
    int loops_raised
    void *loops_state(bint *holds_gil) nogil
    void loops_set_holding(void *state, bint holds_gil, bint should_hold) nogil
    void loops_raise(void *error)
    bint loops_is_pending(void *state, bint holds_gil) nogil

cdef dict KEYS = {
    _types.VOID: "v", _types.INT32: "i", _types.INT64: "l", _types.FLOAT: "f", _types.DOUBLE: "d",
}


@cython.final
@cython.no_gc_clear  # a ufunc may call the function as long as this is there
cdef class Loop:
    """A C function, and what a loop of a ufunc does with it."""

    def __dealloc__(self):
        cdef int i
        if self.kernel.shapes is not NULL:
            for i in range(self.kernel.argument_count):
                free_shape(&self.kernel.shapes[i])
        free(self.kernel.shapes)
        free(self.kernel.arguments)
        free(self.kernel.operands)
        free(self.kernel.axes)
        free(self.kernel.computed)


cdef Loop make_loop(Function function, object layout):
    cdef Loop self = Loop.__new__(Loop)
    cdef Kernel *kernel = &self.kernel
    cdef CIF cif = function.signature.cif
    cdef tuple operands = layout.inputs + layout.outputs
    cdef int i
    count = len(layout.arguments)
    if count > MAX_ARGUMENTS:
        raise FFINotImplementedError(
            f"expected at most {<int>MAX_ARGUMENTS} parameters, got {count}"
        )
    self.function = function
    self.layout = layout
    self.variables = []
    kernel.loop = <PyObject *>self
    kernel.code = function.code
    kernel.is_closed = &function.shared.closed
    kernel.release_gil = function.release_gil
    kernel.input_count = len(layout.inputs)
    kernel.operand_count = len(operands)
    kernel.argument_count = count
    kernel.core_count = len(layout.cores)
    kernel.has_result = cif.rtype.code != _types.VOID
    # One more, as nothing may be NULL.
    kernel.arguments = <Argument *>calloc(count + 1, sizeof(Argument))
    kernel.operands = <Operand *>calloc(len(operands) + 1, sizeof(Operand))
    kernel.axes = <int *>calloc(sum([len(item.axes) for item in operands]) + 1, sizeof(int))
    kernel.computed = <Computed *>calloc(len(layout.cores) + 1, sizeof(Computed))
    kernel.shapes = <Shape *>calloc(count + 1, sizeof(Shape))
    if (
        kernel.arguments is NULL or kernel.operands is NULL or kernel.axes is NULL
        or kernel.computed is NULL or kernel.shapes is NULL
    ):
        raise MemoryError
    prepare_way(kernel, cif, key_of(function.signature.prototype, layout).encode())
    prepare_operands(kernel, operands)
    for i in range(count):
        prepare_argument(self, i, cif.arguments[i])
    for i in range(1, kernel.operand_count):
        kernel.operands[i].place = (
            kernel.operands[i - 1].place + kernel.operands[i - 1].is_address
        )
    prepare_lengths(self)
    return self


cdef int prepare_operands(Kernel *kernel, tuple operands) except -1:
    cdef int i, axes = 0
    cdef Operand *operand
    cdef Type type
    for i, item in enumerate(operands):
        type = item.type
        operand = &kernel.operands[i]
        operand.first_axis = axes
        operand.ndim = len(item.axes)
        operand.size = type.size
        operand.code = type.code
        for core in item.axes:
            kernel.axes[axes] = core
            axes += 1
    return 0


cdef int prepare_argument(Loop self, int index, Type atype) except -1:
    cdef Argument *argument = &self.kernel.arguments[index]
    cdef const Plan *plan = self.kernel.plan
    cdef uint32_t move = 0
    role, number = self.layout.arguments[index]
    argument.role = role
    argument.code = atype.code
    argument.size = atype.size
    if role == Role.CONSTANT:
        argument.value = number
    else:
        argument.number = number
    if argument.role == ADDRESS:
        self.kernel.operands[argument.number].is_address = True
    if argument.role == LENGTH:
        bits = 8 * atype.size - _types.is_signed(atype.code)
        argument.value = min(2**bits - 1, INT64_MAX)
    if plan is not NULL:
        while plan.moves[move].argument != index:
            move += 1
        argument.first = &plan.moves[move]
        while move < plan.move_count and plan.moves[move].argument == index:
            move += 1
        argument.end = &plan.moves[move]
    return 0


cdef int prepare_lengths(Loop self) except -1:
    """Find out which lengths are computed, and of which others."""
    cdef Kernel *kernel = &self.kernel
    cdef Computed *computed = kernel.computed
    cdef int i
    parameters = self.function.signature.prototype.parameters
    kinds = {
        parameter.name: ((<Type>parameter.type).size, bool(_types.is_signed(
            (<Type>parameter.type).code
        )))
        for parameter in parameters
    }
    for i, core in enumerate(self.layout.cores):
        if not core.program:
            continue
        computed.core = i
        computed.parameter = core.parameter
        computed.axis = core.axis
        if kernel.shapes[computed.parameter].dimensions is NULL:
            prepare_shape(
                &kernel.shapes[computed.parameter], parameters[computed.parameter],
                self.variables, kinds,
            )
        computed += 1
        kernel.computed_count += 1
    names = [core.length for core in self.layout.cores]
    for i, name in enumerate(self.variables):
        self.cores_of_variables[i] = names.index(name) if name in names else -1
    return 0


cdef str key_of(object prototype, object layout):
    """How typed loops name a signature; empty if it has numbers that none of them has."""
    cdef str key = KEYS.get((<Type>prototype.rtype).code, "")
    cdef Type type
    if layout.cores or any([role == Role.CONSTANT for role, _ in layout.arguments]) or not key:
        return ""
    key += "("
    for parameter in prototype.parameters:
        type = parameter.type
        if type.target is not None:
            if not parameter.out:
                return ""
            key += "*"
            type = type.target
        if type.code == _types.VOID or type.code not in KEYS:
            return ""
        key += KEYS[type.code]
    return key + ")"


# --- a loop

cdef void run_loop(
    char **args, const Py_ssize_t *dimensions, const Py_ssize_t *strides, void *data
) noexcept nogil:
    cdef Kernel *kernel = <Kernel *>data
    cdef bint holds_gil
    cdef void *state = loops_state(&holds_gil)
    # NumPy keeps the GIL for few elements, and lets it go for many.
    cdef bint should_hold = not kernel.release_gil
    cdef Fault fault
    cdef Thread *thread
    cdef Frame frame
    if loops_raised and loops_is_pending(state, holds_gil):
        return
    fault = check_kernel(kernel, dimensions)
    if fault != NO_FAULT:
        raise_fault(kernel, fault, dimensions)
        return
    loops_set_holding(state, holds_gil, should_hold)
    thread = current_thread()
    frame.error = NULL
    frame.state = NULL if should_hold else state
    frame.below = thread.top
    thread.top = &frame
    swap_in(thread)
    if kernel.typed is not NULL:
        kernel.typed(kernel.code, args, strides, dimensions[0], &frame.error)
    else:
        fault = call_generally(kernel, args, dimensions, strides, &frame)
    swap_out(thread)
    thread.top = frame.below
    if frame.error is not NULL:
        loops_set_holding(state, should_hold, True)
        (<Raiser><void *>loops_raise)(frame.error)
        loops_set_holding(state, True, holds_gil)
        return
    loops_set_holding(state, should_hold, holds_gil)
    if fault != NO_FAULT:
        raise_fault(kernel, fault, dimensions)


# Called where the GIL is held.
ctypedef void (*Raiser)(void *error) noexcept nogil


cdef inline Fault check_kernel(Kernel *kernel, const Py_ssize_t *dimensions) noexcept nogil:
    cdef int i
    cdef Argument *argument
    if kernel.is_closed[0]:
        return CLOSED
    if kernel.core_count == 0:
        return NO_FAULT
    for i in range(kernel.argument_count):
        argument = &kernel.arguments[i]
        if argument.role == LENGTH and dimensions[1 + argument.number] > argument.value:
            return TOO_LONG
    if kernel.computed_count:
        return check_computed(kernel, dimensions)
    return NO_FAULT


cdef Fault check_computed(Kernel *kernel, const Py_ssize_t *dimensions) noexcept with gil:
    cdef Py_ssize_t lengths[MAX_ARGUMENTS]
    memcpy(lengths, dimensions + 1, kernel.core_count * sizeof(Py_ssize_t))
    try:
        compute_lengths(<Loop>kernel.loop, lengths)
    except Exception:
        # It is told once more when it is raised.
        return WRONG_LENGTH
    return NO_FAULT


cdef void raise_fault(
    Kernel *kernel, Fault fault, const Py_ssize_t *dimensions
) noexcept with gil:
    cdef Py_ssize_t lengths[MAX_ARGUMENTS]
    memcpy(lengths, dimensions + 1, kernel.core_count * sizeof(Py_ssize_t))
    try:
        explain(<Loop>kernel.loop, fault, lengths)
    except BaseException as exc:
        Py_INCREF(exc)
        loops_raise(<PyObject *>exc)


cdef int explain(Loop self, Fault fault, Py_ssize_t *lengths) except -1:
    cdef Function function = self.function
    cdef Argument *argument
    cdef int i
    name = function.signature.name
    if fault == CLOSED:
        library = "its library" if function.library is None else repr(function.library.name)
        raise FFIValueError(f"{name}(): {library} is closed")
    if fault == TOO_LONG:
        for i in range(self.kernel.argument_count):
            argument = &self.kernel.arguments[i]
            if argument.role == LENGTH and lengths[argument.number] > argument.value:
                parameter = function.signature.prototype.parameters[i]
                raise FFIOverflowError(
                    f"{name}(): argument {parameter.name!r}: expected a length that fits "
                    f"{parameter.text!r}, got {lengths[argument.number]}"
                )
    if fault == WRONG_LENGTH:
        compute_lengths(self, lengths)
    raise MemoryError


cdef int compute_lengths(Loop self, Py_ssize_t *lengths) except -1:
    cdef int64_t variables[MAX_VARIABLES]
    cdef int64_t length
    cdef Py_ssize_t i
    cdef int core
    cdef Computed *computed
    for i in range(len(self.variables)):
        core = self.cores_of_variables[i]
        variables[i] = UNKNOWN
        if core >= 0 and lengths[core] >= 0:
            variables[i] = lengths[core]
    for i in range(self.kernel.computed_count):
        computed = &self.kernel.computed[i]
        parameter = self.function.signature.prototype.parameters[computed.parameter]
        declared = parameter.dimensions[computed.axis]
        try:
            length = length_of(
                &self.kernel.shapes[computed.parameter].dimensions[computed.axis], variables,
                declared,
            )
            if length >= 0 and 0 <= lengths[computed.core] != length:
                raise FFIValueError(
                    f"expected the length {declared.text} to be {length}, got "
                    f"{lengths[computed.core]}"
                )
        except Error as exc:
            where = f"{self.function.signature.name}(): argument {parameter.name!r}"
            raise located(exc, where) from None
        if length >= 0:
            lengths[computed.core] = length
    return 0
