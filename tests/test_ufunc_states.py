"""What goes on around a ufunc's loop: exceptions, errno, the GIL, lifetime, pickling."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import pickle
import threading
import time
import weakref

import joblib
import numpy as np
import pytest
from checks import HAS_GIL, refused
from test_ufunc import SOURCE, same, vectorized

import ffi

DOT = "double dot(size_t n, const double x[n], const double y[n])"


@pytest.fixture
def library(compile_c):
    return ffi.dlopen(compile_c(SOURCE, "ufuncs", "-lm"))


# --- exceptions


def picky(x):
    if x == 3.0:
        raise LookupError("three")
    return 2 * x


@pytest.mark.parametrize("release_gil", [True, False])
# NumPy keeps the GIL for the small one; the large one comes in several pieces.
@pytest.mark.parametrize("size", [5, 600, 50000])
def test_what_a_callback_raises(library, release_gil, size):
    keep = library.function("void keep(double (*f)(double))")
    counted = library.function("double call_counted(double)", release_gil=release_gil)
    count = library.function("int call_count(void)")
    callback = ffi.callback("double (double)", picky, error=np.inf)
    keep(callback)
    count()
    ufunc = ffi.vectorize(counted)
    x = np.arange(size)
    for given in (x, x.astype(float), x.astype(">f8"), x[::-1].astype("f4")[::-1]):
        with pytest.raises(LookupError, match="three") as caught:
            ufunc(given)
        assert caught.traceback[-1].name == "picky"
        # It ends there, in the pieces that follow too.
        assert count() == 4
    # Nothing is left of it.
    same(ufunc(np.zeros(size)), np.zeros(size))
    assert count() == size


def failing_methods():
    x = np.arange(3000.0)
    return {
        "call": lambda f: f(x, 1.0),
        "scalar": lambda f: f(1.0, 2.0),
        "casting": lambda f: f(x.astype(int), 1.0),
        "where": lambda f: f(x, 1.0, where=x > 1500, out=x.copy()),
        "out": lambda f: f(x, 1.0, out=x.copy()[::-1]),
        "outer": lambda f: f.outer(x[:50], x),
        "reduce": lambda f: f.reduce(x),
        "reduce axis": lambda f: f.reduce(x.reshape(30, 100), axis=0),
        "accumulate": lambda f: f.accumulate(x),
        "accumulate axis": lambda f: f.accumulate(x.reshape(30, 100), axis=0),
        "reduceat": lambda f: f.reduceat(x, [0, 50, 7]),
        "at": lambda f: f.at(x.copy(), [1, 2, 2], 1.0),
        "at casting": lambda f: f.at(x.astype("f4"), [1, 2, 2], 1.0),
    }


@pytest.mark.parametrize("method", failing_methods())
def test_every_method_raises(method):
    def fail(x, y):
        raise ZeroDivisionError

    ufunc = ffi.vectorize(ffi.callback("double (double, double)", fail))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            failing_methods()[method](ufunc)


def test_exceptions_in_threads(library):
    # Each thread has its own.
    ufunc = ffi.vectorize(ffi.callback("double (double)", picky))
    found = []

    def work(start):
        for _ in range(20):
            try:
                found.append(ufunc(np.arange(start, start + 2.0)).tolist())
            except LookupError:
                found.append("raised")

    threads = [threading.Thread(target=work, args=(2.0 * i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count("raised") == 20
    assert found.count([0.0, 2.0]) == found.count([8.0, 10.0]) == 20


def test_a_ufunc_in_a_callback_in_a_ufunc():
    inner = ffi.vectorize(ffi.callback("double (double)", picky))

    def total(x):
        try:
            return inner(np.arange(x)).sum()
        except LookupError:
            return -1.0

    outer = ffi.vectorize(ffi.callback("double (double)", total))
    same(outer([1, 3, 4, 2]), np.array([0.0, 6.0, -1.0, 2.0]))


def test_no_warnings_beside_an_exception(library):
    # What raised has divided by zero before.
    callback = ffi.callback("double (double)", picky)
    library.function("void keep(double (*f)(double))")(callback)
    ufunc = vectorized(library, "double divided_kept(double x)")
    for size in (5, 20000):
        with pytest.raises(LookupError):
            ufunc(np.arange(size, dtype="f4"))


# --- floating point flags, errno


def test_floating_point_flags_are_numpys(library):
    divided = vectorized(library, "double divided(double a, double b)")
    for release_gil in (True, False):
        divided = vectorized(library, "double divided(double a, double b)", release_gil=release_gil)
        for size in (1, 1000):
            x = np.ones(size)
            with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divided"):
                divided(x, 0.0)
            with pytest.warns(RuntimeWarning, match="divide by zero encountered in divided"):
                assert np.isinf(divided(x, 0.0)).all()
            with np.errstate(divide="ignore", invalid="ignore"):
                assert np.isnan(divided(0.0 * x, 0.0)).all()
    dot = vectorized(library, DOT)
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError, match="dot"):
        dot([np.inf], [0.0])


def test_errno(library):
    errno_of = vectorized(library, "int errno_of(int x)")
    ffi.set_errno(7)
    assert errno_of(np.intc([3, 4, 5])).tolist() == [7, 3, 4]
    assert ffi.get_errno() == 5
    # NumPy's own work does not count.
    assert errno_of(np.array([6], "i2")) == 5
    assert ffi.get_errno() == 6


# --- the GIL


def test_the_gil(napping):
    """Whether another thread runs while C does."""
    held = {}
    for release_gil in (True, False):
        for size in (2, 2000):
            held[release_gil, size] = other_thread_waits(napping, size, release_gil)
    # By what the function says, for few elements and for many.
    assert held == {
        (False, 2): HAS_GIL,
        (False, 2000): HAS_GIL,
        (True, 2): False,
        (True, 2000): False,
    }


SLEEP = """
#include <unistd.h>
int nap(int i) { if (i == 0) usleep(300000); return i; }
"""


@pytest.fixture(scope="module")
def napping(compile_c):
    return compile_c(SLEEP, "nap")


def other_thread_waits(napping, size, release_gil):
    nap = ffi.vectorize(ffi.dlopen(napping).function("int nap(int i)", release_gil=release_gil))
    ticks = []
    done = threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.005)

    thread = threading.Thread(target=tick)
    thread.start()
    time.sleep(0.02)
    start = time.perf_counter()
    nap(np.arange(size, dtype=np.intc))
    stop = time.perf_counter()
    done.set()
    thread.join()
    middle = [t for t in ticks if start + 0.05 < t < stop - 0.05]
    return not middle


@pytest.mark.skipif(not HAS_GIL, reason="there is no GIL")
def test_gil_is_as_before(library):
    # After a loop that raised, and after one that did not.
    ufunc = ffi.vectorize(ffi.callback("double (double)", picky))
    for size in (3, 5, 3000):
        x = np.arange(float(size))
        if size > 3:
            with pytest.raises(LookupError):
                ufunc(x)
        else:
            ufunc(x)
        assert sum(range(100)) == 4950


# --- lifetime


def test_closed_libraries(library):
    dot = vectorized(library, DOT)
    add = vectorized(library, "double f64(double a, double b)")
    assert dot(np.ones(3), np.ones(3)) == 3.0
    ffi.dlclose(library)
    for size in (1, 3, 10000):
        x = np.ones((size, 3))
        with refused(ValueError, match=r"^dot\(\): '.*ufuncs.*' is closed$"):
            dot(x, x)
        with refused(ValueError, match=r"^f64\(\): .* is closed$"):
            add(x, x)
    with refused(ValueError, match=r"is closed$"):
        add.reduce(np.ones(3))
    assert dot(np.ones((0, 3)), np.ones(3)).shape == (0,)


def test_closed_meanwhile(library):
    # By a callback in the middle of the loop.
    function = library.function("double call_kept(double)")
    keep = library.function("void keep(double (*f)(double))")

    def close(x):
        if not library.closed:
            ffi.dlclose(library)
        return x

    callback = ffi.callback("double (double)", close)
    keep(callback)
    ufunc = ffi.vectorize(function)
    same(ufunc(np.arange(100.0)), np.arange(100.0))
    with refused(ValueError, match="is closed"):
        ufunc(1.0)


def test_a_ufunc_keeps_what_it_needs():
    class Watched:
        def __call__(self, x):
            return x + 1

    function = Watched()
    watcher = weakref.ref(function)
    ufunc = ffi.vectorize(ffi.callback("double (double)", function))
    del function
    gc.collect()
    assert ufunc(1.0) == 2.0
    del ufunc
    gc.collect()
    assert watcher() is None


def test_cycles_are_collected():
    class Watched:
        def __call__(self, x):
            return x + 1

    function = Watched()
    function.ufunc = ffi.vectorize(ffi.callback("double (double)", function))
    watcher = weakref.ref(function)
    del function
    gc.collect()
    assert watcher() is None


# --- pickling


def again(ufunc):
    return pickle.loads(pickle.dumps(ufunc))


def test_pickles(library):
    functions = [library.function(f"{t} {n}({t} a, {t} b)")
                 for t, n in [("double", "f64"), ("float", "f32")]]  # fmt: skip
    found = again(ffi.vectorize(*functions, name="subtract", doc="Subtract."))
    assert (found.__name__, found.types) == ("subtract", ["ff->f", "dd->d"])
    assert found.__doc__.endswith("Subtract.")
    assert found(3.0, 1.0) == 2.0
    dot = again(vectorized(library, DOT, release_gil=False))
    assert (dot.__name__, dot.signature) == ("dot", "(n),(n)->()")
    assert dot(np.arange(4.0), np.arange(4.0)) == 14.0
    # Out parameters come along.
    quotient = again(vectorized(library, "int quotient(int a, int b, int *rest)", ["rest"]))
    assert quotient(np.intc(7), np.intc(2)) == (3, 1)


def test_other_ufuncs_pickle_as_before():
    from scipy.special import gamma

    for ufunc in (np.add, np.matmul, gamma):
        assert again(ufunc) is ufunc
        assert copy.copy(ufunc) is ufunc
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(np.frompyfunc(lambda x: x, 1, 1))


def test_what_does_not_pickle(library):
    ufunc = ffi.vectorize(ffi.callback("double (double)", picky))
    with refused(TypeError, match="does not pickle: it comes from no library"):
        pickle.dumps(ufunc)
    # It can be copied all the same.
    assert copy.deepcopy(ufunc)(1.0) == copy.copy(ufunc)(1.0) == 2.0


def squared_norms(ufunc, x):
    return ufunc(x, x)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_multiprocessing(library, method):
    dot = vectorized(library, DOT)
    x = np.arange(12.0).reshape(4, 3)
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.starmap(squared_norms, [(dot, row) for row in x])
    np.testing.assert_array_equal(results, (x * x).sum(1))


def test_joblib(library):
    dot = vectorized(library, DOT)
    x = np.arange(12.0).reshape(4, 3)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        results = joblib.Parallel()(joblib.delayed(dot)(row, row) for row in x)
    np.testing.assert_array_equal(results, (x * x).sum(1))


# --- threads


def test_two_threads(library):
    dot = vectorized(library, DOT)
    x = np.random.default_rng(1).normal(size=(400, 1000))
    expected = (x * x).sum(1)
    out = np.empty(400)
    halves = [slice(0, 200), slice(200, 400)]

    def work(half):
        for _ in range(20):
            dot(x[half, ::-1], x[half, ::-1], out=out[half])

    threads = [threading.Thread(target=work, args=(half,)) for half in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(out, expected)
