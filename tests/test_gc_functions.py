"""Destructors that are typed functions: errors, errcheck, errno, and libraries that are closed."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from checks import refused, run_python

import ffi
from ffi.errors import FFIOSError

SOURCE = """
#include <errno.h>
#include <stdint.h>
struct node { int value; struct node *next; };
/* What ended, in order: the values of the nodes. Kept outside, to be read when this is unloaded. */
static int *ended_count, *ended_values;
void report_to(int *count, int *values) { ended_count = count; ended_values = values; }
static void report(int value) { ended_values[(*ended_count)++] = value; }
void end(struct node *node) { report(node->value); }
void end_any(void *node) { report(((struct node *)node)->value); }
void end_const(const struct node *node) { report(node->value); }
int end_failing(struct node *node) { report(node->value); errno = 5; return -1; }
struct node end_returning(struct node *node) { report(node->value); return *node; }
void end_late(long double x, struct node *node) { (void)x; report(node->value); }
int touch_errno(int value) { errno = value; return value; }
"""
NODE = ffi.struct({"value": "int", "next": "void *"}, name="node")
END = "void end(struct node *node)"


class Ends:
    """A library whose destructors report here."""

    def __init__(self, path):
        self.counted, self.values = np.zeros(1, np.intc), np.zeros(1000, np.intc)
        self.library = self.open(path)
        self.end = self.library.function(END)

    def open(self, path, **options):
        library = ffi.dlopen(path, **options)
        library.types["struct node"] = NODE
        library.function("void report_to(int *count, int *values)")(self.counted, self.values)
        return library

    @property
    def seen(self):
        return self.values[: int(self.counted[0])].tolist()

    def new(self, value, destructor=None):
        return ffi.gc(ffi.new(NODE, (value, None)), destructor or self.end)


@pytest.fixture(scope="module")
def path(compile_c):
    return compile_c(SOURCE, "ends")


@pytest.fixture
def ends(path):
    return Ends(path)


def is_loaded(path):
    with open("/proc/self/maps") as maps:
        return str(path) in maps.read()


@pytest.mark.parametrize("release_gil", [True, False])
@pytest.mark.parametrize(
    "prototype",
    [
        END,
        "void end_any(void *node)",
        "void end_const(const struct node *node)",
        "struct node end_returning(struct node *node)",
    ],
)
def test_end_of_the_last_reference(ends, prototype, release_gil):
    destructor = ends.library.function(prototype, release_gil=release_gil)
    pointer = ends.new(70, destructor)
    view = pointer.view()
    del pointer
    gc.collect()
    assert ends.seen == []
    assert view["value"] == 70
    del view
    assert ends.seen == [70]
    gc.collect()
    assert ends.seen == [70]


def test_release_and_with(ends):
    pointer = ends.new(1)
    pointer.release()
    pointer.release()
    assert ends.seen == [1]
    with ends.new(2) as pointer:
        assert ends.seen == [1]
        kept = pointer[0]
        with refused(BufferError, match="still use the memory"):
            pointer.release()
        del kept
    assert ends.seen == [1, 2]
    del pointer
    with pytest.raises(KeyError), ends.new(3):
        raise KeyError
    gc.collect()
    assert ends.seen == [1, 2, 3]


def test_cycles_and_threads(ends):
    cycle = [ends.new(1)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert ends.seen == [1]
    pointers = [ends.new(i) for i in range(2, 102)]
    threads = [threading.Thread(target=pointers.pop().release) for _ in range(50)]
    for thread in threads:
        thread.start()
    pointers.clear()
    for thread in threads:
        thread.join(30)
    del threads, thread
    assert sorted(ends.seen) == list(range(1, 102))


def test_the_function_is_held(ends):
    destructor = ffi.Function(ends.end, errcheck=lambda result, function, args: None)
    errcheck = weakref.ref(destructor.errcheck)
    pointer = ends.new(5, destructor)
    del destructor
    gc.collect()
    assert errcheck() is not None
    del pointer
    assert ends.seen == [5]
    assert errcheck() is None


# --- errors


def test_errcheck(ends, unraisable):
    fails = ends.library.function("int end_failing(struct node *node)", errcheck=ffi.check_errno)
    before = ffi.set_errno(0)
    ends.new(6, fails).release()
    assert (ends.seen, unraisable.kinds) == ([6], [FFIOSError])
    assert "Input/output error" in unraisable.messages[0]
    assert unraisable.objects == [repr(fails)]
    # An exception on its way stays what it is.
    pointers = [ends.new(7, fails)]
    with pytest.raises(LookupError, match="the first"):
        drop_while_raising(pointers)
    assert (ends.seen, unraisable.kinds) == ([6, 7], [FFIOSError] * 2)
    ffi.set_errno(before)


def drop_while_raising(pointers):
    try:
        raise LookupError("the first")
    finally:
        pointers.clear()


def test_errcheck_sees_the_pointer(ends):
    seen = []

    def errcheck(result, function, args):
        seen.append((result, function, args))

    destructor = ends.library.function(END, errcheck=errcheck)
    memory = ffi.new(NODE, (8, None))
    address = memory.address
    pointer = ffi.gc(memory, destructor)
    del memory, pointer
    ((result, function, (pointer,)),) = seen
    assert (result, function) == (None, destructor)
    assert (pointer.address, pointer.type.target) == (address, NODE)
    # Its own end has come; the memory that `new` made lives on with it.
    gc.collect()
    assert (pointer[0].value, ends.seen) == (8, [8])
    del pointer
    seen.clear()
    gc.collect()
    assert ends.seen == [8]


def test_errno_stays(ends):
    fails = ends.library.function("int end_failing(struct node *node)")
    touch = ends.library.function("int touch_errno(int value)")
    before = ffi.set_errno(0)
    pointer = ends.new(9, fails)
    assert touch(33) == 33
    del pointer
    assert ends.seen == [9]
    assert ffi.get_errno() == 33
    ffi.set_errno(before)


# --- libraries that are closed


@pytest.mark.parametrize("release_gil", [True, False])
@pytest.mark.parametrize(
    "finish",
    [lambda p: p.release(), lambda p: p.__exit__(), lambda p: None],
    ids=["release", "with", "dropped"],
)
def test_closed_libraries(ends, path, unraisable, finish, release_gil):
    library = ends.open(path, release_gil=release_gil)
    end = library.function(END)
    pointers = [ends.new(10, end)]
    ffi.dlclose(library)
    with refused(ValueError, match=r"^end\(\): '.*' is closed$"):
        end(None)
    finish(pointers.pop())
    assert (ends.seen, unraisable.kinds) == ([10], [])


def test_closed_libraries_and_errcheck(ends, path, unraisable):
    library = ends.open(path)
    fails = library.function("int end_failing(struct node *node)", errcheck=ffi.check_errno)
    pointer = ends.new(11, fails)
    ffi.dlclose(library)
    before = ffi.set_errno(0)
    del pointer
    assert (ends.seen, unraisable.kinds) == ([11], [FFIOSError])
    ffi.set_errno(before)


def test_the_library_stays_loaded_until_then(path):
    code = """if True:
        import gc, sys
        import numpy as np
        import ffi
        from test_gc_functions import END, Ends, is_loaded
        path = sys.argv[1]
        ends = Ends(path)
        pointer = ends.new(12)
        ffi.dlclose(ends.library)
        ends.library = ends.end = None
        gc.collect()
        assert is_loaded(path)
        del pointer
        gc.collect()
        assert ends.seen == [12], ends.seen
        print(is_loaded(path))
    """
    try:
        assert is_loaded(path) in (True, False)
    except FileNotFoundError:
        pytest.skip("needs /proc to see what is loaded")
    assert run_python(code, path) == "False\n"


def test_end_of_the_interpreter(path):
    code = """if True:
        import sys
        import ffi
        from test_gc_functions import Ends
        ends = Ends(sys.argv[1])
        kept = ends.new(1)
        in_a_cycle = [ends.new(2), ends]
        in_a_cycle.append(in_a_cycle)
        sys.kept = [kept, ends.new(3)]
        ffi.dlclose(ends.library)
        with ends.new(4):
            pass
        print(ends.seen)
    """
    assert run_python(code, path) == "[4]\n"


@pytest.mark.parametrize(
    "prototype",
    [
        "void end_late(long double x, struct node *node)",
        "void end(void)",
        "void end(int x)",
        "void end(uintptr_t x)",
        "void end(double *x)",
    ],
)
def test_refused_functions(ends, prototype):
    function = ends.library.function(prototype)
    with refused(
        TypeError,
        match=r"^gc\(\): argument 'destructor': expected a function of one .*, got <ffi.Function ",
    ):
        ends.new(1, function)
    assert ends.seen == []
