# libffi's declarations in the header's order, and nothing else.

cdef extern from "ffi.h" nogil:
    ctypedef enum ffi_abi:
        FFI_DEFAULT_ABI

    ctypedef struct ffi_type:
        size_t size
        unsigned short alignment
        unsigned short type
        ffi_type **elements

    enum:
        FFI_TYPE_STRUCT

    ffi_type ffi_type_void
    ffi_type ffi_type_uint8
    ffi_type ffi_type_sint8
    ffi_type ffi_type_uint16
    ffi_type ffi_type_sint16
    ffi_type ffi_type_uint32
    ffi_type ffi_type_sint32
    ffi_type ffi_type_uint64
    ffi_type ffi_type_sint64
    ffi_type ffi_type_float
    ffi_type ffi_type_double
    ffi_type ffi_type_pointer
    ffi_type ffi_type_longdouble

    ctypedef enum ffi_status:
        FFI_OK
        FFI_BAD_TYPEDEF
        FFI_BAD_ABI
        FFI_BAD_ARGTYPE

    ctypedef struct ffi_cif:
        ffi_abi abi
        unsigned nargs
        ffi_type **arg_types
        ffi_type *rtype

    ctypedef unsigned long ffi_arg
    ctypedef long ffi_sarg

    ctypedef struct ffi_closure:
        pass

    void *ffi_closure_alloc(size_t size, void **code)
    void ffi_closure_free(void *closure)
    ffi_status ffi_prep_closure_loc(
        ffi_closure *closure,
        ffi_cif *cif,
        void (*fun)(ffi_cif *, void *, void **, void *) noexcept nogil,
        void *user_data,
        void *codeloc,
    )
    ffi_status ffi_prep_cif(
        ffi_cif *cif, ffi_abi abi, unsigned int nargs, ffi_type *rtype, ffi_type **atypes
    )
    ffi_status ffi_prep_cif_var(
        ffi_cif *cif,
        ffi_abi abi,
        unsigned int nfixedargs,
        unsigned int ntotalargs,
        ffi_type *rtype,
        ffi_type **atypes,
    )
    void ffi_call(ffi_cif *cif, void (*fn)() noexcept nogil, void *rvalue, void **avalue)
    ffi_status ffi_get_struct_offsets(ffi_abi abi, ffi_type *struct_type, size_t *offsets)
