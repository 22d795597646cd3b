"""C calling Python: callbacks against those of ctypes and cffi, and numba's compiled ones."""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cffi
import kernels
import numpy as np
from kernels import Kernel
from report import Bar, Table
from timing import Contender, Effort, measure

import ffi

# Calls back, of which the time is that of one.
REPEAT = 1000
LIMIT = 1.0
FOREIGN_LIMIT = 0.1
ARRAY_LIMIT = 150.0

LOOPS = Kernel("loops", "double", (), (), 0.0, "0", """
#include <pthread.h>
#include <stdlib.h>
double loop_double(double (*f)(double), long count)
{
    double sum = 0;
    while (count-- > 0) sum += f(1);
    return sum;
}
double loop_nothing(void (*f)(double), long count)
{
    while (count-- > 0) f(1);
    return 0;
}
double loop_pointers(int (*f)(const int *, const int *), long count)
{
    int a = 2, b = 1;
    double sum = 0;
    while (count-- > 0) sum += f(&a, &b);
    return sum;
}
double loop_arrays(void (*f)(double, long, const double *, double *), long n, long count)
{
    double *y = calloc(2 * n, sizeof(double));
    while (count-- > 0) f(1, n, y, y + n);
    double last = y[2 * n - 1];
    free(y);
    return last;
}
struct job { double (*f)(double); long count; double sum; };
static void *run(void *data)
{
    struct job *job = data;
    job->sum = loop_double(job->f, job->count);
    return NULL;
}
double loop_in_thread(double (*f)(double), long count)
{
    struct job job = { f, count, 0 };
    pthread_t thread;
    pthread_create(&thread, NULL, run, &job);
    pthread_join(thread, NULL);
    return job.sum;
}
""")  # fmt: skip
HEADER = """
double loop_double(double (*f)(double), long count);
double loop_nothing(void (*f)(double t), long count);
double loop_pointers(int (*f)(const int *, const int *), long count);
double loop_arrays(void (*f)(double t, long n, const double y[n], double dydt[n]), long n,
                   long count);
double loop_in_thread(double (*f)(double), long count);
"""
DOUBLE = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
ARRAYS = ctypes.CFUNCTYPE(
    None,
    ctypes.c_double,
    ctypes.c_long,
    ctypes.POINTER(ctypes.c_double),
    ctypes.POINTER(ctypes.c_double),
)


def same(x: float) -> float:
    """Return what is given."""
    return x


def compare(a: Any, b: Any) -> int:
    """Compare what two pointers point at."""
    return int(a[0] - b[0])


def ignore(t: float, y: Any, dydt: Any) -> None:
    """Look at nothing."""


def slope(t: float, y: Any, dydt: Any) -> None:
    """Write a slope, one for all."""
    dydt[:] = t


def run(effort: Effort) -> list[Table]:
    """Measure every kind of callback."""
    rows = {}
    with kernels.compiled([LOOPS]) as path:
        library = ctypes.CDLL(str(path))
        for function in ("loop_double", "loop_pointers", "loop_arrays", "loop_in_thread"):
            getattr(library, function).restype = ctypes.c_double
        interface = cffi.FFI()
        interface.cdef(HEADER.replace("y[n]", "*y").replace("dydt[n]", "*dydt"))
        opened = interface.dlopen(str(path))
        cases = {
            "double f(double)": doubles(path, library, interface, opened, "loop_double"),
            "int compare(const int *, const int *)": pointers(path, library, interface, opened),
            "arrays of 3": arrays(path, library, interface, opened, 3),
            "arrays of 1000": arrays(path, library, interface, opened, 1000),
        }
        for title, case in cases.items():
            rows[title] = measure(list(case), 1.0, effort)
        handed = measure(list(unused(path)), 0.0, effort)
        foreign = doubles(path, library, interface, opened, "loop_in_thread")
        others = {"double f(double)": measure(list(foreign), 1.0, effort)}
        fast = {"double f(double)": measure(list(compiled(path, library)), 1.0, effort)}
    table = Table("Callbacks", "ctypes", rows)
    elsewhere = Table("Callbacks from another thread", "ctypes", others)
    nothing = Table("Callbacks that use nothing", "a number", {"void f(...)": handed})
    tables = [table, elsewhere, nothing]
    if len(fast["double f(double)"]) > 1:
        tables.append(Table("A callback that numba compiled", "ctypes", fast))
    return tables


def bars(tables: Sequence[Table]) -> Iterator[Bar]:
    """Yield the limits."""
    table, elsewhere, nothing = tables[:3]
    row = max(table.rows, key=lambda row: table.ratio(row, "ffi"))
    yield Bar(f"Callbacks, at worst ({row})", table.ratio(row, "ffi"), LIMIT, " x ctypes")
    ratio = elsewhere.ratio("double f(double)", "ffi")
    yield Bar(elsewhere.title, ratio, FOREIGN_LIMIT, " x ctypes")
    times = nothing.rows["void f(...)"]
    each = (times["and two arrays"].best - times["a number"].best) / 2
    yield Bar("An array handed to a callback", each, ARRAY_LIMIT, " ns")


def contender(name: str, function: Any, *arguments: Any, keep: Any = None) -> Contender:
    """Return a loop of C that calls back."""
    names = {f"v{i}": value for i, value in enumerate(arguments)}
    expression = f"function({', '.join([*names, 'count'])})"
    values = {"function": function, **names, "count": REPEAT, "keep": keep}
    return Contender(name, expression, values, lambda result: round(result / REPEAT, 9), REPEAT)


def last(name: str, function: Any, *arguments: Any, keep: Any = None) -> Contender:
    """Return a loop whose result is one callback's."""
    made = contender(name, function, *arguments, keep=keep)
    return Contender(made.name, made.expression, made.names, float, REPEAT)


def doubles(
    path: Path, library: Any, interface: Any, opened: Any, name: str
) -> Iterator[Contender]:
    """Yield a function of a double."""
    yield contender("ctypes", getattr(library, name), DOUBLE(same))
    yield contender("cffi", getattr(opened, name), interface.callback("double(double)", same))
    callback = ffi.callback("double (double)", same)
    yield contender("ffi", declared(path, release_gil=True)[name], callback)
    if name != "loop_in_thread":
        # What waits for another thread must release the GIL.
        yield contender("ffi, GIL kept", declared(path, release_gil=False)[name], callback)


def compiled(path: Path, library: Any) -> Iterator[Contender]:
    """Yield the function compiled by numba, where that is installed: nothing is faster."""
    yield contender("ctypes", library.loop_double, DOUBLE(same))
    try:
        import numba
    except ImportError:
        return
    fast: Any = numba.cfunc("float64(float64)")(same)
    function = ffi.Function(fast.address, "double (double)")
    yield contender("numba", declared(path, release_gil=True).loop_double, function, keep=fast)


def declared(path: Path, *, release_gil: bool) -> ffi.Library:
    """Return the library with its functions."""
    library = ffi.dlopen(path, release_gil=release_gil)
    library.cdef(HEADER)
    return library


def pointers(path: Path, library: Any, interface: Any, opened: Any) -> Iterator[Contender]:
    """Yield a comparison, as qsort calls it."""
    yield contender("ctypes", library.loop_pointers, COMPARE(compare))
    made = interface.callback("int(const int *, const int *)", compare)
    yield contender("cffi", opened.loop_pointers, made)
    callback = ffi.callback("int (const int *a, const int *b)", compare)
    for name, release_gil in (("ffi", True), ("ffi, GIL kept", False)):
        yield contender(name, declared(path, release_gil=release_gil).loop_pointers, callback)


def arrays(path: Path, library: Any, interface: Any, opened: Any, size: int) -> Iterator[Contender]:
    """Yield the right-hand side of a differential equation, on arrays."""

    def by_ctypes(t: float, n: int, y: Any, dydt: Any) -> None:
        slope(t, np.ctypeslib.as_array(y, (n,)), np.ctypeslib.as_array(dydt, (n,)))

    def by_cffi(t: float, n: int, y: Any, dydt: Any) -> None:
        slope(
            t,
            np.frombuffer(interface.buffer(y, 8 * n)),
            np.frombuffer(interface.buffer(dydt, 8 * n)),
        )

    yield last("ctypes", library.loop_arrays, ARRAYS(by_ctypes), size)
    made = interface.callback("void(double, long, const double *, double *)", by_cffi)
    yield last("cffi", opened.loop_arrays, made, size)
    for name, release_gil in (("ffi", True), ("ffi, GIL kept", False)):
        library = declared(path, release_gil=release_gil)
        yield last(name, library.loop_arrays, of_arrays(slope), size)


def unused(path: Path) -> Iterator[Contender]:
    """Yield callbacks that differ by two arrays."""
    library = declared(path, release_gil=True)
    plain = ffi.callback("void (double t)", lambda t: None)
    yield last("a number", library.loop_nothing, plain)
    yield last("and two arrays", library.loop_arrays, of_arrays(ignore), 3)


def of_arrays(function: Callable[..., Any]) -> ffi.Callback:
    """Return a callback that is given two arrays."""
    return ffi.callback("void (double t, long n, const double y[n], double dydt[n])", function)
