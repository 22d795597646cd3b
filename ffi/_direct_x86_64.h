/* Which registers and stack words a signature takes on x86-64.

   System V Application Binary Interface, AMD64 Architecture Processor Supplement (the psABI), section
   3.2.3, "Parameter Passing".  Words in capitals are its classes.

   It leaves the upper bits of small integers open; they are extended to 64 bits (see the kinds of a
   move), because functions compiled by clang count on 32. */
#ifndef FFI_DIRECT_X86_64_H
#define FFI_DIRECT_X86_64_H

enum { DIRECT_MAX_MOVES = 2 /* of one argument: a value in registers has at most two eightbytes */ };

enum direct_class {
    DIRECT_NO_CLASS,
    DIRECT_INTEGER,
    DIRECT_SSE,
    DIRECT_CLASS_X87,
    DIRECT_CLASS_X87UP,
    DIRECT_MEMORY
};

enum { DIRECT_INTEGER_REGISTERS = 6, DIRECT_VECTOR_REGISTERS = 8 };

/* "Classification", step 4: the class of an eightbyte that two members share. */
static enum direct_class direct_merge(enum direct_class one, enum direct_class other)
{
    if (one == other || other == DIRECT_NO_CLASS)
        return one;
    if (one == DIRECT_NO_CLASS)
        return other;
    if (one == DIRECT_MEMORY || other == DIRECT_MEMORY)
        return DIRECT_MEMORY;
    if (one == DIRECT_INTEGER || other == DIRECT_INTEGER)
        return DIRECT_INTEGER;
    /* SSE equals SSE, so one of them is X87 or X87UP. */
    return DIRECT_MEMORY;
}

/* "Classification", steps 3 and 4: the classes of the eightbytes of one scalar. */
static void direct_classify_scalar(const direct_part *part, enum direct_class classes[2])
{
    size_t eightbyte = part->offset / 8;
    if (part->offset % part->size) {
        classes[0] = classes[1] = DIRECT_MEMORY;
    } else if (part->code == DIRECT_LONGDOUBLE) {
        classes[0] = DIRECT_CLASS_X87;
        classes[1] = DIRECT_CLASS_X87UP;
    } else if (part->code == DIRECT_FLOAT || part->code == DIRECT_DOUBLE) {
        classes[eightbyte] = DIRECT_SSE;
    } else {
        classes[eightbyte] = DIRECT_INTEGER;
    }
}

/* Members are classified recursively and merged one after the other: the order matters.  Returns
   what comes after them. */
static const direct_part *direct_classify_members(const direct_part *part, enum direct_class classes[2])
{
    classes[0] = classes[1] = DIRECT_NO_CLASS;
    while (part->code != DIRECT_END) {
        enum direct_class member[2] = {DIRECT_NO_CLASS, DIRECT_NO_CLASS};
        if (part->code == DIRECT_BEGIN)
            part = direct_classify_members(part + 1, member);
        else
            direct_classify_scalar(part++, member);
        classes[0] = direct_merge(classes[0], member[0]);
        classes[1] = direct_merge(classes[1], member[1]);
    }
    /* Step 5, the post merger cleanup. */
    if (classes[0] == DIRECT_MEMORY || classes[1] == DIRECT_MEMORY ||
        (classes[1] == DIRECT_CLASS_X87UP && classes[0] != DIRECT_CLASS_X87))
        classes[0] = classes[1] = DIRECT_MEMORY;
    return part + 1;
}

/* Give each eightbyte of a value its class; return whether it is in memory.  That includes
   COMPLEX_X87 as an argument, which is longer than two eightbytes. */
static int direct_classify(const direct_type *type, enum direct_class classes[2])
{
    /* Step 1, without vector types: beyond two eightbytes only memory is left. */
    if (type->size > 16)
        classes[0] = classes[1] = DIRECT_MEMORY;
    else
        direct_classify_members(type->parts, classes);
    return classes[0] == DIRECT_MEMORY;
}

/* "Passing": X87 and X87UP go to memory; so does a value whose eightbytes do not all find registers,
   while later ones may still find some. */
static void direct_pass(direct_builder *builder, size_t argument, const direct_type *type)
{
    enum direct_class classes[2];
    unsigned int integers = 0, vectors = 0;
    int in_memory = direct_classify(type, classes) || classes[0] == DIRECT_CLASS_X87;
    for (int i = 0; i < 2; i++) {
        integers += classes[i] == DIRECT_INTEGER;
        vectors += classes[i] == DIRECT_SSE;
    }
    if (in_memory || builder->integers + integers > DIRECT_INTEGER_REGISTERS ||
        builder->vectors + vectors > DIRECT_VECTOR_REGISTERS) {
        direct_add_stacked(builder, argument, type);
        return;
    }
    for (size_t from = 0; from < type->size; from += 8) {
        enum direct_class class = classes[from / 8];
        size_t size = type->size - from < 8 ? type->size - from : 8, at;
        if (class == DIRECT_NO_CLASS)
            continue;
        if (class == DIRECT_INTEGER)
            at = DIRECT_INTEGERS + 8 * builder->integers++;
        else
            at = DIRECT_VECTORS + 8 * builder->vectors++;
        direct_add(builder, argument, at, from, size, direct_kind_of(type->code, size));
    }
}

/* "Returning of Values". */
static void direct_begin(direct_builder *builder, const direct_type *type)
{
    direct_plan *plan = builder->plan;
    enum direct_class classes[2];
    size_t integers = 0, vectors = 0;
    if (type->code == DIRECT_VOID)
        return;
    if (type->code == DIRECT_COMPLEX_LONGDOUBLE) {
        /* COMPLEX_X87: the real part in st(0), the imaginary part in st(1). */
        plan->flags = DIRECT_TWO_X87;
        direct_add_result(plan, DIRECT_X87, 0, 10, DIRECT_MOVE_BYTES);
        direct_add_result(plan, DIRECT_X87 + 16, 16, 10, DIRECT_MOVE_BYTES);
    } else if (direct_classify(type, classes)) {
        /* The address of its memory is passed as if it were the first argument. */
        plan->result_address = DIRECT_INTEGERS;
        builder->integers = 1;
    } else if (classes[0] == DIRECT_CLASS_X87) {
        plan->flags = DIRECT_ONE_X87;
        direct_add_result(plan, DIRECT_X87, 0, 10, DIRECT_MOVE_BYTES);
    } else {
        for (size_t from = 0; from < type->size; from += 8) {
            enum direct_class class = classes[from / 8];
            size_t size = type->size - from < 8 ? type->size - from : 8, at;
            if (class == DIRECT_NO_CLASS)
                continue;
            if (class == DIRECT_INTEGER)
                at = DIRECT_RESULTS + 8 * integers++;
            else
                at = DIRECT_VRESULTS + 8 * vectors++;
            direct_add_result(plan, at, from, size, direct_kind_of(type->code, size));
        }
    }
}

/* AL holds the number of vector registers, for variadic functions; others do not mind. */
static void direct_end(direct_builder *builder)
{
    builder->plan->flags |= builder->vectors;
    if (builder->integers > 2)
        builder->plan->flags |= DIRECT_MANY_INTEGERS;
    else if (builder->integers)
        builder->plan->flags |= DIRECT_HAS_INTEGERS;
}

/* A function returns in rax the address that it was given for a result in memory. */
static inline void direct_return_address(const direct_plan *plan, char *frame, void *rvalue)
{
    if (plan->result_address)
        memcpy(frame + DIRECT_RESULTS, &rvalue, sizeof(rvalue));
}

#endif
