"""Calls by `ffi.capi.invoke` against calls that a C compiler made, measured in C."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import kernels
import loops
import numpy as np
from kernels import Kernel, ffi_type
from report import Bar, Table
from timing import Contender, Effort, measure

import ffi

CASES = [
    kernels.NO_ARGUMENTS,
    kernels.ABSOLUTE,
    kernels.TWO_DOUBLES,
    kernels.SIX_LONGS,
    kernels.TEN_MIXED,
    kernels.STRUCT_OF_16,
    kernels.RESULT_OF_24,
]
# Nanoseconds that invoke may take more than the C function itself, called in C.
LIMIT_NS = 8.0
# Calls in one evaluation: enough to make Python's part of it small.
CALLS = 1000


def run(effort: Effort) -> list[Table]:
    """Measure every case."""
    module = loops.load("capi_loops")
    names = {"empty": module.empty, "calls": CALLS}
    empty = Contender("empty loop", "empty(calls)", names, calls=CALLS)
    with kernels.compiled(CASES) as path:
        rows = {
            case.title: measure(list(contenders(case, path, module)), case.expected, effort, empty)
            for case in CASES
        }
    return [Table("Calls by ffi.capi", "compiled", rows)]


def bars(tables: Sequence[Table]) -> Iterator[Bar]:
    """Yield the limit, which is one of direct calls."""
    if ffi.CIF("void").path == "direct":
        title = kernels.TWO_DOUBLES.title
        times = tables[0].rows[title]
        more = times["invoke"].best - times["compiled"].best
        yield Bar(f"ffi.capi.invoke above the C function, {title}", more, LIMIT_NS, " ns")


def contenders(case: Kernel, path: Path, module: Any) -> Iterator[Contender]:
    """Yield the function called in both ways, on the same storage."""
    library = ffi.dlopen(path)
    function = library.function(case.name, ffi_type(case.rtype), *map(ffi_type, case.atypes))
    rvalue = np.zeros(max(function.rtype.size, ffi.sizeof.ffi_arg), np.uint8)
    packed = function.cif.pack(*case.values)
    names = {
        "function": function,
        "loop": ffi.dlsym(library, case.loop),
        "fn": function.address,
        "rvalue": ffi.addressof(rvalue),
        "avalues": ffi.addressof(packed),
        "calls": CALLS,
        "keepers": (rvalue, packed),
        "invoked": module.invoked,
        "compiled": module.compiled,
    }

    def result(_: None) -> Any:
        value = function.cif.unpack(rvalue)
        rvalue[:] = 0
        return value.item() if isinstance(value, np.void) else value

    for name, expression in [
        ("compiled", "compiled(loop, fn, rvalue, avalues, calls)"),
        ("invoke", "invoked(function, rvalue, avalues, calls)"),
    ]:
        yield Contender(name, expression, names, result, CALLS)
