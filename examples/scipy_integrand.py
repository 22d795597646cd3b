"""Integrate with SciPy over C functions: a library's, and Python's as callbacks.

`scipy.LowLevelCallable` takes their capsules. SciPy calls a C function without Python in between; a
callback does for Python what SciPy takes of C only.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import LowLevelCallable, integrate

import ffi

libm = ffi.dlopen("m")
libm.cdef("double erf(double x);")


@ffi.callback("double (double x)", error=math.nan)
def erf(x: float) -> float:
    """Return Python's own erf, to C."""
    return math.erf(x)


integrands = {
    "C's erf": LowLevelCallable(libm.erf.capsule()),
    "Python's erf as a callback": LowLevelCallable(erf.capsule()),
    "Python's erf": math.erf,
    "C's erf, called from Python": libm.erf,
}
# The integral of erf is x erf(x) + exp(-x^2) / sqrt(pi).
expected = 2 * math.erf(2) + (math.exp(-4) - 1) / math.sqrt(math.pi)
for name, integrand in integrands.items():
    value, error = integrate.quad(integrand, 0, 2)
    print(f"{name + ':':28} {value:.12f} +/- {error:.0e}")
    assert abs(value - expected) <= max(error, 1e-12)


# In several dimensions. What is passed as `data` is the capsule's context, which it keeps.
@ffi.callback("double (int n, double x[n], void *data)", error=math.nan)
def plane(x: NDArray[np.float64], data: ffi.Pointer) -> float:
    """Return a scalar product, of x and what `data` points at."""
    return float(x @ data.cast("const double *").view(x.size))


weights = np.array([1.0, 10.0])
value, error = integrate.nquad(LowLevelCallable(plane.capsule(weights)), [(0, 1), (0, 2)])
print("over a rectangle:", value)
# The mean of the integrand, times the area.
assert abs(value - (0.5 * 1 + 1.0 * 10) * 2) < 1e-9
