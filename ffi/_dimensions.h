/* Lengths that are computed: programs in postfix order over the values of parameters. */
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
    int64_t value; /* the number, the variable's index, or the operator's characters */
} dimension_step;

enum {
    DIMENSION_MAX_STEPS = 64,
    DIMENSION_FAILED = -1
};

#define TWO(a, b) ((a) | (b) << 8)

/* Apply an operator of two values; return whether there is a result. */
static inline int dimension_apply(int64_t operator, int64_t a, int64_t b, int64_t *result)
{
    switch (operator) {
    case '+':
        return !__builtin_add_overflow(a, b, result);
    case '-':
        return !__builtin_sub_overflow(a, b, result);
    case '*':
        return !__builtin_mul_overflow(a, b, result);
    case '/':
    case '%':
        if (b == 0 || (a == INT64_MIN && b == -1))
            return 0;
        *result = operator == '/' ? a / b : a % b;
        return 1;
    case TWO('<', '<'):
        return b >= 0 && b < 63 && !__builtin_mul_overflow(a, (int64_t)1 << b, result);
    case TWO('>', '>'):
        if (b < 0 || b > 63)
            return 0;
        *result = a >> b;
        return 1;
    case '&':
        *result = a & b;
        return 1;
    case '|':
        *result = a | b;
        return 1;
    case '^':
        *result = a ^ b;
        return 1;
    case TWO('&', '&'):
        *result = a && b;
        return 1;
    case TWO('|', '|'):
        *result = a || b;
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

/* Compute a length; return whether there is one that fits. */
static inline int dimension_evaluate(const dimension_step *step, int count,
                                     const int64_t *variables, int64_t *result)
{
    int64_t stack[DIMENSION_MAX_STEPS + 1];
    int depth = 0;
    for (const dimension_step *end = step + count; step < end; step++) {
        if (step->kind == DIMENSION_NUMBER) {
            stack[depth++] = step->value;
        } else if (step->kind == DIMENSION_VARIABLE) {
            stack[depth++] = variables[step->value];
        } else if (step->value == '~') {
            stack[depth - 1] = ~stack[depth - 1];
        } else if (step->value == '!') {
            stack[depth - 1] = !stack[depth - 1];
        } else if (step->value == TWO('?', ':')) {
            depth -= 2;
            stack[depth - 1] = stack[depth - 1] ? stack[depth] : stack[depth + 1];
        } else {
            depth--;
            if (!dimension_apply(step->value, stack[depth - 1], stack[depth], &stack[depth - 1]))
                return 0;
        }
    }
    *result = stack[0];
    return 1;
}

#undef TWO
#endif
