"""What header text declares keeps nothing: shapes, results that calls make, variadic calls.

As in test_function_leaks.py, FFI_LEAK_CALLS is how many calls of each kind.
"""

from __future__ import annotations

import numpy as np
import pytest
import test_function_pointers
import test_shapes
import test_variadic
from test_function_leaks import SLOW
from test_leaks import COUNT, check_flat, failing

import ffi


class Declared:
    """The libraries of the other test files, and values that are always the same."""

    def __init__(self, compile_c):
        sources = {"shapes": test_shapes, "variadic": test_variadic}
        for name, module in {**sources, "function_pointers": test_function_pointers}.items():
            library = ffi.dlopen(compile_c(module.SOURCE, name))
            library.cdef(module.HEADER, out=getattr(module, "OUT", {}))
            setattr(self, name, library)
        self.x, self.y, self.short = np.ones(5), np.ones(5), np.ones(4)
        self.ints, self.floats = np.zeros(4, np.intc), np.ones(3, np.float32)
        self.square, self.work = np.ones((4, 3)), np.ones(10)
        self.buffer = bytearray(100)
        self.pair = ffi.new(self.variadic.types["struct pair"], (1.5, 7))[0]
        self.multiply = self.function_pointers.pick(b"*")
        self.operation = ffi.new(self.function_pointers.types["struct operation"])[0]
        self.checked = ffi.Function(self.shapes.split, errcheck=lambda *seen: None)


USES = {
    "inferred": (COUNT, lambda d: d.shapes.dot(d.x, d.y)),
    "inferred and given": (COUNT, lambda d: d.shapes.dot(d.x, d.y, n=5)),
    "of a buffer": (COUNT, lambda d: d.shapes.zeros(d.buffer)),
    "of text": (COUNT, lambda d: d.shapes.zeros("text")),
    "None": (COUNT, lambda d: d.shapes.dot(None, None, n=0)),
    "computed": (COUNT, lambda d: d.shapes.sizes(d.floats, d.square, d.work)),
    "array made": (COUNT, lambda d: d.shapes.range(4, 1)),
    "array made, inferred": (COUNT, lambda d: d.shapes.cumulate(d.x)),
    "array given": (COUNT, lambda d: d.shapes.range(4, 1, y=d.ints)),
    "several results": (COUNT, lambda d: d.shapes.split(70000.25)),
    "struct made": (COUNT, lambda d: d.shapes.corner().x),
    "errcheck": (COUNT, lambda d: d.checked(70000.25)),
    "numbers by reference": (COUNT, lambda d: d.shapes.axpy(5, 70000.5, d.x, d.y)),
    "strings": (COUNT, lambda d: d.shapes.lengths(["a", b"bc", None])),
    "variadic": (COUNT, lambda d: d.variadic.show(d.buffer, 100, "ids", 70000, 1.5, b"text")),
    "variadic with types": (
        COUNT,
        lambda d: d.variadic.show(d.buffer, 100, "lS", ("long long", 1), (d.pair.type, d.pair)),
    ),
    "variadic array": (COUNT, lambda d: d.variadic.show(d.buffer, 100, "wp", d.x, d.ints)),
    "function result": (COUNT, lambda d: d.function_pointers.pick(b"+")(1, 2)),
    "function argument": (COUNT, lambda d: d.function_pointers.apply(d.multiply, 2, 3)),
    "function member": (COUNT, lambda d: d.function_pointers.find()[0].function(1, 2)),
    "function assigned": (COUNT, lambda d: setattr(d.operation, "function", d.multiply)),
    "disagreeing": (
        SLOW,
        lambda d: failing(ValueError, lambda: d.shapes.dot(d.x, d.short))(),
    ),
    "unknown length": (
        SLOW,
        lambda d: failing(TypeError, lambda: d.shapes.dot(None, None))(),
    ),
    "computed wrong": (
        SLOW,
        lambda d: failing(ValueError, lambda: d.shapes.sizes(d.floats, d.square, d.x))(),
    ),
    "negative length": (SLOW, lambda d: failing(ValueError, lambda: d.shapes.range(-1, 2))()),
    "wrong output": (
        SLOW,
        lambda d: failing(ValueError, lambda: d.shapes.range(3, 2, y=d.ints))(),
    ),
    "wrong string": (
        SLOW,
        lambda d: failing(TypeError, lambda: d.shapes.lengths(["a", 5]))(),
    ),
    "wrong promotion": (
        SLOW,
        lambda d: failing(TypeError, lambda: d.variadic.show(d.buffer, 100, "i", d))(),
    ),
    "wrong function": (
        SLOW,
        lambda d: failing(
            TypeError, lambda: d.function_pointers.apply(d.function_pointers.run, 2, 3)
        )(),
    ),
}


@pytest.mark.parametrize("name", USES)
def test_uses(compile_c, name):
    count, use = USES[name]
    declared = Declared(compile_c)
    held = [held for held in vars(declared).values() if not isinstance(held, ffi.Library)]
    check_flat(lambda: use(declared), *held, None, count=count)


def test_declaring_again(compile_c):
    path = compile_c(test_shapes.SOURCE, "shapes")

    def use():
        library = ffi.dlopen(path)
        library.cdef(test_shapes.HEADER, out=test_shapes.OUT)
        library.dot(np.ones(2), np.ones(2))
        ffi.dlclose(library)

    check_flat(use, None, count=SLOW // 100)
