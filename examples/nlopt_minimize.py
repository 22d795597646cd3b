"""Minimise with NLopt: an objective with a gradient, and constraints.

NLopt passes NULL for the gradient when it wants the value only: that is None. The optimiser keeps
the pointers of its functions, so callbacks are made once and kept beside it.
"""

import numpy as np
from numpy.typing import NDArray

import ffi

nlopt = ffi.dlopen("nlopt")
nlopt.cdef(
    """
    typedef double (*nlopt_func)(unsigned n, const double x[n], double gradient[n], void *data);
    typedef struct nlopt_opt_s *nlopt_opt;
    int nlopt_algorithm_from_string(const char *name);
    nlopt_opt nlopt_create(int algorithm, unsigned n);
    int nlopt_set_min_objective(nlopt_opt opt, nlopt_func f, void *data);
    int nlopt_add_inequality_constraint(nlopt_opt opt, nlopt_func f, void *data, double tolerance);
    int nlopt_set_lower_bounds(nlopt_opt opt, const double *bounds);
    int nlopt_set_xtol_rel(nlopt_opt opt, double tolerance);
    int nlopt_optimize(nlopt_opt opt, double *x, double *value);
    int nlopt_force_stop(nlopt_opt opt);
    const char *nlopt_result_to_string(int result);
    void nlopt_destroy(nlopt_opt opt);
    """,
    out={"nlopt_optimize": ["value"]},
)
Array = NDArray[np.float64]


def make(algorithm: str, n: int) -> ffi.Pointer:
    """Return an optimiser that ends with its last user."""
    number = nlopt.nlopt_algorithm_from_string(algorithm)
    return ffi.gc(nlopt.nlopt_create(number, n), nlopt.nlopt_destroy)


# The example of NLopt's tutorial: minimise sqrt(x1) with x1 >= (a x0 + b)^3 for two pairs a, b.
@ffi.callback(nlopt.types["nlopt_func"])
def root(x: Array, gradient: Array | None, data: object) -> float:
    """Return sqrt(x1)."""
    if gradient is not None:
        gradient[:] = 0, 0.5 / np.sqrt(x[1])
    return float(np.sqrt(x[1]))


def constraint(a: float, b: float) -> ffi.Callback:
    """Return what may not be positive, as a function for C."""

    def cubic(x: Array, gradient: Array | None, data: object) -> float:
        if gradient is not None:
            gradient[:] = 3 * a * (a * x[0] + b) ** 2, -1
        return float((a * x[0] + b) ** 3 - x[1])

    return ffi.callback(nlopt.types["nlopt_func"], cubic)


constraints = [constraint(2, 0), constraint(-1, 1)]
for algorithm in ("LD_MMA", "LD_CCSAQ", "LN_COBYLA"):
    with make(algorithm, 2) as opt:
        nlopt.nlopt_set_min_objective(opt, root, None)
        for function in constraints:
            assert nlopt.nlopt_add_inequality_constraint(opt, function, None, 1e-8) > 0
        nlopt.nlopt_set_lower_bounds(opt, np.array([-np.inf, 1e-6]))
        nlopt.nlopt_set_xtol_rel(opt, 1e-6)
        x = np.array([1.234, 5.678])
        result, value = nlopt.nlopt_optimize(opt, x)
    reason = nlopt.nlopt_result_to_string(result).string().decode()
    print(f"{algorithm}: {reason} at {x}, {value:.6f}")
    assert result > 0
    np.testing.assert_allclose(x, [1 / 3, 8 / 27], rtol=1e-3)
    np.testing.assert_allclose(value, np.sqrt(8 / 27), rtol=1e-4)

# After an exception NLopt would go on, with zeros for values; `onerror` has it stop. The call
# raises what the callback raised.
points: list[Array] = []


def fails(x: Array, gradient: Array, data: object) -> float:
    """Fail the third time."""
    points.append(x.copy())
    if len(points) == 3:
        raise ArithmeticError(f"not at {x}")
    gradient[:] = 2 * x
    return float(x @ x)


with make("LD_LBFGS", 2) as opt:

    def stop(kind: object, error: object, traceback: object, opt: ffi.Pointer = opt) -> float:
        """Have the optimiser return soon."""
        nlopt.nlopt_force_stop(opt)
        return np.nan

    failing = ffi.callback(nlopt.types["nlopt_func"], fails, onerror=stop)
    nlopt.nlopt_set_min_objective(opt, failing, None)
    try:
        nlopt.nlopt_optimize(opt, np.array([3.0, -4.0]))
    except ArithmeticError as error:
        print("raised in a callback:", error)
    else:
        raise AssertionError("no exception")
assert len(points) == 3
