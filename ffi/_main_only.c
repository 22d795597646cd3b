/* Imported before everything else: refuses to be in a sub-interpreter.

   The other modules keep what belongs to one interpreter where a process has but one of each: classes
   and functions in C's static storage, the threads' states in theirs, closures that enter Python on
   whatever thread C calls them.  The main interpreter may have them; a second one would share them.
   This is plain C because a module of Cython's keeps such storage itself. */
#include <Python.h>

static int check_interpreter(PyObject *module)
{
    (void)module;
    if (PyInterpreterState_Get() == PyInterpreterState_Main())
        return 0;
    PyErr_SetString(PyExc_ImportError,
                    "ffi cannot be imported in a sub-interpreter: callbacks from C enter the main one");
    return -1;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, check_interpreter},
/* So that an interpreter with a GIL of its own comes here too, and is told. */
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ffi._main_only",
    .m_doc = "The main interpreter: nothing is here, and no other can import it.",
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__main_only(void)
{
    return PyModuleDef_Init(&definition);
}
