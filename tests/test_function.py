"""Functions: what they are, how they are made, and how arguments are given."""

from __future__ import annotations

import copy
import ctypes
import functools
import inspect
import itertools
import pydoc

import numpy as np
import pytest
from checks import DIRECT, refused, run_python

import ffi
from ffi.cdecl import Parameter, Prototype

t = ffi.types
SOURCE = """
#include <stddef.h>
long digits(int a, int b, int c) { return 100L * a + 10 * b + c; }
int none(void) { return 42; }
void nothing(double x) { (void)x; }
double dot(size_t n, const double *x, const double *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}
"""
DIGITS = "long digits(int a, int b, int c)"


@pytest.fixture(scope="module")
def path(compile_c):
    return compile_c(SOURCE, "function")


@pytest.fixture
def library(path):
    return ffi.dlopen(path)


@pytest.fixture(params=["short", "general"])
def digits(request, library):
    errcheck = (lambda result, function, args: result) if request.param == "general" else None
    return library.function(DIGITS, errcheck=errcheck)


# --- arguments by position and by name


def test_every_way_to_give_three(digits):
    values = {"a": 1, "b": 2, "c": 3}
    for count in range(4):
        for names in itertools.permutations("abc"[count:]):
            rest = {name: values[name] for name in names}
            assert digits(*range(1, count + 1), **rest) == 123
    assert digits(*(1, 2), *[3]) == 123
    assert digits(*iter(b"\1\2\3")) == 123
    assert digits.__call__(1, 2, c=3) == 123
    assert ffi.Function.__call__(digits, 1, b=2, c=3) == 123


def test_called_by_others(digits):
    assert functools.partial(digits, 1)(2, 3) == 123
    assert functools.partial(digits, c=3, a=1)(b=2) == 123
    assert functools.partial(functools.partial(digits, 1), 2)(3) == 123
    assert list(map(digits, [1, 4], [2, 5], [3, 6])) == [123, 456]
    assert list(itertools.starmap(digits, [(1, 2, 3), (4, 5, 6)])) == [123, 456]
    assert functools.reduce(lambda x, y: digits(0, x % 10, y), [1, 2, 3]) == 23
    assert sorted([3, 1, 2], key=lambda x: digits(0, 0, -x)) == [3, 2, 1]
    assert max([1, 5, 3], key=functools.partial(digits, 0, 0)) == 5


def test_as_a_method(library):
    # Like a function of C's, it is no method of the class that holds it.
    class Holder:
        digits = library.function(DIGITS)

    assert Holder().digits(1, 2, 3) == 123


@pytest.mark.parametrize(
    ("args", "names", "message"),
    [
        ((), {}, "expected 3 arguments, got 0; missing argument 'a', argument 'b', argument 'c'"),
        ((1,), {}, "expected 3 arguments, got 1; missing argument 'b', argument 'c'"),
        ((1, 2), {}, "expected 3 arguments, got 2; missing argument 'c'"),
        ((1, 2, 3, 4), {}, "expected 3 arguments, got 4"),
        ((1,) * 1000, {}, "expected 3 arguments, got 1000"),
        ((1, 2, 3, 4), {"a": 1}, "expected 3 arguments, got 5"),
        ((1, 2, 3), {"c": 3}, "got two values for argument 'c'"),
        ((1,), {"a": 1, "b": 1, "c": 1}, "got two values for argument 'a'"),
        ((1, 2), {"d": 3}, "unexpected argument 'd'"),
        ((1, 2), {"": 3}, "unexpected argument ''"),
        ((1, 2), {"c": 3, "d": 3}, "unexpected argument 'd'"),
        ((), {"a": 1, "c": 3}, "expected 3 arguments, got 2; missing argument 'b'"),
        ((), {"A": 1}, "unexpected argument 'A'"),
    ],
)
def test_wrong_counts_and_names(digits, args, names, message):
    with refused(TypeError, match=rf"^digits\(\): {message}$"):
        digits(*args, **names)


def test_doubled_names_are_pythons(digits):
    twice = {"a": 2}
    with pytest.raises(TypeError, match="multiple values for keyword argument 'a'"):
        digits(a=1, **twice)
    with pytest.raises(TypeError, match="keywords must be strings"):
        digits(**{1: 2})


def test_names_of_any_str(digits):
    class Name(str):
        pass

    assert digits(1, 2, **{Name("c"): 3}) == 123
    assert digits(1, 2, **{"".join(["", "c"]): 3}) == 123


def test_functions_without_arguments(library):
    none = library.function("int none(void)")
    assert none() == functools.partial(none)() == 42
    for args, names in [((1,), {}), ((None,), {})]:
        with refused(TypeError, match=r"^none\(\): expected 0 arguments, got 1$"):
            none(*args, **names)
    with refused(TypeError, match=r"^none\(\): unexpected argument 'x'$"):
        none(x=1)
    assert library.function("void nothing(double x)")(1) is None


def test_parameters_without_names(library):
    digits = library.function("digits", "long", "int", "int", "int")
    assert digits(1, 2, 3) == 123
    with refused(TypeError, match=r"^digits\(\): expected 3 arguments, got 2; missing argument 2$"):
        digits(1, 2)
    for name in ("arg2", "2", "None"):
        with refused(TypeError, match=rf"^digits\(\): unexpected argument '{name}'$"):
            digits(1, 2, **{name: 3})
    mixed = library.function("long digits(int, int b, int)")
    assert mixed(1, 2, 3) == 123
    assert inspect.signature(library.function("long digits(int, int b, int c)")).bind(1, b=2, c=3)
    some = library.function("long digits(int, int b, int c)")
    assert some(1, c=3, b=2) == 123


def test_arguments_named_like_pythons_own(compile_c):
    names = ["self", "args", "kwargs", "function", "lambda", "None", "class", "release_gil"]
    text = f"int named({', '.join(f'int {name}' for name in names)})"
    source = f"{text} {{ return {' + '.join(f'{i} * {n}' for i, n in enumerate(names, 1))}; }}"
    named = ffi.dlopen(compile_c(source, "named")).function(text)
    assert named(**dict.fromkeys(names, 1)) == 36
    assert named(*[1] * 8) == 36


# --- attributes


def test_attributes(library):
    digits = library.function(DIGITS)
    assert digits.__name__ == digits.__qualname__ == "digits"
    assert digits.__doc__ == digits.prototype == DIGITS
    assert digits.rtype == t.long
    assert digits.atypes == (t.int, t.int, t.int)
    assert digits.address == ffi.dlsym(library, "digits")
    assert digits.library is library
    assert digits.release_gil is True
    assert digits.errcheck is None
    assert digits.cif == ffi.CIF("long", "int", "int", "int")
    assert repr(digits) == f"<ffi.Function {DIGITS} at {digits.address:#x}>"
    assert callable(digits)
    assert isinstance(digits, ffi.Function)


def test_prototypes_are_written_as_c(library):
    for text in (
        "long digits(int a, int b, int c)",
        "double dot(size_t n, const double *x, const double *y)",
        "int none(void)",
        "void nothing(double)",
    ):
        assert library.function(text).prototype == text
    by_types = library.function("dot", t.double, t.size_t, "const double *", "const double *")
    assert by_types.prototype == "double dot(size_t, const double *, const double *)"
    anonymous = ffi.Function(by_types, t.double, t.size_t, "const double *", "const double *")
    assert anonymous.prototype == "double (size_t, const double *, const double *)"
    assert anonymous.__name__ == "function"
    # What is written can be read.
    again = ffi.Function(by_types, by_types.prototype)
    assert (again.rtype, again.atypes) == (by_types.rtype, by_types.atypes)
    assert again == by_types


def test_repr_of_a_closed_one(library):
    digits = library.function(DIGITS)
    ffi.dlclose(library)
    assert repr(digits) == f"<ffi.Function {DIGITS} at {digits.address:#x} (closed)>"


def test_signature(library):
    digits = library.function(DIGITS)
    signature = inspect.signature(digits)
    assert str(signature) == "(a, b, c)"
    assert signature.bind(1, c=3, b=2).args == (1, 2, 3)
    assert inspect.signature(functools.partial(digits, 1)).parameters.keys() == {"b", "c"}
    by_types = library.function("digits", "long", "int", "int", "int")
    assert str(inspect.signature(by_types)) == "(arg0, arg1, arg2, /)"
    assert str(inspect.signature(library.function("long digits(int, int b, int)"))) == (
        "(arg0, b, arg2, /)"
    )
    assert str(inspect.signature(library.function("long digits(int, int b, int c)"))) == (
        "(arg0, /, b, c)"
    )
    assert str(inspect.signature(library.function("int none(void)"))) == "()"


def test_signatures_with_names_that_python_cannot_have(library):
    for text, signature in (
        ("int lambda, int None, int c", "(arg0, arg1, /, c)"),
        ("int a, int b, int lambda", "(a, b, arg2, /)"),
        ("int, int arg0, int b", "(arg0_, /, arg0, b)"),
        ("int x, int, int arg1", "(x, arg1_, /, arg1)"),
    ):
        function = library.function(f"long digits({text})")
        assert function(1, 2, 3) == 123
        assert str(inspect.signature(function)) == signature
    # They can be given nevertheless.
    named = library.function("long digits(int a, int b, int lambda)")
    assert named(1, 2, **{"lambda": 3}) == 123


def test_help(library):
    text = pydoc.plain(pydoc.render_doc(library.function(DIGITS)))
    assert DIGITS in text
    assert "called with Python values" in pydoc.plain(pydoc.render_doc(ffi.Function))


def test_immutable(library):
    digits = library.function(DIGITS)
    for name in (
        "__name__", "__doc__", "prototype", "rtype", "atypes", "address", "library", "release_gil",
        "errcheck", "cif", "__signature__", "other",
    ):  # fmt: skip
        with pytest.raises(AttributeError):
            setattr(digits, name, None)
        with pytest.raises(AttributeError):
            delattr(digits, name)
    # Nor by making it again.
    digits.__init__(1, 2, 3)
    assert digits(1, 2, 3) == 123


def test_equality_and_hash(library, path):
    digits = library.function(DIGITS)
    same = library.function(DIGITS)
    assert digits == same
    assert same is not digits
    assert hash(digits) == hash(same)
    assert digits == ffi.dlopen(path).function(DIGITS)
    others = [
        library.function("long digits(int, int, int)"),
        library.function("digits", "long", "int", "int", "int"),
        library.function("unsigned long digits(int a, int b, int c)"),
        library.function(DIGITS, release_gil=False),
        library.function(DIGITS, errcheck=ffi.check_errno),
        library.function("int none(void)"),
        digits.address,
        DIGITS,
        None,
    ]
    assert all(digits != other for other in others)
    assert digits not in others
    assert len({digits, same, *others[:6]}) == 6
    assert {digits: 1}[same] == 1


def test_copies_are_the_same(library):
    digits = library.function(DIGITS)
    assert copy.copy(digits) is digits
    assert copy.deepcopy({1: [digits]})[1][0] is digits


def test_no_subclasses(library):
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Mine", (ffi.Function,), {})
    with pytest.raises(TypeError):
        ffi.Function()


# --- made of what


def test_of_addresses_and_pointers(library):
    address = ffi.dlsym(library, "digits")
    pointer = ffi.new("pointer", address)[0]
    closure = ffi.Closure(
        ffi.CIF("long", *["int"] * 3), lambda rvalue, _: ffi.write("long", rvalue, 7)
    )
    for source, expected in (
        (address, 123),
        (pointer, 123),
        (library.function(DIGITS), 123),
        (ctypes.CDLL(library.path).digits, 123),
        (closure, 7),
    ):
        check_function_of(source, expected)


def test_of_cffi_pointers(cffi, library):
    address = ffi.dlsym(library, "digits")
    check_function_of(cffi.FFI().cast("long (*)(int, int, int)", address), 123)


def check_function_of(source, expected):
    for signature in ((DIGITS,), ("long", "int", t.int, np.dtype("i"))):
        function = ffi.Function(source, *signature)
        assert function(1, 2, 3) == expected
        assert function.release_gil is True
        assert function.prototype in (DIGITS, "long (int, int, int32_t)")
        assert function.library is getattr(source, "library", None)
        kept = ffi.Function(source, *signature, release_gil=False)
        assert kept(1, 2, 3) == expected
        assert kept.release_gil is False


def test_of_a_function(library):
    digits = library.function(DIGITS, release_gil=False)
    plain = ffi.Function(digits)
    assert plain(1, b=2, c=3) == 123
    assert (plain.prototype, plain.library, plain.release_gil) == (DIGITS, library, True)
    ffi.dlclose(library)
    with refused(ValueError, match=r"^digits\(\): '.*' is closed$"):
        plain(1, 2, 3)


def test_of_a_prototype(library):
    prototype = Prototype("other", t.long, (Parameter("x", t.int), *[Parameter(None, t.int)] * 2))
    function = ffi.Function(ffi.dlsym(library, "digits"), prototype)
    assert function.prototype == "long other(int x, int, int)"
    assert function(1, 2, 3) == 123


def test_a_closure_is_kept():
    run_python(
        """if True:
            import gc
            import ffi
            cif = ffi.CIF("int", "int")
            function = ffi.Function(
                ffi.Closure(cif, lambda rvalue, avalues: ffi.write("int", rvalue, 5)), "int (int)"
            )
            gc.collect()
            others = [ffi.Closure(cif, lambda *_: None) for _ in range(3000)]
            assert function(1) == 5
        """
    )


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ((0, "int (int)"), {}, ValueError, "NULL is no function"),
        ((-1, "int (int)"), {}, OverflowError, "got -1"),
        ((2**64, "int (int)"), {}, OverflowError, "got 18446744073709551616"),
        (
            (None, "int (int)"),
            {},
            TypeError,
            "expected an address or a function pointer, got NoneType",
        ),
        (("abs", "int (int)"), {}, TypeError, "function pointer, got str 'abs'"),
        ((1.5, "int (int)"), {}, TypeError, "function pointer, got float 1.5"),
        ((len, "int (int)"), {}, TypeError, "function pointer, got builtin"),
        ((bytearray(8), "int (int)"), {}, TypeError, "function pointer, got bytearray"),
        ((np.zeros(1, np.uintp), "int (int)"), {}, TypeError, "function pointer, got ndarray"),
        ((1,), {}, TypeError, "expected a prototype, or the types of the result and the arguments"),
        ((1, "int (int"), {}, ValueError, "prototype: 1:5: "),
        ((1, "unknown (int)"), {}, TypeError, "undeclared type 'unknown'"),
        ((1, "no type"), {}, TypeError, "'no type' is neither"),
        ((1, int), {}, TypeError, "Python's int is no C type"),
        ((1, None), {}, TypeError, "or a C type name, got None"),
        ((1, t.int, t.void), {}, TypeError, "void"),
        ((1, "int (int, ...)", "int"), {}, TypeError, r"int \(int, \.\.\.\)"),
        (
            (1, "int (int)"),
            {"errcheck": 5},
            TypeError,
            "'errcheck': expected a callable, got int 5",
        ),
    ],
)
def test_wrong_functions(arguments, options, kind, message):
    with refused(kind, match=rf"^Function\(\): .*{message}"):
        ffi.Function(*arguments, **options)


def test_closures_are_no_data(library):
    data = ctypes.c_int(5)
    for pointer in (data, ctypes.pointer(data)):
        with refused(TypeError, match=r"^Function\(\): "):
            ffi.Function(pointer, "int (int)")


def test_released_pointers():
    p = ffi.new("int")
    p.release()
    with refused(ValueError, match="was released"):
        ffi.Function(p, "int (int)")


# --- what else takes a function


def test_low_level_takes_functions(library):
    digits = library.function(DIGITS)
    rvalue = bytearray(ffi.sizeof.ffi_arg)
    ffi.call(digits.cif, digits, rvalue, digits.cif.pack(1, 2, 3))
    assert digits.cif.unpack(rvalue) == 123
    assert ffi.addressof(digits) == digits.address
    place = np.zeros(1, np.uintp)
    ffi.write_pointer(place, digits)
    assert place[0] == digits.address


def test_functions_are_destructors(symbol):
    destroyed = ffi.view(symbol("destroyed"), np.intc)
    destroy = ffi.Function(symbol("destroy"), "void destroy(int *object)")
    before = int(destroyed)
    with ffi.gc(ffi.new("int"), destroy):
        assert destroyed == before
    assert destroyed == before + 1
    with refused(TypeError, match=r"^gc\(\): argument 'destructor'"):
        ffi.gc(ffi.new("double"), destroy)


# --- without direct calls


@pytest.mark.skipif(not DIRECT, reason="everything goes through libffi here")
def test_the_same_through_libffi(path):
    run_python(
        """if True:
            import os, sys
            os.environ["FFI_NO_DIRECT"] = "1"
            import numpy as np
            import ffi
            library = ffi.dlopen(sys.argv[1])
            digits = library.function("long digits(int a, int b, int c)")
            assert digits.cif.path == "libffi"
            assert digits(1, c=3, b=2) == 123
            assert library.function("int none(void)", release_gil=False)() == 42
            x = np.arange(4.0)
            dot = library.function("double dot(size_t n, const double *x, const double *y)")
            assert dot(4, x, x) == 14.0
            for wrong in ((1, 2), (1, 2, "x"), (1, 2, 2**31)):
                try:
                    digits(*wrong)
                except (TypeError, OverflowError) as error:
                    assert str(error).startswith("digits(): ")
                else:
                    raise AssertionError
        """,
        path,
    )
