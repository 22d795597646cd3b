"""Fit a model that is written in C to data, with scipy.optimize.curve_fit.

The model is a function of numbers; as a ufunc it takes all positions at once. Another function has
its derivatives, which are three outputs.
"""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

import ffi

SOURCE = """
#include <math.h>
double decay(double t, double amplitude, double rate, double frequency)
{
    return amplitude * exp(-rate * t) * cos(frequency * t);
}
void derivatives(double t, double amplitude, double rate, double frequency,
                 double *by_amplitude, double *by_rate, double *by_frequency)
{
    double shape = exp(-rate * t);
    *by_amplitude = shape * cos(frequency * t);
    *by_rate = -t * amplitude * *by_amplitude;
    *by_frequency = -t * amplitude * shape * sin(frequency * t);
}
"""

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "decay.c").write_text(SOURCE)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    command = [*compiler, "-O2", "-shared", "-fPIC", "decay.c", "-o", "decay.so", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    library = ffi.dlopen(folder / "decay.so")

library.cdef(
    """
    double decay(double t, double amplitude, double rate, double frequency);
    void derivatives(double t, double amplitude, double rate, double frequency,
                     double *by_amplitude, double *by_rate, double *by_frequency);
    """,
    out={"derivatives": ["by_amplitude", "by_rate", "by_frequency"]},
)
decay = ffi.vectorize(library["decay"])
derivatives = ffi.vectorize(library["derivatives"])


def jacobian(t: np.ndarray, *parameters: float) -> np.ndarray:
    """Return the derivatives by the parameters, one row for each position."""
    return np.stack(derivatives(t, *parameters), axis=-1)


truth = 2.0, 0.3, 4.0
t = np.linspace(0, 10, 500)
data = decay(t, *truth) + np.random.default_rng(2).normal(scale=0.02, size=t.size)

found, covariance = curve_fit(decay, t, data, p0=[1.0, 0.5, 3.8], jac=jacobian)
errors = np.sqrt(np.diag(covariance))
for name, value, error in zip(("amplitude", "rate", "frequency"), found, errors, strict=True):
    print(f"{name}: {value:.4f} +/- {error:.4f}")
np.testing.assert_array_less(np.abs(found - truth), 4 * errors)
without, _ = curve_fit(decay, t, data, p0=[1.0, 0.5, 3.8])
np.testing.assert_allclose(found, without, rtol=1e-5)
