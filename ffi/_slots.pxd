# The code of closures.

from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from ffi cimport libffi
from ffi._cif cimport CIF
from ffi._direct cimport handler
from ffi._locks cimport Mutex


# A slot is never freed: C may call it long after the Python object is gone. It is used again, but
# only for an equal CIF, so that even then the arguments are sound.
cdef struct Slot:
    void *code
    libffi.ffi_closure *closure         # NULL where the code is a thunk
    PyObject *cif                       # owned
    PyObject *function                  # the Caller, or the Closure's; borrowed, NULL when dead
    size_t result_size                  # bytes that C reads
    bint is_caller                      # what it is or was the code of
    char *instead                       # of a caller's result: room for it; NULL if there was none
    Mutex mutex                         # of `function` and `instead`
    uint64_t died                       # how many had died by then
    Slot *next                          # in the quarantine


cdef Slot *take_slot(CIF cif) except NULL
# From here on its function is gone.
cdef void retire(Slot *slot) noexcept
# What C reads of a result, in bytes.
cdef size_t result_size(CIF cif) noexcept

# The code calls it with the slot.
cdef void set_handler(handler function) noexcept
