/* Functions for the tests of ufuncs, one for each way in which numbers travel. */
#include <complex.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int8_t i8(int8_t a, int8_t b) { return a - b; }
uint8_t u8(uint8_t a, uint8_t b) { return a - b; }
int16_t i16(int16_t a, int16_t b) { return a - b; }
uint16_t u16(uint16_t a, uint16_t b) { return a - b; }
int32_t i32(int32_t a, int32_t b) { return a - b; }
uint32_t u32(uint32_t a, uint32_t b) { return a - b; }
int64_t i64(int64_t a, int64_t b) { return a - b; }
uint64_t u64(uint64_t a, uint64_t b) { return a - b; }
float f32(float a, float b) { return a - b; }
double f64(double a, double b) { return a - b; }
long double f80(long double a, long double b) { return a - b; }
float complex c64(float complex a, float complex b) { return a - b; }
double complex c128(double complex a, double complex b) { return a - b; }
long double complex c256(long double complex a, long double complex b) { return a - b; }
bool b8(bool a, bool b) { return a && !b; }
char plain(char a) { return a + 1; }
int is_char_signed(void) { return (char)-1 < 0; }

double twenty(double a, int b, double c, int d, double e, int f, double g, int h, double i, int j,
              double k, int l, double m, int n, double o, int p, double q, int r, double s, int t)
{
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j + 11 * k +
           12 * l + 13 * m + 14 * n + 15 * o + 16 * p + 17 * q + 18 * r + 19 * s + 20 * t;
}
double mixed(int8_t a, double b, uint16_t c, float d, bool e, int64_t f)
{
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f;
}

/* --- what C writes */

int quotient(int a, int b, int *rest) { *rest = b ? a % b : 0; return b ? a / b : 0; }
void parts(double x, double *whole, bool *is_negative, int16_t *sign)
{
    *whole = trunc(x);
    *is_negative = x < 0;
    *sign = (int16_t)((x > 0) - (x < 0));
}
void sometimes(double x, double *y) { if (x > 0) *y = x; }
void by_reference(const double *x, const int *n, double *y) { *y = *x * *n; }
void sum_and_difference(double x, double y, double *sum, double *difference)
{
    *sum = x + y;
    *difference = x - y;
}

/* --- arrays */

double dot(size_t n, const double *x, const double *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}
float dotf(size_t n, const float *x, const float *y)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}
void cross(const double *x, const double *y, double *z)
{
    for (int i = 0; i < 3; i++)
        z[i] = x[(i + 1) % 3] * y[(i + 2) % 3] - x[(i + 2) % 3] * y[(i + 1) % 3];
}
void multiply(int n, int m, int k, const double *a, const double *b, double *c)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < k; j++) {
            c[i * k + j] = 0;
            for (int l = 0; l < m; l++) c[i * k + j] += a[i * m + l] * b[l * k + j];
        }
}
void convolve(int n, const double *x, int m, const double *y, double *z)
{
    for (int i = 0; i < n + m - 1; i++)
        for (int j = 0; j < n; j++)
            if (i >= j && i - j < m) z[i] += x[j] * y[i - j];
}
double scaled(const float *x, double factor, short n, int16_t *rounded)
{
    double sum = 0;
    for (short i = 0; i < n; i++) {
        rounded[i] = (int16_t)(x[i] * factor);
        sum += rounded[i];
    }
    return sum;
}
void fill(double start, size_t n, double *x) { for (size_t i = 0; i < n; i++) x[i] = start + i; }
size_t count_true(size_t n, const bool *x)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += x[i];
    return count;
}
long double complex total(int n, const long double complex *x)
{
    long double complex sum = 0;
    while (n-- > 0) sum += x[n];
    return sum;
}
int length8(int8_t n, const char *x) { (void)x; return n; }
double cube(size_t n, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < n * n * n; i++) sum += (i + 1) * x[i];
    return sum;
}

/* --- states */

int counter(void) { static int count; return ++count; }
int errno_of(int x) { int was = errno; errno = x; return was; }
double divided(double a, double b) { return a / b; }
static double (*kept)(double);
void keep(double (*f)(double)) { kept = f; }
double call_kept(double x) { return kept(x); }
double divided_kept(double x) { return kept(x) / (x - 1); }
static int calls;
double call_counted(double x) { calls++; return kept(x); }
int call_count(void) { int was = calls; calls = 0; return was; }
