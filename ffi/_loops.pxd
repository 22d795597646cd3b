# The inner loops of ufuncs.

from ffi._elements cimport Kernel
from ffi._function cimport Function
from ffi._shapes cimport MAX_VARIABLES


cdef class Loop:
    cdef readonly Function function
    cdef readonly object layout         # _operands.Layout
    cdef list variables                 # the lengths that others are computed of
    cdef int cores_of_variables[MAX_VARIABLES]
    cdef Kernel kernel


cdef Loop make_loop(Function function, object layout)

# A PyUFuncGenericFunction, whose data is a Kernel.
cdef void run_loop(
    char **args, const Py_ssize_t *dimensions, const Py_ssize_t *strides, void *data
) noexcept nogil

# Compute lengths of core dimensions: those that are -1, and those that are known must be right.
cdef int compute_lengths(Loop self, Py_ssize_t *lengths) except -1
