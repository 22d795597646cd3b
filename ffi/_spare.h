/* Dead objects of one class, kept for the next ones: objects that calls make and drop all the time
   cost half as much so.  Only for classes without subclasses. */
#ifndef FFI_SPARE_H
#define FFI_SPARE_H

#include <Python.h>

#define MAX_SPARES 16

typedef struct {
    PyObject *objects[MAX_SPARES];
    int count;
} spare_list;

/* Make an object that the garbage collector may not know yet, with None for members, and stale
   bytes. */
static inline PyObject *new_or_spare(spare_list *list, PyTypeObject *type)
{
    PyObject *object, *nothing;
    if (list->count > 0)
        return PyObject_Init(list->objects[--list->count], type);
    nothing = PyTuple_New(0);
    if (nothing == NULL)
        return NULL;
    object = type->tp_new(type, nothing, NULL);
    Py_DECREF(nothing);
    return object;
}

/* Of objects that hold others which may hold them. */
static inline void make_collectable(PyObject *object)
{
    if (!PyObject_GC_IsTracked(object))
        PyObject_GC_Track(object);
}

/* Take in what has come to its end, untracked and with None for members; its base class ends what
   finds no room. */
static inline void keep_spare(spare_list *list, PyObject *object)
{
#ifndef Py_GIL_DISABLED
    if (list->count < MAX_SPARES) {
        list->objects[list->count++] = object;
        return;
    }
#endif
    Py_TYPE(object)->tp_base->tp_dealloc(object);
}

#endif
