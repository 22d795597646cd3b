"""Elementwise ufuncs of C functions: the same as NumPy's own, on any array."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from checks import refused, run_python

import ffi

SOURCE = Path(__file__).parent / "ufuncs.c"
# Of a function that subtracts: its declaration, and the dtype.
SUBTRACTING = {
    "i8": ("signed char", "i1"),
    "u8": ("unsigned char", "u1"),
    "i16": ("short", "i2"),
    "u16": ("unsigned short", "u2"),
    "i32": ("int", "i4"),
    "u32": ("unsigned int", "u4"),
    "i64": ("long long", "i8"),
    "u64": ("unsigned long long", "u8"),
    "f32": ("float", "f4"),
    "f64": ("double", "f8"),
    "f80": ("long double", np.longdouble),
    "c64": ("float _Complex", "c8"),
    "c128": ("double _Complex", "c16"),
    "c256": ("long double _Complex", np.clongdouble),
}


@pytest.fixture(scope="module")
def library(compile_c):
    return ffi.dlopen(compile_c(SOURCE, "ufuncs", "-lm"))


def vectorized(library, prototype, out=(), **options):
    return ffi.vectorize(library.function(prototype, out=out, **options))


def subtracting(library, name):
    kind, dtype = SUBTRACTING[name]
    return vectorized(library, f"{kind} {name}({kind} a, {kind} b)"), np.dtype(dtype)


def numbers(dtype, shape, seed=0):
    """Return random numbers; of integers all bits are used."""
    random = np.random.default_rng(seed)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return random.integers(info.min, info.max, shape, dtype, endpoint=True)
    if dtype.kind == "c":
        return (random.normal(size=shape) + 1j * random.normal(size=shape)).astype(dtype)
    return random.normal(size=shape).astype(dtype)


def same(got, expected):
    assert type(got) is type(expected)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected, strict=True)


def unlike(array):
    """Yield the same numbers in all kinds of arrays."""
    yield array
    yield np.repeat(array, 2, axis=0)[::2]
    yield np.ascontiguousarray(array[::-1])[::-1]
    yield np.asfortranarray(array)
    yield array.astype(array.dtype.newbyteorder())
    misaligned = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    misaligned[:] = array
    yield misaligned
    readonly = array.copy()
    readonly.flags.writeable = False
    yield readonly


# --- every type, any array


@pytest.mark.parametrize("name", SUBTRACTING)
def test_types(library, name):
    ufunc, dtype = subtracting(library, name)
    assert isinstance(ufunc, np.ufunc)
    char = dtype.char
    assert ufunc.types == [f"{char}{char}->{char}"]
    assert (ufunc.nin, ufunc.nout, ufunc.signature, ufunc.__name__) == (2, 1, None, name)
    x, y = numbers(dtype, (7, 5)), numbers(dtype, (7, 5), 1)
    for left in unlike(x):
        for right in unlike(y):
            same(ufunc(left, right), x - y)


@pytest.mark.parametrize("name", SUBTRACTING)
def test_shapes(library, name):
    ufunc, dtype = subtracting(library, name)
    shapes = [
        ((), ()),
        ((0,), (0,)),
        ((3, 0), ()),
        ((1,), (1,)),
        ((5, 1), (4,)),
        ((2, 3, 4), (3, 1)),
    ]
    for left, right in shapes:
        x, y = numbers(dtype, left), numbers(dtype, right, 1)
        with np.errstate(over="ignore"):
            same(ufunc(x, y), np.subtract(x, y))
    # More than one buffer of NumPy's.
    x, y = numbers(dtype, 30000), numbers(dtype, 30000, 1)
    same(ufunc(x.astype(dtype.newbyteorder()), y[::-1]), x - y[::-1])


def test_methods(library):
    ufunc, _ = subtracting(library, "f64")
    x, y = numbers(np.dtype("f8"), (6, 4)), numbers(np.dtype("f8"), 4, 1)
    same(ufunc.outer(x, y), np.subtract.outer(x, y))
    same(ufunc.accumulate(x, axis=0), np.subtract.accumulate(x, axis=0))
    same(ufunc.reduce(x, axis=1), np.subtract.reduce(x, axis=1))
    same(ufunc.reduceat(y, [0, 2]), np.subtract.reduceat(y, [0, 2]))
    mine, theirs = x.copy(), x.copy()
    ufunc.at(mine, [0, 0, 3], y)
    np.subtract.at(theirs, [0, 0, 3], y)
    same(mine, theirs)
    with pytest.raises(ValueError, match="zero-size"):
        ufunc.reduce(np.empty(0))
    assert ufunc.reduce(np.empty(0), initial=3.0) == 3.0


def test_out_and_where(library):
    ufunc, _ = subtracting(library, "f64")
    x, y = numbers(np.dtype("f8"), 100), numbers(np.dtype("f8"), 100, 1)
    for out in unlike(np.zeros(100)):
        if out.flags.writeable:
            assert ufunc(x, y, out=out) is out
            np.testing.assert_array_equal(out, x - y)
    mask = x > 0
    same(ufunc(x, y, where=mask, out=np.ones(100)), np.where(mask, x - y, 1.0))
    # In place, also where the arrays overlap otherwise.
    z = x.copy()
    ufunc(z, y, out=z)
    same(z, x - y)
    z = x.copy()
    ufunc(z[:-1], y[:-1], out=z[1:])
    same(z[1:], x[:-1] - y[:-1])
    z = x.copy()
    ufunc(z, z[::-1], out=z)
    same(z, x - x[::-1])
    with pytest.raises(ValueError, match="read-only"):
        ufunc(x, y, out=next(a for a in unlike(x) if not a.flags.writeable))


def test_casting(library):
    ufunc, _ = subtracting(library, "f32")
    assert ufunc(np.int16(3), 1).dtype == np.float32
    assert ufunc(np.float16(3), True) == 2
    with pytest.raises(TypeError, match="not supported for the input types"):
        ufunc(1.5, np.float64(1))
    with pytest.raises(TypeError, match="not supported"):
        ufunc("1", "2")
    with pytest.raises(TypeError, match="not supported"):
        ufunc(np.array([1.5]), 1.0)
    same(ufunc(np.array([1.5]), 1.0, dtype="f4", casting="same_kind"), np.float32([0.5]))
    same(ufunc([3], [1.0], dtype=np.float32), np.array([2.0], np.float32))
    same(ufunc(np.float32([3]), 1.0, out=np.zeros(1)), np.array([2.0]))
    objects = np.array([1.5, 2.5], object)
    same(ufunc(objects, 1.0, casting="unsafe", dtype=np.float32), np.float32([0.5, 1.5]))


def test_bool(library):
    ufunc = vectorized(library, "_Bool b8(_Bool a, _Bool b)")
    assert ufunc.types == ["??->?"]
    x, y = np.array([[False], [True]]), np.array([False, True])
    same(ufunc(x, y), x & ~y)
    # Any byte but zero is true, as it is to NumPy.
    odd = np.array([0, 1, 2, 255, 128], np.uint8).view(bool)
    same(ufunc(odd, False), np.array([False, True, True, True, True]))
    with pytest.raises(TypeError):
        ufunc(1, 0)


def test_char_is_a_number(library):
    ufunc = vectorized(library, "char plain(char a)")
    dtype = np.int8 if library.function("int is_char_signed(void)")() else np.uint8
    assert ufunc.types == [f"{np.dtype(dtype).char}->{np.dtype(dtype).char}"]
    assert ufunc(np.zeros(3, dtype)).tolist() == [1, 1, 1]


def test_many_parameters(library):
    kinds = ["double", "int"] * 10
    names = "abcdefghijklmnopqrst"
    text = ", ".join(f"{kind} {name}" for kind, name in zip(kinds, names, strict=True))
    ufunc = vectorized(library, f"double twenty({text})")
    assert ufunc.nin == 20
    values = [np.arange(5) + i for i in range(20)]
    values = [v.astype(k.replace("int", "intc")) for v, k in zip(values, kinds, strict=True)]
    expected = sum((i + 1.0) * value for i, value in enumerate(values))
    same(ufunc(*values), expected)
    mixed = vectorized(
        library,
        "double mixed(signed char a, double b, unsigned short c, float d, _Bool e, long long f)",
    )
    same(
        mixed(np.int8([-3, 4]), 0.5, np.uint16(60000), np.float32(0.25), [True, False], -(10**12)),
        np.array([-3 + 1 + 180000 + 1 + 5 - 6e12, 4 + 1 + 180000 + 1 - 6e12]),
    )


def test_too_many_operands():
    text = ", ".join(["double"] * 70)
    with refused(NotImplementedError, match="operands"):
        ffi.vectorize(ffi.Function(1, f"double ({text})"))
    with refused(NotImplementedError, match="at most 128 parameters, got 130"):
        ffi.vectorize(ffi.Function(1, f"double ({', '.join(['double'] * 130)})"))


def test_no_parameters(library):
    ufunc = vectorized(library, "int counter(void)")
    assert ufunc.nin == 0
    first = ufunc()
    assert ufunc(out=np.empty(3, np.intc)).tolist() == [first + 1, first + 2, first + 3]


# --- several functions


def test_the_dtype_chooses(library):
    float_, double = (library.function(f"{t} {n}({t} a, {t} b)") for t, n in [
        ("float", "f32"), ("double", "f64"),
    ])  # fmt: skip
    complex_ = library.function("double _Complex c128(double _Complex a, double _Complex b)")
    int_ = library.function("int i32(int a, int b)")
    ufunc = ffi.vectorize(complex_, double, float_, int_, name="subtract", doc="Subtract.")
    assert (ufunc.__name__, ufunc.__doc__.splitlines()[-1]) == ("subtract", "Subtract.")
    # The order is NumPy's: from small to large, whatever they were given in.
    i = np.dtype("i4").char
    assert ufunc.types == ["ff->f", f"{i}{i}->{i}", "dd->d", "DD->D"]
    for dtype, expected in {
        "f2": "f4", "f4": "f4", "f8": "f8", "c8": "c16", "c16": "c16", "i1": "f4", "i4": "i4",
        "u4": "f8", "?": "f4",
    }.items():  # fmt: skip
        x = np.array([3, 1]).astype(dtype)
        assert ufunc(x, x).dtype == expected
    assert ufunc(np.float32(1), 1.5).dtype == np.float32
    assert ufunc(np.int64(1), np.int64(2)).dtype == np.float64


def test_defaults(library):
    double = library.function("double f64(double a, double b)")
    float_ = library.function("float f32(float a, float b)")
    ufunc = ffi.vectorize(double, float_)
    assert ufunc.__name__ == "f64"
    assert ufunc.__doc__.endswith("double f64(double a, double b)\nfloat f32(float a, float b)")
    assert "(a, b, /" in repr(ufunc.__doc__) or "(x1, x2, /" in ufunc.__doc__


def test_several_that_do_not_fit(library):
    double = library.function("double f64(double a, double b)")
    with refused(ValueError, match=r"functions 0 and 2 both take \(float64, float64\)"):
        ffi.vectorize(double, library.function("float f32(float a, float b)"), double)
    with refused(TypeError, match="function 1 has 1 inputs and 1 outputs, function 0 has 2 inputs"):
        ffi.vectorize(double, library.function("double call_kept(double)"))
    # These are the same everywhere.
    with refused(ValueError, match="both take"):
        ffi.vectorize(
            library.function("int64_t i64(int64_t a, int64_t b)"),
            library.function("long long i64(long long a, long long b)"),
        )


# --- what C writes


def test_outputs(library):
    quotient = vectorized(library, "int quotient(int a, int b, int *rest)", ["rest"])
    a, b = np.arange(-20, 20, dtype=np.intc), np.intc(7)
    whole, rest = quotient(a, b)
    same(whole, np.trunc(a / b).astype(np.intc))
    same(rest, np.fmod(a, b))
    parts = vectorized(
        library,
        "void parts(double x, double *whole, _Bool *is_negative, short *sign)",
        ["whole", "is_negative", "sign"],
    )
    assert parts.types == ["d->d?h"]
    x = np.array([[1.5, -2.5], [0.0, -0.25]])
    whole, is_negative, sign = parts(x[:, ::-1])
    same(whole, np.trunc(x[:, ::-1]))
    same(is_negative, x[:, ::-1] < 0)
    same(sign, np.sign(x[:, ::-1]).astype(np.int16))
    out = np.zeros(2, np.int16)
    assert parts(x[0], None, None, out)[2] is out
    assert out.tolist() == [1, -1]


def test_frexp_is_numpys():
    frexp = ffi.vectorize(ffi.dlopen("m").function("double frexp(double x, int *e)", out=["e"]))
    x = np.concatenate([numbers(np.dtype("f8"), 1000) * 1e10, [0.0, np.inf, -0.0, 5e-324]])
    got, expected = frexp(x), np.frexp(x)
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1][np.isfinite(x)], expected[1][np.isfinite(x)])


def test_what_c_does_not_write_is_zero(library):
    ufunc = vectorized(library, "void sometimes(double x, double *y)", ["y"])
    out = np.full(3, 7.0)
    ufunc([1.0, -1.0, 2.0], out=out)
    assert out.tolist() == [1.0, 0.0, 2.0]


def test_by_reference(library):
    # As Fortran has it.
    ufunc = vectorized(
        library, "void by_reference(const double x[1], const int n[1], double *y)", ["y"]
    )
    assert ufunc.signature is None
    same(ufunc([[1.5], [2.5]], np.arange(3, dtype=np.intc)), np.outer([1.5, 2.5], np.arange(3)))
    x = np.array([1.5, 2.5])
    ufunc(x, np.intc(2), out=x)
    same(x, np.array([3.0, 5.0]))


def test_outputs_where_inputs_lie(library):
    both = vectorized(
        library,
        "void sum_and_difference(double x, double y, double *sum, double *difference)",
        ["sum", "difference"],
    )
    x, y = numbers(np.dtype("f8"), 50), numbers(np.dtype("f8"), 50, 1)
    a, b = x.copy(), y.copy()
    both(a, b, a, b)
    same(a, x + y)
    same(b, x - y)


# --- other sources of functions


def test_callbacks_and_capsules_are_functions():
    ufunc = ffi.vectorize(ffi.callback("double (double x, int n)", lambda x, n: x**n))
    same(
        ufunc([[2.0], [3.0]], np.arange(4, dtype=np.intc)),
        np.array([[1, 2, 4, 8], [1, 3, 9, 27.0]]),
    )
    from scipy.special import cython_special, gamma

    capsule = cython_special.__pyx_capi__["__pyx_fuse_1gamma"]
    same(ffi.vectorize(capsule)(np.arange(1.0, 6.0)), gamma(np.arange(1.0, 6.0)))


def test_constants():
    # A capsule's __pyx_skip_dispatch is always 0.
    from scipy.special import cython_special, jv

    name = "__pyx_fuse_1jv"
    ufunc = ffi.vectorize(cython_special.__pyx_capi__[name])
    assert ufunc.nin == 2
    x = np.linspace(0, 5, 20)
    np.testing.assert_allclose(ufunc(0.5, x), jv(0.5, x))


# --- through libffi


def test_everything_through_libffi():
    if os.environ.get("FFI_NO_DIRECT"):
        pytest.skip("it goes through libffi already")
    code = """if True:
        import os, sys
        os.environ["FFI_NO_DIRECT"] = "1"
        sys.path.insert(0, sys.argv[1])
        import pytest
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", sys.argv[1],
                              *sys.argv[2:]]))
    """
    here = Path(__file__).parent
    run_python(code, here, here / "test_ufunc.py", here / "test_gufunc.py", timeout=300)


# --- refusals


@pytest.mark.parametrize(
    ("prototype", "options", "kind", "message"),
    [
        ("int printf(const char *format, ...)", {}, TypeError, "variadic"),
        ("void f(double x)", {}, TypeError, r"f\(\): it returns nothing; .* out=\['y'\]"),
        ("void f(void)", {}, TypeError, "it returns nothing"),
        ("double *f(double x)", {}, TypeError, r"the result is double \*, no number"),
        ("double f(double *x)", {}, TypeError, r"'x' is 'double \*x', a pointer: .*'out'"),
        ("double f(const double *x)", {}, TypeError, "a pointer: an array says how long it is"),
        ("double f(double (*g)(double))", {}, TypeError, "parameter 'g' is .*a pointer"),
        ("double f(const char *text)", {}, TypeError, "a pointer"),
        ("double f(void *)", {}, TypeError, "parameter 0 is .*a pointer"),
        ("double f(size_t n, double x[n])", {}, TypeError, "neither const nor in 'out'"),
        ("double f(const char *const x[3])", {}, TypeError, "no number or array of numbers"),
        ("double f(size_t n, const double x[2*n])", {}, NotImplementedError, "the value of 'n'"),
        ("double f(double x)", {"errcheck": lambda *a: 0}, TypeError, "it has an errcheck"),
    ],
)  # fmt: skip
def test_refused(prototype, options, kind, message):
    with refused(kind, match=rf"^vectorize\(\): .*{message}"):
        ffi.vectorize(ffi.Function(1, prototype, **options))


def test_structs_are_refused():
    point = ffi.struct("struct { double x, y; }")
    with refused(TypeError, match="no number"):
        ffi.vectorize(ffi.Function(1, "double", point))
    with refused(TypeError, match="the result is .*, no number"):
        ffi.vectorize(ffi.Function(1, point, "double"))


def test_bad_arguments(library):
    f64 = library.function("double f64(double a, double b)")
    for value in (None, "double f(double)", print, 3.5, np.add):
        with refused(TypeError, match=r"^vectorize\(\): "):
            ffi.vectorize(f64, value)
    with refused(TypeError, match="argument 'name': expected a str, got int 3"):
        ffi.vectorize(f64, name=3)
    with refused(TypeError, match="argument 'doc': expected a str"):
        ffi.vectorize(f64, doc=b"text")
    with refused(ValueError, match="without NUL"):
        ffi.vectorize(f64, name="a\0b")
    with pytest.raises(TypeError):
        ffi.vectorize()
    with pytest.raises(TypeError):
        ffi.vectorize(function=f64)
    assert ffi.vectorize(f64, name="größe", doc="ä").__name__ == "größe"
