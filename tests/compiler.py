"""The system's C compiler, for tests that bring their own C."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from functools import cache
from itertools import product
from pathlib import Path

CC = os.environ.get("CC", "cc")


def compile_library(
    source: str | Path, folder: Path, name: str, *flags: str, compiler: str = CC
) -> Path:
    """Compile C into a shared library, once for each source, compiler and set of flags.

    Parameters
    ----------
    source : str or Path
        C text, or the path of a C file.
    folder : Path
        Where the library goes, such as a temporary folder of the test session.
    name : str
        The library's file name without suffix.
    *flags : str
        More options, after the source and the default ones: ``"-O0"``, ``"-lm"``.
    compiler : str
        The command; ``$CC``, or ``cc``, by default.

    Returns
    -------
    Path
        The shared library.
    """
    text = source.read_text() if isinstance(source, Path) else source
    command = [*shlex.split(compiler), "-std=gnu11", "-O2", "-fPIC", "-shared"]
    key = hashlib.sha256("\0".join([*command, *flags, text]).encode()).hexdigest()[:16]
    library = folder / f"{name}-{key}.so"
    if library.exists():
        return library
    if isinstance(source, str):
        source = folder / f"{name}.c"
        source.write_text(text)
    unfinished = library.with_suffix(".tmp")
    command += [str(source), *flags, "-o", str(unfinished)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}\n{done.stderr}")
    return unfinished.rename(library)


@cache
def compilers() -> tuple[str, ...]:
    """Name the C compilers to test with: ``$CC`` alone, or ``cc`` and clang if that is another."""
    if "CC" in os.environ or not shutil.which("clang") or "clang" in version(CC):
        return (CC,)
    return CC, "clang"


@cache
def configurations() -> list[tuple[str, tuple[str, ...]]]:
    """List compilers and their flags: each level of optimisation, or ``$FFI_DIFF_CFLAGS``."""
    flags = os.environ.get("FFI_DIFF_CFLAGS")
    levels = ["-O0", "-O2", "-O3"] if flags is None else [flags]
    return [
        (compiler, tuple(shlex.split(level))) for level, compiler in product(levels, compilers())
    ]


def version(compiler: str) -> str:
    """Return the first line of what a compiler says about itself."""
    command = [*shlex.split(compiler), "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return done.stdout.partition("\n")[0]
