#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double peak(double x, double width, double mixing)
{
    double u = x / width * (x / width);
    return (1 - mixing) * exp(-u) + mixing / (1 + u);
}

float peakf(float x, float width, float mixing)
{
    float u = x / width * (x / width);
    return (1 - mixing) * expf(-u) + mixing / (1 + u);
}

double polar(double x, double y, double *angle)
{
    *angle = atan2(y, x);
    return hypot(x, y);
}

double dot(size_t n, const double *x, const double *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

void rotate(const double axis[3], double angle, const double x[3], double result[3])
{
    double c = cos(angle), s = sin(angle), along = (1 - c) * dot(3, axis, x);
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        result[i] = c * x[i] + s * (axis[j] * x[k] - axis[k] * x[j]) + along * axis[i];
    }
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int running_median(const float *row, int n, int half, float *result)
{
    float *window = malloc((2 * half + 1) * sizeof(float));
    if (window == NULL)
        return -1;
    for (int i = 0; i < n; i++) {
        int first = i < half ? 0 : i - half, last = i + half < n ? i + half : n - 1;
        int count = last - first + 1;
        memcpy(window, row + first, count * sizeof(float));
        qsort(window, count, sizeof(float), ascending);
        result[i] = window[count / 2];
    }
    free(window);
    return 0;
}

void convolve(const double *x, size_t n, const double *y, size_t m, double *result)
{
    for (size_t i = 0; i < n + m - 1; i++)
        result[i] = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            result[i + j] += x[i] * y[j];
}
