"""`ffi.call` on storage that the caller holds, against ctypes and cffi's ABI mode."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cffi
import kernels
import numpy as np
from report import Bar, Report, Table
from timing import Contender, Effort, Measurement, measure

import ffi

CTYPES: dict[str, Any] = {
    "signed char": ctypes.c_byte,
    "unsigned char": ctypes.c_ubyte,
    "short": ctypes.c_short,
    "unsigned short": ctypes.c_ushort,
    "int": ctypes.c_int,
    "unsigned int": ctypes.c_uint,
    "long": ctypes.c_long,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
}
# Room for any value of these types, suitably aligned.
SLOT = 16
LIMIT = 0.8


@dataclass(frozen=True)
class Case:
    """A function of `kernels.c`, arguments for it and what it returns."""

    title: str
    name: str
    rtype: str
    atypes: tuple[str, ...]
    values: tuple[float, ...]
    expected: float


MIXED = "signed char, short, int, long, float, double, unsigned char, unsigned short, unsigned int"
CASES = [
    Case("no arguments", "no_arguments", "int", (), (), 42),
    Case("int abs(int)", "absolute", "int", ("int",), (-5,), 5),
    Case("one double", "half", "double", ("double",), (3.0,), 1.5),
    Case("two doubles", "add", "double", ("double",) * 2, (1.5, 2.25), 3.75),
    Case("six longs", "six_longs", "long", ("long",) * 6, (900, 800, 700, 600, 500, 400), 300),
    Case(
        "ten mixed scalars",
        "ten_mixed",
        "double",
        (*MIXED.split(", "), "double"),
        (-1, 2, 300, 4000, 0.5, 0.25, 7, 800, 9000, 0.125),
        14108.875,
    ),
]


def run(effort: Effort) -> Report:
    """Measure every case, with the GIL released and kept."""
    released: dict[str, dict[str, Measurement]] = {}
    kept: dict[str, dict[str, Measurement]] = {}
    with kernels.compiled() as library:
        for case in CASES:
            contenders = [
                *ctypes_contenders(case, library),
                cffi_contender(case, library),
                *ffi_contenders(case, library),
            ]
            times = measure(contenders, case.expected, effort)
            released[case.title] = {
                name: time for name, time in times.items() if not name.endswith(" kept")
            }
            # cffi always releases the GIL.
            kept[case.title] = {
                name.removesuffix(" kept"): time
                for name, time in times.items()
                if name.endswith(" kept")
            }
    tables = [
        Table("Raw calls, GIL released", "ctypes", released),
        Table("Raw calls, GIL kept", "ctypes", kept),
    ]
    return Report(tables, [bar for table in tables for bar in bars(table)])


def bars(table: Table) -> Iterator[Bar]:
    """Yield the bar of each kind of storage, with the ratio of the case that does worst."""
    for storage in ("NumPy", "bytearray"):
        ratio, row = max((table.ratio(row, storage), row) for row in table.rows)
        yield Bar(f"{table.title}, {storage} storage, at worst ({row})", ratio, LIMIT, " x ctypes")


def ctypes_contenders(case: Case, path: Path) -> Iterator[Contender]:
    """Yield the function called through ctypes, with the GIL released and kept."""
    for name, library in [
        ("ctypes", ctypes.CDLL(str(path))),
        ("ctypes kept", ctypes.PyDLL(str(path))),
    ]:
        function = library[case.name]
        function.restype = CTYPES[case.rtype]
        function.argtypes = [CTYPES[atype] for atype in case.atypes]
        yield on_values(name, function, case)


def cffi_contender(case: Case, path: Path) -> Contender:
    """Return the function called through cffi's ABI mode."""
    interface = cffi.FFI()
    interface.cdef(f"{case.rtype} {case.name}({', '.join(case.atypes) or 'void'});")
    return on_values("cffi ABI", getattr(interface.dlopen(str(path)), case.name), case)


def on_values(name: str, function: Any, case: Case) -> Contender:
    """Return a call of `function` on the case's values."""
    values = {f"v{i}": value for i, value in enumerate(case.values)}
    return Contender(name, f"function({', '.join(values)})", {"function": function, **values})


def ffi_contenders(case: Case, path: Path) -> Iterator[Contender]:
    """Yield the function called on each kind of storage, with the GIL released and kept."""
    cif = ffi.CIF(case.rtype, *case.atypes)
    size = max(cif.rtype.size, ffi.sizeof.ffi_arg)
    count = len(case.atypes)
    arrays = np.zeros(SLOT * count, np.uint8), np.zeros(count, np.uintp)
    arrays_of_bytes = bytearray(SLOT * count), bytearray(ffi.sizeof.pointer * count)
    for values, addresses in (arrays, arrays_of_bytes):
        fill(case, values, addresses)
    yield from calls("NumPy", cif, case, path, np.zeros(size, np.uint8), arrays[1], arrays)
    yield from calls(
        "bytearray", cif, case, path, bytearray(size), arrays_of_bytes[1], arrays_of_bytes
    )
    yield from calls("packed", cif, case, path, np.zeros(size, np.uint8), cif.pack(*case.values))


def fill(case: Case, values: Any, addresses: Any) -> None:
    """Write the arguments into `values` and where each is into `addresses`."""
    for i, (atype, value) in enumerate(zip(case.atypes, case.values, strict=True)):
        ffi.write(atype, values, value, SLOT * i)
        ffi.write_pointer(addresses, ffi.addressof(values) + SLOT * i, ffi.sizeof.pointer * i)


def calls(
    storage: str, cif: Any, case: Case, path: Path, rvalue: Any, avalues: Any, keeper: Any = None
) -> Iterator[Contender]:
    """Yield `ffi.call` on one kind of storage, with the GIL released and kept."""
    names = {
        "call": ffi.call,
        "cif": cif,
        "fn": ffi.dlsym(ffi.dlopen(path), case.name),
        "rvalue": rvalue,
        "avalues": avalues,
        "keeper": keeper,
    }

    def result(_: None) -> Any:
        value = cif.unpack(rvalue)
        memoryview(rvalue)[:] = bytes(len(rvalue))
        return value

    yield Contender(storage, "call(cif, fn, rvalue, avalues)", names, result)
    yield Contender(
        f"{storage} kept", "call(cif, fn, rvalue, avalues, release_gil=False)", names, result
    )
