# Shapes that arrays of a call must have, and what they tell about other arguments.

from libc.stdint cimport int64_t

from ffi._buffers cimport Array, Borrowed, PyArray_DIMS, PyArray_NDIM
from ffi._types cimport Type


cdef extern from "_dimensions.h":
    enum:
        DIMENSION_NUMBER
        DIMENSION_VARIABLE
        DIMENSION_OPERATOR
        DIMENSION_MAX_STEPS

    ctypedef struct ProgramStep "dimension_step":
        int kind
        int size
        bint is_signed
        int64_t value

    bint dimension_evaluate(
        const ProgramStep *step, int count, const int64_t *variables, int64_t *result
    ) nogil


cdef enum:
    # Parameters of a function that dimensions of its arrays depend on.
    MAX_VARIABLES = 16
    # What NumPy's arrays can have at most.
    MAX_AXES = 64


cdef extern from *:
    # Of a variable that nothing told yet.
    int64_t UNKNOWN "INT64_MIN"


# The length along one axis: a number, a variable's, what a program computes, or any.
cdef struct Dimension:
    int64_t length                      # or -1
    int variable                        # or -1
    int count                           # of the program's steps, or 0
    ProgramStep *program


cdef struct Shape:
    int ndim                            # -1 of what is no array
    bint is_static                      # it must be there
    bint is_computed                    # in one dimension at least
    Dimension first                     # of the dimensions; most arrays have no other
    Dimension *dimensions


# `variables` are the names of those, of the sizes and signs `kinds` has by name; the text of each
# dimension is the prototype's.
cdef int prepare_shape(Shape *shape, object parameter, list variables, dict kinds) except -1
cdef void free_shape(Shape *shape) noexcept


cdef inline bint fits_shape(const Shape *shape, Array *array, int64_t *variables) noexcept:
    # Whether an array has the lengths that are known; those that were not are known then.
    cdef int i
    if PyArray_NDIM(array) != shape.ndim:
        return False
    if not fits_length(&shape.first, PyArray_DIMS(array)[0], variables):
        return False
    for i in range(1, shape.ndim):
        if not fits_length(&shape.dimensions[i], PyArray_DIMS(array)[i], variables):
            return False
    return True


cdef inline bint fits_length(
    const Dimension *dimension, Py_ssize_t length, int64_t *variables
) noexcept:
    if dimension.variable < 0:
        return dimension.length < 0 or dimension.length == length
    if variables[dimension.variable] == UNKNOWN:
        variables[dimension.variable] = length
    return variables[dimension.variable] == length


# The number of axes and the lengths of what is held; -1 where that is unknown.
cdef int lengths_of(const Borrowed *held, Py_ssize_t *lengths, Py_ssize_t itemsize) noexcept

# The length that an integer in memory is.
cdef int64_t length_at(Type type, const void *data) except? -3

# The length that a dimension wants: -1 for any, -2 if a variable is unknown; an error for what
# cannot be computed, whose text is `declared.text`.
cdef int64_t length_of(
    const Dimension *dimension, const int64_t *variables, object declared
) except? -3
