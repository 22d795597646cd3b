/* Calls and closures on x86-64: loading a frame, and saving one.  See _direct.h. */
#include "_direct_abi.h"

#if DIRECT_X86_64

        .text

/* void direct_invoke(char *frame, void *function, size_t stack_words, uint32_t flags) */
        .p2align 4
        .globl  direct_invoke
        .hidden direct_invoke
        .type   direct_invoke, @function
direct_invoke:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq   %rbx
        .cfi_offset %rbx, -24
        pushq   %r12
        .cfi_offset %r12, -32
        movq    %rdi, %rbx
        movl    %ecx, %r12d
        movq    %rsi, %r11

        /* The highest word first, so that the stack grows page by page. */
        testq   %rdx, %rdx
        je      3f
        testl   $2, %edx
        je      2f
        pushq   DIRECT_STACK-8(%rbx,%rdx,8)
        pushq   DIRECT_STACK-16(%rbx,%rdx,8)
        subq    $2, %rdx
        je      3f
2:      pushq   DIRECT_STACK-8(%rbx,%rdx,8)
        pushq   DIRECT_STACK-16(%rbx,%rdx,8)
        pushq   DIRECT_STACK-24(%rbx,%rdx,8)
        pushq   DIRECT_STACK-32(%rbx,%rdx,8)
        subq    $4, %rdx
        jne     2b

3:      movzbl  %r12b, %eax
        testl   %eax, %eax
        je      4f
        movsd   DIRECT_VECTORS(%rbx), %xmm0
        movsd   DIRECT_VECTORS+8(%rbx), %xmm1
        cmpl    $2, %eax
        jbe     4f
        movsd   DIRECT_VECTORS+16(%rbx), %xmm2
        movsd   DIRECT_VECTORS+24(%rbx), %xmm3
        movsd   DIRECT_VECTORS+32(%rbx), %xmm4
        movsd   DIRECT_VECTORS+40(%rbx), %xmm5
        movsd   DIRECT_VECTORS+48(%rbx), %xmm6
        movsd   DIRECT_VECTORS+56(%rbx), %xmm7
4:      testl   $DIRECT_MANY_INTEGERS, %r12d
        je      5f
        movq    DIRECT_INTEGERS(%rbx), %rdi
        movq    DIRECT_INTEGERS+8(%rbx), %rsi
        testl   $DIRECT_MANY_INTEGERS-DIRECT_HAS_INTEGERS, %r12d
        je      5f
        movq    DIRECT_INTEGERS+16(%rbx), %rdx
        movq    DIRECT_INTEGERS+24(%rbx), %rcx
        movq    DIRECT_INTEGERS+32(%rbx), %r8
        movq    DIRECT_INTEGERS+40(%rbx), %r9
5:      call    *%r11

        movq    %rax, DIRECT_RESULTS(%rbx)
        movq    %rdx, DIRECT_RESULTS+8(%rbx)
        movsd   %xmm0, DIRECT_VRESULTS(%rbx)
        movsd   %xmm1, DIRECT_VRESULTS+8(%rbx)
        testl   $DIRECT_TWO_X87, %r12d
        jne     7f
6:      leaq    -16(%rbp), %rsp
        popq    %r12
        popq    %rbx
        popq    %rbp
        .cfi_remember_state
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_restore_state
7:      fstpt   DIRECT_X87(%rbx)
        testl   $DIRECT_TWO_X87-DIRECT_ONE_X87, %r12d
        je      6b
        fstpt   DIRECT_X87+16(%rbx)
        jmp     6b
        .cfi_endproc
        .size   direct_invoke, .-direct_invoke

/* Behind every thunk: save a frame, let direct_enter run the closure, load the result's registers. */
        .p2align 4
        .type   direct_entry, @function
direct_entry:
        .cfi_startproc
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        subq    $DIRECT_STACK-16, %rsp
        movq    %rdi, DIRECT_INTEGERS(%rsp)
        movq    %rsi, DIRECT_INTEGERS+8(%rsp)
        movq    %rdx, DIRECT_INTEGERS+16(%rsp)
        movq    %rcx, DIRECT_INTEGERS+24(%rsp)
        movq    %r8, DIRECT_INTEGERS+32(%rsp)
        movq    %r9, DIRECT_INTEGERS+40(%rsp)
        movsd   %xmm0, DIRECT_VECTORS(%rsp)
        movsd   %xmm1, DIRECT_VECTORS+8(%rsp)
        movsd   %xmm2, DIRECT_VECTORS+16(%rsp)
        movsd   %xmm3, DIRECT_VECTORS+24(%rsp)
        movsd   %xmm4, DIRECT_VECTORS+32(%rsp)
        movsd   %xmm5, DIRECT_VECTORS+40(%rsp)
        movsd   %xmm6, DIRECT_VECTORS+48(%rsp)
        movsd   %xmm7, DIRECT_VECTORS+56(%rsp)
        movl    %r11d, %edi
        movq    %rsp, %rsi
        call    direct_enter
        testl   $DIRECT_TWO_X87, %eax
        jne     2f
1:      movq    DIRECT_RESULTS(%rsp), %rax
        movq    DIRECT_RESULTS+8(%rsp), %rdx
        movsd   DIRECT_VRESULTS(%rsp), %xmm0
        movsd   DIRECT_VRESULTS+8(%rsp), %xmm1
        leave
        .cfi_remember_state
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_restore_state
2:      testl   $DIRECT_TWO_X87-DIRECT_ONE_X87, %eax
        je      3f
        fldt    DIRECT_X87+16(%rsp)
3:      fldt    DIRECT_X87(%rsp)
        jmp     1b
        .cfi_endproc
        .size   direct_entry, .-direct_entry

/* The addresses that C is given: each tells its number and goes on to direct_entry.  r11 carries no
   argument (psABI, section 3.2.3, "Register Usage"). */
        .p2align 4
        .globl  direct_thunks
        .hidden direct_thunks
        .type   direct_thunks, @function
direct_thunks:
        .cfi_startproc
        .set    number, 0
        .rept   DIRECT_THUNKS
        endbr64
        movl    $number, %r11d
        jmp     direct_entry
        .p2align 4
        .set    number, number+1
        .endr
        .cfi_endproc
        .size   direct_thunks, .-direct_thunks

/* Indirect calls land on endbr64 only, and returns go where calls came from (CET). */
        .section .note.gnu.property, "a"
        .p2align 3
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000002, 4, 3, 0
#endif

#if defined(__ELF__)
        .section .note.GNU-stack, "", %progbits
#endif
