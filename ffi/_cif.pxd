# Call interfaces and packed arguments.

from ffi cimport libffi
from ffi._direct cimport direct_plan
from ffi._types cimport Type


cdef enum:
    MAX_ARGUMENTS = 1024


cdef class CIF:
    cdef libffi.ffi_cif cif
    cdef bint is_described              # whether `cif` is; libffi does not know every type
    cdef direct_plan *plan              # NULL where calls go through libffi,
    cdef void *call_plan                # there by libffi's own plan if it has plans
    cdef libffi.ffi_type **ffi_types    # one per argument
    cdef size_t *offsets                # of the arguments in packed storage
    cdef size_t packed_size
    cdef readonly int abi
    cdef readonly Type rtype
    cdef readonly tuple atypes
    cdef readonly tuple variadic
    cdef tuple arguments                # atypes and variadic
    cdef unsigned int nargs
    cdef Py_ssize_t result_size         # bytes that libffi may write
    cdef Py_ssize_t result_alignment
    cdef tuple key
    cdef Py_hash_t hash


cdef class Arguments:
    cdef readonly CIF cif
    cdef void **pointers
    cdef Py_ssize_t shape[1]
    # A Keepers; its declaration would ask NumPy's headers of every consumer.
    cdef object keepers


cdef int check_status(int status, object what) except -1

# Whether libffi gets the signature right.
cdef int check_libffi(CIF cif) except -1
cdef int short_result(CIF cif, Py_ssize_t nbytes) except -1


cdef inline int check_result_size(CIF cif, Py_ssize_t nbytes) except -1:
    return short_result(cif, nbytes) if nbytes < cif.result_size else 0


# Where the result of a call lies in what libffi wrote: small integers are widened to ffi_arg.
cdef const char *result_at(Type rtype, const char *rvalue) noexcept
