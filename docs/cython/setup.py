"""Build trapezoid: ``python setup.py build_ext --inplace``."""

from Cython.Build import cythonize
from setuptools import Extension, setup

# With OpenMP, prange runs in parallel; without, it is an ordinary loop.
FLAGS: list[str] = []  # ["-fopenmp"]

setup(
    name="trapezoid",
    ext_modules=cythonize(
        [Extension("trapezoid", ["trapezoid.pyx"], extra_compile_args=FLAGS, extra_link_args=FLAGS)]
    ),
)
