"""Shape contracts: array parameters tell lengths, want lengths, and are made by the call."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
from checks import refused

import ffi

SOURCE = """
#include <stddef.h>
#include <stdint.h>
#include <string.h>
double dot(size_t n, const double *x, const double *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}
void scale(double *x, size_t n, double factor)
{
    for (size_t i = 0; i < n; i++) x[i] *= factor;
}
/* Row by row: 100 * rows + columns, and what stands at [1][0]. */
double matrix(int rows, int columns, const double *a)
{
    return 100 * rows + columns + (rows > 1 ? a[columns] : 0) / 1000;
}
int narrow(const uint8_t *x, int8_t n) { return n; }
long sizes(int n, int m, const float *x, const double *y, const double *work)
{
    return 100 * n + m;
}
void range(int n, int step, int *y) { for (int i = 0; i < n; i++) y[i] = i * step; }
double split(double value, int *whole, double *parts)
{
    *whole = (int)value;
    parts[0] = value, parts[1] = value - *whole;
    return -value;
}
void both(int *a, double *b) { *a += 3; *b += 0.5; }
int required(size_t n, const double *x) { return x != NULL && n; }
size_t zeros(size_t n, const char *s)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += s[i] == 0;
    return count;
}
typedef struct { double x, y; } point;
double away(int n, const point *points) { return n ? points[n - 1].x + points[n - 1].y : -1; }
void corner(point *p) { p->x = 1.5, p->y = -2; }
void cumulate(size_t n, const double *x, double *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) y[i] = sum += x[i];
}
double axpy(const int *n, const double *a, const double *x, double *y)
{
    for (int i = 0; i < *n; i++) y[i] += *a * x[i];
    return *a;
}
int flags(const _Bool *b, const float _Complex *z, const uint8_t *u)
{
    return *b + (int)*(const float *)z + *u;
}
size_t lengths(int n, const char *const *names)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++) sum = 10 * sum + (names[i] ? strlen(names[i]) : 9);
    return sum;
}
int until_null(const char *const *names) { int n = 0; while (names[n]) n++; return n; }
"""
HEADER = """
double dot(size_t n, const double x[n], const double y[n]);
void scale(double x[n], size_t n, double factor);
double matrix(int rows, int columns, const double a[rows][columns]);
int narrow(const uint8_t x[n], int8_t n);
long sizes(int n, int m, const float x[n], const double y[m][n], const double work[2 * n + m]);
void range(int n, int step, int y[n]);
double split(double value, int *whole, double parts[2]);
void both(int *a, double *b);
int required(size_t n, const double x[static n]);
size_t zeros(size_t n, const char s[n]);
typedef struct { double x, y; } point;
double away(int n, const point points[n]);
void corner(point *p);
void cumulate(size_t n, const double x[n], double y[n]);
double axpy(const int n[1], const double a[1], const double *x, double *y);
int flags(const _Bool b[1], const float _Complex z[1], const uint8_t u[1]);
size_t lengths(int n, const char *const names[n]);
int until_null(const char *const *names);
"""
OUT = {
    "range": ["y"],
    "split": ["whole", "parts"],
    "both": ["a", "b"],
    "corner": ["p"],
    "cumulate": ["y"],
}


@pytest.fixture(scope="module", params=[True, False], ids=["released", "kept"])
def lib(compile_c, request):
    library = ffi.dlopen(compile_c(SOURCE, "shapes"), release_gil=request.param)
    library.cdef(HEADER, out=OUT)
    return library


# --- lengths that arrays tell


def test_inferred(lib):
    x, y = np.arange(5.0), np.full(5, 2.0)
    assert lib.dot(x, y) == lib.dot(y=y, x=x) == lib.dot(x, y, n=5) == 20.0
    assert lib.dot(x, y, n=None) == 20.0
    assert lib.dot(x[:0], y[:0]) == 0.0
    assert lib.scale(x, 3.0) is None
    np.testing.assert_array_equal(x, 3 * np.arange(5.0))
    lib.scale(memoryview(x), 2.0)
    np.testing.assert_array_equal(x, 6 * np.arange(5.0))
    assert lib.dot(memoryview(x), bytearray_of(y)) == 2 * x.sum()


def bytearray_of(array):
    """Return an array over a bytearray, as other packages make them."""
    return np.frombuffer(bytearray(array.tobytes()), array.dtype)


def test_matrices(lib):
    a = np.arange(12.0).reshape(3, 4)
    assert lib.matrix(a) == 304.004
    assert lib.matrix(a.T.copy()) == 403.001
    assert lib.matrix(np.asfortranarray(a).T) == 403.001
    assert lib.matrix(np.zeros((0, 4))) == 4
    with refused(
        ValueError, match=r"'a': expected shape \(rows, columns\) of float64, got \(12,\)"
    ):
        lib.matrix(a.ravel())
    with refused(TypeError, match="'a': expected a C-contiguous array"):
        lib.matrix(a.T)


def test_signatures(lib):
    assert str(inspect.signature(lib.dot)) == "(x, y, *, n=None)"
    assert str(inspect.signature(lib.scale)) == "(x, factor, *, n=None)"
    assert str(inspect.signature(lib.range)) == "(n, step, *, y=None)"
    assert str(inspect.signature(lib.cumulate)) == "(x, *, n=None, y=None)"
    assert lib.dot.prototype == "double dot(size_t n, const double x[n], const double y[n])"
    assert lib.required.prototype == "int required(size_t n, const double x[static n])"


def test_arrays_that_disagree(lib):
    x, y = np.ones(5), np.ones(4)
    message = (
        r"^dot\(\): argument 'y': expected shape \(5,\) \(n=5 from 'x'\) of float64, got \(4,\)$"
    )
    with refused(ValueError, match=message):
        lib.dot(x, y)
    with refused(ValueError, match=r"'x': expected shape \(4,\) \(n=4\) of float64, got \(5,\)"):
        lib.dot(x, x, n=4)
    for wrong in (np.ones((5, 1)), np.array(1.0)):
        with refused(ValueError, match=r"'y': expected shape \(5,\) .*, got \("):
            lib.dot(x, wrong)


def test_by_name_only(lib):
    x = np.ones(5)
    with refused(TypeError, match=r"dot\(\): expected 2 arguments, got 3; 'n': by name only"):
        lib.dot(5, x, x)
    with refused(TypeError, match="expected 2 arguments, got 1; missing argument 'y'"):
        lib.dot(x, n=5)
    with refused(TypeError, match="unexpected argument 'm'"):
        lib.dot(x, x, m=5)
    with refused(TypeError, match=r"'n': expected an integer for uint(32|64), got float 5\.0"):
        lib.dot(x, x, n=5.0)
    with refused(OverflowError, match="'n': expected uint(32|64)"):
        lib.dot(x, x, n=-1)
    largest = 2 ** (8 * ffi.sizeof.size_t) - 1
    with refused(ValueError, match=rf"'n': expected a length, got {largest}|length n is {largest}"):
        lib.dot(x, x, n=largest)


def test_inferred_value_that_does_not_fit(lib):
    assert lib.narrow(np.zeros(127, np.uint8)) == 127
    with refused(OverflowError, match=r"narrow\(\): argument 'n': .* got 128"):
        lib.narrow(np.zeros(128, np.uint8))
    with refused(OverflowError, match=r"narrow\(\): argument 'n': .* got 200"):
        lib.narrow(bytes(200))


def test_none(lib):
    assert lib.dot(None, None, n=0) == 0.0
    assert lib.required(np.ones(2)) == 1
    with refused(TypeError, match=r"dot\(\): argument 'n': expected an int, as no array tells it"):
        lib.dot(None, None)
    with refused(TypeError, match=r"required\(\): argument 'x': expected an array, got None"):
        lib.required(None, n=2)
    # The array that is there tells.
    with pytest.raises(ValueError, match=r"expected shape \(3,\)"):
        lib.dot(None, np.ones(4), n=3)


def test_strings_with_their_length(lib):
    assert lib.zeros(b"a\0b\0") == 2
    assert lib.zeros("\0é") == 1
    assert lib.zeros(b"\0" * 7, n=7) == 7
    assert lib.zeros(bytearray(5)) == lib.zeros(np.zeros(5, np.uint8)) == 5
    assert lib.zeros(b"") == 0
    with refused(ValueError, match=r"'s': expected shape \(2,\) \(n=2\) .*got \(3,\)"):
        lib.zeros(b"abc", n=2)


def test_structs(lib):
    points = np.array([(1, 2), (3, 4)], lib.types["point"].dtype)
    assert lib.away(points) == 7
    assert lib.away(points[:1]) == 3
    assert lib.away(points[:0]) == -1
    # A pointer does not tell how many there are.
    pointer = ffi.new(lib.types["point"], (5, 6))
    assert lib.away(pointer, n=1) == lib.away(pointer[0], n=1) == 11
    with refused(TypeError, match="'n': expected an int, as no array tells it"):
        lib.away(pointer)


def test_pointers_to_too_little(lib):
    point = ffi.new(lib.types["point"], (5, 6))
    five = ffi.new(("double", 5), [0, 1, 2, 3, 4])
    assert lib.dot(five, five.cast("const double *"), n=5) == 30
    assert lib.dot(five, np.ones(5)) == 10
    for use in (
        lambda: lib.away(point, n=2),
        lambda: lib.away(point[0], n=2),
        lambda: lib.away(point, n=2**31 - 1),
        lambda: lib.dot(five, np.ones(6)),
        lambda: lib.matrix(five, rows=2, columns=3),
        lambda: lib.sizes(np.ones(2, np.float32), np.ones((2, 2)), five),
        lambda: lib.range(3, 1, y=ffi.new("int")),
    ):
        with refused(
            ValueError, match=r"expected \d+ items of (struct )?(point|double|int), got <"
        ):
            use()
    # Where it is not known how much is there, C is trusted as ever.
    somewhere = ffi.dlopen(None).function("double *realloc(double *p, size_t n)")(None, 40)
    somewhere.view(5)[:] = 2
    assert lib.dot(somewhere, somewhere, n=5) == 20
    ffi.dlopen(None).function("void free(void *p)")(somewhere)


def test_computed(lib):
    x, y, work = np.ones(3, np.float32), np.ones((4, 3)), np.ones(10)
    assert lib.sizes(x, y, work) == 304
    with refused(
        ValueError, match=r"'work': expected shape \(10,\) \(n=3 from 'x', m=4 from 'y'\)"
    ):
        lib.sizes(x, y, work[:9])
    with refused(ValueError, match=r"'y': expected shape \(m, 3\) \(n=3 from 'x'\) .*got \(3, 4\)"):
        lib.sizes(x, y.T.copy(), work)
    with refused(TypeError, match="'work': expected an array of float64"):
        lib.sizes(x, y, x)


def test_wrong_arrays(lib):
    x = np.ones(4)
    for wrong, kind in (
        (x.astype(np.float32), TypeError),
        (x.astype(x.dtype.newbyteorder()), TypeError),
        (np.ones(8)[::2], TypeError),
        (np.zeros(33, np.uint8)[1:].view(np.float64), ValueError),
        ([1.0] * 4, TypeError),
        (b"12345678", TypeError),
        (3.0, TypeError),
        ("1234", TypeError),
    ):
        with refused((kind, ValueError), match=r"^dot\(\): argument 'y': "):
            lib.dot(x, wrong)
    fixed = np.ones(4)
    fixed.flags.writeable = False
    assert lib.dot(fixed, fixed) == 4
    with refused((TypeError, ValueError), match=r"^scale\(\): argument 'x': .*read-only"):
        lib.scale(fixed, 2.0)
    assert fixed.sum() == 4


class Resizing:
    """An integer or array that makes another argument another one while it is read."""

    def __init__(self, act, value):
        self.act, self.value = act, value

    def __index__(self):
        self.act()
        return self.value

    @property
    def __array_interface__(self):
        self.act()
        return self.value.__array_interface__


def test_lengths_are_read_last(lib):
    x = np.arange(1000.0)
    shrinking = Resizing(lambda: x.resize(2, refcheck=False), np.ones(2))
    assert lib.dot(x, shrinking) == 1.0
    x = np.arange(4.0)
    shrinking = Resizing(lambda: x.resize(2, refcheck=False), np.ones(4))
    with refused(ValueError, match=r"'y': expected shape \(2,\) \(n=2 from 'x'\) .*got \(4,\)"):
        lib.dot(x, shrinking)
    data = bytearray(b"\0" * 64)
    grown = Resizing(lambda: data.extend(b"\0"), 64)
    with pytest.raises(BufferError, match="cannot be re-sized"):
        lib.zeros(data, n=grown)
    assert lib.zeros(data) == 64


# --- what the call makes


def test_out(lib):
    np.testing.assert_array_equal(lib.range(4, 3), [0, 3, 6, 9])
    assert lib.range(4, 3).dtype == np.intc
    assert lib.range(0, 3).shape == (0,)
    result, whole, parts = lib.split(2.25)
    assert (result, whole, list(parts)) == (-2.25, 2, [2.25, 0.25])
    assert lib.both() == (3, 0.5)
    corner = lib.corner()
    assert (corner.x, corner.y, corner.type) == (1.5, -2.0, lib.types["point"])
    np.testing.assert_array_equal(lib.cumulate(np.arange(4.0)), [0, 1, 3, 6])
    np.testing.assert_array_equal(lib.cumulate(np.arange(0.0)), [])


def test_out_that_is_given(lib):
    y = np.empty(4, np.intc)
    assert lib.range(4, 3, y=y) is y
    np.testing.assert_array_equal(y, [0, 3, 6, 9])
    a = ffi.new("int", 4)
    assert lib.both(a=a) == (a, 0.5)
    assert a[0] == 7
    # What is given tells nothing: the array that is read does.
    total = np.zeros(3)
    assert lib.cumulate(np.ones(3), y=total) is total
    with refused(ValueError, match=r"'y': expected shape \(3,\) \(n=3 from 'x'\) .*got \(4,\)"):
        lib.cumulate(np.ones(3), y=np.zeros(4))
    with refused(ValueError, match=r"range\(\): argument 'y': expected shape \(5,\) \(n=5\)"):
        lib.range(5, 3, y=y)
    with refused(TypeError, match="'y': expected an array of int32"):
        lib.range(4, 3, y=np.zeros(4))
    with refused(TypeError, match="'y': by name only"):
        lib.range(4, 3, y)


def remade(function, prototype):
    return ffi.Function(function.address, prototype, out=["y"])


def test_out_lengths_that_cannot_be(lib):
    with refused(ValueError, match=r"range\(\): argument 'y': the length n is -1"):
        lib.range(-1, 3)
    squares = remade(lib.range, "void f(int64_t n, int step, int y[n * n])")
    with refused(
        ValueError,
        match=r"argument 'y': .*(too big.*, got int y\[n \* n\]|is 4611686018427387904$)",
    ):
        squares(2**31, 1)
    # With 32 bits there are no addresses for so many.
    with pytest.raises(MemoryError if ffi.sizeof.pointer == 8 else ValueError):
        squares(2**26, 1)
    with refused(ValueError, match=r"the length n << 60 cannot be computed"):
        remade(lib.range, "void f(int64_t n, int step, int y[n << 60])")(2**31, 1)


def test_out_and_errcheck(lib):
    seen = []

    def check(result, function, args):
        seen.append((result, function.__name__, args))
        return answer

    split = ffi.Function(lib.split, errcheck=check)
    answer = None
    whole, parts = split(2.25)
    assert (whole, list(parts)) == (2, [2.25, 0.25])
    answer = "checked"
    assert split(2.25)[:2] == ("checked", 2)
    assert seen == [(-2.25, "split", (2.25,))] * 2


def test_out_names(lib):
    text = "double split(double value, int *whole, const double parts[2])"
    for out, kind, message in (
        (["none"], ValueError, "has no parameter 'none'"),
        (["value"], TypeError, "'value' is 'double value', no pointer"),
        (["parts"], TypeError, "which C only reads"),
        (["whole", "whole"], ValueError, "'whole' is given twice"),
        ("whole", TypeError, "expected a sequence of names, got str"),
        ([5], TypeError, "expected a parameter's name, got int"),
        (5, TypeError, "expected a sequence of names, got int"),
    ):
        with refused(kind, match=rf"^function\(\): out: .*{message}"):
            lib.function(text, out=out)
        with refused(kind, match=rf"^Function\(\): out: .*{message}"):
            ffi.Function(lib.split.address, text, out=out)
    for declared in ("void *p", "struct hidden *p", "double p[]", "int (*p)(void)"):
        with refused(TypeError, match="out: parameter 'p' is"):
            ffi.Function(lib.split.address, f"void f({declared})", out=["p"])


def test_pickles(lib):
    for function in (lib.dot, lib.range, lib.cumulate, lib.sizes, lib.corner):
        restored = pickle.loads(pickle.dumps(function))
        assert restored.prototype == function.prototype
        assert inspect.signature(restored) == inspect.signature(function)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(lib.range))(3, 2), [0, 2, 4])


def test_the_declaration_that_tells_more(lib):
    library = ffi.dlopen(lib.path)
    plain = "double dot(size_t n, const double *x, const double *y);"
    library.cdef(plain + "double dot(size_t n, const double x[n], const double y[n]);" + plain)
    assert library.dot(np.ones(3), np.ones(3)) == 3.0


def test_out_that_is_too_small(lib):
    for wrong in (np.zeros(0, np.intc), np.zeros((3, 0), np.intc)):
        with refused(ValueError, match=r"^both\(\): argument 'a': expected 1 items of int, got "):
            lib.both(a=wrong)
    assert lib.both(a=np.zeros((), np.intc), b=np.zeros(7))[0] == 3
    # What is written to tells no length.
    with refused(TypeError, match=r"cumulate\(\): argument 'n': expected an int, as no array"):
        lib.cumulate(None, y=np.zeros(3))


# --- numbers by reference, and sequences of strings


def test_numbers_by_reference(lib):
    y = np.ones(3)
    assert lib.axpy(3, 2.5, np.arange(3.0), y) == 2.5
    np.testing.assert_array_equal(y, [1, 3.5, 6])
    number, factor = np.array([2], np.intc), ffi.new("double", -1.0)
    lib.axpy(number, factor, y, y)
    np.testing.assert_array_equal(y, [0, 0, 6])
    assert lib.axpy(np.int64(0), np.float32(0.5), y, y) == 0.5
    assert lib.flags(True, 3 + 1j, 250) == 254
    for arguments, kind, message in (
        ((3.5, 1.0), TypeError, "'n': expected an integer for int32, got float 3.5"),
        ((2**31, 1.0), OverflowError, "'n': expected int32"),
        ((3, 1j), TypeError, "'a': .*complex"),
        ((3, "1"), TypeError, "'a': expected .*, got str '1'"),
        ((3, np.ones(2)), ValueError, r"'a': expected shape \(1,\) of float64, got \(2,\)"),
    ):
        with refused(kind, match=rf"^axpy\(\): argument {message}"):
            lib.axpy(*arguments, y, y)
    # C writes to what is not const: a number would not see it.
    with refused(TypeError, match="'x': expected an array of int32 .*got int 5"):
        ffi.Function(lib.axpy.address, "void f(int x[1])")(5)
    # An address is no number.
    with refused(TypeError, match="'x': expected an array of np.uintp .*got int 5"):
        ffi.Function(lib.axpy.address, "void f(double *const x[1])")(5)


def test_sequences_of_strings(lib):
    assert lib.lengths([b"ab", "cdé", None, "x" * 7]) == 2497
    assert lib.lengths(()) == 0
    assert lib.until_null(("a", b"b", "")) == 3
    assert lib.until_null([]) == 0
    texts = [ffi.new(("char", 4), b"abc") for _ in range(2)]
    assert lib.lengths(np.array([text.address for text in texts], np.uintp)) == 33
    for wrong, kind, message in (
        (["a", 5], TypeError, "item 1: expected bytes, str or None, got int 5"),
        ([b"a\0"], ValueError, "item 0: expected a string without NUL"),
        (["\ud800"], ValueError, "item 0: expected text"),
        ("ab", TypeError, "expected a sequence of bytes or str"),
        ({"a"}, TypeError, "expected a sequence of bytes or str"),
    ):
        with refused(kind, match=rf"^lengths\(\): argument 'names': {message}"):
            lib.lengths(wrong)


def test_strings_of_a_struct_are_kept():
    arguments = ffi.struct("struct arguments { const char *const *names; }")
    record = ffi.new(arguments, ([b"one", "two"],))[0]
    assert record.names[0].string() == b"one"
    addresses = record.names.cast("const uintptr_t *").view(3)
    assert [ffi.string(address) for address in addresses[:2]] == [b"one", b"two"]
    assert addresses[2] == 0
