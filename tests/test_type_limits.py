"""Types without end: nesting, members and sizes are bounded."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from checks import refused, run_python

import ffi

t = ffi.types
BUILDERS = pytest.mark.parametrize("build", [ffi.struct, ffi.union])


def test_self_containing():
    spec = []
    spec.append(("me", spec))
    mapping = {}
    mapping["me"] = mapping
    for build, looped in itertools.product((ffi.struct, ffi.union), (spec, mapping)):
        with refused(TypeError, match=r"member 'me': expected an ffi\.Type, .*, got [\[{].*\.\.\."):
            build(looped)


@BUILDERS
def test_depth(build):
    c_type = t.int
    for _ in range(64):
        c_type = build({"x": c_type})
    assert c_type.size == ffi.sizeof.int
    with refused(ValueError, match="64 deep"):
        build({"x": c_type})


@pytest.mark.parametrize("use", ["struct", "sizeof", "CIF"])
@pytest.mark.parametrize("depth", [100, 1000, 10_000])
def test_deep_dtypes(use, depth):
    # In a process of its own: such a type must not overflow the C stack.
    code = """if True:
        import sys
        import numpy as np
        import ffi
        dtype = np.dtype("i4")
        for _ in range(int(sys.argv[2])):
            dtype = np.dtype([("x", dtype)], align=True)
        try:
            getattr(ffi, sys.argv[1])(dtype)
        except ffi.Error as error:
            print(type(error).__name__, "64 deep" in str(error), len(str(error)) < 20_000)
    """
    assert run_python(code, use, depth) == "FFIValueError True True\n"


def test_leaves():
    c_type = ffi.struct({"a": "int8", "b": "int8"})
    with refused(ValueError, match="more than 65536 members in all"):
        for _ in range(29):
            c_type = ffi.struct({"a": c_type, "b": c_type})
    assert c_type.size == 65536
    with refused(ValueError, match="more than 65536 members in all"):
        ffi.struct([(f"m{i}", "int8") for i in range(100_000)])


def test_long_arrays_are_cheap():
    # 2**30 leaves, yet one item.
    c_type = ffi.struct({"a": np.dtype((np.int8, (2**30,)))})
    assert (c_type.size, c_type.alignment) == (2**30, 1)
    assert ffi.struct({"a": c_type, "b": "int8"}).size == 2**30 + 1


LARGEST = 2**31 - 1


@pytest.mark.parametrize(
    "spec",
    [
        {"a": np.dtype(("i1", (LARGEST,))), "b": "int8"},
        {"a": "int", "b": np.dtype((np.int8, (LARGEST - 3,)))},
        {"a": "int", "b": np.dtype((np.int8, (LARGEST - 4,)))},
        {"a": np.dtype((np.float64, (LARGEST // 8,))), "b": "double"},
        {f"m{i}": np.dtype(f"S{LARGEST}") for i in range(9)},
    ],
)
def test_sizes_that_overflow(spec):
    with refused(OverflowError, match=rf"^struct\(\): .*more than {LARGEST} bytes"):
        ffi.struct(spec)


def test_union_sizes_that_overflow():
    spec = {"a": np.dtype(f"S{LARGEST}")}
    assert ffi.union(spec).size == ffi.struct(spec).size == LARGEST
    with refused(OverflowError, match=rf"^union\(\): .*more than {LARGEST} bytes"):
        ffi.union({**spec, "b": "int"})
