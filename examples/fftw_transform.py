"""Transform complex arrays with FFTW, whose plans are handles that end themselves.

A plan keeps the addresses of the arrays that it was made for: those must stay, as in C.
"""

import numpy as np

import ffi

fftw = ffi.dlopen("fftw3")
fftw.cdef("""
    enum { FFTW_FORWARD = -1, FFTW_BACKWARD = 1 };
    enum { FFTW_MEASURE = 0, FFTW_ESTIMATE = 64 };
    typedef struct fftw_plan_s *fftw_plan;
    fftw_plan fftw_plan_dft_1d(int n, double _Complex in[n], double _Complex out[n], int sign,
                               unsigned flags);
    fftw_plan fftw_plan_dft_2d(int n0, int n1, double _Complex in[n0][n1],
                               double _Complex out[n0][n1], int sign, unsigned flags);
    fftw_plan fftw_plan_dft_r2c_1d(int n, double in[n], double _Complex out[n / 2 + 1],
                                   unsigned flags);
    void fftw_execute(const fftw_plan plan);
    void fftw_execute_dft(const fftw_plan plan, double _Complex *in, double _Complex *out);
    int fftw_alignment_of(void *p);
    void fftw_destroy_plan(fftw_plan plan);
""")


def owned(plan: ffi.Pointer) -> ffi.Pointer:
    """Return a plan that ends with its last user."""
    return ffi.gc(plan, fftw.fftw_destroy_plan)


# Making a plan may overwrite the arrays, unless it only estimates: fill them afterwards.
rng = np.random.default_rng(3)
x, y = np.empty((2, 1024), complex)
plan = owned(fftw.fftw_plan_dft_1d(x, y, fftw.FFTW_FORWARD, fftw.FFTW_MEASURE))
for _ in range(3):
    x[:] = rng.normal(size=x.size) + 1j * rng.normal(size=x.size)
    fftw.fftw_execute(plan)
    np.testing.assert_allclose(y, np.fft.fft(x), atol=1e-12)
print("largest difference from numpy.fft.fft:", np.abs(y - np.fft.fft(x)).max())

# The same plan for other arrays, aligned alike.
others = np.empty((2, 1024), complex)
others[0] = x[::-1]
assert len({fftw.fftw_alignment_of(array) for array in (x, y, *others)}) == 1
fftw.fftw_execute_dft(plan, others[0], others[1])
np.testing.assert_allclose(others[1], np.fft.fft(others[0]), atol=1e-12)

# Back: not normalised, as FFTW does.
back = np.empty_like(x)
with owned(fftw.fftw_plan_dft_1d(y, back, fftw.FFTW_BACKWARD, fftw.FFTW_ESTIMATE)) as plan:
    fftw.fftw_execute(plan)
np.testing.assert_allclose(back / back.size, x, atol=1e-12)

# Two dimensions, and real input: the shapes are checked.
image, spectrum = np.empty((2, 32, 48), complex)
with owned(fftw.fftw_plan_dft_2d(image, spectrum, fftw.FFTW_FORWARD, fftw.FFTW_ESTIMATE)) as plan:
    image[:] = rng.random(image.shape)
    fftw.fftw_execute(plan)
np.testing.assert_allclose(spectrum, np.fft.fft2(image), atol=1e-11)
real, half = rng.random(101), np.empty(51, complex)
with owned(fftw.fftw_plan_dft_r2c_1d(real, half, fftw.FFTW_ESTIMATE)) as plan:
    fftw.fftw_execute(plan)
np.testing.assert_allclose(half, np.fft.rfft(real), atol=1e-12)
print("fft, ifft, fft2 and rfft agree with numpy.fft")
try:
    fftw.fftw_plan_dft_r2c_1d(real, half[1:].copy(), fftw.FFTW_ESTIMATE)
except ValueError as error:
    print(error)
else:
    raise AssertionError("no error for an output that is too short")
