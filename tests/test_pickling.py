"""Functions pickle, and work in the processes of multiprocessing and joblib."""

from __future__ import annotations

import copy
import ctypes
import gc
import multiprocessing
import os
import pickle
import weakref

import joblib
import pytest
from checks import refused, run_python

import ffi

t = ffi.types
POINT = ffi.struct([("x", "double"), ("y", "double")], "point")
SOURCE = """
#include <complex.h>
typedef struct { double x, y; } point;
int add(int a, int b) { return a + b; }
double norm(point p) { return p.x * p.x + p.y * p.y; }
double total(const point *p, int n) {
    double sum = 0; while (n--) sum += p[n].x; return sum;
}
int counter(void) { static int count; return ++count; }
"""


def negated(result, function, args):
    return -result


@pytest.fixture(scope="module")
def path(compile_c):
    return compile_c(SOURCE, "pickled")


@pytest.fixture
def library(path):
    return ffi.dlopen(path)


def again(function, protocol=pickle.HIGHEST_PROTOCOL):
    return pickle.loads(pickle.dumps(function, protocol))


# --- in one process


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_round_trip(library, path, protocol):
    add = library.function("int add(int a, int b)", release_gil=False, errcheck=negated)
    found = again(add, protocol)
    assert found(1, b=2) == -3
    assert found == add
    assert hash(found) == hash(add)
    assert (found.prototype, found.release_gil) == ("int add(int a, int b)", False)
    assert found.errcheck is negated
    assert found.library.path == library.path == os.path.realpath(path)
    assert found.library.release_gil is True
    assert found.address == add.address


def test_types_come_along(library):
    library.types["point"] = POINT
    norm = again(library.function("double norm(point p)"))
    assert norm((3.0, 4.0)) == 25.0
    assert norm.atypes == (POINT,)
    total = again(library.function("double total(const point *p, int n)"))
    assert total.atypes[0].target == POINT
    assert total.atypes[0].const
    by_types = again(library.function("norm", t.double, POINT))
    assert by_types((1.0, 1.0)) == 2.0
    opaque = again(library.function("int add(struct other *, FILE *)"))
    assert [atype.target.tag for atype in opaque.atypes] == ["struct other", "FILE"]


def test_the_program_and_short_names():
    absolute = again(ffi.dlopen(None).function("int abs(int x)"))
    assert absolute(-3) == 3
    assert absolute.library.name is None
    hypot = again(ffi.dlopen("m", release_gil=False).function("double hypot(double x, double y)"))
    assert hypot(3.0, 4.0) == 5.0
    assert hypot.release_gil is False
    assert hypot.library.release_gil is False


def test_functions_share_a_library(library):
    add, counter = library.function("int add(int, int)"), library.function("int counter(void)")
    first, second = pickle.loads(pickle.dumps((add, counter)))
    assert first.library is second.library
    assert first.library is not library
    assert again(add).library is first.library
    # It is the same object to the linker, and closing one is not closing the other.
    counter()
    assert second() == counter() - 1
    ffi.dlclose(library)
    assert first(1, 2) == 3
    ffi.dlclose(first.library)
    with refused(ValueError, match="is closed"):
        first(1, 2)
    with refused(ValueError, match="is closed"):
        add(1, 2)
    # What is closed is opened again.
    with refused(ValueError, match=r"does not pickle: '.*' is closed"):
        pickle.dumps(add)


def test_opened_again_after_dlclose(library):
    add = library.function("int add(int, int)")
    data = pickle.dumps(add)
    first = pickle.loads(data)
    ffi.dlclose(first.library)
    second = pickle.loads(data)
    assert second(1, 2) == 3
    assert second.library is not first.library


def test_dropped_libraries_are_not_kept(library):
    found = again(library.function("int add(int, int)"))
    dropped = weakref.ref(found.library)
    del found
    gc.collect()
    assert dropped() is None


def test_copies(library):
    add = library.function("int add(int, int)")
    assert copy.copy(add) is add
    assert copy.deepcopy([add])[0] is add


def test_moved_library(compile_c, tmp_path):
    # The real path is what counts, whatever the name was.
    link = tmp_path / "link.so"
    link.symlink_to(compile_c(SOURCE, "pickled"))
    data = pickle.dumps(ffi.dlopen(link).function("int add(int, int)"))
    link.unlink()
    assert pickle.loads(data)(1, 2) == 3


def test_missing_library(compile_c, tmp_path):
    path = tmp_path / "gone.so"
    path.write_bytes(compile_c(SOURCE, "pickled").read_bytes())
    data = pickle.dumps(ffi.dlopen(path).function("int add(int a, int b)"))
    path.unlink()
    code = """if True:
        import pickle, sys
        try:
            pickle.loads(bytes.fromhex(sys.argv[1]))
        except OSError as error:
            print(error)
    """
    message = run_python(code, data.hex())
    assert message.startswith("unpickling int add(int a, int b): ")
    assert "gone.so" in message


def test_what_does_not_pickle(library):
    add = library.function("int add(int a, int b)")
    for function in (
        ffi.Function(add.address, "int add(int a, int b)"),
        ffi.Function(ffi.Closure(ffi.CIF("int"), lambda *_: None), "int (void)"),
        ffi.Function(ctypes.CDLL(library.path).add, "int add(int a, int b)"),
    ):
        with refused(TypeError, match=r"does not pickle: it comes from no library$"):
            pickle.dumps(function)
    for function in (
        ffi.Function(add, "int (int, int)"),
        ffi.Function(add, "int norm(int, int)"),
        ffi.Function(add, "int no_such_name(int, int)"),
    ):
        assert function(1, 2) == 3
        with refused(TypeError, match="does not pickle: .* is not its symbol$"):
            pickle.dumps(function)


def test_lambdas_do_not_pickle(library):
    add = library.function("int add(int, int)", errcheck=lambda *args: 0)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(add)


# --- in others


def work(function, arguments):
    return os.getpid(), function(*arguments)


# Since Python 3.12 a fork beside other threads, such as those of a BLAS, is warned about.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_multiprocessing(library, method):
    library.types["point"] = POINT
    add = library.function("int add(int, int)", errcheck=negated)
    norm = library.function("double norm(point p)", release_gil=False)
    tasks = [(add, (i, 1)) for i in range(8)] + [(norm, ((3.0, float(i)),)) for i in range(8)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.starmap(work, tasks, chunksize=1)
    assert os.getpid() not in {process for process, _ in results}
    expected = [-i - 1 for i in range(8)] + [9.0 + i * i for i in range(8)]
    assert [result for _, result in results] == expected


def test_joblib(library):
    library.types["point"] = POINT
    norm = library.function("double norm(point p)")
    with joblib.parallel_config(backend="loky", n_jobs=2):
        results = joblib.Parallel()(
            joblib.delayed(work)(norm, ((float(i), 0.0),)) for i in range(8)
        )
        direct = joblib.Parallel()(joblib.delayed(norm)((float(i), 1.0)) for i in range(4))
    assert os.getpid() not in {process for process, _ in results}
    assert [result for _, result in results] == [i * i for i in range(8)]
    assert direct == [i * i + 1 for i in range(4)]


def test_results_come_back(library):
    # A function travels both ways.
    library.function("int add(int, int)")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        function = pool.apply(again, (library.add,))
    assert function(1, 2) == 3
    assert function == library.add
