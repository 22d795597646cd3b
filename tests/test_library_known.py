"""What the declarations of a library know of earlier ones: as if all were one text."""

from __future__ import annotations

import numpy as np
import pytest
from checks import refused

import ffi

SOURCE = """
#include <stddef.h>
const double limit = 3.5;
const int table[4] = {1, 2, 3, 4};
double sum(size_t n, const double *x) { double s = 0; while (n--) s += *x++; return s; }
"""


@pytest.fixture
def library(compile_c):
    return ffi.dlopen(compile_c(SOURCE, "known"))


def test_const_typedefs(library):
    library.cdef("typedef const double weight; typedef const int four[4]; typedef weight same;")
    library.cdef("extern weight limit; extern four table; double sum(size_t n, same x[n]);")
    assert library.variable("limit").type == ffi.typeof("const double *")
    assert library.variable("table").type == ffi.typeof("const int *")
    with refused(TypeError, match="const"):
        library.variable("limit")[0] = 1.0
    x = np.arange(4.0)
    x.flags.writeable = False
    assert library.sum(x) == library.function("double sum(size_t n, weight *x)")(4, x) == 6.0
    assert library.variable("extern same limit")[0] == 3.5
    with refused(TypeError, match="out: parameter 'x' is 'const double .x', which C only reads"):
        library.function("double sum(size_t n, weight *x)", out=["x"])
    # What is set by name is what it says.
    library.types["weight"] = ffi.types.double
    assert library.function("double sum(size_t n, weight *x)").atypes[1] == ffi.typeof("double *")
    library.types["weight"] = library.types.pop("same")
    assert library.function("double sum(size_t n, weight *x)").atypes[1] == ffi.typeof("double *")


def test_const_typedefs_contradict(library):
    for first, second, message in (
        ("typedef const double a;", "typedef double a;", "is double here, and const double before"),
        ("typedef char *a;", "typedef char *const a;", r"is char \*const here, and char \* before"),
        ("typedef const int a[4];", "typedef int a[4];", r"is int\[4\] here, and const int\[4\] "),
    ):
        with refused(ValueError, match=f"1:[0-9]+: 'a' {message}"):
            library.cdef(first + second)
        with refused(ValueError, match=f"'a' {message}"):
            one = ffi.dlopen(library.path)
            one.cdef(first)
            one.cdef(f"{first} typedef a b;")
            one.cdef(second)


def test_types_of_constants(library):
    text = (
        "struct {} {{ char a[(ZERO - 1 > 0) + 1], b[LONG << 40 >> 38], c[(TOP + 1 == 0) + 1]; }};"
    )
    constants = "#define ZERO 0u\n#define LONG 1ll\nenum { TOP = 4294967295u };"
    library.cdef(f"{constants} {text.format('s')}")
    library.cdef(text.format("later"))
    sizes = [library.types[name].size for name in ("struct s", "struct later")]
    assert sizes == [2 + 4 + 2] * 2
    library.cdef("#define ZERO 0\nstruct signed_ { char a[(ZERO - 1 > 0) + 1]; };")
    library.cdef("struct last { char a[(ZERO - 1 > 0) + 1]; };")
    assert library.types["struct signed_"].size == library.types["struct last"].size == 1


def test_definitions_of_what_was_opaque(library):
    library.cdef("typedef struct pair pair; typedef const pair *reader; typedef const pair fixed;")
    opaque = library.types["pair"]
    library.cdef("pair *sum(size_t n, const double *x);")
    before = library.sum
    with refused(TypeError, match="struct pair"):
        ffi.new(opaque)
    # Nothing changes if anything is wrong.
    with refused(OSError, match="nothing"):
        library.cdef("struct pair { int a, b; }; int nothing(void);")
    assert library.types["pair"] is opaque
    library.cdef("struct pair { int a, b; };")
    pair = library.types["struct pair"]
    assert library.types["pair"] == library.types["fixed"] == pair
    assert library.types["reader"].target == pair
    assert library.types["reader"].const
    assert ffi.new(library.types["pair"], (1, 2))[0].b == 2
    assert library.function("int table(fixed *p)").atypes[0] == library.types["reader"]
    library.cdef("pair *sum(size_t n, const double *x);")
    assert before.rtype.target is opaque
    assert library.sum.rtype.target == pair
    # Others that know the name only know no more than before.
    other = ffi.dlopen(library.path)
    other.cdef("typedef struct pair pair; typedef const pair *reader; typedef const pair fixed;")
    with refused(TypeError, match="struct pair"):
        ffi.new(other.types["pair"])
