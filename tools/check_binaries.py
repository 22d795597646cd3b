"""Check compiled extension modules with readelf: what they export, and how they are loaded.

usage: python tools/check_binaries.py [--static] MODULE.so...

A module exports its PyInit function alone, so that no name of libffi's, or of a copy of it inside,
gets in the way of another's. It asks for no executable stack, for no memory that is writable and
executable, and for no relocations in its code. With --static it also needs no libffi. ELF only.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def main(*arguments: str) -> None:
    """Raise SystemExit with what is wrong, if anything is."""
    static = "--static" in arguments
    paths = [Path(argument) for argument in arguments if argument != "--static"]
    wrong = [f"{path}: {fault}" for path in paths for fault in faults(path, static)]
    if wrong or not paths:
        raise SystemExit("\n".join(wrong) or __doc__)


def faults(path: Path, static: bool) -> Iterator[str]:
    """Yield what is wrong with a module."""
    exported, imported = symbols(path)
    expected = {f"PyInit_{path.name.partition('.')[0]}"}
    if exported != expected:
        yield f"exports {sorted(exported)}, expected {sorted(expected)}"
    if static and (names := sorted(name for name in imported if name.startswith("ffi_"))):
        yield f"takes {names} from a libffi"

    dynamic = read(path, "--dynamic")
    if static and (match := re.search(r"\(NEEDED\).*\[(libffi[^]]*)\]", dynamic)):
        yield f"needs {match[1]}"
    if re.search(r"\bTEXTREL\b", dynamic):
        yield "relocates its code"

    segments = re.findall(r"^ +(LOAD|GNU_STACK) (.*)$", read(path, "--program-headers"), re.M)
    for kind, values in segments:
        # Between the addresses and sizes, and the alignment
        flags = set("".join(re.findall(r" ([RWE ]{3}) ", values)))
        if kind == "GNU_STACK" and "E" in flags:
            yield "wants an executable stack"
        elif {"W", "E"} <= flags:
            yield "has memory that is writable and executable"
    if "GNU_STACK" not in dict(segments):
        yield "does not say that its stack is not executable"


def symbols(path: Path) -> tuple[set[str], set[str]]:
    """Return the names that a module exports, and those that it imports."""
    exported: set[str] = set()
    imported: set[str] = set()
    for line in read(path, "--dyn-syms").splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[4] in ("GLOBAL", "WEAK", "UNIQUE"):
            name = fields[7].partition("@")[0]
            (imported if fields[6] == "UND" else exported).add(name)
    return exported, imported


def read(path: Path, what: str) -> str:
    """Return what readelf says."""
    command = ["readelf", "--wide", what, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
