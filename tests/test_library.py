"""Libraries: how files are found, functions declared, and types named."""

from __future__ import annotations

import copy
import ctypes.util
import gc
import os
import pickle
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
from checks import refused, run_python

import ffi

t = ffi.types

SOURCE = """
#include <complex.h>
#include <errno.h>
typedef struct { double x, y; } point;
double middle(point a, point *b) { return (a.x + b->x) / 2; }
point mirrored(point a) { return (point){-a.x, -a.y}; }
int add(int a, int b) { return a + b; }
int name(void) { return 1; }
int function(void) { return 2; }
int _functions(void) { return 3; }
int __init__(void) { return 4; }
int close(int x) { return x + 5; }
double complex turned(double complex z) { return z * I; }
"""


@pytest.fixture
def library(compile_c):
    return ffi.dlopen(compile_c(SOURCE, "library"))


# --- opening


def test_attributes(compile_c):
    path = compile_c(SOURCE, "library")
    library = ffi.dlopen(path)
    assert isinstance(library, ffi.Handle)
    assert library.name == str(path)
    assert library.path == os.path.realpath(path)
    assert library.release_gil is True
    assert library.closed is False
    assert ffi.dlopen(path, release_gil=False).release_gil is False
    assert ffi.dlopen().path is None
    ffi.dlclose(library)
    assert library.closed is True
    assert library.path == os.path.realpath(path)
    assert repr(library) == f"<ffi.Library {str(path)!r} (closed)>"


def test_path_is_real(compile_c, tmp_path, monkeypatch):
    path = compile_c(SOURCE, "library")
    link = tmp_path / "link é.so"
    link.symlink_to(path)
    monkeypatch.chdir(tmp_path)
    real = os.path.realpath(path)
    for name in (link, "./link é.so", b"./link \xc3\xa9.so", Path("link é.so")):
        library = ffi.dlopen(name)
        assert library.path == real
    monkeypatch.chdir("/")
    assert library.path == real
    assert ffi.dlopen("libm.so.6" if ffi.find_library("m") == "libm.so.6" else "m").path.startswith(
        "/"
    )


@pytest.mark.parametrize("release_gil", [None, 1, "no", np.True_])
def test_release_gil_is_a_bool(release_gil):
    with refused(TypeError, match=r"^dlopen\(\): argument 'release_gil': expected bool, got"):
        ffi.dlopen(None, release_gil=release_gil)


def test_short_names(tmp_path, monkeypatch):
    for name in ("m", b"m", np.str_("m")):
        library = ffi.dlopen(name)
        assert ffi.dlsym(library, "hypot")
    assert library.name == ctypes.util.find_library("m")
    assert library.name == ffi.find_library("m")
    # A path is no short name.
    monkeypatch.chdir(tmp_path)
    for name in (Path("m"), "./m"):
        with refused(OSError, match=r"^dlopen\(\): \./m: [^;]*$"):
            ffi.dlopen(name)


def test_exact_name_comes_first(compile_c, tmp_path):
    # The linker searches the folders of LD_LIBRARY_PATH, which it reads once.
    path = compile_c("int exact(void) { return 1; }", "exact")
    (tmp_path / "m").write_bytes(path.read_bytes())
    (tmp_path / "libffi_test_short.so").write_bytes(path.read_bytes())
    run_python(
        """if True:
            import os, sys
            import ffi
            if "again" not in sys.argv:
                os.environ["LD_LIBRARY_PATH"] = os.environ["DYLD_LIBRARY_PATH"] = sys.argv[1]
                os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], "again"])
            library = ffi.dlopen("m")
            assert library.name == "m", library
            assert ffi.dlsym(library, "exact")
            if sys.platform != "darwin":
                assert ffi.dlopen("ffi_test_short").name == "libffi_test_short.so"
        """,
        tmp_path,
    )


def test_missing_short_name():
    with refused(OSError, match=r"^dlopen\(\): .*no-such-thing.*; .*libno-such-thing\.(so|dylib)"):
        ffi.dlopen("no-such-thing")
    assert ffi.find_library("no-such-thing") is None


@pytest.mark.parametrize("name", ["", "/lib/m", "libm.so.6", "libm.so", "a b", "-lm", "é", "m\0"])
def test_no_short_names(name):
    assert ffi.find_library(name) is None
    if name and "\0" not in name:
        with refused(OSError, match=r"^dlopen\(\): [^;]*$"):
            ffi.dlopen(name + ".none")


@pytest.mark.parametrize("name", [None, 3, b"m", Path("m")])
def test_find_library_takes_a_str(name):
    with refused(TypeError, match=rf"^find_library\(\): expected str, got {type(name).__name__}"):
        ffi.find_library(name)


@pytest.mark.skipif(not Path("/etc/ld.so.cache").exists(), reason="glibc's list of libraries")
def test_find_library_without_ctypes(monkeypatch):
    expected = ctypes.util.find_library("m")
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert ffi.find_library("m") == expected
    assert ffi.find_library("no-such-thing") is None
    assert ffi.dlsym(ffi.dlopen("m"), "hypot")


def test_ctypes_is_imported_late():
    run_python(
        """if True:
            import sys
            import numpy
            del sys.modules["ctypes"]
            import ffi
            ffi.dlopen(None).function("int abs(int)")(-3)
            assert "ctypes" not in sys.modules
        """
    )


# --- declaring functions


def test_function_by_prototype(library):
    add = library.function("int add(int a, int b)")
    assert type(add) is ffi.Function
    assert add(3, b=4) == 7
    assert add.__name__ == "add"
    assert add.prototype == "int add(int a, int b)"
    assert add.address == ffi.dlsym(library, "add")
    assert add.library is library
    assert library.add is library["add"] is add


def test_function_by_types(library):
    for types in (
        (t.int, t.int, t.int),
        ("int", np.intc, np.dtype("i4")),
        (np.int32, "int32", "signed int"),
    ):
        add = library.function("add", *types)
        assert add(3, 4) == 7
        assert add.atypes == (t.int, t.int)
        assert library.add is add
    assert library.function("name", "int")() == 1
    middle = library.function("middle", "double", POINT, ffi.types.pointer)
    assert middle.atypes == (POINT, t.pointer)


POINT = ffi.struct([("x", "double"), ("y", "double")], "point")


def test_function_options(library):
    assert library.function("int add(int, int)").release_gil is True
    assert library.function("int add(int, int)", release_gil=False).release_gil is False
    kept = ffi.dlopen(library.name, release_gil=False)
    assert kept.function("int add(int, int)").release_gil is False
    assert kept.function("int add(int, int)", release_gil=True).release_gil is True

    def check(result, function, args):
        return result, function, args

    add = library.function("int add(int a, int b)", errcheck=check)
    assert add.errcheck is check
    assert add(1, 2) == (3, add, (1, 2))


def test_types(library):
    assert dict(library.types) == {}
    library.types["point"] = POINT
    library.types["struct pt"] = POINT.dtype
    library.types["real"] = np.float64
    assert list(library.types) == ["point", "struct pt", "real"]
    assert len(library.types) == 3
    assert repr(library.types) == "<types: point, struct pt, real>"
    assert library.types["real"] == t.double
    mirrored = library.function("point mirrored(struct pt a)")
    assert mirrored.rtype == POINT
    result = mirrored((1.5, -2.0))
    assert (result.x, result.y) == (-1.5, 2.0)
    middle = library.function("real middle(point a, const point *b)")
    assert middle.atypes[1].target == POINT
    assert middle((1.0, 0.0), np.array((4.0, 0.0), POINT.dtype)) == 2.5
    del library.types["real"]
    with refused(TypeError, match=r"^function\(\): prototype: 1:1: undeclared type 'real'"):
        library.function("real middle(point a, const point *b)")
    # Each library has its own.
    assert not ffi.dlopen(library.name).types


@pytest.mark.parametrize(
    ("name", "type", "kind", "message"),
    [
        ("struct", "int", ValueError, "expected a type's name in C, got 'struct'"),
        ("int", "int", ValueError, "got 'int'"),
        ("union int", "int", ValueError, "got 'union int'"),
        ("a b", "int", ValueError, "got 'a b'"),
        ("enum int", "int", ValueError, "got 'enum int'"),
        ("", "int", ValueError, "got ''"),
        ("é", "int", ValueError, "got 'é'"),
        ("a\n", "int", ValueError, "got"),
        ("1", "int", ValueError, "got '1'"),
        (3, "int", TypeError, "expected a type's name in C, got int"),
        ("point", None, TypeError, "got None"),
        ("point", "no type", TypeError, "'no type' is neither a C type"),
    ],
)
def test_wrong_types(library, name, type, kind, message):
    with refused(kind, match=rf"^types\[{name!r}\]: .*{message}" if name != "a\n" else message):
        library.types[name] = type
    assert not library.types


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["no_such(int)"], TypeError, "prototype: 1:1: undeclared type 'no_such'"),
        (["int no_such(int)"], OSError, "'no_such' in '.*library.*': .*"),
        (["no_such", "int"], OSError, "'no_such' in '.*library.*': .*"),
        (["int (int)"], ValueError, r"prototype: expected the function's name in 'int \(int\)'"),
        (["int add(int"], ValueError, r"prototype: 1:8: '\(' is never closed: int add\(int$"),
        (["add"], TypeError, "expected a prototype, or a name and types, got 'add' alone"),
        ([""], TypeError, "expected a prototype, or a name and types, got ''"),
        ([None], TypeError, "prototype: expected str, got NoneType"),
        ([t.int, t.int], TypeError, "expected a function's name, got Type"),
        ([b"add", "int"], TypeError, "expected a function's name, got bytes$"),
        (["add", "no type"], TypeError, "result: 'no type' is neither"),
        (["add", "int", int], TypeError, "argument 0: Python's int is no C type"),
        (["add", "int", "int", None], TypeError, "argument 1: expected an ffi.Type"),
        (["add\0", "int"], ValueError, "without NUL"),
        (["int add(int, int)", "int"], OSError, r"'int add\(int, int\)' in"),
        (["add", "int", "void"], TypeError, "void"),
    ],
    ids=str,
)
def test_wrong_functions(library, arguments, kind, message):
    with refused(kind, match=rf"^function\(\): .*{message}"):
        library.function(*arguments)
    with pytest.raises(KeyError):
        library["add"]


def test_closed(library):
    ffi.dlclose(library)
    with refused(ValueError, match=r"^function\(\): '.*' is closed$"):
        library.function("int add(int, int)")


# --- attributes and names


def test_names_of_the_librarys_own(library):
    # C's names are found by the subscript, whatever they are.
    for value, name in enumerate(("name", "function", "_functions", "__init__"), 1):
        function = library.function(f"int {name}(void)")
        assert library[name] is function
        assert function() == value
    assert library.name.endswith(".so")
    assert callable(library.function)
    assert library.function is not library["function"]
    assert library.function("int close(int)")(1) == 6
    assert library.close is library["close"]
    assert "close" in dir(library)
    assert library.__init__ is not library["__init__"]


def test_undeclared(library):
    message = r"^<ffi.Library '.*'> has no declared function 'add'; declare it with function\("
    with refused(AttributeError, match=message):
        _ = library.add
    with refused(KeyError, match=message):
        library["add"]
    for name in (3, None, ("add",)):
        with refused(KeyError, match=r"has no declared function"):
            library[name]
    assert not hasattr(library, "add")
    library.function("int add(int, int)")
    assert library.add(1, 2) == 3


def test_declared_again(library):
    first = library.function("int add(int, int)")
    second = library.function("add", "int", "uint", "int")
    assert library.add is library["add"] is second
    assert first(-1, 2) == 1
    with refused(OverflowError, match="add"):
        second(-1, 2)


def test_read_only(library):
    library.function("int add(int, int)")
    for name in ("add", "name", "types", "release_gil", "_functions", "anything"):
        with refused(AttributeError, match=rf"is read-only, '{name}' cannot be set"):
            setattr(library, name, 3)
        with refused(AttributeError, match=rf"is read-only, '{name}' cannot be deleted"):
            delattr(library, name)


def test_libraries_are_independent(library):
    other = ffi.dlopen(library.name)
    library.function("int add(int, int)")
    with refused(AttributeError, match="has no declared function"):
        _ = other.add
    ffi.dlclose(library)
    assert other.function("int add(int, int)")(1, 2) == 3


def test_no_pickle(library):
    for function in (pickle.dumps, copy.copy, copy.deepcopy):
        with refused(TypeError, match="a Library does not pickle, its functions do"):
            function(library)


def test_dropped_with_its_functions(compile_c):
    library = ffi.dlopen(compile_c(SOURCE, "library"))
    add = library.function("int add(int, int)")
    dropped = weakref.ref(library)
    del library
    gc.collect()
    assert dropped() is add.library
    del add
    gc.collect()
    assert dropped() is None


def test_subclass_without_a_library():
    class Mine(ffi.Library):
        def __init__(self):
            pass

    library = Mine()
    assert library.closed
    assert repr(library) == "<ffi.Library None (closed)>"
    for act in (
        lambda: library.function("int abs(int)"),
        lambda: library["abs"],
        lambda: library.abs,
        lambda: library.types,
    ):
        with pytest.raises(ffi.Error):
            act()
