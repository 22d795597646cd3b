/* Loops of ufuncs that call C by typed pointers.

   A typed call is the cheapest there is, but every signature needs code of its own; what has none
   here goes the general way, in _elements.pyx.

   `args` and `strides` are inputs, then outputs, the result first among those. A loop ends early when
   `*error` is set, by a callback. What C writes to is on the stack and zero before each call: an
   output may lie where an input lies. */
#ifndef FFI_TYPED_LOOPS_H
#define FFI_TYPED_LOOPS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef void (*typed_loop)(void *code, char **args, const intptr_t *strides, intptr_t count,
                           void *const *error);

#define LOOP_HEAD(name)                                                                              \
    static void name(void *code, char **args, const intptr_t *strides, intptr_t count,               \
                     void *const *error)
#define LOOP_FOR for (; count > 0 && *error == NULL; count--)

#define LOOP_1(name, R, A)                                                                           \
    LOOP_HEAD(name)                                                                                  \
    {                                                                                                \
        R (*function)(A) = (R(*)(A))code;                                                            \
        char *a = args[0], *r = args[1];                                                             \
        intptr_t to_a = strides[0], to_r = strides[1];                                               \
        LOOP_FOR                                                                                     \
        {                                                                                            \
            *(R *)r = function(*(A *)a);                                                             \
            a += to_a, r += to_r;                                                                    \
        }                                                                                            \
    }

#define LOOP_2(name, R, A, B)                                                                        \
    LOOP_HEAD(name)                                                                                  \
    {                                                                                                \
        R (*function)(A, B) = (R(*)(A, B))code;                                                      \
        char *a = args[0], *b = args[1], *r = args[2];                                               \
        intptr_t to_a = strides[0], to_b = strides[1], to_r = strides[2];                            \
        LOOP_FOR                                                                                     \
        {                                                                                            \
            *(R *)r = function(*(A *)a, *(B *)b);                                                    \
            a += to_a, b += to_b, r += to_r;                                                         \
        }                                                                                            \
    }

#define LOOP_3(name, R, A, B, C)                                                                     \
    LOOP_HEAD(name)                                                                                  \
    {                                                                                                \
        R (*function)(A, B, C) = (R(*)(A, B, C))code;                                                \
        char *a = args[0], *b = args[1], *c = args[2], *r = args[3];                                 \
        intptr_t to_a = strides[0], to_b = strides[1], to_c = strides[2], to_r = strides[3];         \
        LOOP_FOR                                                                                     \
        {                                                                                            \
            *(R *)r = function(*(A *)a, *(B *)b, *(C *)c);                                           \
            a += to_a, b += to_b, c += to_c, r += to_r;                                              \
        }                                                                                            \
    }

/* A result, and a number that C writes. */
#define LOOP_1_AND_OUT(name, R, A, P)                                                                \
    LOOP_HEAD(name)                                                                                  \
    {                                                                                                \
        R (*function)(A, P *) = (R(*)(A, P *))code;                                                  \
        char *a = args[0], *r = args[1], *p = args[2];                                               \
        intptr_t to_a = strides[0], to_r = strides[1], to_p = strides[2];                            \
        LOOP_FOR                                                                                     \
        {                                                                                            \
            P out = 0;                                                                               \
            R result = function(*(A *)a, &out);                                                      \
            *(R *)r = result;                                                                        \
            *(P *)p = out;                                                                           \
            a += to_a, r += to_r, p += to_p;                                                         \
        }                                                                                            \
    }

/* Two numbers that C writes. */
#define LOOP_TWO_OUT(name, A, P, Q)                                                                  \
    LOOP_HEAD(name)                                                                                  \
    {                                                                                                \
        void (*function)(A, P *, Q *) = (void (*)(A, P *, Q *))code;                                 \
        char *a = args[0], *p = args[1], *q = args[2];                                               \
        intptr_t to_a = strides[0], to_p = strides[1], to_q = strides[2];                            \
        LOOP_FOR                                                                                     \
        {                                                                                            \
            P first = 0;                                                                             \
            Q second = 0;                                                                            \
            function(*(A *)a, &first, &second);                                                      \
            *(P *)p = first;                                                                         \
            *(Q *)q = second;                                                                        \
            a += to_a, p += to_p, q += to_q;                                                         \
        }                                                                                            \
    }

LOOP_1(loop_d_d, double, double)
LOOP_2(loop_d_dd, double, double, double)
LOOP_3(loop_d_ddd, double, double, double, double)
LOOP_1(loop_f_f, float, float)
LOOP_2(loop_f_ff, float, float, float)
LOOP_3(loop_f_fff, float, float, float, float)
LOOP_1(loop_i_i, int32_t, int32_t)
LOOP_2(loop_i_ii, int32_t, int32_t, int32_t)
LOOP_1(loop_l_l, int64_t, int64_t)
LOOP_2(loop_l_ll, int64_t, int64_t, int64_t)
LOOP_1(loop_i_d, int32_t, double)
LOOP_2(loop_d_id, double, int32_t, double)
LOOP_2(loop_d_di, double, double, int32_t)
LOOP_1_AND_OUT(loop_d_dpi, double, double, int32_t)
LOOP_1_AND_OUT(loop_d_dpd, double, double, double)
LOOP_1_AND_OUT(loop_f_fpi, float, float, int32_t)
LOOP_1_AND_OUT(loop_f_fpf, float, float, float)
LOOP_TWO_OUT(loop_v_dpdpd, double, double, double)
LOOP_TWO_OUT(loop_v_fpfpf, float, float, float)

/* By the result and the parameters: v void, i int32, l int64, f float, d double, * what is written. */
static const struct {
    const char *key;
    typed_loop loop;
} typed_loops[] = {
    {"d(d)", loop_d_d},        {"d(dd)", loop_d_dd},       {"d(ddd)", loop_d_ddd},
    {"f(f)", loop_f_f},        {"f(ff)", loop_f_ff},       {"f(fff)", loop_f_fff},
    {"i(i)", loop_i_i},        {"i(ii)", loop_i_ii},       {"l(l)", loop_l_l},
    {"l(ll)", loop_l_ll},      {"i(d)", loop_i_d},         {"d(id)", loop_d_id},
    {"d(di)", loop_d_di},      {"d(d*i)", loop_d_dpi},     {"d(d*d)", loop_d_dpd},
    {"f(f*i)", loop_f_fpi},    {"f(f*f)", loop_f_fpf},     {"v(d*d*d)", loop_v_dpdpd},
    {"v(f*f*f)", loop_v_fpfpf},
};

/* NULL where there is none. */
static inline typed_loop find_typed_loop(const char *key)
{
    for (size_t i = 0; i < sizeof(typed_loops) / sizeof(typed_loops[0]); i++)
        if (strcmp(typed_loops[i].key, key) == 0)
            return typed_loops[i].loop;
    return NULL;
}

#undef LOOP_HEAD
#undef LOOP_FOR
#undef LOOP_1
#undef LOOP_2
#undef LOOP_3
#undef LOOP_1_AND_OUT
#undef LOOP_TWO_OUT

/* --- bytes */

/* A number of a size that the compiler knows moves in registers. */
static inline void copy_item(char *to, const char *from, size_t size)
{
    switch (size) {
    case 8:
        memcpy(to, from, 8);
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 2:
        memcpy(to, from, 2);
        break;
    case 1:
        *to = *from;
        break;
    case 16:
        memcpy(to, from, 16);
        break;
    default:
        memcpy(to, from, size);
    }
}

#endif
