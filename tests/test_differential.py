"""Random signatures, called, as functions, closures and callbacks, against the C compilers.

``FFI_DIFF_SIGNATURES`` says how many signatures, and half as many with unions and bit-fields,
``FFI_DIFF_SEED`` which ones; ``CC`` and ``FFI_DIFF_CFLAGS`` choose one compiler and its flags
instead of all. The C side holds every expected value as a constant.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import c_types
import numpy as np
import pytest
import signatures
from checks import DIRECT
from compiler import configurations
from signatures import Signature

import ffi

TOTAL = int(os.environ.get("FFI_DIFF_SIGNATURES", "2000"))
SEED = os.environ.get("FFI_DIFF_SEED", "20240607")
PER_FILE = 170
GENERATORS = {
    "scalars": (TOTAL, signatures.random_signature),
    "unions": (-(-TOTAL // 2), signatures.random_aggregate_signature),
}
SHOWN = 5
CANARY = 0xC5
RED_ZONE = 32

# Elsewhere a variadic function may find its arguments in other places than a closure does.
VARIADIC_CLOSURES = signatures.X86_64 or (signatures.AARCH64 and sys.platform == "linux")


@dataclass
class Chunk:
    """The signatures of one C file, compiled."""

    name: str
    signatures: list[Signature]
    library: Any
    log: Path
    compiled_with: str

    def address(self, symbol: str) -> int:
        """Return a symbol's address."""
        return ffi.dlsym(self.library, symbol)

    def reset(self) -> None:
        """Forget what the C side has recorded."""
        self.variable("calls", np.intc)[()] = 0
        self.variable("failed", np.intc)[()] = 0

    def variable(self, name: str, dtype: Any, shape: tuple[int, ...] = ()) -> np.ndarray:
        """View a variable of the C side."""
        return ffi.view(self.address(name), dtype, shape)

    def recorded(self, leaves: list[tuple[str, c_types.Leaf]]) -> list[str]:
        """Say which scalar the C side found wrong, if any."""
        number = int(self.variable("failed", np.intc)[()]) - 1
        if number < 0:
            return []
        name, leaf = leaves[number]
        raw = self.variable("seen", np.uint8, (64,)).tobytes()
        if isinstance(leaf.type, c_types.Real | c_types.Complex | c_types.Address):
            came = leaf.type.decode(raw)
        else:
            signed = leaf.type.dtype.kind in "iS"
            came = int.from_bytes(raw[:8], sys.byteorder, signed=signed)  # widened by C
        return [f"{name}{leaf.path}: C expected {leaf.value!r}, got {came!r:.60}"]

    def report(self, problems: Callable[[Chunk, Signature], list[str]]) -> None:
        """Look for problems in every signature and fail with the first few."""
        failures = []
        for s in self.signatures:
            self.log.write_text(f"{s}\n")  # what ran last, should the process die
            try:
                found = problems(self, s)
            except ffi.Error as error:
                found = [f"{type(error).__name__}: {error}"]
            if found:
                lines = "\n".join(f"    {line}" for line in [*str(s).splitlines(), *found])
                where = f"seed {SEED}, chunk {self.name}, index {s.index}, {self.compiled_with}"
                failures.append(f"{where}:\n{lines}")
        if failures:
            pytest.fail(
                f"{len(failures)} of {len(self.signatures)} signatures are wrong\n"
                + "\n".join(failures[:SHOWN]),
                pytrace=False,
            )


CHUNKS = [
    "chosen",
    *(
        f"{name}-{i}"
        for name, (total, _) in GENERATORS.items()
        for i in range(-(-total // PER_FILE))
    ),
]


@pytest.fixture(scope="module", params=CHUNKS)
def chunk(request: pytest.FixtureRequest, compile_c: Callable[..., Path]) -> Chunk:
    """Make and compile the signatures of one C file."""
    rng = random.Random(f"{SEED}-{request.param}")
    if request.param == "chosen":
        drawn = signatures.chosen_signatures(rng)
    else:
        name, _, number = request.param.partition("-")
        total, draw = GENERATORS[name]
        drawn = [draw(rng, i) for i in range(min(PER_FILE, total - PER_FILE * int(number)))]
    return make_chunk(request.param, drawn, compile_c, CHUNKS.index(request.param))


def make_chunk(
    name: str, drawn: list[Signature], compile_c: Callable[..., Path], number: int
) -> Chunk:
    """Compile signatures; the compilers and their flags take turns."""
    compiler, flags = configurations()[number % len(configurations())]
    path = compile_c(signatures.c_source(drawn), f"signatures_{name}", *flags, compiler=compiler)
    compiled_with = " ".join([compiler, *flags])
    chunk = Chunk(name, drawn, ffi.dlopen(path), path.with_suffix(".running"), compiled_with)
    if "clang" in compiler:
        # Its callers lose half of a float _Complex in a union with struct { float; long; }: such
        # calls have no right answer.
        wrong = [s for s in drawn if own_call_problems(chunk, s)]
        assert len(wrong) <= 2, f"clang disagrees with itself on {len(wrong)} signatures"
        chunk.signatures = [s for s in drawn if s not in wrong]
    return chunk


def make_cif(s: Signature) -> Any:
    """Make the CIF; None if it is refused for a documented fault of libffi."""
    rtype = s.rtype.ffi_type if s.rtype else ffi.types.void
    atypes = [t.ffi_type for t in s.atypes]
    try:
        if s.variadic:
            return ffi.CIF(rtype, *atypes[: s.fixed], variadic=atypes[s.fixed :])
        return ffi.CIF(rtype, *atypes)
    except ffi.errors.FFINotImplementedError:
        if signatures.refusal(s) is None:
            raise
        return None


# --- calls


class Result:
    """A result buffer of exactly the size that is asked for, between two red zones."""

    def __init__(self, rtype: c_types.CType | None) -> None:
        self.size = max(rtype.dtype.itemsize if rtype else 0, ffi.sizeof.ffi_arg)
        self.storage = aligned(self.size + 2 * RED_ZONE)
        self.storage[:] = CANARY
        self.rvalue = self.storage[RED_ZONE : RED_ZONE + self.size]

    def problems(self, cif: Any, s: Signature) -> list[str]:
        """Compare what came back with the constant, byte by byte and unpacked."""
        before, after = self.storage[:RED_ZONE], self.storage[RED_ZONE + self.size :]
        found = []
        if (before != CANARY).any() or (after != CANARY).any():
            found.append("result: bytes outside rvalue were written")
        raw, unpacked = self.rvalue.tobytes(), cif.unpack(self.rvalue)
        if s.rtype is None:
            return found if unpacked is None else [*found, f"unpack gave {unpacked!r} for void"]
        if isinstance(s.rtype, c_types.Struct):
            if type(unpacked) is not np.void:
                return [*found, f"unpack gave a {type(unpacked)} for a struct"]
            found += differences(s.result_leaves(), raw)
            return found + record_differences(s.result_leaves(), unpacked)
        if not s.rtype.same(unpacked, s.result):
            found.append(f"unpack: expected {s.result!r}, got {unpacked!r}")
        if isinstance(s.rtype, c_types.Integer | c_types.Boolean):
            # Small results fill a whole ffi_arg, in native byte order.
            signed = s.rtype.dtype.kind == "i"
            widened = int.from_bytes(raw, sys.byteorder, signed=signed)
            return found if widened == s.result else [*found, f"ffi_arg holds {widened}"]
        if isinstance(s.rtype, c_types.Character):
            low = int.from_bytes(raw, sys.byteorder) & 0xFF
            return found if low == s.result[0] else [*found, f"ffi_arg holds {low}"]
        return found + differences(s.result_leaves(), raw)


def aligned(size: int) -> np.ndarray:
    """Make an array of bytes at a multiple of 64."""
    storage = np.full(size + 128, 0x5A, np.uint8)
    start = -ffi.addressof(storage) % 64
    return storage[start : start + size]


def differences(leaves: list[tuple[str, c_types.Leaf]], raw: bytes) -> list[str]:
    """Compare the scalars of one value with its bytes in memory."""
    found = []
    for name, leaf in leaves:
        came = leaf.load(raw)
        if not leaf.type.same(came, leaf.value):
            found.append(f"{name}{leaf.path}: expected {leaf.value!r}, got {came!r:.60}")
    return found


def record_differences(leaves: list[tuple[str, c_types.Leaf]], record: np.void) -> list[str]:
    """Compare the scalars of one value with the fields of a record."""
    found = []
    for name, leaf in leaves:
        came = record
        for member, index in re.findall(r"\.(\w+)|\[(\d+)\]", leaf.path):
            came = came[member or int(index)]
        came = leaf.type.load(np.asarray(came).tobytes(), 0)
        if not leaf.type.same(came, leaf.value):
            found.append(f"unpacked {name}{leaf.path}: expected {leaf.value!r}, got {came!r:.60}")
    return found


def stored(ctype: c_types.CType, value: Any) -> np.ndarray:
    """Store a value scalar by scalar, with noise between its members."""
    storage = aligned(ctype.dtype.itemsize)
    storage[:] = 0x5A
    for leaf in ctype.leaves(value):
        leaf.store(storage)
    return storage.view(ctype.ffi_type.dtype)


def argument_sets(cif: Any, s: Signature) -> Iterator[tuple[str, Any]]:
    """List the ways in which arguments can be given."""
    storage = [stored(t, v) for t, v in zip(s.atypes, s.values, strict=True)]
    yield "values", cif.pack(*s.values)
    records = [
        array[0] if isinstance(ctype, c_types.Struct) else value
        for ctype, array, value in zip(s.atypes, storage, s.values, strict=True)
    ]
    yield "records", cif.pack(*records)
    unpacked = [
        ffi.read(ctype.ffi_type, array) if isinstance(ctype, c_types.Struct) else value
        for ctype, array, value in zip(s.atypes, storage, s.values, strict=True)
    ]
    yield "unpacked records", cif.pack(*unpacked)
    yield "mappings", cif.pack(*map(as_mapping, s.atypes, s.values))
    yield "buffers", storage
    pointers = np.zeros(len(storage), np.uintp)
    for i, array in enumerate(storage):
        ffi.write_pointer(pointers, array, i * pointers.itemsize)
    yield "pointers", pointers


def as_mapping(ctype: c_types.CType, value: Any) -> Any:
    """Turn the tuples of a struct's value into dicts."""
    if isinstance(ctype, c_types.Array):
        return [as_mapping(ctype.element, item) for item in value]
    if isinstance(ctype, c_types.Struct):
        items = ctype.items(value).items()
        return {name: as_mapping(ctype.named[name], item) for name, item in items}
    return value


def snapshot(s: Signature, arguments: Any) -> list[bytes]:
    """Copy all storage: the pointer array and each argument."""
    if isinstance(arguments, list):
        return [array.tobytes() for array in arguments]
    pointers = np.frombuffer(arguments, np.uintp) if s.atypes else np.zeros(0, np.uintp)
    values = [
        ffi.view(int(p), np.uint8, (t.dtype.itemsize,)).tobytes()
        for p, t in zip(pointers, s.atypes, strict=True)
    ]
    return [pointers.tobytes(), *values]


def call_problems(chunk: Chunk, s: Signature) -> list[str]:
    """Call one callee in every way and compare both directions with C's constants."""
    if (cif := make_cif(s)) is None:
        return []
    found = []
    for way, arguments in argument_sets(cif, s):
        chunk.reset()
        result = Result(s.rtype)
        before = snapshot(s, arguments)
        ffi.call(cif, chunk.address(f"call_{s.index}"), result.rvalue, arguments)
        problems = chunk.recorded(s.argument_leaves()) + result.problems(cif, s)
        if (calls := int(chunk.variable("calls", np.intc)[()])) != 1:
            problems.append(f"the callee ran {calls} times")
        if snapshot(s, arguments) != before:
            problems.append("the storage of the arguments has changed")
        found += [f"{way}: {problem}" for problem in problems]
    return found


# --- typed calls


def function_problems(chunk: Chunk, s: Signature) -> list[str]:
    """Call one callee as a Function in both of its ways, with tuples and with Records."""
    if s.variadic or (cif := make_cif(s)) is None:
        return []
    found = []
    storage = [stored(t, v) for t, v in zip(s.atypes, s.values, strict=True)]
    records = [
        ffi.new(ctype.ffi_type, array[0])[0] if isinstance(ctype, c_types.Struct) else value
        for ctype, array, value in zip(s.atypes, storage, s.values, strict=True)
    ]
    address = chunk.address(f"call_{s.index}")
    for errcheck in None, lambda result, function, args: result:
        function = ffi.Function(address, cif.rtype, *cif.atypes, errcheck=errcheck)
        for way, arguments in ("values", s.values), ("Records", records):
            chunk.reset()
            problems = result_problems(s, function(*arguments))
            problems += chunk.recorded(s.argument_leaves())
            if (calls := int(chunk.variable("calls", np.intc)[()])) != 1:
                problems.append(f"the callee ran {calls} times")
            kind = "general" if errcheck else "short"
            found += [f"Function, {kind} way, {way}: {problem}" for problem in problems]
    return found


def result_problems(s: Signature, result: Any) -> list[str]:
    """Compare what a Function gave with the constant."""
    return value_problems("result", s.rtype, s.result, result, s.result_leaves())


def value_problems(
    name: str,
    ctype: c_types.CType | None,
    expected: Any,
    value: Any,
    leaves: list[tuple[str, c_types.Leaf]],
) -> list[str]:
    """Compare what came from C as a Python value with the constant."""
    if isinstance(ctype, c_types.Struct):
        if type(value) is not ffi.Record:
            return [f"{name}: a {type(value)} for a struct"]
        raw = ffi.view(ffi.addressof(value), np.uint8, (ctype.dtype.itemsize,)).tobytes()
        return differences(leaves, raw)
    if isinstance(ctype, c_types.Address):
        # NULL is None, and all others are Pointers.
        value = 0 if value is None else value.address
    right = value is None if ctype is None else ctype.same(value, expected)
    return [] if right else [f"{name}: expected {expected!r}, got {value!r:.60}"]


# --- closures


def closure_problems(chunk: Chunk, s: Signature) -> list[str]:
    """Let C call a closure and compare both directions with C's constants."""
    if (s.variadic and not VARIADIC_CLOSURES) or (cif := make_cif(s)) is None:
        return []
    received: list[str] = []
    sizes = []

    def function(rvalue: memoryview, avalues: memoryview) -> None:
        addresses = np.frombuffer(avalues, np.uintp) if s.atypes else ()
        for i, (address, ctype) in enumerate(zip(addresses, s.atypes, strict=True)):
            raw = ffi.view(int(address), np.uint8, (ctype.dtype.itemsize,)).tobytes()
            leaves = [(f"a{i}", leaf) for leaf in ctype.leaves(s.values[i])]
            received.extend(differences(leaves, raw))
        sizes.append(rvalue.nbytes)
        if s.rtype:
            rvalue.cast("B")[:] = stored(s.rtype, s.result).tobytes()

    chunk.reset()
    closure = ffi.Closure(cif, function)
    drive(chunk, s, closure.address)
    found = received + chunk.recorded(s.result_leaves())
    if sizes != [s.rtype.dtype.itemsize if s.rtype else 0]:
        found.append(f"the closure ran {len(sizes)} times, with result sizes {sizes}")
    return found


def callback_problems(chunk: Chunk, s: Signature) -> list[str]:
    """Let C call a callback and compare both directions, with a tuple and with a Record."""
    if s.variadic or (cif := make_cif(s)) is None:
        return []
    found: list[str] = []
    results = {"value": s.result}
    if isinstance(s.rtype, c_types.Struct):
        results["Record"] = ffi.new(s.rtype.ffi_type, stored(s.rtype, s.result)[0])[0]
    for way, result in results.items():
        received: list[str] = []
        calls = []

        def function(
            *arguments: Any,
            received: list[str] = received,
            calls: list[int] = calls,
            given: Any = result,
        ) -> Any:
            calls.append(len(arguments))
            for i, (argument, ctype) in enumerate(zip(arguments, s.atypes, strict=True)):
                leaves = [(f"a{i}", leaf) for leaf in ctype.leaves(s.values[i])]
                received.extend(value_problems(f"a{i}", ctype, s.values[i], argument, leaves))
            return given

        chunk.reset()
        address = chunk.address(f"call_{s.index}")
        callback = ffi.callback(ffi.Function(address, cif.rtype, *cif.atypes), function)
        drive(chunk, s, callback.address)
        problems = received + chunk.recorded(s.result_leaves())
        if calls != [len(s.atypes)]:
            problems.append(f"the callback ran {len(calls)} times")
        found += [f"callback, {way}: {problem}" for problem in problems]
    return found


def drive(chunk: Chunk, s: Signature, function: int) -> None:
    """Let C call a function pointer with the constants of a signature."""
    driver = ffi.CIF(ffi.types.void, ffi.types.pointer)
    ffi.call(driver, chunk.address(f"drive_{s.index}"), None, driver.pack(function))


# --- tests


def test_layouts_are_the_compilers(chunk: Chunk) -> None:
    def problems(chunk: Chunk, s: Signature) -> list[str]:
        def constant(name: str, dtype: Any, count: int) -> np.ndarray:
            return chunk.variable(name, dtype, (count,))

        return [problem for t in s.structs() for problem in c_types.layout_problems(t, constant)]

    chunk.report(problems)


def own_call_problems(chunk: Chunk, s: Signature) -> list[str]:
    """Let C call its own callee with the constants of a signature."""
    if make_cif(s) is None:
        # Where compilers disagree, clang's va_arg disagrees with its own calls.
        return []
    chunk.reset()
    drive(chunk, s, chunk.address(f"call_{s.index}"))
    ran = int(chunk.variable("calls", np.intc)[()])
    return ["C's own call is wrong"] * (ran != 1 or bool(chunk.variable("failed", np.intc)))


def test_c_agrees_with_itself(chunk: Chunk) -> None:
    chunk.report(own_call_problems)


def test_calls(chunk: Chunk) -> None:
    chunk.report(call_problems)


def test_functions(chunk: Chunk) -> None:
    chunk.report(function_problems)


def test_closures(chunk: Chunk) -> None:
    chunk.report(closure_problems)


def test_callbacks(chunk: Chunk) -> None:
    chunk.report(callback_problems)


def test_few_signatures_are_refused(chunk: Chunk) -> None:
    paths = [None if (cif := make_cif(s)) is None else cif.path for s in chunk.signatures]
    if DIRECT:
        # What compilers disagree on is rare.
        assert paths.count("libffi") == 0
        assert 10 * paths.count(None) < len(paths)
    elif not chunk.name.startswith("unions"):
        assert 2 * paths.count(None) < len(paths)


@pytest.mark.skipif(not DIRECT, reason="everything goes through libffi here")
def test_libffi_gives_the_same() -> None:
    environment = {**os.environ, "FFI_NO_DIRECT": "1", "FFI_DIFF_SIGNATURES": str(TOTAL // 10)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "calls: libffi" in done.stdout


@pytest.mark.parametrize("odd", [False, True])
def test_differences_are_noticed(compile_c: Callable[..., Path], odd: bool) -> None:
    rng = random.Random(SEED)
    # First, and without long double: some machines would refuse the struct elsewhere.
    members = [t for t in c_types.SCALARS if "longdouble" not in t.name]
    if odd:
        if not DIRECT:
            pytest.skip("libffi has no unions and bit-fields")
        union = c_types.Union("u", (c_types.INTEGERS[0], c_types.DOUBLE, c_types.FLOAT))
        fields = [c_types.BitField(t, 1 + t.dtype.itemsize) for t in c_types.INTEGERS]
        padding = c_types.BitField(c_types.INTEGERS[0], 0, named=False)
        bits = c_types.Struct("b", (*fields, padding, c_types.BitField(c_types.BOOL, 1)))
        members = [c_types.Array(union, 2), bits]
    structure = c_types.Struct("all", (*members, c_types.Array(c_types.CHAR, 2)))
    right = signatures.make_signature(rng, 0, structure, [structure, *c_types.SCALARS])
    chunk = make_chunk("noticed", [right], compile_c, 0)
    looks = call_problems, function_problems, closure_problems, callback_problems
    assert [look(chunk, right) for look in looks] == [[], [], [], []]

    for i, ctype in enumerate(right.atypes):
        for name, value in alterations(rng, ctype, right.values[i]):
            values = (*right.values[:i], value, *right.values[i + 1 :])
            wrong = replace(right, values=values)
            for problems in [look(chunk, wrong) for look in looks]:
                assert problems
                assert all(f"a{i}{name}:" in problem for problem in problems)
    for name, value in alterations(rng, structure, right.result):
        wrong = replace(right, result=value)
        for problems in [look(chunk, wrong) for look in looks]:
            assert problems
            assert all(f"result{name}:" in problem for problem in problems)


def alterations(rng: random.Random, ctype: c_types.CType, value: Any) -> Iterator[tuple[str, Any]]:
    """Change one scalar of a value at a time; give its path and the changed value."""
    if isinstance(ctype, c_types.Scalar | c_types.BitField):
        while ctype.same(other := ctype.random(rng), value):
            pass
        yield "", other
        return
    if isinstance(ctype, c_types.Struct):
        items = ctype.items(value)
        for name, item in items.items():
            for path, other in alterations(rng, ctype.named[name], item):
                changed = {**items, name: other}
                is_union = isinstance(ctype, c_types.Union)
                yield f".{name}{path}", changed if is_union else tuple(changed.values())
        return
    for i, item in enumerate(value):
        for path, other in alterations(rng, ctype.element, item):
            yield f"[{i}]{path}", [*value[:i], other, *value[i + 1 :]]
