/* Where calls and closures go direct, and the layout of a frame there: for C and for assembly. */
#ifndef FFI_DIRECT_ABI_H
#define FFI_DIRECT_ABI_H

/* System V on x86-64 with 64-bit pointers, and AAPCS64 on little-endian ELF systems (Apple's variant
   differs).  Elsewhere everything goes through libffi. */
#if defined(__x86_64__) && defined(__LP64__) && defined(__ELF__) && __LDBL_MANT_DIG__ == 64
#define DIRECT_X86_64 1
#else
#define DIRECT_X86_64 0
#endif
#if defined(__aarch64__) && defined(__LP64__) && defined(__AARCH64EL__) && defined(__ELF__) && \
    __LDBL_MANT_DIG__ == 113
#define DIRECT_AARCH64 1
#else
#define DIRECT_AARCH64 0
#endif

#define DIRECT_IS_KNOWN_ABI (DIRECT_X86_64 || DIRECT_AARCH64)

/* Closures that need no memory of libffi's; 1024 dead ones stay out of use. */
#define DIRECT_THUNKS 65536

/* A frame, from low to high addresses: the registers of results, those of arguments, two words, and
   the words on the stack.  A closure's frame lies on the machine's own stack: there the two words
   are what its entry pushes, the caller's frame pointer and the return address. */
#if DIRECT_X86_64

#define DIRECT_RESULTS 0   /* rax, rdx */
#define DIRECT_VRESULTS 16 /* xmm0, xmm1: 8 bytes of each */
#define DIRECT_X87 32      /* st(0), st(1): 16 bytes each */
#define DIRECT_INTEGERS 64 /* rdi, rsi, rdx, rcx, r8, r9 */
#define DIRECT_VECTORS 112 /* xmm0 to xmm7: 8 bytes of each */
#define DIRECT_STACK 192

/* Flags of a plan, beside the number of vector registers in the lowest byte. */
#define DIRECT_ONE_X87 0x100
#define DIRECT_TWO_X87 0x300
#define DIRECT_HAS_INTEGERS 0x400
#define DIRECT_MANY_INTEGERS 0xc00 /* more than two */

#elif DIRECT_AARCH64

#define DIRECT_RESULTS 0    /* x0, x1 */
#define DIRECT_VRESULTS 16  /* v0 to v3: 16 bytes each */
#define DIRECT_INTEGERS 80  /* x0 to x7 */
#define DIRECT_X8 144       /* the address of a result in memory, and 8 bytes of padding */
#define DIRECT_VECTORS 160  /* v0 to v7: 16 bytes each */
#define DIRECT_STACK 304

/* Flags of a plan: whether arguments are in vector registers, and in more than 8 bytes of them. */
#define DIRECT_HAS_VECTORS 1
#define DIRECT_HAS_QUADS 2

#else
#define DIRECT_STACK 0
#endif

#endif
