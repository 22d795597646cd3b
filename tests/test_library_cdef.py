"""Libraries declared by the text of their header: `Library.cdef`, `variable`, constants, types."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from checks import refused

import ffi

t = ffi.types

HEADER = """
#define VERSION 12
#define SCALE 2.5
typedef struct { double x, y; } point;
typedef struct node { struct node *next; int value; } node;
enum mode { SLOW, FAST = 4 };
point midpoint(point a, point b);
int add(int a, int b);
int total(const node *first);
enum mode faster(enum mode m);
double frexp2(double value, int *exponent);
extern double tolerance, table[3];
extern const int limit;
extern node *first;
"""
SOURCE = """
double tolerance = 0.5, table[3] = {1, 2, 3};
const int limit = 9;
node *first = 0;
point midpoint(point a, point b) { return (point){(a.x + b.x) / 2, (a.y + b.y) / 2}; }
int add(int a, int b) { return a + b; }
int total(const node *first) { return first ? first->value + total(first->next) : 0; }
enum mode faster(enum mode m) { return m == SLOW ? FAST : m; }
double frexp2(double value, int *exponent) { *exponent = 2; return value / 4; }
int types(void) { return 3; }
int VERSION_(void) { return VERSION; }
"""


@pytest.fixture
def library(compile_c):
    return ffi.dlopen(compile_c(HEADER + SOURCE, "cdef"))


@pytest.fixture
def declared(library):
    assert library.cdef(HEADER) is None
    return library


def test_functions(declared):
    result = declared.midpoint((0.0, 2.0), (1.0, 4.0))
    assert (result.x, result.y) == (0.5, 3.0)
    assert declared.add(a=3, b=4) == declared["add"](3, 4) == 7
    assert "add" in declared
    assert "VERSION" in declared
    assert "nothing" not in declared
    assert 5 not in declared
    assert list(declared)[:2] == ["midpoint", "add"]
    assert declared.faster(declared.SLOW) == declared.FAST == 4
    first = ffi.new(declared.types["node"], (None, 5))
    second = ffi.new(declared.types["struct node"], (first, 6))
    assert declared.total(second) == 11
    assert declared.total(None) == 0
    assert declared.midpoint.rtype is declared.types["point"]
    assert declared.add.release_gil is True
    with refused(TypeError, match=r"total\(\): .*expected const node \*|struct node"):
        declared.total(ffi.new("int"))


def test_types_and_constants(declared):
    assert set(declared.types) == {"point", "struct node", "node", "enum mode"}
    assert declared.types["point"] == ffi.struct("struct { double x, y; }")
    assert (declared.VERSION, declared.SCALE, declared.SLOW, declared["FAST"]) == (12, 2.5, 0, 4)
    for name in ("VERSION", "add"):
        with refused(AttributeError, match=f"'{name}' cannot be set"):
            setattr(declared, name, 3)
    # What follows may use them.
    assert declared.function("int total(node const *)").atypes[0].const
    declared.cdef("typedef double block[VERSION]; typedef struct { node *n; enum mode m; } both;")
    assert declared.types["block"].size == 12 * 8
    assert declared.types["both"].fields[0][1].target is declared.types["node"]


def test_variables(declared):
    tolerance = declared.variable("tolerance")
    assert tolerance[0] == 0.5
    tolerance[0] = 1e-9
    assert declared.variable(" double tolerance ; ")[0] == 1e-9
    assert declared.variable("tolerance") == tolerance
    np.testing.assert_array_equal(declared.variable("table").view(3), [1, 2, 3])
    assert declared.variable("double table[3]").type == declared.variable("table").type
    assert declared.variable("extern double table[]")[0] == 1.0
    limit = declared.variable("limit")
    assert limit[0] == 9
    with refused(TypeError, match="what it points at is const"):
        limit[0] = 3
    first = declared.variable("first")
    assert first[0] is None
    kept = ffi.new(declared.types["node"], (None, 8))
    first[0] = kept
    assert first[0][0].value == 8
    assert declared.variable("struct node *first")[0] == kept
    first[0] = None
    # An array's size is known.
    with refused(ValueError, match="expected at most 24 bytes"):
        declared.variable("table").view(4)
    with refused(ValueError, match="expected at most 24 bytes"):
        declared.variable("table").cast("char *").view(25)
    assert declared.variable("extern double table[]").view(3)[2] == 3
    with refused(ValueError, match="variable 'table' is found by 'float \\*' here"):
        declared.variable("float table[3]")
    for text in ("add", "int add"):
        with refused(TypeError, match="'add' is a function of"):
            declared.variable(text)
    # The pointer keeps the library loaded.
    ffi.dlclose(declared)
    assert tolerance[0] == 1e-9
    with refused(ValueError, match=r"^variable\(\): .* is closed"):
        declared.variable("tolerance")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("nothing", TypeError, "has no declared variable 'nothing'; give 'double nothing' or"),
        ("", TypeError, "has no declared variable ''"),
        ("double nothing", OSError, "nothing"),
        ("int add(int, int)", TypeError, "expected the declaration of one variable"),
        ("double tolerance, *p", TypeError, "expected the declaration of one variable"),
        ("struct s { int x; } tolerance", TypeError, "expected the declaration of one variable"),
        ("double x y", ValueError, "1:10: syntax error"),
        ("foo tolerance", TypeError, "undeclared type 'foo'"),
        (None, TypeError, "expected str, got NoneType"),
    ],
)
def test_wrong_variables(library, text, kind, message):
    with refused(kind, match=rf"^variable\(\): .*({message})"):
        library.variable(text)


def test_what_a_variable_is_not(declared):
    for look in (lambda: declared.tolerance, lambda: declared["tolerance"]):
        with pytest.raises((AttributeError, KeyError), match="'tolerance' is a variable of"):
            look()


def test_missing_symbols_are_named_together(library):
    text = "int add(int, int); int none(void); typedef int x;\n#define N 1\nextern int nor_this;"
    with refused(OSError, match=r"^cdef\(\): <ffi.Library '.*'> lacks 'none', 'nor_this'$"):
        library.cdef(text)
    assert not library.types
    for name in ("add", "N"):
        with pytest.raises(AttributeError):
            getattr(library, name)


def test_names_in_assembly(library):
    library.cdef('int sum(int a, int b) __asm__("add");')
    assert (library.sum(3, 4), library["sum"].__name__) == (7, "sum")
    with refused(AttributeError, match="no declared function 'add'"):
        library.add(3, 4)
    with refused(OSError, match=r"^cdef\(\): .* lacks 'none'$"):
        library.cdef('int add(int a, int b) __asm__("none");')
    with refused(TypeError, match="'sum' is not its symbol"):
        pickle.dumps(library.sum)


def test_names_of_the_librarys_own(library):
    library.cdef("int types(void); enum { name = 3, closed };")
    assert library.types is not library["types"]
    assert library["types"]() == 3
    assert library.name.endswith(".so")
    assert (library["name"], library["closed"], library.closed) == (3, 4, False)


def test_options(library):
    def check(result, function, args):
        return result, args

    library.cdef(
        "int add(int a, int b); double frexp2(double value, int *exponent);",
        errcheck={"add": check},
        out={"frexp2": ["exponent"]},
        release_gil=False,
    )
    assert library.add(1, 2) == (3, (1, 2))
    assert library.add.release_gil is False
    prototype = ffi._function.declaration_of(library.frexp2)
    assert [parameter.out for parameter in prototype.parameters] == [False, True]
    function = library.function("double frexp2(double value, int *e)", out=["e"])
    assert ffi._function.declaration_of(function).parameters[1].out


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"out": {"sub": ["a"]}}, ValueError, "argument 'out': 'sub' is no function declared here"),
        ({"out": {"add": ["c"]}}, ValueError, r"out: int add\(int a, int b\) has no parameter 'c'"),
        ({"out": {"add": ["a"]}}, TypeError, "out: parameter 'a' is 'int a', no pointer"),
        ({"out": {"add": "a"}}, TypeError, "out: expected a sequence of names, got str"),
        ({"out": ["add"]}, TypeError, "argument 'out': expected a mapping of functions' names"),
        ({"errcheck": {"sub": print}}, ValueError, "argument 'errcheck': 'sub' is no function"),
        ({"errcheck": {"add": 3}}, TypeError, "argument 'errcheck': expected a callable, got int"),
        ({"errcheck": None}, TypeError, "argument 'errcheck': expected a mapping"),
    ],
)
def test_wrong_options(library, options, kind, message):
    with refused(kind, match=rf"^cdef\(\): .*{message}"):
        library.cdef("int add(int a, int b);", **options)
    with pytest.raises(AttributeError):
        _ = library.add


def test_declared_again(declared):
    add = declared.add
    declared.cdef(HEADER)
    assert declared.add is not add
    assert declared.add(1, 2) == 3
    for text, message in (
        (
            "long long add(int, int);",
            r"function 'add' is 'long long add\(int, int\)' here, and 'int add\(int a",
        ),
        (
            "extern float tolerance;",
            r"variable 'tolerance' is found by 'float \*' here, and by 'do",
        ),
        ("typedef struct { float x, y; } point;", "'point' is point here, and point before"),
        ("struct node { int x; };", "struct node has another definition before"),
        ("enum { SLOW = 7 };", "'SLOW' is 7 here, and 0 before"),
        ("enum { add = 7 };", "constant 'add' is declared as something else before"),
        ("int tolerance(void);", "'tolerance' is declared as something else before"),
        ("extern int add;", "'add' is declared as something else before"),
        ("\n#define VERSION 13\n", "'VERSION' is 13 here, and 12 before"),
    ):
        with refused(ValueError, match=rf"^cdef\(\): .*{message}"):
            declared.cdef(text)


def test_opaque_types_are_defined_later(library):
    library.cdef("typedef struct node node; int total(const node *first);")
    assert library.types["node"].tag == "struct node"
    library.cdef("struct node { struct node *next; int value; }; extern node *first;")
    assert library.variable("first").type.target.target is library.types["struct node"]
    assert library.total(ffi.new(library.types["struct node"], (None, 4))) == 4
    # Another library has its own declarations.
    other = ffi.dlopen(library.name)
    other.cdef("typedef struct node node; int total(const node *first);")
    assert other.types["node"].definition is None


def test_pickling(declared):
    for function, arguments in (
        (declared.midpoint, ((0.0, 2.0), (1.0, 4.0))),
        (declared.total, (None,)),
    ):
        loaded = pickle.loads(pickle.dumps(function))
        assert loaded == function
        assert loaded(*arguments) == function(*arguments)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("int add(foo);", TypeError, "declarations: 1:9: undeclared type 'foo'"),
        ("int add(int)", ValueError, "declarations: 1:13: expected ';' at the end"),
        (b"int add(int);", TypeError, "declarations: expected str, got bytes"),
        (None, TypeError, "declarations: expected str, got NoneType"),
    ],
)
def test_wrong_text(library, text, kind, message):
    with refused(kind, match=rf"^cdef\(\): {message}"):
        library.cdef(text)


def test_closed(library):
    ffi.dlclose(library)
    with refused(ValueError, match=r"^cdef\(\): .* is closed$"):
        library.cdef("int add(int, int);")


# --- types of no library


def test_typeof():
    assert ffi.typeof("const double *") == ffi._layouts.pointer_to(t.double, True)
    assert ffi.typeof("int") is t.int
    assert ffi.typeof("double [2][3]").size == 48
    assert ffi.typeof("struct { int a, b; }").size == 8
    assert ffi.typeof("struct foo").tag == "struct foo"
    for text, kind in (("foo", TypeError), ("int x", ValueError), (3, TypeError), ("", ValueError)):
        with refused(kind, match="^type: "):
            ffi.typeof(text)


def test_struct_and_union_from_text():
    point = ffi.struct("struct p { double x, y; }")
    assert (point.name, point.size) == ("struct p", 16)
    assert ffi.struct(" struct p { double x, y; } ; ") == point
    assert ffi.struct("typedef struct { double x, y; } p;").name == "p"
    assert ffi.struct("struct { int a; }").fields[0][0] == "a"
    number = ffi.union("union n { int i; double d; };")
    assert (number.name, number.size) == ("union n", 8)
    node = ffi.struct("struct node { struct node *next; }")
    assert node.fields[0][1].target.definition is node


@pytest.mark.parametrize(
    ("make", "text", "kind", "message"),
    [
        (ffi.struct, "union n { int i; }", ValueError, "expected the definition of one struct"),
        (ffi.union, "struct n { int i; }", ValueError, "expected the definition of one union"),
        (ffi.struct, "struct a { int i; }; struct b { int i; };", ValueError, "of one struct, got"),
        (ffi.struct, "struct a { int i; }; int f(void);", ValueError, "of one struct, got"),
        (ffi.struct, "struct a", TypeError, "of one struct in C, got str 'struct a'"),
        (ffi.struct, "struct a { foo x; }", TypeError, "undeclared type 'foo'"),
        (ffi.struct, "struct a { int x }", ValueError, "syntax error"),
    ],
)
def test_wrong_definitions(make, text, kind, message):
    with refused(kind, match=rf"^{make.__name__}\(\): .*{message}"):
        make(text)
    with refused(TypeError, match="argument 'name': the C text says the name"):
        make("struct a { int x; }", name="b")


def test_types_from_text_are_taken_everywhere():
    p = ffi.new("struct { int a; double b[2]; }", {"a": 1, "b": [2, 3]})
    assert (p[0].a, list(p[0].b)) == (1, [2.0, 3.0])
    assert ffi.sizeof("struct { char c; float f; }") == 8
    assert ffi.read("double[2]", np.array([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert ffi.view(p.address, "struct { int a; double b[2]; }")["a"] == 1
    assert ffi.struct({"f": "int (*)(int)"}).fields[0][1].target.prototype.rtype is t.int
    assert p.cast("const int *")[0] == 1
