"""C functions over arrays: ufuncs made at run time against compiled ones, and Python's loops."""

import ctypes
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import kernels
import numpy as np
from bindings import build
from kernels import Kernel
from report import Bar, Table
from timing import Contender, Effort, Measurement, all_processors, measure

import ffi

LIMIT = 1.15
ONE_LIMIT = 1.3

MANY = "Ufuncs over many elements"
ONE = "Ufuncs over one element"
OVER_SIZES = "Ufuncs of double f(double), over elements"
SLOW = "Ufuncs and loops of Python"
HALVES = "Ufuncs in two threads, each with a half"
COMPILED = "compiled"
SIZES = [10**i for i in range(8)]
# Loops of Python take long.
SLOW_SIZES = [1, 10, 100, 1000]

CODE = """
#include <math.h>
#include <stddef.h>
double square(double x) { return x * x + 1; }
double product(double x, double y) { return x * y + 1; }
int triple(int x) { return 3 * x + 1; }
float squaref(float x) { return x * x + 1; }
double split(double x, double *rest) { *rest = x + 1; return x * 2; }
double dot(size_t n, const double *x, const double *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}
double wave(double x) { return sin(x) * exp(-x); }
"""
FUNCTIONS = Kernel("functions", "double", (), (), 0.0, "0", CODE)
# Cython's own ufuncs, and a generalised one by hand, which it has no word for.
MODULE = """
# cython: language_level=3, boundscheck=False
cimport cython
cimport numpy as cnp
cnp.import_array()
cnp.import_umath()
cdef extern from *:
    '''
    #include <stddef.h>
    double square(double); double product(double, double); int triple(int); float squaref(float);
    double split(double, double *); double dot(size_t, const double *, const double *);
    '''
    double c_square "square"(double) nogil
    double c_product "product"(double, double) nogil
    int c_triple "triple"(int) nogil
    float c_squaref "squaref"(float) nogil
    double c_split "split"(double, double *) nogil
    double c_dot "dot"(size_t, const double *, const double *) nogil

@cython.ufunc
cdef double square(double x) noexcept nogil:
    return c_square(x)

@cython.ufunc
cdef double product(double x, double y) noexcept nogil:
    return c_product(x, y)

@cython.ufunc
cdef int triple(int x) noexcept nogil:
    return c_triple(x)

@cython.ufunc
cdef float squaref(float x) noexcept nogil:
    return c_squaref(x)

@cython.ufunc
cdef (double, double) split(double x) noexcept nogil:
    cdef double rest
    cdef double result = c_split(x, &rest)
    return result, rest

cdef void loop(
    char **args, const Py_ssize_t *dimensions, const Py_ssize_t *strides, void *data
) noexcept nogil:
    cdef char *x = args[0]
    cdef char *y = args[1]
    cdef char *result = args[2]
    cdef Py_ssize_t i
    for i in range(dimensions[0]):
        (<double *>result)[0] = c_dot(dimensions[1], <double *>x, <double *>y)
        x += strides[0]
        y += strides[1]
        result += strides[2]

cdef cnp.PyUFuncGenericFunction loops[1]
cdef void *data[1]
cdef char types[3]
loops[0] = <cnp.PyUFuncGenericFunction><void *>loop
types[0] = types[1] = types[2] = cnp.NPY_DOUBLE
dot = cnp.PyUFunc_FromFuncAndDataAndSignature(
    loops, data, types, 1, 2, 1, cnp.PyUFunc_None, b"dot", b"", 0, b"(n),(n)->()"
)
"""


class Case(NamedTuple):
    """A C function, and how often it is called on what."""

    name: str
    prototype: str
    dtype: str
    inputs: int = 1
    outputs: int = 1
    core: tuple[int, ...] = ()
    # The signature, as numba writes it.
    numba: str = ""


CASES: Mapping[str, Case] = {
    "double f(double)": Case("square", "double square(double x)", "d", numba="float64(float64)"),
    "double f(double, double)": Case(
        "product", "double product(double x, double y)", "d", 2, numba="float64(float64, float64)"
    ),
    "int f(int)": Case("triple", "int triple(int x)", "i", numba="int32(int32)"),
    "float f(float)": Case("squaref", "float squaref(float x)", "f", numba="float32(float32)"),
    "two outputs": Case("split", "double split(double x, double *rest)", "d", 1, 2),
    "dot of 8": Case(
        "dot", "double dot(size_t n, const double x[n], const double y[n])", "d", 2, 1, (8,)
    ),
    "dot of 1000": Case(
        "dot", "double dot(size_t n, const double x[n], const double y[n])", "d", 2, 1, (1000,)
    ),
}
C_TYPES = {"d": ctypes.c_double, "i": ctypes.c_int, "f": ctypes.c_float}


def run(effort: Effort) -> list[Table]:
    """Measure every case, one over all sizes, and two threads."""
    with kernels.compiled([FUNCTIONS]) as path:
        source = path.parent / "compiled_ufuncs.pyx"
        source.write_text(MODULE)
        module = build(path.parent, source.stem, source, path, include_dirs=[np.get_include()])
        many = {title: timed(case, path, module, 10_000, effort) for title, case in CASES.items()}
        one = {title: timed(case, path, module, 1, effort) for title, case in CASES.items()}
        first = CASES["double f(double)"]
        sizes = {str(size): timed(first, path, module, size, effort) for size in SIZES}
        slow = {str(size): looped(first, path, size, effort) for size in SLOW_SIZES}
        halves = dict(in_halves(path, effort))
    return [
        Table(MANY, COMPILED, many),
        Table(ONE, COMPILED, one),
        Table(OVER_SIZES, COMPILED, sizes),
        Table(SLOW, "ffi", slow),
        Table(HALVES, "one thread", halves),
    ]


def bars(tables: Sequence[Table]) -> Iterator[Bar]:
    """Yield the limits."""
    many, one, sizes = tables[:3]
    for row in many.rows:
        yield Bar(f"{MANY}, {row}", many.ratio(row, "ffi"), LIMIT, " x compiled")
    row = max(one.rows, key=lambda row: one.ratio(row, "ffi"))
    yield Bar(f"{ONE}, at worst ({row})", one.ratio(row, "ffi"), ONE_LIMIT, " x compiled")
    above = [row for row in sizes.rows if int(row) > 1000]
    row = max(above, key=lambda row: sizes.ratio(row, "ffi"))
    ratio = sizes.ratio(row, "ffi")
    yield Bar(f"{OVER_SIZES}, at worst ({row} elements)", ratio, LIMIT, " x compiled")


def timed(case: Case, path: Path, module: Any, size: int, effort: Effort) -> dict[str, Measurement]:
    """Time one case; a call counts as one for each element."""
    rows = max(1, size // max(case.core)) if size > 1 and case.core else size
    inputs, outputs = operands(case, rows)
    contenders = {COMPILED: getattr(module, case.name)}
    for name, release_gil in (("ffi", True), ("ffi, GIL kept", False)):
        contenders[name] = vectorized(case, path, release_gil)
    contenders |= by_numba(case, path)
    values = {f"v{i}": value for i, value in enumerate((*inputs, *outputs))}
    expression = f"function({', '.join(values)})"
    expected = contenders[COMPILED](*inputs)
    wanted = summed(expected)
    return measure(
        [
            Contender(name, expression, {"function": function, **values}, summed, rows)
            for name, function in contenders.items()
        ],
        wanted,
        effort,
    )


def operands(case: Case, rows: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return arrays for all inputs and outputs."""
    inputs = []
    for i in range(case.inputs):
        values = np.arange(rows * int(np.prod(case.core, dtype=int))) % 1000 + i
        inputs.append(values.astype(case.dtype).reshape(rows, *case.core))
    return inputs, [np.empty(rows, case.dtype) for _ in range(case.outputs)]


def summed(result: Any) -> list[float]:
    """Return what tells results apart."""
    parts = result if isinstance(result, tuple) else (result,)
    return [float(np.sum(part, dtype=float)) for part in parts]


def vectorized(case: Case, path: Path, release_gil: bool) -> np.ufunc:
    """Return the ufunc of this package."""
    out = ["rest"] if case.outputs > 1 else []
    library = ffi.dlopen(path, release_gil=release_gil)
    return ffi.vectorize(library.function(case.prototype, out=out))


def by_ctypes(case: Case, path: Path) -> Any:
    """Return the function as ctypes has it."""
    function = getattr(ctypes.CDLL(str(path)), case.name)
    function.restype = C_TYPES[case.dtype]
    function.argtypes = [C_TYPES[case.dtype]] * case.inputs
    if case.core:
        function.argtypes = [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
    return function


def by_numba(case: Case, path: Path) -> dict[str, Callable[..., Any]]:
    """Return numba's ufunc of a pointer of ctypes', where numba is installed and has such."""
    try:
        numba: Any = importlib.import_module("numba")
    except ImportError:
        return {}
    function = by_ctypes(case, path)
    if case.core:

        def dot(x: Any, y: Any, result: Any) -> None:
            result[0] = function(x.size, x.ctypes, y.ctypes)

        types = ["void(float64[::1], float64[::1], float64[:])"]
        return {"numba": numba.guvectorize(types, "(n),(n)->()", nopython=True)(dot)}
    if not case.numba:
        return {}
    if case.inputs == 2:
        return {"numba": numba.vectorize([case.numba])(lambda x, y: function(x, y))}
    return {"numba": numba.vectorize([case.numba])(lambda x: function(x))}


def looped(case: Case, path: Path, size: int, effort: Effort) -> dict[str, Measurement]:
    """Time loops of Python over ctypes."""
    function = by_ctypes(case, path)
    (x,), _ = operands(case, size)
    contenders = {
        "ffi": vectorized(case, path, True),
        "np.vectorize": np.vectorize(function, otypes=[case.dtype]),
        "np.frompyfunc": np.frompyfunc(function, 1, 1),
    }
    return measure(
        [
            Contender(name, "function(x)", {"function": each, "x": x}, summed, size)
            for name, each in contenders.items()
        ],
        summed(contenders["ffi"](x)),
        effort,
    )


def in_halves(path: Path, effort: Effort) -> Iterator[tuple[str, dict[str, Measurement]]]:
    """Yield the times of one thread over an array, and of two over its halves."""
    size = 1_000_000
    cheap = CASES["double f(double)"]
    wave = Case("wave", "double wave(double x)", "d")
    with all_processors(), ThreadPoolExecutor(2) as pool:
        for title, case in {"double f(double)": cheap, "sin(x) * exp(-x)": wave}.items():
            (x,), (out,) = operands(case, size)
            x /= 1000
            ufunc = vectorized(case, path, True)
            names = {
                "ufunc": ufunc,
                "map": pool.map,
                "halves": (x[: size // 2], x[size // 2 :]),
                "outs": (out[: size // 2], out[size // 2 :]),
                "x": x,
                "out": out,
            }
            expected = summed(ufunc(x))
            one = Contender("one thread", "ufunc(x, out)", names, summed, size)
            two = Contender(
                "two threads", "list(map(ufunc, halves, outs)) and out", names, summed, size
            )
            yield title, measure([one, two], expected, effort)
