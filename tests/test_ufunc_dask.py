"""Ufuncs of C functions work on dask's arrays."""

from __future__ import annotations

import numpy as np
import pytest
from needs import need_module
from test_ufunc import SOURCE, vectorized

import ffi

X = np.linspace(0, 5, 100)


@pytest.fixture(scope="module")
def da():
    return need_module("dask.array")


@pytest.fixture(scope="module")
def library(compile_c):
    return ffi.dlopen(compile_c(SOURCE, "ufuncs", "-lm"))


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_arrays(da, library, scheduler):
    subtract = vectorized(library, "double f64(double a, double b)")
    x = da.from_array(X, chunks=30)
    for lazy in (subtract(x, 1.0), x.map_blocks(subtract, 1.0)):
        assert isinstance(lazy, da.Array)
        np.testing.assert_array_equal(lazy.compute(scheduler=scheduler), X - 1.0)
    grid = subtract(x[:, np.newaxis], X[:3])
    np.testing.assert_array_equal(grid.compute(scheduler=scheduler), np.subtract.outer(X, X[:3]))


def test_generalised(da, library):
    dot = vectorized(library, "double dot(size_t n, const double x[n], const double y[n])")
    x = da.from_array(X.reshape(20, 5), chunks=(6, 5))
    np.testing.assert_allclose(dot(x, x).compute(), (X * X).reshape(20, 5).sum(1))


def test_several_outputs(da, library):
    quotient = vectorized(library, "int quotient(int a, int b, int *rest)", ["rest"])
    numbers = np.arange(100, dtype=np.intc)
    x = da.from_array(numbers, chunks=30)
    lazy = x.map_blocks(lambda block: np.stack(quotient(block, np.intc(7))), new_axis=0)
    np.testing.assert_array_equal(lazy.compute(), [numbers // 7, numbers % 7])


def test_names_of_tasks(da, library):
    tokenize = need_module("dask.base").tokenize
    first, again = (vectorized(library, "double f64(double a, double b)") for _ in range(2))
    other = vectorized(library, "double divided(double a, double b)")
    assert tokenize(first) == tokenize(again) != tokenize(other)
