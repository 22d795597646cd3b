"""C declarations: what the headers of gcc and glibc say beyond C."""

from __future__ import annotations

import numpy as np
import pytest
from checks import refused

import ffi
from ffi._ctext import Text
from ffi.cdecl import parse_declarations, parse_prototype

t = ffi.types


def test_attributes_that_change_nothing_here():
    found = parse_declarations(
        """
        typedef struct {
            long long ll __attribute__((__aligned__(_Alignof(long long))));
            int i __attribute__((aligned(1), unused)), a[2] __attribute__((aligned(sizeof(int))));
            struct { char *p __attribute__((aligned(N))); };
        } most;
        typedef double number __attribute__((aligned(_Alignof(double))));
        typedef int row[3] __attribute__((unused));
        #define N 2
        """
    )
    assert found.types["most"] == ffi.struct(
        "struct { long long ll; int i, a[2]; struct { char *p; }; }"
    )
    assert found.types["number"] is t.double


def test_alignments_that_gcc_prefers():
    text = "struct s { long long x __attribute__((__aligned__(__alignof__(long long)))); };"
    if ffi.alignof.longlong == 8:
        assert parse_declarations(text).types["struct s"] == ffi.struct({"x": "long long"})
    else:
        # That of i386 is 8, also where C's is 4.
        with refused(NotImplementedError, match="the attribute 'aligned' is not supported"):
            parse_declarations(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("struct [[gnu::packed]] h { char a; int b; };", "packed"),
        ("struct [[deprecated, __gnu__::__packed__]] h { char a; int b; };", "__packed__"),
        ("struct h { char a; [[gnu::aligned(16)]] char b; };", "aligned"),
        ("struct h { char a; char b [[gnu::aligned(16)]]; };", "aligned"),
        ("[[nodiscard]] [[gnu::ms_abi]] int f(int);", "ms_abi"),
        ("[[using gnu: packed]] int f(int);", "using gnu: packed"),
        (
            'struct h { int a; } __attribute__((deprecated("("), packed, deprecated(")")));',
            "packed",
        ),
        ("struct h { int a; } __attribute__((deprecated('('), packed));", "packed"),
        ("struct h { int a; } __attribute__ ( (const, packed) );", "packed"),
        ("struct h { int a; } __attribute__((const packed));", "const packed"),
        ('struct h { int a; } __attribute__(("packed"));', '"packed"'),
    ],
)
def test_attributes_that_matter(text, name):
    with refused(NotImplementedError, match=f"the attribute {name!r} is not supported"):
        parse_declarations(text)


def test_lists_of_attributes():
    found = parse_declarations(
        r"""
        int f(int) __attribute__((deprecated("use g() :)"), , __const__)) __attribute__(());
        [[nodiscard("a, [packed]"), gnu::pure]] int g(int x [[maybe_unused]]) [[]];
        int h(int) __attribute__ ( ( deprecated ( "\"((" ) , unused ) );
        """
    )
    assert list(found.functions) == ["f", "g", "h"]
    for text in ("(const)", "((const)(pure))", "((const)]", "((const"):
        with refused(ValueError, match="1:12: an attribute is never closed"):
            parse_declarations(f"int f(int) __attribute__{text};")


def test_many_attributes():
    # Each is looked at once, however many a statement has.
    members = "".join(f"int m{i} __attribute__((aligned(4)));" for i in range(10000))
    text = Text("declarations", f"struct s {{ {members} }};")
    assert len(text.attributes) == 10000


def test_comments():
    found = parse_declarations(
        """
        // one that goes on \\
        int hidden; \\\t
        int hidden;
        enum { A = '"' }; /* " */ int f(int); // it's
        enum { B = '\\'', C = '/' }; /* ' */ int g(int); // "
        """
    )
    assert list(found.functions) == ["f", "g"]
    assert found.constants == {"A": 34, "B": 39, "C": 47}
    assert not found.variables


def test_modes(compile_c):
    modes = ("QI", "__HI__", "SI", "__DI__", "byte", "__word__", "pointer")
    text = "".join(
        f"typedef {sign} int {sign[0]}{i} __attribute__((__mode__({mode})));"
        for i, mode in enumerate(modes)
        for sign in ("signed", "unsigned")
    )
    found = parse_declarations(text).types
    functions = "".join(
        f"unsigned long size_{name}(void) {{ return sizeof({name}); }}"
        f"int signed_{name}(void) {{ return ({name})-1 < 0; }}"
        for name in found
    )
    library = ffi.dlopen(compile_c(f"{text}{functions}", "modes"))
    assert len(found) == 2 * len(modes)
    for name, declared in found.items():
        assert library.function(f"unsigned long size_{name}(void)")() == declared.size
        is_signed = library.function(f"int signed_{name}(void)")()
        assert (np.iinfo(declared.dtype).min < 0) == is_signed


def test_functions_with_bodies():
    # Static ones are in no library, others may be.
    found = parse_declarations(
        r"""
        int before(void);
        static __inline unsigned swap(unsigned x)
        {
            if (x) { char c = '}'; __asm__ ("rorw $8, %w0" : "=r" (x)); } // it's }
            return x + sizeof "\"}" + '\'';
        }
        static struct s *other(void (*f)(int)) { return 0; } int after(void);
        __attribute__((always_inline)) static inline void last(void) {}
        extern __inline __attribute__((gnu_inline)) int both(int x) { return x; }
        inline double f(double x, ...) { return x; } inline double g(double);
        """
    )
    assert list(found.functions) == ["before", "after", "both", "f", "g"]
    assert found.functions["f"].text == "double f(double x, ...)"


def test_pragmas():
    text = (
        '#pragma GCC diagnostic ignored "-Wpedantic"\nint f(int);\n # pragma GCC visibility pop\n'
    )
    assert list(parse_declarations(text).functions) == ["f"]
    with refused(NotImplementedError, match="3:1: preprocessor lines other than"):
        parse_declarations("#pragma clang diagnostic push\n\n#pragma pack(1)\nint f(int);\n")


def test_names_in_assembly():
    found = parse_declarations(
        """
        extern int fscanf(void *f, const char *format, ...) __asm__ ("" "__isoc99_fscanf")
            __attribute__ ((__nothrow__));
        int f(int) asm("g"), *h(double x[3]) __asm("h2");
        int plain(void);
        """
    )
    assert list(found.functions) == ["fscanf", "f", "h", "plain"]
    assert found.symbols == {"fscanf": "__isoc99_fscanf", "f": "g", "h": "h2"}


def test_va_list():
    found = parse_declarations(
        """
        typedef __builtin_va_list __gnuc_va_list;
        typedef __gnuc_va_list va_list;
        int vprintf(const char *format, va_list list);
        int advance(va_list *list, __gnuc_va_list);
        typedef void (*logger)(const char *, va_list);
        """
    ).functions
    assert found["vprintf"].text == "int vprintf(const char *format, struct __va_list_tag *list)"
    assert found["advance"].text == "int advance(va_list *list, struct __va_list_tag *)"
    assert parse_declarations("int vprintf(const char *format, va_list list);").functions == {
        "vprintf": found["vprintf"]
    }
    for text in ("struct s { va_list x; };", "va_list f(void);"):
        with refused(TypeError, match="va_list is not declared, only pointers to it"):
            parse_declarations(text)


def test_type_of_the_null_pointer():
    text = "typedef {} nullptr_t;\nint f(nullptr_t p);\nint g(typeof(1) x);"
    for spelled in ("__typeof__(nullptr)", "typeof ( nullptr )"):
        with refused(NotImplementedError, match="3:7: types of expressions"):
            parse_declarations(text.format(spelled))
        found = parse_declarations(text.format(spelled).replace("typeof(1)", "nullptr_t"))
        assert found.types["nullptr_t"] == t.pointer
        assert found.functions["g"].text == "int g(void *x)"


def test_floating_types_by_their_bits():
    found = parse_declarations("_Float32 f(_Float64, _Float32x *); typedef float _Float32;")
    assert found.functions["f"].text == "float f(double, double *)"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ('int x asm("y");', NotImplementedError, "1:7: names in assembly are not supported"),
        ('struct s { int x asm("y"); };', NotImplementedError, "1:18: names in assembly are not"),
        ('typedef int x asm("y");', NotImplementedError, "1:15: names in assembly are not"),
        ('int f(int x asm("y"));', NotImplementedError, "1:13: names in assembly are not"),
        ('asm("y");', NotImplementedError, "1:1: names in assembly are not supported"),
        ('int (*f(int))(int) asm("y");', NotImplementedError, "1:20: names in assembly are not"),
        ('int f(int) asm("y")', NotImplementedError, "1:12: names in assembly are not supported"),
        ("struct s { int x __attribute__((aligned(8))); };", NotImplementedError, "1:18: .*'align"),
        ("struct s { int x __attribute__((aligned)); };", NotImplementedError, "1:18: .*'aligned'"),
        ("struct s { int __attribute__((aligned(4))) x; };", NotImplementedError, "1:16: .*'alig"),
        ("struct s { int x; } __attribute__((aligned(4))) y;", NotImplementedError, "'aligned'"),
        ("struct s { int x __attribute__((aligned(foo))); };", NotImplementedError, "'aligned'"),
        ("struct s { int x:3 __attribute__((aligned(4))); };", NotImplementedError, "'aligned'"),
        ("struct s { int (*f)(int) __attribute__((aligned(4))); };", NotImplementedError, "'align"),
        ("struct s { int x __attribute__((mode(HI))); };", NotImplementedError, "'mode'"),
        ("typedef int x __attribute__((aligned(2)));", NotImplementedError, "'aligned'"),
        ("typedef int x __attribute__((mode(TI)));", NotImplementedError, "1:15: .*'mode'"),
        ("typedef float x __attribute__((mode(DF)));", NotImplementedError, "'mode'"),
        ("typedef int *x __attribute__((mode(HI)));", NotImplementedError, "'mode'"),
        ("typedef __attribute__((mode(HI))) int x;", NotImplementedError, "'mode'"),
        ("int x __attribute__((mode(HI)));", NotImplementedError, "1:7: .*'mode'"),
        ("int f(int x __attribute__((mode(HI))));", NotImplementedError, "1:13: .*'mode'"),
        ("int f(int) __attribute__((mode(HI)));", NotImplementedError, "1:12: .*'mode'"),
        ("int f(int x[static 3]) { return 1; }", NotImplementedError, "that of 'f' for one"),
        ("typedef int f(int x) { return 1; }", NotImplementedError, "bodies are not supported"),
        ("inline int x { return 1; };", ValueError, "1:14: unexpected '{'"),
        ("static int f(int x) { return 1;", ValueError, "1:21: '{' is never closed"),
        ("int f(_Float128 x);", NotImplementedError, "1:7: numbers of type _Float128 are not"),
        ("_Decimal64 f(void);", NotImplementedError, "1:1: decimal numbers are not supported"),
        ('int f(int) asm("g"); int f(int) asm("h");', ValueError, "'f' is h here, and g before"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_wrong_declarations(text, kind, message):
    with refused(kind, match=rf"(?s)^declarations: .*{message}"):
        parse_declarations(text)


def test_what_prototypes_have_not():
    for text, name in (('asm("g")', "names in assembly"), ("__attribute__((mode(HI)))", "'mode'")):
        with refused(NotImplementedError, match=rf"^prototype: 1:12: .*{name}"):
            parse_prototype(f"int f(int) {text}")
