"""A calling convention that is not the platform's own: Microsoft's on x86-64."""

from __future__ import annotations

import platform

import numpy as np
import pytest
from checks import refused

import ffi

t = ffi.types
EIGHT = ffi.struct([("a", t.int32), ("b", t.int32)], "struct eight")

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or "gnuw64" not in ffi.abi,
    reason="only x86-64 compilers know ms_abi",
)


@pytest.mark.parametrize("abi", ["win64", "gnuw64", "efi64"])
@pytest.mark.parametrize(
    ("name", "types", "values", "expected"),
    [
        ("ms_ints", "int int char short int64 uint int", (1, b"\2", -3, 4, 5, 6), 73),
        (
            "ms_doubles",
            "double double float int double float double",
            (0.5, 1.5, -3, 4.25, 0.75, 6.0),
            0.5 + 3 - 9 + 17 + 3.75 + 36,
        ),
        ("ms_float", "float float", (1.5,), -1.5),
    ],
)
def test_scalars(symbol, abi, name, types, values, expected):
    cif = ffi.CIF(ffi.abi[abi], *types.split())
    rvalue = np.zeros(1, np.uint64)
    ffi.call(cif, symbol(name), rvalue, cif.pack(*values))
    assert cif.unpack(rvalue) == expected


@pytest.mark.parametrize("abi", ["win64", "gnuw64"])
def test_eight_byte_struct(symbol, abi):
    cif = ffi.CIF(ffi.abi[abi], EIGHT, EIGHT, t.int)
    rvalue = np.zeros(1, np.uint64)
    ffi.call(cif, symbol("ms_eight"), rvalue, cif.pack((1, 2), 10))
    assert cif.unpack(rvalue).item() == (12, -9)


@pytest.mark.parametrize("abi", ["win64", "gnuw64"])
def test_closure(symbol, abi):
    cif = ffi.CIF(ffi.abi[abi], t.int, t.int, t.double, EIGHT)
    seen = []

    def function(rvalue, avalues):
        values = [ffi.view(a, kind)[()] for a, kind in zip(avalues, cif.atypes, strict=True)]
        seen.append((values[0], values[1], values[2].item()))
        ffi.write(t.int, rvalue, -7)

    drive = ffi.CIF(t.void, t.pointer, t.pointer)
    out = np.zeros(1, np.intc)
    ffi.call(drive, symbol("drive_ms"), None, drive.pack(ffi.Closure(cif, function), out))
    assert (seen, out[0]) == ([(3, 2.5, (10, 20))], -7)


WIDE_SCALARS = ["longdouble", "complex_float", "complex_double", "complex_longdouble"]


@pytest.mark.parametrize("abi", ["win64", "gnuw64"])
@pytest.mark.parametrize("name", WIDE_SCALARS)
def test_wide_scalars_are_refused(abi, name):
    holder = ffi.struct([("x", t.int), ("inner", np.dtype([("y", t[name].dtype)], align=True))])
    for types in ((t[name],), (t.int, t[name]), (holder,), (t.int, holder)):
        with refused(NotImplementedError, match=r"CIF\(\): .* only supported in the default ABI"):
            ffi.CIF(ffi.abi[abi], *types)


@pytest.mark.parametrize("abi", ["win64", "gnuw64"])
@pytest.mark.parametrize("size", [3, 5, 6, 7, 9, 12, 16, 24])
def test_odd_structs_are_refused(abi, size):
    odd = ffi.struct([("bytes", np.dtype((np.uint8, size)))], f"struct odd{size}")
    with refused(NotImplementedError, match=rf"CIF\(\): .*struct odd{size} by reference"):
        ffi.CIF(ffi.abi[abi], t.int, odd)


def test_pickle_keeps_the_convention(symbol):
    import pickle

    cif = pickle.loads(pickle.dumps(ffi.CIF(ffi.abi.win64, t.float, t.float)))
    assert cif.abi == ffi.abi.win64
    assert cif != ffi.CIF(t.float, t.float)
