# What is taken as a type, for the modules that take one.

from ffi._types cimport Type


cdef Type to_type(object value)
cdef object to_dtype(object value)
# A pointer to what may be const, void and opaque types included.
cpdef Type pointer_to(Type target, bint const=*)
# Opaque types are the same by their tag, such as "struct foo" or "FILE".
cpdef Type opaque(str tag)
# The declaration of a variable of this type, or the type as C spells it.
cdef str spell(Type type, str name=*, bint short=*)
cdef bint is_native(object dtype) except -1

# What a struct of one member or an array of one item consists of, all the way in.
cdef Type innermost(Type type)
