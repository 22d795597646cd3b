"""Direct calls: which signatures take that path, the limits of a frame, and what is touched."""

from __future__ import annotations

import os
import pickle
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checks import DIRECT, plain, refused, run_python

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg
MAX_STACK = 16384
MAX_THUNKS = 65536

pytestmark = pytest.mark.skipif(not DIRECT, reason="no direct calls here")


def call(cif, fn, *values):
    rvalue = np.zeros(max(WORD, cif.rtype.size) // 8 + 1, np.longdouble)
    ffi.call(cif, fn, rvalue, cif.pack(*values))
    return cif.unpack(rvalue)


# --- the path


def of_bytes(size, name=None):
    return ffi.struct([("bytes", (t.byte, size))], name)


def test_path():
    cif = ffi.CIF(t.int, t.int)
    assert cif.path == pickle.loads(pickle.dumps(cif)).path == "direct"
    assert ffi.CIF(t.int, t.pointer, variadic=[t.double]).path == "direct"
    with pytest.raises(AttributeError):
        cif.path = "libffi"


@pytest.mark.parametrize(
    "members",
    [
        [("x", t.float), (None, t.int, 5)],
        [("x", t.float), (None, t.int, 32), ("y", t.float)],
        [("x", t.double), (None, t.int, 32), (None, t.int, 32)],
        [(None, t.uint, 32), ("x", t.double)],
        [("i", t.short), ("s", ffi.struct([(None, t.uint64, 64), ("c", t.char, 8)]))],
    ],
)
def test_compilers_disagree_about_unnamed_bit_fields(members):
    struct = ffi.struct(members)
    if platform.machine() == "x86_64":
        nested = (t.void, t.int, ffi.struct([("s", struct)]))
        for types in ((struct,), (t.void, struct), nested):
            with refused(
                NotImplementedError, match=r"CIF\(\): compilers disagree .* unnamed bit-f"
            ):
                ffi.CIF(*types)
    else:
        assert ffi.CIF(t.void, struct).path == "direct"


def test_compilers_disagree_about_unnamed_bit_fields_of_no_bits_in_unions():
    union = ffi.union([("x", t.double), (None, t.ptrdiff_t, 0), ("y", (t.double, 2))])
    with refused(NotImplementedError, match=r"CIF\(\): compilers disagree .* unnamed bit-f"):
        ffi.CIF(t.void, union)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="of eightbytes")
def test_compilers_disagree_about_unnamed_bit_fields_on_the_stack():
    full = [t.void, *[t.double] * 8, *[t.int] * 6]
    with refused(NotImplementedError, match=r"CIF\(\): compilers disagree"):
        ffi.CIF(*full, ffi.struct([(None, t.uint, 32), ("x", t.double)]))


def test_compilers_agree_about_other_unnamed_bit_fields():
    for members in (
        [("low", t.int, 3), (None, t.int, 5), ("high", t.int, 8)],
        [("x", t.long), (None, t.long, 0)],
        [("i", t.int), (None, t.int, 5), ("x", t.double)],
        [("x", (t.double, 3)), (None, t.int, 5)],
    ):
        assert ffi.CIF(t.void, ffi.struct(members)).path == "direct"


@pytest.mark.skipif("win64" not in ffi.abi or "unix64" not in ffi.abi, reason="x86-64 only")
def test_other_conventions_go_through_libffi():
    assert ffi.CIF(ffi.abi.win64, t.int, t.int).path == "libffi"
    assert ffi.CIF(ffi.abi.unix64, t.int, t.int).path == "direct"


@pytest.mark.parametrize(
    ("setting", "path"), [("1", "libffi"), ("yes", "libffi"), ("0", "direct"), ("", "direct")]
)
def test_environment(monkeypatch, setting, path):
    monkeypatch.setenv("FFI_NO_DIRECT", setting)
    code = """
import ffi
cif, rvalue = ffi.CIF("int", "int"), bytearray(8)
ffi.call(cif, ffi.dlsym(ffi.dlopen(), "abs"), rvalue, cif.pack(-5))
closure = ffi.Closure(cif, lambda r, a: ffi.write("int", r, 6))
assert cif.unpack(rvalue) == 5
ffi.call(cif, closure, rvalue, cif.pack(-5))
print(cif.path, cif.unpack(rvalue))
"""
    assert run_python(code) == f"{path} 6\n"


LOW_LEVEL = ["test_call", "test_closure", "test_closure_life", "test_faults", "test_pack"]


def test_everything_works_through_libffi():
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *(folder / f"{name}.py" for name in LOW_LEVEL)],
        env={**os.environ, "FFI_NO_DIRECT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert re.search(r"\n[1-9]\d\d+ passed", done.stdout)


# --- frames

# A struct of 24 bytes takes three words of the stack on x86-64; on AArch64 a word for its address
# and 32 bytes for its copy.
MANY = {
    "long": (t.long, "long", "a{}"),
    "double": (t.double, "double", "(long)a{}"),
    "int8": (t.int8, "signed char", "a{}"),
    "longdouble": (t.longdouble, "long double", "(long)a{}"),
    "complex_float": (
        t.complex_float,
        "float _Complex",
        "(long)__real__ a{0} + (long)__imag__ a{0}",
    ),
    "pair": (ffi.struct([("x", t.int), ("y", t.float)]), "struct pair", "a{0}.x + (long)a{0}.y"),
    "three": (ffi.struct([(n, t.long) for n in "xyz"]), "struct three", "a{0}.x + a{0}.y + a{0}.z"),
}
COUNTS = {"longdouble": [1000], "three": [1, 7, 300], "pair": [1, 15, 1000]}


def value_of(ctype, i):
    """Return a value and what C makes of it."""
    if ctype.fields and len(ctype.fields) == 3:
        return (i, -2 * i, 5), 5 - i
    if ctype.fields:
        return (i, 3.0), i + 3
    if ctype is t.complex_float:
        return complex(i, 1), i + 1
    return (i % 100, i % 100) if ctype is t.int8 else (i, i)


@pytest.fixture(scope="module")
def many(compile_c):
    lines = ["struct pair { int x; float y; };", "struct three { long x, y, z; };"]
    for name, (_, c_name, term) in MANY.items():
        for count in COUNTS.get(name, [0, 1, 6, 7, 8, 9, 15, 16, 1000]):
            arguments = ", ".join(f"{c_name} a{i}" for i in range(count)) or "void"
            total = " + ".join(f"{i + 1} * ({term.format(i)})" for i in range(count)) or "0"
            lines.append(f"long {name}_{count}({arguments}) {{ return {total}; }}")
    return ffi.dlopen(compile_c("\n".join(lines), "many", "-O1"))


@pytest.mark.parametrize(
    ("name", "count"),
    [(name, n) for name in MANY for n in COUNTS.get(name, [0, 1, 6, 7, 8, 9, 15, 16, 1000])],
)
def test_many_arguments(many, name, count):
    ctype = MANY[name][0]
    cif = ffi.CIF(t.long, *[ctype] * count)
    assert cif.path == "direct"
    values = [value_of(ctype, i) for i in range(count)]
    expected = sum((i + 1) * value for i, (_, value) in enumerate(values))
    assert call(cif, ffi.dlsym(many, f"{name}_{count}"), *(v for v, _ in values)) == expected

    seen = []

    def function(rvalue, avalues):
        seen.extend(plain(ffi.read(ctype, ffi.view(a, np.uint8, ctype.size))) for a in avalues)
        ffi.write(t.long, rvalue, -count)

    assert call(cif, ffi.Closure(cif, function), *(v for v, _ in values)) == -count
    assert seen == [v for v, _ in values]


@pytest.mark.parametrize(("size", "path"), [(MAX_STACK, "direct"), (MAX_STACK + 1, "libffi")])
def test_largest_frame(compile_c, size, path):
    library = ffi.dlopen(
        compile_c(
            "#include <string.h>\n"
            f"struct large {{ unsigned char bytes[{size}]; }};\n"
            "struct large reversed(int n, struct large s) { struct large r;\n"
            f"  for (int i = 0; i < {size}; i++) r.bytes[i] = s.bytes[{size} - 1 - i] + n;\n"
            "  return r; }\n",
            f"large_{size}",
        )
    )
    large = of_bytes(size)
    cif = ffi.CIF(large, t.int, large)
    assert cif.path == path
    data = np.random.default_rng(7).integers(0, 256, size, np.uint8)
    result = call(cif, ffi.dlsym(library, "reversed"), 3, (data.tolist(),))
    assert (result["bytes"] == data[::-1] + np.uint8(3)).all()


def test_frames_add_up():
    half = of_bytes(MAX_STACK // 2)
    assert ffi.CIF(half, half, half).path == "direct"
    assert ffi.CIF(half, half, half, of_bytes(17)).path == "libffi"
    huge = ffi.union([("bytes", (t.byte, MAX_STACK + 1))], "union huge")
    with refused(NotImplementedError, match="argument type 1: libffi cannot pass union huge"):
        ffi.CIF(t.int, t.int, huge)


# --- registers


@pytest.mark.parametrize("name", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
def test_small_integers_fill_a_register(symbol, name):
    # clang takes an argument's register as it is; the callee here reads all of it.
    ctype = getattr(t, name)
    info = np.iinfo(name)
    cif = ffi.CIF(t.int64, ctype)
    for value in (info.min, -1 if info.min else 1, info.max):
        storage = np.full(16, 0x5A, np.uint8)
        storage[:8].view(name)[0] = value
        rvalue = np.zeros(1, np.int64)
        ffi.call(cif, symbol("echo_int64"), rvalue, [storage])
        assert rvalue[0] == value


@pytest.mark.parametrize("name", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "bool"])
def test_results_carry_garbage_above_their_size(symbol, name):
    cif = ffi.CIF(getattr(t, name), t.int64)
    garbage = 0x5A5A5A5A5A5A5A5A
    expected = garbage & (256 ** ffi.sizeof[name] - 1)
    rvalue = np.zeros(1, np.int64)
    ffi.call(cif, symbol("echo_int64"), rvalue, cif.pack(garbage))
    # In storage, a small integer is widened.
    assert rvalue[0] == expected
    assert cif.unpack(rvalue) == (name == "bool" or expected)


def test_x87_registers_are_left_empty(symbol):
    # The stack of eight overflows into not-a-number where one is left.
    cif = ffi.CIF(t.complex_longdouble, t.complex_longdouble)
    value = np.clongdouble(1 + 2j) / 3

    def function(rvalue, avalues):
        ffi.write(t.complex_longdouble, rvalue, value)

    closure = ffi.Closure(cif, function)
    for _ in range(20):
        assert call(cif, symbol("echo_complex_longdouble"), value) == value
        assert call(cif, closure, value) == value


# --- bytes beyond a value

GUARDED = """
import sys, mmap, ffi, numpy as np
t = ffi.types
libc, library = ffi.dlopen(), ffi.dlopen(sys.argv[1])
protect = ffi.CIF(t.int, t.pointer, t.size_t, t.int)
done = bytearray(8)

def guarded():
    # Two pages; the second must not be touched.
    pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    end = ffi.addressof(pages) + mmap.PAGESIZE
    ffi.call(protect, ffi.dlsym(libc, "mprotect"), done, protect.pack(end, mmap.PAGESIZE, 0))
    assert protect.unpack(done) == 0
    return pages, end

(left, argument_end), (right, result_end) = guarded(), guarded()
for name, ctype in TYPES.items():
    size = ctype.size
    cif = ffi.CIF(ctype, ctype)
    assert cif.path == "direct"
    value = ((np.arange(size) * 7 + 3) % 256).astype(np.uint8)
    if "x87" in name:
        value = np.frombuffer(np.longdouble(1) / 3, np.uint8)
    space = max(size, 8)
    for fn in ffi.dlsym(library, name), ffi.Closure(cif, echo(ctype)):
        for before in 0x00, 0xAA:
            # As near to the page as the alignment allows.
            ffi.view(argument_end - size, np.uint8, size)[:] = value
            result = ffi.view(result_end - 64, np.uint8, 64)
            result[:] = before
            alignment = max(8, ctype.alignment)
            rvalue = ffi.view((result_end - space) // alignment * alignment, np.uint8, space)
            avalues = np.array([argument_end - size], np.uintp)
            ffi.call(cif, fn, rvalue, avalues)
            start = 64 - (result_end - ffi.addressof(rvalue))
            used = 10 if "x87" in name else size
            assert (rvalue[:used] == value[:used]).all(), (name, rvalue)
            assert (result[:start] == before).all(), name
            assert (result[start + space:] == before).all(), name
            if "scalar" not in name:
                assert (rvalue[size:] == before).all(), (name, rvalue)
            assert (ffi.view(argument_end - size, np.uint8, size) == value).all()
print("done")
"""
ECHO = """
def echo(ctype):
    def function(rvalue, avalues):
        rvalue[:] = bytes(ffi.view(avalues[0], np.uint8, ctype.size))
    return function
"""
TYPES = """
import ffi, numpy as np
t = ffi.types
TYPES = {f"bytes{n}": ffi.struct([("b", (t.byte, n))]) for n in range(1, 41)}
TYPES |= {f"ints{n}": ffi.struct([("i", (t.int, n))]) for n in range(1, 8)}
TYPES |= {f"floats{n}": ffi.struct([("f", (t.float, n))]) for n in range(1, 8)}
TYPES["mixed"] = ffi.struct([("d", t.double), ("b", (t.byte, 3))])
TYPES["other"] = ffi.struct([("i", t.int), ("f", t.float), ("d", t.double)])
TYPES["scalar_short"] = t.short
TYPES["scalar_uchar"] = t.uchar
TYPES["scalar_float"] = t.float
TYPES["x87_scalar"] = t.longdouble
TYPES["x87_struct"] = ffi.struct([("x", t.longdouble)])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory protections of Linux")
def test_no_byte_too_many_is_touched(compile_c):
    names = {
        **{f"bytes{n}": f"struct {{ unsigned char b[{n}]; }}" for n in range(1, 41)},
        **{f"ints{n}": f"struct {{ int i[{n}]; }}" for n in range(1, 8)},
        **{f"floats{n}": f"struct {{ float f[{n}]; }}" for n in range(1, 8)},
        "mixed": "struct { double d; unsigned char b[3]; }",
        "other": "struct { int i; float f; double d; }",
        "scalar_short": "short",
        "scalar_uchar": "unsigned char",
        "scalar_float": "float",
        "x87_scalar": "long double",
        "x87_struct": "struct { long double x; }",
    }
    source = "\n".join(
        f"typedef {text} t_{name}; t_{name} {name}(t_{name} x) {{ return x; }}"
        for name, text in names.items()
    )
    code = TYPES + ECHO + GUARDED
    assert run_python(code, compile_c(source, "guarded")) == "done\n"


# --- code


def test_landing_pads(symbol):
    closure = ffi.Closure(ffi.CIF(t.int), lambda rvalue, avalues: None)
    pads = {"x86_64": "f30f1efa", "aarch64": "5f2403d5"}
    assert ffi.string(closure.address, 4).hex() == pads[platform.machine()]


def test_code_is_not_in_memory_made_at_run_time():
    closure = ffi.Closure(ffi.CIF(t.int), lambda rvalue, avalues: None)
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, stop = (int(bound, 16) for bound in line.split()[0].split("-"))
        if start <= closure.address < stop:
            assert line.split()[1].startswith("r-x")
            assert "_direct" in line
            break
    else:
        pytest.fail("the code is nowhere")


def test_stack_is_not_executable():
    from ffi import _direct

    text = subprocess.run(
        ["readelf", "-lW", _direct.__file__], capture_output=True, text=True, check=True
    ).stdout
    (line,) = [line for line in text.splitlines() if "GNU_STACK" in line]
    assert " RW " in line
    assert "RWE" not in line


FRAMES = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <string.h>
/* The frames between here and the process' start, which is in libc; 0 if that is not found. */
int frames(void)
{
    void *addresses[1000];
    int n = backtrace(addresses, 1000);
    for (int i = n; i-- > 0;) {
        Dl_info info;
        if (dladdr(addresses[i], &info) && strstr(info.dli_fname, "libc.so"))
            return n;
    }
    return 0;
}
"""

UNWOUND = """
import sys, ffi
t = ffi.types
library = ffi.dlopen(sys.argv[1])
cif = ffi.CIF(t.int)
stacked = ffi.CIF(t.int, *[t.longdouble] * 20)

def frames(cif, fn):
    rvalue = bytearray(8)
    ffi.call(cif, fn, rvalue, cif.pack(*[1.0] * len(cif.atypes)))
    return cif.unpack(rvalue)

def through(cif):
    def function(rvalue, avalues):
        ffi.write(t.int, rvalue, frames(cif, ffi.dlsym(library, "frames")))
    return ffi.Closure(cif, function)

plain = frames(cif, ffi.dlsym(library, "frames"))
assert plain > 3
assert frames(stacked, ffi.dlsym(library, "frames")) > 3
assert frames(cif, through(cif)) > plain + 3
assert frames(stacked, through(stacked)) > plain + 3
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="backtrace of glibc")
def test_the_stack_can_be_unwound(compile_c):
    assert run_python(UNWOUND, compile_c(FRAMES, "frames", "-g")) == "done\n"


# --- more closures than thunks

FULL = """
import gc, re, ffi
t = ffi.types
cif = ffi.CIF(t.int)
def answer(value):
    return lambda rvalue, avalues: ffi.write(t.int, rvalue, value)
def run(closure):
    result = bytearray(ffi.sizeof.ffi_arg)
    ffi.call(cif, closure, result, None)
    return cif.unpack(result)
def is_libffis(closure):
    return not range_of[0] <= closure.address < range_of[1]
number = ffi.union([("i", t.int), ("f", t.float)], "union number")
odd = ffi.CIF(number)
kept = ffi.Closure(odd, lambda rvalue, avalues: ffi.write(t.int, rvalue, 3))
range_of = kept.address, kept.address + 16 * COUNT
closures = [ffi.Closure(cif, answer(i)) for i in range(COUNT + 1000)]
assert sum(map(is_libffis, closures)) == 1001
assert [run(closure) for closure in closures] == list(range(COUNT + 1000))
try:
    ffi.Closure(odd, kept.function)
except NotImplementedError as exc:
    expected = rf"Closure\\(\\): all code of {COUNT} closures is in use, and: .* union number by"
    assert re.match(expected, str(exc)), exc
    assert isinstance(exc, ffi.Error)
else:
    raise AssertionError("a union came through libffi")
# What dies is used again, whatever it is made of.
addresses = {closure.address for closure in closures}
del closures
gc.collect()
again = [ffi.Closure(cif, answer(-i)) for i in range(COUNT - 2000)]
assert {closure.address for closure in again} <= addresses
assert [run(closure) for closure in again] == [-i for i in range(COUNT - 2000)]
print("done")
"""


def test_more_closures_than_thunks():
    assert run_python(FULL.replace("COUNT", str(MAX_THUNKS))) == "done\n"
