"""Shape contracts: the lengths that a prototype's array parameters tell and want.

Lengths only: no array is looked at but for its shape.
"""

from ffi._dimension import is_name, typed
from ffi.errors import FFINotImplementedError, FFIValueError

cimport numpy as cnp
from libc.stdint cimport INT64_MAX, int64_t
from libc.stdlib cimport calloc, free

from ffi cimport _marshal
from ffi._buffers cimport (
    ADOPTED, ARRAY, BYTEARRAY, VIEW, Array, Borrowed, PyArray_DIMS, PyArray_NDIM,
)

cnp.import_array()

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX


cdef int prepare_shape(Shape *shape, object parameter, list variables, dict kinds) except -1:
    cdef Dimension *dimension
    cdef int i
    shape.ndim = -1
    if parameter.dimensions is None:
        return 0
    if len(parameter.dimensions) > MAX_AXES:
        raise FFINotImplementedError(
            f"{parameter.text}: expected at most {MAX_AXES} dimensions, "
            f"got {len(parameter.dimensions)}"
        )
    shape.dimensions = <Dimension *>calloc(len(parameter.dimensions), sizeof(Dimension))
    if shape.dimensions is NULL:
        raise MemoryError
    shape.ndim = len(parameter.dimensions)
    shape.is_static = parameter.static
    for i, length in enumerate(parameter.dimensions):
        dimension = &shape.dimensions[i]
        dimension.length = dimension.variable = -1
        if length is None:
            continue
        program = length.program
        if len(program) == 1 and isinstance(program[0], int):
            dimension.length = program[0]
        elif len(program) == 1:
            dimension.variable = index_of(program[0], variables)
        else:
            prepare_program(dimension, length, variables, kinds)
            shape.is_computed = True
    shape.first = shape.dimensions[0]
    return 0


cdef int prepare_program(
    Dimension *dimension, object length, list variables, dict kinds
) except -1:
    cdef ProgramStep *step
    if len(length.program) > DIMENSION_MAX_STEPS:
        raise FFINotImplementedError(f"the dimension {length.text[:80]!r} has too many operators")
    dimension.program = <ProgramStep *>calloc(len(length.program), sizeof(ProgramStep))
    if dimension.program is NULL:
        raise MemoryError
    dimension.count = len(length.program)
    step = dimension.program
    for part, step.size, step.is_signed in typed(length.program, kinds):
        if isinstance(part, int):
            step.kind = DIMENSION_NUMBER
            # Of the largest, the same bits.
            step.value = part if part < 2**63 else part - 2**64
        elif is_name(part):
            step.kind = DIMENSION_VARIABLE
            step.value = index_of(part, variables)
        else:
            step.kind = DIMENSION_OPERATOR
            step.value = int.from_bytes(part.encode(), "little")
        step += 1
    return 0


cdef int index_of(object name, list variables) except -1:
    if name not in variables:
        if len(variables) == MAX_VARIABLES:
            raise FFINotImplementedError(
                f"dimensions depend on more than {MAX_VARIABLES} parameters, {name!r} for one"
            )
        variables.append(name)
    return variables.index(name)


cdef void free_shape(Shape *shape) noexcept:
    cdef int i
    if shape.dimensions is NULL:
        return
    for i in range(shape.ndim):
        free(shape.dimensions[i].program)
    free(shape.dimensions)


cdef int lengths_of(const Borrowed *held, Py_ssize_t *lengths, Py_ssize_t itemsize) noexcept:
    cdef Array *array
    cdef int i
    if held.holding == ARRAY or held.holding == ADOPTED:
        array = <Array *>held.owner
        for i in range(PyArray_NDIM(array)):
            lengths[i] = PyArray_DIMS(array)[i]
        return PyArray_NDIM(array)
    if held.holding == VIEW and held.view.shape is not NULL:
        for i in range(held.view.ndim):
            lengths[i] = held.view.shape[i]
        return held.view.ndim
    if held.holding == VIEW or held.holding == BYTEARRAY or held.nbytes >= 0:
        lengths[0] = held.nbytes // max(itemsize, 1)
        return 1
    return -1


cdef int64_t length_at(Type type, const void *data) except? -3:
    length = _marshal.load(type, <const char *>data)
    if length > INT64_MAX or length == UNKNOWN:
        raise FFIValueError(f"expected a length, got {length}")
    return length


cdef int64_t length_of(
    const Dimension *dimension, const int64_t *variables, object declared
) except? -3:
    cdef int64_t result
    cdef int i
    if dimension.variable >= 0:
        result = variables[dimension.variable]
        if result == UNKNOWN:
            return -2
    elif dimension.count == 0:
        result = dimension.length
        if result == -1:
            return -1
    else:
        for i in range(dimension.count):
            if dimension.program[i].kind == DIMENSION_VARIABLE:
                if variables[dimension.program[i].value] == UNKNOWN:
                    return -2
        result = compute(dimension, variables, declared)
        if result < 0 and not dimension.program[dimension.count - 1].is_signed:
            raise FFIValueError(f"the length {declared.text} is {result + 2**64}")
    if result < 0 or result > PY_SSIZE_T_MAX:
        raise FFIValueError(f"the length {declared.text} is {result}")
    return result


cdef int64_t compute(
    const Dimension *dimension, const int64_t *variables, object declared
) except? -3:
    cdef int64_t result
    if not dimension_evaluate(dimension.program, dimension.count, variables, &result):
        raise FFIValueError(f"the length {declared.text} cannot be computed")
    return result
