"""The library that examples in the guide bind: compiled as the page says, in the folder they run in."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

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
def in_folder(series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run examples where the library is."""
    monkeypatch.chdir(series)
