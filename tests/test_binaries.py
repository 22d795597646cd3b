"""The compiled modules: what they export, and how they are loaded. ELF only."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from needs import need_command

import ffi

PACKAGE = Path(ffi.__file__).parent
TOOL = Path(__file__).parents[1] / "tools" / "check_binaries.py"

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="ELF only")


def complaints(*arguments):
    need_command("readelf")
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == bool(done.stderr)
    return done.stderr


def test_the_modules():
    modules = list(PACKAGE.glob(f"*{EXTENSION_SUFFIXES[0]}"))
    assert len(modules) > 20
    assert complaints(*modules) == ""


MODULE = "void PyInit_found(void) {}\n"
IMPORT = "void ffi_prep_cif(void); void (*import)(void) = ffi_prep_cif;"
RELOCATED = '__asm__(".text; .dc.a ffi_prep_cif");'
BOTH = '__asm__(".section .both, \\"awx\\"; .dc.a 0; .text");'


@pytest.mark.parametrize(
    ("source", "flags", "complaint"),
    [
        ("void ffi_call(void) {}", [], "exports ['PyInit_found', 'ffi_call'], expected ['PyInit"),
        ("", ["-Wl,-z,execstack"], "wants an executable stack"),
        (BOTH, [], "has memory that is writable and executable"),
        (RELOCATED, ["-Wl,-z,notext", "-Wl,--allow-shlib-undefined"], "relocates its code"),
        (IMPORT, [], "takes ['ffi_prep_cif'] from a libffi"),
    ],
)
def test_faults_are_found(compile_c, tmp_path, source, flags, complaint):
    found = compile_c(MODULE + source, "found", *flags).rename(tmp_path / "found.so")
    assert f"{found}: {complaint}" in complaints("--static", found)


def test_libffi_is_found(compile_c, tmp_path):
    libffi = compile_c("void ffi_call(void) {}", "libffi", "-Wl,-soname,libffi.so.8")
    found = compile_c(MODULE, "found", "-Wl,--no-as-needed", str(libffi))
    found = found.rename(tmp_path / "found.so")
    assert complaints("--static", found) == f"{found}: needs libffi.so.8\n"
    assert complaints(found) == ""
