/* Which registers and stack words a signature takes on AArch64.

   Procedure Call Standard for the Arm 64-bit Architecture (AAPCS64), "Parameter passing rules" and
   "Result return", for Linux and the BSDs, where variadic arguments are passed like others.  B.4,
   C.1 and so on are its rules; NGRN, NSRN and NSAA are `integers`, `vectors` and `stack` here. */
#ifndef FFI_DIRECT_AARCH64_H
#define FFI_DIRECT_AARCH64_H

enum { DIRECT_MAX_MOVES = 4 /* of one argument: one for each member of a homogeneous aggregate */ };

enum { DIRECT_REGISTERS = 8 /* of each kind */ };

/* The number of members of a Homogeneous Floating-point Aggregate, which a floating-point number is
   for this purpose too, and how each moves; 0 for anything else.  Members of a union that overlap
   count once. */
static size_t direct_count_members(const direct_type *type, enum direct_kind *kind)
{
    const direct_part *first = NULL, *end = type->parts + type->part_count;
    size_t members = 0, distinct = 0;
    for (const direct_part *part = type->parts; part < end; part++) {
        if (part->code == DIRECT_BEGIN || part->code == DIRECT_END)
            continue;
        if (first == NULL) {
            first = part;
            members = type->size / part->size;
        }
        if (part->code < DIRECT_FLOAT || part->code != first->code || members > 4)
            return 0;
        distinct |= (size_t)1 << part->offset / part->size;
    }
    /* Padding is no member, and what is too large for registers has no parts. */
    if (first == NULL || distinct != ((size_t)1 << members) - 1)
        return 0;
    *kind = direct_kind_of(first->code, first->size);
    return members;
}

static void direct_pass(direct_builder *builder, size_t argument, const direct_type *type)
{
    direct_plan *plan = builder->plan;
    enum direct_kind kind;
    size_t members = direct_count_members(type, &kind), words = (type->size + 7) / 8;
    if (members) {
        if (builder->vectors + members <= DIRECT_REGISTERS) { /* C.1, C.2 */
            size_t size = type->size / members;
            plan->flags |= size > 8 ? DIRECT_HAS_VECTORS | DIRECT_HAS_QUADS : DIRECT_HAS_VECTORS;
            for (size_t i = 0; i < members; i++)
                direct_add(builder, argument, DIRECT_VECTORS + 16 * builder->vectors++, i * size, size,
                           kind);
        } else { /* C.3 to C.6 */
            builder->vectors = DIRECT_REGISTERS;
            direct_add_stacked(builder, argument, type);
        }
    } else if (type->size > 16) { /* B.4; then the address is passed like any, C.9 or C.13 to C.17 */
        size_t at;
        if (builder->integers < DIRECT_REGISTERS) {
            at = DIRECT_INTEGERS + 8 * builder->integers++;
        } else {
            at = DIRECT_STACK + builder->stack;
            builder->stack += 8;
        }
        direct_add(builder, argument, at, builder->copies, type->size, DIRECT_MOVE_REFERENCE);
        builder->copies = direct_round_up(builder->copies + type->size, 16);
    } else {
        if (type->alignment > 8) /* C.10 */
            builder->integers += builder->integers % 2;
        if (words + builder->integers <= DIRECT_REGISTERS) { /* C.9, C.12 */
            for (size_t i = 0; i < words; i++) {
                size_t size = type->size - 8 * i < 8 ? type->size - 8 * i : 8;
                direct_add(builder, argument, DIRECT_INTEGERS + 8 * builder->integers++, 8 * i, size,
                           direct_kind_of(type->code, size));
            }
        } else { /* C.13 to C.17 */
            builder->integers = DIRECT_REGISTERS;
            direct_add_stacked(builder, argument, type);
        }
    }
}

/* A result is where it would be as the only argument; what would not be in registers is in memory
   whose address is in x8. */
static void direct_begin(direct_builder *builder, const direct_type *type)
{
    direct_plan *plan = builder->plan;
    enum direct_kind kind;
    size_t members = direct_count_members(type, &kind);
    if (type->code == DIRECT_VOID)
        return;
    if (members) {
        size_t size = type->size / members;
        for (size_t i = 0; i < members; i++)
            direct_add_result(plan, DIRECT_VRESULTS + 16 * i, i * size, size, kind);
    } else if (type->size > 16) {
        plan->result_address = DIRECT_X8;
    } else {
        for (size_t from = 0; from < type->size; from += 8) {
            size_t size = type->size - from < 8 ? type->size - from : 8;
            direct_add_result(plan, DIRECT_RESULTS + from, from, size,
                              direct_kind_of(type->code, size));
        }
    }
}

static void direct_end(direct_builder *builder)
{
    (void)builder;
}

/* x8 need not come back. */
static inline void direct_return_address(const direct_plan *plan, char *frame, void *rvalue)
{
    (void)plan, (void)frame, (void)rvalue;
}

#endif
