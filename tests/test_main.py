"""python -m ffi, and the versions."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ffi
from ffi.__main__ import main

SOURCE = """
struct pair { double x; long n; };
struct pair pair_of(double x, long n) { struct pair p = {x, n}; return p; }
double dot(unsigned long n, const double x[], const double y[])
{
    double sum = 0;
    for (unsigned long i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}
void scale(double x[], unsigned long n, double factor)
{
    for (unsigned long i = 0; i < n; i++)
        x[i] *= factor;
}
int first(const unsigned char *x) { return x ? x[0] : -1; }
int letter(char c) { return c; }
void nothing(void) {}
"""


@pytest.fixture(scope="module")
def path(compile_c):
    return str(compile_c(SOURCE, "main"))


def output(capsys, *words):
    """Return what a command prints when all is well."""
    assert main(words) == 0
    text, errors = capsys.readouterr()
    assert errors == ""
    return text


def refused(capsys, status, *words):
    """Return what a command that ends with a status says."""
    try:
        found = main(words)
    except SystemExit as exc:
        found = exc.code
    text, errors = capsys.readouterr()
    assert (found, text) == (status, "")
    return errors


def in_shell(*words, **variables):
    done = subprocess.run(
        [sys.executable, "-m", "ffi", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(ffi.__file__).parents[1]), **variables},
    )
    return done.returncode, done.stdout, done.stderr


# --- versions


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", ffi.__version__)


def test_libffi_version():
    # The library says so itself, since 3.5.
    library = ffi.dlopen(ffi._types.__file__)
    try:
        tell = library.function("const char *ffi_get_version(void)")
    except OSError:
        version = None
    else:
        version = tell().string().decode()
        assert re.match(r"\d+\.\d+", version)
    assert ffi.libffi_version == version


# --- the report


def test_report(capsys):
    text = output(capsys)
    rows = dict(re.findall(r"^(\w+) {2,}(.*)$", text, re.M))
    assert rows["ffi"] == ffi.__version__
    assert rows["numpy"] == np.__version__
    assert rows["calls"].partition(",")[0] == ffi.CIF("void").path
    assert rows["python"].startswith(f"CPython {sys.version.split()[0]}")
    assert str(Path(ffi.__file__).parent) in text
    assert "libffi" in rows["libffi"] + text
    assert f"default {ffi.abi.default}" in text
    for name, size in ffi.sizeof.items():
        alignment = ffi.alignof.get(name, "")
        assert re.search(rf"^{name} +{size} +{alignment}$", text, re.M), name


def test_report_names_the_file_of_libffi(capsys):
    text = output(capsys)
    found = re.search(r"^ +(/\S*libffi\S*)$", text, re.M)
    if found is None:
        assert "linked into ffi" in text
    else:
        assert Path(found[1]).is_file()


def test_in_the_shell():
    status, text, errors = in_shell()
    assert (status, errors) == (0, "")
    assert text.startswith("ffi ")
    status, text, errors = in_shell(FFI_NO_DIRECT="1")
    assert (status, errors) == (0, "")
    assert re.search(r"^calls +libffi", text, re.M)
    status, text, errors = in_shell("call", "m", "double cos(double)", "0.5")
    assert (status, float(text), errors) == (0, math.cos(0.5), "")
    status, text, errors = in_shell("call", "m", "double no_such(double)", "0.5")
    assert (status, text) == (1, "")
    assert errors.startswith("python -m ffi: function(): 'no_such' in ")


@pytest.mark.parametrize("words", [[], ["call"], ["layout"]])
def test_help(capsys, words):
    with pytest.raises(SystemExit) as caught:
        main([*words, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m ffi {' '.join(words)}".rstrip())


def test_wrong_words(capsys):
    assert "invalid choice: 'bogus'" in refused(capsys, 2, "bogus")
    assert "prototype" in refused(capsys, 2, "call", "m")
    assert "type" in refused(capsys, 2, "layout")


# --- calls


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["m", "double cos(double)", "0.5"], repr(math.cos(0.5))),
        (["m", "double fabs(double)", "-inf"], "inf"),
        (["m", "double fabs(double)", "-1e-5"], "1e-05"),
        (["m", "double fabs(double)", "-Infinity"], "inf"),
        (["", "size_t strlen(const char *)", "--"], "2"),
        (["", "size_t strlen(const char *)", "é\udce9"], "3"),
        (["", "size_t strlen(char *)", "[72, 'i', 0]"], "2\n[b'H', b'i', b'']"),
        (["c", "int abs(int x)", "-5"], "5"),
        (["c", "int abs(int x)", "-0x10"], "16"),
        (["", "int atoi(const char *)", "42"], "42"),
        (["", "size_t strlen(const char *)", "[1, 2]"], "6"),
        (["", "char *strchr(const char *, int)", "a=b", "61"], "b'=b'"),
        (["", "char *strchr(const char *, int)", "ab", "61"], "None"),
        (["m", "double frexp(double value, int *exponent)", "8.0", "[0]"], "0.5\n[4]"),
    ],
)
def test_call(capsys, words, expected):
    assert output(capsys, "call", *words) == f"{expected}\n"


def test_call_with_arrays(capsys, path):
    dot = "double dot(unsigned long n, const double x[n], const double y[n])"
    assert output(capsys, "call", path, dot, "[1, 2.5]", "[4, 2]") == "9.0\n"
    scale = "void scale(double x[n], unsigned long n, double factor)"
    assert output(capsys, "call", path, scale, "[1, 2.5]", "4") == "[4.0, 10.0]\n"
    first = "int first(const unsigned char *)"
    assert output(capsys, "call", path, first, "[255]") == "255\n"
    assert output(capsys, "call", path, first, "None") == "-1\n"


def test_call_with_records(capsys, path):
    pair = "struct { double x; long n; } pair_of(double x, long n)"
    text = output(capsys, "call", path, pair, "1.5", "2")
    assert "x=1.5" in text
    assert "n=2" in text
    assert output(capsys, "call", path, "int letter(char)", "A") == "65\n"
    assert output(capsys, "call", path, "void nothing(void)") == ""


def test_what_c_prints_comes_first():
    words = ["call", "", "int printf(const char *, ...)", "%d %g %s\n", "3", "-2.5", "yes"]
    assert in_shell(*words) == (0, "3 -2.5 yes\n11\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no_such_library", "int f(void)"], "no_such_library"),
        (["m", "double cos(double", "1"], "'\\(' is never closed"),
        (["m", "double cos(double)"], r"cos\(\): expected 1 arguments, got 0"),
        (["m", "double cos(double)", "1", "2"], r"cos\(\): expected 1 arguments, got 2"),
        (["c", "int abs(int)", "2147483648"], r"abs\(\): .*, got 2147483648"),
        (["c", "int abs(int)", "1.5"], r"abs\(\): .*, got float 1.5"),
        (["c", "int abs(int)", "[1]"], r"abs\(\): .*, got list"),
        (["m", "double frexp(double, const int *)", "1", "5"], r"frexp\(\)"),
    ],
)
def test_refused_calls(capsys, words, message):
    errors = refused(capsys, 1, "call", *words)
    assert re.match(rf"python -m ffi: .*{message}", errors)
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["m", "double cos(double)", "half"], "'half' is no value for double"),
        (["m", "double frexp(double, int *)", "1", "[0.5]"], "'[0.5]' is no value for int *"),
        (["m", "double frexp(double, int *)", "1", "[4294967296]"], "is no value for int *"),
        (["m", "double frexp(double, int *)", "1", "['a']"], "is no value for int *"),
        (["m", "double frexp(double, int *)", "1", "[[1], [1, 2]]"], "is no value for int *"),
        (["m", "double frexp(double, int *)", "1", "[None]"], "is no value for int *"),
        (["m", "double frexp(double, int *)", "1", "[1, [2]]"], "is no value for int *"),
        (["", "size_t strlen(char *)", "[300, 0]"], "is no value for char *"),
        (["", "size_t strlen(char *)", "['ab', 0]"], "is no value for char *"),
        (["m", "float modff(float, float *)", "1", "[1e300]"], "is no value for float *"),
        (["m", "float modff(float, float *)", "1", "['1.5']"], "is no value for float *"),
        (["m", "double cos(double)", "9" * 5000], "is no value for double"),
        (["m", "double cos(double)", "-" * 20000 + "1"], "is no value for double"),
        (["", "void *memchr(const void *, int, size_t)", "[1]", "1", "1"], "const void *"),
    ],
)
def test_unreadable_words(capsys, words, message):
    errors = refused(capsys, 2, "call", *words)
    assert errors.startswith("usage: python -m ffi call")
    assert message in errors


# --- layouts


def test_layout(capsys):
    text = """struct s {
        char c; int a : 3, b : 7; double x[3]; struct { int p, q; } in; union { int i; float f; } u;
    }"""
    kind = ffi.typeof(text)
    first, empty, titles, *lines = output(capsys, "layout", text).splitlines()
    assert (first, empty) == (f"struct s: {kind.size} bytes, alignment {kind.alignment}", "")
    assert titles.split() == ["offset", "size", "member"]
    found = [tuple(line.split(maxsplit=3)) for line in lines]
    assert found[0] == ("0", "1", "c:", "char")
    offsets = {name: offset for name, _, offset in kind.fields}
    assert [(place, name) for place, _, name, _ in found if ":" not in place] == [
        ("0", "c:"),
        (str(offsets["x"]), "x:"),
        (str(offsets["in"]), "in:"),
        (str(offsets["in"]), "in.p:"),
        (str(offsets["in"] + 4), "in.q:"),
        (str(offsets["u"]), "u:"),
        (str(offsets["u"]), "u.i:"),
        (str(offsets["u"]), "u.f:"),
    ]
    places = [(size, name) for place, size, name, _ in found if ":" in place]
    assert places == [(":3", "a:"), (":7", "b:")]


def test_layout_of_scalars(capsys):
    size, alignment = ffi.sizeof.longdouble, ffi.alignof.longdouble
    expected = f"longdouble: {size} bytes, alignment {alignment}\n"
    assert output(capsys, "layout", "long double") == expected


def test_layout_of_a_declaration(capsys):
    assert output(capsys, "layout", "struct {int a;}; ") == output(
        capsys, "layout", "struct {int a;}"
    )


def test_refused_layouts(capsys):
    for text, message in (
        ("struct nope", "struct nope has no size"),
        ("struct {", "'{' is never closed"),
        ("nothing", "nothing"),
        ("", "expected C"),
        ("void", "void"),
    ):
        errors = refused(capsys, 1, "layout", text)
        assert errors.startswith("python -m ffi: ")
        assert message in errors
