"""One function and many threads, libraries closed meanwhile, recursion, and chains without end.

How many calls each thread makes is in the environment variable FFI_THREAD_CALLS.
"""

from __future__ import annotations

import gc
import os
import pickle
import random
import sys
import threading

import numpy as np
import pytest
from checks import MIXED, refused, run_python
from test_threads import run_threads

import ffi

t = ffi.types
CALLS = int(os.environ.get("FFI_THREAD_CALLS", 5 * 10**4))
SOURCE = """
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
int add(int a, int b) { return a + b; }
int fails(int error) { errno = error; return -1; }
struct mixed { int8_t c; double d; };
struct mixed shifted(struct mixed m, int by) { m.c += by; m.d += by; return m; }
int64_t total(const unsigned char *data, size_t size)
{
    int64_t sum = 0;
    for (size_t i = 0; i < size; i++) sum += data[i];
    return sum;
}
const char *skip(const char *s, int count) { return s + count; }
void fill(int64_t count, int value, int *y) { while (count--) *y++ = value; }
int last(int count, ...)
{
    int value = 0;
    va_list list;
    va_start(list, count);
    while (count--) value = va_arg(list, int);
    va_end(list);
    return value;
}
typedef int (*binary)(int a, int b);
binary pick(void) { return add; }
struct node { int value; struct node *next; };
int ended;
void end(struct node *node) { ended += node->value; }
"""
PROTOTYPES = {
    "add": "int add(int a, int b)",
    "fails": "int fails(int error)",
    "shifted": "struct mixed shifted(struct mixed m, int by)",
    "total": "int64_t total(const unsigned char *data, size_t size)",
    "skip": "const char *skip(const char *s, int count)",
    "fill": "void fill(int64_t count, int value, int y[count])",
    "last": "int last(int count, ...)",
    "pick": "int (*pick(void))(int a, int b)",
}
TEXT = b"0123456789"
NODE = ffi.struct({"value": "int", "next": "void *"}, "node")


@pytest.fixture(scope="module")
def path(compile_c):
    return compile_c(SOURCE, "threads")


def declare(path, **options):
    library = ffi.dlopen(path, **options)
    library.types["struct mixed"] = MIXED
    for prototype in PROTOTYPES.values():
        library.function(prototype)
    return library


def check_args(result, function, args):
    assert (function.__name__, result) == ("add", sum(args))
    return result, args


def uses_of(library):
    """Return what checks one call, by the way it takes: ``use(thread, number)``."""
    checked = ffi.Function(library.add, errcheck=check_args)
    made = ffi.Function(library.fill, out=["y"])

    def shifted(thread, i):
        result = library.shifted((thread, float(i)), 3)
        return (result.c, result.d) == (thread + 3, i + 3.0)

    def of_record(thread, i):
        result = library.shifted(ffi.new(MIXED, (thread, i))[0], 3)
        return (result.c, result.d) == (thread + 3, i + 3.0)

    def filled(thread, i):
        array = np.zeros(3 + i % 5, np.intc)
        library.fill(thread, array)
        return array.sum() == thread * (3 + i % 5)

    def errno(thread, i):
        number = 1 + thread + 10 * (i % 10)
        return library.fails(number) == -1 and ffi.get_errno() == number

    def refused_here(thread, i):
        try:
            library.add(i, 2**31 + thread)
        except OverflowError as error:
            return str(2**31 + thread) in str(error)
        return False

    return {
        "fast": lambda thread, i: library.add(i, thread) == i + thread,
        "by name": lambda thread, i: library.add(b=i, a=thread) == i + thread,
        "general": lambda thread, i: library.add(np.int32(thread), i) == i + thread,
        "errcheck": lambda thread, i: checked(i, thread) == (i + thread, (i, thread)),
        "struct": shifted,
        "Record": of_record,
        "array": lambda thread, i: library.total(np.full(9, thread, np.uint8), 9) == 9 * thread,
        "bytearray": lambda thread, i: library.total(bytearray([thread] * 9), 9) == 9 * thread,
        "text": lambda thread, i: library.skip(TEXT, thread).string() == TEXT[thread:],
        "shape": filled,
        "array made": lambda thread, i: made(i % 9, thread).tolist() == [thread] * (i % 9),
        "variadic": lambda thread, i: library.last(i % 4 + 1, *[thread] * (i % 4), i) == i,
        "function result": lambda thread, i: library.pick()(i, thread) == i + thread,
        "errno": errno,
        "refused": refused_here,
    }


@pytest.mark.parametrize("release_gil", [True, False], ids=["released", "kept"])
@pytest.mark.parametrize(
    "way",
    [
        *("fast", "by name", "general", "errcheck", "struct", "Record", "array", "bytearray"),
        *("text", "shape", "array made", "variadic", "function result", "errno", "refused"),
    ],
)
def test_two_threads(path, way, release_gil):
    library = declare(path, release_gil=release_gil)
    functions = [library[name] for name in PROTOTYPES]
    use = uses_of(library)[way]
    count = CALLS if way in ("fast", "errno") else CALLS // 10
    if "FFI_THREAD_CALLS" in os.environ:
        count = CALLS

    def work(thread):
        return [i for i in range(count) if not use(thread, i)][:5]

    before = [sys.getrefcount(function) for function in functions]
    done = []
    threads = [
        threading.Thread(target=lambda thread=thread: done.append(work(thread)))
        for thread in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    assert done == [[], []]
    del threads, thread
    assert [sys.getrefcount(function) for function in functions] == before


# --- libraries that are closed meanwhile


@pytest.mark.parametrize("way", ["fast", "by name", "errcheck", "struct", "bytearray", "text"])
@pytest.mark.parametrize("release_gil", [True, False], ids=["released", "kept"])
def test_closed_by_another_thread(path, way, release_gil):
    rng = random.Random(way)
    for _ in range(5):
        library = declare(path, release_gil=release_gil)
        use = uses_of(library)[way]
        started, wrong, ends = threading.Barrier(3), [], []

        def work(thread, use=use, started=started, wrong=wrong, ends=ends):
            started.wait(30)
            try:
                for i in range(10**8):
                    if not use(thread, i):
                        wrong.append(i)
            except ValueError as error:
                ends.append(str(error))

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(2)]
        for thread in threads:
            thread.start()
        started.wait(30)
        threads[0].join(rng.random() / 100)
        ffi.dlclose(library)
        for thread in threads:
            thread.join(60)
        assert wrong == []
        assert len(ends) == 2
        assert all(end.endswith(f"(): {str(path)!r} is closed") for end in ends), ends


def test_one_of_many_closes(path):
    for _ in range(20):
        library = declare(path)

        def close(thread, library=library):
            try:
                ffi.dlclose(library)
            except ValueError:
                return False
            return True

        assert sum(run_threads(close, 4)) == 1


def test_uses_while_closed(path):
    # Whatever needs the library says that it is closed, or was in time.
    for number in range(20):
        library = declare(path)
        add = library.add

        def work(thread, library=library, add=add, number=number):
            if thread == 0:
                for _ in range(10 * number):
                    pass
                return ffi.dlclose(library)
            for _ in range(10**6):
                try:
                    if thread == 1:
                        library.function(PROTOTYPES["add"])
                    elif thread == 2:
                        pickle.dumps(add)
                    else:
                        assert ffi.Function(add, release_gil=False)(1, 2) == 3
                except (ValueError, TypeError) as error:
                    return str(error)
            return "never closed"

        _, *ends = run_threads(work, 4)
        assert ["is closed" in end for end in ends] == [True] * 3, ends


def test_dropped_by_a_thread_while_it_runs(path):
    # The call owns its function: neither `del` nor a closed library ends it half-way.
    for release_gil in (True, False):
        library = declare(path, release_gil=release_gil)
        data = np.ones(10**7, np.uint8)
        results = []

        def work(f=library.total, x=data, results=results):
            results.append(f(x, x.size))

        thread = threading.Thread(target=work)
        thread.start()
        del work
        ffi.dlclose(library)
        del library, data
        gc.collect()
        thread.join(60)
        assert results in ([10**7], [])
        # Nothing comes of it only if the call had not begun.


# --- recursion


def test_recursion_through_arguments(path):
    add = declare(path).add

    class Deeper:
        def __init__(self, depth):
            self.depth = depth

        def __index__(self):
            return add(Deeper(self.depth - 1), 1) if self.depth else 0

    assert add(Deeper(100), 1) == 101

    class Endless:
        def __index__(self):
            return add(self, 1)

    for _ in range(3):
        with pytest.raises(RecursionError):
            add(Endless(), 1)
        assert add(Deeper(50), 1) == 51


def test_recursion_through_errcheck(path):
    add = declare(path).add

    def count_down(result, function, args):
        return function(args[0] - 1, args[1] + 1) if args[0] else result

    assert ffi.Function(add, errcheck=count_down)(100, 5) == 105
    endless = ffi.Function(add, errcheck=lambda result, function, args: function(*args))
    for _ in range(3):
        with pytest.raises(RecursionError):
            endless(1, 2)
    assert add(1, 2) == 3


def test_recursion_through_destructors(path):
    # A destructor's errcheck may end another object.
    library = declare(path)
    pointers = []
    end = library.function("void end(void *node)", errcheck=lambda *_: pointers and pointers.pop())
    pointers += [ffi.gc(ffi.new(NODE, (1, None)), end) for _ in range(100)]
    ended = ffi.view(ffi.dlsym(library, "ended"), "int")
    ended[()] = 0
    pointers.pop()
    assert (int(ended), pointers) == (100, [])


# --- chains that are longer than C's stack

CHAINS = {
    "functions of functions": "f = ffi.Function(f)",
    "errchecks of errchecks": "f = ffi.Function(add, errcheck=f)",
    "ends of ends": "p = ffi.gc(p, end)",
    "casts of casts": "p = p.cast('void *')",
    "pointers to pointers": "p = ffi.new('void *', p)",
    "nodes of nodes": "p = ffi.new(node, (1, p))",
    "nodes that have ends": "p = ffi.gc(ffi.new(node, (1, p)), end)",
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains(path, name):
    # C's stack has room for the depth that Python itself allows, and for a few bytes of each link.
    count = 400_000 if name == "ends of ends" else 100_000
    code = f"""if True:
        import sys
        import threading
        import ffi
        library = ffi.dlopen(sys.argv[1])
        add = library.function("int add(int a, int b)")
        end = library.function("void end(void *node)", release_gil=False)
        node = ffi.struct({{"value": "int", "next": "void *"}}, "node")

        def work():
            f, p = add, ffi.new(node, (1, None))
            for _ in range({count}):
                {CHAINS[name]}

        threading.stack_size(2**21)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        print(add(40, 2), int(ffi.view(ffi.dlsym(library, "ended"), "int")))
    """
    answer, ended = map(int, run_python(code, path).split())
    assert answer == 42
    assert ended == (count if "end" in CHAINS[name] else 0)


def test_kept_sources_do_not_pile_up(path):
    # A function made of a function holds what that holds, not the function itself.
    add = declare(path).add
    closure = ffi.Closure(ffi.CIF("int"), lambda rvalue, avalues: ffi.write("int", rvalue, 7))
    before = sys.getrefcount(add)
    function = ffi.Function(add)
    assert sys.getrefcount(add) == before
    seven = ffi.Function(ffi.Function(closure, "int"), "int (void)")
    del closure
    gc.collect()
    assert (function(3, 4), seven()) == (7, 7)
    ffi.dlclose(add.library)
    with refused(ValueError, match="is closed"):
        function(3, 4)
