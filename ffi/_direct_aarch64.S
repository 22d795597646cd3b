/* Calls and closures on AArch64: loading a frame, and saving one.  See _direct.h. */
#include "_direct_abi.h"

#if DIRECT_AARCH64

/* A landing pad for indirect calls (BTI), by its number: older assemblers do not know the name. */
#define BTI_C hint #34

        .text

/* void direct_invoke(char *frame, void *function, size_t stack_words, uint32_t flags) */
        .p2align 4
        .globl  direct_invoke
        .hidden direct_invoke
        .type   direct_invoke, %function
direct_invoke:
        .cfi_startproc
        BTI_C
        stp     x29, x30, [sp, #-32]!
        .cfi_def_cfa_offset 32
        .cfi_offset x29, -32
        .cfi_offset x30, -24
        mov     x29, sp
        .cfi_def_cfa_register x29
        str     x19, [sp, #16]
        .cfi_offset x19, -16
        mov     x19, x0
        mov     x9, x1

        /* The highest words first, so that the stack grows page by page. */
        cbz     x2, 2f
        sub     sp, sp, x2, lsl #3
        add     x10, x19, #DIRECT_STACK
        add     x10, x10, x2, lsl #3
        add     x11, sp, x2, lsl #3
1:      ldp     x12, x13, [x10, #-16]!
        stp     x12, x13, [x11, #-16]!
        subs    x2, x2, #2
        b.ne    1b

        /* Without quads a value is loaded as wide as it was stored: a wider load would wait. */
2:      cbz     w3, 4f
        tbnz    w3, #1, 3f
        ldr     d0, [x19, #DIRECT_VECTORS]
        ldr     d1, [x19, #DIRECT_VECTORS+16]
        ldr     d2, [x19, #DIRECT_VECTORS+32]
        ldr     d3, [x19, #DIRECT_VECTORS+48]
        ldr     d4, [x19, #DIRECT_VECTORS+64]
        ldr     d5, [x19, #DIRECT_VECTORS+80]
        ldr     d6, [x19, #DIRECT_VECTORS+96]
        ldr     d7, [x19, #DIRECT_VECTORS+112]
        b       4f
3:      ldp     q0, q1, [x19, #DIRECT_VECTORS]
        ldp     q2, q3, [x19, #DIRECT_VECTORS+32]
        ldp     q4, q5, [x19, #DIRECT_VECTORS+64]
        ldp     q6, q7, [x19, #DIRECT_VECTORS+96]
4:      ldr     x8, [x19, #DIRECT_X8]
        ldp     x0, x1, [x19, #DIRECT_INTEGERS]
        ldp     x2, x3, [x19, #DIRECT_INTEGERS+16]
        ldp     x4, x5, [x19, #DIRECT_INTEGERS+32]
        ldp     x6, x7, [x19, #DIRECT_INTEGERS+48]
        blr     x9

        stp     x0, x1, [x19, #DIRECT_RESULTS]
        stp     q0, q1, [x19, #DIRECT_VRESULTS]
        stp     q2, q3, [x19, #DIRECT_VRESULTS+32]
        mov     sp, x29
        .cfi_def_cfa_register sp
        ldr     x19, [sp, #16]
        .cfi_restore x19
        ldp     x29, x30, [sp], #32
        .cfi_restore x29
        .cfi_restore x30
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size   direct_invoke, .-direct_invoke

/* Behind every thunk: save a frame, let direct_enter run the closure, load the result's registers. */
        .p2align 4
        .type   direct_entry, %function
direct_entry:
        .cfi_startproc
        sub     sp, sp, #DIRECT_STACK
        .cfi_def_cfa_offset DIRECT_STACK
        stp     x29, x30, [sp, #DIRECT_STACK-16]
        .cfi_offset x29, -16
        .cfi_offset x30, -8
        add     x29, sp, #DIRECT_STACK-16
        stp     x0, x1, [sp, #DIRECT_INTEGERS]
        stp     x2, x3, [sp, #DIRECT_INTEGERS+16]
        stp     x4, x5, [sp, #DIRECT_INTEGERS+32]
        stp     x6, x7, [sp, #DIRECT_INTEGERS+48]
        str     x8, [sp, #DIRECT_X8]
        stp     q0, q1, [sp, #DIRECT_VECTORS]
        stp     q2, q3, [sp, #DIRECT_VECTORS+32]
        stp     q4, q5, [sp, #DIRECT_VECTORS+64]
        stp     q6, q7, [sp, #DIRECT_VECTORS+96]
        mov     w0, w16
        mov     x1, sp
        bl      direct_enter
        ldp     x0, x1, [sp, #DIRECT_RESULTS]
        ldp     q0, q1, [sp, #DIRECT_VRESULTS]
        ldp     q2, q3, [sp, #DIRECT_VRESULTS+32]
        ldp     x29, x30, [sp, #DIRECT_STACK-16]
        .cfi_restore x29
        .cfi_restore x30
        add     sp, sp, #DIRECT_STACK
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size   direct_entry, .-direct_entry

/* The addresses that C is given: each tells its number and goes on to direct_entry.  x16 carries no
   argument (AAPCS64, "General-purpose Registers"). */
        .p2align 4
        .globl  direct_thunks
        .hidden direct_thunks
        .type   direct_thunks, %function
direct_thunks:
        .cfi_startproc
        .set    number, 0
        .rept   DIRECT_THUNKS
        BTI_C
        mov     w16, #number
        b       direct_entry
        .p2align 4
        .set    number, number+1
        .endr
        .cfi_endproc
        .size   direct_thunks, .-direct_thunks

/* Indirect calls land on BTI_C only. */
        .section .note.gnu.property, "a"
        .p2align 3
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000000, 4, 1, 0
#endif

#if defined(__ELF__)
        .section .note.GNU-stack, "", %progbits
#endif
