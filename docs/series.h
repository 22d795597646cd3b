/* A small library about series of numbers: what the guide binds. */
#include <stddef.h>

#define SERIES_VERSION 3
#define SERIES_EPSILON 1e-9

enum window { WINDOW_FLAT, WINDOW_HANN, WINDOW_STEEP = 8 };

typedef struct { double mean, variance; } moments;
typedef struct { double x, y; } point;
typedef struct filter filter;
typedef double (*unary)(double);

extern double tolerance;
extern const double presets[2][3];

double dot(size_t n, const double *x, const double *y);
void scale(double *x, size_t n, double factor);
double total(size_t n, const double *x, const double *weights); /* weights may be NULL */
void window(enum window kind, double *w, int n);
void convolve(int n, const double *x, int m, const double *kernel, double *y); /* n + m - 1 */
void column_means(int rows, int columns, const double *a, double *means); /* a as in Fortran */

/* -1 and errno for a series without items */
int range(size_t n, const double *x, double *low, double *high);

moments describe(size_t n, const double *x);
double length(int n, const point *path);
unsigned long checksum(const char *s, size_t n);
size_t letters(int n, const char *const *words);

unary find(const char *name); /* NULL if there is none */
void apply(unary f, double *x, size_t n);
double mean_of(int count, ...); /* of doubles */

/* NULL and errno for a strength that is not positive */
filter *filter_new(double strength);
double filter_step(filter *f, double x);
void filter_free(filter *f);

/* What a Fortran compiler makes of a subroutine AXPY: all arguments by reference. */
void axpy_(const int *n, const double *a, const double *x, double *y);
