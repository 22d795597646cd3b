/* How a call and a closure follow a plan. */
#ifndef FFI_DIRECT_H
#define FFI_DIRECT_H

#include <alloca.h>
#include <string.h>

#include "_direct_build.h"

typedef void (*direct_handler)(void *data, void *rvalue, void **avalues);

/* What a closure calls, with the result's storage and the arguments' addresses. */
static direct_handler direct_handle;

#if DIRECT_IS_KNOWN_ABI

/* --- calls */

/* In assembly: load the registers and the stack from `frame`, call, save the result's registers. */
void direct_invoke(char *frame, void *function, size_t stack_words, uint32_t flags)
    __attribute__((visibility("hidden")));

/* Call `function`.  `rvalue` has at least 8 bytes: small integers are widened to a word, as libffi
   does; no other byte beyond the result's size is written, and none beyond an argument's is read. */
static inline void direct_call(const direct_plan *plan, void *function, void *rvalue, void **avalues)
{
    char *frame = alloca(plan->frame_size);
    const direct_move *end = plan->moves + plan->move_count;
    if (plan->result_address)
        memcpy(frame + plan->result_address, &rvalue, sizeof(rvalue));
    for (const direct_move *move = plan->moves; move < end; move++)
        direct_place(move, move + 1, frame, avalues[move->argument]);
    direct_invoke(frame, function, plan->stack_words, plan->flags);
    direct_take(plan, frame, rvalue);
}

/* --- closures */

enum {
    DIRECT_THUNK_SIZE = 16, /* bytes of code, one thunk after the other */
    DIRECT_MAX_SPLITS = 8   /* a split argument takes at least two registers, one a vector register */
};

extern char direct_thunks[] __attribute__((visibility("hidden")));

static struct {
    const direct_plan *plan;
    void *data;
} direct_closures[DIRECT_THUNKS];
static void *direct_thunk(size_t index)
{
    return direct_thunks + index * DIRECT_THUNK_SIZE;
}

static void direct_bind(size_t index, const direct_plan *plan, void *data)
{
    direct_closures[index].plan = plan;
    direct_closures[index].data = data;
}

/* The assembly behind the thunks comes here with the frame that it has saved, and loads the result's
   registers from it afterwards.  Returns the plan's flags. */
__attribute__((visibility("hidden"), used)) uint32_t direct_enter(size_t index, char *frame)
{
    const direct_plan *plan = direct_closures[index].plan;
    const direct_move *end = plan->moves + plan->move_count;
    void **avalues = alloca((plan->argument_count + 1) * sizeof(void *));
    char pieces[DIRECT_MAX_SPLITS][DIRECT_LONGEST_SPLIT] __attribute__((aligned(16)));
    char registers[DIRECT_LONGEST_SPLIT] __attribute__((aligned(16))) = {0};
    char *piece = NULL;
    size_t piece_count = 0;
    void *rvalue = registers;
    if (plan->result_address)
        memcpy(&rvalue, frame + plan->result_address, sizeof(rvalue));
    for (const direct_move *move = plan->moves; move < end; move++) {
        char *at = frame + move->at;
        if (move->kind == DIRECT_MOVE_REFERENCE) {
            memcpy(&avalues[move->argument], at, sizeof(void *));
        } else if (!move->split) {
            avalues[move->argument] = at - move->from;
        } else {
            if (move == plan->moves || move->argument != move[-1].argument)
                avalues[move->argument] = piece = pieces[piece_count++];
            memcpy(piece + move->from, at, move->size);
        }
    }
    direct_handle(direct_closures[index].data, rvalue, avalues);
    for (uint32_t i = 0; i < plan->result_count; i++) {
        const direct_move *move = &plan->results[i];
        if (move->kind <= DIRECT_MOVE_FLOAT)
            direct_store_word(frame + move->at, direct_extend(move->kind, (char *)rvalue + move->from));
        else
            memcpy(frame + move->at, (char *)rvalue + move->from, move->size);
    }
    direct_return_address(plan, frame, rvalue);
    return plan->flags;
}

#else

static void direct_invoke(char *frame, void *function, size_t stack_words, uint32_t flags)
{
    (void)frame, (void)function, (void)stack_words, (void)flags;
}
static void direct_call(const direct_plan *plan, void *function, void *rvalue, void **avalues)
{
    (void)plan, (void)function, (void)rvalue, (void)avalues;
}
static void *direct_thunk(size_t index)
{
    (void)index;
    return NULL;
}
static void direct_bind(size_t index, const direct_plan *plan, void *data)
{
    (void)index, (void)plan, (void)data;
}

#endif
#endif
