"""Fixtures that more than one test file uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from compiler import compile_library


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile C in the session's folder: ``compile_c(source, name, *flags) -> path``."""
    folder = tmp_path_factory.mktemp("c")

    def compile_c(source: str | Path, name: str, *flags: str) -> Path:
        return compile_library(source, folder, name, *flags)

    return compile_c


@pytest.fixture(scope="session")
def cases(compile_c: Callable[..., Path]) -> Path:
    """The library made of cases.c."""
    return compile_c(Path(__file__).parent / "cases.c", "cases", "-lm")
