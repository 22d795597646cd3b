"""C declarations: prototypes and types from text, and back."""

from __future__ import annotations

import pickle
import random

import pytest
from checks import refused, run_python

import ffi
from ffi.cdecl import Parameter, Prototype, parse_prototype, parse_type, spell

t = ffi.types
POINT = ffi.struct([("x", "double"), ("y", "double")], "point")
NUMBER = ffi.union([("i", "int"), ("d", "double")], "union number")
TYPES = {"point": POINT, "struct point": POINT, "union number": NUMBER}

# All ways to name the scalar types, and what they are.
SPELLINGS = {
    "_Bool": t.bool,
    "bool": t.bool,
    "char": t.char,
    "signed char": t.schar,
    "char signed": t.schar,
    "unsigned char": t.uchar,
    "short": t.short,
    "short int": t.short,
    "int signed short": t.short,
    "unsigned short": t.ushort,
    "short unsigned int": t.ushort,
    "int": t.int,
    "signed": t.int,
    "int signed": t.int,
    "unsigned": t.uint,
    "unsigned int": t.uint,
    "long": t.long,
    "long int": t.long,
    "signed long": t.long,
    "unsigned long": t.ulong,
    "int long unsigned": t.ulong,
    "long long": t.longlong,
    "long signed int long": t.longlong,
    "unsigned long long int": t.ulonglong,
    "long unsigned long": t.ulonglong,
    "float": t.float,
    "double": t.double,
    "long double": t.longdouble,
    "double long": t.longdouble,
    "float _Complex": t.complex_float,
    "complex float": t.complex_float,
    "_Complex double": t.complex_double,
    "double complex": t.complex_double,
    "long complex double": t.complex_longdouble,
    "complex double long": t.complex_longdouble,
    "size_t": t.size_t,
    "ssize_t": t.ssize_t,
    "ptrdiff_t": t.ptrdiff_t,
    "intptr_t": t.intptr_t,
    "uintptr_t": t.uintptr_t,
    "wchar_t": t.wchar_t,
    "intmax_t": t.int64,
    "uintmax_t": t.uint64,
    **{f"int{bits}_t": t[f"int{bits}"] for bits in (8, 16, 32, 64)},
    **{f"uint{bits}_t": t[f"uint{bits}"] for bits in (8, 16, 32, 64)},
    **{f"int_least{bits}_t": t[f"int{bits}"] for bits in (8, 16, 32, 64)},
    **{f"uint_least{bits}_t": t[f"uint{bits}"] for bits in (8, 16, 32, 64)},
}
FAST = [f"{sign}int_fast{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)]

HEADERS = """
#include <complex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
typedef struct point { double x, y; } point;
union number { int i; double d; };
struct other;
"""


def types_of(text):
    return [parameter.type for parameter in parse_prototype(text, TYPES).parameters]


# --- what is read


def test_prototype():
    prototype = parse_prototype("double hypot(double x, double y)")
    assert prototype == Prototype(
        "hypot", t.double, (Parameter("x", t.double), Parameter("y", t.double))
    )
    assert prototype.variadic is False
    assert prototype.text == "double hypot(double x, double y)"
    assert hash(prototype) == hash(parse_prototype("double hypot(double x,double y) ;"))
    assert prototype != parse_prototype("double hypot(double x, double z)")
    with pytest.raises(AttributeError):
        prototype.name = "other"


@pytest.mark.parametrize(
    ("text", "name", "names"),
    [
        ("double f(double, float);", "f", [None, None]),
        ("double (double, float)", None, [None, None]),
        ("double(double x, float)", None, ["x", None]),
        ("double (f)(double, float y)", "f", [None, "y"]),
        ("double (*(f))(double, float)", None, None),
        (" extern\tdouble\n f ( double x , float y ) ; ", "f", ["x", "y"]),
        ("static inline double f(register double x, float const y)", "f", ["x", "y"]),
        ("_Noreturn double f(double volatile x, const volatile float y)", "f", ["x", "y"]),
        ("double /* a, b) */ f(double, // c\n float /**/ y)", "f", [None, "y"]),
        ("__extension__ double f(double, float)\r\n;", "f", [None, None]),
        ("double point(double size_t, float point)", "point", ["size_t", "point"]),
        ("double $f_1(double $, float _)", "$f_1", ["$", "_"]),
    ],
)
def test_ways_to_write(text, name, names):
    if names is None:
        with refused(ValueError, match="expected the prototype of a function"):
            parse_prototype(text, TYPES)
        return
    prototype = parse_prototype(text, TYPES)
    assert prototype.rtype == t.double
    assert [parameter.type for parameter in prototype.parameters] == [t.double, t.float]
    assert [parameter.name for parameter in prototype.parameters] == names
    assert prototype.name == name


@pytest.mark.parametrize("text", ["int f(void)", "int f()", "int (void)", "int()", "int f(void);"])
def test_no_parameters(text):
    prototype = parse_prototype(text)
    assert (prototype.rtype, prototype.parameters) == (t.int, ())
    assert prototype.text == ("int f(void)" if "f" in text else "int (void)")


@pytest.mark.parametrize(("text", "expected"), SPELLINGS.items())
def test_scalars(text, expected):
    assert parse_type(text) is expected
    (found,) = types_of(f"void f({text} x)")
    assert found is expected
    assert parse_prototype(f"{text} f(void)").rtype is expected
    assert types_of(f"void f(const {text})") == [expected]
    assert parse_type(f"{text} const *").target is expected


def test_scalars_are_the_compilers(compile_c):
    # A pointer's type is checked by the compiler, and a size is.
    lines = [
        f"_Static_assert(sizeof({text}) == {type.size}, {text!r});".replace("'", '"')
        for text, type in [*SPELLINGS.items(), *((name, parse_type(name)) for name in FAST)]
    ]
    lines += [
        f"int same{i}({text} *); int same{i}({spell(type)} *);"
        for i, (text, type) in enumerate(SPELLINGS.items())
        if "max_t" not in text
        and text not in ("size_t", "ssize_t", "ptrdiff_t", "wchar_t")
        and "ptr_t" not in text
    ]
    compile_c(HEADERS + "\n".join(lines), "spellings")
    for name in FAST:
        signed = parse_type(name) in (t.int8, t.int16, t.int32, t.int64)
        assert signed is not name.startswith("u")


def test_pointers():
    assert parse_type("double *").target is t.double
    assert parse_type("double *").const is False
    assert parse_type("const double *").const is True
    assert parse_type("double const*") == parse_type("const double *")
    assert parse_type("double *const") == parse_type("double *restrict") == parse_type("double *")
    assert parse_type("void *") == t.pointer
    assert parse_type("const void *") != t.pointer
    deep = parse_type("const double *const **volatile")
    assert (deep.const, deep.target.const, deep.target.target.const) == (False, True, True)
    assert deep.target.target.target is t.double
    assert parse_type("char **").name == "char **"
    names = "char *restrict, char *__restrict, char *__restrict__"
    assert types_of(f"int f({names})") == [parse_type("char *")] * 3
    assert parse_prototype("const char *f(void)").rtype == parse_type("char const *")


def test_structs_and_unions():
    assert types_of("void f(point, struct point, union number x)") == [POINT, POINT, NUMBER]
    assert parse_prototype("point f(point)", TYPES).rtype is POINT
    assert parse_type("const struct point *", TYPES).target is POINT
    assert parse_type("struct point *").target.tag == "struct point"
    # A name is no tag, a tag is no name, nor a struct a union.
    assert parse_type("struct number *", TYPES).target.tag == "struct number"
    assert parse_type("union point *", TYPES).target.tag == "union point"


def test_opaque_types():
    type = parse_type("struct other *")
    assert type.target.tag == "struct other"
    assert type == parse_type("struct other*")
    assert type != parse_type("struct another *")
    assert parse_type("FILE *").target.tag == "FILE"
    assert types_of("int f(FILE *, const FILE *const *)") == [
        parse_type("FILE *"),
        parse_type("const FILE *const *"),
    ]


def test_given_types_come_first():
    integer = ffi.struct([("value", "long")], "size_t")
    assert parse_type("size_t", {"size_t": integer}) is integer
    assert parse_type("size_t") is t.size_t
    text = parse_type("const char *")
    assert parse_type("string", {"string": text}) is text
    # Const are then the pointers.
    assert parse_type("const string *", {"string": text}) == parse_type("const char *const *")


def test_texts_are_read_once():
    assert parse_prototype("int once(int x)") is parse_prototype("int once(int x)")

    class Text(str):
        def __hash__(self):
            raise AssertionError("asked for its hash")

        def __eq__(self, other):
            raise AssertionError("compared")

    assert parse_prototype(Text("int once(int x)")) is parse_prototype("int once(int x)")


def test_pickling():
    for text in ("point f(point *p, FILE *, double _Complex)", "void (void)"):
        prototype = parse_prototype(text, TYPES)
        assert pickle.loads(pickle.dumps(prototype)) == prototype


# --- and back


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("double*f(void)", "double *f(void)"),
        ("const char*const*(char const*)", "const char *const *(const char *)"),
        ("uint8_t f(unsigned, long unsigned int x)", "uint8_t f(unsigned int, unsigned long x)"),
        ("bool f(complex double z)", "_Bool f(double _Complex z)"),
        ("point f(struct other *p)", "point f(struct other *p)"),
        ("void f(int *const p)", "void f(int *p)"),
    ],
)
def test_text(text, expected):
    prototype = parse_prototype(text, TYPES)
    assert prototype.text == expected
    assert parse_prototype(expected, TYPES) == prototype


def draw_type(rng):
    base = rng.choice([*SPELLINGS, *FAST, "void", "FILE", "point", "struct other", "union number"])
    words = base.split()
    if rng.random() < 0.5:
        words.insert(rng.choice([0, len(words)]), "const")
    stars = rng.choice([0, 0, 0, 1, 1, 2, 3])
    if base in ("void", "FILE", "struct other"):
        stars = max(stars, 1)
    for _ in range(stars):
        words.append(rng.choice(["*", "*", "* const", "*restrict"]))
    return rng.choice([" ", "  ", "\n", " /* , */ "]).join(words)


def test_random_prototypes(compile_c):
    # The compiler refuses two declarations of a function that differ, so this is its verdict.
    rng = random.Random(20)
    lines = []
    for i in range(500):
        parameters = [
            f"{draw_type(rng)} {rng.choice(['', f'p{k}'])}" for k in range(rng.randrange(6))
        ]
        text = f"{draw_type(rng)} f{i}({', '.join(parameters) or 'void'})"
        prototype = parse_prototype(text, TYPES)
        assert parse_prototype(prototype.text, TYPES) == prototype
        lines.append(f"{text};\n{prototype.text};")
    # To the compiler `restrict` is part of what a pointer points at. The names of
    # stdint.h may stand for another integer of the same size than ours do.
    defines = "".join(
        f"#define {name} {spell(parse_type(name))}\n" for name in ("intmax_t", "uintmax_t", *FAST)
    )
    compile_c(f"{HEADERS}#define restrict\n{defines}" + "\n".join(lines), "prototypes")


# --- what is refused


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("double hypot(double x, y)", TypeError, "1:24: undeclared type 'y'"),
        ("hypot(double x)", TypeError, "1:1: undeclared type 'hypot'"),
        ("foo_t f(int)", TypeError, "1:1: undeclared type 'foo_t'"),
        ("int f(int,\n  const foo_t *x)", TypeError, "2:9: undeclared type 'foo_t'"),
        ("int f(foo_t)", TypeError, "1:7: undeclared type 'foo_t'"),
        ("int f(ulonglong x)", TypeError, "undeclared type 'ulonglong', which is 'unsigned long"),
        ("int f(__int128 x)", NotImplementedError, "1:7: numbers of type __int128 are not"),
        ("int (foo_t)", TypeError, "1:6: undeclared type 'foo_t'"),
        ("const f(int)", TypeError, "1:7: undeclared type 'f'"),
        ("int f(const x)", TypeError, "1:13: undeclared type 'x'"),
        ("int f(const *x)", ValueError, r"1:13: expected a type before '\*'"),
        ("int f(const)", ValueError, r"1:12: expected a type before '\)'"),
        ("int f(int (const x))", (TypeError, NotImplementedError), "undeclared|function pointer"),
        ("*f(int)", ValueError, r"1:1: expected a type before '\*'"),
        ("(int)", ValueError, r"1:1: expected a type before '\('"),
        ("const", ValueError, "1:6: expected a type at the end"),
        ("struct other f(void)", TypeError, "1:14: struct other is not declared"),
        ("int f(FILE f)", TypeError, "1:12: FILE is not declared"),
        ("int f(void, int)", TypeError, r"1:\d+: a parameter cannot be void"),
        ("int f(void x)", TypeError, "1:12: a parameter cannot be void"),
        ("int f(const void)", TypeError, "a parameter cannot be void"),
        ("int f(int x, int x)", ValueError, "1:18: a second parameter 'x'"),
        ("int f(int x,)", ValueError, r"1:13: expected a type before '\)'"),
        ("int f(,int x)", ValueError, "1:7: expected a type before ','"),
        ("int f(int x", ValueError, r"1:6: '\(' is never closed"),
        ("int f(int x))", ValueError, r"1:13: '\)' closes nothing"),
        (") int f(int x", ValueError, r"1:1: '\)' closes nothing"),
        ("int f(int x y)", ValueError, "1:13: syntax error: before y"),
        ("int f(int 3)", ValueError, "1:11: syntax error: before 3"),
        ("int f(int double x)", ValueError, "1:7: 'int double' is no type"),
        ("long float f(void)", ValueError, "1:1: 'long float' is no type"),
        ("_Complex f(void)", ValueError, "1:1: '_Complex' is no type"),
        ("int f(long long long x)", ValueError, "1:7: 'long long long' is no type"),
        ("double complex f(float complex z) x", ValueError, "syntax error"),
        ("int f(float complex z, int x x)", ValueError, "1:30: syntax error: before x"),
        ("int f(float complex z,\n int x x)", ValueError, "2:8: syntax error: before x"),
        ("int f(int), g(int)", ValueError, "1:11: expected one prototype"),
        ("int f(int); int g(int);", ValueError, "1:11: unexpected ';'"),
        ("int f(int);;", ValueError, "1:11: unexpected ';'"),
        ("int f(int) int g(int)", ValueError, "1:12: syntax error"),
        ("int f(int x = 3)", ValueError, "1:13: unexpected '='"),
        ("int f(int x : 3)", ValueError, "1:13: unexpected ':'"),
        ("int x", ValueError, "1:1: expected the prototype of a function"),
        ("int *(*f)(int)", ValueError, "expected the prototype of a function"),
        ("int f(int é)", ValueError, "1:11: unexpected 'é'"),
        ("int f(int\u2028x)", ValueError, "1:10: unexpected"),
        ("int f(int \0)", ValueError, r"1:11: unexpected '\\x00': int f\(int \?\)$"),
        ("int f(int \ud800)", ValueError, "1:11: unexpected"),
        ("int f(int) /* x", ValueError, "1:12: unexpected '/'"),
        ('int f(int) "x"', ValueError, "1:12: unexpected '\"'"),
        ("", ValueError, "expected C, got ''"),
        (" ; ", ValueError, "expected C, got ' ; '"),
        ("/* */", ValueError, "expected C, got"),
        ("int f(int)(int)", TypeError, r"1:5: a function cannot return int \(int\)"),
        ("int f(int)[3]", TypeError, r"1:5: a function cannot return int\[3\]"),
        ("int f(int g[3](int))", TypeError, "1:11: an array cannot have items of type int"),
        ("int f(void x[3])", TypeError, "1:12: an array cannot have items of type void"),
        ("int f(FILE x[3])", TypeError, "1:12: FILE is not declared"),
        ("int f(...)", ValueError, "1:7: syntax error"),
        ("enum color f(void)", TypeError, "1:1: enum color is not declared"),
        ("int f(struct { int x; } y)", NotImplementedError, "1:14: definitions of types among"),
        ("int f(int) { return 1; }", NotImplementedError, "1:12: function bodies are not"),
        ("int f(_Atomic int x)", NotImplementedError, "1:7: atomic types are not"),
        ("typedef int f(int)", NotImplementedError, "1:1: typedefs are not"),
        ("#define f(x) x", NotImplementedError, "1:1: preprocessor lines other than"),
        ("int f(int) __attribute__((ms_abi))", NotImplementedError, "1:12: the attribute 'ms_abi'"),
        ("int f(int) asm(x)", NotImplementedError, "1:12: names in assembly are not"),
        (None, TypeError, "expected str, got NoneType"),
        (b"int f(int)", TypeError, "expected str, got bytes"),
        (["int f(int)"], TypeError, "expected str, got list"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_no_prototype(text, kind, message):
    with refused(kind, match=rf"^prototype: (.*{message}|{message})"):
        parse_prototype(text, TYPES)


def test_messages_end_with_the_text():
    with refused(ValueError, match=r"^prototype: 2:7: .*: int f\(int, int x y\)$"):
        parse_prototype("int f(int,\nint x\ty)")
    with refused(ValueError, match=r": int f\(int, .*\.\.\.$"):
        parse_prototype(f"int f({'int, ' * 100}int x y)")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("int x", ValueError, "1:5: expected a type, got a declaration of 'x'"),
        ("int, int", ValueError, "1:4: expected one type"),
        ("double *;", ValueError, "1:9: unexpected ';'"),
        ("double[]", NotImplementedError, "1:1: an array of unknown length is supported as"),
        ("int **** x y", ValueError, "1:12: syntax error: before y"),
        ("foo_t *", TypeError, "1:1: undeclared type 'foo_t'"),
        ("* double", ValueError, "1:1: expected a type"),
        ("int) f(int", ValueError, r"1:4: '\)' closes nothing"),
        (3, TypeError, "expected str, got int"),
    ],
)
def test_no_type(text, kind, message):
    with refused(kind, match=rf"^type: {message}"):
        parse_type(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 30_000 + ")" * 30_000,
        "int " + "(" * 33 + "f" + ")" * 33 + "(int)",
        "int f(" + "int(" * 10_000 + ")" * 10_000 + ")",
        "int " + "*" * 60_000 + "f(void)",
        "int " + "* const " * 7_000 + "f(void)",
        "int f(" + "int, " * 13_000 + ")",
        "int f(" + "long " * 13_000 + ")",
        "int f(int " + "x " * 30_000 + ")",
        "int " * 16_000,
        "/*" * 30_000,
        "//" * 32_000,
        "/**/" * 16_000,
        "complex float " * 4_000,
        "\n" * 65_000 + "x",
        "x" * 65_536,
        "int f(int)" + " " * 65_536,
        "int f(int)" + "/" * 10**7,
    ],
    ids=lambda text: f"{text[:16]!r} {len(text)}",
)
def test_long_texts(text):
    for parse in (parse_prototype, parse_type):
        with refused((TypeError, ValueError, NotImplementedError), match=r"^(prototype|type): "):
            parse(text)


def test_many_parameters():
    prototype = parse_prototype(f"int f({', '.join(f'float complex p{i}' for i in range(2000))})")
    assert len(prototype.parameters) == 2000
    assert prototype.parameters[1999] == Parameter("p1999", t.complex_float)


def test_deepest_pointer():
    deep = parse_type("int " + "*" * 64)
    assert deep.name == "int " + "*" * 64
    with refused(ValueError, match=r"^type: 1:69: nested too deeply: int \*+$"):
        parse_type("int " + "*" * 65)
    with refused(ValueError, match=r"^type: 1:1: .* deep.*: deep \*$"):
        parse_type("deep *", {"deep": deep})


def test_little_stack_left():
    messages = []

    def descend(depth):
        try:
            return descend(depth + 1)
        except RecursionError:
            pass
        try:
            return parse_prototype(f"int f{depth}(int x)").name
        except ValueError as error:
            messages.append(str(error))
            raise RecursionError from None

    # Where there is no room to begin with, the caller's own RecursionError goes on.
    assert descend(0).startswith("f")
    assert messages
    assert all("more stack than Python has left" in message for message in messages)


def test_random_texts():
    # Pieces in any order: refused in our words, or a prototype whose own text is one again.
    words = (
        "int double char long unsigned void const volatile restrict complex _Complex struct union "
        "point FILE size_t f x y * ** ( ) () (void) , ; ... [ ] { } = 3 /* */ // # # static "
        "_Noreturn _Alignas _Generic sizeof register enum typedef __attribute__ _Static_assert "
        "typeof alignas bool nullptr _BitInt __int128 asm $ @ \" '"
    )
    pieces = [*words.split(), "\n"]
    rng = random.Random(7)
    read = 0
    for _ in range(20_000):
        text = rng.choice([" ", ""]).join(rng.choices(pieces, k=rng.randrange(1, 9)))
        text = rng.choice([text, f"int f({text})", f"{text}(int)", f"int f(int, {text} x)"])
        try:
            prototype = parse_prototype(text, TYPES)
        except ffi.Error:
            continue
        read += 1
        assert parse_prototype(prototype.text, TYPES) == prototype
    assert read > 100


def test_pycparser_is_imported_late():
    run_python(
        """if True:
            import sys
            import ffi
            assert "pycparser" not in sys.modules
            import ffi.cdecl
            assert "pycparser" not in sys.modules
            ffi.cdecl.parse_type("int *")
            assert "pycparser" in sys.modules
        """
    )
