"""The headers of well-known libraries, as the preprocessor leaves them, against the C compiler.

Each is read whole. What was understood is then written in C after the header's own text, and the
compiler says whether it is the same: prototypes, variables, sizes, alignments and constants.
"""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
import sys

import pytest
from checks import refused
from compiler import CC, compilers
from needs import need_header, need_library

import ffi
from ffi._layouts import kind_of
from ffi._layouts import spell_c as spell
from ffi.cdecl import Declarations, parse_declarations

MACHINE = platform.machine()
# What glibc has on some machines, which is refused with all it stands in.
NUMBERS = (
    "_Float128",
    "__cfloat128",
    "__f32x4_t",
    "__f64x2_t",
    "__sv_f32_t",
    "__sv_f64_t",
    "__sv_bool_t",
)
# On i386 gcc's alignment of long long is not C's, and there are numbers of 128 bits besides.
EVERYWHERE = ("max_align_t",) if ffi.alignof.longlong == 4 else ()
# The headers, the preprocessor's flags, and words that are refused.
HEADERS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "zlib": (("zlib.h",), (), ()),
    "sqlite3": (("sqlite3.h",), (), ()),
    "gsl": (
        ("gsl/gsl_sf.h", "gsl/gsl_rng.h", "gsl/gsl_statistics.h", "gsl/gsl_integration.h"),
        (),
        NUMBERS,
    ),
    "cblas": (("cblas.h",), (), ()),
    "lapacke": (("lapacke.h",), (), ()),
    "fftw3": (("complex.h", "fftw3.h"), (), ("__float128", "fftwq_complex")),
}
if sys.platform == "linux":
    HEADERS |= {
        "c": (
            ("ctype.h", "inttypes.h", "locale.h", "stdio.h", "stdlib.h", "string.h", "time.h"),
            (),
            NUMBERS,
        ),
        # With inline versions of some functions.
        "fortified-c": (
            ("stdio.h", "stdlib.h", "string.h", "wchar.h"),
            ("-O2", "-D_GNU_SOURCE", "-D_FORTIFY_SOURCE=2"),
            NUMBERS,
        ),
        # signal.h of other machines has types that are packed or aligned further.
        "posix": (
            ("unistd.h", "sys/stat.h", *(["signal.h"] if MACHINE in ("x86_64", "i686") else [])),
            ("-D_GNU_SOURCE",),
            (*NUMBERS, "__int128", "__vector128"),
        ),
        "math": (("math.h", "complex.h", "fenv.h"), (), NUMBERS),
        "gnu-math": (("math.h",), ("-D_GNU_SOURCE",), NUMBERS),
    }
# Types of their own to gcc, which are passed like these.
SAME = {
    "_Float32": "float",
    "_Float64": "double",
    "_Float32x": "double",
    "_Float64x": "long double",
}


def without(text: str, words: tuple[str, ...]) -> str:
    """Return a text without the statements in which one of these words stands."""
    mentioned = re.compile(rf"\b(?:{'|'.join(words)})\b") if words else None
    kept, depth, start = [], 0, 0
    for match in re.finditer(r"[(){}\[\];]", text):
        depth += (match[0] in "({[") - (match[0] in ")}]")
        if depth == 0 and match[0] == ";":
            statement = text[start : match.end()]
            start = match.end()
            if not (mentioned and mentioned.search(statement)):
                kept.append(statement)
    return "".join(kept)


def in_c(found: Declarations) -> list[str]:
    """Say in C what has been read; the compiler refuses what is not so."""
    lines = []
    for function in found.functions.values():
        # What the ABI passes for a va_list has no name that the compiler shares.
        if "__va_list_tag" not in function.text:
            lines.append(f"{function.text};")
    for name, type in found.variables.items():
        # Of arrays of unknown length it is the items' type.
        whole, items = spell(type), spell(type, "[]", name in found.const)
        is_one = f"__builtin_types_compatible_p(__typeof__({name}), {whole})"
        are_many = f"__builtin_types_compatible_p(__typeof__({name}), {items})"
        lines.append(f'_Static_assert({is_one} || {are_many}, "{name}");')
    for name, type in found.types.items():
        if kind_of(type) not in ("void", "function", "opaque"):
            lines.append(f'_Static_assert(sizeof({name}) == {type.size}, "{name}");')
            lines.append(f'_Static_assert(_Alignof({name}) == {type.alignment}, "{name}");')
    for name, value in found.constants.items():
        lines.append(f'_Static_assert({name} == {value}, "{name}");')
    return lines


def check(compiler: str, text: str, lines: list[str]) -> str:
    """Return what the compiler has against some lines after a header's text."""
    # What the preprocessor says may depend on it.
    standard = "-std=gnu2x" if "nullptr" in text else "-std=gnu11"
    command = [*shlex.split(compiler), standard, "-fsyntax-only", "-w", "-x", "c", "-"]
    if "typedef float _Float32;" not in text:
        command += [f"-D{name}={same}" for name, same in SAME.items()]
    source = "\n".join([text, *lines])
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    assert bool(done.returncode) == bool(done.stderr)
    return done.stderr[:3000]


@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("library", HEADERS)
def test_headers_mean_what_the_compiler_says(library, compiler):
    headers, flags, words = HEADERS[library]
    words += EVERYWHERE
    text = need_header(*headers, flags=flags, compiler=compiler)
    if "__overloadable__" in text:
        # Clang's way with the newest fortified headers, where functions are overloaded.
        with refused(NotImplementedError, match="numbers of type|'mode'|'__overloadable__'"):
            parse_declarations(text)
        return
    if any(re.search(rf"\b{word}\b", text) for word in words):
        kinds = r"numbers of type _+([Ff]loat|int)128 |'mode'|vector|'aligned'"
        with refused(NotImplementedError, match=kinds):
            parse_declarations(text)
        text = without(text, words)
    found = parse_declarations(text)
    assert len(found.functions) > 10
    assert check(compiler, text, in_c(found)) == ""


def test_the_compiler_notices_differences():
    text = """
    typedef struct { int x; } s;
    typedef long l;
    enum e { A, B };
    int f(s *p, const l *q);
    extern const char name[], *other;
    """
    lines = in_c(parse_declarations(text))
    assert check(CC, text, lines) == ""
    for old, new in (
        ("{ int x; }", "{ int x, y; }"),
        ("{ int x; }", "{ float x; }"),
        ("long l", "unsigned long l"),
        ("A, B", "B, A"),
        ("s *p", "s **p"),
        ("const l *q", "l *q"),
        ("int f", "unsigned f"),
        ("char name", "signed char name"),
        ("*other", "**other"),
    ):
        changed = text.replace(old, new)
        assert changed != text
        # A struct's fields are not compared.
        assert bool(check(CC, changed, lines)) == ("float x" not in new)


@pytest.mark.parametrize("name", ["z", "sqlite3"])
def test_whole_headers_are_declared(name):
    # Headers declare more than libraries have: what depends on how they were built, or on others.
    headers = {"z": "zlib.h", "sqlite3": "sqlite3.h"}
    library = need_library(name)
    text = without(need_header(headers[name]), EVERYWHERE)
    functions = parse_declarations(text).functions
    missing = [symbol for symbol in functions if not has(library, symbol)]
    if missing:
        with refused(OSError, match=", ".join(map(repr, missing))):
            library.cdef(text)
        assert not library.types
        text = without(text, tuple(missing))
    library.cdef(text)
    if name == "z":
        assert library.crc32(0, b"123456789", 9) == 0xCBF43926
        stream = ffi.new(library.types["z_stream"])
        size = library.types["z_stream"].size
        assert library.deflateInit_(stream, 6, library.zlibVersion(), size) == 0
        assert library.deflateEnd(stream) == 0
    else:
        assert library.sqlite3_libversion_number() >= 3_000_000
        db = ffi.new("void *")
        with refused(TypeError, match=r"'ppDb': .*struct sqlite3 \*\*"):
            library.sqlite3_open(":memory:", db)
        db = ffi.new(
            library.function("int sqlite3_open(const char *, sqlite3 **)").atypes[1].target
        )
        assert library.sqlite3_open(":memory:", db) == 0
        assert library.sqlite3_total_changes(db[0]) == 0
        assert library.sqlite3_close(db[0]) == 0


def has(library: ffi.Library, symbol: str) -> bool:
    try:
        return bool(ffi.dlsym(library, symbol))
    except OSError:
        return False
