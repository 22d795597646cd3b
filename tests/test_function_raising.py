"""What arguments raise while they are converted, and what the class and its instances are asked."""

from __future__ import annotations

import inspect
import sys

import pytest
from checks import MIXED, refused

import ffi
from ffi.errors import FFIBufferError, FFIKeyError, FFIOSError, FFITypeError, FFIValueError

SOURCE = """
#include <stddef.h>
int calls = 0;
int negate(int x) { calls++; return -x; }
double half(double x) { calls++; return x / 2; }
double both(double _Complex x, long double y) { calls++; return (double)(x + y); }
size_t address(const void *data, size_t size) { calls++; return (size_t)data + size; }
struct mixed { signed char c; double d; };
double second(struct mixed m) { calls++; return m.d; }
"""


class OwnKindError(Exception):
    """No error of anybody's."""


class OwnError(ffi.Error, LookupError):
    """A kind of error that is made in a way of its own."""

    def __init__(self, number, *, text):
        super().__init__(number, text)
        self.number, self.text = number, text


def raising(method, error):
    """Return an object one of whose methods, or properties, raises."""

    def fail(self, *args, **kwargs):
        raise error

    return type("Raising", (), {method: property(fail) if method.endswith("face__") else fail})()


@pytest.fixture(scope="module")
def library(compile_c):
    library = ffi.dlopen(compile_c(SOURCE, "raising"))
    library.types["struct mixed"] = MIXED
    for prototype in (
        "int negate(int x)",
        "double half(double x)",
        "double both(double _Complex x, long double y)",
        "size_t address(const void *data, size_t size)",
        "double second(struct mixed m)",
    ):
        library.function(prototype)
    return library


USES = {
    "int": lambda f, x: f.negate(x),
    "by name": lambda f, x: f.negate(x=x),
    "double": lambda f, x: f.half(x),
    "complex": lambda f, x: f.both(x, 1),
    "long double": lambda f, x: f.both(1, x),
    "void *": lambda f, x: f.address(x, 0),
    "late": lambda f, x: f.address(bytearray(8), x),
    "tuple": lambda f, x: f.second((x, 1)),
    "dict": lambda f, x: f.second({"c": 1, "d": x}),
}
METHODS = {"void *": ["__index__", "__array_interface__", "__dlpack__"]}
if sys.version_info >= (3, 12):
    METHODS["void *"].append("__buffer__")
CASES = [(name, method) for name in USES for method in METHODS.get(name, ["__index__"])]


@pytest.fixture(autouse=True)
def nothing_is_called(library):
    calls = ffi.view(ffi.dlsym(library, "calls"), "int")
    before = int(calls)
    yield
    assert int(calls) == before


@pytest.mark.parametrize(("name", "method"), CASES)
@pytest.mark.parametrize(
    "error",
    [
        OwnKindError("its own"),
        KeyboardInterrupt(),
        SystemExit(3),
        MemoryError(),
        KeyError("key"),
        OverflowError("too large"),
        ZeroDivisionError("1 / 0"),
        OwnError(7, text="its own"),
        FFIOSError(5, "Input/output error"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_pass_as_they_are(library, name, method, error):
    with pytest.raises(type(error)) as caught:
        USES[name](library, raising(method, error))
    assert caught.value is error


@pytest.mark.parametrize("error", [TypeError("t"), ValueError("v"), BufferError("b")], ids=str)
@pytest.mark.parametrize("name", USES)
def test_what_index_raises_is_not_ours(library, name, error):
    with pytest.raises(type(error)) as caught:
        USES[name](library, raising("__index__", error))
    assert caught.value is error


@pytest.mark.parametrize("error", [TypeError("odd"), ValueError("odd"), BufferError("odd")])
@pytest.mark.parametrize("method", METHODS["void *"][1:])
def test_exporters_that_refuse(library, method, error):
    # They mean that there is no buffer.
    kind = ValueError if (method, type(error)) == ("__buffer__", ValueError) else TypeError
    with pytest.raises(kind, match=r"^address\(\): argument 'data': expected .*odd") as caught:
        USES["void *"](library, raising(method, error))
    assert isinstance(caught.value, ffi.Error)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "kind", [FFITypeError, FFIValueError, FFIKeyError, FFIBufferError, FFIOSError]
)
@pytest.mark.parametrize("name", USES)
def test_errors_of_ours_keep_their_kind(library, name, kind):
    # Of a call within the argument, say; where that happened is put in front.
    with pytest.raises(kind, match=r"^\w+\(\): argument '\w+': (member '\w': )?inner$") as caught:
        USES[name](library, raising("__index__", kind("inner")))
    assert type(caught.value) is kind


@pytest.mark.parametrize("name", ["int", "late", "tuple", "dict"])
def test_causes_are_kept(library, name):
    cause, error = OwnKindError("the cause"), OwnError(8, text="its own")

    class Raising:
        def __index__(self):
            raise error from cause

    with pytest.raises(OwnError) as caught:
        USES[name](library, Raising())
    assert caught.value is error
    assert caught.value.__cause__ is cause
    assert (error.number, error.text) == (8, "its own")


def test_floats_are_not_asked_for(library):
    # A float is a number, or a NumPy scalar: nothing is converted behind the caller's back.
    with refused(TypeError, match=r"^half\(\): argument 'x': expected a real number for double"):
        library.half(raising("__float__", OwnKindError()))
    with refused(TypeError, match=r"^both\(\): argument 'x': expected a number for double _Comp"):
        library.both(raising("__complex__", OwnKindError()), 1)


@pytest.mark.parametrize(
    "error", [OwnKindError("its own"), KeyboardInterrupt(), OwnError(1, text="x")]
)
def test_errcheck_raises(library, error, nothing_is_called):
    def errcheck(result, function, args):
        raise error

    abs_ = ffi.dlopen(None).function("int abs(int x)", errcheck=errcheck)
    with pytest.raises(type(error)) as caught:
        abs_(-5)
    assert caught.value is error


def test_signature_of_the_class(library):
    # Only instances have one, whatever is asked first.
    for _ in range(2):
        with pytest.raises(ValueError, match=r"no signature found for builtin type .*Function"):
            inspect.signature(ffi.Function)
        assert str(inspect.signature(library.negate)) == "(x)"
    assert ffi.Function.__doc__.startswith("A C function")
    assert library.negate.__doc__ == "int negate(int x)"
    assert inspect.isclass(ffi.Function)
    assert callable(library.negate)
