"""Lengths that are computed, as C does: with its types, and only what it computes."""

from __future__ import annotations

import random

import pytest
from checks import refused

import ffi
from ffi._dimension import dimension, literal, number_in
from ffi.cdecl import parse_prototype

KINDS = (
    "signed char", "unsigned char", "short", "unsigned short", "int", "unsigned", "long",
    "unsigned long", "long long", "unsigned long long",
)  # fmt: skip


def expression(draw, depth, suffixes=("LL",)):
    if depth == 0 or draw.random() < 0.2:
        literal = f"{draw.choice([draw.randrange(9), 0x7FFFFFFF])}{draw.choice(suffixes)}"
        return draw.choice(["n", "m", literal])
    parts = [expression(draw, depth - 1, suffixes) for _ in range(3)]
    if draw.random() < 0.15:
        return f"({draw.choice('-~!')}{parts[0]})"
    if draw.random() < 0.1:
        return "({} ? {} : {})".format(*parts)
    if draw.random() < 0.1:
        # By few bits: more is undefined in C.
        return f"({parts[0]} {draw.choice(['<<', '>>'])} {draw.randrange(9)})"
    operators = ["+", "-", "*", "/", "%", "&", "|", "^", "<", ">=", "==", "!=", "&&", "||"]
    return f"({parts[0]} {draw.choice(operators)} {parts[1]})"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_dimensions_against_the_compiler(compile_c, count):
    draw = random.Random(20240611 + count)
    suffixes = ("", "U", "L", "UL", "LL", "ULL") if count else ("LL",)
    functions = []
    while len(functions) < 200:
        text = expression(draw, 3, suffixes)
        kinds = [draw.choice(KINDS) if count else "long long" for _ in "nm"]
        if {*text} & {*"nm"} and len(text) > 1:
            functions.append((text, "{} n, {} m".format(*kinds)))
    source = "\n".join(
        f"unsigned long long value_{i}({parameters}) {{ return {text}; }}\n"
        f"void make_{i}({parameters}, unsigned char *y) {{ }}"
        for i, (text, parameters) in enumerate(functions)
    )
    library = ffi.dlopen(compile_c(source, f"dimensions{count}", "-w", "-fwrapv"))
    compared = 0
    for i, (text, parameters) in enumerate(functions):
        value = library.function(f"unsigned long long value_{i}({parameters})")
        make = library.function(f"void make_{i}({parameters}, unsigned char y[{text}])", out=["y"])
        for n, m in ((1, 2), (7, 3), (5, 0), (2, 9)):
            try:
                made = make(n, m).size
            except (ValueError, MemoryError) as exc:
                message = str(exc)
                if "cannot be computed" in message:
                    continue
                made = int(message.rpartition(" is ")[2]) if " is " in message else None
            expected = value(n, m)
            where = f"{text} of {parameters}, {n}, {m}"
            assert made is None or made % 2**64 == expected, where
            assert made is not None or expected > 2**30, where
            compared += 1
    assert compared > 400


@pytest.fixture(scope="module")
def length(compile_c):
    library = ffi.dlopen(compile_c("void f(long n, unsigned char *y) { }", "lengths"))

    def compute(text, kind, n):
        make = library.function(f"void f({kind} n, unsigned char y[{text}])", out=["y"])
        return make(n).size

    return compute


def test_unsigned(length):
    assert length("n - 5 > 0 ? 8 : 1", "size_t", 3) == 8
    assert length("n - 5 > 0 ? 8 : 1", "long", 3) == 1
    assert length("n - 5 > 0 ? 8 : 1", "unsigned char", 3) == 1
    assert length("n - 5u > 0 ? 8 : 1", "int", 3) == 8
    assert length("n > -1 ? n : 1", "size_t", 3) == 1
    assert length("n - sizeof(int) > 0 ? 8 : 1", "int", 3) == 8
    assert length("n - 5 + 7", "size_t", 3) == 5
    assert length("n + 0xFFFFFFFFFFFFFFFF", "uint64_t", 3) == 2
    assert length("n * 18446744073709551615u + 4", "uint64_t", 3) == 1
    assert length("n * n / 65536", "unsigned", 65536 + 4) == 8
    assert length("n / 10000000000", "uint64_t", 2**63 - 1) == (2**63 - 1) // 10**10


def test_what_has_no_value(length):
    for text, kind, n in (
        ("n / (n - 3)", "size_t", 3),
        ("n % (n - 3)", "int", 3),
        ("n * n", "int", 65536),
        ("n + 1", "int", 2**31 - 1),
        ("(0 - n) - 2147483647 - 1", "int", 1),
        ("(-n - 1) / -1", "int", 2**31 - 1),
        ("(-n - 1) % -1", "int", 2**31 - 1),
        ("(-n - 1) / -1", "long long", 2**63 - 1),
        ("1 << n", "size_t", 32),
        ("1 << n", "int", 31),
        ("1ll << n", "int", 64),
        ("n >> n", "int", -1),
        ("n ? 1 / (n - 1) : 1", "int", 1),
        ("1 / n ? 1 : 1", "int", 0),
        ("1 / n || 1", "int", 0),
        ("n && 1 / (n - 1)", "int", 1),
    ):
        with refused(ValueError, match=r"the length .* cannot be computed"):
            length(text, kind, n)
    with refused(ValueError, match="the length n - 4 is 18446744073709551615"):
        length("n - 4", "uint64_t", 3)
    with refused(ValueError, match="the length n - 4 is -1"):
        length("n - 4", "long", 3)


def test_what_c_does_not_compute(length):
    assert length("n ? 10 / n : 1", "size_t", 0) == 1
    assert length("n ? 10 / n : 1", "size_t", 5) == 2
    assert length("(n && 10 / n) + 1", "int", 0) == 1
    assert length("(n && 10 / n) + 1", "int", 5) == 2
    assert length("(!n || 10 / n) + 1", "int", 0) == 2
    assert length("n ? 4 : 1 / 0", "int", 1) == 4
    assert length("n ? n * n : 1u", "int", 3) == 9
    # The type is that of both.
    assert length("(n ? -1 : 0u) > 0 ? 7 : 3", "int", 1) == 7
    with refused(ValueError, match="cannot be computed"):
        length("n ? 4 : 1 / 0", "int", 0)
    with refused(ValueError, match="1:29: a division by zero"):
        parse_prototype("void f(int n, int x[n + 1 + 10 % (3 - 3)])")


def test_literals():
    for text in ("5", "5u", "5l", "5ul", "0x7fffffff", "0xffffffff", "2147483648", "1ull << 63"):
        frame = f"void f(double x[n + ({text})], int n)"
        (found,) = parse_prototype(frame).parameters[0].dimensions
        again = parse_prototype(f"void f(double x[{found.text}], int n)").parameters[0]
        assert again.dimensions == (found,)
        number = number_in(found.program[1])
        assert literal(number) == found.program[1]
    least = dimension(("n", -(2**31), "*"))
    assert least.text == "n * (-2147483647 - 1)"
    (again,) = parse_prototype(f"void f(double x[{least.text}], int n)").parameters[0].dimensions
    assert again == least


@pytest.mark.parametrize("text", ["18446744073709551615u", "9223372036854775808u", "~0ull"])
def test_lengths_beyond_memory(text):
    with refused(ValueError, match="^prototype: 1:1[78]: no array has [0-9]{19,20} items"):
        parse_prototype(f"void f(double x[{text}])")
