"""What the guide's examples find: the libraries that they bind, compiled as the pages say."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import ffi

# Its module is compiled as the page says, by a test.
collect_ignore = ["cython.rst"]
if ffi.CIF("void").path != "direct":
    # It prints how calls go, and where bit-fields lie on little-endian machines.
    collect_ignore += ["lowlevel.rst"]
if ffi.sizeof.pointer != 8:
    # They print sizes and alignments, those of 64-bit machines.
    collect_ignore += ["binding.rst", "functions.rst"]

if importlib.util.find_spec("cffi") is None:
    # Which refuses the free-threaded Python 3.13.
    collect_ignore += ["coming_from.rst"]

DOCS = Path(__file__).parent
COMMANDS = {
    "kernels": "-O2 -shared -fPIC kernels.c -o libkernels.so -lm",
    "series": "-O2 -shared -fPIC series.c -o libseries.so -lm",
    "solve": "-O2 -shared -fPIC solve.c -o libsolve.so -lm -lpthread",
}


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with libkernels.so, libseries.so and libsolve.so."""
    folder = tmp_path_factory.mktemp("libraries")
    for name, command in COMMANDS.items():
        for suffix in (".c", ".h"):
            shutil.copy(DOCS / f"{name}{suffix}", folder)
        compiler = shlex.split(os.environ.get("CC", "cc"))
        subprocess.run([*compiler, *shlex.split(command)], cwd=folder, check=True)
    return folder


@pytest.fixture(autouse=True)
def begin(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run examples where the libraries are, with no error of other pages."""
    monkeypatch.chdir(libraries)
    ffi.set_errno(0)
