/* Making a plan: what types consist of, and what the builder of every ABI does. */
#ifndef FFI_DIRECT_BUILD_H
#define FFI_DIRECT_BUILD_H

#include <stdlib.h>

#include "_direct_plan.h"

/* A scalar in a value, where members of a union overlap; or a mark. */
typedef struct {
    enum direct_code code;
    uint32_t offset;
    uint32_t size;
} direct_part;

enum { DIRECT_LONGEST_SPLIT = 64 /* bytes: the longest value that is taken apart */ };

/* `parts` are what a value consists of, as declared, and DIRECT_END; of a value of more than
   DIRECT_LONGEST_SPLIT bytes, just that. */
typedef struct {
    size_t size;
    size_t alignment;
    enum direct_code code;
    direct_part *parts;
    size_t part_count;
} direct_type;

/* --- how builders write a plan */

typedef struct {
    direct_plan *plan;
    unsigned int integers; /* registers taken so far */
    unsigned int vectors;
    size_t stack;  /* bytes taken so far */
    size_t copies; /* bytes of values that are passed as the address of a copy */
} direct_builder;

static inline size_t direct_round_up(size_t size, size_t alignment)
{
    return (size + alignment - 1) / alignment * alignment;
}

static inline enum direct_kind direct_kind_of(enum direct_code code, size_t size)
{
    if (DIRECT_INT8 <= code && code <= DIRECT_FLOAT)
        return (enum direct_kind)code;
    return size == 8 ? DIRECT_MOVE_WORD : DIRECT_MOVE_BYTES;
}

static inline direct_move *direct_add(direct_builder *builder, size_t argument, size_t at, size_t from,
                                      size_t size, enum direct_kind kind)
{
    direct_move *move = &builder->plan->moves[builder->plan->move_count++];
    *move = (direct_move){.at = (uint32_t)at,
                          .from = (uint32_t)from,
                          .size = (uint32_t)size,
                          .argument = (uint16_t)argument,
                          .kind = (uint8_t)kind};
    return move;
}

static inline void direct_add_result(direct_plan *plan, size_t at, size_t from, size_t size,
                                     enum direct_kind kind)
{
    plan->results[plan->result_count++] = (direct_move){
        .at = (uint32_t)at, .from = (uint32_t)from, .size = (uint32_t)size, .kind = (uint8_t)kind};
}

/* Pass a whole value on the stack. */
static inline void direct_add_stacked(direct_builder *builder, size_t argument, const direct_type *type)
{
    builder->stack = direct_round_up(builder->stack, type->alignment > 8 ? type->alignment : 8);
    direct_add(builder, argument, DIRECT_STACK + builder->stack, 0, type->size,
               direct_kind_of(type->code, type->size));
    builder->stack += direct_round_up(type->size, 8);
}

#if DIRECT_X86_64
#include "_direct_x86_64.h"
#elif DIRECT_AARCH64
#include "_direct_aarch64.h"
#else
/* No plans: everything goes through libffi. */
enum { DIRECT_MAX_MOVES = 1 };
static void direct_begin(direct_builder *builder, const direct_type *result)
{
    (void)builder, (void)result;
}
static void direct_pass(direct_builder *builder, size_t argument, const direct_type *type)
{
    (void)builder, (void)argument, (void)type;
}
static void direct_end(direct_builder *builder)
{
    (void)builder;
}
#endif

/* Note which arguments are in several places of the frame, and where the copies begin. */
static void direct_finish(direct_builder *builder)
{
    direct_plan *plan = builder->plan;
    size_t stack = direct_round_up(builder->stack, 16);
    direct_move *end = plan->moves + plan->move_count;
    plan->stack_words = (uint32_t)(stack / 8);
    plan->frame_size = (uint32_t)(DIRECT_STACK + stack + builder->copies);
    for (direct_move *first = plan->moves, *next; first < end; first = next) {
        uint8_t split = 0;
        for (next = first + 1; next < end && next->argument == first->argument; next++)
            split |= next->at - first->at != next->from - first->from;
        for (direct_move *move = first; move < next; move++)
            move->split = split;
        if (first->kind == DIRECT_MOVE_REFERENCE)
            first->from += (uint32_t)(DIRECT_STACK + stack);
    }
}

/* Plan a signature.  NULL if its frame would be too large, or without memory. */
static direct_plan *direct_plan_new(const direct_type *result, const direct_type *arguments,
                                    size_t count, int *out_of_memory)
{
    direct_builder builder = {0};
    direct_plan *plan = calloc(1, sizeof(direct_plan) + DIRECT_MAX_MOVES * count * sizeof(direct_move));
    if (plan == NULL) {
        *out_of_memory = 1;
        return NULL;
    }
    plan->argument_count = (uint32_t)count;
    builder.plan = plan;
    direct_begin(&builder, result);
    for (size_t i = 0; i < count; i++) {
        if (arguments[i].size <= DIRECT_MAX_STACK)
            direct_pass(&builder, i, &arguments[i]);
        if (arguments[i].size > DIRECT_MAX_STACK || builder.stack + builder.copies > DIRECT_MAX_STACK) {
            free(plan);
            return NULL;
        }
    }
    direct_end(&builder);
    direct_finish(&builder);
    direct_plan *fitted = realloc(plan, sizeof(direct_plan) + plan->move_count * sizeof(direct_move));
    return fitted == NULL ? plan : fitted;
}

/* Whether two plans of signatures with as many arguments move the same bytes to the same places. */
static int direct_plans_agree(const direct_plan *one, const direct_plan *other)
{
    return one->move_count == other->move_count &&
           memcmp(one, other, sizeof(direct_plan) + one->move_count * sizeof(direct_move)) == 0;
}

#endif
