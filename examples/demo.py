"""Call C functions on NumPy buffers; `make demo` runs this.

Every result is checked against Python or NumPy: a wrong one ends the script with an error.
"""

import zlib
from typing import Any

import numpy as np
from numpy.linalg import _umath_linalg

import ffi


def main() -> None:
    """Run the three parts."""
    absolute_values()
    checksum()
    linear_algebra()


def absolute_values() -> None:
    """Call C's ``int abs(int)`` step by step."""
    libc = ffi.dlopen(None)  # the running program, which has the C library in it
    abs_ = ffi.dlsym(libc, "abs")  # an address
    cif = ffi.CIF(ffi.types.int, ffi.types.int)  # the result's type, then the arguments'

    # Storage for the result, for the argument, and for the array of the arguments' addresses.
    rvalue = np.zeros(ffi.sizeof.ffi_sarg, np.uint8)
    argument = np.array([-5], np.int32)
    avalues = np.zeros(1, np.uintp)
    ffi.write_pointer(avalues, argument)
    ffi.call(cif, abs_, rvalue, avalues)
    check("abs(-5)", cif.unpack(rvalue), 5)

    # Storage is reused, or made by the CIF.
    argument[0] = 3
    ffi.call(cif, abs_, rvalue, avalues)
    check("abs(3)", cif.unpack(rvalue), 3)
    ffi.call(cif, abs_, rvalue, cif.pack(-7))
    check("abs(-7)", cif.unpack(rvalue), 7)


def checksum() -> None:
    """Call zlib's ``uLong crc32(uLong crc, const Bytef *buf, uInt len)`` on an array."""
    crc32 = ffi.dlsym(open_first("libz.so.1", "libz.so", "libz.dylib"), "crc32")
    cif = ffi.CIF("ulong", "ulong", "pointer", "uint")
    data = np.arange(100_000, dtype=np.float64)
    expected = zlib.crc32(data.tobytes())
    check(f"crc32 of {data.nbytes} bytes", call(cif, crc32, 0, data, data.nbytes), expected)


def linear_algebra() -> None:
    """Call ``cblas_ddot`` and ``cblas_dgemm`` of the BLAS that NumPy itself uses."""
    blas, spelling, integer = open_blas()
    print(f"BLAS functions are spelt {spelling.format('ddot')}, their integers {integer.name}")

    random = np.random.default_rng(1)
    x, y = random.random((2, 1000))
    ddot = ffi.dlsym(blas, spelling.format("ddot"))
    cif = ffi.CIF("double", integer, "pointer", integer, "pointer", integer)
    check("x @ y", call(cif, ddot, x.size, x, 1, y, 1), x @ y)

    m, n, k = 30, 20, 50
    a, b, c = random.random((m, k)), random.random((k, n)), np.empty((m, n))
    dgemm = ffi.dlsym(blas, spelling.format("dgemm"))
    matrix = ("pointer", integer)  # its items, and how many a row has
    sizes = (integer, integer, integer)
    cif = ffi.CIF(
        "void", "int", "int", "int", *sizes, "double", *matrix, *matrix, "double", *matrix
    )
    row_major, as_it_is = 101, 111
    call(cif, dgemm, row_major, as_it_is, as_it_is, m, n, k, 1.0, a, k, b, n, 0.0, c, n)
    check("(a @ b)[0, 0]", c[0, 0], (a @ b)[0, 0])
    check("largest error of a @ b", np.abs(c - a @ b).max(), 0.0)


def call(cif: ffi.CIF, fn: int, *values: object) -> Any:
    """Call a C function with Python values and return its result as one."""
    rvalue = np.zeros(max(cif.rtype.size, ffi.sizeof.ffi_arg), np.uint8)
    ffi.call(cif, fn, rvalue, cif.pack(*values))
    return cif.unpack(rvalue)


def check(what: str, result: float, expected: float) -> None:
    """Print a result, and raise an error if it is not the expected one."""
    print(f"{what} = {result}")
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)


def open_first(*names: str) -> ffi.Handle:
    """Open the first of these libraries that the system has."""
    for name in names:
        try:
            return ffi.dlopen(name)
        except OSError:
            continue
    raise OSError(f"found none of {', '.join(names)}")


def open_blas() -> tuple[ffi.Handle, str, ffi.Type]:
    """Open a BLAS; return it, how it spells its functions' names, and its integer type."""
    # Loading a library loads those it needs, and symbols are looked up in them too: this module of
    # NumPy brings the OpenBLAS inside the NumPy wheel.
    numpys_own = _umath_linalg.__file__
    systems = ["libopenblas.so.0", "libcblas.so.3", "libblas.so.3", "libopenblas.dylib"]
    spellings = {
        "scipy_cblas_{}64_": ffi.types.int64,  # in the wheels of NumPy 2
        "cblas_{}64_": ffi.types.int64,  # in those of NumPy 1.26
        "cblas_{}": ffi.types.int,
    }
    for libraries in ([numpys_own], systems):
        library = open_first(*libraries)
        for spelling, integer in spellings.items():
            try:
                ffi.dlsym(library, spelling.format("ddot"))
            except OSError:
                continue
            return library, spelling, integer
    raise OSError(f"found no BLAS, neither NumPy's own nor {', '.join(systems)}")


if __name__ == "__main__":
    main()
