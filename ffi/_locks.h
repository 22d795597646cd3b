/* Locks of memory that several threads use, and references to what it points at. */
#ifndef FFI_LOCKS_H
#define FFI_LOCKS_H

#include <Python.h>

/* The GIL does where there is one. */
#ifdef Py_GIL_DISABLED
typedef PyMutex ffi_mutex;
#define lock_mutex(mutex) PyMutex_Lock(mutex)
#define unlock_mutex(mutex) PyMutex_Unlock(mutex)
#else
typedef char ffi_mutex;
#define lock_mutex(mutex) ((void)(mutex))
#define unlock_mutex(mutex) ((void)(mutex))
#endif

/* try_hold takes a reference to what the memory under a lock points at but does not own, if
   expect_hold was told of that: 0 where the object is at its end, and waits for the lock.  With a GIL
   nothing else runs in between. */
#ifndef Py_GIL_DISABLED
#define expect_hold(object) ((void)(object))
static inline int try_hold(PyObject *object)
{
    Py_INCREF(object);
    return 1;
}
#elif PY_VERSION_HEX >= 0x030E0000
#define expect_hold(object) PyUnstable_EnableTryIncRef(object)
#define try_hold(object) PyUnstable_TryIncRef(object)
#else
/* What these do, which Python 3.13 does for weak references: see "Biased reference counting" in
   PEP 703. */
static inline void expect_hold(PyObject *object)
{
    Py_ssize_t shared = _Py_atomic_load_ssize_relaxed(&object->ob_ref_shared);
    while (!_Py_IsImmortal(object) && (shared & _Py_REF_SHARED_FLAG_MASK) == 0)
        if (_Py_atomic_compare_exchange_ssize(&object->ob_ref_shared, &shared,
                                              shared | _Py_REF_MAYBE_WEAKREF))
            break;
}
static inline int try_hold(PyObject *object)
{
    Py_ssize_t shared;
    if (_Py_IsImmortal(object) ||
        (_Py_IsOwnedByCurrentThread(object) &&
         _Py_atomic_load_uint32_relaxed(&object->ob_ref_local) > 0)) {
        Py_INCREF(object);
        return 1;
    }
    shared = _Py_atomic_load_ssize_relaxed(&object->ob_ref_shared);
    while (shared != 0 && shared != _Py_REF_MERGED)
        if (_Py_atomic_compare_exchange_ssize(&object->ob_ref_shared, &shared,
                                              shared + (1 << _Py_REF_SHARED_SHIFT)))
            return 1;
    return 0;
}
#endif

#endif
