"""Call Fortran, compiled here by gfortran.

Fortran takes what is no ``value`` by reference: ``const double x[1]`` accepts one number, and
passes its address. Its arrays are column-major: Fortran's ``a(n, m)`` is C's ``a[m][n]``; pass
``a.T``.
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np

import ffi

SOURCE = """
! y = alpha * matmul(a, x) + y, and how many items of y are negative then.
subroutine update(n, m, alpha, a, x, y, negative) bind(c)
  use iso_c_binding
  integer(c_int), value :: n, m
  real(c_double), intent(in) :: alpha, a(n, m), x(m)
  real(c_double), intent(inout) :: y(n)
  integer(c_int), intent(out) :: negative
  y = alpha * matmul(a, x) + y
  negative = count(y < 0)
end subroutine

! Without bind(c), gfortran appends an underscore to the name.
real(8) function trace(n, a)
  integer, intent(in) :: n
  real(8), intent(in) :: a(n, n)
  integer :: i
  trace = sum([(a(i, i), i = 1, n)])
end function
"""

with tempfile.TemporaryDirectory() as folder:
    source, compiled = Path(folder, "routine.f90"), Path(folder, "routine.so")
    source.write_text(SOURCE)
    command = ["gfortran", "-O2", "-shared", "-fPIC", str(source), "-o", str(compiled)]
    subprocess.run(command, check=True)
    routine = ffi.dlopen(compiled)  # stays loaded without its file

routine.cdef(
    """
    void update(int n, int m, const double alpha[1], const double a[m][n], const double x[m],
                double y[n], int *negative);
    double trace_(const int n[1], const double *a);
    """,
    out={"update": ["negative"]},
)

rng = np.random.default_rng(5)
a = np.asfortranarray(rng.normal(size=(4, 3)))
x, y = rng.normal(size=3), rng.normal(size=4)
expected = 0.5 * a @ x + y
negative = routine.update(0.5, a.T, x, y)
print("y =", y, "of which negative:", negative)
np.testing.assert_allclose(y, expected)
assert negative == np.count_nonzero(expected < 0)

square = np.asfortranarray(rng.normal(size=(3, 3)))
trace = routine.trace_(3, square.T)
print("trace =", trace)
np.testing.assert_allclose(trace, np.trace(square))
