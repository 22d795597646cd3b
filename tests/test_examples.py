"""Every script in examples/ runs; each checks its own results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ffi

SCRIPTS = sorted(Path(__file__).parents[1].glob("examples/*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_example(script: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(ffi.__file__).parents[1])}
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_there_are_examples() -> None:
    assert {"demo", "qsort", "snprintf", "struct_by_value"} <= {script.stem for script in SCRIPTS}
