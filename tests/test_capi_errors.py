"""ffi.capi: exceptions of callbacks, on whatever thread, and what is refused."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from checks import STRUCTS, refused, run_python

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg

SOURCE = """
double add(double x, double y) { return x + y; }
int calls = 0;
void count(void) { calls++; }
"""


@pytest.fixture(autouse=True)
def nothing_pending(consumer):
    yield
    assert consumer.raise_what_is_pending() == 0


@pytest.fixture
def library(compile_c):
    return ffi.dlopen(compile_c(SOURCE, "capi_errors"))


@pytest.fixture
def add(library):
    return library.function("double add(double x, double y)")


@pytest.fixture
def count(library):
    return library.function("void count(void)")


@pytest.fixture(params=["call", "call_without_gil"])
def call(request, consumer):
    return getattr(consumer, request.param)


def called(call, function, *values):
    """Call with values, and give the result's."""
    packed = function.cif.pack(*values)
    rvalue = np.full(max(function.rtype.size, WORD) + 16, 0x5A, np.uint8)
    size = max(function.rtype.size, WORD)
    call(function, ffi.addressof(rvalue), ffi.addressof(packed))
    assert (rvalue[size:] == 0x5A).all()
    return function.cif.unpack(rvalue)


def failing(prototype="double (double x, double y)", error=ZeroDivisionError):
    """Make a function that raises, of code in Python, and a list of its calls."""
    calls = []

    def fail(*args):
        calls.append(args)
        raise error(f"call {len(calls)}")

    return ffi.Function(ffi.callback(prototype, fail)), calls


# --- exceptions


def test_exception_of_a_callback(call):
    function, calls = failing()
    for number in range(1, 4):
        with pytest.raises(ZeroDivisionError, match=f"^call {number}$") as caught:
            called(call, function, 1.0, 2.0)
        assert [entry.name for entry in caught.traceback][-1] == "fail"
        assert calls == [(1.0, 2.0)] * number


def test_loop_ends_at_an_exception(consumer):
    function, calls = failing()
    out = np.zeros(100)
    with pytest.raises(ZeroDivisionError, match=r"^call 1$"):
        consumer.apply(function, out, out, out)
    assert len(calls) == 1


def test_exception_in_a_parallel_loop(consumer, add, unraisable):
    function, calls = failing()
    x, out = np.ones(1000), np.zeros(1000)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError, match=r"^call \d+$"):
            consumer.apply_in_parallel(function, x, x, out, 4)
        # Nothing is left on any thread.
        consumer.apply_in_parallel(add, x, x, out, 4)
        assert (out == 2).all()
    assert 5 <= len(calls) <= 5000
    assert unraisable.kinds == []


def test_substitute(consumer):
    def fail(x, y):
        raise KeyError(x)

    function = ffi.Function(ffi.callback("double (double x, double y)", fail, error=-7.5))
    out = np.zeros(1)
    prepared = consumer.prepare(function)
    avalues = function.cif.pack(1, 2)
    assert consumer.invoke_prepared(prepared, ffi.addressof(out), ffi.addressof(avalues))
    assert out[0] == -7.5
    with pytest.raises(KeyError):
        consumer.raise_what_is_pending()


def test_pending_until_raised(consumer, add):
    function, _ = failing("void (void)")
    assert consumer.raise_what_is_pending() == 0
    assert consumer.invoke_prepared(consumer.prepare(function), 0, 0)
    # What Python does meanwhile is nobody's business.
    assert add(1, 2) == 3
    # Another call is made, and tells that something is pending still.
    out, avalues = np.zeros(1), add.cif.pack(1.0, 2.0)
    arguments = ffi.addressof(out), ffi.addressof(avalues)
    assert consumer.invoke_prepared(consumer.prepare(add), *arguments)
    assert out[0] == 3
    with pytest.raises(ZeroDivisionError, match=r"^call 1$"):
        consumer.raise_what_is_pending()
    assert not consumer.invoke_prepared(consumer.prepare(add), *arguments)
    assert consumer.raise_what_is_pending() == 0


def test_first_exception_counts(consumer, count, library):
    first, _ = failing("void (void)")
    second, calls = failing("void (void)", KeyError)
    before = library.variable("int calls")[0]
    with pytest.raises(ZeroDivisionError, match=r"^call 1$"):
        consumer.fail_then_clean_up(first, second)
    assert len(calls) == 1
    with pytest.raises(ZeroDivisionError, match=r"^call 2$"):
        consumer.fail_then_clean_up(first, count)
    assert library.variable("int calls")[0] == before + 1


def test_exceptions_are_let_go(consumer):
    class MarkedError(Exception):
        pass

    alive = []

    def fail():
        error = MarkedError()
        alive.append(weakref.ref(error))
        raise error

    function = ffi.Function(ffi.callback("void (void)", fail))
    for _ in range(10):
        with pytest.raises(MarkedError):
            consumer.call_without_gil(function, 0, 0)
        with pytest.raises(MarkedError):
            consumer.fail_then_clean_up(function, function)
    assert len(alive) == 30
    gc.collect()
    assert [reference() for reference in alive] == [None] * 30


def test_nested(consumer, unraisable):
    inner, _ = failing("void (void)")
    seen = []

    def outer(x, y):
        # What waits for the callers is none of this callback's.
        assert consumer.raise_what_is_pending() == 0
        try:
            consumer.call(inner, 0, 0)
        except ZeroDivisionError as exc:
            seen.append(str(exc))
        return x + y

    function = ffi.Function(ffi.callback("double (double x, double y)", outer))
    other, _ = failing("void (void)", KeyError)
    assert consumer.invoke_prepared(consumer.prepare(other), 0, 0)
    out, avalues = np.zeros(1), function.cif.pack(1.0, 2.0)
    arguments = ffi.addressof(out), ffi.addressof(avalues)
    assert consumer.invoke_prepared(consumer.prepare(function), *arguments)
    assert (out[0], seen) == (3, ["call 1"])
    with pytest.raises(KeyError):
        consumer.raise_what_is_pending()
    assert not consumer.invoke_prepared(consumer.prepare(function), *arguments)
    assert unraisable.kinds == []


def test_deeply_nested(consumer):
    def descend(x, y):
        if x == 0:
            raise ZeroDivisionError("at the bottom")
        return called(consumer.call_without_gil, function, x - 1, y) + 1

    function = ffi.Function(ffi.callback("double (double x, double y)", descend))
    with pytest.raises(ZeroDivisionError, match="at the bottom"):
        called(consumer.call, function, 20.0, 0.0)


def test_left_pending_in_a_callback(consumer, unraisable):
    inner, _ = failing("double (double)")
    consumer.set_inner(inner)

    def forget(x):
        assert consumer.call_inner_here(x) == -2
        return x

    def raise_another(x):
        consumer.call_inner_here(x)
        raise KeyError(x)

    function = ffi.Function(ffi.callback("double (double)", forget))
    with pytest.raises(ZeroDivisionError, match=r"^call 1$"):
        function(1.0)
    with pytest.raises(ZeroDivisionError, match=r"^call 2$"):
        called(consumer.call, function, 1.0)
    assert unraisable.kinds == []
    function = ffi.Function(ffi.callback("double (double)", raise_another))
    with pytest.raises(KeyError):
        function(1.0)
    assert unraisable.kinds == [ZeroDivisionError]
    assert consumer.raise_what_is_pending() == 0


@pytest.mark.parametrize("release_gil", [False, True])
def test_own_functions(consumer, release_gil):
    functions = [
        ffi.Function(function, release_gil=release_gil) for function in consumer.own_functions()
    ]
    leaving, taking = functions
    assert leaving.prototype.startswith("double call_inner(double x)")
    consumer.set_inner(ffi.dlopen("m").function("double sqrt(double x)"))
    assert [function(9.0) for function in functions] == [3.0, 3.0]
    inner, calls = failing("double (double)")
    consumer.set_inner(inner)
    # What C code leaves goes to whoever called it.
    with pytest.raises(ZeroDivisionError, match=r"^call 1$"):
        leaving(9.0)
    assert taking(9.0) == -3
    assert str(consumer.last_noted()) == "call 2"
    assert len(calls) == 2
    # The same when it is called from C.
    with pytest.raises(ZeroDivisionError, match=r"^call 3$"):
        called(consumer.call_without_gil, leaving, 9.0)
    assert called(consumer.call_without_gil, taking, 9.0) == -3


# --- threads


def test_threads_of_c(consumer, add, unraisable):
    assert consumer.call_in_thread(add, 1.0, 2.5, True) == (3.5, 0, None)
    function = ffi.Function(ffi.callback("double (double x, double y)", lambda x, y: x - y))
    assert consumer.call_in_thread(function, 1.0, 2.5, True) == (-1.5, 0, None)
    function, _ = failing()
    result, failed, error = consumer.call_in_thread(function, 1.0, 2.5, True)
    assert (result, failed, type(error)) == (0, 1, ZeroDivisionError)
    assert consumer.raise_what_is_pending() == 0
    assert unraisable.kinds == []


def test_thread_of_c_ends_with_an_exception(consumer, unraisable):
    function, _ = failing()
    result, failed, error = consumer.call_in_thread(function, 1.0, 2.5, False)
    assert (result, failed, error) == (0, 1, None)
    assert (unraisable.kinds, unraisable.messages) == ([ZeroDivisionError], ["call 1"])
    assert consumer.raise_what_is_pending() == 0


def test_main_thread_ends_with_an_exception(consumer):
    folder = str(Path(consumer.__file__).parent)
    code = f"""
import sys
sys.path.insert(0, {folder!r})
import ffi
sys.unraisablehook = lambda unraisable: print("reported", unraisable.exc_value)
import consumer
def fail():
    raise ZeroDivisionError("at last")
function = ffi.Function(ffi.callback("void (void)", fail))
print(consumer.invoke_prepared(consumer.prepare(function), 0, 0))
"""
    assert run_python(code) == "True\nreported at last\n"


def test_thread_of_python_ends_with_an_exception(consumer, unraisable):
    function, _ = failing("void (void)")
    failed = []
    prepared = consumer.prepare(function)
    thread = threading.Thread(
        target=lambda: failed.append(consumer.invoke_prepared(prepared, 0, 0))
    )
    thread.start()
    thread.join()
    assert failed == [True]
    assert consumer.raise_what_is_pending() == 0
    # The system's thread ends a little later than Python's.
    for _ in range(1000):
        if unraisable.kinds:
            break
        threading.Event().wait(0.01)
    assert (unraisable.kinds, unraisable.messages) == ([ZeroDivisionError], ["call 1"])


def test_many_threads_at_once(consumer, add):
    function, _ = failing()
    x, errors = np.arange(500.0), []

    def work(number):
        out = np.zeros(500)
        for _ in range(20):
            consumer.apply(add, x, x, out)
            if (out != 2 * x).any():
                errors.append("values")
            try:
                consumer.apply(function, x, x, out)
            except ZeroDivisionError:
                continue
            errors.append("no exception")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


# --- refusals


def test_what_has_no_call(consumer, add):
    callback = ffi.callback("void (void)", print)
    closure = ffi.Closure(ffi.CIF("void"), print)
    for value, came in (
        (None, "None"),
        (3, "int 3"),
        ("double (double)", "str"),
        (add.address, "int"),
        (len, "len"),
    ):
        with refused(TypeError, match=rf"as_call\(\): expected an ffi.Function, got .*{came}"):
            consumer.prepare(value)
        with refused(TypeError, match=r"as_address\(\): expected an ffi.Function, Callback or "):
            consumer.address(value)
    for value, hint in (callback, "it"), (closure, 'it, "double \\(double\\)"'):
        with refused(TypeError, match=rf"as_call\(\): .*; ffi.Function\({hint}\) makes one"):
            consumer.prepare(value)
        assert consumer.address(value) == value.address
    assert consumer.address(add) == add.address


def test_closed(consumer, library, add, count):
    calls = library.variable("int calls")
    before = calls[0]
    prepared = consumer.prepare(count)
    assert not consumer.invoke_prepared(prepared, 0, 0)
    assert calls[0] == before + 1
    ffi.dlclose(library)
    assert consumer.invoke_prepared(prepared, 0, 0)
    with refused(ValueError, match=r"invoke\(\): count\(\): '.*' is closed"):
        consumer.raise_what_is_pending()
    for prepare, name in ((consumer.prepare, "as_call"), (consumer.address, "as_address")):
        with refused(ValueError, match=rf"{name}\(\): add\(\): '.*' is closed"):
            prepare(add)


def test_null(consumer, add, count, library, compile_c):
    before = library.variable("int calls")[0]
    out, avalues = np.zeros(1), np.zeros(2, np.uintp)
    number = np.ones(1)
    prepared = consumer.prepare(add)
    rvalue, array = ffi.addressof(out), ffi.addressof(avalues)
    with refused(ValueError, match=r"invoke\(\): NULL is no Call"):
        consumer.invoke_prepared(0, rvalue, array)
        consumer.raise_what_is_pending()
    with refused(ValueError, match=r"invoke\(\): add\(\): argument 'avalues': NULL"):
        assert consumer.invoke_prepared(prepared, rvalue, 0)
        consumer.raise_what_is_pending()
    for index in range(2):
        avalues[:] = ffi.addressof(number)
        avalues[index] = 0
        with refused(ValueError, match=rf"add\(\): argument 'avalues': entry {index} is NULL"):
            assert consumer.invoke_prepared(prepared, rvalue, array)
            consumer.raise_what_is_pending()
    avalues[:] = ffi.addressof(number)
    with refused(ValueError, match=r"add\(\): argument 'rvalue': NULL has no room for double"):
        assert consumer.invoke_prepared(prepared, 0, array)
        consumer.raise_what_is_pending()
    assert not consumer.invoke_prepared(prepared, rvalue, array)
    assert out[0] == 2
    # In the general way too.
    wide = STRUCTS["wide"]
    echo = ffi.Function(consumer.address(count), wide, wide)
    prepared = consumer.prepare(echo)
    avalues[0] = 0
    with refused(ValueError, match=r"argument 'avalues': entry 0 is NULL"):
        assert consumer.invoke_prepared(prepared, rvalue, array)
        consumer.raise_what_is_pending()
    with refused(ValueError, match=r"argument 'rvalue': NULL has no room for struct wide"):
        assert consumer.invoke_prepared(prepared, 0, array)
        consumer.raise_what_is_pending()
    assert library.variable("int calls")[0] == before


def test_refusal_on_a_thread_of_c(consumer, library):
    function = library.function("double add(double x, double y)")
    prepared = consumer.prepare(function)
    errors = []

    def work():
        assert consumer.invoke_prepared(prepared, 0, 0)
        try:
            consumer.raise_what_is_pending()
        except ffi.Error as exc:
            errors.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert consumer.raise_what_is_pending() == 0


def test_new_function(consumer, add):
    function = consumer.function_of(add.address, "double plus(double left, double right)")
    assert type(function) is ffi.Function
    assert (function.__name__, function.address) == ("plus", add.address)
    assert function(left=1.5, right=2) == 3.5
    assert consumer.function_of(add.address, "double (double, double)")(1, 2) == 3
    for address, prototype, kind, match in (
        (0, "double (double)", ValueError, "NULL is no function"),
        (add.address, b"double (double)", TypeError, "expected a prototype .*, got bytes"),
        (add.address, None, TypeError, "expected a prototype .*, got None"),
        (add.address, t.double, TypeError, "expected a prototype"),
        (add.address, "double", ValueError, ""),
        (add.address, "double (", ValueError, ""),
        (add.address, "nothing (double)", TypeError, ""),
        (add.address, "", ValueError, ""),
    ):
        with refused(kind, match=rf"new_function\(\): {match}"):
            consumer.function_of(address, prototype)
