# C values in memory, for the modules that read and write them.

from libc.stdint cimport uintptr_t

from ffi._buffers cimport AddressHolder, CodePointer, Keepers
from ffi._types cimport Type


# Memory that is freed, or given to a destructor, when nothing holds it any more.
cdef class Memory(AddressHolder):
    cdef void *block                    # to be freed
    cdef object destructor              # called with the address, or None
    # Other memory that holds this one, and ends first also where all of it is garbage at once.
    cdef Py_ssize_t dependents
    cdef bint is_waiting                # for those
    cdef bint has_ended


cdef Memory allocate(Py_ssize_t nbytes)

# Tell `held` that `holder` holds it, or does so no longer.
cdef void count_dependent(AddressHolder holder, object held, int change) noexcept

# From an address on, -1 for unknown.
cdef Py_ssize_t bytes_left(Memory memory, uintptr_t address) noexcept

cdef int check_writable(AddressHolder holder) except -1
cdef bint is_byte(Type type) noexcept

# Whether pointers to the one may go where pointers to the other are wanted.
cdef bint is_same_target(Type one, Type other) except -1

# The address of a Pointer or Record as a pointer of the wanted type.
cdef uintptr_t address_as(Type wanted, AddressHolder value) except 0

# The code of a function, closure or the like for a pointer of the wanted type.
cdef void *code_for(Type wanted, CodePointer value) except NULL
cdef object code_of(Type pointer, object value)
cdef bint is_code_for(Type wanted, CodePointer value) except -1

# The value in memory that `root` keeps; structs, unions and arrays are not copied.
cdef object load_at(AddressHolder root, Type type, char *data, bint readonly)

# The Python value of a C value, which is copied, None of void; `owner` is what keeps the memory of
# a pointer.
cdef object load_object(Type type, const char *data, object owner)

# Write a Python value; what fails half-way leaves `data` partly written. The keepers are those of
# `new_keepers`; `settle` them when no more Python code runs.
cdef int store_object(Type type, char *data, object value, Keepers keepers) except -1
cdef Keepers new_keepers()

# Write a value into the memory of `holder`, nothing of it if it does not fit.
cdef int set_value(AddressHolder holder, Type type, Py_ssize_t offset, object value) except -1

# Keep what the pointers of a copied record point at.
cdef int keep_copied(
    AddressHolder root, Type type, char *data, AddressHolder source_root, char *source
) except -1


# Slots: how pointers and records are made, and functions with a signature called.
ctypedef object (*PointerMaker)(Type type, uintptr_t address, object owner)
ctypedef object (*RecordViewer)(Type type, char *data, object owner, bint readonly)
ctypedef object (*RecordCopier)(Type type, const char *data)

# A destructor with a signature is called through the module that knows signatures.
ctypedef int (*TypedCall)(CodePointer function, object pointer) except -1

# A pointer to a function is a function to Python.
cdef void set_function_makers(TypedCall destructor, PointerMaker maker) noexcept
# (type of the pointer, function of Python's) -> Callback
ctypedef object (*CallbackMaker)(Type pointer, object function)

cdef void set_callback_maker(CallbackMaker maker) noexcept
cdef void set_pointer_maker(PointerMaker maker) noexcept
cdef void set_record_makers(RecordViewer viewer, RecordCopier copier) noexcept
