#include "series.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

double tolerance = 1e-6;
const double presets[2][3] = {{0.25, 0.5, 0.25}, {0.0, 1.0, 0.0}};

double dot(size_t n, const double *x, const double *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

void scale(double *x, size_t n, double factor)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

double total(size_t n, const double *x, const double *weights)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += weights ? x[i] * weights[i] : x[i];
    return sum;
}

void window(enum window kind, double *w, int n)
{
    double power = kind == WINDOW_FLAT ? 0 : kind == WINDOW_HANN ? 2 : 8;
    for (int i = 0; i < n; i++)
        w[i] = pow(sin(3.141592653589793 * (i + 0.5) / n), power);
}

void convolve(int n, const double *x, int m, const double *kernel, double *y)
{
    memset(y, 0, (n + m - 1) * sizeof(double));
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++)
            y[i + j] += x[i] * kernel[j];
}

void column_means(int rows, int columns, const double *a, double *means)
{
    for (int j = 0; j < columns; j++) {
        means[j] = 0;
        for (int i = 0; i < rows; i++)
            means[j] += a[i + j * rows] / rows;
    }
}

int range(size_t n, const double *x, double *low, double *high)
{
    if (n == 0) {
        errno = EINVAL;
        return -1;
    }
    *low = *high = x[0];
    for (size_t i = 1; i < n; i++) {
        *low = fmin(*low, x[i]);
        *high = fmax(*high, x[i]);
    }
    return 0;
}

moments describe(size_t n, const double *x)
{
    moments m = {total(n, x, NULL) / n, 0};
    for (size_t i = 0; i < n; i++)
        m.variance += (x[i] - m.mean) * (x[i] - m.mean) / n;
    return m;
}

double length(int n, const point *path)
{
    double sum = 0;
    for (int i = 1; i < n; i++)
        sum += hypot(path[i].x - path[i - 1].x, path[i].y - path[i - 1].y);
    return sum;
}

unsigned long checksum(const char *s, size_t n)
{
    unsigned long sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (unsigned char)s[i];
    return sum;
}

size_t letters(int n, const char *const *words)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += strlen(words[i]);
    return sum;
}

unary find(const char *name)
{
    return strcmp(name, "sqrt") == 0 ? sqrt : strcmp(name, "fabs") == 0 ? fabs : NULL;
}

void apply(unary f, double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = f(x[i]);
}

double mean_of(int count, ...)
{
    va_list values;
    double sum = 0;
    va_start(values, count);
    for (int i = 0; i < count; i++)
        sum += va_arg(values, double);
    va_end(values);
    return sum / count;
}

struct filter {
    double strength, state;
};

filter *filter_new(double strength)
{
    filter *f = NULL;
    if (strength > 0)
        f = calloc(1, sizeof *f);
    else
        errno = EDOM;
    if (f)
        f->strength = strength;
    return f;
}

double filter_step(filter *f, double x)
{
    return f->state += f->strength * (x - f->state);
}

void filter_free(filter *f)
{
    free(f);
}

void axpy_(const int *n, const double *a, const double *x, double *y)
{
    for (int i = 0; i < *n; i++)
        y[i] += *a * x[i];
}
