/* Numerical methods that call functions of others: what the guide's page on callbacks binds. */
#include <stddef.h>

/* Writes the derivative of y at t to dydt. */
typedef void (*slope)(double t, const double *y, double *dydt, size_t n, void *data);

/* Replaces y at t by y at end, in steps of fourth order (Runge and Kutta). */
void integrate(slope f, double t, double end, int steps, double *y, size_t n, void *data);

/* Returns the value at x, and writes the gradient unless that is NULL. */
typedef double (*objective)(unsigned n, const double *x, double *gradient, void *data);

/* Goes downhill from x, at most so many steps, and returns the value there. */
double descend(objective f, unsigned n, double *x, int steps, void *data);

/* A function with its parameters. */
typedef struct { double (*f)(double x, void *data); void *data; } integrand;

double trapezoid(const integrand *g, double a, double b, int intervals);

/* x to a power, which is a double. */
double power(double x, void *exponent);

/* Keeps a function; tell calls it. */
typedef void (*listener)(int number);
void listen(listener f);
void tell(int number);

/* The sum of f(0), f(1), ..., each computed on a thread of its own. */
double sum_in_threads(double (*f)(double x), int n);
