/* Plans: how the arguments and the result of a signature travel.

   A plan is made once per signature.  It is a list of moves: which bytes of which argument go where
   in a frame.  A frame is memory that holds what the machine's registers and stack hold at the
   moment of a call; a few lines of assembly load one and save one.  A call fills a frame from the
   arguments; a closure is entered with a frame and finds the arguments in it by the same moves.

   Where things go is decided by the ABI, in one file for each: _direct_x86_64.h, _direct_aarch64.h.
   Plans are made by _direct_build.h and followed by _direct.h.  Nothing here knows about Python. */
#ifndef FFI_DIRECT_PLAN_H
#define FFI_DIRECT_PLAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "_direct_abi.h"

/* --- plans */

enum direct_code {
    DIRECT_VOID,
    DIRECT_INT8,
    DIRECT_UINT8,
    DIRECT_INT16,
    DIRECT_UINT16,
    DIRECT_INT32,
    DIRECT_UINT32,
    DIRECT_WORD, /* any integer or pointer of 8 bytes */
    DIRECT_FLOAT,
    DIRECT_DOUBLE,
    DIRECT_LONGDOUBLE,
    DIRECT_COMPLEX_LONGDOUBLE,
    DIRECT_AGGREGATE, /* structs and unions; the other complex types are passed as if they were such */
    /* Before and after the members of a struct or union inside a value. */
    DIRECT_BEGIN,
    DIRECT_END
};

enum direct_kind {
    /* A scalar of 1 to 8 bytes, extended to 64 bits as its direct_code says. */
    DIRECT_EXTEND_INT8 = DIRECT_INT8,
    DIRECT_EXTEND_UINT8 = DIRECT_UINT8,
    DIRECT_EXTEND_INT16 = DIRECT_INT16,
    DIRECT_EXTEND_UINT16 = DIRECT_UINT16,
    DIRECT_EXTEND_INT32 = DIRECT_INT32,
    DIRECT_EXTEND_UINT32 = DIRECT_UINT32,
    DIRECT_MOVE_WORD = DIRECT_WORD,
    DIRECT_MOVE_FLOAT = DIRECT_FLOAT, /* 4 bytes, zeros above */
    DIRECT_MOVE_BYTES,                /* any number, the last word filled up with zeros */
    DIRECT_MOVE_REFERENCE             /* the address of a copy of the value */
};

typedef struct {
    uint32_t at;   /* offset in the frame */
    uint32_t from; /* offset in the value; of a reference, the copy's offset in the frame */
    uint32_t size; /* bytes of the value */
    uint16_t argument;
    uint8_t kind;
    uint8_t split; /* whether the argument's bytes are in several places of the frame */
} direct_move;

enum {
    DIRECT_MAX_RESULTS = 4,
    /* Bytes on the stack, and as many again in the caller's frame.  It holds a thousand scalars. */
    DIRECT_MAX_STACK = 16384
};

typedef struct direct_plan {
    uint32_t argument_count;
    uint32_t move_count;
    uint32_t frame_size;     /* registers, stack words and copies; a multiple of 16 */
    uint32_t stack_words;    /* even */
    uint32_t result_address; /* the frame offset of the register with its address; 0: in registers */
    uint32_t flags;          /* what the assembly is told about registers */
    uint32_t result_count;
    direct_move results[DIRECT_MAX_RESULTS]; /* `from` is an offset in the result */
    direct_move moves[];                     /* those of one argument are neighbours */
} direct_plan;

/* --- bytes <-> frame */

static inline uint64_t direct_load_word(const char *data)
{
    uint64_t word;
    memcpy(&word, data, 8);
    return word;
}

static inline void direct_store_word(char *data, uint64_t word)
{
    memcpy(data, &word, 8);
}

static inline uint64_t direct_extend(int kind, const char *data)
{
    int8_t i8;
    uint8_t u8;
    int16_t i16;
    uint16_t u16;
    int32_t i32;
    uint32_t u32;
    switch (kind) {
    case DIRECT_EXTEND_INT8:
        memcpy(&i8, data, sizeof(i8));
        return (uint64_t)(int64_t)i8;
    case DIRECT_EXTEND_UINT8:
        memcpy(&u8, data, sizeof(u8));
        return u8;
    case DIRECT_EXTEND_INT16:
        memcpy(&i16, data, sizeof(i16));
        return (uint64_t)(int64_t)i16;
    case DIRECT_EXTEND_UINT16:
        memcpy(&u16, data, sizeof(u16));
        return u16;
    case DIRECT_EXTEND_INT32:
        memcpy(&i32, data, sizeof(i32));
        return (uint64_t)(int64_t)i32;
    case DIRECT_EXTEND_UINT32:
    case DIRECT_MOVE_FLOAT:
        memcpy(&u32, data, sizeof(u32));
        return u32;
    default:
        return direct_load_word(data);
    }
}

/* Whole words are stored, also the last one: a narrow store delays the word's load. */
static inline void direct_move_bytes(char *to, const char *from, size_t size)
{
    uint64_t word = 0;
    unsigned int shift = 0;
    for (; size >= 8; size -= 8, to += 8, from += 8)
        direct_store_word(to, direct_load_word(from));
    if (size == 0)
        return;
    if (size & 4) {
        word = direct_extend(DIRECT_EXTEND_UINT32, from);
        from += 4, shift = 32;
    }
    if (size & 2) {
        word |= direct_extend(DIRECT_EXTEND_UINT16, from) << shift;
        from += 2, shift += 16;
    }
    if (size & 1)
        word |= (uint64_t)(unsigned char)*from << shift;
    direct_store_word(to, word);
}

/* Move the bytes of one argument into a frame. */
static inline void direct_place(const direct_move *move, const direct_move *end, char *frame,
                                const char *value)
{
    for (; move < end; move++) {
        char *at = frame + move->at;
        /* The commonest first: a jump by a table costs as much as the move. */
        if (move->kind == DIRECT_MOVE_WORD) {
            direct_store_word(at, direct_load_word(value + move->from));
        } else if (move->kind <= DIRECT_MOVE_FLOAT) {
            direct_store_word(at, direct_extend(move->kind, value + move->from));
        } else if (move->kind == DIRECT_MOVE_BYTES) {
            direct_move_bytes(at, value + move->from, move->size);
        } else {
            char *copy = frame + move->from;
            memcpy(copy, value, move->size);
            memcpy(at, &copy, sizeof(copy));
        }
    }
}

/* Move a result out of the registers' places in a frame; small integers are widened to a word. */
static inline void direct_take(const direct_plan *plan, const char *frame, char *rvalue)
{
    for (uint32_t i = 0; i < plan->result_count; i++) {
        const direct_move *move = &plan->results[i];
        char *result = rvalue + move->from;
        if (move->kind == DIRECT_MOVE_WORD)
            direct_store_word(result, direct_load_word(frame + move->at));
        else if (move->kind == DIRECT_EXTEND_INT32)
            direct_store_word(result, direct_extend(DIRECT_EXTEND_INT32, frame + move->at));
        else if (move->kind < DIRECT_MOVE_WORD)
            direct_store_word(result, direct_extend(move->kind, frame + move->at));
        else
            memcpy(result, frame + move->at, move->size);
    }
}

#endif
