"""Calls of ufuncs, making and pickling them keep nothing."""

from __future__ import annotations

import numpy as np
import pytest
from checks import HAS_GIL, refused
from test_leaks import check_flat
from test_ufunc import SOURCE
from test_ufunc_states import DOT, again, picky

import ffi


def test_no_leaks(compile_c):
    library = ffi.dlopen(compile_c(SOURCE, "ufuncs", "-lm"))
    functions = (
        library.function("double f64(double a, double b)"),
        library.function("float f32(float a, float b)"),
    )
    dot = library.function(DOT)
    x = np.ones((3, 8))
    raising = ffi.vectorize(ffi.callback("double (double)", picky))
    used = ffi.vectorize(dot)

    def make():
        ffi.vectorize(*functions, name="subtract", doc="Subtract.")(1.0, 2.0)
        ffi.vectorize(dot)(x, x)
        with refused(ValueError, match="both take"):
            ffi.vectorize(dot, dot)

    def use():
        used(x[:, ::-2], x[:, ::-2])
        with pytest.raises(LookupError):
            raising(3.0)

    check_flat(use, *functions, dot, library, used, raising, count=10000)
    if HAS_GIL:
        # Without it NumPy 2.4 keeps some memory of every ufunc, np.frompyfunc's too.
        check_flat(make, *functions, dot, library, count=2000)
        check_flat(lambda: again(used), dot, library, used, count=1000)
