"""The C functions that the benchmarks call, and C that calls them."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ffi

# The members of the structs, which stand in signatures by these names.
STRUCTS = {
    "pair": {"x": "double", "n": "long"},
    "triple": {"x": "double", "n": "long", "y": "double"},
}
# For values of this type there are tuples of floats.
ARRAY = "const double *"
TEXT = "const char *"


@dataclass(frozen=True)
class Kernel:
    """A C function, arguments for it and what it returns.

    It does next to nothing with its arguments `a0`, `a1` and so on, so that the call is what costs.
    """

    title: str
    rtype: str
    atypes: tuple[str, ...]
    values: tuple[Any, ...]
    expected: Any
    expression: str
    helpers: str = ""

    @property
    def name(self) -> str:
        """The function's name in C."""
        return "k_" + "".join(c if c.isalnum() else "_" for c in self.title)

    @property
    def loop(self) -> str:
        """The name of the C function that calls it many times."""
        return f"loop_{self.name}"

    @property
    def declaration(self) -> str:
        """The function's declaration in C."""
        types = [c_type(atype) for atype in self.atypes]
        parameters = ", ".join(f"{name} a{i}" for i, name in enumerate(types)) or "void"
        return f"{c_type(self.rtype)} {self.name}({parameters});"

    def source(self) -> str:
        """Return the function and a loop that calls it by its address.

        The loop finds the arguments as ffi_call does: through an array of their addresses.
        """
        types = [c_type(atype) for atype in self.atypes]
        rtype = c_type(self.rtype)
        parameters = ", ".join(f"{name} a{i}" for i, name in enumerate(types)) or "void"
        arguments = ", ".join(f"*({name} *)avalues[{i}]" for i, name in enumerate(types))
        return f"""
{self.helpers}
{rtype} {self.name}({parameters})
{{
    return {self.expression};
}}

void {self.loop}({rtype} (*function)({parameters}), {rtype} *result, void **avalues, long count)
{{
    while (count-- > 0)
        *result = function({arguments});
}}
"""


def c_type(name: str) -> str:
    """Return a type of a signature as C spells it."""
    return f"struct {name}" if name in STRUCTS else name


@cache
def ffi_type(name: str) -> Any:
    """Return a type of a signature as `ffi.CIF` takes it; of a struct always the same object."""
    return ffi.struct(list(STRUCTS[name].items())) if name in STRUCTS else name


def alternating_sum(title: str, rtype: str, atypes: Sequence[str], values: Sequence[Any]) -> Kernel:
    """Return a function that gives 42 + a0 - a1 + a2 - a3 and so on, in `rtype`."""
    terms = ["42", *[f"{'-' if i % 2 else ''}({rtype})a{i}" for i in range(len(atypes))]]
    expected = 42 + sum(values[0::2]) - sum(values[1::2])
    return Kernel(title, rtype, tuple(atypes), tuple(values), expected, balanced(terms))


def balanced(terms: Sequence[str]) -> str:
    """Return a sum that is no chain: a processor makes several of its additions at a time."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({balanced(terms[:half])} + {balanced(terms[half:])})"


MIXED = [
    ("signed char", -1),
    ("short", 2),
    ("int", 300),
    ("long", 4000),
    ("float", 0.5),
    ("double", 0.25),
    ("unsigned char", 7),
    ("unsigned short", 800),
    ("unsigned int", 9000),
    ("double", 0.125),
]


def mixed(title: str, count: int) -> Kernel:
    """Return a function of `count` scalars, of each type in turn."""
    indices = [divmod(i, len(MIXED)) for i in range(count)]
    types = [MIXED[index][0] for _, index in indices]
    values = [MIXED[index][1] * (turn + 1) for turn, index in indices]
    return alternating_sum(title, "double", types, values)


def longs(title: str, count: int) -> Kernel:
    """Return a function of `count` longs."""
    return alternating_sum(title, "long", ["long"] * count, [100 * (i + 1) for i in range(count)])


NO_ARGUMENTS = Kernel("no arguments", "int", (), (), 42, "42")
ABSOLUTE = Kernel("int abs(int)", "int", ("int",), (-5,), 5, "a0 < 0 ? -a0 : a0")
HALF = Kernel("one double", "double", ("double",), (3.0,), 1.5, "0.5 * a0")
TWO_DOUBLES = alternating_sum("two doubles", "double", ("double",) * 2, (3.75, 1.5))
SIX_LONGS = longs("six longs", 6)
TEN_MIXED = mixed("ten mixed scalars", 10)
TWENTY_MIXED = mixed("twenty mixed scalars", 20)
# What raw and typed calls have in common.
SCALARS = (
    NO_ARGUMENTS,
    ABSOLUTE,
    HALF,
    TWO_DOUBLES,
    SIX_LONGS,
    TEN_MIXED,
    TWENTY_MIXED,
)
THIRTY_MIXED = mixed("thirty mixed scalars", 30)
STRUCT_OF_16 = Kernel(
    "struct of 16 bytes", "double", ("pair",), ((1.5, 2),), 3.5, "a0.x + (double)a0.n"
)
STRUCT_OF_24 = Kernel(
    "struct of 24 bytes",
    "double",
    ("triple",),
    ((1.5, 2, 0.25),),
    3.25,
    "a0.x + (double)a0.n - a0.y",
)
RESULT_OF_16 = Kernel(
    "result of 16 bytes", "pair", ("double",), (1.5,), (1.5, 7), "(struct pair){a0, 7}"
)
RESULT_OF_24 = Kernel(
    "result of 24 bytes",
    "triple",
    ("double",),
    (1.5,),
    (1.5, 7, 2.5),
    "(struct triple){a0, 7, 2.5}",
)
LENGTH = Kernel(
    "const char *",
    "unsigned long",
    (TEXT,),
    (b"hello",),
    5,
    "strlen(a0)",
    "#include <string.h>",
)
DOT = Kernel(
    "dot(8, x, y)",
    "double",
    ("long", ARRAY, ARRAY),
    (8, tuple(map(float, range(8))), (0.5,) * 8),
    14.0,
    "dot_of(a0, a1, a2)",
    """
static double dot_of(long n, const double *x, const double *y)
{
    double sum = 0;
    for (long i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}
""",
)


def struct_source(name: str) -> str:
    """Return a struct's declaration in C, which other declarations may use."""
    members = " ".join(f"{atype} {member};" for member, atype in STRUCTS[name].items())
    return f"struct {name} {{ {members} }};"


def header(kernels: Sequence[Kernel]) -> str:
    """Return the declarations of these functions and of the structs."""
    return "\n".join([*map(struct_source, STRUCTS), *(kernel.declaration for kernel in kernels)])


@contextmanager
def compiled(kernels: Sequence[Kernel]) -> Iterator[Path]:
    """Yield a shared library of these functions; the file goes afterwards."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    text = "\n".join(struct_source(name) for name in STRUCTS)
    text += "".join(kernel.source() for kernel in kernels)
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "kernels.c"), Path(folder, "kernels.so")
        source.write_text(text)
        subprocess.run(
            [*compiler, "-O2", "-fPIC", "-shared", "-o", str(library), str(source)], check=True
        )
        yield library
