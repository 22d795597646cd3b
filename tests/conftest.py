"""Fixtures that more than one test file uses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from checks import Unraisable
from compiler import CC, compile_library, compilers, configurations, version
from cython_build import build, load
from needs import need_module

import ffi


def pytest_report_header() -> list[str]:
    """Say which C compilers are used."""
    flags = dict.fromkeys(" ".join(flags) for _, flags in configurations())
    return [f"C compiler: {name} ({version(name)})" for name in compilers()] + [
        f"random signatures compiled with: {', '.join(flags)}",
        f"calls: {ffi.CIF('void').path}",
    ]


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile C in the session's folder: ``compile_c(source, name, *flags) -> path``."""
    folder = tmp_path_factory.mktemp("c")

    def compile_c(source: str | Path, name: str, *flags: str, compiler: str = CC) -> Path:
        return compile_library(source, folder, name, *flags, compiler=compiler)

    return compile_c


@pytest.fixture(scope="session")
def cases(compile_c: Callable[..., Path]) -> Path:
    """The library made of cases.c."""
    return compile_c(Path(__file__).parent / "cases.c", "cases", "-lm")


@pytest.fixture(scope="session")
def symbol(cases: Path) -> Callable[[str], int]:
    """Addresses in the library made of cases.c: ``symbol(name) -> address``."""
    library = ffi.dlopen(cases)
    return lambda name: ffi.dlsym(library, name)


@pytest.fixture(scope="session")
def consumer_path(compile_c: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module made of consumer.pyx, which calls functions by ffi.capi."""
    flags = ["-fopenmp"]
    try:
        compile_c("int main(void) { return 0; }", "openmp", *flags)
    except RuntimeError:
        # A parallel loop is an ordinary one then.
        flags = []
    return build(Path(__file__).parent / "consumer.pyx", tmp_path_factory.mktemp("capi"), *flags)


@pytest.fixture(scope="session")
def consumer(consumer_path: Path) -> Any:
    """That module, imported."""
    return load(consumer_path)


@pytest.fixture(scope="session")
def cffi() -> ModuleType:
    """The package of that name, which refuses the free-threaded build of Python 3.13."""
    return need_module("cffi")


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> Unraisable:
    """What `sys.unraisablehook` is given during a test."""
    hook = Unraisable()
    monkeypatch.setattr(sys, "unraisablehook", hook)
    return hook
