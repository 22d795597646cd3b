"""Direct calls against libffi's `ffi_call` and calls that a C compiler made, measured in C."""

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
    kernels.TWO_DOUBLES,
    kernels.SIX_LONGS,
    kernels.TEN_MIXED,
    kernels.TWENTY_MIXED,
    kernels.THIRTY_MIXED,
    kernels.STRUCT_OF_16,
    kernels.STRUCT_OF_24,
    kernels.RESULT_OF_16,
    kernels.RESULT_OF_24,
]
# For the chart.
COUNTS = range(0, 31, 2)
OVER_LONGS = "Calls in C over the number of longs"
OVER_MIXED = "Calls in C over the number of mixed scalars"
TABLES = {
    "Calls in C": {case.title: case for case in CASES},
    OVER_LONGS: {str(count): kernels.longs(f"{count} longs", count) for count in COUNTS},
    OVER_MIXED: {str(count): kernels.mixed(f"{count} mixed", count) for count in COUNTS},
}

LIMITS_NS = {
    kernels.NO_ARGUMENTS.title: 1.5 * 7,
    kernels.SIX_LONGS.title: 1.5 * 12,
    kernels.TEN_MIXED.title: 1.5 * 17,
    kernels.TWENTY_MIXED.title: 1.5 * 35,
}
# Calls in one evaluation: enough to make Python's part of it small.
CALLS = 1000


def run(effort: Effort) -> list[Table]:
    """Measure every case; nothing where calls do not go direct."""
    if ffi.CIF("void").path != "direct":
        print("\nNo direct calls here")
        return []
    module = loops.load("direct_loops")
    names = {"empty": module.empty, "calls": CALLS}
    empty = Contender("empty loop", "empty(calls)", names, calls=CALLS)
    tables = []
    with kernels.compiled([case for cases in TABLES.values() for case in cases.values()]) as path:
        for title, cases in TABLES.items():
            rows = {
                row: measure(list(contenders(case, path, module)), case.expected, effort, empty)
                for row, case in cases.items()
            }
            tables.append(Table(title, "ffi_call", rows))
    return tables


def bars(tables: Sequence[Table]) -> Iterator[Bar]:
    """Yield the limits of some rows, and that of all as a ratio, with the row that does worst."""
    if not tables:
        return
    for row, limit in LIMITS_NS.items():
        yield Bar(f"A direct call in C, {row}", tables[0].rows[row]["direct"].best, limit, " ns")
    for table in tables:
        ratio, row = max((table.ratio(row, "direct"), row) for row in table.rows)
        yield Bar(f"{table.title}, direct, at worst ({row})", ratio, 1, " x ffi_call")


def contenders(case: Kernel, path: Path, module: Any) -> Iterator[Contender]:
    """Yield the function called in the three ways, on the same storage."""
    cif = ffi.CIF(ffi_type(case.rtype), *map(ffi_type, case.atypes))
    library = ffi.dlopen(path)
    rvalue = np.zeros(max(cif.rtype.size, ffi.sizeof.ffi_arg), np.uint8)
    packed = cif.pack(*case.values)
    names = {
        "cif": cif,
        "loop": ffi.dlsym(library, case.loop),
        "fn": ffi.dlsym(library, case.name),
        "rvalue": ffi.addressof(rvalue),
        "avalues": ffi.addressof(packed),
        "calls": CALLS,
        "library": library,
        "keepers": (rvalue, packed),
    }
    copies = any(atype.size > 16 for atype in cif.atypes)

    def result(_: None) -> Any:
        value = cif.unpack(rvalue)
        rvalue[:] = 0
        return value.item() if isinstance(value, np.void) else value

    for name, function, first in [
        ("ffi_call", module.through_libffi_copying if copies else module.through_libffi, "cif"),
        ("direct", module.direct, "cif"),
        ("compiled", module.compiled, "loop"),
    ]:
        expression = f"function({first}, fn, rvalue, avalues, calls)"
        yield Contender(name, expression, {"function": function, **names}, result, CALLS)
