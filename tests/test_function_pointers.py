"""Pointers to functions as results, arguments and members: Functions to Python."""

from __future__ import annotations

import ctypes
import gc

import numpy as np
import pytest
from checks import refused

import ffi

SOURCE = """
#include <stddef.h>
typedef int (*binary)(int a, int b);
static int add(int a, int b) { return a + b; }
static int multiply(int a, int b) { return a * b; }
binary pick(char sign) { return sign == '+' ? add : sign == '*' ? multiply : NULL; }
int apply(binary f, int a, int b) { return f ? f(a, b) : -1; }
struct operation { binary function; const char *name; double (*on)(size_t n, const double *x); };
static double first(size_t n, const double *x) { return n ? x[0] : -1; }
struct operation plus = { add, "plus", first };
const struct operation *find(void) { return &plus; }
int run(struct operation o, int a, int b) { return o.function(a, b); }
binary table[2] = { add, multiply };
void (*quit)(void) = NULL;
binary (*choose(void))(char) { return pick; }
"""
HEADER = """
typedef int (*binary)(int a, int b);
binary pick(char sign);
int apply(binary f, int a, int b);
struct operation { binary function; const char *name; double (*on)(size_t n, const double x[n]); };
const struct operation *find(void);
int run(struct operation o, int a, int b);
extern binary table[2];
extern void (*quit)(void);
extern struct operation plus;
binary (*choose(void))(char sign);
"""


def number(argument):
    """Return the int that a closure is given."""
    return int(ffi.view(argument, "int")[()])


@pytest.fixture(scope="module")
def path(compile_c):
    return compile_c(SOURCE, "function_pointers")


@pytest.fixture
def lib(path):
    library = ffi.dlopen(path)
    library.cdef(HEADER)
    return library


def test_results(lib):
    multiply = lib.pick(b"*")
    assert isinstance(multiply, ffi.Function)
    assert multiply(6, 7) == multiply(b=6, a=7) == 42
    assert multiply.prototype == "int (int a, int b)"
    assert lib.pick(b"-") is None
    assert lib.choose()(b"+")(2, 3) == 5
    with refused(TypeError, match=r"^function\(\): expected 2 arguments, got 1"):
        multiply(6)


def test_arguments(lib):
    assert lib.apply(lib.pick(b"*"), 6, 7) == 42
    assert lib.apply(None, 6, 7) == -1
    closure = ffi.Closure(
        ffi.CIF("int", "int", "int"),
        lambda r, a: ffi.write("int", r, 10 * number(a[0]) + number(a[1])),
    )
    assert lib.apply(closure, 6, 7) == 67
    assert lib.apply(ffi.Function(lib.pick(b"+").address, "int (int, int)"), 6, 7) == 13
    for wrong, message in (
        (lib.apply, r"expected int \(\*\)\(int, int\), got <ffi.Function int apply"),
        (ffi.Closure(ffi.CIF("int", "int"), abs), "got <ffi.Closure"),
        (ffi.Function(lib.pick.address, "double (int, int)"), "got <ffi.Function double"),
        (ffi.new("int"), "got <ffi.Pointer int"),
        (np.zeros(3), "expected "),
        (5, "expected "),
        (b"abc", "expected "),
    ):
        with refused(TypeError, match=rf"^apply\(\): argument 'f': .*{message}"):
            lib.apply(wrong, 6, 7)


def test_members(lib):
    operation = lib.find()[0]
    assert operation.function(2, 3) == 5
    assert operation.on(np.array([2.5, 1.0])) == 2.5
    assert operation.name.string() == b"plus"
    mine = ffi.new(
        lib.types["struct operation"], {"function": lib.pick(b"*"), "name": None, "on": None}
    )
    assert lib.run(mine[0], 6, 7) == 42
    assert mine[0].on is None
    mine[0].function = added = lib.pick(b"+")
    assert mine[0].function is added
    assert lib.run(mine[0], 6, 7) == 13
    assert lib.run((lib.pick(b"*"), "name", None), 6, 7) == 42
    with refused(TypeError, match=r"expected int \(\*\)\(int, int\), got <ffi.Function int apply"):
        mine[0].function = lib.apply
    with refused(TypeError, match="what it points at is const|is const"):
        operation.function = None


def test_what_is_assigned_is_kept(lib):
    mine = ffi.new(lib.types["struct operation"])
    mine[0].function = ffi.Closure(
        ffi.CIF("int", "int", "int"), lambda r, a: ffi.write("int", r, number(a[0]) - number(a[1]))
    )
    gc.collect()
    assert lib.run(mine[0], 9, 4) == 5
    assert mine[0].function(9, 4) == 5


def test_variables(lib):
    table = lib.variable("table")
    assert table[0](2, 3) == 5
    assert lib.variable("quit")[0] is None
    assert lib.variable("plus")[0].function(2, 3) == 5


def test_a_function_keeps_its_library(path):
    library = ffi.dlopen(path)
    library.cdef(HEADER)
    multiply, member = library.pick(b"*"), library.find()[0].function
    ffi.dlclose(library)
    for function in (multiply, member):
        with refused(ValueError, match="closed"):
            function(6, 7)
    library = ffi.dlopen(path)
    library.cdef(HEADER)
    multiply = library.pick(b"*")
    del library
    gc.collect()
    assert multiply(6, 7) == 42


def test_foreign_pointers(lib):
    pointer = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)(lambda a, b: a * b + 1)
    function = ffi.Function(pointer, "int (int a, int b)")
    assert lib.apply(function, 6, 7) == 43


def test_types():
    kind = ffi.typeof("int (*)(int, int)")
    assert ffi.new(kind)[0] is None
    assert ffi.struct({"f": kind}).size == ffi.sizeof.pointer
    with refused(TypeError, match="function"):
        ffi.new(kind.target)
