"""What libffi gets wrong: each fault is answered as the C compiler does, or refused."""

from __future__ import annotations

import platform
import sys

import numpy as np
import pytest
from checks import DIRECT, refused, run_python

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg
MACHINE = platform.machine()
X86_64 = MACHINE in ("x86_64", "AMD64")
AARCH64 = MACHINE in ("aarch64", "arm64")
MIXED = ffi.struct([("c", t.int8), ("d", t.double)], "struct mixed")
WIDE = ffi.struct([("items", np.dtype((np.int64, 5)))], "struct wide")
SINGLE = ffi.struct([("value", t.longdouble)], "struct single")

x86_64 = pytest.mark.skipif(not X86_64, reason="a fault of x86-64")
linux = pytest.mark.skipif(sys.platform != "linux", reason="memory protections of Linux")


def call(cif, fn, *values):
    rvalue = np.zeros(max(WORD, cif.rtype.size) // 8 + 1, np.longdouble)
    ffi.call(cif, fn, rvalue, cif.pack(*values))
    return cif.unpack(rvalue)


def refuses(*types, variadic=None):
    """Tell whether this libffi is known to get a signature wrong."""
    try:
        ffi.CIF(*types, variadic=variadic)
    except NotImplementedError:
        return True
    return False


# --- a struct of an INTEGER and an SSE eightbyte after five integers (libffi issue 574)

LOST = [
    ("take_after_five", t.float, [*[t.char] * 5, t.float, MIXED], [1, 2, 3, 4, 5, 6.5, (7, 8.25)]),
    (
        "take_before_float",
        t.double,
        [t.double, t.complex_float, *[t.char] * 5, MIXED],
        [0.5, 1 + 2j, 1, 2, 3, 4, 5, (7, 8.25)],
    ),
]
EXPECTED = {"take_after_five": 6530.25, "take_before_float": 0.5 + 10 + 200 + 15 + 7 + 8.25}


@pytest.mark.parametrize(("name", "rtype", "atypes", "values"), LOST, ids=lambda x: str(x)[:20])
def test_register_lost_after_five_integers(symbol, name, rtype, atypes, values):
    if refuses(rtype, *atypes):
        with refused(NotImplementedError, match=r"struct mixed after five .*\(libffi issue 574"):
            ffi.CIF(rtype, *atypes)
        assert X86_64
        assert not DIRECT
    else:
        assert call(ffi.CIF(rtype, *atypes), symbol(name), *values) == EXPECTED[name]


@x86_64
@pytest.mark.parametrize(
    ("rtype", "atypes"),
    [
        (t.void, [*[t.char] * 5, MIXED, t.float]),
        (t.void, [*[t.char] * 4, t.float, MIXED]),
        (t.void, [*[t.char] * 6, t.float, MIXED]),
        (t.void, [*[t.char] * 5, *[t.double] * 8, MIXED]),
        (t.void, [*[t.char] * 5, t.double, ffi.struct([("d", t.double), ("i", t.int)])]),
        (SINGLE.fields[0][1], [*[t.char] * 4, t.float, MIXED]),
        (WIDE, [*[t.char] * 3, t.float, MIXED]),
    ],
)
def test_neighbours_of_the_lost_register_are_not_refused(rtype, atypes):
    cif = ffi.CIF(rtype, *atypes)
    assert cif.atypes == tuple(atypes)


@x86_64
def test_both_forms_of_the_lost_register_are_refused_alike(symbol):
    # A hidden result pointer is an integer argument, and variadic arguments count.
    plain = refuses(t.void, *[t.char] * 5, t.float, MIXED)
    assert refuses(WIDE, *[t.char] * 4, t.float, MIXED) == plain
    assert refuses(t.void, *[t.int] * 5, variadic=[t.double, MIXED]) == plain
    assert refuses(t.void, *[t.pointer] * 5, t.double, ffi.struct([("m", MIXED)])) == plain


# --- a struct of more than 16 bytes overwrites its entry of avalues


@pytest.mark.parametrize("release_gil", [True, False])
def test_avalues_are_not_overwritten(symbol, release_gil):
    cif = ffi.CIF(t.int64, WIDE, WIDE)
    left, right = np.arange(10, dtype=np.int64).reshape(2, 5)
    avalues = np.array([left.ctypes.data, right.ctypes.data], np.uintp)
    before = avalues.tobytes()
    expected = int(left.sum() - 2 * right.sum())
    fn = symbol("sum_two_wide")
    args = cif.pack((left.tolist(),), (right.tolist(),))
    packed = bytes(args)
    as_bytes, as_view = bytearray(before), memoryview(bytearray(before))
    for _ in range(2):
        for given in (avalues, as_bytes, as_view, args, [left, right]):
            rvalue = np.zeros(1, np.int64)
            ffi.call(cif, fn, rvalue, given, release_gil=release_gil)
            assert rvalue[0] == expected
    assert avalues.tobytes() == bytes(as_bytes) == bytes(as_view) == before
    assert bytes(args) == packed
    assert left.tolist() == list(range(5))
    assert right.tolist() == list(range(5, 10))


def test_addresses_of_a_closure_are_of_the_callers_copy(symbol):
    cif = ffi.CIF(t.int64, WIDE, WIDE)

    def function(rvalue, avalues):
        ffi.view(avalues[0], np.int64, 5)[:] = -1
        ffi.write(t.int64, rvalue, int(ffi.view(avalues[1], np.int64, 5).sum()))

    left = np.arange(5, dtype=np.int64)
    rvalue = np.zeros(1, np.int64)
    ffi.call(cif, ffi.Closure(cif, function), rvalue, [left, np.ones(5, np.int64)])
    assert (rvalue[0], left.tolist()) == (5, list(range(5)))


# --- struct { long double } as a result

NESTED_SINGLE = ffi.struct([("inner", SINGLE)], "struct nested_single")
ARRAY_OF_ONE = ffi.struct([("items", np.dtype((np.longdouble, (1,))))], "struct array_of_one")


@pytest.mark.parametrize("type", [SINGLE, NESTED_SINGLE, ARRAY_OF_ONE], ids=lambda s: s.name)
def test_result_of_one_long_double(symbol, type):
    if refuses(type, t.int):
        with refused(NotImplementedError, match=rf"CIF\(\): libffi loses .* returns {type.name}"):
            ffi.CIF(type, t.int)
        assert X86_64
        assert not DIRECT
    else:
        cif = ffi.CIF(type, t.int)
        # More often than there are x87 registers, should one be left on their stack.
        for value in range(20):
            assert call(cif, symbol("make_single"), value).tobytes()[:10] == raw(value)
        closure = ffi.Closure(cif, lambda rvalue, _: ffi.write(type, rvalue, from_longdouble(type)))
        for _ in range(20):
            assert call(cif, closure, 0).tobytes()[:10] == raw(np.longdouble(1) / 3)
    assert ffi.CIF(t.void, type).atypes == (type,)


def raw(value):
    """Return the bytes of a long double that hold its value on x86."""
    return np.longdouble(value).tobytes()[:10]


def from_longdouble(type):
    """Make a value of a struct of one long double."""
    return np.array(np.longdouble(1) / 3).view(type.dtype)[()]


def test_argument_of_one_long_double(symbol):
    cif = ffi.CIF(t.longdouble, SINGLE)
    third = np.longdouble(1) / 3
    for _ in range(20):
        assert call(cif, symbol("take_single"), (third,)) == 2 * third


# --- a struct over 16 bytes that is aligned to 16, on the stack of AArch64

LONGDOUBLES = ffi.struct([("items", np.dtype((np.longdouble, 2)))], "struct longdoubles")
SPILLED = [*range(1, 10), ([10.0, 100.0],)]


def test_aligned_struct_on_the_stack(symbol):
    types = [t.int64, *[t.long] * 9, LONGDOUBLES]
    if refuses(*types):
        with refused(NotImplementedError, match="struct longdoubles"):
            ffi.CIF(*types)
        assert AARCH64
        assert not DIRECT
    else:
        assert call(ffi.CIF(*types), symbol("after_eight"), *SPILLED) == 45 + 210


# --- unions and bit-fields


NUMBER = ffi.union([("i", t.int), ("d", t.double)], "union number")
BITS = ffi.struct([("low", t.int, 3), ("high", t.uint, 29), ("c", t.uchar)], "struct bits")
ODD = [
    NUMBER,
    ffi.struct([("n", NUMBER), ("i", t.int)], "struct holder"),
    ffi.struct([("items", (NUMBER, 2))], "struct numbers"),
    BITS,
    ffi.union([("bits", BITS), ("f", t.float)], "union of_bits"),
]


@pytest.mark.parametrize("type", ODD, ids=lambda type: type.name)
def test_unions_and_bit_fields_by_value(type):
    for types in ((type,), (t.int, type), (t.int, t.int, type)):
        if DIRECT:
            assert ffi.CIF(*types).path == "direct"
        else:
            with refused(
                NotImplementedError, match=r"CIF\(\): argument .* by value; pass its addr"
            ):
                ffi.CIF(*types)
    if not DIRECT:
        with refused(NotImplementedError, match=r"CIF\(\): argument 'variadic': .* by value"):
            ffi.CIF(t.int, t.int, variadic=[type])


needs_direct = pytest.mark.skipif(not DIRECT, reason="refused through libffi")


@needs_direct
@pytest.mark.parametrize(("member", "value"), [("i", -3), ("d", 0.25)])
def test_union_by_value(symbol, member, value):
    cif = ffi.CIF(NUMBER, t.int, NUMBER)
    assert call(cif, symbol("twice_number"), member == "d", {member: value})[member] == 2 * value


@needs_direct
def test_bit_fields_by_value(symbol):
    cif = ffi.CIF(BITS, BITS)
    result = call(cif, symbol("next_bits"), (-4, 2**29 - 2, 255))
    assert (result["low"], result["high"], result["c"]) == (-3, 2**29 - 1, 0)


# --- bytes beyond an argument (libffi reads whole registers in places)

GUARDED = """
import sys, mmap, ffi, numpy as np
t = ffi.types
libc, library = ffi.dlopen(), ffi.dlopen(sys.argv[1])
pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
end = ffi.addressof(pages) + mmap.PAGESIZE
protect = ffi.CIF(t.int, t.pointer, t.size_t, t.int)
rvalue = bytearray(8)
ffi.call(protect, ffi.dlsym(libc, "mprotect"), rvalue, protect.pack(end, mmap.PAGESIZE, 0))
assert protect.unpack(rvalue) == 0
three = ffi.struct([("bytes", np.dtype((np.uint8, 3)))])
floats = ffi.struct([(name, t.float) for name in "xyz"])
for name, rtype, atype, value, expected in (
    ("next_uchar", t.uchar, t.uchar, 255, 0),
    ("echo_int16", t.int16, t.int16, -2, -2),
    ("echo_bool", t.bool, t.bool, True, True),
    ("echo_float", t.float, t.float, 0.5, 0.5),
    ("sum_three", t.int64, three, ([1, 2, 3],), 6),
    ("sum_floats", t.float, floats, (0.5, 1.5, 2.5), 4.5),
):
    cif = ffi.CIF(rtype, atype)
    last = ffi.view(end - atype.size, np.uint8, atype.size, owner=pages)
    ffi.write(atype, last, value)
    fn = ffi.dlsym(library, name)
    by_address = np.array([end - atype.size], np.uintp)
    for avalues in (by_address, [last]):
        ffi.call(cif, fn, rvalue, avalues)
        assert cif.unpack(rvalue) == expected, name
print("done")
"""


@linux
def test_no_byte_beyond_an_argument_is_read(cases):
    assert run_python(GUARDED, cases) == "done\n"


# --- closures of a forked child

FORK = """
import os, sys, ffi
t = ffi.types
libc = ffi.dlopen()
cif = ffi.CIF(t.int)

def function(value):
    return lambda rvalue, avalues: ffi.write(t.int, rvalue, value)

def run(closure):
    result = bytearray(ffi.sizeof.ffi_arg)
    ffi.call(cif, closure, result, None)
    return cif.unpack(result)

def protect():
    # From now on no memory becomes executable (PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN).
    prctl = ffi.CIF(t.int, t.int, *[t.ulong] * 4)
    result = bytearray(ffi.sizeof.ffi_arg)
    ffi.call(prctl, ffi.dlsym(libc, "prctl"), result, prctl.pack(65, 1, 0, 0, 0))
    assert prctl.unpack(result) == 0

if "mdwe" in sys.argv:
    protect()

def in_child(body):
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        body()
        code = 0
    except BaseException as exc:
        print(repr(exc), flush=True)
        code = 1
    os._exit(code)

def make_more():
    more = [ffi.Closure(cif, function(i)) for i in range(300)]
    assert [run(closure) for closure in more] == list(range(300))
"""

FREED_BY_A_CHILD = """
def body():
    # Those of the parent work here too; then they die, and their code is wanted for new ones.
    assert [run(closure) for closure in closures] == list(range(2000))
    closures.clear()
    try:
        make_more()
    except NotImplementedError as exc:
        assert isinstance(exc, ffi.Error) and "fork" in str(exc), exc
        assert "mdwe" in sys.argv or "late" in sys.argv
        assert cif.path == "libffi"

if "late" in sys.argv:
    first = ffi.Closure(cif, function(-1))
    protect()
closures = [ffi.Closure(cif, function(i)) for i in range(2000)]
assert in_child(body) == 0
assert [run(closure) for closure in closures] == list(range(2000))
make_more()
print("done")
"""

FIRST_IN_A_CHILD = """
def body():
    make_more()
    make_more()

assert in_child(body) == 0
make_more()
print("done")
"""


def mdwe_is_known():
    # PR_GET_MDWE; an emulator may not know it, whatever the kernel's release.
    if sys.platform != "linux":
        return False
    prctl, result = ffi.CIF(t.int, t.int, *[t.ulong] * 4), bytearray(ffi.sizeof.ffi_arg)
    ffi.call(prctl, ffi.dlsym(ffi.dlopen(), "prctl"), result, prctl.pack(66, 0, 0, 0, 0))
    return prctl.unpack(result) >= 0


needs_mdwe = pytest.mark.skipif(not mdwe_is_known(), reason="no PR_SET_MDWE (Linux 6.3)")


@pytest.mark.parametrize(
    ("code", "mode"),
    [
        pytest.param(FREED_BY_A_CHILD, "plain", id="freed"),
        pytest.param(FIRST_IN_A_CHILD, "plain", id="first"),
        pytest.param(FREED_BY_A_CHILD, "mdwe", id="freed-mdwe", marks=needs_mdwe),
        pytest.param(FIRST_IN_A_CHILD, "mdwe", id="first-mdwe", marks=needs_mdwe),
        pytest.param(FREED_BY_A_CHILD, "late", id="freed-late-mdwe", marks=needs_mdwe),
    ],
)
def test_closures_and_fork(code, mode):
    assert run_python(FORK + code, mode) == "done\n"
