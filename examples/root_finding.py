"""Find roots with GSL: brackets, Newton's method, and an error handler in Python.

GSL's own handler ends the program. One that raises makes exceptions of GSL's errors, with its
words: what a callback raises is raised by the call of C through which it came to be called.
"""

import math

import ffi

gsl = ffi.dlopen("gsl")
gsl.cdef("""
    typedef void gsl_error_handler_t(const char *reason, const char *file, int line, int number);
    gsl_error_handler_t *gsl_set_error_handler(gsl_error_handler_t *handler);

    typedef struct { double (*function)(double x, void *params); void *params; } gsl_function;
    typedef struct {
        double (*f)(double x, void *params);
        double (*df)(double x, void *params);
        void (*fdf)(double x, void *params, double f[1], double df[1]);
        void *params;
    } gsl_function_fdf;

    typedef struct gsl_root_fsolver_type gsl_root_fsolver_type;
    typedef struct gsl_root_fsolver gsl_root_fsolver;
    extern const gsl_root_fsolver_type *gsl_root_fsolver_brent;
    gsl_root_fsolver *gsl_root_fsolver_alloc(const gsl_root_fsolver_type *method);
    int gsl_root_fsolver_set(gsl_root_fsolver *s, gsl_function *f, double lower, double upper);
    int gsl_root_fsolver_iterate(gsl_root_fsolver *s);
    double gsl_root_fsolver_root(const gsl_root_fsolver *s);
    double gsl_root_fsolver_x_lower(const gsl_root_fsolver *s);
    double gsl_root_fsolver_x_upper(const gsl_root_fsolver *s);
    void gsl_root_fsolver_free(gsl_root_fsolver *s);

    typedef struct gsl_root_fdfsolver_type gsl_root_fdfsolver_type;
    typedef struct gsl_root_fdfsolver gsl_root_fdfsolver;
    extern const gsl_root_fdfsolver_type *gsl_root_fdfsolver_newton;
    gsl_root_fdfsolver *gsl_root_fdfsolver_alloc(const gsl_root_fdfsolver_type *method);
    int gsl_root_fdfsolver_set(gsl_root_fdfsolver *s, gsl_function_fdf *f, double root);
    int gsl_root_fdfsolver_iterate(gsl_root_fdfsolver *s);
    double gsl_root_fdfsolver_root(const gsl_root_fdfsolver *s);
    void gsl_root_fdfsolver_free(gsl_root_fdfsolver *s);
""")


class GslError(Exception):
    """What GSL's error handler was told."""


# GSL keeps it, so a reference is kept here.
@ffi.callback(gsl.types["gsl_error_handler_t"])
def handler(reason: ffi.Pointer, file: ffi.Pointer, line: int, number: int) -> None:
    """Raise."""
    raise GslError(reason.string().decode())


gsl.gsl_set_error_handler(handler)

# Kepler's equation, x - e sin x = m, between 0 and pi.
eccentricity, anomaly = 0.8, 0.5


def kepler(x: float, params: object = None) -> float:
    """Return what is to be zero."""
    return x - eccentricity * math.sin(x) - anomaly


def slope(x: float, params: object = None) -> float:
    """Return its derivative."""
    return 1 - eccentricity * math.cos(x)


# The struct keeps the functions, and must live as long as the solver uses it.
function = ffi.new(gsl.types["gsl_function"], (kepler, None))
method = gsl.variable("gsl_root_fsolver_brent")[0]
with ffi.gc(gsl.gsl_root_fsolver_alloc(method), gsl.gsl_root_fsolver_free) as solver:
    gsl.gsl_root_fsolver_set(solver, function, 0.0, math.pi)
    while gsl.gsl_root_fsolver_x_upper(solver) - gsl.gsl_root_fsolver_x_lower(solver) > 1e-12:
        gsl.gsl_root_fsolver_iterate(solver)
    bracketed = gsl.gsl_root_fsolver_root(solver)
    print(f"Brent: x = {bracketed:.12f}, f(x) = {kepler(bracketed):.0e}")
    assert abs(kepler(bracketed)) < 1e-12

    try:
        gsl.gsl_root_fsolver_set(solver, function, 3.0, math.pi)
    except GslError as error:
        print("GSL says:", error)
    else:
        raise AssertionError("no error for an interval without a root")


def both(x: float, params: object, f: list[float], df: list[float]) -> None:
    """Write the value and the derivative, for Newton's method."""
    f[0], df[0] = kepler(x), slope(x)


function = ffi.new(gsl.types["gsl_function_fdf"], (kepler, slope, both, None))
method = gsl.variable("gsl_root_fdfsolver_newton")[0]
with ffi.gc(gsl.gsl_root_fdfsolver_alloc(method), gsl.gsl_root_fdfsolver_free) as solver:
    gsl.gsl_root_fdfsolver_set(solver, function, 2.0)
    for _ in range(10):
        gsl.gsl_root_fdfsolver_iterate(solver)
    x = gsl.gsl_root_fdfsolver_root(solver)
print(f"Newton: x = {x:.12f}")
assert abs(x - bracketed) < 1e-11
