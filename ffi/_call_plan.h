/* The call plans of libffi 3.7 and newer: a call by them is cheaper than ffi_call. */
#ifndef FFI_CALL_PLAN_H
#define FFI_CALL_PLAN_H

#include <ffi.h>

#if !defined(FFI_VERSION_NUMBER) || FFI_VERSION_NUMBER < 30700
typedef void ffi_call_plan;

static inline ffi_call_plan *ffi_call_plan_alloc(ffi_cif *cif)
{
    (void)cif;
    return NULL;
}
static inline void ffi_call_plan_invoke(ffi_call_plan *plan, void (*function)(void), void *rvalue,
                                        void **avalues)
{
    (void)plan, (void)function, (void)rvalue, (void)avalues;
}
static inline void ffi_call_plan_free(ffi_call_plan *plan)
{
    (void)plan;
}
#endif

#endif
