"""Cython modules of the tests, compiled out of the tree against the ffi that is imported."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ffi

# Cython and setuptools change their process: warnings, the working directory, sys.argv.
BUILD = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup

name, *flags = sys.argv[1:]
extension = Extension(name, [name + ".pyx"], extra_compile_args=flags, extra_link_args=flags)
setup(
    name=name, script_args=["-q", "build_ext", "--inplace"],
    ext_modules=cythonize(
        [extension], quiet=True, compiler_directives={"freethreading_compatible": True}
    ),
)
"""


def environment() -> dict[str, str]:
    """Return the variables with which Cython finds this ffi's declarations."""
    return {**os.environ, "PYTHONPATH": str(Path(ffi.__file__).parents[1])}


def build(source: Path | str, folder: Path, *flags: str, name: str = "") -> Path:
    """Compile a Cython file, or text, in `folder`, and return the module's file.

    The compiler is given Python's headers and what `flags` say.
    """
    if isinstance(source, Path):
        name, source = source.stem, source.read_text()
    (folder / f"{name}.pyx").write_text(source)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, name, *flags],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob(f"{name}.*.so")
    return path


def libffi_flags() -> list[str]:
    """Return how the compiler and the linker find libffi: as pkg-config says, or in some places."""
    if shutil.which("pkg-config"):
        command = ["pkg-config", "--cflags", "--libs", "libffi"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    prefixes = ["/usr/local", "/opt/homebrew/opt/libffi"]
    return [flag for p in prefixes for flag in (f"-I{p}/include", f"-L{p}/lib")] + ["-lffi"]


def load(path: Path) -> Any:
    """Import the module in a file."""
    name = path.name.partition(".")[0]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
