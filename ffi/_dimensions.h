/* Lengths that are computed: programs in postfix order over the values of parameters.

   As C computes them: an unsigned type wraps, what overflows a signed one, is divided by zero or
   shifted too far has no value, and neither has what is made of it. Of `?:`, `&&` and `||`, what C
   does not compute need have none. */
#ifndef FFI_DIMENSIONS_H
#define FFI_DIMENSIONS_H

#include <stdint.h>

enum dimension_kind {
    DIMENSION_NUMBER,
    DIMENSION_VARIABLE,
    /* The operators, by their first character; a second one makes it another. */
    DIMENSION_OPERATOR
};

typedef struct {
    int kind;
    int size; /* of the type, in bytes: at most 8 */
    int is_signed;
    int64_t value; /* the number, the variable's index, or the operator's characters */
} dimension_step;

/* Of an unsigned type of 8 bytes, the same bits. */
typedef struct {
    int64_t value;
    int is_known;
} dimension_value;

enum {
    DIMENSION_MAX_STEPS = 64
};

#define TWO(a, b) ((a) | (b) << 8)

/* Cut a number to the type. */
static inline int64_t dimension_cut(const dimension_step *step, uint64_t value)
{
    int unused = 64 - 8 * step->size;
    if (step->is_signed)
        return (int64_t)(value << unused) >> unused;
    return (int64_t)(value << unused >> unused);
}

/* Compute with two unsigned numbers, or with those of which the sign does not matter; return
   whether there is a result. */
static inline int dimension_wrap(const dimension_step *step, uint64_t a, uint64_t b,
                                 int64_t *result)
{
    switch (step->value) {
    case '+':
        *result = dimension_cut(step, a + b);
        return 1;
    case '-':
        *result = dimension_cut(step, a - b);
        return 1;
    case '*':
        *result = dimension_cut(step, a * b);
        return 1;
    case '/':
        if (b != 0)
            *result = (int64_t)(a / b);
        return b != 0;
    case '%':
        if (b != 0)
            *result = (int64_t)(a % b);
        return b != 0;
    case '&':
        *result = (int64_t)(a & b);
        return 1;
    case '|':
        *result = (int64_t)(a | b);
        return 1;
    case '^':
        *result = (int64_t)(a ^ b);
        return 1;
    case '<':
        *result = a < b;
        return 1;
    case '>':
        *result = a > b;
        return 1;
    case TWO('<', '='):
        *result = a <= b;
        return 1;
    case TWO('>', '='):
        *result = a >= b;
        return 1;
    case TWO('=', '='):
        *result = a == b;
        return 1;
    case TWO('!', '='):
        *result = a != b;
        return 1;
    default:
        return 0;
    }
}

/* The same with two signed numbers. */
static inline int dimension_apply(const dimension_step *step, int64_t a, int64_t b,
                                  int64_t *result)
{
    switch (step->value) {
    case '+':
        return !__builtin_add_overflow(a, b, result) && *result == dimension_cut(step, *result);
    case '-':
        return !__builtin_sub_overflow(a, b, result) && *result == dimension_cut(step, *result);
    case '*':
        return !__builtin_mul_overflow(a, b, result) && *result == dimension_cut(step, *result);
    case '/':
    case '%':
        if (b == 0)
            return 0;
        if (b == -1) {
            /* The remainder, too, has no value where the quotient has none. */
            int fits = a != INT64_MIN && -a == dimension_cut(step, -a);
            *result = fits && step->value == '/' ? -a : 0;
            return fits;
        }
        *result = step->value == '/' ? a / b : a % b;
        return 1;
    case '<':
        *result = a < b;
        return 1;
    case '>':
        *result = a > b;
        return 1;
    case TWO('<', '='):
        *result = a <= b;
        return 1;
    case TWO('>', '='):
        *result = a >= b;
        return 1;
    default:
        return dimension_wrap(step, a, b, result);
    }
}

/* Shift by a number of any type: a large unsigned one is negative here, which is as wrong. */
static inline int dimension_shift(const dimension_step *step, int64_t a, int64_t b,
                                  int64_t *result)
{
    if (b < 0 || b >= 8 * step->size)
        return 0;
    if (step->value == TWO('>', '>')) {
        *result = step->is_signed ? a >> b : (int64_t)((uint64_t)a >> b);
        return 1;
    }
    *result = dimension_cut(step, (uint64_t)a << b);
    /* Bits may be lost of what is unsigned only. */
    return !step->is_signed || *result >> b == a;
}

static inline dimension_value dimension_binary(const dimension_step *step, dimension_value a,
                                               dimension_value b)
{
    dimension_value found = {0, 0};
    int is_and = step->value == TWO('&', '&');
    if (!a.is_known)
        return found;
    if (is_and || step->value == TWO('|', '|')) {
        int decides = (a.value != 0) != is_and;
        found.is_known = decides || b.is_known;
        found.value = decides ? !is_and : b.value != 0;
    } else if (!b.is_known) {
        return found;
    } else if (step->value == TWO('<', '<') || step->value == TWO('>', '>')) {
        found.is_known = dimension_shift(step, a.value, b.value, &found.value);
    } else {
        a.value = dimension_cut(step, a.value);
        b.value = dimension_cut(step, b.value);
        found.is_known = step->is_signed
                             ? dimension_apply(step, a.value, b.value, &found.value)
                             : dimension_wrap(step, a.value, b.value, &found.value);
    }
    return found;
}

/* Compute a length; return whether it has a value. */
static inline int dimension_evaluate(const dimension_step *step, int count,
                                     const int64_t *variables, int64_t *result)
{
    dimension_value stack[DIMENSION_MAX_STEPS + 1];
    dimension_value *top = stack; /* the first is below the bottom */
    for (const dimension_step *end = step + count; step < end; step++) {
        if (step->kind != DIMENSION_OPERATOR) {
            int64_t value = step->value;
            top++;
            top->value = step->kind == DIMENSION_NUMBER ? value : variables[value];
            top->is_known = 1;
        } else if (step->value == '~') {
            top->value = dimension_cut(step, ~(uint64_t)top->value);
        } else if (step->value == '!') {
            top->value = !top->value;
        } else if (step->value == TWO('?', ':')) {
            top -= 2;
            if (top->is_known)
                *top = top->value ? top[1] : top[2];
            top->value = dimension_cut(step, top->value);
        } else {
            top--;
            *top = dimension_binary(step, top[0], top[1]);
        }
    }
    *result = top->value;
    return top->is_known;
}

#undef TWO
#endif
