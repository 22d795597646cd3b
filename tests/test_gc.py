"""Destructors: called once, at the end, whatever ends and however."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from checks import refused, run_python

import ffi
from ffi._layouts import pointer_to

t = ffi.types
POINT = ffi.struct({"x": "double", "y": "double"}, name="point")
NODE = ffi.struct({"value": "int", "next": "void *", "name": "const char *"}, name="node")
ENDS = ffi.CIF("void", "pointer")


class Ends:
    """Counts the calls of the C destructor `destroy`."""

    def __init__(self, cases):
        self.library = ffi.dlopen(cases)
        self.destructor = ffi.dlsym(self.library, "destroy")
        self.destroyed = ffi.view(ffi.dlsym(self.library, "destroyed"), "int")
        self.last = ffi.view(ffi.dlsym(self.library, "last_destroyed"), "uintptr_t")
        self.destroyed[()] = self.last[()] = 0

    @property
    def count(self):
        return int(self.destroyed)


@pytest.fixture
def ends(cases):
    return Ends(cases)


def test_end_of_the_last_reference(ends):
    memory = ffi.new(POINT, (1, 2))
    pointer = ffi.gc(memory, ends.destructor)
    assert pointer == memory
    assert pointer.type == memory.type
    assert pointer[0].y == 2
    assert ends.count == 0
    del pointer
    assert ends.count == 1
    assert ends.last == memory.address
    gc.collect()
    assert ends.count == 1
    assert memory[0].y == 2


@pytest.mark.parametrize(
    "use",
    [
        lambda p: p.cast("void *"),
        lambda p: p[0],
        lambda p: p[0].next,
        lambda p: p.view(),
        lambda p: np.asarray(p[0])[...],
        lambda p: memoryview(p[0]),
        lambda p: ffi.view(p, "int"),
        lambda p: ffi.new("void *", p),
        lambda p: ffi.new(NODE, (1, p, None)),
        lambda p: ffi.new(NODE, p[0]),
        lambda p: ffi.CIF("void", "void *").pack(p),
    ],
)
def test_what_holds_it(ends, use):
    memory = ffi.new(NODE, (5, 16, None))
    pointer = ffi.gc(memory, ends.destructor)
    used = use(pointer)
    with refused(BufferError, match="still use the memory"):
        pointer.release()
    del pointer
    gc.collect()
    assert ends.count == 0
    del used
    gc.collect()
    assert ends.count == 1


def test_release(ends):
    pointer = ffi.gc(ffi.new("int"), ends.destructor)
    pointer.release()
    assert ends.count == 1
    pointer.release()
    with refused(ValueError, match="was released"):
        pointer[0]
    del pointer
    gc.collect()
    assert ends.count == 1


def test_with(ends):
    with ffi.gc(ffi.new("int", 5), ends.destructor) as pointer:
        assert (pointer[0], ends.count) == (5, 0)
    assert ends.count == 1
    with pytest.raises(KeyError), ffi.gc(ffi.new("int"), ends.destructor):
        raise KeyError
    assert ends.count == 2
    with refused(ValueError, match="was released"), pointer:
        pass
    used = []
    with (
        refused(BufferError, match="still use the memory"),
        ffi.gc(ffi.new("int", 5), ends.destructor) as pointer,
    ):
        used.append(pointer.view())
    assert (int(used.pop()), ends.count) == (5, 2)
    pointer.release()
    assert ends.count == 3


def test_several_destructors(ends):
    memory = ffi.new("int")
    one = ffi.gc(memory, ends.destructor)
    two = ffi.gc(one, ends.destructor)
    with refused(BufferError, match="still use"):
        one.release()
    del one
    assert ends.count == 0
    del two
    assert ends.count == 2


def test_memory_outlives_its_destructor():
    # The destructor may still read it, and what it points at.
    seen = []

    def end(rvalue, avalues):
        (address,) = avalues
        node = ffi.read(NODE, ffi.view(ffi.read_pointer(ffi.view(address, "B", 8)), "B", NODE.size))
        seen.append((int(node["value"]), ffi.string(int(node["name"]))))

    closure = ffi.Closure(ENDS, end)
    pointer = ffi.gc(ffi.new(NODE), closure)
    pointer[0].value = 5
    pointer[0].name = bytearray(b"kept\0")
    pointer[0].next = pointer
    del pointer
    gc.collect()
    assert seen == [(5, b"kept")]


def test_cycles(ends):
    one = ffi.gc(ffi.new(NODE), ends.destructor)
    other = ffi.gc(ffi.new(NODE), ends.destructor)
    one[0].next, other[0].next = other, one
    del one
    gc.collect()
    assert ends.count == 0
    del other
    gc.collect()
    assert ends.count == 2


def test_destructor_is_held(ends):
    seen = []
    closure = ffi.Closure(ENDS, lambda rvalue, avalues: seen.append(True))
    pointer = ffi.gc(ffi.new("int"), closure)
    del closure
    gc.collect()
    del pointer
    assert seen == [True]


def test_base_of_closures_is_no_destructor():
    with refused(ValueError, match="has no code"):
        ffi.gc(ffi.new("int"), ffi.Closure.__base__())


def test_errors_go_to_the_hook(unraisable):
    def fail(rvalue, avalues):
        raise KeyError("in the destructor")

    pointer = ffi.gc(ffi.new("int"), ffi.Closure(ENDS, fail))
    pointer.release()
    assert unraisable.kinds == [KeyError]
    pointer = ffi.gc(ffi.new("int"), ffi.Closure(ENDS, fail))
    # An exception on its way stays what it is.
    with pytest.raises(LookupError, match="the first"):
        drop_while_raising([pointer], pointer := None)
    assert unraisable.kinds == [KeyError, KeyError]


def drop_while_raising(pointers, _):
    try:
        raise LookupError("the first")
    finally:
        pointers.clear()


@pytest.mark.parametrize(
    ("pointer", "destructor", "kind", "message"),
    [
        (None, 1, TypeError, "argument 'pointer': expected an ffi.Pointer, got NoneType None"),
        (5, 1, TypeError, "argument 'pointer': expected an ffi.Pointer, got int 5"),
        ("int", 0, ValueError, "argument 'destructor': NULL is no function"),
        ("int", None, TypeError, "expected a C function or its address, got NoneType"),
        ("int", True, TypeError, "expected a C function or its address, got bool"),
        ("int", 1.0, TypeError, "expected a C function or its address, got float"),
        ("int", bytes(8), TypeError, "expected a C function or its address, got bytes"),
        ("int", np.zeros(1, np.uintp), TypeError, "expected a C function or its address"),
        ("int", print, TypeError, r"weakref\.finalize calls Python functions"),
        ("int", -1, OverflowError, "argument 'destructor': expected an address"),
        ("int", 2**64, OverflowError, "argument 'destructor': expected an address"),
    ],
)
def test_refusals(pointer, destructor, kind, message):
    if pointer == "int":
        pointer = ffi.new("int")
    with refused(kind, match=rf"^gc\(\): .*{message}"):
        ffi.gc(pointer, destructor)


@pytest.mark.parametrize(
    ("types", "accepted"),
    [
        (["void", "pointer"], True),
        (["int", "int *"], True),
        (["void", "const int *"], True),
        (["void", "const void *"], True),
        (["void"], False),
        (["void", "pointer", "pointer"], False),
        (["void", "int"], False),
        (["void", "uintptr_t"], False),
        (["void", "double *"], False),
    ],
)
def test_signatures(types, accepted):
    closure = ffi.Closure(ffi.CIF(*types), print)
    if not accepted:
        with refused(TypeError, match=r"argument 'destructor': expected a function of one int \*"):
            ffi.gc(ffi.new("int"), closure)
        return
    calls = []
    closure = ffi.Closure(ffi.CIF(*types), lambda rvalue, avalues: calls.append(1))
    for pointer in (ffi.new("int"), ffi.new("int").cast("const int *"), ffi.new("int *")):
        if pointer.type.target == t.int or "void" in types[1] or types[1] == "pointer":
            ffi.gc(pointer, closure).release()
            assert calls.pop() == 1


def test_calling_conventions():
    others = {value for name, value in ffi.abi.items() if name not in ("first", "last")}
    for abi in others - {ffi.abi.default}:
        try:
            closure = ffi.Closure(ffi.CIF(abi, "void", "pointer"), print)
        except ffi.Error:
            continue
        with refused(TypeError, match="another calling convention"):
            ffi.gc(ffi.new("int"), closure)


def test_meddling_destructor_address(ends):
    class Meddler:
        def __index__(self):
            pointer.release()
            return ends.destructor

    pointer = ffi.new("int")
    with refused(ValueError, match="was released"):
        ffi.gc(pointer, Meddler())
    assert ends.count == 0


def test_const(ends):
    pointer = ffi.new(POINT).cast(pointer_to(POINT, const=True))
    collected = ffi.gc(pointer, ends.destructor)
    assert collected.type == pointer.type
    collected.release()
    assert ends.count == 1


def test_other_threads(ends):
    pointers = [ffi.gc(ffi.new("int"), ends.destructor) for _ in range(100)]
    threads = [threading.Thread(target=pointers.pop().release) for _ in range(50)]
    for thread in threads:
        thread.start()
    pointers.clear()
    for thread in threads:
        thread.join()
    del threads, thread
    assert ends.count == 100


def test_one_release_by_many_threads(ends):
    for i in range(1, 50):
        pointer = ffi.gc(ffi.new("int"), ends.destructor)
        threads = [threading.Thread(target=pointer.release) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ends.count == i


def test_malloc_and_free():
    libc = ffi.dlopen(None)
    cif, result = ffi.CIF("void *", "size_t"), np.zeros(1, np.uintp)
    ffi.call(cif, ffi.dlsym(libc, "malloc"), result, cif.pack(80))
    holder = ffi.new("void *", int(result[0]))
    pointer = ffi.gc(holder[0].cast("double *"), ffi.dlsym(libc, "free"))
    pointer.view(10)[:] = np.arange(10)
    assert pointer.view(10).sum() == 45
    pointer.release()


def test_end_of_the_interpreter(cases):
    code = """if True:
        import sys
        import ffi
        library = ffi.dlopen(sys.argv[1])
        destroy = ffi.dlsym(library, "destroy")
        kept = ffi.gc(ffi.new("int"), destroy)
        kept_in_a_cycle = [ffi.gc(ffi.new("int"), destroy)]
        kept_in_a_cycle.append(kept_in_a_cycle)

        def end(rvalue, avalues):
            print("called")

        closure = ffi.Closure(ffi.CIF("void", "pointer"), end)
        python = ffi.gc(ffi.new("int"), closure)
        with ffi.gc(ffi.new("int"), closure):
            pass
        sys.kept = [kept, python, library]
    """
    assert run_python(code, cases) == "called\n"
