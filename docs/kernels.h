/* Numerical kernels, as applications have them. */
#include <stddef.h>

/* A peak of height 1 at 0, of Gaussian and Lorentzian shape. */
double peak(double x, double width, double mixing);
float peakf(float x, float width, float mixing);
/* Polar coordinates; the angle goes to *angle. */
double polar(double x, double y, double *angle);

double dot(size_t n, const double *x, const double *y);
/* x rotated about an axis of length 1. */
void rotate(const double axis[3], double angle, const double x[3], double result[3]);
/* The running median of 2 * half + 1 items. */
int running_median(const float *row, int n, int half, float *result);
/* The convolution has n + m - 1 items. */
void convolve(const double *x, size_t n, const double *y, size_t m, double *result);
