"""Callbacks: Python functions that C calls with values; what they raise reaches the call."""

from __future__ import annotations

import gc
import inspect
import pickle
import sys
import threading
import weakref

import numpy as np
import pytest
from checks import STRUCTS, VALUES, refused, run_python

import ffi

t = ffi.types
SOURCE = """
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
typedef double (*unary)(double);
double apply(unary f, double x) { return f(x); }
double sum(unary f, int n) { double s = 0; for (int i = 0; i < n; i++) s += f(i); return s; }
typedef struct { double x, y; } point;
point map(point (*f)(point), point p) { return f(p); }
typedef double (*objective)(unsigned n, const double *x, double *grad, void *data);
double evaluate(objective f, unsigned n, const double *x, double *grad, void *data)
{
    return f(n, x, grad, data);
}
int rows(int (*f)(int m, int n, const int *a), int m, int n)
{
    int *a = malloc(sizeof(int) * m * n);
    for (int i = 0; i < m * n; i++) a[i] = i;
    int result = f(m, n, a);
    free(a);
    return result;
}
static unary kept;
void keep(unary f) { kept = f; }
double call_kept(double x) { return kept(x); }
const char *text(const char *(*f)(int), int i) { return f(i); }
size_t length(const char *(*f)(int), int i) { return strlen(f(i)); }
typedef struct { unary f; double scale; } model;
double run_model(const model *m, double x) { return m->scale * m->f(x); }
int fails(int (*f)(void)) { errno = 7; int r = f(); return 1000 * errno + r; }
struct job { unary f; double x, result; };
static void *work(void *data)
{
    struct job *job = data;
    job->result = job->f(job->x);
    return NULL;
}
double in_thread(unary f, double x)
{
    struct job job = { f, x, 0 };
    pthread_t thread;
    pthread_create(&thread, NULL, work, &job);
    pthread_join(thread, NULL);
    return job.result;
}
double in_threads(unary f, int n)
{
    struct job jobs[64];
    pthread_t threads[64];
    double s = 0;
    for (int i = 0; i < n; i++) {
        jobs[i].f = f, jobs[i].x = i;
        pthread_create(&threads[i], NULL, work, &jobs[i]);
    }
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL), s += jobs[i].result;
    return s;
}
static void *often(void *data)
{
    struct job *job = data;
    for (int i = 0; i < 1000; i++) job->result += job->f(1);
    return NULL;
}
double often_in_thread(unary f)
{
    struct job job = { f, 0, 0 };
    pthread_t thread;
    pthread_create(&thread, NULL, often, &job);
    pthread_join(thread, NULL);
    return job.result;
}
"""
HEADER = """
typedef double (*unary)(double);
double apply(unary f, double x);
double sum(unary f, int n);
typedef struct { double x, y; } point;
point map(point (*f)(point), point p);
double evaluate(double (*f)(unsigned n, const double x[n], double grad[n], void *data),
                unsigned n, const double x[n], double grad[n], void *data);
int rows(int (*f)(int m, int n, const int a[m][n]), int m, int n);
void keep(unary f);
double call_kept(double x);
const char *text(const char *(*f)(int), int i);
size_t length(const char *(*f)(int), int i);
typedef struct { unary f; double scale; } model;
double run_model(const model *m, double x);
int fails(int (*f)(void));
double in_thread(unary f, double x);
double in_threads(unary f, int n);
double often_in_thread(unary f);
"""


@pytest.fixture(scope="module")
def path(compile_c):
    return compile_c(SOURCE, "callbacks", "-lpthread")


@pytest.fixture(params=[True, False], ids=["released", "kept"])
def lib(path, request):
    library = ffi.dlopen(path, release_gil=request.param)
    library.cdef(HEADER)
    return library


@pytest.fixture
def free(path):
    """The library whose functions release the GIL, for callbacks from other threads."""
    library = ffi.dlopen(path)
    library.cdef(HEADER)
    return library


# --- values


def test_plain_functions(lib):
    assert lib.apply(lambda x: 2 * x, 3.0) == 6.0
    assert lib.sum(float.__abs__, 5) == 10.0
    assert lib.apply(np.cos, 0.0) == 1.0
    result = lib.map(lambda p: (p.y, p.x), (1, 2))
    assert (result.x, result.y) == (2.0, 1.0)


def test_decorator(lib):
    @ffi.callback("double (double x)")
    def half(x):
        """Halve."""
        return x / 2

    assert isinstance(half, ffi.Callback)
    assert lib.apply(half, 3.0) == lib.sum(half, 3) == 1.5
    assert half(5.0) == half(x=5.0) == 2.5
    assert half.prototype == "double (double x)"
    assert (half.__name__, half.__doc__) == ("half", "Halve.")
    assert half.cif == ffi.CIF("double", "double")
    assert ffi.Function(half.address, "double (double)")(3.0) == 1.5
    assert ffi.Function(half)(3.0) == 1.5
    assert str(inspect.signature(half)) == "(x)"
    assert repr(half).startswith("<ffi.Callback double (double x) of <function ")
    assert half.function(7) == 3.5
    with refused(TypeError, match="cannot be pickled"):
        pickle.dumps(half)
    rvalue = bytearray(8)
    ffi.call(half.cif, half, rvalue, half.cif.pack(9.0))
    assert half.cif.unpack(rvalue) == 4.5


@pytest.mark.parametrize(
    "make",
    [
        lambda lib: "double (double)",
        lambda lib: "double name(double x)",
        lambda lib: lib.types["unary"],
        lambda lib: ffi.typeof("double (*)(double)"),
        lambda lib: ffi.dlopen("m").function("double cos(double x)"),
    ],
)
def test_prototypes(lib, make):
    assert lib.apply(ffi.callback(make(lib), lambda x: x + 1), 2.0) == 3.0


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in VALUES.items() for value in values]
)
def test_every_type_there_and_back(cases, name, value):
    kind = STRUCTS.get(name) or t[name]
    library = ffi.dlopen(cases)
    received = []

    def function(given):
        received.append(given)
        return given

    prototype = ffi.Function(1, kind, kind)
    callback = ffi.callback(prototype, function)
    drive = library.function(f"drive_{name}", "void", "pointer", "pointer", "pointer")
    if name == "pointer":
        value = ffi.new(("uchar", 8)) if value else None
        assert callback(value) == value
        return
    argument, result = ffi.new(kind, value), ffi.new(kind)
    drive(callback, argument, result)
    assert plain_of(received[0]) == plain_of(argument[0]) == plain_of(result[0])


def plain_of(value):
    """Turn records and arrays into dicts and lists."""
    if isinstance(value, ffi.Record):
        return {name: plain_of(value[name]) for name, *_ in value.type.fields}
    return str(np.asarray(value).tolist())


def test_arrays(lib):
    seen = []

    def function(x, grad, data):
        seen.append((x.tolist(), x.flags.writeable, None if grad is None else grad.flags.writeable))
        if grad is not None:
            grad[:] = 2 * x
        if data is not None:
            data.cast("double *")[0] = 7.5
        return x.sum()

    x, grad, data = np.arange(3.0), np.zeros(3), np.zeros(1)
    assert lib.evaluate(function, x, grad, data) == 3.0
    np.testing.assert_array_equal(grad, [0, 2, 4])
    assert data[0] == 7.5
    assert lib.evaluate(function, x, None, None) == 3.0
    assert seen == [([0, 1, 2], False, True), ([0, 1, 2], False, None)]
    assert lib.evaluate(lambda x, *_: float(x.size), x[:0], None, None) == 0.0
    assert lib.rows(lambda a: int(a[1, 2]) + 100 * a.shape[0] + 10 * a.shape[1], 2, 3) == 235


def test_lengths_that_no_array_has():
    double = ffi.callback("double (double a, uint64_t n, const double x[n])", lambda a, x: 2 * a)
    raw = ffi.Function(double.address, "double f(double a, uint64_t n, const double *x)")
    assert raw(2.0, 1, np.ones(1)) == 4.0
    with refused(ValueError, match=r"argument 'n': expected a length, got 9223372036854775809"):
        raw(2.0, 2**63 + 1, np.ones(1))
    for length in (2**62, 2**63 - 1):
        # With 32 bits no array has that length, whatever its items.
        with refused(
            ValueError, match=r"argument 'x': (expected an array that fits memory, got|.* is)"
        ):
            raw(2.0, length, np.ones(1))


def test_arrays_that_are_kept(lib):
    kept = []
    x = np.arange(3.0)
    for keep in (lambda x: x, lambda x: x[1:], lambda x: memoryview(x), lambda x: x.reshape(3, 1)):
        kept.clear()
        with refused(BufferError, match=r"callback kept 'x'; use x\.copy\(\)"):
            lib.evaluate(lambda x, *_, keep=keep: kept.append(keep(x)) or 0.0, x, None, None)
    lib.evaluate(lambda x, *_: kept.append(x.copy()) or 0.0, x, None, None)
    np.testing.assert_array_equal(kept[-1], x)


def test_text(lib):
    repeat = ffi.callback("const char *(int)", lambda i: b"abc" * i)
    assert lib.text(repeat, 2).string() == b"abcabc"  # the callback keeps the text
    assert lib.length(lambda i: "é" * i, 3) == 6
    assert lib.text(lambda i: None, 2) is None
    with refused(ValueError, match="<lambda>.*: result: .*NUL"):
        lib.text(lambda i: b"a\0b", 2)


def test_what_an_error_points_at_is_kept(lib):
    """The substitute of a callback outlives its results."""
    text = ffi.callback("const char *(int)", lambda i: b"good" if i else 1 / 0, error=b"instead")
    raw, cif = bytearray(8), lib.text.cif
    for _ in range(3):
        assert lib.text(text, 1).string() == b"good"
        with pytest.raises(ZeroDivisionError):
            ffi.call(cif, lib.text, raw, cif.pack(text, 0))
        assert ffi.string(int.from_bytes(raw, sys.byteorder)) == b"instead"


def test_pointers_may_be_kept(lib):
    kept = []
    callback = ffi.callback("double (const double x[])", lambda x: kept.append(x) or 1.0)
    assert callback(np.ones(3)) == 1.0
    assert isinstance(kept[0], ffi.Pointer)


def test_members(lib):
    model = ffi.new(lib.types["model"], {"f": lambda x: x + 1, "scale": 10})
    gc.collect()
    assert lib.run_model(model, 2.0) == 30.0
    model[0].f = ffi.callback("double (double)", lambda x: -x)
    gc.collect()
    assert lib.run_model(model, 2.0) == -20.0
    assert model[0].f(3.0) == -3.0


def test_errno(lib):
    def function():
        assert ffi.get_errno() == 7
        ffi.set_errno(9)
        return 3

    assert lib.fails(function) == 9003


# --- exceptions


def test_exceptions_travel(lib):
    calls = []

    def bad(x):
        calls.append(x)
        raise LookupError(f"no {x}")

    with pytest.raises(LookupError, match=r"no 0\.0") as caught:
        lib.sum(bad, 5)
    # C went on, Python did not.
    assert calls == [0.0]
    assert "bad" in [entry.name for entry in caught.traceback]
    for kind in (KeyboardInterrupt, SystemExit, RecursionError, MemoryError, StopIteration):
        with pytest.raises(kind):
            lib.apply(raiser(kind), 1.0)
    # Nothing is left behind.
    assert lib.apply(lambda x: x, 1.0) == 1.0


def raiser(error):
    def function(*arguments):
        raise error

    return function


def test_results_that_do_not_fit(lib):
    with refused(TypeError, match=r"^<lambda>\(\): result: expected a real number for double"):
        lib.apply(lambda x: "no", 1.0)
    with refused(OverflowError, match=r"result: expected int32"):
        lib.fails(lambda: 2**31)
    with refused(TypeError, match=r"result: "):
        lib.fails(lambda: None)
    with pytest.raises(TypeError, match="positional argument"):
        lib.apply(lambda: 1.0, 1.0)


def test_what_c_gets_instead(lib):
    seen = []

    def watched(x):
        if x == 2.0:
            raise LookupError
        return x

    for options, expected in (({}, 0.0), ({"error": 100.0}, 300.0)):
        watch = ffi.callback("double (double)", watched, **options)

        def outer(x, watch=watch):
            # The call inside is over with an exception; what C summed up is lost with it.
            try:
                lib.sum(watch, 5)
            except LookupError:
                seen.append(x)
            return 1.0

        assert lib.apply(outer, 1.0) == 1.0
        raw = bytearray(8)
        cif = lib.sum.cif
        with pytest.raises(LookupError):
            ffi.call(cif, lib.sum, raw, cif.pack(watch, 5))
        # A raw call's result holds what C returned.
        assert cif.unpack(raw) == 1.0 + expected
    assert len(seen) == 2


def test_onerror(lib):
    seen = []

    def onerror(kind, error, traceback):
        seen.append((kind, str(error), traceback is error.__traceback__))
        return 5.0

    bad = ffi.callback("double (double)", raiser(LookupError("no")), error=1.0, onerror=onerror)
    raw, cif = bytearray(8), lib.sum.cif
    with pytest.raises(LookupError):
        ffi.call(cif, lib.sum, raw, cif.pack(bad, 3))
    assert cif.unpack(raw) == 5.0 + 1.0 + 1.0
    assert seen == [(LookupError, "no", True)]
    for onerror, kind in ((raiser(OSError("worse")), OSError), (lambda *_: "x", TypeError)):
        worse = ffi.callback("double (double)", raiser(LookupError("no")), onerror=onerror)
        with pytest.raises(kind) as caught:
            lib.apply(worse, 1.0)
        before = caught.value
        while before is not None and not isinstance(before, LookupError):
            before = before.__cause__ or before.__context__
        assert str(before) == "no"


def test_nested_calls(lib):
    def inner(x):
        raise ZeroDivisionError

    def outer(x):
        return lib.apply(inner, x)

    with pytest.raises(ZeroDivisionError):
        lib.apply(outer, 1.0)

    def catching(x):
        with pytest.raises(ZeroDivisionError):
            lib.apply(inner, x)
        return lib.apply(lambda y: y + 1, x)

    assert lib.apply(catching, 1.0) == 2.0

    def deep(x):
        return lib.apply(deep, x - 1) if x else raiser(KeyError("bottom"))()

    with pytest.raises(KeyError, match="bottom"):
        lib.apply(deep, 20.0)


def test_endless_recursion(lib):
    def endless(x):
        return lib.apply(endless, x)

    with pytest.raises(RecursionError):
        lib.apply(endless, 1.0)
    assert lib.apply(lambda x: x, 1.0) == 1.0


def test_no_call(unraisable, path):
    # Called by somebody who is not us.
    import ctypes

    bad = ffi.callback("double (double)", raiser(LookupError("no")), error=2.5)
    function = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(bad.address)
    assert function(1.0) == 2.5
    assert unraisable.messages == ["no"]


# --- life


def test_dead_callbacks(lib):
    callback = ffi.callback("double (double)", lambda x: x + 1, error=-1.0)
    lib.keep(callback)
    assert lib.call_kept(1.0) == 2.0
    function = weakref.ref(callback.function)
    del callback
    gc.collect()
    assert function() is None
    with refused(
        ReferenceError, match=r"C called a callback of .*double \(double\).* that is gone"
    ):
        lib.call_kept(1.0)
    # One that was only lent to a call is gone with it.
    lib.keep(lambda x: x)
    with refused(ReferenceError, match="that is gone"):
        lib.call_kept(1.0)


def test_ends_while_it_runs(lib):
    holder = []

    def suicidal(x):
        holder.clear()
        gc.collect()
        return x + 1

    holder.append(ffi.callback("double (double)", suicidal))
    lib.keep(holder[0])
    assert lib.call_kept(1.0) == 2.0
    with refused(ReferenceError, match="that is gone"):
        lib.call_kept(1.0)


def test_cycles():
    class Owner:
        def __init__(self):
            self.callback = ffi.callback("double (double)", self.run)

        def run(self, x):
            return x

    owner = weakref.ref(Owner())
    gc.collect()
    assert owner() is None


# --- threads


def test_foreign_threads(free):
    main = threading.get_ident()
    seen = []
    assert free.in_thread(lambda x: seen.append(threading.get_ident()) or x + 1, 1.0) == 2.0
    assert seen[0] != main
    assert free.in_threads(lambda x: x, 20) == sum(range(20))
    assert free.often_in_thread(lambda x: x) == 1000.0
    before = threading.active_count()
    free.in_threads(lambda x: x, 20)
    assert threading.active_count() <= before + 20


def test_one_thread_state_for_life(free):
    local = threading.local()

    def count(x):
        local.count = getattr(local, "count", 0) + 1
        return float(local.count)

    assert free.often_in_thread(count) == sum(range(1001))


def test_exceptions_of_foreign_threads(free, unraisable):
    with pytest.raises(LookupError, match="no"):
        free.in_thread(raiser(LookupError("no")), 1.0)
    with pytest.raises(LookupError, match="no"):
        free.in_threads(raiser(LookupError("no")), 20)
    function = ffi.Function(ffi.callback("double (double)", raiser(LookupError("no"))))
    for given in function, ffi.Function(function, release_gil=False):
        with pytest.raises(LookupError, match="no"):
            free.in_thread(given, 1.0)
    assert not unraisable.messages
    # Of one that was given to no call that runs.
    bad = ffi.callback("double (double)", raiser(LookupError("lost")), error=2.0)
    free.keep(bad)
    proxy = free.function("double in_thread(void *f, double x)")
    assert proxy(free.function("double call_kept(double x)").address, 1.0) == 2.0
    assert unraisable.messages == ["lost"]


def test_from_two_threads(lib):
    results = []

    def work(k):
        for i in range(2000):
            assert lib.apply(lambda x: x + k, float(i)) == i + k
            if i % 50 == 0:
                with pytest.raises(KeyError):
                    lib.apply(raiser(KeyError(k)), 1.0)
        results.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [0, 1]


def test_gil_is_held_already(path, free):
    # Other C code calls with the GIL held.
    import ctypes

    library = ctypes.PyDLL(str(path))
    library.apply.restype = ctypes.c_double
    library.apply.argtypes = [ctypes.c_void_p, ctypes.c_double]
    callback = ffi.callback("double (double)", lambda x: x * 3)
    assert library.apply(callback.address, 2.0) == 6.0


CHILD = """
import atexit, sys, ffi
library = ffi.dlopen(sys.argv[1])
library.cdef("typedef double (*unary)(double); void keep(unary f); double call_kept(double x);")
callback = ffi.callback("double (double)", lambda x: x + 1)
library.keep(callback)
call = library.call_kept
libc = ffi.dlopen(None)
libc.cdef("int on_exit(void (*f)(int status, void *data), void *data);")
late = ffi.callback("void (int, void *)", lambda status, data: print("never"))
libc.on_exit(late, None)
atexit.register(lambda: print(call(1.0)))
"""


def test_end_of_the_interpreter(path):
    assert run_python(CHILD, path).split() == ["2.0"]


# --- bad input


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        (("double (double)", 5), {}, TypeError, "'function': expected a callable, got int 5"),
        (("double (double)", len), {"onerror": 5}, TypeError, "'onerror': expected a callable"),
        (("double (double)", len), {"error": "x"}, TypeError, "'error': expected a real number"),
        (("int (void)", len), {"error": 2**31}, OverflowError, "'error': expected int32"),
        (("double (double", len), {}, ValueError, "syntax error|unexpected|double"),
        (("int (int, ...)", len), {}, NotImplementedError, "variadic callbacks"),
        (("int", len), {}, TypeError, "expected a prototype"),
        ((5, len), {}, TypeError, "got int 5|5"),
        ((None, len), {}, TypeError, "None"),
    ],
)
def test_wrong_callbacks(arguments, options, kind, message):
    with refused(kind, match=rf"^callback\(\): .*({message})"):
        ffi.callback(*arguments, **options)


def test_wrong_uses(lib):
    wrong = ffi.callback("double (int)", float)
    with refused(
        TypeError, match=r"apply\(\): argument 'f': expected double \(\*\)\(double\), got <ffi"
    ):
        lib.apply(wrong, 1.0)
    for arguments in (), ("double (double)", len), (None,):
        with refused(TypeError, match=r"^Callback\(\): use ffi\.callback"):
            ffi.Callback(*arguments)
        with refused(TypeError, match=r"^Callback\(\): use ffi\.callback"):
            ffi.Callback.__new__(ffi.Callback, *arguments)
    with refused(TypeError, match=r"apply\(\): argument 'f': expected a Function"):
        lib.apply(5, 1.0)


def test_capsules():
    from scipy import LowLevelCallable, integrate, ndimage

    square = ffi.callback("double (double x)", lambda x: x * x)
    assert integrate.quad(LowLevelCallable(square.capsule()), 0, 1)[0] == pytest.approx(1 / 3)
    cos = ffi.dlopen("m").function("double cos(double x)")
    assert integrate.quad(LowLevelCallable(cos.capsule()), 0, 1)[0] == pytest.approx(np.sin(1))
    factor = np.array([3.0])

    @ffi.callback("double (double x, void *data)")
    def scaled(x, data):
        return x * data.cast("double *")[0]

    capsule = scaled.capsule(factor)
    del factor
    gc.collect()
    assert integrate.quad(LowLevelCallable(capsule), 0, 1)[0] == pytest.approx(1.5)

    @ffi.callback("int (double *buffer, intptr_t size, double *result, void *data)")
    def largest(buffer, size, result, data):
        result[0] = buffer.view(size).max()
        return 1

    image = np.arange(12.0).reshape(3, 4)
    filtered = ndimage.generic_filter(image, LowLevelCallable(largest.capsule()), size=3)
    np.testing.assert_array_equal(filtered, ndimage.maximum_filter(image, size=3))
    with refused(TypeError, match=r"^capsule\(\): argument 'context'"):
        cos.capsule(object())
