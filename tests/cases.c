/* C functions for the tests, one for each case, in groups. */
#include <complex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- calls */

int add_int(int a, int b) { return a + b; }
unsigned char next_uchar(unsigned char x) { return (unsigned char)(x + 1); }
int answer(void) { return 42; }

int calls_of_count_call = 0;
void count_call(void) { calls_of_count_call++; }

void fill_int(int *items, size_t count, int value)
{
    for (size_t i = 0; i < count; i++) items[i] = value;
}

double dot(size_t n, const double *x, const double *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* Wider than two registers, hence passed in memory; the callee owns its copy and overwrites it. */
struct wide { int64_t items[5]; };
int64_t sum_two_wide(struct wide a, struct wide b)
{
    int64_t sum = 0;
    for (int i = 0; i < 5; i++) sum += a.items[i] - 2 * b.items[i];
    *(volatile int64_t *)&a.items[0] = -1;
    *(volatile int64_t *)&b.items[4] = -1;
    return sum;
}
struct wide make_wide(int64_t first)
{
    struct wide made;
    for (int i = 0; i < 5; i++) made.items[i] = first + i;
    return made;
}

struct pointing { int *items; size_t count; };
int sum_pointing(struct pointing p)
{
    int sum = 0;
    for (size_t i = 0; i < p.count; i++) sum += p.items[i];
    return sum;
}

double add_variadic(int count, ...)
{
    va_list more;
    double sum = 0;
    va_start(more, count);
    for (int i = 0; i < count; i++) sum += va_arg(more, double) * va_arg(more, int);
    va_end(more);
    return sum;
}

/* How far another thread counts meanwhile. */
int64_t watch(const volatile int64_t *counter, int milliseconds)
{
    int64_t before = *counter;
    usleep(milliseconds * 1000);
    return *counter - before;
}

/* --- objects */

struct node { int value; struct node *next; const char *name; };
long sum_nodes(const struct node *node)
{
    long sum = 0;
    for (; node != NULL; node = node->next) sum += node->value;
    return sum;
}

int destroyed = 0;
void *last_destroyed = NULL;
void destroy(void *object)
{
    destroyed++;
    last_destroyed = object;
}

/* --- a value through a call, and a value through a function pointer, for each type */

struct byte { uint8_t b; };
struct three { uint8_t bytes[3]; };
struct mixed { int8_t c; double d; };
struct floats { float x, y, z; };
struct longdoubles { long double items[2]; };
struct nested { struct mixed m; struct three t[2]; };

#define ECHO(name, type) \
    type echo_##name(type x) { return x; } \
    void drive_##name(type (*function)(type), type const *in, type *out) { *out = function(*in); }
ECHO(int8, int8_t)
ECHO(uint8, uint8_t)
ECHO(int16, int16_t)
ECHO(uint16, uint16_t)
ECHO(int32, int32_t)
ECHO(uint32, uint32_t)
ECHO(int64, int64_t)
ECHO(uint64, uint64_t)
ECHO(bool, _Bool)
ECHO(char, char)
ECHO(float, float)
ECHO(double, double)
ECHO(longdouble, long double)
ECHO(pointer, void *)
ECHO(complex_float, float _Complex)
ECHO(complex_double, double _Complex)
ECHO(complex_longdouble, long double _Complex)
ECHO(byte, struct byte)
ECHO(three, struct three)
ECHO(mixed, struct mixed)
ECHO(floats, struct floats)
ECHO(longdoubles, struct longdoubles)
ECHO(nested, struct nested)
ECHO(wide, struct wide)

/* --- function pointers */

int call_int(int (*function)(int), int x) { return function(x); }
void call_void(void (*function)(void)) { function(); }
/* The whole register that comes back, not only the result's width. */
long call_schar_as_long(signed char (*function)(void)) { return function(); }
unsigned long call_ushort_as_long(unsigned short (*function)(void)) { return function(); }

struct thread_call { int (*function)(int); int argument, count, sum; };

static void *run_thread_call(void *data)
{
    struct thread_call *job = data;
    for (int i = 0; i < job->count; i++) job->sum += job->function(job->argument);
    return NULL;
}

/* Call `count` times from each of `threads` new threads, and add everything up; -1 if it failed. */
int call_from_threads(int (*function)(int), int argument, int count, int threads)
{
    pthread_t ids[64];
    struct thread_call jobs[64];
    int sum = 0;
    for (int i = 0; i < threads; i++) {
        jobs[i] = (struct thread_call){function, argument, count, 0};
        if (pthread_create(&ids[i], NULL, run_thread_call, &jobs[i])) return -1;
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        sum += jobs[i].sum;
    }
    return sum;
}

/* What C kept: a function pointer that it calls later. */
static int (*kept_function)(int);
void keep_function(int (*function)(int)) { kept_function = function; }
int call_kept(int x) { return kept_function(x); }

static void call_kept_at_exit(void)
{
    printf("at exit C got %d\n", kept_function(7));
    fflush(stdout);
}
int register_at_exit(void) { return atexit(call_kept_at_exit); }

static volatile int background_calls;
static void *call_kept_forever(void *data)
{
    (void)data;
    for (;;) {
        kept_function(1);
        background_calls++;
        usleep(50);
    }
    return NULL;
}
int start_background_calls(void)
{
    pthread_t id;
    return pthread_create(&id, NULL, call_kept_forever, NULL) || pthread_detach(id);
}
int get_background_calls(void) { return background_calls; }

/* --- what libffi gets wrong */

float take_after_five(char a, char b, char c, char d, char e, float f, struct mixed m)
{
    return a + b + c + d + e + f * 1000 + m.c + (float)m.d;
}
double take_before_float(double x, float _Complex z, char a, char b, char c, char d, char e, struct mixed m)
{
    float parts[2];
    memcpy(parts, &z, sizeof parts);
    return x + 10.0 * parts[0] + 100.0 * parts[1] + a + b + c + d + e + m.c + m.d;
}
struct single { long double value; };
struct single make_single(int x) { return (struct single){x}; }
long double take_single(struct single s) { return s.value * 2; }
int64_t after_eight(long a, long b, long c, long d, long e, long f, long g, long h, long i, struct longdoubles s)
{
    return a + b + c + d + e + f + g + h + i + (int64_t)(s.items[0] + 2 * s.items[1]);
}
union number { int i; double d; };
union number twice_number(int is_double, union number n)
{
    if (is_double)
        n.d *= 2;
    else
        n.i *= 2;
    return n;
}
struct bits { int low : 3; unsigned high : 29; unsigned char c; };
struct bits next_bits(struct bits b)
{
    b.low++, b.high++, b.c++;
    return b;
}
int64_t sum_three(struct three s) { return s.bytes[0] + s.bytes[1] + s.bytes[2]; }
float sum_floats(struct floats s) { return s.x + s.y + s.z; }

/* --- another calling convention */

#if defined(__x86_64__)
struct eight { int32_t a, b; };
#define MS __attribute__((ms_abi))
MS int ms_ints(int a, char b, short c, int64_t d, unsigned e, int f)
{
    return a + 2 * b + 3 * c + 4 * (int)d + 5 * (int)e + 6 * f;
}
MS double ms_doubles(double a, float b, int c, double d, float e, double f)
{
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f;
}
MS float ms_float(float a) { return -a; }
MS struct eight ms_eight(struct eight s, int x) { return (struct eight){s.b + x, s.a - x}; }
void drive_ms(MS int (*function)(int, double, struct eight), int *out)
{
    *out = function(3, 2.5, (struct eight){10, 20});
}
#endif

/* Looks at no array, whatever its lengths, and at nothing behind its parameters. */
void *echo_array(void *x, int64_t n, int64_t m, void *y)
{
    return n + m == 7 ? y : x;
}

int echo_first(int x, ...)
{
    return x;
}
