"""Objects that answer Python's questions in odd ways."""

from __future__ import annotations

import gc

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
