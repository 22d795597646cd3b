"""Calls every public callable with odd objects; test_fuzz.py runs it in a process of its own.

Run as ``fuzzer.py seed rounds library log``. Addresses are trusted, so that those which are neither
NULL nor impossible are of living memory, and those of functions go with their own CIF only.
"""

from __future__ import annotations

import array
import copy
import ctypes
import itertools
import mmap
import os
import pickle
import random
import reprlib
import sys
import warnings
from pathlib import Path

import numpy as np
from checks import STRUCTS
from fuzz_callbacks import CallbackUses
from fuzz_typed import TypedUses, compare
from odd import FakeDtype, Hostile, Integer, Liar, LyingArray, Nameless, Numbers, Text

import ffi

t = ffi.types


class Fuzzer(TypedUses, CallbackUses):
    """Draws calls; `live` is memory between guards whose addresses may be given away."""

    def __init__(self, seed, library_path):
        self.rng = random.Random(seed)
        self.block = np.full(3 * 4096, 0xA5, np.uint8)
        self.live = self.block[4096:8192]
        self.live[:] = 0
        self.library = ffi.dlopen(library_path)
        closed = ffi.dlopen(library_path)
        ffi.dlclose(closed)
        self.handles = [self.library, closed, ffi.dlopen()]
        pair = ffi.struct([("a", t.int), ("p", t.pointer)], "pair")
        self.types = [
            *t.values(),
            pair,
            ffi.struct([("x", pair), ("s", "S3"), ("m", np.dtype(("f4", (2, 2))))]),
            ffi.union([("i", t.int), ("d", t.longdouble), ("pair", pair)]),
            ffi.struct([("bytes", np.dtype((np.uint8, 100_000)))]),
        ]
        named = ("int8", "uint64", "bool", "char", "float", "longdouble", "pointer")
        self.pairs = [
            (ffi.CIF(t[name], t[name]), ffi.dlsym(self.library, f"echo_{name}")) for name in named
        ]
        self.pairs += [
            (ffi.CIF(t.int, t.int, t.int), ffi.dlsym(self.library, "add_int")),
            (ffi.CIF(t.int), ffi.dlsym(self.library, "answer")),
            (ffi.CIF(t.void), ffi.dlsym(self.library, "count_call")),
        ]
        self.functions = [lambda r, a: None, lambda: None, Hostile(), dict, self.overwrite, len]
        signatures = [cif for cif, _ in self.pairs[:4]]
        signatures += [ffi.CIF(t.void, pair), ffi.CIF(pair, t.double)]
        signatures += [ffi.CIF(t.longdouble, *[t.int] * 9)]
        for cif in signatures:
            dead = ffi.Closure(cif, len)
            self.pairs += [(cif, dead.address), (cif, ffi.Closure(cif, self.pick(self.functions)))]
            del dead
        self.prepare_typed(STRUCTS, library_path)

    def overwrite(self, rvalue, avalues):
        rvalue[:] = b"\xff" * len(rvalue)
        self.kept = rvalue[:1] if self.rng.random() < 0.3 else None

    def pick(self, items):
        return self.rng.choice(items)

    def make_one(self, *makers):
        """Call one of the functions."""
        return self.pick(makers)()

    # --- odd objects

    def bad_address(self):
        return self.pick([0, -1, -(2**63), -(2**64), 2**64, 2**64 + 5, 2**200])

    def live_address(self, room=0):
        return self.live.ctypes.data + self.rng.randrange(0, self.live.size - room)

    def integer(self):
        value = self.pick([*range(-3, 70), 127, 128, 255, 256, 65535, 65536])
        if self.rng.random() < 0.4:
            value = self.pick((1, -1)) * 2 ** self.pick((31, 32, 63, 64, 200)) + self.pick(
                (-1, 0, 1)
            )
        if abs(value) < 2**63 and self.rng.random() < 0.3:
            return self.pick((float, np.int64, bool))(value)
        return self.pick((int, int, Integer))(value)

    def released(self):
        view = memoryview(bytearray(8))
        view.release()
        return view

    def closed(self):
        pages = mmap.mmap(-1, 64)
        pages.close()
        return pages

    def data(self):
        """Draw a buffer of some kind, whose bytes are zeros."""
        size = self.pick([0, 1, 3, 4, 7, 8, 8, 16, 16, 24, 32, 64, 200, 20_000])
        words = np.zeros(-(-size // 8) + 2, np.uint64)
        kind = self.pick(["i4,f8", "S8", "U2", "M8[s]", "V8", "O"])
        return self.make_one(
            lambda: bytearray(size),
            lambda: bytes(size),
            lambda: memoryview(bytearray(size)),
            lambda: memoryview(bytearray(size + 9))[1:],
            lambda: memoryview(bytearray(2 * size + 2))[::2],
            self.released,
            self.closed,
            lambda: mmap.mmap(-1, size or 1),
            lambda: array.array(self.pick("bBhHiIlLqQfd"), bytes(size - size % 8)),
            lambda: (ctypes.c_double * (size // 8))(),
            lambda: (ctypes.py_object * 2)(),
            lambda: words,
            lambda: words[::2],
            lambda: words.view(words.dtype.newbyteorder()),
            lambda: words.view(np.uint8)[3:],
            lambda: words.reshape(1, -1, 1),
            lambda: np.broadcast_to(np.uint8(0), size),
            lambda: np.zeros((), self.pick("bhilfdgFDGO?")),
            lambda: np.zeros(size // 8, kind),
            lambda: np.ma.masked_array(words),
            lambda: self.pick([words, words[::2], np.zeros(size // 8, kind)]).view(LyingArray),
            lambda: ffi.view(self.live_address(128), np.uint8, 128),
        )

    def dtype(self):
        named = [">i4", "<i4", "O", "M8[s]", "void*", "unsigned long", "", "f8", "S4", *t]
        classes = [np.float32, np.complex128, np.generic, np.void, np.ndarray, int, float, object]
        specs = ["i4,f8", [], (np.int8, (3, 0)), (np.int8, 3), object]
        return self.make_one(
            lambda: self.pick(self.types),
            lambda: self.pick(self.types),
            lambda: self.pick(named),
            lambda: self.pick(classes),
            lambda: np.dtype(self.pick(specs)),
            lambda: np.dtype("i4,f8", align=True),
            FakeDtype,
        )

    def thing(self, depth=0):
        """Draw any object."""
        odd = [
            None,
            ...,
            NotImplemented,
            Hostile(),
            Liar(),
            Nameless(),
            object(),
            type,
            range(5),
            set(),
        ]
        texts = ["", "x", "int", "little", "big", "\0", "\ud800", Text("int"), "é"]
        numbers = [0.0, -1.5, float("nan"), 1e308, np.inf, 3j, np.longdouble("1e4000")]
        scalars = [np.float16(1), np.str_("x"), np.datetime64(1, "s"), np.void(b"abc")]
        ours = [ffi, ffi.types, ffi.sizeof, ffi.abi, ffi.CIF, ffi.Type, ffi.call]
        ours += [ffi.Function, ffi.Record, *self.structs]
        makers = [
            self.integer,
            self.integer,
            self.bad_address,
            self.live_address,
            self.data,
            self.data,
            self.dtype,
            lambda: self.pick(self.pairs)[0],
            lambda: self.pick(self.handles),
            self.packed,
            lambda: ffi.Closure(self.pick(self.pairs)[0], len),
            lambda: self.pick(odd),
            lambda: self.pick(texts),
            lambda: self.pick([b"", b"x", b"\0", b"int", bytes(8)]),
            lambda: self.pick(numbers),
            lambda: self.pick(scalars),
            lambda: self.pick(ours),
            lambda: self.pick([len, itertools.count(), iter(()), Numbers()]),
            lambda: self.pick(self.typed),
            lambda: self.pick(self.pointers),
            self.record,
        ]
        if depth < 3:
            makers += [
                lambda: self.some(depth),
                lambda: tuple(self.some(depth)),
                lambda: {self.pick(["a", "b", "p", 3]): item for item in self.some(depth)},
                lambda: [(f"m{i}", self.dtype()) for i in range(self.rng.randrange(5))],
            ]
            if depth == 0:
                makers.append(lambda: [self.thing(3)] * self.pick([100, 1025, 20_000]))
        return self.make_one(*makers)

    def some(self, depth=0):
        return [self.thing(depth + 1) for _ in range(self.pick([0, 1, 2, 2, 3]))]

    def some_dtypes(self):
        return [self.dtype() for _ in range(self.rng.randrange(5))]

    def unless(self, kinds):
        while isinstance(thing := self.thing(), kinds):
            pass
        return thing

    def packed(self):
        cif, _ = self.pick(self.pairs)
        while True:
            try:
                return cif.pack(*(self.pick([self.integer(), b"x", (1, 2)]) for _ in cif.atypes))
            except ffi.Error:
                cif, _ = self.pick(self.pairs)

    def address_or_thing(self):
        thing = self.unless(int | np.integer | Integer)
        return self.pick([self.bad_address(), self.live_address(), thing])

    # --- calls

    def raw_call(self):
        cif, fn = self.pick(self.pairs)
        rvalue = self.make_one(self.data, lambda: np.zeros(64, np.uint8))
        live = np.array([self.live.ctypes.data + 64 * i for i in range(12)], np.uintp)
        avalues = self.make_one(
            self.packed,
            self.data,
            lambda: live,
            lambda: bytearray(live),
            lambda: live[: self.rng.randrange(12)],
            lambda: live * np.uintp(self.rng.random() < 0.5),
            lambda: [np.zeros(2, np.longdouble) for _ in cif.atypes],
            lambda: [self.data() for _ in cif.atypes],
            self.some,
        )
        spoiled = self.rng.randrange(8)
        if spoiled == 0:
            cif = self.unless(ffi.CIF)
        elif spoiled == 1:
            # Of the addresses that look like one, only those above are of functions.
            callables = int | np.integer | Integer | ffi.Closure | ffi.Function | ffi.Pointer
            fn = self.make_one(self.bad_address, lambda: self.unless(callables))
        elif spoiled == 2:
            rvalue = self.thing()
        keywords = {"release_gil": self.thing()} if self.rng.random() < 0.2 else {}
        return ffi.call, (cif, fn, rvalue, avalues), keywords

    def memory(self):
        offset = self.make_one(lambda: (), lambda: (self.thing(),), lambda: (0, self.thing()))
        limit = self.make_one(lambda: (), lambda: (self.thing(),))
        return self.make_one(
            lambda: (ffi.read, (self.dtype(), self.data(), *offset)),
            lambda: (ffi.read, (self.thing(), self.thing(), *offset)),
            lambda: (ffi.write, (self.dtype(), self.data(), self.thing(), *offset)),
            lambda: (ffi.write, (self.thing(), self.thing(), self.thing(), *offset)),
            lambda: (ffi.read_pointer, (self.thing(), *offset)),
            lambda: (ffi.write_pointer, (self.data(), self.thing(), *offset)),
            lambda: (ffi.write_pointer, (self.thing(), self.thing(), *offset)),
            lambda: (ffi.addressof, (self.thing(),)),
            lambda: (ffi.string, (self.address_or_thing(), *limit)),
            lambda: (ffi.view, (self.address_or_thing(), self.dtype(), self.thing())),
            lambda: (
                ffi.view,
                (self.live_address(64), self.dtype(), ()),
                {"owner": self.thing(), "readonly": self.pick([True, False])},
            ),
        )

    def make(self):
        number = self.make_one(tuple, lambda: (self.integer(),), lambda: (self.pick([*range(9)]),))
        variadic = self.make_one(
            dict, lambda: {"variadic": self.some_dtypes()}, lambda: {"variadic": self.thing()}
        )
        aggregate, measure = (
            self.pick([ffi.struct, ffi.union]),
            self.pick([ffi.sizeof, ffi.alignof]),
        )
        blank = self.pick(
            [ffi.Type, ffi.Arguments, ffi.Handle, ffi.Pointer, ffi.Record, ffi.Library]
        )
        return self.make_one(
            lambda: (ffi.CIF, (*number, *self.some_dtypes()), variadic),
            lambda: (ffi.CIF, tuple(self.some()), variadic),
            lambda: (aggregate, (self.thing(),)),
            lambda: (aggregate, (self.thing(), self.thing())),
            lambda: (aggregate, ([(f"m{i}", x) for i, x in enumerate(self.some_dtypes())],)),
            lambda: (ffi.Closure, (self.pick(self.pairs)[0], self.pick(self.functions))),
            lambda: (ffi.Closure, (self.thing(), self.thing())),
            lambda: (measure, (self.thing(),)),
            lambda: (blank, tuple(self.some())),
            lambda: (blank.__new__, (blank, *self.some())),
        )

    def methods(self):
        cif, _ = self.pick(self.pairs)
        table = self.pick([ffi.types, ffi.sizeof, ffi.alignof, ffi.abi])
        thing = self.make_one(self.thing, self.packed, lambda: cif, lambda: ffi.Closure(cif, len))
        public = [name for name in dir(type(thing)) if not name.startswith("_")]
        lookup = self.pick([table.__getitem__, table.get, table.__contains__])
        ask = self.pick([hash, repr, memoryview, len])
        value = self.pick([cif, table, *self.types])
        return self.make_one(
            lambda: (cif.pack, tuple(self.thing() for _ in cif.atypes)),
            lambda: (cif.pack, tuple(self.some())),
            lambda: (cif.unpack, (self.make_one(self.thing, self.data),)),
            lambda: (lookup, (thing,)),
            lambda: (setattr, (table, "int", thing)),
            lambda: (getattr, (thing, self.pick(public or ["x"]))),
            lambda: (setattr, (thing, self.pick(["address", "cif", "name"]), None)),
            lambda: (ask, (thing,)),
            lambda: (self.pick([copy.copy, copy.deepcopy, pickle_round]), (value,)),
            lambda: (compare, (value, thing)),
        )

    def linker(self):
        names = [None, "libm.so.6", "/no/such", b"libc.so.6", Path("/etc")]
        modes = [(), (), (os.RTLD_NOW,), (os.RTLD_LAZY | os.RTLD_GLOBAL,), (0,), (-1,), (2**40,)]
        return self.make_one(
            lambda: (ffi.dlopen, (self.pick(names), *self.pick(modes))),
            lambda: (ffi.dlopen, (self.thing(), *self.pick(modes))),
            lambda: (ffi.dlopen, (None, self.unless(int | np.integer | Integer))),
            lambda: (ffi.dlsym, (self.pick(self.handles), self.pick(["abs", "add_int"]))),
            lambda: (ffi.dlsym, (self.pick(self.handles), self.thing())),
            lambda: (ffi.dlsym, (self.thing(), self.thing())),
            lambda: (ffi.dlclose, (self.pick([self.handles[1], ffi.dlopen()]),)),
            lambda: (ffi.dlclose, (self.unless(ffi.Handle),)),
        )

    def run(self, rounds, log):
        """Make so many calls and return how many were not refused."""
        worked = 0
        kinds = [self.raw_call, self.raw_call, self.memory, self.memory, self.make, self.methods]
        kinds += [self.linker, self.typed_call, self.typed_call, self.typed_function]
        kinds += [self.use_pointer, self.use_record, self.use_callback, self.use_callback]
        for number in range(rounds):
            function, arguments, *keywords = self.make_one(*kinds)
            text = f"{number}: {describe(function)} {describe(arguments)} {describe(keywords)}"
            os.pwrite(log, text.encode("utf-8", "replace")[:4000].ljust(4000, b"\0"), 0)
            try:
                function(*arguments, **(keywords[0] if keywords else {}))
                worked += 1
            except Exception as exc:
                check(exc)
            if number % 1000 == 0:
                self.check_state()
        self.check_state()
        return worked

    def check_state(self):
        assert set(self.block[:4096]) == set(self.block[8192:]) == {0xA5}
        cif = ffi.CIF(t.int, t.int, t.int)
        rvalue = bytearray(ffi.sizeof.ffi_arg)
        ffi.call(cif, ffi.dlsym(self.library, "add_int"), rvalue, cif.pack(40, 2))
        assert cif.unpack(rvalue) == 42
        self.live[:] = 0


def pickle_round(value):
    same = pickle.loads(pickle.dumps(value))
    assert same is value or same == value
    return same


def check(exc):
    """Fail for what says that an extension module is broken, or that a check here failed."""
    if isinstance(exc, SystemError | AssertionError):
        raise exc


def describe(thing):
    try:
        return reprlib.repr(thing)
    except Exception:
        return object.__repr__(thing)


def main(seed, rounds, library, log):
    sys.unraisablehook = lambda unraisable: None
    warnings.simplefilter("ignore")
    fuzzer = Fuzzer(int(seed), library)
    worked = fuzzer.run(int(rounds), os.open(log, os.O_CREAT | os.O_WRONLY))
    print(worked, int(rounds) - worked)


if __name__ == "__main__":
    main(*sys.argv[1:])
