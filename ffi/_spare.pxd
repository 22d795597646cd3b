# Dead objects of a class, kept for the next ones.

from cpython.object cimport PyObject, PyTypeObject


cdef extern from "_spare.h":
    ctypedef struct SpareList "spare_list":
        pass

    object new_or_spare(SpareList *spares, PyTypeObject *type)
    void make_collectable(PyObject *object)
    void keep_spare(SpareList *spares, PyObject *object)

cdef extern from "Python.h":
    # Where a class of such objects says how they end.
    ctypedef struct TypeObject "PyTypeObject":
        void (*tp_dealloc)(PyObject *) noexcept
