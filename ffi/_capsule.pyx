"""Capsules: function pointers for packages that call C, such as SciPy.

A capsule's name is the C signature, its context what such a package gives the function as its
`user_data`.
"""

from ffi.errors import Error, located

from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_SetContext
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from ffi._buffers cimport CodePointer, Keepers, settle, store_address
from ffi._layouts cimport function_type
from ffi._values cimport new_keepers

cdef extern from "Python.h":
    object PyCapsule_New(void *pointer, const char *name, void (*end)(PyObject *) noexcept)

cdef extern from *:
    """
    struct capsule_content { PyObject *owner; char name[1]; };
    """
    ctypedef struct Content "struct capsule_content":
        PyObject *owner
        char name[1]

    size_t NAME_OFFSET "offsetof(struct capsule_content, name)"


cdef object capsule_of(CodePointer self, object prototype, object context):
    try:
        return new_capsule(self.code, function_type(prototype).name, self, context)
    except Error as exc:
        raise located(exc, "capsule(): argument 'context'") from None


cdef object new_capsule(void *code, str signature, object owner, object context):
    cdef bytes name = signature.encode()
    cdef Keepers keepers = new_keepers()
    cdef uintptr_t address = 0
    cdef Content *content
    store_address(<char *>&address, context, keepers)
    settle(keepers)
    content = <Content *>calloc(1, sizeof(Content) + len(name))
    if content is NULL:
        raise MemoryError
    memcpy(content.name, <const char *>name, len(name))
    kept = (owner, keepers)
    try:
        capsule = PyCapsule_New(code, content.name, end_capsule)
    except BaseException:
        free(content)
        raise
    Py_INCREF(kept)
    content.owner = <PyObject *>kept
    if address:
        PyCapsule_SetContext(capsule, <void *>address)
    return capsule


cdef void end_capsule(PyObject *capsule) noexcept:
    # The name is a part of what it holds.
    cdef char *name = <char *>PyCapsule_GetName(<object>capsule)
    cdef Content *content = <Content *>(name - NAME_OFFSET)
    if name is NULL:
        # Somebody took it: what is held stays.
        return
    owner = <object>content.owner
    Py_DECREF(owner)
    free(content)
