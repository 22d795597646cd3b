"""Exceptions: every one is `ffi.Error` and the builtin that fits, and says what came."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import ffi
from ffi import errors

PAIRS = {
    "FFITypeError": TypeError,
    "FFIValueError": ValueError,
    "FFIOverflowError": OverflowError,
    "FFIOSError": OSError,
    "FFINotImplementedError": NotImplementedError,
    "FFIReferenceError": ReferenceError,
    "FFIBufferError": BufferError,
    "FFIAttributeError": AttributeError,
    "FFIKeyError": KeyError,
    "BadTypedef": errors.FFITypeError,
    "BadABI": errors.FFIValueError,
    "BadArgtype": errors.FFITypeError,
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name):
    error = getattr(errors, name)
    assert issubclass(error, ffi.Error)
    assert issubclass(error, PAIRS[name])


def test_pairs_are_all():
    classes = {
        n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, ffi.Error)
    }
    assert classes == {"Error", *PAIRS}
    assert set(errors.__all__) == classes
    assert ffi.Error is errors.Error
    assert issubclass(ffi.Error, Exception)


@pytest.mark.parametrize("name", PAIRS)
def test_located_keeps_the_class(name):
    kind = getattr(errors, name)
    moved = errors.located(kind("expected 3, got 2"), "call(): argument 'x'")
    assert type(moved) is kind
    assert str(moved) == "call(): argument 'x': expected 3, got 2"


@pytest.mark.parametrize("name", PAIRS)
def test_pickle(name):
    error = pickle.loads(pickle.dumps(getattr(errors, name)("expected 3, got 2")))
    assert type(error) is getattr(errors, name)
    assert str(error) == "expected 3, got 2"


class Odd:
    """An object that nothing can use and whose repr fails."""

    def __repr__(self):
        raise RuntimeError("no repr")


def closed():
    handle = ffi.dlopen()
    ffi.dlclose(handle)
    return handle


CIF = ffi.CIF("int", "int")
# What is called, the exception, and what its message says: where, what was expected, what came.
REFUSALS = {
    "sizeof kind": (lambda: ffi.sizeof(3), TypeError, r"^sizeof\(\): expected .*, got 3$"),
    "alignof name": (lambda: ffi.alignof("nope"), TypeError, r"^alignof\(\): 'nope' is neither"),
    "struct kind": (lambda: ffi.struct(3), TypeError, r"^struct\(\): expected .*, got int$"),
    "union kind": (lambda: ffi.union(None), TypeError, r"^union\(\): expected .*, got NoneType$"),
    "struct member": (
        lambda: ffi.struct({"x": "i4", "y": object}),
        TypeError,
        r"^struct\(\): member 'y': .*object",
    ),
    "CIF argument": (lambda: ffi.CIF("int", "i4", 7), TypeError, r"^CIF\(\): argument type 1: .*7"),
    "CIF abi": (lambda: ffi.CIF(12345, "int"), errors.BadABI, r"^CIF\(\): .*12345"),
    "CIF promotion": (
        lambda: ffi.CIF("int", "int", variadic=["float"]),
        errors.BadArgtype,
        r"^CIF\(\): argument 'variadic': .*float.*double",
    ),
    "pack count": (lambda: CIF.pack(1, 2), ValueError, r"^pack\(\): expected 1 values .*, got 2$"),
    "pack range": (
        lambda: CIF.pack(2**70),
        OverflowError,
        rf"^pack\(\): argument 0: expected .*, got {2**70}$",
    ),
    "unpack short": (
        lambda: CIF.unpack(b"ab"),
        ValueError,
        r"^unpack\(\): argument 'rvalue': .* 2$",
    ),
    "call NULL": (
        lambda: ffi.call(CIF, 0, bytearray(8), [bytes(4)]),
        ValueError,
        r"^call\(\): argument 'fn': NULL",
    ),
    "Closure": (
        lambda: ffi.Closure(CIF, 3),
        TypeError,
        r"^Closure\(\): argument 'function': expected a callable, got int 3$",
    ),
    "dlopen": (
        lambda: ffi.dlopen("libno-such-thing.so"),
        OSError,
        r"^dlopen\(\): .*libno-such-thing\.so",
    ),
    "dlsym": (
        lambda: ffi.dlsym(ffi.dlopen(), "no_such"),
        OSError,
        r"^dlsym\(\): 'no_such' in None: ",
    ),
    "dlsym closed": (
        lambda: ffi.dlsym(closed(), "abs"),
        ValueError,
        r"^dlsym\(\): None is closed$",
    ),
    "dlclose": (
        lambda: ffi.dlclose(3),
        TypeError,
        r"^dlclose\(\): expected an ffi.Handle, got int 3$",
    ),
    "addressof": (
        lambda: ffi.addressof("x"),
        TypeError,
        r"^addressof\(\): expected .*, got str 'x'$",
    ),
    "read": (
        lambda: ffi.read("i4", bytes(6), 3),
        ValueError,
        r"^read\(\): .* 4 bytes at offset 3 .* 6 bytes$",
    ),
    "write": (
        lambda: ffi.write("int8", bytearray(1), 128),
        OverflowError,
        r"^write\(\): expected int8 in \[-128, 127\], got 128$",
    ),
    "read_pointer": (
        lambda: ffi.read_pointer(bytes(1)),
        ValueError,
        r"^read_pointer\(\): .* outside the buffer of 1 bytes$",
    ),
    "write_pointer": (
        lambda: ffi.write_pointer(bytearray(8), -1),
        OverflowError,
        r"^write_pointer\(\): expected an address in .*, got -1$",
    ),
    "view": (lambda: ffi.view(0, "int"), ValueError, r"^view\(\): argument 'address': NULL"),
    "string": (lambda: ffi.string(b"", -2), ValueError, r"^string\(\): argument 'maxlen': .* -2$"),
    "union by value": (
        lambda: ffi.CIF("int", ffi.union({"i": ("int", 9999)}, name="union u")),
        NotImplementedError,
        r"^CIF\(\): argument type 0: .*union u",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_message(name):
    function, kind, message = REFUSALS[name]
    with pytest.raises(kind, match=message) as caught:
        function()
    assert isinstance(caught.value, ffi.Error)


@pytest.mark.parametrize(
    "function",
    [
        lambda odd: ffi.sizeof(odd),
        lambda odd: ffi.struct([odd]),
        lambda odd: ffi.struct([(odd, "int")]),
        lambda odd: ffi.struct([("x", odd)]),
        lambda odd: ffi.CIF(odd),
        lambda odd: CIF.pack(odd),
        lambda odd: ffi.call(CIF, odd, bytearray(8), [bytes(4)]),
        lambda odd: ffi.Closure(CIF, odd),
        lambda odd: ffi.dlopen(odd),
        lambda odd: ffi.dlclose(odd),
        lambda odd: ffi.addressof(odd),
        lambda odd: ffi.read("int", odd),
        lambda odd: ffi.read("int", bytes(8), 0, odd),
        lambda odd: ffi.write("double", bytearray(8), odd),
        lambda odd: ffi.write("char", bytearray(8), odd),
        lambda odd: ffi.write(np.dtype((np.int32, (2,))), bytearray(8), odd),
        lambda odd: ffi.write_pointer(bytearray(8), odd),
        lambda odd: ffi.view(odd, "int"),
        lambda odd: ffi.view(64, "int", odd),
        lambda odd: ffi.string(odd),
    ],
)
def test_objects_without_repr(function):
    with pytest.raises(TypeError, match="Odd") as caught:
        function(Odd())
    assert isinstance(caught.value, ffi.Error)


def test_long_values_are_cut():
    with pytest.raises(TypeError) as caught:
        ffi.write("int", bytearray(4), "x" * 100_000)
    assert "'xxx" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_errors_in_conversions_are_the_users_own():
    class Failing:
        def __index__(self):
            raise ZeroDivisionError("mine")

    for function in (
        lambda value: ffi.write("int", bytearray(4), value),
        lambda value: ffi.write("double", bytearray(8), value),
        lambda value: ffi.write(ffi.struct({"x": "int8"}), bytearray(8), (value,)),
        lambda value: ffi.read("int", bytes(8), value),
        lambda value: ffi.write_pointer(bytearray(8), value),
        lambda value: ffi.view(value, "int"),
        lambda value: CIF.pack(value),
    ):
        with pytest.raises(ZeroDivisionError, match=r"^mine$"):
            function(Failing())
