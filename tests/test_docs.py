"""The documentation is complete and true: examples run, and every public name has its place.

The examples of README.md and docs/ are collected by pytest itself.
"""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import ffi
from ffi import errors

ROOT = Path(__file__).parents[1]
# What has no docstring of its own.
DATA = ["abi", "alignof", "sizeof", "types", "__version__", "libffi_version"]
DOCUMENTED = [name for name in ffi.__all__ if name not in (*DATA, "errors")]

SETUP = """
import os, shlex
from Cython.Build import cythonize
from setuptools import Extension, setup
flags = shlex.split(os.environ["FFI_CFLAGS"])
module = Extension("applying", ["applying.pyx"], extra_compile_args=flags)
setup(ext_modules=cythonize([module]))
"""


def public_objects() -> dict[str, object]:
    """Return functions, classes and methods by their dotted names."""
    found = {name: getattr(ffi, name) for name in DOCUMENTED}
    for name, value in list(found.items()):
        if inspect.isclass(value) and value is not ffi.Error:
            for member, method in inspect.getmembers(value, callable):
                if not member.startswith("_"):
                    found[f"{name}.{member}"] = method
    return found


OBJECTS = public_objects()

# Pointers and types of 8 bytes, or an int that is not NumPy's own.
OF_64_BITS = re.compile(r"alignment 8|dtype=int32")
# dtypes, and where bit-fields lie.
LITTLE_ENDIAN = re.compile(r"'<f8'|\.bits$| :\d+ ", re.MULTILINE)


def skip_where_it_differs(printed: str) -> None:
    """Skip examples that print what is so on 64-bit or on little-endian machines only."""
    if ffi.sizeof.pointer != 8 and OF_64_BITS.search(printed):
        pytest.skip("prints the sizes of 64-bit machines")
    if sys.byteorder == "big" and LITTLE_ENDIAN.search(printed):
        pytest.skip("prints what lies otherwise on big-endian machines")


@pytest.mark.parametrize("name", OBJECTS)
def test_docstring_examples(name: str) -> None:
    text = inspect.getdoc(OBJECTS[name])
    assert text
    skip_where_it_differs(text)
    names = {"ffi": ffi, "np": np}
    test = doctest.DocTestParser().get_doctest(text, names, f"ffi.{name}", None, 0)
    report: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    results = doctest.DocTestRunner(optionflags=flags).run(test, out=report.append)
    assert results.failed == 0, "".join(report)


def test_reference_has_every_public_name() -> None:
    reference = (ROOT / "docs" / "reference.rst").read_text()
    placed = set(re.findall(r"^\.\. \w+:: (\w+)", reference, re.MULTILINE))
    assert {*DOCUMENTED, *DATA} <= placed
    assert set(errors.__all__) <= placed


def libffi_cflags() -> str:
    """Return how the compiler finds ffi.h: as pkg-config says, or in the usual places."""
    if shutil.which("pkg-config"):
        command = ["pkg-config", "--cflags", "libffi"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    places = ["/usr/local/include", "/opt/homebrew/opt/libffi/include"]
    return " ".join(f"-I{place}" for place in places)


def test_cython_example(tmp_path: Path) -> None:
    (tmp_path / "applying.pyx").write_text((ROOT / "docs" / "applying.pyx").read_text())
    (tmp_path / "setup.py").write_text(SETUP)
    env = {
        **os.environ,
        "FFI_CFLAGS": libffi_cflags(),
        "PYTHONPATH": str(Path(ffi.__file__).parents[1]),
    }
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)

    [path] = [*tmp_path.glob("applying.*.so")]
    spec = importlib.util.spec_from_file_location("applying", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def square(rvalue: memoryview, avalues: memoryview) -> None:
        ffi.write("double", rvalue, float(ffi.view(avalues[0], "double")) ** 2)

    cif = ffi.CIF("double", "double")
    closure = ffi.Closure(cif, square)
    x, y = np.arange(5.0), np.empty(5)
    module.apply(cif, closure.address, x, y)
    np.testing.assert_array_equal(y, x**2)
    with pytest.raises(ValueError, match="one length"):
        module.apply(cif, closure.address, x, y[:3])


def test_cython_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("trapezoid.pyx", "setup.py"):
        shutil.copy(ROOT / "docs" / "cython" / name, tmp_path)
    env = {**os.environ, "PYTHONPATH": str(Path(ffi.__file__).parents[1])}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)

    monkeypatch.syspath_prepend(tmp_path)
    page = ROOT / "docs" / "cython.rst"
    report: list[str] = []
    test = doctest.DocTestParser().get_doctest(page.read_text(), {}, page.name, str(page), 0)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    results = doctest.DocTestRunner(optionflags=flags).run(test, out=report.append)
    assert results.failed == 0, "".join(report)
    assert results.attempted > 10
    trapezoid = sys.modules["trapezoid"]
    with pytest.raises(ValueError, match="one length"):
        trapezoid.tabulate(ffi.dlopen("m").function("double cos(double)"), np.ones(3), np.ones(2))


def shell_examples() -> list[tuple[str, str]]:
    """List the commands of the page about the shell, and what they print."""
    text = (ROOT / "docs" / "shell.rst").read_text()
    blocks = re.findall(r"^\.\. code-block:: console\n\n((?:   .*\n|\n)+)", text, re.MULTILINE)
    examples = []
    for block in blocks:
        for example in textwrap.dedent(block).split("$ ")[1:]:
            command, _, printed = example.partition("\n")
            examples.append((command, printed.rstrip()))
    return examples


def test_shell_page_has_examples() -> None:
    assert len(shell_examples()) >= 6


@pytest.mark.parametrize(("command", "printed"), shell_examples())
def test_shell_page(command: str, printed: str) -> None:
    skip_where_it_differs(printed)
    program, *words = shlex.split(command)
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(ffi.__file__).parents[1])},
    )
    assert (done.stdout + done.stderr).rstrip() == printed
    assert done.returncode == (1 if done.stderr else 0)
