"""call_views and libffi: Cython modules that cimport ffi, compiled out of the tree."""

from __future__ import annotations

import numpy as np
import pytest
from checks import refused, run_python
from cython_build import build, libffi_flags, load

import ffi

t = ffi.types
WORD = ffi.sizeof.ffi_arg
ADD = ffi.CIF(t.int, t.int, t.int)

SOURCE = """
# cython: language_level=3
from ffi._core cimport CIF, call_views


def call(CIF cif, size_t fn, unsigned char[::1] rvalue, size_t[::1] avalues):
    call_views(cif, <void *>fn, rvalue, avalues)


def call_without_gil(CIF cif, size_t fn, unsigned char[::1] rvalue, size_t[::1] avalues):
    with nogil:
        call_views(cif, <void *>fn, rvalue, avalues)


def add_many(CIF cif, size_t fn, int[::1] left, int[::1] right, int[::1] sums):
    cdef size_t addresses[2]
    cdef unsigned long result = 0
    cdef Py_ssize_t i
    cdef unsigned char[::1] rvalue = <unsigned char[:sizeof(result)]><unsigned char *>&result
    cdef size_t[::1] avalues = addresses
    with nogil:
        for i in range(left.shape[0]):
            addresses[0] = <size_t>&left[i]
            addresses[1] = <size_t>&right[i]
            call_views(cif, <void *>fn, rvalue, avalues)
            sums[i] = <int>result


def typed_bytes(unsigned char[::1] view):
    return view


def typed_addresses(size_t[::1] view):
    return view
"""

# libffi itself, for those who link it.
DIRECT_SOURCE = """
# cython: language_level=3
from ffi cimport libffi


def add(size_t fn, int left, int right):
    cdef libffi.ffi_cif cif
    cdef libffi.ffi_type *types[2]
    cdef void *avalues[2]
    cdef libffi.ffi_arg result = 0
    types[0] = types[1] = &libffi.ffi_type_sint32
    avalues[0], avalues[1] = <void *>&left, <void *>&right
    status = libffi.ffi_prep_cif(
        &cif, libffi.FFI_DEFAULT_ABI, 2, &libffi.ffi_type_sint32, types
    )
    if status != libffi.FFI_OK:
        raise ValueError(f"status {status}")
    libffi.ffi_call(&cif, <void (*)() noexcept nogil>fn, &result, avalues)
    return <int>result
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cimport")
    build(SOURCE, folder, "-O1", f"-I{np.get_include()}", *libffi_flags(), name="consumer")
    return folder


@pytest.fixture(scope="module")
def consumer(folder):
    (path,) = folder.glob("consumer*.so")
    return load(path)


@pytest.fixture(params=["call", "call_without_gil"])
def call_views(request, consumer):
    return getattr(consumer, request.param)


def addresses(*values):
    return np.array([value.ctypes.data for value in values], np.uintp)


def test_call(call_views, symbol):
    rvalue = np.zeros(WORD, np.uint8)
    left, right = np.array([-40], np.intc), np.array([-2], np.intc)
    avalues = addresses(left, right)
    before = avalues.copy()
    call_views(ADD, symbol("add_int"), rvalue, avalues)
    assert ADD.unpack(rvalue) == -42
    assert (avalues == before).all()


def test_avalues_stay_as_they_are(call_views, symbol):
    wide = ffi.struct([("items", np.dtype((np.int64, 5)))])
    cif = ffi.CIF(t.int64, wide, wide)
    left, right = np.arange(10, dtype=np.int64).reshape(2, 5)
    avalues, rvalue = addresses(left, right), np.zeros(8, np.uint8)
    before = avalues.copy()
    for _ in range(3):
        call_views(cif, symbol("sum_two_wide"), rvalue, avalues)
        assert cif.unpack(rvalue) == left.sum() - 2 * right.sum()
    assert (avalues == before).all()
    assert (left.tolist(), right.tolist()) == (list(range(5)), list(range(5, 10)))


def test_many_arguments(call_views, compile_c):
    names = ", ".join(f"double a{i}" for i in range(100))
    total = " + ".join(f"{i} * a{i}" for i in range(100))
    library = ffi.dlopen(compile_c(f"double weigh({names}) {{ return {total}; }}", "weigh_100"))
    cif = ffi.CIF(t.double, *[t.double] * 100)
    values = np.linspace(0, 1, 100)
    avalues = (values.ctypes.data + 8 * np.arange(100)).astype(np.uintp)
    rvalue = np.zeros(1)
    call_views(cif, ffi.dlsym(library, "weigh"), rvalue.view(np.uint8), avalues)
    assert rvalue[0] == pytest.approx(values @ np.arange(100), rel=1e-14)


def test_void(call_views, symbol):
    counter = ffi.view(symbol("calls_of_count_call"), t.int)
    before = counter.item()
    nothing = np.zeros(0, np.uintp)
    for rvalue in (np.zeros(0, np.uint8), np.zeros(100, np.uint8), None):
        call_views(ffi.CIF(t.void), symbol("count_call"), rvalue, nothing)
    assert counter.item() == before + 3


def test_loop(consumer, symbol):
    left = np.arange(10_000, dtype=np.intc)
    right, sums = left[::-1].copy(), np.zeros_like(left)
    consumer.add_many(ADD, symbol("add_int"), left, right, sums)
    assert (sums == 9_999).all()


def test_closure_inside(call_views):
    def function(rvalue, avalues):
        ffi.write(t.int, rvalue, int(ffi.view(avalues[0], t.int)[()]) + 1)

    closure = ffi.Closure(ADD, function)
    rvalue, number = np.zeros(WORD, np.uint8), np.array([4], np.intc)
    call_views(ADD, closure.address, rvalue, addresses(number, number))
    assert ADD.unpack(rvalue) == 5


def test_refusals(call_views, symbol):
    fn = symbol("count_call")
    counter = ffi.view(symbol("calls_of_count_call"), t.int)
    before = counter.item()
    number = np.array([4], np.intc)
    rvalue, avalues = np.zeros(2 * WORD, np.uint8), addresses(number, number)
    null = np.array([number.ctypes.data, 0], np.uintp)
    for fn_, rvalue_, avalues_, match in (
        (0, rvalue, avalues, "argument 'fn': NULL is no function"),
        (
            fn,
            rvalue[: WORD - 1],
            avalues,
            f"argument 'rvalue': expected .*{WORD}.*{WORD - 1}",
        ),
        (fn, rvalue[:0], avalues, f"argument 'rvalue': expected .*{WORD} bytes"),
        (fn, rvalue[1 : 1 + WORD], avalues, f"argument 'rvalue': expected .* aligned to {WORD}"),
        (fn, None, avalues, f"argument 'rvalue': expected .*{WORD} bytes"),
        (fn, rvalue, avalues[:1], "argument 'avalues': expected 2 addresses, got 1"),
        (fn, rvalue, avalues[:0], "argument 'avalues': expected 2 addresses, got 0"),
        (fn, rvalue, None, "argument 'avalues': expected 2 addresses, got 0"),
        (fn, rvalue, null, "argument 'avalues': entry 1 is NULL"),
        (fn, rvalue, null[::-1].copy(), "argument 'avalues': entry 0 is NULL"),
    ):
        with refused(ValueError, match=rf"call_views\(\): {match}"):
            call_views(ADD, fn_, rvalue_, avalues_)
    assert counter.item() == before


@pytest.mark.parametrize("name", ["call", "call_without_gil"])
def test_no_cif(folder, name):
    code = f"""
import sys
sys.path.insert(0, sys.argv[1])
import consumer, ffi, numpy as np
try:
    consumer.{name}(None, 1, np.zeros(8, np.uint8), np.zeros(8, np.uintp))
except TypeError as exc:
    print(isinstance(exc, ffi.Error))
"""
    assert run_python(code, folder) == "True\n"


def test_typed_memoryviews_are_storage(consumer, symbol):
    numbers = np.array([40, 2], np.intc)
    rvalue = consumer.typed_bytes(bytearray(8))
    avalues = consumer.typed_addresses(addresses(numbers[:1], numbers[1:]))
    assert "MemoryView" in repr(rvalue) or "memoryview" in type(rvalue).__name__
    ffi.call(ADD, symbol("add_int"), rvalue, avalues)
    assert ADD.unpack(rvalue) == 42
    pieces = [consumer.typed_bytes(numbers.view(np.uint8)[i : i + 4]) for i in (0, 4)]
    ffi.write(t.int64, rvalue, 0)
    ffi.call(ADD, symbol("add_int"), rvalue, pieces)
    assert ADD.unpack(rvalue) == 42
    assert ffi.addressof(pieces[0]) == numbers.ctypes.data


def test_libffi(tmp_path, symbol):
    module = load(build(DIRECT_SOURCE, tmp_path, *libffi_flags(), name="direct"))
    assert module.add(symbol("add_int"), -40, -2) == -42
