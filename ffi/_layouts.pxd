# The layouts of C's aggregates, and types made of types.

from ffi cimport libffi
from ffi._types cimport Type


cdef enum:
    # Beyond these a declaration is a mistake or an attack; they bound every recursion here.
    MAX_DEPTH = 64
    MAX_LEAVES = 65536
    # NumPy keeps item sizes in a C int.
    MAX_SIZE = 2147483647


cdef Type POINTER                       # the type of void *

# A struct or union of [(name, Type, width)], in C's layout; a width of None is no bit-field. A name
# of None is an unnamed bit-field, or an anonymous struct or union.
cdef Type aggregate(int code, str where, list members, name)
# An array as a member of a struct; `dtype`, if there is one, has its whole shape.
cdef Type array_of(Type item, Py_ssize_t length, dtype)
# A pointer to what may be const, void and opaque types included.
cpdef Type pointer_to(Type target, bint const=*)
# Opaque types are the same by their tag, such as "struct foo" or "FILE".
cpdef Type opaque(str tag)
# A function's type, for pointers to it.
cpdef Type function_type(prototype)
cpdef Type enum_type(str name, Type underlying)
# The names that the members of a struct or union are found by.
cdef list member_names(Type type)
# The declaration of a variable of this type, or the type as C spells it.
cdef str spell(Type type, str name=*, bint short=*, bint const=*, bint in_c=*)

# How libffi is to pass an argument, if it is no variadic one; NULL where it cannot.
cdef libffi.ffi_type *as_argument(Type self) noexcept
# What a struct of one member or an array of one item consists of, all the way in.
cdef Type innermost(Type type)
