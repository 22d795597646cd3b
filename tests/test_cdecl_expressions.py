"""Expressions in C declarations: constants, dimensions of array parameters, and `out`."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from checks import refused

import ffi
from ffi._layouts import item_of
from ffi.cdecl import (
    Dimension,
    Parameter,
    parse_declarations,
    parse_prototype,
    parse_type,
    with_out,
)

t = ffi.types


# --- constants


def test_defines():
    found = parse_declarations(
        """
        #define ONE 1
        # define HEX 0xFFul /* 255 */
        #define OCTAL\t017
        #define NEGATIVE (-3)   // three
        #define MINUS -(3)
        #define REAL 2.5e-3f
        #define HALF 0x1p-1
        #define POINT (.5)
        #define LARGE 18446744073709551615ULL
        int x[ONE + OCTAL];
        """
    )
    assert dict(found.constants) == {
        "ONE": 1, "HEX": 255, "OCTAL": 15, "NEGATIVE": -3, "MINUS": -3,
        "REAL": float(np.float32(0.0025)),
        "HALF": 0.5, "POINT": 0.5, "LARGE": 2**64 - 1,
    }  # fmt: skip
    assert type(found.constants["REAL"]) is float
    assert item_of(found.variables["x"]) == (t.int, 16)


def test_numbers_of_type_float(compile_c):
    numbers = (
        "0.1f", "16777217.F", "16777217.0000000000000000001f", "1.00000017881393432617187499f",
        "1.000000178813934326171875f", "1.00000017881393432617187501f", "3.4028236e38f", "1e-46f",
        "1e-45f", "0x1.000001p0f", "0x1.000003p0f", "1e400f", "1e-400f", "0.f",
        "1e99999999999999999999f", "0x1.0000010000000000000000000001p0f", "0x.ffp-140f",
    )  # fmt: skip
    path = compile_c(f"double values[] = {{ {', '.join(numbers)} }};", "floats", "-w")
    values = ffi.view(ffi.dlsym(ffi.dlopen(path), "values"), "double", len(numbers))
    defines = "\n".join(f"#define F{i} {number}" for i, number in enumerate(numbers))
    found = parse_declarations(f"{defines}\n").constants
    assert [found[f"F{i}"] for i in range(len(numbers))] == list(values)
    assert parse_declarations("#define MINUS (-0.1F)\n").constants["MINUS"] == -values[0]


# Where some values are no ints, compilers disagree about the type of those that are.
ENUMS = [
    "A = 4294967295u, B = A + 1", "A = 4294967295u, B = A > -1",
    "A = -1, B = 2147483648, C = B + B",
    "A = 5u, B = A - 6 < 0", "A = 5ul, B = A << 28", "A = 4294967296, B, C",
    "A = 1 << 31, B = 3 << 31, C = -1 << 4, D = 5 << 30, E = 1ll << 63", "A = 2147483646, B",
    "A = 1 ? 2 : 1 / 0, B = 0 ? 1 << 99 : 3, C = 1 || 1 / 0, D = 0 && 5 % 0",
    "A = (1 ? -1 : 1 / 0u) > 0, B = (0 ? 0x7fffffff + 1 : -1) < 0, C = (1 ? -1 : 0u << 70) > 0",
]  # fmt: skip


def test_enums_are_the_compilers(compile_c):
    frame = "enum {{ {} }};\nenum {{ T = A - A - 1 > 0, S = 1 ? sizeof(int) : A }};"
    for text in ENUMS:
        declared = frame.format(text)
        found = parse_declarations(declared).constants
        # One text for each, as they all have the same names.
        values = f"long long values[] = {{ {', '.join(found)} }};"
        path = compile_c(f"{declared} {values}", "enums", "-w")
        values = ffi.view(ffi.dlsym(ffi.dlopen(path), "values"), "longlong", len(found))
        assert list(found.values()) == list(values), text


EXPRESSIONS = [
    "1 + 2 * 3", "(1 + 2) * 3", "-7 / 2", "-7 % 2", "7 % -2", "1 << 10", "-8 >> 1", "~0",
    "~0u >> 28", "!5", "5 > 3", "5 == 3 || 2", "0 && 1 / 0", "1 ? 10 : 1 / 1", "sizeof(long)",
    "sizeof(struct s)", "sizeof(int[3])", "_Alignof(double)", "(char)300", "(unsigned char)-1",
    "(_Bool)7", "-1 < 0u", "(int)2147483648u", "0x7fffffff", "0b101", "'\\n' + 'A'",
    "'\\x41' + '\\101'", "5 ^ 3 | 8 & 12", "sizeof(char *) - 1", "-1 ? 2 : 3u", "(short)70000",
    "4294967295 + 1", "-sizeof(int) > 0",
]  # fmt: skip


def test_expressions_are_the_compilers(compile_c):
    context = "struct s { char c; long l; };"
    lines = ",\n".join(f"(long long)({text})" for text in EXPRESSIONS)
    path = compile_c(f"{context} long long values[] = {{ {lines} }};", "expressions", "-w")
    values = ffi.view(ffi.dlsym(ffi.dlopen(path), "values"), "longlong", len(EXPRESSIONS))
    for text, value in zip(EXPRESSIONS, values, strict=True):
        found = parse_declarations(f"{context} enum {{ VALUE = (long long)({text}) }};")
        assert found.constants["VALUE"] == value, text


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("1 / 0", ValueError, "a division by zero"),
        ("5 % (3 - 3)", ValueError, "a division by zero"),
        ("1 << 32", ValueError, "a shift by 32 bits is undefined"),
        ("1 << -1", ValueError, "a shift by -1 bits is undefined"),
        ("0x7fffffff + 1", ValueError, "2147483648 does not fit its type in C"),
        ("-(-0x7fffffff - 1)", ValueError, "2147483648 does not fit"),
        ("99999999999999999999", ValueError, "'99999999999999999999' is no integer"),
        ("1.5", ValueError, "'1.5' is no integer"),
        ("nothing", TypeError, "'nothing' is no constant"),
        ("sizeof(nothing)", TypeError, "sizeof takes the name of a type"),
        ("sizeof(struct nothing)", TypeError, "struct nothing has no size"),
        ("f(3)", NotImplementedError, "calls are not supported"),
        ("(double)3", NotImplementedError, "casts to double are not supported"),
        ("(1, 2)", NotImplementedError, "commas in expressions are not supported"),
        ("1 +" * 300 + "1", ValueError, "an expression is too long"),
        ("(" * 40 + "1" + ")" * 40, ValueError, "nested too deeply"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_no_constant_expressions(text, kind, message):
    with refused(kind, match=f"^declarations: 1:[0-9]+: .*{message}"):
        parse_declarations(f"enum {{ VALUE = ({text}) }};")


# --- dimensions


def test_array_parameters():
    prototype = parse_prototype(
        "double f(size_t n, const double x[n], float y[static 2*n + 1][3], int z[], char *names[*])"
    )
    n, x, y, z, names = prototype.parameters
    assert (n.dimensions, n.static) == (None, False)
    assert x == Parameter("x", parse_type("const double *"), dimensions=(Dimension("n", ("n",)),))
    assert y.type == parse_type("float *")
    assert y.static
    assert [d.program for d in y.dimensions] == [(2, "n", "*", 1, "+"), (3,)]
    assert [d.text for d in y.dimensions] == ["2 * n + 1", "3"]
    assert [d.names for d in y.dimensions] == [("n",), ()]
    assert z.dimensions == names.dimensions == (None,)
    assert names.type == parse_type("char **")
    assert prototype.text == (
        "double f(size_t n, const double x[n], float y[static 2 * n + 1][3], int z[], "
        "char *names[])"
    )
    assert parse_prototype(prototype.text) == prototype
    assert pickle.loads(pickle.dumps(prototype)) == prototype
    assert hash(prototype) == hash(parse_prototype(prototype.text))


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("n", ("n",)),
        ("(n + m) * 2", ("n", "m", "+", 2, "*")),
        ("n + m * 2", ("n", "m", 2, "*", "+")),
        ("n - (m - 1)", ("n", "m", 1, "-", "-")),
        ("n - m - 1", ("n", "m", "-", 1, "-")),
        ("-n", (0, "n", "-")),
        ("+n", ("n",)),
        ("~n & 3 | m ^ 1", ("n", "~", 3, "&", "m", 1, "^", "|")),
        ("n << 1 >> m", ("n", 1, "<<", "m", ">>")),
        ("n % (N + 1)", ("n", 4, "%")),
        ("n > m ? n : m", ("n", "m", ">", "n", "m", "?:")),
        ("(n > m ? n : m) + 1", ("n", "m", ">", "n", "m", "?:", 1, "+")),
        ("!n || n <= 3 && m != n", ("n", "!", "n", 3, "<=", "m", "n", "!=", "&&", "||")),
        ("n * sizeof(int)", ("n", f"4u{'l' * (ffi.sizeof.int < ffi.sizeof.size_t)}", "*")),
        ("1 << N", (8,)),
        ("neg", ("neg",)),
    ],
)
def test_programs(text, program):
    frame = "void f(double x[{}], int n, unsigned m, long neg)"
    prototype = parse_prototype(frame.format(text), constants={"N": 3})
    (dimension,) = prototype.parameters[0].dimensions
    assert dimension.program == program
    # What is written again means the same.
    again = parse_prototype(frame.format(dimension.text))
    assert again.parameters[0].dimensions == (dimension,)


def test_typedefs_of_arrays_as_parameters():
    found = parse_declarations(
        "typedef double vec[3]; typedef int fn(int); void f(const vec x, vec y[n], int n, fn g);"
    )
    x, y, _, g = found.functions["f"].parameters
    assert x.type == parse_type("const double *")
    assert [d.text for d in x.dimensions] == ["3"]
    assert [d.text for d in y.dimensions] == ["n", "3"]
    assert g.type == parse_type("int (*)(int)")
    assert found.functions["f"].text == (
        "void f(const double x[3], double y[n][3], int n, int (*g)(int))"
    )


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("void f(double x[n])", TypeError, "1:17: 'n' is neither a parameter nor a constant"),
        ("void f(double x[2.5])", ValueError, "1:17: '2.5' is no integer"),
        ("void f(double n, int x[n])", TypeError, "1:22: dimension 'n' of 'x' is no integer but"),
        ("void f(int *n, int x[n])", TypeError, "dimension 'n' of 'x' is no integer but 'int .n'"),
        ("void f(int n[3], int x[n])", TypeError, r"is no integer but 'int n\[3\]'"),
        ("void f(int x[x])", TypeError, "dimension 'x' of 'x' is no integer"),
        ("void f(double x[0])", ValueError, "1:17: a C array has at least one item, got length 0"),
        ("void f(double x[-3])", ValueError, "got length -3"),
        ("void f(double x[3][])", ValueError, "only the first brackets can be empty"),
        ("void f(double x[3][static 4])", ValueError, "'static' stands in the first brackets only"),
        ("void f(int n, double x[g(n)])", NotImplementedError, "calls are not supported"),
        ("void f(int n, double x[(long)n])", NotImplementedError, "casts of parameters are not"),
        ("void f(int n, double (*x)[n])", TypeError, "'n' is no constant"),
        (
            "void f(double (*x)[])",
            NotImplementedError,
            "an array of unknown length is supported as",
        ),
        ("void f(double " + "[3]" * 40 + ")", ValueError, "nested too deeply"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_impossible_dimensions(text, kind, message):
    with refused(kind, match=rf"^prototype: .*{message}"):
        parse_prototype(text)


def test_out():
    prototype = parse_prototype("double frexp(double value, int *exponent, double e[3])")
    marked = with_out(prototype, ["exponent", "e"])
    assert [parameter.out for parameter in marked.parameters] == [False, True, True]
    assert marked.text == prototype.text
    assert with_out(prototype, []) == prototype


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        (["exponents"], ValueError, r"out: void f\(.*\) has no parameter 'exponents'"),
        (["a", "a"], ValueError, "out: 'a' is given twice"),
        (["n"], TypeError, "out: parameter 'n' is 'int n', no pointer"),
        (["b"], TypeError, r"out: parameter 'b' is 'const int \*b', which C only reads"),
        (["c"], TypeError, r"out: parameter 'c' is 'FILE \*c', to no value"),
        (["d"], TypeError, r"out: parameter 'd' is 'int d\[\]', of no known length"),
        (["e"], TypeError, "out: parameter 'e' is 'void .e', to no value"),
        ("a", TypeError, "out: expected a sequence of names, got str"),
        ([3], TypeError, "out: expected a parameter's name, got int"),
        (None, TypeError, "out: expected a sequence of names, got NoneType"),
    ],
)
def test_wrong_out(names, kind, message):
    prototype = parse_prototype("void f(int n, int *a, const int *b, FILE *c, int d[], void *e)")
    with refused(kind, match=f"^{message}"):
        with_out(prototype, names)
