"""Compile Cython modules of loops as setup.py compiles the modules of ffi, and import them."""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

# In a process of its own: setuptools and Cython change theirs.
BUILD = """
import sys
from setuptools import Extension
from distutils.core import run_setup

name, source, folder = sys.argv[1:]
distribution = run_setup("setup.py", stop_after="init")
distribution.verbose = 0
distribution.ext_modules = [Extension(name, [source], extra_compile_args=["-O2"])]
build = distribution.get_command_obj("build_ext")
build.build_lib = build.build_temp = folder
distribution.run_command("build_ext")
"""


def load(name: str) -> Any:
    """Return the module made of a .pyx file here; what was compiled goes once it is loaded."""
    source = HERE / f"{name}.pyx"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", BUILD, name, str(source.relative_to(ROOT)), folder]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{source.name} does not compile:\n{done.stdout}{done.stderr}")
        (path,) = Path(folder).glob(f"{name}*.so")
        return import_extension(name, path)


def import_extension(name: str, path: Path) -> Any:
    """Return the extension module in a file, which may go then."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no extension module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
