"""Typed calls against ctypes, cffi and bindings compiled for the functions."""

import ctypes
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import bindings
import cffi
import kernels
import numpy as np
from bench_raw_calls import CTYPES
from kernels import ARRAY, STRUCTS, TEXT, Kernel, ffi_type, header
from report import Bar, Table
from timing import Contender, Effort, measure

import ffi

CASES = [
    *kernels.SCALARS,
    kernels.LENGTH,
    kernels.DOT,
    kernels.STRUCT_OF_16,
    kernels.STRUCT_OF_24,
    kernels.RESULT_OF_16,
    kernels.RESULT_OF_24,
]
TYPED = "Typed calls"
# For the chart.
OVER_MIXED = "Typed calls over the number of mixed scalars"
OVER = {str(n): kernels.mixed(f"{n} mixed", n) for n in (0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20)}
TABLES = {TYPED: {case.title: case for case in CASES}, OVER_MIXED: OVER}

TYPES = {
    **CTYPES,
    "unsigned long": ctypes.c_ulong,
    TEXT: ctypes.c_char_p,
    ARRAY: np.ctypeslib.ndpointer(np.float64, ndim=1, flags="C_CONTIGUOUS"),
}


def run(effort: Effort) -> list[Table]:
    """Measure every case."""
    functions = [case for cases in TABLES.values() for case in cases.values()]
    tables = []
    with kernels.compiled(functions) as path:
        interface = cffi.FFI()
        interface.cdef(header(functions))
        modules = bindings.build_all(functions, path)
        for title, cases in TABLES.items():
            rows = {}
            for row, case in cases.items():
                contenders = [
                    ctypes_contender(case, path),
                    cffi_contender("cffi ABI", case, interface, interface.dlopen(str(path))),
                    cffi_contender(
                        "cffi API", case, modules["cffi API"].ffi, modules["cffi API"].lib
                    ),
                    *(
                        compiled_contender(name, case, modules[name])
                        for name in modules
                        if name != "cffi API"
                    ),
                    *ffi_contenders(case, path),
                ]
                rows[row] = measure(contenders, case.expected, effort)
            tables.append(Table(title, "Cython", rows))
    return tables


def bars(tables: Sequence[Table]) -> Iterator[Bar]:
    """Yield the limits, with the case that does worst."""
    table = tables[0]

    def best(row: str, column: str) -> float:
        return table.rows[row][column].best

    limits = {}
    for case in CASES:
        cython = best(case.title, "Cython")
        limits[case.title] = max(1.25 * cython, cython + 8, cython + 3 * len(case.atypes))
    row = max(table.rows, key=lambda row: best(row, "kept") / limits[row])
    title = f"{TYPED}, GIL kept, beside Cython, at worst ({row})"
    yield Bar(title, best(row, "kept"), limits[row], " ns")
    for column, limit in [("kept", 0.55), ("released", 1.1)]:
        ratio, row = max((best(row, column) / best(row, "cffi API"), row) for row in table.rows)
        title = f"{TYPED}, GIL {column}, at worst ({row})"
        yield Bar(title, ratio, limit, " x cffi API")
    logarithms = [math.log(best(row, "released") / best(row, "cffi API")) for row in table.rows]
    mean = math.exp(math.fsum(logarithms) / len(logarithms))
    yield Bar(f"{TYPED}, GIL released, geometric mean", mean, 0.75, " x cffi API")
    row = kernels.DOT.title
    ratio = best(row, "kept") / best(row, "ctypes")
    yield Bar(f"{TYPED}, GIL kept, {row}", ratio, 0.02, " x ctypes with ndpointer")


def on_values(name: str, case: Kernel, function: Any, values: list[Any]) -> Contender:
    """Return a call of `function` on values that it converts."""
    names = {f"v{i}": value for i, value in enumerate(values)}
    expression = f"function({', '.join(names)})"
    return Contender(name, expression, {"function": function, **names}, reader(case))


def reader(case: Kernel) -> Any:
    """Return what makes a result comparable: of a struct, the tuple of its members."""
    members = STRUCTS.get(case.rtype)
    if members is None:
        return lambda result: result
    return lambda result: tuple(getattr(result, member) for member in members)


def converted(case: Kernel, make_struct: Any) -> list[Any]:
    """Return the arguments: arrays, structs as `make_struct(type, members)` makes them, scalars."""
    return [
        make_struct(atype, value)
        if atype in STRUCTS
        else np.array(value)
        if atype == ARRAY
        else value
        for atype, value in zip(case.atypes, case.values, strict=True)
    ]


def ctypes_contender(case: Kernel, path: Path) -> Contender:
    """Return the function called through ctypes."""
    function = ctypes.CDLL(str(path))[case.name]
    function.restype = TYPES[case.rtype]
    function.argtypes = [TYPES[atype] for atype in case.atypes]
    values = converted(case, lambda atype, members: CTYPES[atype](*members))
    return on_values("ctypes", case, function, values)


def cffi_contender(name: str, case: Kernel, interface: Any, library: Any) -> Contender:
    """Return the function called through cffi; arrays are lent by its `from_buffer`."""
    values = converted(case, lambda atype, members: interface.new(f"struct {atype} *", members)[0])
    names = {f"v{i}": value for i, value in enumerate(values)}
    arguments = [
        f"lend(array, {value})" if atype == ARRAY else value
        for value, atype in zip(names, case.atypes, strict=True)
    ]
    if ARRAY in case.atypes:
        names |= {"lend": interface.from_buffer, "array": interface.typeof("double[]")}
    names["function"] = getattr(library, case.name)
    return Contender(name, f"function({', '.join(arguments)})", names, reader(case))


def compiled_contender(name: str, case: Kernel, module: Any) -> Contender:
    """Return the function called through a compiled binding."""
    values = converted(case, lambda atype, members: getattr(module, atype.title())(*members))
    return on_values(name, case, getattr(module, case.name), values)


def ffi_contenders(case: Kernel, path: Path) -> Iterator[Contender]:
    """Yield the function with the GIL released and kept."""
    library = ffi.dlopen(path)
    types = [ffi_type(name) for name in (case.rtype, *case.atypes)]
    values = converted(case, lambda atype, members: ffi.new(ffi_type(atype), members)[0])
    for name, release_gil in [("released", True), ("kept", False)]:
        function = library.function(case.name, *types, release_gil=release_gil)
        yield on_values(name, case, function, values)
