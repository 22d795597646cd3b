"""Variadic calls of typed functions: C's default argument promotions, and types that are said."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
from checks import refused

import ffi

t = ffi.types
SOURCE = """
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
struct pair { double x; long n; };
/* Writes each argument as its letter says. */
int show(char *to, size_t size, const char *kinds, ...)
{
    va_list list;
    int at = 0;
    va_start(list, kinds);
    to[0] = 0;
    for (; *kinds; kinds++) {
        struct pair pair;
        switch (*kinds) {
        case 'i': at += snprintf(to + at, size - at, "i%d ", va_arg(list, int)); break;
        case 'u': at += snprintf(to + at, size - at, "u%u ", va_arg(list, unsigned)); break;
        case 'l': at += snprintf(to + at, size - at, "l%lld ", va_arg(list, long long)); break;
        case 'L':
            at += snprintf(to + at, size - at, "L%llu ", va_arg(list, unsigned long long));
            break;
        case 'd': at += snprintf(to + at, size - at, "d%.17g ", va_arg(list, double)); break;
        case 'D': at += snprintf(to + at, size - at, "D%.40Lg ", va_arg(list, long double)); break;
        case 's': at += snprintf(to + at, size - at, "s%s ", va_arg(list, const char *)); break;
        case 'p': at += snprintf(to + at, size - at, "p%d ", *va_arg(list, int *)); break;
        case 'n': at += snprintf(to + at, size - at, "n%d ", va_arg(list, void *) == NULL); break;
        case 'f': at += snprintf(to + at, size - at, "f%d ", va_arg(list, int (*)(int))(3)); break;
        case 'S':
            pair = va_arg(list, struct pair);
            at += snprintf(to + at, size - at, "S%g,%ld ", pair.x, pair.n);
            break;
        case 'w': *va_arg(list, double *) = 2.5; break;
        }
    }
    va_end(list);
    return at;
}
int triple(int x) { return 3 * x; }
double mean(int count, ...)
{
    va_list list;
    double sum = 0;
    va_start(list, count);
    for (int i = 0; i < count; i++) sum += va_arg(list, double);
    va_end(list);
    return sum / count;
}
"""
HEADER = """
struct pair { double x; long n; };
int show(char *to, size_t size, const char *kinds, ...);
int triple(int x);
double mean(int count, ...);
"""


@pytest.fixture(scope="module", params=[True, False], ids=["released", "kept"])
def lib(compile_c, request):
    library = ffi.dlopen(compile_c(SOURCE, "variadic"), release_gil=request.param)
    library.cdef(HEADER)
    return library


@pytest.fixture
def show(lib):
    def show(kinds, *arguments):
        to = bytearray(400)
        size = lib.show(to, len(to), kinds, *arguments)
        return to[:size].decode().split()

    return show


def test_python_values(show):
    assert show("iid", 5, True, 2.5) == ["i5", "i1", "d2.5"]
    assert show("ll", 2**40, -(2**63)) == [f"l{2**40}", f"l{-(2**63)}"]
    assert show("L", 2**64 - 1) == [f"L{2**64 - 1}"]
    assert show("ss", b"bytes", "té") == ["sbytes", "sté"]
    assert show("n", None) == ["n1"]
    assert show("") == []


def test_every_int_where_its_type_is_known(show):
    for number in (0, -1, 2**31 - 1, -(2**31)):
        assert show("i", number) == [f"i{number}"]
    for number in (2**31, -(2**31) - 1, 2**63 - 1):
        assert show("l", number) == [f"l{number}"]


def test_numpy_values(show):
    for narrow in (np.int8, np.int16, np.int32):
        assert show("i", narrow(-7)) == ["i-7"]
    for narrow in (np.uint8, np.uint16):
        assert show("i", narrow(7)) == ["i7"]
    assert show("u", np.uint32(2**32 - 1)) == [f"u{2**32 - 1}"]
    assert show("lL", np.int64(-1), np.uint64(2**64 - 1)) == ["l-1", f"L{2**64 - 1}"]
    assert show("i", np.bool_(True)) == ["i1"]
    assert show("ddd", np.float16(0.5), np.float32(0.25), np.float64(0.1)) == [
        "d0.5", "d0.25", "d0.10000000000000001",
    ]  # fmt: skip
    third = np.longdouble(1) / 3
    assert np.longdouble(show("D", third)[0].removeprefix("D")) == third


def test_arrays_and_pointers(lib, show):
    assert show("pp", np.array([41], np.intc), ffi.new("int", 42)) == ["p41", "p42"]
    assert show("s", bytearray(b"text\0")) == ["stext"]
    assert show("f", lib.triple) == ["f9"]
    record = ffi.new(lib.types["struct pair"], (1.5, 7))[0]
    assert show("S", (lib.types["struct pair"], record)) == ["S1.5,7"]
    assert show("S", (lib.types["struct pair"], (2.5, 8))) == ["S2.5,8"]
    written = np.zeros(1)
    show("w", written)
    assert written[0] == 2.5
    fixed = np.zeros(1)
    fixed.flags.writeable = False
    with refused((TypeError, ValueError), match=r"show\(\): argument 3: .*read-only"):
        show("w", fixed)
    assert show("p", ("const int *", np.array([6], np.intc)))[0] == "p6"


def test_types_that_are_said(show):
    assert show("lid", ("long long", 5), (t.int, 6), ("double", 7)) == ["l5", "i6", "d7"]
    assert show("D", ("long double", 0.5)) == ["D0.5"]
    assert show("n", ("void *", None)) == ["n1"]
    for given, kind, message in (
        (("char", 5), TypeError, "C promotes char to int: give that type"),
        (("short", 5), TypeError, "C promotes short to int"),
        (("float", 5), TypeError, "C promotes float to double"),
        ((t.bool, 5), TypeError, "C promotes _?[bB]ool to int"),
        (("void", 5), TypeError, "void has no values"),
        (("nothing", 5), TypeError, "nothing"),
        (("int", "5"), TypeError, "expected an integer for int32, got str '5'"),
        (("int", 2**31), OverflowError, "expected int32"),
        ((int, 5), TypeError, "Python's int is no C type"),
    ):
        with refused(kind, match=rf"^show\(\): argument 3: .*{message}"):
            show("i", given)


def test_values_that_c_does_not_know(show):
    for wrong in (object(), [1], {}, 1j, (1, 2, 3), int, np.datetime64(1, "s"), iter("")):
        with refused(TypeError, match=r"^show\(\): argument 4: "):
            show("ii", 1, wrong)
    with refused(OverflowError, match=r"^show\(\): argument 3: .*uint64"):
        show("i", 2**64)
    with refused(ValueError, match=r"^show\(\): argument 3: .*without NUL"):
        show("s", "a\0b")
    libc = ffi.dlopen(None)
    allocated = libc.function("int *malloc(size_t size)")(4)
    released = ffi.gc(allocated, libc.function("void free(void *p)"))
    released.release()
    with refused(ValueError, match=r"^show\(\): argument 3: .*released"):
        show("p", released)


def test_counts_and_names(lib):
    to = bytearray(9)
    with refused(
        TypeError, match=r"show\(\): expected 3 arguments, got 2; missing argument 'kinds'"
    ):
        lib.show(to, 9)
    assert lib.show(to, size=9, kinds="") == 0
    with refused(TypeError, match="got two values for argument 'size'"):
        lib.show(to, 9, "", 1, size=9)
    with refused(TypeError, match="unexpected argument 'more'"):
        lib.show(to, 9, "i", 1, more=9)
    assert str(inspect.signature(lib.show)) == "(to, size, kinds, *args)"
    assert lib.mean(3, 1.0, 2.0, 6.0) == 3.0
    assert lib.mean(200, *(float(i) for i in range(200))) == 99.5


def test_many_signatures(lib, show):
    # More kinds of calls than are kept.
    for i in range(600):
        kinds = "".join("id"[i >> bit & 1] for bit in range(10))
        values = [2 if kind == "i" else 0.5 for kind in kinds]
        expected = [{"i": "i2", "d": "d0.5"}[kind] for kind in kinds]
        assert show(kinds, *values) == expected


def test_the_c_library():
    libc = ffi.dlopen(None)
    libc.cdef("""
        int snprintf(char *to, size_t size, const char *format, ...);
        int sscanf(const char *from, const char *format, ...);
    """)
    to = bytearray(80)
    size = libc.snprintf(to, 80, "%s %5.2f %d %#llx", "π", np.pi, -3, 2**40)
    assert to[:size].decode() == f"π {np.pi:5.2f} -3 {2**40:#x}"
    i, x = ffi.new("int"), np.zeros(1)
    assert libc.sscanf("17 0.25", "%d %lf", i, x) == 2
    assert (i[0], x[0]) == (17, 0.25)
    assert pickle.loads(pickle.dumps(libc.snprintf))(to, 80, "%d", 5) == 1


def test_errcheck_sees_all(lib):
    seen = []
    mean = ffi.Function(lib.mean, errcheck=lambda result, function, args: seen.append(args))
    mean(2, 1.0, 3.0)
    assert seen == [(2, 1.0, 3.0)]
