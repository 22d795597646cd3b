"""What the guide's examples find: the library that they bind, compiled as the page says."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import ffi

DOCS = Path(__file__).parent
COMMAND = "-O2 -shared -fPIC series.c -o libseries.so -lm"


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with libseries.so."""
    folder = tmp_path_factory.mktemp("series")
    for name in ("series.c", "series.h"):
        shutil.copy(DOCS / name, folder)
    command = shlex.split(os.environ.get("CC", "cc")) + shlex.split(COMMAND)
    subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture(autouse=True)
def begin(series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run examples where the library is, with no error of other pages."""
    monkeypatch.chdir(series)
    ffi.set_errno(0)
