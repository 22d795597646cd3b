"""Callbacks keep nothing, and many threads may make, call and drop them at once.

As in test_function_leaks.py, FFI_LEAK_CALLS is how many calls of each kind.
"""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
import test_callback
from test_function_leaks import SLOW
from test_leaks import COUNT, check_flat, failing

import ffi


class Declared:
    """The library, callbacks, and values that are always the same."""

    def __init__(self, compile_c):
        path = compile_c(test_callback.SOURCE, "callbacks", "-lpthread")
        self.lib = ffi.dlopen(path)
        self.lib.cdef(test_callback.HEADER)
        self.x, self.grad = np.arange(3.0), np.zeros(3)
        self.identity = ffi.callback("double (double)", self.same)
        self.failing = ffi.callback("double (double)", self.fail, error=2.5)
        self.replaced = ffi.callback("double (double)", self.fail, onerror=lambda *seen: 3.5)
        self.model = ffi.new(self.lib.types["model"])[0]
        self.other = ffi.callback("double (double)", lambda x: self.lib.apply(self.identity, x))
        self.keeping = []

    def same(self, x):
        return x

    def fail(self, x):
        raise LookupError(x)

    def keep(self, x, grad, data):
        self.keeping[:] = [x]
        return 0.0

    def text(self, i):
        return b"text %d" % i


USES = {
    "callback": (COUNT, lambda d: d.lib.apply(d.identity, 70000.5)),
    "plain function": (SLOW, lambda d: d.lib.apply(d.same, 70000.5)),
    "new callback": (SLOW, lambda d: ffi.callback("double (double)", d.same)),
    "called by Python": (SLOW, lambda d: d.identity(70000.5)),
    "nested": (SLOW, lambda d: d.lib.apply(d.other, 70000.5)),
    "arrays": (SLOW, lambda d: d.lib.evaluate(lambda x, g, _: x[0], d.x, d.grad, None)),
    "struct": (SLOW, lambda d: d.lib.map(lambda p: p, (1.5, 2.5)).x),
    "text": (SLOW, lambda d: d.lib.length(d.text, 70000)),
    "member": (SLOW, lambda d: setattr(d.model, "f", d.same)),
    "capsule": (SLOW, lambda d: d.identity.capsule(d.x)),
    "exception": (SLOW, lambda d: failing(LookupError, lambda: d.lib.sum(d.failing, 3))()),
    "onerror": (SLOW, lambda d: failing(LookupError, lambda: d.lib.sum(d.replaced, 3))()),
    "wrong result": (SLOW, lambda d: failing(TypeError, lambda: d.lib.apply(str, 3.5))()),
    "kept array": (
        SLOW,
        lambda d: failing(BufferError, lambda: d.lib.evaluate(d.keep, d.x, None, None))(),
    ),
    "foreign thread": (SLOW // 20, lambda d: d.lib.in_thread(d.identity, 70000.5)),
    "exception of a foreign thread": (
        SLOW // 20,
        lambda d: failing(LookupError, lambda: d.lib.in_thread(d.failing, 70000.5))(),
    ),
}


@pytest.mark.parametrize("name", USES)
def test_uses(compile_c, name):
    count, use = USES[name]
    declared = Declared(compile_c)
    held = [declared.identity, declared.failing, declared.x, declared.lib.apply, None]
    check_flat(lambda: use(declared), *held, count=count)


def test_dead_callbacks(compile_c):
    lib = Declared(compile_c).lib

    def use():
        lib.keep(lambda x: x)
        failing(ReferenceError, lambda: lib.call_kept(1.0))()

    check_flat(use, lib.call_kept, None, count=SLOW)


def test_storm_of_threads(compile_c):
    lib = Declared(compile_c).lib
    wrong = []

    def work(k):
        for i in range(300):
            callback = ffi.callback("double (double)", lambda x: x + k)
            if lib.apply(callback, float(i)) != i + k:
                wrong.append((k, i))
            if i % 10 == 0 and lib.in_thread(callback, float(i)) != i + k:
                wrong.append((k, i, "thread"))
            if i % 25 == 0:
                failing(KeyError, lambda: lib.apply(raising, 1.0))()
            del callback

    def raising(x):
        raise KeyError(x)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    gc.collect()
    assert not wrong
    assert not any(thread.is_alive() for thread in threads)
