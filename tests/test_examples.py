"""Every script in examples/ runs; each checks its own results."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from needs import need_command, need_lapack, need_library

import ffi

# What else they need, which comes with none of the packages that the tests install.
NEEDS: dict[str, Callable[[], object]] = {
    "fftw_transform": partial(need_library, "fftw3"),
    "fortran_routine": partial(need_command, "gfortran"),
    "gsl_statistics": partial(need_library, "gsl"),
    "lapack_solve": need_lapack,
    "nlopt_minimize": partial(need_library, "nlopt"),
    "ode_callback": partial(need_library, "gsl"),
    "root_finding": partial(need_library, "gsl"),
    "sqlite_query": partial(need_library, "sqlite3"),
    "zlib_compress": partial(need_library, "z"),
}
SCRIPTS = sorted(Path(__file__).parents[1].glob("examples/*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_example(script: Path, tmp_path: Path) -> None:
    NEEDS.get(script.stem, lambda: None)()
    env = {**os.environ, "PYTHONPATH": str(Path(ffi.__file__).parents[1])}
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_there_are_examples() -> None:
    names = {"demo", "qsort", "scipy_integrand", "snprintf", "struct_by_value", *NEEDS}
    assert names <= {script.stem for script in SCRIPTS}
