"""Function pointers of ctypes and cffi, and the capsules of Cython modules such as SciPy's."""

from __future__ import annotations

import ctypes
import gc
import inspect
import pickle
import platform
import sys
import weakref

import numpy as np
import pytest
from checks import refused, run_python
from scipy.linalg import cython_blas, cython_lapack
from scipy.special import cython_special, jv, spherical_jn

import ffi
from ffi.errors import FFINotImplementedError, FFITypeError

# Where C's complex numbers of floats are not passed as Cython's may be.
IN_TWO_WAYS = platform.machine() in ("i386", "i686", "s390x")

t = ffi.types


class Integer(ctypes.c_int):
    """What ctypes returns as itself."""


# --- ctypes


def test_ctypes_function():
    libm = ctypes.CDLL(ffi.find_library("m"))
    hypot = ffi.Function(libm.hypot, "double hypot(double x, double y)")
    assert hypot(3.0, y=4.0) == 5.0
    assert hypot.address == ctypes.cast(libm.hypot, ctypes.c_void_p).value
    assert hypot.library is None
    assert ffi.Function(libm.hypot, t.double, "double", np.float64)(3.0, 4.0) == 5.0


def test_ctypes_callback():
    calls = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    def double(x):
        calls.append(x)
        return 2 * x

    function = ffi.Function(double, "int (int x)")
    kept = weakref.ref(double)
    del double
    gc.collect()
    assert function(21) == 42
    assert calls == [21]
    del function
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("make", [ctypes.CFUNCTYPE, ctypes.PYFUNCTYPE])
def test_ctypes_null(make):
    with refused(ValueError, match=r"^Function\(\): NULL is no function$"):
        ffi.Function(make(ctypes.c_int)(), "int (void)")


@pytest.mark.parametrize(
    "value",
    [ctypes.c_void_p(1), ctypes.c_int(3), Integer(3), ctypes.pointer(ctypes.c_int(3)), ctypes],
    ids=lambda value: type(value).__name__,
)
def test_other_things_of_ctypes(value):
    with refused(TypeError, match=r"^Function\(\): expected an address or a function pointer, got"):
        ffi.Function(value, "int (void)")


def test_foreign_signatures_are_not_guessed():
    libm = ctypes.CDLL(ffi.find_library("m"))
    libm.hypot.restype = ctypes.c_double
    with refused(TypeError, match=r"^Function\(\): expected a prototype, or the types"):
        ffi.Function(libm.hypot)


# --- cffi


@pytest.fixture(scope="module")
def compiled(cffi, tmp_path_factory):
    """A module that cffi compiles: its library, and its FFI."""
    folder = tmp_path_factory.mktemp("cffi")
    builder = cffi.FFI()
    builder.cdef("int add(int a, int b); extern int counter;")
    builder.set_source(
        "_of_cffi", "static int add(int a, int b) { return a + b; } static int counter = 3;"
    )
    builder.compile(str(folder))
    sys.path.insert(0, str(folder))
    try:
        import _of_cffi
    finally:
        sys.path.remove(str(folder))
    return _of_cffi


def test_cffi_function(cffi):
    foreign = cffi.FFI()
    foreign.cdef("double hypot(double x, double y);")
    libm = foreign.dlopen(ffi.find_library("m"))
    hypot = ffi.Function(libm.hypot, "double hypot(double x, double y)")
    assert hypot(3.0, y=4.0) == 5.0
    assert hypot.address == int(foreign.cast("uintptr_t", libm.hypot))


def test_cffi_callback(cffi):
    foreign = cffi.FFI()
    function = ffi.Function(foreign.callback("int(int)", lambda x: 2 * x), "int (int x)")
    gc.collect()
    assert function(21) == 42


def test_cffi_compiled_function(compiled):
    for pointer in (compiled.lib.add, compiled.ffi.addressof(compiled.lib, "add")):
        add = ffi.Function(pointer, "int add(int a, int b)")
        assert add(3, b=4) == 7
        assert add.address == int(compiled.ffi.cast("uintptr_t", pointer_of(compiled, "add")))


def pointer_of(compiled, name):
    return compiled.ffi.addressof(compiled.lib, name)


def test_cffi_null(cffi):
    foreign = cffi.FFI()
    with refused(ValueError, match=r"^Function\(\): NULL is no function$"):
        ffi.Function(foreign.cast("int (*)(int)", 0), "int (int)")


def test_cffi_data(cffi, compiled):
    foreign = cffi.FFI()
    for value, name in (
        (foreign.new("int *"), r"int \*"),
        (foreign.cast("void *", 1), r"void \*"),
        (foreign.cast("int", 1), "int"),
        (pointer_of(compiled, "counter"), r"int \*"),
    ):
        with refused(TypeError, match=rf"^Function\(\): .* function pointer, got cffi's {name}$"):
            ffi.Function(value, "int (void)")


@pytest.mark.parametrize("value", [len, [].append, compile, None, "abs", object(), 1.5])
def test_no_pointers(value):
    with refused(TypeError, match=r"^Function\(\): expected an address or a function pointer, got"):
        ffi.Function(value, "int (void)")


def test_nothing_is_imported():
    run_python(
        """if True:
            import sys
            import numpy
            del sys.modules["ctypes"]
            import ffi
            try:
                ffi.Function(object(), "int (int)")
            except TypeError:
                pass
            assert not {"ctypes", "cffi", "_cffi_backend", "scipy"} & set(sys.modules)
        """
    )


# --- capsules


def test_blas():
    ddot = ffi.Function(cython_blas.__pyx_capi__["ddot"])
    x, y = np.arange(4.0), np.arange(4.0, 8.0)
    n, one = np.array([4], np.intc), np.ones(1, np.intc)
    assert ddot(n, x, one, y, one) == x @ y == 38.0
    assert ddot.prototype == "double (int *, double *, int *, double *, int *)"
    with refused(TypeError, match="argument 1"):
        ddot(n, x.astype("f4"), one, y, one)
    sdot = ffi.Function(cython_blas.__pyx_capi__["sdot"])
    assert sdot(n, x.astype("f4"), one, y.astype("f4"), one) == 38.0


def test_blas_of_complex_numbers():
    x = np.array([3 + 4j, 1 - 2j])
    n, one = np.array([2], np.intc), np.ones(1, np.intc)
    dznrm2 = ffi.Function(cython_blas.__pyx_capi__["dznrm2"])
    assert dznrm2(n, x, one) == pytest.approx(np.linalg.norm(x))
    zdotc = ffi.Function(cython_blas.__pyx_capi__["zdotc"])
    assert zdotc.rtype == t.complex_double
    assert zdotc(n, x, one, x, one) == pytest.approx(np.vdot(x, x))
    if IN_TWO_WAYS:
        with refused(NotImplementedError, match="complex numbers of floats by value"):
            ffi.Function(cython_blas.__pyx_capi__["cdotu"])
        return
    cdotu = ffi.Function(cython_blas.__pyx_capi__["cdotu"])
    x = x.astype(np.complex64)
    assert cdotu(n, x, one, x, one) == pytest.approx(x @ x)


def test_lapack():
    dlamch = ffi.Function(cython_lapack.__pyx_capi__["dlamch"])
    assert dlamch(np.frombuffer(bytearray(b"E"), np.int8)) == np.finfo(float).eps / 2
    dlapy2 = ffi.Function(cython_lapack.__pyx_capi__["dlapy2"])
    assert dlapy2(np.array([3.0]), np.array([4.0])) == 5.0


def test_special():
    # The last argument of the C function is Cython's own and always 0.
    bessel = ffi.Function(cython_special.__pyx_capi__["__pyx_fuse_1jv"])
    assert bessel(0.5, 2.0) == jv(0.5, 2.0)
    assert bessel.atypes == (t.double, t.double)
    assert len(inspect.signature(bessel).parameters) == 2
    with refused(TypeError, match="expected 2 arguments, got 3"):
        bessel(0.5, 2.0, 0)
    of_complex = ffi.Function(cython_special.__pyx_capi__["__pyx_fuse_0jv"])
    assert of_complex(0.5, 2.0 + 1.0j) == jv(0.5, 2.0 + 1.0j)
    chebyshev = ffi.Function(cython_special.__pyx_capi__["__pyx_fuse_2_1eval_chebyt"])
    assert chebyshev.atypes == (t.ssize_t, t.double)
    assert chebyshev(3, 0.5) == -1.0


@pytest.mark.parametrize("module", [cython_blas, cython_lapack, cython_special])
def test_all_of_scipy(module):
    # Every function has a signature, but those with optional arguments and function pointers.
    refusals = []
    for capsule in module.__pyx_capi__.values():
        try:
            assert ffi.Function(capsule).address
        except (FFINotImplementedError, FFITypeError) as error:
            if not (IN_TWO_WAYS and "complex numbers of floats by value" in str(error)):
                refusals.append(str(error))
    expected = {"cython_blas": 0, "cython_lapack": 16, "cython_special": 8}
    assert len(refusals) == expected[module.__name__.rpartition(".")[2]]
    assert all("optional arguments" in text or "select" in text for text in refusals)


def test_optional_arguments():
    capsule = cython_special.__pyx_capi__["__pyx_fuse_1spherical_jn"]
    with refused(NotImplementedError, match=r"^Function\(\): .* with optional arguments"):
        ffi.Function(capsule)
    # Whoever knows better may say so: a NULL there means none are given.
    function = ffi.Function(capsule, "double (ssize_t n, double z, int skip, void *optional)")
    assert function(1, 2.0, 0, None) == spherical_jn(1, 2.0)


def capsule(name, address=1, keep=None):
    """A capsule made with Python's C API."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = (
        ctypes.py_object,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
    )
    return new(address, name, None)


# Capsules do not copy their names.
NAMES = {
    name: name.encode()
    for name in (
        "double (double, double)",
        "double hypot(double x, double y)",
        "double __pyx_skip_dispatch(double, double)",
        "double (double, PyObject *)",
        "struct __pyx_obj_3mod_Class *(int)",
        "double (unknown)",
        "double (",
        "(",
        "a.module._API",
        "",
        "\x00",
    )
}


@pytest.fixture
def hypot_address():
    return ffi.dlsym(ffi.dlopen("m"), "hypot")


@pytest.mark.parametrize("name", list(NAMES)[:3])
def test_other_capsules(hypot_address, name):
    hypot = ffi.Function(capsule(NAMES[name], hypot_address))
    assert hypot(3.0, 4.0) == 5.0
    assert hypot.address == hypot_address
    assert hypot.prototype == name


@pytest.mark.parametrize("name", [*NAMES, None])
def test_declared_capsules(hypot_address, name):
    found = capsule(NAMES.get(name), hypot_address)
    hypot = ffi.Function(found, "double hypot(double x, double y)")
    assert hypot(3.0, y=4.0) == 5.0


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("double (double, PyObject *)", TypeError, "a function of Python objects"),
        ("struct __pyx_obj_3mod_Class *(int)", TypeError, "a function of Python objects"),
        ("double (unknown)", TypeError, "prototype: 1:9: undeclared type 'unknown'"),
        ("double (", ValueError, r"prototype: 1:8: '\(' is never closed"),
        ("(", ValueError, "prototype: 1:1: "),
        ("a.module._API", TypeError, "expected a capsule named by a signature, got PyCapsule"),
        ("", TypeError, "expected a capsule named by a signature"),
        (None, TypeError, "expected a capsule named by a signature"),
    ],
)
def test_capsules_without_a_signature(hypot_address, name, kind, message):
    with refused(kind, match=rf"^Function\(\): {message}"):
        ffi.Function(capsule(NAMES.get(name), hypot_address))


def test_foreign_functions_do_not_pickle():
    libm = ctypes.CDLL(ffi.find_library("m"))
    for function in (
        ffi.Function(libm.hypot, "double hypot(double x, double y)"),
        ffi.Function(cython_blas.__pyx_capi__["ddot"]),
    ):
        with refused(TypeError, match="does not pickle"):
            pickle.dumps(function)
