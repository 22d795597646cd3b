"""Use the GNU Scientific Library: special functions, random numbers, statistics.

A generator is a handle of an opaque type, which `ffi.gc` frees; variables of the library say which
kinds there are. What a function writes to, result structs too, are `out` parameters: they come back
as results.
"""

import numpy as np

import ffi

gsl = ffi.dlopen("gsl", release_gil=False)
gsl.cdef(
    """
    typedef struct { double val, err; } gsl_sf_result;
    double gsl_sf_bessel_J0(double x);
    int gsl_sf_bessel_J0_e(double x, gsl_sf_result *result);

    typedef struct gsl_rng_type gsl_rng_type;
    typedef struct gsl_rng gsl_rng;
    extern const gsl_rng_type *gsl_rng_mt19937;
    gsl_rng *gsl_rng_alloc(const gsl_rng_type *kind);
    void gsl_rng_set(const gsl_rng *rng, unsigned long seed);
    const char *gsl_rng_name(const gsl_rng *rng);
    unsigned long gsl_rng_get(const gsl_rng *rng);
    double gsl_ran_gaussian(const gsl_rng *rng, double sigma);
    void gsl_rng_free(gsl_rng *rng);

    double gsl_stats_mean(const double data[n], size_t stride, size_t n);
    double gsl_stats_variance(const double data[n], size_t stride, size_t n);
    double gsl_stats_correlation(const double x[n], size_t xstride, const double y[n],
                                 size_t ystride, size_t n);
    int gsl_fit_linear(const double x[n], size_t xstride, const double y[n], size_t ystride,
                       size_t n, double *c0, double *c1, double *cov00, double *cov01,
                       double *cov11, double *sumsq);
    """,
    out={
        "gsl_sf_bessel_J0_e": ["result"],
        "gsl_fit_linear": ["c0", "c1", "cov00", "cov01", "cov11", "sumsq"],
    },
)

# A number with an estimate of its error, after the status.
status, j0 = gsl.gsl_sf_bessel_J0_e(5.0)
print(f"J0(5) = {j0.val:.15f} +/- {j0.err:.0e}")
assert status == 0
assert abs(j0.val - -0.17759677131433830) < j0.err < 1e-15
assert gsl.gsl_sf_bessel_J0(5.0) == j0.val

# Of the generator that C++ has too, whose standard tells the 10000th number.
rng = ffi.gc(gsl.gsl_rng_alloc(gsl.variable("gsl_rng_mt19937")[0]), gsl.gsl_rng_free)
gsl.gsl_rng_set(rng, 5489)
numbers = [gsl.gsl_rng_get(rng) for _ in range(10_000)]
print(f"{gsl.gsl_rng_name(rng).string().decode()}: {numbers[0]}, ... {numbers[-1]}")
assert numbers[-1] == 4123659995

# Statistics; the number of items comes from the arrays.
x = np.linspace(0, 10, 400)
y = 2 + 3 * x + [gsl.gsl_ran_gaussian(rng, 0.1) for _ in range(400)]
np.testing.assert_allclose(gsl.gsl_stats_mean(y, 1), y.mean())
np.testing.assert_allclose(gsl.gsl_stats_variance(y, 1), y.var(ddof=1))
np.testing.assert_allclose(gsl.gsl_stats_correlation(x, 1, y, 1), np.corrcoef(x, y)[0, 1])
status, c0, c1, *_, sumsq = gsl.gsl_fit_linear(x, 1, y, 1)
print(f"y = {c0:.3f} + {c1:.3f} x")
assert status == 0
np.testing.assert_allclose([c1, c0], np.polyfit(x, y, 1))
np.testing.assert_allclose(sumsq, np.sum((y - c0 - c1 * x) ** 2))
rng.release()
