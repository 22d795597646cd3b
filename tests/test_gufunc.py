"""Generalised ufuncs of C functions with array parameters: shapes, strides, lengths."""

from __future__ import annotations

import sys
from itertools import product

import numpy as np
import pytest
from checks import refused
from test_ufunc import SOURCE, numbers, same, unlike, vectorized

import ffi

DOUBLE = np.dtype("f8")
# NumPy asks for the lengths of outputs since then.
ASKS = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


@pytest.fixture(scope="module")
def library(compile_c):
    return ffi.dlopen(compile_c(SOURCE, "ufuncs", "-lm"))


@pytest.fixture(scope="module")
def dot(library):
    return vectorized(library, "double dot(size_t n, const double x[n], const double y[n])")


@pytest.fixture(scope="module")
def cross(library):
    return vectorized(
        library, "void cross(const double x[3], const double y[3], double z[3])", ["z"]
    )


@pytest.fixture(scope="module")
def multiply(library):
    return vectorized(
        library,
        "void multiply(int n, int m, int k, const double a[n][m], const double b[m][k], "
        "double c[n][k])",
        ["c"],
    )


@pytest.fixture(scope="module")
def convolve(library):
    return vectorized(
        library,
        "void convolve(int n, const double x[n], int m, const double y[m], double z[n + m - 1])",
        ["z"],
    )


# --- core signatures


def test_signatures(library, dot, cross, multiply, convolve):
    assert dot.signature == "(n),(n)->()"
    assert cross.signature == "(3),(3)->(3)"
    assert multiply.signature == "(n,m),(m,k)->(n,k)"
    assert convolve.signature == "(n),(m)->(d0)"
    assert (dot.nin, dot.nout, dot.types) == (2, 1, ["dd->d"])
    scaled = vectorized(
        library,
        "double scaled(const float x[n], double factor, short n, short rounded[n])",
        ["rounded"],
    )
    assert (scaled.signature, scaled.types) == ("(n),()->(),(n)", ["fd->dh"])
    named = vectorized(library, "double dot(size_t d0, const double x[d0], const double y[])")
    assert named.signature == "(d0),(d1)->()"
    odd = vectorized(library, "double dot(size_t $n, const double x[$n], const double y[$n])")
    assert odd.signature == "(d0),(d0)->()"


# --- arrays of all kinds


def test_dot(dot):
    x, y = numbers(DOUBLE, (4, 3, 6)), numbers(DOUBLE, (4, 3, 6), 1)
    expected = (x * y).sum(-1)
    for left, right in product(unlike(x), unlike(y)):
        got = dot(left, right)
        assert got.dtype == float
        np.testing.assert_allclose(got, expected, rtol=1e-14)
    np.testing.assert_allclose(dot(x[..., ::-2], y[..., ::2]), (x[..., ::-2] * y[..., ::2]).sum(-1))
    np.testing.assert_allclose(dot(x.T, y.T), (x.T * y.T).sum(-1))
    # Broadcast in the loop, and in the core.
    np.testing.assert_allclose(dot(x, y[0, 0]), (x * y[0, 0]).sum(-1))
    np.testing.assert_allclose(dot(np.broadcast_to(2.0, 6), y), 2 * y.sum(-1))
    np.testing.assert_allclose(dot(x[:, :1], y[:1]), (x[:, :1] * y[:1]).sum(-1))
    same(dot(np.arange(4), np.arange(4.0)), np.float64(14))
    assert dot([1, 2], [3, 4]) == 11.0


def test_empty(dot, multiply):
    same(dot(np.ones((3, 0)), np.ones(0)), np.zeros(3))
    same(dot(np.ones((0, 5)), np.ones(5)), np.zeros(0))
    same(dot(np.ones((3, 0))[::-1], np.ones((3, 2))[:, 2:]), np.zeros(3))
    same(multiply(np.ones((2, 0)), np.ones((0, 3))), np.zeros((2, 3)))
    same(multiply(np.ones((5, 0, 2)), np.ones((2, 3))), np.zeros((5, 0, 3)))


def test_axes(dot, multiply):
    x, y = numbers(DOUBLE, (4, 3, 6)), numbers(DOUBLE, (4, 3, 6), 1)
    np.testing.assert_allclose(dot(x, y, axis=1), (x * y).sum(1))
    np.testing.assert_allclose(dot(x, y, axis=0, keepdims=True), (x * y).sum(0, keepdims=True))
    np.testing.assert_allclose(dot(x, y.transpose(1, 0, 2), axes=[0, 1, ()]), (x * y).sum(0))
    a, b = numbers(DOUBLE, (4, 5, 2)), numbers(DOUBLE, (2, 3), 1)
    np.testing.assert_allclose(multiply(a, b), a @ b)
    got = multiply(a, b.T, axes=[(1, 2), (1, 0), (2, 0)])
    np.testing.assert_allclose(got, np.moveaxis(a @ b, (1, 2), (2, 0)))


def test_strided_outputs(cross, multiply):
    x, y = numbers(DOUBLE, (5, 3)), numbers(DOUBLE, (5, 3), 1)
    for out in unlike(np.full((5, 3), 9.0)):
        if out.flags.writeable:
            assert cross(x, y, out=out) is out
            np.testing.assert_allclose(out, np.cross(x, y))
    wide = np.full((5, 7), 9.0)
    cross(x, y, out=wide[:, 5::-2])
    np.testing.assert_allclose(wide[:, 5::-2], np.cross(x, y))
    assert (wide[:, ::2] == 9).all()
    a, b = numbers(DOUBLE, (3, 4, 2)), numbers(DOUBLE, (3, 2, 5), 1)
    out = np.zeros((5, 4, 3)).T
    multiply(a, b, out=out)
    np.testing.assert_allclose(out, a @ b)
    # Inputs that the output overlaps are copied first.
    z = x.copy()
    cross(z, y, out=z)
    np.testing.assert_allclose(z, np.cross(x, y))
    same(cross(np.arange(3), [1, 1, 1], dtype=float), np.cross([0.0, 1, 2], [1, 1, 1]))


def test_mixed_operands(library):
    scaled = vectorized(
        library,
        "double scaled(const float x[n], double factor, short n, short rounded[n])",
        ["rounded"],
    )
    x = numbers(np.dtype("f4"), (2, 9)) * 100
    total, rounded = scaled(x[:, ::-1], [[2.0], [-3.0], [0.5]])
    factors = np.array([2.0, -3.0, 0.5])[:, np.newaxis, np.newaxis]
    expected = np.trunc(x[:, ::-1] * factors).astype(np.int16)
    same(rounded, expected)
    same(total, expected.sum(-1).astype(float))


def test_other_items(library):
    count = vectorized(library, "size_t count_true(size_t n, const _Bool x[n])")
    x = numbers(DOUBLE, (6, 50)) > 0
    same(count(x), x.sum(-1).astype(np.uintp))
    same(count(x.T), x.T.sum(-1).astype(np.uintp))
    total = vectorized(
        library, "long double _Complex total(int n, const long double _Complex x[n])"
    )
    z = numbers(np.dtype(np.clongdouble), (3, 8))
    np.testing.assert_allclose(total(z[:, ::-2]), z[:, ::-2].sum(-1), rtol=1e-15)


def test_the_dtype_chooses(library):
    ufunc = ffi.vectorize(
        library.function("double dot(size_t n, const double x[n], const double y[n])"),
        # The names of lengths are nobody's business.
        library.function("float dotf(size_t m, const float a[m], const float b[m])"),
        name="dot",
    )
    assert ufunc.types == ["ff->f", "dd->d"]
    assert ufunc(np.float32([1, 2]), np.float32([3, 4])).dtype == np.float32
    assert ufunc([1, 2], [3, 4]).dtype == np.float64
    with refused(TypeError, match=r"function 1 has \(3\),\(3\)->\(3\), function 0 has \(n\),\(n\)"):
        ffi.vectorize(
            library.function("double dot(size_t n, const double x[n], const double y[n])"),
            library.function("void cross(const double x[3], const double y[3], double z[3])",
                             out=["z"]),
        )  # fmt: skip


# --- lengths


def test_lengths_must_agree(dot, cross):
    with pytest.raises(ValueError, match="mismatch in its core dimension"):
        dot(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="does not have enough dimensions"):
        dot(1.0, np.ones(4))
    with pytest.raises(ValueError, match="mismatch in its core dimension"):
        cross(np.ones(4), np.ones(4))


def test_computed_lengths(convolve, library):
    x, y = numbers(DOUBLE, (4, 9)), numbers(DOUBLE, 5, 1)
    expected = np.array([np.convolve(row, y) for row in x])
    out = np.full((4, 13), 7.0)
    np.testing.assert_allclose(convolve(x, y, out=out), expected)
    wide = np.zeros((4, 26))
    convolve(x[:, ::-1], y, out=wide[:, ::2])
    np.testing.assert_allclose(wide[:, ::2], [np.convolve(row, y) for row in x[:, ::-1]])
    for length in (12, 14, 0):
        with refused(ValueError, match=r"convolve\(\): argument 'z': expected the length "
                     rf"n \+ m - 1 to be 13, got {length}"):  # fmt: skip
            convolve(x, y, out=np.zeros((4, length)))
    if ASKS:
        np.testing.assert_allclose(convolve(x, y), expected)
        with refused(ValueError, match=r"the length n \+ m - 1 is -1"):
            convolve(np.ones(0), np.ones(0))
    else:
        with pytest.raises(ValueError, match="unspecified"):
            convolve(x, y)
    # Of inputs they are checked.
    cube = vectorized(
        library, "double cube(size_t n, const double x[n * n * n], const double like[n])"
    )
    assert cube.signature == "(d0),(n)->()"
    assert cube(np.ones(8), np.ones(2)) == 36.0
    with refused(ValueError, match=r"'x': expected the length n \* n \* n to be 8, got 7"):
        cube(np.ones(7), np.ones(2))


def test_lengths_that_outputs_tell(library):
    fill = vectorized(library, "void fill(double start, size_t n, double x[n])", ["x"])
    assert fill.signature == "()->(n)"
    out = np.empty((2, 4))
    fill([1.0, 10.0], out=out)
    assert out.tolist() == [[1, 2, 3, 4], [10, 11, 12, 13]]
    with pytest.raises(ValueError, match="unspecified"):
        fill(1.0)


def test_lengths_that_do_not_fit(library):
    length = vectorized(library, "int length8(signed char n, const signed char x[n])")
    x = np.zeros(200, np.int8)
    assert length(x[:127]) == 127
    with refused(OverflowError, match=r"length8\(\): argument 'n': .* 'signed char n', got 128"):
        length(x[:128])
    with refused(OverflowError, match="got 200"):
        length(np.broadcast_to(x, (1000, 200)))


def test_huge_cores_are_refused(dot):
    # Their copies would have more bytes than there are addresses.
    huge = np.lib.stride_tricks.as_strided(np.ones(1), (sys.maxsize // 8,), (0,))
    with pytest.raises(MemoryError):
        dot(huge, huge)


def test_scratch_is_freed_and_large(dot):
    x = numbers(DOUBLE, (20, 5000)).T
    np.testing.assert_allclose(dot(x.T, x.T), (x * x).sum(0))
    y = np.asfortranarray(x.T)
    np.testing.assert_allclose(dot(y, y), (x * x).sum(0))


def test_random_contracts(compile_c):
    """Kernels of random dimensions over random strides, against einsum."""
    random = np.random.default_rng(7)
    names = "nmk"
    for case in range(30):
        left = [names[i] for i in random.permutation(3)[: random.integers(1, 4)]]
        right = [names[i] for i in random.permutation(3)[: random.integers(1, 4)]]
        both = sorted({*left, *right})
        out = [name for name in both if random.random() < 0.5]
        source, prototype = contraction(left, right, out, both)
        library = ffi.dlopen(compile_c(source, f"contraction{case}"))
        ufunc = ffi.vectorize(library.function(prototype, out=["c"]))
        lengths = {name: int(random.integers(0, 5)) for name in names}
        a = strided(random, [2, 1], [lengths[name] for name in left])
        b = strided(random, [3], [lengths[name] for name in right])
        c = strided(random, [2, 3], [lengths[name] for name in out])
        expected = np.einsum(f"...{''.join(left)},...{''.join(right)}->...{''.join(out)}", a, b)
        np.testing.assert_array_equal(ufunc(a, b, out=c), expected)


def contraction(left, right, out, names):
    """Return C for a product of arrays with the axes given, summed over those left out."""
    lengths = ", ".join(f"int {name}" for name in names)

    def array(axes):
        return "".join(f"[{axis}]" for axis in axes)

    def item(axes):
        return "".join(f"[i{axis}]" for axis in axes) or "[0]"

    heads = f"{lengths}, const double a{array(left)}, const double b{array(right)}"
    loops = "".join(f"for (int i{n} = 0; i{n} < {n}; i{n}++) " for n in names)
    body = f"c{item(out)} += a{item(left)} * b{item(right)};"
    parameter = f"double c{array(out)}" if out else "double *c"
    text = f"void contract({heads}, {parameter})"
    return f"{text} {{ {loops}{body} }}", text


def strided(random, outer, core):
    """Return small integers as doubles, with strides of any order, length and sign."""
    shape = [*outer, *core]
    steps = random.integers(1, 3, len(shape))
    order = random.permutation(len(shape))
    room = np.zeros([shape[i] * steps[i] for i in order])
    array = room[tuple(slice(None, None, steps[i]) for i in order)]
    array = array.transpose(np.argsort(order))
    array = array[tuple(slice(None, None, -1 if random.random() < 0.3 else 1) for _ in shape)]
    array[...] = random.integers(-4, 5, shape)
    return array
