"""The system's C compiler, for tests that bring their own C."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from pathlib import Path


def compile_library(source: str | Path, folder: Path, name: str, *flags: str) -> Path:
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

    Returns
    -------
    Path
        The shared library. ``$CC`` names the compiler, ``cc`` by default.
    """
    text = source.read_text() if isinstance(source, Path) else source
    command = [*shlex.split(os.environ.get("CC", "cc")), "-std=gnu11", "-O2", "-fPIC", "-shared"]
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
