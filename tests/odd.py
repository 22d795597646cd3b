"""Objects that answer Python's questions in odd ways."""

from __future__ import annotations

import gc

import numpy as np

import ffi


class Hostile:
    """Every question is answered by an exception."""

    def fail(self, *args):
        raise LookupError("hostile")

    __index__ = __len__ = __bool__ = __eq__ = __hash__ = __repr__ = __call__ = __iter__ = fail
    __getitem__ = __float__ = __complex__ = __fspath__ = __buffer__ = __getattr__ = fail


class Liar:
    """Every question is answered, wrongly."""

    def text(self, *args):
        return b"no"

    def number(self, *args):
        return -1

    __index__ = __next__ = __getitem__ = __fspath__ = __float__ = __hash__ = __repr__ = text
    __len__ = keys = items = __iter__ = __buffer__ = number
    __class__ = ffi.Type
    dtype = size = shape = address = cif = name = "wrong"


class Integer:
    """An integer that runs Python code."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        gc.collect(0)
        return self.value


class Text(str):
    pass


class Numbers(list):
    def __iter__(self):
        return iter((1, 2, 3))


class FakeDtype:
    """What `isinstance` takes for a dtype."""

    __class__ = np.dtype
    hasobject, kind, itemsize, ndim = False, "S", 10**6, 0
    subdtype, names, isnative = None, None, True
    dtype = np.dtype("S1")


class LyingArray(np.ndarray):
    """An array that says it is a plain one."""

    dtype = property(lambda self: np.dtype("u8"))
    flags = property(lambda self: np.zeros(8, "u8").flags)
    shape = strides = property(lambda self: (8,))
    nbytes = size = property(lambda self: 64)


class NamelessMeta(type):
    """A class that has no name for Python code."""

    __name__ = property(lambda cls: 1 / 0)


class Nameless(metaclass=NamelessMeta):
    """An instance of such a class."""
