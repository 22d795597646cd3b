"""A kernel in C over the rows of an image, and over its columns: a running median.

The kernel knows one row. As a generalised ufunc it takes an image, or a stack of images, and the
axis that the rows lie along; NumPy makes the result.
"""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import ffi

SOURCE = """
void running_median(const float *row, int n, float *result)
{
    for (int i = 0; i < n; i++) {
        float a = row[i > 0 ? i - 1 : 0], b = row[i], c = row[i < n - 1 ? i + 1 : n - 1];
        float low = a < b ? a : b, high = a < b ? b : a;
        result[i] = c < low ? low : c > high ? high : c;
    }
}
"""

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "median.c").write_text(SOURCE)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    command = [*compiler, "-O2", "-shared", "-fPIC", "median.c", "-o", "median.so"]
    subprocess.run(command, cwd=folder, check=True)
    library = ffi.dlopen(folder / "median.so")

median = ffi.vectorize(
    library.function(
        "void running_median(const float row[n], int n, float result[n])", out=["result"]
    )
)
print("signature:", median.signature)

# Images with bad pixels, in a stack.
random = np.random.default_rng(1)
y, x = np.mgrid[:120, :160]
clean = np.sin(x / 25) + np.cos(y / 20)
images = np.stack([clean, clean**2, -clean]).astype(np.float32)
noisy = images.copy()
noisy[random.random(images.shape) < 0.02] = 50.0

rows = median(noisy)
both = median(rows, axis=-2)


def reference(stack: np.ndarray, axis: int) -> np.ndarray:
    """Do the same in NumPy."""
    places = np.arange(stack.shape[axis])
    before, after = (np.take(stack, places + step, axis, mode="clip") for step in (-1, 1))
    found: np.ndarray = np.median([before, stack, after], axis=0)
    return found


np.testing.assert_array_equal(rows, reference(noisy, -1))
np.testing.assert_array_equal(both, reference(rows, -2))
for name, stack in {"noisy": noisy, "rows": rows, "rows and columns": both}.items():
    print(f"{name}: {np.mean(np.abs(stack - images) > 1):.2%} bad")
assert np.mean(np.abs(both - images) > 1) < 0.001
