# Many calls of one function in C, without Python in between: by its plan, through libffi, and as a
# compiler calls it. `rvalue` and `avalues` are the addresses of what `ffi_call` takes.

from libc.string cimport memcpy

from ffi cimport libffi
from ffi._cif cimport CIF
from ffi._direct cimport call_direct

cdef extern from *:
    """
    /* Keeps a loop that does nothing. */
    #define look_away() __asm__ volatile("" : : : "memory")
    """
    void look_away() noexcept nogil

cdef enum:
    MOST_ARGUMENTS = 64

ctypedef void (*function_type)() noexcept nogil
ctypedef void (*loop_type)(size_t fn, size_t rvalue, size_t avalues, long count) noexcept nogil


def empty(long count):
    """Call nothing."""
    cdef long _
    with nogil:
        for _ in range(count):
            look_away()


def direct(CIF cif, size_t fn, size_t rvalue, size_t avalues, long count):
    """Call by the plan of `cif`."""
    cdef long _
    if cif.plan is NULL:
        raise ValueError(f"{cif!r} goes through libffi")
    with nogil:
        for _ in range(count):
            call_direct(cif.plan, <void *>fn, <void *>rvalue, <void **>avalues)


def through_libffi(CIF cif, size_t fn, size_t rvalue, size_t avalues, long count):
    """Call through `ffi_call`."""
    cdef long _
    with nogil:
        for _ in range(count):
            libffi.ffi_call(&cif.cif, <function_type>fn, <void *>rvalue, <void **>avalues)


def through_libffi_copying(CIF cif, size_t fn, size_t rvalue, size_t avalues, long count):
    """Call through `ffi_call` with a fresh copy of the array of addresses.

    libffi 3.4 writes there the addresses of its own copies of structs over 16 bytes.
    """
    cdef void *copy[MOST_ARGUMENTS]
    cdef long _
    if cif.nargs > MOST_ARGUMENTS:
        raise ValueError(f"expected at most {<int>MOST_ARGUMENTS} arguments, got {cif.nargs}")
    with nogil:
        for _ in range(count):
            memcpy(copy, <void **>avalues, cif.nargs * sizeof(void *))
            libffi.ffi_call(&cif.cif, <function_type>fn, <void *>rvalue, copy)


def compiled(size_t loop, size_t fn, size_t rvalue, size_t avalues, long count):
    """Let a loop that a C compiler made for the signature call the function."""
    with nogil:
        (<loop_type>loop)(fn, rvalue, avalues, count)
