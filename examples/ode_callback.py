"""Solve an ordinary differential equation with GSL; its right-hand side is a Python function.

The struct that describes the system has pointers to functions, which Python functions are assigned
to. GSL calls them with its own arrays: as the prototype says how long those are, they are ndarrays.
"""

import numpy as np
from numpy.typing import NDArray

import ffi

gsl = ffi.dlopen("gsl")
gsl.cdef("""
    typedef int (*slope)(double t, const double y[2], double dydt[2], void *params);
    typedef struct {
        slope function;
        int (*jacobian)(double t, const double y[2], double dfdy[2][2], double dfdt[2],
                        void *params);
        size_t dimension;
        void *params;
    } gsl_odeiv2_system;
    typedef struct gsl_odeiv2_step_type gsl_odeiv2_step_type;
    typedef struct gsl_odeiv2_driver gsl_odeiv2_driver;
    extern const gsl_odeiv2_step_type *gsl_odeiv2_step_rk8pd, *gsl_odeiv2_step_msbdf;
    gsl_odeiv2_driver *gsl_odeiv2_driver_alloc_y_new(
        const gsl_odeiv2_system *system, const gsl_odeiv2_step_type *method, double first_step,
        double epsabs, double epsrel);
    int gsl_odeiv2_driver_apply(gsl_odeiv2_driver *driver, double *t, double end, double y[2]);
    void gsl_odeiv2_driver_free(gsl_odeiv2_driver *driver);
""")
Array = NDArray[np.float64]
SUCCESS = 0
BAD_FUNCTION = 9  # GSL's number for: stop, and do not try a smaller step


class Oscillator:
    """Van der Pol's oscillator, y'' = mu (1 - y^2) y' - y."""

    def __init__(self, mu: float) -> None:
        self.mu = mu
        self.calls = 0

    def slope(self, t: float, y: Array, dydt: Array, params: object) -> int:
        """Write the derivative of (y, y')."""
        self.calls += 1
        dydt[:] = y[1], self.mu * (1 - y[0] ** 2) * y[1] - y[0]
        return SUCCESS

    def jacobian(self, t: float, y: Array, dfdy: Array, dfdt: Array, params: object) -> int:
        """Write the derivatives of the slope, by y and by t."""
        dfdy[:] = [[0, 1], [-2 * self.mu * y[0] * y[1] - 1, self.mu * (1 - y[0] ** 2)]]
        dfdt[:] = 0
        return SUCCESS


def solve(
    oscillator: Oscillator, method: str, end: float, step: float = 1e-6, tolerance: float = 1e-9
) -> Array:
    """Return (y, y') at time `end`, of the solution that begins at (2, 0)."""
    # What GSL gets instead of a result when there is an exception makes it stop.
    slope = ffi.callback(gsl.types["slope"], oscillator.slope, error=BAD_FUNCTION)
    system = ffi.new(gsl.types["gsl_odeiv2_system"], (slope, oscillator.jacobian, 2, None))
    driver = gsl.gsl_odeiv2_driver_alloc_y_new(
        system, gsl.variable(method)[0], step, tolerance, tolerance
    )
    t, y = ffi.new("double", 0.0), np.array([2.0, 0.0])
    # The driver keeps the address of the system: that must live until here.
    with ffi.gc(driver, gsl.gsl_odeiv2_driver_free):
        status = gsl.gsl_odeiv2_driver_apply(driver, t, end, y)
    if status != SUCCESS:
        raise RuntimeError(f"GSL stopped with status {status} at t = {t[0]}")
    return y


# Without damping it goes round in a circle.
y = solve(Oscillator(0.0), "gsl_odeiv2_step_rk8pd", np.pi)
print("after half a turn:", y)
np.testing.assert_allclose(y, [-2, 0], atol=1e-7)

# An implicit method, which asks for the Jacobian, agrees with an explicit one.
stiff = Oscillator(10.0)
explicit = solve(stiff, "gsl_odeiv2_step_rk8pd", 30.0)
implicit = solve(stiff, "gsl_odeiv2_step_msbdf", 30.0)
print("at t = 30:", explicit, implicit, f"({stiff.calls} calls of Python)")
np.testing.assert_allclose(implicit, explicit, rtol=1e-4)


class Broken(Oscillator):
    """One with a mistake in it."""

    def slope(self, t: float, y: Array, dydt: Array, params: object) -> int:
        """Fail after a while."""
        if t > 1.0:
            raise ValueError(f"nothing is known of t = {t:.3f}")
        return super().slope(t, y, dydt, params)


# What a callback raises, the call raises.
try:
    solve(Broken(1.0), "gsl_odeiv2_step_rk8pd", 3.0)
except ValueError as error:
    print("raised in a callback:", error)
else:
    raise AssertionError("no exception")
