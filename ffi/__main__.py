"""``python -m ffi``: what is in use here, a C function called from the shell, the layout of a type.

Only words on the command line and lines of text pass here.
"""

import argparse
import ast
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import ffi
from ffi._cif import has_call_plan

REPORT = """Without a command: the versions, paths, calling conventions and sizes that belong in a
bug report."""

CALL = """Call a C function and print its result: `call m "double cos(double)" 0.5`. Numbers are
written as in Python, text as it is where C takes const char *, arrays as lists, NULL as None.
Arrays that C may write to are printed too."""

LAYOUT = """Print the size, the alignment and the members of a C type, bytes from its beginning:
`layout "struct { char c; double x; }"`."""

# What dladdr fills in; without declarations in C, which pycparser would read.
DL_INFO = ffi.struct(dict.fromkeys(("file", "base", "name", "address"), ffi.types.pointer))

# Numbers without literals in Python.
NOT_FINITE = re.compile(r"[+-]?(inf|infinity|nan)", re.IGNORECASE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; return what the process exits with.

    Parameters
    ----------
    arguments : sequence of str, optional
        The words after the program's name; those of the process by default.

    Returns
    -------
    int
        0, or 1 for what ffi or the dynamic linker refuses. Words that cannot be read exit with 2.
    """
    parser = argparse.ArgumentParser(prog="python -m ffi", description=REPORT)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="call | layout")
    call = commands.add_parser("call", help="call a C function", description=CALL)
    call.add_argument("library", help="a path, or a name such as m; '' for Python's own process")
    call.add_argument("prototype", help="the function as C declares it")
    call.add_argument("values", nargs="*", default=[], help="its arguments")
    layout = commands.add_parser("layout", help="show the layout of a type", description=LAYOUT)
    layout.add_argument("type", help="as C spells it")
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(words[:3] if words[:1] == ["call"] else words)
    try:
        if options.command == "call":
            # As they are, also those that begin with a minus sign.
            lines = call_lines(options.library, options.prototype, words[3:])
        elif options.command == "layout":
            lines = layout_lines(ffi.typeof(options.type.rstrip().removesuffix(";")))
        else:
            lines = report_lines()
        for line in lines:
            print(line)
    except UnreadableError as error:
        call.error(str(error))
    except (ffi.Error, OSError) as error:
        print(f"python -m ffi: {error}", file=sys.stderr)
        return 1
    return 0


class UnreadableError(Exception):
    """A word on the command line that is no value of its parameter's type."""


# --- what is in use


def report_lines() -> Iterator[str]:
    """Yield lines of what is in use."""
    rows = {
        "ffi": ffi.__version__,
        "": str(Path(ffi.__file__).parent),
        "calls": path_of_calls(),
        "libffi": ffi.libffi_version or "unknown: 3.5 and newer tell",
        " ": file_of_libffi(),
        "python": f"{platform.python_implementation()} {sys.version}".replace("\n", ""),
        "  ": sys.executable,
        "gil": "on" if getattr(sys, "_is_gil_enabled", lambda: True)() else "off",
        "numpy": np.__version__,
        "pycparser": version_of("pycparser"),
        "system": platform.platform(),
        "machine": f"{platform.machine()}, {sys.byteorder}-endian",
        "compiler": f"{platform.python_compiler()} made Python",
        "wheels": sysconfig.get_platform(),
    }
    width = max(map(len, rows)) + 2
    yield from (f"{name.strip():<{width}}{value}" for name, value in rows.items())
    yield ""
    yield "abi: " + ", ".join(f"{name} {number}" for name, number in ffi.abi.items())
    yield ""
    yield "type                 size  alignment"
    for name, size in ffi.sizeof.items():
        yield f"{name:<20}{size:>5}  {ffi.alignof.get(name, ''):>9}"


def path_of_calls() -> str:
    """Say how calls go."""
    cif = ffi.CIF(ffi.types.void)
    path: str = cif.path
    if has_call_plan(cif):
        path += " by its call plans"
    if cif.path == "libffi" and os.environ.get("FFI_NO_DIRECT"):
        path += ", as $FFI_NO_DIRECT says"
    return path


def version_of(name: str) -> str:
    """Return a distribution's version; a module may be there without one."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def file_of_libffi() -> str:
    """Return the file with libffi's code."""
    pointer = ffi.types.pointer
    dladdr = ffi.dlopen(None).function("dladdr", ffi.types.int, pointer, pointer)
    own = ffi.dlopen(ffi._core.__file__)
    try:
        address = ffi.dlsym(own, "ffi_call")
    except OSError:
        # Inside this package's own modules, which show nobody their names.
        return "linked into ffi"
    found = ffi.new(DL_INFO)
    if not dladdr(address, found):
        return "unknown"
    return os.path.realpath(os.fsdecode(ffi.string(found[0].file)))


# --- a call


def call_lines(name: str, prototype: str, words: Sequence[str]) -> Iterator[str]:
    """Call a function of a library, and yield its result and what arrays hold then."""
    function = ffi.dlopen(name or None).function(prototype)
    types = function.atypes
    # What is beyond them goes to a variadic function, or is refused by the call.
    known = [*types, *[None] * len(words)]
    values = [read_value(word, type) for word, type in zip(words, known, strict=False)]
    result = function(*values)
    # What C has printed comes first.
    ffi.dlopen(None).function("int fflush(void *stream)")(None)
    if function.rtype != ffi.types.void:
        yield show(result, function.rtype)
    for value, type in zip(values, types, strict=False):
        if isinstance(value, np.ndarray) and not type.const:
            yield repr(value.tolist())


def read_value(word: str, type: ffi.Type | None) -> Any:
    """Return the value that a word stands for; without a type, a number or else text."""
    text = os.fsencode(word)  # the bytes that the shell gave
    if type is not None and type.name in ("const char *", "char") and word != "None":
        return text
    try:
        value = read_literal(word)
        if isinstance(value, list) and type is not None and type.target is not None:
            value = to_array(value, type.target)
    except (ValueError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        if type is None:
            return text
        raise UnreadableError(f"{word!r} is no value for {type.name}") from error
    return value


def read_literal(word: str) -> Any:
    """Return what Python's literals stand for, and the numbers that have none, such as inf."""
    if NOT_FINITE.fullmatch(word):
        return float(word)
    try:
        return ast.literal_eval(word)
    except SyntaxError as error:
        raise ValueError(f"no literal: {error}") from error


def to_array(values: list[Any], type: ffi.Type) -> np.ndarray:
    """Return an array of these values, as strictly as they are passed one by one."""
    if type.dtype is None:
        raise TypeError("nothing is known of its items")
    shape = []
    first: Any = values
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    array = np.zeros(shape, type.dtype)
    storage = array.reshape(-1).view(np.uint8)
    for i, value in enumerate(items_of(values, shape)):
        ffi.write(type, storage, value, i * type.size)
    return array


def items_of(values: Any, shape: Sequence[int]) -> Iterator[Any]:
    """Yield the innermost items of lists of lists, which must have this shape."""
    if not shape:
        yield values
        return
    if not isinstance(values, list) or len(values) != shape[0]:
        raise ValueError(f"expected a list of {shape[0]} items")
    for value in values:
        yield from items_of(value, shape[1:])


def show(result: Any, type: ffi.Type) -> str:
    """Return a result as text; strings of C as what they are."""
    if isinstance(result, ffi.Pointer) and type.target == ffi.types.char:
        return repr(result.string())
    return repr(result)


# --- a layout


def layout_lines(type: ffi.Type) -> Iterator[str]:
    """Yield the size of a type and the places of its members, those of members included."""
    if type.size == 0:
        raise ffi.errors.FFIValueError(f"{type.name} has no size: give a struct with its members")
    yield f"{type.name}: {type.size} bytes, alignment {type.alignment}"
    if type.fields:
        yield ""
        yield "offset   size  member"
        yield from member_lines(type, 0, "")


def member_lines(type: ffi.Type, start: int, prefix: str) -> Iterator[str]:
    """Yield a line for each member."""
    for i, (name, member, offset) in enumerate(type.fields or ()):
        bits = type.bits and type.bits[i]
        if bits:
            place, size = f"{start + offset}:{bits[0]}", f":{bits[1]}"
        else:
            place, size = str(start + offset), str(member.size)
        yield f"{place:>6} {size:>6}  {prefix}{name}: {member.name}"
        if member.fields:
            yield from member_lines(member, start + offset, f"{prefix}{name}.")


def run() -> NoReturn:
    """Be the process's main program."""
    sys.exit(main())


if __name__ == "__main__":
    run()
