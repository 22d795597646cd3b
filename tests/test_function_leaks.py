"""Typed calls keep nothing: every kind of argument, result and failure, many times over.

How many calls of each kind is in the environment variable FFI_LEAK_CALLS; 10**6 take some minutes.
"""

from __future__ import annotations

import ctypes
import os

import numpy as np
import pytest
from checks import DIRECT, MIXED, STRUCTS, VALUES
from test_leaks import COUNT, check_flat, failing

import ffi

t = ffi.types
# Kinds that take microseconds, unless somebody asked.
SLOW = COUNT if "FFI_LEAK_CALLS" in os.environ else COUNT // 10
SOURCE = """
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
int add(int a, int b) { return a + b; }
double half(double x) { return x / 2; }
int64_t total(const unsigned char *data, size_t size, int extra)
{
    int64_t sum = extra;
    for (size_t i = 0; i < size; i++) sum += data[i];
    return sum;
}
double sum(const double *x, size_t size)
{
    double sum = 0;
    for (size_t i = 0; i < size; i++) sum += x[i];
    return sum;
}
struct mixed { int8_t c; double d; };
struct mixed mirrored(struct mixed m) { m.d = -m.d; return m; }
double second(const struct mixed *m) { return m->d; }
struct node { int value; void *next; const char *name; };
struct node renamed(struct node n) { n.value++; return n; }
union number { int i; double d; };
union number twice(union number n) { n.d *= 2; return n; }
struct bits { int low : 3; unsigned high : 29; unsigned char c; };
struct bits more(struct bits b) { b.low++; b.high++; b.c++; return b; }
struct large { double items[40]; };
struct large larger(struct large s) { s.items[39]++; return s; }
const char *text(const char *s) { return s; }
void *address(void *p) { return p; }
void nothing(void) {}
int fails(int error) { errno = error; return -1; }
void *allocate(size_t size) { return malloc(size); }
void end(void *p) { free(p); }
"""
NODE = ffi.struct({"value": "int", "next": "void *", "name": "const char *"}, "node")
NUMBER = ffi.union({"i": "int", "d": "double"}, "number")
BITS = ffi.struct([("low", t.int, 3), ("high", t.uint, 29), ("c", t.uchar)], "bits")
LARGE = ffi.struct([("items", ("double", 40))], "large")
TYPES = {"mixed": MIXED, "node": NODE, "number": NUMBER, "bits": BITS, "large": LARGE}
# libffi has no such types.
BY_DIRECT_CALLS = ["number twice(number n)", "bits more(bits b)"]


class Exporter:
    """An object that is an array in NumPy's way."""

    def __init__(self, array):
        self.array = array

    @property
    def __array_interface__(self):
        return self.array.__array_interface__


class Lender:
    """An object that is an array in DLPack's way."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Index:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Functions:
    """The functions, and values for them that are always the same."""

    def __init__(self, path):
        library = ffi.dlopen(path)
        library.types.update(TYPES)
        for prototype in (
            "int add(int a, int b)",
            "int64_t total(const unsigned char *data, size_t size, int extra)",
            "double sum(const double *x, size_t size)",
            "mixed mirrored(mixed m)",
            "double second(const mixed *m)",
            "node renamed(node n)",
            *(BY_DIRECT_CALLS if DIRECT else ()),
            "large larger(large s)",
            "const char *text(const char *s)",
            "void *address(void *p)",
            "void nothing(void)",
            "void *allocate(size_t size)",
            "void end(void *p)",
        ):
            function = library.function(prototype)
            setattr(self, function.__name__, function)
        self.half = library.function("double half(double x)", release_gil=False)
        self.fails = library.function("int fails(int error)", errcheck=ffi.check_errno)
        self.checked = ffi.Function(
            self.add, errcheck=lambda result, function, args: [result, function, args]
        )
        closed = ffi.dlopen(path)
        self.closed = closed.function("int add(int a, int b)")
        ffi.dlclose(closed)
        self.array, self.floats = np.ones(3, np.uint8), np.ones(3)
        self.exporter, self.lender = Exporter(self.floats), Lender(self.floats)
        self.strided, self.swapped = np.ones(6)[::2], self.floats.astype(">f8")
        self.mixed_array = np.zeros(2, MIXED.dtype)
        self.bytearray, self.view = bytearray(3), memoryview(bytearray(3))
        self.ctypes_array = (ctypes.c_double * 3)()
        self.pointer, self.record = ffi.new(("uchar", 3)), ffi.new(MIXED, (1, 2.5))[0]
        self.number, self.bits = ffi.new(NUMBER, {"d": 1.5})[0], ffi.new(BITS, (1, 2, 3))[0]
        self.large, self.node = ffi.new(LARGE)[0], ffi.new(NODE, (1, self.bytearray, None))[0]
        self.numpy_record, self.index = self.mixed_array[0], Index(70000)
        self.released = ffi.new("int")
        self.released.release()


# --- arguments

ARGUMENTS = {
    "nothing": lambda f: f.nothing(),
    "int": lambda f: f.add(1, 2),
    "large int": lambda f: f.add(10**9, -(10**9)),
    "by name": lambda f: f.add(b=70000, a=70000),
    "one by name": lambda f: f.add(70000, b=70000),
    "NumPy int and bool": lambda f: f.add(np.int32(1), True),
    "__index__": lambda f: f.add(f.index, f.index),
    "float": lambda f: f.half(1.5),
    "int for double": lambda f: f.half(70000),
    "NumPy float": lambda f: f.half(np.float32(1.5)),
    "array": lambda f: f.total(f.array, 3, 4),
    "bytes": lambda f: f.total(b"abc", 3, 4),
    "bytearray": lambda f: f.total(f.bytearray, 3, 4),
    "view": lambda f: f.total(f.view, 3, 4),
    "ctypes array": lambda f: f.sum(f.ctypes_array, 3),
    "array of structs": lambda f: f.second(f.mixed_array),
    "__array_interface__": lambda f: f.sum(f.exporter, 3),
    "__dlpack__": lambda f: f.sum(f.lender, 3),
    "Pointer": lambda f: f.total(f.pointer, 3, 4),
    "None": lambda f: f.total(None, 0, 4),
    "bytes for text": lambda f: f.text(b"abc"),
    "str": lambda f: f.text("a string that is new").string(),
    "str that is not ASCII": lambda f: f.text("\u00e9").string(),
    "void * of an array": lambda f: f.address(f.floats),
    "void * of a bytearray": lambda f: f.address(f.bytearray),
    "void * of an int": lambda f: f.address(2**31),
    "void * of a Record": lambda f: f.address(f.record),
    "void * of a Function": lambda f: f.address(f.add),
    "Record by address": lambda f: f.second(f.record),
    "Record": lambda f: f.mirrored(f.record).d,
    "tuple": lambda f: f.mirrored((1, 2.5)),
    "dict": lambda f: f.mirrored({"c": 1, "d": 2.5}),
    "NumPy record": lambda f: f.mirrored(f.numpy_record),
    "union": lambda f: f.twice(f.number),
    "union of a dict": lambda f: f.twice({"d": 70000.5}),
    "bit-fields": lambda f: f.more(f.bits),
    "bit-fields of a tuple": lambda f: f.more((1, 70000, 3)),
    "large Record": lambda f: f.larger(f.large),
    "Record with pointers": lambda f: f.renamed(f.node).next,
    "pointers in a tuple": lambda f: f.renamed((1, f.bytearray, b"abc")).name,
    "array in a tuple": lambda f: f.renamed((1, f.floats, None)).next,
    "Pointer in a dict": lambda f: f.renamed({"value": 1, "next": f.pointer, "name": None}),
    "errcheck": lambda f: f.checked(1, 2),
}


# NumPy loses a reference of None for each array it makes of an __array_interface__.
LOSES_NONE = ("__array_interface__", "late array")


def check_use(path, use, count, name):
    if name.startswith(("union", "bit-field")) and not DIRECT:
        pytest.skip("libffi has no unions and bit-fields")
    functions = Functions(path)
    check_flat(
        lambda: use(functions),
        *vars(functions).values(),
        *TYPES.values(),
        *(t.int, t.double, functions.add.library),
        *([] if name in LOSES_NONE else [None]),
        count=count,
    )


@pytest.fixture(scope="module")
def path(compile_c):
    return compile_c(SOURCE, "leaks")


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(path, name):
    check_use(path, ARGUMENTS[name], COUNT, name)


# --- results, and arguments, of every type


@pytest.mark.parametrize("name", VALUES)
def test_values(cases, name):
    library = ffi.dlopen(cases)
    kind = STRUCTS.get(name) or t[name]
    function = library.function(f"echo_{name}", kind, kind)
    keeps_gil = ffi.Function(function, release_gil=False)
    values = VALUES[name]

    def use():
        for value in values:
            function(value)
        keeps_gil(values[0])

    check_flat(
        use, kind, kind.dtype, function, keeps_gil, *values, None, count=COUNT // (len(values) + 1)
    )


RESULTS = {
    "NULL": lambda f: f.address(None),
    "Pointer": lambda f: f.address(f.pointer),
    "Pointer read": lambda f: f.text(b"abc").string(),
    "Pointer cast": lambda f: f.address(f.floats).cast("double *")[0],
    "Pointer viewed": lambda f: f.address(f.floats).cast("double *").view(3),
    "Record read": lambda f: (f.mirrored(f.record).c, f.mirrored(f.record)["d"]),
    "Record viewed": lambda f: np.asarray(f.mirrored(f.record)),
    "Record written": lambda f: setattr(f.mirrored(f.record), "c", 3),
    "Record with a kept pointer": lambda f: setattr(f.renamed(f.node), "next", f.floats),
    "large Record": lambda f: f.larger(f.large)["items"],
    "Pointer with an end": lambda f: ffi.gc(f.allocate(100), f.end),
    "Pointer that is released": lambda f: ffi.gc(f.allocate(100), f.end).release(),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results(path, name):
    check_use(path, RESULTS[name], COUNT, name)


# --- failures, and what is no call

FAILURES = {
    "too few": (TypeError, lambda f: f.add(1)),
    "too many": (TypeError, lambda f: f.add(1, 2, 3)),
    "unknown name": (TypeError, lambda f: f.add(1, c=1)),
    "twice": (TypeError, lambda f: f.add(1, 2, a=1)),
    "out of range": (OverflowError, lambda f: f.add(1, 2**31)),
    "far out of range": (OverflowError, lambda f: f.add(1, 2**100)),
    "float for int": (TypeError, lambda f: f.add(1, 2.0)),
    "str for double": (TypeError, lambda f: f.half("1")),
    "huge double": (OverflowError, lambda f: f.half(10**400)),
    "wrong array": (TypeError, lambda f: f.total(f.floats, 3, 4)),
    "strided array": (TypeError, lambda f: f.sum(f.strided, 3)),
    "swapped array": (TypeError, lambda f: f.sum(f.swapped, 3)),
    "wrong buffer": (TypeError, lambda f: f.sum(f.view, 3)),
    "NUL": (ValueError, lambda f: f.text(b"a\0b")),
    "surrogate": (ValueError, lambda f: f.text("\ud800")),
    "wrong Pointer": (TypeError, lambda f: f.sum(f.pointer, 3)),
    "released Pointer": (ValueError, lambda f: f.address(f.released)),
    "wrong Record": (TypeError, lambda f: f.mirrored(f.node)),
    "wrong member": (TypeError, lambda f: f.mirrored((1, "x"))),
    "missing member": (ValueError, lambda f: f.mirrored({"c": 1})),
    "late in a struct": (TypeError, lambda f: f.renamed((1, f.bytearray, 2.5))),
    "bit-field out of range": (OverflowError, lambda f: f.more((8, 1, 1))),
    "late": (TypeError, lambda f: f.total(f.view, 3, "x")),
    "late array": (TypeError, lambda f: f.sum(f.exporter, "x")),
    "closed": (ValueError, lambda f: f.closed(1, 2)),
    "errcheck": (OSError, lambda f: f.fails(5)),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures(path, name):
    kind, use = FAILURES[name]
    check_use(path, lambda f: failing(kind, lambda: use(f))(), SLOW, name)


OTHERS = {
    "new function": lambda f: ffi.Function(f.add, "int other(int a, int b)"),
    "new function with options": lambda f: ffi.Function(f.add, release_gil=False, errcheck=print),
    "signature": lambda f: f.add.__signature__,
    "repr and hash": lambda f: (repr(f.add), hash(f.add), f.add == f.half),
    "errno": lambda f: ffi.set_errno(ffi.get_errno()),
    "refused function": lambda f: failing(ValueError, lambda: ffi.Function(0, "int f(void)"))(),
    "refused prototype": lambda f: failing(ValueError, lambda: ffi.Function(f.add, "int f(;"))(),
}


@pytest.mark.parametrize("name", OTHERS)
def test_others(path, name):
    count = SLOW // 10 if name.startswith("refused") else SLOW
    check_use(path, OTHERS[name], count, name)
