"""Lengths that arrays tell, and results that calls make, against giving everything."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import kernels
import numpy as np
from kernels import Kernel
from report import Bar, Table
from timing import Contender, Effort, measure

import ffi

LIMIT = 1.1

EXPLICIT, INFERRED = "explicit", "inferred"
SUMS = Kernel("sums of arrays", "double", (), (), 0.0, "0", """
#include <stddef.h>
double dot(size_t n, const double *x, const double *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}
double trace(size_t n, const double *a)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i * n + i];
    return sum;
}
double corner(size_t rows, size_t columns, const double *a) { return a[rows * columns - 1]; }
double blend(size_t n, const double *x, const double *y, const double *z, const double *w)
{
    return x[0] + y[0] + z[0] + w[0];
}
int split(double value, double *part) { *part = value - (int)value; return (int)value; }
void twice(size_t n, const double *x, double *y)
{
    for (size_t i = 0; i < n; i++) y[i] = 2 * x[i];
}
""")  # fmt: skip
X = np.arange(8.0)
SQUARE = np.eye(4)
RECTANGLE = np.arange(12.0).reshape(3, 4)
# Each with the call that gives all, and the one that gives what is not known.
CASES: Mapping[str, tuple[str, str, str, str, float]] = {
    "dot": (
        "double dot(size_t n, const double *x, const double *y)",
        "function(8, x, x)",
        "double dot(size_t n, const double x[n], const double y[n])",
        "function(x, x)",
        140.0,
    ),
    "square matrix": (
        "double trace(size_t n, const double *a)",
        "function(4, square)",
        "double trace(size_t n, const double a[n][n])",
        "function(square)",
        4.0,
    ),
    "matrix": (
        "double corner(size_t rows, size_t columns, const double *a)",
        "function(3, 4, rectangle)",
        "double corner(size_t rows, size_t columns, const double a[rows][columns])",
        "function(rectangle)",
        11.0,
    ),
    "four arrays": (
        "double blend(size_t n, const double *x, const double *y, const double *z, "
        "const double *w)",
        "function(8, x, x, x, x)",
        "double blend(size_t n, const double x[n], const double y[n], const double z[n], "
        "const double w[n])",
        "function(x, x, x, x)",
        0.0,
    ),
}
# Storage that the caller makes for each call, and that the call makes.
MADE: Mapping[str, tuple[str, str, str, str, float]] = {
    "scalar": (
        "int split(double value, double *part)",
        "(part := empty(1), function(2.25, part))[0][0]",
        "int split(double value, double *part)",
        "function(2.25)[1]",
        0.25,
    ),
    "array": (
        "void twice(size_t n, const double *x, double *y)",
        "(part := empty(8), function(8, x, part))[0][7]",
        "void twice(size_t n, const double x[n], double y[n])",
        "function(x)[7]",
        14.0,
    ),
}


def run(effort: Effort) -> list[Table]:
    """Measure every case with the GIL kept, where the calls cost least."""
    with kernels.compiled([SUMS]) as path:
        library = ffi.dlopen(path, release_gil=False)
        known = {
            title: measure(contenders(library, case), case[-1], effort)
            for title, case in CASES.items()
        }
        made = {
            title: measure(
                contenders(library, case, ["part"] if title == "scalar" else ["y"]),
                case[-1],
                effort,
            )
            for title, case in MADE.items()
        }
    return [
        Table("Lengths that arrays tell", EXPLICIT, known),
        Table("Results that calls make", EXPLICIT, made),
    ]


def bars(tables: Sequence[Table]) -> Iterator[Bar]:
    """Yield the limit of lengths that arrays tell."""
    table = tables[0]
    ratio, row = max((table.ratio(row, INFERRED), row) for row in table.rows)
    yield Bar(f"{table.title}, at worst ({row})", ratio, LIMIT, " x explicit")


def contenders(
    library: ffi.Library, case: tuple[str, str, str, str, float], out: list[str] | None = None
) -> list[Contender]:
    """Return both ways of a case."""
    explicit, given, inferred, short, _ = case
    values: dict[str, Any] = {"x": X, "square": SQUARE, "rectangle": RECTANGLE, "empty": np.empty}
    address = ffi.dlsym(library, explicit.split("(")[0].split()[-1])
    functions = {
        EXPLICIT: ffi.Function(address, explicit, release_gil=False),
        INFERRED: ffi.Function(address, inferred, release_gil=False, out=out or ()),
    }
    return [
        Contender(name, expression, {"function": functions[name], **values}, float)
        for name, expression in ((EXPLICIT, given), (INFERRED, short))
    ]
