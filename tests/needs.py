"""What tests need and may not have: well-known libraries, their headers, other compilers.

Such a test is skipped where that is missing, unless ``$FFI_REQUIRE_LIBRARIES`` is set: then it
fails.
"""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import numpy as np
import pytest
from compiler import CC

import ffi


def need_library(name: str) -> ffi.Library:
    """Open a library by its short name, such as ``"gsl"``."""
    if ffi.find_library(name) is None:
        lack(f"no library {name!r}")
    return ffi.dlopen(name)


def need_lapack() -> None:
    """Need LAPACK's C interface, the system's or that in NumPy's wheel."""
    if ffi.find_library("lapacke") is None and not bundles_openblas():
        lack("no library 'lapacke', and no OpenBLAS in NumPy's wheel")


def bundles_openblas() -> bool:
    """Return whether NumPy brings an OpenBLAS of its own."""
    folder = Path(np.__file__).parent
    return any((*folder.glob(".dylibs/*openblas*"), *folder.parent.glob("numpy.libs/*openblas*")))


def need_module(name: str) -> ModuleType:
    """Import a module of a package, such as ``"numba"``."""
    try:
        return importlib.import_module(name)
    except ImportError as exc:
        lack(f"no module {name!r}: {exc}")


def need_command(name: str) -> None:
    """Need a command, such as ``"gfortran"``."""
    if shutil.which(name) is None:
        lack(f"no command {name!r}")


def need_header(*names: str, flags: tuple[str, ...] = (), compiler: str = CC) -> str:
    """Return what the C compiler's preprocessor makes of headers."""
    source = "".join(f"#include <{name}>\n" for name in names)
    command = [*shlex.split(compiler), "-E", "-P", *flags, "-x", "c", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    if done.returncode:
        lack(f"no header {' or '.join(names)}: {done.stderr.strip()[-200:]}")
    return done.stdout


def lack(message: str) -> NoReturn:
    """Skip the test, or fail."""
    if os.environ.get("FFI_REQUIRE_LIBRARIES"):
        pytest.fail(f"{message}, but $FFI_REQUIRE_LIBRARIES is set")
    pytest.skip(message)
