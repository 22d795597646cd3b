"""Special functions of the C library and of GSL as NumPy ufuncs: Bessel functions, and their zeros.

Give the name of a file, and matplotlib draws the functions there, as SVG.
"""

import sys

import numpy as np

import ffi

libm = ffi.dlopen("m")
libm.cdef("""
    double j0(double x);
    double jn(int order, double x);
    double lgamma_r(double x, int *sign);
""", out={"lgamma_r": ["sign"]})  # fmt: skip

# Orders are rows, positions are columns: NumPy broadcasts.
jn = ffi.vectorize(libm.jn)
x = np.linspace(0, 20, 401)
orders = np.arange(4, dtype=np.intc)[:, np.newaxis]
bessel = jn(orders, x)
print("Bessel functions:", bessel.shape)

# They are coupled: J(n - 1) + J(n + 1) = 2 n / x J(n).
np.testing.assert_allclose(
    bessel[:-2, 1:] + bessel[2:, 1:], 2 * orders[1:-1] / x[1:] * bessel[1:-1, 1:], atol=1e-14
)
np.testing.assert_array_equal(ffi.vectorize(libm.j0)(x), bessel[0])

# Two outputs: the logarithm of the gamma function, and the sign of the function itself.
lgamma = ffi.vectorize(libm.lgamma_r, name="lgamma")
logarithm, sign = lgamma([0.5, -0.5, 5.0])
np.testing.assert_allclose(sign * np.exp(logarithm), [np.pi**0.5, -2 * np.pi**0.5, 24])
print("gamma(-0.5) =", sign[1] * np.exp(logarithm[1]))

if ffi.find_library("gsl") is not None:
    # GSL knows the zeros.
    gsl = ffi.dlopen("gsl")
    zeros = ffi.vectorize(gsl.function("double gsl_sf_bessel_zero_Jnu(double nu, unsigned int s)"))
    found = zeros(orders, np.arange(1, 6, dtype=np.uintc))
    np.testing.assert_allclose(jn(orders, found), 0, atol=1e-14)
    print("zeros of J0:", found[0].round(4))

if len(sys.argv) > 1:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "ffi", "svg.fonttype": "none"})
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(x, bessel.T, label=[f"$J_{order}$" for order in orders[:, 0]])
    axes.set_xlabel("x")
    axes.grid(color="0.9")
    axes.legend(frameon=False, ncols=4)
    figure.savefig(sys.argv[1], format="svg", metadata={"Date": None, "Creator": None})
