"""C declarations: what a header says, and types of any shape."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
from checks import DIRECT, refused

import ffi
from ffi._layouts import item_of, kind_of
from ffi.cdecl import (
    Parameter,
    Prototype,
    parse_declarations,
    parse_prototype,
    parse_type,
    spell,
)

t = ffi.types


def types_of(text):
    return parse_declarations(text).types


# --- types


def test_structs_and_typedefs():
    types = types_of(
        """
        typedef struct { double x, y; } point;
        struct pair { point a; const struct pair *other; char name[8], *text; };
        typedef struct pair pair, *pair_pointer, pairs[3];
        typedef unsigned long word;
        union number { word i; double d; };
        """
    )
    assert list(types) == [
        *("point", "struct pair", "pair", "pair_pointer", "pairs", "word", "union number")
    ]
    point, pair = types["point"], types["pair"]
    assert point == ffi.struct({"x": "double", "y": "double"})
    assert (point.name, pair.name) == ("point", "struct pair")
    assert types["struct pair"] is pair
    assert types["pair_pointer"].target is pair
    assert item_of(types["pairs"]) == (pair, 3)
    assert [name for name, _, _ in pair.fields] == ["a", "other", "name", "text"]
    assert pair.fields[1][1].const
    assert pair.fields[2][1].name == "char[8]"
    assert types["word"] is t.ulong
    assert types["union number"].size == 8


def test_recursive_structs():
    types = types_of(
        """
        struct tree;
        struct node { struct node *next; struct tree *owner; double v; };
        struct tree { struct node *first; struct tree **children; };
        """
    )
    node, tree = types["struct node"], types["struct tree"]
    following, owner = node.fields[0][1].target, node.fields[1][1].target
    assert (following.tag, following.definition) == ("struct node", node)
    assert (owner.tag, owner.definition) == ("struct tree", tree)
    assert tree.fields[0][1].target is node
    assert types_of("struct node { struct node *next; };")["struct node"].definition is None
    assert parse_type("struct other *").target.definition is None
    # The definition is set once, and comes along.
    with refused(TypeError, match="is not waiting for a definition"):
        ffi._layouts.define(following, tree)
    for loaded in (
        pickle.loads(pickle.dumps(node)),
        pickle.loads(pickle.dumps(following)).definition,
    ):
        assert loaded == node
        assert loaded.fields[0][1].target.definition == node
        assert loaded.fields[1][1].target.definition == tree
    first = ffi.new(node, (None, None, 1.5))
    second = ffi.new(node, (first, None, 2.5))
    assert second[0].next[0].v == 1.5
    assert second[0].next == first
    second[0].next.view()["v"] = 3.5
    assert first[0].v == 3.5
    with refused(TypeError, match=r"struct node: member 'next': expected struct node \*"):
        second[0].next = ffi.new(tree)


def test_long_chains_of_structs():
    text = "struct s0 { int x; };" + "".join(
        f"struct s{i} {{ struct s{i - 1} *p; }};" for i in range(1, 300)
    )
    types = types_of(text)
    pointer = ffi.new(types["struct s0"], (7,))
    for i in range(1, 300):
        pointer = ffi.new(types[f"struct s{i}"], (pointer,))
    for _ in range(299):
        pointer = pointer[0].p
    assert pointer[0].x == 7


def test_a_library_may_define_what_is_opaque_to_another():
    node = types_of("struct secret { int x; };")["struct secret"]
    holder = types_of("struct holder { struct secret *p; };")["struct holder"]
    pointer = ffi.new(holder)
    pointer[0].p = ffi.new(node, (3,))
    assert pointer[0].p.cast(ffi._layouts.pointer_to(node))[0].x == 3
    with refused(TypeError, match=r"expected struct secret \*"):
        pointer[0].p = ffi.new("struct other { int x; }")


def test_anonymous_members(compile_c):
    text = """
    struct s {
        int tag;
        union { int i; float f; struct { short low, high; }; };
        struct { unsigned a:3, b:5; };
        double last;
    };
    """
    c_type = types_of(text)["struct s"]
    assert [name for name, _, _ in c_type.fields] == ["tag", "_1", "_2", "last"]
    for value in ({"i": -1}, {"low": -1, "high": -1}):
        record = ffi.new(c_type, {"tag": 1, **value, "a": 7, "b": 3, "last": 0.5})[0]
        assert (record.i, record.low, record.high) == (-1, -1, -1)
    assert (record["a"], record["b"], record.last) == (7, 3, 0.5)
    record.high = 2
    record["low"] = 1
    record.b = 31
    both = int(np.array([1, 2], np.int16).view(np.int32)[0])
    assert (record._1.i, record.i, record.b) == (both, both, 31)
    assert {"i", "low", "a", "last"} <= set(dir(record))
    assert ffi.new(c_type, (1, {"f": 1.5}, (1, 2), 0.5))[0].f == 1.5
    for loaded in (pickle.loads(pickle.dumps(c_type)), ffi.struct(text)):
        assert loaded == c_type
        assert ffi.new(loaded)[0].low == 0
    assert pickle.loads(pickle.dumps(record)) == record
    with refused(ValueError, match="'i' is a member of '_1', which is given, too"):
        ffi.new(c_type, {"tag": 1, "i": 1, "_1": {"f": 1.0}, "a": 7, "b": 3, "last": 0.5})
    with refused(ValueError, match="expected a value for member '_1' of struct s"):
        ffi.new(c_type, {"tag": 1, "a": 7, "b": 3, "last": 0.5})
    with refused(ValueError, match="struct s has no member 'c'"):
        ffi.new(c_type, {"tag": 1, "c": 7})
    with pytest.raises(AttributeError, match="struct s has no member 'c'"):
        record.c = 3
    with pytest.raises(KeyError, match="struct s has no member 'c'"):
        record["c"]
    # By value, C finds them in the same places.
    library = ffi.dlopen(
        compile_c(f"{text} int get(struct s x) {{ return x.high + x.b; }}", "anonymous")
    )
    if DIRECT:
        library.cdef(f"{text} int get(struct s x);")
        assert library.get(record) == 33
    else:
        with refused(NotImplementedError, match="libffi cannot pass struct s by value"):
            library.cdef(f"{text} int get(struct s x);")


def test_enums(compile_c):
    text = """
    enum small { A, B = 5, C, D = B - 10 };
    enum large { E = 0xffffffff, F = 0x100000000 };
    typedef enum { G = 1 << 4, H = 'a' } letters;
    struct s { enum small e; enum large f; letters g; enum { I = 77 } i; };
    """
    found = parse_declarations(text)
    library = ffi.dlopen(
        compile_c(f"{text} int sizes[] = {{ sizeof(struct s), A, B, C, D, G, H, I }};", "enums")
    )
    values = [found.types["struct s"].size, *(found.constants[name] for name in "ABCDGHI")]
    assert values == list(ffi.view(ffi.dlsym(library, "sizes"), "int", 8))
    assert found.constants["F"] == 2**32
    small, large, letters = (found.types[name] for name in ("enum small", "enum large", "letters"))
    assert (small == t.int, large == t.ulonglong, letters == t.uint) == (True, True, True)
    assert (small.name, letters.name) == ("enum small", "letters")
    assert (
        parse_prototype("enum small f(enum small)", found.types).text == "enum small f(enum small)"
    )
    assert ffi.new(small, -5)[0] == -5
    for c_type in (small, large, letters):
        loaded = pickle.loads(pickle.dumps(c_type))
        assert (loaded, loaded.name) == (c_type, c_type.name)


def test_function_types():
    c_type = parse_type("int (const int *a, const int *)")
    assert (c_type.name, c_type.size, c_type.dtype) == ("int (const int *, const int *)", 0, None)
    assert c_type == parse_type("int (const int *, int const *b)")
    for other in (
        "int (const int *, int *)",
        "long long (const int *, const int *)",
        "int (const int *, const int *, ...)",
        "int (const int *)",
        "int (void)",
    ):
        assert c_type != parse_type(other)
    pointer = parse_type("int (*)(const int *, const int *)")
    assert pointer.target == c_type
    assert pointer.name == "int (*)(const int *, const int *)"
    assert c_type.prototype == parse_prototype("int (const int *a, const int *)")
    assert t.int.prototype is pointer.prototype is None
    for made in (c_type, pointer):
        loaded = pickle.loads(pickle.dumps(made))
        assert (loaded, hash(loaded), loaded.name) == (made, hash(made), made.name)
    (parameter,) = parse_prototype("void f(int compare(const int *, const int *))").parameters
    assert parameter.type == pointer
    for use in (ffi.new, lambda text: ffi.CIF("void", text), lambda text: ffi.struct({"f": text})):
        with refused(TypeError, match="is a function, which is no value; use a pointer to it"):
            use("int (int)")
    assert ffi.struct({"f": "int (*)(int)"}).size == ffi.sizeof.pointer
    declared = parse_declarations("typedef double binary(double, double); binary add, *chosen;")
    assert declared.functions["add"].text == "double add(double, double)"
    assert declared.variables["chosen"].target == declared.types["binary"]


BASES = (
    "int",
    "unsigned char",
    "double",
    "void",
    "struct node",
    "size_t",
    "long double",
    "FILE",
    "float _Complex",
    "union u",
    "enum color",
)


def draw_declaration(rng, name, depth=0):
    """Draw the declaration of a variable, as C allows it."""
    # The name of a function's type says an array's axes but for the first one no more.
    declarator, before, axes = name, "", 0
    for _ in range(rng.choice([0, 1, 1, 2, 3, 4, 5])):
        kinds = {"": "pa", "p": "pppaf", "a": "pa", "f": "p"}[before]
        before = rng.choice(kinds.replace("a", "") or "p" if depth and axes else kinds)
        axes += before == "a"
        if before == "p":
            declarator = f"(*{rng.choice(['', '', 'const '])}{declarator})"
        elif before == "a":
            declarator += f"[{rng.randint(1, 9)}]"
        else:
            count = rng.randint(0, 3) if depth < 2 else 0
            inside = [
                draw_declaration(rng, rng.choice(["", f"p{i}"]), depth + 1) for i in range(count)
            ]
            declarator += (
                f"({', '.join(inside) or 'void'}{', ...' * (count > 0 and rng.random() < 0.2)})"
            )
    base = rng.choice(BASES)
    if base in ("void", "FILE") and before not in ("p",) and not (base == "void" and before == "f"):
        base = "int"
    return f"{rng.choice(['', 'const ']) if before != 'f' else ''}{base} {declarator}"


CONTEXT = """
struct node { struct node *next; };
union u { int i; double d; };
enum color { RED };
"""


def test_spelling_round_trip(compile_c):
    rng = random.Random(5)
    context = types_of(CONTEXT)
    lines, kinds = [], set()
    for i in range(400):
        text = draw_declaration(rng, f"v{i}")
        found = parse_declarations(f"extern {text};", context)
        c_type = found.variables[f"v{i}"]
        const = f"v{i}" in found.const
        again = ffi._layouts.spell_c(c_type, f"v{i}", const)
        assert parse_type(spell(c_type), context) == c_type
        if kind_of(c_type) == "pointer":
            assert parse_type(c_type.name, context) == c_type
        assert parse_declarations(f"extern {again};", context) == found
        assert pickle.loads(pickle.dumps(c_type)) == c_type
        # The compiler refuses two declarations that differ.
        lines += [f"extern {text};", f"extern {again};"]
        kinds.add(kind_of(c_type))
    assert {"pointer", "array", "integer"} <= kinds
    compile_c("#include <stdio.h>\n#include <stddef.h>\n" + CONTEXT + "\n".join(lines), "spelled")


# --- texts


def test_prefixes_attributes_and_comments():
    found = parse_declarations(
        """
        /* A header;
           of two lines. */
        extern int f(int) __attribute__((pure, nonnull(1), __warn_unused_result__));
        static inline __const char *g(char *__restrict s) __attribute__((format(printf, 1, 2)));
        [[nodiscard]] int h(void);  // int x;
        _Noreturn void i(int), *j(void);
        extern const volatile double k, *l, m[];
        __extension__ typedef long long wide;
        """
    )
    assert {name: function.text for name, function in found.functions.items()} == {
        "f": "int f(int)",
        "g": "const char *g(char *s)",
        "h": "int h(void)",
        "i": "void i(int)",
        "j": "void *j(void)",
    }
    assert dict(found.variables) == {
        "k": t.double,
        "l": parse_type("const double *"),
        "m": t.double,
    }
    assert found.const == {"k", "m"}


def test_long_enums():
    names = [f"A{i}" for i in range(1000)]
    text = ", ".join(f"{name} = ((1 << 3) + {i})" for i, name in enumerate(names))
    found = parse_declarations(f"enum {{ {text} }};").constants
    assert list(found.values()) == list(range(8, 1008))


def test_variadic():
    prototype = parse_prototype("int printf(const char *format, ...)")
    assert prototype.variadic
    assert prototype == Prototype(
        "printf", t.int, (Parameter("format", parse_type("const char *")),), True
    )
    assert prototype.text == "int printf(const char *format, ...)"
    assert parse_prototype(prototype.text) == prototype


def test_repeated_declarations():
    found = parse_declarations(
        """
        int f(int x); int f(int);
        void *g(struct s *); struct s { int x; }; void *g(struct s *p);
        struct a { struct b *p; }; struct b { struct a *p; };
        struct a { struct b *p; }; struct b { struct a *p; };
        struct s { int x; }; struct s { int x; };
        typedef struct s s; typedef struct s s;
        enum e { A, B }; enum e { A, B };
        #define N 3
        #define N 0x3
        extern int v; int v;
        typedef unsigned char uint8_t;
        """
    )
    assert found.functions["f"].text == "int f(int x)"
    assert found.types["s"] is found.types["struct s"]
    assert dict(found.constants) == {"N": 3, "A": 0, "B": 1}


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("int f(int);\nchar f(int);", ValueError, r"2:6: 'f' is char \(int\) here, and int"),
        ("struct s { int x; }; struct s { int y; };", ValueError, "struct s has another"),
        ("struct s { int x; }; union s { int x; };", ValueError, "union s is declared as struct s"),
        ("typedef int a; typedef char a;", ValueError, "'a' is char here, and int before"),
        ("enum e { A }; enum f { A = 1 };", ValueError, "'A' is 1 here, and 0 before"),
        ("#define N 1\n#define N 1.0\n", ValueError, "2:9: 'N' is 1.0 here, and 1 before"),
        ("extern int v; extern const int v;", ValueError, "'v' is int here, and int before"),
        ("int f(int); int f;", ValueError, "1:17: 'f' is declared as something else"),
        ("int A; enum { A };", ValueError, "1:15: 'A' is declared as something else"),
        ("enum { A }; int A(void);", ValueError, "1:17: 'A' is declared as something else"),
        ("struct s { int x; int x; };", ValueError, "two members are named 'x'"),
        ("struct s { int x; struct { int x; }; };", ValueError, "two members are named 'x'"),
        ("struct s { struct s x; };", TypeError, "struct s is not declared, only pointers"),
        ("struct s { struct other x; };", TypeError, "1:25: struct other is not declared"),
        ("struct s { int x[]; };", NotImplementedError, "an array of unknown length"),
        ("struct s { int x[0]; };", ValueError, "at least one item, got length 0"),
        ("struct s { int x:33; };", ValueError, "member 'x': expected 0 to 32 bits of int, got 33"),
        ("struct s { double x:3; };", TypeError, "a bit-field is an integer"),
        ("struct s { };", ValueError, "C has no empty aggregates"),
        ("struct s { int; };", ValueError, "a member has no name"),
        ("struct s { int f(int); };", TypeError, "is a function, which is no value"),
        ("struct s { foo x; };", TypeError, "1:12: undeclared type 'foo'"),
        ("struct s { int x; foo y; };", TypeError, "1:19: undeclared type 'foo'"),
        ("struct s { int x }", ValueError, "1:19: expected ';' at the end"),
        ("struct s { int x };", ValueError, "1:18: syntax error"),
        ("struct s { int x; } __attribute__((packed));", NotImplementedError, "attribute 'packed'"),
        ("struct __attribute__((aligned(8))) s { int x; };", NotImplementedError, "'aligned'"),
        ("int f(int) __attribute__((stdcall));", NotImplementedError, "1:12: .*'stdcall'"),
        ("int f(int) __attribute__((pure;", ValueError, "an attribute is never closed"),
        ("int f(void) { return 1; }", NotImplementedError, "1:13: function bodies are not"),
        ("int f(void) { return 1; } int g(void);", NotImplementedError, "1:13: function bodies"),
        ("int x = 3;", NotImplementedError, "1:7: initial values are not supported"),
        ("#include <stdio.h>\nint f(int);", NotImplementedError, "1:1: preprocessor lines other"),
        ("#define F(x) x\n", NotImplementedError, "1:1: preprocessor lines other"),
        ("#define F x\n", NotImplementedError, "1:9: '#define' is supported with a number only"),
        ("#define F 08\n", NotImplementedError, "'#define' is supported with a number only"),
        ("#ifdef X\n#endif\n", NotImplementedError, "1:1: preprocessor lines other"),
        ("int f(int)", ValueError, "1:11: expected ';' at the end"),
        ("int f(int];", ValueError, r"1:10: '\]' does not close '\('"),
        ("int;", ValueError, "1:1: syntax error"),
        ("int x\n\n  y;", ValueError, "3:3: syntax error: before y"),
        ("enum { };", ValueError, "1:8: syntax error"),
        ("enum e x;", TypeError, "1:1: enum e is not declared"),
        ("enum { A = 0x7fffffffffffffff, B = -1, C = 0xffffffffffffffff };", ValueError,
         "no integer type has all values"),
        ("void x;", TypeError, "'x' cannot be void"),
        ("void x[3];", TypeError, "void has no values"),
        ("int f(int), g(int)[3];", TypeError, r"a function cannot return int\[3\]"),
        ("_Static_assert(1 == 1);", NotImplementedError, "1:1: assertions are not supported"),
        ("_Thread_local int x;", NotImplementedError, "thread-local variables are not supported"),
        ("_Alignas(8) int x;", NotImplementedError, "alignment specifiers are not supported"),
        ("int f(int) asm(f2);", NotImplementedError, "names in assembly are not supported"),
        ('extern "C" { int f(int); }', ValueError, "1:8: unexpected '\"'"),
        ("typedef int; ;", ValueError, "1:9: syntax error"),
        ("struct a {" * 40 + "int x;" + "} x;" * 40, ValueError, "nested too deeply"),
        ("int x" + "[2]" * 33 + ";", ValueError, "nested too deeply"),
        ("int x[4000000000];", OverflowError, "has more than 2147483647 bytes"),
        ("int " + "x," * 10**5 + "x", ValueError, "expected ';' at the end"),
        (" " * (2**22 + 1), ValueError, "expected at most 4194304 characters, got 4194305"),
        (None, TypeError, "expected str, got NoneType"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_wrong_declarations(text, kind, message):
    with refused(kind, match=rf"(?s)^declarations: .*{message}"):
        parse_declarations(text)


def test_messages_show_the_line():
    with refused(
        TypeError, match=r"^declarations: 3:9: undeclared type 'foo': \*/int g\(foo x\);$"
    ):
        parse_declarations("int f(int);\n/* g\n*/int g(foo x);\nint h(int);")


def test_messages_show_the_place_in_a_long_line():
    line = " ".join(f"int f{i}(int x);" for i in range(50))
    with refused(
        TypeError,
        match=r"^declarations: 1:797: undeclared type 'foo': "
        r"\.\.\. f49\(int x\); int g\(foo x\); int f0\(int x\); .*\.\.\.$",
    ):
        parse_declarations(f"{line} int g(foo x); {line}")


def test_large_headers_are_read_once():
    lines = [f"struct s{i} {{ int a; double b[3]; struct s{i} *next; }};" for i in range(100)]
    lines += [
        f"double f{i}(size_t n, const double x[n], struct s{i % 100} *p, int (*g)(void *));"
        for i in range(500)
    ]
    text = "\n".join(lines)
    found = parse_declarations(text)
    assert len(found.functions) == 500
    assert parse_declarations(text) is found
    with pytest.raises(TypeError):
        found.types["x"] = t.int


def test_random_texts():
    # Pieces in any order: refused in our words, or read.
    words = (
        "int double char long unsigned void const struct union enum s { } ( ) [ ] ; , * : = 3 x y "
        "typedef extern static sizeof ... ( ) { } ; ; ; n + - ? ~ 'a' __attribute__ ((pure)) f "
        "#define complex _Bool FILE size_t ((packed)) [[ ]] 1.5 0x1 << && !"
    )
    pieces = [*words.split(), "\n"]
    rng = random.Random(11)
    read = 0
    for _ in range(20_000):
        text = rng.choice([" ", ""]).join(rng.choices(pieces, k=rng.randrange(1, 12)))
        text = rng.choice(
            [
                text,
                f"{text};",
                f"struct s {{ int x; {text} }};",
                f"int f({text});",
                f"int x[{text}];",
            ]
        )
        try:
            found = parse_declarations(text)
        except ffi.Error:
            continue
        read += 1
        for name, function in found.functions.items():
            again = parse_declarations(f"{function.text};", found.types, found.constants)
            assert again.functions[name] == function
    assert read > 100


# --- prototypes of one function


def test_the_prototype_that_tells_more():
    texts = (
        "double f(int n, const double *x, const double y[], int m)",
        "double f(int count, const double values[count], const double *, int)",
        "double f(int n, const double x[n], const double y[n + m], int m)",
        "double f(int, const double [], const double *, int)",
    )
    for order in (texts, texts[::-1]):
        found = parse_declarations(";".join(order) + ";").functions["f"]
        assert found.text == texts[2]
    assert found.name == "f"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("double f(int n, const double x[n]);", "double f(int n, const double x[2 * n]);"),
        ("double f(int n, int m, double x[n]);", "double f(int m, int n, double x[n]);"),
        ("double f(double x[3]);", "double f(double x[4]);"),
        ("double f(double x[3]);", "double f(double x[][3]);"),
    ],
)
def test_prototypes_that_tell_different_lengths(first, second):
    with refused(ValueError, match=r"'f' is 'double f\(.*' here, and 'double f\(.*' before"):
        parse_declarations(first + second)


@pytest.mark.parametrize("length", ["len", "len + 1", "2 * len", "static len", "n - len", "-len"])
def test_parameters_named_as_types(length):
    text = f"typedef long len; double f(len len, int n, const double x[{length}]);"
    with refused(ValueError, match="'len' is a type; a parameter of its name needs another"):
        parse_declarations(text)


def test_types_in_expressions():
    found = parse_declarations(
        """
        typedef short len;
        enum { A = -(len)65537, B = (len)3 * sizeof(len *), C = sizeof(const len) };
        double f(len len, int n, const double x[n * sizeof(len)]);
        """
    )
    assert list(found.constants.values()) == [-1, 3 * ffi.sizeof.pointer, 2]
