"""Draws uses of typed functions, pointers, records and libraries, for the fuzzer.

Only pointers whose memory is known are read through, so that nothing goes astray: those of `new`
and their casts. What functions return and what pointer members hold may be any address.
"""

from __future__ import annotations

import copy
import ctypes
import inspect
import pickle
import re

import numpy as np
from odd import Hostile, Integer

import ffi

t = ffi.types
PROTOTYPES = [
    *(f"{name}_t echo_{name}({name}_t x)" for name in ("int8", "uint8", "int16", "uint16")),
    *(f"{name}_t echo_{name}({name}_t x)" for name in ("int32", "uint32", "int64", "uint64")),
    "_Bool echo_bool(_Bool x)",
    "char echo_char(char x)",
    "float echo_float(float x)",
    "double echo_double(double x)",
    "long double echo_longdouble(long double x)",
    "float _Complex echo_complex_float(float _Complex x)",
    "double _Complex echo_complex_double(double _Complex x)",
    "long double _Complex echo_complex_longdouble(long double _Complex x)",
    "struct mixed echo_mixed(struct mixed x)",
    "struct three echo_three(struct three x)",
    "struct nested echo_nested(struct nested x)",
    "struct wide echo_wide(struct wide x)",
    "struct longdoubles echo_longdoubles(struct longdoubles x)",
    "struct bits next_bits(struct bits b)",
    "union number twice_number(int is_double, union number n)",
    # They hand the address back, and do not look.
    *(
        f"{pointer}echo_pointer({pointer}x)"
        for pointer in (
            "void *",
            "const void *",
            "char *",
            "const char *",
            "const unsigned char *",
            "double *",
            "const int *",
            "struct mixed *",
            "const struct node *",
            "void **",
            "struct unknown *",
        )
    ),
    "int add_int(int a, int b)",
    "int answer(void)",
    "void count_call(void)",
    "void destroy(void *object)",
    "struct wide make_wide(int64_t first)",
    "int64_t sum_two_wide(struct wide a, struct wide b)",
    "float take_after_five(char a, char b, char c, char d, char e, float f, struct mixed m)",
    "double take_before_float(double x, float _Complex z, char, char, char, char, char e, "
    "struct mixed m)",
    "int64_t after_eight(long a, long b, long c, long d, long e, long f, long g, long h, long i, "
    "struct longdoubles s)",
]
ARRAYS = [
    "void *echo_array(const double x[n], int64_t n, int64_t m, void *y)",
    "void *echo_array(double x[n], int64_t n, int64_t m, const double y[n])",
    "void *echo_array(const int x[n][m], int64_t n, int64_t m, const char y[m])",
    "void *echo_array(const char x[n], int64_t n, int64_t m, const double y[2 * n + m])",
    "void *echo_array(const double x[static m], int64_t n, int64_t m, double y[m & 7])",
    "void *echo_array(const double x[1], int64_t n, int64_t m, struct mixed y[n & 7][3])",
    "void *echo_array(const char *const x[n], int64_t n, int64_t m, int *y)",
    "void *echo_array(int (*x)(int, int), int64_t n, int64_t m, const uint8_t y[m / n])",
    "int echo_first(int x, ...)",
]
PIECES = [
    "(",
    ")",
    ",",
    "*",
    "[",
    "]",
    "const ",
    "struct ",
    "int ",
    "...",
    ";",
    "0x",
    "\0",
    "é",
    " ",
]


class TypedUses:
    """What the fuzzer draws here; it has the odd objects."""

    def prepare_typed(self, structs, library_path):
        node = ffi.struct({"value": "int", "next": "void *", "name": "const char *"}, "node")
        bits = ffi.struct([("low", t.int, 3), ("high", t.uint, 29), ("c", t.uchar)], "bits")
        number = ffi.union({"i": "int", "d": "double"}, "number")
        self.structs = [*structs.values(), node, bits, number]
        self.typed_libraries = [
            ffi.dlopen(library_path, release_gil=flag) for flag in (True, False)
        ]
        self.typed = []
        for library in self.typed_libraries:
            library.types.update({f"struct {name}": kind for name, kind in structs.items()})
            library.types.update({"struct node": node, "struct bits": bits, "union number": number})
            for text, out in [
                *((text, ()) for text in (*PROTOTYPES, *ARRAYS)),
                *(
                    (text, ["y"])
                    for text in ARRAYS
                    if re.search(r", (double|int|struct mixed) \*?y", text)
                ),
            ]:
                try:
                    function = library.function(text, out=out)
                except NotImplementedError:
                    # Where calls go through libffi, it cannot pass everything by value.
                    continue
                self.typed += [function, ffi.Function(function, errcheck=self.check_result)]
        closed = ffi.dlopen(library_path)
        self.typed.append(closed.function("int add_int(int a, int b)"))
        ffi.dlclose(closed)
        self.destructors = [f for f in self.typed if f.__name__ == "destroy"]
        self.destructors += [self.typed_libraries[0].destroy.address]
        self.pointers = [ffi.new(kind) for kind in ("int", "double", ("char", 20), *self.structs)]

    def check_result(self, result, function, args):
        """Be an errcheck of some kind."""
        kind = self.rng.randrange(6)
        if kind == 0:
            raise LookupError("errcheck")
        if kind == 1:
            return ffi.check_errno(result, function, args)
        if kind == 2:
            return function, args
        return result

    # --- values

    def owned(self):
        """Draw a Pointer to memory that is known."""
        if self.rng.random() < 0.3:
            made = self.make_one(
                lambda: ffi.new(self.pick(["int", "double", "void *", ("char", 5), ("int", 3)])),
                lambda: ffi.new(self.pick(self.structs)),
                lambda: ffi.gc(self.pick(self.pointers), self.pick(self.destructors)),
            )
            self.pointers[self.rng.randrange(len(self.pointers))] = made
        pointer = self.pick(self.pointers)
        if self.rng.random() < 0.3:
            kinds = ["void *", "char *", "const int *", "double *", "const char *", "void **"]
            pointer = pointer.cast(self.pick(kinds))
        return pointer

    def usable(self, draw):
        """Draw again if a pointer was released, or points at nothing that can be read."""
        while True:
            try:
                return draw()
            except (TypeError, ValueError):
                pass

    def record(self):
        def draw():
            value = self.owned()[0]
            if not isinstance(value, ffi.Record):
                raise TypeError
            return value

        return self.usable(draw)

    def value_of(self, kind, depth=0):
        """Draw what may do for a type."""
        if self.rng.random() < 0.06 or depth > 4:
            return self.thing(2)
        name = kind.name
        if kind.target is not None:
            return self.make_one(
                lambda: None,
                self.data,
                lambda: self.usable(self.owned),
                lambda: np.zeros(3, self.pick(["f8", "i4", "u1", "u8", "S1"])),
                lambda: (ctypes.c_double * 3)(),
                lambda: self.pick([b"text", "text", b"", "é"]),
                self.record,
                lambda: self.pick(self.typed),
                self.live_address,
            )
        if kind.fields:
            values = [self.value_of(member, depth + 1) for _, member, _ in kind.fields]
            named = {field: value for (field, _, _), value in zip(kind.fields, values, strict=True)}
            if self.rng.random() < 0.1:
                named.pop(self.pick(list(named)))
            one = self.pick(list(named.items() or [("i", 1)]))
            return self.make_one(
                lambda: tuple(values),
                lambda: named,
                lambda: dict([one]),
                lambda: self.usable(lambda: ffi.new(kind)[0]),
                lambda: np.zeros(1, kind.dtype)[0],
                self.record,
            )
        if name.startswith(("int", "uint", "_Bool", "bool", "long long")) or name in (
            "long",
            "short",
        ):
            return self.make_one(
                lambda: self.rng.randrange(100), lambda: True, lambda: np.int8(3), self.integer
            )
        if name == "char":
            return self.pick([b"x", "x", 70, b"", "é", b"xy", -1, 200])
        if kind.dtype is not None and kind.dtype.subdtype is not None:
            item, shape = kind.dtype.subdtype
            return self.pick([np.zeros(shape, item), [0] * shape[0], np.zeros(shape), ()])
        return self.pick([1.5, 3, np.float32(2), np.longdouble(1), 1j, 1e300, np.inf, True, "1"])

    def arguments(self, function):
        kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
        given = [
            self.value_of(kind)
            for kind, how in zip(function.atypes, kinds, strict=False)
            if how not in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_POSITIONAL)
        ]
        if inspect.Parameter.VAR_POSITIONAL in kinds:
            given += self.some()
            if self.rng.random() < 0.5:
                kind = self.pick([*self.structs, t.int, t.double, t.char])
                given.append((kind, self.value_of(kind)))
        return given

    # --- uses

    def typed_call(self):
        function, keywords = self.pick(self.typed), {}
        args = self.arguments(function)
        spoiled = self.rng.randrange(12)
        if spoiled == 0:
            args = self.some()
        elif spoiled == 1:
            args.append(self.thing())
        elif spoiled == 2:
            del args[-1:]
        elif spoiled == 3:
            keywords = {self.pick(["x", "a", "b", "none", "é"]): self.thing()}
        elif spoiled > 8:
            for name, parameter in inspect.signature(function).parameters.items():
                if parameter.kind is inspect.Parameter.KEYWORD_ONLY and self.rng.random() < 0.5:
                    keywords[name] = self.make_one(
                        lambda: 3, lambda: None, lambda: np.zeros(3), self.data, self.thing
                    )
        elif spoiled < 6:
            names = list(inspect.signature(function).parameters)
            while args and len(args) <= len(names) and self.rng.random() < 0.7:
                keywords[names[len(args) - 1]] = args.pop()
        return function, args, keywords

    def typed_function(self):
        function = self.pick(self.typed)
        text = list(self.pick([*PROTOTYPES, *ARRAYS]))
        for _ in range(self.rng.randrange(3)):
            place = self.rng.randrange(len(text))
            text[place : place + self.rng.randrange(4)] = self.pick(PIECES)
        text = "".join(text)
        options = self.make_one(
            dict,
            dict,
            lambda: {"release_gil": self.thing()},
            lambda: {"out": self.make_one(self.thing, lambda: ["y"], lambda: ["x", self.thing()])},
            lambda: {"errcheck": self.make_one(self.thing, lambda: len, Hostile)},
        )
        library = self.make_one(lambda: ffi.dlopen(None), lambda: self.pick(self.typed_libraries))
        return self.make_one(
            lambda: (ffi.Function, (function, text), options),
            lambda: (ffi.Function, (self.live_address(), text), options),
            lambda: (ffi.Function, (self.thing(), *self.some_dtypes()), options),
            lambda: (ffi.Function, (function.address, self.thing()), options),
            lambda: (ffi.Function, tuple(self.some()), options),
            # Not of the libraries whose functions are called: it would declare them anew.
            lambda: (ffi.dlopen(None).function, (text,), options),
            lambda: (ffi.dlopen(None).function, ("abs", *self.some_dtypes()), options),
            lambda: (ffi.dlopen(None).function, tuple(self.some()), options),
            lambda: (library.__getitem__, (self.thing(),)),
            lambda: (setattr, (library, "abs", self.thing())),
            lambda: (ffi.dlopen(None).types.__setitem__, (self.thing(), self.thing())),
            lambda: (ffi.dlopen(None).types.update, ({text: self.dtype()},)),
            lambda: (self.pick([hash, repr, inspect.signature, pickle_same]), (function,)),
            lambda: (self.pick([copy.copy, copy.deepcopy]), (self.pick([function, library]),)),
            lambda: (ffi.find_library, (self.unless(str),)),
            lambda: (ffi.set_errno, (self.thing(),)),
            lambda: (ffi.check_errno, (self.thing(), self.thing(), self.thing())),
        )

    def use_pointer(self):
        pointer, other = self.usable(self.owned), self.usable(self.owned)
        target = pointer.type.target
        index = self.make_one(lambda: 0, lambda: 0, self.thing)
        kinds = ["int *", "const void *", "struct x *", "int", "*", "double **"]
        return self.make_one(
            lambda: (pointer.__getitem__, (index,)),
            lambda: (pointer.__setitem__, (index, self.value_of(target))),
            lambda: (pointer.__setitem__, (index, self.thing())),
            lambda: (pointer.view, (self.pick([(), 0, 1, 3, (2, 2), -1, 2**62, Integer(1)]),)),
            lambda: (pointer.view, (self.thing(),)),
            lambda: (pointer.string, ()),
            lambda: (pointer.string, (self.thing(),)),
            lambda: (pointer.cast, (self.make_one(self.thing, lambda: self.pick(kinds)),)),
            lambda: (pointer.release, ()),
            lambda: (enter_and_leave, (pointer, self.pick([ValueError, None]))),
            lambda: (self.pick([hash, repr, bool, len, iter, copy.copy, pickle.dumps]), (pointer,)),
            lambda: (compare, (pointer, self.make_one(self.thing, lambda: other))),
            lambda: (ffi.new, (self.make_one(self.dtype, lambda: self.pick(self.structs)),)),
            lambda: (ffi.new, (self.dtype(), self.thing())),
            lambda: (ffi.new, (target, self.value_of(target))),
            lambda: (ffi.new, (pointer.type, self.value_of(pointer.type))),
            lambda: (ffi.gc, (pointer, self.pick(self.destructors))),
            # A destructor is called: of addresses none but those above will do.
            lambda: (ffi.gc, (self.thing(), self.pick([0, -1, 2**64, None, 1.5, b"", len]))),
            lambda: (ffi.gc, (pointer, self.pick(self.typed))),
        )

    def use_record(self):
        record = self.record()
        fields = record.type.fields or [("none", t.int, 0)]
        name, member, _ = self.pick(fields)
        name = self.make_one(*[lambda: name] * 8, self.thing)
        text = name if isinstance(name, str) else "none"
        value = self.make_one(
            lambda: self.value_of(member), lambda: self.value_of(member), self.thing
        )
        return self.make_one(
            lambda: (record.__getitem__, (name,)),
            lambda: (record.__setitem__, (name, value)),
            lambda: (getattr, (record, text)),
            lambda: (setattr, (record, text, value)),
            lambda: (delattr, (record, text)),
            lambda: (self.pick([hash, repr, dir, len, iter, np.asarray, memoryview]), (record,)),
            lambda: (self.pick([copy.copy, copy.deepcopy, pickle_same]), (record,)),
            lambda: (compare, (record, self.make_one(self.thing, self.record))),
            lambda: (ffi.new, (record.type, record)),
            lambda: (ffi.addressof, (record,)),
            lambda: (ffi.read, (record.type, record)),
            lambda: (ffi.write, (record.type, record, self.value_of(record.type))),
        )


def pickle_same(value):
    same = pickle.loads(pickle.dumps(value))
    assert type(same) is type(value)
    return same


def compare(left, right):
    return left == right, left != right


def enter_and_leave(pointer, error):
    with pointer:
        if error is not None:
            raise error
