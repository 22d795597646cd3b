/* Libffi's types of complex numbers; NULL where it cannot pass them. */
#ifndef FFI_COMPLEX_H
#define FFI_COMPLEX_H

#include <ffi.h>

#ifdef FFI_TARGET_HAS_COMPLEX_TYPE
#define FFI_COMPLEX_FLOAT (&ffi_type_complex_float)
#define FFI_COMPLEX_DOUBLE (&ffi_type_complex_double)
#define FFI_COMPLEX_LONGDOUBLE (&ffi_type_complex_longdouble)
#elif defined(__riscv) && __riscv_xlen == 64
/* Libffi 3.4 has none there.  They are passed "as though" they were structs of two: RISC-V Calling
   Conventions, Hardware Floating-point Calling Convention. */
#define AS_STRUCT(name, part, type)                               \
    static ffi_type *name##_parts[] = {&part, &part, NULL};       \
    static ffi_type name = {2 * sizeof(type), _Alignof(type), FFI_TYPE_STRUCT, name##_parts};
AS_STRUCT(complex_float, ffi_type_float, float)
AS_STRUCT(complex_double, ffi_type_double, double)
AS_STRUCT(complex_longdouble, ffi_type_longdouble, long double)
#define FFI_COMPLEX_FLOAT (&complex_float)
#define FFI_COMPLEX_DOUBLE (&complex_double)
#define FFI_COMPLEX_LONGDOUBLE (&complex_longdouble)
#else
#define FFI_COMPLEX_FLOAT NULL
#define FFI_COMPLEX_DOUBLE NULL
#define FFI_COMPLEX_LONGDOUBLE NULL
#endif

#endif
