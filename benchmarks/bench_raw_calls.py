"""`ffi.call` on storage that the caller holds, against ctypes and cffi's ABI mode."""

import ctypes
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cffi
import kernels
import numpy as np
from kernels import STRUCTS, Kernel, c_type, ffi_type, struct_source
from report import Bar, Table
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
for name, members in STRUCTS.items():
    fields = [(member, CTYPES[atype]) for member, atype in members.items()]
    CTYPES[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
# Room for any value of these types, suitably aligned.
SLOT = 32
LIMIT = 0.8

CASES = [
    *kernels.SCALARS,
    kernels.THIRTY_MIXED,
    kernels.STRUCT_OF_16,
    kernels.STRUCT_OF_24,
]


def run(effort: Effort) -> list[Table]:
    """Measure every case, with the GIL released and kept."""
    released: dict[str, dict[str, Measurement]] = {}
    kept: dict[str, dict[str, Measurement]] = {}
    with kernels.compiled(CASES) as library:
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
    return [
        Table("Raw calls, GIL released", "ctypes", released),
        Table("Raw calls, GIL kept", "ctypes", kept),
    ]


def bars(tables: Sequence[Table]) -> Iterator[Bar]:
    """Yield the bar of each kind of storage, with the ratio of the case that does worst."""
    for table, storage in itertools.product(tables, ("NumPy", "bytearray")):
        ratio, row = max((table.ratio(row, storage), row) for row in table.rows)
        yield Bar(f"{table.title}, {storage} storage, at worst ({row})", ratio, LIMIT, " x ctypes")


def ctypes_contenders(case: Kernel, path: Path) -> Iterator[Contender]:
    """Yield the function called through ctypes, with the GIL released and kept."""
    for name, library in [
        ("ctypes", ctypes.CDLL(str(path))),
        ("ctypes kept", ctypes.PyDLL(str(path))),
    ]:
        function = library[case.name]
        function.restype = CTYPES[case.rtype]
        function.argtypes = [CTYPES[atype] for atype in case.atypes]
        values = [
            CTYPES[atype](*value) if atype in STRUCTS else value
            for atype, value in zip(case.atypes, case.values, strict=True)
        ]
        yield on_values(name, function, values)


def cffi_contender(case: Kernel, path: Path) -> Contender:
    """Return the function called through cffi's ABI mode."""
    interface = cffi.FFI()
    interface.cdef("\n".join(struct_source(name) for name in STRUCTS))
    parameters = ", ".join(c_type(atype) for atype in case.atypes) or "void"
    interface.cdef(f"{c_type(case.rtype)} {case.name}({parameters});")
    values = [
        interface.new(f"struct {atype} *", value)[0] if atype in STRUCTS else value
        for atype, value in zip(case.atypes, case.values, strict=True)
    ]
    return on_values("cffi ABI", getattr(interface.dlopen(str(path)), case.name), values)


def on_values(name: str, function: Any, values: Sequence[Any]) -> Contender:
    """Return a call of `function` on values that it converts."""
    names = {f"v{i}": value for i, value in enumerate(values)}
    return Contender(name, f"function({', '.join(names)})", {"function": function, **names})


def ffi_contenders(case: Kernel, path: Path) -> Iterator[Contender]:
    """Yield the function called on each kind of storage, with the GIL released and kept."""
    cif = ffi.CIF(ffi_type(case.rtype), *map(ffi_type, case.atypes))
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


def fill(case: Kernel, values: Any, addresses: Any) -> None:
    """Write the arguments into `values` and where each is into `addresses`."""
    for i, (atype, value) in enumerate(zip(case.atypes, case.values, strict=True)):
        ffi.write(ffi_type(atype), values, value, SLOT * i)
        ffi.write_pointer(addresses, ffi.addressof(values) + SLOT * i, ffi.sizeof.pointer * i)


def calls(
    storage: str, cif: Any, case: Kernel, path: Path, rvalue: Any, avalues: Any, keeper: Any = None
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
