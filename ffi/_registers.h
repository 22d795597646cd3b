/* Calls whose arguments and result travel in registers only, which are most calls with numbers.

   System V on x86-64 and AAPCS64 number the registers of integers and those of vectors each for
   itself, whatever the order of the parameters. So C's own compiler makes the call, by a pointer to a
   function of that many integers and doubles; what is in a register that the callee does not read is
   of no matter. It is the plan that says what goes where. */
#ifndef FFI_REGISTERS_H
#define FFI_REGISTERS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "_direct_plan.h"

enum {
    REGISTERS_INTEGERS = 6,
    REGISTERS_VECTORS = 8,
    /* A _Bool that may be any byte: a kind of value, beside those of moves. */
    REGISTERS_TRUTH = 100
};

/* What a register gets: of call i the value at `from`, i strides further, and of a word i steps more. */
typedef struct {
    const char *from;
    intptr_t stride;
    uint64_t step;
    uint64_t word; /* where `from` may point */
    int kind;
} register_feed;

typedef struct register_call {
    void *code;
    register_feed integers[REGISTERS_INTEGERS];
    register_feed vectors[REGISTERS_VECTORS];
    char *to; /* of the result; NULL if there is none */
    intptr_t stride;
    size_t size;
    int is_truth;
    /* Before and after each call, or NULL. */
    void (*before)(void *data);
    void (*after)(void *data);
    void *data;
} register_call;

/* The loop ends early when `*error` is set. */
typedef void (*register_loop)(const register_call *call, intptr_t count, void *const *error);

/* How calls of one plan are made: by `words` if all values are whole words, which is most often so; by
   `addresses` if they are all addresses and lengths, and C writes to none; NULL where there are reals. */
typedef struct {
    register_loop addresses;
    register_loop words;
    register_loop any;
    int integers; /* what both take of each */
    int vectors;
} register_way;

static inline uint64_t register_word(const register_feed *feed, intptr_t i)
{
    return direct_load_word(feed->from + i * feed->stride) + (uint64_t)i * feed->step;
}

static inline uint64_t register_any(const register_feed *feed, intptr_t i)
{
    const char *from = feed->from + i * feed->stride;
    if (feed->kind == DIRECT_MOVE_WORD)
        return register_word(feed, i);
    if (feed->kind == REGISTERS_TRUTH)
        return *from != 0;
    return direct_extend(feed->kind, from);
}

static inline double register_vector(uint64_t word)
{
    double vector;
    memcpy(&vector, &word, sizeof(vector));
    return vector;
}

static inline double register_double(const register_feed *feed, intptr_t i)
{
    return register_vector(direct_load_word(feed->from + i * feed->stride));
}

static inline double register_real(const register_feed *feed, intptr_t i)
{
    const char *from = feed->from + i * feed->stride;
    return register_vector(feed->kind == DIRECT_MOVE_WORD ? direct_load_word(from)
                                                          : direct_extend(DIRECT_MOVE_FLOAT, from));
}

/* The first bytes of a register are the value: the machines of these ABIs are little-endian. */
static inline void register_store(const register_call *call, intptr_t i, uint64_t word)
{
    char *to = call->to + i * call->stride;
    if (call->size == 8)
        memcpy(to, &word, 8);
    else if (call->size == 4)
        memcpy(to, &word, 4);
    else if (call->size == 2)
        memcpy(to, &word, 2);
    else if (call->is_truth)
        *to = (word & 255) != 0;
    else
        memcpy(to, &word, 1);
}

/* Let all registers that a way takes get zeros. */
static inline void register_clear(const register_way *way, register_call *call)
{
    for (int i = 0; i < way->integers + way->vectors; i++) {
        register_feed *feed = i < way->integers ? &call->integers[i] : &call->vectors[i - way->integers];
        feed->from = (const char *)&feed->word;
        feed->stride = 0;
        feed->step = feed->word = 0;
        feed->kind = DIRECT_MOVE_WORD;
    }
}

#if DIRECT_IS_KNOWN_ABI

#define INTEGERS_2(of) of(&call->integers[0], i), of(&call->integers[1], i)
#define INTEGERS_4(of) INTEGERS_2(of), of(&call->integers[2], i), of(&call->integers[3], i)
#define INTEGERS_6(of) INTEGERS_4(of), of(&call->integers[4], i), of(&call->integers[5], i)
#define VECTORS_2(of) of(&call->vectors[0], i), of(&call->vectors[1], i)
#define VECTORS_4(of) VECTORS_2(of), of(&call->vectors[2], i), of(&call->vectors[3], i)
#define VECTORS_8(of)                                                                                \
    VECTORS_4(of), of(&call->vectors[4], i), of(&call->vectors[5], i), of(&call->vectors[6], i),     \
        of(&call->vectors[7], i)
#define TYPES_I_2 uint64_t, uint64_t
#define TYPES_I_4 TYPES_I_2, TYPES_I_2
#define TYPES_I_6 TYPES_I_4, TYPES_I_2
#define TYPES_V_2 double, double
#define TYPES_V_4 TYPES_V_2, TYPES_V_2
#define TYPES_V_8 TYPES_V_4, TYPES_V_4
#define ALL(...) __VA_ARGS__

#define REGISTER_LOOP(name, R, types, values)                                                        \
    static void name(const register_call *call, intptr_t count, void *const *error)                  \
    {                                                                                                \
        R (*function)(types) = (R(*)(types))call->code;                                              \
        void (*before)(void *) = call->before, (*after)(void *) = call->after;                       \
        for (intptr_t i = 0; i < count && *error == NULL; i++) {                                     \
            uint64_t word;                                                                           \
            if (before)                                                                              \
                before(call->data);                                                                  \
            R result = function(values);                                                             \
            memcpy(&word, &result, sizeof(word));                                                    \
            if (call->to)                                                                            \
                register_store(call, i, word);                                                       \
            if (after)                                                                               \
                after(call->data);                                                                   \
        }                                                                                            \
    }

/* The result is in an integer's register or in a vector's; without one something is left there. */
#define REGISTER_LOOPS(name, types, words, any)                                                      \
    REGISTER_LOOP(words_##name, uint64_t, ALL(types), ALL(words))                                    \
    REGISTER_LOOP(words_##name##_v, double, ALL(types), ALL(words))                                  \
    REGISTER_LOOP(any_##name, uint64_t, ALL(types), ALL(any))                                        \
    REGISTER_LOOP(any_##name##_v, double, ALL(types), ALL(any))
#define LOOPS_I(n)                                                                                   \
    REGISTER_LOOPS(n##_0, ALL(TYPES_I_##n), ALL(INTEGERS_##n(register_word)),                        \
                   ALL(INTEGERS_##n(register_any)))
#define LOOPS_V(n)                                                                                   \
    REGISTER_LOOPS(0_##n, ALL(TYPES_V_##n), ALL(VECTORS_##n(register_double)),                       \
                   ALL(VECTORS_##n(register_real)))
#define LOOPS(n, m)                                                                                  \
    REGISTER_LOOPS(n##_##m, ALL(TYPES_I_##n, TYPES_V_##m),                                           \
                   ALL(INTEGERS_##n(register_word), VECTORS_##m(register_double)),                   \
                   ALL(INTEGERS_##n(register_any), VECTORS_##m(register_real)))

LOOPS_I(2)
LOOPS_I(4)
LOOPS_I(6)
LOOPS_V(2)
LOOPS_V(4)
LOOPS_V(8)
LOOPS(2, 2)
LOOPS(2, 4)
LOOPS(2, 8)
LOOPS(4, 2)
LOOPS(4, 4)
LOOPS(4, 8)
LOOPS(6, 2)
LOOPS(6, 4)
LOOPS(6, 8)

#define FROM(n) uint64_t w##n = call->integers[n].word, step##n = call->integers[n].step
#define ADDRESS_LOOP(name, R, types, from, words, steps)                                             \
    static void name(const register_call *call, intptr_t count, void *const *error)                  \
    {                                                                                                \
        R (*function)(types) = (R(*)(types))call->code;                                              \
        from;                                                                                        \
        for (intptr_t i = 0; i < count && *error == NULL; i++) {                                     \
            uint64_t word;                                                                           \
            R result = function(words);                                                              \
            memcpy(&word, &result, sizeof(word));                                                    \
            if (call->to)                                                                            \
                register_store(call, i, word);                                                       \
            steps;                                                                                   \
        }                                                                                            \
    }
#define ADDRESS_LOOPS(n, from, words, steps)                                                         \
    ADDRESS_LOOP(addresses_##n, uint64_t, ALL(TYPES_I_##n), ALL(from), ALL(words), ALL(steps))       \
    ADDRESS_LOOP(addresses_##n##_v, double, ALL(TYPES_I_##n), ALL(from), ALL(words), ALL(steps))

ADDRESS_LOOPS(2, FROM(0); FROM(1), ALL(w0, w1), ALL(w0 += step0, w1 += step1))
ADDRESS_LOOPS(4, FROM(0); FROM(1); FROM(2); FROM(3), ALL(w0, w1, w2, w3),
              ALL(w0 += step0, w1 += step1, w2 += step2, w3 += step3))
ADDRESS_LOOPS(6, FROM(0); FROM(1); FROM(2); FROM(3); FROM(4); FROM(5), ALL(w0, w1, w2, w3, w4, w5),
              ALL(w0 += step0, w1 += step1, w2 += step2, w3 += step3, w4 += step4, w5 += step5))

/* Of integers and vectors, with the result in one or the other. */
#define WAY(n, m)                                                                                    \
    {                                                                                                \
        {NULL, words_##n##_##m, any_##n##_##m, n, m},                                                \
        {                                                                                            \
            NULL, words_##n##_##m##_v, any_##n##_##m##_v, n, m                                       \
        }                                                                                            \
    }
#define WAY_I(n)                                                                                     \
    {                                                                                                \
        {addresses_##n, words_##n##_0, any_##n##_0, n, 0},                                           \
        {                                                                                            \
            addresses_##n##_v, words_##n##_0_v, any_##n##_0_v, n, 0                                  \
        }                                                                                            \
    }
static const register_way register_ways[4][4][2] = {
    {WAY_I(2), WAY(0, 2), WAY(0, 4), WAY(0, 8)},
    {WAY_I(2), WAY(2, 2), WAY(2, 4), WAY(2, 8)},
    {WAY_I(4), WAY(4, 2), WAY(4, 4), WAY(4, 8)},
    {WAY_I(6), WAY(6, 2), WAY(6, 4), WAY(6, 8)},
};

#undef INTEGERS_2
#undef INTEGERS_4
#undef INTEGERS_6
#undef VECTORS_2
#undef VECTORS_4
#undef VECTORS_8
#undef TYPES_I_2
#undef TYPES_I_4
#undef TYPES_I_6
#undef TYPES_V_2
#undef TYPES_V_4
#undef TYPES_V_8
#undef ALL
#undef REGISTER_LOOP
#undef REGISTER_LOOPS
#undef LOOPS_I
#undef LOOPS_V
#undef LOOPS
#undef WAY
#undef WAY_I
#undef FROM
#undef ADDRESS_LOOP
#undef ADDRESS_LOOPS

#if DIRECT_X86_64
enum { REGISTERS_VECTOR_SIZE = 8 };
#else
enum { REGISTERS_VECTOR_SIZE = 16 };
#endif

/* Which register a move goes to: integers, then vectors; -1 if that is none of ours. */
static inline int register_of(const direct_move *move)
{
    uint32_t at = move->at;
    if (move->kind > DIRECT_MOVE_FLOAT || at < DIRECT_INTEGERS)
        return -1;
    if (at < DIRECT_INTEGERS + 8 * REGISTERS_INTEGERS)
        return (int)(at - DIRECT_INTEGERS) / 8;
    if (at < DIRECT_VECTORS || at >= DIRECT_VECTORS + REGISTERS_VECTORS * REGISTERS_VECTOR_SIZE)
        return -1;
    return REGISTERS_INTEGERS + (int)(at - DIRECT_VECTORS) / REGISTERS_VECTOR_SIZE;
}

/* The way of a plan's calls; NULL if it has anything but registers. */
static inline const register_way *find_register_way(const direct_plan *plan)
{
    int integers = 0, vectors = 0, is_vector = 0;
    if (plan->stack_words || plan->result_address || plan->result_count > 1)
        return NULL;
    for (uint32_t i = 0; i < plan->move_count; i++) {
        int number = register_of(&plan->moves[i]);
        if (number < 0)
            return NULL;
        if (number < REGISTERS_INTEGERS)
            integers = number + 1 > integers ? number + 1 : integers;
        else
            vectors = number + 1 - REGISTERS_INTEGERS;
    }
    if (plan->result_count) {
        const direct_move *result = &plan->results[0];
        if (result->kind > DIRECT_MOVE_FLOAT || result->from)
            return NULL;
        if (result->at == DIRECT_VRESULTS)
            is_vector = 1;
        else if (result->at != DIRECT_RESULTS)
            return NULL;
    }
    return &register_ways[(integers + 1) / 2]
                         [vectors == 0 ? 0 : vectors <= 2 ? 1 : vectors <= 4 ? 2 : 3][is_vector];
}

#else

static inline int register_of(const direct_move *move)
{
    (void)move;
    return -1;
}
static inline const register_way *find_register_way(const direct_plan *plan)
{
    (void)plan;
    return NULL;
}

#endif
#endif
