"""Solve linear systems with LAPACK's C interface: the system's, or the one inside NumPy's wheel.

The prototype checks the shapes: ``n`` comes from the matrix, whose rows have as many items, and
``nrhs`` from the right-hand sides. Both arrays are overwritten, as LAPACK does.
"""

import numpy as np
from numpy.linalg import _umath_linalg

import ffi

PROTOTYPE = """
    {name}(int matrix_layout, {integer} n, {integer} nrhs, double a[n][n], {integer} lda,
           {integer} ipiv[n], double b[n][nrhs], {integer} ldb)
"""

# With int, and in the wheels of NumPy 2 and 1.26.
SPELLINGS = {
    "LAPACKE_dgesv": "int",
    "scipy_LAPACKE_dgesv64_": "int64_t",
    "LAPACKE_dgesv64_": "int64_t",
}


def open_dgesv() -> ffi.Function:
    """Return ``LAPACKE_dgesv`` of the first library that has it."""
    # Loading NumPy's module brings the OpenBLAS of its wheel, whose integers have 64 bits.
    path = ffi.find_library("lapacke") or _umath_linalg.__file__
    library, missing = ffi.dlopen(path), []
    for name, integer in SPELLINGS.items():
        prototype = PROTOTYPE.format(name=name, integer=integer)
        try:
            return library.function(f"{integer} {prototype}", out=["ipiv"])
        except OSError as error:
            missing.append(str(error))
    raise OSError("; ".join(missing))


dgesv = open_dgesv()
print(dgesv.__name__, "of", dgesv.library)
row_major = 101

rng = np.random.default_rng(7)
a, b = rng.random((6, 6)), rng.random((6, 2))
lu, x = a.copy(), b.copy()
info, ipiv = dgesv(row_major, lu, 6, x, 2)
assert info == 0
np.testing.assert_allclose(x, np.linalg.solve(a, b))
print("pivots:", ipiv)
print("largest residual:", np.abs(a @ x - b).max())

# The factors are where the matrix was: row i was exchanged with row ipiv[i] - 1, in this order.
product = (np.tril(lu, -1) + np.eye(6)) @ np.triu(lu)
for i in reversed(range(6)):
    product[[i, ipiv[i] - 1]] = product[[ipiv[i] - 1, i]]
np.testing.assert_allclose(product, a)

# A singular matrix is told by the result, one of another shape is not even passed.
assert dgesv(row_major, np.ones((6, 6)), 6, x, 2)[0] == 2
try:
    dgesv(row_major, rng.random((6, 5)), 6, x, 2)
except ValueError as error:
    print(error)
else:
    raise AssertionError("no error for a matrix that is not square")
